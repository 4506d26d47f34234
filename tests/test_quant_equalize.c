/* Edits of the float model before quantization: equalization keeps the function, bias absorption does where it may, and
 * ranges without samples come from BatchNormalization or are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/zoo.h>

#include "quant/equalize.h"
#include "support.h"

#include <cmocka.h>

static skive_value *random_param(skv_builder *b, const char *name, uint64_t stream, double spread, int rank,
                                 const int64_t *dims) {
    skv_storage *s = NULL;
    skv_test_ok(b->graph->ctx, skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s));
    const int64_t channels = dims[0], each = skive_tensor_count(&s->tensor) / channels;
    for (int64_t i = 0; i < channels * each; i++) {
        /* Channels of very different sizes. */
        const double size = exp2(spread * (2 * skv_rng_uniform(3, stream, (uint64_t)(i / each)) - 1));
        ((float *)s->tensor.data)[i] = (float)(size * skv_rng_normal(5, stream, (uint64_t)i) / 3);
    }
    return skv_emit_param(b, name, s);
}
#define PARAM(name, stream, ...) \
    random_param(&b, name, stream, 5, sizeof((int64_t[]){__VA_ARGS__}) / 8, (const int64_t[]){__VA_ARGS__})

/* Conv, PRelu, depthwise Conv, Relu, MaxPool, Conv, Relu, Flatten, Gemm; with `limit` the first one is a Clip. */
static skive_graph *network(skive_context *ctx, bool limit) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{1, NULL}, {2, NULL}, {6, NULL}, {6, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "net", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, PARAM("w1", 1, 6, 2, 3, 3), PARAM("b1", 2, 6)), SKV_NONE);
    if (limit)
        y = skv_emit(&b, "Clip", SKV_IN(y, skv_emit_scalar(&b, SKIVE_F32, 0), skv_emit_scalar(&b, SKIVE_F32, 6)),
                     SKV_NONE);
    else
        y = skv_emit(&b, "PRelu", SKV_IN(y, PARAM("slope", 3, 6, 1, 1)), SKV_NONE);
    y = skv_emit(&b, "Conv", SKV_IN(y, PARAM("w2", 4, 6, 1, 2, 2), PARAM("b2", 5, 6)), SKV_ATTRS(SKV_INT("group", 6)));
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    const int64_t two[] = {2, 2}, one[] = {1, 1};
    y = skv_emit(&b, "MaxPool", SKV_IN(y), SKV_ATTRS(SKV_INTS("kernel_shape", two, 2), SKV_INTS("strides", one, 2)));
    y = skv_emit(&b, "Conv", SKV_IN(y, PARAM("w3", 6, 4, 6, 1, 1)), SKV_NONE);
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Gemm", SKV_IN(y, PARAM("w4", 7, 3, 16), PARAM("b4", 8, 3)), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* outputs[n] for an input of random numbers from low on, one apart. */
static void run(skive_context *ctx, const skive_graph *g, double low, float *outputs, int64_t n) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor t;
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &t));
    for (int64_t i = 0; i < skive_tensor_count(&t); i++)
        ((float *)t.data)[i] = (float)(low + skv_rng_uniform(1, 1, (uint64_t)i));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &t));
    assert_int_equal(skive_tensor_count(&t), n);
    memcpy(outputs, t.data, (size_t)n * sizeof *outputs);
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static void expect_same(const float *x, const float *y, int64_t n) {
    double top = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs((double)x[i]));
    assert_true(top > 0.1);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)x[i] - (double)y[i]) <= 1e-5 * top))
            fail_msg("output %lld: %g, not %g", (long long)i, y[i], x[i]);
}

static double largest(const skive_graph *g, const char *name, int64_t channel, int64_t first, int64_t step, int64_t n) {
    const float *x = skv_value_tensor(skive_graph_find_value(g, name))->data;
    double top = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs((double)x[channel * first + i * step]));
    return top;
}

