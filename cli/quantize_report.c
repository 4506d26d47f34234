/* The result of quantization, as text and as JSON. */
#include <math.h>
#include <string.h>

#include "cli.h"

#define LOST_SQNR     3.0
#define BAD_SQNR      10.0 /* dB */
#define BAD_AGREEMENT 0.9
#define BETTER        1.0 /* dB by which another setting must be better to be mentioned */

static void print_rows(const skive_quantize_report *r) {
    static const char *const heads[] = {"<value", "<kind", "low", "high", "scale", "zero point", "SQNR dB"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_quantize_row *row = &r->rows[i];
        cli_table_cell(t, "%s", row->name);
        cli_table_cell(t, "%s %s", row->is_parameter ? "weight" : "activation", row->grid);
        cli_table_cell(t, "%.5g", row->lo);
        cli_table_cell(t, "%.5g", row->hi);
        cli_table_cell(t, "%.6g", row->scale);
        cli_table_cell(t, "%d", row->zero_point);
        if (isnan(row->sqnr))
            cli_table_cell(t, "%s", "-");
        else
            cli_table_cell(t, "%.1f", row->sqnr);
    }
    cli_table_print(t, stdout);
}

static json_t *values_json(const skive_quantize_report *r) {
    json_t *rows = json_array(), *refused = json_array(), *left = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_quantize_row *row = &r->rows[i];
        json_t *j = json_pack("{s:o, s:b, s:s, s:f, s:f, s:f, s:i}", "name", cli_json_text(row->name), "parameter",
                              row->is_parameter, "grid", row->grid, "low", row->lo, "high", row->hi, "scale",
                              row->scale, "zero_point", row->zero_point);
        if (isfinite(row->sqnr)) json_object_set_new(j, "sqnr_db", json_real(row->sqnr));
        json_array_append_new(rows, j);
    }
    for (size_t i = 0; i < r->n_refused; i++) json_array_append_new(refused, cli_json_text(r->refused[i]));
    for (size_t i = 0; i < r->n_left; i++) {
        const skive_quantize_left *l = &r->left[i];
        json_t *nodes = json_array(), *weights = json_array();
        for (size_t k = 0; k < 3 && l->nodes[k]; k++) {
            json_array_append_new(nodes, cli_json_text(l->nodes[k]));
            if (l->weights[k]) json_array_append_new(weights, cli_json_text(l->weights[k]));
        }
        json_array_append_new(left, json_pack("{s:s, s:o, s:o, s:o, s:I, s:I}", "op", l->op, "reason",
                                              cli_json_text(l->reason), "nodes", nodes, "largest_weights", weights,
                                              "count", (json_int_t)l->n_nodes, "weights", (json_int_t)l->n_weights));
    }
    return json_pack("{s:o, s:o, s:I, s:o, s:I, s:f}", "values", rows, "left_in_float", left, "quantized_nodes",
                     (json_int_t)r->n_quantized, "refused", refused, "samples", (json_int_t)r->samples, "seconds",
                     r->seconds);
}

/* A list's next item. */
static void put_item(size_t index, const char *text) { cli_part("%s%s", index ? ", " : "    ", text); }

static void print_left(const skive_quantize_left *l) {
    char count[32], name[CLI_SHORT], weight[CLI_SHORT];
    cli_part("kept in float: %zu %s", l->n_nodes, l->op);
    if (l->n_weights) cli_part(" (%s weights)", cli_thousands(l->n_weights, count, sizeof count));
    cli_printf(": %s", l->reason);
    for (size_t i = 0; i < 3 && l->nodes[i]; i++) {
        char text[2 * CLI_SHORT + 8];
        cli_short(l->nodes[i], name, sizeof name);
        if (l->weights[i])
            snprintf(text, sizeof text, "%s (%s)", name, cli_short(l->weights[i], weight, sizeof weight));
        else
            snprintf(text, sizeof text, "%s", name);
        put_item(i, text);
    }
    if (l->n_nodes > 3) cli_part(" and %zu more", l->n_nodes - 3);
    cli_end_line();
}

