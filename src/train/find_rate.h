/* The learning-rate finder, without the training around it. */
#ifndef SKV_FIND_RATE_H
#define SKV_FIND_RATE_H

#include <skive/train.h>

/* One step of training at `rate`; *loss is of the batch before the update. ERR_NUMERIC ends the search. */
typedef skive_status (*skv_rate_step)(void *user, int64_t i, double rate, double *loss);

/* Makes up to n steps. *out is freed by skive_rate_search_free. */
skive_status skv_find_rate(skive_context *ctx, int64_t n, skv_rate_step step, void *user, skive_rate_search *out);
/* The i-th of n rates. */
double skv_find_rate_at(int64_t i, int64_t n);
/* Sets the suggestions from rates and smoothed losses. */
void skv_find_rate_suggest(skive_rate_search *r);

#endif
