/* Whole networks after a part of the channels of every family is removed, against the same network with these channels
 * masked (shrink_fixtures.h): the built-in ones, and one for each structure that other tools break on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <skive/session.h>
#include <skive/zoo.h>

#include "passes/pass.h"
#include "shrink_fixtures.h"
#include "support.h"

#include <cmocka.h>

typedef struct net {
    skive_context *ctx;
    skive_graph *g;
    skv_builder b;
    uint64_t seed;
} net;

static net begin(void) {
    net n = {.ctx = skv_test_context(), .seed = 1};
    skv_test_ok(n.ctx, skive_graph_create(n.ctx, "net", &n.g));
    n.b = skv_build(n.g);
    return n;
}

#define DIMS(...) \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }

static skive_value *input(net *n, int rank, const int64_t *dims) {
    const skive_type t = skive_type_make(SKIVE_F32, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(n->ctx, skive_graph_add_input(n->g, NULL, &t, &v));
    return v;
}

static skive_value *param(net *n, const char *name, int rank, const int64_t *dims) {
    skive_tensor t = skv_test_random(n->ctx, SKIVE_F32, rank, dims, n->seed++, -0.7, 0.7);
    skive_value *v = NULL;
    skv_test_ok(n->ctx, skive_graph_add_parameter(n->g, name, &t, &v));
    skive_tensor_free(n->ctx, &t);
    return v;
}

#define EMIT(op, ...)             skv_emit(&n.b, op, SKV_IN(__VA_ARGS__), SKV_NONE)
#define EMIT_WITH(attrs, op, ...) skv_emit(&n.b, op, SKV_IN(__VA_ARGS__), SKV_ATTRS attrs)
#define INTS(...) \
    skv_emit_ints(&n.b, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static int64_t open_size = 2; /* of inputs whose size is open */

static void run(skive_context *ctx, const skive_graph *g, skive_tensor *out, size_t n_out) {
    skive_session *s = NULL;
    skive_tensor in[4];
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const skive_type *t = &g->inputs[i]->type;
        int64_t dims[SKIVE_MAX_RANK];
        for (int d = 0; d < t->rank; d++) dims[d] = t->dims[d].size < 0 ? open_size : t->dims[d].size;
        in[i] = skv_test_random(ctx, t->dtype, t->rank, dims, 77 + i, -1, 1);
    }
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &s));
    skv_test_ok(ctx, skive_session_run(s, in, g->n_inputs, out, n_out));
    skive_session_free(s);
    for (uint32_t i = 0; i < g->n_inputs; i++) skive_tensor_free(ctx, &in[i]);
}

/* Largest difference of the outputs, relative to the largest output. */
static double compare(skive_context *ctx, const skive_graph *a, const skive_graph *b) {
    skive_tensor x[4] = {{0}}, y[4] = {{0}};
    double worst = 0;
    assert_true(a->n_outputs <= 4 && a->n_outputs == b->n_outputs);
    run(ctx, a, x, a->n_outputs);
    run(ctx, b, y, b->n_outputs);
    for (uint32_t o = 0; o < a->n_outputs; o++) {
        double most = 0, gap = 0;
        assert_true(skv_dims_equal(x[o].rank, x[o].dims, y[o].rank, y[o].dims));
        for (int64_t e = 0; e < skive_tensor_count(&x[o]); e++) {
            const double p = skive_tensor_get(&x[o], e), q = skive_tensor_get(&y[o], e);
            assert_true(isfinite(p) && isfinite(q));
            most = fmax(most, fabs(q));
            gap = fmax(gap, fabs(p - q));
        }
        assert_true(most > 0);
        worst = fmax(worst, gap / most);
        skive_tensor_free(ctx, &x[o]);
        skive_tensor_free(ctx, &y[o]);
    }
    return worst;
}

static int64_t parameters(const skive_graph *g) {
    skive_cost cost;
    assert_int_equal(skive_graph_cost(g, &cost), SKIVE_OK);
    return cost.parameters;
}

static void remove_and_compare(skive_context *ctx, const skive_graph *g, const skive_coupling *k, const size_t *list,
                               size_t n, const char *what) {
    skive_graph *masked = NULL, *small = NULL;
    skive_coupling *again = NULL;
    bool known = false;
    skv_test_ok(ctx, mask_graph(g, k, list, n, &masked, &known));
    assert_true(known);
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &small));
    skv_test_ok(ctx, skive_coupling_create(small, &again)); /* numbers its channels in the same way */
    assert_int_equal(skive_coupling_count(again), skive_coupling_count(k));
    skv_test_ok(ctx, skive_graph_remove_channels(small, again, list, n));
    assert_true(parameters(small) < parameters(g));
    const double gap = compare(ctx, small, masked);
    if (!(gap <= 1e-5)) fail_msg("%s: %zu channels removed: differs by %g of the largest output", what, n, gap);
    skive_coupling_free(again);
    skive_graph_free(masked);
    skive_graph_free(small);
}

