/* Moments without data; see moments.h. */
#include "quant/moments.h"

#include <math.h>
#include <string.h>

#include "passes/fuse.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

#define DEVIATIONS 6.0 /* from the mean: where a channel's numbers are expected (Nagel et al. 2019) */

/* ---- what BatchNormalization says ---- */

static const float *floats(const skive_value *v, int64_t n) {
    const skive_tensor *t = skv_value_tensor(v);
    return t && t->dtype == SKIVE_F32 && skive_tensor_count(t) == n ? t->data : NULL;
}

static skive_status add_normal(skive_context *ctx, const skive_node *bn, skv_normals *s) {
    const int64_t n = bn->inputs[1]->type.rank == 1 ? skv_type_count(&bn->inputs[1]->type) : 0;
    const float *scale = floats(bn->inputs[1], n), *shift = floats(bn->inputs[2], n);
    if (n <= 0 || !scale || !shift) return SKIVE_OK;
    SKV_TRY(skv_grow(ctx, &s->items, s->n, s->n + 1, sizeof *s->items));
    skv_normal *to = &s->items[s->n++];
    *to = (skv_normal){.n = n};
    SKV_TRY(skv_strdup(ctx, bn->outputs[0]->name, &to->value[0]));
    SKV_TRY(skv_strdup(ctx, bn->inputs[0]->name, &to->value[1]));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *to->mean, &to->mean));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *to->deviation, &to->deviation));
    for (int64_t c = 0; c < n; c++) {
        to->mean[c] = shift[c];
        to->deviation[c] = fabsf(scale[c]);
    }
    return SKIVE_OK;
}

skive_status skv_normals_find(skive_context *ctx, const skive_graph *g, skv_normals *out) {
    *out = (skv_normals){0};
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (!skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) || n->n_inputs < 5) continue;
        const skive_status status = add_normal(ctx, n, out);
        if (status == SKIVE_OK) continue;
        skv_normals_free(ctx, out);
        return status;
    }
    return SKIVE_OK;
}

void skv_normals_free(skive_context *ctx, skv_normals *s) {
    for (size_t i = 0; i < s->n; i++) {
        skv_free(ctx, s->items[i].value[0]);
        skv_free(ctx, s->items[i].value[1]);
        skv_free(ctx, s->items[i].mean);
        skv_free(ctx, s->items[i].deviation);
    }
    skv_free(ctx, s->items);
    *s = (skv_normals){0};
}

/* The input of a BatchNormalization that is still there has other statistics. */
skv_normal *skv_normals_of(const skv_normals *s, const skive_value *v) {
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->items[i].value[0], v->name) == 0) return &s->items[i];
    }
    for (uint32_t i = 0; i < v->n_uses; i++)
        if (skv_node_is(v->uses[i].node, SKV_OP_BATCH_NORMALIZATION)) return NULL;
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->items[i].value[1], v->name) == 0) return &s->items[i];
    }
    return NULL;
}

/* ---- through the graph ---- */

static double density(double t) { return exp(-t * t / 2) * 0.3989422804014327; }
static double below(double t) { return erfc(-t * 0.7071067811865476) / 2; }

void skv_cut_normal(double mean, double variance, double low, double high, double *cut_mean, double *cut_variance) {
    const double s = sqrt(variance);
    if (!(s > 0)) {
        *cut_mean = mean < low ? low : mean > high ? high : mean;
        *cut_variance = 0;
        return;
    }
    const double a = (low - mean) / s, b = (high - mean) / s;
    const double under = below(a), over = 1 - below(b), inside = 1 - under - over;
    const double da = isfinite(a) ? density(a) : 0, db = isfinite(b) ? density(b) : 0;
    const double m1 = mean * inside + s * (da - db);
    const double m2 = (mean * mean + variance) * inside + s * (isfinite(a) ? da * (mean + low) : 0) -
                      s * (isfinite(b) ? db * (mean + high) : 0);
    const double first = m1 + (isfinite(low) ? low * under : 0) + (isfinite(high) ? high * over : 0);
    const double second = m2 + (isfinite(low) ? low * low * under : 0) + (isfinite(high) ? high * high * over : 0);
    *cut_mean = first;
    *cut_variance = second - first * first > 0 ? second - first * first : 0;
}

typedef struct following {
    skive_context *ctx;
    const skive_graph *g;
    const skv_normals *s;
    skv_moments *m; /* [values] */
} following;

static skive_status set(following *f, const skive_value *v, int64_t n, skv_moments **out) {
    skv_moments *m = &f->m[v->id];
    *out = m;
    SKV_TRY(skv_alloc_array(f->ctx, (size_t)n + 1, sizeof *m->mean, &m->mean));
    SKV_TRY(skv_alloc_array(f->ctx, (size_t)n + 1, sizeof *m->variance, &m->variance));
    m->n = n;
    m->low = -INFINITY;
    m->high = INFINITY;
    return SKIVE_OK;
}

