/* The records of quantization and the data of calibration. */
#ifndef SKV_QUANT_H
#define SKV_QUANT_H

#include <skive/eval.h>
#include <skive/exec.h>
#include <skive/quant.h>

#include "base/option.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "probe/histogram.h"
#include "tensor/grid.h"

/* An observer chooses the range that a grid covers. */
typedef struct skv_observer {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    int bins; /* SKV_BINS_...: the bins it uses */
    void (*choose)(const skv_histogram *h, const skv_quantizer *q, const skive_quantize_options *o, double *low,
                   double *high);
} skv_observer;
size_t skv_observer_count(void);
const skv_observer *skv_observer_at(size_t i);
const char *skv_observer_name(size_t i);
const skv_observer *skv_observer_find(const char *name);
extern const skv_family skv_observer_family;
extern const skv_table skv_quantize_table;
extern const skv_table skv_bits_table;

/* What activations become unless another grid is asked for, asymmetric uint8 with one scale (ranges include zero, so
 * that padding and ReLU are exact), and weights, int8 from -127 to 127 with a scale for each output channel or for
 * all. */
skv_quantizer skv_quant_activations(void);
/* The element type of the pairs that round to this grid; SKIVE_DTYPE_NONE: levels of a table. */
skive_dtype skv_quant_holder(const skv_quantizer *q);
/* x rounded to a grid that takes activations (activation.c). NULL: b->status. */
skive_value *skv_emit_rounded(skv_builder *b, const skv_quantizer *q, const skv_grid_params *p, skive_value *x);
/* The grid of activations of this text. ERR_ARGUMENT; ERR_UNSUPPORTED: no range of numbers tells its parameters. */
skive_status skv_quant_activation_grid(skive_context *ctx, const char *text, skv_quantizer *q);
skv_quantizer skv_quant_weights(bool per_channel);
/* The grids of the options. ERR_ARGUMENT; ERR_UNSUPPORTED: no element type of ONNX holds the grid. */
skive_status skv_quant_grids(skive_context *ctx, const skive_quantize_options *o, skv_quantizer *weights,
                             skv_quantizer *activations);
/* Mean squared error of the grid for the values of a histogram with relative bins, and their mean square. Within a bin,
 * values are assumed to be spread evenly; zero is exact on every grid. */
double skv_histogram_error(const skv_histogram *h, const skv_quantizer *q, const skv_grid_params *p);
/* The same for many grids: the nonempty bins, spans[SKV_HISTOGRAM_BINS], and the error computed from these. */
typedef struct skv_span {
    double low, high, count;
} skv_span;
size_t skv_histogram_spans(const skv_histogram *h, skv_span *spans);
double skv_spans_error(const skv_span *spans, size_t n, const skv_quantizer *q, const skv_grid_params *p);
double skv_histogram_power(const skv_histogram *h);
/* dB; infinite if there is no error */
double skv_histogram_sqnr(const skv_histogram *h, const skv_quantizer *q, const skv_grid_params *p);

/* The end of a quantization: its report goes to the caller, or is freed where it failed or nobody asks (`to` NULL). */
void skv_quant_hand_over(skive_context *ctx, skive_status status, skive_quantize_report *report,
                         skive_quantize_report *to);

/* Refuses a model that computes with integers already, and names in `skip` that no node has. Errors: ARGUMENT,
 * NOT_FOUND. */
skive_status skv_quant_check_model(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o);
/* A copy in inference mode, cleaned and folded, with dense weights. `smallest`: what is computed from a weight that
 * others read too (its transpose) stays computed. Errors: NUMERIC (a weight that is not finite). */
skive_status skv_quant_prepare(skive_context *ctx, const skive_graph *graph, bool smallest, skive_graph **out);
/* Transposed convolutions of a prepared copy become a Conv and DepthToSpace with the same sums (transposed.c); node,
 * weight and bias keep their names. */
