/* Static quantization: clean up and fold, observe the activations on calibration data, choose grids, insert Q/DQ. */
#include <math.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "passes/pass.h"
#include "quant/equalize.h"
#include "quant/gridded.h"
#include "quant/migrate.h"
#include "quant/pixels.h"
#include "quant/powers.h"
#include "quant/quant.h"
#include "quant/rounding.h"
#include "quant/speed.h"
#include "quant/target.h"
#include "tensor/tensor.h"
#include "train/head/head.h"

#define MARGIN  0.5  /* dB by which one observer for all values must be better */
#define OUTLIER 16.0 /* factor to the range of all other values from which an outlier is reported */

typedef struct quantization {
    skive_context *ctx;
    const skive_quantize_options *o;
    const skv_observer *observer; /* NULL: "auto" */
    skv_quantizer weights, activations;
    skive_graph *work;
    bool *chosen; /* by node id */
    skv_points points;
    skv_points part; /* those that are needed in the end; its items are copies */
    skv_calibration_data data;
    skv_kept trial;       /* the runs of data.check, then those of data.probe; borrowed */
    bool *left_out;       /* [trial.n] */
    skv_choices *choices; /* [points], of "auto" */
    skv_normals normals;
    skv_moments *moments; /* [n_moments] by value, where something needs them */
    uint32_t n_moments;
    skive_graph *exact; /* before bias absorption; NULL: there is none */
    double input_low, input_high;
    const skv_rounding *rounding;
    skv_option_values how; /* its options */
    skv_inputs inputs;     /* for what is done layer by layer */
    bool takes_pixels;     /* the option `input_type` */
    skv_pixels pixels;
    double (*range)[2]; /* [points] */
    skv_quant_rest rest;
    skive_quantize_report report;
} quantization;

skive_quantize_options skive_quantize_options_default(void) {
    return (skive_quantize_options){.size = sizeof(skive_quantize_options),
                                    .calibration = "auto",
                                    .activations = "uint8",
                                    .bias_correction = "none",
                                    .rounding = "nearest",
                                    .multiplier = "float",
                                    .input_type = "float",
                                    .layer_samples = 512,
                                    .percentile = 99.99,
                                    .samples = 1000,
                                    .batch = 1,
                                    .per_channel = true};
}

void skive_quantize_report_free(skive_context *ctx, skive_quantize_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_rows; i++) skv_free(ctx, r->rows[i].name);
    for (size_t i = 0; i < r->n_refused; i++) skv_free(ctx, r->refused[i]);
    for (size_t i = 0; i < r->n_left; i++) {
        skv_free(ctx, r->left[i].op);
        skv_free(ctx, r->left[i].reason);
        for (size_t k = 0; k < 3; k++) {
            skv_free(ctx, r->left[i].nodes[k]);
            skv_free(ctx, r->left[i].weights[k]);
        }
    }
    skv_free(ctx, r->left);
    for (size_t i = 0; i < r->n_fits; i++) skv_free(ctx, r->fits[i].node);
    skv_free(ctx, r->fits);
    for (size_t i = 0; i < r->n_outputs; i++) skv_free(ctx, r->outputs[i].name);
    skv_free(ctx, r->outputs);
    for (size_t i = 0; i < SKIVE_QUANTIZE_WORST; i++) skv_free(ctx, r->worst[i].name);
    skv_free(ctx, r->outlier.name);
    skv_free(ctx, r->rows);
    skv_free(ctx, r->refused);
    *r = (skive_quantize_report){0};
}

void skv_quant_hand_over(skive_context *ctx, skive_status status, skive_quantize_report *r, skive_quantize_report *to) {
    if (status != SKIVE_OK || !to) skive_quantize_report_free(ctx, r);
    if (to) *to = *r;
}

skive_status skv_quant_add_row(skive_context *ctx, skive_quantize_report *r, const skive_quantize_row *row,
                               const char *name) {
    SKV_TRY(skv_grow(ctx, &r->rows, r->n_rows, r->n_rows + 1, sizeof *r->rows));
    r->rows[r->n_rows] = *row;
    SKV_TRY(skv_strdup(ctx, name, &r->rows[r->n_rows].name));
    r->n_rows++;
    return SKIVE_OK;
}

static const char *calibration_name(size_t i) { return i == 0 ? "auto" : skv_observer_name(i - 1); }

