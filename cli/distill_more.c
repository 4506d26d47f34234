/* skive distill: early exits inside one network, and students that learn from one another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"

static skive_status exclude(cli_job *j, const char *what, const char *const *others, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (cli_has(j->a, others[i]))
            return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--%s does not go with --%s; leave one of them out", what,
                            others[i]);
    return SKIVE_OK;
}

skive_status distill_check_more(cli_job *j) {
    static const char *const not_exits[] = {"mutual", "self", "assistant"}, *const not_mutual[] = {
                                                                                "teacher",       "self",
                                                                                "assistant",     "student-init",
                                                                                "term",          "cache",
                                                                                "unlabelled",    "combine",
                                                                                "teacher-view",  "alpha",
                                                                                "teacher-mean",  "teacher-std",
                                                                                "teacher-scale", "teacher-layout",
                                                                                "teacher-head",  "teacher-classes"};
    distill_lesson *l = j->own;
    cli_args *a = j->a;
    skive_status status = SKIVE_OK;
    if (cli_has(a, "exits")) status = exclude(j, "exits", not_exits, CLI_COUNT(not_exits));
    if (status == SKIVE_OK && cli_has(a, "exit-weight") && !cli_has(a, "exits"))
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--exit-weight needs --exits");
    if (status == SKIVE_OK && cli_has(a, "exits") && l->n_trials > 1)
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--exits takes one value of -T and of --alpha");
    if (status != SKIVE_OK || !cli_has(a, "mutual")) return status;
    status = cli_integer(a, "mutual", 2, MOST_GENERATIONS, &l->mutual);
    if (status == SKIVE_OK) status = exclude(j, "mutual", not_mutual, CLI_COUNT(not_mutual));
    if (status == SKIVE_OK && l->n_trials > 1)
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--mutual takes one value of -T");
    if (status == SKIVE_OK && cli_is_file(cli_text(a, "student", "")))
        status = cli_fail(a, SKIVE_ERR_ARGUMENT,
                          "--mutual: students begin with different numbers; name a built-in network as --student");
    return status;
}

/* ---- exits ---- */

/* As published where nothing else is said (Zhang et al. 2019), but for the weight: with that of the last exit, exits of
 * one layer draw the places that they read to themselves, and the last one loses. */
#define EXIT_ALPHA       0.3
#define EXIT_TEMPERATURE 3.0
#define EXIT_WEIGHT      0.3

skive_status distill_add_exits(cli_job *j) {
    distill_lesson *l = j->own;
    const skive_distill_options *o = skive_options_distill(j->options);
    const double alpha = cli_has(j->a, "alpha") ? o->alpha : EXIT_ALPHA,
                 temperature = cli_has(j->a, "temperature") ? o->temperature : EXIT_TEMPERATURE;
    double weight = EXIT_WEIGHT;
    size_t n = 0;
    if (cli_number_in(j->a, "exit-weight", 1e-6, 1000, &weight) != SKIVE_OK) return SKIVE_ERR_ARGUMENT;
    const skive_status status = skive_model_add_exits(j->graph, j->train, cli_text(j->a, "exits", "auto"), &n);
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) {
        char *more =
            cli_format("%s%speer:value=exit%zu,labels=%g,soft=%g,temperature=%g,weight=%g", l->terms ? l->terms : "",
                       l->terms ? ";" : "", i + 1, 1 - alpha, alpha, temperature, weight);
        if (!more) return SKIVE_ERR_MEMORY;
        free(l->terms);
        l->terms = more;
    }
    return status;
}

skive_status distill_measure_exits(cli_job *j) {
    distill_lesson *l = j->own;
    if (!j->validation || j->dry || j->how->find_lr) return SKIVE_OK;
    return skive_exits_measure(j->a->ctx, j->graph, j->validation, &l->exits);
}

