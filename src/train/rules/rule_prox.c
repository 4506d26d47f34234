/* prox:LAMBDA. The proximal step of LAMBDA * |w| after each update (ISTA; Daubechies et al. 2004; Parikh & Boyd 2014):
 * weights move towards zero by rate * LAMBDA and stop there, so that many become exactly zero. */
#include <math.h>

#include "train/train.h"

static const skv_option options[] = {
    {.name = "lambda", .type = SKV_OPTION_REAL, .most = 1e6, .required = true, .brief = "weight of the L1 penalty"},
};

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    (void)p;
    return skv_rule_bind_number(at, "lambda", self);
}

static void after(void *self, skv_param *p, const skv_step *s) {
    const float by = (float)(s->rate * p->rate * *(const double *)self);
    for (int64_t i = 0; i < p->n; i++) {
        const float w = p->weight[i], size = fabsf(w) - by;
        p->weight[i] = size > 0 ? copysignf(size, w) : 0.0f;
    }
}

/* Nothing but numbers is promised: how many are zero depends on the data. */
static bool holds(const void *self, const skv_param *p) {
    (void)self;
    for (int64_t i = 0; i < p->n; i++)
        if (!isfinite(p->weight[i])) return false;
    return true;
}

const skv_rule skv_rule_prox = {
    .name = "prox",
    SKV_OPTIONS(options),
    .brief = "the proximal step of an L1 penalty: small weights become exactly zero",
    .bind = bind,
    .unbind = skv_rule_unbind_memory,
    .after = after,
    .holds = holds,
    .example = "0.05",
    .of_trained = true,
    .knows_numbers = true,
};
