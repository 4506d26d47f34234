/* Evaluation of a model over a data set. */
#include <math.h>
#include <string.h>

#include "data/feed.h"
#include "graph/batch.h"
#include "graph/op.h"
#include "ops/loss/common_ctc.h"
#include "passes/unroll.h"
#include "tensor/tensor.h"
#include "train/head/goals.h"
#include "train/metrics.h"
#include "train/metrics/choices.h"
#include "train/curriculum.h"
#include "train/train.h"

enum { DEFAULT_BATCH = 100 };

/* One target and the output that is to give it. */
typedef struct measured {
    skive_eval_report *r;
    size_t target; /* of the set's */
    const char *name;
    skv_targets targets;
    skv_head head;
    skv_metrics metrics;
    int64_t scores; /* a sample */
    skive_tensor out;
    skive_tensor lengths; /* of sequences, int64 [batch]; no data: all steps count */
    bool time_first;
    float *row; /* [scores], where time comes first */
} measured;

typedef struct evaluation {
    skive_context *ctx;
    measured *items; /* [n] */
    size_t n;
    skive_plan *plan;
    skive_exec *exec;
    skive_loader *loader;
    skv_feeds feeds;
    int64_t batch;
    bool shuffle, tell;
    const skv_evaluation *how; /* NULL: nothing is evaluated */
} evaluation;

void skive_eval_report_free(skive_context *ctx, skive_eval_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_more; i++) skive_eval_report_free(ctx, &r->more[i]);
    skv_free(ctx, r->more);
    skv_free(ctx, r->target);
    skv_free(ctx, r->inputs);
    skv_free(ctx, r->confusion);
    skv_free(ctx, r->predicted);
    skv_free(ctx, r->hit);
    skv_free(ctx, r->precision);
    skv_free(ctx, r->recall);
    skv_free(ctx, r->f1);
    skv_free(ctx, r->target_rmse);
    skv_free(ctx, r->target_mae);
    skv_free(ctx, r->target_r2);
    skv_free(ctx, r->average_precision);
    skv_free(ctx, r->error);
    skv_free(ctx, r->kept);
    skv_free(ctx, r->figures);
    skv_scored_free(ctx, r->scored);
    *r = (skive_eval_report){0};
}

/* One row of scores a sample: all axes but the batch's and one are 1, and the batch's comes first. */
static bool rows_of(const skive_tensor *t, int64_t batch) {
    int wide = 0;
    bool first = batch == 1;
    for (int d = 0; d < t->rank; d++) {
        if (t->dims[d] == 1) continue;
        if (++wide == 1 && t->dims[d] == batch) first = true;
    }
    return first && wide <= (batch == 1 ? 1 : 2);
}

/* The plan knows all dimensions, which the graph may leave open. */
static skive_status check_places(evaluation *e, measured *m) {
    const skive_tensor *out = &m->out;
    const skive_type type = skive_type_make(out->dtype, out->rank, out->dims);
    const int axis = skv_head_place_axis(&m->targets, &type);
    char text[SKV_DIMS_TEXT + 16];
    const bool fits = axis > 0 && out->dtype == SKIVE_F32 && out->dims[0] == e->batch;
    if (fits) m->metrics.width = out->dims[axis];
    m->metrics.classes_last = axis > 1;
    if (fits && m->metrics.width >= m->targets.info.classes) return SKIVE_OK;
    return skv_fail_at(e->ctx, SKIVE_ERR_DATA, m->head.value->name,
                       "%s has %lld classes for each of %zu places of a sample, but output '%s' is %s for %lld samples",
                       m->targets.info.spec, (long long)m->targets.info.classes, m->targets.info.label_size,
                       m->head.value->name, skv_tensor_text(out, text, sizeof text), (long long)e->batch);
}

