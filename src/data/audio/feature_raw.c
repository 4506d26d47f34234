/* raw: the samples of a sound themselves. */
#include "data/audio/sound.h"

const skv_feature skv_feature_raw = {.name = "raw", .brief = "the samples themselves, [1, samples]"};
