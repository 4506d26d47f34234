/* mfcc: mel-frequency cepstral coefficients (Davis & Mermelstein 1980); formulas in feature_mel.c. */
#include "data/audio/feature_options.h"

static const skv_option options[] = {
    SKV_MEL_OPTIONS,
    SKV_MFCC_OPTIONS,
};

static void setup(const skv_option_values *v, skv_mel_setup *out) {
    skv_mel_options(v, out);
    out->coefficients = skv_option_integer(v, "coefficients");
    out->htk = skv_option_on(v, "htk");
}

const skv_feature skv_feature_mfcc = {
    .name = "mfcc",
    .brief = "cosine transform of the logarithms of mel bands, [1, frames, coefficients]",
    SKV_OPTIONS(options),
    .setup = setup,
};
