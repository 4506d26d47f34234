/* What early exits are good for: how many samples may leave, and how long they take. */
#include <skive/distill.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "graph/meta_keys.h"
#include "train/train.h"

enum { STEPS = 512 /* thresholds that are tried */ };
#define SECONDS 0.05  /* of timing an exit */
#define SLACK   0.002 /* share of the samples that may be lost by leaving early, one standard error included */

/* What one exit answers for each sample. */
typedef struct answers {
    skive_context *ctx;
    skive_dataset *set;
    size_t count, at;
    bool probabilities;
    float *sure;    /* [count] largest probability */
    uint8_t *right; /* [count] */
} answers;

static skive_status see(void *user, const float *row, int64_t scores) {
    answers *a = user;
    int64_t label, best = 0;
    double sum = 0;
    if (a->at >= a->count) return SKV_FAIL(a->ctx, SKIVE_ERR_DATA, "more answers than samples");
    SKV_TRY(skive_dataset_read(a->ctx, a->set, a->at, NULL, &label));
    for (int64_t c = 1; c < scores; c++)
        if (row[c] > row[best]) best = c;
    for (int64_t c = 0; c < scores; c++) sum += exp((double)row[c] - (double)row[best]);
    a->sure[a->at] = a->probabilities ? row[best] : (float)(1 / sum);
    a->right[a->at++] = best == label;
    return SKIVE_OK;
}

/* ---- one exit ---- */

/* The model as far as output `index`. */
static skive_status as_far_as(skive_context *ctx, const skive_graph *graph, size_t index, skive_graph **out) {
    SKV_TRY(skive_graph_copy(ctx, graph, out));
    skive_status status = SKIVE_OK;
    for (size_t i = (*out)->n_outputs; i-- > 0 && status == SKIVE_OK;)
        if (i != index) status = skv_graph_remove_output(*out, i);
    if (status == SKIVE_OK) status = skive_model_set_output(*out, (*out)->outputs[0]->name, NULL);
    if (status == SKIVE_OK) (void)skv_graph_sweep(*out);
    return status;
}

static skive_status time_of(skive_context *ctx, const skive_graph *g, skive_exit *e) {
    skive_plan_options o = skive_plan_options_default();
    skive_bench_report r;
    skive_plan *plan = NULL;
    o.batch = 1;
    SKV_TRY(skive_plan_create(ctx, g, &o, &plan));
    const skive_status status = skive_bench(ctx, plan, 1, 20, SECONDS, &r);
    e->milliseconds = 1e3 * r.p50;
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(plan, i, &step);
        e->macs += step.macs;
    }
    skive_plan_free(plan);
    return status;
}

static skive_status measure_one(answers *a, const skive_graph *graph, size_t output, skive_exit *e) {
    const skv_evaluation how = {.see = see, .user = a};
    skive_eval_report r;
    skive_graph *g = NULL;
    skv_targets targets;
    skv_head head;
    skive_status status;
    SKV_GO(status, done, skv_strdup(a->ctx, graph->outputs[output]->name, &e->name));
    SKV_GO(status, done, as_far_as(a->ctx, graph, output, &g));
    SKV_GO(status, done, skv_targets_of(a->ctx, a->set, &targets));
    SKV_GO(status, done, skv_head_find(a->ctx, g, &targets, &head));
    a->probabilities = head.kind == SKIVE_OUTPUT_PROBABILITIES;
    SKV_GO(status, done, skv_evaluate(a->ctx, g, a->set, &how, &r));
    skive_eval_report_free(a->ctx, &r);
    if (a->at != a->count) {
        status = SKV_FAIL(a->ctx, SKIVE_ERR_DATA, "'%s' gave %zu answers to %zu samples", e->name, a->at, a->count);
        goto done;
    }
    status = time_of(a->ctx, g, e);
done:
    skive_graph_free(g);
    return status;
}

/* ---- the threshold ---- */

/* Where sample i leaves. */
static size_t leaves(const answers *a, size_t n, size_t i, double threshold) {
    size_t k = 0;
    while (k + 1 < n && (double)a[k].sure[i] < threshold) k++;
    return k;
}

