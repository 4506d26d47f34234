/* BatchNormalization in training and its gradient, f32, in any layout. Sums run over rows in float and over rows of the batch in
 * double, always in the same order, so that the number of threads changes nothing. */
#include <math.h>
#include <string.h>

#include "kernels/channels.h"

typedef struct norm_state {
    skv_channels x;
    double epsilon, momentum;
    int threads;
} norm_state;

static bool is_grad(const skv_kernel_node *n) { return skv_node_is(n->node, "BatchNormalizationGrad"); }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[is_grad(n) ? 1 : 0].type;
    if (!is_grad(n) && skv_attr_int(n->node, "training_mode", 0) == 0) return skv_decline(why, "not in training");
    if (x->dtype != SKIVE_F32 || x->rank < 2) return skv_decline(why, "not float32 of rank 2 or more");
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32)
            return skv_decline(why, "an input is missing or not float32");
    }
    for (int d = 0; d < x->rank; d++) {
        if (x->dims[d].size < 1) return skv_decline(why, "empty");
    }
    return true;
}

enum { SPAN = 64 }; /* lanes of channels-last data worked on at once */

static skive_status prepare(skv_kernel_node *n) {
    norm_state *st = NULL;
    const size_t xi = is_grad(n) ? 1 : 0;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    const skv_layout layout = n->in[xi].layout;
    if (is_grad(n)) n->in[0].layout = layout;
    n->out[0].layout = layout;
    st->x = skv_channels_of(&n->in[xi].type, layout);
    st->epsilon = skv_attr_float(n->node, "epsilon", 1e-5);
    st->momentum = skv_attr_float(n->node, "momentum", 0.9);
    st->threads = st->x.n * st->x.batch_step < 32768 ? 1 : n->threads;
    n->in_place = 1u;
    return SKIVE_OK;
}

/* One group of lanes of one block: lanes [lane, lane + m). */
typedef struct group {
    const skv_channels *x;
    int64_t start, lane, m, channel;
} group;

/* Sums over the batch for each lane of a group: of x, of (x - a)^2 when a is given, of dy, or of dy * (x - a). */
static void sums(const group *k, const float *x, const float *dy, const double *a, double *total) {
    float mean[SPAN];
    for (int64_t c = 0; c < k->m; c++) {
        total[c] = 0;
        mean[c] = a ? (float)a[c] : 0.0f;
    }
    for (int64_t n = 0; n < k->x->n; n++) {
        float row[SPAN] = {0};
        const int64_t base = n * k->x->batch_step + k->start;
        for (int64_t s = 0; s < k->x->s; s++) {
            const int64_t at = base + s * k->x->position_step;
            if (dy && a) {
                for (int64_t c = 0; c < k->m; c++) row[c] += dy[at + c] * (x[at + c] - mean[c]);
            } else if (dy) {
                for (int64_t c = 0; c < k->m; c++) row[c] += dy[at + c];
            } else if (a) {
                for (int64_t c = 0; c < k->m; c++) row[c] += (x[at + c] - mean[c]) * (x[at + c] - mean[c]);
            } else {
                for (int64_t c = 0; c < k->m; c++) row[c] += x[at + c];
            }
        }
        for (int64_t c = 0; c < k->m; c++) total[c] += (double)row[c];
    }
}

/* y = x * scale + shift for each lane, or dx = dy * scale + x * slope + shift. */
static void apply(const group *k, const float *x, const float *dy, const float *scale, const float *slope,
                  const float *shift, float *y) {
    for (int64_t n = 0; n < k->x->n; n++) {
        const int64_t base = n * k->x->batch_step + k->start;
        for (int64_t s = 0; s < k->x->s; s++) {
            const int64_t at = base + s * k->x->position_step;
            if (dy) {
                for (int64_t c = 0; c < k->m; c++) y[at + c] = dy[at + c] * scale[c] + x[at + c] * slope[c] + shift[c];
            } else {
                for (int64_t c = 0; c < k->m; c++) y[at + c] = x[at + c] * scale[c] + shift[c];
            }
        }
    }
}

