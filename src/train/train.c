/* Supervised training: the fit with one of the listed losses. */
#include "train/train.h"

skive_status skive_train(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                         const skive_train_options *options, const skive_mask *masks, size_t n_masks,
                         skive_train_report *report) {
    SKV_NEED(ctx, "ctx, graph, train, masks", ctx, graph, train, masks || !n_masks);
    skive_train_options o = skive_train_options_default();
    if (report) *report = (skive_train_report){0};
    SKV_TRY(skv_train_options_take(ctx, options, &o));
    SKV_TRY(skv_graph_for_methods(graph));
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