static const char *correction_name(size_t i) {
    static const char *const names[] = {"none", "analytic", "empirical"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const char *multiplier_name(size_t i) {
    static const char *const names[] = {"float", "fixed", "shift"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

skive_status skv_quant_check_multiplier(skive_context *ctx, const skive_quantize_options *o, const skv_quantizer *q) {
    if (strcmp(o->multiplier, "float") == 0 || skv_quant_holder(q) == SKIVE_U8 || skv_quant_holder(q) == SKIVE_I8)
        return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "multiplier",
                       "fixed-point multipliers give 8 bits, and activations on the grid '%s' are computed in float32: "
                       "leave it float, or take activations of 8 bits (uint8, int8)",
                       q->grid->name);
}

skive_status skv_quant_set_multiplier(skive_graph *g, const skive_quantize_options *o) {
    return skive_graph_set_meta(g, SKV_META_MULTIPLIERS, strcmp(o->multiplier, "float") == 0 ? NULL : o->multiplier);
}

/* How samples become ranges. */
static const skv_option options_of_quantization[] = {
    {.name = "calibration",
     .type = SKV_OPTION_RECORD,
     .family = &skv_observer_family,
     .choices = calibration_name,
     .text = "auto",
     SKV_FIELD(TEXT, skive_quantize_options, calibration),
     .brief = "how ranges of activations are chosen"},
    {.name = "samples",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 9e18,
     .fallback = 1000,
     SKV_FIELD(INT64, skive_quantize_options, samples),
     .brief = "number of calibration samples"},
    {.name = "batch",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e5,
     .fallback = 1,
     SKV_FIELD(INT64, skive_quantize_options, batch),
     .brief = "samples per calibration run; without --qat also --batch"},
    {.name = "per-channel",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     SKV_FIELD(BOOL, skive_quantize_options, per_channel),
     .brief = "one scale per channel of a weight instead of one per weight tensor"},
    {.name = "weights",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_quantize_options, weights),
     .brief = "number grid of weights: int4, int4:32, int8:tensor ... (default int8, nothing clipped)"},
    {.name = "for",
     .type = SKV_OPTION_CHOICE,
     .choices = skv_quant_target_name,
     .what = "runtime",
     SKV_FIELD(TEXT, skive_quantize_options, target),
     .brief = "the runtime that is to take the model"},
    {.name = "activations",
     .type = SKV_OPTION_TEXT,
     .text = "uint8",
     SKV_FIELD(TEXT, skive_quantize_options, activations),
     .brief = "number grid of activations: integers of 2 to 16 bits, f8e4m3, f8e5m2, log2, apot, nf4 ..."},
    {.name = "multiplier",
     .type = SKV_OPTION_CHOICE,
     .text = "float",
     .choices = multiplier_name,
     SKV_FIELD(TEXT, skive_quantize_options, multiplier),
     .brief =
         "how sums become 8 bits: by a float, by an int32 and a shift (fixed), as processors without a float unit do, "
         "or by a shift alone (shift), all scales being powers of two"},
    {.name = "input-type",
     .type = SKV_OPTION_TEXT,
     .text = "float",
     SKV_FIELD(TEXT, skive_quantize_options, input_type),
     .brief = "uint8: the model takes pixels, and the normalisation is folded into the first layer; uint8:NAME for one "
              "input only"},
    {.name = "no-slower",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_quantize_options, no_slower),
     .brief = "leave layers float whose 8-bit form is slower on this machine, which is measured"},
    {.name = "equalize",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_quantize_options, equalize),
     .brief = "cross-layer equalization first: the function stays the same"},
    {.name = "absorb-bias",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_quantize_options, absorb_bias),
     .brief = "bias absorption first: large biases move behind the Relu, an approximation"},
    {.name = "bias-correction",
     .type = SKV_OPTION_CHOICE,
     .text = "none",
     .choices = correction_name,
     SKV_FIELD(TEXT, skive_quantize_options, bias_correction),
     .brief =
         "the mean of each layer's outputs is restored: from the statistics of BatchNormalization, or from samples"},
    {.name = "smooth",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_quantize_options, smooth),
     .brief = "SmoothQuant first: factors move from activations to weights, alpha searched for each layer"},
    {.name = "rounding",
     .type = SKV_OPTION_RECORD,
     .family = &skv_rounding_family,
     .text = "nearest",
     SKV_FIELD(TEXT, skive_quantize_options, rounding),
     .brief = "how weights get their codes"},
    {.name = "layer-samples",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 512,
     SKV_FIELD(INT64, skive_quantize_options, layer_samples),
     .brief = "calibration samples for what is done layer by layer: smooth, rounding, empirical bias correction"},
    {.name = "input-low",
     .type = SKV_OPTION_REAL,
     .least = -1e30,
     .most = 1e30,
     SKV_FIELD(DOUBLE, skive_quantize_options, input_low),
     .brief = "with --data none: the least number of the model's inputs (default: by its normalisation)"},
    {.name = "input-high",
     .type = SKV_OPTION_REAL,
     .least = -1e30,
     .most = 1e30,
     SKV_FIELD(DOUBLE, skive_quantize_options, input_high),
     .brief = "with --data none: the largest number of the model's inputs"},
};

const skv_table skv_quantize_table = {"quantize", options_of_quantization, SKV_LENGTH(options_of_quantization), NULL};

/* Edits of the float model, before anything is observed. */
static skive_status edit_floats(quantization *q) {
    if (q->o->equalize) SKV_TRY(skv_quant_equalize(q->ctx, &q->work, &q->normals));
    if (!q->o->absorb_bias) return SKIVE_OK;
    SKV_TRY(skive_graph_copy(q->ctx, q->work, &q->exact));
    return skv_quant_absorb_bias(q->ctx, &q->work, &q->normals);
}

/* What the approximation of bias absorption changes by itself. */
static skive_status tell_absorption(quantization *q) {
    skv_measure m = {0};
    if (!q->exact) return SKIVE_OK;
    SKV_TRY(skv_quant_measure(q->ctx, q->exact, q->o, &q->trial, q->left_out, q->trial.n, &m));
    for (size_t i = 0; i < m.n_outputs; i++) {
        if (m.sqnr[i] < 119)
            skv_note(q->ctx,
                     "bias absorption by itself changes output '%s' with an SQNR of %.1f dB; what follows is "
                     "measured against the result",
                     q->work->outputs[i]->name, m.sqnr[i]);
    }
    skv_measure_free(q->ctx, &m);
    return SKIVE_OK;
}

static bool corrects(const quantization *q, const char *how) { return strcmp(q->o->bias_correction, how) == 0; }

/* Weights of which more is decided than their scales have codes before they are written. */
static bool needs_codes(const quantization *q) {
    return q->o->weights || q->o->n_choices || skv_quant_shifts(q->o) || !corrects(q, "none") || q->rounding->round ||
           q->rounding->migrates;
}

