/* column-noise: Gaussian noise on each value of a row, in units of the deviation of its column over the data set.
 * Constant columns stay as they are. */
#include "data/transform.h"

static bool noise(const skv_augment *a, const float *in, float *out) {
    const double amount = skv_option_real(a->options, "amount");
    for (int64_t i = 0; i < a->dims[2]; i++)
        out[i] = in[i] + (float)(amount * (double)a->deviation[i] * skv_draw_normal(a->draw));
    return amount > 0;
}

static const skv_option options[] = {
    {.name = "amount",
     .type = SKV_OPTION_REAL,
     .most = 10,
     .fallback = 0.1,
     .brief = "deviation of the noise, in deviations of the column"},
};

const skv_transform skv_transform_column_noise = {
    .name = "column-noise",
    .syntax = "column-noise[:AMOUNT]",
    .brief = "add noise in proportion to the deviation of each column",
    SKV_OPTIONS(options),
    .on = SKV_ON_TABLE,
    .deviation = true,
    .apply = noise,
};