static void equalization_keeps_the_function(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, false);
    skv_normals normals = {0};
    float before[3], after[3];
    (void)state;
    run(ctx, g, -0.5, before, 3);
    const double w1 = largest(g, "w1", 0, 18, 1, 18);
    skv_test_ok(ctx, skv_quant_equalize(ctx, &g, &normals));
    run(ctx, g, -0.5, after, 3);
    expect_same(before, after, 3);
    assert_true(fabs(largest(g, "w1", 0, 18, 1, 18) - w1) > 1e-3 * w1);
    /* Where a channel is computed its weights are as large as where it is read. */
    for (int64_t c = 0; c < 6; c++) {
        const double first = largest(g, "w1", c, 18, 1, 18), depthwise = largest(g, "w2", c, 4, 1, 4);
        const double last = largest(g, "w3", c, 1, 6, 4);
        assert_true(fabs(first / depthwise - 1) < 1e-3);
        assert_true(fabs(depthwise / last - 1) < 1e-3);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A Clip has one limit for all channels: the pair before it stays. */
static void limited_channels_stay(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, true);
    skv_normals normals = {0};
    skv_pairs pairs;
    float before[3], after[3];
    (void)state;
    skv_test_ok(ctx, skv_pairs_find(ctx, g, false, &pairs));
    assert_int_equal(pairs.n, 2);
    assert_int_equal(pairs.n_clipped, 1);
    skv_pairs_free(ctx, &pairs);
    run(ctx, g, -0.5, before, 3);
    const double w1 = largest(g, "w1", 2, 18, 1, 18);
    skv_test_ok(ctx, skv_quant_equalize(ctx, &g, &normals));
    run(ctx, g, -0.5, after, 3);
    expect_same(before, after, 3);
    assert_true(largest(g, "w1", 2, 18, 1, 18) == w1);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* y = w2 relu(w1 x + b1) + b2 with w1 x + b1 always above 2. */
static void absorbed_bias_keeps_the_function(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{1, NULL}, {3, NULL}}};
    float mean[2] = {5, 1}, deviation[2] = {1, 1}, before[2], after[2];
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "net", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Gemm",
                              SKV_IN(x, random_param(&b, "w1", 1, 0, 2, (const int64_t[]){3, 2}),
                                     random_param(&b, "b1", 2, 0, 1, (const int64_t[]){2})),
                              SKV_NONE);
    float *bias = skv_value_tensor(skive_graph_find_value(g, "b1"))->data;
    bias[0] = 6;
    bias[1] = -1;
    char hidden[] = "hidden", none[] = "";
    skv_test_ok(ctx, skv_value_rename(y, hidden));
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Gemm",
                 SKV_IN(y, random_param(&b, "w2", 3, 0, 2, (const int64_t[]){2, 2}),
                        random_param(&b, "b2", 4, 0, 1, (const int64_t[]){2})),
                 SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_normal one = {.value = {hidden, none}, .n = 2, .mean = mean, .deviation = deviation};
    skv_normals normals = {.items = &one, .n = 1}, nothing = {0};
    run(ctx, g, 0, before, 2);
    assert_int_equal(skv_quant_absorb_bias(ctx, &g, &nothing), SKIVE_ERR_UNSUPPORTED);
    skv_test_ok(ctx, skv_quant_absorb_bias(ctx, &g, &normals));
    run(ctx, g, 0, after, 2);
    expect_same(before, after, 2);
    const float *moved = skv_value_tensor(skive_graph_find_value(g, "b1"))->data;
    assert_true(moved[0] == 4 && moved[1] == -1); /* 5 - 3 of 6; 1 - 3 is below 0 */
    assert_true(mean[0] == 3 && mean[1] == 1);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Moments of a cut normal number against sums over many small steps. */
static void cut_normal(void **state) {
    const double cases[][4] = {{0.3, 1.2, 0, INFINITY}, {-2, 0.5, 0, 6}, {4, 9, 0, 6}, {1, 2, -INFINITY, INFINITY}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double mean = cases[i][0], variance = cases[i][1], low = cases[i][2], high = cases[i][3];
        double total = 0, first = 0, second = 0, m, v;
        for (int k = -80000; k <= 80000; k++) {
            const double t = k / 8000.0, p = exp(-t * t / 2);
            const double x = fmin(fmax(mean + sqrt(variance) * t, low), high);
            total += p;
            first += p * x;
            second += p * x * x;
        }
        skv_cut_normal(mean, variance, low, high, &m, &v);
        assert_true(fabs(m - first / total) < 1e-6);
        assert_true(fabs(v - (second / total - first / total * (first / total))) < 1e-5);
    }
}

/* ---- without samples ---- */

static skive_status build(skive_context *ctx, const char *name, skive_graph **g) {
    skive_zoo_options z = skive_zoo_options_default();
    z.rank = 3;
    z.dims[0] = 2;
    z.dims[1] = z.dims[2] = strncmp(name, "lenet", 5) == 0 ? 16 : 8;
    z.classes = 3;
    return skive_zoo_build(ctx, name, &z, g);
}

static skive_status data_free(skive_context *ctx, const char *name, double low, double high, skive_quantize_report *r) {
    skive_graph *g = NULL;
    skive_quantize_options o = skive_quantize_options_default();
    skive_status status = build(ctx, name, &g);
    o.equalize = o.absorb_bias = true;
    o.bias_correction = "analytic";
    o.weights = "int4";
    o.input_low = low;
    o.input_high = high;
    if (status == SKIVE_OK) status = skive_quantize_data_free(ctx, g, &o, r);
    skive_graph_free(g);
    return status;
}

static void ranges_without_samples(void **state) {
    skive_context *ctx = skv_test_context();
    skive_quantize_report r;
    (void)state;
    skv_test_ok(ctx, data_free(ctx, "resnet8:0.25", -1, 2, &r));
    assert_true(r.n_quantized > 8);
    assert_int_equal(r.samples, 0);
    for (size_t i = 0; i < r.n_rows; i++) {
        if (strcmp(r.rows[i].name, "input") == 0) assert_true(r.rows[i].lo == -1 && r.rows[i].hi == 2);
        /* Fresh BatchNormalization: mean 0, deviation 1. */
        if (strcmp(r.rows[i].name, "Relu") == 0) assert_true(r.rows[i].lo == 0 && r.rows[i].hi > 5);
    }
    skive_quantize_report_free(ctx, &r);
    assert_int_equal(data_free(ctx, "resnet8:0.25", 2, -1, &r), SKIVE_ERR_ARGUMENT);
    assert_int_equal(data_free(ctx, "resnet8:0.25", 0, 0, &r), SKIVE_ERR_UNSUPPORTED);
    assert_non_null(strstr(skive_context_message(ctx), "range of the model's inputs"));
    assert_int_equal(data_free(ctx, "lenet5:0.2", 0, 1, &r), SKIVE_ERR_UNSUPPORTED);
    assert_non_null(strstr(skive_context_message(ctx), "BatchNormalization"));
    skv_test_context_end(ctx);
}

static skive_status all(skive_context *ctx, void *user) { return data_free(ctx, user, -1, 1, NULL); }

static void every_allocation_may_fail(void **state) {
    char name[] = "resnet8:0.1";
    (void)state;
    assert_true(skv_test_walk_allocations(all, name, 97) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equalization_keeps_the_function),  cmocka_unit_test(limited_channels_stay),
        cmocka_unit_test(absorbed_bias_keeps_the_function), cmocka_unit_test(cut_normal),
        cmocka_unit_test(ranges_without_samples),           cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
