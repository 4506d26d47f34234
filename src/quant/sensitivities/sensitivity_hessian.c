/* Sensitivity by the trace of the Hessian of the loss with respect to each layer's weights (Dong et al. 2020, HAWQ-V2).
 *
 * For an error d of the weights at a minimum, the loss grows by d'Hd / 2. Where the errors of the elements are
 * independent and alike, the mean of that is tr(H) / n * |d|^2 / 2. The trace is that of Hutchinson (1990): for vectors
 * v of random signs the mean of v'Hv is tr(H). One product serves all layers: the signs of different layers are
 * independent, so that the blocks off the diagonal add noise, and no bias. */
#include <math.h>
#include <string.h>

#include "graph/batch.h"
#include "probe/hessian.h"
#include "probe/source.h"
#include "quant/sensitivity.h"

enum { BATCH = 100, STREAM = 901 };

typedef struct tracing {
    skv_sensing *s;
    const char **names; /* [n] */
    float **v;          /* [n][elements] */
    double **hv, *trace;
} tracing;

static int64_t size_of(const tracing *t, size_t i) {
    return skive_tensor_count(skv_value_tensor(t->s->layers[i].value));
}

static skive_status open(tracing *t) {
    const skv_sensing *s = t->s;
    SKV_TRY(skv_alloc_array(s->ctx, s->n + 1, sizeof *t->names, &t->names));
    SKV_TRY(skv_alloc_array(s->ctx, s->n + 1, sizeof *t->v, &t->v));
    SKV_TRY(skv_alloc_array(s->ctx, s->n + 1, sizeof *t->hv, &t->hv));
    SKV_TRY(skv_alloc_array(s->ctx, s->n + 1, sizeof *t->trace, &t->trace));
    for (size_t i = 0; i < s->n; i++) {
        t->names[i] = s->layers[i].value->name;
        SKV_TRY(skv_alloc_array(s->ctx, (size_t)size_of(t, i), sizeof **t->v, &t->v[i]));
        SKV_TRY(skv_alloc_array(s->ctx, (size_t)size_of(t, i), sizeof **t->hv, &t->hv[i]));
    }
    return SKIVE_OK;
}

static void close(tracing *t) {
    skive_context *ctx = t->s->ctx;
    for (size_t i = 0; i < t->s->n; i++) {
        if (t->v) skv_free(ctx, t->v[i]);
        if (t->hv) skv_free(ctx, t->hv[i]);
    }
    skv_free(ctx, t->names);
    skv_free(ctx, t->v);
    skv_free(ctx, t->hv);
    skv_free(ctx, t->trace);
}

/* One random vector: its part of the mean of v'Hv, of each layer. */
static skive_status add_vector(tracing *t, skv_source *source, int64_t which) {
    const skv_sensing *s = t->s;
    const skv_hessian_setup setup = {
        .probe = {.graph = source->graph,
                  .loss = source->loss,
                  .plan = skive_plan_options_default(),
                  .runs = source->batches},
        .pass = {.begin = skv_source_rewind, .feed = skv_source_feed, .user = source, .runs = source->batches},
        .parameters = t->names,
        .vector = (const float *const *)t->v,
        .n = s->n};
    for (size_t i = 0; i < s->n; i++)
        for (int64_t k = 0; k < size_of(t, i); k++)
            t->v[i][k] = skv_rng_below(STREAM + (uint64_t)which, i, (uint64_t)k, 2) ? 1.0f : -1.0f;
    SKV_TRY(skv_hessian_vector(s->ctx, &setup, t->hv));
    for (size_t i = 0; i < s->n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < size_of(t, i); k++) sum += (double)t->v[i][k] * t->hv[i][k];
        t->trace[i] += sum / (double)s->o->vectors;
    }
    return SKIVE_OK;
}

static skive_status find_traces(tracing *t) {
    skv_sensing *s = t->s;
    const int64_t fixed = skv_graph_fixed_batch(s->g);
    const skv_source_options o = {
        .batch = fixed > 0 ? fixed : BATCH, .batches = s->o->batches, .seed = 1, .with_loss = true};
    skv_source source = {0};
    skv_progress progress;
    skive_status status;
    SKV_TRY(skv_source_open(s->ctx, s->g, s->samples, &o, &source));
    s->report.samples = source.batch * source.batches;
    skv_progress_start(&progress, s->ctx, "trace of the Hessian", (double)s->o->vectors);
    for (int64_t i = 0; i < s->o->vectors; i++) {
        SKV_GO(status, done, add_vector(t, &source, i));
        SKV_GO(status, done, skv_progress_at(&progress, (double)i + 1, "%lld samples", (long long)s->report.samples));
    }
    status = SKIVE_OK;
done:
    skv_source_close(&source);
    return status;
}

static void fill(const tracing *t, size_t i, skive_sensitivity_row *row, double error) {
    const double mean = t->trace[i] / (double)row->elements;
    row->trace = t->trace[i];
    row->harm = mean > 0 ? mean * error / 2 : 0; /* a trace below 0 is noise, or no minimum */
}

static skive_status measure(skv_sensing *s) {
    tracing t = {.s = s};
    skive_status status;
    SKV_GO(status, done, open(&t));
    SKV_GO(status, done, find_traces(&t));
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < s->n_grids; k++) {
            skv_gridded c = {0};
            status = skv_sensing_round(s, i, k, t.v[i], &c);
            if (status == SKIVE_OK) fill(&t, i, &s->report.rows[i * s->n_grids + k], c.error);
            skv_gridded_free(s->ctx, &c);
            if (status != SKIVE_OK) goto done;
            s->report.n_rows++;
        }
    }
    s->report.original = s->report.loss = NAN;
done:
    close(&t);
    return status;
}

const skv_sensitivity skv_sensitivity_hessian = {
    .name = "hessian",
    .brief = "half the mean of the trace of the Hessian times the squared error of the weights",
    .measure = measure,
};
