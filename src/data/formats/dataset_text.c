/* text: texts as tokens, with the class from the folder, the file or a column. The recipe (tokenizer, vocabulary,
 * length) is that of the model, or is learnt from the training texts. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <skive/graph.h>

#include "data/feed.h"
#include "data/text/text.h"
#include "graph/meta_keys.h"
#include "tensor/tensor.h"

typedef struct text_set {
    skv_text_recipe recipe;
    skv_texts texts; /* of this split */
} text_set;

static const char *const text_extensions[] = {".txt", ".text", NULL};
static const skv_file_kind text_files = {
    .extensions = text_extensions, .formats = "TXT", .one = "text", .many = "texts"};

static const char *pad_at(size_t i) {
    static const char *const names[] = {"end", "start"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const char *keep_at(size_t i) {
    static const char *const names[] = {"first", "last"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option options[] = {
    {.name = "tokens",
     .type = SKV_OPTION_RECORD,
     .text = "word",
     .family = &skv_tokenizer_family,
     .brief = "the tokenizer, with its options"},
    {.name = "length",
     .type = SKV_OPTION_INTEGER,
     .least = 0,
     .most = 1 << 16,
     .brief = "tokens of a sample; 0: as the model takes, or as the longest training text up to 512"},
    {.name = "pad",
     .type = SKV_OPTION_CHOICE,
     .text = "end",
     .choices = pad_at,
     .brief = "where shorter texts get zeros"},
    {.name = "keep",
     .type = SKV_OPTION_CHOICE,
     .text = "first",
     .choices = keep_at,
     .brief = "which tokens of longer texts stay"},
    {.name = "column", .type = SKV_OPTION_TEXT, .brief = "of a table: the column of the texts"},
    {.name = "label", .type = SKV_OPTION_TEXT, .brief = "of a table: the column of the labels"},
    {.name = "test", .type = SKV_OPTION_TEXT, .brief = "of a table: a file with the test rows"},
    {.name = "split", .type = SKV_OPTION_TEXT, .brief = "of a table: a column that says train, validation or test"},
    {.name = "input", .type = SKV_OPTION_TEXT, .brief = "name of the input of the tokens"},
    {.name = "mask",
     .type = SKV_OPTION_TEXT,
     .brief = "name of one more input: 1 for tokens of the text, 0 for padding"},
    {.name = "lengths", .type = SKV_OPTION_TEXT, .brief = "name of one more input: how many tokens the text has"},
    {.name = "memory",
     .type = SKV_OPTION_INTEGER,
     .least = 0,
     .most = 1 << 20,
     .fallback = 256,
     .unit = "MiB",
     .brief = "larger sets of tokens are made when they are read"},
};

/* ---- folders ---- */

static skive_status class_name(skive_context *ctx, const char *file, char **out) {
    const char *dot = strrchr(file, '.');
    return skv_strdup_n(ctx, file, dot ? (size_t)(dot - file) : strlen(file), out);
}

/* Each file is a class, and each line of it a text. */
static skive_status lines_of(skive_context *ctx, skv_folder_files *f, const skive_dataset_options *o, skv_texts *out,
                             skive_dataset *ds) {
    skv_name_list classes = {0};
    size_t *ends = NULL, at = 0;
    skive_status status;
    SKV_GO(status, done, skv_folder_training(ctx, &text_files, f, &classes));
    SKV_GO(status, done, skv_alloc_array(ctx, f->files.count, sizeof *ends, &ends));
    SKV_GO(status, done, skv_texts_take_lines(out, f->parts.root, &f->files, ends));
    ds->total = out->n;
    if (classes.count < 2) {
        if (o->targets != SKIVE_TARGETS_NONE)
            skv_note(ctx, "%s: has one text file, so its %zu lines have no labels", f->parts.root, out->n);
        goto done;
    }
    if (o->classes && (size_t)o->classes != classes.count)
        SKV_GO(status, done,
               skv_fail_at(ctx, SKIVE_ERR_DATA, f->parts.class_root, "%s: has %zu text files, not %lld",
                           f->parts.class_root, classes.count, (long long)o->classes));
    SKV_GO(status, done, skv_alloc_array(ctx, out->n, sizeof *ds->labels, &ds->labels));
    SKV_GO(status, done, skv_alloc_array(ctx, classes.count, sizeof *ds->class_names, &ds->class_names));
    ds->classes = (int64_t)classes.count;
    for (size_t i = 0; i < classes.count; i++)
        SKV_GO(status, done, class_name(ctx, classes.names[i], &ds->class_names[i]));
    for (size_t i = 0; i < out->files.count; i++) {
        size_t c = 0;
        while (c < classes.count && strcmp(classes.names[c], out->files.names[i]) != 0) c++;
        if (c == classes.count)
            SKV_GO(status, done,
                   skv_fail_at(ctx, SKIVE_ERR_DATA, out->root, "%s: the file '%s' is not among the training classes",
                               out->root, out->files.names[i]));
        for (; at < ends[i]; at++) ds->labels[at] = (int32_t)c;
    }
done:
    skv_name_list_free(ctx, &classes);
    skv_free(ctx, ends);
    return status;
}

/* The texts of a split of a folder, with their classes in `ds`. */
static skive_status find_in_folder(skive_context *ctx, const char *dir, skive_split split,
                                   const skive_dataset_options *o, skv_texts *out, skive_dataset *ds) {
    skv_folder_files f = {0};
    skive_dataset_options quiet = *o; /* without the note that there are no class folders */
    quiet.split = split;
    quiet.targets = SKIVE_TARGETS_NONE;
    skive_status status = skv_folder_files_find(ctx, &text_files, dir, &quiet, &f, ds);
    if (status == SKIVE_OK && f.classes.count) {
        skv_folder_files_name(&f, ds);
        status = skv_texts_take_files(out, f.parts.root, &f.files);
    } else if (status == SKIVE_OK) {
        status = lines_of(ctx, &f, o, out, ds);
        ds->passed_over = out->empty;
    }
    skv_folder_files_free(ctx, &f);
    return status;
}

/* The training texts of a folder, to learn from. */
static skive_status find_training(skive_context *ctx, const char *dir, const skive_dataset_options *o, skv_texts *out,
                                  bool *separate) {
    skive_dataset *ds = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *ds, &ds));
    const skive_status status = find_in_folder(ctx, dir, SKIVE_SPLIT_TRAIN, o, out, ds);
    *separate = ds->separate_validation;
    for (int64_t i = 0; ds->class_names && i < ds->classes; i++) skv_free(ctx, ds->class_names[i]);
    skv_free(ctx, ds->class_names);
    skv_free(ctx, ds->labels);
    skv_free(ctx, ds);
    return status;
}

/* ---- tables ---- */

static skive_status find_column(const skv_sheet_file *f, const char *name, const char *what, size_t *out) {
    *out = name ? skv_sheet_file_find(f, name) : SIZE_MAX;
    return name && *out == SIZE_MAX ? skv_sheet_file_lacks(f, name, what) : SKIVE_OK;
}

/* Opens a file and finds the columns. */
static skive_status open_sheet(const skive_dataset *ds, const char *path, skv_row_part part, bool labelled,
                               skv_sheet_file *file, skv_sheet_view *view, size_t *column) {
    const text_set *s = ds->state;
    const char *dot = strrchr(path, '.'), *split = skv_option_text(ds->values, "split");
    SKV_TRY(skv_sheet_file_open(ds->ctx, path, dot && strcasecmp(dot, ".tsv") == 0 ? '\t' : '\0', file));
    *view = (skv_sheet_view){.file = file, .part = split ? part : SKV_PART_ALL, .gaps = SKV_GAPS_REFUSE};
    SKV_TRY(find_column(file, s->recipe.column, "of the texts", column));
    SKV_TRY(find_column(file, split, "of split=", &view->split_from));
    return find_column(file, labelled ? s->recipe.label.column : NULL, "the label", &view->label_from);
}

static skive_status take_rows(skive_context *ctx, const skv_sheet_view *view, const skv_row_positions *positions,
                              size_t column, const skive_dataset_options *o, skive_dataset *ds) {
    text_set *s = ds->state;
    const skv_label *label = &s->recipe.label;
    skv_row_buffer *buffer = NULL;
    char where[600];
    skive_status status = SKIVE_OK;
    ds->total = positions->n;
    if (view->label_from != SIZE_MAX) {
        SKV_GO(status, done, skv_label_prepare(ctx, label, o, ds));
        SKV_GO(status, done, skv_strdup(ctx, label->column, &ds->answer_name));
        SKV_GO(status, done, skv_row_buffer_create(ctx, &buffer));
    }
    for (size_t i = 0; view->label_from != SIZE_MAX && i < positions->n; i++) {
        const skv_row_position *p = &positions->list[i];
        skv_row row;
        SKV_GO(status, done, skv_rows_at(ctx, view->file->rows, p->at, p->length, true, buffer, &row));
        const skv_cell *cell = &row.cells[view->label_from];
        SKV_GO(status, done,
               skv_label_set(ctx, label, ds, i, cell->text, cell->length, skv_rows_path(view->file->rows),
                             skv_row_position_text(view->file, p, where, sizeof where)));
    }
    status = skv_texts_take_cells(&s->texts, view->file, positions, column);
done:
    skv_row_buffer_free(buffer);
    return status;
}

/* The rows of a part of a file: `out` for learning, or the samples of `ds`. */
static skive_status find_in_table(skive_context *ctx, const char *path, skv_row_part part, bool learn_label,
                                  const skive_dataset_options *o, skv_texts *out, bool *separate, skive_dataset *ds) {
    text_set *s = ds->state;
    skv_sheet_file file = {.ctx = ctx};
    skv_sheet_view view;
    skv_sheet sheet; /* no columns; the label is lent to it */
    skv_row_positions positions = {0};
    size_t column, dropped;
    const bool labelled = o->targets != SKIVE_TARGETS_NONE && (!out || learn_label);
    skive_status status;
    skv_sheet_init(&sheet, ctx);
    SKV_GO(status, done, open_sheet(ds, path, part, labelled, &file, &view, &column));
    sheet.label = s->recipe.label;
    if (learn_label) {
        status = skv_sheet_look(&view, ds->values, o, false, true, &sheet);
        s->recipe.label = sheet.label;
        if (status != SKIVE_OK) goto done;
    }
    *separate = false;
    if (view.split_from != SIZE_MAX) SKV_GO(status, done, skv_sheet_has_part(&view, SKV_PART_VALIDATION, separate));
    if (!out && *separate && o->split == SKIVE_SPLIT_VALIDATION) view.part = SKV_PART_VALIDATION;
    SKV_GO(status, done, skv_sheet_index(&view, &sheet, &positions, &dropped));
    status =
        out ? skv_texts_take_cells(out, &file, &positions, column) : take_rows(ctx, &view, &positions, column, o, ds);
done:
    skv_free(ctx, positions.list);
    skv_sheet_file_close(&file);
    return status;
}

/* ---- opening ---- */

/* What was learnt by the model, or false. */
static skive_status known_recipe(skive_context *ctx, const skive_dataset_options *o, skive_dataset *ds, bool *known) {
    text_set *s = ds->state;
    const char *told = skv_recipe_is(o->preprocessing, "text") ? o->preprocessing
                       : o->model ? skv_recipe_in_model(o->model, o->input, SKV_META_INPUT_TEXT)
                                  : NULL;
    ds->recipe_key = SKV_META_INPUT_TEXT;
    *known = told != NULL;
    if (!told) return skv_text_recipe_start(&s->recipe, ds->values);
    SKV_TRY(skv_text_recipe_parse(ctx, told, &s->recipe));
    return skv_text_recipe_agrees(&s->recipe, ds->spec, ds->values);
}

/* A model takes the first tokens for the text, as many as the length says; with zeros in front they are zeros. */
static skive_status check_lengths(skive_context *ctx, const skive_dataset *ds) {
    const text_set *s = ds->state;
    if (!s->recipe.pad_start || !s->recipe.inputs[SKV_TEXT_LENGTHS]) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, ds->spec,
                       "%s: lengths=%s counts the tokens from the start of a sample, where pad=start has zeros; give "
                       "pad=end, or mask=NAME in place of lengths=",
                       ds->spec, s->recipe.inputs[SKV_TEXT_LENGTHS]);
}

static skive_status learn(skive_context *ctx, const skv_texts *texts, bool separate, const skive_dataset_options *o,
                          skive_dataset *ds) {
    text_set *s = ds->state;
    uint8_t *held = NULL;
    SKV_TRY(skv_dataset_held_out(ctx, o, texts->n, separate, &held));
    const skive_status status = skv_text_learn(&s->recipe, ds->spec, texts, held, o->model);
    skv_free(ctx, held);
    return status;
}

static skive_status open_folder(skive_context *ctx, const char *dir, bool known, const skive_dataset_options *o,
                                skive_dataset *ds) {
    text_set *s = ds->state;
    static const char *const others[] = {"column", "label", "test", "split"};
    for (size_t i = 0; i < SKV_LENGTH(others); i++) {
        if (skv_option_given(ds->values, others[i]))
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, ds->spec, "%s: %s= is for tables, and this is a folder",
                               ds->spec, others[i]);
    }
    SKV_TRY(find_in_folder(ctx, dir, o->split, o, &s->texts, ds));
    if (known) return SKIVE_OK;
    const bool own = !ds->separate_test || o->split == SKIVE_SPLIT_TRAIN || o->split == SKIVE_SPLIT_TRAIN_FULL;
    if (own) return learn(ctx, &s->texts, ds->separate_validation, o, ds);
    skv_texts training;
    bool separate;
    skv_texts_init(&training, ctx);
    skive_status status = find_training(ctx, dir, o, &training, &separate);
    if (status == SKIVE_OK) status = learn(ctx, &training, separate, o, ds);
    skv_texts_free(&training);
    return status;
}

