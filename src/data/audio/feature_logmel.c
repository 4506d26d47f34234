/* logmel: logarithms of mel bands; formulas in feature_mel.c. */
#include "data/audio/feature_options.h"

static const skv_option options[] = {SKV_MEL_OPTIONS};

const skv_feature skv_feature_logmel = {
    .name = "logmel",
    .brief = "logarithms of mel bands, [1, frames, bands]",
    SKV_OPTIONS(options),
    .setup = skv_mel_options,
};
