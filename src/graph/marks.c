/* See marks.h. */
#include "graph/marks.h"

#include <string.h>

#include "graph/meta_keys.h"
#include "graph/weights.h"
#include "tensor/tensor.h"

static const char *const keys[SKV_MARKS] = {SKV_META_PRUNED, SKV_META_TRAINED, SKV_META_CONSTANTS};

/* ---- writing ---- */

static void add_name(skv_text *t, const char *name) {
    if (t->length) skv_text_add(t, "\n");
    skv_text_add_escaped(t, name);
}

static bool any_trainable(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++)
        if (g->values[i]->trainable) return true;
    return false;
}

skive_status skv_marks_of(const skive_graph *g, skv_marks *out) {
    skv_text texts[SKV_MARKS];
    skv_role *roles = NULL;
    *out = (skv_marks){0};
    for (size_t k = 0; k < SKV_MARKS; k++) skv_text_init(&texts[k], g->ctx);
    /* A graph in which nothing is marked says nothing of what is trained. */
    skive_status status = any_trainable(g) ? skv_graph_roles(g->ctx, g, &roles) : SKIVE_OK;
    for (uint32_t i = 0; i < g->n_values && status == SKIVE_OK; i++) {
        const skive_value *v = g->values[i];
        if (!v->storage) continue;
        if (v->keeps_zeros) add_name(&texts[0], v->name);
        if (!roles || !skv_dtype_is_float(v->storage->tensor.dtype)) continue;
        const bool learned = skv_value_is_learned(v, roles[i]);
        if (v->trainable && !learned) add_name(&texts[1], v->name);
        if (!v->trainable && learned) add_name(&texts[2], v->name);
    }
    for (size_t k = 0; k < SKV_MARKS; k++) {
        if (status == SKIVE_OK) status = texts[k].status;
        if (texts[k].length) {
            out->key[out->n] = keys[k];
            out->value[out->n++] = texts[k];
        } else {
            skv_text_free(&texts[k]);
        }
    }
    skv_free(g->ctx, roles);
    return status;
}

void skv_marks_free(skv_marks *m) {
    for (size_t k = 0; k < m->n; k++) skv_text_free(&m->value[k]);
    *m = (skv_marks){0};
}

/* ---- reading ---- */

static void set_flag(skive_value *v, size_t key) {
    if (key == 0)
        v->keeps_zeros = true;
    else
        v->trainable = key == 1;
}

/* One name from the start of *at, escapes undone, into buffer; *at moves behind it. */
static void next_name(const char **at, char *buffer) {
    while (**at && **at != '\n') {
        char c = *(*at)++;
        if (c == '\\' && (**at == 'n' || **at == '\\')) c = *(*at)++ == 'n' ? '\n' : '\\';
        *buffer++ = c;
    }
    *buffer = '\0';
    if (**at) ++*at;
}

skive_status skv_marks_read(skive_graph *g) {
    for (size_t k = 0; k < SKV_MARKS; k++) {
        const char *at = skive_graph_meta(g, keys[k]);
        char *name = NULL;
        size_t unknown = 0;
        if (!at) continue;
        SKV_TRY(skv_alloc_array(g->ctx, strlen(at) + 1, 1, &name));
        while (*at) {
            next_name(&at, name);
            skive_value *v = skive_graph_find_value(g, name);
            if (v && v->storage && skv_dtype_is_float(v->storage->tensor.dtype))
                set_flag(v, k);
            else if (unknown++ == 0)
                skv_note(g->ctx,
                         "the metadata entry %s names '%s', which is not a floating-point parameter of the model",
                         keys[k], name);
        }
        skv_free(g->ctx, name);
        SKV_TRY(skive_graph_set_meta(g, keys[k], NULL));
    }
    return SKIVE_OK;
}
