/* Which weights go: the criterion's scores against the wanted sparsity, or a threshold. */
#include <math.h>

#include "prune/prune.h"

/* Ties the mask to the one before. Scores times a factor are the same as two thresholds with the opposite factors, and
 * leave the number of weights that go exact. */
static void tie_to_mask(skv_prunable *l, double margin) {
    const float present = (float)(1.0 + margin), absent = margin > 0 ? 1.0f / present : 0.0f;
    for (int64_t i = 0; i < l->n; i++) {
        if (l->keep[i])
            l->score[i] *= present;
        else
            l->score[i] = margin > 0 ? l->score[i] * absent : -1.0f;
    }
}

static skive_status score_seen(skv_pruning *p) {
    for (size_t i = 0; i < p->n; i++) {
        skv_prunable *l = &p->layers[i];
        const skv_score_args a = {.ctx = p->ctx,
                                  .parameter = l->value,
                                  .node = l->node,
                                  .view = l->view,
                                  .weight = l->weight,
                                  .n = l->n,
                                  .options = &p->criterion_options,
                                  .numbers = l->numbers,
                                  .channels = p->granularity->removal,
                                  .score = l->score};
        SKV_TRY(p->criterion->score(&a));
    }
    return SKIVE_OK;
}

skive_status skv_prune_score(skv_pruning *p) {
    SKV_TRY(skv_prune_look(p));
    return score_seen(p);
}

/* In parts each removes the same fraction of what is left. */
static double in_part(const skv_pruning *p, double sparsity) {
    return p->part > 0 ? 1 - pow(1 - sparsity, p->part) : sparsity;
}

static int64_t part(double sparsity, int64_t n) { return (int64_t)(sparsity * (double)n + 0.5); }

/* Over all elements and about their mean, as Han et al. 2015 take it. */
static double deviation(const skv_prunable *l) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < l->n; i++) sum += (double)l->weight[i];
    const double mean = l->n ? sum / (double)l->n : 0;
    for (int64_t i = 0; i < l->n; i++) squares += ((double)l->weight[i] - mean) * ((double)l->weight[i] - mean);
    return l->n ? sqrt(squares / (double)l->n) : 0;
}

static skive_status choose_one(skv_pruning *p, skv_prunable *l, double sparsity) {
    double threshold;
    if (p->granularity->group) return skv_mask_groups(p, l, 1, part(sparsity, l->n), &threshold);
    return skv_mask_global(p->ctx, l, 1, part(sparsity, l->n), &threshold);
}

static skive_status choose_over_all(skv_pruning *p, double sparsity) {
    int64_t count = 0;
    for (size_t i = 0; i < p->n_shared; i++) count += p->layers[i].n;
    if (p->granularity->group)
        SKV_TRY(skv_mask_groups(p, p->layers, p->n_shared, part(sparsity, count), &p->report.threshold));
    else
        SKV_TRY(skv_mask_global(p->ctx, p->layers, p->n_shared, part(sparsity, count), &p->report.threshold));
    /* Scores below zero are those of weights that were gone before. */
    if (p->report.threshold < 0) p->report.threshold = 0;
    return SKIVE_OK;
}

static skive_status choose_shared(skv_pruning *p, double progress) {
    const skive_prune_options *o = p->o;
    const bool by_threshold = o->threshold > 0 || o->threshold_std > 0;
    const double sparsity = in_part(p, p->schedule->sparsity(o->sparsity, progress));
    if (!by_threshold && !o->per_layer) return choose_over_all(p, sparsity);
    for (size_t i = 0; i < p->n_shared; i++) {
        skv_prunable *l = &p->layers[i];
        if (o->threshold_std > 0)
            SKV_TRY(skv_mask_below(p->ctx, l, o->threshold_std * deviation(l)));
        else if (by_threshold)
            SKV_TRY(skv_mask_below(p->ctx, l, o->threshold));
        else
            SKV_TRY(choose_one(p, l, sparsity));
    }
    p->report.threshold = o->threshold;
    return SKIVE_OK;
}

skive_status skv_prune_choose(skv_pruning *p, double progress, double margin) {
    SKV_TRY(skv_prune_look(p));
    return skv_prune_choose_seen(p, progress, margin);
}

skive_status skv_prune_choose_seen(skv_pruning *p, double progress, double margin) {
    SKV_TRY(score_seen(p));
    for (size_t i = 0; i < p->n; i++) tie_to_mask(&p->layers[i], margin);
    SKV_TRY(choose_shared(p, progress));
    for (size_t i = p->n_shared; i < p->n; i++)
        SKV_TRY(choose_one(p, &p->layers[i], in_part(p, p->schedule->sparsity(*p->layers[i].own, progress))));
    return SKIVE_OK;
}
