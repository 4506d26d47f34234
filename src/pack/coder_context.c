/* Adaptive binary range coding with mixed contexts, for weights most of which are zero.
 *
 * Each weight is coded as a zero flag, its sign, and its rank among the values of that sign, as in DeepCABAC (Wiedemann
 * et al. 2020). The zero flag is predicted from the numbers of zeros in its row and its column, and from its
 * neighbours: each of these contexts has its own probability, and a small logistic mixer, trained during coding,
 * combines them (Mahoney 2005). Sign and rank are coded with adaptive probabilities along a binary tree. Sequences
 * without a zero symbol use the tree only.
 *
 * The stream is a 16-bit density of non-zeros (only where there is a zero symbol), then the range coder's bytes; zeros
 * at the end are omitted, and a decoder reads zeros past the end. Both directions run the same code. */
#include "pack/coder.h"

#include <stdlib.h>
#include <string.h>

enum {
    ONE = 1 << 16,      /* of a probability */
    INPUTS = 6,         /* of the mixer */
    SETS = 7,           /* weight sets of the mixer: by the number of nonzero neighbours */
    STRETCH_MAX = 2047, /* a logit of 8 */
    COUNT_LIMIT = 255,  /* limit of the count, so that a probability keeps adapting */
    MIX_SHIFT = 17,
    LEVELS = 32,
};

/* The probability of a 1, which changes by 1 / (n + 1.5) of its error at its n-th use. */
typedef struct adaptive {
    uint16_t p, n;
} adaptive;

typedef struct model {
    int16_t stretch[1 << 12];
    uint32_t reciprocal[COUNT_LIMIT + 1];
    adaptive row, near[64], crossed[LEVELS * LEVELS], beside[LEVELS * 8];
    adaptive *column; /* [columns + 2], the first and last for positions outside */
    uint8_t *above;   /* [2][columns + 4] nonzero flags of the two previous rows, with a margin of 2 */
    int32_t weight[SETS][INPUTS];
    adaptive sign[9];
    adaptive tree[2][SKV_ALPHABET_MAX];
    /* the range coder */
    uint32_t low, high, value;
    skv_bytes *out;
    skv_reader *in;
} model;

/* 2^16 / (1 + e^-x), x in steps of 1/2 from -8; interpolated linearly. */
static const uint16_t logistic[] = {22,    36,    60,    98,    162,   267,   439,   720,   1179,  1921,  3108,
                                    4971,  7812,  11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565,
                                    62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514};

/* The probability at logit x / 256. */
static inline uint32_t squash(int32_t x) {
    if (x > STRETCH_MAX) x = STRETCH_MAX;
    if (x < -STRETCH_MAX) x = -STRETCH_MAX;
    const uint32_t at = (uint32_t)(x + 2048), i = at >> 7, part = at & 127u;
    return (logistic[i] * (128u - part) + logistic[i + 1] * part) >> 7;
}

static void fill_tables(model *m) {
    uint32_t next = 0;
    for (int x = -STRETCH_MAX; x <= STRETCH_MAX; x++) {
        for (const uint32_t p = squash(x) >> 4; next <= p; next++) m->stretch[next] = (int16_t)x;
    }
    for (; next < 1 << 12; next++) m->stretch[next] = STRETCH_MAX;
    for (uint32_t n = 0; n <= COUNT_LIMIT; n++) m->reciprocal[n] = 2 * ONE / (2 * n + 3);
}

static void fill(adaptive *a, size_t n, uint32_t p, uint16_t count) {
    for (size_t i = 0; i < n; i++) a[i] = (adaptive){(uint16_t)p, count};
}

static inline void learn(const model *m, adaptive *a, unsigned bit) {
    const int32_t target = bit ? ONE - 1 : 0, error = target - a->p;
    a->p = (uint16_t)(a->p + (int32_t)((int64_t)error * m->reciprocal[a->n] / ONE));
    a->n = (uint16_t)(a->n + (a->n < COUNT_LIMIT));
}

/* ---- the range coder ---- p: probability of a 1, below ONE */

static inline unsigned code(model *m, bool decoding, uint32_t p, unsigned bit) {
    if (p < 16) p = 16;
    if (p > ONE - 16) p = ONE - 16;
    const uint32_t middle = m->low + (uint32_t)((uint64_t)(m->high - m->low) * p >> 16);
    if (decoding) bit = m->value <= middle;
    if (bit)
        m->high = middle;
    else
        m->low = middle + 1;
    while (((m->low ^ m->high) & 0xff000000u) == 0) {
        if (decoding)
            m->value = m->value << 8 | (m->in->at < m->in->end ? *m->in->at++ : 0u);
        else
            skv_bytes_u8(m->out, m->high >> 24);
        m->low <<= 8;
        m->high = m->high << 8 | 255u;
    }
    return bit;
}

