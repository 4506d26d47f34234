/* Sessions: control flow, shapes that depend on data, plans cached by shape, failures during a run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <skive/session.h>

#include "graph/graph.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

/* Small graphs are written as calls; whatever fails fails the test, or in a walk over allocations ends the building. */
typedef struct writer {
    skive_context *ctx;
    skive_graph *g;
    skive_status status;
} writer;

static writer writer_new(skive_context *ctx, skive_graph *parent) {
    writer w = {.ctx = ctx};
    w.status = skive_graph_create(ctx, "g", &w.g);
    if (w.g) w.g->parent = parent;
    return w;
}

static skive_value *input(writer *w, const char *name, skive_dtype dtype, int rank, const int64_t *dims) {
    skive_value *v = NULL;
    const skive_type t = skive_type_make(dtype, rank, dims);
    if (w->status == SKIVE_OK) w->status = skive_graph_add_input(w->g, name, &t, &v);
    return v;
}

static skive_value *captured(writer *w, skive_value *outer) {
    skive_value *v = NULL;
    if (w->status != SKIVE_OK) return NULL;
    w->status = skv_graph_new_value(w->g, outer->name, &v);
    if (v) v->outer = outer;
    return v;
}

static skive_value *number(writer *w, skive_dtype dtype, double value) {
    skv_builder b = skv_build(w->g);
    skive_value *v = w->status == SKIVE_OK ? skv_emit_scalar(&b, dtype, value) : NULL;
    if (w->status == SKIVE_OK) w->status = b.status;
    return v;
}

/* A node with its outputs; subgraphs are added by `with`. */
static skive_node *node(writer *w, const char *op, skv_in_list in, skive_value **out, size_t n_out) {
    skive_node *n = NULL;
    for (size_t o = 0; o < n_out && w->status == SKIVE_OK; o++) w->status = skv_graph_new_value(w->g, NULL, &out[o]);
    if (w->status == SKIVE_OK) w->status = skv_graph_new_node(w->g, op, NULL, NULL, in.values, in.n, out, n_out, &n);
    return n;
}

static skive_value *apply(writer *w, const char *op, skv_in_list in) {
    skive_value *out = NULL;
    (void)node(w, op, in, &out, 1);
    return out;
}

static void output(writer *w, skive_value *v) {
    if (w->status == SKIVE_OK) w->status = skive_graph_add_output(w->g, v);
}

static void with(writer *w, skive_node *n, const char *name, writer *sub) {
    if (w->status == SKIVE_OK) w->status = sub->status;
    if (w->status == SKIVE_OK) w->status = skv_node_set_graph_attr(n, name, sub->g);
    if (w->status != SKIVE_OK) skive_graph_free(sub->g);
}

static skive_tensor tensor(skive_dtype dtype, int rank, const int64_t *dims, const void *data) {
    return skv_tensor_view(dtype, rank, dims, data);
}

/* y = c ? x + 1 : x reduced to its sum. Both see the outer x. */
static skive_status make_if(skive_context *ctx, skive_graph **out) {
    const int64_t dims[1] = {-1};
    writer w = writer_new(ctx, NULL);
    skive_value *c = input(&w, "c", SKIVE_BOOL, 0, NULL), *x = input(&w, "x", SKIVE_F32, 1, dims), *y = NULL;
    skive_node *n = node(&w, "If", SKV_IN(c), &y, 1);
    writer yes = writer_new(ctx, w.g), no = writer_new(ctx, w.g);
    if (w.status == SKIVE_OK) {
        output(&yes, apply(&yes, "Add", SKV_IN(captured(&yes, x), number(&yes, SKIVE_F32, 1))));
        output(&no, apply(&no, "ReduceSum", SKV_IN(captured(&no, x))));
    }
    with(&w, n, "then_branch", &yes);
    with(&w, n, "else_branch", &no);
    output(&w, apply(&w, "Neg", SKV_IN(y)));
    *out = w.g;
    return w.status;
}

static void branches(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_session *s = NULL;
    const float values[4] = {1, 2, 3, 4};
    skv_test_ok(ctx, make_if(ctx, &g));
    skv_test_ok(ctx, skive_graph_check(g));
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &s));
    skive_graph_free(g);
    for (int64_t length = 2; length <= 4; length++) {
        for (int c = 0; c < 2; c++) {
            const bool condition = c == 1;
            const float expected = condition ? -2.0f : -(float)(length * (length + 1) / 2);
            skive_tensor in[2] = {tensor(SKIVE_BOOL, 0, NULL, &condition), tensor(SKIVE_F32, 1, &length, values)}, y;
            skv_test_ok(ctx, skive_session_run(s, in, 2, &y, 1));
            assert_int_equal(skive_tensor_count(&y), c ? length : 1);
            assert_float_equal(((float *)y.data)[0], expected, 1e-6);
            skive_tensor_free(ctx, &y);
        }
    }
    const int64_t two = 2;
    skive_tensor wrong[2] = {tensor(SKIVE_F32, 1, &two, values), tensor(SKIVE_F32, 1, &two, values)}, y;
    skv_test_fails(ctx, skive_session_run(s, wrong, 2, &y, 1), SKIVE_ERR_SHAPE, "input 'c' takes bool[]");
    skive_session_free(s);
    skv_test_context_end(ctx);
}

