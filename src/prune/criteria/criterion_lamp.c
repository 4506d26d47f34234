/* Layer-adaptive magnitude (Lee, Park, Mo, Ahn & Shin 2021): w^2 over the sum of squares of the layer's weights that
 * would outlive w, itself included. Within a layer the order is that of magnitude; the largest weight of each scores
 * 1, so one threshold over all layers gives each a sparsity of its own and empties none. */
#include <string.h>

#include "prune/prune.h"

enum { DIGIT_BITS = 11, DIGITS = 3, VALUES = 1 << DIGIT_BITS };

/* A weight's place, and its magnitude as bits, whose order is that of the magnitudes. */
typedef struct entry {
    int64_t index;
    uint32_t magnitude;
} entry;

/* One pass of a radix sort; stable, so that equal weights stay in order of position. */
static void sort_by_digit(const entry *from, entry *to, int64_t n, int digit) {
    int64_t start[VALUES + 1] = {0};
    const int shift = digit * DIGIT_BITS;
    for (int64_t i = 0; i < n; i++) start[(from[i].magnitude >> shift & (VALUES - 1)) + 1]++;
    for (int v = 0; v < VALUES; v++) start[v + 1] += start[v];
    for (int64_t i = 0; i < n; i++) to[start[from[i].magnitude >> shift & (VALUES - 1)]++] = from[i];
}

static void score_sorted(const skv_score_args *a, const entry *sorted) {
    double sum = 0;
    for (int64_t i = a->n - 1; i >= 0; i--) {
        const double w = (double)a->weight[sorted[i].index];
        sum += w * w;
        a->score[sorted[i].index] = sum > 0 ? (float)(w * w / sum) : 0.0f;
    }
}

static skive_status score(const skv_score_args *a) {
    entry *room[2] = {NULL, NULL};
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(a->ctx, (size_t)a->n, sizeof **room, &room[0]));
    SKV_GO(status, done, skv_alloc_array(a->ctx, (size_t)a->n, sizeof **room, &room[1]));
    for (int64_t i = 0; i < a->n; i++) {
        memcpy(&room[0][i].magnitude, &a->weight[i], sizeof room[0][i].magnitude);
        room[0][i].magnitude &= UINT32_MAX >> 1; /* without the sign */
        room[0][i].index = i;
    }
    for (int digit = 0; digit < DIGITS; digit++) sort_by_digit(room[digit % 2], room[(digit + 1) % 2], a->n, digit);
    score_sorted(a, room[DIGITS % 2]);
done:
    skv_free(a->ctx, room[0]);
    skv_free(a->ctx, room[1]);
    return status;
}

const skv_criterion skv_criterion_lamp = {
    .name = "lamp",
    .brief = "square of the weight over the sum of squares of its layer's weights that are not smaller",
    .score = score,
};
