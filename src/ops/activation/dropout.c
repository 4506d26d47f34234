/* Dropout (Srivastava et al., 2014), in the form of opset 13: inputs data, ratio (default 0.5), training_mode (default
 * false); outputs y and the mask of kept elements. In training, element i is kept if Philox's uniform number i is at
 * least `ratio`, and then scaled by 1 / (1 - ratio); otherwise the data is unchanged.
 *
 * The random stream: key = the attribute `seed` if there is one, otherwise the context's seed; stream = the hash of the
 * node's name with the run counter as seed. Every implementation must use the same numbers. */
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {
    {"seed", SKV_ATTR_INT, SKV_OPTIONAL},
};

/* Opset 7 and 10 had the ratio as an attribute and no training. Their mask, when read, was of another type. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    skv_node_remove_attr(n, "is_test");
    if (from >= 12) return SKIVE_OK;
    const skv_attr *ratio = skv_node_attr(n, "ratio");
    if (!ratio) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *value = skv_emit_scalar(&b, SKIVE_F32, ratio->f);
    SKV_TRY(b.status);
    SKV_TRY(skv_node_set_input(n, 1, value));
    skv_node_remove_attr(n, "ratio");
    return SKIVE_OK;
}

/* A scalar input that is a constant; `fallback` when absent. false: unknown. */
static bool scalar(const skive_tensor *t, bool present, double fallback, double *out) {
    *out = fallback;
    if (!present) return true;
    if (!t || skive_tensor_count(t) != 1 || !t->data) return false;
    *out = skive_tensor_get(t, 0);
    return true;
}

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_float(c, 1));
    SKV_TRY(skv_want_dtype(c, 2, SKIVE_BOOL));
    for (size_t i = 1; i < 3 && i < c->n_in; i++) {
        const skive_type *t = c->in[i];
        if (t && t->rank > 0 && !(t->rank == 1 && (t->dims[0].size == 1 || t->dims[0].size < 0)))
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "Dropout: input %zu must be a scalar", i);
    }
    skv_out_like(c, 0, 0);
    skv_out_like(c, 1, 0);
    if (c->n_out > 1) c->out[1].dtype = SKIVE_BOOL;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    double ratio, training;
    const skive_tensor *r = c->n_in > 1 ? c->in[1] : NULL, *t = c->n_in > 2 ? c->in[2] : NULL;
    scalar(r, r != NULL, 0.5, &ratio);
    scalar(t, t != NULL, 0.0, &training);
    if (!(ratio >= 0.0 && ratio < 1.0))
        return skv_fail_at(c->ctx, SKIVE_ERR_ARGUMENT, c->node->name,
                           "Dropout: the ratio is %g, expected 0 <= ratio < 1", ratio);
    skv_doubles x = {0};
    skv_result y = {0};
    skive_status status;
    bool random = training != 0.0 && ratio > 0.0;
    uint8_t *mask = c->n_out > 1 && c->out[1] ? c->out[1]->data : NULL;
    const skv_attr *seed = skv_node_attr(c->node, "seed");
    uint64_t key = seed ? (uint64_t)seed->i : skive_context_seed(c->ctx);
    uint64_t stream = skv_hash64(c->node->name, strlen(c->node->name), c->step);
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    for (size_t i = 0; i < x.n; i++) {
        bool keep = !random || skv_rng_uniform(key, stream, i) >= ratio;
        if (mask) mask[i] = keep;
        if (y.p) y.p[i] = !keep ? 0.0 : random ? x.p[i] / (1.0 - ratio) : x.p[i];
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    skv_builder *b = c->b;
    double ratio, training;
    SKV_TRY(skv_grad_only_first(c, 1));
    if (!c->need[0]) return SKIVE_OK;
    if (!scalar(skv_value_tensor(skv_node_in(n, 1)), skv_node_in(n, 1) != NULL, 0.5, &ratio) ||
        !scalar(skv_value_tensor(skv_node_in(n, 2)), skv_node_in(n, 2) != NULL, 0.0, &training))
        return skv_fail_at(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "Dropout: the gradient needs a constant ratio and training_mode");
    if (training == 0.0 || ratio == 0.0) {
        c->din[0] = skv_emit(b, "Identity", SKV_IN(c->dout[0]), SKV_NONE);
        return b->status;
    }
    SKV_TRY(skv_node_need_outputs(n, 2));
    skive_dtype dtype = n->inputs[0]->type.dtype;
    skive_value *kept = skv_emit(b, "Cast", SKV_IN(n->outputs[1]), SKV_ATTRS(SKV_INT("to", dtype)));
    skive_value *scaled =
        skv_emit(b, "Mul", SKV_IN(c->dout[0], skv_emit_scalar(b, dtype, 1.0 / (1.0 - ratio))), SKV_NONE);
    c->din[0] = skv_emit(b, "Mul", SKV_IN(scaled, kept), SKV_NONE);
    return b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    for (int a = 0; x && a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (skv_couple_type(c, SKV_COUT(1, a))) skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(1, a));
    }
}

static skv_range range(const skive_node *n, const skv_range *in) {
    double training;
    const skive_value *mode = skv_node_in(n, 2);
    if (scalar(skv_value_tensor(mode), mode != NULL, 0.0, &training) && training == 0.0) return in[0];
    return skv_range_any();
}

static void cost(const skive_node *n, skive_cost *out) { skv_cost_per_element(n, out); }

static const skv_op_case cases[] = {
    {.name = "inference", CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, -2, 3, 4)}), .n_out = 2, CASE_EXPECT(1, -2, 3, 4)},
    {.name = "training, ratio 0",
     CASE_IN({CASE_F32(3), CASE_VALUES(1, -2, 3)}, {CASE_SCALAR(SKIVE_F32, 0), .constant = true},
             {CASE_SCALAR(SKIVE_BOOL, 1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, -2, 3)},
    {.name = "training",
     CASE_IN({CASE_F32(4, 8)}, {CASE_SCALAR(SKIVE_F32, 0.25), .constant = true},
             {CASE_SCALAR(SKIVE_BOOL, 1), .constant = true}),
     CASE_ATTRS(CASE_INT("seed", 7)),
     .n_out = 2},
    {.name = "training, mask not asked for",
     CASE_IN({CASE_F32(4, 8)}, CASE_ABSENT, {CASE_SCALAR(SKIVE_BOOL, 1), .constant = true}),
     .n_out = 1},
};

const skv_op skv_op_dropout = {
    .name = "Dropout",
    .domain = "",
    .brief = "zeroes a random part of its input in training",
    .since = 13,
    .min_in = 1,
    .max_in = 3,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .import = import,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = range,
    .cost = cost,
    SKV_LIST(cases),
    .random = true,
};
