/* Tests that the cases in the op records cannot express: conversion of old forms of operators, the channels that a
 * convolution couples, costs, and the integer operators against an independent computation on random numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <skive/coupling.h>
#include <skive/exec.h>

#include "base/base.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

static skive_value *input(skive_graph *g, skive_dtype dtype, int rank, const int64_t *dims) {
    skive_type t = skive_type_make(dtype, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(g->ctx, skive_graph_add_input(g, NULL, &t, &v));
    return v;
}

static skive_value *parameter(skive_graph *g, skive_dtype dtype, int rank, const int64_t *dims, uint64_t seed,
                              double lo, double hi) {
    skive_tensor t = skv_test_random(g->ctx, dtype, rank, dims, seed, lo, hi);
    skive_value *v = NULL;
    skv_test_ok(g->ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(g->ctx, &t);
    return v;
}

/* The graph's single output from its single input, node by node through the references. */
static skive_tensor run_graph(skive_graph *g, const skive_tensor *x) {
    skive_context *ctx = g->ctx;
    skive_node **order = NULL;
    skive_tensor *t = NULL, result = {0};
    skv_test_ok(ctx, skv_graph_topo(g, &order));
    skv_test_ok(ctx, skv_alloc_array(ctx, g->n_values, sizeof *t, &t));
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const skive_tensor *in[SKV_OP_MAX_IO] = {NULL};
        skive_tensor out[SKV_OP_MAX_IO] = {{0}};
        const skive_node *n = order[k];
        for (uint32_t i = 0; i < n->n_inputs; i++) {
            const skive_value *v = n->inputs[i];
            if (v) in[i] = v->storage ? &v->storage->tensor : v->is_input ? x : &t[v->id];
        }
        skv_test_ok(ctx, skv_op_evaluate(ctx, n, in, n->n_inputs, out, n->n_outputs));
        for (uint32_t o = 0; o < n->n_outputs; o++)
            if (n->outputs[o]) t[n->outputs[o]->id] = out[o];
    }
    skv_test_ok(ctx, skive_tensor_copy(ctx, &t[g->outputs[0]->id], &result));
    for (uint32_t i = 0; i < g->n_values; i++) skive_tensor_free(ctx, &t[i]);
    skv_free(ctx, t);
    skv_free(ctx, order);
    return result;
}

/* ---- old forms ---- */

/* Before opset 13 all axes from `axis` on were one row. */
static void check_old_softmax(int rank, const int64_t *dims, int64_t axis, bool ranked, uint32_t nodes) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "old", &g));
    skive_value *x = input(g, SKIVE_F32, ranked ? rank : -1, dims), *y = NULL;
    skive_node *n = NULL;
    skv_test_ok(ctx, skv_graph_new_value(g, "y", &y));
    skv_test_ok(ctx, skv_graph_new_node(g, "Softmax", "", "soft", &x, 1, &y, 1, &n));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    if (axis != 1) skv_test_ok(ctx, skive_node_set_int(n, "axis", axis));
    skv_test_ok(ctx, n->op->import(g, n, 11));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_graph_check(g));
    assert_int_equal(g->n_nodes, nodes);
    assert_int_equal(g->n_outputs, 1);
    assert_string_equal(g->outputs[0]->name, "y");
    skive_tensor in = skv_test_random(ctx, SKIVE_F32, rank, dims, 3, -2, 2), out = run_graph(g, &in);
    assert_true(skv_tensor_same_shape(&in, &out));
    int64_t row = 1, count = skive_tensor_count(&in);
    for (int a = (int)(axis < 0 ? axis + rank : axis); a < rank; a++) row *= dims[a];
    for (int64_t first = 0; first < count; first += row) {
        double sum = 0.0;
        for (int64_t i = 0; i < row; i++) sum += exp(skive_tensor_get(&in, first + i));
        for (int64_t i = 0; i < row; i++)
            assert_true(skv_test_close(skive_tensor_get(&out, first + i), exp(skive_tensor_get(&in, first + i)) / sum,
                                       1e-6, 1e-6));
    }
    skive_tensor_free(ctx, &in);
    skive_tensor_free(ctx, &out);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void test_softmax_of_old_opsets(void **state) {
    (void)state;
    check_old_softmax(2, (const int64_t[]){3, 4}, 1, true, 1);       /* the same */
    check_old_softmax(4, (const int64_t[]){2, 5, 1, 1}, 1, true, 1); /* the same along axis 1 */
    check_old_softmax(3, (const int64_t[]){2, 3, 4}, -1, true, 1);
    check_old_softmax(3, (const int64_t[]){2, 3, 4}, 1, true, 4); /* Flatten, Softmax, Shape, Reshape */
    check_old_softmax(3, (const int64_t[]){2, 3, 4}, 0, true, 4);
    check_old_softmax(3, (const int64_t[]){2, 3, 4}, 1, false, 4); /* the rank is not known */
}

