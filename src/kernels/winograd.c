/* Which convolutions Winograd's algorithm is for, and how their work is divided. */
#include "kernels/winograd.h"

bool skv_wino_shape(const skv_kernel_node *n, const skive_type *x, const skive_type *w, skv_conv_shape *s,
                    skv_why *why) {
    int64_t x_dims[4], w_dims[4];
    if (x->dtype != SKIVE_F32 || w->dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (x->rank != 4 || w->rank != 4) return skv_decline(why, "not of two spatial axes");
    for (int d = 0; d < 4; d++) {
        x_dims[d] = x->dims[d].size;
        w_dims[d] = w->dims[d].size;
    }
    if (skv_conv_shape_make(n->ctx, n->node, 4, x_dims, 4, w_dims, s) != SKIVE_OK) return skv_decline(why, "its shape");
    return true;
}

static bool backward(const skv_kernel_node *n) {
    return skv_node_is(n->node, SKV_OP_CONV_GRAD_INPUT) || skv_node_is(n->node, SKV_OP_CONV_GRAD_WEIGHT);
}

bool skv_wino_suits(const skv_kernel_node *n, const skv_conv_shape *s, skv_why *why) {
    /* Measured: with 16 channels the transforms eat the gain of 3x3 windows up, except forward. Transformed weights
     * must stay in the second-level cache. */
    enum { MIN_CHANNELS = 16, MIN_CHANNELS_BACKWARD = 32, MAX_WEIGHTS = 1 << 18 };
    const skv_geometry *g = &s->g;
    const int64_t r = g->kernel[1];
    if (!n->training) return skv_decline(why, "for training");
    if (s->groups != 1) return skv_decline(why, "groups");
    if ((r != 3 && r != 5) || g->kernel[2] != r) return skv_decline(why, "the window is not 3x3 or 5x5");
    for (int a = 1; a < SKV_SPATIAL; a++) {
        if (g->stride[a] != 1 || g->dilation[a] != 1) return skv_decline(why, "strides or dilations");
        if (g->pad_lo[a] < 0 || g->pad_hi[a] < 0 || g->pad_lo[a] >= r || g->pad_hi[a] >= r)
            return skv_decline(why, "padding");
        if (g->out[a] < 1 || g->in[a] < 1) return skv_decline(why, "empty");
    }
    const int64_t least = r == 3 && backward(n) ? MIN_CHANNELS_BACKWARD : MIN_CHANNELS;
    if (s->n < 1 || s->c < least || s->m < least) return skv_decline(why, "few channels");
    if ((r + 1) * (r + 1) * s->c > MAX_WEIGHTS / s->m) return skv_decline(why, "many channels");
    return true;
}

bool skv_wino_square(const skv_conv_shape *s, skv_why *why) {
    /* Measured on Zen 3 against oneDNN's direct convolution and the integer tiles: with fewer channels the transforms
     * eat the gain up, with fewer tiles the reading of the larger weights does. */
    enum { LEAST_IN = 32, LEAST_OUT = 12, FEW_TILES = 24 };
    const skv_geometry *g = &s->g;
    bool here = false;
    SKV_ON(AVX2, here = skv_cpu_isa() == SKV_ISA_AVX2;)
    if (!here) return skv_decline(why, "for AVX2 alone");
    if (g->spatial != 2 || s->groups != 1) return skv_decline(why, "groups, or not of two spatial axes");
    for (int a = 1; a < SKV_SPATIAL; a++) {
        if (g->kernel[a] != 3 || g->stride[a] != 1 || g->dilation[a] != 1)
            return skv_decline(why, "not 3x3 without strides and dilations");
        if (g->pad_lo[a] < 0 || g->pad_lo[a] > 2 || g->pad_hi[a] < 0 || g->pad_hi[a] > 2)
            return skv_decline(why, "padding");
    }
    if (s->c < LEAST_IN || s->m < LEAST_OUT) return skv_decline(why, "few channels");
    if (s->n * ((g->out[1] + 1) / 2) * ((g->out[2] + 1) / 2) < FEW_TILES) return skv_decline(why, "few positions");
    return true;
}

void skv_wino_tiles_of(const skv_conv_shape *s, int64_t c, int64_t numbers, int64_t parallel_from, int threads,
                       skv_wino_tiles *out) {
    enum { LEAST = 24 /* of a unit: the weights are read for each */, MOST = 96 };
    const skv_geometry *g = &s->g;
    skv_wino_tiles t = {.h = g->in[1],
                        .w = g->in[2],
                        .oh = g->out[1],
                        .ow = g->out[2],
                        .top = g->pad_lo[1],
                        .left = g->pad_lo[2],
                        .columns = (g->out[2] + 1) / 2};
    t.plane = (t.oh + 1) / 2 * t.columns;
    t.tiles = s->n * t.plane;
    int64_t most = numbers / SKV_WINO_SQUARE_POINTS / c / SKV_WINO_SQUARE_ROWS * SKV_WINO_SQUARE_ROWS;
    most = most < LEAST ? LEAST : most > MOST ? MOST : most;
    t.threads = t.tiles * c * s->m < parallel_from ? 1 : threads;
    t.units = (t.tiles + most - 1) / most;
    t.units = (t.units + t.threads - 1) / t.threads * t.threads; /* as much for each thread */
    if (t.units > t.tiles) t.units = t.tiles;
    t.most = (t.tiles + t.units - 1) / t.units;
    *out = t;
}

void skv_wino_plan(const skv_conv_shape *s, bool by_input, int threads, skv_wino *out) {
    enum { UNIT_FLOATS = 96 * 1024, MAX_UNIT = 8 * SKV_WINO_ROWS, PAD = 16 };
    const skv_geometry *g = &s->g;
    const int64_t r = g->kernel[1];
    skv_wino k = {.r = (int)r, .t = (int)r + 1, .points = (int)((r + 1) * (r + 1)), .n = s->n, .turned = by_input};
    k.ci = by_input ? s->m : s->c;
    k.co = by_input ? s->c : s->m;
    k.ci_b = (k.ci + SKV_WINO_LANES - 1) / SKV_WINO_LANES;
    k.co_b = (k.co + SKV_WINO_LANES - 1) / SKV_WINO_LANES;
    k.h = by_input ? g->out[1] : g->in[1];
    k.w = by_input ? g->out[2] : g->in[2];
    k.oh = by_input ? g->in[1] : g->out[1];
    k.ow = by_input ? g->in[2] : g->out[2];
    k.top = by_input ? r - 1 - g->pad_lo[1] : g->pad_lo[1];
    k.left = by_input ? r - 1 - g->pad_lo[2] : g->pad_lo[2];
    k.w_out = by_input ? r * r : s->c * r * r;
    k.w_in = by_input ? s->c * r * r : r * r;
    if (by_input && r == 5) {
        /* 16 tiles instead of 36 where 5x5 makes 8x8 of 12x12. */
        k.spread = true;
        k.turned = false;
        k.h = g->in[1];
        k.w = g->in[2];
        k.oh = g->out[1];
        k.ow = g->out[2];
        k.top = g->pad_lo[1];
        k.left = g->pad_lo[2];
    }
    k.rows = (k.oh + 1) / 2;
    k.columns = (k.ow + 1) / 2;
    k.tiles = k.n * k.rows * k.columns;
    const int64_t each = (k.ci_b + k.co_b) * SKV_WINO_LANES * k.points;
    int64_t unit = UNIT_FLOATS / each / SKV_WINO_ROWS * SKV_WINO_ROWS;
    if (unit > MAX_UNIT) unit = MAX_UNIT;
    if (unit < SKV_WINO_ROWS) unit = SKV_WINO_ROWS;
    k.unit = unit;
    /* Off by a line, or all points of a tile would lie in the same set of the cache. */
    k.v_step = unit * k.ci_b * SKV_WINO_LANES + PAD;
    k.m_step = unit * k.co_b * SKV_WINO_LANES + PAD;
    k.threads = k.tiles < 4 * unit ? 1 : threads;
    *out = k;
}
