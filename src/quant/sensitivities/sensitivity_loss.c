/* Sensitivity by measurement: the model runs over the samples once for each layer and grid, with that layer alone
 * quantized. One run gives the loss of accuracy, the increase of the loss, and how far the outputs are from those of
 * the float model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/batch.h"
#include "probe/source.h"
#include "quant/sensitivity.h"
#include "train/train.h"

#define MOST_KEPT ((size_t)64 << 20) /* bytes of outputs of the float model */

typedef struct running {
    skv_sensing *s;
    skive_eval_report original;
    float *rows; /* [kept][scores] of the float model */
    size_t room;
    int64_t kept, scores, at;
    double signal, noise, kl;
} running;

/* ---- the range of a layer's input ---- */

static skive_value *input_of(const skv_weight *w) {
    skive_value *x = w->view.data >= 0 ? skv_node_in(w->node, (size_t)w->view.data) : NULL;
    return x && !x->storage && x->type.dtype == SKIVE_F32 ? x : NULL;
}

static skive_status find_ranges(skv_sensing *s, const skv_observer *observer, skv_probe *probe, const size_t *item) {
    skive_quantize_options o = skive_quantize_options_default();
    o.calibration = s->o->calibration;
    for (size_t i = 0; i < s->n; i++) {
        double low = 0, high = 0;
        if (!s->quantized[i]) continue;
        const skv_histogram *h = skv_probe_state(probe, item[i]);
        skv_quantizer *q = &s->input_grid[i];
        *q = skv_quantizer_from(&s->activation, h->low);
        if (h->reach > 0) observer->choose(h, q, &o, &low, &high);
        q->grid->solve_range(q, low, high, &s->input[i]);
        if (!(s->input[i].scale > 0)) s->input[i].scale = 1; /* only zeros were seen */
    }
    return SKIVE_OK;
}

static skive_status calibrate(skv_sensing *s) {
    enum { BATCH = 50 };
    const skv_observer *observer = skv_observer_find(s->o->calibration);
    const int64_t fixed = skv_graph_fixed_batch(s->g), batch = fixed > 0 ? fixed : BATCH;
    const skv_source_options o = {.batch = batch < s->o->samples ? batch : s->o->samples,
                                  .batches = (s->o->samples + batch - 1) / batch,
                                  .seed = 1};
    skv_source source = {0};
    skv_probe *probe = NULL;
    skv_probe_item *items = NULL;
    size_t *item = NULL, n = 0;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *s->input, &s->input));
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *s->input_grid, &s->input_grid));
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *s->quantized, &s->quantized));
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *items, &items));
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *item, &item));
    for (size_t i = 0; i < s->n; i++) {
        const skive_value *x = input_of(&s->layers[i]);
        s->quantized[i] = x != NULL;
        if (!x) continue;
        for (item[i] = 0; item[i] < n && strcmp(items[item[i]].value, x->name) != 0;) item[i]++;
        if (item[i] < n) continue;
        items[n++] = (skv_probe_item){.value = x->name,
                                      .of = SKV_OF_VALUE,
                                      .axis = SKV_IN_ALL,
                                      .reducer = skv_reducer_find("histogram"),
                                      .number = SKV_BINS_BOTH};
    }
    if (n == 0) {
        status = SKIVE_OK;
        goto done;
    }
    SKV_GO(status, done, skv_source_open(s->ctx, s->g, s->calibration, &o, &source));
    SKV_GO(status, done, skv_source_probe(&source, items, n, "calibrate", &probe));
    status = find_ranges(s, observer, probe, item);
done:
    skv_probe_free(probe);
    skv_source_close(&source);
    skv_free(s->ctx, items);
    skv_free(s->ctx, item);
    return status;
}

/* ---- one layer quantized ---- */

static skive_status quantize_input(const skv_sensing *s, skive_graph *g, size_t layer) {
    const skv_weight *w = &s->layers[layer];
    skive_node *n = g->nodes[w->node->id];
    skv_builder b = skv_build(g);
    skive_value *x = skv_emit_rounded(&b, &s->input_grid[layer], &s->input[layer], n->inputs[w->view.data]);
    SKV_TRY(b.status);
    return skv_node_set_input(n, (size_t)w->view.data, x);
}

