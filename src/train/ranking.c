/* Measures of an order by score: area under the ROC curve and average precision. */
#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "train/metrics.h"

typedef struct ranked {
    float score;
    uint8_t truth;
} ranked;

static int falling(const void *a, const void *b) {
    const float x = ((const ranked *)a)->score, y = ((const ranked *)b)->score;
    return x > y ? -1 : x < y;
}

skive_status skv_ranking(skive_context *ctx, const float *scores, const uint8_t *truth, int64_t n, int64_t stride,
                         double *auc, double *average_precision) {
    ranked *r = NULL;
    double positives = 0, area = 0, precision = 0, found = 0;
    *auc = *average_precision = NAN;
    SKV_TRY(skv_alloc_array(ctx, (size_t)n + 1, sizeof *r, &r));
    for (int64_t i = 0; i < n; i++) {
        r[i] = (ranked){scores[i * stride], truth[i * stride]};
        positives += truth[i * stride];
    }
    qsort(r, (size_t)n, sizeof *r, falling);
    const double negatives = (double)n - positives;
    for (int64_t i = 0, end; i < n; i = end) {
        double here = 0;
        for (end = i; end < n && r[end].score == r[i].score; end++) here += r[end].truth;
        const double others = (double)(end - i) - here;
        area += others * (found + here / 2); /* positives above these negatives, and half of those beside them */
        found += here;
        precision += here * found / (double)end;
    }
    if (positives > 0) *average_precision = precision / positives;
    if (positives > 0 && negatives > 0) *auc = area / (positives * negatives);
    skv_free(ctx, r);
    return SKIVE_OK;
}
