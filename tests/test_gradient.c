/* The gradient of a whole network with its loss: against central differences in double, and the fast float kernels
 * against that. Single operators are tested in test_ops.c; here the combination of gradients is tested, values that are
 * used twice, batch statistics in the formula, and that a training plan computes what the graph defines. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/plan.h"
#include "support.h"
#include "train/train.h"

#include <cmocka.h>

enum { N = 3, C = 4, SIDE = 8, CLASSES = 5, MAX_WRT = 16 };

typedef struct network {
    skive_graph *graph;
    skv_builder b;
    skive_value *input, *labels, *logits, *loss, *wrt[MAX_WRT], *gradient[MAX_WRT];
    size_t n_wrt;
    skv_stat_update *updates;
} network;

static skive_value *param(network *n, const char *name, skive_dtype dtype, int rank, const int64_t *dims, double low,
                          double high) {
    skive_context *ctx = n->graph->ctx;
    /* float32 numbers in both, so that the two networks are the same one */
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, 100 + n->n_wrt, low, high), u;
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, rank, dims, &u));
    for (int64_t i = 0; i < skive_tensor_count(&t); i++) skive_tensor_set(&u, i, skive_tensor_get(&t, i));
    skv_test_ok(ctx, skive_graph_add_parameter(n->graph, name, &u, &v));
    skive_tensor_free(ctx, &t);
    skive_tensor_free(ctx, &u);
    if (strncmp(name, "running", 7) == 0) return v;
    skv_test_ok(ctx, skive_value_set_trainable(v, true));
    n->wrt[n->n_wrt++] = v;
    return v;
}

static skive_value *conv(network *n, skive_value *x, skive_dtype dtype, const char *name, int64_t out, int64_t in,
                         int64_t group, int64_t stride) {
    const int64_t dims[4] = {out, in / group, 3, 3}, pads[4] = {1, 1, 1, 1}, strides[2] = {stride, stride};
    return skv_emit(&n->b, "Conv", SKV_IN(x, param(n, name, dtype, 4, dims, -0.5, 0.5)),
                    SKV_ATTRS(SKV_INTS("pads", pads, 4), SKV_INTS("strides", strides, 2), SKV_INT("group", group)));
}

static skive_value *norm(network *n, skive_value *x, skive_dtype dtype, const char *suffix) {
    static const char *const kinds[] = {"scale", "shift", "running.mean", "running.var"};
    const int64_t c[1] = {C};
    skive_value *p[4];
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.%s", kinds[i], suffix);
        p[i] = param(n, name, dtype, 1, c, i == 1 || i == 2 ? -0.5 : 0.5, i == 1 || i == 2 ? 0.5 : 1.5);
    }
    return skv_emit(&n->b, "BatchNormalization", SKV_IN(x, p[0], p[1], p[2], p[3]), SKV_NONE);
}

/* Convolutions plain, depthwise and strided, two normalizations, a branch, two poolings; cross-entropy with smoothing
 * and soft labels together. */
