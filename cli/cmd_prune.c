/* skive prune: sets the least important weights to zero, or removes channels, fine-tuning the rest. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "the pruned model to write, as ONNX", false},
    {"data", 'd', "SET", "data set for fine-tuning and for criteria that look at data", false},
    {"layer", 0, "PARAMETER=S", "a separate sparsity for this parameter; may be repeated", true},
    {"shape", 0, "INPUT=DIMS",
     "dimensions that the model leaves open, for the costs of channels, e.g. x=1,3,224,224; may be repeated", true},
    {"skip", 0, "PARAMETER", "do not prune this parameter; may be repeated", true},
    {"structured", 0, NULL, "the same as --granularity channel", false},
    {"teacher", 0, "FILE", "the teacher (default: the model before pruning)", false},
    {"rewind", 0, "FILE", "the same network at an earlier time, to whose weights fine-tuning goes back", false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TEACHER_INPUT_OPTIONS,
    CLI_TRAIN_OPTIONS,
};

static void print_report(const skive_prune_report *r) {
    static const char *const heads[] = {"<layer", "<parameter", "weights", "kept", "sparsity"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char count[32], kept[32];
    for (size_t i = 0; i < r->n_layers; i++) {
        const skive_prune_layer *l = &r->layers[i];
        cli_table_cell(t, "%s", l->node);
        cli_table_cell(t, "%s", l->parameter);
        cli_table_cell(t, "%s", cli_thousands(l->count, count, sizeof count));
        cli_table_cell(t, "%s", cli_thousands(l->kept, kept, sizeof kept));
        if (l->refused)
            cli_table_cell(t, "refused: %s", l->refused);
        else
            cli_table_cell(t, "%.2f %%", l->count ? 100.0 * (1.0 - (double)l->kept / (double)l->count) : 0.0);
    }
    cli_table_rule(t);
    cli_table_cell(t, "all");
    cli_table_cell(t, "%s", "");
    cli_table_cell(t, "%s", cli_thousands(r->count, count, sizeof count));
    cli_table_cell(t, "%s", cli_thousands(r->kept, kept, sizeof kept));
    cli_table_cell(t, "%.2f %%", r->count ? 100.0 * (1.0 - (double)r->kept / (double)r->count) : 0.0);
    cli_table_print(t, stdout);
}

static void print_ratio(cli_table *t, const char *what, double before, double after) {
    if (before > 0 && after > 0)
        cli_table_cell(t, "%.2fx", before / after);
    else
        cli_table_cell(t, "%s", what);
}

static void print_channels(const skive_prune_report *r) {
    static const char *const heads[] = {"<layer", "<parameter", "<channels", "were", "kept"};
    static const char *const sizes[] = {"<", "before", "after", "<"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char x[32], y[32], z[CLI_SHORT];
    for (size_t i = 0; i < r->n_channels; i++) {
        const skive_prune_channels *c = &r->channels[i];
        cli_table_cell(t, "%s", cli_short(c->node, z, sizeof z));
        cli_table_cell(t, "%s", cli_short(c->parameter, z, sizeof z));
        cli_table_cell(t, "%s", c->channels);
        cli_table_cell(t, "%lld", (long long)c->count);
        if (c->why && c->removable == 0)
            cli_table_cell(t, "all: %s", c->why);
        else
            cli_table_cell(t, "%lld", (long long)c->kept);
    }
    cli_table_print(t, stdout);
    t = cli_table_new(sizes, CLI_COUNT(sizes));
    cli_table_cell(t, "multiply-accumulates");
    cli_table_cell(t, "%s", cli_thousands(r->before.macs, x, sizeof x));
    cli_table_cell(t, "%s", cli_thousands(r->after.macs, y, sizeof y));
    print_ratio(t, "", (double)r->before.macs, (double)r->after.macs);
    cli_table_cell(t, "parameters");
    cli_table_cell(t, "%s", cli_thousands(r->before.parameters, x, sizeof x));
    cli_table_cell(t, "%s", cli_thousands(r->after.parameters, y, sizeof y));
    print_ratio(t, "", (double)r->before.parameters, (double)r->after.parameters);
    cli_table_cell(t, "bytes as ONNX");
    cli_table_cell(t, "%s", cli_thousands(r->before.bytes, x, sizeof x));
    cli_table_cell(t, "%s", cli_thousands(r->after.bytes, y, sizeof y));
    print_ratio(t, "", (double)r->before.bytes, (double)r->after.bytes);
    if (r->before.seconds > 0) {
        cli_table_cell(t, "time of one sample");
        cli_table_cell(t, "%.4g ms", 1e3 * r->before.seconds);
        cli_table_cell(t, "%.4g ms", 1e3 * r->after.seconds);
        print_ratio(t, "", r->before.seconds, r->after.seconds);
    }
    cli_table_print(t, stdout);
    cli_part("removed %lld of %lld removable %s", (long long)r->removed, (long long)r->removable,
             strcmp(r->channels[0].channels, "layers") == 0 ? "layers and blocks" : "channels");
    if (r->multiple > 1)
        cli_part("; widths of layers twice as wide or more are multiples of %lld", (long long)r->multiple);
    cli_printf("%s", r->removed > 0 && r->after.seconds > r->before.seconds ? "; it is NOT faster" : "");
}

static double best_of(const skive_train_report *r) {
    return r->n_epochs && r->best_epoch > 0 ? r->epochs[r->best_epoch - 1].validation_accuracy : NAN;
}

static void print_scratch(const skive_prune_report *r) {
    const double pruned = best_of(&r->training), scratch = best_of(&r->scratch);
    if (!r->scratch.n_epochs) return;
    cli_part("the same from scratch, %zu epoch%s: ", r->scratch.n_epochs, r->scratch.n_epochs == 1 ? "" : "s");
    if (isnan(scratch))
        cli_part("loss %.4f", r->scratch.epochs[r->scratch.n_epochs - 1].loss);
    else
        cli_part("validation accuracy %.2f %%", 100 * scratch);
    if (!isnan(scratch) && !isnan(pruned)) cli_part("; pruned: %.2f %%", 100 * pruned);
    cli_printf("%s", "");
}

static json_t *size_json(const skive_prune_size *s) {
    json_t *j = json_pack("{s:I, s:I, s:I}", "macs", (json_int_t)s->macs, "parameters", (json_int_t)s->parameters,
                          "bytes", (json_int_t)s->bytes);
    if (s->seconds > 0) json_object_set_new(j, "seconds", json_real(s->seconds));
    return j;
}

static void add_channels(json_t *j, const skive_prune_report *r) {
    json_t *rows = json_array();
    for (size_t i = 0; i < r->n_channels; i++) {
        const skive_prune_channels *c = &r->channels[i];
        json_t *row = json_pack("{s:o, s:o, s:s, s:I, s:I, s:I}", "node", cli_json_text(c->node), "parameter",
                                cli_json_text(c->parameter), "channels", c->channels, "count", (json_int_t)c->count,
                                "kept", (json_int_t)c->kept, "removable", (json_int_t)c->removable);
        if (c->why) json_object_set_new(row, "why", cli_json_text(c->why));
        json_array_append_new(rows, row);
    }
    json_object_set_new(j, "channels", rows);
    json_object_set_new(j, "before", size_json(&r->before));
    json_object_set_new(j, "after", size_json(&r->after));
    json_object_set_new(j, "removed", json_integer(r->removed));
    json_object_set_new(j, "removable", json_integer(r->removable));
    json_object_set_new(j, "multiple", json_integer(r->multiple));
    json_object_set_new(j, "folded", json_integer(r->folded));
    json_object_set_new(j, "constant", json_integer(r->constant));
    json_object_set_new(j, "merged", json_integer(r->merged));
}

static json_t *report_json(const skive_prune_report *r) {
    json_t *layers = json_array();
    for (size_t i = 0; i < r->n_layers; i++) {
        const skive_prune_layer *l = &r->layers[i];
        json_t *row =
            json_pack("{s:o, s:o, s:I, s:I}", "node", cli_json_text(l->node), "parameter", cli_json_text(l->parameter),
                      "weights", (json_int_t)l->count, "kept", (json_int_t)l->kept);
        if (l->refused) json_object_set_new(row, "refused", cli_json_text(l->refused));
        json_array_append_new(layers, row);
    }
    json_t *j = json_pack("{s:o, s:I, s:I, s:f, s:o}", "layers", layers, "weights", (json_int_t)r->count, "kept",
                          (json_int_t)r->kept, "threshold", r->threshold, "training", cli_train_json(&r->training));
    if (r->n_channels) add_channels(j, r);
    if (r->scratch.n_epochs) json_object_set_new(j, "scratch", cli_train_json(&r->scratch));
    if (r->control.n_trials) json_object_set_new(j, "control", cli_control_json(&r->control, SKIVE_PRUNE_LEVELS));
    return j;
}

enum { MAX_NAMED = 256 };

/* The parameters named by --skip and --layer. */
typedef struct named {
    const char *skip[MAX_NAMED];
    skive_prune_ratio ratios[MAX_NAMED];
    char *names[MAX_NAMED]; /* names of the parameters of the ratios, to be freed */
} named;

