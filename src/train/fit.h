/* The loop on which training, pruning with fine-tuning, sharing and distillation are built. */
#ifndef SKV_FIT_H
#define SKV_FIT_H

#include "train/course.h"
#include "train/problem.h"

/* Where a run is, for watchers. */
typedef struct skv_watch skv_watch;
struct skv_watch {
    int64_t steps;     /* done */
    int epoch, epochs; /* finished; of the run */
    size_t batches;    /* of an epoch */
    skv_trainer *trainer;
    const skive_epoch_report *row; /* at the end of an epoch: its figures, once it is validated */
    /* At the end of an epoch: runs its first `most` batches again without an update, and calls `each` behind each. */
    skive_status (*replay)(const skv_watch *w, int64_t most, skive_status (*each)(void *self, skv_trainer *t),
                           void *self);
    void *run; /* of the loop */
};

/* Looks on, and may act, after each step and each epoch. Must depend on nothing but its arguments and what it shows as
 * its state, so that a run can be resumed. Any function may be NULL. */
typedef struct skv_watcher {
    const char *name;
    bool needs_length; /* what it does depends on the number of epochs: a finished run cannot be made longer */
    skive_status (*step)(void *self, const skv_watch *w);
    /* *counts (true): the epoch may be the best; *stop (false): the run ends here. */
    skive_status (*epoch)(void *self, const skv_watch *w, bool *counts, bool *stop);
    skive_status (*states)(void *self, skv_states *s);
    void *self;
} skv_watcher;

typedef struct skv_fit {
    skive_graph *model;                /* trained in place */
    skive_dataset *train, *validation; /* validation may be NULL */
    const skive_train_options *options;
    const skv_objective *objective;
    const skv_rule_use *rules; /* besides those that the graph asks for */
    size_t n_rules;
    const skv_step_hook *hooks;
    size_t n_hooks;
    const skv_watcher *watchers;
    size_t n_watchers;
    const char *what;              /* progress name: "train", "distill", "fine-tune" */
    const char *settings;          /* lines of whatever else decides the result, for checkpoints; NULL: none */
    const skv_target_scale *scale; /* set by skv_fit_values */
    /* Before each validation the statistics of BatchNormalization are computed anew, from so many batches of the epoch:
     * running ones lag behind weights that jump from level to level. 0: they are the running ones. */
    int64_t renew_batches;
    bool start_counts; /* the model as it begins is validated, and is kept unless an epoch is better */
    bool may_grow;     /* nodes may be put behind the model's output; pointers into it are lost then */
} skv_fit;
skive_status skv_fit_run(skive_context *ctx, const skv_fit *fit, skive_train_report *report);
typedef skive_status (*skv_fit_fn)(skive_context *ctx, const skv_fit *fit, skive_train_report *report);
/* Has a run come to something that is kept? One that was interrupted has, once an epoch is finished. */
bool skv_fit_reached(skive_status status, const skive_train_report *report);
/* The end of a run: its report goes to the caller, or is freed where the run failed or nobody asks (`to` NULL). */
void skv_fit_hand_over(skive_context *ctx, skive_status status, skive_train_report *report, skive_train_report *to);
/* The loop itself, on the model and the targets as they are. */
skive_status skv_fit_loop(skive_context *ctx, const skv_fit *fit, skive_train_report *report);
/* Runs a regression on standardised targets, by `run`. */
skive_status skv_fit_values(skive_context *ctx, const skv_fit *fit, const skv_targets *targets,
                            skive_train_report *report, skv_fit_fn run);
/* The same for several outputs: those of values in the scale of their targets. */
skive_status skv_fit_goals(skive_context *ctx, const skv_fit *fit, skive_train_report *report, skv_fit_fn run);

/* ---- checkpoints ---- */

enum { SKV_BEST_MOST = 3 };

typedef struct skv_checkpoint {
    const char *settings; /* of the run (skv_run_settings): a checkpoint of other ones is refused */
    int64_t epochs;       /* of the run */
    bool may_extend;      /* a checkpoint of a run of fewer or more epochs will do */
    int64_t run_epochs;   /* out: of the run that wrote it */
    int64_t epoch;        /* finished */
    int64_t steps;        /* done, of all epochs */
    /* What the next epoch has come to, if the checkpoint was written within it. */
    int64_t in_epoch;               /* its steps that are done */
    double loss_sum;                /* over its samples */
    int64_t right, seen;            /* samples */
    double seconds, waited;         /* the same of time */
    int64_t best_epoch;             /* 0: none, or the start where it counts */
    bool started;                   /* not stored: `best` has the figures of the start, or of an epoch */
    double best[SKV_BEST_MOST + 1]; /* the best epoch's figures, by which later ones are compared */
} skv_checkpoint;
/* When a checkpoint is written within an epoch. */
typedef struct skv_saving {
    const char *path;  /* NULL: never */
    bool must_exist;   /* the run must be resumed */
    double seconds;    /* between two; 0: not by time */
    int64_t steps;     /* between two; 0: not by steps */
    double last_time;  /* of the last one */
    int64_t last_step; /* the same */
} skv_saving;
/* Errors: ARGUMENT (an interval that cannot be read, or without a file; two files). */
skive_status skv_saving_check(skive_context *ctx, const skive_train_options *o);
skv_saving skv_saving_of(const skive_train_options *o); /* checked options */
/* Has the interval passed after step `steps` of the run? */
bool skv_saving_due(skv_saving *s, int64_t steps);

