/* See common_fixed.h. */
#include "ops/quant/common_fixed.h"

#include <math.h>

enum { LEFT = 20 };

void skv_q_fixed_of(double multiplier, int32_t *q31, int *shift) {
    *q31 = 0;
    *shift = 0;
    if (!(multiplier > 0)) return;
    const double fraction = frexp(multiplier, shift);
    int64_t whole = (int64_t)floor(fraction * 2147483648.0 + 0.5);
    if (whole == (int64_t)1 << 31) {
        whole /= 2;
        ++*shift;
    }
    if (*shift < -31) {
        *shift = 0;
        whole = 0;
    }
    if (*shift > 30) {
        *shift = 30;
        whole = INT32_MAX;
    }
    *q31 = (int32_t)whole;
}

static int64_t within(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/* floor(x / 2^n); shifting a negative number right is up to the compiler. */
static int64_t floor_shift(int64_t x, int n) { return x >= 0 ? x >> n : -((-(x + 1)) >> n) - 1; }

int32_t skv_q_fixed_double(int32_t v, int32_t q31, int shift) {
    const int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int64_t a = within((int64_t)v * ((int64_t)1 << left), INT32_MIN, INT32_MAX);
    const int64_t high = floor_shift(a * q31 + ((int64_t)1 << 30), 31);
    if (right == 0) return (int32_t)within(high, INT32_MIN, INT32_MAX);
    const int64_t half = (int64_t)1 << (right - 1);
    return (int32_t)(high >= 0 ? (high + half) >> right : -((-high + half) >> right));
}

int32_t skv_q_fixed_single(int32_t v, int32_t q31, int shift) {
    const int total = 31 - shift;
    return (int32_t)within(floor_shift((int64_t)v * q31 + ((int64_t)1 << (total - 1)), total), INT32_MIN, INT32_MAX);
}

static skive_status read_pair(skive_context *ctx, const skive_node *node, int64_t q31, int64_t shift) {
    const int64_t least = (int64_t)1 << 30;
    if ((q31 == 0 || (q31 >= least && q31 <= INT32_MAX)) && shift >= -31 && shift <= 30) return SKIVE_OK;
    return skv_fail_at(
        ctx, SKIVE_ERR_GRAPH, node->name,
        "%s: the fixed-point multiplier %lld with shift %lld is not 0 or 2^30 to 2^31 - 1 with -31 to 30",
        node->op_type, (long long)q31, (long long)shift);
}

static skive_status read_fixed(skive_context *ctx, const skive_node *node, size_t n, skv_q_scaling *out) {
    size_t n_q31 = 0, n_shift = 0;
    out->q31 = skv_attr_ints(node, "multiplier_q31", &n_q31);
    out->shift = skv_attr_ints(node, "multiplier_shift", &n_shift);
    const char *rounding = skv_attr_string(node, "rounding", out->q31 ? "double" : "even");
    out->fixed = out->q31 || out->shift;
    out->single = strcmp(rounding, "single") == 0;
    if (!out->fixed && strcmp(rounding, "even") == 0) return SKIVE_OK;
    if (!out->fixed || (!out->single && strcmp(rounding, "double") != 0))
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name,
                           "%s: rounding is \"%.*s\"; expected even with float multipliers, double or single with "
                           "fixed-point ones",
                           node->op_type, skv_utf8_prefix(rounding, 40), rounding);
    if (!out->q31 || !out->shift || n_q31 != n || n_shift != n)
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name,
                           "%s: multiplier_q31 and multiplier_shift must have %zu integers each", node->op_type, n);
    if (out->r.output == SKV_Q_F32)
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: fixed-point multipliers give no float output",
                           node->op_type);
    for (size_t i = 0; i < n; i++) SKV_TRY(read_pair(ctx, node, out->q31[i], out->shift[i]));
    return SKIVE_OK;
}

skive_status skv_q_scaling_read(skive_context *ctx, const skive_node *node, int64_t n, bool many, skv_q_scaling *out) {
    float one;
    *out = (skv_q_scaling){.one = 0};
    SKV_TRY(skv_requant_read(ctx, node, &out->r));
    if (many) {
        SKV_TRY(skv_q_multipliers(ctx, node, n, &out->multiplier));
        return read_fixed(ctx, node, skv_node_attr(node, "multiplier")->n, out);
    }
    SKV_TRY(skv_q_scale(ctx, node, "multiplier", &one));
    out->one = (double)one;
    return read_fixed(ctx, node, 1, out);
}

static int32_t shifted(const skv_requant *r, int64_t t) {
    return (int32_t)within(t + r->y_zero_point, r->clamp_lo, r->clamp_hi);
}

void skv_q_scaling_store(const skv_q_scaling *s, int32_t v, int64_t channel, void *y, int64_t i) {
    if (!s->fixed) {
        skv_requant_store(&s->r, v, (float)(s->multiplier ? s->multiplier[channel] : s->one), y, i);
        return;
    }
    const int32_t q31 = (int32_t)s->q31[channel];
    const int shift = (int)s->shift[channel];
    const int32_t t = s->single ? skv_q_fixed_single(v, q31, shift) : skv_q_fixed_double(v, q31, shift);
    ((uint8_t *)y)[i] = (uint8_t)shifted(&s->r, t); /* int8: the same bits */
}

