/* Builds an objective over the training graph. */
#include "train/objective.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/unknown.h"
#include "tensor/tensor.h"
#include "train/train.h"

static const skv_term on_labels = {.weight = 1, .temperature = 1};
const skv_objective skv_objective_labels = {.terms = &on_labels, .n_terms = 1};

const skv_loss *skv_loss_for(const skive_train_options *o, const skv_head *h) {
    if (o->loss) return skv_loss_at(skv_family_find(&skv_loss_family, o->loss));
    if (h->task == SKIVE_TASK_VALUES) return skv_loss_find("mse");
    if (h->task == SKIVE_TASK_EMBEDDING) return skv_loss_find("triplet");
    if (h->task == SKIVE_TASK_SEQUENCES) return skv_loss_find("ctc");
    return skv_loss_find(skv_head_is_sigmoid(h) || h->task == SKIVE_TASK_LABELS ? "binary-cross-entropy"
                                                                                : "cross-entropy");
}

skive_status skv_loss_pick(skive_context *ctx, const char *text, const skv_loss **loss, skv_option_values *values) {
    size_t index = 0;
    SKV_TRY(skv_family_pick(ctx, &skv_loss_family, "loss", text, &index, values));
    *loss = skv_loss_at(index);
    return SKIVE_OK;
}

double skv_loss_number(const skv_loss_args *a, const skv_option *o) {
    return a->options ? skv_option_real(a->options, o->name) : o->fallback;
}

static bool needs_teacher(const skv_term *t) { return t->loss && (t->loss->needs_teacher || t->loss->needs_features); }

skive_status skv_objective_check(skive_context *ctx, const skv_objective *o) {
    for (size_t i = 0; i < o->n_terms; i++) {
        const skv_term *t = &o->terms[i];
        const char *name = t->loss ? t->loss->name : "loss";
        if (!isfinite(t->weight) || t->weight < 0)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name, "the weight of term '%s' is %g; it must be 0 or more",
                               name, t->weight);
        if (needs_teacher(t) && t->teacher >= o->n_teachers)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name, "term '%s' needs a teacher, and there are %zu", name,
                               o->n_teachers);
        if (t->loss && t->loss->needs_features && (!t->feature || !t->example))
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, name,
                               "term '%s' compares a value of the model with one of the teacher; name both", name);
    }
    for (size_t i = 0; i < o->n_teachers; i++) SKV_TRY(skv_teacher_check(ctx, &o->teachers[i]));
    return SKIVE_OK;
}

skive_value *skv_term_parameter(skv_builder *b, const skv_loss_args *a, const char *what, int rank, const int64_t *dims,
                                double deviation) {
    skv_storage *s = NULL;
    const char *unique = NULL;
    char name[300];
    if (b->status != SKIVE_OK) return NULL;
    (void)snprintf(name, sizeof name, "%s.%s", a->name, what);
    b->status = skv_graph_unique_name(b->graph, name, &unique);
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    const uint64_t stream = skv_hash64(unique, strlen(unique), 0);
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++)
        skive_tensor_set(&s->tensor, i, deviation * skv_rng_normal(a->seed, stream, (uint64_t)i));
    skive_value *v = skv_emit_param(b, unique, s);
    if (b->status == SKIVE_OK) b->status = skive_value_set_trainable(v, true);
    return v;
}

/* Names that begin with the prefix, without it. */
static skive_status fail_no_value(const skive_graph *g, const char *who, const char *prefix, const char *name) {
    const size_t length = strlen(prefix);
    const char **names = NULL;
    char none[64];
    SKV_TRY(skv_alloc_array(g->ctx, (size_t)g->n_values + 1, sizeof *names, &names));
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        names[i] = !v->storage && strncmp(v->name, prefix, length) == 0 ? v->name + length : NULL;
    }
    (void)snprintf(none, sizeof none, "%s has no value", who);
    const skive_status status = skv_fail_no_such(g->ctx, SKIVE_ERR_NOT_FOUND, none, name, names, g->n_values);
    skv_free(g->ctx, names);
    return status;
}

/* The value that a term names. */
static skive_value *bound(skv_builder *b, const char *who, const char *prefix, const char *name) {
    char full[1024];
    if (b->status != SKIVE_OK || !name) return NULL;
    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    skive_value *v = skive_graph_find_value(b->graph, full);
    if (!v) b->status = fail_no_value(b->graph, who, prefix, name);
    return v;
}

/* Numbers that the teacher gives are targets like those of the data. */
static skive_value *build_loss(skv_builder *b, const skv_loss *loss, skv_loss_args *args, const skv_head *head) {
    if (!(loss->needs_teacher && head->task == SKIVE_TASK_VALUES)) return loss->build(b, args);
    args->labels = args->teacher;
    args->options = NULL;
    return skv_loss_find("mse")->build(b, args);
}

/* A factor that changes in the run is an input of the graph. */
static skive_value *weigh(skv_builder *b, const skv_term *t, size_t index, skive_value *loss, skive_value **course) {
    const skive_dtype dtype = SKIVE_F32;
    if (t->weight != 1) loss = skv_emit(b, "Mul", SKV_IN(loss, skv_emit_scalar(b, dtype, t->weight)), SKV_NONE);
    if (!t->course || b->status != SKIVE_OK) return loss;
    const skive_type scalar = {.dtype = dtype, .rank = 0};
    char name[48];
    (void)snprintf(name, sizeof name, "skive.term.%zu.weight", index);
    b->status = skive_graph_add_input(b->graph, name, &scalar, course);
    return skv_emit(b, "Mul", SKV_IN(loss, *course), SKV_NONE);
}

