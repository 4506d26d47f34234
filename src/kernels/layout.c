/* Memory layouts of activations and the rearranging between them. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/turn.h"

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

typedef struct side {
    skv_layout layout;
    stride step;
} side;

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

/* Of one image, `count` channels from c on, which lie in one block of either side; positions [first, last). */
static void move_channels(const extent *e, const side *a, const side *b, size_t item, int64_t c, int64_t count,
                          int64_t first, int64_t last, const char *in, char *out) {
    const char *src = in + (size_t)(channel_offset(a->layout, &a->step, c) + first * a->step.position) * item;
    char *dst = out + (size_t)(channel_offset(b->layout, &b->step, c) + first * b->step.position) * item;
    if (a->layout == SKV_PLAIN) {
        skv_turn(item, src, e->s, dst, b->step.position, count, last - first);
        return;
    }
    if (b->layout == SKV_PLAIN) {
        skv_turn(item, src, a->step.position, dst, e->s, last - first, count);
        return;
    }
    for (int64_t s = first; s < last; s++) {
        memcpy(dst, src, (size_t)count * item);
        src += (size_t)a->step.position * item;
        dst += (size_t)b->step.position * item;
    }
}

/* Moves tiles of some channels by some positions, so that both sides stay in the first-level cache. */
static void move(const extent *e, skv_layout from, const char *in, skv_layout to, char *out, size_t item, int threads) {
    enum { CHANNELS = 16, POSITIONS = 256 };
    const side a = {from, stride_of(from, e)}, b = {to, stride_of(to, e)};
    const int64_t width = from == SKV_C8 || to == SKV_C8 ? 8 : CHANNELS;
    /* Without blocks, channels that fill no tile go with the last one: squares of whole vectors can be made of them. */
    const bool blocks = skv_layout_block(from) > 1 || skv_layout_block(to) > 1;
    const int64_t tiles = blocks || e->c < width ? (e->c + width - 1) / width : e->c / width;
    const int64_t parts = (e->s + POSITIONS - 1) / POSITIONS;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < e->n * parts * tiles; i++) {
        const int64_t tile = i % tiles, part = i / tiles % parts, n = i / tiles / parts, c = tile * width;
        const int64_t last = (part + 1) * POSITIONS < e->s ? (part + 1) * POSITIONS : e->s;
        const int64_t count = tile == tiles - 1 ? e->c - c : width;
        move_channels(e, &a, &b, item, c, count, part * POSITIONS, last, in + (size_t)(n * a.step.n) * item,
                      out + (size_t)(n * b.step.n) * item);
    }
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
    move(&e, from, in, to, out, (size_t)bits / 8, threads);
    zero_padding(&e, to, (size_t)bits / 8, out);
}
