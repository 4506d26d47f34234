/* Embeddings: for each sample the nearest other one, by the cosine. */
#include <math.h>

#include "train/metrics.h"

static skive_status start(skv_metrics *m) {
    skv_scored *s = m->s;
    const size_t n = (size_t)s->n + 1;
    if (s->n > INT64_MAX / (s->scores > 0 ? s->scores : 1) / (int64_t)sizeof(float))
        return SKV_FAIL(m->ctx, SKIVE_ERR_MEMORY, "too many embeddings to compare");
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->truth, &s->truth));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *m->r->hit, &m->r->hit));
    return skv_alloc_array(m->ctx, (size_t)(s->n * s->scores) + 1, sizeof *s->rows, &s->rows);
}

/* Of length 1; one of zeros stays. */
static void add(skv_metrics *m, size_t i, const float *row, int64_t label, const float *target) {
    skv_scored *s = m->s;
    double sum = 0;
    (void)target;
    for (int64_t k = 0; k < s->scores; k++) sum += (double)row[k] * (double)row[k];
    const double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (int64_t k = 0; k < s->scores; k++) s->rows[(int64_t)i * s->scores + k] = (float)((double)row[k] * scale);
    s->truth[i] = (int32_t)label;
}

static int64_t nearest_to(const skv_scored *s, int64_t i) {
    const float *x = s->rows + i * s->scores;
    int64_t best = -1;
    float most = -INFINITY;
    for (int64_t k = 0; k < s->n; k++) {
        const float *y = s->rows + k * s->scores;
        float dot = 0;
        if (k == i) continue;
#pragma omp simd reduction(+ : dot)
        for (int64_t c = 0; c < s->scores; c++) dot += x[c] * y[c];
        if (dot > most) {
            most = dot;
            best = k;
        }
    }
    return best;
}

static skive_status finish(skv_metrics *m) {
    skv_scored *s = m->s;
    skive_eval_report *r = m->r;
    const int threads = skv_threads(m->ctx);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t k = nearest_to(s, i);
        r->hit[i] = k >= 0 && s->truth[k] == s->truth[i];
        r->error[i] = !r->hit[i];
    }
    for (int64_t i = 0; i < s->n; i++) r->correct += r->hit[i];
    r->loss = s->n > 0 ? 1 - (double)r->correct / (double)s->n : (double)NAN;
    return SKIVE_OK;
}

const skv_task_count skv_count_embedding = {start, add, finish};