/* A term on output `which` (0: that of `first`). */
static skive_value *build_on(skv_builder *b, const skv_objective *o, size_t index, const skv_loss_site *first,
                             size_t which, const skv_merged_teacher *teachers) {
    const skv_term *t = &o->terms[index];
    const skv_loss_site *at = which ? &first->more[which - 1] : first;
    const skv_loss *loss = t->loss ? t->loss : at->loss ? at->loss : skv_loss_for(at->options, at->head);
    const skv_merged_teacher *from = needs_teacher(t) ? &teachers[t->teacher] : NULL;
    const char *text = t->loss ? t->text : at->loss ? at->loss_text : at->options->loss;
    skv_option_values values;
    char name[80];
    if (which)
        (void)snprintf(name, sizeof name, "skive.term.%zu.output%zu.%s", index, which + 1, loss->name);
    else
        (void)snprintf(name, sizeof name, "skive.term.%zu.%s", index, loss->name);
    skv_options_default(loss->options, loss->n_options, &values);
    if (text) b->status = skv_loss_pick(b->graph->ctx, text, &loss, &values);
    skv_loss_args args = {.logits = at->logits,
                          .output = at->head->value,
                          .labels = at->labels,
                          .indices = at->indices,
                          .teacher = !from   ? NULL
                                     : which ? from->more[which - 1]
                                             : from->scores,
                          .label_smoothing = at->options->label_smoothing,
                          .temperature = t->temperature,
                          .sigmoid = skv_head_is_sigmoid(at->head),
                          .blank_last = at->head->kind == SKIVE_OUTPUT_CTC_LAST,
                          .binary = at->head->task == SKIVE_TASK_BINARY,
                          .options = &values,
                          .scale = at->scale,
                          .class_weights = at->class_weights,
                          .n_classes = at->targets->info.classes,
                          .name = name,
                          .seed = at->options->seed};
    if (t->loss && skv_option_given(&values, "smoothing")) args.label_smoothing = skv_option_real(&values, "smoothing");
    args.feature = bound(b, "the model", "", t->feature);
    if (from) args.example = bound(b, "the teacher", from->prefix, t->example);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *value = build_loss(b, loss, &args, at->head);
    if (at->weight == 1 || b->status != SKIVE_OK) return value;
    return skv_emit(b, "Mul", SKV_IN(value, skv_emit_scalar(b, SKIVE_F32, at->weight)), SKV_NONE);
}

/* On all outputs that are trained; a term on a value inside the model is there once. */
static skive_value *build_term(skv_builder *b, const skv_objective *o, size_t index, const skv_loss_site *at,
                               const skv_merged_teacher *teachers, skive_value **course) {
    const skv_term *t = &o->terms[index];
    const bool inside = t->loss && t->loss->needs_features;
    skive_value *sum = build_on(b, o, index, at, 0, teachers);
    for (size_t k = 1; k <= at->n_more && !inside && b->status == SKIVE_OK; k++)
        sum = skv_emit(b, "Add", SKV_IN(sum, build_on(b, o, index, at, k, teachers)), SKV_NONE);
    return b->status == SKIVE_OK ? weigh(b, t, index, sum, course) : NULL;
}

skive_value *skv_objective_build(skv_builder *b, const skv_objective *o, const skv_loss_site *at,
                                 skive_value **course) {
    skv_merged_teacher *teachers = NULL;
    skive_value *sum = NULL;
    if (b->status == SKIVE_OK)
        b->status = skv_alloc_array(b->graph->ctx, o->n_teachers + 1, sizeof *teachers, &teachers);
    for (size_t i = 0; i < o->n_teachers && b->status == SKIVE_OK; i++)
        skv_teacher_merge(b, &o->teachers[i], i, at, &teachers[i]);
    for (size_t i = 0; i < o->n_terms && b->status == SKIVE_OK; i++) {
        skive_value *term = build_term(b, o, i, at, teachers, &course[i]);
        sum = sum && b->status == SKIVE_OK ? skv_emit(b, "Add", SKV_IN(sum, term), SKV_NONE) : term;
    }
    for (size_t i = 0; teachers && i < o->n_teachers; i++) skv_free(b->graph->ctx, teachers[i].more);
    skv_free(b->graph->ctx, teachers);
    return b->status == SKIVE_OK ? sum : NULL;
}

void skv_objective_settings(const skv_objective *o, skv_text *out) {
    for (size_t i = 0; i < o->n_terms; i++) {
        const skv_term *t = &o->terms[i];
        char what[64], text[900];
        (void)snprintf(what, sizeof what, "term %zu of the loss", i + 1);
        (void)snprintf(text, sizeof text, "%s, weight %.17g%s%s, temperature %.17g%s%s%s%s",
                       t->text   ? t->text
                       : t->loss ? t->loss->name
                                 : "labels",
                       t->weight, t->course ? " " : "", t->course ? t->course->name : "", t->temperature,
                       t->feature ? ", value " : "", t->feature ? t->feature : "", t->example ? ", teacher's " : "",
                       t->example ? t->example : "");
        skv_settings_text(out, what, text);
    }
    for (size_t i = 0; i < o->n_teachers; i++) {
        const skive_graph *g = o->teachers[i].graph;
        char what[32];
        (void)snprintf(what, sizeof what, i ? "teacher %zu" : "teacher", i + 1);
        skv_settings_hash(out, what, skv_settings_model(g));
        skv_settings_input(out, "teacher-", g);
    }
}
