/* Heads of attention, and groups of grouped convolutions: channels that are a run of neighbouring outputs of one
 * weight, the outer index of an axis that is read as outer x inner (Michel, Levy & Neubig 2019; Voita and others 2019).
 * */
#include "prune/prune.h"

/* Slices are in order of value, axis and index. An element of the width of all heads is one output of each head; a
 * hidden unit of a recurrent cell one of each gate: neither are neighbours. */
static bool takes(const skive_channel_slice *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        skv_weight_view view;
        const skive_value *v = s[i].value;
        if (!v->storage || v->type.rank < 2) continue;
        for (uint32_t u = 0; u < v->n_uses; u++) {
            if (!skv_weight_view_of(v->uses[u].node, (size_t)v->uses[u].index, &view)) continue;
            if (view.out_axis != s[i].axis) continue;
            return i + 1 < n && s[i + 1].value == v && s[i + 1].axis == s[i].axis && s[i + 1].index == s[i].index + 1;
        }
    }
    return false;
}

const skv_granularity skv_granularity_head = {
    .name = "head",
    .brief = "heads of attention and groups of convolutions are removed from the graph",
    .options = skv_channel_options,
    .n_options = SKV_LENGTH(skv_channel_options) - 1, /* of heads no multiples are fast */
    .removal = &skv_removal_channels,
    .takes = takes,
};
