/* The training loop that training, fine-tuning and distillation share.
 *
 * Three graphs look at the same parameter storages: the trainer's (with loss and gradients), `current` (the model in
 * its own form, for validation), and at the end the caller's. The caller's is only touched when an epoch is complete.
 * */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/callbacks/averages.h"
#include "train/fit_state.h"
#include "train/metrics/choices.h"

/* ---- the graph with its loss ---- */

/* Before the first epoch, not behind it. */
static skive_status check_metrics(const fit_state *s) {
    unsigned tasks = 0;
    if (!s->o->metrics) return SKIVE_OK;
    if (!s->fit->validation)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "metrics",
                           "metrics are those of validation, and there is no validation set; leave them out");
    for (size_t k = 0; k < s->goals.n; k++) tasks |= SKV_OF(s->goals.items[k].head.task);
    return skv_choices_check(s->ctx, s->o->metrics, tasks);
}

static skive_status check_weights(const fit_state *s) {
    if (s->fit->objective != &skv_objective_labels || s->goals.n == 0) return SKIVE_OK;
    for (size_t k = 0; k < s->goals.n; k++)
        if (s->goals.items[k].weight > 0) return SKIVE_OK;
    return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "outputs",
                       "all outputs have the weight 0 in the loss, so that nothing would be learnt");
}

static skive_status check_sequences(const fit_state *s) {
    for (size_t k = 0; k < s->goals.n; k++) {
        const skv_goal *goal = &s->goals.items[k];
        const skive_type *type = &goal->head.value->type;
        SKV_TRY(skv_sequences_check(s->ctx, s->fit->train, goal->target, &goal->head,
                                    type->rank == 3 ? type->dims[2].size : -1));
    }
    return SKIVE_OK;
}

static skive_status check_fit(fit_state *s) {
    const skive_graph *g = s->fit->model;
    if (g->n_inputs < 1 || g->n_outputs < 1) {
        return SKV_FAIL(s->ctx, SKIVE_ERR_ARGUMENT,
                        "training needs a model with an input and an output; this one has %u and %u", g->n_inputs,
                        g->n_outputs);
    }
    skive_dataset_info info;
    skive_dataset_get_info(s->fit->train, &info);
    SKV_TRY(skv_feeds_make(s->ctx, g, &info, &s->feeds));
    skv_feeds_tell(&s->feeds, "model");
    SKV_TRY(check_metrics(s));
    SKV_TRY(check_weights(s));
    SKV_TRY(check_sequences(s));
    return skv_objective_check(s->ctx, s->fit->objective);
}

/* The data told what an output means; the model says it from now on. */
static skive_status say_kinds(const fit_state *s, skive_graph *g) {
    for (size_t k = 0; k < s->goals.n && s->goals.chosen; k++) {
        const skv_head *h = &s->goals.items[k].head;
        if (!h->from && h->kind != SKIVE_OUTPUT_LOGITS) SKV_TRY(skv_head_set_kind(g, g->outputs[h->output], h->kind));
    }
    if (s->goals.chosen || s->head.from || s->head.kind == SKIVE_OUTPUT_LOGITS) return SKIVE_OK;
    return skive_model_set_output(g, NULL, skive_output_kind_name(s->head.kind));
}

skive_status skv_fit_build_problem(fit_state *s, const skive_graph *model, bool quiet, skv_problem *out) {
    const skv_fit *fit = s->fit;
    const skv_problem_setup setup = {.model = model,
                                     .feeds = &s->feeds,
                                     .targets = &s->targets,
                                     .goals = &s->goals,
                                     .objective = fit->objective,
                                     .options = s->o,
                                     .scale = fit->scale,
                                     .class_weights = s->class_weights,
                                     .batch = s->batch,
                                     .shares = s->shares,
                                     .apart = true,
                                     .quiet = quiet};
    SKV_TRY(skv_problem_build(s->ctx, &setup, out));
    s->head = out->head;
    return SKIVE_OK;
}

