/* Reading a Resize node and running it axis by axis; see common_resize.h. The tables are made in
 * common_resize_taps.c. */
#include "ops/image/common_resize.h"

#include "ops/common_shape.h"

/* ---- attributes ---- */

static skive_status read_name(skive_context *ctx, const skive_node *node, const char *attribute, const char *fallback,
                              const char *const *names, int n, int *out) {
    const char *text = skv_attr_string(node, attribute, fallback);
    for (int i = 0; i < n; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return SKIVE_OK;
        }
    }
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: unknown %s \"%.*s\"", node->op_type, attribute,
                       skv_utf8_prefix(text, 40), text);
}

typedef enum keep_ratio { STRETCH, NOT_LARGER, NOT_SMALLER } keep_ratio;

static skive_status read_attributes(skive_context *ctx, const skive_node *node, skv_resize *r, keep_ratio *keep) {
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    static const char *const coordinates[] = {"half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
                                              "align_corners", "asymmetric",           "tf_crop_and_resize"};
    int mode = 0, rounding = 0, policy = 0, coordinate = 0;
    SKV_TRY(read_name(ctx, node, "mode", "nearest", modes, 3, &mode));
    const bool old = skv_node_is(node, SKV_OP_UPSAMPLE);
    SKV_TRY(read_name(ctx, node, "nearest_mode", old ? "floor" : "round_prefer_floor", roundings, 4, &rounding));
    SKV_TRY(read_name(ctx, node, "keep_aspect_ratio_policy", "stretch", policies, 3, &policy));
    SKV_TRY(read_name(ctx, node, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel", coordinates, 6,
                      &coordinate));
    r->mode = (skv_resize_mode)mode;
    r->rounding = (skv_resize_rounding)rounding;
    r->coordinates = (skv_resize_coordinates)coordinate;
    r->exclude_outside = skv_attr_int(node, "exclude_outside", 0) != 0;
    r->antialias = skv_attr_int(node, "antialias", 0) != 0;
    r->cubic_a = skv_attr_float(node, "cubic_coeff_a", -0.75);
    r->extrapolation = skv_attr_float(node, "extrapolation_value", 0.0);
    *keep = (keep_ratio)policy;
    return SKIVE_OK;
}

/* The axes to which the operands refer, in their order. */
static skive_status read_axes(skive_context *ctx, const skive_node *node, int rank, int axes[SKIVE_MAX_RANK], int *n) {
    size_t count = 0;
    const int64_t *list = skv_attr_ints(node, "axes", &count);
    uint32_t mask;
    if (!list) {
        for (int a = 0; a < rank; a++) axes[a] = a;
        *n = rank;
        return SKIVE_OK;
    }
    if (count > (size_t)rank || !skv_axes_mask(list, (int)count, rank, &mask))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: an axis is outside an input of rank %d, or given twice", node->op_type, rank);
    for (size_t i = 0; i < count; i++) axes[i] = (int)skv_axis(list[i], rank);
    *n = (int)count;
    return SKIVE_OK;
}

/* ---- operands ---- */

static bool is_there(const skive_tensor *t) { return t && skive_tensor_count(t) != 0; }

static skive_status want_list(skive_context *ctx, const skive_node *node, const char *what, const skive_tensor *t,
                              int n) {
    if (t->rank == 1 && t->dims[0] == n && t->data) return SKIVE_OK;
    char text[SKV_DIMS_TEXT + 32];
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: %s is %s, expected %d elements", node->op_type, what,
                       skv_tensor_text(t, text, sizeof text), n);
}

static skive_status impossible(skive_context *ctx, const skive_node *node, int axis) {
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: axis %d cannot be resized to that size", node->op_type,
                       axis);
}

/* The size is floor(in * scale) of float32 numbers, as computed by exporters. */
static skive_status take_scale(skive_context *ctx, const skive_node *node, skv_resize_axis *a, int axis, double scale) {
    if (!(scale > 0.0) || isinf(scale)) return impossible(ctx, node, axis);
    a->scale = scale;
    if (a->in < 0) return SKIVE_OK;
    const double out = (double)floorf((float)a->in * (float)scale);
    if (out > (double)SKV_MAX_ELEMENTS) return impossible(ctx, node, axis);
    a->out = (int64_t)out;
    return SKIVE_OK;
}

