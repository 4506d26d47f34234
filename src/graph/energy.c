/* The energy estimate: operations by type and bytes by place, times a table. */
#include <skive/energy.h>
#include <string.h>

#include "graph/op.h"

typedef enum row { MAC_INT8, MAC_F16, MAC_F32, OTHER_INT8, OTHER_F16, OTHER_F32, ACTIVATION_BYTES, WEIGHT_BYTES } row;

/* Horowitz, ISSCC 2014, figure 1.1.9 (45 nm, 0.9 V), in pJ: add int8 0.03, int32 0.1, float16 0.4, float32 0.9;
 * multiply int8 0.2, float16 1.1, float32 3.7; 64 bits from 1 MB of SRAM 100, from DRAM 1,300 to 2,600 (the lower end
 * is taken). */
static const skive_energy_row table[SKIVE_ENERGY_ROWS] = {
    [MAC_INT8] = {"multiply-accumulate, int8 into int32", 0, 0.2 + 0.1},
    [MAC_F16] = {"multiply-accumulate, float16", 0, 1.1 + 0.4},
    [MAC_F32] = {"multiply-accumulate, float32", 0, 3.7 + 0.9},
    [OTHER_INT8] = {"other operation, int8", 0, 0.03},
    [OTHER_F16] = {"other operation, float16", 0, 0.4},
    [OTHER_F32] = {"other operation, float32", 0, 0.9},
    [ACTIVATION_BYTES] = {"byte of activations, on chip", 0, 100.0 / 8},
    [WEIGHT_BYTES] = {"byte of weights, from DRAM", 0, 1300.0 / 8},
};

static bool is_8_bit(skive_dtype t) {
    return t == SKIVE_I8 || t == SKIVE_U8 || t == SKIVE_I4 || t == SKIVE_U4 || t == SKIVE_I2 || t == SKIVE_U2;
}

static bool is_half(skive_dtype t) { return t == SKIVE_F16 || t == SKIVE_BF16; }

/* An 8-bit value, or one that only was dequantized from one. */
static bool comes_as_8_bit(const skive_value *v) {
    const skive_node *n = v ? v->producer : NULL;
    if (v && is_8_bit(v->type.dtype)) return true;
    return n && skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR) && n->inputs[0] && is_8_bit(n->inputs[0]->type.dtype);
}

static bool moves_only(const skive_node *n) {
    return skv_node_reshapes(n) ||
           SKV_NODE_IS_ANY(n, SKV_OP_QUANTIZE_LINEAR, SKV_OP_DEQUANTIZE_LINEAR, SKV_OP_DROPOUT, SKV_OP_CONSTANT);
}

/* Is the value never stored: only quantized at once? */
static bool passes_through(const skive_value *v) {
    bool all = v->n_uses > 0 && v->output_uses == 0;
    for (uint32_t i = 0; i < v->n_uses; i++) all = all && skv_node_is(v->uses[i].node, SKV_OP_QUANTIZE_LINEAR);
    return all;
}

static void add_node(const skive_node *n, double share, skive_energy *e) {
    skive_cost cost;
    if (skive_node_cost(n, &cost) != SKIVE_OK) return;
    const skive_dtype out = n->n_outputs && n->outputs[0] ? n->outputs[0]->type.dtype : SKIVE_F32;
    bool eight = n->n_inputs > 0;
    for (uint32_t i = 0; i < n->n_inputs && i < 2; i++) eight = eight && comes_as_8_bit(n->inputs[i]);
    e->rows[eight ? MAC_INT8 : is_half(out) ? MAC_F16 : MAC_F32].count += (double)cost.macs * share;
    const bool quantizer = skv_node_is(n, SKV_OP_QUANTIZE_LINEAR) || skv_node_is(n, SKV_OP_DEQUANTIZE_LINEAR);
    if (!quantizer)
        e->rows[eight ? OTHER_INT8 : is_half(out) ? OTHER_F16 : OTHER_F32].count += (double)cost.operations * share;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skive_value *v = n->outputs[i];
        const bool stored = skv_node_is(n, SKV_OP_QUANTIZE_LINEAR) || (!moves_only(n) && v && !passes_through(v));
        if (!v || !stored || v->type.rank < 0) continue;
        const double bytes = (double)skv_type_count(&v->type) * (double)skive_dtype_bits(v->type.dtype) / 8;
        e->rows[ACTIVATION_BYTES].count += 2 * bytes * share;
    }
    for (size_t i = 0; i < skive_node_subgraph_count(n); i++) {
        const skive_graph *sub = skive_node_subgraph(n, i, NULL);
        for (uint32_t k = 0; k < sub->n_nodes; k++) add_node(sub->nodes[k], share, e);
    }
}

void skive_graph_energy(const skive_graph *g, int64_t weight_bytes, skive_energy *out) {
    if (out) *out = (skive_energy){0};
    if (!g || !out) return;
    const skive_type *in = g->n_inputs ? &g->inputs[0]->type : NULL;
    const double batch = in && in->rank > 0 && in->dims[0].size > 1 ? (double)in->dims[0].size : 1;
    skive_cost cost;
    memcpy(out->rows, table, sizeof table);
    for (uint32_t i = 0; i < g->n_nodes; i++) add_node(g->nodes[i], 1 / batch, out);
    if (weight_bytes < 0 && skive_graph_cost(g, &cost) == SKIVE_OK) weight_bytes = cost.parameter_bytes;
    out->rows[WEIGHT_BYTES].count = (double)weight_bytes;
    for (int i = 0; i < SKIVE_ENERGY_ROWS; i++) {
        const double all = out->rows[i].count * out->rows[i].picojoules;
        *(i < ACTIVATION_BYTES ? &out->arithmetic : &out->memory) += all;
        out->total += all;
    }
}
