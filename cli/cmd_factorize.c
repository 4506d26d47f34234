/* skive factorize: layers become products of smaller ones. */
#ifdef __linux__
#include <malloc.h>
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "the factorized model to write, as ONNX", false},
    {"data", 'd', "SET", "data set: for outputs that factors keep, and for fine-tuning", false},
    {"layer", 0, "NAME=METHOD:RANK", "what this node gets; NAME=keep leaves it; may be repeated", true},
    {"teacher", 0, "FILE", "the teacher of fine-tuning (default: the model before)", false},
    {"term", 0, "NAME:OPTIONS",
     "a further term of the loss in fine-tuning, such as hint or attention; may be repeated (docs/distillation.md)",
     true},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TEACHER_INPUT_OPTIONS,
    CLI_TRAIN_OPTIONS,
};

/* ---- output ---- */

static void number(cli_table *t, double x, const char *format) {
    if (isnan(x))
        cli_table_cell(t, "%s", "-");
    else
        cli_table_cell(t, format, x);
}

static const char *rank_text(const skive_factorize_row *r, char *buffer, size_t size) {
    if (!r->method) return "-";
    if (r->rank_in)
        (void)snprintf(buffer, size, "%lld/%lld", (long long)r->rank_in, (long long)r->rank);
    else
        (void)snprintf(buffer, size, "%lld", (long long)r->rank);
    return buffer;
}

static void change(cli_table *t, int64_t before, int64_t after) {
    char a[32], b[32];
    if (before == after)
        cli_table_cell(t, "%s", cli_thousands(before, a, sizeof a));
    else
        cli_table_cell(t, "%s > %s", cli_thousands(before, a, sizeof a), cli_thousands(after, b, sizeof b));
}

static void times(cli_table *t, const skive_factorize_row *r) {
    char a[32], b[32];
    if (isnan(r->seconds) || isnan(r->seconds_before))
        cli_table_cell(t, "%s", "-");
    else
        cli_table_cell(t, "%s > %s", cli_seconds(r->seconds_before, a, sizeof a), cli_seconds(r->seconds, b, sizeof b));
}

static void print_rows(const skive_factorize_report *r, bool plan) {
    static const char *const heads[] = {"<layer", "<method", "rank", "error", "output", "MACs", "parameters", "time"};
    char name[CLI_SHORT], text[48];
    bool any = false, by_name = false;
    for (size_t i = 0; i < r->n_rows; i++) {
        any = any || r->rows[i].method;
        by_name = by_name || r->rows[i].by_name;
    }
    cli_table *t = any ? cli_table_new(heads, CLI_COUNT(heads)) : NULL;
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_factorize_row *row = &r->rows[i];
        if (!row->method) continue;
        cli_table_cell(t, "%s", cli_short(row->node, name, sizeof name));
        cli_table_cell(t, "%s%s", row->method, plan && row->chosen ? " *" : row->by_name ? " (by name)" : "");
        cli_table_cell(t, "%s", rank_text(row, text, sizeof text));
        number(t, row->error, "%.4f");
        number(t, row->output_error, "%.4f");
        change(t, row->macs_before, row->macs);
        change(t, row->parameters_before, row->parameters);
        times(t, row);
    }
    if (any) cli_table_print(t, stdout);
    if (plan && !r->n_factorized) cli_printf("no layer would be factorized");
    if (plan && any) cli_printf("* chosen. Errors are norms of the difference, of those of the weights or outputs.");
    if (plan && by_name)
        cli_printf("(by name): never chosen by auto; ask for it by --method, or --layer NAME=METHOD:RANK.");
    for (size_t i = 0; i < r->n_rows; i++)
        if (r->rows[i].unknown)
            cli_printf("%s of %s: errors and time %s", r->rows[i].method, r->rows[i].node, r->rows[i].unknown);
    for (size_t i = 0; i < r->n_rows; i++)
        if (!isnan(r->rows[i].refit_after))
            cli_printf("fitted %s again, behind the layers before it: error of its outputs %.4f, was %.4f",
                       r->rows[i].node, r->rows[i].refit_after, r->rows[i].refit_before);
    for (size_t i = 0; i < r->n_rows; i++)
        if (r->rows[i].kept) cli_printf("kept %s (%s): %s", r->rows[i].node, r->rows[i].op, r->rows[i].kept);
}