static skive_status make_codes(quantization *q) {
    if (q->o->weights || q->o->n_choices || skv_quant_shifts(q->o))
        SKV_TRY(skv_quant_rest_codes(&q->rest, &q->weights));
    return needs_codes(q) ? skv_quant_weights_make(q->ctx, q->work, q->o, q->chosen, &q->weights, &q->points)
                          : SKIVE_OK;
}

/* Does anything look at layers one by one? */
static bool goes_by_layers(const quantization *q) {
    return q->o->smooth || corrects(q, "empirical") || q->rounding->round || q->rounding->migrates;
}

static skive_status prepare_graph(quantization *q, const skive_graph *graph) {
    const skv_pass_env env = {.ctx = q->ctx};
    size_t changes;
    SKV_TRY(skv_quant_prepare(q->ctx, graph, false, &q->work));
    SKV_TRY(skv_quant_turn_transposed(q->work, q->o));
    SKV_TRY(skv_quant_set_multiplier(q->work, q->o));                         /* before anything is measured */
    SKV_TRY(skv_pass_find("fold-dequantized")->run(&env, q->work, &changes)); /* constants stored as integers */
    (void)skv_graph_sweep(q->work);
    SKV_TRY(skive_graph_infer(q->work));
    SKV_TRY(skv_pass_run(skv_pass_find("plain-products"), &env, q->work, &changes));
    SKV_TRY(skv_pass_run(skv_pass_find("merge-transposes"), &env, q->work, &changes));
    (void)skv_graph_sweep(q->work);
    SKV_TRY(skive_graph_infer(q->work));
    SKV_TRY(skv_quant_check_choices(q->ctx, q->work, q->rest.graph, q->o));
    SKV_TRY(edit_floats(q));
    if (q->takes_pixels) SKV_TRY(skv_pixels_fold(q->ctx, q->work, q->o, &q->pixels));
    SKV_TRY(skv_alloc_array(q->ctx, (size_t)q->work->n_nodes + 1, 1, &q->chosen));
    SKV_TRY(skv_quant_points(q->ctx, q->work, q->o, q->chosen, &q->points, &q->report));
    q->points.q = q->activations;
    return q->points.n + q->rest.n_points == 0
               ? skv_quant_refuse_model(q->ctx, &q->report, "the model has no node that can be quantized")
               : SKIVE_OK;
}

/* ---- ranges ---- */

void skv_quant_set_grids(skv_points *points, double (*range)[2]) {
    for (size_t k = 0; k < points->n; k++) {
        skv_point *p = &points->items[k];
        if (p->source != k) continue;
        p->q = skv_quantizer_from(&points->q, range[k][0]);
        p->q.grid->solve_range(&p->q, range[k][0], range[k][1], &p->grid);
    }
    for (size_t i = 0; i < points->n; i++) {
        const skv_point *source = &points->items[points->items[i].source];
        points->items[i].q = source->q;
        points->items[i].grid = source->grid;
    }
}

static void set_grids(quantization *q) {
    skv_point *items = q->points.items;
    skv_quant_set_grids(&q->points, q->range);
    if (!q->takes_pixels) return;
    for (size_t k = 0; k < q->points.n; k++)
        if (items[k].source == k) (void)skv_pixels_grid(&q->pixels, q->work, items[k].value, &items[k].grid);
    for (size_t i = 0; i < q->points.n; i++) items[i].grid = items[items[i].source].grid;
}

/* All values' ranges by one observer. */
static void observe_ranges(quantization *q, const skv_observer *observer) {
#pragma omp parallel for num_threads(skv_threads(q->ctx)) schedule(dynamic)
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_point *p = &q->points.items[k];
        if (p->source != k || !(p->seen.reach > 0)) continue;
        const skv_quantizer own = skv_quantizer_from(&q->points.q, p->seen.low);
        observer->choose(&p->seen, &own, q->o, &q->range[k][0], &q->range[k][1]);
    }
    set_grids(q);
}

/* Each value's range by its own choice, or by one of the observers (whose candidates come first, in their order). */
enum { OWN_CHOICE = -1 };
static void proposed_ranges(quantization *q, int which) {
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_choices *c = &q->choices[k];
        const size_t i = which == OWN_CHOICE ? c->best : (size_t)which;
        if (q->points.items[k].source != k || c->n == 0) continue;
        q->range[k][0] = c->low[i];
        q->range[k][1] = c->high[i];
    }
    set_grids(q);
}

/* After the check, the counts of the runs held out are added: the same choices, from all samples. */
static void take_in_held(quantization *q) {
    if (!q->data.held_out) return;
    for (size_t k = 0; k < q->points.n; k++) {
        skv_point *p = &q->points.items[k];
        if (p->source == k) skv_histogram_merge(&p->seen, &p->held);
    }
}

/* ---- their results ---- */

/* Measures the outputs of the model with the current grids. */
static skive_status measure(quantization *q, skv_measure *out) {
    skive_graph *trial = NULL;
    SKV_TRY(skv_quant_insert_part(q->ctx, q->work, q->o, q->chosen, &q->points, &trial));
    const skive_status status = skv_quant_measure(q->ctx, trial, q->o, &q->trial, q->left_out, q->data.check.n, out);
    skive_graph_free(trial);
    return status;
}

static void enter(skive_quantize_report *r, const char *setting, const skv_measure *m) {
    if (r->n_tried < SKIVE_QUANTIZE_TRIED)
        r->tried[r->n_tried++] = (skive_quantize_trial){.calibration = setting, .score = m->score};
}

