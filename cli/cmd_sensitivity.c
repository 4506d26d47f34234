/* skive sensitivity: what a model loses when one layer is quantized. */
#include <math.h>
#include <string.h>

#include "cli.h"

enum { MAX_SKIP = 256 };

static const cli_option options[] = {
    {"data", 'd', "SET", "data set: calibration on its training samples, measurement on those of --split", false},
    {"split", 0, "NAME", "on which is measured: validation (default), test, train or train-full", false},
    {"limit", 0, "N", "only N samples, of calibration as of measurement", false},
    {"weights-only", 0, NULL, "the same as --activations none", false},
    {"skip", 0, "NODE", "leave this node out; a name or a pattern such as '*/attn/*'; may be repeated", true},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
};

/* ---- the report ---- */

static void decibels(cli_table *t, double x) {
    if (isnan(x))
        cli_table_cell(t, "-");
    else if (isinf(x))
        cli_table_cell(t, "%s", x > 0 ? "exact" : "lost");
    else
        cli_table_cell(t, "%.1f", x);
}

static void number(cli_table *t, const char *format, double x) {
    char text[48];
    if (isnan(x))
        snprintf(text, sizeof text, "-");
    else
        snprintf(text, sizeof text, format, x);
    cli_table_cell(t, "%s", text);
}

/* Names are shortened so that a row fits into 80 columns. */
static void name_cell(cli_table *t, const char *name) {
    char text[15];
    cli_table_cell(t, "%s", cli_short(name, text, sizeof text));
}

/* Has the node another weight with rows of its own, as a recurrent cell has? Then the weight is named too. */
static bool has_several(const skive_sensitivity_report *r, const skive_sensitivity_row *row) {
    for (size_t i = 0; i < r->n_rows; i++)
        if (strcmp(r->rows[i].node, row->node) == 0 && strcmp(r->rows[i].parameter, row->parameter) != 0) return true;
    return false;
}

/* "LSTM0 (R0)": the ends of both names, in the room of one. */
static void layer_cell(cli_table *t, const skive_sensitivity_report *r, const skive_sensitivity_row *row) {
    char node[9], parameter[7];
    if (has_several(r, row))
        cli_table_cell(t, "%s (%s)", cli_short(row->node, node, sizeof node),
                       cli_short(row->parameter, parameter, sizeof parameter));
    else
        name_cell(t, row->node);
}

static bool is_new_layer(const skive_sensitivity_report *r, size_t i) { return i % r->n_grids == 0; }

/* What every table has of a row: the layer where it is a new one, the grid, and what is known of the weights. */
static const skive_sensitivity_row *begin_row(cli_table *t, const skive_sensitivity_report *r, size_t i) {
    const skive_sensitivity_row *row = &r->rows[i];
    if (i && is_new_layer(r, i) && r->n_grids > 1) cli_table_rule(t);
    if (is_new_layer(r, i))
        layer_cell(t, r, row);
    else
        cli_table_cell(t, "%s", "");
    cli_table_cell(t, "%s", row->grid);
    cli_table_cell(t, "%lld", (long long)row->bytes);
    decibels(t, row->weight_sqnr);
    return row;
}

static void print_measured(const skive_sensitivity_report *r, bool kl) {
    const char *const heads[] = {"<layer", "<grid",        "bytes", "w dB", "out dB", kl ? "KL" : "+ loss",
                                 "drop",   "95 % interval"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_sensitivity_row *row = begin_row(t, r, i);
        decibels(t, row->sqnr);
        if (kl)
            number(t, "%.2g", row->kl);
        else
            number(t, "%+.2g", row->loss);
        number(t, "%+.2f", row->drop);
        if (isnan(row->low))
            cli_table_cell(t, "-");
        else
            cli_table_cell(t, "%+.2f..%+.2f", row->low, row->high);
    }
    cli_table_print(t, stdout);
}

static void print_estimated(const skive_sensitivity_report *r) {
    static const char *const heads[] = {"<layer", "<grid", "bytes", "w dB", "trace", "+ loss, estimated"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_sensitivity_row *row = begin_row(t, r, i);
        number(t, "%.4g", row->trace);
        number(t, "%.3g", row->harm);
    }
    cli_table_print(t, stdout);
}

