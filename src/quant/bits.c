/* Bits for each layer under budgets.
 *
 * The harm of each layer on each grid is measured (sensitivity.c), what it costs is counted or measured, and
 * skive_allocate finds the choice with the least sum of harms. Costs of layers need not add up to those of the whole:
 * the file has biases, names and lengths, a plan fuses nodes. So the model with a choice is built, written to memory
 * and run; where it is over a budget, the layers get as much less to spend, and the choice is made again.
 *
 * With a limit on the loss the budgets are where a way ends that begins with the least harm in each layer; how much of
 * it stays within the limit is found by bisection (tune/trials.h). */
#include <skive/bits.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <skive/onnx.h>

#include "quant/quant.h"
#include "quant/sensitivity.h"
#include "quant/target.h"
#include "train/train.h"
#include "tune/costs.h"
#include "tune/trials.h"
#include "tune/tune.h"

#define USUAL_GRIDS "int8,int4"

enum { BYTES, BIT_OPERATIONS, LATENCY, ATTEMPTS = 12 };
static const char *const budget_names[SKIVE_BITS_BUDGETS] = {"bytes", "bit-operations", "latency"};

#define BUDGET(name_, field_, unit_, brief_)                                                   \
    {                                                                                          \
        .name = (name_), .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = (unit_), \
        SKV_FIELD(TEXT, skive_bits_options, field_), .brief = (brief_)                         \
    }
#define NEEDS_BUDGET "bytes|bit-operations|latency"
static const skv_option options_of_bits[] = {
    BUDGET("bytes", bytes, "B", "bytes of the ONNX file: the grid of each weight is chosen for them"),
    BUDGET("bit-operations", bit_operations, "",
           "multiply-accumulates times bits of both factors, in one sample: grids are chosen for them"),
    BUDGET("latency", latency, "s", "time of a run, measured on this machine: grids are chosen for it"),
    {.name = "grids",
     .type = SKV_OPTION_TEXT,
     .text = USUAL_GRIDS,
     .needs = NEEDS_BUDGET,
     SKV_FIELD(TEXT, skive_bits_options, grids),
     .brief = "grids to choose from under a budget, separated by commas; f32: float"},
    {.name = "by",
     .type = SKV_OPTION_CHOICE,
     .choices = skv_sensitivity_name,
     .needs = NEEDS_BUDGET,
     SKV_FIELD(TEXT, skive_bits_options, by),
     .brief = "the harm that a budget trades: kl, loss or hessian, as in sensitivity (default kl, or loss)"},
};
const skv_table skv_bits_table = {"bits", options_of_bits, SKV_LENGTH(options_of_bits), NULL};

skive_bits_options skive_bits_options_default(void) {
    return (skive_bits_options){.size = sizeof(skive_bits_options), .grids = USUAL_GRIDS, .max_drop = -1};
}

void skive_bits_report_free(skive_context *ctx, skive_bits_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_layers; i++) {
        skv_free(ctx, r->layers[i].node);
        skv_free(ctx, r->layers[i].parameter);
        skv_free(ctx, r->layers[i].grid);
    }
    skv_free(ctx, r->layers);
    *r = (skive_bits_report){0};
}

typedef struct choosing {
    skive_context *ctx;
    const skive_bits_options *o;
    const skive_graph *graph;
    skive_dataset *calibration, *validation, *test;
    skive_quantize_options how;
    skv_sensed_grid *grids; /* [n_grids], without float */
    size_t n_grids;
    bool with_float;
    bool dry;         /* only told */
    size_t n_choices; /* of a layer: the grids, then float */
    int activation_bits;
    skive_sensitivity_report sensed;
    size_t *row;           /* [n] of the layer's first row in `sensed` */
    skive_choice *items;   /* [n][n_choices] */
    skive_choices *layers; /* [n] */
    size_t *chosen;        /* [n] */
    skive_quantize_choice *choices;
    size_t n;
    size_t n_budgets, which[SKIVE_BITS_BUDGETS]; /* those given */
    double original[SKIVE_BITS_BUDGETS];
    double rest[SKIVE_BITS_BUDGETS]; /* [n_budgets] what of the model the layers' costs do not explain */
    double most[SKIVE_BITS_BUDGETS]; /* [n_budgets] with the least harm in each layer */
    skive_bits_report report;
} choosing;

