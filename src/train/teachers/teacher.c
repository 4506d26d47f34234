/* A teacher in the training graph: its nodes are merged in, frozen and in inference mode. */
#include <stdio.h>

#include "data/feed.h"
#include "graph/batch.h"
#include "train/head/goals.h"
#include "train/train.h"

/* The teacher in the sizes of what the student takes. */
static skive_status bind_teacher(skive_context *ctx, const skive_graph *teacher, const skv_feeds *feeds,
                                 const skive_type *input, skive_graph **out) {
    skive_graph *sized = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, teacher, &sized));
    SKV_GO(status, done, skive_graph_to_inference(sized));
    skv_feeds_bind(feeds, sized);
    status = skv_graph_bind_batch(ctx, sized, input->rank > 0 ? input->dims[0].size : 1, out);
done:
    skive_graph_free(sized);
    return status == SKIVE_OK ? status : skv_fail_prefix(ctx, status, "teacher");
}

/* The teacher's outputs for all goals of the student. */
static skive_status find_heads(skive_context *ctx, const skive_graph *teacher, const skv_loss_site *at,
                               skv_head *heads) {
    skv_goals goals;
    if (!at->goals) return skv_head_find(ctx, teacher, at->targets, &heads[0]);
    const skive_status status = skv_goals_again(ctx, teacher, at->goals, &goals);
    if (status != SKIVE_OK) return skv_fail_prefix(ctx, status, "teacher");
    for (size_t k = 0; k < goals.n; k++) heads[k] = goals.items[k].head;
    skv_goals_tell(&goals, "teacher");
    skv_goals_free(&goals);
    return SKIVE_OK;
}

static skive_status merge(skv_builder *b, const skv_teacher *t, const skv_loss_site *at, skive_value *const *inputs,
                          const skive_graph *teacher, skv_head *heads, skv_merged_teacher *out) {
    skive_context *ctx = b->graph->ctx;
    skive_value **map = NULL;
    SKV_TRY(find_heads(ctx, teacher, at, heads));
    SKV_TRY(skv_classes_map(ctx, t->graph, &at->targets->info, t->name ? t->name : "the teacher", at->targets->by_order,
                            &out->classes));
    SKV_TRY(skv_graph_merge(b->graph, teacher, out->prefix, inputs, &map));
    for (uint32_t i = 0; i < teacher->n_values; i++) {
        if (map[i]) map[i]->trainable = false;
    }
    if (at->n_more == 0) skv_head_tell(ctx, "teacher", t->graph, &heads[0]);
    for (size_t k = 0; k <= at->n_more; k++) {
        heads[k].value = map[heads[k].value->id];
        if (heads[k].before) heads[k].before = map[heads[k].before->id];
    }
    out->head = heads[0];
    skv_free(ctx, map);
    return SKIVE_OK;
}

/* Both answer alike: numbers, sigmoids one by one, or classes that exclude one another (where one score stands for a
 * pair). */
static skive_status check_heads(skive_context *ctx, const skv_head *teacher, const skv_head *student) {
    const bool values = student->task == SKIVE_TASK_VALUES;
    char x[200], y[200];
    if (values == (teacher->task == SKIVE_TASK_VALUES) &&
        (values || skv_head_is_sigmoid(teacher) == skv_head_is_sigmoid(student)))
        return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                    "the teacher's output is %s, but the student's is %s; the student cannot learn from it",
                    skv_head_text(teacher, x, sizeof x), skv_head_text(student, y, sizeof y));
}

static skive_status check_scores(skive_context *ctx, const skive_type *input, const skive_value *teacher,
                                 const skive_value *student) {
    const int64_t samples = input->rank > 0 && input->dims[0].size > 0 ? input->dims[0].size : 1;
    const int64_t t = skv_type_count(&teacher->type), s = skv_type_count(&student->type);
    if (t == s) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "the teacher gives %lld scores, but the student %lld",
                    (long long)(t / samples), (long long)(s / samples));
}

