/* Fixtures for the tests of training: a small data set that can be learned and a network that fits it. */
#ifndef SKV_TEST_TRAIN_FIXTURES_H
#define SKV_TEST_TRAIN_FIXTURES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "train/train.h"

#include <cmocka.h>

/* ---- data: three kinds of 6x6 images, a bright band at the top, in the middle or at the bottom, in noise ---- */

enum { SIDE = 6, PIXELS = SIDE * SIDE, CLASSES = 3, TRAINING = 240, TESTING = 150 };

static char folder[SKV_TEST_PATH], blobs[4 * SKV_TEST_PATH + 16];

static inline const char *file(char buffer[SKV_TEST_PATH], const char *name) {
    return skv_test_path(buffer, folder, name);
}

static inline void save(const char *name, skive_dtype dtype, int rank, const int64_t *dims, const double *values) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_tensor t;
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, rank, dims, &t));
    for (int64_t i = 0; i < skive_tensor_count(&t); i++) skive_tensor_set(&t, i, values[i]);
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, file(path, name), &t));
    skive_tensor_free(ctx, &t);
    skv_test_context_end(ctx);
}

static inline void write_bands(const char *x_name, const char *y_name, int n, uint64_t seed) {
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

static inline int set_up(void **state) {
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], c[SKV_TEST_PATH], d[SKV_TEST_PATH];
    (void)state;
    skv_test_make_dir(folder);
    write_bands("x.npy", "y.npy", TRAINING, 21);
    write_bands("tx.npy", "ty.npy", TESTING, 22);
    snprintf(blobs, sizeof blobs, "npy:%s,%s,%s,%s", file(a, "x.npy"), file(b, "y.npy"), file(c, "tx.npy"),
             file(d, "ty.npy"));
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    skv_test_remove_dir(folder);
    return 0;
}

static inline skive_dataset *open_data(skive_context *ctx, const char *spec, skive_split split) {
    skive_dataset *d = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.split = split;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &d));
    return d;
}

/* ---- models ---- */

