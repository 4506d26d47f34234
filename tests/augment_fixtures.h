/* Fixtures for the tests of transforms: one transform on one sample, and an image read by formulas of the test's own.
 */
#ifndef SKV_TEST_AUGMENT_FIXTURES_H
#define SKV_TEST_AUGMENT_FIXTURES_H

#include "data_fixtures.h"

#include "data/transform.h"

enum { ROOM = 4096 };

/* Applies a list to x[dims] in place, as sample `index` of epoch 0. */
static inline void transform_as(skive_context *ctx, skv_content content, const char *text, const int64_t dims[3],
                                uint64_t index, float *x) {
    static float a[ROOM], b[ROOM], scratch[8 * ROOM], deviation[ROOM];
    skv_transform_list list;
    const size_t n = (size_t)(dims[0] * dims[1] * dims[2]);
    assert_true(n <= ROOM);
    skv_test_ok(ctx, skv_transforms_parse(ctx, text, &list));
    assert_true(list.scratch <= 8);
    for (size_t i = 0; i < n; i++) deviation[i] = 1.0f;
    memcpy(a, x, n * sizeof *a);
    memset(b, 0xff, sizeof b); /* NaN where nothing is written */
    skv_transform_run run = {.list = &list,
                             .seed = 7,
                             .index = index,
                             .content = content,
                             .dims = {dims[0], dims[1], dims[2]},
                             .scratch = scratch,
                             .deviation = deviation};
    memcpy(x, skv_transforms_apply(&run, a, b), n * sizeof *x);
}

static inline void transform(skive_context *ctx, const char *text, const int64_t dims[3], uint64_t index, float *x) {
    transform_as(ctx, SKV_CONTENT_IMAGE, text, dims, index, x);
}

/* The random numbers that the first transform of a list gets for that sample. */
static inline skv_draw draws(uint64_t index) { return skv_draw_at(7, index, 0); }

/* A pixel of an image that has zeros around it. */
static inline double around(const float *plane, const int64_t dims[3], int64_t y, int64_t x) {
    return y >= 0 && y < dims[1] && x >= 0 && x < dims[2] ? (double)plane[y * dims[2] + x] : 0;
}

/* Bilinear between the four pixels about (y, x): the sum of pixels times the tent of the distance. */
static inline double bilinear(const float *plane, const int64_t dims[3], double y, double x) {
    double sum = 0;
    for (int64_t v = (int64_t)floor(y) - 1; v <= (int64_t)floor(y) + 2; v++) {
        for (int64_t u = (int64_t)floor(x) - 1; u <= (int64_t)floor(x) + 2; u++)
            sum += around(plane, dims, v, u) * fmax(0, 1 - fabs(y - (double)v)) * fmax(0, 1 - fabs(x - (double)u));
    }
    return sum;
}

/* Values between 0 and 1 without any pattern that a transform could keep. */
static inline void noise_image(float *x, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) x[i] = (float)skv_rng_uniform(seed, 3, i);
}

#endif
