/* LinearAttention: attention whose keys and values are summed up in a state S of d_k x d_v for each head of keys, so
 * that a step costs the same however long the past is (Katharopoulos et al., 2020). With query q, key k, value v, decay
 * g and rate b of a position:
 *
 *     linear         S += k v'                                gated          S = exp(g) S, then as linear
 *     delta          S += k (b (v - S' k))'                   gated_delta    S = exp(g) S, then as delta
 *     y = scale S' q
 *
 * Gated: Yang et al., 2024; delta: Schlag et al., 2021; both: Yang, Kautz & Hatamizadeh, 2025. All heads are packed in
 * the last axis; several heads of queries may read one state. Positions are taken one after the other: chunk_size, a
 * hint for other ways, changes nothing. */
#include <string.h>

#include "ops/common_nn.h"
#include "ops/common_shape.h"

enum { Q, K, V, PAST, DECAY, BETA, INPUTS };

static const skv_attr_spec attrs[] = {
    {"chunk_size", SKV_ATTR_INT, SKV_OPTIONAL},     {"kv_num_heads", SKV_ATTR_INT, SKV_REQUIRED},
    {"q_num_heads", SKV_ATTR_INT, SKV_REQUIRED},    {"scale", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"update_rule", SKV_ATTR_STRING, SKV_OPTIONAL},
};

typedef struct rule {
    const char *name;
    bool gated, delta;
} rule;

static const rule *rule_of(const skive_node *n) {
    static const rule rules[] = {
        {"linear", false, false}, {"gated", true, false}, {"delta", false, true}, {"gated_delta", true, true}};
    const char *name = skv_attr_string(n, "update_rule", "gated_delta");
    for (size_t i = 0; i < SKV_COUNT(rules); i++)
        if (strcmp(rules[i].name, name) == 0) return &rules[i];
    return NULL;
}

static bool fits(int64_t a, int64_t b) { return a < 0 || b < 0 || a == b; }
static int64_t part(int64_t size, int64_t heads) { return size < 0 ? -1 : size / heads; }

static skive_status infer_heads(skv_infer *c, int64_t *q_heads, int64_t *kv_heads) {
    *q_heads = skv_attr_int(c->node, "q_num_heads", 0);
    *kv_heads = skv_attr_int(c->node, "kv_num_heads", 0);
    if (*q_heads < 1 || *kv_heads < 1 || *q_heads > INT32_MAX || *q_heads % *kv_heads != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': %lld heads of queries cannot share %lld of keys",
                              c->node->name, (long long)*q_heads, (long long)*kv_heads);
    for (size_t i = 0; i <= V; i++) {
        const int64_t size = skv_in_dim(c, i, 2), heads = i == Q ? *q_heads : *kv_heads;
        if (size >= 0 && size % heads != 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a width of %lld cannot be divided into %lld heads",
                                  c->node->name, (long long)size, (long long)heads);
    }
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const rule *r = rule_of(c->node);
    int64_t q_heads, kv_heads;
    if (!r)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH,
                              "node '%s': update_rule is \"%s\"; it may be linear, gated, delta or gated_delta",
                              c->node->name, skv_attr_string(c->node, "update_rule", ""));
    if ((skv_in_type(c, DECAY) != NULL) != r->gated || (skv_in_type(c, BETA) != NULL) != r->delta)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': the rule %s takes %s decay and %s beta", c->node->name,
                              r->name, r->gated ? "a" : "no", r->delta ? "a" : "no");
    SKV_TRY(infer_heads(c, &q_heads, &kv_heads));
    SKV_TRY(skv_want_float(c, Q));
    SKV_TRY(skv_want_float(c, PAST));
    for (size_t i = K; i < INPUTS; i++) {
        if (!skv_in_type(c, i)) continue;
        SKV_TRY(skv_want_rank(c, i, i == PAST ? 4 : 3, i == PAST ? 4 : 3));
        if (i != PAST) SKV_TRY(skv_want_same_dtype(c, Q, i));
        if (!fits(skv_in_dim(c, i, 0), skv_in_dim(c, Q, 0)) ||
            (i != PAST && !fits(skv_in_dim(c, i, 1), skv_in_dim(c, Q, 1))))
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu has another batch or length than the query",
                                  c->node->name, i);
    }
    SKV_TRY(skv_want_rank(c, Q, 3, 3));
    const int64_t d_q = part(skv_in_dim(c, Q, 2), q_heads), d_v = part(skv_in_dim(c, V, 2), kv_heads);
    const int64_t d_k = d_q >= 0 ? d_q : part(skv_in_dim(c, K, 2), kv_heads);
    if (!fits(d_q, part(skv_in_dim(c, K, 2), kv_heads)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the heads of queries and keys differ in width",
                              c->node->name);
    const int64_t decay = skv_in_dim(c, DECAY, 2), beta = skv_in_dim(c, BETA, 2);
    if (decay >= 0 && decay != kv_heads && d_k >= 0 && decay != skv_mul_sat(kv_heads, d_k))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "node '%s': the decay has %lld numbers for each position; expected one for each head or "
                              "for each element of a key",
                              c->node->name, (long long)decay);
    if (beta >= 0 && beta != kv_heads && beta != 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "node '%s': beta has %lld numbers for each position; expected one for each head, or 1",
                              c->node->name, (long long)beta);
    if (!fits(skv_in_dim(c, PAST, 1), kv_heads) || !fits(skv_in_dim(c, PAST, 2), d_k) ||
        !fits(skv_in_dim(c, PAST, 3), d_v))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': past_state must have the shape [batch,%lld,%lld,%lld]",
                              c->node->name, (long long)kv_heads, (long long)d_k, (long long)d_v);
    skv_out_like(c, 0, Q);
    if (c->out[0].rank == 3) c->out[0].dims[2] = skv_dim_of(d_v < 0 ? -1 : skv_mul_sat(q_heads, d_v));
    if (c->n_out > 1) {
        const skive_type *q = skv_infer_in(c, Q);
        c->out[1].dtype = (skv_in_type(c, PAST) ? skv_in_type(c, PAST) : q)->dtype;
        c->out[1].rank = 4;
        c->out[1].dims[0] = q->rank == 3 ? q->dims[0] : skv_dim_of(-1);
        c->out[1].dims[1] = skv_dim_of(kv_heads);
        c->out[1].dims[2] = skv_dim_of(d_k);
        c->out[1].dims[3] = skv_dim_of(d_v);
        SKV_TRY(skv_infer_limit(c, &c->out[1]));
    }
    return skv_infer_limit(c, &c->out[0]);
}

