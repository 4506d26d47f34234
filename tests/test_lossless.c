/* Channels that do nothing: by hand, in float32 and in integers, where not a bit may change; intervals by channel hold
 * what the network computes; failures. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <skive/prune.h>

#include "graph/bounds.h"
#include "prune/prune.h"
#include "support.h"

#include <cmocka.h>

static skive_value *param(skive_context *ctx, skv_builder *b, const char *name, skive_dtype type, int rank,
                          const int64_t *dims, const double *values) {
    skv_storage *s = NULL;
    skv_test_ok(ctx, skv_storage_create(ctx, type, rank, dims, &s));
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++) skive_tensor_set(&s->tensor, i, values[i]);
    return skv_emit_param(b, name, s);
}

static skive_graph *graph_of(skive_context *ctx, skive_dtype type, int rank, const int64_t *dims, skive_value **x) {
    skive_graph *g = NULL;
    skive_type t = {.dtype = type, .rank = rank};
    for (int d = 0; d < rank; d++) t.dims[d].size = dims[d];
    skv_test_ok(ctx, skive_graph_create(ctx, "hand", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, x));
    return g;
}

/* x [1, 2] -> 5 neurons with a Relu -> 2 scores. Neuron 0: no weights, bias -1: zero. 1: no weights, bias 2: constant.
 * 2: read with zeros. 3 and 4 do something. */
static skive_graph *network(skive_context *ctx) {
    static const int64_t in[2] = {1, 2}, w1[2] = {5, 2}, b1[1] = {5}, w2[2] = {2, 5}, b2[1] = {2};
    static const double v1[10] = {0, 0, 0, 0, 1, 1, 0.5, -1, 2, 1}, c1[5] = {-1, 2, 0.5, 0, 1},
                        v2[10] = {7, 3, 0, 1, 2, 5, -4, 0, 0.5, -1}, c2[2] = {0.25, -1};
    skive_value *x;
    skive_graph *g = graph_of(ctx, SKIVE_F32, 2, in, &x);
    skv_builder b = skv_build(g);
    skive_value *h = skv_emit(
        &b, "Gemm", SKV_IN(x, param(ctx, &b, "w1", SKIVE_F32, 2, w1, v1), param(ctx, &b, "b1", SKIVE_F32, 1, b1, c1)),
        SKV_ATTRS(SKV_INT("transB", 1)));
    h = skv_emit(&b, "Relu", SKV_IN(h), SKV_NONE);
    h = skv_emit(&b, "Gemm",
                 SKV_IN(h, param(ctx, &b, "w2", SKIVE_F32, 2, w2, v2), param(ctx, &b, "b2", SKIVE_F32, 1, b2, c2)),
                 SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, h));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static void by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int mode = 0; mode < 3; mode++) { /* lossless, with tolerance, zeros */
        skive_graph *g = network(ctx);
        skive_prune_options o = skive_prune_options_default();
        skive_prune_report report;
        o.lossless = mode < 2;
        o.tolerance = mode == 1 ? 1e-6 : 0;
        o.zeros = mode == 2;
        skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &report));
        const skive_tensor *w1 = skv_value_tensor(skive_graph_find_value(g, "w1")),
                           *w2 = skv_value_tensor(skive_graph_find_value(g, "w2")),
                           *b2 = skv_value_tensor(skive_graph_find_value(g, "b2"));
        const int left = mode == 0 ? 3 : 2;
        assert_int_equal(w1->dims[0], left);
        assert_int_equal(w2->dims[1], left);
        assert_true(skive_tensor_get(w1, 2 * (left - 1)) == 2); /* neuron 4 */
        assert_true(skive_tensor_get(w2, left - 2) == 1);       /* of neuron 3 */
        /* 2 times 3 and -4 go into the bias */
        assert_true(fabs(skive_tensor_get(b2, 0) - (mode == 0 ? 0.25 : 6.25)) < 1e-5);
        assert_true(fabs(skive_tensor_get(b2, 1) - (mode == 0 ? -1.0 : -9.0)) < 1e-5);
        assert_int_equal(report.removed, 5 - left);
        assert_int_equal(report.folded, mode != 0);
        assert_int_equal(report.constant, mode == 0);
        skive_prune_report_free(ctx, &report);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* ---- integers ---- */

