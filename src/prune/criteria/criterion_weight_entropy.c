/* The entropy of an output channel's weights: of the histogram of its values between the layer's least and largest. A
 * channel whose weights are all alike carries little. Where single weights go, |w| times that entropy. Needs no data.
 * */
#include <math.h>

#include "prune/prune.h"

static const skv_option options[] = {
    {.name = "bins",
     .type = SKV_OPTION_INTEGER,
     .least = 2,
     .most = 4096,
     .fallback = 32,
     .brief = "of the histogram, from the layer's least weight to its largest"},
};

static int64_t bin_of(float w, float low, float high, int64_t bins) {
    const double place = high > low ? ((double)w - (double)low) / ((double)high - (double)low) * (double)bins : 0;
    return place >= (double)bins ? bins - 1 : (int64_t)place;
}

static void count(const skv_score_args *a, int64_t bins, int64_t *n) {
    float low = a->n ? a->weight[0] : 0, high = low;
    for (int64_t i = 0; i < a->n; i++) {
        if (a->weight[i] < low) low = a->weight[i];
        if (a->weight[i] > high) high = a->weight[i];
    }
    for (int64_t i = 0; i < a->n; i++) n[skv_score_output(a, i) * bins + bin_of(a->weight[i], low, high, bins)]++;
}

static double entropy_of(const int64_t *n, int64_t bins) {
    double all = 0, sum = 0;
    for (int64_t b = 0; b < bins; b++) all += (double)n[b];
    for (int64_t b = 0; b < bins; b++) {
        const double p = all > 0 ? (double)n[b] / all : 0;
        if (p > 0) sum -= p * log(p);
    }
    return sum > 0 ? sum : 0;
}

static skive_status score(const skv_score_args *a) {
    const int64_t bins = skv_option_integer(a->options, "bins"), out = a->view.out_axis >= 0 ? a->view.out : 1;
    int64_t *n = NULL;
    double *entropy = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(a->ctx, (size_t)out + 1, (size_t)bins * sizeof *n, &n));
    SKV_GO(status, done, skv_alloc_array(a->ctx, (size_t)out + 1, sizeof *entropy, &entropy));
    count(a, bins, n);
    for (int64_t c = 0; c < out; c++) entropy[c] = entropy_of(n + c * bins, bins);
    for (int64_t i = 0; i < a->n; i++) {
        const double told = entropy[skv_score_output(a, i)];
        a->score[i] = (float)(a->channels ? skv_score_share(a, told) : fabs((double)a->weight[i]) * told);
    }
done:
    skv_free(a->ctx, n);
    skv_free(a->ctx, entropy);
    return status;
}

const skv_criterion skv_criterion_weight_entropy = {
    .name = "weight-entropy",
    .brief = "entropy of the output channel's weights, times the magnitude where single weights go",
    SKV_OPTIONS(options),
    .group = "first",
    .score = score,
};
