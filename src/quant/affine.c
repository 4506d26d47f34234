/* The affine grids. */
#include <math.h>

#include "quant/quant.h"

skv_affine skv_affine_u8(double low, double high) {
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
    float scale = (float)((high - low) / 255.0);
    if (!(scale > 0)) return (skv_affine){1.0f, 0}; /* only zeros: any scale represents them */
    if (scale < 1e-30f) scale = 1e-30f;             /* so that its inverse stays finite */
    double zero = rint(-low / (double)scale);
    zero = zero < 0 ? 0 : zero > 255 ? 255 : zero;
    return (skv_affine){scale, (int)zero};
}

skv_affine skv_affine_s8(double magnitude) {
    const float scale = (float)(magnitude / 127.0);
    if (!(scale > 0)) return (skv_affine){1.0f, 0};
    return (skv_affine){scale < 1e-30f ? 1e-30f : scale, 0};
}
