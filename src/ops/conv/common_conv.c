/* Spatial geometry of convolutions and pools; see common_conv.h. The loops are in common_conv_loops.c. */
#include "ops/conv/common_conv.h"

#define LARGEST INT32_MAX /* limit of a value of an attribute, so that products of two fit 64 bits */

skive_status skv_conv_list(skive_context *ctx, const skive_node *node, const char *name, size_t want, int64_t low,
                           int64_t *out, bool *present) {
    size_t n = 0;
    const int64_t *list = skv_attr_ints(node, name, &n);
    *present = list != NULL && n > 0;
    if (!*present) return SKIVE_OK;
    if (n != want)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: attribute %s has %zu values, expected %zu",
                           node->op_type, name, n, want);
    for (size_t i = 0; i < n; i++) {
        if (list[i] < low || list[i] > LARGEST)
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                               "%s: attribute %s has the value %lld, expected %lld to %d", node->op_type, name,
                               (long long)list[i], (long long)low, LARGEST);
        out[i] = list[i];
    }
    return SKIVE_OK;
}

skive_status skv_conv_pad_rule(skive_context *ctx, const skive_node *node, skv_pad_rule *out) {
    const char *text = skv_attr_string(node, "auto_pad", "NOTSET");
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (skv_pad_rule)i;
            return SKIVE_OK;
        }
    }
    if (!*text) {
        *out = SKV_PADS_GIVEN;
        return SKIVE_OK;
    }
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                       "%s: auto_pad is \"%.*s\", expected NOTSET, SAME_UPPER, SAME_LOWER or VALID", node->op_type,
                       skv_utf8_prefix(text, 40), text);
}

/* One axis, everything but in and out set; `in` is known. */
static skive_status axis_out(skive_context *ctx, const skive_node *node, skv_geometry *g, int a, skv_pad_rule rule,
                             bool ceil_mode) {
    int64_t reach = (g->kernel[a] - 1) * g->dilation[a] + 1, in = g->in[a], s = g->stride[a], padded, extra;
    if (rule == SKV_PADS_SAME_UPPER || rule == SKV_PADS_SAME_LOWER) {
        int64_t out = in / s + (in % s != 0), need;
        if (out < 1)
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: a spatial size of the input is 0", node->op_type);
        if (!skv_add_i64((out - 1) * s, reach, &need))
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: window sizes overflow", node->op_type);
        int64_t total = need > in ? need - in : 0;
        g->pad_lo[a] = rule == SKV_PADS_SAME_UPPER ? total / 2 : total - total / 2;
        g->pad_hi[a] = total - g->pad_lo[a];
        g->out[a] = out;
        return SKIVE_OK;
    }
    if (!skv_add_i64(in, g->pad_lo[a], &padded) || !skv_add_i64(padded, g->pad_hi[a], &padded) ||
        !skv_add_i64(padded, s, &extra) || !skv_add_i64(extra, reach, &extra))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: padded sizes overflow", node->op_type);
    if (padded < reach)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: the window covers %lld elements, but the padded input has %lld", node->op_type,
                           (long long)reach, (long long)padded);
    int64_t room = padded - reach;
    g->out[a] = (ceil_mode ? room / s + (room % s != 0) : room / s) + 1;
    /* A window that would start in the padding at the end is left out. */
    if (ceil_mode && (g->out[a] - 1) * s >= in + g->pad_lo[a]) g->out[a]--;
    return SKIVE_OK;
}

