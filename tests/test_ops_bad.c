/* Invalid operands of single ops: each must give an error that names the node, never a read or write outside a
 * tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graph/op.h"
#include "support.h"
#include "tensor/tensor.h"

enum { MAX_INPUTS = 5 };

/* An op of the graph's own with `n` parameters as inputs; absent where data is NULL. */
static skive_node *make_node(skive_context *ctx, skive_graph *g, const char *op, const skive_tensor *in, size_t n,
                             size_t n_out) {
    skive_value *inputs[MAX_INPUTS] = {NULL};
    skive_node *node = NULL;
    assert_true(n <= MAX_INPUTS);
    for (size_t i = 0; i < n; i++) {
        if (in[i].data) skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &in[i], &inputs[i]));
    }
    skv_test_ok(ctx, skive_graph_add_node(g, op, "the_node", inputs, n, n_out, &node));
    return node;
}

/* The node evaluated on its inputs must fail with `expected`, naming itself. */
static void expect_failure(const char *op, const skive_tensor *in, size_t n, size_t n_out, skive_status expected) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    const skive_tensor *inputs[MAX_INPUTS] = {NULL};
    skive_tensor out[4] = {{0}};
    skv_test_ok(ctx, skive_graph_create(ctx, "bad", &g));
    const skive_node *node = make_node(ctx, g, op, in, n, n_out);
    for (size_t i = 0; i < n; i++) inputs[i] = in[i].data ? &in[i] : NULL;
    skv_test_fails(ctx, skv_op_evaluate(ctx, node, inputs, n, out, n_out), expected, "the_node");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static const int64_t two[] = {2}, four[] = {4};

static void test_pad(void **state) {
    (void)state;
    static const double x[2] = {1, 2};
    static const float narrow[1] = {9};
    static const int64_t ones[2] = {1, 1}, edges[2] = {INT64_MIN, INT64_MAX}, odd[4] = {1, 1, 1, 1};
    const skive_tensor data = skv_tensor_view(SKIVE_F64, 1, two, x), by_one = skv_tensor_view(SKIVE_I64, 1, two, ones);
    /* a value to pad with of another type than the input would be read past its end */
    expect_failure("Pad", (skive_tensor[]){data, by_one, skv_tensor_view(SKIVE_F32, 0, NULL, narrow)}, 3, 1,
                   SKIVE_ERR_SHAPE);
    /* amounts whose sum is small but which overflow one by one */
    expect_failure("Pad", (skive_tensor[]){data, skv_tensor_view(SKIVE_I64, 1, two, edges)}, 2, 1, SKIVE_ERR_SHAPE);
    expect_failure("Pad", (skive_tensor[]){data, skv_tensor_view(SKIVE_I64, 1, four, odd)}, 2, 1, SKIVE_ERR_SHAPE);
    /* more than was there is taken away */
    static const int64_t away[2] = {-2, -1};
    expect_failure("Pad", (skive_tensor[]){data, skv_tensor_view(SKIVE_I64, 1, two, away)}, 2, 1, SKIVE_ERR_SHAPE);
}

static void test_gradients_of_wrong_shape(void **state) {
    (void)state;
    static const float values[4] = {1, 2, 3, 4};
    static const int64_t zero[2] = {0, 0}, one[] = {1}, pads[2] = {0, 1}, far[] = {7};
    const skive_tensor big = skv_tensor_view(SKIVE_F32, 1, four, values),
                       small = skv_tensor_view(SKIVE_F32, 1, two, values);
    const skive_tensor start = skv_tensor_view(SKIVE_I64, 1, one, zero), end = skv_tensor_view(SKIVE_I64, 1, one, one);
    expect_failure("SliceGrad", (skive_tensor[]){big, small, start, end}, 4, 1, SKIVE_ERR_SHAPE);
    expect_failure("GatherGrad", (skive_tensor[]){small, start, big}, 3, 1, SKIVE_ERR_SHAPE);
    expect_failure("PadGrad", (skive_tensor[]){big, small, skv_tensor_view(SKIVE_I64, 1, two, pads)}, 3, 1,
                   SKIVE_ERR_SHAPE);
    const skive_tensor single = skv_tensor_view(SKIVE_F32, 1, one, values);
    expect_failure("GatherGrad", (skive_tensor[]){single, skv_tensor_view(SKIVE_I64, 1, one, far), big}, 3, 1,
                   SKIVE_ERR_SHAPE);
}

static void test_counts(void **state) {
    (void)state;
    static const float values[4] = {1, 2, 3, 4};
    static const int64_t sizes[2] = {3, 2};
    const skive_tensor x = skv_tensor_view(SKIVE_F32, 1, four, values),
                       list = skv_tensor_view(SKIVE_F32, 1, two, values);
    expect_failure("Split", (skive_tensor[]){x}, 1, 0, SKIVE_ERR_GRAPH);
    expect_failure("Split", (skive_tensor[]){x, skv_tensor_view(SKIVE_I64, 1, two, sizes)}, 2, 2, SKIVE_ERR_SHAPE);
    expect_failure("Clip", (skive_tensor[]){x, list}, 2, 1, SKIVE_ERR_SHAPE);
    expect_failure("Clip", (skive_tensor[]){x, {0}, {0}, {0}, list}, 5, 1, SKIVE_ERR_SHAPE);
}

/* Parts without sizes were equal before opset 18; from then on the node must say how many there are. */
static void test_split_of_old_files(void **state) {
    (void)state;
    static const float values[4] = {1, 2, 3, 4};
    const skive_tensor x = skv_tensor_view(SKIVE_F32, 1, four, values);
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "old", &g));
    skive_node *n = make_node(ctx, g, "Split", &x, 1, 2);
    skv_test_ok(ctx, n->op->import(g, n, 13));
    assert_int_equal(skv_attr_int(n, "num_outputs", 0), 2);
    assert_int_equal(n->op->needs_opset(n), 18);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Extremes of uint64 beyond what int64 holds. */
static void test_reduced_integers(void **state) {
    (void)state;
    static const uint64_t values[2] = {UINT64_MAX, 1};
    static const char *const ops[] = {"ReduceMax", "ReduceMin"};
    const skive_tensor x = skv_tensor_view(SKIVE_U64, 1, two, values);
    for (int i = 0; i < 2; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_tensor out = {0};
        const skive_tensor *in = &x;
        skv_test_ok(ctx, skive_graph_create(ctx, "reduce", &g));
        const skive_node *n = make_node(ctx, g, ops[i], &x, 1, 1);
        skv_test_ok(ctx, skv_op_evaluate(ctx, n, &in, 1, &out, 1));
        assert_true(((const uint64_t *)out.data)[0] == (i == 0 ? UINT64_MAX : 1));
        skive_tensor_free(ctx, &out);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pad),
        cmocka_unit_test(test_gradients_of_wrong_shape),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_split_of_old_files),
        cmocka_unit_test(test_reduced_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
