/* From scores to masks: the exact number of weights goes, over all layers, and no layer is emptied. */
#include <stdlib.h>
#include <string.h>

#include "prune/prune.h"

/* The k-th smallest (k from 0) of x[n], which is reordered (Hoare's selection). */
static float select_smallest(float *x, int64_t n, int64_t k) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const float pivot = x[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (x[i] < pivot) i++;
            while (x[j] > pivot) j--;
            if (i > j) break;
            const float t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        }
        if (k <= j) {
            high = j;
        } else if (k >= i) {
            low = i;
        } else {
            break;
        }
    }
    return x[k];
}

/* Drops `drop` weights of the layers in p[0..n) that are not at their floor: all below the threshold, and of those
 * equal to it as many as are missing, in order. */
static void drop_lowest(skv_prunable *p, size_t n, int64_t drop, float threshold) {
    int64_t below = 0;
    for (size_t l = 0; l < n; l++) {
        for (int64_t i = 0; !p[l].at_floor && i < p[l].n; i++) below += p[l].score[i] < threshold;
    }
    int64_t equal = drop - below;
    for (size_t l = 0; l < n; l++) {
        for (int64_t i = 0; !p[l].at_floor && i < p[l].n; i++) {
            bool gone = p[l].score[i] < threshold;
            if (p[l].score[i] == threshold && equal > 0) {
                gone = true;
                equal--;
            }
            p[l].keep[i] = !gone;
        }
    }
}

static int64_t kept_of(const skv_prunable *p) {
    int64_t kept = 0;
    for (int64_t i = 0; i < p->n; i++) kept += p->keep[i];
    return kept;
}

static float threshold_of(const skv_prunable *p, size_t n, int64_t drop, float *room) {
    int64_t count = 0;
    for (size_t l = 0; l < n; l++) {
        if (p[l].at_floor) continue;
        memcpy(room + count, p[l].score, (size_t)p[l].n * sizeof *room);
        count += p[l].n;
    }
    return select_smallest(room, count, drop - 1);
}

static void drop_within(skv_prunable *p, int64_t drop, float *room) {
    const bool at_floor = p->at_floor;
    p->at_floor = false;
    memset(p->keep, 1, (size_t)p->n);
    if (drop > 0) {
        memcpy(room, p->score, (size_t)p->n * sizeof *room);
        drop_lowest(p, 1, drop, select_smallest(room, p->n, drop - 1));
    }
    p->at_floor = at_floor;
}

skive_status skv_mask_below(skive_context *ctx, skv_prunable *p, double threshold) {
    float *room = NULL;
    for (int64_t i = 0; i < p->n; i++) p->keep[i] = (uint8_t) !((double)p->score[i] < threshold);
    p->at_floor = kept_of(p) < p->least;
    if (!p->at_floor) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)p->n, sizeof *room, &room));
    drop_within(p, p->n - p->least, room);
    skv_free(ctx, room);
    return SKIVE_OK;
}

skive_status skv_mask_global(skive_context *ctx, skv_prunable *p, size_t n, int64_t drop, double *threshold) {
    float *room = NULL;
    int64_t total = 0;
    for (size_t l = 0; l < n; l++) {
        total += p[l].n;
        p[l].at_floor = false;
        memset(p[l].keep, 1, (size_t)p[l].n);
    }
    *threshold = 0;
    if (drop <= 0 || total == 0) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)total, sizeof *room, &room));
    /* A layer that would fall below its floor is set to it, and the others give the rest. */
    for (bool again = true; again;) {
        int64_t left = drop, available = 0;
        again = false;
        for (size_t l = 0; l < n; l++) {
            if (p[l].at_floor)
                left -= p[l].n - p[l].least;
            else
                available += p[l].n;
        }
        if (left <= 0 || available == 0) break;
        if (left > available) left = available;
        const float t = threshold_of(p, n, left, room);
        *threshold = (double)t;
        drop_lowest(p, n, left, t);
        for (size_t l = 0; l < n; l++) {
            if (p[l].at_floor || kept_of(&p[l]) >= p[l].least) continue;
            p[l].at_floor = again = true;
        }
    }
    for (size_t l = 0; l < n; l++) {
        if (p[l].at_floor) drop_within(&p[l], p[l].n - p[l].least, room);
    }
    skv_free(ctx, room);
    return SKIVE_OK;
}
