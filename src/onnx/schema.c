/* The table of operator versions, and queries of it. */
#include "onnx/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(type, ...) (sizeof((const type[]){__VA_ARGS__}) / sizeof(type))
#define IN(...)          .in = (const uint32_t[]){__VA_ARGS__}, .n_in = COUNT(uint32_t, __VA_ARGS__),
#define OUT(...)         .out = (const uint32_t[]){__VA_ARGS__}, .n_out = COUNT(uint32_t, __VA_ARGS__),
#define ATTR             skv_schema_attr
#define ATTRS(...)       .attrs = (const ATTR[]){__VA_ARGS__}, .n_attrs = COUNT(ATTR, __VA_ARGS__),
#define OP(name, version, old, least_in, most_in, least_out, most_out, lists) \
    {.op = (name),                                                            \
     .since = (version),                                                      \
     .deprecated = (old),                                                     \
     .min_in = (least_in),                                                    \
     .max_in = (most_in),                                                     \
     .min_out = (least_out),                                                  \
     .max_out = (most_out),                                                   \
     lists},
static const skv_schema schemas[] = {
#include "onnx/schema.inc"
};
#undef IN
#undef OUT
#undef ATTRS
#undef OP
#define N_SCHEMAS (sizeof schemas / sizeof schemas[0])

/* The first row of `op`, or of the next operator. */
static size_t first_row(const char *op) {
    size_t low = 0, high = N_SCHEMAS;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (strcmp(schemas[middle].op, op) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const skv_schema *skv_schema_find(const char *op, int opset) {
    const skv_schema *found = NULL;
    for (size_t i = first_row(op); i < N_SCHEMAS && strcmp(schemas[i].op, op) == 0; i++) {
        if (schemas[i].since <= opset) found = &schemas[i];
    }
    return found && !found->deprecated ? found : NULL;
}

const skv_schema_attr *skv_schema_attr_find(const skv_schema *s, const char *name) {
    for (size_t i = 0; s && i < s->n_attrs; i++) {
        if (strcmp(s->attrs[i].name, name) == 0) return &s->attrs[i];
    }
    return NULL;
}

/* ---- defaults ---- */

static bool is_initial(const skv_schema_attr *s, const skv_attr *a) {
    if (!s->initial || (int)a->type != s->kind) return false;
    switch (a->type) {
    case SKV_ATTR_INT: return a->i == strtoll(s->initial, NULL, 10);
    case SKV_ATTR_FLOAT: return (float)a->f == strtof(s->initial, NULL);
    case SKV_ATTR_STRING: return strlen(s->initial) == a->n && memcmp(s->initial, a->s, a->n) == 0;
    case SKV_ATTR_INTS:
        for (size_t i = 0; i < a->n; i++) {
            if (s->initial[0] != '*' || a->ints[i] != s->initial[1] - '0') return false;
        }
        return true;
    default: return false;
    }
}

bool skv_schema_is_default(const char *op, const skv_attr *a) {
    const skv_schema_attr *newest = NULL;
    for (size_t i = first_row(op); i < N_SCHEMAS && strcmp(schemas[i].op, op) == 0; i++) {
        const skv_schema_attr *here = skv_schema_attr_find(&schemas[i], a->name);
        if (here) newest = here;
    }
    return newest && is_initial(newest, a);
}

/* ---- is a node allowed? ---- */

static bool type_fits(const uint32_t *types, size_t n, size_t index, const skive_value *v) {
    const unsigned dtype = v ? (unsigned)v->type.dtype : 0;
    if (dtype == 0 || dtype > 30 || n == 0) return true;
    return (types[index < n ? index : n - 1] >> dtype & 1) != 0;
}

/* Values of attributes that were introduced later than the attribute. */
static const struct {
    const char *op, *attribute, *value;
    int since;
} late_values[] = {
    {"Pad", "mode", "wrap", 19},
    {"Resize", "coordinate_transformation_mode", "half_pixel_symmetric", 19},
    {"ScatterElements", "reduction", "max", 18},
    {"ScatterElements", "reduction", "min", 18},
    {"ScatterND", "reduction", "max", 18},
    {"ScatterND", "reduction", "min", 18},
    {"GridSample", "mode", "linear", 20},
    {"GridSample", "mode", "cubic", 20},
};

static int value_since(const skive_node *n, const skv_attr *a) {
    for (size_t i = 0; i < sizeof late_values / sizeof late_values[0]; i++) {
        if (a->type == SKV_ATTR_STRING && strcmp(n->op_type, late_values[i].op) == 0 &&
            strcmp(a->name, late_values[i].attribute) == 0 && strcmp(a->s, late_values[i].value) == 0)
            return late_values[i].since;
    }
    return 0;
}

static bool has_attribute(const skive_node *n, const char *name) {
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (strcmp(n->attrs[i].name, name) == 0) return true;
    }
    return false;
}

static bool attributes_fit(const skv_schema *s, const skive_node *n, int opset, char *why, size_t size) {
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        const skv_attr *a = &n->attrs[i];
        const skv_schema_attr *known = skv_schema_attr_find(s, a->name);
        if (known && (int)a->type != known->kind) {
            (void)snprintf(why, size, "attribute %.*s has another type in that opset", skv_utf8_prefix(a->name, 80),
                           a->name);
            return false;
        }
        if (value_since(n, a) > opset) {
            (void)snprintf(why, size, "%.*s %.*s is unknown in that opset", skv_utf8_prefix(a->name, 80), a->name,
                           skv_utf8_prefix(a->s, 80), a->s);
            return false;
        }
        if (!known && !skv_schema_is_default(n->op_type, a)) {
            (void)snprintf(why, size, "attribute %.*s is unknown in that opset", skv_utf8_prefix(a->name, 80), a->name);
            return false;
        }
    }
    for (size_t i = 0; i < s->n_attrs; i++) {
        const char *initial = s->attrs[i].initial;
        if (!initial || initial[0] != '!' || has_attribute(n, s->attrs[i].name)) continue;
        (void)snprintf(why, size, "attribute %.*s is required in that opset", skv_utf8_prefix(s->attrs[i].name, 80),
                       s->attrs[i].name);
        return false;
    }
    return true;
}