static void print_whole(const skive_factorize_report *r) {
    char a[32], b[32], c[32], d[32];
    cli_printf("multiply-accumulates %s, were %s (%.2fx); parameters %s, were %s (%.2fx)",
               cli_thousands(r->after.macs, a, sizeof a), cli_thousands(r->before.macs, b, sizeof b),
               (double)r->before.macs / (double)(r->after.macs ? r->after.macs : 1),
               cli_thousands(r->after.parameters, c, sizeof c), cli_thousands(r->before.parameters, d, sizeof d),
               (double)r->before.parameters / (double)(r->after.parameters ? r->after.parameters : 1));
    const bool changed = r->n_factorized || r->n_merged; /* otherwise two times of the same model */
    if (changed && !isnan(r->before.seconds) && !isnan(r->after.seconds))
        cli_printf("one run takes %s, took %s (%.2fx)", cli_seconds(r->after.seconds, a, sizeof a),
                   cli_seconds(r->before.seconds, b, sizeof b), r->before.seconds / r->after.seconds);
    if (r->control.n_trials)
        cli_printf("on the %lld validation samples it loses %.3g points, before any fine-tuning",
                   (long long)r->control.samples, r->control.drop);
    cli_print_control(&r->control, SKIVE_FACTORIZE_LEVELS, "smallest model or the budget");
}

static void set_number(json_t *j, const char *key, double x) {
    json_object_set_new(j, key, isfinite(x) ? json_real(x) : json_null());
}

static json_t *size_json(const skive_factorize_size *s) {
    json_t *j = json_pack("{s:I, s:I}", "macs", (json_int_t)s->macs, "parameters", (json_int_t)s->parameters);
    set_number(j, "seconds", s->seconds);
    return j;
}

static json_t *row_json(const skive_factorize_row *r) {
    json_t *j = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b}", "node", cli_json_text(r->node), "op",
                          cli_json_text(r->op), "parameter", cli_json_text(r->parameter), "macs", (json_int_t)r->macs,
                          "macs_before", (json_int_t)r->macs_before, "parameters", (json_int_t)r->parameters,
                          "parameters_before", (json_int_t)r->parameters_before, "factorized", r->chosen);
    if (r->kept) json_object_set_new(j, "kept", cli_json_text(r->kept));
    set_number(j, "seconds", r->seconds);
    set_number(j, "seconds_before", r->seconds_before);
    if (!r->method) return j;
    json_object_set_new(j, "method", json_string(r->method));
    json_object_set_new(j, "rank", json_integer(r->rank));
    if (r->rank_in) json_object_set_new(j, "rank_in", json_integer(r->rank_in));
    json_object_set_new(j, "full_rank", json_integer(r->full));
    set_number(j, "error", r->error);
    set_number(j, "output_error", r->output_error);
    set_number(j, "plain_output_error", r->plain_error);
    json_object_set_new(j, "by_name", json_boolean(r->by_name));
    if (r->unknown) json_object_set_new(j, "unknown", cli_json_text(r->unknown));
    if (!isnan(r->refit_after)) {
        set_number(j, "refit_error_before", r->refit_before);
        set_number(j, "refit_error", r->refit_after);
    }
    return j;
}

static json_t *report_json(const skive_factorize_report *r) {
    json_t *layers = json_array();
    for (size_t i = 0; i < r->n_rows; i++) json_array_append_new(layers, row_json(&r->rows[i]));
    json_t *j =
        json_pack("{s:o, s:I, s:I, s:o, s:o}", "layers", layers, "factorized", (json_int_t)r->n_factorized, "merged",
                  (json_int_t)r->n_merged, "before", size_json(&r->before), "after", size_json(&r->after));
    if (r->control.n_trials) {
        set_number(j, "drop", r->control.drop);
        json_object_set_new(j, "trials", json_integer((json_int_t)r->control.n_trials));
        json_object_set_new(j, "control", cli_control_json(&r->control, SKIVE_FACTORIZE_LEVELS));
    }
    json_object_set_new(j, "training", cli_train_json(&r->training));
    return j;
}

/* ---- the command ---- */

enum { MAX_LAYERS = 256 };

typedef struct factoring {
    const char *layers[MAX_LAYERS];
    char *terms;
    skive_factorize_report report;
} factoring;

