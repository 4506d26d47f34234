/* What a run writes down: lines of JSON, event files for TensorBoard, and what an observer sees. A resumed run leaves
 * the same lines as one that never stopped. */
#include "train_fixtures.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"
#include "base/endian.h"
#include "train/journal.h"

enum { EPOCHS = 3, BATCH = 16, STEPS = 13 };

static skive_train_options plan(void) {
    skive_train_options o = settings(EPOCHS, BATCH);
    o.augment = "crop:1";
    o.learning_rate = 0.01;
    o.log_every = 5;
    return o;
}

static skive_status train(skive_context *ctx, const skive_train_options *o) {
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN),
                  *held_out = open_data(ctx, blobs, SKIVE_SPLIT_VALIDATION);
    skive_graph *g = small_cnn(ctx, true);
    const skive_status status = skive_train(ctx, g, set, held_out, o, NULL, 0, NULL);
    skive_graph_free(g);
    skive_dataset_free(held_out);
    skive_dataset_free(set);
    return status;
}

/* The whole file with a NUL behind it; *n may be NULL. */
static char *contents(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    const size_t got = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    if (n) *n = got;
    return text;
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

static bool noted(const skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++)
        if (strstr(skive_context_note(ctx, i), part)) return true;
    return false;
}

/* The lines of steps and epochs without what depends on time. */
static void without_time(char *text) {
    static const char *const timed[] = {"seconds", "waited", "samples_per_second", "epoch_seconds"};
    char *to = text;
    for (char *at = text, *end; *at; at = end) {
        end = strchr(at, '\n');
        assert_non_null(end);
        *end++ = '\0';
        if (strncmp(at, "{\"event\":\"steps\"", 16) != 0 && strncmp(at, "{\"event\":\"epoch\"", 16) != 0) continue;
        for (size_t i = 0; i < SKV_COUNT(timed); i++) {
            char key[40];
            snprintf(key, sizeof key, ",\"%s\":", timed[i]);
            char *from = strstr(at, key);
            if (!from) continue;
            char *rest = from + strlen(key);
            rest += strcspn(rest, ",}");
            memmove(from, rest, strlen(rest) + 1);
        }
        const size_t length = strlen(at);
        memmove(to, at, length);
        to += length;
        *to++ = '\n';
    }
    *to = '\0';
}

typedef struct stopper {
    int steps; /* events of steps until the run is stopped; -1: never */
    bool stop;
} stopper;

static int on_progress(void *user, const char *what, const char *detail, double done, double total, double left) {
    (void)what;
    (void)detail;
    (void)done;
    (void)total;
    (void)left;
    return ((stopper *)user)->stop;
}

static void on_event(void *user, const skive_train_event *e) {
    stopper *s = user;
    if (e->kind != SKIVE_TRAIN_STEPS || --s->steps != 0) return;
    s->stop = true;
    usleep(110000);
}

static void a_resumed_run_leaves_the_same_lines(void **state) {
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], c[SKV_TEST_PATH];
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan();
    o.log = file(a, "straight.jsonl");
    skv_test_ok(ctx, train(ctx, &o));
    char *straight = contents(a, NULL);
    assert_int_equal(count(straight, "{\"event\":\"run\""), 1);
    assert_int_equal(count(straight, "{\"event\":\"steps\""), EPOCHS * 3); /* of 5, 5 and 3 steps */
    assert_int_equal(count(straight, "{\"event\":\"epoch\""), EPOCHS);
    assert_int_equal(count(straight, "{\"event\":\"end\""), 1);
    assert_non_null(strstr(straight, "\"lr\":0.01,"));
    assert_non_null(strstr(straight, "\"status\":\"success\",\"reason\":\"all epochs are done\"}\n"));
    /* Stopped in the second epoch, in the middle of a window; then killed while it writes a line. */
    o.log = file(b, "resumed.jsonl");
    o.checkpoint = file(c, "journal.ckpt");
    o.checkpoint_every = "4";
    stopper s = {.steps = 5};
    ctx->progress = on_progress;
    ctx->progress_user = &s;
    o.observe = on_event;
    o.observe_user = &s;
    skv_test_fails(ctx, train(ctx, &o), SKIVE_ERR_INTERRUPTED, "interrupted");
    ctx->progress = NULL;
    o.observe = NULL;
    char *text = contents(b, NULL);
    assert_int_equal(count(text, "\"status\":\"interrupted"), 1);
    char run[17], line[200];
    assert_int_equal(sscanf(text, "{\"event\":\"run\",\"run\":\"%16[0-9a-f]", run), 1);
    free(text);
    FILE *f = fopen(b, "a");
    assert_non_null(f);
    snprintf(line, sizeof line, "{\"event\":\"steps\",\"run\":\"%s\",\"step\":%d,\"epoch\":2,\"loss\":9}\n", run, 30);
    fprintf(f, "%s%.25s", line, line);
    fclose(f);
    skv_test_ok(ctx, train(ctx, &o));
    assert_true(noted(ctx, "removed 1 line of this run from behind step 2"));
    text = contents(b, NULL);
    assert_int_equal(count(text, "{\"event\":\"resume\""), 1);
    assert_int_equal(count(text, "{\"event\":\"run\""), 1);
    without_time(straight);
    without_time(text);
    assert_string_equal(text, straight);
    free(text);
    /* The same settings again, and other settings: lines of the first are replaced, others are added. */
    unlink(c);
    o.checkpoint = o.checkpoint_every = NULL;
    skv_test_ok(ctx, train(ctx, &o));
    assert_true(noted(ctx, "replaced the 14 lines of an earlier run with the same settings"));
    o.learning_rate = 0.02;
    skv_test_ok(ctx, train(ctx, &o));
    text = contents(b, NULL);
    assert_int_equal(count(text, "{\"event\":\"run\""), 2);
    assert_int_equal(count(text, "{\"event\":\"epoch\""), 2 * EPOCHS);
    free(text);
    free(straight);
    unlink(a);
    unlink(b);
    skv_test_context_end(ctx);
}

