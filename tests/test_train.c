/* Training of whole models: what one step does, statistics, masks, checkpoints, equal bits, and that something is learned. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skive/distill.h>
#include <skive/prune.h>
#include <skive/zoo.h>

#include "base/context.h"
#include "passes/pass.h"
#include "support.h"
#include "train/train.h"

#include <cmocka.h>

/* ---- data: three kinds of 6x6 images, a bright band at the top, in the middle or at the bottom, in noise ---- */

enum { SIDE = 6, PIXELS = SIDE * SIDE, CLASSES = 3, TRAINING = 240, TESTING = 150 };

static char folder[SKV_TEST_PATH], blobs[4 * SKV_TEST_PATH + 16];

static const char *file(char buffer[SKV_TEST_PATH], const char *name) { return skv_test_path(buffer, folder, name); }

static void save(const char *name, skive_dtype dtype, int rank, const int64_t *dims, const double *values) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_tensor t;
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, rank, dims, &t));
    for (int64_t i = 0; i < skive_tensor_count(&t); i++) skive_tensor_set(&t, i, values[i]);
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, file(path, name), &t));
    skive_tensor_free(ctx, &t);
    skv_test_context_end(ctx);
}

static void write_bands(const char *x_name, const char *y_name, int n, uint64_t seed) {
    const int64_t dims[4] = {n, 1, SIDE, SIDE};
    double *x = calloc((size_t)n * PIXELS, sizeof *x), *y = calloc((size_t)n, sizeof *y);
    assert_true(x && y);
    for (int i = 0; i < n; i++) {
        y[i] = (double)skv_rng_below(seed, 1, (uint64_t)i, CLASSES);
        for (int k = 0; k < PIXELS; k++) {
            const int band = k / SIDE / 2;
            x[i * PIXELS + k] = (band == (int)y[i] ? 1.0 : 0.0) + 0.7 * skv_rng_normal(seed, (uint64_t)i, (uint64_t)k);
        }
    }
    save(x_name, SKIVE_F32, 4, dims, x);
    save(y_name, SKIVE_I64, 1, dims, y);
    free(x);
    free(y);
}

static int set_up(void **state) {
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], c[SKV_TEST_PATH], d[SKV_TEST_PATH];
    (void)state;
    skv_test_make_dir(folder);
    write_bands("x.npy", "y.npy", TRAINING, 21);
    write_bands("tx.npy", "ty.npy", TESTING, 22);
    snprintf(blobs, sizeof blobs, "npy:%s,%s,%s,%s", file(a, "x.npy"), file(b, "y.npy"), file(c, "tx.npy"),
             file(d, "ty.npy"));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    skv_test_remove_dir(folder);
    return 0;
}

static skive_dataset *open_data(skive_context *ctx, const char *spec, skive_split split) {
    skive_dataset *d = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.split = split;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &d));
    return d;
}

/* ---- models ---- */

static skive_value *parameter(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed,
                              double low, double high) {
    skive_context *ctx = b->graph->ctx;
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, seed, low, high);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(b->graph, name, &t, &v));
    skive_tensor_free(ctx, &t);
    if (strncmp(name, "running", 7) != 0) skv_test_ok(ctx, skive_value_set_trainable(v, true));
    return v;
}

/* Conv, BatchNormalization, ReLU, on request Dropout, Gemm. */
static skive_graph *small_cnn(skive_context *ctx, bool dropout) {
    enum { C = 4 };
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t w[4] = {C, 1, 3, 3}, c[1] = {C}, f[2] = {CLASSES, C * PIXELS}, k[1] = {CLASSES};
    const int64_t pads[4] = {1, 1, 1, 1};
    skv_test_ok(ctx, skive_graph_create(ctx, "cnn", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, parameter(&b, "conv.weight", 4, w, 1, -0.4, 0.4)),
                              SKV_ATTRS(SKV_INTS("pads", pads, 4)));
    y = skv_emit(&b, "BatchNormalization",
                 SKV_IN(y, parameter(&b, "scale", 1, c, 2, 0.5, 1.5), parameter(&b, "shift", 1, c, 3, -0.5, 0.5),
                        parameter(&b, "running.mean", 1, c, 4, -0.2, 0.2),
                        parameter(&b, "running.var", 1, c, 5, 0.5, 1.5)),
                 SKV_ATTRS(SKV_FLT("momentum", 0.8)));
    y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
    if (dropout) y = skv_emit(&b, "Dropout", SKV_IN(y, skv_emit_scalar(&b, SKIVE_F32, 0.25)), SKV_NONE);
    y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
    y = skv_emit(
        &b, "Gemm",
        SKV_IN(y, parameter(&b, "fc.weight", 2, f, 6, -0.1, 0.1), parameter(&b, "fc.bias", 1, k, 7, -0.1, 0.1)),
        SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

static const float *data_of(const skive_graph *g, const char *name) {
    return skive_value_data(skive_graph_find_value(g, name))->data;
}

static uint64_t fingerprint(const skive_graph *g) {
    uint64_t h = 0;
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        const skive_tensor *t = skive_value_data(skive_graph_value(g, i));
        if (t) h = skv_hash64(t->data, skive_tensor_bytes(t), h);
    }
    return h;
}

static skive_train_options settings(int epochs, int64_t batch) {
    skive_train_options o = skive_train_options_default();
    o.epochs = epochs;
    o.batch = batch;
    o.warmup_epochs = 0;
    o.schedule = "constant";
    o.learning_rate = 0.05;
    return o;
}

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
    skive_train_report report;
    (void)state;
    make_rows(x, labels, spec);
    skive_dataset *set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *student = linear(ctx, CLASSES, 41), *teacher = linear(ctx, CLASSES, 51),
                *before = linear(ctx, CLASSES, 41);
    o.temperature = 3;
    o.alpha = 0.6;
    o.train = settings(1, N);
    o.train.momentum = 0;
    o.train.weight_decay = 0;
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
    skive_dataset_free(set);
    /* Two targets a sample do not fit one output. */
    double pairs[2 * N] = {0};
    save("targets.npy", SKIVE_F32, 2, dims, pairs);
    set = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *g = linear(ctx, 1, 61);
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_SHAPE,
                   "the targets are float32[N,2]");
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