/* ---- options ---- */

/* The default is that of the target: int8, which all take, and float instead of int4. */
static void use_target_grids(choosing *c, skive_bits_options *o) {
    if (strcmp(o->grids, USUAL_GRIDS) != 0 || skv_quant_target_takes_weights(&c->how, "int4")) return;
    o->grids = "int8,f32";
    skv_note(c->ctx, "weights are on one of the grids %s, which %s takes", o->grids, c->how.target);
}

/* The list without "f32". */
static skive_status parse_grids(choosing *c) {
    const char *list = c->o->grids;
    skv_text rest;
    skv_text_init(&rest, c->ctx);
    for (const char *from = list, *at = list;; at++) {
        if (*at == '\\' && at[1] == ',') {
            at++;
            continue;
        }
        if (*at && *at != ',') continue;
        if (at - from == 3 && memcmp(from, "f32", 3) == 0)
            c->with_float = true;
        else
            skv_text_add(&rest, "%s%.*s", rest.length ? "," : "", (int)(at - from), from);
        if (!*at) break;
        from = at + 1;
    }
    skive_status status = rest.status;
    if (status == SKIVE_OK && !rest.length)
        status = skv_fail_at(c->ctx, SKIVE_ERR_ARGUMENT, "grids", "no grid but float to choose from");
    if (status == SKIVE_OK) status = skv_sensed_grids_parse(c->ctx, rest.data, &c->grids, &c->n_grids);
    for (size_t i = 0; i < c->n_grids && status == SKIVE_OK; i++)
        status = skv_gridded_check(c->ctx, c->grids[i].text, &c->grids[i].q);
    c->n_choices = c->n_grids + c->with_float;
    skv_text_free(&rest);
    return status;
}

static skive_status read_budgets(choosing *c) {
    const char *texts[SKIVE_BITS_BUDGETS] = {c->o->bytes, c->o->bit_operations, c->o->latency};
    skv_option_values v;
    for (size_t i = 0; i < SKIVE_BITS_BUDGETS; i++) {
        c->report.budget[i] = c->report.used[i] = c->report.least[i] = NAN;
        if (!texts[i]) continue;
        skv_options_default(options_of_bits, SKIVE_BITS_BUDGETS, &v);
        SKV_TRY(skv_option_set(c->ctx, "quantize", &v, i, texts[i]));
        c->report.budget[i] = skv_option_budget(&v, budget_names[i], c->original[i]);
        c->which[c->n_budgets++] = i;
    }
    if (c->n_budgets) return SKIVE_OK;
    return skv_fail_at(c->ctx, SKIVE_ERR_ARGUMENT, "bytes", "no budget is given: bytes, bit operations or latency");
}

/* ---- a model with a choice ---- */

static const char *grid_at(const choosing *c, size_t choice) {
    return choice < c->n_grids ? c->grids[choice].text : "f32";
}

static void set_choices(choosing *c, const size_t *chosen, size_t same) {
    for (size_t i = 0; i < c->n; i++)
        c->choices[i] =
            (skive_quantize_choice){c->sensed.rows[c->row[i]].parameter, grid_at(c, chosen ? chosen[i] : same)};
}

