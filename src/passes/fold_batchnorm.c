/* BatchNormalization after an operator that its record calls linear, in inference mode, is folded into the weights:
 * with s = scale / sqrt(variance + epsilon) the weights of output channel c are multiplied by s[c], and the bias
 * becomes (bias - mean) * s + shift. */
#include <math.h>
#include <string.h>

#include "graph/linear.h"
#include "graph/marks.h"
#include "passes/match.h"
#include "passes/pass.h"
#include "tensor/tensor.h"

/* All inputs of the folding must be constant and have no other use. */
static bool foldable(const skv_pass_env *env, const skive_node *bn, skv_linear *l) {
    if (!skv_node_is(bn, SKV_OP_BATCH_NORMALIZATION) || bn->n_inputs < 5 || skv_attr_int(bn, "training_mode", 0) != 0)
        return false;
    const skive_value *x = bn->inputs[0];
    const skive_node *n = x ? x->producer : NULL;
    if (!skv_linear_channels(n, l) || !skv_pass_hidden(env, x)) return false;
    const skive_value *params[] = {n->inputs[l->weight], skv_node_in(n, (size_t)l->bias),
                                   bn->inputs[1],        bn->inputs[2],
                                   bn->inputs[3],        bn->inputs[4]};
    for (size_t i = 0; i < SKV_COUNT(params); i++) {
        if (!params[i]) {
            if (i == 1) continue;
            return false;
        }
        if (!skv_value_is_param(params[i]) || params[i]->type.dtype != SKIVE_F32 ||
            (env->training && skv_value_changes(params[i])))
            return false;
    }
    const skive_value *b = params[1];
    const int64_t channels = skive_tensor_count(skv_value_tensor(bn->inputs[1]));
    return !b ||
           (skive_tensor_count(skv_value_tensor(b)) == channels && b->type.dims[b->type.rank - 1].size == channels);
}

static skive_status fold(skive_graph *g, skive_node *bn, const skv_linear *l, size_t *changes) {
    skive_node *n = bn->inputs[0]->producer;
    skive_value *old_w = n->inputs[l->weight], *old_b = skv_node_in(n, (size_t)l->bias);
    const skive_tensor *w = skv_value_tensor(old_w), *b = skv_value_tensor(old_b);
    const float *scale = skv_value_tensor(bn->inputs[1])->data, *shift = skv_value_tensor(bn->inputs[2])->data;
    const float *mean = skv_value_tensor(bn->inputs[3])->data, *variance = skv_value_tensor(bn->inputs[4])->data;
    const double epsilon = skv_attr_float(bn, "epsilon", 1e-5);
    const int64_t channels = skive_tensor_count(skv_value_tensor(bn->inputs[1])), count = skive_tensor_count(w);
    /* In groups a ConvTranspose has the channels of one group along its axis. */
    if (channels == 0 || l->view.out != channels) return SKIVE_OK;
    skv_storage *new_w = NULL, *new_b = NULL;
    skv_builder builder = skv_build(g);
    skive_tensor open = {0};
    SKV_TRY(skv_tensor_create_open(g->ctx, SKIVE_F32, w->rank, w->dims, &open));
    skive_status status = skv_storage_take(g->ctx, &open, &new_w);
    if (status == SKIVE_OK) status = skv_storage_create(g->ctx, SKIVE_F32, 1, &channels, &new_b);
    if (status != SKIVE_OK) {
        skive_tensor_free(g->ctx, &open);
        skv_storage_release(new_w);
        return status;
    }
    float *to = new_w->tensor.data, *bias = new_b->tensor.data;
    const float *from = w->data;
    int64_t run = 1;
    for (int d = l->view.out_axis + 1; d < w->rank; d++) run *= w->dims[d];
    for (int64_t first = 0, c = 0; first < count; first += run, c = c + 1 < channels ? c + 1 : 0) {
        const double by = (double)scale[c] / sqrt((double)variance[c] + epsilon);
        for (int64_t i = first; i < first + run; i++) to[i] = (float)((double)from[i] * by);
    }
    for (int64_t c = 0; c < channels; c++) {
        const double s = (double)scale[c] / sqrt((double)variance[c] + epsilon),
                     old = b ? (double)((const float *)b->data)[c] : 0;
        bias[c] = (float)((old - (double)mean[c]) * s + (double)shift[c]);
    }
    /* The weight keeps its name, which reports and skip lists use. */
    const char *w_name = old_w->n_uses == 1 ? old_w->name : NULL;
    skive_value *fresh_w = skv_emit_param(&builder, NULL, new_w), *fresh_b = skv_emit_param(&builder, NULL, new_b);
    SKV_TRY(builder.status);
    skv_value_take_marks(fresh_w, old_w);
    fresh_b->trainable = old_w->trainable;
    SKV_TRY(skv_node_set_input(n, (size_t)l->bias, fresh_b));
    SKV_TRY(skv_node_set_input(n, (size_t)l->weight, fresh_w));
    SKV_TRY(skv_value_replace_uses(bn->outputs[0], n->outputs[0], true));
    SKV_TRY(skv_graph_remove_node(bn));
    ++*changes;
    if (!w_name) return SKIVE_OK;
    SKV_TRY(skv_graph_remove_value(old_w));
    return skv_value_rename(fresh_w, w_name);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    skv_linear l;
    if (!foldable(env, n, &l) || (env->keep && env->keep(env->keep_user, n->outputs[0]))) return SKIVE_OK;
    /* The model's output keeps its name and producer. */
    return n->outputs[0]->output_uses > 0 ? SKIVE_OK : fold(g, n, &l, changes);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fold_batchnorm = {
    .name = "fold-batchnorm",
    .brief = "folds BatchNormalization into the weights before it",
    .when = SKV_PASS_INFERENCE | SKV_PASS_TRAINING,
    .run = run,
};
