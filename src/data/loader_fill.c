/* Filling a batch: samples are read, transformed, normalised and written in the model's order; labels with them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/loader_inside.h"
#include "tensor/tensor.h"

/* clang vectorizes these loops by itself, and warns about the pragma in builds where it cannot (sanitizers). */
#ifdef __clang__
#define VECTORIZE
#else
#define VECTORIZE _Pragma("omp simd")
#endif

static void convert_u8(const uint8_t *restrict from, size_t n, float scale, float shift, float *restrict to) {
    VECTORIZE
    for (size_t i = 0; i < n; i++) to[i] = (float)from[i] * scale + shift;
}

static void normalize(const float *restrict from, size_t n, float scale, float shift, float *restrict to) {
    VECTORIZE
    for (size_t i = 0; i < n; i++) to[i] = from[i] * scale + shift;
}

/* Columns of a table, or interleaved channels: a pair for each value. */
static void normalize_columns(const float *restrict from, size_t n, const float *restrict scale,
                              const float *restrict shift, float *restrict to) {
    VECTORIZE
    for (size_t i = 0; i < n; i++) to[i] = from[i] * scale[i] + shift[i];
}

static void convert_columns(const uint8_t *restrict from, size_t n, const float *restrict scale,
                            const float *restrict shift, float *restrict to) {
    VECTORIZE
    for (size_t i = 0; i < n; i++) to[i] = (float)from[i] * scale[i] + shift[i];
}

static void arrange(const skv_lane *l, const skv_arrangement *a, const float *from, float *to) {
    const size_t channels = a->channels, inner = a->inner;
    if (a->order == SKV_FEED_TO_LAST) {
        for (size_t c = 0; c < channels; c++) {
            for (size_t i = 0; i < inner; i++) to[i * channels + c] = from[c * inner + i] * l->scale[c] + l->shift[c];
        }
    } else if (a->order == SKV_FEED_TO_FIRST) {
        for (size_t c = 0; c < channels; c++) {
            for (size_t i = 0; i < a->outer; i++)
                to[c * a->outer + i] = from[i * channels + c] * l->scale[c] + l->shift[c];
        }
    } else if (inner == 1) {
        for (size_t o = 0; o < a->outer; o++)
            normalize_columns(from + o * channels, channels, l->scale, l->shift, to + o * channels);
    } else {
        for (size_t r = 0; r < a->outer * channels; r++)
            normalize(from + r * inner, inner, l->scale[r % channels], l->shift[r % channels], to + r * inner);
    }
}

static void arrange_bytes(const skv_lane *l, const skv_arrangement *a, const uint8_t *from, float *to) {
    const size_t channels = a->channels, inner = a->inner;
    const float *scale = l->byte_scale;
    if (a->order == SKV_FEED_TO_LAST) {
        for (size_t c = 0; c < channels; c++) {
            for (size_t i = 0; i < inner; i++)
                to[i * channels + c] = (float)from[c * inner + i] * scale[c] + l->shift[c];
        }
    } else if (a->order == SKV_FEED_TO_FIRST) {
        for (size_t c = 0; c < channels; c++) {
            for (size_t i = 0; i < a->outer; i++)
                to[c * a->outer + i] = (float)from[i * channels + c] * scale[c] + l->shift[c];
        }
    } else if (inner == 1) {
        for (size_t o = 0; o < a->outer; o++)
            convert_columns(from + o * channels, channels, scale, l->shift, to + o * channels);
    } else {
        for (size_t r = 0; r < a->outer * channels; r++)
            convert_u8(from + r * inner, inner, scale[r % channels], l->shift[r % channels], to + r * inner);
    }
}

static void channels_first(const float *from, size_t channels, size_t plane, float *to) {
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < plane; i++) to[c * plane + i] = from[i * channels + c];
    }
}

static skv_transform_run run_of(const skv_loader_worker *w, const skv_lane *in, size_t index) {
    const skive_loader *l = w->loader;
    skv_transform_run run = {.list = &in->transforms,
                             .seed = l->transform_seed,
                             .epoch = (l->repeat ? l->epoch % l->repeat : l->epoch) + l->shift,
                             .index = index,
                             .content = in->content,
                             .scratch = w->scratch,
                             .deviation = in->deviation,
                             .spare = w->loader->spare};
    memcpy(run.dims, in->content_dims, sizeof run.dims);
    return run;
}

