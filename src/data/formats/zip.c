/* See zip.h. The format: APPNOTE.TXT of PKWARE, 4.3 (end record, central directory, local headers, zip64). */
#include "data/formats/zip.h"

#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/endian.h"

enum { END_SIZE = 22, LOCATOR_SIZE = 20, END64_SIZE = 56, ENTRY_SIZE = 46, LOCAL_SIZE = 30, MOST_COMMENT = 65535 };
enum { MOST_MEMBERS = 65536, MAX_RATIO = 1040 /* deflate cannot do better than 1032:1 */ };
#define NONE32 UINT32_C(0xffffffff)

static skive_status damaged(const skv_zip *z, const char *what) {
    const char *path = skv_reader_path(z->reader);
    return skv_fail_at(z->ctx, SKIVE_ERR_DATA, path, "%s: damaged zip archive: %s", path, what);
}

/* Place, size and number of the central directory's entries. */
static skive_status find_directory(skv_zip *z, uint64_t *offset, uint64_t *size, uint64_t *count) {
    unsigned char *tail = NULL, locator[LOCATOR_SIZE], end[END64_SIZE];
    const uint64_t all = skv_reader_size(z->reader);
    const size_t n = all < END_SIZE + MOST_COMMENT ? (size_t)all : END_SIZE + MOST_COMMENT;
    size_t at = n;
    skive_status status;
    if (n < END_SIZE) return damaged(z, "it is too short (not a .npz file?)");
    SKV_TRY(skv_alloc(z->ctx, n, &tail));
    SKV_GO(status, done, skv_reader_at(z->reader, all - n, tail, n));
    for (size_t i = n - END_SIZE + 1; i-- > 0 && at == n;) {
        if (skv_load_le32(tail + i) == 0x06054b50) at = i;
    }
    if (at == n) SKV_GO(status, done, damaged(z, "its directory is missing (not a .npz file, or truncated?)"));
    *count = skv_load_le16(tail + at + 10);
    *size = skv_load_le32(tail + at + 12);
    *offset = skv_load_le32(tail + at + 16);
    const uint64_t place = all - n + at;
    if ((*count == 0xffff || *size == NONE32 || *offset == NONE32) && place >= LOCATOR_SIZE) {
        SKV_GO(status, done, skv_reader_at(z->reader, place - LOCATOR_SIZE, locator, sizeof locator));
        if (skv_load_le32(locator) != 0x07064b50) SKV_GO(status, done, damaged(z, "its zip64 record is missing"));
        SKV_GO(status, done, skv_reader_at(z->reader, skv_load_le64(locator + 8), end, sizeof end));
        if (skv_load_le32(end) != 0x06064b50) SKV_GO(status, done, damaged(z, "its zip64 record is missing"));
        *count = skv_load_le64(end + 32);
        *size = skv_load_le64(end + 40);
        *offset = skv_load_le64(end + 48);
    }
    if (*offset > all || *size > all - *offset || *count > MOST_MEMBERS || *count > *size / ENTRY_SIZE)
        status = damaged(z, "its directory lies outside of the file");
done:
    skv_free(z->ctx, tail);
    return status;
}

/* Sizes and place beyond 32 bits stand in an extra field, in this order, only those that do not fit. */
static void read_zip64(const unsigned char *extra, size_t n, skv_zip_member *m, uint64_t *local) {
    uint64_t *const wide[] = {&m->size, &m->packed, local};
    while (n >= 4) {
        const size_t length = skv_load_le16(extra + 2);
        if (length > n - 4) return;
        if (skv_load_le16(extra) == 1) {
            const unsigned char *at = extra + 4, *end = at + length;
            for (size_t k = 0; k < 3 && end - at >= 8; k++) {
                if (*wide[k] != NONE32) continue;
                *wide[k] = skv_load_le64(at);
                at += 8;
            }
            return;
        }
        extra += 4 + length;
        n -= 4 + length;
    }
}

