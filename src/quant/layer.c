/* Layers as matrices, and rows of their inputs; see layer.h. */
#include "quant/layer.h"

#include <string.h>

#include "ops/conv/common_conv.h"
#include "probe/stateless.h"
#include "tensor/tensor.h"

#define MOST_BYTES ((size_t)256 << 20)
#define STREAM     0x726f7773 /* of the positions */

bool skv_layer_of(const skive_node *n, skv_layer *out) {
    skv_layer *l = out;
    *l = (skv_layer){.node = n, .w = skv_value_tensor(skv_node_in(n, 1))};
    if (!skv_quant_is_product(n) || !l->w || l->w->dtype != SKIVE_F32) return false;
    if (!skv_weight_view_of(n, 1, &l->view) || l->view.out_axis < 0 || l->view.in_axis < 0) return false;
    l->groups = l->view.groups > 1 ? l->view.groups : 1;
    l->out = l->view.out / l->groups;
    l->k = l->view.out > 0 ? skive_tensor_count(l->w) / l->view.out : 0;
    return l->out > 0 && l->k > 0;
}

int64_t skv_layer_index(const skv_layer *l, int64_t group, int64_t out, int64_t k) {
    if (l->view.out_axis == 0) return (group * l->out + out) * l->k + k;
    return k * l->view.out + out; /* a matrix [k][out] */
}

/* ---- inputs ---- */

void skv_inputs_free(skive_context *ctx, skv_inputs *k) {
    for (size_t i = 0; k->items && i < k->n * k->n_inputs; i++) skive_tensor_free(ctx, &k->items[i]);
    skv_free(ctx, k->items);
    *k = (skv_inputs){0};
}

static skive_status keep_one(skive_context *ctx, skv_inputs *k, const skive_tensor *inputs, size_t *bytes) {
    const size_t at = k->n * k->n_inputs;
    SKV_TRY(skv_grow(ctx, &k->items, at, at + k->n_inputs, sizeof *k->items));
    for (size_t i = 0; i < k->n_inputs; i++) k->items[at + i] = (skive_tensor){0};
    k->n++;
    for (size_t i = 0; i < k->n_inputs; i++) {
        SKV_TRY(skive_tensor_copy(ctx, &inputs[i], &k->items[at + i]));
        *bytes += skive_tensor_bytes(&inputs[i]);
    }
    return SKIVE_OK;
}

static skive_status read_all(skive_context *ctx, const skive_quantize_options *o, skive_feed_fn feed, void *user,
                             int64_t most, skive_tensor *inputs, skv_inputs *out) {
    const int64_t runs = o->samples / o->batch + (o->samples % o->batch != 0);
    skv_calibration_data sorting = {0};
    size_t bytes = 0;
    skv_quant_start_sorting(&sorting, runs);
    for (int64_t i = 0; i < runs && (int64_t)out->n < most; i++) {
        const skive_status status = feed(user, i, inputs, out->n_inputs);
        if (status == SKIVE_ERR_NOT_FOUND) break;
        SKV_TRY(status);
        if (skv_quant_holds_out(&sorting, i)) continue;
        SKV_TRY(keep_one(ctx, out, inputs, &bytes));
        if (bytes + bytes / out->n <= MOST_BYTES) continue;
        skv_note(ctx, "%zu samples are used for what is done layer by layer: more do not fit into %zu MiB",
                 out->n * (size_t)o->batch, MOST_BYTES >> 20);
        break;
    }
    return out->n ? SKIVE_OK : SKV_FAIL(ctx, SKIVE_ERR_DATA, "there are no calibration samples");
}

skive_status skv_inputs_keep(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                             skive_feed_fn feed, void *user, int64_t most, skv_inputs *out) {
    const skive_plan_options p = skv_quant_plan_options(o);
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor *inputs = NULL;
    skive_status status;
    *out = (skv_inputs){.n_inputs = g->n_inputs};
    SKV_GO(status, done, skive_plan_create(ctx, g, &p, &plan));
    SKV_GO(status, done, skive_exec_create(ctx, plan, &exec));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_inputs + 1, sizeof *inputs, &inputs));
    for (uint32_t i = 0; i < g->n_inputs; i++) SKV_GO(status, done, skive_exec_input(exec, i, &inputs[i]));
    status = read_all(ctx, o, feed, user, most, inputs, out);