skive_status skv_conv_geometry(skive_context *ctx, const skive_node *node, int rank, const int64_t *dims,
                               const int64_t *kernel, skv_geometry *out) {
    int spatial = rank - 2, first = SKV_SPATIAL - spatial;
    if (spatial < 1 || spatial > SKV_SPATIAL)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: the input has %d dimensions, expected 3 to 5 ([n][c][spatial...])", node->op_type,
                           rank);
    skv_geometry g = {.spatial = spatial};
    for (int a = 0; a < SKV_SPATIAL; a++) {
        g.in[a] = g.kernel[a] = g.stride[a] = g.dilation[a] = g.out[a] = 1;
        if (a >= first) g.in[a] = dims[2 + a - first], g.out[a] = -1;
    }
    bool present, has_kernel, padded;
    int64_t pads[2 * SKV_SPATIAL] = {0};
    size_t ns = (size_t)spatial;
    SKV_TRY(skv_conv_list(ctx, node, "kernel_shape", ns, 1, g.kernel + first, &has_kernel));
    SKV_TRY(skv_conv_list(ctx, node, "strides", ns, 1, g.stride + first, &present));
    SKV_TRY(skv_conv_list(ctx, node, "dilations", ns, 1, g.dilation + first, &present));
    SKV_TRY(skv_conv_list(ctx, node, "pads", 2 * ns, 0, pads, &padded));
    skv_pad_rule rule = SKV_PADS_GIVEN;
    SKV_TRY(skv_conv_pad_rule(ctx, node, &rule));
    if (!kernel && !has_kernel)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: attribute kernel_shape is missing", node->op_type);
    if (rule == SKV_PADS_GIVEN) {
        for (int i = 0; i < spatial; i++) {
            g.pad_lo[first + i] = pads[i];
            g.pad_hi[first + i] = pads[spatial + i];
        }
    }
    bool ceil_mode = skv_attr_int(node, "ceil_mode", 0) != 0;
    for (int i = 0; i < spatial; i++) {
        int a = first + i;
        if (kernel) {
            if (kernel[i] < 0 && !has_kernel) g.kernel[a] = -1;
            if (kernel[i] >= 0 && has_kernel && kernel[i] != g.kernel[a])
                return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                                   "%s: kernel_shape is %lld, but the weight has %lld", node->op_type,
                                   (long long)g.kernel[a], (long long)kernel[i]);
            if (kernel[i] >= 0) g.kernel[a] = kernel[i];
            if (kernel[i] == 0 || kernel[i] > LARGEST)
                return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: the kernel size %lld is not valid",
                                   node->op_type, (long long)kernel[i]);
        }
        bool same = rule == SKV_PADS_SAME_UPPER || rule == SKV_PADS_SAME_LOWER;
        if (g.in[a] < 0 || g.kernel[a] < 0) {
            g.in[a] = g.in[a] < 0 ? -1 : g.in[a];
            if (same) g.pad_lo[a] = g.pad_hi[a] = -1;
            if (same && g.in[a] > 0) g.out[a] = (g.in[a] - 1) / g.stride[a] + 1;
            continue;
        }
        SKV_TRY(axis_out(ctx, node, &g, a, rule, ceil_mode));
    }
    int64_t taps = 1;
    for (int a = 0; a < SKV_SPATIAL; a++)
        if (g.kernel[a] > 0 && !skv_mul_i64(taps, g.kernel[a], &taps))
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: the window has too many elements", node->op_type);
    *out = g;
    return SKIVE_OK;
}

skive_status skv_conv_shape_make(skive_context *ctx, const skive_node *node, int x_rank, const int64_t *x_dims,
                                 int w_rank, const int64_t *w_dims, skv_conv_shape *out) {
    if (x_rank != w_rank)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: the input has %d dimensions and the weight %d; they must be equal", node->op_type,
                           x_rank, w_rank);
    SKV_TRY(skv_conv_geometry(ctx, node, x_rank, x_dims, w_dims + 2, &out->g));
    out->n = x_dims[0];
    out->c = x_dims[1];
    out->m = w_dims[0];
    out->groups = skv_attr_int(node, "group", 1);
    if (out->groups < 1 || out->groups > LARGEST)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: group is %lld, expected 1 or more", node->op_type,
                           (long long)out->groups);
    if (out->m >= 0 && out->m % out->groups != 0)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: %lld output channels cannot be divided into %lld groups", node->op_type,
                           (long long)out->m, (long long)out->groups);
    int64_t inner = w_dims[1], expected;
    if (inner >= 0) {
        if (!skv_mul_i64(inner, out->groups, &expected) || (out->c >= 0 && out->c != expected))
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                               "%s: the input has %lld channels, but the weight needs %lld x %lld groups",
                               node->op_type, (long long)out->c, (long long)inner, (long long)out->groups);
        out->c = expected;
    } else if (out->c >= 0 && out->c % out->groups != 0) {
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: %lld input channels cannot be divided into %lld groups", node->op_type,
                           (long long)out->c, (long long)out->groups);
    }
    return SKIVE_OK;
}

skive_status skv_conv_shape_of(const skv_eval *c, const skive_tensor *x, const skive_tensor *w, skv_conv_shape *out) {
    return skv_conv_shape_make(c->ctx, c->node, x->rank, x->dims, w->rank, w->dims, out);
}

/* The output's size along a spatial axis, which has the input's symbol where the padding makes up for the window. */
static skive_dim dim_out(const skv_geometry *g, int a, const skive_dim *in) {
    int64_t reach = 0;
    const bool same = g->pad_lo[a] < 0; /* auto_pad SAME */
    if (g->out[a] >= 0 || !in || in->size >= 0 || g->stride[a] != 1) return skv_dim_of(g->out[a]);
    if (same) return *in;
    if (g->kernel[a] < 1 || !skv_mul_i64(g->kernel[a] - 1, g->dilation[a], &reach)) return skv_dim_of(-1);
    return g->pad_lo[a] + g->pad_hi[a] == reach ? *in : skv_dim_of(-1);
}

