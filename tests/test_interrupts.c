/* A signal may arrive at any moment, and its handler runs on the stack of the interrupted thread: no kernel may have
 * moved the stack pointer elsewhere. A handler without an alternate stack runs every 300 us and checks that it is on
 * its thread's stack; networks of the zoo and single operators run and train meanwhile, and must give the bits of an
 * undisturbed run. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <skive/autodiff.h>
#include <skive/exec.h>
#include <skive/zoo.h>

#include "exec/plan.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"

#include <cmocka.h>

enum { MAX_OUT = 256, THREADS = 1 };

static char *stack_low, *stack_high;
static volatile sig_atomic_t ticks, strays;

static void tick(int number) {
    char here;
    (void)number;
    ticks++;
    if (&here < stack_low || &here >= stack_high) strays++;
}

static void find_stack(void) {
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;
    assert_int_equal(pthread_getattr_np(pthread_self(), &attr), 0);
    assert_int_equal(pthread_attr_getstack(&attr, &low, &size), 0);
    (void)pthread_attr_destroy(&attr);
    stack_low = low;
    stack_high = stack_low + size;
}

static void set_timer(long microseconds) {
    const struct itimerval t = {{0, microseconds}, {0, microseconds}};
    assert_int_equal(setitimer(ITIMER_REAL, &t, NULL), 0);
}

static void fill(skive_exec *exec, const skive_graph *g) {
    for (size_t i = 0; i < g->n_inputs; i++) {
        skive_tensor in;
        assert_int_equal(skive_exec_input(exec, i, &in), SKIVE_OK);
        const int64_t n = skive_tensor_count(&in);
        for (int64_t k = 0; k < n; k++) {
            if (in.dtype == SKIVE_F32)
                ((float *)in.data)[k] = (float)skv_rng_normal(3, i, (uint64_t)k);
            else
                ((int64_t *)in.data)[k] = (int64_t)skv_rng_below(3, i, (uint64_t)k, 7);
        }
    }
}

/* Runs the plan quietly and then under the timer until several ticks have come. */
static void under_timer(skive_context *ctx, const skive_graph *g, bool training) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    void *quiet[MAX_OUT] = {NULL};
    o.training = training;
    o.threads = THREADS;
    skv_test_ok(ctx, skive_context_set_threads(ctx, THREADS)); /* the stack that is known is that of this thread */
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    assert_true(g->n_outputs <= MAX_OUT);
    const sig_atomic_t before = ticks;
    for (int round = 0; round < 60 && (round < 3 || ticks - before < 6); round++) {
        fill(exec, g);
        if (round > 0) set_timer(300);
        const skive_status status = skive_exec_run(exec);
        set_timer(0);
        skv_test_ok(ctx, status);
        assert_int_equal(strays, 0);
        for (size_t i = 0; i < g->n_outputs; i++) {
            skive_tensor out;
            skv_test_ok(ctx, skive_exec_output(exec, i, &out));
            const size_t bytes = skive_tensor_bytes(&out);
            if (round == 0) {
                quiet[i] = malloc(bytes + 1);
                assert_non_null(quiet[i]);
                memcpy(quiet[i], out.data, bytes);
            } else {
                assert_memory_equal(out.data, quiet[i], bytes);
            }
        }
    }
    for (size_t i = 0; i < MAX_OUT; i++) free(quiet[i]);
    skive_exec_free(exec);
    skive_plan_free(plan);
}

static skive_value *normal_param(skv_builder *b, const char *name, int rank, const int64_t *dims) {
    skive_context *ctx = b->graph->ctx;
    skv_storage *s = NULL;
    skv_test_ok(ctx, skv_storage_create(ctx, SKIVE_F32, rank, dims, &s));
    float *w = s->tensor.data;
    for (int64_t k = 0; k < skive_tensor_count(&s->tensor); k++) w[k] = (float)skv_rng_normal(4, 1, (uint64_t)k) * 0.1f;
    skive_value *v = skv_emit_param(b, name, s);
    v->trainable = true;
    return v;
}

