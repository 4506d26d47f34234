/* Ranks from singular values: the analytic solution of variational Bayesian matrix factorization, and the share of the
 * sum of squares. */
#include <math.h>

#include "lowrank/linear.h"

typedef struct evidence {
    int64_t shorter, longer, h;
    const double *s;
    double alpha, upper; /* the ratio of the sides, and the threshold of x */
} evidence;

/* The positive root of what x is of tau: x = (1 + tau) (1 + alpha / tau). */
static double tau_of(double x, double alpha) {
    const double b = x - 1 - alpha, root = b * b - 4 * alpha;
    return 0.5 * (b + sqrt(root > 0 ? root : 0));
}

/* The free energy of a variance of the noise, but for what does not depend on it. */
static double free_energy(const evidence *e, double variance) {
    double sum = (double)(e->shorter - e->h) * log(variance);
    for (int64_t i = 0; i < e->h; i++) {
        const double x = e->s[i] * e->s[i] / ((double)e->longer * variance);
        if (x > e->upper) {
            const double tau = tau_of(x, e->alpha);
            sum += x - tau + log((tau + 1) / x) + e->alpha * log(tau / e->alpha + 1);
        } else {
            sum += x - log(x > 1e-300 ? x : 1e-300);
        }
    }
    return sum;
}

/* The least of a function of one minimum, by golden sections of the logarithm, from the best of a coarse scan: there
 * may be several minima. */
static double least(const evidence *e, double low, double high) {
    enum { STEPS = 200, SECTIONS = 60 };
    const double golden = 0.6180339887498949, step = log(high / low) / STEPS;
    double best = low, least_energy = INFINITY;
    for (int i = 0; i <= STEPS; i++) {
        const double v = low * exp(step * i), energy = free_energy(e, v);
        if (energy < least_energy) {
            least_energy = energy;
            best = v;
        }
    }
    double a = log(best) - step, b = log(best) + step;
    for (int i = 0; i < SECTIONS; i++) {
        const double c = b - golden * (b - a), d = a + golden * (b - a);
        if (free_energy(e, exp(c)) < free_energy(e, exp(d)))
            b = d;
        else
            a = c;
    }
    return exp(0.5 * (a + b));
}

int64_t skv_vbmf_rank(int64_t m, int64_t n, const double *s, int64_t h) {
    evidence e = {.shorter = m < n ? m : n, .longer = m < n ? n : m, .h = h, .s = s};
    double all = 0;
    for (int64_t i = 0; i < h; i++) all += s[i] * s[i];
    if (h < 1 || !(all > 0)) return 0;
    e.alpha = (double)e.shorter / (double)e.longer;
    const double tau = 2.5129 * sqrt(e.alpha);
    e.upper = (1 + tau) * (1 + e.alpha / tau);
    /* At most so many components can be signal; the rest bounds the noise from below. */
    int64_t most = (int64_t)ceil((double)e.shorter / (1 + e.alpha)) - 1;
    if (most > h) most = h;
    if (most < 1) most = 1;
    double rest = 0;
    for (int64_t i = most; i < h; i++) rest += s[i] * s[i];
    const double high = all / ((double)e.shorter * (double)e.longer);
    double low = most < h ? s[most] * s[most] / ((double)e.longer * e.upper) : 0;
    const double mean = most < h ? rest / ((double)(h - most) * (double)e.longer) : 0;
    if (mean > low) low = mean;
    if (!(low > high * 1e-16)) low = high * 1e-16; /* no noise at all */
    const double variance = low < high ? least(&e, low, high) : high;
    int64_t rank = 0;
    while (rank < h && s[rank] * s[rank] > (double)e.longer * variance * e.upper) rank++;
    return rank;
}

int64_t skv_energy_rank(const double *s, int64_t h, double share) {
    double all = 0, sum = 0;
    for (int64_t i = 0; i < h; i++) all += s[i] * s[i];
    int64_t rank = 0;
    while (rank < h && sum < share * all) {
        sum += s[rank] * s[rank];
        rank++;
    }
    return rank < 1 ? 1 : rank;
}
