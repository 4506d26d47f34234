/* RotaryEmbedding (Su et al., 2021): pairs of a head's elements are rotated by angles that depend on the token's
 * position: (a, b) -> (a cos - b sin, a sin + b cos). A pair is one element of each half, or two neighbours when
 * `interleaved`. */
#include "ops/attention/common_rotary.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {
    {"interleaved", SKV_ATTR_INT, SKV_OPTIONAL},
    {"num_heads", SKV_ATTR_INT, SKV_OPTIONAL},
    {"rotary_embedding_dim", SKV_ATTR_INT, SKV_OPTIONAL},
};

static bool known_dims(const skive_type *t, int64_t *dims) {
    for (int d = 0; t && d < t->rank; d++) dims[d] = t->dims[d].size;
    return t && skv_type_is_static(t);
}

static skive_status infer(skv_infer *c) {
    int64_t x[SKIVE_MAX_RANK], cache[SKIVE_MAX_RANK];
    for (size_t i = SKV_ROTARY_X; i <= SKV_ROTARY_SIN; i++) {
        SKV_TRY(skv_want_float(c, i));
        SKV_TRY(skv_want_same_dtype(c, SKV_ROTARY_X, i));
    }
    SKV_TRY(skv_want_rank(c, SKV_ROTARY_X, 3, 4));
    SKV_TRY(skv_want_rank(c, SKV_ROTARY_COS, 2, 3));
    SKV_TRY(skv_want_same_shape(c, SKV_ROTARY_COS, SKV_ROTARY_SIN));
    SKV_TRY(skv_want_dtype(c, SKV_ROTARY_POSITIONS, SKIVE_I64));
    SKV_TRY(skv_want_rank(c, SKV_ROTARY_POSITIONS, 2, 2));
    skv_out_like(c, 0, SKV_ROTARY_X);
    const skive_type *p = skv_in_type(c, SKV_ROTARY_POSITIONS);
    if (!known_dims(c->in[SKV_ROTARY_X], x) || !known_dims(c->in[SKV_ROTARY_COS], cache)) return SKIVE_OK;
    skv_rotary r;
    const char *why =
        skv_rotary_of(c->node, c->in[SKV_ROTARY_X]->rank, x, c->in[SKV_ROTARY_COS]->rank, cache, p != NULL, &r);
    if (why) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %s", c->node->name, why);
    if (p && p->rank == 2 &&
        ((p->dims[0].size >= 0 && p->dims[0].size != r.batch) || (p->dims[1].size >= 0 && p->dims[1].size != r.tokens)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the positions do not match the tokens", c->node->name);
    return SKIVE_OK;
}

static void turn(const skv_rotary *r, const double *x, const double *cosine, const double *sine, double *y) {
    const int64_t step = r->interleaved ? 2 : 1, other = r->interleaved ? 1 : r->half;
    for (int64_t i = 0; i < r->half; i++) {
        const double a = x[i * step], b = x[i * step + other];
        y[i * step] = a * cosine[i] - b * sine[i];
        y[i * step + other] = a * sine[i] + b * cosine[i];
    }
    for (int64_t i = 2 * r->half; i < r->size; i++) y[i] = x[i];
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[SKV_ROTARY_X], *cache = c->in[SKV_ROTARY_COS];
    const skive_tensor *positions = c->n_in > SKV_ROTARY_POSITIONS ? c->in[SKV_ROTARY_POSITIONS] : NULL;
    skv_doubles in[3] = {{0}};
    skv_result y = {0};
    skv_rotary r;
    skive_status status = SKIVE_OK;
    const char *why = skv_rotary_of(c->node, x->rank, x->dims, cache->rank, cache->dims, positions != NULL, &r);
    if (why) return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': %s", c->node->name, why);
    for (int i = 0; i < 3; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &y));
    for (int64_t b = 0; b < r.batch; b++) {
        for (int64_t t = 0; t < r.tokens; t++) {
            const int64_t token = b * r.tokens + t, row = positions ? ((const int64_t *)positions->data)[token] : token;
            if (positions && (row < 0 || row >= r.positions)) {
                status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                                     "node '%s': position %lld is out of range for %lld", c->node->name, (long long)row,
                                     (long long)r.positions);
                goto done;
            }
            for (int64_t h = 0; h < r.heads; h++) {
                const int64_t at = skv_rotary_at(&r, b, h, t);
                turn(&r, in[0].p + at, in[1].p + row * r.half, in[2].p + row * r.half, y.p + at);
            }
        }
    }
    skv_result_store(&y);
done:
    for (int i = 0; i < 3; i++) skv_doubles_free(c->ctx, &in[i]);
    skv_result_free(c->ctx, &y);
    return status;
}

