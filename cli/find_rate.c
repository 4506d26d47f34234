/* What the learning-rate finder found: a curve and a suggestion. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "logs.h"

static double suggested(const skive_rate_search *r) { return fmin(r->steepest, r->below_minimum); }

static json_t *search_json(const skive_rate_search *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++)
        json_array_append_new(
            list, json_pack("{s:f, s:f, s:f}", "rate", r->rates[i], "loss", r->losses[i], "smoothed", r->smoothed[i]));
    json_t *j = json_pack("{s:o}", "rates", list);
    if (isfinite(r->steepest)) json_object_set_new(j, "steepest", json_real(r->steepest));
    if (isfinite(r->below_minimum)) json_object_set_new(j, "below_minimum", json_real(r->below_minimum));
    if (isfinite(suggested(r))) json_object_set_new(j, "suggested", json_real(suggested(r)));
    return j;
}

static skive_status write_picture(cli_args *a, const cli_curve *curve, const char *output) {
    cli_run run = {.name = (char[]){"smoothed loss"}};
    const cli_logs logs = {.runs = &run, .n = 1, .figures = {{"loss", NULL, NULL, NULL}}, .n_figures = 1};
    const bool chosen[CLI_MOST_FIGURES] = {true}; /* the first figure is the loss */
    run.training[0] = *curve;
    char *text = cli_logs_svg(&logs, chosen, "log10 of the learning rate", "learning-rate finder", false);
    const skive_status status =
        text ? skive_file_write(a->ctx, output, text, strlen(text)) : cli_fail(a, SKIVE_ERR_MEMORY, "out of memory");
    free(text);
    return status;
}

static void print_search(const skive_rate_search *r, const cli_curve *curve) {
    char *text =
        cli_chart_text("smoothed loss over the log10 of the learning rate", curve, 1, false, CLI_COLUMNS - 1, 14);
    if (text) cli_print_chart(text);
    free(text);
    if (!isfinite(suggested(r))) {
        cli_printf(
            "no learning rate was found at which the loss falls: look at the curve, or give more --find-lr-steps");
        return;
    }
    cli_printf(
        "suggested: --lr %.2g (the loss falls fastest at %.3g; a tenth of the rate with the lowest loss is %.3g)",
        suggested(r), r->steepest, r->below_minimum);
}

skive_status cli_tell_rates(cli_args *a, const skive_rate_search *r, const char *output) {
    cli_curve curve = {.joined = true, .mark = '*'};
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < r->n && status == SKIVE_OK; i++) {
        if (!cli_curve_add(&curve, log10(r->rates[i]), r->smoothed[i]))
            status = cli_fail(a, SKIVE_ERR_MEMORY, "out of memory");
    }
    if (status == SKIVE_OK && output) status = write_picture(a, &curve, output);
    if (status == SKIVE_OK && a->json) {
        json_t *j = search_json(r);
        if (output) json_object_set_new(j, "output", cli_json_text(output));
        cli_print_json(j);
    } else if (status == SKIVE_OK) {
        print_search(r, &curve);
        if (output) cli_printf("wrote %s", output);
        cli_printf("nothing was trained, and no model was written");
    }
    cli_curve_free(&curve);
    return status;
}
