/* Helpers for tests; see support.h. */
#include "support.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* clang's OpenMP runtime keeps some memory of its own threads to the end of the process (nested regions of more threads
 * than processors). That skive frees what it allocates is checked by skv_test_context_end besides. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libomp.so\n"; }
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#include "base/context.h"
#include "base/isa.h"
#include "tensor/tensor.h"

typedef struct counters {
    atomic_long requests, live, fail_at;
    atomic_bool failed;
} counters;

static void *counting_alloc(void *user, size_t size) {
    counters *c = user;
    long n = atomic_fetch_add(&c->requests, 1) + 1;
    if (n == atomic_load(&c->fail_at)) {
        atomic_store(&c->failed, true);
        return NULL;
    }
    /* Filled, so that a use of memory nobody has set shows in every build. */
    size_t rounded = skv_align_up(size, 64);
    void *block = aligned_alloc(64, rounded);
    if (block) {
        memset(block, 0xa5, size);
        atomic_fetch_add(&c->live, 1);
    }
    return block;
}

static void counting_free(void *user, void *pointer) {
    counters *c = user;
    atomic_fetch_sub(&c->live, 1);
    free(pointer);
}

static counters *counters_of(const skive_context *ctx) { return ctx->allocator.user; }

skive_context *skv_test_context_failing(long n) {
    counters *c = calloc(1, sizeof *c);
    assert_non_null(c);
    skive_context_options options = skive_context_options_default();
    options.allocator = (skive_allocator){.alloc = counting_alloc, .free = counting_free, .user = c};
    options.seed = 1;
    skive_context *ctx = NULL;
    assert_int_equal(skive_context_create(&options, &ctx), SKIVE_OK);
    atomic_store(&c->requests, 0);
    atomic_store(&c->live, 0);
    atomic_store(&c->fail_at, n);
    return ctx;
}

skive_context *skv_test_context(void) { return skv_test_context_failing(0); }

long skv_test_requests(const skive_context *ctx) { return atomic_load(&counters_of(ctx)->requests); }

long skv_test_live(const skive_context *ctx) { return atomic_load(&counters_of(ctx)->live); }

bool skv_test_failed(const skive_context *ctx) { return atomic_load(&counters_of(ctx)->failed); }

void skv_test_context_end(skive_context *ctx) {
    counters *c = counters_of(ctx);
    skive_context_free(ctx);
    long left = atomic_load(&c->live) + 1; /* the context was freed but never counted */
    free(c);
    if (left != 0) fail_msg("%ld blocks were not freed", left);
}

/* CTest sets the variable where it runs a program once for each level of instructions. The processor's highest is
 * that of the run without a level, and one that it lacks would be a lower one once more. */
__attribute__((constructor)) static void skip_level(void) {
    const char *level = getenv("SKIVE_ISA");
    if (!getenv("SKIVE_LEVEL_ONLY") || !level) return;
    const char *problem = skive_cpu_isa_problem();
    if (!problem && strcmp(level, skv_isa_name(skv_cpu_isa_hardware())) != 0) return;
    puts(problem ? problem : "this is the highest level here, which the test without a level runs");
    exit(77);
}

bool skv_test_sanitized(void) { return SANITIZED; }

uint64_t skv_test_rounds(uint64_t n) { return SANITIZED || getenv("SKIVE_FEW_CASES") ? (n + 4) / 5 : n; }

enum { MOST_WALKS = SANITIZED ? 80 : 400 };

