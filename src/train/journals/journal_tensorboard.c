/* Event files for TensorBoard: records framed as in TFRecord files (length, masked CRC32C of it, data, masked CRC32C of
 * them), each a protobuf message Event of the time, the step and the figures (tensorflow/core/util/event.proto and
 * framework/summary.proto). Each run has a folder of its own, by which TensorBoard tells runs apart:
 *
 *     DIR/train-0123456789abcdef/events.out.tfevents.0.skive */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/endian.h"
#include "train/journal.h"
#include "train/train.h"

enum { FRAME = 12, FOOT = 4 }; /* bytes in front of and behind the data of a record */

typedef struct board {
    skive_context *ctx;
    skv_appender *file;
    uint32_t table[256]; /* of the CRC */
} board;

/* ---- records ---- */

/* CRC-32C (Castagnoli), reflected. */
static void make_table(uint32_t table[256]) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        table[i] = c;
    }
}

static uint32_t masked_crc(const uint32_t table[256], const void *bytes, size_t n) {
    const unsigned char *at = bytes;
    uint32_t c = 0xffffffffu;
    while (n--) c = table[(c ^ *at++) & 255] ^ c >> 8;
    c = ~c;
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void store_le32(unsigned char *to, uint32_t x) {
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(x >> 8 * i);
}

static uint32_t load_le32(const unsigned char *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* The data of the record at text[*at], whose end *at becomes; NULL when there is no whole record. */
static const unsigned char *next_record(const uint32_t table[256], const unsigned char *bytes, size_t n, size_t *at,
                                        size_t *size) {
    const unsigned char *frame = bytes + *at;
    if (n - *at < FRAME + FOOT || masked_crc(table, frame, 8) != load_le32(frame + 8)) return NULL;
    const uint64_t length = skv_load_le64(frame);
    if (length > n - *at - FRAME - FOOT) return NULL;
    *size = (size_t)length;
    if (masked_crc(table, frame + FRAME, *size) != load_le32(frame + FRAME + *size)) return NULL;
    *at += FRAME + *size + FOOT;
    return frame + FRAME;
}

/* ---- messages ---- enough of protobuf: varints, fixed sizes, and bytes with their length ---- */

enum { MESSAGE_ROOM = 4096 };

typedef struct message {
    unsigned char bytes[MESSAGE_ROOM];
    size_t n;
} message;

static void put_byte(message *m, unsigned char byte) {
    if (m->n < MESSAGE_ROOM) m->bytes[m->n++] = byte;
}

static void put_varint(message *m, uint64_t x) {
    for (; x >= 128; x >>= 7) put_byte(m, (unsigned char)(x | 128));
    put_byte(m, (unsigned char)x);
}

static void put_bytes(message *m, int field, const void *bytes, size_t n) {
    put_varint(m, (uint64_t)field << 3 | 2);
    put_varint(m, n);
    for (size_t i = 0; i < n; i++) put_byte(m, ((const unsigned char *)bytes)[i]);
}

static void put_double(message *m, int field, double x) {
    unsigned char bytes[8];
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    skv_store_le64(bytes, bits);
    put_varint(m, (uint64_t)field << 3 | 1);
    for (int i = 0; i < 8; i++) put_byte(m, bytes[i]);
}

static void put_float(message *m, int field, float x) {
    unsigned char bytes[4];
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    store_le32(bytes, bits);
    put_varint(m, (uint64_t)field << 3 | 5);
    for (int i = 0; i < 4; i++) put_byte(m, bytes[i]);
}

/* Event: wall_time = 1, step = 2, file_version = 3, summary = 5. Summary: value = 1. Value: tag = 1,
 * simple_value = 2. */
static void begin_event(message *m, int64_t step) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    m->n = 0;
    put_double(m, 1, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    if (step) {
        put_varint(m, 2 << 3);
        put_varint(m, (uint64_t)step);
    }
}

static void add_figure(message *summary, const char *tag, double x) {
    message value = {.n = 0};
    if (isnan(x)) return;
    put_bytes(&value, 1, tag, strlen(tag));
    put_float(&value, 2, (float)x);
    put_bytes(summary, 1, value.bytes, value.n);
}

static void add_figures(message *summary, const skive_train_event *e) {
    for (size_t i = 0; i < skv_metric_count() && i < SKIVE_EPOCH_FIGURES; i++) {
        char tag[80];
        (void)snprintf(tag, sizeof tag, "epoch/validation_%s", skv_metric_name(i));
        if (skv_journal_tells(e->options, i)) add_figure(summary, tag, e->row->figures[i]);
    }
}

static skive_status put_record(board *b, const message *m) {
    unsigned char record[FRAME + MESSAGE_ROOM + FOOT];
    skv_store_le64(record, m->n);
    store_le32(record + 8, masked_crc(b->table, record, 8));
    memcpy(record + FRAME, m->bytes, m->n);
    store_le32(record + FRAME + m->n, masked_crc(b->table, m->bytes, m->n));
    return skv_append_write(b->file, record, FRAME + m->n + FOOT);
}

static skive_status put(void *self, const skive_train_event *e) {
    board *b = self;
    message summary = {.n = 0}, m;
    begin_event(&m, e->step);
    if (e->kind == SKIVE_TRAIN_RUN) {
        static const char version[] = "brain.Event:2";
        begin_event(&m, 0);
        put_bytes(&m, 3, version, sizeof version - 1);
        return put_record(b, &m);
    }
    if (e->kind == SKIVE_TRAIN_STEPS) {
        add_figure(&summary, "train/loss", e->loss);
        add_figure(&summary, "train/accuracy", e->accuracy);
        add_figure(&summary, "train/learning_rate", e->learning_rate);
        add_figure(&summary, "train/samples_per_second", e->samples_per_second);
        add_figure(&summary, "train/waited_seconds", e->waited);
    } else if (e->kind == SKIVE_TRAIN_EPOCH) {
        add_figure(&summary, "epoch/loss", e->loss);
        add_figure(&summary, "epoch/accuracy", e->accuracy);
        add_figure(&summary, "epoch/validation_loss", e->row->validation_loss);
        add_figure(&summary, "epoch/validation_accuracy", e->row->validation_accuracy);
        add_figure(&summary, "epoch/validation_f1", e->row->validation_f1);
        add_figure(&summary, "epoch/validation_rmse", e->row->validation_rmse);
        add_figure(&summary, "epoch/validation_r2", e->row->validation_r2);
        add_figures(&summary, e);
        add_figure(&summary, "epoch/seconds", e->row->seconds);
    } else {
        return SKIVE_OK;
    }
    put_bytes(&m, 5, summary.bytes, summary.n);
    return put_record(b, &m);
}

/* ---- what the file holds already ---- */

/* Step of an event, and whether its figures are those of an epoch; false when it is no such message. */
static bool read_event(const unsigned char *data, size_t n, int64_t *step, bool *of_epoch) {
    static const char tag[] = "epoch/";
    *step = 0;
    *of_epoch = false;
    for (size_t at = 0; at < n;) {
        uint64_t parts[2] = {0, 0}; /* the key, and the number or length behind it */
        for (int k = 0; k < 2; k++) {
            int shift = 0;
            if (k == 1 && (parts[0] & 7) != 0 && (parts[0] & 7) != 2) break;
            do {
                if (at == n || shift > 63) return false;
                parts[k] |= (uint64_t)(data[at] & 127) << shift;
                shift += 7;
            } while (data[at++] & 128);
        }
        const int type = (int)(parts[0] & 7);
        const uint64_t skip = type == 1 ? 8 : type == 5 ? 4 : type == 2 ? parts[1] : 0;
        if (skip > n - at) return false;
        if (parts[0] == 2 << 3) *step = (int64_t)parts[1];
        if (parts[0] == (5 << 3 | 2)) *of_epoch = memmem(data + at, (size_t)skip, tag, sizeof tag - 1);
        at += (size_t)skip;
    }
    return true;
}

/* Moves the records that stay to the front. */
static skive_status filter(const board *b, const char *path, unsigned char *bytes, size_t *n,
                           const skv_journal_limit *limit, bool *begun) {
    size_t kept = 0, size, removed = 0;
    const unsigned char *data;
    for (size_t at = 0, from = 0; at < *n; from = at) {
        int64_t step;
        bool of_epoch;
        data = next_record(b->table, bytes, *n, &at, &size);
        const bool readable = data && read_event(data, size, &step, &of_epoch);
        if (!readable && from == 0)
            return skv_fail_at(b->ctx, SKIVE_ERR_FORMAT, path,
                               "%s: not an event file of TensorBoard, and not overwritten; give another folder", path);
        if (!readable) break; /* of a killed run */
        if (!limit->resumed || step > (of_epoch ? limit->epoch_step : limit->step)) {
            removed++;
            continue;
        }
        memmove(bytes + kept, bytes + from, at - from);
        kept += at - from;
    }
    *begun = kept > 0;
    *n = kept;
    if (removed)
        skv_note(b->ctx,
                 limit->resumed ? "%s: removed %zu record%s from behind step %lld, at which the run is resumed"
                                : "%s: replaced the %zu record%s of an earlier run with the same settings",
                 path, removed, removed == 1 ? "" : "s", (long long)limit->step);
    return SKIVE_OK;
}

static skive_status make_folder(skive_context *ctx, const char *path) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return SKIVE_OK;
    return skv_fail_errno(ctx, path, "make the folder", errno);
}

static void close_board(void *self) {
    board *b = self;
    if (!b) return;
    skv_append_close(b->file);
    skv_free(b->ctx, b);
}

static skive_status open_board(skive_context *ctx, const char *dir, const skive_train_event *run,
                               const skv_journal_limit *limit, void **self, bool *begun) {
    char *folder = NULL, *path = NULL, *bytes = NULL;
    size_t n = 0;
    board *b = NULL;
    skive_status status;
    SKV_GO(status, done, skv_asprintf(ctx, &folder, "%s/%s-%s", dir, run->what, run->run));
    SKV_GO(status, done, skv_asprintf(ctx, &path, "%s/events.out.tfevents.0.skive", folder));
    SKV_GO(status, done, make_folder(ctx, dir));
    SKV_GO(status, done, make_folder(ctx, folder));
    SKV_GO(status, done, skv_alloc_array(ctx, 1, sizeof *b, &b));
    b->ctx = ctx;
    make_table(b->table);
    SKV_GO(status, done, skv_append_read(ctx, path, &bytes, &n));
    const size_t before = n;
    SKV_GO(status, done, filter(b, path, (unsigned char *)bytes, &n, limit, begun));
    SKV_GO(status, done, skv_append_open(ctx, path, n != before, bytes, n, &b->file));
    *self = b;
    b = NULL;
done:
    close_board(b);
    skv_free(ctx, bytes);
    skv_free(ctx, path);
    skv_free(ctx, folder);
    return status;
}

static skive_status sync_board(void *self) { return skv_append_sync(((board *)self)->file); }

static const char *path_of(const skive_train_options *o) { return o->tensorboard; }

const skv_journal_kind skv_journal_tensorboard = {
    .name = "tensorboard",
    .path = path_of,
    .open = open_board,
    .write = put,
    .sync = sync_board,
    .close = close_board,
};
