/* How a packed model (.skv) begins: the reader of ONNX recognises one too, to say which function reads it. */
#ifndef SKV_MAGIC_H
#define SKV_MAGIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SKV_MAGIC_BYTES = 4 };
static const uint8_t skv_magic[SKV_MAGIC_BYTES] = {0x93, 'S', 'K', 'V'};

static inline bool skv_magic_begins(const void *bytes, size_t n) {
    return n >= SKV_MAGIC_BYTES && memcmp(bytes, skv_magic, SKV_MAGIC_BYTES) == 0;
}

#endif
