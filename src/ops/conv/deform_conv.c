/* DeformConv: a convolution over two axes whose taps are shifted by offsets, interpolated linearly (zeros outside), and
 * weighted by a mask (Dai et al., 2017; Zhu et al., 2019).
 *
 *     offset [n][groups of offsets][kh][kw][y, x][oh][ow], mask [n][groups of offsets][kh][kw][oh][ow] */
#include "ops/conv/common_conv.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},    {"group", SKV_ATTR_INT, SKV_OPTIONAL},
    {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL}, {"offset_group", SKV_ATTR_INT, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},         {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};
enum { X, W, OFFSET, BIAS, MASK, INPUTS };

/* Input i is [n][a multiple of the taps][oh][ow]. */
static skive_status want_per_tap(skv_infer *c, size_t i, int64_t per_tap, const skv_conv_shape *s) {
    const int64_t groups = skv_attr_int(c->node, "offset_group", 1);
    int64_t channels;
    SKV_TRY(skv_want_rank(c, i, 4, 4));
    const bool known = s->g.kernel[1] >= 0 && s->g.kernel[2] >= 0;
    if (!known) {
        channels = -1;
    } else if (!skv_mul_i64(s->g.kernel[1] * s->g.kernel[2], groups * per_tap, &channels)) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "DeformConv: too many taps");
    }
    const int64_t want[4] = {s->n, channels, s->g.out[1], s->g.out[2]};
    for (int d = 0; d < 4; d++)
        if (skv_in_dim(c, i, d) >= 0 && want[d] >= 0 && skv_in_dim(c, i, d) != want[d])
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "DeformConv: dimension %d of input %zu is %lld, expected %lld", d,
                                  i, (long long)skv_in_dim(c, i, d), (long long)want[d]);
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const int64_t groups = skv_attr_int(c->node, "offset_group", 1);
    skv_conv_shape s;
    bool known;
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    for (size_t i = 1; i < INPUTS; i++) SKV_TRY(skv_want_same_dtype(c, 0, i));
    SKV_TRY(skv_want_rank(c, X, 4, 4));
    SKV_TRY(skv_want_rank(c, W, 4, 4));
    SKV_TRY(skv_infer_conv(c, X, W, &s, &known));
    c->out[0].dtype = c->in[X]->dtype;
    if (groups < 1 || groups > INT32_MAX || (known && s.c >= 0 && s.c % groups != 0))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "DeformConv: the channels cannot be divided into %lld groups of offsets",
                              (long long)groups);
    SKV_TRY(skv_want_vector(c, BIAS, known ? s.m : -1, "the bias"));
    if (known) {
        SKV_TRY(want_per_tap(c, OFFSET, 2, &s));
        SKV_TRY(want_per_tap(c, MASK, 1, &s));
    }
    return skv_infer_limit(c, &c->out[0]);
}

/* The plane [h][w] interpolated between its elements; zero outside. */
static double read_linear(const double *plane, int64_t h, int64_t w, double y, double x) {
    if (!(y > -1.0 && y < (double)h && x > -1.0 && x < (double)w)) return 0.0;
    const int64_t y0 = (int64_t)floor(y), x0 = (int64_t)floor(x);
    const double fy = y - (double)y0, fx = x - (double)x0;
    double sum = 0.0;
    if (y0 >= 0 && x0 >= 0) sum += (1.0 - fy) * (1.0 - fx) * plane[y0 * w + x0];
    if (y0 >= 0 && x0 + 1 < w) sum += (1.0 - fy) * fx * plane[y0 * w + x0 + 1];
    if (y0 + 1 < h && x0 >= 0) sum += fy * (1.0 - fx) * plane[(y0 + 1) * w + x0];
    if (y0 + 1 < h && x0 + 1 < w) sum += fy * fx * plane[(y0 + 1) * w + x0 + 1];
    return sum;
}

/* The values read by the taps of channel c for one sample, [kh][kw][oh][ow]. */
static void read_taps(const skv_conv_shape *s, const double *plane, const double *offset, const double *mask,
                      double *taps) {
    const skv_geometry *g = &s->g;
    const int64_t size = g->out[1] * g->out[2];
    for (int64_t t = 0; t < g->kernel[1] * g->kernel[2]; t++) {
        const double *move = offset + 2 * t * size;
        const int64_t ky = t / g->kernel[2] * g->dilation[1], kx = t % g->kernel[2] * g->dilation[2];
        for (int64_t i = 0; i < size; i++) {
            const int64_t row = i / g->out[2] * g->stride[1] - g->pad_lo[1] + ky,
                          column = i % g->out[2] * g->stride[2] - g->pad_lo[2] + kx;
            const double y = (double)row + move[i], x = (double)column + move[size + i];
            taps[t * size + i] = read_linear(plane, g->in[1], g->in[2], y, x) * (mask ? mask[t * size + i] : 1.0);
        }
    }
}

/* The contribution of one input channel to every output channel of its group. */
static void add_channel(int threads, const skv_conv_shape *s, int64_t c, const double *taps, const double *w,
                        double *y) {
    const int64_t n_taps = s->g.kernel[1] * s->g.kernel[2], size = s->g.out[1] * s->g.out[2];
    const int64_t per_in = s->c / s->groups, per_out = s->m / s->groups;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t m = c / per_in * per_out; m < (c / per_in + 1) * per_out; m++)
        for (int64_t t = 0; t < n_taps; t++) {
            const double weight = w[(m * per_in + c % per_in) * n_taps + t];
            for (int64_t i = 0; i < size; i++) y[m * size + i] += weight * taps[t * size + i];
        }
}

