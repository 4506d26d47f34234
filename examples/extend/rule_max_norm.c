/* max-norm:LIMIT. The weights of each output channel have at most this Euclidean norm: where an update makes it larger,
 * they are scaled down (Srebro & Shraibman 2005; Srivastava et al. 2014). Of a vector all numbers are one channel. */
#include <math.h>

#include "train/train.h"

static const skv_option options[] = {
    {.name = "limit",
     .type = SKV_OPTION_REAL,
     .most = 1e30,
     .above = true,
     .required = true,
     .brief = "largest norm of a channel's weights"},
};

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    (void)p;
    return skv_rule_bind_number(at, "limit", self);
}

static int64_t channels_of(const skv_param *p) { return p->value->type.rank > 1 ? p->value->type.dims[0].size : 1; }

static double norm_of(const float *w, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)w[i] * (double)w[i];
    return sqrt(sum);
}

static void after(void *self, skv_param *p, const skv_step *s) {
    const double limit = *(const double *)self;
    const int64_t channels = channels_of(p), n = p->n / channels;
    (void)s;
    for (int64_t c = 0; c < channels; c++) {
        float *w = p->weight + c * n;
        const double norm = norm_of(w, n);
        for (int64_t i = 0; norm > limit && i < n; i++) w[i] = (float)(w[i] * (limit / norm));
    }
}

static bool holds(const void *self, const skv_param *p) {
    const double limit = *(const double *)self;
    const int64_t channels = channels_of(p), n = p->n / channels;
    for (int64_t c = 0; c < channels; c++)
        if (norm_of(p->weight + c * n, n) > limit * (1 + 1e-6)) return false;
    return true;
}

const skv_rule skv_rule_max_norm = {
    .name = "max-norm",
    .brief = "the norm of each channel's weights stays below a limit",
    SKV_OPTIONS(options),
    .bind = bind,
    .unbind = skv_rule_unbind_memory,
    .after = after,
    .holds = holds,
    .example = "0.3",
    .of_trained = true,
    .knows_numbers = true,
};
