/* Weights in the bodies of If: listed with their path, pruned, shared, quantized and packed where that is sound, and
 * otherwise told with the reason. The model's outputs are compared with what the changed weights give by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <skive/coupling.h>
#include <skive/factorize.h>
#include <skive/session.h>
#include <skive/skive.h>

#include "graph/weights.h"
#include "support.h"
#include "tensor/tensor.h"

enum { ROWS = 3, WIDE = 16, OUT = 8 };

/* input c (bool), x [3][16]; If c: then y = x * then.w, else { If c: x * nested.w, else x * around.w } */
typedef struct net {
    skive_context *ctx;
    skive_graph *g;
    skive_value *c, *x, *around;
} net;

static skive_value *parameter(net *n, skv_builder *b, const char *name, uint64_t seed) {
    skive_tensor t = skv_test_random(n->ctx, SKIVE_F32, 2, (const int64_t[]){WIDE, OUT}, seed, -1, 1);
    skv_storage *storage = NULL;
    skv_test_ok(n->ctx, skv_storage_take(n->ctx, &t, &storage));
    return skv_emit_param(b, name, storage);
}

static skive_graph *body(net *n, skive_graph *parent, skv_builder *b) {
    skive_graph *g = NULL;
    skv_test_ok(n->ctx, skive_graph_create(n->ctx, "body", &g));
    g->parent = parent;
    *b = skv_build(g);
    return g;
}

static skive_value *outer(net *n, skv_builder *b, skive_value *v) {
    skive_value *own = NULL;
    skv_test_ok(n->ctx, skv_graph_new_value(b->graph, v->name, &own));
    own->outer = v;
    own->type = v->type;
    return own;
}

static skive_value *branch(net *n, skive_graph *g, const char *name, skive_value *c, skive_graph *yes,
                           skive_graph *no) {
    skive_value *y = NULL;
    skive_node *node = NULL;
    skv_test_ok(n->ctx, skv_graph_new_value(g, NULL, &y));
    skv_test_ok(n->ctx, skv_graph_new_node(g, "If", NULL, name, &c, 1, &y, 1, &node));
    skv_test_ok(n->ctx, skv_node_set_graph_attr(node, "then_branch", yes));
    skv_test_ok(n->ctx, skv_node_set_graph_attr(node, "else_branch", no));
    return y;
}

/* A product of the value around with a weight, as the body's only output. */
static skive_graph *product(net *n, skive_graph *parent, skive_value *x, skive_value *captured, const char *name,
                            uint64_t seed) {
    skv_builder b;
    skive_graph *g = body(n, parent, &b);
    skive_value *w = captured ? outer(n, &b, captured) : parameter(n, &b, name, seed);
    skive_value *y = skv_emit(&b, "MatMul", SKV_IN(outer(n, &b, x), w), SKV_NONE);
    skv_test_ok(n->ctx, b.status);
    skv_test_ok(n->ctx, skive_graph_add_output(g, y));
    return g;
}

static net make(void) {
    net n = {.ctx = skv_test_context()};
    const skive_type yes_no = skive_type_make(SKIVE_BOOL, 0, NULL),
                     matrix = skive_type_make(SKIVE_F32, 2, (const int64_t[]){ROWS, WIDE});
    skv_test_ok(n.ctx, skive_graph_create(n.ctx, "g", &n.g));
    skv_test_ok(n.ctx, skive_graph_add_input(n.g, "c", &yes_no, &n.c));
    skv_test_ok(n.ctx, skive_graph_add_input(n.g, "x", &matrix, &n.x));
    skv_builder b = skv_build(n.g), inner;
    n.around = parameter(&n, &b, "around.w", 3);
    skive_graph *yes = product(&n, n.g, n.x, NULL, "then.w", 1), *no = body(&n, n.g, &inner);
    skive_value *x = outer(&n, &inner, n.x), *c = outer(&n, &inner, n.c), *w = outer(&n, &inner, n.around);
    skive_value *y =
        branch(&n, no, "nested", c, product(&n, no, x, NULL, "nested.w", 2), product(&n, no, x, w, NULL, 0));
    skv_test_ok(n.ctx, skive_graph_add_output(no, y));
    skv_test_ok(n.ctx, skive_graph_add_output(n.g, branch(&n, n.g, "choice", n.c, yes, no)));
    skv_test_ok(n.ctx, skv_graph_infer_nested(n.g));
    skv_test_ok(n.ctx, skive_graph_check(n.g));
    return n;
}

static void end(net *n) {
    skive_graph_free(n->g);
    skv_test_context_end(n->ctx);
}

