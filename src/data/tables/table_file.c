/* A table's file: its header, and passes over the rows of one part. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/tables/table.h"

enum { LISTED = 20 };

/* ---- the header ---- */

void skv_sheet_file_close(skv_sheet_file *f) {
    if (!f->ctx) return;
    for (size_t i = 0; f->names && i < f->n; i++) skv_free(f->ctx, f->names[i]);
    skv_free(f->ctx, f->names);
    skv_rows_free(f->rows);
    *f = (skv_sheet_file){.ctx = f->ctx};
}

size_t skv_sheet_file_find(const skv_sheet_file *f, const char *name) {
    size_t i = 0;
    while (i < f->n && !(f->names[i] && strcmp(f->names[i], name) == 0)) i++;
    return i < f->n ? i : SIZE_MAX;
}

skive_status skv_sheet_file_lacks(const skv_sheet_file *f, const char *name, const char *what) {
    const char *path = skv_rows_path(f->rows);
    const char *names[LISTED];
    size_t n = 0;
    skv_text t;
    skv_text_init(&t, f->ctx);
    for (size_t i = 0; i < f->n; i++) {
        if (!f->names[i]) continue;
        if (n < LISTED) {
            skv_text_add(&t, "%s%.*s", n ? ", " : "", skv_utf8_prefix(f->names[i], 60), f->names[i]);
            names[n++] = f->names[i];
        }
    }
    if (f->n > n) skv_text_add(&t, " and %zu more", f->n - n);
    const char *near = skive_nearest_name(name, names, n);
    const skive_status status =
        t.status == SKIVE_OK
            ? skv_fail_at(f->ctx, SKIVE_ERR_DATA, path, "%s: has no column '%.*s' (%s)%s%s%s; its columns are %s", path,
                          skv_utf8_prefix(name, 100), name, what, near ? "; did you mean '" : "", near ? near : "",
                          near ? "'" : "", t.data ? t.data : "none")
            : t.status;
    skv_text_free(&t);
    return status;
}

static skive_status check_header(const skv_sheet_file *f, char separator) {
    const char *path = skv_rows_path(f->rows);
    double value;
    size_t numbers = 0;
    for (size_t i = 0; i < f->n; i++) {
        const char *name = f->names[i];
        numbers += name && skv_cell_number(name, strlen(name), &value);
        for (size_t k = 0; k < i && name; k++) {
            if (f->names[k] && strcmp(f->names[k], name) == 0)
                return skv_fail_at(f->ctx, SKIVE_ERR_DATA, path,
                                   "%s: row 1 (the header): the columns %zu and %zu are both called '%.*s'", path,
                                   k + 1, i + 1, skv_utf8_prefix(name, 100), name);
        }
    }
    if (f->n == 1)
        return skv_fail_at(f->ctx, SKIVE_ERR_DATA, path,
                           "%s: has one column only, '%.*s'; is %s the separator? (separator=comma, semicolon, tab or "
                           "bar)",
                           path, f->names[0] ? skv_utf8_prefix(f->names[0], 100) : 0, f->names[0] ? f->names[0] : "",
                           separator == ','    ? ","
                           : separator == ';'  ? ";"
                           : separator == '\t' ? "a tab"
                                               : "|");
    if (numbers == f->n)
        return skv_fail_at(f->ctx, SKIVE_ERR_DATA, path,
                           "%s: the first row has numbers only; a table needs a header with the names of its columns",
                           path);
    return SKIVE_OK;
}

static skive_status read_header(skive_context *ctx, skv_sheet_file *f) {
    skv_row row;
    bool end = false;
    do {
        SKV_TRY(skv_rows_next(f->rows, &row, &end));
    } while (!end && row.blank);
    if (end)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, skv_rows_path(f->rows), "%s: has empty lines only",
                           skv_rows_path(f->rows));
    SKV_TRY(skv_alloc_array(ctx, row.n, sizeof *f->names, &f->names));
    f->n = row.n;
    for (size_t i = 0; i < row.n; i++) {
        const char *text = row.cells[i].text;
        size_t length = row.cells[i].length;
        skv_cell_trim(&text, &length);
        if (length) SKV_TRY(skv_strdup_n(ctx, text, length, &f->names[i]));
    }
    return SKIVE_OK;
}

skive_status skv_sheet_file_open(skive_context *ctx, const char *path, char separator, skv_sheet_file *out) {
    char found = separator;
    *out = (skv_sheet_file){.ctx = ctx};
    SKV_TRY(skv_rows_open(ctx, path, separator, &out->rows));
    skive_status status = separator ? SKIVE_OK : skv_rows_guess_separator(out->rows, &found);
    skv_rows_set_separator(out->rows, found);
    if (status == SKIVE_OK) status = read_header(ctx, out);
    if (status == SKIVE_OK) status = check_header(out, found);
    if (status == SKIVE_OK && !separator && found != ',')
        skv_note(ctx, "%s: its cells are separated by %s", path,
                 found == ';'    ? "semicolons"
                 : found == '\t' ? "tabs"
                                 : "|");
    if (status != SKIVE_OK) skv_sheet_file_close(out);
    return status;
}

