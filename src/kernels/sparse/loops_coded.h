/* The loops over coded weights, a part of loops.h. The includer of that says besides what 32-bit words are: words,
 * words_load; what a table held in registers is: looked, look_at(table, lookup), look_up(looked, lookup, words,
 * shift), which takes the lowest bits of the shifted words that the lookup needs; and vec_four(p), four floats over
 * and over. */

enum {
    PARTS = SKV_CODED_WORDS / LANES, /* vectors of a block's words */
    CODED_CHAINS = PARTS < 4 ? 4 / PARTS : 1
};

/* The four rows of a unit as values, columns one behind the other. */
SKV_INLINE void decode(const skv_sparse_coded *c, skv_sparse_lookup lookup, int64_t unit, float *to) {
    const int symbols = lookup == SKV_LOOKUP_16 ? 8 : 4, bits = 32 / symbols;
    const looked table = look_at(c->table, lookup);
    const uint32_t *from = c->words + unit * c->blocks * SKV_CODED_WORDS;
    for (int64_t b = 0, k = 0; b < c->blocks; k++) {
        const vec scale = vec_four(c->scale + (unit * c->segments + k) * SKV_SPARSE_BLOCK);
        const int64_t end = c->blocks - b < c->segment ? c->blocks : b + c->segment;
        for (; b < end; b++, from += SKV_CODED_WORDS) {
            SKV_UNROLL
            for (int j = 0; j < symbols; j++) {
                SKV_UNROLL
                for (int p = 0; p < PARTS; p++, to += LANES)
                    vec_store(to, scale * look_up(&table, lookup, words_load(from + p * LANES), bits * j));
            }
        }
    }
}

static void decode_unit(const skv_sparse_coded *c, int64_t unit, float *to) {
    switch (c->lookup) {
    case SKV_LOOKUP_16: decode(c, SKV_LOOKUP_16, unit, to); return;
    case SKV_LOOKUP_32: decode(c, SKV_LOOKUP_32, unit, to); return;
    case SKV_LOOKUP_LINEAR: decode(c, SKV_LOOKUP_LINEAR, unit, to); return;
    default: decode(c, SKV_LOOKUP_256, unit, to); return;
    }
}

static void coded_tile(const skv_sparse_tile *t) {
    const uint32_t start[2] = {0, (uint32_t)t->coded->columns};
    skv_sparse_tile one = *t;
    one.start = start;
    one.value = t->decoded;
    for (int64_t row = 0; row < t->rows; row += SKV_SPARSE_BLOCK) {
        decode_unit(t->coded, t->unit + row / SKV_SPARSE_BLOCK, t->decoded);
        one.rows = t->rows - row < SKV_SPARSE_BLOCK ? t->rows - row : SKV_SPARSE_BLOCK;
        one.bias = t->bias ? t->bias + row : NULL;
        one.z = t->z ? t->z + row * t->y_row : NULL;
        one.y = t->y + row * t->y_row;
        block4_tile(&one);
    }
}

/* A block of 16 rows times its columns' x; sums go in turn to chains that do not wait for each other. */
SKV_INLINE void add_block(const looked *table, skv_sparse_lookup lookup, const uint32_t *from, const float *x,
                          vec *sum) {
    const int symbols = lookup == SKV_LOOKUP_16 ? 8 : 4, bits = 32 / symbols;
    SKV_UNROLL
    for (int p = 0; p < PARTS; p++) {
        const words w = words_load(from + p * LANES);
        SKV_UNROLL
        for (int j = 0; j < symbols; j++) {
            vec *at = sum + j % CODED_CHAINS * PARTS + p;
            *at = vec_fma(look_up(table, lookup, w, bits * j), vec_all(x[j]), *at);
        }
    }
}

/* out [16]: the sums of a unit's rows. */
SKV_INLINE void sum_unit(const skv_sparse_coded *c, skv_sparse_lookup lookup, int64_t unit, const float *x,
                         float *out) {
    const int64_t symbols = lookup == SKV_LOOKUP_16 ? 8 : 4, whole = c->columns / symbols;
    const looked table = look_at(c->table, lookup);
    const uint32_t *from = c->words + unit * c->blocks * SKV_CODED_WORDS;
    float last[8] = {0}; /* the columns of a block that is not whole: none lies behind the last */
    memcpy(last, x + whole * symbols, (size_t)(c->columns - whole * symbols) * sizeof *x);
    vec all[PARTS];
    SKV_UNROLL
    for (int p = 0; p < PARTS; p++) all[p] = vec_all(0.0f);
    for (int64_t b = 0, k = 0; b < c->blocks; k++) {
        const float *scale = c->scale + (unit * c->segments + k) * SKV_CODED_ROWS;
        const int64_t end = c->blocks - b < c->segment ? c->blocks : b + c->segment;
        vec sum[CODED_CHAINS * PARTS];
        SKV_UNROLL
        for (int i = 0; i < CODED_CHAINS * PARTS; i++) sum[i] = vec_all(0.0f);
        for (; b < end && b < whole; b++, from += SKV_CODED_WORDS, x += symbols)
            add_block(&table, lookup, from, x, sum);
        if (b < end) {
            add_block(&table, lookup, from, last, sum);
            b++;
        }
        SKV_UNROLL
        for (int p = 0; p < PARTS; p++) {
            SKV_UNROLL
            for (int i = 1; i < CODED_CHAINS; i++) sum[p] = vec_add(sum[p], sum[i * PARTS + p]);
            all[p] = vec_fma(sum[p], vec_load(scale + p * LANES), all[p]);
        }
    }
    SKV_UNROLL
    for (int p = 0; p < PARTS; p++) vec_store(out + p * LANES, all[p]);
}

static void coded_vector(const skv_sparse_tile *t) {
    for (int64_t row = 0; row < t->rows; row += SKV_CODED_ROWS) {
        const int64_t unit = t->unit + row / SKV_CODED_ROWS;
        float sum[SKV_CODED_ROWS];
        switch (t->coded->lookup) {
        case SKV_LOOKUP_16: sum_unit(t->coded, SKV_LOOKUP_16, unit, t->x, sum); break;
        case SKV_LOOKUP_32: sum_unit(t->coded, SKV_LOOKUP_32, unit, t->x, sum); break;
        case SKV_LOOKUP_LINEAR: sum_unit(t->coded, SKV_LOOKUP_LINEAR, unit, t->x, sum); break;
        default: sum_unit(t->coded, SKV_LOOKUP_256, unit, t->x, sum); break;
        }
        for (int r = 0; r < SKV_CODED_ROWS && row + r < t->rows; r++) put_one(t, row + r, sum[r]);
    }
}
