/* Curricula: the orders in which samples join, how many there are in which epoch, and runs with them. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/pack.h>

#include "base/context.h"
#include "train/curriculum.h"

enum { EPOCHS = 6, BATCH = 16, SAMPLES = 220 };

/* With a teacher, which is not freed: it must live as long as what is created. */
static skive_status create(skive_context *ctx, const char *text, const skive_dataset *set, uint64_t seed,
                           skv_growth *out) {
    static const skive_graph nobody;
    const skv_growth_setup setup = {
        .text = text, .set = set, .teacher = &nobody, .seed = seed, .batch = BATCH, .epochs = EPOCHS};
    return skv_growth_create(ctx, &setup, out);
}

static void options_of(skive_context *ctx, const char *text, skv_option_values *out) {
    size_t index;
    skv_test_ok(ctx, skv_family_pick(ctx, &skv_curriculum_family, "curriculum", text, &index, out));
}

static void parts_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    skv_option_values v;
    (void)state;
    options_of(ctx, "random", &v); /* a quarter, all after half of the epochs */
    assert_true(skv_growth_part(&v, 0, 10) == 0.25);
    assert_true(skv_test_close(skv_growth_part(&v, 1, 10), 0.25 + 0.75 / 5, 1e-12, 0));
    assert_true(skv_growth_part(&v, 5, 10) == 1 && skv_growth_part(&v, 9, 10) == 1);
    options_of(ctx, "random:start=0.4,until=0.8,steps=2", &v); /* at epochs 0, 4 and 8 */
    assert_true(skv_test_close(skv_growth_part(&v, 3, 10), 0.4, 1e-12, 0));
    assert_true(skv_test_close(skv_growth_part(&v, 4, 10), 0.7, 1e-12, 0));
    assert_true(skv_test_close(skv_growth_part(&v, 7, 10), 0.7, 1e-12, 0));
    assert_true(skv_growth_part(&v, 8, 10) == 1);
    options_of(ctx, "random:until=0", &v);
    assert_true(skv_growth_part(&v, 0, 10) == 1);
    skv_test_context_end(ctx);
}

/* Every record: all samples once, the same for the same seed, another for another. */
static void orders_are_permutations(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    (void)state;
    for (size_t k = 0; k < skv_curriculum_count(); k++) {
        skv_growth g[3];
        bool seen[SAMPLES] = {false}, differs = false;
        for (uint64_t i = 0; i < 3; i++) skv_test_ok(ctx, create(ctx, skv_curriculum_name(k), set, 5 + i / 2, &g[i]));
        assert_int_equal(g[0].count, SAMPLES);
        for (size_t i = 0; i < SAMPLES; i++) {
            assert_false(seen[g[0].order[i]]);
            seen[g[0].order[i]] = true;
            differs = differs || g[0].order[i] != g[2].order[i];
        }
        assert_memory_equal(g[0].order, g[1].order, SAMPLES * sizeof(uint32_t));
        assert_true(differs);
        assert_int_equal(skv_growth_samples(&g[0], 0), SAMPLES / 4);
        assert_int_equal(skv_growth_before(&g[0], EPOCHS), 3 + 6 + 10 + 3 * 13);
        for (size_t i = 0; i < 3; i++) skv_growth_free(&g[i]);
    }
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* As long as every class has samples left, their numbers differ by one at most. */
static void classes_take_turns(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skv_growth g;
    int64_t label, total[CLASSES] = {0}, n[CLASSES] = {0};
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, set, i, NULL, &label));
        total[label]++;
    }
    skv_test_ok(ctx, create(ctx, "balanced", set, 1, &g));
    for (size_t i = 0; i < SAMPLES; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, set, g.order[i], NULL, &label));
        n[label]++;
        for (int a = 0; a < CLASSES; a++)
            for (int b = 0; b < CLASSES; b++) assert_true(n[a] <= n[b] + 1 || n[b] == total[b]);
    }
    skv_growth_free(&g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- difficulty ---- */

/* Of each class the easiest first, the classes by their shares; ties by number. */
static void difficulty_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skv_curriculum_site site = {.ctx = ctx, .set = set};
    float difficulty[SAMPLES];
    uint32_t order[SAMPLES];
    int64_t label, total[CLASSES] = {0}, n[CLASSES] = {0};
    float last[CLASSES];
    (void)state;
    skive_dataset_get_info(set, &site.info);
    for (size_t i = 0; i < SAMPLES; i++) {
        difficulty[i] = (float)skv_rng_uniform(3, 1, i);
        skv_test_ok(ctx, skive_dataset_read(ctx, set, i, NULL, &label));
        total[label]++;
    }
    skv_test_ok(ctx, skv_curriculum_by_difficulty(&site, difficulty, order));
    for (int c = 0; c < CLASSES; c++) last[c] = -1;
    for (size_t i = 0; i < SAMPLES; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, set, order[i], NULL, &label));
        assert_true(difficulty[order[i]] >= last[label]);
        last[label] = difficulty[order[i]];
        n[label]++;
        for (int c = 0; c < CLASSES; c++) /* every class has its share of what there is so far */
            assert_true(fabs((double)n[c] / (double)total[c] - (double)(i + 1) / SAMPLES) < 0.03);
    }
    /* The two measures, of probabilities 0.5, 0.3, 0.2. */
    const double log_p[3] = {log(0.5), log(0.3), log(0.2)};
    const skv_curriculum *loss = skv_curriculum_find("loss"), *margin = skv_curriculum_find("margin");
    assert_true(skv_test_close(loss->difficulty(log_p, 3, 1), 1.2039728, 1e-6, 0));
    assert_true(skv_test_close(margin->difficulty(log_p, 3, 1), log(0.5 / 0.3), 1e-9, 0));
    assert_true(skv_test_close(margin->difficulty(log_p, 3, 0), log(0.3 / 0.5), 1e-9, 0));
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

