/* See journal.h. */
#include "train/journal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/train.h"

#define X(id) extern const skv_journal_kind skv_journal_##id;
#include "train/journals.inc"
#undef X

static const skv_journal_kind *const kinds[] = {
#define X(id) &skv_journal_##id,
#include "train/journals.inc"
#undef X
};

/* Of the steps since the last event. */
typedef struct window {
    double loss_sum, seconds;
    int64_t right, samples;
} window;

struct skv_journal {
    skive_context *ctx;
    skive_train_event run; /* what holds for all events */
    char id[17];
    bool labelled, begun;
    window window;
    double seconds, waited; /* of the whole run */
    double rate, at;        /* of the last step: the learning rate, and the epochs done */
    void *open[SKV_LENGTH(kinds)];
};

skive_status skv_journal_create(skive_context *ctx, skv_journal **out) {
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof **out, out));
    (*out)->ctx = ctx;
    (*out)->rate = NAN;
    return SKIVE_OK;
}

skive_status skv_journal_states(skv_journal *j, skv_states *s) {
    window *w = &j->window;
    SKV_TRY(skv_state(s, "journal", "loss", &w->loss_sum, 1, sizeof w->loss_sum));
    SKV_TRY(skv_state(s, "journal", "seconds", &w->seconds, 1, sizeof w->seconds));
    SKV_TRY(skv_state(s, "journal", "right", &w->right, 1, sizeof w->right));
    SKV_TRY(skv_state(s, "journal", "samples", &w->samples, 1, sizeof w->samples));
    SKV_TRY(skv_state(s, "journal", "seconds of the run", &j->seconds, 1, sizeof j->seconds));
    return skv_state(s, "journal", "waited in the run", &j->waited, 1, sizeof j->waited);
}

/* Is the name the beginning of an item of a list, up to its options? */
static bool in_list(const char *list, char between, const char *name) {
    const size_t n = strlen(name);
    while (list && *list) {
        while (*list == ' ') list++;
        if (strncmp(list, name, n) == 0 && (!list[n] || list[n] == between || list[n] == ':' || list[n] == ' '))
            return true;
        const char *end = strchr(list, between);
        list = end ? end + 1 : NULL;
    }
    return false;
}

bool skv_journal_tells(const skive_train_options *o, size_t i) {
    static const char *const known[] = {"accuracy", "rmse", "r2"};
    const char *name = skv_metric_name(i);
    for (size_t k = 0; k < SKV_LENGTH(known); k++)
        if (strcmp(name, known[k]) == 0) return false;
    return in_list(o->metrics, ';', name) || in_list(o->best, ',', name);
}

/* A journal that cannot be written is told of once, and the run goes on without it. */
static void give_up(skv_journal *j, size_t i, int64_t step) {
    char why[400];
    (void)snprintf(why, sizeof why, "%s", skive_context_message(j->ctx));
    skv_log(j->ctx, SKIVE_LOG_WARNING, "%s: %s; training goes on without it", kinds[i]->name, why);
    skv_note(j->ctx, "%s: %s; it has nothing behind step %lld", kinds[i]->name, why, (long long)step);
    kinds[i]->close(j->open[i]);
    j->open[i] = NULL;
}

static void tell(skv_journal *j, const skive_train_event *e, size_t i) {
    if (j->open[i] && kinds[i]->write(j->open[i], e) != SKIVE_OK) give_up(j, i, e->step);
}

static void tell_all(skv_journal *j, const skive_train_event *e) {
    for (size_t i = 0; i < SKV_LENGTH(kinds); i++) tell(j, e, i);
    if (j->run.options->observe) j->run.options->observe(j->run.options->observe_user, e);
}

static skive_train_event event(const skv_journal *j, skive_train_event_kind kind, int64_t step, double epoch) {
    skive_train_event e = j->run;
    e.kind = kind;
    e.step = step;
    e.epoch = epoch;
    e.seconds = j->seconds;
    e.waited = j->waited;
    e.learning_rate = j->rate;
    e.loss = e.accuracy = e.samples_per_second = NAN;
    return e;
}