static skive_status file_bytes(skive_context *ctx, const skive_graph *g, double *out) {
    void *bytes = NULL;
    size_t n = 0;
    SKV_TRY(skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
    skive_onnx_free_bytes(ctx, bytes);
    *out = (double)n;
    return SKIVE_OK;
}

/* Quantized with the choices as they are set. `rough`: with ranges from a few samples, for its size and time. */
static skive_status build(choosing *c, bool rough, skive_graph **out, skive_quantize_report *report) {
    skive_quantize_options how = c->how;
    how.choices = c->choices;
    how.n_choices = c->n;
    if (rough) {
        how.samples = 4;
        how.calibration = "minmax";
        how.bias_correction = "none";
    }
    bool any = c->n == 0;
    for (size_t i = 0; i < c->n; i++) any = any || strcmp(c->choices[i].grid, "f32") != 0;
    SKV_TRY(skive_graph_copy(c->ctx, c->graph, out));
    const skive_status status = any ? skive_quantize(c->ctx, *out, c->calibration, &how, report)
                                    : skive_graph_to_inference(*out); /* all of it stays float */
    if (status == SKIVE_OK) return SKIVE_OK;
    skive_graph_free(*out);
    *out = NULL;
    return status;
}

static skive_status time_of(choosing *c, const skive_graph *g, skive_cost_report *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_costs *costs = NULL;
    o.batch = 1;
    o.shapes = c->how.shapes;
    o.n_shapes = c->how.n_shapes;
    SKV_TRY(skive_costs_open(c->ctx, "", &costs)); /* measured now: neighbours in time are compared */
    const skive_status status = skive_costs_of_graph(costs, g, &o, out);
    skive_costs_free(costs);
    return status;
}

static double bit_operations(const choosing *c, size_t layer, size_t choice) {
    const skive_sensitivity_row *row = &c->sensed.rows[c->row[layer]];
    if (choice == c->n_grids) return (double)row->macs * 32 * 32;
    return (double)row->macs * c->grids[choice].q.grid->bits * c->activation_bits;
}

/* Of the layers that stay float whatever is chosen: those left out and those that quantization does not take. */
static double fixed_bit_operations(const choosing *c) {
    double macs = (double)c->sensed.macs;
    for (size_t i = 0; i < c->n; i++) macs -= (double)c->sensed.rows[c->row[i]].macs;
    return macs > 0 ? macs * 32 * 32 : 0;
}

static bool has(const choosing *c, size_t budget) { return !isnan(c->report.budget[budget]); }

/* What the model takes of each budget. */
static skive_status measure(choosing *c, const skive_graph *g, const size_t *chosen, double *used) {
    skive_cost_report time = {0};
    for (size_t k = 0; k < SKIVE_BITS_BUDGETS; k++) used[k] = NAN;
    if (has(c, BYTES)) SKV_TRY(file_bytes(c->ctx, g, &used[BYTES]));
    if (has(c, BIT_OPERATIONS)) {
        used[BIT_OPERATIONS] = fixed_bit_operations(c);
        for (size_t i = 0; i < c->n; i++) used[BIT_OPERATIONS] += bit_operations(c, i, chosen[i]);
    }
    if (!has(c, LATENCY)) return SKIVE_OK;
    SKV_TRY(time_of(c, g, &time));
    used[LATENCY] = time.whole;
    skive_cost_report_free(c->ctx, &time);
    return SKIVE_OK;
}

/* ---- harm and costs ---- */

static skive_status sense(choosing *c) {
    skive_sensitivity_options s = skive_sensitivity_options_default();
    skv_text list;
    skv_text_init(&list, c->ctx);
    for (size_t i = 0; i < c->n_grids; i++) {
        if (i) skv_text_add(&list, ",");
        for (const char *t = c->grids[i].text; *t; t++) skv_text_add(&list, *t == ',' ? "\\%c" : "%c", *t);
    }
    skive_status status = list.status;
    s.grids = list.data;
    s.activations = c->how.activations;
    s.by = c->o->by ? c->o->by : "kl";
    s.samples = c->how.samples;
    s.skip = c->how.skip;
    s.n_skip = c->how.n_skip;
    if (status == SKIVE_OK) status = skive_sensitivity(c->ctx, c->graph, c->calibration, c->validation, &s, &c->sensed);
    if (status == SKIVE_ERR_UNSUPPORTED && !c->o->by && strcmp(skive_context_subject(c->ctx), "by") == 0) {
        skive_context_clear(c->ctx);
        s.by = "loss";
        status = skive_sensitivity(c->ctx, c->graph, c->calibration, c->validation, &s, &c->sensed);
    }
    skv_text_free(&list);
    return status;
}

/* The layers that static quantization takes: it says so of a model built with the first grid. */
static skive_status find_layers(choosing *c) {
    skive_quantize_report r = {0};
    skive_graph *g = NULL;
    const size_t most = c->sensed.n_layers + 1;
    SKV_TRY(skv_alloc_array(c->ctx, most, sizeof *c->row, &c->row));
    SKV_TRY(skv_alloc_array(c->ctx, most, sizeof *c->choices, &c->choices));
    SKV_TRY(skv_alloc_array(c->ctx, most, sizeof *c->chosen, &c->chosen));
    SKV_TRY(skv_alloc_array(c->ctx, most, sizeof *c->layers, &c->layers));
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)skv_mul_sat((int64_t)most, (int64_t)c->n_choices), sizeof *c->items,
                            &c->items));
    SKV_TRY(build(c, true, &g, &r));
    skive_graph_free(g);
    for (size_t i = 0; i < c->sensed.n_layers; i++) {
        const skive_sensitivity_row *row = &c->sensed.rows[i * c->n_grids];
        bool takes = false;
        for (size_t k = 0; k < r.n_rows && !takes; k++)
            takes = r.rows[k].is_parameter && strcmp(r.rows[k].name, row->parameter) == 0;
        if (takes) c->row[c->n++] = i * c->n_grids;
    }
    skive_quantize_report_free(c->ctx, &r);
    if (c->n) return SKIVE_OK;
    return SKV_FAIL(c->ctx, SKIVE_ERR_UNSUPPORTED, "the model has no weights that static quantization takes");
}

