/* The loader: threads in the background fill a ring of batches ahead of the caller.
 *
 * Batch number s of an epoch always goes to slot s % depth, and its contents depend only on the options, the epoch and
 * s, so neither the number of threads nor their timing affects the data. A slot is free, being filled, or ready; the
 * caller keeps the slot of its current batch until it requests the next. A failure is kept in its slot and reported
 * when it is that batch's turn. */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "data/transform.h"
#include "tensor/tensor.h"

enum { MAX_LOADER_THREADS = 64, MAX_PREFETCH = 4096, STREAM_ORDER = 16 };

typedef enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY } slot_state;

typedef struct slot {
    slot_state state;
    size_t count;
    void **x;        /* [lanes]: [batch][sample] */
    void **y;        /* [answers]: int64 labels [batch][label], or float [batch][target], or shares of classes */
    size_t *indices; /* [batch] */
    skive_status status;
    char message[1024], subject[512];
} slot;

typedef struct worker {
    skive_loader *loader;
    skive_context *ctx;
    float *a, *b;   /* two samples, for transforms from one into the other */
    float *c;       /* a third, if an input is not float32; or NULL */
    void *d;        /* one in the type that it has on disk; or NULL */
    float *scratch; /* of the transforms; or NULL */
    pthread_t thread;
    int64_t *moved; /* labels of all positions, where transforms move them; or NULL */
} worker;

/* A sample seen as [outer][channels][inner], and the order in which it is written. */
typedef struct arrangement {
    skv_feed_order order;
    size_t outer, channels, inner;
} arrangement;

/* One input: from the samples of one part of the data set to what the model takes. */
typedef struct lane {
    const skive_dataset *ds;       /* that part */
    skv_transform_list transforms; /* those that are for it */
    skv_content content;           /* what they take its samples for */
    int64_t content_dims[3];       /* [c][h][w] as they see them */
    float *deviation;              /* of the columns, for transforms that need it; or NULL */
    /* The layouts of a sample: as stored, and after transforms (channels first). */
    arrangement plain, transformed;
    bool turn;         /* stored with channels last, but transforms need them first */
    bool changed;      /* scaled, normalised or reordered */
    float *scale;      /* [channels]: x * scale + shift, with x from skive_dataset_read */
    float *byte_scale; /* the same for a stored byte */
    float *shift;
    skive_dtype dtype; /* of a batch */
    size_t element;
    int rank; /* of a sample in it */
    int64_t dims[SKIVE_MAX_RANK];
} lane;

struct skive_loader {
    skive_context *ctx;
    const skive_dataset *ds;
    size_t batch, depth, batches, samples; /* samples per epoch: fewer than those of the set with drop_last */
    bool shuffle, drop_last;
    const uint32_t *chosen; /* [n_chosen] the samples of the next epochs; NULL: all */
    size_t n_chosen;
    uint64_t seed, transform_seed;
    lane *lanes; /* [n_lanes] inputs */
    size_t n_lanes, n_answers;
    bool mixes;          /* transforms mix the samples of a batch */
    int64_t shares;      /* labels are rows of so many shares of classes; 0: they are numbers of classes */
    skive_tensor *views; /* [n_lanes + n_answers] of the batch that the caller holds */

    slot *slots;     /* [depth] */
    uint32_t *order; /* [ds->count]; written only while no slot is being filled */
    worker *workers;
    int worker_count, started; /* started: threads that run; 0: the caller fills */

    pthread_mutex_t mutex;
    pthread_cond_t work, ready;
    bool has_mutex, has_work, has_ready;
    /* Under the mutex. */
    bool running, stop;
    uint64_t epoch;
    size_t next_fill, next_take, active;
    slot *held;
};

skive_loader_options skive_loader_options_default(void) {
    return (skive_loader_options){
        .size = sizeof(skive_loader_options), .batch = 128, .shuffle = true, .prefetch = 4, .threads = 1};
}

