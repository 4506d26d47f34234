/* The public builder: a small network written with it, and how failures stay in it. */
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <skive/build.h>
#include <skive/exec.h>

static skive_graph *graph_of(skive_context *ctx, skive_value **x) {
    skive_type type = skive_type_make(SKIVE_F32, 2, (const int64_t[]){2, 3});
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "built", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, x));
    return g;
}

/* relu(x w + 0.5) split into two halves, whose product is the output. */
static void network(void **state) {
    (void)state;
    static const float numbers[] = {1, 2, 3, 4, 0, 1, 0, 1, -1, 0, 2, 0};
    skive_context *ctx = skv_test_context();
    skive_value *x, *halves[2];
    skive_graph *g = graph_of(ctx, &x);
    skive_tensor w = {0}, in = {0}, out = {0};
    skive_builder b = skive_builder_of(g);
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, (const int64_t[]){3, 4}, &w));
    memcpy(w.data, numbers, sizeof numbers);
    skive_value *weight = skive_build_parameter(&b, "fc.weight", &w, true);
    skive_value *y = skive_build_node(&b, "MatMul", "fc", (skive_value *[]){x, weight}, 2, NULL, 0, NULL, 1);
    y = skive_build_node(&b, "Add", NULL, (skive_value *[]){y, skive_build_number(&b, 0.5)}, 2, NULL, 0, NULL, 1);
    y = skive_build_node(&b, "Relu", "fc", &y, 1, NULL, 0, NULL, 1);
    const skive_attribute axis = skive_attribute_int("axis", 1);
    skive_value *first =
        skive_build_node(&b, "Split", NULL, (skive_value *[]){y, skive_build_ints(&b, (const int64_t[]){2, 2}, 2)}, 2,
                         &axis, 1, halves, 2);
    assert_ptr_equal(first, halves[0]);
    y = skive_build_node(&b, "Mul", NULL, halves, 2, NULL, 0, NULL, 1);
    skv_test_ok(ctx, b.status);
    assert_string_equal(skive_node_name(skive_graph_find_node(g, "fc")), "fc");
    assert_true(skive_value_is_trainable(weight));
    assert_int_equal(skive_value_type(y)->dims[1].size, 2); /* known at once */
    skv_test_ok(ctx, skive_value_rename(y, "product"));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_check(g));
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, (const int64_t[]){2, 3}, &in));
    for (int64_t i = 0; i < 6; i++) skive_tensor_set(&in, i, (double)i - 2);
    skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &out, 1));
    /* x w + 0.5: [-1.5 -4.5 -5.5 -8.5], [-0.5 4.5 7.5 6.5] */
    skv_test_floats(out.data, (const float[]){0, 0, 0, 4.5f * 6.5f}, 4, 0, 1e-5);
    skive_tensor_free(ctx, &w);
    skive_tensor_free(ctx, &in);
    skive_tensor_free(ctx, &out);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The first failure is kept with its message; nothing is added after it. */
static void failures(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_value *x, *other_x;
    skive_graph *g = graph_of(ctx, &x), *other = graph_of(ctx, &other_x);
    skive_builder b = skive_builder_of(g);
    assert_null(skive_build_node(&b, "MatMul", NULL, (skive_value *[]){x, x}, 2, NULL, 0, NULL, 1));
    skv_test_fails(ctx, b.status, SKIVE_ERR_SHAPE, "MatMul");
    const size_t nodes = skive_graph_node_count(g), values = skive_graph_value_count(g);
    assert_null(skive_build_node(&b, "Relu", NULL, &x, 1, NULL, 0, NULL, 1));
    assert_null(skive_build_number(&b, 1));
    assert_int_equal(skive_graph_node_count(g), nodes);
    assert_int_equal(skive_graph_value_count(g), values);
    assert_int_equal(nodes, 0);
    b = skive_builder_of(g);
    assert_null(skive_build_node(&b, "Relu", NULL, &other_x, 1, NULL, 0, NULL, 1));
    skv_test_fails(ctx, b.status, SKIVE_ERR_ARGUMENT, "another graph");
    b = skive_builder_of(g);
    const skive_attribute nameless = skive_attribute_int(NULL, 1);
    assert_null(skive_build_node(&b, "Relu", NULL, &x, 1, &nameless, 1, NULL, 1));
    skv_test_fails(ctx, b.status, SKIVE_ERR_ARGUMENT, "attribute 0 of Relu");
    skv_test_fails(ctx, skive_value_rename(x, ""), SKIVE_ERR_ARGUMENT, "empty");
    skive_graph_free(g);
    skive_graph_free(other);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(network), cmocka_unit_test(failures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
