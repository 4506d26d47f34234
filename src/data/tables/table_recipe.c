/* The recipe of a table as text, and its columns in a file. */
#include <string.h>

#include "data/tables/table.h"

enum { MOST_VALUES = 1 << 16 };

static const char *const type_names[] = {"number", "onehot", "code"};

void skv_sheet_init(skv_sheet *t, skive_context *ctx) {
    *t = (skv_sheet){.ctx = ctx};
    skv_label_init(&t->label, ctx);
}

void skv_sheet_free(skv_sheet *t) {
    if (!t->ctx) return;
    for (size_t i = 0; i < t->n; i++) {
        skv_free(t->ctx, t->columns[i].name);
        skv_words_free(&t->columns[i].categories);
    }
    skv_free(t->ctx, t->columns);
    skv_free(t->ctx, t->choice);
    skv_label_free(&t->label);
    skv_sheet_init(t, t->ctx);
}

skive_status skv_sheet_number_values(skv_sheet *t, const char *path) {
    t->size = 0;
    for (size_t i = 0; i < t->n; i++) {
        t->columns[i].at = t->size;
        t->size += t->columns[i].type == SKV_COLUMN_ONE_HOT ? t->columns[i].categories.n : 1;
        if (t->size > MOST_VALUES)
            return skv_fail_at(t->ctx, SKIVE_ERR_LIMIT, path,
                               "%s: the columns make more than %d values per sample; encode=integer numbers categories",
                               path, (int)MOST_VALUES);
    }
    return SKIVE_OK;
}

skive_status skv_sheet_bind(skv_sheet *t, const skv_sheet_file *f) {
    for (size_t i = 0; i < t->n; i++) {
        t->columns[i].from = skv_sheet_file_find(f, t->columns[i].name);
        if (t->columns[i].from == SIZE_MAX) return skv_sheet_file_lacks(f, t->columns[i].name, "which the model reads");
    }
    return SKIVE_OK;
}

skive_status skv_sheet_write(const skv_sheet *t, char **out) {
    skv_text text;
    *out = NULL;
    skv_text_init(&text, t->ctx);
    skv_recipe_string(&text, "kind");
    skv_recipe_string(&text, "table");
    skv_recipe_end(&text);
    skv_recipe_string(&text, "choice");
    skv_recipe_string(&text, t->choice ? t->choice : "");
    skv_recipe_end(&text);
    for (size_t i = 0; i < t->n; i++) {
        const skv_column *c = &t->columns[i];
        skv_recipe_string(&text, type_names[c->type]);
        skv_recipe_string(&text, c->name);
        if (c->type == SKV_COLUMN_NUMBER) skv_recipe_number(&text, c->mean);
        for (size_t k = 0; k < c->categories.n; k++)
            skv_recipe_field(&text, c->categories.list[k].text, c->categories.list[k].length);
        skv_recipe_end(&text);
    }
    skv_label_write(&t->label, &text);
    skive_status status = text.status;
    if (status == SKIVE_OK && text.length > SKV_RECIPE_BYTES)
        status = SKV_FAIL(t->ctx, SKIVE_ERR_LIMIT,
                          "the categories of the table take %zu bytes, more than the %d that a model may carry",
                          text.length, SKV_RECIPE_BYTES);
    if (status == SKIVE_OK) status = skv_strdup(t->ctx, text.data, out);
    skv_text_free(&text);
    return status;
}

static skive_status add_column(skv_recipe *r, skv_column_type type, skv_sheet *t) {
    if (r->n < 2 || (type == SKV_COLUMN_NUMBER && r->n != 3) || t->n >= SKV_MOST_COLUMNS) return skv_recipe_damaged(r);
    SKV_TRY(skv_grow(t->ctx, &t->columns, t->n, t->n + 1, sizeof *t->columns));
    skv_column *c = &t->columns[t->n++];
    c->type = type;
    skv_words_init(&c->categories, t->ctx);
    SKV_TRY(skv_strdup(t->ctx, r->fields[1], &c->name));
    if (type == SKV_COLUMN_NUMBER)
        return skv_cell_number(r->fields[2], r->lengths[2], &c->mean) ? SKIVE_OK : skv_recipe_damaged(r);
    for (size_t i = 2; i < r->n; i++) SKV_TRY(skv_words_add(&c->categories, r->fields[i], r->lengths[i], 1, NULL));
    return c->categories.n == r->n - 2 && c->categories.n ? SKIVE_OK : skv_recipe_damaged(r);
}

static skive_status read_line(skv_recipe *r, skv_sheet *t) {
    for (size_t i = 0; i < SKV_LENGTH(type_names); i++) {
        if (strcmp(r->fields[0], type_names[i]) == 0) return add_column(r, (skv_column_type)i, t);
    }
    if (strcmp(r->fields[0], "label") == 0) return skv_label_read(r, &t->label);
    if (strcmp(r->fields[0], "choice") != 0 || r->n != 2 || t->choice) return skv_recipe_damaged(r);
    return skv_strdup(t->ctx, r->fields[1], &t->choice);
}

skive_status skv_sheet_parse(skive_context *ctx, const char *text, skv_sheet *out) {
    skv_recipe r;
    bool more = true;
    skv_sheet_init(out, ctx);
    SKV_TRY(skv_recipe_open(ctx, text, "table", &r));
    skive_status status = SKIVE_OK;
    while (status == SKIVE_OK && more) {
        status = skv_recipe_line(&r, &more);
        if (status == SKIVE_OK && more) status = read_line(&r, out);
    }
    if (status == SKIVE_OK && (out->n == 0 || !out->choice)) status = skv_recipe_damaged(&r);
    if (status == SKIVE_OK) status = skv_sheet_number_values(out, "the model's recipe");
    skv_recipe_close(&r);
    if (status != SKIVE_OK) skv_sheet_free(out);
    return status;
}
