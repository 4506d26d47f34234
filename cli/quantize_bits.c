/* skive quantize under a budget: bits for each layer. */
#include <math.h>
#include <string.h>

#include "cli.h"

static const char *const budgets[SKIVE_BITS_BUDGETS] = {"bytes", "bit-operations", "latency"};

bool cli_quantize_has_budget(const cli_args *a) {
    for (size_t i = 0; i < SKIVE_BITS_BUDGETS; i++)
        if (cli_has(a, budgets[i])) return true;
    return false;
}

static skive_status check(cli_args *a, const char *output) {
    const size_t n = output ? strlen(output) : 0;
    if (!cli_has(a, "data"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "a budget is spent by what layers lose on labelled samples: give --data SET");
    if (cli_has(a, "bytes") && n > 4 && strcmp(output + n - 4, ".skv") == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--bytes is a budget for the ONNX file; for a packed one there is 'skive pack --bytes'");
    return SKIVE_OK;
}

skive_status cli_quantize_bits(cli_args *a, skive_graph *g, const skive_bits_options *given,
                               const skive_quantize_options *how, skive_quantize_report *r, skive_bits_report *bits) {
    const char *data = cli_text(a, "data", NULL);
    skive_dataset *samples = NULL, *validation = NULL, *test = NULL;
    skive_bits_options o = *given;
    skive_status status = check(a, cli_text(a, "output", NULL));
    o.quantize = how;
    /* The default asked for by name is not replaced by what the runtime takes: the same list, in another order. */
    if (cli_has(a, "grids") && strcmp(o.grids, "int8,int4") == 0) o.grids = "int4,int8";
    if (status == SKIVE_OK && cli_has(a, "max-drop")) status = cli_number_in(a, "max-drop", 0, 100, &o.max_drop);
    if (status == SKIVE_OK) status = cli_open_samples(a, data, SKIVE_SPLIT_TRAIN, g, &samples);
    if (status == SKIVE_OK) status = cli_open_data(a, data, SKIVE_SPLIT_VALIDATION, g, &validation);
    if (status == SKIVE_OK) status = cli_open_data(a, data, SKIVE_SPLIT_TEST, g, &test);
    if (status == SKIVE_OK) status = cli_set_input(a, g, samples);
    if (status == SKIVE_OK) status = skive_quantize_bits(a->ctx, g, samples, validation, test, &o, r, bits);
    skive_dataset_free(samples);
    skive_dataset_free(validation);
    skive_dataset_free(test);
    return status;
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *cli_quantize_bits_json(const skive_bits_report *r) {
    json_t *layers = json_array(), *list = json_object();
    for (size_t i = 0; i < r->n_layers; i++) {
        const skive_bits_layer *l = &r->layers[i];
        json_array_append_new(layers, json_pack("{s:o, s:o, s:s, s:I, s:I, s:f}", "node", cli_json_text(l->node),
                                                "parameter", cli_json_text(l->parameter), "grid", l->grid, "elements",
                                                (json_int_t)l->elements, "macs", (json_int_t)l->macs, "harm", l->harm));
    }
    for (size_t i = 0; i < SKIVE_BITS_BUDGETS; i++)
        if (!isnan(r->budget[i]))
            json_object_set_new(list, budgets[i],
                                json_pack("{s:o, s:o, s:o}", "budget", number(r->budget[i]), "used", number(r->used[i]),
                                          "least", number(r->least[i])));
    json_t *j = json_pack("{s:o, s:o, s:f, s:b, s:I, s:o, s:o, s:o, s:o}", "layers", layers, "budgets", list, "harm",
                          r->harm, "exact", r->exact, "samples", (json_int_t)r->samples, "original",
                          number(r->original), "drop", number(r->drop), "low", number(r->low), "high", number(r->high));
    if (r->control.n_trials) json_object_set_new(j, "control", cli_control_json(&r->control, (int)r->levels));
    if (r->tested)
        json_object_set_new(j, "test",
                            json_pack("{s:I, s:o, s:o, s:o, s:o}", "samples", (json_int_t)r->test_samples, "original",
                                      number(r->test_original), "drop", number(r->test_drop), "low",
                                      number(r->test_low), "high", number(r->test_high)));
    return j;
}

static void print_drop(const char *split, int64_t n, double original, double drop, double low, double high) {
    cli_part("%s: %lld sample%s, %.2f %% before, drop %+.2f points", split, (long long)n, n == 1 ? "" : "s", original,
             drop);
    if (isfinite(low)) cli_part(" (95 %% interval %+.2f to %+.2f)", low, high);
    cli_end_line();
}

void cli_quantize_tell_bits(const cli_args *a, const skive_bits_report *r) {
    if (a->json) {
        json_t *j = json_pack("{s:o, s:b}", "bits", cli_quantize_bits_json(r), "dry_run", 1);
        cli_print_json(j);
        return;
    }
    cli_quantize_print_bits(r);
    cli_print_dry_run();
}

void cli_quantize_print_bits(const skive_bits_report *r) {
    static const char *const heads[] = {"<weights", "<grid", "elements", "MACs", "harm"};
    char name[CLI_SHORT];
    if (r->n_layers) {
        cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
        for (size_t i = 0; i < r->n_layers; i++) {
            const skive_bits_layer *l = &r->layers[i];
            cli_table_cell(t, "%s", cli_short(l->parameter, name, sizeof name));
            cli_table_cell(t, "%s", l->grid);
            cli_table_cell(t, "%lld", (long long)l->elements);
            cli_table_cell(t, "%lld", (long long)l->macs);
            cli_table_cell(t, "%.3g", l->harm);
        }
        cli_table_print(t, stdout);
    }
    for (size_t i = 0; i < SKIVE_BITS_BUDGETS; i++) {
        if (isnan(r->budget[i]) || isnan(r->used[i])) continue;
        if (i == 2)
            cli_printf("%s: budget %.6g ms, used %.6g ms, smallest measured %.6g ms", budgets[i], 1e3 * r->budget[i],
                       1e3 * r->used[i], 1e3 * r->least[i]);
        else
            cli_printf("%s: budget %.10g, used %.10g, smallest possible %.10g", budgets[i], r->budget[i], r->used[i],
                       r->least[i]);
    }
    if (r->n_layers)
        cli_printf("sum of harms %.4g, %s", r->harm,
                   r->exact ? "the least within the budget" : "near the least within the budget");
    cli_print_control(&r->control, (int)r->levels, "budget");
    if (r->samples) print_drop("validation", r->samples, r->original, r->drop, r->low, r->high);
    if (r->tested) print_drop("test", r->test_samples, r->test_original, r->test_drop, r->test_low, r->test_high);
}
