/* What the methods share: the exact choice among many layers' choices under a budget, the control of accuracy by
 * bisection, and the table of measured costs. */
#ifndef SKIVE_TUNE_H
#define SKIVE_TUNE_H

#include <skive/context.h>
#include <skive/eval.h>
#include <skive/exec.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- allocation: one choice for each layer, the least harm within the budgets ----
 *
 * The multiple-choice knapsack problem, solved exactly: a Lagrangian bound removes choices that cannot be part of a
 * better solution, and dynamic programming over undominated states enumerates the rest, the undecided layers first
 * (after Pisinger 1995, "A minimal algorithm for the multiple-choice knapsack problem"). */

enum { SKIVE_MOST_BUDGETS = 4 };
/* One way to treat a layer: its harm (any unit that adds up over layers) and what it costs of each budget. Whole
 * numbers of bytes or multiply-accumulates up to 2^53 are added without rounding. */
typedef struct skive_choice {
    double harm;
    double cost[SKIVE_MOST_BUDGETS]; /* not negative; those without a budget are ignored */
} skive_choice;
typedef struct skive_choices {
    const char *layer; /* for messages; may be NULL */
    const skive_choice *items;
    size_t n;
} skive_choices;
typedef struct skive_allocation {
    double harm, cost[SKIVE_MOST_BUDGETS];
    double least[SKIVE_MOST_BUDGETS]; /* the least possible cost of each budget by itself */
    double bound;                     /* no allocation within the budgets does less harm than this */
    /* The result is proven to be the best. False only after some millions of states, which real costs that are nearly
     * proportional to the harm may take; `bound` says then how far from the best the result can be. */
    bool exact;
    size_t states; /* examined */
} skive_allocation;

/* Finds chosen[i], the index of a choice for each of the n layers, so that the sum of each cost is within its budget
 * and the sum of harms is the least possible. Of several such allocations one with the least cost (of the first budget,
 * then the second and so on) is taken, always the same. `report` may be NULL; on ERR_GOAL its `least` is set. Errors:
 * ARGUMENT (a layer without choices, NaN, a negative cost), GOAL (the budgets cannot be met; the message names the
 * least possible), LIMIT (several budgets: whether they can be met together could not be decided), MEMORY. */
SKIVE_API skive_status skive_allocate(skive_context *ctx, const skive_choices *layers, size_t n, const double *budgets,
                                      size_t n_budgets, size_t *chosen, skive_allocation *report);

/* ---- accuracy control: what hurts is put back, found by bisection ---- */

/* What a task loses, in percentage points, positive if `b` is worse than `a`: of accuracy, or for tasks with VALUES of
 * R squared. NaN if it is not defined. */
SKIVE_API double skive_eval_drop(const skive_eval_report *a, const skive_eval_report *b);

/* Evaluates the model with the first `applied` of the ordered choices in effect, the least harmful first, on the
 * validation split; *out is freed by the caller. */
typedef skive_status (*skive_control_evaluate_fn)(void *user, size_t applied, skive_eval_report *out);

enum { SKIVE_CONTROL_MOST_TRIALS = 64 };
typedef struct skive_control_trial {
    size_t applied;   /* choices in effect */
    double drop;      /* percentage points against the original on the validation split; negative: it gained */
    double low, high; /* its paired 95 % interval; NaN if there is none */
    bool within;      /* the limit */
} skive_control_trial;
typedef struct skive_control_report {
    bool feasible;  /* `applied` is more than 0 and its drop within the limit */
    size_t applied; /* the largest number of choices whose measured drop is within the limit */
    double drop;    /* of `applied` as measured; 0 for none */
    size_t n_trials;
    skive_control_trial trials[SKIVE_CONTROL_MOST_TRIALS]; /* all evaluations besides that of the original, in order */
    size_t best;                                           /* the trial with the least drop; meaningless without one */
    int64_t samples;                                       /* of the validation split */
    double finest; /* the smallest drop the split can show, percentage points: one sample; 0 for VALUES */
} skive_control_report;

