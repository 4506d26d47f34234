/* The training loop that training, fine-tuning and distillation share.
 *
 * Three graphs look at the same parameter storages: the trainer's (with loss and gradients), `current` (the model in
 * its own form, for validation), and at the end the caller's. The caller's is only touched when an epoch is complete.
 * */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "graph/batch.h"
#include "passes/hashed.h"
#include "train/train.h"

enum { VALIDATION_BATCH = 100 };

typedef struct fit_state {
    skive_context *ctx;
    const skv_fit *fit;
    const skive_train_options *o;
    skive_graph *current, *best;
    skv_trainer *trainer;
    skive_loader *loader;
    skv_feed feed;
    skive_dataset_info info;
    skv_targets targets;
    skv_head head; /* of the trainer's graph */
    int64_t batch;
    size_t batches;
    skv_checkpoint point;
    skv_text settings;
    double *class_weights; /* [info.classes], or NULL */
    skv_progress progress;
    skive_train_report report;
} fit_state;

void skive_train_report_free(skive_context *ctx, skive_train_report *r) {
    if (!r) return;
    skv_free(ctx, r->epochs);
    *r = (skive_train_report){0};
}

/* ---- the graph with its loss ---- */

static skive_status check_fit(fit_state *s) {
    const skive_graph *g = s->fit->model;
    if (g->n_inputs != 1 || g->n_outputs < 1) {
        return SKV_FAIL(s->ctx, SKIVE_ERR_ARGUMENT,
                        "training needs a model with one input and an output; this one has %u and %u", g->n_inputs,
                        g->n_outputs);
    }
    SKV_TRY(skv_feed_make(s->ctx, g, &s->info, &s->feed));
    skv_feed_tell(&s->feed, "model");
    return SKIVE_OK;
}

static skive_status add_labels(fit_state *s, skive_graph *g, skive_value **labels) {
    skive_type t = {.dtype = SKIVE_I64, .rank = 1, .dims = {{s->batch, NULL}}};
    if (!s->info.labelled) {
        t.dtype = SKIVE_F32;
        t.rank = s->info.target_rank + 1;
        for (int d = 0; d < s->info.target_rank; d++) t.dims[d + 1] = (skive_dim){s->info.target_dims[d], NULL};
    }
    return skive_graph_add_input(g, "skive.labels", &t, labels);
}

/* Are there enough scores for the classes? Other disagreements are found by the loss. */
static skive_status check_head(const fit_state *s) {
    const skv_head *h = &s->head;
    const skv_loss *loss = skv_loss_for(s->o, h);
    if (s->class_weights && loss->on_output) {
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "class weights",
                           "the loss '%s' does not support class weights; use cross-entropy", loss->name);
    }
    if (!s->info.labelled && !loss->on_output && !s->targets.shares) {
        return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->info.spec, "%s has no class labels, which the loss '%s' needs",
                           s->info.spec, loss->name);
    }
    if (h->task == SKIVE_TASK_BINARY && s->info.classes <= 2) return SKIVE_OK;
    if (s->info.labelled && h->scores > s->info.classes) {
        skv_note(s->ctx,
                 "the model gives %lld scores, but the data have %lld classes: it learns never to predict the others; "
                 "use skive train --classes %lld for a new last layer",
                 (long long)h->scores, (long long)s->info.classes, (long long)s->info.classes);
    }
    if (!s->info.labelled || h->scores < 0 || h->scores >= s->info.classes) return SKIVE_OK;
    return skv_fail_at(
        s->ctx, SKIVE_ERR_DATA, s->info.spec,
        "%s has %lld classes, but the model gives %lld score%s; use skive train --classes %lld for a new last layer",
        s->info.spec, (long long)s->info.classes, (long long)h->scores, h->scores == 1 ? "" : "s",
        (long long)s->info.classes);
}

static bool value_is_enough(const fit_state *s) {
    return s->head.task == SKIVE_TASK_VALUES && skv_loss_for(s->o, &s->head)->on_output;
}

/* The model for as many samples a run, with the sizes that it leaves open taken from them: all shapes are known before
 * a gradient is built, which those of several operators need. */
static skive_status bind_model(fit_state *s, int64_t batch, skive_graph **out) {
    skive_graph *sized = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(s->ctx, s->current, &sized));
    skv_feed_bind(&s->feed, sized);
    status = skv_graph_bind_batch(s->ctx, sized, batch, out);
done:
    skive_graph_free(sized);
    return status;
}

