/* The frame of a packed file: header, section table, checksums, and sections that may be deflated. */
#ifndef SKV_PACK_FILE_H
#define SKV_PACK_FILE_H

#include "pack/pack.h"

enum { SKV_VERSION = 1, SKV_SECTIONS_MAX = 64, SKV_OUTPUT_NAME = 32 };

/* The name of output `i` of `n` in a file without names. */
void skv_nameless_output(uint32_t i, uint32_t n, char name[SKV_OUTPUT_NAME]);

typedef struct skv_section {
    unsigned kind;
    skv_bytes bytes; /* when written */
    skv_reader in;   /* when read */
} skv_section;

/* Appends the contents of `raw`, deflated if that is shorter. */
skive_status skv_deflate(skive_context *ctx, const skv_bytes *raw, skv_bytes *out);
/* Restores the bytes, at most `limit`; *out is freed by skv_free. */
skive_status skv_inflate(skive_context *ctx, skv_reader *in, size_t limit, uint8_t **out, size_t *n);

/* Builds the whole file from these sections; empty ones are left out. */
skive_status skv_frame_write(skive_context *ctx, skv_section *sections, size_t n, skv_bytes *out);
/* Finds the sections and verifies checksums. Unknown sections are skipped if that is allowed. ERR_FORMAT,
 * ERR_UNSUPPORTED. */
skive_status skv_frame_read(skive_context *ctx, const void *bytes, size_t n, skv_section *sections, size_t *n_sections,
                            size_t *frame_bytes);

#endif
