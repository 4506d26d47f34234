/* The student's inputs as the teacher expects them: back to the samples of the data, then into the teacher's layout,
 * scale and normalisation. */
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "tensor/tensor.h"
#include "train/train.h"

/* [1][sample dims], or with the order that a feed gives them. */
static int shape_of(const skv_feed *f, skv_feed_order order, int64_t batch, int64_t *dims) {
    const int r = f->sample_rank;
    dims[0] = batch;
    for (int d = 0; d < r; d++) {
        const int from = order == SKV_FEED_SAME ? d : order == SKV_FEED_TO_LAST ? (d + 1) % r : (d + r - 1) % r;
        dims[d + 1] = f->sample_dims[from];
    }
    return r + 1;
}

static skive_value *reshape(skv_builder *b, skive_value *x, int rank, const int64_t *dims) {
    bool same = x && x->type.rank == rank;
    for (int d = 0; same && d < rank; d++) same = x->type.dims[d].size == dims[d];
    return same ? x : skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, dims, (size_t)rank)), SKV_NONE);
}

/* Moves an axis behind the batch: the first to the end, or the last to the front. */
static skive_value *turn(skv_builder *b, skive_value *x, int r, bool to_last) {
    int64_t perm[SKIVE_MAX_RANK] = {0};
    for (int d = 0; d < r; d++) perm[d + 1] = 1 + (to_last ? (d + 1) % r : (d + r - 1) % r);
    return skv_emit(b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)r + 1)));
}

static skive_value *to_samples(skv_builder *b, const skv_feed *f, skive_value *x) {
    int64_t dims[SKIVE_MAX_RANK + 1];
    const int rank = shape_of(f, f->order, x->type.dims[0].size, dims);
    x = reshape(b, x, rank, dims);
    return f->order == SKV_FEED_SAME ? x : turn(b, x, f->sample_rank, f->order == SKV_FEED_TO_FIRST);
}

static skive_value *from_samples(skv_builder *b, const skv_feed *f, int64_t batch, skive_value *x) {
    int64_t dims[SKIVE_MAX_RANK];
    if (f->order != SKV_FEED_SAME) x = turn(b, x, f->sample_rank, f->order == SKV_FEED_TO_LAST);
    dims[0] = batch;
    memcpy(dims + 1, f->dims, (size_t)f->rank * sizeof *dims);
    return reshape(b, x, f->rank + 1, dims);
}

static double mean_of(const skive_normalization *n, int64_t c) {
    return n->channels ? (double)n->mean[n->channels > 1 ? c : 0] : 0;
}
static double std_of(const skive_normalization *n, int64_t c) {
    return n->channels ? (double)n->std[n->channels > 1 ? c : 0] : 1;
}

/* A parameter that stretches along the channels, or has a number for each value of a sample. */
static skive_value *numbers(skv_builder *b, const skv_feed *f, const double *values, int64_t n) {
    int64_t dims[SKIVE_MAX_RANK + 1];
    skv_storage *s = NULL;
    const int rank = shape_of(f, SKV_FEED_SAME, 1, dims);
    const bool per_channel = f->channel_axis >= 0 && f->sample_dims[f->channel_axis] == n;
    for (int d = 1; d < rank; d++) {
        if (n == 1 || (per_channel && d != f->channel_axis + 1)) dims[d] = 1;
    }
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t c = 0; c < n; c++) skive_tensor_set(&s->tensor, c, values[c]);
    return skv_emit_param(b, NULL, s);
}

/* x * scale + shift takes the student's numbers to the teacher's. False: they are the same. */
static bool find_affine(const skv_feed *s, const skv_feed *t, int64_t n, double *scale, double *shift) {
    bool changed = false;
    for (int64_t c = 0; c < n; c++) {
        const double ratio = t->scale / s->scale;
        scale[c] = std_of(&s->normalization, c) * ratio / std_of(&t->normalization, c);
        shift[c] =
            (mean_of(&s->normalization, c) * ratio - mean_of(&t->normalization, c)) / std_of(&t->normalization, c);
        changed = changed || scale[c] != 1.0 || shift[c] != 0.0;
    }
    return changed;
}

static bool same_layout(const skv_feed *s, const skv_feed *t) {
    return s->order == t->order && s->rank == t->rank &&
           memcmp(s->dims, t->dims, (size_t)s->rank * sizeof *s->dims) == 0;
}

static skive_value *convert(skv_builder *b, skive_value *x, skive_dtype to) {
    return x && x->type.dtype == to ? x : skv_emit(b, "Cast", SKV_IN(x), SKV_ATTRS(SKV_INT("to", to)));
}

static skive_value *adapt(skv_builder *b, const skv_feed *s, const skv_feed *t, skive_value *x) {
    const int64_t n = s->normalization.channels > t->normalization.channels ? s->normalization.channels
                      : t->normalization.channels > 0                       ? t->normalization.channels
                                                                            : 1;
    const int64_t batch = x->type.rank > 0 ? x->type.dims[0].size : 1;
    const skv_feed *wide = t->normalization.channels == n ? t : s;
    double *scale = NULL, *shift = NULL;
    b->status = skv_alloc_array(b->graph->ctx, (size_t)n, sizeof *scale, &scale);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(b->graph->ctx, (size_t)n, sizeof *shift, &shift);
    if (b->status == SKIVE_OK) {
        const bool changed = find_affine(s, t, n, scale, shift);
        if (changed || !same_layout(s, t)) {
            if (changed) x = convert(b, x, SKIVE_F32);
            if (b->status == SKIVE_OK) x = to_samples(b, s, x);
            if (changed) {
                x = skv_emit(b, "Mul", SKV_IN(x, numbers(b, wide, scale, n)), SKV_NONE);
                x = skv_emit(b, "Add", SKV_IN(x, numbers(b, wide, shift, n)), SKV_NONE);
            }
            x = from_samples(b, t, batch, x);
        }
        x = convert(b, x, t->dtype);
    }
    skv_free(b->graph->ctx, scale);
    skv_free(b->graph->ctx, shift);
    return x;
}

