/* Matching the inputs of a data set with those of a model: by name, then by type and shape where only one fits. */
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "graph/meta_keys.h"
#include "tensor/tensor.h"

enum { NOBODY = -1 };

/* ---- metadata ---- */

/* The key of the input; a model with one input has no name in its keys. */
static skive_status key_of(const skive_graph *g, size_t index, const char *key, char **out) {
    if (g->n_inputs <= 1) return skv_strdup(g->ctx, key, out);
    return skv_asprintf(g->ctx, out, "%s:%s", key, g->inputs[index]->name);
}

const char *skv_input_meta(const skive_graph *g, size_t index, const char *key) {
    const size_t length = strlen(key);
    if (g->n_inputs <= 1) return skive_graph_meta(g, key);
    for (uint32_t i = 0; i < g->n_meta; i++) {
        const char *has = g->meta[i].key;
        if (strncmp(has, key, length) == 0 && has[length] == ':' &&
            strcmp(has + length + 1, g->inputs[index]->name) == 0)
            return g->meta[i].value;
    }
    return NULL;
}

const char *skv_recipe_in_model(const skive_graph *g, const char *input, const char *key) {
    for (size_t i = 0; input && i < g->n_inputs; i++) {
        const char *own = strcmp(g->inputs[i]->name, input) == 0 ? skv_input_meta(g, i, key) : NULL;
        if (own) return own;
    }
    return skive_graph_meta(g, key);
}

skive_status skv_input_set_meta(skive_graph *g, size_t index, const char *key, const char *value) {
    char *full = NULL;
    SKV_TRY(key_of(g, index, key, &full));
    const skive_status status = skive_graph_set_meta(g, full, value);
    skv_free(g->ctx, full);
    return status;
}

/* ---- matching ---- */

skive_dataset_info skv_info_of_input(const skive_dataset_info *info, size_t part) {
    skive_dataset_info one = *info;
    if (part >= info->n_inputs) return one;
    const skive_dataset_input *in = &info->inputs[part];
    one.rank = in->rank;
    memcpy(one.dims, in->dims, sizeof one.dims);
    one.sample_size = in->sample_size;
    one.dtype = in->dtype;
    one.channel_axis = in->channel_axis;
    one.preprocessing = in->preprocessing;
    return one;
}

typedef struct matching {
    skive_context *ctx;
    const skive_graph *g;
    const skive_dataset_info *info;
    size_t n_parts;
    int *part_of;  /* [inputs of the model] */
    bool *taken;   /* [parts] */
    bool *by_name; /* [inputs of the model] */
} matching;

static const char *name_of_part(const skive_dataset_info *info, size_t part) {
    return part < info->n_inputs ? info->inputs[part].name : NULL;
}

static void match_names(matching *m) {
    for (size_t i = 0; i < m->g->n_inputs; i++) {
        for (size_t p = 0; p < m->n_parts && m->part_of[i] == NOBODY; p++) {
            const char *name = name_of_part(m->info, p);
            if (m->taken[p] || !name || strcmp(name, m->g->inputs[i]->name) != 0) continue;
            m->part_of[i] = (int)p;
            m->taken[p] = true;
            m->by_name[i] = true;
        }
    }
}

/* Whole numbers go to inputs of whole numbers, other numbers to floats; bytes to both. */
static bool same_sort(const matching *m, size_t i, size_t p) {
    const skive_dtype to = m->g->inputs[i]->type.dtype, from = skv_info_of_input(m->info, p).dtype;
    return from == SKIVE_U8 || skv_dtype_is_float(to) == skv_dtype_is_float(from);
}

static bool can_take(const matching *m, size_t i, size_t p) {
    const skive_dataset_info one = skv_info_of_input(m->info, p);
    skv_feed f;
    if (!same_sort(m, i, p)) return false;
    if (skv_feed_make(m->ctx, m->g, i, &one, &f) != SKIVE_OK) {
        skive_context_clear(m->ctx);
        return false;
    }
    skv_feed_free(&f);
    return true;
}

/* Only input i can take part p, and p is the only one that it can take. */
static bool only_pair(const matching *m, size_t i, size_t p) {
    for (size_t k = 0; k < m->n_parts; k++) {
        if (k != p && !m->taken[k] && can_take(m, i, k)) return false;
    }
    for (size_t k = 0; k < m->g->n_inputs; k++) {
        if (k != i && m->part_of[k] == NOBODY && can_take(m, k, p)) return false;
    }
    return can_take(m, i, p);
}

