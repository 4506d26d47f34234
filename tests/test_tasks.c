/* Embeddings, sequences and boxes: measured by hand, trained, and refused where the data do not fit. */
#include "train_fixtures.h"

#include <skive/eval.h>

#include "train/metric.h"

/* A model that gives out what it gets, in its shape. */
static skive_graph *identity(skive_context *ctx, int rank, const int64_t *dims, const char *kind, const int64_t *turn) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_type type = skive_type_make(SKIVE_F32, rank, dims);
    type.dims[0] = (skive_dim){-1, "N"};
    skv_test_ok(ctx, skive_graph_create(ctx, "identity", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = turn ? skv_emit(&b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", turn, (size_t)rank)))
                          : skv_emit(&b, "Identity", SKV_IN(x), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_model_set_output(g, NULL, kind));
    return g;
}

typedef struct task {
    const char *kind;
    int rank, target_rank; /* target_rank 0: classes */
    int64_t dims[3], target_dims[3];
    const double *x, *y;
    bool time_first;
    int64_t batch;
} task;

static skive_status measure(skive_context *ctx, const task *t, skive_eval_report *out) {
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    const int64_t turn[3] = {1, 0, 2};
    save("zx.npy", SKIVE_F32, t->rank, t->dims, t->x);
    save("zy.npy", t->target_rank ? SKIVE_F32 : SKIVE_I64, t->target_rank ? t->target_rank : 1,
         t->target_rank ? t->target_dims : t->dims, t->y);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "zx.npy"), file(b, "zy.npy"));
    skive_dataset *set = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TEST;
    o.targets = t->target_rank ? SKIVE_TARGETS_VALUES : SKIVE_TARGETS_CLASSES;
    skive_status status = skive_dataset_open(ctx, spec, &o, &set);
    skive_graph *g = identity(ctx, t->rank, t->dims, t->kind, t->time_first ? turn : NULL);
    if (status == SKIVE_OK) status = skive_evaluate(ctx, g, set, t->batch ? t->batch : 2, out);
    skive_graph_free(g);
    skive_dataset_free(set);
    return status;
}

static double figure(const skive_eval_report *r, const char *name) {
    for (size_t i = 0; i < r->n_figures; i++)
        if (strcmp(r->figures[i].name, name) == 0) return r->figures[i].value;
    fail_msg("there is no figure '%s'", name);
    return 0;
}

static void near(double value, double expected) {
    if (!skv_test_close(value, expected, 1e-6, 1e-9)) fail_msg("%.9g, expected %.9g", value, expected);
}

/* Intervals and differences of all figures can be made. */
static void resampled(skive_context *ctx, skive_eval_report *r) {
    skive_figure_pair *pairs = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_eval_intervals(ctx, r, 30, 1));
    skv_test_ok(ctx, skive_compare_figures(ctx, r, r, 30, 1, &pairs, &n));
    assert_int_equal(n, r->n_figures);
    for (size_t i = 0; i < n; i++) assert_true(pairs[i].difference == 0 || isnan(pairs[i].difference));
    skive_figure_pairs_free(ctx, pairs);
}

/* ---- embeddings ---- */

static void nearest_neighbours_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    /* Directions, whatever the length: 0, 5, 90, 100, 8 degrees, and one of zeros, which is nobody's. */
    double x[12];
    const double degrees[5] = {0, 5, 90, 100, 8}, lengths[5] = {1, 7, 2, 0.1, 3}, y[6] = {0, 1, 2, 2, 1, 0};
    const double pi = 3.14159265358979323846;
    skive_eval_report r;
    (void)state;
    for (int i = 0; i < 5; i++) {
        x[2 * i] = lengths[i] * cos(degrees[i] * pi / 180);
        x[2 * i + 1] = lengths[i] * sin(degrees[i] * pi / 180);
    }
    x[10] = x[11] = 0;
    const task t = {.kind = "embedding", .rank = 2, .dims = {6, 2}, .x = x, .y = y};
    skv_test_ok(ctx, measure(ctx, &t, &r));
    assert_int_equal(r.task, SKIVE_TASK_EMBEDDING);
    near(figure(&r, "nearest"), 4 / 6.0 + (r.hit[5] ? 1 / 6.0 : 0)); /* 1-4, 4-1, 2-3, 3-2; 0's nearest is 1 */
    assert_true(!r.hit[0] && r.hit[1] && r.hit[2] && r.hit[3] && r.hit[4]);
    assert_true(r.accuracy == figure(&r, "nearest") && r.low < r.accuracy && r.high > r.accuracy);
    resampled(ctx, &r);
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