/* Removes a part of all families at once and of each family alone. At least `families` kinds of channels there are. */
static void try_graph(skive_context *ctx, const skive_graph *g, int families, const char *what) {
    skive_coupling *k = NULL;
    skv_test_ok(ctx, skive_coupling_create(g, &k));
    const size_t count = skive_coupling_count(k);
    size_t *list = calloc(count + 1, sizeof *list), *one = calloc(count + 1, sizeof *one);
    int found = 0;
    assert_true(list && one);
    for (size_t i = 0; i < count; i++) {
        int family;
        skive_coupling_get(k, i, NULL, NULL, &family);
        if (family >= found) found = family + 1;
    }
    if (found < families) fail_msg("%s: %d kinds of channels, expected %d", what, found, families);
    for (uint64_t seed = 0; seed < 2; seed++) {
        const size_t n = choose_channels(k, seed ? 0.5 : 0.25, seed, 1, list);
        assert_true(n > 0);
        remove_and_compare(ctx, g, k, list, n, what);
    }
    const size_t n = choose_channels(k, 0.4, 9, 1, list);
    for (int f = 0; f < found && found <= 12; f++) {
        size_t m = 0;
        for (size_t i = 0; i < n; i++) {
            int family;
            skive_coupling_get(k, list[i], NULL, NULL, &family);
            if (family == f) one[m++] = list[i];
        }
        if (m > 0) remove_and_compare(ctx, g, k, one, m, what);
    }
    free(list);
    free(one);
    skive_coupling_free(k);
}

static void end(net *n, skive_value *y, int families, const char *what) {
    skv_test_ok(n->ctx, n->b.status);
    skv_test_ok(n->ctx, skive_graph_add_output(n->g, y));
    skv_test_ok(n->ctx, skive_graph_infer(n->g));
    try_graph(n->ctx, n->g, families, what);
    skive_graph_free(n->g);
    skv_test_context_end(n->ctx);
}

/* ---- networks ---- */

static skive_value *linear(net *n, skive_value *x, int64_t from, int64_t to) {
    skive_value *y = skv_emit(&n->b, "MatMul", SKV_IN(x, param(n, NULL, DIMS(from, to))), SKV_NONE);
    return skv_emit(&n->b, "Add", SKV_IN(y, param(n, NULL, DIMS(to))), SKV_NONE);
}

static skive_value *normalise(net *n, skive_value *x, int64_t size) {
    return skv_emit(&n->b, "LayerNormalization", SKV_IN(x, param(n, NULL, DIMS(size)), param(n, NULL, DIMS(size))),
                    SKV_NONE);
}

/* An encoder with attention written out: the embedding, heads, their width, and the inner width can all be smaller. */
static void transformer(void **state) {
    enum { T = 5, E = 12, H = 3, W = 4, F = 16 };
    const int64_t by_head[] = {0, 2, 1, 3}, turned[] = {0, 2, 3, 1};
    net n = begin();
    (void)state;
    skive_value *x = linear(&n, input(&n, DIMS(2, T, 6)), 6, E), *part[3];
    skive_value *normed = normalise(&n, x, E);
    for (int i = 0; i < 3; i++) {
        part[i] = EMIT("Reshape", linear(&n, normed, E, H * W), INTS(0, 0, H, W));
        part[i] = EMIT_WITH((SKV_INTS("perm", i == 1 ? turned : by_head, 4)), "Transpose", part[i]);
    }
    skive_value *scores = EMIT("Mul", EMIT("MatMul", part[0], part[1]), skv_emit_scalar(&n.b, SKIVE_F32, 0.5));
    skive_value *y = EMIT("MatMul", EMIT_WITH((SKV_INT("axis", -1)), "Softmax", scores), part[2]);
    y = EMIT("Reshape", EMIT_WITH((SKV_INTS("perm", by_head, 4)), "Transpose", y), INTS(0, 0, H * W));
    x = EMIT("Add", x, linear(&n, y, H * W, E));
    y = linear(&n, EMIT("Gelu", linear(&n, normalise(&n, x, E), E, F)), F, E);
    x = normalise(&n, EMIT("Add", x, y), E);
    y = EMIT_WITH((SKV_INT("keepdims", 0)), "ReduceMean", x, INTS(1));
    /* embedding, head, width of queries and keys, width of values, inner width */
    end(&n, linear(&n, y, E, 4), 5, "transformer");
}