skv_trainer_setup skv_fit_trainer_setup(const fit_state *s, const skv_problem *p) {
    const skv_fit *fit = s->fit;
    return (skv_trainer_setup){.graph = p->graph,
                               .input = p->inputs[0],
                               .labels = p->labels,
                               .loss = p->loss,
                               .logits = p->logits,
                               .updates = p->updates,
                               .n_updates = p->n_updates,
                               .memories = p->memories.items,
                               .n_memories = p->memories.n,
                               .options = s->o,
                               .rules = s->rules.items,
                               .n_rules = s->rules.n,
                               .hooks = fit->hooks,
                               .n_hooks = fit->n_hooks,
                               .validated = fit->validation != NULL,
                               .model = s->current,
                               .steps = skv_growth_before(&s->growth, s->o->epochs),
                               .reserve = skv_fit_reserve(s->ctx, s->current, &s->feeds, fit->validation),
                               .batch = s->batch,
                               .shares = s->shares > 0};
}

static skive_status build_trainer(fit_state *s) {
    skv_problem *p = &s->problem;
    SKV_TRY(skv_fit_build_problem(s, s->current, false, p));
    /* What all targets told holds for the few of a validation set. */
    SKV_TRY(say_kinds(s, s->current));
    SKV_TRY(skv_fit_make_answers(s));
    const skv_trainer_setup trainer = skv_fit_trainer_setup(s, p);
    SKV_TRY(skv_trainer_create(s->ctx, &trainer, &s->trainer));
    p->graph = NULL; /* the trainer's now */
    return SKIVE_OK;
}

/* ---- one epoch ---- */

/* What squared errors are divided by; 1 without a scale. */
static double mean_square(const skv_target_scale *scale) {
    double sum = 0;
    for (int64_t i = 0; i < scale->n; i++) sum += scale->std[i] * scale->std[i];
    return scale->n ? sum / (double)scale->n : 1;
}

/* Of several outputs the weighted sum of the losses, and what each of them reached. */
static void validate_more(const fit_state *s, const skive_eval_report *r, skive_epoch_report *row) {
    row->validation_loss = 0;
    for (size_t k = 0; k <= r->n_more && k < s->goals.n; k++) {
        const skive_eval_report *one = k ? &r->more[k - 1] : r;
        const skv_goal *goal = &s->goals.items[k];
        const double unit = mean_square(&goal->scale);
        row->validation_loss += goal->weight * one->loss / unit;
        if (k >= SKIVE_MOST_OUTPUTS) continue;
        row->outputs[row->n_outputs++] = (skive_output_figures){
            .output = one->output.index,
            .loss = one->loss,
            .accuracy = one->task == SKIVE_TASK_VALUES || one->task == SKIVE_TASK_LABELS ? NAN : one->accuracy,
            .rmse = one->rmse};
    }
}

/* Whether the figures that are asked for can be had is known from the model and the data, before the first epoch. */
static skive_status check_figures(const fit_state *s) {
    skive_graph *g = NULL;
    skive_eval_report r;
    const skv_evaluation how = {
        .batch = SKV_VALIDATION_BATCH, .metrics = s->o->metrics, .outputs = s->o->outputs, .check_only = true};
    if (!s->o->metrics || !s->fit->validation) return SKIVE_OK;
    SKV_TRY(skv_problem_bind(s->ctx, s->current, &s->feeds, SKV_VALIDATION_BATCH, &g));
    const skive_status status = skv_evaluate(s->ctx, g, s->fit->validation, &how, &r);
    skive_graph_free(g);
    if (status == SKIVE_OK) skive_eval_report_free(s->ctx, &r);
    return status;
}

static void clear_figures(skive_epoch_report *row) {
    row->validation_accuracy = row->validation_loss = row->validation_f1 = NAN;
    row->validation_rmse = row->validation_r2 = NAN;
    row->n_outputs = 0;
    for (size_t i = 0; i < SKIVE_EPOCH_FIGURES; i++) row->figures[i] = NAN;
}

