/* DynamicQuantizeLinear: x in uint8, with scale and zero point from its own range, which includes zero:
 *
 *     scale = (max - min) / 255, zero_point = nearest_even(saturate(0 - min / scale))
 *     y = saturate(nearest_even(x / scale) + zero_point)
 *
 * each step rounded to float32. A tensor of zeros has scale 0, which is replaced by 1. */
#include "ops/quant/common_integer.h"
#include "tensor/grid.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    skv_out_like(c, 0, 0);
    c->out[0].dtype = SKIVE_U8;
    if (c->n_out > 1) c->out[1] = (skive_type){.dtype = c->in[0]->dtype, .rank = 0};
    if (c->n_out > 2) c->out[2] = (skive_type){.dtype = SKIVE_U8, .rank = 0};
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t n = skive_tensor_count(x);
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        const float v = (float)skv_load_f64(x->dtype, x->data, (size_t)i);
        low = fminf(low, v);
        high = fmaxf(high, v);
    }
    const skv_quantizer q = skv_quantizer_of(&skv_grid_uint8);
    skv_grid_params p;
    skv_grid_dynamic_u8(low, high, &p);
    for (int64_t i = 0; y && i < n; i++)
        skv_store_i64(y->dtype, y->data, (size_t)i,
                      skv_grid_encode(&q, &p, (float)skv_load_f64(x->dtype, x->data, (size_t)i)));
    if (c->n_out > 1 && c->out[1]) skv_store_f64(c->out[1]->dtype, c->out[1]->data, 0, (double)p.scale);
    if (c->n_out > 2 && c->out[2]) skv_store_f64(SKIVE_U8, c->out[2]->data, 0, (double)p.zero_point);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* scale 2, zero point 127.5 to even 128 */
     CASE_IN({CASE_F32(4), CASE_VALUES(-255, 0, 255, 3)}),
     .n_out = 3,
     CASE_EXPECT(0, 128, 255, 130),
     .no_grad = true},
    {.name = "zeros", CASE_IN({CASE_F32(2), CASE_VALUES(0, 0)}), .n_out = 3, CASE_EXPECT(0, 0), .no_grad = true},
};

const skv_op skv_op_dynamic_quantize_linear = {
    .name = "DynamicQuantizeLinear",
    .domain = "",
    .brief = "quantized by the range of the input itself",
    .since = 11,
    .min_in = 1,
    .max_in = 1,
    .min_out = 3,
    .max_out = 3,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
