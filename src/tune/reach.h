/* A budget of time for a whole model, where choices are made by the measured times of its parts. */
#ifndef SKV_TUNE_REACH_H
#define SKV_TUNE_REACH_H

#include <skive/context.h>

/* Chooses by a budget of `aim` seconds for the parts, and measures the model that comes out. ERR_GOAL: no choice is
 * that fast. */
typedef skive_status (*skv_reach_fn)(void *user, double aim, double *seconds);

typedef struct skv_reached {
    double aim,
        last;       /* that gave the result, and the last one tried: with another one the choice is to be made again */
    double seconds; /* of the model */
} skv_reached;

/* The times of the parts do not quite add up to the model's, and choices come in steps: the aim begins at the budget
 * and is changed until the model takes the time that was asked for. The result is the slowest model that does, or
 * without one the fastest if it takes at most a tenth more, which a note tells. `most`: an aim from which on nothing is
 * changed. Errors: GOAL (the fastest takes longer); those of the first try; of a later one all but ERR_GOAL. */
skive_status skv_reach_time(skive_context *ctx, double budget, double most, skv_reach_fn try, void *user,
                            skv_reached *out);

#endif
