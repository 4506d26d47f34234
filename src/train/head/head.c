/* Which output of a model is its answer, and what it means for given data. */
#include "train/head/head.h"

#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "graph/meta_keys.h"
#include "graph/op.h"

static const char *const kind_names[] = {"logits",         "probabilities", "log-probabilities", "sigmoid",
                                         "sigmoid-logits", "values",        "embedding",         "ctc",
                                         "ctc-last",       "detections"};
enum { KINDS = sizeof kind_names / sizeof kind_names[0], LIST_TEXT = 600 };

const char *skive_output_kind_name(skive_output_kind kind) { return (unsigned)kind < KINDS ? kind_names[kind] : NULL; }

/* ---- what the data ask for ---- */

skive_status skv_targets_of(skive_context *ctx, const skive_dataset *set, skv_targets *out) {
    float *y = NULL;
    skive_status status = SKIVE_OK;
    skive_dataset_get_info(set, &out->info);
    out->by_order = set->by_order;
    out->kind = SKV_TARGET_CLASSES;
    out->shares = false;
    out->size = out->info.classes;
    if (out->info.labelled) return SKIVE_OK;
    if (out->info.target_size == 0) {
        return skv_fail_at(
            ctx, SKIVE_ERR_DATA, out->info.spec,
            "%s: has samples, but neither labels nor targets; name them (npy:X,Y; csv:FILE,label=COLUMN)",
            out->info.spec);
    }
    const size_t k = out->info.target_size;
    if (k == 0)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, out->info.spec, "%s has neither class labels nor targets",
                           out->info.spec);
    bool one_hot = k > 1 && out->info.target_rank == 1, zero_one = true;
    out->shares = true;
    out->size = (int64_t)k;
    SKV_TRY(skv_alloc_array(ctx, k + 1, sizeof *y, &y));
    for (size_t i = 0; out->shares && i < out->info.count; i++) {
        SKV_GO(status, done, skive_dataset_read_target(ctx, set, i, y));
        size_t ones = 0;
        for (size_t c = 0; c < k; c++) {
            zero_one = zero_one && (y[c] == 0.0f || y[c] == 1.0f);
            out->shares = out->shares && y[c] >= 0.0f && y[c] <= 1.0f;
            ones += y[c] == 1.0f;
        }
        one_hot = one_hot && ones == 1;
    }
    out->kind = !zero_one ? SKV_TARGET_NUMBERS : one_hot ? SKV_TARGET_ONE_HOT : SKV_TARGET_ZERO_ONE;
done:
    skv_free(ctx, y);
    return status;
}

/* ---- the shape of scores ---- */

/* The axis of an output that counts samples: the one with the input's open or equal first dimension; 0 where nothing
 * tells. */
static int batch_axis(const skive_graph *g, const skive_type *t) {
    const skive_type *in = g->n_inputs ? &g->inputs[0]->type : NULL;
    if (!in || in->rank < 1) return 0;
    const skive_dim n = in->dims[0];
    for (int pass = 0; pass < 2; pass++) {
        for (int d = 0; d < t->rank; d++) {
            const skive_dim *o = &t->dims[d];
            const bool same = n.size >= 0 ? o->size == n.size
                              : pass == 0 ? o->size < 0 && n.symbol && o->symbol && strcmp(n.symbol, o->symbol) == 0
                                          : o->size < 0;
            if (same) return d;
        }
    }
    return 0;
}

int skv_score_axis(const skive_type *t, int batch) {
    int axis = -1, wide = 0;
    for (int d = 0; d < t->rank; d++) {
        if (d == batch) continue;
        if (t->dims[d].size != 1) {
            wide++;
            axis = d;
        } else if (!wide) {
            axis = d;
        }
    }
    return wide > 1 ? -1 : axis;
}

/* Numbers a sample: [N] has one; -1 where a dimension is open. */
static int64_t numbers_of(const skive_graph *g, const skive_type *t) {
    const int batch = t->rank > 0 ? batch_axis(g, t) : -1;
    int64_t n = t->rank >= 0 ? 1 : -1;
    for (int d = 0; d < t->rank && n >= 0; d++) {
        if (d != batch && (t->dims[d].size < 0 || !skv_mul_i64(n, t->dims[d].size, &n))) n = -1;
    }
    return n;
}

