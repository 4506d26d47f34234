/* See trainer.h. The plan holds the training graph with its gradients; parameters are what rules and the optimizer
 * change. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

#include "data/feed.h"
#include "exec/plan.h"
#include "tensor/tensor.h"
#include "train/trainer_inside.h"

void skv_trainer_free(skv_trainer *t) {
    if (!t) return;
    skv_callbacks_end(t->ctx, t->callbacks, t->n_callbacks);
    for (size_t i = 0; i < t->n_params; i++) {
        for (int k = 0; k < SKV_OPTIMIZER_STATES; k++) skv_free(t->ctx, t->params[i].state[k]);
        skv_rules_unbind(t->ctx, &t->params[i]);
    }
    skive_exec_free(t->exec);
    skive_plan_free(t->plan);
    skv_free(t->ctx, t->params);
    skv_free(t->ctx, t->gradients);
    skv_free(t->ctx, t->hooks);
    skv_free(t->ctx, t->stats);
    skv_free(t->ctx, t->memories);
    skive_graph_free(t->graph);
    skv_free(t->ctx, t);
}

/* ---- parameters ---- */

/* Decay would pull biases, scales and shifts to zero without making the model simpler. A parameter that the caller
 * trains though its role is none of these is a weight when it has several axes. */
static bool is_weight(const skive_value *v, skv_role role) {
    return skv_role_is_learned(role) ? skv_role_decays(role) : v->type.rank > 1;
}

static double decay_of(const skive_train_options *o, const skive_value *v, skv_role role) {
    return o->decay_all || is_weight(v, role) ? o->weight_decay : 0;
}

static skive_status add_param(skv_trainer *t, const skv_trainer_setup *s, skive_value *v, skv_role role) {
    const skive_tensor *data = skv_value_tensor(v);
    if (!data || data->dtype != SKIVE_F32) {
        return skv_fail_at(t->ctx, SKIVE_ERR_UNSUPPORTED, v->name,
                           "parameter '%s' is not float32 and cannot be trained", v->name);
    }
    skv_param *p = &t->params[t->n_params++];
    *p = (skv_param){.value = v,
                     .role = role,
                     .n = skive_tensor_count(data),
                     .seen = data->data,
                     .weight = data->data,
                     .rate = 1,
                     .decay = decay_of(&t->options, v, role),
                     .adapts = is_weight(v, role),
                     .reached = true};
    t->n_weights += p->n;
    for (int i = 0; i < SKV_OPTIMIZER_STATES && t->optimizer->states[i]; i++)
        SKV_TRY(skv_alloc_array(t->ctx, (size_t)p->n, sizeof(float), &p->state[i]));
    return skv_rules_bind(t->ctx, &t->options, s->rules, s->n_rules, p);
}

static skive_status add_params(skv_trainer *t, const skv_trainer_setup *s) {
    const skive_graph *g = t->graph;
    const uint32_t n_values = g->n_values;
    skv_role *roles = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < n_values; i++) n += g->values[i] && g->values[i]->trainable;
    if (n == 0) return SKV_FAIL(t->ctx, SKIVE_ERR_ARGUMENT, "the model has no trainable parameters");
    SKV_TRY(skv_rules_check(g, s->rules, s->n_rules));
    SKV_TRY(skv_alloc_array(t->ctx, n, sizeof *t->params, &t->params));
    SKV_TRY(skv_graph_roles(t->ctx, g, &roles));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n_values && status == SKIVE_OK; i++) {
        if (g->values[i] && g->values[i]->trainable) status = add_param(t, s, g->values[i], roles[i]);
    }
    skv_free(t->ctx, roles);
    return status;
}

/* Parameters that only another output reads, such as those of an auxiliary head, have no gradient; decay would wear
 * them away. */
