/* TensorScatter: writes `update` into a cache of keys or values along one axis, for each sample of the batch from its
 * own index on (0 if none is given): linear, or circular, which goes on at the start after the end. */
#include <string.h>

#include "ops/cases.h"
#include "ops/index/common_index.h"

enum { CACHE, UPDATE, INDEX };

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}, {"mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

static const char *mode_of(const skive_node *n) { return skv_attr_string(n, "mode", "linear"); }

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, CACHE), *u = skv_infer_in(c, UPDATE), *at = skv_infer_in(c, INDEX);
    int axis;
    if (strcmp(mode_of(c->node), "linear") != 0 && strcmp(mode_of(c->node), "circular") != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': mode is \"%s\"; it may be linear or circular",
                              c->node->name, mode_of(c->node));
    SKV_TRY(skv_infer_one_type(c, CACHE, UPDATE));
    SKV_TRY(skv_infer_want(c, INDEX, SKIVE_I64));
    c->out[0] = *x;
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", -2), x->rank, &axis));
    if (axis == 0) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': axis 0 is that of the batch", c->node->name);
    bool fits = u->rank < 0 || u->rank == x->rank;
    for (int d = 0; fits && u->rank >= 0 && d < x->rank; d++) {
        const int64_t have = u->dims[d].size, room = x->dims[d].size;
        fits = have < 0 || room < 0 || (d == axis ? have <= room : have == room);
    }
    if (!fits)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the update does not fit into the cache", c->node->name);
    if (at->rank < 0) return SKIVE_OK;
    if (at->rank != 1 || (at->dims[0].size >= 0 && x->dims[0].size >= 0 && at->dims[0].size != x->dims[0].size))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': there must be one write index for each sample",
                              c->node->name);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[CACHE], *u = c->in[UPDATE], *at = c->n_in > INDEX ? c->in[INDEX] : NULL,
                       *y = c->out[0];
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", -2), x->rank);
    const bool circular = strcmp(mode_of(c->node), "circular") == 0;
    const int64_t room = x->dims[axis], n = u->dims[axis];
    int64_t rows = 1, inner = 1; /* of one sample; elements of one position */
    for (int d = 1; d < axis; d++) rows *= x->dims[d];
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dims[d];
    if (skive_tensor_bytes(x)) memmove(y->data, x->data, skive_tensor_bytes(x));
    for (int64_t b = 0; b < x->dims[0]; b++) {
        const int64_t first = at ? ((const int64_t *)at->data)[b] : 0;
        if (first < 0 || (!circular && first > room - n))
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                               "node '%s': write index %lld of sample %lld is outside: %lld positions are written into "
                               "a cache of %lld",
                               c->node->name, (long long)first, (long long)b, (long long)n, (long long)room);
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t i = 0; i < n; i++) {
                const int64_t to = (first % (room ? room : 1) + i) % (room ? room : 1);
                for (int64_t e = 0; e < inner; e++)
                    skv_copy_element(x->dtype, y->data, (size_t)(((b * rows + r) * room + to) * inner + e), u->data,
                                     (size_t)(((b * rows + r) * n + i) * inner + e));
            }
        }
    }
    return SKIVE_OK;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(CACHE, 0));
    if (!x || x->rank < 0) return;
    for (int d = 0; d < x->rank; d++) {
        skv_couple_same(c, SKV_CIN(CACHE, d), SKV_COUT(0, d));
        if (d == skv_axis(skv_attr_int(skv_couple_node(c), "axis", -2), x->rank))
            skv_couple_fix(c, SKV_CIN(CACHE, d), "TensorScatter counts its positions");
        else
            skv_couple_same(c, SKV_CIN(UPDATE, d), SKV_COUT(0, d));
    }
    skv_couple_same(c, SKV_CIN(INDEX, 0), SKV_COUT(0, 0));
}

static const skv_op_case cases[] = {
    {.name = "linear",
     CASE_IN({CASE_F32(2, 4, 1), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8)}, {CASE_F32(2, 2, 1), CASE_VALUES(-1, -2, -3, -4)},
             {CASE_I64(2), CASE_VALUES(2, 1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, 2, -1, -2, 5, -3, -4, 8),
     .no_grad = true},
    {.name = "circular",
     CASE_IN({CASE_F32(1, 3, 2), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_F32(1, 2, 2), CASE_VALUES(-1, -2, -3, -4)},
             {CASE_I64(1), CASE_VALUES(5), .constant = true}),
     CASE_ATTRS(CASE_INT("axis", 1), CASE_STR("mode", "circular")),
     .n_out = 1,
     CASE_EXPECT(-3, -4, 3, 4, -1, -2),
     .no_grad = true},
    {.name = "from the start",
     CASE_IN({CASE_F32(1, 3, 1), CASE_VALUES(1, 2, 3)}, {CASE_F32(1, 1, 1), CASE_VALUES(9)}),
     .n_out = 1,
     CASE_EXPECT(9, 2, 3),
     .no_grad = true},
};

const skv_op skv_op_tensor_scatter = {
    .name = "TensorScatter",
    .domain = "",
    .brief = "writes positions into a cache of keys or values",
    .since = 24,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .couple = couple,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0) | SKV_STRINGS(1),
    SKV_LIST(cases),
};
