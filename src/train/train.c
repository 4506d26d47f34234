/* Supervised training: the fit with one of the listed losses. */
#include "train/train.h"

const skv_loss *skv_loss_for(const skive_train_options *o, const skv_head *h) {
    if (o->loss) return skv_loss_find(o->loss);
    if (h->task == SKIVE_TASK_VALUES) return skv_loss_find("mse");
    return skv_loss_find(skv_head_is_sigmoid(h) || h->task == SKIVE_TASK_LABELS ? "binary-cross-entropy"
                                                                                : "cross-entropy");
}

skive_value *skv_label_loss(void *user, skv_builder *b, const skv_loss_site *at) {
    const skive_train_options *o = user;
    const skv_loss_args args = {.logits = at->logits,
                                .output = at->head->value,
                                .labels = at->labels,
                                .label_smoothing = o->label_smoothing,
                                .temperature = 1,
                                .sigmoid = skv_head_is_sigmoid(at->head),
                                .scale = at->scale,
                                .class_weights = at->class_weights,
                                .n_classes = at->targets->info.classes};
    return skv_loss_for(o, at->head)->build(b, &args);
}

skive_status skive_train(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                         const skive_train_options *options, const skive_mask *masks, size_t n_masks,
                         skive_train_report *report) {
    SKV_NEED(ctx, "ctx, graph, train, masks", ctx, graph, train, masks || !n_masks);
    skive_train_options o = skive_train_options_default();
    if (report) *report = (skive_train_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_train_options", options, &o, sizeof o));
    SKV_TRY(skive_graph_to_inference(graph));
    const skv_fit fit = {.model = graph,
                         .train = train,
                         .validation = validation,
                         .options = &o,
                         .masks = masks,
                         .n_masks = n_masks,
                         .build_loss = skv_label_loss,
                         .user = &o,
                         .may_grow = true,
                         .what = n_masks ? "fine-tune" : "train"};
    return skv_fit_run(ctx, &fit, report);
}
