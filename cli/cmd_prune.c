/* skive prune: sets the least important weights to zero, fine-tuning the rest. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"sparsity", 's', "S", "fraction of the weights to remove, 0 to below 1 (default 0.9)", false},
    {"output", 'o', "FILE", "the pruned model to write, as ONNX", false},
    {"data", 'd', "SET", "data set for fine-tuning and for criteria that look at data", false},
    {"finetune", 0, "EPOCHS", "epochs of fine-tuning with the pruned weights kept at zero (default 0)", false},
    {"criterion", 0, "NAME",
     "how weights are scored: magnitude (default), lamp, or by data: taylor, snip, fisher, wanda, entropy, apoz; with "
     "options after a colon, e.g. taylor:batches=16",
     false},
    {"threshold", 0, "T", "instead of a sparsity: prune weights that score below T", false},
    {"threshold-std", 0, "Q", "instead of a sparsity: prune weights below Q standard deviations of their layer", false},
    {"layer", 0, "PARAMETER=S", "a separate sparsity for this parameter; may be repeated", true},
    {"prune-schedule", 0, "NAME", "one-shot (default), cubic or iterative", false},
    {"steps", 0, "N", "steps of a gradual schedule (default 5)", false},
    {"last-step", 0, "F", "fraction of fine-tuning after the last step (default: the same as after each step)", false},
    {"surgery", 0, NULL, "train pruned weights too and let them return while fine-tuning", false},
    {"surgery-until", 0, "F", "fraction of fine-tuning after which the mask no longer changes (default 0.75)", false},
    {"distill-alpha", 0, "A", "weight of a teacher in the loss of fine-tuning, 0 to 1 (default 0)", false},
    {"teacher", 0, "FILE", "the teacher (default: the model before pruning)", false},
    {"temperature", 'T', "T", "temperature that softens the outputs of teacher and model (default 4)", false},
    {"per-layer", 0, NULL, "the same sparsity in every layer instead of one threshold for all layers", false},
    {"layer-floor", 0, "F",
     "minimum fraction of each layer to keep (default: a twentieth of the fraction kept overall)", false},
    {"skip", 0, "PARAMETER", "do not prune this parameter; may be repeated", true},
    {"checkpoint", 0, "FILE",
     "checkpoint of fine-tuning, written after each epoch and resumed from; with several steps: FILE.1, FILE.2 ...",
     false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TEACHER_INPUT_OPTIONS,
    CLI_TRAIN_OPTIONS("0.01; adam 0.001", "sgd, adam or adamw (default sgd)", "0"),
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
    return json_pack("{s:o, s:I, s:I, s:f, s:o}", "layers", layers, "weights", (json_int_t)r->count, "kept",
                     (json_int_t)r->kept, "threshold", r->threshold, "training", cli_train_json(&r->training));
}

enum { MAX_NAMED = 256 };

/* The parameters named by --skip and --layer. */
typedef struct named {
    const char *skip[MAX_NAMED];
    skive_prune_ratio ratios[MAX_NAMED];
    char *names[MAX_NAMED]; /* names of the parameters of the ratios, to be freed */
    skive_train_options tune;
} named;

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

static skive_status read_target(cli_args *a, skive_prune_options *o) {
    const int given = cli_has(a, "sparsity") + cli_has(a, "threshold") + cli_has(a, "threshold-std");
    if (given > 1)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "only one of --sparsity, --threshold and --threshold-std can be given");
    if (given && !cli_has(a, "sparsity")) o->sparsity = 0;
    skive_status status = cli_number(a, "sparsity", &o->sparsity);
    if (status == SKIVE_OK) status = cli_number(a, "threshold", &o->threshold);
    if (status == SKIVE_OK) status = cli_number(a, "threshold-std", &o->threshold_std);
    return status;
}

