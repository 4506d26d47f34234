/* See callback.h. */
#include "train/train.h"

#define SKV_KIND    callback
#define SKV_ARRAY   callbacks
#define SKV_RECORDS "train/callbacks.inc"
#include "base/records.h"

skive_status skv_callbacks_check(skive_context *ctx, const skive_train_options *o) {
    for (size_t i = 0; i < SKV_COUNT(callbacks); i++)
        if (callbacks[i]->check && callbacks[i]->asked(o)) SKV_TRY(callbacks[i]->check(ctx, o));
    return SKIVE_OK;
}

const char *skv_callbacks_need_length(const skive_train_options *o) {
    for (size_t i = 0; i < SKV_COUNT(callbacks); i++)
        if (callbacks[i]->needs_length && callbacks[i]->asked(o) && callbacks[i]->needs_length(o))
            return callbacks[i]->name;
    return NULL;
}

skive_status skv_callbacks_start(const skv_callback_site *at, skv_bound_callback **out, size_t *n) {
    *n = 0;
    SKV_TRY(skv_alloc_array(at->ctx, SKV_COUNT(callbacks), sizeof **out, out));
    for (size_t i = 0; i < SKV_COUNT(callbacks); i++) {
        if (!callbacks[i]->asked(at->options)) continue;
        skv_bound_callback *c = &(*out)[(*n)++];
        c->callback = callbacks[i];
        if (callbacks[i]->start) SKV_TRY(callbacks[i]->start(at, &c->self));
    }
    return SKIVE_OK;
}

void skv_callbacks_end(skive_context *ctx, skv_bound_callback *c, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (c[i].callback->end) c[i].callback->end(ctx, c[i].self);
    skv_free(ctx, c);
}

skive_status skv_callbacks_show(skv_trainer *t, const skv_watch *w, bool on) {
    size_t n;
    const skv_bound_callback *c = skv_trainer_callbacks(t, &n);
    for (size_t i = 0; i < n; i++)
        if (c[i].callback->show) SKV_TRY(c[i].callback->show(c[i].self, w, on));
    return SKIVE_OK;
}

skive_status skv_callbacks_epoch(skv_trainer *t, const skv_watch *w, bool *counts, bool *stop) {
    size_t n;
    const skv_bound_callback *c = skv_trainer_callbacks(t, &n);
    for (size_t i = 0; i < n; i++)
        if (c[i].callback->epoch) SKV_TRY(c[i].callback->epoch(c[i].self, w, counts, stop));
    return SKIVE_OK;
}

double skv_callbacks_rate(skv_trainer *t, double epoch, double rate) {
    size_t n;
    const skv_bound_callback *c = skv_trainer_callbacks(t, &n);
    for (size_t i = 0; i < n; i++)
        if (c[i].callback->rate) rate = c[i].callback->rate(c[i].self, epoch, rate);
    return rate;
}