typedef struct pruning {
    named named;
    cli_shapes shapes;
    skive_graph *rewind;
    skive_prune_report report;
} pruning;

static skive_status read_ratio(cli_args *a, const char *text, char **name, skive_prune_ratio *out) {
    const char *equals = strrchr(text, '=');
    char *end = NULL;
    if (equals && equals != text) out->sparsity = strtod(equals + 1, &end);
    if (!end || end == equals + 1 || *end != '\0')
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--layer '%s' is not of the form PARAMETER=SPARSITY, such as fc1.weight=0.95", text);
    *name = strndup(text, (size_t)(equals - text));
    out->parameter = *name;
    return *name ? SKIVE_OK : cli_fail(a, SKIVE_ERR_MEMORY, "out of memory");
}

static skive_status read_names(cli_args *a, skive_prune_options *o, named *n) {
    const size_t n_skip = cli_count(a, "skip"), n_ratios = cli_count(a, "layer");
    skive_status status = SKIVE_OK;
    if (n_skip > MAX_NAMED || n_ratios > MAX_NAMED)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--skip and --layer may be given %d times at most", MAX_NAMED);
    for (size_t i = 0; i < n_skip; i++) n->skip[i] = cli_text_at(a, "skip", i);
    for (size_t i = 0; i < n_ratios && status == SKIVE_OK; i++)
        status = read_ratio(a, cli_text_at(a, "layer", i), &n->names[i], &n->ratios[i]);
    o->skip = n->skip;
    o->n_skip = n_skip;
    o->ratios = n->ratios;
    o->n_ratios = n_ratios;
    return status;
}