static skive_status check_member(const skv_zip *z, const skv_zip_member *m, unsigned method, unsigned flags) {
    const char *path = skv_reader_path(z->reader);
    const uint64_t all = skv_reader_size(z->reader);
    if (flags & 1) return skv_fail_at(z->ctx, SKIVE_ERR_UNSUPPORTED, path, "%s: '%s' is encrypted", path, m->name);
    if (method != 0 && method != 8)
        return skv_fail_at(z->ctx, SKIVE_ERR_UNSUPPORTED, path,
                           "%s: '%s' is compressed by method %u; only numpy's own (deflate, or none) is supported",
                           path, m->name, method);
    if (m->packed > all || m->offset > all - m->packed || (!m->deflated && m->packed != m->size) ||
        m->size / MAX_RATIO > m->packed || m->size > SIZE_MAX / 2)
        return skv_fail_at(z->ctx, SKIVE_ERR_DATA, path, "%s: damaged zip archive: '%s' claims more bytes than it has",
                           path, m->name);
    return SKIVE_OK;
}

static skive_status read_entry(skv_zip *z, const unsigned char *e, size_t left, size_t *used) {
    unsigned char local[LOCAL_SIZE];
    if (left < ENTRY_SIZE || skv_load_le32(e) != 0x02014b50) return damaged(z, "an entry of its directory");
    const size_t name = skv_load_le16(e + 28), extra = skv_load_le16(e + 30), comment = skv_load_le16(e + 32);
    *used = ENTRY_SIZE + name + extra + comment;
    if (*used > left) return damaged(z, "an entry of its directory");
    const unsigned method = skv_load_le16(e + 10), flags = skv_load_le16(e + 8);
    skv_zip_member *m = &z->members[z->n];
    *m = (skv_zip_member){.packed = skv_load_le32(e + 20),
                          .size = skv_load_le32(e + 24),
                          .crc = skv_load_le32(e + 16),
                          .deflated = method == 8};
    uint64_t place = skv_load_le32(e + 42);
    read_zip64(e + ENTRY_SIZE + name, extra, m, &place);
    if (memchr(e + ENTRY_SIZE, 0, name)) return damaged(z, "a name in its directory");
    SKV_TRY(skv_strdup_n(z->ctx, (const char *)e + ENTRY_SIZE, name, &m->name));
    z->n++;
    const uint64_t all = skv_reader_size(z->reader);
    if (place > all || all - place < LOCAL_SIZE) return damaged(z, "a member lies outside of the file");
    SKV_TRY(skv_reader_at(z->reader, place, local, sizeof local));
    if (skv_load_le32(local) != 0x04034b50) return damaged(z, "the header of a member");
    m->offset = place + LOCAL_SIZE + skv_load_le16(local + 26) + skv_load_le16(local + 28);
    return check_member(z, m, method, flags);
}

skive_status skv_zip_open(skive_context *ctx, const char *path, skv_zip *out) {
    uint64_t offset = 0, size = 0, count = 0;
    unsigned char *directory = NULL;
    skive_status status;
    *out = (skv_zip){.ctx = ctx};
    SKV_TRY(skv_reader_open(ctx, path, &out->reader));
    SKV_GO(status, done, find_directory(out, &offset, &size, &count));
    SKV_GO(status, done, skv_alloc(ctx, (size_t)size + 1, &directory));
    SKV_GO(status, done, skv_reader_at(out->reader, offset, directory, (size_t)size));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)count + 1, sizeof *out->members, &out->members));
    size_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        size_t used = 0;
        SKV_GO(status, done, read_entry(out, directory + at, (size_t)size - at, &used));
        at += used;
    }
done:
    skv_free(ctx, directory);
    if (status != SKIVE_OK) skv_zip_close(out);
    return status;
}

