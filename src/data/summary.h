/* What skive_data_summarize collects while it reads, and the problems that it finds in that. */
#ifndef SKV_SUMMARY_H
#define SKV_SUMMARY_H

#include "data/data.h"

/* A sample that was read. */
typedef struct skv_seen {
    uint64_t hash;
    uint32_t index; /* in its split */
    uint16_t split;
    int32_t label; /* -1: none */
} skv_seen;

typedef struct skv_survey {
    skive_context *ctx;
    const skive_dataset *const *sets;
    size_t n;
    skv_seen *seen; /* [n_seen], sorted by hash, then split and index */
    size_t n_seen;
    char (*damage)[512];  /* [n] the message of each split's first damaged sample */
    size_t *first_broken; /* [n] index of the first sample that is not finite */
    skive_data_summary *out;
} skv_survey;

/* Adds the problems to out. */
skive_status skv_survey_problems(const skv_survey *s);

#endif
