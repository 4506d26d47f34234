/* rotate: rotates about the centre by a random angle, bilinear, with zeros at the corners. */
#include <math.h>

#include "data/data.h"

static float pixel(const float *plane, int64_t h, int64_t w, int64_t y, int64_t x) {
    return y >= 0 && y < h && x >= 0 && x < w ? plane[y * w + x] : 0.0f;
}

static bool rotate(double amount, const uint32_t random[4], const int64_t dims[3], const float *in, float *out) {
    double angle = amount * ((double)random[0] * 0x1p-31 - 1.0) * (3.14159265358979323846 / 180.0);
    if (angle == 0.0) return false;
    float cosine = (float)cos(angle), sine = (float)sin(angle);
    int64_t h = dims[1], w = dims[2];
    float cy = (float)(h - 1) * 0.5f, cx = (float)(w - 1) * 0.5f;
    for (int64_t y = 0; y < h; y++) {
        for (int64_t x = 0; x < w; x++) {
            float ry = (float)y - cy, rx = (float)x - cx;
            float sy = cy + cosine * ry - sine * rx, sx = cx + sine * ry + cosine * rx;
            float fy = floorf(sy), fx = floorf(sx), ty = sy - fy, tx = sx - fx;
            int64_t y0 = (int64_t)fy, x0 = (int64_t)fx;
            for (int64_t c = 0; c < dims[0]; c++) {
                const float *plane = in + c * h * w;
                float top = pixel(plane, h, w, y0, x0) * (1.0f - tx) + pixel(plane, h, w, y0, x0 + 1) * tx;
                float low = pixel(plane, h, w, y0 + 1, x0) * (1.0f - tx) + pixel(plane, h, w, y0 + 1, x0 + 1) * tx;
                out[(c * h + y) * w + x] = top * (1.0f - ty) + low * ty;
            }
        }
    }
    return true;
}

static const skv_option options[] = {
    {.name = "degrees", .type = SKV_OPTION_REAL, .least = 0, .most = 180, .required = true, .brief = "largest angle"}};

const skv_transform skv_transform_rotate = {
    .name = "rotate",
    .syntax = "rotate:DEGREES",
    .brief = "rotate by up to N degrees in either direction",
    SKV_OPTIONS(options),
    .apply = rotate,
};