static skive_status take_sizes(skive_context *ctx, const skive_node *node, skv_resize *r, const int *axes, int n,
                               const int64_t *sizes, keep_ratio keep) {
    double common = keep == NOT_LARGER ? INFINITY : 0.0;
    bool known = true;
    for (int i = 0; i < n; i++) {
        skv_resize_axis *a = &r->axis[axes[i]];
        if (sizes[i] < 0 || sizes[i] > SKV_MAX_ELEMENTS || (a->in == 0 && sizes[i] > 0))
            return impossible(ctx, node, axes[i]);
        const double scale = a->in > 0 ? (double)sizes[i] / (double)a->in : a->in == 0 ? 1.0 : 0.0; /* 0: unknown */
        known = known && a->in >= 0;
        a->scale = scale;
        a->by_size = true;
        a->out = sizes[i];
        if (a->in > 0) common = keep == NOT_LARGER ? fmin(common, scale) : fmax(common, scale);
    }
    if (keep == STRETCH) return SKIVE_OK;
    for (int i = 0; i < n; i++) {
        skv_resize_axis *a = &r->axis[axes[i]];
        a->by_size = false;
        a->scale = known ? common : 0.0;
        const double out = floor(common * (double)a->in + 0.5);
        if (known && !(out <= (double)SKV_MAX_ELEMENTS)) return impossible(ctx, node, axes[i]);
        a->out = known ? (int64_t)out : -1;
    }
    return SKIVE_OK;
}

skive_status skv_resize_read(skive_context *ctx, const skive_node *node, int rank, const int64_t *dims,
                             const skive_tensor *roi, const skive_tensor *scales, const skive_tensor *sizes,
                             skv_resize *out) {
    skv_resize r = {.rank = rank};
    int axes[SKIVE_MAX_RANK], n = 0, count = -1;
    int64_t list[SKIVE_MAX_RANK];
    keep_ratio keep;
    SKV_TRY(read_attributes(ctx, node, &r, &keep));
    SKV_TRY(read_axes(ctx, node, rank, axes, &n));
    for (int d = 0; d < rank; d++)
        r.axis[d] = (skv_resize_axis){.in = dims[d], .out = dims[d], .scale = 1.0, .by_size = true, .last = 1.0};
    if (is_there(scales) == is_there(sizes))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: exactly one of scales and sizes must be given",
                           node->op_type);
    if (is_there(scales)) {
        SKV_TRY(want_list(ctx, node, "scales", scales, n));
        for (int i = 0; i < n; i++) {
            skv_resize_axis *a = &r.axis[axes[i]];
            a->by_size = false;
            a->out = -1;
            SKV_TRY(take_scale(ctx, node, a, axes[i], skv_load_f64(scales->dtype, scales->data, (size_t)i)));
        }
    } else {
        SKV_TRY(want_list(ctx, node, "sizes", sizes, n));
        count = skv_read_ints(sizes, list, SKIVE_MAX_RANK);
        if (count != n)
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: sizes are not integers", node->op_type);
        SKV_TRY(take_sizes(ctx, node, &r, axes, n, list, keep));
    }
    if (r.coordinates == SKV_CROP_AND_RESIZE && roi) {
        SKV_TRY(want_list(ctx, node, "roi", roi, 2 * n));
        for (int i = 0; i < n; i++) {
            r.axis[axes[i]].first = skv_load_f64(roi->dtype, roi->data, (size_t)i);
            r.axis[axes[i]].last = skv_load_f64(roi->dtype, roi->data, (size_t)i + (size_t)n);
        }
    }
    for (int d = 0; d < rank; d++) {
        skv_resize_axis *a = &r.axis[d];
        const bool whole = r.coordinates != SKV_CROP_AND_RESIZE || (a->first == 0.0 && a->last == 1.0);
        a->copied = a->in == a->out && a->scale == 1.0 && whole;
    }
    *out = r;
    return SKIVE_OK;
}

/* ---- inference ---- */

