/* GPTQ (Frantar, Ashkboos, Hoefler & Alistarh 2023; OBQ, Frantar & Alistarh 2022): weights get their codes one after
 * another, and those that come later make up for what was lost. With H = E[x x^T], what a row of outputs loses is
 * e H e^T for e = w - q. With H = M M^T, M upper triangular, that is the sum over i of (sum over j <= i of e[j]
 * M[j][i]) squared: the best code of weight i, once those before have theirs, is the one nearest to
 *
 *     w[i] + sum over j < i of e[j] M[j][i] / M[i][i]
 *
 * which is what the paper computes with the inverse of H, without inverting it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cholesky.h"
#include "quant/rounding.h"

static const skv_option options[] = {
    {.name = "damping",
     .type = SKV_OPTION_REAL,
     .least = 0,
     .most = 10,
     .above = true,
     .fallback = 0.01,
     .brief = "added to the diagonal of the Hessian, as a part of its mean"},
    {.name = "order",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     .brief = "inputs with the largest activations first (act-order)"},
};

typedef struct gptq {
    const skv_rounding_task *t;
    double *m;      /* [k][k] the Hessian, then M */
    int64_t *order; /* [k] */
    double *first;  /* [k] diagonal */
} gptq;

static int64_t before(const gptq *g, int64_t a, int64_t b) {
    if (g->first[a] != g->first[b]) return g->first[a] > g->first[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Merge sort, which needs no global state for the comparison. */
static void sort(const gptq *g, int64_t *x, int64_t *room, int64_t n) {
    if (n < 2) return;
    const int64_t half = n / 2;
    sort(g, x, room, half);
    sort(g, x + half, room, n - half);
    memcpy(room, x, (size_t)n * sizeof *x);
    for (int64_t i = 0, a = 0, b = half; i < n; i++)
        x[i] = b == n || (a < half && before(g, room[a], room[b]) <= 0) ? room[a++] : room[b++];
}

/* The upper triangle of x^T x / n in the order of the inputs. */
static void add_rows(const gptq *g) {
    const skv_rounding_task *t = g->t;
    const int64_t k = t->k;
#pragma omp parallel for num_threads(skv_threads(t->ctx)) schedule(dynamic, 4) if (k > 64)
    for (int64_t i = 0; i < k; i++) {
        double *to = g->m + i * k;
        for (int64_t r = 0; r < t->n; r++) {
            const float *x = t->x + r * k;
            const double f = (double)x[g->order[i]] / (double)t->n;
            if (f == 0) continue;
            for (int64_t j = i; j < k; j++) to[j] += f * (double)x[g->order[j]];
        }
    }
}

static skive_status factor(gptq *g, double damping) {
    const int64_t k = g->t->k;
    double mean = 0;
    add_rows(g);
    for (int64_t i = 0; i < k; i++) mean += g->m[i * k + i] / (double)k;
    if (!(mean > 0)) mean = 1; /* nothing is ever fed: any code does */
    for (int64_t i = 0; i < k; i++) g->m[i * k + i] += damping * mean;
    if (!skv_cholesky_upper(g->m, k, skv_threads(g->t->ctx)))
        return skv_fail_at(g->t->ctx, SKIVE_ERR_NUMERIC, g->t->name,
                           "node '%s': the Hessian of its inputs is not positive definite; give a larger damping "
                           "(--rounding gptq:damping=0.1)",
                           g->t->name);
    /* Transposed: row i has what column i of M has above the diagonal. */
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < i; j++) g->m[i * k + j] = g->m[j * k + i];
    return SKIVE_OK;
}

enum { TOGETHER = 8 }; /* rows of outputs that share the reading of M */

static void round_rows(const gptq *g, int64_t first, int64_t n, double *lost) {
    const skv_rounding_task *t = g->t;
    for (int64_t i = 0; i < t->k; i++) {
        const double *m = g->m + i * t->k;
        for (int64_t r = 0; r < n; r++) {
            const int64_t at = (first + r) * t->k + g->order[i];
            double *e = lost + r * t->k, sum = 0;
            for (int64_t j = 0; j < i; j++) sum += e[j] * m[j];
            /* What was pruned stays: others make up for it. */
            const double aim = t->w[at] == 0 ? 0 : (double)t->w[at] + sum / m[i];
            t->code[at] = skv_grid_encode(&t->grid->q, skv_task_params(t, at), (float)aim);
            e[i] = (double)t->w[at] - (double)skv_task_decode(t, at, t->code[at]);
        }
    }
}

static skive_status round_all(gptq *g) {
    const skv_rounding_task *t = g->t;
    double *lost = NULL;
    const int threads = skv_threads(t->ctx);
    const int64_t room = skv_mul_sat(TOGETHER, t->k);
    SKV_TRY(skv_alloc_array(t->ctx, (size_t)skv_mul_sat(threads, room), sizeof *lost, &lost));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int part = 0; part < threads; part++) {
        for (int64_t o = (int64_t)part * TOGETHER; o < t->out; o += (int64_t)threads * TOGETHER)
            round_rows(g, o, t->out - o < TOGETHER ? t->out - o : TOGETHER, lost + part * room);
    }
    skv_free(t->ctx, lost);
    return SKIVE_OK;
}

static skive_status run(const skv_rounding_task *t) {
    gptq g = {.t = t};
    int64_t *room = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)skv_mul_sat(t->k, t->k), sizeof *g.m, &g.m));
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)t->k, sizeof *g.order, &g.order));
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)t->k, sizeof *room, &room));
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)t->k, sizeof *g.first, &g.first));
    for (int64_t r = 0; r < t->n; r++)
        for (int64_t i = 0; i < t->k; i++) g.first[i] += (double)t->x[r * t->k + i] * (double)t->x[r * t->k + i];
    for (int64_t i = 0; i < t->k; i++) g.order[i] = i;
    if (skv_option_on(t->values, "order")) sort(&g, g.order, room, t->k);
    SKV_GO(status, done, factor(&g, skv_option_real(t->values, "damping")));
    status = round_all(&g);
done:
    skv_free(t->ctx, g.m);
    skv_free(t->ctx, g.order);
    skv_free(t->ctx, g.first);
    skv_free(t->ctx, room);
    return status;
}

const skv_rounding skv_rounding_gptq = {
    .name = "gptq",
    .brief = "weights one after another, later ones make up for what was lost (Hessian of the inputs)",
    SKV_OPTIONS(options),
    .round = run,
};
