/* One training problem, a step at a time: the gradient graph in a plan of its own, the optimizer's state, the masks. */
#include <math.h>
#include <string.h>

#include "data/feed.h"
#include "exec/plan.h"
#include "graph/shared.h"
#include "ops/matrix/common_hashed.h"
#include "tensor/tensor.h"
#include "train/train.h"

typedef struct trained {
    skive_value *value;
    skv_update update;
    uint8_t *held; /* a mask of our own, when the caller has none for it */
    size_t output; /* of the plan: its gradient */
} trained;

struct skv_trainer {
    skive_context *ctx;
    skive_graph *graph;
    skive_train_options options;
    const skv_optimizer *optimizer;
    skive_plan *plan;
    skive_exec *exec;
    trained *params;
    size_t n_params;
    skv_live_mask *live;
    size_t n_live;
    skv_stat_update *stats;
    size_t n_stats, first_stat_output;
    size_t input_index, labels_index;
    int64_t batch, classes, step;
    bool labelled;
};

void skv_trainer_free(skv_trainer *t) {
    if (!t) return;
    for (size_t i = 0; i < t->n_params; i++) {
        skv_free(t->ctx, t->params[i].update.state[0]);
        skv_free(t->ctx, t->params[i].update.state[1]);
        skv_free(t->ctx, t->params[i].held);
    }
    for (size_t i = 0; i < t->n_live; i++) {
        skv_free(t->ctx, t->live[i].dense);
        skv_free(t->ctx, t->live[i].keep);
    }
    skive_exec_free(t->exec);
    skive_plan_free(t->plan);
    skv_free(t->ctx, t->live);
    skv_free(t->ctx, t->params);
    skv_free(t->ctx, t->stats);
    skive_graph_free(t->graph);
    skv_free(t->ctx, t);
}

static skive_status count_params(skv_trainer *t) {
    size_t n = 0;
    for (uint32_t i = 0; i < t->graph->n_values; i++) n += t->graph->values[i] && t->graph->values[i]->trainable;
    if (n == 0) return SKV_FAIL(t->ctx, SKIVE_ERR_ARGUMENT, "the model has no trainable parameters");
    return skv_alloc_array(t->ctx, n, sizeof *t->params, &t->params);
}

static const skive_mask *mask_of(const skv_trainer_setup *s, const skive_value *v) {
    for (size_t i = 0; i < s->n_masks; i++) {
        if (strcmp(s->masks[i].parameter, v->name) == 0) return &s->masks[i];
    }
    return NULL;
}

/* Weights for which each of the values stands, when they are those of a hashed layer; otherwise 0. */
static double hashed_weights_of(const skive_value *v, int64_t n) {
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const skive_node *node = v->uses[i].node;
        if (v->uses[i].index != 1 || !skv_node_is(node, "HashedGemm")) continue;
        const skv_hashed h = skv_hashed_of(node, n);
        return (double)h.rows * (double)h.columns / (double)n;
    }
    return 0;
}

/* Decay would pull biases, scales and shifts to zero without making the model simpler. A value of a hashed layer is
 * many weights, all of which are pulled; an entry of a codebook is where its weights are. A parameter that the caller
 * trains though its role is none of these is a weight when it has several axes. */
static double decay_of(const skive_train_options *o, const skive_value *v, skv_role role, int64_t n) {
    const double hashed = hashed_weights_of(v, n);
    if (hashed > 0) return o->weight_decay * hashed;
    if (o->decay_all) return o->weight_decay;
    if (skv_shared_weight_of(v)) return 0;
    const bool decays = skv_role_is_learned(role) ? skv_role_decays(role) : v->type.rank > 1;
    return decays ? o->weight_decay : 0;
}

/* The optimizer works on the dense parameter, as if there were no mask. */
static skive_status add_live_mask(skv_trainer *t, skv_live_mask *live, const skive_mask *mask, skv_update *u) {
    live->count = u->n;
    live->seen = u->weight;
    SKV_TRY(skv_alloc_array(t->ctx, (size_t)u->n, sizeof *live->dense, &live->dense));
    SKV_TRY(skv_alloc_array(t->ctx, (size_t)u->n, 1, &live->keep));
    memcpy(live->dense, u->weight, (size_t)u->n * sizeof *live->dense);
    memcpy(live->keep, mask->keep, (size_t)u->n);
    u->weight = live->dense;
    u->keep = NULL;
    return SKIVE_OK;
}

