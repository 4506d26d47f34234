/* See goals.h. */
#include "train/head/goals.h"

#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "graph/meta_keys.h"

enum { LIST_TEXT = 600 };

const char *skv_goal_name(const skv_goal *goal) { return goal->name ? goal->name : goal->head.value->name; }

/* ---- the option ---- */

typedef struct wanted {
    bool given;   /* there is an option */
    bool *listed; /* [outputs] */
    double *weight;
    const skv_loss **loss;
    char **text; /* of the losses, with their options */
} wanted;

static void free_wanted(skive_context *ctx, wanted *w, uint32_t n) {
    for (uint32_t i = 0; w->text && i < n; i++) skv_free(ctx, w->text[i]);
    skv_free(ctx, w->text);
    skv_free(ctx, w->listed);
    skv_free(ctx, w->weight);
    skv_free(ctx, w->loss);
}

/* "0.5", "mse" or "0.5*huber:delta=2". */
static skive_status read_value(skive_context *ctx, const char *text, size_t n, double *weight, const skv_loss **loss,
                               char **loss_text) {
    const char *star = memchr(text, '*', n);
    const size_t number = star ? (size_t)(star - text) : n;
    skv_option_values values;
    const bool weighted = skv_parse_number(text, number, weight);
    if (!weighted) *weight = 1;
    if (star && !weighted)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "outputs", "outputs: '%.*s' is not a weight", (int)number, text);
    if (!(*weight >= 0))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "outputs", "outputs: the weight %g; it must be 0 or more", *weight);
    if (weighted && !star) return SKIVE_OK;
    const char *rest = star ? star + 1 : text;
    SKV_TRY(skv_strdup_n(ctx, rest, n - (size_t)(rest - text), loss_text));
    SKV_TRY(skv_loss_pick(ctx, *loss_text, loss, &values));
    if ((*loss)->needs_teacher || (*loss)->needs_features)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "outputs", "outputs: the loss '%s' needs a teacher", (*loss)->name);
    return SKIVE_OK;
}

static skive_status read_item(skive_context *ctx, const skive_graph *g, const char *at, size_t n, wanted *w) {
    const char *equals = memchr(at, '=', n);
    const size_t length = equals ? (size_t)(equals - at) : n;
    char text[LIST_TEXT];
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        if (strlen(g->outputs[i]->name) != length || memcmp(g->outputs[i]->name, at, length) != 0) continue;
        if (w->listed[i])
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "outputs", "outputs: '%s' is given twice", g->outputs[i]->name);
        w->listed[i] = true;
        return equals ? read_value(ctx, equals + 1, n - length - 1, &w->weight[i], &w->loss[i], &w->text[i]) : SKIVE_OK;
    }
    skv_head_list(g, text, sizeof text);
    return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, "outputs", "outputs: the model has no output '%.*s'; it has %s",
                       (int)length, at, text);
}

static skive_status read_wanted(skive_context *ctx, const skive_graph *g, const char *outputs, wanted *w) {
    const char *only = skive_graph_meta(g, SKV_META_OUTPUT_NAME);
    *w = (wanted){.given = outputs && *outputs};
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof *w->listed, &w->listed));
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof *w->weight, &w->weight));
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof(skv_loss *), &w->loss));
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof(char *), &w->text));
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        w->weight[i] = 1;
        w->listed[i] = !w->given && (!only || strcmp(only, g->outputs[i]->name) == 0);
        for (uint32_t k = 0; k < i && w->listed[i] && !only; k++) w->listed[i] = !skv_head_same(g, k, i);
    }
    for (const char *at = outputs; w->given && *at;) {
        const size_t n = strcspn(at, ";");
        SKV_TRY(read_item(ctx, g, at, n, w));
        at += n + (at[n] == ';');
    }
    return SKIVE_OK;
}

/* ---- matching ---- */

enum { NONE = -1 };

typedef struct matching {
    skive_context *ctx;
    const skive_graph *g;
    const wanted *w;
    const skv_targets *targets; /* [n] */
    const char *const *names;   /* [n] */
    const char *called;         /* the only target without a name, in messages; or NULL */
    size_t n;
    int *output; /* [n] */
    bool *taken; /* [outputs] */
    skv_text *left;
} matching;

static bool is_free(const matching *m, uint32_t i) { return m->w->listed[i] && !m->taken[i]; }

static void pair(matching *m, size_t k, uint32_t i) {
    m->output[k] = (int)i;
    m->taken[i] = true;
}

static void by_names(matching *m) {
    for (size_t k = 0; k < m->n; k++) {
        for (uint32_t i = 0; i < m->g->n_outputs && m->output[k] == NONE; i++) {
            if (is_free(m, i) && m->names[k] && strcmp(m->names[k], m->g->outputs[i]->name) == 0) pair(m, k, i);
        }
    }
}

