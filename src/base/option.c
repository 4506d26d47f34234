/* Options of records: defaults, values from their text form, checks. */
#include "base/option.h"
#include "base/option_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t skv_option_index(const skv_option *options, size_t n, const char *name) {
    size_t i = 0;
    while (i < n && strcmp(options[i].name, name) != 0) i++;
    return i;
}

/* ---- failures ---- */

skive_status skv_option_fail(skive_context *ctx, const char *owner, const skv_option *o, const char *given) {
    skv_text wanted, fallback;
    double x;
    skv_text_init(&wanted, ctx);
    skv_text_init(&fallback, ctx);
    const bool number = skv_parse_number(given, strlen(given), &x) || strstr(given, "nan") || strstr(given, "inf");
    skv_option_describe(o, !number || (o->type == SKV_OPTION_INTEGER && x != floor(x)), &wanted);
    skv_option_default_text(o, &fallback);
    skive_status status = wanted.status != SKIVE_OK ? wanted.status : fallback.status;
    if (status == SKIVE_OK) {
        const bool has = fallback.length > 0;
        const char *name = owner ? o->name : skv_option_known_as(o);
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner ? owner : name, "%s%s%s is %.*s; it must be %s%s%s%s",
                             owner ? owner : "", owner ? ": " : "", name, skv_utf8_prefix(given, 200), given,
                             wanted.data, has ? " (default " : "", has ? fallback.data : "", has ? ")" : "");
    }
    skv_text_free(&wanted);
    skv_text_free(&fallback);
    return status;
}

static skive_status fail_name(skive_context *ctx, const char *owner, const skv_option *options, size_t n,
                              const char *given) {
    const char *names[SKV_MOST_OPTIONS];
    skv_text known;
    if (n == 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner, "%s takes no options, and '%.*s' is given", owner,
                           skv_utf8_prefix(given, 200), given);
    skv_text_init(&known, ctx);
    for (size_t i = 0; i < n && i < SKV_MOST_OPTIONS; i++) {
        names[i] = options[i].name;
        skv_text_add(&known, "%s%s", i ? ", " : "", options[i].name);
    }
    const char *near = skive_nearest_name(given, names, n < SKV_MOST_OPTIONS ? n : SKV_MOST_OPTIONS);
    skive_status status = known.status;
    if (status == SKIVE_OK)
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner, "%s has no option '%.*s'%s%s%s: %s", owner,
                             skv_utf8_prefix(given, 200), given, near ? "; did you mean '" : "", near ? near : "",
                             near ? "'? There are" : "; there are", known.data);
    skv_text_free(&known);
    return status;
}

/* ---- values ---- */

static bool is_text(const skv_option *o) {
    return o->type == SKV_OPTION_TEXT || o->type == SKV_OPTION_CHOICE || o->type == SKV_OPTION_LIST ||
           o->type == SKV_OPTION_RECORD;
}

bool skv_option_in_range(const skv_option *o, double x) {
    return (o->above ? x > o->least : x >= o->least) && (o->below ? x < o->most : x <= o->most);
}

static bool read_switch(const char *text, double *out) {
    static const char *const words[][2] = {{"no", "yes"}, {"off", "on"}, {"false", "true"}, {"0", "1"}};
    for (size_t i = 0; i < SKV_LENGTH(words); i++) {
        for (int k = 0; k < 2; k++) {
            if (strcmp(text, words[i][k]) != 0) continue;
            *out = k;
            return true;
        }
    }
    return false;
}

static bool read_integer(const char *text, int64_t *out) {
    char *end;
    const size_t digits = strspn(text, "+-0123456789");
    if (!digits || text[digits] || digits > 20) return false;
    const double near = strtod(text, &end);
    if (*end || !(fabs(near) < 9.2e18)) return false;
    *out = strtoll(text, &end, 10);
    return *end == '\0';
}

typedef struct unit {
    const char *name, *of; /* of: "" any count and bytes, "B" bytes only, "s" times */
    double factor;
} unit;

static const unit units[] = {
    {"k", "", 1e3},       {"K", "", 1e3},       {"M", "", 1e6},    {"G", "", 1e9},    {"kB", "B", 1e3},
    {"KB", "B", 1e3},     {"MB", "B", 1e6},     {"GB", "B", 1e9},  {"B", "B", 1},     {"KiB", "B", 1024},
    {"MiB", "B", 0x1p20}, {"GiB", "B", 0x1p30}, {"us", "s", 1e-6}, {"ms", "s", 1e-3}, {"s", "s", 1},
};

static bool unit_fits(const unit *u, const char *kind) {
    return kind[0] == 's' ? u->of[0] == 's' : !u->of[0] || (u->of[0] == 'B' && kind[0] == 'B');
}