static skive_status spare_unreached(skv_trainer *t, const skv_trainer_setup *s) {
    const skive_graph *g = s->graph;
    const char *first = NULL;
    size_t spared = 0;
    bool *leads = NULL;
    skive_node **order = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(t->ctx, (size_t)g->n_values + 1, sizeof *leads, &leads));
    SKV_GO(status, done, skv_graph_topo(g, &order));
    leads[s->loss->id] = true;
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        bool any = false;
        for (uint32_t k = 0; k < order[i]->n_outputs; k++)
            any = any || (order[i]->outputs[k] && leads[order[i]->outputs[k]->id]);
        for (uint32_t k = 0; any && k < order[i]->n_inputs; k++) {
            if (order[i]->inputs[k]) leads[order[i]->inputs[k]->id] = true;
        }
    }
    for (size_t i = 0; i < t->n_params; i++) {
        skv_param *p = &t->params[i];
        p->reached = leads[p->value->id];
        if (p->reached) continue;
        p->decay = 0;
        if (!first) first = p->value->name;
        spared++;
    }
    if (spared)
        skv_note(t->ctx, "%zu parameter%s that the output in use does not depend on stay%s unchanged: '%s'%s", spared,
                 spared == 1 ? "" : "s", spared == 1 ? "s" : "", first, spared == 1 ? "" : " ...");
done:
    skv_free(t->ctx, order);
    skv_free(t->ctx, leads);
    return status;
}

/* ---- the plan ---- */

/* Outputs of the training graph: loss, logits, gradients, statistics. */
static skive_status set_outputs(skv_trainer *t, const skv_trainer_setup *s) {
    skive_graph *g = t->graph;
    skive_value **wrt = NULL, **gradients = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(t->ctx, t->n_params, sizeof *wrt, &wrt));
    SKV_GO(status, done, skv_alloc_array(t->ctx, t->n_params, sizeof *gradients, &gradients));
    for (size_t i = 0; i < t->n_params; i++) wrt[i] = t->params[i].value;
    SKV_GO(status, done, skive_autodiff(g, s->loss, wrt, t->n_params, gradients));
    while (g->n_outputs) SKV_GO(status, done, skv_graph_remove_output(g, g->n_outputs - 1));
    SKV_GO(status, done, skive_graph_add_output(g, s->loss));
    SKV_GO(status, done, skive_graph_add_output(g, s->logits));
    for (size_t i = 0; i < t->n_params; i++) {
        t->params[i].output = g->n_outputs;
        SKV_GO(status, done, skive_graph_add_output(g, gradients[i]));
    }
    t->first_stat_output = g->n_outputs;
    for (size_t i = 0; i < s->n_updates; i++) {
        s->updates[i].parameter->state = true;
        SKV_GO(status, done, skive_graph_add_output(g, s->updates[i].next));
    }
    for (size_t i = 0; i < s->n_memories; i++) {
        s->memories[i].parameter->state = true;
        SKV_GO(status, done, skive_graph_add_output(g, s->memories[i].next));
    }
done:
    skv_free(t->ctx, wrt);
    skv_free(t->ctx, gradients);
    return status;
}

static void tell_recomputation(const skv_trainer *t) {
    const skive_recomputation r = skive_plan_recomputation(t->plan);
    const double mib = 1 << 20;
    int64_t macs = 0;
    if (t->options.recompute && !r.segments)
        skv_note(t->ctx, "recomputing activations would save nothing here: a step needs %.1f MiB for its values",
                 (double)skive_plan_arena_bytes(t->plan) / mib);
    if (!r.segments) return;
    for (uint32_t i = 0; i < t->plan->n_steps; i++) macs = skv_add_sat(macs, t->plan->steps[i].macs);
    skv_note(t->ctx,
             "activations of %zu of %zu segments are computed again for the gradients%s: a step needs %.1f MiB for its "
             "values instead of %.1f MiB, and %.1f M multiply-adds more (%.0f %%)",
             r.segments - 1, r.segments, t->options.recompute ? "" : ", since the memory limit is too small otherwise",
             (double)r.bytes / mib, (double)r.bytes_before / mib, (double)r.macs / 1e6,
             macs > r.macs ? 100.0 * (double)r.macs / (double)(macs - r.macs) : 0);
}

static size_t input_index(const skive_graph *g, const skive_value *v) {
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        if (g->inputs[i] == v) return i;
    }
    return 0;
}

static skive_status copy_list(skive_context *ctx, const void *from, size_t n, size_t size, void *to) {
    SKV_TRY(skv_alloc_array(ctx, n + 1, size, to));
    if (n) memcpy(*(void **)to, from, n * size);
    return SKIVE_OK;
}

