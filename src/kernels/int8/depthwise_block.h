/* A block of channels of the depthwise convolution with vpdpbusd (depthwise_vnni.c), for one width of vectors. The
 * including file defines WIDTH (channels of a block: bytes of a vector), NAME(x), and
 *   VECTOR, FLOATS       a vector of bytes or int32, and one of floats
 *   MASK                 a bit a byte
 *   LOAD_BYTES(m, p)     bytes at p, 0 where m has no bit
 *   STORE_BYTES(p, m, v)
 *   OP(name), SI(name)   intrinsics of this width, of elements and of whole registers */

/* The columns of the block, interleaved: of each group of 16 channels, in 4 vectors, 4 channels with the bytes of 4
 * rows each. */
static void NAME(interleave)(const depthwise_band *b, int64_t first, int64_t columns, size_t channel, MASK mask,
                             uint8_t *to) {
    const VECTOR outside = OP(set1_epi8)((char)b->zero);
    for (int64_t i = 0; i < columns; i++) {
        const int64_t column = first + i;
        const bool inside = column >= 0 && column < b->width;
        for (int q = 0; q < b->quads; q++, to += 4 * WIDTH) {
            VECTOR y[4] = {outside, outside, outside, outside};
            if (inside) {
                VECTOR r[4];
                for (int k = 0; k < 4; k++) {
                    const uint8_t *row = b->rows[4 * q + k];
                    r[k] = row ? LOAD_BYTES(mask, row + (size_t)column * b->channels + channel) : outside;
                }
                const VECTOR low = OP(unpacklo_epi8)(r[0], r[1]), high = OP(unpackhi_epi8)(r[0], r[1]),
                             low2 = OP(unpacklo_epi8)(r[2], r[3]), high2 = OP(unpackhi_epi8)(r[2], r[3]);
                y[0] = OP(unpacklo_epi16)(low, low2);
                y[1] = OP(unpackhi_epi16)(low, low2);
                y[2] = OP(unpacklo_epi16)(high, high2);
                y[3] = OP(unpackhi_epi16)(high, high2);
            }
            for (int v = 0; v < 4; v++) SI(store)((void *)(to + v * WIDTH), y[v]);
        }
    }
}

SKV_INLINE VECTOR NAME(bytes_of)(const VECTOR *sum, const float *multiplier, const depthwise_end *e) {
    VECTOR r[4];
    SKV_UNROLL
    for (int v = 0; v < 4; v++) {
        FLOATS t = OP(mul_ps)(OP(cvtepi32_ps)(sum[v]), OP(load_ps)(multiplier + v * (WIDTH / 4)));
        t = OP(min_ps)(OP(max_ps)(t, OP(set1_ps)(e->lo)), OP(set1_ps)(e->hi));
        r[v] = OP(add_epi32)(OP(cvtps_epi32)(t), OP(set1_epi32)(e->zero));
        r[v] = SI(and)(r[v], OP(set1_epi32)(255));
    }
    return OP(packus_epi16)(OP(packs_epi32)(r[0], r[1]), OP(packs_epi32)(r[2], r[3]));
}

/* `count` output positions side by side of one line, from interleaved columns. */
SKV_INLINE void NAME(positions)(const depthwise_band *b, const int count, const uint8_t *x, const uint8_t *w, int low,
                                int high, const int32_t *init, const float *multiplier, MASK mask, uint8_t *y) {
    const size_t column = (size_t)b->quads * 4 * WIDTH, step = (size_t)b->stride * column;
    VECTOR sum[2][4];
    SKV_UNROLL
    for (int v = 0; v < 4; v++) {
        sum[0][v] = SI(load)((const void *)(init + v * (WIDTH / 4)));
        if (count > 1) sum[1][v] = sum[0][v];
    }
    for (int q = low; q < high; q++) {
        const uint8_t *weights = w + (size_t)q * b->taps * 4 * WIDTH, *from = x + (size_t)q * 4 * WIDTH;
        for (size_t k = 0; k < b->taps; k++, weights += 4 * WIDTH, from += b->dilation * column) {
            SKV_UNROLL
            for (int v = 0; v < 4; v++) {
                const VECTOR by = SI(load)((const void *)(weights + v * WIDTH));
                sum[0][v] = OP(dpbusd_epi32)(sum[0][v], SI(load)((const void *)(from + v * WIDTH)), by);
                if (count > 1)
                    sum[1][v] = OP(dpbusd_epi32)(sum[1][v], SI(load)((const void *)(from + step + v * WIDTH)), by);
            }
        }
    }
    STORE_BYTES(y, mask, NAME(bytes_of)(sum[0], multiplier, &b->end));
    if (count > 1) STORE_BYTES(y + b->channels, mask, NAME(bytes_of)(sum[1], multiplier, &b->end));
}

/* Positions [first, first + n) of the band's lines, channels [channel, channel + WIDTH) or as many as there are. */
static void NAME(block)(const depthwise_band *b, int64_t first, int64_t n, size_t channel, const uint8_t *w,
                        const int32_t *init, const float *multiplier, uint8_t *columns) {
    const size_t left = b->channels - channel;
    const MASK mask = left >= WIDTH ? (MASK)-1 : (MASK)(((MASK)1 << left) - 1);
    const size_t column = (size_t)b->quads * 4 * WIDTH;
    NAME(interleave)
    (b, first * b->stride - b->pad, (n - 1) * b->stride + (int64_t)((b->taps - 1) * b->dilation) + 1, channel, mask,
     columns);
    for (int l = 0; l < b->lines; l++, w += (size_t)b->quads * b->taps * 4 * WIDTH) {
        uint8_t *y = b->y[l] + (size_t)first * b->channels + channel;
        const uint8_t *x = columns;
        int64_t p = 0;
        for (; p + 2 <= n; p += 2, x += 2 * (size_t)b->stride * column, y += 2 * b->channels)
            NAME(positions)(b, 2, x, w, b->low[l], b->high[l], init, multiplier, mask, y);
        if (p < n) NAME(positions)(b, 1, x, w, b->low[l], b->high[l], init, multiplier, mask, y);
    }
}
