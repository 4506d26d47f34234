/* The pass record: a rewriting of a graph that keeps its meaning. passes.inc lists them in the order they run. */
#ifndef SKV_PASS_H
#define SKV_PASS_H

#include "graph/graph.h"
#include "ops/op.h"

typedef enum skv_pass_when {
    SKV_PASS_CLEAN = 1, /* keeps the model what it is, smaller: constant folding, identities, dead nodes. Export-safe */
    SKV_PASS_INFERENCE = 2, /* export-safe but fixes the statistics: BatchNormalization folded into weights */
    SKV_PASS_EXECUTE = 4,   /* leaves standard ONNX: fused and integer nodes; only in a plan's own copy, inference */
    SKV_PASS_TRAINING = 8,  /* the same, for a training plan */
    SKV_PASS_INTEGER =
        64, /* gives quantized nodes their defined integer arithmetic: in every inference plan, so that whatever else
                               is fused or not, and whichever kernels run, the bits are the same */
    SKV_PASS_REQUEST = 32, /* standard ONNX of an opset so new that it is only made when named */
    SKV_PASS_NEWER = 16,   /* standard ONNX, but of a newer opset than the nodes it replaces */
} skv_pass_when;

typedef struct skv_pass_env {
    skive_context *ctx;
    /* Values that must keep existing under their name (taps of calibration): a pass must not fuse across them. */
    bool (*keep)(const void *user, const skive_value *v);
    const void *keep_user;
    bool training; /* trainable parameters are not constants */
    bool for_file; /* the graph is to be written: nothing is folded that would make the file larger */
} skv_pass_env;
static inline bool skv_pass_keeps(const skv_pass_env *e, const skive_value *v) {
    return v->output_uses > 0 || (e->keep && e->keep(e->keep_user, v));
}
/* One input of one node is all that reads it: it may vanish. What is only replaced may be captured, its captures move
 * along. */
static inline bool skv_pass_hidden(const skv_pass_env *e, const skive_value *v) {
    return v->n_uses == 1 && !skv_pass_keeps(e, v) && !skv_value_is_captured(v);
}

typedef struct skv_pass {
    const char *name, *brief;
    unsigned when; /* skv_pass_when bits */
    /* Rewrites in place, each rewriting atomic; *changes counts them. */
    skive_status (*run)(const skv_pass_env *env, skive_graph *g, size_t *changes);
} skv_pass;

size_t skv_pass_count(void);
const skv_pass *skv_pass_at(size_t i);
const skv_pass *skv_pass_find(const char *name);
/* Runs one pass; what it removes is taken out of the graph's arrays at its end. */
skive_status skv_pass_run(const skv_pass *pass, const skv_pass_env *env, skive_graph *g, size_t *changes);
/* Runs all passes having one of the bits of `when` in list order, repeated until nothing changes (at most 4 rounds). */
skive_status skv_passes_run(const skv_pass_env *env, skive_graph *g, unsigned when, size_t *changes);

#endif
