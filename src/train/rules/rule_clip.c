/* clip:LIMIT. After each update weights are brought back into [-LIMIT, LIMIT]: a bounded range quantizes with a finer
 * step (as weight clipping in Sung et al. 2015 and Jacob et al. 2018). */
#include <math.h>

#include "train/train.h"

static const skv_option options[] = {
    {.name = "limit",
     .type = SKV_OPTION_REAL,
     .most = 1e30,
     .above = true,
     .required = true,
     .brief = "largest magnitude of a weight"},
};

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    (void)p;
    return skv_rule_bind_number(at, "limit", self);
}

static void after(void *self, skv_param *p, const skv_step *s) {
    const float limit = (float)*(const double *)self;
    (void)s;
    for (int64_t i = 0; i < p->n; i++) p->weight[i] = fminf(fmaxf(p->weight[i], -limit), limit);
}

/* Of what is trained; a grid may round it up by half a step. */
static bool holds(const void *self, const skv_param *p) {
    const float limit = (float)*(const double *)self;
    for (int64_t i = 0; i < p->n; i++)
        if (!(fabsf(p->weight[i]) <= limit)) return false;
    return true;
}

const skv_rule skv_rule_clip = {
    .name = "clip",
    SKV_OPTIONS(options),
    .brief = "weights stay within the given limit to both sides",
    .bind = bind,
    .unbind = skv_rule_unbind_memory,
    .after = after,
    .holds = holds,
    .example = "0.1",
    .of_trained = true,
    .knows_numbers = true,
};
