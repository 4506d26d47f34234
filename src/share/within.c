/* Sharing within a limit on the loss of accuracy: as few bits as stay within. */
#include "share/share.h"
#include "tune/trials.h"

typedef struct limited {
    skive_context *ctx;
    skive_dataset *train, *validation;
    const skive_share_options *o;
} limited;

static skive_status go(void *user, size_t level, skive_graph *copy, void *report) {
    const limited *l = user;
    return skv_share_part(l->ctx, copy, l->train, l->validation, l->o, (double)level / SKIVE_SHARE_LEVELS, report);
}

static void free_report(skive_context *ctx, void *report) { skive_share_report_free(ctx, report); }

skive_status skv_share_within(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                              const skive_share_options *o, skive_share_report *report) {
    limited l = {.ctx = ctx, .train = train, .validation = validation, .o = o};
    const skv_trials trials = {.ctx = ctx,
                               .graph = graph,
                               .validation = validation,
                               .levels = SKIVE_SHARE_LEVELS,
                               .max_drop = o->max_drop,
                               .go = go,
                               .free_report = free_report,
                               .report_size = sizeof(skive_share_report),
                               .user = &l};
    const skive_train_options *t = o->finetune;
    skive_share_report of_best = {0};
    skive_control_report control = {0};
    skive_graph *best = NULL;
    if (t->checkpoint || t->resume || t->log)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                           "a limit on the loss takes several runs: it cannot be combined with a %s, which is of one",
                           t->log ? "log" : "checkpoint");
    const skive_status status = skv_trials_run(&trials, &best, &of_best, &control);
    if (status == SKIVE_OK) skive_graph_take(graph, best);
    if (report && (status == SKIVE_OK || status == SKIVE_ERR_GOAL)) {
        *report = of_best;
        report->control = control;
    } else {
        skive_share_report_free(ctx, &of_best);
    }
    return status;
}
