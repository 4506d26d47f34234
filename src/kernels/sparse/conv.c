/* Convolution in f32 with a constant weight that is mostly zeros, or coded. */
#if SKIVE_ONEDNN
#include "kernels/onednn/winograd_pays.h"
#endif
#include "kernels/sparse/layer.h"
#include "kernels/winograd.h"

static bool read_shape(const skv_kernel_node *n, skv_conv_shape *s, skv_why *why) {
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    int64_t x_dims[SKIVE_MAX_RANK], w_dims[SKIVE_MAX_RANK];
    if (x->rank < 3 || x->rank > 4) return skv_decline(why, "rank %d", x->rank);
    skv_type_sizes(x, x_dims);
    skv_type_sizes(w, w_dims);
    if (skv_conv_shape_make(n->ctx, n->node, x->rank, x_dims, w->rank, w_dims, s) != SKIVE_OK)
        return skv_decline(why, "its shape");
    return skv_type_count(x) > 0 && skv_type_count(w) > 0 && skv_type_count(&n->out[0].type) > 0
               ? true
               : skv_decline(why, "empty");
}

/* A window of one element that reads everything once: the images are lines one behind the other, without ends to mind.
 * */
static bool is_pointwise(const skv_geometry *g) {
    for (int a = 1; a < SKV_SPATIAL; a++)
        if (g->kernel[a] != 1 || g->stride[a] != 1 || g->pad_lo[a] != 0 || g->pad_hi[a] != 0) return false;
    return true;
}

/* Channels that stand together in a layout, and how many of them there are with those that fill up the last block. */
static int64_t block_of(skv_layout layout, int64_t channels) {
    if (layout != SKV_NHWC) return skv_layout_block(layout);
    return channels > 1 ? channels : 1;
}
static int64_t stored(skv_layout layout, int64_t channels) {
    const int64_t block = block_of(layout, channels);
    return (channels + block - 1) / block * block;
}

/* As it is offered, so that neighbours need no reordering; but groups must fill their blocks, and single elements are
 * rows. */
static skv_layout layout_of(const skv_conv_shape *c, skv_layout offered) {
    const skv_geometry *g = &c->g;
    const int64_t block = skv_layout_block(offered);
    if (g->in[1] * g->in[2] == 1 || g->out[1] * g->out[2] == 1) return SKV_PLAIN;
    if (c->groups == 1) return offered;
    return offered != SKV_NHWC && c->c / c->groups % block == 0 && c->m / c->groups % block == 0 ? offered : SKV_PLAIN;
}

static skv_sparse_shape shape_of(const skv_conv_shape *c, skv_layout layout) {
    const skv_geometry *g = &c->g;
    const int64_t in = g->in[1] * g->in[2], out = g->out[1] * g->out[2];
    skv_sparse_shape s = {
        .images = c->n,
        .groups = c->groups,
        .channels = c->c / c->groups,
        .rows = c->m / c->groups,
        .in_lines = g->in[1],
        .in_width = g->in[2],
        .x_image = stored(layout, c->c) * in,
        .x_channel = in,
        .x_line = g->in[2],
        .x_block = block_of(layout, c->c),
        .lines = g->out[1],
        .width = g->out[2],
        .y_image = stored(layout, c->m) * out,
        .y_row = out,
        .y_line = g->out[2],
        .y_column = 1,
        .y_block = block_of(layout, c->m),
        .y_fill = stored(layout, c->m) - c->m,
    };
    for (int a = 0; a < 2; a++) {
        s.kernel[a] = g->kernel[a + 1];
        s.stride[a] = g->stride[a + 1];
        s.dilation[a] = g->dilation[a + 1];
        s.pad[a] = g->pad_lo[a + 1];
    }
    if (is_pointwise(g)) {
        s.images = 1;
        s.lines = s.in_lines = c->n;
        s.width = s.in_width = in;
        s.x_line = s.x_image / s.x_block;
        s.y_line = s.y_image / s.y_block;
    }
    return s;
}

/* Multiply-adds a cycle of the kernel that would run instead, counted as a direct convolution's, on Zen 4. */
static double plain_rate(const skv_conv_shape *c) {
    static const double rows = 3.8, depthwise = 2;
    return c->c == c->groups && c->groups > 1 ? depthwise : rows;
}

#if SKIVE_ONEDNN
static double filled(int64_t channels, int64_t block) {
    const int64_t whole = (channels + block - 1) / block * block;
    return (double)channels / (double)whole;
}

/* oneDNN's direct kernels reach 15.5 on blocks of channels that are full; its Winograd about 48 where 4x4 tiles leave
 * nothing over, two thirds of it with 64 channels. */
