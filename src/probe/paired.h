/* What a layer reads in two models that run on the same samples: second moments of either and between them, over the
 * same rows that reducer_moments.c takes. */
#ifndef SKV_PROBE_PAIRED_H
#define SKV_PROBE_PAIRED_H

#include "probe/source.h"

typedef struct skv_paired_setup {
    const skive_graph *first, *second; /* in inference mode */
    const char *value;                 /* a float32 value of both, of the same shape */
    const skive_node *node;            /* a convolution of one group that reads it; NULL: rows are its last axis */
    skive_dataset *set;
    int64_t samples;
    uint64_t seed; /* of the order of the samples */
} skv_paired_setup;

/* Means over `rows` rows: x in the first model, y in the second. */
typedef struct skv_paired {
    int64_t d;
    double rows;
    double *xx, *yy, *xy; /* [d][d]; xy: E[x y'] */
    double *x, *y;        /* [d] */
} skv_paired;

/* Runs both models as far as the value. The same bits for any number of threads. Errors: those of skv_source_open;
 * NOT_FOUND, SHAPE (no such value in one of them, or another shape); NUMERIC (a value is not finite). */
skive_status skv_paired_run(skive_context *ctx, const skv_paired_setup *s, skv_paired *out);
void skv_paired_free(skive_context *ctx, skv_paired *p);

#endif
