/* The layers of a graph that can be factorized, and why the others cannot. */
#include <math.h>
#include <string.h>

#include "graph/shared.h"
#include "lowrank/lowrank.h"

void skv_sites_free(skive_context *ctx, skv_site *sites, size_t n) {
    for (size_t i = 0; sites && i < n; i++) {
        skv_free(ctx, sites[i].w);
        skv_free(ctx, sites[i].powers);
        skv_free(ctx, sites[i].moments);
    }
    skv_free(ctx, sites);
}

static bool is_cell(const skv_weight *w) {
    const skv_input_spec *s = skv_input_spec_of(w->node, (size_t)w->input);
    return s && s->blocks > 0;
}

/* The layer is a product with one matrix, or a convolution. */
static const char *why_no_product(const skv_weight *w) {
    static const char other[] = "no factorization is for this operator";
    const skive_value *v = w->value;
    skv_linear l;
    if (!skv_linear_of(w->node, &l) || l.weight != w->input || l.view.data < 0) return other;
    if (l.view.windows) {
        if (l.view.groups > 1) return "its groups are small layers already";
        return v->type.rank < 3 || v->type.rank > 4 ? "only convolutions with one or two axes are factorized" : NULL;
    }
    if (l.data_turned) return "its input is transposed";
    if (l.view.data > l.weight) return "its weights are on the left";
    /* Axes behind the channels: a convolution of another kind. */
    const skive_value *x = w->node->inputs[l.view.data];
    if (l.view.data_axis >= 0 && l.view.data_axis + 1 < x->type.rank) return other;
    return v->type.rank != 2 ? "its weights are more than one matrix" : NULL;
}

static const char *why_none(const skv_weight *w) {
    const skive_node *n = w->node;
    const skive_value *v = w->value;
    if (skv_weight_in_body(w)) return SKV_IN_A_BODY "which is not rebuilt from factors";
    if (skv_shared_find(v, NULL)) return "it has a codebook: factors would not share values";
    if (!v->storage) return "its weights are computed, not a parameter";
    if (!skv_value_is_param(v)) return "its weights are coded; unpack the model first";
    if (v->type.dtype != SKIVE_F32) return "its weights are not float32";
    if (v->n_uses > 1 || v->output_uses > 0 || skv_value_is_captured(v))
        return "its weights are used in several places";
    if (v->keeps_zeros) return "it is pruned: factors would have no zeros";
    if (is_cell(w)) return w->view.data < 0 ? "recurrent weights: no ONNX operator has them in two factors" : NULL;
    if (skv_node_is(n, SKV_OP_GATHER)) {
        if (v->type.rank != 2 || skv_attr_int(n, "axis", 0) != 0) return "it is not a table of rows";
        return NULL;
    }
    if (w->role == SKV_ROLE_TABLE) return "tables of this operator have no factors in ONNX";
    return why_no_product(w);
}

static skv_site_kind kind_of(const skv_weight *w) {
    if (w->view.windows) return SKV_SITE_CONV;
    if (w->role == SKV_ROLE_TABLE) return SKV_SITE_TABLE;
    return is_cell(w) ? SKV_SITE_CELL : SKV_SITE_PRODUCT;
}

/* Sizes that are not known count as 1. */
static int64_t size_at(const skive_type *t, int axis) {
    if (axis < 0 || axis >= t->rank) return 1;
    return t->dims[axis].size > 0 ? t->dims[axis].size : 1;
}

static int64_t count_of(const skive_type *t, int from) {
    int64_t n = 1;
    for (int i = from; i < t->rank; i++) n = skv_mul_sat(n, size_at(t, i));
    return n;
}

