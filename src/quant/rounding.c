/* Going through the layers of a model: rounding and empirical bias correction; see rounding.h. */
#include "quant/rounding.h"

#include <math.h>
#include <string.h>

#include "kernels/sgemm.h"
#include "passes/fuse.h"
#include "quant/equalize.h"

#define SKV_KIND    rounding
#define SKV_ARRAY   all
#define SKV_RECORDS "quant/roundings.inc"
#include "base/records.h"

SKV_FAMILY(rounding, all, "rounding")

skive_status skv_layer_product(skive_context *ctx, int64_t n, int64_t out, int64_t k, const float *x, const float *w,
                               const float *bias, float *y) {
    const int threads = skv_threads(ctx);
    void *scratch = NULL;
    SKV_TRY(skv_alloc(ctx, skv_sgemm_scratch(out, k, threads) + 64, &scratch));
    const skv_sgemm g = {
        .trans_b = true, .m = n, .n = out, .k = k, .a = x, .lda = k, .b = w, .ldb = k, .c = y, .ldc = out, .alpha = 1};
    skv_sgemm_run(&g, threads, scratch);
    skv_free(ctx, scratch);
    for (int64_t i = 0; bias && i < n; i++)
        for (int64_t o = 0; o < out; o++) y[i * out + o] += bias[o];
    return SKIVE_OK;
}

/* ---- one layer ---- */

typedef struct fitting {
    const skv_rounding_job *job;
    skv_layer l;
    skv_gridded *c;
    skv_layer_rows real, seen; /* of the float model, and behind the quantized layers */
    double low, high;          /* the activation's cut */
    float *bias;               /* [groups * out] */
    /* of one group */
    float *w, *rounded;      /* [out][k] */
    int64_t *group;          /* [out][k] */
    int32_t *code, *nearest; /* [out][k] */
    skv_grid_params *before; /* [groups of the grid] */
    float *target, *y;       /* [n][out] */
    double *error[2];        /* [out] of the nearest codes and the others */
    skive_quantize_fit *told;
} fitting;

/* What follows a layer and cuts its outputs. */
static void find_cut(fitting *f) {
    const skive_value *v = f->l.node->outputs[0];
    f->low = -INFINITY;
    f->high = INFINITY;
    if (v->n_uses != 1 || v->output_uses || v->uses[0].index != 0) return;
    const skive_node *n = v->uses[0].node;
    if (skv_node_is(n, SKV_OP_RELU)) f->low = 0;
    if (skv_node_is(n, SKV_OP_CLIP) &&
        (!skv_clip_bound(n, 1, -INFINITY, &f->low) || !skv_clip_bound(n, 2, INFINITY, &f->high))) {
        f->low = -INFINITY;
        f->high = INFINITY;
    }
}

static skive_status open_fitting(fitting *f) {
    skive_context *ctx = f->job->ctx;
    const int64_t n = skv_mul_sat(f->l.out, f->l.k), outputs = skv_mul_sat(f->real.n, f->l.out);
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof(float), &f->w));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof(float), &f->rounded));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof(int64_t), &f->group));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof(int32_t), &f->code));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof(int32_t), &f->nearest));
    SKV_TRY(skv_alloc_array(ctx, (size_t)outputs, sizeof(float), &f->target));
    SKV_TRY(skv_alloc_array(ctx, (size_t)outputs, sizeof(float), &f->y));
    SKV_TRY(skv_alloc_array(ctx, (size_t)f->c->groups + 1, sizeof *f->before, &f->before));
    memcpy(f->before, f->c->params, (size_t)f->c->groups * sizeof *f->before);
    for (int k = 0; k < 2; k++) SKV_TRY(skv_alloc_array(ctx, (size_t)f->l.out, sizeof(double), &f->error[k]));
    SKV_TRY(skv_alloc_array(ctx, (size_t)skv_mul_sat(f->l.groups, f->l.out), sizeof(float), &f->bias));
    const skive_tensor *b = skv_value_tensor(skv_node_in(f->l.node, 2));
    if (b && skive_tensor_count(b) == f->l.groups * f->l.out)
        memcpy(f->bias, b->data, (size_t)(f->l.groups * f->l.out) * sizeof(float));
    return SKIVE_OK;
}

