/* Attention (Vaswani et al., 2017), as of opset 25: for each head, softmax(scale Q K' + mask) V. Q may have more
 * heads than K and V (grouped queries: head h reads keys h / (q_heads / kv_heads)); past_key and past_value are
 * prepended to K and V, or nonpad_kv_seqlen says how many keys of each sample are no padding; left_window_size and
 * right_window_size limit how far from its own position a query sees; softcap bounds the scores by softcap * tanh(score
 * / softcap) before the mask. With 3 dimensions the heads are concatenated in the last one. Outputs: Y, present_key,
 * present_value, and the scores at the stage that qk_matmul_output_mode names. */
#include "ops/attention/common_attention.h"

static const skv_attr_spec attrs[] = {
    {"is_causal", SKV_ATTR_INT, SKV_OPTIONAL},         {"kv_num_heads", SKV_ATTR_INT, SKV_OPTIONAL},
    {"q_num_heads", SKV_ATTR_INT, SKV_OPTIONAL},       {"qk_matmul_output_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"scale", SKV_ATTR_FLOAT, SKV_OPTIONAL},           {"softcap", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"softmax_precision", SKV_ATTR_INT, SKV_OPTIONAL}, {"left_window_size", SKV_ATTR_INT, SKV_OPTIONAL},
    {"right_window_size", SKV_ATTR_INT, SKV_OPTIONAL},
};

static int64_t product(int64_t a, int64_t b) { return a < 0 || b < 0 ? -1 : skv_mul_sat(a, b); }

static skive_status infer(skv_infer *c) {
    skv_attention a;
    const int64_t mode = skv_attr_int(c->node, "qk_matmul_output_mode", 0);
    if (mode < 0 || mode > 3)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "qk_matmul_output_mode is %lld; it may be 0 to 3", (long long)mode);
    if (!(skv_attr_float(c->node, "softcap", 0) >= 0))
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "softcap must not be negative");
    SKV_TRY(skv_attention_infer(c, 0, &a));
    for (size_t o = 0; o < c->n_out; o++) c->out[o].dtype = c->in[o == 2 ? SKV_ATT_V : SKV_ATT_Q]->dtype;
    if (a.batch < 0 && !skv_in_ranked(c, SKV_ATT_Q)) return SKIVE_OK;
    for (size_t i = 0; i < 3; i++) {
        if (!skv_in_ranked(c, i)) return SKIVE_OK;
    }
    const int64_t packed[] = {a.batch, a.q_len, product(a.q_heads, a.v_size)};
    const int64_t shapes[4][4] = {{a.batch, a.q_heads, a.q_len, a.v_size},
                                  {a.batch, a.kv_heads, a.kv_len, a.size},
                                  {a.batch, a.kv_heads, a.kv_len, a.v_size},
                                  {a.batch, a.q_heads, a.q_len, a.kv_len}};
    for (size_t o = 0; o < c->n_out && o < 4; o++) {
        const bool flat = o == 0 && a.packed;
        c->out[o].rank = flat ? 3 : 4;
        for (int d = 0; d < c->out[o].rank; d++) c->out[o].dims[d] = skv_dim_of(flat ? packed[d] : shapes[o][d]);
    }
    /* Names of dimensions are kept where possible. */
    c->out[0].dims[0] = c->in[0]->dims[0];
    c->out[0].dims[a.packed ? 1 : 2] = c->in[0]->dims[a.packed ? 1 : 2];
    return SKIVE_OK;
}

typedef struct buffers {
    skv_doubles in[SKV_ATT_INPUTS];
    skv_result out[4];
    double *k, *v, *stages;
} buffers;