/* ---- filling ---- */

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

static void arrange(const lane *l, const arrangement *a, const float *from, float *to) {
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

static void arrange_bytes(const lane *l, const arrangement *a, const uint8_t *from, float *to) {
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

static skv_transform_run run_of(const worker *w, const lane *in, size_t index) {
    const skive_loader *l = w->loader;
    skv_transform_run run = {.list = &in->transforms,
                             .seed = l->transform_seed,
                             .epoch = l->epoch,
                             .index = index,
                             .content = in->content,
                             .scratch = w->scratch,
                             .deviation = in->deviation};
    memcpy(run.dims, in->content_dims, sizeof run.dims);
    return run;
}

static skive_status fill_floats(worker *w, const lane *in, size_t index, float *to) {
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

static skive_status no_place(worker *w, const lane *in, size_t index, double value) {
    return skv_fail_at(w->ctx, SKIVE_ERR_DATA, in->ds->spec,
                       "%s: sample %zu contains %.9g, which the type of the model's input, %s, cannot represent",
                       in->ds->spec, skive_dataset_origin(in->ds, index), value, skive_dtype_name(in->dtype));
}

/* The sample in its own type of whole numbers, in memory or from the disk; NULL if it has none, or is changed. */
static skive_status stored_integers(worker *w, const lane *in, size_t index, const void **data, size_t *first) {
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
static skive_status fill_integers(worker *w, const lane *in, size_t index, void *to) {
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

static skive_status fill_sample(worker *w, const lane *in, size_t index, void *to) {
    if (in->dtype == SKIVE_F32) return fill_floats(w, in, index, to);
    if (!skv_dtype_is_float(in->dtype)) return fill_integers(w, in, index, to);
    SKV_TRY(fill_floats(w, in, index, w->c));
    skv_from_f32(in->dtype, to, 0, in->ds->size, w->c);
    return SKIVE_OK;
}

/* The labels of all positions, moved as the transforms move the pixels of the same part. */
static skive_status fill_labels(worker *w, const skive_dataset *ds, size_t index, int64_t *to) {
    const skive_loader *l = w->loader;
    SKV_TRY(skive_dataset_read_labels(w->ctx, ds, index, to));
    for (size_t k = 0; k < l->n_lanes; k++) {
        const lane *in = &l->lanes[k];
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
static skive_status fill_answers(worker *w, size_t index, size_t i, slot *s) {
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
static void mix(const worker *w, size_t sequence, slot *s) {
    const skive_loader *l = w->loader;
    const lane *in = &l->lanes[0];
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

static void fill(worker *w, size_t sequence, slot *s) {
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

static void *work_loop(void *argument) {
    worker *w = argument;
    skive_loader *l = w->loader;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->stop &&
               !(l->running && l->next_fill < l->batches && l->slots[l->next_fill % l->depth].state == SLOT_FREE)) {
            pthread_cond_wait(&l->work, &l->mutex);
        }
        if (l->stop) break;
        size_t sequence = l->next_fill++;
        slot *s = &l->slots[sequence % l->depth];
        s->state = SLOT_FILLING;
        l->active++;
        pthread_mutex_unlock(&l->mutex);
        fill(w, sequence, s);
        pthread_mutex_lock(&l->mutex);
        s->state = SLOT_READY;
        l->active--;
        pthread_cond_broadcast(&l->ready);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* ---- making ---- */

static skive_status check_options(skive_context *ctx, const skive_loader_options *given, const skive_dataset *ds,
                                  skive_loader_options *o) {
    *o = skive_loader_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_loader_options", given, o, sizeof *o));
    if (o->batch == 0) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "batch", "batch size 0: give at least 1");
    if (o->threads < 0 || o->threads > MAX_LOADER_THREADS) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "threads", "%d loader threads: give 0 to %d", o->threads,
                           (int)MAX_LOADER_THREADS);
    }
    if (o->prefetch < 1 || o->prefetch > MAX_PREFETCH) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "prefetch", "%d batches to prefetch: give 1 to %d", o->prefetch,
                           (int)MAX_PREFETCH);
    }
    if (o->drop_last && o->batch > ds->count) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "batch",
                           "batch size %zu is larger than the %zu samples, and incomplete batches are left out",
                           o->batch, ds->count);
    }
    if (o->normalization) {
        const int64_t channels = o->normalization->channels;
        if (!skv_normalization_valid(o->normalization)) {
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "normalisation",
                               "normalisation: means must be finite and deviations positive");
        }
        if (channels > 1 && ds->dims[0] != channels) {
            return skv_fail_at(ctx, SKIVE_ERR_DATA, "normalisation",
                               "%s: its samples have %lld channels, but the normalisation has %lld", ds->spec,
                               (long long)ds->dims[0], (long long)channels);
        }
    }
    return SKIVE_OK;
}

/* Determines how samples are stored and in which order they are written. `axis` is the channel axis of the `count`
 * pairs. */
static skive_status make_arrangement(skive_context *ctx, lane *l, skv_feed_order order, int axis, int64_t count) {
    const skive_dataset *ds = l->ds;
    arrangement *p = &l->plain;
    *p = (arrangement){.order = order, .outer = 1, .channels = 1, .inner = ds->size};
    if (order != SKV_FEED_SAME) axis = order == SKV_FEED_TO_LAST ? 0 : ds->rank - 1;
    if (count > 1 && (size_t)count == ds->size && (axis < 0 || ds->dims[axis] != count)) {
        *p = (arrangement){.order = order, .outer = 1, .channels = ds->size, .inner = 1};
    } else if (axis >= 0 && (count > 1 || order != SKV_FEED_SAME)) {
        p->channels = (size_t)ds->dims[axis];
        p->inner = 1;
        for (int d = 0; d < ds->rank; d++) {
            if (d < axis) p->outer *= (size_t)ds->dims[d];
            if (d > axis) p->inner *= (size_t)ds->dims[d];
        }
    }
    l->transformed = *p;
    if (!l->transforms.count) return SKIVE_OK;
    l->turn = ds->rank == 3 && (order == SKV_FEED_TO_FIRST || (order == SKV_FEED_SAME && axis == 2));
    SKV_TRY(skv_transforms_fit(ctx, &l->transforms, ds, l->turn, &l->content));
    skv_content_dims(ds, l->content, l->turn, l->content_dims);
    if (!l->turn) return SKIVE_OK;
    if (p->channels == ds->size && p->inner == 1 && p->outer == 1 && count > 1) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                           "%s: transforms cannot be combined with a normalisation per value", ds->spec);
    }
    const size_t channels = (size_t)ds->dims[2], plane = ds->size / channels;
    l->transformed = (arrangement){.order = order == SKV_FEED_SAME ? SKV_FEED_TO_LAST : SKV_FEED_SAME,
                                   .outer = 1,
                                   .channels = channels,
                                   .inner = plane};
    return SKIVE_OK;
}

