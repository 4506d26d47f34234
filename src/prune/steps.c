/* The steps of a schedule, of single weights and of channels alike: something goes, then what is left goes back to
 * where it was (rewinding) and is fine-tuned. At the end the same model from scratch, as a control. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "prune/prune.h"

/* Epochs of step k of n when all get the same, so that they add up. */
static int even_part(int epochs, int k, int n) { return epochs * (k + 1) / n - epochs * k / n; }

static int epochs_of(const skv_pruning *p, int k, int n) {
    const int epochs = p->o->finetune->epochs;
    if (n == 1 || p->o->last_step <= 0) return even_part(epochs, k, n);
    const int last = (int)lrint(epochs * p->o->last_step);
    return k == n - 1 ? last : even_part(epochs - last, k, n - 1);
}

/* Each step of a gradual schedule is a training run of its own, with a checkpoint of its own: FILE.1, FILE.2 ... Of a
 * run that is resumed the first must exist. */
static skive_status name_checkpoint(const skv_pruning *p, int k, int steps, char *buffer, size_t size,
                                    skive_train_options *o) {
    const char *file = o->resume ? o->resume : o->checkpoint;
    if (!file || steps == 1) return SKIVE_OK;
    const int n = snprintf(buffer, size, "%s.%d", file, k + 1);
    if (n < 0 || (size_t)n >= size)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "checkpoint", "the checkpoint's name is too long");
    o->resume = o->resume && k == 0 ? buffer : NULL;
    o->checkpoint = buffer;
    return SKIVE_OK;
}

/* ---- rewinding ---- */

static bool is_gone(const skv_pruning *p, const skive_value *v, int64_t i) {
    for (size_t k = 0; k < p->n; k++)
        if (p->layers[k].value == v) return !p->granularity->removal && !p->layers[k].keep[i];
    return false;
}

static skive_status rewind_value(const skv_pruning *p, skive_value *v) {
    const skive_value *from = skive_graph_find_value(p->rewind, v->name);
    const skive_tensor *t = from ? skv_value_tensor(from) : NULL;
    const int64_t n = skive_tensor_count(skv_value_tensor(v));
    if (!t || t->dtype != SKIVE_F32 || skive_tensor_count(t) != n)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "rewind",
                           "the model to rewind to has no parameter '%s' of this size: it must be the same network at "
                           "an earlier time",
                           v->name);
    SKV_TRY(skv_storage_make_unique(p->ctx, &v->storage));
    float *to = v->storage->tensor.data;
    for (int64_t i = 0; i < n; i++) to[i] = is_gone(p, v, i) ? 0.0f : ((const float *)t->data)[i];
    return SKIVE_OK;
}

/* What stays goes back to the numbers that it had in the other model (Frankle, Dziugaite, Roy & Carbin 2020; Renda,
 * Frankle & Carbin 2020). */
static skive_status rewind_to(const skv_pruning *p) {
    skv_role *roles = NULL;
    if (!p->rewind) return SKIVE_OK;
    SKV_TRY(skv_graph_roles(p->ctx, p->work, &roles));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < p->work->n_values && status == SKIVE_OK; i++) {
        skive_value *v = p->work->values[i];
        if (!v->storage || v->type.dtype != SKIVE_F32) continue;
        if (skv_role_is_learned(roles[i]) || skv_value_is_state(v)) status = rewind_value(p, v);
    }
    skv_free(p->ctx, roles);
    return status;
}

/* ---- the steps ---- */

static void tell_stopped(const skv_pruning *p, int k, int steps) {
    if (!p->tuned) return;
    skv_note(p->ctx, "fine-tuning was stopped in step %d of %d; the weights are those of the last finished epoch",
             k + 1, steps);
}

int skv_prune_step_count(const skv_pruning *p) {
    /* Surgery goes through the schedule within one run, whose weights it must not lose. */
    return p->schedule->one_step || p->o->surgery ? 1 : p->o->steps;
}

skive_status skv_prune_steps(skv_pruning *p, const skv_tuning *t, size_t n_rules,
                             skive_status (*shrink)(void *self, int k, int n), void *self) {
    const int n = skv_prune_step_count(p);
    for (int k = 0; k < n; k++) {
        skive_train_options o = *p->o->finetune;
        char path[4096];
        SKV_TRY(name_checkpoint(p, k, n, path, sizeof path, &o));
        SKV_TRY(shrink(self, k, n));
        o.epochs = epochs_of(p, k, n);
        if (o.epochs < 1) continue;
        SKV_TRY(rewind_to(p));
        const skive_status status = skv_prune_tune(p, t, &o, n_rules);
        p->tuned = p->tuned || p->report.training.n_epochs > 0;
        if (status == SKIVE_ERR_INTERRUPTED) tell_stopped(p, k, n);
        SKV_TRY(status);
    }
    return SKIVE_OK;
}

/* ---- the control ---- */

skive_status skv_prune_scratch(skv_pruning *p, const skv_tuning *t) {
    const skive_train_options from_scratch = skive_train_options_default(), tuning = skive_prune_finetune_default();
    skive_train_options o = *p->o->finetune;
    skive_graph *fresh = NULL;
    skv_rule_use *rules = NULL;
    skive_status status;
    if (p->o->scratch_control < 1) return SKIVE_OK;
    o.epochs = p->o->scratch_control;
    o.checkpoint = o.checkpoint_every = o.resume = o.log = o.tensorboard = o.regularize = NULL;
    if (o.learning_rate == tuning.learning_rate && o.warmup_epochs == tuning.warmup_epochs) {
        o.learning_rate = from_scratch.learning_rate;
        o.warmup_epochs = from_scratch.warmup_epochs;
    }
    SKV_GO(status, done, skive_graph_copy(p->ctx, p->work, &fresh));
    SKV_GO(status, done, skv_params_renew(fresh, o.seed));
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->n + 1, sizeof *rules, &rules));
    const size_t n_rules = p->granularity->removal ? 0 : p->n;
    for (size_t i = 0; i < n_rules; i++)
        rules[i] = (skv_rule_use){skv_rule_find("mask"), p->masks[i].parameter, &p->masks[i], NULL};
    const skv_fit fit = {.model = fresh,
                         .train = t->train,
                         .validation = t->validation,
                         .options = &o,
                         .objective = &skv_objective_labels,
                         .rules = rules,
                         .n_rules = n_rules,
                         .what = "scratch"};
    status = skv_fit_run(p->ctx, &fit, &p->report.scratch);
done:
    skv_free(p->ctx, rules);
    skive_graph_free(fresh);
    return status;
}
