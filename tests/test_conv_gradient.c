/* Convolutions in training and their gradients by input, weight and bias, of many shapes, against the reference; and
 * the loops of the depthwise ones at each level that the CPU has. The file runs again under each lower level; without a
 * library, and at the level of any CPU, skive's own kernels must be chosen. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/autodiff.h>
#include <skive/exec.h>

#include "graph/graph.h"
#include "kernels/depthwise.h"
#include "support.h"

#include <cmocka.h>

typedef struct form {
    int rank;
    int64_t n, in, out, groups;
    int64_t size[2], kernel[2], stride[2], dilation[2], pads[4];
    bool bias;
} form;

static skive_value *input(skive_context *ctx, skive_graph *g, const char *name, int rank, const int64_t *dims) {
    const skive_type t = skive_type_make(SKIVE_F32, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, name, &t, &v));
    return v;
}

static skive_value *parameter(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skive_context *ctx = b->graph->ctx;
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, seed, -0.5, 0.5);
    skv_storage *s = NULL;
    skv_test_ok(ctx, skv_storage_take(ctx, &t, &s));
    skive_value *v = skv_emit_param(b, name, s);
    v->trainable = true;
    return v;
}

enum { MAX_OUT = 4 }; /* y, and the gradients of weight, bias and x */

/* y = Conv(x, w, bias), and the gradients of sum(y * k). */
static skive_graph *graph_of(skive_context *ctx, const form *f) {
    const size_t spatial = (size_t)f->rank - 2;
    const int64_t x_dims[4] = {f->n, f->in, f->size[0], f->size[1]};
    const int64_t w_dims[4] = {f->out, f->in / f->groups, f->kernel[0], f->kernel[1]};
    int64_t y_dims[4];
    skive_graph *g = NULL;
    skive_value *wrt[3], *gradients[3];
    size_t n = 0;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *x = input(ctx, g, "x", f->rank, x_dims);
    wrt[n++] = parameter(&b, "w", f->rank, w_dims, 4);
    if (f->bias) wrt[n++] = parameter(&b, "b", 1, &f->out, 3);
    skive_value *y =
        skv_emit(&b, "Conv", SKV_IN(x, wrt[0], f->bias ? wrt[1] : NULL),
                 SKV_ATTRS(SKV_INT("group", f->groups), SKV_INTS("strides", f->stride, spatial),
                           SKV_INTS("dilations", f->dilation, spatial), SKV_INTS("pads", f->pads, 2 * spatial)));
    wrt[n++] = x;
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_infer(g));
    for (int d = 0; d < f->rank; d++) y_dims[d] = y->type.dims[d].size;
    skive_value *product = skv_emit(&b, "Mul", SKV_IN(y, input(ctx, g, "k", f->rank, y_dims)), SKV_NONE);
    skive_value *loss = skv_emit(&b, "ReduceSum", SKV_IN(product), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_autodiff(g, loss, wrt, n, gradients));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    for (size_t i = 0; i < n; i++) skv_test_ok(ctx, skive_graph_add_output(g, gradients[i]));
    return g;
}

static bool own_kernels(void) { return !SKIVE_ONEDNN || skv_cpu_isa() == SKV_ISA_SCALAR; }

/* All outputs; run twice, of which the bits must be the same. */
static void run_graph(skive_context *ctx, const skive_graph *g, bool reference, const char *kernel, skive_tensor *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    size_t found = 0;
    o.training = true;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(plan, i, &s);
        found += s.kernel && strcmp(s.kernel, kernel) == 0;
    }
    if (!reference && own_kernels()) assert_true(found > 0);
    for (int again = 0; again < 2; again++) {
        skive_exec *exec = NULL;
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        for (size_t i = 0; i < skive_plan_input_count(plan); i++) {
            skive_tensor in;
            skv_test_ok(ctx, skive_exec_input(exec, i, &in));
            for (int64_t k = 0; k < skive_tensor_count(&in); k++)
                skive_tensor_set(&in, k, skv_rng_normal(5, i, (uint64_t)k));
        }
        skv_test_ok(ctx, skive_exec_run(exec));
        for (size_t i = 0; i < skive_graph_output_count(g); i++) {
            skive_tensor view;
            skv_test_ok(ctx, skive_exec_output(exec, i, &view));
            if (again)
                assert_memory_equal(view.data, out[i].data, skive_tensor_bytes(&view));
            else
                skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &out[i]));
        }
        skive_exec_free(exec);
    }
    skive_plan_free(plan);
}