static size_t right_of(const answers *a, size_t n, double threshold, size_t first) {
    size_t right = 0;
    for (size_t i = first; i < a->count; i += 2) right += a[leaves(a, n, i, threshold)].right[i];
    return right;
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Of the samples of even numbers: how many the threshold makes wrong beside the last exit, less those that it makes
 * right, and a standard error more. The lowest of many thresholds is low by chance, too: without the error, accuracy
 * falls on other samples. */
static double lost(const answers *a, size_t n, double threshold) {
    size_t wrong = 0, mended = 0;
    for (size_t i = 0; i < a->count; i += 2) {
        const uint8_t early = a[leaves(a, n, i, threshold)].right[i], last = a[n - 1].right[i];
        wrong += last && !early;
        mended += early && !last;
    }
    return (double)wrong - (double)mended + sqrt((double)(wrong + mended));
}

/* The lowest that loses no more than the slack. */
static skive_status choose(skive_context *ctx, const answers *a, size_t n, double *threshold) {
    const size_t count = a->count;
    const double most = SLACK * (double)((count + 1) / 2);
    float *sorted = NULL;
    SKV_TRY(skv_alloc_array(ctx, count, sizeof *sorted, &sorted));
    *threshold = 2;
    for (size_t k = 0; k + 1 < n; k++) {
        memcpy(sorted, a[k].sure, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_size);
        for (size_t s = 0; s < STEPS; s++) {
            const double t = (double)sorted[s * count / STEPS];
            if (t < *threshold && lost(a, n, t) <= most) *threshold = t;
        }
    }
    skv_free(ctx, sorted);
    return SKIVE_OK;
}

/* On the samples of odd numbers. */
static void fill(const answers *a, skive_exits_report *r) {
    const size_t n = r->n;
    r->chosen_on = (a->count + 1) / 2;
    r->samples = a->count / 2;
    for (size_t i = 1; i < a->count; i += 2) {
        const size_t k = leaves(a, n, i, r->threshold);
        r->exits[k].share += 1;
        for (size_t e = 0; e < n; e++) r->exits[e].accuracy += a[e].right[i];
    }
    const double m = (double)r->samples;
    for (size_t e = 0; e < n; e++) {
        r->exits[e].share /= m;
        r->exits[e].accuracy /= m;
        r->milliseconds += r->exits[e].share * r->exits[e].milliseconds;
    }
    r->early = 1 - r->exits[n - 1].share;
    r->last = r->exits[n - 1].accuracy;
    r->accuracy = (double)right_of(a, n, r->threshold, 1) / m;
}

/* ---- all ---- */

static skive_status output_of(const skive_graph *g, const char *name, size_t length, size_t *out) {
    for (*out = 0; *out < g->n_outputs; (*out)++)
        if (strlen(g->outputs[*out]->name) == length && memcmp(g->outputs[*out]->name, name, length) == 0)
            return SKIVE_OK;
    return SKV_FAIL(g->ctx, SKIVE_ERR_NOT_FOUND, "the metadata name an exit '%.*s', and no output has the name",
                    (int)length, name);
}

static skive_status measure_all(skive_context *ctx, const skive_graph *graph, const char *names, answers *a,
                                skive_exits_report *r) {
    const char *last = skive_graph_meta(graph, SKV_META_OUTPUT_NAME);
    size_t output;
    for (size_t k = 0; k < r->n; k++) {
        const size_t length = k + 1 < r->n ? strcspn(names, ",") : 0;
        SKV_TRY(k + 1 < r->n ? output_of(graph, names, length, &output)
                             : output_of(graph, last ? last : "", last ? strlen(last) : 0, &output));
        names += length + (names[length] == ',');
        SKV_TRY(skv_alloc_array(ctx, a[k].count, sizeof *a[k].sure, &a[k].sure));
        SKV_TRY(skv_alloc_array(ctx, a[k].count, 1, &a[k].right));
        SKV_TRY(measure_one(&a[k], graph, output, &r->exits[k]));
    }
    SKV_TRY(choose(ctx, a, r->n, &r->threshold));
    fill(a, r);
    return SKIVE_OK;
}

skive_status skive_exits_measure(skive_context *ctx, skive_graph *graph, skive_dataset *set, skive_exits_report *out) {
    SKV_NEED(ctx, "ctx, graph, set, out", ctx, graph, set, out);
    const char *names = skive_graph_meta(graph, SKV_META_EXITS);
    skive_dataset_info info;
    answers *a = NULL;
    skive_status status;
    char text[40];
    *out = (skive_exits_report){.n = 2};
    if (!names) return SKV_FAIL(ctx, SKIVE_ERR_NOT_FOUND, "the model has no exits; distill --exits auto makes some");
    skive_dataset_get_info(set, &info);
    if (info.count < 2 || !info.labelled)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, info.spec, "%s: exits are measured on two or more samples with labels",
                           info.spec);
    for (const char *at = names; *at; at++) out->n += *at == ',';
    SKV_GO(status, done, skv_alloc_array(ctx, out->n, sizeof *out->exits, &out->exits));
    SKV_GO(status, done, skv_alloc_array(ctx, out->n, sizeof *a, &a));
    for (size_t k = 0; k < out->n; k++) a[k] = (answers){.ctx = ctx, .set = set, .count = info.count};
    SKV_GO(status, done, measure_all(ctx, graph, names, a, out));
    (void)snprintf(text, sizeof text, "%.9g", out->threshold);
    status = skive_graph_set_meta(graph, SKV_META_EXITS_THRESHOLD, text);
done:
    for (size_t k = 0; a && k < out->n; k++) {
        skv_free(ctx, a[k].sure);
        skv_free(ctx, a[k].right);
    }
    skv_free(ctx, a);
    if (status != SKIVE_OK) skive_exits_report_free(ctx, out);
    return status;
}

void skive_exits_report_free(skive_context *ctx, skive_exits_report *r) {
    if (!r) return;
    for (size_t k = 0; r->exits && k < r->n; k++) skv_free(ctx, r->exits[k].name);
    skv_free(ctx, r->exits);
    *r = (skive_exits_report){0};
}
