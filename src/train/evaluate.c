/* Evaluation of a classifier over a data set, and the paired comparison of two. */
#include <math.h>
#include <string.h>

#include "tensor/tensor.h"
#include "train/statistics.h"
#include "train/train.h"

enum { DEFAULT_BATCH = 100, TOP = 5 };

typedef struct evaluation {
    skive_context *ctx;
    skive_eval_report *r;
    skive_dataset_info info;
    skv_head head;
    skive_plan *plan;
    skive_exec *exec;
    skive_loader *loader;
    int64_t batch, scores; /* scores a sample */
    bool binary;           /* one score for two classes */
    double loss_sum;
} evaluation;

void skive_eval_report_free(skive_context *ctx, skive_eval_report *r) {
    if (!r) return;
    skv_free(ctx, r->confusion);
    skv_free(ctx, r->predicted);
    skv_free(ctx, r->hit);
    skv_free(ctx, r->precision);
    skv_free(ctx, r->recall);
    skv_free(ctx, r->f1);
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

static skive_status make_plan(evaluation *e, const skive_graph *g, int64_t batch) {
    skive_plan_options o = skive_plan_options_default();
    skive_tensor in, out;
    if (g->n_inputs != 1 || g->n_outputs < 1) {
        return SKV_FAIL(e->ctx, SKIVE_ERR_DATA, "evaluation needs a model with one input; this one has %u",
                        g->n_inputs);
    }
    const int64_t fixed = g->inputs[0]->type.rank > 0 ? g->inputs[0]->type.dims[0].size : -1;
    e->batch = fixed >= 0 ? fixed : batch > 0 ? batch : DEFAULT_BATCH;
    o.batch = e->batch;
    SKV_TRY(skive_plan_create(e->ctx, g, &o, &e->plan));
    SKV_TRY(skive_exec_create(e->ctx, e->plan, &e->exec));
    SKV_TRY(skive_exec_input(e->exec, 0, &in));
    SKV_TRY(skive_exec_output(e->exec, e->head.output, &out));
    if (e->batch < 1 || in.dtype != SKIVE_F32 || skive_tensor_count(&in) != e->batch * (int64_t)e->info.sample_size) {
        return skv_fail_at(e->ctx, SKIVE_ERR_DATA, e->info.spec,
                           "%s: a sample has %zu values; the model's input '%s' takes %lld float values a sample",
                           e->info.spec, e->info.sample_size, g->inputs[0]->name,
                           (long long)(skive_tensor_count(&in) / (e->batch < 1 ? 1 : e->batch)));
    }
    e->scores = skive_tensor_count(&out) / e->batch;
    e->binary = e->scores == 1 && e->info.classes <= 2;
    e->r->classes = e->binary ? 2 : e->scores;
    if (out.dtype != SKIVE_F32 || e->scores * e->batch != skive_tensor_count(&out) || !rows_of(&out, e->batch) ||
        e->r->classes < e->info.classes) {
        char text[SKV_DIMS_TEXT + 16];
        return skv_fail_at(e->ctx, SKIVE_ERR_DATA, e->info.spec,
                           "%s has %lld classes; output '%s', %s for %lld samples, is not scores for them",
                           e->info.spec, (long long)e->info.classes, e->head.value->name,
                           skv_tensor_text(&out, text, sizeof text), (long long)e->batch);
    }
    return SKIVE_OK;
}

static skive_status allocate(evaluation *e) {
    skive_eval_report *r = e->r;
    const size_t k = (size_t)r->classes;
    r->n = (int64_t)e->info.count;
    SKV_TRY(skv_alloc_array(e->ctx, k * k, sizeof *r->confusion, &r->confusion));
    SKV_TRY(skv_alloc_array(e->ctx, e->info.count + 1, sizeof *r->predicted, &r->predicted));
    SKV_TRY(skv_alloc_array(e->ctx, e->info.count + 1, sizeof *r->hit, &r->hit));
    SKV_TRY(skv_alloc_array(e->ctx, k, sizeof *r->precision, &r->precision));
    SKV_TRY(skv_alloc_array(e->ctx, k, sizeof *r->recall, &r->recall));
    return skv_alloc_array(e->ctx, k, sizeof *r->f1, &r->f1);
}

static double log_sum_exp(const float *row, int64_t k) {
    double top = (double)row[0], sum = 0;
    for (int64_t c = 1; c < k; c++) top = fmax(top, (double)row[c]);
    for (int64_t c = 0; c < k; c++) sum += exp((double)row[c] - top);
    return top + log(sum);
}

static bool has_nan(const float *row, int64_t k) {
    for (int64_t c = 0; c < k; c++) {
        if (isnan(row[c])) return true;
    }
    return false;
}

/* -log of a probability. A true class of probability 0, which a quantized softmax gives, counts as 1e-7. */
static double minus_log(double p) { return -log(p > 0 ? p : 1e-7); }

/* softplus(-z): -log(sigmoid(z)) */
static double minus_log_sigmoid(double z) { return z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z; }

/* The cross-entropy of one sample by what the output is. */
static double loss_of(const evaluation *e, const float *row, int64_t label) {
    const double x = (double)row[e->binary ? 0 : label];
    switch (e->head.kind) {
    case SKIVE_OUTPUT_PROBABILITIES: return minus_log(e->binary && label == 0 ? 1 - x : x);
    case SKIVE_OUTPUT_LOG_PROBABILITIES: return -x;
    case SKIVE_OUTPUT_SIGMOID:
    case SKIVE_OUTPUT_SIGMOID_LOGITS: {
        const bool odds = e->head.kind == SKIVE_OUTPUT_SIGMOID_LOGITS;
        double sum = 0;
        for (int64_t c = 0; c < e->scores; c++) {
            const double z = (double)row[c];
            const bool yes = e->binary ? label == 1 : c == label;
            sum += odds ? minus_log_sigmoid(yes ? z : -z) : minus_log(yes ? z : 1 - z);
        }
        return sum / (double)e->scores;
    }
    default: return log_sum_exp(row, e->r->classes) - x;
    }
}

static void score(evaluation *e, const float *row, int64_t label, size_t index) {
    skive_eval_report *r = e->r;
    int64_t best = 0, above = 0;
    if (e->binary) {
        best = row[0] >= (e->head.kind == SKIVE_OUTPUT_SIGMOID_LOGITS ? 0.0f : 0.5f);
        r->predicted[index] = (int32_t)best;
        r->hit[index] = best == label;
        r->correct += best == label;
        r->correct_top5++;
        r->confusion[label * 2 + best]++;
        e->loss_sum += loss_of(e, row, label);
        return;
    }
    for (int64_t c = 1; c < r->classes; c++) best = row[c] > row[best] ? c : best;
    for (int64_t c = 0; c < r->classes; c++) above += row[c] > row[label];
    r->predicted[index] = (int32_t)best;
    r->hit[index] = best == label;
    r->correct += best == label;
    r->correct_top5 += above < TOP;
    r->confusion[label * r->classes + best]++;
    e->loss_sum += loss_of(e, row, label);
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
        SKV_TRY(skive_loader_next(e->loader, &batch));
        if (batch.end) break;
        memcpy(in.data, batch.x.data, skive_tensor_bytes(&batch.x)); /* rows behind a short last batch are ignored */
        SKV_TRY(skive_exec_run(e->exec));
        const int64_t *labels = batch.y.data;
        for (size_t i = 0; i < batch.count; i++) {
            const float *row = (const float *)out.data + (int64_t)i * e->scores;
            /* Which class comes first among such scores means nothing; counted as any, it would look like an answer. */
            if (has_nan(row, e->scores)) {
                return skv_fail_at(e->ctx, SKIVE_ERR_NUMERIC, e->info.spec, "the model gives NaN for sample %zu of %s",
                                   batch.indices[i], e->info.spec);
            }
            score(e, row, labels[i], batch.indices[i]);
        }
        done += (int64_t)batch.count;
        SKV_TRY(
            skv_progress_at(&progress, (double)done, "accuracy %.2f %%", 100.0 * (double)e->r->correct / (double)done));
    }
    e->r->seconds = skv_now() - started;
    return SKIVE_OK;
}

