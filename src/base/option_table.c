/* Options that are fields of a public struct: the rows of a table, and checks of the struct. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/option_parts.h"

typedef struct walk {
    size_t left;      /* rows to skip */
    const char *name; /* looked for; NULL: any */
} walk;

/* Is the option, the k-th of member m of row `row`, known under a name that came before? */
static bool came_before(const skv_table *t, size_t row, size_t m, size_t k, const char *name) {
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(skv_option_known_as(&t->options[i]), name) == 0) return true;
    }
    for (size_t i = 0; i <= row; i++) {
        const skv_family *f = t->options[i].family;
        for (size_t j = 0; f && f->name_at(j) && (i < row || j <= m); j++) {
            size_t n;
            const skv_option *o = f->options_at(j, &n);
            for (size_t at = 0; at < n && (i < row || j < m || at < k); at++) {
                if ((int)o[at].field != SKV_FIELD_NONE && strcmp(skv_option_known_as(&o[at]), name) == 0) return true;
            }
        }
    }
    return false;
}

static bool stops(walk *w, const skv_option *o) {
    if (w->name) return strcmp(skv_option_known_as(o), w->name) == 0;
    return w->left-- == 0;
}

static const skv_option *find(const skv_table *t, walk *w) {
    for (size_t i = 0; i < t->n; i++) {
        if (stops(w, &t->options[i])) return &t->options[i];
    }
    for (size_t i = 0; i < t->n; i++) {
        const skv_family *f = t->options[i].family;
        for (size_t m = 0; f && f->name_at(m); m++) {
            size_t n;
            const skv_option *o = f->options_at(m, &n);
            for (size_t k = 0; k < n; k++) {
                if ((int)o[k].field == SKV_FIELD_NONE || came_before(t, i, m, k, skv_option_known_as(&o[k]))) continue;
                if (stops(w, &o[k])) return &o[k];
            }
        }
    }
    return NULL;
}

const skv_option *skv_table_at(const skv_table *t, size_t i) { return find(t, &(walk){i, NULL}); }

const skv_option *skv_table_find(const skv_table *t, const char *name) { return find(t, &(walk){0, name}); }

static skive_status resolve_record(skive_context *ctx, const skv_option *o, void *object) {
    skv_option_values v;
    const char *text = skv_option_field_text(o, object);
    size_t index;
    if (!text && !o->text) return SKIVE_OK; /* not set, and need not be */
    if (text && skv_option_is_choice(o, text)) return SKIVE_OK;
    SKV_TRY(skv_option_check_name(ctx, NULL, o, text));
    SKV_TRY(skv_family_pick(ctx, o->family, o->name, text, &index, &v));
    skv_options_store(&v, object);
    for (size_t i = 0; i < v.n; i++)
        if (v.values[i].given && (int)v.options[i].field == SKV_FIELD_NONE) return SKIVE_OK;
    const char *name = o->family->name_at(index);
    memcpy((unsigned char *)object + o->at, &name, sizeof name);
    return SKIVE_OK;
}

static skive_status check_field(skive_context *ctx, const skv_option *o, const void *object) {
    if ((int)o->field == SKV_FIELD_NONE) return SKIVE_OK;
    if (o->type == SKV_OPTION_CHOICE || o->type == SKV_OPTION_LIST || o->type == SKV_OPTION_BUDGET) {
        const char *text = skv_option_field_text(o, object);
        return text ? skv_option_check_name(ctx, NULL, o, text) : SKIVE_OK;
    }
    if (o->type != SKV_OPTION_INTEGER && o->type != SKV_OPTION_REAL) return SKIVE_OK;
    const double x = skv_option_field_number(o, object);
    char given[40];
    if (skv_option_in_range(o, x) && isfinite(x)) return SKIVE_OK;
    if (x == o->fallback) return SKIVE_OK; /* not set, where the default is outside the range */
    (void)snprintf(given, sizeof given, "%g", x);
    return skv_option_fail(ctx, NULL, o, given);
}

skive_status skv_table_resolve(skive_context *ctx, const skv_table *t, void *object) {
    const skv_option *o;
    for (size_t i = 0; i < t->n; i++) {
        if (t->options[i].type == SKV_OPTION_RECORD && (int)t->options[i].field == SKV_FIELD_TEXT)
            SKV_TRY(resolve_record(ctx, &t->options[i], object));
    }
    for (size_t i = 0; (o = skv_table_at(t, i)); i++) SKV_TRY(check_field(ctx, o, object));
    return SKIVE_OK;
}
