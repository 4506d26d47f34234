/* Learning a table's recipe: which columns are numbers and which categories, from all training rows; means and
 * categories, from those of them that are not held out for validation. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "data/tables/table.h"

enum { MOST_ONE_HOT = 1000, MOST_CODES = 1 << 20 };

/* ---- columns ---- */

/* What was seen in a column. */
typedef struct facts {
    size_t numbers, texts, gaps, marks;
    skv_row_position number, text; /* the first of each */
    char first[64];                /* the first text */
    bool comma;                    /* it is a number with a decimal comma */
} facts;

typedef struct look {
    const skv_sheet_view *view;
    skv_sheet *table;
    facts *facts; /* [table->n], or NULL */
    skv_label_facts *label;
    size_t rows;
} look;

static bool matches_any(const char *list, const char *name) {
    char pattern[SKV_OPTION_TEXT_ROOM];
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        (void)snprintf(pattern, sizeof pattern, "%.*s", (int)strcspn(at, ","), at);
        if (skv_name_matches(pattern, name)) return true;
    }
    return false;
}

/* Every pattern of a list must match a column. */
static skive_status check_patterns(const skv_sheet_file *f, const char *option, const char *list) {
    char pattern[SKV_OPTION_TEXT_ROOM], what[40];
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        bool found = false;
        (void)snprintf(pattern, sizeof pattern, "%.*s", (int)strcspn(at, ","), at);
        for (size_t i = 0; !found && i < f->n; i++) found = f->names[i] && skv_name_matches(pattern, f->names[i]);
        (void)snprintf(what, sizeof what, "of %s=", option);
        if (!found) return skv_sheet_file_lacks(f, pattern, what);
    }
    return SKIVE_OK;
}

static skive_status choose_columns(const skv_sheet_view *v, const skv_option_values *values, skv_sheet *t) {
    const skv_sheet_file *f = v->file;
    const char *wanted = skv_option_text(values, "columns"), *without = skv_option_text(values, "without"),
               *categorical = skv_option_text(values, "categorical");
    const char *lists[] = {"columns", "without", "categorical"};
    const bool codes = strcmp(skv_option_text(values, "encode"), "integer") == 0;
    size_t unnamed = 0;
    for (size_t i = 0; i < SKV_LENGTH(lists); i++)
        SKV_TRY(check_patterns(f, lists[i], skv_option_text(values, lists[i])));
    SKV_TRY(skv_alloc_array(t->ctx, f->n, sizeof *t->columns, &t->columns));
    for (size_t i = 0; i < f->n; i++) {
        unnamed += !f->names[i];
        if (!f->names[i] || i == v->split_from) continue;
        if (t->label.column && strcmp(t->label.column, f->names[i]) == 0) continue;
        if ((wanted && !matches_any(wanted, f->names[i])) || (without && matches_any(without, f->names[i]))) continue;
        skv_column *c = &t->columns[t->n++];
        skv_words_init(&c->categories, t->ctx);
        SKV_TRY(skv_strdup(t->ctx, f->names[i], &c->name));
        c->from = i;
        if (categorical && matches_any(categorical, c->name)) c->type = codes ? SKV_COLUMN_CODE : SKV_COLUMN_ONE_HOT;
    }
    if (unnamed)
        skv_note(t->ctx, "%s: %zu column%s without a name in the header %s not used", skv_rows_path(f->rows), unnamed,
                 unnamed == 1 ? "" : "s", unnamed == 1 ? "is" : "are");
    if (t->n) return SKIVE_OK;
    return skv_fail_at(t->ctx, SKIVE_ERR_DATA, skv_rows_path(f->rows),
                       "%s: no column is left for the samples besides the label%s", skv_rows_path(f->rows),
                       v->split_from != SIZE_MAX ? " and the part" : "");
}

static skive_status see_cell(facts *f, const skv_cell *c, const skv_row_position *position) {
    double value;
    if (skv_cell_number(c->text, c->length, &value)) {
        if (f->numbers++ == 0) f->number = *position;
    } else if (skv_cell_is_gap(c, false)) {
        f->gaps++;
    } else if (skv_cell_is_gap(c, true)) {
        f->marks++;
    } else if (f->texts++ == 0) {
        f->text = *position;
        (void)snprintf(f->first, sizeof f->first, "%.*s", skv_utf8_prefix(c->text, sizeof f->first - 1), c->text);
        f->comma = skv_cell_has_decimal_comma(c->text, c->length);
    }
    return SKIVE_OK;
}

