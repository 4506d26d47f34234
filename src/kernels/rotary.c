/* RotaryEmbedding in f32. */
#include <string.h>

#include "kernels/kernel.h"
#include "ops/attention/common_rotary.h"

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = SKV_ROTARY_X; i <= SKV_ROTARY_SIN; i++)
        if (n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    return true;
}

static void dims_of(const skive_type *t, int64_t *dims) {
    for (int d = 0; d < t->rank; d++) dims[d] = t->dims[d].size;
}

static skive_status prepare(skv_kernel_node *n) {
    int64_t x[SKIVE_MAX_RANK], cache[SKIVE_MAX_RANK];
    skv_rotary *r = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *r, &r));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    dims_of(&n->in[SKV_ROTARY_X].type, x);
    dims_of(&n->in[SKV_ROTARY_COS].type, cache);
    n->state = r;
    const bool positions = n->n_in > SKV_ROTARY_POSITIONS && !n->in[SKV_ROTARY_POSITIONS].absent;
    const char *why = skv_rotary_of(n->node, n->in[0].type.rank, x, n->in[1].type.rank, cache, positions, r);
    return why ? skv_fail_at(n->ctx, SKIVE_ERR_SHAPE, n->node->name, "node '%s': %s", n->node->name, why) : SKIVE_OK;
}

static void turn(const skv_rotary *r, const float *x, const float *cosine, const float *sine, float *y) {
    const int64_t half = r->half;
    if (r->interleaved) {
        for (int64_t i = 0; i < half; i++) {
            const float a = x[2 * i], b = x[2 * i + 1];
            y[2 * i] = a * cosine[i] - b * sine[i];
            y[2 * i + 1] = a * sine[i] + b * cosine[i];
        }
    } else {
        for (int64_t i = 0; i < half; i++) {
            const float a = x[i], b = x[half + i];
            y[i] = a * cosine[i] - b * sine[i];
            y[half + i] = a * sine[i] + b * cosine[i];
        }
    }
    memcpy(y + 2 * half, x + 2 * half, (size_t)(r->size - 2 * half) * sizeof *y);
}

static skive_status run(const skv_kernel_call *c) {
    const skv_rotary *r = c->n->state;
    const int64_t *positions = c->n->n_in > SKV_ROTARY_POSITIONS ? c->in[SKV_ROTARY_POSITIONS] : NULL;
    const int64_t tokens = r->batch * r->tokens;
    for (int64_t i = 0; positions && i < tokens; i++)
        if (positions[i] < 0 || positions[i] >= r->positions)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->n->node->name,
                               "node '%s': position %lld is out of range for %lld", c->n->node->name,
                               (long long)positions[i], (long long)r->positions);
#pragma omp parallel for num_threads(c->n->threads) schedule(static) if (tokens * r->heads * r->size >= 65536)
    for (int64_t i = 0; i < tokens; i++) {
        const int64_t row = positions ? positions[i] : i;
        const float *cosine = (const float *)c->in[SKV_ROTARY_COS] + row * r->half,
                    *sine = (const float *)c->in[SKV_ROTARY_SIN] + row * r->half;
        for (int64_t h = 0; h < r->heads; h++) {
            const int64_t at = skv_rotary_at(r, i / r->tokens, h, i % r->tokens);
            turn(r, (const float *)c->in[SKV_ROTARY_X] + at, cosine, sine, (float *)c->out[0] + at);
        }
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_ROTARY_EMBEDDING, SKV_OP_NONE};

const skv_kernel skv_kernel_rotary_f32 = {
    .name = "rotary_f32",
    .brief = "rotary embedding",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