static void tell_plan(const cli_args *a, const skive_prune_report *r) {
    char x[32], y[32];
    if (a->json) {
        json_t *j = report_json(r);
        json_object_set_new(j, "dry_run", json_true());
        cli_print_json(j);
        return;
    }
    if (r->n_channels) {
        print_channels(r);
        cli_print_dry_run();
        return;
    }
    print_report(r);
    cli_printf("the weights kept are %s of numbers, now %s, by the weights as they are before any fine-tuning",
               cli_bytes(4.0 * (double)r->kept, x, sizeof x), cli_bytes(4.0 * (double)r->count, y, sizeof y));
    cli_print_dry_run();
}

/* One target; and an option that would have no effect is an error. */
static skive_status settings(cli_job *j) {
    cli_args *a = j->a;
    skive_prune_options *o = skive_options_prune(j->options);
    const int given = cli_has(a, "sparsity") + cli_has(a, "threshold") + cli_has(a, "threshold-std");
    if (given > 1)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "only one of --sparsity, --threshold and --threshold-std can be given");
    if (given && !cli_has(a, "sparsity")) o->sparsity = 0;
    if (cli_has(a, "structured")) {
        if (cli_has(a, "granularity"))
            return cli_fail(a, SKIVE_ERR_ARGUMENT,
                            "--structured is --granularity channel: only one of the two can be given");
        o->granularity = "channel";
    }
    /* The library cannot tell the default from what was asked for. */
    if ((o->lossless || o->zeros) && cli_has(a, "granularity") && strncmp(o->granularity, "element", 7) == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s: what does nothing is removed channel by channel, not by '%s'",
                        o->lossless ? "lossless" : "zeros", o->granularity);
    if (cli_has(a, "sparsity") && (strncmp(o->granularity, "channel", 7) == 0 ||
                                   strncmp(o->granularity, "head", 4) == 0 || strncmp(o->granularity, "layer", 5) == 0))
        return cli_fail(
            a, SKIVE_ERR_ARGUMENT,
            "--sparsity is of single weights; of what is removed say what remains: --macs, --params, --bytes or "
            "--latency");
    if (cli_has(a, "sparsity") && strncmp(o->granularity, "nm", 2) == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--sparsity: the pattern of '%s' says how many weights go",
                        o->granularity);
    o->dry_run = j->dry;
    const skive_status status = cli_parse_shapes(a, &((pruning *)j->own)->shapes);
    if (status != SKIVE_OK) return status;
    o->shapes = ((pruning *)j->own)->shapes.items;
    o->n_shapes = ((pruning *)j->own)->shapes.n;
    return read_names(a, o, &((pruning *)j->own)->named);
}

