/* Channel Pruning (He, Zhang & Sun 2017): the layers that read channels which go are fitted, by least squares over
 * samples of the training set, to give without them what they gave with them. It needs no labels. */
#include <math.h>
#include <string.h>

#include "prune/prune.h"

enum { BATCHES = 32, BATCH = 64 };
#define DAMPING 1e-4

/* keep[] of a layer without the input channels that go; false: all stay. */
static bool mask_inputs(const skv_channels *c, skv_prunable *l) {
    bool any = false;
    memset(l->keep, 1, (size_t)l->n);
    int64_t inner = 1;
    if (l->view.in_axis < 0) return false;
    for (int d = l->view.in_axis + 1; d < l->value->type.rank; d++) inner *= l->value->type.dims[d].size;
    const int64_t length = l->value->type.dims[l->view.in_axis].size;
    for (size_t i = 0; i < c->n_gone; i++) {
        const skive_channel_slice *at;
        size_t n;
        skive_coupling_get(c->coupling, c->list[i], &at, &n, NULL);
        for (size_t k = 0; k < n; k++) {
            if (at[k].value != l->value || at[k].axis != l->view.in_axis) continue;
            any = true;
            for (int64_t first = at[k].index * inner; first < l->n; first += inner * length)
                memset(l->keep + first, 0, (size_t)inner);
        }
    }
    return any;
}

skive_status skv_channels_reconstruct(skv_channels *c) {
    skv_pruning *p = c->p;
    double without = 0, with = 0;
    int64_t fitted = 0, left_out = 0;
    SKV_TRY(skv_prune_look_at_inputs(p, BATCHES, BATCH));
    for (size_t i = 0; i < p->n; i++) {
        double errors[2];
        bool fits;
        if (!mask_inputs(c, &p->layers[i])) continue;
        SKV_TRY(skv_prune_fit(p, &p->layers[i], DAMPING, errors, &fits));
        fitted += fits;
        left_out += !fits;
        without += fits ? errors[0] : 0;
        with += fits ? errors[1] : 0;
    }
    if (fitted > 0)
        skv_note(p->ctx,
                 "%lld layers are fitted to do without the channels: the error of their outputs is %.1f %% of "
                 "that without the fit",
                 (long long)fitted, without > 0 ? 100 * with / without : 100.0);
    if (left_out > 0 || fitted == 0)
        skv_note(p->ctx, "%lld layers that read removed channels are not fitted: their inputs cannot be looked at",
                 (long long)left_out);
    return SKIVE_OK;
}
