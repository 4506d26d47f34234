/* See answers.h. */
#include "train/teachers/answers.h"

#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "graph/op.h"
#include "tensor/tensor.h"
#include "train/train.h"

struct skv_answers {
    skive_context *ctx;
    const skv_apart *apart;
    skive_plan *plan;
    skive_exec *exec;
    skv_answer_cache *cache;
    char *path;
    int64_t batch;
    size_t bytes;        /* of the answers to a sample */
    size_t *each;        /* [apart->n] of each output */
    unsigned char *rows; /* [batch][bytes] */
    unsigned char *out;  /* [batch][largest of each] */
    uint8_t *known;      /* [batch] */
    uint64_t asked, found, runs;
};

static skive_status measure(skv_answers *a) {
    size_t largest = 0;
    a->batch = a->apart->graph->inputs[0]->type.dims[0].size;
    SKV_TRY(skv_alloc_array(a->ctx, a->apart->n, sizeof *a->each, &a->each));
    for (size_t i = 0; i < a->apart->n; i++) {
        skive_tensor y;
        SKV_TRY(skive_exec_output(a->exec, i, &y));
        if (y.rank < 1 || y.dims[0] != a->batch)
            return SKV_FAIL(a->ctx, SKIVE_ERR_SHAPE, "the teacher's scores are not one row for each of %lld samples",
                            (long long)a->batch);
        a->each[i] = skive_tensor_bytes(&y) / (size_t)a->batch;
        a->bytes += a->each[i];
        if (a->each[i] > largest) largest = a->each[i];
    }
    SKV_TRY(skv_alloc_array(a->ctx, (size_t)a->batch, a->bytes, &a->rows));
    SKV_TRY(skv_alloc_array(a->ctx, (size_t)a->batch, largest, &a->out));
    return skv_alloc_array(a->ctx, (size_t)a->batch, 1, &a->known);
}

static skive_status open_cache(skv_answers *a, const skv_answers_setup *s) {
    if (!s->cache) return SKIVE_OK;
    SKV_TRY(skv_strdup(a->ctx, s->cache, &a->path));
    SKV_TRY(skv_answer_cache_open(a->ctx, s->cache, s->key, s->samples, a->bytes, &a->cache));
    const double bytes = (double)s->samples * (double)(a->bytes + 4);
    const double all = bytes * (double)s->views;
    const bool large = all >= 1 << 20;
    skv_note(a->ctx, "cache %s: answers of %zu bytes to %zu samples in %llu view%s take %.1f %s", s->cache, a->bytes,
             s->samples, (unsigned long long)s->views, s->views == 1 ? "" : "s", all / (large ? 1 << 20 : 1 << 10),
             large ? "MiB" : "KiB");
    return SKIVE_OK;
}

skive_status skv_answers_create(skive_context *ctx, const skv_answers_setup *s, skv_answers **out) {
    skive_plan_options o = skive_plan_options_default();
    skv_answers *a = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *a, &a));
    *a = (skv_answers){.ctx = ctx, .apart = s->apart};
    SKV_GO(status, fail, skive_plan_create(ctx, s->apart->graph, &o, &a->plan));
    SKV_GO(status, fail, skive_exec_create(ctx, a->plan, &a->exec));
    SKV_GO(status, fail, measure(a));
    SKV_GO(status, fail, open_cache(a, s));
    *out = a;
    return SKIVE_OK;
fail:
    skv_answers_free(a);
    return status;
}

void skv_answers_free(skv_answers *a) {
    if (!a) return;
    if (a->cache && a->asked)
        skv_note(a->ctx, "cache %s: %llu of %llu answers were there; the teacher ran %llu times", a->path,
                 (unsigned long long)a->found, (unsigned long long)a->asked, (unsigned long long)a->runs);
    skv_answer_cache_free(a->cache);
    skive_exec_free(a->exec);
    skive_plan_free(a->plan);
    skv_free(a->ctx, a->path);
    skv_free(a->ctx, a->each);
    skv_free(a->ctx, a->rows);
    skv_free(a->ctx, a->out);
    skv_free(a->ctx, a->known);
    skv_free(a->ctx, a);
}

static skive_status run(skv_answers *a, const skive_batch *batch) {
    for (size_t i = 0; i < a->apart->graph->n_inputs; i++) {
        skive_tensor x;
        SKV_TRY(skive_exec_input(a->exec, i, &x));
        if (x.dtype != batch->inputs[i].dtype || skive_tensor_bytes(&x) != skive_tensor_bytes(&batch->inputs[i]))
            return SKV_FAIL(a->ctx, SKIVE_ERR_DATA, "the batch does not have the size that the teacher runs with");
        memcpy(x.data, batch->inputs[i].data, skive_tensor_bytes(&x));
    }
    SKV_TRY(skive_exec_run(a->exec));
    a->runs++;
    size_t at = 0;
    for (size_t i = 0; i < a->apart->n; at += a->each[i++]) {
        skive_tensor y;
        SKV_TRY(skive_exec_output(a->exec, i, &y));
        for (size_t k = 0; k < (size_t)a->batch; k++)
            if (!a->known[k]) memcpy(a->rows + k * a->bytes + at, (const char *)y.data + k * a->each[i], a->each[i]);
    }
    return SKIVE_OK;
}