static bool read_budget(const skv_option *o, const char *text, skv_option_value *out) {
    const size_t digits = strspn(text, "+-.0123456789eE"), length = strlen(text);
    const char *rest = text + digits;
    double x;
    if (!skv_parse_number(text, digits, &x)) return false;
    const bool count = !o->unit || o->unit[0] != 's';
    if (!*rest && count && x > 1 && x == floor(x)) { /* no fraction: so many of what is counted */
        out->number = x;
        out->absolute = true;
        return true;
    }
    if (!*rest || strcmp(rest, "%") == 0) {
        out->number = length > digits ? x / 100 : x;
        out->absolute = false;
        return skv_option_in_range(o, out->number);
    }
    for (size_t i = 0; i < SKV_LENGTH(units); i++) {
        if (strcmp(units[i].name, rest) != 0 || !unit_fits(&units[i], o->unit ? o->unit : "")) continue;
        out->number = x * units[i].factor;
        out->absolute = true;
        return x > 0 && isfinite(out->number);
    }
    return false;
}

bool skv_option_is_choice(const skv_option *o, const char *text) {
    const char *name;
    if (!o->choices || !text) return false;
    for (size_t i = 0; (name = o->choices(i)); i++) {
        if (strcmp(name, text) == 0) return true;
    }
    return false;
}

/* Keeps a text, `more`: behind a comma at the end of the one that the value has. */
static bool keep_text(skv_option_values *v, skv_option_value *out, const char *text, bool more) {
    const size_t length = strlen(text), room = sizeof v->text - v->text_used;
    if (length + 2 > room) return false;
    if (more) { /* it is the last one that was kept */
        v->text[v->text_used - 1] = ',';
    } else {
        out->text = (uint16_t)v->text_used;
    }
    memcpy(v->text + v->text_used, text, length + 1);
    v->text_used += length + 1;
    out->none = false;
    return true;
}

/* Each of a list's items; the first that is no choice is named. */
static skive_status check_list(skive_context *ctx, const char *owner, const skv_option *o, const char *text) {
    char item[SKV_OPTION_TEXT_ROOM];
    const char *subject = owner ? owner : skv_option_known_as(o);
    for (const char *at = text; o->choices && at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        (void)snprintf(item, sizeof item, "%.*s", (int)strcspn(at, ","), at);
        if (!skv_option_is_choice(o, item))
            return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, subject, o->what ? o->what : o->name, item, o->choices);
    }
    return SKIVE_OK;
}

skive_status skv_option_check_name(skive_context *ctx, const char *owner, const skv_option *o, const char *text) {
    skv_option_value v;
    if (o->type == SKV_OPTION_LIST) return check_list(ctx, owner, o, text);
    if (o->type == SKV_OPTION_BUDGET) return read_budget(o, text, &v) ? SKIVE_OK : skv_option_fail(ctx, owner, o, text);
    if (skv_option_is_choice(o, text)) return SKIVE_OK;
    const char *name = owner ? o->name : skv_option_known_as(o), *subject = owner ? owner : name;
    if (o->family && (skv_family_find(o->family, text) != SIZE_MAX || !o->choices))
        return skv_family_pick(ctx, o->family, subject, text, NULL, NULL);
    const skive_status status = skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, subject,
                                                 o->family ? o->family->what
                                                 : o->what ? o->what
                                                           : o->name,
                                                 text, o->choices);
    return owner ? skv_fail_prefix(ctx, status, "%s", owner) : status;
}

static skive_status read_value(skive_context *ctx, const char *owner, skv_option_values *v, size_t index,
                               const char *text, bool more) {
    const skv_option *o = &v->options[index];
    skv_option_value *out = &v->values[index];
    bool good = true;
    switch (o->type) {
    case SKV_OPTION_SWITCH: good = read_switch(text, &out->number); break;
    case SKV_OPTION_INTEGER:
        good = read_integer(text, &out->integer);
        out->number = (double)out->integer;
        break;
    case SKV_OPTION_REAL: good = skv_parse_number(text, strlen(text), &out->number); break;
    case SKV_OPTION_BUDGET: good = read_budget(o, text, out); break;
    case SKV_OPTION_LIST:
    case SKV_OPTION_CHOICE:
    case SKV_OPTION_RECORD: SKV_TRY(skv_option_check_name(ctx, owner, o, text)); break;
    case SKV_OPTION_TEXT: break;
    }
    if (good && (o->type == SKV_OPTION_INTEGER || o->type == SKV_OPTION_REAL))
        good = skv_option_in_range(o, out->number);
    if (!good) return skv_option_fail(ctx, owner, o, text);
    /* A budget that is the field of a struct stays a text there, for whoever knows the original. */
    const bool kept = is_text(o) || (o->type == SKV_OPTION_BUDGET && (int)o->field == SKV_FIELD_TEXT);
    if (kept && !keep_text(v, out, text, more))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner, "%s: the value of %s is too long", owner, o->name);
    out->given = true;
    out->none = false;
    return SKIVE_OK;
}

