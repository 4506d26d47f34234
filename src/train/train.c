/* Supervised training: the fit with one of the listed losses. */
#include "passes/quantized.h"
#include "train/train.h"

/* A quantized model is trained with rounded weights (FakeQuantize) and becomes integers again; on failure the graph is
 * as it was. */
static skive_status train_quantized(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                    skive_dataset *validation, const skive_train_options *options,
                                    const skive_mask *masks, size_t n_masks, skive_train_report *report) {
    skive_graph *work = NULL;
    size_t changes = 0;
    skive_status status;
    SKV_TRY(skive_graph_copy(ctx, graph, &work));
    SKV_GO(status, done, skv_quantized_to_training(work, &changes));
    skv_note(ctx, "%zu parameters stored as integers are trained as floats that are rounded in each step", changes);
    SKV_GO(status, done, skive_train(ctx, work, train, validation, options, masks, n_masks, report));
    SKV_GO(status, done, skv_quantized_from_training(work, &changes));
    skive_graph_take(graph, work);
    work = NULL;
done:
    skive_graph_free(work);
    return status;
}

skive_status skive_train(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                         const skive_train_options *options, const skive_mask *masks, size_t n_masks,
                         skive_train_report *report) {
    SKV_NEED(ctx, "ctx, graph, train, masks", ctx, graph, train, masks || !n_masks);
    skive_train_options o = skive_train_options_default();
    if (report) *report = (skive_train_report){0};
    SKV_TRY(skv_train_options_take(ctx, options, &o));
    if (skv_quantized_parameters(graph))
        return train_quantized(ctx, graph, train, validation, &o, masks, n_masks, report);
    SKV_TRY(skive_graph_to_inference(graph));
    skv_rule_use *rules = NULL;
    SKV_TRY(skv_alloc_array(ctx, n_masks + 1, sizeof *rules, &rules));
    for (size_t i = 0; i < n_masks; i++)
        rules[i] = (skv_rule_use){skv_rule_find("mask"), masks[i].parameter, &masks[i], NULL};
    const skv_fit fit = {.model = graph,
                         .train = train,
                         .validation = validation,
                         .options = &o,
                         .objective = &skv_objective_labels,
                         .rules = rules,
                         .n_rules = n_masks,
                         .may_grow = true,
                         .what = n_masks ? "fine-tune" : "train"};
    const skive_status status = skv_fit_run(ctx, &fit, report);
    skv_free(ctx, rules);
    return status;
}