long skv_test_walk_allocations(skv_test_body body, void *user, long step) {
    skive_context *whole = skv_test_context();
    skv_test_ok(whole, body(whole, user));
    const long all = skv_test_requests(whole), least = SANITIZED ? 5 * step : step;
    skv_test_context_end(whole);
    /* An odd step meets the allocations of a loop's rounds in turn. */
    const long apart = all / MOST_WALKS < least ? least : all / MOST_WALKS | 1;
    for (long n = 1;; n += apart) {
        skive_context *ctx = skv_test_context_failing(n);
        skive_status status = body(ctx, user);
        bool failed = skv_test_failed(ctx);
        if (!failed) {
            skv_test_ok(ctx, status);
        } else if (status != SKIVE_OK) {
            if (status != SKIVE_ERR_MEMORY) {
                fail_msg("allocation %ld failed and gave %s: %s", n, skive_status_name(status),
                         skive_context_message(ctx));
            }
            if (!skive_context_message(ctx)[0]) fail_msg("allocation %ld failed without a message", n);
        }
        skv_test_context_end(ctx);
        if (!failed) return (n - 1) / step + 1;
    }
}

bool skv_test_close(double a, double b, double rtol, double atol) {
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b)) return isinf(a) && isinf(b) && signbit(a) == signbit(b);
    return fabs(a - b) <= atol + rtol * fabs(b);
}

void skv_test_floats(const float *actual, const float *expected, size_t n, double rtol, double atol) {
    for (size_t i = 0; i < n; i++) {
        if (!skv_test_close((double)actual[i], (double)expected[i], rtol, atol)) {
            fail_msg("element %zu of %zu is %.9g, expected %.9g", i, n, (double)actual[i], (double)expected[i]);
        }
    }
}

void skv_test_tensors(const skive_tensor *actual, const skive_tensor *expected, double rtol, double atol) {
    char a[SKV_DIMS_TEXT + 16], b[SKV_DIMS_TEXT + 16];
    if (actual->dtype != expected->dtype || !skv_tensor_same_shape(actual, expected)) {
        fail_msg("%s, expected %s", skv_tensor_text(actual, a, sizeof a), skv_tensor_text(expected, b, sizeof b));
    }
    int64_t n = skive_tensor_count(actual);
    for (int64_t i = 0; i < n; i++) {
        double x = skive_tensor_get(actual, i), y = skive_tensor_get(expected, i);
        if (!skv_test_close(x, y, rtol, atol)) {
            fail_msg("element %lld of %s is %.17g, expected %.17g", (long long)i, skv_tensor_text(actual, a, sizeof a),
                     x, y);
        }
    }
}

void skv_test_ok(skive_context *ctx, skive_status status) {
    if (status != SKIVE_OK) fail_msg("%s: %s", skive_status_name(status), skive_context_message(ctx));
}

void skv_test_fails(skive_context *ctx, skive_status status, skive_status expected, const char *part) {
    const char *message = skive_context_message(ctx);
    if (status != expected) {
        fail_msg("gave %s (%s), expected %s", skive_status_name(status), message, skive_status_name(expected));
    }
    if (!message[0] || strchr(message, '\n')) fail_msg("the message is not one line: '%s'", message);
    if (part && !strstr(message, part)) fail_msg("the message '%s' does not say '%s'", message, part);
}

skive_tensor skv_test_random(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims, uint64_t seed,
                             double low, double high) {
    skive_tensor t;
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, rank, dims, &t));
    int64_t n = skive_tensor_count(&t);
    for (int64_t i = 0; i < n; i++) {
        skive_tensor_set(&t, i, low + (high - low) * skv_rng_uniform(seed, 0x7e57, (uint64_t)i));
    }
    return t;
}

void skv_test_make_dir(char path[SKV_TEST_PATH]) {
    const char *base = getenv("TMPDIR");
    (void)snprintf(path, SKV_TEST_PATH, "%s/skive-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void skv_test_remove_dir(const char *path) { assert_int_equal(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0); }

const char *skv_test_path(char buffer[SKV_TEST_PATH], const char *folder, const char *name) {
    int n = snprintf(buffer, SKV_TEST_PATH, "%s/%s", folder, name);
    assert_true(n > 0 && n < SKV_TEST_PATH);
    return buffer;
}

int skv_test_dir_entries(const char *path) {
    int n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) n++;
    }
    (void)closedir(dir);
    return n;
}

void skv_test_write_file(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}
