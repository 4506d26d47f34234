/* Checkpoints: everything that the next step starts from, in one file written atomically. Little-endian:
 * the magic; the run's settings as text; entries, each an array of numbers under the name of its owner and of what it
 * is; a hash of all that. The settings are a block: its length (u64) and its bytes. An entry is four blocks: owner,
 * what, the size of an element (u64), and the elements. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "train/train.h"

static const char magic[8] = {'S', 'K', 'V', 'C', 'K', 'P', 'T', '4'};

/* The run's own numbers. */
static skive_status show_run(skv_checkpoint *c, skv_states *s) {
    SKV_TRY(skv_state(s, "run", "epochs", &c->run_epochs, 1, sizeof c->run_epochs));
    SKV_TRY(skv_state(s, "run", "epoch", &c->epoch, 1, sizeof c->epoch));
    SKV_TRY(skv_state(s, "run", "steps", &c->steps, 1, sizeof c->steps));
    SKV_TRY(skv_state(s, "run", "steps of the epoch", &c->in_epoch, 1, sizeof c->in_epoch));
    SKV_TRY(skv_state(s, "run", "loss of the epoch", &c->loss_sum, 1, sizeof c->loss_sum));
    SKV_TRY(skv_state(s, "run", "right samples of the epoch", &c->right, 1, sizeof c->right));
    SKV_TRY(skv_state(s, "run", "samples of the epoch", &c->seen, 1, sizeof c->seen));
    SKV_TRY(skv_state(s, "run", "seconds of the epoch", &c->seconds, 1, sizeof c->seconds));
    SKV_TRY(skv_state(s, "run", "waited in the epoch", &c->waited, 1, sizeof c->waited));
    SKV_TRY(skv_state(s, "run", "best epoch", &c->best_epoch, 1, sizeof c->best_epoch));
    return skv_state(s, "run", "best", c->best, SKV_BEST_MOST + 1, sizeof *c->best);
}

/* ---- writing ---- */

typedef struct sink {
    skv_states states;
    skive_context *ctx;
    skv_writer *writer;
    uint64_t hash;
} sink;

static skive_status put_block(sink *s, const void *bytes, size_t n) {
    unsigned char length[8];
    skv_store_le64(length, n);
    s->hash = skv_hash64(bytes, n, skv_hash64(length, sizeof length, s->hash));
    SKV_TRY(skv_writer_write(s->writer, length, sizeof length));
    return skv_writer_write(s->writer, bytes, n);
}

static skive_status put_elements(sink *s, const void *data, size_t bytes, size_t size) {
    if (!SKV_BIG_ENDIAN || size == 1) return put_block(s, data, bytes);
    void *turned = NULL;
    SKV_TRY(skv_alloc_array(s->ctx, bytes + 1, 1, &turned));
    memcpy(turned, data, bytes);
    skv_little_endian(turned, bytes, size);
    const skive_status status = put_block(s, turned, bytes);
    skv_free(s->ctx, turned);
    return status;
}

static skive_status put_array(skv_states *states, const char *owner, const char *what, void *data, size_t count,
                              size_t size) {
    sink *s = (sink *)states;
    unsigned char element[8];
    skv_store_le64(element, size);
    SKV_TRY(put_block(s, owner, strlen(owner)));
    SKV_TRY(put_block(s, what, strlen(what)));
    SKV_TRY(put_block(s, element, sizeof element));
    return put_elements(s, data, count * size, size);
}

static skive_status save(sink *s, skv_checkpoint *c, skv_show_states show, void *user) {
    unsigned char hash[8];
    c->run_epochs = c->epochs;
    s->hash = skv_hash64(magic, sizeof magic, 0);
    SKV_TRY(skv_writer_write(s->writer, magic, sizeof magic));
    SKV_TRY(put_block(s, c->settings, strlen(c->settings)));
    SKV_TRY(show_run(c, &s->states));
    SKV_TRY(show(user, &s->states));
    skv_store_le64(hash, s->hash);
    return skv_writer_write(s->writer, hash, sizeof hash);
}

skive_status skv_checkpoint_save(skive_context *ctx, const char *path, skv_checkpoint *c, skv_show_states show,
                                 void *user) {
    sink s = {.states = {put_array}, .ctx = ctx};
    SKV_TRY(skv_writer_open(ctx, path, &s.writer));
    const skive_status status = save(&s, c, show, user);
    if (status == SKIVE_OK) return skv_writer_commit(s.writer);
    skv_writer_abort(s.writer);
    return status;
}

/* ---- reading ---- */

typedef struct block {
    const unsigned char *data;
    size_t size;
} block;

typedef struct entry {
    block owner, what, elements;
    uint64_t size; /* of one */
} entry;

typedef struct source {
    skv_states states;
    skive_context *ctx;
    const char *path;
    block settings;
    entry *entries; /* [n] in the order of the file */
    size_t n, next;
    size_t asked; /* arrays */
    bool copy;    /* write the numbers; otherwise only look whether they are there */
} source;

static bool next_block(const unsigned char *data, size_t end, size_t *at, block *out) {
    if (end - *at < 8) return false;
    const uint64_t n = skv_load_le64(data + *at);
    if (n > end - *at - 8) return false;
    *out = (block){data + *at + 8, (size_t)n};
    *at += 8 + (size_t)n;
    return true;
}

static bool next_entry(const unsigned char *data, size_t end, size_t *at, entry *e) {
    block size;
    if (!next_block(data, end, at, &e->owner) || !next_block(data, end, at, &e->what) ||
        !next_block(data, end, at, &size) || size.size != 8 || !next_block(data, end, at, &e->elements))
        return false;
    e->size = skv_load_le64(size.data);
    return true;
}

