/* Early exits: further outputs at earlier places of a network. */
#include <skive/distill.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "tensor/tensor.h"
#include "train/terms/term.h"

enum { PLACES = 4 /* about so many are left along an axis */ };

/* ---- where ---- */

static skive_status by_name(skive_context *ctx, const skive_graph *g, const char *where, skive_value **at, size_t *n) {
    for (const char *rest = where; rest && *n < SKV_PAIRS_MOST;) {
        char name[256];
        const size_t length = strcspn(rest, "+");
        (void)snprintf(name, sizeof name, "%.*s", (int)length, rest);
        SKV_TRY(skv_value_named(ctx, g, name, &at[(*n)++]));
        rest = rest[length] ? rest + length + 1 : NULL;
    }
    return SKIVE_OK;
}

static skive_status find_places(skive_context *ctx, const skive_graph *g, const char *where, const skv_head *head,
                                skive_value **at, size_t *n) {
    *n = 0;
    if (strcmp(where, "auto") != 0) return by_name(ctx, g, where, at, n);
    SKV_TRY(skv_stage_values(ctx, g, head->before ? head->before : head->value, at, n));
    if (*n > 0) (*n)--; /* what is left of the network behind the last ones is little more than its own last layer */
    if (*n > 0) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                    "exits: the model has no maps [samples, channels, places ...] of two sizes to put exits at; name "
                    "values");
}

/* ---- the layers of an exit ---- */

static skive_value *parameter(skv_builder *b, const char *exit, const char *what, int rank, const int64_t *dims,
                              double deviation) {
    skv_storage *s = NULL;
    char name[64];
    (void)snprintf(name, sizeof name, "%s.%s", exit, what);
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    const uint64_t stream = skv_hash64(name, strlen(name), 0), seed = skive_context_seed(b->graph->ctx);
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++)
        skive_tensor_set(&s->tensor, i, deviation * skv_rng_normal(seed, stream, (uint64_t)i));
    skive_value *v = skv_emit_param(b, name, s);
    if (b->status == SKIVE_OK) b->status = skive_value_set_trainable(v, true);
    return v;
}

/* The mean over blocks of places. */
static skive_value *pooled(skv_builder *b, skive_value *x) {
    int64_t size[SKIVE_MAX_RANK];
    bool changes = false;
    const int places = x->type.rank - 2;
    if (places < 1) return x;
    for (int d = 0; d < places; d++) {
        const int64_t n = x->type.dims[d + 2].size;
        size[d] = n > PLACES ? (n + PLACES - 1) / PLACES : 1;
        changes = changes || size[d] > 1;
    }
    if (!changes) return x;
    return skv_emit(
        b, "AveragePool", SKV_IN(x),
        SKV_ATTRS(SKV_INTS("kernel_shape", size, (size_t)places), SKV_INTS("strides", size, (size_t)places)));
}

static skive_status add_exit(skive_graph *g, skive_value *at, int64_t classes, const char *name) {
    skv_builder b = skv_build(g);
    char text[160];
    skive_value *x =
        at->type.rank >= 2 ? skv_emit(&b, "Flatten", SKV_IN(pooled(&b, at)), SKV_ATTRS(SKV_INT("axis", 1))) : NULL;
    if (b.status != SKIVE_OK) return b.status;
    (void)skv_type_text(&at->type, text, sizeof text);
    if (!x || x->type.rank != 2 || x->type.dims[1].size < 1 || x->type.dtype != SKIVE_F32)
        return skv_fail_at(g->ctx, SKIVE_ERR_SHAPE, at->name,
                           "exits: '%s' is %s; an exit needs float32 values [samples, ...] of a known size", at->name,
                           text);
    const int64_t dims[2] = {x->type.dims[1].size, classes};
    skive_value *w = parameter(&b, name, "weight", 2, dims, 1 / sqrt((double)dims[0]));
    skive_value *y = skv_emit(&b, "Gemm", SKV_IN(x, w, parameter(&b, name, "bias", 1, &classes, 0)), SKV_NONE);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_rename(y, name));
    return skive_graph_add_output(g, y);
}

static skive_status add_all(skive_graph *g, skive_value *const *at, size_t n, const skv_head *head) {
    skv_text names;
    skive_status status = SKIVE_OK;
    skv_text_init(&names, g->ctx);
    SKV_GO(status, done, skive_model_set_output(g, head->value->name, NULL));
    for (size_t i = 0; i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "exit%zu", i + 1);
        if (skive_graph_find_value(g, name)) {
            status = skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, name, "exits: the model has a value '%s' already", name);
            goto done;
        }
        SKV_GO(status, done, add_exit(g, at[i], head->scores, name));
        skv_note(g->ctx, "%s reads '%s'", name, at[i]->name);
        skv_text_add(&names, "%s%s", i ? "," : "", name);
    }
    status = names.status == SKIVE_OK ? skive_graph_set_meta(g, SKV_META_EXITS, names.data) : names.status;
done:
    skv_text_free(&names);
    return status;
}

static skive_status add_to_copy(skive_context *ctx, skive_graph *g, const skive_dataset *set, const char *where,
                                size_t *n) {
    skive_value *at[SKV_PAIRS_MOST];
    skv_targets targets;
    skv_head head;
    SKV_TRY(skv_targets_of(ctx, set, &targets));
    SKV_TRY(skv_head_find(ctx, g, &targets, &head));
    if (head.task != SKIVE_TASK_CLASSES || head.scores < 2 || skv_head_is_sigmoid(&head))
        return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                        "exits answer with scores of classes that exclude one another; the model does not");
    SKV_TRY(find_places(ctx, g, where, &head, at, n));
    SKV_TRY(add_all(g, at, *n, &head));
    return skive_graph_infer(g);
}

skive_status skive_model_add_exits(skive_graph *graph, const skive_dataset *set, const char *where, size_t *added) {
    SKV_NEED(graph ? graph->ctx : NULL, "graph, set, where", graph, set, where);
    skive_context *ctx = graph->ctx;
    skive_graph *g = NULL;
    size_t n = 0;
    if (skive_graph_meta(graph, SKV_META_EXITS))
        return SKV_FAIL(ctx, SKIVE_ERR_GRAPH, "the model has exits already: %s",
                        skive_graph_meta(graph, SKV_META_EXITS));
    SKV_TRY(skive_graph_copy(ctx, graph, &g));
    const skive_status status = add_to_copy(ctx, g, set, where, &n);
    if (status == SKIVE_OK)
        skive_graph_take(graph, g);
    else
        skive_graph_free(g);
    if (added) *added = status == SKIVE_OK ? n : 0;
    return status;
}
