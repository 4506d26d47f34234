/* What a model's metadata say about the data that its samples are made of. */
#include <string.h>

#include <skive/input.h>

#include "data/tables/table.h"
#include "data/text/text.h"
#include "graph/graph.h"
#include "graph/meta_keys.h"

enum { LISTED = 8 };

static void tell_label(const skv_label *l, skv_text *t) {
    if (l->type == SKV_LABEL_NONE) return;
    skv_text_add(t, "; label '%s': ", l->column);
    if (l->type == SKV_LABEL_VALUES) {
        skv_text_add(t, "values");
        return;
    }
    skv_text_add(t, "%lld classes", (long long)l->classes);
    for (size_t i = 0; i < l->names.n && i < LISTED; i++)
        skv_text_add(t, "%s%.*s", i ? ", " : ": ", skv_utf8_prefix(l->names.list[i].text, 40), l->names.list[i].text);
    if (l->names.n > LISTED) skv_text_add(t, " and %zu more", l->names.n - LISTED);
}

static skive_status tell_table(skive_context *ctx, const char *recipe, skv_text *t) {
    skv_sheet sheet;
    SKV_TRY(skv_sheet_parse(ctx, recipe, &sheet));
    skv_text_add(t, "rows of a table: ");
    for (size_t i = 0; i < sheet.n && i < LISTED; i++) {
        const skv_column *c = &sheet.columns[i];
        skv_text_add(t, "%s%.*s", i ? ", " : "", skv_utf8_prefix(c->name, 40), c->name);
        if (c->type != SKV_COLUMN_NUMBER)
            skv_text_add(t, " (%zu categories%s)", c->categories.n, c->type == SKV_COLUMN_CODE ? ", numbered" : "");
    }
    if (sheet.n > LISTED) skv_text_add(t, " and %zu more", sheet.n - LISTED);
    tell_label(&sheet.label, t);
    skv_sheet_free(&sheet);
    return SKIVE_OK;
}

static skive_status tell_text(skive_context *ctx, const char *recipe, skv_text *t) {
    skv_text_recipe r;
    char *name = NULL;
    SKV_TRY(skv_text_recipe_parse(ctx, recipe, &r));
    const skive_status status = skv_vocabulary_name(&r.vocabulary, &name);
    if (status == SKIVE_OK)
        skv_text_add(t, "%lld tokens of a text, of %zu (%s)", (long long)r.length, r.vocabulary.size, name);
    tell_label(&r.label, t);
    skv_free(ctx, name);
    skv_text_recipe_free(&r);
    return status;
}

/* The entry for the only input, or "key:NAME" for one of several. */
static skive_status told(skive_context *ctx, const skive_graph *g, size_t input, const char *key, const char **out) {
    char *full = NULL;
    *out = g->n_inputs == 1 ? skive_graph_meta(g, key) : NULL;
    if (*out) return SKIVE_OK;
    SKV_TRY(skv_asprintf(ctx, &full, "%s:%s", key, g->inputs[input]->name));
    *out = skive_graph_meta(g, full);
    skv_free(ctx, full);
    return SKIVE_OK;
}

skive_status skive_model_recipe_text(skive_context *ctx, const skive_graph *g, size_t input, char **out) {
    SKV_NEED(ctx, "ctx, graph, input, out", ctx, g, g && input < g->n_inputs, out);
    const char *table, *text, *sound;
    skv_text t;
    *out = NULL;
    SKV_TRY(told(ctx, g, input, SKV_META_INPUT_TABLE, &table));
    SKV_TRY(told(ctx, g, input, SKV_META_INPUT_TEXT, &text));
    SKV_TRY(told(ctx, g, input, SKV_META_INPUT_SOUND, &sound));
    skv_text_init(&t, ctx);
    skive_status status = SKIVE_OK;
    if (table) status = tell_table(ctx, table, &t);
    if (status == SKIVE_OK && text) status = tell_text(ctx, text, &t);
    if (status == SKIVE_OK && sound) skv_text_add(&t, "sounds: %s", sound);
    if (status == SKIVE_OK) status = t.status;
    if (status == SKIVE_OK && t.length) status = skv_strdup(ctx, t.data, out);
    skv_text_free(&t);
    return status;
}
