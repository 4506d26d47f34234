/* Texts: the samples of a text data set, each in a file of its own, on a line, or in a cell of a table. */
#ifndef SKV_TEXTS_H
#define SKV_TEXTS_H

#include "data/formats/folder.h"
#include "data/tables/table.h"

/* Where a line or a cell is. */
typedef struct skv_text_span {
    uint64_t at;
    uint32_t length, file;
} skv_text_span;

typedef struct skv_texts {
    skive_context *ctx;
    char *root;          /* the folder of the files */
    skv_name_list files; /* in it */
    skv_rows **rows;     /* [files], of lines and cells; NULL: each file is a text */
    size_t n_rows, column;
    skv_text_span *list;
    size_t n, capacity;
    size_t empty; /* lines that are no texts */
} skv_texts;

/* Memory for one text; one per thread. */
typedef struct skv_text_reader {
    skive_context *ctx;
    skv_row_buffer *buffer;
    void *bytes;
} skv_text_reader;
void skv_text_reader_free(skv_text_reader *r);

void skv_texts_init(skv_texts *t, skive_context *ctx);
void skv_texts_free(skv_texts *t);
/* The files are the texts; both are moved in. */
skive_status skv_texts_take_files(skv_texts *t, const char *root, skv_name_list *files);
/* The lines of the files are the texts; *ends [files]: how many texts there are up to the end of each. Empty lines are
 * skipped with a note. Errors: as skv_rows_next. */
skive_status skv_texts_take_lines(skv_texts *t, const char *root, skv_name_list *files, size_t *ends);
/* The cells of a column in the rows of the view, whose file is moved in. */
skive_status skv_texts_take_cells(skv_texts *t, skv_sheet_file *file, const skv_row_positions *positions,
                                  size_t column);
/* Text i, in the reader until its next use. `ahead`: the next ones will follow. Many threads may read, each with its
 * reader and context. Errors: DATA (not UTF-8, a NUL byte: with file, line and byte; changed), LIMIT (16 MiB), IO. */
skive_status skv_texts_read(skive_context *ctx, const skv_texts *t, size_t i, bool ahead, skv_text_reader *r,
                            const char **text, size_t *length);

#endif