/* Of regression and of several labels a sample, which have no one accuracy, the loss decides. */
static skive_status validate(fit_state *s, skive_epoch_report *row) {
    skive_eval_report r;
    clear_figures(row);
    if (!s->fit->validation) return SKIVE_OK;
    /* A model made for one sample is not validated one by one. */
    skive_graph *g = NULL;
    SKV_TRY(skv_problem_bind(s->ctx, s->current, &s->feeds, SKV_VALIDATION_BATCH, &g));
    const skv_evaluation how = {
        .batch = SKV_VALIDATION_BATCH, .named = s->o->best, .metrics = s->o->metrics, .outputs = s->o->outputs};
    const skive_status status = skv_evaluate(s->ctx, g, s->fit->validation, &how, &r);
    skive_graph_free(g);
    SKV_TRY(status);
    if (r.hit && r.task != SKIVE_TASK_LABELS) row->validation_accuracy = r.accuracy;
    row->validation_loss = r.loss;
    row->validation_rmse = r.rmse;
    row->validation_r2 = r.r2;
    row->validation_f1 = r.task == SKIVE_TASK_LABELS ? r.f1_micro : r.f1_macro;
    for (size_t i = 0, k = 0; i < skv_metric_count() && i < SKIVE_EPOCH_FIGURES && k < r.n_figures; i++)
        if (strcmp(r.figures[k].name, skv_metric_name(i)) == 0) row->figures[i] = r.figures[k++].value;
    if (r.n_more) validate_more(s, &r, row);
    skive_eval_report_free(s->ctx, &r);
    return SKIVE_OK;
}

/* Factors on terms that change as the run goes on. */
static skive_status feed_courses(fit_state *s, double epoch) {
    const skv_objective *objective = s->fit->objective;
    for (size_t i = 0; i < objective->n_terms; i++) {
        const skv_term *t = &objective->terms[i];
        if (!s->problem.courses[i]) continue;
        float factor = (float)skv_term_factor(t, s->o, epoch);
        const skive_tensor scalar = {.dtype = SKIVE_F32, .data = &factor};
        SKV_TRY(skv_trainer_feed(s->trainer, s->problem.courses[i]->name, &scalar));
    }
    return SKIVE_OK;
}

static skive_status feed_indices(fit_state *s, const skive_batch *batch) {
    if (!s->problem.indices) return SKIVE_OK;
    for (size_t i = 0; i < batch->count; i++) s->indices[i] = (int64_t)batch->indices[i];
    const skive_tensor view = {.dtype = SKIVE_I64, .rank = 1, .dims = {(int64_t)batch->count}, .data = s->indices};
    return skv_trainer_feed(s->trainer, SKV_INDICES_INPUT, &view);
}

skive_status skv_fit_feed_batch(fit_state *s, const skive_batch *batch, double epoch) {
    for (size_t i = 0; i < s->feeds.n; i++)
        SKV_TRY(skv_trainer_feed(s->trainer, s->feeds.items[i].input, &batch->inputs[i]));
    for (size_t k = 0; k < s->goals.n; k++) {
        char name[SKV_LABELS_NAME];
        SKV_TRY(skv_trainer_feed(s->trainer, skv_labels_name(k, name), &batch->targets[s->goals.items[k].target]));
    }
    SKV_TRY(feed_indices(s, batch));
    if (s->answers) SKV_TRY(skv_answers_feed(s->answers, &s->taught, s->view, s->trainer));
    return feed_courses(s, epoch);
}

/* See skv_watch: batches of the epoch that ended, as it saw them; before the first one, those that it will see. */
static skive_status replay(const skv_watch *w, int64_t most, skive_status (*each)(void *self, skv_trainer *t),
                           void *self) {
    fit_state *s = w->run;
    SKV_TRY(skv_fit_start(s, w->epoch > 0 ? (uint64_t)w->epoch - 1 : 0, 0));
    for (int64_t i = 0; i < most && i < (int64_t)s->batches; i++) {
        skive_batch batch;
        skv_step step;
        SKV_TRY(skv_fit_next(s, &batch));
        if (batch.end) break;
        SKV_TRY(skv_fit_feed_batch(s, &batch, w->epoch));
        SKV_TRY(skv_trainer_forward_backward(s->trainer, 0, &step));
        SKV_TRY(each(self, s->trainer));
    }
    return SKIVE_OK;
}

static skv_watch where(fit_state *s, int epoch, int64_t steps, const skive_epoch_report *row) {
    return (skv_watch){.steps = steps,
                       .epoch = epoch,
                       .epochs = s->o->epochs,
                       .batches = s->batches,
                       .trainer = s->trainer,
                       .row = row,
                       .replay = replay,
                       .run = s};
}