static skive_status make_trial(const skv_sensing *s, size_t layer, size_t grid, skive_graph **out) {
    const skive_value *from = s->layers[layer].value;
    const skive_tensor *t = skv_value_tensor(from);
    skv_storage *storage = NULL;
    skv_gridded c = {0};
    skive_status status;
    SKV_TRY(skive_graph_copy(s->ctx, s->g, out));
    SKV_GO(status, done, skv_storage_create(s->ctx, SKIVE_F32, t->rank, t->dims, &storage));
    SKV_GO(status, done, skv_sensing_round(s, layer, grid, storage->tensor.data, &c));
    SKV_GO(status, done, skv_value_set_storage((*out)->values[from->id], storage));
    storage = NULL;
    if (s->inputs && s->quantized[layer]) SKV_GO(status, done, quantize_input(s, *out, layer));
    status = skive_graph_infer(*out);
done:
    skv_gridded_free(s->ctx, &c);
    skv_storage_release(storage);
    if (status != SKIVE_OK) skive_graph_free(*out);
    if (status != SKIVE_OK) *out = NULL;
    return status;
}

/* ---- the outputs ---- */

static skive_status keep(void *user, const float *row, int64_t scores) {
    running *r = user;
    skive_context *ctx = r->s->ctx;
    r->scores = scores;
    r->at++;
    if ((size_t)(r->kept + 1) * (size_t)scores > MOST_KEPT / sizeof *row) return SKIVE_OK;
    const size_t need = (size_t)(r->kept + 1) * (size_t)scores;
    if (need > r->room) {
        const size_t more = 2 * r->room > need ? 2 * r->room : need;
        SKV_TRY(skv_grow(ctx, &r->rows, r->room, more, sizeof *r->rows));
        r->room = more;
    }
    memcpy(r->rows + r->kept++ * scores, row, (size_t)scores * sizeof *row);
    return SKIVE_OK;
}

/* log of the sum of exponentials. */
static double log_sum(const float *x, int64_t n) {
    double most = (double)x[0], sum = 0;
    for (int64_t i = 1; i < n; i++) most = (double)x[i] > most ? (double)x[i] : most;
    for (int64_t i = 0; i < n; i++) sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* Of one probability, within what float32 can tell from 0 and 1. */
static double held(double p) { return p < 1e-7 ? 1e-7 : p > 1 - 1e-7 ? 1 - 1e-7 : p; }

static double between_bits(double p, double q) {
    p = held(p);
    q = held(q);
    return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q));
}

static double sigmoid(float x) { return 1 / (1 + exp(-(double)x)); }

/* The divergence of the answer y from x, nats; NaN where the output is no distribution. */
static double divergence(skive_output_kind kind, const float *x, const float *y, int64_t n) {
    double sum = 0, a, b;
    switch (kind) {
    case SKIVE_OUTPUT_LOGITS:
    case SKIVE_OUTPUT_LOG_PROBABILITIES:
        a = log_sum(x, n);
        b = log_sum(y, n);
        for (int64_t i = 0; i < n; i++) {
            const double p = (double)x[i] - a, q = (double)y[i] - b;
            sum += exp(p) * (p - q);
        }
        return sum;
    case SKIVE_OUTPUT_PROBABILITIES:
        for (int64_t i = 0; i < n; i++) {
            const double p = (double)x[i], q = held((double)y[i]);
            if (p > 0) sum += p * log(p / q);
        }
        return sum;
    case SKIVE_OUTPUT_SIGMOID:
        for (int64_t i = 0; i < n; i++) sum += between_bits((double)x[i], (double)y[i]);
        return sum;
    case SKIVE_OUTPUT_SIGMOID_LOGITS:
        for (int64_t i = 0; i < n; i++) sum += between_bits(sigmoid(x[i]), sigmoid(y[i]));
        return sum;
    default: return NAN;
    }
}

static bool has_divergence(const skive_eval_report *r) {
    const float x[2] = {0};
    return r->task <= SKIVE_TASK_LABELS && !isnan(divergence(r->output.kind, x, x, 2));
}

static skive_status hold(void *user, const float *row, int64_t scores) {
    running *r = user;
    const int64_t at = r->at++;
    if (at >= r->kept || scores != r->scores) return SKIVE_OK;
    const float *x = r->rows + at * scores;
    for (int64_t i = 0; i < scores; i++) {
        const double d = (double)row[i] - (double)x[i];
        r->signal += (double)x[i] * (double)x[i];
        r->noise += d * d;
    }
    r->kl += divergence(r->original.output.kind, x, row, scores);
    return SKIVE_OK;
}