skive_status skv_option_set(skive_context *ctx, const char *owner, skv_option_values *v, size_t index,
                            const char *value) {
    return read_value(ctx, owner, v, index, value, false);
}

void skv_options_default(const skv_option *options, size_t n, skv_option_values *out) {
    if (n > SKV_MOST_OPTIONS) n = SKV_MOST_OPTIONS;
    *out = (skv_option_values){.options = options, .n = n};
    for (size_t i = 0; i < n; i++) {
        const skv_option *o = &options[i];
        skv_option_value *v = &out->values[i];
        if (o->type == SKV_OPTION_BUDGET) {
            v->none = !o->text || !read_budget(o, o->text, v);
        } else if (is_text(o)) {
            v->none = !o->text || !keep_text(out, v, o->text, false);
        } else if (!o->required) {
            v->number = o->fallback;
            v->integer = o->type == SKV_OPTION_INTEGER ? (int64_t)o->fallback : 0;
        }
    }
}

/* ---- the text form ---- */

/* The next item up to a comma into `item`, without escapes; *equals is where its name ends, or 0. */
static const char *next_item(const char *text, char *item, size_t room, size_t *equals) {
    size_t n = 0;
    *equals = 0;
    for (; *text && *text != ','; text++) {
        const bool escaped = *text == '\\' && (text[1] == ',' || text[1] == '\\' || text[1] == '=');
        if (escaped) text++;
        if (n + 1 >= room) return NULL;
        if (*text == '=' && !escaped && !*equals) *equals = n;
        item[n++] = *text;
    }
    item[n] = '\0';
    return text;
}

skive_status skv_options_parse(skive_context *ctx, const char *owner, const skv_option *options, size_t n,
                               const char *text, skv_option_values *out) {
    char item[SKV_OPTION_TEXT_ROOM];
    size_t list = SIZE_MAX; /* the list that a value without a name continues */
    skv_options_default(options, n, out);
    for (size_t position = 0; text && *text; position++) {
        size_t equals, index;
        const char *end = next_item(text, item, sizeof item, &equals), *value = item;
        bool more = false;
        if (!end) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner, "%s: an option is too long", owner);
        if (end[0] == ',' && !end[1])
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner, "%s: nothing stands after the last comma", owner);
        if (equals) {
            item[equals] = '\0';
            value = item + equals + 1;
            index = skv_option_index(options, n, item);
        } else {
            index = skv_option_index(options, n, item);
            if (index < n && options[index].type == SKV_OPTION_SWITCH) {
                value = "yes";
            } else if (list < n) {
                index = list;
                more = true;
            } else {
                index = position == 0 && n > 0 && options[0].type != SKV_OPTION_SWITCH ? 0 : n;
            }
        }
        if (index >= n) return fail_name(ctx, owner, options, n, item);
        if (out->values[index].given && !more)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner, "%s: %s is given twice", owner, options[index].name);
        SKV_TRY(read_value(ctx, owner, out, index, value, more));
        list = options[index].type == SKV_OPTION_LIST ? index : SIZE_MAX;
        text = *end ? end + 1 : end;
    }
    for (size_t i = 0; i < out->n; i++) {
        if (options[i].required && !out->values[i].given) return skv_option_fail(ctx, owner, &options[i], "not given");
    }
    return SKIVE_OK;
}

/* ---- reading ---- */

const skv_option_value *skv_option_value_of(const skv_option_values *v, const char *name) {
    static const skv_option_value nothing = {.none = true};
    const size_t i = skv_option_index(v->options, v->n, name);
    return i < v->n ? &v->values[i] : &nothing;
}

bool skv_option_on(const skv_option_values *v, const char *name) { return skv_option_value_of(v, name)->number != 0; }

int64_t skv_option_integer(const skv_option_values *v, const char *name) {
    return skv_option_value_of(v, name)->integer;
}

double skv_option_real(const skv_option_values *v, const char *name) { return skv_option_value_of(v, name)->number; }

bool skv_option_given(const skv_option_values *v, const char *name) { return skv_option_value_of(v, name)->given; }

