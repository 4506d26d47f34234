/* DeformConvGrad(dY, X, W, offset, mask) {as DeformConv} -> dX, dW, doffset, dmask. Channel by channel: the gradient of
 * what each tap contributed, then from it that of the weight, of the mask, of the elements between which was
 * interpolated, and of the place. */
#include "ops/common_shape.h"
#include "ops/conv/common_conv.h"

static const skv_attr_spec attrs[] = {
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},    {"group", SKV_ATTR_INT, SKV_OPTIONAL},
    {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL}, {"offset_group", SKV_ATTR_INT, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},         {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};
enum { DY, X, W, OFFSET, MASK, INPUTS };

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_DEFORM_CONV, SKV_FORWARD_IN(X, W, OFFSET, -1, MASK), DY));
    for (size_t o = 0; o < c->n_out; o++) {
        if (X + o < c->n_in && c->in[X + o]) skv_out_like(c, o, X + o);
    }
    return SKIVE_OK;
}

/* The four elements around a place: their weights, and the slopes of these downwards and to the right. */
typedef struct corners {
    int64_t at[4];
    double weight[4], down[4], right[4];
} corners;

static corners corners_of(double y, double x, int64_t h, int64_t w) {
    corners k = {{-1, -1, -1, -1}, {0}, {0}, {0}};
    if (!(y > -1.0 && y < (double)h && x > -1.0 && x < (double)w)) return k;
    const int64_t y0 = (int64_t)floor(y), x0 = (int64_t)floor(x);
    const double fy = y - (double)y0, fx = x - (double)x0;
    for (int i = 0; i < 4; i++) {
        const int64_t row = y0 + i / 2, column = x0 + i % 2;
        const double wy = i / 2 ? fy : 1 - fy, wx = i % 2 ? fx : 1 - fx;
        if (row < 0 || row >= h || column < 0 || column >= w) continue;
        k.at[i] = row * w + column;
        k.weight[i] = wy * wx;
        k.down[i] = i / 2 ? wx : -wx;
        k.right[i] = i % 2 ? wy : -wy;
    }
    return k;
}

/* Of one sample and channel. Gradients that are not asked for are NULL. */
typedef struct channel {
    const double *dy;                /* [filters of the group][size] */
    const double *x, *offset, *mask; /* the plane; [taps][2][size]; [taps][size] or NULL */
    const double *w;                 /* of the group's first filter; filters stand `w_step` apart */
    double *dx, *dw, *doffset, *dmask;
    int64_t filters, w_step;
} channel;

static void tap_at(const skv_conv_shape *s, const channel *c, int64_t t, int64_t i) {
    const skv_geometry *g = &s->g;
    const int64_t size = g->out[1] * g->out[2];
    const int64_t row = i / g->out[2] * g->stride[1] - g->pad_lo[1] + t / g->kernel[2] * g->dilation[1],
                  column = i % g->out[2] * g->stride[2] - g->pad_lo[2] + t % g->kernel[2] * g->dilation[2];
    const double *move = c->offset + 2 * t * size, mask = c->mask ? c->mask[t * size + i] : 1.0;
    const corners k = corners_of((double)row + move[i], (double)column + move[size + i], g->in[1], g->in[2]);
    double read = 0, down = 0, right = 0, d = 0;
    for (int q = 0; q < 4; q++) {
        if (k.at[q] < 0) continue;
        read += k.weight[q] * c->x[k.at[q]];
        down += k.down[q] * c->x[k.at[q]];
        right += k.right[q] * c->x[k.at[q]];
    }
    for (int64_t m = 0; m < c->filters; m++) {
        const double dy = c->dy[m * size + i];
        d += c->w[m * c->w_step + t] * dy;
        if (c->dw) c->dw[m * c->w_step + t] += dy * read * mask;
    }
    for (int q = 0; c->dx && q < 4; q++) {
        if (k.at[q] >= 0) c->dx[k.at[q]] += d * mask * k.weight[q];
    }
    if (c->doffset) {
        c->doffset[2 * t * size + i] += d * mask * down;
        c->doffset[2 * t * size + size + i] += d * mask * right;
    }
    if (c->dmask) c->dmask[t * size + i] += d * read;
}

static skive_status run(const skv_eval *c) {
    const int64_t groups = skv_attr_int(c->node, "offset_group", 1);
    skv_conv_shape s;
    skv_doubles in[INPUTS] = {{0}};
    skv_result out[4] = {{0}};
    skive_status status;
    SKV_TRY(skv_conv_shape_of(c, c->in[X], c->in[W], &s));
    const int64_t taps = s.g.kernel[1] * s.g.kernel[2], size = s.g.out[1] * s.g.out[2], plane = s.g.in[1] * s.g.in[2],
                  per_in = s.c / s.groups, per_out = s.m / s.groups;
    for (size_t i = 0; i < INPUTS; i++)
        SKV_GO(status, done, skv_doubles_read(c->ctx, i < c->n_in ? c->in[i] : NULL, &in[i]));
    for (size_t o = 0; o < 4; o++) {
        if (o < c->n_out && c->out[o]) SKV_GO(status, done, skv_result_open(c->ctx, c->out[o], &out[o]));
    }
    for (int64_t n = 0; n < s.n; n++) {
        for (int64_t ch = 0; ch < s.c; ch++) {
            const int64_t block = (n * groups + ch / (s.c / groups)) * taps * size, first = ch / per_in * per_out,
                          at = (n * s.c + ch) * plane, w = (first * per_in + ch % per_in) * taps;
            const channel one = {.dy = in[DY].p + (n * s.m + first) * size,
                                 .x = in[X].p + at,
                                 .offset = in[OFFSET].p + 2 * block,
                                 .mask = in[MASK].p ? in[MASK].p + block : NULL,
                                 .w = in[W].p + w,
                                 .dx = out[0].p ? out[0].p + at : NULL,
                                 .dw = out[1].p ? out[1].p + w : NULL,
                                 .doffset = out[2].p ? out[2].p + 2 * block : NULL,
                                 .dmask = out[3].p ? out[3].p + block : NULL,
                                 .filters = per_out,
                                 .w_step = per_in * taps};
            for (int64_t t = 0; t < taps; t++)
                for (int64_t i = 0; i < size; i++) tap_at(&s, &one, t, i);
        }
    }
    for (size_t o = 0; o < 4; o++)
        if (out[o].p) skv_result_store(&out[o]);
done:
    for (size_t i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    for (size_t o = 0; o < 4; o++) skv_result_free(c->ctx, &out[o]);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    skv_cost_per_element(n, out);
    if (n->n_inputs > W && n->inputs[W]) /* the products of the forward run, twice */
        out->macs = skv_add_sat(
            out->macs, skv_mul_sat(2 * skv_type_count(&n->inputs[0]->type), skv_type_count(&n->inputs[W]->type)));
}

static const skv_op_case cases[] = {
    {.name = "half an element down", /* 1x1 window */
     CASE_IN({CASE_F32(1, 1, 2, 1), CASE_VALUES(3, 7)}, {CASE_F32(1, 1, 2, 1), CASE_VALUES(1, 2)},
             {CASE_F32(1, 1, 1, 1), CASE_VALUES(2)}, {CASE_F32(1, 2, 2, 1), CASE_VALUES(0.5, 5, 0, 0)}),
     .n_out = 1,
     CASE_EXPECT(3, 3)},
};

const skv_op skv_op_deform_conv_grad = {
    .name = "DeformConvGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of DeformConv",
    .since = 1,
    .min_in = 4,
    .max_in = 5,
    .min_out = 1,
    .max_out = 4,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