static skive_value *size_at(net *n, skive_value *sizes, int64_t axis) {
    return skv_emit(&n->b, "Gather", SKV_IN(sizes, skv_emit_ints(&n->b, &axis, 1)), SKV_NONE);
}

static skive_value *list_of(net *n, skive_value *a, skive_value *b, skive_value *c) {
    return skv_emit(&n->b, "Concat", SKV_IN(a, b, c), SKV_ATTRS(SKV_INT("axis", 0)));
}

/* A vision transformer as exporters write it with an open batch: lists of sizes that are computed, a class token that
 * is repeated for each sample, positions, steps in front of the batch, heads within an axis that is open, a scale that
 * is computed from the width. */
static void open_batch(void **state) {
    enum { E = 12, H = 3, W = 4, F = 10, STEPS = 5 };
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "batch"}, {2, NULL}, {4, NULL}, {4, NULL}}};
    const int64_t strides[2] = {2, 2}, swapped[] = {0, 2, 1}, steps_first[] = {1, 0, 2}, turned[] = {1, 2, 0},
                  heads_first[] = {1, 0, 2};
    net n = begin();
    skive_value *input = NULL, *part[3];
    (void)state;
    skv_test_ok(n.ctx, skive_graph_add_input(n.g, "x", &type, &input));
    skive_value *batch = size_at(&n, EMIT("Shape", input), 0);
    skive_value *x = EMIT_WITH((SKV_INTS("strides", strides, 2)), "Conv", input, param(&n, NULL, DIMS(E, 2, 2, 2)),
                               param(&n, NULL, DIMS(E)));
    x = EMIT("Reshape", x, list_of(&n, batch, INTS(E), INTS(STEPS - 1)));
    x = EMIT_WITH((SKV_INTS("perm", swapped, 3)), "Transpose", x);
    skive_value *list = list_of(&n, size_at(&n, EMIT("Shape", x), 0), INTS(-1), INTS(-1));
    list = EMIT("Where", EMIT("Equal", list, INTS(-1, -1, -1)), INTS(1, 1, 1), list);
    skive_value *token = EMIT("Expand", param(&n, "token", DIMS(1, 1, E)), list);
    x = EMIT_WITH((SKV_INT("axis", 1)), "Concat", token, x);
    x = EMIT("Add", x, param(&n, "positions", DIMS(1, STEPS, E)));
    skive_value *y = EMIT_WITH((SKV_INTS("perm", steps_first, 3)), "Transpose", normalise(&n, x, E));
    skive_value *sizes = EMIT("Shape", y), *all = EMIT("Mul", size_at(&n, sizes, 1), INTS(H));
    skive_value *width = EMIT("Div", size_at(&n, sizes, 2), INTS(H));
    for (int i = 0; i < 3; i++) {
        part[i] = EMIT("Reshape", linear(&n, y, E, H * W), list_of(&n, INTS(STEPS), all, width));
        part[i] = EMIT_WITH((SKV_INTS("perm", i == 1 ? turned : heads_first, 3)), "Transpose", part[i]);
    }
    skive_value *root = EMIT("Sqrt", EMIT_WITH((SKV_INT("to", SKIVE_F32)), "Cast", width));
    skive_value *scores = EMIT("Div", EMIT("MatMul", part[0], part[1]), root);
    y = EMIT("MatMul", EMIT_WITH((SKV_INT("axis", -1)), "Softmax", scores), part[2]);
    y = EMIT_WITH((SKV_INTS("perm", heads_first, 3)), "Transpose", y);
    y = EMIT("Reshape", y, list_of(&n, INTS(STEPS), size_at(&n, sizes, 1), INTS(H * W)));
    y = EMIT_WITH((SKV_INTS("perm", steps_first, 3)), "Transpose", linear(&n, y, H * W, E));
    x = EMIT("Add", x, y);
    x = EMIT("Add", x, linear(&n, EMIT("Gelu", linear(&n, normalise(&n, x, E), E, F)), F, E));
    y = EMIT_WITH((SKV_INT("axis", 1)), "Gather", normalise(&n, x, E), skv_emit_scalar(&n.b, SKIVE_I64, 0));
    y = linear(&n, y, E, 4);
    skv_test_ok(n.ctx, n.b.status);
    skv_test_ok(n.ctx, skive_graph_add_output(n.g, y));
    skv_test_ok(n.ctx, skive_graph_infer(n.g));
    skv_test_ok(n.ctx, skv_pass_plain_channels(n.ctx, n.g));
    assert_true(n.g->outputs[0]->type.rank == 2 && n.g->outputs[0]->type.dims[0].size < 0);
    for (open_size = 1; open_size <= 3; open_size += 2) /* embedding, widths of queries and values, inner width */
        try_graph(n.ctx, n.g, 4, "open batch");
    open_size = 2;
    skive_graph_free(n.g);
    skv_test_context_end(n.ctx);
}

