/* Training of whole models: what one step does, statistics, masks, equal bits, and that something is learned. */
#include "train_fixtures.h"

#include <skive/distill.h>
#include <skive/prune.h>
#include <skive/simplify.h>
#include <skive/zoo.h>

#include "passes/pass.h"
#include "tensor/tensor.h"

/* ---- one step of a linear model, by hand ---- */

enum { N = 5, IN = 4 };

static skive_graph *linear(skive_context *ctx, int64_t outputs, uint64_t seed) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {IN, NULL}}};
    const int64_t w[2] = {outputs, IN}, k[1] = {outputs};
    skv_test_ok(ctx, skive_graph_create(ctx, "linear", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(
        &b, "Gemm", SKV_IN(x, parameter(&b, "w", 2, w, seed, -1, 1), parameter(&b, "b", 1, k, seed + 1, -1, 1)),
        SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static void scores(const skive_graph *g, const double *x, int outputs, double *z) {
    const float *w = data_of(g, "w"), *b = data_of(g, "b");
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < outputs; k++) {
            z[i * outputs + k] = (double)b[k];
            for (int j = 0; j < IN; j++) z[i * outputs + k] += x[i * IN + j] * (double)w[k * IN + j];
        }
    }
}

static void softmax(const double *z, double t, double *p) {
    double sum = 0;
    for (int k = 0; k < CLASSES; k++) sum += p[k] = exp(z[k] / t);
    for (int k = 0; k < CLASSES; k++) p[k] /= sum;
}

/* What the step made of w and b is what plain descent along dz gives. */
static void check_step(const float *w0, const float *b0, const skive_graph *after, const double *x, const double *dz,
                       int outputs, double rate) {
    const float *w = data_of(after, "w"), *b = data_of(after, "b");
    for (int k = 0; k < outputs; k++) {
        double db = 0;
        for (int i = 0; i < N; i++) db += dz[i * outputs + k];
        assert_true(skv_test_close((double)b[k], (double)b0[k] - rate * db, 1e-5, 1e-6));
        for (int j = 0; j < IN; j++) {
            double dw = 0;
            for (int i = 0; i < N; i++) dw += dz[i * outputs + k] * x[i * IN + j];
            assert_true(skv_test_close((double)w[k * IN + j], (double)w0[k * IN + j] - rate * dw, 1e-5, 1e-6));
        }
    }
}

static void make_rows(double x[N * IN], double labels[N], char spec[4 * SKV_TEST_PATH]) {
    const int64_t dims[2] = {N, IN};
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    for (int i = 0; i < N * IN; i++) x[i] = (double)(float)skv_rng_normal(31, 0, (uint64_t)i);
    for (int i = 0; i < N; i++) labels[i] = i % CLASSES;
    save("rows.npy", SKIVE_F32, 2, dims, x);
    save("row_labels.npy", SKIVE_I64, 1, dims, labels);
    snprintf(spec, 4 * SKV_TEST_PATH, "npy:%s,%s", file(a, "rows.npy"), file(b, "row_labels.npy"));
}

/* loss = (1 - a) * cross-entropy + a * T^2 * KL, and its gradient is (1 - a) (q - y) + a T (q_T - p_T). */
static void distillation_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    double x[N * IN], labels[N], zs[N * CLASSES], zt[N * CLASSES], dz[N * CLASSES], loss = 0;
    char spec[4 * SKV_TEST_PATH];
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    o.train = &how;
    skive_train_report report;
    (void)state;
    make_rows(x, labels, spec);
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *student = linear(ctx, CLASSES, 41), *teacher = linear(ctx, CLASSES, 51),
                *before = linear(ctx, CLASSES, 41);
    o.temperature = 3;
    o.alpha = 0.6;
    how = settings(1, N);
    how.momentum = 0;
    how.weight_decay = 0;
    scores(student, x, CLASSES, zs);
    scores(teacher, x, CLASSES, zt);
    for (int i = 0; i < N; i++) {
        double q[CLASSES], qt[CLASSES], pt[CLASSES];
        softmax(zs + i * CLASSES, 1, q);
        softmax(zs + i * CLASSES, 3, qt);
        softmax(zt + i * CLASSES, 3, pt);
        loss -= 0.4 * log(q[(int)labels[i]]) / N;
        for (int k = 0; k < CLASSES; k++) {
            loss += 0.6 * 9 * pt[k] * log(pt[k] / qt[k]) / N;
            dz[i * CLASSES + k] = (0.4 * (q[k] - (k == (int)labels[i])) + 0.6 * 3 * (qt[k] - pt[k])) / N;
        }
    }
    skv_test_ok(ctx, skive_distill(ctx, student, teacher, set, NULL, &o, &report));
    assert_int_equal(report.n_epochs, 1);
    assert_true(skv_test_close(report.epochs[0].loss, loss, 1e-5, 0));
    check_step(data_of(before, "w"), data_of(before, "b"), student, x, dz, CLASSES, 0.05);
    skive_train_report_free(ctx, &report);
    skive_graph_free(before);
    skive_graph_free(teacher);
    skive_graph_free(student);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* One number a sample: targets of shape [n] against outputs of shape [n][1]. */
static void regression_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    double x[N * IN], labels[N], z[N], y[N], dz[N], loss = 0, norm = 0;
    const int64_t n = N, dims[2] = {N, 2};
    char spec[4 * SKV_TEST_PATH], a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    skive_train_options o = settings(1, N);
    skive_train_report report;
    (void)state;
    make_rows(x, labels, spec);
    for (int i = 0; i < N; i++) y[i] = 0.25 * i - 1;
    save("targets.npy", SKIVE_F32, 1, &n, y);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "rows.npy"), file(b, "targets.npy"));
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    o.loss = "mse";
    o.raw_targets = true;
    o.momentum = 0;
    o.weight_decay = 0;
    for (int clipped = 0; clipped < 2; clipped++) {
        skive_graph *g = linear(ctx, 1, 61), *before = linear(ctx, 1, 61);
        scores(g, x, 1, z);
        if (!clipped) {
            for (int i = 0; i < N; i++) {
                loss += (z[i] - y[i]) * (z[i] - y[i]) / N;
                dz[i] = 2 * (z[i] - y[i]) / N;
            }
            for (int j = 0; j <= IN; j++) {
                double d = 0;
                for (int i = 0; i < N; i++) d += dz[i] * (j < IN ? x[i * IN + j] : 1);
                norm += d * d;
            }
        } else {
            o.clip_norm = 0.1;
            for (int i = 0; i < N; i++) dz[i] *= 0.1 / sqrt(norm);
        }
        skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, &report));
        assert_true(sqrt(norm) > 0.2);
        assert_true(skv_test_close(report.epochs[0].loss, loss, 1e-5, 0));
        assert_true(isnan(report.epochs[0].train_accuracy));
        check_step(data_of(before, "w"), data_of(before, "b"), g, x, dz, 1, 0.05);
        skive_train_report_free(ctx, &report);
        skive_graph_free(before);
        skive_graph_free(g);
    }
    /* Numbers are not classes. */
    skive_graph *scores_of_classes = linear(ctx, CLASSES, 61);
    o.loss = "cross-entropy";
    skv_test_fails(ctx, skive_train(ctx, scores_of_classes, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_DATA,
                   "no class labels");
    o.loss = "mse";
    skive_graph_free(scores_of_classes);
    skive_dataset_free(set);
    /* Two targets a sample do not fit one output. */
    double pairs[2 * N] = {0};
    save("targets.npy", SKIVE_F32, 2, dims, pairs);
    set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = linear(ctx, 1, 61);
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_SHAPE,
                   "the targets are float32[5,2]");
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- BatchNormalization ---- */