static void match_shapes(matching *m) {
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < m->g->n_inputs; i++) {
            for (size_t p = 0; p < m->n_parts && m->part_of[i] == NOBODY; p++) {
                if (m->taken[p] || !only_pair(m, i, p)) continue;
                m->part_of[i] = (int)p;
                m->taken[p] = more = true;
            }
        }
    }
}

/* One input and one part are left: they belong together, or the message names both shapes. */
static void match_last(matching *m) {
    size_t inputs = 0, parts = 0, input = 0, part = 0;
    for (size_t i = 0; i < m->g->n_inputs; i++) {
        if (m->part_of[i] != NOBODY) continue;
        inputs++;
        input = i;
    }
    for (size_t p = 0; p < m->n_parts; p++) {
        if (m->taken[p]) continue;
        parts++;
        part = p;
    }
    if (inputs != 1 || parts != 1) return;
    m->part_of[input] = (int)part;
    m->taken[part] = true;
}

static skive_status refuse(const matching *m) {
    skv_text t;
    char shape[24 * SKIVE_MAX_RANK], type[160];
    const char *open = NULL;
    skv_text_init(&t, m->ctx);
    for (size_t i = 0; i < m->g->n_inputs && !open; i++) open = m->part_of[i] == NOBODY ? m->g->inputs[i]->name : NULL;
    skv_text_add(&t, "%s: it is not clear what the model's input '%s' takes; the model's inputs are ", m->info->spec,
                 open);
    for (size_t i = 0; i < m->g->n_inputs; i++) {
        skv_type_text(&m->g->inputs[i]->type, type, sizeof type);
        skv_text_add(&t, "%s'%s' %s", i ? ", " : "", m->g->inputs[i]->name, type);
    }
    skv_text_add(&t, "; the data set gives ");
    for (size_t p = 0; p < m->n_parts; p++) {
        const skive_dataset_info one = skv_info_of_input(m->info, p);
        const char *name = name_of_part(m->info, p);
        skv_text_add(&t, "%s%s%s%s%s %s", p ? ", " : "", name ? "'" : "", name ? name : "samples of", name ? "' " : " ",
                     skive_dtype_name(one.dtype), skv_shape_text(one.rank, one.dims, shape, sizeof shape));
    }
    const char *naming = skv_dataset_naming(m->info->kind);
    skv_text_add(&t, "; give the parts the names of the inputs (%s)",
                 naming ? naming : "inputs:NAME=DATA;NAME=DATA, or npz:FILE");
    const skive_status status =
        t.status == SKIVE_OK ? skv_fail_at(m->ctx, SKIVE_ERR_DATA, m->info->spec, "%s", t.data) : t.status;
    skv_text_free(&t);
    return status;
}

static skive_status match_all(matching *m) {
    const bool only = m->g->n_inputs == 1 && m->n_parts == 1;
    if (!only) {
        match_names(m);
        match_shapes(m);
    }
    match_last(m);
    for (size_t i = 0; i < m->g->n_inputs; i++) {
        if (m->part_of[i] == NOBODY) return refuse(m);
    }
    return SKIVE_OK;
}

static skive_status make_all(const matching *m, skv_feeds *out) {
    const bool only = m->g->n_inputs == 1 && m->n_parts == 1;
    SKV_TRY(skv_alloc_array(m->ctx, m->g->n_inputs, sizeof *out->items, &out->items));
    for (size_t i = 0; i < m->g->n_inputs; i++) {
        const size_t part = (size_t)m->part_of[i];
        const skive_dataset_info one = skv_info_of_input(m->info, part);
        SKV_TRY(skv_feed_make(m->ctx, m->g, i, &one, &out->items[i]));
        out->n = i + 1;
        out->items[i].part = part;
        out->items[i].from = name_of_part(m->info, part);
        out->items[i].match = only ? SKV_FEED_ONLY : m->by_name[i] ? SKV_FEED_BY_NAME : SKV_FEED_BY_SHAPE;
    }
    for (size_t p = 0; p < m->n_parts; p++) {
        const char *name = name_of_part(m->info, p);
        if (!m->taken[p]) skv_text_add(&out->left, "%s'%s'", out->left.length ? ", " : "", name ? name : "?");
    }
    return out->left.status;
}

