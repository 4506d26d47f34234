/* Quantization with a limit on the loss of accuracy: the culprit is found and put back, the result is that of leaving
 * it out by name, and the drops told are those of the model that comes out. */
#include <skive/onnx.h>
#include <skive/quant.h>

#include "train_fixtures.h"

enum { HIDDEN = 12 };

static double weight(uint64_t stream, int i, int k) { return skv_rng_normal(31, stream, (uint64_t)(i * 1000 + k)); }

/* Three layers that find the bright band. Of the second one's outputs the first three are thousands of times larger
 * than the others and tell nothing of the class; those that do are left no level of a common u8 grid. So the last
 * layer, which reads them, is the one that must not be quantized. */
static skive_graph *spoilt_model(skive_context *ctx) {
    static float w1[HIDDEN][PIXELS], w2[HIDDEN][HIDDEN], w3[CLASSES][HIDDEN], b1[HIDDEN], b2[HIDDEN], b3[CLASSES];
    for (int i = 0; i < HIDDEN; i++) {
        for (int k = 0; k < PIXELS; k++)
            w1[i][k] = (float)((k / SIDE / 2 == i % CLASSES ? 1.0 : -0.3) / 6 + 0.02 * weight(1, i, k));
        for (int k = 0; k < HIDDEN; k++)
            w2[i][k] = (float)((i % CLASSES == k % CLASSES ? 0.4 : -0.1) + 0.02 * weight(2, i, k));
        b1[i] = 0.1f;
        b2[i] = 0.05f;
    }
    for (int i = 0; i < CLASSES; i++)
        for (int k = 0; k < HIDDEN; k++) w3[i][k] = (float)((i == k % CLASSES ? 0.5 : -0.2) + 0.02 * weight(3, i, k));
    for (int i = 0; i < HIDDEN; i++) {
        const bool large = i < CLASSES;
        for (int k = 0; k < HIDDEN; k++) w2[i][k] = large ? 40.0f : w2[i][k] / 64;
        b2[i] /= large ? 1 : 64;
        for (int k = 0; k < CLASSES; k++) w3[k][i] = large ? 0.001f : w3[k][i] * 64;
    }
    const made_layer layers[] = {
        {HIDDEN, PIXELS, &w1[0][0], b1}, {HIDDEN, HIDDEN, &w2[0][0], b2}, {CLASSES, HIDDEN, &w3[0][0], b3}};
    return made_network(ctx, layers, 3, false);
}

typedef struct bench {
    skive_context *ctx;
    skive_graph *g;
    skive_dataset *train, *validation, *test;
    skive_quantize_options o;
} bench;

static bench start(skive_context *ctx) {
    bench b = {.ctx = ctx, .g = spoilt_model(ctx), .o = skive_quantize_options_default()};
    b.train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    b.validation = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    b.test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    b.o.calibration = "minmax";
    return b;
}

static void finish(bench *b) {
    skive_dataset_free(b->train);
    skive_dataset_free(b->validation);
    skive_dataset_free(b->test);
    skive_graph_free(b->g);
}

static double accuracy(skive_context *ctx, const skive_graph *g, skive_dataset *set) {
    skive_eval_report r;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
    const double x = 100 * r.accuracy;
    skive_eval_report_free(ctx, &r);
    return x;
}

static uint64_t bytes_of(skive_context *ctx, const skive_graph *g) {
    void *bytes = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
    const uint64_t h = skv_hash64(bytes, n, 1);
    skive_onnx_free_bytes(ctx, bytes);
    return h;
}

