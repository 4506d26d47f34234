/* The loader: threads in the background fill a ring of batches ahead of the caller.
 *
 * Batch number s of an epoch always goes to slot s % depth, and its contents depend only on the options, the epoch and
 * s, so neither the number of threads nor their timing affects the data. A slot is free, being filled, or ready; the
 * caller keeps the slot of its current batch until it requests the next. A failure is kept in its slot and reported
 * when it is that batch's turn. */
#include <string.h>

#include "data/loader_inside.h"
#include "tensor/tensor.h"

enum { STREAM_ORDER = 16 };

void *skv_loader_work(void *argument) {
    skv_loader_worker *w = argument;
    skive_loader *l = w->loader;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->stop &&
               !(l->running && l->next_fill < l->batches && l->slots[l->next_fill % l->depth].state == SLOT_FREE)) {
            pthread_cond_wait(&l->work, &l->mutex);
        }
        if (l->stop) break;
        size_t sequence = l->next_fill++;
        skv_loader_slot *s = &l->slots[sequence % l->depth];
        s->state = SLOT_FILLING;
        l->active++;
        pthread_mutex_unlock(&l->mutex);
        skv_loader_fill(w, sequence, s);
        pthread_mutex_lock(&l->mutex);
        s->state = SLOT_READY;
        l->active--;
        pthread_cond_broadcast(&l->ready);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
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

void skv_loader_views(skive_loader *l, uint64_t repeat, uint64_t shift) {
    l->repeat = repeat;
    l->shift = shift;
}

void skv_loader_spare(skive_loader *l, double part) { l->spare = part; }

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

static void describe_input(const skv_lane *in, size_t count, void *data, skive_tensor *x) {
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

static void describe(const skive_loader *l, const skv_loader_slot *s, skive_batch *out) {
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
    skv_loader_slot *s = &l->slots[l->next_take % l->depth];
    if (l->started) {
        while (s->state != SLOT_READY) pthread_cond_wait(&l->ready, &l->mutex);
    } else if (s->state == SLOT_FREE) {
        skv_loader_fill(&l->workers[0], l->next_take, s);
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
