/* Pruning: exact counts, thresholds, floors, ties, criteria, schedules, masks kept or changed during fine-tuning, the
 * dense model as teacher; distillation and its failures. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/distill.h>
#include <skive/eval.h>
#include <skive/prune.h>
#include <skive/zoo.h>

#include "prune/prune.h"
#include "support.h"

#include <cmocka.h>

static int64_t kept(const skv_prunable *p) {
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) n += p->keep[i];
    return n;
}

static void global_mask_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    float a[] = {1, 9, 2, 8}, b[] = {3, 3, 3, 3, 7, 6};
    uint8_t keep_a[4], keep_b[6];
    skv_prunable p[2] = {{.n = 4, .least = 1, .score = a, .keep = keep_a},
                         {.n = 6, .least = 1, .score = b, .keep = keep_b}};
    double threshold;
    (void)state;
    skv_test_ok(ctx, skv_mask_global(ctx, p, 2, 4, &threshold)); /* 1, 2 and the first two 3s */
    assert_true(threshold == 3);
    assert_memory_equal(keep_a, ((const uint8_t[]){0, 1, 0, 1}), 4);
    assert_memory_equal(keep_b, ((const uint8_t[]){0, 0, 1, 1, 1, 1}), 6);
    skv_test_ok(ctx, skv_mask_global(ctx, p, 2, 0, &threshold));
    assert_int_equal(kept(&p[0]) + kept(&p[1]), 10);
    skv_test_context_end(ctx);
}

/* The second layer is all small; its floor holds and the first gives what is missing. */
static void floors_hold(void **state) {
    skive_context *ctx = skv_test_context();
    float a[10], b[10];
    uint8_t keep_a[10], keep_b[10];
    skv_prunable p[2] = {{.n = 10, .least = 1, .score = a, .keep = keep_a},
                         {.n = 10, .least = 4, .score = b, .keep = keep_b}};
    double threshold;
    (void)state;
    for (int i = 0; i < 10; i++) {
        a[i] = 10.0f + (float)i;
        b[i] = 0.1f * (float)i;
    }
    skv_test_ok(ctx, skv_mask_global(ctx, p, 2, 12, &threshold));
    assert_int_equal(kept(&p[1]), 4);
    assert_int_equal(kept(&p[0]), 4);
    assert_true(keep_b[9] && keep_b[6] && !keep_b[5]);
    assert_true(p[1].at_floor && !p[0].at_floor);
    skv_test_ok(ctx, skv_mask_global(ctx, p, 2, 20, &threshold)); /* more than the floors allow */
    assert_int_equal(kept(&p[0]), 1);
    assert_int_equal(kept(&p[1]), 4);
    skv_test_context_end(ctx);
}

static void random_masks_have_the_exact_count(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t round = 0; round < 200; round++) {
        enum { N = 50 };
        float score[2][N];
        uint8_t keep[2][N];
        skv_prunable p[2] = {{.n = N, .least = 1, .score = score[0], .keep = keep[0]},
                             {.n = N, .least = 1, .score = score[1], .keep = keep[1]}};
        double threshold;
        for (int l = 0; l < 2; l++) {
            /* Few different values, so that ties are the rule. */
            for (int i = 0; i < N; i++) score[l][i] = (float)skv_rng_below(round, (uint64_t)l, (uint64_t)i, 7);
        }
        const int64_t drop = (int64_t)skv_rng_below(round, 9, 0, 2 * N - 4);
        skv_test_ok(ctx, skv_mask_global(ctx, p, 2, drop, &threshold));
        assert_int_equal(kept(&p[0]) + kept(&p[1]), 2 * N - drop);
    }
    skv_test_context_end(ctx);
}

static void cubic_schedule_by_hand(void **state) {
    (void)state;
    const skv_prune_schedule *s = skv_prune_schedule_find("cubic");
    assert_true(fabs(s->sparsity(0.8, 0.5) - 0.7) < 1e-12); /* 0.8 (1 - 1/8) */
    assert_true(fabs(s->sparsity(0.8, 1.0) - 0.8) < 1e-12);
}

static void iterative_schedule_by_hand(void **state) {
    (void)state;
    const skv_prune_schedule *s = skv_prune_schedule_find("iterative");
    /* Halves what is left three times. */
    assert_true(fabs(s->sparsity(0.875, 1.0 / 3) - 0.5) < 1e-12);
    assert_true(fabs(s->sparsity(0.875, 2.0 / 3) - 0.75) < 1e-12);
    assert_true(s->sparsity(0.875, 1.0) == 0.875);
    assert_true(s->sparsity(0.0, 0.5) == 0.0);
}

static void lamp(skive_context *ctx, const float *weight, int64_t n, float *score) {
    const skv_score_args a = {.ctx = ctx, .weight = weight, .n = n, .score = score};
    skv_test_ok(ctx, skv_criterion_find("lamp")->score(&a));
}

