/* Factorization from outside: what fits together, the steps in their order, fine-tuning, and the result. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/left_out.h"
#include "graph/unknown.h"
#include "lowrank/lowrank.h"
#include "passes/pass.h"
#include "train/teachers/lesson.h"
#include "train/train.h"

const char *skive_factorize_library(void) { return skv_linear_library(); }

void skive_factorize_report_free(skive_context *ctx, skive_factorize_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_rows; i++) {
        skv_free(ctx, r->rows[i].node);
        skv_free(ctx, r->rows[i].op);
        skv_free(ctx, r->rows[i].parameter);
        skv_free(ctx, r->rows[i].kept);
    }
    skv_free(ctx, r->rows);
    skive_train_report_free(ctx, &r->training);
    *r = (skive_factorize_report){0};
}

/* ---- what fits together ---- */

static skive_status contradiction(const skv_lowrank *l, const char *of, const char *text) {
    return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, of, "%s: %s", of, text);
}

static skive_status check_rank(skv_lowrank *l, int budgets) {
    skive_factorize_options *o = &l->o;
    const bool limit = o->max_drop >= 0;
    char *end;
    if (strcmp(o->rank, "auto") == 0) {
        o->rank = budgets ? "budget" : limit ? "search" : "energy";
        return SKIVE_OK;
    }
    if (strcmp(o->rank, "search") == 0)
        return limit ? SKIVE_OK : contradiction(l, "rank", "search needs a limit on the loss, max-drop");
    if (budgets || limit)
        return contradiction(l, "rank", "the budget, or the limit on the loss, chooses the ranks; give one of both");
    if (strcmp(o->rank, "vbmf") == 0 || strcmp(o->rank, "energy") == 0) return SKIVE_OK;
    errno = 0;
    const long long rank = strtoll(o->rank, &end, 10);
    if (end == o->rank || *end || rank < 1 || errno == ERANGE)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "rank",
                           "rank is '%s'; it must be auto, vbmf, energy, search, or a whole number from 1 on", o->rank);
    l->rank = rank;
    return SKIVE_OK;
}

static skive_status check_merge(const skv_lowrank *l, int budgets) {
    const skive_factorize_options *o = &l->o;
    if (budgets || o->max_drop >= 0 || o->n_layers || o->refit || o->joint || o->uniform || l->rank ||
        strcmp(o->method, "auto") != 0)
        return contradiction(l, "merge",
                             "factors are merged instead of made: budgets, methods, ranks and layers have no use");
    return SKIVE_OK;
}

static skive_status check_teaching(skv_lowrank *l) {
    skive_factorize_options *o = &l->o;
    const char *what = o->teacher ? "teacher" : "terms";
    if (o->terms && !*o->terms) o->terms = NULL;
    if (!o->teacher && !o->terms) return SKIVE_OK;
    if (o->merge) return contradiction(l, what, "factors are merged, and nothing is fine-tuned");
    if (o->finetune->epochs < 1) return contradiction(l, what, "it is for fine-tuning, which has no epochs");
    if (o->teacher && o->distill_alpha == 0 && !o->terms)
        return contradiction(l, what, "its weight in the loss, distill-alpha, is 0, and there are no terms");
    return SKIVE_OK;
}