/* Bytes as ONNX stores them: int3 takes the 4 bits of int4. */
static double stored_bytes(const choosing *c, size_t layer, size_t choice) {
    const skive_sensitivity_row *row = &c->sensed.rows[c->row[layer]];
    if (choice == c->n_grids) return (double)row->elements * sizeof(float);
    const skv_grid *grid = c->grids[choice].q.grid;
    const skive_sensitivity_row *own = &row[choice];
    const int64_t bits = (int64_t)skive_dtype_bits(grid->dtype);
    const int64_t counted = (own->elements * grid->bits + 7) / 8, stored = (own->elements * bits + 7) / 8;
    return (double)(own->bytes - counted + stored);
}

/* The time of each layer with all layers on the same grid. */
static skive_status time_layers(choosing *c, size_t choice) {
    skive_cost_report time = {0};
    skive_graph *g = NULL;
    set_choices(c, NULL, choice);
    SKV_TRY(build(c, true, &g, NULL));
    const skive_status status = time_of(c, g, &time);
    skive_graph_free(g);
    SKV_TRY(status);
    for (size_t i = 0; i < c->n; i++) {
        double *to = &c->items[i * c->n_choices + choice].cost[LATENCY];
        *to = 0;
        for (size_t k = 0; k < time.n_rows; k++)
            if (strcmp(time.rows[k].node, c->sensed.rows[c->row[i]].node) == 0) *to = time.rows[k].time.seconds;
    }
    skive_cost_report_free(c->ctx, &time);
    return SKIVE_OK;
}

