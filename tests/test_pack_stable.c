/* A model that is packed, loaded and packed again gives the same bytes: the first file contains everything that a
 * reader derives about the model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/onnx.h>
#include <skive/pack.h>

#include "graph/graph.h"
#include "onnx_bytes.h"
#include "support.h"

#include <cmocka.h>

static skive_graph *parse(skive_context *ctx, bytes graph) {
    skive_graph *g = NULL;
    bytes m = make_model(graph, 20);
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &g));
    free(m.data);
    return g;
}

static skive_graph *packed_twice(skive_context *ctx, const skive_graph *g) {
    void *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    skive_graph *back = NULL;
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, NULL, &first, &n_first, NULL));
    skv_test_ok(ctx, skive_pack_parse(ctx, first, n_first, NULL, &back, NULL));
    skv_test_ok(ctx, skive_pack_serialize(ctx, back, NULL, &second, &n_second, NULL));
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    skive_pack_free_bytes(ctx, first);
    skive_pack_free_bytes(ctx, second);
    return back;
}

static void put_branch(bytes *node, const char *name, const char *op, const char *input) {
    bytes a = {0}, g = {0}, out = {0};
    put_message(&g, 1, make_node("", op, input, "v"));
    put_text(&g, 2, name);
    put_text(&out, 1, "v"); /* of a type that only inference tells */
    put_message(&g, 12, out);
    put_text(&a, 1, name);
    put_message(&a, 6, g);
    put_int(&a, 20, 5);
    put_message(node, 5, a);
}

/* x -> Relu -> a -> If -> u -> Neg -> s -> If -> w -> Abs -> y: the types behind the first If depend on its branches,
 * those of the second If's branches on what the first gives. */
static void types_behind_branches_are_known_when_a_model_is_read(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes g = make_graph(), first = make_node("first", "If", "c", "u"), second = make_node("second", "If", "c", "w");
    put_branch(&first, "then_branch", "Neg", "a");
    put_branch(&first, "else_branch", "Abs", "a");
    put_branch(&second, "then_branch", "Exp", "s");
    put_branch(&second, "else_branch", "Abs", "s");
    put_message(&g, 11, make_info("c", 9, 0, NULL));
    put_message(&g, 1, make_node("relu", "Relu", "x", "a"));
    put_message(&g, 1, first);
    put_message(&g, 1, make_node("neg", "Neg", "u", "s"));
    put_message(&g, 1, second);
    put_message(&g, 1, make_node("abs", "Abs", "w", "y"));
    skive_graph *graph = parse(ctx, g), *back = packed_twice(ctx, graph);
    static const char *const behind[] = {"u", "s", "w"};
    for (size_t i = 0; i < 3; i++) {
        const skive_type *t = &skive_graph_find_value(graph, behind[i])->type;
        assert_int_equal(t->dtype, SKIVE_F32);
        assert_int_equal(t->rank, 2);
        assert_int_equal(t->dims[1].size, 4);
        assert_int_equal(skive_graph_find_value(back, behind[i])->type.rank, 2);
    }
    skive_graph_free(graph);
    skive_graph_free(back);
    skv_test_context_end(ctx);
}

/* Types in a graph that was changed after it was read: the branches see them too. */
static void captured_values_are_written_with_the_types_they_have_now(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes g = make_graph(), node = make_node("if", "If", "c", "y");
    put_branch(&node, "then_branch", "Neg", "a");
    put_branch(&node, "else_branch", "Abs", "a");
    put_message(&g, 11, make_info("c", 9, 0, NULL));
    put_message(&g, 1, make_node("relu", "Relu", "x", "a"));
    put_message(&g, 1, node);
    skive_graph *graph = parse(ctx, g);
    skive_graph_find_value(graph, "x")->type.dims[0] = (skive_dim){7, NULL};
    skive_graph *back = packed_twice(ctx, graph);
    skive_graph_free(graph);
    skive_graph_free(back);
    skv_test_context_end(ctx);
}

static void an_empty_text_stays_empty(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes g = make_graph(), node = make_node("odd", "NotAnOperator", "x", "y"), a = {0};
    put_text(&a, 1, "delimiter");
    put_text(&a, 4, "");
    put_int(&a, 20, 3);
    put_message(&node, 5, a);
    put_message(&g, 1, node);
    skive_graph *graph = parse(ctx, g), *back = packed_twice(ctx, graph);
    const skv_attr *text = skv_node_attr(skive_graph_node(back, 0), "delimiter");
    assert_non_null(text);
    assert_int_equal(text->n, 0);
    assert_string_equal(text->s, "");
    skive_graph_free(graph);
    skive_graph_free(back);
    skv_test_context_end(ctx);
}

/* Operators of other domains keep the version of theirs, in both kinds of file. */
static void other_domains_keep_their_version(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    bytes g = make_graph(), node = make_node("odd", "Forest", "x", "y"), set = {0};
    put_text(&node, 7, "ai.onnx.ml");
    put_message(&g, 1, node);
    bytes m = make_model(g, 20);
    put_text(&set, 1, "ai.onnx.ml");
    put_int(&set, 2, 5);
    put_message(&m, 8, set);
    skive_graph *graph = NULL;
    skv_test_ok(ctx, skive_onnx_parse(ctx, m.data, m.n, NULL, NULL, &graph));
    free(m.data);
    skive_graph *back = packed_twice(ctx, graph), *again = NULL;
    void *written = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, back, NULL, &written, &n));
    skv_test_ok(ctx, skive_onnx_parse(ctx, written, n, NULL, NULL, &again));
    assert_string_equal(skive_graph_meta(again, "skive.opset.ai.onnx.ml"), "5");
    static const char key[] = "skive.opset."; /* where it is a version, it is no metadata */
    assert_null(memmem(written, n, key, sizeof key - 1));
    skive_onnx_free_bytes(ctx, written);
    skive_graph_free(graph);
    skive_graph_free(back);
    skive_graph_free(again);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_behind_branches_are_known_when_a_model_is_read),
        cmocka_unit_test(captured_values_are_written_with_the_types_they_have_now),
        cmocka_unit_test(an_empty_text_stays_empty),
        cmocka_unit_test(other_domains_keep_their_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
