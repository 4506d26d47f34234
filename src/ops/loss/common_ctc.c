/* See common_ctc.h. */
#include "ops/loss/common_ctc.h"

#include <math.h>
#include <string.h>

static double log_add(double a, double b) {
    const double most = a > b ? a : b, least = a > b ? b : a;
    return most == -INFINITY ? -INFINITY : most + log1p(exp(least - most));
}

typedef struct extended {
    const int64_t *labels;
    int64_t n, blank; /* n = 2 L + 1 */
} extended;

static int64_t at(const extended *e, int64_t s) { return s % 2 ? e->labels[s / 2] : e->blank; }

/* May a path go from place s to s + 2, over the blank between two different labels? */
static bool skips(const extended *e, int64_t s) { return s % 2 && s + 2 < e->n && at(e, s) != at(e, s + 2); }

static void forward(const extended *e, const double *log_p, int64_t steps, int64_t classes, double *alpha) {
    for (int64_t s = 0; s < e->n; s++) alpha[s] = s < 2 ? log_p[at(e, s)] : -INFINITY;
    for (int64_t t = 1; t < steps; t++) {
        const double *before = alpha + (t - 1) * e->n, *p = log_p + t * classes;
        double *now = alpha + t * e->n;
        for (int64_t s = 0; s < e->n; s++) {
            double sum = before[s];
            if (s > 0) sum = log_add(sum, before[s - 1]);
            if (s > 1 && skips(e, s - 2)) sum = log_add(sum, before[s - 2]);
            now[s] = sum + p[at(e, s)];
        }
    }
}

/* Of what comes after step t. */
static void backward(const extended *e, const double *log_p, int64_t steps, int64_t classes, double *beta) {
    double *last = beta + (steps - 1) * e->n;
    for (int64_t s = 0; s < e->n; s++) last[s] = s + 2 >= e->n ? 0 : -INFINITY;
    for (int64_t t = steps - 2; t >= 0; t--) {
        const double *after = beta + (t + 1) * e->n, *p = log_p + (t + 1) * classes;
        double *now = beta + t * e->n;
        for (int64_t s = 0; s < e->n; s++) {
            double sum = after[s] + p[at(e, s)];
            if (s + 1 < e->n) sum = log_add(sum, after[s + 1] + p[at(e, s + 1)]);
            if (skips(e, s)) sum = log_add(sum, after[s + 2] + p[at(e, s + 2)]);
            now[s] = sum;
        }
    }
}

double skv_ctc(const double *log_p, int64_t steps, int64_t classes, const int64_t *labels, int64_t n_labels,
               int64_t blank, double *room, double *gradient) {
    const extended e = {labels, 2 * n_labels + 1, blank};
    double *alpha = room, *beta = room + steps * e.n;
    if (gradient) memset(gradient, 0, (size_t)(steps * classes) * sizeof *gradient);
    if (steps < 1) return n_labels ? (double)INFINITY : 0;
    forward(&e, log_p, steps, classes, alpha);
    const double *end = alpha + (steps - 1) * e.n;
    const double all = e.n > 1 ? log_add(end[e.n - 1], end[e.n - 2]) : end[0];
    if (!gradient || all == -INFINITY) return -all;
    backward(&e, log_p, steps, classes, beta);
    for (int64_t t = 0; t < steps; t++) {
        for (int64_t s = 0; s < e.n; s++)
            gradient[t * classes + at(&e, s)] -= exp(alpha[t * e.n + s] + beta[t * e.n + s] - all);
    }
    return -all;
}
