/* Unstructured pruning: masks from a criterion, applied in one or several steps, with fine-tuning under the mask. */
#include "prune/prune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct pruning {
    skive_context *ctx;
    const skive_prune_options *o;
    const skv_criterion *criterion;
    const skv_prune_schedule *schedule;
    skive_graph *work;
    skv_prunable *layers;
    skive_mask *masks;
    size_t n;
    bool tuned; /* an epoch of fine-tuning is done */
    skive_prune_report report;
} pruning;

skive_prune_options skive_prune_options_default(void) {
    skive_prune_options o = {.size = sizeof o,
                             .criterion = "magnitude",
                             .schedule = "one-shot",
                             .sparsity = 0.9,
                             .layer_floor = 0.005,
                             .finetune = skive_train_options_default(),
                             .steps = 5};
    o.finetune.epochs = 0;
    o.finetune.learning_rate = 0.01;
    o.finetune.warmup_epochs = 0;
    return o;
}

void skive_prune_report_free(skive_context *ctx, skive_prune_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_layers; i++) {
        skv_free(ctx, r->layers[i].parameter);
        skv_free(ctx, r->layers[i].node);
        skv_free(ctx, r->layers[i].refused);
    }
    skv_free(ctx, r->layers);
    skive_train_report_free(ctx, &r->training);
    *r = (skive_prune_report){0};
}

static skive_status check(pruning *p) {
    const skive_prune_options *o = p->o;
    if (!(o->sparsity >= 0 && o->sparsity < 1)) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "sparsity",
                           "sparsity is %g; it is the fraction of weights to remove, from 0 to below 1", o->sparsity);
    }
    if (!(o->layer_floor >= 0 && o->layer_floor <= 1)) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "layer floor",
                           "the layer floor is %g; it must lie between 0 and 1", o->layer_floor);
    }
    p->criterion = skv_criterion_find(o->criterion);
    if (!p->criterion) return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "criterion", "no criterion '%s'", o->criterion);
    p->schedule = skv_prune_schedule_find(o->schedule);
    if (!p->schedule)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "schedule", "no pruning schedule '%s'", o->schedule);
    if (!p->schedule->one_step && (o->steps < 1 || o->steps > 1000)) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "steps", "%d steps; they must be 1 to 1000", o->steps);
    }
    return SKIVE_OK;
}

/* The weight of a layer: input 1 of Conv and Gemm, whichever input of MatMul is a parameter. */
static int weight_index(const skive_node *n) {
    if (skv_node_is(n, "Conv") || skv_node_is(n, "Gemm")) return 1;
    if (skv_node_is(n, "MatMul")) return skv_value_is_param(skv_node_in(n, 1)) ? 1 : 0;
    return -1;
}

static const char *why_refused(const pruning *p, const skive_value *v) {
    for (size_t i = 0; i < p->o->n_skip; i++) {
        if (strcmp(p->o->skip[i], v->name) == 0) return "named to be left alone";
    }
    if (!v->storage) return "its weights are computed, not a parameter";
    if (v->type.dtype != SKIVE_F32) return "its weights are not float32";
    return NULL;
}

static skive_status add_layer(pruning *p, const skive_node *n, skive_value *v) {
    skive_prune_layer *row = &p->report.layers[p->report.n_layers];
    const char *refused = why_refused(p, v);
    SKV_TRY(skv_strdup(p->ctx, v->name, &row->parameter));
    p->report.n_layers++;
    SKV_TRY(skv_strdup(p->ctx, n->name, &row->node));
    row->count = row->kept = v->storage ? skive_tensor_count(skv_value_tensor(v)) : 0;
    if (refused) return skv_strdup(p->ctx, refused, &row->refused);
    skv_prunable *l = &p->layers[p->n++];
    *l = (skv_prunable){.value = v, .node = n, .n = row->count};
    l->least = (int64_t)ceil(p->o->layer_floor * (double)l->n);
    if (l->least < 1 && l->n > 0) l->least = 1;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)l->n, sizeof *l->score, &l->score));
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)l->n, 1, &l->keep));
    SKV_TRY(skv_storage_make_unique(p->ctx, &v->storage));
    const float *w = v->storage->tensor.data;
    for (int64_t i = 0; i < l->n; i++) {
        if (isfinite(w[i])) continue;
        return skv_fail_at(p->ctx, SKIVE_ERR_NUMERIC, v->name, "parameter '%s' holds NaN or infinity", v->name);
    }
    p->report.count += l->n;
    return SKIVE_OK;
}

static skive_status find_layers(pruning *p) {
    const skive_graph *g = p->work;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)g->n_nodes + 1, sizeof *p->layers, &p->layers));
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)g->n_nodes + 1, sizeof *p->masks, &p->masks));
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)g->n_nodes + 1, sizeof *p->report.layers, &p->report.layers));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const int index = weight_index(g->nodes[i]);
        skive_value *v = index >= 0 ? skv_node_in(g->nodes[i], (size_t)index) : NULL;
        bool seen = !v;
        for (size_t k = 0; v && k < p->n; k++) seen = seen || p->layers[k].value == v;
        if (!seen) SKV_TRY(add_layer(p, g->nodes[i], v));
    }
    if (p->n == 0)
        return SKV_FAIL(p->ctx, SKIVE_ERR_UNSUPPORTED, "the model has no prunable weights (Conv, Gemm, MatMul)");
    return SKIVE_OK;
}

static float *data_of(const skv_prunable *l) { return l->value->storage->tensor.data; }

