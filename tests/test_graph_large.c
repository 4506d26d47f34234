/* Graphs of many nodes: names, removal in any order, and plans of many values. What would be quadratic here takes
 * minutes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <skive/exec.h>

#include "support.h"

#include <cmocka.h>

#include "graph/graph.h"

#define N ((uint32_t)(skv_test_sanitized() ? 10000 : 50000)) /* sanitizers record every block */

static skive_node *add(skive_graph *g, const char *op, const char *name, skive_value *x) {
    skive_node *n;
    skv_test_ok(g->ctx, skive_graph_add_node(g, op, name, &x, 1, 1, &n));
    return n;
}

static skive_value *chain(skive_graph *g, skive_value *x, const char *op, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u", i);
        x = add(g, op, name, x)->outputs[0];
    }
    return x;
}

static skive_value *input(skive_graph *g) {
    const int64_t dims[] = {4};
    const skive_type type = skive_type_make(SKIVE_F32, 1, dims);
    skive_value *x;
    skv_test_ok(g->ctx, skive_graph_add_input(g, "x", &type, &x));
    return x;
}

static void check_numbers(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        assert_int_equal(g->nodes[i]->id, i);
        assert_ptr_equal(skive_graph_find_node(g, g->nodes[i]->name), g->nodes[i]);
        for (uint32_t k = 0; k < g->nodes[i]->n_inputs; k++) {
            const skive_value *v = g->nodes[i]->inputs[k];
            const skv_use *use = &v->uses[g->nodes[i]->uses_at[k]];
            assert_ptr_equal(use->node, g->nodes[i]);
            assert_int_equal(use->index, k);
        }
    }
    for (uint32_t i = 0; i < g->n_values; i++) assert_int_equal(g->values[i]->id, i);
}

static void names_are_found(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skive_node *n;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skive_value *x = input(g), *y = chain(g, x, "Relu", N);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    check_numbers(g);
    skv_test_fails(ctx, skive_graph_add_node(g, "Relu", "n7", &x, 1, 1, &n), SKIVE_ERR_GRAPH, "already used");
    skv_node_take_name(g->nodes[7], "seven");
    assert_null(skive_graph_find_node(g, "n7"));
    assert_ptr_equal(skive_graph_find_node(g, "seven"), g->nodes[7]);
    /* A made-up name is not that of a node which is there. */
    skive_node *made = add(g, "Relu", NULL, x);
    char next[64];
    snprintf(next, sizeof next, "Relu_%u", g->next_name);
    (void)add(g, "Relu", next, x);
    assert_string_not_equal(add(g, "Relu", NULL, x)->name, next);
    assert_ptr_equal(skive_graph_find_node(g, made->name), made);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* One value that many read, removed first to last, last to first, and all at once. */
static void readers_go(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skive_value *x = input(g);
    for (uint32_t i = 0; i < N; i++) (void)add(g, "Relu", NULL, x);
    skv_test_ok(ctx, skive_graph_add_output(g, g->nodes[N / 2]->outputs[0]));
    skv_graph_hold(g);
    for (uint32_t i = 0; i < 1000; i++) skv_test_ok(ctx, skv_graph_remove_node(g->nodes[i]));
    assert_int_equal(g->n_nodes, N);
    assert_int_equal(x->n_uses, N - 1000);
    skv_graph_settle(g);
    assert_int_equal(g->n_nodes, N - 1000);
    check_numbers(g);
    assert_int_equal(skv_graph_sweep(g), N - 1001);
    assert_int_equal(g->n_nodes, 1);
    assert_int_equal(x->n_uses, 1);
    check_numbers(g);
    skv_test_ok(ctx, skive_graph_check(g));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Dead chains whose nodes stand in either order. */
static void dead_chains_go(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skive_value *x = input(g);
    (void)chain(g, x, "Relu", N);
    for (uint32_t i = 0; i < N / 2; i++) { /* the same nodes, last first */
        skive_node *n = g->nodes[i];
        g->nodes[i] = g->nodes[N - 1 - i];
        g->nodes[N - 1 - i] = n;
        g->nodes[i]->id = i;
        n->id = N - 1 - i;
    }
    skive_node *kept = add(g, "Relu", NULL, x);
    skv_test_ok(ctx, skive_graph_add_output(g, kept->outputs[0]));
    assert_int_equal(skv_graph_sweep(g), N);
    assert_int_equal(g->n_nodes, 1);
    assert_int_equal(g->n_values, 2);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* So many values alive at once that memory is laid out in the order of time. */
static void many_values_run(void **state) {
    (void)state;
    enum { MOST = 32768 };
    const int leaves = skv_test_sanitized() ? MOST / 2 : MOST;
    skive_context *ctx = skv_test_context();
    skive_graph *g;
    skive_plan *plan;
    skive_exec *exec;
    skive_plan_options o = skive_plan_options_default();
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skive_value *x = input(g), *level[MOST];
    for (int i = 0; i < leaves; i++) level[i] = add(g, i % 2 ? "Neg" : "Abs", NULL, x)->outputs[0];
    for (int n = leaves; n > 1; n /= 2) {
        for (int i = 0; i < n / 2; i++) {
            skive_value *pair[] = {level[i], level[n - 1 - i]};
            skive_node *sum;
            skv_test_ok(ctx, skive_graph_add_node(g, "Add", NULL, pair, 2, 1, &sum));
            level[i] = sum->outputs[0];
        }
    }
    skv_test_ok(ctx, skive_graph_add_output(g, level[0]));
    skv_test_ok(ctx, skive_graph_infer(g));
    o.no_fusion = true;
    o.reference = true;
    const char *keep[MOST]; /* kept ones are not merged, though half of them are equal */
    for (int i = 0; i < leaves; i++) keep[i] = g->nodes[i]->outputs[0]->name;
    o.keep = keep;
    o.n_keep = (size_t)leaves;
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    const float in[] = {1, -2, 3, -4}, expected[] = {0, (float)leaves * 2, 0, (float)leaves * 4};
    skive_tensor view;
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    memcpy(view.data, in, sizeof in);
    for (int run = 0; run < 2; run++) {
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
        assert_memory_equal(view.data, expected, sizeof expected);
    }
    skive_exec_free(exec);
    skive_plan_free(plan);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(readers_go),
        cmocka_unit_test(dead_chains_go),
        cmocka_unit_test(many_values_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
