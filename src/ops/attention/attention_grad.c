/* AttentionGrad(dY, Q, K, V[, mask]) -> dQ, dK, dV[, dS]: the gradient of Attention without past. With P the
 * probabilities and S the scores the softmax takes, computed anew:
 *
 *     dV = P' dY;  dP = dY V';  dS = P (dP - sum of dP P);  dT = dS * scale * (1 - tanh^2(T / softcap))
 *     dQ = dT K;  dK = dT' Q
 *
 * Heads of queries that share keys add up. dS is [batch][heads][queries][keys], for the mask. */
#include "ops/attention/common_attention.h"

static const skv_attr_spec attrs[] = {
    {"is_causal", SKV_ATTR_INT, SKV_OPTIONAL},         {"kv_num_heads", SKV_ATTR_INT, SKV_OPTIONAL},
    {"q_num_heads", SKV_ATTR_INT, SKV_OPTIONAL},       {"qk_matmul_output_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"scale", SKV_ATTR_FLOAT, SKV_OPTIONAL},           {"softcap", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"softmax_precision", SKV_ATTR_INT, SKV_OPTIONAL}, {"left_window_size", SKV_ATTR_INT, SKV_OPTIONAL},
    {"right_window_size", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_attention a;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_attention_infer(c, 1, &a));
    for (size_t o = 0; o < 3 && o < c->n_out; o++) skv_out_like(c, o, o + 1);
    if (c->n_out > 3) c->out[3].dtype = c->in[0]->dtype;
    for (size_t i = 0; i < 4; i++) {
        if (!skv_in_ranked(c, i)) return SKIVE_OK;
    }
    const int64_t packed[] = {a.batch, a.q_len, a.v_size < 0 ? -1 : skv_mul_sat(a.q_heads, a.v_size)};
    const int64_t apart[] = {a.batch, a.q_heads, a.q_len, a.v_size};
    bool fits = c->in[0]->rank == c->in[1]->rank;
    for (int d = 0; fits && d < c->in[0]->rank; d++) {
        const int64_t have = skv_in_dim(c, 0, d), want = a.packed ? packed[d] : apart[d];
        fits = have < 0 || want < 0 || have == want;
    }
    if (!fits) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "AttentionGrad: the gradient does not fit the output");
    if (c->n_out < 4) return SKIVE_OK;
    const skive_type *mask = skv_in_type(c, 1 + SKV_ATT_MASK);
    if (mask && mask->rank > 0 && skv_in_dim(c, 1 + SKV_ATT_MASK, mask->rank - 1) > 1 && a.kv_len >= 0 &&
        skv_in_dim(c, 1 + SKV_ATT_MASK, mask->rank - 1) != a.kv_len)
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "a mask shorter than the keys has no gradient");
    const int64_t scores[] = {a.batch, a.q_heads, a.q_len, a.kv_len};
    c->out[3].rank = 4;
    for (int d = 0; d < 4; d++) c->out[3].dims[d] = skv_dim_of(scores[d]);
    return SKIVE_OK;
}

typedef struct buffers {
    skv_doubles in[5]; /* dY, Q, K, V, mask */
    skv_result out[4];
    double *k, *v, *stages; /* stages: four of the forward run, one for dS */
} buffers;

