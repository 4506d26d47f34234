/* Several models that answer together, as one graph. */
#include <skive/distill.h>

#include <stdio.h>

#include "graph/graph.h"
#include "train/terms/term.h"

/* What one model answers: probabilities, or values. */
static skive_value *answer(skv_builder *b, const skv_head *head) {
    if (head->task == SKIVE_TASK_VALUES) return head->value;
    skive_value *logits = skv_head_logits(b, head);
    if (skv_head_is_sigmoid(head)) return skv_term_one(b, "Sigmoid", logits);
    return skv_emit(b, "Softmax", SKV_IN(logits), SKV_ATTRS(SKV_INT("axis", -1)));
}

/* Merges `member`; its head has values of g then. */
static skive_status join(skive_context *ctx, skive_graph *g, const skive_graph *member, size_t index,
                         const skv_targets *targets, skv_head *head) {
    skive_graph *copy = NULL;
    skive_value **map = NULL;
    char prefix[32];
    skive_status status;
    (void)snprintf(prefix, sizeof prefix, "member%zu.", index + 1);
    SKV_TRY(skive_graph_copy(ctx, member, &copy));
    SKV_GO(status, done, skv_graph_for_methods(copy));
    SKV_GO(status, done, skv_head_find(ctx, copy, targets, head));
    SKV_GO(status, done, skv_graph_merge(g, copy, prefix, g->inputs, &map));
    head->value = map[head->value->id];
    if (head->before) head->before = map[head->before->id];
done:
    skv_free(ctx, map);
    skive_graph_free(copy);
    return status;
}

static bool same_inputs(const skive_graph *a, const skive_graph *b) {
    bool same = a->n_inputs == b->n_inputs;
    for (uint32_t i = 0; same && i < a->n_inputs; i++) {
        const skive_type *x = &a->inputs[i]->type, *y = &b->inputs[i]->type;
        same = x->dtype == y->dtype && x->rank == y->rank;
        for (int d = 0; same && d < x->rank; d++) same = x->dims[d].size == y->dims[d].size;
    }
    return same;
}

static skive_status build(skive_context *ctx, skive_graph *g, const skive_graph *const *members, size_t n,
                          const skv_targets *targets) {
    skive_value *sum = NULL;
    skv_head head = {0};
    skv_builder b = skv_build(g);
    for (size_t i = 0; i < n; i++) {
        if (i == 0)
            SKV_TRY(skv_head_find(ctx, g, targets, &head));
        else
            SKV_TRY(join(ctx, g, members[i], i, targets, &head));
        skive_value *one = answer(&b, &head);
        sum = sum ? skv_term_two(&b, "Add", sum, one) : one;
    }
    skive_value *mean = skv_term_times(&b, sum, 1 / (double)n);
    SKV_TRY(b.status);
    const bool values = head.task == SKIVE_TASK_VALUES, sigmoid = skv_head_is_sigmoid(&head);
    while (g->n_outputs) SKV_TRY(skv_graph_remove_output(g, g->n_outputs - 1));
    SKV_TRY(skive_graph_add_output(g, mean));
    (void)skv_graph_sweep(g);
    return skive_model_set_output(g, mean->name, values ? "values" : sigmoid ? "sigmoid" : "probabilities");
}

skive_status skive_model_ensemble(skive_context *ctx, const skive_graph *const *members, size_t n,
                                  const skive_dataset *set, skive_graph **out) {
    SKV_NEED(ctx, "ctx, members, set, out", ctx, members, set, out);
    skv_targets targets;
    skive_graph *g = NULL;
    *out = NULL;
    if (n < 1) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "an ensemble needs a model");
    for (size_t i = 0; i < n; i++) {
        if (members[i] && same_inputs(members[0], members[i])) continue;
        return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "model %zu of the ensemble %s", i + 1,
                        members[i] ? "takes other inputs than the first" : "is missing");
    }
    SKV_TRY(skv_targets_of(ctx, set, &targets));
    SKV_TRY(skive_graph_copy(ctx, members[0], &g));
    skive_status status = skv_graph_for_methods(g);
    if (status == SKIVE_OK) status = build(ctx, g, members, n, &targets);
    if (status == SKIVE_OK)
        *out = g;
    else
        skive_graph_free(g);
    return status;
}
