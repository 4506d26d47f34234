/* Types of values. */
#include <stdio.h>
#include <string.h>

#include "graph/graph.h"
#include "tensor/tensor.h"

skive_type skive_type_make(skive_dtype dtype, int rank, const int64_t *dims) {
    skive_type t = {.dtype = dtype, .rank = rank >= 0 && rank <= SKIVE_MAX_RANK ? rank : -1};
    for (int d = 0; d < t.rank; d++) t.dims[d] = (skive_dim){dims && dims[d] >= 0 ? dims[d] : -1, NULL};
    return t;
}

bool skv_type_is_static(const skive_type *t) {
    if (t->rank < 0) return false;
    for (int d = 0; d < t->rank; d++) {
        if (t->dims[d].size < 0) return false;
    }
    return true;
}

int64_t skv_type_count(const skive_type *t) {
    int64_t dims[SKIVE_MAX_RANK], n;
    for (int d = 0; d < t->rank; d++) dims[d] = t->dims[d].size < 0 ? 1 : t->dims[d].size;
    return skv_dims_count(t->rank, dims, &n) ? n : -1;
}

bool skv_type_same_static(const skive_type *a, const skive_type *b) {
    if (a->dtype != b->dtype || a->rank != b->rank || !skv_type_is_static(a) || !skv_type_is_static(b)) return false;
    for (int d = 0; d < a->rank; d++) {
        if (a->dims[d].size != b->dims[d].size) return false;
    }
    return true;
}

size_t skv_type_text(const skive_type *t, char *buffer, size_t size) {
    if (size == 0) return 0;
    int at = snprintf(buffer, size, "%s", skive_dtype_name(t->dtype));
    if (t->rank < 0) return (size_t)at < size ? (size_t)at : size - 1;
    for (int d = 0; d < t->rank && (size_t)at < size; d++) {
        const char *before = d ? "," : "[";
        if (t->dims[d].size >= 0) {
            at += snprintf(buffer + at, size - (size_t)at, "%s%lld", before, (long long)t->dims[d].size);
        } else {
            at += snprintf(buffer + at, size - (size_t)at, "%s%s", before, t->dims[d].symbol ? t->dims[d].symbol : "?");
        }
    }
    if ((size_t)at < size) at += snprintf(buffer + at, size - (size_t)at, "%s", t->rank ? "]" : "[]");
    return (size_t)at < size ? (size_t)at : size - 1;
}