static void test_dropout_of_old_opsets(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "old", &g));
    skive_value *x = input(g, SKIVE_F32, 1, (const int64_t[]){4}), *y = NULL;
    skive_node *n = NULL;
    skv_test_ok(ctx, skv_graph_new_value(g, "y", &y));
    skv_test_ok(ctx, skv_graph_new_node(g, "Dropout", "", "drop", &x, 1, &y, 1, &n));
    skv_test_ok(ctx, skive_node_set_float(n, "ratio", 0.25));
    skv_test_ok(ctx, n->op->import(g, n, 10));
    assert_int_equal(n->n_attrs, 0);
    assert_int_equal(n->n_inputs, 2);
    assert_true(skive_tensor_get(skv_value_tensor(n->inputs[1]), 0) == 0.25);
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_graph_check(g));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Exporters of old opsets listed the outputs of training though nobody read them. */
static void test_batch_normalization_of_old_opsets(void **state) {
    (void)state;
    for (int read = 0; read < 2; read++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_value *in[5], *out[3];
        skive_node *n = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "old", &g));
        in[0] = input(g, SKIVE_F32, 3, (const int64_t[]){2, 3, 4});
        for (int i = 1; i < 5; i++) in[i] = parameter(g, SKIVE_F32, 1, (const int64_t[]){3}, (uint64_t)i, 0.5, 1);
        for (int i = 0; i < 3; i++) skv_test_ok(ctx, skv_graph_new_value(g, NULL, &out[i]));
        skv_test_ok(ctx, skv_graph_new_node(g, "BatchNormalization", "", "norm", in, 5, out, 3, &n));
        skv_test_ok(ctx, skive_node_set_int(n, "spatial", 1));
        skv_test_ok(ctx, skive_graph_add_output(g, out[0]));
        if (read) skv_test_ok(ctx, skive_graph_add_output(g, out[1]));
        uint32_t values = g->n_values;
        skv_test_ok(ctx, n->op->import(g, n, 8));
        assert_int_equal(n->n_outputs, read ? 2 : 1);
        assert_int_equal(g->n_values, values - (read ? 1 : 2));
        assert_int_equal(skv_attr_int(n, "training_mode", 0), read);
        assert_null(skv_node_attr(n, "spatial"));
        skv_test_ok(ctx, skive_graph_infer(g));
        skv_test_ok(ctx, skive_graph_check(g));
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* ---- coupling and cost ---- */

typedef struct conv_net {
    skive_context *ctx;
    skive_graph *g;
    skive_value *x, *w1, *w2, *w3, *h1, *h2;
} conv_net;