/* The constant of input i; *known becomes false if it is present but not constant. */
static const skive_tensor *constant_of(const skv_infer *c, size_t i, bool *known) {
    if (i >= c->n_in || !c->in[i]) return NULL;
    if (c->in[i]->rank == 1 && c->in[i]->dims[0].size == 0) return NULL;
    if (c->constant[i] && c->constant[i]->data) return c->constant[i];
    *known = false;
    return NULL;
}

skive_status skv_resize_infer(skv_infer *c, skv_resize_operands at, const skive_type *x, skive_type *y) {
    bool known = true, ignored = true;
    int64_t dims[SKIVE_MAX_RANK];
    skv_resize r;
    *y = *x;
    if (x->rank < 0) return SKIVE_OK;
    const skive_tensor *roi = constant_of(c, at.roi, &ignored), *scales = constant_of(c, at.scales, &known);
    const skive_tensor *sizes = constant_of(c, at.sizes, &known);
    if (!known) {
        for (int d = 0; d < x->rank; d++) y->dims[d] = skv_dim_unknown();
        return SKIVE_OK;
    }
    skv_type_sizes(x, dims);
    SKV_TRY(skv_resize_read(c->ctx, c->node, x->rank, dims, roi, scales, sizes, &r));
    for (int d = 0; d < x->rank; d++) {
        if (r.axis[d].scale == 1.0 && r.axis[d].out == r.axis[d].in) continue; /* keeps its symbol */
        y->dims[d] = r.axis[d].out >= 0 ? skv_dim(r.axis[d].out) : skv_dim_unknown();
    }
    return skv_infer_limit(c, y);
}

/* ---- running ---- */

void skv_resize_apply(int threads, const skv_resize_taps *t, const skv_resize_axis *axis, int64_t outer, int64_t inner,
                      const double *x, double *y) {
    const int64_t rows = outer * axis->out;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t o = row / axis->out, at = row % axis->out * t->n;
        double *to = y + row * inner;
        for (int64_t k = 0; k < t->n; k++) {
            const double *from = x + (o * axis->in + t->index[at + k]) * inner, w = t->weight[at + k];
            for (int64_t i = 0; k == 0 && i < inner; i++) to[i] = 0.0;
            for (int64_t i = 0; w != 0.0 && i < inner; i++) to[i] += w * from[i]; /* a weight of 0 hides infinities */
        }
    }
}

void skv_resize_apply_transposed(int threads, const skv_resize_taps *t, const skv_resize_axis *axis, int64_t outer,
                                 int64_t inner, const double *y, double *x) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t o = 0; o < outer; o++) {
        memset(x + o * axis->in * inner, 0, (size_t)(axis->in * inner) * sizeof *x);
        for (int64_t p = 0; p < axis->out; p++) {
            const double *from = y + (o * axis->out + p) * inner;
            for (int64_t k = 0; k < t->n; k++) {
                const double w = t->weight[p * t->n + k];
                double *to = x + (o * axis->in + t->index[p * t->n + k]) * inner;
                for (int64_t i = 0; i < inner; i++) to[i] += w * from[i];
            }
        }
    }
}

/* Elements are only moved: any type. */
static void run_nearest(const skive_tensor *x, const skive_tensor *y, const skv_resize *r,
                        const skv_resize_taps *taps) {
    const int64_t n = skive_tensor_count(y);
    int64_t strides[SKIVE_MAX_RANK], index[SKIVE_MAX_RANK] = {0};
    if (n == 0) return;
    if (r->rank == 0) {
        skv_copy_element(x->dtype, y->data, 0, x->data, 0);
        return;
    }
    skv_dims_strides(x->rank, x->dims, strides);
    const int last = r->rank - 1;
    const int64_t row = y->dims[last];
    for (int64_t at = 0; at < n; at += row) {
        int64_t from = 0;
        for (int d = 0; d < last; d++) from += (taps[d].index ? taps[d].index[index[d]] : index[d]) * strides[d];
        if (!taps[last].index) {
            const int64_t one = 1;
            skv_copy_strided(x->dtype, 1, &row, y->data, at, &one, x->data, from, &one);
        } else {
            for (int64_t i = 0; i < row; i++)
                skv_copy_element(x->dtype, y->data, (size_t)(at + i), x->data, (size_t)(from + taps[last].index[i]));
        }
        for (int d = last - 1; d >= 0 && ++index[d] == y->dims[d]; d--) index[d] = 0;
    }
}

