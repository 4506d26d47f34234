/* Training of weights in the bodies of If, Loop and Scan: gradients against central differences of the model as it is,
 * run step by step, and whole runs of training. */
#include "train_fixtures.h"

#include <skive/autodiff.h>
#include <skive/eval.h>
#include <skive/onnx.h>
#include <skive/session.h>

#include "graph/weights.h"
#include "passes/unroll.h"

enum { HIDDEN = 8, TRIPS = 3 };

static skive_value *weight(skive_context *ctx, skv_builder *b, const char *name, int64_t rows, int64_t cols,
                           uint64_t seed) {
    const double most = 1.2 / sqrt((double)rows);
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, 2, (const int64_t[]){rows, cols}, seed, -most, most);
    skv_storage *storage = NULL;
    skv_test_ok(ctx, skv_storage_take(ctx, &t, &storage));
    return skv_emit_param(b, name, storage);
}

static skive_graph *body(skive_context *ctx, skive_graph *parent, skv_builder *b) {
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "body", &g));
    g->parent = parent;
    *b = skv_build(g);
    return g;
}

static skive_value *input(skive_context *ctx, skive_graph *g, const char *name, skive_dtype dtype, int rank,
                          int64_t cols) {
    skive_type t = skive_type_make(dtype, rank, (const int64_t[]){-1, cols});
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, name, &t, &v));
    return v;
}

static skive_value *outer(skive_context *ctx, skive_graph *g, skive_value *v) {
    skive_value *own = NULL;
    skv_test_ok(ctx, skv_graph_new_value(g, v->name, &own));
    own->outer = v;
    own->type = v->type;
    return own;
}

/* One step: tanh(h w + entry u) */
static skive_graph *scan_body(skive_context *ctx, skive_graph *parent) {
    skv_builder b;
    skive_graph *g = body(ctx, parent, &b);
    skive_value *h = input(ctx, g, "h", SKIVE_F32, 2, HIDDEN), *entry = input(ctx, g, "e", SKIVE_F32, 2, SIDE);
    skive_value *p = skv_emit(&b, "MatMul", SKV_IN(h, weight(ctx, &b, "w", HIDDEN, HIDDEN, 1)), SKV_NONE);
    skive_value *q = skv_emit(&b, "MatMul", SKV_IN(entry, weight(ctx, &b, "u", SIDE, HIDDEN, 2)), SKV_NONE);
    skive_value *y = skv_emit(&b, "Tanh", SKV_IN(skv_emit(&b, "Add", SKV_IN(p, q), SKV_NONE)), SKV_NONE);
    skive_value *each = skv_emit(&b, "Identity", SKV_IN(y), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_add_output(g, each));
    return g;
}

