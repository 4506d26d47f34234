/* See problem.h. */
#include "train/problem.h"

#include <stdio.h>
#include <string.h>

#include "graph/batch.h"
#include "graph/op.h"
#include "train/train.h"

skive_status skv_problem_bind(skive_context *ctx, const skive_graph *model, const skv_feeds *feeds, int64_t batch,
                              skive_graph **out) {
    skive_graph *sized = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, model, &sized));
    skv_feeds_bind(feeds, sized);
    status = skv_graph_bind_batch(ctx, sized, batch, out);
done:
    skive_graph_free(sized);
    return status;
}

/* A parameter with the same row for each sample of a fixed batch stays as it is: its rows would part. */
static void tell_held(skive_context *ctx, const skive_graph *model, const skive_graph *bound) {
    const int64_t fixed = skv_graph_fixed_batch(model);
    const skive_value *first = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < model->n_values; i++) {
        const skive_value *v = model->values[i];
        const skive_value *twin = v->trainable ? skive_graph_find_value(bound, v->name) : NULL;
        if (!twin || twin->trainable) continue;
        if (!first) first = v;
        n++;
    }
    if (first)
        skv_note(ctx, "not trained: '%s'%s the same row for each of %lld samples", first->name,
                 n > 1 ? " and others, which hold" : ", which holds", (long long)fixed);
}

const char *skv_labels_name(size_t goal, char buffer[SKV_LABELS_NAME]) {
    if (goal == 0)
        (void)snprintf(buffer, SKV_LABELS_NAME, "%s", SKV_LABELS_INPUT);
    else
        (void)snprintf(buffer, SKV_LABELS_NAME, "%s.%zu", SKV_LABELS_INPUT, goal + 1);
    return buffer;
}

static skive_status add_labels(const skv_problem_setup *s, skive_graph *g, const skv_targets *targets, size_t goal,
                               skive_value **labels) {
    const skive_dataset_info *info = &targets->info;
    skive_type t = {.dtype = SKIVE_I64, .rank = 1, .dims = {{s->batch, NULL}}};
    char name[SKV_LABELS_NAME];
    if (info->labelled && s->shares) {
        t.dtype = SKIVE_F32;
        t.rank = 2;
        t.dims[1] = (skive_dim){s->shares, NULL};
    } else if (info->labelled) {
        t.rank += info->label_rank;
        for (int d = 0; d < info->label_rank; d++) t.dims[d + 1] = (skive_dim){info->label_dims[d], NULL};
    } else {
        t.dtype = SKIVE_F32;
        t.rank = info->target_rank + 1;
        for (int d = 0; d < info->target_rank; d++) t.dims[d + 1] = (skive_dim){info->target_dims[d], NULL};
    }
    return skive_graph_add_input(g, skv_labels_name(goal, name), &t, labels);
}

static skive_status add_indices(const skv_problem_setup *s, skv_problem *p) {
    const skive_type t = {.dtype = SKIVE_I64, .rank = 1, .dims = {{s->batch, NULL}}};
    bool needed = false;
    for (size_t i = 0; i < s->objective->n_terms; i++)
        needed = needed || (s->objective->terms[i].loss && s->objective->terms[i].loss->needs_indices);
    return needed ? skive_graph_add_input(p->graph, SKV_INDICES_INPUT, &t, &p->indices) : SKIVE_OK;
}

/* Does the loss have this option of training? */
static bool takes(const skv_loss *loss, const char *name) {
    for (size_t i = 0; i < loss->n_options; i++) {
        if (strcmp(skv_option_known_as(&loss->options[i]), name) == 0) return true;
    }
    return false;
}

