/* The end of a tile in plain C. Included by gemm_scalar.c and few_scalar.c, after MR, NR and ALL. */
#ifndef SKV_GEMM_STORE_H
#define SKV_GEMM_STORE_H

/* From sums to bytes, of rows that are not there too. */
SKV_INLINE void to_bytes(const skv_q8_tile *t, const int rows, const int32_t *acc, uint8_t *y) {
    const float lo = (float)((int32_t)t->out->lo - t->out->zero), limit = t->out->limit;
    const int32_t zero = t->out->zero, flip = t->out->flip;
    float v[ALL];
    for (int r = 0; r < ALL / NR; r++)
        for (int c = 0; c < NR; c++) v[r * NR + c] = (float)acc[r * NR + c] * t->multiplier[c];
    if (t->out->adds) {
        const skv_q8_sum *sum = &t->out->sum;
        const float least = (float)sum->least, most = (float)sum->most;
        int32_t other[ALL] = {0};
        for (int r = 0; r < rows; r++)
            for (size_t c = 0; c < t->columns && c < NR; c++)
                other[(size_t)r * NR + c] = t->other[t->y_at[r] + c] - sum->zero;
        for (int i = 0; i < ALL; i++) {
            const float own = skv_clamp(v[i], least, most);
            v[i] = (float)skv_round_small(own) * sum->mine + (float)other[i] * sum->theirs;
        }
    }
    for (int i = 0; i < ALL; i++) y[i] = (uint8_t)((skv_round_small(skv_clamp(v[i], lo, limit)) + zero) ^ flip);
}

SKV_INLINE void store(const skv_q8_tile *t, const int rows, const int32_t *acc) {
    if (!t->out->sums && !t->out->real) {
        uint8_t y[ALL];
        to_bytes(t, rows, acc, y);
        for (int r = 0; r < rows; r++) {
            uint8_t *to = (uint8_t *)t->y + t->y_at[r];
            if (t->columns >= NR)
                memcpy(to, y + r * NR, NR);
            else
                for (size_t c = 0; c < t->columns; c++) to[c] = y[(size_t)r * NR + c];
        }
        return;
    }
    for (int r = 0; r < rows; r++) {
        char *to = (char *)t->y + t->y_at[r];
        for (size_t c = 0; c < t->columns && c < NR; c++) {
            if (t->out->sums)
                ((int32_t *)(void *)to)[c] = acc[(size_t)r * NR + c];
            else
                ((float *)(void *)to)[c] = (float)acc[(size_t)r * NR + c] * t->multiplier[c];
        }
    }
}

#endif