static void expect(skv_moments *m) {
    m->from = INFINITY;
    m->to = -INFINITY;
    for (int64_t c = 0; c < m->n; c++) {
        const double reach = DEVIATIONS * sqrt(m->variance[c]), from = m->mean[c] - reach, to = m->mean[c] + reach;
        if (from < m->from) m->from = from;
        if (to > m->to) m->to = to;
    }
    if (m->from < m->low) m->from = m->low;
    if (m->to > m->high) m->to = m->high;
}

static skive_status from_normal(following *f, const skive_value *v, const skv_normal *s) {
    skv_moments *m;
    SKV_TRY(set(f, v, s->n, &m));
    for (int64_t c = 0; c < s->n; c++) {
        m->mean[c] = (double)s->mean[c];
        m->variance[c] = (double)s->deviation[c] * (double)s->deviation[c];
    }
    expect(m);
    return SKIVE_OK;
}

static skive_status cut(following *f, const skive_node *n, const skv_moments *x, double low, double high) {
    skv_moments *m;
    SKV_TRY(set(f, n->outputs[0], x->n, &m));
    for (int64_t c = 0; c < x->n; c++)
        skv_cut_normal(x->mean[c], x->variance[c], low, high, &m->mean[c], &m->variance[c]);
    m->low = x->low > low ? x->low : low;
    m->high = x->high < high ? x->high : high;
    m->from = x->from > low ? x->from : low;
    m->to = x->to < high ? x->to : high;
    return SKIVE_OK;
}

/* The same numbers, or means of them, which vary no more. */
static skive_status same(following *f, const skive_node *n, const skv_moments *x, int64_t copies) {
    skv_moments *m;
    SKV_TRY(set(f, n->outputs[0], x->n * copies, &m));
    for (int64_t c = 0; c < m->n; c++) {
        m->mean[c] = x->mean[c / copies];
        m->variance[c] = x->variance[c / copies];
    }
    m->low = x->low;
    m->high = x->high;
    m->from = x->from;
    m->to = x->to;
    return SKIVE_OK;
}

static skive_status sum(following *f, const skive_node *n, const skv_moments *x, const skv_moments *y) {
    skv_moments *m;
    SKV_TRY(set(f, n->outputs[0], x->n, &m));
    for (int64_t c = 0; c < x->n; c++) {
        m->mean[c] = x->mean[c] + y->mean[c];
        m->variance[c] = x->variance[c] + y->variance[c];
    }
    m->low = x->low + y->low;
    m->high = x->high + y->high;
    expect(m);
    return SKIVE_OK;
}

/* A product with a weight: mean w E[x] + b, variance w^2 Var[x]. */
static skive_status product(following *f, const skive_node *n, const skv_moments *x) {
    const skive_tensor *w = skv_value_tensor(skv_node_in(n, 1)), *b = skv_value_tensor(skv_node_in(n, 2));
    skv_pair_reader r = {.inner = 1};
    skv_moments *m;
    if (!w || w->dtype != SKIVE_F32 || !skv_weight_view_of(n, 1, &r.view) || r.view.out_axis < 0 ||
        r.view.in_axis < 0 || r.view.in * (r.view.groups > 1 ? r.view.groups : 1) != x->n)
        return SKIVE_OK;
    SKV_TRY(set(f, n->outputs[0], r.view.out, &m));
    for (int64_t i = 0; i < skive_tensor_count(w); i++) {
        const int64_t to = skv_pair_output(&r.view, w, i), from = skv_pair_input(&r, w, i);
        const double k = (double)((const float *)w->data)[i];
        m->mean[to] += k * x->mean[from];
        m->variance[to] += k * k * x->variance[from];
    }
    for (int64_t c = 0; b && b->dtype == SKIVE_F32 && skive_tensor_count(b) == m->n && c < m->n; c++)
        m->mean[c] += (double)((const float *)b->data)[c];
    expect(m);
    return SKIVE_OK;
}

/* The channels of all inputs, one behind the other. */
static skive_status join(following *f, const skive_node *n) {
    int64_t channels = 0, c = 0;
    skv_moments *m;
    if (skv_axis(skv_attr_int(n, "axis", 0), n->outputs[0]->type.rank) != 1) return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (!n->inputs[i] || f->m[n->inputs[i]->id].n == 0) return SKIVE_OK;
        channels += f->m[n->inputs[i]->id].n;
    }
    SKV_TRY(set(f, n->outputs[0], channels, &m));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skv_moments *x = &f->m[n->inputs[i]->id];
        for (int64_t k = 0; k < x->n; k++, c++) {
            m->mean[c] = x->mean[k];
            m->variance[c] = x->variance[k];
        }
        m->low = i == 0 || x->low < m->low ? x->low : m->low;
        m->high = i == 0 || x->high > m->high ? x->high : m->high;
        m->from = i == 0 || x->from < m->from ? x->from : m->from;
        m->to = i == 0 || x->to > m->to ? x->to : m->to;
    }
    return SKIVE_OK;
}

