/* How an exact int32 sum becomes an output element, for the integer operators of the reference.
 *
 * Float form, the default: common_activation.h. Fixed-point form, for processors without a float unit: the node has,
 * for each multiplier, multiplier_q31, an int32 M from 2^30 to 2^31 - 1 (or 0), and multiplier_shift, s from -31 to 30;
 * they stand for M * 2^(s - 31). With rounding "double" (the default; what TensorFlow Lite's kernels and CMSIS-NN do):
 *
 *     a = v * 2^max(s, 0)                          saturated to int32
 *     h = floor((a * M + 2^30) / 2^31)             the upper half of the product, halves up
 *     t = h / 2^max(-s, 0), to the nearest integer, halves away from zero
 *
 * With rounding "single" (TensorFlow Lite built with TFLITE_SINGLE_ROUNDING): t = floor(v * M / 2^(31 - s) + 1/2). Then
 *
 *     y = min(max(t + y_zero_point, clamp_lo), clamp_hi)
 *
 * The float multiplier stays in the node: the number that M and s stand for. There is no float output in this form. */
#ifndef SKV_OPS_COMMON_FIXED_H
#define SKV_OPS_COMMON_FIXED_H

#include "ops/common_activation.h"

#define SKV_Q_FIXED_ATTRS                                                                                 \
    {"multiplier_q31", SKV_ATTR_INTS, SKV_OPTIONAL}, {"multiplier_shift", SKV_ATTR_INTS, SKV_OPTIONAL}, { \
        "rounding", SKV_ATTR_STRING, SKV_OPTIONAL                                                         \
    }

/* The two numbers of a multiplier >= 0, as TensorFlow Lite finds them: below 2^-32 it becomes 0, above 2^30 the
 * largest. */
void skv_q_fixed_of(double multiplier, int32_t *q31, int *shift);
int32_t skv_q_fixed_double(int32_t v, int32_t q31, int shift);
int32_t skv_q_fixed_single(int32_t v, int32_t q31, int shift);

typedef struct skv_q_scaling {
    skv_requant r;
    bool fixed, single;
    const double *multiplier; /* [n] */
    const int64_t *q31, *shift;
    double one; /* room for a multiplier that is a single number */
} skv_q_scaling;
/* Reads and checks the node's attributes; n < 0: any number. `many`: multiplier is a list of n, else one number.
 * ERR_GRAPH naming the node. */
skive_status skv_q_scaling_read(skive_context *ctx, const skive_node *node, int64_t n, bool many, skv_q_scaling *out);
void skv_q_scaling_store(const skv_q_scaling *s, int32_t v, int64_t channel, void *y, int64_t i);

/* Inputs are uint8 or int8. ERR_SHAPE otherwise. */
skive_status skv_q_want_bytes(skv_infer *c, size_t i);
/* A zero point of input i, in the range of its type. ERR_GRAPH. */
skive_status skv_q_zero_of(skive_context *ctx, const skive_node *node, const char *name, skive_dtype dtype,
                           int32_t *out);
/* The input as uint8: int8 numbers are 128 higher, and so is *zero. *room holds a copy, freed by skv_free. */
skive_status skv_q_as_u8(skive_context *ctx, const skive_tensor *t, int32_t *zero, uint8_t **room, const uint8_t **out);

/* The fixed-point form of QAdd, as TensorFlow Lite and CMSIS-NN add: with left_shift l (default 20) and three pairs of
 * numbers as above,
 *
 *     p = fixed((a - a_zero_point) * 2^l; a_q31, a_shift), r likewise of b
 *     y = min(max(fixed(p + r; y_q31, y_shift) + y_zero_point, clamp_lo), clamp_hi) */
typedef struct skv_q_add_fixed {
    bool fixed;
    int left;
    int32_t a_q31, b_q31, y_q31;
    int a_shift, b_shift, y_shift;
} skv_q_add_fixed;
/* The numbers for three scales. False if they are too far apart. */
bool skv_q_add_fixed_of(double a_scale, double b_scale, double y_scale, skv_q_add_fixed *out);
skive_status skv_q_add_fixed_read(skive_context *ctx, const skive_node *node, skv_q_add_fixed *out);
int32_t skv_q_add_fixed_one(const skv_q_add *q, const skv_q_add_fixed *f, int32_t a, int32_t b);

#endif
