/* The end of a 512-bit tile: int32 sums to bytes or floats. Included by gemm_vnni.c and gemm_avx512.c, after MR and NR.
 *
 * The upper limit is applied in float, so that the conversion stays in range; the lower one after narrowing: what is
 * below int32 converts to the least int32 and narrows to the least int16, so the order is kept and the clamp sees it.
 * */
#ifndef SKV_GEMM_STORE512_H
#define SKV_GEMM_STORE512_H

typedef enum ending {
    WHOLE,   /* see skv_q8_out, and zero point 0 */
    LIMITED, /* any zero point and limits */
    SUMMED,  /* the same, another tensor added */
    PLAIN,   /* another tensor added, WHOLE, its zero point 0 and that of the result within its limits */
} ending;

static inline ending ending_of(const skv_q8_out *out) {
    const bool whole = out->whole && out->zero == 0;
    const skv_q8_sum *sum = &out->sum;
    if (!out->adds) return whole ? WHOLE : LIMITED;
    return whole && sum->zero == 0 && sum->least <= 0 && sum->most >= 0 ? PLAIN : SUMMED;
}

/* What is the same for all rows. It is read from memory as operands: the sums leave few registers. */
typedef struct constants {
    __m512 limit;
    __m512i zero;
    __m512i least, most, other_zero; /* of skv_q8_sum, as the next two */
    __m512i least_bits, most_bits;   /* the same as floats */
    __m512 mine, theirs;
    __m512i lo, hi, flip, order;
} constants;
_Static_assert(sizeof(constants) <= sizeof(skv_q8_constants), "they are kept in one");

static void fill_constants(const skv_q8_out *out, skv_q8_constants *to) {
    const skv_q8_sum *sum = &out->sum;
    constants *c = (constants *)(void *)to;
    c->limit = _mm512_set1_ps(out->limit);
    c->zero = _mm512_set1_epi16((short)out->zero);
    c->least = _mm512_set1_epi32(sum->least);
    c->most = _mm512_set1_epi32(sum->most);
    c->least_bits = _mm512_castps_si512(_mm512_set1_ps(sum->least < 0 ? (float)sum->least : -0.0f));
    c->most_bits = _mm512_castps_si512(_mm512_set1_ps((float)sum->most));
    c->other_zero = _mm512_set1_epi32(sum->zero);
    c->mine = _mm512_set1_ps(sum->mine);
    c->theirs = _mm512_set1_ps(sum->theirs);
    c->lo = _mm512_set1_epi8((char)out->lo);
    c->hi = _mm512_set1_epi8((char)out->hi);
    c->flip = _mm512_set1_epi8((char)out->flip);
    c->order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

/* 16 of another tensor's numbers as what they add. */
static inline __attribute__((always_inline)) __m512 read_other(const uint8_t *other, const constants *c,
                                                               const ending kind) {
    __m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)other));
    if (kind == SUMMED) v = _mm512_sub_epi32(v, c->other_zero);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(v), c->theirs);
}

/* min(max(t, least), most) for least <= 0 <= most. As unsigned numbers the negative floats grow with their magnitude
 * and stand above all others, as signed ones they stand below: so whole-number minima limit them, on ports that are
 * free. */
static inline __attribute__((always_inline)) __m512 limit_bits(__m512 t, const constants *c) {
    const __m512i above = _mm512_min_epu32(_mm512_castps_si512(t), c->least_bits);
    return _mm512_castsi512_ps(_mm512_min_epi32(above, c->most_bits));
}

enum { TOGETHER = 4 }; /* rows */

/* Rows `from` to `to` (at most TOGETHER) from their sums to bytes. They go through each step together, so that no
 * instruction waits for the one before it: those that wait would keep the next tile's products from starting. */
static inline __attribute__((always_inline)) void narrow_rows(const skv_q8_tile *t, const int from, const int to,
                                                              const __m512i (*acc)[2], const ending kind,
                                                              const uint8_t *other, const size_t *other_at,
                                                              __m512i *bytes) {
    const constants *c = (const constants *)(const void *)t->constants;
    __m512 f[TOGETHER][2], o[TOGETHER][2];
    __m512i v[TOGETHER][2];
    const int n = to - from;
#define EACH(x) \
    _Pragma("GCC unroll 4") for (int i = 0; i < n; i++) _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) x
    /* first, as it need not wait for the sums */
    if (kind >= SUMMED) EACH(o[i][j] = read_other(other + other_at[from + i] + 16 * j, c, kind);)
    EACH(f[i][j] = _mm512_cvtepi32_ps(acc[from + i][j]);)
    EACH(f[i][j] = _mm512_mul_ps(f[i][j], _mm512_loadu_ps(t->multiplier + 16 * j));)
    if (kind == LIMITED) EACH(f[i][j] = _mm512_min_ps(f[i][j], c->limit);)
    /* Rounded and limited on its own grid, then the sum; QConvAdd lets no number on the way leave int32. */
    if (kind == PLAIN) {
        EACH(f[i][j] = limit_bits(f[i][j], c);)
        EACH(f[i][j] = _mm512_roundscale_ps(f[i][j], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);)
    }
    if (kind == SUMMED) {
        EACH(v[i][j] = _mm512_cvtps_epi32(f[i][j]);)
        EACH(v[i][j] = _mm512_max_epi32(v[i][j], c->least);)
        EACH(v[i][j] = _mm512_min_epi32(v[i][j], c->most);)
        EACH(f[i][j] = _mm512_cvtepi32_ps(v[i][j]);)
    }
    if (kind >= SUMMED) {
        EACH(f[i][j] = _mm512_mul_ps(f[i][j], c->mine);)
        EACH(f[i][j] = _mm512_add_ps(f[i][j], o[i][j]);)
    }
    EACH(v[i][j] = _mm512_cvtps_epi32(f[i][j]);)
