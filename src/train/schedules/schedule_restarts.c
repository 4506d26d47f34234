/* Cosines that each begin at the full rate again (SGDR: Loshchilov & Hutter 2017): of `period` epochs after the
 * warm-up, each `grow` times as long as the one before. */
#include <math.h>

#include "train/train.h"

static double factor(const skv_schedule_args *a) {
    const double pi = 3.14159265358979323846, final = skv_option_real(a->values, "final");
    const double grow = skv_option_real(a->values, "grow");
    double length = skv_option_real(a->values, "period"), at = a->epoch - a->options->warmup_epochs;
    if (at <= 0) return 1.0;
    /* The batch that ends with a cosine still belongs to it. */
    if (grow == 1) {
        at -= length * (ceil(at / length) - 1);
    } else {
        for (; at > length; length *= grow) at -= length;
    }
    return final + (1.0 - final) * 0.5 * (1.0 + cos(pi * at / length));
}

static const skv_option options[] = {
    {.name = "period",
     .type = SKV_OPTION_REAL,
     .least = 0.01,
     .most = 1e6,
     .fallback = 10,
     .brief = "epochs of the first cosine"},
    {.name = "grow",
     .type = SKV_OPTION_REAL,
     .least = 1,
     .most = 100,
     .fallback = 2,
     .brief = "factor on the length of each next one"},
    {.name = "final", .type = SKV_OPTION_REAL, .most = 10, .brief = "fraction of the learning rate at the end of each"},
};

const skv_schedule skv_schedule_restarts = {
    .name = "restarts", .brief = "cosines that begin at the full rate again", SKV_OPTIONS(options), .factor = factor};
