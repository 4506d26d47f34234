/* The pass record: a graph rewrite that preserves the results. passes.inc lists them in the order in which they run. */
#ifndef SKV_PASS_H
#define SKV_PASS_H

#include "base/option.h"
#include "graph/graph.h"
#include "graph/op.h"

typedef enum skv_pass_when {
    /* Makes the model smaller without other changes: constant folding, identities, dead nodes. Safe for export */
    SKV_PASS_CLEAN = 1,
    SKV_PASS_INFERENCE = 2, /* safe for export, but fixes the statistics: BatchNormalization folded into weights */
    /* Produces nodes outside standard ONNX (fused and integer nodes); only in a plan's own copy, for inference */
    SKV_PASS_EXECUTE = 4,
    SKV_PASS_TRAINING = 8, /* the same, for a training plan */
    /* Gives quantized nodes their defined integer arithmetic: in every inference plan, so that the bits do not depend
     * on other fusions or on kernels */
    SKV_PASS_INTEGER = 64,
    SKV_PASS_FIXED = 128, /* changes the arithmetic of integer nodes: plans that ask for fixed-point multipliers */
    /* Puts a node that a plan holds in the place of control flow: in every inference plan, and before a session splits
     * its graph */
    SKV_PASS_FLOW = 256,
    SKV_PASS_REQUEST = 32, /* standard ONNX of an opset so new that it is only used when named */
    SKV_PASS_NEWER = 16,   /* standard ONNX, but of a newer opset than the nodes it replaces */
} skv_pass_when;

typedef struct skv_pass_env {
    skive_context *ctx;
    /* Values that must be kept under their name (taps of calibration): a pass must not fuse across them. */
    bool (*keep)(const void *user, const skive_value *v);
    const void *keep_user;
    bool training; /* parameters that change (skv_value_changes) are not constants */
    bool for_file; /* the graph will be written: do not fold what would make the file larger */
} skv_pass_env;
static inline bool skv_pass_keeps(const skv_pass_env *e, const skive_value *v) {
    return v->output_uses > 0 || (e->keep && e->keep(e->keep_user, v));
}
/* True if a single input of a single node reads the value, so that it may be removed. A value that is only replaced may
 * be captured by subgraphs; its captures are updated. */
static inline bool skv_pass_hidden(const skv_pass_env *e, const skive_value *v) {
    return v->n_uses == 1 && !skv_pass_keeps(e, v) && !skv_value_is_captured(v);
}

typedef struct skv_pass {
    const char *name, *brief;
    unsigned when; /* skv_pass_when bits */
    /* Rewrites in place, each rewrite being atomic; *changes counts them. */
    skive_status (*run)(const skv_pass_env *env, skive_graph *g, size_t *changes);
} skv_pass;

size_t skv_pass_count(void);
const skv_pass *skv_pass_at(size_t i);
const skv_pass *skv_pass_find(const char *name);
/* Runs one pass; removed nodes leave the graph's arrays at its end. */
skive_status skv_pass_run(const skv_pass *pass, const skv_pass_env *env, skive_graph *g, size_t *changes);
/* Runs all passes with one of the bits of `when` in list order, repeated until nothing changes (at most 4 rounds). */
skive_status skv_passes_run(const skv_pass_env *env, skive_graph *g, unsigned when, size_t *changes);
/* Makes channels traceable (skive/coupling.h): shapes become constants, and shared constants get a copy a reader. Types
 * are inferred. */
skive_status skv_pass_plain_channels(skive_context *ctx, skive_graph *g);

/* Matrices that only a Transpose reads are stored transposed, under their name, so that methods see weights; a note tells
 * of it. *n (may be NULL): how many were turned. */
skive_status skv_pass_turn_parameters(skive_graph *g, size_t *n);

/* Of skive_simplify (simplify.c). */
extern const skv_table skv_simplify_table;

#endif
