/* What tests of single kernels share: a graph of one node, planned once with the kernel and once with the reference. */
#ifndef SKV_KERNEL_FIXTURES_H
#define SKV_KERNEL_FIXTURES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>

#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

static inline void run_graph(skive_context *ctx, const skive_graph *g, bool reference, const char *kernel,
                             const skive_tensor *given, skive_tensor *out) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_plan_options o = skive_plan_options_default();
    bool used = false;
    o.reference = reference;
    o.no_fusion = true;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        used = used || !kernel || strcmp(step.kernel, kernel) == 0;
    }
    if (!reference && !used) fail_msg("%s was not chosen", kernel ? kernel : "nothing");
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    for (size_t i = 0; i < skive_plan_input_count(plan); i++) {
        skive_tensor x;
        skv_test_ok(ctx, skive_exec_input(exec, i, &x));
        if (given) {
            for (int64_t k = 0; k < skive_tensor_count(&x); k++)
                skive_tensor_set(&x, k, skive_tensor_get(&given[i], k));
            continue;
        }
        for (int64_t k = 0; k < skive_tensor_count(&x); k++)
            skive_tensor_set(&x, k, (skv_dtype_is_float(x.dtype) ? 3 : 90) * skv_rng_normal(5, i, (uint64_t)k));
    }
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_run(exec));
    for (size_t i = 0; i < skive_plan_output_count(plan); i++) {
        skive_tensor y;
        skv_test_ok(ctx, skive_exec_output(exec, i, &y));
        skv_test_ok(ctx, skive_tensor_copy(ctx, &y, &out[i]));
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* Every output of the plan that holds `kernel` (NULL: whichever) against that of the reference, for the inputs given or
 * random ones. */
static inline void check_for(skive_context *ctx, skive_graph *g, const char *kernel, const skive_tensor *given,
                             double rtol, double atol) {
    skive_tensor fast[8] = {{0}}, slow[8] = {{0}};
    run_graph(ctx, g, false, kernel, given, fast);
    run_graph(ctx, g, true, kernel, given, slow);
    for (size_t i = 0; i < skive_graph_output_count(g); i++) {
        skv_test_tensors(&fast[i], &slow[i], rtol, atol);
        skive_tensor_free(ctx, &fast[i]);
        skive_tensor_free(ctx, &slow[i]);
    }
    skive_graph_free(g);
}

static inline void check(skive_context *ctx, skive_graph *g, const char *kernel, double rtol, double atol) {
    check_for(ctx, g, kernel, NULL, rtol, atol);
}

static inline skive_value *input(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims) {
    const skive_type t = skive_type_make(SKIVE_F32, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, NULL, &t, &v));
    return v;
}

static inline skive_value *parameter(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims, double low,
                                     double high) {
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, 9, low, high);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

static inline skive_graph *graph(skive_context *ctx) {
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    return g;
}

/* x [2][channels][5][3], behind a convolution when `blocked`: then it comes in whatever layout that gives. */
static inline skive_value *tensor_of(skive_context *ctx, skive_graph *g, int64_t channels, bool blocked) {
    const int64_t dims[4] = {2, blocked ? 7 : channels, 5, 3}, window[4] = {channels, 7, 1, 1};
    skv_builder b = skv_build(g);
    skive_value *x = input(ctx, g, 4, dims);
    if (blocked) x = skv_emit(&b, "Conv", SKV_IN(x, parameter(ctx, g, 4, window, -1, 1)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    return x;
}

static inline void give(skive_context *ctx, skive_graph *g, skv_builder *b, skive_value *y) {
    skv_test_ok(ctx, b->status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
}

static inline skive_value *any_input(skive_context *ctx, skive_graph *g, skive_dtype dtype, int rank,
                                     const int64_t *dims) {
    const skive_type t = skive_type_make(dtype, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, NULL, &t, &v));
    return v;
}

#endif
