/* The reference kernel: runs any op that has a `run` in its record. Last in the list, right for everything, slow. */
#include <string.h>

#include "kernels/kernel.h"

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!n->node->op || !n->node->op->run) return skv_decline(why, "the op has no reference implementation");
    return true;
}

/* Tensor headers and their pointer lists stand in the scratch: a run allocates nothing. */
static skive_status prepare(skv_kernel_node *n) {
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->scratch_bytes = (n->n_in + n->n_out) * (sizeof(skive_tensor) + sizeof(void *));
    return SKIVE_OK;
}

static void fill(skive_tensor *t, const skv_kernel_value *v, const void *data) {
    t->dtype = v->type.dtype;
    t->rank = v->type.rank;
    for (int d = 0; d < t->rank; d++) t->dims[d] = v->type.dims[d].size;
    memcpy(&t->data, &data, sizeof data); /* the record's `run` takes inputs as const tensors */
}

static skive_status run(const skv_kernel_call *c) {
    const skv_kernel_node *n = c->n;
    skive_tensor *tensors = c->scratch;
    const skive_tensor **in = (const skive_tensor **)(tensors + n->n_in + n->n_out);
    skive_tensor **out = (skive_tensor **)(in + n->n_in);
    for (size_t i = 0; i < n->n_in; i++) {
        in[i] = NULL;
        if (n->in[i].absent) continue;
        fill(&tensors[i], &n->in[i], c->in[i]);
        in[i] = &tensors[i];
    }
    for (size_t i = 0; i < n->n_out; i++) {
        out[i] = NULL;
        if (n->out[i].absent) continue;
        fill(&tensors[n->n_in + i], &n->out[i], c->out[i]);
        out[i] = &tensors[n->n_in + i];
    }
    const skv_eval e = {.ctx = c->ctx,
                        .node = n->node,
                        .n_in = n->n_in,
                        .n_out = n->n_out,
                        .in = in,
                        .out = out,
                        .step = c->step,
                        .strings = c->strings};
    return n->node->op->run(&e);
}

const skv_kernel skv_kernel_reference = {
    .name = "reference",
    .brief = "the definition in the op record, for every op and type",
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
};
