/* The lists of losses, optimizers and schedules. */
#include <string.h>

#include "train/train.h"

#define X(id) extern const skv_loss skv_loss_##id;
#include "train/losses.inc"
#undef X
#define X(id) extern const skv_optimizer skv_optimizer_##id;
#include "train/optimizers.inc"
#undef X
#define X(id) extern const skv_schedule skv_schedule_##id;
#include "train/schedules.inc"
#undef X

static const skv_loss *const losses[] = {
#define X(id) &skv_loss_##id,
#include "train/losses.inc"
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

/* Count, access by index and by name of one list. */
#define LOOKUP(kind, list)                                                                                    \
    size_t skv_##kind##_count(void) { return sizeof list / sizeof list[0]; }                                  \
    const skv_##kind *skv_##kind##_at(size_t i) { return i < sizeof list / sizeof list[0] ? list[i] : NULL; } \
    const skv_##kind *skv_##kind##_find(const char *name) {                                                   \
        for (size_t i = 0; name && i < sizeof list / sizeof list[0]; i++) {                                   \
            if (strcmp(list[i]->name, name) == 0) return list[i];                                             \
        }                                                                                                     \
        return NULL;                                                                                          \
    }
LOOKUP(loss, losses)
LOOKUP(optimizer, optimizers)
LOOKUP(schedule, schedules)