/* The last layer gives as many numbers as it likes; the model says what they are, and is measured by it. */
static void embeddings_are_trained(void **state) {
    static const char *const losses[] = {"triplet:margin=0.5", "info-nce:0.2"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *train = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                      *held = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION),
                      *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
        skive_graph *g = small_cnn(ctx, false);
        skive_train_options o = settings(4, 40);
        skive_train_report report;
        skive_eval_report r;
        skv_test_ok(ctx, skive_model_set_classes(g, 8, 3));
        const uint64_t bits = fingerprint(g);
        o.loss = "cross-entropy:gamma=x";
        assert_int_equal(skive_train(ctx, g, train, held, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT);
        assert_null(skive_graph_meta(g, "skive.output.kind"));
        assert_true(fingerprint(g) == bits);
        o.loss = losses[i];
        skv_test_ok(ctx, skive_train(ctx, g, train, held, &o, NULL, 0, &report));
        assert_string_equal(skive_graph_meta(g, "skive.output.kind"), "embedding");
        assert_true(isnan(report.epochs[0].train_accuracy) && report.epochs[3].validation_accuracy > 0.7);
        skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &r));
        assert_int_equal(r.task, SKIVE_TASK_EMBEDDING);
        if (!(r.accuracy > 0.85)) fail_msg("%s: %.3f", losses[i], r.accuracy);
        /* Other losses do not fit it. */
        o.loss = "cross-entropy";
        skv_test_fails(ctx, skive_train(ctx, g, train, held, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT,
                       "'cross-entropy' is not for an output that is embedding");
        skive_train_report_free(ctx, &report);
        skive_eval_report_free(ctx, &r);
        skive_graph_free(g);
        skive_dataset_free(train);
        skive_dataset_free(held);
        skive_dataset_free(test);
        skv_test_context_end(ctx);
    }
}

/* ---- sequences ---- */

