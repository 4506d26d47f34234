/* Channels that do nothing: removed without a budget and without a change of what the network gives.  A channel is a
 * set of slices (skive/coupling.h). Inside it slices only make slices of the same channel; it ends where a node sums
 * over it. It can go when each of these ends   - reads it with weights that are all zero, or   - reads nothing but
 * zero, which interval analysis proves from the parameters (graph/bounds.h), or   - reads one and the same number
 * everywhere, which the bias of that node takes over: exactly where weights and bias     are integers, with a rounding
 * otherwise. Behind zero padding there is another number at the edges. What goes may leave others without readers, so
 * it is repeated until nothing more goes. */
#include <math.h>
#include <string.h>

#include "graph/bounds.h"
#include "graph/internal.h"
#include "graph/linear.h"
#include "ops/common_nn.h"
#include "prune/prune.h"
#include "tensor/tensor.h"

/* An end that reads a number other than zero: the bias takes it over. */
typedef struct fold {
    skive_node *node;
    skv_weight_view view;
    size_t weight;                /* input of the node */
    skive_value *data, *bias;     /* what it reads; the parameter of its bias */
    const skive_tensor *integers; /* of the weights, when all is done in integers */
    skive_value *quantized;       /* of the data */
} fold;

typedef struct removal {
    skv_pruning *p;
    skive_graph *graph;
    skv_bounds *bounds;
    skive_coupling *coupling;
    const skive_channel_slice *slices; /* of the channel that is looked at */
    size_t n_slices;
    size_t *stamp, now; /* [values] which channel had a slice of it last */
    int64_t *left;      /* [values][SKIVE_MAX_RANK] */
    fold *folds;
    uint32_t n_folds, folds_capacity;
    size_t *chosen, n_chosen;
    int64_t kept_constant, folded; /* of the round */
    skive_node *bare;              /* it would take something over, but has no bias */
} removal;

static double tolerance_of(const removal *r) { return r->p->o->zeros ? 1e-6 : r->p->o->tolerance; }

/* ---- what an end reads ---- */

static bool has_slice(const removal *r, const skive_value *v, int axis) {
    for (size_t i = 0; i < r->n_slices; i++)
        if (r->slices[i].value == v && r->slices[i].axis == axis) return true;
    return false;
}

/* Is every slice of a value in the channel zero? */
static bool is_zero(const removal *r, const skive_value *v) {
    if (!skv_dtype_is_float(v->type.dtype)) return false;
    for (size_t i = 0; i < r->n_slices; i++) {
        const skive_channel_slice *s = &r->slices[i];
        if (s->value != v) continue;
        const skv_range x = skv_bounds_at(r->bounds, v, s->axis, s->index);
        if (x.lo != 0 || x.hi != 0) return false;
    }
    return true;
}

static bool is_one_number(const removal *r, const skive_value *v, int axis, int64_t index) {
    const skv_range x = skv_bounds_at(r->bounds, v, axis, index);
    const double most = fabs(x.lo) > fabs(x.hi) ? fabs(x.lo) : fabs(x.hi);
    const bool whole = !skv_dtype_is_float(v->type.dtype);
    return isfinite(most) && x.hi - x.lo <= (whole ? 0 : tolerance_of(r) * most);
}

/* ---- numbers that a bias takes over ---- */

static int64_t data_channel(const fold *f, int64_t m, int64_t j) {
    const int64_t per_group = f->view.out / (f->view.groups > 0 ? f->view.groups : 1);
    return (per_group > 0 ? m / per_group : 0) * f->view.in + j;
}

/* DequantizeLinear of a constant or of computed integers, with scales that are constants and one zero point. */
static const skive_node *dequantizer(const removal *r, const skive_value *v) {
    const skive_node *n = v ? v->producer : NULL;
    if (!skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) || skv_attr_int(n, "block_size", 0) != 0) return NULL;
    if (!skv_bounds_constant(r->bounds, n->inputs[1])) return NULL;
    return !skv_node_in(n, 2) || skv_bounds_constant(r->bounds, n->inputs[2]) ? n : NULL;
}

static double number_at(const skive_tensor *t, int64_t i) {
    if (!t) return 0;
    const int64_t n = skive_tensor_count(t);
    return n > 0 ? skv_load_f64(t->dtype, t->data, (size_t)(n > 1 && i < n ? i : 0)) : 0;
}

