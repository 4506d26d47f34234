/* Optimal brain surgeon, layer by layer (Hassibi & Stork 1993; Dong, Chen & Pan 2017): the least squared error of the
 * layer's output when the weight goes and the others make up for it, w^2 / [H^-1]_jj. The kept weights are then fitted
 * anew (refit.c). Where the layer's inputs cannot be looked at, weights count by their square and stay as they are. */
#include "prune/hessian.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(32),
    SKV_SCORE_BATCH(64),
    {.name = "damping",
     .type = SKV_OPTION_REAL,
     .most = 1e3,
     .above = true,
     .fallback = 0.01,
     .brief = "added to the diagonal of the Hessian, as a fraction of its mean"},
    {.name = "rounds",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 100,
     .fallback = 4,
     .brief = "parts in which weights are removed, with the others fitted after each"},
};

static const skv_data_need needs[] = {{.at = SKV_AT_INPUT, .of = SKV_OF_VALUE, .reducer = "moments"}};

static skive_status score_group(const skv_score_args *a, const skv_rows *r, int64_t group) {
    const int64_t per = r->rows / r->groups;
    skv_hessian h;
    skive_status status =
        skv_hessian_make(a->ctx, &a->numbers[0], r, group, skv_option_real(a->options, "damping"), &h);
    for (int64_t j = 0; status == SKIVE_OK && j < r->d; j++) {
        const double cost = skv_hessian_cost(&h, j);
        for (int64_t i = group * per; i < (group + 1) * per; i++) {
            const int64_t at = i * r->row_step + j * r->step;
            a->score[at] = (float)((double)a->weight[at] * (double)a->weight[at] * cost);
        }
    }
    skv_hessian_free(a->ctx, &h);
    return status;
}

static skive_status score(const skv_score_args *a) {
    const skv_prunable l = {.value = (skive_value *)a->parameter, .node = a->node, .view = a->view, .n = a->n};
    skv_rows r;
    if (a->numbers[0].n == 0 || !skv_rows_of(&l, &r)) {
        for (int64_t i = 0; i < a->n; i++) a->score[i] = a->weight[i] * a->weight[i];
        return SKIVE_OK;
    }
    for (int64_t g = 0; g < r.groups; g++) SKV_TRY(score_group(a, &r, g));
    return SKIVE_OK;
}

const skv_criterion skv_criterion_obs = {
    .name = "obs",
    .brief = "error of the layer's output when the other weights make up for it, which they do (second order)",
    SKV_OPTIONS(options),
    SKV_NEEDS(needs),
    .refits = true,
    .score = score,
};
