/* skive quantize: static INT8. */
#include <math.h>
#include <string.h>

#include "cli.h"

#define BAD_SQNR      10.0 /* dB */
#define BAD_AGREEMENT 0.9
#define BETTER        1.0 /* dB, of another setting: worth telling */

static const cli_option options[] = {
    {"data", 'd', "SET", "data set whose training samples are used for calibration", false},
    {"output", 'o', "FILE", "the INT8 model, as ONNX with QuantizeLinear/DequantizeLinear", false},
    {"calibration", 0, "NAME", "auto, minmax, percentile, mse or entropy (default auto)", false},
    {"percentile", 0, "P", "of the percentile method (default 99.99)", false},
    {"samples", 0, "N", "calibration samples (default 1000)", false},
    {"batch", 'b', "N", "samples a calibration run (default 1)", false},
    {"per-tensor", 0, NULL, "one scale for a whole weight instead of one a channel", false},
    {"skip", 0, "NODE", "leave this node in float; a name or a pattern such as '*/attn/*'; may be repeated", true},
    CLI_OUTPUT_OPTIONS,
    {"table", 0, NULL, "list every value's range, scale and signal-to-noise ratio", false},
};

static void print_rows(const skive_quantize_report *r) {
    static const char *const heads[] = {"<value", "<kind", "low", "high", "scale", "zero point", "SQNR dB"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_quantize_row *row = &r->rows[i];
        cli_table_cell(t, "%s", row->name);
        cli_table_cell(t, "%s", row->is_parameter ? "weight s8" : "activation u8");
        cli_table_cell(t, "%.5g", row->lo);
        cli_table_cell(t, "%.5g", row->hi);
        cli_table_cell(t, "%.6g", row->scale);
        cli_table_cell(t, "%d", row->zero_point);
        if (isnan(row->sqnr))
            cli_table_cell(t, "%s", "-");
        else
            cli_table_cell(t, "%.1f", row->sqnr);
    }
    cli_table_print(t, stdout);
}

static json_t *report_json(const skive_quantize_report *r) {
    json_t *rows = json_array(), *refused = json_array(), *left = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_quantize_row *row = &r->rows[i];
        json_t *j = json_pack("{s:o, s:b, s:f, s:f, s:f, s:i}", "name", cli_json_text(row->name), "parameter",
                              row->is_parameter, "low", row->lo, "high", row->hi, "scale", row->scale, "zero_point",
                              row->zero_point);
        if (isfinite(row->sqnr)) json_object_set_new(j, "sqnr_db", json_real(row->sqnr));
        json_array_append_new(rows, j);
    }
    for (size_t i = 0; i < r->n_refused; i++) json_array_append_new(refused, cli_json_text(r->refused[i]));
    for (size_t i = 0; i < r->n_left; i++) {
        const skive_quantize_left *l = &r->left[i];
        json_array_append_new(left, json_pack("{s:s, s:o, s:o, s:I, s:I}", "op", l->op, "reason",
                                              cli_json_text(l->reason), "nodes", cli_json_text(l->nodes), "count",
                                              (json_int_t)l->n_nodes, "weights", (json_int_t)l->n_weights));
    }
    return json_pack("{s:o, s:o, s:I, s:o, s:I, s:f}", "values", rows, "left_in_float", left, "quantized_nodes",
                     (json_int_t)r->n_quantized, "refused", refused, "samples", (json_int_t)r->samples, "seconds",
                     r->seconds);
}

static void print_left(const skive_quantize_left *l) {
    char weights[32];
    printf("left in float: %zu %s, %s: %s", l->n_nodes, l->op, l->reason, l->nodes);
    if (l->n_nodes > 3) printf(", ...");
    if (l->n_weights) printf(" (%s weights)", cli_thousands(l->n_weights, weights, sizeof weights));
    putchar('\n');
}

