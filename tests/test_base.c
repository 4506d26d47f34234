/* The base: status, context, memory, random numbers, hashing, CPU levels, progress, files. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/context.h"
#include "support.h"

static void status_codes_have_names_and_exits(void **state) {
    (void)state;
    assert_string_equal(skive_status_name(SKIVE_OK), "OK");
    assert_int_equal(skive_status_exit(SKIVE_OK), 0);
    assert_string_equal(skive_status_name(SKIVE_ERR_SHAPE), "ERR_SHAPE");
    assert_int_equal(skive_status_exit(SKIVE_ERR_INTERRUPTED), 130);
    assert_string_equal(skive_status_name((skive_status)-999), "ERR_INTERNAL");
    assert_int_equal(skive_status_exit((skive_status)-999), 70);
    assert_true(strlen(skive_status_brief(SKIVE_ERR_GOAL)) > 10);
    assert_true(strchr(skive_version(), '.') != NULL);
}

static void context_options_are_checked(void **state) {
    (void)state;
    skive_context *ctx = NULL;
    skive_context_options o = skive_context_options_default();
    o.threads = -1;
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_ERR_ARGUMENT);
    assert_null(ctx);
    o.threads = 3;
    o.seed = 42;
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_OK);
    assert_int_equal(skive_context_threads(ctx), 3);
    assert_int_equal(skv_threads(ctx), 3);
    assert_int_equal(skive_context_seed(ctx), 42);
    skv_test_fails(ctx, skive_context_set_threads(ctx, -2), SKIVE_ERR_ARGUMENT, "-2");
    assert_string_equal(skive_context_subject(ctx), "threads");
    assert_int_equal(skive_context_threads(ctx), 3);
    assert_int_equal(skive_context_set_threads(ctx, 0), SKIVE_OK);
    assert_true(skive_context_threads(ctx) >= 1);
    skive_context_free(ctx);
    skive_context_free(NULL);

    /* A caller built when the struct ended after `threads`. */
    o.size = offsetof(skive_context_options, threads) + sizeof o.threads;
    o.seed = 99;
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_OK);
    assert_int_equal(skive_context_seed(ctx), 0);
    skive_context_free(ctx);
    o.size = 0;
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_ERR_ARGUMENT);
}

static void *no_memory(void *user, size_t size) {
    (void)user;
    (void)size;
    return NULL;
}

static void never_called(void *user, void *pointer) {
    (void)user;
    fail_msg("a block that nobody made was freed: %p", pointer);
}

static void context_itself_may_find_no_memory(void **state) {
    (void)state;
    skive_context *ctx;
    skive_context_options o = skive_context_options_default();
    o.allocator = (skive_allocator){.alloc = no_memory, .free = never_called};
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_ERR_MEMORY);
    assert_null(ctx);
    o.allocator.free = NULL;
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_ERR_ARGUMENT);
    assert_null(ctx);
}

static void messages_are_one_clean_line(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    assert_string_equal(skive_context_message(ctx), "");
    assert_int_equal(SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "node '%s' has %d", "a\nb\x1b[2J", 3), SKIVE_ERR_SHAPE);
    assert_string_equal(skive_context_message(ctx), "node 'a b?[2J' has 3");
    assert_int_equal(skv_fail_at(ctx, SKIVE_ERR_IO, "x.onnx", "bad"), SKIVE_ERR_IO);
    assert_string_equal(skive_context_subject(ctx), "x.onnx");
    assert_int_equal(skv_fail_prefix(ctx, SKIVE_ERR_FORMAT, "loading %d", 1), SKIVE_ERR_FORMAT);
    assert_string_equal(skive_context_message(ctx), "loading 1: bad");
    assert_string_equal(skive_context_subject(ctx), "x.onnx");
    /* A message made of the message. */
    (void)SKV_FAIL(ctx, SKIVE_ERR_IO, "again: %s", skive_context_message(ctx));
    assert_string_equal(skive_context_message(ctx), "again: loading 1: bad");
    assert_string_equal(skive_context_subject(ctx), "");
    char longer[3 * SKV_MESSAGE_SIZE];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)skv_fail_at(ctx, SKIVE_ERR_IO, longer, "%s", longer);
    assert_int_equal(strlen(skive_context_message(ctx)), SKV_MESSAGE_SIZE - 1);
    assert_string_equal(skive_context_message(ctx) + SKV_MESSAGE_SIZE - 4, "...");
    assert_int_equal(strlen(skive_context_subject(ctx)), SKV_SUBJECT_SIZE - 1);
    (void)skv_fail_prefix(ctx, SKIVE_ERR_IO, "p");
    assert_int_equal(strlen(skive_context_message(ctx)), SKV_MESSAGE_SIZE - 1);
    (void)skv_fail_errno(ctx, "a/b", "open", ENOENT);
    assert_string_equal(skive_context_message(ctx), "a/b: cannot open: No such file or directory");
    skive_context_clear(ctx);
    assert_string_equal(skive_context_message(ctx), "");
    assert_int_equal(skv_fail(NULL, SKIVE_ERR_IO, "nobody hears"), SKIVE_ERR_IO);
    assert_int_equal(skv_test_requests(ctx), 0); /* none of it needed memory */
    skv_test_context_end(ctx);
}

