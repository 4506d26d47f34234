/* Outputs of teachers that are named for what the student learns. */
#include <string.h>

#include "train/head/goals.h"
#include "train/train.h"

static const skv_loss_site *site(const skv_loss_site *at, size_t k) { return k ? &at->more[k - 1] : at; }

/* The data's name of what output `k` of the student learns, or NULL. */
static const char *target_of(const skv_loss_site *at, size_t k) {
    if (at->goals) return at->goals->items[k].name;
    return at->targets->info.n_targets == 1 ? at->targets->info.targets[0].name : NULL;
}

static bool is_task(const skv_loss_site *at, size_t k, const char *task) {
    const char *target = target_of(at, k);
    return (!task && at->n_more == 0) ||
           (task && (strcmp(site(at, k)->head->value->name, task) == 0 || (target && strcmp(target, task) == 0)));
}

static void list_tasks(const skv_loss_site *at, skv_text *t) {
    for (size_t k = 0; k <= at->n_more; k++) {
        const char *target = target_of(at, k), *output = site(at, k)->head->value->name;
        skv_text_add(t, "%s'%s'", k ? ", " : "", target ? target : output);
        if (target && strcmp(target, output) != 0) skv_text_add(t, " (output '%s')", output);
    }
}

static skive_status no_task(skive_context *ctx, const skv_teacher_head *h, const skv_loss_site *at) {
    skv_text t;
    skv_text_init(&t, ctx);
    list_tasks(at, &t);
    skive_status status = t.status;
    if (status == SKIVE_OK && h->task)
        status = skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, "teacher heads",
                             "teacher heads: there is no task '%s'; the student learns %s", h->task, t.data);
    else if (status == SKIVE_OK)
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher heads",
                             "teacher heads: the student has several outputs, and it is not said which of them '%s' "
                             "teaches; write TASK=%s, with TASK one of %s",
                             h->output, h->output, t.data);
    skv_text_free(&t);
    return status;
}

skive_status skv_teacher_heads_check(skive_context *ctx, const skv_teacher *t, size_t n, const skv_loss_site *at) {
    for (size_t i = 0; i < n && t->n_heads; i++) {
        size_t k = 0;
        while (k < t->n_heads && t->heads[k].teacher != i) k++;
        if (k == t->n_heads)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher heads",
                               "teacher heads: no output of teacher %zu (%s) is named; name one, or leave it out",
                               i + 1, t[i].name ? t[i].name : "without a name");
    }
    for (size_t i = 0; i < t->n_heads; i++) {
        size_t k = 0;
        while (k <= at->n_more && !is_task(at, k, t->heads[i].task)) k++;
        if (k > at->n_more) return no_task(ctx, &t->heads[i], at);
    }
    for (size_t k = 0; k <= at->n_more && t->n_heads; k++) {
        size_t i = 0;
        while (i < t->n_heads && !is_task(at, k, t->heads[i].task)) i++;
        if (i < t->n_heads) continue;
        const char *target = target_of(at, k), *name = target ? target : site(at, k)->head->value->name;
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "teacher heads",
                           "teacher heads: the student learns '%s', and no teacher's output is named for it; name one, "
                           "or leave it out of the outputs that are trained",
                           name);
    }
    return SKIVE_OK;
}

skive_status skv_teacher_head_find(skive_context *ctx, const skive_graph *teacher, const skv_teacher *t, size_t index,
                                   const skv_loss_site *at, size_t k, skv_head *head) {
    *head = (skv_head){.value = NULL};
    for (size_t i = 0; i < t->n_heads; i++) {
        const skv_teacher_head *h = &t->heads[i];
        if (h->teacher != index || !is_task(at, k, h->task)) continue;
        uint32_t o = 0;
        while (o < teacher->n_outputs && strcmp(teacher->outputs[o]->name, h->output) != 0) o++;
        if (o == teacher->n_outputs)
            return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, "teacher heads", "the teacher has no output '%s'", h->output);
        const skive_status status = skv_head_at(ctx, teacher, site(at, k)->targets, o, head);
        if (status != SKIVE_OK) return skv_fail_prefix(ctx, status, "%s", t->name ? t->name : "teacher");
        const char *target = target_of(at, k);
        char text[200];
        skv_note(ctx, "'%s' of the student learns from output %s of %s",
                 target ? target : site(at, k)->head->value->name, skv_head_text(head, text, sizeof text),
                 t->name ? t->name : "the teacher");
        return SKIVE_OK;
    }
    return SKIVE_OK;
}
