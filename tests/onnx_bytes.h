/* Writing ONNX files byte by byte, right or wrong, for the tests of the reader. */
#ifndef SKV_TEST_ONNX_BYTES_H
#define SKV_TEST_ONNX_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

typedef struct bytes {
    unsigned char *data;
    size_t n, capacity;
} bytes;

static inline void put_raw(bytes *b, const void *data, size_t n) {
    if (b->n + n > b->capacity) {
        b->capacity = (b->n + n) * 2 + 64;
        b->data = realloc(b->data, b->capacity);
        if (!b->data) abort();
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void put_varint(bytes *b, uint64_t value) {
    do {
        unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put_raw(b, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void put_int(bytes *b, unsigned field, int64_t value) {
    put_varint(b, field << 3);
    put_varint(b, (uint64_t)value);
}

static inline void put_bytes(bytes *b, unsigned field, const void *data, size_t n) {
    put_varint(b, field << 3 | 2);
    put_varint(b, n);
    put_raw(b, data, n);
}

/* A number of `width` bytes, little-endian in the file as all of them are. */
static inline void put_number(bytes *b, const void *number, size_t width) {
    put_raw(b, number, width);
    skv_little_endian(b->data + b->n - width, width, width);
}

/* A field of numbers of `width` bytes, n bytes in all. */
static inline void put_numbers(bytes *b, unsigned field, const void *numbers, size_t n, size_t width) {
    put_bytes(b, field, numbers, n);
    if (n) skv_little_endian(b->data + b->n - n, n, width);
}

static inline void put_text(bytes *b, unsigned field, const char *text) { put_bytes(b, field, text, strlen(text)); }

/* Appends `child` as a message and frees it. */
static inline void put_message(bytes *b, unsigned field, bytes child) {
    put_bytes(b, field, child.data, child.n);
    free(child.data);
}

/* ---- pieces of a model ---- */

static inline bytes make_tensor(const char *name, int32_t dtype, int rank, const int64_t *dims) {
    bytes t = {0};
    for (int i = 0; i < rank; i++) put_int(&t, 1, dims[i]);
    put_int(&t, 2, dtype);
    if (name) put_text(&t, 8, name);
    return t;
}

static inline bytes make_info(const char *name, int32_t dtype, int rank, const int64_t *dims) {
    bytes info = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int i = 0; i < rank; i++) {
        bytes dim = {0};
        if (dims[i] >= 0)
            put_int(&dim, 1, dims[i]);
        else
            put_text(&dim, 2, "N");
        put_message(&shape, 1, dim);
    }
    put_int(&tensor, 1, dtype);
    put_message(&tensor, 2, shape);
    put_message(&type, 1, tensor);
    put_text(&info, 1, name);
    put_message(&info, 2, type);
    return info;
}

/* Inputs and outputs as one text each, names separated by single spaces; "-" is an absent one. */
static inline void put_names(bytes *b, unsigned field, const char *names) {
    while (*names) {
        size_t n = strcspn(names, " ");
        if (n == 1 && *names == '-')
            put_bytes(b, field, "", 0);
        else
            put_bytes(b, field, names, n);
        names += n;
        if (*names) names++;
    }
}

static inline bytes make_node(const char *name, const char *op, const char *inputs, const char *outputs) {
    bytes n = {0};
    put_names(&n, 1, inputs);
    put_names(&n, 2, outputs);
    put_text(&n, 3, name);
    put_text(&n, 4, op);
    return n;
}

/* Takes `graph`. */
static inline bytes make_model(bytes graph, int64_t opset) {
    bytes m = {0}, o = {0};
    put_int(&m, 1, 8);
    put_message(&m, 7, graph);
    put_text(&o, 1, "");
    put_int(&o, 2, opset);
    put_message(&m, 8, o);
    return m;
}

/* A graph with input x and output y of float32 [N, 4], still without nodes. */
static inline bytes make_graph(void) {
    static const int64_t dims[2] = {-1, 4};
    bytes g = {0};
    put_text(&g, 2, "main");
    put_message(&g, 11, make_info("x", 1, 2, dims));
    put_message(&g, 12, make_info("y", 1, 2, dims));
    return g;
}

#endif
