/* skive quantize --qat: quantization-aware training. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MAX_SKIP = 256 };

typedef struct aware {
    const char *skip[MAX_SKIP];
    skive_dataset *test;
    skive_qat_report report;
} aware;

/* ---- output ---- */

static const skive_qat_report *report_of(const cli_job *j) { return &((const aware *)j->own)->report; }

static void number_cell(cli_table *t, const char *format, double x) {
    if (isfinite(x))
        cli_table_cell(t, format, x);
    else
        cli_table_cell(t, "%s", "-");
}

/* A shared weight that its readers round in different ways has a row for each: with the reader. */
static void name_cell(cli_table *t, const skive_qat_report *r, const skive_qat_row *row) {
    char name[CLI_SHORT], node[CLI_SHORT];
    bool again = false;
    for (size_t i = 0; i < r->n_rows && row->node; i++)
        again = again || (&r->rows[i] != row && r->rows[i].node && strcmp(r->rows[i].name, row->name) == 0);
    if (again)
        cli_table_cell(t, "%s (%s)", cli_short(row->name, name, sizeof name), cli_short(row->node, node, sizeof node));
    else
        cli_table_cell(t, "%s", cli_short(row->name, name, sizeof name));
}

static void print_rows(const skive_qat_report *r) {
    static const char *const heads[] = {"<value", "<grid", "<rule", "step", "trained", "zero point", "zeros"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_qat_row *row = &r->rows[i];
        name_cell(t, r, row);
        cli_table_cell(t, "%s", row->grid);
        cli_table_cell(t, "%s", row->rule);
        number_cell(t, "%.4g", row->before);
        number_cell(t, "%.4g", row->after);
        if (row->node)
            cli_table_cell(t, "%s", "");
        else
            cli_table_cell(t, "%d", row->zero_point);
        number_cell(t, "%.1f %%", 100 * row->zeros);
    }
    cli_table_print(t, stdout);
}

static void print_left(const skive_qat_report *r) {
    skive_quantize_report left = {.n_left = r->n_left, .left = r->left};
    cli_quantize_print_left(&left);
}

static void print_bytes(const skive_qat_report *r) {
    char x[32];
    cli_printf("at the bits of their grids, the parameters take %s", cli_bytes((double)r->packed_bytes, x, sizeof x));
}

void cli_qat_print(const skive_qat_report *r) {
    print_rows(r);
    cli_printf("quantized %zu node%s", r->n_quantized, r->n_quantized == 1 ? "" : "s");
    print_left(r);
    if (r->tested) {
        const double sign = 100;
        cli_printf("test, %lld sample%s: float %.2f %%, quantized without training %.2f %%, trained %.2f %%",
                   (long long)r->test.n, r->test.n == 1 ? "" : "s", r->original, r->before, r->after);
        cli_printf("    against float %+.2f points (95 %% interval %+.2f to %+.2f); by the training %+.2f (%+.2f to "
                   "%+.2f)",
                   sign * r->test.difference, sign * r->test.low, sign * r->test.high, sign * r->gain.difference,
                   sign * r->gain.low, sign * r->gain.high);
    }
    print_bytes(r);
}

static void print(const cli_job *j) { cli_qat_print(report_of(j)); }

static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *cli_qat_json(const skive_qat_report *r, const skive_train_report *training) {
    json_t *rows = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_qat_row *row = &r->rows[i];
        json_t *one = json_pack("{s:o, s:b, s:s, s:s, s:o, s:o}", "name", cli_json_text(row->name), "parameter",
                                row->node != NULL, "grid", row->grid, "rule", row->rule, "step_before",
                                real(row->before), "step", real(row->after));
        if (row->node) {
            json_object_set_new(one, "node", cli_json_text(row->node));
            json_object_set_new(one, "zeros", real(row->zeros));
        } else {
            json_object_set_new(one, "zero_point", json_integer(row->zero_point));
        }
        json_array_append_new(rows, one);
    }
    json_t *all = json_pack("{s:I, s:o, s:o, s:I}", "quantized", (json_int_t)r->n_quantized, "values", rows, "training",
                            cli_train_json(training), "packed_bytes", (json_int_t)r->packed_bytes);
    if (r->tested)
        json_object_set_new(all, "test",
                            json_pack("{s:I, s:f, s:f, s:f, s:o, s:o, s:o}", "samples", (json_int_t)r->test.n, "float",
                                      r->original, "untrained", r->before, "trained", r->after, "difference",
                                      real(100 * r->test.difference), "low", real(100 * r->test.low), "high",
                                      real(100 * r->test.high)));
    return all;
}