/* ---- bytes of either sign ---- */

skive_status skv_q_want_bytes(skv_infer *c, size_t i) {
    const skive_type *t = i < c->n_in ? c->in[i] : NULL;
    if (!t || t->dtype == SKIVE_DTYPE_NONE || t->dtype == SKIVE_U8 || t->dtype == SKIVE_I8) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu is %s, not uint8 or int8", c->node->name, i,
                          skive_dtype_name(t->dtype));
}

skive_status skv_q_zero_of(skive_context *ctx, const skive_node *node, const char *name, skive_dtype dtype,
                           int32_t *out) {
    if (dtype != SKIVE_I8) return skv_q_zero_point(ctx, node, name, out);
    const int64_t zero = skv_attr_int(node, name, 0);
    if (zero < INT8_MIN || zero > INT8_MAX)
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: %s is %lld, expected -128 to 127", node->op_type,
                           name, (long long)zero);
    *out = (int32_t)zero;
    return SKIVE_OK;
}

skive_status skv_q_as_u8(skive_context *ctx, const skive_tensor *t, int32_t *zero, uint8_t **room,
                         const uint8_t **out) {
    const size_t n = (size_t)skive_tensor_count(t);
    const uint8_t *bytes = t->data;
    *out = bytes;
    if (t->dtype != SKIVE_I8) return SKIVE_OK;
    SKV_TRY(skv_alloc(ctx, n + 1, room));
    for (size_t i = 0; i < n; i++) (*room)[i] = bytes[i] ^ 128u;
    *zero += 128;
    *out = *room;
    return SKIVE_OK;
}

/* ---- QAdd ---- */

bool skv_q_add_fixed_of(double a_scale, double b_scale, double y_scale, skv_q_add_fixed *out) {
    const double most = 2 * (a_scale > b_scale ? a_scale : b_scale), up = most / (ldexp(1, LEFT) * y_scale);
    *out = (skv_q_add_fixed){.fixed = true, .left = LEFT};
    if (!isfinite(up) || !(up > 0) || up >= 1073741824.0) return false;
    skv_q_fixed_of(a_scale / most, &out->a_q31, &out->a_shift);
    skv_q_fixed_of(b_scale / most, &out->b_q31, &out->b_shift);
    skv_q_fixed_of(up, &out->y_q31, &out->y_shift);
    return true;
}

skive_status skv_q_add_fixed_read(skive_context *ctx, const skive_node *node, skv_q_add_fixed *out) {
    static const char *const names[3][2] = {{"a_q31", "a_shift"}, {"b_q31", "b_shift"}, {"y_q31", "y_shift"}};
    int64_t q31[3], shift[3];
    *out = (skv_q_add_fixed){.left = (int)skv_attr_int(node, "left_shift", LEFT)};
    for (int i = 0; i < 3; i++) {
        const bool given = skv_node_attr(node, names[i][0]) && skv_node_attr(node, names[i][1]);
        out->fixed = i == 0 ? given : out->fixed;
        if (given != out->fixed)
            return skv_fail_at(
                ctx, SKIVE_ERR_GRAPH, node->name,
                "QAdd: the fixed-point form needs all of a_q31, a_shift, b_q31, b_shift, y_q31, y_shift");
        q31[i] = skv_attr_int(node, names[i][0], 0);
        shift[i] = skv_attr_int(node, names[i][1], 0);
        if (given) SKV_TRY(read_pair(ctx, node, q31[i], shift[i]));
    }
    if (!out->fixed) return SKIVE_OK;
    /* 255 * 2^22 fits int32, and so does the sum of two halves of it: the multipliers of a and b are at most 1/2. */
    if (out->left < 0 || out->left > 22 || shift[0] > 0 || shift[1] > 0)
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name,
                           "QAdd: left_shift must be 0 to 22, and a_shift and b_shift at most 0");
    out->a_q31 = (int32_t)q31[0];
    out->b_q31 = (int32_t)q31[1];
    out->y_q31 = (int32_t)q31[2];
    out->a_shift = (int)shift[0];
    out->b_shift = (int)shift[1];
    out->y_shift = (int)shift[2];
    return SKIVE_OK;
}

int32_t skv_q_add_fixed_one(const skv_q_add *q, const skv_q_add_fixed *f, int32_t a, int32_t b) {
    const int32_t up = 1 << f->left;
    const int32_t p = skv_q_fixed_double((a - q->a_zero_point) * up, f->a_q31, f->a_shift);
    const int32_t r = skv_q_fixed_double((b - q->b_zero_point) * up, f->b_q31, f->b_shift);
    const int64_t sum = within((int64_t)p + r, INT32_MIN, INT32_MAX);
    return shifted(&q->y, skv_q_fixed_double((int32_t)sum, f->y_q31, f->y_shift));
}
