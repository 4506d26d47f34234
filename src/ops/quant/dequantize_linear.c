/* DequantizeLinear: y = (x - zero_point) * scale, with one scale, one for each channel of `axis`, or one for each block
 * along it; y has the scale's type, or that of output_dtype.
 *
 * The arithmetic, exactly: an exact integer difference, one rounding to float32, one product rounded to float32, and
 * for a 16-bit scale one more rounding to its type. */
#include "ops/quant/common_quantize.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"block_size", SKV_ATTR_INT, SKV_OPTIONAL},
    {"output_dtype", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_in_type(c, 0), *scale = skv_in_type(c, 1);
    if (x && x->dtype != SKIVE_DTYPE_NONE && x->dtype != SKIVE_I32 && !skv_is_quantized_dtype(x->dtype))
        return SKV_INFER_FAIL(
            c, SKIVE_ERR_SHAPE,
            "DequantizeLinear: input 0 is %s; integers of 2, 4, 8, 16 and 32 bits, float4e2m1 and float8 are supported",
            skive_dtype_name(x->dtype));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    SKV_TRY(skv_infer_scales(c));
    skv_out_like(c, 0, 0);
    const int64_t said = skv_attr_int(c->node, "output_dtype", 0);
    if (said && said != SKIVE_F32 && said != SKIVE_F16 && said != SKIVE_BF16)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "DequantizeLinear: output_dtype %lld is not a floating type",
                              (long long)said);
    c->out[0].dtype = said ? (skive_dtype)said : scale ? scale->dtype : SKIVE_DTYPE_NONE;
    if (c->out[0].dtype == SKIVE_F8E8M0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "DequantizeLinear: with scales of float8e8m0, output_dtype must be given");
    return SKIVE_OK;
}

typedef struct dequantizing {
    const skive_tensor *x, *scale, *zp;
    skive_tensor *y;
    skv_quantizer q; /* without a grid: int32 */
} dequantizing;

static void dequantize_run(void *user, int64_t first, int64_t n, int64_t s) {
    const dequantizing *t = user;
    float y[SKV_SCALE_RUN];
    int32_t code[SKV_SCALE_RUN];
    const skv_grid_params p = skv_scale_params(t->scale, t->zp, s);
    const int64_t zero = t->zp ? skv_load_i64(t->zp->dtype, t->zp->data, (size_t)s) : 0;
    for (int64_t i = 0; i < n; i++) {
        const size_t at = (size_t)(first + i);
        if (t->x->dtype == SKIVE_I32) /* the difference may not fit a code */
            y[i] = (float)(skv_load_i64(t->x->dtype, t->x->data, at) - zero) * p.scale;
        else
            code[i] = skv_grid_load_code(t->x->dtype, t->x->data, at);
    }
    if (t->q.grid) t->q.grid->decode(&t->q, &p, code, n, y);
    skv_from_f32(t->y->dtype, t->y->data, (size_t)first, (size_t)n, y);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    skive_tensor *y = c->out[0];
    skv_scale_map m;
    if (!y) return SKIVE_OK;
    SKV_TRY(skv_scale_map_of(c, x, c->in[1], &m));
    const skv_grid *grid = skv_grid_of_dtype(x->dtype);
    dequantizing t = {.x = x, .scale = c->in[1], .zp = c->n_in > 2 ? c->in[2] : NULL, .y = y};
    if (grid) t.q = skv_quantizer_of(grid);
    if (!grid && x->dtype != SKIVE_I32)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "DequantizeLinear: the input does not have a quantized type");
    skv_scale_runs(&m, dequantize_run, &t);
    return SKIVE_OK;
}

