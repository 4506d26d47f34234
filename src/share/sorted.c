/* Sorted values, equal ones once, with prefix sums. */
#include <string.h>

#include "share/share.h"
#include "tensor/tensor.h"

enum { DIGIT_BITS = 11, DIGITS = 3, DIGIT_VALUES = 1 << DIGIT_BITS };

/* Keys whose order as unsigned numbers is that of the floats. */
static uint32_t key_of(float x) {
    const uint32_t bits = skv_f32_bits(x == 0 ? 0.0f : x); /* both zeros are one value */
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static float float_of(uint32_t key) { return skv_bits_f32(key >> 31 ? key & 0x7fffffffu : ~key); }

static size_t digit_of(uint32_t key, int digit) { return key >> (digit * DIGIT_BITS) & (DIGIT_VALUES - 1); }

static void scatter(const uint32_t *from, uint32_t *to, size_t n, int digit, size_t *at) {
    size_t sum = 0;
    for (size_t d = 0; d < DIGIT_VALUES; d++) {
        const size_t here = at[d];
        at[d] = sum;
        sum += here;
    }
    for (size_t i = 0; i < n; i++) to[at[digit_of(from[i], digit)]++] = from[i];
}

/* Radix sort, least significant digit first, of the floats' bits: x[n] ends as ascending keys in one of a and b, which
 * is returned. */
static uint32_t *sort_keys(const float *x, uint32_t *a, uint32_t *b, size_t n, size_t (*counts)[DIGIT_VALUES]) {
    for (size_t i = 0; i < n; i++) {
        a[i] = key_of(x[i]);
        for (int d = 0; d < DIGITS; d++) counts[d][digit_of(a[i], d)]++;
    }
    for (int d = 0; d < DIGITS; d++) {
        if (n && counts[d][digit_of(a[0], d)] == n) continue; /* all the same */
        scatter(a, b, n, d, counts[d]);
        uint32_t *other = a;
        a = b;
        b = other;
    }
    return a;
}

/* Overwrites x with the different values and stores the number of occurrences of each in count[i + 1]. */
static size_t merge_equal(const uint32_t *keys, size_t n, float *x, double *count) {
    size_t m = 0;
    for (size_t i = 0; i < n; m++) {
        const size_t first = i;
        while (i < n && keys[i] == keys[first]) i++;
        x[m] = float_of(keys[first]);
        count[m + 1] = (double)(i - first);
    }
    return m;
}

static void add_up(skv_sorted *s) {
    double total = 0, sum = 0, square = 0;
    for (size_t i = 0; i < s->n; i++) {
        total += s->count[i + 1];
        sum += s->count[i + 1] * (double)s->value[i];
    }
    s->shift = total > 0 ? sum / total : 0;
    total = sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        const double n = s->count[i + 1], x = (double)s->value[i] - s->shift;
        s->count[i + 1] = total += n;
        s->sum[i + 1] = sum += n * x;
        s->square[i + 1] = square += n * x * x;
    }
}

skive_status skv_sorted_create(skive_context *ctx, float *x, size_t n, skv_sorted *out) {
    uint32_t *a = NULL, *b = NULL;
    size_t(*counts)[DIGIT_VALUES] = NULL;
    skv_sorted s = {.value = x};
    skive_status status;
    *out = (skv_sorted){0};
    SKV_GO(status, done, skv_alloc_array(ctx, DIGITS, sizeof *counts, &counts));
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *a, &a));
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *b, &b));
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *s.count, &s.count));
    s.n = merge_equal(sort_keys(x, a, b, n, counts), n, x, s.count);
    SKV_GO(status, done, skv_alloc_array(ctx, s.n + 1, sizeof *s.sum, &s.sum));
    SKV_GO(status, done, skv_alloc_array(ctx, s.n + 1, sizeof *s.square, &s.square));
    add_up(&s);
    *out = s;
done:
    skv_free(ctx, counts);
    skv_free(ctx, a);
    skv_free(ctx, b);
    if (status != SKIVE_OK) skv_sorted_free(ctx, &s);
    return status;
}

void skv_sorted_free(skive_context *ctx, skv_sorted *s) {
    skv_free(ctx, s->value);
    skv_free(ctx, s->count);
    skv_free(ctx, s->sum);
    skv_free(ctx, s->square);
    *s = (skv_sorted){0};
}

size_t skv_sorted_above(const skv_sorted *s, double x) {
    size_t low = 0, high = s->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if ((double)s->value[middle] > x)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

size_t skv_sorted_at_rank(const skv_sorted *s, double rank) {
    size_t low = 0, high = s->n - 1;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->count[middle + 1] > rank)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
