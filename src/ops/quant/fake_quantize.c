/* FakeQuantize(x, scale?, zero_point?, count?): x rounded to a number grid, in floats: decode(encode(x)) of the grid
 * that the attribute `grid` names, with one scale, one for each channel of `axis`, or one for each block of
 * `block_size` along it. The arithmetic is that of the grid (tensor/grid.h); for an integer grid it is
 * DequantizeLinear of QuantizeLinear. Without a scale its parameters are found from x itself, by the grid's own method,
 * for each channel of `axis` or for all (grid "ternary:tensor").
 *
 * The gradient passes straight through, by the grid's rule: for integers, where rounding and not clipping decided the
 * result (Jacob et al. 2018; Bengio et al. 2013). With the attribute `step` the scale is learned, and its gradient is
 * multiplied by `factor` (common_quantize.h).
 *
 * In training it has up to three outputs: the second is the scale of the next step, a moving average with `momentum`
 * of the scales that cover x; the third is count + 1. Until count has reached `delay`, x passes as it is. */
#include "ops/quant/common_quantize.h"

static const skv_attr_spec attrs[] = {
    {"grid", SKV_ATTR_STRING, SKV_REQUIRED},    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"block_size", SKV_ATTR_INT, SKV_OPTIONAL}, {"step", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"factor", SKV_ATTR_FLOAT, SKV_OPTIONAL},   {"decay", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"momentum", SKV_ATTR_FLOAT, SKV_OPTIONAL}, {"delay", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_fake f;
    const bool has_scale = c->n_in > SKV_FAKE_SCALE && c->node->inputs[SKV_FAKE_SCALE];
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_fake_of(c->ctx, c->node, has_scale, &f));
    SKV_TRY(skv_infer_scales(c));
    SKV_TRY(skv_fake_want_count(c, SKV_FAKE_COUNT));
    skv_out_like(c, 0, 0);
    if (c->n_out > 1) skv_out_like(c, 1, SKV_FAKE_SCALE);
    if (c->n_out > 2) skv_out_like(c, 2, SKV_FAKE_COUNT);
    return SKIVE_OK;
}

typedef struct rounding {
    const skive_tensor *x;
    skive_tensor *y;
    float *cover; /* of each scale, or NULL */
    bool waits;
} rounding;

static void round_run(void *user, const skv_fake *f, const skv_grid_params *p, int64_t first, int64_t n, int64_t s) {
    rounding *t = user;
    float x[SKV_SCALE_RUN];
    skv_to_f32(t->x->dtype, t->x->data, (size_t)first, (size_t)n, x);
    skv_fake_transform(f, p, x, n, NULL);
    if (t->cover) t->cover[s] = skv_fake_cover(f, p, x, n, t->cover[s]);
    if (!t->waits) skv_grid_fake(&f->q, p, x, n, x);
    if (t->y) skv_from_f32(t->y->dtype, t->y->data, (size_t)first, (size_t)n, x);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *scale = c->n_in > SKV_FAKE_SCALE ? c->in[SKV_FAKE_SCALE] : NULL,
                       *zero = c->n_in > SKV_FAKE_ZERO ? c->in[SKV_FAKE_ZERO] : NULL,
                       *count = c->n_in > SKV_FAKE_COUNT ? c->in[SKV_FAKE_COUNT] : NULL;
    skive_tensor *next = c->n_out > 1 ? c->out[1] : NULL, *counted = c->n_out > 2 ? c->out[2] : NULL;
    rounding t = {.x = c->in[0], .y = c->out[0]};
    skv_fake f;
    SKV_TRY(skv_fake_of(c->ctx, c->node, scale != NULL, &f));
    t.waits = skv_fake_waits(&f, count);
    const size_t n = scale && next ? (size_t)skive_tensor_count(scale) : 0;
    if (n) SKV_TRY(skv_alloc_array(c->ctx, n, sizeof *t.cover, &t.cover));
    const skive_status status = skv_fake_runs(c, &f, t.x, scale, zero, round_run, &t);
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) {
        const double old = skv_load_f64(scale->dtype, scale->data, i);
        const double seen = t.cover[i] > 0 ? (double)t.cover[i] : old;
        skv_store_f64(next->dtype, next->data, i, f.momentum * old + (1 - f.momentum) * seen);
    }
    skv_free(c->ctx, t.cover);
    if (counted && count)
        skv_store_f64(counted->dtype, counted->data, 0, skv_load_f64(count->dtype, count->data, 0) + 1);
    return status;
}

