/* Mixing the samples of a batch in pairs: which transform does it, and doing it in place. */
#include "data/transform.h"

/* Apart from the streams of the transforms of single samples, which are below 2^40 (transform.h). */
enum { MIX_STREAM_SHIFT = 39 };

size_t skv_transforms_mixing(const skv_transform_list *list) {
    size_t n = 0;
    for (int i = 0; i < list->count; i++) n += list->items[i].transform->mix != NULL;
    return n;
}

bool skv_transforms_mix(const skv_transform_run *r, skv_mix *out) {
    const size_t n = skv_transforms_mixing(r->list);
    skv_draw draw = skv_draw_at(r->seed, r->index, ((uint64_t)1 << MIX_STREAM_SHIFT) + r->epoch);
    if (n == 0 || skv_transforms_spare(r, SKV_MAX_TRANSFORMS)) return false;
    size_t chosen = n > 1 ? (size_t)skv_draw_below(&draw, (int64_t)n) : 0;
    for (int i = 0; i < r->list->count; i++) {
        const skv_transform *t = r->list->items[i].transform;
        if (!t->mix || chosen-- > 0) continue;
        const skv_augment one = {
            .options = &r->list->items[i].options, .draw = &draw, .content = r->content, .dims = r->dims};
        return t->mix(&one, out);
    }
    return false;
}

static void blend(float weight, size_t n, float *x, float *y) {
    for (size_t i = 0; i < n; i++) {
        const float a = x[i], b = y[i];
        x[i] = weight * a + (1 - weight) * b;
        y[i] = weight * b + (1 - weight) * a;
    }
}

static void swap(float *x, float *y) {
    const float kept = *x;
    *x = *y;
    *y = kept;
}

void skv_mix_samples(const skv_mix *m, const int64_t dims[3], bool last, float *x, float *y) {
    const int64_t step_c = last ? 1 : dims[1] * dims[2], step_y = last ? dims[2] * dims[0] : dims[2];
    const int64_t step_x = last ? dims[0] : 1;
    if (!m->cut) {
        blend((float)m->weight, (size_t)(dims[0] * dims[1] * dims[2]), x, y);
        return;
    }
    for (int64_t c = 0; c < dims[0]; c++) {
        for (int64_t v = m->top; v < m->bottom; v++) {
            for (int64_t u = m->left; u < m->right; u++) {
                const int64_t at = c * step_c + v * step_y + u * step_x;
                swap(x + at, y + at);
            }
        }
    }
}

void skv_mix_targets(const skv_mix *m, size_t n, float *x, float *y) { blend((float)m->weight, n, x, y); }
