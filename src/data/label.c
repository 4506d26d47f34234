/* Labels in a column of text: what they are, and each sample's. */
#include "data/label.h"

#include <math.h>
#include <string.h>

enum { LISTED = 12 };

/* ---- numbers ---- */

void skv_cell_trim(const char **text, size_t *length) {
    while (*length && (**text == ' ' || **text == '\t')) {
        ++*text;
        --*length;
    }
    while (*length && ((*text)[*length - 1] == ' ' || (*text)[*length - 1] == '\t')) --*length;
}

/* "-12.345" with at most 15 digits: an integer and a power of ten that doubles hold exactly, so that one division gives
 * the number that strtod gives. */
static bool short_number(const char *text, size_t length, double *out) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t i = length > 0 && (text[0] == '-' || text[0] == '+'), digits = 0, behind = 0;
    bool point = false;
    int64_t value = 0;
    for (; i < length; i++) {
        const char c = text[i];
        if (c == '.' && !point) {
            point = true;
        } else if (c >= '0' && c <= '9' && digits < 15) {
            value = 10 * value + (c - '0');
            digits++;
            behind += point;
        } else {
            return false;
        }
    }
    *out = (double)value / powers[behind];
    if (text[0] == '-') *out = -*out;
    return digits > 0;
}

bool skv_cell_number(const char *text, size_t length, double *out) {
    skv_cell_trim(&text, &length);
    if (length > 0 && short_number(text, length, out)) return true;
    for (size_t i = 0; i < length; i++) { /* no hexadecimal numbers, no infinity */
        if (!strchr("+-.0123456789eE", text[i])) return false;
    }
    return skv_parse_number(text, length, out) && fabs(*out) <= 3.4028234663852886e38;
}

bool skv_cell_has_decimal_comma(const char *text, size_t length) {
    char copy[64];
    double value;
    size_t commas = 0;
    skv_cell_trim(&text, &length);
    if (length >= sizeof copy) return false;
    for (size_t i = 0; i < length; i++) {
        copy[i] = text[i] == ',' ? '.' : text[i];
        commas += text[i] == ',';
    }
    return commas == 1 && skv_cell_number(copy, length, &value);
}

/* ---- looking ---- */

void skv_label_init(skv_label *l, skive_context *ctx) {
    *l = (skv_label){.ctx = ctx};
    skv_words_init(&l->names, ctx);
}

void skv_label_free(skv_label *l) {
    if (!l->ctx) return;
    skv_free(l->ctx, l->column);
    skv_words_free(&l->names);
    skv_label_init(l, l->ctx);
}

void skv_label_facts_init(skv_label_facts *f, skive_context *ctx) {
    *f = (skv_label_facts){.whole = true, .least = INFINITY, .most = -INFINITY};
    skv_words_init(&f->texts, ctx);
}

void skv_label_facts_free(skv_label_facts *f) { skv_words_free(&f->texts); }

skive_status skv_label_look(skv_label_facts *f, const char *text, size_t length, size_t row) {
    double value;
    skv_cell_trim(&text, &length);
    f->rows++;
    if (skv_cell_number(text, length, &value)) {
        f->numbers++;
        f->whole = f->whole && value == floor(value) && value >= 0 && value < SKV_MAX_CLASSES;
        f->least = value < f->least ? value : f->least;
        f->most = value > f->most ? value : f->most;
    } else if (f->others++ == 0) {
        f->first_other = row;
    }
    return f->texts.n <= SKV_MAX_CLASSES ? skv_words_add(&f->texts, text, length, 1, NULL) : SKIVE_OK;
}

/* ---- deciding ---- */

/* Do whole numbers from 0 or 1 to the largest all occur? */
static skive_status count_without_gap(skive_context *ctx, const skv_label_facts *f, bool *out) {
    uint8_t *seen = NULL;
    size_t distinct = 0;
    *out = false;
    if (!f->whole || f->least > 1 || f->most < 1 || f->most > (double)f->rows) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)f->most + 1, 1, &seen));
    for (size_t i = 0; i < f->texts.n; i++) {
        double value = 0;
        (void)skv_cell_number(f->texts.list[i].text, f->texts.list[i].length, &value);
        distinct += !seen[(size_t)value];
        seen[(size_t)value] = 1;
    }
    skv_free(ctx, seen);
    *out = distinct > 1 && distinct == (size_t)(f->most - f->least) + 1;
    return SKIVE_OK;
}

