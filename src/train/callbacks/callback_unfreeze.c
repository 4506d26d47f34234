/* Parameters that are trained from some epoch on: "2:conv2.*;4:conv1.*,bn1.*". Until so many epochs are done no update
 * reaches them. Their gradients are computed from the start, and the running statistics of their normalisations follow
 * the data as those of trained ones do. */
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

typedef struct thaw {
    int64_t *at;    /* [n] epochs that must be done */
    int64_t *since; /* [n] updates that were made before the parameter was released; -1: it is not */
    size_t n;
} thaw;

static bool asked(const skive_train_options *o) { return o->unfreeze != NULL; }

/* The next "EPOCH:PATTERNS" of *text, which moves behind it; *patterns has *length. False: it is not of that form. */
static bool next_entry(const char **text, int64_t *epoch, const char **patterns, size_t *length) {
    const char *entry = *text;
    const size_t all = strcspn(entry, ";"), number = strcspn(entry, ":;");
    double x;
    *text = entry + all + (entry[all] == ';');
    if (number + 1 >= all || entry[number] != ':' || !skv_parse_number(entry, number, &x)) return false;
    *epoch = (int64_t)x;
    *patterns = entry + number + 1;
    *length = all - number - 1;
    return x >= 1 && x <= 1e6 && (double)*epoch == x;
}

static skive_status check(skive_context *ctx, const skive_train_options *o) {
    const char *text = o->unfreeze, *patterns;
    int64_t epoch;
    size_t length;
    do {
        if (!next_entry(&text, &epoch, &patterns, &length))
            return skv_fail_at(
                ctx, SKIVE_ERR_ARGUMENT, "unfreeze",
                "unfreeze is '%.*s'; it must be EPOCH:PATTERN[,PATTERN], more behind ';', with the number "
                "of epochs, 1 or more, after which these parameters are trained: 2:conv2.*;4:conv1.*",
                skv_utf8_prefix(o->unfreeze, 200), o->unfreeze);
        if (epoch >= o->epochs && o->epochs > 0)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "unfreeze",
                               "unfreeze names epoch %lld of a run of %d: these parameters would never be trained; use "
                               "freeze for that",
                               (long long)epoch, o->epochs);
    } while (*text);
    return SKIVE_OK;
}

/* Is the name one of the patterns, separated by commas? */
static bool matches(const char *patterns, size_t length, const char *name) {
    char one[256];
    for (size_t i = 0; i < length;) {
        size_t n = 0;
        while (i + n < length && patterns[i + n] != ',') n++;
        if (n > 0 && n < sizeof one) {
            memcpy(one, patterns + i, n);
            one[n] = '\0';
            if (skv_name_matches(one, name)) return true;
        }
        i += n + 1;
    }
    return false;
}

int64_t skv_unfrozen_after(const skive_train_options *o, const skive_value *v) {
    const char *text = o->unfreeze, *patterns, *name = v->name, *also = skv_param_known_as(v);
    int64_t epoch, found = 0;
    size_t length;
    while (text && *text) {
        if (!next_entry(&text, &epoch, &patterns, &length)) break;
        if (matches(patterns, length, name) || matches(patterns, length, also)) found = epoch;
    }
    return found;
}

static void hold(const thaw *w, skv_trainer *t) {
    for (size_t i = 0; i < w->n; i++) {
        skv_param *p = skv_trainer_param(t, i);
        p->held = w->since[i] < 0;
        p->since = p->held ? 0 : w->since[i];
    }
}

static skive_status start(const skv_callback_site *at, void **self) {
    thaw *w = NULL;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *w, &w));
    *self = w;
    w->n = skv_trainer_param_count(at->trainer);
    SKV_TRY(skv_alloc_array(at->ctx, w->n + 1, sizeof *w->at, &w->at));
    SKV_TRY(skv_alloc_array(at->ctx, w->n + 1, sizeof *w->since, &w->since));
    for (size_t i = 0; i < w->n; i++) {
        w->at[i] = skv_unfrozen_after(at->options, skv_trainer_param(at->trainer, i)->value);
        w->since[i] = w->at[i] > 0 ? -1 : 0;
    }
    hold(w, at->trainer);
    return SKIVE_OK;
}

static void end(skive_context *ctx, void *self) {
    thaw *w = self;
    if (w) {
        skv_free(ctx, w->at);
        skv_free(ctx, w->since);
    }
    skv_free(ctx, w);
}

static skive_status epoch(void *self, const skv_watch *watch, bool *counts, bool *stop) {
    thaw *w = self;
    size_t released = 0;
    (void)counts;
    (void)stop;
    for (size_t i = 0; i < w->n; i++) {
        if (w->since[i] >= 0 || watch->epoch < w->at[i]) continue;
        w->since[i] = skv_trainer_updates(watch->trainer);
        released++;
    }
    hold(w, watch->trainer);
    if (released)
        skv_note(skv_trainer_context(watch->trainer), "%zu more parameter%s trained after epoch %d", released,
                 released == 1 ? " is" : "s are", watch->epoch);
    return SKIVE_OK;
}

static skive_status states(void *self, skv_trainer *t, skv_states *s) {
    const thaw *w = self;
    SKV_TRY(skv_state(s, "unfreeze", "since", w->since, w->n, sizeof *w->since));
    hold(w, t);
    return SKIVE_OK;
}

const skv_callback skv_callback_unfreeze = {.name = "unfreeze",
                                            .brief = "parameters that are trained from some epoch on",
                                            .asked = asked,
                                            .check = check,
                                            .start = start,
                                            .end = end,
                                            .epoch = epoch,
                                            .states = states};