/* Channels that several of the input, phase by phase, spread over. */
static skive_status mix(following *f, const skive_node *n, const skv_moments *x, int64_t phases) {
    skv_moments *m;
    SKV_TRY(set(f, n->outputs[0], x->n / phases, &m));
    for (int64_t c = 0; c < m->n; c++) {
        double mean = 0, square = 0;
        for (int64_t p = 0; p < phases; p++) {
            const double one = x->mean[p * m->n + c];
            mean += one / (double)phases;
            square += (x->variance[p * m->n + c] + one * one) / (double)phases;
        }
        m->mean[c] = mean;
        m->variance[c] = square > mean * mean ? square - mean * mean : 0;
    }
    m->low = x->low;
    m->high = x->high;
    m->from = x->from;
    m->to = x->to;
    return SKIVE_OK;
}

/* Positions of a plane that Flatten makes inputs of their own. */
static int64_t copies_of(const skive_node *n, int64_t channels) {
    const skive_type *y = &n->outputs[0]->type;
    if (y->rank < 2 || channels < 1 || y->dims[1].size < channels || y->dims[1].size % channels != 0) return 0;
    return y->rank == 2 || y->dims[1].size == channels ? y->dims[1].size / channels : 0;
}

static skive_status see(following *f, const skive_node *n) {
    const skive_value *v = n->outputs[0];
    const skv_normal *s = v ? skv_normals_of(f->s, v) : NULL;
    if (s) return from_normal(f, v, s);
    const skive_value *a = skv_node_in(n, 0), *b = skv_node_in(n, 1);
    const skv_moments *x = a ? &f->m[a->id] : NULL, *y = b ? &f->m[b->id] : NULL;
    if (!v || !x || x->n == 0) return SKIVE_OK;
    double low, high;
    if (skv_node_is(n, SKV_OP_RELU)) return cut(f, n, x, 0, INFINITY);
    if (skv_node_is(n, SKV_OP_CLIP) && skv_clip_bound(n, 1, -INFINITY, &low) && skv_clip_bound(n, 2, INFINITY, &high))
        return cut(f, n, x, low, high);
    if (SKV_NODE_IS_ANY(n, SKV_OP_IDENTITY, SKV_OP_DROPOUT, SKV_OP_MAX_POOL, SKV_OP_AVERAGE_POOL,
                        SKV_OP_GLOBAL_AVERAGE_POOL, SKV_OP_GLOBAL_MAX_POOL))
        return same(f, n, x, 1);
    if (skv_node_reshapes(n) && copies_of(n, x->n) > 0) return same(f, n, x, copies_of(n, x->n));
    if (skv_node_is(n, SKV_OP_ADD) && y && y->n == x->n) return sum(f, n, x, y);
    if (skv_node_is(n, SKV_OP_CONCAT)) return join(f, n);
    if (skv_node_is(n, SKV_OP_SLICE) && v->type.rank > 1 && v->type.dims[1].size == x->n) return same(f, n, x, 1);
    const int64_t block = skv_node_is(n, SKV_OP_DEPTH_TO_SPACE) ? skv_attr_int(n, "blocksize", 1) : 0;
    if (block > 0 && x->n % (block * block) == 0 && strcmp(skv_attr_string(n, "mode", "DCR"), "DCR") == 0)
        return mix(f, n, x, block * block);
    if (skv_quant_is_product(n)) return product(f, n, x);
    return SKIVE_OK;
}

/* Numbers spread evenly over a known range. */
static skive_status know_inputs(following *f, double low, double high) {
    for (uint32_t i = 0; low <= high && i < f->g->n_inputs; i++) {
        const skive_value *v = f->g->inputs[i];
        skv_moments *m;
        if (v->type.dtype != SKIVE_F32 || v->type.rank < 2 || v->type.dims[1].size < 1) continue;
        SKV_TRY(set(f, v, v->type.dims[1].size, &m));
        for (int64_t c = 0; c < m->n; c++) {
            m->mean[c] = (low + high) / 2;
            m->variance[c] = (high - low) * (high - low) / 12;
        }
        m->low = m->from = low;
        m->high = m->to = high;
    }
    return SKIVE_OK;
}

skive_status skv_moments_follow(skive_context *ctx, const skive_graph *g, const skv_normals *s, double low, double high,
                                skv_moments **out) {
    following f = {.ctx = ctx, .g = g, .s = s};
    skive_node **order = NULL;
    *out = NULL;
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *f.m, &f.m);
    if (status == SKIVE_OK) status = know_inputs(&f, low, high);
    for (uint32_t i = 0; status == SKIVE_OK && i < g->n_nodes; i++) status = see(&f, order[i]);
    skv_free(ctx, order);
    if (status == SKIVE_OK)
        *out = f.m;
    else
        skv_moments_free(ctx, f.m, g->n_values);
    return status;
}

void skv_moments_free(skive_context *ctx, skv_moments *m, uint32_t n_values) {
    for (uint32_t i = 0; m && i < n_values; i++) {
        skv_free(ctx, m[i].mean);
        skv_free(ctx, m[i].variance);
    }
    skv_free(ctx, m);
}
