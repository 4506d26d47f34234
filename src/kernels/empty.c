/* Values without elements need no work, whatever the op; loops over the other dimensions could still be endless. */
#include "kernels/kernel.h"

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    (void)why; /* declines in silence: it would stand in every node's list of reasons */
    for (size_t i = 0; i < n->n_out; i++) {
        if (!n->out[i].absent && skv_type_count(&n->out[i].type) != 0) return false;
    }
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    for (size_t i = 0; i < n->n_in; i++) {
        n->in[i].layout = SKV_PLAIN;
        if (i < SKV_OP_MAX_IO) n->skips_input_data[i] = true;
    }
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    (void)c;
    return SKIVE_OK;
}

const skv_kernel skv_kernel_empty = {
    .name = "empty",
    .brief = "outputs without elements: nothing to do",
    .isa = SKV_ISA_SCALAR,
    .computes_nothing = true,
    .takes_coded = true,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
};