/* Embeddings are rows; scores over time and boxes have three axes, and of scores over time the first may be time. */
static skive_status check_shape(evaluation *e, measured *m) {
    const skive_tensor *out = &m->out;
    char text[SKV_DIMS_TEXT + 16];
    const skive_task task = m->head.task;
    if (task == SKIVE_TASK_PLACES) return check_places(e, m);
    const bool three = out->rank == 3 && out->dtype == SKIVE_F32 && m->scores * e->batch == skive_tensor_count(out);
    m->time_first = task == SKIVE_TASK_SEQUENCES && three && out->dims[0] != e->batch && out->dims[1] == e->batch;
    const bool first = three && (m->time_first || out->dims[0] == e->batch);
    if (three) m->metrics.width = out->dims[2];
    if (task == SKIVE_TASK_EMBEDDING ? out->dtype == SKIVE_F32 && rows_of(out, e->batch)
                                     : first && (task != SKIVE_TASK_BOXES || out->dims[2] == 6))
        return SKIVE_OK;
    return skv_fail_at(e->ctx, SKIVE_ERR_DATA, m->head.value->name, "output '%s' is %s for %lld samples, not %s",
                       m->head.value->name, skv_tensor_text(out, text, sizeof text), (long long)e->batch,
                       task == SKIVE_TASK_EMBEDDING   ? "a row for each"
                       : task == SKIVE_TASK_SEQUENCES ? "[n, steps, classes]"
                                                      : "[n, boxes, 6]");
}

/* The numbers of sample i, in a row of their own where time comes first. */
static const float *row_of(const evaluation *e, const measured *m, size_t i) {
    const float *data = m->out.data;
    const int64_t width = m->metrics.width;
    if (!m->time_first) return data + (int64_t)i * m->scores;
    for (int64_t t = 0; t < m->scores / width; t++)
        memcpy(m->row + t * width, data + (t * e->batch + (int64_t)i) * width, (size_t)width * sizeof *data);
    return m->row;
}

/* What the plan gives must be as many numbers a sample as the data ask for; only here are all dimensions known. */
static skive_status check_output(evaluation *e, measured *m) {
    const skive_tensor *out = &m->out;
    const int64_t count = skive_tensor_count(out), wanted = m->targets.size;
    char text[SKV_DIMS_TEXT + 16];
    m->scores = count / e->batch;
    skv_head_settle(&m->head, &m->targets, m->scores);
    const skive_task task = m->head.task;
    if (task > SKIVE_TASK_VALUES) return check_shape(e, m);
    const bool classes = task == SKIVE_TASK_CLASSES && m->targets.info.labelled;
    const bool fits = task == SKIVE_TASK_BINARY ? wanted <= 2 : classes ? m->scores >= wanted : m->scores == wanted;
    const skive_dataset_info *info = &m->targets.info;
    const bool in_place = task != SKIVE_TASK_VALUES || out->rank < 1 ||
                          skv_same_places(out->dims + 1, out->rank - 1, info->target_dims, info->target_rank);
    if (in_place && out->dtype == SKIVE_F32 && m->scores * e->batch == count && fits &&
        (task == SKIVE_TASK_VALUES || rows_of(out, e->batch)))
        return SKIVE_OK;
    return skv_fail_at(
        e->ctx, SKIVE_ERR_DATA, m->targets.info.spec, "%s has %lld %s, but output '%s' is %s for %lld sample%s",
        m->targets.info.spec, (long long)wanted, m->targets.info.labelled ? "classes" : "targets per sample",
        m->head.value->name, skv_tensor_text(out, text, sizeof text), (long long)e->batch, e->batch == 1 ? "" : "s");
}

/* A sample's answer must not depend on its neighbours. The graph itself is only read. */
static skive_status plan_inference(skive_context *ctx, const skive_graph *g, const skive_plan_options *o,
                                   skive_plan **out) {
    skive_graph *copy = NULL;
    char *unrolled = NULL, *left = NULL;
    skive_status status;
    if (!skive_graph_in_training_mode(g)) {
        status = skive_plan_create(ctx, g, o, out);
        if (!g->nests || (status != SKIVE_ERR_UNSUPPORTED && status != SKIVE_ERR_SHAPE)) return status;
    }
    SKV_GO(status, done, skive_graph_copy(ctx, g, &copy));
    SKV_GO(status, done, skive_graph_to_inference(copy));
    /* Control flow that depends on data: one plan holds it where it can be written out. */
    if (g->nests) SKV_GO(status, done, skv_unroll(copy, &unrolled, &left));
    status = skive_plan_create(ctx, copy, o, out);
    if (status != SKIVE_OK && left) status = SKV_FAIL(ctx, status, "the model cannot be evaluated: %s", left);
done:
    skv_free(ctx, unrolled);
    skv_free(ctx, left);
    skive_graph_free(copy);
    return status;
}

