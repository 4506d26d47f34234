/* A whole method within a limit on the loss of accuracy: how far towards its target it may go is found by bisection.
 * Each trial is all of the method, with fine-tuning where there is one, on a copy of the model, so that what is handed
 * over was itself measured. */
#ifndef SKV_TUNE_TRIALS_H
#define SKV_TUNE_TRIALS_H

#include "tune/tune.h"

typedef struct skv_trials {
    skive_context *ctx;
    const skive_graph *graph;
    skive_dataset *validation;
    size_t levels;   /* equal parts of the way to the target */
    double max_drop; /* percentage points */
    /* Goes as far as `level` of the levels with a copy of the graph; *report, of `report_size` zero bytes, is what it
     * tells of it. */
    skive_status (*go)(void *user, size_t level, skive_graph *copy, void *report);
    void (*free_report)(skive_context *ctx, void *report);
    size_t report_size;
    void *user;
} skv_trials;

/* *out is the furthest of the trials within the limit, and *report what was told of it; both are the caller's. Without
 * such a trial: ERR_GOAL, which names the best found. *control is filled then, too. Errors: ARGUMENT (no validation
 * set), those of the method and of the evaluation. */
skive_status skv_trials_run(const skv_trials *t, skive_graph **out, void *report, skive_control_report *control);

#endif