static skive_status see_row(void *user, const skv_row *row, const skv_row_position *position) {
    look *l = user;
    l->rows++;
    for (size_t i = 0; l->facts && i < l->table->n; i++)
        SKV_TRY(see_cell(&l->facts[i], &row->cells[l->table->columns[i].from], position));
    if (!l->label) return SKIVE_OK;
    const skv_cell *c = &row->cells[l->view->label_from];
    return skv_cell_is_gap(c, true) ? SKIVE_OK : skv_label_look(l->label, c->text, c->length, position->row);
}

static skive_status decide_column(const skv_sheet_view *v, const facts *f, bool codes, skv_column *c) {
    const skv_sheet_file *file = v->file;
    const char *path = skv_rows_path(file->rows);
    char where[600];
    if (f->numbers + f->texts + (c->type != SKV_COLUMN_NUMBER ? f->marks : 0) == 0)
        return skv_fail_at(file->ctx, SKIVE_ERR_DATA, path,
                           "%s: column '%s' has no value in the training rows; leave it out (without=%s)", path,
                           c->name, c->name);
    if (c->type != SKV_COLUMN_NUMBER || !f->texts) return SKIVE_OK;
    skv_row_position_text(file, &f->text, where, sizeof where);
    if (f->comma)
        return skv_fail_at(file->ctx, SKIVE_ERR_DATA, path,
                           "%s, column '%s': '%s' has a comma; numbers are written with a decimal point and without "
                           "other marks (or categorical=%s)",
                           where, c->name, f->first, c->name);
    if (f->numbers)
        return skv_fail_at(file->ctx, SKIVE_ERR_DATA, path,
                           "%s, column '%s': '%s' is not a number, but %zu other cells (the first in row %" PRIu32
                           ") are; categorical=%s makes all of them categories",
                           where, c->name, f->first, f->numbers, f->number.row, c->name);
    c->type = codes ? SKV_COLUMN_CODE : SKV_COLUMN_ONE_HOT;
    return SKIVE_OK;
}

skive_status skv_sheet_look(const skv_sheet_view *v, const skv_option_values *values, const skive_dataset_options *o,
                            bool columns, bool label, skv_sheet *t) {
    const bool codes = columns && strcmp(skv_option_text(values, "encode"), "integer") == 0;
    skv_label_facts seen;
    look l = {.view = v, .table = t};
    skive_status status = SKIVE_OK;
    skv_label_facts_init(&seen, t->ctx);
    if (label) l.label = &seen;
    if (columns) SKV_GO(status, done, choose_columns(v, values, t));
    if (columns) SKV_GO(status, done, skv_alloc_array(t->ctx, t->n, sizeof *l.facts, &l.facts));
    SKV_GO(status, done, skv_sheet_each(v, see_row, &l));
    if (l.rows == 0) SKV_GO(status, done, skv_sheet_empty(v, false));
    for (size_t i = 0; columns && i < t->n; i++)
        SKV_GO(status, done, decide_column(v, &l.facts[i], codes, &t->columns[i]));
    if (label && seen.rows == 0) {
        status = skv_fail_at(t->ctx, SKIVE_ERR_DATA, skv_rows_path(v->file->rows),
                             "%s: no training row has a label in column '%s'", skv_rows_path(v->file->rows),
                             t->label.column);
        goto done;
    }
    if (label) SKV_GO(status, done, skv_label_decide(t->ctx, skv_rows_path(v->file->rows), o, &seen, &t->label));
done:
    skv_label_facts_free(&seen);
    skv_free(t->ctx, l.facts);
    return status;
}

/* ---- means and categories ---- */

static skive_status too_many(const skv_sheet_view *v, const skv_column *c, size_t most) {
    const char *path = skv_rows_path(v->file->rows);
    return skv_fail_at(v->file->ctx, SKIVE_ERR_LIMIT, path,
                       "%s: column '%s' has more than %zu different texts; leave it out (without=%s)%s", path, c->name,
                       most, c->name, c->type == SKV_COLUMN_ONE_HOT ? " or number them (encode=integer)" : "");
}

