/* See term.h. */
#include "train/terms/term.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"

/* ---- nodes ---- */

skive_value *skv_term_one(skv_builder *b, const char *op, skive_value *x) {
    return skv_emit(b, op, SKV_IN(x), SKV_NONE);
}

skive_value *skv_term_two(skv_builder *b, const char *op, skive_value *x, skive_value *y) {
    return skv_emit(b, op, SKV_IN(x, y), SKV_NONE);
}

skive_value *skv_term_scalar(skv_builder *b, const skive_value *like, double number) {
    return b->status == SKIVE_OK ? skv_emit_scalar(b, like->type.dtype, number) : NULL;
}

skive_value *skv_term_times(skv_builder *b, skive_value *x, double factor) {
    return factor == 1 ? x : skv_term_two(b, "Mul", x, skv_term_scalar(b, x, factor));
}

skive_value *skv_term_plus(skv_builder *b, skive_value *x, double summand) {
    return skv_term_two(b, "Add", x, skv_term_scalar(b, x, summand));
}

skive_value *skv_term_reduce(skv_builder *b, const char *op, skive_value *x, int axis, bool keep) {
    const int64_t axes = axis;
    return skv_emit(b, op, SKV_IN(x, skv_emit_ints(b, &axes, 1)), SKV_ATTRS(SKV_INT("keepdims", keep)));
}

skive_value *skv_term_mean(skv_builder *b, skive_value *x) {
    return skv_emit(b, "ReduceMean", SKV_IN(x), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

skive_value *skv_term_square(skv_builder *b, skive_value *x) { return skv_term_two(b, "Mul", x, x); }

skive_value *skv_term_mean_square(skv_builder *b, skive_value *x, skive_value *y) {
    return skv_term_mean(b, skv_term_square(b, skv_term_two(b, "Sub", x, y)));
}

/* With m = min(|d|, 1): m^2 / 2 + |d| - m. */
skive_value *skv_term_huber(skv_builder *b, skive_value *x, skive_value *y) {
    skive_value *d = skv_term_one(b, "Abs", skv_term_two(b, "Sub", x, y));
    skive_value *m = skv_term_two(b, "Min", d, skv_term_scalar(b, d, 1));
    skive_value *line = skv_term_two(b, "Sub", d, m);
    return skv_term_mean(b, skv_term_two(b, "Add", skv_term_times(b, skv_term_square(b, m), 0.5), line));
}

skive_value *skv_term_transpose(skv_builder *b, skive_value *x) {
    int64_t perm[SKIVE_MAX_RANK];
    if (b->status != SKIVE_OK) return NULL;
    const int r = x->type.rank;
    for (int d = 0; d < r; d++) perm[d] = d < r - 2 ? d : d == r - 2 ? r - 1 : r - 2;
    return skv_emit(b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)r)));
}

skive_value *skv_term_reshape(skv_builder *b, skive_value *x, int rank, const int64_t *dims) {
    return skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, dims, (size_t)rank)), SKV_NONE);
}

skive_value *skv_term_rows(skv_builder *b, skive_value *x) {
    if (b->status != SKIVE_OK || x->type.rank == 2) return x;
    return skv_emit(b, "Flatten", SKV_IN(x), SKV_ATTRS(SKV_INT("axis", 1)));
}

skive_value *skv_term_unit(skv_builder *b, skive_value *x, int axis) {
    skive_value *squares = skv_term_reduce(b, "ReduceSumSquare", x, axis, true);
    skive_value *length = skv_term_one(b, "Sqrt", skv_term_two(b, "Max", squares, skv_term_scalar(b, x, 1e-12)));
    return skv_term_two(b, "Div", x, length);
}

skive_value *skv_term_cosines(skv_builder *b, skive_value *x, skive_value *y) {
    return skv_term_two(b, "MatMul", skv_term_unit(b, x, 1), skv_term_transpose(b, skv_term_unit(b, y, 1)));
}

skive_value *skv_term_detach(skv_builder *b, skive_value *x) { return skv_term_one(b, "Detach", x); }

/* ---- bindings ---- */

const char *skv_term_pair_text(const skv_loss_args *a, char *buffer, size_t size) {
    char of_model[160], of_teacher[160];
    skv_type_text(&a->feature->type, of_model, sizeof of_model);
    skv_type_text(&a->example->type, of_teacher, sizeof of_teacher);
    const char *name = a->example->name, *dot = strncmp(name, "teacher", 7) == 0 ? strchr(name, '.') : NULL;
    (void)snprintf(buffer, size, "the model's '%s' %s and the teacher's '%s' %s", a->feature->name, of_model,
                   dot ? dot + 1 : name, of_teacher);
    return buffer;
}

void skv_term_refuse(skv_builder *b, const skv_loss_args *a, const char *who, const char *why) {
    char pair[700];
    if (b->status != SKIVE_OK) return;
    b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, a->feature->name, "term '%s' does not fit %s: %s", who,
                            skv_term_pair_text(a, pair, sizeof pair), why);
}

void skv_term_needs_samples(skv_builder *b, const skv_loss_args *a, const char *who) {
    if (b->status != SKIVE_OK || a->feature->type.rank < 1 || a->feature->type.dims[0].size != 1) return;
    b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, who,
                            "term '%s' compares the samples of a batch, and there is one; take a larger --batch", who);
}