static void notes_are_kept_in_order_and_degrade(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    for (int i = 0; i < 100; i++) skv_note(ctx, "note %d", i);
    assert_int_equal(skive_context_note_count(ctx), 100);
    assert_string_equal(skive_context_note(ctx, 0), "note 0");
    assert_string_equal(skive_context_note(ctx, 99), "note 99");
    assert_string_equal(skive_context_note(ctx, 100), "");
    skive_context_clear_notes(ctx);
    assert_int_equal(skive_context_note_count(ctx), 0);
    skv_note(ctx, "kept to the end"); /* freed with the context */
    skv_test_context_end(ctx);

    for (long n = 1; n <= 4; n++) {
        ctx = skv_test_context_failing(n);
        (void)SKV_FAIL(ctx, SKIVE_ERR_IO, "stays");
        for (int i = 0; i < 20; i++) skv_note(ctx, "note %d", i);
        assert_true(skive_context_note_count(ctx) >= 19 && skive_context_note_count(ctx) < 20);
        assert_string_equal(skive_context_message(ctx), "stays");
        skv_test_context_end(ctx);
    }
}

typedef struct log_seen {
    int lines;
    skive_log_level level;
    char last[256];
} log_seen;

static void remember(void *user, skive_log_level level, const char *line) {
    log_seen *seen = user;
    seen->lines++;
    seen->level = level;
    (void)snprintf(seen->last, sizeof seen->last, "%s", line);
}

static void log_has_levels_and_warns_of_a_wrong_cap(void **state) {
    (void)state;
    log_seen seen = {0};
    skive_context *ctx;
    skive_context_options o = skive_context_options_default();
    o.log = remember;
    o.log_user = &seen;
    o.log_level = SKIVE_LOG_INFO;
    const char *cap = getenv("SKIVE_ISA");
    char *kept = cap ? strdup(cap) : NULL;
    setenv("SKIVE_ISA", "sse9", 1);
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_OK);
    if (kept)
        setenv("SKIVE_ISA", kept, 1);
    else
        unsetenv("SKIVE_ISA");
    free(kept);
    assert_int_equal(seen.lines, 1);
    assert_non_null(strstr(seen.last, "sse9"));
    skv_log(ctx, SKIVE_LOG_DEBUG, "unheard");
    assert_int_equal(seen.lines, 1);
    skv_log(ctx, SKIVE_LOG_ERROR, "two\nlines %d", 7);
    assert_int_equal(seen.lines, 2);
    assert_int_equal(seen.level, SKIVE_LOG_ERROR);
    assert_string_equal(seen.last, "two lines 7");
    skive_context_free(ctx);
}

