/* Channel Pruning (He, Zhang & Sun 2017): the layers that read channels which go are fitted, by least squares over
 * samples of the training set, to give without them what they gave with them. It needs no labels. */
#include <math.h>
#include <string.h>

#include "prune/hessian.h"

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

/* Moments of so many bytes are gathered in one pass over the samples. */
#define ROOM ((size_t)256 << 20)

typedef struct fitting {
    skv_channels *c;
    bool *reads, *which; /* [layers] that read channels which go; those of this pass */
    float **fitted;      /* [layers] their new weights, which no other layer may see before all are fitted */
    double without, with;
    int64_t n, left_out;
} fitting;

static size_t bytes_of(const skv_prunable *l) {
    skv_rows r;
    return skv_rows_of(l, &r) ? (size_t)r.groups * (size_t)r.d * (size_t)r.d * sizeof(double) : 0;
}

/* Layers from `from` on for which there is room, at least one; the first one behind them. */
static size_t next_pass(fitting *x, size_t from) {
    const skv_pruning *p = x->c->p;
    size_t bytes = 0, i = from;
    memset(x->which, 0, p->n * sizeof *x->which);
    for (bool any = false; i < p->n; i++) {
        if (!x->reads[i]) continue;
        const size_t more = bytes_of(&p->layers[i]);
        if (any && more > ROOM - bytes) break;
        bytes = more < ROOM - bytes ? bytes + more : ROOM;
        any = x->which[i] = true;
    }
    return i;
}

static skive_status fit(fitting *x, size_t i) {
    skv_pruning *p = x->c->p;
    skv_prunable *l = &p->layers[i];
    double errors[2];
    bool fits;
    float *weights = l->value->storage->tensor.data;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)l->n + 1, sizeof(float), &x->fitted[i]));
    memcpy(x->fitted[i], weights, (size_t)l->n * sizeof(float));
    SKV_TRY(skv_prune_fit(p, l, DAMPING, errors, &fits));
    x->n += fits;
    x->left_out += !fits;
    x->without += fits ? errors[0] : 0;
    x->with += fits ? errors[1] : 0;
    for (int64_t k = 0; k < l->n; k++) {
        const float now = weights[k];
        weights[k] = x->fitted[i][k];
        x->fitted[i][k] = now;
    }
    skv_free(p->ctx, l->numbers[0].x);
    l->numbers[0] = (skv_numbers){0};
    return SKIVE_OK;
}

static skive_status fit_all(fitting *x) {
    skv_pruning *p = x->c->p;
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *x->reads, &x->reads));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *x->which, &x->which));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *x->fitted, &x->fitted));
    for (size_t i = 0; i < p->n; i++) x->reads[i] = mask_inputs(x->c, &p->layers[i]) && p->layers[i].value->storage;
    for (size_t i = 0; i < p->n;) {
        const size_t end = next_pass(x, i);
        bool any = false;
        for (size_t k = i; k < end; k++) any = any || x->which[k];
        if (any) SKV_TRY(skv_prune_look_at_inputs(p, x->which, BATCHES, BATCH));
        for (; i < end; i++)
            if (x->which[i]) SKV_TRY(fit(x, i));
    }
    for (size_t i = 0; i < p->n; i++)
        if (x->fitted[i])
            memcpy(p->layers[i].value->storage->tensor.data, x->fitted[i], (size_t)p->layers[i].n * sizeof(float));
    return SKIVE_OK;
}

skive_status skv_channels_reconstruct(skv_channels *c) {
    skv_pruning *p = c->p;
    fitting x = {.c = c};
    const skive_status status = fit_all(&x);
    for (size_t i = 0; x.fitted && i < p->n; i++) skv_free(p->ctx, x.fitted[i]);
    skv_free(p->ctx, x.fitted);
    skv_free(p->ctx, x.reads);
    skv_free(p->ctx, x.which);
    SKV_TRY(status);
    if (x.n > 0)
        skv_note(p->ctx,
                 "%lld layers are fitted to do without the channels: the error of their outputs is %.1f %% of "
                 "that without the fit",
                 (long long)x.n, x.without > 0 ? 100 * x.with / x.without : 100.0);
    if (x.left_out > 0 || x.n == 0)
        skv_note(p->ctx, "%lld layers that read removed channels are not fitted: their inputs cannot be looked at",
                 (long long)x.left_out);
    return SKIVE_OK;
}
