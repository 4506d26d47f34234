/* GatherND: slices of the data at index tuples, which are the last axis of the indices; the first batch_dims axes are
 * batch axes. */
#include <string.h>

#include "ops/cases.h"
#include "ops/index/common_index.h"

static const skv_attr_spec attrs[] = {{"batch_dims", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *index = skv_infer_in(c, 1);
    const int64_t batch = skv_attr_int(c->node, "batch_dims", 0);
    skive_type *y = &c->out[0];
    SKV_TRY(skv_infer_want_indices(c, 1));
    y->dtype = x->dtype;
    if (x->rank < 0 || index->rank < 0) return SKIVE_OK;
    const int64_t tuple = index->rank > 0 ? index->dims[index->rank - 1].size : 0;
    if (index->rank < 1 || batch < 0 || batch >= index->rank || batch >= x->rank || tuple > x->rank - batch)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "node '%s': indices of rank %d with tuples of %lld do not match data of rank %d",
                              c->node->name, index->rank, (long long)tuple, x->rank);
    for (int d = 0; d < batch; d++)
        if (x->dims[d].size >= 0 && index->dims[d].size >= 0 && x->dims[d].size != index->dims[d].size)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld batches of indices do not match %lld of data",
                                  c->node->name, (long long)index->dims[d].size, (long long)x->dims[d].size);
    if (tuple < 0) return SKIVE_OK;
    if (index->rank - 1 + x->rank - batch - tuple > SKIVE_MAX_RANK)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the result would have too many dimensions",
                              c->node->name);
    y->rank = 0;
    for (int d = 0; d < index->rank - 1; d++) y->dims[y->rank++] = index->dims[d];
    for (int d = (int)(batch + tuple); d < x->rank; d++) y->dims[y->rank++] = x->dims[d];
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *index = c->in[1], *y = c->out[0];
    const int batch = (int)skv_attr_int(c->node, "batch_dims", 0);
    const int64_t tuple = index->dims[index->rank - 1];
    int64_t strides[SKIVE_MAX_RANK], tuples = 1, per_batch = 1, batch_size = 1, slice = 1;
    skv_dims_strides(x->rank, x->dims, strides);
    for (int d = 0; d < index->rank - 1; d++) {
        tuples *= index->dims[d];
        if (d >= batch) per_batch *= index->dims[d];
    }
    for (int d = batch; d < x->rank; d++) batch_size *= x->dims[d];
    for (int d = batch + (int)tuple; d < x->rank; d++) slice *= x->dims[d];
    for (int64_t t = 0; t < tuples; t++) {
        int64_t from = t / per_batch * batch_size, entry;
        for (int64_t k = 0; k < tuple; k++) {
            SKV_TRY(skv_index_resolve(c, skv_load_i64(index->dtype, index->data, (size_t)(t * tuple + k)),
                                      x->dims[batch + k], &entry));
            from += entry * strides[batch + k];
        }
        for (int64_t i = 0; i < slice; i++)
            skv_copy_element(x->dtype, y->data, (size_t)(t * slice + i), x->data, (size_t)(from + i));
    }
    return SKIVE_OK;
}

/* The indices with the numbers of the batch axes in front of each tuple, for ScatterND, which has no such axes. */
static skive_value *with_batch(skv_grad *c, int64_t batch) {
    const skive_node *n = c->node;
    const skive_type *t = &n->inputs[1]->type;
    skive_context *ctx = c->b->graph->ctx;
    int64_t dims[SKIVE_MAX_RANK], count = batch, *list = NULL;
    if (!skv_type_is_static(t)) {
        c->b->status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                                   "node '%s': the gradient of GatherND with batch_dims needs a known shape", n->name);
        return NULL;
    }
    for (int d = 0; d < t->rank - 1; d++) {
        dims[d] = t->dims[d].size;
        count *= dims[d];
    }
    dims[t->rank - 1] = batch;
    c->b->status = skv_alloc_array(ctx, (size_t)count + 1, sizeof *list, &list);
    if (c->b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i / batch, inner = 1;
        for (int d = (int)(i % batch) + 1; d < t->rank - 1; d++) inner *= dims[d];
        list[i] = rest / inner % dims[i % batch];
    }
    skive_value *numbers =
        skv_g2(c->b, "Reshape", skv_emit_ints(c->b, list, (size_t)count), skv_emit_ints(c->b, dims, (size_t)t->rank));
    skv_free(ctx, list);
    skive_value *tuples = n->inputs[1];
    if (t->dtype != SKIVE_I64) tuples = skv_emit(c->b, "Cast", SKV_IN(tuples), SKV_ATTRS(SKV_INT("to", SKIVE_I64)));
    return skv_emit(c->b, "Concat", SKV_IN(numbers, tuples), SKV_ATTRS(SKV_INT("axis", -1)));
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    const int64_t batch = skv_attr_int(n, "batch_dims", 0);
    if (!c->need[0]) return SKIVE_OK;
    skive_value *at = batch > 0 ? with_batch(c, batch) : n->inputs[1];
    SKV_TRY(c->b->status);
    c->din[0] = skv_emit(c->b, "ScatterND", SKV_IN(skv_g_zeros_like(c->b, n->inputs[0]), at, c->dout[0]),
                         SKV_ATTRS(SKV_STR("reduction", "add")));
    return c->b->status;
}

static int needs_opset(const skive_node *n) {
    return skv_needs_for_dtype(n, skv_attr_int(n, "batch_dims", 0) ? 12 : 11, 13, 0);
}

/* The axes behind those that the tuples index. */
static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *index = skv_couple_type(c, SKV_CIN(1, 0));
    const int64_t batch = skv_attr_int(skv_couple_node(c), "batch_dims", 0);
    const int64_t tuple = index && index->rank > 0 ? index->dims[index->rank - 1].size : -1;
    if (!x || tuple < 0) return;
    for (int d = (int)(batch + tuple); d < x->rank; d++)
        skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, index->rank - 1 + d - (int)(batch + tuple)));
}

static const skv_op_case cases[] = {
    {.name = "elements",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_I64(2, 2), CASE_VALUES(0, 0, 1, -1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, 4),
     CASE_OUT(2)},
    {.name = "rows",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_I64(2, 1), CASE_VALUES(2, 0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(5, 6, 1, 2),
     CASE_OUT(2, 2)},
    {.name = "along a batch",
     CASE_ATTRS(CASE_INT("batch_dims", 1)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_I64(2, 1), CASE_VALUES(2, 0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(3, 4),
     CASE_OUT(2)},
    {.name = "along two batch axes, one tuple twice",
     CASE_ATTRS(CASE_INT("batch_dims", 2)),
     CASE_IN({CASE_F32(2, 2, 3, 2)}, {CASE_I64(2, 2, 2, 1), CASE_VALUES(0, 2, 1, 1, -1, 0, 2, 1), .constant = true}),
     .n_out = 1,
     CASE_OUT(2, 2, 2, 2)},
};

const skv_op skv_op_gather_nd = {
    .name = "GatherND",
    .domain = "",
    .brief = "slices at index tuples",
    .since = 11,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
