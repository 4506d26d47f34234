/* The figures of an evaluation, and those of two, as text and as JSON. */
#include <math.h>
#include <string.h>

#include "cli.h"

enum { RESAMPLES = 1000 };

skive_status cli_resamples(cli_args *a, size_t *out) {
    int64_t n = RESAMPLES;
    const skive_status status = cli_integer(a, "resamples", 0, 100000, &n);
    *out = (size_t)n;
    return status;
}

const char *cli_figure_text(skive_figure_form form, bool sign, double x, char *buffer, size_t size) {
    if (isnan(x))
        snprintf(buffer, size, "-");
    else if (form == SKIVE_FIGURE_PERCENT)
        snprintf(buffer, size, sign ? "%+.2f" : "%.2f", 100 * x);
    else if (form == SKIVE_FIGURE_RATIO)
        snprintf(buffer, size, fabs(x) < 1e5 ? sign ? "%+.4f" : "%.4f" : sign ? "%+.6g" : "%.6g", x);
    else
        snprintf(buffer, size, sign ? "%+.5g" : "%.6g", x);
    return buffer;
}

void cli_print_figures(const skive_eval_report *r) {
    char x[32], low[32], high[32];
    bool drawn = false, any = false;
    for (size_t i = 0; i < r->n_figures; i++) {
        const skive_figure *f = &r->figures[i];
        const char *unit = f->form == SKIVE_FIGURE_PERCENT && !isnan(f->value) ? " %" : "";
        cli_part("%-17s %s%s", f->title, cli_figure_text(f->form, false, f->value, x, sizeof x), unit);
        if (isnan(f->value)) cli_part("  not defined for these samples");
        if (f->interval)
            cli_part("  (95 %% interval %s to %s)", cli_figure_text(f->form, false, f->low, low, sizeof low),
                     cli_figure_text(f->form, false, f->high, high, sizeof high));
        any = any || f->interval;
        drawn = drawn || (f->interval && strcmp(f->interval, "bootstrap") == 0);
        cli_end_line();
    }
    if (any)
        cli_printf("Intervals: Wilson's of shares, normal of other means%s.", drawn ? ", the rest by resampling" : "");
}

static void set_finite(json_t *j, const char *key, double x) {
    json_object_set_new(j, key, isfinite(x) ? json_real(x) : json_null());
}

static void set_interval(json_t *j, double low, double high, const char *interval) {
    if (!interval) return;
    set_finite(j, "low", low);
    set_finite(j, "high", high);
    json_object_set_new(j, "interval", json_string(interval));
}

json_t *cli_figures_json(const skive_eval_report *r) {
    json_t *all = json_object();
    for (size_t i = 0; i < r->n_figures; i++) {
        const skive_figure *f = &r->figures[i];
        json_t *one = json_object();
        set_finite(one, "value", f->value);
        set_interval(one, f->low, f->high, f->interval);
        json_object_set_new(all, f->name, one);
    }
    return all;
}

json_t *cli_pairs_json(const skive_figure_pair *pairs, size_t n) {
    json_t *all = json_object();
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();
        set_finite(one, "difference", pairs[i].difference);
        set_interval(one, pairs[i].low, pairs[i].high, pairs[i].interval);
        json_object_set_new(all, pairs[i].name, one);
    }
    return all;
}

void cli_figure_row(cli_table *t, const char *figure, const char *model, skive_figure_form form, double value,
                    const skive_figure_pair *p) {
    char x[32], low[32], high[32];
    cli_table_cell(t, "%s", figure);
    cli_table_cell(t, "%s", model);
    cli_table_cell(t, "%s", cli_figure_text(form, false, value, x, sizeof x));
    if (!p)
        cli_table_cell(t, "-");
    else if (p->interval)
        cli_table_cell(t, "%s [%s, %s]", cli_figure_text(form, true, p->difference, x, sizeof x),
                       cli_figure_text(form, true, p->low, low, sizeof low),
                       cli_figure_text(form, true, p->high, high, sizeof high));
    else
        cli_table_cell(t, "%s", cli_figure_text(form, true, p->difference, x, sizeof x));
}
