/* Kernels of the training step against the op records' references: Winograd's convolutions, BatchNormalization with
 * fused operators, the gradients of biases, pools and rows. The whole file runs again under each lower instruction
 * set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skive/autodiff.h>
#include <skive/exec.h>

#include "exec/plan.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

enum { MAX_OUT = 16 };

static skive_value *param(skv_builder *b, const char *name, int rank, const int64_t *dims, double lo, double hi) {
    skive_context *ctx = b->graph->ctx;
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, (uint64_t)rank * 7 + (uint64_t)dims[0], lo, hi);
    skv_storage *s = NULL;
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, rank, dims, &s));
    memcpy(s->tensor.data, t.data, skive_tensor_bytes(&t));
    skive_tensor_free(ctx, &t);
    skive_value *v = skv_emit_param(b, name, s);
    v->trainable = true;
    return v;
}

/* The outputs of g's plan are those of the reference, bit for bit the same from one run to the next. */
static void compare(skive_context *ctx, const skive_graph *g, const char *kernel, double tolerance) {
    skive_tensor out[3][MAX_OUT]; /* of two runs of the plan, and of the reference */
    size_t found = 0;
    for (int way = 0; way < 2; way++) {
        skive_plan_options o = skive_plan_options_default();
        skive_plan *plan = NULL;
        skive_exec *exec = NULL;
        o.training = true;
        o.reference = way == 1;
        skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
        for (size_t i = 0; way == 0 && i < skive_plan_step_count(plan); i++) {
            skive_plan_step s;
            skive_plan_step_get(plan, i, &s);
            found += s.kernel && strcmp(s.kernel, kernel) == 0;
        }
        for (int run = 2 * way; run < 2 + way; run++) {
            skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
            for (size_t i = 0; i < g->n_inputs; i++) {
                skive_tensor in;
                skv_test_ok(ctx, skive_exec_input(exec, i, &in));
                float *x = in.data;
                for (int64_t k = 0; k < skive_tensor_count(&in); k++) x[k] = (float)skv_rng_normal(5, i, (uint64_t)k);
            }
            skv_test_ok(ctx, skive_exec_run(exec));
            for (size_t i = 0; i < g->n_outputs; i++) {
                skive_tensor view;
                skv_test_ok(ctx, skive_exec_output(exec, i, &view));
                skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &out[run][i]));
            }
            skive_exec_free(exec);
        }
        skive_plan_free(plan);
    }
    for (size_t i = 0; i < g->n_outputs; i++) {
        double top = 0;
        for (int64_t k = 0; k < skive_tensor_count(&out[2][i]); k++)
            top = fmax(top, fabs(skive_tensor_get(&out[2][i], k)));
        skv_test_tensors(&out[0][i], &out[2][i], 0, tolerance * top + 1e-6);
        assert_memory_equal(out[0][i].data, out[1][i].data, skive_tensor_bytes(&out[0][i]));
        for (int k = 0; k < 3; k++) skive_tensor_free(ctx, &out[k][i]);
    }
    for (size_t i = 0; i < skv_kernel_count(); i++) {
        const skv_kernel *k = skv_kernel_at(i);
        if (strcmp(k->name, kernel) == 0 && k->isa <= skv_cpu_isa()) assert_true(found > 0);
    }
}

/* Adds the gradients of sum(y * weight) with respect to all parameters and x, as outputs. */
static void finish(skive_graph *g, skv_builder *b, skive_value *y, skive_value *weight, skive_value *x) {
    skive_value *wrt[MAX_OUT], *gradients[MAX_OUT];
    size_t n = 0;
    skive_value *product = skv_emit(b, "Mul", SKV_IN(y, weight), SKV_NONE);
    skive_value *loss = skv_emit(b, "ReduceSum", SKV_IN(product), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(g->ctx, b->status);
    skv_test_ok(g->ctx, skive_graph_infer(g));
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (g->values[i] && g->values[i]->trainable) wrt[n++] = g->values[i];
    }
    wrt[n++] = x;
    skv_test_ok(g->ctx, skive_autodiff(g, loss, wrt, n, gradients));
    skv_test_ok(g->ctx, skive_graph_add_output(g, y));
    for (size_t i = 0; i < n; i++) skv_test_ok(g->ctx, skive_graph_add_output(g, gradients[i]));
}

