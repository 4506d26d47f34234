/* Slice: elements from start to before end by step, along each named axis. Lists were attributes before opset 10. */
#include "ops/cases.h"
#include "ops/shape/common_slice.h"

static skive_status infer(skv_infer *c) {
    static const char *const names[] = {"", "the starts", "the ends", "the axes", "the steps"};
    const skive_type *x = c->in[0];
    int64_t lists[5][SKIVE_MAX_RANK], dims[SKIVE_MAX_RANK];
    int n[5];
    skv_slice s;
    c->out[0] = *x;
    if (x->rank < 0) return SKIVE_OK;
    bool known = true;
    for (size_t i = 1; i < 5; i++) {
        n[i] = -1;
        if (i >= c->n_in || !c->in[i]) continue;
        SKV_TRY(skv_infer_ints(c, i, names[i], lists[i], SKIVE_MAX_RANK, &n[i]));
        known = known && n[i] >= 0;
    }
    for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d].size;
    if (!known) {
        for (int d = 0; d < x->rank; d++) c->out[0].dims[d] = skv_dim_unknown();
        return SKIVE_OK;
    }
    if (n[2] != n[1] || (n[3] >= 0 && n[3] != n[1]) || (n[4] >= 0 && n[4] != n[1]) ||
        !skv_slice_resolve(&s, x->rank, dims, n[1], lists[1], lists[2], n[3] >= 0 ? lists[3] : NULL,
                           n[4] >= 0 ? lists[4] : NULL)) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': starts, ends, axes and steps do not match",
                              c->node->name);
    }
    for (int d = 0; d < x->rank; d++) {
        if (s.named[d]) c->out[0].dims[d] = s.count[d] >= 0 ? skv_dim(s.count[d]) : skv_dim_unknown();
    }
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    skive_tensor *y = c->out[0];
    skv_slice s;
    int64_t in_strides[SKIVE_MAX_RANK], out_strides[SKIVE_MAX_RANK], first = 0;
    SKV_TRY(skv_slice_read(c, 1, x, &s));
    if (skive_tensor_count(y) == 0) return SKIVE_OK;
    skv_dims_strides(x->rank, x->dims, in_strides);
    skv_dims_strides(y->rank, y->dims, out_strides);
    for (int d = 0; d < x->rank; d++) {
        first += s.start[d] * in_strides[d];
        in_strides[d] *= s.step[d];
    }
    skv_copy_strided(y->dtype, y->rank, y->dims, y->data, 0, out_strides, x->data, first, in_strides);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_value *in[6] = {c->dout[0], NULL, NULL, NULL, NULL, NULL};
    if (!c->need[0]) return SKIVE_OK;
    for (size_t i = 0; i < 5; i++) in[i + 1] = skv_node_in(c->node, i);
    c->din[0] = skv_emit(c->b, "SliceGrad", (skv_in_list){in, c->node->n_inputs + 1}, SKV_NONE);
    return c->b->status;
}

/* The slice as the node's constants say it; false if one of the lists is computed. */
static bool constant_slice(const skive_node *n, const skive_type *x, int64_t lists[4][SKIVE_MAX_RANK], int *count,
                           skv_slice *out) {
    int64_t dims[SKIVE_MAX_RANK];
    for (size_t i = 0; i < 4; i++) {
        const skive_tensor *t = skv_node_constant(n, i + 1);
        if (!skv_node_in(n, i + 1)) continue;
        const int k = t ? skv_read_ints(t, lists[i], SKIVE_MAX_RANK) : -1;
        if (k < 0 || (i > 0 && k != *count)) return false;
        *count = k;
    }
    for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d].size;
    return skv_slice_resolve(out, x->rank, dims, *count, lists[0], lists[1], skv_node_in(n, 3) ? lists[2] : NULL,
                             skv_node_in(n, 4) ? lists[3] : NULL);
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    int64_t lists[4][SKIVE_MAX_RANK];
    int n = 0;
    skv_slice s;
    if (!x || x->rank < 0 || !constant_slice(skv_couple_node(c), x, lists, &n, &s)) {
        skv_couple_fix_all(c, "its sizes are computed while it runs");
        return;
    }
    for (int d = 0; d < x->rank; d++) {
        if (!s.named[d]) {
            skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
        } else if (s.count[d] < 1 || s.step[d] != 1) {
            skv_couple_fix(c, SKV_CIN(0, d), "Slice takes every so many channels, or none");
            skv_couple_fix(c, SKV_COUT(0, d), "Slice takes every so many channels, or none");
        } else {
            skv_couple_range(c, SKV_CIN(0, d), s.start[d], SKV_COUT(0, d), 0, s.count[d], 1);
        }
    }
}

static skive_status shrink(const skv_shrink *s) {
    const skive_type *x = skv_shrink_type(s, SKV_CIN(0, 0));
    int64_t lists[4][SKIVE_MAX_RANK];
    int n = 0;
    bool changed = false;
    skv_slice old;
    if (!constant_slice(skv_shrink_node(s), x, lists, &n, &old)) return SKIVE_OK;
    for (int i = 0; i < n; i++) {
        const int d = skv_node_in(skv_shrink_node(s), 3) ? (int)skv_axis(lists[2][i], x->rank) : i;
        const skv_remaining in = skv_shrink_remaining(s, SKV_CIN(0, d)), out = skv_shrink_remaining(s, SKV_COUT(0, d));
        if (!in.keep) continue;
        lists[0][i] = skv_remaining_among(&in, 0, old.start[d]);
        lists[1][i] = lists[0][i] + out.after;
        changed = true;
    }
    if (!changed) return SKIVE_OK;
    SKV_TRY(skv_shrink_list(s, 1, lists[0], (size_t)n));
    return skv_shrink_list(s, 2, lists[1], (size_t)n);
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from >= 10) return SKIVE_OK;
    SKV_TRY(skv_import_ints(g, n, "starts", 1));
    SKV_TRY(skv_import_ints(g, n, "ends", 2));
    return skv_import_ints(g, n, "axes", 3);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 4), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8)}, CASE_LIST(2, 1, 0), CASE_LIST(2, 2, 3),
             CASE_LIST(2, 0, 1), CASE_LIST(2, 1, 2)),
     .n_out = 1,
     CASE_EXPECT(5, 7),
     CASE_OUT(1, 2)},
    {.name = "to the end",
     CASE_IN({CASE_F32(2, 4), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8)}, CASE_LIST(2, 0, 1), CASE_LIST(2, -1, 1000)),
     .n_out = 1,
     CASE_EXPECT(2, 3, 4),
     CASE_OUT(1, 3)},
    {.name = "backwards",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, CASE_LIST(1, 3), CASE_LIST(1, -1000), CASE_LIST(1, 0),
             CASE_LIST(1, -2)),
     .n_out = 1,
     CASE_EXPECT(4, 2),
     CASE_OUT(2)},
    {.name = "nothing",
     CASE_IN({CASE_F32(3)}, CASE_LIST(1, 5), CASE_LIST(1, 9)),
     .n_out = 1,
     CASE_OUT(0),
     .no_grad = true},
    {.name = "random",
     CASE_IN({CASE_F32(3, 4, 2)}, CASE_LIST(1, -3), CASE_LIST(1, -1), CASE_LIST(1, 1)),
     .n_out = 1,
     CASE_OUT(3, 2, 2)},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 13, 0); }

const skv_op skv_op_slice = {
    .name = "Slice",
    .brief = "a part given by starts, ends and steps",
    .domain = "",
    .since = 10,
    .min_in = 3,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