static skive_status check(skv_lowrank *l) {
    skive_factorize_options *o = &l->o;
    const char *const budgets[] = {o->macs, o->params, o->bytes, o->latency};
    int n = 0;
    for (size_t i = 0; i < SKV_LENGTH(budgets); i++) n += budgets[i] != NULL;
    const bool rank_given = strcmp(o->rank, "auto") != 0;
    if (n > 1) return contradiction(l, "macs, params, bytes, latency", "one budget at a time");
    if (o->max_drop >= 0 && !l->validation && !o->dry_run)
        return contradiction(l, "max-drop", "the limit on the loss needs a validation set");
    if (o->latency && !o->measure) return contradiction(l, "measure", "a budget of time needs measured times");
    if (!o->measure) o->round = false;
    if (o->uniform && !n) return contradiction(l, "uniform", "there is no budget to share");
    if (o->energy != 0.95 && (n || o->max_drop >= 0 || (rank_given && strcmp(o->rank, "energy") != 0)))
        return contradiction(l, "energy", "it is for the rank 'energy'");
    SKV_TRY(check_rank(l, n));
    if (o->merge && rank_given)
        return contradiction(l, "merge", "factors are merged instead of made: a rank has no use");
    if (o->merge) SKV_TRY(check_merge(l, n));
    if (strcmp(o->weighting, "auto") == 0) o->weighting = l->train && !o->merge ? "activations" : "plain";
    if (strcmp(o->weighting, "plain") != 0 && !l->train)
        return skv_fail_at(l->ctx, SKIVE_ERR_DATA, "weighting", "weighting by %s needs a data set", o->weighting);
    if (o->refit && strcmp(o->weighting, "activations") != 0)
        return contradiction(l, "refit", "it needs a data set and the weighting 'activations'");
    if (o->finetune->epochs > 0 && !l->train && !o->dry_run)
        return SKV_FAIL(l->ctx, SKIVE_ERR_ARGUMENT, "fine-tuning needs a training set");
    return check_teaching(l);
}

/* ---- steps ---- */

static bool is_listed(void *user, const skive_value *v) {
    const skv_lowrank *l = user;
    for (size_t i = 0; i < l->report.n_rows; i++)
        if (strcmp(l->report.rows[i].parameter, v->name) == 0) return true;
    for (size_t i = 0; i < l->n_sites; i++) {
        for (size_t m = 0; m < l->sites[i].n_members; m++) {
            const skive_node *n = skive_graph_find_node(l->work, l->sites[i].members[m]);
            for (uint32_t k = 0; n && k < n->n_inputs; k++)
                if (n->inputs[k] && strcmp(n->inputs[k]->name, v->name) == 0) return true;
        }
    }
    return false;
}

static skive_status find_sites(skv_lowrank *l) {
    SKV_TRY(skv_sites_find(l->ctx, l->work, l->o.joint, &l->sites, &l->n_sites, &l->report));
    const size_t n = l->n_sites * skv_factorization_count();
    SKV_TRY(skv_alloc_array(l->ctx, l->n_sites + 1, sizeof *l->ways, &l->ways));
    SKV_TRY(skv_alloc_array(l->ctx, n + 1, sizeof *l->found, &l->found));
    SKV_TRY(skv_alloc_array(l->ctx, n + 1, sizeof *l->looked, &l->looked));
    const skv_left_out what = {.done = "factorized",
                               .only = "weights of products, convolutions, recurrent layers and embeddings",
                               .taken = is_listed,
                               .user = l};
    SKV_TRY(skv_tell_left_out(l->ctx, l->work, &what));
    if (l->n_sites > 0) return SKIVE_OK;
    if (l->report.n_rows > 0)
        return SKV_FAIL(l->ctx, SKIVE_ERR_UNSUPPORTED, "no layer can be factorized; '%s': %s", l->report.rows[0].node,
                        l->report.rows[0].kept);
    return SKV_FAIL(l->ctx, SKIVE_ERR_UNSUPPORTED,
                    "the model has nothing to factorize: no product, convolution, recurrent layer or embedding");
}

static bool has_classes(const skv_lowrank *l) {
    skive_dataset_info info;
    skive_dataset_get_info(l->train, &info);
    return info.classes > 0;
}

/* What fine-tuning is taught: soft labels of a teacher where outputs are scores of classes, and the terms that are
 * asked for. Without either labels alone; *any says so. */
static skive_status make_lesson(skv_lowrank *l, const skive_graph *before, const skive_graph *student,
                                skv_lesson *lesson, bool *any) {
    const skive_factorize_options *o = &l->o;
    const bool classes = has_classes(l);
    l->lesson = skive_distill_options_default();
    l->lesson.alpha = classes ? o->distill_alpha : 0;
    l->lesson.temperature = o->temperature;
    l->lesson.terms = o->terms;
    *any = l->lesson.alpha > 0 || o->terms;
    if (!*any) return SKIVE_OK;
    SKV_TRY(skv_lesson_make(l->ctx, &l->lesson, o->teacher ? o->teacher : before, student, lesson));
    return skv_objective_check(l->ctx, &lesson->objective);
}

