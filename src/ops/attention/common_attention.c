/* Shared by Attention, its gradient and its kernel; see common_attention.h. */
#include "ops/attention/common_attention.h"

static int64_t dim(const skive_type *t, int axis) {
    const int a = axis < 0 ? t->rank + axis : axis;
    return a >= 0 && a < t->rank && t->dims[a].size >= 0 ? t->dims[a].size : -1;
}

static int64_t heads_of(const skive_node *n, const skive_type *t, const char *attr) {
    return t->rank == 3 ? skv_attr_int(n, attr, 0) : dim(t, 1);
}

static void mask_steps(const skive_type *mask, skv_attention *a) {
    a->has_mask = true;
    a->bool_mask = mask->dtype == SKIVE_BOOL;
    a->mask_len = mask->rank > 0 && dim(mask, -1) != 1 ? dim(mask, -1) : a->kv_len;
    int64_t step = 1;
    for (int own = mask->rank - 1, axis = 3; own >= 0 && axis >= 0; own--, axis--) {
        a->mask_step[axis] = dim(mask, own) == 1 ? 0 : step;
        step *= dim(mask, own);
    }
}

skv_attention skv_attention_of(const skive_node *n, const skive_type *const in[SKV_ATT_INPUTS]) {
    const skive_type *q = in[SKV_ATT_Q], *k = in[SKV_ATT_K], *v = in[SKV_ATT_V];
    skv_attention a = {.packed = q->rank == 3};
    a.batch = dim(q, 0);
    a.q_heads = heads_of(n, q, "q_num_heads");
    a.kv_heads = heads_of(n, k, "kv_num_heads");
    a.q_len = dim(q, -2);
    a.new_len = dim(k, -2);
    a.past_len = in[SKV_ATT_PAST_K] ? dim(in[SKV_ATT_PAST_K], 2) : 0;
    a.kv_len = a.new_len < 0 || a.past_len < 0 ? -1 : skv_add_sat(a.new_len, a.past_len);
    const int64_t qs = dim(q, -1), vs = dim(v, -1);
    a.size = qs < 0 || !a.packed ? qs : a.q_heads > 0 ? qs / a.q_heads : -1;
    a.v_size = vs < 0 || !a.packed ? vs : a.kv_heads > 0 ? vs / a.kv_heads : -1;
    a.causal = skv_attr_int(n, "is_causal", 0) != 0;
    a.left = skv_attr_int(n, "left_window_size", -1);
    a.right = skv_attr_int(n, "right_window_size", -1);
    a.softcap = skv_attr_float(n, "softcap", 0);
    a.scale = skv_attr_float(n, "scale", a.size > 0 ? 1 / sqrt((double)a.size) : 1);
    if (in[SKV_ATT_MASK] && in[SKV_ATT_MASK]->rank >= 0) mask_steps(in[SKV_ATT_MASK], &a);
    return a;
}

static bool differ(int64_t a, int64_t b) { return a >= 0 && b >= 0 && a != b; }

static skive_status check_heads(skv_infer *c, const skv_attention *a, const skive_type *const in[SKV_ATT_INPUTS]) {
    const skive_type *q = in[SKV_ATT_Q], *k = in[SKV_ATT_K], *v = in[SKV_ATT_V];
    if (a->packed && (a->q_heads < 1 || a->kv_heads < 1))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: q_num_heads and kv_num_heads are needed with 3 dimensions",
                              c->node->op_type);
    if (a->q_heads == 0 || a->kv_heads == 0 || (a->q_heads > 0 && a->kv_heads > 0 && a->q_heads % a->kv_heads != 0))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: %lld query heads cannot share %lld heads of keys",
                              c->node->op_type, (long long)a->q_heads, (long long)a->kv_heads);
    bool fits = !differ(a->batch, dim(k, 0)) && !differ(a->batch, dim(v, 0)) && !differ(dim(k, -2), dim(v, -2));
    if (a->packed) {
        fits = fits && (dim(q, -1) < 0 || dim(q, -1) % a->q_heads == 0) &&
               (dim(k, -1) < 0 || dim(k, -1) % a->kv_heads == 0) && (dim(v, -1) < 0 || dim(v, -1) % a->kv_heads == 0);
        fits = fits && (a->size < 0 || !differ(a->size, dim(k, -1) < 0 ? -1 : dim(k, -1) / a->kv_heads));
    } else {
        fits = fits && !differ(a->size, dim(k, -1)) && !differ(dim(k, 1), dim(v, 1));
    }
    if (fits) return SKIVE_OK;
    char text[3][128];
    skv_type_text(q, text[0], sizeof text[0]);
    skv_type_text(k, text[1], sizeof text[1]);
    skv_type_text(v, text[2], sizeof text[2]);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: the shapes of queries %s, keys %s and values %s do not match",
                          c->node->op_type, text[0], text[1], text[2]);
}

