/* Reverse-mode differentiation as a graph rewrite (Griewank & Walther, Evaluating Derivatives, 2008, ch. 3). */
#ifndef SKIVE_AUTODIFF_H
#define SKIVE_AUTODIFF_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Adds nodes that compute d loss / d wrt[i] to the graph; gradients[i] receives the value (never NULL: for a value that
 * the loss does not depend on, zeros of its shape). `loss` has one element. On failure the graph is unchanged. Errors:
 * ARGUMENT (loss is not a scalar), UNSUPPORTED naming every op between them that has no gradient, SHAPE, MEMORY. */
SKIVE_API skive_status skive_autodiff(skive_graph *graph, skive_value *loss, skive_value *const *wrt, size_t n_wrt,
                                      skive_value **gradients);

#ifdef __cplusplus
}
#endif
#endif
