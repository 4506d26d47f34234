/* Number grids: the one place where a real number becomes few bits and comes back.
 *
 * A grid has codes, and a level for each. With a scale s, a real number x has the code whose level is nearest to x / s,
 * and a code stands for level * s:
 *
 *     t = x / s                 one float32 division
 *     code = nearest level to t, ties to the even code; outside, the first or the last
 *     x' = level(code) * s      one float32 product
 *
 * Integers: level(code) = code - zero_point. Everything that quantizes uses this arithmetic: the operators
 * QuantizeLinear, DequantizeLinear and FakeQuantize, calibration, the rounding to storage forms.
 *
 * One record per grid, listed in grids.inc. A quantizer is a grid with its options: how it is laid over a tensor and
 * how its parameters are found. The text form is "int4", "int4:32", "int8:tensor,narrow", "uint4:asymmetric,fit=least",
 * "fixed:4", "codebook:16". */
#ifndef SKV_TENSOR_GRID_H
#define SKV_TENSOR_GRID_H

#include "base/option.h"
#include "tensor/tensor.h"

typedef struct skv_grid skv_grid;
typedef struct skv_quantizer skv_quantizer;

/* The numbers of one group of elements. */
typedef struct skv_grid_params {
    float scale;         /* above 0; of a group of zeros it may be 0. 1 of grids without a scale */
    int32_t zero_point;  /* integers: the code of 0 */
    float threshold;     /* ternary: magnitudes up to it become 0 */
    const float *levels; /* codebook: [high + 1] ascending; borrowed */
} skv_grid_params;

typedef enum skv_grid_per {
    SKV_PER_CHANNEL, /* one set of parameters for each index of the first axis */
    SKV_PER_TENSOR,
    SKV_PER_GROUP, /* one for each `group` consecutive elements of a row */
} skv_grid_per;

/* How parameters are found from the numbers themselves. */
typedef enum skv_grid_fit {
    SKV_FIT_USUAL, /* the grid's usual method: of integers a search over 24 clips, of ternary TWN's threshold ... */
    SKV_FIT_RANGE, /* nothing is clipped */
    SKV_FIT_LEAST, /* the least squared error */
} skv_grid_fit;

/* The options of grids, for the tables of the records. */
#define SKV_GRID_GROUP(default_)                                                      \
    {                                                                                 \
        .name = "group", .type = SKV_OPTION_TEXT, .text = (default_),                 \
        .brief = "what shares a scale: tensor, channel, or so many elements of a row" \
    }
#define SKV_GRID_ASYMMETRIC \
    { .name = "asymmetric", .type = SKV_OPTION_SWITCH, .brief = "a zero point for each scale" }
#define SKV_GRID_NARROW \
    { .name = "narrow", .type = SKV_OPTION_SWITCH, .brief = "without the lowest code" }
#define SKV_GRID_POWER \
    { .name = "power-of-two", .type = SKV_OPTION_SWITCH, .brief = "scales are powers of two" }
#define SKV_GRID_FIT                                                                                         \
    {                                                                                                        \
        .name = "fit", .type = SKV_OPTION_CHOICE, .text = "usual", .choices = skv_grid_fit_name,             \
        .brief = "how scales of weights are found: usual, range (nothing is clipped), least (squared error)" \
    }
const char *skv_grid_fit_name(size_t i);

struct skv_quantizer {
    const skv_grid *grid;
    int32_t low, high; /* the codes in use */
    skv_grid_per per;
    int64_t group;
    bool asymmetric, narrow, power_of_two;
    skv_grid_fit fit;
    int fraction; /* fixed point */
};

/* The gradient of x' with respect to x: 1 where `rule` says so, else 0 (straight through; Bengio et al. 2013). */
typedef enum skv_grid_gradient {
    SKV_GRADIENT_CLIPPED, /* where rounding, not clipping, decided: no further outside than half of the last step */
    SKV_GRADIENT_ALL,     /* everywhere */
} skv_grid_gradient;

struct skv_grid {
    const char *name, *brief;
    int bits;          /* of a stored code */
    int32_t low, high; /* the codes */
    const skv_option *options;
    size_t n_options;
    bool scaled;     /* has a scale */
    bool uniform;    /* the levels are code - zero_point */
    bool own_levels; /* the levels are found from the numbers: params.levels */
    skv_grid_gradient gradient;
    const char *form; /* the storage form that holds it in .skv; NULL: as a codebook, or dense in `dtype` */
    skive_dtype
        dtype; /* the element type of QuantizeLinear and DequantizeLinear that holds its codes; SKIVE_DTYPE_NONE:
                         * none does, and a file holds a codebook with Gather, or plain weights */
    const float *table; /* [high - low + 1] levels, ascending with the code; NULL: another rule */
    /* The grid of the same kind for numbers of both signs, and for those that are not negative; NULL: none. */
    const skv_grid *both, *positive;
    /* Codes of x[n]; NaN gives the code of 0 (of float grids NaN). */
    void (*encode)(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code);
    void (*decode)(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x);
    /* Parameters that cover [low, high], finite numbers, widened to include 0. NULL: found from weights only. */
    void (*solve_range)(const skv_quantizer *q, double low, double high, skv_grid_params *p);
    /* Parameters for x[n], n > 0, all finite. A codebook writes to levels[q->high + 1] and p->levels is that; others
     * do not need `levels`. ERR_MEMORY. */
    skive_status (*solve)(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                          skv_grid_params *p);
    /* Where rounding decides, in steps: outside the gradient of SKV_GRADIENT_CLIPPED is 0. */
    void (*inside)(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high);
};

