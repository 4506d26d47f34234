/* Gradients of convolution in f32: oneDNN's direct backward algorithms, in the layouts the forward pass left. */
#include <string.h>

#include "kernels/onednn/convolution.h"

typedef struct grad_state {
    skv_dnnl_prim prim;
    skv_dnnl_operand w;   /* of the input's gradient */
    skv_dnnl_prim unpack; /* of the weight's gradient, when it is not made plain */
    size_t scratch_offset, dw_offset, unpack_offset;
    bool has_bias, unpacks;
} grad_state;

static bool by_weight(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_CONV_GRAD_WEIGHT); }
/* dY, W, X or dY, X, W. */
static size_t x_index(const skv_kernel_node *n) { return by_weight(n) ? 1 : 2; }
static size_t w_index(const skv_kernel_node *n) { return by_weight(n) ? 2 : 1; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_dnnl_conv c;
    if (!skv_dnnl_engine()) return skv_decline(why, "oneDNN gives no engine");
    for (size_t i = 0; i < 3; i++) {
        if (!skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    }
    return skv_dnnl_conv_read(n, &n->in[x_index(n)].type, &n->in[w_index(n)].type, &c, why);
}

/* A forward descriptor is asked for as a hint. */
static dnnl_status_t describe(const skv_kernel_node *n, const skv_dnnl_conv *c, const grad_state *st, skv_layout x,
                              skv_layout y, const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out) {
    skv_dnnl_conv_values v = {.direction = SKV_DNNL_FORWARD,
                              .training = true,
                              .bias = st->has_bias,
                              .algorithm = dnnl_convolution_direct,
                              .x = &n->in[x_index(n)].type,
                              .y = &n->in[0].type,
                              .x_layout = x,
                              .y_layout = y};
    dnnl_primitive_desc_t hint = NULL;
    *out = NULL;
    dnnl_status_t s = skv_dnnl_conv_describe(c, &v, attr, NULL, n->threads, &hint);
    v.direction = by_weight(n) ? SKV_DNNL_BY_WEIGHT : SKV_DNNL_BY_INPUT;
    if (s == dnnl_success) s = skv_dnnl_conv_describe(c, &v, attr, hint, n->threads, out);
    if (hint) dnnl_primitive_desc_destroy(hint);
    return s;
}

static skive_status choose(skv_kernel_node *n, const skv_dnnl_conv *c, const grad_state *st,
                           const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *best) {
    skv_layout xs[3];
    const size_t count = skv_dnnl_conv_layouts(c->s.c, n->in[x_index(n)].layout, xs);
    *best = NULL;
    for (size_t i = 0; i < count && !*best; i++) {
        const skv_layout ys[2] = {xs[i] == SKV_PLAIN ? skv_dnnl_blocked() : xs[i], SKV_PLAIN};
        for (int k = 0; k < 2 && !*best; k++) {
            const dnnl_status_t s = describe(n, c, st, xs[i], ys[k], attr, best);
            if (s == dnnl_out_of_memory) return skv_dnnl_status(n->ctx, s, "convolution gradient");
            if (!*best) continue;
            if (by_weight(n))
                n->in[1].layout = xs[i];
            else
                n->out[0].layout = xs[i];
            n->in[0].layout = ys[k];
        }
    }
    return *best ? SKIVE_OK : SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "oneDNN has no such convolution gradient");
}

static void destroy(skive_context *ctx, void *state) {
    grad_state *st = state;
    if (!st) return;
    skv_dnnl_prim_free(&st->prim);
    skv_dnnl_prim_free(&st->unpack);
    skv_dnnl_operand_free(ctx, &st->w);
    skv_free(ctx, st);
}

