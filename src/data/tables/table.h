/* Tables in delimited text: which columns are used, how their cells become numbers, and where the rows are. */
#ifndef SKV_SHEET_H
#define SKV_SHEET_H

#include "data/label.h"
#include "data/spread.h"
#include "data/tables/rows.h"

typedef enum skv_column_type {
    SKV_COLUMN_NUMBER,
    SKV_COLUMN_ONE_HOT, /* one value per category, 1 for that of the cell; all 0 for an unknown one or a gap */
    SKV_COLUMN_CODE     /* the number of the category, from 1; 0 for an unknown one or a gap */
} skv_column_type;

typedef struct skv_column {
    char *name;
    skv_column_type type;
    double mean; /* of numbers, over the training rows */
    skv_words categories;
    size_t at;   /* of its first value in a sample */
    size_t from; /* in the rows of the file that is open */
} skv_column;

/* The recipe of a table. */
typedef struct skv_sheet {
    skive_context *ctx;
    char *choice; /* the options that the columns were chosen by */
    skv_column *columns;
    size_t n, size; /* size: values per sample */
    skv_label label;
} skv_sheet;

typedef enum skv_gaps { SKV_GAPS_REFUSE, SKV_GAPS_MEAN, SKV_GAPS_DROP } skv_gaps;

/* A row of a file. */
typedef struct skv_row_position {
    uint64_t at;
    uint32_t length, row, line; /* row: of the data, from 1 */
} skv_row_position;

typedef struct skv_row_positions {
    skv_row_position *list;
    size_t n, capacity;
} skv_row_positions;

/* A file with its header. */
typedef struct skv_sheet_file {
    skive_context *ctx;
    skv_rows *rows;
    char **names; /* NULL: the column has none */
    size_t n;
    size_t blank; /* empty lines, counted by each pass */
} skv_sheet_file;

typedef enum skv_row_part { SKV_PART_ALL, SKV_PART_TRAIN, SKV_PART_VALIDATION, SKV_PART_TEST } skv_row_part;

/* What a pass over a file is to read. */
typedef struct skv_sheet_view {
    skv_sheet_file *file;
    size_t split_from, label_from; /* columns; SIZE_MAX: none */
    skv_row_part part;
    skv_gaps gaps;
} skv_sheet_view;

/* ---- files (table_file.c) ---- */

/* separator 0: guessed from the header. Errors: DATA (one column, two columns with one name, only numbers). */
skive_status skv_sheet_file_open(skive_context *ctx, const char *path, char separator, skv_sheet_file *out);
void skv_sheet_file_close(skv_sheet_file *f);
/* The column of that name; SIZE_MAX: none. */
size_t skv_sheet_file_find(const skv_sheet_file *f, const char *name);
/* ERR_DATA: the file has no such column; it has ... `what`: "the label". */
skive_status skv_sheet_file_lacks(const skv_sheet_file *f, const char *name, const char *what);
/* All rows of the part in their order. Errors: DATA (a row with another number of cells, an unknown part). */
typedef skive_status (*skv_row_fn)(void *user, const skv_row *row, const skv_row_position *position);
skive_status skv_sheet_each(const skv_sheet_view *v, skv_row_fn fn, void *user);
/* ERR_DATA: there is no row; `gaps`: because of gaps. */
skive_status skv_sheet_empty(const skv_sheet_view *v, bool gaps);
/* Does the column that names the parts have validation rows? */
skive_status skv_sheet_has_part(const skv_sheet_view *v, skv_row_part part, bool *out);
/* "data.csv: row 3 (line 4)" */
const char *skv_row_position_text(const skv_sheet_file *f, const skv_row_position *p, char *buffer, size_t size);
/* A cell of a column of numbers, or any cell, that says nothing. */
bool skv_cell_is_gap(const skv_cell *c, bool number);

/* ---- recipes (table_recipe.c) ---- */

