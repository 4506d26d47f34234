/* Intervals and tests for proportions. */
#include "train/evaluation/statistics.h"

#include <math.h>

static const double z95 = 1.959963984540054;

void skv_wilson(int64_t right, int64_t n, double *low, double *high) {
    *low = 0;
    *high = 1;
    if (n <= 0) return;
    const double m = (double)n, p = (double)right / m, z2 = z95 * z95;
    const double center = (p + z2 / (2 * m)) / (1 + z2 / m);
    const double half = z95 * sqrt(p * (1 - p) / m + z2 / (4 * m * m)) / (1 + z2 / m);
    *low = right == 0 ? 0 : center - half;
    *high = right == n ? 1 : center + half;
}

double skv_mcnemar_exact(int64_t b, int64_t c) {
    const int64_t n = b + c, k = b < c ? b : c;
    if (n == 0) return 1.0;
    double tail = 0;
    for (int64_t i = 0; i <= k; i++) {
        const double log_choose = lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1);
        tail += exp(log_choose - (double)n * log(2.0));
    }
    return fmin(1.0, 2 * tail);
}

/* Correlation of the pairs, with Newcombe's continuity correction. */
static double phi_of(double a, double b, double c, double d) {
    const double n = a + b + c + d, product = (a + b) * (c + d) * (a + c) * (b + d);
    double cross = a * d - b * c;
    if (!(product > 0)) return 0;
    if (cross > 0) cross = fmax(cross - n / 2, 0);
    return cross / sqrt(product);
}

void skv_newcombe_paired(int64_t both, int64_t only1, int64_t only2, int64_t neither, double *low, double *high) {
    const int64_t n = both + only1 + only2 + neither;
    double l1, u1, l2, u2;
    *low = -1;
    *high = 1;
    if (n <= 0) return;
    const double p1 = (double)(both + only1) / (double)n, p2 = (double)(both + only2) / (double)n;
    const double phi = phi_of((double)both, (double)only1, (double)only2, (double)neither);
    skv_wilson(both + only1, n, &l1, &u1);
    skv_wilson(both + only2, n, &l2, &u2);
    const double down1 = p1 - l1, up2 = u2 - p2, up1 = u1 - p1, down2 = p2 - l2;
    const double delta = sqrt(fmax(0, down1 * down1 - 2 * phi * down1 * up2 + up2 * up2));
    const double epsilon = sqrt(fmax(0, up1 * up1 - 2 * phi * up1 * down2 + down2 * down2));
    *low = p1 - p2 - delta;
    *high = p1 - p2 + epsilon;
}