/* One product for queries, keys and values, divided by Split; and fused attention with grouped queries. */
static void attention(void **state) {
    enum { T = 4, W = 6, Q = 4, KV = 2 };
    net n = begin();
    skive_value *part[3] = {NULL}, *y;
    (void)state;
    skive_value *x = input(&n, DIMS(2, T, 5));
    skv_emit_n(&n.b, "Split", SKV_IN(linear(&n, x, 5, (Q + 2 * KV) * W), INTS(Q * W, KV * W, KV * W)),
               SKV_ATTRS(SKV_INT("axis", 2)), part, 3);
    skive_value *cosine = param(&n, "cos", DIMS(8, W / 2)), *sine = param(&n, "sin", DIMS(8, W / 2));
    skive_value *places = INTS(0, 1, 2, 3, 0, 1, 2, 3);
    places = EMIT("Reshape", places, INTS(2, T));
    part[0] = EMIT_WITH((SKV_INT("num_heads", Q)), "RotaryEmbedding", part[0], cosine, sine, places);
    part[1] = EMIT_WITH((SKV_INT("num_heads", KV)), "RotaryEmbedding", part[1], cosine, sine, places);
    y = EMIT_WITH((SKV_INT("q_num_heads", Q), SKV_INT("kv_num_heads", KV)), "Attention", part[0], part[1], part[2]);
    /* a head of keys, a query of each group, pairs of the width, width of values */
    end(&n, linear(&n, y, Q * W, 3), 4, "attention");
}

static skive_value *conv(net *n, skive_value *x, int64_t from, int64_t to, int64_t group, int64_t window) {
    const int64_t pads[] = {window / 2, window / 2, window / 2, window / 2};
    return skv_emit(&n->b, "Conv",
                    SKV_IN(x, param(n, NULL, DIMS(to, from / group, window, window)), param(n, NULL, DIMS(to))),
                    SKV_ATTRS(SKV_INT("group", group), SKV_INTS("pads", pads, 4)));
}

static void shuffle(void **state) {
    const int64_t perm[] = {0, 2, 1, 3, 4};
    net n = begin();
    (void)state;
    skive_value *x = EMIT("Relu", conv(&n, input(&n, DIMS(1, 3, 6, 6)), 3, 12, 1, 3));
    skive_value *y = conv(&n, x, 12, 12, 3, 1);
    y = EMIT("Reshape", y, INTS(1, 3, 4, 6, 6));
    y = EMIT("Reshape", EMIT_WITH((SKV_INTS("perm", perm, 5)), "Transpose", y), INTS(1, 12, 6, 6));
    y = conv(&n, EMIT("Relu", conv(&n, y, 12, 12, 12, 3)), 12, 12, 3, 1);
    y = conv(&n, EMIT_WITH((SKV_INT("axis", 1)), "Concat", x, y), 24, 5, 1, 1);
    end(&n, y, 2, "channel shuffle");
}

static void groups(void **state) {
    net n = begin();
    (void)state;
    skive_value *x = conv(&n, input(&n, DIMS(2, 3, 4, 4)), 3, 8, 1, 3);
    x = EMIT_WITH((SKV_INT("num_groups", 2)), "GroupNormalization", x, param(&n, NULL, DIMS(8)),
                  param(&n, NULL, DIMS(8)));
    x = EMIT("Relu", conv(&n, x, 8, 12, 4, 3));
    const int64_t strides[] = {2, 2};
    x = EMIT_WITH((SKV_INT("group", 3), SKV_INTS("strides", strides, 2)), "ConvTranspose", x,
                  param(&n, NULL, DIMS(12, 4, 2, 2)), param(&n, NULL, DIMS(12)));
    x = EMIT("InstanceNormalization", x, param(&n, NULL, DIMS(12)), param(&n, NULL, DIMS(12)));
    x = conv(&n, x, 12, 24, 1, 1);
    x = EMIT_WITH((SKV_INT("blocksize", 2)), "DepthToSpace", x);
    x = EMIT("PRelu", x, param(&n, NULL, DIMS(6, 1, 1)));
    x = EMIT_WITH((SKV_INT("blocksize", 2)), "SpaceToDepth", x);
    end(&n, conv(&n, x, 24, 3, 1, 1), 4, "groups");
}