static void set_positions(skv_site *s, const skive_node *n) {
    const skive_type *x = &n->inputs[0]->type, *y = &n->outputs[0]->type;
    if (s->kind == SKV_SITE_CONV) {
        const int64_t batch = size_at(x, 0);
        s->positions[SKV_DOMAIN_INPUT] = skv_mul_sat(batch, count_of(x, 2));
        s->positions[SKV_DOMAIN_OUTPUT] = skv_mul_sat(batch, count_of(y, 2));
        s->positions[SKV_DOMAIN_ROWS] = s->spatial == 2 ? skv_mul_sat(batch, skv_mul_sat(size_at(y, 2), size_at(x, 3)))
                                                        : s->positions[SKV_DOMAIN_INPUT];
        return;
    }
    const int64_t all =
        s->kind == SKV_SITE_TABLE ? count_of(y, 0) / (s->in > 0 ? s->in : 1) : count_of(x, 0) / size_at(x, x->rank - 1);
    for (int i = 0; i < SKV_DOMAINS; i++) s->positions[i] = all > 0 ? all : 1;
}

/* Queries, keys and values become heads: an addition of the bias, then a Reshape whose last two axes are heads and
 * their width. */
static int64_t heads_of(const skive_node *n, int64_t out) {
    const skive_value *v = n->outputs[0];
    for (int steps = 0; steps < 3 && v->n_uses == 1; steps++) {
        const skive_node *to = v->uses[0].node;
        v = to->outputs[0];
        if (skv_node_is(to, SKV_OP_ADD)) continue;
        if (!skv_node_is(to, SKV_OP_RESHAPE) || v->type.rank < 3) return 0;
        const int64_t heads = v->type.dims[v->type.rank - 2].size, width = v->type.dims[v->type.rank - 1].size;
        return heads > 1 && width > 1 && out % heads == 0 && heads * width == out ? heads : 0;
    }
    return 0;
}

static void set_sizes(skv_site *s, const skv_weight *w) {
    const skive_type *t = &w->value->type;
    s->kh = s->kw = 1;
    if (s->kind == SKV_SITE_TABLE || s->kind == SKV_SITE_CONV) {
        s->out = t->dims[0].size;
        s->in = t->dims[1].size;
    } else if (s->kind == SKV_SITE_CELL) {
        s->out = t->dims[0].size * t->dims[1].size;
        s->in = t->dims[2].size;
    } else {
        s->out = t->dims[w->view.out_axis].size;
        s->in = t->dims[1 - w->view.out_axis].size;
    }
    if (s->kind == SKV_SITE_CONV) {
        s->spatial = t->rank - 2;
        s->kw = t->dims[t->rank - 1].size;
        s->kh = s->spatial == 2 ? t->dims[2].size : 1;
    }
    s->d = s->in * s->kh * s->kw;
    s->outs[0] = s->out;
}

/* What the weights of the newest member are, and whether all of them are numbers. */
static skive_status take_weight(skive_context *ctx, const skv_weight *w, skv_site *s) {
    const size_t m = s->n_members - 1;
    const float *x = skv_value_tensor(w->value)->data;
    s->weights[m] = w->value;
    s->turned[m] = s->kind == SKV_SITE_PRODUCT && w->view.out_axis == 1;
    for (int64_t i = 0; i < s->outs[m] * s->d; i++) {
        const double v = (double)x[i];
        if (!(v - v == 0))
            return skv_fail_at(ctx, SKIVE_ERR_NUMERIC, w->value->name, "parameter '%s' contains NaN or infinity",
                               w->value->name);
        s->norm += v * v;
    }
    return SKIVE_OK;
}

skive_status skv_site_open(skive_context *ctx, skv_site *s) {
    double *to;
    if (s->opened++ > 0) return SKIVE_OK;
    const skive_status status = skv_alloc_array(ctx, (size_t)(s->out * s->d), sizeof *s->w, &s->w);
    if (status != SKIVE_OK) {
        s->opened = 0;
        return status;
    }
    to = s->w;
    for (size_t m = 0; m < s->n_members; m++) {
        const float *x = skv_value_tensor(s->weights[m])->data;
        const int64_t out = s->outs[m];
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < s->d; i++)
                to[o * s->d + i] = (double)(s->turned[m] ? x[i * out + o] : x[o * s->d + i]);
        to += out * s->d;
    }
    return SKIVE_OK;
}

