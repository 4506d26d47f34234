/* From the full rate after the warm-up to `final` of it at the end, as a power of the share of the run that remains;
 * with power 1 a straight line. */
#include <math.h>

#include "train/train.h"

static double factor(const skv_schedule_args *a) {
    const double final = skv_option_real(a->values, "final");
    return final + (1 - final) * pow(1 - skv_schedule_share(a), skv_option_real(a->values, "power"));
}

static const skv_option options[] = {
    {.name = "power",
     .type = SKV_OPTION_REAL,
     .most = 100,
     .above = true,
     .fallback = 1,
     .brief = "of the share of the run that remains"},
    {.name = "final", .type = SKV_OPTION_REAL, .most = 10, .brief = "fraction of the learning rate at the end"},
};

const skv_schedule skv_schedule_polynomial = {.name = "polynomial",
                                              .brief = "down to the final rate along a power; linear by default",
                                              SKV_OPTIONS(options),
                                              .factor = factor};
