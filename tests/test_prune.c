/* Pruning: exact counts, floors, ties, schedules, masks held through fine-tuning; distillation's loss and its failures. */
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

static void zeros_survive_fine_tuning(void **state) {
    skive_context *ctx = skv_test_context();
    char folder[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 8];
    skive_prune_options o = skive_prune_options_default();
    skive_prune_report r;
    (void)state;
    skv_test_make_dir(folder);
    make_data(folder, spec);
    skive_dataset *train = open_data(ctx, spec, SKIVE_SPLIT_TRAIN),
                  *validation = open_data(ctx, spec, SKIVE_SPLIT_VALIDATION);
    static const char *const schedules[] = {"one-shot", "cubic"};
    static const char *const optimizers[] = {"sgd", "adamw"};
    for (int k = 0; k < 4; k++) {
        skive_graph *g = network(ctx, "mlp:16,16");
        o.schedule = schedules[k / 2];
        o.finetune.optimizer = optimizers[k % 2];
        o.finetune.epochs = 6;
        o.finetune.batch = 32;
        o.finetune.learning_rate = 0.02;
        o.finetune.weight_decay = 0.01;
        o.sparsity = 0.75;
        o.steps = 3;
        skv_test_ok(ctx, skive_prune(ctx, g, train, validation, &o, &r));
        assert_int_equal(r.count, 8 * 16 + 16 * 16 + 16 * 3);
        assert_int_equal(r.kept, r.count / 4);
        assert_int_equal(r.n_layers, 3);
        int64_t found = 0;
        for (size_t i = 0; i < r.n_layers; i++) {
            assert_int_equal(zeros(g, r.layers[i].parameter), r.layers[i].count - r.layers[i].kept);
            found += zeros(g, r.layers[i].parameter);
        }
        assert_int_equal(found, r.count - r.kept);
        assert_true(r.training.n_epochs > 0);
        skive_prune_report_free(ctx, &r);
        skive_graph_free(g);
    }
    skive_dataset_free(validation);
    skive_dataset_free(train);
    skv_test_remove_dir(folder);
    skv_test_context_end(ctx);
}

static void nonsense_is_refused(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = network(ctx, "mlp:16");
    skive_prune_options o = skive_prune_options_default();
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
    o.finetune.epochs = 1;
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
    o.train.epochs = 30;
    o.train.batch = 25;
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
        cmocka_unit_test(zeros_survive_fine_tuning),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_named_layer_is_left_alone),
        cmocka_unit_test(distillation_follows_the_teacher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
