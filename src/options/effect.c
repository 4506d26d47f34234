/* Does an option have an effect, as the others are set? What it needs stands in its table (skv_option.needs); what a
 * record's option needs is that record. */
#include <string.h>

#include "options/options.h"

typedef struct site {
    const skv_method *method;
    const skv_structs *structs;
    const skv_section_of_method *section;
} site;

static const void *struct_of(const site *at) { return (const unsigned char *)at->structs + at->section->at; }

/* ---- what must be set ---- */

enum { NAME = 96 };
typedef struct wish {
    char name[NAME]; /* as in the table: with or without section */
    const char *is;  /* what must be chosen; NULL: anything */
    size_t length;   /* of it */
    bool without;
} wish;

/* The wish at the beginning of a text, up to '|' or ','. */
static const char *next_wish(const char *text, wish *out) {
    const size_t all = strcspn(text, "|,");
    *out = (wish){.without = text[0] == '!'};
    const char *from = text + out->without, *equal = memchr(from, '=', (size_t)(text + all - from));
    const size_t n = (size_t)((equal ? equal : text + all) - from);
    if (n < sizeof out->name) memcpy(out->name, from, n);
    if (equal) {
        out->is = equal + 1;
        out->length = (size_t)(text + all - out->is);
    }
    return text + all;
}

static bool is_set(const skv_option *o, const void *object) {
    const char *text = skv_option_field_text(o, object);
    if ((int)o->field == SKV_FIELD_TEXT) return text && *text;
    /* A default outside of the range means none: of a limit, 0 is one. */
    return skv_option_field_number(o, object) != (o->fallback < o->least ? o->fallback : 0);
}

static bool is_chosen(const skv_option *o, const void *object, const char *name, size_t length) {
    const char *text = skv_option_field_text(o, object);
    return text && strcspn(text, ":") == length && memcmp(text, name, length) == 0;
}

/* A name without section is of the section of the option that wishes. */
static const skv_option *find(const site *at, const char *name, site *found) {
    *found = *at;
    return strchr(name, '.') ? skv_method_option(at->method, name, 0, &found->section)
                             : skv_table_find(at->section->table, name);
}

static bool fulfilled(const site *at, const wish *w, bool *known) {
    site of;
    const skv_option *o = find(at, w->name, &of);
    if (!o) return false;
    *known = true;
    const void *object = struct_of(&of);
    return (w->is ? is_chosen(o, object, w->is, w->length) : is_set(o, object)) != w->without;
}

static void add(const site *at, const wish *w, skv_text *out) {
    site of;
    if (!find(at, w->name, &of)) return;
    const char *dot = strchr(w->name, '.');
    skv_text_add(out, "%s%s%s.%s", out->length ? "|" : "", w->without ? "!" : "", of.section->table->name,
                 dot ? dot + 1 : w->name);
    if (w->is) skv_text_add(out, "=%.*s", (int)w->length, w->is);
}

/* Adds the first group of wishes of which none is fulfilled. */
static void lacks(const site *at, const char *needs, skv_text *out) {
    while (needs && *needs && !out->length) {
        const char *group = needs, *end = group;
        bool good = false, known = false;
        wish w;
        do {
            end = next_wish(end, &w);
            good = fulfilled(at, &w, &known) || good;
        } while (*end == '|' && *++end);
        good = good || !known; /* of names that the method does not have nothing is asked */
        for (const char *from = group; !good && from < end; from += *from == '|') {
            from = next_wish(from, &w);
            add(at, &w, out);
        }
        needs = *end ? end + 1 : end;
    }
}

/* ---- records ---- */

static bool among(const skv_option *options, size_t n, const char *known_as) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(skv_option_known_as(&options[i]), known_as) == 0) return true;
    }
    return false;
}

/* The option belongs to records of the family that `row` chooses from, and another record is chosen. Without a choice
 * the data choose. */
static void lacks_record(const site *at, const skv_option *row, const skv_option *o, skv_text *out) {
    const char *text = skv_option_field_text(row, struct_of(at)), *name;
    const size_t chosen = text ? skv_family_find(row->family, text) : SIZE_MAX;
    size_t n = 0;
    if (!text) return;
    if (chosen != SIZE_MAX) {
        const skv_option *options = row->family->options_at(chosen, &n);
        if (among(options, n, skv_option_known_as(o))) return;
    }
    for (size_t i = 0; (name = row->family->name_at(i)); i++) {
        const skv_option *options = row->family->options_at(i, &n);
        if (among(options, n, skv_option_known_as(o)))
            skv_text_add(out, "%s%s.%s=%s", out->length ? "|" : "", at->section->table->name, skv_option_known_as(row),
                         name);
    }
}

/* The record that is chosen has an option in its place. */
static void lacks_place(const site *at, const skv_option *row, const skv_option *o, skv_text *out) {
    const char *text = skv_option_field_text(row, struct_of(at));
    const size_t chosen = text ? skv_family_find(row->family, text) : SIZE_MAX;
    size_t n = 0;
    if (chosen == SIZE_MAX) return;
    const skv_option *options = row->family->options_at(chosen, &n);
    for (size_t i = 0; i < n; i++) {
        if (options[i].instead_of && strcmp(options[i].instead_of, skv_option_known_as(o)) == 0)
            skv_text_add(out, "!%s.%s=%s", at->section->table->name, skv_option_known_as(row),
                         row->family->name_at(chosen));
    }
}

void skv_method_lacks(const skv_method *m, const skv_structs *s, const skv_section_of_method *in, const skv_option *o,
                      skv_text *out) {
    const site at = {m, s, in};
    const skv_table *t = in->table;
    const bool is_row = among(t->options, t->n, skv_option_known_as(o));
    if (!o->always) lacks(&at, in->needs ? in->needs : t->needs, out);
    for (size_t i = 0; i < t->n && !out->length; i++) {
        if (!t->options[i].family || (int)t->options[i].field != SKV_FIELD_TEXT) continue;
        if (is_row)
            lacks_place(&at, &t->options[i], o, out);
        else
            lacks_record(&at, &t->options[i], o, out);
    }
    lacks(&at, o->needs, out);
}