/* How well the best of the free outputs fits target k. */
static int best_fit(const matching *m, size_t k) {
    int best = 0;
    for (uint32_t i = 0; i < m->g->n_outputs; i++) {
        const int fit = is_free(m, i) ? skv_head_fit(m->g, &m->targets[k], i) : 0;
        if (fit > best) best = fit;
    }
    return best;
}

static bool is_candidate(const matching *m, size_t k, uint32_t i, int best) {
    return best > 0 && is_free(m, i) && skv_head_fit(m->g, &m->targets[k], i) == best;
}

/* The only output that fits target k best, if no other target wants it too. */
static int only_candidate(const matching *m, size_t k) {
    const int best = best_fit(m, k);
    int found = NONE;
    for (uint32_t i = 0; i < m->g->n_outputs; i++) {
        if (!is_candidate(m, k, i, best)) continue;
        if (found != NONE) return NONE;
        found = (int)i;
    }
    for (size_t other = 0; other < m->n && found != NONE; other++) {
        if (other != k && m->output[other] == NONE && is_candidate(m, other, (uint32_t)found, best_fit(m, other)))
            return NONE;
    }
    return found;
}

static void by_fit(matching *m) {
    for (bool more = true; more;) {
        more = false;
        for (size_t k = 0; k < m->n; k++) {
            const int only = m->output[k] == NONE ? only_candidate(m, k) : NONE;
            if (only == NONE) continue;
            pair(m, k, (uint32_t)only);
            more = true;
        }
    }
}

static const char *name_of(const matching *m, size_t k) {
    return m->names[k] ? m->names[k] : m->called ? m->called : "the only target";
}

static void list_targets(const matching *m, skv_text *t) {
    for (size_t k = 0; k < m->n; k++) {
        const skv_targets *one = &m->targets[k];
        skv_text_add(t, "%s'%s' (%lld %s)", k ? ", " : "", name_of(m, k), (long long)one->size,
                     one->info.labelled ? "classes"
                     : one->size == 1   ? "value"
                                        : "values");
    }
}

static skive_status refuse(const matching *m, const char *what, const char *name) {
    char text[LIST_TEXT];
    skv_text t;
    const char *spec = m->targets[0].info.spec;
    skv_text_init(&t, m->ctx);
    list_targets(m, &t);
    skv_head_list(m->g, text, sizeof text);
    const skive_status status =
        t.status != SKIVE_OK
            ? t.status
            : skv_fail_at(m->ctx, SKIVE_ERR_DATA, spec,
                          "%s: it is not clear which %s belongs to %s '%s'; the data have %s; the model has %s; give "
                          "them the same names",
                          spec, strcmp(what, "target") == 0 ? "output" : "target", what, name, t.data, text);
    skv_text_free(&t);
    return status;
}

/* `strict`: every target must have its output. */
static skive_status match(matching *m, bool strict) {
    by_names(m);
    by_fit(m);
    for (uint32_t i = 0; i < m->g->n_outputs; i++) {
        if (m->w->given && m->w->listed[i] && !m->taken[i]) return refuse(m, "output", m->g->outputs[i]->name);
    }
    size_t found = 0;
    for (size_t k = 0; k < m->n; k++) {
        found += m->output[k] != NONE;
        if (m->output[k] != NONE) continue;
        if (strict || (!m->w->given && best_fit(m, k) > 0)) return refuse(m, "target", name_of(m, k));
        skv_text_add(m->left, "%s'%s' (%s)", m->left->length ? ", " : "", name_of(m, k),
                     m->w->given ? "no output was named for it" : "no output fits it");
    }
    SKV_TRY(m->left->status);
    return found ? SKIVE_OK : refuse(m, "target", name_of(m, 0));
}

static skive_status take(const matching *m, skv_goals *out) {
    SKV_TRY(skv_alloc_array(m->ctx, m->n, sizeof *out->items, &out->items));
    for (size_t k = 0; k < m->n; k++) {
        if (m->output[k] == NONE) continue;
        skv_goal *goal = &out->items[out->n++];
        const uint32_t i = (uint32_t)m->output[k];
        *goal = (skv_goal){.target = k,
                           .name = m->names[k],
                           .called = name_of(m, k),
                           .targets = m->targets[k],
                           .weight = m->w->weight[i],
                           .loss = m->w->loss[i],
                           .by_name = m->names[k] && strcmp(m->names[k], m->g->outputs[i]->name) == 0};
        if (m->w->text[i]) SKV_TRY(skv_strdup(m->ctx, m->w->text[i], &goal->loss_text));
        SKV_TRY(skv_head_at(m->ctx, m->g, &goal->targets, i, &goal->head));
    }
    return SKIVE_OK;
}

static skive_status find(skive_context *ctx, const skive_graph *g, const skv_targets *targets, const char *const *names,
                         size_t n, const char *called, const char *outputs, bool strict, skv_goals *out) {
    matching m = {.ctx = ctx, .g = g, .targets = targets, .names = names, .called = called, .n = n, .left = &out->left};
    wanted w = {0};
    skive_status status;
    m.w = &w;
    SKV_GO(status, done, read_wanted(ctx, g, outputs, &w));
    SKV_GO(status, done, skv_alloc_array(ctx, n, sizeof *m.output, &m.output));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof *m.taken, &m.taken));
    for (size_t k = 0; k < n; k++) m.output[k] = NONE;
    SKV_GO(status, done, match(&m, strict));
    status = take(&m, out);