static void attend(const skv_attention *a, const buffers *m, int64_t mode) {
    double *stage[4];
    for (int s = 0; s < 4; s++) stage[s] = m->stages + s * a->kv_len;
    const int64_t group = a->q_heads / a->kv_heads;
    for (int64_t b = 0; b < a->batch; b++) {
        for (int64_t h = 0; h < a->q_heads; h++) {
            const double *v = m->v + (b * a->kv_heads + h / group) * a->kv_len * a->v_size;
            for (int64_t i = 0; i < a->q_len; i++) {
                skv_attention_row(a, m->in[SKV_ATT_Q].p, m->k, m->in[SKV_ATT_MASK].p, b, h, i, stage);
                double *y = m->out[0].p;
                if (y) y += skv_attention_at(a->packed, b, h, i, a->q_heads, a->q_len, a->v_size);
                for (int64_t d = 0; y && d < a->v_size; d++) {
                    double sum = 0;
                    for (int64_t j = 0; j < a->kv_len; j++) sum += stage[3][j] * v[j * a->v_size + d];
                    y[d] = sum;
                }
                double *shown = m->out[3].p;
                if (shown) shown += ((b * a->q_heads + h) * a->q_len + i) * a->kv_len;
                for (int64_t j = 0; shown && j < a->kv_len; j++) shown[j] = stage[mode][j];
            }
        }
    }
}

static skive_status run(const skv_eval *c) {
    skive_type types[SKV_ATT_INPUTS];
    const skive_type *in[SKV_ATT_INPUTS] = {NULL};
    buffers m = {0};
    skive_status status;
    for (size_t i = 0; i < SKV_ATT_INPUTS && i < c->n_in; i++) {
        if (!c->in[i]) continue;
        types[i] = skive_type_make(c->in[i]->dtype, c->in[i]->rank, c->in[i]->dims);
        in[i] = &types[i];
    }
    skv_attention a = skv_attention_of(c->node, in);
    SKV_GO(status, done,
           skv_attention_lengths(c->ctx, c->node, in[SKV_ATT_LENGTHS] ? c->in[SKV_ATT_LENGTHS]->data : NULL, &a));
    for (size_t i = 0; i < SKV_ATT_LENGTHS && i < c->n_in; i++)
        SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &m.in[i]));
    for (size_t i = 0; i < 4; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &m.out[i]));
    SKV_GO(status, done, skv_attention_join(c->ctx, &a, m.in[SKV_ATT_PAST_K].p, m.in[SKV_ATT_K].p, a.size, &m.k));
    SKV_GO(status, done, skv_attention_join(c->ctx, &a, m.in[SKV_ATT_PAST_V].p, m.in[SKV_ATT_V].p, a.v_size, &m.v));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)a.kv_len + 1, 4 * sizeof(double), &m.stages));
    attend(&a, &m, skv_attr_int(c->node, "qk_matmul_output_mode", 0));
    for (size_t i = 0; i < m.out[1].n && m.out[1].p; i++) m.out[1].p[i] = m.k[i];
    for (size_t i = 0; i < m.out[2].n && m.out[2].p; i++) m.out[2].p[i] = m.v[i];
    for (size_t i = 0; i < 4; i++) skv_result_store(&m.out[i]);
done:
    skv_free(c->ctx, m.k);
    skv_free(c->ctx, m.v);
    skv_free(c->ctx, m.stages);
    for (size_t i = 0; i < SKV_ATT_INPUTS; i++) skv_doubles_free(c->ctx, &m.in[i]);
    for (size_t i = 0; i < 4; i++) skv_result_free(c->ctx, &m.out[i]);
    return status;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    SKV_TRY(skv_grad_only_first(c, 1));
    if (!c->dout[0]) return SKIVE_OK;
    if (skv_node_in(n, SKV_ATT_PAST_K) || skv_node_in(n, SKV_ATT_LENGTHS))
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "Attention with past keys or nonpad_kv_seqlen has no gradient");
    skive_value *mask = skv_node_in(n, SKV_ATT_MASK), *out[4] = {NULL};
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skv_emit_n(c->b, "AttentionGrad", SKV_IN(c->dout[0], n->inputs[0], n->inputs[1], n->inputs[2], mask),
               skv_attrs_copy(n, buffer), out, mask && c->need[SKV_ATT_MASK] ? 4 : 3);
    SKV_TRY(c->b->status);
    for (int i = 0; i < 3; i++) {
        if (c->need[i]) c->din[i] = out[i];
    }
    if (mask && c->need[SKV_ATT_MASK]) c->din[SKV_ATT_MASK] = skv_grad_unbroadcast(c->b, out[3], mask);
    return c->b->status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_type *in[SKV_ATT_INPUTS] = {NULL};
    for (size_t i = 0; i < SKV_ATT_INPUTS; i++) {
        const skive_value *v = skv_node_in(n, i);
        if (v && i != SKV_ATT_MASK) in[i] = &v->type;
        if (i < 3 && (!v || v->type.rank < 3)) return;
    }
    const skv_attention a = skv_attention_of(n, in);
    const int64_t sizes[] = {a.batch, a.q_heads, a.q_len, a.kv_len};
    int64_t scores = 1;
    for (int i = 0; i < 4; i++) scores = skv_mul_sat(scores, sizes[i] > 0 ? sizes[i] : 1);
    out->macs = skv_add_sat(out->macs, skv_mul_sat(scores, (a.size > 0 ? a.size : 1) + (a.v_size > 0 ? a.v_size : 1)));
    out->operations = skv_add_sat(out->operations, skv_mul_sat(scores, 4));
}

