/* Inside the table of measured costs. */
#ifndef SKV_TUNE_COSTS_H
#define SKV_TUNE_COSTS_H

#include "tune/tune.h"

typedef struct skv_cost_entry {
    char *key;
    skive_cost_time time;
    bool fresh; /* measured by this process */
} skv_cost_entry;

/* Times plans; alternating, so that a change of the clock rate or another program meets all alike. reorders[i]: the
 * time of changes of memory layout, which is not part of out[i]. */
typedef skive_status (*skv_cost_measure_fn)(void *user, skive_context *ctx, const skive_plan *const *plans, size_t n,
                                            skive_cost_time *out, double *reorders);

struct skive_costs {
    skive_context *ctx;
    char *path, *machine;
    skv_cost_entry *entries;
    size_t n, capacity, n_fresh;
    uint32_t *slots; /* [n_slots], a power of two: index + 1 of an entry, 0: free */
    size_t n_slots;
    skv_cost_measure_fn measure; /* tests put in their own */
    void *measure_user;
};

const skive_cost_time *skv_costs_find(const skive_costs *c, const char *key);
/* An entry that is there already stays. */
skive_status skv_costs_enter(skive_costs *c, const char *key, const skive_cost_time *time, bool fresh);

/* The sum of the times of the nodes of the graph's plan, without measuring the whole. */
skive_status skv_costs_of_nodes(skive_costs *c, const skive_graph *g, const skive_plan_options *options, double *sum);

/* The key of a graph with one node, whose inputs have static types. *out is freed by skv_free. */
skive_status skv_cost_key(const skive_graph *g, int threads, char **out);

/* The measuring itself; `user` is not used. */
skive_status skv_cost_measure(void *user, skive_context *ctx, const skive_plan *const *plans, size_t n,
                              skive_cost_time *out, double *reorders);
/* Median and half the distance between the quartiles; sorts the times. */
void skv_cost_settle(double *times, size_t n, double *median, double *spread);

#endif