static void test_culprit(void **state) {
    skive_context *ctx = skv_test_context();
    skive_quantize_control c;
    skive_quantize_report r;
    bench b = start(ctx);
    skive_graph *whole = NULL, *left_out = NULL;
    (void)state;
    const double before = accuracy(ctx, b.g, b.validation), test_before = accuracy(ctx, b.g, b.test);
    skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &whole));
    skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &left_out));
    skv_test_ok(ctx, skive_quantize(ctx, whole, b.train, &b.o, NULL));
    const double lost = before - accuracy(ctx, whole, b.validation);
    assert_true(before > 85 && lost > 10); /* or there is nothing to put back */
    skv_test_ok(ctx, skive_quantize_within(ctx, b.g, b.train, b.validation, b.test, 2, &b.o, &r, &c));
    assert_true(c.search.feasible && c.search.drop <= 2);
    assert_int_equal(c.n_layers, 3);
    assert_int_equal(c.search.applied, 2);
    assert_int_equal(r.n_quantized, 2);
    assert_true(c.search.trials[0].applied == 3 && fabs(c.search.trials[0].drop - lost) < 1e-9);
    assert_true(c.layers[0].quantized && c.layers[1].quantized && !c.layers[2].quantized);
    assert_true(c.layers[0].sqnr >= c.layers[1].sqnr && c.layers[1].sqnr > c.layers[2].sqnr + 10);
    /* What is told is true of the model that comes out, on both sets. */
    assert_true(fabs(c.original - before) < 1e-9);
    assert_true(fabs(before - accuracy(ctx, b.g, b.validation) - c.search.drop) < 1e-9);
    assert_true(c.tested && fabs(c.test_original - test_before) < 1e-9);
    assert_true(fabs(test_before - accuracy(ctx, b.g, b.test) - c.test_drop) < 1e-9);
    assert_true(c.test_low <= c.test_drop && c.test_drop <= c.test_high && c.test.n == TESTING);
    bool told = false;
    for (size_t i = 0; i < r.n_left; i++) told = told || strstr(r.left[i].reason, "lose more accuracy");
    assert_true(told);
    /* The same as leaving the node out by its name. */
    const char *skip[] = {c.layers[2].node};
    b.o.skip = skip;
    b.o.n_skip = 1;
    skv_test_ok(ctx, skive_quantize(ctx, left_out, b.train, &b.o, NULL));
    assert_true(bytes_of(ctx, b.g) == bytes_of(ctx, left_out));
    skive_quantize_report_free(ctx, &r);
    skive_quantize_control_free(ctx, &c);
    skive_graph_free(whole);
    skive_graph_free(left_out);
    finish(&b);
    skv_test_context_end(ctx);
}

/* A limit that everything meets changes nothing: as without one. */
static void test_generous(void **state) {
    skive_context *ctx = skv_test_context();
    skive_quantize_control c;
    bench b = start(ctx);
    skive_graph *plain = NULL;
    (void)state;
    b.o.calibration = "auto";
    skv_test_ok(ctx, skive_graph_copy(ctx, b.g, &plain));
    skv_test_ok(ctx, skive_quantize(ctx, plain, b.train, &b.o, NULL));
    skv_test_ok(ctx, skive_quantize_within(ctx, b.g, b.train, b.validation, NULL, 100, &b.o, NULL, &c));
    assert_int_equal(c.search.n_trials, 1);
    assert_int_equal(c.search.applied, 3);
    assert_false(c.tested);
    assert_true(bytes_of(ctx, b.g) == bytes_of(ctx, plain));
    skive_quantize_control_free(ctx, &c);
    skive_graph_free(plain);
    finish(&b);
    skv_test_context_end(ctx);
}

/* A branch of an If that reads `y` of the outer graph: its columns in another order, or the negative. */
static void branch(skive_context *ctx, skive_node *n, const char *name, skive_value *y, const int64_t *order) {
    skive_graph *g = NULL;
    skive_value *in = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, name, &g));
    g->parent = y->graph;
    skv_builder b = skv_build(g);
    skv_test_ok(ctx, skv_graph_new_value(g, y->name, &in));
    in->outer = y;
    in = order ? skv_emit(&b, "Gather", SKV_IN(in, skv_emit_ints(&b, order, CLASSES)), SKV_ATTRS(SKV_INT("axis", 1)))
               : skv_emit(&b, "Neg", SKV_IN(in), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, in));
    skv_test_ok(ctx, skv_node_set_graph_attr(n, name, g));
}

/* Behind what is quantized an If puts the classes into their order: the drop is that of the whole model, not of the part
 * before it. */