skive_status skv_infer_conv(skv_infer *c, size_t x, size_t w, skv_conv_shape *shape, bool *known) {
    *known = false;
    SKV_TRY(skv_want_rank(c, x, 3, 2 + SKV_SPATIAL));
    SKV_TRY(skv_want_rank(c, w, 3, 2 + SKV_SPATIAL));
    if (!skv_in_ranked(c, x) && !skv_in_ranked(c, w)) return SKIVE_OK;
    int64_t xd[SKIVE_MAX_RANK], wd[SKIVE_MAX_RANK];
    const skive_type none = {.rank = skv_in_ranked(c, x) ? c->in[x]->rank : c->in[w]->rank};
    skv_type_sizes(skv_in_ranked(c, x) ? c->in[x] : &(skive_type){.rank = 0}, xd);
    skv_type_sizes(skv_in_ranked(c, w) ? c->in[w] : &(skive_type){.rank = 0}, wd);
    SKV_TRY(skv_conv_shape_make(c->ctx, c->node, skv_in_ranked(c, x) ? c->in[x]->rank : none.rank, xd,
                                skv_in_ranked(c, w) ? c->in[w]->rank : none.rank, wd, shape));
    *known = true;
    if (c->n_out < 1) return SKIVE_OK;
    skive_type *y = &c->out[0];
    y->rank = none.rank;
    y->dims[0] = skv_in_ranked(c, x) ? c->in[x]->dims[0] : skv_dim_of(-1);
    y->dims[1] = skv_dim_of(shape->m);
    for (int i = 0; i < shape->g.spatial; i++)
        y->dims[2 + i] =
            dim_out(&shape->g, SKV_SPATIAL - shape->g.spatial + i, skv_in_ranked(c, x) ? &c->in[x]->dims[2 + i] : NULL);
    return SKIVE_OK;
}

static void add_macs(const skive_value *y, const skive_value *w, skive_cost *cost) {
    if (!y || !w) return;
    int64_t taps = skv_dim_or_1(w, 1);
    for (int a = 2; a < w->type.rank; a++) taps = skv_mul_sat(taps, skv_dim_or_1(w, a));
    cost->macs = skv_add_sat(cost->macs, skv_mul_sat(taps, skv_type_count(&y->type)));
}

void skv_conv_cost(const skive_node *n, const skive_value *w, skive_cost *cost) {
    if (n->n_outputs) add_macs(n->outputs[0], w, cost);
}

void skv_conv_grad_cost(const skive_node *n, const skive_value *w, skive_cost *cost) {
    add_macs(skv_node_in(n, 0), w, cost);
}

static skive_status want_shape(const skv_eval *c, int64_t n, int64_t channels, const skv_geometry *g,
                               const skive_tensor *dy) {
    bool fits = dy->rank == 2 + g->spatial && dy->dims[0] == n && dy->dims[1] == channels;
    for (int i = 0; fits && i < g->spatial; i++) fits = dy->dims[2 + i] == g->out[SKV_SPATIAL - g->spatial + i];
    if (fits) return SKIVE_OK;
    char text[SKV_DIMS_TEXT];
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                       "%s: the gradient of the output has shape %s, which is not that of the output", c->node->op_type,
                       skv_dims_text(dy->rank, dy->dims, text, sizeof text));
}

skive_status skv_conv_want_dy(const skv_eval *c, const skv_conv_shape *s, const skive_tensor *dy) {
    return want_shape(c, s->n, s->m, &s->g, dy);
}

skive_status skv_pool_want_dy(const skv_eval *c, const skv_geometry *g, const skive_tensor *x, const skive_tensor *dy) {
    return want_shape(c, x->dims[0], x->dims[1], g, dy);
}

/* ---- pools ---- */

skive_status skv_infer_pool(skv_infer *c) {
    const skive_type *x = skv_in_type(c, 0);
    if (!x || c->n_out < 1) return SKIVE_OK;
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    int64_t dims[SKIVE_MAX_RANK];
    skv_geometry g;
    skv_type_sizes(x, dims);
    SKV_TRY(skv_conv_geometry(c->ctx, c->node, x->rank, dims, NULL, &g));
    c->out[0] = *x;
    for (int i = 0; i < g.spatial; i++)
        c->out[0].dims[2 + i] = dim_out(&g, SKV_SPATIAL - g.spatial + i, &x->dims[2 + i]);
    return SKIVE_OK;
}

