/* What the op records say of linear layers (graph/linear.h), against what their references compute: weight and bias
 * enter the result as factors do, channel by channel; and which operators are such layers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "graph/linear.h"
#include "support.h"
#include "tensor/tensor.h"

typedef struct bench {
    skive_context *ctx;
    skive_graph *graph;
    skive_node *node;
    size_t n;
    skive_tensor in[SKV_OP_MAX_IO];
    skv_linear l;
} bench;

static void make(bench *b, const skv_op *op, const skv_op_case *k) {
    skive_value *in[SKV_OP_MAX_IO] = {NULL}, *out[SKV_OP_MAX_IO] = {NULL};
    b->n = k->n_in;
    skv_test_ok(b->ctx, skive_graph_create(b->ctx, "case", &b->graph));
    for (size_t i = 0; i < k->n_in; i++) {
        const skv_case_in *c = &k->in[i];
        const bool usual = c->lo == 0 && c->hi == 0;
        if (c->absent) continue;
        b->in[i] = skv_test_random(b->ctx, c->dtype, c->rank, c->dims, 3 + i, usual ? -1 : c->lo, usual ? 1 : c->hi);
        for (int64_t e = 0; c->values && e < skive_tensor_count(&b->in[i]); e++)
            skive_tensor_set(&b->in[i], e, c->values[e]);
        skv_test_ok(b->ctx, skive_graph_add_parameter(b->graph, NULL, &b->in[i], &in[i]));
    }
    for (size_t i = 0; i < k->n_out; i++) skv_test_ok(b->ctx, skv_graph_new_value(b->graph, NULL, &out[i]));
    skv_test_ok(b->ctx, skv_graph_new_node(b->graph, op->name, op->domain, "n", in, k->n_in, out, k->n_out, &b->node));
    for (size_t i = 0; i < k->n_attrs; i++) skv_test_ok(b->ctx, skv_node_set_attr(b->node, &k->attrs[i]));
    skv_test_ok(b->ctx, skive_graph_infer(b->graph));
}

static void end(bench *b) {
    for (size_t i = 0; i < b->n; i++) skive_tensor_free(b->ctx, &b->in[i]);
    skive_graph_free(b->graph);
}

static skive_tensor run(const bench *b) {
    const skive_tensor *in[SKV_OP_MAX_IO];
    skive_tensor out[SKV_OP_MAX_IO] = {{0}};
    for (size_t i = 0; i < b->n; i++) in[i] = b->in[i].data ? &b->in[i] : NULL;
    skv_test_ok(b->ctx, skv_op_evaluate(b->ctx, b->node, in, b->n, out, b->node->n_outputs));
    for (size_t i = 1; i < SKV_OP_MAX_IO; i++) skive_tensor_free(b->ctx, &out[i]);
    return out[0];
}

/* All of it, or where the axis has this index. */
static void times(skive_tensor *t, int axis, int64_t index, double factor) {
    int64_t inner = 1;
    for (int d = axis + 1; axis >= 0 && d < t->rank; d++) inner *= t->dims[d];
    for (int64_t i = 0; t->data && i < skive_tensor_count(t); i++)
        if (axis < 0 || i / inner % t->dims[axis] == index) skive_tensor_set(t, i, factor * skive_tensor_get(t, i));
}

static void compare(const bench *b, const skive_tensor *want, double tolerance, const char *what) {
    skive_tensor got = run(b);
    assert_int_equal(skive_tensor_count(&got), skive_tensor_count(want));
    for (int64_t i = 0; i < skive_tensor_count(want); i++) {
        const double x = skive_tensor_get(want, i), y = skive_tensor_get(&got, i);
        if (!(fabs(x - y) <= tolerance * (1 + fabs(x)))) fail_msg("%s: %s: %g, not %g", b->node->op_type, what, y, x);
    }
    skive_tensor_free(b->ctx, &got);
}

