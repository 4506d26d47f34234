/* Two models side by side on the same batches, each cut behind the value that is looked at. */
#include "probe/paired.h"

#include <math.h>
#include <string.h>

#include "probe/rows.h"

typedef struct side {
    skv_source source;
    skive_plan *plan;
    skive_exec *exec;
    const skive_type *type;
    size_t input; /* of the graph: the value is one, and nothing runs */
    bool is_input;
} side;

typedef struct pairing {
    skive_context *ctx;
    const skv_paired_setup *s;
    side sides[2];
    skv_layer_rows rows;
    skv_rows_room room;
    float *blocks[2]; /* [SKV_ROWS_AT_ONCE][d] */
} pairing;

void skv_paired_free(skive_context *ctx, skv_paired *p) {
    skv_free(ctx, p->xx);
    skv_free(ctx, p->yy);
    skv_free(ctx, p->xy);
    skv_free(ctx, p->x);
    skv_free(ctx, p->y);
    *p = (skv_paired){0};
}

/* Only what computes the value is left of the source's copy of the model. */
static skive_status cut(pairing *p, side *at) {
    skive_graph *g = at->source.graph;
    skive_value *v = skive_graph_find_value(g, p->s->value);
    if (!v)
        return skv_fail_at(p->ctx, SKIVE_ERR_NOT_FOUND, p->s->value, "one of the models has no value '%s'",
                           p->s->value);
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        if (g->inputs[i] != v) continue;
        at->is_input = true;
        at->input = i;
    }
    if (!at->is_input) {
        while (g->n_outputs) SKV_TRY(skv_graph_remove_output(g, g->n_outputs - 1));
        SKV_TRY(skive_graph_add_output(g, v));
        skv_graph_sweep(g);
    }
    SKV_TRY(skive_graph_infer(g));
    at->type = &skive_graph_find_value(g, p->s->value)->type;
    if (at->type->dtype == SKIVE_F32 && skv_type_is_static(at->type)) return SKIVE_OK;
    return skv_fail_at(p->ctx, SKIVE_ERR_SHAPE, p->s->value, "'%s' is not float32, or its shape depends on the data",
                       p->s->value);
}

static skive_status open_side(pairing *p, side *at, const skive_graph *model) {
    const int64_t batch = p->s->samples < 32 ? p->s->samples : 32;
    const skv_source_options how = {.batch = batch, .batches = (p->s->samples + batch - 1) / batch, .seed = p->s->seed};
    const skive_plan_options plan = skive_plan_options_default();
    SKV_TRY(skv_source_open(p->ctx, model, p->s->set, &how, &at->source));
    SKV_TRY(cut(p, at));
    SKV_TRY(skive_plan_create(p->ctx, at->source.graph, &plan, &at->plan));
    return skive_exec_create(p->ctx, at->plan, &at->exec);
}

static void close_side(side *at) {
    skive_exec_free(at->exec);
    skive_plan_free(at->plan);
    skv_source_close(&at->source);
}

static skive_status open(pairing *p, skv_paired *out) {
    skive_context *ctx = p->ctx;
    SKV_TRY(open_side(p, &p->sides[0], p->s->first));
    SKV_TRY(open_side(p, &p->sides[1], p->s->second));
    const skive_type *a = p->sides[0].type, *b = p->sides[1].type;
    bool same = a->rank == b->rank && a->rank > 0;
    for (int i = 0; same && i < a->rank; i++) same = a->dims[i].size == b->dims[i].size;
    if (!same)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, p->s->value, "'%s' has another shape in the other model", p->s->value);
    SKV_TRY(skv_layer_rows_make(ctx, a, p->s->node, &p->rows));
    const size_t d = (size_t)p->rows.d;
    out->d = p->rows.d;
    if (p->rows.groups != 1)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, p->s->value, "'%s' is read in groups", p->s->value);
    SKV_TRY(skv_alloc_array(ctx, d * d, sizeof(double), &out->xx));
    SKV_TRY(skv_alloc_array(ctx, d * d, sizeof(double), &out->yy));
    SKV_TRY(skv_alloc_array(ctx, d * d, sizeof(double), &out->xy));
    SKV_TRY(skv_alloc_array(ctx, d, sizeof(double), &out->x));
    SKV_TRY(skv_alloc_array(ctx, d, sizeof(double), &out->y));
    for (int k = 0; k < 2; k++) SKV_TRY(skv_alloc_array(ctx, SKV_ROWS_AT_ONCE * d, sizeof(float), &p->blocks[k]));
    return skv_rows_room_open(ctx, p->rows.d, skv_threads(ctx), &p->room);
}