/* For each grid the layer that does most harm. */
static void print_worst(const skive_sensitivity_report *r, const char *by) {
    for (size_t k = 0; k < r->n_grids && k < r->n_rows; k++) {
        const skive_sensitivity_row *worst = &r->rows[k];
        double sum = 0;
        for (size_t i = k; i < r->n_rows; i += r->n_grids) {
            if (r->rows[i].harm > worst->harm) worst = &r->rows[i];
            sum += r->rows[i].harm;
        }
        const bool several = has_several(r, worst);
        if (sum > 0)
            cli_printf("%s: '%s'%s%s%s does most harm by %s: %.3g, %.0f %% of the sum", worst->grid, worst->node,
                       several ? " (" : "", several ? worst->parameter : "", several ? ")" : "", by, worst->harm,
                       100 * worst->harm / sum);
        else
            cli_printf("%s: no layer does measurable harm by %s", worst->grid, by);
    }
}

static void print_report(const skive_sensitivity_report *r, const skive_sensitivity_options *o) {
    const bool estimated = strcmp(o->by, "hessian") == 0;
    const bool inputs = !estimated && strcmp(o->activations, "none") != 0;
    if (estimated)
        print_estimated(r);
    else
        print_measured(r, strcmp(o->by, "kl") == 0);
    cli_printf("one layer at a time: its weights on the grid, its input %s; %lld samples, %.1f s",
               inputs ? o->activations : "float", (long long)r->samples, r->seconds);
    if (!estimated && !isnan(r->original))
        cli_printf("the float model: %.2f %%, loss %.4f; drop in percentage points", r->original, r->loss);
    print_worst(r, o->by);
    for (size_t i = 0; i < r->n_left; i++) cli_printf("left out: %s: %s", r->left[i].node, r->left[i].reason);
    if (r->n_rows < r->n_layers * r->n_grids)
        cli_printf("interrupted: %zu of %zu measured", r->n_rows, r->n_layers * r->n_grids);
}

/* What would be measured: how many runs, on what, and what is known without any. */
static void print_dry(const skive_sensitivity_report *r, const skive_sensitivity_options *o) {
    static const char *const heads[] = {"<layer", "<grid", "bytes", "w dB"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < r->n_rows; i++) (void)begin_row(t, r, i);
    cli_table_print(t, stdout);
    if (strcmp(o->by, "hessian") == 0)
        cli_printf("would estimate the harm of %zu layers on %zu grids from %lld random vectors and %lld batches",
                   r->n_layers, r->n_grids, (long long)o->vectors, (long long)o->batches);
    else
        cli_printf(
            "would run over the samples %zu times, once for each of %zu layers and %zu grids: weights on the grid, "
            "inputs %s",
            r->n_layers * r->n_grids, r->n_layers, r->n_grids,
            strcmp(o->activations, "none") == 0 ? "float" : o->activations);
    for (size_t i = 0; i < r->n_left; i++) cli_printf("left out: %s: %s", r->left[i].node, r->left[i].reason);
    cli_print_dry_run();
}

static void set_number(json_t *j, const char *key, double x) {
    if (isfinite(x)) json_object_set_new(j, key, json_real(x));
}

static json_t *report_json(const skive_sensitivity_report *r, const skive_sensitivity_options *o) {
    json_t *rows = json_array(), *left = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_sensitivity_row *row = &r->rows[i];
        json_t *j = json_pack("{s:o, s:s, s:o, s:s, s:I, s:I, s:I, s:i}", "node", cli_json_text(row->node), "op",
                              row->op, "parameter", cli_json_text(row->parameter), "grid", row->grid, "elements",
                              (json_int_t)row->elements, "macs", (json_int_t)row->macs, "bytes", (json_int_t)row->bytes,
                              "bits", row->bits);
        set_number(j, "weight_sqnr", row->weight_sqnr);
        set_number(j, "drop", row->drop);
        set_number(j, "drop_low", row->low);
        set_number(j, "drop_high", row->high);
        set_number(j, "loss_increase", row->loss);
        set_number(j, "output_sqnr", row->sqnr);
        set_number(j, "kl", row->kl);
        set_number(j, "trace", row->trace);
        set_number(j, "harm", row->harm);
        json_array_append_new(rows, j);
    }
    for (size_t i = 0; i < r->n_left; i++)
        json_array_append_new(
            left, json_pack("{s:o, s:s}", "node", cli_json_text(r->left[i].node), "reason", r->left[i].reason));
    json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:b}", "by", o->by, "activations", o->activations, "rows",
                          rows, "left_out", left, "samples", (json_int_t)r->samples, "compared",
                          (json_int_t)r->compared, "complete", r->n_rows == r->n_layers * r->n_grids);
    set_number(j, "original", r->original);
    set_number(j, "loss", r->loss);
    set_number(j, "seconds", r->seconds);
    return j;
}

/* ---- the command ---- */

