/* flip: mirrors left to right with a given probability. */
#include "data/data.h"

static bool flip(double amount, const uint32_t random[4], const int64_t dims[3], const float *in, float *out) {
    if ((double)random[0] * 0x1p-32 >= amount) return false;
    int64_t w = dims[2];
    for (int64_t i = 0; i < dims[0] * dims[1]; i++) {
        for (int64_t x = 0; x < w; x++) out[i * w + x] = in[i * w + w - 1 - x];
    }
    return true;
}

static const skv_option options[] = {{.name = "probability",
                                      .type = SKV_OPTION_REAL,
                                      .least = 0,
                                      .most = 1,
                                      .fallback = 0.5,
                                      .brief = "of mirroring a sample"}};

const skv_transform skv_transform_flip = {
    .name = "flip",
    .syntax = "flip[:PROBABILITY]",
    .brief = "mirror left to right with probability P, by default one half",
    SKV_OPTIONS(options),
    .apply = flip,
};
