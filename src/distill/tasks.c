/* Several students in one run, each of which learns a task: a target of the data, from the output of a teacher that
 * teaches it. They stand side by side in one graph of several outputs, so that a teacher of several tasks runs once for
 * all of them. No student's loss reaches another one. */
#include <skive/distill.h>

#include <string.h>

#include "data/data.h"
#include "data/feed.h"
#include "distill/distill.h"
#include "graph/meta_keys.h"
#include "train/head/head.h"
#include "train/train.h"

typedef struct group {
    skive_context *ctx;
    skive_graph *const *students;
    const char *const *tasks;
    size_t n;
    skive_dataset *train;
    skive_dataset_info info;
    size_t targets[SKV_BESIDE_MOST]; /* of the data, which the tasks are */
    skv_beside beside;
} group;

static skive_status no_task(const group *s, const char *task) {
    skv_text t;
    skv_text_init(&t, s->ctx);
    for (size_t k = 0; k < s->info.n_targets; k++)
        skv_text_add(&t, "%s'%s'", k ? ", " : "", s->info.targets[k].name ? s->info.targets[k].name : "?");
    const skive_status status =
        t.status != SKIVE_OK ? t.status
                             : skv_fail_at(s->ctx, SKIVE_ERR_NOT_FOUND, "tasks",
                                           "tasks: the data have no target '%s'; they have %s (a target is named where "
                                           "there are several: docs/data.md)",
                                           task, t.data);
    skv_text_free(&t);
    return status;
}

static skive_status find_targets(group *s) {
    skive_dataset_get_info(s->train, &s->info);
    for (size_t i = 0; i < s->n; i++) {
        const char *task = s->tasks[i];
        size_t k = 0;
        if (!task || !*task)
            return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "tasks", "the task of student %zu is missing", i + 1);
        while (k < s->info.n_targets && (!s->info.targets[k].name || strcmp(s->info.targets[k].name, task) != 0)) k++;
        if (k == s->info.n_targets) return no_task(s, task);
        for (size_t other = 0; other < i; other++)
            if (s->targets[other] == k)
                return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "tasks",
                                   "students %zu and %zu have the same task, '%s'; a task is one student's", other + 1,
                                   i + 1, task);
        s->targets[i] = k;
    }
    return SKIVE_OK;
}

/* The output that is to give the task: the one of its name, the one that the model calls its answer, or the only
 * one. */
static skive_status answer_of(const group *s, const skive_graph *g, size_t i, uint32_t *out) {
    const char *said = skive_graph_meta(g, SKV_META_OUTPUT_NAME), *const names[2] = {s->tasks[i], said};
    char text[600];
    for (size_t k = 0; k < 2; k++)
        for (*out = 0; names[k] && *out < g->n_outputs; ++*out)
            if (strcmp(g->outputs[*out]->name, names[k]) == 0) return SKIVE_OK;
    *out = 0;
    if (g->n_outputs == 1) return SKIVE_OK;
    skv_head_list(g, text, sizeof text);
    return SKV_FAIL(s->ctx, SKIVE_ERR_SHAPE,
                    "student %zu has several outputs, %s, and none is named '%s'; say which one by "
                    "skive_model_set_output (skive.output.name in its metadata)",
                    i + 1, text, s->tasks[i]);
}

/* Its answer is called as the task is, unless something else is. */
static skive_status name_answer(const group *s, skive_graph *g, size_t i) {
    uint32_t at = 0;
    SKV_TRY(answer_of(s, g, i, &at));
    if (!skive_graph_find_value(g, s->tasks[i])) SKV_TRY(skv_value_rename(g->outputs[at], s->tasks[i]));
    return g->n_outputs > 1 ? skive_model_set_output(g, g->outputs[at]->name, NULL) : SKIVE_OK;
}

static skive_status put_in(group *s, size_t i) {
    skive_graph *copy = NULL;
    skive_value *answer = NULL;
    uint32_t at = 0;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(s->ctx, s->students[i], &copy));
    SKV_GO(status, done, name_answer(s, copy, i));
    SKV_GO(status, done, answer_of(s, copy, i, &at));
    answer = copy->outputs[at];
    for (uint32_t k = copy->n_outputs; k-- > 0;)
        if (copy->outputs[k] != answer) SKV_GO(status, done, skv_graph_remove_output(copy, k));
    SKV_GO(status, done, skive_graph_set_meta(copy, SKV_META_OUTPUT_NAME, NULL));
    SKV_GO(status, done, skive_graph_set_meta(copy, SKV_META_CLASSES, NULL));
    status = skv_beside_add(&s->beside, copy, &answer);
    copy = NULL;
    if (i == 0 || status != SKIVE_OK) goto done;
    if (!skive_graph_find_value(s->beside.all, s->tasks[i]))
        SKV_GO(status, done, skv_value_rename(answer, s->tasks[i]));
    status = skive_graph_add_output(s->beside.all, answer);
done:
    skive_graph_free(copy);
    return status;
}

/* What a run of its own would have left in the student beside its numbers. */
static skive_status finish_one(group *s, size_t i) {
    const skive_dataset_target *t = &s->info.targets[s->targets[i]];
    skive_graph *g = s->students[i];
    skv_targets targets;
    skv_head head;
    uint32_t at = 0;
    SKV_TRY(name_answer(s, g, i));
    SKV_TRY(answer_of(s, g, i, &at));
    SKV_TRY(skv_targets_of(s->ctx, skv_dataset_answer(s->train, s->targets[i]), &targets));
    SKV_TRY(skv_head_at(s->ctx, g, &targets, at, &head));
    if (!head.from && head.kind != SKIVE_OUTPUT_LOGITS)
        SKV_TRY(skive_model_set_output(g, NULL, skive_output_kind_name(head.kind)));
    if (t->labelled && t->class_names && t->classes == head.scores)
        SKV_TRY(skive_model_set_class_names(g, t->class_names, t->classes));
    return skv_input_keep_recipes(s->ctx, g, s->train);
}

skive_status skive_distill_tasks(skive_context *ctx, skive_graph *const *students, const char *const *tasks, size_t n,
                                 const skive_graph *teacher, skive_dataset *train, skive_dataset *validation,
                                 const skive_distill_options *options, skive_train_report *report) {
    SKV_NEED(ctx, "ctx, students, tasks, teacher, train", ctx, students, tasks, teacher, train);
    skive_distill_options o = skive_distill_options_default();
    group s = {.ctx = ctx, .students = students, .tasks = tasks, .n = n, .train = train, .beside.ctx = ctx};
    skive_train_report r = {0};
    skive_status status;
    if (report) *report = (skive_train_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_distill_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_distill_table, &o));
    SKV_TRY(skv_beside_check(ctx, students, n));
    SKV_TRY(find_targets(&s));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, skv_graph_for_methods(students[i]));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, skv_params_unshare(students[i]));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, put_in(&s, i));
    SKV_GO(status, done, skive_graph_infer(s.beside.all));
    const skv_distill_job job = {s.beside.all, teacher, train, validation, true};
    status = skv_distill_run(ctx, &job, &o, &r);
    if (skv_fit_reached(status, &r)) {
        const bool searched = o.train && o.train->find_lr;
        for (size_t i = 0; i < n && !searched; i++) skv_beside_take_back(&s.beside, students[i], i);
        for (size_t i = 0; i < n && r.n_epochs > 0; i++) {
            const skive_status one = finish_one(&s, i);
            if (one != SKIVE_OK) status = one;
        }
    }
    skv_fit_hand_over(ctx, status, &r, report);
done:
    skive_graph_free(s.beside.all);
    return status;
}
