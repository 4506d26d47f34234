/* Convolutions at the level of any CPU, where no library serves: along rows, over planes and depthwise, of many shapes,
 * with what is fused to them, against the reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/choices.h>
#include <skive/exec.h>

#include "exec/choices.h"
#include "exec/plan.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

typedef struct conv_form {
    int rank;
    int64_t in, out, groups;
    int64_t size[2], kernel[2], stride[2], dilation[2], pads[4];
    int tail; /* 0: nothing, 1: Relu, 2: Add, 3: Add and Clip, 4: HardSwish, 5: LeakyRelu */
    bool bias;
} conv_form;

static skive_value *input(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims) {
    const skive_type t = skive_type_make(SKIVE_F32, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, NULL, &t, &v));
    return v;
}

static skive_value *parameter(skive_context *ctx, skive_graph *g, int rank, const int64_t *dims, uint64_t seed) {
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, seed, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

/* Two convolutions: the second takes what the first gave in its own layout. */
static skive_graph *graph_of(skive_context *ctx, const conv_form *f) {
    const int spatial = f->rank - 2;
    const int64_t x[4] = {2, f->in, f->size[0], f->size[1]},
                  w[4] = {f->out, f->in / f->groups, f->kernel[0], f->kernel[1]}, last[4] = {3, f->out, 1, 1};
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *bias = f->bias ? parameter(ctx, g, 1, &f->out, 3) : NULL, *y;
    skive_value *in = input(ctx, g, f->rank, x);
    y = skv_emit(&b, "Conv", SKV_IN(in, parameter(ctx, g, f->rank, w, 4), bias),
                 SKV_ATTRS(SKV_INT("group", f->groups), SKV_INTS("strides", f->stride, (size_t)spatial),
                           SKV_INTS("dilations", f->dilation, (size_t)spatial),
                           SKV_INTS("pads", f->pads, 2 * (size_t)spatial)));
    skv_test_ok(ctx, b.status);
    if (f->tail == 2 || f->tail == 3) {
        int64_t dims[4];
        for (int d = 0; d < f->rank; d++) dims[d] = y->type.dims[d].size;
        y = skv_emit(&b, "Add", SKV_IN(y, input(ctx, g, f->rank, dims)), SKV_NONE);
    }
    if (f->tail == 1) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    if (f->tail == 3)
        y = skv_emit(&b, "Clip", SKV_IN(y, skv_emit_scalar(&b, SKIVE_F32, -0.5), skv_emit_scalar(&b, SKIVE_F32, 0.75)),
                     SKV_NONE);
    if (f->tail == 4) y = skv_emit(&b, "HardSwish", SKV_IN(y), SKV_NONE);
    if (f->tail == 5) y = skv_emit(&b, "LeakyRelu", SKV_IN(y), SKV_ATTRS(SKV_FLT("alpha", 0.25)));
    y = skv_emit(&b, "Conv", SKV_IN(y, parameter(ctx, g, f->rank, last, 5)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* This kernel for the first convolution, wherever another one would be chosen. */
static void force(skive_context *ctx, const skive_graph *g, const char *kernel) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_kernel_choices *c = NULL;
    char op[32], own[40], usual[] = "the usual one";
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skv_alloc_array(ctx, 1, sizeof *c, &c));
    c->ctx = ctx;
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].is_reorder) continue;
        (void)snprintf(op, sizeof op, "%s", plan->steps[i].node->op_type);
        (void)snprintf(own, sizeof own, "%s", kernel);
        const skv_choice entry = {plan->steps[i].choice_key, op, own, usual, 0.001, 0.002};
        skv_test_ok(ctx, skv_choice_add(c, &entry));
        break;
    }
    skv_test_ok(ctx, skive_context_use_choices(ctx, c));
    skive_kernel_choices_free(c);
    skive_plan_free(plan);
}

static void run_graph(skive_context *ctx, const skive_graph *g, bool reference, const char *kernel, double first,
                      skive_tensor *out) {
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_plan_options o = skive_plan_options_default();
    bool used = false;
    o.reference = reference;
    if (!reference) force(ctx, g, kernel);
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        used = used || strcmp(step.kernel, kernel) == 0;
        if (!reference && strcmp(step.op, "Reorder") != 0) assert_non_null(strstr(step.op, "Conv")); /* all is fused */
    }
    if (!reference && !used) fail_msg("%s was not chosen", kernel);
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    for (size_t i = 0; i < skive_plan_input_count(plan); i++) {
        skive_tensor x;
        skv_test_ok(ctx, skive_exec_input(exec, i, &x));
        for (int64_t k = 0; k < skive_tensor_count(&x); k++) skive_tensor_set(&x, k, skv_rng_normal(5, i, (uint64_t)k));
        if (i == 0) skive_tensor_set(&x, 0, first);
    }
    skv_test_ok(ctx, skive_exec_run(exec));
    skive_tensor y;
    skv_test_ok(ctx, skive_exec_output(exec, 0, &y));
    skv_test_ok(ctx, skive_tensor_copy(ctx, &y, out));
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static void check(const conv_form *f, const char *kernel) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = graph_of(ctx, f);
    skive_tensor fast, slow;
    run_graph(ctx, g, false, kernel, 0.5, &fast);
    run_graph(ctx, g, true, kernel, 0.5, &slow);
    skv_test_tensors(&fast, &slow, 1e-4, 2e-5);
    skive_tensor_free(ctx, &fast);
    skive_tensor_free(ctx, &slow);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