skive_status skv_quant_turn_transposed(skive_graph *g, const skive_quantize_options *o);
/* Why this one does not; NULL: it does, or is none. */
const char *skv_quant_why_transposed(skive_context *ctx, skive_node *n);
/* Has the option `multiplier` an effect on activations of this grid? ERR_ARGUMENT. */
skive_status skv_quant_check_multiplier(skive_context *ctx, const skive_quantize_options *o, const skv_quantizer *q);
/* The form of the multipliers, in the metadata of a graph that is quantized. */
skive_status skv_quant_set_multiplier(skive_graph *g, const skive_quantize_options *o);
/* Is the node named by the option `skip`? */
bool skv_quant_skipped(const skive_quantize_options *o, const skive_node *n);
/* Every name and pattern of `skip` must match a node: ERR_NOT_FOUND with the nearest name. */
skive_status skv_quant_check_skip(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o);
/* A product that integers compute, with weights as its second input: all such operators have them there. */
bool skv_quant_is_product(const skive_node *n);
/* Why a product by int8 weights and uint8 inputs cannot be summed in 32 bits, whatever its inputs are; NULL: it can. */
const char *skv_quant_sums_why_not(const skive_node *n, bool per_channel);
/* The parameter that is the node's input `i`, which may be one of a graph around its body. NULL: it has no such input.
 */
static inline skive_value *skv_quant_parameter(const skive_node *n, size_t i) {
    return skv_value_source(skv_node_in(n, i));
}
/* Passes integers through unchanged: its result keeps the grid of its input. */
bool skv_quant_passes_through(const skive_node *n);
/* ERR_UNSUPPORTED: `why`, and the first nodes that stay in float with their reasons. */
skive_status skv_quant_refuse_model(skive_context *ctx, const skive_quantize_report *r, const char *why);
/* Adds a node that stays in float to the groups of the report. */
skive_status skv_quant_leave(skive_context *ctx, skive_quantize_report *r, const skive_node *n, const char *reason);
/* The same for all nodes that compute floats and are neither chosen nor already reported (both by node id). */
skive_status skv_quant_leave_others(skive_context *ctx, skive_quantize_report *r, const skive_graph *g,
                                    const skive_quantize_options *o, const bool *chosen, const bool *named);

/* A model that needs several plans, split in two: the nodes that one plan can run are quantized as a separate model,
 * the part; those whose shape or control flow depends on data, and the nodes after them, are the rest. */
typedef struct skv_quant_split {
    skive_graph *whole; /* cleaned */
    bool *is_static;    /* by node id of `whole` */
    skive_graph *part;  /* its static nodes, with all inputs of the model; NULL: all nodes are static */
} skv_quant_split;
skive_status skv_quant_split_make(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                  skv_quant_split *out);
/* Tells of the nodes outside the part; where they are left in float, they are added to the report. */
skive_status skv_quant_split_report(skive_context *ctx, const skv_quant_split *s, bool leaves,
                                    skive_quantize_report *r);
/* The rest as a graph of its own, whose inputs are values of the part. */
skive_status skv_quant_split_rest(skive_context *ctx, const skv_quant_split *s, skive_graph **out);
/* Appends the rest, or a changed form of it, to a form of the part, which becomes the whole model again. */
skive_status skv_quant_split_join(skive_context *ctx, const skv_quant_split *s, skive_graph *part,
                                  const skive_graph *rest);
/* The same with the rest as it is. */
skive_status skv_quant_split_join_float(skive_context *ctx, const skv_quant_split *s, skive_graph *part);
void skv_quant_split_free(skive_context *ctx, skv_quant_split *s);

