/* The steps of a GRU or an RNN with 8-bit weights, whose state is quantized before each product by the range that the
 * samples of a step have together. In files it is a Scan of standard operators, its body built here; a plan finds it
 * again and runs it as DynamicQuantizeCell. */
#ifndef SKV_OPS_COMMON_DYNAMIC_CELL_H
#define SKV_OPS_COMMON_DYNAMIC_CELL_H

#include "graph/graph.h"

typedef enum skv_cell_kind { SKV_CELL_RNN, SKV_CELL_GRU, SKV_CELL_GRU_LINEAR, SKV_CELL_KINDS } skv_cell_kind;
const char *skv_cell_name(skv_cell_kind kind);
skv_cell_kind skv_cell_find(const char *name); /* SKV_CELL_KINDS: there is none of this name */
static inline int64_t skv_cell_gates(skv_cell_kind kind) { return kind == SKV_CELL_RNN ? 1 : 3; }

/* Codes int8 [h][columns], scales float32 [columns]. GRU has the hidden gate apart, which reads the state behind the
 * reset gate: r of 2 h columns, n of h. The others have all columns in r. `bias` [h]: of GRU_LINEAR, inside the reset
 * gate. All borrowed. */
typedef struct skv_dynamic_cell {
    skv_cell_kind kind;
    int64_t hidden;
    skv_storage *r, *r_scale, *n, *n_scale, *bias;
} skv_dynamic_cell;

/* The body: inputs the state [b][h] and a step's sums of the input [b][gates h], biases included; outputs the state,
 * twice. `parent` is the graph of the Scan. */
skive_status skv_dynamic_cell_body(skive_context *ctx, skive_graph *parent, const skv_dynamic_cell *c,
                                   skive_graph **out);
/* Is the node a Scan with such a body, forward along the first axis or, *reverse, backward? */
skive_status skv_dynamic_cell_match(skive_context *ctx, const skive_node *scan, skv_dynamic_cell *out, bool *reverse,
                                    bool *found);

#endif