/* What is the matter with the result, for standard error: these lines come whatever --quiet says. */
static void warn(const skive_quantize_report *r) {
    const skive_quantize_trial *other = &r->tried[1];
    double least = INFINITY;
    for (size_t i = 0; i < r->n_outputs; i++) {
        const skive_quantize_output *o = &r->outputs[i];
        if (o->sqnr < least) least = o->sqnr;
        if (o->sqnr < BAD_SQNR)
            fprintf(stderr,
                    "warning: output '%s' is only %.1f dB from the float model (less than %.0f is bad); see --table,\n"
                    "warning: --skip the nodes of the worst values, or calibrate with more and other samples\n",
                    o->name, o->sqnr, BAD_SQNR);
        if (o->agreement < BAD_AGREEMENT)
            fprintf(stderr,
                    "warning: output '%s' gives another answer than the float model for %.1f %% of the samples\n",
                    o->name, 100 * (1 - o->agreement));
    }
    if (r->n_tried > 1 && strcmp(r->calibration, r->tried[0].calibration) == 0 &&
        other->score > r->tried[0].score + BETTER)
        fprintf(stderr, "warning: --calibration %s does better here: %.1f dB a sample instead of %.1f\n",
                other->calibration, other->score, r->tried[0].score);
    else if (r->n_tried == 1 && least < 2 * BAD_SQNR)
        fprintf(stderr, "warning: --calibration auto may do better than %s\n", r->calibration);
    if (r->outlier.name)
        fprintf(stderr,
                "warning: value '%s' was %.6g in calibration sample %lld, far outside the %.4g to %.4g of all others\n",
                r->outlier.name, r->outlier.value, (long long)r->outlier.run, r->outlier.low, r->outlier.high);
}

static void print_quality(const skive_quantize_report *r) {
    for (size_t i = 0; i < r->n_outputs; i++) {
        const skive_quantize_output *o = &r->outputs[i];
        printf("output '%s':", o->name);
        if (!isnan(o->sqnr)) printf(" SQNR %.1f dB", o->sqnr);
        if (!isnan(o->agreement)) printf("%s same answer on %.1f %%", isnan(o->sqnr) ? "" : ",", 100 * o->agreement);
        if (isnan(o->sqnr) && isnan(o->agreement)) printf(" all zero on these samples");
        putchar('\n');
    }
    if (r->held_out)
        printf("(against the float model, on %lld samples held out of the calibration until then)\n",
               (long long)r->check_samples);
    else
        printf("(against the float model, on calibration samples: there were too few to hold any out)\n");
    if (r->worst[0].name) printf("worst values:");
    for (size_t i = 0; i < SKIVE_QUANTIZE_WORST && r->worst[i].name; i++)
        printf("%s %s (%s%.1f dB)", i ? "," : "", r->worst[i].name, r->worst[i].is_parameter ? "weight, " : "",
               r->worst[i].sqnr);
    if (r->worst[0].name) putchar('\n');
    printf("calibration: %s", r->calibration);
    for (size_t i = 0; i < r->n_tried && r->n_tried > 1; i++)
        printf("%s%s %.1f dB a sample", i ? ", " : " (", r->tried[i].calibration, r->tried[i].score);
    printf("%s\n", r->n_tried > 1 ? ")" : "");
}

