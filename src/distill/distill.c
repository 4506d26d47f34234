/* Distillation by soft labels: the fit with a teacher in its loss. */
#include <skive/distill.h>

#include "train/train.h"

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
    SKV_TRY(skv_options_take(ctx, "skive_train_options", o.train, &how, sizeof how));
    skv_teacher t = {.graph = teacher, .alpha = o.alpha, .temperature = o.temperature, .options = &how};
    SKV_TRY(skive_graph_to_inference(student));
    SKV_TRY(skv_teacher_prepare(ctx, &t, student));
    SKV_TRY(skv_train_options_check(ctx, &how));
    skv_text settings;
    skv_text_init(&settings, ctx);
    if (how.checkpoint) skv_teacher_settings(&t, &settings);
    const skv_fit fit = {.model = student,
                         .train = train,
                         .validation = validation,
                         .options = &how,
                         .build_loss = skv_teacher_loss,
                         .user = &t,
                         .may_grow = true,
                         .what = "distill",
                         .settings = settings.data};
    const skive_status status = settings.status == SKIVE_OK ? skv_fit_run(ctx, &fit, report) : settings.status;
    skv_text_free(&settings);
    return status;
}
