/* Sessions: any graph on any inputs, whatever its shapes depend on.
 *
 * A plan (skive/exec.h) has one set of shapes. A session holds a graph, takes inputs of whatever shape it allows, and
 * makes the plans it needs. What can be known from the shapes of the inputs is one plan. Where a shape depends on data
 * (NonZero, a Reshape to computed dimensions, the result of a Loop) or the path does (If, Loop, Scan), the plan ends;
 * the node is run by itself, and what follows is planned for the shapes that came out. Plans are kept: the same shapes
 * again cost nothing. */
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
    bool
        any_shape; /* inputs may have other shapes than the model states (not other element types), if its nodes accept them */
    size_t max_plans; /* kept before all are forgotten, subgraphs' not counted: 64 */
} skive_session_options;
SKIVE_API skive_session_options skive_session_options_default(void);

/* Makes a session; the graph is only read and may be freed afterwards (parameters are shared). `options` NULL means
 * the defaults. The context must outlive the session. Errors: UNSUPPORTED naming all missing ops at once, GRAPH,
 * MEMORY. */
SKIVE_API skive_status skive_session_create(skive_context *ctx, const skive_graph *graph,
                                            const skive_session_options *options, skive_session **out);
SKIVE_API void skive_session_free(skive_session *session);

/* Runs on `inputs`, one for each graph input in order, and fills outputs[i] for each graph output (freed by the caller
 * with skive_tensor_free). One thread at a time; sessions of their own may run side by side. On failure no output is
 * left. Errors: ARGUMENT (number of inputs or outputs), SHAPE (an input that does not fit the graph, or sizes that do
 * not fit each other), LIMIT, NUMERIC, INTERRUPTED, MEMORY, naming the node or the input. */
SKIVE_API skive_status skive_session_run(skive_session *session, const skive_tensor *inputs, size_t n_inputs,
                                         skive_tensor *outputs, size_t n_outputs);

/* The plans held now, subgraphs' not counted: one for each part between nodes that stop a plan, for each set of
 * shapes. */
SKIVE_API size_t skive_session_plan_count(const skive_session *session);
/* In no particular order; NULL past the end. Valid until the next run. */
SKIVE_API const skive_plan *skive_session_plan(const skive_session *session, size_t index);

/* The nodes that run by themselves between the plans held now, those of subgraphs not counted; false past the end. The
 * texts are valid until the next run. */
typedef struct skive_session_stop {
    const char *node, *op, *why;
} skive_session_stop;
SKIVE_API bool skive_session_stop_get(const skive_session *session, size_t index, skive_session_stop *out);

#ifdef __cplusplus
}
#endif
#endif