/* 1x1 convolution to `channels`, a grouped 3x3 one, and a 1x1 one to two outputs. */
static conv_net make_net(int64_t channels, int64_t groups, int64_t out) {
    conv_net n = {.ctx = skv_test_context()};
    skv_test_ok(n.ctx, skive_graph_create(n.ctx, "net", &n.g));
    n.x = input(n.g, SKIVE_F32, 4, (const int64_t[]){1, 3, 8, 8});
    n.w1 = parameter(n.g, SKIVE_F32, 4, (const int64_t[]){channels, 3, 1, 1}, 1, -1, 1);
    n.w2 = parameter(n.g, SKIVE_F32, 4, (const int64_t[]){out, channels / groups, 3, 3}, 2, -1, 1);
    n.w3 = parameter(n.g, SKIVE_F32, 4, (const int64_t[]){2, out, 1, 1}, 3, -1, 1);
    skv_builder b = skv_build(n.g);
    n.h1 = skv_emit(&b, "Conv", SKV_IN(n.x, n.w1), SKV_NONE);
    n.h2 = skv_emit(&b, "Conv", SKV_IN(n.h1, n.w2), SKV_ATTRS(SKV_INT("group", groups)));
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(n.h2, n.w3), SKV_NONE);
    skv_test_ok(n.ctx, b.status);
    skv_test_ok(n.ctx, skive_graph_add_output(n.g, y));
    return n;
}

/* The slices that go with channel `index` of `axis` of `v`, as a count of those of `of` along `of_axis`. */
static int partners(const skive_coupling *c, const skive_value *v, int axis, int64_t index, const skive_value *of,
                    int of_axis) {
    for (size_t k = 0; k < skive_coupling_count(c); k++) {
        const skive_channel_slice *s;
        size_t n;
        int family, count = 0;
        bool here = false;
        skive_coupling_get(c, k, &s, &n, &family);
        for (size_t i = 0; i < n; i++) {
            here = here || (s[i].value == v && s[i].axis == axis && s[i].index == index);
            count += s[i].value == of && s[i].axis == of_axis;
        }
        if (here) return count;
    }
    return -1;
}

static void test_coupling_of_convolutions(void **state) {
    (void)state;
    skive_coupling *c = NULL;
    conv_net dense = make_net(4, 1, 6), depthwise = make_net(4, 4, 8), grouped = make_net(4, 2, 6);

    skv_test_ok(dense.ctx, skive_coupling_create(dense.g, &c));
    assert_int_equal(partners(c, dense.w1, 0, 1, dense.w2, 1), 1);
    assert_int_equal(partners(c, dense.w1, 0, 1, dense.w2, 0), 0);
    assert_int_equal(partners(c, dense.w2, 0, 5, dense.w3, 1), 1);
    assert_non_null(skive_coupling_why_fixed(c, dense.w3, 0, 0)); /* the graph's output */
    assert_non_null(skive_coupling_why_fixed(c, dense.w1, 1, 0)); /* the graph's input */
    skive_coupling_free(c);

    skv_test_ok(depthwise.ctx, skive_coupling_create(depthwise.g, &c));
    assert_int_equal(partners(c, depthwise.w1, 0, 2, depthwise.w2, 0), 2); /* filters 4 and 5 */
    assert_int_equal(partners(c, depthwise.w2, 0, 4, depthwise.w1, 0), 1);
    assert_int_equal(partners(c, depthwise.w2, 0, 4, depthwise.w3, 1), 2);
    skive_coupling_free(c);

    skv_test_ok(grouped.ctx, skive_coupling_create(grouped.g, &c));
    assert_int_equal(partners(c, grouped.w1, 0, 0, grouped.w1, 0), 2); /* channel 0 of both groups */
    assert_int_equal(partners(c, grouped.w1, 0, 0, grouped.w2, 1), 1);
    assert_int_equal(partners(c, grouped.w2, 0, 1, grouped.w2, 0), 2); /* filter 1 of both groups */
    assert_int_equal(partners(c, grouped.w2, 0, 1, grouped.w3, 1), 2);
    skive_coupling_free(c);

    skive_cost cost;
    skv_test_ok(grouped.ctx, skive_graph_cost(grouped.g, &cost));
    assert_int_equal(cost.macs, 8 * 8 * 4 * 3 + 6 * 6 * 6 * 2 * 9 + 6 * 6 * 2 * 6);

    conv_net *all[] = {&dense, &depthwise, &grouped};
    for (int i = 0; i < 3; i++) {
        skive_graph_free(all[i]->g);
        skv_test_context_end(all[i]->ctx);
    }
}

/* ---- the integer convolution, pixel by pixel ---- */

