/* Weights in the bodies of If, Loop and Scan: the model is trained with its control flow written out, in which they are
 * parameters like others, and takes their numbers back. */
#include "graph/graph.h"
#include "passes/unroll.h"
#include "train/recast.h"

static bool asked(const skive_graph *g) {
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        if (skv_node_has_subgraph(g->nodes[i])) return true;
    return false;
}

/* What stays has no gradient: where one is needed, its node is refused by name. */
static skive_status to(skive_graph *copy) {
    char *done = NULL, *left = NULL;
    SKV_TRY(skv_unroll(copy, &done, &left));
    if (done) skv_note(copy->ctx, "control flow is written out while the model is trained: %s", done);
    if (left) skv_note(copy->ctx, "control flow that stays as it is, without gradients: %s", left);
    skv_free(copy->ctx, done);
    skv_free(copy->ctx, left);
    return SKIVE_OK;
}

static skive_status back(skive_graph *model, const skive_graph *copy) {
    skv_unroll_take_back(model, copy);
    return SKIVE_OK;
}

const skv_recast skv_recast_unrolled = {
    .name = "unrolled",
    .brief = "control flow with weights in it, as both branches and all rounds",
    .asked = asked,
    .to = to,
    .back = back,
    .other_nodes = true,
};