void skv_sheet_init(skv_sheet *t, skive_context *ctx);
void skv_sheet_free(skv_sheet *t);
skive_status skv_sheet_write(const skv_sheet *t, char **out);
skive_status skv_sheet_parse(skive_context *ctx, const char *text, skv_sheet *out);
/* Numbers the values of a sample. Errors: LIMIT. */
skive_status skv_sheet_number_values(skv_sheet *t, const char *path);
/* Finds the columns in a file. */
skive_status skv_sheet_bind(skv_sheet *t, const skv_sheet_file *f);

/* ---- learning (table_learn.c) ---- */

/* Types of the columns and labels, from all rows of the view. `columns`, `label`: what is to be decided. */
skive_status skv_sheet_look(const skv_sheet_view *v, const skv_option_values *values, const skive_dataset_options *o,
                            bool columns, bool label, skv_sheet *t);
/* Means and categories, from the rows that are not held out (NULL: all). */
skive_status skv_sheet_learn(const skv_sheet_view *v, const skv_row_positions *positions, const uint8_t *held,
                             skv_sheet *t);

/* ---- rows (table_rows.c) ---- */

/* Lists the rows of the view; those with gaps are refused, kept or dropped. *dropped counts. */
skive_status skv_sheet_index(const skv_sheet_view *v, const skv_sheet *t, skv_row_positions *out, size_t *dropped);
/* What is seen in the cells of a column while rows are read. */
typedef struct skv_column_seen {
    size_t unknown; /* cells with unknown categories */
    skv_spread spread;
} skv_column_seen;
/* The values of a row. seen [n], or NULL. */
void skv_sheet_encode(const skv_sheet *t, const skv_row *row, float *x, skv_column_seen *seen);

/* ---- the kinds (dataset_csv.c) ---- */

const char *skv_sheet_encode_at(size_t i);
const char *skv_sheet_gaps_at(size_t i);
#define SKV_SHEET_OPTIONS                                                                                          \
    {.name = "label", .type = SKV_OPTION_TEXT, .brief = "the column of the labels: classes or values"},            \
        {.name = "columns",                                                                                        \
         .type = SKV_OPTION_LIST,                                                                                  \
         .brief = "the columns to use, by name or pattern (* and ?); otherwise all"},                              \
        {.name = "without", .type = SKV_OPTION_LIST, .brief = "columns to leave out, by name or pattern"},         \
        {.name = "categorical",                                                                                    \
         .type = SKV_OPTION_LIST,                                                                                  \
         .brief = "columns whose numbers are categories; columns of texts always are"},                            \
        {.name = "encode",                                                                                         \
         .type = SKV_OPTION_CHOICE,                                                                                \
         .text = "onehot",                                                                                         \
         .choices = skv_sheet_encode_at,                                                                           \
         .brief = "categories as one value each, or as one number from 1 (0: unknown)"},                           \
        {.name = "gaps",                                                                                           \
         .type = SKV_OPTION_CHOICE,                                                                                \
         .text = "refuse",                                                                                         \
         .choices = skv_sheet_gaps_at,                                                                             \
         .brief = "what is done with empty cells: refuse them, fill them, or drop their rows"},                    \
        {.name = "test", .type = SKV_OPTION_TEXT, .brief = "a file with the test rows"},                           \
        {.name = "split", .type = SKV_OPTION_TEXT, .brief = "a column that says train, validation or test"}, {     \
        .name = "memory", .type = SKV_OPTION_INTEGER, .least = 0, .most = 1 << 20, .fallback = 256, .unit = "MiB", \
        .brief = "larger tables stay on disk and are read row by row"                                              \
    }

skive_status skv_csv_open(skive_context *ctx, const char *args, bool test, const skive_dataset_options *o,
                          skive_dataset *ds);
skive_status skv_csv_read(skive_context *ctx, const skive_dataset *ds, size_t index, float *x);
skive_status skv_csv_load(skive_context *ctx, const skive_dataset *ds, size_t index, void *x);
void skv_csv_close(skive_dataset *ds);

#endif
