/* The report of skive compare for people. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

static void interval_cell(cli_table *t, double factor, double x, double low, double high) {
    cli_table_cell(t, "%+.*f [%+.*f, %+.*f]", 2, factor * x, 2, factor * low, 2, factor * high);
}

static void number_cell(cli_table *t, const char *format, double x) {
    char text[32];
    if (isnan(x)) {
        cli_table_cell(t, "-");
        return;
    }
    if (strcmp(format, "%.4f") == 0)
        cli_fixed(x, text, sizeof text);
    else
        snprintf(text, sizeof text, "%.5g", x);
    cli_table_cell(t, "%s", text);
}

/* Name, accuracy, and its difference to the first model. */
static void accuracy_cells(cli_table *t, const compare_entry *e, bool first) {
    cli_table_cell(t, "%s", e->name);
    cli_table_cell(t, "%.2f [%.2f, %.2f]", 100 * e->eval.accuracy, 100 * e->eval.low, 100 * e->eval.high);
    if (first)
        cli_table_cell(t, "-");
    else
        interval_cell(t, 100, e->paired.difference, e->paired.low, e->paired.high);
}

static void print_classes(const compare_entry *e, size_t n) {
    static const char *const heads[] = {"<model", "accuracy (95 %)", "to first (95 %)", "cross-entropy"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < n; i++) {
        accuracy_cells(t, &e[i], i == 0);
        number_cell(t, "%.4f", e[i].eval.loss);
    }
    cli_table_print(t, stdout);
}

static void print_labels(const compare_entry *e, size_t n) {
    static const char *const heads[] = {"<model", "all right (95 %)", "to first (95 %)", "F1 micro", "mAP", "AUC"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < n; i++) {
        accuracy_cells(t, &e[i], i == 0);
        number_cell(t, "%.4f", e[i].eval.f1_micro);
        number_cell(t, "%.4f", e[i].eval.map);
        number_cell(t, "%.4f", e[i].eval.auc);
    }
    cli_table_print(t, stdout);
}

static void print_values(const compare_entry *e, size_t n) {
    static const char *const heads[] = {"<model", "RMSE", "MAE", "R2", "MSE to first (95 %)"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < n; i++) {
        const skive_paired_report *p = &e[i].paired;
        cli_table_cell(t, "%s", e[i].name);
        number_cell(t, "%g", e[i].eval.rmse);
        number_cell(t, "%g", e[i].eval.mae);
        number_cell(t, "%.4f", e[i].eval.r2);
        if (i == 0)
            cli_table_cell(t, "-");
        else
            cli_table_cell(t, "%+.4g [%+.4g, %+.4g]", p->difference, p->low, p->high);
    }
    cli_table_print(t, stdout);
}

static const skive_figure_pair *pair_of(const compare_entry *e, const char *name) {
    for (size_t i = 0; i < e->n_pairs; i++)
        if (strcmp(e->pairs[i].name, name) == 0) return &e->pairs[i];
    return NULL;
}

/* All figures of the first model, and what the others have of them. */
static void print_all_figures(const compare_entry *e, size_t n) {
    static const char *const heads[] = {"<figure", "<model", "value", "to first (95 %)"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t k = 0; k < e[0].eval.n_figures; k++) {
        const skive_figure *f = &e[0].eval.figures[k];
        char title[64];
        snprintf(title, sizeof title, "%s%s", f->title, f->form == SKIVE_FIGURE_PERCENT ? ", %" : "");
        cli_figure_row(t, title, e[0].name, f->form, f->value, NULL);
        for (size_t i = 1; i < n; i++) {
            const skive_figure_pair *p = pair_of(&e[i], f->name);
            if (p) cli_figure_row(t, "", e[i].name, f->form, p->b, p);
        }
    }
    cli_table_print(t, stdout);
    cli_printf("Intervals of differences are paired: Newcombe's of shares, normal of other\n"
               "means, the rest by resampling.");
}

static const char *joules(double picojoules, char *buffer, size_t size) {
    const char *const units[] = {"pJ", "nJ", "uJ", "mJ", "J"};
    size_t u = 0;
    for (; picojoules >= 1000 && u + 1 < CLI_COUNT(units); u++) picojoules /= 1000;
    snprintf(buffer, size, "%.3g %s", picojoules, units[u]);
    return buffer;
}

