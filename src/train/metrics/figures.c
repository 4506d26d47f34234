/* The figures of a report, their intervals, and those of two reports held against one another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "train/metrics/choices.h"
#include "train/evaluation/statistics.h"

#define SKV_KIND    metric
#define SKV_ARRAY   metrics
#define SKV_RECORDS "train/metrics.inc"
#include "base/records.h"
SKV_FAMILY(metric, metrics, "figure")

size_t skive_metric_count(void) { return skv_metric_count(); }
const char *skive_metric_name(size_t i) { return skv_metric_name(i); }
const char *skive_metric_brief(size_t i) { return i < skv_metric_count() ? metrics[i]->brief : NULL; }

static const double z95 = 1.959963984540054;
enum { MOST_RESAMPLES = 100000, CHUNK = 64 };
static const double most_work = 1e10; /* numbers looked at for one interval */

static bool names(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) return true;
    return false;
}

bool skv_figures_costly(const char *named) {
    for (size_t i = 0; i < SKV_LENGTH(metrics); i++)
        if (metrics[i]->costly && names(named, metrics[i]->name)) return true;
    return false;
}

/* ---- values ---- */

bool skv_metric_has(const skv_metric *m, const skv_scored *s) {
    return (m->tasks & SKV_OF(s->task)) != 0 && (!m->fits || m->fits(s));
}

static double of_mean(const skv_metric *m, double mean) { return m->of_mean ? m->of_mean(mean) : mean; }

static double value_of(const skv_metric *m, const skv_scored *s, const uint32_t *weight, double *scratch) {
    double sum = 0, n = 0;
    if (m->value) return m->value(s, weight, scratch);
    for (int64_t i = 0; i < s->n; i++) {
        const double x = m->sample(s, i), w = skv_weight_of(weight, i);
        if (isnan(x)) continue;
        sum += w * x;
        n += w;
    }
    return n > 0 ? of_mean(m, sum / n) : (double)NAN;
}

static size_t scratch_size(const skv_scored *s) {
    return 3 * (size_t)(s->columns > s->classes ? s->columns : s->classes) + 64;
}

static bool wanted(const skv_metric *m, const skv_scored *s, bool all, const char *named) {
    if (!skv_metric_has(m, s)) return false;
    return skv_choice_of(s, m) || names(named, m->name) || (!m->on_request && (all || !m->costly));
}

skive_status skv_figures_make(skive_context *ctx, skive_eval_report *r, bool all, const char *named) {
    skv_scored *s = r->scored;
    double *scratch = NULL;
    skive_status status = SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, SKV_LENGTH(metrics), sizeof *r->figures, &r->figures));
    SKV_TRY(skv_alloc_array(ctx, scratch_size(s), sizeof *scratch, &scratch));
    for (size_t i = 0; i < SKV_LENGTH(metrics); i++) {
        const skv_metric *m = metrics[i];
        if (!wanted(m, s, all, named)) continue;
        if (m->prepare) SKV_GO(status, done, m->prepare(ctx, s));
        const skv_metric_choice *choice = skv_choice_of(s, m);
        skive_figure *f = &r->figures[r->n_figures++];
        *f = (skive_figure){.name = m->name,
                            .title = choice && choice->title[0]  ? choice->title
                                     : m->many && s->columns > 1 ? m->many
                                                                 : m->title,
                            .value = value_of(m, s, NULL, scratch),
                            .low = NAN,
                            .high = NAN,
                            .less_is_better = m->less,
                            .form = m->form};
        if (m->field) memcpy((char *)r + m->field, &f->value, sizeof f->value);
    }
done:
    skv_free(ctx, scratch);
    return status;
}

/* ---- the bootstrap ---- */

typedef struct job {
    const skv_metric *metric;
    double *values; /* [resamples] */
    double *low, *high;
    const char **interval;
} job;

typedef struct bootstrap {
    skive_context *ctx;
    const skv_scored *a, *b; /* b NULL: of a alone; otherwise of b minus a */
    size_t resamples;
    uint64_t seed;
    job jobs[64];
    size_t n_jobs;
    double *scratch;   /* [threads][scratch_size] */
    uint32_t *weights; /* [threads][n] */
    double *numbers;   /* [jobs][resamples] */
} bootstrap;

