/* The end of a 512-bit tile: int32 sums to bytes or floats. Included by gemm_vnni.c and gemm_avx512.c, after MR and NR.
 *
 * The upper limit is applied in float, so that the conversion stays in range; the lower one after narrowing: what is
 * below int32 converts to the least int32 and narrows to the least int16, so the order is kept and the clamp sees it. */
#ifndef SKV_GEMM_STORE512_H
#define SKV_GEMM_STORE512_H

typedef enum ending {
    WHOLE,   /* see skv_q8_out */
    LIMITED, /* what limits there are */
    SUMMED,  /* another tensor added, and limits */
    PLAIN,   /* another tensor with zero point 0 added, and no limits */
} ending;

/* What is the same for all rows. It is read from memory as operands: the sums leave few registers. */
typedef struct constants {
    __m512 limit;
    __m512i zero;
    __m512i least, most, other_zero; /* of skv_q8_sum, as the next two */
    __m512 mine, theirs;
    __m512i lo, hi, flip, order;
    __m256i turn;
} constants;
_Static_assert(sizeof(constants) <= sizeof(skv_q8_constants), "they are kept in one");

static void fill_constants(const skv_q8_out *out, skv_q8_constants *to) {
    const skv_q8_sum *sum = &out->sum;
    constants *c = (constants *)(void *)to;
    c->limit = _mm512_set1_ps(out->limit);
    c->zero = _mm512_set1_epi16((short)out->zero);
    c->least = _mm512_set1_epi32(sum->least);
    c->most = _mm512_set1_epi32(sum->most);
    c->other_zero = _mm512_set1_epi32(sum->zero);
    c->mine = _mm512_set1_ps(sum->mine);
    c->theirs = _mm512_set1_ps(sum->theirs);
    c->lo = _mm512_set1_epi8((char)out->lo);
    c->hi = _mm512_set1_epi8((char)out->hi);
    c->flip = _mm512_set1_epi8((char)out->flip);
    c->order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    c->turn = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
}

/* Two times 16 of another tensor's numbers, in the panel's order, as what they add. */
static inline __attribute__((always_inline)) void read_other(__m256i bytes, const constants *c, const ending kind,
                                                             __m512 *o) {
    bytes = _mm256_permutevar8x32_epi32(bytes, c->turn);
    __m512i v[2] = {_mm512_cvtepu8_epi32(_mm256_castsi256_si128(bytes)),
                    _mm512_cvtepu8_epi32(_mm256_extracti128_si256(bytes, 1))};
    for (int j = 0; j < 2; j++) {
        if (kind == SUMMED) v[j] = _mm512_sub_epi32(v[j], c->other_zero);
        o[j] = _mm512_mul_ps(_mm512_cvtepi32_ps(v[j]), c->theirs);
    }
}

enum { TOGETHER = 4 }; /* rows */

/* Rows `from` to `to` (at most TOGETHER) from their sums to bytes. They go through each step together, so that no
 * instruction waits for the one before it: those that wait would keep the next tile's products from starting. */
static inline __attribute__((always_inline)) void narrow_rows(const skv_q8_tile *t, const int from, const int to,
                                                              const __m512i (*acc)[2], const ending kind,
                                                              const uint8_t *other, size_t other_stride,
                                                              __m512i *bytes) {
    const constants *c = (const constants *)(const void *)t->constants;
    __m512 f[TOGETHER][2];
    __m512i v[TOGETHER][2];
    const int n = to - from;
#define EACH(x)                                        \
    _Pragma("GCC unroll 4") for (int i = 0; i < n; i++) \
        _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) x
    EACH(f[i][j] = _mm512_cvtepi32_ps(acc[from + i][j]);)
    EACH(f[i][j] = _mm512_mul_ps(f[i][j], _mm512_loadu_ps(t->multiplier + 16 * j));)
    if (kind == LIMITED) EACH(f[i][j] = _mm512_min_ps(f[i][j], c->limit);)
    EACH(v[i][j] = _mm512_cvtps_epi32(f[i][j]);)
    if (kind >= SUMMED) {
        /* Rounded and limited on its own grid, then the sum; QConvAdd lets no number on the way leave int32. */
        EACH(v[i][j] = _mm512_max_epi32(v[i][j], c->least);)
        EACH(v[i][j] = _mm512_min_epi32(v[i][j], c->most);)
        EACH(f[i][j] = _mm512_cvtepi32_ps(v[i][j]);)
        EACH(f[i][j] = _mm512_mul_ps(f[i][j], c->mine);)
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) {
            __m512 o[2];
            read_other(_mm256_loadu_si256((const void *)(other + (size_t)(from + i) * other_stride)), c, kind, o);
            f[i][0] = _mm512_add_ps(f[i][0], o[0]);
            f[i][1] = _mm512_add_ps(f[i][1], o[1]);
        }
        EACH(v[i][j] = _mm512_cvtps_epi32(f[i][j]);)
    }