static skive_status open_table(skive_context *ctx, const char *path, bool known, bool test,
                               const skive_dataset_options *o, skive_dataset *ds) {
    text_set *s = ds->state;
    const char *test_path = skv_option_text(ds->values, "test"), *split = skv_option_text(ds->values, "split");
    skv_label *label = &s->recipe.label;
    const bool given = skv_recipe_is(o->preprocessing, "text");
    const bool learn_label = o->targets != SKIVE_TARGETS_NONE && label->column &&
                             (label->type == SKV_LABEL_NONE || (!given && o->classes_by_order));
    bool separate = false;
    if (test_path && split)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, ds->spec, "%s: give test= or split=, not both", ds->spec);
    if (!s->recipe.column)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, ds->spec,
                           "%s: name the column of the texts (text:%s,column=NAME), or a folder", ds->spec, path);
    if (learn_label) {
        label->type = SKV_LABEL_NONE;
        label->classes = 0;
        skv_words_free(&label->names);
    }
    if (!known || learn_label) {
        skv_texts training;
        skv_texts_init(&training, ctx);
        skive_status status = find_in_table(ctx, path, SKV_PART_TRAIN, learn_label, o, &training, &separate, ds);
        if (status == SKIVE_OK && !known) status = learn(ctx, &training, separate, o, ds);
        skv_texts_free(&training);
        if (status != SKIVE_OK) return status;
    }
    ds->separate_test = test_path || split;
    SKV_TRY(find_in_table(ctx, test && test_path ? test_path : path, test ? SKV_PART_TEST : SKV_PART_TRAIN, false, o,
                          NULL, &separate, ds));
    ds->separate_validation = separate;
    return SKIVE_OK;
}