static skive_status fill(running *r, const skive_eval_report *now, skive_sensitivity_row *row) {
    skive_paired_report paired;
    SKV_TRY(skive_compare_paired(r->s->ctx, &r->original, now, &paired));
    row->drop = skive_eval_drop(&r->original, now);
    row->low = now->hit ? -100 * paired.high : NAN;
    row->high = now->hit ? -100 * paired.low : NAN;
    row->loss = now->loss - r->original.loss;
    row->sqnr = r->noise > 0 ? 10 * log10(r->signal / r->noise) : INFINITY;
    if (has_divergence(&r->original)) row->kl = r->kl > 0 ? r->kl / (double)r->kept : 0;
    return SKIVE_OK;
}

static skive_status measure_row(running *r, size_t layer, size_t grid, skv_progress *progress) {
    skv_sensing *s = r->s;
    const size_t i = layer * s->n_grids + grid;
    skive_sensitivity_row *row = &s->report.rows[i];
    skive_graph *trial = NULL;
    skive_eval_report now = {0};
    char part[96];
    (void)snprintf(part, sizeof part, "%.60s, %.30s", row->node, row->grid);
    SKV_TRY(make_trial(s, layer, grid, &trial));
    r->at = 0;
    r->signal = r->noise = r->kl = 0;
    const skv_evaluation how = {.see = hold,
                                .user = r,
                                .within = progress,
                                .before = (double)(i + 1) * (double)s->report.samples,
                                .part = part};
    skive_status status = skv_evaluate(s->ctx, trial, s->samples, &how, &now);
    skive_graph_free(trial);
    if (status == SKIVE_OK) status = fill(r, &now, row);
    skive_eval_report_free(s->ctx, &now);
    return status;
}

static skive_status measure_original(running *r, skv_progress *progress) {
    skv_sensing *s = r->s;
    const skv_evaluation how = {.tell = true, .see = keep, .user = r, .within = progress, .part = "float"};
    SKV_TRY(skv_evaluate(s->ctx, s->g, s->samples, &how, &r->original));
    s->report.compared = r->kept;
    s->report.original = r->original.hit ? 100 * r->original.accuracy : 100 * r->original.r2;
    s->report.loss = r->original.loss;
    if (r->kept < r->at)
        skv_note(s->ctx, "the outputs of %lld of %lld samples fit into 64 MiB: SQNR and divergence are those of these",
                 (long long)r->kept, (long long)r->at);
    return SKIVE_OK;
}

static skive_status run(running *r, double (*harm)(const skive_sensitivity_row *row)) {
    skv_sensing *s = r->s;
    skive_dataset_info info;
    skv_progress progress;
    if (s->inputs) SKV_TRY(calibrate(s));
    skive_dataset_get_info(s->samples, &info);
    s->report.samples = (int64_t)info.count;
    skv_progress_start(&progress, s->ctx, "sensitivity", (double)info.count * (double)(s->n * s->n_grids + 1));
    SKV_TRY(measure_original(r, &progress));
    if (isnan(harm(&(skive_sensitivity_row){.loss = 0, .kl = has_divergence(&r->original) ? 0 : NAN})))
        return skv_fail_at(s->ctx, SKIVE_ERR_UNSUPPORTED, "by",
                           "the output '%s' is neither of classes nor of labels, and has no divergence: take the loss",
                           r->original.output.name);
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < s->n_grids; k++) {
            SKV_TRY(measure_row(r, i, k, &progress));
            skive_sensitivity_row *row = &s->report.rows[i * s->n_grids + k];
            const double x = harm(row);
            row->harm = x > 0 ? x : 0;
            s->report.n_rows++;
        }
    }
    return SKIVE_OK;
}

skive_status skv_sensing_run(skv_sensing *s, double (*harm)(const skive_sensitivity_row *row)) {
    running r = {.s = s};
    const skive_status status = run(&r, harm);
    skive_eval_report_free(s->ctx, &r.original);
    skv_free(s->ctx, r.rows);
    return status;
}

static double increase(const skive_sensitivity_row *row) { return row->loss; }

static skive_status measure(skv_sensing *s) { return skv_sensing_run(s, increase); }

const skv_sensitivity skv_sensitivity_loss = {
    .name = "loss",
    .brief = "the increase of the loss, measured",
    .quantizes_inputs = true,
    .measure = measure,
};