/* At learning rate 0 only the statistics move: running = 0.8 running + 0.2 of the batch, the variance being that of the
 * population, as ONNX has it. */
static void running_statistics_follow_onnx(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = small_cnn(ctx, false), *before = small_cnn(ctx, false), *conv = NULL;
    skive_train_options o = settings(2, TRAINING);
    skive_tensor x, y;
    char path[SKV_TEST_PATH];
    (void)state;
    /* What the convolution gives for all the samples, on its own. */
    skv_test_ok(ctx, skive_graph_copy(ctx, before, &conv));
    skv_test_ok(ctx, skv_graph_remove_output(conv, 0));
    skv_test_ok(ctx, skive_graph_add_output(conv, skive_node_output(skive_graph_node(conv, 0), 0)));
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, file(path, "x.npy"), &x));
    skv_test_ok(ctx, skive_graph_run(ctx, conv, &x, 1, &y, 1));
    o.learning_rate = 0;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    for (int c = 0; c < 4; c++) {
        double mean = 0, variance = 0, expected[2];
        const double count = TRAINING * PIXELS;
        for (int i = 0; i < TRAINING * PIXELS; i++)
            mean += skive_tensor_get(&y, (int64_t)(i / PIXELS * 4 + c) * PIXELS + i % PIXELS) / count;
        for (int i = 0; i < TRAINING * PIXELS; i++) {
            const double d = skive_tensor_get(&y, (int64_t)(i / PIXELS * 4 + c) * PIXELS + i % PIXELS) - mean;
            variance += d * d / count;
        }
        expected[0] = (double)data_of(before, "running.mean")[c];
        expected[1] = (double)data_of(before, "running.var")[c];
        for (int step = 0; step < 2; step++) {
            expected[0] = 0.8 * expected[0] + 0.2 * mean;
            expected[1] = 0.8 * expected[1] + 0.2 * variance;
        }
        assert_true(skv_test_close((double)data_of(g, "running.mean")[c], expected[0], 1e-5, 1e-6));
        assert_true(skv_test_close((double)data_of(g, "running.var")[c], expected[1], 1e-5, 1e-6));
        assert_true(fabs(expected[1] - (double)data_of(before, "running.var")[c]) > 0.01);
    }
    assert_memory_equal(data_of(g, "conv.weight"), data_of(before, "conv.weight"), 36 * sizeof(float));
    assert_memory_equal(data_of(g, "scale"), data_of(before, "scale"), 4 * sizeof(float));
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    skive_graph_free(conv);
    skive_graph_free(before);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Evaluation uses the running statistics, each sample by itself, and folding them into the convolution changes
 * nothing. */
