/* See conv_windows.h. */
#include "kernels/conv_windows.h"
#include "kernels/turn.h"

#include <string.h>

skive_status skv_windows_shape(const skv_kernel_node *n, const skive_type *x, const skive_type *w,
                               skv_conv_shape *out) {
    int64_t x_dims[SKIVE_MAX_RANK], w_dims[SKIVE_MAX_RANK];
    skv_type_sizes(x, x_dims);
    skv_type_sizes(w, w_dims);
    return skv_conv_shape_make(n->ctx, n->node, x->rank, x_dims, w->rank, w_dims, out);
}

bool skv_windows_direct(const skv_geometry *g) {
    for (int a = 0; a < SKV_SPATIAL; a++)
        if (g->kernel[a] != 1 || g->stride[a] != 1 || g->in[a] != g->out[a] || g->pad_lo[a]) return false;
    return true;
}

void skv_windows_turn(int64_t m, int64_t c, int64_t taps, const float *w, float *to) {
    for (int64_t r = 0; r < m; r++, w += c * taps, to += c * taps) skv_turn(sizeof *w, w, taps, to, c, c, taps);
}

void skv_windows_turn_back(int64_t m, int64_t c, int64_t taps, const float *from, float *w) {
    skv_windows_turn(m, taps, c, from, w);
}

static void copy(const float *from, int64_t n, float *to) {
    enum { SHORT = 16 }; /* floats that are copied sooner than a function is called */
    if (n > SHORT) {
        memcpy(to, from, (size_t)n * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

static void clear(int64_t n, float *to) {
    if (n > 0) memset(to, 0, (size_t)n * sizeof *to);
}

/* One line of the window's taps, [lo, hi) of which lie inside. */
static float *gather_line(const skv_geometry *g, const float *line, int64_t at, int64_t lo, int64_t hi, int64_t c,
                          float *to) {
    const int64_t taps = g->kernel[2];
    if (!line || hi <= lo) {
        clear(taps * c, to);
        return to + taps * c;
    }
    clear(lo * c, to);
    if (g->dilation[2] == 1)
        copy(line + (at + lo) * c, (hi - lo) * c, to + lo * c);
    else
        for (int64_t k = lo; k < hi; k++) copy(line + (at + k * g->dilation[2]) * c, c, to + k * c);
    clear((taps - hi) * c, to + hi * c);
    return to + taps * c;
}

void skv_windows_gather(const skv_conv_shape *s, const float *x, int64_t first, int64_t rows, float *to) {
    const skv_geometry *g = &s->g;
    const int64_t c = s->c, places = skv_volume(g->out);
    for (int64_t r = first; r < first + rows; r++) {
        const skv_window w = skv_window_at(g, r % places);
        const float *image = x + r / places * skv_volume(g->in) * c;
        for (int64_t i = 0; i < g->kernel[0] * g->kernel[1]; i++) {
            const int64_t kd = i / g->kernel[1], kh = i % g->kernel[1];
            const bool there = kh >= w.lo[1] && kh < w.hi[1] && kd >= w.lo[0] && kd < w.hi[0];
            const int64_t at = (w.start[0] + kd * g->dilation[0]) * g->in[1] + w.start[1] + kh * g->dilation[1];
            to = gather_line(g, there ? image + at * g->in[2] * c : NULL, w.start[2], w.lo[2], w.hi[2], c, to);
        }
    }
}

static void add(const float *from, int64_t n, float *to) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

void skv_windows_add(const skv_conv_shape *s, const float *from, int64_t first, int64_t rows, float *x) {
    const skv_geometry *g = &s->g;
    const int64_t c = s->c, places = skv_volume(g->out), width = g->kernel[2];
    for (int64_t r = first; r < first + rows; r++) {
        const skv_window w = skv_window_at(g, r % places);
        float *image = x + r / places * skv_volume(g->in) * c;
        for (int64_t i = 0; i < g->kernel[0] * g->kernel[1]; i++, from += width * c) {
            const int64_t kd = i / g->kernel[1], kh = i % g->kernel[1];
            if (kh < w.lo[1] || kh >= w.hi[1] || kd < w.lo[0] || kd >= w.hi[0] || w.hi[2] <= w.lo[2]) continue;
            float *line = image + skv_window_row(g, &w, kd, kh) * c;
            if (g->dilation[2] == 1) {
                add(from + w.lo[2] * c, (w.hi[2] - w.lo[2]) * c, line + w.lo[2] * c);
                continue;
            }
            for (int64_t k = w.lo[2]; k < w.hi[2]; k++) add(from + k * c, c, line + k * g->dilation[2] * c);
        }
    }
}