skive_status skv_plan_for_data(skive_context *ctx, const skive_graph *g, const skv_feeds *feeds, int64_t batch,
                               int64_t *batch_out, skive_plan **out) {
    skive_plan_options o = skive_plan_options_default();
    skive_shape_binding *shapes = NULL;
    const int64_t fixed = skv_graph_fixed_batch(g);
    *batch_out = fixed >= 0 ? fixed : batch > 0 ? batch : DEFAULT_BATCH;
    if (*batch_out < 1)
        return SKV_FAIL(ctx, SKIVE_ERR_DATA, "the model's input '%s' has a batch of 0", g->inputs[0]->name);
    SKV_TRY(skv_feeds_shapes(feeds, *batch_out, &shapes));
    o.batch = *batch_out;
    o.shapes = shapes;
    o.n_shapes = feeds->n;
    const skive_status status = plan_inference(ctx, g, &o, out);
    skv_free(ctx, shapes);
    return status;
}

/* A copy of the model that gives out the lengths of sequences too, behind its own outputs. *out NULL: none has lengths.
 * */
static skive_status add_lengths(const evaluation *e, const skive_graph *g, skive_graph **out) {
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < e->n && status == SKIVE_OK; i++) {
        const skv_head *head = &e->items[i].head;
        skv_head twin = *head;
        if (!head->lengths) continue;
        if (!*out) SKV_TRY(skive_graph_copy(e->ctx, g, out));
        skv_builder b = skv_build(*out);
        twin.lengths = skive_graph_find_value(*out, head->lengths->name);
        skive_value *lengths = skv_emit(&b, "Identity", SKV_IN(skv_head_lengths(&b, &twin)), SKV_NONE);
        status = b.status == SKIVE_OK ? skive_graph_add_output(*out, lengths) : b.status;
    }
    if (status == SKIVE_OK || !*out) return status;
    skive_graph_free(*out);
    *out = NULL;
    return status;
}

static skive_status make_plan(evaluation *e, const skive_graph *g, int64_t batch) {
    skive_graph *longer = NULL;
    SKV_TRY(add_lengths(e, g, &longer));
    const skive_status status = skv_plan_for_data(e->ctx, longer ? longer : g, &e->feeds, batch, &e->batch, &e->plan);
    skive_graph_free(longer);
    SKV_TRY(status);
    SKV_TRY(skive_exec_create(e->ctx, e->plan, &e->exec));
    for (size_t i = 0, more = g->n_outputs; i < e->n; i++) {
        measured *m = &e->items[i];
        SKV_TRY(skive_exec_output(e->exec, m->head.output, &m->out));
        if (m->head.lengths) SKV_TRY(skive_exec_output(e->exec, more++, &m->lengths));
        SKV_TRY(check_output(e, m));
    }
    return SKIVE_OK;
}

static bool has_nan(const float *row, int64_t k) {
    for (int64_t c = 0; c < k; c++) {
        if (isnan(row[c])) return true;
    }
    return false;
}

static skive_status feed_batch(const evaluation *e, const skive_batch *batch) {
    for (size_t i = 0; i < e->feeds.n; i++) {
        skive_tensor in;
        SKV_TRY(skive_exec_input(e->exec, e->feeds.items[i].index, &in));
        SKV_TRY(skv_feed_copy(e->ctx, e->feeds.items[i].input, &batch->inputs[i], &in));
    }
    return SKIVE_OK;
}

/* How many steps of row i of the batch count. */
static skive_status count_steps(const evaluation *e, measured *m, size_t i, size_t sample) {
    if (!m->lengths.data) return SKIVE_OK;
    const int64_t steps = m->scores / m->metrics.width, length = ((const int64_t *)m->lengths.data)[i];
    m->metrics.steps = skv_ctc_steps(length, m->head.every, steps);
    if (m->metrics.steps >= 0) return SKIVE_OK;
    return skv_fail_at(e->ctx, SKIVE_ERR_DATA, m->head.lengths->name,
                       "by '%s' sample %zu of %s has %lld frames, but its scores have %lld steps of %lld frame%s",
                       m->head.lengths->name, sample, m->targets.info.spec, (long long)length, (long long)steps,
                       (long long)m->head.every, m->head.every == 1 ? "" : "s");
}