void skv_zip_close(skv_zip *z) {
    if (!z->ctx) return;
    for (size_t i = 0; i < z->n; i++) skv_free(z->ctx, z->members[i].name);
    skv_free(z->ctx, z->members);
    skv_reader_close(z->reader);
    *z = (skv_zip){0};
}

/* ---- members ---- */

static voidpf zlib_alloc(voidpf user, uInt count, uInt size) {
    void *block = NULL;
    size_t bytes;
    if (!skv_mul_size(count, size, &bytes) || skv_alloc(user, bytes, &block) != SKIVE_OK) return NULL;
    return block;
}

static void zlib_free(voidpf user, voidpf block) { skv_free(user, block); }

/* Inflates up to n bytes, reading the packed ones in pieces. */
static skive_status inflate_member(const skv_zip *z, const skv_zip_member *m, unsigned char *to, size_t n,
                                   size_t *got) {
    enum { PIECE = 1 << 16 };
    z_stream s = {.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = z->ctx};
    unsigned char *piece = NULL;
    uint64_t done = 0;
    skive_status status;
    int code = Z_OK;
    *got = 0;
    SKV_TRY(skv_alloc(z->ctx, PIECE, &piece));
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK) {
        skv_free(z->ctx, piece);
        return SKV_FAIL(z->ctx, SKIVE_ERR_MEMORY, "%s: out of memory while decompressing", m->name);
    }
    status = SKIVE_OK;
    while (*got < n && code == Z_OK) {
        if (s.avail_in == 0 && done < m->packed) {
            const size_t take = m->packed - done < PIECE ? (size_t)(m->packed - done) : PIECE;
            SKV_GO(status, end, skv_reader_at(z->reader, m->offset + done, piece, take));
            s.next_in = piece;
            s.avail_in = (uInt)take;
            done += take;
        }
        const size_t room = n - *got < (1u << 30) ? n - *got : 1u << 30;
        s.next_out = to + *got;
        s.avail_out = (uInt)room;
        code = inflate(&s, Z_NO_FLUSH);
        *got += room - s.avail_out;
    }
    if (code != Z_OK && code != Z_STREAM_END) {
        const char *path = skv_reader_path(z->reader);
        status = skv_fail_at(z->ctx, code == Z_MEM_ERROR ? SKIVE_ERR_MEMORY : SKIVE_ERR_DATA, path,
                             "%s: '%s' is damaged (%s)", path, m->name, s.msg ? s.msg : "it ends too early");
    }
end:
    (void)inflateEnd(&s);
    skv_free(z->ctx, piece);
    return status;
}

skive_status skv_zip_peek(const skv_zip *z, const skv_zip_member *m, void *to, size_t n, size_t *got) {
    if (n > m->size) n = (size_t)m->size;
    *got = n;
    return m->deflated ? inflate_member(z, m, to, n, got) : skv_reader_at(z->reader, m->offset, to, n);
}

static uint32_t checksum(const unsigned char *data, size_t n) {
    uLong crc = crc32(0, NULL, 0);
    for (size_t at = 0; at < n;) {
        const size_t take = n - at < (1u << 30) ? n - at : 1u << 30;
        crc = crc32(crc, data + at, (uInt)take);
        at += take;
    }
    return (uint32_t)crc;
}

skive_status skv_zip_read(const skv_zip *z, const skv_zip_member *m, void **out) {
    unsigned char *data = NULL;
    size_t got = 0;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc(z->ctx, (size_t)m->size + 1, &data));
    SKV_GO(status, fail, skv_zip_peek(z, m, data, (size_t)m->size, &got));
    if (got != m->size || checksum(data, got) != m->crc) {
        const char *path = skv_reader_path(z->reader);
        status = skv_fail_at(z->ctx, SKIVE_ERR_DATA, path, "%s: '%s' is damaged: its checksum is wrong", path, m->name);
        goto fail;
    }
    *out = data;
    return SKIVE_OK;
fail:
    skv_free(z->ctx, data);
    return status;
}