/* "auto": each value's range of least harm, or one observer for all values, whichever is best on samples that took no
 * part. The estimates do not show how errors of different values combine; this measurement does. */
static skive_status choose_best(quantization *q, skv_measure *out) {
    bool weighted;
    SKV_TRY(skv_alloc_array(q->ctx, q->points.n, sizeof *q->choices, &q->choices));
    skv_quant_propose(q->ctx, q->o, &q->points, q->choices);
    SKV_TRY(skv_quant_least_harm(q->ctx, q->work, &q->points, &q->data, q->choices, &weighted));
    proposed_ranges(q, OWN_CHOICE);
    SKV_TRY(measure(q, out));
    q->report.calibration = "auto";
    enter(&q->report, "auto", out);
    for (size_t i = 0; i < skv_observer_count(); i++) {
        const skv_observer *observer = skv_observer_at(i);
        skv_measure m;
        /* Observers that clip by frequency are not used for all values: a few samples tell too little about unseen
         * ones. */
        if (strcmp(observer->name, "minmax") != 0 && strcmp(observer->name, "mse") != 0) continue;
        proposed_ranges(q, (int)i);
        const skive_status status = measure(q, &m);
        if (status != SKIVE_OK) return status;
        enter(&q->report, observer->name, &m);
        const double margin = strcmp(observer->name, "minmax") == 0 ? 0 : MARGIN;
        const bool better = m.score > out->score + margin;
        if (better) q->report.calibration = observer->name;
        skv_measure_free(q->ctx, better ? out : &m);
        if (better) *out = m;
    }
    return SKIVE_OK;
}

static skive_status choose_given(quantization *q, skv_measure *out) {
    skv_measure plain;
    observe_ranges(q, q->observer);
    SKV_TRY(measure(q, out));
    enter(&q->report, q->observer->name, out);
    q->report.calibration = q->observer->name;
    if (strcmp(q->observer->name, "minmax") == 0) return SKIVE_OK;
    observe_ranges(q, skv_observer_find("minmax"));
    const skive_status status = measure(q, &plain);
    if (status == SKIVE_OK) enter(&q->report, "minmax", &plain);
    if (status != SKIVE_OK) skv_measure_free(q->ctx, out);
    if (status == SKIVE_OK) skv_measure_free(q->ctx, &plain);
    return status;
}

/* The same choices from the counts of all samples. */
static void choose_anew(quantization *q) {
#pragma omp parallel for num_threads(skv_threads(q->ctx)) schedule(dynamic)
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_point *p = &q->points.items[k];
        const skv_choices *c = &q->choices[k];
        if (p->source != k || !(p->seen.reach > 0)) continue;
        const char *name = c->n ? c->name[c->best] : "minmax";
        /* A candidate that no longer clips anything has become the whole range. */
        if (!skv_quant_range(&q->points, p, q->o, name, &q->range[k][0], &q->range[k][1]))
            (void)skv_quant_range(&q->points, p, q->o, "minmax", &q->range[k][0], &q->range[k][1]);
    }
    set_grids(q);
}

/* The final ranges: the chosen setting, from all samples. With "auto", the checked ranges are restored if a sample that
 * was held out would spoil them. */
static skive_status final_ranges(quantization *q, double checked) {
    const skv_observer *observer = skv_observer_find(q->report.calibration);
    const size_t n = q->points.n;
    double(*before)[2] = NULL;
    skv_measure m;
    if (q->observer) {
        take_in_held(q);
        observe_ranges(q, q->observer);
        return SKIVE_OK;
    }
    if (observer)
        observe_ranges(q, observer);
    else
        proposed_ranges(q, OWN_CHOICE);
    if (!q->data.held_out) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(q->ctx, n, sizeof *before, &before));
    memcpy(before, q->range, n * sizeof *before);
    take_in_held(q);
    if (observer)
        observe_ranges(q, observer);
    else
        choose_anew(q);
    skive_status status = measure(q, &m);
    if (status == SKIVE_OK && m.score < checked - 0.5) {
        memcpy(q->range, before, n * sizeof *before);
        set_grids(q);
    }
    if (status == SKIVE_OK) skv_measure_free(q->ctx, &m);
    skv_free(q->ctx, before);
    return status;
}

static skive_status follow_moments(quantization *q) {
    if (q->moments) return SKIVE_OK;
    q->n_moments = q->work->n_values;
    return skv_moments_follow(q->ctx, q->work, &q->normals, q->input_low, q->input_high, &q->moments);
}

/* What the final codes shift. */
static skive_status correct_biases(quantization *q) {
    if (!corrects(q, "analytic")) return SKIVE_OK;
    if (q->normals.n == 0)
        return skv_fail_at(q->ctx, SKIVE_ERR_UNSUPPORTED, "bias-correction",
                           "analytic bias correction needs the statistics of BatchNormalization, which this model does "
                           "not have (any more); with samples there is --bias-correction empirical");
    SKV_TRY(follow_moments(q));
    return skv_quant_correct_analytic(q->ctx, q->work, q->chosen, q->moments, &q->points);
}

/* Without samples. */
static skive_status ranges_without_data(quantization *q, const skive_graph *whole) {
    SKV_TRY(make_codes(q));
    SKV_TRY(skv_quant_input_range(q->ctx, whole, q->o, &q->input_low, &q->input_high));
    for (size_t i = 0; i < q->pixels.n; i++) { /* whatever their normalisation was: all bytes */
        const skv_pixel_input *p = &q->pixels.items[i];
        q->input_low = i && q->input_low < -p->zero ? q->input_low : -p->zero;
        q->input_high = i && q->input_high > 255 - p->zero ? q->input_high : 255 - p->zero;
    }
    SKV_TRY(follow_moments(q));
    SKV_TRY(skv_quant_ranges_without_data(q->ctx, q->work, q->moments, &q->normals, &q->points, q->range));
    set_grids(q);
    q->report.calibration = "none";
    return correct_biases(q);
}

