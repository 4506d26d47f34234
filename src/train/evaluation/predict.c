/* A model run over a data set whose labels nobody needs: its outputs, and how far two models agree. */
#include <math.h>
#include <string.h>

#include "data/feed.h"
#include "tensor/tensor.h"
#include "train/head/head.h"
#include "train/evaluation/statistics.h"
#include "train/train.h"

typedef struct prediction {
    skive_context *ctx;
    skv_feeds feeds;
    skive_plan *plan;
    skive_exec *exec;
    skive_loader *loader;
    skive_tensor *out; /* [n_out] of the exec */
    size_t n_out;
    int64_t batch;
} prediction;

static void finish(prediction *p) {
    skive_loader_free(p->loader);
    skive_exec_free(p->exec);
    skive_plan_free(p->plan);
    skv_feeds_free(&p->feeds);
    skv_free(p->ctx, p->out);
}

static skive_status start(prediction *p, const skive_graph *g, const skive_dataset *set, int64_t batch) {
    skive_loader_options l = skive_loader_options_default();
    skive_dataset_info info;
    skive_dataset_get_info(set, &info);
    SKV_TRY(skv_feeds_make(p->ctx, g, &info, &p->feeds));
    SKV_TRY(skv_plan_for_data(p->ctx, g, &p->feeds, batch, &p->batch, &p->plan));
    SKV_TRY(skive_exec_create(p->ctx, p->plan, &p->exec));
    skv_feeds_tell(&p->feeds, "model");
    p->n_out = g->n_outputs;
    SKV_TRY(skv_alloc_array(p->ctx, p->n_out + 1, sizeof *p->out, &p->out));
    for (size_t i = 0; i < p->n_out; i++) {
        char text[SKV_DIMS_TEXT + 16];
        SKV_TRY(skive_exec_output(p->exec, i, &p->out[i]));
        if (p->out[i].rank > 0 && p->out[i].dims[0] == p->batch) continue;
        return skv_fail_at(p->ctx, SKIVE_ERR_UNSUPPORTED, g->outputs[i]->name,
                           "output '%s' is %s for %lld samples: its first axis does not count them",
                           g->outputs[i]->name, skv_tensor_text(&p->out[i], text, sizeof text), (long long)p->batch);
    }
    l.batch = (size_t)p->batch;
    l.shuffle = false;
    return skv_feeds_loader(p->ctx, &p->feeds, set, &l, &p->loader);
}

static skive_status run(prediction *p, size_t count, skive_predict_fn each, void *user) {
    skv_progress progress;
    skive_batch batch;
    double done = 0;
    SKV_TRY(skive_loader_start_epoch(p->loader, 0));
    skv_progress_start(&progress, p->ctx, "run", (double)count);
    for (;;) {
        SKV_TRY(skive_loader_next(p->loader, &batch));
        if (batch.end) return SKIVE_OK;
        for (size_t i = 0; i < p->feeds.n; i++) {
            skive_tensor in;
            SKV_TRY(skive_exec_input(p->exec, p->feeds.items[i].index, &in));
            SKV_TRY(skv_feed_copy(p->ctx, p->feeds.items[i].input, &batch.inputs[i], &in));
        }
        SKV_TRY(skive_exec_run(p->exec));
        for (size_t i = 0; i < p->n_out; i++) p->out[i].dims[0] = (int64_t)batch.count; /* of a short last batch */
        SKV_TRY(each(user, batch.indices, batch.count, p->out, p->n_out));
        for (size_t i = 0; i < p->n_out; i++) p->out[i].dims[0] = p->batch;
        done += (double)batch.count;
        SKV_TRY(skv_progress_at(&progress, done, "%.0f samples", done));
    }
}

skive_status skive_predict(skive_context *ctx, const skive_graph *graph, const skive_dataset *dataset, int64_t batch,
                           skive_predict_fn each, void *user) {
    SKV_NEED(ctx, "ctx, graph, dataset, each", ctx, graph, dataset, each);
    prediction p = {.ctx = ctx};
    skive_dataset_info info;
    skive_dataset_get_info(dataset, &info);
    skive_status status = start(&p, graph, dataset, batch);
    if (status == SKIVE_OK) status = run(&p, info.count, each, user);
    finish(&p);
    return status;
}

/* ---- two models ---- */

typedef struct rows {
    skive_context *ctx;
    skv_head head;
    const skive_graph *graph;
    int64_t scores; /* a sample; 0: no batch was seen */
    size_t count;
    float *first; /* [count][scores] of the first model */
    const struct rows *to;
    skive_agreement *out;
    double sum, squares, signal, n;
} rows;

static skive_status find_answers(rows *r, const skive_tensor *outputs) {
    const skive_tensor *t = &outputs[r->head.output];
    size_t all;
    if (t->dtype != SKIVE_F32)
        return skv_fail_at(r->ctx, SKIVE_ERR_UNSUPPORTED, r->graph->outputs[r->head.output]->name,
                           "output '%s' is %s; answers of float32 are compared",
                           r->graph->outputs[r->head.output]->name, skive_dtype_name(t->dtype));
    r->scores = skive_tensor_count(t) / t->dims[0];
    if (r->to) return SKIVE_OK;
    if (!skv_mul_size(r->count, (size_t)r->scores, &all)) return SKV_FAIL(r->ctx, SKIVE_ERR_LIMIT, "too many answers");
    return skv_alloc_array(r->ctx, all + 1, sizeof *r->first, &r->first);
}

