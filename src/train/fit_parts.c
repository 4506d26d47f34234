/* Parts of the training loop besides its steps: the curriculum, the journal and the learning-rate finder. */
#include "data/data.h"
#include "train/find_rate.h"
#include "train/fit_state.h"

skive_status skv_fit_set_up_growth(fit_state *s) {
    const skv_objective *objective = s->fit->objective;
    const skv_growth_setup setup = {.text = s->o->curriculum,
                                    .set = s->fit->train,
                                    .teacher = objective->n_teachers ? objective->teachers[0].graph : NULL,
                                    .seed = s->o->seed,
                                    .batch = s->batch,
                                    .epochs = s->o->epochs};
    const char *counts = skv_fit_counts_steps(s->fit);
    if (s->o->curriculum && counts)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "curriculum",
                           "a curriculum cannot be combined with %s, which counts the steps of the run", counts);
    SKV_TRY(skv_growth_create(s->ctx, &setup, &s->growth));
    skv_growth_tell(&s->growth);
    return SKIVE_OK;
}

skive_status skv_fit_set_up_stages(fit_state *s) {
    const skv_fit *fit = s->fit;
    skive_graph *small = NULL;
    s->stage = -1;
    SKV_TRY(skv_stages_find(s->ctx, s->o, s->current, &s->feeds, &s->stages));
    if (!s->stages.n) return SKIVE_OK;
    if (fit->n_hooks || fit->n_watchers || fit->objective->n_teachers)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "progressive",
                           "progressive is for training by labels; it cannot be combined with %s",
                           fit->n_watchers ? fit->watchers[0].name
                           : fit->n_hooks  ? fit->hooks[0].name
                                           : "teachers");
    for (int64_t stage = 0; stage < s->stages.n; stage++) { /* what one refuses is refused before the first step */
        SKV_TRY(skv_stages_model(s->ctx, &s->stages, stage, s->current, &s->feeds, &small));
        skive_graph_free(small);
    }
    skv_stages_tell(s->ctx, &s->stages);
    return SKIVE_OK;
}

skive_status skv_fit_enter_stage(fit_state *s, int epoch) {
    const int64_t stage = s->stages.n ? skv_stages_at(&s->stages, epoch) : -1;
    skive_graph *model = NULL;
    skv_problem next = {.graph = NULL};
    if (stage == s->stage) return SKIVE_OK;
    SKV_TRY(skv_stages_model(s->ctx, &s->stages, stage, s->current, &s->feeds, &model));
    const skive_status built = skv_fit_build_problem(s, model, true, &next);
    skive_graph_free(model);
    SKV_TRY(built);
    const skv_trainer_setup setup = skv_fit_trainer_setup(s, &next);
    const skive_status status = skv_trainer_change(s->trainer, &setup);
    next.graph = NULL; /* the trainer's now */
    skv_problem_free(s->ctx, &s->problem);
    s->problem = next;
    s->stage = stage;
    skv_loader_spare(s->loader, 1 - skv_stages_strength(&s->stages, stage));
    return status;
}

skive_status skv_fit_open_journal(fit_state *s, bool resumed) {
    skive_dataset_info validation = {0};
    if (s->fit->validation) skive_dataset_get_info(s->fit->validation, &validation);
    skive_train_event run = {.size = sizeof run,
                             .what = s->fit->what,
                             .steps = skv_growth_before(&s->growth, s->o->epochs),
                             .epochs = s->o->epochs,
                             .batch = s->batch,
                             .data = s->info.spec,
                             .samples = (int64_t)s->info.count,
                             .validation = (int64_t)validation.count,
                             .options = s->o,
                             .settings = s->settings.data};
    run.epoch = (double)s->point.epoch;
    if (s->point.in_epoch)
        run.epoch += (double)s->point.in_epoch / (double)skv_growth_batches(&s->growth, (int)s->point.epoch);
    for (size_t i = 0; i < skv_trainer_param_count(s->trainer); i++)
        run.parameters += skv_trainer_param(s->trainer, i)->n;
    return skv_journal_open(s->journal, &run, s->info.labelled, &s->point, resumed);
}

/* A step of the learning-rate finder, on the next batch. */
static skive_status rate_step(void *user, int64_t i, double rate, double *loss) {
    fit_state *s = user;
    const size_t batches = skive_loader_batches(s->loader);
    skive_batch batch;
    int64_t correct;
    char text[24];
    if ((size_t)i % batches == 0) SKV_TRY(skv_fit_start(s, (uint64_t)((size_t)i / batches), 0));
    SKV_TRY(skv_fit_next(s, &batch));
    SKV_TRY(skv_fit_feed_batch(s, &batch, (double)(i + 1) / (double)batches));
    SKV_TRY(skv_trainer_step(s->trainer, rate, loss, &correct));
    return skv_progress_at(&s->progress, (double)i + 1, "rate %.3g  loss %s", rate,
                           skv_fit_loss_text(*loss, text, sizeof text));
}

skive_status skv_fit_find_rate(fit_state *s) {
    skv_progress_start(&s->progress, s->ctx, "find-lr", (double)s->o->find_lr_steps);
    SKV_TRY(skv_find_rate(s->ctx, s->o->find_lr_steps, rate_step, s, &s->report.rates));
    return SKIVE_OK;
}