/* The bias is stored in steps of the data's scale times the weights'. */
static bool steps_agree(const removal *r, const skive_node *x, const skive_node *w, const skive_node *b,
                        int64_t m_all) {
    const skive_tensor *sx = skv_bounds_constant(r->bounds, x->inputs[1]),
                       *sw = skv_bounds_constant(r->bounds, w->inputs[1]),
                       *sb = skv_bounds_constant(r->bounds, b->inputs[1]);
    if (skive_tensor_count(sx) != 1) return false;
    if (skive_tensor_count(sw) != 1 && skive_tensor_count(sw) != m_all) return false;
    if (skive_tensor_count(sb) != 1 && skive_tensor_count(sb) != m_all) return false;
    for (int64_t m = 0; m < m_all; m++) {
        const double step = number_at(sx, 0) * number_at(sw, m);
        if (!(fabs(number_at(sb, m) / step - 1) < 1e-6)) return false;
    }
    return true;
}

/* Only this node reads it, so that it can be changed. */
static bool is_own(const skive_value *v) { return v->n_uses == 1 && v->output_uses == 0; }

static bool fold_integers(const removal *r, fold *f) {
    const skive_value *w = f->node->inputs[f->weight], *b = skv_node_in(f->node, 2);
    const skive_node *dx = dequantizer(r, f->data), *dw = dequantizer(r, w), *db = b ? dequantizer(r, b) : NULL;
    if (!dx || !dw || !db || !is_own(b) || !is_own(db->inputs[0])) return false;
    const skive_tensor *bias = skv_value_tensor(db->inputs[0]);
    f->integers = skv_value_tensor(dw->inputs[0]);
    if (!f->integers || !bias || bias->dtype != SKIVE_I32 || skive_tensor_count(bias) != f->view.out) return false;
    if (number_at(skv_bounds_constant(r->bounds, skv_node_in(db, 2)), 0) != 0) return false;
    if (!steps_agree(r, dx, dw, db, f->view.out)) return false;
    f->quantized = dx->inputs[0];
    f->bias = db->inputs[0];
    return true;
}

static bool fold_reals(const removal *r, fold *f) {
    skive_value *b = skv_node_in(f->node, 2);
    const skive_tensor *bias = b ? skv_value_tensor(b) : NULL;
    if (tolerance_of(r) <= 0) return false;
    if (b && (!bias || bias->dtype != SKIVE_F32 || !is_own(b) || skive_tensor_count(bias) != f->view.out)) return false;
    f->bias = b;
    return f->data->type.dtype == SKIVE_F32;
}

/* Can the bias of the node take over what it reads of the channel? */
static bool can_fold(removal *r, skive_node *n, size_t weight, const skv_weight_view *view, fold *out) {
    skv_linear l;
    if (!skv_linear_channels(n, &l) || l.weight != (int)weight || view->data < 0 || view->data_axis < 0) return false;
    /* Each result sums over the whole window, or over all of one matrix. */
    if (view->windows ? skv_conv_pads(n) : n->inputs[weight]->type.rank != 2) return false;
    *out = (fold){.node = n, .view = *view, .weight = weight, .data = n->inputs[view->data]};
    if (!skv_bounds_constant(r->bounds, n->inputs[weight])) return false;
    if (!fold_integers(r, out)) {
        out->integers = NULL;
        out->quantized = NULL;
        if (!fold_reals(r, out)) return false;
    }
    const skive_value *v = out->quantized ? out->quantized : out->data;
    for (size_t i = 0; i < r->n_slices; i++) {
        const skive_channel_slice *s = &r->slices[i];
        if (s->value == out->data && s->axis == view->data_axis && !is_one_number(r, v, s->axis, s->index))
            return false;
    }
    if (!out->bias) r->bare = n;
    return out->bias != NULL;
}

/* What element (m, j, tap) of the weights times what stands at its input comes to, in steps of the bias. */
static double share_of(const removal *r, const fold *f, const skive_tensor *w, int64_t at, int64_t m, int64_t j) {
    const int axis = f->view.data_axis;
    const int64_t c = data_channel(f, m, j);
    if (!f->quantized) {
        const skv_range x = skv_bounds_at(r->bounds, f->data, axis, c);
        return skv_load_f64(w->dtype, w->data, (size_t)at) * (x.lo / 2 + x.hi / 2);
    }
    const skive_node *dx = f->data->producer, *dw = f->node->inputs[f->weight]->producer;
    const double zx = number_at(skv_bounds_constant(r->bounds, skv_node_in(dx, 2)), 0),
                 zw = number_at(skv_bounds_constant(r->bounds, skv_node_in(dw, 2)), m);
    return (skv_bounds_at(r->bounds, f->quantized, axis, c).lo - zx) *
           (skv_load_f64(w->dtype, w->data, (size_t)at) - zw);
}

