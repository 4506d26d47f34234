/* TopK: the k largest (or smallest) elements along an axis in order, and their indices; for ties the first. */
#include "ops/cases.h"
#include "ops/index/common_index.h"
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"largest", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"sorted", SKV_ATTR_INT, SKV_OPTIONAL}};

/* Opset 1 had k as an attribute. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from >= 10 || !skv_node_attr(n, "k")) return SKIVE_OK;
    const int64_t k = skv_attr_int(n, "k", 1);
    skv_builder b = skv_build(g);
    skive_value *input = skv_emit_ints(&b, &k, 1);
    SKV_TRY(b.status);
    SKV_TRY(skv_node_set_input(n, 1, input));
    skv_node_remove_attr(n, "k");
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int64_t k = -1;
    int n, axis;
    SKV_TRY(skv_infer_want_numeric(c, 0));
    SKV_TRY(skv_infer_ints(c, 1, "k", &k, 1, &n));
    if (n == 0 || (n == 1 && k < 0))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': k is negative or missing", c->node->name);
    c->out[0] = *x;
    if (x->rank >= 0) {
        SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", -1), x->rank, &axis));
        if (n == 1 && x->dims[axis].size >= 0 && k > x->dims[axis].size)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': k is %lld, but the axis has %lld elements",
                                  c->node->name, (long long)k, (long long)x->dims[axis].size);
        c->out[0].dims[axis] = skv_dim(n == 1 ? k : -1);
    }
    if (c->n_out > 1) {
        c->out[1] = c->out[0];
        c->out[1].dtype = SKIVE_I64;
    }
    return SKIVE_OK;
}

typedef struct row {
    const skive_tensor *x;
    int64_t first, step;
    bool largest;
} row;

/* Does entry i come before entry j? NaN counts as larger than every number. */
static bool before(const row *r, int64_t i, int64_t j) {
    const size_t p = (size_t)(r->first + i * r->step), q = (size_t)(r->first + j * r->step);
    int order;
    if (skv_dtype_is_float(r->x->dtype)) {
        const double a = skv_load_f64(r->x->dtype, r->x->data, p), b = skv_load_f64(r->x->dtype, r->x->data, q);
        order = isnan(a) || isnan(b) ? (isnan(a) != 0) - (isnan(b) != 0) : (a > b) - (a < b);
    } else {
        const int64_t a = skv_load_bits(r->x->dtype, r->x->data, p), b = skv_load_bits(r->x->dtype, r->x->data, q);
        order =
            r->x->dtype == SKIVE_U64 ? ((uint64_t)a > (uint64_t)b) - ((uint64_t)a < (uint64_t)b) : (a > b) - (a < b);
    }
    return order ? (order > 0) == r->largest : i < j;
}

/* heap[0] is the last of the entries in it: every child comes before its parent. */
static void sift(const row *r, int64_t *heap, int64_t n, int64_t at) {
    for (;;) {
        int64_t last = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (before(r, heap[last], heap[child])) last = child;
        if (last == at) return;
        const int64_t t = heap[at];
        heap[at] = heap[last];
        heap[last] = t;
        at = last;
    }
}

/* heap[0 .. k-1] in order. */
static void select_row(const row *r, int64_t length, int64_t k, int64_t *heap) {
    for (int64_t i = 0; i < k; i++) heap[i] = i;
    for (int64_t i = k / 2; i-- > 0;) sift(r, heap, k, i);
    for (int64_t i = k; i < length; i++) {
        if (!before(r, i, heap[0])) continue;
        heap[0] = i;
        sift(r, heap, k, 0);
    }
    for (int64_t n = k - 1; n > 0; n--) {
        const int64_t t = heap[0];
        heap[0] = heap[n];
        heap[n] = t;
        sift(r, heap, n, 0);
    }
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0], *where = c->n_out > 1 ? c->out[1] : NULL;
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", -1), x->rank);
    const skive_tensor *shape = y ? y : where;
    int64_t outer = 1, inner = 1, *heap = NULL;
    if (!shape) return SKIVE_OK;
    const int64_t length = x->dims[axis], k = shape->dims[axis];
    if (k > length) return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "k is larger than the axis");
    for (int d = 0; d < axis; d++) outer *= x->dims[d];
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dims[d];
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)k + 1, sizeof *heap, &heap));
    for (int64_t i = 0; i < outer * inner && k > 0; i++) {
        const row r = {x, i / inner * length * inner + i % inner, inner, skv_attr_int(c->node, "largest", 1) != 0};
        select_row(&r, length, k, heap);
        for (int64_t j = 0; j < k; j++) {
            const size_t to = (size_t)((i / inner * k + j) * inner + i % inner);
            if (y) skv_copy_element(x->dtype, y->data, to, x->data, (size_t)(r.first + heap[j] * inner));
            if (where) ((int64_t *)where->data)[to] = heap[j];
        }
    }
    skv_free(c->ctx, heap);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    if (!c->need[0] || !c->dout[0]) return SKIVE_OK;
    SKV_TRY(skv_node_need_outputs(n, 2));
    c->din[0] =
        skv_emit(c->b, "ScatterElements", SKV_IN(skv_g_zeros_like(c->b, n->inputs[0]), n->outputs[1], c->dout[0]),
                 SKV_ATTRS(SKV_INT("axis", skv_attr_int(n, "axis", -1)), SKV_STR("reduction", "add")));
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    const int64_t axis = x ? skv_axis(skv_attr_int(skv_couple_node(c), "axis", -1), x->rank) : -1;
    for (int d = 0; axis >= 0 && d < x->rank; d++) {
        if (d == axis) continue;
        for (int o = 0; o < 2; o++) skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(o, d));
    }
}

static const skv_op_case cases[] = {
    {.name = "largest",
     CASE_IN({CASE_F32(2, 4), CASE_VALUES(1, 4, 4, 2, 8, 5, 6, 7)}, CASE_LIST(1, 2)),
     .n_out = 2,
     CASE_EXPECT(4, 4, 8, 7),
     CASE_OUT(2, 2),
     .no_grad = true},
    {.name = "smallest along rows",
     CASE_ATTRS(CASE_INT("axis", 0), CASE_INT("largest", 0)),
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(3, 1, 2, 5, 1, 4)}, CASE_LIST(1, 2)),
     .n_out = 2,
     CASE_EXPECT(1, 1, 2, 4)},
    {.name = "none", CASE_IN({CASE_F32(3)}, CASE_LIST(1, 0)), .n_out = 2, CASE_OUT(0), .no_grad = true},
};

const skv_op skv_op_top_k = {
    .name = "TopK",
    .domain = "",
    .brief = "the largest or smallest elements along an axis",
    .since = 11,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .import = import,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = skv_range_first,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