/* Problems of the result, for standard error: these lines are printed even with --quiet. */
void cli_quantize_warn(const skive_quantize_report *r) {
    const skive_quantize_trial *other = &r->tried[1];
    double least = INFINITY;
    for (size_t i = 0; i < r->n_rows; i++) {
        if (r->rows[i].is_parameter && r->rows[i].sqnr < LOST_SQNR)
            cli_tell("warning: weight '%s' has an SQNR of %.1f dB: almost nothing of it is left on the grid %s, whose "
                     "scales "
                     "or numbers are too large or too small for it",
                     r->rows[i].name, r->rows[i].sqnr, r->rows[i].grid);
    }
    for (size_t i = 0; i < r->n_outputs; i++) {
        const skive_quantize_output *o = &r->outputs[i];
        if (o->sqnr < least) least = o->sqnr;
        if (o->sqnr < BAD_SQNR)
            cli_tell("warning: output '%s' has an SQNR of only %.1f dB against the float model (below %.0f is bad); "
                     "see --table, --skip the nodes of the worst values, or calibrate with more and other samples",
                     o->name, o->sqnr, BAD_SQNR);
        if (o->agreement < BAD_AGREEMENT)
            cli_tell("warning: output '%s' gives a different class than the float model for %.1f %% of the samples",
                     o->name, 100 * (1 - o->agreement));
    }
    if (r->n_tried > 1 && r->calibration && strcmp(r->calibration, r->tried[0].calibration) == 0 &&
        other->score > r->tried[0].score + BETTER)
        cli_tell("warning: --calibration %s is better for this model: %.1f dB instead of %.1f", other->calibration,
                 other->score, r->tried[0].score);
    else if (r->n_tried == 1 && isfinite(least) && least < 2 * BAD_SQNR)
        cli_tell("warning: --calibration auto may be better than %s", r->calibration);
    if (!r->outlier.name) return;
    cli_tell(
        "warning: value '%s' was %.6g in calibration sample %lld, far outside the range %.4g to %.4g of all others",
        r->outlier.name, r->outlier.value, (long long)r->outlier.run, r->outlier.low, r->outlier.high);
    if (r->outlier.spoilt_runs > 0)
        cli_tell("warning: %lld sample%s of this kind %s left out of the figures and of the choice of auto",
                 (long long)r->outlier.spoilt_runs, r->outlier.spoilt_runs == 1 ? "" : "s",
                 r->outlier.spoilt_runs == 1 ? "is" : "are");
}