static skive_status find_costs(choosing *c) {
    for (size_t i = 0; i < c->n; i++) {
        skive_choice *items = &c->items[i * c->n_choices];
        c->layers[i] = (skive_choices){c->sensed.rows[c->row[i]].parameter, items, c->n_choices};
        for (size_t k = 0; k < c->n_choices; k++) {
            items[k].harm = k < c->n_grids ? c->sensed.rows[c->row[i] + k].harm : 0;
            items[k].cost[BYTES] = stored_bytes(c, i, k);
            items[k].cost[BIT_OPERATIONS] = bit_operations(c, i, k);
        }
    }
    for (size_t k = 0; k < c->n_choices && has(c, LATENCY); k++) SKV_TRY(time_layers(c, k));
    /* The budgets that are given come first. */
    for (size_t i = 0; i < c->n * c->n_choices; i++) {
        skive_choice item = c->items[i];
        for (size_t k = 0; k < c->n_budgets; k++) c->items[i].cost[k] = item.cost[c->which[k]];
    }
    return SKIVE_OK;
}

static skive_status find_originals(choosing *c) {
    skive_cost_report time = {0};
    SKV_TRY(file_bytes(c->ctx, c->graph, &c->original[BYTES]));
    c->original[BIT_OPERATIONS] = (double)c->sensed.macs * 32 * 32;
    if (!c->o->latency) return SKIVE_OK;
    SKV_TRY(time_of(c, c->graph, &time));
    c->original[LATENCY] = time.whole;
    skive_cost_report_free(c->ctx, &time);
    return SKIVE_OK;
}

/* ---- the choice ---- */

static double cost_of(const choosing *c, const size_t *chosen, size_t budget) {
    double sum = 0;
    for (size_t i = 0; i < c->n; i++) sum += c->items[i * c->n_choices + chosen[i]].cost[budget];
    return sum;
}

static skive_status measure_chosen(choosing *c, double *used) {
    skive_graph *g = NULL;
    set_choices(c, c->chosen, 0);
    SKV_TRY(build(c, true, &g, NULL));
    const skive_status status = measure(c, g, c->chosen, used);
    skive_graph_free(g);
    return status;
}

/* The cheapest model for each budget by itself. */
static skive_status find_least(choosing *c) {
    for (size_t k = 0; k < c->n_budgets; k++) {
        double used[SKIVE_BITS_BUDGETS];
        for (size_t i = 0; i < c->n; i++) {
            const skive_choice *items = c->layers[i].items;
            c->chosen[i] = 0;
            for (size_t j = 1; j < c->n_choices; j++)
                if (items[j].cost[k] < items[c->chosen[i]].cost[k]) c->chosen[i] = j;
        }
        SKV_TRY(measure_chosen(c, used));
        c->report.least[c->which[k]] = used[c->which[k]];
        c->rest[k] = used[c->which[k]] - cost_of(c, c->chosen, k);
    }
    return SKIVE_OK;
}

/* The model with the least harm in each layer, where the way to the budgets begins. */
static skive_status find_most(choosing *c) {
    double used[SKIVE_BITS_BUDGETS];
    for (size_t i = 0; i < c->n; i++) {
        const skive_choice *items = c->layers[i].items;
        c->chosen[i] = 0;
        for (size_t j = 1; j < c->n_choices; j++)
            if (items[j].harm < items[c->chosen[i]].harm) c->chosen[i] = j;
    }
    SKV_TRY(measure_chosen(c, used));
    for (size_t k = 0; k < c->n_budgets; k++) c->most[k] = used[c->which[k]];
    return SKIVE_OK;
}

static skive_status refuse(const choosing *c, size_t which) {
    const double budget = c->report.budget[which], least = c->report.least[which];
    if (which == LATENCY)
        return skv_fail_at(c->ctx, SKIVE_ERR_GOAL, budget_names[which],
                           "infeasible: a run of %.4g ms cannot be reached with the grids %s; the smallest is %.4g ms",
                           1e3 * budget, c->o->grids, 1e3 * least);
    return skv_fail_at(c->ctx, SKIVE_ERR_GOAL, budget_names[which],
                       "infeasible: %.0f %s cannot be reached with the grids %s; the smallest is %.0f", budget,
                       which == BYTES ? "bytes" : "bit operations", c->o->grids, least);
}

