/* The end of a 512-bit tile: int32 sums to bytes or floats. Included by gemm_vnni.c and gemm_avx512.c, after MR and NR.
 *
 * The upper limit is applied in float, so that the conversion stays in range; the lower one after narrowing: what is
 * below int32 converts to the least int32 and narrows to the least int16, so the order is kept and the clamp sees it. */
#ifndef SKV_GEMM_STORE512_H
#define SKV_GEMM_STORE512_H

static inline __attribute__((always_inline)) __m512i narrow16(__m512i a0, __m512i a1, __m512 m0, __m512 m1,
                                                              __m512i zero) {
    const __m512 t0 = _mm512_mul_ps(_mm512_cvtepi32_ps(a0), m0), t1 = _mm512_mul_ps(_mm512_cvtepi32_ps(a1), m1);
    return _mm512_adds_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(t0), _mm512_cvtps_epi32(t1)), zero);
}

static inline __attribute__((always_inline)) __m512i narrow16_limit(__m512i a0, __m512i a1, __m512 m0, __m512 m1,
                                                                    __m512 limit, __m512i zero) {
    const __m512 t0 = _mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(a0), m0), limit);
    const __m512 t1 = _mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(a1), m1), limit);
    return _mm512_adds_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(t0), _mm512_cvtps_epi32(t1)), zero);
}

/* What is the same for all rows, so that it stands in registers. */
typedef struct ending {
    __m512 m0, m1, limit;
    __m512i zero, lo, hi, flip;
    __mmask32 mask;
    bool part; /* fewer columns than the panel has */
} ending;

static inline __attribute__((always_inline)) ending ending_of(const skv_q8_tile *t) {
    const skv_q8_out *out = t->out;
    return (ending){
        .m0 = _mm512_loadu_ps(t->multiplier),
        .m1 = _mm512_loadu_ps(t->multiplier + 16),
        .limit = _mm512_set1_ps(out->limit),
        .zero = _mm512_set1_epi16((short)out->zero),
        .lo = _mm512_set1_epi8((char)out->lo),
        .hi = _mm512_set1_epi8((char)out->hi),
        .flip = _mm512_set1_epi8((char)out->flip),
        .mask = t->columns >= NR ? ~(__mmask32)0 : ((__mmask32)1 << t->columns) - 1,
        .part = t->columns < NR,
    };
}

/* Rows r and, if there is one, r + 1 from int16. */
static inline __attribute__((always_inline)) void put_rows(const skv_q8_tile *t, int rows, int r, const ending *e,
                                                           __m512i p, __m512i q, const bool limits) {
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    uint8_t *y = (uint8_t *)t->y + (size_t)r * t->y_stride;
    __m512i v = _mm512_packus_epi16(p, q);
    if (limits) v = _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(v, e->lo), e->hi), e->flip);
    v = _mm512_permutexvar_epi64(order, v);
    const __m256i first = _mm512_castsi512_si256(v), second = _mm512_extracti64x4_epi64(v, 1);
    if (!e->part) { /* a masked store costs several plain ones */
        _mm256_storeu_si256((void *)y, first);
        if (r + 1 < rows) _mm256_storeu_si256((void *)(y + t->y_stride), second);
    } else {
        _mm256_mask_storeu_epi8(y, e->mask, first);
        if (r + 1 < rows) _mm256_mask_storeu_epi8(y + t->y_stride, e->mask, second);
    }
}

static __attribute__((noinline)) void store_bytes(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const ending e = ending_of(t);
    if (t->out->whole) {
        for (int r = 0; r < rows; r += 2) {
            const int next = r + 1 < rows ? r + 1 : r;
            put_rows(t, rows, r, &e, narrow16(acc[r][0], acc[r][1], e.m0, e.m1, e.zero),
                     narrow16(acc[next][0], acc[next][1], e.m0, e.m1, e.zero), false);
        }
        return;
    }
    for (int r = 0; r < rows; r += 2) {
        const int next = r + 1 < rows ? r + 1 : r;
        put_rows(t, rows, r, &e, narrow16_limit(acc[r][0], acc[r][1], e.m0, e.m1, e.limit, e.zero),
                 narrow16_limit(acc[next][0], acc[next][1], e.m0, e.m1, e.limit, e.zero), true);
    }
}

typedef struct addition {
    __m512 mine, theirs;
    __m512i least, most, zero;
} addition;

