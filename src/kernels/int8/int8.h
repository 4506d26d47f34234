/* Integer kernels: what the drivers (plain C) and the inner loops (one file an instruction set) agree on.
 *
 * A convolution or product is cut into tiles of `mr` output positions by `nr` output channels. The weights of nr
 * channels stand in one panel, read from front to back: for each group of k_group steps of k, k_group numbers of each
 * of the nr columns.
 *
 * With bytes a tile computes init + sum of x * w, x being the stored bytes: init holds bias minus
 * x_zero_point times the sum of the weights, and padding is read from a row filled with the zero point. These sums may
 * leave int32 on the way; they wrap, and the end is right because the true sum fits (skv_q_check_sums). With 16-bit
 * numbers (`wide`) x - x_zero_point is what is gathered, all in one tap, padding is 0 and init is the bias. */
#ifndef SKV_INT8_H
#define SKV_INT8_H

#include "kernels/int8/fixed.h"
#include "kernels/kernel.h"
#include "ops/common_activation.h"
#include "ops/conv/common_conv.h"

/* Another tensor of bytes added to the result (QConvAdd). */
typedef struct skv_q8_sum {
    int32_t least, most; /* limits of the convolution's own result, less its zero point */
    float mine, theirs;  /* multipliers of the two */
    int32_t zero;        /* of the other */
} skv_q8_sum;

/* From exact int32 to an output element. int8 outputs are computed as uint8 ones that are 128 higher, then flipped. */
typedef struct skv_q8_out {
    bool sums;    /* int32 output: the sums as they are; multiplier and the rest are not read */
    bool real;    /* float32 output: the product only */
    bool adds;    /* `sum` comes in between */
    bool whole;   /* uint8 without limits, and no t leaves int32 */
    float limit;  /* clamp_hi - y_zero_point: t beyond it may not fit int32 */
    int32_t zero; /* y_zero_point */
    uint8_t lo, hi, flip;
    skv_q8_sum sum;
} skv_q8_out;
/* `largest`: of the multipliers */
skv_q8_out skv_q8_out_of(const skv_requant *r, float largest);

/* What a gemm makes of skv_q8_out, in its own form. */
typedef struct skv_q8_constants {
    _Alignas(64) unsigned char bytes[13 * 64];
} skv_q8_constants;

typedef struct skv_q8_tile {
    size_t rows, columns;    /* <= mr, <= nr */
    size_t taps, groups;     /* k = taps * groups * k_group */
    const void *const *a;    /* [taps][rows], of an even gemm [taps]: groups * k_group numbers each */
    size_t apart;            /* of an even gemm: from a row to the next, in bytes */
    const void *b;           /* the panel */
    const size_t *tap_at;    /* [taps]: where in the panel, in bytes */
    const void *next;        /* what is read soon: 64 bytes a step are brought into the second-level cache, */
    size_t next_bytes;       /* by even gemms so many in all */
    const int32_t *init;     /* [nr] */
    const float *multiplier; /* [nr] */
    int32_t factor;          /* weights of few bits: what the sums of their codes are multiplied by */
    void *y;
    const size_t *y_at;   /* [rows]: from y to a row's first element, in bytes */
    const uint8_t *other; /* what is added, bytes as far apart as y's; may be y */
    const skv_q8_out *out;
    const skv_q8_constants *constants; /* of `out` where the gemm has `constants` and the output is bytes */
} skv_q8_tile;

enum { SKV_Q8_MOST_ROWS = 32 }; /* largest mr */

typedef struct skv_q8_gemm {
    size_t mr, nr, k_group;
    bool wide;       /* 16-bit numbers */
    bool by_column;  /* the order of a panel; wide ones only */
    size_t together; /* numbers of a column that stand together in a panel of bytes; 0: k_group */
    bool even;       /* the rows of a tile are equally far apart */
    int bits;        /* of a weight in the panel, see few.h; 0: 8, or 16 if wide */
    int32_t shift;   /* of bytes: what the tile subtracts from x before it multiplies; taps cannot be left out then */
    void (*tile)(const skv_q8_tile *t);
    /* What a thread does before tiles of so many rows, and after the last; both may be NULL. */
    void (*configure)(size_t rows);
    void (*release)(void);
    void (*constants)(const skv_q8_out *out, skv_q8_constants *to); /* may be NULL */
    /* n bytes of x to the position `at` of a gathered row: as they are, or widened less the zero point */
    void (*copy)(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero);
    bool one_tap; /* the tile looks at the first tap only: windows are gathered */
    bool narrow;  /* of wide ones: weights stand in the panel as bytes, which the tile widens; products only */
} skv_q8_gemm;
/* Numbers of a column that stand together in a panel of `groups` groups. */
static inline size_t skv_q8_column_run(const skv_q8_gemm *g, size_t groups) {
    return g->by_column ? groups * g->k_group : g->together ? g->together : g->k_group;
}
const skv_q8_gemm *skv_q8_gemm_scalar(void);
const skv_q8_gemm *skv_q8_gemm_avx2(void);
const skv_q8_gemm *skv_q8_gemm_avx2_narrow(void);
const skv_q8_gemm *skv_q8_gemm_avx512(void);
const skv_q8_gemm *skv_q8_gemm_vnni(void);
const skv_q8_gemm *skv_q8_gemm_amx(void);
const skv_q8_gemm *skv_q8_gemm_neon(void);
const skv_q8_gemm *skv_q8_gemm_dotprod(void);
const skv_q8_gemm *skv_q8_gemm_i8mm(void);
const skv_q8_gemm *skv_q8_gemm_of(skv_isa isa); /* the best of the level */