/* One round: tanh(h w), of which the weight has the name of another body's */
static skive_graph *loop_body(skive_context *ctx, skive_graph *parent, bool endless) {
    skv_builder b;
    skive_graph *g = body(ctx, parent, &b);
    skive_value *i = input(ctx, g, "i", SKIVE_I64, 0, 0), *c = input(ctx, g, "c", SKIVE_BOOL, 0, 0);
    skive_value *h = input(ctx, g, "h", SKIVE_F32, 2, HIDDEN);
    skive_value *y = skv_emit(
        &b, "Tanh", SKV_IN(skv_emit(&b, "MatMul", SKV_IN(h, weight(ctx, &b, "w", HIDDEN, HIDDEN, 3)), SKV_NONE)),
        SKV_NONE);
    skive_value *sum = skv_emit(&b, "ReduceSum", SKV_IN(y), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *more = endless ? skv_emit(&b, "Less", SKV_IN(sum, skv_emit_scalar(&b, SKIVE_F32, 3)), SKV_NONE)
                                : skv_emit(&b, "Identity", SKV_IN(c), SKV_NONE);
    (void)i;
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, more));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static skive_graph *branch(skive_context *ctx, skive_graph *parent, skive_value *h, const char *name, uint64_t seed) {
    skv_builder b;
    skive_graph *g = body(ctx, parent, &b);
    skive_value *y =
        skv_emit(&b, "MatMul", SKV_IN(outer(ctx, g, h), weight(ctx, &b, name, HIDDEN, CLASSES, seed)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static skive_node *flow(skive_context *ctx, skive_graph *g, const char *op, skv_in_list in, skive_value **y,
                        size_t n_out, const char *attribute, skive_graph *sub) {
    skive_node *n = NULL;
    for (size_t i = 0; i < n_out; i++) skv_test_ok(ctx, skv_graph_new_value(g, NULL, &y[i]));
    skv_test_ok(ctx, skv_graph_new_node(g, op, NULL, op, in.values, in.n, y, n_out, &n));
    skv_test_ok(ctx, skv_node_set_graph_attr(n, attribute, sub));
    return n;
}

/* x [batch][1][6][6] -> h0 = x first; Scan over the columns of the image from the last one; Loop of three rounds; If
 * the sum of `first` is above the limit: h yes, else h no. */
static skive_graph *make(skive_context *ctx, int64_t batch, double limit, bool endless) {
    const skive_type image = skive_type_make(SKIVE_F32, 4, (const int64_t[]){batch, 1, SIDE, SIDE});
    skive_graph *g = NULL;
    skive_value *x, *y[2];
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &image, &x));
    skv_builder b = skv_build(g);
    skive_value *first = weight(ctx, &b, "first", PIXELS, HIDDEN, 4);
    skive_value *h0 = skv_emit(&b, "MatMul", SKV_IN(skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE), first), SKV_NONE);
    skive_value *rows =
        skv_emit(&b, "Reshape", SKV_IN(x, skv_emit_ints(&b, (const int64_t[]){-1, SIDE, SIDE}, 3)), SKV_NONE);
    skive_value *trips = skv_emit_scalar(&b, SKIVE_I64, TRIPS), *on = skv_emit_scalar(&b, SKIVE_BOOL, 1);
    skv_test_ok(ctx, b.status);
    skive_node *scan = flow(ctx, g, "Scan", SKV_IN(h0, rows), y, 2, "body", scan_body(ctx, g));
    skv_test_ok(ctx, skv_node_set_attr(scan, &SKV_INT("num_scan_inputs", 1)));
    skv_test_ok(ctx, skv_node_set_attr(scan, &SKV_INTS("scan_input_axes", (const int64_t[]){2}, 1)));
    skv_test_ok(ctx, skv_node_set_attr(scan, &SKV_INTS("scan_input_directions", (const int64_t[]){1}, 1)));
    skv_test_ok(ctx, skv_node_set_attr(scan, &SKV_INTS("scan_output_axes", (const int64_t[]){1}, 1)));
    skv_test_ok(ctx, skv_graph_infer_nested(g));
    /* the mean of all steps joins the last one */
    skive_value *mean = skv_emit(&b, "ReduceMean", SKV_IN(y[1], skv_emit_ints(&b, (const int64_t[]){1}, 1)),
                                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *joined = skv_emit(&b, "Add", SKV_IN(y[0], mean), SKV_NONE);
    (void)flow(ctx, g, "Loop", SKV_IN(trips, on, joined), y, 1, "body", loop_body(ctx, g, endless));
    y[0]->type = h0->type;
    skive_value *h = y[0], *sum = skv_emit(&b, "ReduceSum", SKV_IN(first), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *condition = skv_emit(&b, "Greater", SKV_IN(sum, skv_emit_scalar(&b, SKIVE_F32, limit)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skive_node *choice = flow(ctx, g, "If", SKV_IN(condition), y, 1, "then_branch", branch(ctx, g, h, "yes", 5));
    skv_test_ok(ctx, skv_node_set_graph_attr(choice, "else_branch", branch(ctx, g, h, "no", 6)));
    skv_test_ok(ctx, skv_value_rename(y[0], "logits"));
    skv_test_ok(ctx, skive_graph_add_output(g, y[0]));
    skv_test_ok(ctx, skv_graph_infer_nested(g));
    skv_test_ok(ctx, skive_graph_check(g));
    return g;
}

static skive_graph *unrolled(skive_context *ctx, const skive_graph *g) {
    skive_graph *u = NULL;
    char *done = NULL, *left = NULL;
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &u));
    skv_test_ok(ctx, skv_mark_trainable(u));
    skv_test_ok(ctx, skv_unroll(u, &done, &left));
    assert_null(left);
    assert_non_null(strstr(done, "'Scan' (Scan) as 6 steps"));
    assert_non_null(strstr(done, "'Loop' (Loop) as 3 rounds"));
    assert_non_null(strstr(done, "'If' (If) as both branches"));
    for (uint32_t i = 0; i < u->n_nodes; i++) assert_false(skv_node_has_subgraph(u->nodes[i]));
    skv_free(ctx, done);
    skv_free(ctx, left);
    return u;
}

enum { BATCH = 2 };

/* The sum of squares of the outputs. */
static double loss_of(skive_context *ctx, const skive_graph *g, const skive_tensor *x) {
    skive_tensor y;
    double sum = 0;
    skv_test_ok(ctx, skive_graph_run(ctx, g, x, 1, &y, 1));
    for (int64_t i = 0; i < skive_tensor_count(&y); i++) sum += skive_tensor_get(&y, i) * skive_tensor_get(&y, i);
    skive_tensor_free(ctx, &y);
    return sum;
}

/* Every weight of every body, with the condition on either side; of the branch that is not taken the gradient is 0. */
static void gradients(void **state) {
    static const char *const names[] = {"w", "u", "w.body2", "yes", "no"};
    (void)state;
    for (int side = 0; side < 2; side++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = make(ctx, BATCH, side ? -100 : 100, false), *u = unrolled(ctx, g);
        const skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, (const int64_t[]){BATCH, 1, SIDE, SIDE}, 9, -1, 1);
        skive_value *wrt[SKV_COUNT(names)], *d[SKV_COUNT(names)];
        skive_tensor got[1 + SKV_COUNT(names)];
        skv_builder b = skv_build(u);
        skive_value *y = u->outputs[0];
        assert_string_equal(y->name, "logits");
        skive_value *loss = skv_emit(&b, "ReduceSum", SKV_IN(skv_emit(&b, "Mul", SKV_IN(y, y), SKV_NONE)),
                                     SKV_ATTRS(SKV_INT("keepdims", 0)));
        skv_test_ok(ctx, b.status);
        for (size_t k = 0; k < SKV_COUNT(names); k++) {
            wrt[k] = skive_graph_find_value(u, names[k]);
            if (!wrt[k]) fail_msg("no parameter '%s'", names[k]);
            assert_true(wrt[k]->trainable);
        }
        assert_true(fabs(loss_of(ctx, g, &x) - loss_of(ctx, u, &x)) < 1e-5 * loss_of(ctx, g, &x));
        skv_test_ok(ctx, skive_autodiff(u, loss, wrt, SKV_COUNT(names), d));
        for (size_t k = 0; k < SKV_COUNT(names); k++) skv_test_ok(ctx, skive_graph_add_output(u, d[k]));
        skv_test_ok(ctx, skive_graph_run(ctx, u, &x, 1, got, 1 + SKV_COUNT(names)));
        double most = 0;
        for (size_t k = 0; k < SKV_COUNT(names); k++) {
            /* the second w is that of the Loop, behind the one of the Scan */
            skive_graph *at = NULL;
            for (uint32_t i = 0; k == 2 && i < g->n_nodes; i++)
                if (skv_node_is(g->nodes[i], SKV_OP_LOOP)) at = skv_node_attr(g->nodes[i], "body")->graph;
            skive_value *v = at ? skive_graph_find_value(at, "w") : skv_find_value_anywhere(g, names[k]);
            float *w = v->storage->tensor.data;
            const double step = 1e-2;
            for (int64_t i = 0; i < skive_tensor_count(&v->storage->tensor); i++) {
                const float was = w[i];
                w[i] = was + (float)step;
                const double up = loss_of(ctx, g, &x), above = (double)w[i];
                w[i] = was - (float)step;
                const double down = loss_of(ctx, g, &x), below = (double)w[i];
                w[i] = was;
                const double slope = (up - down) / (above - below), is = skive_tensor_get(&got[1 + k], i);
                most = fmax(most, fabs(slope));
                if (fabs(slope - is) > 1e-3 * (1 + fabs(slope)))
                    fail_msg("%s[%d]: %g, by differences %g", names[k], (int)i, is, slope);
                if (k == (side ? 4 : 3)) assert_true(is == 0);
            }
        }
        assert_true(most > 0.1);
        for (size_t k = 0; k < 1 + SKV_COUNT(names); k++) skive_tensor_free(ctx, &got[k]);
        skive_tensor free_x = x;
        skive_tensor_free(ctx, &free_x);
        skive_graph_free(u);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

static float *numbers(const skive_graph *g, const char *name) {
    return skv_find_value_anywhere(g, name)->storage->tensor.data;
}

/* The model keeps its control flow, gets better, and answers step by step as its evaluation says. */
static void trained(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, -1, -100, false);
    skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_train_options o = settings(12, 24);
    skive_eval_report before, after;
    float yes = numbers(g, "yes")[0], no = numbers(g, "no")[0], u = numbers(g, "u")[0], w = numbers(g, "w")[0];
    const uint32_t nodes = g->n_nodes;
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &before));
    skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL));
    skv_test_ok(ctx, skive_graph_check(g));
    assert_int_equal(g->n_nodes, nodes);
    assert_true(numbers(g, "yes")[0] != yes && numbers(g, "u")[0] != u && numbers(g, "w")[0] != w);
    assert_true(numbers(g, "no")[0] == no || fabsf(numbers(g, "no")[0] - no) < 0.02f); /* weight decay alone */
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &after));
    print_message("%.1f %% before, %.1f %% after\n", 100 * before.accuracy, 100 * after.accuracy);
    assert_true(after.accuracy > 0.8 && before.accuracy < 0.7);
    /* The session, which runs the bodies, counts as many right answers. */
    skive_tensor x = {0}, y = {0}, labels = {0};
    char path[SKV_TEST_PATH];
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, file(path, "tx.npy"), &x));
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, file(path, "ty.npy"), &labels));
    skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, &y, 1));
    int64_t right = 0;
    for (int64_t i = 0; i < TESTING; i++) {
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            if (skive_tensor_get(&y, i * CLASSES + c) > skive_tensor_get(&y, i * CLASSES + best)) best = c;
        right += best == (int)skive_tensor_get(&labels, i);
    }
    assert_int_equal(right, after.correct);
    skive_eval_report_free(ctx, &before);
    skive_eval_report_free(ctx, &after);
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    skive_tensor_free(ctx, &labels);
    skive_dataset_free(train);
    skive_dataset_free(test);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* What is frozen in a body stays as it is, and a dry run says so. */
