/* Products of the Hessian of a mean loss with a vector. */
#ifndef SKV_PROBE_HESSIAN_H
#define SKV_PROBE_HESSIAN_H

#include "probe/probe.h"

typedef struct skv_hessian_setup {
    skv_probe_setup probe;         /* graph, loss, plan options, runs, memory; the items are not read */
    skv_probe_pass pass;           /* runs twice, over the same data: it needs `begin`, or a feed that goes by *run */
    const char *const *parameters; /* [n] names; others stay as they are */
    const float *const *vector;    /* [n][elements of the parameter] */
    size_t n;
    double step; /* e; 0: chosen */
} skv_hessian_setup;

/* out[n][elements] gets H v, the mean over the runs. Weights that are not float32, or where the loss has a kink within
 * the step, give what the difference of gradients gives there. The same bits for any number of threads. Errors: those
 * of the probe. */
skive_status skv_hessian_vector(skive_context *ctx, const skv_hessian_setup *s, double **out);

#endif
