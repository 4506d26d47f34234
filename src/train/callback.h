/* What a run does besides its steps because an option asks for it: averages of the weights, accumulated gradients,
 * clipping, parameters that are trained from some epoch on, an early end. Each is a record of callbacks.inc, which
 * stands at the stages of a step (trainer.h) and at the end of an epoch (fit.h); neither knows one by name. The trainer
 * starts those that its options ask for, in the order of the list. */
#ifndef SKV_TRAIN_CALLBACK_H
#define SKV_TRAIN_CALLBACK_H

#include "train/trainer.h"

struct skv_watch;

/* Where a callback is started. */
typedef struct skv_callback_site {
    skive_context *ctx;
    const skive_train_options *options;
    skv_trainer *trainer;     /* with its parameters */
    bool validated;           /* epochs have figures of validation samples */
    const skive_graph *model; /* in its own form, with the parameters' names; NULL: not known */
    int64_t steps;            /* of the whole run; 0: not known */
} skv_callback_site;

typedef struct skv_callback {
    const char *name, *brief;
    bool (*asked)(const skive_train_options *o);
    /* Does what it does depend on the length of the run? NULL: no. */
    bool (*needs_length)(const skive_train_options *o);
    /* What can be known to be wrong from the options alone. NULL: nothing. Errors: ARGUMENT. */
    skive_status (*check)(skive_context *ctx, const skive_train_options *o);
    skive_status (*start)(const skv_callback_site *at, void **self); /* NULL: *self stays NULL */
    void (*end)(skive_context *ctx, void *self);                     /* NULL: nothing to free */
    /* Stages of a step, behind the hooks of the caller. NULL: nothing. `applied` follows an update. */
    skive_status (*reduce)(void *self, skv_trainer *t, skv_step *step);
    skive_status (*inspect)(void *self, skv_trainer *t, skv_step *step);
    skive_status (*applied)(void *self, skv_trainer *t, const skv_step *step);
    /* The learning rate of the batch at whose end `epoch` epochs are done, given what it is without this. NULL:
     * that. */
    double (*rate)(const void *self, double epoch, double rate);
    /* Puts other numbers in the place of those that are trained (on), and those back (not on): while an epoch is
     * validated and what it reached is kept. What is written is what was validated. NULL: nothing. */
    skive_status (*show)(void *self, const struct skv_watch *w, bool on);
    /* As skv_watcher.epoch. NULL: nothing. */
    skive_status (*epoch)(void *self, const struct skv_watch *w, bool *counts, bool *stop);
    /* Numbers that a resumed run needs. NULL: none. */
    skive_status (*states)(void *self, skv_trainer *t, skv_states *s);
} skv_callback;
size_t skv_callback_count(void);
const skv_callback *skv_callback_at(size_t i);
const char *skv_callback_name(size_t i);
const skv_callback *skv_callback_find(const char *name);

/* One that was started. */
typedef struct skv_bound_callback {
    const skv_callback *callback;
    void *self;
} skv_bound_callback;
/* Those that the options ask for: *out [*n]. skv_callbacks_end(*out) in any case. */
skive_status skv_callbacks_start(const skv_callback_site *at, skv_bound_callback **out, size_t *n);
void skv_callbacks_end(skive_context *ctx, skv_bound_callback *c, size_t n);
/* The name of one that is asked for and depends on the length of the run; NULL: none. */
const char *skv_callbacks_need_length(const skive_train_options *o);
skive_status skv_callbacks_check(skive_context *ctx, const skive_train_options *o);

/* For the loop: all functions of the trainer's callbacks. */
skive_status skv_callbacks_show(skv_trainer *t, const struct skv_watch *w, bool on);
double skv_callbacks_rate(skv_trainer *t, double epoch, double rate);
skive_status skv_callbacks_epoch(skv_trainer *t, const struct skv_watch *w, bool *counts, bool *stop);

#endif
