/* Samples that stay in their files: rows of equal length, each read when it is needed. */
#ifndef SKV_DISK_H
#define SKV_DISK_H

#include "base/base.h"
#include "tensor/tensor.h"

typedef struct skv_disk skv_disk;

/* Rows of `values` elements of `dtype`; big: stored with the high byte first. */
skive_status skv_disk_create(skive_context *ctx, skive_dtype dtype, bool big, size_t values, skv_disk **out);
/* `count` more rows, from `offset` of the file on, one every `stride` bytes. Errors: IO, DATA (the file is shorter). */
skive_status skv_disk_add(skv_disk *r, const char *path, uint64_t offset, size_t stride, size_t count);
/* Row `index` in the machine's own byte order. Floats must be finite. May be called from many threads at once, each
 * with a context of its own. Errors: IO, DATA (the file became shorter; NaN or infinity, with the sample). */
skive_status skv_disk_read(skive_context *ctx, const skv_disk *r, size_t index, void *to);
void skv_disk_free(skv_disk *r);

/* Should samples of so many bytes stay on disk? `disk`: "auto" (if they would take more than a quarter of the memory
 * that may be used), "yes" or "no". Tells it in a note. */
bool skv_disk_wanted(skive_context *ctx, const char *path, const char *disk, uint64_t bytes, uint64_t row);

/* The option of kinds whose samples may stay on disk. */
const char *skv_disk_choice(size_t i);
#define SKV_DISK_OPTION                                                                                            \
    {                                                                                                              \
        .name = "disk", .type = SKV_OPTION_CHOICE, .text = "auto", .choices = skv_disk_choice,                     \
        .brief = "samples stay in the file and are read when they are needed: auto (if they are large), yes or no" \
    }

#endif
