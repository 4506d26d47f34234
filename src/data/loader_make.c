/* Making a loader: what each input needs, slots, workers and their threads; and freeing it. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "data/loader_inside.h"
#include "tensor/tensor.h"

enum { MAX_LOADER_THREADS = 64, MAX_PREFETCH = 4096 };

skive_loader_options skive_loader_options_default(void) {
    return (skive_loader_options){
        .size = sizeof(skive_loader_options), .batch = 128, .shuffle = true, .prefetch = 4, .threads = 1};
}

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
static skive_status make_arrangement(skive_context *ctx, skv_lane *l, skv_feed_order order, int axis, int64_t count) {
    const skive_dataset *ds = l->ds;
    skv_arrangement *p = &l->plain;
    *p = (skv_arrangement){.order = order, .outer = 1, .channels = 1, .inner = ds->size};
    if (order != SKV_FEED_SAME) axis = order == SKV_FEED_TO_LAST ? 0 : ds->rank - 1;
    if (count > 1 && (size_t)count == ds->size && (axis < 0 || ds->dims[axis] != count)) {
        *p = (skv_arrangement){.order = order, .outer = 1, .channels = ds->size, .inner = 1};
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
    l->transformed = (skv_arrangement){.order = order == SKV_FEED_SAME ? SKV_FEED_TO_LAST : SKV_FEED_SAME,
                                       .outer = 1,
                                       .channels = channels,
                                       .inner = plane};
    return SKIVE_OK;
}

static skive_status make_scales(skive_context *ctx, skv_lane *l, const skive_normalization *n, double scale,
                                bool scaled) {
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

static skive_status make_slot(skive_loader *l, skv_loader_slot *s) {
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
static skive_status make_scratch(skive_loader *l, skv_loader_worker *w) {
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
        skv_loader_worker *w = &l->workers[i];
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
        skv_loader_worker *w = &l->workers[l->started];
        good = pthread_create(&w->thread, NULL, skv_loader_work, w) == 0;
        if (good) l->started++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good ? SKIVE_OK : SKV_FAIL(l->ctx, SKIVE_ERR_MEMORY, "cannot start a thread to load data");
}

/* The shape of the data, or that of the model's input. */
static void set_shape(skv_lane *l, const skv_feed *feed) {
    l->dtype = feed ? feed->dtype : SKIVE_F32;
    l->element = (size_t)skive_dtype_bits(l->dtype) / 8;
    l->rank = feed ? feed->rank : l->ds->rank;
    memcpy(l->dims, feed ? feed->dims : l->ds->dims, sizeof l->dims);
}

/* Of several inputs each gets the transforms that are for samples like its own; whole numbers get those of tokens. */
static unsigned contents_of(const skv_lane *in) {
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

static skive_status measure_columns(skive_context *ctx, skv_lane *in) {
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

static void free_slot(const skive_loader *l, skv_loader_slot *s) {
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
