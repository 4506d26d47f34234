/* Options by name: listing, setting, reading. A value is written into the field of its struct, and where it is text a
 * copy lives as long as the options. */
#include "options/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/option_parts.h"

struct skive_options {
    skive_context *ctx;
    const skv_method *method;
    skv_structs structs;
    skv_arena *texts;
    const skv_option **set; /* options that were set by name */
    size_t n_set;
};

/* ---- listing ---- */

const char *skive_options_method(size_t index) { return skv_method_name(index); }

static skive_option_type type_of(const skv_option *o) {
    switch (o->type) {
    case SKV_OPTION_SWITCH: return SKIVE_OPTION_SWITCH;
    case SKV_OPTION_INTEGER: return SKIVE_OPTION_INTEGER;
    case SKV_OPTION_REAL: return SKIVE_OPTION_REAL;
    case SKV_OPTION_CHOICE: return SKIVE_OPTION_CHOICE;
    case SKV_OPTION_LIST: return SKIVE_OPTION_LIST;
    case SKV_OPTION_RECORD: return SKIVE_OPTION_RECORD;
    case SKV_OPTION_BUDGET: return SKIVE_OPTION_BUDGET;
    case SKV_OPTION_TEXT: break;
    }
    return SKIVE_OPTION_TEXT;
}

static bool is_number(const skv_option *o) {
    return o->type == SKV_OPTION_SWITCH || o->type == SKV_OPTION_INTEGER || o->type == SKV_OPTION_REAL;
}

static bool is_text(const skv_option *o) { return (int)o->field == SKV_FIELD_TEXT || (int)o->field == SKV_FIELD_ENUM; }

/* `m` and `in`: of which method; NULL for an option of a choice. */
static skive_status describe(skive_context *ctx, const skv_method *m, const skv_section_of_method *in,
                             const skv_option *o, skive_option_bounds *out) {
    skv_structs s;
    const size_t size = out->size;
    if (size < sizeof size)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "skive_option_bounds",
                           "skive_option_bounds: the field 'size' is %zu; set it to sizeof(skive_option_bounds)", size);
    if (m) m->defaults(&s);
    const void *object = m ? (const unsigned char *)&s + in->at : NULL;
    const double number = !is_number(o) ? 0 : object ? skv_option_field_number(o, object) : o->fallback;
    skive_option_bounds b = {.size = size,
                             .section = m ? in->table->name : NULL,
                             .name = m ? skv_option_known_as(o) : o->name,
                             .brief = o->brief,
                             .type = type_of(o),
                             .least = o->least,
                             .most = o->type == SKV_OPTION_SWITCH ? 1 : o->most,
                             .above = o->above,
                             .below = o->below,
                             .has_default = !o->required && (!is_number(o) || o->type == SKV_OPTION_SWITCH ||
                                                             skv_option_in_range(o, number)),
                             .default_number = number,
                             .default_text = object && is_text(o) ? skv_option_field_text(o, object) : o->text,
                             .unit = o->unit};
    if (!is_number(o)) b.has_default = b.default_text != NULL;
    memcpy(out, &b, size < sizeof b ? size : sizeof b);
    return SKIVE_OK;
}

static skive_status find_method(skive_context *ctx, const char *name, const skv_method **out) {
    *out = skv_method_find(name);
    if (*out) return SKIVE_OK;
    return skv_fail_unknown(ctx, SKIVE_ERR_NOT_FOUND, "method", "method with options", name, skv_method_name);
}

static skive_status find_option(skive_context *ctx, const char *method, const char *name, const skv_method **m,
                                const skv_section_of_method **in, const skv_option **out) {
    SKV_TRY(find_method(ctx, method, m));
    *out = skv_method_option(*m, name, 0, in);
    return *out ? SKIVE_OK : skv_method_fail(ctx, *m, name);
}