/* The result rounded and limited on its own grid, then the sum; QConvAdd lets no number on the way leave int32. */
static inline __attribute__((always_inline)) __m512i add_other(__m512i a, __m512 m, __m128i other, const addition *s) {
    const __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(a), m));
    const __m512 mine = _mm512_cvtepi32_ps(_mm512_min_epi32(_mm512_max_epi32(v, s->least), s->most));
    const __m512 theirs = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(other), s->zero));
    return _mm512_cvtps_epi32(_mm512_add_ps(_mm512_mul_ps(mine, s->mine), _mm512_mul_ps(theirs, s->theirs)));
}

static inline __attribute__((always_inline)) __m512i narrow16_sum(const __m512i *a, const ending *e, const addition *s,
                                                                  const uint8_t *other) {
    /* bytes four by four into the panel's order of columns */
    const __m256i bytes = e->part ? _mm256_maskz_loadu_epi8(e->mask, other) : _mm256_loadu_si256((const void *)other);
    const __m256i turned = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    const __m512i v0 = add_other(a[0], e->m0, _mm256_castsi256_si128(turned), s);
    const __m512i v1 = add_other(a[1], e->m1, _mm256_extracti128_si256(turned, 1), s);
    return _mm512_adds_epi16(_mm512_packs_epi32(v0, v1), e->zero);
}

static __attribute__((noinline)) void store_sum(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const ending e = ending_of(t);
    const skv_q8_sum *sum = &t->out->sum;
    const addition s = {_mm512_set1_ps(sum->mine), _mm512_set1_ps(sum->theirs), _mm512_set1_epi32(sum->least),
                        _mm512_set1_epi32(sum->most), _mm512_set1_epi32(sum->zero)};
    for (int r = 0; r < rows; r += 2) {
        const int next = r + 1 < rows ? r + 1 : r;
        const uint8_t *other = t->other + (size_t)r * t->y_stride;
        const __m512i p = narrow16_sum(acc[r], &e, &s, other);
        const __m512i q = narrow16_sum(acc[next], &e, &s, other + (size_t)(next - r) * t->y_stride);
        put_rows(t, rows, r, &e, p, q, true);
    }
}

/* columns 0..15 and 16..31 out of the panel's order */
static inline __attribute__((always_inline)) __m512i first_columns(void) {
    return _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
}
static inline __attribute__((always_inline)) __m512i second_columns(void) {
    return _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
}

static __attribute__((noinline)) void store_sums(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const uint32_t mask = t->columns >= NR ? ~(uint32_t)0 : ((uint32_t)1 << t->columns) - 1;
    for (int r = 0; r < rows; r++) {
        int32_t *y = (int32_t *)(void *)((char *)t->y + (size_t)r * t->y_stride);
        _mm512_mask_storeu_epi32(y, (__mmask16)mask, _mm512_permutex2var_epi32(acc[r][0], first_columns(), acc[r][1]));
        if (mask >> 16)
            _mm512_mask_storeu_epi32(y + 16, (__mmask16)(mask >> 16),
                                     _mm512_permutex2var_epi32(acc[r][0], second_columns(), acc[r][1]));
    }
}

static __attribute__((noinline)) void store_real(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const __m512 m0 = _mm512_loadu_ps(t->multiplier), m1 = _mm512_loadu_ps(t->multiplier + 16);
    const __m512i first = first_columns(), second = second_columns();
    const uint32_t mask = t->columns >= NR ? ~(uint32_t)0 : ((uint32_t)1 << t->columns) - 1;
    for (int r = 0; r < rows; r++) {
        const __m512 t0 = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[r][0]), m0);
        const __m512 t1 = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[r][1]), m1);
        float *y = (float *)(void *)((char *)t->y + (size_t)r * t->y_stride);
        _mm512_mask_storeu_ps(y, (__mmask16)mask, _mm512_permutex2var_ps(t0, first, t1));
        if (mask >> 16) _mm512_mask_storeu_ps(y + 16, (__mmask16)(mask >> 16), _mm512_permutex2var_ps(t0, second, t1));
    }
}

static inline __attribute__((always_inline)) void store(const skv_q8_tile *t, const int rows, __m512i (*acc)[2]) {
    /* The products leave no registers for the end's constants: their sums go through memory. */
    __m512i sums[MR][2];
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        sums[r][0] = acc[r][0];
        sums[r][1] = acc[r][1];
    }
    const __m512i(*from)[2] = (const __m512i(*)[2])sums;
    if (t->out->sums)
        store_sums(t, rows, from);
    else if (t->out->real)
        store_real(t, rows, from);
    else if (t->out->adds)
        store_sum(t, rows, from);
    else
        store_bytes(t, rows, from);
}

#endif