static skive_status make_scales(skive_context *ctx, lane *l, const skive_normalization *n, double scale, bool scaled) {
    const bool normalized = n && n->channels > 0, bytes = skv_dataset_bytes(l->ds);
    const size_t room = l->plain.channels > l->transformed.channels ? l->plain.channels : l->transformed.channels;
    const float unit = !scaled ? 1.0f : (float)(bytes ? scale * 255.0 : scale);
    l->changed = normalized || unit != 1.0f || l->plain.order != SKV_FEED_SAME;
    SKV_TRY(skv_alloc_array(ctx, room, sizeof(float), &l->scale));
    SKV_TRY(skv_alloc_array(ctx, room, sizeof(float), &l->byte_scale));
    SKV_TRY(skv_alloc_array(ctx, room, sizeof(float), &l->shift));
    for (size_t c = 0; c < room; c++) {
        const size_t from = normalized && n->channels > 1 ? c : 0;
        const float std = normalized ? n->std[from] : 1.0f;
        l->scale[c] = normalized ? unit / std : unit;
        l->byte_scale[c] = scaled ? (float)(scale / (double)std) : l->scale[c] * (1.0f / 255.0f);
        l->shift[c] = normalized ? -n->mean[from] / std : 0.0f;
    }
    return SKIVE_OK;
}

