/* csv: tables in delimited text with a header. The columns' recipe is that of the model, or is learnt from the training
 * rows. Rows stay in the file and are found by their positions; the values are kept in memory where they are few
 * enough. */
#include <stdio.h>
#include <string.h>

#include <skive/graph.h>

#include "data/feed.h"
#include "data/tables/table.h"
#include "graph/meta_keys.h"

typedef struct csv {
    skv_sheet table;
    skv_sheet_file file; /* of this split */
    skv_row_positions positions;
} csv;

static const char *separator_at(size_t i) {
    static const char *const names[] = {"auto", "comma", "semicolon", "tab", "bar"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

const char *skv_sheet_encode_at(size_t i) {
    static const char *const names[] = {"onehot", "integer"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

const char *skv_sheet_gaps_at(size_t i) {
    static const char *const names[] = {"refuse", "mean", "drop"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option csv_options[] = {
    SKV_SHEET_OPTIONS,
    {.name = "separator",
     .type = SKV_OPTION_CHOICE,
     .text = "auto",
     .choices = separator_at,
     .brief = "between cells; auto: the one that the header has most of"},
};

/* ---- opening ---- */

static char separator_of(const skive_dataset *ds) {
    static const char marks[] = {'\0', ',', ';', '\t', '|'};
    const char *name = skv_option_text(ds->values, "separator");
    if (!name) return '\t';
    for (size_t i = 0; separator_at(i); i++) {
        if (strcmp(separator_at(i), name) == 0) return marks[i];
    }
    return '\0';
}

static skv_gaps gaps_of(const skive_dataset *ds) {
    const char *name = skv_option_text(ds->values, "gaps");
    return strcmp(name, "mean") == 0 ? SKV_GAPS_MEAN : strcmp(name, "drop") == 0 ? SKV_GAPS_DROP : SKV_GAPS_REFUSE;
}

/* The options that decide what the columns become, as text. */
static skive_status choice_of(skive_context *ctx, const skv_option_values *v, bool *given, char **out) {
    static const char *const names[] = {"columns", "without", "categorical", "encode"};
    skv_text t;
    skv_text_init(&t, ctx);
    *given = false;
    *out = NULL;
    for (size_t i = 0; i < SKV_LENGTH(names); i++) {
        if (!skv_option_given(v, names[i])) continue;
        skv_text_add(&t, "%s%s=%s", t.length ? ";" : "", names[i], skv_option_text(v, names[i]));
        *given = true;
    }
    const skive_status status = t.status == SKIVE_OK ? skv_strdup(ctx, t.data ? t.data : "", out) : t.status;
    skv_text_free(&t);
    return status;
}

static skive_status check_choice(skive_context *ctx, const skive_dataset *ds, const skv_sheet *t) {
    char *choice = NULL;
    bool given;
    SKV_TRY(choice_of(ctx, ds->values, &given, &choice));
    skive_status status = SKIVE_OK;
    if (given && strcmp(choice, t->choice) != 0)
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, ds->spec,
                             "%s: the model was made with %s, not with %s; leave these options out, the model knows "
                             "them",
                             ds->spec, *t->choice ? t->choice : "all columns and no such option", choice);
    skv_free(ctx, choice);
    return status;
}

static skive_status find_column(const skv_sheet_file *f, const char *name, const char *what, size_t *out) {
    *out = name ? skv_sheet_file_find(f, name) : SIZE_MAX;
    return name && *out == SIZE_MAX ? skv_sheet_file_lacks(f, name, what) : SKIVE_OK;
}

/* Sets up the view of a file: its column of the label, and that of the parts. */
static skive_status view_of(const skive_dataset *ds, skv_sheet_file *f, bool labelled, bool parts, skv_row_part part,
                            const skv_label *label, skv_sheet_view *out) {
    const char *split = parts ? skv_option_text(ds->values, "split") : NULL;
    *out = (skv_sheet_view){.file = f, .part = split ? part : SKV_PART_ALL, .gaps = gaps_of(ds)};
    SKV_TRY(find_column(f, split, "of split=", &out->split_from));
    return find_column(f, labelled ? label->column : NULL, "the label", &out->label_from);
}

static skive_status set_label_name(skive_context *ctx, const skive_dataset *ds, skv_label *label) {
    const char *name = skv_option_text(ds->values, "label");
    if (!name || (label->column && strcmp(label->column, name) == 0)) return SKIVE_OK;
    if (label->column)
        skv_note(ctx, "%s: the label is column '%s'; the model calls it '%s'", ds->spec, name, label->column);
    skv_free(ctx, label->column);
    label->column = NULL;
    return skv_strdup(ctx, name, &label->column);
}

/* Learns from the training rows of `path`; *positions: these, if they are also those of this split. */
static skive_status learn(skive_context *ctx, const char *path, const skive_dataset_options *o, bool columns,
                          bool labels, skive_dataset *ds) {
    csv *c = ds->state;
    skv_sheet_file file = {0};
    skv_sheet_view view;
    skv_row_positions positions = {0};
    uint8_t *held = NULL;
    size_t dropped;
    bool separate = false, given;
    skive_status status;
    SKV_GO(status, done, skv_sheet_file_open(ctx, path, separator_of(ds), &file));
    SKV_GO(status, done, view_of(ds, &file, labels, true, SKV_PART_TRAIN, &c->table.label, &view));
    if (!columns) SKV_GO(status, done, skv_sheet_bind(&c->table, &file));
    SKV_GO(status, done, skv_sheet_look(&view, ds->values, o, columns, labels, &c->table));
    if (columns) {
        skv_free(ctx, c->table.choice);
        SKV_GO(status, done, choice_of(ctx, ds->values, &given, &c->table.choice));
        if (view.split_from != SIZE_MAX)
            SKV_GO(status, done, skv_sheet_has_part(&view, SKV_PART_VALIDATION, &separate));
        SKV_GO(status, done, skv_sheet_index(&view, &c->table, &positions, &dropped));
        SKV_GO(status, done, skv_dataset_held_out(ctx, o, positions.n, separate, &held));
        SKV_GO(status, done, skv_sheet_learn(&view, &positions, held, &c->table));
    }
done:
    skv_free(ctx, held);
    skv_free(ctx, positions.list);
    skv_sheet_file_close(&file);
    return status;
}

static skive_status recipe_of(skive_context *ctx, const char *path, const skive_dataset_options *o, bool labelled,
                              skive_dataset *ds) {
    csv *c = ds->state;
    const bool given = skv_recipe_is(o->preprocessing, "table");
    const char *told = given      ? o->preprocessing
                       : o->model ? skv_recipe_in_model(o->model, o->input, SKV_META_INPUT_TABLE)
                                  : NULL;
    ds->recipe_key = SKV_META_INPUT_TABLE;
    if (told) {
        SKV_TRY(skv_sheet_parse(ctx, told, &c->table));
        SKV_TRY(check_choice(ctx, ds, &c->table));
    }
    SKV_TRY(set_label_name(ctx, ds, &c->table.label));
    const bool anew =
        labelled && c->table.label.column && (c->table.label.type == SKV_LABEL_NONE || (!given && o->classes_by_order));
    if (anew) { /* the name stays */
        c->table.label.type = SKV_LABEL_NONE;
        c->table.label.classes = 0;
        skv_words_free(&c->table.label.names);
    }
    if (!told && o->model && o->split == SKIVE_SPLIT_TEST)
        skv_note(ctx,
                 "%s: the model does not say how its samples are made of columns; order, means and categories are "
                 "those of this file",
                 ds->spec);
    if (!told || anew) SKV_TRY(learn(ctx, path, o, !told, anew, ds));
    return skv_sheet_write(&c->table, &ds->recipe);
}

/* ---- samples ---- */

static void tell_unknown(skive_context *ctx, const csv *c, const skv_column_seen *seen) {
    for (size_t i = 0; i < c->table.n; i++) {
        if (seen[i].unknown)
            skv_note(ctx, "%s: column '%s': %zu cell%s a category that the training rows do not have",
                     skv_rows_path(c->file.rows), c->table.columns[i].name, seen[i].unknown,
                     seen[i].unknown == 1 ? " has" : "s have");
    }
}

static void tell_spread(skive_context *ctx, const csv *c, const skv_column_seen *seen, const skv_spread *label) {
    const char *path = skv_rows_path(c->file.rows);
    char out[200];
    for (size_t i = 0; i < c->table.n; i++) {
        const char *name = c->table.columns[i].name;
        (void)snprintf(out, sizeof out, "without=%.*s", skv_utf8_prefix(name, 120), name);
        skv_spread_tell(ctx, &seen[i].spread, path, name, out);
    }
    if (c->table.label.type == SKV_LABEL_VALUES) skv_spread_tell(ctx, label, path, c->table.label.column, NULL);
}

/* The label of sample `i`; values are added to `spread`. */
static skive_status read_label(skive_context *ctx, const skv_sheet_view *v, const skv_row *row, size_t i,
                               skive_dataset *ds, skv_spread *spread) {
    csv *c = ds->state;
    const skv_cell *cell = &row->cells[v->label_from];
    char where[600];
    double value;
    if (c->table.label.type == SKV_LABEL_VALUES && skv_cell_number(cell->text, cell->length, &value))
        skv_spread_add(spread, value);
    skv_row_position_text(&c->file, &c->positions.list[i], where, sizeof where);
    return skv_label_set(ctx, &c->table.label, ds, i, cell->text, cell->length, skv_rows_path(c->file.rows), where);
}

/* Labels of all rows, and their values if they are to be kept in memory. */
static skive_status read_rows(skive_context *ctx, const skv_sheet_view *v, skive_dataset *ds) {
    csv *c = ds->state;
    skv_row_buffer *buffer = NULL;
    skv_column_seen *seen = NULL;
    skv_spread label = {0};
    float *one = NULL;
    skive_status status;
    SKV_GO(status, done, skv_row_buffer_create(ctx, &buffer));
    SKV_GO(status, done, skv_alloc_array(ctx, c->table.n, sizeof *seen, &seen));
    SKV_GO(status, done, skv_alloc_array(ctx, c->table.size, sizeof *one, &one));
    for (size_t i = 0; i < ds->total; i++) {
        const skv_row_position *p = &c->positions.list[i];
        skv_row row;
        SKV_GO(status, done, skv_rows_at(ctx, c->file.rows, p->at, p->length, true, buffer, &row));
        skv_sheet_encode(&c->table, &row, ds->x.data ? (float *)ds->x.data + i * ds->size : one, seen);
        if (v->label_from != SIZE_MAX) SKV_GO(status, done, read_label(ctx, v, &row, i, ds, &label));
    }
    tell_unknown(ctx, c, seen);
    tell_spread(ctx, c, seen, &label);
done:
    skv_row_buffer_free(buffer);
    skv_free(ctx, seen);
    skv_free(ctx, one);
    return status;
}

static skive_status name_values(skive_context *ctx, const skv_sheet *t, skive_dataset *ds) {
    SKV_TRY(skv_alloc_array(ctx, ds->size, sizeof *ds->value_names, &ds->value_names));
    for (size_t i = 0; i < t->n; i++) {
        const skv_column *c = &t->columns[i];
        if (c->type != SKV_COLUMN_ONE_HOT) SKV_TRY(skv_strdup(ctx, c->name, &ds->value_names[c->at]));
        for (size_t k = 0; c->type == SKV_COLUMN_ONE_HOT && k < c->categories.n; k++)
            SKV_TRY(skv_asprintf(ctx, &ds->value_names[c->at + k], "%s=%s", c->name, c->categories.list[k].text));
    }
    return SKIVE_OK;
}

static skive_status take_samples(skive_context *ctx, const skive_dataset_options *o, const skv_sheet_view *v,
                                 skive_dataset *ds) {
    const csv *c = ds->state;
    size_t values;
    ds->total = c->positions.n;
    ds->rank = 1;
    ds->content = SKV_CONTENT_TABLE;
    ds->channel_axis = -1;
    ds->size = c->table.size;
    ds->dims[0] = (int64_t)ds->size;
    ds->dtype = SKIVE_F32;
    SKV_TRY(name_values(ctx, &c->table, ds));
    if (v->label_from != SIZE_MAX) {
        SKV_TRY(skv_label_prepare(ctx, &c->table.label, o, ds));
        SKV_TRY(skv_strdup(ctx, c->table.label.column, &ds->answer_name));
    }
    if (!skv_mul_size(ds->total, ds->size, &values)) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "%s: too large", ds->spec);
    if (values / ((1 << 20) / sizeof(float)) < (size_t)skv_option_integer(ds->values, "memory")) {
        const int64_t dims[2] = {(int64_t)ds->total, (int64_t)ds->size};
        SKV_TRY(skive_tensor_create(ctx, SKIVE_F32, 2, dims, &ds->x));
    }
    return read_rows(ctx, v, ds);
}

static void tell_unused(skive_context *ctx, const skv_sheet_view *v, const skv_sheet *t) {
    skv_text text;
    size_t n = 0;
    skv_text_init(&text, ctx);
    for (size_t i = 0; i < v->file->n; i++) {
        bool used = !v->file->names[i] || i == v->label_from || i == v->split_from ||
                    (t->label.column && strcmp(t->label.column, v->file->names[i]) == 0);
        for (size_t k = 0; !used && k < t->n; k++) used = t->columns[k].from == i;
        if (used || n++ >= 8) continue;
        skv_text_add(&text, "%s%.*s", n > 1 ? ", " : "", skv_utf8_prefix(v->file->names[i], 40), v->file->names[i]);
    }
    if (n > 8) skv_text_add(&text, " and %zu more", n - 8);
    if (n && text.status == SKIVE_OK)
        skv_note(ctx, "%s: column%s not used: %s", skv_rows_path(v->file->rows), n == 1 ? "" : "s", text.data);
    skv_text_free(&text);
}

static skive_status open_file(skive_context *ctx, const char *path, bool test, const skive_dataset_options *o,
                              skive_dataset *ds) {
    csv *c = ds->state;
    const char *test_path = skv_option_text(ds->values, "test"), *split = skv_option_text(ds->values, "split");
    const bool labelled = o->targets != SKIVE_TARGETS_NONE;
    skv_sheet_view view;
    skv_row_part part = test ? SKV_PART_TEST : SKV_PART_TRAIN;
    size_t dropped;
    bool validation = false;
    if (test_path && split)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, ds->spec, "%s: give test= or split=, not both", ds->spec);
    SKV_TRY(recipe_of(ctx, path, o, labelled, ds));
    SKV_TRY(skv_sheet_file_open(ctx, test && test_path ? test_path : path, separator_of(ds), &c->file));
    SKV_TRY(skv_sheet_bind(&c->table, &c->file));
    SKV_TRY(view_of(ds, &c->file, labelled, true, part, &c->table.label, &view));
    if (split) SKV_TRY(skv_sheet_has_part(&view, SKV_PART_VALIDATION, &validation));
    if (validation && o->split == SKIVE_SPLIT_VALIDATION) view.part = SKV_PART_VALIDATION;
    ds->separate_test = test_path || split;
    ds->separate_validation = validation;
    SKV_TRY(skv_sheet_index(&view, &c->table, &c->positions, &dropped));
    ds->passed_over = dropped;
    tell_unused(ctx, &view, &c->table);
    return take_samples(ctx, o, &view, ds);
}

skive_status skv_csv_open(skive_context *ctx, const char *args, bool test, const skive_dataset_options *o,
                          skive_dataset *ds) {
    char *names[4];
    int count;
    csv *c = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *c, &c));
    ds->state = c;
    skv_sheet_init(&c->table, ctx);
    c->file.ctx = ctx;
    SKV_GO(status, done, skv_split_args(ctx, ds->kind, args, names, &count));
    status = count == 1 ? open_file(ctx, names[0], test, o, ds)
                        : skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data", "data set '%s': expected %s", ds->spec,
                                      ds->kind->syntax);
done:
    skv_free_args(ctx, names);
    return status;
}