/* Can the output be one score a class for each sample, in a row? */
static bool is_row(const skive_graph *g, const skive_type *t) {
    const int batch = t->rank > 0 ? batch_axis(g, t) : 0;
    if (t->rank < 0 || t->rank == 1) return true;
    const int axis = t->rank > 1 ? skv_score_axis(t, batch) : -1;
    return axis >= 0 && (axis > batch || t->dims[axis].size == 1);
}

bool skv_same_places(const int64_t *a, int rank_a, const int64_t *b, int rank_b) {
    int wide_a = 0, wide_b = 0, i = 0, k = 0;
    for (int d = 0; d < rank_a; d++) wide_a += a[d] != 1;
    for (int d = 0; d < rank_b; d++) wide_b += b[d] != 1;
    if (wide_a <= 1 || wide_b <= 1) return true;
    if (wide_a != wide_b) return false;
    for (;;) {
        while (i < rank_a && a[i] == 1) i++;
        while (k < rank_b && b[k] == 1) k++;
        if (i == rank_a || k == rank_b) return i == rank_a && k == rank_b;
        if (a[i++] != b[k++]) return false;
    }
}

/* ---- the choice ---- */

static bool is_float(skive_dtype t) {
    return t == SKIVE_F32 || t == SKIVE_F16 || t == SKIVE_BF16 || t == SKIVE_F64 || t == SKIVE_DTYPE_NONE;
}

int skv_head_place_axis(const skv_targets *t, const skive_type *type) {
    const int rank = t->info.label_rank;
    if (type->rank != rank + 2) return -1;
    for (int last = 0; last < 2; last++) {
        bool same = true;
        for (int d = 0; d < rank; d++) {
            const int64_t size = type->dims[d + (last ? 1 : 2)].size;
            same = same && (size < 0 || size == t->info.label_dims[d]);
        }
        if (same) return last ? rank + 1 : 1;
    }
    return -1;
}

/* 2: has just the numbers asked for; 1: may have (open dimensions, one score for two classes, more scores than
 * classes); 0: not. */
static int fits(const skive_graph *g, const skv_targets *t, const skive_value *v) {
    const int64_t n = numbers_of(g, &v->type);
    if (!is_float(v->type.dtype)) return 0;
    if (!t->info.labelled) return n == t->size ? 2 : n < 0;
    if (t->info.label_rank) return skv_head_place_axis(t, &v->type) > 0 ? 2 : 0;
    if (!is_row(g, &v->type)) return 0;
    if (n == t->size) return 2;
    if (n == 1 && t->size == 2) {
        skv_head h = {0};
        skv_head_walk((skive_value *)(uintptr_t)v, n, &h);
        return h.kind == SKIVE_OUTPUT_SIGMOID ? 2 : 1;
    }
    return n < 0 || n > t->size;
}

void skv_head_list(const skive_graph *g, char *text, size_t size) {
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < g->n_outputs && at + 1 < size; i++) {
        char type[128];
        skv_type_text(&g->outputs[i]->type, type, sizeof type);
        const int n = snprintf(text + at, size - at, "%s'%s' %s", i ? ", " : "", g->outputs[i]->name, type);
        if (n < 0) return;
        at += (size_t)n;
    }
}

int skv_head_fit(const skive_graph *g, const skv_targets *t, size_t index) { return fits(g, t, g->outputs[index]); }

/* Logits and their softmax, both given out, are one head: the first of them serves. */
bool skv_head_same(const skive_graph *g, uint32_t a, uint32_t b) {
    skv_head x = {0}, y = {0};
    skv_head_walk(g->outputs[a], -1, &x);
    skv_head_walk(g->outputs[b], -1, &y);
    const skive_value *of_a = x.before ? x.before : g->outputs[a], *of_b = y.before ? y.before : g->outputs[b];
    return of_a == of_b;
}