static skive_status too_large(const skive_loader *l) {
    return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "batch", "batch size %zu is too large", l->batch);
}

static skive_status make_slot(skive_loader *l, slot *s) {
    size_t values;
    SKV_TRY(skv_alloc_array(l->ctx, l->n_lanes, sizeof *s->x, &s->x));
    SKV_TRY(skv_alloc_array(l->ctx, l->n_answers + 1, sizeof *s->y, &s->y));
    SKV_TRY(skv_alloc_array(l->ctx, l->batch, sizeof *s->indices, &s->indices));
    for (size_t k = 0; k < l->n_lanes; k++) {
        if (!skv_mul_size(l->batch, l->lanes[k].ds->size, &values)) return too_large(l);
        SKV_TRY(skv_alloc_array(l->ctx, values, l->lanes[k].element, &s->x[k]));
    }
    for (size_t k = 0; k < l->n_answers; k++) {
        const skive_dataset *ds = skv_dataset_answer(l->ds, k);
        const bool labels = skv_dataset_labelled(ds) && !l->shares;
        const size_t wide = l->shares        ? (size_t)l->shares
                            : ds->label_rank ? ds->label_size
                            : labels         ? 1
                                             : ds->target_size;
        if (!skv_mul_size(l->batch, wide, &values)) return too_large(l);
        SKV_TRY(skv_alloc_array(l->ctx, values, labels ? sizeof(int64_t) : sizeof(float), &s->y[k]));
    }
    return SKIVE_OK;
}

static skive_status make_slots(skive_loader *l) {
    SKV_TRY(skv_alloc_array(l->ctx, l->n_lanes + l->n_answers, sizeof *l->views, &l->views));
    SKV_TRY(skv_alloc_array(l->ctx, l->depth, sizeof *l->slots, &l->slots));
    for (size_t i = 0; i < l->depth; i++) SKV_TRY(make_slot(l, &l->slots[i]));
    return SKIVE_OK;
}

/* The scratch of a worker serves all lanes. */
static skive_status make_scratch(skive_loader *l, worker *w) {
    size_t size = 1, loaded = 0, scratch = 0;
    bool other = false;
    for (size_t k = 0; k < l->n_lanes; k++) {
        const skive_dataset *ds = l->lanes[k].ds;
        const size_t bytes = ds->size * ((size_t)skive_dtype_bits(skv_dataset_dtype(ds)) / 8);
        if (ds->size > size) size = ds->size;
        if (skv_dataset_loads(ds) && bytes > loaded) loaded = bytes;
        other = other || l->lanes[k].dtype != SKIVE_F32;
        if (l->lanes[k].transforms.scratch * ds->size > scratch) scratch = l->lanes[k].transforms.scratch * ds->size;
    }
    SKV_TRY(skv_context_fork(l->ctx, &w->ctx));
    SKV_TRY(skv_alloc_array(l->ctx, size, sizeof *w->a, &w->a));
    SKV_TRY(skv_alloc_array(l->ctx, size, sizeof *w->b, &w->b));
    if (other) SKV_TRY(skv_alloc_array(l->ctx, size, sizeof *w->c, &w->c));
    if (scratch) SKV_TRY(skv_alloc_array(l->ctx, scratch, sizeof *w->scratch, &w->scratch));
    for (size_t k = 0; k < l->n_answers; k++) {
        const skive_dataset *ds = skv_dataset_answer(l->ds, k);
        if (ds->label_rank && !w->moved) SKV_TRY(skv_alloc_array(l->ctx, ds->label_size, sizeof *w->moved, &w->moved));
    }
    return loaded ? skv_alloc(l->ctx, loaded, &w->d) : SKIVE_OK;
}

