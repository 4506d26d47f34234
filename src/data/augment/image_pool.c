/* The fourteen operations of RandAugment (Cubuk et al. 2020), TrivialAugment (Müller & Hutter 2021) and AugMix
 * (Hendrycks et al. 2020), each with its largest strength in each of the three. Moved pixels are read bilinearly; what
 * comes from outside is 0. */
#include <math.h>

#include "data/augment/image_ops.h"

typedef struct pool_op {
    const char *name;
    bool two_ways;          /* the strength has a sign */
    double most[SKV_POOLS]; /* RandAugment, TrivialAugment (its wide space), AugMix */
    bool (*run)(double amount, const int64_t dims[3], const float *in, float *out);
} pool_op;

static bool identity(double amount, const int64_t dims[3], const float *in, float *out) {
    (void)amount, (void)dims, (void)in, (void)out;
    return false;
}

/* About the corner of the image, as Pillow shears. */
static bool shear_x(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_warp w = skv_warp_identity();
    w.m[1] = amount;
    w.m[2] = 0.5 * amount;
    skv_warp_run(&w, dims, in, out);
    return amount != 0;
}

static bool shear_y(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_warp w = skv_warp_identity();
    w.m[3] = amount;
    w.m[5] = 0.5 * amount;
    skv_warp_run(&w, dims, in, out);
    return amount != 0;
}

/* Whole pixels. Up to 1, the amount is a part of the side, above it counts pixels, but not more than the side. */
static double pixels(double amount, int64_t side) {
    const double n = fabs(amount) <= 1 ? amount * (double)side : amount;
    return rint(n > (double)side ? (double)side : n < -(double)side ? -(double)side : n);
}

static bool translate(double dx, double dy, const int64_t dims[3], const float *in, float *out) {
    skv_warp w = skv_warp_identity();
    w.m[2] = dx;
    w.m[5] = dy;
    skv_warp_run(&w, dims, in, out);
    return dx != 0 || dy != 0;
}

static bool translate_x(double amount, const int64_t dims[3], const float *in, float *out) {
    return translate(pixels(amount, dims[2]), 0, dims, in, out);
}

static bool translate_y(double amount, const int64_t dims[3], const float *in, float *out) {
    return translate(0, pixels(amount, dims[1]), dims, in, out);
}

static bool rotate(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_warp w;
    skv_warp_affine(dims, amount * (3.14159265358979323846 / 180), 1, 0, 0, 0, 0, &w);
    skv_warp_run(&w, dims, in, out);
    return amount != 0;
}

static bool brightness(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_image_brightness(dims, 1 + amount, in, out);
    return true;
}

static bool color(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_image_saturation(dims, 1 + amount, in, out);
    return dims[0] == 3;
}

static bool contrast(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_image_contrast(dims, 1 + amount, in, out);
    return true;
}

static bool sharpness(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_image_sharpness(dims, 1 + amount, in, out);
    return true;
}

static bool posterize(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_image_posterize(dims, 8 - (int)rint(amount), in, out);
    return true;
}

static bool solarize(double amount, const int64_t dims[3], const float *in, float *out) {
    skv_image_solarize(dims, 1 - amount, in, out);
    return true;
}

static bool autocontrast(double amount, const int64_t dims[3], const float *in, float *out) {
    (void)amount;
    skv_image_autocontrast(dims, in, out);
    return true;
}

static bool equalize(double amount, const int64_t dims[3], const float *in, float *out) {
    (void)amount;
    skv_image_equalize(dims, in, out);
    return true;
}

static const pool_op ops[] = {
    {"identity", false, {0, 0, 0}, identity},
    {"shear-x", true, {0.3, 0.99, 0.3}, shear_x},
    {"shear-y", true, {0.3, 0.99, 0.3}, shear_y},
    {"translate-x", true, {150.0 / 331, 32, 1.0 / 3}, translate_x},
    {"translate-y", true, {150.0 / 331, 32, 1.0 / 3}, translate_y},
    {"rotate", true, {30, 135, 30}, rotate},
    {"brightness", true, {0.9, 0.99, 0.9}, brightness},
    {"color", true, {0.9, 0.99, 0.9}, color},
    {"contrast", true, {0.9, 0.99, 0.9}, contrast},
    {"sharpness", true, {0.9, 0.99, 0.9}, sharpness},
    {"posterize", false, {4, 6, 4}, posterize},
    {"solarize", false, {1, 1, 1}, solarize},
    {"autocontrast", false, {0, 0, 0}, autocontrast},
    {"equalize", false, {0, 0, 0}, equalize},
};

size_t skv_pool_count(void) { return SKV_LENGTH(ops); }

const char *skv_pool_name(size_t op) { return op < SKV_LENGTH(ops) ? ops[op].name : NULL; }

bool skv_pool_run(skv_pool pool, size_t op, double strength, bool negative, const int64_t dims[3], const float *in,
                  float *out) {
    const double amount = strength * ops[op].most[pool];
    return ops[op].run(negative && ops[op].two_ways ? -amount : amount, dims, in, out);
}