static skive_status watch_step(fit_state *s, int epoch) {
    const skv_watch w = where(s, epoch, s->point.steps + 1, NULL);
    for (size_t i = 0; i < s->fit->n_watchers; i++) {
        const skv_watcher *watcher = &s->fit->watchers[i];
        if (watcher->step) SKV_TRY(watcher->step(watcher->self, &w));
    }
    return SKIVE_OK;
}

static skive_status watch_epoch(fit_state *s, const skive_epoch_report *row, bool *counts, bool *stop) {
    const skv_watch w = where(s, row->epoch, s->point.steps, row);
    for (size_t i = 0; i < s->fit->n_watchers; i++) {
        const skv_watcher *watcher = &s->fit->watchers[i];
        if (watcher->epoch) SKV_TRY(watcher->epoch(watcher->self, &w, counts, stop));
    }
    return skv_callbacks_epoch(s->trainer, &w, counts, stop);
}

/* Everything that the next step starts from. The loader's order and the random numbers follow from the epoch. */
static skive_status show_states(void *user, skv_states *states) {
    fit_state *s = user;
    SKV_TRY(skv_trainer_states(s->trainer, states));
    SKV_TRY(skv_course_states(&s->course, states));
    SKV_TRY(skv_state(states, "run", "stopped", &s->stopped, 1, sizeof s->stopped));
    SKV_TRY(skv_journal_states(s->journal, states));
    SKV_TRY(skv_growth_states(&s->growth, states));
    for (uint32_t i = 0; i < s->best->n_values; i++) {
        const skive_value *v = s->best->values[i];
        const skive_tensor *t = skv_value_tensor(v);
        if (t && t->dtype == SKIVE_F32)
            SKV_TRY(skv_state(states, v->name, "best epoch", t->data, (size_t)skive_tensor_count(t), sizeof(float)));
    }
    for (size_t i = 0; i < s->fit->n_watchers; i++) {
        const skv_watcher *w = &s->fit->watchers[i];
        if (w->states) SKV_TRY(w->states(w->self, states));
    }
    return SKIVE_OK;
}

static skive_status save_point(fit_state *s) {
    if (!s->saving.path) return SKIVE_OK;
    SKV_TRY(skv_journal_sync(s->journal));
    const skive_status status = skv_checkpoint_save(s->ctx, s->saving.path, &s->point, show_states, s);
    s->saving.last_step = s->point.steps;
    s->saving.last_time = skv_now();
    return status;
}

static void count_batch(skv_checkpoint *p, const skive_batch *batch, double loss, int64_t correct) {
    p->steps++;
    p->in_epoch++;
    p->loss_sum += loss * (double)batch->count;
    p->right += correct;
    p->seen += (int64_t)batch->count;
}

/* Is the right class counted in each step? */
static bool has_accuracy(const fit_state *s) {
    return s->info.labelled && s->head.task <= SKIVE_TASK_VALUES && !s->fit->objective->partly;
}

static skive_status report_progress(fit_state *s, int epoch) {
    const skv_checkpoint *p = &s->point;
    char accuracy[32] = "", loss[24];
    if (has_accuracy(s))
        snprintf(accuracy, sizeof accuracy, "  accuracy %.2f %%", 100.0 * (double)p->right / (double)p->seen);
    return skv_progress_at(&s->progress, (double)p->steps, "epoch %d/%d  loss %s%s", epoch + 1, s->o->epochs,
                           skv_fit_loss_text(p->loss_sum / (double)p->seen, loss, sizeof loss), accuracy);
}

/* The statistics are those of the weights that are shown now; training itself does not read them. */
static skive_status renew_statistics(fit_state *s, const skv_watch *w) {
    if (s->fit->renew_batches < 1 || skv_trainer_statistics(s->trainer) == 0) return SKIVE_OK;
    if (!s->renewed) {
        SKV_TRY(skv_alloc_array(s->ctx, (size_t)skv_trainer_statistics(s->trainer), sizeof *s->renewed, &s->renewed));
        s->renewed_after = -1;
    }
    if (s->renewed_after != w->epoch) SKV_TRY(skv_statistics_renewed(w, s->fit->renew_batches, s->renewed));
    s->renewed_after = w->epoch;
    skv_trainer_set_norms(s->trainer, s->renewed);
    return SKIVE_OK;
}

