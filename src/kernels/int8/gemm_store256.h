/* The end of a 256-bit tile, int32 sums to bytes or floats, and bytes to a gathered row of 16-bit numbers. Included by
 * gemm_avx2.c and few_avx2.c, after MR and NR. */
#ifndef SKV_GEMM_STORE256_H
#define SKV_GEMM_STORE256_H

static inline __attribute__((always_inline)) __m256i narrow16(const __m256i *a, __m256 m0, __m256 m1, __m256 limit,
                                                              __m256i zero) {
    const __m256 t0 = _mm256_min_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(a[0]), m0), limit);
    const __m256 t1 = _mm256_min_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(a[1]), m1), limit);
    return _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(t0), _mm256_cvtps_epi32(t1)), zero);
}

/* Copies of so few bytes are put together of two of a constant size, which may overlap: one of a size that is not known
 * is a call. */
static inline void copy_few(uint8_t *to, const uint8_t *from, size_t n) {
    if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++) to[i] = from[i];
    }
}

static inline void put(uint8_t *to, __m128i v, size_t n) {
    if (n >= 16) {
        _mm_storeu_si128((void *)to, v);
    } else if (n == 8) {
        _mm_storel_epi64((void *)to, v);
    } else {
        uint8_t bytes[16];
        _mm_storeu_si128((void *)bytes, v);
        copy_few(to, bytes, n);
    }
}

static inline __m128i get(const uint8_t *from, size_t n) {
    if (n >= 16) return _mm_loadu_si128((const void *)from);
    if (n == 8) return _mm_loadl_epi64((const void *)from);
    uint8_t bytes[16] = {0};
    copy_few(bytes, from, n);
    return _mm_loadu_si128((const void *)bytes);
}

/* See gemm_store512.h for these, and for why this order of clamps is exact. */
static inline __attribute__((always_inline)) __m256i add_other(__m256i a, __m256 m, __m128i other,
                                                               const skv_q8_sum *sum) {
    const __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(a), m));
    const __m256 mine = _mm256_cvtepi32_ps(
        _mm256_min_epi32(_mm256_max_epi32(v, _mm256_set1_epi32(sum->least)), _mm256_set1_epi32(sum->most)));
    const __m256 theirs =
        _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(other), _mm256_set1_epi32(sum->zero)));
    return _mm256_cvtps_epi32(_mm256_add_ps(_mm256_mul_ps(mine, _mm256_set1_ps(sum->mine)),
                                            _mm256_mul_ps(theirs, _mm256_set1_ps(sum->theirs))));
}

static inline __attribute__((always_inline)) __m256i narrow16_sum(const __m256i *a, __m256 m0, __m256 m1,
                                                                  const uint8_t *other, size_t n, const skv_q8_sum *sum,
                                                                  __m256i zero) {
    const __m128i bytes = get(other, n);
    const __m256i v0 = add_other(a[0], m0, bytes, sum), v1 = add_other(a[1], m1, _mm_srli_si128(bytes, 8), sum);
    return _mm256_adds_epi16(_mm256_packs_epi32(v0, v1), zero);
}

static inline __attribute__((always_inline)) void put_rows(const skv_q8_tile *t, const int rows, const int r, __m256i p,
                                                           __m256i q) {
    const __m256i lo = _mm256_set1_epi8((char)t->out->lo), hi = _mm256_set1_epi8((char)t->out->hi);
    const __m256i flip = _mm256_set1_epi8((char)t->out->flip);
    uint8_t *y = (uint8_t *)t->y + t->y_at[r];
    __m256i v = _mm256_packus_epi16(p, q);
    v = _mm256_xor_si256(_mm256_min_epu8(_mm256_max_epu8(v, lo), hi), flip);
    v = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    put(y, _mm256_castsi256_si128(v), t->columns);
    if (r + 1 < rows) put((uint8_t *)t->y + t->y_at[r + 1], _mm256_extracti128_si256(v, 1), t->columns);
}

static inline __attribute__((always_inline)) void store_bytes(const skv_q8_tile *t, const int rows, __m256i (*acc)[2]) {
    const __m256 m0 = _mm256_loadu_ps(t->multiplier), m1 = _mm256_loadu_ps(t->multiplier + 8);
    const __m256 limit = _mm256_set1_ps(t->out->limit);
    const __m256i zero = _mm256_set1_epi16((short)t->out->zero);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r += 2) {
        const int next = r + 1 < rows ? r + 1 : r;
        put_rows(t, rows, r, narrow16(acc[r], m0, m1, limit, zero), narrow16(acc[next], m0, m1, limit, zero));
    }
}

static inline __attribute__((always_inline)) void store_sum(const skv_q8_tile *t, const int rows, __m256i (*acc)[2]) {
    const __m256 m0 = _mm256_loadu_ps(t->multiplier), m1 = _mm256_loadu_ps(t->multiplier + 8);
    const __m256i zero = _mm256_set1_epi16((short)t->out->zero);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r += 2) {
        const int next = r + 1 < rows ? r + 1 : r;
        const uint8_t *other = t->other + t->y_at[r];
        put_rows(t, rows, r, narrow16_sum(acc[r], m0, m1, other, t->columns, &t->out->sum, zero),
                 narrow16_sum(acc[next], m0, m1, t->other + t->y_at[next], t->columns, &t->out->sum, zero));
    }
}

static inline __attribute__((always_inline)) void store_real(const skv_q8_tile *t, const int rows, __m256i (*acc)[2]) {
    const __m256 m0 = _mm256_loadu_ps(t->multiplier), m1 = _mm256_loadu_ps(t->multiplier + 8);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        const __m256 t0 = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[r][0]), m0);
        const __m256 t1 = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[r][1]), m1);
        float row[NR];
        _mm256_storeu_ps(row, t0);
        _mm256_storeu_ps(row + 8, t1);
        memcpy((char *)t->y + t->y_at[r], row, (t->columns < NR ? t->columns : NR) * sizeof *row);
    }
}

static inline __attribute__((always_inline)) void store_sums(const skv_q8_tile *t, const int rows, __m256i (*acc)[2]) {
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        int32_t row[NR];
        _mm256_storeu_si256((void *)row, acc[r][0]);
        _mm256_storeu_si256((void *)(row + 8), acc[r][1]);
        memcpy((char *)t->y + t->y_at[r], row, (t->columns < NR ? t->columns : NR) * sizeof *row);
    }
}

static inline __attribute__((always_inline)) void store(const skv_q8_tile *t, const int rows, __m256i (*acc)[2]) {
    if (t->out->sums)
        store_sums(t, rows, acc);
    else if (t->out->real)
        store_real(t, rows, acc);
    else if (t->out->adds)
        store_sum(t, rows, acc);
    else
        store_bytes(t, rows, acc);
}

static inline void copy(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    int16_t *to = (int16_t *)row + at;
    const __m256i z = _mm256_set1_epi16((short)zero);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)(x + i)));
        _mm256_storeu_si256((void *)(to + i), _mm256_sub_epi16(v, z));
    }
    for (; i < n; i++) to[i] = (int16_t)(x[i] - zero);
}

#endif
