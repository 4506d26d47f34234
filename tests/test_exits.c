/* Early exits and mutual learning: what is added, what is measured, what the loss is, and what is refused. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/distill.h>

#include "graph/meta_keys.h"

/* Two convolutions with a pooling between, and a linear layer: maps of 6x6 and 3x3. */
static skive_graph *two_stages(skive_context *ctx, uint64_t seed) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t w1[4] = {4, 1, 3, 3}, w2[4] = {4, 4, 3, 3}, f[2] = {36, CLASSES}, pads[4] = {1, 1, 1, 1},
                  two[2] = {2, 2};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "stages", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, parameter(&b, "w1", 4, w1, seed, -0.4, 0.4)),
                              SKV_ATTRS(SKV_INTS("pads", pads, 4)));
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "MaxPool", SKV_IN(y), SKV_ATTRS(SKV_INTS("kernel_shape", two, 2), SKV_INTS("strides", two, 2)));
    y = skv_emit(&b, "Conv", SKV_IN(y, parameter(&b, "w2", 4, w2, seed + 1, -0.4, 0.4)),
                 SKV_ATTRS(SKV_INTS("pads", pads, 4)));
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
    y = skv_emit(&b, "MatMul", SKV_IN(y, parameter(&b, "fc", 2, f, seed + 2, -0.3, 0.3)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skv_value_rename(y, "answer"));
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static double answer_bits(skive_context *ctx, const skive_graph *g) {
    const int64_t dims[4] = {7, 1, SIDE, SIDE};
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 7, -1, 1), out[3];
    double sum = 0;
    const size_t n = skive_graph_output_count(g);
    skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, out, n));
    for (int64_t i = 0; i < skive_tensor_count(&out[0]); i++) sum += (double)(i + 1) * skive_tensor_get(&out[0], i);
    for (size_t i = 0; i < n; i++) skive_tensor_free(ctx, &out[i]);
    skive_tensor_free(ctx, &x);
    return sum;
}