static const skive_tensor *weight(const net *n, const char *name) {
    const skive_value *v = skv_find_value_anywhere(n->g, name);
    assert_non_null(v);
    return skv_value_tensor(v);
}

/* The output for x = 1, 2, 3 ... in the first row and its halves and thirds below: sums of rows of the weight. */
static void run(net *n, const skive_graph *g, bool c, float y[ROWS][OUT]) {
    float x[ROWS][WIDE];
    skive_session *s = NULL;
    skive_tensor out;
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < WIDE; k++) x[r][k] = (float)(k + 1) / (float)(r + 1);
    skive_tensor in[2] = {skv_tensor_view(SKIVE_BOOL, 0, NULL, &c),
                          skv_tensor_view(SKIVE_F32, 2, (const int64_t[]){ROWS, WIDE}, x)};
    skv_test_ok(n->ctx, skive_session_create(n->ctx, g, NULL, &s));
    skv_test_ok(n->ctx, skive_session_run(s, in, 2, &out, 1));
    memcpy(y, out.data, sizeof(float[ROWS][OUT]));
    skive_session_free(s);
    skive_tensor_free(n->ctx, &out);
}

/* What the graph gives is what these weights give. */
static void expect_product(net *n, const skive_graph *g, bool c, const float *w, double tolerance) {
    float y[ROWS][OUT];
    run(n, g, c, y);
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < OUT; o++) {
            double sum = 0;
            for (int k = 0; k < WIDE; k++) sum += (double)(k + 1) / (r + 1) * (double)w[k * OUT + o];
            assert_true(fabs(sum - (double)y[r][o]) <= tolerance);
        }
}

static void listed_with_path(void **state) {
    static const char *const want[][2] = {{"then.w", "choice/then_branch/MatMul_0"},
                                          {"nested.w", "choice/else_branch/nested/then_branch/MatMul_0"},
                                          {"around.w", "choice/else_branch/nested/else_branch/MatMul_0"}};
    net n = make();
    skv_weight *w = NULL;
    size_t count = 0;
    (void)state;
    skv_test_ok(n.ctx, skv_weights(n.ctx, n.g, &w, &count));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        skv_test_ok(n.ctx, skv_node_path(n.ctx, w[i].node, &path));
        assert_string_equal(w[i].value->name, want[i][0]);
        assert_string_equal(path, want[i][1]);
        assert_true(skv_weight_in_body(&w[i]));
        assert_int_equal(w[i].view.in, WIDE);
        assert_int_equal(w[i].view.out, OUT);
        skv_free(n.ctx, path);
    }
    assert_ptr_equal(w[2].value, n.around);
    skv_free(n.ctx, w);
    end(&n);
}

static int64_t zeros_of(const skive_tensor *t) {
    int64_t n = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) n += ((const float *)t->data)[i] == 0;
    return n;
}

static void pruned(void **state) {
    net n = make();
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report r = {0};
    float before[WIDE * OUT], largest = 0, least = 2;
    (void)state;
    memcpy(before, weight(&n, "then.w")->data, sizeof before);
    o.sparsity = 0.5;
    skv_test_ok(n.ctx, skive_prune(n.ctx, n.g, NULL, NULL, &o, &r));
    assert_int_equal(r.n_layers, 3);
    assert_int_equal(r.count, 3 * WIDE * OUT);
    assert_int_equal(r.kept, 3 * WIDE * OUT / 2);
    assert_string_equal(r.layers[0].node, "choice/then_branch/MatMul_0");
    assert_int_equal(zeros_of(weight(&n, "then.w")) + zeros_of(weight(&n, "nested.w")) +
                         zeros_of(weight(&n, "around.w")),
                     3 * WIDE * OUT / 2);
    /* What went is smaller than what stayed, which has not changed. */
    const float *after = weight(&n, "then.w")->data;
    for (int i = 0; i < WIDE * OUT; i++) {
        const float m = fabsf(before[i]);
        assert_true(after[i] == 0 || after[i] == before[i]);
        if (after[i] == 0 && m > largest) largest = m;
        if (after[i] != 0 && m < least) least = m;
    }
    assert_true(largest > 0 && largest <= least);
    expect_product(&n, n.g, true, after, 1e-4);
    expect_product(&n, n.g, false, weight(&n, "around.w")->data, 1e-4);
    skive_prune_report_free(n.ctx, &r);
    /* A dry run says the same of another share, and does nothing. */
    o.sparsity = 0.75;
    o.dry_run = true;
    skv_test_ok(n.ctx, skive_prune(n.ctx, n.g, NULL, NULL, &o, &r));
    assert_int_equal(r.kept, 3 * WIDE * OUT / 4);
    assert_int_equal(zeros_of(weight(&n, "then.w")) + zeros_of(weight(&n, "nested.w")) +
                         zeros_of(weight(&n, "around.w")),
                     3 * WIDE * OUT / 2);
    skive_prune_report_free(n.ctx, &r);
    end(&n);
}