/* ---- rows ---- */

const char *skv_row_position_text(const skv_sheet_file *f, const skv_row_position *p, char *buffer, size_t size) {
    const char *path = skv_rows_path(f->rows);
    (void)snprintf(buffer, size, "%.*s: row %" PRIu32 " (line %" PRIu32 ")", skv_utf8_prefix(path, size / 2), path,
                   p->row, p->line);
    return buffer;
}

bool skv_cell_is_gap(const skv_cell *c, bool number) {
    static const char *const marks[] = {"?", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "null", "NULL"};
    const char *text = c->text;
    size_t length = c->length;
    skv_cell_trim(&text, &length);
    if (length == 0) return true;
    for (size_t i = 0; number && i < SKV_LENGTH(marks); i++) {
        if (strlen(marks[i]) == length && memcmp(marks[i], text, length) == 0) return true;
    }
    return false;
}

static skive_status part_of(const skv_sheet_view *v, const skv_row *row, const skv_row_position *position,
                            skv_row_part *out) {
    static const struct {
        const char *name;
        skv_row_part part;
    } names[] = {{"train", SKV_PART_TRAIN},      {"training", SKV_PART_TRAIN},        {"val", SKV_PART_VALIDATION},
                 {"valid", SKV_PART_VALIDATION}, {"validation", SKV_PART_VALIDATION}, {"dev", SKV_PART_VALIDATION},
                 {"test", SKV_PART_TEST},        {"testing", SKV_PART_TEST}};
    char where[600], word[16] = "";
    const char *text = row->cells[v->split_from].text;
    size_t length = row->cells[v->split_from].length;
    skv_cell_trim(&text, &length);
    if (length < sizeof word) memcpy(word, text, length);
    for (size_t i = 0; i < SKV_LENGTH(names); i++) {
        if (strcasecmp(names[i].name, word) != 0) continue;
        *out = names[i].part;
        return SKIVE_OK;
    }
    return skv_fail_at(v->file->ctx, SKIVE_ERR_DATA, skv_rows_path(v->file->rows),
                       "%s, column '%s': '%.*s' is not train, validation or test",
                       skv_row_position_text(v->file, position, where, sizeof where), v->file->names[v->split_from],
                       skv_utf8_prefix(text, length < 60 ? length : 60), text);
}

static skive_status ragged(const skv_sheet_file *f, const skv_row *row, const skv_row_position *position) {
    char where[600];
    const char *name = row->n < f->n ? f->names[row->n] : f->names[f->n - 1];
    return skv_fail_at(f->ctx, SKIVE_ERR_DATA, skv_rows_path(f->rows),
                       "%s: has %zu cell%s, but the header has %zu columns; the %s '%.*s'",
                       skv_row_position_text(f, position, where, sizeof where), row->n, row->n == 1 ? "" : "s", f->n,
                       row->n < f->n ? "first that is missing is column" : "last column is",
                       name ? skv_utf8_prefix(name, 60) : 0, name ? name : "");
}

skive_status skv_sheet_each(const skv_sheet_view *v, skv_row_fn fn, void *user) {
    skv_sheet_file *f = v->file;
    skv_row row;
    skv_row_position position = {0};
    bool end = false, header = true;
    skv_rows_rewind(f->rows);
    f->blank = 0;
    for (size_t at = 0;; at++) {
        skv_row_part part = v->part;
        if (at % 4096 == 4095) SKV_TRY(skv_check_interrupt(f->ctx));
        SKV_TRY(skv_rows_next(f->rows, &row, &end));
        if (end) return SKIVE_OK;
        if (row.blank) {
            f->blank += !header;
            continue;
        }
        if (header) {
            header = false;
            continue;
        }
        position.row++;
        position.at = row.at;
        position.length = row.length;
        position.line = row.line < UINT32_MAX ? (uint32_t)row.line : UINT32_MAX;
        if (row.n != f->n) return ragged(f, &row, &position);
        if (v->split_from != SIZE_MAX) SKV_TRY(part_of(v, &row, &position, &part));
        if (v->part == SKV_PART_ALL || part == v->part) SKV_TRY(fn(user, &row, &position));
    }
}

static skive_status count(void *user, const skv_row *row, const skv_row_position *position) {
    (void)row;
    (void)position;
    ++*(size_t *)user;
    return SKIVE_OK;
}

skive_status skv_sheet_has_part(const skv_sheet_view *v, skv_row_part part, bool *out) {
    skv_sheet_view one = *v;
    size_t n = 0;
    one.part = part;
    SKV_TRY(skv_sheet_each(&one, count, &n));
    *out = n > 0;
    return SKIVE_OK;
}