size_t skv_grid_count(void);
const skv_grid *skv_grid_at(size_t i);
const char *skv_grid_name(size_t i);
const skv_grid *skv_grid_find(const char *name);
extern const skv_family skv_grid_family;
bool skv_grid_has_option(const skv_grid *grid, const char *name);
/* The integer, float4 or float8 grid whose codes are the numbers (of float8 the bits, of float4 the number of the level
 * with its sign) of an element type; NULL if none. */
const skv_grid *skv_grid_of_dtype(skive_dtype dtype);
/* Such a code from and to an element. */
int32_t skv_grid_load_code(skive_dtype dtype, const void *data, size_t i);
void skv_grid_store_code(skive_dtype dtype, void *data, size_t i, int32_t code);
/* Does saturation to the element type end where the grid ends? If not (5 bits in int8), a file needs a Clip as well. */
bool skv_grid_fills_dtype(const skv_quantizer *q);

/* The grid with its default options. */
skv_quantizer skv_quantizer_of(const skv_grid *grid);
/* From the text form. ERR_ARGUMENT for unknown grids and options, and values out of range. */
skive_status skv_quantizer_parse(skive_context *ctx, const char *text, skv_quantizer *out);

/* The quantizer for numbers from `low` on: of a grid that has one for both signs and one for numbers that are not
 * negative, the one that fits. */
skv_quantizer skv_quantizer_from(const skv_quantizer *q, double low);

/* ---- numbers ---- */

static inline int32_t skv_grid_encode(const skv_quantizer *q, const skv_grid_params *p, float x) {
    int32_t code;
    q->grid->encode(q, p, &x, 1, &code);
    return code;
}
static inline float skv_grid_decode(const skv_quantizer *q, const skv_grid_params *p, int32_t code) {
    float x;
    q->grid->decode(q, p, &code, 1, &x);
    return x;
}
/* The different finite numbers that the grid holds, ascending, at most `room` of them; returns how many. */
size_t skv_grid_levels(const skv_quantizer *q, const skv_grid_params *p, float *levels, size_t room);
/* The lowest and the highest. */
void skv_grid_ends(const skv_quantizer *q, const skv_grid_params *p, double *low, double *high);
/* y[n] = decode(encode(x[n])); y may be x. */
void skv_grid_fake(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, float *y);
/* dx[n] = dy[n] where the gradient passes, else 0; dx may be dy. */
void skv_grid_gradient_of(const skv_quantizer *q, const skv_grid_params *p, const float *x, const float *dy, int64_t n,
                          float *dx);
/* The sum of squared differences of x[n] and its rounded form; each difference is rounded to float32. */
double skv_grid_error(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n);

/* ---- tensors ---- */

/* The number of consecutive elements that share parameters. A group never spans two rows (with more than two axes: two
 * indices of the first): if it does not divide the row, the row is the group. */
int64_t skv_quantizer_group(const skv_quantizer *q, const skive_tensor *t);
/* Rounds a float32 tensor to the grid, each group with parameters of its own. ERR_NUMERIC if an element is not finite,
 * or is too large for a grid without a scale. */
skive_status skv_quantizer_round(skive_context *ctx, const skv_quantizer *q, skive_tensor *t);

/* ---- affine integers by other rules ---- */

/* The asymmetric grid of DynamicQuantizeLinear for numbers from low <= 0 to high >= 0: as solve_range of uint8, but
 * with each step rounded to float32, as ONNX defines it. */
void skv_grid_dynamic_u8(float low, float high, skv_grid_params *p);

/* ---- shared by the records (grid_*.c) ---- */

/* Scales by the method of q->fit, for grids whose level 0 stands for 0 and whose largest level is `top`. */
skive_status skv_grid_solve_scale(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float top,
                                  skv_grid_params *p);
float skv_grid_largest(const float *x, int64_t n); /* magnitude */
/* Level of a code at scale 1 and the parameters' zero point. */
float skv_grid_level(const skv_quantizer *q, const skv_grid_params *p, int32_t code);
/* The scale rounded up to a power of two. */
float skv_grid_power_above(float scale);
/* Integers (grid_integer.c), also used by fixed point. */
void skv_integer_encode(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code);
void skv_integer_decode(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x);
void skv_integer_inside(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high);
/* Tables of levels (grid_table.c). */
void skv_table_encode(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code);
void skv_table_decode(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x);
void skv_table_inside(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high);
void skv_table_solve_range(const skv_quantizer *q, double low, double high, skv_grid_params *p);
skive_status skv_table_solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                             skv_grid_params *p);

#define X(id) extern const skv_grid skv_grid_##id;
#include "tensor/grids.inc"
#undef X

#endif