static void show(const skv_live_mask *live) {
    for (int64_t i = 0; i < live->count; i++) live->seen[i] = live->keep[i] ? live->dense[i] : 0.0f;
}

/* Zeros that stay: those of pruned parameters, and those of a codebook. Pruned weights that share values have zero as
 * an entry; if it moved, all of them would come back. */
static skive_status hold_zeros(skv_trainer *t, trained *p, skv_role role) {
    const float *x = p->update.weight;
    const uint8_t *keep = p->update.keep;
    bool any = false;
    if (!skv_shared_weight_of(p->value) && !skv_keeps_zeros(&t->options, p->value, role)) return SKIVE_OK;
    for (int64_t i = 0; i < p->update.n; i++) any = any || x[i] == 0;
    if (!any) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(t->ctx, (size_t)p->update.n, 1, &p->held));
    for (int64_t i = 0; i < p->update.n; i++) p->held[i] = x[i] != 0 && (!keep || keep[i]);
    p->update.keep = p->held;
    return SKIVE_OK;
}

static skive_status add_param(skv_trainer *t, const skv_trainer_setup *s, skive_value *v, skv_role role) {
    const skive_tensor *data = skv_value_tensor(v);
    const int64_t n = data ? skive_tensor_count(data) : 0;
    const skive_mask *mask = mask_of(s, v);
    if (!data || data->dtype != SKIVE_F32) {
        return skv_fail_at(t->ctx, SKIVE_ERR_UNSUPPORTED, v->name,
                           "parameter '%s' is not float32 and cannot be trained", v->name);
    }
    if (mask && mask->count != n) {
        return skv_fail_at(t->ctx, SKIVE_ERR_ARGUMENT, v->name,
                           "the mask of '%s' has %lld elements, but the parameter has %lld", v->name,
                           (long long)mask->count, (long long)n);
    }
    trained *p = &t->params[t->n_params++];
    p->value = v;
    p->update = (skv_update){.weight = data->data,
                             .keep = mask ? mask->keep : NULL,
                             .n = n,
                             .decay = decay_of(&t->options, v, role, n),
                             .options = &t->options,
                             .threads = skv_threads(t->ctx)};
    for (int i = 0; i < t->optimizer->states; i++) {
        SKV_TRY(skv_alloc_array(t->ctx, (size_t)n, sizeof(float), &p->update.state[i]));
    }
    if (mask && s->live_masks) {
        skv_live_mask *live = &t->live[mask - s->masks];
        SKV_TRY(add_live_mask(t, live, mask, &p->update));
        show(live);
    }
    SKV_TRY(hold_zeros(t, p, role));
    for (int64_t i = 0; mask && !s->live_masks && i < n; i++) {
        if (!mask->keep[i]) p->update.weight[i] = 0.0f;
    }
    return SKIVE_OK;
}

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
    for (size_t i = 0; i < s->n_updates; i++) SKV_GO(status, done, skive_graph_add_output(g, s->updates[i].next));
done:
    skv_free(t->ctx, wrt);
    skv_free(t->ctx, gradients);
    return status;
}

static size_t input_index(const skive_graph *g, const skive_value *v) {
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        if (g->inputs[i] == v) return i;
    }
    return 0;
}

