/* Zip archives, as far as numpy.savez writes them: members stored or deflated, also beyond 4 GB, no encryption. */
#ifndef SKV_ZIP_H
#define SKV_ZIP_H

#include "base/base.h"

typedef struct skv_zip_member {
    char *name;
    uint64_t offset; /* of its bytes in the file */
    uint64_t packed, size;
    uint32_t crc;
    bool deflated;
} skv_zip_member;

typedef struct skv_zip {
    skive_context *ctx;
    skv_reader *reader;
    skv_zip_member *members;
    size_t n;
} skv_zip;

/* Reads the directory at the end of the file. Errors: IO, DATA (not a zip file, damaged, truncated), UNSUPPORTED. */
skive_status skv_zip_open(skive_context *ctx, const char *path, skv_zip *out);
void skv_zip_close(skv_zip *z);
/* All bytes of a member, checked against its checksum; freed by skv_free. Errors: DATA, IO, MEMORY. */
skive_status skv_zip_read(const skv_zip *z, const skv_zip_member *m, void **out);
/* The first `n` bytes of a member, or as many as it has: *got. */
skive_status skv_zip_peek(const skv_zip *z, const skv_zip_member *m, void *to, size_t n, size_t *got);

#endif