static skive_status damaged(const source *s) {
    return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->path, "%s: the checkpoint is damaged; remove it to start anew",
                       s->path);
}

static skive_status check_magic(const source *s, const unsigned char *data, size_t size) {
    if (size < sizeof magic + 2 * sizeof(uint64_t)) {
        return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->path,
                           "%s: not a checkpoint (too short); remove it to start anew", s->path);
    }
    if (memcmp(data, magic, sizeof magic - 1) != 0) {
        return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->path, "%s: not a checkpoint; remove it to start anew", s->path);
    }
    if (memcmp(data, magic, sizeof magic) == 0) return SKIVE_OK;
    return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->path,
                       "%s: a checkpoint of another version of skive; remove it to start anew", s->path);
}

static skive_status check_hash(const source *s, const unsigned char *data, size_t size) {
    const size_t end = size - sizeof(uint64_t);
    uint64_t hash = skv_hash64(data, sizeof magic, 0);
    block b;
    for (size_t at = sizeof magic; at < end;) {
        if (!next_block(data, end, &at, &b)) return damaged(s);
        hash = skv_hash64(b.data, b.size, skv_hash64(b.data - 8, 8, hash));
    }
    return hash == skv_load_le64(data + end) ? SKIVE_OK : damaged(s);
}

static skive_status index_entries(source *s, const unsigned char *data, size_t end) {
    size_t at = sizeof magic, n = 0;
    entry e;
    if (!next_block(data, end, &at, &s->settings)) return damaged(s);
    for (size_t from = at; from < end; n++)
        if (!next_entry(data, end, &from, &e)) return damaged(s);
    SKV_TRY(skv_alloc_array(s->ctx, n + 1, sizeof *s->entries, &s->entries));
    for (; s->n < n; s->n++) (void)next_entry(data, end, &at, &s->entries[s->n]);
    return SKIVE_OK;
}

static bool is_name(const block *b, const char *name) {
    return b->size == strlen(name) && memcmp(b->data, name, b->size) == 0;
}

/* Nearly always the one behind the last that was found. */
static const entry *find(source *s, const char *owner, const char *what) {
    for (size_t i = 0; i < s->n; i++) {
        const size_t at = (s->next + i) % s->n;
        if (!is_name(&s->entries[at].what, what) || !is_name(&s->entries[at].owner, owner)) continue;
        s->next = at + 1;
        return &s->entries[at];
    }
    return NULL;
}

static skive_status get_array(skv_states *states, const char *owner, const char *what, void *data, size_t count,
                              size_t size) {
    source *s = (source *)states;
    const entry *e = find(s, owner, what);
    if (!e || e->size != size || e->elements.size != count * size) {
        return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->path,
                           "%s: the checkpoint belongs to another model (%s of '%s'); remove it to start anew", s->path,
                           what, owner);
    }
    s->asked++;
    if (!s->copy) return SKIVE_OK;
    memcpy(data, e->elements.data, e->elements.size);
    skv_little_endian(data, e->elements.size, size);
    return SKIVE_OK;
}

static skive_status check_settings(const source *s, const skv_checkpoint *c) {
    char why[700];
    if (skv_settings_same(c->settings, (const char *)s->settings.data, s->settings.size, why, sizeof why))
        return SKIVE_OK;
    return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, s->path,
                       "%s: the run of this checkpoint had %s; remove the file or use another", s->path, why);
}

static skive_status check_epochs(const source *s, const skv_checkpoint *c) {
    if (c->run_epochs == c->epochs || (c->may_extend && c->epoch <= c->epochs)) return SKIVE_OK;
    return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, s->path,
                       "%s: the run of this checkpoint had another number of epochs: %d, not %d, and %d of them are "
                       "done%s; remove the file or use another",
                       s->path, (int)c->run_epochs, (int)c->epochs, (int)c->epoch,
                       c->may_extend ? "" : ", and what it does at which time depends on it");
}

/* First all is looked for, and then it is read: what does not fit changes nothing. */
static skive_status read_all(source *s, skv_checkpoint *c, skv_show_states show, void *user) {
    s->copy = true;
    SKV_TRY(show_run(c, &s->states));
    SKV_TRY(check_epochs(s, c));
    s->copy = false;
    SKV_TRY(show(user, &s->states));
    if (s->asked != s->n)
        return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->path,
                           "%s: the checkpoint belongs to another model: it has more numbers; remove it to start anew",
                           s->path);
    s->copy = true;
    return show(user, &s->states);
}

skive_status skv_checkpoint_load(skive_context *ctx, const char *path, skv_checkpoint *c, skv_show_states show,
                                 void *user, bool *found) {
    source s = {.states = {get_array}, .ctx = ctx, .path = path};
    skv_checkpoint theirs = *c;
    skv_map *map = NULL;
    skive_status status;
    *found = false;
    if (access(path, F_OK) != 0 && errno == ENOENT) return SKIVE_OK;
    SKV_TRY(skv_map_open(ctx, path, &map));
    const unsigned char *data = skv_map_data(map);
    const size_t size = skv_map_size(map);
    SKV_GO(status, done, check_magic(&s, data, size));
    SKV_GO(status, done, check_hash(&s, data, size));
    SKV_GO(status, done, index_entries(&s, data, size - sizeof(uint64_t)));
    SKV_GO(status, done, check_settings(&s, c));
    SKV_GO(status, done, read_all(&s, &theirs, show, user));
    *c = theirs;
    *found = true;
done:
    skv_free(ctx, s.entries);
    skv_map_release(map);
    return status;
}
