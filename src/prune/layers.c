/* What can be pruned: weights and tables that are parameters. */
#include <math.h>
#include <string.h>

#include "graph/left_out.h"
#include "graph/unknown.h"
#include "graph/weights.h"
#include "prune/prune.h"
#include "tensor/tensor.h"

/* Stored as integers behind a DequantizeLinear. Whole channels of it can go; to score it the criterion must not need
 * its gradient. */
static bool is_quantized(const skv_pruning *p, const skive_value *v) {
    const skive_node *n = v->producer;
    if (!p->granularity->removal || p->criterion->look || !skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR)) return false;
    for (size_t i = 0; i < p->criterion->n_needs; i++)
        if (p->criterion->needs[i].at == SKV_AT_WEIGHT && skv_need_applies(p, &p->criterion->needs[i])) return false;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] && !skv_value_tensor(n->inputs[i])) return false;
    return v->type.dtype == SKIVE_F32 && skv_type_is_static(&v->type);
}

/* Single weights can go there by what they are; nothing follows data or channels into a body. */
static const char *why_not_in_body(const skv_pruning *p, const skv_weight *w) {
    if (!skv_weight_in_body(w)) return NULL;
    if (p->granularity->removal) return SKV_IN_A_BODY "of which nothing is removed";
    if (p->criterion->look || skv_criterion_reads(p->criterion))
        return SKV_IN_A_BODY "where the criterion sees no data";
    if (p->o->reconstruct) return SKV_IN_A_BODY "of which --reconstruct sees no inputs";
    return NULL;
}

static const char *why_refused(const skv_pruning *p, const skv_weight *w) {
    const skive_value *v = w->value;
    for (size_t i = 0; i < p->o->n_skip; i++) {
        if (strcmp(p->o->skip[i], v->name) == 0) return "it is excluded by --skip";
    }
    const char *in_body = why_not_in_body(p, w);
    if (in_body) return in_body;
    if (is_quantized(p, v)) return NULL;
    if (!v->storage) return "its weights are computed, not a parameter";
    if (v->type.dtype != SKIVE_F32) return "its weights are not float32";
    return NULL;
}

static const double *own_ratio(const skv_pruning *p, const skive_value *v) {
    for (size_t i = 0; i < p->o->n_ratios; i++) {
        if (strcmp(p->o->ratios[i].parameter, v->name) == 0) return &p->o->ratios[i].sparsity;
    }
    return NULL;
}

static skive_status check_finite(const skv_pruning *p, const skv_prunable *l) {
    for (int64_t i = 0; i < l->n; i++) {
        if (isfinite(l->weight[i])) continue;
        return skv_fail_at(p->ctx, SKIVE_ERR_NUMERIC, l->value->name, "parameter '%s' contains NaN or infinity",
                           l->value->name);
    }
    return SKIVE_OK;
}

/* A floor that does not sink with the density asked for would decide alone, at high sparsities, what the large layers
 * keep. */
static double floor_of(const skv_pruning *p, const skv_prunable *l) {
    const skive_prune_options *o = p->o;
    if (o->layer_floor >= 0) return o->layer_floor;
    if (o->sparsity <= 0 && !l->own) return 0.005;
    return 0.05 * (1 - (l->own ? *l->own : o->sparsity));
}

/* The real numbers that the integers stand for. */
static skive_status read_quantized(skv_pruning *p, skv_prunable *l) {
    const skive_node *n = l->value->producer;
    const skive_tensor *in[3] = {NULL};
    skive_tensor real = {0};
    for (uint32_t i = 0; i < n->n_inputs && i < 3; i++) in[i] = n->inputs[i] ? skv_value_tensor(n->inputs[i]) : NULL;
    SKV_TRY(skv_op_evaluate(p->ctx, n, in, n->n_inputs < 3 ? n->n_inputs : 3, &real, 1));
    const skive_status status = skv_alloc_array(p->ctx, (size_t)l->n + 1, sizeof(float), &l->real);
    if (status == SKIVE_OK) memcpy(l->real, real.data, (size_t)l->n * sizeof(float));
    skive_tensor_free(p->ctx, &real);
    l->weight = l->real;
    return status;
}

static skive_status add_layer(skv_pruning *p, const skv_weight *w) {
    const skive_node *n = w->node;
    skive_value *v = w->value;
    skive_prune_layer *row = &p->report.layers[p->report.n_layers];
    const char *refused = why_refused(p, w);
    SKV_TRY(skv_strdup(p->ctx, v->name, &row->parameter));
    p->report.n_layers++;
    SKV_TRY(skv_node_path(p->ctx, n, &row->node));
    row->count = row->kept = v->storage || is_quantized(p, v) ? skv_type_count(&v->type) : 0;
    if (refused) return skv_strdup(p->ctx, refused, &row->refused);
    skv_prunable *l = &p->layers[p->n++];
    *l = (skv_prunable){
        .value = v, .node = n, .input = w->input, .view = w->view, .n = row->count, .own = own_ratio(p, v)};
    l->least = (int64_t)ceil(floor_of(p, l) * (double)l->n);
    if (l->least < 1 && l->n > 0) l->least = 1;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)l->n, sizeof *l->score, &l->score));
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)l->n, 1, &l->keep));
    memset(l->keep, 1, (size_t)l->n);
    p->report.count += l->n;
    if (!v->storage) {
        SKV_TRY(read_quantized(p, l));
        return check_finite(p, l);
    }
    SKV_TRY(skv_storage_make_unique(p->ctx, &v->storage));
    l->weight = v->storage->tensor.data;
    return check_finite(p, l);
}

