/* Distillation: a run of training with an objective of terms between a student and its teachers. */
#include <skive/distill.h>

#include "distill/distill.h"
#include "train/train.h"

/* Which of several students' values belong to those of the teacher is not to be found by shape and depth. */
static skive_status check_pairs(skive_context *ctx, const skv_lesson *l) {
    for (size_t i = 0; i < l->n_terms; i++) {
        if (!l->terms[i].pairs) continue;
        const char *name = l->terms[i].loss->name;
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name,
                           "%s: of several students it is not found which values learn from which; name both: "
                           "%s:student=VALUE,teacher=VALUE (values of the second student are called student2.VALUE)",
                           name, name);
    }
    return SKIVE_OK;
}

skive_status skv_distill_run(skive_context *ctx, const skv_distill_job *job, const skive_distill_options *o,
                             skive_train_report *report) {
    skive_train_options how = skive_train_options_default();
    skv_lesson lesson = {0};
    skive_dataset *both = NULL;
    skive_status status;
    SKV_TRY(skv_train_options_take(ctx, o->train, &how));
    SKV_TRY(skv_train_options_check(ctx, &how));
    SKV_GO(status, done, skv_lesson_make(ctx, o, job->teacher, job->student, &lesson));
    if (job->fixed) SKV_GO(status, done, check_pairs(ctx, &lesson));
    SKV_GO(status, done, skv_lesson_join(ctx, job->train, o->unlabelled, &both));
    SKV_GO(status, done, skv_graph_for_methods(job->student));
    const skv_fit fit = {.model = job->student,
                         .train = both ? both : job->train,
                         .validation = job->validation,
                         .options = &how,
                         .objective = &lesson.objective,
                         .may_grow = !job->fixed,
                         .what = "distill"};
    status = skv_fit_run(ctx, &fit, report);
done:
    skive_dataset_free(both);
    skv_lesson_free(&lesson);
    return status;
}

skive_status skive_distill(skive_context *ctx, skive_graph *student, const skive_graph *teacher, skive_dataset *train,
                           skive_dataset *validation, const skive_distill_options *options,
                           skive_train_report *report) {
    SKV_NEED(ctx, "ctx, student, train", ctx, student, train);
    skive_distill_options o = skive_distill_options_default();
    if (report) *report = (skive_train_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_distill_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_distill_table, &o));
    SKV_NEED(ctx, "more_teachers", o.more_teachers || !o.n_more_teachers);
    SKV_NEED(ctx, "teacher", teacher || (o.terms && !o.n_more_teachers && !o.unlabelled && !o.weights && !o.combine));
    const skv_distill_job job = {student, teacher, train, validation, false};
    return skv_distill_run(ctx, &job, &o, report);
}