static skive_status settings(cli_job *j) {
    cli_args *a = j->a;
    factoring *f = j->own;
    skive_factorize_options *o = skive_options_factorize(j->options);
    o->n_layers = cli_count(a, "layer");
    if (o->n_layers > MAX_LAYERS)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--layer may be given %d times at most", MAX_LAYERS);
    for (size_t i = 0; i < o->n_layers; i++) f->layers[i] = cli_text_at(a, "layer", i);
    o->layers = f->layers;
    o->seed = skive_context_seed(a->ctx);
    o->dry_run = j->dry;
    static const char *const with_data[] = {"max-drop", "samples", "refit"};
    for (size_t i = 0; i < CLI_COUNT(with_data); i++)
        if (cli_has(a, with_data[i]) && !cli_has(a, "data"))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs --data", with_data[i]);
    if (cli_has(a, "samples") && strcmp(o->weighting, "plain") == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--samples has no use: --weighting plain looks at none");
    static const char *const with_tuning[] = {"distill-alpha", "temperature", "teacher", "term"};
    for (size_t i = 0; i < CLI_COUNT(with_tuning); i++)
        if (cli_has(a, with_tuning[i]) && j->how->epochs < 1)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s is for fine-tuning: give --finetune EPOCHS", with_tuning[i]);
    const skive_status status = cli_join(a, "term", "a term, such as hint", &f->terms);
    o->terms = f->terms;
    return status;
}

static skive_status open_all(cli_job *j) {
    skive_status status = cli_job_load(j, cli_has(j->a, "data"));
    if (status == SKIVE_OK) status = cli_job_open_rest(j);
    skive_options_factorize(j->options)->teacher = j->teacher;
    return status;
}

static skive_status work(cli_job *j) {
    factoring *f = j->own;
    return skive_factorize(j->a->ctx, j->graph, j->train, j->validation, skive_options_factorize(j->options),
                           &f->report);
}

static const skive_factorize_report *report_of(const cli_job *j) { return &((const factoring *)j->own)->report; }
static json_t *json(const cli_job *j) { return report_json(report_of(j)); }

static void print(const cli_job *j) {
    const skive_factorize_report *r = report_of(j);
    if (r->n_merged)
        cli_printf("merged %zu pair%s of layers", r->n_merged, r->n_merged == 1 ? "" : "s");
    else
        print_rows(r, false);
    print_whole(r);
}

static skive_status plan(cli_job *j) {
    const skive_factorize_report *r = report_of(j);
    if (j->a->json) {
        json_t *all = report_json(r);
        json_object_set_new(all, "dry_run", json_true());
        cli_print_json(all);
        return SKIVE_OK;
    }
    if (!r->n_merged) print_rows(r, true);
    print_whole(r);
    cli_print_dry_run();
    return SKIVE_OK;
}

/* Layers are decomposed one by one, and what a large one took is of no use to the next: glibc keeps blocks of up to
 * 32 MiB unless told otherwise, which on ResNet-50 is a seventh of the memory. */
static void give_back(void) {
#ifdef M_MMAP_THRESHOLD
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 17);
#endif
}

static skive_status run(cli_args *a) {
    static const cli_work steps = {.finetunes = true,
                                   .settings = settings,
                                   .open = open_all,
                                   .run = work,
                                   .plan = plan,
                                   .json = json,
                                   .print = print};
    factoring f = {0};
    give_back();
    cli_job j = {.own = &f, .training = &f.report.training};
    const skive_status status = cli_job_run(a, &steps, &j);
    skive_factorize_report_free(a->ctx, &f.report);
    free(f.terms);
    return status;
}

const cli_command cli_command_factorize = {
    .name = "factorize",
    .brief = "replace layers by products of smaller ones",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "factorize",
    .finetunes = true,
    .hidden = {"seed", "terms", "find-lr", "find-lr-steps"},
    .details =
        "A matrix becomes two smaller ones, a convolution two to four smaller ones, without anything between them and\n"
        "with the bias on the last: plain ONNX. --method says how; auto tries svd, channel, spatial, tucker2 and\n"
        "separable on each layer. With a budget (--macs, --params, --bytes, --latency) or a limit (--max-drop) ranks "
        "are\n"
        "allocated to the layers so that the harm is least; without one, by the share of energy (--energy), or --rank "
        "vbmf.\n"
        "With --data, factors keep what each layer gives on the samples, not its weights. Layers that would not "
        "become\n"
        "smaller are kept, and the reason is said. --dry-run lists for each layer the methods that would make it\n"
        "smaller, each at one rank, with error, size and measured time, marks what is chosen, and writes nothing.\n"
        "Methods that auto never chooses (cp, grouped, tt, sparse) are listed as well. --finetune trains the result, "
        "with\n"
        "the model before as teacher, or --teacher; --term adds terms. --merge joins factors that do not pay.",
    .examples = "  skive factorize model.onnx --macs 0.5 --data fashion-mnist --finetune 5 -o small.onnx\n"
                "  skive factorize model.onnx --method tucker2 --rank vbmf -o small.onnx\n"
                "  skive factorize model.onnx --layer fc1=svd:32 --layer conv2=tucker2:8 --rank energy -o small.onnx\n"
                "  skive factorize model.onnx --dry-run",
    .saves = true,
    .run = run,
};
