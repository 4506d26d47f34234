/* Pairs of layers; see pairs.h. */
#include "quant/pairs.h"

#include <string.h>

#include "graph/linear.h"
#include "ops/common_shape.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

static bool own_param(const skive_value *v) {
    return v && skv_value_is_param(v) && v->type.dtype == SKIVE_F32 && v->n_uses == 1 && v->output_uses == 0;
}

/* A product of data and an own weight, its bias if any an own one. */
static bool is_layer(const skive_node *n, skv_weight_view *view) {
    if (!skv_quant_is_product(n) || n->domain[0] || !own_param(skv_node_in(n, 1)) || !n->inputs[0] ||
        n->inputs[0]->storage)
        return false;
    skv_linear l;
    if (!skv_linear_of(n, &l) || l.weight != 1 || l.view.out_axis < 0 || l.view.data != 0) return false;
    *view = l.view;
    if (!view->windows && n->inputs[1]->type.rank != 2) return false;
    const skive_value *b = skv_node_in(n, 2);
    if (b && (!own_param(b) || skv_type_count(&b->type) != view->out)) return false;
    return !l.data_turned && l.weight_factor == 1 && (!b || l.bias_factor == 1);
}

static int positive_axis(int axis, const skive_value *v) { return axis < 0 ? axis + v->type.rank : axis; }

typedef struct walk {
    skive_context *ctx;
    skv_pair *p;
    bool clipped;
    const char *clip;
} walk;

/* f(s x) = s f(x) for s > 0, channel by channel. */
static bool passes_factors(const skive_node *n, int axis) {
    if (SKV_NODE_IS_ANY(n, SKV_OP_RELU, SKV_OP_LEAKY_RELU, SKV_OP_PRELU, SKV_OP_IDENTITY, SKV_OP_DROPOUT)) return true;
    if (axis != 1) return false;
    if (skv_node_is(n, SKV_OP_PAD))
        return strcmp(skv_attr_string(n, "mode", "constant"), "constant") == 0 && !skv_node_in(n, 2) &&
               !skv_node_in(n, 3);
    return SKV_NODE_IS_ANY(n, SKV_OP_MAX_POOL, SKV_OP_AVERAGE_POOL, SKV_OP_GLOBAL_AVERAGE_POOL,
                           SKV_OP_GLOBAL_MAX_POOL) &&
           n->n_outputs == 1;
}

/* [N, C, ...] to [N, C * positions]; 0: something else. */
static int64_t flattened(const skive_node *n, int axis) {
    const skive_type *x = &n->inputs[0]->type, *y = &n->outputs[0]->type;
    int64_t inner = 1;
    if (!skv_node_reshapes(n) || axis != 1 || y->rank != 2 || x->rank < 2) return 0;
    for (int d = 2; d < x->rank; d++) {
        if (x->dims[d].size < 0) return 0;
        inner = skv_mul_sat(inner, x->dims[d].size);
    }
    return y->dims[1].size == skv_mul_sat(inner, x->dims[1].size) ? inner : 0;
}

/* A shift of the channels by a parameter, behind a product without a bias of its own. */
static skive_value *shift_of(const walk *w, const skive_node *n, const skive_value *v, int axis) {
    if (!skv_node_is(n, SKV_OP_ADD) || w->p->n_shifts == SKV_PAIR_SHIFTS) return NULL;
    skive_value *other = n->inputs[0] == v ? n->inputs[1] : n->inputs[0];
    if (!own_param(other) || other->type.rank < 1 || skv_type_count(&other->type) != w->p->channels) return NULL;
    const int at = axis - v->type.rank + other->type.rank;
    return at >= 0 && other->type.dims[at].size == w->p->channels ? other : NULL;
}

static bool follow(walk *w, const skive_value *v, int axis, int64_t inner, int depth);

static bool follow_use(walk *w, const skive_value *v, const skv_use *use, int axis, int64_t inner, int depth) {
    skive_node *n = use->node;
    skv_weight_view view;
    if (use->index == 0 && is_layer(n, &view)) {
        if (view.data_axis < 0 || view.data_axis != axis || w->p->n_readers == SKV_PAIR_READERS) return false;
        if (view.in * view.groups != w->p->channels * inner || (inner > 1 && view.groups > 1)) return false;
        w->p->readers[w->p->n_readers++] = (skv_pair_reader){n, view, inner};
        return true;
    }
    if (skv_node_is(n, SKV_OP_CLIP) && use->index == 0) {
        w->clipped = true;
        if (!w->clip) w->clip = n->name;
        return false;
    }
    skive_value *shift = inner == 1 ? shift_of(w, n, v, axis) : NULL;
    if (shift) {
        /* Behind anything but the product itself the shift would have to be told apart from its readers'. */
        if (v->n_uses != 1) return false;
        w->p->shifts[w->p->n_shifts++] = shift;
        w->p->direct = false;
        return follow(w, n->outputs[0], axis, inner, depth + 1);
    }
    if (use->index != 0) return false;
    if (passes_factors(n, axis)) {
        const bool relu = skv_node_is(n, SKV_OP_RELU);
        w->p->rectified = w->p->rectified || relu;
        if (!relu) w->p->direct = false;
        return follow(w, n->outputs[0], axis, inner, depth + 1);
    }
    const int64_t positions = inner == 1 ? flattened(n, axis) : 0;
    if (positions < 1) return false;
    w->p->direct = false;
    return follow(w, n->outputs[0], 1, positions, depth + 1);
}