done:
    skv_free(ctx, inputs);
    skive_exec_free(exec);
    skive_plan_free(plan);
    if (status != SKIVE_OK) skv_inputs_free(ctx, out);
    return status;
}

/* ---- rows ---- */

typedef struct gathering {
    const skv_layer *l;
    const skv_inputs *inputs;
    skv_conv_shape shape; /* of a convolution */
    bool conv;
    int64_t positions, each; /* in a run: all, and those taken */
    skv_layer_rows *rows;
} gathering;

/* One window of a convolution: [c / groups][taps] of each group, zeros where it leaves the plane. */
static void take_window(const gathering *t, const float *x, int64_t position, int64_t row) {
    const skv_geometry *g = &t->shape.g;
    const int64_t outputs = skv_volume(g->out), plane = skv_volume(g->in), taps = skv_volume(g->kernel);
    const int64_t c_each = t->shape.c / t->shape.groups;
    const float *sample = x + position / outputs * t->shape.c * plane;
    const skv_window w = skv_window_at(g, position % outputs);
    for (int64_t c = 0; c < t->shape.c; c++) {
        float *to = t->rows->x + (c / c_each * t->rows->n + row) * t->l->k + c % c_each * taps;
        memset(to, 0, (size_t)taps * sizeof *to);
        for (int64_t d = w.lo[0]; d < w.hi[0]; d++)
            for (int64_t h = w.lo[1]; h < w.hi[1]; h++) {
                const float *from = sample + c * plane + skv_window_row(g, &w, d, h);
                for (int64_t v = w.lo[2]; v < w.hi[2]; v++)
                    to[(d * g->kernel[1] + h) * g->kernel[2] + v] = from[v * g->dilation[2]];
            }
    }
}

static void take_run(const gathering *t, const float *x, int64_t run) {
    for (int64_t i = 0; i < t->each; i++) {
        const int64_t row = run * t->each + i;
        const int64_t at = t->each == t->positions
                               ? i
                               : (int64_t)skv_rng_below(STREAM, (uint64_t)run, (uint64_t)i, (uint64_t)t->positions);
        if (t->conv)
            take_window(t, x, at, row);
        else
            memcpy(t->rows->x + row * t->l->k, x + at * t->l->k, (size_t)t->l->k * sizeof *x);
    }
}

/* Each run has rows of its own. */
static skive_status add_run(const skv_reduction *r, void *state, const skv_seen *seen) {
    (void)state;
    take_run(r->item->user, seen->x, seen->run);
    return SKIVE_OK;
}
static const skv_reducer gather = {
    .name = "rows", .brief = "what a layer multiplies its weights by", SKV_STATELESS, .add = add_run};

static skive_status feed_kept(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    const gathering *t = user;
    if (*run >= (int64_t)t->inputs->n) return SKIVE_ERR_NOT_FOUND;
    const skive_tensor *from = &t->inputs->items[(size_t)*run * t->inputs->n_inputs];
    for (size_t i = 0; i < n_inputs; i++) memcpy(inputs[i].data, from[i].data, skive_tensor_bytes(&inputs[i]));
    return SKIVE_OK;
}