/* A built-in network before any training, which fine-tuning then trains at the rate of training. */
static skive_status start(cli_job *j) {
    const skive_train_options training = skive_train_options_default();
    if (!cli_has(j->a, "data"))
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "%s: no such file; a built-in network is made for data: --data",
                        j->a->positional[0]);
    if (!cli_has(j->a, "lr") && !cli_has(j->a, "optimizer")) j->how->learning_rate = training.learning_rate;
    if (!cli_has(j->a, "warmup")) j->how->warmup_epochs = training.warmup_epochs;
    const skive_status status = cli_job_open_data(j, NULL);
    return status == SKIVE_OK ? cli_start_network(j->a, j->a->positional[0], j->train, 0, &j->graph) : status;
}

static skive_status open_all(cli_job *j) {
    const char *path = j->a->positional[0], *rewind = cli_text(j->a, "rewind", NULL);
    pruning *p = j->own;
    skive_prune_options *o = skive_options_prune(j->options);
    const bool file = cli_is_file(path) || cli_file_bytes(path) > 0;
    skive_status status = file ? cli_job_load(j, j->how->epochs > 0) : start(j);
    if (status == SKIVE_OK && rewind) status = cli_load(j->a, rewind, &p->rewind);
    if (status == SKIVE_OK) status = cli_job_open_rest(j);
    o->rewind = p->rewind;
    o->teacher = j->teacher;
    return status;
}

static skive_status work(cli_job *j) {
    pruning *p = j->own;
    const skive_status status =
        skive_prune(j->a->ctx, j->graph, j->train, j->validation, skive_options_prune(j->options), &p->report);
    j->reached = p->report.n_layers > 0 || p->report.n_channels > 0;
    return status;
}

static const skive_prune_report *report_of(const cli_job *j) { return &((const pruning *)j->own)->report; }
static json_t *json(const cli_job *j) { return report_json(report_of(j)); }
/* Of a model without a channel that could go there is nothing to show, and no zero was set. */
static bool is_bare(const cli_job *j) {
    const skive_prune_options *o = skive_options_prune(j->options);
    return (o->lossless || o->zeros) && !report_of(j)->n_channels;
}

