/* Reading a regular file in pieces. */
#ifndef SKV_BASE_FILE_H
#define SKV_BASE_FILE_H

#include "base/base.h"

/* Opens a regular file for reading, with the same refusals as skv_file_read; its pieces may be read by many threads at
 * once. A read that meets the end of the file gives fewer bytes. */
skive_status skv_file_open(skive_context *ctx, const char *path, int *out, uint64_t *size);
skive_status skv_file_read_at(skive_context *ctx, const char *path, int fd, uint64_t at, void *out, size_t n,
                              size_t *got);
void skv_file_close(int fd); /* -1: nothing to do */

#endif