static void check(const form *f, const char *kernel, int threads) {
    skive_context *ctx = skv_test_context();
    skv_test_ok(ctx, skive_context_set_threads(ctx, threads));
    skive_graph *g = graph_of(ctx, f);
    skive_tensor fast[MAX_OUT], slow[MAX_OUT];
    run_graph(ctx, g, false, kernel, fast);
    run_graph(ctx, g, true, kernel, slow);
    for (size_t i = 0; i < skive_graph_output_count(g); i++) {
        double top = 0;
        for (int64_t k = 0; k < skive_tensor_count(&slow[i]); k++) top = fmax(top, fabs(skive_tensor_get(&slow[i], k)));
        skv_test_tensors(&fast[i], &slow[i], 0, 1e-5 * top + 1e-6);
        skive_tensor_free(ctx, &fast[i]);
        skive_tensor_free(ctx, &slow[i]);
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Without 3x3 and 5x5 windows at stride 1 and many channels, which Winograd's kernels take. */
static const form shapes[] = {
    {.size = {5, 7}, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .pads = {0, 0, 0, 0}},
    {.size = {6, 7}, .kernel = {1, 1}, .stride = {2, 2}, .dilation = {1, 1}, .pads = {0, 0, 0, 0}},
    {.size = {11, 9}, .kernel = {3, 3}, .stride = {2, 1}, .dilation = {1, 1}, .pads = {1, 1, 1, 1}},
    {.size = {9, 13}, .kernel = {3, 5}, .stride = {2, 1}, .dilation = {1, 1}, .pads = {0, 1, 2, 3}},
    {.size = {12, 11}, .kernel = {2, 3}, .stride = {1, 2}, .dilation = {3, 2}, .pads = {2, 0, 1, 3}},
    {.size = {8, 9}, .kernel = {2, 4}, .stride = {1, 1}, .dilation = {1, 2}, .pads = {1, 3, 0, 2}},
    {.size = {3, 2}, .kernel = {5, 3}, .stride = {1, 1}, .dilation = {1, 1}, .pads = {4, 3, 3, 4}}, /* all padding */
    {.size = {1, 1}, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .pads = {0, 0, 0, 0}},
    {.size = {23, 29}, .kernel = {3, 3}, .stride = {2, 2}, .dilation = {1, 1}, .pads = {0, 0, 1, 1}},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void each_shape(const char *kernel, const int64_t *in, const int64_t *out, int channels, bool depthwise) {
    for (int which = 0; which < SHAPES * channels * 2; which++) {
        form f = shapes[which % SHAPES];
        f.rank = which / SHAPES % 2 ? 4 : 3;
        f.n = 1 + which % 3;
        f.in = in[which / SHAPES / 2];
        f.out = out[which / SHAPES / 2];
        f.groups = depthwise ? f.in : 1;
        f.bias = which % 4 != 0;
        if (f.rank == 3) f.pads[1] = f.pads[2];
        check(&f, kernel, 1 + which % 2);
    }
}

static void along_rows(void **unused) {
    (void)unused;
    each_shape("conv_rows_gradient_f32", (int64_t[]){1, 3, 5, 16, 19}, (int64_t[]){4, 8, 3, 1, 21}, 5, false);
}

static void depthwise(void **unused) {
    static const int64_t channels[] = {2, 3, 8, 19, 33, 70};
    (void)unused;
    each_shape("conv_depthwise_gradient_f32", channels, channels, 6, true);
}

/* More multiplications than one thread is given, and more rows than a block has. */
static void shared_work(void **unused) {
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        form f = shapes[8];
        f.rank = 4, f.n = 5, f.in = 12, f.out = 40, f.groups = 1, f.bias = true;
        check(&f, "conv_rows_gradient_f32", threads);
        f.n = 2, f.in = f.out = 40, f.groups = 40;
        check(&f, "conv_depthwise_gradient_f32", threads);
        f = shapes[0];
        f.rank = 4, f.n = 33, f.in = 24, f.out = 30, f.groups = 1, f.size[0] = f.size[1] = 2;
        check(&f, "conv_rows_gradient_f32", threads);
    }
}

/* The loops of every level give what those of any CPU give, but for the rounding of sums. */
static void loops(void **unused) {
    enum { MOST = 90, POSITIONS = 9, TAPS = 5 };
    static float x[TAPS * (POSITIONS + 1) * 2 * MOST], w[TAPS * MOST], dy[POSITIONS * MOST], bias[MOST];
    static float y[2][POSITIONS * MOST + 1], dw[2][MOST + 1];
    (void)unused;
    const skv_depthwise_loops *plain = skv_depthwise_of(SKV_ISA_SCALAR), *own = skv_depthwise_of(skv_cpu_isa());
    for (int i = 0; i < TAPS * (POSITIONS + 1) * 2 * MOST; i++) x[i] = (float)skv_rng_normal(1, 1, (uint64_t)i);
    for (int i = 0; i < TAPS * MOST; i++) w[i] = (float)skv_rng_normal(1, 2, (uint64_t)i);
    for (int i = 0; i < POSITIONS * MOST; i++) dy[i] = (float)skv_rng_normal(1, 3, (uint64_t)i);
    for (int i = 0; i < MOST; i++) bias[i] = (float)i;
    for (int64_t channels = 1; channels <= MOST; channels++) {
        const float *x_at[TAPS], *w_at[TAPS];
        for (int t = 0; t < TAPS; t++) x_at[t] = x + t * (POSITIONS + 1) * 2 * MOST, w_at[t] = w + t * MOST;
        for (int64_t positions = 1; positions <= POSITIONS; positions += 4) {
            for (int level = 0; level < 2; level++) {
                const skv_depthwise_run r = {.positions = positions,
                                             .channels = channels,
                                             .x_step = 2 * channels,
                                             .taps = TAPS,
                                             .x = x_at,
                                             .w = w_at,
                                             .bias = bias,
                                             .y = y[level]};
                const skv_depthwise_sums s = {.positions = positions,
                                              .channels = channels,
                                              .x_step = 2 * channels,
                                              .x = x,
                                              .dy = dy,
                                              .dw = dw[level]};
                y[level][positions * channels] = dw[level][channels] = -7; /* must stay */
                memcpy(dw[level], bias, (size_t)channels * sizeof(float));
                (level ? own : plain)->run(&r);
                (level ? own : plain)->sums(&s);
            }
            skv_test_floats(y[1], y[0], (size_t)(positions * channels) + 1, 1e-5, 1e-5);
            skv_test_floats(dw[1], dw[0], (size_t)channels + 1, 1e-5, 1e-5);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(along_rows),
        cmocka_unit_test(depthwise),
        cmocka_unit_test(shared_work),
        cmocka_unit_test(loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