static void lamp_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    const float three[] = {2, -1, 3}, ties[] = {-1, 2, 1}, nothing[] = {0, 0, 5}, zeros_only[] = {0, 0};
    float score[3];
    (void)state;
    lamp(ctx, three, 3, score);
    skv_test_floats(score, (const float[]){4.0f / 13, 1.0f / 14, 1}, 3, 1e-7, 0);
    lamp(ctx, ties, 3, score); /* of equal ones the first goes first */
    skv_test_floats(score, (const float[]){1.0f / 6, 1, 1.0f / 5}, 3, 1e-7, 0);
    lamp(ctx, nothing, 3, score);
    skv_test_floats(score, (const float[]){0, 0, 1}, 3, 0, 0);
    lamp(ctx, zeros_only, 2, score);
    skv_test_floats(score, (const float[]){0, 0}, 2, 0, 0);
    skv_test_context_end(ctx);
}

/* Against the definition, on weights of many magnitudes; a layer's scale does not matter. */
static void lamp_is_its_definition(void **state) {
    enum { N = 400 };
    skive_context *ctx = skv_test_context();
    float w[N], scaled[N], score[N], scaled_score[N];
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        w[i] = (float)(skv_rng_normal(5, 1, i) * pow(10, (double)(i % 7) - 3));
        scaled[i] = 1024 * w[i];
    }
    lamp(ctx, w, N, score);
    lamp(ctx, scaled, N, scaled_score);
    assert_memory_equal(score, scaled_score, sizeof score);
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < N; k++) sum += fabsf(w[k]) >= fabsf(w[i]) ? (double)w[k] * (double)w[k] : 0;
        assert_true(skv_test_close((double)score[i], (double)w[i] * (double)w[i] / sum, 1e-6, 0));
    }
    skv_test_context_end(ctx);
}

static void masks_below_a_threshold(void **state) {
    skive_context *ctx = skv_test_context();
    float score[] = {0.5f, 0.25f, 0.75f, 0.49f, 0.5f};
    uint8_t keep[5];
    skv_prunable p = {.n = 5, .least = 2, .score = score, .keep = keep};
    (void)state;
    skv_test_ok(ctx, skv_mask_below(ctx, &p, 0.5)); /* what equals it stays */
    assert_memory_equal(keep, ((const uint8_t[]){1, 0, 1, 0, 1}), 5);
    assert_false(p.at_floor);
    skv_test_ok(ctx, skv_mask_below(ctx, &p, 0.0));
    assert_int_equal(kept(&p), 5);
    skv_test_ok(ctx, skv_mask_below(ctx, &p, 9.0)); /* the floor: the two largest, the first of equals going first */
    assert_memory_equal(keep, ((const uint8_t[]){0, 0, 1, 0, 1}), 5);
    assert_true(p.at_floor);
    skv_test_context_end(ctx);
}

/* In surgery a mask changes only where the scores differ by more than the margin to both sides; else what is gone
 * stays. */
static void masks_hold_on(void **state) {
    skive_context *ctx = skv_test_context();
    float weight[] = {1.0f, 1.05f}, score[2];
    uint8_t keep[] = {1, 0};
    skv_prunable layer = {.n = 2, .least = 1, .weight = weight, .score = score, .keep = keep};
    const skive_prune_options o = {.sparsity = 0.5};
    skv_pruning p = {.ctx = ctx,
                     .o = &o,
                     .criterion = skv_criterion_find("magnitude"),
                     .schedule = skv_prune_schedule_find("one-shot"),
                     .granularity = skv_granularity_find("element"),
                     .layers = &layer,
                     .n = 1,
                     .n_shared = 1};
    (void)state;
    skv_test_ok(ctx, skv_prune_choose(&p, 1, SKV_SURGERY_MARGIN));
    assert_memory_equal(keep, ((const uint8_t[]){1, 0}), 2);
    weight[1] = 1.25f;
    skv_test_ok(ctx, skv_prune_choose(&p, 1, 0));
    assert_memory_equal(keep, ((const uint8_t[]){1, 0}), 2);
    skv_test_ok(ctx, skv_prune_choose(&p, 1, SKV_SURGERY_MARGIN));
    assert_memory_equal(keep, ((const uint8_t[]){0, 1}), 2);
    skv_test_context_end(ctx);
}

/* ---- on a network ---- */

static int64_t zeros(const skive_graph *g, const char *name) {
    const skive_tensor *t = skive_value_data(skive_graph_find_value(g, name));
    int64_t n = 0;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) n += skive_tensor_get(t, i) == 0;
    return n;
}

static skive_graph *network(skive_context *ctx, const char *spec) {
    skive_graph *g = NULL;
    skive_zoo_options o = skive_zoo_options_default();
    o.rank = 1;
    o.dims[0] = 8;
    o.classes = 3;
    skv_test_ok(ctx, skive_zoo_build(ctx, spec, &o, &g));
    return g;
}

