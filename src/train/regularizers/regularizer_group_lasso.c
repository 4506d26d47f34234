/* group-lasso:LAMBDA. The penalty LAMBDA sqrt(n) |w| of the norm of each channel's n weights (Yuan & Lin 2006), over
 * all slices that would be removed with it, as in DepGraph (Fang and others 2023). Behind each update its proximal
 * step: the norm shrinks by rate LAMBDA sqrt(n), and a channel whose norm is smaller becomes exactly zero. A weight
 * between two layers belongs to a channel of each, so that the steps of the channels are made one after the other, in
 * their order. */
#include <math.h>

#include "train/regularizer.h"

static const skv_option options[] = {
    {.name = "lambda", .type = SKV_OPTION_REAL, .most = 1e6, .required = true, .brief = "weight of the penalty"},
};

static skive_status applied(skv_regularizing *r, const skv_step *step) {
    const double by = step->rate * skv_option_real(&r->values, "lambda");
    for (size_t i = 0; i < r->units->n; i++) {
        int64_t n;
        const double norm = sqrt(skv_unit_squares(r->units, i, &n)), less = by * sqrt((double)n);
        if (norm > 0 || n > 0) skv_unit_scale(r->units, i, norm > less ? (float)(1 - less / norm) : 0.0f);
    }
    return SKIVE_OK;
}

const skv_regularizer skv_regularizer_group_lasso = {
    .name = "group-lasso",
    .brief = "penalty of the norm of each channel, by the proximal step: whole channels become exactly zero",
    SKV_OPTIONS(options),
    .units = SKV_UNITS_CHANNELS,
    .applied = applied,
    .example = "0.02",
};
