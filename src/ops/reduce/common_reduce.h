/* Shared by the reductions: axes (an input since opset 13 or 18, an attribute before), the loops, types, coupling. */
#ifndef SKV_OPS_COMMON_REDUCE_H
#define SKV_OPS_COMMON_REDUCE_H

#include "ops/common_elementwise.h"

extern const skv_attr_spec skv_reduce_attrs[2]; /* keepdims, noop_with_empty_axes */

skive_status skv_reduce_infer(skv_infer *c);
skive_status skv_reduce_infer_ordered(skv_infer *c); /* bool, too */
/* out = finish(fold of step over the elements of each cell, number of elements). Floats are folded in double and
 * rounded once; integers by `whole` exactly, a sum modulo its width. */
typedef struct skv_reducer {
    double start;
    double (*step)(double sum, double x);
    double (*finish)(double sum, double n); /* NULL: the sum */
    int64_t whole_start;
    int64_t (*whole)(int64_t sum, int64_t x);        /* NULL: integers pass through double, too */
    int64_t (*whole_finish)(int64_t sum, int64_t n); /* NULL: the sum */
    bool ordered;                                    /* a largest or smallest: uint64 is compared as such */
} skv_reducer;
skive_status skv_reduce_run(const skv_eval *c, const skv_reducer *r);
/* Of a gradient: input i is of X's type and shape, input 1, but with 1 along the axes that were reduced. */
skive_status skv_reduce_want_cells(skv_infer *c, size_t i);
void skv_reduce_couple(skv_couple *c);
void skv_reduce_couple_sum(skv_couple *c); /* of a sum, to which zeros add nothing */
void skv_reduce_cost(const skive_node *n, skive_cost *cost);
skive_status skv_reduce_import_13(skive_graph *g, skive_node *n, int from); /* axes became an input with 13 */
skive_status skv_reduce_import_18(skive_graph *g, skive_node *n, int from);
/* v, an output of the node (or its gradient), with the reduced axes restored as size 1. */
skive_value *skv_reduce_keep(skv_grad *c, skive_value *v);
/* The same broadcast to the shape of input 0. */
skive_value *skv_reduce_expand(skv_grad *c, skive_value *v);
/* The reduced axes as a mask for the given rank; false if unknown. */
bool skv_reduce_axes(const skive_node *n, const skive_tensor *axes, int rank, uint32_t *mask);

#define SKV_REDUCE_OP_BY(infer_types, coupling)                                                                  \
    .domain = "", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .attrs = skv_reduce_attrs, .n_attrs = 2, \
    .infer = (infer_types), .couple = (coupling), .cost = skv_reduce_cost
#define SKV_REDUCE_OP         SKV_REDUCE_OP_BY(skv_reduce_infer, skv_reduce_couple)
#define SKV_REDUCE_OP_SUM     SKV_REDUCE_OP_BY(skv_reduce_infer, skv_reduce_couple_sum)
#define SKV_REDUCE_OP_ORDERED SKV_REDUCE_OP_BY(skv_reduce_infer_ordered, skv_reduce_couple)

#endif