static void sequences_by_hand(void **state) {
    (void)state;
    /* Classes by step; 0 is the blank. Said: 1 1 2; 3 (without the repetition); nothing; 2 1. */
    const int said[4][5] = {{1, 0, 1, 2, 2}, {0, 3, 3, 3, 0}, {0, 0, 0, 0, 0}, {2, 2, 1, 0, 0}};
    const double y[12] = {1, 1, 2, 3, 1, -1, -1, -1, -1, 1, 2, -1}; /* distances 0, 1, 0, 2 */
    double x[80], turned[80];
    for (int i = 0; i < 80; i++) {
        const int n = i / 20, t = i / 4 % 5, k = i % 4;
        x[i] = said[n][t] == k ? 2 : 0;
        turned[n * 20 + t * 4 + (k + 3) % 4] = x[i]; /* the blank last: classes 1, 2, 3 become 0, 1, 2 */
    }
    double y_turned[12];
    for (int i = 0; i < 12; i++) y_turned[i] = y[i] < 0 ? -1 : y[i] - 1;
    for (int way = 0; way < 3; way++) {
        skive_context *ctx = skv_test_context();
        skive_eval_report r;
        task t = {.kind = way == 1 ? "ctc-last" : "ctc",
                  .rank = 3,
                  .target_rank = 2,
                  .dims = {4, 5, 4},
                  .target_dims = {4, 3},
                  .x = way == 1 ? turned : x,
                  .y = way == 1 ? y_turned : y,
                  .time_first = way == 2,
                  .batch = 4};
        skv_test_ok(ctx, measure(ctx, &t, &r));
        assert_int_equal(r.task, SKIVE_TASK_SEQUENCES);
        near(figure(&r, "exact-match"), 2 / 4.0);
        near(figure(&r, "edit-distance"), 3 / 4.0);
        near(figure(&r, "error-rate"), 3 / 7.0);
        const double p = exp(2.0) / (exp(2.0) + 3); /* of nothing in five steps there is one alignment */
        near(r.error[2], -5 * log(p));
        resampled(ctx, &r);
        skive_eval_report_free(ctx, &r);
        skv_test_context_end(ctx);
    }
    /* Five equal labels need nine steps. */
    skive_context *ctx = skv_test_context();
    skive_eval_report r;
    const double many[10] = {1, 1, 1, 1, 1, 2, -1, -1, -1, -1};
    const task t = {
        .kind = "ctc", .rank = 3, .target_rank = 2, .dims = {2, 5, 4}, .target_dims = {2, 5}, .x = x, .y = many};
    skv_test_ok(ctx, measure(ctx, &t, &r));
    assert_true(isnan(r.error[0]) && isfinite(r.loss));
    bool told = false;
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        told = told || strstr(skive_context_note(ctx, i), "1 sample with more labels than steps");
    assert_true(told);
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

/* Trains and evaluates a layer on sequences of `places` labels, 8 steps and the classes 0 (the blank) to 2. */
static void with_sequences(skive_context *ctx, const double *labels, int64_t n, int64_t places, const char *loss,
                           skive_status *trained, skive_status *evaluated) {
    enum { T = 8, W = 3 };
    const int64_t dims[3] = {n, T, W}, of_labels[2] = {n, places}, w[2] = {W, 3};
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    double *x = calloc((size_t)(n * T * W), sizeof *x);
    skive_train_options o = settings(1, 4);
    save("bx.npy", SKIVE_F32, 3, dims, x);
    save("by.npy", SKIVE_I64, 2, of_labels, labels);
    free(x);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "bx.npy"), file(b, "by.npy"));
    skive_graph *g = NULL;
    skive_value *in = NULL;
    skive_eval_report r;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 3, .dims = {{-1, "N"}, {T, NULL}, {W, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "listener", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &in));
    skv_builder build = skv_build(g);
    skive_value *z = skv_emit(&build, "MatMul", SKV_IN(in, parameter(&build, "w", 2, w, 1, -0.3, 0.3)), SKV_NONE);
    skv_test_ok(ctx, build.status);
    skv_test_ok(ctx, skive_graph_add_output(g, z));
    skv_test_ok(ctx, skive_model_set_output(g, NULL, "ctc"));
    skive_dataset *set = open_data(ctx, spec, evaluated ? SKIVE_SPLIT_TRAIN_FULL : SKIVE_SPLIT_TRAIN);
    o.loss = loss;
    if (trained) *trained = skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL);
    if (evaluated) {
        *evaluated = skive_evaluate(ctx, g, set, 0, &r);
        skive_eval_report_free(ctx, &r);
    }
    skive_dataset_free(set);
    skive_graph_free(g);
}

static void impossible_sequences(void **state) {
    enum { N = 24, PLACES = 9, ODD = 21 };
    skive_context *ctx = skv_test_context();
    double y[N * PLACES];
    skive_status trained;
    (void)state;
    for (int i = 0; i < N * PLACES; i++) y[i] = i / PLACES == ODD ? 1 + i % 2 : i % PLACES ? -1 : 1;
    with_sequences(ctx, y, N, PLACES, "ctc", &trained, NULL);
    skv_test_fails(ctx, trained, SKIVE_ERR_NUMERIC, "which is sample 21 of the data set; samples of the batch: ");
    assert_non_null(strstr(skive_context_message(ctx), "a sample has fewer steps than its labels need"));
    assert_non_null(strstr(skive_context_message(ctx), "with the loss ctc:impossible=skip"));
    with_sequences(ctx, y, N, PLACES, "ctc:impossible=skip", &trained, NULL);
    skv_test_ok(ctx, trained);
    skv_test_context_end(ctx);
}

