/* Plans and runs.
 *
 * A plan is a graph made ready for one set of input shapes: a kernel chosen for each node, weights packed, and every
 * intermediate value given a place in one arena of known size. A plan is immutable: any number of threads may run it at
 * the same time, each through an exec of its own made with a context of its own. */
#ifndef SKIVE_EXEC_H
#define SKIVE_EXEC_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_plan skive_plan;
typedef struct skive_exec skive_exec;

typedef struct skive_shape_binding {
    const char *input; /* name of a graph input */
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
} skive_shape_binding;

typedef struct skive_plan_options {
    size_t size;
    const skive_shape_binding *shapes; /* for inputs with unknown dimensions */
    size_t n_shapes;
    int64_t batch;  /* for unknown first dimensions not bound above; 0: 1. Other unknown dimensions must be bound. */
    int threads;    /* 0: the context's */
    bool training;  /* trainable parameters may change between runs, and nothing of them is packed */
    bool no_fusion; /* run the graph node by node (for comparing); quantized nodes keep their integer arithmetic */
    bool reference; /* reference kernels only (for comparing); the same holds */
    const char *const *keep; /* names of values that must be computed as such, to be looked at through a tap */
    size_t n_keep;
    bool keep_layout; /* kept values are shown in the kernel's own layout, flat: for those who only count elements */
} skive_plan_options;
SKIVE_API skive_plan_options skive_plan_options_default(void);

/* Makes a plan; the graph is only read and may be freed afterwards (parameters are shared). Errors: UNSUPPORTED naming
 * all missing ops at once, SHAPE naming the node or the input whose dimensions are unknown, GRAPH, MEMORY. */
SKIVE_API skive_status skive_plan_create(skive_context *ctx, const skive_graph *graph,
                                         const skive_plan_options *options, skive_plan **out);
SKIVE_API void skive_plan_free(skive_plan *plan);

SKIVE_API size_t skive_plan_input_count(const skive_plan *plan);
SKIVE_API size_t skive_plan_output_count(const skive_plan *plan);
SKIVE_API const char *skive_plan_input_name(const skive_plan *plan, size_t index);
SKIVE_API const char *skive_plan_output_name(const skive_plan *plan, size_t index);

SKIVE_API size_t skive_plan_arena_bytes(const skive_plan *plan);  /* of one exec: all activations and scratch */
SKIVE_API size_t skive_plan_packed_bytes(const skive_plan *plan); /* of weights rearranged for kernels */

/* One step of the plan: the node, the kernel that runs it, what is fused in, and why kernels before it declined (one
 * "kernel: reason" a line, "" if none). All borrowed from the plan. */
typedef struct skive_plan_step {
    const char *node, *op, *kernel, *layout, *declined, *output_type;
    bool is_reorder;
    size_t scratch_bytes;
    int64_t macs;
} skive_plan_step;
SKIVE_API size_t skive_plan_step_count(const skive_plan *plan);
SKIVE_API void skive_plan_step_get(const skive_plan *plan, size_t index, skive_plan_step *out);

/* A place to run a plan in: the arena. One thread at a time; free before the plan. */
SKIVE_API skive_status skive_exec_create(skive_context *ctx, const skive_plan *plan, skive_exec **out);
SKIVE_API void skive_exec_free(skive_exec *exec);

/* The place of an input (write before run) or output (read after run, valid until the next run); dense row-major. */
SKIVE_API skive_status skive_exec_input(skive_exec *exec, size_t index, skive_tensor *view);
SKIVE_API skive_status skive_exec_output(skive_exec *exec, size_t index, skive_tensor *view);
/* Runs. Errors: INTERRUPTED, NUMERIC, MEMORY, whatever a kernel reports, naming the node. */
SKIVE_API skive_status skive_exec_run(skive_exec *exec);

/* Called after the step that computed a kept value (plan option `keep`), with dense row-major data. With the option
 * `keep_layout` the tensor is flat, [elements stored], in the kernel's order; where channels were padded it holds more
 * elements than the value has, all of the surplus zero. */
typedef skive_status (*skive_tap_fn)(void *user, size_t keep_index, const skive_tensor *value);
SKIVE_API void skive_exec_set_tap(skive_exec *exec, skive_tap_fn tap, void *user);

/* Per-step wall times. While on, each run adds to seconds[step]; off costs nothing. */
SKIVE_API skive_status skive_exec_profile(skive_exec *exec, bool on);
SKIVE_API const double *skive_exec_profile_seconds(const skive_exec *exec, size_t *runs); /* [steps] */

/* One call for small things: plan for these inputs' shapes, run, outputs copied out (owned by the caller, one for each
 * graph output). `inputs` in the order of the graph's inputs. */
SKIVE_API skive_status skive_graph_run(skive_context *ctx, const skive_graph *graph, const skive_tensor *inputs,
                                       size_t n_inputs, skive_tensor *outputs, size_t n_outputs);

#ifdef __cplusplus
}
#endif
#endif