/* The fewest bytes that identify a number in the range when followed by zeros. */
static void finish(model *m) {
    for (unsigned bytes = 0; bytes <= 4; bytes++) {
        const uint64_t step = UINT64_C(1) << (32 - 8 * bytes), value = (m->low + step - 1) / step * step;
        if (value > m->high) continue;
        for (unsigned i = 0; i < bytes; i++) skv_bytes_u8(m->out, (unsigned)(value >> (24 - 8 * i)) & 255u);
        break;
    }
}

static inline unsigned code_adaptive(model *m, bool decoding, adaptive *a, unsigned bit) {
    bit = code(m, decoding, a->p, bit);
    learn(m, a, bit);
    return bit;
}

/* A number below `limit`, from its highest bit. */
static inline unsigned code_number(model *m, bool decoding, adaptive *tree, unsigned limit, unsigned number) {
    unsigned node = 1;
    for (unsigned bits = skv_symbol_bits(limit); bits-- > 0;) {
        /* No bit is coded where a 1 would exceed the limit. */
        const unsigned least = (node << (bits + 1) | 1u << bits) - (1u << skv_symbol_bits(limit));
        unsigned bit = 0;
        if (least < limit) bit = code_adaptive(m, decoding, &tree[node], number >> bits & 1u);
        node = node << 1 | bit;
    }
    return node - (1u << skv_symbol_bits(limit));
}

/* ---- zero or not ---- */

static inline int32_t stretched(const model *m, const adaptive *a) { return m->stretch[a->p >> 4]; }
static inline unsigned level(int32_t stretch) { return (unsigned)(stretch + 2048) >> 7; }

static inline unsigned code_nonzero(model *m, bool decoding, size_t c, const uint8_t *here, const uint8_t *above,
                                    const uint8_t *above2, unsigned bit) {
    const unsigned flags[] = {here[c + 1], here[c], above[c + 2], above[c + 1], above[c + 3], above2[c + 2]};
    unsigned near = 0, count = 0;
    for (unsigned i = 0; i < 6; i++) {
        near |= flags[i] << i;
        count += flags[i];
    }
    const int32_t column = stretched(m, &m->column[c + 1]), row = stretched(m, &m->row);
    const unsigned sides = (level(stretched(m, &m->column[c])) + level(stretched(m, &m->column[c + 2]))) / 2;
    adaptive *const used[] = {&m->column[c + 1], &m->row, &m->near[near],
                              &m->crossed[level(column) * LEVELS + level(row)], &m->beside[sides * 8 + (near & 7u)]};
    const int32_t input[INPUTS] = {column, row, stretched(m, used[2]), stretched(m, used[3]), stretched(m, used[4]),
                                   256};
    int32_t *weight = m->weight[count];
    int64_t sum = 0;
    for (int i = 0; i < INPUTS; i++) sum += (int64_t)weight[i] * input[i];
    const uint32_t p = squash((int32_t)(sum / ONE));
    bit = code(m, decoding, p, bit);
    const int32_t error = (bit ? ONE - 1 : 0) - (int32_t)p;
    for (int i = 0; i < INPUTS; i++) weight[i] += (int32_t)((int64_t)input[i] * error / (1 << MIX_SHIFT));
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) learn(m, used[i], bit);
    return bit;
}

/* ---- whole rows ---- */

/* A nonzero symbol; the signs to the left and above are the context of its sign. */
static inline unsigned code_value(model *m, bool decoding, const skv_symbol_shape *s, unsigned context,
                                  unsigned symbol) {
    const unsigned zero = (unsigned)s->zero, below = zero, beyond = s->alphabet - 1 - zero;
    unsigned positive = below == 0;
    if (below && beyond) positive = code_adaptive(m, decoding, &m->sign[context], symbol > zero);
    const unsigned rank = positive ? symbol - zero - 1 : zero - symbol - 1;
    const unsigned told = code_number(m, decoding, m->tree[positive], positive ? beyond : below, rank);
    return positive ? zero + 1 + told : zero - 1 - told;
}

static inline unsigned sign_of(const skv_symbol_shape *s, unsigned symbol) {
    return symbol == (unsigned)s->zero ? 0 : symbol > (unsigned)s->zero ? 1 : 2;
}