/* Lists of sizes: a shortcut with padded channels, slices, tiles and expanded states; flattened into a product. */
static void lists(void **state) {
    net n = begin();
    (void)state;
    skive_value *x = EMIT("Relu", conv(&n, input(&n, DIMS(1, 3, 4, 4)), 3, 6, 1, 3));
    skive_value *wide = EMIT("Pad", x, INTS(0, 2, 0, 0, 0, 2, 0, 0));
    skive_value *y = EMIT("Add", conv(&n, x, 6, 10, 1, 3), wide);
    skive_value *head = EMIT("Slice", y, INTS(1), INTS(5), INTS(1)),
                *tail = EMIT("Slice", y, INTS(4), INTS(2000), INTS(1));
    y = EMIT_WITH((SKV_INT("axis", 1)), "Concat", EMIT("Tile", head, INTS(1, 2, 1, 1)), tail);
    skive_value *shift = EMIT("Expand", param(&n, NULL, DIMS(1, 1, 1)), INTS(14, 1, 1));
    y = EMIT("Relu", EMIT("Add", y, shift));
    y = EMIT_WITH((SKV_INT("axis", 1)), "Gather", y, INTS(3, 0, 1, 9, 10, 12, 13, 2));
    y = EMIT_WITH((SKV_INT("transB", 1)), "Gemm", EMIT("Flatten", y), param(&n, NULL, DIMS(7, 8 * 16)),
                  param(&n, NULL, DIMS(7)));
    y = EMIT("Gemm", EMIT("Tanh", y), param(&n, NULL, DIMS(7, 2)), NULL);
    end(&n, y, 2, "lists");
}

/* Recurrent layers behind one another, with a state that is expanded from one of its size. */
static void recurrent(void **state) {
    enum { T = 4, I = 3, H = 6, G = 5 };
    const int64_t perm[] = {0, 2, 1, 3};
    net n = begin();
    skive_value *out[3] = {NULL};
    (void)state;
    skive_value *x = input(&n, DIMS(T, 2, I));
    skive_value *h0 = EMIT("Expand", param(&n, "h0", DIMS(2, 1, H)), INTS(2, 2, H));
    skv_emit_n(&n.b, "LSTM",
               SKV_IN(x, param(&n, NULL, DIMS(2, 4 * H, I)), param(&n, NULL, DIMS(2, 4 * H, H)),
                      param(&n, NULL, DIMS(2, 8 * H)), NULL, h0, h0, param(&n, NULL, DIMS(2, 3 * H))),
               SKV_ATTRS(SKV_INT("hidden_size", H), SKV_STR("direction", "bidirectional")), out, 3);
    x = EMIT("Reshape", EMIT_WITH((SKV_INTS("perm", perm, 4)), "Transpose", out[0]), INTS(T, 2, 2 * H));
    skv_emit_n(&n.b, "GRU",
               SKV_IN(x, param(&n, NULL, DIMS(1, 3 * G, 2 * H)), param(&n, NULL, DIMS(1, 3 * G, G)),
                      param(&n, NULL, DIMS(1, 6 * G))),
               SKV_ATTRS(SKV_INT("hidden_size", G)), out, 2);
    skv_emit_n(&n.b, "RNN",
               SKV_IN(EMIT("Squeeze", out[0], INTS(1)), param(&n, NULL, DIMS(1, G, G)), param(&n, NULL, DIMS(1, G, G))),
               SKV_ATTRS(SKV_INT("hidden_size", G)), out, 2);
    x = EMIT("Gemm", EMIT("Squeeze", out[1], INTS(0)), param(&n, NULL, DIMS(G, 3)), param(&n, NULL, DIMS(3)));
    end(&n, x, 3, "recurrent layers");
}