/* A parameter with the same row for each sample of a fixed batch stays as it is: its rows would part. */
static void tell_held(const fit_state *s, const skive_graph *bound) {
    const int64_t fixed = skv_graph_fixed_batch(s->current);
    const skive_value *first = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < s->current->n_values; i++) {
        const skive_value *v = s->current->values[i];
        const skive_value *twin = v->trainable ? skive_graph_find_value(bound, v->name) : NULL;
        if (!twin || twin->trainable) continue;
        if (!first) first = v;
        n++;
    }
    if (first)
        skv_note(s->ctx, "not trained: '%s'%s the same row for each of %lld samples", first->name,
                 n > 1 ? " and others, which hold" : ", which holds", (long long)fixed);
}

static skive_status build_trainer(fit_state *s) {
    skive_graph *g = NULL;
    skv_stat_update *updates = NULL;
    size_t n_updates = 0;
    skive_value *labels = NULL;
    skive_status status;
    SKV_GO(status, done, bind_model(s, s->batch, &g));
    tell_held(s, g);
    SKV_GO(status, done, skv_train_form(s->ctx, g, &updates, &n_updates));
    SKV_GO(status, done, add_labels(s, g, &labels));
    SKV_GO(status, done, skv_head_find(s->ctx, g, &s->targets, &s->head));
    SKV_GO(status, done, check_head(s));
    skv_head_tell(s->ctx, "model", g, &s->head);
    skv_head_tell_assumed(s->ctx, &s->targets, &s->head);
    /* What all targets told holds for the few of a validation set. */
    if (!s->head.from && s->head.kind != SKIVE_OUTPUT_LOGITS)
        SKV_GO(status, done, skive_model_set_output(s->current, NULL, skive_output_kind_name(s->head.kind)));
    skv_builder b = skv_build(g);
    skive_value *input = g->inputs[0];
    skive_value *logits = value_is_enough(s) ? s->head.value : skv_head_logits(&b, &s->head);
    const skv_loss_site at = {.input = input,
                              .labels = labels,
                              .logits = logits,
                              .head = &s->head,
                              .targets = &s->targets,
                              .scale = s->fit->scale,
                              .class_weights = s->class_weights};
    skive_value *loss = b.status == SKIVE_OK ? s->fit->build_loss(s->fit->user, &b, &at) : NULL;
    SKV_GO(status, done, b.status);
    const skv_trainer_setup setup = {.graph = g,
                                     .input = input,
                                     .labels = labels,
                                     .loss = loss,
                                     .logits = logits,
                                     .updates = updates,
                                     .n_updates = n_updates,
                                     .options = s->o,
                                     .masks = s->fit->masks,
                                     .n_masks = s->fit->n_masks,
                                     .live_masks = s->fit->mover != NULL,
                                     .batch = s->batch};
    SKV_GO(status, done, skv_trainer_create(s->ctx, &setup, &s->trainer));
    g = NULL; /* the trainer's now */
done:
    skive_graph_free(g);
    skv_free(s->ctx, updates);
    return status;
}

/* ---- one epoch ---- */

/* Of regression and of several labels a sample, which have no one accuracy, the loss decides. */
static skive_status validate(fit_state *s, skive_epoch_report *row) {
    skive_eval_report r;
    row->validation_accuracy = row->validation_loss = row->validation_f1 = NAN;
    row->validation_rmse = row->validation_r2 = NAN;
    if (!s->fit->validation) return SKIVE_OK;
    /* A model made for one sample is not validated one by one. */
    skive_graph *g = NULL;
    SKV_TRY(bind_model(s, VALIDATION_BATCH, &g));
    const skive_status status = skv_evaluate(s->ctx, g, s->fit->validation, VALIDATION_BATCH, false, &r);
    skive_graph_free(g);
    SKV_TRY(status);
    if (r.task == SKIVE_TASK_CLASSES || r.task == SKIVE_TASK_BINARY) row->validation_accuracy = r.accuracy;
    row->validation_loss = r.loss;
    row->validation_rmse = r.rmse;
    row->validation_r2 = r.r2;
    row->validation_f1 = r.task == SKIVE_TASK_LABELS ? r.f1_micro : r.f1_macro;
    skive_eval_report_free(s->ctx, &r);
    return SKIVE_OK;
}

static skive_status one_batch(fit_state *s, const skive_batch *batch, double rate, double *loss, int64_t *correct) {
    SKV_TRY(skv_trainer_feed(s->trainer, &batch->x, &batch->y));
    return skv_trainer_step(s->trainer, rate, loss, correct);
}

