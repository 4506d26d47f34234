/* Checkpoints: after each epoch, everything the next one starts from, in one file written atomically. Little-endian:
 * a header, then each with its length the run's settings as text, the float32 parameters of the model and of the best
 * model and the optimizer's states; a hash of all that at the end. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "train/train.h"

static const char magic[8] = {'S', 'K', 'V', 'C', 'K', 'P', 'T', '2'};

typedef struct header {
    char magic[8];
    int32_t run_epochs, epoch, best_epoch, reserved;
    double best, tie;
    int64_t step;
} header;

typedef struct sink {
    skv_writer *writer;        /* when saving */
    const unsigned char *data; /* when loading */
    size_t size, at;
    uint64_t hash;
} sink;

static skive_status move(skive_context *ctx, sink *s, void *bytes, size_t n) {
    if (s->writer) {
        s->hash = skv_hash64(bytes, n, s->hash);
        return skv_writer_write(s->writer, bytes, n);
    }
    if (n > s->size - s->at) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the checkpoint is truncated");
    memcpy(bytes, s->data + s->at, n);
    s->at += n;
    s->hash = skv_hash64(bytes, n, s->hash);
    return SKIVE_OK;
}

static skive_status move_array(skive_context *ctx, sink *s, void *data, uint64_t bytes) {
    uint64_t stored = bytes;
    SKV_TRY(move(ctx, s, &stored, sizeof stored));
    if (stored != bytes) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the checkpoint belongs to another model");
    return move(ctx, s, data, bytes);
}

static skive_status move_params(skive_context *ctx, sink *s, const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_tensor *t = skv_value_tensor(g->values[i]);
        if (t && t->dtype == SKIVE_F32) SKV_TRY(move_array(ctx, s, t->data, skive_tensor_bytes(t)));
    }
    return SKIVE_OK;
}

static skive_status move_settings(skive_context *ctx, sink *s, const char *settings) {
    uint64_t bytes = s->writer ? strlen(settings) : 0;
    SKV_TRY(move(ctx, s, &bytes, sizeof bytes));
    if (s->writer) {
        s->hash = skv_hash64(settings, bytes, s->hash);
        return skv_writer_write(s->writer, settings, bytes);
    }
    if (bytes > s->size - s->at) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the checkpoint is truncated");
    s->at += bytes;
    return SKIVE_OK;
}

static skive_status move_all(skive_context *ctx, sink *s, header *h, const skive_graph *model, const skive_graph *best,
                             skv_trainer *t) {
    SKV_TRY(move_params(ctx, s, model));
    SKV_TRY(move_params(ctx, s, best));
    for (size_t i = 0; i < skv_trainer_state_count(t); i++) {
        size_t bytes;
        void *state = skv_trainer_state(t, i, &bytes);
        SKV_TRY(move_array(ctx, s, state, bytes));
    }
    *skv_trainer_step_number(t) = h->step;
    return SKIVE_OK;
}

skive_status skv_checkpoint_save(skive_context *ctx, const char *path, const skv_checkpoint *c,
                                 const skive_graph *model, const skive_graph *best, skv_trainer *t) {
    header h = {.run_epochs = c->epochs,
                .epoch = c->epoch,
                .best_epoch = c->best_epoch,
                .best = c->best,
                .tie = c->tie,
                .step = *skv_trainer_step_number(t)};
    sink s = {0};
    memcpy(h.magic, magic, sizeof magic);
    SKV_TRY(skv_writer_open(ctx, path, &s.writer));
    skive_status status = move(ctx, &s, &h, sizeof h);
    if (status == SKIVE_OK) status = move_settings(ctx, &s, c->settings);
    if (status == SKIVE_OK) status = move_all(ctx, &s, &h, model, best, t);
    if (status == SKIVE_OK) status = skv_writer_write(s.writer, &s.hash, sizeof s.hash);
    if (status != SKIVE_OK) {
        skv_writer_abort(s.writer);
        return status;
    }
    return skv_writer_commit(s.writer);
}

static skive_status verify(skive_context *ctx, const char *path, const unsigned char *data, size_t size, header *h) {
    if (size < sizeof *h + 2 * sizeof(uint64_t)) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: not a checkpoint (too short); remove it to start anew",
                           path);
    }
    memcpy(h, data, sizeof *h);
    if (memcmp(h->magic, magic, sizeof magic - 1) != 0) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: not a checkpoint; remove it to start anew", path);
    }
    if (memcmp(h->magic, magic, sizeof magic) != 0) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path,
                           "%s: a checkpoint of another version of skive; remove it to start anew", path);
    }
    return SKIVE_OK;
}

/* Is it of this run? The length of the settings was checked with the hash. */
static skive_status check_settings(skive_context *ctx, const char *path, const skv_checkpoint *c, const header *h,
                                   const unsigned char *text, size_t size) {
    char why[700];
    if (!skv_settings_same(c->settings, (const char *)text, size, why, sizeof why)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, path,
                           "%s: the run of this checkpoint had %s; remove the file or use another", path, why);
    }
    if (h->run_epochs == c->epochs || (c->may_extend && h->epoch <= c->epochs)) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, path,
                       "%s: the run of this checkpoint had another number of epochs: %d, not %d, and %d of them are "
                       "done%s; remove the file or use another",
                       path, h->run_epochs, c->epochs, h->epoch,
                       c->may_extend ? "" : ", and the times at which masks change depend on it");
}

/* The hash is checked over the whole file before anything of the run is overwritten. */
static skive_status check_hash(skive_context *ctx, const char *path, const unsigned char *data, size_t size) {
    size_t at = sizeof(header);
    uint64_t hash = skv_hash64(data, sizeof(header), 0), stored;
    const size_t end = size - sizeof stored;
    while (at < end) {
        uint64_t n;
        if (end - at < sizeof n) break;
        memcpy(&n, data + at, sizeof n);
        hash = skv_hash64(data + at, sizeof n, hash);
        at += sizeof n;
        if (n > end - at) break;
        hash = skv_hash64(data + at, n, hash);
        at += n;
    }
    memcpy(&stored, data + end, sizeof stored);
    if (at == end && hash == stored) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: the checkpoint is damaged; remove it to start anew", path);
}

skive_status skv_checkpoint_load(skive_context *ctx, const char *path, skv_checkpoint *c, skive_graph *model,
                                 skive_graph *best, skv_trainer *t, bool *found) {
    skv_map *map = NULL;
    header h;
    *found = false;
    if (access(path, F_OK) != 0 && errno == ENOENT) return SKIVE_OK;
    SKV_TRY(skv_map_open(ctx, path, &map));
    const unsigned char *data = skv_map_data(map);
    const size_t size = skv_map_size(map);
    skive_status status = verify(ctx, path, data, size, &h);
    uint64_t length = 0;
    if (status == SKIVE_OK) status = check_hash(ctx, path, data, size);
    if (status == SKIVE_OK) {
        memcpy(&length, data + sizeof h, sizeof length);
        status = check_settings(ctx, path, c, &h, data + sizeof h + sizeof length, length);
    }
    if (status == SKIVE_OK) {
        sink s = {.data = data, .size = size - sizeof(uint64_t), .at = sizeof h};
        status = move_settings(ctx, &s, NULL);
        if (status == SKIVE_OK) status = move_all(ctx, &s, &h, model, best, t);
    }
    if (status == SKIVE_OK) {
        c->epoch = h.epoch;
        c->best_epoch = h.best_epoch;
        c->best = h.best;
        c->tie = h.tie;
        c->run_epochs = h.run_epochs;
        *found = true;
    }
    skv_map_release(map);
    return status;
}