static void one_resample(bootstrap *b, size_t resample, uint32_t *weight, double *scratch) {
    const size_t n = (size_t)b->a->n;
    memset(weight, 0, n * sizeof *weight);
    for (size_t i = 0; i < n; i++) weight[skv_rng_below(b->seed, resample, i, n)]++;
    for (size_t k = 0; k < b->n_jobs; k++) {
        const skv_metric *m = b->jobs[k].metric;
        double x = value_of(m, b->a, weight, scratch);
        if (b->b) x = value_of(m, b->b, weight, scratch) - x;
        b->jobs[k].values[resample] = x;
    }
}

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Between the two nearest, by their distance. */
static double quantile(const double *sorted, size_t n, double q) {
    const double at = q * (double)(n - 1);
    const size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static void read_interval(const bootstrap *b, job *j) {
    size_t n = 0;
    for (size_t i = 0; i < b->resamples; i++)
        if (!isnan(j->values[i])) j->values[n++] = j->values[i];
    if (n < b->resamples - b->resamples / 10) return;
    qsort(j->values, n, sizeof *j->values, rising);
    *j->low = quantile(j->values, n, 0.025);
    *j->high = quantile(j->values, n, 0.975);
    *j->interval = "bootstrap";
}

static skive_status run_bootstrap(bootstrap *b) {
    const size_t n = (size_t)b->a->n, room = scratch_size(b->a), room_b = b->b ? scratch_size(b->b) : 0;
    const size_t wide = room > room_b ? room : room_b;
    const int threads = skv_threads(b->ctx);
    skv_progress progress;
    if (b->n_jobs == 0 || b->resamples == 0 || n < 2) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(b->ctx, wide * (size_t)threads, sizeof *b->scratch, &b->scratch));
    SKV_TRY(skv_alloc_array(b->ctx, n * (size_t)threads, sizeof *b->weights, &b->weights));
    SKV_TRY(skv_alloc_array(b->ctx, b->n_jobs * b->resamples, sizeof *b->numbers, &b->numbers));
    for (size_t k = 0; k < b->n_jobs; k++) b->jobs[k].values = b->numbers + k * b->resamples;
    skv_progress_start(&progress, b->ctx, "intervals", (double)b->resamples);
    for (size_t from = 0; from < b->resamples; from += CHUNK) {
        const size_t to = from + CHUNK < b->resamples ? from + CHUNK : b->resamples;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int t = 0; t < threads; t++)
            for (size_t i = from + (size_t)t; i < to; i += (size_t)threads)
                one_resample(b, i, b->weights + n * (size_t)t, b->scratch + wide * (size_t)t);
        SKV_TRY(skv_progress_at(&progress, (double)to, "%zu of %zu resamples", to, b->resamples));
    }
    for (size_t k = 0; k < b->n_jobs; k++) read_interval(b, &b->jobs[k]);
    return SKIVE_OK;
}

static void end_bootstrap(bootstrap *b) {
    skv_free(b->ctx, b->scratch);
    skv_free(b->ctx, b->weights);
    skv_free(b->ctx, b->numbers);
}

static void add_job(bootstrap *b, const skv_metric *m, double *low, double *high, const char **interval) {
    const bool wide = m->by_column && (m->costly || b->a->task != SKIVE_TASK_CLASSES);
    const double columns = wide ? (double)b->a->columns : 1;
    if (b->resamples == 0 || b->n_jobs == SKV_LENGTH(b->jobs)) return;
    if (m->by_column && b->a->task == SKIVE_TASK_VALUES && !b->a->wanted) return;
    if ((double)b->a->n * columns * (double)b->resamples > most_work) {
        skv_note(b->ctx, "no interval of %s: %zu resamples of %lld samples and %lld columns would take too long",
                 m->title, b->resamples, (long long)b->a->n, (long long)b->a->columns);
        return;
    }
    b->jobs[b->n_jobs++] = (job){.metric = m, .low = low, .high = high, .interval = interval};
}

static skive_status check_resamples(skive_context *ctx, size_t resamples) {
    if (resamples <= MOST_RESAMPLES) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "resamples", "%zu resamples; at most %d", resamples, MOST_RESAMPLES);
}

/* ---- means ---- */

/* Mean of the samples' numbers of b (minus those of a), and the deviation of that mean. */
static void mean_of(const skv_metric *m, const skv_scored *a, const skv_scored *b, double *mean, double *deviation) {
    double sum = 0, squares = 0, n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < a->n; i++) {
            const double x = m->sample(a, i), y = b ? m->sample(b, i) - x : x;
            if (isnan(y)) continue;
            if (pass == 0) {
                sum += y;
                n++;
            } else {
                squares += (y - sum / n) * (y - sum / n);
            }
        }
    }
    *mean = n > 0 ? sum / n : (double)NAN;
    *deviation = n > 1 ? sqrt(squares / (n - 1) / n) : (double)NAN;
}

static void interval_of_mean(const skv_metric *m, const skv_scored *s, skive_figure *f) {
    double mean, deviation;
    if (m->proportion) {
        int64_t right = 0;
        for (int64_t i = 0; i < s->n; i++) right += m->sample(s, i) > 0;
        skv_wilson(right, s->n, &f->low, &f->high);
        f->interval = "wilson";
        return;
    }
    mean_of(m, s, NULL, &mean, &deviation);
    if (isnan(deviation)) return;
    f->low = of_mean(m, mean - z95 * deviation);
    f->high = of_mean(m, mean + z95 * deviation);
    f->interval = "normal";
}

