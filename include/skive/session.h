/* Sessions: run any graph on any inputs, even if its shapes depend on data.
 *
 * A plan (skive/exec.h) has one set of shapes. A session has a graph, takes inputs of any shape that it allows, and
 * creates plans as needed. The part that is determined by the shapes of the inputs is one plan. Where a shape depends
 * on data (NonZero, a Reshape to computed dimensions, the result of a Loop) or the control flow does (If, Loop, Scan),
 * the plan ends; that node is run separately, and the rest is planned for the shapes it produced. Plans are cached: the
 * same shapes need no new plan. */
#ifndef SKIVE_SESSION_H
#define SKIVE_SESSION_H

#include <skive/exec.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_session skive_session;

typedef struct skive_session_options {
    size_t size;
    int threads;    /* 0: the context's */
    bool no_fusion; /* as in skive_plan_options */
    bool reference; /* as in skive_plan_options */
    /* Inputs may have other shapes than the model declares (not other element types), if its nodes accept them */
    bool any_shape;
    size_t max_plans; /* number of cached plans before all are dropped, without those of subgraphs: 64 */
} skive_session_options;
SKIVE_API skive_session_options skive_session_options_default(void);

/* Creates a session; the graph is not modified and may be freed afterwards (parameters are shared). `options` NULL
 * means the defaults. The context must outlive the session. Errors: UNSUPPORTED naming all missing ops at once, GRAPH,
 * MEMORY. */
SKIVE_API skive_status skive_session_create(skive_context *ctx, const skive_graph *graph,
                                            const skive_session_options *options, skive_session **out);
SKIVE_API void skive_session_free(skive_session *session);

/* Runs on `inputs`, one for each graph input in order, and fills outputs[i] for each graph output (freed by the caller
 * with skive_tensor_free). A session is used by one thread at a time; different sessions may run in parallel. On
 * failure no output is returned. Errors: ARGUMENT (number of inputs or outputs), SHAPE (an input that does not match
 * the graph, or sizes that do not match each other), LIMIT, NUMERIC, INTERRUPTED, MEMORY, naming the node or the
 * input. */
SKIVE_API skive_status skive_session_run(skive_session *session, const skive_tensor *inputs, size_t n_inputs,
                                         skive_tensor *outputs, size_t n_outputs);

/* The number of cached plans, without those of subgraphs: one for each part between nodes that end a plan, for each set
 * of shapes. */
SKIVE_API size_t skive_session_plan_count(const skive_session *session);
/* In no particular order; NULL past the end. Valid until the next run. */
SKIVE_API const skive_plan *skive_session_plan(const skive_session *session, size_t index);

/* The nodes that run separately between the cached plans, without those of subgraphs; false past the end. The strings
 * are valid until the next run. */
typedef struct skive_session_stop {
    const char *node, *op, *why;
} skive_session_stop;
SKIVE_API bool skive_session_stop_get(const skive_session *session, size_t index, skive_session_stop *out);

#ifdef __cplusplus
}
#endif
#endif
