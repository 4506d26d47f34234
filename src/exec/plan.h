/* Internals of plans. Built by plan.c (graph), choose.c (kernels and layouts) and lifetime.c (arena); run by exec.c. */
#ifndef SKV_PLAN_H
#define SKV_PLAN_H

#include <skive/exec.h>

#include "kernels/kernel.h"
#include "lower/lower.h"
#include "passes/pass.h"

/* A piece of memory with one value in one layout. A view shares the slot of the value it views. */
typedef enum skv_slot_kind { SKV_SLOT_ARENA, SKV_SLOT_PARAM } skv_slot_kind;
typedef struct skv_plan_slot {
    skv_slot_kind kind;
    const skv_storage *param; /* SKV_SLOT_PARAM: read at each run, so that training sees new weights */
    size_t bytes;
    bool pinned; /* graph input or output: never shared with another value */
    /* by skv_plan_measure, as in lower/lower.h: */
    size_t offset;
    uint32_t first, last, alias;
} skv_plan_slot;

typedef struct skv_plan_step {
    const skive_node *node; /* the computed node, or the one whose input is reordered */
    bool is_reorder;
    skive_type reorder_type;
    skv_layout from, to;
    skv_kernel_node kernel;         /* unused for a reorder */
    uint32_t *in_slots, *out_slots; /* SKV_NO_SLOT: absent or not read */
    size_t n_in, n_out;
    char *declined;
    const char *output_type, *layout_text;
    int64_t macs;
    uint64_t choice_key; /* of the node as it was when its kernel was chosen (exec/choices.h) */
    bool is_repeated;    /* runs a second time, for the backward pass; the kernel's state is the first step's */
} skv_plan_step;

typedef struct skv_plan_tap {
    uint32_t keep_index, slot, step;
    skive_type type;
} skv_plan_tap;

/* The slots of a value, one per layout in which it exists. */
typedef struct skv_plan_slots {
    uint32_t slot[4]; /* by skv_layout; SKV_NO_SLOT */
    skv_layout home;  /* as it was produced */
} skv_plan_slots;

struct skive_plan {
    skive_context *ctx;
    skv_arena *arena, *weights; /* weights packed by kernels */
    skive_graph *graph;         /* the plan's own, with all passes applied and concrete shapes; not all weights */
    int threads;
    bool training, reference, keep_layout;
    bool keeps_weights; /* the graph keeps those that steps have packed */
    skv_plan_step *steps;
    uint32_t n_steps, steps_capacity;
    skv_plan_slot *slots;
    uint32_t n_slots, slots_capacity;
    skv_plan_tap *taps;
    uint32_t n_taps;
    uint32_t *input_slots, *output_slots; /* by graph input and output */
    size_t arena_bytes, scratch_offset, packed_bytes;
    skive_recomputation recomputed;
};

/* Sets the sizes of the graph's inputs from the options; types of inner values that may contain open sizes are
 * cleared. */
skive_status skv_plan_bind_inputs(skive_context *ctx, skive_graph *g, const skive_plan_options *o);
/* The node has subgraphs, whose way depends on data: only a session runs it. Always fails. */
skive_status skv_plan_refuse_flow(skive_context *ctx, const skive_node *n);
/* Can the node be part of a plan? Not with subgraphs, nor if its output shape is unknown before it runs. The graph's
 * inputs are bound and its types inferred. */
bool skv_plan_holds(const skive_node *n);
/* Why it may not. */
const char *skv_plan_why_not(const skive_node *n);
/* What skive_plan_create does before kernels are chosen: only the graph is there, with its weights. */
skive_status skv_plan_simplified(skive_context *ctx, const skive_graph *graph, const skive_plan_options *options,
                                 skive_plan **out);
/* A plan whose graph keeps all weights. */
skive_status skv_plan_keeping(skive_context *ctx, const skive_graph *graph, const skive_plan_options *options,
                              skive_plan **out);
/* Chooses a kernel for each node; parameters that all steps have packed leave the graph. */
skive_status skv_plan_choose(skive_plan *plan, const char *const *keep, size_t n_keep);
skive_status skv_plan_lay_out(skive_plan *plan);
/* The same without asking whether the arena is within the memory limit. */
skive_status skv_plan_measure(skive_plan *plan);
/* Lays out a plan of training so that values which only the backward pass still needs are computed again: `always`, or
 * where the arena would not fit into the memory limit less `reserve`. Errors: LIMIT (not even so). */
skive_status skv_plan_recompute(skive_plan *plan, bool always, size_t reserve);
/* Memory for a run could not be allocated: prepends the largest value and the node that produces it to the context's
 * message. */
skive_status skv_plan_too_large(skive_context *ctx, const skive_plan *plan, skive_status status);
/* Makes coded parameters of a private graph dense: all, or those that are not only weights of products. */
skive_status skv_graph_decode(skive_graph *g, bool all);
/* The first number of a run that is not finite. */
typedef struct skv_not_finite {
    const skive_value *value; /* of the plan's graph: an input, a parameter or a result; NULL: there is none */
    const skive_node *node;   /* that computed it; NULL: it came in */
    int64_t row;              /* its place along the first axis; -1: there is none */
    bool nan;                 /* otherwise infinite */
} skv_not_finite;
/* Makes the run of exec's current inputs and number again and looks at everything in the order in which it is computed,
 * at parameters before the first step that reads them. -infinity is looked for only where there is nothing else: masks
 * have it. */
skive_status skv_exec_find_not_finite(skive_exec *exec, skv_not_finite *out);
/* The number of the next run, which selects the random stream: a resumed training continues with the stream in which it
 * stopped. */
void skv_exec_set_step(skive_exec *exec, uint64_t step);

#endif