/* ---- samples ---- */

typedef struct tally {
    size_t tokens, cut, empty;
} tally;

static void tell(skive_context *ctx, const skive_dataset *ds, const tally *t, const skv_tokens *tokens) {
    const text_set *s = ds->state;
    if (tokens->unknown)
        skv_note(ctx, "%s: %zu of %zu tokens (%.2g %%) are unknown to the vocabulary; the first is '%s'", ds->spec,
                 tokens->unknown, t->tokens, 100.0 * (double)tokens->unknown / (double)t->tokens,
                 tokens->first_unknown);
    if (t->cut)
        skv_note(ctx, "%s: %zu of %zu texts have more than %lld tokens; their %s %lld are used", ds->spec, t->cut,
                 ds->total, (long long)s->recipe.length, s->recipe.keep_last ? "last" : "first",
                 (long long)s->recipe.length);
    if (t->empty)
        skv_note(ctx, "%s: %zu of %zu texts %s no token", ds->spec, t->empty, ds->total,
                 t->empty == 1 ? "has" : "have");
}

/* Encodes all texts; the tensors of inputs that are not kept are empty. */
static skive_status encode_all(skive_context *ctx, skive_dataset *ds, skive_tensor *mask, skive_tensor *lengths) {
    const text_set *s = ds->state;
    const size_t length = (size_t)s->recipe.length;
    skv_text_reader reader = {.ctx = ctx};
    skv_tokens tokens = {.ctx = ctx};
    skv_progress progress;
    tally t = {0};
    int32_t *one = NULL;
    skive_status status;
    skv_progress_start(&progress, ctx, "tokens", (double)ds->total);
    SKV_GO(status, done, skv_alloc_array(ctx, length, sizeof *one, &one));
    for (size_t i = 0; i < ds->total; i++) {
        const char *text;
        size_t n;
        SKV_GO(status, done, skv_texts_read(ctx, &s->texts, i, true, &reader, &text, &n));
        SKV_GO(status, done,
               skv_text_encode(&s->recipe, text, n, &tokens, ds->x.data ? (int32_t *)ds->x.data + i * length : one,
                               mask->data ? (int32_t *)mask->data + i * length : NULL,
                               lengths->data ? (int32_t *)lengths->data + i : NULL));
        t.tokens += tokens.n;
        t.cut += tokens.n > length;
        t.empty += tokens.n == 0;
        if (i % 256 == 255) SKV_GO(status, done, skv_progress_at(&progress, (double)(i + 1), "%zu texts", i + 1));
    }
    tell(ctx, ds, &t, &tokens);
done:
    skv_text_reader_free(&reader);
    skv_tokens_free(&tokens);
    skv_free(ctx, one);
    return status;
}