static skive_value *f32_input(skive_context *ctx, skive_graph *g, const char *name, int rank, const int64_t *dims) {
    skive_type type = {.dtype = SKIVE_F32, .rank = rank};
    skive_value *v = NULL;
    for (int d = 0; d < rank; d++) type.dims[d].size = dims[d];
    skv_test_ok(ctx, skive_graph_add_input(g, name, &type, &v));
    return v;
}

/* ---- convolutions: the kinds that direct kernels serve and those they do not ---- */

typedef struct conv_form {
    int64_t c, m, groups, side, kernel, stride, dilation, pad;
} conv_form;

static const conv_form convs[] = {
    {1, 6, 1, 28, 5, 1, 1, 2},    {3, 16, 1, 32, 3, 1, 1, 1},  {6, 16, 1, 14, 5, 1, 1, 0},  {20, 50, 1, 12, 5, 1, 1, 0},
    {16, 32, 1, 16, 3, 2, 1, 1},  {64, 64, 1, 14, 3, 1, 1, 1}, {64, 32, 1, 16, 1, 1, 1, 0}, {10, 12, 1, 16, 3, 1, 1, 1},
    {32, 32, 32, 16, 3, 1, 1, 1}, {32, 32, 4, 16, 3, 1, 1, 1}, {12, 12, 4, 16, 3, 2, 1, 1}, {12, 24, 2, 16, 1, 1, 1, 0},
    {5, 7, 1, 16, 3, 1, 2, 2},    {8, 4, 1, 8, 3, 1, 1, 3},    {3, 6, 3, 16, 3, 1, 1, 1},   {1, 1, 1, 30, 9, 3, 1, 4},
    {3, 64, 1, 64, 7, 2, 1, 3},   {4, 4, 1, 8, 8, 1, 1, 0},
};

static skive_graph *conv_graph(skive_context *ctx, const conv_form *f, const char *op) {
    skive_graph *g = NULL;
    const int64_t out = (f->side + 2 * f->pad - f->dilation * (f->kernel - 1) - 1) / f->stride + 1;
    const int64_t x[4] = {2, f->c, f->side, f->side}, w[4] = {f->m, f->c / f->groups, f->kernel, f->kernel},
                  y[4] = {2, f->m, out, out}, strides[2] = {f->stride, f->stride},
                  dilations[2] = {f->dilation, f->dilation}, pads[4] = {f->pad, f->pad, f->pad, f->pad};
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *vx = f32_input(ctx, g, "x", 4, x), *vw = normal_param(&b, "w", 4, w), *out_value = NULL;
    const skv_attr_init attrs[] = {SKV_INT("group", f->groups), SKV_INTS("strides", strides, 2),
                                   SKV_INTS("dilations", dilations, 2), SKV_INTS("pads", pads, 4)};
    skive_value *in[3] = {vx, vw, NULL};
    if (strcmp(op, "Conv") != 0) {
        in[0] = f32_input(ctx, g, "dy", 4, y);
        in[1] = strcmp(op, "ConvGradInput") == 0 ? vw : vx;
        in[2] = strcmp(op, "ConvGradInput") == 0 ? vx : vw;
    }
    (void)skv_emit_n(&b, op, (skv_in_list){in, in[2] ? 3 : 2}, (skv_attr_list){attrs, 4}, &out_value, 1);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, out_value));
    return g;
}

static void convolutions(void **unused) {
    static const char *const ops[] = {"Conv", "ConvGradInput", "ConvGradWeight"};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof convs / sizeof convs[0]; i++) {
        for (int op = 0; op < 3; op++) {
            skive_graph *g = conv_graph(ctx, &convs[i], ops[op]);
            under_timer(ctx, g, op > 0);
            skive_graph_free(g);
        }
    }
    skv_test_context_end(ctx);
}

/* ---- products, recurrent layers ---- */

