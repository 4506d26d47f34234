/* Quantizing models of which a part depends on data: the part before it is quantized, the rest is unchanged and gives
 * the same results. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/skive.h>

#include "graph/graph.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

enum { ROWS = 24, IN = 8, OUT = 6 };

/* As skv_test_random, with a status for the walk over allocations. */
static skive_status numbers(skive_context *ctx, int64_t rows, int64_t cols, uint64_t seed, skive_tensor *out) {
    const int64_t dims[2] = {rows, cols};
    SKV_TRY(skive_tensor_create(ctx, SKIVE_F32, 2, dims, out));
    for (int64_t i = 0; i < rows * cols; i++) skive_tensor_set(out, i, skv_rng_uniform(seed, 1, (uint64_t)i) * 2 - 1);
    return SKIVE_OK;
}

static skive_value *param(skv_builder *b, skive_context *ctx, const char *name, int64_t rows, int64_t cols) {
    skive_tensor t = {0};
    skv_storage *storage = NULL;
    if (b->status == SKIVE_OK) b->status = numbers(ctx, rows, cols, (uint64_t)rows, &t);
    if (b->status == SKIVE_OK) b->status = skv_storage_from_tensor(ctx, &t, &storage);
    skive_tensor_free(ctx, &t);
    return b->status == SKIVE_OK ? skv_emit_param(b, name, storage) : NULL;
}

/* One way of the If: y w, or -y where there is no w; it sees the outer values. */
static void branch(skv_builder *outer, skive_node *n, const char *name, skive_value *y, skive_value *w) {
    skive_graph *g = NULL;
    skive_value *seen[2] = {y, w}, *in[2] = {NULL, NULL};
    if (outer->status == SKIVE_OK) outer->status = skive_graph_create(outer->graph->ctx, name, &g);
    if (outer->status != SKIVE_OK) return;
    g->parent = outer->graph;
    skv_builder b = skv_build(g);
    for (int i = 0; i < 2 && seen[i] && b.status == SKIVE_OK; i++) {
        b.status = skv_graph_new_value(g, seen[i]->name, &in[i]);
        if (b.status == SKIVE_OK) in[i]->outer = seen[i];
    }
    skive_value *out =
        w ? skv_emit(&b, "MatMul", SKV_IN(in[0], in[1]), SKV_NONE) : skv_emit(&b, "Neg", SKV_IN(in[0]), SKV_NONE);
    if (b.status == SKIVE_OK) b.status = skive_graph_add_output(g, out);
    if (b.status == SKIVE_OK) b.status = skv_node_set_graph_attr(n, name, g);
    if (b.status != SKIVE_OK) skive_graph_free(g);
    outer->status = b.status;
}

/* Outputs: z = If(...) w2, then y = Relu(x w1) w2, then where z is positive. w2 is read on both sides of the cut. */
static skive_status make(skive_context *ctx, skive_graph **out) {
    const int64_t dims[2] = {-1, IN};
    const skive_type type = skive_type_make(SKIVE_F32, 2, dims);
    skive_value *x = NULL, *chosen = NULL;
    skive_node *n = NULL;
    SKV_TRY(skive_graph_create(ctx, "parts", out));
    skv_builder b = skv_build(*out);
    b.status = skive_graph_add_input(*out, "x", &type, &x);
    skive_value *w1 = param(&b, ctx, "w1", IN, OUT), *w2 = param(&b, ctx, "w2", OUT, OUT);
    skive_value *r = skv_emit(&b, "Relu", SKV_IN(skv_emit(&b, "MatMul", SKV_IN(x, w1), SKV_NONE)), SKV_NONE);
    skive_value *y = skv_emit(&b, "MatMul", SKV_IN(r, w2), SKV_NONE);
    skive_value *zero = skv_emit_scalar(&b, SKIVE_F32, 0);
    skive_value *sum = skv_emit(&b, "ReduceSum", SKV_IN(x), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *condition = skv_emit(&b, "Greater", SKV_IN(sum, zero), SKV_NONE);
    if (b.status == SKIVE_OK) b.status = skv_graph_new_value(*out, "chosen", &chosen);
    if (b.status == SKIVE_OK) b.status = skv_graph_new_node(*out, "If", NULL, "choice", &condition, 1, &chosen, 1, &n);
    if (b.status == SKIVE_OK) branch(&b, n, "then_branch", y, w2);
    if (b.status == SKIVE_OK) branch(&b, n, "else_branch", y, NULL);
    skive_value *z = skv_emit(&b, "MatMul", SKV_IN(chosen, w2), SKV_NONE);
    skive_value *where = skv_emit(&b, "NonZero", SKV_IN(skv_emit(&b, "Greater", SKV_IN(y, zero), SKV_NONE)), SKV_NONE);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_rename(z, "z"));
    SKV_TRY(skv_value_rename(y, "y"));
    SKV_TRY(skv_value_rename(where, "where"));
    SKV_TRY(skive_graph_add_output(*out, z));
    SKV_TRY(skive_graph_add_output(*out, y));
    SKV_TRY(skive_graph_add_output(*out, where));
    return skive_graph_infer(*out);
}