/* The rows of one output, with the samples' targets. */
static skive_status count_batch(evaluation *e, measured *m, const skive_batch *batch) {
    const bool labelled = m->targets.info.labelled;
    const skive_tensor *y = &batch->targets[m->target];
    for (size_t i = 0; i < batch->count; i++) {
        const float *row = row_of(e, m, i);
        /* Which class comes first among such scores means nothing; counted as any, it would look like an answer. */
        if (has_nan(row, m->scores)) {
            return skv_fail_at(e->ctx, SKIVE_ERR_NUMERIC, m->targets.info.spec,
                               "the model gives NaN for sample %zu of %s", batch->indices[i], m->targets.info.spec);
        }
        if (m == e->items && e->how->see) SKV_TRY(e->how->see(e->how->user, row, m->scores));
        const size_t places = m->targets.info.label_rank ? m->targets.info.label_size : 0;
        SKV_TRY(count_steps(e, m, i, batch->indices[i]));
        m->metrics.labels = places ? (const int64_t *)y->data + i * places : NULL;
        skv_metrics_add(&m->metrics, batch->indices[i], row, labelled && !places ? ((const int64_t *)y->data)[i] : 0,
                        labelled ? NULL : (const float *)y->data + i * m->targets.info.target_size);
    }
    return SKIVE_OK;
}

static skive_status run(evaluation *e) {
    skv_progress progress;
    skive_batch batch;
    int64_t done = 0;
    const double started = skv_now();
    SKV_TRY(skive_loader_start_epoch(e->loader, 0));
    skv_progress_start(&progress, e->ctx, "evaluate", (double)e->items[0].r->n);
    for (;;) {
        char text[64];
        SKV_TRY(skive_loader_next(e->loader, &batch));
        if (batch.end) break;
        SKV_TRY(feed_batch(e, &batch)); /* rows behind a short last batch are ignored */
        SKV_TRY(skive_exec_run(e->exec));
        for (size_t i = 0; i < e->n; i++) SKV_TRY(count_batch(e, &e->items[i], &batch));
        done += (int64_t)batch.count;
        if (e->how->within)
            SKV_TRY(skv_progress_at(e->how->within, e->how->before + (double)done, "%s", e->how->part));
        else
            SKV_TRY(skv_progress_at(&progress, (double)done, "%s",
                                    skv_metrics_text(&e->items[0].metrics, done, text, sizeof text)));
    }
    for (size_t i = 0; i < e->n; i++) e->items[i].r->seconds = skv_now() - started;
    return SKIVE_OK;
}

static skive_status make_loader(evaluation *e, const skive_dataset *dataset) {
    skive_loader_options o = skive_loader_options_default();
    o.batch = (size_t)e->batch;
    o.shuffle = e->shuffle;
    o.seed = 1;
    return skv_feeds_loader(e->ctx, &e->feeds, dataset, &o, &e->loader);
}

/* Which outputs are measured against which targets; the report of the first holds the others. */
static skive_status find_outputs(evaluation *e, const skive_graph *g, const skive_dataset *set, const char *outputs,
                                 skive_eval_report *r) {
    skv_goals goals;
    skive_status status;
    SKV_TRY(skv_goals_find(e->ctx, g, set, outputs, &goals));
    SKV_GO(status, done, skv_alloc_array(e->ctx, goals.n, sizeof *e->items, &e->items));
    if (goals.n > 1) SKV_GO(status, done, skv_alloc_array(e->ctx, goals.n - 1, sizeof *r->more, &r->more));
    if (goals.n > 1) r->n_more = goals.n - 1;
    for (size_t i = 0; i < goals.n; i++) {
        measured *m = &e->items[e->n++];
        const skv_goal *goal = &goals.items[i];
        *m = (measured){.r = i ? &r->more[i - 1] : r,
                        .target = goal->target,
                        .name = goal->name,
                        .targets = goal->targets,
                        .head = goal->head};
        if (goal->name) SKV_GO(status, done, skv_strdup(e->ctx, goal->name, &m->r->target));
    }
    if (e->tell) skv_goals_tell(&goals, "model");
    status = SKIVE_OK;
done:
    skv_goals_free(&goals);
    return status;
}

