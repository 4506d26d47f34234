/* Operations on the pixels of an image between 0 and 1, from in[c][h][w] to out; and the pool of operations from which
 * RandAugment, TrivialAugment and AugMix draw. */
#ifndef SKV_IMAGE_OPS_H
#define SKV_IMAGE_OPS_H

#include "data/transform.h"

/* Multiplied by the factor. All results are limited to 0 .. 1. */
void skv_image_brightness(const int64_t dims[3], double factor, const float *in, float *out);
/* mean + factor (x - mean), with the mean brightness of the image. */
void skv_image_contrast(const int64_t dims[3], double factor, const float *in, float *out);
/* grey + factor (x - grey) at each pixel; images of one channel are copied. */
void skv_image_saturation(const int64_t dims[3], double factor, const float *in, float *out);
/* The hue moves by this part of the full circle; only three channels, others are copied. */
void skv_image_hue(const int64_t dims[3], double part, const float *in, float *out);
/* All channels become the grey of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B. */
void skv_image_gray(const int64_t dims[3], const float *in, float *out);
/* smooth + factor (x - smooth), with the mean of 3x3 pixels in which the middle counts 5 times; the border stays. */
void skv_image_sharpness(const int64_t dims[3], double factor, const float *in, float *out);
/* Gauss, cut at 3 deviations (pixels), mirrored at the border without repeating it. scratch: one image. */
void skv_image_blur(const int64_t dims[3], double sigma, float *scratch, const float *in, float *out);
/* Only the highest bits of the 8 stay. */
void skv_image_posterize(const int64_t dims[3], int bits, const float *in, float *out);
/* Pixels from the threshold on become 1 - x. */
void skv_image_solarize(const int64_t dims[3], double threshold, const float *in, float *out);
/* Each channel stretched to 0 .. 1. */
void skv_image_autocontrast(const int64_t dims[3], const float *in, float *out);
/* Each channel with an even histogram of its 256 levels, as Pillow does it. */
void skv_image_equalize(const int64_t dims[3], const float *in, float *out);

/* ---- the pool ---- */

typedef enum skv_pool { SKV_POOL_RANDAUGMENT, SKV_POOL_TRIVIALAUGMENT, SKV_POOL_AUGMIX, SKV_POOLS } skv_pool;

size_t skv_pool_count(void);
const char *skv_pool_name(size_t op);
/* Operation `op` at a strength of 0 to 1 of what the method uses at most; in either direction by `negative`, where it
 * has two. Returns false if the image stays as it is. */
bool skv_pool_run(skv_pool pool, size_t op, double strength, bool negative, const int64_t dims[3], const float *in,
                  float *out);

#endif
