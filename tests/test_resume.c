/* Checkpoints within epochs: a run that is killed at any moment and resumed gives the bits of one that was not; a disk
 * that fills leaves the checkpoint before; options that make no sense are refused. */
#include "train_fixtures.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/context.h"

enum { EPOCHS = 5, BATCH = 16, STEPS = 13 }; /* of an epoch: 220 training samples without the held out */

static skive_train_options plan(size_t optimizer) {
    skive_train_options o = settings(EPOCHS, BATCH);
    o.optimizer = skv_optimizer_at(optimizer)->name;
    o.schedule = "cosine";
    o.augment = "crop:1,flip";
    o.learning_rate = 0.01;
    o.clip_norm = 1;
    return o;
}

/* Trains the model with dropout and gives its bits; 0 when the run failed. */
static uint64_t train(skive_context *ctx, const skive_train_options *o, skive_status *status) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *held_out = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_graph *g = small_cnn(ctx, true);
    *status = skive_train(ctx, g, set, held_out, o, NULL, 0, NULL);
    const uint64_t bits = *status == SKIVE_OK ? fingerprint(g) : 0;
    skive_graph_free(g);
    skive_dataset_free(held_out);
    skive_dataset_free(set);
    return bits;
}

/* In a process of its own, which writes its bits as text to the file `name` when it comes to the end. */
static pid_t start(const skive_train_options *o, const char *name) {
    char path[SKV_TEST_PATH];
    const pid_t child = fork();
    if (child != 0) return child;
    skive_context *ctx = NULL;
    skive_status status = skive_context_create(NULL, &ctx);
    if (status != SKIVE_OK) _exit(1);
    const uint64_t bits = train(ctx, o, &status);
    FILE *f = status == SKIVE_OK ? fopen(file(path, name), "w") : NULL;
    if (status != SKIVE_OK) fprintf(stderr, "%s\n", skive_context_message(ctx));
    if (!f) _exit(1);
    fprintf(f, "%016llx", (unsigned long long)bits);
    fclose(f);
    _exit(0);
}

/* True when the process came to its end by itself. */
static bool ended(pid_t child) {
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (WIFSIGNALED(how)) {
        assert_int_equal(WTERMSIG(how), SIGKILL);
        return false;
    }
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    return true;
}

static void read_text(const char *name, char text[17]) {
    char path[SKV_TEST_PATH];
    FILE *f = fopen(file(path, name), "r");
    assert_non_null(f);
    assert_non_null(fgets(text, 17, f));
    fclose(f);
}

/* Killed without warning at random moments, also while the checkpoint is being written: with one on each step, most of
 * the time of this small network goes into that. The last run also clears away what the killed ones left. */
static void killed_at_any_moment(void **state) {
    char straight[17], text[17], path[SKV_TEST_PATH];
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        skive_train_options o = plan(k);
        const double started = skv_now();
        assert_true(ended(start(&o, "straight")));
        read_text("straight", straight);
        o.checkpoint = file(path, "killed.ckpt");
        o.checkpoint_every = "1";
        double most = 2 * (skv_now() - started); /* seconds before a kill */
        int kills = 0;
        bool done = false;
        for (uint64_t round = 0; !done; round++) {
            const pid_t child = start(&o, "resumed");
            assert_true(child > 0);
            if (round < 12) usleep((useconds_t)(1e6 * most * skv_rng_uniform(7 + k, 1, round)));
            if (round < 12) kill(child, SIGKILL);
            done = ended(child);
            kills += !done;
        }
        assert_true(kills > 0);
        read_text("resumed", text);
        assert_string_equal(text, straight);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(skv_test_dir_entries(folder), 6); /* the data, and the two texts */
    }
}

/* ---- interruption ---- */

typedef struct stopper {
    double at; /* steps */
    const char *during;
    bool stopped;
} stopper;

static int on_progress(void *user, const char *what, const char *detail, double done, double total, double left) {
    stopper *s = user;
    (void)detail;
    (void)total;
    (void)left;
    usleep(110000); /* progress is reported ten times a second: so every step reports */
    s->stopped = s->stopped || (strcmp(what, s->during) == 0 && done >= s->at);
    return s->stopped;
}

static bool noted(const skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        if (strstr(skive_context_note(ctx, i), part)) return true;
    return false;
}

/* An interrupted run goes on from the step that it reached, not from the last epoch, also without an interval. */
static void interrupted_within_an_epoch(void **state) {
    char path[SKV_TEST_PATH];
    skive_status status;
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan(0);
    const uint64_t straight = train(ctx, &o, &status);
    skv_test_ok(ctx, status);
    o.checkpoint = file(path, "stop.ckpt");
    ctx->progress = on_progress;
    stopper s = {.at = STEPS + 4, .during = "train"};
    ctx->progress_user = &s;
    (void)train(ctx, &o, &status);
    skv_test_fails(ctx, status, SKIVE_ERR_INTERRUPTED, "interrupted");
    ctx->progress = NULL;
    o.checkpoint = NULL;
    o.resume = path;
    assert_true(train(ctx, &o, &status) == straight);
    skv_test_ok(ctx, status);
    assert_true(noted(ctx, "resumed after epoch 1 and 4 of the 13 steps of epoch 2"));
    /* A finished run has nothing left to do. */
    assert_true(train(ctx, &o, &status) == straight);
    assert_true(noted(ctx, "all 5 epochs are done"));
    assert_int_equal(unlink(path), 0);
    skv_test_context_end(ctx);
}

