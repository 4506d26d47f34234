/* A teacher in the training graph: its nodes are merged in, frozen and in inference form, and the loss has a term for it. */
#include "graph/batch.h"
#include "train/train.h"

/* A parameter [1][c][1]... (or [1][1]) of one number a channel. */
static skive_value *per_channel(skv_builder *b, const double *numbers, int channels, int rank) {
    int64_t dims[SKIVE_MAX_RANK];
    skv_storage *s = NULL;
    for (int d = 0; d < rank; d++) dims[d] = d == 1 ? channels : 1;
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int c = 0; c < channels; c++) skive_tensor_set(&s->tensor, c, numbers[c]);
    return skv_emit_param(b, NULL, s);
}

static double mean_of(const skive_normalization *n, int c) {
    return n->channels ? (double)n->mean[n->channels > 1 ? c : 0] : 0;
}
static double std_of(const skive_normalization *n, int c) {
    return n->channels ? (double)n->std[n->channels > 1 ? c : 0] : 1;
}

/* The student's input as the teacher expects it: back to raw samples, then into the teacher's normalisation. */
static skive_value *renormalize(skv_builder *b, const skv_teacher *teacher, skive_value *input) {
    const skive_normalization *s = &teacher->student_input, *t = &teacher->input;
    double scale[SKIVE_MAX_CHANNELS], shift[SKIVE_MAX_CHANNELS];
    const int channels = s->channels > t->channels ? s->channels : t->channels > 0 ? t->channels : 1;
    bool same = true;
    for (int c = 0; c < channels; c++) {
        scale[c] = std_of(s, c) / std_of(t, c);
        shift[c] = (mean_of(s, c) - mean_of(t, c)) / std_of(t, c);
        same = same && scale[c] == 1.0 && shift[c] == 0.0;
    }
    if (same) return input;
    const int rank = input->type.rank;
    input = skv_emit(b, "Mul", SKV_IN(input, per_channel(b, scale, channels, rank)), SKV_NONE);
    return skv_emit(b, "Add", SKV_IN(input, per_channel(b, shift, channels, rank)), SKV_NONE);
}

/* The teacher in the sizes of what the student takes. */
static skive_status bind_teacher(skive_context *ctx, const skive_graph *teacher, const skive_type *input,
                                 skive_graph **out) {
    skive_graph *sized = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, teacher, &sized));
    SKV_GO(status, done, skive_graph_to_inference(sized));
    skive_type *t = &sized->inputs[0]->type;
    for (int d = 1; d < t->rank && t->rank == input->rank; d++) {
        if (t->dims[d].size < 0) t->dims[d] = (skive_dim){input->dims[d].size, NULL};
    }
    status = skv_graph_bind_batch(ctx, sized, input->rank > 0 ? input->dims[0].size : 1, out);
done:
    skive_graph_free(sized);
    return status == SKIVE_OK ? status : skv_fail_prefix(ctx, status, "teacher");
}

static skive_status merge_teacher(skv_builder *b, const skv_teacher *t, const skv_loss_site *at, skive_value *bound,
                                  const skive_graph *teacher, skv_head *head) {
    skive_value **map = NULL;
    SKV_TRY(skv_head_find(b->graph->ctx, teacher, at->targets, head));
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
    skive_value *bound = renormalize(b, t, at->input);
    skive_graph *teacher = NULL;
    if (b->status != SKIVE_OK) return;
    b->status = bind_teacher(b->graph->ctx, t->graph, &at->input->type, &teacher);
    if (b->status == SKIVE_OK) b->status = merge_teacher(b, t, at, bound, teacher, head);
    skive_graph_free(teacher);
}

/* Both answer alike: numbers, sigmoids one by one, or classes that exclude one another (where one score stands for a pair). */
static skive_status check_heads(skive_context *ctx, const skv_head *teacher, const skv_head *student) {
    const bool values = student->task == SKIVE_TASK_VALUES;
    char x[200], y[200];
    if (values == (teacher->task == SKIVE_TASK_VALUES) &&
        (values || skv_head_is_sigmoid(teacher) == skv_head_is_sigmoid(student)))
        return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                    "the teacher's output is %s, the student's %s; one cannot be taught by the other",
                    skv_head_text(teacher, x, sizeof x), skv_head_text(student, y, sizeof y));
}

static void check_scores(skv_builder *b, const skive_type *input, const skive_value *teacher,
                         const skive_value *student) {
    const int64_t samples = input->rank > 0 && input->dims[0].size > 0 ? input->dims[0].size : 1;
    const int64_t t = skv_type_count(&teacher->type), s = skv_type_count(&student->type);
    if (b->status == SKIVE_OK && t != s)
        b->status = SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE, "the teacher gives %lld scores, the student %lld",
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

/* Both are given the same samples: a net without fixed sizes would take others' without a word and teach nonsense. */
static skive_status check_inputs(skive_context *ctx, const skive_graph *teacher, const skive_graph *student) {
    if (student->n_inputs != 1) return SKIVE_OK; /* refused with its own message by the fit */
    const skive_type *t = &teacher->inputs[0]->type, *s = &student->inputs[0]->type;
    bool same = t->rank == s->rank || t->rank < 0 || s->rank < 0;
    for (int d = 1; same && d < t->rank && d < s->rank; d++)
        same = t->dims[d].size == s->dims[d].size || t->dims[d].size < 0 || s->dims[d].size < 0;
    if (same) return SKIVE_OK;
    char of_teacher[128], of_student[128];
    skv_type_text(t, of_teacher, sizeof of_teacher);
    skv_type_text(s, of_student, sizeof of_student);
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "the teacher takes %s, the student %s", of_teacher, of_student);
}

skive_status skv_teacher_prepare(skive_context *ctx, skv_teacher *t, const skive_graph *student) {
    if (!(t->temperature > 0 && t->temperature <= 1000)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "temperature",
                           "temperature is %g; it must lie above 0 and at most 1000", t->temperature);
    }
    if (!(t->alpha >= 0 && t->alpha <= 1)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "alpha", "alpha is %g; it must lie between 0 and 1", t->alpha);
    }
    if (t->graph->n_inputs != 1 || t->graph->n_outputs < 1) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the teacher needs one input and an output; it has %u and %u",
                        t->graph->n_inputs, t->graph->n_outputs);
    }
    SKV_TRY(check_inputs(ctx, t->graph, student));
    SKV_TRY(skive_model_normalization(student, &t->student_input));
    return skive_model_normalization(t->graph, &t->input);
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
}