/* Carried: v grows by one element a round (Concat), up to `limit` elements; scanned: its length. */
static skive_status make_loop(skive_context *ctx, skive_graph **out) {
    const int64_t open[1] = {-1}, one[1] = {1};
    writer w = writer_new(ctx, NULL);
    skive_value *m = input(&w, "m", SKIVE_I64, 0, NULL), *v = input(&w, "v", SKIVE_F32, 1, open),
                *limit = input(&w, "limit", SKIVE_I64, 1, one);
    skive_value *y[2] = {NULL, NULL};
    skive_node *n = node(&w, "Loop", SKV_IN(m, NULL, v), y, 2);
    writer b = writer_new(ctx, w.g);
    if (w.status == SKIVE_OK) {
        (void)input(&b, "i", SKIVE_I64, 0, NULL);
        (void)input(&b, "go", SKIVE_BOOL, 0, NULL);
        skive_value *inner = input(&b, "inner", SKIVE_F32, 1, open), *last = NULL;
        skive_node *concat =
            node(&b, "Concat", SKV_IN(inner, apply(&b, "Cast", SKV_IN(captured(&b, limit)))), &last, 1);
        if (b.status == SKIVE_OK) {
            b.status = skv_node_set_attr(concat->inputs[1]->producer, &SKV_INT("to", SKIVE_F32));
            if (b.status == SKIVE_OK) b.status = skv_node_set_attr(concat, &SKV_INT("axis", 0));
        }
        skive_value *length = apply(&b, "Shape", SKV_IN(last));
        output(&b, apply(&b, "Squeeze", SKV_IN(apply(&b, "Less", SKV_IN(length, captured(&b, m))))));
        output(&b, last);
        output(&b, length);
    }
    with(&w, n, "body", &b);
    output(&w, y[0]);
    output(&w, y[1]);
    *out = w.g;
    return w.status;
}

static skive_status run_loop(skive_context *ctx, skive_session *s, int64_t m, int64_t length, skive_tensor out[2]) {
    static const float values[3] = {1, 2, 3};
    const int64_t limit = 9, one = 1;
    const skive_tensor in[3] = {tensor(SKIVE_I64, 0, NULL, &m), tensor(SKIVE_F32, 1, &length, values),
                                tensor(SKIVE_I64, 1, &one, &limit)};
    (void)ctx;
    return skive_session_run(s, in, 3, out, 2);
}

static void loops(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_session *s = NULL;
    skive_tensor y[2];
    skv_test_ok(ctx, make_loop(ctx, &g));
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &s));
    skive_graph_free(g);
    /* From 2 elements until there are 5: three rounds, for the condition says so before the fifth. */
    skv_test_ok(ctx, run_loop(ctx, s, 5, 2, y));
    assert_true(y[0].rank == 1 && y[0].dims[0] == 5 && y[1].rank == 2 && y[1].dims[0] == 3 && y[1].dims[1] == 1);
    assert_true(((float *)y[0].data)[4] == 9 && ((int64_t *)y[1].data)[2] == 5);
    skive_tensor_free(ctx, &y[0]);
    skive_tensor_free(ctx, &y[1]);
    /* No round: what is carried comes out as it went in. */
    skv_test_ok(ctx, run_loop(ctx, s, 0, 3, y));
    assert_true(y[0].dims[0] == 3 && ((float *)y[0].data)[2] == 3 && y[1].dims[0] == 0);
    skive_tensor_free(ctx, &y[0]);
    skive_tensor_free(ctx, &y[1]);
    skive_session_free(s);
    skv_test_context_end(ctx);
}

/* z = 2 * x at the places where x is not zero: the number of results depends on the numbers. */
static skive_status make_choice(skive_context *ctx, skive_graph **out) {
    const int64_t open[1] = {-1};
    writer w = writer_new(ctx, NULL);
    skive_value *x = input(&w, "x", SKIVE_F32, 1, open);
    skive_value *twice = apply(&w, "Add", SKV_IN(x, x));
    skive_value *where = apply(&w, "Squeeze", SKV_IN(apply(&w, "NonZero", SKV_IN(x))));
    output(&w, apply(&w, "Exp", SKV_IN(apply(&w, "Gather", SKV_IN(apply(&w, "Log", SKV_IN(twice)), where)))));
    *out = w.g;
    return w.status;
}

