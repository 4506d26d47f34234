/* Plans and runs.
 *
 * A plan is a graph prepared for one set of input shapes: a kernel is chosen for each node, weights are packed, and
 * every intermediate value has an offset in one arena of known size. A plan is immutable: any number of threads may run
 * it at the same time, each through its own exec, created with its own context. */
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
    /* Size of unknown first dimensions that are not bound above; 0 means 1. Other unknown dimensions must be bound. */
    int64_t batch;
    int threads;    /* 0: the context's */
    bool training;  /* trainable parameters may change between runs and are not packed */
    bool no_fusion; /* do not fuse or rewrite nodes (for comparison); quantized nodes keep their integer arithmetic */
    bool reference; /* reference kernels only (for comparison); quantized nodes as above */
    const char *const *keep; /* names of values that must not be fused away, to be read through a tap */
    size_t n_keep;
    /* Kept values are passed flat, in the kernel's own layout: for callers that only count elements */
    bool keep_layout;
    /* Quantized nodes with 8-bit outputs use fixed-point multipliers, an int32 and a shift, as targets without a float
     * unit do (TensorFlow Lite's and CMSIS-NN's arithmetic; docs/quantization.md): gives the bits of such a target. Not
     * with `training`. A model whose metadata say so (skive.multipliers: fixed) has them without this option. */
    bool fixed_multipliers;
    /* With `training`; output 0 is the loss. Activations that only the backward pass still needs are given up and
     * computed again from those at the ends of segments (gradient checkpointing: Chen et al. 2016), with the same bits:
     * `recompute` always, in as many segments as need the least memory; `may_recompute` only where the arena would
     * exceed the context's memory limit less `reserve` bytes, in as few segments as fit. */
    bool recompute, may_recompute;
    size_t reserve;
} skive_plan_options;
SKIVE_API skive_plan_options skive_plan_options_default(void);

/* Creates a plan; the graph is not modified and may be freed afterwards (parameters are shared). Errors: UNSUPPORTED
 * naming all missing ops at once, or an If, Loop or Scan, which only a session runs (skive/session.h); SHAPE naming the
 * node or the input whose dimensions are unknown, GRAPH, MEMORY, LIMIT (its values exceed the memory limit, with
 * recomputation too where that is allowed). */
SKIVE_API skive_status skive_plan_create(skive_context *ctx, const skive_graph *graph,
                                         const skive_plan_options *options, skive_plan **out);
SKIVE_API void skive_plan_free(skive_plan *plan);

SKIVE_API size_t skive_plan_input_count(const skive_plan *plan);
SKIVE_API size_t skive_plan_output_count(const skive_plan *plan);
SKIVE_API const char *skive_plan_input_name(const skive_plan *plan, size_t index);
SKIVE_API const char *skive_plan_output_name(const skive_plan *plan, size_t index);

/* What a plan computes again in each run. */
typedef struct skive_recomputation {
    size_t segments;            /* 0: nothing is */
    size_t bytes_before, bytes; /* of the arena, without and with it */
    int64_t macs;               /* multiply-adds that are made a second time */
} skive_recomputation;
SKIVE_API skive_recomputation skive_plan_recomputation(const skive_plan *plan);
SKIVE_API size_t skive_plan_arena_bytes(const skive_plan *plan);  /* of one exec: all activations and scratch memory */
SKIVE_API size_t skive_plan_packed_bytes(const skive_plan *plan); /* of weights rearranged for kernels */

/* One step of the plan: the node, the kernel that runs it, what is fused in, and why kernels before it declined (one
 * "kernel: reason" per line, "" if none). All borrowed from the plan. */
typedef struct skive_plan_step {
    const char *node, *op, *kernel, *layout, *declined, *output_type;
    bool is_reorder;
    size_t scratch_bytes;
    int64_t macs;
} skive_plan_step;
SKIVE_API size_t skive_plan_step_count(const skive_plan *plan);
SKIVE_API void skive_plan_step_get(const skive_plan *plan, size_t index, skive_plan_step *out);

/* The state of a run: the arena and its pointers. Used by one thread at a time; free it before the plan. */
SKIVE_API skive_status skive_exec_create(skive_context *ctx, const skive_plan *plan, skive_exec **out);
SKIVE_API void skive_exec_free(skive_exec *exec);

/* The buffer of an input (write before a run) or output (read after a run, valid until the next run); dense
 * row-major. */
SKIVE_API skive_status skive_exec_input(skive_exec *exec, size_t index, skive_tensor *view);
SKIVE_API skive_status skive_exec_output(skive_exec *exec, size_t index, skive_tensor *view);
/* Runs the plan. Errors: INTERRUPTED, NUMERIC, MEMORY, and errors of kernels, naming the node. */
SKIVE_API skive_status skive_exec_run(skive_exec *exec);

/* Called after the step that computed a kept value (plan option `keep`), with dense row-major data. With the option
 * `keep_layout` the tensor is flat, [elements stored], in the kernel's order; where channels are padded it has more
 * elements than the value, and the padding is zero. */
typedef skive_status (*skive_tap_fn)(void *user, size_t keep_index, const skive_tensor *value);
SKIVE_API void skive_exec_set_tap(skive_exec *exec, skive_tap_fn tap, void *user);

/* Per-step wall times. While on, each run adds to seconds[step]; switched off, they cost nothing. */
SKIVE_API skive_status skive_exec_profile(skive_exec *exec, bool on);
SKIVE_API const double *skive_exec_profile_seconds(const skive_exec *exec, size_t *runs); /* [steps] */

/* Everything in one call: creates a plan for the shapes of these inputs, runs it and copies the outputs (owned by the
 * caller, one per graph output). `inputs` in the order of the graph's inputs. */
SKIVE_API skive_status skive_graph_run(skive_context *ctx, const skive_graph *graph, const skive_tensor *inputs,
                                       size_t n_inputs, skive_tensor *outputs, size_t n_outputs);

#ifdef __cplusplus
}
#endif
#endif
