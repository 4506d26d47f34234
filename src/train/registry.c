/* The lists of losses, optimizers, schedules and recasts. */
#include <math.h>

#include "base/list.h"
#include "train/train.h"

#define X(id) extern const skv_loss skv_loss_##id;
#include "train/losses.inc"
#undef X
#define X(id) extern const skv_teaching skv_loss_##id;
#include "train/terms.inc"
#undef X
#define X(id) extern const skv_optimizer skv_optimizer_##id;
#include "train/optimizers.inc"
#undef X
#define X(id) extern const skv_schedule skv_schedule_##id;
#include "train/schedules.inc"
#undef X
#define X(id) extern const skv_recast skv_recast_##id;
#include "train/recasts.inc"
#undef X

static const skv_loss *const losses[] = {
#define X(id) &skv_loss_##id,
#include "train/losses.inc"
#undef X
};
static const skv_teaching *const terms[] = {
#define X(id) &skv_loss_##id,
#include "train/terms.inc"
#undef X
};
static const skv_optimizer *const optimizers[] = {
#define X(id) &skv_optimizer_##id,
#include "train/optimizers.inc"
#undef X
};
static const skv_schedule *const schedules[] = {
#define X(id) &skv_schedule_##id,
#include "train/schedules.inc"
#undef X
};
static const skv_recast *const recasts[] = {
#define X(id) &skv_recast_##id,
#include "train/recasts.inc"
#undef X
};

SKV_FAMILY(loss, losses, "loss")
SKV_FAMILY(teaching, terms, "term")
SKV_FAMILY(optimizer, optimizers, "optimizer")
SKV_FAMILY(schedule, schedules, "schedule of the learning rate")

SKV_LIST_ACCESS(loss, losses)
SKV_LIST_ACCESS(teaching, terms)
SKV_LIST_ACCESS(optimizer, optimizers)
SKV_LIST_ACCESS(schedule, schedules)
SKV_LIST_ACCESS(recast, recasts)

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
