/* A file read sequentially, plain or gzip, as determined by its first bytes. The whole file is read; gzip is
 * decompressed directly into the caller's buffer, so that images exist in memory only once. zlib allocates through the
 * context. */
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include "data/data.h"

struct skv_stream {
    skive_context *ctx;
    char *path;
    unsigned char *bytes; /* the file as it is on disk */
    size_t size, at;      /* `at`: plain files only */
    bool gzip, ended, no_memory;
    z_stream z;
};

enum { DEFLATE_MAX_RATIO = 1040 }; /* the largest compression ratio of deflate is 1032:1 */

static voidpf zlib_alloc(voidpf user, uInt count, uInt size) {
    skv_stream *s = user;
    void *block = NULL;
    size_t bytes;
    if (!skv_mul_size(count, size, &bytes) || skv_alloc(s->ctx, bytes, &block) != SKIVE_OK) s->no_memory = true;
    return block;
}

static void zlib_free(voidpf user, voidpf block) {
    skv_stream *s = user;
    skv_free(s->ctx, block);
}

static skive_status damaged(skv_stream *s, int code) {
    if (s->no_memory || code == Z_MEM_ERROR) {
        return skv_fail_at(s->ctx, SKIVE_ERR_MEMORY, s->path, "%s: out of memory while decompressing", s->path);
    }
    return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->path, "%s: the gzip data is damaged (%s)", s->path,
                       s->z.msg ? s->z.msg : "no reason given by zlib");
}

static skive_status too_short(skv_stream *s) {
    return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->path, "%s: the file is truncated", s->path);
}

skive_status skv_stream_open(skive_context *ctx, const char *path, skv_stream **out) {
    skv_stream *s = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *s, &s));
    s->ctx = ctx;
    SKV_GO(status, fail, skv_strdup(ctx, path, &s->path));
    void *bytes = NULL;
    SKV_GO(status, fail, skv_file_read(ctx, path, 0, &bytes, &s->size));
    s->bytes = bytes;
    if (s->size >= 2 && s->bytes[0] == 0x1f && s->bytes[1] == 0x8b) {
        s->z.zalloc = zlib_alloc;
        s->z.zfree = zlib_free;
        s->z.opaque = s;
        int code = inflateInit2(&s->z, 16 + MAX_WBITS);
        if (code != Z_OK) {
            status = damaged(s, code);
            goto fail;
        }
        s->gzip = true;
        s->z.next_in = s->bytes;
    }
    *out = s;
    return SKIVE_OK;
fail:
    skv_stream_free(s);
    return status;
}

/* zlib counts input in 32 bits, so it gets pieces. */
static void feed(skv_stream *s) {
    if (s->z.avail_in == 0) {
        size_t left = s->size - (size_t)(s->z.next_in - s->bytes);
        s->z.avail_in = left > (1u << 30) ? 1u << 30 : (uInt)left;
    }
}

/* Up to n bytes; fewer only at the end of the data. */
static skive_status inflate_some(skv_stream *s, unsigned char *out, size_t n, size_t *got) {
    *got = 0;
    while (*got < n && !s->ended) {
        size_t want = n - *got;
        s->z.next_out = out + *got;
        s->z.avail_out = want > (1u << 30) ? 1u << 30 : (uInt)want;
        uInt before = s->z.avail_out;
        feed(s);
        int code = inflate(&s->z, Z_NO_FLUSH);
        *got += before - s->z.avail_out;
        if (code == Z_STREAM_END) {
            feed(s);
            /* gzip files may be concatenated */
            if (s->z.avail_in >= 2 && s->z.next_in[0] == 0x1f && s->z.next_in[1] == 0x8b)
                (void)inflateReset(&s->z);
            else
                s->ended = true;
        } else if (code == Z_BUF_ERROR && s->z.avail_in == 0) {
            feed(s);
            if (s->z.avail_in == 0) return too_short(s);
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            return damaged(s, code);
        }
    }
    return SKIVE_OK;
}

skive_status skv_stream_read(skv_stream *s, void *out, size_t n) {
    if (s->gzip) {
        size_t got;
        SKV_TRY(inflate_some(s, out, n, &got));
        return got == n ? SKIVE_OK : too_short(s);
    }
    if (n > s->size - s->at) return too_short(s);
    if (n) memcpy(out, s->bytes + s->at, n);
    s->at += n;
    return SKIVE_OK;
}

skive_status skv_stream_finish(skv_stream *s) {
    size_t extra = s->size - s->at;
    if (s->gzip) { /* requesting one more byte makes zlib read the trailer and verify the checksum */
        unsigned char byte;
        SKV_TRY(inflate_some(s, &byte, 1, &extra));
    }
    if (extra == 0) return SKIVE_OK;
    return skv_fail_at(s->ctx, SKIVE_ERR_DATA, s->path, "%s: the file is longer than the counts in its header imply",
                       s->path);
}

size_t skv_stream_bound(const skv_stream *s) {
    size_t bound;
    if (!s->gzip) return s->size - s->at;
    return skv_mul_size(s->size, DEFLATE_MAX_RATIO, &bound) ? bound : SIZE_MAX;
}

void skv_stream_free(skv_stream *s) {
    if (!s) return;
    skive_context *ctx = s->ctx;
    if (s->gzip) (void)inflateEnd(&s->z);
    skv_free(ctx, s->bytes);
    skv_free(ctx, s->path);
    skv_free(ctx, s);
}
