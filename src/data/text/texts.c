/* The texts of a data set, wherever they are. */
#include "data/text/texts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void skv_text_reader_free(skv_text_reader *r) {
    skv_row_buffer_free(r->buffer);
    if (r->ctx) skv_free(r->ctx, r->bytes);
    *r = (skv_text_reader){.ctx = r->ctx};
}

void skv_texts_init(skv_texts *t, skive_context *ctx) { *t = (skv_texts){.ctx = ctx}; }

void skv_texts_free(skv_texts *t) {
    if (!t->ctx) return;
    for (size_t i = 0; i < t->n_rows; i++) skv_rows_free(t->rows[i]);
    skv_free(t->ctx, t->rows);
    skv_name_list_free(t->ctx, &t->files);
    skv_free(t->ctx, t->root);
    skv_free(t->ctx, t->list);
    skv_texts_init(t, t->ctx);
}

/* ---- making ---- */

static skive_status add(skv_texts *t, uint64_t at, uint32_t length, size_t file) {
    if (t->n == t->capacity) {
        const size_t more = t->capacity ? 2 * t->capacity : 256;
        SKV_TRY(skv_grow(t->ctx, &t->list, t->n, more, sizeof *t->list));
        t->capacity = more;
    }
    t->list[t->n++] = (skv_text_span){at, length, (uint32_t)file};
    return SKIVE_OK;
}

skive_status skv_texts_take_files(skv_texts *t, const char *root, skv_name_list *files) {
    SKV_TRY(skv_strdup(t->ctx, root, &t->root));
    t->files = *files;
    *files = (skv_name_list){0};
    t->n = t->files.count;
    return SKIVE_OK;
}

static bool is_empty(const skv_cell *c) {
    const char *text = c->text;
    size_t length = c->length;
    skv_cell_trim(&text, &length);
    return length == 0;
}

static skive_status add_lines(skv_texts *t, size_t file) {
    char *path = NULL;
    skv_rows *r = NULL;
    skv_row row;
    bool end = false;
    SKV_TRY(skv_asprintf(t->ctx, &path, "%s/%s", t->root, t->files.names[file]));
    skive_status status = skv_rows_open(t->ctx, path, '\n', &r);
    skv_free(t->ctx, path);
    if (status != SKIVE_OK) return status;
    t->rows[t->n_rows++] = r;
    for (;;) {
        SKV_TRY(skv_rows_next(r, &row, &end));
        if (end) return SKIVE_OK;
        if (t->n % 4096 == 4095) SKV_TRY(skv_check_interrupt(t->ctx));
        if (is_empty(&row.cells[0]))
            t->empty++;
        else
            SKV_TRY(add(t, row.at, row.length, file));
    }
}

skive_status skv_texts_take_lines(skv_texts *t, const char *root, skv_name_list *files, size_t *ends) {
    SKV_TRY(skv_strdup(t->ctx, root, &t->root));
    t->files = *files;
    *files = (skv_name_list){0};
    SKV_TRY(skv_alloc_array(t->ctx, t->files.count, sizeof(skv_rows *), &t->rows));
    for (size_t i = 0; i < t->files.count; i++) {
        SKV_TRY(add_lines(t, i));
        ends[i] = t->n;
    }
    if (t->empty) skv_note(t->ctx, "%s: %zu empty line%s skipped", root, t->empty, t->empty == 1 ? " is" : "s are");
    if (t->n) return SKIVE_OK;
    return skv_fail_at(t->ctx, SKIVE_ERR_DATA, root, "%s: its text files have empty lines only", root);
}

skive_status skv_texts_take_cells(skv_texts *t, skv_sheet_file *file, const skv_row_positions *positions,
                                  size_t column) {
    SKV_TRY(skv_alloc_array(t->ctx, 1, sizeof(skv_rows *), &t->rows));
    for (size_t i = 0; i < positions->n; i++) SKV_TRY(add(t, positions->list[i].at, positions->list[i].length, 0));
    t->rows[t->n_rows++] = file->rows;
    file->rows = NULL;
    t->column = column;
    return SKIVE_OK;
}

/* ---- reading ---- */

static skive_status check_file(skive_context *ctx, const char *path, const char *text, size_t n) {
    const size_t good = skv_utf8_valid(text, n);
    const char *nul = memchr(text, '\0', n);
    const size_t odd = nul && (size_t)(nul - text) < good ? (size_t)(nul - text) : good;
    size_t line = 1;
    if (odd == n) return SKIVE_OK;
    for (size_t i = 0; i < odd; i++) line += text[i] == '\n';
    if (text[odd] == '\0')
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: line %zu: there is a NUL byte (byte %zu of the file); this is not a text file", path,
                           line, odd);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                       "%s: line %zu: is not UTF-8 (byte %zu of the file is 0x%02x); convert the file, e.g. with iconv "
                       "-f latin1 -t utf-8",
                       path, line, odd, (unsigned)(unsigned char)text[odd]);
}

static skive_status read_file(skive_context *ctx, const skv_texts *t, size_t i, skv_text_reader *r, const char **text,
                              size_t *length) {
    char *path = NULL;
    skv_free(r->ctx, r->bytes);
    r->bytes = NULL;
    SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", t->root, t->files.names[i]));
    skive_status status = skv_file_read(ctx, path, SKV_LONGEST_ROW, &r->bytes, length);
    *text = r->bytes;
    if (status == SKIVE_OK) status = check_file(ctx, path, *text, *length);
    if (status == SKIVE_OK && *length >= 3 && memcmp(*text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        *text += 3;
        *length -= 3;
    }
    skv_free(ctx, path);
    return status;
}

skive_status skv_texts_read(skive_context *ctx, const skv_texts *t, size_t i, bool ahead, skv_text_reader *r,
                            const char **text, size_t *length) {
    skv_row row;
    r->ctx = ctx;
    if (!t->rows) return read_file(ctx, t, i, r, text, length);
    const skv_text_span *p = &t->list[i];
    if (!r->buffer) SKV_TRY(skv_row_buffer_create(ctx, &r->buffer));
    SKV_TRY(skv_rows_at(ctx, t->rows[p->file], p->at, p->length, ahead, r->buffer, &row));
    if (t->column >= row.n)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, skv_rows_path(t->rows[p->file]),
                           "%s: the file has changed since it was opened", skv_rows_path(t->rows[p->file]));
    *text = row.cells[t->column].text;
    *length = row.cells[t->column].length;
    return SKIVE_OK;
}
