/* skive quantize: static INT8, dynamic INT8, or weights alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"data", 'd', "SET",
     "data set; its training samples are used for calibration; none: ranges from the statistics of BatchNormalization",
     false},
    {"input", 'i', "[NAME=]FILE.npy",
     "calibration samples for one input, the first axis being the sample; for models with several inputs or without a "
     "data set; may be repeated",
     true},
    {"shape", 0, "INPUT=DIMS", "dimensions that the model leaves open, e.g. x=1,3,224,224; may be repeated", true},
    {"output", 'o', "FILE", "the quantized model to write, as ONNX with QuantizeLinear/DequantizeLinear", false},
    {"dynamic", 0, NULL, "no samples: weights now, activations while the model runs", false},
    {"weights", 0, "GRID",
     "number grid of the weights: int8, int4, int4:32, int8:tensor, f16 ...; without samples only the weights are "
     "quantized",
     false},
    {"to", 0, "TYPE", "no samples: only the weights, as f16 (fp16), bf16, f8e4m3 (fp8), f8e5m2", false},
    {"qat", 0, NULL, "train with rounded weights and activations (quantization-aware training)", false},
    {"teacher", 0, "FILE", "with --qat: the teacher (default: the float model)", false},
    {"per-tensor", 0, NULL, "one scale per weight tensor instead of one per channel", false},
    {"skip", 0, "NODE", "keep this node in float; a name or a pattern such as '*/attn/*'; may be repeated", true},
    {"max-drop", 0, "POINTS",
     "put nodes back to float until the accuracy on the validation split drops by at most this, in percentage points",
     false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TEACHER_INPUT_OPTIONS,
    CLI_TRAIN_OPTIONS,
    {"table", 0, NULL, "list range, scale and signal-to-noise ratio of every value", false},
};

enum { MAX_SKIP = 256 };

/* --data none: static quantization without samples. */
static bool has_no_data(const cli_args *a) { return strcmp(cli_text(a, "data", ""), "none") == 0; }

/* ---- where the samples come from ---- */

static void free_samples(cli_args *a, skive_tensor *samples, size_t n) {
    for (size_t i = 0; samples && i < n; i++) skive_tensor_free(a->ctx, &samples[i]);
    free(samples);
}

static skive_status from_inputs(cli_args *a, skive_graph *g, const skive_quantize_options *o,
                                skive_quantize_report *r) {
    const size_t n = skive_graph_input_count(g);
    skive_tensor *samples = calloc(n + 1, sizeof *samples);
    skive_status status = samples ? cli_set_input(a, g, NULL) : SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = cli_load_samples(a, g, samples);
    if (status == SKIVE_OK) status = skive_quantize_arrays(a->ctx, g, samples, n, o, r);
    free_samples(a, samples, n);
    return status;
}

static skive_status from_data(cli_args *a, skive_graph *g, const char *data, const skive_quantize_options *o,
                              skive_quantize_report *r) {
    skive_dataset *set = NULL;
    skive_status status = cli_open_samples(a, data, SKIVE_SPLIT_TRAIN_FULL, g, &set);
    if (status == SKIVE_OK) status = cli_set_input(a, g, set);
    if (status == SKIVE_OK) status = skive_quantize(a->ctx, g, set, o, r);
    skive_dataset_free(set);
    return status;
}

/* Calibration on the training samples without those held out for validation; the test split only measures the end. */
static skive_status within(cli_args *a, skive_graph *g, const char *data, double max_drop,
                           const skive_quantize_options *o, skive_quantize_report *r, skive_quantize_control *c) {
    skive_dataset *samples = NULL, *validation = NULL, *test = NULL;
    skive_status status = cli_open_samples(a, data, SKIVE_SPLIT_TRAIN, g, &samples);
    if (status == SKIVE_OK) status = cli_open_data(a, data, SKIVE_SPLIT_VALIDATION, g, &validation);
    if (status == SKIVE_OK) status = cli_open_data(a, data, SKIVE_SPLIT_TEST, g, &test);
    if (status == SKIVE_OK) status = cli_set_input(a, g, samples);
    if (status == SKIVE_OK) status = skive_quantize_within(a->ctx, g, samples, validation, test, max_drop, o, r, c);
    skive_dataset_free(samples);
    skive_dataset_free(validation);
    skive_dataset_free(test);
    return status;
}