typedef struct sums {
    double loss;
    size_t n, next, bad;
} sums;

static void add(void *user, size_t index, const double *log_p, int64_t classes, int64_t label) {
    sums *s = user;
    double all = 0;
    for (int64_t c = 0; c < classes; c++) all += exp(log_p[c]);
    s->bad += fabs(all - 1) > 1e-9 || index != s->next++;
    s->loss -= log_p[label];
    s->n++;
}

/* Their mean loss is that of an evaluation. */
static void probabilities_are_those_of_eval(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *g = small_cnn(ctx, true);
    skive_eval_report r;
    sums s = {0};
    (void)state;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 64, &r));
    skv_test_ok(ctx, skv_log_probabilities(ctx, g, set, add, &s));
    assert_int_equal(s.n, SAMPLES);
    assert_int_equal(s.bad, 0);
    assert_true(skv_test_close(s.loss / SAMPLES, r.loss, 1e-5, 0));
    skive_eval_report_free(ctx, &r);
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- runs ---- */

typedef struct seen {
    int64_t step, at_epoch[EPOCHS + 1], steps;
    int stop_at; /* steps; 0: never */
    bool stop;
} seen;

static void look(void *user, const skive_train_event *e) {
    seen *s = user;
    s->steps = e->steps;
    if (e->kind == SKIVE_TRAIN_EPOCH) s->at_epoch[e->row->epoch] = e->step;
    if (e->kind != SKIVE_TRAIN_STEPS || !s->stop_at || e->step < s->stop_at) return;
    s->stop = true;
    usleep(110000);
}

static int on_progress(void *user, const char *what, const char *detail, double done, double total, double left) {
    (void)what;
    (void)detail;
    (void)done;
    (void)total;
    (void)left;
    return ((seen *)user)->stop;
}

static skive_status train(skive_context *ctx, const skive_train_options *o, uint64_t *bits) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *held_out = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_graph *g = small_cnn(ctx, true);
    const skive_status status = skive_train(ctx, g, set, held_out, o, NULL, 0, NULL);
    *bits = fingerprint(g);
    skive_graph_free(g);
    skive_dataset_free(held_out);
    skive_dataset_free(set);
    return status;
}