static void print(const cli_job *j) {
    const skive_prune_report *r = report_of(j);
    if (!is_bare(j)) (r->n_channels ? print_channels : print_report)(r);
    print_scratch(r);
    cli_print_control(&r->control, SKIVE_PRUNE_LEVELS, "target");
}
static skive_status plan(cli_job *j) {
    tell_plan(j->a, report_of(j));
    return SKIVE_OK;
}

static void advise(const cli_job *j) {
    if (!skive_pack_is_packed(j->output) && !report_of(j)->n_channels && !is_bare(j))
        cli_printf("Zeros take as much space as other weights in an ONNX file; skive pack makes the file smaller.");
}

static skive_status run(cli_args *a) {
    static const cli_work steps = {.finetunes = true,
                                   .settings = settings,
                                   .open = open_all,
                                   .run = work,
                                   .plan = plan,
                                   .json = json,
                                   .print = print,
                                   .advise = advise};
    pruning p = {0};
    cli_job j = {.own = &p, .training = &p.report.training};
    const skive_status status = cli_job_run(a, &steps, &j);
    for (size_t i = 0; i < MAX_NAMED; i++) free(p.named.names[i]);
    cli_free_shapes(&p.shapes);
    skive_prune_report_free(a->ctx, &p.report);
    skive_graph_free(p.rewind);
    return status;
}

const cli_command cli_command_prune = {
    .name = "prune",
    .brief = "set the least important weights to zero, or remove channels",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "prune",
    .hidden = {"find-lr", "find-lr-steps"},
    .finetunes = true,
    .details =
        "MODEL is an ONNX file, or a built-in network before training (skive --help lists them), for criteria such\n"
        "as snip, which prune first and train then (--finetune).\n"
        "\n"
        "The lowest-scoring weights of the layers are set to zero, ranked over all layers or per "
        "layer, and\n"
        "stay zero during fine-tuning, unless --surgery lets them return. No layer is pruned completely.\n"
        "\n"
        "With --structured whole channels (filters, neurons, hidden units, heads) are removed with all that is\n"
        "coupled to them, until --macs, --params, --bytes or --latency remains: the model becomes a smaller one\n"
        "of the same kind. What cannot be removed is named with the reason.\n"
        "\n"
        "With --max-drop as much of the way to --sparsity or to the budget is gone as loses at most so many points on\n"
        "the validation split, found by bisection; each trial is the whole method, with fine-tuning (--finetune). If\n"
        "nothing stays within, the status is 11 and nothing is written.\n"
        "\n"
        "With --lossless exactly the channels go that provably do nothing, or give the same as another, and no output\n"
        "changes (of a quantized model not a bit); --zeros removes what training left at zero.",
    .examples =
        "  skive prune student.onnx --data fashion-mnist --sparsity 0.9 --finetune 5 -o pruned.onnx\n"
        "  skive prune student.onnx --data fashion-mnist --finetune 5 --teacher teacher.onnx --distill-alpha 0.7 \\\n"
        "      -o pruned.onnx\n"
        "  skive prune student.onnx --data fashion-mnist --sparsity 0.98 --prune-schedule cubic --surgery \\\n"
        "      --finetune 10 -o pruned.onnx\n"
        "  skive prune student.onnx --structured --macs 0.5 --data fashion-mnist --finetune 5 -o small.onnx\n"
        "  skive prune int8.onnx --lossless -o same.onnx\n"
        "  skive prune lenet5 --criterion snip --sparsity 0.98 --data fashion-mnist --finetune 10 -o sparse.onnx\n"
        "  skive prune student.onnx --criterion lamp --sparsity 0.9 --layer conv1.weight=0.5 -o pruned.onnx",
    .saves = true,
    .run = run,
};
