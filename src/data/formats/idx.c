/* IDX files (the format of MNIST): big-endian header 0 0 TYPE RANK, RANK sizes of 32 bits, then the elements. Only
 * unsigned bytes are supported, which all such data sets use; they stay bytes in memory. */
#include <inttypes.h>

#include "base/endian.h"
#include "data/data.h"

enum { IDX_U8 = 0x08, IDX_MAX_RANK = 4 };

static const char *type_name(unsigned type) {
    switch (type) {
    case 0x09: return "int8";
    case 0x0B: return "int16";
    case 0x0C: return "int32";
    case 0x0D: return "float32";
    case 0x0E: return "float64";
    default: return NULL;
    }
}

/* Reads one file of ranks low..high. `what` is "images" or "labels". */
static skive_status read_idx(skive_context *ctx, const char *path, const char *what, int low, int high, int *out_rank,
                             uint32_t *dims, uint8_t **out, size_t *out_size) {
    skv_stream *s = NULL;
    uint8_t *data = NULL;
    unsigned char head[4], raw[4 * IDX_MAX_RANK];
    skive_status status;
    SKV_TRY(skv_stream_open(ctx, path, &s));
    SKV_GO(status, done, skv_stream_read(s, head, sizeof head));
    if (head[0] != 0 || head[1] != 0 || (head[2] != IDX_U8 && !type_name(head[2]))) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                             "%s: not an IDX file: the magic number is %02x%02x%02x%02x, %s files begin with %s", path,
                             head[0], head[1], head[2], head[3], what, high == 1 ? "00000801" : "00000803");
        goto done;
    }
    if (head[2] != IDX_U8) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                             "%s: an IDX file of %s; only unsigned bytes are supported (use npy: for other types)",
                             path, type_name(head[2]));
        goto done;
    }
    int rank = head[3];
    if (rank < low || rank > high) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: an IDX file of %d dimensions does not contain %s%s", path,
                             rank, what, high == 1 && rank > 1 ? "; were images and labels swapped?" : "");
        goto done;
    }
    SKV_GO(status, done, skv_stream_read(s, raw, 4 * (size_t)rank));
    size_t size = 1;
    bool fits = true;
    for (int i = 0; i < rank; i++) {
        dims[i] = skv_load_be32(raw + 4 * i);
        if (dims[i] == 0) {
            status = skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: dimension %d is 0: the file is empty", path, i);
            goto done;
        }
        fits = fits && skv_mul_size(size, dims[i], &size);
    }
    if (!fits || size > skv_stream_bound(s)) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                             "%s: the header claims %" PRIu32 " %s, more than a file of this length can contain", path,
                             dims[0], what);
        goto done;
    }
    SKV_GO(status, done, skv_alloc(ctx, size, &data));
    SKV_GO(status, done, skv_stream_read(s, data, size));
    SKV_GO(status, done, skv_stream_finish(s));
    *out = data;
    *out_size = size;
    *out_rank = rank;
    data = NULL;
done:
    skv_free(ctx, data);
    skv_stream_free(s);
    return status;
}

skive_status skv_idx_open(skive_context *ctx, const char *images, const char *labels, int64_t known_classes,
                          skive_dataset *ds) {
    uint32_t dims[IDX_MAX_RANK] = {0}, label_dims[IDX_MAX_RANK] = {0};
    int rank = 0, label_rank = 0;
    size_t size = 0;
    uint8_t *bytes = NULL;
    SKV_TRY(read_idx(ctx, images, "images", 2, IDX_MAX_RANK, &rank, dims, &bytes, &size));
    ds->u8 = bytes;
    ds->u8_block = bytes;
    ds->total = dims[0];
    ds->size = size / dims[0];
    if (rank == 2) {
        ds->rank = 1;
        ds->dims[0] = dims[1];
    } else {
        ds->rank = 3;
        ds->dims[0] = rank == 4 ? dims[1] : 1;
        ds->dims[1] = dims[rank - 2];
        ds->dims[2] = dims[rank - 1];
    }
    uint8_t *values = NULL;
    SKV_TRY(read_idx(ctx, labels, "labels", 1, 1, &label_rank, label_dims, &values, &size));
    skive_status status = SKIVE_OK;
    if (label_dims[0] != dims[0]) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, labels, "%s: has %" PRIu32 " labels but %s has %" PRIu32 " images",
                             labels, label_dims[0], images, dims[0]);
        goto done;
    }
    SKV_GO(status, done, skv_alloc_array(ctx, ds->total, sizeof *ds->labels, &ds->labels));
    for (size_t i = 0; i < ds->total; i++) ds->labels[i] = values[i];
    status = skv_labels_check(ctx, labels, known_classes, ds);
done:
    skv_free(ctx, values);
    return status;
}