static skive_status check_mask(skv_infer *c, const skv_attention *a, const skive_type *mask) {
    const int64_t want[4] = {a->batch, a->q_heads, a->q_len, a->kv_len};
    bool fits = mask->rank >= 1 && mask->rank <= 4;
    for (int own = mask->rank - 1, axis = 3; fits && own >= 0; own--, axis--) {
        const int64_t have = dim(mask, own);
        fits = have == 1 || !differ(have, want[axis]) || (axis == 3 && have < want[axis]);
    }
    if (fits) return SKIVE_OK;
    char text[128];
    skv_type_text(mask, text, sizeof text);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: the mask %s does not match %lld queries and %lld keys",
                          c->node->op_type, text, (long long)a->q_len, (long long)a->kv_len);
}

static skive_status check_past(skv_infer *c, const skv_attention *a, const skive_type *const in[SKV_ATT_INPUTS]) {
    const skive_type *k = in[SKV_ATT_PAST_K], *v = in[SKV_ATT_PAST_V];
    if (!k != !v)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: past_key and past_value must be given together",
                              c->node->op_type);
    if (!k || k->rank < 0 || v->rank < 0) return SKIVE_OK;
    if (k->rank == 4 && v->rank == 4 && !differ(a->batch, dim(k, 0)) && !differ(a->batch, dim(v, 0)) &&
        !differ(a->kv_heads, dim(k, 1)) && !differ(a->kv_heads, dim(v, 1)) && !differ(dim(k, 2), dim(v, 2)) &&
        !differ(a->size, dim(k, 3)) && !differ(a->v_size, dim(v, 3)))
        return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: the past does not match the keys and values", c->node->op_type);
}

static skive_status check_windows(skv_infer *c) {
    static const char *const names[] = {"left_window_size", "right_window_size"};
    for (size_t i = 0; i < SKV_COUNT(names); i++) {
        const int64_t size = skv_attr_int(c->node, names[i], -1);
        if (size < -1)
            return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "%s: %s is %lld; it may be -1 (no limit) or more",
                                  c->node->op_type, names[i], (long long)size);
    }
    return SKIVE_OK;
}

static skive_status check_lengths(skv_infer *c, const skv_attention *a, const skive_type *const in[SKV_ATT_INPUTS],
                                  size_t first) {
    const skive_type *t = in[SKV_ATT_LENGTHS];
    if (!t) return SKIVE_OK;
    SKV_TRY(skv_want_dtype(c, first + SKV_ATT_LENGTHS, SKIVE_I64));
    if (in[SKV_ATT_PAST_K])
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "%s: nonpad_kv_seqlen cannot be given together with past keys",
                              c->node->op_type);
    if (t->rank >= 0 && (t->rank != 1 || differ(t->dims[0].size, a->batch)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: nonpad_kv_seqlen must have one number for each sample",
                              c->node->op_type);
    return SKIVE_OK;
}

skive_status skv_attention_lengths(skive_context *ctx, const skive_node *n, const int64_t *lengths, skv_attention *a) {
    a->lengths = lengths;
    for (int64_t b = 0; lengths && b < a->batch; b++) {
        if (lengths[b] < 0 || lengths[b] > a->kv_len)
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, n->name,
                               "node '%s': sample %lld has %lld keys that are no padding (nonpad_kv_seqlen), and there "
                               "are %lld keys",
                               n->name, (long long)b, (long long)lengths[b], (long long)a->kv_len);
    }
    return SKIVE_OK;
}

