/* A reducer whose state is its user's, with a place of its own for each run: nothing is opened, merged or closed. */
#ifndef SKV_PROBE_STATELESS_H
#define SKV_PROBE_STATELESS_H

#include "probe/probe.h"

static inline skive_status skv_stateless_open(skive_context *ctx, const skv_reduction *r, void **state) {
    (void)ctx;
    *state = r->item->user;
    return SKIVE_OK;
}
static inline void skv_stateless_close(skive_context *ctx, const skv_reduction *r, void *state) {
    (void)ctx;
    (void)r;
    (void)state;
}
static inline size_t skv_stateless_bytes(const skv_reduction *r) {
    (void)r;
    return 0;
}
static inline void skv_stateless_merge(const skv_reduction *r, void *into, void *part) {
    (void)r;
    (void)into;
    (void)part;
}

#define SKV_STATELESS                                                                                      \
    .exact = true, .bytes = skv_stateless_bytes, .open = skv_stateless_open, .close = skv_stateless_close, \
    .merge = skv_stateless_merge

#endif
