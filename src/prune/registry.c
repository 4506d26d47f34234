/* The lists of criteria and schedules. */
#include <string.h>

#include "prune/prune.h"

#define X(id) extern const skv_criterion skv_criterion_##id;
#include "prune/criteria.inc"
#undef X
#define X(id) extern const skv_prune_schedule skv_prune_schedule_##id;
#include "prune/schedules.inc"
#undef X

static const skv_criterion *const criteria[] = {
#define X(id) &skv_criterion_##id,
#include "prune/criteria.inc"
#undef X
};
static const skv_prune_schedule *const schedules[] = {
#define X(id) &skv_prune_schedule_##id,
#include "prune/schedules.inc"
#undef X
};

size_t skv_criterion_count(void) { return sizeof criteria / sizeof criteria[0]; }
const skv_criterion *skv_criterion_at(size_t i) { return i < skv_criterion_count() ? criteria[i] : NULL; }

const skv_criterion *skv_criterion_find(const char *name) {
    for (size_t i = 0; name && i < skv_criterion_count(); i++) {
        if (strcmp(criteria[i]->name, name) == 0) return criteria[i];
    }
    return NULL;
}

size_t skv_prune_schedule_count(void) { return sizeof schedules / sizeof schedules[0]; }
const skv_prune_schedule *skv_prune_schedule_at(size_t i) {
    return i < skv_prune_schedule_count() ? schedules[i] : NULL;
}

const skv_prune_schedule *skv_prune_schedule_find(const char *name) {
    for (size_t i = 0; name && i < skv_prune_schedule_count(); i++) {
        if (strcmp(schedules[i]->name, name) == 0) return schedules[i];
    }
    return NULL;
}
