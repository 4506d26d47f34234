/* Samples join in a random order, the same in every epoch. */
#include "train/curriculum.h"

static skive_status order(const skv_curriculum_site *at, uint32_t *order_of) {
    skv_curriculum_shuffle(at, order_of);
    return SKIVE_OK;
}

static const skv_option options[] = {SKV_CURRICULUM_OPTIONS};

const skv_curriculum skv_curriculum_random = {
    .name = "random", .brief = "samples join in a random order", SKV_OPTIONS(options), .order = order};
