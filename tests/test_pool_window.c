/* Pooling of windows and whole planes in f32 gives what the reference gives: of one to three axes, in every layout, at
 * the level of SKIVE_ISA (CTest runs this program once per level). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "form_fixtures.h"

/* A pool, behind a convolution of 1x1 (which gives it a layout) or of the input itself. */
static skive_graph *graph_of(skive_context *ctx, dice *d) {
    static const char *const ops[] = {"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"};
    const int rank = (int)roll(d, 3, 5), op = (int)roll(d, 0, 5) % 4;
    const bool conv = rank < 5 && roll(d, 0, 1);
    const size_t spatial = (size_t)rank - 2;
    int64_t x[5] = {roll(d, 1, 2), roll(d, 0, 2) ? roll(d, 1, 40) : 16}, kernel[3], strides[3], dilations[3], pads[6];
    const bool one = roll(d, 0, 9) == 0;
    for (size_t a = 0; a < spatial; a++) {
        kernel[a] = roll(d, 1, roll(d, 0, 4) ? 4 : rank == 5 ? 5 : 12);
        strides[a] = roll(d, 1, 3);
        dilations[a] = op == 0 ? roll(d, 1, 2) : 1;
        pads[a] = roll(d, 0, kernel[a] - 1);
        pads[spatial + a] = roll(d, 0, kernel[a] - 1);
        x[2 + a] = (kernel[a] - 1) * dilations[a] + 1 + roll(d, 0, rank == 5 ? 4 : 30);
        if (one) pads[a] = pads[spatial + a] = 0, dilations[a] = 1, x[2 + a] = kernel[a]; /* the window is the plane */
    }
    const int64_t w[4] = {x[1], x[1], 1, 1};
    const skive_type type = skive_type_make(SKIVE_F32, rank, x);
    skive_graph *g = NULL;
    skive_value *y = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &y));
    skv_builder b = skv_build(g);
    if (conv) y = skv_emit(&b, "Conv", SKV_IN(y, parameter(ctx, g, rank, w)), SKV_NONE);
    if (op == 0)
        y = skv_emit(&b, ops[0], SKV_IN(y),
                     SKV_ATTRS(SKV_INTS("kernel_shape", kernel, spatial), SKV_INTS("strides", strides, spatial),
                               SKV_INTS("dilations", dilations, spatial), SKV_INTS("pads", pads, 2 * spatial),
                               SKV_INT("ceil_mode", roll(d, 0, 1))));
    else if (op == 1)
        y = skv_emit(&b, ops[1], SKV_IN(y),
                     SKV_ATTRS(SKV_INTS("kernel_shape", kernel, spatial), SKV_INTS("strides", strides, spatial),
                               SKV_INTS("pads", pads, 2 * spatial), SKV_INT("ceil_mode", roll(d, 0, 1)),
                               SKV_INT("count_include_pad", roll(d, 0, 1))));
    else
        y = skv_emit(&b, ops[op], SKV_IN(y), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void as_the_reference(void **unused) {
    (void)unused;
    check_forms(graph_of, 200, 1e-5, 1e-5);
}

/* Output `which` where one element in eight of every input is NaN or an infinity; also the name of the last
 * step's kernel. */
static void run_odd(skive_context *ctx, const skive_graph *g, bool reference, bool training, size_t which,
                    char step_kernel[64], skive_tensor *out) {
    static const double odd[] = {NAN, -INFINITY, -INFINITY, INFINITY};
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_plan_step step;
    skive_tensor view;
    skive_plan_options o = skive_plan_options_default();
    o.reference = reference;
    o.training = training;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skive_plan_step_get(plan, skive_plan_step_count(plan) - 1, &step);
    snprintf(step_kernel, 64, "%s", step.kernel);
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    for (size_t k = 0; k < skive_plan_input_count(plan); k++) {
        skv_test_ok(ctx, skive_exec_input(exec, k, &view));
        for (int64_t i = 0; i < skive_tensor_count(&view); i++) {
            const uint64_t r = skv_rng_below(9, 10 + k, (uint64_t)i, 32);
            /* the first input goes through a convolution, which would spread what is odd; every fifth line is -inf */
            const bool lowest = k > 0 && i / 40 % 5 == 0 && r >= 4;
            skive_tensor_set(&view, i,
                             k > 0 && r < 4 ? odd[r]
                             : lowest       ? -INFINITY
                                            : skv_rng_normal(5, k, (uint64_t)i));
        }
    }
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, which, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* The largest of windows with NaN is NaN, of windows of -infinity it is that, whichever kernel takes them. */
static void nan_and_infinities(void **unused) {
    (void)unused;
    static const struct {
        const char *op;
        bool training;
        int64_t channels, kernel, stride;
    } list[] = {
        {"MaxPool", false, 16, 2, 2},      {"MaxPool", false, 3, 3, 2},       {"MaxPool", false, 40, 5, 1},
        {"MaxPool", true, 16, 2, 2},       {"MaxPool", true, 3, 3, 2},        {"MaxPool", true, 3, 2, 1},
        {"MaxPool", true, 32, 3, 2},       {"MaxPool", true, 8, 3, 3},        {"GlobalMaxPool", false, 16, 0, 0},
        {"GlobalMaxPool", false, 3, 0, 0}, {"MaxPoolPlace", false, 16, 2, 2}, {"MaxPoolPlace", true, 3, 3, 3},
        {"MaxPoolPlace", true, 8, 2, 2},
    };
    for (size_t c = 0; c < 2 * (sizeof list / sizeof *list); c++) {
        const bool conv = c % 2, place = strcmp(list[c / 2].op, "MaxPoolPlace") == 0;
        const int64_t channels = list[c / 2].channels, kernel[2] = {list[c / 2].kernel, list[c / 2].kernel};
        const int64_t strides[2] = {list[c / 2].stride, list[c / 2].stride}, dims[4] = {2, channels, 20, 18};
        const int64_t w[4] = {channels, channels, 1, 1};
        const skive_type type = skive_type_make(SKIVE_F32, 4, dims);
        const skv_attr_init windows[] = {SKV_INTS("kernel_shape", kernel, 2), SKV_INTS("strides", strides, 2)};
        const skv_attr_init shape[] = {SKV_INTS("pool_shape", kernel, 2)};
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_value *x = NULL, *z = NULL, *y[2] = {NULL, NULL};
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
        skv_test_ok(ctx, skive_graph_add_input(g, "z", &type, &z));
        skv_builder b = skv_build(g);
        if (conv) x = skv_emit(&b, "Conv", SKV_IN(x, parameter(ctx, g, 4, w)), SKV_NONE);
        x = skv_emit(&b, "Add", SKV_IN(x, z), SKV_NONE);
        const skv_attr_list attrs = place                ? (skv_attr_list){shape, 1}
                                    : list[c / 2].kernel ? (skv_attr_list){windows, 2}
                                                         : SKV_NONE;
        (void)skv_emit_n(&b, list[c / 2].op, SKV_IN(x), attrs, y, place ? 2 : 1);
        skv_test_ok(ctx, b.status);
        for (size_t i = 0; i < (place ? 2 : 1); i++) skv_test_ok(ctx, skive_graph_add_output(g, y[i]));
        for (size_t i = 0; i < (place ? 2 : 1); i++) {
            char kernel_name[64], none[64];
            skive_tensor fast, slow;
            run_odd(ctx, g, false, list[c / 2].training, i, kernel_name, &fast);
            run_odd(ctx, g, true, list[c / 2].training, i, none, &slow);
            assert_string_not_equal(kernel_name, "reference");
            skv_test_tensors(&fast, &slow, 1e-5, 1e-5);
            skive_tensor_free(ctx, &fast);
            skive_tensor_free(ctx, &slow);
        }
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static void any_allocation_may_fail(void **unused) {
    (void)unused;
    check_allocations(graph_of, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference),
        cmocka_unit_test(nan_and_infinities),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
