/* Resize between elements, linear and cubic, of float32: axis by axis, the shrinking ones first, for one slab of the
 * axes that change at a time. The layout stays where only spatial axes change. */
#include "kernels/resample.h"

#include <string.h>

#include "kernels/strides.h"
#include "ops/image/common_resize.h"

enum { PARALLEL_FROM = 1 << 14 };

typedef struct resample_pass { /* x [outer][in][inner] to y [outer][out][inner] */
    int64_t outer, in, out, inner, taps;
    int32_t *index; /* [out][taps]; with inner 1 [taps][out] */
    float *weight;
} resample_pass;

typedef struct resample_state {
    const skv_resample_loops *loops;
    resample_pass pass[SKIVE_MAX_RANK];
    int passes, threads;
    int64_t slabs, slab_in, slab_out, most; /* elements; most: of what stands between two passes */
} resample_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_kernel_f32(&n->in[0]) || !skv_kernel_f32(&n->out[0])) return skv_decline(why, "not float32, or empty");
    if (n->in[0].type.rank < 1) return skv_decline(why, "a scalar");
    for (size_t i = 1; i < n->n_in; i++)
        if (!n->in[i].absent && !n->in[i].constant) return skv_decline(why, "computed sizes");
    if (strcmp(skv_attr_string(n->node, "mode", "nearest"), "nearest") == 0) return skv_decline(why, "nearest");
    if (strcmp(skv_attr_string(n->node, "coordinate_transformation_mode", ""), "tf_crop_and_resize") == 0)
        return skv_decline(why, "a region of interest");
    for (int d = 0; d < n->in[0].type.rank; d++)
        if (n->in[0].type.dims[d].size > INT32_MAX) return skv_decline(why, "an axis of more than 2^31 elements");
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    resample_state *st = state;
    for (int k = 0; st && k < SKIVE_MAX_RANK; k++) {
        skv_free(ctx, st->pass[k].index);
        skv_free(ctx, st->pass[k].weight);
    }
    skv_free(ctx, st);
}

static skive_status read_node(const skv_kernel_node *n, skv_resize *r) {
    const bool old = skv_node_is(n->node, SKV_OP_UPSAMPLE);
    const skive_type *x = &n->in[0].type;
    const skive_tensor *operand[4] = {NULL};
    int64_t dims[SKIVE_MAX_RANK];
    for (size_t i = 1; i < 4 && i < n->n_in; i++) operand[i] = n->in[i].absent ? NULL : n->in[i].constant;
    for (int d = 0; d < x->rank; d++) dims[d] = x->dims[d].size;
    SKV_TRY(skv_resize_read(n->ctx, n->node, x->rank, dims, old ? NULL : operand[1], operand[old ? 1 : 2],
                            old ? NULL : operand[3], r));
    for (int d = 0; d < x->rank; d++)
        if (r->axis[d].out != n->out[0].type.dims[d].size)
            return skv_fail_at(n->ctx, SKIVE_ERR_UNSUPPORTED, n->node->name, "sizes other than planned");
    return SKIVE_OK;
}

static skive_status make_pass(const skv_kernel_node *n, const skv_resize *r, int axis, resample_pass *p) {
    skv_resize_taps t;
    skive_status status;
    SKV_TRY(skv_resize_taps_make(n->ctx, n->node, r, axis, &t));
    p->taps = t.n;
    const size_t count = (size_t)(p->out * p->taps);
    SKV_GO(status, done, skv_alloc_array(n->ctx, count, sizeof *p->index, &p->index));
    SKV_GO(status, done, skv_alloc_array(n->ctx, count, sizeof *p->weight, &p->weight));
    for (int64_t i = 0; p->index && p->weight && i < p->out; i++) {
        for (int64_t k = 0; k < p->taps; k++) {
            const int64_t at = p->inner == 1 ? k * p->out + i : i * p->taps + k;
            p->index[at] = (int32_t)t.index[i * p->taps + k];
            p->weight[at] = (float)t.weight[i * p->taps + k];
        }
    }
done:
    skv_resize_taps_free(n->ctx, &t);
    return status;
}