static bool follow(walk *w, const skive_value *v, int axis, int64_t inner, int depth) {
    if (v->output_uses || v->n_uses == 0 || depth > 16) return false;
    bool all = true;
    for (uint32_t i = 0; i < v->n_uses; i++) all = follow_use(w, v, &v->uses[i], axis, inner, depth) && all;
    return all;
}

/* Scale and shift with one number a channel; the channels are the last axis, or of BatchNormalization axis 1. */
static bool is_normalisation(const skive_node *n, int *axis, int64_t *channels) {
    const bool layer = SKV_NODE_IS_ANY(n, SKV_OP_LAYER_NORMALIZATION, SKV_OP_RMS_NORMALIZATION);
    if (!layer && !(skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) && skv_attr_int(n, "training_mode", 0) == 0))
        return false;
    const skive_value *scale = skv_node_in(n, 1), *shift = skv_node_in(n, 2);
    if (!own_param(scale) || scale->type.rank != 1 || n->outputs[0]->type.rank < 2) return false;
    const int at = (int)skv_attr_int(n, "axis", -1);
    if (layer && at != -1 && at != n->outputs[0]->type.rank - 1) return false;
    *axis = layer ? n->outputs[0]->type.rank - 1 : 1;
    *channels = scale->type.dims[0].size;
    return !shift || (own_param(shift) && skv_type_count(&shift->type) == *channels);
}

static bool pair_of(walk *w, skive_node *n, bool normalisations) {
    skv_pair *p = w->p;
    int axis = 0;
    *p = (skv_pair){.from = n, .direct = true};
    w->clipped = false;
    if (is_layer(n, &p->view)) {
        if (p->view.result_axis < 0 && n->outputs[0]->type.rank < 1) return false;
        axis = positive_axis(p->view.result_axis, n->outputs[0]);
        p->channels = p->view.out;
    } else if (normalisations && is_normalisation(n, &axis, &p->channels)) {
        p->normalises = true;
    } else {
        return false;
    }
    if (skv_node_in(n, 2)) p->shifts[p->n_shifts++] = n->inputs[2];
    return follow(w, n->outputs[0], axis, 1, 0) && p->n_readers > 0;
}

skive_status skv_pairs_find(skive_context *ctx, const skive_graph *g, bool normalisations, skv_pairs *out) {
    skive_node **order = NULL;
    skv_pair p;
    walk w = {.ctx = ctx, .p = &p};
    *out = (skv_pairs){0};
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = skv_alloc_array(ctx, (size_t)g->n_nodes + 1, sizeof *out->items, &out->items);
    for (uint32_t i = 0; status == SKIVE_OK && i < g->n_nodes; i++) {
        if (pair_of(&w, order[i], normalisations))
            out->items[out->n++] = p;
        else if (w.clipped && p.channels > 0)
            out->n_clipped++;
        if (!out->clipped) out->clipped = w.clip;
    }
    skv_free(ctx, order);
    return status;
}

void skv_pairs_free(skive_context *ctx, skv_pairs *p) {
    skv_free(ctx, p->items);
    *p = (skv_pairs){0};
}

/* ---- numbers ---- */

static int64_t along(const skive_tensor *w, int axis, int64_t index) {
    for (int d = w->rank - 1; d > axis; d--) index /= w->dims[d];
    return index % w->dims[axis];
}

int64_t skv_pair_output(const skv_weight_view *v, const skive_tensor *w, int64_t index) {
    return along(w, v->out_axis, index);
}

int64_t skv_pair_input(const skv_pair_reader *r, const skive_tensor *w, int64_t index) {
    const skv_weight_view *v = &r->view;
    const int64_t in = along(w, v->in_axis, index);
    if (v->groups <= 1) return in / r->inner;
    return along(w, v->out_axis, index) / (v->out / v->groups) * v->in + in;
}

skive_status skv_own_numbers(skive_graph *g, skive_value *v, float **x) {
    SKV_TRY(skv_storage_make_unique(g->ctx, &v->storage));
    *x = v->storage->tensor.data;
    return SKIVE_OK;
}

skive_status skv_pair_scale(skive_graph *g, const skv_pair *p, const float *s) {
    float *x;
    SKV_TRY(skv_own_numbers(g, p->from->inputs[1], &x));
    const skive_tensor *t = skv_value_tensor(p->from->inputs[1]);
    for (int64_t i = 0; i < skive_tensor_count(t); i++) x[i] /= s[p->normalises ? i : skv_pair_output(&p->view, t, i)];
    for (size_t k = 0; k < p->n_shifts; k++) {
        SKV_TRY(skv_own_numbers(g, p->shifts[k], &x));
        for (int64_t c = 0; c < p->channels; c++) x[c] /= s[c];
    }
    for (size_t k = 0; k < p->n_readers; k++) {
        const skv_pair_reader *r = &p->readers[k];
        SKV_TRY(skv_own_numbers(g, r->node->inputs[1], &x));
        t = skv_value_tensor(r->node->inputs[1]);
        for (int64_t i = 0; i < skive_tensor_count(t); i++) x[i] *= s[skv_pair_input(r, t, i)];
    }
    return SKIVE_OK;
}