static skive_status start(evaluation *e, measured *m) {
    const skv_feed *first = &e->feeds.items[0];
    m->r->n = (int64_t)m->targets.info.count;
    m->r->output = skv_head_info(&m->head);
    m->r->sample_rank = first->rank;
    memcpy(m->r->sample_dims, first->dims, (size_t)first->rank * sizeof *first->dims);
    SKV_TRY(skv_alloc_array(e->ctx, e->feeds.n, sizeof *m->r->inputs, &m->r->inputs));
    m->r->n_inputs = e->feeds.n;
    for (size_t i = 0; i < e->feeds.n; i++) {
        m->r->inputs[i].rank = e->feeds.items[i].rank;
        memcpy(m->r->inputs[i].dims, e->feeds.items[i].dims, sizeof m->r->inputs[i].dims);
    }
    m->metrics.ctx = e->ctx;
    m->metrics.r = m->r;
    m->metrics.targets = &m->targets;
    m->metrics.head = &m->head;
    m->metrics.all = e->how->all;
    m->metrics.named = e->how->named;
    m->metrics.asked = e->how->metrics;
    m->metrics.scores = m->scores;
    if (m->time_first) SKV_TRY(skv_alloc_array(e->ctx, (size_t)m->scores + 1, sizeof *m->row, &m->row));
    SKV_TRY(skv_metrics_start(&m->metrics));
    skv_head_tell_assumed(e->ctx, &m->targets, &m->head);
    return SKIVE_OK;
}

static skive_status check_asked(const evaluation *e) {
    const skv_scored **scored = NULL;
    if (!e->how->metrics) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(e->ctx, e->n, sizeof *scored, &scored));
    for (size_t i = 0; i < e->n; i++) scored[i] = e->items[i].metrics.s;
    const skive_status status = skv_choices_fit(e->ctx, scored, e->n);
    skv_free(e->ctx, scored);
    return status;
}

static skive_status evaluate(evaluation *e, const skive_graph *g, skive_dataset *dataset, const skv_evaluation *how,
                             skive_eval_report *r) {
    SKV_TRY(find_outputs(e, g, dataset, how->outputs, r));
    skive_dataset_info info;
    skive_dataset_get_info(dataset, &info);
    SKV_TRY(skv_feeds_make(e->ctx, g, &info, &e->feeds));
    SKV_TRY(make_plan(e, g, how->batch));
    for (size_t i = 0; i < e->n; i++) {
        const measured *m = &e->items[i];
        SKV_TRY(skv_sequences_check(e->ctx, dataset, m->target, &m->head, m->metrics.width));
    }
    if (e->tell) skv_feeds_tell(&e->feeds, "model");
    for (size_t i = 0; i < e->n; i++) SKV_TRY(start(e, &e->items[i]));
    SKV_TRY(check_asked(e));
    if (how->check_only) return SKIVE_OK;
    SKV_TRY(make_loader(e, dataset));
    SKV_TRY(run(e));
    for (size_t i = 0; i < e->n; i++) SKV_TRY(skv_metrics_finish(&e->items[i].metrics));
    return SKIVE_OK;
}

static void finish(evaluation *e) {
    skive_loader_free(e->loader);
    skive_exec_free(e->exec);
    skive_plan_free(e->plan);
    skv_feeds_free(&e->feeds);
    for (size_t i = 0; e->items && i < e->n; i++) {
        skv_free(e->ctx, e->items[i].row);
        skv_free(e->ctx, e->items[i].metrics.room);
    }
    skv_free(e->ctx, e->items);
}

skive_status skv_evaluate(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, const skv_evaluation *how,
                          skive_eval_report *out) {
    evaluation e = {.ctx = ctx, .tell = how->tell, .how = how};
    *out = (skive_eval_report){0};
    const skive_status status = evaluate(&e, g, dataset, how, out);
    finish(&e);
    if (status != SKIVE_OK) skive_eval_report_free(ctx, out);
    return status;
}

skive_status skive_evaluate(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, int64_t batch,
                            skive_eval_report *out) {
    SKV_NEED(ctx, "ctx, graph, dataset, out", ctx, g, dataset, out);
    return skive_evaluate_metrics(ctx, g, dataset, batch, NULL, out);
}

skive_status skive_evaluate_metrics(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, int64_t batch,
                                    const char *metrics, skive_eval_report *out) {
    SKV_NEED(ctx, "ctx, graph, dataset, out", ctx, g, dataset, out);
    const skv_evaluation how = {.batch = batch, .tell = true, .all = true, .metrics = metrics};
    return skv_evaluate(ctx, g, dataset, &how, out);
}

