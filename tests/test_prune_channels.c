/* Structured pruning: which channels go, by hand; widths; budgets; that the smaller model computes what the larger one
 * does with these channels silent; failures. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <skive/onnx.h>
#include <skive/prune.h>
#include <skive/zoo.h>

#include "prune/prune.h"
#include "support.h"

#include <cmocka.h>

/* x [N, 2] -> 4 neurons -> 2 scores, with these weights. */
static skive_graph *network(skive_context *ctx, const float first[8], const float second[8]) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t in[2] = {1, 2}, w1[2] = {4, 2}, w2[2] = {2, 4};
    skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{in[0], NULL}, {in[1], NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "hand", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skv_storage *s1 = NULL, *s2 = NULL;
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 2, w1, &s1));
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, 2, w2, &s2));
    memcpy(s1->tensor.data, first, 8 * sizeof(float));
    memcpy(s2->tensor.data, second, 8 * sizeof(float));
    skive_value *h = skv_emit(&b, "Gemm", SKV_IN(x, skv_emit_param(&b, "w1", s1)), SKV_ATTRS(SKV_INT("transB", 1)));
    h = skv_emit(&b, "Relu", SKV_IN(h), SKV_NONE);
    h = skv_emit(&b, "Gemm", SKV_IN(h, skv_emit_param(&b, "w2", s2)), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, h));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skv_mark_trainable(g));
    return g;
}

/* Neuron i is made by row i of w1, and read by column i of w2. The slices' sums of magnitudes are
 *     row 0: 2, 1: 4, 2: 1, 3: 8;  column 0: 1, 1: 2, 2: 9, 3: 4
 * so that the mean, the sum and the largest spare neuron 2, and the layer that makes it does not. */
static const float first[8] = {1, -1, 2, 2, 0.5f, 0.5f, -4, 4};
static const float second[8] = {0.5f, 1, -4.5f, 2, 0.5f, -1, 4.5f, 2};

static const char *criterion = "magnitude";

static void expect_rows(skive_context *ctx, const char *granularity, int left, const int *rows) {
    skive_graph *g = network(ctx, first, second);
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report report;
    char params[32];
    (void)snprintf(params, sizeof params, "%g", left / 4.0 + 0.01);
    o.criterion = criterion;
    o.granularity = granularity;
    o.params = params;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &report));
    const skive_tensor *w1 = skv_value_tensor(skive_graph_find_value(g, "w1")),
                       *w2 = skv_value_tensor(skive_graph_find_value(g, "w2"));
    assert_int_equal(w1->dims[0], left);
    assert_int_equal(w2->dims[1], left);
    for (int i = 0; i < left; i++) {
        for (int k = 0; k < 2; k++) {
            assert_true(skive_tensor_get(w1, 2 * i + k) == (double)first[2 * rows[i] + k]);
            assert_true(skive_tensor_get(w2, k * left + i) == (double)second[k * 4 + rows[i]]);
        }
    }
    assert_int_equal(report.removed, 4 - left);
    assert_int_equal(report.removable, 4);
    assert_int_equal(report.before.parameters, 16);
    assert_int_equal(report.after.parameters, 4 * left);
    assert_int_equal(report.n_channels, 2);
    assert_int_equal(report.channels[0].kept, left);
    assert_int_equal(report.channels[1].removable, 0);
    assert_non_null(strstr(report.channels[1].why, "output of the model"));
    skive_prune_report_free(ctx, &report);
    skive_graph_free(g);
}

static void channels_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    /* sums 3, 6, 10, 12 */
    expect_rows(ctx, "channel:sum,multiple=1", 3, (const int[]){1, 2, 3});
    expect_rows(ctx, "channel:mean,multiple=1", 2, (const int[]){2, 3});
    /* largest 2, 4, 9, 8 (of slices of two weights: half of it) */
    expect_rows(ctx, "channel:max,multiple=1", 1, (const int[]){2});
    /* rows alone: 2, 4, 1, 8 */
    expect_rows(ctx, "channel:first,multiple=1", 3, (const int[]){0, 1, 3});
    expect_rows(ctx, "channel:first,multiple=1", 2, (const int[]){1, 3});
    /* to a multiple of 2: of three that would be left, two are */
    expect_rows(ctx, "channel:first,multiple=2", 2, (const int[]){1, 3});
    skv_test_context_end(ctx);
}

