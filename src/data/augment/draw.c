/* Random numbers for one sample, drawn one after another. */
#include <math.h>

#include "data/transform.h"

enum { BLOCK_SHIFT = 40 };

skv_draw skv_draw_at(uint64_t seed, uint64_t index, uint64_t stream) {
    return (skv_draw){.key = seed, .low = index, .high = stream, .used = 4};
}

uint32_t skv_draw_word(skv_draw *d) {
    if (d->used == 4) {
        skv_philox(d->key, d->low, d->high + ((uint64_t)d->block++ << BLOCK_SHIFT), d->word);
        d->used = 0;
    }
    return d->word[d->used++];
}

double skv_draw_uniform(skv_draw *d) { return (double)skv_draw_word(d) * 0x1p-32; }

int64_t skv_draw_below(skv_draw *d, int64_t n) { return (int64_t)(((uint64_t)skv_draw_word(d) * (uint64_t)n) >> 32); }

double skv_draw_between(skv_draw *d, double least, double most) { return least + (most - least) * skv_draw_uniform(d); }

/* Box and Muller's transform of two uniform numbers, the first in (0, 1], gives two. */
double skv_draw_normal(skv_draw *d) {
    if (d->has_spare) {
        d->has_spare = false;
        return d->spare;
    }
    const double u = ((double)skv_draw_word(d) + 1) * 0x1p-32, v = 6.283185307179586476925 * skv_draw_uniform(d);
    const double length = sqrt(-2.0 * log(u));
    d->spare = length * sin(v);
    d->has_spare = true;
    return length * cos(v);
}

double skv_draw_gamma(skv_draw *d, double shape) {
    double factor = 1;
    if (shape < 1) { /* Gamma(a) = Gamma(a + 1) U^(1/a) */
        factor = pow(((double)skv_draw_word(d) + 1) * 0x1p-32, 1 / shape);
        shape += 1;
    }
    const double b = shape - 1.0 / 3, c = 1 / sqrt(9 * b);
    for (;;) {
        const double x = skv_draw_normal(d), v = 1 + c * x;
        if (v <= 0) continue;
        const double cube = v * v * v, u = ((double)skv_draw_word(d) + 1) * 0x1p-32;
        if (log(u) < 0.5 * x * x + b - b * cube + b * log(cube)) return b * cube * factor;
    }
}

double skv_draw_beta(skv_draw *d, double alpha, double beta) {
    const double x = skv_draw_gamma(d, alpha), y = skv_draw_gamma(d, beta);
    if (x + y > 0) return x / (x + y);
    return skv_draw_uniform(d) * (alpha + beta) < alpha; /* both too small for a double: the limit is 0 or 1 */
}
