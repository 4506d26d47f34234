/* Shape arithmetic, and shapes as text for messages. */
#include <inttypes.h>
#include <stdio.h>

#include "tensor/tensor.h"

bool skv_dims_count(int rank, const int64_t *dims, int64_t *out) {
    bool zero = false;
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0) return false;
        if (dims[i] == 0)
            zero = true;
        else if (!skv_mul_i64(count, dims[i], &count))
            return false; /* a zero in another dimension does not help: strides would overflow */
    }
    *out = zero ? 0 : count;
    return true;
}

bool skv_dtype_bytes(skive_dtype dtype, int64_t count, size_t *out) {
    int bits = skive_dtype_bits(dtype);
    if (bits == 0 || count < 0) return false;
    if (bits < 8) {
        const int64_t each = 8 / bits;
        *out = (size_t)(count / each + (count % each != 0));
        return true;
    }
    return skv_mul_size((size_t)count, (size_t)bits / 8, out) && *out <= PTRDIFF_MAX;
}

bool skv_dims_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b) {
    if (rank_a != rank_b) return false;
    for (int i = 0; i < rank_a; i++) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

void skv_dims_strides(int rank, const int64_t *dims, int64_t *strides) {
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= dims[i];
    }
}

/* The position after snprintf wrote `length` bytes at `at`; text that does not fit stops growing. */
static size_t add(size_t size, size_t at, int length) {
    if (length < 0) return at;
    size_t end = at + (size_t)length;
    return end < size ? end : size - 1;
}

const char *skv_dims_text(int rank, const int64_t *dims, char *buffer, size_t size) {
    size_t at = 0;
    if (size == 0) return "";
    at = add(size, at, snprintf(buffer, size, "["));
    for (int i = 0; i < rank; i++) {
        at = add(size, at, snprintf(buffer + at, size - at, i ? ",%" PRId64 : "%" PRId64, dims[i]));
    }
    (void)snprintf(buffer + at, size - at, "]");
    return buffer;
}

const char *skv_tensor_text(const skive_tensor *tensor, char *buffer, size_t size) {
    if (size == 0) return "";
    size_t at = add(size, 0, snprintf(buffer, size, "%s", skive_dtype_name(tensor->dtype)));
    (void)skv_dims_text(tensor->rank, tensor->dims, buffer + at, size - at);
    return buffer;
}