/* Three blobs in eight dimensions, as .npy files. */
static void make_data(const char *folder, char spec[2 * SKV_TEST_PATH + 8]) {
    skive_context *ctx = skv_test_context();
    enum { N = 300 };
    const int64_t x_dims[2] = {N, 8}, y_dims[1] = {N};
    skive_tensor x, y;
    char x_path[SKV_TEST_PATH], y_path[SKV_TEST_PATH];
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, x_dims, &x));
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, y_dims, &y));
    for (int i = 0; i < N; i++) {
        const int label = i % 3;
        for (int k = 0; k < 8; k++) {
            const double center = k % 3 == label ? 2.0 : 0.0;
            skive_tensor_set(&x, i * 8 + k, center + skv_rng_normal(1, (uint64_t)i, (uint64_t)k));
        }
        skive_tensor_set(&y, i, label);
    }
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, skv_test_path(x_path, folder, "x.npy"), &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, skv_test_path(y_path, folder, "y.npy"), &y));
    snprintf(spec, 2 * SKV_TEST_PATH + 8, "npy:%s,%s", x_path, y_path);
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    skv_test_context_end(ctx);
}

static skive_dataset *open_data(skive_context *ctx, const char *spec, skive_split split) {
    skive_dataset *d = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.split = split;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &d));
    return d;
}

/* A single layer, x w^T + b. */
static skive_graph *one_layer(skive_context *ctx, const float w[3][8]) {
    const int64_t w_dims[2] = {3, 8}, b_dims[1] = {3};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {8, NULL}}};
    skive_graph *g = NULL;
    skive_value *x, *weight, *bias;
    skive_tensor tw, tb;
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, w_dims, &tw));
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 1, b_dims, &tb));
    memcpy(tw.data, w, skive_tensor_bytes(&tw));
    skv_test_ok(ctx, skive_graph_create(ctx, "layer", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "w", &tw, &weight));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "b", &tb, &bias));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Gemm", SKV_IN(x, weight, bias), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skive_tensor_free(ctx, &tw);
    skive_tensor_free(ctx, &tb);
    return g;
}

static const float *data_of(const skive_graph *g, const char *name) {
    return skive_value_data(skive_graph_find_value(g, name))->data;
}

/* Data on disk, opened for training. */
typedef struct blobs {
    skive_context *ctx;
    char folder[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 8];
    skive_dataset *train, *validation, *all;
} blobs;

static blobs open_blobs(void) {
    blobs d = {.ctx = skv_test_context()};
    skv_test_make_dir(d.folder);
    make_data(d.folder, d.spec);
    d.train = open_data(d.ctx, d.spec, SKIVE_SPLIT_TRAIN);
    d.validation = open_data(d.ctx, d.spec, SKIVE_SPLIT_VALIDATION);
    d.all = open_data(d.ctx, d.spec, SKIVE_SPLIT_TRAIN_FULL);
    return d;
}

static void close_blobs(blobs *d) {
    skive_dataset_free(d->all);
    skive_dataset_free(d->validation);
    skive_dataset_free(d->train);
    skv_test_remove_dir(d->folder);
    skv_test_context_end(d->ctx);
}

/* Exactly a quarter stays, and every weight the report counts as gone is zero. */
static void check_quarter(const skive_graph *g, const skive_prune_report *r) {
    int64_t found = 0;
    assert_int_equal(r->count, 8 * 16 + 16 * 16 + 16 * 3);
    assert_int_equal(r->kept, r->count / 4);
    assert_int_equal(r->n_layers, 3);
    for (size_t i = 0; i < r->n_layers; i++) {
        assert_int_equal(zeros(g, r->layers[i].parameter), r->layers[i].count - r->layers[i].kept);
        found += zeros(g, r->layers[i].parameter);
    }
    assert_int_equal(found, r->count - r->kept);
    assert_true(r->training.n_epochs > 0);
}

/* Whatever the criterion, the schedule and the optimizer, with and without surgery. */
static void zeros_survive_fine_tuning(void **state) {
    blobs d = open_blobs();
    (void)state;
    size_t k = 0;
    for (size_t c = 0; c < skv_criterion_count(); c++) {
        for (size_t s = 0; s < skv_prune_schedule_count(); s++) {
            for (int surgery = 0; surgery < 2; surgery++, k++) {
                if (surgery && (skv_criterion_at(c)->n_needs > 0 || skv_criterion_at(c)->look)) continue; /* refused */
                if (skv_criterion_at(c)->channels_only) continue;
                skive_graph *g = network(d.ctx, "mlp:16,16");
                skive_prune_options o = skive_prune_options_default();
                skive_train_options tune = skive_prune_finetune_default();
                o.finetune = &tune;
                skive_prune_report r;
                o.criterion = skv_criterion_at(c)->name;
                o.schedule = skv_prune_schedule_at(s)->name;
                o.surgery = surgery;
                tune.optimizer = skv_optimizer_at(k / 2 % skv_optimizer_count())->name;
                tune.epochs = 6;
                tune.batch = 32;
                tune.learning_rate = 0.02;
                tune.weight_decay = 0.01;
                o.sparsity = 0.75;
                o.steps = 3;
                skv_test_ok(d.ctx, skive_prune(d.ctx, g, d.train, d.validation, &o, &r));
                check_quarter(g, &r);
                skive_prune_report_free(d.ctx, &r);
                skive_graph_free(g);
            }
        }
    }
    close_blobs(&d);
}

