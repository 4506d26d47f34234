/* Rewrites that keep a model's results: arithmetic that an exporter wrote out becomes one operator, and duplicate or
 * useless computations are removed. */
#ifndef SKIVE_SIMPLIFY_H
#define SKIVE_SIMPLIFY_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The passes whose result is standard ONNX, in the order in which they run. The strings are static. */
typedef struct skive_pass_info {
    const char *name, *brief;
    bool on_request; /* runs only when named: it fixes the statistics of BatchNormalization, or needs opset 23 */
} skive_pass_info;
SKIVE_API size_t skive_pass_count(void);
SKIVE_API skive_status skive_pass_get(skive_context *ctx, size_t index, skive_pass_info *out);

typedef struct skive_simplify_options {
    size_t size;
    const char *const *passes; /* [n_passes] names; NULL: all except those that run only when named */
    size_t n_passes;
    const char *list; /* instead of `passes`: their names, separated by commas; NULL: not */
} skive_simplify_options;
SKIVE_API skive_simplify_options skive_simplify_options_default(void);

enum { SKIVE_SIMPLIFY_MAX_PASSES = 32 };
typedef struct skive_simplify_step {
    const char *pass;
    size_t rewritten;                  /* places that changed */
    size_t nodes_before, nodes_after;  /* nodes that the pass removed minus those it added, over all rounds */
    int64_t bytes_before, bytes_after; /* of parameters */
} skive_simplify_step;
typedef struct skive_simplify_report {
    size_t nodes_before, nodes_after;
    int64_t bytes_before, bytes_after; /* of parameters */
    size_t n_steps;
    skive_simplify_step steps[SKIVE_SIMPLIFY_MAX_PASSES]; /* of each pass that was chosen, in order */
} skive_simplify_report;

/* Runs the passes over *graph, again and again until nothing changes (at most four rounds). `report` may be NULL.
 * Outputs keep their names. Errors: ARGUMENT for a pass that is not in the list, SHAPE, GRAPH, MEMORY; the graph is
 * then unchanged. */
SKIVE_API skive_status skive_simplify(skive_context *ctx, skive_graph *graph, const skive_simplify_options *options,
                                      skive_simplify_report *report);

#ifdef __cplusplus
}
#endif
#endif