const char *skv_option_text(const skv_option_values *v, const char *name) {
    const skv_option_value *value = skv_option_value_of(v, name);
    return value->none ? NULL : v->text + value->text;
}

double skv_option_budget(const skv_option_values *v, const char *name, double original) {
    const skv_option_value *value = skv_option_value_of(v, name);
    return value->none ? original : value->absolute ? value->number : value->number * original;
}

/* ---- fields of a struct ---- */

static void store(const skv_option *o, const skv_option_values *v, const skv_option_value *value, void *object) {
    unsigned char *to = (unsigned char *)object + o->at;
    const bool on = value->number != 0;
    const int small = (int)value->integer;
    const size_t size = (size_t)value->integer;
    const char *text = value->none ? NULL : v->text + value->text;
    switch ((int)o->field) {
    case SKV_FIELD_BOOL: memcpy(to, &on, sizeof on); break;
    case SKV_FIELD_NOT: memcpy(to, &(const bool){!on}, sizeof on); break;
    case SKV_FIELD_INT: memcpy(to, &small, sizeof small); break;
    case SKV_FIELD_INT64:
    case SKV_FIELD_UINT64: memcpy(to, &value->integer, sizeof value->integer); break;
    case SKV_FIELD_SIZE: memcpy(to, &size, sizeof size); break;
    case SKV_FIELD_DOUBLE: memcpy(to, &value->number, sizeof value->number); break;
    case SKV_FIELD_TEXT: memcpy(to, &text, sizeof text); break;
    case SKV_FIELD_ENUM:
        for (int i = 0; text && o->choices((size_t)i); i++)
            if (strcmp(o->choices((size_t)i), text) == 0) memcpy(to, &i, sizeof i);
        break;
    default: break;
    }
}

void skv_options_store(const skv_option_values *v, void *object) {
    for (size_t i = 0; i < v->n; i++) {
        if (v->values[i].given) store(&v->options[i], v, &v->values[i], object);
    }
}

double skv_option_field_number(const skv_option *o, const void *object) {
    const unsigned char *from = (const unsigned char *)object + o->at;
    bool on = false;
    int small = 0;
    int64_t wide = 0;
    uint64_t positive = 0;
    size_t size = 0;
    double real = 0;
    switch ((int)o->field) {
    case SKV_FIELD_BOOL: return memcpy(&on, from, sizeof on), on;
    case SKV_FIELD_NOT: return memcpy(&on, from, sizeof on), !on;
    case SKV_FIELD_INT: return memcpy(&small, from, sizeof small), small;
    case SKV_FIELD_INT64: return memcpy(&wide, from, sizeof wide), (double)wide;
    case SKV_FIELD_UINT64: return memcpy(&positive, from, sizeof positive), (double)positive;
    case SKV_FIELD_SIZE: return memcpy(&size, from, sizeof size), (double)size;
    case SKV_FIELD_DOUBLE: return memcpy(&real, from, sizeof real), real;
    default: return 0;
    }
}

const char *skv_option_field_text(const skv_option *o, const void *object) {
    const char *text = NULL;
    int number = 0;
    if ((int)o->field == SKV_FIELD_ENUM) {
        memcpy(&number, (const unsigned char *)object + o->at, sizeof number);
        return number >= 0 ? o->choices((size_t)number) : NULL;
    }
    if ((int)o->field == SKV_FIELD_TEXT) memcpy(&text, (const unsigned char *)object + o->at, sizeof text);
    return text;
}

/* ---- families ---- */

size_t skv_family_find(const skv_family *f, const char *text) {
    const size_t length = text ? strcspn(text, ":") : 0;
    const char *name;
    for (size_t i = 0; (name = f->name_at(i)); i++) {
        if (text && strlen(name) == length && memcmp(name, text, length) == 0) return i;
    }
    return SIZE_MAX;
}

skive_status skv_family_pick(skive_context *ctx, const skv_family *f, const char *subject, const char *text,
                             size_t *index, skv_option_values *out) {
    char owner[160];
    skv_option_values unused;
    const size_t length = text ? strcspn(text, ":") : 0, i = skv_family_find(f, text);
    size_t n;
    if (!text || i == SIZE_MAX) {
        (void)snprintf(owner, sizeof owner, "%.*s", (int)(length < 150 ? length : 150), text ? text : "");
        return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, subject, f->what, owner, f->name_at);
    }
    const skv_option *options = f->options_at(i, &n);
    (void)snprintf(owner, sizeof owner, "%s '%s'", f->what, f->name_at(i));
    SKV_TRY(skv_options_parse(ctx, owner, options, n, text[length] ? text + length + 1 : NULL, out ? out : &unused));
    if (index) *index = i;
    return SKIVE_OK;
}