static void close_fitting(fitting *f) {
    skive_context *ctx = f->job->ctx;
    skv_layer_rows_free(ctx, &f->real);
    skv_layer_rows_free(ctx, &f->seen);
    void *const all_of_it[] = {f->w, f->rounded,  f->group,    f->code, f->nearest, f->target,
                               f->y, f->error[0], f->error[1], f->bias, f->before};
    for (size_t i = 0; i < SKV_COUNT(all_of_it); i++) skv_free(ctx, all_of_it[i]);
}

static void read_group(fitting *f, int64_t g) {
    for (int64_t o = 0; o < f->l.out; o++) {
        for (int64_t i = 0; i < f->l.k; i++) {
            const int64_t at = skv_layer_index(&f->l, g, o, i), to = o * f->l.k + i;
            f->w[to] = ((const float *)f->l.w->data)[at];
            f->group[to] = skv_gridded_group(f->c, at);
            f->code[to] = f->nearest[to] = f->c->code[at];
        }
    }
}

static void write_group(fitting *f, int64_t g) {
    for (int64_t o = 0; o < f->l.out; o++)
        for (int64_t i = 0; i < f->l.k; i++) f->c->code[skv_layer_index(&f->l, g, o, i)] = f->code[o * f->l.k + i];
}

static double cut(const fitting *f, double y, bool activation) {
    if (!activation) return y;
    return y < f->low ? f->low : y > f->high ? f->high : y;
}

/* The outputs of codes in f->y, and each channel's squared error. */
static skive_status measure(fitting *f, int64_t g, const int32_t *code, double *error) {
    const bool activation = f->job->rounding && f->job->rounding->activation;
    for (int64_t i = 0; i < f->l.out * f->l.k; i++)
        f->rounded[i] = skv_grid_decode(&f->c->q, &f->c->params[f->group[i]], code[i]);
    SKV_TRY(skv_layer_product(f->job->ctx, f->seen.n, f->l.out, f->l.k, f->seen.x + g * f->seen.n * f->l.k, f->rounded,
                              f->bias + g * f->l.out, f->y));
    for (int64_t o = 0; o < f->l.out; o++) error[o] = 0;
    for (int64_t r = 0; r < f->seen.n; r++) {
        for (int64_t o = 0; o < f->l.out; o++) {
            const double is = cut(f, (double)f->y[r * f->l.out + o], activation);
            const double d = is - cut(f, (double)f->target[r * f->l.out + o], activation);
            error[o] += d * d;
        }
    }
    return SKIVE_OK;
}

/* The nearest codes, and the scales that they had. */
static void put_back(fitting *f, int64_t o) {
    memcpy(f->code + o * f->l.k, f->nearest + o * f->l.k, (size_t)f->l.k * sizeof *f->code);
    for (int64_t i = 0; i < f->l.k; i++) {
        const int64_t group = f->group[o * f->l.k + i];
        f->c->params[group] = f->before[group];
    }
}

static bool changed(const fitting *f, int64_t o) {
    return memcmp(f->code + o * f->l.k, f->nearest + o * f->l.k, (size_t)f->l.k * sizeof *f->code) != 0;
}

/* No output channel gets codes that are worse for it than the nearest; where all have one scale and it was changed, all
 * channels together. */
static void keep_better(fitting *f) {
    const bool together = f->c->q.per == SKV_PER_TENSOR && f->c->params[0].scale != f->before[0].scale;
    double sum[2] = {0};
    for (int64_t o = 0; o < f->l.out; o++)
        for (int k = 0; k < 2; k++) sum[k] += f->error[k][o];
    for (int64_t o = 0; o < f->l.out; o++) {
        const bool worse = together ? !(sum[1] < sum[0]) : !(f->error[1][o] < f->error[0][o]);
        f->told->channels++;
        f->told->kept += worse && changed(f, o);
        f->told->before += f->error[0][o];
        f->told->after += f->error[worse ? 0 : 1][o];
        if (worse) put_back(f, o);
    }
}