/* Done with the model that is to be written, which callbacks may put in the place of the one that is trained. */
static skive_status show_and(fit_state *s, skive_epoch_report *row,
                             skive_status (*what)(fit_state *s, skive_epoch_report *row)) {
    const skv_watch w = where(s, row->epoch, s->point.steps, row);
    SKV_TRY(skv_callbacks_show(s->trainer, &w, true));
    skive_status status = renew_statistics(s, &w);
    if (status == SKIVE_OK) status = what(s, row); /* also where it was interrupted, before a checkpoint is written */
    SKV_TRY(skv_callbacks_show(s->trainer, &w, false));
    return status;
}

/* The samples of the epoch, and the graph that the trainer has in it. */
static skive_status choose_samples(fit_state *s, int epoch) {
    s->batches = skv_growth_batches(&s->growth, epoch);
    SKV_TRY(skv_fit_enter_stage(s, epoch));
    SKV_TRY(skv_growth_begin(&s->growth, epoch, s->current));
    skv_loader_choose(s->loader, s->growth.order, skv_growth_samples(&s->growth, epoch));
    if (s->teacher_loader) skv_loader_choose(s->teacher_loader, s->growth.order, skv_growth_samples(&s->growth, epoch));
    return SKIVE_OK;
}

static skive_status one_epoch(fit_state *s, int epoch, skive_epoch_report *row) {
    skv_checkpoint *p = &s->point;
    const double started = skv_now() - p->seconds;
    double rate = skv_callbacks_rate(s->trainer, epoch + 1, skv_course_rate(&s->course, epoch + 1));
    SKV_TRY(choose_samples(s, epoch));
    SKV_TRY(skv_fit_start(s, (uint64_t)epoch, (size_t)p->in_epoch));
    for (size_t i = (size_t)p->in_epoch; i < s->batches; i++) {
        skive_batch batch;
        double loss;
        int64_t correct = 0;
        const double asked = skv_now();
        SKV_TRY(skv_fit_next(s, &batch));
        const double waited = skv_now() - asked;
        if (batch.end) break;
        const double at = epoch + ((double)i + 1) / (double)s->batches;
        rate = skv_callbacks_rate(s->trainer, at, skv_course_rate(&s->course, at));
        s->between = false;
        SKV_TRY(skv_fit_feed_batch(s, &batch, at));
        const skive_status done = skv_trainer_step(s->trainer, rate, &loss, &correct);
        SKV_TRY(skv_tell_bad_batch(s->ctx, done, s->fit->train, &batch, skv_trainer_bad_row(s->trainer), &s->saving));
        SKV_TRY(watch_step(s, epoch));
        count_batch(p, &batch, loss, correct);
        const double seconds = skv_now() - started;
        const skv_journal_step step = {.at = at,
                                       .step = p->steps,
                                       .ends = i + 1 == s->batches,
                                       .in_epoch = p->in_epoch,
                                       .batches = (int64_t)s->batches,
                                       .loss = loss,
                                       .right = correct,
                                       .samples = (int64_t)batch.count,
                                       .rate = rate,
                                       .seconds = seconds - p->seconds,
                                       .waited = waited};
        p->seconds = seconds;
        p->waited += waited;
        s->report.waited += waited;
        SKV_TRY(skv_journal_count(s->journal, &step));
        s->between = true;
        if (skv_saving_due(&s->saving, p->steps)) SKV_TRY(save_point(s));
        SKV_TRY(report_progress(s, epoch));
    }
    const double seen = p->seen ? (double)p->seen : 1;
    row->epoch = epoch + 1;
    row->loss = p->loss_sum / seen;
    row->train_accuracy = has_accuracy(s) ? (double)p->right / seen : NAN;
    row->learning_rate = rate;
    SKV_TRY(show_and(s, row, validate));
    row->seconds = skv_now() - started;
    return SKIVE_OK;
}

/* ---- the run ---- */

const char *skv_fit_counts_steps(const skv_fit *fit) {
    for (size_t i = 0; i < fit->n_watchers; i++)
        if (fit->watchers[i].needs_length) return fit->watchers[i].name;
    return skv_callbacks_need_length(fit->options);
}