/* Puts back what loses too much, and measures the outputs anew. */
static skive_status put_back(quantization *q, const skv_quant_control *control, const skv_quant_split *split,
                             skv_measure *m) {
    const size_t before = q->report.n_quantized;
    SKV_TRY(skv_quant_control_run(q->ctx, control, q->work, split, q->o, &q->points, &q->trial, q->left_out, q->chosen,
                                  &q->report));
    if (q->report.n_quantized == before) return SKIVE_OK;
    skv_measure_free(q->ctx, m);
    return measure(q, m);
}

/* The rest, quantized or not, behind the part, which becomes the whole model. */
static skive_status join_rest(quantization *q, const skv_quant_split *split, skive_graph *part) {
    if (!q->rest.n_points) return skv_quant_split_join_float(q->ctx, split, part);
    SKV_TRY(skv_quant_rest_insert(&q->rest, &q->report));
    return skv_quant_split_join(q->ctx, split, part, q->rest.quantized);
}

/* A dry run: sizes and errors of weights do not depend on the ranges of activations, which only samples tell. */
static skive_status only_tell(quantization *q, const skv_quant_split *split) {
    skive_cost after;
    skive_graph *trial = NULL;
    skv_points points = {0};
    SKV_TRY(make_codes(q));
    for (size_t k = 0; k < q->points.n; k++) {
        q->range[k][0] = 0;
        q->range[k][1] = 255;
    }
    set_grids(q);
    skv_quant_rest_any_grids(&q->rest);
    SKV_TRY(skive_graph_copy(q->ctx, q->work, &trial));
    skive_status status = skv_quant_part(q->ctx, q->work, q->chosen, &q->points, trial, &points);
    if (status == SKIVE_OK) status = skv_quant_insert(q->ctx, trial, q->o, q->chosen, &points, &q->report);
    if (status == SKIVE_OK && split->part) status = join_rest(q, split, trial);
    if (status == SKIVE_OK) status = skive_graph_cost(trial, &after);
    if (status == SKIVE_OK) q->report.expected_bytes = after.parameter_bytes;
    q->report.calibration = q->observer ? q->observer->name : "auto";
    skv_free(q->ctx, points.items);
    skive_graph_free(trial);
    return status;
}

/* ---- the report ---- */

static double sqnr_of(const skv_point *p) {
    const skv_histogram *h = p->held.any ? &p->held : &p->seen;
    return h->relative && h->reach > 0 ? skv_histogram_sqnr(h, &p->q, &p->grid) : NAN;
}

skive_status skv_quant_report_point(skive_context *ctx, const skv_point *p, skive_quantize_report *r) {
    const skive_quantize_row row = {.grid = p->q.grid->name,
                                    .lo = p->seen.low,
                                    .hi = p->seen.high,
                                    .scale = (double)p->grid.scale,
                                    .zero_point = p->grid.zero_point,
                                    .sqnr = sqnr_of(p)};
    return skv_quant_add_row(ctx, r, &row, p->value->name);
}

static skive_status report_values(quantization *q) {
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_point *p = &q->points.items[k];
        bool needed = false;
        for (size_t i = 0; i < q->part.n && !needed; i++) needed = q->part.items[i].value == p->value;
        if (p->source == k && needed) SKV_TRY(skv_quant_report_point(q->ctx, p, &q->report));
    }
    return SKIVE_OK;
}

/* The values with the lowest SQNR, worst first. */
static skive_status report_worst(quantization *q) {
    skive_quantize_report *r = &q->report;
    const skive_quantize_row *worst[SKIVE_QUANTIZE_WORST] = {NULL};
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_quantize_row *row = &r->rows[i];
        if (!isfinite(row->sqnr)) continue;
        for (size_t at = 0; at < SKIVE_QUANTIZE_WORST; at++) {
            if (worst[at] && worst[at]->sqnr <= row->sqnr) continue;
            const skive_quantize_row *moved = worst[at];
            worst[at] = row;
            row = moved;
            if (!row) break;
        }
    }
    for (size_t i = 0; i < SKIVE_QUANTIZE_WORST && worst[i]; i++) {
        SKV_TRY(skv_strdup(q->ctx, worst[i]->name, &r->worst[i].name));
        r->worst[i].is_parameter = worst[i]->is_parameter;
        r->worst[i].sqnr = worst[i]->sqnr;
    }
    return SKIVE_OK;
}

/* Is the largest value of an output its prediction? Not for regression, nor for independent scores. */
static bool tells_a_class(skive_context *ctx, const skive_graph *g, uint32_t output) {
    skv_head head = {0};
    skive_value *v = g->outputs[output];
    if (!skv_dtype_is_float(v->type.dtype)) return true;
    if (skv_head_find(ctx, g, NULL, &head) != SKIVE_OK || head.output != output) skv_head_walk(v, -1, &head);
    return head.kind != SKIVE_OUTPUT_VALUES && head.kind != SKIVE_OUTPUT_SIGMOID &&
           head.kind != SKIVE_OUTPUT_SIGMOID_LOGITS;
}