static void build(skive_context *ctx, network *n, skive_dtype dtype) {
    const skive_type x = {.dtype = dtype, .rank = 4, .dims = {{-1, "N"}, {2, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const skive_type y = {.dtype = SKIVE_I64, .rank = 1, .dims = {{-1, "N"}}};
    const int64_t kernel[2] = {2, 2}, f[2] = {CLASSES, C}, k[1] = {CLASSES}, t[2] = {N, CLASSES};
    size_t n_updates = 0;
    *n = (network){0};
    skv_test_ok(ctx, skive_graph_create(ctx, "network", &n->graph));
    skv_test_ok(ctx, skive_graph_add_input(n->graph, "x", &x, &n->input));
    n->b = skv_build(n->graph);
    skive_value *h =
        skv_emit(&n->b, "Relu", SKV_IN(norm(n, conv(n, n->input, dtype, "c1", C, 2, 1, 1), dtype, "1")), SKV_NONE);
    skive_value *branch = norm(n, conv(n, h, dtype, "c2", C, C, C, 1), dtype, "2");
    h = skv_emit(&n->b, "Relu", SKV_IN(skv_emit(&n->b, "Add", SKV_IN(branch, h), SKV_NONE)), SKV_NONE);
    h = skv_emit(&n->b, "MaxPool", SKV_IN(h),
                 SKV_ATTRS(SKV_INTS("kernel_shape", kernel, 2), SKV_INTS("strides", kernel, 2)));
    h = skv_emit(&n->b, "Tanh", SKV_IN(conv(n, h, dtype, "c3", C, C, 1, 2)), SKV_NONE);
    h = skv_emit(&n->b, "Flatten", SKV_IN(skv_emit(&n->b, "GlobalAveragePool", SKV_IN(h), SKV_NONE)), SKV_NONE);
    n->logits = skv_emit(&n->b, "Gemm",
                         SKV_IN(h, param(n, "fc.weight", dtype, 2, f, -1, 1), param(n, "fc.bias", dtype, 1, k, -1, 1)),
                         SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, n->b.status);
    skv_test_ok(ctx, skive_graph_add_output(n->graph, n->logits));
    skv_test_ok(ctx, skv_graph_to_training(ctx, n->graph, &n->updates, &n_updates));
    assert_int_equal(n_updates, 4);
    skv_test_ok(ctx, skive_graph_add_input(n->graph, "labels", &y, &n->labels));
    const size_t learned = n->n_wrt;
    skive_value *teacher = param(n, "teacher", dtype, 2, t, -2, 2);
    n->n_wrt = learned;
    skv_test_ok(ctx, skive_value_set_trainable(teacher, false));
    const skv_loss_args args = {
        .logits = n->logits, .labels = n->labels, .teacher = teacher, .label_smoothing = 0.1, .temperature = 2.5};
    skive_value *hard = skv_loss_find("cross-entropy")->build(&n->b, &args);
    skive_value *soft = skv_teaching_find("kl")->build(&n->b, &args);
    n->loss = skv_emit(&n->b, "Add", SKV_IN(hard, soft), SKV_NONE);
    skv_test_ok(ctx, n->b.status);
    n->wrt[n->n_wrt++] = n->input;
    skv_test_ok(ctx, skive_autodiff(n->graph, n->loss, n->wrt, n->n_wrt, n->gradient));
    skv_test_ok(ctx, skv_graph_remove_output(n->graph, 0));
    skv_test_ok(ctx, skive_graph_add_output(n->graph, n->loss));
    for (size_t i = 0; i < n->n_wrt; i++) skv_test_ok(ctx, skive_graph_add_output(n->graph, n->gradient[i]));
}

static skive_exec *start(skive_context *ctx, const skive_graph *g, bool reference, skive_plan **plan) {
    skive_plan_options o = skive_plan_options_default();
    skive_exec *exec = NULL;
    skive_tensor x, y;
    o.batch = N;
    o.training = true;
    o.reference = reference;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, plan));
    skv_test_ok(ctx, skive_exec_create(ctx, *plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &x));
    skv_test_ok(ctx, skive_exec_input(exec, 1, &y));
    for (int64_t i = 0; i < skive_tensor_count(&x); i++)
        skive_tensor_set(&x, i, (double)(float)skv_rng_normal(9, 0, (uint64_t)i));
    for (int64_t i = 0; i < N; i++) skive_tensor_set(&y, i, (double)((2 * i) % CLASSES));
    return exec;
}

static double loss_now(skive_context *ctx, skive_exec *exec) {
    skive_tensor t;
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &t));
    return skive_tensor_get(&t, 0);
}

/* Where the element that a gradient is for can be written: the plan reads it at each run. */
static skive_tensor place(skive_context *ctx, skive_exec *exec, const skive_value *v) {
    skive_tensor t;
    if (v->storage) return v->storage->tensor;
    skv_test_ok(ctx, skive_exec_input(exec, 0, &t));
    return t;
}

static void whole_gradient_in_double(void **state) {
    skive_context *ctx = skv_test_context();
    network n;
    skive_plan *plan = NULL;
    const double h = 1e-5;
    double largest = 0;
    (void)state;
    skv_test_ok(ctx, skive_context_set_threads(ctx, 1));
    build(ctx, &n, SKIVE_F64);
    skive_exec *exec = start(ctx, n.graph, true, &plan);
    skv_test_ok(ctx, skive_exec_run(exec));
    for (size_t k = 0; k < n.n_wrt; k++) {
        skive_tensor view, gradient, at = place(ctx, exec, n.wrt[k]);
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 1 + k, &view));
        skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &gradient));
        assert_int_equal(skive_tensor_count(&gradient), skive_tensor_count(&at));
        for (int64_t i = 0; i < skive_tensor_count(&at); i++) {
            const double was = skive_tensor_get(&at, i), computed = skive_tensor_get(&gradient, i);
            skive_tensor_set(&at, i, was + h);
            const double above = loss_now(ctx, exec);
            skive_tensor_set(&at, i, was - h);
            const double difference = (above - loss_now(ctx, exec)) / (2 * h);
            skive_tensor_set(&at, i, was);
            largest = fmax(largest, fabs(computed));
            if (!skv_test_close(computed, difference, 1e-6, 1e-8)) {
                fail_msg("element %lld of '%s': the gradient is %.12g, differences give %.12g", (long long)i,
                         n.wrt[k]->name, computed, difference);
            }
        }
        skive_tensor_free(ctx, &gradient);
    }
    assert_true(largest > 0.1);
    skive_exec_free(exec);
    skive_plan_free(plan);
    skv_free(ctx, n.updates);
    skive_graph_free(n.graph);
    skv_test_context_end(ctx);
}