skive_status skv_journal_open(skv_journal *j, const skive_train_event *run, bool labelled, const skv_checkpoint *point,
                              bool resumed) {
    const skv_journal_limit limit = {resumed, point->steps, point->steps - point->in_epoch};
    bool begun[SKV_LENGTH(kinds)] = {false};
    j->run = *run;
    j->at = run->epoch;
    j->run.run = j->id;
    j->run.best_epoch = (int)point->best_epoch;
    j->labelled = labelled;
    (void)snprintf(j->id, sizeof j->id, "%016llx",
                   (unsigned long long)skv_hash64(run->settings, strlen(run->settings), 0));
    for (size_t i = 0; i < SKV_LENGTH(kinds); i++) {
        const char *path = kinds[i]->path(run->options);
        if (path) SKV_TRY(kinds[i]->open(j->ctx, path, &j->run, &limit, &j->open[i], &begun[i]));
    }
    j->begun = true;
    skive_train_event e = event(j, SKIVE_TRAIN_RUN, resumed ? point->steps : 0, j->at);
    for (size_t i = 0; i < SKV_LENGTH(kinds); i++)
        if (!begun[i]) tell(j, &e, i);
    if (run->options->observe) run->options->observe(run->options->observe_user, &e);
    if (!resumed) return SKIVE_OK;
    e.kind = SKIVE_TRAIN_RESUME;
    tell_all(j, &e);
    return SKIVE_OK;
}

skive_status skv_journal_count(skv_journal *j, const skv_journal_step *step) {
    const int64_t given = j->run.options->log_every, part = (step->batches + 19) / 20;
    window *w = &j->window;
    w->loss_sum += step->loss * (double)step->samples;
    w->right += step->right;
    w->samples += step->samples;
    w->seconds += step->seconds;
    j->seconds += step->seconds;
    j->waited += step->waited;
    j->rate = step->rate;
    j->at = step->at;
    if (!step->ends && step->in_epoch % (given ? given : part) != 0) return SKIVE_OK;
    skive_train_event e = event(j, SKIVE_TRAIN_STEPS, step->step, step->at);
    e.loss = w->loss_sum / (double)w->samples;
    if (j->labelled) e.accuracy = (double)w->right / (double)w->samples;
    if (w->seconds > 0) e.samples_per_second = (double)w->samples / w->seconds;
    *w = (window){0};
    tell_all(j, &e);
    return SKIVE_OK;
}

skive_status skv_journal_epoch(skv_journal *j, const skive_epoch_report *row, const skv_checkpoint *point) {
    j->seconds += row->seconds - point->seconds; /* validation */
    j->run.best_epoch = (int)point->best_epoch;
    skive_train_event e = event(j, SKIVE_TRAIN_EPOCH, point->steps, row->epoch);
    e.loss = row->loss;
    e.accuracy = row->train_accuracy;
    e.learning_rate = row->learning_rate;
    if (point->seconds > 0) e.samples_per_second = (double)point->seen / point->seconds;
    e.row = row;
    tell_all(j, &e);
    return SKIVE_OK;
}

skive_status skv_journal_sync(skv_journal *j) {
    for (size_t i = 0; i < SKV_LENGTH(kinds); i++)
        if (j->open[i] && kinds[i]->sync(j->open[i]) != SKIVE_OK) give_up(j, i, -1);
    return SKIVE_OK;
}

void skv_journal_close(skv_journal *j, const skv_checkpoint *point, skive_status status) {
    if (!j) return;
    if (j->begun) {
        skive_train_event e = event(j, SKIVE_TRAIN_END, point->steps, j->at);
        e.status = status;
        tell_all(j, &e);
        (void)skv_journal_sync(j);
    }
    for (size_t i = 0; i < SKV_LENGTH(kinds); i++) kinds[i]->close(j->open[i]);
    skv_free(j->ctx, j);
}