static void trained_statistics_serve_evaluation_and_folding(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false), *folded = NULL;
    const skive_train_options o = settings(2, 32);
    const skv_pass_env env = {.ctx = ctx};
    skive_tensor x, whole, one, plain;
    char path[SKV_TEST_PATH];
    size_t changes = 0;
    (void)state;
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, file(path, "tx.npy"), &x));
    skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, &whole, 1));
    skive_tensor first = x;
    first.dims[0] = 1;
    skv_test_ok(ctx, skive_graph_run(ctx, g, &first, 1, &one, 1));
    skv_test_floats(one.data, whole.data, CLASSES, 1e-5, 1e-5);
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &folded));
    skv_test_ok(ctx, skv_passes_run(&env, folded, SKV_PASS_INFERENCE, &changes));
    assert_int_equal(changes, 1 + 4); /* the folding, and four parameters nobody reads any more */
    for (size_t i = 0; i < skive_graph_node_count(folded); i++) {
        assert_string_not_equal(skive_node_op(skive_graph_node(folded, i)), "BatchNormalization");
    }
    skv_test_ok(ctx, skive_graph_run(ctx, folded, &x, 1, &plain, 1));
    skv_test_tensors(&plain, &whole, 1e-4, 1e-5);
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &whole);
    skive_tensor_free(ctx, &one);
    skive_tensor_free(ctx, &plain);
    skive_graph_free(folded);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- masks ---- */