/* The largest number of the n choices, in their order, that lose at most `max_drop` percentage points against
 * `original` (the evaluation of the model without any). All are tried first, then bisection, which assumes that more
 * choices lose more: at most 1 + ceil(log2(n)) evaluations. Whether or not that holds, the result is a set that was
 * itself measured to be within the limit. That nothing but the original is within it is no failure: `feasible` is
 * false then. Errors: ARGUMENT (a negative limit), NUMERIC (a drop that is NaN), and those of the evaluation. */
SKIVE_API skive_status skive_control_drop(skive_context *ctx, size_t n, const skive_eval_report *original,
                                          double max_drop, skive_control_evaluate_fn evaluate, void *user,
                                          skive_control_report *report);

/* ---- measured costs ----
 *
 * A table of times that were measured on this machine: of one operator with its attributes, element types, shapes, and
 * constants, at one instruction-set level and number of threads. A time that is not in the table is measured and
 * entered; nothing is interpolated. The file is $XDG_CACHE_HOME/skive/costs-*.txt (~/.cache without the variable), one
 * for each processor model and version of skive and oneDNN. */

typedef struct skive_costs skive_costs;

/* Opens the table. `path` NULL: the file of this machine (without a home folder: memory only); "": memory only. A file
 * that is damaged or belongs to another machine or version is not used, a note says so, and it is replaced at the end.
 * Errors: MEMORY. */
SKIVE_API skive_status skive_costs_open(skive_context *ctx, const char *path, skive_costs **out);
/* Writes new entries, together with those that other processes have written meanwhile, under a lock and atomically. The
 * file keeps the 20,000 newest entries. Nothing new: nothing is written. Errors: IO, MEMORY. */
SKIVE_API skive_status skive_costs_save(skive_costs *costs);
SKIVE_API void skive_costs_free(skive_costs *costs);              /* without saving; NULL is accepted */
SKIVE_API const char *skive_costs_path(const skive_costs *costs); /* "" if it is in memory only */
SKIVE_API size_t skive_costs_count(const skive_costs *costs);     /* entries */

typedef struct skive_cost_time {
    double seconds; /* of one run: the median of repeats that alternate with those of the other operators asked for */
    double spread;  /* half the distance between the quartiles of the repeats, seconds */
    bool cached;    /* from the table, not measured now */
    char kernel[48];
} skive_cost_time;

typedef struct skive_cost_row {
    char *node, *op;
    skive_cost_time time;
    int64_t macs, parameter_bytes, activation_bytes; /* activations: of the outputs */
} skive_cost_row;
typedef struct skive_cost_report {
    size_t n_rows;
    skive_cost_row
        *rows;    /* the nodes of the plan, in the order in which they run; nodes that are only views are left out */
    double sum;   /* of the rows, seconds */
    double whole; /* of the whole model, measured among the nodes */
    double whole_spread; /* as skive_cost_time.spread */
    double reorders;     /* of the changes of memory layout between nodes, part of `whole` and of no row */
    size_t n_cached;
    int threads;
} skive_cost_report;
SKIVE_API void skive_cost_report_free(skive_context *ctx, skive_cost_report *report);
/* The time of each node of the graph's plan, and of the whole. `options` NULL: the defaults. Free *report with
 * skive_cost_report_free. Errors: as skive_plan_create. */
SKIVE_API skive_status skive_costs_of_graph(skive_costs *costs, const skive_graph *graph,
                                            const skive_plan_options *options, skive_cost_report *report);

/* Other numbers of channels of one product (Conv, ConvTranspose, Gemm, MatMul with constant weights): -1 keeps the
 * number. A depthwise convolution has as many outputs as inputs, and takes `in`. */
typedef struct skive_cost_width {
    int64_t in, out;
} skive_cost_width;
/* times[i]: what the node would take with widths[i]. The weights are random numbers. `options` binds the graph's
 * inputs. Errors: NOT_FOUND (no such node), UNSUPPORTED (not such a product), ARGUMENT (a width below 1, or not a
 * multiple of the groups), as skive_plan_create. */
SKIVE_API skive_status skive_costs_of_widths(skive_costs *costs, const skive_graph *graph, const char *node,
                                             const skive_plan_options *options, const skive_cost_width *widths,
                                             size_t n, skive_cost_time *times);

#ifdef __cplusplus
}
#endif
#endif