/* Without data: the only output that is a softmax or sigmoid. */
static skive_status by_ending(skive_context *ctx, const skive_graph *g, size_t *out) {
    char text[LIST_TEXT];
    int found = 0;
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        skv_head h = {0};
        skv_head_walk(g->outputs[i], numbers_of(g, &g->outputs[i]->type), &h);
        if (!h.from || (found && skv_head_same(g, (uint32_t)*out, i))) continue;
        *out = i;
        found++;
    }
    if (found == 1) return SKIVE_OK;
    skv_head_list(g, text, sizeof text);
    return SKV_FAIL(ctx, SKIVE_ERR_DATA, "the model has %u outputs; select one with --use-output: %s", g->n_outputs,
                    text);
}

static skive_status choose(skive_context *ctx, const skive_graph *g, const skv_targets *t, size_t *out) {
    char text[LIST_TEXT];
    int best = 0, equal = 0;
    *out = 0;
    if (g->n_outputs == 0) return SKV_FAIL(ctx, SKIVE_ERR_DATA, "the model has no output");
    if (g->n_outputs == 1) return SKIVE_OK;
    if (!t) return by_ending(ctx, g, out);
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        const int fit = fits(g, t, g->outputs[i]);
        if (fit > best) {
            best = fit;
            equal = 1;
            *out = i;
        } else if (fit && fit == best && !skv_head_same(g, (uint32_t)*out, i)) {
            equal++;
        }
    }
    if (equal == 1) return SKIVE_OK;
    skv_head_list(g, text, sizeof text);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, t->info.spec,
                       "of the model's %u outputs %s fit%s the %lld %s of %s; select one with --use-output: %s",
                       g->n_outputs, equal ? "several" : "none", equal ? "" : "s", (long long)t->size,
                       t->info.labelled ? "classes" : "targets per sample", t->info.spec, text);
}

static skive_status named(skive_context *ctx, const skive_graph *g, const char *name, size_t *out) {
    char text[LIST_TEXT];
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        if (strcmp(g->outputs[i]->name, name) != 0) continue;
        *out = i;
        return SKIVE_OK;
    }
    skv_head_list(g, text, sizeof text);
    return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name, "the model has no output '%s'; it has %s", name, text);
}

static skive_status kind_of_name(skive_context *ctx, const char *name, skive_output_kind *out) {
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kind_names[i], name) != 0) continue;
        *out = (skive_output_kind)i;
        return SKIVE_OK;
    }
    return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name,
                       "there is no output kind '%s'; there are logits, probabilities, log-probabilities, sigmoid, "
                       "sigmoid-logits, values, embedding, ctc, ctc-last and detections",
                       name);
}

/* Of several outputs each may have a kind of its own, under a key that ends in its name. */
static const char *kind_told(const skive_graph *g, const skive_value *output) {
    const size_t length = strlen(SKV_META_OUTPUT_KIND);
    for (uint32_t i = 0; g->n_outputs > 1 && i < g->n_meta; i++) {
        const char *key = g->meta[i].key;
        if (strncmp(key, SKV_META_OUTPUT_KIND, length) == 0 && key[length] == ':' &&
            strcmp(key + length + 1, output->name) == 0)
            return g->meta[i].value;
    }
    return skive_graph_meta(g, SKV_META_OUTPUT_KIND);
}

/* What the nodes say holds where it is the kind that the metadata name; otherwise there is no value before the output.
 * */
static skive_status take_kind(skive_context *ctx, const skive_graph *g, skv_head *h) {
    const char *name = kind_told(g, h->value);
    skive_output_kind kind = SKIVE_OUTPUT_LOGITS;
    skv_head_walk(h->value, h->scores, h);
    if (!name) return SKIVE_OK;
    SKV_TRY(kind_of_name(ctx, name, &kind));
    if (kind == h->kind && h->from) return SKIVE_OK;
    h->kind = kind;
    h->from = "metadata";
    h->before = NULL;
    h->before_axis = -1;
    return SKIVE_OK;
}