/* The range of a value in one run; low > high: not run. Kept for the first runs only. */
enum { SKV_MOST_RUNS = 4096 };
typedef struct skv_extent {
    float low, high;
} skv_extent;
/* The positions of Q/DQ pairs: values of the cleaned graph that quantized nodes read. */
typedef struct skv_point {
    skive_value *value;
    size_t source;      /* index of the point whose grid it uses: itself, or one before a move or behind a Concat */
    skv_histogram seen; /* if it is its own source: counts of the calibration runs */
    skv_histogram held; /* the same for the runs held out, with relative bins */
    skv_extent *runs;   /* [SKV_MOST_RUNS] range of each run */
    skv_quantizer q;    /* the grid of all points, or its form for the signs of these numbers */
    skv_grid_params grid;
} skv_point;
typedef struct skv_points {
    skv_point *items;
    size_t n;
    skv_quantizer q; /* that was asked for */
    /* [nodes] by id: what the weight becomes; NULL, or without codes: int8 over the whole range */
    struct skv_gridded *weights;
    uint32_t n_weights;
    bool *spoilt; /* [SKV_MOST_RUNS] its input is far outside that of a usual run */
    size_t n_spoilt;
} skv_points;
/* Nodes to quantize get true in `chosen` (by node id); refused ones are added to the report. */
skive_status skv_quant_points(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, bool *chosen,
                              skv_points *out, skive_quantize_report *report);
/* Runs whose inputs are kept, to be run again. */
typedef struct skv_kept_run {
    int64_t index;         /* of the run */
    bool loud;             /* kept for its large inputs */
    double loudness;       /* how large they are */
    skive_tensor *inputs;  /* [inputs of the graph] */
    skive_tensor *outputs; /* [outputs of the graph] of the float model; NULL: did not fit into memory */
} skv_kept_run;
typedef struct skv_kept {
    skv_kept_run *runs;
    size_t n, bytes;
} skv_kept;
typedef struct skv_calibration_data {
    skv_kept check;  /* the runs on which results are measured */
    bool held_out;   /* these runs took no part in the calibration; else there were too few to hold any out */
    skv_kept probe;  /* some that did take part */
    int64_t samples; /* of all runs */
    int64_t hold_one_in;
    size_t regular; /* runs of `probe` that were not kept for their large inputs */
} skv_calibration_data;
#define SKV_MOST_KEPT ((size_t)64 << 20) /* limit of the bytes of inputs, and of outputs, of kept runs */
/* Called before the first of this number of runs. */
void skv_quant_start_sorting(skv_calibration_data *d, int64_t runs);
/* Is it a run that takes no part in the calibration? */
bool skv_quant_holds_out(const skv_calibration_data *d, int64_t run);
/* Decides whether a run takes part in the calibration, and keeps its inputs if they will be used again. */
skive_status skv_quant_sort_run(skive_context *ctx, const skive_graph *g, int64_t index, const skive_tensor *inputs,
                                skv_calibration_data *d, bool *calibrates);
void skv_calibration_data_free(skive_context *ctx, const skive_graph *g, skv_calibration_data *d);
/* Runs the graph on the inputs from `feed` and fills `seen` and `held` of every point that is its own source; `bins`
 * are the bins of the histograms of `seen`. */
skive_status skv_quant_calibrate(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o, int bins,
                                 skive_feed_fn feed, void *user, skv_points *points, skv_calibration_data *data);
/* Plan options that bind the graph as the options require. */
skive_plan_options skv_quant_plan_options(const skive_quantize_options *o);
/* The difference between the outputs of the quantized and the float model on the kept runs that are not left out: the
 * score over all of them, the rest over the first `told`. */
typedef struct skv_measure {
    size_t n_outputs;
    double *sqnr; /* [n_outputs] dB over all runs; NAN for outputs that are not floats */
    /* [n_outputs] fraction of samples with the same largest score, or of equal integers; NAN if neither applies */
    double *agreement;
    double score; /* used to compare settings: dB, the mean over the outputs */
} skv_measure;
skive_status skv_quant_measure(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                               const skv_kept *kept, const bool *left_out, size_t told, skv_measure *out);
/* The same of a model that needs a session, over all kept runs. */
skive_status skv_quant_measure_session(skive_context *ctx, const skive_graph *g, const skv_kept *kept,
                                       skv_measure *out);
