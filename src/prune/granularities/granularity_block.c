/* Blocks of neighbouring output and input channels, which sparse kernels read at once: 4x1 is four outputs of one input
 * (Gray, Radford & Kingma 2017). Blocks at the edge of a layer are smaller. */
#include "prune/prune.h"

static const skv_option options[] = {
    {.name = "shape",
     .type = SKV_OPTION_TEXT,
     .text = "4x1",
     .brief = "output channels x input channels of a block: 4x1, 1x4, 16x1"},
};

static skive_status group(const skv_prunable *l, const skv_option_values *o, int64_t *group, int64_t *groups) {
    int64_t shape[2];
    SKV_TRY(skv_read_pair(l->value->graph->ctx, "shape", skv_option_text(o, "shape"), 'x', shape));
    const int64_t rows = (l->view.out + shape[0] - 1) / shape[0], columns = (l->view.in + shape[1] - 1) / shape[1];
    for (int64_t i = 0; i < l->n; i++) {
        const skv_element e = skv_element_at(l, i);
        group[i] = ((e.direction * rows + e.row / shape[0]) * columns + e.column / shape[1]) * l->view.taps + e.tap;
    }
    *groups = l->view.directions * rows * columns * l->view.taps;
    return SKIVE_OK;
}

const skv_granularity skv_granularity_block = {
    .name = "block",
    .brief = "blocks of neighbouring channels are set to zero",
    SKV_OPTIONS(options),
    .group = group,
};
