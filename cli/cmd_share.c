/* skive share: few values for many weights, by k-means, by hash or by tying. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "the model with shared weights to write, as ONNX", false},
    {"only", 0, "PARAMETER", "share only this parameter; may be repeated", true},
    {"skip", 0, "PARAMETER", "do not share this parameter; may be repeated", true},
    {"hash", 0, "RATIO",
     "hash Gemm weights instead: 64 or 1/64 is one value for 64 weights, 5% are the values that remain", false},
    {"tie", 0, "A=B", "make parameter B the same as A; may be repeated", true},
    {"data", 'd', "SET", "data set for fine-tuning, and for what an error harms with --bytes and --max-drop", false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TRAIN_OPTIONS,
};

/* ---- output ---- */

static void add_row(cli_table *t, const skive_share_layer *l) {
    char text[32];
    cli_table_cell(t, "%s", l->node);
    cli_table_cell(t, "%s", l->parameter);
    cli_table_cell(t, "%s", cli_thousands(l->count, text, sizeof text));
    if (l->refused) {
        for (int i = 0; i < 5; i++) cli_table_cell(t, "%s", "-");
        cli_table_cell(t, "refused: %s", l->refused);
        return;
    }
    cli_table_cell(t, "%s", cli_thousands(l->distinct, text, sizeof text));
    cli_table_cell(t, "%s", cli_thousands(l->centroids, text, sizeof text));
    cli_table_cell(t, "%d", l->bits);
    if (isnan(l->entropy))
        cli_table_cell(t, "%s", "-");
    else
        cli_table_cell(t, "%.3f", l->entropy);
    cli_table_cell(t, "%.3g", l->mse);
    cli_table_cell(t, "%s", cli_thousands(l->bytes, text, sizeof text));
}

/* What a budget has chosen, and the limit on the loss decided. */
static void print_choice(const skive_share_report *r) {
    char text[32];
    if (!(r->budget > 0)) return;
    cli_printf("bits chosen for %s: sum of harms %.4g%s", cli_bytes(r->budget, text, sizeof text), r->allocation.harm,
               r->allocation.exact ? ", the least possible" : "");
    cli_print_control(&r->control, SKIVE_SHARE_LEVELS, "fewest bits");
}