/* A dry run reads no samples. */
static skive_status no_samples(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    (void)user, (void)index, (void)inputs, (void)n_inputs;
    return SKIVE_ERR_NOT_FOUND;
}

static skive_status calibrate(cli_args *a, skive_graph *g, const skive_bits_options *b, skive_quantize_options *o,
                              skive_quantize_report *r, skive_quantize_control *c, skive_bits_report *bits) {
    const char *data = cli_text(a, "data", NULL);
    double max_drop = 0;
    cli_shapes shapes;
    skive_status status = cli_parse_shapes(a, &shapes);
    if (status != SKIVE_OK) return status;
    o->shapes = shapes.items;
    o->n_shapes = shapes.n;
    if (cli_has(a, "max-drop")) status = cli_number_in(a, "max-drop", 0, 100, &max_drop);
    if (status == SKIVE_OK)
        status = cli_quantize_has_budget(a) ? cli_quantize_bits(a, g, b, o, r, bits)
                 : o->dry_run               ? skive_quantize_feed(a->ctx, g, no_samples, NULL, o, r)
                 : has_no_data(a)           ? skive_quantize_data_free(a->ctx, g, o, r)
                 : cli_has(a, "max-drop")   ? within(a, g, data, max_drop, o, r, c)
                 : cli_has(a, "input")      ? from_inputs(a, g, o, r)
                                            : from_data(a, g, data, o, r);
    cli_free_shapes(&shapes);
    return status;
}

/* The model itself says it. */
static bool by_shifts(const skive_graph *g) {
    const char *form = skive_graph_meta(g, "skive.multipliers");
    return form && strcmp(form, "shift") == 0;
}

static void tell_plan(const cli_args *a, const skive_quantize_report *r, const cli_sizes *before) {
    char x[32], y[32];
    if (a->json) {
        json_t *j = cli_quantize_json(r);
        json_object_set_new(j, "dry_run", json_true());
        json_object_set_new(j, "weight_bytes_before", json_integer(before->weights));
        json_object_set_new(j, "weight_bytes", json_integer(r->expected_bytes));
        cli_print_json(j);
        return;
    }
    cli_quantize_print_plan(r, has_no_data(a));
    cli_printf("weights would take %s, now %s", cli_bytes((double)r->expected_bytes, x, sizeof x),
               cli_bytes((double)before->weights, y, sizeof y));
    cli_print_dry_run();
}

/* ---- without samples ---- */

static const char *grid_of(const cli_args *a) {
    static const char *const names[][2] = {
        {"fp16", "f16"}, {"float16", "f16"}, {"bfloat16", "bf16"}, {"fp8", "f8e4m3"}};
    const char *to = cli_text(a, "to", NULL);
    for (size_t i = 0; to && i < CLI_COUNT(names); i++)
        if (strcmp(to, names[i][0]) == 0) return names[i][1];
    return to ? to : cli_text(a, "weights", NULL);
}

