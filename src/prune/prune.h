/* The records of pruning: criteria and schedules. */
#ifndef SKV_PRUNE_H
#define SKV_PRUNE_H

#include <skive/prune.h>

#include "graph/graph.h"

/* Scores weights: the lowest go first. */
typedef struct skv_criterion {
    const char *name, *brief;
    void (*score)(const float *weight, int64_t n, float *score);
} skv_criterion;
size_t skv_criterion_count(void);
const skv_criterion *skv_criterion_at(size_t i);
const skv_criterion *skv_criterion_find(const char *name);

/* How sparsity grows to the wanted one. */
typedef struct skv_prune_schedule {
    const char *name, *brief;
    bool one_step;
    double (*sparsity)(double wanted, double progress); /* progress in (0, 1] */
} skv_prune_schedule;
size_t skv_prune_schedule_count(void);
const skv_prune_schedule *skv_prune_schedule_at(size_t i);
const skv_prune_schedule *skv_prune_schedule_find(const char *name);

/* One prunable parameter: its scores and mask. */
typedef struct skv_prunable {
    skive_value *value;
    const skive_node *node;
    int64_t n, least; /* fewest weights that stay */
    float *score;
    uint8_t *keep;
    bool at_floor;
} skv_prunable;

/* Sets keep[] so that exactly `drop` of all weights go (fewer only when every layer is at its floor): those of lowest
 * score, ties in order of position, no layer below its floor. *threshold: the largest score dropped. */
skive_status skv_mask_global(skive_context *ctx, skv_prunable *p, size_t n, int64_t drop, double *threshold);

#endif