static void summarize(evaluation *e) {
    skive_eval_report *r = e->r;
    const double n = r->n ? (double)r->n : 1;
    r->accuracy = (double)r->correct / n;
    r->top5 = (double)r->correct_top5 / n;
    r->loss = e->loss_sum / n;
    r->samples_per_second = r->seconds > 0 ? n / r->seconds : 0;
    skv_wilson(r->correct, r->n, &r->low, &r->high);
    for (int64_t c = 0; c < r->classes; c++) {
        int64_t truth = 0, predicted = 0;
        for (int64_t k = 0; k < r->classes; k++) {
            truth += r->confusion[c * r->classes + k];
            predicted += r->confusion[k * r->classes + c];
        }
        const double right = (double)r->confusion[c * r->classes + c];
        r->precision[c] = predicted ? right / (double)predicted : NAN;
        r->recall[c] = truth ? right / (double)truth : NAN;
        r->f1[c] = truth + predicted ? 2 * right / (double)(truth + predicted) : NAN;
    }
}

static skive_status make_loader(evaluation *e, const skive_graph *g, const skive_dataset *dataset) {
    skive_normalization normalization;
    SKV_TRY(skive_model_normalization(g, &normalization));
    skive_loader_options o = skive_loader_options_default();
    o.batch = (size_t)e->batch;
    o.shuffle = false;
    o.normalization = &normalization;
    return skive_loader_create(e->ctx, dataset, &o, &e->loader);
}