typedef struct head {
    int64_t d_k, d_v;
    double *state, *write; /* [d_k][d_v], [d_v] */
} head;

static void update(const head *h, const double *k, const double *v, const double *decay, bool per_key,
                   const double *beta) {
    for (int64_t i = 0; decay && i < h->d_k; i++) {
        const double factor = exp(decay[per_key ? i : 0]);
        for (int64_t m = 0; m < h->d_v; m++) h->state[i * h->d_v + m] *= factor;
    }
    for (int64_t m = 0; m < h->d_v; m++) {
        double known = 0;
        for (int64_t i = 0; beta && i < h->d_k; i++) known += h->state[i * h->d_v + m] * k[i];
        h->write[m] = beta ? *beta * (v[m] - known) : v[m];
    }
    for (int64_t i = 0; i < h->d_k; i++)
        for (int64_t m = 0; m < h->d_v; m++) h->state[i * h->d_v + m] += k[i] * h->write[m];
}

static skive_status run(const skv_eval *c) {
    skv_doubles in[INPUTS] = {{0}};
    skv_result out[2] = {{0}};
    head h = {0};
    skive_status status;
    const int64_t q_heads = skv_attr_int(c->node, "q_num_heads", 1),
                  kv_heads = skv_attr_int(c->node, "kv_num_heads", 1), batch = c->in[Q]->dims[0],
                  length = c->in[Q]->dims[1], group = q_heads / kv_heads;
    const int64_t beta_heads = c->n_in > BETA && c->in[BETA] ? c->in[BETA]->dims[2] : 1;
    h.d_k = c->in[Q]->dims[2] / q_heads;
    h.d_v = c->in[V]->dims[2] / kv_heads;
    const bool per_key = c->n_in > DECAY && c->in[DECAY] && c->in[DECAY]->dims[2] != kv_heads;
    const int64_t decays = per_key ? h.d_k : 1;
    double scale = skv_attr_float(c->node, "scale", 0);
    if (scale == 0) scale = h.d_k ? 1 / sqrt((double)h.d_k) : 0;
    for (size_t i = 0; i < INPUTS && i < c->n_in; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
    for (size_t i = 0; i < 2; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &out[i]));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)(h.d_k * h.d_v) + 1, sizeof(double), &h.state));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)h.d_v + 1, sizeof(double), &h.write));
    for (int64_t bh = 0; bh < batch * kv_heads; bh++) {
        const int64_t b = bh / kv_heads, at = bh % kv_heads;
        for (int64_t e = 0; e < h.d_k * h.d_v; e++) h.state[e] = in[PAST].p ? in[PAST].p[bh * h.d_k * h.d_v + e] : 0;
        for (int64_t t = b * length; t < (b + 1) * length; t++) {
            const double *beta = in[BETA].p ? in[BETA].p + t * beta_heads + (beta_heads == 1 ? 0 : at) : NULL,
                         *decay = in[DECAY].p ? in[DECAY].p + (t * kv_heads + at) * decays : NULL;
            update(&h, in[K].p + (t * kv_heads + at) * h.d_k, in[V].p + (t * kv_heads + at) * h.d_v, decay, per_key,
                   beta);
            for (int64_t g = at * group; out[0].p && g < (at + 1) * group; g++) {
                const double *q = in[Q].p + (t * q_heads + g) * h.d_k;
                double *y = out[0].p + (t * q_heads + g) * h.d_v;
                for (int64_t m = 0; m < h.d_v; m++) {
                    double sum = 0;
                    for (int64_t i = 0; i < h.d_k; i++) sum += q[i] * h.state[i * h.d_v + m];
                    y[m] = scale * sum;
                }
            }
        }
        for (int64_t e = 0; out[1].p && e < h.d_k * h.d_v; e++) out[1].p[bh * h.d_k * h.d_v + e] = h.state[e];
    }
    for (size_t i = 0; i < 2; i++) skv_result_store(&out[i]);