skive_status skv_attention_infer(skv_infer *c, size_t first, skv_attention *out) {
    const skive_type *in[SKV_ATT_INPUTS] = {NULL};
    for (size_t i = 0; i < SKV_ATT_INPUTS; i++) in[i] = skv_in_type(c, first + i);
    *out = (skv_attention){.batch = -1};
    for (size_t i = 0; i < SKV_ATT_INPUTS; i++) {
        if (!in[i] || i == SKV_ATT_LENGTHS || (i == SKV_ATT_MASK && in[i]->dtype == SKIVE_BOOL)) continue;
        SKV_TRY(skv_want_float(c, first + i));
    }
    SKV_TRY(skv_want_same_dtype(c, first + SKV_ATT_Q, first + SKV_ATT_K));
    SKV_TRY(check_windows(c));
    for (size_t i = 0; i < 3; i++) {
        if (!in[i] || in[i]->rank < 0) return SKIVE_OK;
        SKV_TRY(skv_want_rank(c, first + i, 3, 4));
        if (in[i]->rank != in[0]->rank)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: queries, keys and values differ in rank", c->node->op_type);
    }
    /* A mask of unknown dimensions cannot be checked yet. */
    const skive_type *mask = in[SKV_ATT_MASK];
    in[SKV_ATT_MASK] = NULL;
    *out = skv_attention_of(c->node, in);
    SKV_TRY(check_heads(c, out, in));
    SKV_TRY(check_past(c, out, in));
    SKV_TRY(check_lengths(c, out, in, first));
    return mask && mask->rank >= 0 ? check_mask(c, out, mask) : SKIVE_OK;
}

skive_status skv_attention_join(skive_context *ctx, const skv_attention *a, const double *past, const double *now,
                                int64_t size, double **out) {
    size_t count;
    if (!skv_mul_size((size_t)(a->batch * a->kv_heads), (size_t)(a->kv_len * size), &count))
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "attention: too many keys");
    SKV_TRY(skv_alloc_array(ctx, count + 1, sizeof **out, out));
    double *to = *out;
    for (int64_t b = 0; b < a->batch; b++) {
        for (int64_t h = 0; h < a->kv_heads; h++) {
            for (int64_t j = 0; j < a->kv_len; j++, to += size) {
                const bool old = j < a->past_len;
                const double *from =
                    old ? past + skv_attention_at(false, b, h, j, a->kv_heads, a->past_len, size)
                        : now + skv_attention_at(a->packed, b, h, j - a->past_len, a->kv_heads, a->new_len, size);
                for (int64_t d = 0; d < size; d++) to[d] = from[d];
            }
        }
    }
    return SKIVE_OK;
}

void skv_attention_row(const skv_attention *a, const double *q, const double *k, const double *mask, int64_t b,
                       int64_t h, int64_t i, double *stage[4]) {
    const double *query = q + skv_attention_at(a->packed, b, h, i, a->q_heads, a->q_len, a->size);
    const double *keys = k + (b * a->kv_heads + h / (a->q_heads / a->kv_heads)) * a->kv_len * a->size;
    double most = -INFINITY, sum = 0;
    bool any = false;
    int64_t first, end;
    skv_attention_sees(a, b, i, &first, &end);
    for (int64_t j = 0; j < a->kv_len; j++) {
        double dot = 0, bias = 0;
        for (int64_t d = 0; d < a->size; d++) dot += query[d] * keys[j * a->size + d];
        if (j < first || j >= end) bias = -INFINITY;
        if (a->has_mask && j >= a->mask_len) bias = -INFINITY;
        if (a->has_mask && j < a->mask_len) {
            const double m =
                mask[b * a->mask_step[0] + h * a->mask_step[1] + i * a->mask_step[2] + j * a->mask_step[3]];
            bias += !a->bool_mask ? m : m != 0 ? 0 : -INFINITY;
        }
        stage[0][j] = dot * a->scale;
        stage[1][j] = a->softcap > 0 ? a->softcap * tanh(stage[0][j] / a->softcap) : stage[0][j];
        stage[2][j] = stage[1][j] + bias;
        any = any || bias != -INFINITY;
        most = fmax(most, stage[2][j]);
    }
    for (int64_t j = 0; j < a->kv_len; j++) sum += stage[3][j] = any ? exp(stage[2][j] - most) : 0;
    for (int64_t j = 0; any && j < a->kv_len; j++) stage[3][j] /= sum;
}