skive_status skv_quant_report_outputs(skive_context *ctx, const skive_graph *g, const skv_measure *m,
                                      skive_quantize_report *r) {
    SKV_TRY(skv_alloc_array(ctx, m->n_outputs + 1, sizeof *r->outputs, &r->outputs));
    for (size_t i = 0; i < m->n_outputs; i++) {
        SKV_TRY(skv_strdup(ctx, g->outputs[i]->name, &r->outputs[i].name));
        r->outputs[i].sqnr = m->sqnr[i];
        r->outputs[i].agreement = tells_a_class(ctx, g, (uint32_t)i) ? m->agreement[i] : NAN;
        r->n_outputs++;
    }
    return SKIVE_OK;
}

static skive_status report_outputs(quantization *q, const skv_measure *m) {
    skive_quantize_report *r = &q->report;
    const skv_kept *k = &q->data.check;
    SKV_TRY(skv_quant_report_outputs(q->ctx, q->work, m, r));
    r->held_out = q->data.held_out;
    for (size_t i = 0; i < k->n; i++) r->check_samples += k->runs[i].outputs && !q->left_out[i] ? q->o->batch : 0;
    r->samples = q->data.samples;
    return SKIVE_OK;
}

/* The most distant of the inputs that spoilt their runs. */
static skive_status report_spoilt(quantization *q) {
    skive_quantize_outlier *o = &q->report.outlier;
    const skv_point *found = NULL;
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_point *p = &q->points.items[k];
        if (p->source != k || (k > 0 && !p->value->is_input)) continue;
        const skv_extent usual = skv_quant_unspoilt(&q->points, p);
        for (int64_t i = 0; i < SKV_MOST_RUNS; i++) {
            const skv_extent run = p->runs[i];
            if (run.low > run.high || !q->points.spoilt[i]) continue;
            const double x = run.high >= -run.low ? (double)run.high : (double)run.low;
            if ((x >= (double)usual.low && x <= (double)usual.high) || fabs(x) <= fabs(o->value)) continue;
            *o = (skive_quantize_outlier){.value = x, .run = i, .low = (double)usual.low, .high = (double)usual.high};
            found = p;
        }
    }
    o->spoilt_runs = (int64_t)q->points.n_spoilt;
    return found ? skv_strdup(q->ctx, found->value->name, &o->name) : SKIVE_OK;
}

/* The value with the most distant outlier; for ties the first in the order of the graph. */
static skive_status report_outlier(quantization *q) {
    double most = OUTLIER;
    if (q->points.n_spoilt > 0) return report_spoilt(q);
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_point *p = &q->points.items[k];
        double low, high;
        if (p->source != k || !p->held.relative || !p->held.any) continue;
        skv_histogram all = p->seen;
        if (!all.relative) all = p->held;
        if (!(all.reach > 0) || !skv_quant_far_out(&all, &low, &high)) continue;
        const double inside = fmax(high, -low), outside = fmax(all.high, -all.low);
        if (!(outside > 1.5 * most * inside)) continue;
        most = inside > 0 ? outside / inside : INFINITY;
        const bool above = all.high >= -all.low;
        skv_free(q->ctx, q->report.outlier.name);
        q->report.outlier = (skive_quantize_outlier){
            .value = above ? all.high : all.low, .run = above ? all.high_run : all.low_run, .low = low, .high = high};
        SKV_TRY(skv_strdup(q->ctx, p->value->name, &q->report.outlier.name));
    }
    return SKIVE_OK;
}

/* The runs on which settings are tried: those held out, and those that take part and were kept. */
static skive_status set_trial(quantization *q) {
    const skv_kept *check = &q->data.check, *probe = &q->data.probe;
    SKV_TRY(skv_alloc_array(q->ctx, check->n + probe->n + 1, sizeof *q->trial.runs, &q->trial.runs));
    SKV_TRY(skv_alloc_array(q->ctx, check->n + probe->n + 1, sizeof *q->left_out, &q->left_out));
    for (size_t i = 0; i < check->n; i++) q->trial.runs[q->trial.n++] = check->runs[i];
    for (size_t i = 0; i < probe->n; i++) q->trial.runs[q->trial.n++] = probe->runs[i];
    bool any = false;
    for (size_t i = 0; i < q->trial.n; i++) {
        q->left_out[i] = skv_quant_is_spoilt(&q->points, q->trial.runs[i].index);
        any = any || (!q->left_out[i] && q->trial.runs[i].outputs);
    }
    for (size_t i = 0; !any && i < q->trial.n; i++) q->left_out[i] = false;
    return SKIVE_OK;
}

void skv_quant_points_free(skive_context *ctx, skv_points *points) {
    for (size_t i = 0; i < points->n; i++) {
        skv_histogram_free(ctx, &points->items[i].seen);
        skv_histogram_free(ctx, &points->items[i].held);
        skv_free(ctx, points->items[i].runs);
    }
    skv_quant_weights_free(ctx, points);
    skv_free(ctx, points->items);
    skv_free(ctx, points->spoilt);
    *points = (skv_points){0};
}

static void clean_up(quantization *q) {
    skv_quant_rest_free(&q->rest);
    skv_calibration_data_free(q->ctx, q->work, &q->data);
    skv_free(q->ctx, q->choices);
    skv_free(q->ctx, q->range);
    skv_free(q->ctx, q->trial.runs);
    skv_free(q->ctx, q->left_out);
    skv_quant_points_free(q->ctx, &q->points);
    skv_moments_free(q->ctx, q->moments, q->n_moments);
    skv_normals_free(q->ctx, &q->normals);
    skv_inputs_free(q->ctx, &q->inputs);
    skv_pixels_free(q->ctx, &q->pixels);
    skive_graph_free(q->exact);
    skv_free(q->ctx, q->part.items);
    skv_free(q->ctx, q->chosen);
    skive_graph_free(q->work);
}