static skive_status keep(void *user, const size_t *indices, size_t count, const skive_tensor *outputs, size_t n) {
    rows *r = user;
    (void)n;
    if (!r->scores) SKV_TRY(find_answers(r, outputs));
    const size_t width = (size_t)r->scores;
    const float *data = outputs[r->head.output].data;
    for (size_t i = 0; i < count; i++) memcpy(r->first + indices[i] * width, data + i * width, width * sizeof *data);
    return SKIVE_OK;
}

static int64_t largest(const float *x, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static bool is_of_classes(skive_output_kind kind) {
    return kind == SKIVE_OUTPUT_LOGITS || kind == SKIVE_OUTPUT_PROBABILITIES || kind == SKIVE_OUTPUT_LOG_PROBABILITIES;
}

static bool is_sigmoid(skive_output_kind kind) {
    return kind == SKIVE_OUTPUT_SIGMOID || kind == SKIVE_OUTPUT_SIGMOID_LOGITS;
}

/* The same class, or all labels the same. */
static bool same_answer(const rows *a, const float *x, const rows *b, const float *y) {
    if (is_of_classes(a->head.kind) && a->scores > 1) return largest(x, a->scores) == largest(y, b->scores);
    const float p = skv_output_threshold(a->head.kind), q = skv_output_threshold(b->head.kind);
    for (int64_t i = 0; i < a->scores; i++)
        if ((x[i] >= p) != (y[i] >= q)) return false;
    return true;
}

static skive_status hold(void *user, const size_t *indices, size_t count, const skive_tensor *outputs, size_t n) {
    rows *r = user;
    const rows *a = r->to;
    skive_agreement *out = r->out;
    (void)n;
    if (!r->scores) SKV_TRY(find_answers(r, outputs));
    if (r->scores != a->scores)
        return skv_fail_at(r->ctx, SKIVE_ERR_SHAPE, "compare",
                           "the first model gives %lld numbers for a sample, the other %lld", (long long)a->scores,
                           (long long)r->scores);
    const float *data = outputs[r->head.output].data;
    for (size_t i = 0; i < count; i++) {
        const float *x = a->first + indices[i] * (size_t)a->scores, *y = data + i * (size_t)r->scores;
        for (int64_t k = 0; k < r->scores; k++) {
            const double d = (double)y[k] - (double)x[k];
            if (isnan(d))
                return skv_fail_at(r->ctx, SKIVE_ERR_NUMERIC, "compare", "a model gives NaN for sample %zu",
                                   indices[i]);
            r->sum += fabs(d);
            r->squares += d * d;
            r->signal += (double)x[k] * (double)x[k];
            if (fabs(d) > out->max_difference) out->max_difference = fabs(d);
            r->n++;
        }
        out->n++;
        out->same += out->decides && same_answer(a, x, r, y);
    }
    return SKIVE_OK;
}

skive_status skive_compare_answers(skive_context *ctx, const skive_graph *a, const skive_graph *b,
                                   const skive_dataset *for_a, const skive_dataset *for_b, int64_t batch,
                                   skive_agreement *out) {
    SKV_NEED(ctx, "ctx, a, b, for_a, for_b, out", ctx, a, b, for_a, for_b, out);
    skive_dataset_info info, other;
    rows first = {.ctx = ctx, .graph = a}, second = {.ctx = ctx, .graph = b, .to = &first, .out = out};
    skive_status status;
    *out = (skive_agreement){.share = NAN, .low = NAN, .high = NAN, .mean_difference = NAN, .sqnr = NAN};
    skive_dataset_get_info(for_a, &info);
    skive_dataset_get_info(for_b, &other);
    if (info.count != other.count)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, info.spec,
                           "%s has %zu samples for the first model and %zu for the other", info.spec, info.count,
                           other.count);
    first.count = second.count = info.count;
    SKV_GO(status, done, skv_head_find(ctx, a, NULL, &first.head));
    SKV_GO(status, done, skv_head_find(ctx, b, NULL, &second.head));
    const skive_output_kind p = first.head.kind, q = second.head.kind;
    out->decides = (is_of_classes(p) && is_of_classes(q)) || (is_sigmoid(p) && is_sigmoid(q));
    out->same_kind = p == q;
    SKV_GO(status, done, skive_predict(ctx, a, for_a, batch, keep, &first));
    SKV_GO(status, done, skive_predict(ctx, b, for_b, batch, hold, &second));
    if (out->decides && out->n > 0) {
        out->share = (double)out->same / (double)out->n;
        skv_wilson(out->same, out->n, &out->low, &out->high);
    }
    out->mean_difference = second.n > 0 ? second.sum / second.n : (double)NAN;
    out->sqnr = second.squares > 0 ? 10 * log10(second.signal / second.squares) : INFINITY;
    if (!out->same_kind) out->mean_difference = out->max_difference = out->sqnr = NAN;
done:
    skv_free(ctx, first.first);
    return status;
}