/* What a step runs. */
static skive_status make_plan(skv_trainer *t, const skv_trainer_setup *s) {
    skive_graph *g = s->graph;
    SKV_TRY(copy_list(t->ctx, s->updates, s->n_updates, sizeof *t->stats, &t->stats));
    t->n_stats = s->n_updates;
    SKV_TRY(copy_list(t->ctx, s->memories, s->n_memories, sizeof *t->memories, &t->memories));
    t->n_memories = s->n_memories;
    t->input_index = input_index(g, s->input);
    t->labels_index = input_index(g, s->labels);
    t->shares = s->shares;
    t->labelled = s->shares || s->labels->type.dtype == SKIVE_I64;
    t->classes = s->logits->type.rank == 2 ? s->logits->type.dims[1].size : 0;
    SKV_TRY(set_outputs(t, s));
    skive_plan_options o = skive_plan_options_default();
    o.batch = s->batch;
    o.training = true;
    o.recompute = t->options.recompute;
    o.may_recompute = true;
    o.reserve = s->reserve;
    SKV_TRY(skive_plan_create(t->ctx, g, &o, &t->plan));
    tell_recomputation(t);
    return skive_exec_create(t->ctx, t->plan, &t->exec);
}

static skive_status set_up(skv_trainer *t, const skv_trainer_setup *s) {
    SKV_TRY(skv_optimizer_pick(t->ctx, t->options.optimizer, &t->optimizer, &t->optimizer_values));
    SKV_TRY(add_params(t, s));
    SKV_TRY(spare_unreached(t, s));
    SKV_TRY(copy_list(t->ctx, s->hooks, s->n_hooks, sizeof *t->hooks, &t->hooks));
    t->n_hooks = s->n_hooks;
    SKV_TRY(make_plan(t, s));
    const skv_callback_site at = {.ctx = t->ctx,
                                  .options = &t->options,
                                  .trainer = t,
                                  .validated = s->validated,
                                  .model = s->model,
                                  .steps = s->steps};
    return skv_callbacks_start(&at, &t->callbacks, &t->n_callbacks);
}

skive_status skv_trainer_create(skive_context *ctx, const skv_trainer_setup *s, skv_trainer **out) {
    skv_trainer *t = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *t, &t));
    t->ctx = ctx;
    t->graph = s->graph;
    t->options = *s->options;
    t->batch = s->batch;
    t->bad_row = -1;
    const skive_status status = set_up(t, s);
    if (status != SKIVE_OK) {
        t->graph = NULL; /* still the caller's */
        skv_trainer_free(t);
        return status;
    }
    *out = t;
    return SKIVE_OK;
}

/* The parameters of the new graph stand on the same numbers. */
static skive_status move_params(skv_trainer *t, const skive_graph *g) {
    for (size_t i = 0; i < t->n_params; i++) {
        skv_param *p = &t->params[i];
        skive_value *twin = skive_graph_find_value(g, p->value->name);
        const skive_tensor *data = twin ? skv_value_tensor(twin) : NULL;
        if (!data || data->data != (void *)p->seen)
            return skv_fail_at(t->ctx, SKIVE_ERR_GRAPH, p->value->name,
                               "the parameter '%s' is another one in the next stage of the run", p->value->name);
        p->value = twin;
    }
    return SKIVE_OK;
}

skive_status skv_trainer_change(skv_trainer *t, const skv_trainer_setup *s) {
    skive_graph *before = t->graph;
    SKV_TRY(move_params(t, s->graph));
    skive_exec_free(t->exec);
    skive_plan_free(t->plan);
    skv_free(t->ctx, t->stats);
    skv_free(t->ctx, t->memories);
    t->exec = NULL;
    t->plan = NULL;
    t->stats = NULL;
    t->memories = NULL;
    t->n_stats = t->n_memories = 0;
    t->graph = s->graph;
    skive_graph_free(before);
    return make_plan(t, s);
}

/* ---- what goes in ---- */

void skv_trainer_inputs(skv_trainer *t, float **x, void **labels) {
    skive_tensor view;
    if (skive_exec_input(t->exec, t->input_index, &view) == SKIVE_OK) *x = view.data;
    if (skive_exec_input(t->exec, t->labels_index, &view) == SKIVE_OK) *labels = view.data;
}