/* The report is of the last step, so its epochs tell how fine-tuning was divided. */
static void last_step_gets_its_share(void **state) {
    static const struct {
        int epochs, steps;
        double share;
        size_t last;
    } cases[] = {{10, 3, 0.6, 6}, {10, 3, 1, 10}, {10, 5, 0, 2}, {10, 1, 0.6, 10}, {3, 8, 0.5, 2}, {2, 2, 0.1, 0}};
    blobs d = open_blobs();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        skive_graph *g = network(d.ctx, "mlp:16,16");
        skive_prune_options o = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        o.finetune = &tune;
        skive_prune_report r;
        o.schedule = "cubic";
        o.sparsity = 0.75;
        o.steps = cases[i].steps;
        tune.epochs = cases[i].epochs;
        o.last_step = cases[i].share;
        skv_test_ok(d.ctx, skive_prune(d.ctx, g, d.train, d.validation, &o, &r));
        if (cases[i].last) assert_int_equal(r.training.n_epochs, cases[i].last);
        check_quarter(g, &r);
        skive_prune_report_free(d.ctx, &r);
        skive_graph_free(g);
    }
    close_blobs(&d);
}

/* The wanted sparsity is reached even when there are fewer batches than steps of the schedule. */
static void surgery_reaches_its_sparsity_in_few_batches(void **state) {
    blobs d = open_blobs();
    skive_prune_options o = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    o.finetune = &tune;
    (void)state;
    o.surgery = true;
    o.schedule = "iterative";
    o.sparsity = 0.75;
    tune.epochs = 1;
    for (int until = 1; until <= 4; until++) {
        for (o.steps = 1; o.steps < 30; o.steps += 4) {
            skive_graph *g = network(d.ctx, "mlp:16,16");
            skive_prune_report r;
            o.surgery_until = until / 4.0;
            tune.batch = 90;
            skv_test_ok(d.ctx, skive_prune(d.ctx, g, d.train, d.validation, &o, &r));
            check_quarter(g, &r);
            skive_prune_report_free(d.ctx, &r);
            skive_graph_free(g);
        }
    }
    close_blobs(&d);
}

/* The features that tell the classes have the smallest weights and all go. They pull twice as hard as the others, so
 * under surgery they return, and without it they cannot. */
static void masked_weights_return(void **state) {
    blobs d = open_blobs();
    float w[3][8];
    (void)state;
    for (int c = 0; c < 3; c++) {
        for (int k = 0; k < 8; k++) w[c][k] = k % 3 == c ? 0.01f : 0.02f;
    }
    for (int surgery = 0; surgery < 2; surgery++) {
        skive_graph *g = one_layer(d.ctx, (const float(*)[8])w);
        skive_prune_options o = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        o.finetune = &tune;
        skive_prune_report r;
        o.sparsity = 2.0 / 3;
        o.surgery = surgery;
        tune.epochs = 8;
        tune.batch = 25;
        tune.learning_rate = 0.05;
        skv_test_ok(d.ctx, skive_prune(d.ctx, g, d.train, NULL, &o, &r));
        int telling = 0;
        for (int i = 0; i < 24; i++) telling += i % 8 % 3 == i / 8 && data_of(g, "w")[i] != 0;
        assert_int_equal(zeros(g, "w"), 16);
        assert_int_equal(r.kept, 8);
        if (surgery)
            assert_true(telling >= 6);
        else
            assert_int_equal(telling, 0);
        skive_prune_report_free(d.ctx, &r);
        skive_graph_free(g);
    }
    close_blobs(&d);
}