static void fast_kernels_give_the_same_gradient(void **state) {
    skive_context *ctx = skv_test_context();
    network slow, fast;
    skive_plan *plans[2] = {NULL, NULL};
    (void)state;
    build(ctx, &slow, SKIVE_F64);
    build(ctx, &fast, SKIVE_F32);
    skive_exec *a = start(ctx, slow.graph, true, &plans[0]), *b = start(ctx, fast.graph, false, &plans[1]);
    const double expected = loss_now(ctx, a);
    assert_true(skv_test_close(loss_now(ctx, b), expected, 1e-5, 0));
    for (size_t k = 0; k < slow.n_wrt; k++) {
        skive_tensor x, y;
        double largest = 0;
        skv_test_ok(ctx, skive_exec_output(a, 1 + k, &x));
        skv_test_ok(ctx, skive_exec_output(b, 1 + k, &y));
        for (int64_t i = 0; i < skive_tensor_count(&x); i++) largest = fmax(largest, fabs(skive_tensor_get(&x, i)));
        for (int64_t i = 0; i < skive_tensor_count(&x); i++) {
            if (!skv_test_close(skive_tensor_get(&y, i), skive_tensor_get(&x, i), 1e-4, 2e-5 * largest)) {
                fail_msg("element %lld of the gradient of '%s' is %.9g, expected %.9g", (long long)i, slow.wrt[k]->name,
                         skive_tensor_get(&y, i), skive_tensor_get(&x, i));
            }
        }
    }
    skive_exec_free(a);
    skive_exec_free(b);
    skive_plan_free(plans[0]);
    skive_plan_free(plans[1]);
    skv_free(ctx, slow.updates);
    skv_free(ctx, fast.updates);
    skive_graph_free(slow.graph);
    skive_graph_free(fast.graph);
    skv_test_context_end(ctx);
}

/* What lies between and cannot be differentiated is named, with the reason; the graph is as it was. */
static void refused_by_name(void **state) {
    static const struct {
        const char *op, *reason;
    } rows[] = {{"Bernoulli", "it draws at random"}, {"MaxRoiPool", "none is known to skive"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        skive_context *ctx = skv_test_context();
        skive_type type = skive_type_make(SKIVE_F32, 4, (const int64_t[]){1, 1, 2, 2});
        const int64_t shape[] = {1, 1};
        skive_graph *g = NULL;
        skive_value *x, *gradient;
        skive_tensor roi = {0};
        char text[128];
        skv_test_ok(ctx, skive_graph_create(ctx, "refused", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
        skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, (const int64_t[]){1, 5}, &roi));
        skv_storage *storage = NULL;
        skv_test_ok(ctx, skv_storage_from_tensor(ctx, &roi, &storage));
        skv_builder b = skv_build(g);
        skive_value *regions = skv_emit_param(&b, "regions", storage);
        skive_value *y =
            i == 0 ? skv_emit(&b, "Bernoulli", SKV_IN(x), SKV_NONE)
                   : skv_emit(&b, "MaxRoiPool", SKV_IN(x, regions), SKV_ATTRS(SKV_INTS("pooled_shape", shape, 2)));
        y = skv_emit(&b, "ReduceSum", SKV_IN(y), SKV_ATTRS(SKV_INT("keepdims", 0)));
        skv_test_ok(ctx, b.status);
        const uint32_t nodes = g->n_nodes;
        (void)snprintf(text, sizeof text, "no gradient for %s (node '%s_", rows[i].op, rows[i].op);
        const skive_status status = skive_autodiff(g, y, &x, 1, &gradient);
        skv_test_fails(ctx, status, SKIVE_ERR_UNSUPPORTED, text);
        skv_test_fails(ctx, status, SKIVE_ERR_UNSUPPORTED, rows[i].reason);
        assert_int_equal(g->n_nodes, nodes);
        skive_tensor_free(ctx, &roi);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_by_name),
        cmocka_unit_test(whole_gradient_in_double),
        cmocka_unit_test(fast_kernels_give_the_same_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