/* The step, counted from the start of the run, from which on masks rest. */
static double rest_of_masks(const fit_state *s) {
    return s->fit->mover->until * (double)s->o->epochs * (double)s->batches;
}

static skive_status move_masks(fit_state *s, int64_t steps_done) {
    const skv_mask_mover *mover = s->fit->mover;
    bool moved = false;
    if (!mover) return SKIVE_OK;
    SKV_TRY(mover->move(mover->user, steps_done, rest_of_masks(s), skv_trainer_live_masks(s->trainer), &moved));
    if (moved) skv_trainer_show_masks(s->trainer);
    return SKIVE_OK;
}

static skive_status one_epoch(fit_state *s, int epoch, skive_epoch_report *row) {
    const skv_schedule *schedule = skv_schedule_find(s->o->schedule);
    const double started = skv_now();
    double loss_sum = 0, rate = 0;
    int64_t right = 0, seen = 0;
    SKV_TRY(skive_loader_start_epoch(s->loader, (uint64_t)epoch));
    for (size_t i = 0; i < s->batches; i++) {
        skive_batch batch;
        double loss;
        int64_t correct = 0;
        SKV_TRY(skive_loader_next(s->loader, &batch));
        if (batch.end) break;
        rate = skv_schedule_rate(schedule, s->o, epoch + ((double)i + 1) / (double)s->batches);
        SKV_TRY(one_batch(s, &batch, rate, &loss, &correct));
        SKV_TRY(move_masks(s, (int64_t)epoch * (int64_t)s->batches + (int64_t)i + 1));
        loss_sum += loss * (double)batch.count;
        right += correct;
        seen += (int64_t)batch.count;
        char accuracy[32] = "";
        if (s->info.labelled)
            snprintf(accuracy, sizeof accuracy, "  accuracy %.2f %%", 100.0 * (double)right / (double)seen);
        SKV_TRY(skv_progress_at(&s->progress, (double)epoch * (double)s->batches + (double)i + 1,
                                "epoch %d/%d  loss %.4f%s", epoch + 1, s->o->epochs, loss_sum / (double)seen,
                                accuracy));
    }
    row->epoch = epoch + 1;
    row->loss = loss_sum / (double)(seen ? seen : 1);
    row->train_accuracy = s->info.labelled ? (double)right / (double)(seen ? seen : 1) : NAN;
    row->learning_rate = rate;
    SKV_TRY(validate(s, row));
    row->seconds = skv_now() - started;
    return SKIVE_OK;
}

/* ---- the run ---- */

static skive_status set_up(fit_state *s) {
    const skive_train_options *o = s->o;
    SKV_TRY(skv_train_options_check(s->ctx, o));
    SKV_TRY(skv_targets_of(s->ctx, s->fit->train, &s->targets));
    s->info = s->targets.info;
    SKV_TRY(check_fit(s));
    SKV_TRY(skv_head_find(s->ctx, s->fit->model, &s->targets, &s->head)); /* refused with the model's own shapes */
    s->batch = o->batch < (int64_t)s->info.count ? o->batch : (int64_t)s->info.count;
    if (s->batch < 1) return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->info.spec, "%s: no training samples", s->info.spec);
    SKV_TRY(skive_graph_copy(s->ctx, s->fit->model, &s->current));
    SKV_TRY(skv_params_mark_trainable(s->current));
    SKV_TRY(skv_params_choose(s->current, o));
    SKV_TRY(skv_params_unshare(s->current));
    SKV_TRY(skive_graph_copy(s->ctx, s->current, &s->best));
    SKV_TRY(skv_params_unshare(s->best));
    SKV_TRY(skv_run_settings(s->ctx, s->fit, s->current, &s->settings));
    s->point = (skv_checkpoint){.settings = s->settings.data, .epochs = o->epochs, .may_extend = !s->fit->mover};
    SKV_TRY(skv_class_weights(s->ctx, o->class_weights, s->fit->train, &s->class_weights));
    SKV_TRY(build_trainer(s));
    skive_loader_options l = skive_loader_options_default();
    l.batch = (size_t)s->batch;
    l.drop_last = true;
    l.seed = o->seed;
    l.transforms = o->augment;
    SKV_TRY(skv_feed_loader(s->ctx, &s->feed, s->fit->train, &l, &s->loader));
    s->batches = skive_loader_batches(s->loader);
    return skv_alloc_array(s->ctx, (size_t)o->epochs + 1, sizeof *s->report.epochs, &s->report.epochs);
}

