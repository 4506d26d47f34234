/* The state of the training loop, for the files of which it consists (fit*.c). */
#ifndef SKV_FIT_STATE_H
#define SKV_FIT_STATE_H

#include "data/feed.h"
#include "data/transform.h"
#include "train/teachers/answers.h"
#include "train/curriculum.h"
#include "train/journal.h"
#include "train/stages.h"
#include "train/train.h"

typedef struct fit_state {
    skive_context *ctx;
    const skv_fit *fit;
    const skive_train_options *o;
    skive_graph *current, *best;
    skv_problem problem; /* its graph is the trainer's */
    skv_trainer *trainer;
    skv_rule_uses rules;
    skv_course course;                     /* of the learning rate */
    bool counts;                           /* the epoch that ended may be the best */
    float *renewed;                        /* statistics of the epoch that ended, or NULL */
    int64_t renewed_after;                 /* whose they are; -1: of none yet */
    uint8_t stopped;                       /* the run has ended before its last epoch */
    int64_t *indices;                      /* [batch] */
    skive_loader *loader, *teacher_loader; /* the second: of views that only the teacher sees, or NULL */
    skv_answers *answers;                  /* of teachers that run by themselves, or NULL */
    skive_batch taught;                    /* the batch as the teacher sees it */
    uint64_t view;                         /* number of the view that the epoch has of the samples */
    skv_feeds feeds;
    skive_dataset_info info;
    skv_goals goals;
    skv_targets targets;   /* of the first goal */
    skv_head head;         /* of the first goal, in the trainer's graph */
    int64_t batch, shares; /* shares: numbers in a row of labels that are mixed; 0: they are not */
    size_t batches;        /* of the epoch */
    skv_growth growth;
    skv_stages stages;
    int64_t stage; /* the one whose graph the trainer has; -1: that of whole images, which every run starts with */
    skv_checkpoint point;
    skv_saving saving;
    skv_journal *journal;
    bool between; /* two steps: what the checkpoint would hold is whole */
    skv_text settings;
    double *class_weights; /* [info.classes], or NULL */
    skv_progress progress;
    skive_train_report report;
} fit_state;

/* Copies a batch, and what depends on the moment, into the inputs of the trainer. `epoch`: done after the step. */
skive_status skv_fit_feed_batch(fit_state *s, const skive_batch *batch, double epoch);
/* The epoch begins with batch `first`; batches of it. */
skive_status skv_fit_start(fit_state *s, uint64_t epoch, size_t first);
skive_status skv_fit_next(fit_state *s, skive_batch *out);
/* What the options say of the teachers' views and cache: refuses what has no effect or cannot be. */
skive_status skv_fit_check_views(fit_state *s);
skive_status skv_fit_make_loaders(fit_state *s);
/* Between the problem and the trainer. */
skive_status skv_fit_make_answers(fit_state *s);
/* The name of what counts the steps of the run, which cannot be made longer then; NULL: nothing does. */
const char *skv_fit_counts_steps(const skv_fit *fit);
/* The samples of the epochs by the option `curriculum`; before the settings are collected. */
skive_status skv_fit_set_up_growth(fit_state *s);
/* Whether and how images grow by the option `progressive`. Errors: ARGUMENT, DATA, UNSUPPORTED. */
skive_status skv_fit_set_up_stages(fit_state *s);
/* The problem for the model as it is, or for a stage of it; what the trainer is made from. */
skive_status skv_fit_build_problem(fit_state *s, const skive_graph *model, bool quiet, skv_problem *out);
skv_trainer_setup skv_fit_trainer_setup(const fit_state *s, const skv_problem *p);
/* Before epoch `epoch`, from 0: the trainer goes on with the graph of its stage. */
skive_status skv_fit_enter_stage(fit_state *s, int epoch);
/* Begins to write down the run, after it was resumed. */
skive_status skv_fit_open_journal(fit_state *s, bool resumed);
/* The learning-rate finder in the place of training. */
skive_status skv_fit_find_rate(fit_state *s);

#endif