/* ---- loops along channels or elements ---- */

typedef struct skv_q8_loops {
    /* y may be a or b */
    void (*add)(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n, const skv_q_add *q);
    /* y[c] = the largest of x[tap][c], one tap at least; y may be one of them */
    void (*max)(const uint8_t *const *x, size_t taps, uint8_t *y, size_t n);
    /* sum[c] += x[c] */
    void (*sum)(const uint8_t *x, int32_t *sum, size_t n);
    /* sum[c] = init[c] + sum over taps of x[tap][c] * w[tap][c]; w's rows are w_stride numbers apart */
    void (*depthwise)(const uint8_t *const *x, size_t taps, const int16_t *w, size_t w_stride, const int32_t *init,
                      int32_t *sum, size_t n);
    /* The same and requant in one, for a byte as output; w holds the weights of taps 2 i and 2 i + 1 of a channel
     * side by side, 0 behind the last one. NULL: there is none. */
    void (*depthwise_bytes)(const uint8_t *const *x, size_t taps, const int16_t *w, size_t w_stride,
                            const int32_t *init, const float *multiplier, uint8_t *y, size_t n, const skv_requant *r);
    /* elements from sums; multiplier[c * step] */
    void (*requant)(const int32_t *sum, const float *multiplier, size_t step, void *y, size_t n, const skv_requant *r);
    /* the same in fixed point, bytes only; q31 and shift of element c at [c * step] */
    void (*fixed)(const int32_t *sum, const int32_t *q31, const int32_t *shift, size_t step, uint8_t *y, size_t n,
                  const skv_q8_fixed *f);
    void (*add_fixed)(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n, const skv_q_add *q,
                      const skv_q_add_fixed *f);
    /* nearest_even(x / scale) + zero into [lo, hi], the low byte stored; a NaN gives the zero point */
    void (*quantize)(const float *x, float scale, int32_t zero, int32_t lo, int32_t hi, uint8_t *y, size_t n);
    /* *low and *high with the least and the largest of x; a NaN is passed over */
    void (*range)(const float *x, size_t n, float *low, float *high);
    void (*dequantize_u8)(const uint8_t *x, float scale, int32_t zero, float *y, size_t n);
    void (*dequantize_s8)(const int8_t *x, float scale, int32_t zero, float *y, size_t n);
    /* y[c] = sum[c] * scale[c] + bias[c], each step rounded; `relu`: no less than 0; bias may be NULL, y be sum */
    void (*real)(const int32_t *sum, const float *scale, const float *bias, bool relu, float *y, size_t n);
    /* y[c] += (sum[c] - zero * column_sum[c]) * (by * scale[c]) */
    void (*add_real)(const int32_t *sum, const int32_t *column_sum, int32_t zero, float by, const float *scale,
                     float *y, size_t n);
    /* 2 where x is not negative, else 0 */
    void (*signs)(const float *x, uint8_t *y, size_t n);
} skv_q8_loops;
extern const skv_q8_loops skv_q8_loops_scalar, skv_q8_loops_avx2, skv_q8_loops_avx512, skv_q8_loops_neon;
const skv_q8_loops *skv_q8_loops_of(skv_isa isa);

/* n numbers as uint8 by their own range, as DynamicQuantizeLinear does it. */
void skv_q8_dynamic(const skv_q8_loops *loops, const float *x, size_t n, uint8_t *y, float *scale, int32_t *zero);

/* ---- shared by the drivers ---- */

/* uint8 inputs: what these kernels compute; the reference does the rest. */
bool skv_q8_bytes(const skv_kernel_node *n, skv_why *why);
/* Those, and float multipliers: for kernels without the fixed-point form. */
bool skv_q8_plain(const skv_kernel_node *n, skv_why *why);
/* Weights and bias are constant. */
bool skv_q8_weights_constant(const skv_kernel_node *n, skv_why *why);
bool skv_q8_constant_weights(const skv_kernel_node *n, skv_why *why); /* plain, with constants */
static inline const skive_tensor *skv_q8_bias(const skv_kernel_node *n) {
    return skv_kernel_has_input(n, 2) ? n->in[2].constant : NULL;
}
/* Geometry of a QConv from the types in the node. */
skive_status skv_q8_conv_shape(const skv_kernel_node *n, skv_conv_shape *out);

#endif
