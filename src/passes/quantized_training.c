/* A quantized model as one that can be trained, and back; see quantized.h. */
#include <stdio.h>
#include <string.h>

#include "graph/weights.h"
#include "passes/pass.h"
#include "passes/quantized.h"
#include "tensor/grid.h"

#define SUFFIX "_quantized"

/* The result of a node whose inputs are all constants. */
static skive_status evaluate(skive_graph *g, const skive_node *n, skv_storage **out) {
    const skive_tensor *in[3] = {NULL};
    skive_tensor result = {0};
    for (uint32_t i = 0; i < n->n_inputs && i < 3; i++) in[i] = skv_value_tensor(n->inputs[i]);
    SKV_TRY(skv_op_evaluate(g->ctx, n, in, n->n_inputs, &result, 1));
    const skive_status status = skv_storage_take(g->ctx, &result, out);
    skive_tensor_free(g->ctx, &result);
    return status;
}

static size_t copied_attrs(const skive_node *n, skv_attr_init *to) {
    size_t count = 0;
    if (skv_node_attr(n, "axis")) to[count++] = SKV_INT("axis", skv_attr_int(n, "axis", 1));
    if (skv_node_attr(n, "block_size")) to[count++] = SKV_INT("block_size", skv_attr_int(n, "block_size", 0));
    return count;
}

/* ---- to training ---- */

/* Constant integers that one DequantizeLinear turns into floats. */
static bool is_coded_parameter(const skive_node *n) {
    if (!skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) || n->n_outputs != 1 || n->outputs[0]->type.dtype != SKIVE_F32)
        return false;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] && !skv_value_tensor(n->inputs[i])) return false;
    }
    const skive_value *x = n->inputs[0];
    return x->n_uses == 1 && x->output_uses == 0 && n->outputs[0]->output_uses == 0 &&
           (x->type.dtype == SKIVE_I32 || skv_grid_of_dtype(x->type.dtype));
}

bool skv_quantized_parameters(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (is_coded_parameter(g->nodes[i])) return true;
    }
    return false;
}

/* "fc.weight_quantized" is called fc.weight, if nothing else is. */
static const char *float_name(const skive_graph *g, const char *name, char room[256]) {
    const size_t n = strlen(name), end = strlen(SUFFIX);
    if (n <= end || n - end >= 256 || strcmp(name + n - end, SUFFIX) != 0) return NULL;
    memcpy(room, name, n - end);
    room[n - end] = '\0';
    return skive_graph_find_value(g, room) ? NULL : room;
}

static skive_status to_float(skive_graph *g, skive_node *n, skive_value **made) {
    skv_builder b = skv_build(g);
    skv_storage *dense = NULL;
    char room[256];
    const skive_dtype dtype = n->inputs[0]->type.dtype;
    skv_attr_init attrs[3];
    size_t count = copied_attrs(n, attrs);
    SKV_TRY(evaluate(g, n, &dense));
    skive_value *p = skv_emit_param(&b, float_name(g, n->inputs[0]->name, room), dense), *result = p;
    if (dtype != SKIVE_I32) {
        attrs[count++] = SKV_STR("grid", skv_grid_of_dtype(dtype)->name);
        result =
            skv_emit(&b, "FakeQuantize", SKV_IN(p, n->inputs[1], skv_node_in(n, 2)), (skv_attr_list){attrs, count});
    }
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(n->outputs[0], result, true));
    *made = p;
    return skv_graph_remove_node(n);
}

skive_status skv_quantized_to_training(skive_graph *g, size_t *changes) {
    skive_value **made = NULL;
    skv_role *role = NULL;
    size_t n_made = 0;
    skive_status status;
    SKV_TRY(skv_alloc_array(g->ctx, (size_t)g->n_nodes + 1, sizeof(skive_value *), &made));
    for (uint32_t i = 0; i < g->n_nodes;) {
        if (!is_coded_parameter(g->nodes[i])) {
            i++;
            continue;
        }
        SKV_GO(status, done, to_float(g, g->nodes[i], &made[n_made]));
        n_made++;
    }
    *changes += n_made;
    (void)skv_graph_sweep(g);
    SKV_GO(status, done, skive_graph_infer(g));
    SKV_GO(status, done, skv_graph_roles(g->ctx, g, &role));
    for (size_t i = 0; i < n_made; i++) made[i]->trainable = skv_value_is_learned(made[i], role[made[i]->id]);
done:
    skv_free(g->ctx, made);
    skv_free(g->ctx, role);
    return status;
}

/* ---- from training ---- */

/* A zero point of zeros, as many as there are scales. */
static skive_value *zeros_like(skv_builder *b, const skive_value *scale, skive_dtype dtype) {
    const skive_tensor *t = skv_value_tensor(scale);
    skv_storage *zeros = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, dtype, t->rank, t->dims, &zeros);
    return b->status == SKIVE_OK ? skv_emit_param(b, NULL, zeros) : NULL;
}

