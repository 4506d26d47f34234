/* Unique: the different elements (or, with an axis, the different slices) in ascending order or that of their first
 * appearance; the index of the first occurrence of each, the group of each element, and the counts. */
#include <stdlib.h>

#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "tensor/strings.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}, {"sorted", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int axis;
    if (x->dtype != SKIVE_STRING) SKV_TRY(skv_infer_want_numeric(c, 0));
    for (size_t o = 1; o < c->n_out; o++)
        c->out[o] = (skive_type){.dtype = SKIVE_I64, .rank = 1, .dims = {skv_dim_unknown()}};
    c->out[0] = (skive_type){.dtype = x->dtype, .rank = 1, .dims = {skv_dim_unknown()}};
    if (!skv_node_attr(c->node, "axis")) return SKIVE_OK;
    c->out[0].rank = -1;
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), x->rank, &axis));
    c->out[0] = *x;
    c->out[0].dims[axis] = skv_dim_unknown();
    return SKIVE_OK;
}

/* The input as [outer][length][inner]: entry k is the slice of all outer and inner at k. */
typedef struct entries {
    const skive_tensor *x;
    int64_t outer, length, inner;
} entries;

static entries entries_of(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    entries e = {x, 1, skive_tensor_count(x), 1};
    if (!skv_node_attr(c->node, "axis")) return e;
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    for (int d = 0; d < axis; d++) e.outer *= x->dims[d];
    for (int d = axis + 1; d < x->rank; d++) e.inner *= x->dims[d];
    e.length = x->dims[axis];
    return e;
}

static size_t element_of(const entries *e, int64_t k, int64_t o, int64_t i) {
    return (size_t)((o * e->length + k) * e->inner + i);
}

/* NaN is last in the order and equals itself. */
static int order_elements(const skive_tensor *x, size_t i, size_t j) {
    if (skv_dtype_is_float(x->dtype)) {
        const double a = skv_load_f64(x->dtype, x->data, i), b = skv_load_f64(x->dtype, x->data, j);
        if (isnan(a) || isnan(b)) return (isnan(a) != 0) - (isnan(b) != 0);
        return (a > b) - (a < b);
    }
    if (x->dtype == SKIVE_STRING) return strcmp(skv_string_at(x, i), skv_string_at(x, j));
    const int64_t a = skv_load_bits(x->dtype, x->data, i), b = skv_load_bits(x->dtype, x->data, j);
    return x->dtype == SKIVE_U64 ? ((uint64_t)a > (uint64_t)b) - ((uint64_t)a < (uint64_t)b) : (a > b) - (a < b);
}

static int order_entries(const entries *e, int64_t a, int64_t b) {
    for (int64_t o = 0; o < e->outer; o++) {
        for (int64_t i = 0; i < e->inner; i++) {
            const int order = order_elements(e->x, element_of(e, a, o, i), element_of(e, b, o, i));
            if (order) return order;
        }
    }
    return 0;
}

static int by_value(const void *p, const void *q, void *user) {
    const int64_t a = *(const int64_t *)p, b = *(const int64_t *)q;
    const int order = order_entries(user, a, b);
    return order ? order : (a > b) - (a < b);
}

typedef struct group {
    int64_t first, count, sorted_at; /* first appearance, size, place in ascending order */
} group;

static int by_appearance(const void *p, const void *q) {
    const group *a = p, *b = q;
    return (a->first > b->first) - (a->first < b->first);
}

/* groups[0 .. *n-1] in the requested order; of[k] is the position in ascending order of the group of entry k. */
static skive_status find_groups(const skv_eval *c, const entries *e, group **groups, int64_t **of, int64_t *n) {
    int64_t *order = NULL;
    skive_status status;
    *n = 0;
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)e->length + 1, sizeof *order, &order));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)e->length + 1, sizeof **groups, groups));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)e->length + 1, sizeof **of, of));
    for (int64_t k = 0; k < e->length; k++) order[k] = k;
    qsort_r(order, (size_t)e->length, sizeof *order, by_value, (void *)(uintptr_t)e);
    for (int64_t k = 0; k < e->length; k++) {
        if (k == 0 || order_entries(e, order[k - 1], order[k]) != 0) {
            (*groups)[*n] = (group){order[k], 0, *n};
            ++*n;
        }
        (*groups)[*n - 1].count++;
        (*of)[order[k]] = *n - 1;
    }
    if (!skv_attr_int(c->node, "sorted", 1)) qsort(*groups, (size_t)*n, sizeof **groups, by_appearance);
done:
    skv_free(c->ctx, order);
    return status;
}

static skive_status size_outputs(const skv_eval *c, skive_type *types) {
    const entries e = entries_of(c);
    group *groups = NULL;
    int64_t *of = NULL, n;
    const skive_status status = find_groups(c, &e, &groups, &of, &n);
    types[0].dims[skv_node_attr(c->node, "axis") ? skv_axis(skv_attr_int(c->node, "axis", 0), c->in[0]->rank) : 0] =
        skv_dim(n);
    for (size_t o = 1; o < c->n_out; o++) types[o].dims[0] = skv_dim(o == 2 ? e.length : n);
    skv_free(c->ctx, groups);
    skv_free(c->ctx, of);
    return status;
}

static int64_t *integers(const skv_eval *c, size_t output) {
    return output < c->n_out && c->out[output] ? c->out[output]->data : NULL;
}

static skive_status run(const skv_eval *c) {
    const entries e = entries_of(c);
    int64_t *first = integers(c, 1), *inverse = integers(c, 2), *counts = integers(c, 3);
    group *groups = NULL;
    int64_t *of = NULL, *place = NULL, n;
    skive_status status;
    SKV_GO(status, done, find_groups(c, &e, &groups, &of, &n));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *place, &place));
    for (int64_t g = 0; g < n; g++) {
        place[groups[g].sorted_at] = g;
        if (first) first[g] = groups[g].first;
        if (counts) counts[g] = groups[g].count;
        for (int64_t o = 0; c->out[0] && o < e.outer; o++)
            for (int64_t i = 0; i < e.inner; i++)
                skv_copy_element(e.x->dtype, c->out[0]->data, (size_t)((o * n + g) * e.inner + i), e.x->data,
                                 element_of(&e, groups[g].first, o, i));
    }
    for (int64_t k = 0; inverse && k < e.length; k++) inverse[k] = place[of[k]];
done:
    skv_free(c->ctx, groups);
    skv_free(c->ctx, of);
    skv_free(c->ctx, place);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "ascending",
     CASE_IN({CASE_F32(6), CASE_VALUES(2, 1, 1, 3, 4, 3)}),
     .n_out = 4,
     CASE_EXPECT(1, 2, 3, 4),
     CASE_OUT(4)},
    {.name = "as they appear",
     CASE_IN({CASE_F32(6), CASE_VALUES(2, 1, 1, 3, 4, 3)}),
     CASE_ATTRS(CASE_INT("sorted", 0)),
     .n_out = 1,
     CASE_EXPECT(2, 1, 3, 4)},
    {.name = "rows",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(1, 0, 0, 5, 1, 0)}),
     CASE_ATTRS(CASE_INT("axis", 0)),
     .n_out = 2,
     CASE_EXPECT(0, 5, 1, 0),
     CASE_OUT(2, 2)},
};

const skv_op skv_op_unique = {
    .name = "Unique",
    .domain = "",
    .brief = "the distinct elements, their positions and counts",
    .since = 11,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 4,
    SKV_LIST(attrs),
    .infer = infer,
    .size_outputs = size_outputs,
    .run = run,
    .range = skv_range_first,
    .cost = skv_cost_per_element,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
