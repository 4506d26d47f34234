/* Runs of skive distill that are made of several: settings that are tried, an assistant between, generations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"

/* ---- figures ---- */

/* Of validation: the accuracy, or where there is none the loss with its sign turned. */
static skive_status measure(cli_job *j, const skive_graph *g, double *out) {
    distill_lesson *l = j->own;
    skive_eval_report r;
    *out = NAN;
    if (!j->validation) return SKIVE_OK;
    const skive_status status = skive_evaluate(j->a->ctx, g, j->validation, 0, &r);
    if (status != SKIVE_OK) return status;
    const bool accuracy = r.task != SKIVE_TASK_VALUES && r.task != SKIVE_TASK_LABELS && isfinite(r.accuracy);
    l->figure = accuracy ? "accuracy" : "loss";
    *out = accuracy ? r.accuracy : -r.loss;
    skive_eval_report_free(j->a->ctx, &r);
    return SKIVE_OK;
}

static void cell(cli_table *t, const distill_lesson *l, double figure) {
    if (isnan(figure))
        cli_table_cell(t, "-");
    else if (l->figure && strcmp(l->figure, "loss") == 0)
        cli_table_cell(t, "%.4f", -figure);
    else
        cli_table_cell(t, "%.2f", 100 * figure);
}

static const char *head_of(const distill_lesson *l) {
    return l->figure && strcmp(l->figure, "loss") == 0 ? "validation loss" : "validation, %";
}

/* ---- settings ---- */

static skive_status read_list(cli_job *j, const char *name, double fallback, double *values, size_t *n) {
    const char *text = cli_text(j->a, name, NULL);
    *n = 0;
    if (!text) {
        values[(*n)++] = fallback;
        return SKIVE_OK;
    }
    while (*n < MOST_TRIALS) {
        const size_t length = strcspn(text, ",");
        char *one = cli_format("%.*s", (int)length, text);
        if (!one) return SKIVE_ERR_MEMORY;
        const skive_status status = skive_options_set(j->options, name, one);
        const skive_distill_options *o = skive_options_distill(j->options);
        free(one);
        if (status != SKIVE_OK) return status;
        values[(*n)++] = name[0] == 'a' ? o->alpha : o->temperature;
        if (!text[length]) return SKIVE_OK;
        text += length + 1;
    }
    return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--%s has more than %d values", name, (int)MOST_TRIALS);
}

skive_status distill_read_trials(cli_job *j) {
    distill_lesson *l = j->own;
    double temperatures[MOST_TRIALS], alphas[MOST_TRIALS];
    size_t n, m;
    const skive_distill_options *o = skive_options_distill(j->options);
    const double temperature = o->temperature, alpha = o->alpha;
    skive_status status = read_list(j, "temperature", temperature, temperatures, &n);
    if (status == SKIVE_OK) status = read_list(j, "alpha", alpha, alphas, &m);
    if (status != SKIVE_OK) return status;
    if (n * m > MOST_TRIALS)
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "%zu temperatures with %zu values of alpha are more than %d settings",
                        n, m, (int)MOST_TRIALS);
    for (size_t i = 0; i < n * m; i++)
        l->trials[i] = (distill_trial){.temperature = temperatures[i / m], .alpha = alphas[i % m], .figure = NAN};
    l->n_trials = n * m;
    return SKIVE_OK;
}

static void use(cli_job *j, const distill_trial *t) {
    skive_distill_options *o = skive_options_distill(j->options);
    o->temperature = t->temperature;
    o->alpha = t->alpha;
}

static skive_status try_one(cli_job *j, distill_trial *t, int epochs) {
    const skive_train_options given = *j->how;
    skive_graph *g = NULL;
    skive_status status = skive_graph_copy(j->a->ctx, j->graph, &g);
    j->how->epochs = epochs;
    j->how->log = j->how->tensorboard = NULL;
    use(j, t);
    if (status == SKIVE_OK) status = distill_once(j, g, NULL);
    if (status == SKIVE_OK) status = measure(j, g, &t->figure);
    t->epochs = epochs;
    *j->how = given;
    skive_graph_free(g);
    return status;
}

/* The worse half is out; of equal ones the first stays. */
static size_t halve(distill_lesson *l, size_t left) {
    for (size_t keep = (left + 1) / 2; left > keep; left--) {
        size_t worst = l->n_trials;
        for (size_t i = 0; i < l->n_trials; i++)
            if (!l->trials[i].out && (worst == l->n_trials || !(l->trials[i].figure > l->trials[worst].figure)))
                worst = i;
        l->trials[worst].out = true;
    }
    return left;
}

/* Successive halving (Jamieson & Talwalkar 2016): all settings for a few epochs, the better half for twice as many,
 * until one is left, which then trains in full. */