/* Sums over the channel's slices of the weights, [out]. */
static skive_status sum_shares(const removal *r, const fold *f, double *sum) {
    const skive_tensor *w = f->integers ? f->integers : skv_bounds_constant(r->bounds, f->node->inputs[f->weight]);
    int64_t strides[SKIVE_MAX_RANK];
    skv_dims_strides(w->rank, w->dims, strides);
    const int64_t n = skive_tensor_count(w);
    bool *gone = NULL; /* [inputs] */
    SKV_TRY(skv_alloc_array(r->p->ctx, (size_t)w->dims[f->view.in_axis] + 1, sizeof *gone, &gone));
    for (size_t i = 0; i < r->n_slices; i++) {
        const skive_channel_slice *s = &r->slices[i];
        if (s->value == f->node->inputs[f->weight] && s->axis == f->view.in_axis) gone[s->index] = true;
    }
    for (int64_t at = 0; at < n; at++) {
        const int64_t m = at / strides[f->view.out_axis] % w->dims[f->view.out_axis],
                      j = at / strides[f->view.in_axis] % w->dims[f->view.in_axis];
        if (gone[j]) sum[m] += share_of(r, f, w, at, m, j);
    }
    skv_free(r->p->ctx, gone);
    return SKIVE_OK;
}

/* A bias of zeros for the node, which the next round can add to. */
static skive_status make_bias(removal *r) {
    const skive_value *y = r->bare->outputs[0];
    const int64_t n = y->type.dims[1].size;
    skive_value *bias = NULL;
    skv_storage *storage = NULL;
    const char *name = NULL;
    SKV_TRY(skv_graph_unique_name(r->graph, r->bare->name, &name));
    SKV_TRY(skv_storage_create(r->p->ctx, SKIVE_F32, 1, &n, &storage));
    memset(storage->tensor.data, 0, skive_tensor_bytes(&storage->tensor));
    const skive_status status = skv_graph_new_param(r->graph, name, storage, &bias);
    if (status != SKIVE_OK) skv_storage_release(storage);
    SKV_TRY(status);
    bias->trainable = true;
    return skv_node_set_input(r->bare, 2, bias);
}

/* *fits is false if an integer of the bias would not fit its type; without `change` that is all that is done. */
static skive_status apply(removal *r, fold *f, bool change, bool *fits) {
    double *sum = NULL;
    *fits = true;
    SKV_TRY(skv_alloc_array(r->p->ctx, (size_t)f->view.out + 1, sizeof *sum, &sum));
    skive_status status = sum_shares(r, f, sum);
    const skive_tensor *now = skv_value_tensor(f->bias);
    for (int64_t m = 0; m < f->view.out && f->integers && status == SKIVE_OK; m++) {
        const double next = skv_load_f64(now->dtype, now->data, (size_t)m) + sum[m];
        *fits = *fits && fabs(next) < 2147483647.0;
    }
    if (*fits && change && status == SKIVE_OK) status = skv_storage_make_unique(r->p->ctx, &f->bias->storage);
    for (int64_t m = 0; m < f->view.out && *fits && change && status == SKIVE_OK; m++) {
        skive_tensor *t = &f->bias->storage->tensor;
        skv_store_f64(t->dtype, t->data, (size_t)m, skv_load_f64(t->dtype, t->data, (size_t)m) + sum[m]);
    }
    skv_free(r->p->ctx, sum);
    return status;
}

/* ---- the ends of a channel ---- */

/* Are the weights with which the node reads the channel all zero? */
static bool weights_are_zero(const removal *r, const skive_value *weight, int in_axis) {
    for (size_t i = 0; i < r->n_slices; i++) {
        const skive_channel_slice *s = &r->slices[i];
        if (s->value != weight || s->axis != in_axis) continue;
        const skv_range x = skv_bounds_at(r->bounds, weight, in_axis, s->index);
        if (!skv_bounds_constant(r->bounds, weight) || x.lo != 0 || x.hi != 0) return false;
    }
    return true;
}

static skive_status add_fold(removal *r, const fold *f) {
    SKV_TRY(skv_reserve(r->p->ctx, &r->folds, r->n_folds, &r->folds_capacity, sizeof *f));
    r->folds[r->n_folds++] = *f;
    return SKIVE_OK;
}