static bool known(const skive_value *v) {
    for (int d = 0; d < v->type.rank; d++)
        if (v->type.dims[d].size < 1) return false;
    return v->type.rank > 0;
}

/* The teacher's maps in the student's places; no gradient passes there. */
static skive_value *resized(skv_builder *b, const skv_loss_args *a, const char *who) {
    const skive_type *s = &a->feature->type, *t = &a->example->type;
    bool same = true;
    int64_t sizes[SKIVE_MAX_RANK];
    for (int d = 0; d < t->rank; d++) {
        sizes[d] = d < 2 ? t->dims[d].size : s->dims[d].size;
        same = same && sizes[d] == t->dims[d].size;
    }
    if (same) return a->example;
    char pair[700];
    skv_note(b->graph->ctx, "%s: of %s, the teacher's maps are resized to the model's places", who,
             skv_term_pair_text(a, pair, sizeof pair));
    return skv_emit(b, "Resize", SKV_IN(a->example, NULL, NULL, skv_emit_ints(b, sizes, (size_t)t->rank)),
                    SKV_ATTRS(SKV_STR("mode", "linear"), SKV_INT("antialias", 1)));
}

skive_status skv_term_maps(skv_builder *b, const skv_loss_args *a, const char *who, skive_value **student,
                           skive_value **teacher) {
    if (b->status != SKIVE_OK) return b->status;
    const skive_type *s = &a->feature->type, *t = &a->example->type;
    *student = a->feature;
    *teacher = NULL;
    if (s->rank != t->rank || s->rank < 3)
        skv_term_refuse(b, a, who, "both must be maps [samples, channels, places ...] of one rank");
    else if (!known(a->feature) || !known(a->example))
        skv_term_refuse(b, a, who, "their sizes are not known before the model runs");
    else
        *teacher = resized(b, a, who);
    return b->status;
}

skive_value *skv_term_flat_maps(skv_builder *b, skive_value *x) {
    if (b->status != SKIVE_OK || x->type.rank == 3) return x;
    return skv_term_reshape(b, x, 3, (const int64_t[]){x->type.dims[0].size, x->type.dims[1].size, -1});
}

skive_value *skv_term_regress(skv_builder *b, const skv_loss_args *a, skive_value *x, const skive_value *like,
                              const char *what, bool last_axis) {
    if (b->status != SKIVE_OK) return NULL;
    const int axis = last_axis ? x->type.rank - 1 : 1, other = last_axis ? like->type.rank - 1 : 1;
    const int64_t in = x->type.dims[axis].size, out = like->type.dims[other].size;
    if (in == out) return x;
    const bool product = last_axis || x->type.rank == 2;
    int64_t dims[SKIVE_MAX_RANK] = {product ? in : out, product ? out : in};
    for (int d = 2; d < x->type.rank; d++) dims[d] = 1;
    skive_value *w = skv_term_parameter(b, a, what, product ? 2 : x->type.rank, dims, 1 / sqrt((double)in));
    skv_note(b->graph->ctx,
             "%s: '%s' goes through a %s of the term's own from %lld to %lld channels, which is trained along "
             "and not kept",
             a->who ? a->who : a->name, x->name, product ? "linear layer" : "1x1 convolution", (long long)in,
             (long long)out);
    return skv_term_two(b, product ? "MatMul" : "Conv", x, w);
}

skive_value *skv_term_filled(skv_builder *b, const skv_loss_args *a, const char *what, skive_dtype dtype, int rank,
                             const int64_t *dims, double number, bool trainable) {
    skv_storage *s = NULL;
    const char *unique = NULL;
    char name[300];
    if (b->status != SKIVE_OK) return NULL;
    (void)snprintf(name, sizeof name, "%s.%s", a->name, what);
    b->status = skv_graph_unique_name(b->graph, name, &unique);
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, dtype, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++) skive_tensor_set(&s->tensor, i, number);
    skive_value *v = skv_emit_param(b, unique, s);
    if (b->status == SKIVE_OK) b->status = skive_value_set_trainable(v, trainable);
    return v;
}

void skv_term_memory(skv_builder *b, const skv_loss_args *a, skive_value *parameter, skive_value *next) {
    if (b->status != SKIVE_OK) return;
    if (!a->memories || a->memories->n == SKV_MEMORIES_MOST) {
        b->status = SKV_FAIL(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, "there are more than %d terms with a memory",
                             SKV_MEMORIES_MOST / 2);
        return;
    }
    a->memories->items[a->memories->n++] = (skv_memory){parameter, next};
}

double skv_term_temperature(const skv_loss_args *a) {
    return a->options && skv_option_given(a->options, "temperature") ? skv_option_real(a->options, "temperature")
                                                                     : a->temperature;
}

int skv_term_class_axis(const skv_head *head, const skive_value *scores, const skive_value *labels) {
    const skive_type *s = &scores->type, *l = labels ? &labels->type : NULL;
    if (!head || head->task != SKIVE_TASK_PLACES || !l || s->rank < 3 || l->rank != s->rank - 1) return -1;
    for (int d = 1; d < l->rank; d++)
        if (s->dims[d + 1].size != l->dims[d].size) return -1;
    return 1;
}

bool skv_term_has_classes(const skv_loss_args *a) {
    return a->labels && a->labels->type.dtype == SKIVE_I64 && a->labels->type.rank == 1;
}
