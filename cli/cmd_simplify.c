/* skive simplify: rewrites that keep a model's results, checked by running it before and after. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <skive/input.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "the model to write", false},
    CLI_DRY_RUN_OPTION,
    {"list", 0, NULL, "list the passes and exit", false},
    {"batch", 'b', "N", "batch size of the check, if the model leaves it open (default 1)", false},
    {"shape", 0, "INPUT=DIMS", "an input's dimensions in the check; may be repeated", true},
    {"features-in-graph", 0, NULL, "first put the features of sounds into the model, which then takes samples", false},
    {"no-check", 0, NULL, "do not compare the outputs of both models", false},
    {"tolerance", 0, "T",
     "largest allowed difference of the outputs, relative to their largest value (default 1e-4; with float16 in the "
     "model 0.01, with bfloat16 0.05)",
     false},
};

enum { RUNS = 2 };

static skive_status print_list(cli_args *a) {
    cli_table *t = cli_table_new((const char *const[]){"<pass", "<runs", "<what it does"}, 3);
    skive_status status = SKIVE_OK;
    for (size_t i = 0; status == SKIVE_OK && i < skive_pass_count(); i++) {
        skive_pass_info p;
        status = skive_pass_get(a->ctx, i, &p);
        if (status != SKIVE_OK) break;
        cli_table_cell(t, "%s", p.name);
        cli_table_cell(t, "%s", p.on_request ? "when named" : "always");
        cli_table_cell(t, "%s", p.brief);
    }
    cli_table_print(t, stdout);
    return status;
}

typedef struct difference {
    double most, largest; /* of the outputs: difference, magnitude */
    bool broken;          /* one is NaN or infinite where the other is a number */
    json_t *left;         /* nodes of the result that depend on data */
} difference;

static void hold(const skive_tensor *x, const skive_tensor *y, difference *d) {
    if (skive_tensor_count(x) != skive_tensor_count(y)) d->broken = true;
    for (int64_t i = 0; i < skive_tensor_count(x) && i < skive_tensor_count(y); i++) {
        const char *text = skive_tensor_string(x, i), *other = skive_tensor_string(y, i);
        if (text || other) d->broken = d->broken || !text || !other || strcmp(text, other) != 0;
        const double p = skive_tensor_get(x, i), q = skive_tensor_get(y, i);
        if (p == q || (isnan(p) && isnan(q))) continue;
        if (!isfinite(p) || !isfinite(q)) d->broken = true;
        d->most = fmax(d->most, fabs(p - q));
        d->largest = fmax(d->largest, fmax(fabs(p), fabs(q)));
    }
}

static skive_status run_both(cli_args *a, skive_session *const sessions[2], const skive_graph *g, int64_t batch,
                             uint64_t seed, difference *d) {
    const size_t n_in = skive_graph_input_count(g), n_out = skive_graph_output_count(g);
    skive_tensor *in = calloc(n_in + 1, sizeof *in), *out = calloc(2 * n_out + 1, sizeof *out);
    skive_status status = in && out ? cli_random_inputs(a, g, batch, seed, in) : SKIVE_ERR_MEMORY;
    for (size_t k = 0; k < 2 && status == SKIVE_OK; k++)
        status = skive_session_run(sessions[k], in, n_in, out + k * n_out, n_out);
    for (size_t i = 0; i < n_out && status == SKIVE_OK; i++) hold(&out[i], &out[n_out + i], d);
    for (size_t i = 0; in && i < n_in; i++) skive_tensor_free(a->ctx, &in[i]);
    for (size_t i = 0; out && i < 2 * n_out; i++) skive_tensor_free(a->ctx, &out[i]);
    free(in);
    free(out);
    return status;
}

/* The original model is run without fusion: a plan rewrites nodes too, which would hide an error of the passes. */
static skive_status check(cli_args *a, const skive_graph *before, const skive_graph *after, difference *d) {
    skive_session_options node_by_node = skive_session_options_default();
    skive_session *sessions[2] = {NULL, NULL};
    int64_t batch = 1;
    node_by_node.no_fusion = true;
    skive_status status = cli_integer(a, "batch", 1, 1000000, &batch);
    if (status == SKIVE_OK) status = skive_session_create(a->ctx, before, &node_by_node, &sessions[0]);
    if (status == SKIVE_OK) status = skive_session_create(a->ctx, after, NULL, &sessions[1]);
    for (uint64_t r = 0; status == SKIVE_OK && r < RUNS; r++)
        status = run_both(a, sessions, before, batch, 1 + 1000 * r, d);
    if (status == SKIVE_OK) d->left = cli_left_by_plans(sessions[1]);
    for (int k = 0; k < 2; k++) skive_session_free(sessions[k]);
    return status;
}

static void print_report(const skive_simplify_report *r) {
    cli_table *t = cli_table_new((const char *const[]){"<pass", "rewritten", "nodes", "bytes of parameters"}, 4);
    char x[32];
    for (size_t i = 0; i < r->n_steps; i++) {
        const skive_simplify_step *s = &r->steps[i];
        cli_table_cell(t, "%s", s->pass);
        cli_table_cell(t, "%zu", s->rewritten);
        cli_table_cell(t, "%+lld", (long long)s->nodes_after - (long long)s->nodes_before);
        cli_table_cell(t, "%s", cli_thousands(s->bytes_after - s->bytes_before, x, sizeof x));
    }
    cli_table_print(t, stdout);
    cli_part("\nnodes %zu -> %zu, parameters %s", r->nodes_before, r->nodes_after,
             cli_thousands(r->bytes_before, x, sizeof x));
    cli_printf(" -> %s bytes", cli_thousands(r->bytes_after, x, sizeof x));
}

