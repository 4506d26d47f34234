/* A teacher in the training graph: its nodes are merged in, frozen and in inference form, and the loss has a term for
 * it. */
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

static skive_status merge_teacher(skv_builder *b, const skv_teacher *t, const skv_loss_site *at, skive_value *bound,
                                  const skive_graph *teacher, skv_head *head) {
    skive_value **map = NULL;
    SKV_TRY(skv_head_find(b->graph->ctx, teacher, at->targets, head));
    SKV_TRY(skv_classes_compare(b->graph->ctx, t->graph, &at->targets->info, "teacher"));
    SKV_TRY(skv_graph_merge(b->graph, teacher, "teacher.", &bound, &map));
    for (uint32_t i = 0; i < teacher->n_values; i++) {
        if (map[i] && map[i] != bound) map[i]->trainable = false;
    }
    skv_head_tell(b->graph->ctx, "teacher", t->graph, head);
    head->value = map[head->value->id];
    if (head->before) head->before = map[head->before->id];
    skv_free(b->graph->ctx, map);
    return SKIVE_OK;
}

/* Merges the teacher's nodes; *head becomes that of the merged values. */
static void add_teacher(skv_builder *b, const skv_teacher *t, const skv_loss_site *at, skv_head *head) {
    skv_feed feed = {0};
    skive_value *bound = skv_teacher_input(b, t, at, &feed);
    skive_graph *teacher = NULL;
    if (b->status == SKIVE_OK) b->status = bind_teacher(b->graph->ctx, t->graph, &feed, &at->input->type, &teacher);
    skv_feed_free(&feed);
    if (b->status == SKIVE_OK) b->status = merge_teacher(b, t, at, bound, teacher, head);
    skive_graph_free(teacher);
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

static void check_scores(skv_builder *b, const skive_type *input, const skive_value *teacher,
                         const skive_value *student) {
    const int64_t samples = input->rank > 0 && input->dims[0].size > 0 ? input->dims[0].size : 1;
    const int64_t t = skv_type_count(&teacher->type), s = skv_type_count(&student->type);
    if (b->status == SKIVE_OK && t != s)
        b->status = SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE, "the teacher gives %lld scores, but the student %lld",
                             (long long)(t / samples), (long long)(s / samples));
}

/* Where the output is numbers, the teacher's are targets like those of the data. */
static skive_value *soft_values(skv_builder *b, const skv_loss_args *args) {
    skv_loss_args numbers = *args;
    numbers.labels = args->teacher;
    return skv_loss_find("mse")->build(b, &numbers);
}

skive_value *skv_teacher_loss(void *teacher, skv_builder *b, const skv_loss_site *at) {
    const skv_teacher *from = teacher;
    const double alpha = from->alpha;
    skv_head head = {0};
    add_teacher(b, from, at, &head);
    if (b->status == SKIVE_OK) b->status = check_heads(b->graph->ctx, &head, at->head);
    if (b->status != SKIVE_OK) return NULL;
    const bool values = at->head->task == SKIVE_TASK_VALUES;
    skive_value *taught = values ? head.value : skv_head_logits(b, &head);
    if (b->status == SKIVE_OK) check_scores(b, &at->input->type, taught, at->logits);
    if (b->status != SKIVE_OK) return NULL;
    const skv_loss_args args = {.logits = at->logits,
                                .output = at->head->value,
                                .labels = at->labels,
                                .teacher = taught,
                                .label_smoothing = from->options->label_smoothing,
                                .temperature = from->temperature,
                                .sigmoid = skv_head_is_sigmoid(at->head),
                                .scale = at->scale,
                                .class_weights = at->class_weights,
                                .n_classes = at->targets->info.classes};
    skive_value *soft = values ? soft_values(b, &args) : skv_loss_find("kl")->build(b, &args);
    skive_value *hard = skv_loss_for(from->options, at->head)->build(b, &args);
    skive_value *soft_part = skv_emit(b, "Mul", SKV_IN(soft, skv_emit_scalar(b, SKIVE_F32, alpha)), SKV_NONE);
    skive_value *hard_part = skv_emit(b, "Mul", SKV_IN(hard, skv_emit_scalar(b, SKIVE_F32, 1 - alpha)), SKV_NONE);
    return skv_emit(b, "Add", SKV_IN(soft_part, hard_part), SKV_NONE);
}

skive_status skv_teacher_prepare(skive_context *ctx, skv_teacher *t, const skive_graph *student) {
    if (!(t->temperature > 0 && t->temperature <= 1000)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "temperature",
                           "temperature is %g; it must be above 0 and at most 1000", t->temperature);
    }
    if (!(t->alpha >= 0 && t->alpha <= 1)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "alpha", "alpha is %g; it must be between 0 and 1", t->alpha);
    }
    if (t->graph->n_inputs != 1 || t->graph->n_outputs < 1) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the teacher needs one input and an output; this one has %u and %u",
                        t->graph->n_inputs, t->graph->n_outputs);
    }
    t->student = student;
    return SKIVE_OK;
}

void skv_teacher_settings(const skv_teacher *t, skv_text *out) {
    uint64_t key = 1;
    for (uint32_t i = 0; i < t->graph->n_values; i++) {
        const skive_tensor *data = skv_value_tensor(t->graph->values[i]);
        if (data) key = skv_hash64(data->data, skive_tensor_bytes(data), key);
    }
    skv_settings_number(out, "temperature (--temperature)", t->temperature);
    skv_settings_number(out, "share of the teacher in the loss (--alpha, --distill-alpha)", t->alpha);
    skv_settings_hash(out, "teacher", key);
    skv_settings_input(out, "teacher-", t->graph);
}