/* Fills the inputs and runs; *x: the numbers of the value. ERR_NOT_FOUND: there are no more samples. */
static skive_status run_side(pairing *p, side *at, const float **x) {
    const size_t n = skive_plan_input_count(at->plan);
    skive_tensor *inputs = NULL, view = {0};
    int64_t run = 0;
    skive_status status = skv_alloc_array(p->ctx, n + 1, sizeof *inputs, &inputs);
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) status = skive_exec_input(at->exec, i, &inputs[i]);
    if (status == SKIVE_OK) status = skv_source_feed(&at->source, &run, inputs, n);
    if (status == SKIVE_OK && at->is_input) view = inputs[at->input];
    skv_free(p->ctx, inputs);
    SKV_TRY(status);
    if (!at->is_input) {
        SKV_TRY(skive_exec_run(at->exec));
        SKV_TRY(skive_exec_output(at->exec, 0, &view));
    }
    *x = view.data;
    return SKIVE_OK;
}

static void add_mean(const float *rows, int64_t n, int64_t d, double *to) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < d; k++) to[k] += (double)rows[i * d + k];
}

static void add(const pairing *p, const float *x, const float *y, skv_paired *out) {
    const int64_t count = p->rows.count;
    for (int64_t first = 0; first < count; first += SKV_ROWS_AT_ONCE) {
        const int64_t n = count - first < SKV_ROWS_AT_ONCE ? count - first : SKV_ROWS_AT_ONCE;
        const float *a = skv_layer_rows_show(&p->rows, x, 0, first, n, p->blocks[0]);
        const float *b = skv_layer_rows_show(&p->rows, y, 0, first, n, p->blocks[1]);
        skv_rows_multiply(&p->room, a, a, n, out->xx);
        skv_rows_multiply(&p->room, b, b, n, out->yy);
        skv_rows_multiply(&p->room, a, b, n, out->xy);
        add_mean(a, n, out->d, out->x);
        add_mean(b, n, out->d, out->y);
    }
    out->rows += (double)count;
}

/* Sums become means. */
static skive_status settle(const pairing *p, skv_paired *out) {
    double *const all[] = {out->xx, out->yy, out->xy, out->x, out->y};
    if (!(out->rows > 0)) return SKV_FAIL(p->ctx, SKIVE_ERR_DATA, "there are no samples to look at");
    for (size_t k = 0; k < SKV_LENGTH(all); k++) {
        const int64_t n = k < 3 ? out->d * out->d : out->d;
        for (int64_t i = 0; i < n; i++) {
            all[k][i] /= out->rows;
            if (!isfinite(all[k][i]))
                return skv_fail_at(p->ctx, SKIVE_ERR_NUMERIC, p->s->value,
                                   "the input '%s' of a layer is not finite on the data", p->s->value);
        }
    }
    return SKIVE_OK;
}

static skive_status run_all(pairing *p, skv_paired *out) {
    SKV_TRY(skv_source_rewind(&p->sides[0].source));
    SKV_TRY(skv_source_rewind(&p->sides[1].source));
    for (int64_t i = 0; i < p->sides[0].source.batches; i++) {
        const float *x, *y;
        SKV_TRY(skv_check_interrupt(p->ctx));
        const skive_status status = run_side(p, &p->sides[0], &x);
        if (status == SKIVE_ERR_NOT_FOUND) break;
        SKV_TRY(status);
        SKV_TRY(run_side(p, &p->sides[1], &y));
        add(p, x, y, out);
    }
    return settle(p, out);
}

skive_status skv_paired_run(skive_context *ctx, const skv_paired_setup *s, skv_paired *out) {
    pairing p = {.ctx = ctx, .s = s};
    *out = (skv_paired){0};
    skive_status status = open(&p, out);
    if (status == SKIVE_OK) status = run_all(&p, out);
    for (int k = 0; k < 2; k++) {
        close_side(&p.sides[k]);
        skv_free(ctx, p.blocks[k]);
    }
    skv_rows_room_close(ctx, &p.room);
    if (status != SKIVE_OK) skv_paired_free(ctx, out);
    return status;
}