/* Scores in the order of the data's classes, with map[class] the teacher's number. */
static skive_value *in_order(skv_builder *b, skive_value *scores, const int64_t *map, const skv_loss_site *at) {
    if (!map || b->status != SKIVE_OK || scores->type.rank != 2) return scores;
    const int64_t axis = 1, classes = at->targets->info.classes;
    if (scores->type.dims[1].size <= 1) return scores;
    for (int64_t c = 0; c < classes; c++) {
        if (map[c] < scores->type.dims[1].size) continue;
        b->status =
            SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE, "the teacher's metadata name more classes than its %lld scores",
                     (long long)scores->type.dims[1].size);
        return NULL;
    }
    return skv_emit(b, "Gather", SKV_IN(scores, skv_emit_ints(b, map, (size_t)classes)),
                    SKV_ATTRS(SKV_INT("axis", axis)));
}

/* The scores of one of the teacher's outputs, as the student's at `at` can learn from them. */
static skive_value *scores_of(skv_builder *b, const skv_head *head, const skv_loss_site *at, const int64_t *map) {
    skive_context *ctx = b->graph->ctx;
    b->status = check_heads(ctx, head, at->head);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *scores = at->head->task == SKIVE_TASK_VALUES ? head->value : skv_head_logits(b, head);
    scores = in_order(b, scores, map, at);
    if (b->status == SKIVE_OK) b->status = check_scores(ctx, &at->inputs[0]->type, scores, at->logits);
    return b->status == SKIVE_OK ? scores : NULL;
}

void skv_teacher_merge(skv_builder *b, const skv_teacher *t, size_t index, const skv_loss_site *at,
                       skv_merged_teacher *out) {
    skive_context *ctx = b->graph->ctx;
    skv_feeds feeds = {0};
    skv_head *heads = NULL;
    skive_graph *teacher = NULL;
    *out = (skv_merged_teacher){.head = {0}};
    (void)snprintf(out->prefix, sizeof out->prefix, index ? "teacher%zu." : "teacher.", index + 1);
    skive_graph *sized = NULL;
    skv_teacher fitting = *t;
    if (b->status == SKIVE_OK) b->status = skv_teacher_resize(ctx, t->graph, &at->targets->info, &sized);
    if (sized) fitting.graph = sized;
    skive_value **inputs = skv_teacher_inputs(b, &fitting, at, &feeds);
    if (b->status == SKIVE_OK) b->status = bind_teacher(ctx, fitting.graph, &feeds, &at->inputs[0]->type, &teacher);
    skv_feeds_free(&feeds);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, at->n_more + 1, sizeof *heads, &heads);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, at->n_more + 1, sizeof(skive_value *), &out->more);
    out->first = b->graph->n_values;
    if (b->status == SKIVE_OK) b->status = merge(b, t, at, inputs, teacher, heads, out);
    out->end = b->graph->n_values;
    skv_free(ctx, inputs);
    skive_graph_free(teacher);
    skive_graph_free(sized);
    for (size_t k = 0; k <= at->n_more && b->status == SKIVE_OK; k++) {
        const skv_loss_site *one = k ? &at->more[k - 1] : at;
        skive_value **to = k ? &out->more[k - 1] : &out->scores;
        *to = scores_of(b, &heads[k], one, at->n_more ? NULL : out->classes);
    }
    skv_free(ctx, out->classes);
    out->classes = NULL;
    skv_free(ctx, heads);
}

skive_status skv_teacher_check(skive_context *ctx, const skv_teacher *t) {
    if (t->graph->n_inputs > 0 && t->graph->n_outputs > 0) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the teacher needs an input and an output; this one has %u and %u",
                    t->graph->n_inputs, t->graph->n_outputs);
}

void skv_soft_labels_terms(double alpha, double temperature, skv_term terms[2]) {
    terms[0] = (skv_term){.loss = skv_teaching_find("kl"), .weight = alpha, .temperature = temperature};
    terms[1] = (skv_term){.weight = 1 - alpha, .temperature = 1};
}
