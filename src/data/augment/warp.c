/* Images read at other places: shifted, mirrored, turned, seen from an angle. One sampler for all transforms that move
 * pixels. Whole shifts and mirrors, which are the most frequent, copy rows; all others read bilinearly between four
 * pixels. */
#include <math.h>
#include <string.h>

#include "data/transform.h"

bool skv_warp_mirror(const skv_augment *a, int axis, skv_warp *out) {
    const int at = axis == 2 ? 0 : 4; /* of the factor of x, or of y */
    if (skv_draw_uniform(a->draw) >= skv_option_real(a->options, "probability")) return false;
    *out = skv_warp_identity();
    out->m[at] = -1;
    out->m[axis == 2 ? 2 : 5] = (double)(a->dims[axis] - 1);
    return true;
}

skv_warp skv_warp_identity(void) { return (skv_warp){.m = {1, 0, 0, 0, 1, 0, 0, 0, 1}}; }

/* The map forward is T(centre + d) R(angle) Shear Scale T(-centre); its inverse is computed here. */
void skv_warp_affine(const int64_t dims[3], double angle, double scale, double shear_x, double shear_y, double dx,
                     double dy, skv_warp *out) {
    const double cx = (double)(dims[2] - 1) * 0.5, cy = (double)(dims[1] - 1) * 0.5;
    const double cosine = cos(angle), sine = sin(angle);
    /* forward 2 x 2: rotation times [1 shear_x; shear_y 1 + shear_x shear_y], whose determinant is 1 */
    const double p = cosine - sine * shear_y, q = cosine * shear_x - sine * (1 + shear_x * shear_y);
    const double r = sine + cosine * shear_y, s = sine * shear_x + cosine * (1 + shear_x * shear_y);
    const double a = s / scale, b = -q / scale, c = -r / scale, d = p / scale;
    *out = skv_warp_identity();
    out->m[0] = a;
    out->m[1] = b;
    out->m[2] = cx - a * (cx + dx) - b * (cy + dy);
    out->m[3] = c;
    out->m[4] = d;
    out->m[5] = cy - c * (cx + dx) - d * (cy + dy);
}

/* Eight equations, solved by elimination with the largest pivot of the column. */
bool skv_warp_corners(double to[4][2], double from[4][2], skv_warp *out) {
    double e[8][9];
    for (int i = 0; i < 4; i++) {
        const double x = to[i][0], y = to[i][1], u = from[i][0], v = from[i][1];
        const double first[9] = {x, y, 1, 0, 0, 0, -u * x, -u * y, u},
                     second[9] = {0, 0, 0, x, y, 1, -v * x, -v * y, v};
        memcpy(e[2 * i], first, sizeof first);
        memcpy(e[2 * i + 1], second, sizeof second);
    }
    for (int k = 0; k < 8; k++) {
        int pivot = k;
        for (int i = k + 1; i < 8; i++) {
            if (fabs(e[i][k]) > fabs(e[pivot][k])) pivot = i;
        }
        if (fabs(e[pivot][k]) < 1e-12) return false;
        for (int j = 0; j < 9; j++) {
            const double swap = e[k][j];
            e[k][j] = e[pivot][j];
            e[pivot][j] = swap;
        }
        for (int i = 0; i < 8; i++) {
            const double factor = i == k ? 0 : e[i][k] / e[k][k];
            for (int j = k; j < 9; j++) e[i][j] -= factor * e[k][j];
        }
    }
    *out = skv_warp_identity();
    for (int k = 0; k < 8; k++) out->m[k] = e[k][8] / e[k][k];
    return true;
}

/* ---- whole shifts and mirrors ---- */

static bool whole(double x) { return x == rint(x) && fabs(x) < 1e9; }

static bool is_copy(const skv_warp *w) {
    const double *m = w->m;
    return !w->clamp && fabs(m[0]) == 1 && fabs(m[4]) == 1 && m[1] == 0 && m[3] == 0 && m[6] == 0 && m[7] == 0 &&
           m[8] == 1 && whole(m[2]) && whole(m[5]);
}

static void copy_row(const float *from, int64_t width, int64_t step, int64_t start, float *to) {
    if (step > 0) {
        const int64_t first = start < 0 ? -start : 0, last = start > 0 ? width - start : width;
        if (first >= last) {
            memset(to, 0, (size_t)width * sizeof *to);
            return;
        }
        memset(to, 0, (size_t)first * sizeof *to);
        memcpy(to + first, from + first + start, (size_t)(last - first) * sizeof *to);
        memset(to + last, 0, (size_t)(width - last) * sizeof *to);
        return;
    }
    for (int64_t x = 0; x < width; x++) {
        const int64_t at = start - x;
        to[x] = at >= 0 && at < width ? from[at] : 0.0f;
    }
}

