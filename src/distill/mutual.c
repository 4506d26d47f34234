/* Deep mutual learning (Zhang et al. 2018): students in one graph, each of which learns from the labels and from the
 * others: CE + mean over the others of T^2 KL(other || it). */
#include <skive/distill.h>

#include <string.h>

#include "distill/distill.h"
#include "train/terms/term.h"

typedef struct group {
    skv_beside beside;
    char *answers[SKV_BESIDE_MOST]; /* names of the students' scores in the graph of all */
    size_t n;
} group;

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
    skive_context *ctx = s->beside.ctx;
    skive_graph *copy = NULL;
    skv_head head;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, students[i], &copy));
    SKV_GO(status, done, head_of(ctx, copy, targets, i, &head));
    skive_value *answer = head.before ? head.before : head.value;
    if (i == 0) SKV_GO(status, done, skive_model_set_output(copy, head.value->name, NULL));
    status = skv_beside_add(&s->beside, copy, &answer);
    copy = NULL;
    if (status == SKIVE_OK && i > 0) status = skive_graph_add_output(s->beside.all, answer);
    if (status == SKIVE_OK) status = skv_strdup(ctx, answer->name, &s->answers[i]);
done:
    skive_graph_free(copy);
    return status;
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

skive_status skive_distill_mutual(skive_context *ctx, skive_graph *const *students, size_t n, skive_dataset *train,
                                  skive_dataset *validation, const skive_distill_options *options,
                                  skive_train_report *report) {
    SKV_NEED(ctx, "ctx, students, train", ctx, students, train);
    skive_distill_options o = skive_distill_options_default();
    group s = {.beside.ctx = ctx, .n = n};
    skv_targets targets;
    skv_text terms;
    skive_status status;
    if (report) *report = (skive_train_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_distill_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_distill_table, &o));
    SKV_TRY(skv_beside_check(ctx, students, n));
    if (o.terms || o.combine || o.cache || o.teacher_view || o.unlabelled || o.n_more_teachers)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "options",
                           "students that learn from one another have no teacher; terms, combine, cache, teacher-view, "
                           "unlabelled and more_teachers are of one");
    skv_text_init(&terms, ctx);
    SKV_GO(status, done, skv_targets_of(ctx, train, &targets));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, skv_graph_for_methods(students[i]));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, skv_params_unshare(students[i]));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, put_in(&s, students, i, &targets));
    SKV_GO(status, done, write_terms(&s, o.temperature, &terms));
    o.terms = terms.data;
    status = skive_distill(ctx, s.beside.all, NULL, train, validation, &o, report);
    for (size_t i = 0; i < n && (status == SKIVE_OK || status == SKIVE_ERR_INTERRUPTED); i++)
        skv_beside_take_back(&s.beside, students[i], i);
done:
    skv_text_free(&terms);
    skive_graph_free(s.beside.all);
    for (size_t i = 0; i < n && i < SKV_BESIDE_MOST; i++) skv_free(ctx, s.answers[i]);
    return status;
}