static uint8_t requantize(int64_t v, double multiplier, int zero_point, int lo, int hi) {
    double t = (double)((float)v * (float)multiplier), down = floor(t), r = down;
    if (t - down > 0.5 || (t - down == 0.5 && fmod(down, 2.0) != 0.0)) r = down + 1;
    r += zero_point;
    return (uint8_t)(r < lo ? lo : r > hi ? hi : r);
}

static void test_integer_convolution(void **state) {
    (void)state;
    enum { N = 2, C = 6, M = 4, G = 2, H = 5, W = 7, K = 3, OH = 5, OW = 4, PAD = 1, ZERO = 113, YZ = 9 };
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "q", &g));
    skive_value *x = input(g, SKIVE_U8, 4, (const int64_t[]){N, C, H, W});
    skive_value *w = parameter(g, SKIVE_I8, 4, (const int64_t[]){M, C / G, K, K}, 1, -128, 127);
    skive_value *b = parameter(g, SKIVE_I32, 1, (const int64_t[]){M}, 2, -3000, 3000);
    const double multiplier[M] = {(double)0.011f, (double)0.0009765625f, 0.25, (double)0.0031f};
    skv_builder build = skv_build(g);
    skive_value *y =
        skv_emit(&build, "QConv", SKV_IN(x, w, b),
                 SKV_ATTRS(SKV_INT("group", G), SKV_INTS("pads", ((const int64_t[]){1, 1, 1, 1}), 4),
                           SKV_INTS("strides", ((const int64_t[]){1, 2}), 2), SKV_FLTS("multiplier", multiplier, M),
                           SKV_INT("x_zero_point", ZERO), SKV_INT("y_zero_point", YZ), SKV_INT("clamp_lo", YZ),
                           SKV_INT("clamp_hi", 240)));
    skv_test_ok(ctx, build.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skive_tensor in = skv_test_random(ctx, SKIVE_U8, 4, (const int64_t[]){N, C, H, W}, 5, 0, 255),
                 out = run_graph(g, &in);
    const uint8_t *xs = in.data, *ys = out.data;
    const int8_t *ws = w->storage->tensor.data;
    const int32_t *bs = b->storage->tensor.data;
    assert_int_equal(skive_tensor_count(&out), N * M * OH * OW);
    for (int n = 0; n < N; n++)
        for (int m = 0; m < M; m++)
            for (int oh = 0; oh < OH; oh++)
                for (int ow = 0; ow < OW; ow++) {
                    int64_t acc = bs[m];
                    for (int c = 0; c < C / G; c++)
                        for (int kh = 0; kh < K; kh++)
                            for (int kw = 0; kw < K; kw++) {
                                int ih = oh + kh - PAD, iw = 2 * ow + kw - PAD, ic = m / (M / G) * (C / G) + c;
                                if (ih < 0 || ih >= H || iw < 0 || iw >= W) continue;
                                acc += (int64_t)(xs[((n * C + ic) * H + ih) * W + iw] - ZERO) *
                                       ws[((m * (C / G) + c) * K + kh) * K + kw];
                            }
                    assert_int_equal(ys[((n * M + m) * OH + oh) * OW + ow],
                                     requantize(acc, multiplier[m], YZ, YZ, 240));
                }
    skive_tensor_free(ctx, &in);
    skive_tensor_free(ctx, &out);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Sums that may leave 32 bits are refused by name. */
static void test_integer_sums_are_bounded(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    const int64_t k = 70000, xd[] = {1, k}, wd[] = {1, k};
    const double one = 1.0;
    skv_test_ok(ctx, skive_graph_create(ctx, "q", &g));
    skive_value *x = input(g, SKIVE_U8, 2, xd), *w = parameter(g, SKIVE_I8, 2, wd, 1, 127, 127.4);
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "QGemm", SKV_IN(x, w), SKV_ATTRS(SKV_FLTS("multiplier", &one, 1)));
    skv_test_ok(ctx, b.status);
    skive_tensor in = skv_test_random(ctx, SKIVE_U8, 2, xd, 1, 0, 255), out;
    const skive_tensor *inputs[] = {&in, &w->storage->tensor};
    skv_test_fails(ctx, skv_op_evaluate(ctx, y->producer, inputs, 2, &out, 1), SKIVE_ERR_LIMIT, y->producer->name);
    skive_tensor_free(ctx, &in);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Mean and deviation within five standard errors; another run, other numbers; another plan, the same. */
static void test_random_numbers(void **state) {
    enum { N = 100000, CLASSES = 3 };
    const int64_t n = N, row[] = {1, CLASSES};
    const double share[CLASSES] = {0.5, 0.2, 0.3};
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "random", &g));
    skv_builder b = skv_build(g);
    skive_value *p = parameter(g, SKIVE_F32, 2, row, 1, 0, 1);
    for (int k = 0; k < CLASSES; k++) ((float *)p->storage->tensor.data)[k] = (float)log(7 * share[k]);
    skive_value *y[] = {
        skv_emit(&b, "RandomNormal", ((skv_in_list){NULL, 0}),
                 SKV_ATTRS(SKV_INTS("shape", &n, 1), SKV_FLT("mean", 2), SKV_FLT("scale", 3))),
        skv_emit(&b, "RandomUniform", ((skv_in_list){NULL, 0}),
                 SKV_ATTRS(SKV_INTS("shape", &n, 1), SKV_FLT("low", -1), SKV_FLT("high", 5), SKV_FLT("seed", 4))),
        skv_emit(&b, "Multinomial", SKV_IN(p), SKV_ATTRS(SKV_INT("sample_size", N)))};
    skv_test_ok(ctx, b.status);
    for (int k = 0; k < 3; k++) skv_test_ok(ctx, skive_graph_add_output(g, y[k]));
    skive_tensor first[2][3], second[2][3];
    for (int again = 0; again < 2; again++) {
        skive_plan *plan = NULL;
        skive_exec *exec = NULL;
        skive_tensor view;
        skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        for (int run = 0; run < 2; run++) {
            skv_test_ok(ctx, skive_exec_run(exec));
            for (size_t k = 0; k < 3; k++) {
                skv_test_ok(ctx, skive_exec_output(exec, k, &view));
                skv_test_ok(ctx, skive_tensor_copy(ctx, &view, run ? &second[again][k] : &first[again][k]));
            }
        }
        skive_exec_free(exec);
        skive_plan_free(plan);
    }
    double sum[2] = {0}, square[2] = {0}, drawn[CLASSES] = {0};
    for (int64_t i = 0; i < N; i++) {
        for (int k = 0; k < 2; k++) {
            const double v = skive_tensor_get(&first[0][k], i);
            sum[k] += v / N;
            square[k] += v * v / N;
        }
        drawn[(int)skive_tensor_get(&first[0][2], i)] += 1.0 / N;
    }
    const double sigma[2] = {3, 6 / sqrt(12)};
    for (int k = 0; k < 2; k++) {
        assert_true(fabs(sum[k] - 2) < 5 * sigma[k] / sqrt(N));
        assert_true(fabs(square[k] - sum[k] * sum[k] - sigma[k] * sigma[k]) < 5 * sigma[k] * sigma[k] * sqrt(2.0 / N));
    }
    for (int k = 0; k < CLASSES; k++) assert_true(fabs(drawn[k] - share[k]) < 5 * sqrt(share[k] * (1 - share[k]) / N));
    for (int k = 0; k < 3; k++) {
        assert_true(skv_tensor_same(&first[0][k], &first[1][k]) && skv_tensor_same(&second[0][k], &second[1][k]));
        assert_false(skv_tensor_same(&first[0][k], &second[0][k]));
        for (int again = 0; again < 2; again++) {
            skive_tensor_free(ctx, &first[again][k]);
            skive_tensor_free(ctx, &second[again][k]);
        }
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax_of_old_opsets),
        cmocka_unit_test(test_dropout_of_old_opsets),
        cmocka_unit_test(test_batch_normalization_of_old_opsets),
        cmocka_unit_test(test_coupling_of_convolutions),
        cmocka_unit_test(test_integer_convolution),
        cmocka_unit_test(test_integer_sums_are_bounded),
        cmocka_unit_test(test_random_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