static skive_status set_up_weight(skv_kernel_node *n, grad_state *st, skv_dnnl_md_ref plain) {
    const skv_dnnl_md_ref dw = skv_dnnl_prim_md(&st->prim, DNNL_ARG_DIFF_WEIGHTS);
    n->skips_input_data[2] = true;
    n->out[0].layout = SKV_PLAIN;
    st->unpacks = !dnnl_memory_desc_equal(dw, plain);
    if (!st->unpacks) return SKIVE_OK;
    SKV_TRY(skv_dnnl_reorder_create(n->ctx, dw, plain, n->threads, &st->unpack));
    SKV_TRY(skv_scratch_add(n, dnnl_memory_desc_get_size(dw), &st->dw_offset));
    return skv_scratch_add(n, st->unpack.scratch_bytes, &st->unpack_offset);
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    grad_state *st = state;
    skv_dnnl_conv c;
    skv_why why;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    skv_dnnl_md plain = {0}; /* the weight, or its gradient */
    skive_status status;
    if (!skv_dnnl_conv_read(n, &n->in[x_index(n)].type, &n->in[w_index(n)].type, &c, &why)) return SKIVE_ERR_INTERNAL;
    st->has_bias = by_weight(n) && n->n_out > 1 && !n->out[1].absent;
    if (!skv_dnnl_md_dims(SKIVE_F32, c.w_rank, c.w_dims, &plain))
        return SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "its weights");
    SKV_GO(status, done, skv_dnnl_attr(n->ctx, &attr));
    SKV_GO(status, done, choose(n, &c, st, attr, &desc));
    SKV_GO(status, done, skv_dnnl_prim_from(n->ctx, desc, n->threads, "convolution gradient", &st->prim));
    if (by_weight(n)) {
        SKV_GO(status, done, set_up_weight(n, st, skv_dnnl_md_get(&plain)));
    } else {
        n->skips_input_data[2] = true;
        SKV_GO(status, done,
               skv_dnnl_operand_prepare(n, 1, skv_dnnl_md_get(&plain), skv_dnnl_prim_md(&st->prim, DNNL_ARG_WEIGHTS),
                                        &st->w));
    }
    status = skv_scratch_add(n, st->prim.scratch_bytes, &st->scratch_offset);
done:
    skv_dnnl_md_free(&plain);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return status;
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(grad_state), set_up, destroy); }

static skive_status run_weight(const skv_kernel_call *c, const grad_state *st) {
    void *dw = st->unpacks ? (char *)c->scratch + st->dw_offset : c->out[0];
    skv_dnnl_arg args[4] = {
        {DNNL_ARG_SRC, c->in[1]},
        {DNNL_ARG_DIFF_DST, c->in[0]},
        {DNNL_ARG_DIFF_WEIGHTS, dw},
    };
    size_t n = 3;
    if (st->has_bias) args[n++] = (skv_dnnl_arg){DNNL_ARG_DIFF_BIAS, c->out[1]};
    SKV_TRY(skv_dnnl_run(c->ctx, &st->prim, args, n, (char *)c->scratch + st->scratch_offset, "convolution gradient"));
    if (!st->unpacks) return SKIVE_OK;
    const skv_dnnl_arg move[2] = {{DNNL_ARG_FROM, dw}, {DNNL_ARG_TO, c->out[0]}};
    return skv_dnnl_run(c->ctx, &st->unpack, move, 2, (char *)c->scratch + st->unpack_offset, "reorder");
}

static skive_status run(const skv_kernel_call *c) {
    const grad_state *st = c->n->state;
    const void *w;
    if (by_weight(c->n)) return run_weight(c, st);
    SKV_TRY(skv_dnnl_operand_get(c, 1, &st->w, &w));
    const skv_dnnl_arg args[3] = {
        {DNNL_ARG_DIFF_SRC, c->out[0]},
        {DNNL_ARG_WEIGHTS, w},
        {DNNL_ARG_DIFF_DST, c->in[0]},
    };
    return skv_dnnl_run(c->ctx, &st->prim, args, 3, (char *)c->scratch + st->scratch_offset, "convolution gradient");
}

static const skv_op_kind ops[] = {SKV_OP_CONV_GRAD_INPUT, SKV_OP_CONV_GRAD_WEIGHT, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_grad_f32_onednn = {
    .name = "conv_grad_f32_onednn",
    .brief = "gradients of convolution by input, weight and bias, direct",
    .ops = ops,
    .isa = SKV_ISA_AVX2,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