/* Keeps the parameters of the best epoch; without a validation set, and while masks still move, the last one counts as
 * best. */
static skive_status keep_if_best(fit_state *s, const skive_epoch_report *row) {
    const bool rest = !s->fit->mover || (double)row->epoch * (double)s->batches >= rest_of_masks(s);
    bool better = true;
    if (s->o->keep_best && rest && !isnan(row->validation_loss)) {
        SKV_TRY(skv_best_better(s->ctx, s->o->best, row, &s->point, &better));
        s->report.best_by = skv_best_rule(s->o->best, row);
    } else {
        s->point.best = s->point.tie = -INFINITY;
    }
    if (!better) return SKIVE_OK;
    s->point.best_epoch = row->epoch;
    skv_params_copy_values(s->best, s->current);
    return SKIVE_OK;
}

static void log_epoch(const fit_state *s, const skive_epoch_report *row) {
    char train[48] = "", validation[48] = "";
    if (!isnan(row->train_accuracy)) snprintf(train, sizeof train, "  train %.2f %%", 100 * row->train_accuracy);
    if (!isnan(row->validation_accuracy))
        snprintf(validation, sizeof validation, "  validation %.2f %%", 100 * row->validation_accuracy);
    else if (!isnan(row->validation_rmse))
        snprintf(validation, sizeof validation, "  validation RMSE %.6g", row->validation_rmse);
    else if (!isnan(row->validation_loss))
        snprintf(validation, sizeof validation, "  validation loss %.4f", row->validation_loss);
    skv_log(s->ctx, SKIVE_LOG_INFO, "%s epoch %d/%d  loss %.4f%s%s  rate %.5f  %.1f s", s->fit->what, row->epoch,
            s->o->epochs, row->loss, train, validation, row->learning_rate, row->seconds);
}

/* A rate that is too high can leave a network that answers always the same, without any number becoming NaN. */
static void note_chance(const fit_state *s) {
    if (!s->info.labelled || s->info.classes < 2) return;
    for (size_t i = 0; i < s->report.n_epochs; i++) {
        const skive_epoch_report *row = &s->report.epochs[i];
        const bool validated = !isnan(row->validation_accuracy);
        const double accuracy = validated ? row->validation_accuracy : row->train_accuracy;
        if (row->epoch != s->point.best_epoch || accuracy > 1.2 / (double)s->info.classes + 0.005) continue;
        skv_note(s->ctx,
                 "%s ended at %.1f %% of the %s samples, no better than guessing among %lld classes: try a lower "
                 "learning rate or --clip-norm",
                 s->fit->what, 100 * accuracy, validated ? "validation" : "training", (long long)s->info.classes);
    }
}

static void tell_resumed(const fit_state *s) {
    const skv_checkpoint *p = &s->point;
    skv_note(s->ctx, "resumed after epoch %d from %s", p->epoch, s->o->checkpoint);
    if (p->run_epochs != p->epochs) {
        skv_note(s->ctx,
                 "that run was planned with %d epochs: the learning rates until epoch %d were those for %d epochs, now "
                 "they are those for %d",
                 p->run_epochs, p->epoch, p->run_epochs, p->epochs);
    } else if (p->epoch == p->epochs) {
        skv_note(s->ctx, "all %d epochs are done; give more epochs to continue training", p->epochs);
    }
}

static skive_status loop(fit_state *s) {
    const double started = skv_now();
    bool resumed = false;
    if (s->o->checkpoint) {
        SKV_TRY(skv_checkpoint_load(s->ctx, s->o->checkpoint, &s->point, s->current, s->best, s->trainer, &resumed));
        if (resumed) tell_resumed(s);
    }
    skv_progress_start(&s->progress, s->ctx, s->fit->what, (double)s->o->epochs * (double)s->batches);
    s->progress.done_before = (double)s->point.epoch * (double)s->batches;
    for (int epoch = s->point.epoch; epoch < s->o->epochs; epoch++) {
        skive_epoch_report *row = &s->report.epochs[s->report.n_epochs];
        SKV_TRY(one_epoch(s, epoch, row));
        s->report.n_epochs++;
        SKV_TRY(keep_if_best(s, row));
        s->point.epoch = epoch + 1;
        s->report.best_epoch = s->point.best_epoch;
        s->report.seconds = skv_now() - started;
        s->report.samples_per_second =
            (double)s->report.n_epochs * (double)s->batches * (double)s->batch / s->report.seconds;
        log_epoch(s, row);
        if (s->o->checkpoint) {
            SKV_TRY(skv_checkpoint_save(s->ctx, s->o->checkpoint, &s->point, s->current, s->best, s->trainer));
        }
    }
    s->report.best_epoch = s->point.best_epoch;
    note_chance(s);
    return SKIVE_OK;
}