static skive_status open_sets(cli_args *a, skive_graph *g, const skive_sensitivity_options *o,
                              skive_dataset **calibration, skive_dataset **samples) {
    const char *data = cli_text(a, "data", NULL);
    skive_split split = SKIVE_SPLIT_VALIDATION;
    skive_status status = cli_has(a, "split") ? cli_split(a, &split) : SKIVE_OK;
    if (status == SKIVE_OK) status = cli_open_data(a, data, split, g, samples);
    if (status == SKIVE_OK && strcmp(o->activations, "none") != 0 && strcmp(o->by, "hessian") != 0)
        status = cli_open_samples(a, data, SKIVE_SPLIT_TRAIN, g, calibration);
    if (status == SKIVE_OK) status = cli_set_input(a, g, *samples);
    return status;
}

static skive_status run(cli_args *a) {
    const char *skip[MAX_SKIP];
    skive_options *given = NULL;
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skive_sensitivity_report r = {0};
    skive_dataset *calibration = NULL, *samples = NULL;
    skive_graph *g = NULL;
    const bool dry = cli_has(a, "dry-run");
    if (!cli_has(a, "data") && !dry)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; name the data set to measure on");
    if (cli_has(a, "weights-only") && cli_has(a, "activations"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--weights-only and --activations cannot be combined");
    skive_status status = cli_method_options(a, &given);
    if (status == SKIVE_OK) status = cli_check_effects(a, given);
    if (status == SKIVE_OK) o = *skive_options_sensitivity(given);
    if (status == SKIVE_OK && strcmp(o.by, "hessian") == 0 && (cli_has(a, "activations") || cli_has(a, "calibration")))
        status = cli_fail(a, SKIVE_ERR_ARGUMENT,
                          "--by hessian estimates the harm of weights alone: --activations and --calibration have no "
                          "effect");
    if (cli_has(a, "weights-only")) o.activations = "none";
    if (status == SKIVE_OK && (strcmp(o.activations, "none") == 0 || strcmp(o.by, "hessian") == 0) &&
        (cli_has(a, "calibration") || cli_has(a, "samples")))
        status = cli_fail(a, SKIVE_ERR_ARGUMENT,
                          "--calibration and --samples are for activations, and only weights are quantized; leave them "
                          "out (--limit gives the number of samples that are measured)");
    o.n_skip = cli_count(a, "skip");
    if (status == SKIVE_OK && o.n_skip > MAX_SKIP)
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--skip may be given %d times at most", MAX_SKIP);
    for (size_t i = 0; i < o.n_skip && i < MAX_SKIP; i++) skip[i] = cli_text_at(a, "skip", i);
    o.skip = skip;
    o.dry_run = dry;
    if (status == SKIVE_OK) status = cli_load_to_run(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, &g, 1);
    if (status == SKIVE_OK && cli_has(a, "data")) status = open_sets(a, g, &o, &calibration, &samples);
    if (status == SKIVE_OK) status = skive_sensitivity(a->ctx, g, calibration, samples, &o, &r);
    if (r.n_rows) {
        json_t *j = a->json ? report_json(&r, &o) : NULL;
        if (j && dry) json_object_set_new(j, "dry_run", json_true());
        if (j)
            cli_print_json(j);
        else if (dry)
            print_dry(&r, &o);
        else
            print_report(&r, &o);
    }
    skive_sensitivity_report_free(a->ctx, &r);
    skive_dataset_free(calibration);
    skive_dataset_free(samples);
    skive_graph_free(g);
    skive_options_free(given);
    return status;
}

const cli_command cli_command_sensitivity = {
    .name = "sensitivity",
    .brief = "what a model loses when one layer is quantized",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "sensitivity",
    .saves = true,
    .details =
        "The weights of one layer, and its input, are rounded to a grid while all other layers stay float, and the "
        "model runs\n"
        "over the samples, once for each layer and grid. Printed are the bytes of the weights with their scales; the "
        "signal\n"
        "to noise (SQNR) of the weights (w dB) and of the model's output (out dB); the increase of the loss, or with "
        "--by kl\n"
        "the divergence of the answers from those of the float model (nats); and the drop of accuracy, in percentage "
        "points,\n"
        "with its paired 95 % interval. --json has all of them.\n"
        "--by hessian measures nothing for each layer: it estimates the increase of the loss from the trace of the "
        "Hessian.\n"
        "The model is not changed. Ctrl-C prints what was measured so far.",
    .examples = "  skive sensitivity model.onnx --data fashion-mnist\n"
                "  skive sensitivity model.onnx --data fashion-mnist --grids int8,int4:32,nf4 --weights-only\n"
                "  skive sensitivity model.onnx --data fashion-mnist --by hessian --json",
    .run = run,
};