/* An option that would have no effect is an error. */
static skive_status read_finetuning(cli_args *a, skive_prune_options *o) {
    static const char *const needs[][2] = {{"surgery", "finetune"},          {"surgery-until", "surgery"},
                                           {"distill-alpha", "finetune"},    {"teacher", "distill-alpha"},
                                           {"temperature", "distill-alpha"}, {"last-step", "finetune"}};
    for (size_t i = 0; i < CLI_COUNT(needs); i++) {
        if (cli_has(a, needs[i][0]) && !cli_has(a, needs[i][1]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs --%s", needs[i][0], needs[i][1]);
    }
    skive_status status = cli_number(a, "distill-alpha", &o->distill_alpha);
    if (status == SKIVE_OK) status = cli_number(a, "temperature", &o->temperature);
    if (status == SKIVE_OK) status = cli_number(a, "surgery-until", &o->surgery_until);
    if (status == SKIVE_OK) status = cli_number(a, "last-step", &o->last_step);
    o->surgery = cli_has(a, "surgery");
    return status;
}

static skive_status settings(cli_args *a, skive_prune_options *o, named *n) {
    int64_t epochs = 0, steps = o->steps;
    skive_status status = read_target(a, o);
    if (status == SKIVE_OK) status = cli_number_in(a, "layer-floor", 0, 1, &o->layer_floor);
    if (status == SKIVE_OK) status = cli_integer(a, "finetune", 0, 1000000, &epochs);
    if (status == SKIVE_OK) status = cli_integer(a, "steps", 1, 1000, &steps);
    if (status == SKIVE_OK) status = cli_train_settings(a, &n->tune);
    n->tune.epochs = (int)epochs;
    o->finetune = &n->tune;
    o->steps = (int)steps;
    o->criterion = cli_text(a, "criterion", o->criterion);
    o->schedule = cli_text(a, "prune-schedule", o->schedule);
    o->per_layer = cli_has(a, "per-layer");
    if (status == SKIVE_OK) status = read_finetuning(a, o);
    return status == SKIVE_OK ? read_names(a, o, n) : status;
}

static void tell_plan(const cli_args *a, const skive_prune_report *r) {
    char x[32], y[32];
    if (a->json) {
        json_t *j = report_json(r);
        json_object_set_new(j, "dry_run", json_true());
        cli_print_json(j);
        return;
    }
    print_report(r);
    cli_printf("the weights kept are %s of numbers, now %s, by the weights as they are before any fine-tuning",
               cli_bytes(4.0 * (double)r->kept, x, sizeof x), cli_bytes(4.0 * (double)r->count, y, sizeof y));
    cli_print_dry_run();
}

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL), *output = cli_text(a, "output", NULL);
    const char *teacher_path = cli_text(a, "teacher", NULL);
    named names = {.tune = skive_prune_finetune_default()};
    skive_prune_options o = skive_prune_options_default();
    skive_dataset *train = NULL, *validation = NULL;
    skive_graph *g = NULL, *teacher = NULL;
    skive_prune_report report = {0};
    cli_sizes before = {0}, after = {0};
    const bool dry = cli_has(a, "dry-run");
    if (!output && !dry) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; name the file to write");
    o.dry_run = dry;
    skive_status status = settings(a, &o, &names);
    if (status == SKIVE_OK && names.tune.epochs > 0 && !data)
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--finetune needs --data");
    if (status == SKIVE_OK && !dry) status = cli_check_output(a, output);
    if (status == SKIVE_OK && !dry && cli_has(a, "checkpoint"))
        status = cli_check_output(a, cli_text(a, "checkpoint", NULL));
    if (status == SKIVE_OK) status = (names.tune.epochs > 0 ? cli_load_to_run : cli_load)(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = cli_sizes_of(a, a->positional[0], g, &before);
    if (status == SKIVE_OK && teacher_path) status = cli_load_to_run(a, teacher_path, &teacher);
    o.teacher = teacher;
    if (status == SKIVE_OK && data) status = cli_open_training(a, data, g, &train, &validation);
    if (status == SKIVE_OK) status = cli_set_input(a, g, train);
    if (status == SKIVE_OK) status = cli_set_teacher_input(a, teacher, train);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, (skive_graph *const[]){g, teacher}, 2);
    if (status == SKIVE_OK) status = skive_prune(a->ctx, g, train, validation, &o, &report);
    /* An interrupted run is saved too, so that its progress is not lost. */
    const bool reached = !dry && (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && report.n_layers > 0));
    const bool tuned = names.tune.epochs > 0;
    const skive_status saved = !reached ? status : tuned ? cli_save_trained(a, g, output) : cli_save(a, g, output);
    if (reached && saved != SKIVE_OK) status = saved;
    if (reached && saved == SKIVE_OK) (void)cli_sizes_of(a, output, g, &after);
    if (status == SKIVE_OK && dry) {
        tell_plan(a, &report);
    } else if (saved == SKIVE_OK && a->json) {
        json_t *j = report_json(&report);
        json_object_set_new(j, "output", cli_json_text(output));
        cli_set_sizes(j, &before, &after);
        cli_print_json(j);
    } else if (saved == SKIVE_OK) {
        print_report(&report);
        cli_print_training(a, &report.training);
        cli_print_sizes(&before, &after, output);
        if (!skive_pack_is_packed(output))
            cli_printf("Zeros take as much space as other weights in an ONNX file; skive pack makes the file smaller.");
    }
    if (status == SKIVE_ERR_INTERRUPTED && !reached && !dry)
        status = cli_fail(a, status, "interrupted before an epoch was finished; %s was not written", output);
    for (size_t i = 0; i < MAX_NAMED; i++) free(names.names[i]);
    skive_prune_report_free(a->ctx, &report);
    skive_graph_free(teacher);
    skive_graph_free(g);
    skive_dataset_free(validation);
    skive_dataset_free(train);
    return status;
}

const cli_command cli_command_prune = {
    .name = "prune",
    .brief = "set the least important weights to zero",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details = "The lowest-scoring weights of the layers are set to zero, ranked over all layers or per "
               "layer, and\n"
               "stay zero during fine-tuning, unless --surgery lets them return. No layer is pruned completely.",
    .examples =
        "  skive prune student.onnx --data fashion-mnist --sparsity 0.9 --finetune 5 -o pruned.onnx\n"
        "  skive prune student.onnx --data fashion-mnist --finetune 5 --teacher teacher.onnx --distill-alpha 0.7 \\\n"
        "      -o pruned.onnx\n"
        "  skive prune student.onnx --data fashion-mnist --sparsity 0.98 --prune-schedule cubic --surgery \\\n"
        "      --finetune 10 -o pruned.onnx\n"
        "  skive prune student.onnx --criterion lamp --sparsity 0.9 --layer conv1.weight=0.5 -o pruned.onnx",
    .saves = true,
    .run = run,
};