static skive_value *input(skive_graph *g, const char *name, int64_t n, int64_t c, int64_t h, int64_t w) {
    const skive_type t = {.dtype = SKIVE_F32, .rank = 4, .dims = {{n, NULL}, {c, NULL}, {h, NULL}, {w, NULL}}};
    skive_value *v = NULL;
    skv_test_ok(g->ctx, skive_graph_add_input(g, name, &t, &v));
    return v;
}

static const struct {
    int64_t n, c, m, h, w, r;
    int64_t pads[4];
    bool bias, relu;
} convolutions[] = {
    {3, 16, 16, 8, 8, 3, {1, 1, 1, 1}, false, false},   {2, 32, 64, 9, 7, 3, {1, 1, 1, 1}, true, false},
    {1, 48, 32, 5, 6, 3, {0, 0, 0, 0}, true, true},     {2, 33, 50, 11, 4, 3, {1, 0, 0, 1}, false, true},
    {2, 36, 33, 7, 6, 3, {1, 1, 1, 1}, true, false},    {2, 65, 49, 7, 6, 3, {1, 1, 1, 1}, false, true},
    {4, 20, 50, 12, 12, 5, {0, 0, 0, 0}, true, false},  {2, 17, 34, 9, 10, 5, {2, 1, 0, 2}, true, true},
    {20, 32, 32, 16, 16, 3, {1, 1, 1, 1}, true, false}, {1, 40, 40, 3, 3, 3, {2, 2, 2, 2}, false, false},
};

