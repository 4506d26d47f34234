/* Pruning of single weights: masks from a criterion, applied in one or several steps, with fine-tuning under the mask;
 * and the entry of all pruning. */
#include "prune/prune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "passes/pass.h"
#include "passes/quantized.h"

void skive_prune_report_free(skive_context *ctx, skive_prune_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_layers; i++) {
        skv_free(ctx, r->layers[i].parameter);
        skv_free(ctx, r->layers[i].node);
        skv_free(ctx, r->layers[i].refused);
    }
    for (size_t i = 0; i < r->n_channels; i++) {
        skv_free(ctx, r->channels[i].parameter);
        skv_free(ctx, r->channels[i].node);
        skv_free(ctx, r->channels[i].why);
    }
    skv_free(ctx, r->layers);
    skv_free(ctx, r->channels);
    skive_train_report_free(ctx, &r->training);
    skive_train_report_free(ctx, &r->scratch);
    *r = (skive_prune_report){0};
}

/* ---- steps ---- */

static float *data_of(const skv_prunable *l) { return l->value->storage->tensor.data; }

/* Training gives parameters new storages, so each step looks again. */
static skive_status mask_to(skv_pruning *p, double progress) {
    for (size_t i = 0; i < p->n; i++) p->layers[i].weight = data_of(&p->layers[i]);
    if (p->criterion->refits) return skv_prune_refit(p, progress);
    SKV_TRY(skv_prune_choose(p, progress, 0));
    if (p->o->surgery) return SKIVE_OK; /* training needs all weights */
    for (size_t i = 0; i < p->n; i++) {
        const skv_prunable *l = &p->layers[i];
        for (int64_t k = 0; k < l->n; k++) data_of(l)[k] = l->keep[k] ? data_of(l)[k] : 0.0f;
    }
    return SKIVE_OK;
}

/* The dense model, unless another teaches, is the caller's graph, which is not touched until all is done. */
static skive_status prepare_objective(const skv_pruning *p, skv_tuning *t, const skive_graph *dense) {
    t->objective = skv_objective_labels;
    if (p->o->distill_alpha == 0) return SKIVE_OK;
    t->teacher = (skv_teacher){.graph = p->o->teacher ? p->o->teacher : dense, .student = dense};
    skv_soft_labels_terms(p->o->distill_alpha, p->o->temperature, t->terms);
    t->objective = (skv_objective){.terms = t->terms, .n_terms = 2, .teachers = &t->teacher, .n_teachers = 1};
    return skv_objective_check(p->ctx, &t->objective);
}

/* A rule for each layer: its mask, which moves in surgery. */
static skive_status prepare_rules(skv_pruning *p, skv_tuning *t) {
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *t->rules, &t->rules));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *t->moving, &t->moving));
    for (size_t i = 0; i < p->n; i++) {
        t->moving[i] = (skv_live_mask){.keep = p->layers[i].keep, .count = p->layers[i].n};
        t->rules[i] = p->o->surgery
                          ? (skv_rule_use){skv_rule_find("moving-mask"), p->masks[i].parameter, &t->moving[i], NULL}
                          : (skv_rule_use){skv_rule_find("mask"), p->masks[i].parameter, &p->masks[i], NULL};
    }
    return SKIVE_OK;
}

skive_status skv_prune_tune(skv_pruning *p, const skv_tuning *t, const skive_train_options *o, size_t n_rules) {
    skv_surgery surgery = {.pruning = p, .masks = t->moving};
    const skv_watcher mover = skv_surgery_watcher(&surgery);
    skv_text settings;
    skv_text_init(&settings, p->ctx);
    if ((o->checkpoint || o->resume) && p->o->surgery) skv_surgery_settings(p, &settings);
    const skv_fit fit = {.model = p->work,
                         .train = t->train,
                         .validation = t->validation,
                         .options = o,
                         .objective = &t->objective,
                         .rules = t->rules,
                         .n_rules = n_rules,
                         .watchers = &mover,
                         .n_watchers = p->o->surgery,
                         .what = "fine-tune",
                         .settings = settings.data};
    skive_train_report_free(p->ctx, &p->report.training);
    const skive_status status =
        settings.status == SKIVE_OK ? skv_fit_run(p->ctx, &fit, &p->report.training) : settings.status;
    skv_text_free(&settings);
    return status;
}

