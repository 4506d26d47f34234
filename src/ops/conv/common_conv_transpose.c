/* Sizes and padding of transposed convolutions; see common_conv_transpose.h. */
#include "ops/conv/common_conv_transpose.h"

#define LARGEST INT32_MAX

typedef struct asked { /* attributes of the output, by axis of the geometry */
    bool sized;
    int64_t size[SKV_SPATIAL], more[SKV_SPATIAL]; /* output_shape, output_padding */
} asked;

/* One axis: g->out is the known size of x. */
static skive_status axis_size(skive_context *ctx, const skive_node *node, skv_geometry *g, int a, skv_pad_rule rule,
                              const asked *want) {
    const int64_t n = g->out[a], s = g->stride[a];
    int64_t whole, scaled; /* without padding; n * s */
    if (n < 1)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: a spatial size of the input is 0", node->op_type);
    if (!skv_mul_i64(n, s, &scaled) || !skv_mul_i64(n - 1, s, &whole) ||
        !skv_add_i64(whole, (g->kernel[a] - 1) * g->dilation[a] + 1 + want->more[a], &whole))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: the sizes of the output overflow", node->op_type);
    const bool same = rule == SKV_PADS_SAME_UPPER || rule == SKV_PADS_SAME_LOWER;
    if (want->sized || same) {
        g->in[a] = want->sized ? want->size[a] : scaled;
        const int64_t cut = whole > g->in[a] ? whole - g->in[a] : 0;
        g->pad_lo[a] = rule == SKV_PADS_SAME_UPPER ? cut / 2 : cut - cut / 2;
        g->pad_hi[a] = cut - g->pad_lo[a];
        return SKIVE_OK;
    }
    g->in[a] = whole - g->pad_lo[a] - g->pad_hi[a];
    if (g->in[a] < 1)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: the padding removes all of %lld elements",
                           node->op_type, (long long)whole);
    return SKIVE_OK;
}

/* output_shape has the spatial sizes, or (from some exporters) batch and channels before them. */
static skive_status read_asked(skive_context *ctx, const skive_node *node, int spatial, asked *out) {
    const int first = SKV_SPATIAL - spatial;
    int64_t list[2 + SKV_SPATIAL];
    size_t n = 0;
    bool present;
    *out = (asked){.sized = false};
    SKV_TRY(skv_conv_list(ctx, node, "output_padding", (size_t)spatial, 0, out->more + first, &present));
    (void)skv_attr_ints(node, "output_shape", &n);
    const size_t lead = n == (size_t)spatial + 2 ? 2 : 0;
    SKV_TRY(skv_conv_list(ctx, node, "output_shape", (size_t)spatial + lead, 1, list, &out->sized));
    for (int i = 0; out->sized && i < spatial; i++) out->size[first + i] = list[lead + (size_t)i];
    return SKIVE_OK;
}

static skive_status read_geometry(skive_context *ctx, const skive_node *node, int rank, const int64_t *x_dims,
                                  const int64_t *w_dims, skv_geometry *out) {
    const int spatial = rank - 2, first = SKV_SPATIAL - spatial;
    skv_geometry g = {.spatial = spatial};
    int64_t pads[2 * SKV_SPATIAL] = {0};
    bool present, has_kernel;
    skv_pad_rule rule = SKV_PADS_GIVEN;
    asked want;
    if (spatial < 1 || spatial > SKV_SPATIAL)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: the input has %d dimensions, expected 3 to 5",
                           node->op_type, rank);
    for (int a = 0; a < SKV_SPATIAL; a++) g.in[a] = g.kernel[a] = g.stride[a] = g.dilation[a] = g.out[a] = 1;
    SKV_TRY(skv_conv_list(ctx, node, "kernel_shape", (size_t)spatial, 1, g.kernel + first, &has_kernel));
    SKV_TRY(skv_conv_list(ctx, node, "strides", (size_t)spatial, 1, g.stride + first, &present));
    SKV_TRY(skv_conv_list(ctx, node, "dilations", (size_t)spatial, 1, g.dilation + first, &present));
    SKV_TRY(skv_conv_list(ctx, node, "pads", 2 * (size_t)spatial, 0, pads, &present));
    SKV_TRY(skv_conv_pad_rule(ctx, node, &rule));
    SKV_TRY(read_asked(ctx, node, spatial, &want));
    for (int i = 0; i < spatial; i++) {
        const int a = first + i;
        const int64_t k = w_dims[2 + i];
        if (k == 0 || k > LARGEST || (k > 0 && has_kernel && k != g.kernel[a]))
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: kernel_shape is %lld, but the weight has %lld",
                               node->op_type, (long long)g.kernel[a], (long long)k);
        if (k > 0 || !has_kernel) g.kernel[a] = k;
        if (rule == SKV_PADS_GIVEN) {
            g.pad_lo[a] = pads[i];
            g.pad_hi[a] = pads[spatial + i];
        }
        g.out[a] = x_dims[2 + i];
        if (g.out[a] >= 0 && g.kernel[a] >= 0) {
            SKV_TRY(axis_size(ctx, node, &g, a, rule, &want));
            continue;
        }
        g.in[a] = want.sized ? want.size[a] : -1;
        if (want.sized || (rule != SKV_PADS_GIVEN && rule != SKV_PADS_NONE)) g.pad_lo[a] = g.pad_hi[a] = -1;
    }
    *out = g;
    return SKIVE_OK;
}

skive_status skv_conv_transpose_make(skive_context *ctx, const skive_node *node, int x_rank, const int64_t *x_dims,
                                     int w_rank, const int64_t *w_dims, skv_conv_shape *out) {
    skv_conv_shape s = {.n = x_dims[0], .m = x_dims[1], .c = -1};
    if (x_rank != w_rank)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: the input has %d dimensions and the weight %d; they must be equal", node->op_type,
                           x_rank, w_rank);
    SKV_TRY(read_geometry(ctx, node, x_rank, x_dims, w_dims, &s.g));
    s.groups = skv_attr_int(node, "group", 1);
    if (s.groups < 1 || s.groups > LARGEST)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: group is %lld, expected 1 or more", node->op_type,
                           (long long)s.groups);
    if (s.m >= 0 && w_dims[0] >= 0 && s.m != w_dims[0])
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: the input has %lld channels, but the weight needs %lld", node->op_type, (long long)s.m,
                           (long long)w_dims[0]);
    if (s.m < 0) s.m = w_dims[0];
    if (s.m >= 0 && s.m % s.groups != 0)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "%s: %lld input channels cannot be divided into %lld groups", node->op_type, (long long)s.m,
                           (long long)s.groups);
    if (w_dims[1] >= 0 && !skv_mul_i64(w_dims[1], s.groups, &s.c))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s: the number of output channels overflows",
                           node->op_type);
    *out = s;
    return SKIVE_OK;
}