static skive_status grad(skv_grad *c) {
    skive_value *dx = skv_fake_quantize_gradient(c, skv_attr_string(c->node, "grid", ""));
    if (c->need[0]) c->din[0] = dx;
    return c->b->status;
}

static const skv_op_case cases[] = {
    /* steps of 0.5: 0 1.2 2.4 is 0 2.4 4.8, to 0 2 5; 9 is clipped to 7 */
    {.name = "int4",
     CASE_IN({CASE_F32(5), CASE_VALUES(0, 1.2, 2.4, 9, -9)}, {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "int4")),
     .n_out = 1,
     CASE_EXPECT(0, 1, 2.5, 3.5, -4),
     .no_grad = true},
    {.name = "uint8 with a zero point, an axis",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(-3, 300, -3, 300)}, {CASE_F32(2), CASE_VALUES(1, 2), .constant = true},
             {CASE_TYPED(SKIVE_U8, 2), CASE_VALUES(1, 2)}),
     CASE_ATTRS(CASE_STR("grid", "uint8"), CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(-1, 254, -4, 300),
     .no_grad = true},
    {.name = "ternary",
     CASE_IN({CASE_F32(4), CASE_VALUES(-3, 0.9, 1.1, 0)}, {CASE_SCALAR(SKIVE_F32, 2), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "ternary")),
     .n_out = 1,
     CASE_EXPECT(-2, 0, 2, 0),
     .no_grad = true},
    /* mean magnitude 1.25, threshold 0.875: -3 and 1.1 stay, of mean 2.05 */
    {.name = "ternary, fitted",
     CASE_IN({CASE_F32(4), CASE_VALUES(-3, 0.5, 1.1, -0.4)}),
     CASE_ATTRS(CASE_STR("grid", "ternary")),
     .n_out = 1,
     CASE_EXPECT(-2.05, 0, 2.05, 0),
     .no_grad = true},
    {.name = "binary, fitted by column",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(-3, 1, 1, 2)}),
     CASE_ATTRS(CASE_STR("grid", "binary"), CASE_INT("axis", 1)),
     .n_out = 1,
     CASE_EXPECT(-2, 1.5, 2, 1.5),
     .no_grad = true},
    {.name = "waits",
     CASE_IN({CASE_F32(2), CASE_VALUES(0.3, 9)}, {CASE_SCALAR(SKIVE_F32, 1), .constant = true},
             {CASE_SCALAR(SKIVE_U8, 0)}, {CASE_SCALAR(SKIVE_F32, 4), .constant = true}),
     CASE_ATTRS(CASE_STR("grid", "uint2"), CASE_FLT("delay", 5), CASE_FLT("momentum", 0.9)),
     .n_out = 3,
     CASE_EXPECT(0.3, 9),
     .no_grad = true},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA}, {.role = SKV_ROLE_CONSTANT}, {.role = SKV_ROLE_CONSTANT}, {.role = SKV_ROLE_CONSTANT}};

const skv_op skv_op_fake_quantize = {
    .name = "FakeQuantize",
    .domain = SKV_DOMAIN,
    .brief = "rounds to a number grid, with a straight-through gradient",
    .since = 1,
    .min_in = 1,
    .max_in = 4,
    .min_out = 1,
    .max_out = 3,
    SKV_LIST(attrs),
    .inputs = inputs,
    .n_inputs = SKV_COUNT(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_scales,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .no_fold = true,
};