static void blocks_are_aligned_zeroed_and_checked(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    unsigned char *p;
    uint64_t *a;
    skv_test_ok(ctx, skv_alloc(ctx, 0, &p));
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    skv_free(ctx, p);
    skv_free(ctx, NULL);
    skv_test_ok(ctx, skv_alloc_array(ctx, 9, sizeof *a, &a));
    for (int i = 0; i < 9; i++) {
        assert_int_equal(a[i], 0);
        a[i] = (uint64_t)i + 1;
    }
    skv_test_ok(ctx, skv_grow(ctx, &a, 9, 1000, sizeof *a));
    assert_int_equal((uintptr_t)a % 64, 0);
    for (int i = 0; i < 1000; i++) assert_int_equal(a[i], i < 9 ? i + 1 : 0);
    uint64_t *before = a;
    skv_test_fails(ctx, skv_grow(ctx, &a, 1000, SIZE_MAX / 2, sizeof *a), SKIVE_ERR_MEMORY, "out of memory");
    assert_ptr_equal(a, before);
    skv_free(ctx, a);
    skv_test_fails(ctx, skv_alloc_array(ctx, SIZE_MAX / 4, 8, &a), SKIVE_ERR_MEMORY, "out of memory");
    assert_null(a);
    skv_test_fails(ctx, skv_alloc(ctx, SIZE_MAX, &p), SKIVE_ERR_MEMORY, "out of memory");
    assert_null(p);
    skv_test_context_end(ctx);

    /* The C library's allocator, with odd sizes. */
    skive_context *plain;
    assert_int_equal(skive_context_create(NULL, &plain), SKIVE_OK);
    for (size_t n = 0; n < 200; n += 7) {
        skv_test_ok(plain, skv_alloc(plain, n, &p));
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 1, n);
        skv_free(plain, p);
    }
    skive_context_free(plain);
}

static void strings_and_text(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char *s;
    skv_test_ok(ctx, skv_strdup(ctx, "hello", &s));
    assert_string_equal(s, "hello");
    skv_free(ctx, s);
    skv_test_ok(ctx, skv_strdup_n(ctx, "hello", 2, &s));
    assert_string_equal(s, "he");
    skv_free(ctx, s);
    skv_test_ok(ctx, skv_asprintf(ctx, &s, "%s-%d", "x", 12));
    assert_string_equal(s, "x-12");
    skv_free(ctx, s);
    skv_text t;
    skv_text_init(&t, ctx);
    size_t expected = 0;
    for (int i = 0; i < 500; i++) {
        skv_text_add(&t, "%d,", i);
        expected += i < 10 ? 2 : i < 100 ? 3 : 4;
    }
    skv_test_ok(ctx, t.status);
    assert_int_equal(t.length, expected);
    assert_int_equal(strlen(t.data), expected);
    assert_string_equal(t.data + expected - 8, "498,499,");
    skv_text_free(&t);
    assert_null(t.data);
    skv_test_context_end(ctx);
}

static void arena_pieces_are_apart_zeroed_and_aligned(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skv_arena *arena;
    skv_test_ok(ctx, skv_arena_create(ctx, &arena));
    enum { N = 3000 };
    static unsigned char *piece[N];
    static size_t size[N];
    for (size_t i = 0; i < N; i++) {
        size[i] = (size_t)skv_rng_below(5, 0, i, i % 100 == 0 ? 300000 : 200);
        skv_test_ok(ctx, skv_arena_alloc(arena, size[i], &piece[i]));
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        for (size_t k = 0; k < size[i]; k++) assert_int_equal(piece[i][k], 0);
        memset(piece[i], (int)(i & 255), size[i]);
    }
    size_t sum = 0;
    for (size_t i = 0; i < N; i++) {
        sum += size[i];
        for (size_t k = 0; k < size[i]; k++) {
            if (piece[i][k] != (i & 255)) fail_msg("piece %zu was overwritten", i);
        }
    }
    assert_true(skv_arena_bytes(arena) >= sum);
    assert_true(skv_arena_bytes(arena) < 2 * sum + (2u << 20));
    assert_true(skv_test_live(ctx) < 60); /* far fewer blocks than pieces */
    const char *text;
    skv_test_ok(ctx, skv_arena_strdup(arena, "name", &text));
    assert_string_equal(text, "name");
    skv_test_ok(ctx, skv_arena_strndup(arena, "name", 0, &text));
    assert_string_equal(text, "");
    void *p;
    skv_test_fails(ctx, skv_arena_array(arena, SIZE_MAX / 2, 4, &p), SKIVE_ERR_MEMORY, "out of memory");
    skv_test_fails(ctx, skv_arena_alloc(arena, SIZE_MAX - 20, &p), SKIVE_ERR_MEMORY, "out of memory");
    assert_null(p);
    skv_arena_free(arena);
    skv_arena_free(NULL);
    skv_test_context_end(ctx);
}