skive_status skv_csv_load(skive_context *ctx, const skive_dataset *ds, size_t index, void *x) {
    const csv *c = ds->state;
    const skv_row_position *p = &c->positions.list[index];
    skv_row_buffer *buffer = NULL;
    skv_row row;
    SKV_TRY(skv_row_buffer_create(ctx, &buffer));
    const skive_status status = skv_rows_at(ctx, c->file.rows, p->at, p->length, false, buffer, &row);
    if (status == SKIVE_OK) skv_sheet_encode(&c->table, &row, x, NULL);
    skv_row_buffer_free(buffer);
    return status;
}

skive_status skv_csv_read(skive_context *ctx, const skive_dataset *ds, size_t index, float *x) {
    (void)ctx;
    memcpy(x, (const float *)ds->x.data + index * ds->size, ds->size * sizeof(float));
    return SKIVE_OK;
}

void skv_csv_close(skive_dataset *ds) {
    csv *c = ds->state;
    if (!c) return;
    skv_sheet_free(&c->table);
    skv_sheet_file_close(&c->file);
    skv_free(ds->ctx, c->positions.list);
    skv_free(ds->ctx, c);
}

const skv_dataset_kind skv_dataset_csv = {
    .name = "csv",
    .syntax = "csv:FILE[,label=COLUMN,test=FILE]",
    .brief = "a table with a header: numbers and categories by column, labels in a column",
    SKV_OPTIONS(csv_options),
    .needs_args = true,
    .open = skv_csv_open,
    .read = skv_csv_read,
    .load = skv_csv_load,
    .close = skv_csv_close,
};
