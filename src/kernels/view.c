/* Ops that only rename dimensions: the output is the input's memory and nothing runs. */
#include "kernels/kernel.h"

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 1; i < n->n_out; i++) {
        if (!n->out[i].absent) return skv_decline(why, "output %zu is used", i);
    }
    if (skv_node_is(n->node, SKV_OP_DROPOUT)) {
        /* Training mode is the third input; anything but a constant false draws a mask. */
        if (skv_kernel_has_input(n, 2)) {
            const skive_tensor *t = n->in[2].constant;
            if (!t || skive_tensor_get(t, 0) != 0) return skv_decline(why, "in training mode");
        }
    }
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    n->in[0].layout = SKV_PLAIN;
    for (size_t i = 1; i < n->n_in && i < SKV_OP_MAX_IO; i++) n->skips_input_data[i] = true;
    n->view_of = 1;
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    (void)c; /* the planner makes no step for a view */
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_RESHAPE,   SKV_OP_RESHAPE_LIKE, SKV_OP_FLATTEN, SKV_OP_SQUEEZE,
                                  SKV_OP_UNSQUEEZE, SKV_OP_IDENTITY,     SKV_OP_DROPOUT, SKV_OP_NONE};

const skv_kernel skv_kernel_view = {
    .name = "view",
    .brief = "the input's memory with another shape",
    .ops = ops,
    .computes_nothing = true,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
};