/* ---- the observer ---- */

typedef struct seen {
    double loss_sum, seconds, epoch_loss;
    int64_t step;
    int runs, epochs, ends;
    size_t bad;
} seen;

static void look(void *user, const skive_train_event *e) {
    seen *s = user;
    s->bad += e->size != sizeof *e || e->seconds < s->seconds || e->waited > e->seconds || e->epochs != EPOCHS ||
              e->steps != EPOCHS * STEPS || e->samples != 220 || e->validation != 20 || strlen(e->run) != 16;
    s->seconds = e->seconds;
    s->runs += e->kind == SKIVE_TRAIN_RUN;
    s->ends += e->kind == SKIVE_TRAIN_END && e->status == SKIVE_OK && e->step == EPOCHS * STEPS && e->epoch == EPOCHS;
    if (e->kind == SKIVE_TRAIN_STEPS) {
        s->loss_sum += e->loss * (double)(e->step - s->step);
        s->step = e->step;
    }
    if (e->kind == SKIVE_TRAIN_EPOCH) {
        s->epochs++;
        s->bad += !skv_test_close(s->loss_sum / STEPS, e->row->loss, 1e-12, 0) || e->row->epoch != s->epochs;
        s->loss_sum = 0;
    }
}

/* The means of the steps, weighted, are the mean of the epoch. */
static void an_observer_sees_all(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan();
    seen s = {0};
    o.observe = look;
    o.observe_user = &s;
    skv_test_ok(ctx, train(ctx, &o));
    assert_int_equal(s.runs, 1);
    assert_int_equal(s.epochs, EPOCHS);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.bad, 0);
    skv_test_context_end(ctx);
}

/* ---- files that cannot be written ---- */

static void foreign_files_are_refused(void **state) {
    char path[SKV_TEST_PATH];
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan();
    o.log = file(path, "thesis.txt");
    skv_test_write_file(path, "chapter 1\n", 10);
    skv_test_fails(ctx, train(ctx, &o), SKIVE_ERR_FORMAT, "thesis.txt: not a log of skive");
    char *text = contents(path, NULL);
    assert_string_equal(text, "chapter 1\n");
    free(text);
    o.log = file(path, "nofolder/log");
    skv_test_fails(ctx, train(ctx, &o), SKIVE_ERR_IO, "nofolder/log");
    o.log = NULL;
    o.tensorboard = file(path, "thesis.txt");
    skv_test_fails(ctx, train(ctx, &o), SKIVE_ERR_IO, "thesis.txt");
    unlink(file(path, "thesis.txt"));
    skv_test_context_end(ctx);
}

/* Training goes on, which is worth more than its log, and a note tells from where on the log is missing. */
static void a_full_disk_ends_the_log_only(void **state) {
    char path[SKV_TEST_PATH];
    struct rlimit before, small;
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan();
    o.log = file(path, "full.jsonl");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4500; /* the first line and a few more */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const skive_status status = train(ctx, &o);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    skv_test_ok(ctx, status);
    assert_true(noted(ctx, "full.jsonl: cannot write: "));
    assert_true(noted(ctx, "it has nothing behind step"));
    size_t n;
    char *text = contents(path, &n);
    assert_true(n > 1000 && n <= 4500 && text[n - 1] == '\n');
    free(text);
    unlink(path);
    skv_test_context_end(ctx);
}

/* ---- TensorBoard ---- */

/* Castagnoli's CRC bit by bit, as RFC 3720 defines it. */
static uint32_t crc32c(const unsigned char *bytes, size_t n) {
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= bytes[i];
        for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ 0x82f63b78u : c >> 1;
    }
    return ~c;
}