/* Of all numbers of a sample that the teacher sees. */
static uint64_t sample_of(const skv_answers *a, const skive_batch *batch, size_t k) {
    uint64_t hash = 1;
    for (size_t i = 0; i < a->apart->graph->n_inputs; i++) {
        const size_t each = skive_tensor_bytes(&batch->inputs[i]) / batch->count;
        hash = skv_hash64((const char *)batch->inputs[i].data + k * each, each, hash);
    }
    return hash;
}

/* Rows that the file has; *missing: are there others? */
static skive_status look_up(skv_answers *a, const skive_batch *batch, uint64_t view, bool *missing) {
    *missing = !a->cache;
    memset(a->known, 0, (size_t)a->batch);
    for (size_t k = 0; a->cache && k < batch->count; k++) {
        bool found;
        SKV_TRY(skv_answer_cache_get(a->cache, view, batch->indices[k], sample_of(a, batch, k), a->rows + k * a->bytes,
                                     &found));
        a->known[k] = found;
        a->asked++;
        a->found += found;
        *missing = *missing || !found;
    }
    return SKIVE_OK;
}

skive_status skv_answers_feed(skv_answers *a, const skive_batch *batch, uint64_t view, skv_trainer *t) {
    bool missing;
    size_t at = 0;
    if ((int64_t)batch->count != a->batch)
        return SKV_FAIL(a->ctx, SKIVE_ERR_DATA, "a batch of %zu samples, where the teacher runs with %lld",
                        batch->count, (long long)a->batch);
    SKV_TRY(look_up(a, batch, view, &missing));
    if (missing) SKV_TRY(run(a, batch));
    for (size_t k = 0; a->cache && missing && k < batch->count; k++)
        if (!a->known[k])
            skv_answer_cache_put(a->cache, view, batch->indices[k], sample_of(a, batch, k), a->rows + k * a->bytes);
    for (size_t i = 0; i < a->apart->n; at += a->each[i++]) {
        skive_tensor y;
        SKV_TRY(skive_exec_output(a->exec, i, &y));
        y.data = a->out;
        for (size_t k = 0; k < (size_t)a->batch; k++)
            memcpy(a->out + k * a->each[i], a->rows + k * a->bytes + at, a->each[i]);
        SKV_TRY(skv_trainer_feed(t, a->apart->to[i]->name, &y));
    }
    return SKIVE_OK;
}

/* ---- what decides the answers ---- */

enum { LOOKED_AT = 32 };

/* Of the nodes, so that models with the same numbers and other layers differ. */
static uint64_t hash_nodes(const skive_graph *g) {
    uint64_t key = skv_settings_model(g);
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const char *op = skive_node_op(g->nodes[i]),
                   *out = g->nodes[i]->outputs[0] ? g->nodes[i]->outputs[0]->name : "";
        key = skv_hash64(op, strlen(op), key);
        key = skv_hash64(out, strlen(out), key);
    }
    return key;
}

skive_status skv_answers_key(skive_context *ctx, const skv_fit *fit, skv_text *text) {
    const skv_objective *o = fit->objective;
    uint64_t samples = 1;
    SKV_TRY(skv_settings_samples(ctx, fit->train, LOOKED_AT, &samples));
    skv_settings_number(text, "number of training samples (--limit, --no-validation)", (double)fit->train->count);
    skv_settings_hash(text, "set of samples (--data, --no-validation)", samples);
    for (size_t i = 0; i < o->n_teachers; i++) {
        char what[48];
        (void)snprintf(what, sizeof what, "teacher (%zu)", i + 1);
        skv_settings_hash(text, what, hash_nodes(o->teachers[i].graph));
        skv_settings_input(text, "teacher-", o->teachers[i].graph);
    }
    skv_teachers_settings(o, text);
    skv_settings_input(text, "", o->n_teachers ? o->teachers[0].student : fit->model);
    skv_settings_text(text, "order of the classes (--class-order)", fit->train->by_order ? "as they are" : "by name");
    skv_settings_text(text, "outputs that are trained (--outputs)", fit->options->outputs);
    if (fit->options->augment && *fit->options->augment) {
        skv_settings_text(text, "view of the teacher (--teacher-view)", o->view ? o->view : "same");
        const bool plain = o->view && strcmp(o->view, "plain") == 0;
        skv_settings_text(text, "augmentation (--augment)", plain ? NULL : fit->options->augment);
        if (!plain) skv_settings_number(text, "seed (--seed)", (double)fit->options->seed);
    } else {
        skv_settings_text(text, "view of the teacher (--teacher-view)", "plain");
        skv_settings_text(text, "augmentation (--augment)", NULL);
    }
    return text->status;
}