static json_t *json(const cli_job *j) { return cli_qat_json(report_of(j), &report_of(j)->training); }

static skive_status plan(cli_job *j) {
    if (j->a->json) {
        json_t *all = json(j);
        json_object_set_new(all, "dry_run", json_true());
        cli_print_json(all);
        return SKIVE_OK;
    }
    const skive_qat_report *r = report_of(j);
    print_rows(r);
    cli_printf("would quantize %zu node%s and train %d epoch%s", r->n_quantized, r->n_quantized == 1 ? "" : "s",
               j->how->epochs, j->how->epochs == 1 ? "" : "s");
    print_left(r);
    print_bytes(r);
    cli_print_dry_run();
    return SKIVE_OK;
}

/* ---- arguments ---- */

static skive_status settings(cli_job *j) {
    static const char *const not [] = {
        "dynamic",   "to",         "max-drop",   "input",           "shape",       "table",
        "smooth",    "equalize",   "rounding",   "bias-correction", "absorb-bias", "layer-samples",
        "input-low", "input-high", "input-type", "no-slower"};
    cli_args *a = j->a;
    aware *w = j->own;
    skive_qat_options *o = skive_options_qat(j->options);
    skive_quantize_options *how = skive_options_quantize(j->options);
    for (size_t i = 0; i < CLI_COUNT(not ); i++) {
        if (cli_has(a, not [i])) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s cannot be combined with --qat", not [i]);
    }
    if (!cli_has(a, "data") && !j->dry)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; --qat trains on labelled samples");
    if (strcmp(cli_text(a, "data", ""), "none") == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--qat trains on labelled samples, and --data none has none: name a data "
                        "set, or leave --qat out");
    if (j->how->epochs < 1) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--epochs is 0; without training, leave --qat out");
    if (strcmp(o->activation_rule, "lsq") != 0 && strcmp(cli_text(a, "activations", ""), "float") == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--activation-rule has no effect on activations that stay float");
    o->weights = cli_text(a, "weights", NULL);
    o->activations = cli_text(a, "activations", NULL);
    o->dry_run = j->dry;
    how->per_channel = !cli_has(a, "per-tensor");
    how->n_skip = cli_count(a, "skip");
    if (how->n_skip > MAX_SKIP)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--skip may be given %d times at most", MAX_SKIP);
    for (size_t i = 0; i < how->n_skip; i++) w->skip[i] = cli_text_at(a, "skip", i);
    how->skip = w->skip;
    return SKIVE_OK;
}

static skive_status open_all(cli_job *j) {
    cli_args *a = j->a;
    aware *w = j->own;
    const char *data = cli_text(a, "data", NULL);
    skive_status status = cli_job_load(j, true);
    if (status == SKIVE_OK) status = cli_job_open_rest(j);
    skive_options_qat(j->options)->teacher = j->teacher;
    if (status == SKIVE_OK && data && !j->dry) status = cli_open_test(a, data, j->graph, j->train, &w->test);
    return status;
}

static skive_status work(cli_job *j) {
    aware *w = j->own;
    return skive_quantize_aware(j->a->ctx, j->graph, j->train, j->validation, w->test, skive_options_qat(j->options),
                                &w->report);
}

skive_status cli_quantize_aware(cli_args *a) {
    static const cli_work steps = {.finetunes = true,
                                   .settings = settings,
                                   .open = open_all,
                                   .run = work,
                                   .plan = plan,
                                   .json = json,
                                   .print = print};
    aware w = {0};
    cli_job j = {.own = &w, .training = &w.report.training};
    const skive_status status = cli_job_run(a, &steps, &j);
    skive_qat_report_free(a->ctx, &w.report);
    skive_dataset_free(w.test);
    return status;
}

skive_status cli_quantize_check_plain(cli_args *a) {
    static const char *const also[] = {"teacher",        "teacher-mean",  "teacher-std", "teacher-scale",
                                       "teacher-layout", "no-validation", "no-curves",   "limit"};
    for (size_t i = 0; i < CLI_COUNT(also); i++) {
        if (cli_has(a, also[i])) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs --qat", also[i]);
    }
    for (size_t i = 0; i < a->n_values; i++) {
        const char *full = cli_full_name(a->command, a->values[i].option);
        if (!full || (strncmp(full, "qat.", 4) != 0 && strncmp(full, "train.", 6) != 0)) continue;
        if (strcmp(full, "train.batch") == 0) continue; /* samples per calibration run */
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs --qat", a->values[i].option->name);
    }
    return SKIVE_OK;
}