done:
    skv_free(c->ctx, h.state);
    skv_free(c->ctx, h.write);
    for (size_t i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    for (size_t i = 0; i < 2; i++) skv_result_free(c->ctx, &out[i]);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const int64_t kv_heads = skv_attr_int(n, "kv_num_heads", 1), q_heads = skv_attr_int(n, "q_num_heads", 1);
    if (kv_heads < 1 || q_heads < 1) return;
    const int64_t tokens = skv_mul_sat(skv_dim_or_1(n->inputs[Q], 0), skv_dim_or_1(n->inputs[Q], 1)),
                  state =
                      skv_mul_sat(skv_dim_or_1(n->inputs[Q], 2) / q_heads, skv_dim_or_1(n->inputs[V], 2) / kv_heads);
    const rule *r = rule_of(n);
    const int64_t each = skv_add_sat(skv_mul_sat(kv_heads, r && r->delta ? 2 : 1), q_heads);
    out->macs = skv_add_sat(out->macs, skv_mul_sat(tokens, skv_mul_sat(state, each)));
}

static const skv_op_case cases[] = {
    {.name = "linear by hand", /* states 2 and 2 + 15 */
     CASE_IN({CASE_F32(1, 2, 1), CASE_VALUES(1, 10)}, {CASE_F32(1, 2, 1), CASE_VALUES(1, 3)},
             {CASE_F32(1, 2, 1), CASE_VALUES(2, 5)}),
     CASE_ATTRS(CASE_INT("q_num_heads", 1), CASE_INT("kv_num_heads", 1), CASE_STR("update_rule", "linear")),
     .n_out = 2,
     CASE_EXPECT(2, 170),
     .no_grad = true},
    {.name = "gated delta by hand", /* state 8 halved: 4; then 4 + 3 * 0.5 (2 - 12) = -11 */
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 1, 1), CASE_VALUES(3)},
             {CASE_F32(1, 1, 1), CASE_VALUES(2)}, {CASE_F32(1, 1, 1, 1), CASE_VALUES(8)},
             {CASE_F32(1, 1, 1), CASE_VALUES(-0.6931471805599453)}, {CASE_F32(1, 1, 1), CASE_VALUES(0.5)}),
     CASE_ATTRS(CASE_INT("q_num_heads", 1), CASE_INT("kv_num_heads", 1), CASE_FLT("scale", 2)),
     .n_out = 2,
     CASE_EXPECT(-22),
     .no_grad = true},
    {.name = "grouped queries",
     CASE_IN({CASE_F32(2, 3, 8)}, {CASE_F32(2, 3, 4)}, {CASE_F32(2, 3, 6)}, CASE_ABSENT, {CASE_F32(2, 3, 4)}),
     CASE_ATTRS(CASE_INT("q_num_heads", 4), CASE_INT("kv_num_heads", 2), CASE_STR("update_rule", "gated")),
     .n_out = 2,
     CASE_OUT(2, 3, 12),
     .no_grad = true},
};

const skv_op skv_op_linear_attention = {
    .name = "LinearAttention",
    .domain = "",
    .brief = "attention through a state of fixed size",
    .since = 27,
    .min_in = 3,
    .max_in = 6,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
