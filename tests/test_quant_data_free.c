/* Quantization without samples, by hand: codes and scales of weights by channel, by group and with zero points; dynamic
 * quantization against its definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/quant.h>
#include <skive/zoo.h>

#include "graph/op.h"
#include "graph/graph.h"
#include "support.h"

#include <cmocka.h>

/* y = x w, x [1, 4], w [4, 2]. */
static const float weights[8] = {1, 8, -0.5f, 4, 0.25f, -2, 0.125f, 127};

static skive_graph *product(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[2] = {4, 2};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{1, NULL}, {4, NULL}}};
    skv_storage *s = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "product", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 2, dims, &s));
    memcpy(s->tensor.data, weights, sizeof weights);
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "MatMul", SKV_IN(x, skv_emit_param(&b, "w", s)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static void expect(const char *grid, const char *name, const double *values, size_t n) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = product(ctx);
    skive_quantize_report report;
    skv_test_ok(ctx, skive_quantize_weights(ctx, g, grid, NULL, &report));
    assert_int_equal(report.n_quantized, 1);
    const skive_tensor *t = skv_value_tensor(skive_graph_find_value(g, name));
    assert_non_null(t);
    assert_int_equal(skive_tensor_count(t), n);
    for (size_t i = 0; i < n; i++) {
        if (fabs(skive_tensor_get(t, (int64_t)i) - values[i]) > 1e-6 * fabs(values[i]))
            fail_msg("%s: %s[%zu] is %g, not %g", grid, name, i, skive_tensor_get(t, (int64_t)i), values[i]);
    }
    skive_quantize_report_free(ctx, &report);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

#define EXPECT(grid, name, ...) \
    expect(grid, name, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static void weights_by_hand(void **state) {
    (void)state;
    /* Columns are output channels: the largest magnitudes are 1 and 127. */
    EXPECT("int8:channel,fit=range", "w_scale", 1.0 / 127, 1);
    EXPECT("int8:channel,fit=range", "w_quantized", 127, 8, -64, 4, 32, -2, 16, 127); /* 63.5, 31.75, 15.875 */
    EXPECT("int8:tensor,fit=range", "w_scale", 1);
    EXPECT("int8:tensor,fit=range", "w_quantized", 1, 8, 0, 4, 0, -2, 0, 127); /* ties go to the even code */
    /* Groups of two along the inputs: rows 0 and 1, rows 2 and 3. */
    EXPECT("int8:2,fit=range", "w_scale", 1.0 / 127, 8.0 / 127, 0.25 / 127, 1);
    /* Of groups of three the last has one row. */
    EXPECT("int8:3,fit=range", "w_scale", 1.0 / 127, 8.0 / 127, 0.125 / 127, 1);
    /* From -0.5 to 1 in 255 steps; 0 is step 85. */
    EXPECT("uint8:channel,asymmetric,fit=range", "w_zero_point", 85, 4);
    EXPECT("f16", "w_quantized", 1, 8, -0.5, 4, 0.25, -2, 0.125, 127);
}

/* The same as a convolution: x [1, 4, 1, 1], and w [2, 4, 1, 1], the columns of the matrix. */
static skive_graph *convolution(skive_context *ctx) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t dims[4] = {2, 4, 1, 1};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{1, NULL}, {4, NULL}, {1, NULL}, {1, NULL}}};
    skv_storage *s = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "convolution", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 4, dims, &s));
    for (int i = 0; i < 8; i++) ((float *)s->tensor.data)[i] = weights[i % 4 * 2 + i / 4];
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, skv_emit_param(&b, "w", s)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

