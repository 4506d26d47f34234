/* Products of float32 values with weights that are stored in few bits (DequantizeLinear, or Cast of 16-bit floats)
 * become DequantizeGemm: the weights are not made dense, in memory and on the way to the processor. */
#include "ops/quant/common_quantize.h"
#include "passes/fuse.h"
#include "passes/packed.h"

enum { SMALL = 1 << 14 }; /* weights: fewer are dense, and fit any cache */

static bool constant(const skive_value *v) { return v && v->storage && !v->storage->coded && v->type.rank >= 0; }

static bool is_narrow(skive_dtype t) {
    return t == SKIVE_I2 || t == SKIVE_U2 || t == SKIVE_I4 || t == SKIVE_U4 || t == SKIVE_I8 || t == SKIVE_U8;
}

static bool is_transpose(const skive_node *n) {
    if (!n || !skv_node_is(n, SKV_OP_TRANSPOSE) || *n->domain || n->inputs[0]->type.rank != 2) return false;
    size_t count;
    const int64_t *perm = skv_attr_ints(n, "perm", &count);
    return !perm || (count == 2 && perm[0] == 1);
}

/* One scale, one for each output channel, or blocks along the other axis that the kernel takes. `out` is the axis of W
 * that output channels are on. */
static bool scales_fit(const skive_node *d, int out) {
    const skive_type *w = &d->inputs[0]->type, *s = &d->inputs[1]->type;
    const int64_t block = skv_attr_int(d, "block_size", 0);
    int64_t axis = skv_attr_int(d, "axis", 1);
    axis += axis < 0 ? 2 : 0;
    if (!block) return skv_type_count(s) == 1 || axis == out;
    return axis == 1 - out && (block % SKV_PACKED_BLOCK == 0 || block >= w->dims[axis].size);
}

static bool decodes(const skive_node *n, bool turned) {
    if (!n || *n->domain || n->n_outputs < 1 || !n->outputs[0] || n->outputs[0]->type.dtype != SKIVE_F32) return false;
    const skive_value *w = skv_node_in(n, 0);
    if (!constant(w) || w->type.rank != 2 || skv_type_count(&w->type) < SMALL) return false;
    if (skv_node_is(n, SKV_OP_CAST)) return skv_is_half_dtype(w->type.dtype);
    if (!skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) || !is_narrow(w->type.dtype)) return false;
    if (!constant(n->inputs[1]) || n->inputs[1]->type.dtype != SKIVE_F32) return false;
    if (skv_node_in(n, 2) && !constant(n->inputs[2])) return false;
    return scales_fit(n, turned ? 0 : 1);
}

/* The node that makes numbers of the packed weights of product `n`, or NULL; *turned: W is [out][in]. */
static skive_node *weights_of(const skive_node *n, bool *turned) {
    if (!SKV_NODE_IS_ANY(n, SKV_OP_MAT_MUL, SKV_OP_GEMM) || *n->domain || n->n_inputs < 2) return NULL;
    const skive_value *x = n->inputs[0];
    if (!x || !n->inputs[1] || x->type.dtype != SKIVE_F32 || x->type.rank < 2) return NULL;
    *turned = false;
    if (skv_node_is(n, SKV_OP_GEMM)) {
        if (skv_attr_int(n, "transA", 0) != 0 || skv_attr_float(n, "alpha", 1) != 1) return NULL;
        *turned = skv_attr_int(n, "transB", 0) != 0;
    }
    skive_node *d = n->inputs[1]->producer;
    if (is_transpose(d)) {
        d = d->inputs[0]->producer;
        *turned = !*turned;
    }
    return decodes(d, *turned) ? d : NULL;
}

bool skv_stays_packed(const skive_node *n) {
    if (n->n_outputs < 1 || !SKV_NODE_IS_ANY(n, SKV_OP_CAST, SKV_OP_TRANSPOSE)) return false;
    const skive_value *y = n->outputs[0];
    for (uint32_t i = 0; i < y->n_uses; i++) {
        const skive_node *reader = y->uses[i].node;
        bool turned;
        if (skv_node_is(reader, SKV_OP_TRANSPOSE) && is_transpose(reader) && skv_stays_packed(reader)) return true;
        if (y->uses[i].index == 1 && weights_of(reader, &turned)) return true;
    }
    return false;
}

static skive_status keep(skive_graph *g, skive_node *n, skive_node *d, bool turned) {
    skive_value *in[6] = {n->inputs[0], d->inputs[0], skv_node_in(n, 2)};
    const bool scaled = skv_node_is(d, SKV_OP_DEQUANTIZE_LINEAR);
    if (scaled) {
        in[4] = d->inputs[1];
        in[5] = skv_node_in(d, 2);
    }
    const skv_attr_init attrs[] = {SKV_INT("transB", turned), SKV_FLT("beta", skv_attr_float(n, "beta", 1)),
                                   SKV_INT("axis", skv_attr_int(d, "axis", 1)),
                                   SKV_INT("block_size", skv_attr_int(d, "block_size", 0))};
    const skv_fusion f = {.chain = (skive_node *[]){n},
                          .n_chain = 1,
                          .op = "DequantizeGemm",
                          .domain = SKV_DOMAIN,
                          .inputs = in,
                          .n_inputs = in[5]   ? 6
                                      : in[4] ? 5
                                      : in[2] ? 3
                                              : 2,
                          .attrs = attrs,
                          .n_attrs = scaled ? 4 : 2};
    return skv_fuse(g, &f);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    skive_node **order = NULL;
    const uint32_t n = g->n_nodes;
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n && status == SKIVE_OK; i++) {
        bool turned;
        skive_node *d = order[i] ? weights_of(order[i], &turned) : NULL;
        if (!d) continue;
        status = keep(g, order[i], d, turned);
        ++*changes;
    }
    skv_free(env->ctx, order);
    return status;
}

const skv_pass skv_pass_keep_packed = {
    .name = "keep-packed",
    .brief = "leaves weights of few bits as they are in products with float32",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