static void sizes_from_data(void **unused) {
    (void)unused;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_session *s = NULL;
    const float values[2][4] = {{1, 0, 3, 0}, {0, 5, 0, 7}}, all[4] = {1, 2, 3, 4};
    const int64_t four = 4;
    skive_tensor y;
    skv_test_ok(ctx, make_choice(ctx, &g));
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &s));
    for (int k = 0; k < 2; k++) {
        const skive_tensor x = tensor(SKIVE_F32, 1, &four, values[k]);
        skv_test_ok(ctx, skive_session_run(s, &x, 1, &y, 1));
        assert_int_equal(y.dims[0], 2);
        assert_float_equal(((float *)y.data)[1], 2 * (k ? 7 : 3), 1e-5);
        skive_tensor_free(ctx, &y);
        assert_int_equal(skive_session_plan_count(s), 2); /* before and behind NonZero, made once */
    }
    const skive_tensor x = tensor(SKIVE_F32, 1, &four, all);
    skv_test_ok(ctx, skive_session_run(s, &x, 1, &y, 1));
    assert_int_equal(y.dims[0], 4);
    skive_tensor_free(ctx, &y);
    assert_int_equal(skive_session_plan_count(s), 3);
    /* A plan alone cannot hold it, and says so. */
    skive_plan *plan = NULL;
    skive_plan_options o = skive_plan_options_default();
    o.batch = 4;
    skv_test_fails(ctx, skive_plan_create(ctx, g, &o, &plan), SKIVE_ERR_SHAPE, "depends on data");
    skive_graph_free(g);
    skive_session_free(s);
    skv_test_context_end(ctx);
}

static skive_status all_of_it(skive_context *ctx, void *user) {
    skive_status (*const make[])(skive_context *, skive_graph **) = {make_if, make_loop, make_choice};
    const float values[4] = {1, 0, 3, 4};
    const int64_t four = 4, m = 4, one = 1;
    const bool yes = true;
    const skive_tensor x = tensor(SKIVE_F32, 1, &four, values), c = tensor(SKIVE_BOOL, 0, NULL, &yes),
                       n = tensor(SKIVE_I64, 0, NULL, &m), limit = tensor(SKIVE_I64, 1, &one, &m);
    const skive_tensor in[3][3] = {{c, x}, {n, x, limit}, {x}};
    const size_t n_in[3] = {2, 3, 1}, n_out[3] = {1, 2, 1};
    (void)user;
    skive_status status = SKIVE_OK;
    for (int k = 0; k < 3 && status == SKIVE_OK; k++) {
        skive_graph *g = NULL;
        skive_session *s = NULL;
        skive_tensor y[2] = {{0}};
        status = make[k](ctx, &g);
        if (status == SKIVE_OK) status = skive_session_create(ctx, g, NULL, &s);
        if (status == SKIVE_OK) status = skive_session_run(s, in[k], n_in[k], y, n_out[k]);
        skive_tensor_free(ctx, &y[0]);
        skive_tensor_free(ctx, &y[1]);
        skive_session_free(s);
        skive_graph_free(g);
    }
    return status;
}

static void every_allocation_may_fail(void **unused) {
    (void)unused;
    assert_true(skv_test_walk_allocations(all_of_it, NULL, 1) > 100);
}

/* NaN and infinity in an input come out as they would node by node, and leave the plans for other inputs alone. */
static void nan_stays(void **state) {
    const int64_t x_dims[4] = {1, 16, 9, 9}, w_dims[4] = {16, 16, 3, 3};
    skive_context *ctx = skv_test_context();
    writer w = writer_new(ctx, NULL);
    skive_session *session = NULL;
    skive_tensor weights = skv_test_random(ctx, SKIVE_F32, 4, w_dims, 2, -1, 1),
                 x = skv_test_random(ctx, SKIVE_F32, 4, x_dims, 3, -1, 1);
    skive_tensor out[3];
    skive_value *in = input(&w, "x", SKIVE_F32, 4, x_dims), *filters = NULL;
    (void)state;
    skv_test_ok(ctx, skive_graph_add_parameter(w.g, "w", &weights, &filters));
    skive_value *y = apply(&w, "Relu", SKV_IN(apply(&w, "Conv", SKV_IN(in, filters))));
    skv_test_ok(ctx, w.status);
    skv_test_ok(ctx, skive_graph_add_output(w.g, y));
    skv_test_ok(ctx, skive_graph_infer(w.g));
    skv_test_ok(ctx, skive_session_create(ctx, w.g, NULL, &session));
    for (int run = 0; run < 3; run++) {
        const double before = skive_tensor_get(&x, 0);
        if (run == 1) skive_tensor_set(&x, 0, (double)NAN);
        skv_test_ok(ctx, skive_session_run(session, &x, 1, &out[run], 1));
        skive_tensor_set(&x, 0, before);
    }
    const int64_t count = skive_tensor_count(&out[0]), plane = count / 16;
    for (int64_t i = 0; i < count; i++) {
        const double a = skive_tensor_get(&out[0], i), b = skive_tensor_get(&out[1], i);
        assert_true(i % plane == 0 ? isnan(b) : fabs(a - b) < 1e-4); /* the one position that sees the element */
    }
    assert_memory_equal(out[0].data, out[2].data, skive_tensor_bytes(&out[0]));
    assert_int_equal(skive_session_plan_count(session), 2);
    for (int run = 0; run < 3; run++) skive_tensor_free(ctx, &out[run]);
    skive_session_free(session);
    skive_tensor_free(ctx, &weights);
    skive_tensor_free(ctx, &x);
    skive_graph_free(w.g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_stays),
        cmocka_unit_test(branches),
        cmocka_unit_test(loops),
        cmocka_unit_test(sizes_from_data),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
