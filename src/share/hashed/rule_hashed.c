/* A value of a hashed layer (HashedNets, Chen et al. 2015) is many weights, all of which decay pulls. */
#include "graph/graph.h"
#include "share/hashed/matrix.h"
#include "train/train.h"

static const skive_node *layer_of(const skv_param *p) {
    for (uint32_t i = 0; i < p->value->n_uses; i++) {
        const skive_node *node = p->value->uses[i].node;
        if (p->value->uses[i].index == 1 && skv_node_is(node, SKV_OP_HASHED_GEMM)) return node;
    }
    return NULL;
}

static bool asked(const skv_rule_site *at, const skv_param *p) {
    (void)at;
    return layer_of(p) != NULL;
}

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    const skv_hashed h = skv_hashed_of(layer_of(p), p->n);
    (void)self;
    p->decay = at->options->weight_decay * ((double)h.rows * (double)h.columns / (double)p->n);
    return SKIVE_OK;
}

const skv_rule skv_rule_hashed = {
    .name = "hashed",
    .brief = "a value decays as often as there are weights that have it",
    .asked = asked,
    .bind = bind,
};
