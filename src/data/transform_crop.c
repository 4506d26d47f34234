/* crop: the image is padded with zeros and a window of its original size is cropped at a random position. */
#include <string.h>

#include "data/data.h"

static bool crop(double amount, const uint32_t random[4], const int64_t dims[3], const float *in, float *out) {
    int64_t pad = (int64_t)amount, h = dims[1], w = dims[2];
    int64_t dy = skv_pick(random[0], 2 * pad + 1) - pad, dx = skv_pick(random[1], 2 * pad + 1) - pad;
    if (dy == 0 && dx == 0) return false;
    int64_t first = dx < 0 ? -dx : 0, last = dx > 0 ? w - dx : w; /* columns of out that are inside the image */
    for (int64_t i = 0; i < dims[0] * h; i++) {
        int64_t y = i % h + dy;
        float *to = out + i * w;
        memset(to, 0, (size_t)w * sizeof *to);
        if (y < 0 || y >= h || first >= last) continue;
        memcpy(to + first, in + (i + dy) * w + first + dx, (size_t)(last - first) * sizeof *to);
    }
    return true;
}

static const skv_option options[] = {{.name = "pixels",
                                      .type = SKV_OPTION_INTEGER,
                                      .least = 0,
                                      .most = 1024,
                                      .required = true,
                                      .brief = "largest shift"}};

const skv_transform skv_transform_crop = {
    .name = "crop",
    .syntax = "crop:PIXELS",
    .brief = "shift by up to N pixels in each direction, filling with zeros",
    SKV_OPTIONS(options),
    .apply = crop,
};
