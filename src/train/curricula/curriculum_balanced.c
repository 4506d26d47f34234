/* Samples join in a random order in which the classes take turns, so that every part of the set has as many of each
 * class as there are. */
#include "train/curriculum.h"

static const skv_option options[] = {SKV_CURRICULUM_OPTIONS};

const skv_curriculum skv_curriculum_balanced = {.name = "balanced",
                                                .brief = "samples join in a random order, the classes in equal numbers",
                                                SKV_OPTIONS(options),
                                                .needs_classes = true,
                                                .order = skv_curriculum_take_turns};
