/* Coded weights in the order in which the loops read them: symbols stay symbols, scales are laid beside the rows. */
#include <string.h>

#include "kernels/sparse/sparse.h"

skv_sparse_lookup skv_sparse_lookup_of(const skv_coded *coded) {
    enum { FEW = 16, SOME = 32 };
    if (coded->alphabet <= FEW) return SKV_LOOKUP_16;
    bool linear = true;
    for (unsigned s = 1; s < coded->alphabet; s++)
        linear &= coded->form->level(coded, 0) + (float)s == coded->form->level(coded, s);
    return linear ? SKV_LOOKUP_LINEAR : coded->alphabet <= SOME ? SKV_LOOKUP_32 : SKV_LOOKUP_256;
}

/* Columns side by side in a row that share a scale; 0: that is not the same all over. */
static int64_t scale_columns(const skv_sparse_matrix *m) {
    const skv_coded *c = m->coded;
    if (!c->form->scaled || c->n_table == 1) return m->columns;
    if (m->column_step != 1) return c->group == 0 && m->rows % c->n_table == 0 ? m->columns : 0;
    if (c->group == 0) return 0;
    return c->group % m->columns == 0 ? m->columns : m->columns % c->group == 0 ? c->group : 0;
}

static float scale_at(const skv_sparse_matrix *m, int64_t row, int64_t column) {
    const skv_coded *c = m->coded;
    const int64_t at = row * m->row_step + column * m->column_step;
    if (!c->form->scaled) return 1;
    return c->table[c->group > 0 ? at / c->group : at % c->n_table];
}

static int64_t block_columns(skv_sparse_lookup lookup, int64_t unit_rows) {
    return skv_lookup_symbols(lookup) * SKV_CODED_WORDS / unit_rows;
}

bool skv_sparse_codable(const skv_sparse_matrix *m, int64_t unit_rows, skv_why *why) {
    if (!m->coded) return false;
    if (!m->coded->form->level) return skv_decline(why, "the form %s stores values separately", m->coded->form->name);
    const int64_t shared = scale_columns(m);
    if (shared == m->columns) return true;
    return shared > 0 && shared % block_columns(skv_sparse_lookup_of(m->coded), unit_rows) == 0
               ? true
               : skv_decline(why, "its scales change within the blocks of an output's weights");
}

/* The symbols of one row into the words of its unit; `row` is counted in the unit. */
static void put_row(const skv_sparse_matrix *m, const skv_sparse_coded *c, int64_t at, int64_t row, uint32_t *words) {
    const int64_t symbols = skv_lookup_symbols(c->lookup), side = SKV_CODED_WORDS / c->rows, wide = side * symbols;
    const int bits = (int)(32 / symbols);
    for (int64_t k = 0; k < m->columns; k++) {
        const int64_t in = k % wide, word = k / wide * SKV_CODED_WORDS + in % side * c->rows + row;
        words[word] |= (uint32_t)m->coded->symbols[at + k * m->column_step] << (bits * (int)(in / side));
    }
}

static void put_unit(const skv_sparse_matrix *m, skv_sparse_coded *c, int64_t first, int64_t rows, int64_t unit,
                     float factor) {
    const int64_t wide = block_columns(c->lookup, c->rows);
    for (int64_t r = 0; r < rows; r++) {
        put_row(m, c, (first + r) * m->row_step, r, c->words + unit * c->blocks * SKV_CODED_WORDS);
        for (int64_t k = 0; k < c->segments; k++)
            c->scale[(unit * c->segments + k) * c->rows + r] = factor * scale_at(m, first + r, k * c->segment * wide);
    }
}

/* Sizes and the table, of a matrix that is codable. */
static skv_sparse_coded coded_of(const skv_sparse_matrix *m, int64_t unit_rows) {
    skv_sparse_coded c = {.lookup = skv_sparse_lookup_of(m->coded), .rows = unit_rows, .columns = m->columns};
    const int64_t wide = block_columns(c.lookup, unit_rows), shared = scale_columns(m);
    c.blocks = (m->columns + wide - 1) / wide;
    c.segment = shared > 0 && shared < m->columns ? shared / wide : c.blocks;
    c.segments = (c.blocks + c.segment - 1) / c.segment;
    for (unsigned s = 0; s < m->coded->alphabet; s++) c.table[s] = m->coded->form->level(m->coded, s);
    return c;
}

skive_status skv_sparse_pack_coded(skive_context *ctx, const skv_sparse_matrix *m, int64_t groups,
                                   const uint32_t *place, int64_t unit_rows, float factor, skv_sparse_weight *out) {
    const int64_t each = m->rows / groups;
    skv_sparse_weight w = {.layout = SKV_SPARSE_CODED, .units = (each + unit_rows - 1) / unit_rows};
    skive_status status;
    *out = (skv_sparse_weight){0};
    w.coded = coded_of(m, unit_rows);
    const size_t units = (size_t)(groups * w.units), words = units * (size_t)w.coded.blocks * SKV_CODED_WORDS,
                 scales = units * (size_t)(w.coded.segments * unit_rows), columns = (size_t)m->columns;
    SKV_GO(status, done, skv_alloc_array(ctx, words, sizeof(uint32_t), &w.coded.words));
    SKV_GO(status, done, skv_alloc_array(ctx, scales, sizeof(float), &w.coded.scale));
    SKV_GO(status, done, skv_alloc_array(ctx, columns, sizeof *place, &w.offset));
    memcpy(w.offset, place, columns * sizeof *place);
    for (int64_t u = 0; u < groups * w.units; u++) {
        const int64_t first = u % w.units * unit_rows, left = each - first;
        put_unit(m, &w.coded, u / w.units * each + first, left < unit_rows ? left : unit_rows, u, factor);
    }
    w.bytes = words * sizeof(uint32_t) + scales * sizeof(float) + columns * sizeof *place;
done:
    if (status != SKIVE_OK)
        skv_sparse_weight_free(ctx, &w);
    else
        *out = w;
    return status;
}
