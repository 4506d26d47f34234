/* skive compare without labels: how far models agree with the first one. */
#include <math.h>
#include <stdlib.h>

#include "compare.h"

static void text_of(double x, const char *format, char *buffer, size_t size) {
    if (isnan(x))
        snprintf(buffer, size, "-");
    else if (isinf(x))
        snprintf(buffer, size, "equal");
    else
        snprintf(buffer, size, format[0] == 'g' ? "%.4g" : "%.1f", x);
}

static void print(const compare_entry *e, const skive_agreement *r, size_t n, const skive_dataset_info *info) {
    static const char *const heads[] = {"<model", "same answer, % [95 %]", "mean difference", "largest", "SQNR, dB"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char x[32];
    cli_printf("%zu samples of %s (%s), without labels: answers against those of %s", info->count, info->spec,
               skive_split_name(info->split), e[0].name);
    for (size_t i = 1; i < n; i++) {
        cli_table_cell(t, "%s", e[i].name);
        if (isnan(r[i].share))
            cli_table_cell(t, "%s", "-");
        else
            cli_table_cell(t, "%.2f [%.2f, %.2f]", 100 * r[i].share, 100 * r[i].low, 100 * r[i].high);
        text_of(r[i].mean_difference, "g", x, sizeof x);
        cli_table_cell(t, "%s", x);
        text_of(r[i].max_difference, "g", x, sizeof x);
        cli_table_cell(t, "%s", x);
        text_of(r[i].sqnr, "f", x, sizeof x);
        cli_table_cell(t, "%s", x);
    }
    cli_table_print(t, stdout);
    for (size_t i = 1; i < n; i++) {
        if (!r[i].decides)
            cli_printf("%s: answers are values, or not decisions of one kind: no share is equal", e[i].name);
        if (!r[i].same_kind) cli_printf("%s: its output is of another kind: numbers are not compared", e[i].name);
    }
}

static void set(json_t *j, const char *key, double x) {
    json_object_set_new(j, key, isfinite(x) ? json_real(x) : json_null());
}

static json_t *json_of(const compare_entry *e, const skive_agreement *r, size_t n, const skive_dataset_info *info) {
    json_t *models = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_pack("{s:o, s:o}", "name", cli_json_text(e[i].name), "file", cli_json_text(e[i].path));
        cli_set_sizes(one, NULL, &e[i].sizes);
        if (i > 0) {
            json_object_set_new(one, "n", json_integer((json_int_t)r[i].n));
            json_object_set_new(one, "same", r[i].decides ? json_integer((json_int_t)r[i].same) : json_null());
            set(one, "share", r[i].share);
            set(one, "low", r[i].low);
            set(one, "high", r[i].high);
            set(one, "mean_difference", r[i].mean_difference);
            set(one, "max_difference", r[i].max_difference);
            set(one, "sqnr", r[i].sqnr);
        }
        json_array_append_new(models, one);
    }
    return json_pack("{s:o, s:b, s:o}", "data", cli_json_text(info->spec), "labels", false, "models", models);
}

static skive_status check_options(cli_args *a) {
    static const char *const labelled[] = {"max-drop", "min-speedup", "max-bytes", "resamples", "seconds", "metrics"};
    for (size_t i = 0; i < CLI_COUNT(labelled); i++)
        if (cli_has(a, labelled[i]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s has no effect without labels: only answers are compared",
                            labelled[i]);
    return SKIVE_OK;
}

skive_status compare_answers(cli_args *a, compare_entry *e, size_t n, const char *data, skive_split split) {
    skive_agreement *r = calloc(n, sizeof *r);
    skive_dataset *first = NULL;
    skive_dataset_info info;
    skive_status status = r ? check_options(a) : SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = cli_open_samples(a, data, split, e[0].graph, &first);
    if (status == SKIVE_OK) status = cli_set_input_where_unsaid(a, e[0].graph, e[0].name, first);
    for (size_t i = 1; i < n && status == SKIVE_OK; i++) {
        skive_dataset *own = NULL;
        status = cli_open_samples(a, data, split, e[i].graph, &own);
        if (status == SKIVE_OK) status = cli_set_input_where_unsaid(a, e[i].graph, e[i].name, own);
        if (status == SKIVE_OK) status = skive_compare_answers(a->ctx, e[0].graph, e[i].graph, first, own, 0, &r[i]);
        skive_dataset_free(own);
    }
    if (status == SKIVE_OK) {
        skive_dataset_get_info(first, &info);
        json_t *j = json_of(e, r, n, &info);
        if (cli_has(a, "report")) status = cli_write_json(a, j, cli_text(a, "report", NULL));
        if (a->json)
            cli_print_json(json_incref(j));
        else
            print(e, r, n, &info);
        json_decref(j);
    }
    skive_dataset_free(first);
    free(r);
    return status;
}