/* The gradient is the rotation by the opposite angles. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skv_attr_init buffer[SKV_ATTRS_COPY];
    SKV_TRY(skv_grad_only_first(c, 1));
    if (!c->need[0]) return SKIVE_OK;
    skive_value *back = skv_emit(c->b, "Neg", SKV_IN(n->inputs[SKV_ROTARY_SIN]), SKV_NONE);
    c->din[0] = skv_emit(c->b, "RotaryEmbedding",
                         SKV_IN(c->dout[0], n->inputs[SKV_ROTARY_COS], back, skv_node_in(n, SKV_ROTARY_POSITIONS)),
                         skv_attrs_copy(n, buffer));
    return c->b->status;
}

/* The two elements of a pair go together with their column of the tables, in all heads. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(SKV_ROTARY_X, 0)),
                     *cache = skv_couple_type(c, SKV_CIN(SKV_ROTARY_COS, 0));
    if (!x || !cache || (x->rank != 3 && x->rank != 4) || cache->rank < 2) return;
    const int64_t heads = x->rank == 3 ? skv_attr_int(n, "num_heads", 0) : 1, all = x->dims[x->rank - 1].size;
    const skv_slot in = SKV_CIN(SKV_ROTARY_X, x->rank - 1), cosine = SKV_CIN(SKV_ROTARY_COS, cache->rank - 1);
    const int64_t half = skv_couple_length(c, cosine);
    if (heads < 1 || all < 1 || all % heads != 0 || half < 1 || 2 * half > all / heads) return;
    for (int d = 0; d < x->rank; d++)
        if (x->rank == 3 || d != 2) skv_couple_same(c, SKV_CIN(SKV_ROTARY_X, d), SKV_COUT(0, d));
    const skv_slot width = x->rank == 3 ? skv_couple_factor(c, all / heads) : in;
    if (x->rank == 3) skv_couple_product(c, in, 0, skv_couple_factor(c, heads), width);
    skv_couple_same(c, cosine, SKV_CIN(SKV_ROTARY_SIN, cache->rank - 1));
    for (int i = SKV_ROTARY_COS; i <= SKV_ROTARY_SIN && cache->rank == 3; i++)
        skv_couple_same(c, SKV_CIN(i, 0), SKV_CIN(SKV_ROTARY_X, 0));
    skv_couple_same(c, SKV_CIN(SKV_ROTARY_POSITIONS, 0), SKV_CIN(SKV_ROTARY_X, 0));
    if (skv_attr_int(n, "interleaved", 0)) {
        skv_couple_range(c, cosine, 0, width, 0, half, 2);
    } else {
        skv_couple_range(c, cosine, 0, width, 0, half, 1);
        skv_couple_range(c, cosine, 0, width, half, half, 1);
    }
    if (x->rank == 3) skv_couple_fix(c, SKV_CIN(SKV_ROTARY_X, 1), "these are positions");
}

static skive_status shrink(const skv_shrink *s) {
    skive_node *n = skv_shrink_node(s);
    const skive_type *x = skv_shrink_type(s, SKV_CIN(SKV_ROTARY_X, 0)),
                     *cache = skv_shrink_type(s, SKV_CIN(SKV_ROTARY_COS, 0));
    const skv_remaining in = skv_shrink_remaining(s, SKV_CIN(SKV_ROTARY_X, x->rank - 1)),
                        half = skv_shrink_remaining(s, SKV_CIN(SKV_ROTARY_COS, cache->rank - 1));
    const int64_t heads = skv_attr_int(n, "num_heads", 0);
    const int64_t left =
        x->rank == 3 ? skv_remaining_parts(&in, heads) : skv_shrink_remaining(s, SKV_CIN(SKV_ROTARY_X, 1)).after;
    if (heads > 0 && left != heads) SKV_TRY(skv_node_set_attr(n, &SKV_INT("num_heads", left)));
    if (half.keep && skv_attr_int(n, "rotary_embedding_dim", 0) > 0)
        return skv_node_set_attr(n, &SKV_INT("rotary_embedding_dim", 2 * half.after));
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "halves, by position", /* a quarter turn at position 1 */
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(2, 1), CASE_VALUES(0, 1), .constant = true},
             {CASE_F32(2, 1), CASE_VALUES(1, 0), .constant = true},
             {CASE_I64(1, 2), CASE_VALUES(0, 1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(-2, 1, 3, 4),
     CASE_OUT(1, 1, 2, 2)},
    {.name = "neighbours, a part of each head, no positions",
     CASE_ATTRS(CASE_INT("interleaved", 1), CASE_INT("num_heads", 2), CASE_INT("rotary_embedding_dim", 4)),
     CASE_IN({CASE_F32(2, 3, 12)}, {CASE_F32(2, 3, 2), .constant = true}, {CASE_F32(2, 3, 2), .constant = true}),
     .n_out = 1,
     CASE_OUT(2, 3, 12)},
};

const skv_op skv_op_rotary_embedding = {
    .name = "RotaryEmbedding",
    .domain = "",
    .brief = "elements rotated by their token's position",
    .since = 23,
    .min_in = 3,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