static void print_report(const skive_share_report *r) {
    static const char *const heads[] = {"<layer", "<parameter", "weights", "distinct", "values",
                                        "bits",   "entropy",    "MSE",     "bytes"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char text[32];
    for (size_t i = 0; i < r->n_layers; i++) add_row(t, &r->layers[i]);
    cli_table_rule(t);
    cli_table_cell(t, "all");
    cli_table_cell(t, "%s", "");
    cli_table_cell(t, "%s", cli_thousands(r->count, text, sizeof text));
    for (int i = 0; i < 5; i++) cli_table_cell(t, "%s", "");
    cli_table_cell(t, "%s", cli_thousands(r->bytes, text, sizeof text));
    cli_table_print(t, stdout);
    print_choice(r);
}

static json_t *layer_json(const skive_share_layer *l) {
    json_t *row = json_pack("{s:o, s:o, s:I}", "node", cli_json_text(l->node), "parameter", cli_json_text(l->parameter),
                            "weights", (json_int_t)l->count);
    if (l->refused) {
        json_object_set_new(row, "refused", cli_json_text(l->refused));
        return row;
    }
    json_object_set_new(row, "distinct", json_integer(l->distinct));
    json_object_set_new(row, "values", json_integer(l->centroids));
    json_object_set_new(row, "bits", json_integer(l->bits));
    json_object_set_new(row, "entropy", isnan(l->entropy) ? json_null() : json_real(l->entropy));
    json_object_set_new(row, "mse", json_real(l->mse));
    json_object_set_new(row, "bytes", json_integer(l->bytes));
    if (!isnan(l->harm)) json_object_set_new(row, "harm", json_real(l->harm));
    return row;
}

static json_t *report_json(const skive_share_report *r) {
    json_t *layers = json_array();
    for (size_t i = 0; i < r->n_layers; i++) json_array_append_new(layers, layer_json(&r->layers[i]));
    json_t *j = json_pack("{s:o, s:I, s:I, s:o}", "layers", layers, "weights", (json_int_t)r->count, "shared_bytes",
                          (json_int_t)r->bytes, "training", cli_train_json(&r->training));
    if (r->budget > 0) {
        json_object_set_new(j, "budget", json_real(r->budget));
        json_object_set_new(j, "harm", json_real(r->allocation.harm));
        json_object_set_new(j, "exact", json_boolean(r->allocation.exact));
    }
    if (r->control.n_trials) json_object_set_new(j, "control", cli_control_json(&r->control, SKIVE_SHARE_LEVELS));
    return j;
}

static void print_advice(const skive_share_options *o, const skive_share_report *r, const char *output) {
    char text[32];
    const char *shared = cli_bytes((double)r->bytes, text, sizeof text);
    if (!r->n_layers || skive_pack_is_packed(output)) return;
    if (o->plain)
        cli_printf("The file contains the dense weights.");
    else if (o->hash > 0)
        cli_printf("ONNX has no hashing, so the file stores an index for each weight; without indices, as skive pack "
                   "stores them, the weights take %s.",
                   shared);
    else
        cli_printf("The file has one byte per weight; at the bits above, the shared weights take %s, and skive pack "
                   "compresses them further.",
                   shared);
}

/* ---- arguments ---- */

enum { MAX_NAMES = 256 };

static skive_status names(cli_args *a, const char *option, const char **out, size_t *n) {
    *n = cli_count(a, option);
    if (*n > MAX_NAMES) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s may be given %d times at most", option, MAX_NAMES);
    for (size_t i = 0; i < *n; i++) out[i] = cli_text_at(a, option, i);
    return SKIVE_OK;
}

/* "64" and "1/64" are the same, and as what remains also a number below 1, or a percentage: "0.25" and "25%" are 4. */
static skive_status ratio(cli_args *a, double *out) {
    const char *text = cli_text(a, "hash", NULL);
    char *end = NULL;
    if (!text) return SKIVE_OK;
    const char *number = strncmp(text, "1/", 2) == 0 ? text + 2 : text;
    *out = strtod(number, &end);
    const bool percent = end != number && *end == '%';
    if (percent) *out /= 100;
    if (end == number || end[percent] != '\0' || !(*out > 0) || (percent && *out > 1))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--hash '%s' is not a ratio; 64 or 1/64 is one value for 64 weights",
                        text);
    if (number == text && *out < 1) *out = 1 / *out;
    return SKIVE_OK;
}

typedef struct sharing {
    const char *only[MAX_NAMES], *skip[MAX_NAMES];
    skive_share_report report;
} sharing;

static skive_status settings(cli_job *j) {
    cli_args *a = j->a;
    sharing *s = j->own;
    skive_share_options *o = skive_options_share(j->options);
    /* For sgd, whose steps grow with the number of weights that share a value; adam's do not. */
    if (!skive_options_is_set(j->options, "train.lr") && strncmp(j->how->optimizer, "adam", 4) != 0)
        j->how->learning_rate = 0.0001;
    skive_status status = ratio(a, &o->hash);
    if (status == SKIVE_OK) status = names(a, "only", s->only, &o->n_only);
    if (status == SKIVE_OK) status = names(a, "skip", s->skip, &o->n_skip);
    o->only = s->only;
    o->skip = s->skip;
    o->seed = skive_context_seed(a->ctx);
    o->dry_run = j->dry;
    return status;
}

static skive_status tie(cli_args *a, skive_graph *g) {
    for (size_t i = 0; i < cli_count(a, "tie"); i++) {
        char first[512];
        const char *text = cli_text_at(a, "tie", i), *equal = strchr(text, '=');
        if (!equal || equal == text || !equal[1] || (size_t)(equal - text) >= sizeof first)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--tie '%s' is not of the form A=B", text);
        memcpy(first, text, (size_t)(equal - text));
        first[equal - text] = '\0';
        const skive_status status = skive_share_tie(a->ctx, g, first, equal + 1);
        if (status != SKIVE_OK) return status;
    }
    return SKIVE_OK;
}

/* Is --tie the only method asked for? Each option of the others asks for them. */
static bool only_ties(const cli_args *a) {
    static const char *const others[] = {"bits",  "hash", "one-codebook", "init",  "no-keep-zero",
                                         "plain", "only", "skip",         "bytes", "max-drop"};
    bool only = cli_has(a, "tie");
    for (size_t i = 0; i < CLI_COUNT(others); i++) only = only && !cli_has(a, others[i]);
    return only;
}

