/* Clip is min(max(x, low), high): with low above high everything becomes high, both alone and fused into a convolution
 * or a product, and an absent bound limits nothing, not even infinities. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>

#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"

#include <cmocka.h>

enum { FRONTS = 3 };

static skive_value *parameter(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims) {
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, 9, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

/* A front by number, and Clip behind it. */
static skive_graph *clipped(skive_context *ctx, int front, const float *low, const float *high) {
    static const int64_t image[4] = {2, 3, 6, 6}, kernel[4] = {4, 3, 3, 3}, rows[2] = {2, 20}, matrix[2] = {20, 9};
    const skive_type type = skive_type_make(SKIVE_F32, front == 0 ? 4 : 2, front == 0 ? image : rows);
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = front == 0   ? skv_emit(&b, "Conv", SKV_IN(x, parameter(ctx, g, 4, kernel)), SKV_NONE)
                     : front == 1 ? skv_emit(&b, "Gemm", SKV_IN(x, parameter(ctx, g, 2, matrix)), SKV_NONE)
                                  : skv_emit(&b, "Add", SKV_IN(x, x), SKV_NONE);
    y = skv_emit(&b, "Clip",
                 SKV_IN(y, low ? skv_emit_scalar(&b, SKIVE_F32, (double)*low) : NULL,
                        high ? skv_emit_scalar(&b, SKIVE_F32, (double)*high) : NULL),
                 SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* The graph's output for an input of which the first number is `first`. */
static skive_tensor result(skive_context *ctx, const skive_graph *g, float first, bool fused) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor x, y, out;
    o.no_fusion = !fused;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    for (int64_t k = 0; k < skive_tensor_count(&x); k++)
        ((float *)x.data)[k] = 4 * (float)skv_rng_normal(5, 1, (uint64_t)k);
    ((float *)x.data)[0] = first;
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &y));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &y, &out));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return out;
}

static void crossed(void **unused) {
    static const float bounds[][2] = {{6, 0}, {INFINITY, 1}, {2, -INFINITY}, {3, 2}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (int front = 0; front < FRONTS; front++) {
        for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
            skive_graph *g = clipped(ctx, front, &bounds[i][0], &bounds[i][1]);
            for (int fused = 0; fused < 2; fused++) {
                skive_tensor y = result(ctx, g, 1, fused);
                for (int64_t k = 0; k < skive_tensor_count(&y); k++) assert_true(((float *)y.data)[k] == bounds[i][1]);
                skive_tensor_free(ctx, &y);
            }
            skive_graph_free(g);
        }
    }
    skv_test_context_end(ctx);
}

static void infinity_passes_an_absent_bound(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    const float low = 0;
    for (int front = 0; front < FRONTS; front++) {
        skive_graph *g = clipped(ctx, front, &low, NULL);
        for (int fused = 0; fused < 2; fused++) {
            skive_tensor y = result(ctx, g, INFINITY, fused);
            bool found = false;
            for (int64_t k = 0; k < skive_tensor_count(&y); k++) found = found || isinf(((float *)y.data)[k]);
            assert_true(found);
            skive_tensor_free(ctx, &y);
        }
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crossed),
        cmocka_unit_test(infinity_passes_an_absent_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