/* Do the transforms mix labels? Then a row has a number for each score of the model. */
static skive_status find_shares(fit_state *s) {
    skv_transform_list list;
    SKV_TRY(skv_transforms_parse(s->ctx, s->o->augment, &list));
    if (s->info.labelled && !s->info.label_rank && skv_transforms_mixing(&list))
        s->shares = s->head.task == SKIVE_TASK_BINARY ? 2 : s->head.scores > 0 ? s->head.scores : s->info.classes;
    if (s->fit->objective->partly && s->shares)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "augment",
                           "transforms that mix samples need the labels of all, and some have none");
    if (s->fit->objective->partly && s->o->curriculum)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "curriculum",
                           "a curriculum needs the labels of all samples, and some have none");
    return SKIVE_OK;
}

static skive_status weigh_classes(fit_state *s) {
    const char *text = s->o->class_weights;
    if (!s->goals.chosen) return skv_class_weights(s->ctx, text, s->fit->train, &s->class_weights);
    for (size_t k = 0; text && k < s->goals.n; k++) {
        skv_goal *goal = &s->goals.items[k];
        if (goal->targets.info.labelled)
            SKV_TRY(
                skv_class_weights(s->ctx, text, skv_dataset_answer(s->fit->train, goal->target), &goal->class_weights));
    }
    return SKIVE_OK;
}

/* Of several outputs, those of values have their differences divided by the deviation of the targets, so that their
 * units do not decide how much they weigh beside the others; the outputs themselves stay in these units. */
static skive_status scale_goals(fit_state *s) {
    for (size_t k = 0; k < s->goals.n && s->goals.chosen; k++) {
        skv_goal *goal = &s->goals.items[k];
        const skv_loss *loss = goal->loss ? goal->loss : skv_loss_for(s->o, &goal->head);
        if (goal->head.task != SKIVE_TASK_VALUES || !loss->on_output || loss->raw || s->o->raw_targets) continue;
        SKV_TRY(
            skv_target_scale_of(s->ctx, skv_dataset_answer(s->fit->train, goal->target), &goal->targets, &goal->scale));
        skv_note(s->ctx, "target '%s': the loss divides differences by the targets' deviation (%.6g%s)",
                 skv_goal_name(goal), goal->scale.std[0], goal->scale.n > 1 ? " of the first value" : "");
    }
    return SKIVE_OK;
}

static skive_status set_up(fit_state *s) {
    const skive_train_options *o = s->o;
    SKV_TRY(skv_train_options_check(s->ctx, o));
    SKV_TRY(skv_course_start(s->ctx, o, &s->course));
    SKV_TRY(skv_goals_find(s->ctx, s->fit->model, s->fit->train, o->outputs, &s->goals));
    s->targets = s->goals.items[0].targets;
    s->info = s->targets.info;
    s->head = s->goals.items[0].head;
    SKV_TRY(check_fit(s));
    SKV_TRY(skv_fit_tell_idle(s->ctx, &s->course, s->info.labelled && s->goals.n < 2));
    SKV_TRY(find_shares(s));
    SKV_TRY(skv_fit_check_views(s));
    s->batch = o->batch < (int64_t)s->info.count ? o->batch : (int64_t)s->info.count;
    if (s->batch < 1) return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->info.spec, "%s: no training samples", s->info.spec);
    SKV_TRY(skive_graph_copy(s->ctx, s->fit->model, &s->current));
    SKV_TRY(skv_params_mark_trainable(s->current));
    SKV_TRY(skv_params_choose(s->current, o, s->fit->rules, s->fit->n_rules));
    SKV_TRY(skv_rule_uses_collect(s->current, o->rules, s->fit->rules, s->fit->n_rules, &s->rules));
    SKV_TRY(skv_params_unshare(s->current));
    SKV_TRY(skive_graph_copy(s->ctx, s->current, &s->best));
    SKV_TRY(skv_params_unshare(s->best));
    SKV_TRY(skv_fit_set_up_growth(s));
    SKV_TRY(skv_fit_set_up_stages(s));
    SKV_TRY(skv_run_settings(s->ctx, s->fit, s->current, &s->settings));
    skv_growth_settings(&s->growth, &s->settings);
    s->point = (skv_checkpoint){.settings = s->settings.data,
                                .epochs = o->epochs,
                                .may_extend = !skv_fit_counts_steps(s->fit) && !o->curriculum && !o->progressive};
    SKV_TRY(weigh_classes(s));
    SKV_TRY(scale_goals(s));
    SKV_TRY(skv_journal_create(s->ctx, &s->journal));
    SKV_TRY(skv_alloc_array(s->ctx, (size_t)s->batch, sizeof *s->indices, &s->indices));
    SKV_TRY(skv_fit_make_loaders(s));
    skv_fit_tell_left_out(s->ctx, s->fit->train->count, (size_t)s->batch);
    SKV_TRY(check_figures(s));
    SKV_TRY(build_trainer(s)); /* the last to take memory: it can do with less */
    return skv_alloc_array(s->ctx, (size_t)o->epochs + 1, sizeof *s->report.epochs, &s->report.epochs);
}