/* Does a pair of QuantizeLinear and DequantizeLinear do what the node does? */
static bool has_integer_form(const skive_node *n, skv_quantizer *q) {
    skive_context *ctx = n->graph->ctx;
    if (!skv_node_is(n, SKV_OP_FAKE_QUANTIZE)) return false;
    if (skv_quantizer_parse(ctx, skv_attr_string(n, "grid", ""), q) != SKIVE_OK) return false;
    return skv_value_tensor(n->inputs[1]) && (!skv_node_in(n, 2) || skv_value_tensor(n->inputs[2])) &&
           (q->grid->uniform || skv_dtype_is_float8(q->grid->dtype)) && skv_grid_fills_dtype(q);
}

/* QuantizeLinear of a parameter is replaced by its result. */
static skive_status fold(skive_graph *g, skive_node *quantize, const char *name) {
    skv_builder b = skv_build(g);
    skv_storage *codes = NULL;
    char room[256];
    SKV_TRY(evaluate(g, quantize, &codes));
    (void)snprintf(room, sizeof room, "%.230s" SUFFIX, name);
    skive_value *p = skv_emit_param(&b, skive_graph_find_value(g, room) ? NULL : room, codes);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(quantize->outputs[0], p, true));
    return skv_graph_remove_node(quantize);
}

static skive_status to_integer(skive_graph *g, skive_node *n, const skv_quantizer *q) {
    skv_builder b = skv_build(g);
    skv_attr_init attrs[2];
    const skv_attr_list list = {attrs, copied_attrs(n, attrs)};
    skive_value *x = n->inputs[0], *scale = n->inputs[1], *zero = skv_node_in(n, 2);
    if (!zero) zero = zeros_like(&b, scale, q->grid->dtype);
    skive_value *codes = skv_emit(&b, "QuantizeLinear", SKV_IN(x, scale, zero), list);
    skive_value *real = skv_emit(&b, "DequantizeLinear", SKV_IN(codes, scale, zero), list);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(n->outputs[0], real, true));
    SKV_TRY(skv_graph_remove_node(n));
    return skv_value_tensor(x) ? fold(g, codes->producer, x->name) : SKIVE_OK;
}

static skive_status from_training(skive_graph *g, size_t *changes) {
    for (uint32_t i = 0; i < g->n_nodes;) {
        skv_quantizer q;
        if (!has_integer_form(g->nodes[i], &q)) {
            i++;
            continue;
        }
        SKV_TRY(to_integer(g, g->nodes[i], &q));
        ++*changes;
    }
    return SKIVE_OK;
}

/* A float bias of a quantized product, as the integers that a plan uses. */
static skive_status bias_to_integer(skive_graph *g, skive_node *n) {
    skv_q_grid x;
    skv_q_weights w;
    skv_storage *codes = NULL, *scale = NULL;
    const bool product = skv_node_is(n, SKV_OP_CONV) || skv_node_is(n, SKV_OP_GEMM);
    skive_value *bias = skv_node_in(n, 2);
    char room[256];
    if (!product || !bias || !bias->storage || bias->n_uses != 1 || bias->type.rank != 1) return SKIVE_OK;
    if (!skv_dequantized(n->inputs[0], &x) || !skv_quantized_weights(n, &w)) return SKIVE_OK;
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_I32, 1, &w.m, &codes));
    skive_status status = skv_storage_create(g->ctx, SKIVE_F32, w.n_scales > 1 ? 1 : 0, &w.m, &scale);
    if (status != SKIVE_OK || !skv_quantized_bias(n, x.scale, &w, codes->tensor.data)) {
        skv_storage_release(codes);
        skv_storage_release(scale);
        return status;
    }
    for (int64_t i = 0; i < w.n_scales; i++)
        ((float *)scale->tensor.data)[i] = (float)((double)x.scale * skv_q_weight_scale(&w, i));
    skv_builder b = skv_build(g);
    const skv_attr_init axis = SKV_INT("axis", 0);
    (void)snprintf(room, sizeof room, "%.230s" SUFFIX, bias->name);
    skive_value *q = skv_emit_param(&b, skive_graph_find_value(g, room) ? NULL : room, codes);
    skive_value *s = b.status == SKIVE_OK ? skv_emit_param(&b, NULL, scale) : NULL;
    if (!s) skv_storage_release(scale);
    skive_value *real = skv_emit(&b, "DequantizeLinear", SKV_IN(q, s), (skv_attr_list){&axis, w.n_scales > 1 ? 1 : 0});
    SKV_TRY(b.status);
    return skv_node_set_input(n, 2, real);
}

skive_status skv_quantized_from_training(skive_graph *g, size_t *changes) {
    SKV_TRY(from_training(g, changes));
    const uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++) SKV_TRY(bias_to_integer(g, g->nodes[i]));
    (void)skv_graph_sweep(g);
    return skive_graph_infer(g);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    (void)env;
    return from_training(g, changes);
}

const skv_pass skv_pass_spread_fake_quantize = {
    .name = "spread-fake-quantize",
    .brief = "replaces FakeQuantize by QuantizeLinear and DequantizeLinear, of parameters by their integers",
    .when = SKV_PASS_INTEGER,
    .run = run,
};
