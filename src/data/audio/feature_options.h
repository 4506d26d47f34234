/* The options that the spectral features share: `defaults` are those of Zhang et al., "Hello Edge" (2017). */
#ifndef SKV_FEATURE_OPTIONS_H
#define SKV_FEATURE_OPTIONS_H

#include "data/audio/sound.h"

/* clang-format off */
#define SKV_MEL_OPTIONS                                                                                             \
    {.name = "window", .type = SKV_OPTION_REAL, .least = 0, .above = true, .most = 10000, .fallback = 40,           \
     .unit = "ms", .brief = "length of a frame"},                                                                   \
    {.name = "hop", .type = SKV_OPTION_REAL, .least = 0, .above = true, .most = 10000, .fallback = 20, .unit = "ms", \
     .brief = "from the start of a frame to that of the next"},                                                     \
    {.name = "mels", .type = SKV_OPTION_INTEGER, .least = 1, .most = 1024, .fallback = 40,                          \
     .brief = "number of bands"},                                                                                   \
    {.name = "fmin", .type = SKV_OPTION_REAL, .least = 0, .most = 384000, .fallback = 20, .unit = "Hz",             \
     .brief = "where the first band begins"},                                                                       \
    {.name = "fmax", .type = SKV_OPTION_REAL, .least = 0, .most = 384000, .fallback = 4000, .unit = "Hz",           \
     .brief = "where the last band ends; 0: half the rate"},                                                        \
    {.name = "fft", .type = SKV_OPTION_INTEGER, .least = 0, .most = 65536, .fallback = 0,                           \
     .brief = "samples of the Fourier transform, a power of two; 0: the next from the window"},                     \
    {.name = "power", .type = SKV_OPTION_INTEGER, .least = 1, .most = 2, .fallback = 1,                             \
     .brief = "of the magnitudes that are summed"},                                                                 \
    {.name = "floor", .type = SKV_OPTION_REAL, .least = 0, .above = true, .most = 1, .fallback = 1e-6,              \
     .brief = "added before the logarithm"}
#define SKV_MFCC_OPTIONS                                                                                            \
    {.name = "coefficients", .type = SKV_OPTION_INTEGER, .least = 1, .most = 1024, .fallback = 10,                  \
     .brief = "that are kept, from the first"},                                                                     \
    {.name = "htk", .type = SKV_OPTION_SWITCH, .brief = "scale the first as the others, as HTK and tf.signal do"}
/* clang-format on */

static inline void skv_mel_options(const skv_option_values *v, skv_mel_setup *out) {
    *out = (skv_mel_setup){.window = skv_option_real(v, "window"),
                           .hop = skv_option_real(v, "hop"),
                           .fft = skv_option_integer(v, "fft"),
                           .mels = skv_option_integer(v, "mels"),
                           .low = skv_option_real(v, "fmin"),
                           .high = skv_option_real(v, "fmax"),
                           .power = (int)skv_option_integer(v, "power"),
                           .floor = skv_option_real(v, "floor")};
}

#endif