__attribute__((always_inline)) static inline void run(model *m, bool decoding, const skv_symbol_shape *s,
                                                      const uint8_t *given, uint8_t *symbols) {
    const size_t margin = s->columns + 4;
    uint8_t *here = m->above, *above = here + margin, *above2 = above + margin;
    if (s->alphabet < 2) {
        memset(symbols, 0, s->n);
        return;
    }
    for (size_t first = 0; first < s->n; first += s->columns) {
        const size_t n = s->n - first < s->columns ? s->n - first : s->columns;
        m->row = (adaptive){m->row.p, 32};
        for (size_t c = 0; c < n; c++) {
            const size_t i = first + c;
            const unsigned symbol = decoding ? 0 : given[i];
            if (s->zero < 0) {
                symbols[i] = (uint8_t)code_number(m, decoding, m->tree[0], s->alphabet, symbol);
                continue;
            }
            const unsigned nonzero = code_nonzero(m, decoding, c, here, above, above2, symbol != (unsigned)s->zero);
            here[c + 2] = (uint8_t)nonzero;
            symbols[i] = (uint8_t)s->zero;
            if (!nonzero) continue;
            const unsigned left = c ? sign_of(s, symbols[i - 1]) : 0;
            const unsigned up = first ? sign_of(s, symbols[i - s->columns]) : 0;
            symbols[i] = (uint8_t)code_value(m, decoding, s, left * 3 + up, symbol);
        }
        uint8_t *const oldest = above2;
        above2 = above;
        above = here;
        here = oldest;
        memset(here, 0, margin);
    }
}

static skive_status open_model(skive_context *ctx, const skv_symbol_shape *s, uint32_t density, model **out) {
    model *m = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *m, &m));
    skive_status status = skv_alloc_array(ctx, s->columns + 2, sizeof *m->column, &m->column);
    if (status == SKIVE_OK) status = skv_alloc_array(ctx, s->columns + 4, 3, &m->above);
    if (status != SKIVE_OK) {
        skv_free(ctx, m->column);
        skv_free(ctx, m);
        return status;
    }
    fill_tables(m);
    fill(m->column, s->columns + 2, density, 32);
    fill(&m->row, 1, density, 8);
    fill(m->near, 64, density, 8);
    fill(m->crossed, LEVELS * LEVELS, density, 8);
    fill(m->beside, LEVELS * 8, density, 8);
    fill(m->sign, 9, ONE / 2, 2);
    fill(m->tree[0], SKV_ALPHABET_MAX, ONE / 2, 0);
    fill(m->tree[1], SKV_ALPHABET_MAX, ONE / 2, 0);
    for (int k = 0; k < SETS; k++) {
        for (int i = 0; i < INPUTS - 1; i++) m->weight[k][i] = ONE / (INPUTS - 1);
    }
    m->high = UINT32_MAX;
    *out = m;
    return SKIVE_OK;
}

static void close_model(skive_context *ctx, model *m) {
    skv_free(ctx, m->column);
    skv_free(ctx, m->above);
    skv_free(ctx, m);
}

static skive_status encode(skive_context *ctx, const skv_symbol_shape *s, const uint8_t *symbols, skv_bytes *out) {
    uint32_t density = 0;
    uint8_t *same = NULL;
    model *m = NULL;
    if (s->zero >= 0) {
        uint64_t nonzero = 0;
        for (size_t i = 0; i < s->n; i++) nonzero += symbols[i] != (unsigned)s->zero;
        density = s->n ? (uint32_t)((double)nonzero / (double)s->n * (ONE - 1)) : 0;
        if (density < 16) density = 16;
        skv_bytes_u8(out, density & 255u);
        skv_bytes_u8(out, density >> 8);
    }
    SKV_TRY(skv_alloc(ctx, s->n, &same));
    skive_status status = open_model(ctx, s, density, &m);
    if (status == SKIVE_OK) {
        const size_t before = out->n;
        m->out = out;
        run(m, false, s, symbols, same);
        finish(m);
        while (out->status == SKIVE_OK && out->n > before && out->data[out->n - 1] == 0) out->n--;
        close_model(ctx, m);
        status = out->status;
    }
    skv_free(ctx, same);
    return status;
}

static skive_status decode(skive_context *ctx, const skv_symbol_shape *s, skv_reader *in, uint8_t *symbols) {
    uint32_t density = 0;
    model *m = NULL;
    if (s->zero >= 0) {
        density = skv_read_u8(in);
        density |= skv_read_u8(in) << 8;
    }
    SKV_TRY(open_model(ctx, s, density, &m));
    m->in = in;
    for (int i = 0; i < 4; i++) m->value = m->value << 8 | (in->at < in->end ? *in->at++ : 0u);
    run(m, true, s, NULL, symbols);
    close_model(ctx, m);
    return SKIVE_OK;
}

const skv_coder skv_coder_context = {
    .name = "context",
    .brief = "adaptive range coder: zero flag, sign and rank, each with mixed contexts",
    .code = 3,
    .encode = encode,
    .decode = decode,
};