/* Each worker has its own context, for its messages. */
static skive_status make_workers(skive_loader *l, int threads) {
    int count = threads ? threads : 1;
    SKV_TRY(skv_alloc_array(l->ctx, (size_t)count, sizeof *l->workers, &l->workers));
    l->worker_count = count;
    for (int i = 0; i < count; i++) {
        worker *w = &l->workers[i];
        w->loader = l;
        SKV_TRY(make_scratch(l, w));
    }
    if (threads == 0) return SKIVE_OK;
    l->has_mutex = pthread_mutex_init(&l->mutex, NULL) == 0;
    l->has_work = pthread_cond_init(&l->work, NULL) == 0;
    l->has_ready = pthread_cond_init(&l->ready, NULL) == 0;
    bool good = l->has_mutex && l->has_work && l->has_ready;
    sigset_t all, before; /* signals are for the caller's threads */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (good && l->started < count) {
        worker *w = &l->workers[l->started];
        good = pthread_create(&w->thread, NULL, work_loop, w) == 0;
        if (good) l->started++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good ? SKIVE_OK : SKV_FAIL(l->ctx, SKIVE_ERR_MEMORY, "cannot start a thread to load data");
}

/* The shape of the data, or that of the model's input. */
static void set_shape(lane *l, const skv_feed *feed) {
    l->dtype = feed ? feed->dtype : SKIVE_F32;
    l->element = (size_t)skive_dtype_bits(l->dtype) / 8;
    l->rank = feed ? feed->rank : l->ds->rank;
    memcpy(l->dims, feed ? feed->dims : l->ds->dims, sizeof l->dims);
}

/* Of several inputs each gets the transforms that are for samples like its own; whole numbers get those of tokens. */
static unsigned contents_of(const lane *in) {
    const unsigned all = skv_contents_of(in->ds);
    return skv_dtype_is_float(in->dtype) ? all : all & SKV_ON_TOKENS;
}

static skive_status share_transforms(skive_loader *l, const skv_transform_list *list) {
    if (l->n_lanes == 1) {
        l->lanes[0].transforms = *list;
        return SKIVE_OK;
    }
    for (int i = 0; i < list->count; i++) {
        const skv_transform *t = list->items[i].transform;
        size_t takers = 0;
        for (size_t k = 0; k < l->n_lanes; k++) {
            skv_transform_list *own = &l->lanes[k].transforms;
            if (!(contents_of(&l->lanes[k]) & t->on)) continue;
            own->items[own->count++] = list->items[i];
            if (t->scratch > own->scratch) own->scratch = t->scratch;
            takers++;
        }
        if (takers == 0)
            return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "transforms", "transform '%s' fits none of the inputs of %s",
                               t->name, l->ds->spec);
    }
    return SKIVE_OK;
}

/* The channel axis of samples that no model takes, so that transforms find height and width. */
static int plain_axis(const skive_dataset *ds) {
    return ds->rank == 3 && ds->channel_axis < 0 && skv_channel_axis_of(ds->rank, ds->dims) == 2 ? 2 : 0;
}

static skive_status measure_columns(skive_context *ctx, lane *in) {
    bool needed = false;
    for (int i = 0; i < in->transforms.count; i++) needed = needed || in->transforms.items[i].transform->deviation;
    return needed ? skv_column_deviations(ctx, in->ds, &in->deviation) : SKIVE_OK;
}