static skive_status round_group(fitting *f, int64_t g) {
    const skv_rounding_job *job = f->job;
    const skv_layer_rows *from = job->rounding->of_floats ? &f->real : &f->seen;
    const skv_rounding_task t = {.ctx = job->ctx,
                                 .values = job->values,
                                 .name = f->l.node->name,
                                 .out = f->l.out,
                                 .k = f->l.k,
                                 .n = f->seen.n,
                                 .w = f->w,
                                 .x = f->seen.x + g * f->seen.n * f->l.k,
                                 .target = f->target,
                                 .bias = f->bias + g * f->l.out,
                                 .low = job->rounding->activation ? f->low : -INFINITY,
                                 .high = job->rounding->activation ? f->high : INFINITY,
                                 .grid = f->c,
                                 .group = f->group,
                                 .params = f->c->params,
                                 .code = f->code,
                                 .stream = (uint64_t)f->l.node->id * 4096 + (uint64_t)g};
    SKV_TRY(skv_layer_product(job->ctx, from->n, f->l.out, f->l.k, from->x + g * from->n * f->l.k, f->w,
                              f->bias + g * f->l.out, f->target));
    SKV_TRY(measure(f, g, f->nearest, f->error[0]));
    SKV_TRY(job->rounding->round(&t));
    SKV_TRY(measure(f, g, f->code, f->error[1]));
    keep_better(f);
    write_group(f, g);
    return SKIVE_OK;
}

/* The mean of what the float model computes, less that of the codes. */
static skive_status correct_group(fitting *f, int64_t g) {
    const int64_t n = f->seen.n;
    SKV_TRY(skv_layer_product(f->job->ctx, n, f->l.out, f->l.k, f->real.x + g * n * f->l.k, f->w,
                              f->bias + g * f->l.out, f->target));
    SKV_TRY(measure(f, g, f->code, f->error[0]));
    for (int64_t o = 0; o < f->l.out; o++) {
        double sum = 0;
        for (int64_t r = 0; r < n; r++) sum += (double)f->target[r * f->l.out + o] - (double)f->y[r * f->l.out + o];
        f->c->shift[g * f->l.out + o] = (float)(sum / (double)n);
    }
    return SKIVE_OK;
}

static skive_status fit_layer(fitting *f) {
    const skv_rounding_job *job = f->job;
    const bool rounds = job->rounding && job->rounding->round;
    const bool corrects = job->correct && skv_quant_takes_bias(f->l.node);
    find_cut(f);
    SKV_TRY(open_fitting(f));
    if (corrects) SKV_TRY(skv_alloc_array(job->ctx, (size_t)(f->l.groups * f->l.out), sizeof(float), &f->c->shift));
    for (int64_t g = 0; g < f->l.groups; g++) {
        read_group(f, g);
        if (rounds) SKV_TRY(round_group(f, g));
        if (corrects) SKV_TRY(correct_group(f, g));
    }
    skv_gridded_measure(f->c);
    return SKIVE_OK;
}

/* ---- all layers ---- */

/* What the layer reads when those before it, and its input, are quantized. */
static skive_status rows_behind(const skv_rounding_job *job, const bool *before, fitting *f) {
    skive_graph *trial = NULL;
    SKV_TRY(skv_quant_insert_part(job->ctx, job->work, job->o, before, job->points, &trial));
    const skive_value *y = skive_graph_find_value(trial, f->l.node->outputs[0]->name);
    skive_status status =
        y && y->producer ? SKIVE_OK
                         : SKV_FAIL(job->ctx, SKIVE_ERR_INTERNAL, "value '%s' is missing", f->l.node->outputs[0]->name);
    if (status == SKIVE_OK)
        status = skv_layer_rows_take(job->ctx, trial, y->producer->inputs[0]->name, &f->l, job->inputs, job->o,
                                     job->rows, &f->seen);
    skive_graph_free(trial);
    return status;
}

