/* The state of reducers with one number a slot, as the probe uses it. */
#ifndef SKV_PROBE_SLOTS_H
#define SKV_PROBE_SLOTS_H

#include "probe/probe.h"

size_t skv_slots_bytes(const skv_reduction *r);
skive_status skv_slots_open(skive_context *ctx, const skv_reduction *r, void **state);
void skv_slots_clear(const skv_reduction *r, double *slot);
/* Adds all of x[n]. */
void skv_slots_add(const skv_reduction *r, double *slot, const float *x);
/* Adds elements first to last of x, times those of `times` unless it is NULL, each to the slot of its index. */
void skv_slots_add_range(const skv_reduction *r, double *slot, const float *x, const float *times, int64_t first,
                         int64_t last);
/* Joins `part`, and clears it. */
void skv_slots_join(const skv_reduction *r, double *into, double *part);

#endif
