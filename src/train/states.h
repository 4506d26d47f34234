/* What a run must find again in order to go on: arrays of numbers, each known by whose they are and what they are.
 * Everything that keeps numbers from one step to the next has a function that shows them to a visitor; a checkpoint is
 * written and read by one. */
#ifndef SKV_TRAIN_STATES_H
#define SKV_TRAIN_STATES_H

#include <skive/status.h>

#include <stddef.h>

typedef struct skv_states skv_states;
struct skv_states {
    /* `owner` (a parameter, a rule's parameter, "run") and `what` together are unique in a run. data[count], elements
     * of `size` bytes, 1, 4 or 8. Reading, data are written. */
    skive_status (*array)(skv_states *s, const char *owner, const char *what, void *data, size_t count, size_t size);
};

static inline skive_status skv_state(skv_states *s, const char *owner, const char *what, void *data, size_t count,
                                     size_t size) {
    return s->array(s, owner, what, data, count, size);
}

#endif