enum { C = 6, SIDE = 5 };

typedef struct integers {
    double w1[C * 2 * 9], b1[C], w2[C * 9], b2[C], w3[3 * C], b3[3];
} integers;

static skive_value *dequantized(skive_context *ctx, skv_builder *b, skive_value *q, double scale, double zero,
                                skive_dtype type) {
    skive_value *s = param(ctx, b, NULL, SKIVE_F32, 0, NULL, &scale), *z = param(ctx, b, NULL, type, 0, NULL, &zero);
    return skv_emit(b, "DequantizeLinear", SKV_IN(q, s, z), SKV_NONE);
}

static skive_value *layer(skive_context *ctx, skv_builder *b, skive_value *x, double x_scale, int64_t out, int64_t in,
                          int64_t side, int64_t group, const double *w, const double *bias, double y_scale, int pad) {
    const int64_t dims[4] = {out, in, side, side}, pads[4] = {pad, pad, pad, pad};
    const double scale = 0.03125;
    skive_value *wq = dequantized(ctx, b, param(ctx, b, NULL, SKIVE_I8, 4, dims, w), scale, 0, SKIVE_I8),
                *bq = dequantized(ctx, b, param(ctx, b, NULL, SKIVE_I32, 1, dims, bias), scale * x_scale, 0, SKIVE_I32);
    skive_value *y =
        skv_emit(b, "Conv", SKV_IN(x, wq, bq), SKV_ATTRS(SKV_INTS("pads", pads, 4), SKV_INT("group", group)));
    y = skv_emit(b, "Relu", SKV_IN(y), SKV_NONE);
    const double zero = -128;
    skive_value *s = param(ctx, b, NULL, SKIVE_F32, 0, NULL, &y_scale),
                *z = param(ctx, b, NULL, SKIVE_I8, 0, NULL, &zero);
    return skv_emit(b, "QuantizeLinear", SKV_IN(y, s, z), SKV_NONE);
}

/* Convolution of 2 to C channels, depthwise, pointwise to 3 scores a place; all but the last padded. */
static skive_graph *quantized(skive_context *ctx, const integers *v) {
    static const int64_t in[4] = {1, 2, SIDE, SIDE};
    skive_value *x;
    skive_graph *g = graph_of(ctx, SKIVE_I8, 4, in, &x);
    skv_builder b = skv_build(g);
    skive_value *h = dequantized(ctx, &b, x, 0.0625, 3, SKIVE_I8);
    h = layer(ctx, &b, h, 0.0625, C, 2, 3, 1, v->w1, v->b1, 0.125, 1);
    h = dequantized(ctx, &b, h, 0.125, -128, SKIVE_I8);
    h = layer(ctx, &b, h, 0.125, C, 1, 3, C, v->w2, v->b2, 0.25, 1);
    h = dequantized(ctx, &b, h, 0.25, -128, SKIVE_I8);
    h = layer(ctx, &b, h, 0.25, 3, C, 1, 1, v->w3, v->b3, 0.5, 0);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, h));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static double at_random(uint64_t seed, uint64_t i, double lo, double hi) {
    return rint(lo + (hi - lo) * skv_rng_uniform(9, seed, i));
}

