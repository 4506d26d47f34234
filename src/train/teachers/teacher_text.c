/* What the options say of teachers: which of their outputs teach what, and which classes they know. */
#include <skive/output.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "train/teachers/lesson.h"

static const char *name_of(const skv_teacher *t) { return t->name ? t->name : "the teacher"; }

/* ---- numbers of teachers ---- */

/* "2:rest": the number and what is behind the colon; 0 where there is none. */
static size_t number_before(const char *text, const char **rest) {
    char *end = NULL;
    *rest = text;
    if (!isdigit((unsigned char)*text)) return 0;
    const unsigned long n = strtoul(text, &end, 10);
    if (*end != ':') return 0;
    *rest = end + 1;
    return n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}

static skive_status no_such_teacher(skive_context *ctx, const char *where, const char *item, size_t n) {
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, where, "%s: '%s': there %s %zu teacher%s; they are numbered from 1",
                       where, item, n == 1 ? "is" : "are", n, n == 1 ? "" : "s");
}

/* ---- outputs ---- */

static const char *output_of(const skive_graph *g, const char *name) {
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (strcmp(g->outputs[i]->name, name) == 0) return g->outputs[i]->name;
    return NULL;
}

static skive_status no_output(skive_context *ctx, const skv_teacher *teachers, size_t n, const char *name) {
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < n; i++) {
        char list[600];
        skv_head_list(teachers[i].graph, list, sizeof list);
        skv_text_add(&t, "%s%s has %s", i ? "; " : "", name_of(&teachers[i]), list);
    }
    const skive_status status = t.status != SKIVE_OK
                                    ? t.status
                                    : skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, "teacher heads",
                                                  "teacher heads: no teacher has an output '%s'; %s", name, t.data);
    skv_text_free(&t);
    return status;
}

/* "N:OUTPUT", "N:" or "OUTPUT". */
static skive_status find_output(skive_context *ctx, const char *text, const skv_teacher *teachers, size_t n,
                                skv_teacher_head *out) {
    const char *rest;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const char *output = output_of(teachers[i].graph, text);
        if (!output) continue;
        found++;
        out->teacher = i;
        out->output = output;
    }
    if (found == 1) return SKIVE_OK;
    if (found > 1)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher heads",
                           "teacher heads: %zu teachers have an output '%s'; say which is meant: N:%s with N from 1",
                           found, text, text);
    const size_t number = number_before(text, &rest);
    if (rest == text) return no_output(ctx, teachers, n, text);
    if (number < 1 || number > n) return no_such_teacher(ctx, "teacher heads", text, n);
    const skv_teacher *t = &teachers[number - 1];
    out->teacher = number - 1;
    out->output = *rest ? output_of(t->graph, rest) : t->graph->n_outputs == 1 ? t->graph->outputs[0]->name : NULL;
    return out->output ? SKIVE_OK : no_output(ctx, t, 1, rest);
}

static skive_status read_head(skive_context *ctx, char *item, const skv_teacher *teachers, size_t n,
                              skv_teacher_head *out) {
    char *equals = strchr(item, '=');
    *out = (skv_teacher_head){.task = NULL};
    if (!equals) return find_output(ctx, item, teachers, n, out);
    *equals = 0;
    if (!*item || !equals[1])
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher heads",
                           "teacher heads: '%s=%s' has an empty part; write TASK=OUTPUT", item, equals + 1);
    out->task = item;
    return find_output(ctx, equals + 1, teachers, n, out);
}

skive_status skv_teacher_heads_parse(skive_context *ctx, const char *text, const skv_teacher *teachers, size_t n,
                                     char **store, skv_teacher_head **heads, size_t *n_heads) {
    size_t most = 1;
    *n_heads = 0;
    if (!text || !*text) return SKIVE_OK;
    for (const char *at = text; *at; at++) most += *at == ';';
    SKV_TRY(skv_strdup(ctx, text, store));
    SKV_TRY(skv_alloc_array(ctx, most, sizeof **heads, heads));
    for (char *at = *store; at;) {
        char *end = strchr(at, ';'), *item = at + strspn(at, " ");
        if (end) *end = 0;
        at = end ? end + 1 : NULL;
        skv_teacher_head *one = &(*heads)[*n_heads];
        SKV_TRY(read_head(ctx, item, teachers, n, one));
        for (size_t i = 0; i < *n_heads; i++) {
            const skv_teacher_head *other = &(*heads)[i];
            const bool same = one->task && other->task ? strcmp(one->task, other->task) == 0 : one->task == other->task;
            if (same && other->teacher == one->teacher)
                return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher heads",
                                   "teacher heads: %s is to teach '%s' by two outputs, '%s' and '%s'; name one",
                                   name_of(&teachers[one->teacher]), one->task ? one->task : "the student",
                                   other->output, one->output);
        }
        ++*n_heads;
    }
    return SKIVE_OK;
}

/* ---- classes ---- */

static skive_status read_classes(skive_context *ctx, const char *item, skv_teacher *teachers, size_t n) {
    const char *path = item;
    if (strcmp(item, "known") == 0) {
        for (size_t i = 0; i < n; i++) teachers[i].part = true;
        return SKIVE_OK;
    }
    size_t number = skv_path_exists(item) ? 0 : number_before(item, &path);
    if (path == item) number = 1;
    if (number < 1 || number > n) return no_such_teacher(ctx, "teacher classes", item, n);
    skv_teacher *t = &teachers[number - 1];
    if (t->classes)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher classes",
                           "teacher classes: two files name the classes of %s; give one", name_of(t));
    t->part = true;
    return skv_class_names_read(ctx, path, &t->classes, &t->n_classes);
}

skive_status skv_teacher_classes_parse(skive_context *ctx, const char *text, skv_teacher *teachers, size_t n) {
    for (const char *at = text && *text ? text : NULL; at;) {
        const size_t length = strcspn(at, ";");
        char *item = NULL;
        SKV_TRY(skv_strdup_n(ctx, at, length, &item));
        const skive_status status = read_classes(ctx, item, teachers, n);
        skv_free(ctx, item);
        SKV_TRY(status);
        at = at[length] ? at + length + 1 : NULL;
    }
    return SKIVE_OK;
}