done:
    free_wanted(ctx, &w, g->n_outputs);
    skv_free(ctx, m.output);
    skv_free(ctx, m.taken);
    return status;
}

/* ---- for callers ---- */

static skive_status find_one(skive_context *ctx, const skive_graph *g, const skv_targets *targets, skv_goals *out) {
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *out->items, &out->items));
    out->items[0] = (skv_goal){.targets = *targets, .weight = 1};
    out->n = 1;
    return skv_head_find(ctx, g, targets, &out->items[0].head);
}

skive_status skv_goals_find(skive_context *ctx, const skive_graph *g, const skive_dataset *set, const char *outputs,
                            skv_goals *out) {
    const size_t n = skv_dataset_answer_count(set);
    skv_targets *targets = NULL;
    const char **names = NULL;
    skive_status status;
    *out = (skv_goals){.ctx = ctx};
    skv_text_init(&out->left, ctx);
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *targets, &targets));
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *names, &names));
    for (size_t k = 0; k < n || k == 0; k++)
        SKV_GO(status, done, skv_targets_of(ctx, n ? skv_dataset_answer(set, k) : set, &targets[k]));
    skive_dataset_info info;
    skive_dataset_get_info(set, &info);
    for (size_t k = 0; k < n && k < info.n_targets; k++) {
        names[k] = info.targets[k].name;
        targets[k].info.spec = info.spec;
    }
    out->chosen = n > 1 || (outputs && *outputs);
    if (!out->chosen)
        status = find_one(ctx, g, &targets[0], out);
    else
        status = find(ctx, g, targets, names, n, n == 1 ? set->answer_name : NULL, outputs, false, out);
done:
    skv_free(ctx, targets);
    skv_free(ctx, names);
    if (status != SKIVE_OK) skv_goals_free(out);
    return status;
}

skive_status skv_goals_again(skive_context *ctx, const skive_graph *g, const skv_goals *of, skv_goals *out) {
    skv_targets *targets = NULL;
    const char **names = NULL;
    skive_status status;
    *out = (skv_goals){.ctx = ctx};
    skv_text_init(&out->left, ctx);
    out->chosen = of->chosen;
    if (!of->chosen) {
        status = find_one(ctx, g, &of->items[0].targets, out);
        goto done;
    }
    SKV_GO(status, done, skv_alloc_array(ctx, of->n, sizeof *targets, &targets));
    SKV_GO(status, done, skv_alloc_array(ctx, of->n, sizeof *names, &names));
    for (size_t k = 0; k < of->n; k++) {
        targets[k] = of->items[k].targets;
        names[k] = of->items[k].head.value->name; /* the outputs of both models may have the same names ... */
    }
    status = find(ctx, g, targets, names, of->n, NULL, NULL, true, out);
    if (status == SKIVE_OK) goto done;
    skive_context_clear(ctx);
    skv_goals_free(out);
    *out = (skv_goals){.ctx = ctx, .chosen = true};
    skv_text_init(&out->left, ctx);
    for (size_t k = 0; k < of->n; k++) names[k] = of->items[k].name; /* ... or those of the targets */
    status = find(ctx, g, targets, names, of->n, NULL, NULL, true, out);
done:
    skv_free(ctx, targets);
    skv_free(ctx, names);
    if (status != SKIVE_OK) skv_goals_free(out);
    return status;
}

void skv_goals_free(skv_goals *goals) {
    if (!goals->ctx) return;
    for (size_t k = 0; k < goals->n; k++) {
        skv_target_scale_free(goals->ctx, &goals->items[k].scale);
        skv_free(goals->ctx, goals->items[k].class_weights);
        skv_free(goals->ctx, goals->items[k].loss_text);
    }
    skv_free(goals->ctx, goals->items);
    skv_text_free(&goals->left);
    *goals = (skv_goals){0};
}

void skv_goals_tell(const skv_goals *goals, const char *who) {
    char text[300];
    if (goals->left.length)
        skv_note(goals->ctx, "of the data's targets these are not used by the %s: %s", who, goals->left.data);
    for (size_t k = 0; k < goals->n && goals->chosen; k++) {
        const skv_goal *goal = &goals->items[k];
        skv_head_text(&goal->head, text, sizeof text);
        char weight[48] = "";
        if (goal->weight != 1) (void)snprintf(weight, sizeof weight, "; its loss has the weight %g", goal->weight);
        skv_note(goals->ctx, "output %s of the %s is for the target '%s'%s%s%s%s", text, who, goal->called,
                 goal->by_name ? "" : " (no other fits)", goal->loss ? ", by the loss " : "",
                 goal->loss ? goal->loss_text : "", weight);
    }
}