/* Before the work: what cannot be taught is refused. */
static skive_status check_lesson(skv_lowrank *l) {
    const skive_factorize_options *o = &l->o;
    skv_lesson lesson = {0};
    bool any;
    if (o->finetune->epochs < 1 || !l->train) return SKIVE_OK;
    if (o->teacher && !o->terms && !has_classes(l))
        return contradiction(
            l, "teacher",
            "the outputs are not scores of classes, and soft labels are all that it would teach; leave "
            "it out, or give terms on values inside the models, such as hint");
    const skive_status status = make_lesson(l, l->work, l->work, &lesson, &any);
    skv_lesson_free(&lesson);
    SKV_TRY(status);
    if (o->distill_alpha > 0 && !has_classes(l))
        skv_note(l->ctx, "no soft labels are taught: the outputs are not scores of classes");
    return SKIVE_OK;
}

static skive_status fit_on(skv_lowrank *l, skive_graph *made, const skv_objective *objective) {
    const skv_fit fit = {.model = made,
                         .train = l->train,
                         .validation = l->validation,
                         .options = l->o.finetune,
                         .objective = objective,
                         .what = "fine-tune"};
    const skive_status status = skv_fit_run(l->ctx, &fit, &l->report.training);
    l->tuned = l->report.training.n_epochs > 0;
    if (status == SKIVE_ERR_INTERRUPTED && l->tuned)
        skv_note(l->ctx, "fine-tuning was stopped; the weights are those of the last finished epoch");
    return status;
}

static skive_status tune(skv_lowrank *l, skive_graph *made, const skive_graph *before) {
    skv_lesson lesson = {0};
    bool any;
    if (l->o.finetune->epochs < 1) return SKIVE_OK;
    skive_status status = make_lesson(l, before, made, &lesson, &any);
    if (status == SKIVE_OK) status = fit_on(l, made, any ? &lesson.objective : &skv_objective_labels);
    skv_lesson_free(&lesson);
    return status;
}

static skive_status tell_slower(skv_lowrank *l) {
    size_t n = 0;
    const skive_factorize_row *first = NULL;
    for (size_t i = 0; i < l->report.n_rows; i++) {
        const skive_factorize_row *r = &l->report.rows[i];
        if (!r->chosen || !(r->seconds > r->seconds_before + SKV_LOWRANK_NOISE)) continue;
        first = n++ ? first : r;
    }
    if (n)
        skv_note(l->ctx, "%zu factorized layer%s measured to be slower than before, '%s' first: smaller, not faster", n,
                 n == 1 ? " is" : "s are", first->node);
    return SKIVE_OK;
}

static skive_status factorize(skv_lowrank *l, const skive_graph *graph, skive_graph **made) {
    SKV_TRY(find_sites(l));
    SKV_TRY(check_lesson(l));
    SKV_TRY(skv_lowrank_probe(l));
    SKV_TRY(skv_lowrank_list(l));
    if (l->o.dry_run && l->o.max_drop >= 0)
        skv_note(l->ctx, "a dry run does not look for the limit on the loss: it tells the whole way");
    SKV_TRY(skv_lowrank_choose(l));
    SKV_TRY(skv_lowrank_size(l, l->work, true, &l->report.before)); /* while there is no other model in memory */
    SKV_TRY(l->o.refit ? skv_lowrank_make_refitted(l, made) : skv_lowrank_make(l, made));
    for (size_t i = 0; i < l->n_sites; i++) { /* the model has the factors now */
        skv_factors_free(l->ctx, &l->ways[i].factors);
        l->ways[i].is_made = false;
    }
    SKV_TRY(skv_lowrank_size(l, *made, true, &l->report.after));
    if (l->o.dry_run) { /* the rows of what was not chosen take factors of their own */
        skive_graph_free(*made);
        *made = NULL;
    }
    SKV_TRY(skv_lowrank_rows(l));
    SKV_TRY(tell_slower(l));
    if (l->report.n_factorized == 0 && !l->o.dry_run) {
        const skive_factorize_row *r = &l->report.rows[0];
        return SKV_FAIL(l->ctx, SKIVE_ERR_UNSUPPORTED, "no layer was factorized; '%s': %s", r->node,
                        r->kept ? r->kept : "");
    }
    return l->o.dry_run ? SKIVE_OK : tune(l, *made, graph);
}

