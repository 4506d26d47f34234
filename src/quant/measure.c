/* The difference between the quantized and the float model on the kept runs. */
#include <math.h>
#include <string.h>

#include <skive/session.h>

#include "probe/probe.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

#define MEMORY_AT_ONCE ((size_t)128 << 20)

typedef struct output_sum {
    double signal, noise;
    double same, rows; /* number of samples whose largest score, or integers, can be compared */
} output_sum;

typedef struct measuring {
    skive_context *ctx;
    const skive_graph *graph;
    const skv_kept *kept;
    output_sum *sums; /* [runs][outputs] */
} measuring;

/* Scores [N, C], of which the largest is the prediction. */
static bool is_scores(const skive_tensor *t) {
    return skv_dtype_is_float(t->dtype) && t->rank == 2 && t->dims[1] > 1 && t->dims[1] <= 100000;
}

static int64_t largest(const skive_tensor *t, int64_t row) {
    const int64_t n = t->dims[1];
    int64_t best = 0;
    double top = -INFINITY;
    for (int64_t k = 0; k < n; k++) {
        const double x = skv_load_f64(t->dtype, t->data, (size_t)(row * n + k));
        if (x > top) {
            top = x;
            best = k;
        }
    }
    return best;
}

static void hold(const skive_tensor *want, const skive_tensor *got, output_sum *s) {
    const int64_t n = skive_tensor_count(want);
    if (n != skive_tensor_count(got) || want->dtype != got->dtype) return;
    if (!skv_dtype_is_float(want->dtype)) {
        for (int64_t i = 0; i < n; i++) s->same += skive_tensor_get(want, i) == skive_tensor_get(got, i) ? 1 : 0;
        s->rows += (double)n;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double x = skv_load_f64(want->dtype, want->data, (size_t)i);
        const double d = skv_load_f64(got->dtype, got->data, (size_t)i) - x;
        s->signal += x * x;
        s->noise += d * d;
    }
    for (int64_t row = 0; is_scores(want) && row < want->dims[0]; row++) {
        s->same += largest(want, row) == largest(got, row) ? 1 : 0;
        s->rows += 1;
    }
}

static skive_status feed(void *user, int64_t *run, skive_tensor *inputs, size_t n) {
    const measuring *m = user;
    const skv_kept_run *r = &m->kept->runs[*run];
    if (!r->outputs) {
        *run = -1;
        return SKIVE_OK;
    }
    for (size_t i = 0; i < n; i++) memcpy(inputs[i].data, r->inputs[i].data, skive_tensor_bytes(&inputs[i]));
    return SKIVE_OK;
}

/* The sums of each run by itself, so that runs can be left out. */
static skive_status take(void *user, int64_t run, skive_exec *exec) {
    const measuring *m = user;
    const uint32_t n = m->graph->n_outputs;
    skive_tensor view;
    for (uint32_t i = 0; i < n; i++) {
        SKV_TRY(skive_exec_output(exec, i, &view));
        hold(&m->kept->runs[run].outputs[i], &view, &m->sums[(size_t)run * n + i]);
    }
    return SKIVE_OK;
}

static skive_status run_all(measuring *m, const skive_quantize_options *o) {
    const skv_probe_setup s = {
        .graph = m->graph, .plan = skv_quant_plan_options(o), .runs = (int64_t)m->kept->n, .memory = MEMORY_AT_ONCE};
    const skv_probe_pass pass = {.feed = feed, .user = m, .runs = (int64_t)m->kept->n, .ran = take};
    skv_probe *probe = NULL;
    skive_status status = skv_probe_open(m->ctx, &s, &probe);
    if (status == SKIVE_OK) status = skv_probe_run(probe, &pass, NULL);
    skv_probe_free(probe);
    return status;
}

static double decibels(double signal, double noise) {
    if (!(signal > 0)) return NAN; /* only zeros to compare with */
    if (!(noise < INFINITY)) return -20;
    return noise > 1e-12 * signal ? 10 * log10(signal / noise) : 120;
}