/* Allocates, builds and measures until the model is within the aims, which are the budgets or larger. */
static skive_status choose(choosing *c, const double *aim, skive_graph **out, skive_quantize_report *quantized) {
    double room[SKIVE_BITS_BUDGETS] = {0};
    for (size_t k = 0; k < c->n_budgets; k++) room[k] = aim[k] - c->rest[k];
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        skive_allocation a;
        bool within = true;
        for (size_t k = 0; k < c->n_budgets; k++)
            if (room[k] < 0) return refuse(c, c->which[k]);
        const skive_status status = skive_allocate(c->ctx, c->layers, c->n, room, c->n_budgets, c->chosen, &a);
        if (status == SKIVE_ERR_GOAL) return refuse(c, c->which[0]);
        SKV_TRY(status);
        c->report.harm = a.harm;
        c->report.exact = a.exact;
        set_choices(c, c->chosen, 0);
        SKV_TRY(build(c, false, out, quantized));
        SKV_TRY(measure(c, *out, c->chosen, c->report.used));
        for (size_t k = 0; k < c->n_budgets; k++) {
            /* Times are measured anew and differ: what was reached once is possible. */
            if (c->report.used[c->which[k]] < c->report.least[c->which[k]])
                c->report.least[c->which[k]] = c->report.used[c->which[k]];
            const double over = c->report.used[c->which[k]] - aim[k];
            if (!(over > 0)) continue;
            within = false;
            room[k] -= over;
        }
        if (within) return SKIVE_OK;
        skive_graph_free(*out);
        *out = NULL;
        skive_quantize_report_free(c->ctx, quantized);
    }
    return refuse(c, c->which[0]);
}

/* ---- within a limit on the loss ---- */

typedef struct trial {
    skive_quantize_report quantized;
    double used[SKIVE_BITS_BUDGETS], harm;
    bool exact;
    size_t *chosen; /* [n] */
} trial;

static void free_trial(skive_context *ctx, void *report) {
    trial *t = report;
    skive_quantize_report_free(ctx, &t->quantized);
    skv_free(ctx, t->chosen);
}

static skive_status go(void *user, size_t level, skive_graph *copy, void *report) {
    choosing *c = user;
    trial *t = report;
    skive_graph *made = NULL;
    double aim[SKIVE_BITS_BUDGETS];
    for (size_t k = 0; k < c->n_budgets; k++) {
        const double end = c->report.budget[c->which[k]], way = c->most[k] > end ? c->most[k] - end : 0;
        aim[k] = level == c->report.levels ? end : end + way * (1 - (double)level / (double)c->report.levels);
    }
    const skive_status status = choose(c, aim, &made, &t->quantized);
    if (status != SKIVE_OK) {
        skive_graph_free(made);
        return status;
    }
    skive_graph_take(copy, made);
    memcpy(t->used, c->report.used, sizeof t->used);
    t->harm = c->report.harm;
    t->exact = c->report.exact;
    SKV_TRY(skv_alloc_array(c->ctx, c->n + 1, sizeof *t->chosen, &t->chosen));
    memcpy(t->chosen, c->chosen, c->n * sizeof *t->chosen);
    return SKIVE_OK;
}

static void tell_over(const choosing *c) {
    const skive_bits_report *r = &c->report;
    for (size_t k = 0; k < c->n_budgets; k++) {
        const size_t which = c->which[k];
        const double unit = which == LATENCY ? 1e3 : 1;
        if (!(r->used[which] > r->budget[which])) continue;
        skv_note(c->ctx,
                 "the limit on the loss ends before the budget of %s is met: %.10g%s, and the budget is %.10g%s",
                 budget_names[which], unit * r->used[which], which == LATENCY ? " ms" : "", unit * r->budget[which],
                 which == LATENCY ? " ms" : "");
    }
}