/* Only what is trained can return. */
static void surgery_on_a_frozen_layer_is_refused(void **state) {
    blobs d = open_blobs();
    const float w[3][8] = {{1, 2, 3}, {4, 5}, {6}};
    skive_graph *g = one_layer(d.ctx, w);
    skive_prune_options o = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    o.finetune = &tune;
    (void)state;
    skv_test_ok(d.ctx, skive_value_set_trainable(skive_graph_find_value(g, "b"), true));
    tune.epochs = 1;
    skv_test_ok(d.ctx, skive_prune(d.ctx, g, d.train, NULL, &o, NULL));
    o.surgery = true;
    skv_test_fails(d.ctx, skive_prune(d.ctx, g, d.train, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "'w' cannot change");
    skive_graph_free(g);
    close_blobs(&d);
}

/* The floor nobody set is a twentieth of the density, so that it stays out of the way at any sparsity. */
static void floor_sinks_with_the_density(void **state) {
    static const struct {
        double sparsity;
        int64_t least;
    } cases[] = {{0.9, 40}, {0.984375, 7}};
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        skive_graph *g = network(ctx, "mlp:1000");
        skive_prune_options o = skive_prune_options_default();
        skive_prune_report r;
        skive_tensor *w = &skive_graph_find_value(g, "fc1.weight")->storage->tensor;
        for (int64_t k = 0; k < skive_tensor_count(w); k++) ((float *)w->data)[k] *= 1e-6f;
        assert_int_equal(skive_tensor_count(w), 8000);
        o.sparsity = cases[i].sparsity;
        skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &r));
        assert_int_equal(8000 - zeros(g, "fc1.weight"), cases[i].least);
        skive_prune_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void thresholds_are_exact(void **state) {
    skive_context *ctx = skv_test_context();
    float w[3][8];
    skive_prune_report r;
    (void)state;
    for (int i = 0; i < 24; i++) w[i / 8][i % 8] = i % 2 ? 1.0f : 3.0f;
    w[2][7] = -0.5f;
    const struct {
        double threshold, floor;
        int64_t gone;
    } cases[] = {{0, 0, 0}, {0.5, 0, 0}, {0.75, 0, 1}, {1, 0, 1}, {1.0001, 0, 12}, {3.5, 0.2, 24 - 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        skive_graph *g = one_layer(ctx, (const float(*)[8])w);
        skive_prune_options o = skive_prune_options_default();
        o.sparsity = 0;
        o.threshold = cases[i].threshold;
        o.layer_floor = cases[i].floor;
        skive_context_clear_notes(ctx);
        skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &r));
        assert_int_equal(zeros(g, "w"), cases[i].gone);
        assert_int_equal(r.kept, 24 - cases[i].gone);
        assert_true(r.threshold == cases[i].threshold);
        assert_int_equal(skive_context_note_count(ctx), cases[i].floor > 0);
        if (cases[i].floor > 0) assert_non_null(strstr(skive_context_note(ctx, 0), "floor of 5 weights"));
        skive_prune_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* Twelve weights of 1 and twelve of 3: their deviation is 1 about a mean of 2. */
static void deviations_as_threshold(void **state) {
    skive_context *ctx = skv_test_context();
    const double quality[] = {0.99, 1.0, 1.01, 2.99, 3.01};
    const int64_t gone[] = {0, 0, 12, 12, 23};
    float w[3][8];
    (void)state;
    for (int i = 0; i < 24; i++) w[i / 8][i % 8] = i % 2 ? 1.0f : 3.0f;
    for (size_t i = 0; i < 5; i++) {
        skive_graph *g = one_layer(ctx, (const float(*)[8])w);
        skive_prune_options o = skive_prune_options_default();
        o.sparsity = 0;
        o.threshold_std = quality[i];
        skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL));
        assert_int_equal(zeros(g, "w"), gone[i]);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void a_layer_has_its_own_ratio(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int k = 0; k < 3; k++) {
        skive_graph *g = network(ctx, "mlp:16,16");
        skive_prune_options o = skive_prune_options_default();
        skive_prune_report r;
        const skive_prune_ratio ratios[] = {{k ? "fc1.weight" : "fc3.weight", 0.25}, {"fc2.weight", 0.875}};
        o.sparsity = 0.5;
        o.ratios = ratios;
        o.n_ratios = k < 2 ? 1 : 2;
        skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &r));
        const int64_t z[3] = {zeros(g, "fc1.weight"), zeros(g, "fc2.weight"), zeros(g, "fc3.weight")};
        if (k == 0) assert_true(z[2] == 12 && z[0] + z[1] == (128 + 256) / 2);
        if (k == 1) assert_true(z[0] == 32 && z[1] + z[2] == (256 + 48) / 2);
        if (k == 2) assert_true(z[0] == 32 && z[1] == 224 && z[2] == 24);
        for (size_t i = 0; i < 3; i++) assert_int_equal(r.layers[i].count - r.layers[i].kept, z[i]);
        skive_prune_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* log of softmax of three scores over a temperature */
static void log_softmax(const double score[3], double temperature, double out[3]) {
    double sum = 0;
    for (int c = 0; c < 3; c++) sum += exp(score[c] / temperature);
    for (int c = 0; c < 3; c++) out[c] = score[c] / temperature - log(sum);
}

static void scores_of(const float *w, const float *x, double out[3]) {
    for (int c = 0; c < 3; c++) {
        out[c] = 0;
        for (int k = 0; k < 8; k++) out[c] += (double)w[c * 8 + k] * (double)x[k];
    }
}

/* (1 - alpha) cross-entropy + alpha T^2 KL(dense || pruned), mean over all samples. */
static double loss_by_hand(const float *dense, const float *pruned, const char *folder, double alpha, double t) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    skive_tensor x;
    double sum = 0;
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, skv_test_path(path, folder, "x.npy"), &x));
    const int64_t n = x.dims[0];
    for (int64_t i = 0; i < n; i++) {
        double of_teacher[3], of_student[3], p[3], q[3], hard[3];
        scores_of(dense, (const float *)x.data + 8 * i, of_teacher);
        scores_of(pruned, (const float *)x.data + 8 * i, of_student);
        log_softmax(of_teacher, t, p);
        log_softmax(of_student, t, q);
        log_softmax(of_student, 1, hard);
        sum -= (1 - alpha) * hard[i % 3];
        for (int c = 0; c < 3; c++) sum += alpha * t * t * exp(p[c]) * (p[c] - q[c]);
    }
    skive_tensor_free(ctx, &x);
    skv_test_context_end(ctx);
    return sum / (double)n;
}