static void take_task(const skv_targets *t, skv_head *h) {
    h->task = h->kind == SKIVE_OUTPUT_EMBEDDING                                 ? SKIVE_TASK_EMBEDDING
              : h->kind == SKIVE_OUTPUT_DETECTIONS                              ? SKIVE_TASK_BOXES
              : h->kind == SKIVE_OUTPUT_CTC || h->kind == SKIVE_OUTPUT_CTC_LAST ? SKIVE_TASK_SEQUENCES
                                                                                : SKIVE_TASK_CLASSES;
    if (h->task == SKIVE_TASK_CLASSES && t && t->info.label_rank) h->task = SKIVE_TASK_PLACES;
    if (h->task != SKIVE_TASK_CLASSES) return;
    if (t && !t->info.labelled && h->kind == SKIVE_OUTPUT_LOGITS && !h->from) {
        /* Plain numbers against floats: labels where all are 0 or 1, otherwise values. */
        h->kind = t->kind == SKV_TARGET_NUMBERS    ? SKIVE_OUTPUT_VALUES
                  : t->kind == SKV_TARGET_ZERO_ONE ? SKIVE_OUTPUT_SIGMOID_LOGITS
                                                   : SKIVE_OUTPUT_LOGITS;
    }
    const bool sigmoid = h->kind == SKIVE_OUTPUT_SIGMOID || h->kind == SKIVE_OUTPUT_SIGMOID_LOGITS;
    if (h->kind == SKIVE_OUTPUT_VALUES || (t && t->kind == SKV_TARGET_NUMBERS)) {
        h->task = SKIVE_TASK_VALUES;
    } else if (t && !t->info.labelled && sigmoid) {
        h->task = SKIVE_TASK_LABELS;
    } else if (h->scores == 1 && (!t || t->info.labelled)) {
        h->task = SKIVE_TASK_BINARY;
        if (h->kind == SKIVE_OUTPUT_LOGITS) h->kind = SKIVE_OUTPUT_SIGMOID_LOGITS;
    }
}

void skv_head_settle(skv_head *h, const skv_targets *t, int64_t scores) {
    if (h->scores == scores) return;
    h->scores = scores;
    take_task(t, h);
}

skive_output_info skv_head_info(const skv_head *h) {
    return (skive_output_info){
        .index = h->output, .name = h->value->name, .kind = h->kind, .from = h->from, .scores = h->scores};
}

/* As many scores for each place as there are classes, or more. */
static skive_status check_places(skive_context *ctx, const skv_targets *t, const skv_head *h) {
    const skive_type *type = &h->value->type;
    const int axis = skv_head_place_axis(t, type);
    const bool scores = h->kind == SKIVE_OUTPUT_LOGITS || h->kind == SKIVE_OUTPUT_PROBABILITIES ||
                        h->kind == SKIVE_OUTPUT_LOG_PROBABILITIES;
    const int64_t n = axis > 0 ? type->dims[axis].size : -1;
    char text[160];
    if (scores && axis > 0 && (n < 0 || n >= t->info.classes)) return SKIVE_OK;
    skv_type_text(type, text, sizeof text);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, t->info.spec,
                       "%s has %lld classes for each of %zu places of a sample, but output '%s' is %s, %s",
                       t->info.spec, (long long)t->info.classes, t->info.label_size, h->value->name,
                       kind_names[h->kind], text);
}

/* A softmax over the classes of each place. */
static void find_softmax(const skv_targets *t, skv_head *h) {
    const skive_node *n = h->value->producer;
    const bool log = skv_node_is(n, SKV_OP_LOG_SOFTMAX);
    if (h->from || !(log || skv_node_is(n, SKV_OP_SOFTMAX))) return;
    const int axis = skv_head_place_axis(t, &h->value->type);
    if (axis < 1 || skv_axis(skv_attr_int(n, "axis", -1), h->value->type.rank) != axis) return;
    h->kind = log ? SKIVE_OUTPUT_LOG_PROBABILITIES : SKIVE_OUTPUT_PROBABILITIES;
    h->from = n->op->name;
    h->before = n->inputs[0];
    h->before_axis = axis;
}