/* Squares over all slices: 2.5, 10, 41, 40. */
static void norms_of_groups_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    criterion = "group-norm";
    expect_rows(ctx, "channel:multiple=1", 3, (const int[]){1, 2, 3});
    expect_rows(ctx, "channel:multiple=1", 1, (const int[]){2});
    expect_rows(ctx, "channel:first,multiple=1", 1, (const int[]){3});
    criterion = "magnitude";
    skv_test_context_end(ctx);
}

static void run(skive_context *ctx, const skive_graph *g, const float *x, int64_t n, float *y, int64_t n_out) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor in, out;
    skive_plan_options o = skive_plan_options_default();
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &in));
    assert_int_equal(skive_tensor_count(&in), n);
    memcpy(in.data, x, (size_t)n * sizeof *x);
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &out));
    assert_int_equal(skive_tensor_count(&out), n_out);
    memcpy(y, out.data, (size_t)n_out * sizeof *y);
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* With the columns of w2 that go set to zero, the dense model computes the same. */
static void pruned_equals_masked(void **state) {
    skive_context *ctx = skv_test_context();
    const float x[2] = {0.7f, -1.3f};
    float masked[8], want[2], got[2];
    (void)state;
    memcpy(masked, second, sizeof masked);
    masked[0] = masked[4] = masked[1] = masked[5] = 0; /* neurons 0 and 1 */
    skive_graph *dense = network(ctx, first, masked), *g = network(ctx, first, second);
    skive_prune_options o = skive_prune_options_default();
    o.granularity = "channel:sum,multiple=1";
    o.params = "0.5";
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL));
    run(ctx, dense, x, 2, want, 2);
    run(ctx, g, x, 2, got, 2);
    for (int i = 0; i < 2; i++) assert_true(fabsf(want[i] - got[i]) < 1e-5f);
    skive_graph_free(dense);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void what_cannot_be_is_told(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    static const struct {
        const char *granularity, *macs, *params, *says;
        skive_status status;
    } faults[] = {
        {"channel", NULL, NULL, "no budget", SKIVE_ERR_ARGUMENT},
        {"channel", "0.5", "0.5", "more than one budget", SKIVE_ERR_ARGUMENT},
        {"channel:nope", "0.5", NULL, "nope", SKIVE_ERR_ARGUMENT},
        {"element", "0.5", NULL, "is for the granularity 'channel'", SKIVE_ERR_ARGUMENT},
        {"channel:multiple=1", NULL, "1e-9", "the smallest that can be reached", SKIVE_ERR_GOAL},
        {"channel:multiple=0", NULL, "1e-9", "'w2' (it is an output of the model", SKIVE_ERR_GOAL},
        {"channel", NULL, "1.5", "1.5; it must be a fraction", SKIVE_ERR_ARGUMENT},
        {NULL, NULL, NULL, NULL, SKIVE_OK},
    };
    for (size_t i = 0; faults[i].says; i++) {
        skive_graph *g = network(ctx, first, second);
        skive_prune_options o = skive_prune_options_default();
        skive_prune_report report;
        o.granularity = faults[i].granularity;
        o.macs = faults[i].macs;
        o.params = faults[i].params;
        skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, &report), faults[i].status, faults[i].says);
        assert_int_equal(report.n_layers + report.n_channels, 0);
        assert_int_equal(skv_value_tensor(skive_graph_find_value(g, "w1"))->dims[0], 4); /* as it was */
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static skive_status prune_it(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report report = {0};
    (void)user;
    o.granularity = "channel:multiple=2";
    o.macs = "0.6";
    skive_zoo_options z = skive_zoo_options_default();
    z.rank = 1;
    z.dims[0] = 16;
    z.classes = 3;
    skive_status status = skive_zoo_build(ctx, "mlp:8,8", &z, &g);
    if (status == SKIVE_OK) status = skive_prune(ctx, g, NULL, NULL, &o, &report);
    skive_prune_report_free(ctx, &report);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(prune_it, NULL, 7) > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_by_hand),          cmocka_unit_test(norms_of_groups_by_hand),
        cmocka_unit_test(pruned_equals_masked),      cmocka_unit_test(what_cannot_be_is_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