/* A model file, and "margin:teacher=FILE". */
static void make_teacher(char *text, size_t size) {
    char path[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    skive_graph *g = small_cnn(ctx, false);
    skv_test_ok(ctx, skive_model_save(ctx, g, file(path, "teacher.onnx")));
    snprintf(text, size, "margin:teacher=%s", path);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* With every curriculum: the epochs are as long as they should be, and a run that is stopped in a short epoch and
 * resumed gives the same bits. */
static void runs_and_resumed_runs(void **state) {
    char path[SKV_TEST_PATH], with_teacher[SKV_TEST_PATH + 32];
    (void)state;
    make_teacher(with_teacher, sizeof with_teacher);
    for (size_t k = 0; k < skv_curriculum_count(); k++) {
        skive_context *ctx = skv_test_context();
        skive_train_options o = settings(EPOCHS, BATCH);
        uint64_t straight, resumed;
        seen s = {.stop_at = 0};
        o.augment = "crop:1";
        o.curriculum = skv_curriculum_at(k)->by_teacher ? with_teacher : skv_curriculum_name(k);
        o.log_every = 1;
        o.observe = look;
        o.observe_user = &s;
        skv_test_ok(ctx, train(ctx, &o, &straight));
        const int64_t ends[EPOCHS + 1] = {0, 3, 9, 19, 32, 45, 58};
        assert_memory_equal(s.at_epoch, ends, sizeof ends);
        assert_int_equal(s.steps, 58);
        s = (seen){.stop_at = 5};
        o.checkpoint = file(path, "grow.ckpt");
        ctx->progress = on_progress;
        ctx->progress_user = &s;
        skv_test_fails(ctx, train(ctx, &o, &resumed), SKIVE_ERR_INTERRUPTED, "interrupted");
        ctx->progress = NULL;
        s.stop_at = 0;
        skv_test_ok(ctx, train(ctx, &o, &resumed));
        assert_true(resumed == straight);
        bool noted = false;
        for (size_t i = 0; i < skive_context_note_count(ctx); i++)
            noted = noted || strstr(skive_context_note(ctx, i), "after epoch 1 and 2 of the 6 steps of epoch 2");
        assert_true(noted);
        /* A longer run would grow otherwise, and is not the same run. */
        o.epochs = EPOCHS + 1;
        skv_test_fails(ctx, train(ctx, &o, &resumed), SKIVE_ERR_ARGUMENT, "another number of epochs");
        o.epochs = EPOCHS;
        o.curriculum = NULL;
        skv_test_fails(ctx, train(ctx, &o, &resumed), SKIVE_ERR_ARGUMENT, "--curriculum");
        assert_int_equal(unlink(path), 0);
        skv_test_context_end(ctx);
    }
}

static void bad_options(void **state) {
    skive_context *ctx = skv_test_context();
    skive_train_options o = settings(1, BATCH);
    uint64_t bits;
    (void)state;
    o.curriculum = "backwards";
    skv_test_fails(ctx, train(ctx, &o, &bits), SKIVE_ERR_ARGUMENT, "backwards");
    o.curriculum = "random:start=0";
    skv_test_fails(ctx, train(ctx, &o, &bits), SKIVE_ERR_ARGUMENT, "start");
    o.curriculum = "margin";
    skv_test_fails(ctx, train(ctx, &o, &bits), SKIVE_ERR_ARGUMENT, "needs a teacher");
    o.curriculum = "margin:teacher=none.onnx";
    skv_test_fails(ctx, train(ctx, &o, &bits), SKIVE_ERR_IO, "none.onnx");
    o.curriculum = "random:until=2";
    skv_test_fails(ctx, train(ctx, &o, &bits), SKIVE_ERR_ARGUMENT, "until");
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_by_hand),
        cmocka_unit_test(orders_are_permutations),
        cmocka_unit_test(classes_take_turns),
        cmocka_unit_test(difficulty_by_hand),
        cmocka_unit_test(probabilities_are_those_of_eval),
        cmocka_unit_test(runs_and_resumed_runs),
        cmocka_unit_test(bad_options),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
