/* Sequences of different lengths: which value of a model says how many frames of a sample count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "graph/op.h"
#include "train/head/head.h"

/* One number a sample: [N], or [N, 1]. */
static bool one_each(const skive_type *t) {
    const bool number = t->dtype == SKIVE_I64 || t->dtype == SKIVE_I32 || t->dtype == SKIVE_F32;
    return number && (t->rank == 1 || (t->rank == 2 && t->dims[1].size == 1));
}

static skive_status check(skive_context *ctx, const skive_value *v) {
    char text[160];
    if (!v->storage && one_each(&v->type)) return SKIVE_OK;
    skv_type_text(&v->type, text, sizeof text);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, v->name,
                       "'%s' cannot be the lengths of samples: it is %s%s, and lengths are one number for each, [N]",
                       v->name, v->storage ? "a parameter, " : "", text);
}

skive_status skv_head_take_lengths(skive_context *ctx, const skive_graph *g, skv_head *h) {
    const char *name = skive_graph_meta(g, SKV_META_OUTPUT_LENGTHS);
    const char *every = skive_graph_meta(g, SKV_META_OUTPUT_LENGTHS_EVERY);
    h->lengths = NULL;
    h->every = every ? strtoll(every, NULL, 10) : 1;
    if (!name) return SKIVE_OK;
    if (h->every < 1)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, SKV_META_OUTPUT_LENGTHS_EVERY,
                           "the metadata say that a step is of '%s' frames; it must be a whole number of at least 1",
                           every);
    h->lengths = skive_graph_find_value(g, name);
    if (h->lengths) return check(ctx, h->lengths);
    return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name,
                       "by its metadata '%s' gives the lengths of samples, but the model has no such value", name);
}

skive_value *skv_head_lengths(skv_builder *b, const skv_head *h) {
    skive_value *v = h ? h->lengths : NULL;
    if (!v || b->status != SKIVE_OK) return NULL;
    if (v->type.dtype != SKIVE_I64) v = skv_emit(b, "Cast", SKV_IN(v), SKV_ATTRS(SKV_INT("to", SKIVE_I64)));
    if (h->lengths->type.rank == 1 || b->status != SKIVE_OK) return v;
    return skv_emit(b, "Squeeze", SKV_IN(v, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE);
}

/* Of a model with several inputs the keys end in the input's name. */
static skive_status name_keys(skive_graph *g) {
    static const char prefix[] = "skive.input.";
    for (uint32_t i = 0; i < g->n_meta; i++) {
        char *key = NULL;
        if (strncmp(g->meta[i].key, prefix, strlen(prefix)) != 0 || strchr(g->meta[i].key, ':')) continue;
        SKV_TRY(skv_asprintf(g->ctx, &key, "%s:%s", g->meta[i].key, g->inputs[0]->name));
        skive_status status = skive_graph_set_meta(g, key, g->meta[i].value);
        skv_free(g->ctx, key);
        SKV_TRY(status);
        SKV_TRY(skive_graph_set_meta(g, g->meta[i].key, NULL));
        i = UINT32_MAX; /* entries have moved */
    }
    return SKIVE_OK;
}

/* An input that no node reads: what reads it is the loss. */
static skive_status add_input(skive_graph *g, const char *name, skive_value **out) {
    skive_type t = {.dtype = SKIVE_I64, .rank = 1};
    if (!g->n_inputs || g->inputs[0]->type.rank < 1)
        return SKV_FAIL(g->ctx, SKIVE_ERR_DATA, "the model has no input with samples, whose lengths '%s' could be",
                        name);
    t.dims[0] = g->inputs[0]->type.dims[0];
    if (g->n_inputs == 1) SKV_TRY(name_keys(g));
    SKV_TRY(skive_graph_add_input(g, name, &t, out));
    skv_note(g->ctx,
             "the model has no value '%s': it is an input from now on, of whole numbers [N], which only losses and "
             "figures read",
             name);
    return SKIVE_OK;
}

skive_status skive_model_set_lengths(skive_graph *g, const char *name, int64_t every) {
    SKV_NEED(g ? g->ctx : NULL, "graph", g);
    char text[24];
    if (!name || !*name) {
        SKV_TRY(skive_graph_set_meta(g, SKV_META_OUTPUT_LENGTHS, NULL));
        return skive_graph_set_meta(g, SKV_META_OUTPUT_LENGTHS_EVERY, NULL);
    }
    if (every < 1)
        return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, "every", "a step is of at least 1 frame, not of %lld",
                           (long long)every);
    skive_value *v = skive_graph_find_value(g, name);
    SKV_TRY(v ? check(g->ctx, v) : add_input(g, name, &v));
    SKV_TRY(skive_graph_set_meta(g, SKV_META_OUTPUT_LENGTHS, name));
    (void)snprintf(text, sizeof text, "%lld", (long long)every);
    return skive_graph_set_meta(g, SKV_META_OUTPUT_LENGTHS_EVERY, every > 1 ? text : NULL);
}