/* Sizes, with the shape of a run. */
static skive_status open_rows(skive_context *ctx, gathering *t, int rank, const int64_t *dims, int64_t wanted) {
    const skv_layer *l = t->l;
    int64_t count = 1;
    for (int d = 0; d < rank; d++) count = skv_mul_sat(count, dims[d]);
    t->conv = l->view.windows;
    t->positions = count / l->k;
    if (t->conv) {
        SKV_TRY(skv_conv_shape_make(ctx, l->node, rank, dims, l->w->rank, l->w->dims, &t->shape));
        t->positions = skv_mul_sat(t->shape.n, skv_volume(t->shape.g.out));
    }
    const int64_t runs = (int64_t)t->inputs->n;
    const int64_t row = skv_mul_sat(skv_mul_sat(l->groups, l->k), (int64_t)sizeof(float));
    const int64_t room = (int64_t)MOST_BYTES / row;
    if (wanted > room) wanted = room;
    t->each = (wanted + runs - 1) / runs;
    if (t->each > t->positions) t->each = t->positions;
    if (t->each < 1) t->each = 1;
    t->rows->n = t->each * runs;
    return skv_alloc_array(ctx, (size_t)skv_mul_sat(t->rows->n, skv_mul_sat(l->groups, l->k)), sizeof(float),
                           &t->rows->x);
}

/* A copy that computes nothing but the value. */
static skive_status only(skive_context *ctx, const skive_graph *g, const char *value, skive_graph **out) {
    SKV_TRY(skive_graph_copy(ctx, g, out));
    while ((*out)->n_outputs) SKV_TRY(skv_graph_remove_output(*out, (*out)->n_outputs - 1));
    SKV_TRY(skive_graph_add_output(*out, skive_graph_find_value(*out, value)));
    (void)skv_graph_sweep(*out);
    return skive_graph_infer(*out);
}

static skive_status run_graph(skive_context *ctx, const skive_graph *g, const char *value, gathering *t,
                              const skive_quantize_options *o, int64_t wanted) {
    const skv_probe_item item = {.value = value, .of = SKV_OF_VALUE, .axis = SKV_IN_ALL, .reducer = &gather, .user = t};
    const skv_probe_setup setup = {
        .graph = g, .items = &item, .n_items = 1, .plan = skv_quant_plan_options(o), .runs = (int64_t)t->inputs->n};
    const skv_probe_pass pass = {.feed = feed_kept, .user = t, .runs = (int64_t)t->inputs->n};
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skv_probe *probe = NULL;
    skive_tensor view;
    skive_status status;
    /* The shape of a run, which a model may leave open. */
    SKV_GO(status, done, skive_plan_create(ctx, g, &setup.plan, &plan));
    SKV_GO(status, done, skive_exec_create(ctx, plan, &exec));
    SKV_GO(status, done, skive_exec_output(exec, 0, &view));
    SKV_GO(status, done, open_rows(ctx, t, view.rank, view.dims, wanted));
    SKV_GO(status, done, skv_probe_open(ctx, &setup, &probe));
    status = skv_probe_run(probe, &pass, NULL);
done:
    skv_probe_free(probe);
    skive_exec_free(exec);
    skive_plan_free(plan);
    return status;
}

skive_status skv_layer_rows_take(skive_context *ctx, const skive_graph *g, const char *value, const skv_layer *l,
                                 const skv_inputs *inputs, const skive_quantize_options *o, int64_t wanted,
                                 skv_layer_rows *out) {
    gathering t = {.l = l, .inputs = inputs, .rows = out};
    skive_graph *part = NULL;
    skive_status status = SKIVE_OK;
    *out = (skv_layer_rows){0};
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        if (strcmp(g->inputs[i]->name, value) != 0) continue;
        const skive_tensor *first = &inputs->items[i];
        status = open_rows(ctx, &t, first->rank, first->dims, wanted);
        for (size_t r = 0; status == SKIVE_OK && r < inputs->n; r++)
            take_run(&t, inputs->items[r * inputs->n_inputs + i].data, (int64_t)r);
        return status;
    }
    status = only(ctx, g, value, &part);
    if (status == SKIVE_OK) status = run_graph(ctx, part, value, &t, o, wanted);
    skive_graph_free(part);
    if (status != SKIVE_OK) skv_layer_rows_free(ctx, out);
    return status;
}

void skv_layer_rows_free(skive_context *ctx, skv_layer_rows *r) {
    skv_free(ctx, r->x);
    *r = (skv_layer_rows){0};
}
