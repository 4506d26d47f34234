/* The text of recipes: lines of fields. */
#include "data/recipe.h"

#include "data/feed.h"

#include <string.h>

#include "base/option.h"
#include "graph/graph.h"
#include "graph/meta_keys.h"

/* ---- writing ---- */

void skv_recipe_field(skv_text *t, const char *text, size_t length) {
    if (t->length && t->data[t->length - 1] != '\n') skv_text_add(t, "\t");
    for (size_t i = 0; i < length;) {
        const size_t plain = strcspn(text + i, "\t\n\r\\");
        const size_t n = plain < length - i ? plain : length - i;
        if (n) skv_text_add(t, "%.*s", (int)n, text + i);
        i += n;
        if (i == length) break;
        skv_text_add(t, "\\%c", text[i] == '\t' ? 't' : text[i] == '\n' ? 'n' : text[i] == '\r' ? 'r' : '\\');
        i++;
    }
}

void skv_recipe_string(skv_text *t, const char *text) { skv_recipe_field(t, text, strlen(text)); }

void skv_recipe_number(skv_text *t, double value) {
    if (t->length && t->data[t->length - 1] != '\n') skv_text_add(t, "\t");
    skv_text_add_number(t, value);
}

void skv_recipe_end(skv_text *t) { skv_text_add(t, "\n"); }

/* ---- reading ---- */

bool skv_recipe_is(const char *text, const char *kind) {
    const size_t n = strlen(kind);
    return text && strncmp(text, "kind\t", 5) == 0 && strncmp(text + 5, kind, n) == 0 && text[5 + n] == '\n';
}

skive_status skv_recipe_open(skive_context *ctx, const char *text, const char *kind, skv_recipe *out) {
    bool more = false;
    *out = (skv_recipe){.ctx = ctx};
    SKV_TRY(skv_strdup(ctx, text, &out->text));
    out->next = out->text;
    skive_status status = skv_recipe_line(out, &more);
    if (status == SKIVE_OK &&
        !(more && out->n == 2 && strcmp(out->fields[0], "kind") == 0 && strcmp(out->fields[1], kind) == 0))
        status = skv_recipe_damaged(out);
    if (status != SKIVE_OK) skv_recipe_close(out);
    return status;
}

void skv_recipe_close(skv_recipe *r) {
    if (!r->ctx) return;
    skv_free(r->ctx, r->text);
    skv_free(r->ctx, r->fields);
    skv_free(r->ctx, r->lengths);
    *r = (skv_recipe){.ctx = r->ctx};
}

static skive_status add_field(skv_recipe *r, char *text, size_t length) {
    if (r->n == r->capacity) {
        const size_t more = r->capacity ? 2 * r->capacity : 16;
        SKV_TRY(skv_grow(r->ctx, &r->fields, r->n, more, sizeof *r->fields));
        SKV_TRY(skv_grow(r->ctx, &r->lengths, r->n, more, sizeof *r->lengths));
        r->capacity = more;
    }
    r->fields[r->n] = text;
    r->lengths[r->n++] = length;
    return SKIVE_OK;
}

skive_status skv_recipe_line(skv_recipe *r, bool *more) {
    char *from = r->next, *to = from, *start = from;
    r->n = 0;
    *more = *from != '\0';
    if (!*more) return SKIVE_OK;
    for (;; from++) {
        if (*from == '\\' && from[1]) {
            from++;
            *to++ = *from == 't' ? '\t' : *from == 'n' ? '\n' : *from == 'r' ? '\r' : *from;
            continue;
        }
        const char c = *from;
        if (c != '\t' && c != '\n' && c) {
            *to++ = c;
            continue;
        }
        SKV_TRY(add_field(r, start, (size_t)(to - start)));
        *to++ = '\0';
        start = to = from + 1;
        if (c == '\t') continue;
        r->next = from + (c != '\0');
        return SKIVE_OK;
    }
}

skive_status skv_recipe_damaged(skv_recipe *r) {
    return skv_fail_at(
        r->ctx, SKIVE_ERR_FORMAT, "recipe",
        "the recipe of the data in the model's metadata (skive.input.table or skive.input.text) is damaged "
        "at '%.*s'",
        r->n ? skv_utf8_prefix(r->fields[0], 40) : 0, r->n ? r->fields[0] : "");
}

/* ---- comparing ---- */

/* A line that says what a column is called. */
static bool is_name(const char *line) { return strncmp(line, "label\t", 6) == 0 || strncmp(line, "column\t", 7) == 0; }

/* The next line that is about the samples, and moves behind it. */
static const char *sample_line(const char **at, size_t *length) {
    while (**at) {
        const char *line = *at;
        *length = strcspn(line, "\n");
        *at = line + *length + (line[*length] == '\n');
        if (!is_name(line)) return line;
    }
    *length = 0;
    return NULL;
}

const char *skv_recipe_difference(const char *a, const char *b, size_t *length) {
    for (;;) {
        size_t n, other;
        const char *x = sample_line(&a, &n), *y = sample_line(&b, &other);
        if (!x && !y) return NULL;
        if (x && y && n == other && memcmp(x, y, n) == 0) continue;
        *length = x ? n : other;
        return x ? x : y;
    }
}

skive_status skv_recipe_check(skive_context *ctx, const skive_graph *g, size_t input, const char *recipe) {
    const char *key = skv_recipe_is(recipe, "table")  ? SKV_META_INPUT_TABLE
                      : skv_recipe_is(recipe, "text") ? SKV_META_INPUT_TEXT
                                                      : NULL;
    const char *own = key ? skv_recipe_in_model(g, g->inputs[input]->name, key) : NULL;
    size_t length = 0;
    const char *odd = own ? skv_recipe_difference(own, recipe, &length) : NULL;
    if (!odd) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, key,
                       "the model takes other samples than the data set makes: its recipe (metadata entry %s) differs, "
                       "first in the line '%.*s'",
                       key, skv_utf8_prefix(odd, length < 80 ? length : 80), odd);
}