static skive_status add_input(skive_context *ctx, skive_dataset *ds, const char *name, skive_tensor *t) {
    skive_dataset *child = NULL;
    if (!t->data) return SKIVE_OK;
    SKV_TRY(skv_dataset_new_child(ctx, ds, &child));
    skv_dataset_take_samples(child, t);
    return skv_dataset_add_input(ctx, ds, name, child);
}

static skive_status take_samples(skive_context *ctx, skive_dataset *ds) {
    text_set *s = ds->state;
    char *const *names = s->recipe.inputs;
    const bool more = names[SKV_TEXT_MASK] || names[SKV_TEXT_LENGTHS];
    skive_tensor mask = {0}, lengths = {0};
    const int64_t dims[2] = {(int64_t)ds->total, s->recipe.length}, one[2] = {(int64_t)ds->total, 1};
    size_t values;
    skive_status status = SKIVE_OK;
    ds->rank = 1;
    ds->content = SKV_CONTENT_TOKENS;
    ds->vocabulary = (int64_t)s->recipe.vocabulary.size;
    ds->channel_axis = -1;
    ds->dims[0] = s->recipe.length;
    ds->size = (size_t)s->recipe.length;
    ds->dtype = SKIVE_I32;
    if (!skv_mul_size(ds->total, ds->size, &values)) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "%s: too large", ds->spec);
    if (values / ((1 << 20) / sizeof(int32_t)) < (size_t)skv_option_integer(ds->values, "memory"))
        SKV_TRY(skive_tensor_create(ctx, SKIVE_I32, 2, dims, &ds->x));
    else if (more)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, ds->spec,
                           "%s: mask= and lengths= need the tokens in memory (%zu MiB); raise memory=", ds->spec,
                           values / ((1 << 20) / sizeof(int32_t)) + 1);
    if (names[SKV_TEXT_MASK]) SKV_GO(status, done, skive_tensor_create(ctx, SKIVE_I32, 2, dims, &mask));
    if (names[SKV_TEXT_LENGTHS]) SKV_GO(status, done, skive_tensor_create(ctx, SKIVE_I32, 2, one, &lengths));
    SKV_GO(status, done, encode_all(ctx, ds, &mask, &lengths));
    if (more || names[SKV_TEXT_TOKENS])
        SKV_GO(status, done, skv_dataset_add_input(ctx, ds, names[SKV_TEXT_TOKENS], ds));
    SKV_GO(status, done, add_input(ctx, ds, names[SKV_TEXT_MASK], &mask));
    SKV_GO(status, done, add_input(ctx, ds, names[SKV_TEXT_LENGTHS], &lengths));