/* What embeddings, sequences and boxes are compared with. */
static skive_status check_form(skive_context *ctx, const skv_targets *t, const skv_head *h) {
    const skive_dataset_info *info = &t->info;
    const char *needs = NULL;
    if (h->task == SKIVE_TASK_EMBEDDING && !info->labelled) needs = "one class label a sample";
    if (h->task == SKIVE_TASK_SEQUENCES && (info->labelled || info->target_rank > 1))
        needs = "label sequences [n, places] filled up with -1";
    if (h->task == SKIVE_TASK_BOXES && (info->labelled || info->target_rank != 2 || info->target_dims[1] != 5))
        needs = "boxes [n, boxes, 5] (x1, y1, x2, y2, class; -1: no box)";
    if (h->task == SKIVE_TASK_PLACES) return check_places(ctx, t, h);
    if (!needs) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, info->spec, "%s: the output '%s' is %s, which needs %s", info->spec,
                       h->value->name, kind_names[h->kind], needs);
}

skive_status skv_head_find(skive_context *ctx, const skive_graph *g, const skv_targets *targets, skv_head *out) {
    const char *name = skive_graph_meta(g, SKV_META_OUTPUT_NAME);
    size_t index = 0;
    *out = (skv_head){0};
    SKV_TRY(name ? named(ctx, g, name, &index) : choose(ctx, g, targets, &index));
    return skv_head_at(ctx, g, targets, index, out);
}

skive_status skv_head_at(skive_context *ctx, const skive_graph *g, const skv_targets *targets, size_t index,
                         skv_head *out) {
    *out = (skv_head){.output = index};
    out->value = g->outputs[out->output];
    out->scores = numbers_of(g, &out->value->type);
    SKV_TRY(take_kind(ctx, g, out));
    if (targets && targets->info.labelled && out->kind == SKIVE_OUTPUT_VALUES) {
        return skv_fail_at(
            ctx, SKIVE_ERR_DATA, targets->info.spec,
            "%s has class labels, but the model's output '%s' contains values (regression) and needs float targets",
            targets->info.spec, out->value->name);
    }
    if (targets && targets->info.label_rank) find_softmax(targets, out);
    take_task(targets, out);
    if (out->task == SKIVE_TASK_SEQUENCES) SKV_TRY(skv_head_take_lengths(ctx, g, out));
    if (out->task > SKIVE_TASK_VALUES) return targets ? check_form(ctx, targets, out) : SKIVE_OK;
    if (targets && out->task == SKIVE_TASK_CLASSES && targets->kind == SKV_TARGET_ZERO_ONE) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, targets->info.spec,
                           "%s: targets are 0 and 1, but not a single 1 per sample; output '%s' is %s, for one class "
                           "of several (use --output-kind sigmoid or values)",
                           targets->info.spec, out->value->name, kind_names[out->kind]);
    }
    if (targets && out->task != SKIVE_TASK_VALUES && !is_row(g, &out->value->type)) {
        char text[160];
        skv_type_text(&out->value->type, text, sizeof text);
        return skv_fail_at(ctx, SKIVE_ERR_DATA, out->value->name,
                           "output '%s' is %s, which is not a row of scores for each sample", out->value->name, text);
    }
    return SKIVE_OK;
}

/* ---- for callers ---- */

skive_status skv_head_set_kind(skive_graph *g, const skive_value *output, skive_output_kind kind) {
    char *key = NULL;
    SKV_TRY(skv_asprintf(g->ctx, &key, "%s:%s", SKV_META_OUTPUT_KIND, output->name));
    const skive_status status = skive_graph_set_meta(g, key, skive_output_kind_name(kind));
    skv_free(g->ctx, key);
    return status;
}