static skive_status make_lanes(skive_loader *l, const skv_feeds *feeds, const skive_normalization *given,
                               const skv_transform_list *list) {
    l->n_lanes = feeds ? feeds->n : skv_dataset_input_count(l->ds);
    l->n_answers = skv_dataset_answer_count(l->ds);
    SKV_TRY(skv_alloc_array(l->ctx, l->n_lanes, sizeof *l->lanes, &l->lanes));
    for (size_t k = 0; k < l->n_lanes; k++) {
        l->lanes[k].ds = skv_dataset_input(l->ds, feeds ? feeds->items[k].part : k);
        set_shape(&l->lanes[k], feeds ? &feeds->items[k] : NULL);
    }
    SKV_TRY(share_transforms(l, list));
    for (size_t k = 0; k < l->n_lanes; k++) {
        const skv_feed *feed = feeds ? &feeds->items[k] : NULL;
        const skive_normalization *n = feed ? &feed->normalization : k == 0 ? given : NULL;
        const int axis = feed ? feed->channel_axis : n && n->channels > 1 ? 0 : plain_axis(l->lanes[k].ds);
        SKV_TRY(make_arrangement(l->ctx, &l->lanes[k], feed ? feed->order : SKV_FEED_SAME, axis, n ? n->channels : 0));
        SKV_TRY(measure_columns(l->ctx, &l->lanes[k]));
        SKV_TRY(make_scales(l->ctx, &l->lanes[k], n, feed ? feed->scale : 1, feed && feed->scale_told));
    }
    return SKIVE_OK;
}

/* Labels become rows of shares where samples are mixed. */
static skive_status check_mixing(skive_loader *l, const skv_transform_list *list, int64_t scores) {
    const skive_dataset *ds = l->ds;
    l->mixes = skv_transforms_mixing(list) > 0;
    if (!l->mixes) return SKIVE_OK;
    if (ds->label_rank || l->n_lanes > 1 || l->n_answers > 1)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "transforms",
                           "%s: mixup and cutmix need one input and one label or target for each sample", ds->spec);
    if (l->lanes[0].dtype != SKIVE_F32)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "transforms",
                           "%s: mixup and cutmix need an input of float32, but the model's is %s", ds->spec,
                           skive_dtype_name(l->lanes[0].dtype));
    for (int i = 0; i < list->count && !ds->labels; i++) {
        const skv_transform *t = list->items[i].transform;
        if (t->mix && t->on == SKV_ON_IMAGE)
            return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "transforms",
                               "transform '%s' mixes labels, but %s has no class labels", t->name, ds->spec);
    }
    if (ds->labels) l->shares = scores > ds->classes ? scores : ds->classes;
    return SKIVE_OK;
}

skive_status skv_loader_create(skive_context *ctx, const skive_dataset *ds, const skive_loader_options *options,
                               const skv_feeds *feeds, skive_loader **out) {
    if (out) *out = NULL;
    if (!ctx || !ds || !out) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "skive_loader_create: an argument is NULL");
    skive_loader_options o;
    skive_loader *l = NULL;
    skv_transform_list transforms;
    skive_status status;
    SKV_TRY(check_options(ctx, options, ds, &o));
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *l, &l));
    l->ctx = ctx;
    l->ds = ds;
    l->batch = o.batch < ds->count ? o.batch : ds->count;
    l->batches = o.drop_last ? ds->count / l->batch : (ds->count - 1) / l->batch + 1;
    l->samples = o.drop_last ? l->batches * l->batch : ds->count;
    l->shuffle = o.shuffle;
    l->drop_last = o.drop_last;
    l->seed = o.seed ? o.seed : skive_context_seed(ctx);
    l->transform_seed = skv_hash64("transforms", 10, l->seed);
    l->depth = o.threads ? (size_t)o.prefetch + 1 : 1; /* one more for the batch the caller holds */
    if (l->depth > l->batches) l->depth = l->batches;
    SKV_GO(status, fail, skv_transforms_parse(ctx, o.transforms, &transforms));
    SKV_GO(status, fail, make_lanes(l, feeds, o.normalization, &transforms));
    SKV_GO(status, fail, check_mixing(l, &transforms, o.scores));
    SKV_GO(status, fail, skv_alloc_array(ctx, ds->count, sizeof *l->order, &l->order));
    SKV_GO(status, fail, make_slots(l));
    SKV_GO(status, fail, make_workers(l, o.threads));
    *out = l;
    return SKIVE_OK;