static void add(output_sum *all, const output_sum *s) {
    all->signal += s->signal;
    all->noise += s->noise;
    all->same += s->same;
    all->rows += s->rows;
}

static void sum_up(const measuring *m, const bool *left_out, size_t told, skv_measure *out) {
    const size_t n_outputs = m->graph->n_outputs;
    double score = 0, rated = 0, equal = 0, compared = 0;
    for (size_t k = 0; k < n_outputs; k++) {
        output_sum all = {0}, first = {0};
        for (size_t i = 0; i < m->kept->n; i++) {
            if (left_out[i]) continue;
            add(&all, &m->sums[i * n_outputs + k]);
            if (i < told) add(&first, &m->sums[i * n_outputs + k]);
        }
        out->sqnr[k] = decibels(first.signal, first.noise);
        out->agreement[k] = first.rows > 0 ? first.same / first.rows : NAN;
        equal += all.same;
        compared += all.rows;
        const double db = decibels(all.signal, all.noise);
        if (isnan(db)) continue;
        score += db > 60 ? 60 : db < -20 ? -20 : db;
        rated += 1;
    }
    out->score = rated > 0 ? score / rated : compared > 0 ? 60 * equal / compared : NAN;
}

skive_status skv_quant_measure(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                               const skv_kept *kept, const bool *left_out, size_t told, skv_measure *out) {
    measuring m = {.ctx = ctx, .graph = g, .kept = kept};
    skive_status status;
    *out = (skv_measure){.n_outputs = g->n_outputs};
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof(double), &out->sqnr));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof(double), &out->agreement));
    SKV_GO(status, done, skv_alloc_array(ctx, kept->n * g->n_outputs + 1, sizeof *m.sums, &m.sums));
    SKV_GO(status, done, run_all(&m, o));
    sum_up(&m, left_out, told, out);
done:
    skv_free(ctx, m.sums);
    if (status != SKIVE_OK) skv_measure_free(ctx, out);
    return status;
}

static skive_status run_session(const measuring *m) {
    const skive_graph *g = m->graph;
    skive_session *s = NULL;
    skive_tensor *outputs = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(m->ctx, (size_t)g->n_outputs + 1, sizeof *outputs, &outputs));
    SKV_GO(status, done, skive_session_create(m->ctx, g, NULL, &s));
    for (size_t run = 0; run < m->kept->n; run++) {
        const skv_kept_run *r = &m->kept->runs[run];
        if (!r->outputs) continue;
        SKV_GO(status, done, skive_session_run(s, r->inputs, g->n_inputs, outputs, g->n_outputs));
        for (uint32_t i = 0; i < g->n_outputs; i++) {
            hold(&r->outputs[i], &outputs[i], &m->sums[run * g->n_outputs + i]);
            skive_tensor_free(m->ctx, &outputs[i]);
        }
    }
done:
    skive_session_free(s);
    skv_free(m->ctx, outputs);
    return status;
}

skive_status skv_quant_measure_session(skive_context *ctx, const skive_graph *g, const skv_kept *kept,
                                       skv_measure *out) {
    measuring m = {.ctx = ctx, .graph = g, .kept = kept};
    bool *left_out = NULL;
    skive_status status;
    *out = (skv_measure){.n_outputs = g->n_outputs};
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof(double), &out->sqnr));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_outputs + 1, sizeof(double), &out->agreement));
    SKV_GO(status, done, skv_alloc_array(ctx, kept->n * g->n_outputs + 1, sizeof *m.sums, &m.sums));
    SKV_GO(status, done, skv_alloc_array(ctx, kept->n + 1, sizeof *left_out, &left_out));
    SKV_GO(status, done, run_session(&m));
    sum_up(&m, left_out, kept->n, out);
done:
    skv_free(ctx, m.sums);
    skv_free(ctx, left_out);
    if (status != SKIVE_OK) skv_measure_free(ctx, out);
    return status;
}

void skv_measure_free(skive_context *ctx, skv_measure *m) {
    skv_free(ctx, m->sqnr);
    skv_free(ctx, m->agreement);
    *m = (skv_measure){0};
}
