/* Operators written out by exporters are recognised (graphs before and after, and graphs that must not change), and the
 * kernels of transformers agree with the reference at the level of SKIVE_ISA (CTest runs this program once per
 * level). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/exec.h>
#include <skive/simplify.h>

#include "graph/graph.h"
#include "kernels/rows.h"
#include "support.h"

#include <cmocka.h>

static skive_value *input(skive_context *ctx, skive_graph *g, const char *name, int rank, const int64_t *dims) {
    const skive_type type = skive_type_make(SKIVE_F32, rank, dims);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, name, &type, &v));
    return v;
}

static skive_value *vector(skive_context *ctx, skive_graph *g, int64_t n, uint64_t seed) {
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, 1, &n, seed, -1, 1);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(g, NULL, &t, &v));
    skive_tensor_free(ctx, &t);
    return v;
}

static skive_value *two(skv_builder *b, const char *op, skive_value *x, skive_value *y) {
    return skv_emit(b, op, SKV_IN(x, y), SKV_NONE);
}
static skive_value *one(skv_builder *b, const char *op, skive_value *x) { return skv_emit(b, op, SKV_IN(x), SKV_NONE); }
static skive_value *number(skv_builder *b, double x) { return skv_emit_scalar(b, SKIVE_F32, x); }

static size_t count(const skive_graph *g, const char *op) {
    size_t n = 0;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) n += strcmp(skive_node_op(skive_graph_node(g, i)), op) == 0;
    return n;
}

/* The graph by its reference kernels, node by node, and by the plan as it is used. */
static void check_run(skive_context *ctx, const skive_graph *plain, const skive_graph *other, bool fast, double atol) {
    const skive_graph *graphs[2] = {plain, other};
    skive_tensor out[2];
    for (int k = 0; k < 2; k++) {
        skive_plan_options o = skive_plan_options_default();
        skive_plan *plan = NULL;
        skive_exec *exec = NULL;
        skive_tensor view;
        o.reference = o.no_fusion = k == 0 || !fast;
        skv_test_ok(ctx, skive_plan_create(ctx, graphs[k], &o, &plan));
        skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
        for (size_t i = 0; i < skive_plan_input_count(plan); i++) {
            skv_test_ok(ctx, skive_exec_input(exec, i, &view));
            skive_tensor x = skv_test_random(ctx, SKIVE_F32, view.rank, view.dims, 5 + i, -3, 3);
            memcpy(view.data, x.data, skive_tensor_bytes(&x));
            skive_tensor_free(ctx, &x);
        }
        skv_test_ok(ctx, skive_exec_run(exec));
        skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
        skv_test_ok(ctx, skive_tensor_copy(ctx, &view, &out[k]));
        skive_exec_free(exec);
        skive_plan_free(plan);
    }
    skv_test_tensors(&out[1], &out[0], 1e-5, atol);
    for (int k = 0; k < 2; k++) skive_tensor_free(ctx, &out[k]);
}

/* Simplifies a copy: `op` must stand `times` times in it, in `nodes` nodes all in all. */
static void check_simplified(skive_context *ctx, const skive_graph *g, const char *passes, const char *op, size_t times,
                             size_t nodes) {
    skive_graph *copy = NULL;
    skive_simplify_options o = skive_simplify_options_default();
    skive_simplify_report r;
    o.passes = passes ? &passes : NULL;
    o.n_passes = passes ? 1 : 0;
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &copy));
    skv_test_ok(ctx, skive_simplify(ctx, copy, &o, &r));
    assert_int_equal(count(copy, op), times);
    if (nodes) assert_int_equal(r.nodes_after, nodes);
    assert_int_equal(r.nodes_after, skive_graph_node_count(copy));
    check_run(ctx, g, copy, false, 1e-5);
    check_run(ctx, g, copy, true, 5e-6);
    skive_graph_free(copy);
}

typedef skive_value *(*build_fn)(skive_context *ctx, skv_builder *b, skive_value *x);