static void checked_sizes(void **state) {
    (void)state;
    size_t s;
    int64_t i;
    assert_true(skv_mul_size(1u << 20, 1u << 20, &s) && s == (size_t)1 << 40);
    assert_false(skv_mul_size(SIZE_MAX, 2, &s));
    assert_false(skv_add_size(SIZE_MAX, 1, &s));
    assert_false(skv_mul_i64(INT64_MAX, 2, &i));
    assert_false(skv_add_i64(INT64_MAX, 1, &i));
    assert_int_equal(skv_align_up(65, 64), 128);
    assert_int_equal(skv_align_up(64, 64), 64);
}

static void philox_gives_the_published_numbers(void **state) {
    (void)state;
    /* kat_vectors of Random123: counter, key, result */
    static const struct {
        uint64_t low, high, key;
        uint32_t out[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        skv_philox(known[i].key, known[i].low, known[i].high, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void random_numbers_have_their_distribution(void **state) {
    (void)state;
    enum { N = 200000, BINS = 7 };
    double sum = 0, normal = 0, square = 0, fourth = 0;
    int bins[BINS] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double u = skv_rng_uniform(11, 3, i), z = skv_rng_normal(11, 4, i);
        uint64_t k = skv_rng_below(11, 5, i, BINS);
        assert_true(u >= 0.0 && u < 1.0 && k < BINS);
        sum += u;
        normal += z;
        square += z * z;
        fourth += z * z * z * z;
        bins[k]++;
    }
    /* five standard errors */
    assert_true(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(normal / N) < 5 * sqrt(1.0 / N));
    assert_true(fabs(square / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(fourth / N - 3) < 5 * sqrt(96.0 / N));
    double chi = 0, expected = (double)N / BINS;
    for (int b = 0; b < BINS; b++) chi += (bins[b] - expected) * (bins[b] - expected) / expected;
    assert_true(chi < 30.0); /* 6 degrees of freedom: p < 1e-4 */
    assert_true(skv_rng_below(1, 1, 1, 0) == 0);
    assert_true(skv_rng_below(1, 1, 1, 1) == 0);
    assert_true(skv_rng_uniform(1, 2, 3) == skv_rng_uniform(1, 2, 3));
    assert_true(skv_rng_uniform(1, 2, 3) != skv_rng_uniform(2, 2, 3));
    assert_true(skv_rng_uniform(1, 2, 3) != skv_rng_uniform(1, 3, 3));
}

static void shuffle_is_a_permutation_of_every_order(void **state) {
    (void)state;
    enum { N = 1000 };
    uint32_t items[N];
    bool seen[N] = {false};
    for (uint32_t i = 0; i < N; i++) items[i] = i;
    skv_rng_shuffle(7, 0, items, N);
    int fixed = 0;
    for (uint32_t i = 0; i < N; i++) {
        assert_true(items[i] < N && !seen[items[i]]);
        seen[items[i]] = true;
        if (items[i] == i) fixed++;
    }
    assert_true(fixed < 12);
    /* All six orders of three items, each about as often. */
    int orders[27] = {0};
    for (uint64_t s = 0; s < 6000; s++) {
        uint32_t three[3] = {0, 1, 2};
        skv_rng_shuffle(s, 9, three, 3);
        orders[three[0] * 9 + three[1] * 3 + three[2]]++;
    }
    static const int valid[6] = {5, 7, 11, 15, 19, 21};
    for (int i = 0; i < 6; i++) assert_true(orders[valid[i]] > 850 && orders[valid[i]] < 1150);
    skv_rng_shuffle(1, 1, items, 0);
}

static void hash_gives_the_published_numbers(void **state) {
    (void)state;
    /* computed with libxxhash 0.8.1 over the bytes (7 i + 3) mod 256 */
    static const struct {
        size_t n;
        uint64_t seed, hash;
    } known[] = {
        {0, 0x0, 0xef46db3751d8e999}, {1, 0x0, 0x1f25c8d0bc1f4bb6},  {3, 0x0, 0x31d2363f52e564c9},
        {31, 0x7, 0xf026df0826e345a}, {32, 0x7, 0xd4beade7a0bc724e}, {100, 0xfedcba9876543210, 0xdf6e71b9983faed8},
    };
    unsigned char bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(7 * i + 3);
    assert_true(skv_hash64("abc", 3, 0) == 0x44bc2cf5ad770999u);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_true(skv_hash64(bytes, known[i].n, known[i].seed) == known[i].hash);
    }
}

static void cpu_levels_follow_the_cap(void **state) {
    (void)state;
    skv_isa hardware = skv_cpu_isa_hardware(), level;
    assert_true(hardware >= SKV_ISA_SCALAR && hardware < SKV_ISA_COUNT);
    assert_true(skv_cpu_isa() <= hardware);
    assert_string_equal(skive_cpu_isa_name(), skv_isa_name(skv_cpu_isa()));
    assert_string_equal(skv_isa_name(SKV_ISA_AVX512_VNNI), "avx512_vnni");
    assert_string_equal(skv_isa_name(SKV_ISA_COUNT), "unknown");
    assert_false(skv_isa_parse("avx", &level));
    /* The level is read once, so each cap needs a process of its own. */
    for (int cap = 0; cap < SKV_ISA_COUNT; cap++) {
        char command[256];
        char self[128];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        assert_true(n > 0);
        self[n] = '\0';
        (void)snprintf(command, sizeof command, "SKIVE_ISA=%s '%s' --print-isa", skv_isa_name((skv_isa)cap), self);
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        char line[64] = "";
        assert_non_null(fgets(line, sizeof line, pipe));
        assert_int_equal(pclose(pipe), 0);
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(line, skv_isa_name(skv_isa_has(hardware, (skv_isa)cap) ? (skv_isa)cap : hardware));
    }
}

typedef struct seen_progress {
    int calls, stop_at;
    double done, total, left;
    char what[64], detail[64];
} seen_progress;

static int on_progress(void *user, const char *what, const char *detail, double done, double total, double left) {
    seen_progress *seen = user;
    seen->calls++;
    seen->done = done;
    seen->total = total;
    seen->left = left;
    (void)snprintf(seen->what, sizeof seen->what, "%s", what);
    (void)snprintf(seen->detail, sizeof seen->detail, "%s", detail);
    return seen->calls == seen->stop_at;
}

static void pause_ms(long ms) {
    struct timespec t = {0, ms * 1000000};
    (void)nanosleep(&t, NULL);
}

static void progress_is_rare_estimates_and_stops(void **state) {
    (void)state;
    seen_progress seen = {0};
    skive_context *ctx;
    skive_context_options o = skive_context_options_default();
    o.progress = on_progress;
    o.progress_user = &seen;
    assert_int_equal(skive_context_create(&o, &ctx), SKIVE_OK);
    skv_progress p;
    skv_progress_start(&p, ctx, "train", 1000);
    double start = skv_now();
    for (int i = 1; i <= 1000; i++) skv_test_ok(ctx, skv_progress_at(&p, i, "step %d", i));
    double took = skv_now() - start;
    assert_true(seen.calls >= 2 && seen.calls <= 2 + (int)(took / 0.1) + 1); /* the first and the last */
    assert_true(seen.done == 1000.0 && seen.total == 1000.0 && seen.left == 0.0);
    assert_string_equal(seen.what, "train");
    assert_string_equal(seen.detail, "step 1000");

    skv_progress_start(&p, ctx, "half", 2);
    pause_ms(20);
    skv_test_ok(ctx, skv_progress_at(&p, 1, "one"));
    assert_true(seen.left >= 0.02); /* as long again as it took */

    int before = seen.calls;
    skv_test_ok(ctx, skv_check_interrupt(ctx)); /* too soon to ask again */
    assert_int_equal(seen.calls, before);
    seen.stop_at = seen.calls + 1;
    pause_ms(120);
    skv_test_fails(ctx, skv_check_interrupt(ctx), SKIVE_ERR_INTERRUPTED, "half");
    assert_string_equal(seen.detail, "one");
    seen.stop_at = seen.calls + 1;
    skv_test_fails(ctx, skv_progress_at(&p, 2, "two"), SKIVE_ERR_INTERRUPTED, "half");
    skive_context_free(ctx);

    assert_int_equal(skive_context_create(NULL, &ctx), SKIVE_OK);
    skv_progress_start(&p, ctx, "unheard", 0);
    skv_test_ok(ctx, skv_progress_at(&p, 5, "x"));
    skv_test_ok(ctx, skv_check_interrupt(ctx));
    skive_context_free(ctx);
}

static void files_are_read_whole_and_mapped(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "data");
    enum { N = 100000 };
    static unsigned char bytes[N];
    for (int i = 0; i < N; i++) bytes[i] = (unsigned char)(i * 31 >> 3);
    skv_test_write_file(path, bytes, N);
    void *data;
    size_t size;
    skv_test_ok(ctx, skv_file_read(ctx, path, 0, &data, &size));
    assert_int_equal(size, N);
    assert_memory_equal(data, bytes, N);
    assert_int_equal(((char *)data)[N], 0);
    skv_free(ctx, data);
    skv_test_ok(ctx, skv_file_read(ctx, path, N, &data, &size));
    skv_free(ctx, data);
    skv_test_fails(ctx, skv_file_read(ctx, path, N - 1, &data, &size), SKIVE_ERR_LIMIT, path);
    assert_null(data);
    skv_map *map;
    skv_test_ok(ctx, skv_map_open(ctx, path, &map));
    assert_int_equal(skv_map_size(map), N);
    assert_memory_equal(skv_map_data(map), bytes, N);
    skv_map_retain(map);
    skv_map_release(map);
    assert_int_equal(skv_map_data(map)[N - 1], bytes[N - 1]);
    skv_map_release(map);
    skv_map_release(NULL);

    skv_test_write_file(path, "", 0);
    skv_test_ok(ctx, skv_map_open(ctx, path, &map));
    assert_int_equal(skv_map_size(map), 0);
    assert_non_null(skv_map_data(map));
    skv_map_release(map);
    skv_test_ok(ctx, skv_file_read(ctx, "/proc/self/status", 0, &data, &size)); /* fstat says 0 bytes */
    assert_true(size > 100);
    skv_free(ctx, data);

    skv_test_path(path, dir, "absent");
    skv_test_fails(ctx, skv_file_read(ctx, path, 0, &data, &size), SKIVE_ERR_IO, "No such file");
    assert_string_equal(skive_context_subject(ctx), path);
    skv_test_fails(ctx, skv_map_open(ctx, path, &map), SKIVE_ERR_IO, "No such file");
    skv_test_fails(ctx, skv_file_read(ctx, dir, 0, &data, &size), SKIVE_ERR_IO, "directory");
    skv_test_fails(ctx, skv_map_open(ctx, dir, &map), SKIVE_ERR_IO, "directory");

    /* A pipe that nobody writes to would be waited for without an end; a device may have none. */
    skv_test_path(path, dir, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    skv_test_fails(ctx, skv_file_read(ctx, path, 0, &data, &size), SKIVE_ERR_IO, "it is a pipe");
    skv_test_fails(ctx, skv_map_open(ctx, path, &map), SKIVE_ERR_IO, "it is a pipe");
    assert_int_equal(skv_file_peek(path, bytes, 8), 0);
    skv_test_fails(ctx, skv_file_read(ctx, "/dev/zero", 0, &data, &size), SKIVE_ERR_IO, "it is a device");
    skv_test_fails(ctx, skv_map_open(ctx, "/dev/zero", &map), SKIVE_ERR_IO, "it is a device");
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

static void check_content(const char *path, const char *expected) {
    char text[256] = "";
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

static void writer_replaces_at_once_or_not_at_all(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH], link[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "model.onnx");
    skv_test_ok(ctx, skv_file_write(ctx, path, "old", 3));
    check_content(path, "old");
    assert_int_equal(chmod(path, 0640), 0);
    skv_writer *w;
    skv_test_ok(ctx, skv_writer_open(ctx, path, &w));
    skv_test_ok(ctx, skv_writer_write(w, "new ", 4));
    skv_test_ok(ctx, skv_writer_write(w, "text", 4));
    check_content(path, "old");
    assert_int_equal(skv_test_dir_entries(dir), 2);
    skv_test_ok(ctx, skv_writer_commit(w));
    check_content(path, "new text");
    assert_int_equal(skv_test_dir_entries(dir), 1);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);

    skv_test_ok(ctx, skv_writer_open(ctx, path, &w));
    skv_test_ok(ctx, skv_writer_write(w, "lost", 4));
    skv_writer_abort(w);
    skv_writer_abort(NULL);
    check_content(path, "new text");
    assert_int_equal(skv_test_dir_entries(dir), 1);

    /* A link stays a link. */
    skv_test_path(link, dir, "link");
    assert_int_equal(symlink("model.onnx", link), 0);
    skv_test_ok(ctx, skv_file_write(ctx, link, "by link", 7));
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    check_content(path, "by link");

    /* More than the buffer, in uneven pieces. */
    static unsigned char big[300001];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (unsigned char)(i * 7 >> 4);
    skv_test_ok(ctx, skv_writer_open(ctx, path, &w));
    for (size_t at = 0, k = 1; at < sizeof big; k = k * 3 % 100003) {
        size_t n = k < sizeof big - at ? k : sizeof big - at;
        skv_test_ok(ctx, skv_writer_write(w, big + at, n));
        at += n;
    }
    skv_test_ok(ctx, skv_writer_commit(w));
    void *data;
    size_t size;
    skv_test_ok(ctx, skv_file_read(ctx, path, 0, &data, &size));
    assert_int_equal(size, sizeof big);
    assert_memory_equal(data, big, size);
    skv_free(ctx, data);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

static void touch(const char *dir, const char *name) {
    char path[SKV_TEST_PATH];
    skv_test_path(path, dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fclose(f);
}

/* What a killed writer left is cleared by the next in the folder; what another writes now is not, nor a stranger's
 * file. */
static void writer_clears_what_was_left(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH], other[SKV_TEST_PATH];
    skive_context *ctx = skv_test_context();
    skv_writer *w;
    skv_test_make_dir(dir);
    touch(dir, ".model.onnx.skive-0123456789abcdef.tmp");
    touch(dir, ".model.onnx.skive-0123.tmp");
    skv_test_path(path, dir, "one");
    skv_test_path(other, dir, "other");
    skv_test_ok(ctx, skv_writer_open(ctx, path, &w));
    skv_test_path(other, dir, ".model.onnx.skive-0123456789abcdef.tmp");
    assert_int_not_equal(access(other, F_OK), 0);
    skv_test_path(other, dir, ".model.onnx.skive-0123.tmp");
    assert_int_equal(access(other, F_OK), 0);
    skv_test_path(other, dir, "other");
    skv_test_ok(ctx, skv_writer_write(w, "kept", 4));
    skv_test_ok(ctx, skv_file_write(ctx, other, "x", 1));
    skv_test_ok(ctx, skv_writer_commit(w));
    assert_int_equal(access(path, F_OK), 0);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

static void writer_says_what_is_wrong(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skv_writer *w;
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "absent/model.onnx");
    skv_test_fails(ctx, skv_writer_open(ctx, path, &w), SKIVE_ERR_IO, "there is no folder");
    assert_string_equal(skive_context_subject(ctx), path);
    assert_null(w);
    skv_test_fails(ctx, skv_writer_open(ctx, dir, &w), SKIVE_ERR_IO, "directory");
    skv_test_fails(ctx, skv_writer_open(ctx, "", &w), SKIVE_ERR_IO, "cannot write");
    skv_test_fails(ctx, skv_file_write(ctx, "/proc/skive-test", "x", 1), SKIVE_ERR_IO, "/proc/skive-test");
    /* A device is written directly and stays a device. */
    skv_test_ok(ctx, skv_file_write(ctx, "/dev/null", "x", 1));
    skv_test_fails(ctx, skv_file_write(ctx, "/dev/full", "x", 1), SKIVE_ERR_IO, "No space left");
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));

    /* No room: the old file stands, no temporary one is left. The size limit of the process stands in for a full
     * disk, since it works without a mount. */
    skv_test_path(path, dir, "model.onnx");
    skv_test_ok(ctx, skv_file_write(ctx, path, "old", 3));
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static unsigned char big[200000];
    skive_status status = skv_file_write(ctx, path, big, sizeof big);
    skv_writer *pieces;
    skive_status opened = skv_writer_open(ctx, path, &pieces), written = SKIVE_OK, committed = SKIVE_OK;
    if (opened == SKIVE_OK) {
        for (int i = 0; i < 200 && written == SKIVE_OK; i++) written = skv_writer_write(pieces, big, 1000);
        committed = skv_writer_commit(pieces); /* after a failure it must not replace */
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    skv_test_fails(ctx, status, SKIVE_ERR_IO, "File too large");
    skv_test_ok(ctx, opened);
    assert_int_equal(written, SKIVE_ERR_IO);
    assert_int_equal(committed, SKIVE_ERR_IO);
    check_content(path, "old");
    assert_int_equal(skv_test_dir_entries(dir), 1);

    /* As a user without the right to write here. */
    assert_int_equal(chmod(dir, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
        skive_status denied = skv_file_write(ctx, path, "x", 1);
        _exit(denied == SKIVE_ERR_IO && strstr(skive_context_message(ctx), "denied") ? 0 : 1);
    }
    int exit_status;
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);
    assert_int_equal(chmod(dir, 0755), 0);
    check_content(path, "old");
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

static skive_status everything(skive_context *ctx, void *user) {
    const char *dir = user;
    char path[SKV_TEST_PATH];
    skv_arena *arena = NULL;
    skv_map *map = NULL;
    void *data = NULL;
    char *s = NULL, *f = NULL;
    uint32_t *a = NULL;
    void *piece;
    const char *name;
    size_t size;
    skv_text t;
    skive_status status;
    skv_text_init(&t, ctx);
    skv_test_path(path, dir, "walk");
    SKV_GO(status, done, skv_arena_create(ctx, &arena));
    for (int i = 0; i < 40; i++) SKV_GO(status, done, skv_arena_alloc(arena, 300, &piece));
    SKV_GO(status, done, skv_arena_array(arena, 100000, 3, &piece));
    SKV_GO(status, done, skv_arena_strdup(arena, "n", &name));
    SKV_GO(status, done, skv_strdup(ctx, "text", &s));
    SKV_GO(status, done, skv_asprintf(ctx, &f, "%d", 1));
    SKV_GO(status, done, skv_alloc_array(ctx, 3, sizeof *a, &a));
    SKV_GO(status, done, skv_grow(ctx, &a, 3, 50, sizeof *a));
    for (int i = 0; i < 300; i++) skv_text_add(&t, "%d ", i);
    SKV_GO(status, done, t.status);
    skv_note(ctx, "a note");
    SKV_GO(status, done, skv_file_write(ctx, path, t.data, t.length));
    SKV_GO(status, done, skv_file_read(ctx, path, 0, &data, &size));
    SKV_GO(status, done, skv_map_open(ctx, path, &map));
done:
    if (skv_test_dir_entries(dir) > 1) fail_msg("a temporary file was left behind");
    skv_map_release(map);
    skv_free(ctx, data);
    skv_free(ctx, s);
    skv_free(ctx, f);
    skv_free(ctx, a);
    skv_text_free(&t);
    skv_arena_free(arena);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char dir[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    assert_true(skv_test_walk_allocations(everything, dir, 1) > 20);
    skv_test_remove_dir(dir);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--print-isa") == 0) return puts(skive_cpu_isa_name()) < 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_codes_have_names_and_exits),
        cmocka_unit_test(context_options_are_checked),
        cmocka_unit_test(context_itself_may_find_no_memory),
        cmocka_unit_test(messages_are_one_clean_line),
        cmocka_unit_test(notes_are_kept_in_order_and_degrade),
        cmocka_unit_test(log_has_levels_and_warns_of_a_wrong_cap),
        cmocka_unit_test(blocks_are_aligned_zeroed_and_checked),
        cmocka_unit_test(strings_and_text),
        cmocka_unit_test(arena_pieces_are_apart_zeroed_and_aligned),
        cmocka_unit_test(checked_sizes),
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(random_numbers_have_their_distribution),
        cmocka_unit_test(shuffle_is_a_permutation_of_every_order),
        cmocka_unit_test(hash_gives_the_published_numbers),
        cmocka_unit_test(cpu_levels_follow_the_cap),
        cmocka_unit_test(progress_is_rare_estimates_and_stops),
        cmocka_unit_test(files_are_read_whole_and_mapped),
        cmocka_unit_test(writer_replaces_at_once_or_not_at_all),
        cmocka_unit_test(writer_clears_what_was_left),
        cmocka_unit_test(writer_says_what_is_wrong),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