/* Without learning, the loss reported is that of the pruned model against labels and teacher: nobody, the dense model,
 * another. */
static void a_teacher_teaches(void **state) {
    blobs d = open_blobs();
    float w[3][8], other[3][8], pruned[3][24];
    (void)state;
    for (int i = 0; i < 24; i++) {
        w[i / 8][i % 8] = (float)skv_rng_normal(8, 0, (uint64_t)i);
        other[i / 8][i % 8] = (float)skv_rng_normal(8, 1, (uint64_t)i);
    }
    for (int taught = 0; taught < 3; taught++) {
        skive_graph *g = one_layer(d.ctx, (const float(*)[8])w);
        skive_graph *teacher = taught == 2 ? one_layer(d.ctx, (const float(*)[8])other) : NULL;
        skive_prune_options o = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        o.finetune = &tune;
        skive_prune_report r;
        o.sparsity = 0.5;
        o.distill_alpha = taught ? 0.75 : 0;
        o.teacher = teacher;
        o.temperature = 3;
        tune.epochs = 1;
        tune.batch = 300;
        tune.learning_rate = 0;
        skv_test_ok(d.ctx, skive_prune(d.ctx, g, d.all, NULL, &o, &r));
        assert_int_equal(zeros(g, "w"), 12);
        const double expected =
            loss_by_hand(teacher ? &other[0][0] : &w[0][0], data_of(g, "w"), d.folder, o.distill_alpha, o.temperature);
        assert_true(skv_test_close(r.training.epochs[0].loss, expected, 1e-5, 0));
        skive_prune_report_free(d.ctx, &r);
        skive_graph_free(g);
        /* And one step of learning goes another way. */
        g = one_layer(d.ctx, (const float(*)[8])w);
        tune.learning_rate = 0.1;
        skv_test_ok(d.ctx, skive_prune(d.ctx, g, d.all, NULL, &o, NULL));
        memcpy(pruned[taught], data_of(g, "w"), sizeof pruned[taught]);
        skive_graph_free(g);
        if (teacher) assert_memory_equal(data_of(teacher, "w"), other, sizeof other);
        skive_graph_free(teacher);
    }
    for (int i = 0; i < 24; i++) {
        assert_true((pruned[0][i] == 0) == (pruned[1][i] == 0));
        assert_true((pruned[0][i] == 0) == (pruned[2][i] == 0));
    }
    assert_memory_not_equal(pruned[0], pruned[1], sizeof pruned[0]);
    assert_memory_not_equal(pruned[1], pruned[2], sizeof pruned[0]);
    close_blobs(&d);
}

/* One wrong setting on top of sound ones, and what the message must hold. */
typedef struct mistake {
    const char *message;
    void (*make)(skive_prune_options *o);
} mistake;

#define MISTAKE(name, ...) \
    static void name(skive_prune_options *o) { __VA_ARGS__; }
static const skive_prune_ratio unknown[] = {{"fc7.weight", 0.5}}, outside[] = {{"fc1.weight", 1.0}},
                               not_a_number[] = {{"fc1.weight", NAN}},
                               twice[] = {{"fc1.weight", 0.5}, {"fc1.weight", 0.6}}, whole[] = {{"fc1.bias", 0.5}},
                               nameless[] = {{NULL, 0.5}};
static const char *const first_layer[] = {"fc1.weight"}, *const no_layer[] = {"fc9.weight"};
MISTAKE(nan_threshold, o->sparsity = 0; o->threshold = NAN)
MISTAKE(negative_threshold, o->sparsity = 0; o->threshold = -0.1)
MISTAKE(infinite_threshold, o->sparsity = 0; o->threshold = INFINITY)
MISTAKE(nan_deviations, o->sparsity = 0; o->threshold_std = NAN)
MISTAKE(negative_deviations, o->sparsity = 0; o->threshold_std = -1)
MISTAKE(both, o->threshold = 0.1)
MISTAKE(both_deviations, o->threshold_std = 0.1)
MISTAKE(both_thresholds, o->sparsity = 0; o->threshold = 0.1; o->threshold_std = 0.1)
MISTAKE(gradual_threshold, o->sparsity = 0; o->threshold = 0.1; o->schedule = "cubic")
MISTAKE(lamp_deviations, o->sparsity = 0; o->threshold_std = 1; o->criterion = "lamp")
MISTAKE(unknown_layer, o->ratios = unknown; o->n_ratios = 1)
MISTAKE(bias, o->ratios = whole; o->n_ratios = 1)
MISTAKE(ratio_outside, o->ratios = outside; o->n_ratios = 1)
MISTAKE(ratio_nan, o->ratios = not_a_number; o->n_ratios = 1)
MISTAKE(ratio_twice, o->ratios = twice; o->n_ratios = 2)
MISTAKE(ratio_skipped, o->ratios = twice; o->n_ratios = 1; o->skip = first_layer; o->n_skip = 1)
MISTAKE(ratio_nameless, o->ratios = nameless; o->n_ratios = 1)
MISTAKE(unknown_skip, o->skip = no_layer; o->n_skip = 1)
MISTAKE(no_steps, o->schedule = "iterative"; o->steps = 0)
MISTAKE(unknown_schedule, o->schedule = "weekly")
MISTAKE(floor_above_one, o->layer_floor = 1.5)
MISTAKE(surgery_without_epochs, o->surgery = true; o->finetune = NULL)
MISTAKE(surgery_until_zero, o->surgery = true; o->surgery_until = 0)
MISTAKE(surgery_until_nan, o->surgery = true; o->surgery_until = NAN)
MISTAKE(large_last_step, o->last_step = 1.5)
MISTAKE(nan_last_step, o->last_step = NAN)
MISTAKE(teacher_without_epochs, o->distill_alpha = 0.5; o->finetune = NULL)
MISTAKE(large_alpha, o->distill_alpha = 1.5)
MISTAKE(negative_alpha, o->distill_alpha = -0.5)
MISTAKE(nan_alpha, o->distill_alpha = NAN)
MISTAKE(no_temperature, o->distill_alpha = 0.5; o->temperature = 0)

