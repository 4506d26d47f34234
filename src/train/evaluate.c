/* Evaluation of a model over a data set. */
#include <math.h>
#include <string.h>

#include "data/feed.h"
#include "tensor/tensor.h"
#include "train/metrics.h"
#include "train/curriculum.h"
#include "train/train.h"

enum { DEFAULT_BATCH = 100 };

typedef struct evaluation {
    skive_context *ctx;
    skive_eval_report *r;
    skv_targets targets;
    skv_head head;
    skv_metrics metrics;
    skive_plan *plan;
    skive_exec *exec;
    skive_loader *loader;
    skv_feed feed;
    int64_t batch, scores; /* scores a sample */
    bool shuffle, tell, time_first;
    float *row; /* [scores], where time comes first */
} evaluation;

void skive_eval_report_free(skive_context *ctx, skive_eval_report *r) {
    if (!r) return;
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
static skive_status check_places(evaluation *e, const skive_tensor *out) {
    const skive_type type = skive_type_make(out->dtype, out->rank, out->dims);
    const int axis = skv_head_place_axis(&e->targets, &type);
    char text[SKV_DIMS_TEXT + 16];
    const bool fits = axis > 0 && out->dtype == SKIVE_F32 && out->dims[0] == e->batch;
    if (fits) e->metrics.width = out->dims[axis];
    e->metrics.classes_last = axis > 1;
    if (fits && e->metrics.width >= e->targets.info.classes) return SKIVE_OK;
    return skv_fail_at(e->ctx, SKIVE_ERR_DATA, e->head.value->name,
                       "%s has %lld classes for each of %zu places of a sample, but output '%s' is %s for %lld samples",
                       e->targets.info.spec, (long long)e->targets.info.classes, e->targets.info.label_size,
                       e->head.value->name, skv_tensor_text(out, text, sizeof text), (long long)e->batch);
}

/* Embeddings are rows; scores over time and boxes have three axes, and of scores over time the first may be time. */
static skive_status check_shape(evaluation *e, const skive_tensor *out) {
    char text[SKV_DIMS_TEXT + 16];
    const skive_task task = e->head.task;
    if (task == SKIVE_TASK_PLACES) return check_places(e, out);
    const bool three = out->rank == 3 && out->dtype == SKIVE_F32 && e->scores * e->batch == skive_tensor_count(out);
    e->time_first = task == SKIVE_TASK_SEQUENCES && three && out->dims[0] != e->batch && out->dims[1] == e->batch;
    const bool first = three && (e->time_first || out->dims[0] == e->batch);
    if (three) e->metrics.width = out->dims[2];
    if (task == SKIVE_TASK_EMBEDDING ? out->dtype == SKIVE_F32 && rows_of(out, e->batch)
                                     : first && (task != SKIVE_TASK_BOXES || out->dims[2] == 6))
        return SKIVE_OK;
    return skv_fail_at(e->ctx, SKIVE_ERR_DATA, e->head.value->name, "output '%s' is %s for %lld samples, not %s",
                       e->head.value->name, skv_tensor_text(out, text, sizeof text), (long long)e->batch,
                       task == SKIVE_TASK_EMBEDDING   ? "a row for each"
                       : task == SKIVE_TASK_SEQUENCES ? "[n, steps, classes]"
                                                      : "[n, boxes, 6]");
}

/* The numbers of sample i, in a row of their own where time comes first. */
static const float *row_of(evaluation *e, const skive_tensor *out, size_t i) {
    const float *data = out->data;
    const int64_t width = e->metrics.width;
    if (!e->time_first) return data + (int64_t)i * e->scores;
    for (int64_t t = 0; t < e->scores / width; t++)
        memcpy(e->row + t * width, data + (t * e->batch + (int64_t)i) * width, (size_t)width * sizeof *data);
    return e->row;
}

/* What the plan gives must be as many numbers a sample as the data ask for; only here are all dimensions known. */
static skive_status check_output(evaluation *e, const skive_tensor *out) {
    const int64_t count = skive_tensor_count(out), wanted = e->targets.size;
    char text[SKV_DIMS_TEXT + 16];
    e->scores = count / e->batch;
    skv_head_settle(&e->head, &e->targets, e->scores);
    const skive_task task = e->head.task;
    if (task > SKIVE_TASK_VALUES) return check_shape(e, out);
    const bool classes = task == SKIVE_TASK_CLASSES && e->targets.info.labelled;
    const bool fits = task == SKIVE_TASK_BINARY ? wanted <= 2 : classes ? e->scores >= wanted : e->scores == wanted;
    const skive_dataset_info *info = &e->targets.info;
    const bool in_place = task != SKIVE_TASK_VALUES || out->rank < 1 ||
                          skv_same_places(out->dims + 1, out->rank - 1, info->target_dims, info->target_rank);
    if (in_place && out->dtype == SKIVE_F32 && e->scores * e->batch == count && fits &&
        (task == SKIVE_TASK_VALUES || rows_of(out, e->batch)))
        return SKIVE_OK;
    return skv_fail_at(
        e->ctx, SKIVE_ERR_DATA, e->targets.info.spec, "%s has %lld %s, but output '%s' is %s for %lld sample%s",
        e->targets.info.spec, (long long)wanted, e->targets.info.labelled ? "classes" : "targets per sample",
        e->head.value->name, skv_tensor_text(out, text, sizeof text), (long long)e->batch, e->batch == 1 ? "" : "s");
}

/* A sample's answer must not depend on its neighbours. The graph itself is only read. */
static skive_status plan_inference(skive_context *ctx, const skive_graph *g, const skive_plan_options *o,
                                   skive_plan **out) {
    skive_graph *copy = NULL;
    skive_status status;
    if (!skive_graph_in_training_mode(g)) return skive_plan_create(ctx, g, o, out);
    SKV_GO(status, done, skive_graph_copy(ctx, g, &copy));
    SKV_GO(status, done, skive_graph_to_inference(copy));
    status = skive_plan_create(ctx, copy, o, out);
done:
    skive_graph_free(copy);
    return status;
}

static skive_status make_plan(evaluation *e, const skive_graph *g, int64_t batch) {
    skive_plan_options o = skive_plan_options_default();
    skive_shape_binding shape = {0};
    skive_tensor out;
    if (g->n_inputs != 1 || g->n_outputs < 1) {
        return SKV_FAIL(e->ctx, SKIVE_ERR_DATA, "evaluation needs a model with one input; this one has %u",
                        g->n_inputs);
    }
    const int64_t fixed = g->inputs[0]->type.rank > 0 ? g->inputs[0]->type.dims[0].size : -1;
    e->batch = fixed >= 0 ? fixed : batch > 0 ? batch : DEFAULT_BATCH;
    if (e->batch < 1) {
        return SKV_FAIL(e->ctx, SKIVE_ERR_DATA, "the model's input '%s' has a batch of 0", g->inputs[0]->name);
    }
    shape.input = g->inputs[0]->name;
    shape.rank = e->feed.rank + 1;
    shape.dims[0] = e->batch;
    memcpy(shape.dims + 1, e->feed.dims, (size_t)e->feed.rank * sizeof *shape.dims);
    o.batch = e->batch;
    o.shapes = &shape;
    o.n_shapes = 1;
    SKV_TRY(plan_inference(e->ctx, g, &o, &e->plan));
    SKV_TRY(skive_exec_create(e->ctx, e->plan, &e->exec));
    SKV_TRY(skive_exec_output(e->exec, e->head.output, &out));
    return check_output(e, &out);
}

static bool has_nan(const float *row, int64_t k) {
    for (int64_t c = 0; c < k; c++) {
        if (isnan(row[c])) return true;
    }
    return false;
}

static skive_status run(evaluation *e) {
    skv_progress progress;
    skive_tensor in, out;
    skive_batch batch;
    int64_t done = 0;
    const double started = skv_now();
    SKV_TRY(skive_exec_input(e->exec, 0, &in));
    SKV_TRY(skive_exec_output(e->exec, e->head.output, &out));
    SKV_TRY(skive_loader_start_epoch(e->loader, 0));
    skv_progress_start(&progress, e->ctx, "evaluate", (double)e->r->n);
    for (;;) {
        char text[64];
        SKV_TRY(skive_loader_next(e->loader, &batch));
        if (batch.end) break;
        SKV_TRY(skv_feed_copy(e->ctx, e->feed.input, &batch.x, &in)); /* rows behind a short last batch are ignored */
        SKV_TRY(skive_exec_run(e->exec));
        const bool labelled = e->targets.info.labelled;
        for (size_t i = 0; i < batch.count; i++) {
            const float *row = row_of(e, &out, i);
            /* Which class comes first among such scores means nothing; counted as any, it would look like an answer. */
            if (has_nan(row, e->scores)) {
                return skv_fail_at(e->ctx, SKIVE_ERR_NUMERIC, e->targets.info.spec,
                                   "the model gives NaN for sample %zu of %s", batch.indices[i], e->targets.info.spec);
            }
            const size_t places = e->targets.info.label_rank ? e->targets.info.label_size : 0;
            e->metrics.labels = places ? (const int64_t *)batch.y.data + i * places : NULL;
            skv_metrics_add(&e->metrics, batch.indices[i], row,
                            labelled && !places ? ((const int64_t *)batch.y.data)[i] : 0,
                            labelled ? NULL : (const float *)batch.y.data + i * e->targets.info.target_size);
        }
        done += (int64_t)batch.count;
        SKV_TRY(skv_progress_at(&progress, (double)done, "%s", skv_metrics_text(&e->metrics, done, text, sizeof text)));
    }
    e->r->seconds = skv_now() - started;
    return SKIVE_OK;
}

static skive_status make_loader(evaluation *e, const skive_dataset *dataset) {
    skive_loader_options o = skive_loader_options_default();
    o.batch = (size_t)e->batch;
    o.shuffle = e->shuffle;
    o.seed = 1;
    return skv_feed_loader(e->ctx, &e->feed, dataset, &o, &e->loader);
}

static skive_status evaluate(evaluation *e, const skive_graph *g, skive_dataset *dataset, int64_t batch) {
    SKV_TRY(skv_targets_of(e->ctx, dataset, &e->targets));
    SKV_TRY(skv_head_find(e->ctx, g, &e->targets, &e->head));
    SKV_TRY(skv_feed_make(e->ctx, g, &e->targets.info, &e->feed));
    SKV_TRY(make_plan(e, g, batch));
    if (e->tell) skv_feed_tell(&e->feed, "model");
    e->r->n = (int64_t)e->targets.info.count;
    e->r->output = skv_head_info(&e->head);
    e->r->sample_rank = e->feed.rank;
    memcpy(e->r->sample_dims, e->feed.dims, (size_t)e->feed.rank * sizeof *e->feed.dims);
    e->metrics.scores = e->scores;
    if (e->time_first) SKV_TRY(skv_alloc_array(e->ctx, (size_t)e->scores + 1, sizeof *e->row, &e->row));
    SKV_TRY(skv_metrics_start(&e->metrics));
    skv_head_tell_assumed(e->ctx, &e->targets, &e->head);
    SKV_TRY(make_loader(e, dataset));
    SKV_TRY(run(e));
    return skv_metrics_finish(&e->metrics);
}

skive_status skv_evaluate(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, int64_t batch, bool tell,
                          bool all, const char *named, skive_eval_report *out) {
    evaluation e = {.ctx = ctx, .r = out, .tell = tell};
    *out = (skive_eval_report){0};
    e.metrics = (skv_metrics){.ctx = ctx, .r = out, .targets = &e.targets, .head = &e.head, .all = all, .named = named};
    const skive_status status = evaluate(&e, g, dataset, batch);
    skv_free(ctx, e.row);
    skv_free(ctx, e.metrics.room);
    skive_loader_free(e.loader);
    skive_exec_free(e.exec);
    skive_plan_free(e.plan);
    skv_feed_free(&e.feed);
    if (status != SKIVE_OK) skive_eval_report_free(ctx, out);
    return status;
}

skive_status skive_evaluate(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, int64_t batch,
                            skive_eval_report *out) {
    SKV_NEED(ctx, "ctx, graph, dataset, out", ctx, g, dataset, out);
    return skv_evaluate(ctx, g, dataset, batch, true, true, NULL, out);
}

skive_status skv_first_outputs(skive_context *ctx, const skive_graph *g, skive_dataset *set, int64_t most, float *out,
                               float *targets, int64_t *n) {
    skive_eval_report r = {0};
    evaluation e = {.ctx = ctx, .r = &r, .shuffle = true};
    skive_tensor in, answer;
    skive_batch batch;
    skive_status status;
    *n = 0;
    SKV_GO(status, done, skv_targets_of(ctx, set, &e.targets));
    SKV_GO(status, done, skv_head_find(ctx, g, &e.targets, &e.head));
    SKV_GO(status, done, skv_feed_make(ctx, g, &e.targets.info, &e.feed));
    SKV_GO(status, done, make_plan(&e, g, 0));
    SKV_GO(status, done, make_loader(&e, set));
    SKV_GO(status, done, skive_exec_input(e.exec, 0, &in));
    SKV_GO(status, done, skive_exec_output(e.exec, e.head.output, &answer));
    SKV_GO(status, done, skive_loader_start_epoch(e.loader, 0));
    const size_t row = (size_t)e.scores * sizeof(float);
    while (*n < most) {
        SKV_GO(status, done, skive_loader_next(e.loader, &batch));
        if (batch.end) break;
        SKV_GO(status, done, skv_feed_copy(ctx, e.feed.input, &batch.x, &in));
        SKV_GO(status, done, skive_exec_run(e.exec));
        const int64_t take = (int64_t)batch.count < most - *n ? (int64_t)batch.count : most - *n;
        memcpy(out + *n * e.scores, answer.data, (size_t)take * row);
        memcpy(targets + *n * e.scores, batch.y.data, (size_t)take * row);
        *n += take;
    }
done:
    skive_loader_free(e.loader);
    skive_exec_free(e.exec);
    skive_plan_free(e.plan);
    skv_feed_free(&e.feed);
    return status;
}

/* In double precision; log_p[scores] of one sample's answer. */
static void log_probabilities_of(const skv_head *head, const float *row, int64_t scores, double *log_p) {
    double most = -INFINITY, sum = 0;
    for (int64_t c = 0; c < scores; c++) {
        log_p[c] = head->kind == SKIVE_OUTPUT_PROBABILITIES ? log(fmax((double)row[c], 1e-30)) : (double)row[c];
        most = fmax(most, log_p[c]);
    }
    for (int64_t c = 0; c < scores; c++) sum += exp(log_p[c] - most);
    for (int64_t c = 0; c < scores; c++) log_p[c] -= most + log(sum);
}

skive_status skv_log_probabilities(skive_context *ctx, const skive_graph *model, const skive_dataset *set,
                                   skv_log_p_fn each, void *user) {
    skive_eval_report r = {0};
    evaluation e = {.ctx = ctx, .r = &r};
    skive_tensor in, answer;
    skive_batch batch;
    double *log_p = NULL;
    skv_progress progress;
    size_t seen = 0;
    skive_status status;
    SKV_GO(status, done, skv_targets_of(ctx, set, &e.targets));
    SKV_GO(status, done, skv_head_find(ctx, model, &e.targets, &e.head));
    SKV_GO(status, done, skv_feed_make(ctx, model, &e.targets.info, &e.feed));
    SKV_GO(status, done, make_plan(&e, model, 0));
    if (e.head.task != SKIVE_TASK_CLASSES) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, "curriculum",
                             "a curriculum by difficulty needs a model that answers with a score for each class");
        goto done;
    }
    SKV_GO(status, done, make_loader(&e, set));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)e.scores, sizeof *log_p, &log_p));
    SKV_GO(status, done, skive_exec_input(e.exec, 0, &in));
    SKV_GO(status, done, skive_exec_output(e.exec, e.head.output, &answer));
    SKV_GO(status, done, skive_loader_start_epoch(e.loader, 0));
    skv_progress_start(&progress, ctx, "difficulty", (double)e.targets.info.count);
    for (;;) {
        SKV_GO(status, done, skive_loader_next(e.loader, &batch));
        if (batch.end) break;
        SKV_GO(status, done, skv_feed_copy(ctx, e.feed.input, &batch.x, &in));
        SKV_GO(status, done, skive_exec_run(e.exec));
        for (size_t i = 0; i < batch.count; i++) {
            log_probabilities_of(&e.head, (const float *)answer.data + (int64_t)i * e.scores, e.scores, log_p);
            each(user, batch.indices[i], log_p, e.scores, ((const int64_t *)batch.y.data)[i]);
        }
        seen += batch.count;
        SKV_GO(status, done, skv_progress_at(&progress, (double)seen, NULL));
    }
done:
    skv_free(ctx, log_p);
    skive_loader_free(e.loader);
    skive_exec_free(e.exec);
    skive_plan_free(e.plan);
    skv_feed_free(&e.feed);
    return status;
}