static void convolution(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof convolutions / sizeof convolutions[0]; i++) {
        for (int weight = 0; weight < 2; weight++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = NULL;
            skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
            skv_builder b = skv_build(g);
            const int64_t n = convolutions[i].n, c = convolutions[i].c, m = convolutions[i].m, r = convolutions[i].r;
            const int64_t *p = convolutions[i].pads, h = convolutions[i].h, w = convolutions[i].w;
            skive_value *x = input(g, "x", n, c, h, w);
            skive_value *k = input(g, "k", n, m, h + p[0] + p[2] - r + 1, w + p[1] + p[3] - r + 1);
            skive_value *kernel = param(&b, "w", 4, (const int64_t[]){m, c, r, r}, -0.3, 0.3);
            skive_value *bias = convolutions[i].bias ? param(&b, "b", 1, &m, -1, 1) : NULL;
            skive_value *in[3] = {x, kernel, bias}, *y;
            const skv_in_list inputs = {in, bias ? 3 : 2};
            y = skv_emit(&b, "Conv", inputs, SKV_ATTRS(SKV_INTS("pads", p, 4)));
            if (convolutions[i].relu) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
            finish(g, &b, y, k, x);
            const bool small = r == 3 && (c < 32 || m < 32);
            compare(ctx, g, weight && !small ? "conv_winograd_weight_f32_avx512" : "conv_winograd_f32_avx512", 2e-5);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

/* A 1x1 convolution brings the values into blocks where the instruction set has them; with 100 channels the last is
 * partly padding, and 1x1 images are plain matrices. */
static void normalization(void **state) {
    static const int64_t channels[] = {16, 100, 3}, sides[] = {6, 3, 5};
    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int form = 0; form < 4; form++) {
            const bool sum = form % 2, relu = form / 2;
            const int64_t c = channels[i], side = sides[i];
            skive_context *ctx = skv_test_context();
            skive_graph *g = NULL;
            skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
            skv_builder b = skv_build(g);
            skive_value *x = input(g, "x", 20, c, side, side), *k = input(g, "k", 20, c, side, side), *out[5];
            skive_value *w = param(&b, "w", 4, (const int64_t[]){c, c, 1, 1}, -0.3, 0.3);
            skive_value *scale = param(&b, "scale", 1, &c, 0.5, 1.5), *shift = param(&b, "shift", 1, &c, -1, 1);
            skive_value *mean = param(&b, "mean", 1, &c, -1, 1), *variance = param(&b, "variance", 1, &c, 0.5, 1.5);
            mean->trainable = variance->trainable = false;
            skive_value *made = skv_emit(&b, "Conv", SKV_IN(x, w), SKV_NONE);
            skv_emit_n(&b, "BatchNormalization", SKV_IN(made, scale, shift, mean, variance),
                       SKV_ATTRS(SKV_INT("training_mode", 1)), out, 5);
            skive_value *y = out[0];
            if (sum) y = skv_emit(&b, "Add", SKV_IN(y, made), SKV_NONE);
            if (relu) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
            skv_test_ok(ctx, b.status);
            for (int o = 1; o < 5; o++) skv_test_ok(ctx, skive_graph_add_output(g, out[o]));
            finish(g, &b, y, k, x);
            compare(ctx, g, "norm_batch_f32", 1e-5);
            skive_plan_options o = skive_plan_options_default();
            skive_plan *plan = NULL;
            o.training = true;
            skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
            for (size_t s = 0; s < skive_plan_step_count(plan); s++) {
                skive_plan_step step;
                skive_plan_step_get(plan, s, &step);
                assert_false(relu && strncmp(step.op, "Relu", 4) == 0); /* fused both ways */
            }
            skive_plan_free(plan);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

/* Windows apart and overlapping, behind a convolution (blocks) and not (plain). */
static void pooling(void **state) {
    static const int64_t strides[3][2] = {{2, 2}, {1, 2}, {3, 1}};
    (void)state;
    for (int i = 0; i < 6; i++) {
        const int64_t c = 20, side = 9, *stride = strides[i / 2], kernel = 2 + i / 4;
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        skive_value *x = input(g, "x", 3, c, side, side), *from = x;
        skive_value *k = input(g, "k", 3, c, (side - kernel) / stride[0] + 1, (side - kernel) / stride[1] + 1);
        skive_value *w = param(&b, "w", 4, (const int64_t[]){c, c, 1, 1}, -0.3, 0.3);
        if (i % 2) from = skv_emit(&b, "Conv", SKV_IN(x, w), SKV_NONE);
        skive_value *y = skv_emit(&b, "MaxPool", SKV_IN(from),
                                  SKV_ATTRS(SKV_INTS("kernel_shape", ((const int64_t[]){kernel, kernel}), 2),
                                            SKV_INTS("strides", stride, 2)));
        finish(g, &b, y, k, x);
        compare(ctx, g, "pool_max_f32", 1e-5);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static void bias(void **state) {
    (void)state;
    for (int64_t m = 1; m <= 150; m += 1 + m / 2) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        skive_value *x = input(g, "x", 30, 4, 2, 2), *k = input(g, "k", 30, m, 1, 1);
        skive_value *w = param(&b, "w", 2, (const int64_t[]){m, 16}, -1, 1), *c = param(&b, "c", 1, &m, -1, 1);
        skive_value *y = skv_emit(&b, "Gemm", SKV_IN(skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE), w, c),
                                  SKV_ATTRS(SKV_INT("transB", 1)));
        finish(g, &b, y, skv_emit(&b, "Flatten", SKV_IN(k), SKV_NONE), x);
        compare(ctx, g, "sum_to_f32", 1e-5);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* The level is read once, so each cap needs a process of its own. */
static void lower_instruction_sets(void **state) {
    char self[256], command[320];
    (void)state;
    if (getenv("SKIVE_ISA")) return;
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    for (int cap = 0; cap < (int)skv_cpu_isa(); cap++) {
        if (!skv_isa_has(skv_cpu_isa(), (skv_isa)cap) || cap == SKV_ISA_AVX512_VNNI || cap == SKV_ISA_AVX512_BF16)
            continue;
        (void)snprintf(command, sizeof command, "SKIVE_ISA=%s '%s'", skv_isa_name((skv_isa)cap), self);
        assert_int_equal(system(command), 0);
    }
}

/* A first convolution and its MaxPool: the largest elements' places are kept, and the weight's gradient made from them
 * alone. */
static void first_convolution_and_pool(void **state) {
    static const struct {
        int64_t n, c, m, h, w, rows, columns, pool[2];
    } forms[] = {{3, 1, 20, 12, 14, 5, 5, {2, 2}}, {2, 3, 16, 11, 9, 3, 3, {2, 2}}, {5, 2, 5, 13, 16, 7, 8, {2, 3}},
                 {1, 4, 33, 9, 9, 1, 1, {3, 3}},   {2, 1, 40, 10, 8, 3, 1, {1, 2}}, {4, 3, 17, 10, 11, 8, 4, {3, 2}}};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(forms); i++) {
        for (int bias = 0; bias < 2; bias++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = NULL;
            skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
            skv_builder b = skv_build(g);
            const int64_t w[4] = {forms[i].m, forms[i].c, forms[i].rows, forms[i].columns};
            const int64_t oh = (forms[i].h - w[2] + 1) / forms[i].pool[0],
                          ow = (forms[i].w - w[3] + 1) / forms[i].pool[1];
            skive_value *x = input(g, "x", forms[i].n, forms[i].c, forms[i].h, forms[i].w), *wrt[2], *gradients[2];
            skive_value *weight = input(g, "weight", forms[i].n, w[0], oh, ow);
            wrt[0] = param(&b, "w", 4, w, -1, 1);
            wrt[1] = param(&b, "b", 1, w, -1, 1);
            skive_value *y = skv_emit(&b, "Conv", bias ? SKV_IN(x, wrt[0], wrt[1]) : SKV_IN(x, wrt[0]), SKV_NONE);
            const skv_attr_list window =
                SKV_ATTRS(SKV_INTS("kernel_shape", forms[i].pool, 2), SKV_INTS("strides", forms[i].pool, 2));
            y = skv_emit(&b, "MaxPool", SKV_IN(y), window);
            skive_value *product = skv_emit(&b, "Mul", SKV_IN(y, weight), SKV_NONE);
            skive_value *loss = skv_emit(&b, "ReduceSum", SKV_IN(product), SKV_ATTRS(SKV_INT("keepdims", 0)));
            skv_test_ok(ctx, b.status);
            skv_test_ok(ctx, skive_graph_infer(g));
            skv_test_ok(ctx, skive_autodiff(g, loss, wrt, 1 + (size_t)bias, gradients));
            skv_test_ok(ctx, skive_graph_add_output(g, y));
            for (int k = 0; k <= bias; k++) skv_test_ok(ctx, skive_graph_add_output(g, gradients[k]));
            compare(ctx, g, "pool_place_f32", 1e-5);
            compare(ctx, g, "pool_conv_weight_f32", 1e-5);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

/* LayerNormalization and Softmax or its logarithm behind it: rows below, at and beyond a vector, and beyond what is
 * summed at once. */
static void rows(void **state) {
    static const int64_t lengths[] = {1, 3, 16, 33, 50, 100};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (int logarithm = 0; logarithm < 2; logarithm++) {
            const int64_t n = lengths[i];
            skive_context *ctx = skv_test_context();
            skive_graph *g = NULL;
            skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
            skv_builder b = skv_build(g);
            skive_value *x = input(g, "x", 2, 3, 70, n), *k = input(g, "k", 2, 3, 70, n);
            skive_value *scale = param(&b, "scale", 1, &n, 0.5, 1.5), *shift = param(&b, "shift", 1, &n, -1, 1);
            skive_value *y = skv_emit(&b, "LayerNormalization", SKV_IN(x, scale, shift), SKV_NONE);
            y = skv_emit(&b, logarithm ? "LogSoftmax" : "Softmax", SKV_IN(y), SKV_NONE);
            finish(g, &b, y, k, x);
            compare(ctx, g, "rows_gradient_f32", 2e-5);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

/* Softmax and its logarithm over an axis with others behind it: one column, about a vector, beyond a strip. */
static void rows_across(void **state) {
    static const int64_t columns[] = {2, 15, 16, 33, 300};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(columns); i++) {
        for (int form = 0; form < 4; form++) {
            skive_context *ctx = skv_test_context();
            skive_graph *g = NULL;
            skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
            skv_builder b = skv_build(g);
            skive_value *x = input(g, "x", 3, 21, 2, columns[i]), *k = input(g, "k", 3, 21, 2, columns[i]);
            skive_value *y = skv_emit(&b, form & 1 ? "LogSoftmax" : "Softmax", SKV_IN(x),
                                      SKV_ATTRS(SKV_INT("axis", form & 2 ? 1 : -2)));
            finish(g, &b, y, k, x);
            compare(ctx, g, "rows_gradient_f32", 1e-5);
            skive_graph_free(g);
            skv_test_context_end(ctx);
        }
    }
}

/* Gradients of activations, as they come and behind a convolution, whose channels may lie in blocks. */
static void activations(void **state) {
    static const char *const ops[] = {"HardSwish", "LeakyRelu", "Clip", "Clip", "Gelu", "Gelu"};
    const int64_t w[4] = {19, 3, 1, 1};
    (void)state;
    for (int which = 0; which < 12; which++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        const bool behind = which >= 6;
        const int op = which % 6;
        skive_value *x = input(g, "x", 2, behind ? 3 : 19, 9, 7), *k = input(g, "k", 2, 19, 9, 7);
        skive_value *y = behind ? skv_emit(&b, "Conv", SKV_IN(x, param(&b, "w", 4, w, -2, 2)), SKV_NONE) : x;
        skive_value *low = op == 2 ? skv_emit_scalar(&b, SKIVE_F32, -0.5) : NULL,
                    *high = op == 2 || op == 3 ? skv_emit_scalar(&b, SKIVE_F32, 0.75) : NULL;
        const skv_in_list in = op == 2 || op == 3 ? SKV_IN(y, low, high) : SKV_IN(y);
        y = skv_emit(&b, ops[op], in,
                     op == 1   ? SKV_ATTRS(SKV_FLT("alpha", 0.3))
                     : op == 5 ? SKV_ATTRS(SKV_STR("approximate", "tanh"))
                               : SKV_NONE);
        finish(g, &b, y, k, x);
        compare(ctx, g, "element_gradient_f32", 1e-5);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* What was broadcast is summed again: over leading, inner and last axes, and where the operand has fewer. */
static void broadcast_operands(void **state) {
    static const int64_t forms[][4] = {{3, 5, 1, 1}, {1, 5, 1, 1}, {3, 1, 6, 1}, {3, 5, 6, 1},
                                       {3, 1, 1, 7}, {1, 5, 6, 7}, {1, 1, 1, 1}, {1, 1, 1, 7}};
    enum { LEADING = 5 }; /* from here on only leading axes are summed */
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(forms) * 4; i++) {
        const int64_t *dims = forms[i / 4];
        int rank = 4, ones = 0;
        while (ones < 3 && dims[ones] == 1) ones++;
        if (i & 1) rank -= ones;
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        skive_value *x = input(g, "x", 3, 5, 6, 7), *k = input(g, "k", 3, 5, 6, 7);
        skive_value *w = param(&b, "w", rank, dims + 4 - rank, 0.5, 1.5);
        skive_value *y = skv_emit(&b, i & 2 ? "Mul" : "Add", SKV_IN(x, w), SKV_NONE);
        finish(g, &b, y, k, x);
        compare(ctx, g, i / 4 < LEADING ? "reduce_f32" : "sum_to_f32", 1e-5);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* Embeddings: words that occur more than once or never, counted from the end too. */
static void embeddings(void **state) {
    static const int64_t widths[] = {1, 5, 16, 33};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(widths) * 2; i++) {
        const int64_t table[2] = {11, widths[i / 2]}, places[2] = {4, 130};
        int64_t words[4 * 130];
        for (int k = 0; k < 4 * 130; k++) words[k] = k % 7 * 5 % 9 - 3 * (k % 2);
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        const skive_tensor t = skv_tensor_view(SKIVE_I64, 2, places, words);
        skive_value *at = NULL;
        skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &at));
        skive_value *w = param(&b, "w", i & 1 ? 1 : 2, table, -1, 1);
        skive_value *y = skv_emit(&b, "Gather", SKV_IN(w, at), SKV_NONE);
        skive_value *k = i & 1 ? input(g, "k", 1, 1, 4, 130) : input(g, "k", 1, 4, 130, widths[i / 2]);
        finish(g, &b, y, k, k);
        compare(ctx, g, "table_f32", 1e-5);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* Recurrent layers over sequences of different lengths, one of them empty, in each direction. */
static void sequences(void **state) {
    static const char *const ops[] = {"LSTM", "GRU", "RNN"}, *const directions[] = {"forward", "reverse"};
    static const int64_t gates[] = {4, 3, 1};
    enum { STEPS = 7, SAMPLES = 5, IN = 6, HIDDEN = 10 };
    (void)state;
    for (int which = 0; which < 6; which++) {
        const int op = which % 3;
        const int64_t w[3] = {1, gates[op] * HIDDEN, IN}, r[3] = {1, gates[op] * HIDDEN, HIDDEN}, n = SAMPLES,
                      one[1] = {3};
        static const int32_t ends[SAMPLES] = {3, 7, 0, 1, 6};
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        const skive_tensor t = skv_tensor_view(SKIVE_I32, 1, &n, ends);
        skive_value *lengths = NULL, *out[2] = {NULL};
        skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &lengths));
        skive_value *x = input(g, "x", STEPS, SAMPLES, IN, 1), *k = input(g, "k", STEPS, 1, SAMPLES, HIDDEN);
        skive_value *rows = skv_emit(&b, "Squeeze", SKV_IN(x, skv_emit_ints(&b, one, 1)), SKV_NONE);
        (void)skv_emit_n(
            &b, ops[op], SKV_IN(rows, param(&b, "w", 3, w, -0.5, 0.5), param(&b, "r", 3, r, -0.5, 0.5), NULL, lengths),
            SKV_ATTRS(SKV_INT("hidden_size", HIDDEN), SKV_STR("direction", directions[which / 3])), out, 2);
        finish(g, &b, skv_emit(&b, "Add", SKV_IN(out[0], out[1]), SKV_NONE), k, x); /* the last states of all steps */
        compare(ctx, g, "recurrent_train_f32", 1e-5);
        compare(ctx, g, "recurrent_grad_f32", 1e-5);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution),
        cmocka_unit_test(normalization),
        cmocka_unit_test(pooling),
        cmocka_unit_test(bias),
        cmocka_unit_test(rows),
        cmocka_unit_test(rows_across),
        cmocka_unit_test(activations),
        cmocka_unit_test(broadcast_operands),
        cmocka_unit_test(embeddings),
        cmocka_unit_test(sequences),
        cmocka_unit_test(first_convolution_and_pool),
        cmocka_unit_test(lower_instruction_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