/* ---- the command ---- */

static skive_status open_all(cli_job *j) {
    const skive_share_options *o = skive_options_share(j->options);
    if (o->max_drop >= 0 && !cli_has(j->a, "data") && !j->dry)
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--max-drop needs labelled samples: give --data SET");
    const bool chooses = (o->bytes || o->max_drop >= 0) && cli_has(j->a, "data");
    const skive_status status = cli_job_load(j, j->how->epochs > 0 || chooses);
    return status == SKIVE_OK ? cli_job_open_rest(j) : status;
}

static skive_status work(cli_job *j) {
    cli_args *a = j->a;
    sharing *s = j->own;
    const skive_status status = tie(a, j->graph);
    if (status != SKIVE_OK) return status;
    if (!only_ties(a))
        return skive_share(a->ctx, j->graph, j->train, j->validation, skive_options_share(j->options), &s->report);
    if (j->how->epochs < 1 || j->dry) return SKIVE_OK;
    return skive_train(a->ctx, j->graph, j->train, j->validation, j->how, NULL, 0, &s->report.training);
}

static const skive_share_report *report_of(const cli_job *j) { return &((const sharing *)j->own)->report; }
static json_t *json(const cli_job *j) { return report_json(report_of(j)); }
static void print(const cli_job *j) {
    if (report_of(j)->n_layers) print_report(report_of(j));
}
static void tell_plan(const cli_args *a, const skive_share_report *r) {
    char x[32], y[32];
    if (a->json) {
        json_t *j = report_json(r);
        json_object_set_new(j, "dry_run", json_true());
        cli_print_json(j);
        return;
    }
    if (r->n_layers) print_report(r);
    cli_printf("indices and codebooks would take %s, now %s, by the weights as they are before any fine-tuning",
               cli_bytes((double)r->bytes, x, sizeof x), cli_bytes(4.0 * (double)r->count, y, sizeof y));
    cli_print_dry_run();
}

static skive_status plan(cli_job *j) {
    tell_plan(j->a, report_of(j));
    return SKIVE_OK;
}
static void advise(const cli_job *j) { print_advice(skive_options_share(j->options), report_of(j), j->output); }

static skive_status run(cli_args *a) {
    static const cli_work steps = {.finetunes = true,
                                   .settings = settings,
                                   .open = open_all,
                                   .run = work,
                                   .plan = plan,
                                   .json = json,
                                   .print = print,
                                   .advise = advise};
    sharing s = {0};
    cli_job j = {.own = &s, .training = &s.report.training};
    const skive_status status = cli_job_run(a, &steps, &j);
    skive_share_report_free(a->ctx, &s.report);
    return status;
}

const cli_command cli_command_share = {
    .name = "share",
    .brief = "cluster weights into a few shared values",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "share",
    .finetunes = true,
    .hidden = {"max-iterations", "find-lr", "find-lr-steps"},
    .details =
        "The weights of each layer are clustered to 2^bits values, which --finetune then trains.\n"
        "The file stores a codebook and one byte per weight (standard ONNX: Gather and Cast), or dense weights with\n"
        "--plain. Zeros stay exactly zero. With --bytes each layer gets the bits with which the shared weights fit at\n"
        "the least harm; with --max-drop as few bits as lose at most so many points on the validation split of "
        "--data;\n"
        "with both, as much of the way to the budget. With --hash, a hash of a weight's position selects its value.\n"
        "--tie A=B makes two parameters one; given alone, nothing else is changed.",
    .examples = "  skive share student.onnx --bits 4 --data fashion-mnist --finetune 2 -o shared.onnx\n"
                "  skive share student.onnx --bytes 0.1 --data fashion-mnist -o shared.onnx\n"
                "  skive share student.onnx --max-drop 0.5 --data fashion-mnist -o shared.onnx\n"
                "  skive share pruned.onnx --bits 5 --init density -o shared.onnx\n"
                "  skive share mlp.onnx --hash 1/64 --data fashion-mnist --finetune 10 -o hashed.onnx",
    .saves = true,
    .run = run,
};