static skive_graph *build(skive_context *ctx, build_fn f) {
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    skive_value *x = input(ctx, g, "x", 3, (const int64_t[]){2, 5, 19});
    skive_value *y = f(ctx, &b, x);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void check_form(build_fn f, const char *op, size_t times, size_t nodes) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = build(ctx, f);
    check_simplified(ctx, g, NULL, op, times, nodes);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- LayerNormalization ---- */

static skive_value *mean(skv_builder *b, skive_value *x) {
    return skv_emit(b, "ReduceMean", SKV_IN(x, skv_emit_ints(b, (const int64_t[]){-1}, 1)), SKV_NONE);
}

static skive_value *norm_torch(skive_context *ctx, skv_builder *b, skive_value *x) {
    skive_value *d = two(b, "Sub", x, mean(b, x));
    skive_value *v = two(b, "Add", mean(b, two(b, "Pow", d, number(b, 2))), number(b, 1e-5));
    skive_value *y = two(b, "Div", d, one(b, "Sqrt", v));
    return two(b, "Add", two(b, "Mul", y, vector(ctx, b->graph, 19, 1)), vector(ctx, b->graph, 19, 2));
}

static skive_value *norm_paddle(skive_context *ctx, skv_builder *b,
                                skive_value *x) { /* twice the difference, no bias */
    skive_value *d = two(b, "Sub", x, mean(b, x)), *again = two(b, "Sub", x, mean(b, x));
    skive_value *v = two(b, "Add", number(b, 1e-6), mean(b, two(b, "Mul", again, again)));
    return two(b, "Mul", vector(ctx, b->graph, 19, 1), two(b, "Mul", one(b, "Reciprocal", one(b, "Sqrt", v)), d));
}

static skive_value *norm_tf(skive_context *ctx, skv_builder *b, skive_value *x) {
    skive_value *m = mean(b, x), *d = two(b, "Sub", x, m);
    skive_value *v = two(b, "Add", mean(b, two(b, "Mul", d, d)), number(b, 1e-3));
    skive_value *by = two(b, "Mul", one(b, "Reciprocal", one(b, "Sqrt", v)), vector(ctx, b->graph, 19, 3));
    return two(b, "Add", two(b, "Mul", x, by), two(b, "Sub", vector(ctx, b->graph, 19, 4), two(b, "Mul", m, by)));
}

static skive_value *norm_not(skive_context *ctx, skv_builder *b, skive_value *x) { /* the third power is no variance */
    skive_value *d = two(b, "Sub", x, mean(b, x));
    skive_value *v = two(b, "Add", mean(b, two(b, "Pow", one(b, "Abs", d), number(b, 3))), number(b, 1e-5));
    return two(b, "Mul", two(b, "Div", d, one(b, "Sqrt", v)), vector(ctx, b->graph, 19, 1));
}

static void layer_norm_is_found(void **state) {
    (void)state;
    check_form(norm_torch, "LayerNormalization", 1, 1);
    check_form(norm_paddle, "LayerNormalization", 1, 1);
    check_form(norm_tf, "LayerNormalization", 1, 1);
    check_form(norm_not, "LayerNormalization", 0, 0);
}

static skive_value *root_mean_square(skv_builder *b, skive_value *x, bool cubed) {
    skive_value *square = two(b, "Pow", cubed ? one(b, "Abs", x) : x, number(b, cubed ? 3 : 2));
    return one(b, "Sqrt", two(b, "Add", mean(b, square), number(b, 1e-6)));
}
static skive_value *rms_llama(skive_context *ctx, skv_builder *b, skive_value *x) {
    skive_value *by = two(b, "Div", number(b, 1), root_mean_square(b, x, false));
    return two(b, "Mul", vector(ctx, b->graph, 19, 1), two(b, "Mul", x, by));
}
static skive_value *rms_divided(skive_context *ctx, skv_builder *b, skive_value *x) {
    return two(b, "Mul", two(b, "Div", x, root_mean_square(b, x, false)), vector(ctx, b->graph, 19, 1));
}
static skive_value *rms_not(skive_context *ctx, skv_builder *b, skive_value *x) {
    return two(b, "Mul", two(b, "Div", x, root_mean_square(b, x, true)), vector(ctx, b->graph, 19, 1));
}

static void rms_norm_is_found(void **state) {
    (void)state;
    static const struct {
        build_fn build;
        size_t times;
    } forms[] = {{rms_llama, 1}, {rms_divided, 1}, {rms_not, 0}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = build(ctx, forms[i].build);
        check_simplified(ctx, g, "fuse-rms-norm", "RMSNormalization", forms[i].times, forms[i].times);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* ---- Gelu, HardSwish ---- */

static skive_value *half_erf(skv_builder *b, skive_value *x) {
    return two(b, "Add", one(b, "Erf", two(b, "Div", x, number(b, M_SQRT2))), number(b, 1));
}
static skive_value *gelu_torch(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    return two(b, "Mul", two(b, "Mul", x, half_erf(b, x)), number(b, 0.5));
}
static skive_value *gelu_first_half(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    return two(b, "Mul", two(b, "Mul", number(b, 0.5), x), half_erf(b, x));
}
static skive_value *gelu_inner_half(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    return two(b, "Mul", x, two(b, "Mul", number(b, 0.5), half_erf(b, two(b, "Mul", x, number(b, 1)))));
}
static skive_value *gelu_tanh(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    skive_value *cube = two(b, "Mul", two(b, "Pow", x, number(b, 3)), number(b, 0.044715));
    skive_value *u = two(b, "Mul", number(b, 0.7978845608028654), two(b, "Add", x, cube));
    return two(b, "Mul", two(b, "Mul", number(b, 0.5), x), two(b, "Add", number(b, 1), one(b, "Tanh", u)));
}
static skive_value *gelu_not(skive_context *ctx, skv_builder *b, skive_value *x) { /* 0.4 instead of 0.5 */
    (void)ctx;
    return two(b, "Mul", two(b, "Mul", x, half_erf(b, x)), number(b, 0.4));
}
static skive_value *hard_swish(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    skive_value *c = skv_emit(b, "Clip", SKV_IN(two(b, "Add", x, number(b, 3)), number(b, 0), number(b, 6)), SKV_NONE);
    return two(b, "Div", two(b, "Mul", x, c), number(b, 6));
}

static void activations_are_found(void **state) {
    (void)state;
    check_form(gelu_torch, "Gelu", 1, 1);
    check_form(gelu_first_half, "Gelu", 1, 1);
    check_form(gelu_inner_half, "Gelu", 1, 0);
    check_form(gelu_tanh, "Gelu", 1, 1);
    check_form(gelu_not, "Gelu", 0, 0);
    check_form(hard_swish, "HardSwish", 1, 1);
}

/* ---- cleaning ---- */

static skive_value *duplicates(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    return two(b, "Add", one(b, "Exp", x), one(b, "Exp", x));
}
static skive_value *transposes(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    const skv_attr_list perm = SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 2, 0}), 3));
    const skv_attr_list back = SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){2, 0, 1}), 3));
    skive_value *y = one(b, "Tanh", skv_emit(b, "Transpose", SKV_IN(x), perm));
    return one(b, "Exp", skv_emit(b, "Transpose", SKV_IN(y), back));
}
static skive_value *reshapes(skive_context *ctx, skv_builder *b, skive_value *x) {
    (void)ctx;
    skive_value *y = two(b, "Reshape", x, skv_emit_ints(b, (const int64_t[]){190}, 1));
    return two(b, "Reshape", y, skv_emit_ints(b, (const int64_t[]){19, 10}, 2));
}