/* Integers of a QuantizeLinear: the gradient of the real number that they stand for (see there), which is that of the
 * result if both have one grid. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node, *q = n->inputs[0]->producer;
    if (!c->need[0]) return SKIVE_OK;
    c->din[0] = c->dout[0];
    if (!q || !skv_node_is(q, SKV_OP_QUANTIZE_LINEAR) || skv_same_scales(q, n)) return SKIVE_OK;
    return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                       "nodes '%s' and '%s' quantize and dequantize with different scales: no gradient is defined",
                       q->name, n->name);
}

static int needs_opset(const skive_node *n) {
    const skive_value *x = skv_node_in(n, 0), *scale = skv_node_in(n, 1);
    return skv_quantize_needs_opset(n, x ? x->type.dtype : SKIVE_U8, scale ? scale->type.dtype : SKIVE_F32);
}

static void cost(const skive_node *n, skive_cost *out) { skv_cost_per_element(n, out); }

static skive_status bounds(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    skv_bound_steps q;
    skv_range *r;
    if (n->outputs[0]->type.dtype != SKIVE_F32) return SKIVE_OK;
    if (!skv_bound_steps_of(b, &q)) return SKIVE_OK;
    SKV_TRY(skv_bound_output(b, q.axis, q.length, &r));
    for (int64_t c = 0; c < q.length; c++) {
        const float step = skv_bound_step(&q, c);
        const double z = skv_bound_zero(&q, c);
        const skv_range x = skv_bound_at(b, 0, q.axis, c);
        const double one = (double)((float)(x.lo - z) * step), other = (double)((float)(x.hi - z) * step);
        r[c] = (skv_range){one < other ? one : other, one < other ? other : one};
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "uint8", /* "dequantizelinear" of the ONNX specification */
     CASE_IN({CASE_TYPED(SKIVE_U8, 4), CASE_VALUES(0, 3, 128, 255)}, {CASE_SCALAR(SKIVE_F32, 2), .constant = true},
             {CASE_SCALAR(SKIVE_U8, 128)}),
     .n_out = 1,
     CASE_EXPECT(-256, -250, 0, 254),
     .no_grad = true},
    {.name = "axis", /* "dequantizelinear_axis" */
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 3, 3, 2),
              CASE_VALUES(3, 89, 34, 200, 74, 59, 5, 24, 24, 87, 32, 13, 245, 99, 4, 142, 121, 102)},
             {CASE_F32(3), CASE_VALUES(2, 4, 5), .constant = true},
             {CASE_TYPED(SKIVE_U8, 3), CASE_VALUES(84, 24, 196)}),
     .n_out = 1,
     CASE_EXPECT(-162, 10, -100, 232, -20, -50, -76, 0, 0, 252, 32, -44, 245, -485, -960, -270, -375, -470),
     .no_grad = true},
    {.name = "int4 in blocks of 2",
     CASE_IN({CASE_TYPED(SKIVE_I4, 2, 3), CASE_VALUES(1, -4, 4, 7, -8, 5)},
             {CASE_F32(2, 2), CASE_VALUES(1, 3, 10, 0.5), .constant = true},
             {CASE_TYPED(SKIVE_I4, 2, 2), CASE_VALUES(0, 1, 0, 1)}),
     CASE_ATTRS(CASE_INT("axis", -1), CASE_INT("block_size", 2)),
     .n_out = 1,
     CASE_EXPECT(1, -4, 9, 70, -80, 2),
     .no_grad = true},
    {.name = "blocks along axis 0",
     CASE_IN({CASE_TYPED(SKIVE_U4, 4, 2), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8)},
             {CASE_F32(2, 2), CASE_VALUES(1, 10, 100, 1000), .constant = true}),
     CASE_ATTRS(CASE_INT("axis", 0), CASE_INT("block_size", 2)),
     .n_out = 1,
     CASE_EXPECT(1, 20, 3, 40, 500, 6000, 700, 8000),
     .no_grad = true},
    {.name = "float4e2m1 in blocks with scales of float8e8m0", /* MXFP4 */
     CASE_IN({CASE_TYPED(SKIVE_F4E2M1, 4), CASE_VALUES(0.5, -6, 3, 1.5)},
             {CASE_TYPED(SKIVE_F8E8M0, 2), CASE_VALUES(2, 0.25), .constant = true}),
     CASE_ATTRS(CASE_INT("axis", 0), CASE_INT("block_size", 2), CASE_INT("output_dtype", SKIVE_F32)),
     .n_out = 1,
     CASE_EXPECT(1, -12, 0.75, 0.375),
     .no_grad = true},
    {.name = "int2",
     CASE_IN({CASE_TYPED(SKIVE_I2, 5), CASE_VALUES(0, 1, -1, -2, 1)}, {CASE_SCALAR(SKIVE_F32, 2), .constant = true},
             {CASE_SCALAR(SKIVE_I2, 1)}),
     .n_out = 1,
     CASE_EXPECT(-2, 0, -4, -6, 0),
     .no_grad = true},
    {.name = "int32 bias",
     CASE_IN({CASE_TYPED(SKIVE_I32, 2), CASE_VALUES(-70000, 3)}, {CASE_F32(2), CASE_VALUES(0.5, 2), .constant = true}),
     CASE_ATTRS(CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(-35000, 6),
     .no_grad = true},
    {.name = "float8e4m3fnuz",
     CASE_IN({CASE_TYPED(SKIVE_F8E4M3FNUZ, 3), CASE_VALUES(240, -0.0009765625, 1.25)},
             {CASE_SCALAR(SKIVE_F32, 2), .constant = true}, {CASE_SCALAR(SKIVE_F8E4M3FNUZ, 0)}),
     .n_out = 1,
     CASE_EXPECT(480, -0.001953125, 2.5),
     .no_grad = true},
    {.name = "float16 scale",
     CASE_IN({CASE_TYPED(SKIVE_I8, 2), CASE_VALUES(-4, 3)}, {CASE_SCALAR(SKIVE_F16, 0.5), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(-2, 1.5),
     .no_grad = true},
};

const skv_op skv_op_dequantize_linear = {
    .name = "DequantizeLinear",
    .domain = "",
    .brief = "integers on a uniform grid back to real numbers",
    .since = 21,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .inputs = skv_quantize_inputs,
    .n_inputs = SKV_QUANTIZE_INPUTS,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_scales,
    .bounds = bounds,
    .cost = cost,
    SKV_LIST(cases),
    .no_fold = true,
};