skive_status skv_trainer_feed(skv_trainer *t, const char *input, const skive_tensor *from) {
    const skive_graph *g = t->plan->graph;
    uint32_t i = 0;
    while (i < g->n_inputs && strcmp(g->inputs[i]->name, input) != 0) i++;
    if (i == g->n_inputs)
        return skv_fail_at(t->ctx, SKIVE_ERR_NOT_FOUND, input, "the training graph has no input '%s'", input);
    skive_tensor to;
    SKV_TRY(skive_exec_input(t->exec, i, &to));
    if (from->rank > 0 && to.rank > 0 && from->dims[0] != to.dims[0]) {
        return skv_fail_at(t->ctx, SKIVE_ERR_DATA, input, "a batch has %lld samples, but '%s' takes %lld",
                           (long long)from->dims[0], input, (long long)to.dims[0]);
    }
    if (from->rank > 0 || to.rank > 0 || from->dtype != to.dtype) return skv_feed_copy(t->ctx, input, from, &to);
    memcpy(to.data, from->data, skive_tensor_bytes(from));
    return SKIVE_OK;
}

/* ---- a step ---- */

float *skv_trainer_output(skv_trainer *t, size_t i) {
    skive_tensor view;
    return skive_exec_output(t->exec, i, &view) == SKIVE_OK ? view.data : NULL;
}

static int64_t largest(const float *row, int64_t n) {
    int64_t best = 0;
    for (int64_t c = 1; c < n; c++) best = row[c] > row[best] ? c : best;
    return best;
}

/* Of a mixed sample the class that it has most of counts as its own. */
static int64_t count_correct(skv_trainer *t) {
    if (!t->labelled || t->classes < 1) return 0;
    skive_tensor labels;
    if (skive_exec_input(t->exec, t->labels_index, &labels) != SKIVE_OK) return 0;
    const float *scores = skv_trainer_output(t, 1), *shares = t->shares ? labels.data : NULL;
    const int64_t *y = labels.data;
    int64_t right = 0;
    for (int64_t i = 0; i < t->batch; i++)
        right += largest(scores + i * t->classes, t->classes) == (shares ? largest(shares + i * t->classes, t->classes)
                                                                  : y    ? y[i]
                                                                         : -1);
    return right;
}

/* Where the first number that is not finite comes from, as the end of a message. *impossible: from a sequence of labels
 * that has no place in its steps, whatever the scores. */
static void describe_bad(skv_trainer *t, skv_text *out, bool *impossible) {
    skv_not_finite bad;
    *impossible = false;
    skv_exec_set_step(t->exec, (uint64_t)t->runs - 1);
    if (skv_exec_find_not_finite(t->exec, &bad) != SKIVE_OK || !bad.value) return;
    *impossible = !bad.nan && skv_node_is(bad.node, SKV_OP_CTC_LOSS);
    const char *what = bad.nan ? "number that is none" : "infinite number";
    if (bad.node)
        skv_text_add(out, "; the first %s is in '%s', computed by node '%s' (%s)", what, bad.value->name,
                     bad.node->name, bad.node->op_type);
    else if (bad.value->storage)
        skv_text_add(out, "; the first %s is in the parameter '%s'%s", what, bad.value->name,
                     t->updates && bad.value->trainable ? ", by the update of the step before" : "");
    else
        skv_text_add(out, "; the first %s is in the input '%s'", what, bad.value->name);
    t->bad_row = -1;
    if (bad.value->storage || bad.value->type.rank < 1 || bad.value->type.dims[0].size != t->batch) return;
    t->bad_row = bad.row;
    skv_text_add(out, ", sample %lld of the batch", (long long)bad.row + 1);
}

static skive_status check_loss(skv_trainer *t, const skv_step *step) {
    if (isfinite(step->loss)) return SKIVE_OK;
    const char *number = isnan(step->loss) ? "not a number" : "infinite";
    bool impossible;
    skv_text where;
    skv_text_init(&where, t->ctx);
    describe_bad(t, &where, &impossible);
    const char *text = where.data ? where.data : "";
    if (impossible)
        (void)SKV_FAIL(t->ctx, SKIVE_ERR_NUMERIC,
                       "the loss is infinite, since a sample has fewer steps than its labels need (one for each, and "
                       "one more between two equal ones); correct its labels or its length, or leave such samples out "
                       "with the loss ctc:impossible=skip%s",
                       text);
    else if (t->updates == 0)
        (void)SKV_FAIL(
            t->ctx, SKIVE_ERR_NUMERIC,
            "the loss is %s at the first step, before any training; look for such numbers in the data and the "
            "model's weights%s",
            number, text);
    else
        (void)SKV_FAIL(t->ctx, SKIVE_ERR_NUMERIC,
                       "the loss became %s at step %lld; lower the learning rate (it was %g)%s", number,
                       (long long)t->updates + 1, step->rate, text);
    skv_text_free(&where);
    return SKIVE_ERR_NUMERIC;
}