static skive_status run(const skv_eval *c) {
    const int64_t groups = skv_attr_int(c->node, "offset_group", 1);
    skv_conv_shape s;
    skv_doubles in[INPUTS] = {{0}};
    skv_result y = {0};
    double *taps = NULL;
    skive_status status;
    SKV_TRY(skv_conv_shape_of(c, c->in[X], c->in[W], &s));
    const int64_t n_taps = s.g.kernel[1] * s.g.kernel[2], size = s.g.out[1] * s.g.out[2], plane = s.g.in[1] * s.g.in[2];
    for (size_t i = 0; i < INPUTS; i++)
        SKV_GO(status, out, skv_doubles_read(c->ctx, i < c->n_in ? c->in[i] : NULL, &in[i]));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    SKV_GO(status, out, skv_alloc_array(c->ctx, (size_t)n_taps, (size_t)size * sizeof *taps, &taps));
    for (int64_t n = 0; n < s.n; n++) {
        double *to = y.p + n * s.m * size;
        for (int64_t i = 0; in[BIAS].p && i < s.m * size; i++) to[i] = in[BIAS].p[i / size];
        for (int64_t ch = 0; ch < s.c; ch++) {
            const int64_t block = (n * groups + ch / (s.c / groups)) * n_taps * size;
            read_taps(&s, in[X].p + (n * s.c + ch) * plane, in[OFFSET].p + 2 * block,
                      in[MASK].p ? in[MASK].p + block : NULL, taps);
            add_channel(skv_threads(c->ctx), &s, ch, taps, in[W].p, to);
        }
    }
    skv_result_store(&y);
out:
    skv_free(c->ctx, taps);
    for (size_t i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    static const int64_t axes[] = {0, 2, 3};
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skive_value *mask = skv_node_in(n, MASK), *out[4] = {NULL};
    if (c->need[X] || c->need[W] || c->need[OFFSET] || (mask && c->need[MASK]))
        (void)skv_emit_n(c->b, "DeformConvGrad",
                         SKV_IN(c->dout[0], n->inputs[X], n->inputs[W], n->inputs[OFFSET], mask),
                         skv_attrs_copy(n, buffer), out, mask && c->need[MASK] ? 4 : 3);
    for (int i = 0; i < 3; i++)
        if (c->need[i]) c->din[i] = out[i];
    if (mask && c->need[MASK]) c->din[MASK] = out[3];
    if (skv_node_in(n, BIAS) && c->need[BIAS])
        c->din[BIAS] = skv_emit(c->b, "ReduceSum", SKV_IN(c->dout[0], skv_emit_ints(c->b, axes, 3)),
                                SKV_ATTRS(SKV_INT("keepdims", 0)));
    return c->b->status;
}

/* One offset moves a tap in all channels: they can be removed as those of a convolution. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(X, 0));
    if (!x || x->rank != 4 || skv_attr_int(n, "offset_group", 1) != 1) {
        skv_couple_fix_all(c, "the taps of a deformable convolution are moved by channel");
        return;
    }
    for (int a = 2; a < 4; a++) skv_couple_fix(c, SKV_CIN(W, a), "this is the window of a convolution");
    skv_couple_conv(c, X, W, BIAS);
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_groups(s, X); }

static void cost(const skive_node *n, skive_cost *out) {
    skv_conv_cost(n, skv_node_in(n, W), out);
    if (skv_node_in(n, BIAS)) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    {.name = "half an element down, and outside", /* 1x1 window; element 3 of 4 is moved away */
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(1, 1, 1, 1), CASE_VALUES(2)},
             {CASE_F32(1, 2, 2, 2), CASE_VALUES(0.5, 0, 0, 5, 0, -0.5, 0, 0)}, {CASE_F32(1), CASE_VALUES(10)},
             {CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 1, 0.5, 1)}),
     .n_out = 1,
     CASE_EXPECT(14, 13, 13, 10),
     CASE_OUT(1, 1, 2, 2),
     .no_grad = true}, /* whole places are kinks */
    {.name = "with a mask, between the elements",
     CASE_IN({CASE_F32(1, 2, 3, 3)}, {CASE_F32(2, 2, 2, 2)}, {CASE_F32(1, 8, 2, 2), .lo = 0.1, .hi = 0.9},
             {CASE_F32(2)}, {CASE_F32(1, 4, 2, 2), .lo = 0.2, .hi = 1}),
     .n_out = 1,
     CASE_OUT(1, 2, 2, 2)},
    {.name = "groups that share their offsets",
     CASE_ATTRS(CASE_INT("group", 2)),
     CASE_IN({CASE_F32(1, 6, 3, 3)}, {CASE_F32(4, 3, 2, 2)}, {CASE_F32(1, 8, 2, 2), .lo = 0.1, .hi = 0.9},
             {CASE_F32(4)}),
     .n_out = 1,
     CASE_OUT(1, 4, 2, 2)},
    {.name = "groups, without a mask",
     CASE_ATTRS(CASE_INT("group", 2), CASE_INT("offset_group", 2), CASE_INTS("pads", 1, 0, 1, 0),
                CASE_INTS("strides", 2, 1)),
     CASE_IN({CASE_F32(2, 4, 3, 3)}, {CASE_F32(2, 2, 2, 2)}, {CASE_F32(2, 16, 2, 2), .lo = -0.9, .hi = -0.1}),
     .n_out = 1,
     CASE_OUT(2, 2, 2, 2)},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = 0,
     .in_axis = 1,
     .data_axis = 1,
     .result_axis = 1,
     .channels = "filters"},
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_BIAS, .axes = true, .out_axis = 0, .in_axis = -1},
};

const skv_op skv_op_deform_conv = {
    .name = "DeformConv",
    .domain = "",
    .brief = "convolution with shifted taps",
    .since = 19,
    .min_in = 3,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .cost = cost,
    SKV_LIST(cases),
};