static bool shares_scales(const skv_gridded *a, const skv_gridded *b) {
    return a->groups == b->groups && a->out_axis == b->out_axis && a->in_axis == b->in_axis && a->size == b->size;
}

/* An earlier node that reads the same weight along the same axes, whose codes serve for this one too. */
static const skv_gridded *codes_of_same(const skv_rounding_job *job, skive_node *const *order, uint32_t at) {
    for (uint32_t i = 0; i < at; i++) {
        const skive_node *n = order[i];
        const skv_gridded *c = &job->points->weights[n->id];
        if (job->chosen[n->id] && c->code && n->inputs[1] == order[at]->inputs[1] &&
            shares_scales(c, &job->points->weights[order[at]->id]))
            return c;
    }
    return NULL;
}

static skive_status add_told(const skv_rounding_job *job, const skive_node *n, skive_quantize_fit **out) {
    skive_quantize_report *r = job->report;
    SKV_TRY(skv_grow(job->ctx, &r->fits, r->n_fits, r->n_fits + 1, sizeof *r->fits));
    *out = &r->fits[r->n_fits];
    const char *step = job->rounding->step;
    **out = (skive_quantize_fit){.method = step ? step : job->rounding->name, .alpha = NAN};
    SKV_TRY(skv_strdup(job->ctx, n->name, &(*out)->node));
    r->n_fits++;
    return SKIVE_OK;
}

static skive_status do_layer(const skv_rounding_job *job, skive_node *const *order, uint32_t at, const bool *before) {
    const skive_node *n = order[at];
    skive_quantize_fit nothing = {0};
    fitting f = {.job = job, .c = &job->points->weights[n->id], .told = &nothing};
    const skv_gridded *same = codes_of_same(job, order, at);
    if (!skv_layer_of(n, &f.l)) return SKIVE_OK;
    if (same) {
        memcpy(f.c->code, same->code, (size_t)skive_tensor_count(f.c->t) * sizeof *same->code);
        memcpy(f.c->params, same->params, (size_t)f.c->groups * sizeof *same->params);
        return SKIVE_OK;
    }
    skive_status status = job->rounding && job->rounding->round ? add_told(job, n, &f.told) : SKIVE_OK;
    if (status == SKIVE_OK)
        status =
            skv_layer_rows_take(job->ctx, job->work, n->inputs[0]->name, &f.l, job->inputs, job->o, job->rows, &f.real);
    if (status == SKIVE_OK) status = rows_behind(job, before, &f);
    if (status == SKIVE_OK) status = fit_layer(&f);
    close_fitting(&f);
    return status;
}

skive_status skv_quant_round(const skv_rounding_job *job) {
    skive_node **order = NULL;
    bool *before = NULL;
    skv_progress progress;
    skive_status status;
    uint32_t layers = 0, done = 0;
    SKV_GO(status, done_all, skv_graph_topo(job->work, &order));
    SKV_GO(status, done_all, skv_alloc_array(job->ctx, (size_t)job->work->n_nodes + 1, sizeof *before, &before));
    for (uint32_t i = 0; i < job->work->n_nodes; i++) layers += job->chosen[i] && job->points->weights[i].code;
    skv_progress_start(&progress, job->ctx, job->rounding && job->rounding->round ? "round" : "correct", layers);
    for (uint32_t i = 0; i < job->work->n_nodes; i++) {
        const uint32_t id = order[i]->id;
        if (!job->chosen[id]) continue;
        before[id] = true;
        if (!job->points->weights[id].code) continue;
        SKV_GO(status, done_all, do_layer(job, order, i, before));
        SKV_GO(status, done_all, skv_progress_at(&progress, (double)++done, "%s", order[i]->name));
    }
done_all:
    skv_free(job->ctx, order);
    skv_free(job->ctx, before);
    return status;
}
