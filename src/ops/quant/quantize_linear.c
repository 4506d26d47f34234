/* QuantizeLinear: y = saturate(nearest_even(x / scale) + zero_point), with one scale, one for each channel of `axis`,
 * or one for each block along it.
 *
 * The arithmetic is that of the type's number grid (tensor/grid.h): x and scale as float32, one division rounded to
 * float32, one rounding to the nearest integer (ties to even), an exact sum with the zero point, saturation to the
 * type's range. A NaN gives the zero point. To a float8, whose zero point is 0, the quotient is rounded as by Cast. */
#include <float.h>

#include "ops/quant/common_quantize.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},         {"block_size", SKV_ATTR_INT, SKV_OPTIONAL},
    {"output_dtype", SKV_ATTR_INT, SKV_OPTIONAL}, {"precision", SKV_ATTR_INT, SKV_OPTIONAL},
    {"saturate", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_dtype result_type(const skive_node *n, const skive_type *zero_point) {
    if (zero_point) return zero_point->dtype;
    int64_t given = skv_attr_int(n, "output_dtype", 0);
    return given > 0 && given < 256 ? (skive_dtype)given : given ? SKIVE_DTYPE_NONE : SKIVE_U8;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_in_type(c, 0), *zp = skv_in_type(c, 2);
    if (!x || x->dtype != SKIVE_I32) SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_infer_scales(c));
    skive_dtype to = result_type(c->node, zp);
    bool unknown = zp && zp->dtype == SKIVE_DTYPE_NONE;
    if (!unknown && !skv_is_quantized_dtype(to))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "QuantizeLinear: cannot quantize to %s; integers of 2, 4, 8 and 16 bits, float4e2m1 and "
                              "float8 are supported",
                              skive_dtype_name(to));
    const int64_t precision = skv_attr_int(c->node, "precision", 0);
    if (precision != 0 && precision != SKIVE_F32)
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED,
                              "QuantizeLinear: the precision %lld is not supported; the division is made in float32",
                              (long long)precision);
    int64_t said = skv_attr_int(c->node, "output_dtype", 0);
    if (said && !unknown && said != (int64_t)to)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "QuantizeLinear: output_dtype and the zero point's type differ");
    skv_out_like(c, 0, 0);
    c->out[0].dtype = to;
    return SKIVE_OK;
}

/* The float8 types without saturation: what is too large becomes infinity or NaN, as by Cast. */
static void without_saturation(const skive_tensor *x, const skive_tensor *scale, const skv_scale_map *m,
                               skive_tensor *y) {
    int64_t e = 0;
    for (int64_t o = 0; o < m->outer; o++) {
        for (int64_t i = 0; i < m->length; i++) {
            for (int64_t q = 0; q < m->inner; q++, e++) {
                const size_t s = (size_t)skv_scale_index(m, o, i, q);
                const float ratio = (float)skv_load_f64(x->dtype, x->data, (size_t)e) /
                                    (float)skv_load_f64(scale->dtype, scale->data, s);
                ((uint8_t *)y->data)[e] = skv_f64_to_f8(y->dtype, (double)ratio, false);
            }
        }
    }
}

typedef struct quantizing {
    const skive_tensor *x, *scale, *zp;
    skive_tensor *y;
    skv_quantizer q;
} quantizing;

static void quantize_run(void *user, int64_t first, int64_t n, int64_t s) {
    const quantizing *t = user;
    float x[SKV_SCALE_RUN];
    int32_t code[SKV_SCALE_RUN];
    const skv_grid_params p = skv_scale_params(t->scale, t->zp, s);
    skv_to_f32(t->x->dtype, t->x->data, (size_t)first, (size_t)n, x);
    t->q.grid->encode(&t->q, &p, x, n, code);
    for (int64_t i = 0; i < n; i++) skv_grid_store_code(t->y->dtype, t->y->data, (size_t)(first + i), code[i]);
}