/* Between the last step of an epoch and its end: only validation is repeated. */
static void interrupted_in_validation(void **state) {
    char path[SKV_TEST_PATH];
    skive_status status;
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan(1);
    const uint64_t straight = train(ctx, &o, &status);
    o.checkpoint = file(path, "validation.ckpt");
    ctx->progress = on_progress;
    stopper s = {.at = 1, .during = "evaluate"};
    ctx->progress_user = &s;
    (void)train(ctx, &o, &status);
    skv_test_fails(ctx, status, SKIVE_ERR_INTERRUPTED, "interrupted during evaluate");
    ctx->progress = NULL;
    assert_true(train(ctx, &o, &status) == straight);
    assert_true(noted(ctx, "resumed after epoch 0 and 13 of the 13 steps of epoch 1"));
    assert_int_equal(unlink(path), 0);
    skv_test_context_end(ctx);
}

/* ---- a full disk ---- */

static long size_of(const char *path) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long n = ftell(f);
    fclose(f);
    return n;
}

/* The limit on the size of files stands for a full disk: writing fails in the middle. */
static void a_full_disk_keeps_the_checkpoint_before(void **state) {
    char path[SKV_TEST_PATH];
    struct rlimit before, small;
    skive_status status;
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan(0);
    const uint64_t straight = train(ctx, &o, &status);
    o.checkpoint = file(path, "full.ckpt");
    o.checkpoint_every = "5";
    ctx->progress = on_progress;
    stopper s = {.at = 7, .during = "train"};
    ctx->progress_user = &s;
    (void)train(ctx, &o, &status);
    skv_test_fails(ctx, status, SKIVE_ERR_INTERRUPTED, "interrupted");
    ctx->progress = NULL;
    const long whole = size_of(path);
    const int entries = skv_test_dir_entries(folder);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = (rlim_t)whole / 2;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    (void)train(ctx, &o, &status);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    skv_test_fails(ctx, status, SKIVE_ERR_IO, "full.ckpt");
    assert_int_equal(size_of(path), whole);
    assert_int_equal(skv_test_dir_entries(folder), entries);
    assert_true(train(ctx, &o, &status) == straight);
    assert_true(noted(ctx, "7 of the 13 steps of epoch 1"));
    assert_int_equal(unlink(path), 0);
    skv_test_context_end(ctx);
}

/* ---- options ---- */

static void options_are_checked(void **state) {
    static const char *const bad[] = {"", "0", "m", "-5m", "5 m", "2.5", "5min", "1e20", "nan", "infs", "0s"};
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    skive_status status;
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan(0);
    o.epochs = 1;
    o.resume = file(a, "none.ckpt");
    (void)train(ctx, &o, &status);
    skv_test_fails(ctx, status, SKIVE_ERR_IO, "none.ckpt: there is no such checkpoint to resume from");
    o.checkpoint = file(b, "other.ckpt");
    (void)train(ctx, &o, &status);
    skv_test_fails(ctx, status, SKIVE_ERR_ARGUMENT, "other.ckpt: give one of the two");
    o.resume = NULL;
    for (size_t i = 0; i < SKV_COUNT(bad); i++) {
        o.checkpoint_every = bad[i];
        (void)train(ctx, &o, &status);
        skv_test_fails(ctx, status, SKIVE_ERR_ARGUMENT,
                       "it must be a time such as 90s, 5m or 2h, or a number of steps");
    }
    o.checkpoint = NULL;
    o.checkpoint_every = "5m";
    (void)train(ctx, &o, &status);
    skv_test_fails(ctx, status, SKIVE_ERR_ARGUMENT, "needs the name of the file");
    assert_int_equal(access(b, F_OK), -1);
    skv_test_context_end(ctx);
}

/* The interval is one of time or of steps, counted from the checkpoint before. */
static void when_a_checkpoint_is_due(void **state) {
    skive_train_options o = plan(0);
    (void)state;
    o.checkpoint = "x";
    skv_saving s = skv_saving_of(&o);
    assert_false(skv_saving_due(&s, 1000));
    o.checkpoint_every = "20";
    s = skv_saving_of(&o);
    s.last_step = 7;
    assert_false(skv_saving_due(&s, 26));
    assert_true(skv_saving_due(&s, 27));
    o.checkpoint_every = "1.5h";
    s = skv_saving_of(&o);
    assert_true(s.seconds == 5400 && s.steps == 0);
    s.last_time = skv_now() - 5399;
    assert_false(skv_saving_due(&s, 1000));
    s.last_time -= 2;
    assert_true(skv_saving_due(&s, 1));
    o.checkpoint = NULL;
    s = skv_saving_of(&o);
    assert_false(skv_saving_due(&s, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment), /* first: it forks, which must not follow a parallel region */
        cmocka_unit_test(interrupted_within_an_epoch),
        cmocka_unit_test(interrupted_in_validation),
        cmocka_unit_test(a_full_disk_keeps_the_checkpoint_before),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(when_a_checkpoint_is_due),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
