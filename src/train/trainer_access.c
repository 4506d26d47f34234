/* What others see of a trainer: parameters, all gradients and weights, statistics, states. */
#include <string.h>

#include "exec/plan.h"
#include "tensor/tensor.h"
#include "train/trainer_inside.h"

size_t skv_trainer_param_count(const skv_trainer *t) { return t->n_params; }
skv_param *skv_trainer_param(skv_trainer *t, size_t i) { return &t->params[i]; }

skv_param *skv_trainer_find(skv_trainer *t, const char *name) {
    for (size_t i = 0; i < t->n_params; i++)
        if (strcmp(t->params[i].value->name, name) == 0) return &t->params[i];
    return NULL;
}

skive_status skv_trainer_gradients(skv_trainer *t, float **all, int64_t *n) {
    if (!t->gradients) {
        SKV_TRY(skv_alloc_array(t->ctx, (size_t)t->n_weights + 1, sizeof *t->gradients, &t->gradients));
        if (t->params[0].gradient) skv_trainer_collect(t);
    }
    *all = t->gradients;
    *n = t->n_weights;
    return SKIVE_OK;
}

void skv_trainer_get_weights(const skv_trainer *t, float *all) {
    for (size_t i = 0; i < t->n_params; all += t->params[i++].n)
        memcpy(all, t->params[i].weight, (size_t)t->params[i].n * sizeof *all);
}

skive_status skv_trainer_set_weights(skv_trainer *t, const float *all) {
    for (size_t i = 0; i < t->n_params; all += t->params[i++].n) {
        memcpy(t->params[i].weight, all, (size_t)t->params[i].n * sizeof *all);
        SKV_TRY(skv_param_show(&t->params[i]));
    }
    return SKIVE_OK;
}

static skive_status param_states(const skv_trainer *t, skv_param *p, skv_states *s) {
    SKV_TRY(skv_state(s, p->value->name, "weight", p->weight, (size_t)p->n, sizeof *p->weight));
    for (int k = 0; k < SKV_OPTIMIZER_STATES && p->state[k]; k++)
        SKV_TRY(skv_state(s, p->value->name, t->optimizer->states[k], p->state[k], (size_t)p->n, sizeof *p->state[k]));
    return skv_rules_states(p, s);
}

skive_status skv_trainer_states(skv_trainer *t, skv_states *s) {
    SKV_TRY(skv_state(s, "run", "updates", &t->updates, 1, sizeof t->updates));
    SKV_TRY(skv_state(s, "run", "runs", &t->runs, 1, sizeof t->runs));
    for (size_t i = 0; i < t->n_params; i++) {
        SKV_TRY(param_states(t, &t->params[i], s));
        SKV_TRY(skv_param_show(&t->params[i]));
    }
    for (size_t i = 0; i < t->n_stats; i++) {
        const skive_tensor *x = skv_value_tensor(t->stats[i].parameter);
        SKV_TRY(
            skv_state(s, t->stats[i].parameter->name, "state", x->data, (size_t)skive_tensor_count(x), sizeof(float)));
    }
    for (size_t i = 0; i < t->n_memories; i++) {
        const skive_tensor *x = skv_value_tensor(t->memories[i].parameter);
        const size_t n = (size_t)skive_tensor_count(x);
        SKV_TRY(skv_state(s, t->memories[i].parameter->name, "memory", x->data, n, skive_tensor_bytes(x) / n));
    }
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hooks[i].states) SKV_TRY(t->hooks[i].states(t->hooks[i].self, s));
    for (size_t i = 0; i < t->n_callbacks; i++) {
        const skv_bound_callback *c = &t->callbacks[i];
        if (c->callback->states) SKV_TRY(c->callback->states(c->self, t, s));
    }
    return SKIVE_OK;
}

const skive_plan *skv_trainer_plan(const skv_trainer *t) { return t->plan; }
skive_exec *skv_trainer_exec(skv_trainer *t) { return t->exec; }

/* ---- statistics ---- */

static int64_t count_of(const skv_stat_update *u) { return skive_tensor_count(skv_value_tensor(u->parameter)); }

int64_t skv_trainer_weights(const skv_trainer *t) { return t->n_weights; }

int64_t skv_trainer_statistics(const skv_trainer *t) {
    int64_t n = 0;
    for (size_t i = 0; i < t->n_stats; i++) n += count_of(&t->stats[i]);
    return n;
}

void skv_trainer_get_statistics(const skv_trainer *t, float *all) {
    for (size_t i = 0; i < t->n_stats; all += count_of(&t->stats[i++]))
        memcpy(all, skv_value_tensor(t->stats[i].parameter)->data, (size_t)count_of(&t->stats[i]) * sizeof *all);
}

void skv_trainer_set_statistics(skv_trainer *t, const float *all) {
    for (size_t i = 0; i < t->n_stats; all += count_of(&t->stats[i++]))
        memcpy(skv_value_tensor(t->stats[i].parameter)->data, all, (size_t)count_of(&t->stats[i]) * sizeof *all);
}

void skv_trainer_set_norms(skv_trainer *t, const float *all) {
    for (size_t i = 0; i < t->n_stats; all += count_of(&t->stats[i++])) {
        if (!skv_node_is(t->stats[i].next->producer, SKV_OP_BATCH_NORMALIZATION)) continue;
        memcpy(skv_value_tensor(t->stats[i].parameter)->data, all, (size_t)count_of(&t->stats[i]) * sizeof *all);
    }
}

/* The node gives momentum * old + (1 - momentum) * of the batch. */
void skv_trainer_batch_statistics(skv_trainer *t, float *all) {
    for (size_t i = 0; i < t->n_stats; all += count_of(&t->stats[i++])) {
        const float *old = skv_value_tensor(t->stats[i].parameter)->data;
        const float *next = skv_trainer_output(t, t->first_stat_output + i);
        const float momentum = (float)skv_attr_float(t->stats[i].next->producer, "momentum", 0.9);
        for (int64_t k = 0; k < count_of(&t->stats[i]); k++)
            all[k] = momentum < 1 ? (next[k] - momentum * old[k]) / (1 - momentum) : old[k];
    }
}

/* ---- what it runs with ---- */

skive_context *skv_trainer_context(const skv_trainer *t) { return t->ctx; }
const skive_train_options *skv_trainer_options(const skv_trainer *t) { return &t->options; }
int64_t skv_trainer_bad_row(const skv_trainer *t) { return t->bad_row; }
int64_t skv_trainer_updates(const skv_trainer *t) { return t->updates; }

const skv_bound_callback *skv_trainer_callbacks(const skv_trainer *t, size_t *n) {
    *n = t->n_callbacks;
    return t->callbacks;
}