/* Evaluation uses the running statistics, each sample by itself, and folding them into the convolution changes nothing. */
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

/* ---- checkpoints ---- */

typedef struct stopper {
    int after, seen; /* epochs */
    bool stop;
} stopper;

static void on_log(void *user, skive_log_level level, const char *line) {
    stopper *s = user;
    (void)level;
    if (!strstr(line, "epoch") || ++s->seen != s->after) return;
    s->stop = true;
    usleep(110000); /* progress is reported ten times a second: now the next step reports */
}

static int on_progress(void *user, const char *what, const char *detail, double done, double total, double left) {
    (void)what;
    (void)detail;
    (void)done;
    (void)total;
    (void)left;
    return ((stopper *)user)->stop;
}

static void watch(skive_context *ctx, stopper *s) {
    ctx->log = on_log;
    ctx->log_user = s;
    ctx->log_level = SKIVE_LOG_INFO;
    ctx->progress = on_progress;
    ctx->progress_user = s;
}

/* Statistics, moments, dropout's and augmentation's random numbers, the best epoch: all must go on as if nothing had
 * happened. */
static void a_resumed_run_gives_the_same_bits(void **state) {
    char path[SKV_TEST_PATH];
    (void)state;
    for (size_t k = 0; k < skv_optimizer_count(); k++) {
        uint64_t bits[2], best[2];
        for (int interrupted = 0; interrupted < 2; interrupted++) {
            skive_context *ctx = skv_test_context();
            skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                          *held_out = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
            skive_graph *g = small_cnn(ctx, true);
            skive_train_options o = settings(4, 32);
            skive_train_report report;
            stopper s = {.after = 2};
            o.optimizer = skv_optimizer_at(k)->name;
            o.schedule = "cosine";
            o.augment = "crop:1";
            o.keep_best = k != 0;
            o.learning_rate = 0.01;
            if (interrupted) {
                o.checkpoint = file(path, "run.ckpt");
                watch(ctx, &s);
                skv_test_fails(ctx, skive_train(ctx, g, set, held_out, &o, NULL, 0, &report), SKIVE_ERR_INTERRUPTED,
                               "interrupted");
                assert_int_equal(report.n_epochs, 2);
                skive_train_report_free(ctx, &report);
                skive_graph_free(g);
                g = small_cnn(ctx, true);
                s = (stopper){.after = -1};
                skv_test_ok(ctx, skive_train(ctx, g, set, held_out, &o, NULL, 0, &report));
                assert_int_equal(report.n_epochs, 2);
                assert_int_equal(report.epochs[0].epoch, 3);
                assert_non_null(strstr(skive_context_note(ctx, 0), "resumed after epoch 2"));
                assert_int_equal(unlink(path), 0);
            } else {
                skv_test_ok(ctx, skive_train(ctx, g, set, held_out, &o, NULL, 0, &report));
            }
            bits[interrupted] = fingerprint(g);
            best[interrupted] = (uint64_t)report.best_epoch;
            skive_train_report_free(ctx, &report);
            skive_graph_free(g);
            skive_dataset_free(held_out);
            skive_dataset_free(set);
            skv_test_context_end(ctx);
        }
        assert_int_equal(best[0], best[1]);
        assert_true(bits[0] == bits[1]);
    }
}

