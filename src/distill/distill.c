/* Distillation by soft labels. Teacher and student stand in one graph: the teacher's nodes are merged in, frozen and in
 * inference form, and the loss has a term for each. */
#include <skive/distill.h>

#include <string.h>

#include "train/train.h"

typedef struct distillation {
    const skive_graph *teacher;
    const skive_distill_options *o;
    skive_normalization student_input, teacher_input;
} distillation;

skive_distill_options skive_distill_options_default(void) {
    return (skive_distill_options){
        .size = sizeof(skive_distill_options), .temperature = 4, .alpha = 0.7, .train = skive_train_options_default()};
}

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
static skive_value *renormalize(skv_builder *b, const distillation *d, skive_value *input) {
    const skive_normalization *s = &d->student_input, *t = &d->teacher_input;
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

static skive_value *add_teacher(skv_builder *b, const distillation *d, skive_value *input) {
    skive_value **map = NULL, *bound = renormalize(b, d, input);
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_graph_merge(b->graph, d->teacher, "teacher.", &bound, &map);
    if (b->status != SKIVE_OK) return NULL;
    for (uint32_t i = 0; i < d->teacher->n_values; i++) {
        if (map[i] && map[i] != bound) map[i]->trainable = false;
    }
    skive_value *logits = map[d->teacher->outputs[0]->id];
    skv_free(b->graph->ctx, map);
    return logits;
}

static skive_value *build_loss(void *user, skv_builder *b, skive_value *input, skive_value *logits,
                               skive_value *labels) {
    const distillation *d = user;
    const double alpha = d->o->alpha;
    skv_loss_args args = {.logits = logits,
                          .labels = labels,
                          .label_smoothing = d->o->train.label_smoothing,
                          .temperature = d->o->temperature};
    args.teacher = add_teacher(b, d, input);
    if (b->status != SKIVE_OK) return NULL;
    const skive_type *s = &logits->type, *t = &args.teacher->type;
    if (s->rank != 2 || t->rank != 2 || s->dims[1].size != t->dims[1].size) {
        b->status = SKV_FAIL(b->graph->ctx, SKIVE_ERR_SHAPE, "the teacher gives %lld scores, the student %lld",
                             t->rank == 2 ? (long long)t->dims[1].size : -1LL,
                             s->rank == 2 ? (long long)s->dims[1].size : -1LL);
        return NULL;
    }
    skive_value *soft = skv_loss_find("kl")->build(b, &args);
    skive_value *hard = skv_loss_find(d->o->train.loss)->build(b, &args);
    skive_value *soft_part = skv_emit(b, "Mul", SKV_IN(soft, skv_emit_scalar(b, SKIVE_F32, alpha)), SKV_NONE);
    skive_value *hard_part = skv_emit(b, "Mul", SKV_IN(hard, skv_emit_scalar(b, SKIVE_F32, 1 - alpha)), SKV_NONE);
    return skv_emit(b, "Add", SKV_IN(soft_part, hard_part), SKV_NONE);
}

static skive_status check(skive_context *ctx, const skive_distill_options *o, const skive_graph *teacher) {
    if (!(o->temperature > 0 && o->temperature <= 1000)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "temperature",
                           "temperature is %g; it must lie above 0 and at most 1000", o->temperature);
    }
    if (!(o->alpha >= 0 && o->alpha <= 1)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "alpha", "alpha is %g; it must lie between 0 and 1", o->alpha);
    }
    if (teacher->n_inputs != 1 || teacher->n_outputs < 1) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the teacher needs one input and an output; it has %u and %u",
                        teacher->n_inputs, teacher->n_outputs);
    }
    return SKIVE_OK;
}

/* What decides the result besides the student, the data and the training options. */
static uint64_t key_of(const distillation *d) {
    const double numbers[] = {d->o->temperature, d->o->alpha};
    uint64_t key = skv_hash64(numbers, sizeof numbers, 1);
    for (uint32_t i = 0; i < d->teacher->n_values; i++) {
        const skive_tensor *t = skv_value_tensor(d->teacher->values[i]);
        if (t) key = skv_hash64(t->data, skive_tensor_bytes(t), key);
    }
    return key;
}

skive_status skive_distill(skive_context *ctx, skive_graph *student, const skive_graph *teacher, skive_dataset *train,
                           skive_dataset *validation, const skive_distill_options *options,
                           skive_train_report *report) {
    const skive_distill_options o = options ? *options : skive_distill_options_default();
    distillation d = {.teacher = teacher, .o = &o};
    SKV_TRY(check(ctx, &o, teacher));
    SKV_TRY(skv_train_options_check(ctx, &o.train));
    SKV_TRY(skive_model_normalization(student, &d.student_input));
    SKV_TRY(skive_model_normalization(teacher, &d.teacher_input));
    const skv_fit fit = {.model = student,
                         .train = train,
                         .validation = validation,
                         .options = &o.train,
                         .build_loss = build_loss,
                         .user = &d,
                         .what = "distill",
                         .key = o.train.checkpoint ? key_of(&d) : 0};
    return skv_fit_run(ctx, &fit, report);
}