skive_status skive_options_at(skive_context *ctx, const char *method, size_t index, skive_option_bounds *out,
                              bool *found) {
    SKV_NEED(ctx, "method, out, found", method, out, found);
    const skv_section_of_method *in;
    const skv_method *m = NULL;
    *found = false;
    SKV_TRY(find_method(ctx, method, &m));
    const skv_option *o = skv_method_option(m, NULL, index, &in);
    if (!o) return SKIVE_OK;
    SKV_TRY(describe(ctx, m, in, o, out));
    *found = true;
    return SKIVE_OK;
}

skive_status skive_options_bounds(skive_context *ctx, const char *method, const char *name, skive_option_bounds *out) {
    SKV_NEED(ctx, "method, name, out", method, name, out);
    const skv_section_of_method *in = NULL;
    const skv_option *o = NULL;
    const skv_method *m = NULL;
    SKV_TRY(find_option(ctx, method, name, &m, &in, &o));
    return describe(ctx, m, in, o, out);
}

const char *skive_options_choice(const char *method, const char *name, size_t index, const char **brief) {
    const skv_section_of_method *in;
    const skv_method *m = skv_method_find(method);
    const skv_option *o = m && name ? skv_method_option(m, name, 0, &in) : NULL;
    if (brief) *brief = NULL;
    if (!o || (!o->choices && !o->family)) return NULL;
    const char *choice = (o->choices ? o->choices : o->family->name_at)(index);
    const size_t member = choice && o->family ? skv_family_find(o->family, choice) : SIZE_MAX;
    if (brief && member != SIZE_MAX) *brief = o->family->brief_at(member);
    return choice;
}

skive_status skive_options_of_choice(skive_context *ctx, const char *method, const char *name, const char *choice,
                                     size_t index, skive_option_bounds *out, bool *found) {
    SKV_NEED(ctx, "method, name, choice, out, found", method, name, choice, out, found);
    const skv_section_of_method *in = NULL;
    const skv_option *o = NULL;
    const skv_method *m = NULL;
    size_t n;
    *found = false;
    SKV_TRY(find_option(ctx, method, name, &m, &in, &o));
    if (skv_option_is_choice(o, choice) && (!o->family || skv_family_find(o->family, choice) == SIZE_MAX))
        return SKIVE_OK; /* one without options */
    const size_t member = o->family ? skv_family_find(o->family, choice) : SIZE_MAX;
    if (member == SIZE_MAX)
        return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name, "'%.*s' is not a value of %s", skv_utf8_prefix(choice, 200),
                           choice, name);
    const skv_option *options = o->family->options_at(member, &n);
    if (index >= n) return SKIVE_OK;
    SKV_TRY(describe(ctx, NULL, NULL, &options[index], out));
    *found = true;
    return SKIVE_OK;
}

/* ---- the options of one run ---- */

skive_status skive_options_create(skive_context *ctx, const char *method, skive_options **out) {
    SKV_NEED(ctx, "ctx, method, out", ctx, method, out);
    const skv_method *m = NULL;
    skive_options *o = NULL;
    *out = NULL;
    SKV_TRY(find_method(ctx, method, &m));
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *o, &o));
    o->ctx = ctx;
    o->method = m;
    m->defaults(&o->structs);
    const skive_status status = skv_arena_create(ctx, &o->texts);
    if (status != SKIVE_OK) {
        skv_free(ctx, o);
        return status;
    }
    *out = o;
    return SKIVE_OK;
}

void skive_options_free(skive_options *o) {
    if (!o) return;
    skv_arena_free(o->texts);
    skv_free(o->ctx, o->set);
    skv_free(o->ctx, o);
}

static skive_status find_own(const skive_options *o, const char *name, const skv_option **option, void **object) {
    const skv_section_of_method *in;
    *option = skv_method_option(o->method, name, 0, &in);
    if (!*option) return skv_method_fail(o->ctx, o->method, name);
    const unsigned char *structs = (const unsigned char *)&o->structs;
    const void *at = structs + in->at;
    memcpy(object, &at, sizeof at); /* the structs of the caller's options, which are not const where they are set */
    return SKIVE_OK;
}

static bool was_set(const skive_options *o, const skv_option *option) {
    for (size_t i = 0; i < o->n_set; i++) {
        if (o->set[i] == option) return true;
    }
    return false;
}