static size_t count(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) n += strcmp(skive_node_op(g->nodes[i]), op) == 0;
    return n;
}

static skive_status quantize(skive_context *ctx, skive_graph *g, const char *skip, skive_quantize_report *r) {
    skive_tensor x = {0};
    *r = (skive_quantize_report){0};
    SKV_TRY(numbers(ctx, ROWS, IN, 5, &x));
    skive_quantize_options o = skive_quantize_options_default();
    o.calibration = "minmax";
    o.skip = &skip;
    o.n_skip = skip ? 1 : 0;
    const skive_status status = skive_quantize_arrays(ctx, g, &x, 1, &o, r);
    skive_tensor_free(ctx, &x);
    return status;
}

static bool is_left(const skive_quantize_report *r, const char *op, const char *reason) {
    for (size_t i = 0; i < r->n_left; i++)
        if (strcmp(r->left[i].op, op) == 0 && strstr(r->left[i].reason, reason)) return true;
    return false;
}

/* Both ways of the If, by inputs of either sign. */
static void same_answers(skive_context *ctx, const skive_graph *before, const skive_graph *after) {
    const int64_t dims[2] = {3, IN};
    for (int sign = 0; sign < 2; sign++) {
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 2, dims, 9, sign ? -1 : -0.5, sign ? 0.5 : 1);
        skive_tensor a[3], b[3];
        skv_test_ok(ctx, skive_graph_run(ctx, before, &x, 1, a, 3));
        skv_test_ok(ctx, skive_graph_run(ctx, after, &x, 1, b, 3));
        for (int i = 0; i < 2; i++) skv_test_tensors(&b[i], &a[i], 0.03, 0.1);
        assert_int_equal(b[2].dtype, SKIVE_I64);
        assert_int_equal(b[2].dims[0], 2);
        for (int i = 0; i < 3; i++) {
            skive_tensor_free(ctx, &a[i]);
            skive_tensor_free(ctx, &b[i]);
        }
        skive_tensor_free(ctx, &x);
    }
}

static void the_static_part_becomes_integers(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *before = NULL;
    skive_quantize_report r;
    skv_test_ok(ctx, make(ctx, &g));
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    skv_test_ok(ctx, quantize(ctx, g, NULL, &r));
    skv_test_ok(ctx, skive_graph_check(g));
    assert_int_equal(r.n_quantized, 2);
    assert_int_equal(count(g, "QuantizeLinear"), 2);
    assert_true(is_left(&r, "If", "depends on data"));
    assert_true(is_left(&r, "NonZero", "its output shape depends on data"));
    assert_true(is_left(&r, "MatMul", "follows"));
    assert_int_equal(g->n_outputs, 3);
    for (uint32_t i = 0; i < 3; i++) assert_string_equal(g->outputs[i]->name, before->outputs[i]->name);
    assert_int_equal(skive_context_note_count(ctx), 1);
    assert_non_null(strstr(skive_context_note(ctx, 0), "'choice' (If)"));
    same_answers(ctx, before, g);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(before);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Names of nodes on either side of the cut are known, others are not; a refusal leaves the graph as it was. */
static void skipped_by_name(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_quantize_report r;
    skv_test_ok(ctx, make(ctx, &g));
    const size_t nodes = g->n_nodes;
    skv_test_fails(ctx, quantize(ctx, g, "chioce", &r), SKIVE_ERR_NOT_FOUND, "'choice'");
    assert_int_equal(g->n_nodes, nodes);
    assert_int_equal(count(g, "QuantizeLinear"), 0);
    skv_test_ok(ctx, quantize(ctx, g, "choice", &r));
    assert_int_equal(r.n_quantized, 2);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status make_and_quantize(skive_context *ctx, void *unused) {
    (void)unused;
    skive_graph *g = NULL;
    skive_quantize_report r = {0};
    skive_status status = make(ctx, &g);
    if (status == SKIVE_OK) status = quantize(ctx, g, NULL, &r);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    return status;
}

static void out_of_memory(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(make_and_quantize, NULL, 13) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_static_part_becomes_integers),
                                       cmocka_unit_test(skipped_by_name), cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