static void frozen(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, -1, -100, false);
    skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_train_options o = settings(1, 24);
    float u[SIDE * HIDDEN];
    o.freeze = "u";
    memcpy(u, numbers(g, "u"), sizeof u);
    const float yes = numbers(g, "yes")[0];
    skive_train_scope scope;
    int found = 0;
    skv_test_ok(ctx, skive_train_scope_of(ctx, g, &o, &scope));
    for (size_t i = 0; i < scope.n_parameters; i++) {
        const bool u_itself = strcmp(scope.parameters[i].name, "u") == 0;
        if (!u_itself && strcmp(scope.parameters[i].name, "yes") != 0) continue;
        assert_true(scope.parameters[i].trained != u_itself);
        found++;
    }
    assert_int_equal(found, 2);
    skive_train_scope_free(ctx, &scope);
    skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL));
    assert_memory_equal(numbers(g, "u"), u, sizeof u);
    assert_true(numbers(g, "yes")[0] != yes);
    skive_dataset_free(train);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A Loop whose rounds depend on data is refused by name, and nothing changes. */
static void refused(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = make(ctx, -1, -100, true);
    skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    const skive_train_options o = settings(1, 24);
    const float w = numbers(g, "w")[0];
    skv_test_fails(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL), SKIVE_ERR_UNSUPPORTED,
                   "no gradient for Loop (node 'Loop'");
    bool told = false;
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        told = told || strstr(skive_context_note(ctx, i), "'Loop' (Loop): the number of its rounds depends on data");
    assert_true(told);
    assert_true(numbers(g, "w")[0] == w);
    skive_dataset_free(train);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status load_and_unroll(skive_context *ctx, void *path) {
    skive_graph *g = NULL;
    char *done = NULL, *left = NULL;
    SKV_TRY(skive_onnx_load(ctx, path, NULL, &g));
    const skive_status status = skv_unroll(g, &done, &left);
    skv_free(ctx, done);
    skv_free(ctx, left);
    skive_graph_free(g);
    return status;
}

static void out_of_memory(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_graph *g = make(ctx, -1, -100, false);
    skv_test_ok(ctx, skive_onnx_save(ctx, g, file(path, "m.onnx"), NULL));
    skive_graph_free(g);
    skv_test_context_end(ctx);
    assert_true(skv_test_walk_allocations(load_and_unroll, path, 7) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients), cmocka_unit_test(trained),       cmocka_unit_test(frozen),
        cmocka_unit_test(refused),   cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
