/* Supervised training: the fit with one of the listed losses. */
#include "train/train.h"

skive_value *skv_label_loss(void *user, skv_builder *b, skive_value *input, skive_value *logits, skive_value *labels) {
    const skive_train_options *o = user;
    (void)input;
    const skv_loss_args args = {
        .logits = logits, .labels = labels, .label_smoothing = o->label_smoothing, .temperature = 1};
    return skv_loss_find(o->loss)->build(b, &args);
}

skive_status skive_train(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                         const skive_train_options *options, const skive_mask *masks, size_t n_masks,
                         skive_train_report *report) {
    skive_train_options o = options ? *options : skive_train_options_default();
    const skv_fit fit = {.model = graph,
                         .train = train,
                         .validation = validation,
                         .options = &o,
                         .masks = masks,
                         .n_masks = n_masks,
                         .build_loss = skv_label_loss,
                         .user = &o,
                         .what = n_masks ? "fine-tune" : "train"};
    return skv_fit_run(ctx, &fit, report);
}