/* Positions outside the region's input take the extrapolation value. */
static void extrapolate(const skive_tensor *y, const skv_resize *r, const skv_resize_taps *taps) {
    const int64_t n = skive_tensor_count(y);
    int64_t index[SKIVE_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) {
        bool outside = false;
        for (int d = 0; d < r->rank; d++) outside = outside || (taps[d].outside && taps[d].outside[index[d]]);
        if (outside) skv_store_f64(y->dtype, y->data, (size_t)i, r->extrapolation);
        for (int d = r->rank - 1; d >= 0 && ++index[d] == y->dims[d]; d--) index[d] = 0;
    }
}

/* Axis by axis through two buffers, shrinking axes first. */
static skive_status run_weighted(const skv_eval *c, const skv_resize *r, const skv_resize_taps *taps) {
    skv_doubles x = {0};
    skv_result y = {0};
    double *here = NULL;
    int64_t dims[SKIVE_MAX_RANK];
    skive_status status;
    const int threads = skv_threads(c->ctx);
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &y));
    memcpy(dims, c->in[0]->dims, sizeof dims);
    const double *from = x.p;
    for (int pass = 0; pass < 2; pass++) {
        for (int d = 0; d < r->rank; d++) {
            const skv_resize_axis *a = &r->axis[d];
            int64_t outer = 1, inner = 1, count;
            double *to = NULL;
            if (a->copied || (a->out < a->in) != (pass == 0)) continue;
            for (int k = 0; k < d; k++) outer *= dims[k];
            for (int k = d + 1; k < r->rank; k++) inner *= dims[k];
            if (!skv_mul_i64(outer * inner, a->out, &count) || count > SKV_MAX_ELEMENTS) {
                status = skv_fail_at(c->ctx, SKIVE_ERR_LIMIT, c->node->name, "%s: too many elements", c->node->op_type);
                goto done;
            }
            SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)count, sizeof *to, &to));
            skv_resize_apply(threads, &taps[d], a, outer, inner, from, to);
            skv_free(c->ctx, here);
            here = to;
            from = to;
            dims[d] = a->out;
        }
    }
    const bool whole = !skv_dtype_is_float(c->out[0]->dtype);
    for (size_t i = 0; i < y.n; i++) y.p[i] = whole ? trunc(from[i]) : from[i];
    skv_result_store(&y);
done:
    skv_free(c->ctx, here);
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &y);
    return status;
}

skive_status skv_resize_of(const skv_eval *c, skv_resize_operands at, const skive_tensor *x, skv_resize *out) {
    const skive_tensor *roi = at.roi < c->n_in ? c->in[at.roi] : NULL;
    const skive_tensor *scales = at.scales < c->n_in ? c->in[at.scales] : NULL;
    const skive_tensor *sizes = at.sizes < c->n_in ? c->in[at.sizes] : NULL;
    return skv_resize_read(c->ctx, c->node, x->rank, x->dims, roi, scales, sizes, out);
}

skive_status skv_resize_run(const skv_eval *c, skv_resize_operands at) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    skv_resize_taps taps[SKIVE_MAX_RANK] = {{0}};
    skv_resize r;
    skive_status status = SKIVE_OK;
    bool cropped = false;
    SKV_TRY(skv_resize_of(c, at, x, &r));
    bool fits = x->rank == y->rank && x->dtype == y->dtype;
    for (int d = 0; fits && d < r.rank; d++) fits = r.axis[d].out == y->dims[d];
    if (!fits)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%s: the sizes differ from the planned ones",
                           c->node->op_type);
    for (int d = 0; d < r.rank; d++) {
        if (!r.axis[d].copied) SKV_GO(status, done, skv_resize_taps_make(c->ctx, c->node, &r, d, &taps[d]));
        cropped = cropped || taps[d].outside;
    }
    if (r.mode == SKV_RESIZE_NEAREST)
        run_nearest(x, y, &r, taps);
    else
        SKV_GO(status, done, run_weighted(c, &r, taps));
    if (cropped) extrapolate(y, &r, taps);
done:
    for (int d = 0; d < r.rank; d++) skv_resize_taps_free(c->ctx, &taps[d]);
    return status;
}