static void products(void **unused) {
    static const int64_t sizes[][3] = {{1, 10, 784}, {32, 300, 784}, {128, 100, 300}, {7, 5, 3}, {64, 64, 600}};
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int form = 0; form < 4; form++) {
            const int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
            const int64_t a[2] = {form & 1 ? k : m, form & 1 ? m : k}, b[2] = {form & 2 ? n : k, form & 2 ? k : n};
            skive_graph *g = NULL;
            skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
            skv_builder build = skv_build(g);
            skive_value *x = f32_input(ctx, g, "x", 2, a), *w = normal_param(&build, "w", 2, b);
            skive_value *y = skv_emit(&build, "Gemm", SKV_IN(x, w),
                                      SKV_ATTRS(SKV_INT("transA", form & 1), SKV_INT("transB", form >> 1)));
            skv_test_ok(ctx, build.status);
            skv_test_ok(ctx, skive_graph_add_output(g, y));
            under_timer(ctx, g, false); /* constant weights */
            under_timer(ctx, g, true);  /* weights in training */
            skive_graph_free(g);
        }
    }
    skv_test_context_end(ctx);
}

static void recurrent(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    const int64_t x[3] = {6, 16, 24}, w[3] = {1, 128, 24}, r[3] = {1, 128, 32}, y[4] = {6, 1, 16, 32};
    for (int gradient = 0; gradient < 2; gradient++) {
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        skive_value *in[11] = {f32_input(ctx, g, "x", 3, x), normal_param(&b, "w", 3, w), normal_param(&b, "r", 3, r)};
        skive_value *out[7] = {NULL};
        const skv_attr_init hidden[] = {SKV_INT("hidden_size", 32)};
        if (gradient) in[8] = f32_input(ctx, g, "dy", 4, y);
        (void)skv_emit_n(&b, gradient ? "LSTMGrad" : "LSTM", (skv_in_list){in, gradient ? 11 : 8},
                         (skv_attr_list){hidden, 1}, out, gradient ? 7 : 3);
        skv_test_ok(ctx, b.status);
        for (int i = 0; i < 3; i++) skv_test_ok(ctx, skive_graph_add_output(g, out[i]));
        under_timer(ctx, g, true);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* ---- the zoo ---- */

typedef struct zoo_form {
    const char *spec;
    int rank;
    int64_t dims[3];
} zoo_form;

/* The gradients of every parameter become outputs. */
static void differentiate(skive_context *ctx, skive_graph *g) {
    skive_value *wrt[MAX_OUT], *gradients[MAX_OUT];
    size_t n = 0;
    skv_builder b = skv_build(g);
    skive_value *loss = skv_emit(&b, "ReduceMean", SKV_IN(g->outputs[0]), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(ctx, b.status);
    for (uint32_t i = 0; i < g->n_values && n + 1 < MAX_OUT; i++)
        if (g->values[i]->storage && g->values[i]->trainable) wrt[n++] = g->values[i];
    skv_test_ok(ctx, skive_autodiff(g, loss, wrt, n, gradients));
    for (size_t i = 0; i < n; i++) skv_test_ok(ctx, skive_graph_add_output(g, gradients[i]));
}

static void networks(void **unused) {
    static const zoo_form forms[] = {
        {"mlp:64,32", 1, {100}},
        {"lenet5", 3, {1, 28, 28}},
        {"resnet20:0.5", 3, {3, 32, 32}},
        {"mobilenet:0.25", 3, {3, 32, 32}},
        {"vgg-small:0.25", 3, {3, 32, 32}},
        {"lstm", 2, {12, 8}},
        {"gru", 2, {12, 8}},
    };
    (void)unused;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        for (int training = 0; training < 2; training++) {
            skive_zoo_options z = skive_zoo_options_default();
            skive_graph *g = NULL;
            int64_t dims[4] = {8};
            z.rank = forms[i].rank;
            for (int d = 0; d < z.rank; d++) dims[d + 1] = z.dims[d] = forms[i].dims[d];
            skv_test_ok(ctx, skive_zoo_build(ctx, forms[i].spec, &z, &g));
            skv_test_ok(ctx, skive_graph_bind_input(g, g->inputs[0]->name, z.rank + 1, dims));
            if (training) differentiate(ctx, g);
            under_timer(ctx, g, training);
            skive_graph_free(g);
        }
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(recurrent),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(networks),
    };
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = tick; /* without SA_ONSTACK */
    action.sa_flags = SA_RESTART;
    find_stack();
    if (sigaction(SIGALRM, &action, NULL) != 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