/* A mask that nothing heeds would let pruned weights grow back unseen. */
static skive_status check_masks(const skv_trainer *t, const skv_trainer_setup *s) {
    for (size_t i = 0; i < s->n_masks; i++) {
        const skive_value *v = skive_graph_find_value(t->graph, s->masks[i].parameter);
        if (v && v->storage && (v->trainable || !s->live_masks)) continue;
        if (v && v->storage) {
            return skv_fail_at(t->ctx, SKIVE_ERR_ARGUMENT, v->name,
                               "the mask of '%s' cannot change, because the parameter is not trained; exclude it",
                               v->name);
        }
        return skv_fail_at(t->ctx, SKIVE_ERR_ARGUMENT, s->masks[i].parameter,
                           "there is a mask for '%s', which is not a parameter of the model", s->masks[i].parameter);
    }
    return SKIVE_OK;
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
        if (leads[t->params[i].value->id]) continue;
        t->params[i].update.decay = 0;
        if (!first) first = t->params[i].value->name;
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

static skive_status set_up(skv_trainer *t, const skv_trainer_setup *s) {
    skive_graph *g = s->graph;
    const uint32_t n_values = g->n_values;
    SKV_TRY(count_params(t));
    SKV_TRY(check_masks(t, s));
    if (s->live_masks) {
        SKV_TRY(skv_alloc_array(t->ctx, s->n_masks, sizeof *t->live, &t->live));
        t->n_live = s->n_masks;
    }
    skv_role *roles = NULL;
    SKV_TRY(skv_graph_roles(t->ctx, g, &roles));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n_values && status == SKIVE_OK; i++) {
        if (g->values[i] && g->values[i]->trainable) status = add_param(t, s, g->values[i], roles[i]);
    }
    skv_free(t->ctx, roles);
    SKV_TRY(status);
    SKV_TRY(spare_unreached(t, s));
    SKV_TRY(skv_alloc_array(t->ctx, s->n_updates + 1, sizeof *t->stats, &t->stats));
    t->n_stats = s->n_updates;
    if (s->n_updates) memcpy(t->stats, s->updates, s->n_updates * sizeof *t->stats);
    t->input_index = input_index(g, s->input);
    t->labels_index = input_index(g, s->labels);
    t->labelled = s->labels->type.dtype == SKIVE_I64;
    t->classes = s->logits->type.rank == 2 ? s->logits->type.dims[1].size : 0;
    SKV_TRY(set_outputs(t, s));
    skive_plan_options o = skive_plan_options_default();
    o.batch = s->batch;
    o.training = true;
    SKV_TRY(skive_plan_create(t->ctx, g, &o, &t->plan));
    return skive_exec_create(t->ctx, t->plan, &t->exec);
}

skive_status skv_trainer_create(skive_context *ctx, const skv_trainer_setup *s, skv_trainer **out) {
    skv_trainer *t = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *t, &t));
    t->ctx = ctx;
    t->graph = s->graph;
    t->options = *s->options;
    t->optimizer = skv_optimizer_find(s->options->optimizer);
    t->batch = s->batch;
    const skive_status status = set_up(t, s);
    if (status != SKIVE_OK) {
        t->graph = NULL; /* still the caller's */
        skv_trainer_free(t);
        return status;
    }
    *out = t;
    return SKIVE_OK;
}

void skv_trainer_inputs(skv_trainer *t, float **x, void **labels) {
    skive_tensor view;
    if (skive_exec_input(t->exec, t->input_index, &view) == SKIVE_OK) *x = view.data;
    if (skive_exec_input(t->exec, t->labels_index, &view) == SKIVE_OK) *labels = view.data;
}

static skive_status copy_into(skv_trainer *t, size_t input, const skive_tensor *from) {
    const char *name = t->plan->graph->inputs[input]->name;
    skive_tensor to;
    SKV_TRY(skive_exec_input(t->exec, input, &to));
    if (from->rank > 0 && from->dims[0] != t->batch) {
        return skv_fail_at(t->ctx, SKIVE_ERR_DATA, name, "a batch has %lld samples, but '%s' takes %lld",
                           (long long)from->dims[0], name, (long long)t->batch);
    }
    return skv_feed_copy(t->ctx, name, from, &to);
}

skive_status skv_trainer_feed(skv_trainer *t, const skive_tensor *x, const skive_tensor *labels) {
    SKV_TRY(copy_into(t, t->input_index, x));
    return copy_into(t, t->labels_index, labels);
}

static const float *output_data(skv_trainer *t, size_t i) {
    skive_tensor view;
    return skive_exec_output(t->exec, i, &view) == SKIVE_OK ? view.data : NULL;
}