void skv_measure_free(skive_context *ctx, skv_measure *m);
/* Enters the figures of the graph's outputs in the report. */
skive_status skv_quant_report_outputs(skive_context *ctx, const skive_graph *g, const skv_measure *m,
                                      skive_quantize_report *r);
/* Enters a point in the report, with the error on what was held out. */
skive_status skv_quant_report_point(skive_context *ctx, const skv_point *p, skive_quantize_report *r);
/* The grids of all points from their sources' ranges. */
void skv_quant_set_grids(skv_points *points, double (*range)[2]);
void skv_quant_points_free(skive_context *ctx, skv_points *points);
/* Parameters of equal numbers and two axes or more become one. */
skive_status skv_quant_merge_equal(skive_graph *g);
/* Removes what nothing reads, in bodies first: what only they read goes too. */
void skv_quant_sweep(skive_graph *g);

/* The candidate ranges of a value's grid. */
enum { SKV_MOST_CHOICES = 12 };
typedef struct skv_choices {
    const char *name[SKV_MOST_CHOICES]; /* of the observer */
    double low[SKV_MOST_CHOICES], high[SKV_MOST_CHOICES];
    skv_grid_params grid[SKV_MOST_CHOICES];
    size_t n, best;
} skv_choices;
/* The range without the few values far outside all others (markers of missing values, sensor faults); false if there
 * are none. */
bool skv_quant_far_out(const skv_histogram *h, double *low, double *high);
/* Marks the runs whose input is far outside that of a usual run. */
void skv_quant_find_spoilt(skv_points *points);
static inline bool skv_quant_is_spoilt(const skv_points *p, int64_t run) {
    return run < SKV_MOST_RUNS && p->spoilt[run];
}
/* The range of a value in the runs that are not spoilt. */
skv_extent skv_quant_unspoilt(const skv_points *points, const skv_point *p);
/* A value's range by the observer of this name; false if it does not apply to this value. */
bool skv_quant_range(const skv_points *points, const skv_point *p, const skive_quantize_options *o, const char *name,
                     double *low, double *high);
/* The candidates, from the counts of `seen`; choices[points] must be zeroed before. */
void skv_quant_propose(skive_context *ctx, const skive_quantize_options *o, const skv_points *points,
                       skv_choices *choices);
/* Finds for each point that is its own source the candidate that harms the outputs least. If gradients are available,
 * an error is weighted by its effect on the outputs of the runs of `probe`; else the error of the value itself decides.
 * *weighted tells which. */
skive_status skv_quant_least_harm(skive_context *ctx, const skive_graph *g, const skv_points *points,
                                  const skv_calibration_data *data, skv_choices *choices, bool *weighted);
/* The nearest codes of the weights of all chosen nodes. */
skive_status skv_quant_weights_make(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                    const bool *chosen, const skv_quantizer *q, skv_points *points);
/* The grid that the options choose for the weight of this name; NULL: none of its own. */
const char *skv_quant_choice(const skive_quantize_options *o, const char *parameter);
/* Every choice must be of a weight of the graph or of the rest (NULL: there is none), and of a grid that a file holds.
 * Errors: NOT_FOUND, ARGUMENT, UNSUPPORTED. */
skive_status skv_quant_check_choices(skive_context *ctx, const skive_graph *g, const skive_graph *rest,
                                     const skive_quantize_options *o);
void skv_quant_weights_free(skive_context *ctx, skv_points *points);
/* Inserts the pairs and converts weights and biases of chosen nodes to integers. */
skive_status skv_quant_insert(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, const bool *chosen,
                              const skv_points *points, skive_quantize_report *report);
skive_status skv_quant_add_row(skive_context *ctx, skive_quantize_report *r, const skive_quantize_row *row,
                               const char *name);

