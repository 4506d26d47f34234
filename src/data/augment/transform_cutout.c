/* cutout: a square at a random position is set to zero (DeVries, Taylor: Improved regularization of convolutional
 * neural networks with cutout, arXiv:1708.04552). Its centre is inside the image; it is clipped at the border. */
#include <string.h>

#include "data/transform.h"

static bool cutout(const skv_augment *a, const float *in, float *out) {
    const int64_t size = skv_option_integer(a->options, "pixels"), h = a->dims[1], w = a->dims[2];
    int64_t top = skv_draw_below(a->draw, h) - size / 2, left = skv_draw_below(a->draw, w) - size / 2;
    int64_t bottom = top + size < h ? top + size : h, right = left + size < w ? left + size : w;
    if (top < 0) top = 0;
    if (left < 0) left = 0;
    memcpy(out, in, (size_t)(a->dims[0] * h * w) * sizeof *out);
    for (int64_t c = 0; c < a->dims[0]; c++) {
        for (int64_t y = top; y < bottom; y++) {
            for (int64_t x = left; x < right; x++) out[(c * h + y) * w + x] = 0.0f;
        }
    }
    return true;
}

static const skv_option options[] = {{.name = "pixels",
                                      .type = SKV_OPTION_INTEGER,
                                      .least = 1,
                                      .most = 1024,
                                      .required = true,
                                      .brief = "side of the square"}};

const skv_transform skv_transform_cutout = {
    .name = "cutout",
    .syntax = "cutout:PIXELS",
    .brief = "blank a square with N pixels per side",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .apply = cutout,
};
