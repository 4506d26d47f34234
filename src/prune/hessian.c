/* The squared error of a layer's output is quadratic in each row of its weights: e = (v - w)^T H (v - w), with H the
 * mean of x x^T (Hassibi & Stork 1993; layer by layer: Dong, Chen & Pan 2017; Frantar & Alistarh 2022, 2023). */
#include "prune/hessian.h"

#include <string.h>

#include "base/cholesky.h"
#include "tensor/tensor.h"

bool skv_rows_of(const skv_prunable *l, skv_rows *out) {
    const skv_weight_view *v = &l->view;
    const skive_type *t = &l->value->type;
    if (v->in_axis < 0 || v->data < 0 || t->rank < 2 || l->n < 1) return false;
    if (v->windows) {
        const int64_t d = l->n / (v->out > 0 ? v->out : 1);
        *out = (skv_rows){.rows = v->out, .d = d, .groups = v->groups, .row_step = d, .step = 1};
        return v->groups > 0 && v->out % v->groups == 0;
    }
    if (t->rank != 2 && v->in_axis != t->rank - 1) return false;
    const bool last = v->in_axis == t->rank - 1;
    const int64_t rows = l->n / v->in;
    *out = (skv_rows){.rows = rows, .d = v->in, .groups = 1, .row_step = last ? v->in : 1, .step = last ? 1 : rows};
    return true;
}

skive_status skv_hessian_make(skive_context *ctx, const skv_numbers *moments, const skv_rows *r, int64_t group,
                              double damping, skv_hessian *out) {
    const int64_t d = r->d;
    const size_t size = (size_t)(d * d);
    *out = (skv_hessian){.d = d};
    if (moments->n != (size_t)r->groups * size + 1)
        return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "the inputs of a layer do not have the form of its weights");
    SKV_TRY(skv_alloc_array(ctx, size + 1, sizeof(double), &out->h));
    SKV_TRY(skv_alloc_array(ctx, size + 1, sizeof(double), &out->m));
    SKV_TRY(skv_alloc_array(ctx, size + 1, sizeof(double), &out->u));
    const double *sum = moments->x + (size_t)group * size, rows = moments->x[moments->n - 1];
    double mean = 0;
    for (size_t i = 0; i < size; i++) out->h[i] = rows > 0 ? sum[i] / rows : 0;
    for (int64_t i = 0; i < d; i++) mean += out->h[i * d + i] / (double)d;
    if (!(mean > 0)) mean = 1; /* inputs that are all zero: every weight costs the same */
    /* Inputs that depend on each other leave the factor without a root: more damping. */
    double add = damping * mean;
    while (add < 1e6 * mean) {
        memcpy(out->m, out->h, size * sizeof(double));
        for (int64_t i = 0; i < d; i++) out->m[i * d + i] += add;
        if (!skv_cholesky_upper(out->m, d, skv_threads(ctx))) {
            add *= 10;
            continue;
        }
        for (int64_t i = 0; i < d; i++) out->h[i * d + i] += add;
        skv_cholesky_invert(out->m, d, out->u, skv_threads(ctx));
        return SKIVE_OK;
    }
    return SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "the inputs of a layer are not finite");
}

void skv_hessian_free(skive_context *ctx, skv_hessian *h) {
    skv_free(ctx, h->h);
    skv_free(ctx, h->m);
    skv_free(ctx, h->u);
    *h = (skv_hessian){0};
}

double skv_hessian_cost(const skv_hessian *h, int64_t j) {
    double inverse = 0;
    for (int64_t k = 0; k <= j; k++) inverse += h->u[k * h->d + j] * h->u[k * h->d + j];
    return 1 / inverse;
}

double skv_hessian_error(const skv_hessian *h, const double *v, const double *w) {
    double sum = 0;
    for (int64_t i = 0; i < h->d; i++) {
        const double e = v[i] - w[i];
        if (e == 0) continue;
        double row = 0;
        for (int64_t k = 0; k < h->d; k++) row += h->h[i * h->d + k] * (v[k] - w[k]);
        sum += e * row;
    }
    return sum;
}

size_t skv_hessian_room(int64_t d) { return (size_t)(d * d + 2 * d + 1) * sizeof(double); }

static void fit_in_order(const skv_hessian *h, const uint8_t *keep, double *w) {
    const int64_t d = h->d;
    for (int64_t j = 0; j < d; j++) {
        if (keep[j]) continue;
        const double e = w[j] / h->u[j * d + j];
        for (int64_t k = j; k < d && e != 0; k++) w[k] -= e * h->u[j * d + k];
        w[j] = 0;
    }
}

/* What is kept solves H_kk v = (H w)_k. */
bool skv_hessian_fit(const skv_hessian *h, const uint8_t *keep, bool sweep, double *w, double *room) {
    const int64_t d = h->d;
    double *right = room, *part = room + d;
    int64_t n = 0;
    if (sweep) {
        fit_in_order(h, keep, w);
        return true;
    }
    for (int64_t i = 0; i < d; i++) n += keep[i] != 0;
    for (int64_t i = 0, a = 0; i < d; i++) {
        if (!keep[i]) continue;
        double sum = 0;
        for (int64_t k = 0; k < d; k++) sum += h->h[i * d + k] * w[k];
        right[a] = sum;
        for (int64_t k = 0, b = 0; k < d; k++)
            if (keep[k]) part[a * n + b++] = h->h[i * d + k];
        a++;
    }
    if (n > 0 && !skv_cholesky_upper(part, n, 1)) return false;
    if (n > 0) skv_cholesky_solve(part, n, right);
    for (int64_t i = 0, a = 0; i < d; i++) w[i] = keep[i] ? right[a++] : 0;
    return true;
}
