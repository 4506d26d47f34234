/* A teacher in the training graph: its nodes are merged in, frozen and in inference form. */
#include <stdio.h>

#include "data/feed.h"
#include "graph/batch.h"
#include "train/train.h"

/* The teacher in the sizes of what the student takes. */
static skive_status bind_teacher(skive_context *ctx, const skive_graph *teacher, const skv_feed *feed,
                                 const skive_type *input, skive_graph **out) {
    skive_graph *sized = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, teacher, &sized));
    SKV_GO(status, done, skive_graph_to_inference(sized));
    skv_feed_bind(feed, sized);
    status = skv_graph_bind_batch(ctx, sized, input->rank > 0 ? input->dims[0].size : 1, out);
done:
    skive_graph_free(sized);
    return status == SKIVE_OK ? status : skv_fail_prefix(ctx, status, "teacher");
}

static skive_status merge(skv_builder *b, const skv_teacher *t, const skv_loss_site *at, skive_value *input,
                          const skive_graph *teacher, skv_merged_teacher *out) {
    skive_context *ctx = b->graph->ctx;
    skive_value **map = NULL;
    SKV_TRY(skv_head_find(ctx, teacher, at->targets, &out->head));
    SKV_TRY(skv_classes_compare(ctx, t->graph, &at->targets->info, "teacher"));
    SKV_TRY(skv_graph_merge(b->graph, teacher, out->prefix, &input, &map));
    for (uint32_t i = 0; i < teacher->n_values; i++) {
        if (map[i] && map[i] != input) map[i]->trainable = false;
    }
    skv_head_tell(ctx, "teacher", t->graph, &out->head);
    out->head.value = map[out->head.value->id];
    if (out->head.before) out->head.before = map[out->head.before->id];
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

void skv_teacher_merge(skv_builder *b, const skv_teacher *t, size_t index, const skv_loss_site *at,
                       skv_merged_teacher *out) {
    skive_context *ctx = b->graph->ctx;
    skv_feed feed = {0};
    skive_graph *teacher = NULL;
    *out = (skv_merged_teacher){.head = {0}};
    (void)snprintf(out->prefix, sizeof out->prefix, index ? "teacher%zu." : "teacher.", index + 1);
    skive_value *input = skv_teacher_input(b, t, at, &feed);
    if (b->status == SKIVE_OK) b->status = bind_teacher(ctx, t->graph, &feed, &at->input->type, &teacher);
    skv_feed_free(&feed);
    if (b->status == SKIVE_OK) b->status = merge(b, t, at, input, teacher, out);
    skive_graph_free(teacher);
    if (b->status == SKIVE_OK) b->status = check_heads(ctx, &out->head, at->head);
    if (b->status != SKIVE_OK) return;
    out->scores = at->head->task == SKIVE_TASK_VALUES ? out->head.value : skv_head_logits(b, &out->head);
    if (b->status == SKIVE_OK) b->status = check_scores(ctx, &at->input->type, out->scores, at->logits);
}

skive_status skv_teacher_check(skive_context *ctx, const skv_teacher *t) {
    if (t->graph->n_inputs == 1 && t->graph->n_outputs > 0) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the teacher needs one input and an output; this one has %u and %u",
                    t->graph->n_inputs, t->graph->n_outputs);
}

void skv_soft_labels_terms(double alpha, double temperature, skv_term terms[2]) {
    terms[0] = (skv_term){.loss = skv_loss_find("kl"), .weight = alpha, .temperature = temperature};
    terms[1] = (skv_term){.weight = 1 - alpha, .temperature = 1};
}