static skive_status mask_to(pruning *p, double sparsity) {
    for (size_t i = 0; i < p->n; i++) {
        skv_prunable *l = &p->layers[i];
        p->criterion->score(data_of(l), l->n, l->score);
    }
    if (p->o->per_layer) {
        for (size_t i = 0; i < p->n; i++) {
            double threshold;
            skv_prunable *l = &p->layers[i];
            int64_t drop = (int64_t)(sparsity * (double)l->n + 0.5);
            if (drop > l->n - l->least) drop = l->n - l->least;
            SKV_TRY(skv_mask_global(p->ctx, l, 1, drop, &threshold));
        }
    } else {
        const int64_t drop = (int64_t)(sparsity * (double)p->report.count + 0.5);
        SKV_TRY(skv_mask_global(p->ctx, p->layers, p->n, drop, &p->report.threshold));
    }
    for (size_t i = 0; i < p->n; i++) {
        const skv_prunable *l = &p->layers[i];
        p->masks[i] = (skive_mask){l->value->name, l->keep, l->n};
        for (int64_t k = 0; k < l->n; k++) data_of(l)[k] = l->keep[k] ? data_of(l)[k] : 0.0f;
    }
    return SKIVE_OK;
}

/* Epochs of step k of n, so that they add up. */
static int epochs_of(int epochs, int k, int n) { return epochs * (k + 1) / n - epochs * k / n; }

/* Each step of a gradual schedule is a training run of its own, with a checkpoint of its own: FILE.1, FILE.2 ... */
static skive_status checkpoint_of(const pruning *p, int k, int steps, char *buffer, size_t size, const char **out) {
    *out = p->o->finetune.checkpoint;
    if (!*out || steps == 1) return SKIVE_OK;
    const int n = snprintf(buffer, size, "%s.%d", *out, k + 1);
    if (n < 0 || (size_t)n >= size)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "checkpoint", "the checkpoint's name is too long");
    *out = buffer;
    return SKIVE_OK;
}

static skive_status prune_and_tune(pruning *p, skive_dataset *train, skive_dataset *validation) {
    const int steps = p->schedule->one_step ? 1 : p->o->steps;
    for (int k = 0; k < steps; k++) {
        skive_train_options o = p->o->finetune;
        char path[4096];
        SKV_TRY(checkpoint_of(p, k, steps, path, sizeof path, &o.checkpoint));
        SKV_TRY(mask_to(p, p->schedule->sparsity(p->o->sparsity, (double)(k + 1) / steps)));
        o.epochs = epochs_of(p->o->finetune.epochs, k, steps);
        if (o.epochs < 1) continue;
        skive_train_report_free(p->ctx, &p->report.training);
        const skive_status status =
            skive_train(p->ctx, p->work, train, validation, &o, p->masks, p->n, &p->report.training);
        p->tuned = p->tuned || p->report.training.n_epochs > 0;
        if (status == SKIVE_ERR_INTERRUPTED && p->tuned)
            skv_note(p->ctx,
                     "fine-tuning was stopped in step %d of %d; the weights are those of the last finished epoch",
                     k + 1, steps);
        SKV_TRY(status);
    }
    return SKIVE_OK;
}

static void count_kept(pruning *p) {
    for (size_t i = 0; i < p->n; i++) {
        int64_t kept = 0;
        for (int64_t k = 0; k < p->layers[i].n; k++) kept += p->layers[i].keep[k];
        p->report.kept += kept;
        for (size_t r = 0; r < p->report.n_layers; r++) {
            if (strcmp(p->report.layers[r].parameter, p->layers[i].value->name) == 0) p->report.layers[r].kept = kept;
        }
        if (p->layers[i].at_floor) {
            skv_note(p->ctx, "layer '%s' was kept at its floor of %lld weights", p->layers[i].node->name,
                     (long long)p->layers[i].least);
        }
    }
}

/* The caller's graph takes the pruned storages over; nothing can fail here. */
static void commit(pruning *p, skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values && i < p->work->n_values; i++) {
        skive_value *to = g->values[i], *from = p->work->values[i];
        if (!to->storage || !from->storage || to->storage == from->storage) continue;
        skv_storage_release(to->storage);
        to->storage = skv_storage_retain(from->storage);
    }
}

skive_status skive_prune(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                         const skive_prune_options *options, skive_prune_report *report) {
    const skive_prune_options defaults = skive_prune_options_default();
    pruning p = {.ctx = ctx, .o = options ? options : &defaults};
    skive_status status;
    if (report) *report = (skive_prune_report){0};
    SKV_GO(status, done, check(&p));
    if (p.o->finetune.epochs > 0 && !train) {
        status = SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "fine-tuning needs a training set");
        goto done;
    }
    SKV_GO(status, done, skive_graph_copy(ctx, graph, &p.work));
    SKV_GO(status, done, find_layers(&p));
    status = prune_and_tune(&p, train, validation);
    const bool reached = status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && p.tuned);
    if (!reached) goto done;
    count_kept(&p);
    commit(&p, graph);
    if (report) {
        *report = p.report;
        p.report = (skive_prune_report){0};
    }
done:
    for (size_t i = 0; i < p.n; i++) {
        skv_free(ctx, p.layers[i].score);
        skv_free(ctx, p.layers[i].keep);
    }
    skv_free(ctx, p.layers);
    skv_free(ctx, p.masks);
    skive_graph_free(p.work);
    skive_prune_report_free(ctx, &p.report);
    return status;
}
