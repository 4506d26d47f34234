/* See disk.h. */
#include "data/formats/disk.h"

#include <math.h>
#include <string.h>

#include <skive/memory.h>

#include "base/endian.h"

typedef struct segment {
    skv_reader *reader;
    uint64_t offset;
    size_t stride, first, count;
} segment;

struct skv_disk {
    skive_context *ctx;
    skive_dtype dtype;
    bool big;
    size_t values, bytes; /* of a row */
    segment *segments;
    size_t n;
};

skive_status skv_disk_create(skive_context *ctx, skive_dtype dtype, bool big, size_t values, skv_disk **out) {
    size_t bytes;
    *out = NULL;
    if (values > (size_t)INT64_MAX || !skv_dtype_bytes(dtype, (int64_t)values, &bytes))
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a sample of %zu values is too large", values);
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof **out, out));
    **out = (skv_disk){.ctx = ctx, .dtype = dtype, .big = big, .values = values, .bytes = bytes};
    return SKIVE_OK;
}

skive_status skv_disk_add(skv_disk *r, const char *path, uint64_t offset, size_t stride, size_t count) {
    const segment *last = r->n ? &r->segments[r->n - 1] : NULL;
    SKV_TRY(skv_grow(r->ctx, &r->segments, r->n, r->n + 1, sizeof *r->segments));
    segment *s = &r->segments[r->n];
    *s = (segment){.offset = offset, .stride = stride, .count = count};
    if (last) s->first = r->segments[r->n - 1].first + r->segments[r->n - 1].count;
    SKV_TRY(skv_reader_open(r->ctx, path, &s->reader));
    r->n++;
    const uint64_t size = skv_reader_size(s->reader);
    if (count == 0 || (offset <= size && (size - offset) / stride >= count - 1 &&
                       size - offset - (uint64_t)stride * (count - 1) >= r->bytes))
        return SKIVE_OK;
    return skv_fail_at(r->ctx, SKIVE_ERR_DATA, path, "%s: has %llu bytes, too few for %zu samples", path,
                       (unsigned long long)size, count);
}

static skive_status check_finite(skive_context *ctx, const skv_disk *r, const char *path, size_t index,
                                 const void *row) {
    float part[256];
    for (size_t at = 0; at < r->values; at += 256) {
        const size_t n = r->values - at < 256 ? r->values - at : 256;
        skv_to_f32(r->dtype, row, at, n, part);
        for (size_t i = 0; i < n; i++) {
            if (!isfinite(part[i]))
                return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: sample %zu contains NaN or infinity", path, index);
        }
    }
    return SKIVE_OK;
}

skive_status skv_disk_read(skive_context *ctx, const skv_disk *r, size_t index, void *to) {
    size_t low = 0, high = r->n;
    while (high - low > 1) { /* the last segment that begins at or before the row */
        const size_t middle = (low + high) / 2;
        if (r->segments[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    const segment *s = &r->segments[low];
    SKV_TRY(skv_reader_at_with(ctx, s->reader, s->offset + (uint64_t)s->stride * (index - s->first), to, r->bytes));
    if (r->big != SKV_BIG_ENDIAN) skv_swap_elements(to, r->bytes, skv_dtype_align(r->dtype));
    return skv_dtype_is_float(r->dtype) ? check_finite(ctx, r, skv_reader_path(s->reader), index, to) : SKIVE_OK;
}

void skv_disk_free(skv_disk *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n; i++) skv_reader_close(r->segments[i].reader);
    skv_free(r->ctx, r->segments);
    skv_free(r->ctx, r);
}

bool skv_disk_wanted(skive_context *ctx, const char *path, const char *disk, uint64_t bytes, uint64_t row) {
    const uint64_t limit = skive_context_memory_limit(ctx);
    const bool chosen = strcmp(disk, "auto") != 0;
    if (chosen ? strcmp(disk, "yes") != 0 : !limit || bytes <= limit / 4) return false;
    skv_note(ctx, "%s: its %.1f MB of samples stay on disk, and each is read when it is needed (%.1f KB)%s", path,
             (double)bytes / 1e6, (double)row / 1e3,
             chosen ? "" : "; they would take more than a quarter of the memory allowed (disk=no: read them all)");
    return true;
}

const char *skv_disk_choice(size_t i) {
    static const char *const names[] = {"auto", "yes", "no"};
    return i < sizeof names / sizeof names[0] ? names[i] : NULL;
}