/* What was found layer by layer. */
static void print_fit_table(const skive_quantize_report *r) {
    static const char *const heads[] = {"<node", "<method", "error", "of before", "stay", "alpha"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char name[CLI_SHORT];
    for (size_t i = 0; i < r->n_fits; i++) {
        const skive_quantize_fit *f = &r->fits[i];
        cli_table_cell(t, "%s", cli_short(f->node, name, sizeof name));
        cli_table_cell(t, "%s", f->method);
        cli_table_cell(t, "%.4g", f->after);
        cli_table_cell(t, "%.1f %%", f->before > 0 ? 100 * f->after / f->before : 100);
        cli_table_cell(t, "%lld of %lld", (long long)f->kept, (long long)f->channels);
        if (isnan(f->alpha))
            cli_table_cell(t, "%s", "-");
        else
            cli_table_cell(t, "%.2f", f->alpha);
    }
    cli_table_print(t, stdout);
}

static void print_fits(const skive_quantize_report *r, bool table) {
    double ratio = 0;
    int64_t kept = 0, channels = 0;
    if (r->n_fits == 0) return;
    for (size_t i = 0; i < r->n_fits; i++) {
        const skive_quantize_fit *f = &r->fits[i];
        ratio += f->before > 0 ? 100 * f->after / f->before : 100;
        kept += f->kept;
        channels += f->channels;
    }
    if (table) print_fit_table(r);
    cli_printf("layer by layer: the squared error of a layer's outputs is %.1f %% of that before, on average; %lld of "
               "%lld channels stay as they were, because nothing better was found",
               ratio / (double)r->n_fits, (long long)kept, (long long)channels);
}

static void print_quality(const skive_quantize_report *r) {
    for (size_t i = 0; i < r->n_outputs; i++) {
        const skive_quantize_output *o = &r->outputs[i];
        cli_part("output '%s':", o->name);
        if (!isnan(o->sqnr)) cli_part(" SQNR %.1f dB", o->sqnr);
        if (!isnan(o->agreement)) cli_part("%s same answer on %.1f %%", isnan(o->sqnr) ? "" : ",", 100 * o->agreement);
        if (isnan(o->sqnr) && isnan(o->agreement)) cli_part(" all zero on these samples");
        cli_end_line();
    }
    if (r->held_out)
        cli_printf("(against the float model, on %lld samples held out of calibration)", (long long)r->check_samples);
    else
        cli_printf("(against the float model, on the calibration samples: too few to hold any out)");
    char text[160], name[CLI_SHORT];
    if (r->worst[0].name) cli_printf("values with the lowest SQNR:");
    for (size_t i = 0; i < SKIVE_QUANTIZE_WORST && r->worst[i].name; i++) {
        snprintf(text, sizeof text, "%s (%s%.1f dB)", cli_short(r->worst[i].name, name, sizeof name),
                 r->worst[i].is_parameter ? "weight, " : "", r->worst[i].sqnr);
        put_item(i, text);
    }
    if (r->worst[0].name) cli_end_line();
    cli_printf("calibration used: %s",
               strcmp(r->calibration, "auto") == 0 ? "chosen per value (auto)" : r->calibration);
    if (r->n_tried < 2) return;
    for (size_t i = 0; i < r->n_tried; i++) {
        snprintf(text, sizeof text, "%s %.1f dB", r->tried[i].calibration, r->tried[i].score);
        put_item(i, text);
    }
    cli_end_line();
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static void add_quality(json_t *j, const skive_quantize_report *r) {
    json_t *outputs = json_array(), *worst = json_array(), *tried = json_array();
    for (size_t i = 0; i < r->n_outputs; i++) {
        const skive_quantize_output *o = &r->outputs[i];
        json_array_append_new(outputs, json_pack("{s:o, s:o, s:o}", "name", cli_json_text(o->name), "sqnr_db",
                                                 number(o->sqnr), "same_answer", number(o->agreement)));
    }
    for (size_t i = 0; i < SKIVE_QUANTIZE_WORST && r->worst[i].name; i++)
        json_array_append_new(worst, json_pack("{s:o, s:o}", "name", cli_json_text(r->worst[i].name), "sqnr_db",
                                               number(r->worst[i].sqnr)));
    for (size_t i = 0; i < r->n_tried; i++)
        json_array_append_new(tried, json_pack("{s:s, s:o}", "calibration", r->tried[i].calibration, "score_db",
                                               number(r->tried[i].score)));
    json_object_set_new(j, "outputs", outputs);
    json_object_set_new(j, "check_samples", json_integer(r->check_samples));
    json_object_set_new(j, "held_out", json_boolean(r->held_out));
    json_object_set_new(j, "worst", worst);
    json_object_set_new(j, "calibration", json_string(r->calibration));
    json_object_set_new(j, "tried", tried);
    if (r->outlier.name)
        json_object_set_new(j, "outlier",
                            json_pack("{s:o, s:f, s:I, s:f, s:f}", "name", cli_json_text(r->outlier.name), "value",
                                      r->outlier.value, "sample", (json_int_t)r->outlier.run, "low", r->outlier.low,
                                      "high", r->outlier.high));
}

json_t *cli_quantize_json(const skive_quantize_report *r) {
    json_t *j = values_json(r);
    add_quality(j, r);
    json_t *fits = json_array();
    for (size_t i = 0; i < r->n_fits; i++) {
        const skive_quantize_fit *f = &r->fits[i];
        json_array_append_new(fits, json_pack("{s:o, s:s, s:f, s:f, s:I, s:I, s:o}", "node", cli_json_text(f->node),
                                              "method", f->method, "before", f->before, "after", f->after, "channels",
                                              (json_int_t)f->channels, "kept", (json_int_t)f->kept, "alpha",
                                              number(f->alpha)));
    }
    json_object_set_new(j, "layers", fits);
    json_object_set_new(j, "multipliers", json_string(r->fixed_multipliers ? "fixed" : "float"));
    return j;
}

void cli_quantize_print_left(const skive_quantize_report *r) {
    for (size_t i = 0; i < r->n_left; i++) print_left(&r->left[i]);
}

static void print_multipliers(const skive_quantize_report *r) {
    if (r->fixed_multipliers)
        cli_printf("multipliers are fixed-point, an int32 and a shift, in every run of the model from now on");
}

void cli_quantize_print(const skive_quantize_report *r, bool table) {
    if (table) print_rows(r);
    if (r->samples == 0) {
        cli_printf("quantized %zu node%s without samples in %.1f s: ranges by the statistics of BatchNormalization; "
                   "nothing was measured",
                   r->n_quantized, r->n_quantized == 1 ? "" : "s", r->seconds);
        print_multipliers(r);
        for (size_t i = 0; i < r->n_left; i++) print_left(&r->left[i]);
        return;
    }
    const int64_t held = r->held_out ? r->check_samples : 0;
    cli_part("quantized %zu node%s with %lld calibration sample%s", r->n_quantized, r->n_quantized == 1 ? "" : "s",
             (long long)(r->samples - held), r->samples - held == 1 ? "" : "s");
    if (held) cli_part(" and %lld held out to check them", (long long)held);
    cli_printf(" in %.1f s", r->seconds);
    print_multipliers(r);
    print_fits(r, table);
    print_quality(r);
    for (size_t i = 0; i < r->n_left; i++) print_left(&r->left[i]);
}

void cli_quantize_print_plan(const skive_quantize_report *r, bool no_data) {
    static const char *const heads[] = {"<weights", "SQNR dB"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < r->n_rows; i++) {
        if (!r->rows[i].is_parameter) continue;
        cli_table_cell(t, "%s", r->rows[i].name);
        if (isfinite(r->rows[i].sqnr))
            cli_table_cell(t, "%.1f", r->rows[i].sqnr);
        else
            cli_table_cell(t, "%s", "-");
    }
    cli_table_print(t, stdout);
    cli_part("would quantize %zu node%s, and these weights to s8; ranges of activations by ", r->n_quantized,
             r->n_quantized == 1 ? "" : "s");
    if (no_data)
        cli_printf("the statistics of BatchNormalization");
    else
        cli_printf("%s from calibration samples", r->calibration);
    for (size_t i = 0; i < r->n_left; i++) print_left(&r->left[i]);
}