static skive_status fill_floats(skv_loader_worker *w, const skv_lane *in, size_t index, float *to) {
    const skive_dataset *ds = in->ds;
    if (ds->u8 && !in->transforms.count) {
        arrange_bytes(in, &in->plain, ds->u8 + skv_dataset_at(ds, index) * ds->size, to);
        return SKIVE_OK;
    }
    const bool direct = !in->transforms.count && !in->changed;
    float *sample = direct ? to : w->a, *other = w->b;
    SKV_TRY(skive_dataset_read(w->ctx, ds, index, sample, NULL));
    if (direct) return SKIVE_OK;
    if (in->transforms.count) {
        const skv_transform_run run = run_of(w, in, index);
        if (in->turn) {
            channels_first(sample, (size_t)run.dims[0], (size_t)(run.dims[1] * run.dims[2]), other);
            sample = w->b;
            other = w->a;
        }
        sample = skv_transforms_apply(&run, sample, other);
    }
    arrange(in, in->transforms.count ? &in->transformed : &in->plain, sample, to);
    return SKIVE_OK;
}

static skive_status no_place(skv_loader_worker *w, const skv_lane *in, size_t index, double value) {
    return skv_fail_at(w->ctx, SKIVE_ERR_DATA, in->ds->spec,
                       "%s: sample %zu contains %.9g, which the type of the model's input, %s, cannot represent",
                       in->ds->spec, skive_dataset_origin(in->ds, index), value, skive_dtype_name(in->dtype));
}

/* The sample in its own type of whole numbers, in memory or from the disk; NULL if it has none, or is changed. */
static skive_status stored_integers(skv_loader_worker *w, const skv_lane *in, size_t index, const void **data,
                                    size_t *first) {
    const skive_dataset *ds = in->ds;
    const bool plain = !in->changed && !in->transforms.count && !skv_dtype_is_float(skv_dataset_dtype(ds));
    *data = NULL;
    *first = 0;
    if (!plain) return SKIVE_OK;
    if (ds->x.data) {
        *data = ds->x.data;
        *first = skv_dataset_at(ds, index) * ds->size;
    } else if (skv_dataset_loads(ds)) {
        SKV_TRY(skv_dataset_load(w->ctx, ds, skv_dataset_at(ds, index), w->d));
        *data = w->d;
    }
    return SKIVE_OK;
}

/* Values for an integer input, which must be representable. */
static skive_status fill_integers(skv_loader_worker *w, const skv_lane *in, size_t index, void *to) {
    const skive_dataset *ds = in->ds;
    const skive_dtype dtype = skv_dataset_dtype(ds);
    const void *stored;
    size_t at;
    SKV_TRY(stored_integers(w, in, index, &stored, &at));
    if (!stored) SKV_TRY(fill_floats(w, in, index, w->c));
    for (size_t i = 0; i < ds->size; i++) {
        int64_t value;
        if (stored) {
            value = skv_load_i64(dtype, stored, at + i);
            if (dtype == SKIVE_U64 && value < 0) return no_place(w, in, index, ldexp(1, 64));
        } else {
            double x = (double)w->c[i];
            if (skv_dataset_bytes(ds) && fabs(x - rint(x)) < 1e-3) x = rint(x); /* a byte that was divided by 255 */
            if (!(fabs(x) < 9e18) || x != rint(x)) return no_place(w, in, index, x);
            value = (int64_t)x;
        }
        skv_store_i64(in->dtype, to, i, value);
        if (skv_load_i64(in->dtype, to, i) != value) return no_place(w, in, index, (double)value);
    }
    return SKIVE_OK;
}

static skive_status fill_sample(skv_loader_worker *w, const skv_lane *in, size_t index, void *to) {
    if (in->dtype == SKIVE_F32) return fill_floats(w, in, index, to);
    if (!skv_dtype_is_float(in->dtype)) return fill_integers(w, in, index, to);
    SKV_TRY(fill_floats(w, in, index, w->c));
    skv_from_f32(in->dtype, to, 0, in->ds->size, w->c);
    return SKIVE_OK;
}