static void graphs_are_cleaned(void **state) {
    (void)state;
    check_form(duplicates, "Exp", 1, 2);
    check_form(transposes, "Transpose", 0, 2);
    check_form(reshapes, "Reshape", 1, 1);
}

static void unknown_passes_are_refused(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = build(ctx, duplicates);
    const char *const names[] = {"fuse-tail"}; /* a pass, but what it makes is no ONNX */
    skive_simplify_options o = skive_simplify_options_default();
    o.passes = names;
    o.n_passes = 1;
    skv_test_fails(ctx, skive_simplify(ctx, g, &o, NULL), SKIVE_ERR_ARGUMENT, "fuse-tail");
    assert_int_equal(skive_graph_node_count(g), 3);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- attention ---- */

typedef struct form {
    int rank;
    int64_t queries, keys, size, v_size;
    bool masked, chosen; /* an added mask; one by Where */
} form;

static skive_graph *attention(skive_context *ctx, const form *f) {
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_builder b = skv_build(g);
    const int64_t q4[] = {2, 3, f->queries, f->size}, k4[] = {2, 3, f->size, f->keys},
                  v4[] = {2, 3, f->keys, f->v_size};
    const int skip = 4 - f->rank;
    skive_value *q = input(ctx, g, "q", f->rank, q4 + skip), *k = input(ctx, g, "k", f->rank, k4 + skip);
    skive_value *v = input(ctx, g, "v", f->rank, v4 + skip);
    skive_value *s = two(&b, "Div", two(&b, "MatMul", two(&b, "Mul", q, number(&b, 0.75)), k), number(&b, 2));
    if (f->masked) s = two(&b, "Add", s, input(ctx, g, "mask", 2, (const int64_t[]){f->queries, f->keys}));
    if (f->chosen) {
        skive_value *m = input(ctx, g, "mask", 2, (const int64_t[]){f->queries, f->keys});
        s = skv_emit(&b, "Where", SKV_IN(two(&b, "Greater", m, number(&b, 2)), number(&b, -INFINITY), s), SKV_NONE);
    }
    skive_value *y = two(&b, "MatMul", skv_emit(&b, "Softmax", SKV_IN(s), SKV_ATTRS(SKV_INT("axis", -1))), v);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void attention_is_found(void **state) {
    (void)state;
    static const form forms[] = {
        {4, 7, 7, 8, 8, false, false},     {3, 7, 7, 8, 8, false, false},  {4, 33, 70, 19, 37, true, false},
        {3, 18, 100, 32, 64, true, false}, {4, 20, 41, 5, 3, false, true}, {4, 1, 64, 16, 48, false, false},
        {4, 29, 31, 8, 33, false, false},  {3, 31, 9, 8, 16, true, false}, {4, 50, 17, 9, 31, false, false},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = attention(ctx, &forms[i]);
        check_simplified(ctx, g, "fuse-attention", "Attention", 1, 0);
        check_simplified(ctx, g, NULL, "Attention", 0, 0); /* only when it is asked for */
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* Heads side by side, shared keys, each query sees a window of keys: causal, to both sides, of a part of the keys that
 * differs by sample. */
static void windows_of_keys(void **state) {
    (void)state;
    static const struct {
        int64_t causal, left, right, lengths[2]; /* lengths[0] < 0: none */
    } windows[] = {
        {1, -1, -1, {-1, 0}},  {0, 3, 0, {-1, 0}},   {0, 0, 20, {-1, 0}}, {1, 17, 5, {-1, 0}},
        {0, -1, -1, {35, 20}}, {1, -1, -1, {9, 35}}, {1, 4, -1, {0, 30}}, {0, 2, 7, {33, 1}},
    };
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
        skv_builder b = skv_build(g);
        skive_value *q = input(ctx, g, "q", 3, (const int64_t[]){2, 35, 4 * 9}),
                    *k = input(ctx, g, "k", 3, (const int64_t[]){2, 35, 2 * 9});
        skive_value *v = input(ctx, g, "v", 3, (const int64_t[]){2, 35, 2 * 40});
        skive_value *lengths = windows[i].lengths[0] < 0 ? NULL : skv_emit_ints(&b, windows[i].lengths, 2);
        skive_value *y = skv_emit(
            &b, "Attention", SKV_IN(q, k, v, NULL, NULL, NULL, lengths),
            SKV_ATTRS(SKV_INT("q_num_heads", 4), SKV_INT("kv_num_heads", 2), SKV_INT("is_causal", windows[i].causal),
                      SKV_INT("left_window_size", windows[i].left), SKV_INT("right_window_size", windows[i].right)));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        check_run(ctx, g, g, true, 5e-6);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

/* Rows of every remainder, in place too, against sums in double. Numbers far below the largest and -infinity give
 * exactly 0, a NaN makes its row one. */
static void softmax_of_rows(void **state) {
    enum { LONGEST = 150 };
    const skv_row_loops *loops = skv_row_loops_of(skv_cpu_isa());
    float x[LONGEST], y[2][LONGEST + 1];
    double want[LONGEST];
    (void)state;
    for (int n = 1; n <= LONGEST; n++) {
        float most = -INFINITY;
        double sum = 0;
        for (int i = 0; i < n; i++) {
            x[i] = (float)sin(i * 12.9898 + n) * (n % 3 ? 5.0f : 60.0f) + (n % 2 ? 40.0f : 0.0f);
            if (n > 4 && i == n - 3) x[i] = n % 2 ? -INFINITY : -1e30f;
            most = x[i] > most ? x[i] : most;
        }
        for (int i = 0; i < n; i++) sum += want[i] = exp((double)(x[i] - most)); /* rounded as there */
        y[0][n] = y[1][n] = 7;                                                   /* what stands behind the row stays */
        memcpy(y[1], x, (size_t)n * sizeof *x);
        loops->softmax(x, y[0], n);
        loops->softmax(y[1], y[1], n);
        for (int i = 0; i < n; i++) {
            if (!skv_test_close(y[0][i], want[i] / sum, 2e-6, 2e-38) || y[0][i] != y[1][i])
                fail_msg("Softmax of %d: element %d is %.9g and %.9g, expected %.9g", n, i, (double)y[0][i],
                         (double)y[1][i], want[i] / sum);
            if (n > 4 && i == n - 3) assert_true(y[0][i] == 0);
        }
        memcpy(y[1], x, (size_t)n * sizeof *x);
        loops->log_softmax(x, y[0], n);
        loops->log_softmax(y[1], y[1], n);
        for (int i = 0; i < n; i++) {
            const double log_want = (double)(x[i] - most) - log(sum);
            const bool infinite = isinf(x[i]) && y[0][i] == x[i];
            if ((!infinite && !skv_test_close(y[0][i], log_want, 1e-6, 1e-6)) || y[0][i] != y[1][i])
                fail_msg("LogSoftmax of %d: element %d is %.9g and %.9g, expected %.9g", n, i, (double)y[0][i],
                         (double)y[1][i], log_want);
        }
        assert_true(y[0][n] == 7 && y[1][n] == 7);
        x[n / 2] = NAN;
        loops->softmax(x, y[0], n);
        for (int i = 0; i < n; i++) assert_true(isnan(y[0][i]));
    }
}

static skive_status simplify_body(skive_context *ctx, void *user) {
    skive_graph *g = NULL;
    skv_builder b;
    (void)user;
    const skive_type type = skive_type_make(SKIVE_F32, 3, (const int64_t[]){2, 5, 19});
    skive_value *x = NULL;
    skive_status status = skive_graph_create(ctx, "g", &g);
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &type, &x);
    if (status == SKIVE_OK) {
        b = skv_build(g);
        skive_value *y = gelu_torch(ctx, &b, x);
        status = b.status;
        if (status == SKIVE_OK) status = skive_graph_add_output(g, y);
    }
    if (status == SKIVE_OK) status = skive_simplify(ctx, g, NULL, NULL);
    skive_graph_free(g);
    return status;
}

static void allocations_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(simplify_body, NULL, 1) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rms_norm_is_found),
        cmocka_unit_test(layer_norm_is_found),
        cmocka_unit_test(activations_are_found),
        cmocka_unit_test(graphs_are_cleaned),
        cmocka_unit_test(unknown_passes_are_refused),
        cmocka_unit_test(attention_is_found),
        cmocka_unit_test(windows_of_keys),
        cmocka_unit_test(softmax_of_rows),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