static void one_query(const skv_attention *a, const buffers *m, int64_t b, int64_t h, int64_t i) {
    double *stage[4], *ds = m->stages + 4 * a->kv_len, sum = 0;
    const int64_t shared = h / (a->q_heads / a->kv_heads);
    const int64_t at = skv_attention_at(a->packed, b, h, i, a->q_heads, a->q_len, a->size);
    const double *dy = m->in[0].p + skv_attention_at(a->packed, b, h, i, a->q_heads, a->q_len, a->v_size);
    const double *k = m->k + (b * a->kv_heads + shared) * a->kv_len * a->size;
    const double *v = m->v + (b * a->kv_heads + shared) * a->kv_len * a->v_size;
    for (int s = 0; s < 4; s++) stage[s] = m->stages + s * a->kv_len;
    skv_attention_row(a, m->in[1].p, m->k, m->in[4].p, b, h, i, stage);
    for (int64_t j = 0; j < a->kv_len; j++) {
        double dp = 0;
        double *dv = m->out[2].p;
        if (dv) dv += skv_attention_at(a->packed, b, shared, j, a->kv_heads, a->new_len, a->v_size);
        for (int64_t d = 0; d < a->v_size; d++) {
            dp += dy[d] * v[j * a->v_size + d];
            if (dv) dv[d] += stage[3][j] * dy[d];
        }
        ds[j] = dp;
        sum += dp * stage[3][j];
    }
    for (int64_t j = 0; j < a->kv_len; j++) {
        ds[j] = stage[3][j] * (ds[j] - sum);
        if (m->out[3].p) m->out[3].p[((b * a->q_heads + h) * a->q_len + i) * a->kv_len + j] = ds[j];
        const double bent = a->softcap > 0 ? stage[1][j] / a->softcap : 0, dt = ds[j] * a->scale * (1 - bent * bent);
        double *dq = m->out[0].p ? m->out[0].p + at : NULL, *dk = m->out[1].p;
        if (dk) dk += skv_attention_at(a->packed, b, shared, j, a->kv_heads, a->new_len, a->size);
        for (int64_t d = 0; d < a->size; d++) {
            if (dq) dq[d] += dt * k[j * a->size + d];
            if (dk) dk[d] += dt * m->in[1].p[at + d];
        }
    }
}

static skive_status run(const skv_eval *c) {
    skive_type types[SKV_ATT_INPUTS];
    const skive_type *in[SKV_ATT_INPUTS] = {NULL};
    buffers m = {0};
    skive_status status;
    for (size_t i = 1; i < c->n_in && i < 5; i++) {
        if (!c->in[i]) continue;
        types[i - 1] = skive_type_make(c->in[i]->dtype, c->in[i]->rank, c->in[i]->dims);
        in[i - 1] = &types[i - 1];
    }
    const skv_attention a = skv_attention_of(c->node, in);
    for (size_t i = 0; i < 5 && i < c->n_in; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &m.in[i]));
    for (size_t i = 0; i < 4; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &m.out[i]));
    if (m.in[0].n == 0) goto store; /* no gradients arrive; the number of heads may be anything */
    SKV_GO(status, done, skv_attention_join(c->ctx, &a, NULL, m.in[2].p, a.size, &m.k));
    SKV_GO(status, done, skv_attention_join(c->ctx, &a, NULL, m.in[3].p, a.v_size, &m.v));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)a.kv_len + 1, 5 * sizeof(double), &m.stages));
    for (size_t o = 0; o < 3; o++) {
        for (size_t i = 0; m.out[o].p && i < m.out[o].n; i++) m.out[o].p[i] = 0;
    }
    for (int64_t b = 0; b < a.batch; b++) {
        for (int64_t h = 0; h < a.q_heads; h++) {
            for (int64_t i = 0; i < a.q_len; i++) one_query(&a, &m, b, h, i);
        }
    }
store:
    for (size_t i = 0; i < 4; i++) skv_result_store(&m.out[i]);
done:
    skv_free(c->ctx, m.k);
    skv_free(c->ctx, m.v);
    skv_free(c->ctx, m.stages);
    for (size_t i = 0; i < 5; i++) skv_doubles_free(c->ctx, &m.in[i]);
    for (size_t i = 0; i < 4; i++) skv_result_free(c->ctx, &m.out[i]);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 8; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    /* P = 1/4 3/4; dP = 4 8, their mean 7: dS = -3/4 3/4; dQ = 3/4 ln 3 */
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 1, 1, 1), CASE_VALUES(1)},
             {CASE_F32(1, 1, 2, 1), CASE_VALUES(0, 1.0986122886681098)}, {CASE_F32(1, 1, 2, 1), CASE_VALUES(4, 8)}),
     .n_out = 3,
     CASE_EXPECT(0.8239592165010824)},
};

const skv_op skv_op_attention_grad = {
    .name = "AttentionGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of Attention",
    .since = 1,
    .min_in = 4,
    .max_in = 5,
    .min_out = 1,
    .max_out = 4,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
