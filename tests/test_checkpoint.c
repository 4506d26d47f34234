/* Stopping and resuming: a resumed run gives the bits of an uninterrupted one; checkpoints of other runs and damaged
 * ones are refused. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/distill.h>
#include <skive/prune.h>

#include "base/context.h"

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
                bool noted = false;
                for (size_t m = 0; m < skive_context_note_count(ctx); m++)
                    noted = noted || strstr(skive_context_note(ctx, m), "resumed after epoch 2");
                assert_true(noted);
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
    d.train = &o;
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
    skive_train_options tune = skive_prune_finetune_default();
    o.finetune = &tune;
    skive_prune_report report;
    char path[SKV_TEST_PATH], one[SKV_TEST_PATH + 2], two[SKV_TEST_PATH + 2];
    stopper s = {.after = 3};
    (void)state;
    o.schedule = "cubic";
    o.steps = 2;
    o.sparsity = 0.8;
    tune = settings(4, 32);
    skv_test_ok(ctx, skive_prune(ctx, whole, set, NULL, &o, NULL));
    tune.checkpoint = file(path, "prune.ckpt");
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

/* Surgery's dense weights and masks are part of what is restored; the way it was to go on is part of the run. */
static void interrupted_surgery_goes_on(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *held_out = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_graph *g = small_cnn(ctx, true), *whole = small_cnn(ctx, true);
    skive_prune_options o = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    o.finetune = &tune;
    char path[SKV_TEST_PATH];
    stopper s = {.after = 2};
    (void)state;
    o.schedule = "iterative";
    o.criterion = "lamp";
    o.surgery = true;
    o.steps = 4;
    o.sparsity = 0.8;
    o.distill_alpha = 0.5;
    tune = settings(5, 16);
    skv_test_ok(ctx, skive_prune(ctx, whole, set, held_out, &o, NULL));
    tune.checkpoint = file(path, "surgery.ckpt");
    watch(ctx, &s);
    skv_test_fails(ctx, skive_prune(ctx, g, set, held_out, &o, NULL), SKIVE_ERR_INTERRUPTED, "interrupted");
    skive_graph_free(g);
    g = small_cnn(ctx, true);
    const uint64_t before = fingerprint(g);
    s = (stopper){.after = -1};
    o.surgery_until = 0.8;
    skv_test_fails(ctx, skive_prune(ctx, g, set, held_out, &o, NULL), SKIVE_ERR_ARGUMENT, "surgery.ckpt");
    o.surgery_until = 0.75;
    o.distill_alpha = 0.6;
    skv_test_fails(ctx, skive_prune(ctx, g, set, held_out, &o, NULL), SKIVE_ERR_ARGUMENT, "surgery.ckpt");
    assert_true(fingerprint(g) == before);
    o.distill_alpha = 0.5;
    skv_test_ok(ctx, skive_prune(ctx, g, set, held_out, &o, NULL));
    assert_true(fingerprint(g) == fingerprint(whole));
    assert_int_equal(unlink(path), 0);
    skive_graph_free(whole);
    skive_graph_free(g);
    skive_dataset_free(held_out);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resumed_run_gives_the_same_bits),
        cmocka_unit_test(foreign_and_damaged_checkpoints_are_refused),
        cmocka_unit_test(interrupted_pruning_keeps_what_it_has),
        cmocka_unit_test(interrupted_surgery_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