done:
    skive_tensor_free(ctx, &mask);
    skive_tensor_free(ctx, &lengths);
    return status;
}

static skive_status open_text(skive_context *ctx, const char *args, bool test, const skive_dataset_options *o,
                              skive_dataset *ds) {
    char *names[4];
    int count;
    bool known;
    text_set *s = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *s, &s));
    ds->state = s;
    skv_text_recipe_init(&s->recipe, ctx);
    skv_texts_init(&s->texts, ctx);
    SKV_GO(status, done, skv_split_args(ctx, ds->kind, args, names, &count));
    if (count != 1)
        SKV_GO(status, done,
               skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "data", "data set '%s': expected %s", ds->spec, ds->kind->syntax));
    SKV_GO(status, done, known_recipe(ctx, o, ds, &known));
    SKV_GO(status, done, check_lengths(ctx, ds));
    if (!known && o->model && test)
        skv_note(ctx, "%s: the model does not say how its tokens are made; the vocabulary is that of these texts",
                 ds->spec);
    if (skv_path_is_folder(names[0]))
        SKV_GO(status, done, open_folder(ctx, names[0], known, o, ds));
    else
        SKV_GO(status, done, open_table(ctx, names[0], known, test, o, ds));
    SKV_GO(status, done, take_samples(ctx, ds));
    status = skv_text_recipe_write(&s->recipe, &ds->recipe);