static skive_status check_no_data(cli_args *a) {
    static const char *const sampled[] = {
        "max-drop", "calibration",   "samples", "quantize-batch", "bytes",    "bit-operations",
        "latency",  "layer-samples", "resize",  "center-crop",    "skip-bad", "class-order",
        "targets",  "mean",          "std",     "scale",          "layout",   "batch"};
    static const char *const range[] = {"input-low", "input-high"};
    for (size_t i = 0; has_no_data(a) && i < CLI_COUNT(sampled); i++)
        if (cli_has(a, sampled[i]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data none quantizes without samples: --%s has no use",
                            sampled[i]);
    for (size_t i = 0; !has_no_data(a) && i < CLI_COUNT(range); i++)
        if (cli_has(a, range[i]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s is for --data none; samples tell the range themselves",
                            range[i]);
    return SKIVE_OK;
}

static skive_status check_how(cli_args *a, bool *data_free) {
    static const char *const sampled[] = {
        "data",           "input",       "max-drop", "calibration", "samples",         "quantize-batch",
        "shape",          "activations", "equalize", "absorb-bias", "bias-correction", "bytes",
        "bit-operations", "latency",     "smooth",   "rounding",    "layer-samples",   "for",
        "multiplier",     "input-type",  "batch",    "table"};
    /* With samples --weights is the grid of static quantization. */
    const bool weights = cli_has(a, "weights") && !cli_has(a, "data") && !cli_has(a, "input") && !cli_has(a, "dynamic");
    const int ways = cli_has(a, "dynamic") + weights + cli_has(a, "to");
    *data_free = ways > 0;
    if (ways > 1)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "only one of %s and --to can be given",
                        cli_has(a, "dynamic") ? "--dynamic" : "--weights");
    for (size_t i = 0; ways && i < CLI_COUNT(sampled); i++) {
        if (!cli_has(a, sampled[i])) continue;
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s quantizes without samples: --%s has no use",
                        cli_has(a, "dynamic") ? "dynamic"
                        : cli_has(a, "to")    ? "to"
                                              : "weights without --data",
                        sampled[i]);
    }
    if (ways && !cli_has(a, "dynamic") && cli_has(a, "no-slower"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--%s: the model computes in float32 as before, and --no-slower has no use; it is for --data, "
                        "--input and --dynamic",
                        cli_has(a, "to") ? "to" : "weights without --data");
    return SKIVE_OK;
}

/* --per-tensor where the grids say by themselves what has one scale. */
static skive_status check_per_tensor(cli_args *a, bool data_free) {
    const char *grid = cli_text(a, "weights", ""), *given = strpbrk(grid, ":,");
    const int n = (int)strcspn(grid, ":,");
    if (!cli_has(a, "per-tensor")) return SKIVE_OK;
    if (given && (strstr(given, "channel") || strpbrk(given, "0123456789")))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--per-tensor contradicts --weights %s: write --weights %.*s:tensor, or "
                        "leave --per-tensor out",
                        grid, n, grid);
    if (data_free && cli_has(a, "weights") && !cli_has(a, "dynamic") && !strstr(grid, "tensor"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--per-tensor has no effect on weights without samples: write "
                        "--weights %.*s:tensor%s%s",
                        n, grid, given ? "," : "", given ? given + 1 : "");
    if (cli_has(a, "to"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--per-tensor has no effect with --to: write the grid as in --weights "
                        "int8:tensor");
    if (cli_quantize_has_budget(a))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--per-tensor has no effect under a budget: write the grids as in --grids "
                        "int8:tensor,int4:tensor");
    return SKIVE_OK;
}

static skive_status check_layer_samples(cli_args *a, const skive_quantize_options *o) {
    const bool rounds = o->rounding && strcmp(o->rounding, "nearest") != 0;
    const bool corrects = o->bias_correction && strcmp(o->bias_correction, "empirical") == 0;
    if (!cli_has(a, "layer-samples") || o->smooth || rounds || corrects) return SKIVE_OK;
    return cli_fail(
        a, SKIVE_ERR_ARGUMENT,
        "--layer-samples is for what is done layer by layer: it needs --smooth, --bias-correction empirical "
        "or a --rounding other than nearest");
}

static void print_data_free(const cli_args *a, const skive_quantize_report *r) {
    static const char *const heads[] = {"<weights", "SQNR dB"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char name[CLI_SHORT];
    for (size_t i = 0; i < r->n_rows; i++) {
        cli_table_cell(t, "%s", cli_short(r->rows[i].name, name, sizeof name));
        if (isfinite(r->rows[i].sqnr))
            cli_table_cell(t, "%.1f", r->rows[i].sqnr);
        else
            cli_table_cell(t, "%s", "exact");
    }
    cli_table_print(t, stdout);
    const bool all = r->n_rows == 0 || strcmp(r->rows[0].grid, "int8") == 0;
    if (cli_has(a, "dynamic"))
        cli_printf("quantized %zu node%s in %.1f s: weights to %s%s, their inputs to u8 with the range of each run",
                   r->n_quantized, r->n_quantized == 1 ? "" : "s", r->seconds,
                   all ? "s8" : r->rows[0].grid + strlen("int"), all ? "" : " bits");
    else
        cli_printf("quantized %zu weight%s in %.1f s; the model computes in float32, as fast as before", r->n_quantized,
                   r->n_quantized == 1 ? "" : "s", r->seconds);
    cli_quantize_print_left(r);
}

static skive_status without_samples(cli_args *a, skive_graph *g, const skive_quantize_options *o, const char *output,
                                    const cli_sizes *before) {
    skive_quantize_report report = {0};
    cli_sizes after = {0};
    const char *grid = cli_has(a, "dynamic") ? NULL : grid_of(a);
    skive_status status =
        grid ? skive_quantize_weights(a->ctx, g, grid, o, &report) : skive_quantize_dynamic(a->ctx, g, o, &report);
    if (status == SKIVE_OK && !o->dry_run) status = cli_save(a, g, output);
    if (status == SKIVE_OK && !o->dry_run) status = cli_sizes_of(a, output, g, &after);
    if (status == SKIVE_OK && a->json) {
        json_t *j = cli_quantize_json(&report);
        if (o->dry_run)
            json_object_set_new(j, "dry_run", json_true());
        else
            cli_set_sizes(j, before, &after);
        json_object_set_new(j, "expected_weight_bytes", json_integer(report.expected_bytes));
        cli_print_json(j);
    } else if (status == SKIVE_OK) {
        cli_quantize_warn(&report);
        print_data_free(a, &report);
        if (o->dry_run)
            cli_print_dry_run();
        else
            cli_print_sizes(before, &after, output);
    }
    skive_quantize_report_free(a->ctx, &report);
    return status;
}

static skive_status run(cli_args *a) {
    const char *output = cli_text(a, "output", NULL), *skip[MAX_SKIP];
    skive_options *given = NULL;
    skive_quantize_options o = skive_quantize_options_default();
    skive_quantize_report report = {0};
    skive_quantize_control control = {0};
    skive_bits_report bits = {0};
    skive_graph *g = NULL;
    cli_sizes before = {0}, after = {0};
    const bool dry = cli_has(a, "dry-run");
    bool data_free;
    if (cli_has(a, "qat") && cli_has(a, "for"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--for applies to quantization after training: it cannot be combined with --qat");
    if (cli_has(a, "qat") && cli_quantize_has_budget(a))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--qat and a budget of bytes, bit operations or latency cannot be combined");
    if (cli_has(a, "qat") && check_per_tensor(a, false) != SKIVE_OK) return SKIVE_ERR_ARGUMENT;
    if (cli_has(a, "qat")) return cli_quantize_aware(a);
    if (cli_quantize_check_plain(a) != SKIVE_OK) return SKIVE_ERR_ARGUMENT;
    const skive_status how = check_how(a, &data_free);
    if (how != SKIVE_OK || check_no_data(a) != SKIVE_OK || check_per_tensor(a, data_free) != SKIVE_OK)
        return SKIVE_ERR_ARGUMENT;
    if (!data_free && cli_has(a, "data") == cli_has(a, "input") && (cli_has(a, "data") || !dry))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        cli_has(a, "data") ? "--data and --input cannot be combined"
                                           : "--data is missing; calibration needs samples: give --data SET, or "
                                             "--input NAME=FILE.npy for each input; --dynamic and --weights need "
                                             "none");
    if (cli_has(a, "max-drop") && !cli_has(a, "data") && !dry)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--max-drop needs labelled samples: give --data SET");
    if (!output && !dry) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; name the file to write");
    skive_status status = cli_method_options(a, &given);
    if (status == SKIVE_OK) status = cli_check_effects(a, given);
    /* Without --qat there is no training whose batch could be meant. */
    if (status == SKIVE_OK && cli_has(a, "batch") && cli_has(a, "quantize-batch"))
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "without --qat, --batch is the same as --quantize-batch: give one");
    if (status == SKIVE_OK && cli_has(a, "batch"))
        status = skive_options_set(given, "quantize.batch", cli_text(a, "batch", NULL));
    if (status == SKIVE_OK) o = *skive_options_quantize(given);
    if (status == SKIVE_OK) status = check_layer_samples(a, &o);
    o.dry_run = dry;
    o.per_channel = !cli_has(a, "per-tensor");
    if (!data_free || cli_has(a, "dynamic")) o.weights = cli_text(a, "weights", NULL);
    /* Asked for by name, it is not replaced by what the runtime takes: the same grid, written in full. */
    if (cli_has(a, "for") && cli_has(a, "activations") && strcmp(o.activations, "uint8") == 0)
        o.activations = "uint8:asymmetric";
    o.n_skip = cli_count(a, "skip");
    if (status == SKIVE_OK && o.n_skip > MAX_SKIP)
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--skip may be given %d times at most", MAX_SKIP);
    for (size_t i = 0; i < o.n_skip && i < MAX_SKIP; i++) skip[i] = cli_text_at(a, "skip", i);
    o.skip = skip;
    if (status == SKIVE_OK && !o.dry_run) status = cli_check_output(a, output);
    if (status == SKIVE_OK) status = cli_load_to_run(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, &g, 1);
    if (status == SKIVE_OK) status = cli_sizes_as_loaded(a, a->positional[0], g, &before);
    if (status == SKIVE_OK && data_free) {
        status = without_samples(a, g, &o, output, &before);
        skive_graph_free(g);
        skive_options_free(given);
        return status;
    }
    if (status == SKIVE_OK) status = calibrate(a, g, skive_options_bits(given), &o, &report, &control, &bits);
    if (status == SKIVE_OK && o.dry_run && bits.n_layers) cli_quantize_tell_bits(a, &bits);
    if (status == SKIVE_OK && o.dry_run && !bits.n_layers) tell_plan(a, &report, &before);
    if (status == SKIVE_OK && !o.dry_run) status = cli_save(a, g, output);
    if (status == SKIVE_OK && !o.dry_run) status = cli_sizes_of(a, output, g, &after);
    if (status == SKIVE_OK && !o.dry_run) {
        cli_quantize_warn(&report);
        if (a->json) {
            json_t *j = cli_quantize_json(&report);
            if (bits.n_layers) json_object_set_new(j, "bits", cli_quantize_bits_json(&bits));
            if (control.n_layers) json_object_set_new(j, "control", cli_quantize_control_json(&control));
            if (by_shifts(g)) json_object_set_new(j, "multipliers", json_string("shift"));
            cli_set_sizes(j, &before, &after);
            cli_print_json(j);
        } else {
            cli_quantize_print(&report, cli_has(a, "table"));
            if (by_shifts(g))
                cli_printf("scales are powers of two, and sums become 8 bits by a shift, in every run from now "
                           "on");
            if (bits.n_layers) cli_quantize_print_bits(&bits);
            if (control.n_layers) cli_quantize_print_control(&control);
            cli_print_sizes(&before, &after, output);
        }
    }
    if (status == SKIVE_ERR_GOAL && control.n_layers) {
        /* What was tried is the answer: it is printed, and the status says that the limit is missed. */
        if (a->json)
            cli_print_json(cli_quantize_control_json(&control));
        else
            cli_quantize_print_control(&control);
    }
    if (status == SKIVE_ERR_GOAL && bits.n_layers) {
        if (a->json)
            cli_print_json(cli_quantize_bits_json(&bits));
        else
            cli_quantize_print_bits(&bits);
    }
    skive_bits_report_free(a->ctx, &bits);
    skive_quantize_control_free(a->ctx, &control);
    skive_quantize_report_free(a->ctx, &report);
    skive_graph_free(g);
    skive_options_free(given);
    return status;
}

const cli_command cli_command_quantize = {
    .name = "quantize",
    .brief = "convert weights and activations to few bits",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "quantize",
    .hidden = {"per-channel", "find-lr", "find-lr-steps"},
    .details =
        "With --data or --input: activations become asymmetric u8 with ranges chosen on calibration samples of the "
        "training set, "
        "weights symmetric\n"
        "s8 with one scale per channel, biases s32. The result is standard ONNX with QuantizeLinear and "
        "DequantizeLinear.\n"
        "--weights and --activations choose other number grids; weights of 2 to 8 bits with uint8 activations run in\n"
        "integers, other grids in float32 between QuantizeLinear and DequantizeLinear.\n"
        "Calibration chooses the range of each activation: minmax takes the whole observed range, percentile "
        "clips rare\n"
        "extremes, mse minimises the squared rounding error, entropy the loss of information "
        "(Kullback-Leibler). auto takes\n"
        "for each activation the method that harms the outputs least, and minmax for all if that does better on "
        "held-out samples.\n"
        "The signal-to-quantization-noise ratio (SQNR) of the outputs against the float model is printed, with "
        "a warning below 10 dB.\n"
        "With --max-drop, each node's harm by itself is measured; then all nodes are tried, and the most harmful "
        "are put back to\n"
        "float by bisection, each time with the accuracy on the validation split. If not even one node can be "
        "quantized the\n"
        "limit is infeasible: status 11, the best that was found is printed, and nothing is written.\n"
        "--equalize makes the weights of a channel as large where it is computed as where it is read; the function "
        "stays\n"
        "the same. --data none takes ranges from the statistics of BatchNormalization, for models that still have it.\n"
        "With --bytes, --bit-operations or --latency the grid of each weight is chosen from --grids: the harm of each "
        "layer\n"
        "on each grid is measured (as by skive sensitivity), and the exact choice with the least sum of harms within "
        "the\n"
        "budget is taken. The file is never over the budget, and the drop of the result itself is measured and "
        "printed;\n"
        "with --max-drop as many of 24 parts of the way to the budget are gone as lose at most so much, each measured "
        "itself,\n"
        "and what is over the budget is said. If a budget is too small, the smallest that can be reached is named: "
        "status "
        "11.\n"
        "--for names the runtime that is to take the model: onnxruntime takes activations of 8 and 16 bits; tensorrt "
        "int8 activations with "
        "zero\n"
        "point 0 and float biases; tflite and cmsis-nn int8 activations with a zero point, one scale for the weights "
        "of a\n"
        "matrix product, and average pooling that keeps scale and zero point. What a runtime does not take is "
        "refused,\n"
        "or its nodes stay float and are listed.\n"
        "Without samples: --dynamic quantizes matrix products, convolutions and recurrent layers, their inputs while "
        "the model "
        "runs (--weights int7: the same answers in onnxruntime on processors without VNNI); --weights and\n"
        "--to by themselves store only the weights on a grid, and the model computes in float32: smaller, not faster.\n"
        "--qat trains the model with rounded weights and activations for --epochs, and validates it in the integers "
        "that it writes.\n"
        "First and last product have 8 bits unless --first-last same is given; sums and poolings read 8 bits.",
    .examples = "  skive quantize student.onnx --data fashion-mnist -o int8.onnx\n"
                "  skive quantize transformer.onnx --dynamic -o dynamic.onnx\n"
                "  skive quantize student.onnx --data none --equalize --bias-correction analytic -o int8.onnx\n"
                "  skive quantize student.onnx --weights int4:32 -o small.onnx\n"
                "  skive quantize student.onnx --data fashion-mnist --weights int4 -o w4a8.onnx\n"
                "  skive quantize student.onnx --data fashion-mnist --max-drop 0.3 -o int8.onnx\n"
                "  skive quantize student.onnx --data fashion-mnist --qat --epochs 5 --weights int4 \\\n"
                "      --activations uint4 -o q.onnx\n"
                "  skive quantize student.onnx --data fashion-mnist --bytes 60k --grids int8,int4 -o small.onnx\n"
                "  skive quantize two.onnx -i image=images.npy -i meta=meta.npy -o int8.onnx",
    .run = run,
};
