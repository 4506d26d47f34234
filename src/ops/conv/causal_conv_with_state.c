/* CausalConvWithState: a depthwise convolution over time in which a position sees itself and the k - 1 positions before
 * it, as in Mamba (Gu & Dao, 2023) and gated DeltaNet. What precedes the input is past_state, or zeros; present_state
 * is what precedes the next call's input: the last k - 1 positions. `activation` may be silu (swish is the same). */
#include <string.h>

#include "ops/common_nn.h"
#include "ops/common_pointwise.h"

enum { X, WEIGHT, BIAS, PAST, INPUTS };

static const skv_attr_spec attrs[] = {{"activation", SKV_ATTR_STRING, SKV_OPTIONAL}};

/* -1: unknown name */
static int is_silu(const skive_node *n) {
    const char *name = skv_attr_string(n, "activation", "none");
    if (strcmp(name, "none") == 0) return 0;
    return strcmp(name, "silu") == 0 || strcmp(name, "swish") == 0 ? 1 : -1;
}

static bool fits(int64_t a, int64_t b) { return a < 0 || b < 0 || a == b; }

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, X));
    SKV_TRY(skv_want_rank(c, X, 3, 3));
    SKV_TRY(skv_want_rank(c, WEIGHT, 3, 3));
    SKV_TRY(skv_want_rank(c, PAST, 3, 3));
    for (size_t i = WEIGHT; i < INPUTS; i++)
        if (skv_in_type(c, i)) SKV_TRY(skv_want_same_dtype(c, X, i));
    if (is_silu(c->node) < 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': the activation '%s' is not one of none, silu, swish",
                              c->node->name, skv_attr_string(c->node, "activation", ""));
    int64_t channels = skv_in_dim(c, X, 1), k = skv_in_dim(c, WEIGHT, 2);
    if (channels < 0) channels = skv_in_dim(c, WEIGHT, 0);
    if (!fits(channels, skv_in_dim(c, WEIGHT, 0)) || !fits(1, skv_in_dim(c, WEIGHT, 1)) || k == 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "node '%s': the weight of %lld channels must have the shape [%lld,1,k] with k above 0",
                              c->node->name, (long long)channels, (long long)channels);
    SKV_TRY(skv_want_vector(c, BIAS, channels, "the bias"));
    if (k < 0 && skv_in_dim(c, PAST, 2) >= 0) k = skv_in_dim(c, PAST, 2) + 1;
    if (skv_in_type(c, PAST) && (!fits(skv_in_dim(c, PAST, 0), skv_in_dim(c, X, 0)) ||
                                 !fits(skv_in_dim(c, PAST, 1), channels) || !fits(skv_in_dim(c, PAST, 2), k - 1)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': past_state must have the shape [batch,%lld,%lld]",
                              c->node->name, (long long)channels, (long long)k - 1);
    skv_out_like(c, 0, X);
    if (c->n_out < 2) return SKIVE_OK;
    skv_out_like(c, 1, X);
    if (c->out[1].rank < 0) return SKIVE_OK;
    c->out[1].dims[2] = skv_dim_of(k < 0 ? -1 : k - 1);
    return SKIVE_OK;
}

/* One row: `line` has the k - 1 positions before the input and then the input. */
static void convolve(const double *line, const double *w, double bias, int64_t length, int64_t k, double *y) {
    for (int64_t t = 0; t < length; t++) {
        double sum = bias;
        for (int64_t j = 0; j < k; j++) sum += line[t + j] * w[j];
        y[t] = sum;
    }
}

static skive_status run(const skv_eval *c) {
    static const double one[2] = {1, 0};
    skv_doubles in[INPUTS] = {{0}};
    skv_result out[2] = {{0}};
    double *line = NULL;
    skive_status status;
    const int64_t rows = c->in[X]->dims[0] * c->in[X]->dims[1], length = c->in[X]->dims[2],
                  channels = c->in[X]->dims[1], k = c->in[WEIGHT]->dims[2], before = k - 1;
    for (size_t i = 0; i < INPUTS && i < c->n_in; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
    for (size_t i = 0; i < 2; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &out[i]));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)length + (size_t)k, sizeof *line, &line));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < before; j++) line[j] = in[PAST].p ? in[PAST].p[r * before + j] : 0;
        for (int64_t t = 0; t < length; t++) line[before + t] = in[X].p[r * length + t];
        double *y = out[0].p ? out[0].p + r * length : NULL;
        if (y) convolve(line, in[WEIGHT].p + r % channels * k, in[BIAS].p ? in[BIAS].p[r % channels] : 0, length, k, y);
        for (int64_t t = 0; y && is_silu(c->node) && t < length; t++)
            y[t] = skv_pointwise_at(SKV_PW_SWISH)->value(y[t], one);
        for (int64_t j = 0; out[1].p && j < before; j++) out[1].p[r * before + j] = line[length + j];
    }
    for (size_t i = 0; i < 2; i++) skv_result_store(&out[i]);
done:
    skv_free(c->ctx, line);
    for (size_t i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    for (size_t i = 0; i < 2; i++) skv_result_free(c->ctx, &out[i]);
    return status;
}

static void couple(skv_couple *c) {
    const skv_slot batch = SKV_CIN(X, 0), channel = SKV_CIN(X, 1);
    for (int o = 0; o < 2; o++) {
        skv_couple_same(c, SKV_COUT(o, 0), batch);
        skv_couple_same(c, SKV_COUT(o, 1), channel);
    }
    skv_couple_same(c, SKV_CIN(PAST, 0), batch);
    skv_couple_same(c, SKV_CIN(PAST, 1), channel);
    skv_couple_same(c, SKV_CIN(WEIGHT, 0), channel);
    skv_couple_same(c, SKV_CIN(BIAS, 0), channel);
}

static void cost(const skive_node *n, skive_cost *out) {
    out->macs =
        skv_add_sat(out->macs, skv_mul_sat(skv_type_count(&n->outputs[0]->type), skv_dim_or_1(n->inputs[WEIGHT], 2)));
}

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = 0,
     .in_axis = 1,
     .data = X,
     .data_axis = 1,
     .result_axis = 1,
     .channels = "filters"},
    {.role = SKV_ROLE_BIAS},
};

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_F32(2, 1, 2), CASE_VALUES(10, 1, 0, -1)},
             {CASE_F32(2), CASE_VALUES(0.5, 0)}),
     .n_out = 2,
     CASE_EXPECT(1.5, 12.5, 23.5, -4, -5, -6),
     CASE_OUT(1, 2, 3),
     .no_grad = true},
    {.name = "with a past and SiLU",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 1, 3), CASE_VALUES(1, -1, 2)}, CASE_ABSENT,
             {CASE_F32(1, 1, 2), CASE_VALUES(3, 4)}),
     CASE_ATTRS(CASE_STR("activation", "silu")),
     .n_out = 2,
     CASE_EXPECT(0.7310585786300049),
     .no_grad = true},
};

const skv_op skv_op_causal_conv_with_state = {
    .name = "CausalConvWithState",
    .domain = "",
    .brief = "causal depthwise convolution over time with a state",
    .since = 27,
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .couple = couple,
    .cost = cost,
    SKV_LIST(cases),
};