void skv_trainer_collect(skv_trainer *t) {
    int64_t at = 0;
    for (size_t i = 0; i < t->n_params; i++) {
        skv_param *p = &t->params[i];
        p->gradient = skv_trainer_output(t, p->output);
        if (!t->gradients) continue;
        memcpy(t->gradients + at, p->gradient, (size_t)p->n * sizeof *p->gradient);
        p->gradient = t->gradients + at;
        at += p->n;
    }
}

skive_status skv_trainer_forward_backward(skv_trainer *t, double rate, skv_step *step) {
    *step = (skv_step){.number = t->updates + 1, .rate = rate, .threads = skv_threads(t->ctx), .options = &t->options};
    for (int g = 0; g < SKV_CLIP_GROUPS; g++) step->scale[g] = 1;
    skv_exec_set_step(t->exec, (uint64_t)t->runs);
    SKV_TRY(skive_exec_run(t->exec));
    t->runs++;
    step->loss = (double)skv_trainer_output(t, 0)[0];
    SKV_TRY(check_loss(t, step));
    skv_trainer_collect(t);
    return SKIVE_OK;
}

skive_status skv_trainer_reduce(skv_trainer *t, skv_step *step) {
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hooks[i].reduce) SKV_TRY(t->hooks[i].reduce(t->hooks[i].self, t, step));
    for (size_t i = 0; i < t->n_callbacks; i++) {
        const skv_bound_callback *c = &t->callbacks[i];
        if (c->callback->reduce) SKV_TRY(c->callback->reduce(c->self, t, step));
    }
    return SKIVE_OK;
}

skive_status skv_trainer_inspect(skv_trainer *t, skv_step *step) {
    if (step->hold) return SKIVE_OK;
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hooks[i].inspect) SKV_TRY(t->hooks[i].inspect(t->hooks[i].self, t, step));
    for (size_t i = 0; i < t->n_callbacks; i++) {
        const skv_bound_callback *c = &t->callbacks[i];
        if (c->callback->inspect) SKV_TRY(c->callback->inspect(c->self, t, step));
    }
    return SKIVE_OK;
}

static skive_status update(const skv_trainer *t, skv_param *p, const skv_step *step) {
    skv_update u = {.weight = p->weight,
                    .gradient = p->gradient,
                    .n = p->n,
                    .rate = step->rate * p->rate,
                    .decay = p->decay,
                    .gradient_scale = step->scale[p->clip_group],
                    .step = step->number - p->since,
                    .adapts = p->adapts,
                    .options = &t->options,
                    .values = &t->optimizer_values,
                    .threads = step->threads};
    for (int k = 0; k < SKV_OPTIMIZER_STATES; k++) u.state[k] = p->state[k];
    skv_rules_before(p, step);
    t->optimizer->update(&u);
    return skv_rules_after(p, step);
}

skive_status skv_trainer_apply(skv_trainer *t, skv_step *step) {
    for (size_t i = 0; i < t->n_stats; i++) {
        const skive_tensor *to = skv_value_tensor(t->stats[i].parameter);
        memcpy(to->data, skv_trainer_output(t, t->first_stat_output + i), skive_tensor_bytes(to));
    }
    for (size_t i = 0; i < t->n_memories; i++) {
        const skive_tensor *to = skv_value_tensor(t->memories[i].parameter);
        memcpy(to->data, skv_trainer_output(t, t->first_stat_output + t->n_stats + i), skive_tensor_bytes(to));
    }
    if (step->hold) return SKIVE_OK;
    t->updates++;
    for (size_t i = 0; i < t->n_params; i++)
        if (!t->params[i].held) SKV_TRY(update(t, &t->params[i], step));
    for (size_t i = 0; i < t->n_callbacks; i++) {
        const skv_bound_callback *c = &t->callbacks[i];
        if (c->callback->applied) SKV_TRY(c->callback->applied(c->self, t, step));
    }
    return SKIVE_OK;
}

skive_status skv_trainer_step(skv_trainer *t, double rate, double *loss, int64_t *correct) {
    skv_step step;
    SKV_TRY(skv_trainer_forward_backward(t, rate, &step));
    *loss = step.loss;
    if (correct) *correct = count_correct(t);
    SKV_TRY(skv_trainer_reduce(t, &step));
    SKV_TRY(skv_trainer_inspect(t, &step));
    return skv_trainer_apply(t, &step);
}