void skv_site_close(skive_context *ctx, skv_site *s) {
    if (s->opened == 0 || --s->opened > 0) return;
    skv_free(ctx, s->w);
    s->w = NULL;
}

static skive_status make_site(skive_context *ctx, const skv_weight *w, skv_site *s) {
    *s = (skv_site){.kind = kind_of(w),
                    .n_members = 1,
                    .op = w->node->op_type,
                    .parameter = w->value->name,
                    .input = w->input,
                    .harm = 1};
    s->members[0] = w->node->name;
    set_sizes(s, w);
    if (s->kind != SKV_SITE_TABLE) s->data = w->node->inputs[0]->name;
    set_positions(s, w->node);
    if (s->kind == SKV_SITE_PRODUCT) s->heads = heads_of(w->node, s->out);
    return take_weight(ctx, w, s);
}

/* A product with the same input as one that is a site already joins it. */
static skv_site *partner(skv_site *sites, size_t n, const skv_weight *w) {
    if (kind_of(w) != SKV_SITE_PRODUCT) return NULL;
    for (size_t i = 0; i < n; i++)
        if (sites[i].kind == SKV_SITE_PRODUCT && sites[i].n_members < SKV_MOST_MEMBERS &&
            strcmp(sites[i].data, w->node->inputs[0]->name) == 0)
            return &sites[i];
    return NULL;
}

static skive_status join(skive_context *ctx, const skv_weight *w, skv_site *s) {
    const int64_t out = w->value->type.dims[w->view.out_axis].size;
    s->members[s->n_members] = w->node->name;
    s->outs[s->n_members++] = out;
    s->out += out;
    return take_weight(ctx, w, s);
}

static skive_status add_refused(skive_context *ctx, const skv_weight *w, const char *why, skive_factorize_report *r) {
    skive_factorize_row *row = &r->rows[r->n_rows++];
    skive_cost cost = {0};
    (void)skive_node_cost(w->node, &cost);
    *row = (skive_factorize_row){.error = NAN,
                                 .output_error = NAN,
                                 .plain_error = NAN,
                                 .refit_before = NAN,
                                 .refit_after = NAN,
                                 .seconds = NAN,
                                 .seconds_before = NAN,
                                 .macs = cost.macs,
                                 .macs_before = cost.macs};
    row->parameters = row->parameters_before = skv_type_count(&w->value->type);
    SKV_TRY(skv_strdup(ctx, w->node->name, &row->node));
    SKV_TRY(skv_strdup(ctx, w->node->op_type, &row->op));
    SKV_TRY(skv_strdup(ctx, w->value->name, &row->parameter));
    return skv_strdup(ctx, why, &row->kept);
}

skive_status skv_sites_find(skive_context *ctx, const skive_graph *g, bool joint, skv_site **sites, size_t *n_sites,
                            skive_factorize_report *report) {
    skv_weight *weights = NULL;
    size_t n = 0;
    *n_sites = 0;
    SKV_TRY(skv_weights(ctx, g, &weights, &n));
    skive_status status = skv_alloc_array(ctx, n + 1, sizeof **sites, sites);
    if (status == SKIVE_OK) status = skv_alloc_array(ctx, n + 1, sizeof *report->rows, &report->rows);
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) {
        const char *why = why_none(&weights[i]);
        skv_site *with = !why && joint ? partner(*sites, *n_sites, &weights[i]) : NULL;
        if (why)
            status = add_refused(ctx, &weights[i], why, report);
        else if (with)
            status = join(ctx, &weights[i], with);
        else
            status = make_site(ctx, &weights[i], &(*sites)[(*n_sites)++]);
    }
    skv_free(ctx, weights);
    return status;
}