static void print_report(const cli_args *a, const skive_quantize_report *r, const cli_sizes *before,
                         const cli_sizes *after, const char *output) {
    if (cli_has(a, "table")) print_rows(r);
    printf("quantized %zu nodes with %lld calibration samples in %.1f s\n", r->n_quantized, (long long)r->samples,
           r->seconds);
    print_quality(r);
    for (size_t i = 0; i < r->n_left; i++) print_left(&r->left[i]);
    cli_print_sizes(before, after, output);
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static void add_quality(json_t *j, const skive_quantize_report *r) {
    json_t *outputs = json_array(), *worst = json_array(), *tried = json_array();
    for (size_t i = 0; i < r->n_outputs; i++) {
        const skive_quantize_output *o = &r->outputs[i];
        json_array_append_new(outputs, json_pack("{s:o, s:o, s:o}", "name", cli_json_text(o->name), "sqnr_db",
                                                 number(o->sqnr), "same_answer", number(o->agreement)));
    }
    for (size_t i = 0; i < SKIVE_QUANTIZE_WORST && r->worst[i].name; i++)
        json_array_append_new(worst, json_pack("{s:o, s:o}", "name", cli_json_text(r->worst[i].name), "sqnr_db",
                                               number(r->worst[i].sqnr)));
    for (size_t i = 0; i < r->n_tried; i++)
        json_array_append_new(tried, json_pack("{s:s, s:o}", "calibration", r->tried[i].calibration, "score_db",
                                               number(r->tried[i].score)));
    json_object_set_new(j, "outputs", outputs);
    json_object_set_new(j, "check_samples", json_integer(r->check_samples));
    json_object_set_new(j, "held_out", json_boolean(r->held_out));
    json_object_set_new(j, "worst", worst);
    json_object_set_new(j, "calibration", json_string(r->calibration));
    json_object_set_new(j, "tried", tried);
    if (r->outlier.name)
        json_object_set_new(j, "outlier",
                            json_pack("{s:o, s:f, s:I, s:f, s:f}", "name", cli_json_text(r->outlier.name), "value",
                                      r->outlier.value, "sample", (json_int_t)r->outlier.run, "low", r->outlier.low,
                                      "high", r->outlier.high));
}

enum { MAX_SKIP = 256 };

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL), *output = cli_text(a, "output", NULL), *skip[MAX_SKIP];
    skive_quantize_options o = skive_quantize_options_default();
    skive_quantize_report report = {0};
    skive_dataset *calibration = NULL;
    skive_graph *g = NULL;
    cli_sizes before = {0}, after = {0};
    if (!data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; calibration needs samples");
    if (!output) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; say where the model goes");
    skive_status status = cli_number(a, "percentile", &o.percentile);
    if (status == SKIVE_OK) status = cli_integer(a, "samples", 1, INT64_MAX, &o.samples);
    if (status == SKIVE_OK) status = cli_integer(a, "batch", 1, 100000, &o.batch);
    o.calibration = cli_text(a, "calibration", o.calibration);
    o.per_channel = !cli_has(a, "per-tensor");
    o.n_skip = cli_count(a, "skip");
    if (status == SKIVE_OK && o.n_skip > MAX_SKIP)
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--skip may be given %d times at most", MAX_SKIP);
    for (size_t i = 0; i < o.n_skip && i < MAX_SKIP; i++) skip[i] = cli_text_at(a, "skip", i);
    o.skip = skip;
    if (status == SKIVE_OK) status = cli_check_output(a, output);
    if (status == SKIVE_OK) status = cli_load_to_run(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, &g, 1);
    if (status == SKIVE_OK) status = cli_sizes_of(a, a->positional[0], g, &before);
    if (status == SKIVE_OK) status = cli_open_data(a, data, SKIVE_SPLIT_TRAIN, &calibration);
    if (status == SKIVE_OK) status = skive_quantize(a->ctx, g, calibration, &o, &report);
    if (status == SKIVE_OK) status = cli_save(a, g, output);
    if (status == SKIVE_OK) status = cli_sizes_of(a, output, g, &after);
    if (status == SKIVE_OK) {
        warn(&report);
        if (a->json) {
            json_t *j = report_json(&report);
            add_quality(j, &report);
            cli_set_sizes(j, &before, &after);
            cli_print_json(j);
        } else {
            print_report(a, &report, &before, &after, output);
        }
    }
    skive_quantize_report_free(a->ctx, &report);
    skive_dataset_free(calibration);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_quantize = {
    .name = "quantize",
    .brief = "turn weights and activations into 8-bit integers",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Activations become asymmetric u8 with ranges chosen on calibration samples of the training set, weights "
        "symmetric\n"
        "s8 with a scale a channel, biases s32. The result is standard ONNX with QuantizeLinear and DequantizeLinear.\n"
        "Calibration chooses the range of each activation: minmax takes all that was seen, percentile cuts off the "
        "rare "
        "ends,\n"
        "mse makes the squared rounding error smallest, entropy the loss of information (Kullback-Leibler).",
    .examples = "  skive quantize student.onnx --data fashion-mnist --calibration entropy -o int8.onnx",
    .run = run,
};