/* Samples for what is done layer by layer, and what of that comes before the ranges. */
static skive_status start_layers(quantization *q, skive_feed_fn feed, void *user) {
    const int64_t runs = (q->o->layer_samples + q->o->batch - 1) / q->o->batch;
    if (!goes_by_layers(q)) return SKIVE_OK;
    SKV_TRY(skv_inputs_keep(q->ctx, q->work, q->o, feed, user, runs, &q->inputs));
    if (q->o->smooth)
        SKV_TRY(
            skv_quant_migrate(q->ctx, q->work, q->o, SKV_SMOOTH, &q->inputs, &q->weights, &q->activations, &q->report));
    if (q->rounding->migrates)
        SKV_TRY(
            skv_quant_migrate(q->ctx, q->work, q->o, SKV_AWQ, &q->inputs, &q->weights, &q->activations, &q->report));
    return SKIVE_OK;
}

enum { LAYER_ROWS = 4096 };

static skive_status round_layers(quantization *q) {
    const skv_rounding_job job = {.ctx = q->ctx,
                                  .work = q->work,
                                  .o = q->o,
                                  .chosen = q->chosen,
                                  .points = &q->points,
                                  .inputs = &q->inputs,
                                  .rounding = q->rounding,
                                  .values = &q->how,
                                  .rows = LAYER_ROWS,
                                  .correct = corrects(q, "empirical"),
                                  .report = &q->report};
    return q->rounding->round || job.correct ? skv_quant_round(&job) : SKIVE_OK;
}

/* Values that say nothing about their range. */
static void tell_silent(const quantization *q) {
    const char *first = NULL;
    size_t n = 0;
    for (size_t k = 0; k < q->points.n; k++) {
        const skv_point *p = &q->points.items[k];
        if (p->source != k || p->seen.reach > 0 || p->held.reach > 0) continue;
        if (!first) first = p->value->name;
        n++;
    }
    if (n == 0) return;
    skv_note(q->ctx, "value '%s'%s always 0 in the calibration samples: nothing is known of %s, and the scale is 1",
             first, n > 1 ? " and others were" : " was", n > 1 ? "their ranges" : "its range");
}

/* With samples: the ranges of the activations, and what is measured on them. */
static skive_status use_samples(quantization *q, skive_feed_fn feed, void *user, const skv_quant_control *control,
                                const skv_quant_split *split, skv_measure *m) {
    const int bins = q->observer ? q->observer->bins : SKV_BINS_BOTH;
    SKV_TRY(start_layers(q, feed, user));
    SKV_TRY(make_codes(q));
    SKV_TRY(skv_quant_calibrate(q->ctx, q->work, q->o, bins, feed, user, &q->points, &q->data));
    tell_silent(q);
    SKV_TRY(set_trial(q));
    SKV_TRY(tell_absorption(q));
    SKV_TRY(q->observer ? choose_given(q, m) : choose_best(q, m));
    SKV_TRY(final_ranges(q, m->score));
    if (!corrects(q, "none") || q->rounding->round) {
        SKV_TRY(round_layers(q));
        SKV_TRY(correct_biases(q));
        skv_measure_free(q->ctx, m);
        SKV_TRY(measure(q, m));
    }
    return control ? put_back(q, control, split, m) : SKIVE_OK;
}

static skive_status pick_rounding(quantization *q) {
    size_t index;
    SKV_TRY(skv_family_pick(q->ctx, &skv_rounding_family, "quantize.rounding", q->o->rounding, &index, &q->how));
    q->rounding = skv_rounding_at(index);
    if (q->rounding->migrates && skv_quant_shifts(q->o))
        return skv_fail_at(q->ctx, SKIVE_ERR_ARGUMENT, "multiplier",
                           "rounding by %s multiplies scales by factors that are no powers of two: take --multiplier "
                           "fixed, or another rounding",
                           q->rounding->name);
    if (q->rounding->uniform && !q->weights.grid->uniform)
        return skv_fail_at(
            q->ctx, SKIVE_ERR_ARGUMENT, "rounding",
            "rounding by %s chooses between two neighbouring codes of a grid with even steps, which '%s' "
            "is not",
            q->rounding->name, q->weights.grid->name);
    return SKIVE_OK;
}

/* ---- what depends on data, and bodies ---- */

/* Its ranges come from running the model step by step, which accuracy control does not do. */
static skive_status open_rest(quantization *q, const skv_quant_split *split, bool samples,
                              const skv_quant_control *control) {
    const bool reached = samples && !control;
    if (reached) SKV_TRY(skv_quant_rest_open(q->ctx, q->o, split, &q->activations, &q->report, &q->rest));
    SKV_TRY(skv_quant_split_report(q->ctx, split, !reached, &q->report));
    if (q->rest.n_points && goes_by_layers(q))
        skv_note(q->ctx, "what depends on data, and bodies, get nearest codes and no bias correction: layers are "
                         "looked at one by one in the part before them only");
    return SKIVE_OK;
}

static skive_status calibrate_rest(quantization *q, skive_feed_fn feed, void *user) {
    skive_graph *part = NULL;
    if (q->points.n == 0 && (q->o->weights || q->o->n_choices || skv_quant_shifts(q->o)))
        SKV_TRY(skv_quant_rest_codes(&q->rest, &q->weights));
    SKV_TRY(skv_quant_insert_part(q->ctx, q->work, q->o, q->chosen, &q->points, &part));
    const skive_status status = skv_quant_rest_calibrate(&q->rest, q->observer, part, feed, user, &q->report);
    skive_graph_free(part);
    return status;
}