static inline skive_value *parameter(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed,
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
static inline skive_graph *small_cnn(skive_context *ctx, bool dropout) {
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
    if (b.status == SKIVE_OK) b.status = skv_value_rename(y, "feature");
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

static inline const float *data_of(const skive_graph *g, const char *name) {
    return skive_value_data(skive_graph_find_value(g, name))->data;
}

static inline uint64_t fingerprint(const skive_graph *g) {
    uint64_t h = 0;
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        const skive_tensor *t = skive_value_data(skive_graph_value(g, i));
        if (t) h = skv_hash64(t->data, skive_tensor_bytes(t), h);
    }
    return h;
}

static inline skive_train_options settings(int epochs, int64_t batch) {
    skive_train_options o = skive_train_options_default();
    o.epochs = epochs;
    o.batch = batch;
    o.warmup_epochs = 0;
    o.schedule = "constant";
    o.learning_rate = 0.05;
    return o;
}

/* ---- the parts of a run ---- */

typedef struct step_bench {
    skive_context *ctx;
    skive_graph *model;
    skive_dataset *set;
    skv_targets targets;
    skv_feeds feeds;
    skv_problem problem;
    skv_trainer *trainer;
} step_bench;

/* A trainer whose input holds the first samples. */
static inline step_bench bench_start(skive_graph *(*model)(skive_context *ctx), const skive_train_options *o) {
    step_bench b = {.ctx = skv_test_context()};
    float *x, *from;
    void *labels;
    skive_tensor all, y;
    char path[SKV_TEST_PATH];
    b.model = model(b.ctx);
    b.set = open_data(b.ctx, blobs, SKIVE_SPLIT_TRAIN);
    skv_test_ok(b.ctx, skv_targets_of(b.ctx, b.set, &b.targets));
    skv_test_ok(b.ctx, skv_feeds_make(b.ctx, b.model, &b.targets.info, &b.feeds));
    const skv_problem_setup setup = {.model = b.model,
                                     .feeds = &b.feeds,
                                     .targets = &b.targets,
                                     .objective = &skv_objective_labels,
                                     .options = o,
                                     .batch = o->batch};
    skv_test_ok(b.ctx, skv_problem_build(b.ctx, &setup, &b.problem));
    const skv_trainer_setup trainer = {.graph = b.problem.graph,
                                       .input = b.problem.inputs[0],
                                       .labels = b.problem.labels,
                                       .loss = b.problem.loss,
                                       .logits = b.problem.logits,
                                       .updates = b.problem.updates,
                                       .n_updates = b.problem.n_updates,
                                       .options = o,
                                       .validated = true,
                                       .model = b.model,
                                       .steps = 100,
                                       .batch = o->batch};
    skv_test_ok(b.ctx, skv_trainer_create(b.ctx, &trainer, &b.trainer));
    b.problem.graph = NULL;
    skv_test_ok(b.ctx, skive_tensor_load_npy(b.ctx, file(path, "x.npy"), &all));
    skv_test_ok(b.ctx, skive_tensor_load_npy(b.ctx, file(path, "y.npy"), &y));
    skv_trainer_inputs(b.trainer, &x, &labels);
    from = all.data;
    for (int64_t i = 0; i < o->batch * PIXELS; i++) x[i] = from[i];
    for (int64_t i = 0; i < o->batch; i++) ((int64_t *)labels)[i] = ((const int64_t *)y.data)[i];
    skive_tensor_free(b.ctx, &all);
    skive_tensor_free(b.ctx, &y);
    return b;
}

static inline void bench_finish(step_bench *b) {
    skv_trainer_free(b->trainer);
    skv_problem_free(b->ctx, &b->problem);
    skv_feeds_free(&b->feeds);
    skive_dataset_free(b->set);
    skive_graph_free(b->model);
    skv_test_context_end(b->ctx);
}

/* A layer of a network made by hand: w [out][in], b [out]. */
typedef struct made_layer {
    int64_t out, in;
    const float *w, *b;
} made_layer;

static inline skive_value *made_parameter(skv_builder *b, char letter, size_t number, const skive_tensor *t) {
    char name[24];
    skive_value *v = NULL;
    snprintf(name, sizeof name, "%c%zu", letter, number);
    skv_test_ok(b->graph->ctx, skive_graph_add_parameter(b->graph, name, t, &v));
    return v;
}

/* Flatten, then Gemm with the parameters w1, b1, w2 ..., a Relu between two of them. */
static inline skive_graph *made_network(skive_context *ctx, const made_layer *layers, size_t n, bool trainable) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    skv_test_ok(ctx, skive_graph_create(ctx, "made", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    for (size_t i = 0; i < n; i++) {
        const made_layer *l = &layers[i];
        const skive_tensor w = {.dtype = SKIVE_F32, .rank = 2, .dims = {l->out, l->in}, .data = (void *)l->w};
        const skive_tensor bias = {.dtype = SKIVE_F32, .rank = 1, .dims = {l->out}, .data = (void *)l->b};
        skive_value *wv = made_parameter(&b, 'w', i + 1, &w), *bv = made_parameter(&b, 'b', i + 1, &bias);
        skv_test_ok(ctx, skive_value_set_trainable(wv, trainable));
        skv_test_ok(ctx, skive_value_set_trainable(bv, trainable));
        if (i > 0) y = skv_emit(&b, "Relu", SKV_IN(y), SKV_NONE);
        y = skv_emit(&b, "Gemm", SKV_IN(y, wv, bv), SKV_ATTRS(SKV_INT("transB", 1)));
    }
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* Scores that are a product of the pixels with the parameter "w". */
static inline skive_graph *linear_scores(skive_context *ctx, uint64_t seed) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    const int64_t w[2] = {PIXELS, CLASSES};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "linear", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    y = skv_emit(&b, "MatMul", SKV_IN(y, parameter(&b, "w", 2, w, seed, -0.3, 0.3)), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* Logarithms of the probabilities that such a network gives a sample. */
static inline void log_softmax_of(const float *w, const float *x, double temperature, double *out) {
    double sum = 0;
    for (int c = 0; c < CLASSES; c++) {
        out[c] = 0;
        for (int k = 0; k < PIXELS; k++) out[c] += (double)x[k] * (double)w[k * CLASSES + c] / temperature;
        sum += exp(out[c]);
    }
    for (int c = 0; c < CLASSES; c++) out[c] -= log(sum);
}

#endif
