/* The Hessian of a layer's squared error, which is the second moment of its inputs, and what it says of its weights. */
#ifndef SKV_PRUNE_HESSIAN_H
#define SKV_PRUNE_HESSIAN_H

#include "prune/prune.h"

/* The weights of a layer as rows: one for each output channel, of all that it sums over. */
typedef struct skv_rows {
    int64_t rows, d, groups; /* rows are those of `groups` Hessians in turn */
    int64_t row_step, step;  /* element j of row r is at r * row_step + j * step */
} skv_rows;
/* False where the inputs cannot be looked at in this form. */
bool skv_rows_of(const skv_prunable *l, skv_rows *out);

/* One group's: h = m m^T, the inverse of h is u^T u; all [d][d]. */
typedef struct skv_hessian {
    int64_t d;
    double *h, *m, *u;
} skv_hessian;
/* From the numbers of the reducer "moments", with `damping` times the mean of the diagonal added to it. Freed by
 * skv_hessian_free, also after a failure. */
skive_status skv_hessian_make(skive_context *ctx, const skv_numbers *moments, const skv_rows *r, int64_t group,
                              double damping, skv_hessian *out);
void skv_hessian_free(skive_context *ctx, skv_hessian *h);
/* What it costs to set weight j to zero and let the others make up for it, in units of w^2: 1 / [h^-1]_jj. */
double skv_hessian_cost(const skv_hessian *h, int64_t j);
/* The error (v - w)^T h (v - w). */
double skv_hessian_error(const skv_hessian *h, const double *v, const double *w);
/* w[d] becomes the best row that is zero where keep[] is: exactly, or with `sweep` from the first weight to the last,
 * each with those behind it making up for it. `room` has skv_hessian_room bytes. False: not solvable; w is spoilt. */
size_t skv_hessian_room(int64_t d);
bool skv_hessian_fit(const skv_hessian *h, const uint8_t *keep, bool sweep, double *w, double *room);

#endif