static integers numbers(uint64_t seed) {
    integers v;
    uint64_t n = 0;
    for (size_t i = 0; i < SKV_LENGTH(v.w1); i++) v.w1[i] = at_random(seed, n++, -90, 90);
    for (size_t i = 0; i < SKV_LENGTH(v.w2); i++) v.w2[i] = at_random(seed, n++, -90, 90);
    for (size_t i = 0; i < SKV_LENGTH(v.w3); i++) v.w3[i] = at_random(seed, n++, -90, 90);
    for (size_t i = 0; i < C; i++) v.b1[i] = at_random(seed, n++, -3000, 3000);
    for (size_t i = 0; i < C; i++) v.b2[i] = at_random(seed, n++, -3000, 3000);
    for (size_t i = 0; i < 3; i++) v.b3[i] = at_random(seed, n++, -1000, 1000);
    return v;
}

static void run(skive_context *ctx, const skive_graph *g, uint64_t seed, int8_t *y, size_t n) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor in, out;
    skive_plan_options o = skive_plan_options_default();
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    for (int64_t i = 0; i < skive_tensor_count(&in); i++)
        ((int8_t *)in.data)[i] = (int8_t)at_random(seed + 100, (uint64_t)i, -128, 127);
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
    assert_int_equal(skive_tensor_count(&out), n);
    memcpy(y, out.data, n);
    skive_exec_free(exec);
    skive_plan_free(plan);
}

enum { OUT = 3 * SIDE * SIDE };

static skive_prune_report prune_and_compare(skive_context *ctx, const integers *v) {
    skive_graph *before = quantized(ctx, v), *after = quantized(ctx, v);
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report report;
    o.lossless = true;
    skv_test_ok(ctx, skive_prune(ctx, after, NULL, NULL, &o, &report));
    for (uint64_t k = 0; k < 8; k++) {
        int8_t want[OUT], got[OUT];
        run(ctx, before, k, want, OUT);
        run(ctx, after, k, got, OUT);
        assert_memory_equal(want, got, OUT);
    }
    skive_graph_free(before);
    skive_graph_free(after);
    return report;
}

static void zero(double *x, size_t n) { memset(x, 0, n * sizeof *x); }

static void integers_keep_every_bit(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        integers v = numbers(seed);
        skive_prune_report r = prune_and_compare(ctx, &v);
        assert_int_equal(r.removed, 0); /* all of them do something */
        skive_prune_report_free(ctx, &r);

        v.b2[0] = -1e6;    /* never above zero */
        zero(&v.w2[9], 9); /* one number everywhere, which the last bias takes: 1200 steps, 19 of the next */
        v.b2[1] = 1200;
        zero(&v.w1[2 * 18], 18); /* a number that the padding in front of the next layer shows */
        v.b1[2] = 2000;
        v.b2[2] = 0;
        for (int t = 0; t < 9; t++) v.w2[2 * 9 + t] = 20;
        for (int m = 0; m < 3; m++) v.w3[m * C + 3] = 0; /* read with zeros */
        r = prune_and_compare(ctx, &v);
        assert_int_equal(r.removed, 3);
        assert_int_equal(r.folded, 1);
        assert_int_equal(r.constant, 1);
        assert_int_equal(r.channels[0].kept, 3);
        skive_prune_report_free(ctx, &r);
    }
    skv_test_context_end(ctx);
}

/* Channel `to` becomes a copy of `from`, as far as the last layer, which reads both. */
static void make_twin(integers *v, size_t from, size_t to) {
    memcpy(v->w1 + to * 18, v->w1 + from * 18, 18 * sizeof *v->w1);
    memcpy(v->w2 + to * 9, v->w2 + from * 9, 9 * sizeof *v->w2);
    v->b1[to] = v->b1[from];
    v->b2[to] = v->b2[from];
}

