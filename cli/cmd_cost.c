/* skive cost: what each node costs: time measured on this machine, multiply-accumulates, bytes. */
#include <math.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"batch", 'b', "N", "samples per run (default 1)", false},
    {"shape", 0, "INPUT=DIMS", "an input's dimensions, e.g. x=1,3,224,224; may be repeated", true},
    {"no-fusion", 0, NULL, "do not fuse or rewrite nodes", false},
    {"table", 0, "FILE",
     "the table of measured times to use and extend (default: that of this machine in ~/.cache/skive; none: measure "
     "everything anew and keep nothing)",
     false},
};

#define SCATTERED 0.2 /* of a median, from which a time is called uncertain */

static bool is_scattered(const skive_cost_row *r) { return r->time.spread > SCATTERED * r->time.seconds; }

static void print_rows(const skive_cost_report *r) {
    static const char *const heads[] = {"<node", "<op", "<kernel", "time", "share", "MACs", "weights", "output", "<"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char name[CLI_SHORT], text[32];
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_cost_row *row = &r->rows[i];
        cli_table_cell(t, "%s", cli_short(row->node, name, sizeof name));
        cli_table_cell(t, "%s", row->op);
        cli_table_cell(t, "%s", row->time.kernel);
        cli_table_cell(t, "%s", cli_seconds(row->time.seconds, text, sizeof text));
        cli_table_cell(t, "%.1f %%", r->sum > 0 ? 100 * row->time.seconds / r->sum : 0);
        cli_table_cell(t, "%s", cli_thousands(row->macs, text, sizeof text));
        cli_table_cell(t, "%s", cli_bytes((double)row->parameter_bytes, text, sizeof text));
        cli_table_cell(t, "%s", cli_bytes((double)row->activation_bytes, text, sizeof text));
        cli_table_cell(t, "%s%s", row->time.cached ? "table" : "", is_scattered(row) ? "uncertain" : "");
    }
    cli_table_print(t, stdout);
}

static void print_report(const cli_args *a, const skive_cost_report *r, const skive_costs *costs, int64_t batch) {
    char x[4][32];
    size_t scattered = 0;
    for (size_t i = 0; i < r->n_rows; i++) scattered += is_scattered(&r->rows[i]);
    cli_printf("%s: batch %lld, %d thread%s, %s", a->positional[0], (long long)batch, r->threads,
               r->threads == 1 ? "" : "s", skive_cpu_isa_name());
    print_rows(r);
    cli_printf(
        "sum of the nodes %s; whole model %s, of which %s change layouts between nodes; the sum is off by %+.0f %%",
        cli_seconds(r->sum, x[0], 32), cli_seconds(r->whole, x[1], 32), cli_seconds(r->reorders, x[2], 32),
        r->whole > 0 ? 100 * (r->sum / r->whole - 1) : 0);
    if (r->whole_spread > SCATTERED * r->whole)
        cli_printf("the time of the whole model is uncertain: it scatters by %.0f %%",
                   100 * r->whole_spread / r->whole);
    cli_printf("%zu of %zu times from the table%s%s", r->n_cached, r->n_rows, skive_costs_path(costs)[0] ? " " : "",
               skive_costs_path(costs));
    if (scattered)
        cli_printf("%zu time%s scatter%s by more than %.0f %% (other programs use the processor?)", scattered,
                   scattered == 1 ? "" : "s", scattered == 1 ? "s" : "", 100 * SCATTERED);
}

static json_t *report_json(const skive_cost_report *r, const skive_costs *costs) {
    json_t *rows = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_cost_row *row = &r->rows[i];
        json_array_append_new(
            rows,
            json_pack("{s:o, s:o, s:s, s:f, s:f, s:b, s:I, s:I, s:I}", "node", cli_json_text(row->node), "op",
                      cli_json_text(row->op), "kernel", row->time.kernel, "seconds", row->time.seconds, "spread",
                      row->time.spread, "cached", row->time.cached, "macs", (json_int_t)row->macs, "parameter_bytes",
                      (json_int_t)row->parameter_bytes, "activation_bytes", (json_int_t)row->activation_bytes));
    }
    return json_pack("{s:s, s:i, s:o, s:f, s:f, s:f, s:f, s:I, s:o}", "isa", skive_cpu_isa_name(), "threads",
                     r->threads, "nodes", rows, "sum", r->sum, "whole", r->whole, "whole_spread", r->whole_spread,
                     "reorders", r->reorders, "cached", (json_int_t)r->n_cached, "table",
                     cli_json_text(skive_costs_path(costs)));
}

static skive_status measure(cli_args *a, const skive_graph *g, int64_t batch) {
    const char *table = cli_text(a, "table", NULL);
    skive_plan_options o = skive_plan_options_default();
    skive_cost_report report = {0};
    skive_costs *costs = NULL;
    cli_shapes shapes;
    skive_status status = cli_parse_shapes(a, &shapes);
    if (status != SKIVE_OK) return status;
    o.shapes = shapes.items;
    o.n_shapes = shapes.n;
    o.batch = batch;
    o.no_fusion = cli_has(a, "no-fusion");
    status = skive_costs_open(a->ctx, table && strcmp(table, "none") == 0 ? "" : table, &costs);
    if (status == SKIVE_OK) status = skive_costs_of_graph(costs, g, &o, &report);
    if (status == SKIVE_OK && a->json) cli_print_json(report_json(&report, costs));
    if (status == SKIVE_OK && !a->json) print_report(a, &report, costs, batch);
    if (status == SKIVE_OK) status = skive_costs_save(costs);
    skive_cost_report_free(a->ctx, &report);
    skive_costs_free(costs);
    cli_free_shapes(&shapes);
    return status;
}

static skive_status run(cli_args *a) {
    skive_graph *g = NULL;
    int64_t batch = 1;
    skive_status status = cli_integer(a, "batch", 1, 1000000, &batch);
    if (status == SKIVE_OK) status = cli_load_as_packed(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = measure(a, g, batch);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_cost = {
    .name = "cost",
    .brief = "measure what each node costs on this machine",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Each node of the plan is run by itself, on random inputs, alternating with the others and with the whole "
        "model; the\n"
        "time is the median. Times are kept in a table for this processor, instruction-set level and number of "
        "threads, and\n"
        "taken from there the next time. The sum differs from the time of the whole model: by itself a node finds "
        "its weights\n"
        "in the cache, and the whole model also changes memory layouts between nodes.",
    .examples = "  skive cost resnet50.onnx --shape input=1,3,224,224\n  skive cost int8.onnx --threads 1 --table none",
    .run = run,
};