static json_t *report_json(const skive_simplify_report *r, bool checked, const difference *d) {
    json_t *steps = json_array(), *left = d->left ? json_incref(d->left) : json_array();
    for (size_t i = 0; i < r->n_steps; i++) {
        const skive_simplify_step *s = &r->steps[i];
        json_array_append_new(steps,
                              json_pack("{s:s, s:I, s:I, s:I}", "pass", s->pass, "rewritten", (json_int_t)s->rewritten,
                                        "nodes", (json_int_t)s->nodes_after - (json_int_t)s->nodes_before, "bytes",
                                        (json_int_t)(s->bytes_after - s->bytes_before)));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "nodes_before", (json_int_t)r->nodes_before, "nodes_after",
                     (json_int_t)r->nodes_after, "bytes_before", (json_int_t)r->bytes_before, "bytes_after",
                     (json_int_t)r->bytes_after, "passes", steps, "max_difference",
                     checked ? json_real(d->most) : json_null(), "left", left);
}

/* The model node by node rounds each result to its type; kernels round only what is asked for under its name. */
static double usual_tolerance(const skive_graph *g) {
    double t = 1e-4;
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        const skive_dtype d = skive_value_type(skive_graph_value(g, i))->dtype;
        t = fmax(t, d == SKIVE_BF16 ? 5e-2 : d == SKIVE_F16 ? 1e-2 : 0);
    }
    return t;
}

static skive_status simplify(cli_args *a, const char *output, skive_graph *g, const skive_graph *before) {
    skive_options *given = NULL;
    skive_simplify_report r;
    difference d = {0};
    double tolerance = usual_tolerance(before);
    const bool checked = !cli_has(a, "no-check");
    skive_status status = cli_number_in(a, "tolerance", 0, 1e30, &tolerance);
    if (status == SKIVE_OK) status = cli_method_options(a, &given);
    if (status == SKIVE_OK) status = cli_check_effects(a, given);
    if (status == SKIVE_OK) status = skive_simplify(a->ctx, g, skive_options_simplify(given), &r);
    if (status == SKIVE_OK && checked) status = check(a, before, g, &d);
    if (status == SKIVE_OK && checked && d.broken)
        status = cli_fail(a, SKIVE_ERR_NUMERIC,
                          "only one of the two models gives NaN or infinity, or they give different numbers of values; "
                          "nothing was written");
    if (status == SKIVE_OK && checked && d.most > tolerance * fmax(d.largest, 1e-30))
        status = cli_fail(a, SKIVE_ERR_NUMERIC, "the simplified model's outputs differ by %.3g; nothing was written",
                          d.most);
    const bool dry = cli_has(a, "dry-run");
    if (status == SKIVE_OK && !dry) status = cli_save(a, g, output);
    if (status == SKIVE_OK && a->json) {
        json_t *j = report_json(&r, checked, &d);
        if (dry) json_object_set_new(j, "dry_run", json_true());
        cli_print_json(j);
    } else if (status == SKIVE_OK && !a->quiet) {
        print_report(&r);
        cli_print_left(d.left, "unchanged");
        if (checked) cli_printf("outputs on %d random inputs differ by %.3g at most", RUNS, d.most);
        if (dry) cli_print_dry_run();
    }
    json_decref(d.left);
    skive_options_free(given);
    return status;
}

static skive_status run(cli_args *a) {
    skive_graph *g = NULL, *before = NULL;
    if (cli_has(a, "list")) return print_list(a);
    const char *output = cli_text(a, "output", NULL);
    if (a->n_positional != 1) return cli_fail(a, SKIVE_ERR_ARGUMENT, "simplify needs a MODEL");
    const bool dry = cli_has(a, "dry-run");
    if (!output && !dry) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; name the file to write");
    skive_status status = dry ? SKIVE_OK : cli_check_output(a, output);
    if (status == SKIVE_OK) status = cli_load(a, a->positional[0], &g);
    if (status == SKIVE_OK) cli_tell_training_mode(a, g);
    if (status == SKIVE_OK && cli_has(a, "features-in-graph")) status = skive_model_features_in_graph(a->ctx, g);
    if (status == SKIVE_OK) status = skive_graph_copy(a->ctx, g, &before);
    if (status == SKIVE_OK) status = simplify(a, output, g, before);
    skive_graph_free(before);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_simplify = {
    .name = "simplify",
    .brief = "rewrite a model into fewer nodes with the same result",
    .positional = "MODEL",
    .min_positional = 0,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "simplify",
    .details =
        "Folds constants, merges nodes that compute the same, removes nodes that change nothing, and replaces the\n"
        "arithmetic that LayerNormalization, Gelu and HardSwish were exported as by these operators. The result is\n"
        "standard ONNX of the opset its nodes need. Both models are run on random inputs, and nothing is written\n"
        "if their outputs differ. BatchNormalization is folded into weights only if fold-batchnorm is named.\n"
        "With --features-in-graph, a model that was trained on features of sounds gets them as nodes and takes the\n"
        "samples themselves.",
    .examples = "  skive simplify encoder.onnx -o simple.onnx --shape x=1,128,256\n"
                "  skive simplify --list",
    .run = run,
};