static void print_costs(const compare_entry *e, size_t n) {
    static const char *const heads[] = {"<model", "parameters", "non-zero", "MACs", "weights", "", "file"};
    static const char *const speeds[] = {"<model", "latency", "samples/s", "energy (estimate)", "arithmetic", "memory"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char x[32];
    for (size_t i = 0; i < n; i++) {
        cli_table_cell(t, "%s", e[i].name);
        cli_table_cell(t, "%s", cli_thousands(e[i].cost.parameters, x, sizeof x));
        cli_table_cell(t, "%s", cli_thousands(e[i].cost.nonzeros, x, sizeof x));
        cli_table_cell(t, "%s", cli_thousands(e[i].cost.macs, x, sizeof x));
        cli_table_cell(t, "%s", cli_bytes((double)e[i].sizes.weights, x, sizeof x));
        if (e[i].sizes.weights > 0 && i > 0)
            cli_table_cell(t, "%.2fx", (double)e[0].sizes.weights / (double)e[i].sizes.weights);
        else
            cli_table_cell(t, "-");
        cli_table_cell(t, "%s", cli_bytes((double)e[i].sizes.file, x, sizeof x));
    }
    cli_table_print(t, stdout);
    fputc('\n', stdout);
    t = cli_table_new(speeds, CLI_COUNT(speeds));
    for (size_t i = 0; i < n; i++) {
        cli_table_cell(t, "%s", e[i].name);
        cli_table_cell(t, "%s", cli_seconds(e[i].latency.p50, x, sizeof x));
        cli_table_cell(t, "%.0f", e[i].throughput.throughput);
        cli_table_cell(t, "%s", joules(e[i].energy.total, x, sizeof x));
        cli_table_cell(t, "%s", joules(e[i].energy.arithmetic, x, sizeof x));
        cli_table_cell(t, "%s", joules(e[i].energy.memory, x, sizeof x));
    }
    cli_table_print(t, stdout);
    cli_printf(
        "Energy is estimated, not measured: operations and bytes times published values (45 nm, Horowitz 2014).");
    for (size_t i = 0; i < n; i++) {
        if (e[i].latency_batch > 1)
            cli_printf("%s takes %lld samples per run: its latency is for that many", e[i].name,
                       (long long)e[i].latency_batch);
    }
}

static void print_score_difference(const compare_entry *e, const compare_entry *first) {
    const skive_paired_report *p = &e->paired;
    if (!isnan(p->mean_score_difference))
        cli_printf("  outputs differ by %.3g on average and %.3g at most, over %lld samples", p->mean_score_difference,
                   p->max_score_difference, (long long)p->score_samples);
    else
        cli_printf("  output differences are left out: the first gives %lld %s per sample, this one %lld %s",
                   (long long)first->eval.scores, skive_output_kind_name(first->eval.output.kind),
                   (long long)e->eval.scores, skive_output_kind_name(e->eval.output.kind));
}

static void print_pairs(const compare_entry *e, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const skive_paired_report *p = &e[i].paired;
        cli_printf("%s against %s:", e[i].name, e[0].name);
        if (e[i].eval.hit) {
            cli_printf("  both right %lld, only the first %lld, only the second %lld, neither %lld; McNemar p = %.3g",
                       (long long)p->both, (long long)p->only_a, (long long)p->only_b, (long long)p->neither,
                       p->p_value);
            if (p->same_class >= 0)
                cli_printf("  same class for %lld of %lld", (long long)p->same_class, (long long)p->n);
        } else if (e[i].eval.task == SKIVE_TASK_VALUES) {
            cli_printf("  mean squared errors differ by %+.4g, p = %.3g", p->difference, p->p_value);
        }
        print_score_difference(&e[i], &e[0]);
    }
    for (size_t i = 1; i < n; i++) {
        if (e[i].sizes.weights >= e[0].sizes.weights)
            cli_printf("the weights of %s are NOT smaller than those of %s", e[i].name, e[0].name);
        if (e[i].sizes.file >= e[0].sizes.file) cli_printf("%s is NOT smaller on disk than %s", e[i].name, e[0].name);
        if (e[i].latency.p50 / (double)e[i].latency_batch >= e[0].latency.p50 / (double)e[0].latency_batch)
            cli_printf("%s is NOT faster than %s", e[i].name, e[0].name);
    }
}

static void print_target(const compare_entry *e, size_t n) {
    char text[256];
    if (e[0].eval.target) cli_printf("target %s", e[0].eval.target);
    for (size_t i = 0; i < n; i++)
        cli_printf("%s: output %s", e[i].name, cli_output_text(e[i].graph, &e[i].eval.output, text, sizeof text));
    fputc('\n', stdout);
    if (e[0].eval.task <= SKIVE_TASK_VALUES) {
        (e[0].eval.task == SKIVE_TASK_VALUES   ? print_values
         : e[0].eval.task == SKIVE_TASK_LABELS ? print_labels
                                               : print_classes)(e, n);
        fputc('\n', stdout);
    }
    print_all_figures(e, n);
}

/* The targets behind the first; all models have as many. */
static void print_more(const compare_entry *e, size_t n) {
    compare_entry *row = calloc(n, sizeof *row);
    for (size_t k = 0; row && k < e[0].eval.n_more; k++) {
        for (size_t i = 0; i < n; i++) row[i] = e[i].more[k];
        fputc('\n', stdout);
        print_target(row, n);
    }
    free(row);
}

void compare_print(const compare_entry *e, size_t n, const skive_dataset_info *info) {
    cli_printf("%lld samples of %s (%s)", (long long)e[0].eval.n, info->spec, skive_split_name(info->split));
    if (info->split == SKIVE_SPLIT_TEST && !info->separate_test)
        cli_printf("the data set has no separate test samples: the models may have been trained on these");
    print_target(e, n);
    compare_print_classes(e, n, info);
    print_more(e, n);
    fputc('\n', stdout);
    print_costs(e, n);
    fputc('\n', stdout);
    print_pairs(e, n);
}
