/* Two linear layers in a row become one where their product is smaller than both: factors whose rank is too high for
 * what they save, or that were quantized or trained and are wanted back. */
#include <string.h>

#include "lowrank/lowrank.h"

typedef struct pair {
    skive_node *first, *second;
    int64_t in, between, out, taps; /* taps: of the window, which only one of the two has */
    bool window_first;
} pair;

/* A linear layer that multiplies its first input by a float weight of its own. */
static bool is_linear(const skive_node *n, skv_linear *l) {
    if (!skv_linear_of(n, l) || l->weight != 1 || l->view.data != 0 || l->data_turned) return false;
    const skive_value *v = n->inputs[1];
    return skv_value_is_param(v) && v->type.dtype == SKIVE_F32 && v->n_uses == 1 && !v->output_uses;
}

/* By one matrix. */
static bool is_product(const skive_node *n, skv_linear *l) {
    return is_linear(n, l) && !l->view.windows && n->inputs[1]->type.rank == 2;
}

static bool has_bias(const skive_node *n, const skv_linear *l) {
    return l->bias >= 0 && skv_node_in(n, (size_t)l->bias);
}

/* Of a layer without a bias whose result nothing else reads: what reads it, as its data. */
static skive_node *only_reader(const skive_node *n, const skv_linear *l) {
    const skive_value *y = n->outputs[0];
    return !has_bias(n, l) && y->n_uses == 1 && !y->output_uses && y->uses[0].index == 0 ? y->uses[0].node : NULL;
}

/* Is the weight [out][in]? */
static bool is_turned(const skive_node *n) {
    skv_weight_view view;
    return skv_weight_view_of(n, 1, &view) && view.out_axis == 0;
}

/* [in][out] of a product's weight. */
static double *matrix_of(skive_context *ctx, const skive_node *n, int64_t *in, int64_t *out, skive_status *status) {
    const skive_value *w = n->inputs[1];
    const bool turned = is_turned(n);
    double *m = NULL;
    *in = w->type.dims[turned ? 1 : 0].size;
    *out = w->type.dims[turned ? 0 : 1].size;
    *status = skv_alloc_array(ctx, (size_t)(*in * *out), sizeof *m, &m);
    const float *x = skv_value_tensor(w)->data;
    for (int64_t i = 0; *status == SKIVE_OK && i < *in; i++)
        for (int64_t o = 0; o < *out; o++) m[i * *out + o] = (double)(turned ? x[o * *in + i] : x[i * *out + o]);
    return m;
}

/* A product without a bias whose only reader is another product. */
static bool products(skive_node *n, pair *p) {
    skv_linear l, after;
    if (!is_product(n, &l) || l.weight_factor != 1) return false;
    skive_node *next = only_reader(n, &l);
    if (!next || !is_product(next, &after)) return false;
    *p = (pair){.first = n, .second = next, .in = l.view.in, .between = l.view.out, .out = after.view.out, .taps = 1};
    return p->in * p->out <= p->between * (p->in + p->out);
}

static skive_status merge_products(skive_context *ctx, const pair *p) {
    int64_t in = 0, between = 0, same = 0, out = 0;
    double *a = NULL, *b = NULL, *c = NULL;
    skv_storage *s = NULL;
    skive_status status;
    const bool turned = is_turned(p->second);
    a = matrix_of(ctx, p->first, &in, &between, &status);
    if (status == SKIVE_OK) b = matrix_of(ctx, p->second, &same, &out, &status);
    if (status == SKIVE_OK) status = skv_alloc_array(ctx, (size_t)(in * out), sizeof *c, &c);
    if (status == SKIVE_OK)
        status = skv_multiply(ctx, &(skv_product){.m = in, .n = out, .k = between, .a = a, .b = b, .c = c});
    const int64_t dims[2] = {turned ? out : in, turned ? in : out};
    if (status == SKIVE_OK) status = skv_storage_create(ctx, SKIVE_F32, 2, dims, &s);
    for (int64_t i = 0; status == SKIVE_OK && i < in; i++)
        for (int64_t o = 0; o < out; o++)
            ((float *)s->tensor.data)[turned ? o * in + i : i * out + o] = (float)c[i * out + o];
    if (status == SKIVE_OK) {
        const bool trainable = p->second->inputs[1]->trainable;
        status = skv_value_set_storage(p->second->inputs[1], s);
        if (status != SKIVE_OK) skv_storage_release(s);
        p->second->inputs[1]->trainable = trainable;
    }
    if (status == SKIVE_OK) status = skv_node_set_input(p->second, 0, p->first->inputs[0]);
    skv_free(ctx, a);
    skv_free(ctx, b);
    skv_free(ctx, c);
    return status;
}

/* ---- convolutions ---- */

static bool is_convolution(const skive_node *n, skv_linear *l) {
    return is_linear(n, l) && l->view.windows && l->view.groups == 1 && n->inputs[1]->type.rank >= 3;
}

