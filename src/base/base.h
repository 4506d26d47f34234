/* Used by all folders: errors, memory, checked sizes, random numbers, CPU level, log and progress. */
#ifndef SKV_BASE_H
#define SKV_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skive/context.h>
#include <skive/status.h>

#include "base/isa.h"

/* ---- errors ---- */

/* Returns a failing status to the caller. */
#define SKV_TRY(expr)                                            \
    do {                                                         \
        skive_status skv_try_status_ = (expr);                   \
        if (skv_try_status_ != SKIVE_OK) return skv_try_status_; \
    } while (0)

/* The same, but jumps to the function's exit label; `status` is the function's status variable. */
#define SKV_GO(status, label, expr)           \
    do {                                      \
        (status) = (expr);                    \
        if ((status) != SKIVE_OK) goto label; \
    } while (0)

/* Sets the context's message and returns `code`. Usage: return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "%s: ...", name); */
#define SKV_FAIL(ctx, code, ...) skv_fail((ctx), (code), __VA_ARGS__)
skive_status skv_fail(skive_context *ctx, skive_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As skv_fail, naming the node, value, file or option at fault as the subject. */
skive_status skv_fail_at(skive_context *ctx, skive_status code, const char *subject, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Prepends "<prefix>: " to the context's message; returns `code`. */
skive_status skv_fail_prefix(skive_context *ctx, skive_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes `beginning` off the message of a failure, if it begins so. */
void skv_fail_cut(skive_context *ctx, const char *beginning);
/* "no <what> '<given>'; did you mean '...'? There are: ...", the names being name_at(0), name_at(1) ... up to a
 * NULL. */
typedef const char *(*skv_name_at_fn)(size_t index);
skive_status skv_fail_unknown(skive_context *ctx, skive_status code, const char *subject, const char *what,
                              const char *given, skv_name_at_fn name_at);
/* The text of an errno value, in `buffer` or a constant. */
const char *skv_errno_text(int error, char *buffer, size_t size);
/* ERR_IO "<path>: cannot <action>: <reason of errno value>", with the path as the subject. ENOMEM becomes
 * ERR_MEMORY. */
skive_status skv_fail_errno(skive_context *ctx, const char *path, const char *action, int error);
#ifdef __clang_analyzer__
/* The static analyzer sees one file at a time and needs to know that a failure is never SKIVE_OK. */
#define skv_fail(ctx, code, ...)             ((void)(skv_fail)((ctx), (code), __VA_ARGS__), (code))
#define skv_fail_at(ctx, code, subject, ...) ((void)(skv_fail_at)((ctx), (code), (subject), __VA_ARGS__), (code))
#define skv_fail_prefix(ctx, code, ...)      ((void)(skv_fail_prefix)((ctx), (code), __VA_ARGS__), (code))
#define skv_fail_errno(ctx, path, action, error) \
    ((void)(skv_fail_errno)((ctx), (path), (action), (error)), SKIVE_ERR_IO)
#endif

/* ---- arguments of public functions ---- */

/* The first statement of a fallible public function: SKV_NEED(ctx, "graph, out", graph, out) fails with ERR_ARGUMENT
 * when one of the conditions is false, naming the function and the argument at the same position of the list. */
#ifdef __clang_analyzer__ /* which would conclude from each test that the pointer may be NULL after it */
#define SKV_NEED(ctx, names, ...) ((void)0)
#else
#define SKV_NEED(ctx, names, ...)                                           \
    SKV_TRY(skv_need((ctx), __func__, (names), (const bool[]){__VA_ARGS__}, \
                     sizeof((const bool[]){__VA_ARGS__}) / sizeof(bool)))
#endif
skive_status skv_need(skive_context *ctx, const char *function, const char *names, const bool *given, size_t n);

/* Copies a caller's options, whose struct may be older with fewer fields or newer with more, over the defaults in *own,
 * a struct of `size` bytes whose first field is its size. `given` NULL: nothing to do. `what` is the struct's name.
 * Errors: ARGUMENT (the caller's size is not set). */
skive_status skv_options_take(skive_context *ctx, const char *what, const void *given, void *own, size_t size);

/* ---- notes and log ---- */

void skv_note(skive_context *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skv_log(skive_context *ctx, skive_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- memory ---- all blocks are aligned to 64 bytes; size 0 gives a valid pointer ---- */

skive_status skv_alloc(skive_context *ctx, size_t size, void *out_pointer); /* *out is void** of any type */
skive_status skv_alloc_array(skive_context *ctx, size_t count, size_t size, void *out_pointer); /* zeroed, checked */
/* Grows *pointer from old_count to new_count elements, moving it; the new part is zeroed. On failure nothing
 * changes. */
skive_status skv_grow(skive_context *ctx, void *pointer, size_t old_count, size_t new_count, size_t size);
skive_status skv_strdup(skive_context *ctx, const char *text, char **out);
skive_status skv_strdup_n(skive_context *ctx, const char *text, size_t length, char **out);
/* A printf into a new string, freed by skv_free. */
skive_status skv_asprintf(skive_context *ctx, char **out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void skv_free(skive_context *ctx, void *pointer); /* NULL is accepted */

/* Arena: many small pieces with one lifetime. Zeroed memory, aligned to 16. */
typedef struct skv_arena skv_arena;
skive_status skv_arena_create(skive_context *ctx, skv_arena **out);
/* For weights: pieces are 64-aligned and lie in huge pages if the system provides them. */
skive_status skv_arena_create_large(skive_context *ctx, skv_arena **out);
void skv_arena_free(skv_arena *arena);
skive_status skv_arena_alloc(skv_arena *arena, size_t size, void *out_pointer);
skive_status skv_arena_array(skv_arena *arena, size_t count, size_t size, void *out_pointer);
skive_status skv_arena_strdup(skv_arena *arena, const char *text, const char **out);
skive_status skv_arena_strndup(skv_arena *arena, const char *text, size_t length, const char **out);
size_t skv_arena_bytes(const skv_arena *arena);

/* ---- checked sizes: true when the result fits ---- */

static inline bool skv_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool skv_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool skv_mul_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool skv_add_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }
/* For counts, where a negative one (skv_type_count) means that it did not fit. */
static inline int64_t skv_mul_sat(int64_t a, int64_t b) {
    int64_t r;
    return a >= 0 && b >= 0 && skv_mul_i64(a, b, &r) ? r : INT64_MAX;
}
static inline int64_t skv_add_sat(int64_t a, int64_t b) {
    int64_t r;
    return a >= 0 && b >= 0 && skv_add_i64(a, b, &r) ? r : INT64_MAX;
}
static inline size_t skv_align_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* ---- random numbers: Philox4x32-10 (Salmon et al., SC 2011); a pure function of (seed, stream, index) ---- */

void skv_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t out[4]);
double skv_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index);             /* [0, 1) */
double skv_rng_normal(uint64_t seed, uint64_t stream, uint64_t index);              /* mean 0, variance 1 */
uint64_t skv_rng_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n); /* 0 .. n-1, unbiased to 2^-64 */
void skv_rng_shuffle(uint64_t seed, uint64_t stream, uint32_t *items, size_t n);    /* Fisher-Yates in place */
uint64_t skv_hash64(const void *bytes, size_t n, uint64_t seed);
/* XXH32 (Yann Collet) of the four bytes of x, least first: short enough for a loop over weights. */
static inline uint32_t skv_xxh32(uint32_t x, uint32_t seed) {
    uint32_t h = seed + 374761393u + 4u + x * 3266489917u;
    h = (h << 17 | h >> 15) * 668265263u;
    h = (h ^ h >> 15) * 2246822519u;
    h = (h ^ h >> 13) * 3266489917u;
    return h ^ h >> 16;
}

/* ---- threads ---- */
/* A context for one more thread: same allocator and seed, its own messages, one thread, no log and no progress. Freed
 * by skive_context_free before `ctx` is. */
skive_status skv_context_fork(skive_context *ctx, skive_context **out);
int skv_threads(const skive_context *ctx); /* for num_threads(...) of an OpenMP region */

/* ---- time and progress ---- */
double skv_now(void); /* monotonic seconds */

typedef struct skv_progress {
    skive_context *ctx;
    const char *what;
    double total, started, last;
    double done_before; /* done by an earlier run that this one resumes; not used to estimate the speed */
} skv_progress;
void skv_progress_start(skv_progress *p, skive_context *ctx, const char *what, double total);
/* Reports at most ten times a second (always at the end). SKIVE_ERR_INTERRUPTED if the caller requested a stop. */
skive_status skv_progress_at(skv_progress *p, double done, const char *detail_format, ...)
    __attribute__((format(printf, 3, 4)));
/* Has the caller requested a stop? Cheap enough for every step of a loop. */
skive_status skv_check_interrupt(skive_context *ctx);

/* ---- growing strings ---- */
typedef struct skv_text {
    skive_context *ctx;
    char *data; /* NUL-terminated once anything was added */
    size_t length, capacity;
    skive_status status; /* sticky */
} skv_text;
void skv_text_init(skv_text *t, skive_context *ctx);
void skv_text_add(skv_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skv_text_add_escaped(skv_text *t, const char *line); /* a line break as \n, a backslash as \\ */
void skv_text_free(skv_text *t);
/* Notes the text unless a note says just that already, and frees it. Returns its status. */
skive_status skv_text_note_once(skv_text *t);

/* ---- UTF-8 ---- */

/* Is `pattern` the name itself, or a pattern with * ? [ ] that matches it? */
bool skv_name_matches(const char *pattern, const char *name);
/* Length of the longest prefix of `text` of at most `most` bytes that ends between characters: for "%.*s". */
int skv_utf8_prefix(const char *text, size_t most);
void skv_utf8_trim(char *text); /* removes a character that was truncated at the end of a full buffer */
void skv_utf8_mend(char *text); /* bytes that are not UTF-8 become '?' */

/* ---- files ---- */

/* Reads a whole regular file; `limit` 0: of any size. *out is freed by skv_free. ERR_IO names the path and refuses
 * folders, pipes and devices at once. */
skive_status skv_file_read(skive_context *ctx, const char *path, size_t limit, void **out, size_t *out_size);

/* The first bytes of a regular file, up to n of them; 0 when it cannot be read. */
size_t skv_file_peek(const char *path, void *out, size_t n);

/* A regular file that is read at any place, by many threads at once. */
typedef struct skv_reader skv_reader;
skive_status skv_reader_open(skive_context *ctx, const char *path, skv_reader **out);
void skv_reader_close(skv_reader *r); /* NULL is accepted */
const char *skv_reader_path(const skv_reader *r);
uint64_t skv_reader_size(const skv_reader *r); /* when it was opened */
/* Exactly n bytes from `offset` on. Errors: IO, DATA (the file ends before; it may have become shorter). The second
 * one puts messages into another context than the reader's. */
skive_status skv_reader_at(skv_reader *r, uint64_t offset, void *to, size_t n);
skive_status skv_reader_at_with(skive_context *ctx, skv_reader *r, uint64_t offset, void *to, size_t n);

/* A file's bytes in memory, counted, so that parameters may point into them. */
typedef struct skv_map skv_map;
skive_status skv_map_open(skive_context *ctx, const char *path, skv_map **out);
const unsigned char *skv_map_data(const skv_map *map);
/* `bytes` bytes at `from` move down by `by`, over what was in front of them. */
void skv_map_move(skv_map *map, size_t from, size_t bytes, size_t by);
size_t skv_map_size(const skv_map *map);
void skv_map_retain(skv_map *map);
void skv_map_release(skv_map *map);

/* Atomic writing: to a temporary name in the same folder, then fsync, rename, fsync of the folder. Until commit the old
 * file is kept; abort (or free after a failure) removes the temporary one. */
typedef struct skv_writer skv_writer;
skive_status skv_writer_open(skive_context *ctx, const char *path, skv_writer **out);
skive_status skv_writer_write(skv_writer *w, const void *bytes, size_t n);
/* Elements of `width` bytes (1, 2, 4 or 8), n bytes in all, little-endian in the file. */
skive_status skv_writer_write_elements(skv_writer *w, const void *elements, size_t n, size_t width);
skive_status skv_writer_commit(skv_writer *w); /* frees w whatever the outcome */
void skv_writer_abort(skv_writer *w);          /* NULL is accepted */
skive_status skv_file_write(skive_context *ctx, const char *path, const void *bytes, size_t n); /* all of the above */

/* Appending records to a file: each is in it as a whole or not at all. One process at a time. */
typedef struct skv_appender skv_appender;
/* Reads what the file holds, [*n] bytes freed by skv_free; none (NULL) if there is no file, or it is a pipe or
 * device. */
skive_status skv_append_read(skive_context *ctx, const char *path, char **bytes, size_t *n);
/* Opens the file, which then begins with keep[n] (written atomically where `replace`). Errors: IO (also: another
 * process appends to it). */
skive_status skv_append_open(skive_context *ctx, const char *path, bool replace, const void *keep, size_t n,
                             skv_appender **out);
skive_status skv_append_write(skv_appender *a, const void *bytes,
                              size_t n); /* after an IO error the file is as before */
skive_status skv_append_sync(skv_appender *a);
void skv_append_close(skv_appender *a); /* NULL is accepted */

#endif