static double gradient_scale(skv_trainer *t) {
    if (!(t->options.clip_norm > 0)) return 1.0;
    double sum = 0;
    for (size_t i = 0; i < t->n_params; i++) {
        const float *g = output_data(t, t->params[i].output);
        for (int64_t k = 0; k < t->params[i].update.n; k++) sum += (double)g[k] * (double)g[k];
    }
    const double norm = sqrt(sum);
    return norm > t->options.clip_norm ? t->options.clip_norm / norm : 1.0;
}

static int64_t count_correct(skv_trainer *t) {
    if (!t->labelled || t->classes < 1) return 0;
    skive_tensor labels;
    if (skive_exec_input(t->exec, t->labels_index, &labels) != SKIVE_OK) return 0;
    const float *scores = output_data(t, 1);
    const int64_t *y = labels.data;
    int64_t right = 0;
    for (int64_t i = 0; i < t->batch; i++) {
        const float *row = scores + i * t->classes;
        int64_t best = 0;
        for (int64_t c = 1; c < t->classes; c++) best = row[c] > row[best] ? c : best;
        right += best == y[i];
    }
    return right;
}

skive_status skv_trainer_step(skv_trainer *t, double rate, double *loss, int64_t *correct) {
    skv_exec_set_step(t->exec, (uint64_t)t->step);
    SKV_TRY(skive_exec_run(t->exec));
    *loss = (double)output_data(t, 0)[0];
    if (correct) *correct = count_correct(t);
    if (!isfinite(*loss)) {
        const char *number = isnan(*loss) ? "not a number" : "infinite";
        if (t->step == 0) {
            return SKV_FAIL(t->ctx, SKIVE_ERR_NUMERIC,
                            "the loss is %s at the first step, before any training; look for such numbers in the data "
                            "and the model's weights",
                            number);
        }
        return SKV_FAIL(t->ctx, SKIVE_ERR_NUMERIC,
                        "the loss became %s at step %lld; lower the learning rate (it was %g)", number,
                        (long long)t->step + 1, rate);
    }
    t->step++;
    const double scale = gradient_scale(t);
    for (size_t i = 0; i < t->n_params; i++) {
        skv_update *u = &t->params[i].update;
        u->gradient = output_data(t, t->params[i].output);
        u->rate = rate;
        u->gradient_scale = scale;
        u->step = t->step;
        t->optimizer->update(u);
    }
    skv_trainer_show_masks(t);
    for (size_t i = 0; i < t->n_stats; i++) {
        const skive_tensor *to = skv_value_tensor(t->stats[i].parameter);
        memcpy(to->data, output_data(t, t->first_stat_output + i), skive_tensor_bytes(to));
    }
    return SKIVE_OK;
}

const skv_live_mask *skv_trainer_live_masks(const skv_trainer *t) { return t->live; }

void skv_trainer_show_masks(skv_trainer *t) {
    for (size_t i = 0; i < t->n_live; i++) show(&t->live[i]);
}

static size_t optimizer_states(const skv_trainer *t) { return t->n_params * (size_t)t->optimizer->states; }

size_t skv_trainer_state_count(const skv_trainer *t) { return optimizer_states(t) + 2 * t->n_live; }

void *skv_trainer_state(skv_trainer *t, size_t i, size_t *bytes) {
    const size_t states = (size_t)t->optimizer->states, n = optimizer_states(t);
    if (i < n) {
        skv_update *u = &t->params[i / states].update;
        *bytes = (size_t)u->n * sizeof(float);
        return u->state[i % states];
    }
    const skv_live_mask *live = &t->live[(i - n) / 2];
    if ((i - n) % 2) {
        *bytes = (size_t)live->count;
        return live->keep;
    }
    *bytes = (size_t)live->count * sizeof(float);
    return live->dense;
}

int64_t *skv_trainer_step_number(skv_trainer *t) { return &t->step; }
const skive_plan *skv_trainer_plan(const skv_trainer *t) { return t->plan; }
skive_exec *skv_trainer_exec(skv_trainer *t) { return t->exec; }