/* One position, one step, no padding. */
static bool is_point(const skive_node *n) {
    static const char *const lists[] = {"strides", "dilations", "pads"};
    const skive_type *t = &n->inputs[1]->type;
    for (int i = 2; i < t->rank; i++)
        if (t->dims[i].size != 1) return false;
    for (int k = 0; k < 3; k++) {
        size_t count;
        const int64_t *x = skv_attr_ints(n, lists[k], &count);
        for (size_t i = 0; i < count; i++)
            if (x[i] != (k == 2 ? 0 : 1)) return false;
    }
    return true;
}

static bool convolutions(skive_node *n, pair *p) {
    skv_linear l, after;
    if (!is_convolution(n, &l)) return false;
    skive_node *next = only_reader(n, &l);
    if (!next || !is_convolution(next, &after)) return false;
    const bool first = is_point(n), second = is_point(next);
    if (!first && !second) return false;
    const skive_type *a = &n->inputs[1]->type, *b = &next->inputs[1]->type;
    *p = (pair){.first = n,
                .second = next,
                .in = a->dims[1].size,
                .between = a->dims[0].size,
                .out = b->dims[0].size,
                .taps = 1,
                .window_first = !first};
    for (int i = 2; i < a->rank; i++) p->taps *= a->dims[i].size * b->dims[i].size;
    const int64_t before =
        p->window_first ? p->between * (p->in * p->taps + p->out) : p->between * (p->in + p->out * p->taps);
    return p->in * p->out * p->taps <= before;
}

/* The window's attributes go to the node that stays, the second. */
static skive_status take_window(const pair *p) {
    static const char *const lists[] = {"kernel_shape", "strides", "dilations", "pads"};
    if (!p->window_first) return SKIVE_OK;
    for (int i = 0; i < 4; i++) {
        size_t count;
        const int64_t *x = skv_attr_ints(p->first, lists[i], &count);
        if (count)
            SKV_TRY(skv_node_set_attr(p->second, &SKV_INTS(lists[i], x, count)));
        else
            skv_node_remove_attr(p->second, lists[i]);
    }
    const char *pad = skv_attr_string(p->first, "auto_pad", NULL);
    if (!pad) {
        skv_node_remove_attr(p->second, "auto_pad");
        return SKIVE_OK;
    }
    return skv_node_set_attr(p->second, &SKV_STR("auto_pad", pad));
}

static skive_status merge_convolutions(skive_context *ctx, const pair *p) {
    const skive_type *window = &(p->window_first ? p->first : p->second)->inputs[1]->type;
    const float *a = skv_value_tensor(p->first->inputs[1])->data, *b = skv_value_tensor(p->second->inputs[1])->data;
    const int64_t t = p->taps, it = p->in * t;
    int64_t dims[SKIVE_MAX_RANK];
    skv_storage *s = NULL;
    double *row = NULL;
    for (int i = 0; i < window->rank; i++) dims[i] = window->dims[i].size;
    dims[0] = p->out;
    dims[1] = p->in;
    SKV_TRY(skv_alloc_array(ctx, (size_t)it, sizeof *row, &row));
    skive_status status = skv_storage_create(ctx, SKIVE_F32, window->rank, dims, &s);
    for (int64_t o = 0; status == SKIVE_OK && o < p->out; o++) {
        memset(row, 0, (size_t)it * sizeof *row);
        for (int64_t k = 0; k < p->between; k++)
            for (int64_t i = 0; i < p->in; i++)
                for (int64_t x = 0; x < t; x++)
                    row[i * t + x] += p->window_first
                                          ? (double)b[o * p->between + k] * (double)a[(k * p->in + i) * t + x]
                                          : (double)b[(o * p->between + k) * t + x] * (double)a[k * p->in + i];
        for (int64_t i = 0; i < it; i++) ((float *)s->tensor.data)[o * it + i] = (float)row[i];
    }
    skv_free(ctx, row);
    SKV_TRY(status);
    const bool trainable = p->second->inputs[1]->trainable;
    status = skv_value_set_storage(p->second->inputs[1], s);
    if (status != SKIVE_OK) skv_storage_release(s);
    SKV_TRY(status);
    p->second->inputs[1]->trainable = trainable;
    SKV_TRY(take_window(p));
    return skv_node_set_input(p->second, 0, p->first->inputs[0]);
}

skive_status skv_lowrank_merge(skive_graph *g, size_t *merged) {
    *merged = 0;
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < g->n_nodes && !again; i++) {
            pair p;
            const bool product = products(g->nodes[i], &p);
            if (!product && !convolutions(g->nodes[i], &p)) continue;
            SKV_TRY(product ? merge_products(g->ctx, &p) : merge_convolutions(g->ctx, &p));
            SKV_TRY(skive_graph_infer(g));
            skv_graph_sweep(g);
            (*merged)++;
            again = true;
        }
    }
    return SKIVE_OK;
}