static const skive_graph *any_teacher; /* set by the test that uses it */
MISTAKE(teacher_without_share, o->teacher = any_teacher)

static void mistakes_are_named(void **state) {
    static const mistake mistakes[] = {{"threshold is nan", nan_threshold},
                                       {"threshold is -0.1", negative_threshold},
                                       {"threshold is inf", infinite_threshold},
                                       {"threshold-std is nan", nan_deviations},
                                       {"threshold-std is -1", negative_deviations},
                                       {"only one of them", both},
                                       {"only one of them", both_deviations},
                                       {"only one of them", both_thresholds},
                                       {"'cubic'", gradual_threshold},
                                       {"'lamp'", lamp_deviations},
                                       {"'fc7.weight'", unknown_layer},
                                       {"'fc1.bias'", bias},
                                       {"sparsity of 'fc1.weight' is 1", ratio_outside},
                                       {"sparsity of 'fc1.weight' is nan", ratio_nan},
                                       {"two sparsities", ratio_twice},
                                       {"excluded by --skip", ratio_skipped},
                                       {"no name", ratio_nameless},
                                       {"'fc9.weight'", unknown_skip},
                                       {"steps is 0", no_steps},
                                       {"weekly", unknown_schedule},
                                       {"layer-floor is 1.5", floor_above_one},
                                       {"no epochs", surgery_without_epochs},
                                       {"surgery-until is 0", surgery_until_zero},
                                       {"surgery-until is nan", surgery_until_nan},
                                       {"last-step is 1.5", large_last_step},
                                       {"last-step is nan", nan_last_step},
                                       {"no epochs", teacher_without_epochs},
                                       {"alpha is 1.5", large_alpha},
                                       {"alpha is -0.5", negative_alpha},
                                       {"alpha is nan", nan_alpha},
                                       {"temperature is 0", no_temperature},
                                       {"its weight in the loss is 0", teacher_without_share}};
    blobs d = open_blobs();
    skive_graph *g = network(d.ctx, "mlp:16");
    (void)state;
    any_teacher = g;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        skive_prune_options o = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        o.finetune = &tune;
        tune.epochs = 1;
        mistakes[i].make(&o);
        skv_test_fails(d.ctx, skive_prune(d.ctx, g, d.train, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, mistakes[i].message);
    }
    assert_int_equal(zeros(g, "fc1.weight") + zeros(g, "fc2.weight"), 0);
    skive_graph_free(g);
    close_blobs(&d);
}

static void a_teacher_of_another_shape_is_refused(void **state) {
    static const struct {
        int rank;
        int64_t width, classes;
        const char *message;
    } cases[] = {{1, 8, 4, "teacher gives 4 scores, but the student 3"},
                 {1, 9, 3, "teacher: "},
                 {3, 8, 3, "takes [8, 4, 4] per sample"}};
    blobs d = open_blobs();
    skive_graph *g = network(d.ctx, "mlp:16");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        skive_graph *teacher = NULL;
        skive_zoo_options zoo = skive_zoo_options_default();
        skive_prune_options o = skive_prune_options_default();
        skive_train_options tune = skive_prune_finetune_default();
        o.finetune = &tune;
        zoo.rank = cases[i].rank;
        zoo.dims[0] = cases[i].width;
        zoo.dims[1] = zoo.dims[2] = 4;
        zoo.classes = cases[i].classes;
        skv_test_ok(d.ctx, skive_zoo_build(d.ctx, "mlp:16", &zoo, &teacher));
        tune.epochs = 1;
        o.distill_alpha = 0.5;
        o.teacher = teacher;
        skv_test_fails(d.ctx, skive_prune(d.ctx, g, d.train, NULL, &o, NULL), i ? SKIVE_ERR_DATA : SKIVE_ERR_SHAPE,
                       cases[i].message);
        skive_graph_free(teacher);
    }
    assert_int_equal(zeros(g, "fc1.weight"), 0);
    skive_graph_free(g);
    close_blobs(&d);
}