/* A criterion that needs data, and the removal of channels, do not reach a body. */
static void not_pruned_with_reasons(void **state) {
    net n = make();
    skive_prune_options o = skive_prune_options_default();
    skive_coupling *k = NULL;
    skive_coupling_layer l;
    (void)state;
    o.sparsity = 0.5;
    o.criterion = "wanda";
    skv_test_fails(n.ctx, skive_prune(n.ctx, n.g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "training set");
    o.criterion = "synflow";
    skv_test_fails(n.ctx, skive_prune(n.ctx, n.g, NULL, NULL, &o, NULL), SKIVE_ERR_UNSUPPORTED, "body of an If");
    skv_test_ok(n.ctx, skive_coupling_create(n.g, &k));
    assert_int_equal(skive_coupling_layer_count(k), 3);
    assert_true(skive_coupling_layer_get(k, 0, &l));
    assert_int_equal(l.count, OUT);
    assert_int_equal(l.removable, 0);
    assert_non_null(l.why);
    skive_coupling_free(k);
    end(&n);
}

static void shared(void **state) {
    net n = make();
    skive_share_options o = skive_share_options_default();
    skive_share_report r = {0};
    (void)state;
    o.bits = 2;
    skv_test_ok(n.ctx, skive_share(n.ctx, n.g, NULL, NULL, &o, &r));
    assert_int_equal(r.n_layers, 3);
    assert_null(r.layers[0].refused);
    assert_null(r.layers[1].refused);
    assert_non_null(strstr(r.layers[2].refused, "reads it from outside"));
    skive_share_report_free(n.ctx, &r);
    skv_test_ok(n.ctx, skive_graph_check(n.g));
    const skive_tensor *codebook = weight(&n, "then.w.codebook"), *indices = weight(&n, "then.w.indices");
    assert_true(skive_tensor_count(codebook) <= 4);
    float w[WIDE * OUT];
    for (int i = 0; i < WIDE * OUT; i++) w[i] = ((const float *)codebook->data)[((const uint8_t *)indices->data)[i]];
    expect_product(&n, n.g, true, w, 1e-4);
    /* Written as plain weights they are the same numbers. */
    net other = make();
    o.plain = true;
    skv_test_ok(other.ctx, skive_share(other.ctx, other.g, NULL, NULL, &o, NULL));
    assert_memory_equal(weight(&other, "then.w")->data, w, sizeof w);
    end(&other);
    end(&n);
    n = make();
    o.one_codebook = true;
    skv_test_fails(n.ctx, skive_share(n.ctx, n.g, NULL, NULL, &o, NULL), SKIVE_ERR_UNSUPPORTED, "one codebook");
    end(&n);
}

static void check_close(net *n, const float *w, bool c) {
    double most = 0;
    for (int i = 0; i < WIDE * OUT; i++) most = fmax(most, fabs((double)w[i]));
    /* Each weight is off by half a step at most, and each x is at most WIDE. */
    expect_product(n, n->g, c, w, most / 127 / 2 * WIDE * (WIDE + 1) / 2 * 1.01);
}

static void quantized(void **state) {
    net n = make();
    skive_quantize_report r = {0};
    float then[WIDE * OUT], around[WIDE * OUT];
    void *bytes = NULL;
    size_t size = 0;
    (void)state;
    memcpy(then, weight(&n, "then.w")->data, sizeof then);
    memcpy(around, weight(&n, "around.w")->data, sizeof around);
    skv_test_ok(n.ctx, skive_quantize_weights(n.ctx, n.g, "int8", NULL, &r));
    assert_int_equal(r.n_quantized, 3);
    assert_int_equal(r.n_left, 0);
    skive_quantize_report_free(n.ctx, &r);
    skv_test_ok(n.ctx, skive_graph_check(n.g));
    check_close(&n, then, true);
    check_close(&n, around, false);
    /* The old weights are gone from the file, and it gives the same. */
    skive_graph *back = NULL;
    float y[ROWS][OUT], z[ROWS][OUT];
    skv_test_ok(n.ctx, skive_onnx_serialize(n.ctx, n.g, NULL, &bytes, &size));
    assert_true(size < 3 * WIDE * OUT * sizeof(float));
    skv_test_ok(n.ctx, skive_onnx_parse(n.ctx, bytes, size, NULL, NULL, &back));
    skive_onnx_free_bytes(n.ctx, bytes);
    run(&n, n.g, true, y);
    run(&n, back, true, z);
    assert_memory_equal(y, z, sizeof y);
    skive_graph_free(back);
    skv_test_ok(n.ctx, skive_pack_serialize(n.ctx, n.g, NULL, &bytes, &size, NULL));
    skv_test_ok(n.ctx, skive_pack_parse(n.ctx, bytes, size, NULL, &back, NULL));
    skive_pack_free_bytes(n.ctx, bytes);
    run(&n, back, true, z);
    assert_memory_equal(y, z, sizeof y);
    skive_graph_free(back);
    end(&n);
}

static void quantized_while_it_runs(void **state) {
    net n = make();
    skive_quantize_report r = {0};
    float y[ROWS][OUT], z[ROWS][OUT];
    (void)state;
    run(&n, n.g, true, y);
    skv_test_ok(n.ctx, skive_quantize_dynamic(n.ctx, n.g, NULL, &r));
    assert_int_equal(r.n_quantized, 3); /* the third weight is read from outside the body */
    assert_int_equal(r.n_left, 0);
    skive_quantize_report_free(n.ctx, &r);
    skv_test_ok(n.ctx, skive_graph_check(n.g));
    run(&n, n.g, true, z);
    double signal = 0, noise = 0;
    for (int row = 0; row < ROWS; row++)
        for (int o = 0; o < OUT; o++) {
            const double want = (double)y[row][o], off = (double)z[row][o] - want;
            signal += want * want;
            noise += off * off;
        }
    assert_true(noise > 0 && noise < 1e-3 * signal);
    end(&n);
}

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n) {
    const bool *both = user;
    (void)n;
    if (index == 24) return SKIVE_ERR_NOT_FOUND;
    *(bool *)inputs[0].data = !*both || index % 2 == 0;
    for (int64_t i = 0; i < skive_tensor_count(&inputs[1]); i++)
        skive_tensor_set(&inputs[1], i, skv_rng_uniform(7, (uint64_t)index, (uint64_t)i) * (ROWS + 13));
    return SKIVE_OK;
}