enum { SHAPES = 9 };
static const conv_form shapes[SHAPES] = {
    {.size = {5, 7}, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .pads = {0, 0, 0, 0}},
    {.size = {6, 7}, .kernel = {1, 1}, .stride = {2, 2}, .dilation = {1, 1}, .pads = {0, 0, 0, 0}},
    {.size = {11, 9}, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .pads = {1, 1, 1, 1}},
    {.size = {9, 13}, .kernel = {3, 5}, .stride = {2, 1}, .dilation = {1, 1}, .pads = {0, 1, 2, 3}},
    {.size = {12, 11}, .kernel = {2, 3}, .stride = {1, 2}, .dilation = {3, 2}, .pads = {2, 0, 1, 3}},
    {.size = {3, 2}, .kernel = {5, 3}, .stride = {1, 1}, .dilation = {1, 1}, .pads = {4, 3, 3, 4}}, /* all padding */
    {.size = {1, 1}, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .pads = {0, 0, 0, 0}},
    {.size = {23, 29}, .kernel = {3, 3}, .stride = {2, 2}, .dilation = {1, 1}, .pads = {0, 0, 1, 1}},
    {.size = {5, 21}, .kernel = {1, 6}, .stride = {2, 2}, .dilation = {1, 1}, .pads = {0, 7, 0, 3}}, /* along lines */
};

static void each_shape(const char *kernel, const int64_t *in, const int64_t *out, int channels, bool depthwise,
                       bool planes) {
    for (int which = 0; which < SHAPES * channels * 2; which++) {
        conv_form f = shapes[which % SHAPES];
        f.rank = which / SHAPES % 2 ? 4 : 3;
        f.in = in[which / SHAPES / 2];
        f.out = out[which / SHAPES / 2];
        f.groups = depthwise ? f.in : 1;
        f.tail = which % 6;
        f.bias = which % 5 != 0;
        if (f.rank == 3) f.pads[1] = f.pads[2];
        /* Over planes: windows, and positions of which few are in vain. */
        const int a = f.rank - 3;
        const int64_t reach = (f.kernel[a] - 1) * f.dilation[a],
                      last = (f.size[a] + f.pads[a] + f.pads[f.rank - 2 + a] - reach - 1) / f.stride[a] + 1;
        if (!planes || (f.kernel[0] > 1 && 3 * (f.kernel[a] - 1) <= last)) check(&f, kernel);
    }
}

static void along_rows(void **unused) {
    (void)unused;
    each_shape("conv_rows_f32", (int64_t[]){1, 3, 5, 16, 19, 40}, (int64_t[]){4, 8, 3, 1, 21, 33}, 6, false, false);
}

static void depthwise(void **unused) {
    static const int64_t channels[] = {2, 3, 4, 7, 8, 19, 32};
    (void)unused;
    each_shape("conv_depthwise_f32", channels, channels, 7, true, false);
}

static void over_planes(void **unused) {
    (void)unused;
    each_shape("conv_planes_f32", (int64_t[]){1, 3, 5, 16, 19, 32}, (int64_t[]){4, 8, 3, 1, 21, 33}, 6, false, true);
}

static void grouped(void **unused) {
    static const int64_t channels[][3] = {{4, 8, 4}, {6, 6, 3}, {40, 16, 2}, {66, 4, 2}, {9, 45, 3}};
    static const char *const kernels[] = {"conv_columns_f32", "conv_planes_f32"};
    (void)unused;
    for (int i = 0; i < 5 * SHAPES; i++) {
        conv_form f = shapes[i % SHAPES];
        const int64_t *c = channels[i / SHAPES];
        f.rank = 4, f.in = c[0], f.out = c[1], f.groups = c[2], f.tail = i % 6, f.bias = i % 4 != 0;
        for (int k = 0; k < 2; k++)
            if (k == 0 || f.in / f.groups <= 32) check(&f, kernels[k]);
    }
}

/* NaN goes through every activation that is fused. */
static void nan_is_kept(void **unused) {
    (void)unused;
    for (int which = 0; which < 18; which++) {
        static const char *const kernels[] = {"conv_depthwise_f32", "conv_rows_f32", "conv_planes_f32"};
        conv_form f = shapes[2];
        f.rank = 4, f.in = f.out = 8, f.groups = which < 6 ? 8 : 1, f.tail = which % 6, f.bias = true;
        skive_context *ctx = skv_test_context();
        skive_graph *g = graph_of(ctx, &f);
        skive_tensor y;
        run_graph(ctx, g, false, kernels[which / 6], NAN, &y);
        assert_true(isnan(skive_tensor_get(&y, 0)));
        skive_tensor_free(ctx, &y);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(along_rows), cmocka_unit_test(depthwise),   cmocka_unit_test(over_planes),
        cmocka_unit_test(grouped),    cmocka_unit_test(nan_is_kept),
    };
    setenv("SKIVE_ISA", "scalar", 1); /* read once, at the first plan */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