skive_status skv_feeds_make(skive_context *ctx, const skive_graph *g, const skive_dataset_info *info, skv_feeds *out) {
    matching m = {.ctx = ctx, .g = g, .info = info, .n_parts = info->n_inputs ? info->n_inputs : 1};
    skive_status status;
    *out = (skv_feeds){.ctx = ctx};
    skv_text_init(&out->left, ctx);
    if (g->n_inputs == 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, info->spec, "the model has no input that could take samples");
    SKV_GO(status, done, skv_alloc_array(ctx, g->n_inputs, sizeof *m.part_of, &m.part_of));
    SKV_GO(status, done, skv_alloc_array(ctx, g->n_inputs, sizeof *m.by_name, &m.by_name));
    SKV_GO(status, done, skv_alloc_array(ctx, m.n_parts, sizeof *m.taken, &m.taken));
    for (size_t i = 0; i < g->n_inputs; i++) m.part_of[i] = NOBODY;
    SKV_GO(status, done, match_all(&m));
    status = make_all(&m, out);
done:
    skv_free(ctx, m.part_of);
    skv_free(ctx, m.by_name);
    skv_free(ctx, m.taken);
    if (status != SKIVE_OK) skv_feeds_free(out);
    return status;
}

void skv_feeds_free(skv_feeds *f) {
    if (!f->ctx) return;
    for (size_t i = 0; i < f->n; i++) skv_feed_free(&f->items[i]);
    skv_free(f->ctx, f->items);
    skv_text_free(&f->left);
    *f = (skv_feeds){0};
}

/* ---- use ---- */

void skv_feeds_tell(const skv_feeds *f, const char *who) {
    for (size_t i = 0; i < f->n; i++) skv_feed_tell(&f->items[i], who);
    if (f->left.length) skv_note(f->ctx, "of the data's inputs the %s does not take %s", who, f->left.data);
}

void skv_feeds_bind(const skv_feeds *feeds, skive_graph *g) {
    for (size_t i = 0; i < feeds->n; i++) {
        const skv_feed *f = &feeds->items[i];
        skive_type *t = &g->inputs[f->index]->type;
        for (int d = 1; d < t->rank && t->rank == f->rank + 1; d++) {
            if (t->dims[d].size < 0) t->dims[d] = (skive_dim){f->dims[d - 1], NULL};
        }
    }
}

skive_status skv_feeds_shapes(const skv_feeds *feeds, int64_t batch, skive_shape_binding **out) {
    SKV_TRY(skv_alloc_array(feeds->ctx, feeds->n, sizeof **out, out));
    for (size_t i = 0; i < feeds->n; i++) {
        const skv_feed *f = &feeds->items[i];
        skive_shape_binding *s = &(*out)[i];
        s->input = f->input;
        s->rank = f->rank + 1;
        s->dims[0] = batch;
        memcpy(s->dims + 1, f->dims, (size_t)f->rank * sizeof *s->dims);
    }
    return SKIVE_OK;
}

skive_status skv_feeds_loader(skive_context *ctx, const skv_feeds *feeds, const skive_dataset *set,
                              const skive_loader_options *options, skive_loader **out) {
    return skv_loader_create(ctx, set, options, feeds, out);
}

skive_status skive_model_input_text(skive_context *ctx, const skive_graph *g, const skive_dataset *set, char **out) {
    SKV_NEED(ctx, "ctx, graph, set, out", ctx, g, set, out);
    skive_dataset_info info;
    skv_feeds f;
    skv_text t;
    *out = NULL;
    skive_dataset_get_info(set, &info);
    SKV_TRY(skv_feeds_make(ctx, g, &info, &f));
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < f.n; i++) {
        if (f.n > 1) skv_text_add(&t, "%s%s: ", i ? "; " : "", f.items[i].input);
        skv_feed_describe(&f.items[i], &t);
    }
    const skive_status status = t.status == SKIVE_OK ? skv_strdup(ctx, t.data, out) : t.status;
    skv_text_free(&t);
    skv_feeds_free(&f);
    return status;
}