skive_status skive_evaluate(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, int64_t batch,
                            skive_eval_report *out) {
    evaluation e = {.ctx = ctx, .r = out};
    skv_targets targets;
    skive_status status;
    *out = (skive_eval_report){0};
    skive_dataset_get_info(dataset, &e.info);
    if (!e.info.labelled) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, e.info.spec, "%s has no class labels to evaluate with", e.info.spec);
    }
    SKV_GO(status, done, skv_targets_of(ctx, dataset, &targets));
    SKV_GO(status, done, skv_head_find(ctx, g, &targets, &e.head));
    SKV_GO(status, done, make_plan(&e, g, batch));
    SKV_GO(status, done, allocate(&e));
    SKV_GO(status, done, make_loader(&e, g, dataset));
    SKV_GO(status, done, run(&e));
    summarize(&e);
done:
    skive_loader_free(e.loader);
    skive_exec_free(e.exec);
    skive_plan_free(e.plan);
    if (status != SKIVE_OK) skive_eval_report_free(ctx, out);
    return status;
}

skive_status skive_compare_paired(skive_context *ctx, const skive_eval_report *a, const skive_eval_report *b,
                                  skive_paired_report *out) {
    skive_paired_report r = {.n = a->n};
    if (a->n != b->n) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "evaluations of %lld and %lld samples cannot be paired",
                        (long long)a->n, (long long)b->n);
    }
    for (int64_t i = 0; i < a->n; i++) {
        r.both += a->hit[i] && b->hit[i];
        r.only_a += a->hit[i] && !b->hit[i];
        r.only_b += !a->hit[i] && b->hit[i];
        r.neither += !a->hit[i] && !b->hit[i];
        r.same_class += a->predicted[i] == b->predicted[i];
    }
    r.difference = b->accuracy - a->accuracy;
    skv_newcombe_paired(r.both, r.only_b, r.only_a, r.neither, &r.low, &r.high);
    r.p_value = skv_mcnemar_exact(r.only_a, r.only_b);
    *out = r;
    return SKIVE_OK;
}