static skive_status run(const skv_eval *c) {
    skive_tensor *y = c->out[0];
    skv_scale_map m;
    if (!y) return SKIVE_OK;
    SKV_TRY(skv_scale_map_of(c, c->in[0], c->in[1], &m));
    const skv_grid *grid = skv_grid_of_dtype(y->dtype);
    if (!grid)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "QuantizeLinear: the output does not have a quantized type");
    if (skv_dtype_is_float8(y->dtype) && skv_attr_int(c->node, "saturate", 1) == 0) {
        without_saturation(c->in[0], c->in[1], &m, y);
        return SKIVE_OK;
    }
    quantizing t = {c->in[0], c->in[1], c->n_in > 2 ? c->in[2] : NULL, y, skv_quantizer_of(grid)};
    skv_scale_runs(&m, quantize_run, &t);
    return SKIVE_OK;
}

/* Straight through. The gradient that arrives at an integer is that of the real number it stands for, so the scale does
 * not enter here, nor in DequantizeLinear. */
static skive_status grad(skv_grad *c) {
    const skive_dtype to = c->node->outputs[0]->type.dtype;
    const skv_grid *grid = skv_grid_of_dtype(to);
    if (!grid)
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_GRAPH, c->node->name,
                           "node '%s': the gradient of a rounding to %s is not known", c->node->name,
                           skive_dtype_name(to));
    if (c->need[0]) c->din[0] = skv_fake_quantize_gradient(c, grid->name);
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)in;
    const skive_value *zp = skv_node_in(n, 2);
    int64_t low;
    uint64_t high;
    if (!skv_dtype_int_range(result_type(n, zp ? &zp->type : NULL), &low, &high)) return skv_range_any();
    return (skv_range){(double)low, (double)high};
}

static int needs_opset(const skive_node *n) {
    const skive_value *zp = skv_node_in(n, 2), *scale = skv_node_in(n, 1);
    return skv_quantize_needs_opset(n, result_type(n, zp ? &zp->type : NULL), scale ? scale->type.dtype : SKIVE_F32);
}

static void cost(const skive_node *n, skive_cost *out) { skv_cost_per_element(n, out); }

/* Rounding is monotonic. The integer form of a quantized product multiplies by a rounded factor where this divides, so
 * that a number may be off by a few units in its last place. */