/* Heads, a query's width and a value's width. With grouped queries a head of keys takes its queries with it, and so
 * does a query the others at its place in their groups. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *q = skv_couple_type(c, SKV_CIN(SKV_ATT_Q, 0)), *k = skv_couple_type(c, SKV_CIN(SKV_ATT_K, 0)),
                     *y = skv_couple_type(c, SKV_COUT(0, 0));
    if (!q || !k || !y || (q->rank != 3 && q->rank != 4) || k->rank != q->rank) return;
    const bool packed = q->rank == 3;
    const int64_t q_heads = packed ? skv_attr_int(n, "q_num_heads", 0) : q->dims[1].size,
                  kv_heads = packed ? skv_attr_int(n, "kv_num_heads", 0) : k->dims[1].size;
    const int last = packed ? 2 : 3;
    const int64_t sizes[3] = {skv_couple_length(c, SKV_CIN(SKV_ATT_Q, last)),
                              skv_couple_length(c, SKV_CIN(SKV_ATT_K, last)),
                              skv_couple_length(c, SKV_CIN(SKV_ATT_V, last))};
    if (q_heads < 1 || kv_heads < 1 || q_heads % kv_heads != 0 || sizes[0] < 1 || sizes[1] < 1 || sizes[2] < 1) return;
    if (packed && (sizes[0] % q_heads != 0 || sizes[1] % kv_heads != 0 || sizes[2] % kv_heads != 0)) return;
    const skv_slot width = skv_couple_factor(c, packed ? sizes[0] / q_heads : sizes[0]),
                   v_width = skv_couple_factor(c, packed ? sizes[2] / kv_heads : sizes[2]),
                   queries = skv_couple_factor(c, q_heads / kv_heads), kv_head = skv_couple_factor(c, kv_heads),
                   q_head = skv_couple_factor(c, q_heads);
    skv_couple_product(c, q_head, 0, kv_head, queries);
    const skv_slot in[4] = {SKV_CIN(SKV_ATT_Q, last), SKV_CIN(SKV_ATT_K, last), SKV_CIN(SKV_ATT_V, last),
                            SKV_COUT(0, last)},
                   head[4] = {q_head, kv_head, kv_head, q_head}, wide[4] = {width, width, v_width, v_width};
    for (int i = 0; i < 4; i++) {
        if (packed) {
            skv_couple_product(c, in[i], 0, head[i], wide[i]);
        } else {
            skv_slot axis = in[i];
            skv_couple_same(c, axis, wide[i]);
            axis.axis = 1;
            skv_couple_same(c, axis, head[i]);
        }
    }
    const skv_slot batch = SKV_CIN(SKV_ATT_Q, 0);
    const skv_slot others[] = {SKV_CIN(SKV_ATT_K, 0),
                               SKV_CIN(SKV_ATT_V, 0),
                               SKV_CIN(SKV_ATT_PAST_K, 0),
                               SKV_CIN(SKV_ATT_PAST_V, 0),
                               SKV_CIN(SKV_ATT_LENGTHS, 0),
                               SKV_COUT(0, 0),
                               SKV_COUT(1, 0),
                               SKV_COUT(2, 0),
                               SKV_COUT(3, 0)};
    for (size_t i = 0; i < SKV_COUNT(others); i++) skv_couple_same(c, others[i], batch);
    for (int i = 0; i < 2; i++) {
        skv_couple_same(c, SKV_CIN(SKV_ATT_PAST_K + i, 1), kv_head);
        skv_couple_same(c, SKV_CIN(SKV_ATT_PAST_K + i, 3), i ? v_width : width);
        skv_couple_same(c, SKV_COUT(1 + i, 1), kv_head);
        skv_couple_same(c, SKV_COUT(1 + i, 3), i ? v_width : width);
    }
    skv_couple_same(c, SKV_COUT(3, 1), q_head);
    const skive_type *mask = skv_couple_type(c, SKV_CIN(SKV_ATT_MASK, 0));
    if (mask && mask->rank >= 3 && mask->dims[mask->rank - 3].size != 1)
        skv_couple_same(c, SKV_CIN(SKV_ATT_MASK, mask->rank - 3), q_head);
    if (mask && mask->rank == 4 && mask->dims[0].size != 1) skv_couple_same(c, SKV_CIN(SKV_ATT_MASK, 0), batch);
}

/* The scale of the scores is that of the whole width, whatever is left of it. */
static skive_status shrink(const skv_shrink *s) {
    skive_node *n = skv_shrink_node(s);
    const bool packed = skv_shrink_type(s, SKV_CIN(SKV_ATT_Q, 0))->rank == 3;
    const skv_remaining q = skv_shrink_remaining(s, SKV_CIN(SKV_ATT_Q, packed ? 2 : 3)),
                        k = skv_shrink_remaining(s, SKV_CIN(SKV_ATT_K, packed ? 2 : 3));
    const int64_t q_heads = packed ? skv_attr_int(n, "q_num_heads", 1) : 1,
                  kv_heads = packed ? skv_attr_int(n, "kv_num_heads", 1) : 1;
    const int64_t q_left = skv_remaining_parts(&q, q_heads), kv_left = skv_remaining_parts(&k, kv_heads);
    const int64_t width = q.before / q_heads;
    if (q.after / q_left != width && !skv_node_attr(n, "scale"))
        SKV_TRY(skv_node_set_attr(n, &SKV_FLT("scale", 1 / sqrt((double)width))));
    if (q_left != q_heads) SKV_TRY(skv_node_set_attr(n, &SKV_INT("q_num_heads", q_left)));
    return kv_left != kv_heads ? skv_node_set_attr(n, &SKV_INT("kv_num_heads", kv_left)) : SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* scores 0 and ln 3: probabilities 1/4 and 3/4 */
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 1, 2, 1), CASE_VALUES(0, 1.0986122886681098)},
             {CASE_F32(1, 1, 2, 2), CASE_VALUES(4, 0, 8, 4)}),
     .n_out = 1,
     CASE_EXPECT(7, 3),
     CASE_OUT(1, 1, 1, 2)},
    {.name = "causal by hand", /* the first query sees the first key only */
     CASE_IN({CASE_F32(1, 1, 2, 1), CASE_VALUES(1, 0)}, {CASE_F32(1, 1, 2, 1), CASE_VALUES(1, 5)},
             {CASE_F32(1, 1, 2, 1), CASE_VALUES(2, 6)}),
     CASE_ATTRS(CASE_INT("is_causal", 1)),
     .n_out = 1,
     CASE_EXPECT(2, 4)},
    {.name = "a query without keys gives 0",
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 1, 2, 1), CASE_VALUES(1, 5)},
             {CASE_F32(1, 1, 2, 1), CASE_VALUES(2, 6)}, {CASE_BOOL(1, 2), CASE_VALUES(0, 0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0)},
    {.name = "packed heads",
     CASE_IN({CASE_F32(2, 3, 4)}, {CASE_F32(2, 5, 4)}, {CASE_F32(2, 5, 6)}),
     CASE_ATTRS(CASE_INT("q_num_heads", 2), CASE_INT("kv_num_heads", 2)),
     .n_out = 1,
     CASE_OUT(2, 3, 6)},
    {.name = "grouped queries, softcap and scale",
     CASE_IN({CASE_F32(1, 4, 3, 2)}, {CASE_F32(1, 2, 3, 2)}, {CASE_F32(1, 2, 3, 2)}),
     CASE_ATTRS(CASE_FLT("softcap", 0.8), CASE_FLT("scale", 0.9), CASE_INT("is_causal", 1)),
     .n_out = 1},
    {.name = "added mask, its gradient too",
     CASE_IN({CASE_F32(2, 2, 3, 2)}, {CASE_F32(2, 2, 4, 2)}, {CASE_F32(2, 2, 4, 2)}, {CASE_F32(2, 1, 3, 4)}),
     .n_out = 1},
    {.name = "short mask", /* the third key is masked */
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(0)}, {CASE_F32(1, 1, 3, 1)},
             {CASE_F32(1, 1, 3, 1), CASE_VALUES(2, 4, 100)}, {CASE_F32(1, 2), CASE_VALUES(0, 0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(3),
     .no_grad = true},
    {.name = "past",
     CASE_IN({CASE_F32(1, 1, 1, 1), CASE_VALUES(0)}, {CASE_F32(1, 1, 1, 1), CASE_VALUES(3)},
             {CASE_F32(1, 1, 1, 1), CASE_VALUES(6)}, CASE_ABSENT, {CASE_F32(1, 1, 1, 1), CASE_VALUES(1)},
             {CASE_F32(1, 1, 1, 1), CASE_VALUES(2)}),
     CASE_ATTRS(CASE_INT("is_causal", 1)),
     .n_out = 4,
     CASE_EXPECT(4),
     .no_grad = true},
    {.name = "a window to the left", /* equal scores: means of at most two values */
     CASE_IN({CASE_F32(1, 1, 3, 1), CASE_VALUES(0, 0, 0)}, {CASE_F32(1, 1, 3, 1)},
             {CASE_F32(1, 1, 3, 1), CASE_VALUES(2, 4, 10)}),
     CASE_ATTRS(CASE_INT("left_window_size", 1), CASE_INT("right_window_size", 0)),
     .n_out = 1,
     CASE_EXPECT(2, 3, 7),
     .no_grad = true},
    {.name = "windows to both sides",
     CASE_IN({CASE_F32(2, 2, 4, 2)}, {CASE_F32(2, 2, 5, 2)}, {CASE_F32(2, 2, 5, 2)}),
     CASE_ATTRS(CASE_INT("left_window_size", 1), CASE_INT("right_window_size", 2)),
     .n_out = 1},
    {.name = "lengths, causal", /* one key: the first of two queries sees none; three: one query sees two, one three */
     CASE_IN({CASE_F32(2, 1, 2, 1), CASE_VALUES(0, 0, 0, 0)}, {CASE_F32(2, 1, 3, 1)},
             {CASE_F32(2, 1, 3, 1), CASE_VALUES(2, 4, 9, 1, 3, 8)}, CASE_ABSENT, CASE_ABSENT, CASE_ABSENT,
             {CASE_I64(2), CASE_VALUES(1, 3), .constant = true}),
     CASE_ATTRS(CASE_INT("is_causal", 1)),
     .n_out = 1,
     CASE_EXPECT(0, 2, 2, 4),
     .no_grad = true},
};

const skv_op skv_op_attention = {
    .name = "Attention",
    .domain = "",
    .brief = "scaled dot-product attention of several heads",
    .since = 23,
    .min_in = 3,
    .max_in = 7,
    .min_out = 1,
    .max_out = 4,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .cost = cost,
    SKV_LIST(cases),
};
