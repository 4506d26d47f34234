/* BatchNormalization behind a product with integer weights, in inference mode, is folded into the scales of the weights
 * and the bias; the integers stay, with their sign turned where the normalisation turns it. With
 * s = scale / sqrt(variance + epsilon), the scale of output channel c is multiplied by |s[c]| and the bias becomes
 * (bias - mean) * s + shift. So a network that was trained with quantized weights in front of a normalisation
 * (Esser et al. 2020; Rastegari et al. 2016) runs in integers.
 *
 * A channel that the normalisation makes so small that its bias, in steps of input scale times weight scale, would not
 * fit into 32 bits gets a larger scale and its weights are rounded to that. */
#include <math.h>

#include "graph/linear.h"
#include "passes/match.h"
#include "passes/pass.h"
#include "passes/quantized.h"
#include "tensor/tensor.h"

#define MOST_BIAS (1 << 29) /* a quarter of the range is for the products; integers of 4 bits count 16 times */

typedef struct norm {
    skive_node *bn, *product;
    skv_linear l;
    skv_q_weights w;
    const float *scale, *shift, *mean, *variance, *bias; /* bias NULL: none */
    double epsilon;
    float x_scale; /* of the input; 0: it is not quantized */
} norm;

static const float *constant(const skive_value *v, int64_t n) {
    const skive_tensor *t = v ? skv_value_tensor(v) : NULL;
    return t && t->dtype == SKIVE_F32 && skive_tensor_count(t) == n ? t->data : NULL;
}

static bool foldable(const skv_pass_env *env, skive_node *bn, norm *out) {
    skv_q_grid x;
    if (!skv_node_is(bn, SKV_OP_BATCH_NORMALIZATION) || bn->n_inputs < 5 || skv_attr_int(bn, "training_mode", 0) != 0)
        return false;
    skive_node *n = bn->inputs[0] ? bn->inputs[0]->producer : NULL;
    *out = (norm){.bn = bn, .product = n, .epsilon = skv_attr_float(bn, "epsilon", 1e-5)};
    if (!skv_linear_channels(n, &out->l) || !skv_pass_hidden(env, bn->inputs[0])) return false;
    if (skv_pass_keeps(env, bn->outputs[0])) return false;
    if (!skv_quantized_weights(n, &out->w) || out->w.zero_point != 0) return false;
    out->scale = constant(bn->inputs[1], out->w.m);
    out->shift = constant(bn->inputs[2], out->w.m);
    out->mean = constant(bn->inputs[3], out->w.m);
    out->variance = constant(bn->inputs[4], out->w.m);
    const skive_value *bias = skv_node_in(n, (size_t)out->l.bias);
    out->bias = constant(bias, out->w.m);
    if (skv_dequantized(n->inputs[out->l.view.data], &x)) out->x_scale = x.scale;
    return out->scale && out->shift && out->mean && out->variance && (out->bias || !bias);
}

/* One channel: its new scale and bias, and what its integers are multiplied with. */
static double fold_channel(const norm *f, int64_t c, float *scale, float *bias) {
    const double s = (double)f->scale[c] / sqrt((double)f->variance[c] + f->epsilon);
    const double old = (double)f->w.scale[f->w.n_scales > 1 ? c : 0], base = f->bias ? (double)f->bias[c] : 0;
    const float exact = (float)(old * fabs(s));
    *bias = (float)((base - (double)f->mean[c]) * s + (double)f->shift[c]);
    const float need = f->x_scale > 0 ? (float)(fabs((double)*bias) * 16 / ((double)f->x_scale * MOST_BIAS)) : 0;
    *scale = exact > need ? exact : need;
    if (!(*scale > 0)) *scale = 1;
    const double factor = *scale == exact ? 1 : (double)exact / (double)*scale;
    return s < 0 ? -factor : factor;
}

static skive_status fold(skive_graph *g, const norm *f, size_t *changes) {
    const skive_tensor *q = f->w.q;
    const int64_t count = skive_tensor_count(q), m = f->w.m;
    int8_t *codes = NULL;
    double *factor = NULL;
    skv_storage *scales = NULL, *biases = NULL, *integers = NULL;
    skv_builder b = skv_build(g);
    bool fits = true;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)count + 1, 1, &codes));
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)m, sizeof *factor, &factor));
    SKV_GO(status, done, skv_storage_create(g->ctx, SKIVE_F32, 1, &m, &scales));
    SKV_GO(status, done, skv_storage_create(g->ctx, SKIVE_F32, 1, &m, &biases));
    for (int64_t c = 0; c < m; c++)
        factor[c] = fold_channel(f, c, (float *)scales->tensor.data + c, (float *)biases->tensor.data + c);
    const int64_t run = f->w.columns ? 1 : f->w.k;
    for (int64_t i = 0; i < count; i++) {
        const double v = rint((double)skv_load_i64(q->dtype, q->data, (size_t)i) * factor[i / run % m]);
        fits = fits && v <= 127;
        codes[i] = (int8_t)(v > 127 ? 127 : v);
    }
    for (int64_t c = 0; c < m; c++) {
        fits = fits && isfinite(((float *)scales->tensor.data)[c]) && isfinite(((float *)biases->tensor.data)[c]);
    }
    if (!fits) goto done; /* -128 turned around; the node stays */
    SKV_GO(status, done, skv_storage_of_integers(g->ctx, codes, q->rank, q->dims, &integers));
    skive_value *old = f->w.value, *fresh = skv_emit_param(&b, NULL, integers);
    skive_value *scale = skv_emit_param(&b, NULL, scales);
    scales = NULL;
    skive_value *bias = skv_emit_param(&b, NULL, biases);
    biases = NULL;
    skive_value *real =
        skv_emit(&b, "DequantizeLinear", SKV_IN(fresh, scale), SKV_ATTRS(SKV_INT("axis", f->w.columns ? 1 : 0)));
    SKV_GO(status, done, b.status);
    const char *name = old->n_uses == 1 ? old->name : NULL;
    skive_node *dequantize = f->product->inputs[f->l.weight]->producer;
    SKV_GO(status, done, skv_node_set_input(f->product, (size_t)f->l.bias, bias));
    SKV_GO(status, done, skv_node_set_input(f->product, (size_t)f->l.weight, real));
    SKV_GO(status, done, skv_value_replace_uses(f->bn->outputs[0], f->product->outputs[0], true));
    SKV_GO(status, done, skv_graph_remove_node(f->bn));
    ++*changes;
    if (name && dequantize->outputs[0]->n_uses == 0 && dequantize->outputs[0]->output_uses == 0) {
        SKV_GO(status, done, skv_graph_remove_node(dequantize));
        SKV_GO(status, done, skv_graph_remove_value(old));
        status = skv_value_rename(fresh, name);
    }
done:
    skv_free(g->ctx, codes);
    skv_free(g->ctx, factor);
    skv_storage_release(scales);
    skv_storage_release(biases);
    return status;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    norm f;
    if (!skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) || !foldable(env, n, &f)) return SKIVE_OK;
    return fold(g, &f, changes);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fold_quantized_norm = {
    .name = "fold-quantized-norm",
    .brief = "folds BatchNormalization into the scales of the integer weights before it",
    .when = SKV_PASS_INTEGER,
    .run = run,
};