skive_status skive_eval_intervals(skive_context *ctx, skive_eval_report *r, size_t resamples, uint64_t seed) {
    SKV_NEED(ctx, "ctx, report", ctx, r);
    SKV_TRY(check_resamples(ctx, resamples));
    if (!r->scored) return SKIVE_OK;
    bootstrap b = {.ctx = ctx, .a = r->scored, .resamples = resamples, .seed = seed};
    for (size_t i = 0; i < r->n_figures; i++) {
        skive_figure *f = &r->figures[i];
        const skv_metric *m = skv_metric_find(f->name);
        f->low = f->high = NAN;
        f->interval = NULL;
        if (isnan(f->value)) continue;
        if (m->sample)
            interval_of_mean(m, r->scored, f);
        else
            add_job(&b, m, &f->low, &f->high, &f->interval);
    }
    const skive_status status = run_bootstrap(&b);
    end_bootstrap(&b);
    return status;
}

/* ---- two reports ---- */

static void pair_of_means(const skv_metric *m, const skv_scored *a, const skv_scored *b, skive_figure_pair *p) {
    double mean, deviation;
    if (m->proportion) {
        int64_t both = 0, only_a = 0, only_b = 0, neither = 0;
        for (int64_t i = 0; i < a->n; i++) {
            const bool x = m->sample(a, i) > 0, y = m->sample(b, i) > 0;
            both += x && y;
            only_a += x && !y;
            only_b += y && !x;
            neither += !x && !y;
        }
        skv_newcombe_paired(both, only_b, only_a, neither, &p->low, &p->high);
        p->interval = "newcombe";
        return;
    }
    mean_of(m, a, b, &mean, &deviation);
    if (isnan(deviation)) return;
    p->low = mean - z95 * deviation;
    p->high = mean + z95 * deviation;
    p->interval = "normal";
}

static const skive_figure *figure_of(const skive_eval_report *r, const char *name) {
    for (size_t i = 0; i < r->n_figures; i++)
        if (strcmp(r->figures[i].name, name) == 0) return &r->figures[i];
    return NULL;
}

static skive_status check_pair(skive_context *ctx, const skive_eval_report *a, const skive_eval_report *b) {
    if (a->n != b->n)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "evaluations of %lld and %lld samples cannot be paired",
                        (long long)a->n, (long long)b->n);
    if (!a->hit != !b->hit || !a->predicted != !b->predicted || !a->scored || !b->scored)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT,
                        "evaluations of different tasks (classes, labels, values) cannot be paired");
    return SKIVE_OK;
}

skive_status skive_compare_figures(skive_context *ctx, const skive_eval_report *a, const skive_eval_report *b,
                                   size_t resamples, uint64_t seed, skive_figure_pair **out, size_t *n_out) {
    SKV_NEED(ctx, "ctx, a, b, out, n_out", ctx, a, b, out, n_out);
    skive_figure_pair *pairs = NULL;
    size_t n = 0;
    SKV_TRY(check_resamples(ctx, resamples));
    SKV_TRY(check_pair(ctx, a, b));
    bootstrap boot = {.ctx = ctx, .a = a->scored, .b = b->scored, .resamples = resamples, .seed = seed};
    SKV_TRY(skv_alloc_array(ctx, a->n_figures + 1, sizeof *pairs, &pairs));
    for (size_t i = 0; i < a->n_figures; i++) {
        const skive_figure *x = &a->figures[i], *y = figure_of(b, x->name);
        const skv_metric *m = skv_metric_find(x->name);
        if (!y || strcmp(x->title, y->title) != 0) continue; /* with other options it is another figure */
        skive_figure_pair *p = &pairs[n++];
        *p = (skive_figure_pair){.name = x->name,
                                 .title = x->title,
                                 .a = x->value,
                                 .b = y->value,
                                 .difference = y->value - x->value,
                                 .low = NAN,
                                 .high = NAN,
                                 .less_is_better = x->less_is_better,
                                 .form = x->form};
        if (isnan(p->difference)) continue;
        if (m->sample && !m->of_mean)
            pair_of_means(m, a->scored, b->scored, p);
        else
            add_job(&boot, m, &p->low, &p->high, &p->interval);
    }
    const skive_status status = run_bootstrap(&boot);
    end_bootstrap(&boot);
    if (status != SKIVE_OK) {
        skv_free(ctx, pairs);
        return status;
    }
    *out = pairs;
    *n_out = n;
    return SKIVE_OK;
}

void skive_figure_pairs_free(skive_context *ctx, skive_figure_pair *pairs) { skv_free(ctx, pairs); }