fail:
    skive_loader_free(l);
    return status;
}

skive_status skive_loader_create(skive_context *ctx, const skive_dataset *ds, const skive_loader_options *options,
                                 skive_loader **out) {
    SKV_NEED(ctx, "ctx, dataset, out", ctx, ds, out);
    return skv_loader_create(ctx, ds, options, NULL, out);
}

static void free_slot(const skive_loader *l, slot *s) {
    for (size_t k = 0; s->x && k < l->n_lanes; k++) skv_free(l->ctx, s->x[k]);
    for (size_t k = 0; s->y && k < l->n_answers; k++) skv_free(l->ctx, s->y[k]);
    skv_free(l->ctx, s->x);
    skv_free(l->ctx, s->y);
    skv_free(l->ctx, s->indices);
}

void skive_loader_free(skive_loader *l) {
    if (!l) return;
    skive_context *ctx = l->ctx;
    if (l->started) {
        pthread_mutex_lock(&l->mutex);
        l->stop = true;
        pthread_cond_broadcast(&l->work);
        pthread_mutex_unlock(&l->mutex);
        for (int i = 0; i < l->started; i++) (void)pthread_join(l->workers[i].thread, NULL);
    }
    for (int i = 0; i < l->worker_count; i++) {
        skv_free(ctx, l->workers[i].a);
        skv_free(ctx, l->workers[i].b);
        skv_free(ctx, l->workers[i].c);
        skv_free(ctx, l->workers[i].scratch);
        skv_free(ctx, l->workers[i].moved);
        skv_free(ctx, l->workers[i].d);
        skive_context_free(l->workers[i].ctx);
    }
    skv_free(ctx, l->workers);
    for (size_t i = 0; l->slots && i < l->depth; i++) free_slot(l, &l->slots[i]);
    skv_free(ctx, l->slots);
    if (l->has_mutex) (void)pthread_mutex_destroy(&l->mutex);
    if (l->has_work) (void)pthread_cond_destroy(&l->work);
    if (l->has_ready) (void)pthread_cond_destroy(&l->ready);
    skv_free(ctx, l->order);
    for (size_t k = 0; l->lanes && k < l->n_lanes; k++) {
        skv_free(ctx, l->lanes[k].scale);
        skv_free(ctx, l->lanes[k].byte_scale);
        skv_free(ctx, l->lanes[k].shift);
        skv_free(ctx, l->lanes[k].deviation);
    }
    skv_free(ctx, l->lanes);
    skv_free(ctx, l->views);
    skv_free(ctx, l);
}

size_t skive_loader_batches(const skive_loader *l) { return l ? l->batches : 0; }

/* ---- the epoch ---- */

static void lock(skive_loader *l) {
    if (l->started) pthread_mutex_lock(&l->mutex);
}

static void unlock(skive_loader *l) {
    if (l->started) pthread_mutex_unlock(&l->mutex);
}

void skv_loader_choose(skive_loader *l, const uint32_t *chosen, size_t n) {
    l->chosen = chosen;
    l->n_chosen = n;
}

/* The samples of the epoch in their order. */
static void set_order(skive_loader *l, uint64_t epoch) {
    const size_t n = l->chosen ? l->n_chosen : l->ds->count;
    l->batches = l->drop_last ? n / l->batch : (n - 1) / l->batch + 1;
    l->samples = l->drop_last ? l->batches * l->batch : n;
    for (size_t i = 0; i < n; i++) l->order[i] = l->chosen ? l->chosen[i] : (uint32_t)i;
    if (l->shuffle) skv_rng_shuffle(l->seed, STREAM_ORDER + epoch, l->order, n);
}