/* Are there enough scores for the classes? Other disagreements are found by the loss. */
static skive_status check_head(skive_context *ctx, const skv_problem_setup *s, const skv_targets *targets,
                               const double *class_weights, const skv_loss *loss, const skv_head *h) {
    const skive_dataset_info *info = &targets->info;
    const bool places = h->task == SKIVE_TASK_PLACES;
    const bool other = h->task > SKIVE_TASK_VALUES && !places; /* the head has checked its targets */
    if (h->task == SKIVE_TASK_BOXES)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "loss", "there is no loss for detections");
    if (other != (loss->kind != NULL) ||
        (other && strncmp(skive_output_kind_name(h->kind), loss->kind, strlen(loss->kind)) != 0))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "loss", "the loss '%s' is not for an output that is %s", loss->name,
                           skive_output_kind_name(h->kind));
    if (class_weights && !loss->weighs) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "class weights",
                           "the loss '%s' does not support class weights; use cross-entropy", loss->name);
    }
    if (s->options->label_smoothing > 0 && !takes(loss, "label-smoothing") && !s->quiet &&
        !(s->goals && s->goals->chosen))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "label-smoothing",
                           "the loss '%s' has no label smoothing; use cross-entropy, or leave label-smoothing out",
                           loss->name);
    if (places && loss != skv_loss_find("cross-entropy"))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "loss",
                           "the loss '%s' does not take labels of places; use cross-entropy", loss->name);
    if (other || places) return SKIVE_OK;
    if (!info->labelled && !loss->on_output && !targets->shares) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec, "%s has no class labels, which the loss '%s' needs",
                           info->spec, loss->name);
    }
    if (h->task == SKIVE_TASK_BINARY && info->classes <= 2) return SKIVE_OK;
    if (info->labelled && h->scores > info->classes && !s->quiet) {
        skv_note(ctx,
                 "the model gives %lld scores, but the data have %lld classes: it learns never to predict the others; "
                 "use skive train --classes %lld for a new last layer",
                 (long long)h->scores, (long long)info->classes, (long long)info->classes);
    }
    if (!info->labelled || h->scores < 0 || h->scores >= info->classes) return SKIVE_OK;
    return skv_fail_at(
        ctx, SKIVE_ERR_DATA, info->spec,
        "%s has %lld classes, but the model gives %lld score%s; use skive train --classes %lld for a new last layer",
        info->spec, (long long)info->classes, (long long)h->scores, h->scores == 1 ? "" : "s",
        (long long)info->classes);
}

/* The output itself, where the loss is on that; of sequences what is before a softmax, which the loss has. */
static skive_value *value_itself(const skv_loss *loss, const skv_head *h) {
    if (h->task == SKIVE_TASK_EMBEDDING) return h->value;
    if (h->task == SKIVE_TASK_PLACES) return h->before ? h->before : h->value;
    if (h->task == SKIVE_TASK_SEQUENCES)
        return skv_node_is(h->value->producer, SKV_OP_SOFTMAX) ? h->value->producer->inputs[0] : h->value;
    return h->task == SKIVE_TASK_VALUES && loss->on_output ? h->value : NULL;
}

/* One output with its labels in the training graph. */
static skive_status find_site(skive_context *ctx, const skv_problem_setup *s, size_t k, skv_problem *p, skv_head *head,
                              skv_loss_site *at) {
    const skv_goal *goal = s->goals && s->goals->chosen ? &s->goals->items[k] : NULL;
    const skv_targets *targets = goal ? &goal->targets : s->targets;
    skive_value *labels = NULL;
    SKV_TRY(add_labels(s, p->graph, targets, k, &labels));
    SKV_TRY(goal ? skv_head_at(ctx, p->graph, targets, goal->head.output, head)
                 : skv_head_find(ctx, p->graph, targets, head));
    *at = (skv_loss_site){.inputs = p->inputs,
                          .feeds = s->feeds,
                          .labels = labels,
                          .head = head,
                          .targets = targets,
                          .scale = goal ? (goal->scale.n ? &goal->scale : NULL) : s->scale,
                          .class_weights = goal ? goal->class_weights : s->class_weights,
                          .options = s->options,
                          .loss = goal ? goal->loss : NULL,
                          .loss_text = goal ? goal->loss_text : NULL,
                          .weight = goal ? goal->weight : 1,
                          .partly = s->objective->partly,
                          .goals = goal ? s->goals : NULL};
    SKV_TRY(check_head(ctx, s, targets, at->class_weights, at->loss ? at->loss : skv_loss_for(s->options, head), head));
    if (s->quiet) return SKIVE_OK;
    if (!goal) skv_head_tell(ctx, "model", p->graph, head);
    skv_head_tell_assumed(ctx, targets, head);
    return SKIVE_OK;
}

