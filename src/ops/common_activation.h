/* The activation of a fused node, and the arithmetic that defines skive's integer operators. */
#ifndef SKV_OPS_COMMON_ACTIVATION_H
#define SKV_OPS_COMMON_ACTIVATION_H

#include "ops/common_nn.h"
#include "ops/common_pointwise.h"

typedef struct skv_activation {
    skv_pointwise kind;
    double alpha, beta; /* LeakyRelu: slope alpha. Clip: [alpha, beta]. HardSigmoid: alpha x + beta into [0, 1] */
} skv_activation;

/* Reads the string attribute `activation` and its parameters: `activation_alpha` and `activation_beta` or, on a node
 * that is not a Gemm, whose alpha and beta have another meaning, `alpha` and `beta`. Absent ones have the activation's
 * ONNX defaults. ERR_GRAPH naming the node on an unknown activation: those with a
 * loop in pointwise.inc are known. */
skive_status skv_activation_read(skive_context *ctx, const skive_node *node, skv_activation *out);
double skv_activation_apply(const skv_activation *a, double x);
skv_range skv_activation_range(const skive_node *node);

/* ---- requantization: how an exact int32 becomes an output element ----
 *
 *     t = (float)v * multiplier            one rounding
 *     t = min(max(t, clamp_lo - y_zero_point), clamp_hi - y_zero_point)
 *     y = nearest_even(t) + y_zero_point
 *
 * With y_dtype "float": y = t before the clamp. */
typedef enum skv_q_output { SKV_Q_U8, SKV_Q_I8, SKV_Q_F32 } skv_q_output;

typedef struct skv_requant {
    skv_q_output output;
    int32_t y_zero_point, clamp_lo, clamp_hi;
} skv_requant;

/* Reads y_dtype ("u8" default, "s8", "float"), y_zero_point, clamp_lo and clamp_hi (defaults: the type's whole range).
 * ERR_GRAPH naming the node if they are not in the output's range. */
skive_status skv_requant_read(skive_context *ctx, const skive_node *node, skv_requant *out);
/* The same with another name of the attribute y_zero_point. */
skive_status skv_requant_read_named(skive_context *ctx, const skive_node *node, const char *zero_point,
                                    skv_requant *out);
static inline skive_dtype skv_requant_dtype(const skv_requant *r) {
    return r->output == SKV_Q_U8 ? SKIVE_U8 : r->output == SKV_Q_I8 ? SKIVE_I8 : SKIVE_F32;
}
static inline int32_t skv_requant_round(const skv_requant *r, float t) {
    float lo = (float)(r->clamp_lo - r->y_zero_point), hi = (float)(r->clamp_hi - r->y_zero_point);
    t = t > lo ? t : lo;
    t = t < hi ? t : hi;
    return (int32_t)rintf(t) + r->y_zero_point;
}
static inline void skv_requant_store(const skv_requant *r, int32_t v, float multiplier, void *y, int64_t i) {
    float t = (float)v * multiplier;
    switch (r->output) {
    case SKV_Q_U8: ((uint8_t *)y)[i] = (uint8_t)skv_requant_round(r, t); return;
    case SKV_Q_I8: ((int8_t *)y)[i] = (int8_t)skv_requant_round(r, t); return;
    case SKV_Q_F32: ((float *)y)[i] = t; return;
    }
}

/* An input's zero point, in u8's range. ERR_GRAPH otherwise. */
skive_status skv_q_zero_point(skive_context *ctx, const skive_node *node, const char *name, int32_t *out);
/* The parameters of a QAdd node, checked (src/ops/quant/q_add.c). */
typedef struct skv_q_add {
    int32_t a_zero_point, b_zero_point;
    float a_multiplier, b_multiplier;
    skv_requant y;
} skv_q_add;
skive_status skv_q_add_read(skive_context *ctx, const skive_node *node, skv_q_add *out);
/* The element of the sum. */
static inline int32_t skv_q_add_one(const skv_q_add *q, int32_t a, int32_t b) {
    const float p = (float)(a - q->a_zero_point) * q->a_multiplier, r = (float)(b - q->b_zero_point) * q->b_multiplier;
    return skv_requant_round(&q->y, p + r);
}
/* Do these numbers keep a QConvAdd in the range of int32? */
bool skv_q_conv_add_fits(const double *multiplier, size_t n, double y_scale, double other_scale, double sum_scale);
/* The sum in a QConvAdd node, whose multipliers were checked, `a` being the convolution's result
 * (src/ops/quant/q_conv_add.c). */
skive_status skv_q_conv_add_read(skive_context *ctx, const skive_node *node, skv_q_add *out);
/* Attributes and functions of QConv, for its own record and that of QConvAdd. */
#define SKV_Q_CONV_ATTRS                                                                             \
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL}, {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},         \
        {"group", SKV_ATTR_INT, SKV_OPTIONAL}, {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL},        \
        {"pads", SKV_ATTR_INTS, SKV_OPTIONAL}, {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},             \
        {"x_zero_point", SKV_ATTR_INT, SKV_OPTIONAL}, {"multiplier", SKV_ATTR_FLOATS, SKV_REQUIRED}, \
        {"y_dtype", SKV_ATTR_STRING, SKV_OPTIONAL}, {"y_zero_point", SKV_ATTR_INT, SKV_OPTIONAL},    \
        {"clamp_lo", SKV_ATTR_INT, SKV_OPTIONAL}, {                                                  \
        "clamp_hi", SKV_ATTR_INT, SKV_OPTIONAL                                                       \
    }
skive_status skv_q_conv_infer(skv_infer *c);
skive_status skv_q_conv_run(const skv_eval *c);
/* A required float attribute, finite and > 0. */
skive_status skv_q_scale(skive_context *ctx, const skive_node *node, const char *name, float *out);
/* The floats attribute `multiplier`: n finite numbers >= 0. */
skive_status skv_q_multipliers(skive_context *ctx, const skive_node *node, int64_t n, const double **out);
/* True if no sum over `n` products of (u8 - x_zero_point) and the given s8 weights [rows][n], plus bias (NULL: none),
 * can exceed int32. Every partial sum is then in range too, in any order. *row, unless NULL, is the first for which it
 * can. */
bool skv_q_sums_fit(int32_t x_zero_point, const int8_t *w, int64_t rows, int64_t n, const int32_t *bias, int64_t *row);
/* ERR_LIMIT naming the node if it can. */
skive_status skv_q_check_sums(skive_context *ctx, const skive_node *node, int32_t x_zero_point, const int8_t *w,
                              int64_t rows, int64_t n, const int32_t *bias);

#endif