/* Channels that give the same become one, behind padding too, whose weights are the sum: if that is an int8. */
static void twins_become_one(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        integers v = numbers(seed);
        for (size_t i = 0; i < SKV_LENGTH(v.w3); i++) v.w3[i] = at_random(seed + 50, i, -42, 42);
        make_twin(&v, 1, 3);
        make_twin(&v, 1, 4);
        skive_prune_report r = prune_and_compare(ctx, &v);
        assert_int_equal(r.removed, 2);
        assert_int_equal(r.merged, 2);
        assert_int_equal(r.channels[0].kept, C - 2);
        skive_prune_report_free(ctx, &r);

        v.w3[1] = 100; /* 100 + 28 is no int8: both stay */
        v.w3[3] = 28;
        v.w2[4 * 9 + 8] += v.w2[4 * 9 + 8] > 0 ? -1 : 1; /* the third is none any more */
        r = prune_and_compare(ctx, &v);
        assert_int_equal(r.removed, 0);
        assert_int_equal(r.merged, 0);
        skive_prune_report_free(ctx, &r);
    }
    skv_test_context_end(ctx);
}

/* In float32 the sum of two weights rounds differently: only with a tolerance. */
static void twins_of_floats_need_a_tolerance(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int tolerance = 0; tolerance < 2; tolerance++) {
        skive_graph *g = network(ctx);
        skive_prune_options o = skive_prune_options_default();
        skive_prune_report report;
        skive_tensor *w1 = &skive_graph_find_value(g, "w1")->storage->tensor,
                     *b1 = &skive_graph_find_value(g, "b1")->storage->tensor;
        for (int64_t k = 0; k < 2; k++) skive_tensor_set(w1, 2 * 4 + k, skive_tensor_get(w1, 2 * 3 + k));
        skive_tensor_set(b1, 4, skive_tensor_get(b1, 3));
        o.lossless = true;
        o.tolerance = tolerance ? 1e-6 : 0;
        skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &report));
        assert_int_equal(report.merged, tolerance);
        const skive_tensor *w2 = skv_value_tensor(skive_graph_find_value(g, "w2"));
        assert_int_equal(w2->dims[1], tolerance ? 1 : 3);
        if (tolerance) {
            assert_true(skive_tensor_get(w2, 0) == 1 + 2);
            assert_true(skive_tensor_get(w2, 1) == 0.5 - 1);
        }
        skive_prune_report_free(ctx, &report);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* All would go: one of a layer stays, and nothing changes. */
static void a_layer_does_not_vanish(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    integers v = numbers(1);
    zero(v.w3, SKV_LENGTH(v.w3));
    skive_prune_report r = prune_and_compare(ctx, &v);
    assert_int_equal(r.removed, C - 1);
    skive_prune_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

/* Down to a budget a quantized network loses the channels of least magnitude; it then computes, bit by bit, what it
 * does with them masked. */
static void quantized_networks_meet_a_budget(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    integers v = numbers(2);
    for (int k = 0; k < 18; k++) v.w1[4 * 18 + k] = k % 2 ? 1 : -1;
    for (int k = 0; k < 9; k++) v.w2[4 * 9 + k] = 1;
    for (int m = 0; m < 3; m++) v.w3[m * C + 4] = 2;
    skive_graph *g = quantized(ctx, &v);
    for (int m = 0; m < 3; m++) v.w3[m * C + 4] = 0;
    skive_graph *masked = quantized(ctx, &v);
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report r;
    o.granularity = "channel:multiple=1";
    o.macs = "0.9";
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &r));
    assert_int_equal(r.removed, 1);
    assert_int_equal(r.channels[0].kept, C - 1);
    assert_int_equal(r.layers[0].count, C * 2 * 9);
    assert_int_equal(r.layers[0].kept, (C - 1) * 2 * 9);
    for (uint64_t k = 0; k < 4; k++) {
        int8_t want[OUT], got[OUT];
        run(ctx, masked, k, want, OUT);
        run(ctx, g, k, got, OUT);
        assert_memory_equal(want, got, OUT);
    }
    skive_prune_report_free(ctx, &r);
    skive_graph_free(g);
    skive_graph_free(masked);
    skv_test_context_end(ctx);
}

/* ---- intervals ---- */