static void forward(const skv_kernel_call *c, const norm_state *st, const group *k) {
    const float *x = c->in[0], *scale = c->in[1], *bias = c->in[2], *mean = c->in[3], *variance = c->in[4];
    float *out_mean = c->out[1], *out_variance = c->out[2], *batch_mean = c->n->n_out > 3 ? c->out[3] : NULL;
    float *batch_inverse = c->n->n_out > 4 ? c->out[4] : NULL;
    double m[SPAN], v[SPAN];
    float a[SPAN] = {0}, b[SPAN] = {0};
    const double count = (double)(st->x.n * st->x.s);
    sums(k, x, NULL, NULL, m);
    for (int64_t i = 0; i < k->m; i++) m[i] /= count;
    sums(k, x, NULL, m, v);
    for (int64_t i = 0; i < k->m; i++) {
        const int64_t ch = k->channel + i;
        if (ch >= st->x.c) continue; /* padding stays zero */
        v[i] /= count;
        const double inverse = 1.0 / sqrt(v[i] + st->epsilon);
        a[i] = (float)((double)scale[ch] * inverse);
        b[i] = (float)((double)bias[ch] - m[i] * (double)scale[ch] * inverse);
        if (out_mean) out_mean[ch] = (float)((double)mean[ch] * st->momentum + m[i] * (1 - st->momentum));
        if (out_variance) out_variance[ch] = (float)((double)variance[ch] * st->momentum + v[i] * (1 - st->momentum));
        if (batch_mean) batch_mean[ch] = (float)m[i];
        if (batch_inverse) batch_inverse[ch] = (float)inverse;
    }
    apply(k, x, NULL, a, NULL, b, c->out[0]);
}

/* With r = inverse deviation, N = count: dscale = r sum(dy (x - mean)), dbias = sum dy,
 * dx = scale r (dy - dbias / N - (x - mean) r dscale / N). */
static void backward(const skv_kernel_call *c, const norm_state *st, const group *k) {
    const float *dy = c->in[0], *x = c->in[1], *scale = c->in[2], *mean = c->in[3], *inverse = c->in[4];
    float *dx = c->out[0], *dscale = c->out[1], *dbias = c->out[2];
    double m[SPAN] = {0}, sum_dy[SPAN], sum_dot[SPAN];
    float a[SPAN] = {0}, slope[SPAN] = {0}, shift[SPAN] = {0};
    const double count = (double)(st->x.n * st->x.s);
    for (int64_t i = 0; i < k->m; i++) m[i] = k->channel + i < st->x.c ? (double)mean[k->channel + i] : 0;
    sums(k, x, dy, NULL, sum_dy);
    sums(k, x, dy, m, sum_dot);
    for (int64_t i = 0; i < k->m; i++) {
        const int64_t ch = k->channel + i;
        if (ch >= st->x.c) continue;
        const double r = (double)inverse[ch], g = (double)scale[ch] * r, ds = sum_dot[i] * r;
        if (dscale) dscale[ch] = (float)ds;
        if (dbias) dbias[ch] = (float)sum_dy[i];
        a[i] = (float)g;
        slope[i] = (float)(-g * r * ds / count);
        shift[i] = (float)(g * (m[i] * r * ds - sum_dy[i]) / count);
    }
    if (dx) apply(k, x, dy, a, slope, shift, dx);
}

static skive_status run(const skv_kernel_call *c) {
    const norm_state *st = c->n->state;
    const int64_t groups = (st->x.lanes + SPAN - 1) / SPAN, jobs = st->x.blocks * groups;
    const int threads = st->threads;
    const bool grad = is_grad(c->n);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t j = 0; j < jobs; j++) {
        const int64_t block = j / groups, lane = j % groups * SPAN, left = st->x.lanes - lane;
        const group k = {.x = &st->x,
                         .start = block * st->x.block_step + lane,
                         .lane = lane,
                         .m = left < SPAN ? left : SPAN,
                         .channel = block * st->x.lanes + lane};
        if (grad)
            backward(c, st, &k);
        else
            forward(c, st, &k);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const char *const ops[] = {"BatchNormalization", "BatchNormalizationGrad", NULL};

const skv_kernel skv_kernel_norm_batch_f32 = {
    .name = "norm_batch_f32",
    .brief = "BatchNormalization in training and its gradient, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
