/* A quantized model as one that can be trained, and back; see quantized.h. */
#include <stdio.h>
#include <string.h>

#include "graph/linear.h"
#include "graph/shared.h"
#include "passes/pass.h"
#include "passes/quantized.h"
#include "tensor/grid.h"

#define SUFFIX "_quantized"

/* The result of a node whose inputs are all constants. */
skive_status skv_quantize_evaluate(skive_graph *g, const skive_node *n, skv_storage **out) {
    const skive_tensor *in[3] = {NULL};
    skive_tensor result = {0};
    for (uint32_t i = 0; i < n->n_inputs && i < 3; i++) in[i] = skv_value_tensor(n->inputs[i]);
    SKV_TRY(skv_op_evaluate(g->ctx, n, in, n->n_inputs, &result, 1));
    const skive_status status = skv_storage_take(g->ctx, &result, out);
    skive_tensor_free(g->ctx, &result);
    return status;
}

size_t skv_quantize_attrs(const skive_node *n, skv_attr_init *to) {
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
    return x && x->n_uses == 1 && x->output_uses == 0 && n->outputs[0]->output_uses == 0 &&
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
    size_t count = skv_quantize_attrs(n, attrs);
    SKV_TRY(skv_quantize_evaluate(g, n, &dense));
    skive_value *p = skv_emit_param(&b, float_name(g, n->inputs[0]->name, room), dense), *result = p;
    if (dtype != SKIVE_I32) {
        attrs[count++] = SKV_STR("grid", skv_grid_of_dtype(dtype)->name);
        result =
            skv_emit(&b, "FakeQuantize", SKV_IN(p, n->inputs[1], skv_node_in(n, 2)), (skv_attr_list){attrs, count});
    }
    SKV_TRY(b.status);
    p->keeps_zeros = n->inputs[0]->keeps_zeros;
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

/* A float bias of a quantized product, as the integers that a plan uses. */
static skive_status bias_to_integer(skive_graph *g, skive_node *n) {
    skv_q_grid x;
    skv_q_weights w;
    skv_storage *codes = NULL, *scale = NULL;
    skv_linear l;
    skive_value *bias = skv_linear_channels(n, &l) ? skv_node_in(n, (size_t)l.bias) : NULL;
    char room[256];
    if (!bias || !bias->storage || bias->n_uses != 1 || bias->type.rank != 1) return SKIVE_OK;
    if (!skv_dequantized(n->inputs[0], &x) || !skv_quantized_weights(n, &w)) return SKIVE_OK;
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_I32, 1, &w.m, &codes));
    skive_status status = skv_storage_create(g->ctx, SKIVE_F32, w.n_scales > 1 ? 1 : 0, &w.m, &scale);
    if (status != SKIVE_OK || !skv_quantized_bias(skv_node_in(n, 2), x.scale, &w, codes->tensor.data)) {
        skv_storage_release(codes);
        skv_storage_release(scale);
        return status;
    }
    for (int64_t i = 0; i < w.n_scales; i++)
        ((float *)scale->tensor.data)[i] = (float)((double)x.scale * skv_q_weight_scale(&w, i));
    skv_builder b = skv_build(g);
    const skv_attr_init axis = SKV_INT("axis", 0);
    (void)snprintf(room, sizeof room, "%.*s" SUFFIX, skv_utf8_prefix(bias->name, 230), bias->name);
    skive_value *q = skv_emit_param(&b, skive_graph_find_value(g, room) ? NULL : room, codes);
    skive_value *s = b.status == SKIVE_OK ? skv_emit_param(&b, NULL, scale) : NULL;
    if (!s) skv_storage_release(scale);
    skive_value *real = skv_emit(&b, "DequantizeLinear", SKV_IN(q, s), (skv_attr_list){&axis, w.n_scales > 1 ? 1 : 0});
    SKV_TRY(b.status);
    return skv_node_set_input(n, 2, real);
}

skive_status skv_quantized_from_training(skive_graph *g, size_t *changes) {
    const skv_pass_env env = {.ctx = g->ctx, .for_file = true};
    SKV_TRY(skv_shared_inflate_all(g));
    SKV_TRY(skive_graph_infer(g));
    SKV_TRY(skv_pass_run(skv_pass_find("spread-fake-quantize"), &env, g, changes));
    SKV_TRY(skive_graph_infer(g));
    SKV_TRY(skv_pass_run(skv_pass_find("fold-quantized-norm"), &env, g, changes));
    SKV_TRY(skv_pass_run(skv_pass_find("sink-dequantize"), &env, g, changes));
    const uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++) SKV_TRY(bias_to_integer(g, g->nodes[i]));
    (void)skv_graph_sweep(g);
    return skive_graph_infer(g);
}
