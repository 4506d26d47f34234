/* What the numbers of a graph's values can be: an interval for each channel, found from the types of the inputs and the
 * parameters alone (interval analysis). The intervals hold for what the operators compute in float32, whatever the
 * order of their sums, and for the integer form of quantized operators; NaN and infinite inputs apart. */
#ifndef SKV_BOUNDS_H
#define SKV_BOUNDS_H

#include "graph/graph.h"
#include "graph/op.h"

typedef struct skv_bounds skv_bounds;
/* Borrows the graph, whose types are inferred, and which must not change. */
skive_status skv_bounds_create(const skive_graph *g, skv_bounds **out);
void skv_bounds_free(skv_bounds *b);
/* The interval of all elements at `index` of `axis`; axis -1: of all elements. */
skv_range skv_bounds_at(const skv_bounds *b, const skive_value *v, int axis, int64_t index);
/* The numbers of a parameter, or of what is computed from parameters alone; NULL: it depends on the inputs. */
const skive_tensor *skv_bounds_constant(const skv_bounds *b, const skive_value *v);

#endif