skive_status skv_loader_start_at(skive_loader *l, uint64_t epoch, size_t first) {
    lock(l);
    l->running = false;
    while (l->active > 0) pthread_cond_wait(&l->ready, &l->mutex);
    for (size_t i = 0; i < l->depth; i++) l->slots[i].state = SLOT_FREE;
    l->held = NULL;
    l->epoch = epoch;
    /* No thread reads the order while running is false and none is active. */
    set_order(l, epoch);
    l->next_fill = l->next_take = first < l->batches ? first : l->batches;
    l->running = true;
    if (l->started) pthread_cond_broadcast(&l->work);
    unlock(l);
    return SKIVE_OK;
}

skive_status skive_loader_start_epoch(skive_loader *l, uint64_t epoch) {
    SKV_NEED(l ? l->ctx : NULL, "loader", l);
    return skv_loader_start_at(l, epoch, 0);
}

static void describe_input(const lane *in, size_t count, void *data, skive_tensor *x) {
    *x = (skive_tensor){.dtype = in->dtype, .rank = in->rank + 1, .dims = {(int64_t)count}, .data = data};
    for (int d = 0; d < in->rank; d++) x->dims[d + 1] = in->dims[d];
}

static void describe_answer(const skive_dataset *ds, int64_t shares, size_t count, void *data, skive_tensor *y) {
    *y = (skive_tensor){.dtype = SKIVE_F32, .rank = 1, .dims = {(int64_t)count}, .data = data};
    if (shares) {
        y->rank = 2;
        y->dims[1] = shares;
    } else if (skv_dataset_labelled(ds)) {
        y->dtype = SKIVE_I64;
        y->rank = ds->label_rank + 1;
        for (int d = 0; d < ds->label_rank; d++) y->dims[d + 1] = ds->label_dims[d];
    } else {
        y->rank = ds->target_rank + 1;
        for (int d = 0; d < ds->target_rank; d++) y->dims[d + 1] = ds->target_dims[d];
    }
}

static void describe(const skive_loader *l, const slot *s, skive_batch *out) {
    skive_tensor *y = l->views + l->n_lanes;
    for (size_t k = 0; k < l->n_lanes; k++) describe_input(&l->lanes[k], s->count, s->x[k], &l->views[k]);
    for (size_t k = 0; k < l->n_answers; k++)
        describe_answer(skv_dataset_answer(l->ds, k), l->shares, s->count, s->y[k], &y[k]);
    out->count = s->count;
    out->indices = s->indices;
    out->x = l->views[0];
    if (l->n_answers) out->y = y[0];
    out->inputs = l->views;
    out->n_inputs = l->n_lanes;
    out->targets = y;
    out->n_targets = l->n_answers;
}

skive_status skive_loader_next(skive_loader *l, skive_batch *out) {
    SKV_NEED(l ? l->ctx : NULL, "loader, out", l, out);
    *out = (skive_batch){0};
    lock(l);
    if (!l->running) {
        unlock(l);
        return SKV_FAIL(l->ctx, SKIVE_ERR_ARGUMENT, "skive_loader_next: no epoch was started");
    }
    if (l->held) {
        l->held->state = SLOT_FREE;
        l->held = NULL;
        if (l->started) pthread_cond_signal(&l->work);
    }
    if (l->next_take == l->batches) {
        unlock(l);
        out->end = true;
        return SKIVE_OK;
    }
    slot *s = &l->slots[l->next_take % l->depth];
    if (l->started) {
        while (s->state != SLOT_READY) pthread_cond_wait(&l->ready, &l->mutex);
    } else if (s->state == SLOT_FREE) {
        fill(&l->workers[0], l->next_take, s);
        s->state = SLOT_READY;
    }
    if (s->status == SKIVE_OK) {
        l->held = s;
        l->next_take++;
    }
    unlock(l);
    if (s->status != SKIVE_OK) return skv_fail_at(l->ctx, s->status, s->subject, "%s", s->message);
    describe(l, s, out);
    return SKIVE_OK;
}
