/* BitCast: the same bits as another element type of the same width. A bool is stored as 0 or 1, so that bits other than
 * those become 1. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"to", SKV_ATTR_INT, SKV_REQUIRED}};

static skive_status infer(skv_infer *c) {
    const int64_t to = skv_attr_int(c->node, "to", 0);
    const skive_dtype from = skv_infer_in(c, 0)->dtype;
    if (to <= 0 || to > INT32_MAX || !skv_dtype_valid((skive_dtype)to))
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "node '%s': element type %lld is not supported", c->node->name,
                              (long long)to);
    if (from != SKIVE_DTYPE_NONE && skive_dtype_bits(from) != skive_dtype_bits((skive_dtype)to))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %s has %d bits, and %s has %d; they must have as many",
                              c->node->name, skive_dtype_name(from), skive_dtype_bits(from),
                              skive_dtype_name((skive_dtype)to), skive_dtype_bits((skive_dtype)to));
    c->out[0] = *skv_infer_in(c, 0);
    c->out[0].dtype = (skive_dtype)to;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const size_t bytes = skive_tensor_bytes(x);
    if (bytes != skive_tensor_bytes(y))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "input and output differ in shape");
    if (bytes) memmove(y->data, x->data, bytes);
    for (size_t i = 0; y->dtype == SKIVE_BOOL && i < bytes; i++)
        ((uint8_t *)y->data)[i] = ((const uint8_t *)x->data)[i] != 0;
    return SKIVE_OK;
}

static void couple(skv_couple *c) { skv_couple_same_axes(c, 0); }

static const skv_op_case cases[] = {
    {.name = "float64 to int64",
     CASE_IN({CASE_TYPED(SKIVE_F64, 3), CASE_VALUES(1, -2, 0)}),
     CASE_ATTRS(CASE_INT("to", SKIVE_I64)),
     .n_out = 1,
     CASE_EXPECT(4607182418800017408, -4611686018427387904, 0),
     .no_grad = true},
    {.name = "uint8 to int8",
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 2), CASE_VALUES(0, 127, 128, 255)}),
     CASE_ATTRS(CASE_INT("to", SKIVE_I8)),
     .n_out = 1,
     CASE_EXPECT(0, 127, -128, -1),
     .no_grad = true},
    {.name = "int64 to double",
     CASE_IN({CASE_I64(1), CASE_VALUES(4607182418800017408)}),
     CASE_ATTRS(CASE_INT("to", SKIVE_F64)),
     .n_out = 1,
     CASE_EXPECT(1),
     .no_grad = true},
};

const skv_op skv_op_bit_cast = {
    .name = "BitCast",
    .domain = "",
    .brief = "the same bits as another element type",
    .since = 26,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    .couple = couple,
    .cost = skv_cost_none,
    SKV_LIST(cases),
    .pointwise = true,
};