static skive_value *logits_of(const skv_problem_setup *s, skv_builder *b, const skv_loss_site *at) {
    const skv_loss *loss = at->loss ? at->loss : skv_loss_for(s->options, at->head);
    skive_value *v = value_itself(loss, at->head);
    if (at->head->task == SKIVE_TASK_PLACES && at->head->kind == SKIVE_OUTPUT_PROBABILITIES && !at->head->before) {
        skive_value *least = skv_emit_scalar(b, v->type.dtype, 1e-7);
        v = skv_emit(b, "Log", SKV_IN(skv_emit(b, "Max", SKV_IN(v, least), SKV_NONE)), SKV_NONE);
    }
    return v ? v : skv_head_logits(b, at->head);
}

static skive_status build_loss(const skv_problem_setup *s, skv_problem *p, skv_loss_site *sites, size_t n) {
    skv_builder b = skv_build(p->graph);
    for (size_t k = 0; k < n; k++) {
        sites[k].logits = logits_of(s, &b, &sites[k]);
        sites[k].indices = p->indices;
    }
    p->logits = sites[0].logits;
    sites[0].more = sites + 1;
    sites[0].n_more = n - 1;
    sites[0].memories = &p->memories;
    sites[0].apart = s->apart ? &p->apart : NULL;
    p->loss = b.status == SKIVE_OK ? skv_objective_build(&b, s->objective, &sites[0], p->courses) : NULL;
    return b.status;
}

static skive_status build_sites(skive_context *ctx, const skv_problem_setup *s, skv_problem *p, size_t n) {
    skv_loss_site *sites = NULL;
    skv_head *heads = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *sites, &sites));
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *heads, &heads));
    for (size_t k = 0; k < n; k++) SKV_GO(status, done, find_site(ctx, s, k, p, &heads[k], &sites[k]));
    if (s->goals && !s->quiet) skv_goals_tell(s->goals, "model");
    p->labels = sites[0].labels;
    SKV_GO(status, done, add_indices(s, p));
    status = build_loss(s, p, sites, n);
    p->head = heads[0];
done:
    skv_free(ctx, sites);
    skv_free(ctx, heads);
    return status;
}

static skive_status build(skive_context *ctx, const skv_problem_setup *s, skv_problem *p) {
    SKV_TRY(skv_problem_bind(ctx, s->model, s->feeds, s->batch, &p->graph));
    SKV_TRY(skv_alloc_array(ctx, s->feeds->n, sizeof(skive_value *), &p->inputs));
    for (size_t i = 0; i < s->feeds->n; i++) p->inputs[i] = p->graph->inputs[s->feeds->items[i].index];
    if (!s->quiet) tell_held(ctx, s->model, p->graph);
    if (!s->inference) SKV_TRY(skv_graph_to_training(ctx, p->graph, &p->updates, &p->n_updates));
    SKV_TRY(skv_alloc_array(ctx, s->objective->n_terms + 1, sizeof *p->courses, &p->courses));
    return build_sites(ctx, s, p, s->goals ? s->goals->n : 1);
}

skive_status skv_problem_build(skive_context *ctx, const skv_problem_setup *s, skv_problem *out) {
    *out = (skv_problem){.graph = NULL};
    const skive_status status = build(ctx, s, out);
    if (status != SKIVE_OK) skv_problem_free(ctx, out);
    return status;
}

void skv_problem_free(skive_context *ctx, skv_problem *p) {
    skive_graph_free(p->graph);
    skive_graph_free(p->apart.graph);
    skv_free(ctx, p->apart.to);
    skv_free(ctx, p->updates);
    skv_free(ctx, p->courses);
    skv_free(ctx, p->inputs);
    *p = (skv_problem){.graph = NULL};
}
