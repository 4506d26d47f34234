/* The interval that an op's record gives for its output holds for what the reference computes, on inputs small, large
 * and at the ends of their types. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

enum { ROUNDS = 12 };

typedef struct trial {
    skive_graph *graph;
    skive_node *node;
    skive_tensor in[SKV_OP_MAX_IO], out[SKV_OP_MAX_IO];
    skv_range ranges[SKV_OP_MAX_IO];
} trial;

static bool is_small_integer(skive_dtype t) {
    return t == SKIVE_U8 || t == SKIVE_I8 || t == SKIVE_U16 || t == SKIVE_I16;
}

/* Round 0 has the case's own numbers. */
static double number(const skv_case_in *in, size_t i, int64_t e, int round) {
    static const double scales[] = {1, 0.01, 7, 1000, 1e20};
    const double u = skv_rng_uniform(5, (uint64_t)round * 64 + i, (uint64_t)e);
    if (round == 0 || in->constant) {
        const double lo = in->lo == 0 && in->hi == 0 ? -1 : in->lo, hi = in->lo == 0 && in->hi == 0 ? 1 : in->hi;
        return in->values ? in->values[e] : lo + (hi - lo) * u;
    }
    if (in->dtype == SKIVE_U8) return floor(u * 256);
    if (in->dtype == SKIVE_I8) return floor(u * 256) - 128;
    if (in->dtype == SKIVE_U16) return floor(u * 65536);
    if (in->dtype == SKIVE_I16) return floor(u * 65536) - 32768;
    const double center = round % 3 == 0 ? 0 : round % 3 == 1 ? 2 : -2;
    return (2 * u - 1 + center) * scales[round % (int)SKV_COUNT(scales)];
}

static skive_status make(skive_context *ctx, const skv_op *op, const skv_op_case *kase, int round, trial *t) {
    skive_value *in[SKV_OP_MAX_IO] = {NULL}, *out[SKV_OP_MAX_IO] = {NULL};
    SKV_TRY(skive_graph_create(ctx, "case", &t->graph));
    for (size_t i = 0; i < kase->n_in; i++) {
        const skv_case_in *c = &kase->in[i];
        if (c->absent) continue;
        SKV_TRY(skive_tensor_create(ctx, c->dtype, c->rank, c->dims, &t->in[i]));
        t->ranges[i] = (skv_range){INFINITY, -INFINITY};
        for (int64_t e = 0; e < skive_tensor_count(&t->in[i]); e++) {
            /* Indices and sizes stay those of the case. */
            const bool keep = !skv_dtype_is_float(c->dtype) && !is_small_integer(c->dtype);
            skive_tensor_set(&t->in[i], e, number(c, i, e, keep ? 0 : round));
            const double v = skive_tensor_get(&t->in[i], e);
            t->ranges[i].lo = fmin(t->ranges[i].lo, v);
            t->ranges[i].hi = fmax(t->ranges[i].hi, v);
        }
        if (c->constant) {
            SKV_TRY(skive_graph_add_parameter(t->graph, NULL, &t->in[i], &in[i]));
        } else {
            const skive_type type = skive_type_make(c->dtype, c->rank, c->dims);
            SKV_TRY(skive_graph_add_input(t->graph, NULL, &type, &in[i]));
        }
    }
    for (size_t i = 0; i < kase->n_out; i++) SKV_TRY(skv_graph_new_value(t->graph, NULL, &out[i]));
    SKV_TRY(skv_graph_new_node(t->graph, op->name, op->domain, "the_node", in, kase->n_in, out, kase->n_out, &t->node));
    for (size_t i = 0; i < kase->n_attrs; i++) SKV_TRY(skv_node_set_attr(t->node, &kase->attrs[i]));
    return skive_graph_infer(t->graph);
}

/* A width, so that a record that answers "all numbers" to everything is found. */
static bool check(const skv_op *op, const skv_op_case *kase, int round) {
    skive_context *ctx = skv_test_context();
    trial t = {0};
    const skive_tensor *in[SKV_OP_MAX_IO] = {NULL};
    bool bounded = false, empty = false;
    skive_status status = make(ctx, op, kase, round, &t);
    for (size_t i = 0; i < kase->n_in; i++) {
        in[i] = kase->in[i].absent ? NULL : &t.in[i];
        empty = empty || (in[i] && skive_tensor_count(in[i]) == 0);
    }
    if (status == SKIVE_OK) status = skv_op_evaluate(ctx, t.node, in, kase->n_in, t.out, kase->n_out);
    if (status == SKIVE_OK && !empty) { /* numbers that the op refuses say nothing */
        const skv_range r = skv_output_range(t.node, t.ranges);
        bounded = r.lo > -INFINITY || r.hi < INFINITY;
        for (int64_t e = 0; e < skive_tensor_count(&t.out[0]); e++) {
            const double y = skive_tensor_get(&t.out[0], e);
            if (isnan(y) || (y >= r.lo && y <= r.hi)) continue;
            fail_msg("%s, case \"%s\", round %d: element %lld is %.17g, outside [%.17g, %.17g]", op->name, kase->name,
                     round, (long long)e, y, r.lo, r.hi);
        }
    }
    for (size_t i = 0; i < SKV_OP_MAX_IO; i++) {
        skive_tensor_free(ctx, &t.in[i]);
        skive_tensor_free(ctx, &t.out[i]);
    }
    skive_graph_free(t.graph);
    skv_test_context_end(ctx);
    return bounded;
}

static void ranges_hold(void **state) {
    size_t checked = 0;
    (void)state;
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        bool bounded = false;
        if (!op->range || op->flow) continue;
        for (size_t k = 0; k < op->n_cases; k++)
            for (int round = 0; round < ROUNDS; round++) bounded = check(op, &op->cases[k], round) || bounded;
        if (!bounded) fail_msg("%s: the range says nothing in any case", op->name);
        checked++;
    }
    assert_true(checked > 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranges_hold)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