done:
    skv_free_args(ctx, names);
    return status;
}

static skive_status read_text(skive_context *ctx, const skive_dataset *ds, size_t index, float *x) {
    (void)ctx;
    skv_to_f32(ds->x.dtype, ds->x.data, index * ds->size, ds->size, x);
    return SKIVE_OK;
}

static skive_status load_text(skive_context *ctx, const skive_dataset *ds, size_t index, void *x) {
    const text_set *s = ds->state;
    skv_text_reader reader = {.ctx = ctx};
    skv_tokens tokens = {.ctx = ctx};
    const char *text;
    size_t n;
    skive_status status = skv_texts_read(ctx, &s->texts, index, false, &reader, &text, &n);
    if (status == SKIVE_OK) status = skv_text_encode(&s->recipe, text, n, &tokens, x, NULL, NULL);
    skv_text_reader_free(&reader);
    skv_tokens_free(&tokens);
    return status;
}

static void close_text(skive_dataset *ds) {
    text_set *s = ds->state;
    if (!s) return;
    skv_text_recipe_free(&s->recipe);
    skv_texts_free(&s->texts);
    skv_free(ds->ctx, s);
}

const skv_dataset_kind skv_dataset_text = {
    .name = "text",
    .syntax = "text:DIR or text:FILE,column=COLUMN,label=COLUMN",
    .brief = "texts as tokens: a folder or a file of lines (.txt) per class, or the cells of a table",
    SKV_OPTIONS(options),
    .naming = "text:...,input=NAME, mask=NAME, lengths=NAME",
    .needs_args = true,
    .open = open_text,
    .read = read_text,
    .load = load_text,
    .close = close_text,
};