skive_status skv_pool_geometry(const skv_eval *c, const skive_tensor *x, skv_geometry *out) {
    return skv_conv_geometry(c->ctx, c->node, x->rank, x->dims, NULL, out);
}

void skv_couple_conv(skv_couple *c, int x, int w, int bias) {
    static const char *const slides = "a convolution slides over this axis";
    const skv_slot in = SKV_CIN(x, 1), out = SKV_COUT(0, 1), filters = SKV_CIN(w, 0), per_group = SKV_CIN(w, 1);
    const int64_t groups = skv_attr_int(skv_couple_node(c), "group", 1), m = skv_couple_length(c, filters),
                  per_in = skv_couple_length(c, per_group);
    const skive_type *t = skv_couple_type(c, in);
    skv_couple_same(c, SKV_CIN(x, 0), SKV_COUT(0, 0));
    for (int a = 2; t && a < t->rank; a++) {
        skv_couple_fix(c, SKV_CIN(x, a), slides);
        skv_couple_fix(c, SKV_COUT(0, a), slides);
    }
    skv_couple_same(c, filters, out);
    if (bias >= 0) skv_couple_same(c, SKV_CIN(bias, 0), out);
    if (groups <= 1) {
        skv_couple_same(c, in, per_group);
        return;
    }
    if (m < 0 || per_in < 1 || m % groups != 0 || skv_couple_length(c, in) != groups * per_in) {
        skv_couple_fix(c, in, "the sizes of a grouped convolution are unknown");
        skv_couple_fix(c, out, "the sizes of a grouped convolution are unknown");
        return;
    }
    const skv_slot per_out = skv_couple_factor(c, m / groups);
    if (per_in == 1) {
        skv_couple_fix(c, per_group, "a depthwise filter has one input channel");
        skv_couple_product(c, out, 0, in, per_out);
        return;
    }
    skv_couple_free(c, per_group);
    const skv_slot group = skv_couple_factor(c, groups);
    skv_couple_product(c, in, 0, group, per_group);
    skv_couple_product(c, out, 0, group, per_out);
}

skive_status skv_shrink_groups(const skv_shrink *s, int x) {
    skive_node *n = skv_shrink_node(s);
    const int64_t groups = skv_attr_int(n, "group", 1);
    const skv_remaining in = skv_shrink_remaining(s, SKV_CIN(x, 1));
    const int64_t left = skv_remaining_parts(&in, groups);
    return groups > 1 && left != groups ? skv_node_set_attr(n, &SKV_INT("group", left)) : SKIVE_OK;
}

void skv_couple_pool(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    if (!x || x->rank < 2) return;
    skv_couple_same(c, SKV_CIN(0, 0), SKV_COUT(0, 0));
    skv_couple_same(c, SKV_CIN(0, 1), SKV_COUT(0, 1));
    if (skv_couple_type(c, SKV_COUT(1, 0)))
        skv_couple_fix(c, SKV_CIN(0, 1), "positions counted over all channels are given out");
    for (int a = 2; a < x->rank; a++) {
        skv_couple_fix(c, SKV_CIN(0, a), "a pool slides over this axis");
        skv_couple_fix(c, SKV_COUT(0, a), "a pool slides over this axis");
    }
}

void skv_pool_cost(const skive_node *n, skive_cost *cost) {
    if (n->n_outputs < 1 || !n->outputs[0]) return;
    size_t count = 0;
    const int64_t *kernel = skv_attr_ints(n, "kernel_shape", &count);
    int64_t taps = 1;
    for (size_t i = 0; i < count; i++) taps = skv_mul_sat(taps, kernel[i] > 0 ? kernel[i] : 1);
    cost->operations = skv_add_sat(cost->operations, skv_mul_sat(taps, skv_type_count(&n->outputs[0]->type)));
}

int64_t skv_average_taps(const skv_geometry *g, int a, int64_t o, bool count_include_pad) {
    int64_t lo = 0, hi;
    if (count_include_pad) { /* the part that ceil_mode adds after the end padding does not count */
        const int64_t start = o * g->stride[a] - g->pad_lo[a], last = g->in[a] + g->pad_hi[a] - 1 - start;
        hi = last < 0 ? 0 : last / g->dilation[a] + 1;
        if (hi > g->kernel[a]) hi = g->kernel[a];
    } else {
        skv_window_range(g, a, o, &lo, &hi);
    }
    return hi - lo;
}

int64_t skv_average_divisor(const skv_geometry *g, const int64_t o[SKV_SPATIAL], bool count_include_pad) {
    int64_t product = 1;
    for (int a = 0; a < SKV_SPATIAL; a++) product *= skv_average_taps(g, a, o[a], count_include_pad);
    return product;
}