skive_status skive_options_set(skive_options *o, const char *name, const char *value) {
    if (!o) return SKIVE_ERR_ARGUMENT;
    SKV_NEED(o->ctx, "name, value", name, value);
    const skv_option *option = NULL;
    const char *copy = NULL;
    void *object = NULL;
    SKV_TRY(find_own(o, name, &option, &object));
    if ((int)option->field == SKV_FIELD_TEXT) {
        if (option->type != SKV_OPTION_TEXT) SKV_TRY(skv_option_check_name(o->ctx, NULL, option, value));
        SKV_TRY(skv_arena_strdup(o->texts, value, &copy));
    }
    if (!was_set(o, option)) {
        SKV_TRY(skv_grow(o->ctx, &o->set, o->n_set, o->n_set + 1, sizeof *o->set));
        o->set[o->n_set++] = option;
    }
    if (copy) {
        memcpy((unsigned char *)object + option->at, &copy, sizeof copy);
        return SKIVE_OK;
    }
    /* Messages name the default that this method has. */
    skv_structs defaults;
    skv_option own = *option;
    skv_option_values v;
    o->method->defaults(&defaults);
    own.fallback =
        skv_option_field_number(option, (const unsigned char *)&defaults +
                                            ((const unsigned char *)object - (const unsigned char *)&o->structs));
    skv_options_default(&own, 1, &v);
    const skive_status status = skv_option_set(o->ctx, NULL, &v, 0, value);
    if (status == SKIVE_OK)
        skv_options_store(&v, object);
    else
        o->n_set--;
    return status;
}

skive_status skive_options_get(const skive_options *o, const char *name, char *buffer, size_t size) {
    if (!o) return SKIVE_ERR_ARGUMENT;
    SKV_NEED(o->ctx, "name, buffer", name, buffer);
    const skv_option *option = NULL;
    void *object = NULL;
    skv_text t;
    SKV_TRY(find_own(o, name, &option, &object));
    skv_text_init(&t, o->ctx);
    if (is_text(option)) {
        const char *text = skv_option_field_text(option, object);
        skv_text_add(&t, "%s", text ? text : "");
    } else if (option->type == SKV_OPTION_SWITCH) {
        skv_text_add(&t, "%s", skv_option_field_number(option, object) != 0 ? "yes" : "no");
    } else {
        skv_text_add_number(&t, skv_option_field_number(option, object));
    }
    skive_status status = t.status;
    if (status == SKIVE_OK && t.length >= size)
        status = skv_fail_at(o->ctx, SKIVE_ERR_ARGUMENT, name, "the value of %s needs a buffer of %zu bytes", name,
                             t.length + 1);
    if (status == SKIVE_OK) (void)snprintf(buffer, size, "%s", t.data);
    skv_text_free(&t);
    return status;
}

bool skive_options_is_set(const skive_options *o, const char *name) {
    const skv_section_of_method *in;
    const skv_option *option = o && name ? skv_method_option(o->method, name, 0, &in) : NULL;
    return option && was_set(o, option);
}

/* ---- options without effect ---- */

skive_status skive_options_lacks(const skive_options *o, const char *name, char *buffer, size_t size) {
    if (!o) return SKIVE_ERR_ARGUMENT;
    SKV_NEED(o->ctx, "name, buffer", name, buffer);
    const skv_section_of_method *in = NULL;
    const skv_option *option = skv_method_option(o->method, name, 0, &in);
    skv_text t;
    if (!option) return skv_method_fail(o->ctx, o->method, name);
    skv_text_init(&t, o->ctx);
    skv_method_lacks(o->method, &o->structs, in, option, &t);
    skive_status status = t.status;
    if (status == SKIVE_OK && t.length >= size)
        status = skv_fail_at(o->ctx, SKIVE_ERR_ARGUMENT, name, "what %s lacks needs a buffer of %zu bytes", name,
                             t.length + 1);
    if (status == SKIVE_OK) (void)snprintf(buffer, size, "%s", t.length ? t.data : "");
    skv_text_free(&t);
    return status;
}

