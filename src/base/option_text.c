/* Options of records as text: numbers, ranges and defaults for messages and help, and the text form of values. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_parts.h"

bool skv_parse_number(const char *text, size_t length, double *out) {
    char buffer[64], *end;
    if (length == 0 || length >= sizeof buffer || text[0] == ' ' || text[0] == '\t') return false;
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the program may run with a decimal comma */
    if (!c) return false;
    *out = strtod_l(buffer, &end, c);
    freelocale(c);
    return *end == '\0' && isfinite(*out);
}

void skv_text_add_number(skv_text *t, double value) {
    char text[40];
    const bool whole = value == floor(value) && fabs(value) < 1e9;
    (void)snprintf(text, sizeof text, whole ? "%.0f" : "%.6g", value);
    if (strtod(text, NULL) != value) (void)snprintf(text, sizeof text, "%.17g", value);
    for (char *at = text; *at; at++) {
        if (*at == ',') *at = '.';
    }
    skv_text_add(t, "%s", text);
}

/* ---- what a value may be ---- */

static void describe_range(const skv_option *o, const char *of, skv_text *out) {
    const bool low = isfinite(o->least), high = isfinite(o->most);
    if (low && high && !o->above && !o->below) {
        skv_text_add(out, "between ");
        skv_text_add_number(out, o->least);
        skv_text_add(out, " and ");
        skv_text_add_number(out, o->most);
        return;
    }
    if (low) {
        skv_text_add(out, o->above ? "above " : high ? "from " : "%sat least ", of);
        skv_text_add_number(out, o->least);
    }
    if (!high) return;
    skv_text_add(out, "%s%s",
                 !low       ? ""
                 : o->above ? " and "
                            : " to ",
                 o->below           ? "below "
                 : !low || o->above ? "at most "
                                    : "");
    skv_text_add_number(out, o->most);
}

static void describe_budget(const skv_option *o, skv_text *out) {
    const char *unit = o->unit ? o->unit : "";
    skv_text_add(out, "a fraction of the original ");
    describe_range(o, "", out);
    skv_text_add(out, unit[0] == 's'   ? ", a percentage such as 50%%, or a time such as 1.5ms"
                      : unit[0] == 'B' ? ", a percentage such as 50%%, or a size such as 200k, 1.5M or 200000"
                                       : ", a percentage such as 50%%, or a number such as 200k, 1.5M or 200000");
}

void skv_option_describe(const skv_option *o, bool kind, skv_text *out) {
    const char *name;
    switch (o->type) {
    case SKV_OPTION_SWITCH: skv_text_add(out, "yes or no"); break;
    case SKV_OPTION_INTEGER:
    case SKV_OPTION_REAL:
        if (kind) skv_text_add(out, o->type == SKV_OPTION_INTEGER ? "a whole number " : "a number ");
        describe_range(o, kind ? "of " : "", out);
        break;
    case SKV_OPTION_BUDGET: describe_budget(o, out); break;
    case SKV_OPTION_CHOICE:
        for (size_t i = 0; (name = o->choices(i)); i++)
            skv_text_add(out, "%s%s", !i ? "" : o->choices(i + 1) ? ", " : " or ", name);
        break;
    case SKV_OPTION_RECORD:
        for (size_t i = 0; (name = o->family->name_at(i)); i++)
            skv_text_add(out, "%s%s", !i ? "" : o->family->name_at(i + 1) ? ", " : " or ", name);
        break;
    case SKV_OPTION_LIST: skv_text_add(out, "a list with commas"); break;
    case SKV_OPTION_TEXT: skv_text_add(out, "a text"); break;
    }
}

void skv_option_default_text(const skv_option *o, skv_text *out) {
    if (o->required) return;
    if (o->type == SKV_OPTION_SWITCH) {
        skv_text_add(out, "%s", o->fallback != 0 ? "yes" : "no");
    } else if (o->type == SKV_OPTION_INTEGER || o->type == SKV_OPTION_REAL) {
        if (skv_option_in_range(o, o->fallback)) skv_text_add_number(out, o->fallback); /* otherwise: not set */
    } else if (o->text) {
        skv_text_add(out, "%s", o->text);
    }
}

/* ---- the text form of values ---- */

static void add_escaped(const char *text, bool list, skv_text *out) {
    for (; *text; text++) {
        const bool special = *text == '\\' || (*text == ',' && !list) || (*text == '=' && list);
        skv_text_add(out, special ? "\\%c" : "%c", *text);
    }
}

static bool differs(const skv_option_values *v, size_t i) {
    const skv_option *o = &v->options[i];
    const skv_option_value *x = &v->values[i];
    if (o->required) return x->given;
    if (!x->given) return false;
    if (o->type == SKV_OPTION_BUDGET) return true;
    if (o->type == SKV_OPTION_TEXT || o->type == SKV_OPTION_CHOICE || o->type == SKV_OPTION_LIST ||
        o->type == SKV_OPTION_RECORD)
        return !o->text || strcmp(o->text, v->text + x->text) != 0;
    return x->number != o->fallback;
}

static void add_value(const skv_option_values *v, size_t i, skv_text *out) {
    const skv_option *o = &v->options[i];
    const skv_option_value *x = &v->values[i];
    switch (o->type) {
    case SKV_OPTION_SWITCH: skv_text_add(out, "%s", x->number != 0 ? "yes" : "no"); break;
    case SKV_OPTION_INTEGER: skv_text_add(out, "%lld", (long long)x->integer); break;
    case SKV_OPTION_REAL: skv_text_add_number(out, x->number); break;
    case SKV_OPTION_BUDGET: {
        const bool plain = !(o->unit && *o->unit); /* a whole number above 1 is absolute as it is */
        const bool thousands = x->absolute && plain && !(x->number > 1 && x->number == floor(x->number));
        skv_text_add_number(out, thousands ? x->number / 1e3 : x->number);
        skv_text_add(out, "%s", thousands ? "k" : x->absolute && !plain ? o->unit : "");
        break;
    }
    case SKV_OPTION_TEXT:
    case SKV_OPTION_RECORD:
    case SKV_OPTION_CHOICE: add_escaped(v->text + x->text, false, out); break;
    case SKV_OPTION_LIST: add_escaped(v->text + x->text, true, out); break;
    }
}

void skv_options_format(const skv_option_values *v, bool all, skv_text *out) {
    const size_t start = out->length;
    for (size_t i = 0; i < v->n; i++) {
        if (v->values[i].none || !(all || differs(v, i))) continue;
        skv_text_add(out, "%s%s=", out->length > start ? "," : "", v->options[i].name);
        add_value(v, i, out);
    }
}

static void add_shown(const skv_option *o, skv_text *out) {
    for (const char *at = o->name; *at; at++) skv_text_add(out, "%c", *at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
    if (o->type == SKV_OPTION_LIST) skv_text_add(out, ",...");
}

void skv_options_syntax(const skv_option *options, size_t n, skv_text *out) {
    for (size_t i = 0; i < n; i++) {
        const skv_option *o = &options[i];
        if (!o->required) skv_text_add(out, "[");
        skv_text_add(out, i == 0 ? ":" : ",");
        if (i > 0 || o->type == SKV_OPTION_SWITCH) skv_text_add(out, "%s", o->name);
        if (i > 0 || o->type == SKV_OPTION_SWITCH) skv_text_add(out, "%s", o->type == SKV_OPTION_SWITCH ? "" : "=");
        if (o->type != SKV_OPTION_SWITCH) add_shown(o, out);
        if (!o->required) skv_text_add(out, "]");
    }
}