static void masked_weights_stay_zero(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    uint8_t conv[36], fc[CLASSES * 4 * PIXELS];
    const skive_mask masks[2] = {{"conv.weight", conv, sizeof conv}, {"fc.weight", fc, sizeof fc}};
    static const float zero = 0.0f;
    (void)state;
    for (size_t i = 0; i < sizeof conv; i++) conv[i] = i % 3 != 0;
    for (size_t i = 0; i < sizeof fc; i++) fc[i] = i % 4 == 0;
    for (size_t k = 0; k < skv_optimizer_count(); k++) {
        skive_graph *g = small_cnn(ctx, false);
        skive_train_options o = settings(2, 32);
        o.optimizer = skv_optimizer_at(k)->name;
        o.weight_decay = 0.1;
        skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, masks, 2, NULL));
        for (size_t i = 0; i < sizeof conv; i++) {
            assert_int_equal(memcmp(&data_of(g, "conv.weight")[i], &zero, sizeof zero) == 0, !conv[i]);
        }
        for (size_t i = 0; i < sizeof fc; i++) {
            assert_int_equal(memcmp(&data_of(g, "fc.weight")[i], &zero, sizeof zero) == 0, !fc[i]);
        }
        skive_graph_free(g);
    }
    skive_graph *g = small_cnn(ctx, false);
    const skive_train_options o = settings(1, 32);
    const skive_mask lost = {"nothere", conv, sizeof conv}, wrong = {"fc.weight", conv, sizeof conv};
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, &lost, 1, NULL), SKIVE_ERR_ARGUMENT, "'nothere'");
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, &wrong, 1, NULL), SKIVE_ERR_ARGUMENT, "fc.weight");
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void answering_by_chance_is_noted(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    static const uint8_t fc[CLASSES * 4 * PIXELS];
    const skive_mask all = {"fc.weight", fc, sizeof fc};
    const skive_train_options o = settings(2, 32);
    (void)state;
    for (int masked = 0; masked < 2; masked++) {
        skive_graph *g = small_cnn(ctx, false);
        skive_context_clear_notes(ctx);
        skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, &all, (size_t)masked, NULL));
        bool noted = false;
        for (size_t i = 0; i < skive_context_note_count(ctx); i++)
            noted = noted || strstr(skive_context_note(ctx, i), "no better than guessing among");
        assert_int_equal(noted, masked);
        skive_graph_free(g);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- bits ---- */

static uint64_t train_bits(uint64_t seed, int threads) {
    skive_context *ctx = skv_test_context();
    skv_test_ok(ctx, skive_context_set_threads(ctx, threads));
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, true);
    skive_train_options o = settings(2, 32);
    o.seed = seed;
    o.augment = "crop:1";
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    const uint64_t bits = fingerprint(g);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
    return bits;
}

static void equal_seeds_give_equal_bits(void **state) {
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        const uint64_t bits = train_bits(5, threads);
        assert_true(bits == train_bits(5, threads));
        assert_true(bits != train_bits(6, threads));
    }
}

/* ---- failure and success ---- */

static void a_loss_that_is_no_number_is_told(void **state) {
    skive_context *ctx = skv_test_context();
    char spec[4 * SKV_TEST_PATH];
    double x[N * IN], labels[N];
    skive_train_options o = settings(50, N);
    (void)state;
    make_rows(x, labels, spec);
    /* Descent with far too long steps on squared errors grows without bound. */
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = linear(ctx, CLASSES, 71);
    const uint64_t before = fingerprint(g);
    o.loss = "mse";
    o.learning_rate = 1000;
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_NUMERIC,
                   "lower the learning rate (it was 1000");
    assert_true(fingerprint(g) == before);
    /* The model came with a weight that is no number. */
    float broken[CLASSES * IN] = {0.5f, NAN};
    const skive_tensor w = {.dtype = SKIVE_F32, .rank = 2, .dims = {CLASSES, IN}, .data = broken};
    skv_test_ok(ctx, skive_value_set_data(skive_graph_find_value(g, "w"), &w));
    o = settings(1, N);
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_NUMERIC,
                   "not a number at the first step");
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Scores that are no numbers are not counted as answers, and weights that are none are not ranked. */
static void broken_models_are_not_measured(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_graph *g = small_cnn(ctx, false);
    const skive_prune_options o = skive_prune_options_default();
    skive_eval_report r;
    float bias[CLASSES] = {0, NAN, 0}, weight[36] = {0, INFINITY};
    const skive_tensor b = {.dtype = SKIVE_F32, .rank = 1, .dims = {CLASSES}, .data = bias};
    const skive_tensor w = {.dtype = SKIVE_F32, .rank = 4, .dims = {4, 1, 3, 3}, .data = weight};
    (void)state;
    skv_test_ok(ctx, skive_value_set_data(skive_graph_find_value(g, "fc.bias"), &b));
    skv_test_fails(ctx, skive_evaluate(ctx, g, test, 0, &r), SKIVE_ERR_NUMERIC, "gives NaN for sample 0");
    skv_test_ok(ctx, skive_value_set_data(skive_graph_find_value(g, "conv.weight"), &w));
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_NUMERIC, "conv.weight");
    skive_graph_free(g);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
}