/* So that other sets of these classes are matched by name. */
static skive_status keep_class_names(const fit_state *s) {
    const int64_t classes = s->head.task == SKIVE_TASK_BINARY ? 2 : s->head.scores;
    if (!s->info.class_names || s->info.classes != classes) return SKIVE_OK;
    return skive_model_set_class_names(s->fit->model, s->info.class_names, classes);
}

static skive_status run(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    fit_state s = {.ctx = ctx, .fit = fit, .o = fit->options};
    skv_text_init(&s.settings, ctx);
    skive_status status = set_up(&s);
    if (status == SKIVE_OK) status = loop(&s);
    /* An interrupted run keeps what its finished epochs reached. */
    if (s.point.epoch > 0 && (status == SKIVE_OK || status == SKIVE_ERR_INTERRUPTED)) {
        skv_params_assign(fit->model, s.best);
        /* The data told what the output means; the model says it from now on. */
        if (!s.head.from && s.head.kind != SKIVE_OUTPUT_LOGITS) {
            const skive_status told = skive_model_set_output(fit->model, NULL, skive_output_kind_name(s.head.kind));
            if (told != SKIVE_OK) status = told;
        }
        const skive_status named = keep_class_names(&s);
        if (named != SKIVE_OK) status = named;
    }
    skive_loader_free(s.loader);
    skv_feed_free(&s.feed);
    skv_trainer_free(s.trainer);
    skv_text_free(&s.settings);
    skv_free(ctx, s.class_weights);
    skive_graph_free(s.current);
    skive_graph_free(s.best);
    if (report && (status == SKIVE_OK || status == SKIVE_ERR_INTERRUPTED)) {
        *report = s.report;
    } else {
        skive_train_report_free(ctx, &s.report);
        if (report) *report = (skive_train_report){0};
    }
    return status;
}

/* Targets of a regression come in any size; standardised, one learning rate serves all. */
static skive_status run_any(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    skv_targets targets;
    skv_head head;
    if (fit->options->epochs < 1 || fit->options->raw_targets) return run(ctx, fit, report);
    SKV_TRY(skv_targets_of(ctx, fit->train, &targets));
    if (targets.form == SKV_TARGET_CLASSES || targets.info.count < 1) return run(ctx, fit, report);
    SKV_TRY(skv_head_find(ctx, fit->model, &targets, &head));
    if (head.task != SKIVE_TASK_VALUES || !skv_loss_for(fit->options, &head)->on_output) return run(ctx, fit, report);
    return skv_fit_values(ctx, fit, &targets, report, run);
}

/* A hashed layer in the form of standard ONNX is trained as the HashedGemm it stands for: as entries of a codebook its
 * values and their negatives would part. */
static skive_status run_hashed(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    skive_train_report r = {0};
    skv_fit twin = *fit;
    skive_status status, trained;
    twin.model = NULL;
    SKV_GO(status, done, skive_graph_copy(ctx, fit->model, &twin.model));
    SKV_GO(status, done, skv_params_mark_trainable(twin.model));
    SKV_GO(status, done, skv_graph_to_hashed(twin.model));
    SKV_GO(status, done, skive_graph_infer(twin.model));
    status = trained = run_any(ctx, &twin, &r);
    if (trained == SKIVE_OK || (trained == SKIVE_ERR_INTERRUPTED && r.n_epochs > 0)) {
        SKV_GO(status, done, skv_hashed_assign(fit->model, twin.model));
        skv_params_assign(fit->model, twin.model);
        status = trained;
    }
done:
    skive_graph_free(twin.model);
    if (status != SKIVE_OK && status != SKIVE_ERR_INTERRUPTED) skive_train_report_free(ctx, &r);
    if (report)
        *report = r;
    else
        skive_train_report_free(ctx, &r);
    return status;
}

skive_status skv_fit_run(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    return (skv_graph_tells_hashed(fit->model) ? run_hashed : run_any)(ctx, fit, report);
}
