/* The lists of losses, optimizers, schedules and recasts. */
#include <math.h>

#include "train/train.h"

#define SKV_KIND    loss
#define SKV_ARRAY   losses
#define SKV_RECORDS "train/losses.inc"
#include "base/records.h"
#define SKV_KIND    teaching
#define SKV_ARRAY   terms
#define SKV_RECORDS "train/terms.inc"
#define SKV_PREFIX  loss
#include "base/records.h"
#define SKV_KIND    optimizer
#define SKV_ARRAY   optimizers
#define SKV_RECORDS "train/optimizers.inc"
#include "base/records.h"
#define SKV_KIND    schedule
#define SKV_ARRAY   schedules
#define SKV_RECORDS "train/schedules.inc"
#include "base/records.h"
#define SKV_KIND    recast
#define SKV_ARRAY   recasts
#define SKV_RECORDS "train/recasts.inc"
#include "base/records.h"

SKV_FAMILY(loss, losses, "loss")
SKV_FAMILY(teaching, terms, "term")
SKV_FAMILY(optimizer, optimizers, "optimizer")
SKV_FAMILY(schedule, schedules, "schedule of the learning rate")

skive_status skv_optimizer_pick(skive_context *ctx, const char *text, const skv_optimizer **out,
                                skv_option_values *values) {
    size_t index;
    SKV_TRY(skv_family_pick(ctx, &skv_optimizer_family, "optimizer", text, &index, values));
    *out = optimizers[index];
    return SKIVE_OK;
}

double skive_optimizer_rate(const char *optimizer) {
    const size_t i = optimizer ? skv_family_find(&skv_optimizer_family, optimizer) : 0;
    return i < skv_optimizer_count() ? optimizers[i]->rate : NAN;
}