bool skv_schema_allows(const skive_node *n, int opset, char *why, size_t size) {
    const skv_schema *s = skv_schema_find(n->op_type, opset);
    size_t n_in = n->n_inputs;
    why[0] = '\0';
    if (!s) {
        (void)snprintf(why, size, "the operator does not exist in that opset");
        return false;
    }
    while (n_in > 0 && !n->inputs[n_in - 1]) n_in--;
    if (n_in < (size_t)s->min_in || (s->max_in >= 0 && n_in > (size_t)s->max_in)) {
        (void)snprintf(why, size, "%zu inputs are not allowed in that opset", n_in);
        return false;
    }
    if (n->n_outputs < (size_t)s->min_out || (s->max_out >= 0 && n->n_outputs > (size_t)s->max_out)) {
        (void)snprintf(why, size, "%u outputs are not allowed in that opset", n->n_outputs);
        return false;
    }
    for (size_t i = 0; i < n_in; i++) {
        if (type_fits(s->in, s->n_in, i, n->inputs[i])) continue;
        (void)snprintf(why, size, "input %zu cannot be %s in that opset", i,
                       skive_dtype_name(n->inputs[i]->type.dtype));
        return false;
    }
    for (size_t i = 0; i < n->n_outputs; i++) {
        if (type_fits(s->out, s->n_out, i, n->outputs[i])) continue;
        (void)snprintf(why, size, "output %zu cannot be %s in that opset", i,
                       skive_dtype_name(n->outputs[i]->type.dtype));
        return false;
    }
    return attributes_fit(s, n, opset, why, size);
}