skive_status skv_first_outputs(skive_context *ctx, const skive_graph *g, skive_dataset *set, const skv_goal *goal,
                               int64_t most, float *out, float *targets, int64_t *n) {
    measured one = {.r = NULL};
    evaluation e = {.ctx = ctx, .items = &one, .n = 1, .shuffle = true};
    skive_dataset_info info;
    skive_batch batch;
    skive_status status;
    *n = 0;
    skive_dataset_get_info(set, &info);
    if (goal) {
        one.targets = goal->targets;
        one.target = goal->target;
        SKV_GO(status, done, skv_head_at(ctx, g, &one.targets, goal->head.output, &one.head));
    } else {
        SKV_GO(status, done, skv_targets_of(ctx, set, &one.targets));
        SKV_GO(status, done, skv_head_find(ctx, g, &one.targets, &one.head));
    }
    SKV_GO(status, done, skv_feeds_make(ctx, g, &info, &e.feeds));
    SKV_GO(status, done, make_plan(&e, g, 0));
    SKV_GO(status, done, make_loader(&e, set));
    SKV_GO(status, done, skive_loader_start_epoch(e.loader, 0));
    const size_t row = (size_t)one.scores * sizeof(float);
    while (*n < most) {
        SKV_GO(status, done, skive_loader_next(e.loader, &batch));
        if (batch.end) break;
        SKV_GO(status, done, feed_batch(&e, &batch));
        SKV_GO(status, done, skive_exec_run(e.exec));
        const int64_t take = (int64_t)batch.count < most - *n ? (int64_t)batch.count : most - *n;
        memcpy(out + *n * one.scores, one.out.data, (size_t)take * row);
        memcpy(targets + *n * one.scores, batch.targets[one.target].data, (size_t)take * row);
        *n += take;
    }
done:
    e.items = NULL; /* not its own */
    finish(&e);
    return status;
}

/* In double precision; log_p[scores] of one sample's answer. */
static void log_probabilities_of(const skv_head *head, const float *row, int64_t scores, double *log_p) {
    double most = -INFINITY, sum = 0;
    for (int64_t c = 0; c < scores; c++) {
        log_p[c] = head->kind == SKIVE_OUTPUT_PROBABILITIES ? log(fmax((double)row[c], 1e-30)) : (double)row[c];
        if (log_p[c] > most) most = log_p[c];
    }
    for (int64_t c = 0; c < scores; c++) sum += exp(log_p[c] - most);
    for (int64_t c = 0; c < scores; c++) log_p[c] -= most + log(sum);
}

skive_status skv_log_probabilities(skive_context *ctx, const skive_graph *model, const skive_dataset *set,
                                   skv_log_p_fn each, void *user) {
    measured one = {.r = NULL};
    evaluation e = {.ctx = ctx, .items = &one, .n = 1};
    skive_dataset_info info;
    skive_batch batch;
    double *log_p = NULL;
    skv_progress progress;
    size_t seen = 0;
    skive_status status;
    skive_dataset_get_info(set, &info);
    SKV_GO(status, done, skv_targets_of(ctx, set, &one.targets));
    SKV_GO(status, done, skv_head_find(ctx, model, &one.targets, &one.head));
    SKV_GO(status, done, skv_feeds_make(ctx, model, &info, &e.feeds));
    SKV_GO(status, done, make_plan(&e, model, 0));
    if (one.head.task != SKIVE_TASK_CLASSES) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, "curriculum",
                             "a curriculum by difficulty needs a model that answers with a score for each class");
        goto done;
    }
    SKV_GO(status, done, make_loader(&e, set));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)one.scores, sizeof *log_p, &log_p));
    SKV_GO(status, done, skive_loader_start_epoch(e.loader, 0));
    skv_progress_start(&progress, ctx, "difficulty", (double)info.count);
    for (;;) {
        SKV_GO(status, done, skive_loader_next(e.loader, &batch));
        if (batch.end) break;
        SKV_GO(status, done, feed_batch(&e, &batch));
        SKV_GO(status, done, skive_exec_run(e.exec));
        for (size_t i = 0; i < batch.count; i++) {
            log_probabilities_of(&one.head, (const float *)one.out.data + (int64_t)i * one.scores, one.scores, log_p);
            each(user, batch.indices[i], log_p, one.scores, ((const int64_t *)batch.y.data)[i]);
        }
        seen += batch.count;
        SKV_GO(status, done, skv_progress_at(&progress, (double)seen, NULL));
    }
done:
    skv_free(ctx, log_p);
    e.items = NULL; /* not its own */
    finish(&e);
    return status;
}
