/* The course of the learning rate: a schedule of schedules.inc in a run. */
#ifndef SKV_TRAIN_COURSE_H
#define SKV_TRAIN_COURSE_H

#include <skive/train.h>

#include "base/option.h"
#include "train/states.h"

enum { SKV_SCHEDULE_STATES = 5 };

/* What a schedule goes by. */
typedef struct skv_schedule_args {
    const skive_train_options *options;
    const skv_option_values *values; /* of its own options */
    double epoch;                    /* so many are done (fractional) at the end of the batch */
    double state[SKV_SCHEDULE_STATES];
} skv_schedule_args;

typedef struct skv_schedule {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    /* Options that the table cannot check. NULL: none. Errors: ARGUMENT. */
    skive_status (*check)(skive_context *ctx, const skv_schedule_args *a);
    /* Factor on the learning rate, warm-up not counted. */
    double (*factor)(const skv_schedule_args *a);
    /* At the end of an epoch: `figure` is the one that selects the best epoch, more is better. Changes state, which is
     * zero at the start. NULL: the rate does not depend on figures. */
    void (*watch)(skv_schedule_args *a, double figure);
    bool own_warmup; /* the option `warmup` does not apply */
} skv_schedule;
size_t skv_schedule_count(void);
const skv_schedule *skv_schedule_at(size_t i);
const char *skv_schedule_name(size_t i);
const skv_schedule *skv_schedule_find(const char *name);
extern const skv_family skv_schedule_family;

/* The share of the run behind the warm-up that is done, 0 to 1. */
double skv_schedule_share(const skv_schedule_args *a);
/* The factor of a schedule with its default options, for what follows one besides the rate. */
double skv_schedule_factor(const skv_schedule *s, const skive_train_options *o, double epoch);

typedef struct skv_course {
    const skv_schedule *schedule;
    skv_option_values values;
    skv_schedule_args args;
} skv_course;
/* Of options->schedule; *out must not be moved. Errors: ARGUMENT. */
skive_status skv_course_start(skive_context *ctx, const skive_train_options *o, skv_course *out);
double skv_course_rate(skv_course *c, double epoch); /* with warm-up */
void skv_course_watch(skv_course *c, double figure);
skive_status skv_course_states(skv_course *c, skv_states *s);

#endif
