/* Quantizing models of which a part depends on data: with samples both parts become integers, the bodies of If and Loop
 * too; without, what depends on data stays as it is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <skive/skive.h>

#include "graph/graph.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

enum { ROWS = 240, FEW_ROWS = 9, IN = 8, OUT = 6 };

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

static skive_status quantize_rows(skive_context *ctx, skive_graph *g, int64_t rows, const char *skip,
                                  skive_quantize_report *r) {
    skive_tensor x = {0};
    *r = (skive_quantize_report){0};
    SKV_TRY(numbers(ctx, rows, IN, 5, &x));
    skive_quantize_options o = skive_quantize_options_default();
    o.calibration = "minmax";
    o.skip = &skip;
    o.n_skip = skip ? 1 : 0;
    const skive_status status = skive_quantize_arrays(ctx, g, &x, 1, &o, r);
    skive_tensor_free(ctx, &x);
    return status;
}

static skive_status quantize(skive_context *ctx, skive_graph *g, const char *skip, skive_quantize_report *r) {
    return quantize_rows(ctx, g, ROWS, skip, r);
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

/* The body of the If reads w2 from outside; what follows the If is quantized as well. */
static void both_parts_become_integers(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *before = NULL;
    skive_quantize_report r;
    skv_test_ok(ctx, make(ctx, &g));
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    skv_test_ok(ctx, quantize(ctx, g, NULL, &r));
    skv_test_ok(ctx, skive_graph_check(g));
    assert_int_equal(r.n_quantized, 4);
    assert_null(skive_graph_find_value(g, "w2")); /* the branch has its own codes */
    assert_int_equal(count(g, "QuantizeLinear"), 3);
    const skive_node *choice = skive_graph_find_node(g, "choice");
    assert_non_null(choice);
    assert_int_equal(count(skv_node_attr(choice, "then_branch")->graph, "QuantizeLinear"), 1);
    assert_int_equal(count(skv_node_attr(choice, "then_branch")->graph, "DequantizeLinear"), 2);
    assert_true(is_left(&r, "If", "no 8-bit form"));
    assert_int_equal(r.n_outputs, 3);
    for (size_t i = 0; i < 2; i++) assert_true(r.outputs[i].sqnr > 30 && r.outputs[i].sqnr < 100);
    assert_true(r.held_out);
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

/* A branch reads weights of the graph around it: they are its own when its inputs are quantized while it runs. */
static void weights_of_the_outer_graph(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *before = NULL;
    skive_quantize_report r;
    skive_quantize_options o = skive_quantize_options_default();
    skv_test_ok(ctx, make(ctx, &g));
    skv_test_ok(ctx, skv_graph_infer_nested(g)); /* as a file is read */
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    skv_test_ok(ctx, skive_quantize_dynamic(ctx, g, &o, &r));
    assert_int_equal(r.n_quantized, 4);
    assert_int_equal(count(g, "MatMul"), 0);
    const skive_graph *then = skv_node_attr(skive_graph_find_node(g, "choice"), "then_branch")->graph;
    assert_int_equal(count(then, "MatMul"), 0);
    assert_int_equal(count(then, "MatMulInteger"), 1);
    assert_null(skive_graph_find_value(g, "w2"));
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
    assert_int_equal(r.n_quantized, 4);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A dry run tells the sizes that the run then has, and changes nothing. */
static void a_dry_run(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_quantize_report r = {0};
    skive_quantize_options o = skive_quantize_options_default();
    skive_tensor x = {0};
    skive_cost cost;
    o.calibration = "minmax";
    o.dry_run = true;
    skv_test_ok(ctx, numbers(ctx, ROWS, IN, 5, &x));
    skv_test_ok(ctx, make(ctx, &g));
    const size_t nodes = g->n_nodes;
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, &r));
    assert_int_equal(r.n_quantized, 4);
    assert_int_equal(g->n_nodes, nodes);
    const int64_t expected = r.expected_bytes;
    skive_quantize_report_free(ctx, &r);
    o.dry_run = false;
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, &r));
    skv_test_ok(ctx, skive_graph_cost(g, &cost));
    print_message("%lld and %lld bytes\n", (long long)expected, (long long)cost.parameter_bytes);
    assert_int_equal(expected, cost.parameter_bytes);
    skive_quantize_report_free(ctx, &r);
    skive_tensor_free(ctx, &x);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- a loop ---- */

enum { TRIPS = 3, WIDTH = 4, RUNS = 16 };