/* Samples never trained on and never chosen by are classified right afterwards. */
/* Trains on one part of the blobs, and must do well on another. Takes the graph over. */
static void learns(skive_context *ctx, skive_graph *g, const char *optimizer) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *validation = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION),
                  *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_train_options o = settings(8, 20);
    skive_train_report report;
    skive_eval_report before, after;
    o.optimizer = optimizer;
    o.learning_rate = (strcmp(optimizer, "sgd") == 0 ? 1 : 5) * skive_optimizer_rate(optimizer);
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &before));
    skv_test_ok(ctx, skive_train(ctx, g, set, validation, &o, NULL, 0, &report));
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &after));
    assert_int_equal(report.n_epochs, 8);
    assert_true(report.epochs[7].loss < 0.5 * report.epochs[0].loss);
    assert_true(report.best_epoch >= 1 && report.best_epoch <= 8);
    assert_true(before.accuracy < 0.7);
    assert_true(after.accuracy > 0.9);
    assert_true(after.loss < 0.4 * before.loss);
    skive_eval_report_free(ctx, &before);
    skive_eval_report_free(ctx, &after);
    skive_train_report_free(ctx, &report);
    skive_graph_free(g);
    skive_dataset_free(test);
    skive_dataset_free(validation);
    skive_dataset_free(set);
}

static void what_was_learned_holds_for_new_samples(void **state) {
    (void)state;
    for (size_t k = 0; k < skv_optimizer_count(); k++) {
        skive_context *ctx = skv_test_context();
        learns(ctx, small_cnn(ctx, false), skv_optimizer_at(k)->name);
        skv_test_context_end(ctx);
    }
}

/* Layers of one size begin with equal statistics; each keeps its own, also behind what simplifies a graph. */
static void equal_statistics_come_apart(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN), *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_graph *g = NULL;
    skive_zoo_options z = skive_zoo_options_default();
    const skive_train_options o = settings(4, 20);
    skive_train_report report;
    skive_eval_report after;
    (void)state;
    z.dims[1] = z.dims[2] = SIDE;
    z.classes = CLASSES;
    skv_test_ok(ctx, skive_zoo_build(ctx, "resnet20:0.5", &z, &g));
    skv_test_ok(ctx, skive_simplify(ctx, g, NULL, NULL));
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, &report));
    size_t means = 0;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        for (size_t k = 0; k < i; k++) {
            const skive_node *a = skive_graph_node(g, i), *b = skive_graph_node(g, k);
            if (!skv_node_is(a, SKV_OP_BATCH_NORMALIZATION) || !skv_node_is(b, SKV_OP_BATCH_NORMALIZATION)) continue;
            for (int s = 3; s < 5; s++) {
                const skive_tensor *x = skv_value_tensor(a->inputs[s]), *y = skv_value_tensor(b->inputs[s]);
                assert_ptr_not_equal(x->data, y->data);
                assert_false(skv_tensor_same(x, y));
                means++;
            }
        }
    }
    assert_true(means > 100);
    /* Evaluation, by the running statistics, does as well as training did, by the batches'. */
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &after));
    assert_true(after.accuracy > 0.8);
    skive_eval_report_free(ctx, &after);
    skive_train_report_free(ctx, &report);
    skive_graph_free(g);
    skive_dataset_free(set);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
}

static void recurrent_networks_learn(void **state) {
    static const char *const specs[] = {"lstm:0.15", "gru:0.15"};
    (void)state;
    for (size_t k = 0; k < SKV_COUNT(specs); k++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = NULL;
        skive_zoo_options z = skive_zoo_options_default();
        z.dims[1] = z.dims[2] = SIDE;
        z.classes = CLASSES;
        skv_test_ok(ctx, skive_zoo_build(ctx, specs[k], &z, &g));
        learns(ctx, g, "adam");
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distillation_by_hand),
        cmocka_unit_test(regression_by_hand),
        cmocka_unit_test(running_statistics_follow_onnx),
        cmocka_unit_test(trained_statistics_serve_evaluation_and_folding),
        cmocka_unit_test(masked_weights_stay_zero),
        cmocka_unit_test(answering_by_chance_is_noted),
        cmocka_unit_test(equal_seeds_give_equal_bits),
        cmocka_unit_test(a_loss_that_is_no_number_is_told),
        cmocka_unit_test(broken_models_are_not_measured),
        cmocka_unit_test(what_was_learned_holds_for_new_samples),
        cmocka_unit_test(equal_statistics_come_apart),
        cmocka_unit_test(recurrent_networks_learn),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
