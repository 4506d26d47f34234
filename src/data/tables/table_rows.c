/* The rows of a table: listing those of a part, with their gaps, and the values of one. */
#include <stdio.h>
#include <string.h>

#include "data/tables/table.h"

typedef struct indexing {
    const skv_sheet_view *view;
    const skv_sheet *table;
    skv_row_positions *positions;
    size_t *gaps, *dropped; /* gaps: per column, and the label behind them */
} indexing;

static skive_status gap(const indexing *x, const skv_row_position *position, size_t column, bool *drop) {
    const skv_sheet_view *v = x->view;
    const bool label = column == x->table->n;
    const char *name = label ? x->table->label.column : x->table->columns[column].name;
    char where[600];
    x->gaps[column]++;
    if (v->gaps == SKV_GAPS_DROP) {
        *drop = true;
        return SKIVE_OK;
    }
    if (v->gaps == SKV_GAPS_MEAN && !label) return SKIVE_OK;
    skv_row_position_text(v->file, position, where, sizeof where);
    return skv_fail_at(v->file->ctx, SKIVE_ERR_DATA, skv_rows_path(v->file->rows),
                       label ? "%s, column '%s': the label is missing; gaps=drop leaves out such rows"
                             : "%s, column '%s': the cell is empty or marked as missing; gaps=mean fills such gaps, "
                               "gaps=drop leaves out their rows, without=NAME leaves out a column",
                       where, name);
}

static skive_status not_a_number(const indexing *x, const skv_row_position *position, const skv_column *c,
                                 const skv_cell *cell) {
    const skv_sheet_file *f = x->view->file;
    char where[600];
    return skv_fail_at(f->ctx, SKIVE_ERR_DATA, skv_rows_path(f->rows), "%s, column '%s': '%.*s' is not a number%s",
                       skv_row_position_text(f, position, where, sizeof where), c->name,
                       skv_utf8_prefix(cell->text, cell->length < 60 ? cell->length : 60), cell->text,
                       skv_cell_has_decimal_comma(cell->text, cell->length)
                           ? "; numbers are written with a decimal point and without other marks"
                           : "");
}

static skive_status index_row(void *user, const skv_row *row, const skv_row_position *position) {
    indexing *x = user;
    const skv_sheet *t = x->table;
    skv_row_positions *p = x->positions;
    bool drop = false;
    double value;
    for (size_t i = 0; i < t->n; i++) {
        const skv_column *c = &t->columns[i];
        const skv_cell *cell = &row->cells[c->from];
        if (skv_cell_is_gap(cell, c->type == SKV_COLUMN_NUMBER))
            SKV_TRY(gap(x, position, i, &drop));
        else if (c->type == SKV_COLUMN_NUMBER && !skv_cell_number(cell->text, cell->length, &value))
            return not_a_number(x, position, c, cell);
    }
    if (x->view->label_from != SIZE_MAX && skv_cell_is_gap(&row->cells[x->view->label_from], true))
        SKV_TRY(gap(x, position, t->n, &drop));
    if (drop) {
        ++*x->dropped;
        return SKIVE_OK;
    }
    if (p->n == p->capacity) {
        const size_t more = p->capacity ? 2 * p->capacity : 256;
        SKV_TRY(skv_grow(x->view->file->ctx, &p->list, p->n, more, sizeof *p->list));
        p->capacity = more;
    }
    p->list[p->n++] = *position;
    return SKIVE_OK;
}

static void tell_gaps(const indexing *x) {
    const skv_sheet_view *v = x->view;
    const char *path = skv_rows_path(v->file->rows);
    skv_text t;
    size_t shown = 0;
    skv_text_init(&t, v->file->ctx);
    for (size_t i = 0; i <= x->table->n; i++) {
        if (!x->gaps[i] || shown++ >= 8) continue;
        const char *name = i == x->table->n ? x->table->label.column : x->table->columns[i].name;
        skv_text_add(&t, "%s%.*s (%zu)", shown > 1 ? ", " : "", skv_utf8_prefix(name, 40), name, x->gaps[i]);
    }
    if (shown > 8) skv_text_add(&t, " and %zu more", shown - 8);
    if (t.length && t.status == SKIVE_OK && v->gaps == SKV_GAPS_DROP)
        skv_note(v->file->ctx, "%s: %zu row%s with gaps %s left out; gaps in %s", path, *x->dropped,
                 *x->dropped == 1 ? "" : "s", *x->dropped == 1 ? "is" : "are", t.data);
    else if (t.length && t.status == SKIVE_OK)
        skv_note(v->file->ctx, "%s: gaps are filled with the mean of the training rows, or with no category: in %s",
                 path, t.data);
    skv_text_free(&t);
}

skive_status skv_sheet_empty(const skv_sheet_view *v, bool gaps) {
    const char *path = skv_rows_path(v->file->rows);
    return skv_fail_at(v->file->ctx, SKIVE_ERR_DATA, path, "%s: has no %srow below its header%s", path,
                       v->part == SKV_PART_TEST         ? "test "
                       : v->part == SKV_PART_VALIDATION ? "validation "
                       : v->part == SKV_PART_TRAIN      ? "training "
                                                        : "",
                       gaps ? " that has no gap" : "");
}

skive_status skv_sheet_index(const skv_sheet_view *v, const skv_sheet *t, skv_row_positions *out, size_t *dropped) {
    indexing x = {.view = v, .table = t, .positions = out, .dropped = dropped};
    skive_context *ctx = v->file->ctx;
    const char *path = skv_rows_path(v->file->rows);
    *dropped = 0;
    SKV_TRY(skv_alloc_array(ctx, t->n + 1, sizeof *x.gaps, &x.gaps));
    skive_status status = skv_sheet_each(v, index_row, &x);
    if (status == SKIVE_OK) tell_gaps(&x);
    if (status == SKIVE_OK && v->file->blank)
        skv_note(ctx, "%s: %zu empty line%s skipped", path, v->file->blank, v->file->blank == 1 ? " is" : "s are");
    if (status == SKIVE_OK && out->n == 0) status = skv_sheet_empty(v, *dropped > 0);
    skv_free(ctx, x.gaps);
    return status;
}

void skv_sheet_encode(const skv_sheet *t, const skv_row *row, float *x, skv_column_seen *seen) {
    for (size_t i = 0; i < t->n; i++) {
        const skv_column *c = &t->columns[i];
        const skv_cell *cell = &row->cells[c->from];
        const char *text = cell->text;
        size_t length = cell->length;
        float *to = x + c->at;
        double value = c->mean;
        if (c->type == SKV_COLUMN_NUMBER) {
            if (!skv_cell_number(text, length, &value))
                value = c->mean;
            else if (seen)
                skv_spread_add(&seen[i].spread, value);
            *to = (float)value;
            continue;
        }
        skv_cell_trim(&text, &length);
        const uint32_t found = length ? skv_words_find(&c->categories, text, length) : SKV_NO_WORD;
        if (found == SKV_NO_WORD && length && seen) seen[i].unknown++;
        if (c->type == SKV_COLUMN_CODE) {
            *to = found == SKV_NO_WORD ? 0.0f : (float)(found + 1);
            continue;
        }
        memset(to, 0, c->categories.n * sizeof *to);
        if (found != SKV_NO_WORD) to[found] = 1.0f;
    }
}
