/* The scale of the normalisation behind a layer (network slimming, Liu, Li, Shen, Huang, Yan & Zhang 2017), best after
 * training with an L1 penalty on the scales (the rule prox). Channels of layers that no normalisation follows go last.
 * */
#include <math.h>

#include "prune/prune.h"

/* Above every scale that a network has, and finite. */
#define LAST 1e30f

static const skive_tensor *scales_behind(const skv_score_args *a) {
    const skive_value *y = a->node->n_outputs > 0 ? a->node->outputs[0] : NULL;
    if (!y || y->n_uses != 1 || y->uses[0].index != 0) return NULL;
    const skive_node *n = y->uses[0].node;
    for (uint32_t i = 1; i < n->n_inputs; i++) {
        if (!n->inputs[i] || skv_input_role(n, i) != SKV_ROLE_SCALE) continue;
        const skive_tensor *t = skv_value_tensor(n->inputs[i]);
        if (t && t->dtype == SKIVE_F32 && skive_tensor_count(t) == a->view.out) return t;
    }
    return NULL;
}

static skive_status score(const skv_score_args *a) {
    const skive_tensor *scales = scales_behind(a);
    for (int64_t i = 0; i < a->n; i++) {
        const double size = scales ? fabs((double)((const float *)scales->data)[skv_score_output(a, i)]) : (double)LAST;
        a->score[i] = (float)skv_score_share(a, size);
    }
    return SKIVE_OK;
}

const skv_criterion skv_criterion_scale = {
    .name = "scale",
    .brief = "magnitude of the scale of the normalisation behind the layer (network slimming)",
    .channels_only = true,
    .comparable = true,
    .score = score,
};
