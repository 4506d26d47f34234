/* Deep mutual learning (Zhang et al. 2018): students in one graph, each of which learns from the labels and from the
 * others: CE + mean over the others of T^2 KL(other || it). */
#include <skive/distill.h>

#include <stdio.h>
#include <string.h>

#include "distill/distill.h"
#include "train/terms/term.h"

enum { MOST = 16 };

typedef struct group {
    skive_context *ctx;
    skive_graph *all;        /* the first student, and the others beside it */
    char *answers[MOST];     /* names of their scores there */
    char prefixes[MOST][40]; /* of the names of their parameters there */
    size_t n;
} group;

static bool same_input(const skive_graph *a, const skive_graph *b, skive_context *ctx) {
    skv_text mine, theirs;
    skv_text_init(&mine, ctx);
    skv_text_init(&theirs, ctx);
    skv_settings_input(&mine, "", a);
    skv_settings_input(&theirs, "", b);
    bool same = mine.status == SKIVE_OK && theirs.status == SKIVE_OK && strcmp(mine.data, theirs.data) == 0 &&
                a->n_inputs == b->n_inputs;
    for (uint32_t i = 0; same && i < a->n_inputs; i++) {
        const skive_type *x = &a->inputs[i]->type, *y = &b->inputs[i]->type;
        same = x->dtype == y->dtype && x->rank == y->rank;
        for (int d = 0; same && d < x->rank; d++) same = x->dims[d].size == y->dims[d].size;
    }
    skv_text_free(&mine);
    skv_text_free(&theirs);
    return same;
}

static skive_status head_of(skive_context *ctx, const skive_graph *g, const skv_targets *targets, size_t index,
                            skv_head *head) {
    SKV_TRY(skv_head_find(ctx, g, targets, head));
    if (head->task == SKIVE_TASK_CLASSES && !skv_head_is_sigmoid(head) &&
        (head->before || head->kind == SKIVE_OUTPUT_LOGITS))
        return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                    "student %zu has no scores of classes that exclude one another, of which students learn from one "
                    "another",
                    index + 1);
}

static skive_status put_in(group *s, skive_graph *const *students, size_t i, const skv_targets *targets) {
    skive_context *ctx = s->ctx;
    skive_value **map = NULL;
    skive_graph *copy = NULL;
    skv_head head;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, students[i], &copy));
    SKV_GO(status, done, head_of(ctx, copy, targets, i, &head));
    skive_value *answer = head.before ? head.before : head.value;
    if (i == 0) {
        SKV_GO(status, done, skv_strdup(ctx, answer->name, &s->answers[0]));
        SKV_GO(status, done, skive_model_set_output(copy, head.value->name, NULL));
        s->all = copy;
        return SKIVE_OK;
    }
    (void)snprintf(s->prefixes[i], sizeof s->prefixes[i], "student%zu.", i + 1);
    SKV_GO(status, done, skv_graph_merge(s->all, copy, s->prefixes[i], s->all->inputs, &map));
    for (uint32_t k = 0; k < copy->n_values; k++)
        if (map[k]) map[k]->trainable = copy->values[k]->trainable;
    SKV_GO(status, done, skive_graph_add_output(s->all, map[answer->id]));
    status = skv_strdup(ctx, map[answer->id]->name, &s->answers[i]);
done:
    skv_free(ctx, map);
    skive_graph_free(copy);
    return status;
}

/* The numbers of a student from the graph of all. */
static void take_back(const group *s, skive_graph *student, size_t i) {
    for (uint32_t k = 0; k < student->n_values; k++) {
        skive_value *v = student->values[k];
        const skive_tensor *mine = skv_value_tensor(v);
        char name[600];
        if (!mine) continue;
        (void)snprintf(name, sizeof name, "%s%s", s->prefixes[i], v->name);
        const skive_value *there = skive_graph_find_value(s->all, name);
        const skive_tensor *t = there ? skv_value_tensor(there) : NULL;
        if (t && t->dtype == mine->dtype && t->dtype != SKIVE_STRING &&
            skive_tensor_bytes(t) == skive_tensor_bytes(mine))
            memcpy(v->storage->tensor.data, t->data, skive_tensor_bytes(t));
    }
}

/* The labels of the first are the loss's own; all else are terms. */
static skive_status write_terms(const group *s, double temperature, skv_text *terms) {
    for (size_t i = 0; i < s->n; i++) {
        for (size_t j = 0; j < s->n; j++) {
            if (i == j) continue;
            const bool labels = i > 0 && j == (i == 0 ? 1 : 0);
            skv_text_add(terms, "%speer:value=%s,by=%s,labels=%d,soft=%.17g,temperature=%.17g",
                         terms->length ? ";" : "", s->answers[i], s->answers[j], labels, 1 / (double)(s->n - 1),
                         temperature);
        }
    }
    return terms->status;
}

static skive_status check(skive_context *ctx, skive_graph *const *students, size_t n) {
    if (n < 2 || n > MOST)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "n", "%zu students; 2 to %d learn from one another", n, (int)MOST);
    for (size_t i = 0; i < n; i++) {
        if (!students[i]) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "students", "student %zu is missing", i + 1);
        if (!same_input(students[0], students[i], ctx))
            return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                            "students 1 and %zu take other inputs, or with other settings; those that learn from one "
                            "another see the same samples",
                            i + 1);
    }
    return SKIVE_OK;
}

skive_status skive_distill_mutual(skive_context *ctx, skive_graph *const *students, size_t n, skive_dataset *train,
                                  skive_dataset *validation, const skive_distill_options *options,
                                  skive_train_report *report) {
    SKV_NEED(ctx, "ctx, students, train", ctx, students, train);
    skive_distill_options o = skive_distill_options_default();
    group s = {.ctx = ctx, .n = n};
    skv_targets targets;
    skv_text terms;
    skive_status status;
    if (report) *report = (skive_train_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_distill_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_distill_table, &o));
    SKV_TRY(check(ctx, students, n));
    if (o.terms || o.combine || o.cache || o.teacher_view || o.unlabelled || o.n_more_teachers)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "options",
                           "students that learn from one another have no teacher; terms, combine, cache, teacher-view, "
                           "unlabelled and more_teachers are of one");
    skv_text_init(&terms, ctx);
    SKV_GO(status, done, skv_targets_of(ctx, train, &targets));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, skive_graph_to_inference(students[i]));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, skv_params_unshare(students[i]));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, put_in(&s, students, i, &targets));
    SKV_GO(status, done, write_terms(&s, o.temperature, &terms));
    o.terms = terms.data;
    status = skive_distill(ctx, s.all, NULL, train, validation, &o, report);
    for (size_t i = 0; i < n && (status == SKIVE_OK || status == SKIVE_ERR_INTERRUPTED); i++)
        take_back(&s, students[i], i);
done:
    skv_text_free(&terms);
    skive_graph_free(s.all);
    for (size_t i = 0; i < n && i < MOST; i++) skv_free(ctx, s.answers[i]);
    return status;
}
