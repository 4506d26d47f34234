/* See strides.h. */
#include "kernels/strides.h"

int skv_strides_order(int rank, skv_layout layout, int order[SKV_STRIDES_RANK]) {
    int n = 0;
    if (rank < 3 || layout == SKV_PLAIN) {
        for (int d = 0; d < rank; d++) order[n++] = d;
        return n;
    }
    order[n++] = 0;
    if (layout != SKV_NHWC) order[n++] = 1;
    for (int d = 2; d < rank; d++) order[n++] = d;
    order[n++] = 1; /* all channels, or those of a block */
    return n;
}

void skv_strides_start(skv_strides *s, const skive_type *type, skv_layout layout) {
    int order[SKV_STRIDES_RANK];
    const int64_t block = type->rank < 3 ? 1 : skv_layout_block(layout);
    *s = (skv_strides){.rank = skv_strides_order(type->rank, layout, order)};
    for (int k = 0; k < s->rank; k++) {
        s->dims[k] = type->dims[order[k]].size;
        if (block > 1 && order[k] == 1) s->dims[k] = k == s->rank - 1 ? block : s->dims[k] / block;
    }
}

void skv_strides_add(skv_strides *s, const skive_type *type, skv_layout layout, const skive_type *like,
                     skv_layout like_layout) {
    int order[SKV_STRIDES_RANK];
    const int rank = like->rank, shift = rank - type->rank, n = skv_strides_order(rank, like_layout, order);
    const int64_t block = rank < 3 ? 1 : skv_layout_block(like_layout);
    int64_t *step = s->step[s->tensors++], stride = 1;
    if (layout != SKV_PLAIN && layout == like_layout) { /* of full rank, its axes in the same order */
        for (int k = n - 1; k >= 0; k--) {
            const int64_t size = type->dims[order[k]].size, mine = size == 1 ? 1 : s->dims[k];
            step[k] = mine == 1 ? 0 : stride;
            stride *= mine;
        }
        return;
    }
    int64_t plain[SKIVE_MAX_RANK];
    for (int d = rank - 1; d >= 0; d--) {
        const int64_t size = d >= shift ? type->dims[d - shift].size : 1;
        plain[d] = size == 1 ? 0 : stride;
        stride *= size;
    }
    for (int k = 0; k < n; k++) step[k] = block > 1 && order[k] == 1 && k != n - 1 ? plain[1] * block : plain[order[k]];
}

static void drop(skv_strides *s, int at) {
    s->rank--;
    for (int k = at; k < s->rank; k++) {
        s->dims[k] = s->dims[k + 1];
        for (int t = 0; t < s->tensors; t++) s->step[t][k] = s->step[t][k + 1];
    }
}

void skv_strides_join(skv_strides *s) {
    for (int k = s->rank - 1; k >= 0; k--)
        if (s->dims[k] == 1) drop(s, k);
    for (int k = s->rank - 2; k >= 0; k--) {
        bool one = true;
        for (int t = 0; t < s->tensors; t++) one = one && s->step[t][k] == s->step[t][k + 1] * s->dims[k + 1];
        if (!one) continue;
        s->dims[k] *= s->dims[k + 1];
        for (int t = 0; t < s->tensors; t++) s->step[t][k] = s->step[t][k + 1];
        drop(s, k + 1);
    }
    while (s->rank < 2) {
        for (int k = s->rank; k > 0; k--) {
            s->dims[k] = s->dims[k - 1];
            for (int t = 0; t < s->tensors; t++) s->step[t][k] = s->step[t][k - 1];
        }
        s->dims[0] = 1;
        for (int t = 0; t < s->tensors; t++) s->step[t][0] = 0;
        s->rank++;
    }
    s->outer = 1;
    for (int k = 0; k < s->rank - 2; k++) s->outer *= s->dims[k];
}

skv_block skv_strides_block(const skv_strides *s) {
    const int last = s->rank - 1;
    skv_block b = {.m = s->dims[last - 1], .n = s->dims[last]};
    for (int t = 0; t < s->tensors; t++) {
        b.row[t] = s->step[t][last - 1];
        b.along[t] = s->step[t][last];
    }
    return b;
}

void skv_strides_at(const skv_strides *s, int64_t index, int64_t at[SKV_STRIDES_TENSORS]) {
    for (int t = 0; t < s->tensors; t++) at[t] = 0;
    for (int k = s->rank - 3; k >= 0; k--) {
        const int64_t i = index % s->dims[k];
        index /= s->dims[k];
        for (int t = 0; t < s->tensors; t++) at[t] += i * s->step[t][k];
    }
}