#undef EACH
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        v[i][0] = _mm512_packs_epi32(v[i][0], v[i][1]);
        if (kind == LIMITED || kind == SUMMED) v[i][0] = _mm512_adds_epi16(v[i][0], c->zero);
    }
#pragma GCC unroll 2
    for (int i = 0; i < n; i += 2) {
        bytes[i / 2] = _mm512_packus_epi16(v[i][0], v[i + 1 < n ? i + 1 : i][0]);
        if (kind == LIMITED || kind == SUMMED)
            bytes[i / 2] = _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes[i / 2], c->lo), c->hi), c->flip);
        bytes[i / 2] = _mm512_permutexvar_epi32(c->order, bytes[i / 2]);
    }
}

static inline __attribute__((always_inline)) void store_rows(const skv_q8_tile *t, const int rows,
                                                             const __m512i (*acc)[2], const ending kind) {
#pragma GCC unroll 4
    for (int from = 0; from < rows; from += TOGETHER) {
        const int to = from + TOGETHER < rows ? from + TOGETHER : rows;
        __m512i bytes[TOGETHER / 2];
        narrow_rows(t, from, to, acc, kind, t->other, t->y_at, bytes);
#pragma GCC unroll 4
        for (int r = from; r < to; r++) {
            void *y = (char *)t->y + t->y_at[r];
            if ((r - from) % 2)
                _mm256_storeu_si256(y, _mm512_extracti64x4_epi64(bytes[(r - from) / 2], 1));
            else
                _mm256_storeu_si256(y, _mm512_castsi512_si256(bytes[(r - from) / 2]));
        }
    }
}

/* Fewer columns than the panel has. */
static void store_part(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const __mmask32 mask = ((__mmask32)1 << t->columns) - 1;
    for (int r = 0; r < rows; r++) {
        const size_t at = t->y_at[r], here = 0;
        uint8_t other[NR];
        __m512i bytes;
        if (t->out->adds) {
            _mm256_storeu_si256((void *)other, _mm256_maskz_loadu_epi8(mask, t->other + at));
            narrow_rows(t, 0, 1, acc + r, SUMMED, other, &here, &bytes);
        } else
            narrow_rows(t, 0, 1, acc + r, LIMITED, NULL, NULL, &bytes);
        _mm256_mask_storeu_epi8((uint8_t *)t->y + at, mask, _mm512_castsi512_si256(bytes));
    }
}

static void store_sums(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const uint32_t mask = t->columns >= NR ? ~(uint32_t)0 : ((uint32_t)1 << t->columns) - 1;
    for (int r = 0; r < rows; r++) {
        int32_t *y = (int32_t *)(void *)((char *)t->y + t->y_at[r]);
        _mm512_mask_storeu_epi32(y, (__mmask16)mask, acc[r][0]);
        if (mask >> 16) _mm512_mask_storeu_epi32(y + 16, (__mmask16)(mask >> 16), acc[r][1]);
    }
}

static void store_real(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const __m512 m0 = _mm512_loadu_ps(t->multiplier), m1 = _mm512_loadu_ps(t->multiplier + 16);
    const uint32_t mask = t->columns >= NR ? ~(uint32_t)0 : ((uint32_t)1 << t->columns) - 1;
    for (int r = 0; r < rows; r++) {
        float *y = (float *)(void *)((char *)t->y + t->y_at[r]);
        _mm512_mask_storeu_ps(y, (__mmask16)mask, _mm512_mul_ps(_mm512_cvtepi32_ps(acc[r][0]), m0));
        if (mask >> 16)
            _mm512_mask_storeu_ps(y + 16, (__mmask16)(mask >> 16), _mm512_mul_ps(_mm512_cvtepi32_ps(acc[r][1]), m1));
    }
}

static __attribute__((noinline)) void store_from(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    if (t->out->sums)
        store_sums(t, rows, acc);
    else if (t->out->real)
        store_real(t, rows, acc);
    else
        store_part(t, rows, acc);
}

static inline __attribute__((always_inline)) void store(const skv_q8_tile *t, const int rows, __m512i (*acc)[2]) {
    const __m512i(*from)[2] = (const __m512i(*)[2])acc;
    if (t->out->sums || t->out->real || t->columns < NR) {
        /* through memory, so that what is seldom needed stands once */
        __m512i sums[MR][2];
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            sums[r][0] = acc[r][0];
            sums[r][1] = acc[r][1];
        }
        store_from(t, rows, (const __m512i(*)[2])sums);
        return;
    }
    switch (ending_of(t->out)) {
    case WHOLE: store_rows(t, rows, from, WHOLE); break;
    case LIMITED: store_rows(t, rows, from, LIMITED); break;
    case SUMMED: store_rows(t, rows, from, SUMMED); break;
    case PLAIN: store_rows(t, rows, from, PLAIN); break;
    }
}

#endif