static skive_status try_all(cli_job *j) {
    distill_lesson *l = j->own;
    size_t left = l->n_trials, best = 0;
    int rounds = 0;
    for (size_t k = left; k > 1; k = (k + 1) / 2) rounds++;
    for (int r = rounds; left > 1; r--) {
        const int epochs = j->how->epochs >> r > 0 ? j->how->epochs >> r : 1;
        for (size_t i = 0; i < l->n_trials; i++) {
            if (l->trials[i].out) continue;
            const skive_status status = try_one(j, &l->trials[i], epochs);
            if (status != SKIVE_OK) return status;
        }
        left = halve(l, left);
    }
    while (l->trials[best].out) best++;
    use(j, &l->trials[best]);
    return SKIVE_OK;
}

/* ---- the assistant ---- */

/* A network between teacher and student (Mirzadeh et al. 2020): it learns from the teacher, and the student from it. */
static skive_status teach_assistant(cli_job *j) {
    distill_lesson *l = j->own;
    const skive_train_options given = *j->how;
    skive_graph *assistant = NULL;
    const char *spec = cli_text(j->a, "assistant", NULL);
    skive_status status = distill_start(j, spec, l->teachers[0], &assistant);
    j->how->log = j->how->tensorboard = NULL;
    if (status == SKIVE_OK) status = distill_once(j, assistant, NULL);
    *j->how = given;
    if (status == SKIVE_OK) status = measure(j, assistant, &l->assistant);
    if (status != SKIVE_OK) {
        skive_graph_free(assistant);
        return status;
    }
    for (size_t i = 0; i < l->n_teachers; i++) {
        skive_graph_free(l->teachers[i]);
        l->teachers[i] = NULL;
        if (i) free(l->names[i]);
        if (i) l->names[i] = NULL;
    }
    l->teachers[0] = assistant;
    l->weights[0] = 0;
    l->n_teachers = 1;
    skive_options_distill(j->options)->combine = NULL;
    return SKIVE_OK;
}

/* ---- generations ---- */

typedef struct family {
    skive_graph *members[MOST_GENERATIONS + 1];
    size_t n; /* that are trained */
} family;

/* Another start: a built-in network with another seed, a file as it is. */
static skive_status fresh(cli_job *j, int64_t generation, const skive_graph *like, skive_graph **out) {
    const char *spec = cli_text(j->a, "student", NULL);
    const uint64_t seed = skive_context_seed(j->a->ctx);
    if (cli_is_file(spec)) return skive_graph_copy(j->a->ctx, j->graph, out);
    skive_context_set_seed(j->a->ctx, seed + (uint64_t)generation);
    const skive_status status = distill_start(j, spec, like, out);
    skive_context_set_seed(j->a->ctx, seed);
    return status;
}

static skive_status train_first(cli_job *j, skive_graph *g) {
    return skive_train(j->a->ctx, g, j->train, j->validation, j->how, NULL, 0, NULL);
}

static skive_status measure_ensemble(cli_job *j, const family *f) {
    distill_lesson *l = j->own;
    skive_graph *g = NULL;
    if (!j->validation || f->n < 2) return SKIVE_OK;
    skive_status status =
        skive_model_ensemble(j->a->ctx, (const skive_graph *const *)f->members, f->n, j->validation, &g);
    if (status == SKIVE_OK) status = measure(j, g, &l->figures[l->generations + 1]);
    skive_graph_free(g);
    return status;
}

/* Born-again networks (Furlanello et al. 2018): each generation starts anew and learns from the one before. */
static skive_status raise_generations(cli_job *j) {
    distill_lesson *l = j->own;
    family f = {.n = 0};
    skive_status status = SKIVE_OK;
    skive_graph *first = NULL;
    if (l->n_teachers == 0) {
        status = fresh(j, 0, NULL, &first);
        if (status == SKIVE_OK) status = train_first(j, first);
        l->teachers[0] = first;
        l->n_teachers = status == SKIVE_OK;
        if (status != SKIVE_OK) skive_graph_free(first);
    }
    if (status == SKIVE_OK) status = measure(j, l->teachers[0], &l->figures[0]);
    for (int64_t i = 1; i <= l->generations && status == SKIVE_OK; i++) {
        skive_graph **g = &f.members[f.n];
        status = fresh(j, i, l->teachers[0], g);
        if (i > 1) skive_train_report_free(j->a->ctx, &l->report);
        if (status == SKIVE_OK) status = distill_once(j, *g, &l->report);
        if (status == SKIVE_OK) status = measure(j, *g, &l->figures[i]);
        if (status != SKIVE_OK) {
            skive_graph_free(*g);
            break;
        }
        f.n++;
        if (l->best == 0 || !(l->figures[i] <= l->figures[l->best])) l->best = (int)i;
        for (size_t k = 0; k < l->n_teachers; k++) skive_graph_free(l->teachers[k]);
        l->n_teachers = 1;
        l->teachers[0] = NULL;
        status = skive_graph_copy(j->a->ctx, *g, &l->teachers[0]);
        if (status != SKIVE_OK) l->n_teachers = 0;
        skive_options_distill(j->options)->combine = NULL;
    }
    if (status == SKIVE_OK) status = measure_ensemble(j, &f);
    for (size_t i = 0; i < f.n; i++) {
        if (status == SKIVE_OK && (int)i + 1 == l->best) {
            skive_graph_free(j->graph);
            j->graph = f.members[i];
        } else {
            skive_graph_free(f.members[i]);
        }
    }
    return status;
}

