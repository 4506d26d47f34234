/* When out of memory, the message names the node and the bytes: for a plan, and for a node that runs separately. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/skive.h>

#include "graph/graph.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

#define LARGE ((size_t)1 << 20)

/* Requests from LARGE on fail. */
static void *take(void *user, size_t size) {
    (void)user;
    return size < LARGE ? aligned_alloc(64, (size + 63) / 64 * 64) : NULL;
}
static void give(void *user, void *block) {
    (void)user;
    free(block);
}

static skive_context *small_context(void) {
    skive_context *ctx = NULL;
    skive_context_options o = skive_context_options_default();
    o.allocator = (skive_allocator){.alloc = take, .free = give};
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_OK);
    return ctx;
}

/* y = sum(Expand(x, shape)); the shape is a constant, or the model's second input. */
static skive_graph *make(skive_context *ctx, bool constant) {
    const int64_t one[1] = {1}, two[1] = {2}, shape[2] = {1000, 3000};
    const skive_type x_type = skive_type_make(SKIVE_F32, 1, one), s_type = skive_type_make(SKIVE_I64, 1, two);
    skive_graph *g = NULL;
    skive_value *x = NULL, *s = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &x_type, &x));
    if (constant)
        s = skv_emit_ints(&b, shape, 2);
    else
        skv_test_ok(ctx, skive_graph_add_input(g, "shape", &s_type, &s));
    skive_value *grown = skv_emit(&b, "Expand", SKV_IN(x, s), SKV_NONE);
    skive_value *y = skv_emit(&b, "ReduceSum", SKV_IN(grown), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_node_take_name(grown->producer, "grow");
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void of_a_plan(void **state) {
    (void)state;
    skive_context *ctx = small_context();
    skive_graph *g = make(ctx, true);
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skv_test_ok(ctx, skive_plan_create(ctx, g, NULL, &plan));
    skv_test_fails(ctx, skive_exec_create(ctx, plan, &exec), SKIVE_ERR_MEMORY,
                   "12000000 bytes, is an output of node 'grow'");
    assert_null(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
    skive_context_free(ctx);
}

static void of_a_node_by_itself(void **state) {
    (void)state;
    skive_context *ctx = small_context();
    skive_graph *g = make(ctx, false);
    float x = 1;
    int64_t shape[2] = {1000, 3000};
    const int64_t one[1] = {1}, two[1] = {2};
    const skive_tensor in[2] = {skv_tensor_view(SKIVE_F32, 1, one, &x), skv_tensor_view(SKIVE_I64, 1, two, shape)};
    skive_tensor out;
    skv_test_fails(ctx, skive_graph_run(ctx, g, in, 2, &out, 1), SKIVE_ERR_MEMORY, "node 'grow'");
    assert_non_null(strstr(skive_context_message(ctx), "12000000 bytes"));
    skive_graph_free(g);
    skive_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_a_plan), cmocka_unit_test(of_a_node_by_itself)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
