/* Files of numpy.savez for tests: members stored, or deflated as numpy.savez_compressed does. */
#ifndef SKV_TEST_NPZ_FIXTURES_H
#define SKV_TEST_NPZ_FIXTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "support.h"

#include <cmocka.h>

typedef struct npz_array {
    const char *name; /* without .npy */
    skive_tensor t;
} npz_array;

typedef struct npz_bytes {
    unsigned char *data;
    size_t n;
} npz_bytes;

static inline void npz_put(npz_bytes *b, const void *data, size_t n) {
    b->data = realloc(b->data, b->n + n + 1);
    assert_non_null(b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void npz_number(npz_bytes *b, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) npz_put(b, &(unsigned char){(unsigned char)(value >> 8 * i)}, 1);
}

/* The bytes of a .npy file. */
static inline npz_bytes npz_npy(skive_context *ctx, const char *folder, const skive_tensor *t) {
    char path[SKV_TEST_PATH];
    npz_bytes b = {0};
    skv_test_path(path, folder, "member.npy");
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, t));
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;) npz_put(&b, &(unsigned char){(unsigned char)c}, 1);
    fclose(f);
    remove(path);
    return b;
}

static inline npz_bytes npz_deflate(const npz_bytes *from) {
    npz_bytes b = {.data = malloc(from->n + 1000)};
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = from->data;
    z.avail_in = (uInt)from->n;
    z.next_out = b.data;
    z.avail_out = (uInt)(from->n + 1000);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.n = z.total_out;
    deflateEnd(&z);
    return b;
}

/* `offset_of_first`: place of the first member's bytes in the file, may be NULL. */
static inline void write_npz(skive_context *ctx, const char *folder, const char *path, const npz_array *arrays,
                             size_t n, bool compressed, size_t *offset_of_first) {
    npz_bytes file = {0}, directory = {0};
    for (size_t i = 0; i < n; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.npy", arrays[i].name);
        npz_bytes raw = npz_npy(ctx, folder, &arrays[i].t);
        npz_bytes packed = compressed ? npz_deflate(&raw) : raw;
        const uint32_t crc = (uint32_t)crc32(0, raw.data, (uInt)raw.n);
        const size_t at = file.n, length = strlen(name);
        npz_number(&file, 0x04034b50, 4);
        npz_number(&directory, 0x02014b50, 4);
        npz_number(&directory, 20, 2);
        for (int k = 0; k < 2; k++) { /* what both headers share */
            npz_bytes *to = k ? &directory : &file;
            npz_number(to, 20, 2);
            npz_number(to, 0, 2);
            npz_number(to, compressed ? 8 : 0, 2);
            npz_number(to, 0, 4);
            npz_number(to, crc, 4);
            npz_number(to, packed.n, 4);
            npz_number(to, raw.n, 4);
            npz_number(to, length, 2);
            npz_number(to, 0, 2);
        }
        npz_number(&directory, 0, 2);
        npz_number(&directory, 0, 2);
        npz_number(&directory, 0, 2);
        npz_number(&directory, 0, 4);
        npz_number(&directory, at, 4);
        npz_put(&directory, name, length);
        npz_put(&file, name, length);
        if (i == 0 && offset_of_first) *offset_of_first = file.n;
        npz_put(&file, packed.data, packed.n);
        if (compressed) free(packed.data);
        free(raw.data);
    }
    const size_t at = file.n;
    npz_put(&file, directory.data, directory.n);
    npz_number(&file, 0x06054b50, 4);
    npz_number(&file, 0, 4);
    npz_number(&file, n, 2);
    npz_number(&file, n, 2);
    npz_number(&file, directory.n, 4);
    npz_number(&file, at, 4);
    npz_number(&file, 0, 2);
    skv_test_write_file(path, file.data, file.n);
    free(file.data);
    free(directory.data);
}

#endif
