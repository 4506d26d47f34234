/* The student's inputs as the teacher expects them: back to the samples of the data, then into the teacher's layout,
 * scale and normalisation. */
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
