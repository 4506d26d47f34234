/* Distillation by soft labels: an objective of two terms, the teacher's and the labels'. */
#include <skive/distill.h>

#include "distill/distill.h"
#include "train/train.h"

static const skv_option options_of_distillation[] = {
    {.name = "temperature",
     .needs = "alpha",
     .type = SKV_OPTION_REAL,
     .most = 1000,
     .above = true,
     .fallback = 4,
     SKV_FIELD(DOUBLE, skive_distill_options, temperature),
     .brief = "temperature that softens the outputs of teacher and student"},
    {.name = "alpha",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.7,
     SKV_FIELD(DOUBLE, skive_distill_options, alpha),
     .brief = "weight of the teacher in the loss"},
};

const skv_table skv_distill_table = {"distill", options_of_distillation, SKV_LENGTH(options_of_distillation), NULL};

skive_distill_options skive_distill_options_default(void) {
    return (skive_distill_options){.size = sizeof(skive_distill_options), .temperature = 4, .alpha = 0.7};
}

skive_status skive_distill(skive_context *ctx, skive_graph *student, const skive_graph *teacher, skive_dataset *train,
                           skive_dataset *validation, const skive_distill_options *options,
                           skive_train_report *report) {
    SKV_NEED(ctx, "ctx, student, teacher, train", ctx, student, teacher, train);
    skive_distill_options o = skive_distill_options_default();
    if (report) *report = (skive_train_report){0};
    skive_train_options how = skive_train_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_distill_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_distill_table, &o));
    SKV_TRY(skv_train_options_take(ctx, o.train, &how));
    SKV_TRY(skv_train_options_check(ctx, &how));
    SKV_TRY(skive_graph_to_inference(student));
    const skv_teacher from = {.graph = teacher, .student = student};
    skv_term terms[2];
    skv_soft_labels_terms(o.alpha, o.temperature, terms);
    const skv_objective objective = {.terms = terms, .n_terms = 2, .teachers = &from, .n_teachers = 1};
    const skv_fit fit = {.model = student,
                         .train = train,
                         .validation = validation,
                         .options = &how,
                         .objective = &objective,
                         .may_grow = true,
                         .what = "distill"};
    return skv_fit_run(ctx, &fit, report);
}
