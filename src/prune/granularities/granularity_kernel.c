/* The two-dimensional kernels of convolutions: all taps from one input channel to one output channel (Mao and others
 * 2017). In other layers each weight is one. */
#include "prune/prune.h"

static skive_status group(const skv_prunable *l, const skv_option_values *o, int64_t *group, int64_t *groups) {
    (void)o;
    for (int64_t i = 0; i < l->n; i++) {
        const skv_element e = skv_element_at(l, i);
        group[i] = (e.direction * l->view.out + e.row) * l->view.in + e.column;
    }
    *groups = l->view.directions * l->view.out * l->view.in;
    return SKIVE_OK;
}

const skv_granularity skv_granularity_kernel = {
    .name = "kernel",
    .brief = "all taps of a convolution from one input channel to one output channel are set to zero",
    .group = group,
};
