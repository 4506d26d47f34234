/* The context: allocator, threads, seed, log, progress, and the message of the last failure.
 *
 * Everything skive makes is made through a context and must be freed before it. A context may be used by one thread at
 * a time; an immutable object made through it (a plan) may be used from many threads, each with a context of its own
 * for the run. */
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

/* Where memory comes from. `alloc` returns at least `size` bytes aligned to 64, or NULL; `free` takes what `alloc`
 * gave and never NULL. Both may be called from several threads at once. */
typedef struct skive_allocator {
    void *(*alloc)(void *user, size_t size);
    void (*free)(void *user, void *pointer);
    void *user;
} skive_allocator;

typedef enum skive_log_level { SKIVE_LOG_ERROR, SKIVE_LOG_WARNING, SKIVE_LOG_INFO, SKIVE_LOG_DEBUG } skive_log_level;

/* One line of log, without a newline. */
typedef void (*skive_log_fn)(void *user, skive_log_level level, const char *line);

/* A long job at `done` of `total` steps (total 0: unknown). `what` names the job ("train"), `detail` its last figures
 * ("epoch 3/10 loss 0.412"). `seconds_left` is an estimate or negative. Returning non-zero asks the job to stop: it
 * ends with SKIVE_ERR_INTERRUPTED and loses nothing it had finished. */
typedef int (*skive_progress_fn)(void *user, const char *what, const char *detail, double done, double total,
                                 double seconds_left);

typedef struct skive_context_options {
    size_t size;               /* sizeof(skive_context_options) */
    skive_allocator allocator; /* alloc NULL: the C library's */
    int threads;               /* up to SKIVE_MAX_THREADS; 0: as many as the process may use. Where the system does
                                * not let the process have so many, there are fewer, and a note says so */
    uint64_t seed;             /* of every random choice that has no seed of its own */
    skive_log_level log_level; /* what goes to `log` */
    skive_log_fn log;          /* NULL: nothing is logged */
    void *log_user;
    skive_progress_fn progress; /* NULL: none */
    void *progress_user;
} skive_context_options;

SKIVE_API skive_context_options skive_context_options_default(void);

/* Makes a context; `options` NULL means the defaults. The caller frees it with skive_context_free (NULL is accepted).
 * Errors: ARGUMENT, MEMORY. */
SKIVE_API skive_status skive_context_create(const skive_context_options *options, skive_context **out);
SKIVE_API void skive_context_free(skive_context *ctx);

/* The message of the last failure through this context ("" if none), and the node, value, file or option it names
 * ("" if none). Borrowed: valid until the next call with this context. */
SKIVE_API const char *skive_context_message(const skive_context *ctx);
SKIVE_API const char *skive_context_subject(const skive_context *ctx);
SKIVE_API void skive_context_clear(skive_context *ctx);

/* Notes: what a method did or declined to do that its caller should hear of, oldest first. Borrowed until the next
 * skive_context_clear_notes. */
SKIVE_API size_t skive_context_note_count(const skive_context *ctx);
SKIVE_API const char *skive_context_note(const skive_context *ctx, size_t index);
SKIVE_API void skive_context_clear_notes(skive_context *ctx);

SKIVE_API int skive_context_threads(const skive_context *ctx);
SKIVE_API skive_status skive_context_set_threads(skive_context *ctx, int threads);
SKIVE_API uint64_t skive_context_seed(const skive_context *ctx);
SKIVE_API void skive_context_set_seed(skive_context *ctx, uint64_t seed);

/* The name of the instruction set level in use ("avx512_vnni"); the environment variable SKIVE_ISA lowers it to one of
 * scalar, avx2, avx512, avx512_vnni, avx512_bf16, amx. */
SKIVE_API const char *skive_cpu_isa_name(void);

/* NULL, or what is wrong with the environment variable SKIVE_ISA, which then has no effect. Static. */
SKIVE_API const char *skive_cpu_isa_problem(void);

/* NULL, or in one line what this processor lacks that the library was compiled to use everywhere (-march=... of whoever
 * built it). skive_context_create fails then with SKIVE_ERR_UNSUPPORTED. */
SKIVE_API const char *skive_cpu_problem(void);

/* That of the n names (NULLs are passed over) which a person who wrote `given` may have meant; NULL: none is near. */
SKIVE_API const char *skive_nearest_name(const char *given, const char *const *names, size_t n);

/* Writes n bytes as a file that replaces the one there at once or not at all. Errors: IO, MEMORY. */
SKIVE_API skive_status skive_file_write(skive_context *ctx, const char *path, const void *bytes, size_t n);

SKIVE_API const char *skive_version(void);

/* The version of the oneDNN library in use ("2.6.3"), which runs float32 convolutions; NULL when skive was built without
 * it and they run on skive's own kernels. Static. */
SKIVE_API const char *skive_onednn_version(void);

#ifdef __cplusplus
}
#endif
#endif