/* The masks that surgery ended with are those of the model it left. */
static void read_masks(skv_pruning *p) {
    for (size_t i = 0; i < p->n; i++) {
        const skv_prunable *l = &p->layers[i];
        for (int64_t k = 0; k < l->n; k++) l->keep[k] = data_of(l)[k] != 0;
    }
}

static skive_status shrink(void *self, int k, int n) {
    skv_pruning *p = self;
    return mask_to(p, p->o->surgery ? skv_surgery_start(p) : (double)(k + 1) / n);
}

static void count_kept(skv_pruning *p) {
    for (size_t i = 0; i < p->n; i++) {
        int64_t kept = 0;
        /* What was pruned before has not come back, whatever share is asked for now. */
        for (int64_t k = 0; p->layers[i].value->keeps_zeros && k < p->layers[i].n; k++)
            p->layers[i].keep[k] = p->layers[i].keep[k] && data_of(&p->layers[i])[k] != 0;
        /* Weights that are 0 without having been pruned are none in the file either. */
        for (int64_t k = 0; k < p->layers[i].n; k++) kept += p->layers[i].keep[k] && data_of(&p->layers[i])[k] != 0;
        p->report.kept += kept;
        for (size_t r = 0; r < p->report.n_layers; r++) {
            if (strcmp(p->report.layers[r].parameter, p->layers[i].value->name) == 0) p->report.layers[r].kept = kept;
        }
        if (p->layers[i].at_floor) {
            skv_note(p->ctx, "layer '%s' was kept at its floor of %lld weight%s", p->layers[i].node->name,
                     (long long)p->layers[i].least, p->layers[i].least == 1 ? "" : "s");
        }
    }
}

/* The caller's graph takes the pruned storages over, and their zeros stay under any later training; nothing can fail
 * here. */
static void take_storages(skive_graph *g, const skive_graph *work) {
    for (uint32_t i = 0; i < g->n_values && i < work->n_values; i++) {
        skive_value *to = g->values[i];
        const skive_value *from = work->values[i];
        to->keeps_zeros = from->keeps_zeros;
        if (!to->storage || !from->storage || to->storage == from->storage) continue;
        skv_storage_release(to->storage);
        to->storage = skv_storage_retain(from->storage);
    }
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++)
            if (g->nodes[i]->attrs[a].graph) take_storages(g->nodes[i]->attrs[a].graph, work->nodes[i]->attrs[a].graph);
}

static void commit(skv_pruning *p, skive_graph *g) {
    for (size_t i = 0; i < p->n; i++) {
        skive_value *v = p->layers[i].value;
        for (int64_t k = 0; k < p->layers[i].n && !v->keeps_zeros; k++) v->keeps_zeros = !p->layers[i].keep[k];
    }
    if (p->turned) { /* other values than the caller's */
        skive_graph_take(g, p->work);
        p->work = NULL;
    } else {
        take_storages(g, p->work);
    }
}

/* The same on a copy, at once and without training. */
static skive_status only_tell(skive_context *ctx, const skive_graph *graph, skive_dataset *train,
                              const skive_prune_options *options, skive_prune_report *report) {
    skive_prune_options o = *options;
    skive_train_options none = skive_prune_finetune_default();
    skive_graph *copy = NULL;
    SKV_TRY(skive_graph_copy(ctx, graph, &copy));
    o.finetune = &none;
    o.dry_run = o.surgery = o.reconstruct = false;
    o.recalibrate_bn = "off";
    o.distill_alpha = 0;
    o.rewind = NULL;
    o.scratch_control = 0;
    o.max_drop = -1;
    const skive_status status = skive_prune(ctx, copy, train, NULL, &o, report);
    skive_graph_free(copy);
    return status;
}

/* Did the work end, or was it stopped after something had been reached? */
static bool is_reached(const skv_pruning *p, skive_status status) {
    return status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && p->tuned);
}

