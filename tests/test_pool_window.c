/* Pooling of windows and whole planes in f32 gives what the reference gives: of one to three axes, in every layout, at
 * the level of SKIVE_ISA (CTest runs this program once per level). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/onnx.h>

#include "graph/graph.h"
#include "support.h"

#include <cmocka.h>

typedef struct dice {
    uint64_t seed, at;
} dice;

static int64_t roll(dice *d, int64_t low, int64_t high) {
    return low + (int64_t)skv_rng_below(d->seed, 77, d->at++, (uint64_t)(high - low + 1));
}

static skive_value *parameter(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims) {
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, 4, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

/* A pool, behind a convolution of 1x1 (which gives it a layout) or of the input itself. */
static skive_graph *graph_of(skive_context *ctx, dice *d) {
    static const char *const ops[] = {"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"};
    const int rank = (int)roll(d, 3, 5), op = (int)roll(d, 0, 5) % 4;
    const bool conv = rank < 5 && roll(d, 0, 1);
    const size_t spatial = (size_t)rank - 2;
    int64_t x[5] = {roll(d, 1, 2), roll(d, 0, 2) ? roll(d, 1, 40) : 16}, kernel[3], strides[3], dilations[3], pads[6];
    for (size_t a = 0; a < spatial; a++) {
        kernel[a] = roll(d, 1, roll(d, 0, 4) ? 4 : rank == 5 ? 5 : 12);
        strides[a] = roll(d, 1, 3);
        dilations[a] = op == 0 ? roll(d, 1, 2) : 1;
        pads[a] = roll(d, 0, kernel[a] - 1);
        pads[spatial + a] = roll(d, 0, kernel[a] - 1);
        x[2 + a] = (kernel[a] - 1) * dilations[a] + 1 + roll(d, 0, rank == 5 ? 4 : 30);
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

static void run_graph(skive_context *ctx, const skive_graph *g, bool reference, int threads, skive_tensor *out) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    skive_plan_options o = skive_plan_options_default();
    o.reference = reference;
    o.threads = threads;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; !reference && i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        if (strcmp(step.kernel, "reference") == 0) fail_msg("%s runs on the reference", step.op);
    }
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    for (int64_t i = 0; i < skive_tensor_count(&view); i++)
        skive_tensor_set(&view, i, skv_rng_normal(5, 0, (uint64_t)i));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static void as_the_reference(void **unused) {
    (void)unused;
    for (uint64_t seed = 0; seed < skv_test_rounds(200); seed++) {
        dice d = {.seed = seed};
        skive_context *ctx = skv_test_context();
        skive_graph *g = graph_of(ctx, &d);
        skive_tensor fast, slow;
        run_graph(ctx, g, false, 1 + (int)(seed % 2), &fast);
        run_graph(ctx, g, true, 1, &slow);
        skv_test_tensors(&fast, &slow, 1e-5, 1e-5);
        skive_tensor_free(ctx, &fast);
        skive_tensor_free(ctx, &slow);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

typedef struct model {
    void *bytes;
    size_t n;
} model;

static skive_status plan_body(skive_context *ctx, void *user) {
    const model *m = user;
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skive_status status = skive_onnx_parse(ctx, m->bytes, m->n, NULL, NULL, &g);
    if (status == SKIVE_OK) status = skive_plan_create(ctx, g, NULL, &plan);
    skive_plan_free(plan);
    skive_graph_free(g);
    return status;
}

static void any_allocation_may_fail(void **unused) {
    (void)unused;
    for (uint64_t seed = 0; seed < 6; seed++) {
        dice d = {.seed = seed};
        skive_context *ctx = skv_test_context();
        skive_graph *g = graph_of(ctx, &d);
        model m;
        skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &m.bytes, &m.n));
        assert_true(skv_test_walk_allocations(plan_body, &m, 1) > 10);
        skive_onnx_free_bytes(ctx, m.bytes);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