/* Keeps the parameters of the best epoch; without a validation set, and where a watcher does not count an epoch, the
 * last one counts as best. */
static skive_status keep_if_best(fit_state *s, skive_epoch_report *row) {
    bool better = true;
    if (!s->counts && s->point.started) return SKIVE_OK;
    if (s->o->keep_best && s->counts && !isnan(row->validation_loss)) {
        SKV_TRY(skv_best_better(s->ctx, s->o->best, row, &s->point, &better));
        s->report.best_by = skv_best_rule(s->o->best, row);
    } else {
        for (size_t i = 0; i <= SKV_BEST_MOST; i++) s->point.best[i] = -INFINITY;
    }
    if (!better) return SKIVE_OK;
    s->point.best_epoch = row->epoch;
    skv_params_copy_values(s->best, s->current);
    return SKIVE_OK;
}

/* The model as it begins, which is kept unless an epoch is better. A resumed run knows its figures, or better ones. */
static skive_status validate_start(fit_state *s) {
    skive_epoch_report *row = &s->report.start;
    if (!s->fit->start_counts || !s->fit->validation || !s->o->keep_best) return SKIVE_OK;
    if (s->point.steps == 0) {
        s->counts = true;
        SKV_TRY(choose_samples(s, 0));
        SKV_TRY(show_and(s, row, validate));
        SKV_TRY(show_and(s, row, keep_if_best));
        if (isnan(row->validation_accuracy))
            skv_note(s->ctx, "before the training: validation loss %.6g", row->validation_loss);
        else
            skv_note(s->ctx, "before the training: validation %.2f %%", 100 * row->validation_accuracy);
    }
    s->point.started = true;
    return SKIVE_OK;
}

/* The next epoch begins: nothing of it is done. */
static void next_epoch(skv_checkpoint *p) {
    p->epoch++;
    p->in_epoch = p->right = p->seen = 0;
    p->loss_sum = p->seconds = p->waited = 0;
}

static skive_status resume(fit_state *s, bool *resumed) {
    *resumed = false;
    s->saving = skv_saving_of(s->o);
    if (!s->saving.path) return SKIVE_OK;
    SKV_TRY(skv_checkpoint_load(s->ctx, s->saving.path, &s->point, show_states, s, resumed));
    if (*resumed)
        skv_fit_tell_resumed(s->ctx, &s->point, skv_growth_batches(&s->growth, (int)s->point.epoch), s->saving.path,
                             s->stopped);
    else if (s->saving.must_exist)
        return skv_fail_at(s->ctx, SKIVE_ERR_IO, s->saving.path,
                           "%s: there is no such checkpoint to resume from; --checkpoint starts a run that has none",
                           s->saving.path);
    s->saving.last_step = s->point.steps;
    s->saving.last_time = skv_now();
    return SKIVE_OK;
}

/* A run that is asked to stop continues from the step that it reached. */
static skive_status save_interrupted(fit_state *s) {
    if (!s->between || s->saving.last_step == s->point.steps || save_point(s) == SKIVE_OK) return SKIVE_OK;
    skv_note(s->ctx, "the interrupted run cannot be continued from step %lld, but only from step %lld: %s",
             (long long)s->point.steps, (long long)s->saving.last_step, skive_context_message(s->ctx));
    return SKV_FAIL(s->ctx, SKIVE_ERR_INTERRUPTED, "interrupted during %s", s->fit->what);
}

