/* A name that a graph does not have: what may have been meant, and what there is. */
#ifndef SKV_GRAPH_UNKNOWN_H
#define SKV_GRAPH_UNKNOWN_H

#include "graph/graph.h"

/* "<there is no such thing> 'given'; did you mean 'x'? There are: a, b, ..." with the first few of the n names (NULLs
 * are passed over); `none` begins the sentence ("the model has no parameter"). Gives `code`. */
skive_status skv_fail_no_such(skive_context *ctx, skive_status code, const char *none, const char *given,
                              const char *const *names, size_t n);
skive_status skv_fail_no_parameter(skive_context *ctx, skive_status code, const skive_graph *g, const char *given);
skive_status skv_fail_no_input(skive_context *ctx, skive_status code, const skive_graph *g, const char *given);

#endif