/* Adds to the message of a step that failed with NUMERIC the numbers of the batch's samples in the files of
 * the set (`row`: of the culprit, or -1) and which checkpoint remains; another status stays as it is. */
skive_status skv_tell_bad_batch(skive_context *ctx, skive_status status, const skive_dataset *set,
                                const skive_batch *batch, int64_t row, const skv_saving *saving);

/* Shows everything that the next step starts from. */
typedef skive_status (*skv_show_states)(void *user, skv_states *s);
skive_status skv_checkpoint_save(skive_context *ctx, const char *path, skv_checkpoint *c, skv_show_states show,
                                 void *user);
/* *found false when there is no file. Nothing is read unless all fits. Errors: IO, FORMAT (damaged), ARGUMENT (of
 * another run; says in what it differs). */
skive_status skv_checkpoint_load(skive_context *ctx, const char *path, skv_checkpoint *c, skv_show_states show,
                                 void *user, bool *found);

/* Lines "name TAB value" of all that decides a run's result but the number of epochs. skv_text_free(out) in any case.
 * */
skive_status skv_run_settings(skive_context *ctx, const skv_fit *fit, const skive_graph *model, skv_text *out);
void skv_settings_text(skv_text *t, const char *name, const char *value);
void skv_settings_number(skv_text *t, const char *name, double value);
/* The fields of a struct that are options, but those in `without`, which ends with NULL. */
void skv_settings_table(skv_text *t, const skv_table *table, const void *object, const char *const *without);
/* Into *key the numbers of `most` samples all over the set. Errors: as skive_dataset_read. */
skive_status skv_settings_samples(skive_context *ctx, const skive_dataset *set, size_t most, uint64_t *key);
/* What the model's metadata say of its input. `who`: "", or "teacher-". */
void skv_settings_input(skv_text *t, const char *who, const skive_graph *g);
uint64_t skv_settings_model(const skive_graph *g);                    /* hash of all parameters */
void skv_settings_hash(skv_text *t, const char *name, uint64_t hash); /* of what is not shown */
/* Has each of my lines the same value in theirs[size]? `why` tells the first that has not. */
bool skv_settings_same(const char *mine, const char *theirs, size_t size, char *why, size_t room);

enum { SKV_VALIDATION_BATCH = 100 };
/* Bytes that are needed beside a step: by validation, and many small things. A memory limit that somebody has set must
 * have room for all; 0 where nobody has. */
size_t skv_fit_reserve(skive_context *ctx, const skive_graph *model, const skv_feeds *feeds,
                       const skive_dataset *validation);

/* ---- what a run tells ---- */

/* With four decimals, or in fewer digits where it is large. */
const char *skv_fit_loss_text(double loss, char *buffer, size_t size);
void skv_fit_log_epoch(skive_context *ctx, const char *what, const skive_train_options *o,
                       const skive_epoch_report *row);
/* Notes options that change nothing, or not what they seem to: `classes` says what the data have. */
skive_status skv_fit_tell_idle(skive_context *ctx, const skv_course *course, bool classes);
/* A rate that is too high can leave a network that answers always the same, without any number becoming NaN. */
void skv_fit_note_chance(skive_context *ctx, const char *what, const skive_dataset_info *info,
                         const skive_train_report *report);
/* Samples of an epoch that do not fill a batch, where they are many. */
void skv_fit_tell_left_out(skive_context *ctx, size_t samples, size_t batch);
void skv_fit_tell_resumed(skive_context *ctx, const skv_checkpoint *p, size_t batches, const char *path, bool stopped);

/* ---- the best epoch ---- */

const char *skv_best_name(size_t i);
skive_status skv_best_check(skive_context *ctx, const char *by);
/* The measures in use, "accuracy" or "rmse,loss". */
const char *skv_best_rule(const char *by, const skive_epoch_report *row);
/* The first of them, more is better; of a run without validation the training loss, turned around. */
double skv_best_figure(const char *by, const skive_epoch_report *row);
/* Is the epoch better than the best so far? If so, *best gets its figures. Errors: ARGUMENT (what is asked for was not
 * measured). */
skive_status skv_best_better(skive_context *ctx, const char *by, const skive_epoch_report *row, skv_checkpoint *best,
                             bool *better);

#endif
