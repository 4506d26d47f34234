/* The lists of criteria, granularities and schedules. */
#include "base/option.h"
#include "prune/prune.h"

#define SKV_KIND    criterion
#define SKV_ARRAY   criteria
#define SKV_RECORDS "prune/criteria.inc"
#include "base/records.h"
#define SKV_KIND    granularity
#define SKV_ARRAY   granularities
#define SKV_RECORDS "prune/granularities.inc"
#include "base/records.h"
#define SKV_KIND    prune_schedule
#define SKV_ARRAY   schedules
#define SKV_RECORDS "prune/schedules.inc"
#include "base/records.h"

SKV_FAMILY(criterion, criteria, "criterion")

SKV_FAMILY(prune_schedule, schedules, "pruning schedule")

SKV_FAMILY(granularity, granularities, "granularity")
