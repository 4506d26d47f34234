/* What the files of the probe share. */
#ifndef SKV_PROBE_INSIDE_H
#define SKV_PROBE_INSIDE_H

#include "probe/probe.h"

#define SKV_PROBE_NONE SIZE_MAX

/* Does it look at the value besides the gradient? */
static inline bool skv_probe_of_value(skv_probe_of of) { return of == SKV_OF_PRODUCT || of == SKV_OF_BOTH; }

/* An item, and where its numbers come from. */
typedef struct skv_probe_entry {
    skv_reduction r;
    size_t keep;                 /* of the value: tap of the plan, or NONE */
    size_t next;                 /* the next item with this tap, or NONE */
    size_t gradient;             /* output of the plan, or NONE */
    size_t value;                /* output of the plan with the value itself, or NONE */
    const float *param;          /* the value is a parameter */
    bool direct;                 /* a slot for each element: all runs add to the total */
    int64_t first_block, blocks; /* of a direct one: its blocks of elements among those of all */
    void *total;
    double count; /* numbers that a slot got */
} skv_probe_entry;

typedef struct skv_probe_worker {
    skv_probe *p;
    skive_context *ctx;
    skive_exec *exec;
    skive_tensor *inputs;
    void **parts; /* [items]; NULL for direct ones */
    float *room;  /* for products */
    int64_t run;
    bool blind;
    skive_status status;
} skv_probe_worker;

struct skv_probe {
    skive_context *ctx;
    const skv_probe_setup *setup;
    skv_probe_setup own; /* *setup */
    skive_graph *copy;   /* with the gradients; NULL: the caller's graph is run */
    const skive_graph *graph;
    const char **keep;
    size_t *first; /* [n_keep] item of a tap */
    size_t n_keep;
    skv_probe_entry *entries;
    size_t n;
    int threads; /* of one run */
    skive_plan *plan;
    skv_probe_worker *workers;
    size_t n_workers;
    int64_t n_blocks; /* of elements, in all direct items */
    int64_t runs;
    double loss_sum;
};

/* Fills keep, entries[].keep, .gradient, .value and .param; copies the graph and adds the gradients. */
skive_status skv_probe_build(skv_probe *p);

#endif