static skive_status loop(fit_state *s) {
    const double started = skv_now();
    bool resumed = false;
    if (s->o->find_lr) return skv_fit_find_rate(s);
    SKV_TRY(resume(s, &resumed));
    if (s->o->epochs > 0) SKV_TRY(skv_fit_open_journal(s, resumed));
    skv_progress_start(&s->progress, s->ctx, s->fit->what, (double)skv_growth_before(&s->growth, s->o->epochs));
    s->progress.done_before = (double)s->point.steps;
    SKV_TRY(validate_start(s));
    const int64_t steps_before = s->point.steps;
    for (int epoch = (int)s->point.epoch; epoch < s->o->epochs && !s->stopped; epoch++) {
        skive_epoch_report *row = &s->report.epochs[s->report.n_epochs];
        bool counts = true, stop = false;
        SKV_TRY(one_epoch(s, epoch, row));
        s->between = false;
        s->report.n_epochs++;
        SKV_TRY(watch_epoch(s, row, &counts, &stop));
        s->stopped = stop;
        skv_course_watch(&s->course, skv_best_figure(s->o->best, row));
        s->counts = counts;
        SKV_TRY(show_and(s, row, keep_if_best));
        SKV_TRY(skv_journal_epoch(s->journal, row, &s->point));
        next_epoch(&s->point);
        s->report.best_epoch = (int)s->point.best_epoch;
        s->report.seconds = skv_now() - started;
        s->report.samples_per_second = (double)(s->point.steps - steps_before) * (double)s->batch / s->report.seconds;
        skv_fit_log_epoch(s->ctx, s->fit->what, s->o, row);
        SKV_TRY(save_point(s));
    }
    s->report.best_epoch = (int)s->point.best_epoch;
    skv_fit_note_chance(s->ctx, s->fit->what, &s->info, &s->report);
    return SKIVE_OK;
}

/* So that other sets of these classes are matched by name. */
static skive_status keep_class_names(const fit_state *s) {
    const int64_t classes = s->head.task == SKIVE_TASK_BINARY ? 2 : s->head.scores;
    if (!s->info.class_names || s->head.task > SKIVE_TASK_VALUES || s->info.classes != classes) return SKIVE_OK;
    return skive_model_set_class_names(s->fit->model, s->info.class_names, classes);
}

skive_status skv_fit_loop(skive_context *ctx, const skv_fit *fit, skive_train_report *report) {
    fit_state s = {.ctx = ctx, .fit = fit, .o = fit->options};
    s.report.start = (skive_epoch_report){.loss = NAN, .train_accuracy = NAN};
    clear_figures(&s.report.start);
    skv_text_init(&s.settings, ctx);
    skive_status status = set_up(&s);
    if (status == SKIVE_OK) status = loop(&s);
    if (status == SKIVE_ERR_INTERRUPTED && s.saving.path && save_interrupted(&s) != SKIVE_OK)
        status = SKIVE_ERR_INTERRUPTED; /* and a note says why less is kept */
    /* An interrupted run keeps what its finished epochs reached. */
    if (s.point.epoch > 0 && (status == SKIVE_OK || status == SKIVE_ERR_INTERRUPTED)) {
        skv_params_assign(fit->model, s.best);
        const skive_status told = say_kinds(&s, fit->model);
        if (told != SKIVE_OK) status = told;
        const skive_status carried = skv_rule_uses_carry(&s.rules, fit->model);
        if (carried != SKIVE_OK) status = carried;
        const skive_status named = keep_class_names(&s);
        if (named != SKIVE_OK) status = named;
    }
    skv_journal_close(s.journal, &s.point, status);
    skv_answers_free(s.answers);
    skive_loader_free(s.loader);
    skive_loader_free(s.teacher_loader);
    skv_growth_free(&s.growth);
    skv_feeds_free(&s.feeds);
    skv_trainer_free(s.trainer);
    skv_problem_free(ctx, &s.problem);
    skv_goals_free(&s.goals);
    skv_free(ctx, s.indices);
    skv_free(ctx, s.renewed);
    skv_rule_uses_free(ctx, &s.rules);
    skv_text_free(&s.settings);
    skv_free(ctx, s.class_weights);
    skive_graph_free(s.current);
    skive_graph_free(s.best);
    skv_fit_hand_over(ctx, status, &s.report, report);
    return status;
}