/* ---- the rest of a split model, and the bodies in it (rest.c) ---- */

/* A graph whose nodes are quantized: the rest, or a body of one of its nodes. */
typedef struct skv_quant_place {
    skive_graph *graph;
    bool *chosen; /* by node id */
    skv_points points;
    double (*range)[2];   /* [points] */
    skv_choices *choices; /* [points], of "auto" */
} skv_quant_place;
typedef struct skv_quant_rest {
    skive_context *ctx;
    const skive_quantize_options *o;
    const skv_quant_split *split;
    skive_graph *graph;      /* NULL: nothing is quantized there */
    skive_graph *quantized;  /* its quantized form, when it is made */
    skv_quant_place *places; /* the graph, then the bodies in the order of the nodes */
    size_t n, n_points;
    skv_calibration_data data;
} skv_quant_rest;
/* Finds what can be quantized there. `codes`: weights have codes before they are written (the grid `weights`). */
skive_status skv_quant_rest_open(skive_context *ctx, const skive_quantize_options *o, const skv_quant_split *split,
                                 const skv_quantizer *activations, skive_quantize_report *report, skv_quant_rest *out);
skive_status skv_quant_rest_codes(skv_quant_rest *r, const skv_quantizer *weights);
/* Any grids: for a dry run, which tells sizes only. */
void skv_quant_rest_any_grids(skv_quant_rest *r);
/* Runs the float model and chooses the ranges of what is computed in the rest. `part` is the quantized part. */
skive_status skv_quant_rest_calibrate(skv_quant_rest *r, const skv_observer *observer, const skive_graph *part,
                                      skive_feed_fn feed, void *user, skive_quantize_report *report);
/* Makes the quantized form. */
skive_status skv_quant_rest_insert(skv_quant_rest *r, skive_quantize_report *report);
/* The figures of the whole model, when it is quantized. */
skive_status skv_quant_rest_report(skv_quant_rest *r, const skive_graph *model, skive_quantize_report *report);
void skv_quant_rest_free(skv_quant_rest *r);

/* A limit on the loss of accuracy: nodes are put back to float until it is met. */
typedef struct skv_quant_control {
    skive_dataset *validation;
    double max_drop;                   /* percentage points */
    const skive_eval_report *original; /* the float model on `validation` */
    skive_quantize_control *report;
} skv_quant_control;
/* skive_quantize; `control` may be NULL. */
skive_status skv_quantize_set(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                              const skive_quantize_options *options, skive_quantize_report *report,
                              const skv_quant_control *control);
/* skive_quantize_feed; `control` may be NULL. */
skive_status skv_quantize_feed(skive_context *ctx, skive_graph *graph, skive_feed_fn feed, void *user,
                               const skive_quantize_options *options, skive_quantize_report *report,
                               const skv_quant_control *control);
/* Those of the points that the chosen nodes of `work` need, as values of `target`, a copy of it. out->items is freed by
 * the caller, after a failure too. */
skive_status skv_quant_part(skive_context *ctx, const skive_graph *work, const bool *chosen, const skv_points *points,
                            const skive_graph *target, skv_points *out);
/* A copy of the graph in which only the chosen nodes are quantized. */
skive_status skv_quant_insert_part(skive_context *ctx, const skive_graph *work, const skive_quantize_options *o,
                                   const bool *chosen, const skv_points *points, skive_graph **out);
/* Takes nodes out of `chosen`, and enters them in the report as left in float. `work` is the part of `split`, if that has
 * one: with its rest behind it, it is evaluated. Errors: GOAL (none may stay). */
skive_status skv_quant_control_run(skive_context *ctx, const skv_quant_control *control, const skive_graph *work,
                                   const skv_quant_split *split, const skive_quantize_options *o,
                                   const skv_points *points, const skv_kept *trial, const bool *left_out, bool *chosen,
                                   skive_quantize_report *report);

#endif