static skive_status check_types(skive_context *ctx, const skv_feed *s, const skv_feed *t) {
    if (s->dtype == t->dtype || skv_dtype_is_float(t->dtype)) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                    "the teacher takes %s, the student %s; one input cannot be computed from the other",
                    skive_dtype_name(t->dtype), skive_dtype_name(s->dtype));
}

/* The teacher's input from the student's that takes the same part of the data. */
static skive_value *one_input(skv_builder *b, const skv_feeds *student, const skv_loss_site *at, const skv_feed *t) {
    for (size_t i = 0; i < student->n; i++) {
        if (student->items[i].part != t->part) continue;
        b->status = check_types(b->graph->ctx, &student->items[i], t);
        return b->status == SKIVE_OK ? adapt(b, &student->items[i], t, at->inputs[i]) : NULL;
    }
    b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_DATA, t->input,
                            "the teacher's input '%s' takes '%s' of the data, which the student does not take; the "
                            "student needs an input for it",
                            t->input, t->from ? t->from : t->input);
    return NULL;
}

/* Puts a Resize from height and width `dims` before input 0, whose they are from `axis` on. */
static skive_status put_resize(skive_graph *g, const int64_t *dims, int axis) {
    skive_value *inner = g->inputs[0], *outer = NULL;
    skive_type type = inner->type;
    const char *own = inner->name, *unique = NULL; /* in the graph's arena */
    char name[300];
    const int64_t sizes[2] = {type.dims[axis].size, type.dims[axis + 1].size}, axes[2] = {axis, axis + 1};
    (void)snprintf(name, sizeof name, "%.200s.resized", own);
    SKV_TRY(skv_graph_unique_name(g, name, &unique));
    type.dims[axis] = (skive_dim){dims[0], NULL};
    type.dims[axis + 1] = (skive_dim){dims[1], NULL};
    SKV_TRY(skv_value_rename(inner, unique));
    SKV_TRY(skive_graph_add_input(g, own, &type, &outer));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Resize", SKV_IN(outer, NULL, NULL, skv_emit_ints(&b, sizes, 2)),
                              SKV_ATTRS(SKV_STR("mode", "linear"), SKV_INT("antialias", 1), SKV_INTS("axes", axes, 2)));
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(inner, y, true));
    return skv_graph_remove_value(inner);
}

skive_status skv_teacher_resize(skive_context *ctx, const skive_graph *teacher, const skive_dataset_info *info,
                                skive_graph **out) {
    int64_t c, h, w;
    *out = NULL;
    skive_model_input_image(teacher, &c, &h, &w);
    const bool channels = info->rank == 3 && info->channel_axis <= 0;
    const int64_t *at = info->rank == 2 ? info->dims : channels ? info->dims + 1 : NULL;
    if (teacher->n_inputs != 1 || info->n_inputs > 1 || !at || h < 1 || w < 1 || (at[0] == h && at[1] == w))
        return SKIVE_OK;
    if (c > 0 && c != (channels ? info->dims[0] : 1)) return SKIVE_OK; /* refused with both shapes by the feed */
    const skive_type *t = &teacher->inputs[0]->type;
    SKV_TRY(skive_graph_copy(ctx, teacher, out));
    const skive_status status =
        put_resize(*out, at, t->rank == 4 && t->dims[2].size == h && t->dims[3].size == w ? 2 : 1);
    if (status == SKIVE_OK) {
        skv_note(ctx, "teacher: the data's images of %lld x %lld are resized to %lld x %lld for it", (long long)at[0],
                 (long long)at[1], (long long)h, (long long)w);
        return status;
    }
    skive_graph_free(*out);
    *out = NULL;
    return status;
}

skive_value **skv_teacher_inputs(skv_builder *b, const skv_teacher *teacher, const skv_loss_site *at,
                                 skv_feeds *teacher_feeds) {
    skive_context *ctx = b->graph->ctx;
    skv_feeds student;
    skive_value **x = NULL;
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_feeds_make(ctx, teacher->student, &at->targets->info, &student);
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_feeds_make(ctx, teacher->graph, &at->targets->info, teacher_feeds);
    if (b->status != SKIVE_OK)
        b->status = skv_fail_prefix(ctx, b->status, "teacher");
    else
        skv_feeds_tell(teacher_feeds, "teacher");
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(ctx, teacher_feeds->n, sizeof *x, &x);
    for (size_t i = 0; i < teacher_feeds->n && b->status == SKIVE_OK; i++)
        x[i] = one_input(b, &student, at, &teacher_feeds->items[i]);
    skv_feeds_free(&student);
    if (b->status == SKIVE_OK) return x;
    skv_free(ctx, x);
    return NULL;
}