static void tell_classes(skive_context *ctx, const char *spec, const skv_label *l, const char *advice) {
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < l->names.n && i < LISTED; i++)
        skv_text_add(&t, "%s%.*s (%llu)", i ? ", " : "", skv_utf8_prefix(l->names.list[i].text, 40),
                     l->names.list[i].text, (unsigned long long)l->names.list[i].count);
    if (l->names.n > LISTED) skv_text_add(&t, " and %zu more", l->names.n - LISTED);
    if (t.status == SKIVE_OK)
        skv_note(ctx, "%s: label '%s': classification, %lld classes: %s%s", spec, l->column, (long long)l->classes,
                 t.data ? t.data : "", advice);
    skv_text_free(&t);
}

/* Numbers as values, or as numbers of classes; `why` ends the note. */
static skive_status take_values(skive_context *ctx, const char *spec, const skv_label_facts *f, const char *why,
                                skv_label *l) {
    l->type = SKV_LABEL_VALUES;
    skv_note(ctx, "%s: label '%s': regression, values from %.6g to %.6g%s", spec, l->column, f->least, f->most, why);
    return SKIVE_OK;
}

static skive_status take_names(skive_context *ctx, const char *spec, skv_label_facts *f, const char *advice,
                               skv_label *l) {
    if (f->texts.n > SKV_MAX_CLASSES)
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, spec, "%s: label '%s' has more than %d different texts", spec,
                           l->column, (int)SKV_MAX_CLASSES);
    l->names = f->texts;
    skv_words_init(&f->texts, ctx);
    SKV_TRY(skv_words_sort(&l->names));
    l->type = SKV_LABEL_NAMES;
    l->classes = (int64_t)l->names.n;
    tell_classes(ctx, spec, l, advice);
    return SKIVE_OK;
}

skive_status skv_label_decide(skive_context *ctx, const char *spec, const skive_dataset_options *o, skv_label_facts *f,
                              skv_label *l) {
    const int64_t scores = o->model ? skv_model_scores(ctx, o->model) : -1;
    bool count = false;
    if (f->others && o->targets == SKIVE_TARGETS_VALUES)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, spec,
                           "%s: row %zu, column '%s': is not a number, so the labels cannot be fitted as values", spec,
                           f->first_other, l->column);
    if (f->others && f->numbers)
        return take_names(ctx, spec, f, "; some are numbers and some are not: all are used as names", l);
    if (f->others) return take_names(ctx, spec, f, "", l);
    if (o->targets == SKIVE_TARGETS_VALUES) return take_values(ctx, spec, f, "", l);
    SKV_TRY(count_without_gap(ctx, f, &count));
    bool classes = o->targets == SKIVE_TARGETS_CLASSES || count;
    if (o->targets == SKIVE_TARGETS_AUTO && scores == 1) classes = false;
    if (o->targets == SKIVE_TARGETS_AUTO && scores > 1) classes = f->whole && f->most < (double)scores;
    const char *advice = o->targets == SKIVE_TARGETS_CLASSES ? "" : " (--targets float fits them as values)";
    if (!classes) return take_values(ctx, spec, f, f->whole ? " (--targets class uses them as classes)" : "", l);
    if (f->whole && ((count && f->least == 0) || scores > 1)) {
        l->type = SKV_LABEL_NUMBERS;
        l->classes = (int64_t)f->most + 1;
        skv_note(ctx, "%s: label '%s': classification, %lld classes with the numbers 0 to %lld%s", spec, l->column,
                 (long long)l->classes, (long long)f->most, advice);
        return SKIVE_OK;
    }
    return take_names(ctx, spec, f, advice, l);
}

/* ---- samples ---- */

skive_status skv_label_prepare(skive_context *ctx, const skv_label *l, const skive_dataset_options *o,
                               skive_dataset *ds) {
    if (l->type == SKV_LABEL_NONE) return SKIVE_OK;
    if (l->type == SKV_LABEL_VALUES) {
        ds->target_rank = 0;
        ds->target_size = 1;
        return skv_alloc_array(ctx, ds->total, sizeof *ds->targets, &ds->targets);
    }
    if (o->classes && o->classes < l->classes)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, ds->spec, "%s: label '%s' has %lld classes, not %lld", ds->spec,
                           l->column, (long long)l->classes, (long long)o->classes);
    SKV_TRY(skv_alloc_array(ctx, ds->total, sizeof *ds->labels, &ds->labels));
    ds->classes = l->type == SKV_LABEL_NUMBERS && o->classes ? o->classes : l->classes;
    if (l->type == SKV_LABEL_NUMBERS) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, l->names.n, sizeof *ds->class_names, &ds->class_names));
    for (size_t i = 0; i < l->names.n; i++) SKV_TRY(skv_strdup(ctx, l->names.list[i].text, &ds->class_names[i]));
    return SKIVE_OK;
}