/* "NAME=KIND;NAME=KIND": of several outputs. */
static skive_status set_kinds(skive_graph *g, const char *kinds) {
    skive_output_kind kind = SKIVE_OUTPUT_LOGITS;
    for (const char *at = kinds; *at;) {
        const size_t n = strcspn(at, ";"), length = strcspn(at, "=;");
        char *name = NULL, *value = NULL;
        size_t index = 0;
        SKV_TRY(skv_strdup_n(g->ctx, at, length, &name));
        skive_status status = skv_strdup_n(g->ctx, at + length + (length < n), n - length - (length < n), &value);
        if (status == SKIVE_OK) status = named(g->ctx, g, name, &index);
        if (status == SKIVE_OK) status = kind_of_name(g->ctx, value, &kind);
        if (status == SKIVE_OK) status = skv_head_set_kind(g, g->outputs[index], kind);
        skv_free(g->ctx, name);
        skv_free(g->ctx, value);
        SKV_TRY(status);
        at += n + (at[n] == ';');
    }
    return SKIVE_OK;
}

skive_status skive_model_set_output(skive_graph *g, const char *output, const char *kind) {
    SKV_NEED(g ? g->ctx : NULL, "graph", g);
    size_t index = 0;
    skive_output_kind k = SKIVE_OUTPUT_LOGITS;
    const bool several = kind && strchr(kind, '=');
    if (output && *output) SKV_TRY(named(g->ctx, g, output, &index));
    if (kind && *kind && !several) SKV_TRY(kind_of_name(g->ctx, kind, &k));
    if (several) SKV_TRY(set_kinds(g, kind));
    if (output) SKV_TRY(skive_graph_set_meta(g, SKV_META_OUTPUT_NAME, *output ? output : NULL));
    return kind && !several ? skive_graph_set_meta(g, SKV_META_OUTPUT_KIND, *kind ? kind : NULL) : SKIVE_OK;
}

skive_status skive_model_output(const skive_graph *g, const skive_dataset *set, skive_output_info *out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    skv_targets t;
    skv_head h;
    *out = (skive_output_info){0};
    skive_dataset_info info = {0};
    if (set) skive_dataset_get_info(set, &info);
    const bool asks = info.labelled || info.target_size > 0;
    if (asks) SKV_TRY(skv_targets_of(g->ctx, set, &t));
    SKV_TRY(skv_head_find(g->ctx, g, asks ? &t : NULL, &h));
    *out = skv_head_info(&h);
    return SKIVE_OK;
}

const char *skv_head_text(const skv_head *h, char *buffer, size_t size) {
    if (h->from)
        snprintf(buffer, size, "'%s', %s (%s)", h->value->name, kind_names[h->kind], h->from);
    else
        snprintf(buffer, size, "'%s', %s", h->value->name, kind_names[h->kind]);
    return buffer;
}

void skv_head_tell_assumed(skive_context *ctx, const skv_targets *t, const skv_head *h) {
    const char *name = h->value->name, *spec = t->info.spec;
    if (h->task == SKIVE_TASK_BINARY && !h->from)
        skv_note(ctx, "one score for two classes: '%s' is used as the score of class 1 before a sigmoid", name);
    if (h->task == SKIVE_TASK_CLASSES && t->kind == SKV_TARGET_ONE_HOT)
        skv_note(ctx, "%s: each target is a single 1 among zeros: targets are used as classes", spec);
    if (h->task == SKIVE_TASK_LABELS && !h->from)
        skv_note(ctx,
                 "%s: all targets are 0 or 1: '%s' is used as scores of labels, each before a sigmoid (--output-kind "
                 "values: as values)",
                 spec, name);
}

void skv_head_tell(skive_context *ctx, const char *who, const skive_graph *g, const skv_head *h) {
    char text[300];
    skv_head_text(h, text, sizeof text);
    if (g->n_outputs > 1)
        skv_note(ctx, "of the %s's %u outputs, %s is used; select another with --use-output", who, g->n_outputs, text);
    else if (h->from && h->kind != SKIVE_OUTPUT_VALUES)
        skv_note(ctx, "the %s's output is %s", who, text);
}

float skv_output_threshold(skive_output_kind kind) {
    return kind == SKIVE_OUTPUT_SIGMOID || kind == SKIVE_OUTPUT_PROBABILITIES ? 0.5f
           : kind == SKIVE_OUTPUT_LOG_PROBABILITIES                           ? -0.69314718f
                                                                              : 0.0f;
}