static void print_exits(const distill_lesson *l) {
    const char *const heads[] = {"<exit", "accuracy, %", "leave here, %", "ms", "MACs"};
    const skive_exits_report *r = &l->exits;
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t k = 0; t && k < r->n; k++) {
        cli_table_cell(t, "%s", k + 1 < r->n ? r->exits[k].name : "last");
        cli_table_cell(t, "%.2f", 100 * r->exits[k].accuracy);
        cli_table_cell(t, "%.1f", 100 * r->exits[k].share);
        cli_table_cell(t, "%.3f", r->exits[k].milliseconds);
        cli_table_cell(t, "%lld", (long long)r->exits[k].macs);
    }
    if (t) cli_table_print(t, stdout);
    if (r->threshold > 1)
        cli_printf("no threshold lets samples leave early at equal accuracy (of %zu validation samples)", r->chosen_on);
    else
        cli_printf("samples whose largest probability is %.4f or more leave early: %.1f %%, accuracy %.2f %% against "
                   "%.2f %% of the last exit, %.3f ms a sample, %.2f times as fast (threshold from %zu validation "
                   "samples, figures of the other %zu)",
                   r->threshold, 100 * r->early, 100 * r->accuracy, 100 * r->last, r->milliseconds,
                   r->exits[r->n - 1].milliseconds / r->milliseconds, r->chosen_on, r->samples);
}

/* ---- mutual learning ---- */

static skive_status measure_all(cli_job *j, skive_graph **students) {
    distill_lesson *l = j->own;
    skive_graph *together = NULL;
    skive_status status = SKIVE_OK;
    for (int64_t i = 0; i < l->mutual && status == SKIVE_OK; i++) {
        status = distill_measure(j, students[i], &l->figures[i]);
        if (distill_beats(l->figures[i], l->figures[l->best])) l->best = (int)i;
    }
    if (status != SKIVE_OK || !j->validation) return status;
    status = skive_model_ensemble(j->a->ctx, (const skive_graph *const *)students, (size_t)l->mutual, j->validation,
                                  &together);
    if (status == SKIVE_OK) status = distill_measure(j, together, &l->figures[l->mutual]);
    skive_graph_free(together);
    return status;
}

skive_status distill_mutual(cli_job *j) {
    distill_lesson *l = j->own;
    skive_distill_options *o = skive_options_distill(j->options);
    skive_graph *students[MOST_GENERATIONS] = {j->graph};
    skive_status status = SKIVE_OK;
    if (!cli_has(j->a, "temperature")) o->temperature = 1; /* as published */
    for (int64_t i = 1; i < l->mutual && status == SKIVE_OK; i++) status = distill_fresh(j, i, NULL, &students[i]);
    if (status == SKIVE_OK)
        status = skive_distill_mutual(j->a->ctx, students, (size_t)l->mutual, j->train, j->validation, o, &l->report);
    if (status == SKIVE_OK && !j->dry) status = measure_all(j, students);
    j->graph = students[l->best];
    for (int64_t i = 0; i < l->mutual; i++)
        if (i != l->best) skive_graph_free(students[i]);
    return status;
}

/* ---- both ---- */

void distill_print_more(const cli_job *j) {
    const distill_lesson *l = j->own;
    if (l->exits.n) print_exits(l);
    if (l->mutual > 0) distill_print_models(l, "<student", l->mutual, false);
}

void distill_more_json(const cli_job *j, json_t *json) {
    const distill_lesson *l = j->own;
    const skive_exits_report *r = &l->exits;
    if (r->n) {
        json_t *list = json_array();
        for (size_t k = 0; k < r->n; k++)
            json_array_append_new(list, json_pack("{s:s,s:f,s:f,s:f,s:I}", "output", r->exits[k].name, "accuracy",
                                                  r->exits[k].accuracy, "share", r->exits[k].share, "milliseconds",
                                                  r->exits[k].milliseconds, "macs", (json_int_t)r->exits[k].macs));
        json_object_set_new(json, "exits",
                            json_pack("{s:o,s:f,s:f,s:f,s:f,s:f}", "exits", list, "threshold", r->threshold, "early",
                                      r->early, "accuracy", r->accuracy, "last", r->last, "milliseconds",
                                      r->milliseconds));
    }
    if (l->mutual > 0) {
        json_t *list = json_array();
        for (int64_t i = 0; i < l->mutual; i++)
            json_array_append_new(list, isfinite(l->figures[i]) ? json_real(l->figures[i]) : json_null());
        json_object_set_new(json, "students", list);
        json_object_set_new(json, "ensemble",
                            isfinite(l->figures[l->mutual]) ? json_real(l->figures[l->mutual]) : json_null());
        json_object_set_new(json, "best", json_integer(l->best + 1));
    }
}
