/* The tables of common_resize.h: the position in the input of an output position, and the weights of the elements
 * around it. */
#include "ops/image/common_resize.h"

#include "ops/common_shape.h"

/* Output position p of axis a in units of the input's elements. */
static double place(const skv_resize *r, const skv_resize_axis *a, int64_t p) {
    const double in = (double)a->in, out = (double)a->out, x = (double)p, length = a->by_size ? out : in * a->scale;
    switch (r->coordinates) {
    case SKV_ALIGN_CORNERS: return a->out == 1 ? 0.0 : x * (in - 1.0) / (length - 1.0);
    case SKV_CROP_AND_RESIZE: {
        if (a->out == 1) return (a->first + a->last) * (in - 1.0) / 2.0;
        return x * (a->last - a->first) * (in - 1.0) / (length - 1.0) + a->first * (in - 1.0);
    }
    case SKV_ASYMMETRIC:
        if (a->by_size) return x * in / out;
        /* A given scale is a float32 close to the intended ratio: in float32 the quotient rounds to the intended value,
         * which decides whether the nearest element is this one or the next. */
        return r->mode == SKV_RESIZE_NEAREST ? (double)((float)p / (float)a->scale) : x / a->scale;
    case SKV_PYTORCH_HALF_PIXEL:
        if (a->out == 1) return 0.0;
        break;
    case SKV_HALF_PIXEL_SYMMETRIC:
        return in / 2.0 * (1.0 - out / length) + (x + 0.5) / (a->by_size ? out / in : a->scale) - 0.5;
    case SKV_HALF_PIXEL: break;
    }
    if (a->by_size) return (2.0 * x + 1.0) * in / (2.0 * out) - 0.5;
    if (r->mode == SKV_RESIZE_NEAREST) return (double)(((float)p + 0.5f) / (float)a->scale - 0.5f);
    return (x + 0.5) / a->scale - 0.5;
}

static double nearest(skv_resize_rounding rounding, double x) {
    const double down = floor(x);
    switch (rounding) {
    case SKV_ROUND_FLOOR: return down;
    case SKV_ROUND_CEIL: return ceil(x);
    case SKV_ROUND_PREFER_CEIL: return x - down >= 0.5 ? down + 1.0 : down;
    case SKV_ROUND_PREFER_FLOOR: break;
    }
    return x - down > 0.5 ? down + 1.0 : down;
}

/* Weight of an element at distance x (Keys, 1981). */
static double cubic(double a, double x) {
    x = fabs(x);
    if (x <= 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    return 0.0;
}

static double weight_at(const skv_resize *r, double x) {
    if (r->mode == SKV_RESIZE_CUBIC) return cubic(r->cubic_a, x);
    x = 1.0 - fabs(x);
    return x > 0.0 ? x : 0.0;
}

static int64_t clamp(double i, int64_t size) { return i <= 0.0 ? 0 : i >= (double)(size - 1) ? size - 1 : (int64_t)i; }

/* The n taps of one position at x; a window narrowed by `stretch` covers more of the input (antialiasing). */
static void fill_position(const skv_resize *r, const skv_resize_axis *a, double x, double stretch, int64_t first,
                          int64_t n, int64_t *index, double *weight) {
    const double base = ceil(x) - 1.0; /* an element at the exact position is the right one of its pair */
    double sum = 0.0;
    for (int64_t k = 0; k < n; k++) {
        const double i = base + (double)(first + k);
        const bool outside = i < 0.0 || i > (double)(a->in - 1);
        index[k] = clamp(i, a->in);
        weight[k] = r->exclude_outside && outside ? 0.0 : weight_at(r, (i - x) * stretch);
        sum += weight[k];
    }
    if (!r->exclude_outside && stretch == 1.0) return;
    for (int64_t k = 0; k < n && sum != 0.0; k++) weight[k] /= sum;
}

skive_status skv_resize_taps_make(skive_context *ctx, const skive_node *node, const skv_resize *r, int axis,
                                  skv_resize_taps *out) {
    const skv_resize_axis *a = &r->axis[axis];
    const double reach = r->mode == SKV_RESIZE_CUBIC ? 2.0 : 1.0;
    const double stretch = r->antialias && r->mode != SKV_RESIZE_NEAREST && a->scale < 1.0 ? a->scale : 1.0;
    skive_status status = SKIVE_OK;
    skv_resize_taps t = {.n = 1};
    int64_t first = 0;
    size_t count;
    *out = (skv_resize_taps){0};
    if (a->out == 0) return SKIVE_OK;
    if (r->mode != SKV_RESIZE_NEAREST) {
        const double left = floor(-reach / stretch) + 1.0;
        if (!(left > -(double)SKV_MAX_ELEMENTS))
            return skv_fail_at(ctx, SKIVE_ERR_LIMIT, node->name, "%s: the scale of axis %d is too small", node->op_type,
                               axis);
        first = (int64_t)left;
        t.n = 2 - 2 * first;
    }
    if (!skv_mul_size((size_t)a->out, (size_t)t.n, &count))
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, node->name, "%s: axis %d is too large", node->op_type, axis);
    SKV_GO(status, failed, skv_alloc_array(ctx, count, sizeof *t.index, &t.index));
    SKV_GO(status, failed, skv_alloc_array(ctx, count, sizeof *t.weight, &t.weight));
    if (r->coordinates == SKV_CROP_AND_RESIZE)
        SKV_GO(status, failed, skv_alloc_array(ctx, (size_t)a->out, sizeof *t.outside, &t.outside));
    for (int64_t p = 0; p < a->out; p++) {
        const double x = place(r, a, p);
        if (t.outside) t.outside[p] = !(x >= 0.0 && x <= (double)(a->in - 1));
        if (t.outside && t.outside[p]) continue; /* index and weight stay 0 */
        if (r->mode == SKV_RESIZE_NEAREST) {
            t.index[p] = clamp(nearest(r->rounding, x), a->in);
            t.weight[p] = 1.0;
        } else {
            fill_position(r, a, x, stretch, first, t.n, t.index + p * t.n, t.weight + p * t.n);
        }
    }
    *out = t;
    return SKIVE_OK;
failed:
    skv_resize_taps_free(ctx, &t);
    return status;
}

void skv_resize_taps_free(skive_context *ctx, skv_resize_taps *taps) {
    skv_free(ctx, taps->index);
    skv_free(ctx, taps->weight);
    skv_free(ctx, taps->outside);
    *taps = (skv_resize_taps){0};
}
