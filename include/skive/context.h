/* The context: allocator, threads, seed, log, progress, and the message of the last failure.
 *
 * All objects of skive are created through a context and must be freed before it. A context may be used by one thread
 * at a time; an immutable object created through it (a plan) may be used by many threads, each with a context of its
 * own for the run. */
#ifndef SKIVE_CONTEXT_H
#define SKIVE_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <skive/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_context skive_context;

#define SKIVE_MAX_THREADS 1024

/* The allocator. `alloc` returns at least `size` bytes aligned to 64, or NULL; `free` takes a pointer from `alloc`,
 * never NULL. Both may be called from several threads at once. */
typedef struct skive_allocator {
    void *(*alloc)(void *user, size_t size);
    void (*free)(void *user, void *pointer);
    void *user;
} skive_allocator;

typedef enum skive_log_level { SKIVE_LOG_ERROR, SKIVE_LOG_WARNING, SKIVE_LOG_INFO, SKIVE_LOG_DEBUG } skive_log_level;

/* Receives one line of the log, without a newline. */
typedef void (*skive_log_fn)(void *user, skive_log_level level, const char *line);

/* Progress of a long job: `done` of `total` steps (total 0: unknown). `what` names the job ("train"), `detail` its last
 * figures ("epoch 3/10 loss 0.412"). `seconds_left` is an estimate or negative. Returning non-zero asks the job to
 * stop: it ends with SKIVE_ERR_INTERRUPTED and keeps what it has finished. */
typedef int (*skive_progress_fn)(void *user, const char *what, const char *detail, double done, double total,
                                 double seconds_left);

typedef struct skive_context_options {
    size_t size;               /* sizeof(skive_context_options) */
    skive_allocator allocator; /* alloc NULL: the C library's */
    /* Up to SKIVE_MAX_THREADS; 0: as many as the process may use. If the system does not allow that many, fewer are
     * used and a note says so */
    int threads;
    uint64_t seed;             /* for all random choices that have no seed of their own */
    skive_log_level log_level; /* what goes to `log` */
    skive_log_fn log;          /* NULL: nothing is logged */
    void *log_user;
    skive_progress_fn progress; /* NULL: none */
    void *progress_user;
} skive_context_options;

SKIVE_API skive_context_options skive_context_options_default(void);

/* Creates a context; `options` NULL means the defaults. The caller frees it with skive_context_free (NULL is accepted).
 * Errors: ARGUMENT, MEMORY. */
SKIVE_API skive_status skive_context_create(const skive_context_options *options, skive_context **out);
SKIVE_API void skive_context_free(skive_context *ctx);

/* The message of the last failure through this context ("" if none), and the node, value, file or option it names
 * ("" if none). Borrowed: valid until the next call with this context. */
SKIVE_API const char *skive_context_message(const skive_context *ctx);
SKIVE_API const char *skive_context_subject(const skive_context *ctx);
SKIVE_API void skive_context_clear(skive_context *ctx);

/* Notes: what a method did, assumed or left out and the caller should know, oldest first. Borrowed until the next
 * skive_context_clear_notes. */
SKIVE_API size_t skive_context_note_count(const skive_context *ctx);
SKIVE_API const char *skive_context_note(const skive_context *ctx, size_t index);
SKIVE_API void skive_context_clear_notes(skive_context *ctx);

SKIVE_API int skive_context_threads(const skive_context *ctx);
SKIVE_API skive_status skive_context_set_threads(skive_context *ctx, int threads);
SKIVE_API uint64_t skive_context_seed(const skive_context *ctx);
SKIVE_API void skive_context_set_seed(skive_context *ctx, uint64_t seed);

/* The name of the instruction set level in use ("avx512_vnni"); the environment variable SKIVE_ISA lowers it to one of
 * scalar, avx2, avx512, avx512_vnni, avx512_bf16, amx on x86-64, and of scalar, neon, dotprod, i8mm on AArch64. */
SKIVE_API const char *skive_cpu_isa_name(void);

/* The error in the environment variable SKIVE_ISA, which then has no effect, or NULL. Static. */
SKIVE_API const char *skive_cpu_isa_problem(void);

/* NULL, or in one line what this processor lacks that the library was compiled to use everywhere (-march=... of whoever
 * built it). skive_context_create fails then with SKIVE_ERR_UNSUPPORTED. */
SKIVE_API const char *skive_cpu_problem(void);

/* The one of the n names (NULLs are skipped) that is most likely meant by the misspelt `given`; NULL if none is
 * close. */
SKIVE_API const char *skive_nearest_name(const char *given, const char *const *names, size_t n);

/* Writes n bytes as a file, replacing an existing one atomically. Errors: IO, MEMORY. */
SKIVE_API skive_status skive_file_write(skive_context *ctx, const char *path, const void *bytes, size_t n);

SKIVE_API const char *skive_version(void);

/* The version of the oneDNN library in use ("2.6.3"), which runs float32 convolutions; NULL if skive was built without
 * it and they run on skive's own kernels. Static. */
SKIVE_API const char *skive_onednn_version(void);

#ifdef __cplusplus
}
#endif
#endif