static skive_status learn_row(const skv_sheet_view *v, const skv_row *row, size_t *numbers, skv_sheet *t) {
    for (size_t i = 0; i < t->n; i++) {
        skv_column *c = &t->columns[i];
        const skv_cell *cell = &row->cells[c->from];
        const char *text = cell->text;
        size_t length = cell->length;
        double value = 0;
        skv_cell_trim(&text, &length);
        if (c->type == SKV_COLUMN_NUMBER) {
            if (!skv_cell_number(text, length, &value)) continue;
            c->mean += (value - c->mean) / (double)++numbers[i];
        } else if (length) {
            const size_t most = c->type == SKV_COLUMN_ONE_HOT ? MOST_ONE_HOT : MOST_CODES;
            SKV_TRY(skv_words_add(&c->categories, text, length, 1, NULL));
            if (c->categories.n > most) return too_many(v, c, most);
        }
    }
    return SKIVE_OK;
}

static void tell(const skv_sheet_view *v, size_t rows, const skv_sheet *t) {
    skv_text text;
    size_t numbers = 0, shown = 0;
    for (size_t i = 0; i < t->n; i++) numbers += t->columns[i].type == SKV_COLUMN_NUMBER;
    skv_text_init(&text, t->ctx);
    for (size_t i = 0; i < t->n; i++) {
        const skv_column *c = &t->columns[i];
        if (c->type == SKV_COLUMN_NUMBER || shown++ >= 8) continue;
        skv_text_add(&text, "%s%.*s (%zu%s)", shown > 1 ? ", " : "", skv_utf8_prefix(c->name, 40), c->name,
                     c->categories.n, c->type == SKV_COLUMN_CODE ? ", numbered from 1" : "");
    }
    if (shown > 8) skv_text_add(&text, " and %zu more", shown - 8);
    if (text.status == SKIVE_OK)
        skv_note(t->ctx, "%s: %zu value%s per sample from %zu column%s of numbers%s%s; learnt from %zu training rows",
                 skv_rows_path(v->file->rows), t->size, t->size == 1 ? "" : "s", numbers, numbers == 1 ? "" : "s",
                 shown ? " and the categories of " : "", text.data ? text.data : "", rows);
    for (size_t i = 0; i < t->n; i++) {
        const skv_column *c = &t->columns[i];
        if (c->type != SKV_COLUMN_NUMBER && c->categories.n == rows && rows > 10)
            skv_note(t->ctx, "%s: column '%s' has another text in every row; is it a name rather than a category?",
                     skv_rows_path(v->file->rows), c->name);
    }
    skv_text_free(&text);
}

skive_status skv_sheet_learn(const skv_sheet_view *v, const skv_row_positions *positions, const uint8_t *held,
                             skv_sheet *t) {
    size_t *numbers = NULL, rows = 0;
    skv_row_buffer *buffer = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(t->ctx, t->n, sizeof *numbers, &numbers));
    SKV_GO(status, done, skv_row_buffer_create(t->ctx, &buffer));
    for (size_t i = 0; i < positions->n; i++) {
        const skv_row_position *p = &positions->list[i];
        skv_row row;
        if (held && held[i]) continue;
        SKV_GO(status, done, skv_rows_at(t->ctx, v->file->rows, p->at, p->length, true, buffer, &row));
        SKV_GO(status, done, learn_row(v, &row, numbers, t));
        rows++;
    }
    for (size_t i = 0; i < t->n; i++) {
        skv_column *c = &t->columns[i];
        if (c->type == SKV_COLUMN_NUMBER ? numbers[i] > 0 : c->categories.n > 0) {
            if (c->type != SKV_COLUMN_NUMBER) SKV_GO(status, done, skv_words_sort(&c->categories));
            continue;
        }
        status = skv_fail_at(t->ctx, SKIVE_ERR_DATA, skv_rows_path(v->file->rows),
                             "%s: column '%s' has no value in the %zu training rows; leave it out (without=%s)",
                             skv_rows_path(v->file->rows), c->name, rows, c->name);
        goto done;
    }
    SKV_GO(status, done, skv_sheet_number_values(t, skv_rows_path(v->file->rows)));
    tell(v, rows, t);
done:
    skv_row_buffer_free(buffer);
    skv_free(t->ctx, numbers);
    return status;
}
