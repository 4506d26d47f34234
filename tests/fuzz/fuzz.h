/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; linked with libFuzzer it searches,
 * linked with replay.c it runs the files it is given, which is how every input that once failed stays a test. */
#ifndef SKV_FUZZ_H
#define SKV_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skive/context.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A context with one thread whose memory ends at `limit` bytes: beyond it requests fail, as they would on a small
 * machine. */
skive_context *fuzz_context(size_t limit);
/* Frees it. A block that is still alive ends the process: a leak is a finding. */
void fuzz_context_end(skive_context *ctx);

/* A path under which these bytes can be read as a file; the next call reuses it. `slot` 0 or 1: two files at a time. */
const char *fuzz_file(int slot, const uint8_t *data, size_t size);

/* A failure must say what it is about. */
void fuzz_check_message(const skive_context *ctx, skive_status status);

#endif