/* Without `feed`, without samples. */
skive_status skv_quantize_feed(skive_context *ctx, skive_graph *graph, skive_feed_fn feed, void *user,
                               const skive_quantize_options *options, skive_quantize_report *report,
                               const skv_quant_control *control) {
    skive_quantize_options o = skive_quantize_options_default();
    quantization q = {.ctx = ctx, .o = &o, .input_low = 1, .input_high = -1};
    skv_quant_split split = {0};
    skv_measure m = {0};
    const double started = skv_now();
    skive_status status;
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_quantize_table, &o));
    q.observer = skv_observer_find(o.calibration); /* NULL: auto */
    SKV_TRY(skv_quant_target_take(ctx, &o));
    SKV_TRY(skv_quant_grids(ctx, &o, &q.weights, &q.activations));
    SKV_TRY(skv_quant_check_multiplier(ctx, &o, &q.activations));
    SKV_TRY(skv_pixels_asked(ctx, &o, &q.activations, &q.takes_pixels));
    SKV_TRY(pick_rounding(&q));
    q.report.fixed_multipliers = strcmp(o.multiplier, "fixed") == 0;
    skive_graph *own = NULL;
    if (o.dry_run) {
        SKV_TRY(skive_graph_copy(ctx, graph, &own));
        graph = own;
    }
    SKV_GO(status, done, skv_graph_for_methods(graph));
    SKV_GO(status, done, skv_quant_check_model(ctx, graph, &o));
    SKV_GO(status, done, skv_normals_find(ctx, graph, &q.normals));
    SKV_GO(status, done, skv_quant_split_make(ctx, graph, &o, &split));
    if (split.part && q.takes_pixels) {
        status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "input-type",
                             "shapes or paths of this model depend on its data, and a part of it stays float: its "
                             "inputs cannot become pixels");
        goto done;
    }
    if (feed && q.takes_pixels) {
        q.pixels.ctx = ctx;
        q.pixels.feed = feed;
        q.pixels.user = user;
        feed = skv_pixels_feed;
        user = &q.pixels;
    }
    if (split.part) SKV_GO(status, done, open_rest(&q, &split, feed || o.dry_run, control));
    SKV_GO(status, done, prepare_graph(&q, split.part ? split.part : graph));
    SKV_GO(status, done, skv_alloc_array(ctx, q.points.n, sizeof *q.range, &q.range));
    if (o.dry_run) {
        status = only_tell(&q, &split);
        goto done;
    }
    if (q.points.n && feed) SKV_GO(status, done, use_samples(&q, feed, user, control, &split, &m));
    if (!feed) SKV_GO(status, done, ranges_without_data(&q, split.part ? split.whole : graph));
    if (o.no_slower && q.points.n)
        SKV_GO(status, done, skv_quant_leave_slow(ctx, q.work, q.o, &q.points, q.chosen, &q.report));
    if (q.rest.n_points) SKV_GO(status, done, calibrate_rest(&q, feed, user));
    SKV_GO(status, done, skv_quant_part(ctx, q.work, q.chosen, &q.points, q.work, &q.part));
    SKV_GO(status, done, report_values(&q));
    SKV_GO(status, done, report_outlier(&q));
    if (feed && q.points.n && !q.rest.n_points) SKV_GO(status, done, report_outputs(&q, &m));
    SKV_GO(status, done, skv_quant_insert(ctx, q.work, q.o, q.chosen, &q.part, &q.report));
    if (q.takes_pixels) SKV_GO(status, done, skv_pixels_finish(q.work, &q.pixels));
    skv_calibration_data_free(ctx, q.work, &q.data);
    if (split.part) {
        skive_graph_take(split.part, q.work);
        q.work = NULL;
        SKV_GO(status, done, join_rest(&q, &split, split.part));
        if (q.rest.n_points) SKV_GO(status, done, skv_quant_rest_report(&q.rest, split.part, &q.report));
        SKV_GO(status, done, report_worst(&q));
        skive_graph_take(graph, split.part);
        split.part = NULL;
    } else {
        SKV_GO(status, done, report_worst(&q)); /* the last that can fail */
        skive_graph_take(graph, q.work);
        q.work = NULL;
    }
    q.report.seconds = skv_now() - started;
done:
    skv_measure_free(ctx, &m);
    clean_up(&q);
    skv_quant_split_free(ctx, &split);
    skive_graph_free(own);
    skv_quant_hand_over(ctx, status, &q.report, report);
    return status;
}

skive_status skive_quantize_feed(skive_context *ctx, skive_graph *graph, skive_feed_fn feed, void *user,
                                 const skive_quantize_options *options, skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph, feed", ctx, graph, feed);
    return skv_quantize_feed(ctx, graph, feed, user, options, report, NULL);
}

skive_status skive_quantize_data_free(skive_context *ctx, skive_graph *graph, const skive_quantize_options *options,
                                      skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph", ctx, graph);
    skive_quantize_options o = skive_quantize_options_default();
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    if ((o.rounding && strcmp(o.rounding, "nearest") != 0) || o.smooth)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, o.smooth ? "smooth" : "rounding",
                           "%s needs samples, and quantization without data has none",
                           o.smooth ? "SmoothQuant" : o.rounding);
    if (o.bias_correction && strcmp(o.bias_correction, "empirical") == 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "bias-correction",
                           "empirical bias correction needs samples; without them there is the analytic one");
    return skv_quantize_feed(ctx, graph, NULL, NULL, &o, report, NULL);
}
