/* Cast and CastLike between the usual types, Not and IsNaN, in any layout. */
#include "kernels/convert.h"

enum { PARALLEL_FROM = 1 << 15 };

typedef struct convert_state {
    skv_convert_loop *loop;
    int64_t count; /* stored elements */
    size_t from, to;
    int threads;
} convert_state;

static skv_convert_type type_of(skive_dtype t) {
    switch (t) {
    case SKIVE_F32: return SKV_CT_F32;
    case SKIVE_F64: return SKV_CT_F64;
    case SKIVE_F16: return SKV_CT_F16;
    case SKIVE_I64: return SKV_CT_I64;
    case SKIVE_I32: return SKV_CT_I32;
    case SKIVE_I16: return SKV_CT_I16;
    case SKIVE_I8: return SKV_CT_I8;
    case SKIVE_U8: return SKV_CT_U8;
    case SKIVE_BOOL: return SKV_CT_BOOL;
    default: return SKV_CT_TYPES;
    }
}

static skv_convert_loop *loop_of(const skv_kernel_node *n, const skv_convert_loops *loops) {
    const skv_convert_type from = type_of(n->in[0].type.dtype), to = type_of(n->out[0].type.dtype);
    if (skv_node_is(n->node, SKV_OP_NOT)) return loops->negate;
    if (skv_node_is(n->node, SKV_OP_IS_NAN)) return from == SKV_CT_F32 ? loops->is_nan : NULL;
    return from == SKV_CT_TYPES || to == SKV_CT_TYPES ? NULL : loops->cast[from][to];
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!loop_of(n, &skv_convert_scalar))
        return skv_decline(why, "%s to %s", skive_dtype_name(n->in[0].type.dtype),
                           skive_dtype_name(n->out[0].type.dtype));
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    const skv_isa isa = skv_cpu_isa();
    const skive_type *x = &n->in[0].type;
    convert_state *st = NULL;
    size_t bytes;
    /* The opposite of a padding's zeros would be ones. */
    if (skv_node_is(n->node, SKV_OP_NOT) && x->rank >= 3 && x->dims[1].size % skv_layout_block(n->in[0].layout) != 0)
        n->in[0].layout = SKV_PLAIN;
    if (!skv_layout_bytes(x, n->in[0].layout, &bytes)) return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too large");
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    st->loop = loop_of(n, SKV_AT(isa, AVX512, &skv_convert_avx512) SKV_AT(isa, AVX2, &skv_convert_avx2)
                              SKV_ELSE(isa, &skv_convert_scalar));
    n->out[0].layout = n->in[0].layout;
    for (size_t i = 1; i < n->n_in; i++) n->skips_input_data[i] = true; /* CastLike reads the type of the second */
    st->from = (size_t)skive_dtype_bits(x->dtype) / 8;
    st->to = (size_t)skive_dtype_bits(n->out[0].type.dtype) / 8;
    st->count = (int64_t)(bytes / st->from);
    st->threads = st->count < PARALLEL_FROM ? 1 : n->threads;
    if (st->from == st->to) n->in_place = 1u;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const convert_state *st = c->n->state;
    const char *x = c->in[0];
    char *y = c->out[0];
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        const int64_t first = st->count * t / threads, last = st->count * (t + 1) / threads;
        st->loop(x + (size_t)first * st->from, y + (size_t)first * st->to, last - first);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_CAST, SKV_OP_CAST_LIKE, SKV_OP_NOT, SKV_OP_IS_NAN, SKV_OP_NONE};

const skv_kernel skv_kernel_convert = {
    .name = "convert",
    .brief = "element types converted, Not and IsNaN, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