static void by_hand(skive_context *ctx, skive_graph *g) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor in, out;
    skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, NULL, NULL));
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    memcpy(in.data, ((const float[]){2, -0.5f, 1, 0.25f}), 4 * sizeof(float));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
    /* 2.5 / 255 a step, 0 is step 51: x is 204, -51, 102 and 25 or 26 (25.5, to even) steps from it. */
    const double x[4] = {204, -51, 102, 26}, codes[8] = {127, 8, -64, 4, 32, -2, 16, 127}, scales[2] = {1.0 / 127, 1};
    for (int c = 0; c < 2; c++) {
        double sum = 0;
        for (int r = 0; r < 4; r++) sum += x[r] * codes[2 * r + c];
        const double want = sum * scales[c] * 2.5 / 255;
        if (fabs(skive_tensor_get(&out, c) - want) > 1e-5 * fabs(want))
            fail_msg("column %d: %g, not %g", c, skive_tensor_get(&out, c), want);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
}

static void dynamic_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    by_hand(ctx, product(ctx));
    by_hand(ctx, convolution(ctx));
    skv_test_context_end(ctx);
}

static skive_graph *network(skive_context *ctx, const char *name) {
    skive_zoo_options z = skive_zoo_options_default();
    skive_graph *g = NULL;
    z.rank = 3;
    z.dims[0] = 1;
    z.dims[1] = z.dims[2] = 28;
    z.classes = 10;
    skv_test_ok(ctx, skive_zoo_build(ctx, name, &z, &g));
    return g;
}

static skive_tensor run(skive_context *ctx, const skive_graph *g, bool reference) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_plan_options o = skive_plan_options_default();
    skive_tensor x, y, out;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    for (int64_t k = 0; k < skive_tensor_count(&x); k++) skive_tensor_set(&x, k, skv_rng_normal(5, 0, (uint64_t)k));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &y));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &y, &out));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return out;
}

/* Whole networks, with groups, padding, strides and both directions: what is computed is near the float network, and
 * the kernels give what the reference gives. */
static void dynamic_networks(void **state) {
    static const char *const names[] = {"lstm", "resnet8", "ds-cnn"};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(names); i++) {
        for (int per_channel = 0; per_channel < 2; per_channel++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = network(ctx, names[i]);
            skive_quantize_options o = skive_quantize_options_default();
            skive_tensor want = run(ctx, g, false);
            double error = 0, power = 0;
            o.per_channel = per_channel;
            skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, &o, NULL));
            skive_tensor y = run(ctx, g, false), slow = run(ctx, g, true);
            skv_test_tensors(&y, &slow, 1e-2, 1e-2);
            for (int64_t k = 0; k < skive_tensor_count(&y); k++) {
                const double e = skive_tensor_get(&y, k) - skive_tensor_get(&want, k);
                error += e * e;
                power += skive_tensor_get(&want, k) * skive_tensor_get(&want, k);
            }
            if (!(error > 0) || error > 0.02 * power) fail_msg("%s: error %g of %g", names[i], error, power);
            skive_tensor_free(ctx, &want);
            skive_tensor_free(ctx, &y);
            skive_tensor_free(ctx, &slow);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

static skive_status quantize_all(skive_context *ctx, void *user) {
    const char *grid = user;
    skive_zoo_options z = skive_zoo_options_default();
    skive_quantize_report report = {0};
    skive_graph *g = NULL;
    z.rank = 1;
    z.dims[0] = 12;
    z.classes = 3;
    skive_status status = skive_zoo_build(ctx, "mlp:8", &z, &g);
    if (status == SKIVE_OK)
        status =
            grid ? skive_quantize_weights(ctx, g, grid, NULL, &report) : skive_quantize_dynamic(ctx, g, NULL, &report);
    skive_quantize_report_free(ctx, &report);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    char grid[] = "uint4:5,asymmetric";
    (void)state;
    assert_true(skv_test_walk_allocations(quantize_all, grid, 3) > 50);
    assert_true(skv_test_walk_allocations(quantize_all, NULL, 3) > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_by_hand),
        cmocka_unit_test(dynamic_by_hand),
        cmocka_unit_test(dynamic_networks),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