/* The labels of all positions, moved as the transforms move the pixels of the same part. */
static skive_status fill_labels(skv_loader_worker *w, const skive_dataset *ds, size_t index, int64_t *to) {
    const skive_loader *l = w->loader;
    SKV_TRY(skive_dataset_read_labels(w->ctx, ds, index, to));
    for (size_t k = 0; k < l->n_lanes; k++) {
        const skv_lane *in = &l->lanes[k];
        if (in->ds != ds || !in->transforms.count) continue;
        const skv_transform_run run = run_of(w, in, index);
        skv_transforms_apply_labels(&run, to, w->moved);
    }
    return SKIVE_OK;
}

static void put_shares(float *row, int64_t n, int64_t label) {
    for (int64_t c = 0; c < n; c++) row[c] = c == label ? 1.0f : 0.0f;
}

/* The labels or targets of sample `index`, which is the i-th of the batch. */
static skive_status fill_answers(skv_loader_worker *w, size_t index, size_t i, skv_loader_slot *s) {
    const skive_loader *l = w->loader;
    const size_t at = skv_dataset_at(l->ds, index);
    for (size_t k = 0; k < l->n_answers; k++) {
        const skive_dataset *ds = skv_dataset_answer(l->ds, k);
        if (ds->label_rank)
            SKV_TRY(fill_labels(w, ds, index, (int64_t *)s->y[k] + i * ds->label_size));
        else if (l->shares)
            put_shares((float *)s->y[k] + (int64_t)i * l->shares, l->shares, ds->labels[at]);
        else if (ds->labels)
            ((int64_t *)s->y[k])[i] = ds->labels[at];
        else if (ds->targets)
            memcpy((float *)s->y[k] + i * ds->target_size, ds->targets + at * ds->target_size,
                   ds->target_size * sizeof(float));
    }
    return SKIVE_OK;
}

/* Mixes sample i with sample n - 1 - i, both ways; in a shuffled epoch that is any other sample. There is one input and
 * one target. */
static void mix(const skv_loader_worker *w, size_t sequence, skv_loader_slot *s) {
    const skive_loader *l = w->loader;
    const skv_lane *in = &l->lanes[0];
    const size_t size = in->ds->size, targets = l->shares ? (size_t)l->shares : l->n_answers ? l->ds->target_size : 0;
    const skv_transform_run run = run_of(w, in, sequence);
    skv_mix how;
    if (!skv_transforms_mix(&run, &how)) return;
    for (size_t i = 0; i < s->count / 2; i++) {
        const size_t j = s->count - 1 - i;
        float *x = s->x[0];
        skv_mix_samples(&how, in->content_dims, in->transformed.order == SKV_FEED_TO_LAST, x + i * size, x + j * size);
        if (targets) {
            float *y = s->y[0];
            skv_mix_targets(&how, targets, y + i * targets, y + j * targets);
        }
    }
}

void skv_loader_fill(skv_loader_worker *w, size_t sequence, skv_loader_slot *s) {
    const skive_loader *l = w->loader;
    size_t first = sequence * l->batch, left = l->samples - first;
    s->count = left < l->batch ? left : l->batch;
    s->status = SKIVE_OK;
    for (size_t i = 0; i < s->count; i++) {
        const size_t index = l->order[first + i];
        s->indices[i] = index;
        s->status = fill_answers(w, index, i, s);
        for (size_t k = 0; k < l->n_lanes && s->status == SKIVE_OK; k++)
            s->status =
                fill_sample(w, &l->lanes[k], index, (char *)s->x[k] + i * l->lanes[k].ds->size * l->lanes[k].element);
        if (s->status != SKIVE_OK) {
            (void)snprintf(s->message, sizeof s->message, "%s", skive_context_message(w->ctx));
            (void)snprintf(s->subject, sizeof s->subject, "%s", skive_context_subject(w->ctx));
            return;
        }
    }
    if (l->mixes) mix(w, sequence, s);
}
