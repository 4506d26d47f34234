/* Header, section table and checksums (CRC-32 as in zlib), and deflated sections. */
#include <string.h>
#include <zlib.h>

#include "base/magic.h"
#include "pack/file.h"

enum { STORED, DEFLATED, RAW_WINDOW = -15 };

static uint32_t checksum(const uint8_t *bytes, size_t n) { return (uint32_t)crc32_z(0, n ? bytes : skv_magic, n); }

/* ---- deflate ---- */

skive_status skv_deflate(skive_context *ctx, const skv_bytes *raw, skv_bytes *out) {
    z_stream z = {0};
    uint8_t *room = NULL;
    size_t n = 0;
    if (raw->status != SKIVE_OK) return raw->status;
    if (raw->n > 0 && raw->n < UINT32_MAX &&
        deflateInit2(&z, 9, Z_DEFLATED, RAW_WINDOW, 9, Z_DEFAULT_STRATEGY) == Z_OK) {
        const skive_status status = skv_alloc(ctx, raw->n, &room);
        if (status == SKIVE_OK) {
            z.next_in = raw->data;
            z.avail_in = (uInt)raw->n;
            z.next_out = room;
            z.avail_out = (uInt)raw->n;
            if (deflate(&z, Z_FINISH) == Z_STREAM_END) n = raw->n - z.avail_out;
        }
        (void)deflateEnd(&z);
        SKV_TRY(status);
    }
    if (n > 0 && n + 3 < raw->n) {
        skv_bytes_u8(out, DEFLATED);
        skv_bytes_varint(out, raw->n);
        skv_bytes_put(out, room, n);
    } else {
        skv_bytes_u8(out, STORED);
        skv_bytes_put(out, raw->data, raw->n);
    }
    skv_free(ctx, room);
    return out->status;
}

skive_status skv_inflate(skive_context *ctx, skv_reader *in, size_t limit, uint8_t **out, size_t *n) {
    const unsigned way = skv_read_u8(in);
    const uint64_t size = way == DEFLATED ? skv_read_varint(in) : skv_read_left(in);
    const size_t left = skv_read_left(in);
    z_stream z = {0};
    *out = NULL;
    *n = 0;
    if (in->failed || way > DEFLATED)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a section uses an unknown compression method");
    if (size > limit || size > UINT32_MAX || left > UINT32_MAX || size / 1100 > left)
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a section has %llu bytes", (unsigned long long)size);
    SKV_TRY(skv_alloc(ctx, (size_t)size, out));
    bool good = true;
    if (way == STORED) {
        if (size) memcpy(*out, in->at, (size_t)size);
    } else {
        z.next_in = (Bytef *)(uintptr_t)in->at;
        z.avail_in = (uInt)left;
        z.next_out = *out;
        z.avail_out = (uInt)size;
        good = inflateInit2(&z, RAW_WINDOW) == Z_OK;
        good = good && inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_out == 0 && z.avail_in == 0;
        (void)inflateEnd(&z);
    }
    (void)skv_read_bytes(in, left);
    if (!good) {
        skv_free(ctx, *out);
        *out = NULL;
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a section cannot be decompressed");
    }
    *n = (size_t)size;
    return SKIVE_OK;
}

/* ---- the frame ---- */

skive_status skv_frame_write(skive_context *ctx, skv_section *sections, size_t n, skv_bytes *out) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (sections[i].bytes.status != SKIVE_OK) return sections[i].bytes.status;
        used += sections[i].bytes.n > 0;
    }
    (void)ctx;
    skv_bytes_put(out, skv_magic, SKV_MAGIC_BYTES);
    skv_bytes_u8(out, SKV_VERSION);
    skv_bytes_u8(out, (unsigned)used);
    for (size_t i = 0; i < n; i++) {
        const skv_bytes *b = &sections[i].bytes;
        if (!b->n) continue;
        skv_bytes_u8(out, sections[i].kind);
        skv_bytes_varint(out, b->n);
        skv_bytes_u32(out, checksum(b->data, b->n));
    }
    if (out->status == SKIVE_OK) skv_bytes_u32(out, checksum(out->data, out->n));
    for (size_t i = 0; i < n; i++) skv_bytes_put(out, sections[i].bytes.data, sections[i].bytes.n);
    return out->status;
}

static skive_status read_table(skive_context *ctx, skv_reader *in, skv_section *sections, uint64_t *lengths,
                               uint32_t *sums, size_t *n) {
    const uint8_t *const start = in->at;
    (void)skv_read_bytes(in, SKV_MAGIC_BYTES);
    const unsigned version = skv_read_u8(in);
    *n = skv_read_u8(in);
    if (in->failed) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the file ends within its header");
    if (version > SKV_VERSION)
        return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED,
                        "the file has version %u of the format, newer than %d; use a newer skive", version,
                        SKV_VERSION);
    if (version == 0 || *n > SKV_SECTIONS_MAX)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the header is damaged (version %u, %zu sections)", version, *n);
    for (size_t i = 0; i < *n; i++) {
        sections[i].kind = skv_read_u8(in);
        lengths[i] = skv_read_varint(in);
        sums[i] = skv_read_u32(in);
    }
    if (in->failed) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the file ends within its header");
    const size_t header = (size_t)(in->at - start);
    const uint32_t sum = skv_read_u32(in);
    if (in->failed) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the file ends within its header");
    if (sum != checksum(start, header)) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the header is damaged (checksum)");
    return SKIVE_OK;
}

static bool known(unsigned kind) {
    return kind == SKV_SECTION_GRAPH || kind == SKV_SECTION_PARAMS || kind == SKV_SECTION_META ||
           kind == SKV_SECTION_NAMES;
}

skive_status skv_frame_read(skive_context *ctx, const void *bytes, size_t n, skv_section *sections, size_t *n_sections,
                            size_t *frame_bytes) {
    skv_reader in = skv_read_from(bytes, n);
    uint64_t lengths[SKV_SECTIONS_MAX];
    uint32_t sums[SKV_SECTIONS_MAX];
    size_t count = 0, kept = 0;
    if (!skv_magic_begins(bytes, n)) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "this is not a packed model (.skv)");
    SKV_TRY(read_table(ctx, &in, sections, lengths, sums, &count));
    *frame_bytes = (size_t)(in.at - (const uint8_t *)bytes);
    for (size_t i = 0; i < count; i++) {
        const unsigned kind = sections[i].kind;
        if (lengths[i] > skv_read_left(&in))
            return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the file is truncated: section %u has %llu bytes, but %zu are left",
                            kind, (unsigned long long)lengths[i], skv_read_left(&in));
        const uint8_t *const data = skv_read_bytes(&in, (size_t)lengths[i]);
        if (checksum(data, (size_t)lengths[i]) != sums[i])
            return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "section %u is damaged (checksum)", kind);
        if (!known(kind) && kind < SKV_SKIPPABLE)
            return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "the file has a section %u that needs a newer skive", kind);
        if (!known(kind)) {
            *frame_bytes += (size_t)lengths[i];
            continue;
        }
        for (size_t k = 0; k < kept; k++) {
            if (sections[k].kind == kind) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "section %u occurs twice", kind);
        }
        sections[kept++] = (skv_section){.kind = kind, .in = skv_read_from(data, (size_t)lengths[i])};
    }
    if (in.at != in.end)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "%zu bytes follow the last section", skv_read_left(&in));
    *n_sections = kept;
    return SKIVE_OK;
}
