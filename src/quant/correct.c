/* Bias correction; see equalize.h. */
#include <math.h>

#include "graph/linear.h"
#include "quant/equalize.h"
#include "quant/gridded.h"

/* shift -= (what the codes stand for - weight) E[x] */
static skive_status correct(skive_context *ctx, const skive_node *n, const skv_moments *x, skv_gridded *c) {
    skv_pair_reader r = {.inner = 1};
    skv_linear l;
    double *mean = NULL;
    if (!skv_linear_of(n, &l) || l.view.out_axis < 0 || l.view.in_axis < 0) return SKIVE_OK;
    r.view = l.view;
    SKV_TRY(skv_alloc_array(ctx, (size_t)r.view.out + 1, sizeof *mean, &mean));
    skive_status status = skv_alloc_array(ctx, (size_t)r.view.out + 1, sizeof *c->shift, &c->shift);
    for (int64_t i = 0; status == SKIVE_OK && i < skive_tensor_count(c->t); i++) {
        const double real = (double)skv_grid_decode(&c->q, &c->params[skv_gridded_group(c, i)], c->code[i]);
        const double lost = real - (double)((const float *)c->t->data)[i];
        mean[skv_pair_output(&r.view, c->t, i)] += lost * x->mean[skv_pair_input(&r, c->t, i)];
    }
    for (int64_t k = 0; status == SKIVE_OK && k < r.view.out; k++) c->shift[k] = (float)-mean[k];
    skv_free(ctx, mean);
    return status;
}

bool skv_quant_takes_bias(const skive_node *n) {
    skv_linear l;
    return skv_linear_of(n, &l) && l.bias >= 0;
}

skive_status skv_quant_correct_analytic(skive_context *ctx, const skive_graph *g, const bool *chosen,
                                        const skv_moments *m, skv_points *points) {
    size_t done = 0, left = 0;
    const char *first = NULL;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        skv_linear l;
        if (!chosen[i] || !points->weights || !points->weights[i].code) continue;
        const skv_moments *x = &m[n->inputs[0]->id];
        const bool fits =
            skv_linear_of(n, &l) && l.bias >= 0 && x->n == l.view.in * (l.view.groups > 1 ? l.view.groups : 1);
        if (fits)
            SKV_TRY(correct(ctx, n, x, &points->weights[i]));
        else if (!first)
            first = n->name;
        done += fits;
        left += !fits;
    }
    skv_note(ctx, "bias correction: %zu layer%s by the moments of %s inputs", done, done == 1 ? "" : "s",
             done == 1 ? "its" : "their");
    if (left)
        skv_note(ctx,
                 "bias correction: %zu layer%s not corrected, because the mean of the inputs is not known or the "
                 "operator takes no bias, such as '%s'",
                 left, left == 1 ? " is" : "s are", first);
    return SKIVE_OK;
}
