/* Split: each part is runs of bytes, equally far apart in the input and one after another in the part. */
#include "base/parallel.h"
#include "kernels/kernel.h"
#include "kernels/runs.h"
#include "tensor/tensor.h"

enum { PARALLEL_BYTES = 1 << 18 };

typedef struct split_state {
    int64_t outer;
    size_t step;          /* bytes of the input from one run to the next */
    size_t *from, *bytes; /* [parts] in a run of the input */
    int threads;
} split_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    const int bits = skive_dtype_bits(x->dtype);
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64) return skv_decline(why, "elements of %d bits", bits);
    if (x->rank < 1 || skv_type_count(x) < 1) return skv_decline(why, "a scalar, or empty");
    if (skv_kernel_has_input(n, 1) && !(n->in[1].constant && n->in[1].constant->data))
        return skv_decline(why, "computed sizes");
    return true;
}

/* Of a part that nobody wants there is no type. */
static int64_t size_of(const skv_kernel_node *n, int64_t size, size_t i) {
    const skive_tensor *given = skv_kernel_has_input(n, 1) ? n->in[1].constant : NULL;
    const int64_t parts = (int64_t)n->n_out, part = size / parts + (size % parts != 0), left = size - part * (int64_t)i;
    return given ? skv_load_i64(given->dtype, given->data, i) : left < 0 ? 0 : left < part ? left : part;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    split_state *st = state;
    const skive_type *x = &n->in[0].type;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    for (size_t i = 1; i < n->n_in; i++) n->skips_input_data[i] = true; /* the sizes are in the types of the parts */
    const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", 0), x->rank);
    int64_t length, behind;
    skv_around_axis(x, axis, &st->outer, &length, &behind);
    const size_t inner = (size_t)behind * ((size_t)skive_dtype_bits(x->dtype) / 8);
    if (skv_kernel_has_input(n, 1) && skive_tensor_count(n->in[1].constant) != (int64_t)n->n_out)
        return skv_fail_at(n->ctx, SKIVE_ERR_SHAPE, n->node->name, "the sizes do not match the parts");
    SKV_TRY(skv_arena_array(n->weights, n->n_out, sizeof *st->from, &st->from));
    SKV_TRY(skv_arena_array(n->weights, n->n_out, sizeof *st->bytes, &st->bytes));
    for (size_t i = 0; i < n->n_out; i++) {
        st->from[i] = st->step;
        st->bytes[i] = (size_t)size_of(n, length, i) * inner;
        st->step += st->bytes[i];
    }
    if (st->step != (size_t)length * inner)
        return skv_fail_at(n->ctx, SKIVE_ERR_SHAPE, n->node->name, "the sizes do not add up");
    st->threads = (size_t)st->outer * st->step < PARALLEL_BYTES ? 1 : n->threads;
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(split_state), set_up, destroy); }

static skive_status run(const skv_kernel_call *c) {
    const split_state *st = c->n->state;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        const int64_t first = st->outer * t / threads, n = st->outer * (t + 1) / threads - first;
        const char *x = (const char *)c->in[0] + (size_t)first * st->step;
        for (size_t i = 0; i < c->n->n_out; i++) {
            const size_t bytes = st->bytes[i];
            if (!c->n->out[i].absent && c->out[i] && bytes)
                skv_move_runs(x + st->from[i], st->step, (char *)c->out[i] + (size_t)first * bytes, bytes, n, bytes);
        }
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_SPLIT, SKV_OP_NONE};

const skv_kernel skv_kernel_split = {
    .name = "split",
    .brief = "parts along an axis, copying runs",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
