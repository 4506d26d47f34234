/* Activations of fused nodes and the arithmetic of integer operators; see common_activation.h. */
#include "ops/common_activation.h"

typedef struct activation_name {
    const char *name;
    skv_activation_kind kind;
    double alpha, beta, lo, hi;
} activation_name;

static const activation_name names[] = {
    {"", SKV_ACT_NONE, 0, 0, -INFINITY, INFINITY},
    {"Relu", SKV_ACT_RELU, 0, 0, 0, INFINITY},
    {"LeakyRelu", SKV_ACT_LEAKY_RELU, 0.01, 0, -INFINITY, INFINITY},
    {"Clip", SKV_ACT_CLIP, -INFINITY, INFINITY, -INFINITY, INFINITY},
    {"Sigmoid", SKV_ACT_SIGMOID, 0, 0, 0, 1},
    {"Tanh", SKV_ACT_TANH, 0, 0, -1, 1},
    {"HardSwish", SKV_ACT_HARD_SWISH, 0, 0, -0.375, INFINITY},
    {"HardSigmoid", SKV_ACT_HARD_SIGMOID, 0.2, 0.5, 0, 1},
};

static const activation_name *find(const skive_node *node) {
    const char *text = skv_attr_string(node, "activation", "");
    for (size_t i = 0; i < SKV_COUNT(names); i++)
        if (strcmp(text, names[i].name) == 0) return &names[i];
    return NULL;
}

static double number(const skive_node *node, const char *name, const char *plain, double fallback) {
    if (!SKV_NODE_IS_ANY(node, SKV_OP_FUSED_GEMM, SKV_OP_Q_GEMM)) fallback = skv_attr_float(node, plain, fallback);
    return skv_attr_float(node, name, fallback);
}

skive_status skv_activation_read(skive_context *ctx, const skive_node *node, skv_activation *out) {
    const activation_name *a = find(node);
    if (!a)
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: unknown activation \"%.40s\"", node->op_type,
                           skv_attr_string(node, "activation", ""));
    out->kind = a->kind;
    out->alpha = number(node, "activation_alpha", "alpha", a->alpha);
    out->beta = number(node, "activation_beta", "beta", a->beta);
    return SKIVE_OK;
}

double skv_activation_apply(const skv_activation *a, double x) {
    switch (a->kind) {
    case SKV_ACT_NONE: return x;
    case SKV_ACT_RELU: return x < 0.0 ? 0.0 : x; /* a NaN stays one */
    case SKV_ACT_LEAKY_RELU: return x < 0.0 ? a->alpha * x : x;
    case SKV_ACT_CLIP: /* the high bound takes precedence if it is below the low one */
        x = x < a->alpha ? a->alpha : x;
        return x > a->beta ? a->beta : x;
    case SKV_ACT_SIGMOID: return x >= 0.0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x));
    case SKV_ACT_TANH: return tanh(x);
    case SKV_ACT_HARD_SWISH: {
        double gate = x / 6.0 + 0.5;
        return x * (gate < 0.0 ? 0.0 : gate > 1.0 ? 1.0 : gate);
    }
    case SKV_ACT_HARD_SIGMOID: {
        double y = a->alpha * x + a->beta;
        return y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y;
    }
    }
    return x;
}

skv_range skv_activation_range(const skive_node *node) {
    const activation_name *a = find(node);
    if (!a) return skv_range_any();
    if (a->kind == SKV_ACT_CLIP) {
        const double hi = number(node, "activation_beta", "beta", a->beta);
        return (skv_range){fmin(number(node, "activation_alpha", "alpha", a->alpha), hi), hi};
    }
    return (skv_range){a->lo, a->hi};
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
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: y_dtype is \"%.40s\", expected u8, s8 or float",
                       node->op_type, text);
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