/* h = x; three times: h = h w, w the double of a permutation. */
static skive_graph *make_loop(skive_context *ctx) {
    const skive_type type = skive_type_make(SKIVE_F32, 2, (const int64_t[]){1, WIDTH}),
                     number = skive_type_make(SKIVE_I64, 0, NULL), yes_no = skive_type_make(SKIVE_BOOL, 0, NULL);
    float w[WIDTH][WIDTH] = {{0}};
    skive_graph *g = NULL, *body = NULL;
    skive_value *x, *i, *c, *h, *y = NULL;
    skive_node *loop = NULL;
    skv_storage *storage = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "loop", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder outer = skv_build(g);
    skive_value *trips = skv_emit_scalar(&outer, SKIVE_I64, TRIPS), *on = skv_emit_scalar(&outer, SKIVE_BOOL, 1);
    skv_test_ok(ctx, outer.status);
    skv_test_ok(ctx, skive_graph_create(ctx, "body", &body));
    body->parent = g;
    skv_test_ok(ctx, skive_graph_add_input(body, "i", &number, &i));
    skv_test_ok(ctx, skive_graph_add_input(body, "c", &yes_no, &c));
    skv_test_ok(ctx, skive_graph_add_input(body, "h", &type, &h));
    for (int k = 0; k < WIDTH; k++) w[k][(k + 1) % WIDTH] = 2;
    const skive_tensor view = skv_tensor_view(SKIVE_F32, 2, (const int64_t[]){WIDTH, WIDTH}, w);
    skv_test_ok(ctx, skv_storage_from_tensor(ctx, &view, &storage));
    skv_builder b = skv_build(body);
    skive_value *p = skv_emit_param(&b, "w", storage);
    skive_value *more = skv_emit(&b, "Identity", SKV_IN(c), SKV_NONE);
    skive_value *next = skv_emit(&b, "MatMul", SKV_IN(h, p), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(body, more));
    skv_test_ok(ctx, skive_graph_add_output(body, next));
    skv_test_ok(ctx, skv_graph_new_value(g, "y", &y));
    skv_test_ok(ctx,
                skv_graph_new_node(g, "Loop", NULL, "rounds", (skive_value *const[]){trips, on, x}, 3, &y, 1, &loop));
    skv_test_ok(ctx, skv_node_set_graph_attr(loop, "body", body));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skv_graph_infer_nested(g));
    return g;
}

/* The range is that of all rounds, and the result is what the grid gives by hand. */
static void a_loop(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make_loop(ctx);
    skive_quantize_report r = {0};
    skive_quantize_options o = skive_quantize_options_default();
    const int64_t dims[3] = {RUNS, 1, WIDTH};
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 3, dims, 3, -1, 1), y = {0};
    double low = 0, high = 0;
    o.calibration = "minmax";
    skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, &r));
    assert_int_equal(r.n_quantized, 1);
    const skive_quantize_row *h = NULL;
    for (size_t k = 0; k < r.n_rows; k++)
        if (strcmp(r.rows[k].name, "h") == 0) h = &r.rows[k];
    assert_non_null(h);
    /* Runs 3 and 11 are held out. The last of three rounds sees four times the input, and the rows of w are read in
     * turn, so that every element counts. */
    for (int run = 0; run < RUNS; run++) {
        for (int k = 0; run % 8 != 3 && k < WIDTH; k++) {
            const double v = 4 * skive_tensor_get(&x, run * WIDTH + k);
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
    }
    assert_float_equal(h->lo, low, 1e-6);
    assert_float_equal(h->hi, high, 1e-6);
    for (int run = 0; run < RUNS; run++) {
        double a[WIDTH], next[WIDTH];
        const skive_tensor in =
            skv_tensor_view(SKIVE_F32, 2, (const int64_t[]){1, WIDTH}, (float *)x.data + run * WIDTH);
        for (int k = 0; k < WIDTH; k++) a[k] = (double)((const float *)in.data)[k];
        for (int trip = 0; trip < TRIPS; trip++) {
            for (int k = 0; k < WIDTH; k++) {
                double code = rint(a[k] / h->scale) + h->zero_point;
                code = code < 0 ? 0 : code > 255 ? 255 : code;
                next[(k + 1) % WIDTH] = (code - h->zero_point) * h->scale * 2;
            }
            memcpy(a, next, sizeof a);
        }
        skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &y, 1));
        for (int k = 0; k < WIDTH; k++) assert_float_equal(((const float *)y.data)[k], a[k], 1e-4);
        skive_tensor_free(ctx, &y);
    }
    skv_test_fails(ctx, skive_quantize_arrays(ctx, g, &x, 1, &o, NULL), SKIVE_ERR_ARGUMENT, "already quantized");
    skive_quantize_report_free(ctx, &r);
    skive_tensor_free(ctx, &x);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* With "auto" each value's range is chosen, and the best on held-out runs taken; the same on any number of threads. */
static void chosen_ranges(void **state) {
    (void)state;
    float y[2][WIDTH];
    for (int k = 0; k < 2; k++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = make_loop(ctx);
        skive_quantize_report r = {0};
        skive_tensor x = skv_test_random(ctx, SKIVE_F32, 3, (const int64_t[]){RUNS, 1, WIDTH}, 3, -1, 1), out;
        skv_test_ok(ctx, skive_context_set_threads(ctx, k + 1));
        skv_test_ok(ctx, skive_quantize_arrays(ctx, g, &x, 1, NULL, &r));
        assert_string_equal(r.calibration, "auto");
        assert_true(r.outputs[0].sqnr > 30);
        const skive_tensor in = skv_tensor_view(SKIVE_F32, 2, (const int64_t[]){1, WIDTH}, x.data);
        skv_test_ok(ctx, skive_graph_run(ctx, g, &in, 1, &out, 1));
        memcpy(y[k], out.data, sizeof y[k]);
        skive_tensor_free(ctx, &out);
        skive_quantize_report_free(ctx, &r);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
}

static skive_status make_and_quantize(skive_context *ctx, void *unused) {
    (void)unused;
    skive_graph *g = NULL;
    skive_quantize_report r = {0};
    skive_status status = make(ctx, &g);
    if (status == SKIVE_OK) status = quantize_rows(ctx, g, FEW_ROWS, NULL, &r);
    skive_quantize_report_free(ctx, &r);
    skive_graph_free(g);
    return status;
}

static void out_of_memory(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(make_and_quantize, NULL, 37) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_parts_become_integers),
                                       cmocka_unit_test(weights_of_the_outer_graph),
                                       cmocka_unit_test(a_dry_run),
                                       cmocka_unit_test(a_loop),
                                       cmocka_unit_test(chosen_ranges),
                                       cmocka_unit_test(skipped_by_name),
                                       cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