/* The same is refused in training and in an evaluation, with the sample. */
static void wrong_sequences(void **state) {
    enum { N = 6, PLACES = 3, ODD = 4 };
    static const struct {
        double labels[PLACES];
        const char *message;
    } cases[] = {
        {{1, -1, 2}, "sample 4 has the label 2 at place 2, behind a -1 at place 1"},
        {{1, 0, 2},
         "label 0 at place 1 of sample 4 is the blank, which stands for no label; labels are classes from 1 to 2"},
        {{1, 3, 2}, "label 3 at place 1 of sample 4 is not one of the classes"},
        {{1, -2, 2}, "label -2 at place 1 of sample 4 is not one of the classes"},
    };
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        double y[N * PLACES];
        skive_status trained, evaluated;
        for (int i = 0; i < N * PLACES; i++) y[i] = i / PLACES == ODD ? cases[k].labels[i % PLACES] : 2;
        with_sequences(ctx, y, N, PLACES, "ctc", NULL, &evaluated);
        skv_test_fails(ctx, evaluated, SKIVE_ERR_DATA, cases[k].message);
        with_sequences(ctx, y, N, PLACES, "ctc", &trained, NULL);
        skv_test_fails(ctx, trained, SKIVE_ERR_DATA, cases[k].message);
    }
    skv_test_context_end(ctx);
}

/* A bright pulse of one of two kinds, twice in eight steps: its kinds are told in order. */
static void sequences_are_learned(void **state) {
    enum { N = 160, T = 8, W = 3 };
    static double x[N * T * W], y[N * 2];
    const int64_t dims[3] = {N, T, W}, places[2] = {N, 2}, w[2] = {W, 3}, k[1] = {3};
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    skive_context *ctx = skv_test_context();
    skive_train_options o = settings(30, 20);
    skive_eval_report r;
    (void)state;
    for (int n = 0; n < N; n++) {
        for (int i = 0; i < T * W; i++) x[n * T * W + i] = 0.2 * skv_rng_normal(4, (uint64_t)n, (uint64_t)i);
        for (int p = 0; p < 2; p++) {
            const int kind = (int)skv_rng_below(5, (uint64_t)n, (uint64_t)p, 2);
            const int step = 4 * p + (int)skv_rng_below(6, (uint64_t)n, (uint64_t)p, 3);
            x[(n * T + step) * W + kind] += 2;
            y[n * 2 + p] = kind + 1;
        }
    }
    save("sx.npy", SKIVE_F32, 3, dims, x);
    save("sy.npy", SKIVE_I64, 2, places, y);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "sx.npy"), file(b, "sy.npy"));
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = NULL;
    skive_value *in = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 3, .dims = {{-1, "N"}, {T, NULL}, {W, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "listener", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &in));
    skv_builder build = skv_build(g);
    skive_value *z = skv_emit(&build, "MatMul", SKV_IN(in, parameter(&build, "w", 2, w, 1, -0.3, 0.3)), SKV_NONE);
    z = skv_emit(&build, "Add", SKV_IN(z, parameter(&build, "b", 1, k, 2, -0.1, 0.1)), SKV_NONE);
    skv_test_ok(ctx, build.status);
    skv_test_ok(ctx, skive_graph_add_output(g, z));
    o.loss = "ctc";
    o.learning_rate = 0.1;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    assert_string_equal(skive_graph_meta(g, "skive.output.kind"), "ctc");
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
    assert_true(figure(&r, "error-rate") < 0.05 && figure(&r, "exact-match") > 0.9);
    skive_eval_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- boxes ---- */

