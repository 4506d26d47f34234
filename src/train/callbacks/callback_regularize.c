/* Runs the regularizers that the option `regularize` names, in the order of their list (regularizer.h). */
#include <math.h>
#include <string.h>

#include "train/regularizer.h"

#define SKV_KIND    regularizer
#define SKV_ARRAY   regularizers
#define SKV_RECORDS "train/regularizers.inc"
#include "base/records.h"
SKV_FAMILY(regularizer, regularizers, "regularizer")

const char *skv_unit_name(size_t i) {
    static const char *const names[] = {"channel", "weight"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

/* ---- those that a text names ---- */

typedef struct named {
    const skv_regularizer *record[SKV_COUNT(regularizers)]; /* NULL: not named */
    skv_option_values values[SKV_COUNT(regularizers)];
} named;

static skive_status parse_one(skive_context *ctx, const char *text, named *out) {
    skv_option_values values;
    size_t i;
    SKV_TRY(skv_family_pick(ctx, &skv_regularizer_family, "regularize", text, &i, &values));
    if (out->record[i])
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "regularize", "regularize names '%s' twice", regularizers[i]->name);
    out->record[i] = regularizers[i];
    out->values[i] = values;
    return SKIVE_OK;
}

static skive_status parse(skive_context *ctx, const char *text, named *out) {
    char *copy = NULL;
    *out = (named){.record = {NULL}};
    SKV_TRY(skv_strdup(ctx, text, &copy));
    skive_status status = SKIVE_OK;
    bool any = false;
    char *rest = copy;
    for (char *one; status == SKIVE_OK && (one = strsep(&rest, ";")) != NULL;)
        if (*one) {
            status = parse_one(ctx, one, out);
            any = true;
        }
    skv_free(ctx, copy);
    if (status == SKIVE_OK && !any)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "regularize", "'%s' names no regularizer", text);
    return status;
}

static bool asked(const skive_train_options *o) { return o->regularize != NULL; }

static skive_status check(skive_context *ctx, const skive_train_options *o) {
    named *n = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *n, &n));
    const skive_status status = parse(ctx, o->regularize, n);
    skv_free(ctx, n);
    return status;
}

static bool needs_length(const skive_train_options *o) {
    for (size_t i = 0; i < SKV_COUNT(regularizers); i++)
        if (regularizers[i]->needs_length && strstr(o->regularize, regularizers[i]->name)) return true;
    return false;
}

/* ---- a run ---- */

typedef struct regularization {
    skive_context *ctx;
    skv_regularizing items[SKV_COUNT(regularizers)];
    size_t n;
    skv_units channels, weights;
    skv_trainer *trainer;
    bool told, keeps_best;
} regularization;

/* What the graph computes with, where that is not what is trained. */
static skive_status show_all(regularization *g, bool on) {
    for (size_t i = 0; i < skv_trainer_param_count(g->trainer); i++)
        SKV_TRY(skv_param_show(skv_trainer_param(g->trainer, i)));
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i].record->show) g->items[i].record->show(&g->items[i], on, skv_trainer_updates(g->trainer) + 1);
    return SKIVE_OK;
}

static skive_status give_units(const skv_callback_site *at, regularization *g, skv_regularizing *r) {
    const skv_regularizer *record = r->record;
    if (record->units == SKV_UNITS_NONE) return SKIVE_OK;
    const bool channels =
        record->units == SKV_UNITS_CHANNELS || strcmp(skv_option_text(&r->values, "of"), "channel") == 0;
    skv_units *u = channels ? &g->channels : &g->weights;
    r->units = u;
    if (u->n) return SKIVE_OK;
    return channels ? skv_units_of_channels(at->ctx, at->trainer, at->model, u)
                    : skv_units_of_weights(at->ctx, at->trainer, u);
}

static skive_status start_one(const skv_callback_site *at, regularization *g, const named *n, size_t i) {
    skv_regularizing *r = &g->items[g->n++];
    *r = (skv_regularizing){.ctx = at->ctx,
                            .record = n->record[i],
                            .values = n->values[i],
                            .trainer = at->trainer,
                            .updates = at->steps / at->options->accumulate};
    if (r->record->needs_length && r->updates < 1)
        return skv_fail_at(at->ctx, SKIVE_ERR_ARGUMENT, "regularize", "%s needs a run of at least one update",
                           r->record->name);
    SKV_TRY(give_units(at, g, r));
    return r->record->start ? r->record->start(r) : SKIVE_OK;
}

