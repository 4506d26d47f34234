/* Recognising an operator in the nodes it was written out as. A match reads values backwards from the last one; what it
 * passes over must not be needed by anybody as a value of its own (a tap), but may well have other readers. */
#ifndef SKV_MATCH_H
#define SKV_MATCH_H

#include "passes/pass.h"

/* The standard node of this op that gives `v`; NULL when it is another one or `v` must keep existing. */
skive_node *skv_match(const skv_pass_env *env, const skive_value *v, const char *op);
/* A parameter of one floating element. Trainable ones do not count in training. */
bool skv_match_scalar(const skv_pass_env *env, const skive_value *v, double *out);
bool skv_near(double a, double b); /* equal but for the rounding of a constant to float32 */
/* For a node of two operands: is one of them the scalar? *other is the one that is not. */
bool skv_match_with_scalar(const skv_pass_env *env, const skive_node *n, skive_value **other, double *scalar);
/* A reduction over the last axis alone that keeps it. */
bool skv_match_last_axis(const skive_node *reduction);

/* `v` as a polynomial in x and t of degrees below 4 and 2: c[i][j] stands before x^i t^j. Walks sums, differences,
 * products, quotients by constants, small powers. False when `v` is none. */
typedef double skv_polynomial[4][2];
bool skv_match_polynomial(const skv_pass_env *env, const skive_value *v, const skive_value *x, const skive_value *t,
                          skv_polynomial c);

/* One node takes the place of the one that gives `last`, whose name, type and uses the new one has; what only the old
 * one read is left to the sweep. */
skive_status skv_match_replace(skive_graph *g, skive_value *last, const char *op, skv_in_list in, skv_attr_list attrs);

/* Calls `rewrite` for each node in topological order until all were seen; nodes that go meanwhile are skipped. */
typedef skive_status (*skv_rewrite_fn)(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes);
skive_status skv_rewrite_all(const skv_pass_env *env, skive_graph *g, size_t *changes, skv_rewrite_fn rewrite);

#endif
