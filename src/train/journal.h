/* What a run writes down while it goes on, besides its checkpoint: the figures of some steps and of each epoch. The
 * journal makes events (skive/train.h) of them, for the caller's observer and for the records of journals.inc. A
 * journal that cannot be written any longer is given up with a note, and training goes on. */
#ifndef SKV_JOURNAL_H
#define SKV_JOURNAL_H

#include "train/fit.h"
#include "train/metric.h"

/* Of a resumed run: what the journal may hold of it already. A run that starts anew has neither. */
typedef struct skv_journal_limit {
    bool resumed;
    int64_t step;       /* figures of steps up to this one */
    int64_t epoch_step; /* figures of epochs that ended by this step */
} skv_journal_limit;

typedef struct skv_journal_kind {
    const char *name;
    const char *(*path)(const skive_train_options *o); /* NULL: not asked for */
    /* Opens the journal at `path`, and removes what it holds of this run beyond the limit. *begun: it knows of the
     * run. Errors: IO, FORMAT (the file is something else). */
    skive_status (*open)(skive_context *ctx, const char *path, const skive_train_event *run,
                         const skv_journal_limit *limit, void **self, bool *begun);
    skive_status (*write)(void *self, const skive_train_event *e);
    skive_status (*sync)(void *self);
    void (*close)(void *self); /* NULL is accepted */
} skv_journal_kind;

/* Does a run tell figure `i` of skv_metric_name for each epoch? What `metrics` or `best` names, but for those that have
 * fields of their own in skive_epoch_report. */
bool skv_journal_tells(const skive_train_options *o, size_t i);

typedef struct skv_journal skv_journal;

typedef struct skv_journal_step {
    double at;    /* epochs done */
    int64_t step; /* of the run, from 1 */
    bool ends;    /* the last of its epoch */
    int64_t in_epoch, batches;
    double loss, rate;
    int64_t right, samples;
    double seconds, waited;
} skv_journal_step;

skive_status skv_journal_create(skive_context *ctx, skv_journal **out);
/* Shows the means that are not complete yet, and the time that has passed. */
skive_status skv_journal_states(skv_journal *j, skv_states *s);
/* `run`: what holds for all events, and the epochs done; the journal keeps the pointers. After the states were read. */
skive_status skv_journal_open(skv_journal *j, const skive_train_event *run, bool labelled, const skv_checkpoint *point,
                              bool resumed);
skive_status skv_journal_count(skv_journal *j, const skv_journal_step *step);
/* After the epoch is finished and before the next begins. */
skive_status skv_journal_epoch(skv_journal *j, const skive_epoch_report *row, const skv_checkpoint *point);
skive_status skv_journal_sync(skv_journal *j);
/* Writes the end of a run that was begun, and frees the journal; NULL is accepted. */
void skv_journal_close(skv_journal *j, const skv_checkpoint *point, skive_status status);

#endif
