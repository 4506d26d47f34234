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

/* Sums of one channel; squares are of differences to the first value, so that nothing cancels. */
typedef struct skv_moments {
    double count, shift, sum, squares, least, most;
} skv_moments;

void skv_moments_add(skv_moments *m, const float *x, size_t n);
void skv_moments_give(const skv_moments *m, double *mean, double *std, double *least, double *most);

/* A sample seen as [outer][channels][inner]. */
typedef struct skv_sample_view {
    size_t outer, channels, inner;
} skv_sample_view;

skv_sample_view skv_view_of(const skive_dataset *ds);

/* An input or a target behind the first, while it is read. */
typedef struct skv_part_pass {
    const skive_dataset *set;
    skive_part_summary *out;
    skv_moments *moments; /* [out->channels] */
    int64_t *labels;      /* [label_size] of the set; NULL: it has none */
    float *values;        /* [target_size]; NULL: there are none */
} skv_part_pass;
/* Lists the parts in out->more; *passes[out->n_more] is freed by skv_parts_free, after a failure too. */
skive_status skv_parts_start(skive_context *ctx, const skive_dataset *ds, skive_split_summary *out,
                             skv_part_pass **passes);
void skv_part_add(skv_part_pass *p, const float *x); /* a sample of an input */
/* The targets of sample `index`; damaged ones are left out. */
skive_status skv_parts_add_targets(skive_context *ctx, const skive_dataset *ds, size_t index, size_t n,
                                   skv_part_pass *passes);
void skv_parts_finish(skive_split_summary *out, const skv_part_pass *passes);
void skv_parts_free(skive_context *ctx, size_t n, skv_part_pass *passes);
void skv_part_summaries_free(skive_context *ctx, skive_split_summary *out);

/* Adds the problems to out. */
skive_status skv_survey_problems(const skv_survey *s);

#endif