static void check(bench *b) {
    const skv_linear *l = &b->l;
    skive_tensor *w = &b->in[l->weight], *bias = l->bias >= 0 && (size_t)l->bias < b->n ? &b->in[l->bias] : NULL;
    skive_tensor want = run(b);
    /* Twice the weight and the bias: to the bit. */
    times(w, -1, 0, 2);
    if (bias) times(bias, -1, 0, 2);
    times(&want, -1, 0, 2);
    compare(b, &want, 0, "twice the weight and the bias");
    skive_tensor_free(b->ctx, &want);
    /* One output channel of the weight is one of the result. */
    if (bias) times(bias, -1, 0, 0);
    want = run(b);
    if (l->view.groups == 1 && l->view.out_axis >= 0 && l->view.result_axis >= 0) {
        assert_int_equal(want.dims[l->view.result_axis], l->view.out);
        times(w, l->view.out_axis, l->view.out - 1, 4);
        times(&want, l->view.result_axis, l->view.out - 1, 4);
        compare(b, &want, 0, "a factor for one channel");
    }
    /* The factor is that of the node. */
    skv_node_remove_attr(b->node, "alpha");
    skive_tensor plain = run(b);
    for (int64_t i = 0; i < skive_tensor_count(&want); i++)
        assert_true(
            skv_test_close(skive_tensor_get(&want, i), l->weight_factor * skive_tensor_get(&plain, i), 1e-5, 1e-5));
    skive_tensor_free(b->ctx, &plain);
    skive_tensor_free(b->ctx, &want);
    /* The bias alone: one number for each channel, times its factor. */
    times(w, -1, 0, 0);
    if (!bias || !bias->data || bias->rank != 1 || l->view.result_axis < 0) return;
    want = run(b);
    if (bias->dims[0] == want.dims[l->view.result_axis]) {
        for (int64_t i = 0; i < bias->dims[0]; i++) skive_tensor_set(bias, i, (double)(i + 1));
        int64_t inner = 1;
        for (int d = l->view.result_axis + 1; d < want.rank; d++) inner *= want.dims[d];
        for (int64_t i = 0; i < skive_tensor_count(&want); i++)
            skive_tensor_set(&want, i, l->bias_factor * (double)(1 + i / inner % bias->dims[0]));
        compare(b, &want, 1e-6, "the bias alone");
    }
    skive_tensor_free(b->ctx, &want);
}

static void records_are_held_to_it(void **state) {
    size_t checked = 0;
    (void)state;
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *op = skv_op_at(i);
        for (size_t k = 0; k < op->n_cases; k++) {
            if (op->cases[k].n_in == 0 || op->cases[k].n_in > SKV_OP_MAX_IO || op->flow) continue;
            bool weights = false;
            for (size_t s = 0; s < op->n_inputs; s++) weights = weights || op->inputs[s].role == SKV_ROLE_WEIGHT;
            if (!weights || op->cases[k].in[0].dtype != SKIVE_F32) continue;
            bench b = {.ctx = skv_test_context()};
            make(&b, op, &op->cases[k]);
            if (skv_linear_of(b.node, &b.l) && b.in[b.l.weight].dtype == SKIVE_F32) {
                check(&b);
                checked++;
            }
            end(&b);
            skv_test_context_end(b.ctx);
        }
    }
    assert_true(checked >= 20);
}

/* By its first case with float weights: -1 if there is none. */
static int is_linear(const char *name) {
    const skv_op *op = skv_op_find(name, NULL);
    int linear = -1;
    assert_non_null(op);
    for (size_t k = 0; k < op->n_cases && linear < 0; k++) {
        if (op->cases[k].in[0].dtype != SKIVE_F32) continue;
        bench b = {.ctx = skv_test_context()};
        make(&b, op, &op->cases[k]);
        linear = skv_linear_of(b.node, &b.l);
        end(&b);
        skv_test_context_end(b.ctx);
    }
    return linear;
}

static void which_are_linear(void **state) {
    static const char *const yes[] = {"Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul"};
    static const char *const no[] = {"LSTM", "GRU", "RNN", "CausalConvWithState", "Add", "LayerNormalization"};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(yes); i++)
        if (is_linear(yes[i]) != 1) fail_msg("%s is no linear layer", yes[i]);
    for (size_t i = 0; i < SKV_COUNT(no); i++)
        if (is_linear(no[i]) == 1) fail_msg("%s is a linear layer", no[i]);
}

/* A Gemm with factors, whose weight stands on either side. */
static void factors_and_sides(void **state) {
    const int64_t dims[2] = {3, 4}, turned[2] = {4, 3};
    (void)state;
    for (int side = 0; side < 2; side++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_value *x = NULL, *w = NULL;
        const skive_type type = skive_type_make(SKIVE_F32, 2, turned);
        skive_tensor t = skv_test_random(ctx, SKIVE_F32, 2, dims, 1, -1, 1);
        skv_linear l;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
        skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &t, &w));
        skv_builder b = skv_build(g);
        skive_value *y =
            skv_emit(&b, "Gemm", (skv_in_list){side ? (skive_value *[]){x, w} : (skive_value *[]){w, x}, 2},
                     SKV_ATTRS(SKV_FLT("alpha", 0.5), SKV_FLT("beta", 3)));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        skv_test_ok(ctx, skive_graph_infer(g));
        assert_true(skv_linear_of(y->producer, &l));
        assert_true(l.weight == side && l.bias == 2 && l.view.data == 1 - side && !l.data_turned);
        assert_true(l.weight_factor == 0.5 && l.bias_factor == 3 && l.view.result_axis == side);
        assert_false(skv_linear_channels(y->producer, &l));
        skv_node_remove_attr(y->producer, "alpha");
        skv_node_remove_attr(y->producer, "beta");
        assert_true(skv_linear_channels(y->producer, &l) == (side == 1));
        skive_tensor_free(ctx, &t);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_held_to_it),
        cmocka_unit_test(which_are_linear),
        cmocka_unit_test(factors_and_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
