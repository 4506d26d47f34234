/* The data probe: what the values of a graph, and the gradients of a loss, are like over many samples. Each item is a
 * value of the graph, what is looked at (the value, its gradient, or their product) and a reducer, which makes a few
 * numbers of any amount of data. Calibration, criteria of pruning and sensitivities are lists of items.
 *
 * Runs execute in parallel, each on one thread, in as many workers as fit into the memory allowed; memory depends on
 * the graph and the items, not on the number of samples. The results have the same bits for any number of threads:
 * - a run with gradients has one thread, whatever their number, and forward values do not depend on it;
 * - reducers whose parts merge exactly (counts, extremes, the largest few) are kept by each worker until the end;
 * - the others are reduced for each run by itself, in an order that the shapes decide, and joined in the order of the
 *   runs. One state is shared by all runs; a worker has one more, for the run it executes. What has one number for each
 *   element of a parameter needs no such copy: the gradients of the runs are added to it in order. */
#ifndef SKV_PROBE_H
#define SKV_PROBE_H

#include <skive/exec.h>

#include "graph/graph.h"

typedef enum skv_probe_of {
    SKV_OF_VALUE,    /* the numbers of the value in each run */
    SKV_OF_GRADIENT, /* of the loss with respect to it */
    SKV_OF_PRODUCT,  /* value times gradient, element by element */
    SKV_OF_BOTH      /* the numbers of the value, with those of its gradient beside them; for reducers with a state */
} skv_probe_of;

/* What shares a slot, where it is not the index along one axis. */
enum { SKV_BY_ELEMENT = -2 /* each its own; parameters only */, SKV_IN_ALL = -1 /* one for the whole value */ };

typedef struct skv_reducer skv_reducer;
typedef struct skv_probe skv_probe;

typedef struct skv_probe_item {
    const char *value; /* name of a float32 value of the graph; a parameter only with its gradient */
    skv_probe_of of;
    int axis; /* a slot for each index along it, or one of the above; others than sums and extremes may ignore it */
    const skv_reducer *reducer;
    int64_t number; /* of the reducer: how many are kept, bins of a histogram; 0: its default */
    void *user;     /* of a reducer of the caller's own */
} skv_probe_item;

/* An item in a plan: what a reducer is told of it. */
typedef struct skv_reduction {
    const skv_probe_item *item;
    skive_type type;         /* of the value; all sizes are known */
    int64_t n, slots, inner; /* elements; slots of a run; neighbouring elements that share one */
    int threads;             /* of one run */
} skv_reduction;

/* The numbers of one run. */
typedef struct skv_seen {
    skive_context *ctx;
    const float *x;        /* [n], row-major; of reducers that take `anywhere` in the kernel's order with padding */
    const float *gradient; /* [n] of SKV_OF_BOTH; otherwise NULL */
    size_t n, padding;     /* of n, zeros that are not elements of the value */
    int64_t run;
} skv_seen;

struct skv_reducer {
    const char *name, *brief;
    /* Parts merge exactly: in any order and number, with the same result. */
    bool exact;
    /* Does not look at where in the value a number is. */
    bool anywhere;
    /* Either one number a slot: adds x[n] to slot[i], or with step 0 all of them to *slot. */
    void (*add_slots)(double *slot, size_t step, const float *x, size_t n);
    void (*join_slots)(double *into, const double *part, size_t n); /* NULL: adds */
    double start;                                                   /* of a slot */
    /* Or a state of its own. `close` takes a state that was opened in part. `finish` gives the result, [*n] numbers
     * freed by skv_free; NULL: the state is the result. `merge` leaves `part` as it is after `open`. */
    size_t (*bytes)(const skv_reduction *r);
    skive_status (*open)(skive_context *ctx, const skv_reduction *r, void **state);
    void (*close)(skive_context *ctx, const skv_reduction *r, void *state);
    skive_status (*add)(const skv_reduction *r, void *state, const skv_seen *seen);
    void (*merge)(const skv_reduction *r, void *into, void *part);
    skive_status (*finish)(skive_context *ctx, const skv_reduction *r, void *state, double **out, size_t *n);
};
size_t skv_reducer_count(void);
const skv_reducer *skv_reducer_at(size_t i);
const char *skv_reducer_name(size_t i);
const skv_reducer *skv_reducer_find(const char *name);

typedef struct skv_probe_setup {
    const skive_graph *graph; /* kept, not changed; with gradients all its types are known */
    const char *loss;         /* name of the value whose gradients are wanted, one number; NULL: none are */
    const skv_probe_item *items;
    size_t n_items;
    skive_plan_options plan; /* batch and shapes; the rest is the probe's */
    int64_t runs;            /* expected; 0: many */
    size_t memory;           /* bytes for all workers, of which there is always one; 0: 128 MiB, with gradients 512 */
    size_t most;             /* bytes that one worker may take at most, or ERR_LIMIT; 0: whatever it needs */
    /* Parameters are constants of the plan, as for inference, because no gradient of one is asked for. */
    bool constant_parameters;
    /* Parameters get storages of the probe's own, which skv_probe_parameter gives out to be changed between runs. */
    bool own_parameters;
} skv_probe_setup;

/* Plans and allocates. Errors: ARGUMENT (an item that does not fit its value), NOT_FOUND (no such value), UNSUPPORTED
 * (no gradient), as skive_plan_create. */
skive_status skv_probe_open(skive_context *ctx, const skv_probe_setup *s, skv_probe **out);
void skv_probe_free(skv_probe *p);

/* Fills the inputs for a run. *run is its number, counted from 0, and may be replaced by another, which reducers and
 * `ran` get; numbers grow. -1: the run does not take place. ERR_NOT_FOUND: there are no more. */
typedef skive_status (*skv_probe_feed_fn)(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs);
typedef struct skv_probe_pass {
    skive_status (*begin)(void *user); /* before the first run, so that a pass can be repeated; may be NULL */
    skv_probe_feed_fn feed;            /* called by the calling thread, in order */
    void *user;
    int64_t runs;
    /* After a run, in the order of the runs: its outputs (without a loss those of the graph) can be read. May be
     * NULL. */
    skive_status (*ran)(void *user, int64_t run, skive_exec *exec);
    bool blind;                /* nothing is reduced */
    const char *what, *detail; /* of the progress; NULL: none is told */
} skv_probe_pass;
/* May be called again: the results are those of all runs. *done: runs that took place. Errors: those of feed and runs;
 * NUMERIC (the loss is not finite). */
skive_status skv_probe_run(skv_probe *p, const skv_probe_pass *pass, int64_t *done);
/* Forgets what was seen; states are opened anew. */
skive_status skv_probe_renew(skv_probe *p);

/* The state of an item over all runs so far. */
void *skv_probe_state(skv_probe *p, size_t item);
/* The result of an item, [*n] numbers freed by skv_free; *count: how many numbers a slot got. */
skive_status skv_probe_result(skv_probe *p, size_t item, double **out, size_t *n, double *count);
/* The mean loss of the runs. */
double skv_probe_loss(const skv_probe *p);
/* With own_parameters: the numbers of a parameter, to be changed while nothing runs; NULL: no such parameter. */
float *skv_probe_parameter(skv_probe *p, const char *name, int64_t *n);
size_t skv_probe_workers(const skv_probe *p);

#endif
