/* Helpers for tests: contexts whose allocator counts and fails, comparisons of numbers, temporary folders. */
#ifndef SKV_TEST_SUPPORT_H
#define SKV_TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skive/context.h>
#include <skive/tensor.h>

/* A context that counts its blocks. The n-th request after its making fails (1: the first; 0: none does). */
skive_context *skv_test_context(void);
skive_context *skv_test_context_failing(long n);
/* The context's counters: requests made so far, blocks alive (the context itself not counted), whether one failed. */
long skv_test_requests(const skive_context *ctx);
long skv_test_live(const skive_context *ctx);
bool skv_test_failed(const skive_context *ctx);
/* Frees the context; the test fails when a block is still alive. */
void skv_test_context_end(skive_context *ctx);

/* Runs `body` with the n-th allocation failing, for n = 1, 1 + step, 1 + 2 step ... until it gets through without a
 * failure. Each time it must answer ERR_MEMORY with a message (or OK, where it can do without), and leave no block
 * behind. Returns the number of steps. `body` must free all it makes. At most 400 runs, 80 in sanitized builds, which
 * take at least five steps at a time: a body with many allocations is met at fewer of them, evenly. */
typedef skive_status (*skv_test_body)(skive_context *ctx, void *user);
long skv_test_walk_allocations(skv_test_body body, void *user, long step);

/* Built with the address sanitizer, which makes everything ten times slower: what another build has shown to be right
 * is run there for its memory accesses only, with as little data as that takes. */
bool skv_test_sanitized(void);
/* How many of `n` random cases a test tries: all of them, or a fifth in a sanitized build and with SKIVE_FEW_CASES in
 * the environment (under emulators). */
uint64_t skv_test_rounds(uint64_t n);

/* |a - b| <= atol + rtol |b|, both NaN, or the same infinity. */
bool skv_test_close(double a, double b, double rtol, double atol);
/* Fails naming the first element that is not close. */
void skv_test_floats(const float *actual, const float *expected, size_t n, double rtol, double atol);
void skv_test_tensors(const skive_tensor *actual, const skive_tensor *expected, double rtol, double atol);
/* status is OK, or the test fails with the context's message. */
void skv_test_ok(skive_context *ctx, skive_status status);
/* status is `expected` and the message contains `part` (NULL: there is a message) on one line. */
void skv_test_fails(skive_context *ctx, skive_status status, skive_status expected, const char *part);

/* A tensor of uniform numbers in [low, high), the same for the same seed. */
skive_tensor skv_test_random(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims, uint64_t seed,
                             double low, double high);

/* A new folder below $TMPDIR or /tmp, its removal with all it holds, a path in it, and the number of its entries. */
#define SKV_TEST_PATH 512
void skv_test_make_dir(char path[SKV_TEST_PATH]);
void skv_test_remove_dir(const char *path);
const char *skv_test_path(char buffer[SKV_TEST_PATH], const char *folder, const char *name);
int skv_test_dir_entries(const char *path);
void skv_test_write_file(const char *path, const void *bytes, size_t n);

#endif