#undef EACH
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) v[i][0] = _mm512_adds_epi16(_mm512_packs_epi32(v[i][0], v[i][1]), c->zero);
#pragma GCC unroll 2
    for (int i = 0; i < n; i += 2) {
        bytes[i / 2] = _mm512_packus_epi16(v[i][0], v[i + 1 < n ? i + 1 : i][0]);
        if (kind == LIMITED || kind == SUMMED)
            bytes[i / 2] =
                _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes[i / 2], c->lo), c->hi), c->flip);
        bytes[i / 2] = _mm512_permutexvar_epi64(c->order, bytes[i / 2]);
    }
}

static inline __attribute__((always_inline)) void store_rows(const skv_q8_tile *t, const int rows,
                                                             const __m512i (*acc)[2], const ending kind) {
#pragma GCC unroll 4
    for (int from = 0; from < rows; from += TOGETHER) {
        const int to = from + TOGETHER < rows ? from + TOGETHER : rows;
        __m512i bytes[TOGETHER / 2];
        narrow_rows(t, from, to, acc, kind, t->other, t->y_stride, bytes);
#pragma GCC unroll 4
        for (int r = from; r < to; r++) {
            void *y = (char *)t->y + (size_t)r * t->y_stride;
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
        const size_t at = (size_t)r * t->y_stride;
        uint8_t other[NR];
        __m512i bytes;
        if (t->out->adds) {
            _mm256_storeu_si256((void *)other, _mm256_maskz_loadu_epi8(mask, t->other + at));
            narrow_rows(t, 0, 1, acc + r, SUMMED, other, 0, &bytes);
        } else
            narrow_rows(t, 0, 1, acc + r, LIMITED, NULL, 0, &bytes);
        _mm256_mask_storeu_epi8((uint8_t *)t->y + at, mask, _mm512_castsi512_si256(bytes));
    }
}

/* columns 0..15 and 16..31 out of the panel's order */
static inline __attribute__((always_inline)) __m512i first_columns(void) {
    return _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
}
static inline __attribute__((always_inline)) __m512i second_columns(void) {
    return _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
}

static void store_sums(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
    const uint32_t mask = t->columns >= NR ? ~(uint32_t)0 : ((uint32_t)1 << t->columns) - 1;
    for (int r = 0; r < rows; r++) {
        int32_t *y = (int32_t *)(void *)((char *)t->y + (size_t)r * t->y_stride);
        _mm512_mask_storeu_epi32(y, (__mmask16)mask, _mm512_permutex2var_epi32(acc[r][0], first_columns(), acc[r][1]));
        if (mask >> 16)
            _mm512_mask_storeu_epi32(y + 16, (__mmask16)(mask >> 16),
                                     _mm512_permutex2var_epi32(acc[r][0], second_columns(), acc[r][1]));
    }
}

static void store_real(const skv_q8_tile *t, int rows, const __m512i (*acc)[2]) {
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
    } else if (t->out->adds && t->out->whole && t->out->sum.zero == 0)
        store_rows(t, rows, from, PLAIN);
    else if (t->out->adds)
        store_rows(t, rows, from, SUMMED);
    else if (t->out->whole)
        store_rows(t, rows, from, WHOLE);
    else
        store_rows(t, rows, from, LIMITED);
}

#endif
