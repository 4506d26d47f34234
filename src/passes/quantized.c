/* Recognising the quantized form of a node; see quantized.h. */
#include "passes/quantized.h"

#include <math.h>
#include <string.h>

#include "graph/weights.h"

static bool usable_scale(float s) { return s > 0 && isfinite(s); }

/* The constant scale and zero point of a node that has one of each. */
static bool read_grid(const skive_node *n, skv_q_grid *grid) {
    const skive_tensor *scale = skv_value_tensor(skv_node_in(n, 1)), *zero = skv_value_tensor(skv_node_in(n, 2));
    if (!scale || scale->dtype != SKIVE_F32 || skive_tensor_count(scale) != 1) return false;
    if (skv_node_in(n, 2) && (!zero || skive_tensor_count(zero) != 1)) return false;
    grid->scale = *(const float *)scale->data;
    grid->zero_point = zero ? (int32_t)skive_tensor_get(zero, 0) : 0;
    return usable_scale(grid->scale);
}

bool skv_quantizes(const skive_node *n, skv_q_grid *grid) {
    return skv_node_is(n, SKV_OP_QUANTIZE_LINEAR) && n->inputs[0] && n->inputs[0]->type.dtype == SKIVE_F32 &&
           n->outputs[0]->type.dtype == SKIVE_U8 && read_grid(n, grid);
}

skive_value *skv_dequantized(const skive_value *v, skv_q_grid *grid) {
    const skive_node *n = v ? v->producer : NULL;
    if (!skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) || v->type.dtype != SKIVE_F32) return NULL;
    skive_value *q = n->inputs[0];
    return q && !q->storage && q->type.dtype == SKIVE_U8 && read_grid(n, grid) ? q : NULL;
}

static bool read_zero_point(const skive_node *n, int *out) {
    const skive_tensor *zero = skv_value_tensor(skv_node_in(n, 2));
    *out = 0;
    if (!skv_node_in(n, 2)) return true;
    if (!zero || skive_tensor_count(zero) == 0) return false;
    *out = (int)skive_tensor_get(zero, 0);
    for (int64_t i = 1; i < skive_tensor_count(zero); i++) {
        if ((int)skive_tensor_get(zero, i) != *out) return false;
    }
    return true;
}

static bool holds_weights(skive_dtype dtype) {
    return dtype == SKIVE_I8 || dtype == SKIVE_U8 || dtype == SKIVE_I4 || dtype == SKIVE_U4;
}

static int code_at(const skive_tensor *q, int64_t i) {
    if (q->dtype == SKIVE_I8) return ((const int8_t *)q->data)[i];
    if (q->dtype == SKIVE_U8) return ((const uint8_t *)q->data)[i];
    return (int)skive_tensor_get(q, i);
}

static bool fits_int8(const skv_q_weights *w) {
    const int64_t count = skive_tensor_count(w->q);
    if (w->q->dtype == SKIVE_I8 && w->zero_point == 0) return true;
    for (int64_t i = 0; i < count; i++) {
        const int level = (code_at(w->q, i) - w->zero_point) * w->factor;
        if (level < INT8_MIN || level > INT8_MAX) return false;
    }
    return true;
}

bool skv_quantized_weights(const skive_node *n, skv_q_weights *w) {
    const skive_value *v = skv_node_in(n, 1);
    const skive_node *dq = v ? v->producer : NULL;
    if (!skv_node_is(dq, SKV_OP_DEQUANTIZE_LINEAR) || skv_attr_int(dq, "block_size", 0) != 0) return false;
    const skive_tensor *scale = skv_value_tensor(skv_node_in(dq, 1));
    *w = (skv_q_weights){.value = dq->inputs[0], .q = skv_value_tensor(dq->inputs[0])};
    if (!w->q || !holds_weights(w->q->dtype) || w->q->rank < 2) return false;
    skv_weight_view view;
    if (!skv_weight_view_of(n, 1, &view) || view.out_axis < 0) return false;
    const int axis = view.out_axis;
    w->columns = axis > 0;
    if (w->columns && w->q->rank != 2) return false;
    w->m = view.out;
    w->k = w->m ? skive_tensor_count(w->q) / w->m : 0;
    if (w->m < 1 || w->k < 1 || !scale || scale->dtype != SKIVE_F32 || !read_zero_point(dq, &w->zero_point))
        return false;
    w->scale = scale->data;
    w->factor = w->q->dtype == SKIVE_I4 && w->zero_point == 0 ? 16 : 1;
    w->n_scales = skive_tensor_count(scale);
    int64_t along = skv_attr_int(dq, "axis", 1);
    if (along < 0) along += w->q->rank;
    if (w->n_scales != 1 && (along != axis || w->n_scales != w->m)) return false;
    for (int64_t i = 0; i < w->n_scales; i++) {
        if (!usable_scale(w->scale[i])) return false;
    }
    return fits_int8(w);
}

void skv_q_weight_rows(const skv_q_weights *w, int8_t *rows) {
    for (int64_t m = 0; m < w->m; m++) {
        for (int64_t k = 0; k < w->k; k++) {
            const int64_t from = w->columns ? k * w->m + m : m * w->k + k;
            rows[m * w->k + k] = (int8_t)((code_at(w->q, from) - w->zero_point) * w->factor);
        }
    }
}

bool skv_quantized_bias(const skive_value *v, float x_scale, const skv_q_weights *w, int32_t *bias) {
    memset(bias, 0, (size_t)w->m * sizeof *bias);
    if (!v) return true;
    const skive_tensor *real = skv_value_tensor(v), *integer = NULL, *scale = NULL;
    if (!real) {
        const skive_node *dq = v->producer;
        int zero = 1;
        if (!skv_node_is(dq, SKV_OP_DEQUANTIZE_LINEAR) || !read_zero_point(dq, &zero) || zero != 0) return false;
        integer = skv_value_tensor(dq->inputs[0]);
        scale = skv_value_tensor(skv_node_in(dq, 1));
        if (!integer || integer->dtype != SKIVE_I32 || !scale || scale->dtype != SKIVE_F32) return false;
        if (skive_tensor_count(scale) != 1 && skive_tensor_count(scale) != w->m) return false;
    } else if (real->dtype != SKIVE_F32) {
        return false;
    }
    if (skive_tensor_count(real ? real : integer) != w->m) return false;
    for (int64_t m = 0; m < w->m; m++) {
        const double step = (double)x_scale * skv_q_weight_scale(w, m);
        double b;
        if (real) {
            b = rint((double)((const float *)real->data)[m] / step);
        } else {
            const double q = ((const int32_t *)integer->data)[m];
            const double ratio = (double)((const float *)scale->data)[skive_tensor_count(scale) > 1 ? m : 0] / step;
            /* The file's scale is the product rounded to float32: the same step. */
            b = fabs(ratio - 1) < 1e-6 ? q : rint(q * ratio);
        }
        if (!(b >= -2147483647.0 && b <= 2147483647.0)) return false;
        bias[m] = (int32_t)b;
    }
    return true;
}