/* One weight read twice, one kept as a codebook, and an embedding. */
static void shared(void **state) {
    enum { E = 6, F = 8, K = 4 };
    net n = begin();
    skv_storage *codes = NULL;
    (void)state;
    skive_value *rows = INTS(3, 0, 2, 2, 4);
    skive_value *x = EMIT("Gather", param(&n, "table", DIMS(9, E)), rows);
    x = EMIT("Add", linear(&n, input(&n, DIMS(5, 2)), 2, E), x);
    skive_value *tied = param(&n, "tied", DIMS(E, E));
    x = EMIT("MatMul", EMIT("Tanh", EMIT("MatMul", x, tied)), tied);
    skv_test_ok(n.ctx, skv_storage_create(n.ctx, SKIVE_U8, 2, (const int64_t[]){E, F}, &codes));
    for (int64_t i = 0; i < E * F; i++) skive_tensor_set(&codes->tensor, i, (double)(i * 7 % K));
    skive_value *indices = EMIT_WITH((SKV_INT("to", SKIVE_I32)), "Cast", skv_emit_param(&n.b, "codes", codes));
    x = EMIT("MatMul", x, EMIT("Gather", param(&n, "codebook", DIMS(K)), indices));
    end(&n, linear(&n, EMIT("Relu", x), F, 3), 2, "shared weights");
}

/* Quantized and dequantized weights with a scale per channel, activations with one for all; all of them powers of two,
 * so that sums are exact and a masked network, which is not run in integers, rounds in the same way. */
static void quantized(void **state) {
    net n = begin();
    skive_value *x = input(&n, DIMS(1, 3, 8, 8));
    (void)state;
    for (int layer = 0; layer < 3; layer++) {
        const int64_t from = layer ? 8 : 3, to = layer == 2 ? 4 : 8;
        skv_storage *w = NULL, *s = NULL;
        skv_test_ok(n.ctx, skv_storage_create(n.ctx, SKIVE_I8, 4, (const int64_t[]){to, from, 3, 3}, &w));
        skv_test_ok(n.ctx, skv_storage_create(n.ctx, SKIVE_F32, 1, &to, &s));
        for (int64_t i = 0; i < to * from * 9; i++)
            skive_tensor_set(&w->tensor, i, floor(skv_rng_uniform(3, (uint64_t)layer, (uint64_t)i) * 200 - 100));
        for (int64_t i = 0; i < to; i++) skive_tensor_set(&s->tensor, i, ldexp(1, (int)(i % 3) - 10));
        skive_value *scale = skv_emit_param(&n.b, NULL, s);
        skive_value *weight = EMIT_WITH((SKV_INT("axis", 0)), "DequantizeLinear", skv_emit_param(&n.b, NULL, w), scale);
        skive_value *step = skv_emit_scalar(&n.b, SKIVE_F32, 1.0 / 32), *zero = skv_emit_scalar(&n.b, SKIVE_I8, 0);
        x = EMIT("DequantizeLinear", EMIT("QuantizeLinear", x, step, zero), step, zero);
        x = EMIT("Relu", EMIT("Conv", x, weight));
    }
    end(&n, EMIT("GlobalAveragePool", x), 2, "quantized");
}

/* ---- built-in networks ---- */