static skive_status choose_within(choosing *c, skive_graph **out, skive_quantize_report *quantized) {
    skive_bits_report *r = &c->report;
    trial best = {0};
    SKV_TRY(find_most(c));
    r->levels = 1;
    for (size_t k = 0; k < c->n_budgets; k++)
        if (c->most[k] > r->budget[c->which[k]]) r->levels = SKIVE_BITS_LEVELS;
    const skv_trials trials = {.ctx = c->ctx,
                               .graph = c->graph,
                               .validation = c->validation,
                               .levels = r->levels,
                               .max_drop = c->o->max_drop,
                               .go = go,
                               .free_report = free_trial,
                               .report_size = sizeof best,
                               .user = c};
    const skive_status status = skv_trials_run(&trials, out, &best, &r->control);
    if (status != SKIVE_OK) {
        /* The last one of the way back, which is nearest to where it begins. */
        if (status == SKIVE_ERR_GOAL && r->control.n_trials) r->drop = r->control.trials[r->control.n_trials - 1].drop;
        return status;
    }
    *quantized = best.quantized;
    memcpy(r->used, best.used, sizeof r->used);
    memcpy(c->chosen, best.chosen, c->n * sizeof *c->chosen);
    r->harm = best.harm;
    r->exact = best.exact;
    skv_free(c->ctx, best.chosen);
    tell_over(c);
    return SKIVE_OK;
}

static skive_status choose_all(choosing *c, skive_graph **out, skive_quantize_report *quantized) {
    double aim[SKIVE_BITS_BUDGETS];
    SKV_TRY(find_least(c));
    for (size_t k = 0; k < c->n_budgets; k++) {
        const size_t which = c->which[k];
        aim[k] = c->report.budget[which];
        if (aim[k] < c->report.least[which]) return refuse(c, which);
    }
    const bool limited = c->o->max_drop >= 0 && !c->dry;
    return limited ? choose_within(c, out, quantized) : choose(c, aim, out, quantized);
}

/* ---- the result ---- */

static skive_status report_layers(choosing *c) {
    skive_bits_report *r = &c->report;
    SKV_TRY(skv_alloc_array(c->ctx, c->n + 1, sizeof *r->layers, &r->layers));
    for (size_t i = 0; i < c->n; i++) {
        const skive_sensitivity_row *row = &c->sensed.rows[c->row[i]];
        skive_bits_layer *l = &r->layers[r->n_layers++];
        *l = (skive_bits_layer){
            .elements = row->elements, .macs = row->macs, .harm = c->layers[i].items[c->chosen[i]].harm};
        SKV_TRY(skv_strdup(c->ctx, row->node, &l->node));
        SKV_TRY(skv_strdup(c->ctx, row->parameter, &l->parameter));
        SKV_TRY(skv_strdup(c->ctx, grid_at(c, c->chosen[i]), &l->grid));
    }
    return SKIVE_OK;
}

typedef struct loss {
    int64_t n;
    double original, drop, low, high;
} loss;

static skive_status lose(choosing *c, const skive_graph *after, skive_dataset *set, loss *out) {
    skive_eval_report x = {0}, y = {0};
    skive_paired_report paired;
    skive_status status = skv_evaluate(c->ctx, c->graph, set, &(skv_evaluation){0}, &x);
    if (status == SKIVE_OK) status = skv_evaluate(c->ctx, after, set, &(skv_evaluation){0}, &y);
    if (status == SKIVE_OK) status = skive_compare_paired(c->ctx, &x, &y, &paired);
    if (status == SKIVE_OK)
        *out = (loss){.n = x.n,
                      .original = x.hit ? 100 * x.accuracy : 100 * x.r2,
                      .drop = skive_eval_drop(&x, &y),
                      .low = x.hit ? -100 * paired.high : NAN,
                      .high = x.hit ? -100 * paired.low : NAN};
    skive_eval_report_free(c->ctx, &x);
    skive_eval_report_free(c->ctx, &y);
    return status;
}