static skive_status bounds(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    const skive_type *y = &n->outputs[0]->type;
    skv_bound_steps q;
    int64_t low;
    uint64_t high;
    skv_range *r;
    if (n->inputs[0]->type.dtype != SKIVE_F32 || !skv_dtype_int_range(y->dtype, &low, &high)) return SKIVE_OK;
    if (!skv_bound_steps_of(b, &q)) return SKIVE_OK;
    SKV_TRY(skv_bound_output(b, q.axis, q.length, &r));
    for (int64_t c = 0; c < q.length; c++) {
        const float step = skv_bound_step(&q, c);
        const double z = skv_bound_zero(&q, c);
        const skv_range x = skv_bound_at(b, 0, q.axis, c);
        const float near = (float)(x.lo - 4 * (double)FLT_EPSILON * fabs(x.lo)),
                    far = (float)(x.hi + 4 * (double)FLT_EPSILON * fabs(x.hi));
        if (!(step > 0)) {
            r[c] = (skv_range){(double)low, (double)high};
            continue;
        }
        r[c].lo = fmin(fmax(rint((double)(near / step)) + z, (double)low), (double)high);
        r[c].hi = fmin(fmax(rint((double)(far / step)) + z, (double)low), (double)high);
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "to float4e2m1", /* ties to the even code, saturation */
     CASE_IN({CASE_F32(6), CASE_VALUES(1, -5, 0.5, 26, 10, -100)}, {CASE_SCALAR(SKIVE_F32, 4), .constant = true},
             {CASE_SCALAR(SKIVE_F4E2M1, 0)}),
     .n_out = 1,
     CASE_EXPECT(0, -1, 0, 6, 2, -6),
     .no_grad = true},
    {.name = "to uint2",
     CASE_IN({CASE_F32(5), CASE_VALUES(-3, 0, 2, 3, 9)}, {CASE_SCALAR(SKIVE_F32, 2), .constant = true},
             {CASE_SCALAR(SKIVE_U2, 1)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 2, 3, 3),
     .no_grad = true},
    {.name = "uint8", /* "quantizelinear" of the ONNX specification */
     CASE_IN({CASE_F32(6), CASE_VALUES(0, 2, 3, 1000, -254, -1000)}, {CASE_SCALAR(SKIVE_F32, 2)},
             {CASE_SCALAR(SKIVE_U8, 128)}),
     .n_out = 1,
     CASE_EXPECT(128, 129, 130, 255, 1, 0),
     .no_grad = true},
    {.name = "ties go to the even neighbour",
     CASE_IN({CASE_F32(6), CASE_VALUES(0.5, 1.5, 2.5, -0.5, -1.5, -2.5)}, {CASE_SCALAR(SKIVE_F32, 1)},
             {CASE_SCALAR(SKIVE_I8, 1)}),
     .n_out = 1,
     CASE_EXPECT(1, 3, 3, 1, -1, -1),
     .no_grad = true},
    {.name = "axis", /* "quantizelinear_axis" */
     CASE_IN({CASE_F32(1, 3, 3, 2),
              CASE_VALUES(-162, 10, -100, 232, -20, -50, -76, 0, 0, 252, 32, -44, 245, -485, -960, -270, -375, -470)},
             {CASE_F32(3), CASE_VALUES(2, 4, 5)}, {CASE_TYPED(SKIVE_U8, 3), CASE_VALUES(84, 24, 196)}),
     .n_out = 1,
     CASE_EXPECT(3, 89, 34, 200, 74, 59, 5, 24, 24, 87, 32, 13, 245, 99, 4, 142, 121, 102),
     .no_grad = true},
    {.name = "int4 in blocks of 2",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, -4, 9, 100, -100, 2)}, {CASE_F32(2, 2), CASE_VALUES(1, 3, 10, 0.5)},
             {CASE_TYPED(SKIVE_I4, 2, 2), CASE_VALUES(0, 1, 0, 1)}),
     CASE_ATTRS(CASE_INT("axis", 1), CASE_INT("block_size", 2)),
     .n_out = 1,
     CASE_EXPECT(1, -4, 4, 7, -8, 5),
     .no_grad = true},
    {.name = "uint4, no zero point",
     CASE_IN({CASE_F32(3), CASE_VALUES(-1, 7, 40)}, {CASE_SCALAR(SKIVE_F32, 2)}),
     CASE_ATTRS(CASE_INT("output_dtype", 21)),
     .n_out = 1,
     CASE_EXPECT(0, 4, 15),
     .no_grad = true},
    {.name = "int16",
     CASE_IN({CASE_F32(3), CASE_VALUES(-70000, 3, 70000)}, {CASE_F32(1), CASE_VALUES(1)},
             {CASE_TYPED(SKIVE_I16, 1), CASE_VALUES(5)}),
     .n_out = 1,
     CASE_EXPECT(-32768, 8, 32767),
     .no_grad = true},
    {.name = "float8e4m3fn", /* 2^-10 is half of the least number, and goes to the even side */
     CASE_IN({CASE_F32(6), CASE_VALUES(0.001953125, 0.0029296875, 1.0625, -17, 1000, 2000)},
             {CASE_SCALAR(SKIVE_F32, 2)}, {CASE_SCALAR(SKIVE_F8E4M3FN, 0)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.001953125, 0.5, -8, 448, 448),
     .no_grad = true},
    {.name = "float8e5m2, not saturated",
     CASE_IN({CASE_F32(3), CASE_VALUES(3, 60000, -1e9)}, {CASE_SCALAR(SKIVE_F32, 1)}),
     CASE_ATTRS(CASE_INT("output_dtype", SKIVE_F8E5M2), CASE_INT("saturate", 0)),
     .n_out = 1,
     CASE_EXPECT(3, 57344, -INFINITY),
     .no_grad = true},
    {.name = "float16",
     CASE_IN({CASE_TYPED(SKIVE_F16, 2), CASE_VALUES(1.5, -3)}, {CASE_SCALAR(SKIVE_F16, 0.5)},
             {CASE_SCALAR(SKIVE_U8, 10)}),
     .n_out = 1,
     CASE_EXPECT(13, 4),
     .no_grad = true},
};

const skv_op skv_op_quantize_linear = {
    .name = "QuantizeLinear",
    .domain = "",
    .brief = "real numbers to integers on a uniform grid",
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
    .range = range,
    .bounds = bounds,
    .cost = cost,
    SKV_LIST(cases),
};