/* Every value of the network, for inputs at the ends of their type too, lies within its interval. */
static void intervals_hold(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        integers v = numbers(seed);
        skive_graph *g = quantized(ctx, &v), *all = quantized(ctx, &v);
        skv_bounds *b = NULL;
        skive_plan *plan = NULL;
        skive_exec *exec = NULL;
        skive_tensor in, out;
        skive_plan_options o = skive_plan_options_default();
        size_t looked = 0, narrow = 0;
        skv_test_ok(ctx, skv_bounds_create(g, &b));
        for (uint32_t i = 0; i < all->n_nodes; i++)
            if (all->nodes[i]->outputs[0]->output_uses == 0)
                skv_test_ok(ctx, skive_graph_add_output(all, all->nodes[i]->outputs[0]));
        o.no_fusion = true;
        skv_test_ok(ctx, skive_plan_create(ctx, all, &o, &plan));
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        for (uint64_t k = 0; k < 4; k++) {
            skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
            for (int64_t i = 0; i < skive_tensor_count(&in); i++) {
                const double x = at_random(seed + k, (uint64_t)i, -128, 127);
                ((int8_t *)in.data)[i] = (int8_t)(k > 1 ? x : x < 0 ? -128 : 127);
            }
            skv_test_ok(ctx, skive_exec_run(exec));
            for (uint32_t i = 0; i < all->n_outputs; i++) {
                const skive_value *value = skive_graph_find_value(g, all->outputs[i]->name);
                skv_test_ok(ctx, skive_exec_output(exec, i, &out));
                const int64_t per = out.rank == 4 ? out.dims[2] * out.dims[3] : 1;
                for (int64_t e = 0; out.rank == 4 && e < skive_tensor_count(&out); e++) {
                    const skv_range r = skv_bounds_at(b, value, 1, e / per % out.dims[1]);
                    assert_true(skive_tensor_get(&out, e) >= r.lo && skive_tensor_get(&out, e) <= r.hi);
                    narrow += isfinite(r.lo) && isfinite(r.hi);
                    looked++;
                }
            }
        }
        assert_true(looked > 1000);
        assert_int_equal(narrow, looked); /* and no interval is without an end */
        skive_exec_free(exec);
        skive_plan_free(plan);
        skv_bounds_free(b);
        skive_graph_free(g);
        skive_graph_free(all);
    }
    skv_test_context_end(ctx);
}

/* ---- failures ---- */

static void what_cannot_go_together(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int i = 0; i < 6; i++) {
        static const char *const says[] = {"zeros",       "a budget",           "a gradual schedule",
                                           "fine-tuning", "it is for lossless", "not by 'kernel'"};
        skive_graph *g = network(ctx);
        skive_prune_options o = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        o.lossless = i != 4;
        o.zeros = i == 0;
        if (i == 1) o.macs = "0.5";
        if (i == 2) o.schedule = "cubic";
        tune.epochs = i == 3;
        if (i == 3) o.finetune = &tune;
        if (i == 4) o.tolerance = 1e-4;
        if (i == 5) o.granularity = "kernel";
        skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, says[i]);
        assert_int_equal(skv_value_tensor(skive_graph_find_value(g, "w1"))->dims[0], 5);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static skive_status prune_it(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report report = {0};
    o.lossless = true;
    o.tolerance = 1e-6;
    skive_status status = skive_graph_copy(ctx, user, &g);
    if (status == SKIVE_OK) status = skive_prune(ctx, g, NULL, NULL, &o, &report);
    skive_prune_report_free(ctx, &report);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_graph *g = network(ctx);
    assert_true(skv_test_walk_allocations(prune_it, g, 7) > 50);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(integers_keep_every_bit),
        cmocka_unit_test(twins_become_one),
        cmocka_unit_test(twins_of_floats_need_a_tolerance),
        cmocka_unit_test(a_layer_does_not_vanish),
        cmocka_unit_test(quantized_networks_meet_a_budget),
        cmocka_unit_test(intervals_hold),
        cmocka_unit_test(what_cannot_go_together),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
