/* Memory layouts of activations and the rearranging between them. */
#include <string.h>

#include "kernels/kernel.h"

const char *skv_layout_name(skv_layout l) {
    static const char *const names[] = {"plain", "nhwc", "nChw16c", "nChw8c"};
    return names[l];
}

bool skv_layout_bytes(const skive_type *t, skv_layout l, size_t *bytes) {
    size_t n = 1;
    const int64_t block = skv_layout_block(l);
    for (int d = 0; d < t->rank; d++) {
        int64_t size = t->dims[d].size;
        if (size < 0) return false;
        if (d == 1 && block > 1 && (!skv_add_i64(size, block - 1, &size) || (size = size / block * block) < 0))
            return false;
        if (!skv_mul_size(n, (size_t)size, &n)) return false;
    }
    if (!skv_mul_size(n, (size_t)skive_dtype_bits(t->dtype), &n)) return false;
    *bytes = (n + 7) / 8;
    return true;
}

/* [n][c][s] of a value of rank >= 3, spatial dimensions taken together. */
typedef struct extent {
    int64_t n, c, s;
} extent;

/* Offset of the first element of channel c at position 0, and the step between positions, in elements. */
typedef struct stride {
    int64_t n, block, channel, position;
} stride;

static stride stride_of(skv_layout l, const extent *e) {
    const int64_t b = skv_layout_block(l), padded = (e->c + b - 1) / b * b;
    switch (l) {
    case SKV_NHWC: return (stride){e->c * e->s, 0, 1, e->c};
    case SKV_C16:
    case SKV_C8: return (stride){padded * e->s, b * e->s, 1, b};
    case SKV_PLAIN: break;
    }
    return (stride){e->c * e->s, 0, e->s, 1};
}

static int64_t channel_offset(skv_layout l, const stride *st, int64_t c) {
    const int64_t b = skv_layout_block(l);
    return b > 1 ? c / b * st->block + c % b : c * st->channel;
}

/* Moves tiles of up to 16 channels by 64 positions, so that both sides stay in the first-level cache. */
#define MOVE(T)                                                                                                        \
    static void move_##T(const extent *e, skv_layout from, const T *in, skv_layout to, T *out, int threads) {          \
        const stride a = stride_of(from, e), b = stride_of(to, e);                                                     \
        const int64_t tiles = (e->c + 15) / 16;                                                                        \
        _Pragma(                                                                                                       \
            "omp parallel for collapse(2) num_threads(threads) schedule(static) if (threads > 1)") for (int64_t n = 0; \
                                                                                                        n < e->n;      \
                                                                                                        n++) {         \
            for (int64_t tile = 0; tile < tiles; tile++) {                                                             \
                const int64_t c0 = tile * 16, c1 = c0 + 16 < e->c ? c0 + 16 : e->c;                                    \
                for (int64_t s0 = 0; s0 < e->s; s0 += 64) {                                                            \
                    const int64_t s1 = s0 + 64 < e->s ? s0 + 64 : e->s;                                                \
                    for (int64_t c = c0; c < c1; c++) {                                                                \
                        const T *src = in + n * a.n + channel_offset(from, &a, c);                                     \
                        T *dst = out + n * b.n + channel_offset(to, &b, c);                                            \
                        for (int64_t s = s0; s < s1; s++) dst[s * b.position] = src[s * a.position];                   \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
/* Images of three colours, which nearly every vision model is given, position by position. */
#define MOVE_RGB(T)                                                       \
    static void move_rgb_##T(const extent *e, const T *in, T *out) {      \
        for (int64_t n = 0; n < e->n; n++, out += 3 * e->s) {             \
            const T *r = in + n * 3 * e->s, *g = r + e->s, *b = g + e->s; \
            for (int64_t s = 0; s < e->s; s++) {                          \
                out[3 * s] = r[s];                                        \
                out[3 * s + 1] = g[s];                                    \
                out[3 * s + 2] = b[s];                                    \
            }                                                             \
        }                                                                 \
    }
MOVE_RGB(uint8_t)
MOVE_RGB(uint32_t)

MOVE(uint8_t)
MOVE(uint16_t)
MOVE(uint32_t)
MOVE(uint64_t)

static void zero_padding(const extent *e, skv_layout l, size_t item, void *out) {
    const int64_t b = skv_layout_block(l);
    const int64_t full = e->c / b * b, rest = e->c - full;
    if (b == 1 || rest == 0) return;
    const stride st = stride_of(l, e);
    for (int64_t n = 0; n < e->n; n++) {
        char *base = (char *)out + (size_t)(n * st.n + full * e->s) * item;
        for (int64_t s = 0; s < e->s; s++) {
            memset(base + (size_t)(s * b + rest) * item, 0, (size_t)(b - rest) * item);
        }
    }
}

void skv_reorder(const skive_type *t, skv_layout from, const void *in, skv_layout to, void *out, int threads) {
    size_t bytes = 0;
    const bool one_channel =
        t->rank >= 3 && t->dims[1].size == 1 && skv_layout_block(from) == 1 && skv_layout_block(to) == 1;
    if (from == to || t->rank < 3 || one_channel) {
        if (skv_layout_bytes(t, from, &bytes)) memcpy(out, in, bytes);
        return;
    }
    extent e = {t->dims[0].size, t->dims[1].size, 1};
    for (int d = 2; d < t->rank; d++) e.s *= t->dims[d].size;
    const int bits = skive_dtype_bits(t->dtype);
    if (e.c == 3 && from == SKV_PLAIN && to == SKV_NHWC && (bits == 8 || bits == 32)) {
        if (bits == 8)
            move_rgb_uint8_t(&e, in, out);
        else
            move_rgb_uint32_t(&e, in, out);
        return;
    }
    if (e.n * e.c * e.s < 32768) threads = 1; /* starting threads would take longer than the work */
    switch (bits) {
    case 8: move_uint8_t(&e, from, in, to, out, threads); break;
    case 16: move_uint16_t(&e, from, in, to, out, threads); break;
    case 32: move_uint32_t(&e, from, in, to, out, threads); break;
    default: move_uint64_t(&e, from, in, to, out, threads); break;
    }
    zero_padding(&e, to, (size_t)bits / 8, out);
}