static skive_status unknown_class(skive_context *ctx, const skv_label *l, const char *text, size_t length,
                                  const char *path, const char *where) {
    skv_text t;
    skv_text_init(&t, ctx);
    if (l->type == SKV_LABEL_NUMBERS) {
        skv_text_add(&t, "the classes are the numbers 0 to %lld", (long long)l->classes - 1);
    } else {
        skv_text_add(&t, "the classes are ");
        for (size_t i = 0; i < l->names.n && i < LISTED; i++)
            skv_text_add(&t, "%s%.*s", i ? ", " : "", skv_utf8_prefix(l->names.list[i].text, 40),
                         l->names.list[i].text);
        if (l->names.n > LISTED) skv_text_add(&t, " and %zu more", l->names.n - LISTED);
    }
    const skive_status status =
        t.status == SKIVE_OK
            ? skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s, column '%s': there is no class '%.*s'; %s", where, l->column,
                          skv_utf8_prefix(text, length < 60 ? length : 60), text, t.data)
            : t.status;
    skv_text_free(&t);
    return status;
}

skive_status skv_label_set(skive_context *ctx, const skv_label *l, skive_dataset *ds, size_t i, const char *text,
                           size_t length, const char *path, const char *where) {
    double value;
    skv_cell_trim(&text, &length);
    if (l->type == SKV_LABEL_NONE) return SKIVE_OK;
    if (l->type == SKV_LABEL_NAMES) {
        const uint32_t found = skv_words_find(&l->names, text, length);
        if (found == SKV_NO_WORD) return unknown_class(ctx, l, text, length, path, where);
        ds->labels[i] = (int32_t)found;
        return SKIVE_OK;
    }
    const bool number = skv_cell_number(text, length, &value);
    if (l->type == SKV_LABEL_NUMBERS) {
        if (!number || value != floor(value) || value < 0 || value >= (double)ds->classes)
            return unknown_class(ctx, l, text, length, path, where);
        ds->labels[i] = (int32_t)value;
        return SKIVE_OK;
    }
    if (!number)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s, column '%s': '%.*s' is not a number%s", where, l->column,
                           skv_utf8_prefix(text, length < 60 ? length : 60), text,
                           skv_cell_has_decimal_comma(text, length) ? "; write a decimal point, not a comma" : "");
    ds->targets[i] = (float)value;
    return SKIVE_OK;
}

/* ---- the recipe ---- */

void skv_label_write(const skv_label *l, skv_text *t) {
    if (l->type == SKV_LABEL_NONE) return;
    skv_recipe_string(t, "label");
    skv_recipe_string(t, l->column);
    skv_recipe_string(t, l->type == SKV_LABEL_VALUES ? "values" : l->type == SKV_LABEL_NUMBERS ? "numbers" : "names");
    if (l->type == SKV_LABEL_NUMBERS) skv_recipe_number(t, (double)l->classes);
    for (size_t i = 0; i < l->names.n; i++) skv_recipe_field(t, l->names.list[i].text, l->names.list[i].length);
    skv_recipe_end(t);
}

skive_status skv_label_read(skv_recipe *r, skv_label *l) {
    double classes = 0;
    if (r->n < 3 || l->column) return skv_recipe_damaged(r);
    SKV_TRY(skv_strdup(r->ctx, r->fields[1], &l->column));
    if (strcmp(r->fields[2], "values") == 0 && r->n == 3) {
        l->type = SKV_LABEL_VALUES;
        return SKIVE_OK;
    }
    if (strcmp(r->fields[2], "numbers") == 0 && r->n == 4 && skv_cell_number(r->fields[3], r->lengths[3], &classes) &&
        classes >= 1 && classes <= SKV_MAX_CLASSES) {
        l->type = SKV_LABEL_NUMBERS;
        l->classes = (int64_t)classes;
        return SKIVE_OK;
    }
    if (strcmp(r->fields[2], "names") != 0 || r->n - 3 > SKV_MAX_CLASSES || r->n < 4) return skv_recipe_damaged(r);
    l->type = SKV_LABEL_NAMES;
    for (size_t i = 3; i < r->n; i++) SKV_TRY(skv_words_add(&l->names, r->fields[i], r->lengths[i], 1, NULL));
    l->classes = (int64_t)l->names.n;
    return l->names.n == r->n - 3 ? SKIVE_OK : skv_recipe_damaged(r);
}
