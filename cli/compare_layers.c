/* skive compare --layers: where two models come apart. */
#include <math.h>
#include <string.h>

#include "compare.h"

/* What only the comparison of whole models reads. */
static skive_status check_options(cli_args *a) {
    static const char *const whole[] = {"report",      "resamples", "seconds",   "max-drop", "max-bytes",
                                        "min-speedup", "names",     "no-labels", "metrics"};
    if (a->n_positional != 2)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--layers compares two models, and %d are given", a->n_positional);
    for (size_t i = 0; i < CLI_COUNT(whole); i++)
        if (cli_has(a, whole[i]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--layers compares values inside the models: --%s has no effect",
                            whole[i]);
    return SKIVE_OK;
}

static void decibels(cli_table *t, double x) {
    if (isnan(x))
        cli_table_cell(t, "NaN");
    else if (isinf(x))
        cli_table_cell(t, "%s", x > 0 ? "same" : "lost");
    else
        cli_table_cell(t, "%.1f", x);
}

static void print_unmatched(const skive_layers_report *r) {
    enum { SHOWN = 12 };
    char name[CLI_SHORT];
    for (size_t i = 0; i < r->n_unmatched && i < SHOWN; i++)
        cli_printf("not compared: %s'%s': %s", r->unmatched[i].in_second ? "second model's " : "",
                   cli_short(r->unmatched[i].value, name, sizeof name), r->unmatched[i].reason);
    if (r->n_unmatched > SHOWN)
        cli_printf("not compared: %zu more value%s, which --json names", r->n_unmatched - SHOWN,
                   r->n_unmatched - SHOWN == 1 ? "" : "s");
}

/* Equalization, smoothing and awq scale the channels of a value and leave it its name: what reads them undoes that, so
 * the value and those behind it look wrong by themselves while the sum of all is right. */
static void tell_rescaled(const skive_layers_report *r) {
    enum { FAR = 20 };
    char name[CLI_SHORT];
    for (size_t i = 0; i < r->n_rows; i++) {
        if (!(r->rows[i].own_sqnr < r->rows[i].sqnr - FAR)) continue;
        cli_printf("note: '%s' has more than %d dB less by itself than with the layers before it: the channels of "
                   "values may have been rescaled (--equalize, --smooth, awq); then own dB blames the wrong layers",
                   cli_short(r->rows[i].value, name, sizeof name), FAR);
        return;
    }
}

static void print_report(const skive_layers_report *r) {
    static const char *const heads[] = {"<value", "<op", "own dB", "own max", "dB", "max", "cosine"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char name[29];
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_layers_row *row = &r->rows[i];
        cli_table_cell(t, "%s", cli_short(row->value, name, sizeof name));
        cli_table_cell(t, "%.14s", row->op);
        decibels(t, row->own_sqnr);
        cli_table_cell(t, "%.2g", row->own_difference);
        decibels(t, row->sqnr);
        cli_table_cell(t, "%.2g", row->difference);
        cli_table_cell(t, "%.5f", row->cosine);
    }
    cli_table_print(t, stdout);
    cli_printf("%zu value%s on %lld sample%s, those to which a node adds most error first. dB: signal to noise of the "
               "second model's value; own: against the first model's nodes computing on the second model's values",
               r->n_rows, r->n_rows == 1 ? "" : "s", (long long)r->samples, r->samples == 1 ? "" : "s");
    tell_rescaled(r);
    print_unmatched(r);
}

static void set_number(json_t *j, const char *key, double x) {
    if (isfinite(x)) json_object_set_new(j, key, json_real(x));
}

static json_t *report_json(const skive_layers_report *r) {
    json_t *rows = json_array(), *left = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_layers_row *row = &r->rows[i];
        json_t *j = json_pack("{s:o, s:o, s:s, s:I}", "value", cli_json_text(row->value), "node",
                              cli_json_text(row->node), "op", row->op, "elements", (json_int_t)row->elements);
        set_number(j, "own_sqnr", row->own_sqnr);
        set_number(j, "own_max_difference", row->own_difference);
        set_number(j, "sqnr", row->sqnr);
        set_number(j, "max_difference", row->difference);
        set_number(j, "cosine", row->cosine);
        json_array_append_new(rows, j);
    }
    for (size_t i = 0; i < r->n_unmatched; i++)
        json_array_append_new(left, json_pack("{s:o, s:i, s:s}", "value", cli_json_text(r->unmatched[i].value), "model",
                                              r->unmatched[i].in_second ? 2 : 1, "reason", r->unmatched[i].reason));
    return json_pack("{s:I, s:o, s:o}", "samples", (json_int_t)r->samples, "rows", rows, "not_compared", left);
}

skive_status compare_layers(cli_args *a) {
    skive_layers_options o = skive_layers_options_default();
    skive_layers_report r = {0};
    skive_graph *g[2] = {NULL};
    skive_dataset *set = NULL;
    skive_split split = SKIVE_SPLIT_TEST;
    int64_t limit = o.samples;
    skive_status status = check_options(a);
    if (status == SKIVE_OK) status = cli_split(a, &split);
    if (status == SKIVE_OK) status = cli_integer(a, "limit", 1, INT64_MAX, &limit);
    o.samples = limit;
    for (int i = 0; i < 2 && status == SKIVE_OK; i++) status = cli_load_to_run(a, a->positional[i], &g[i]);
    if (status == SKIVE_OK) status = cli_open_samples(a, cli_text(a, "data", NULL), split, g[0], &set);
    for (int i = 0; i < 2 && status == SKIVE_OK; i++)
        status = cli_set_input_where_unsaid(a, g[i], a->positional[i], set);
    if (status == SKIVE_OK) status = skive_compare_layers(a->ctx, g[0], g[1], set, &o, &r);
    if (status == SKIVE_OK && a->json) cli_print_json(report_json(&r));
    if (status == SKIVE_OK && !a->json) print_report(&r);
    skive_layers_report_free(a->ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(g[0]);
    skive_graph_free(g[1]);
    return status;
}
