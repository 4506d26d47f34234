/* Pools with one axis, plain layout and few channels against the reference, and that fast kernels run them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>

#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"

#include <cmocka.h>

typedef struct form {
    const char *op, *kernel;
    skive_dtype dtype;
    int rank;
    int64_t dims[4], window, stride, pad;
} form;

static const form forms[] = {
    {"MaxPool", "pool_window_f32", SKIVE_F32, 3, {2, 5, 37}, 3, 2, 1},
    {"MaxPool", "pool_window_f32", SKIVE_F32, 4, {2, 3, 19, 23}, 3, 2, 1},
    {"MaxPool", "pool_window_f32", SKIVE_F32, 4, {2, 3, 19, 23}, 5, 1, 2},
    {"MaxPool", "pool_window_f32", SKIVE_F32, 4, {1, 3, 20, 31}, 4, 3, 2},
    {"AveragePool", "pool_window_f32", SKIVE_F32, 3, {2, 5, 37}, 3, 2, 1},
    {"GlobalAveragePool", "pool_window_f32", SKIVE_F32, 3, {2, 5, 37}, 0, 0, 0},
    {"MaxPool", "pool_u8", SKIVE_U8, 4, {2, 8, 9, 9}, 3, 2, 1},
    {"MaxPool", "pool_u8", SKIVE_U8, 4, {2, 24, 9, 9}, 2, 2, 0},
    {"MaxPool", "pool_u8", SKIVE_U8, 4, {1, 125, 7, 7}, 3, 1, 1},
};

static skive_tensor result(skive_context *ctx, const skive_graph *g, bool reference, const char *kernel) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor x, y, out;
    bool used = reference;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(plan, i, &s);
        used = used || strcmp(s.kernel, kernel) == 0;
    }
    assert_true(used);
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    for (int64_t k = 0; k < skive_tensor_count(&x); k++)
        skive_tensor_set(&x, k,
                         x.dtype == SKIVE_U8 ? (double)skv_rng_below(5, 1, (uint64_t)k, 256)
                                             : skv_rng_normal(5, 1, (uint64_t)k));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &y));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &y, &out));
    skive_exec_free(exec);
    skive_plan_free(plan);
    return out;
}

static void against_reference(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const form *f = &forms[i];
        const int64_t kernel[2] = {f->window, f->window}, strides[2] = {f->stride, f->stride},
                      pads[4] = {f->pad, f->pad, f->pad, f->pad};
        const size_t axes = (size_t)f->rank - 2;
        const skive_type type = skive_type_make(f->dtype, f->rank, f->dims);
        skive_graph *g = NULL;
        skive_value *x = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
        skv_builder b = skv_build(g);
        const skv_attr_init attrs[3] = {SKV_INTS("kernel_shape", kernel, axes), SKV_INTS("strides", strides, axes),
                                        SKV_INTS("pads", pads, 2 * axes)};
        skive_value *y = skv_emit(&b, f->op, SKV_IN(x), (skv_attr_list){attrs, f->window ? 3 : 0});
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        skive_tensor fast = result(ctx, g, false, f->kernel), slow = result(ctx, g, true, f->kernel);
        const bool exact = strcmp(f->op, "MaxPool") == 0;
        skv_test_tensors(&fast, &slow, exact ? 0 : 1e-6, exact ? 0 : 1e-6);
        skive_tensor_free(ctx, &fast);
        skive_tensor_free(ctx, &slow);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