/* ---- together ---- */

skive_status distill_check_plan(cli_job *j) {
    distill_lesson *l = j->own;
    cli_args *a = j->a;
    const char *what = l->n_trials > 1           ? "several values of -T or --alpha"
                       : cli_has(a, "assistant") ? "--assistant"
                       : l->generations > 0      ? "--self"
                                                 : NULL;
    bool soft = l->terms && (strstr(l->terms, "kl") || strstr(l->terms, "dkd"));
    for (size_t i = 0; i < l->n_trials; i++) soft = soft || l->trials[i].alpha > 0;
    if (cli_has(a, "temperature") && !soft)
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--temperature needs --alpha above 0, or a term that softens scores (kl, dkd)");
    l->assistant = NAN;
    for (size_t i = 0; i < CLI_COUNT(l->figures); i++) l->figures[i] = NAN;
    if (!what) return SKIVE_OK;
    if (j->how->checkpoint || j->how->resume)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "%s makes several runs, of which --checkpoint and --resume know one",
                        what);
    if (j->how->find_lr)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--find-lr looks for the rate of one run, not with %s", what);
    if (l->n_trials > 1 && cli_has(a, "no-validation"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "%s are tried on validation; leave --no-validation out", what);
    if (l->generations > 0 && cli_has(a, "assistant"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--self and --assistant exclude one another");
    return SKIVE_OK;
}

skive_status distill_plan(cli_job *j) {
    distill_lesson *l = j->own;
    skive_status status = SKIVE_OK;
    if (j->dry || j->how->find_lr) return distill_once(j, j->graph, &l->report);
    if (l->n_trials > 1) status = try_all(j);
    if (status == SKIVE_OK && cli_has(j->a, "assistant")) status = teach_assistant(j);
    if (status != SKIVE_OK) return status;
    return l->generations > 0 ? raise_generations(j) : distill_once(j, j->graph, &l->report);
}

static void print_trials(const distill_lesson *l) {
    const char *const heads[] = {"temperature", "alpha", "epochs", head_of(l), "<"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; t && i < l->n_trials; i++) {
        cli_table_cell(t, "%g", l->trials[i].temperature);
        cli_table_cell(t, "%g", l->trials[i].alpha);
        cli_table_cell(t, "%d", l->trials[i].epochs);
        cell(t, l, l->trials[i].figure);
        cli_table_cell(t, "%s", l->trials[i].out ? "" : "used");
    }
    if (t) cli_table_print(t, stdout);
}

static void print_generations(const distill_lesson *l) {
    const char *const heads[] = {"<generation", head_of(l), "<"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (int64_t i = 0; t && i <= l->generations + 1; i++) {
        if (i == l->generations + 1 && isnan(l->figures[i])) continue;
        if (i == 0)
            cli_table_cell(t, "first");
        else if (i <= l->generations)
            cli_table_cell(t, "%lld", (long long)i);
        else
            cli_table_cell(t, "ensemble of %lld", (long long)l->generations);
        cell(t, l, l->figures[i]);
        cli_table_cell(t, "%s", i == l->best ? "written" : "");
    }
    if (t) cli_table_print(t, stdout);
}

void distill_print_plan(const cli_job *j) {
    const distill_lesson *l = j->own;
    if (j->a->quiet) return;
    if (l->n_trials > 1) print_trials(l);
    if (isfinite(l->assistant)) {
        if (l->figure && strcmp(l->figure, "loss") == 0)
            cli_printf("assistant %s: validation loss %.4f", cli_text(j->a, "assistant", ""), -l->assistant);
        else
            cli_printf("assistant %s: validation %.2f %%", cli_text(j->a, "assistant", ""), 100 * l->assistant);
    }
    if (l->generations > 0) print_generations(l);
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

void distill_plan_json(const cli_job *j, json_t *json) {
    const distill_lesson *l = j->own;
    const double sign = l->figure && strcmp(l->figure, "loss") == 0 ? -1 : 1;
    if (l->figure) json_object_set_new(json, "figure", cli_json_text(l->figure));
    if (l->n_trials > 1) {
        json_t *list = json_array();
        for (size_t i = 0; i < l->n_trials; i++)
            json_array_append_new(list,
                                  json_pack("{s:f,s:f,s:i,s:o,s:b}", "temperature", l->trials[i].temperature, "alpha",
                                            l->trials[i].alpha, "epochs", l->trials[i].epochs, "validation",
                                            number(sign * l->trials[i].figure), "used", !l->trials[i].out));
        json_object_set_new(json, "trials", list);
    }
    if (isfinite(l->assistant)) json_object_set_new(json, "assistant", number(sign * l->assistant));
    if (l->generations > 0) {
        json_t *list = json_array();
        for (int64_t i = 0; i <= l->generations; i++) json_array_append_new(list, number(sign * l->figures[i]));
        json_object_set_new(json, "generations", list);
        json_object_set_new(json, "ensemble", number(sign * l->figures[l->generations + 1]));
        json_object_set_new(json, "best", json_integer(l->best));
    }
}