static void exits_are_added(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = two_stages(ctx, 1);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    const double before = answer_bits(ctx, g);
    size_t n = 9;
    (void)state;
    skv_test_fails(ctx, skive_model_add_exits(g, set, "nowhere", &n), SKIVE_ERR_NOT_FOUND, "has no value 'nowhere'");
    assert_int_equal(n, 0);
    assert_int_equal(skive_graph_output_count(g), 1);
    skv_test_ok(ctx, skive_model_add_exits(g, set, "auto", &n));
    assert_int_equal(n, 1);
    assert_int_equal(skive_graph_output_count(g), 2);
    assert_string_equal(skive_graph_meta(g, SKV_META_EXITS), "exit1");
    assert_string_equal(skive_graph_meta(g, SKV_META_OUTPUT_NAME), "answer");
    assert_true(answer_bits(ctx, g) == before);
    skv_test_fails(ctx, skive_model_add_exits(g, set, "auto", NULL), SKIVE_ERR_GRAPH, "exits already");
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status train_exits(skive_context *ctx, skive_graph *g, skive_dataset *set, int epochs) {
    skive_train_options how = settings(epochs, 40);
    skive_distill_options o = skive_distill_options_default();
    how.learning_rate = 0.05;
    o.train = &how;
    o.terms = "peer:value=exit1";
    return skive_distill(ctx, g, NULL, set, NULL, &o, NULL);
}

/* Exits learn, the measure adds up, and the answer and the exits are what is measured. */
static void exits_are_trained_and_measured(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = two_stages(ctx, 1);
    skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_exits_report r;
    (void)state;
    skv_test_fails(ctx, skive_exits_measure(ctx, g, test, &r), SKIVE_ERR_NOT_FOUND, "has no exits");
    skv_test_ok(ctx, skive_model_add_exits(g, train, "auto", NULL));
    skv_test_ok(ctx, train_exits(ctx, g, train, 6));
    skv_test_ok(ctx, skive_exits_measure(ctx, g, test, &r));
    assert_int_equal(r.n, 2);
    assert_int_equal(r.chosen_on + r.samples, TESTING);
    assert_true(skv_test_close(r.exits[0].share + r.exits[1].share, 1, 0, 1e-12));
    assert_true(skv_test_close(r.early, r.exits[0].share, 0, 1e-12));
    assert_true(r.exits[0].accuracy > 0.6 && r.last > 0.6 && r.accuracy > 0.6); /* guessing: 0.33 */
    assert_true(r.exits[0].macs > 0 && r.exits[0].macs < r.exits[1].macs);
    assert_non_null(skive_graph_meta(g, SKV_META_EXITS_THRESHOLD));
    /* By hand, from the outputs of the two. */
    double early = 0, right = 0;
    for (size_t i = 1; i < TESTING; i += 2) {
        float image[PIXELS];
        int64_t label, best[2] = {0, 0};
        double sure = 0;
        const int64_t dims[4] = {1, 1, SIDE, SIDE};
        skive_tensor x = {.dtype = SKIVE_F32, .rank = 4, .data = image}, out[2];
        memcpy(x.dims, dims, sizeof dims);
        skv_test_ok(ctx, skive_dataset_read(ctx, test, i, image, &label));
        skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, out, 2));
        for (int k = 0; k < 2; k++)
            for (int64_t c = 1; c < CLASSES; c++)
                if (skive_tensor_get(&out[k], c) > skive_tensor_get(&out[k], best[k])) best[k] = c;
        for (int64_t c = 0; c < CLASSES; c++)
            sure += exp(skive_tensor_get(&out[1], c) - skive_tensor_get(&out[1], best[1]));
        const bool leaves = (float)(1 / sure) >= (float)r.threshold;
        early += leaves;
        right += best[leaves ? 1 : 0] == label;
        for (int k = 0; k < 2; k++) skive_tensor_free(ctx, &out[k]);
    }
    assert_true(fabs(early / (double)r.samples - r.early) < 2.0 / (double)r.samples);
    assert_true(fabs(right / (double)r.samples - r.accuracy) < 2.0 / (double)r.samples);
    skive_exits_report_free(ctx, &r);
    skive_dataset_free(train);
    skive_dataset_free(test);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void wrong_terms_are_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = two_stages(ctx, 1);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_train_options how = settings(1, 40);
    skive_distill_options o = skive_distill_options_default();
    (void)state;
    o.train = &how;
    skv_test_fails(ctx, skive_distill(ctx, g, NULL, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "teacher");
    o.terms = "peer:value=exit1";
    skv_test_fails(ctx, skive_distill(ctx, g, NULL, set, NULL, &o, NULL), SKIVE_ERR_NOT_FOUND, "has no value 'exit1'");
    o.terms = "peer";
    skv_test_fails(ctx, skive_distill(ctx, g, NULL, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "value=NAME");
    o.terms = "peer:value=answer,of=1";
    skv_test_fails(ctx, skive_distill(ctx, g, NULL, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "leave of= out");
    o.terms = "kl";
    skv_test_fails(ctx, skive_distill(ctx, g, NULL, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "needs a teacher");
    skive_dataset_free(set);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- mutual learning ---- */

/* The loss of three students before the first step: for each the cross-entropy, and half of the sum over the others of
 * T^2 KL(other || it). Then all of them change. */
static void students_learn_from_one_another(void **state) {
    enum { N = 3 };
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_dataset_info info;
    skive_graph *students[N];
    const float *w[N];
    const double t = 2;
    skive_train_report r;
    double expected = 0;
    uint64_t before[N];
    (void)state;
    skive_dataset_get_info(set, &info);
    for (int i = 0; i < N; i++) {
        students[i] = linear_scores(ctx, (uint64_t)i + 1);
        w[i] = skive_graph_find_value(students[i], "w")->storage->tensor.data;
        before[i] = fingerprint(students[i]);
    }
    for (size_t k = 0; k < info.count; k++) {
        float x[PIXELS];
        double soft[N][CLASSES], hard[CLASSES];
        int64_t label;
        skv_test_ok(ctx, skive_dataset_read(ctx, set, k, x, &label));
        for (int i = 0; i < N; i++) {
            log_softmax_of(w[i], x, t, soft[i]);
            log_softmax_of(w[i], x, 1, hard);
            expected -= hard[label];
        }
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int c = 0; c < CLASSES && i != j; c++)
                    expected += t * t * exp(soft[j][c]) * (soft[j][c] - soft[i][c]) / (N - 1);
    }
    expected /= (double)info.count;
    skive_train_options how = settings(1, (int64_t)info.count);
    skive_distill_options o = skive_distill_options_default();
    o.train = &how;
    o.temperature = t;
    skv_test_ok(ctx, skive_distill_mutual(ctx, students, N, set, NULL, &o, &r));
    if (!skv_test_close(r.epochs[0].loss, expected, 1e-5, 1e-6))
        fail_msg("the loss is %.9g, expected %.9g", r.epochs[0].loss, expected);
    for (int i = 0; i < N; i++) assert_true(fingerprint(students[i]) != before[i]);
    skive_train_report_free(ctx, &r);
    skv_test_fails(ctx, skive_distill_mutual(ctx, students, 1, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "2 to 16");
    o.terms = "hint";
    skv_test_fails(ctx, skive_distill_mutual(ctx, students, N, set, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "no teacher");
    for (int i = 0; i < N; i++) skive_graph_free(students[i]);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

typedef struct given {
    const skive_graph *stages, *linear[2];
    char cache[SKV_TEST_PATH];
} given;

static skive_status with_exits(skive_context *ctx, const given *from, skive_dataset *set) {
    skive_graph *g = NULL;
    skive_exits_report r = {0};
    skive_status status = skive_graph_copy(ctx, from->stages, &g);
    if (status == SKIVE_OK) status = skive_model_add_exits(g, set, "auto", NULL);
    if (status == SKIVE_OK) status = train_exits(ctx, g, set, 1);
    skive_exits_report_free(ctx, &r);
    skive_graph_free(g);
    return status;
}

static skive_status with_cache(skive_context *ctx, const given *from, skive_dataset *set) {
    skive_train_options how = settings(1, 120);
    skive_distill_options o = skive_distill_options_default();
    skive_graph *students[2] = {NULL, NULL};
    skive_status status = skive_graph_copy(ctx, from->linear[0], &students[0]);
    if (status == SKIVE_OK) status = skive_graph_copy(ctx, from->linear[1], &students[1]);
    o.train = &how;
    o.cache = from->cache;
    o.unlabelled = set;
    (void)unlink(from->cache);
    if (status == SKIVE_OK) status = skive_distill(ctx, students[0], from->linear[1], set, NULL, &o, NULL);
    o.cache = NULL;
    o.unlabelled = NULL;
    if (status == SKIVE_OK) status = skive_distill_mutual(ctx, students, 2, set, NULL, &o, NULL);
    for (int i = 0; i < 2; i++) skive_graph_free(students[i]);
    return status;
}

static skive_status under_pressure(skive_context *ctx, void *user) {
    skive_dataset *set = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    d.split = SKIVE_SPLIT_TRAIN;
    skive_status status = skive_dataset_open(ctx, blobs, &d, &set);
    if (status == SKIVE_OK) status = with_exits(ctx, user, set);
    if (status == SKIVE_OK) status = with_cache(ctx, user, set);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *a = two_stages(ctx, 1), *b = linear_scores(ctx, 1), *c = linear_scores(ctx, 2);
    given from = {a, {b, c}, {0}};
    (void)state;
    file(from.cache, "answers");
    assert_true(skv_test_walk_allocations(under_pressure, &from, 211) > 10);
    (void)unlink(from.cache);
    skive_graph_free(a);
    skive_graph_free(b);
    skive_graph_free(c);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exits_are_added),           cmocka_unit_test(exits_are_trained_and_measured),
        cmocka_unit_test(wrong_terms_are_refused),   cmocka_unit_test(students_learn_from_one_another),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