static void copy(const skv_warp *w, const int64_t dims[3], const float *in, float *out) {
    const int64_t height = dims[1], width = dims[2];
    const int64_t step_x = (int64_t)w->m[0], start_x = (int64_t)w->m[2];
    const int64_t step_y = (int64_t)w->m[4], start_y = (int64_t)w->m[5];
    for (int64_t c = 0; c < dims[0]; c++) {
        for (int64_t y = 0; y < height; y++) {
            const int64_t at = start_y + step_y * y;
            float *to = out + (c * height + y) * width;
            if (at < 0 || at >= height)
                memset(to, 0, (size_t)width * sizeof *to);
            else
                copy_row(in + (c * height + at) * width, width, step_x, start_x, to);
        }
    }
}

/* ---- all others ---- */

typedef struct spot {
    int64_t y, x; /* of the pixel above and left of it */
    float ty, tx; /* the part of the next one */
    bool inside;  /* all four pixels are in the image */
    bool outside; /* none is */
} spot;

static spot locate(const skv_warp *w, const int64_t dims[3], double x, double y) {
    const double *m = w->m, d = m[6] * x + m[7] * y + m[8];
    if (!(d > 1e-9)) return (spot){.outside = true}; /* behind the viewer */
    double sx = (m[0] * x + m[1] * y + m[2]) / d, sy = (m[3] * x + m[4] * y + m[5]) / d;
    if (w->clamp) {
        sx = sx < w->left ? w->left : sx > w->right ? w->right : sx;
        sy = sy < w->top ? w->top : sy > w->bottom ? w->bottom : sy;
    }
    if (!(sx > -1 && sy > -1 && sx < (double)dims[2] && sy < (double)dims[1])) return (spot){.outside = true};
    const double fx = floor(sx), fy = floor(sy);
    spot s = {.y = (int64_t)fy, .x = (int64_t)fx, .ty = (float)(sy - fy), .tx = (float)(sx - fx)};
    s.inside = s.x >= 0 && s.y >= 0 && s.x + 1 < dims[2] && s.y + 1 < dims[1];
    return s;
}

static float pixel(const float *plane, const int64_t dims[3], int64_t y, int64_t x) {
    return y >= 0 && y < dims[1] && x >= 0 && x < dims[2] ? plane[y * dims[2] + x] : 0.0f;
}

static float between(const float *plane, const int64_t dims[3], const spot *s) {
    float p[4];
    if (s->inside) {
        const float *at = plane + s->y * dims[2] + s->x;
        p[0] = at[0];
        p[1] = at[1];
        p[2] = at[dims[2]];
        p[3] = at[dims[2] + 1];
    } else {
        for (int i = 0; i < 4; i++) p[i] = pixel(plane, dims, s->y + i / 2, s->x + i % 2);
    }
    const float above = p[0] + (p[1] - p[0]) * s->tx, below = p[2] + (p[3] - p[2]) * s->tx;
    return above + (below - above) * s->ty;
}

void skv_warp_run(const skv_warp *w, const int64_t dims[3], const float *in, float *out) {
    const int64_t plane = dims[1] * dims[2];
    if (is_copy(w)) {
        copy(w, dims, in, out);
        return;
    }
    for (int64_t y = 0; y < dims[1]; y++) {
        for (int64_t x = 0; x < dims[2]; x++) {
            const spot s = locate(w, dims, (double)x, (double)y);
            float *to = out + y * dims[2] + x;
            for (int64_t c = 0; c < dims[0]; c++) to[c * plane] = s.outside ? 0.0f : between(in + c * plane, dims, &s);
        }
    }
}

void skv_warp_labels(const skv_warp *w, const int64_t dims[3], const int64_t *in, int64_t *out) {
    for (int64_t y = 0; y < dims[1]; y++) {
        for (int64_t x = 0; x < dims[2]; x++) {
            const spot s = locate(w, dims, (double)x, (double)y);
            const int64_t row = s.y + (s.ty >= 0.5f), column = s.x + (s.tx >= 0.5f);
            const bool inside = !s.outside && row >= 0 && row < dims[1] && column >= 0 && column < dims[2];
            *out++ = inside ? in[row * dims[2] + column] : -1;
        }
    }
}
