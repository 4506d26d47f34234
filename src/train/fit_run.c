/* A run of training: in the model's own form or another, with standardised targets or without, and then the loop. */
#include <string.h>

#include "data/data.h"
#include "graph/meta_keys.h"
#include "passes/quantized.h"
#include "train/train.h"

void skive_train_report_free(skive_context *ctx, skive_train_report *r) {
    if (!r) return;
    skv_free(ctx, r->epochs);
    skive_rate_search_free(ctx, &r->rates);
    *r = (skive_train_report){0};
}

bool skv_fit_reached(skive_status status, const skive_train_report *r) {
    return status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && r->n_epochs > 0);
}

void skv_fit_hand_over(skive_context *ctx, skive_status status, skive_train_report *r, skive_train_report *to) {
    if (!to || (status != SKIVE_OK && status != SKIVE_ERR_INTERRUPTED)) skive_train_report_free(ctx, r);
    if (to) *to = *r;
}

/* Targets of a regression come in any size; standardised, one learning rate serves all. */
static skive_status run_any(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    skv_targets targets;
    skv_head head;
    const bool several = skv_dataset_answer_count(fit->train) > 1 || fit->options->outputs;
    if (fit->options->epochs < 1 || fit->options->raw_targets) return skv_fit_loop(ctx, fit, report);
    if (several) return skv_fit_goals(ctx, fit, report, skv_fit_loop);
    SKV_TRY(skv_targets_of(ctx, fit->train, &targets));
    if (targets.kind == SKV_TARGET_CLASSES || targets.info.count < 1) return skv_fit_loop(ctx, fit, report);
    SKV_TRY(skv_head_find(ctx, fit->model, &targets, &head));
    const skv_loss *loss = skv_loss_for(fit->options, &head);
    if (head.task != SKIVE_TASK_VALUES || !loss->on_output || loss->raw) return skv_fit_loop(ctx, fit, report);
    return skv_fit_values(ctx, fit, &targets, report, skv_fit_loop);
}

/* A copy is trained in another form, and its numbers are taken over. */
static skive_status run_recast(skive_context *ctx, const skv_recast *recast, const skv_fit *fit,
                               skive_train_report *report) {
    skive_train_report r = {0};
    skv_fit twin = *fit;
    skive_status status, trained;
    twin.model = NULL;
    twin.may_grow = fit->may_grow && !recast->other_nodes;
    SKV_GO(status, done, skive_graph_copy(ctx, fit->model, &twin.model));
    SKV_GO(status, done, skv_params_mark_trainable(twin.model));
    SKV_GO(status, done, recast->to(twin.model));
    SKV_GO(status, done, skive_graph_infer(twin.model));
    status = trained = run_any(ctx, &twin, &r);
    if (skv_fit_reached(trained, &r)) {
        SKV_GO(status, done, recast->back(fit->model, twin.model));
        skv_params_assign(fit->model, twin.model);
        for (uint32_t i = 0; i < twin.model->n_meta; i++) /* what the run wrote about outputs and classes */
            SKV_GO(status, done, skive_graph_set_meta(fit->model, twin.model->meta[i].key, twin.model->meta[i].value));
        status = trained;
    }
done:
    skive_graph_free(twin.model);
    skv_fit_hand_over(ctx, status, &r, report);
    return status;
}

static skive_status run_as_kept(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    for (size_t i = 0; i < skv_recast_count(); i++) {
        const skv_recast *recast = skv_recast_at(i);
        if (recast->asked(fit->model)) return run_recast(ctx, recast, fit, report);
    }
    return run_any(ctx, fit, report);
}

/* The steps of the learning-rate finder are made on a copy. */
static skive_status run_search(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    skive_train_options options = *fit->options;
    skv_fit twin = *fit;
    options.epochs = 1;
    twin.options = &options;
    SKV_TRY(skive_graph_copy(ctx, fit->model, &twin.model));
    skive_status status = skv_params_unshare(twin.model);
    if (status == SKIVE_OK) status = run_as_kept(ctx, &twin, report);
    skive_graph_free(twin.model);
    return status;
}

/* The model keeps the recipe of its samples, so that other data are made into the same. */
static skive_status run_and_keep(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    skive_train_report r = {0};
    skive_status status = fit->options->find_lr ? run_search(ctx, fit, &r) : run_as_kept(ctx, fit, &r);
    if (r.n_epochs > 0 && (status == SKIVE_OK || status == SKIVE_ERR_INTERRUPTED)) {
        const skive_status kept = skv_input_keep_recipes(ctx, fit->model, fit->train);
        if (kept != SKIVE_OK) status = kept;
    }
    skv_fit_hand_over(ctx, status, &r, report);
    return status;
}

/* A loss that makes something else of the output than scores says so in the model, before anybody looks at it. */
static skive_status run_as_kind(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    const char *text = fit->options->loss, *now = skive_graph_meta(fit->model, SKV_META_OUTPUT_KIND);
    const skv_loss *loss = text ? skv_loss_at(skv_family_find(&skv_loss_family, text)) : NULL;
    char *before = NULL;
    if (!loss || !loss->kind || (now && strncmp(now, loss->kind, strlen(loss->kind)) == 0))
        return run_and_keep(ctx, fit, report);
    if (now) SKV_TRY(skv_strdup(ctx, now, &before));
    skive_status status = skive_model_set_output(fit->model, NULL, loss->kind);
    if (status == SKIVE_OK) status = run_and_keep(ctx, fit, report);
    if (status == SKIVE_OK)
        skv_note(ctx, "the model's output is of the kind %s from now on, by the loss '%s'", loss->kind, loss->name);
    else if (status != SKIVE_ERR_INTERRUPTED &&
             skive_graph_set_meta(fit->model, SKV_META_OUTPUT_KIND, before) != SKIVE_OK)
        skv_note(ctx, "the model's output stays of the kind %s", loss->kind);
    skv_free(ctx, before);
    return status;
}

typedef struct run_in_float {
    const skv_fit *fit;
    skive_train_report *report;
} run_in_float;

static skive_status fit_in_float(skive_graph *g, void *user) {
    const run_in_float *r = user;
    skv_fit twin = *r->fit;
    twin.model = g;
    return skv_fit_run(g->ctx, &twin, r->report);
}

/* How sums are split among threads decides their last bits; with one thread they are not split. */
skive_status skv_fit_run(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    const int threads = skive_context_threads(ctx);
    SKV_TRY(skv_quantized_refuse(fit->model, "trained", SKV_QUANTIZED_PRODUCTS));
    if (skv_quantized_parameters(fit->model))
        return skv_quantized_in_float(fit->model, fit_in_float, &(run_in_float){fit, report});
    if (!fit->options->deterministic || threads < 2) return run_as_kind(ctx, fit, report);
    skv_note(ctx,
             "deterministic: steps are computed by one thread instead of %d, so that the bits do not depend on "
             "their number",
             threads);
    SKV_TRY(skive_context_set_threads(ctx, 1));
    const skive_status status = run_as_kind(ctx, fit, report);
    const skive_status back = skive_context_set_threads(ctx, threads);
    return status == SKIVE_OK ? back : status;
}
