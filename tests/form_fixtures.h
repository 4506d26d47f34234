/* Graphs of random forms, run by the kernels of choice and by the reference alone. Include after cmocka.h. */
#ifndef SKV_TEST_FORM_FIXTURES_H
#define SKV_TEST_FORM_FIXTURES_H

#include <string.h>

#include <skive/exec.h>
#include <skive/onnx.h>

#include "graph/graph.h"
#include "support.h"

/* A small stream of random choices. */
typedef struct dice {
    uint64_t seed, at;
} dice;

static inline int64_t roll(dice *d, int64_t low, int64_t high) {
    return low + (int64_t)skv_rng_below(d->seed, 77, d->at++, (uint64_t)(high - low + 1));
}

static inline skive_value *parameter(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims) {
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, 4, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

/* Output 0 on the inputs given, or on normal numbers. With kernels of choice none may be the reference. */
static inline void run_graph(skive_context *ctx, const skive_graph *g, bool reference, int threads,
                             const skive_tensor *in, skive_tensor *out) {
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
    for (size_t k = 0; k < skive_plan_input_count(plan); k++) {
        skv_test_ok(ctx, skive_exec_input(exec, k, &view));
        if (in) memcpy(view.data, in[k].data, skive_tensor_bytes(&view));
        for (int64_t i = 0; !in && i < skive_tensor_count(&view); i++)
            skive_tensor_set(&view, i, skv_rng_normal(5, k, (uint64_t)i));
    }
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &view, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
}

typedef skive_graph *graph_fn(skive_context *ctx, dice *d);

static inline void check_forms(graph_fn *make, uint64_t forms, double rtol, double atol) {
    for (uint64_t seed = 0; seed < skv_test_rounds(forms); seed++) {
        dice d = {.seed = seed};
        skive_context *ctx = skv_test_context();
        skive_graph *g = make(ctx, &d);
        skive_tensor fast, slow;
        run_graph(ctx, g, false, 1 + (int)(seed % 2), NULL, &fast);
        run_graph(ctx, g, true, 1, NULL, &slow);
        skv_test_tensors(&fast, &slow, rtol, atol);
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

static inline skive_status plan_body(skive_context *ctx, void *user) {
    const model *m = user;
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skive_status status = skive_onnx_parse(ctx, m->bytes, m->n, NULL, NULL, &g);
    if (status == SKIVE_OK) status = skive_plan_create(ctx, g, NULL, &plan);
    skive_plan_free(plan);
    skive_graph_free(g);
    return status;
}

static inline void check_allocations(graph_fn *make, uint64_t forms) {
    for (uint64_t seed = 0; seed < forms; seed++) {
        dice d = {.seed = seed};
        skive_context *ctx = skv_test_context();
        skive_graph *g = make(ctx, &d);
        model m;
        skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &m.bytes, &m.n));
        assert_true(skv_test_walk_allocations(plan_body, &m, 1) > 10);
        skive_onnx_free_bytes(ctx, m.bytes);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

#endif
