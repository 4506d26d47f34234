/* How the numbers of a value are rounded to a grid, in standard operators that every runtime computes alike.
 *
 * Integers by QuantizeLinear and DequantizeLinear. To the levels of a table: the value becomes a whole number of fine
 * steps, 2^-k of the scale, by a QuantizeLinear; a Gather makes of this the code of the nearest level, another its
 * number. k is such that a sixteenth of the least distance between two levels is a step, or that 16 bits suffice: how a
 * value within half a step of the middle between two levels is rounded is the only difference to the grid's own
 * rounding. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quant/quant.h"

static skive_value *scalar_f32(skv_builder *b, float x) { return skv_emit_scalar(b, SKIVE_F32, (double)x); }

/* QuantizeLinear and DequantizeLinear, with a Clip in front where the grid has fewer codes than the element type. */
static skive_value *integer_pair(skv_builder *b, const skv_quantizer *q, const skv_grid_params *p, skive_value *x,
                                 skive_dtype holder) {
    int64_t low;
    uint64_t high;
    skive_value *scale = scalar_f32(b, p->scale);
    skive_value *zero = skv_emit_scalar(b, holder, p->zero_point);
    if (!skv_dtype_int_range(holder, &low, &high) || low != q->low || high != (uint64_t)q->high) {
        skive_value *least = scalar_f32(b, (float)(q->low - p->zero_point) * p->scale);
        skive_value *most = scalar_f32(b, (float)(q->high - p->zero_point) * p->scale);
        x = skv_emit(b, "Clip", SKV_IN(x, least, most), SKV_NONE);
    }
    skive_value *codes = skv_emit(b, "QuantizeLinear", SKV_IN(x, scale, zero), SKV_NONE);
    return skv_emit(b, "DequantizeLinear", SKV_IN(codes, scale, zero), SKV_NONE);
}

/* The same arithmetic as QuantizeLinear and DequantizeLinear, around which onnxruntime 1.32 rewrites the graph so that
 * results change. */
static skive_value *float8_pair(skv_builder *b, const skv_grid_params *p, skive_value *x, skive_dtype holder) {
    skive_value *scale = scalar_f32(b, p->scale);
    skive_value *steps = skv_emit(b, "Div", SKV_IN(x, scale), SKV_NONE);
    skive_value *q = skv_emit(b, "Cast", SKV_IN(steps), SKV_ATTRS(SKV_INT("to", holder)));
    skive_value *rounded = skv_emit(b, "Cast", SKV_IN(q), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    return skv_emit(b, "Mul", SKV_IN(rounded, scale), SKV_NONE);
}

/* ---- levels of a table ---- */

enum { PARTS = 16 }; /* of the least distance */

typedef struct steps {
    float step;        /* in parts of the scale, a power of two */
    int32_t low, high; /* the ends of the grid in steps */
} steps;

static steps steps_of(const skv_quantizer *q) {
    const float *table = q->grid->table + (q->low - q->grid->low);
    const int32_t n = q->high - q->low + 1;
    float least = table[n - 1] - table[0];
    for (int32_t i = 1; i < n; i++) least = fminf(least, table[i] - table[i - 1]);
    const double span = (double)table[n - 1] - (double)table[0];
    int k = (int)ceil(log2(PARTS / (double)least));
    while (k > 0 && ceil(ldexp(span, k)) + 2 > UINT16_MAX) k--;
    return (steps){.step = ldexpf(1, -k),
                   .low = (int32_t)floorf(ldexpf(table[0], k)),
                   .high = (int32_t)ceilf(ldexpf(table[n - 1], k))};
}

/* The code, less the lowest, of each number of steps; one parameter for all values on this grid. */
static skive_value *codes_of(skv_builder *b, const skv_quantizer *q, const steps *s) {
    const int64_t n = (int64_t)s->high - s->low + 1;
    const skv_grid_params one = {.scale = 1};
    skv_storage *codes = NULL;
    char name[64];
    (void)snprintf(name, sizeof name, "%s_nearest_codes", q->grid->name);
    skive_value *known = skive_graph_find_value(b->graph, name);
    b->status = skv_storage_create(b->graph->ctx, SKIVE_U8, 1, &n, &codes);
    if (b->status != SKIVE_OK) return NULL;
    uint8_t *to = codes->tensor.data;
    for (int64_t i = 0; i < n; i++) to[i] = (uint8_t)(skv_grid_encode(q, &one, (float)(s->low + i) * s->step) - q->low);
    const skive_tensor *t = known ? skv_value_tensor(known) : NULL;
    if (t && t->dtype == SKIVE_U8 && t->rank == 1 && t->dims[0] == n && memcmp(t->data, to, (size_t)n) == 0) {
        skv_storage_release(codes);
        return known;
    }
    return skv_emit_param(b, known ? NULL : name, codes);
}

static skive_value *numbers_of(skv_builder *b, const skv_quantizer *q, const skv_grid_params *p) {
    const int64_t n = (int64_t)q->high - q->low + 1;
    skv_storage *numbers = NULL;
    b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, 1, &n, &numbers);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < n; i++) ((float *)numbers->tensor.data)[i] = skv_grid_decode(q, p, (int32_t)(q->low + i));
    return skv_emit_param(b, NULL, numbers);
}

static skive_value *nearest_level(skv_builder *b, const skv_quantizer *q, const skv_grid_params *p, skive_value *x) {
    const steps s = steps_of(q);
    const float step = p->scale * s.step;
    const skv_attr_list to_i32 = SKV_ATTRS(SKV_INT("to", SKIVE_I32));
    skive_value *low = scalar_f32(b, (float)s.low * step);
    skive_value *high = scalar_f32(b, (float)s.high * step);
    skive_value *scale = scalar_f32(b, step);
    skive_value *zero = skv_emit_scalar(b, SKIVE_U16, -s.low);
    skive_value *inside = skv_emit(b, "Clip", SKV_IN(x, low, high), SKV_NONE);
    skive_value *at = skv_emit(b, "QuantizeLinear", SKV_IN(inside, scale, zero), SKV_NONE);
    skive_value *index = skv_emit(b, "Cast", SKV_IN(at), to_i32);
    skive_value *codes = b->status == SKIVE_OK ? codes_of(b, q, &s) : NULL;
    skive_value *code = skv_emit(b, "Gather", SKV_IN(codes, index), SKV_NONE);
    skive_value *which = skv_emit(b, "Cast", SKV_IN(code), to_i32);
    skive_value *numbers = b->status == SKIVE_OK ? numbers_of(b, q, p) : NULL;
    return skv_emit(b, "Gather", SKV_IN(numbers, which), SKV_NONE);
}

skive_value *skv_emit_rounded(skv_builder *b, const skv_quantizer *q, const skv_grid_params *p, skive_value *x) {
    const skive_dtype holder = skv_quant_holder(q);
    if (b->status != SKIVE_OK) return NULL;
    if (holder == SKIVE_DTYPE_NONE) return nearest_level(b, q, p, x);
    return skv_dtype_is_float8(holder) ? float8_pair(b, p, x, holder) : integer_pair(b, q, p, x, holder);
}