static skive_status merge(skv_lowrank *l, skive_graph **made) {
    SKV_TRY(skive_graph_copy(l->ctx, l->work, made));
    SKV_TRY(skv_lowrank_size(l, l->work, true, &l->report.before));
    SKV_TRY(skv_lowrank_merge(*made, &l->report.n_merged));
    if (l->report.n_merged == 0)
        return SKV_FAIL(l->ctx, SKIVE_ERR_UNSUPPORTED,
                        "there is nothing to merge: no two linear layers in a row whose product is smaller");
    SKV_TRY(skive_graph_check(*made));
    return skv_lowrank_size(l, *made, true, &l->report.after);
}

static void close(skv_lowrank *l, bool save) {
    for (size_t i = 0; l->ways && i < l->n_sites; i++) {
        skv_free(l->ctx, l->ways[i].items);
        skv_free(l->ctx, l->ways[i].kept);
        skv_factors_free(l->ctx, &l->ways[i].factors);
    }
    for (size_t i = 0; l->found && i < l->n_sites * skv_factorization_count(); i++)
        skv_found_free(l->ctx, &l->found[i]);
    skv_free(l->ctx, l->ways);
    skv_free(l->ctx, l->found);
    skv_free(l->ctx, l->looked);
    skv_sites_free(l->ctx, l->sites, l->n_sites);
    if (save && l->costs) (void)skive_costs_save(l->costs); /* which would forget the message of a failure */
    skive_costs_free(l->costs);
    skive_graph_free(l->work);
    skive_factorize_report_free(l->ctx, &l->report);
}

skive_status skive_factorize(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                             const skive_factorize_options *options, skive_factorize_report *report) {
    SKV_NEED(ctx, "ctx, graph", ctx, graph);
    skv_lowrank l = {.ctx = ctx, .o = skive_factorize_options_default(), .train = train, .validation = validation};
    skive_train_options finetune = skive_factorize_finetune_default();
    skive_graph *made = NULL;
    skive_status status;
    if (report) *report = (skive_factorize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_factorize_options", options, &l.o, sizeof l.o));
    SKV_TRY(skv_table_resolve(ctx, &skv_factorize_table, &l.o));
    SKV_TRY(skv_finetune_options_take(ctx, l.o.finetune, &finetune));
    l.o.finetune = &finetune;
    SKV_TRY(check(&l));
    if (SKIVE_WITH_LAPACKE && !skv_linear_library())
        skv_note(ctx, "LAPACKE cannot be loaded: matrices are factorized by skive's own code, slower");
    SKV_GO(status, done, skv_graph_check_finite(ctx, graph));
    SKV_GO(status, done, skive_graph_copy(ctx, graph, &l.work));
    SKV_GO(status, done, skv_pass_turn_parameters(l.work, NULL));
    SKV_GO(status, done, skv_graph_for_methods(l.work));
    status = l.o.merge ? merge(&l, &made) : factorize(&l, l.work, &made);
    if (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && l.tuned)) {
        if (!l.o.dry_run) {
            skive_graph_take(graph, made);
            made = NULL;
        }
        if (report) {
            *report = l.report;
            l.report = (skive_factorize_report){0};
        }
    }
done:
    skive_graph_free(made);
    close(&l, status == SKIVE_OK);
    return status;
}