static const void *struct_of(const skv_structs *s, const skv_section_of_method *in) {
    return (const unsigned char *)s + in->at;
}

/* A switch that is off: who switches off what is off anyway contradicts nothing. */
static bool is_off(const skive_options *o, const skv_section_of_method *in, const skv_option *option) {
    const bool is_switch = (int)option->field == SKV_FIELD_BOOL || (int)option->field == SKV_FIELD_NOT;
    return is_switch && skv_option_field_number(option, struct_of(&o->structs, in)) == 0;
}

bool skive_options_is_off(const skive_options *o, const char *name) {
    const skv_section_of_method *in = NULL;
    const skv_option *option = o && name ? skv_method_option(o->method, name, 0, &in) : NULL;
    return option && is_off(o, in, option);
}

/* Its field has another value than the default, whoever wrote it. */
static bool was_changed(const skive_options *o, const skv_structs *defaults, const skv_section_of_method *in,
                        const skv_option *option) {
    const void *now = struct_of(&o->structs, in), *before = struct_of(defaults, in);
    if ((int)option->field == SKV_FIELD_NONE) return false;
    if (!is_text(option)) {
        const double x = skv_option_field_number(option, now), y = skv_option_field_number(option, before);
        return x != y && !(isnan(x) && isnan(y));
    }
    const char *a = skv_option_field_text(option, now), *b = skv_option_field_text(option, before);
    return a != b && (!a || !b || strcmp(a, b) != 0);
}

skive_status skive_options_check(const skive_options *o) {
    if (!o) return SKIVE_ERR_ARGUMENT;
    const skv_section_of_method *in = NULL;
    const skv_option *option;
    skv_structs defaults;
    o->method->defaults(&defaults);
    for (size_t i = 0; (option = skv_method_option(o->method, NULL, i, &in)); i++) {
        char name[100];
        skv_text t;
        if (!was_set(o, option) && !was_changed(o, &defaults, in, option)) continue;
        if (is_off(o, in, option)) continue;
        skv_text_init(&t, o->ctx);
        skv_method_lacks(o->method, &o->structs, in, option, &t);
        (void)snprintf(name, sizeof name, "%s.%s", in->table->name, skv_option_known_as(option));
        skive_status status = t.status;
        if (status == SKIVE_OK && t.length)
            status = skv_fail_at(o->ctx, SKIVE_ERR_ARGUMENT, name, "%s has no effect %s %s", name,
                                 t.data[0] == '!' ? "with" : "without", t.data + (t.data[0] == '!'));
        skv_text_free(&t);
        SKV_TRY(status);
    }
    return SKIVE_OK;
}

/* ---- structs ---- */

static bool has(const skive_options *o, size_t at) {
    for (size_t k = 0; o && k < SKV_MOST_SECTIONS; k++) {
        if (o->method->sections[k].table && o->method->sections[k].at == at) return true;
    }
    return false;
}

#define STRUCT(name) has(o, offsetof(skv_structs, name)) ? &o->structs.name : NULL

skive_train_options *skive_options_train(skive_options *o) { return STRUCT(train); }
skive_prune_options *skive_options_prune(skive_options *o) { return STRUCT(prune); }
skive_factorize_options *skive_options_factorize(skive_options *o) { return STRUCT(factorize); }
skive_share_options *skive_options_share(skive_options *o) { return STRUCT(share); }
skive_distill_options *skive_options_distill(skive_options *o) { return STRUCT(distill); }
skive_quantize_options *skive_options_quantize(skive_options *o) { return STRUCT(quantize); }
skive_bits_options *skive_options_bits(skive_options *o) { return STRUCT(bits); }
skive_sensitivity_options *skive_options_sensitivity(skive_options *o) { return STRUCT(sensitivity); }
skive_qat_options *skive_options_qat(skive_options *o) { return STRUCT(qat); }
skive_pack_options *skive_options_pack(skive_options *o) { return STRUCT(pack); }
skive_simplify_options *skive_options_simplify(skive_options *o) { return STRUCT(simplify); }
skive_dataset_options *skive_options_data(skive_options *o) { return STRUCT(data); }
