/* Open dimensions of an input are given sizes. */
#include <string.h>

#include "graph/unknown.h"

skive_status skive_graph_bind_input(skive_graph *g, const char *input, int rank, const int64_t *dims) {
    SKV_NEED(g ? g->ctx : NULL, "graph, input, dims", g, input, dims || rank < 1);
    skive_value *v = NULL;
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        if (strcmp(g->inputs[i]->name, input) == 0) v = g->inputs[i];
    }
    if (!v) return skv_fail_no_input(g->ctx, SKIVE_ERR_NOT_FOUND, g, input);
    skive_type bound = v->type;
    bool fits = rank >= 0 && rank <= SKIVE_MAX_RANK && (bound.rank < 0 || bound.rank == rank);
    for (int d = 0; d < rank && fits; d++) {
        if (bound.rank < 0) bound.dims[d] = (skive_dim){-1, NULL};
        fits = dims[d] < 0 || bound.dims[d].size < 0 || bound.dims[d].size == dims[d];
        if (dims[d] >= 0) bound.dims[d] = (skive_dim){dims[d], NULL};
    }
    if (!fits) {
        char text[160];
        skv_type_text(&v->type, text, sizeof text);
        return skv_fail_at(g->ctx, SKIVE_ERR_SHAPE, input, "input '%s' is %s, which the given sizes do not match",
                           input, text);
    }
    const skive_type before = v->type;
    bound.rank = rank;
    v->type = bound;
    const skive_status status = skive_graph_infer(g);
    if (status != SKIVE_OK) v->type = before;
    return status;
}
