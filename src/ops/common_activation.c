/* Activations of fused nodes and the arithmetic of integer operators; see common_activation.h. */
#include "ops/common_activation.h"

/* False: unknown. No activation at all is SKV_PW_NONE. */
static bool find(const skive_node *node, skv_pointwise *out) {
    const char *text = skv_attr_string(node, "activation", "");
    *out = skv_pointwise_named(text, false);
    return text[0] == '\0' || (*out != SKV_PW_NONE && skv_pointwise_at(*out)->has_loop);
}

static double number(const skive_node *node, const char *name, const char *plain, double fallback) {
    if (!SKV_NODE_IS_ANY(node, SKV_OP_FUSED_GEMM, SKV_OP_Q_GEMM)) fallback = skv_attr_float(node, plain, fallback);
    return skv_attr_float(node, name, fallback);
}

skive_status skv_activation_read(skive_context *ctx, const skive_node *node, skv_activation *out) {
    *out = (skv_activation){.kind = SKV_PW_NONE};
    if (!find(node, &out->kind))
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: unknown activation \"%.*s\"", node->op_type,
                           skv_utf8_prefix(skv_attr_string(node, "activation", ""), 40),
                           skv_attr_string(node, "activation", ""));
    const skv_pointwise_fn *f = skv_pointwise_at(out->kind);
    out->alpha = number(node, "activation_alpha", "alpha", f ? f->p[0] : 0);
    out->beta = number(node, "activation_beta", "beta", f ? f->p[1] : 0);
    return SKIVE_OK;
}

double skv_activation_apply(const skv_activation *a, double x) {
    const skv_pointwise_fn *f = skv_pointwise_at(a->kind);
    return f ? f->value(x, (const double[]){a->alpha, a->beta}) : x;
}

skv_range skv_activation_range(const skive_node *node) {
    skv_pointwise kind;
    if (!find(node, &kind) || kind == SKV_PW_NONE) return skv_range_any();
    const skv_pointwise_fn *f = skv_pointwise_at(kind);
    if (kind == SKV_PW_CLIP) {
        const double hi = number(node, "activation_beta", "beta", f->p[1]);
        return (skv_range){fmin(number(node, "activation_alpha", "alpha", f->p[0]), hi), hi};
    }
    return (skv_range){f->lo, f->hi};
}

/* ---- integer operators ---- */

skive_status skv_requant_read(skive_context *ctx, const skive_node *node, skv_requant *out) {
    return skv_requant_read_named(ctx, node, "y_zero_point", out);
}

skive_status skv_requant_read_named(skive_context *ctx, const skive_node *node, const char *zero_point,
                                    skv_requant *out) {
    static const struct {
        const char *name;
        skv_q_output output;
        int lo, hi;
    } types[] = {{"u8", SKV_Q_U8, 0, 255}, {"s8", SKV_Q_I8, -128, 127}, {"float", SKV_Q_F32, 0, 255}};
    const char *text = skv_attr_string(node, "y_dtype", "u8");
    for (size_t i = 0; i < SKV_COUNT(types); i++) {
        if (strcmp(text, types[i].name) != 0) continue;
        out->output = types[i].output;
        int64_t zp = skv_attr_int(node, zero_point, 0), lo = skv_attr_int(node, "clamp_lo", types[i].lo),
                hi = skv_attr_int(node, "clamp_hi", types[i].hi);
        *out = (skv_requant){types[i].output, 0, types[i].lo, types[i].hi};
        if (out->output == SKV_Q_F32) return SKIVE_OK; /* neither is read */
        if (zp < types[i].lo || zp > types[i].hi || lo < types[i].lo || hi > types[i].hi || lo > hi)
            return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name,
                               "%s: the zero point %lld and clamp [%lld, %lld] must be in [%d, %d]", node->op_type,
                               (long long)zp, (long long)lo, (long long)hi, types[i].lo, types[i].hi);
        out->y_zero_point = (int32_t)zp;
        out->clamp_lo = (int32_t)lo;
        out->clamp_hi = (int32_t)hi;
        return SKIVE_OK;
    }
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: y_dtype is \"%.*s\", expected u8, s8 or float",
                       node->op_type, skv_utf8_prefix(text, 40), text);
}

skive_status skv_q_zero_point(skive_context *ctx, const skive_node *node, const char *name, int32_t *out) {
    int64_t zp = skv_attr_int(node, name, 0);
    if (zp < 0 || zp > 255)
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: %s is %lld, expected 0 to 255", node->op_type, name,
                           (long long)zp);
    *out = (int32_t)zp;
    return SKIVE_OK;
}

skive_status skv_q_scale(skive_context *ctx, const skive_node *node, const char *name, float *out) {
    *out = (float)skv_attr_float(node, name, 0.0);
    if (*out > 0.0f && isfinite(*out)) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: attribute %s must be a finite positive number",
                       node->op_type, name);
}

skive_status skv_q_multipliers(skive_context *ctx, const skive_node *node, int64_t n, const double **out) {
    const skv_attr *a = skv_node_attr(node, "multiplier");
    if (!a || a->type != SKV_ATTR_FLOATS || (n >= 0 && a->n != (size_t)n))
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: attribute multiplier must have %lld floats",
                           node->op_type, (long long)n);
    for (size_t i = 0; i < a->n; i++)
        if (!(a->floats[i] >= 0.0) || !isfinite((float)a->floats[i]))
            return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: multiplier %zu is not a finite number >= 0",
                               node->op_type, i);
    *out = a->floats;
    return SKIVE_OK;
}

bool skv_q_sums_fit(int32_t x_zero_point, const int8_t *w, int64_t rows, int64_t n, const int32_t *bias, int64_t *row) {
    const int64_t reach = x_zero_point > 255 - x_zero_point ? x_zero_point : 255 - x_zero_point;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t most = bias ? (bias[r] < 0 ? -(int64_t)bias[r] : bias[r]) : 0;
        if (n <= INT32_MAX / 256 / reach && n * 128 * reach + most <= INT32_MAX)
            continue; /* whatever the weights are */
        int64_t sum = 0;
        for (int64_t i = 0; i < n; i++) sum += w[r * n + i] < 0 ? -w[r * n + i] : w[r * n + i];
        if (sum > INT32_MAX / reach || sum * reach + most > INT32_MAX) {
            if (row) *row = r;
            return false;
        }
    }
    return true;
}

skive_status skv_q_check_sums(skive_context *ctx, const skive_node *node, int32_t x_zero_point, const int8_t *w,
                              int64_t rows, int64_t n, const int32_t *bias) {
    int64_t row;
    if (skv_q_sums_fit(x_zero_point, w, rows, n, bias, &row)) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_LIMIT, node->name,
                       "%s: sums of output channel %lld may leave 32 bits; quantize with smaller weights",
                       node->op_type, (long long)row);
}