static void zoo(void **state) {
    static const struct {
        const char *spec;
        int families;
    } list[] = {{"mlp", 2},
                {"lenet5", 3},
                {"vgg-small:0.1", 4},
                {"resnet20:0.5", 12},
                {"mobilenet:0.25", 8},
                {"mobilenetv2:0.35", 8},
                {"resnet18:0.125", 8},
                {"resnet50:0.125", 12},
                {"lstm", 1},
                {"gru", 1},
                {"vit:dim=16,depth=1,heads=2,patch=8", 5}};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(list); i++) {
        skive_context *ctx = skv_test_context();
        skive_zoo_options o = skive_zoo_options_default();
        skive_graph *g = NULL;
        const bool sequence = strcmp(list[i].spec, "lstm") == 0 || strcmp(list[i].spec, "gru") == 0;
        if (!sequence && i > 2) o.dims[0] = 3, o.dims[1] = o.dims[2] = 32;
        skv_test_ok(ctx, skive_zoo_build(ctx, list[i].spec, &o, &g));
        skv_test_ok(ctx, skv_pass_plain_channels(ctx, g));
        try_graph(ctx, g, list[i].families, list[i].spec);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* ---- failures ---- */

static char *listing(skive_graph *g) {
    char *text = NULL;
    assert_int_equal(skive_graph_print(g, &text), SKIVE_OK);
    return text;
}

static void faults_change_nothing(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *other = NULL;
    skive_coupling *k = NULL;
    size_t all[600], none = 100000;
    (void)state;
    skv_test_ok(ctx, skive_zoo_build(ctx, "lenet5", NULL, &g));
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp", NULL, &other));
    skv_test_ok(ctx, skive_coupling_create(g, &k));
    const size_t n = skive_coupling_count(k);
    assert_int_equal(n, 570);
    for (size_t i = 0; i < n; i++) all[i] = i;
    char *before = listing(g), *after;
    skv_test_fails(ctx, skive_graph_remove_channels(g, k, all, n), SKIVE_ERR_ARGUMENT, "keep at least one");
    skv_test_fails(ctx, skive_graph_remove_channels(g, k, &none, 1), SKIVE_ERR_ARGUMENT, "there is no channel 100000");
    skv_test_fails(ctx, skive_graph_remove_channels(other, k, all, 1), SKIVE_ERR_ARGUMENT, "another graph");
    after = listing(g);
    assert_string_equal(before, after);
    skive_string_free(ctx, before);
    skive_string_free(ctx, after);
    /* Repeats count once; names, marks and metadata stay. */
    skv_test_ok(ctx, skive_graph_set_meta(g, "kept", "yes"));
    skv_test_ok(ctx, skive_value_set_trainable(skive_graph_find_value(g, "fc1.bias"), false));
    skive_graph_find_value(g, "conv2.weight")->keeps_zeros = true;
    all[0] = all[1] = 25; /* of conv2 */
    skv_test_ok(ctx, skive_graph_remove_channels(g, k, all, 2));
    skive_value *w = skive_graph_find_value(g, "conv2.weight");
    assert_int_equal(w->type.dims[0].size, 49);
    assert_int_equal(skive_graph_find_value(g, "fc1.weight")->type.dims[1].size, 49 * 16);
    assert_true(w->keeps_zeros && w->trainable);
    assert_false(skive_graph_find_value(g, "fc1.bias")->trainable);
    assert_string_equal(skive_graph_meta(g, "kept"), "yes");
    skive_coupling_free(k);
    skive_graph_free(g);
    skive_graph_free(other);
    skv_test_context_end(ctx);
}

/* A weight that is kept in a compressed form keeps the form, and has the numbers that the dense one would have. */
static void forms_stay(void **state) {
    static const char *const forms[] = {"sparse", "f16", "codebook"};
    (void)state;
    for (size_t i = 0; i < SKV_COUNT(forms); i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g[2] = {NULL};
        const skv_form *form = skv_form_find(forms[i]);
        skive_tensor dense = {0};
        size_t list[600];
        assert_non_null(form);
        for (int coded = 0; coded < 2; coded++) {
            skive_coupling *k = NULL;
            skv_test_ok(ctx, skive_zoo_build(ctx, "lenet5", NULL, &g[coded]));
            skive_value *w = skive_graph_find_value(g[coded], "conv2.weight");
            skive_tensor t = {0};
            skv_test_ok(ctx, skive_tensor_copy(ctx, skive_value_data(w), &t));
            for (int64_t e = 0; e < skive_tensor_count(&t); e++) /* few numbers, half of them zero */
                skive_tensor_set(&t, e, e % 2 ? 0 : ldexp((double)(e % 7) - 3, -4));
            if (coded) {
                skv_coded c = {0};
                skv_storage *storage = NULL;
                bool fits = false;
                skv_test_ok(ctx, form->describe(ctx, &t, &c, &fits));
                assert_true(fits);
                skv_test_ok(ctx, skv_storage_take_coded(ctx, &c, &storage));
                skv_test_ok(ctx, skv_value_set_storage(w, storage));
            } else {
                skv_test_ok(ctx, skive_value_set_data(w, &t));
            }
            skive_tensor_free(ctx, &t);
            skv_test_ok(ctx, skive_coupling_create(g[coded], &k));
            skv_test_ok(ctx, skive_graph_remove_channels(g[coded], k, list, choose_channels(k, 0.3, 4, 1, list)));
            skive_coupling_free(k);
        }
        const skive_value *w = skive_graph_find_value(g[1], "conv2.weight");
        assert_ptr_equal(w->storage->form, form);
        skv_test_ok(ctx, skv_storage_inflate(ctx, w->storage, &dense));
        skv_test_tensors(&dense, skive_value_data(skive_graph_find_value(g[0], "conv2.weight")), 0, 0);
        skive_tensor_free(ctx, &dense);
        skive_graph_free(g[0]);
        skive_graph_free(g[1]);
        skv_test_context_end(ctx);
    }
}

/* The layers with what can be removed, and the reasons. */
static void layers_say_why(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_coupling *k = NULL;
    skive_coupling_layer l;
    (void)state;
    skv_test_ok(ctx, skive_zoo_build(ctx, "lenet5", NULL, &g));
    skv_test_ok(ctx, skive_coupling_create(g, &k));
    assert_int_equal(skive_coupling_layer_count(k), 4);
    assert_true(skive_coupling_layer_get(k, 1, &l));
    assert_string_equal(skive_value_name(l.value), "conv2.weight");
    assert_int_equal(l.count, 50);
    assert_int_equal(l.removable, 50);
    assert_null(l.why);
    assert_true(skive_coupling_layer_get(k, 3, &l));
    assert_int_equal(l.removable, 0);
    assert_non_null(strstr(l.why, "output of the model"));
    assert_string_equal(l.by, "logits");
    assert_false(skive_coupling_layer_get(k, 4, &l));
    skive_coupling_free(k);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Layers that read one vector of zero points, as exporters write it, are apart after untying. */
static void tied_constants(void **state) {
    net n = begin();
    skive_coupling *k = NULL;
    skv_storage *z = NULL;
    size_t channels[2];
    char name[64];
    (void)state;
    skive_value *x = input(&n, DIMS(1, 3, 4, 4));
    skv_test_ok(n.ctx, skv_storage_create(n.ctx, SKIVE_I8, 1, (const int64_t[]){6}, &z));
    skive_value *zeros = skv_emit_param(&n.b, "zeros", z);
    for (int layer = 0; layer < 3; layer++) {
        const int64_t from = layer ? 6 : 3;
        skv_storage *w = NULL;
        skv_test_ok(n.ctx, skv_storage_create(n.ctx, SKIVE_I8, 4, (const int64_t[]){6, from, 1, 1}, &w));
        for (int64_t i = 0; i < 6 * from; i++) skive_tensor_set(&w->tensor, i, (double)(i * 37 % 101 - 50));
        skive_value *scale = param(&n, NULL, DIMS(6));
        x = EMIT("Conv", x,
                 EMIT_WITH((SKV_INT("axis", 0)), "DequantizeLinear", skv_emit_param(&n.b, NULL, w), scale, zeros));
    }
    x = conv(&n, x, 6, 2, 1, 1);
    skv_test_ok(n.ctx, n.b.status);
    (void)snprintf(name, sizeof name, "%s", x->name);
    for (int untied = 0; untied < 2; untied++) {
        if (untied) skv_test_ok(n.ctx, skive_graph_untie_constants(n.g));
        skv_test_ok(n.ctx, skive_coupling_create(n.g, &k));
        channels[untied] = skive_coupling_count(k);
        skive_coupling_free(k);
    }
    assert_int_equal(channels[0], 6 + 2); /* the last two are not yet those of an output */
    assert_int_equal(channels[1], 3 * 6 + 2);
    end(&n, skive_graph_find_value(n.g, name), 3, "untied constants");
}

static skive_status remove_some(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skive_coupling *k = NULL;
    size_t list[64], n = 0;
    skive_zoo_options o = skive_zoo_options_default();
    (void)user;
    o.dims[1] = o.dims[2] = 12;
    skive_status status = skive_zoo_build(ctx, "vgg-small:0.05", &o, &g);
    if (status == SKIVE_OK) status = skive_coupling_create(g, &k);
    for (size_t i = 0; i < skive_coupling_count(k) && n < SKV_COUNT(list); i += 5) list[n++] = i;
    if (status == SKIVE_OK) {
        const int64_t before = parameters(g);
        status = skive_graph_remove_channels(g, k, list, n);
        assert_true(status == SKIVE_OK ? parameters(g) < before : parameters(g) == before);
    }
    skive_coupling_free(k);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    skv_test_walk_allocations(remove_some, NULL, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transformer),
        cmocka_unit_test(open_batch),
        cmocka_unit_test(attention),
        cmocka_unit_test(shuffle),
        cmocka_unit_test(groups),
        cmocka_unit_test(lists),
        cmocka_unit_test(recurrent),
        cmocka_unit_test(shared),
        cmocka_unit_test(quantized),
        cmocka_unit_test(zoo),
        cmocka_unit_test(faults_change_nothing),
        cmocka_unit_test(layers_say_why),
        cmocka_unit_test(tied_constants),
        cmocka_unit_test(forms_stay),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
