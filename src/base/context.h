/* The contents of a context; for src/base and the tests only. */
#ifndef SKV_BASE_CONTEXT_H
#define SKV_BASE_CONTEXT_H

#include "base/base.h"

#define SKV_MESSAGE_SIZE 2048
#define SKV_SUBJECT_SIZE 512
#define SKV_NOTES_MAX    10000

struct skive_context {
    skive_allocator allocator;
    int threads;
    uint64_t seed;
    skive_log_level log_level;
    skive_log_fn log;
    void *log_user;
    skive_progress_fn progress;
    void *progress_user;
    /* Arrays, not pointers: a message must be possible when out of memory. */
    char message[SKV_MESSAGE_SIZE];
    char subject[SKV_SUBJECT_SIZE];
    char **notes;
    size_t note_count, note_capacity;
    /* The last progress report, repeated by skv_check_interrupt. */
    char job[64], job_detail[192];
    double job_done, job_total, job_left, job_time;
    /* Kernels chosen by measuring (skive/choices.h), and what frees them. */
    struct skive_kernel_choices *choices;
    void (*free_choices)(void *choices);
    /* Memory: bytes in use, counted for a context and those made from it for other threads together; see
     * base/budget.c. */
    bool counted, limit_given;
    _Atomic int64_t own_usage, *usage;
    int64_t limit, file_limit, file_start;
};

/* The allocator as it is, without a message on failure. */
void *skv_raw_alloc(skive_context *ctx, size_t size);
void skv_budget_start(skive_context *ctx, bool counted);
bool skv_budget_allows(const skive_context *ctx, size_t bytes);
void skv_budget_count(skive_context *ctx, void *block, bool taken);
skive_status skv_budget_refuse(skive_context *ctx, size_t bytes);
int skv_default_threads(void);
int skv_possible_threads(int wanted); /* 1 to wanted: as many threads as the system allows the process */

#endif
