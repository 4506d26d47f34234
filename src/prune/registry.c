/* The lists of criteria, granularities and schedules. */
#include "base/list.h"
#include "base/option.h"
#include "prune/prune.h"

#define X(id) extern const skv_criterion skv_criterion_##id;
#include "prune/criteria.inc"
#undef X
#define X(id) extern const skv_granularity skv_granularity_##id;
#include "prune/granularities.inc"
#undef X
#define X(id) extern const skv_prune_schedule skv_prune_schedule_##id;
#include "prune/schedules.inc"
#undef X

static const skv_criterion *const criteria[] = {
#define X(id) &skv_criterion_##id,
#include "prune/criteria.inc"
#undef X
};
static const skv_granularity *const granularities[] = {
#define X(id) &skv_granularity_##id,
#include "prune/granularities.inc"
#undef X
};
static const skv_prune_schedule *const schedules[] = {
#define X(id) &skv_prune_schedule_##id,
#include "prune/schedules.inc"
#undef X
};

SKV_LIST_ACCESS(criterion, criteria)
SKV_FAMILY(criterion, criteria, "criterion")

SKV_LIST_ACCESS(prune_schedule, schedules)
SKV_FAMILY(prune_schedule, schedules, "pruning schedule")

SKV_LIST_ACCESS(granularity, granularities)
SKV_FAMILY(granularity, granularities, "granularity")