static uint32_t masked(const unsigned char *bytes, size_t n) {
    const uint32_t c = crc32c(bytes, n);
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

static uint32_t le32(const unsigned char *b) {
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Checks every record, and counts those of steps and of epochs. */
static void check_events(const char *path, int *steps, int *epochs) {
    size_t n;
    char *text = contents(path, &n);
    const unsigned char *b = (const unsigned char *)text;
    *steps = *epochs = 0;
    for (size_t at = 0; at < n;) {
        assert_true(n - at >= 16);
        assert_int_equal(le32(b + at + 8), masked(b + at, 8));
        const size_t size = (size_t)skv_load_le64(b + at);
        assert_true(size <= n - at - 16);
        assert_int_equal(le32(b + at + 12 + size), masked(b + at + 12, size));
        if (at == 0) assert_non_null(memmem(b + 12, size, "brain.Event:2", 13));
        *steps += memmem(b + at + 12, size, "train/loss", 10) != NULL;
        *epochs += memmem(b + at + 12, size, "epoch/validation_accuracy", 25) != NULL;
        at += 16 + size;
    }
    free(text);
}

static void event_files(void **state) {
    char dir[SKV_TEST_PATH], path[2 * SKV_TEST_PATH], c[SKV_TEST_PATH], id[17] = "", log[SKV_TEST_PATH];
    struct stat st;
    int steps, epochs;
    (void)state;
    assert_int_equal(crc32c((const unsigned char *)"123456789", 9), 0xe3069283u);
    skive_context *ctx = skv_test_context();
    skive_train_options o = plan();
    o.tensorboard = file(dir, "board");
    o.log = file(log, "board.jsonl");
    o.checkpoint = file(c, "board.ckpt");
    stopper s = {.steps = 5};
    ctx->progress = on_progress;
    ctx->progress_user = &s;
    o.observe = on_event;
    o.observe_user = &s;
    skv_test_fails(ctx, train(ctx, &o), SKIVE_ERR_INTERRUPTED, "interrupted");
    ctx->progress = NULL;
    o.observe = NULL;
    char *text = contents(log, NULL);
    assert_int_equal(sscanf(text, "{\"event\":\"run\",\"run\":\"%16[0-9a-f]", id), 1);
    free(text);
    snprintf(path, sizeof path, "%s/train-%s/events.out.tfevents.0.skive", dir, id);
    check_events(path, &steps, &epochs);
    assert_int_equal(steps, 5);
    assert_int_equal(epochs, 1);
    /* Part of a record, as a killed run leaves it. */
    FILE *f = fopen(path, "ab");
    assert_non_null(f);
    fwrite("\x20\0\0\0\0\0\0\0part", 1, 12, f);
    fclose(f);
    skv_test_ok(ctx, train(ctx, &o));
    check_events(path, &steps, &epochs);
    assert_int_equal(steps, 3 * EPOCHS);
    assert_int_equal(epochs, EPOCHS);
    /* An older checkpoint: what lies behind it is removed. */
    unlink(c);
    assert_int_equal(stat(path, &st), 0);
    skv_test_ok(ctx, train(ctx, &o));
    check_events(path, &steps, &epochs);
    assert_int_equal(steps, 3 * EPOCHS);
    assert_true(noted(ctx, "records of an earlier run with the same settings"));
    skv_test_write_file(path, "not records", 11);
    unlink(c);
    skv_test_fails(ctx, train(ctx, &o), SKIVE_ERR_FORMAT, "not an event file of TensorBoard");
    unlink(log);
    skv_test_context_end(ctx);
}

/* Without memory nothing is left behind. */
static skive_status with_journals(skive_context *ctx, void *user) {
    const skive_train_options *o = user;
    skive_dataset *set = NULL;
    skive_graph *g = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    skive_status status = skive_dataset_open(ctx, blobs, &d, &set);
    if (status == SKIVE_OK) {
        skive_context *other = skv_test_context();
        g = small_cnn(other, false);
        status = skive_train(ctx, g, set, NULL, o, NULL, 0, NULL);
        skive_graph_free(g);
        skv_test_context_end(other);
    }
    skive_dataset_free(set);
    return status;
}

static void no_memory(void **state) {
    char dir[SKV_TEST_PATH], log[SKV_TEST_PATH];
    (void)state;
    skive_train_options o = settings(1, 220);
    o.tensorboard = file(dir, "board");
    o.log = file(log, "memory.jsonl");
    assert_true(skv_test_walk_allocations(with_journals, &o, 13) > 3);
    unlink(log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resumed_run_leaves_the_same_lines),
        cmocka_unit_test(an_observer_sees_all),
        cmocka_unit_test(foreign_files_are_refused),
        cmocka_unit_test(a_full_disk_ends_the_log_only),
        cmocka_unit_test(event_files),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
