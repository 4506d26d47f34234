/* Distance to the geometric median (FPGM, He, Liu, Wang, Hu & Yang 2019): the filters of a layer that are nearest to
 * all others, by the sum of their Euclidean distances, can be replaced by them. */
#include <math.h>

#include "prune/prune.h"

/* rows[out][length]: the weights of each output channel, in the order of the elements. */
static void gather(const skv_score_args *a, float *rows, int64_t *used, int64_t length) {
    for (int64_t i = 0; i < a->n; i++) {
        const int64_t row = skv_score_output(a, i);
        rows[row * length + used[row]++] = a->weight[i];
    }
}

static skive_status score(const skv_score_args *a) {
    const int64_t out = a->view.out, length = out > 0 ? a->n / out : 0;
    float *rows = NULL;
    double *sum = NULL;
    int64_t *used = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(a->ctx, (size_t)a->n + 1, sizeof *rows, &rows));
    SKV_GO(status, done, skv_alloc_array(a->ctx, (size_t)out + 1, sizeof *sum, &sum));
    SKV_GO(status, done, skv_alloc_array(a->ctx, (size_t)out + 1, sizeof *used, &used));
    gather(a, rows, used, length);
    for (int64_t i = 0; i < out; i++) {
        for (int64_t k = i + 1; k < out; k++) {
            float squares = 0;
            for (int64_t e = 0; e < length; e++) {
                const float d = rows[i * length + e] - rows[k * length + e];
                squares += d * d;
            }
            sum[i] += sqrt((double)squares);
            sum[k] += sqrt((double)squares);
        }
    }
    for (int64_t i = 0; i < a->n; i++) a->score[i] = (float)skv_score_share(a, sum[skv_score_output(a, i)]);
done:
    skv_free(a->ctx, rows);
    skv_free(a->ctx, sum);
    skv_free(a->ctx, used);
    return status;
}

const skv_criterion skv_criterion_median = {
    .name = "median",
    .brief = "sum of the distances to the other output channels of the layer (FPGM)",
    .channels_only = true,
    .score = score,
};
