/* The scale of a group of numbers: what covers them, a search over clips, or the least squared error. */
#include <stdlib.h>

#include "tensor/grid.h"

enum { CLIPS = 24 };           /* scales tried, from that of the largest magnitude down to 40 % of it */
enum { MOST_STEPS = 1 << 22 }; /* of the exact solution: elements times levels */
enum { MOST_LEVELS = 256 };

/* ---- search ---- */

static void search(const skv_quantizer *q, const float *x, int64_t n, float top, skv_grid_params *p) {
    const float most = skv_grid_largest(x, n);
    double best = INFINITY;
    skv_grid_params tried = *p;
    p->scale = 0;
    for (int k = 0; k < CLIPS && most > 0; k++) {
        tried.scale = most * (1.0f - 0.6f * (float)k / CLIPS) / top;
        const double error = skv_grid_error(q, &tried, x, n);
        if (error >= best) continue;
        best = error;
        p->scale = tried.scale;
    }
}

/* Power-of-two scales from the one that covers everything down: further down, everything is clipped. */
static void search_powers(const skv_quantizer *q, const float *x, int64_t n, float top, skv_grid_params *p) {
    const float most = skv_grid_largest(x, n);
    double best = INFINITY;
    skv_grid_params tried = *p;
    p->scale = 0;
    if (!(most > 0)) return;
    tried.scale = skv_grid_power_above(most / top);
    for (int k = 0; k < 8 && tried.scale > 0; k++, tried.scale /= 2) {
        const double error = skv_grid_error(q, &tried, x, n);
        if (error >= best) continue;
        best = error;
        p->scale = tried.scale;
    }
}

/* ---- the least squared error ----
 *
 * For given codes with levels l the best scale is sum(x l) / sum(l^2), and the error sum(x^2) - sum(x l)^2 / sum(l^2).
 * As the scale falls from infinity to 0, the code nearest to x changes where x / scale passes the middle between two
 * levels; between these events all codes stay. The events are visited in order, which visits every set of codes that is
 * nearest for some scale, the best one among them. */

typedef struct event {
    float scale;
    int32_t element, to; /* the element, and its level's place from zero on its side */
} event;

/* Magnitudes of the levels of one side, from zero. */
typedef struct side {
    float level[MOST_LEVELS];
    int n;
} side;

static int by_scale(const void *a, const void *b) {
    const event *x = a, *y = b;
    return x->scale != y->scale ? (x->scale < y->scale) - (x->scale > y->scale)
                                : (x->element != y->element ? (x->element > y->element) - (x->element < y->element)
                                                            : (x->to > y->to) - (x->to < y->to));
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static side side_of(const skv_quantizer *q, const skv_grid_params *p, bool positive) {
    side s = {.level = {0}, .n = 1};
    for (int32_t code = q->low; code <= q->high && s.n < MOST_LEVELS; code++) {
        const float level = skv_grid_level(q, p, code);
        if (isfinite(level) && (positive ? level > 0 : level < 0)) s.level[s.n++] = fabsf(level);
    }
    qsort(s.level, (size_t)s.n, sizeof *s.level, by_size);
    return s;
}

static skive_status least(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, skv_grid_params *p) {
    const side up = side_of(q, p, true), down = side_of(q, p, false);
    event *events = NULL;
    int64_t count = 0;
    SKV_TRY(skv_alloc_array(ctx, (size_t)n * (size_t)(up.n > down.n ? up.n : down.n) + 1, sizeof *events, &events));
    for (int64_t i = 0; i < n; i++) {
        const side *s = x[i] < 0 ? &down : &up;
        for (int k = 1; k < s->n && x[i] != 0; k++)
            events[count++] = (event){fabsf(x[i]) / ((s->level[k - 1] + s->level[k]) / 2), (int32_t)i, k};
    }
    qsort(events, (size_t)count, sizeof *events, by_scale);
    double xl = 0, ll = 0, most = 0;
    skv_grid_params found = *p;
    for (int64_t e = 0; e < count; e++) {
        const side *s = x[events[e].element] < 0 ? &down : &up;
        const double m = fabs((double)x[events[e].element]), was = (double)s->level[events[e].to - 1],
                     is = (double)s->level[events[e].to];
        xl += m * (is - was);
        ll += is * is - was * was;
        if (!(xl * xl / ll > most)) continue;
        most = xl * xl / ll;
        found.scale = (float)(xl / ll);
    }
    if (most > 0 && skv_grid_error(q, &found, x, n) < skv_grid_error(q, p, x, n)) *p = found;
    skv_free(ctx, events);
    return SKIVE_OK;
}

skive_status skv_grid_solve_scale(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float top,
                                  skv_grid_params *p) {
    const int64_t levels = (int64_t)q->high - q->low + 1;
    if (q->fit == SKV_FIT_RANGE) {
        p->scale = skv_grid_largest(x, n) / top;
        if (q->power_of_two && p->scale > 0) p->scale = skv_grid_power_above(p->scale);
        return SKIVE_OK;
    }
    if (q->power_of_two) {
        search_powers(q, x, n, top, p);
        return SKIVE_OK;
    }
    search(q, x, n, top, p);
    if (q->fit != SKV_FIT_LEAST || levels > MOST_LEVELS || n > MOST_STEPS / levels) return SKIVE_OK;
    return least(ctx, q, x, n, p);
}