static void test_behind_data(void **state) {
    static const int64_t order[] = {1, 2, 0}, back[] = {2, 0, 1};
    skive_context *ctx = skv_test_context();
    skive_quantize_control c;
    bench b = start(ctx);
    skv_builder e = skv_build(b.g);
    skive_node *choice = NULL;
    (void)state;
    skive_value *y = b.g->outputs[0], *low = skv_emit_scalar(&e, SKIVE_F32, -1e30), *chosen = NULL;
    skv_test_ok(ctx, skv_graph_remove_output(b.g, 0));
    y = skv_emit(&e, "Gather", SKV_IN(y, skv_emit_ints(&e, order, CLASSES)), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *sum = skv_emit(&e, "ReduceSum", SKV_IN(y), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *condition = skv_emit(&e, "Greater", SKV_IN(sum, low), SKV_NONE);
    skv_test_ok(ctx, e.status);
    skv_test_ok(ctx, skv_graph_new_value(b.g, "chosen", &chosen));
    skv_test_ok(ctx, skv_graph_new_node(b.g, "If", NULL, "choice", &condition, 1, &chosen, 1, &choice));
    branch(ctx, choice, "then_branch", y, back);
    branch(ctx, choice, "else_branch", y, NULL);
    skv_test_ok(ctx, skive_graph_add_output(b.g, chosen));
    skv_test_ok(ctx, skive_graph_infer(b.g));
    const double before = accuracy(ctx, b.g, b.validation);
    skv_test_ok(ctx, skive_quantize_within(ctx, b.g, b.train, b.validation, NULL, 2, &b.o, NULL, &c));
    assert_true(before > 85 && c.search.feasible);
    assert_int_equal(c.search.applied, 2);
    assert_true(fabs(before - accuracy(ctx, b.g, b.validation) - c.search.drop) < 1e-9);
    skive_quantize_control_free(ctx, &c);
    finish(&b);
    skv_test_context_end(ctx);
}

/* Only the spoilt node may be quantized: then nothing is within the limit, and the graph stays as it is. */
static void test_infeasible(void **state) {
    skive_context *ctx = skv_test_context();
    skive_quantize_control c;
    skive_quantize_report r;
    bench b = start(ctx);
    (void)state;
    skv_test_ok(ctx, skive_quantize_within(ctx, b.g, b.train, b.validation, NULL, 2, &b.o, NULL, &c));
    char culprit[128];
    snprintf(culprit, sizeof culprit, "%s", c.layers[2].node);
    skive_quantize_control_free(ctx, &c);
    skive_graph_free(b.g);
    b.g = spoilt_model(ctx);
    const char *skip[2];
    for (size_t i = 0, n = 0; i < skive_graph_node_count(b.g); i++) {
        const skive_node *node = skive_graph_node(b.g, i);
        if (strcmp(skive_node_op(node), "Gemm") == 0 && strcmp(skive_node_name(node), culprit) != 0 && n < 2)
            skip[n++] = skive_node_name(node);
    }
    b.o.skip = skip;
    b.o.n_skip = 2;
    const uint64_t before = bytes_of(ctx, b.g);
    skv_test_fails(ctx, skive_quantize_within(ctx, b.g, b.train, b.validation, b.test, 2, &b.o, &r, &c), SKIVE_ERR_GOAL,
                   "infeasible: no node can be quantized within a drop of 2 points");
    assert_true(c.n_layers == 1 && !c.search.feasible && !c.layers[0].quantized && c.search.n_trials == 1);
    assert_true(r.n_rows == 0);
    assert_true(bytes_of(ctx, b.g) == before);
    skive_quantize_control_free(ctx, &c);
    skv_test_fails(ctx, skive_quantize_within(ctx, b.g, b.train, b.validation, NULL, -1, &b.o, NULL, NULL),
                   SKIVE_ERR_ARGUMENT, "0 to 100");
    skv_test_fails(ctx, skive_quantize_within(ctx, b.g, b.train, b.validation, NULL, NAN, &b.o, NULL, NULL),
                   SKIVE_ERR_ARGUMENT, "0 to 100");
    finish(&b);
    skv_test_context_end(ctx);
}

static skive_status all(skive_context *ctx, void *user) {
    skive_quantize_control c = {0};
    skive_dataset *train = NULL, *validation = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    skive_quantize_options o = skive_quantize_options_default();
    skive_graph *g = NULL;
    skive_status status;
    o.calibration = "minmax";
    o.samples = 8;
    d.split = SKIVE_SPLIT_TRAIN;
    SKV_GO(status, done, skive_onnx_load(ctx, user, NULL, &g));
    SKV_GO(status, done, skive_dataset_open(ctx, blobs, &d, &train));
    d.split = SKIVE_SPLIT_VALIDATION;
    SKV_GO(status, done, skive_dataset_open(ctx, blobs, &d, &validation));
    status = skive_quantize_within(ctx, g, train, validation, NULL, 2, &o, NULL, &c);
done:
    skive_quantize_control_free(ctx, &c);
    skive_dataset_free(train);
    skive_dataset_free(validation);
    skive_graph_free(g);
    return status;
}

static void test_memory(void **state) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_graph *g = spoilt_model(ctx);
    (void)state;
    skv_test_ok(ctx, skive_onnx_save(ctx, g, file(path, "m.onnx"), NULL));
    skive_graph_free(g);
    skv_test_context_end(ctx);
    assert_true(skv_test_walk_allocations(all, path, 97) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_culprit),    cmocka_unit_test(test_generous), cmocka_unit_test(test_behind_data),
        cmocka_unit_test(test_infeasible), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