static double dense_rate(const skv_conv_shape *c, skv_isa isa) {
    static const double direct = 15.5, depthwise = 10, winograd = 48, winograd_few = 32;
    enum { MANY = 128, TILE = 4, FEW_READ = 4 };
    const skv_geometry *g = &c->g;
    const int64_t channels = c->c / c->groups, rows = c->m / c->groups;
    if (!skv_isa_has(isa, SKV_ISA_AVX2)) return plain_rate(c);
    if (channels == 1 && c->groups > 1) return depthwise;
    if (skv_isa_has(isa, SKV_ISA_AVX512) && skv_dnnl_winograd_pays(c))
        return (c->c < MANY ? winograd_few : winograd) * filled(g->out[1], TILE) * filled(g->out[2], TILE);
    const int64_t block = skv_isa_has(isa, SKV_ISA_AVX512) ? 16 : 8;
    const double reached = direct * filled(rows, block) * (channels <= FEW_READ ? 1 : filled(channels, block));
    skv_why why;
    return skv_wino_square(c, &why) ? reached * SKV_WINO_GAIN_PERCENT / 100 : reached;
}
#else
static double dense_rate(const skv_conv_shape *c, skv_isa isa) {
    static const double rows = 14, few_rows = 7, rows_neon = 5, depthwise = 4, depthwise_neon = 2;
    enum { FEW = 32 }; /* made channels with which the gathering of windows weighs */
    const bool neon = skv_isa_has(isa, SKV_ISA_NEON), alone = c->c == c->groups && c->groups > 1;
    if (isa == SKV_ISA_SCALAR) return plain_rate(c);
    if (neon) return alone ? depthwise_neon : rows_neon;
    skv_why why;
    if (skv_wino_square(c, &why)) return rows * SKV_WINO_GAIN_PERCENT / 100;
    return alone ? depthwise : c->m < FEW ? few_rows : rows;
}
#endif

/* What is offered in a layout that does not do is reordered, and the result's reader will likely want it as the others
 * were. */
static skv_sparse_dense dense_of(const skv_kernel_node *n, const skv_conv_shape *c, skv_layout layout) {
    static const double reorder = 1.8; /* of an element */
    const double moved = (double)(skv_type_count(&n->in[0].type) + skv_type_count(&n->out[0].type));
    return (skv_sparse_dense){.macs_per_cycle = dense_rate(c, skv_cpu_isa()),
                              .extra_cycles = n->in[0].layout == layout ? 0 : moved * reorder};
}

static bool read(const skv_kernel_node *n, skv_sparse_layer *l, skv_why *why) {
    skv_conv_shape of = {.groups = 1};
    *l = (skv_sparse_layer){.w_input = 1, .factor = 1};
    if (!skv_sparse_weight_of(n, 1, &l->w)) return skv_decline(why, "the weight is not constant");
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    l->tail =
        (skv_sparse_tail){.bias = skv_kernel_has_input(n, 2) ? 2 : 0, .residual = skv_kernel_has_input(n, 3) ? 3 : 0};
    if (n->node->domain[0] && skv_activation_read(n->ctx, n->node, &l->tail.act) != SKIVE_OK)
        return skv_decline(why, "its activation");
    if (!read_shape(n, &of, why)) return false;
    l->layout = layout_of(&of, n->in[0].layout);
    l->s = shape_of(&of, l->layout);
    l->w.rows = of.m;
    l->w.columns = l->w.row_step = skv_sparse_columns(&l->s);
    l->w.column_step = 1;
    l->dense = dense_of(n, &of, l->layout);
    return true;
}

static bool is_sparse(const skv_kernel_node *n, skv_why *why) { return skv_sparse_layer_wins(n, read, why); }
static bool is_coded(const skv_kernel_node *n, skv_why *why) { return skv_sparse_layer_serves_coded(n, read, why); }
static skive_status prepare_sparse(skv_kernel_node *n) { return skv_sparse_layer_prepare(n, read); }
static skive_status prepare_coded(skv_kernel_node *n) { return skv_sparse_layer_prepare_coded(n, read); }

static const skv_op_kind ops[] = {SKV_OP_FUSED_CONV, SKV_OP_CONV, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_f32_sparse = {
    .name = "conv_f32_sparse",
    .brief = "convolution by a weight that is mostly zeros, with residual and activation",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .takes_coded = true,
    .applicable = is_sparse,
    .prepare = prepare_sparse,
    .run = skv_sparse_run,
    .destroy = skv_sparse_destroy,
};

const skv_kernel skv_kernel_conv_f32_codebook = {
    .name = "conv_f32_codebook",
    .brief = "convolution by a weight of symbols and their table, with residual and activation",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .takes_coded = true,
    .applicable = is_coded,
    .prepare = prepare_coded,
    .run = skv_sparse_run,
    .destroy = skv_sparse_destroy,
};