static void boxes_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    /* Sample 0: two of class 0, one of class 1; sample 1: one of class 0. */
    const double y[2 * 3 * 5] = {0, 0, 10, 10, 0, 20, 20, 30, 30, 0,  0, 0, 4, 4, 1,
                                 5, 5, 15, 15, 0, 0,  0,  0,  0,  -1, 0, 0, 0, 0, -1};
    /* Of class 0 by score: .9 hits exactly; .8 hits the same box again, which is taken; .7 hits in sample 1 with an
     * intersection of 8 x 10 of 120; .6 nothing. Of class 1: .5 exactly. */
    const double x[2 * 4 * 6] = {0, 0, 10, 10, .9, 0, 1, 0, 11, 10, .8, 0,  0, 0, 4, 4, .5, 1,  50, 50, 60, 60, .6, 0,
                                 7, 5, 17, 15, .7, 0, 0, 0, 0,  0,  0,  -1, 0, 0, 0, 0, 0,  -1, 0,  0,  0,  0,  0,  -1};
    const task t = {
        .kind = "detections", .rank = 3, .target_rank = 3, .dims = {2, 4, 6}, .target_dims = {2, 3, 5}, .x = x, .y = y};
    skive_eval_report r;
    (void)state;
    skv_test_ok(ctx, measure(ctx, &t, &r));
    assert_int_equal(r.task, SKIVE_TASK_BOXES);
    /* Intersection over union of the third is 80 / 120 = 2/3: it counts up to 0.65. Precision by recall of class 0: 1
     * at 1/3, 2/3 at 2/3, nothing beyond; recalls 0 to .33 are 34, .34 to .66 are 33. */
    const double low = (34 * 1.0 + 33 * (2 / 3.0)) / 101, high = 34 * 1.0 / 101;
    near(figure(&r, "map-50"), (low + 1) / 2);
    near(figure(&r, "map-boxes"), ((4 * low + 6 * high) / 10 + 1) / 2);
    assert_true(r.map == figure(&r, "map-boxes"));
    resampled(ctx, &r);
    /* Sample 0 alone, twice. */
    const uint32_t weight[2] = {2, 0};
    near(skv_metric_find("map-50")->value(r.scored, weight, NULL), (51 * 1.0 / 101 + 1) / 2);
    skive_eval_report_free(ctx, &r);
    skv_test_context_end(ctx);
}

static void what_does_not_fit_is_refused(void **state) {
    const double x[12] = {0}, y[12] = {0, 1, 2};
    const struct {
        task t;
        const char *part;
    } bad[] = {
        {{.kind = "embedding", .rank = 2, .target_rank = 2, .dims = {3, 2}, .target_dims = {3, 2}, .x = x, .y = y},
         "needs one class label a sample"},
        {{.kind = "ctc", .rank = 2, .dims = {3, 2}, .x = x, .y = y}, "needs label sequences"},
        {{.kind = "ctc", .rank = 2, .target_rank = 2, .dims = {3, 2}, .target_dims = {3, 2}, .x = x, .y = y},
         "not [n, steps, classes]"},
        {{.kind = "detections", .rank = 3, .target_rank = 2, .dims = {2, 1, 6}, .target_dims = {2, 5}, .x = x, .y = y},
         "needs boxes"},
        {{.kind = "detections",
          .rank = 3,
          .target_rank = 3,
          .dims = {2, 1, 5},
          .target_dims = {2, 1, 5},
          .x = x,
          .y = y},
         "not [n, boxes, 6]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        skive_context *ctx = skv_test_context();
        skive_eval_report r;
        skv_test_fails(ctx, measure(ctx, &bad[i].t, &r), SKIVE_ERR_DATA, bad[i].part);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_neighbours_by_hand),
        cmocka_unit_test(embeddings_are_trained),
        cmocka_unit_test(sequences_by_hand),
        cmocka_unit_test(sequences_are_learned),
        cmocka_unit_test(impossible_sequences),
        cmocka_unit_test(wrong_sequences),
        cmocka_unit_test(boxes_by_hand),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
