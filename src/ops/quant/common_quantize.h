/* Shared by QuantizeLinear and DequantizeLinear: the scale and zero point of each element. */
#ifndef SKV_OPS_COMMON_QUANTIZE_H
#define SKV_OPS_COMMON_QUANTIZE_H

#include "ops/common_nn.h"
#include "tensor/grid.h"

/* One scale (scalar or one element), one along `axis`, or one for each block of `block_size` elements along `axis`. */
typedef struct skv_scale_map {
    int64_t outer, length, inner; /* of x around axis; outer = 1, length = 1, inner = all for one scale */
    int64_t block, blocks;        /* block 0: per axis; otherwise blocks = ceil(length / block) */
} skv_scale_map;

/* Checks the shapes of scale (input 1) and zero point (input 2) against x (input 0). */
skive_status skv_infer_scales(skv_infer *c);
skive_status skv_scale_map_of(const skv_eval *c, const skive_tensor *x, const skive_tensor *scale, skv_scale_map *out);
/* Index of the scale of element (o, i, q) of x seen as [outer][length][inner]. */
static inline int64_t skv_scale_index(const skv_scale_map *m, int64_t o, int64_t i, int64_t q) {
    return m->block ? (o * m->blocks + i / m->block) * m->inner + q : i;
}
/* Calls `run` for runs of at most SKV_SCALE_RUN elements that share the scale of index s: [first, first + n). */
enum { SKV_SCALE_RUN = 256 };
void skv_scale_runs(const skv_scale_map *m, void (*run)(void *user, int64_t first, int64_t n, int64_t s), void *user);
/* The scale and zero point (NULL: 0; of float8 not read) of index s. */
skv_grid_params skv_scale_params(const skive_tensor *scale, const skive_tensor *zero_point, int64_t s);
/* Blocks of the weights of DequantizeGemm are multiples of it, or one block is all. */
enum { SKV_PACKED_BLOCK = 16 };
static inline bool skv_is_half_dtype(skive_dtype t) { return t == SKIVE_F16 || t == SKIVE_BF16; }
bool skv_is_quantized_dtype(skive_dtype dtype); /* integers of 2, 4, 8, 16 bits, float4, float8 */
/* The roles of x, scale and zero point. */
enum { SKV_QUANTIZE_INPUTS = 3 };
extern const skv_input_spec skv_quantize_inputs[SKV_QUANTIZE_INPUTS];
/* The quantizer of the attribute `grid`. ERR_GRAPH naming the node; codebooks have no place for their levels. */
skive_status skv_fake_quantizer_of(skive_context *ctx, const skive_node *node, skv_quantizer *out);
/* FakeQuantizeGrad of the node's inputs and the gradient of its output. */
skive_value *skv_fake_quantize_gradient(skv_grad *c, const char *grid);

/* ---- FakeQuantize and its gradient ---- */

/* How the scale is learned: the attribute `step`. With t = x / scale and the ends of the levels l and h, the gradient
 * of the rounded number is
 *
 *     fixed   with respect to x the grid's rule; the scale is not learned
 *     lsq     with respect to x 1 where l < t < h, else 0; to the scale level(t) - t there, else the end (Esser et al.
 *             2020)
 *     pact    the same for x; to the scale 0 there, else the end: that of a learned clip (Choi et al. 2018) */
typedef enum skv_step_rule { SKV_STEP_FIXED, SKV_STEP_LSQ, SKV_STEP_PACT } skv_step_rule;

typedef struct skv_fake {
    skv_quantizer q;
    skv_step_rule step;
    double factor; /* on the gradient of the scale */
    double momentum, delay;
    bool fits; /* there is no scale: parameters are found from the numbers */
    /* x first becomes s * tanh(x) / max|tanh(x)|, s being the highest level times the scale (Zhou et al. 2016), where
     * the attribute `transform` is "tanh"; `most` is the maximum, within skv_fake_runs. */
    bool tanh;
    double most;
} skv_fake;
/* The attributes that both nodes have. */
enum { SKV_FAKE_SCALE = 1, SKV_FAKE_ZERO = 2, SKV_FAKE_COUNT = 3 };
skive_status skv_fake_of(skive_context *ctx, const skive_node *node, bool has_scale, skv_fake *out);
/* The scales of x: found from x if fake->fits (one a channel of `axis`, or one), otherwise those of the inputs. Calls
 * `run` for runs of elements as skv_scale_runs does, with their parameters. */
typedef void (*skv_fake_run)(void *user, const skv_fake *f, const skv_grid_params *p, int64_t first, int64_t n,
                             int64_t s);
skive_status skv_fake_runs(const skv_eval *c, const skv_fake *f, const skive_tensor *x, const skive_tensor *scale,
                           const skive_tensor *zero, skv_fake_run run, void *user);
/* Parameters of each channel along `axis` (of all numbers where the grid has one set, or axis is -1) by the grid's own
 * method: params[channels], freed by skv_free. Errors: NUMERIC. */
skive_status skv_fake_fit(skive_context *ctx, const skv_quantizer *q, const skive_tensor *x, int axis,
                          skv_grid_params **params, int64_t *n);
/* The transform, and the slope of each number in it where `slope` is not NULL. */
void skv_fake_transform(const skv_fake *f, const skv_grid_params *p, float *x, int64_t n, float *slope);
/* The ends of the levels, in steps. */
void skv_fake_ends(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high);
/* Has quantization not begun? It begins when *count has reached the delay. */
/* Input i, the number of steps so far, is one number. */
skive_status skv_fake_want_count(skv_infer *c, size_t i);
static inline bool skv_fake_waits(const skv_fake *f, const skive_tensor *count) {
    return count && f->delay > 0 && skv_load_f64(count->dtype, count->data, 0) < f->delay;
}
/* The scale that covers the numbers of x around the zero point. */
float skv_fake_cover(const skv_fake *f, const skv_grid_params *p, const float *x, int64_t n, float most);
/* The threshold of TrainedTernary: a fraction of max|x|. */
double skv_ternary_limit(const skive_node *n, const skive_tensor *x);
/* Do QuantizeLinear q and DequantizeLinear d have the same scale, by being one value or equal constants? */
bool skv_same_scales(const skive_node *q, const skive_node *d);
void skv_couple_scales(skv_couple *c);

/* Scale and zero point for the `bounds` of a node: constants, one for all or one for each index of the axis. */
typedef struct skv_bound_steps {
    const skive_tensor *scale, *zero; /* zero NULL: 0 */
    int axis;                         /* of the bounds; below 0: one for all */
    int64_t length, scales;
} skv_bound_steps;
/* False: there is nothing to say of such a node. */
bool skv_bound_steps_of(const skv_bounding *b, skv_bound_steps *out);
float skv_bound_step(const skv_bound_steps *s, int64_t index);
double skv_bound_zero(const skv_bound_steps *s, int64_t index);
int skv_quantize_needs_opset(const skive_node *n, skive_dtype integer, skive_dtype scale);

#endif