/* A node that multiplies the channel with weights and sums over it. */
static skive_status end_at_weights(removal *r, skive_node *n, size_t i, const skv_weight_view *view, bool *can) {
    fold f;
    if (weights_are_zero(r, n->inputs[i], view->in_axis)) return SKIVE_OK;
    if (view->data >= 0 && is_zero(r, n->inputs[view->data])) return SKIVE_OK;
    *can = can_fold(r, n, i, view, &f);
    return *can ? add_fold(r, &f) : SKIVE_OK;
}

static bool in_channel(const removal *r, const skive_value *v) { return r->stamp[v->id] == r->now; }

static bool makes_slices(const removal *r, const skive_node *n) {
    for (uint32_t k = 0; k < n->n_outputs; k++)
        if (n->outputs[k] && in_channel(r, n->outputs[k])) return true;
    return false;
}

/* Index by index, or by moving elements: what it makes of the channel is in the channel. */
static bool stays_inside(const removal *r, const skive_node *n) {
    if (!makes_slices(r, n)) return false;
    return n->op && !SKV_NODE_IS_ANY(n, SKV_OP_GEMM, SKV_OP_MAT_MUL);
}

static skive_status end_at(removal *r, skive_node *n, bool *can) {
    bool weighted = false;
    for (uint32_t i = 0; i < n->n_inputs && *can; i++) {
        skv_weight_view view;
        if (!n->inputs[i] || skv_input_role(n, i) != SKV_ROLE_WEIGHT || !skv_weight_view_of(n, i, &view)) continue;
        if (!in_channel(r, n->inputs[i]) || !skv_bounds_constant(r->bounds, n->inputs[i])) continue;
        weighted = true;
        if (view.in_axis >= 0 && has_slice(r, n->inputs[i], view.in_axis)) SKV_TRY(end_at_weights(r, n, i, &view, can));
    }
    if (weighted || stays_inside(r, n)) return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs && *can; i++) {
        const skive_value *v = n->inputs[i];
        if (v && in_channel(r, v) && !skv_bounds_constant(r->bounds, v)) *can = is_zero(r, v);
    }
    return SKIVE_OK;
}

/* Is the channel one number where it is made, although it is not where it ends? */
static bool is_constant_somewhere(const removal *r) {
    for (size_t i = 0; i < r->n_slices; i++) {
        const skive_channel_slice *s = &r->slices[i];
        const bool computed = !skv_bounds_constant(r->bounds, s->value) && s->value->producer;
        if (computed && is_one_number(r, s->value, s->axis, s->index)) return true;
    }
    return false;
}

static bool leaves_some(const removal *r) {
    for (size_t i = 0; i < r->n_slices; i++) {
        const skive_channel_slice *s = &r->slices[i];
        size_t same = 0;
        for (size_t k = i; k < r->n_slices && r->slices[k].value == s->value; k++) same += r->slices[k].axis == s->axis;
        if (r->left[(size_t)s->value->id * SKIVE_MAX_RANK + (size_t)s->axis] <= (int64_t)same) return false;
    }
    return true;
}

/* All of the channel's ends; *can: it may go, and r->folds says what biases take over. */
static skive_status look_at(removal *r, size_t i, bool *can) {
    int family;
    skive_coupling_get(r->coupling, i, &r->slices, &r->n_slices, &family);
    r->now = i + 1;
    r->n_folds = 0;
    *can = !skive_coupling_mixes(r->coupling, i) && leaves_some(r);
    for (size_t k = 0; k < r->n_slices; k++) {
        for (size_t s = 0; s < r->p->o->n_skip; s++)
            *can = *can && strcmp(r->p->o->skip[s], r->slices[k].value->name) != 0;
        r->stamp[r->slices[k].value->id] = r->now;
    }
    for (size_t k = 0; k < r->n_slices && *can; k++) {
        const skive_value *v = r->slices[k].value;
        if (k > 0 && r->slices[k - 1].value == v) continue;
        for (uint32_t u = 0; u < v->n_uses && *can; u++) SKV_TRY(end_at(r, v->uses[u].node, can));
    }
    return SKIVE_OK;
}

/* A node reads two values of one channel: it must not be folded twice. */
static bool folded_before(const removal *r, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (r->folds[k].node == r->folds[i].node && r->folds[k].weight == r->folds[i].weight) return true;
    return false;
}