/* A checkpoint of another run, or a damaged one, is refused, and the model stays as it was. */
static void foreign_and_damaged_checkpoints_are_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false), *teacher = small_cnn(ctx, true);
    skive_train_options o = settings(1, 32);
    skive_distill_options d = skive_distill_options_default();
    char path[SKV_TEST_PATH];
    (void)state;
    o.checkpoint = file(path, "one.ckpt");
    skv_test_ok(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL));
    skive_graph_free(g);
    g = small_cnn(ctx, false);
    const uint64_t before = fingerprint(g);
    o.nesterov = !o.nesterov;
    skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT, "one.ckpt");
    o.nesterov = !o.nesterov;
    /* Every tenth byte changed, one at a time; and cut short. */
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    for (long i = 0; i < size; i += size / 40) {
        assert_int_equal(fseek(f, i, SEEK_SET), 0);
        const int byte = fgetc(f);
        assert_int_equal(fseek(f, i, SEEK_SET), 0);
        assert_int_equal(fputc(byte ^ 0x10, f), byte ^ 0x10);
        assert_int_equal(fflush(f), 0);
        const skive_status status = skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL);
        assert_true(status == SKIVE_ERR_FORMAT || status == SKIVE_ERR_ARGUMENT);
        assert_non_null(strstr(skive_context_message(ctx), "one.ckpt"));
        assert_int_equal(fseek(f, i, SEEK_SET), 0);
        assert_int_equal(fputc(byte, f), byte);
        assert_int_equal(fflush(f), 0);
    }
    for (long keep = size - 1; keep > 0; keep = keep * 2 / 3) {
        assert_int_equal(ftruncate(fileno(f), keep), 0);
        skv_test_fails(ctx, skive_train(ctx, g, set, NULL, &o, NULL, 0, NULL), SKIVE_ERR_FORMAT, "one.ckpt");
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(unlink(path), 0);
    assert_true(fingerprint(g) == before);
    /* The temperature belongs to the run as well. */
    d.train = o;
    skv_test_ok(ctx, skive_distill(ctx, g, teacher, set, NULL, &d, NULL));
    skive_graph_free(g);
    g = small_cnn(ctx, false);
    d.temperature = 5;
    skv_test_fails(ctx, skive_distill(ctx, g, teacher, set, NULL, &d, NULL), SKIVE_ERR_ARGUMENT, "one.ckpt");
    assert_true(fingerprint(g) == before);
    assert_int_equal(unlink(path), 0);
    skive_graph_free(teacher);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Gradual pruning fine-tunes in several runs; each has its checkpoint, and stopping in the second loses nothing. */
static void interrupted_pruning_keeps_what_it_has(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, false), *whole = small_cnn(ctx, false);
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report report;
    char path[SKV_TEST_PATH], one[SKV_TEST_PATH + 2], two[SKV_TEST_PATH + 2];
    stopper s = {.after = 3};
    (void)state;
    o.schedule = "cubic";
    o.steps = 2;
    o.sparsity = 0.8;
    o.finetune = settings(4, 32);
    skv_test_ok(ctx, skive_prune(ctx, whole, set, NULL, &o, NULL));
    o.finetune.checkpoint = file(path, "prune.ckpt");
    watch(ctx, &s);
    skv_test_fails(ctx, skive_prune(ctx, g, set, NULL, &o, &report), SKIVE_ERR_INTERRUPTED, "interrupted");
    assert_int_equal(report.count, 36 + CLASSES * 4 * PIXELS);
    assert_int_equal(report.count - report.kept, (int64_t)(0.8 * (double)report.count + 0.5));
    int64_t zeros = 0;
    for (int i = 0; i < 36; i++) zeros += data_of(g, "conv.weight")[i] == 0;
    for (int i = 0; i < CLASSES * 4 * PIXELS; i++) zeros += data_of(g, "fc.weight")[i] == 0;
    assert_int_equal(zeros, report.count - report.kept);
    skive_prune_report_free(ctx, &report);
    skive_graph_free(g);
    g = small_cnn(ctx, false);
    s = (stopper){.after = -1};
    skv_test_ok(ctx, skive_prune(ctx, g, set, NULL, &o, NULL));
    assert_true(fingerprint(g) == fingerprint(whole));
    snprintf(one, sizeof one, "%s.1", path);
    snprintf(two, sizeof two, "%s.2", path);
    assert_int_equal(unlink(one), 0);
    assert_int_equal(unlink(two), 0);
    skive_graph_free(whole);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
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
                   "lower the learning rate (it is 1000");
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
static void what_was_learned_holds_for_new_samples(void **state) {
    (void)state;
    for (size_t k = 0; k < skv_optimizer_count(); k++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                      *validation = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION),
                      *test = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
        skive_graph *g = small_cnn(ctx, false);
        skive_train_options o = settings(8, 20);
        skive_train_report report;
        skive_eval_report before, after;
        o.optimizer = skv_optimizer_at(k)->name;
        o.learning_rate = strcmp(o.optimizer, "sgd") == 0 ? 0.02 : 0.005;
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
        cmocka_unit_test(equal_seeds_give_equal_bits),
        cmocka_unit_test(a_resumed_run_gives_the_same_bits),
        cmocka_unit_test(foreign_and_damaged_checkpoints_are_refused),
        cmocka_unit_test(interrupted_pruning_keeps_what_it_has),
        cmocka_unit_test(a_loss_that_is_no_number_is_told),
        cmocka_unit_test(broken_models_are_not_measured),
        cmocka_unit_test(what_was_learned_holds_for_new_samples),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
