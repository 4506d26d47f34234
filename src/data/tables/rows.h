/* Rows of delimited text files (CSV, TSV), as RFC 4180 and Python's csv module with strict=True read them: a cell that
 * begins with a quote ends with one, a doubled quote in it stands for one, and separators and line breaks in it are
 * text. A row ends with LF, CRLF or CR. A byte order mark is skipped. Files are read in pieces, so that they may be
 * larger than memory. */
#ifndef SKV_ROWS_H
#define SKV_ROWS_H

#include "base/base.h"

enum { SKV_MOST_COLUMNS = 1 << 16, SKV_LONGEST_ROW = 16 << 20 };

typedef struct skv_cell {
    const char *text; /* NUL-terminated, UTF-8 */
    size_t length;
    bool quoted;
} skv_cell;

typedef struct skv_row {
    const skv_cell *cells; /* in the buffer, until its next use */
    size_t n;
    uint64_t at, line; /* where it begins in the file; line from 1, 0 if unknown */
    uint32_t length;   /* in the file, with its end */
    bool blank;        /* an empty line */
} skv_row;

/* Memory for one row and the part of the file around it; one per thread. */
typedef struct skv_row_buffer skv_row_buffer;
skive_status skv_row_buffer_create(skive_context *ctx, skv_row_buffer **out);
void skv_row_buffer_free(skv_row_buffer *b); /* NULL is accepted */

typedef struct skv_rows skv_rows;
/* The separator '\n' makes each line a row of one cell, in which quotes have no meaning. Errors: IO, DATA (empty,
 * UTF-16), MEMORY. */
skive_status skv_rows_open(skive_context *ctx, const char *path, char separator, skv_rows **out);
void skv_rows_free(skv_rows *r); /* NULL is accepted */
const char *skv_rows_path(const skv_rows *r);
void skv_rows_set_separator(skv_rows *r, char separator);
/* From the first row again. */
void skv_rows_rewind(skv_rows *r);
/* The next row, blank ones included; *end when there is none. Errors: DATA (a quote that is not closed, text behind a
 * closing quote, a NUL byte, not UTF-8: with line and byte), LIMIT (a row or a number of columns beyond the bounds),
 * IO. */
skive_status skv_rows_next(skv_rows *r, skv_row *out, bool *end);
/* The row at this place again. `ahead`: other rows behind it will follow, so that more of the file is read at once.
 * Many threads may do so, each with its buffer and context. Errors: as above; DATA if the file has changed. */
skive_status skv_rows_at(skive_context *ctx, const skv_rows *r, uint64_t at, uint32_t length, bool ahead,
                         skv_row_buffer *b, skv_row *out);
/* The first line of the file outside quotes, for guessing the separator. */
skive_status skv_rows_guess_separator(skv_rows *r, char *out);

#endif