static skive_status take(removal *r, size_t i) {
    bool fits = true;
    for (size_t k = 0; k < r->n_folds && fits; k++) SKV_TRY(apply(r, &r->folds[k], false, &fits));
    if (!fits) return SKIVE_OK; /* all of them, or none */
    for (size_t k = 0; k < r->n_folds; k++)
        if (!folded_before(r, k)) SKV_TRY(apply(r, &r->folds[k], true, &fits));
    r->folded += r->n_folds > 0;
    r->chosen[r->n_chosen++] = i;
    for (size_t k = 0; k < r->n_slices; k++)
        r->left[(size_t)r->slices[k].value->id * SKIVE_MAX_RANK + (size_t)r->slices[k].axis]--;
    return SKIVE_OK;
}

/* ---- rounds ---- */

static skive_status open_round(removal *r) {
    skive_context *ctx = r->p->ctx;
    const size_t values = r->graph->n_values;
    SKV_TRY(skv_bounds_create(r->graph, &r->bounds));
    SKV_TRY(skive_coupling_create(r->graph, &r->coupling));
    SKV_TRY(skv_alloc_array(ctx, values + 1, sizeof *r->stamp, &r->stamp));
    SKV_TRY(skv_alloc_array(ctx, values * SKIVE_MAX_RANK + 1, sizeof *r->left, &r->left));
    SKV_TRY(skv_alloc_array(ctx, skive_coupling_count(r->coupling) + 1, sizeof *r->chosen, &r->chosen));
    for (size_t v = 0; v < values; v++)
        for (int d = 0; d < r->graph->values[v]->type.rank; d++)
            r->left[v * SKIVE_MAX_RANK + (size_t)d] = r->graph->values[v]->type.dims[d].size;
    return SKIVE_OK;
}

static void close_round(removal *r) {
    skive_context *ctx = r->p->ctx;
    skv_bounds_free(r->bounds);
    skive_coupling_free(r->coupling);
    skv_free(ctx, r->stamp);
    skv_free(ctx, r->left);
    skv_free(ctx, r->chosen);
    skv_free(ctx, r->folds);
}

static skive_status round_of(skv_pruning *p, bool *again, int64_t *constant) {
    removal r = {.p = p, .graph = p->work};
    skive_status status = open_round(&r);
    for (size_t i = 0; status == SKIVE_OK && i < skive_coupling_count(r.coupling); i++) {
        bool can;
        status = look_at(&r, i, &can);
        if (status == SKIVE_OK && can) status = take(&r, i);
        if (status == SKIVE_OK && !can) r.kept_constant += is_constant_somewhere(&r);
    }
    p->report.removed += (int64_t)r.n_chosen;
    p->report.folded += r.folded;
    *constant = r.kept_constant;
    *again = r.n_chosen > 0 || r.bare;
    if (status == SKIVE_OK && r.n_chosen > 0)
        status = skive_graph_remove_channels(r.graph, r.coupling, r.chosen, r.n_chosen);
    else if (status == SKIVE_OK && r.bare)
        status = make_bias(&r);
    close_round(&r);
    return status;
}

skive_status skv_prune_dead(skv_pruning *p) {
    int64_t constant = 0, merged = 1, alike = 0;
    const char *why = NULL;
    while (merged > 0) {
        bool again = true;
        while (again) SKV_TRY(round_of(p, &again, &constant));
        merged = 0;
        if (p->o->lossless) SKV_TRY(skv_prune_twins(p, &merged, &alike, &why));
        p->report.removed += merged;
        p->report.merged += merged;
    }
    p->report.constant = constant;
    if (p->report.merged > 0)
        skv_note(p->ctx, "%lld of the removed channels gave the same as another one, whose weights have taken theirs",
                 (long long)p->report.merged);
    if (alike > 0)
        skv_note(p->ctx, "%lld channel%s the same as another one, but stay%s: %s", (long long)alike,
                 alike == 1 ? " gives" : "s give", alike == 1 ? "s" : "", why);
    if (p->report.removed == 0)
        skv_note(p->ctx,
                 "no channel does nothing: the model stays as it is; zeros in it are not removed by themselves");
    if (p->report.folded > 0)
        skv_note(p->ctx, "%lld of the removed channels gave one number other than zero, which the next bias has taken",
                 (long long)p->report.folded);
    if (constant > 0)
        skv_note(p->ctx,
                 "%lld channel%s one number where made, but stay%s: zero padding, a product without bias, or rounding "
                 "would show the difference",
                 (long long)constant, constant == 1 ? " is" : "s are", constant == 1 ? "s" : "");
    return SKIVE_OK;
}
