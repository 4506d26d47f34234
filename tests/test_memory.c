/* The memory limit: what is counted, what is refused before it is allocated, and that small files cannot claim much
 * memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/memory.h>
#include <skive/onnx.h>

#include "support.h"

#include <cmocka.h>

#include "base/base.h"
#include "onnx_bytes.h"

enum { MIB = 1 << 20 };

static skive_context *counted_context(void) {
    skive_context *ctx = NULL;
    assert_int_equal(skive_context_create(NULL, &ctx), SKIVE_OK);
    return ctx;
}

static void what_is_over_the_limit_is_refused(void **state) {
    (void)state;
    skive_context *ctx = counted_context(), *fork;
    void *a = NULL, *b = NULL;
    assert_true(skive_context_memory_limit(ctx) > 0);
    assert_int_equal(skive_context_memory_used(ctx), 0);
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, 4 * MIB));
    assert_int_equal(skive_context_memory_limit(ctx), 4 * MIB);
    skv_test_ok(ctx, skv_alloc(ctx, 3 * MIB, &a));
    assert_true(skive_context_memory_used(ctx) >= 3 * MIB);
    skv_test_fails(ctx, skv_alloc(ctx, 2 * MIB, &b), SKIVE_ERR_LIMIT, "--memory");
    skv_test_fails(ctx, skv_alloc_array(ctx, 2, MIB, &b), SKIVE_ERR_LIMIT, "limit of 4 MiB");
    /* Threads share it. */
    skv_test_ok(ctx, skv_context_fork(ctx, &fork));
    skv_test_fails(fork, skv_alloc(fork, 2 * MIB, &b), SKIVE_ERR_LIMIT, "--memory");
    skive_context_free(fork);
    skv_free(ctx, a);
    skv_test_ok(ctx, skv_alloc(ctx, 2 * MIB, &b));
    skv_free(ctx, b);
    assert_int_equal(skive_context_memory_used(ctx), 0);
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, 0));
    assert_true(skive_context_memory_limit(ctx) > 4 * MIB);
    assert_int_equal(skive_context_set_memory_limit(NULL, 1), SKIVE_ERR_ARGUMENT);
    skive_context_free(ctx);
}

/* `n` initializers that hold one number each and claim `elements` of them. */
static bytes sparse_model(int n, int64_t elements) {
    bytes g = make_graph();
    put_message(&g, 1, make_node("n", "Relu", "x", "y"));
    for (int k = 0; k < n; k++) {
        char name[16];
        bytes sparse = {0};
        const int64_t one = 1, at = 5;
        const float number = 2;
        snprintf(name, sizeof name, "sparse%d", k);
        bytes values = make_tensor(name, SKIVE_F32, 1, &one), indices = make_tensor("", SKIVE_I64, 1, &one);
        put_numbers(&values, 9, &number, sizeof number, sizeof number);
        put_numbers(&indices, 9, &at, sizeof at, sizeof at);
        put_message(&sparse, 1, values);
        put_message(&sparse, 2, indices);
        put_int(&sparse, 3, elements);
        put_message(&g, 15, sparse);
    }
    return make_model(g, 17);
}

static void small_files_get_little(void **state) {
    (void)state;
    skive_context *ctx = counted_context();
    skive_graph *g;
    skive_onnx_load_options o = skive_onnx_load_options_default();
    o.keep_unused = true;
    bytes one = sparse_model(1, 40 * MIB), many = sparse_model(8, 6 * MIB);
    skv_test_fails(ctx, skive_onnx_parse(ctx, one.data, one.n, NULL, &o, &g), SKIVE_ERR_LIMIT, "sparse0");
    skv_test_fails(ctx, skive_onnx_parse(ctx, many.data, many.n, NULL, &o, &g), SKIVE_ERR_LIMIT, "--memory");
    assert_int_equal(skive_context_memory_used(ctx), 0);
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, (uint64_t)300 * MIB));
    skv_test_ok(ctx, skive_onnx_parse(ctx, many.data, many.n, NULL, &o, &g));
    assert_true(skive_context_memory_used(ctx) >= (uint64_t)192 * MIB);
    skive_graph_free(g);
    assert_int_equal(skive_context_memory_used(ctx), 0);
    free(one.data);
    free(many.data);
    skive_context_free(ctx);
}

/* A scalar made large: refused when the plan is made, with the node's name. */
static void plans_name_the_node(void **state) {
    (void)state;
    skive_context *ctx = counted_context();
    skive_graph *g;
    skive_plan *plan;
    const int64_t dims[] = {64, MIB}, two = 2, scalar[] = {1};
    const skive_type type = skive_type_make(SKIVE_F32, 1, scalar);
    skive_tensor shape = {.dtype = SKIVE_I64, .rank = 1, .dims = {two}, .data = (void *)(uintptr_t)dims};
    skive_value *in[2];
    skive_node *n;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &in[0]));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "shape", &shape, &in[1]));
    skv_test_ok(ctx, skive_graph_add_node(g, "Expand", "grows", in, 2, 1, &n));
    skv_test_ok(ctx, skive_graph_add_output(g, skive_node_output(n, 0)));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, (uint64_t)128 * MIB));
    skv_test_fails(ctx, skive_plan_create(ctx, g, NULL, &plan), SKIVE_ERR_LIMIT, "grows");
    skive_graph_free(g);
    skive_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_over_the_limit_is_refused),
        cmocka_unit_test(small_files_get_little),
        cmocka_unit_test(plans_name_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
