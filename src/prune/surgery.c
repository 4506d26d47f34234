/* Dynamic network surgery (Guo, Yao & Chen 2016): all weights are trained, the masked ones by the gradient at their
 * place, and the mask is chosen anew from them ever less often, so that what was cut by mistake returns. Here each
 * choice has the exact sparsity of the schedule, and the two thresholds of the paper lie to both sides of the one that
 * gives it. */
#include <math.h>

#include "prune/prune.h"

/* The paper chooses anew at step s with probability 1 / (1 + gamma s). The sum of that, log(1 + gamma s) / gamma, is
 * how often it happens by step s; choosing whenever it passes a whole number does the same without chance. */
static double choices_by(double steps) {
    const double gamma = 0.01;
    return floor(log1p(gamma * steps) / gamma);
}

static int levels_of(const skv_pruning *p) { return p->schedule->one_step ? 1 : p->o->steps; }

/* The schedule's place: it grows in as many steps as fine-tuning in steps would take. */
static double place(const skv_pruning *p, double progress) {
    const double n = levels_of(p);
    return progress < 1 ? fmin(n, floor(progress * n) + 1) / n : 1;
}

double skv_surgery_start(const skv_pruning *p) { return place(p, 0); }

static bool is_due(const skv_pruning *p, int64_t steps_done, double rest) {
    const double now = (double)steps_done, before = now - 1;
    if (before >= rest) return false;
    return now >= rest || place(p, now / rest) > place(p, before / rest) || choices_by(now) > choices_by(before);
}

/* The step, counted from the start of the run, from which on masks rest. */
static double rest_of(const skv_surgery *s, const skv_watch *w) {
    return s->pruning->o->surgery_until * (double)w->epochs * (double)w->batches;
}

static skive_status move(void *self, const skv_watch *w) {
    skv_surgery *s = self;
    skv_pruning *p = s->pruning;
    const double rest = rest_of(s, w);
    if (!is_due(p, w->steps, rest)) return SKIVE_OK;
    for (size_t i = 0; i < p->n; i++) p->layers[i].weight = s->masks[i].param->weight;
    SKV_TRY(skv_prune_choose(p, place(p, (double)w->steps / rest), SKV_SURGERY_MARGIN));
    for (size_t i = 0; i < p->n; i++) SKV_TRY(skv_param_show(s->masks[i].param));
    return SKIVE_OK;
}

/* While masks move, an epoch's figures are not those of the model that will be. */
static skive_status counts(void *self, const skv_watch *w, bool *may_be_best, bool *stop) {
    (void)stop;
    if ((double)w->steps < rest_of(self, w)) *may_be_best = false;
    return SKIVE_OK;
}

skv_watcher skv_surgery_watcher(skv_surgery *s) {
    return (skv_watcher){.name = "surgery", .needs_length = true, .step = move, .epoch = counts, .self = s};
}

void skv_surgery_settings(const skv_pruning *p, skv_text *out) {
    const skive_prune_options *o = p->o;
    uint64_t own = 1;
    for (size_t i = 0; i < p->n; i++) {
        const double sparsity = p->layers[i].own ? *p->layers[i].own : -1;
        own = skv_hash64(&sparsity, sizeof sparsity, own);
    }
    /* The soft labels are part of the objective; steps are told as they are. */
    static const char *const without[] = {"distill-alpha", "temperature", "last-step", "steps", NULL};
    skv_text criterion;
    skv_text_init(&criterion, p->ctx);
    skv_options_format(&p->criterion_options, true, &criterion);
    skv_settings_table(out, &skv_prune_table, o, without);
    skv_settings_text(out, "options of the criterion", criterion.data);
    if (criterion.status != SKIVE_OK) out->status = criterion.status;
    skv_text_free(&criterion);
    skv_settings_number(out, "steps (--steps)", levels_of(p));
    skv_settings_number(out, "margin of surgery", SKV_SURGERY_MARGIN);
    skv_settings_hash(out, "set of layers with a sparsity of their own (--layer)", own);
}