/* A name that matches nothing is a mistake in it, and would otherwise change nothing unseen. */
static skive_status check_name(const skv_pruning *p, const char *name, bool must_be_prunable) {
    for (size_t i = 0; i < p->report.n_layers; i++) {
        const skive_prune_layer *row = &p->report.layers[i];
        if (strcmp(row->parameter, name) != 0) continue;
        if (!row->refused || !must_be_prunable) return SKIVE_OK;
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, name, "parameter '%s' has a sparsity of its own, but %s", name,
                           row->refused);
    }
    const char **names = NULL;
    SKV_TRY(skv_alloc_array(p->ctx, p->report.n_layers + 1, sizeof *names, &names));
    for (size_t i = 0; i < p->report.n_layers; i++) names[i] = p->report.layers[i].parameter;
    const skive_status status =
        skv_fail_no_such(p->ctx, SKIVE_ERR_ARGUMENT, "the model has no weight named", name, names, p->report.n_layers);
    skv_free(p->ctx, names);
    return status;
}

static skive_status check_names(const skv_pruning *p) {
    const skive_prune_options *o = p->o;
    for (size_t i = 0; i < o->n_skip; i++) SKV_TRY(check_name(p, o->skip[i], false));
    for (size_t i = 0; i < o->n_ratios; i++) {
        const char *name = o->ratios[i].parameter;
        SKV_TRY(check_name(p, name, true));
        for (size_t k = 0; k < i; k++) {
            if (strcmp(o->ratios[k].parameter, name) != 0) continue;
            return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, name, "two sparsities are given for parameter '%s'", name);
        }
    }
    return SKIVE_OK;
}

/* Layers with a sparsity of their own go to the end, the others keep their order. */
static void own_ratios_last(skv_pruning *p) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->layers[i].own) continue;
        const skv_prunable l = p->layers[i];
        memmove(&p->layers[p->n_shared + 1], &p->layers[p->n_shared], (i - p->n_shared) * sizeof l);
        p->layers[p->n_shared++] = l;
    }
}

/* A row of the report: pruned, or refused with the reason. */
static bool is_listed(void *user, const skive_value *v) {
    const skv_pruning *p = user;
    for (size_t i = 0; i < p->report.n_layers; i++) {
        if (strcmp(p->report.layers[i].parameter, v->name) == 0) return true;
    }
    return false;
}

skive_status skv_prune_find_layers(skv_pruning *p) {
    const skive_graph *g = p->work;
    skv_weight *weights = NULL;
    size_t n = 0;
    SKV_TRY(skv_weights(p->ctx, g, &weights, &n));
    skive_status status = skv_alloc_array(p->ctx, n + 1, sizeof *p->layers, &p->layers);
    if (status == SKIVE_OK) status = skv_alloc_array(p->ctx, n + 1, sizeof *p->masks, &p->masks);
    if (status == SKIVE_OK) status = skv_alloc_array(p->ctx, n + 1, sizeof *p->report.layers, &p->report.layers);
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) status = add_layer(p, &weights[i]);
    skv_free(p->ctx, weights);
    SKV_TRY(status);
    SKV_TRY(check_names(p));
    if (p->n == 0 && p->report.n_layers > 0)
        return SKV_FAIL(p->ctx, SKIVE_ERR_UNSUPPORTED, "no layer's weights can be pruned; '%s': %s",
                        p->report.layers[0].parameter, p->report.layers[0].refused);
    if (p->n == 0)
        return SKV_FAIL(p->ctx, SKIVE_ERR_UNSUPPORTED,
                        "the model has no weights to prune: no product, convolution, recurrent layer or embedding");
    const skv_left_out what = {.done = "pruned",
                               .only = "weights of products, convolutions, recurrent layers and embeddings",
                               .taken = is_listed,
                               .user = p};
    /* Channels go by what couples them, from weights that are not scored here too (codes of a quantized model). */
    if (!p->granularity->removal) SKV_TRY(skv_tell_left_out(p->ctx, g, &what));
    own_ratios_last(p);
    for (size_t i = 0; i < p->n; i++)
        p->masks[i] = (skive_mask){p->layers[i].value->name, p->layers[i].keep, p->layers[i].n};
    return SKIVE_OK;
}

void skv_prune_free_layers(skv_pruning *p) {
    for (size_t i = 0; i < p->n; i++) {
        skv_free(p->ctx, p->layers[i].score);
        skv_free(p->ctx, p->layers[i].keep);
        skv_free(p->ctx, p->layers[i].real);
        for (size_t k = 0; k < SKV_MOST_NEEDS; k++) skv_free(p->ctx, p->layers[i].numbers[k].x);
    }
    skv_free(p->ctx, p->layers);
    skv_free(p->ctx, p->masks);
    p->layers = NULL;
    p->masks = NULL;
    p->n = p->n_shared = 0;
}