static skive_status prune_elements(skv_pruning *p, skive_graph *graph, skv_tuning *t) {
    SKV_TRY(skv_prune_find_layers(p));
    SKV_TRY(prepare_rules(p, t));
    skive_status status = skv_prune_steps(p, t, p->n, shrink, p);
    if (p->o->surgery && p->tuned) read_masks(p);
    if (status == SKIVE_OK) status = skv_prune_scratch(p, t);
    if (!is_reached(p, status)) return status;
    if (status == SKIVE_OK) SKV_TRY(skv_prune_recalibrate(p));
    /* Rules that fine-tuning was under stay. */
    const skive_status carried = skive_graph_set_meta(graph, SKV_META_RULES, skive_graph_meta(p->work, SKV_META_RULES));
    if (carried != SKIVE_OK) {
        p->tuned = false;
        return carried;
    }
    count_kept(p);
    commit(p, graph);
    return status;
}

static skive_status prune_channels(skv_pruning *p, skive_graph *graph, const skv_tuning *t) {
    skive_status status = skv_prune_channels(p, t);
    if (status == SKIVE_OK) status = skv_prune_scratch(p, t);
    if (!is_reached(p, status)) return status;
    if (status == SKIVE_OK) SKV_TRY(skv_prune_recalibrate(p));
    if (p->report.removed == 0 && !p->tuned) return status; /* then the model stays as it is written */
    skive_graph_take(graph, p->work);
    p->work = NULL;
    return status;
}

static skive_status prune(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                          const skive_prune_options *options, double reach, bool limited, skive_prune_report *report) {
    skive_prune_options o;
    skive_train_options finetune;
    if (report) *report = (skive_prune_report){0};
    skv_pruning p = {.ctx = ctx, .train = train, .reach = reach};
    skv_tuning t = {.train = train, .validation = validation};
    skive_status status;
    SKV_GO(status, done, skv_prune_take(&p, options, &o, &finetune));
    if (limited && o.max_drop >= 0 && !o.dry_run) {
        status = skv_prune_within(ctx, graph, train, validation, &o, report);
        goto done;
    }
    if (!p.granularity->removal) o.sparsity *= reach;
    if (!o.dry_run) SKV_GO(status, done, skive_graph_to_float32(graph));
    /* Channels of a quantized model can go; its single weights are integers, which no zero of floats reaches. */
    if (!p.granularity->removal) SKV_GO(status, done, skv_quantized_refuse(graph, "pruned", SKV_QUANTIZED_ALL));
    if (o.dry_run) {
        status = only_tell(ctx, graph, train, &o, report);
        goto done;
    }
    SKV_GO(status, done, skv_graph_check_finite(ctx, graph));
    SKV_GO(status, done, skive_graph_to_inference(graph));
    if (p.o->finetune->epochs > 0 && !train) {
        status = SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "fine-tuning needs a training set");
        goto done;
    }
    if (limited && train && p.o->finetune->epochs < 1 && !skv_criterion_reads(p.criterion) && !skv_prune_scans(&p) &&
        p.o->scratch_control < 1 && !p.o->reconstruct && !skv_prune_recalibrates(&p, graph))
        skv_note(ctx, "the data set is not used: there is no fine-tuning, and the criterion '%s' looks at weights only",
                 p.criterion->name);
    SKV_GO(status, done, prepare_objective(&p, &t, graph));
    SKV_GO(status, done, skive_graph_copy(ctx, graph, &p.work));
    SKV_GO(status, done, skv_pass_turn_parameters(p.work, &p.turned));
    if (o.rewind) {
        SKV_GO(status, done, skive_graph_copy(ctx, o.rewind, &p.rewind));
        SKV_GO(status, done, skv_pass_turn_parameters(p.rewind, NULL));
        SKV_GO(status, done, skv_graph_for_methods(p.rewind));
    }
    status = p.granularity->removal ? prune_channels(&p, graph, &t) : prune_elements(&p, graph, &t);
    if (report && (status == SKIVE_OK || p.tuned)) {
        *report = p.report;
        p.report = (skive_prune_report){0};
    }
done:
    skv_free(ctx, t.rules);
    skv_free(ctx, t.moving);
    skv_prune_free_layers(&p);
    skive_graph_free(p.work);
    skive_graph_free(p.rewind);
    skive_prune_report_free(ctx, &p.report);
    return status;
}

skive_status skv_prune_part(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                            const skive_prune_options *options, double reach, skive_prune_report *report) {
    return prune(ctx, graph, train, validation, options, reach, false, report);
}

skive_status skive_prune(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                         const skive_prune_options *options, skive_prune_report *report) {
    SKV_NEED(ctx, "ctx, graph", ctx, graph);
    return prune(ctx, graph, train, validation, options, 1, true, report);
}