static void nonsense_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "mlp:16");
    skive_prune_options o = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    o.finetune = &tune;
    char *before, *after;
    (void)state;
    skv_test_ok(ctx, skive_graph_print(g, &before));
    o.sparsity = 1.5;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "sparsity is 1.5");
    o.sparsity = NAN;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "sparsity");
    o.sparsity = 0.5;
    o.criterion = "beauty";
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "beauty");
    o.criterion = "magnitude";
    tune.epochs = 1;
    skv_test_fails(ctx, skive_prune(ctx, g, NULL, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "training set");
    skv_test_ok(ctx, skive_graph_print(g, &after));
    assert_string_equal(before, after);
    assert_int_equal(zeros(g, "fc1.weight"), 0);
    skive_string_free(ctx, before);
    skive_string_free(ctx, after);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void a_named_layer_is_left_alone(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "mlp:16");
    skive_prune_options o = skive_prune_options_default();
    const char *skip = "fc2.weight";
    skive_prune_report r;
    (void)state;
    o.sparsity = 0.5;
    o.per_layer = true;
    o.skip = &skip;
    o.n_skip = 1;
    skv_test_ok(ctx, skive_prune(ctx, g, NULL, NULL, &o, &r));
    assert_int_equal(zeros(g, "fc1.weight"), 64);
    assert_int_equal(zeros(g, "fc2.weight"), 0);
    assert_non_null(r.layers[1].refused);
    skive_prune_report_free(ctx, &r);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* A student taught by a teacher alone (alpha 1) learns the teacher's classes. */
static void distillation_follows_the_teacher(void **state) {
    skive_context *ctx = skv_test_context();
    char folder[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 8], *before, *after;
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    o.train = &how;
    skive_train_options t = skive_train_options_default();
    skive_eval_report a, b;
    skive_paired_report pair;
    (void)state;
    skv_test_make_dir(folder);
    make_data(folder, spec);
    skive_dataset *train = open_data(ctx, spec, SKIVE_SPLIT_TRAIN),
                  *held_out = open_data(ctx, spec, SKIVE_SPLIT_VALIDATION);
    skive_graph *teacher = network(ctx, "mlp:32"), *student = network(ctx, "mlp:4");
    t.epochs = 15;
    t.batch = 25;
    skv_test_ok(ctx, skive_train(ctx, teacher, train, NULL, &t, NULL, 0, NULL));
    skv_test_ok(ctx, skive_graph_print(teacher, &before));
    o.alpha = 1;
    o.temperature = 3;
    how.epochs = 30;
    how.batch = 25;
    skv_test_ok(ctx, skive_distill(ctx, student, teacher, train, held_out, &o, NULL));
    skv_test_ok(ctx, skive_graph_print(teacher, &after));
    assert_string_equal(before, after);
    skv_test_ok(ctx, skive_evaluate(ctx, teacher, train, 0, &a));
    skv_test_ok(ctx, skive_evaluate(ctx, student, train, 0, &b));
    skv_test_ok(ctx, skive_compare_paired(ctx, &a, &b, &pair));
    assert_true(a.accuracy > 0.85);
    assert_true((double)pair.same_class / (double)pair.n > 0.85);
    o.temperature = 0;
    skv_test_fails(ctx, skive_distill(ctx, student, teacher, train, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "temperature");
    o.temperature = 1;
    o.alpha = 1.01;
    skv_test_fails(ctx, skive_distill(ctx, student, teacher, train, NULL, &o, NULL), SKIVE_ERR_ARGUMENT, "alpha");
    skive_eval_report_free(ctx, &a);
    skive_eval_report_free(ctx, &b);
    skive_string_free(ctx, before);
    skive_string_free(ctx, after);
    skive_graph_free(teacher);
    skive_graph_free(student);
    skive_dataset_free(train);
    skive_dataset_free(held_out);
    skv_test_remove_dir(folder);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(global_mask_by_hand),
        cmocka_unit_test(floors_hold),
        cmocka_unit_test(random_masks_have_the_exact_count),
        cmocka_unit_test(cubic_schedule_by_hand),
        cmocka_unit_test(iterative_schedule_by_hand),
        cmocka_unit_test(lamp_by_hand),
        cmocka_unit_test(lamp_is_its_definition),
        cmocka_unit_test(masks_below_a_threshold),
        cmocka_unit_test(masks_hold_on),
        cmocka_unit_test(zeros_survive_fine_tuning),
        cmocka_unit_test(last_step_gets_its_share),
        cmocka_unit_test(surgery_reaches_its_sparsity_in_few_batches),
        cmocka_unit_test(masked_weights_return),
        cmocka_unit_test(surgery_on_a_frozen_layer_is_refused),
        cmocka_unit_test(floor_sinks_with_the_density),
        cmocka_unit_test(thresholds_are_exact),
        cmocka_unit_test(deviations_as_threshold),
        cmocka_unit_test(a_layer_has_its_own_ratio),
        cmocka_unit_test(a_teacher_teaches),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_teacher_of_another_shape_is_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_named_layer_is_left_alone),
        cmocka_unit_test(distillation_follows_the_teacher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
