/* The three loops of a convolution in double: forward and both gradients. Row by row along the last axis, which the
 * compiler turns into vector code when the stride is 1; see common_conv.h for the shapes. */
#include "ops/conv/common_conv.h"

/* The work of one tap of the window: output rows [lo, hi) of each axis, and the start of the input row. */
typedef struct tap {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], offset[SKV_SPATIAL];
} tap;

static bool tap_at(const skv_geometry *g, int64_t kd, int64_t kh, int64_t kw, tap *t) {
    const int64_t k[SKV_SPATIAL] = {kd, kh, kw};
    for (int a = 0; a < SKV_SPATIAL; a++) {
        skv_tap_range(g, a, k[a], &t->lo[a], &t->hi[a]);
        if (t->lo[a] >= t->hi[a]) return false;
        t->offset[a] = k[a] * g->dilation[a] - g->pad_lo[a];
    }
    return true;
}

#define FOR_ROWS(g, t, y_index, x_index)                                                                              \
    for (int64_t od = (t).lo[0]; od < (t).hi[0]; od++)                                                                \
        for (int64_t oh = (t).lo[1], y_index = (od * (g)->out[1] + oh) * (g)->out[2],                                 \
                     x_index =                                                                                        \
                         ((od * (g)->stride[0] + (t).offset[0]) * (g)->in[1] + oh * (g)->stride[1] + (t).offset[1]) * \
                         (g)->in[2];                                                                                  \
             oh < (t).hi[1]; oh++, y_index += (g)->out[2], x_index += (g)->stride[1] * (g)->in[2])

static void forward_tap(const skv_geometry *g, const tap *t, double w, const double *x, double *y) {
    int64_t s = g->stride[2];
    FOR_ROWS(g, *t, yi, xi) {
        double *row = y + yi;
        const double *from = x + xi + t->offset[2];
        if (s == 1)
            for (int64_t o = t->lo[2]; o < t->hi[2]; o++) row[o] += w * from[o];
        else
            for (int64_t o = t->lo[2]; o < t->hi[2]; o++) row[o] += w * from[o * s];
    }
}

void skv_conv_forward(int threads, const skv_conv_shape *s, const double *x, const double *w, const double *bias,
                      double *y) {
    const skv_geometry *g = &s->g;
    int64_t in = skv_volume(g->in), out = skv_volume(g->out), taps = skv_volume(g->kernel);
    int64_t per_in = s->c / s->groups, per_out = s->m / s->groups;
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static)
    for (int64_t n = 0; n < s->n; n++) {
        for (int64_t m = 0; m < s->m; m++) {
            double *plane = y + (n * s->m + m) * out;
            for (int64_t i = 0; i < out; i++) plane[i] = bias ? bias[m] : 0.0;
            for (int64_t c = 0; c < per_in; c++) {
                const double *from = x + (n * s->c + m / per_out * per_in + c) * in;
                const double *wk = w + (m * per_in + c) * taps;
                for (int64_t kd = 0; kd < g->kernel[0]; kd++)
                    for (int64_t kh = 0; kh < g->kernel[1]; kh++)
                        for (int64_t kw = 0; kw < g->kernel[2]; kw++, wk++) {
                            tap t;
                            if (tap_at(g, kd, kh, kw, &t)) forward_tap(g, &t, *wk, from, plane);
                        }
            }
        }
    }
}

static void backward_tap(const skv_geometry *g, const tap *t, double w, const double *dy, double *dx) {
    int64_t s = g->stride[2];
    FOR_ROWS(g, *t, yi, xi) {
        const double *row = dy + yi;
        double *to = dx + xi + t->offset[2];
        for (int64_t o = t->lo[2]; o < t->hi[2]; o++) to[o * s] += w * row[o];
    }
}

void skv_conv_backward_input(int threads, const skv_conv_shape *s, const double *dy, const double *w, double *dx) {
    const skv_geometry *g = &s->g;
    int64_t in = skv_volume(g->in), out = skv_volume(g->out), taps = skv_volume(g->kernel);
    int64_t per_in = s->c / s->groups, per_out = s->m / s->groups;
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static)
    for (int64_t n = 0; n < s->n; n++) {
        for (int64_t c = 0; c < s->c; c++) {
            double *plane = dx + (n * s->c + c) * in;
            memset(plane, 0, (size_t)in * sizeof *plane);
            for (int64_t j = 0; j < per_out; j++) {
                int64_t m = c / per_in * per_out + j;
                const double *from = dy + (n * s->m + m) * out, *wk = w + (m * per_in + c % per_in) * taps;
                for (int64_t kd = 0; kd < g->kernel[0]; kd++)
                    for (int64_t kh = 0; kh < g->kernel[1]; kh++)
                        for (int64_t kw = 0; kw < g->kernel[2]; kw++, wk++) {
                            tap t;
                            if (tap_at(g, kd, kh, kw, &t)) backward_tap(g, &t, *wk, from, plane);
                        }
            }
        }
    }
}

static double weight_tap(const skv_geometry *g, const tap *t, const double *dy, const double *x) {
    int64_t s = g->stride[2];
    double sum = 0.0;
    FOR_ROWS(g, *t, yi, xi) {
        const double *row = dy + yi, *from = x + xi + t->offset[2];
        for (int64_t o = t->lo[2]; o < t->hi[2]; o++) sum += row[o] * from[o * s];
    }
    return sum;
}

void skv_conv_backward_weight(int threads, const skv_conv_shape *s, const double *dy, const double *x, double *dw) {
    const skv_geometry *g = &s->g;
    int64_t in = skv_volume(g->in), out = skv_volume(g->out), taps = skv_volume(g->kernel);
    int64_t per_in = s->c / s->groups, per_out = s->m / s->groups;
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static)
    for (int64_t m = 0; m < s->m; m++) {
        for (int64_t c = 0; c < per_in; c++) {
            double *to = dw + (m * per_in + c) * taps;
            for (int64_t kd = 0; kd < g->kernel[0]; kd++)
                for (int64_t kh = 0; kh < g->kernel[1]; kh++)
                    for (int64_t kw = 0; kw < g->kernel[2]; kw++, to++) {
                        tap t;
                        *to = 0.0;
                        if (!tap_at(g, kd, kh, kw, &t)) continue;
                        for (int64_t n = 0; n < s->n; n++)
                            *to += weight_tap(g, &t, dy + (n * s->m + m) * out,
                                              x + (n * s->c + m / per_out * per_in + c) * in);
                    }
        }
    }
}