/* The axes as they lie; those before the first that changes are slabs. */
static skive_status plan_passes(const skv_kernel_node *n, const skv_resize *r, skv_layout layout, resample_state *st) {
    const skive_type *x = &n->in[0].type;
    const int64_t block = skv_layout_block(layout);
    int order[SKV_STRIDES_RANK], first = 0;
    int64_t dims[SKV_STRIDES_RANK];
    const int axes = skv_strides_order(x->rank, layout, order);
    for (int k = 0; k < axes; k++) {
        dims[k] = x->dims[order[k]].size;
        if (block > 1 && order[k] == 1) dims[k] = k == axes - 1 ? block : (dims[k] + block - 1) / block;
    }
    st->slabs = st->slab_in = st->slab_out = 1;
    while (first < axes && r->axis[order[first]].copied) st->slabs *= dims[first++];
    for (int k = first; k < axes; k++) st->slab_in *= dims[k];
    for (int shrinking = 1; shrinking >= 0; shrinking--) {
        for (int k = first; k < axes; k++) {
            const skv_resize_axis *a = &r->axis[order[k]];
            if (a->copied || (a->out < a->in) != (shrinking == 1)) continue;
            resample_pass *p = &st->pass[st->passes++];
            *p = (resample_pass){.outer = 1, .in = a->in, .out = a->out, .inner = 1};
            for (int j = first; j < k; j++) p->outer *= dims[j];
            for (int j = k + 1; j < axes; j++) p->inner *= dims[j];
            dims[k] = a->out;
            SKV_TRY(make_pass(n, r, order[k], p));
            if (p->outer * p->out * p->inner > st->most) st->most = p->outer * p->out * p->inner;
        }
    }
    for (int k = first; k < axes; k++) st->slab_out *= dims[k];
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    const skv_isa isa = skv_cpu_isa();
    const skive_type *x = &n->in[0].type;
    resample_state *st = NULL;
    skv_resize r;
    skive_status status;
    size_t each, bytes;
    SKV_TRY(read_node(n, &r));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->loops = SKV_AT(isa, AVX512, &skv_resample_avx512) SKV_AT(isa, AVX2, &skv_resample_avx2)
        SKV_ELSE(isa, &skv_resample_scalar);
    if (n->in[0].is_parameter || x->rank < 3 || !r.axis[0].copied || !r.axis[1].copied) n->in[0].layout = SKV_PLAIN;
    n->out[0].layout = n->in[0].layout;
    for (size_t i = 1; i < n->n_in && i < SKV_OP_MAX_IO; i++) n->skips_input_data[i] = true;
    SKV_GO(status, fail, plan_passes(n, &r, n->in[0].layout, st));
    st->threads = skv_type_count(&n->out[0].type) < PARALLEL_FROM ? 1 : n->threads;
    if ((int64_t)st->threads > st->slabs) st->threads = (int)st->slabs;
    if (!skv_mul_size((size_t)st->most, 2 * sizeof(float), &each) || !skv_mul_size(each, (size_t)st->threads, &bytes)) {
        status = SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too large");
        goto fail;
    }
    n->scratch_bytes = st->passes > 1 ? bytes : 0;
    n->state = st;
    return SKIVE_OK;
fail:
    destroy(n->ctx, st);
    return status;
}

static void one_pass(const resample_state *st, const resample_pass *p, const float *x, float *y) {
    for (int64_t o = 0; o < p->outer; o++, x += p->in * p->inner, y += p->out * p->inner) {
        if (p->inner == 1) {
            st->loops->along(x, p->index, p->weight, p->taps, y, p->out);
            continue;
        }
        for (int64_t i = 0; i < p->out; i++)
            st->loops->rows(x, p->index + i * p->taps, p->weight + i * p->taps, p->taps, y + i * p->inner, p->inner);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const resample_state *st = c->n->state;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        float *between = (float *)c->scratch + (int64_t)t * 2 * st->most;
        for (int64_t s = st->slabs * t / threads; s < st->slabs * (t + 1) / threads; s++) {
            const float *from = (const float *)c->in[0] + s * st->slab_in;
            float *y = (float *)c->out[0] + s * st->slab_out;
            if (st->passes == 0) memcpy(y, from, (size_t)st->slab_in * sizeof *y);
            for (int k = 0; k < st->passes; k++) {
                float *to = k == st->passes - 1 ? y : between + (k % 2 ? st->most : 0);
                one_pass(st, &st->pass[k], from, to);
                from = to;
            }
        }
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_RESIZE, SKV_OP_UPSAMPLE, SKV_OP_NONE};

const skv_kernel skv_kernel_resample_f32 = {
    .name = "resample_f32",
    .brief = "Resize between elements, axis by axis",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