static skive_status evaluate(choosing *c, const skive_graph *g) {
    skive_bits_report *r = &c->report;
    loss v, t;
    SKV_TRY(lose(c, g, c->validation, &v));
    r->samples = v.n;
    r->original = v.original;
    r->drop = v.drop;
    r->low = v.low;
    r->high = v.high;
    if (!c->test) return SKIVE_OK;
    SKV_TRY(lose(c, g, c->test, &t));
    r->tested = true;
    r->test_samples = t.n;
    r->test_original = t.original;
    r->test_drop = t.drop;
    r->test_low = t.low;
    r->test_high = t.high;
    return SKIVE_OK;
}

static skive_status run(choosing *c, skive_graph **out, skive_quantize_report *quantized) {
    skv_quantizer weights, activations;
    SKV_TRY(skv_quant_target_take(c->ctx, &c->how));
    SKV_TRY(parse_grids(c));
    for (size_t i = 0; i < c->n_grids; i++) SKV_TRY(skv_quant_target_take_weights(c->ctx, &c->how, c->grids[i].text));
    SKV_TRY(skv_quant_grids(c->ctx, &c->how, &weights, &activations));
    c->activation_bits = activations.grid->bits;
    if (c->how.weights || c->how.n_choices)
        return skv_fail_at(c->ctx, SKIVE_ERR_ARGUMENT, "weights",
                           "a budget chooses the grid of each weight: it cannot be combined with grids that are given");
    if (!c->o->bytes && !c->o->bit_operations && !c->o->latency) return read_budgets(c);
    SKV_TRY(sense(c));
    SKV_TRY(find_originals(c));
    SKV_TRY(read_budgets(c));
    SKV_TRY(find_layers(c));
    SKV_TRY(find_costs(c));
    const skive_status status = choose_all(c, out, quantized);
    if (status == SKIVE_OK || (status == SKIVE_ERR_GOAL && c->report.control.n_trials)) SKV_TRY(report_layers(c));
    SKV_TRY(status);
    return c->dry ? SKIVE_OK : evaluate(c, *out);
}

skive_status skive_quantize_bits(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                                 skive_dataset *validation, skive_dataset *test, const skive_bits_options *options,
                                 skive_quantize_report *quantized, skive_bits_report *report) {
    SKV_NEED(ctx, "ctx, graph, calibration, validation", ctx, graph, calibration, validation);
    skive_bits_options o = skive_bits_options_default();
    skive_quantize_report made = {0};
    skive_graph *out = NULL;
    choosing c = {.ctx = ctx,
                  .o = &o,
                  .graph = graph,
                  .calibration = calibration,
                  .validation = validation,
                  .test = test,
                  .how = skive_quantize_options_default()};
    if (quantized) *quantized = made;
    if (report) *report = (skive_bits_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_bits_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_bits_table, &o));
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", o.quantize, &c.how, sizeof c.how));
    use_target_grids(&c, &o);
    if (!c.how.dry_run) SKV_TRY(skive_graph_to_float32(graph));
    c.dry = c.how.dry_run;
    c.how.dry_run = false;
    skive_status status = run(&c, &out, &made);
    if (status == SKIVE_OK && c.dry)
        skv_note(ctx, "nothing is written: grids are chosen and sizes measured, but no loss%s",
                 o.max_drop >= 0 ? ", and the limit on it is not looked at" : "");
    if (status == SKIVE_OK && !c.dry) {
        skive_graph_take(graph, out);
        out = NULL;
    }
    skive_graph_free(out);
    skv_sensed_grids_free(ctx, c.grids, c.n_grids);
    skive_sensitivity_report_free(ctx, &c.sensed);
    skv_free(ctx, c.row);
    skv_free(ctx, c.items);
    skv_free(ctx, c.layers);
    skv_free(ctx, c.chosen);
    skv_free(ctx, c.choices);
    skv_quant_hand_over(ctx, status, &made, quantized);
    if ((status == SKIVE_OK || status == SKIVE_ERR_GOAL) && report)
        *report = c.report;
    else
        skive_bits_report_free(ctx, &c.report);
    return status;
}