/* Weights of the branches, one nested and one read from outside it. A branch that no sample takes stays in float and is
 * told. */
static void quantized_with_samples(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        net n = make();
        skive_quantize_report r = {0};
        skive_quantize_options o = skive_quantize_options_default();
        bool both = k == 1;
        float y[2][ROWS][OUT], z[2][ROWS][OUT];
        for (int c = 0; c < 2; c++) run(&n, n.g, c, y[c]);
        skv_test_ok(n.ctx, skive_quantize_feed(n.ctx, n.g, feed, &both, &o, &r));
        skv_test_ok(n.ctx, skive_graph_check(n.g));
        /* The nested If has the condition of the one around it: its first branch is never taken. */
        assert_int_equal(r.n_quantized, both ? 2 : 1);
        bool told = false;
        for (size_t i = 0; i < r.n_left; i++)
            if (strcmp(r.left[i].op, "MatMul") == 0) {
                told = true;
                assert_non_null(strstr(r.left[i].reason, "no calibration run took the path"));
                assert_int_equal(r.left[i].n_nodes, both ? 1 : 2);
                assert_int_equal(r.left[i].n_weights, both ? WIDE * OUT : 2 * WIDE * OUT);
            }
        assert_true(told);
        for (int c = 0; c < 2; c++) run(&n, n.g, c, z[c]);
        for (int c = 0; c < 2; c++) {
            double signal = 0, noise = 0;
            for (int i = 0; i < ROWS * OUT; i++) {
                const double want = (double)(&y[c][0][0])[i], off = (double)(&z[c][0][0])[i] - want;
                signal += want * want;
                noise += off * off;
            }
            assert_true(noise < 1e-3 * signal);
            assert_true((noise > 0) == (c == 1 || both));
        }
        skive_quantize_report_free(n.ctx, &r);
        end(&n);
    }
}

static void left_alone_with_reasons(void **state) {
    net n = make();
    skive_factorize_options o = skive_factorize_options_default();
    (void)state;
    o.params = "0.5";
    skv_test_fails(n.ctx, skive_factorize(n.ctx, n.g, NULL, NULL, &o, NULL), SKIVE_ERR_UNSUPPORTED, "");
    end(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_with_path),
        cmocka_unit_test(pruned),
        cmocka_unit_test(not_pruned_with_reasons),
        cmocka_unit_test(shared),
        cmocka_unit_test(quantized),
        cmocka_unit_test(quantized_while_it_runs),
        cmocka_unit_test(quantized_with_samples),
        cmocka_unit_test(left_alone_with_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