static skive_status start(const skv_callback_site *at, void **self) {
    regularization *g = NULL;
    named *n = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *g, &g));
    *self = g;
    g->ctx = at->ctx;
    g->trainer = at->trainer;
    g->keeps_best = at->options->keep_best && at->validated;
    SKV_GO(status, done, skv_alloc_array(at->ctx, 1, sizeof *n, &n));
    SKV_GO(status, done, parse(at->ctx, at->options->regularize, n));
    for (size_t i = 0; i < SKV_COUNT(regularizers); i++)
        if (n->record[i]) SKV_GO(status, done, start_one(at, g, n, i));
    status = show_all(g, false);
done:
    skv_free(at->ctx, n);
    return status;
}

static void end(skive_context *ctx, void *self) {
    regularization *g = self;
    for (size_t i = 0; g && i < g->n; i++)
        if (g->items[i].record->end) g->items[i].record->end(&g->items[i]);
    if (g) {
        skv_units_free(&g->channels);
        skv_units_free(&g->weights);
    }
    skv_free(ctx, g);
}

static skive_status inspect(void *self, skv_trainer *t, skv_step *step) {
    regularization *g = self;
    (void)t;
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i].record->gradient) g->items[i].record->gradient(&g->items[i], step);
    return SKIVE_OK;
}

static skive_status applied(void *self, skv_trainer *t, const skv_step *step) {
    regularization *g = self;
    (void)t;
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i].record->applied) SKV_TRY(g->items[i].record->applied(&g->items[i], step));
    return show_all(g, false);
}

/* ---- what it came to ---- */

static bool is_zero(const skv_units *u, size_t i) {
    skv_unit_slice room;
    size_t n;
    const skv_unit_slice *s = skv_unit_slices(u, i, &room, &n);
    for (size_t k = 0; k < n; k++) SKV_EACH_ELEMENT(&s[k], e) if (s[k].param->seen[e] != 0) return false;
    return true;
}

static void tell(const regularization *g) {
    int64_t weights = 0, zero = 0;
    size_t channels = 0, scales = 0, no_scale = 0;
    for (size_t i = 0; i < skv_trainer_param_count(g->trainer); i++) {
        const skv_param *p = skv_trainer_param(g->trainer, i);
        for (int64_t k = 0; k < p->n; k++) {
            if (skv_role_decays(p->role)) weights++, zero += p->seen[k] == 0;
            if (p->role == SKV_ROLE_SCALE) scales++, no_scale += p->seen[k] == 0;
        }
    }
    for (size_t i = 0; i < g->channels.n; i++) channels += is_zero(&g->channels, i);
    skv_text t;
    skv_text_init(&t, g->ctx);
    skv_text_add(&t, "after the last epoch %.1f %% of the weights",
                 weights ? 100.0 * (double)zero / (double)weights : 0);
    if (g->channels.n) skv_text_add(&t, ", %zu of %zu removable channels", channels, g->channels.n);
    if (no_scale) skv_text_add(&t, ", %zu of %zu scales", no_scale, scales);
    skv_text_add(&t, " are exactly zero%s",
                 g->keeps_best ? "; the best epoch may be an earlier one with fewer (--no-validation keeps the last)"
                               : "");
    (void)skv_text_note_once(&t);
}

static skive_status show(void *self, const skv_watch *w, bool on) {
    regularization *g = self;
    SKV_TRY(show_all(g, on));
    if (!on || g->told || w->epoch < w->epochs) return SKIVE_OK;
    g->told = true;
    tell(g);
    return SKIVE_OK;
}

static skive_status epoch(void *self, const skv_watch *w, bool *counts, bool *stop) {
    const regularization *g = self;
    (void)stop;
    for (size_t i = 0; i < g->n; i++) {
        const skv_regularizing *r = &g->items[i];
        if (r->record->settled && !r->record->settled(r, skv_trainer_updates(w->trainer))) *counts = false;
    }
    return SKIVE_OK;
}

static skive_status states(void *self, skv_trainer *t, skv_states *s) {
    regularization *g = self;
    (void)t;
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i].record->states) SKV_TRY(g->items[i].record->states(&g->items[i], s));
    return show_all(g, false);
}

const skv_callback skv_callback_regularize = {
    .name = "regularize",
    .brief = "drives weights to zero by penalties, gates or moving masks",
    .asked = asked,
    .needs_length = needs_length,
    .check = check,
    .start = start,
    .end = end,
    .inspect = inspect,
    .applied = applied,
    .show = show,
    .epoch = epoch,
    .states = states,
};
