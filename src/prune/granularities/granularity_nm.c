/* N of each M neighbouring input channels stay, for each output channel and tap (Mishra and others 2021): 2:4 is what
 * sparse tensor cores take. The sparsity follows from N and M. Of a shorter run at the end as large a part stays. */
#include "prune/prune.h"

static const skv_option options[] = {
    {.name = "pattern", .type = SKV_OPTION_TEXT, .text = "2:4", .brief = "N:M, how many of how many stay"},
};

static skive_status group(const skv_prunable *l, const skv_option_values *o, int64_t *group, int64_t *groups) {
    int64_t pattern[2];
    SKV_TRY(skv_read_pair(l->value->graph->ctx, "pattern", skv_option_text(o, "pattern"), ':', pattern));
    if (pattern[0] > pattern[1])
        return skv_fail_at(l->value->graph->ctx, SKIVE_ERR_ARGUMENT, "pattern", "of %lld weights %lld cannot stay",
                           (long long)pattern[1], (long long)pattern[0]);
    const int64_t columns = (l->view.in + pattern[1] - 1) / pattern[1];
    for (int64_t i = 0; i < l->n; i++) {
        const skv_element e = skv_element_at(l, i);
        group[i] = ((e.direction * l->view.out + e.row) * columns + e.column / pattern[1]) * l->view.taps + e.tap;
    }
    *groups = l->view.directions * l->view.out * columns * l->view.taps;
    return SKIVE_OK;
}

static int64_t stay(const skv_option_values *o, int64_t size) {
    int64_t pattern[2];
    if (skv_read_pair(NULL, "pattern", skv_option_text(o, "pattern"), ':', pattern) != SKIVE_OK) return size;
    return (size * pattern[0] + pattern[1] - 1) / pattern[1];
}

const skv_granularity skv_granularity_nm = {
    .name = "nm",
    .brief = "N of each M neighbouring input channels stay, the others are set to zero",
    SKV_OPTIONS(options),
    .group = group,
    .stay = stay,
};
