/* Runs of skive distill that are made of several: settings that are tried, an assistant between, generations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"

/* ---- figures ---- */

/* Of validation: the accuracy, or where there is none the loss with its sign turned. */
skive_status distill_measure(cli_job *j, const skive_graph *g, double *out) {
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

/* Is figure a better than b? One that is not a number never is. */
bool distill_beats(double a, double b) { return isnan(b) ? !isnan(a) : a > b; }

void distill_cell(cli_table *t, const distill_lesson *l, double figure) {
    if (isnan(figure))
        cli_table_cell(t, "-");
    else if (l->figure && strcmp(l->figure, "loss") == 0)
        cli_table_cell(t, "%.4f", -figure);
    else
        cli_table_cell(t, "%.2f", 100 * figure);
}

const char *distill_head_of(const distill_lesson *l) {
    return l->figure && strcmp(l->figure, "loss") == 0 ? "validation loss" : "validation, %";
}

/* ---- settings ---- */

static skive_status read_list(cli_job *j, const char *name, double fallback, double *values, size_t *n) {
    const char *text = cli_text(j->a, name, NULL), *whole = text;
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
        const double value = name[0] == 'a' ? o->alpha : o->temperature;
        for (size_t i = 0; i < *n; i++)
            if (values[i] == value)
                return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--%s %s: %g is there twice", name, whole, value);
        values[(*n)++] = value;
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

/* Takes `g` and `report` if nothing better was tried; frees what is not kept. */
static void keep(cli_job *j, const distill_trial *t, skive_graph *g, skive_train_report *report) {
    distill_lesson *l = j->own;
    skive_context *ctx = j->a->ctx;
    if (!l->kept || distill_beats(t->figure, l->kept_figure)) {
        skive_graph *worse = l->kept;
        const skive_train_report old = l->kept_report;
        l->kept = g;
        l->kept_trial = t;
        l->kept_figure = t->figure;
        l->kept_report = *report;
        g = worse;
        *report = old;
    }
    skive_graph_free(g);
    skive_train_report_free(ctx, report);
}

static skive_status try_one(cli_job *j, distill_trial *t, int epochs) {
    const skive_train_options given = *j->how;
    skive_train_report report = {0};
    skive_graph *g = NULL;
    skive_status status = skive_graph_copy(j->a->ctx, j->graph, &g);
    j->how->epochs = epochs;
    j->how->log = j->how->tensorboard = NULL;
    use(j, t);
    if (status == SKIVE_OK) status = distill_once(j, g, &report);
    if (status == SKIVE_OK) status = distill_measure(j, g, &t->figure);
    t->epochs = epochs;
    *j->how = given;
    if (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && report.n_epochs > 0)) {
        keep(j, t, g, &report);
        return status;
    }
    skive_graph_free(g);
    skive_train_report_free(j->a->ctx, &report);
    return status;
}

/* An interrupted search: the best student so far becomes the result. */
static void take_kept(cli_job *j) {
    distill_lesson *l = j->own;
    if (!l->kept) return;
    use(j, l->kept_trial);
    cli_tell(
        "note: interrupted while settings were tried: what is written is the best so far, temperature %g, alpha %g, "
        "%d epoch%s",
        l->kept_trial->temperature, l->kept_trial->alpha, (int)l->kept_report.n_epochs,
        l->kept_report.n_epochs == 1 ? "" : "s");
    skive_graph_free(j->graph);
    j->graph = l->kept;
    l->kept = NULL;
    skive_train_report_free(j->a->ctx, &l->report);
    l->report = l->kept_report;
    l->kept_report = (skive_train_report){0};
}

/* The worse half is out; of equal ones the first stays. */
static size_t halve(distill_lesson *l, size_t left) {
    for (size_t keep = (left + 1) / 2; left > keep; left--) {
        size_t worst = l->n_trials;
        for (size_t i = 0; i < l->n_trials; i++)
            if (!l->trials[i].out &&
                (worst == l->n_trials || !distill_beats(l->trials[i].figure, l->trials[worst].figure)))
                worst = i;
        l->trials[worst].out = true;
    }
    return left;
}

/* Successive halving (Jamieson & Talwalkar 2016): all settings for a few epochs, the better half for twice as many,
 * until one is left, which then trains in full. */
static skive_status halving(cli_job *j) {
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

static skive_status try_all(cli_job *j) {
    distill_lesson *l = j->own;
    const skive_status status = halving(j);
    if (status == SKIVE_ERR_INTERRUPTED) take_kept(j);
    skive_graph_free(l->kept);
    skive_train_report_free(j->a->ctx, &l->kept_report);
    l->kept = NULL;
    return status;
}

/* ---- the assistant ---- */

/* `teacher` instead of those that there are. */
static void replace_teachers(distill_lesson *l, skive_graph *teacher, char *name) {
    for (size_t i = 0; i < MOST_TEACHERS; i++) {
        skive_graph_free(l->teachers[i]);
        free(l->names[i]);
        l->teachers[i] = NULL;
        l->names[i] = NULL;
        l->weights[i] = 0;
    }
    free(l->heads); /* these are of those that were given */
    free(l->classes);
    l->heads = l->classes = NULL;
    l->teachers[0] = teacher;
    l->names[0] = name;
    l->n_teachers = 1;
}

/* A network between teacher and student (Mirzadeh et al. 2020): it learns from the teacher, and the student from it. */
static skive_status teach_assistant(cli_job *j) {
    distill_lesson *l = j->own;
    const skive_train_options given = *j->how;
    skive_graph *assistant = NULL;
    const char *spec = cli_text(j->a, "assistant", NULL);
    skive_status status = distill_start(j, spec, l->teachers[0], 0, &assistant);
    j->how->log = j->how->tensorboard = NULL;
    if (status == SKIVE_OK) status = distill_once(j, assistant, NULL);
    *j->how = given;
    if (status == SKIVE_OK) status = distill_measure(j, assistant, &l->assistant);
    char *name = status == SKIVE_OK ? cli_format("assistant %s", spec) : NULL;
    if (status == SKIVE_OK && !name) status = SKIVE_ERR_MEMORY;
    if (status != SKIVE_OK) {
        skive_graph_free(assistant);
        return status;
    }
    replace_teachers(l, assistant, name);
    skive_options_distill(j->options)->combine = NULL;
    return SKIVE_OK;
}

/* ---- generations ---- */

typedef struct family {
    skive_graph *first;                     /* that was trained here; NULL: a teacher was given */
    skive_graph *members[MOST_GENERATIONS]; /* of which `n` are trained */
    size_t n;
} family;

/* Another start: a built-in network with another seed, a file as it is. */
skive_status distill_fresh(cli_job *j, int64_t generation, const skive_graph *like, skive_graph **out) {
    const char *spec = cli_text(j->a, "student", NULL);
    const uint64_t seed = skive_context_seed(j->a->ctx);
    if (cli_is_file(spec)) return skive_graph_copy(j->a->ctx, j->graph, out);
    skive_context_set_seed(j->a->ctx, seed + (uint64_t)generation);
    const skive_status status = distill_start(j, spec, like, 0, out);
    skive_context_set_seed(j->a->ctx, seed);
    return status;
}

static skive_status measure_ensemble(cli_job *j, const family *f) {
    distill_lesson *l = j->own;
    skive_graph *g = NULL;
    if (!j->validation || f->n < 2) return SKIVE_OK;
    skive_status status =
        skive_model_ensemble(j->a->ctx, (const skive_graph *const *)f->members, f->n, j->validation, &g);
    if (status == SKIVE_OK) status = distill_measure(j, g, &l->figures[l->generations + 1]);
    skive_graph_free(g);
    return status;
}

/* A given teacher may have other classes or another order of them, or take images of another size, for which only
 * training fits it to the data: its figure would be wrong or is not to be had. */
skive_status distill_fits_data(cli_job *j, const skive_graph *g, bool *fits) {
    skive_dataset_info info;
    char **names = NULL;
    int64_t n = 0, c = 0, h = 0, w = 0;
    skive_dataset_get_info(j->train, &info);
    const skive_status status = skive_model_class_names(j->a->ctx, g, &names, &n);
    if (status != SKIVE_OK) return status;
    *fits = !names || !info.class_names || n == info.classes;
    for (int64_t i = 0; *fits && names && info.class_names && i < n; i++)
        *fits = strcmp(names[i], info.class_names[i]) == 0;
    skive_class_names_free(j->a->ctx, names, n);
    skive_model_input_image(g, &c, &h, &w);
    if (h > 0 && w > 0 && info.rank == 3 && info.channel_axis == 0 && (info.dims[1] != h || info.dims[2] != w))
        *fits = false;
    return SKIVE_OK;
}

/* What the first generation learns from: the teacher, or a model that is trained on the labels. */
static skive_status begin(cli_job *j, family *f) {
    distill_lesson *l = j->own;
    skive_status status;
    if (l->n_teachers) {
        bool fits = false;
        status = l->heads || l->classes ? SKIVE_OK : distill_fits_data(j, l->teachers[0], &fits);
        return status == SKIVE_OK && fits ? distill_measure(j, l->teachers[0], &l->figures[0]) : status;
    }
    skive_graph *teacher = NULL;
    char *name = NULL;
    status = distill_fresh(j, 0, NULL, &f->first);
    if (status == SKIVE_OK)
        status = skive_train(j->a->ctx, f->first, j->train, j->validation, j->how, NULL, 0, &l->report);
    if (status == SKIVE_OK) status = distill_measure(j, f->first, &l->figures[0]);
    if (status == SKIVE_OK) status = skive_graph_copy(j->a->ctx, f->first, &teacher);
    if (status == SKIVE_OK && !(name = cli_format("first model"))) status = SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK)
        replace_teachers(l, teacher, name);
    else
        skive_graph_free(teacher);
    return status;
}

/* Without figures the latest is the best. */
static bool is_best(const distill_lesson *l, const family *f, int64_t i) {
    if (l->best == 0 && !f->first) return true;
    const double figure = l->figures[i], best = l->figures[l->best];
    return (isnan(figure) && isnan(best)) || distill_beats(figure, best);
}

static skive_status raise_one(cli_job *j, family *f, int64_t i) {
    distill_lesson *l = j->own;
    skive_train_report report = {0};
    skive_graph *g = NULL, *teacher = NULL;
    char *name = NULL;
    skive_status status = distill_fresh(j, i, l->teachers[0], &g);
    if (status == SKIVE_OK) status = distill_once(j, g, &report);
    if (status == SKIVE_OK) status = distill_measure(j, g, &l->figures[i]);
    if (status == SKIVE_OK) status = skive_graph_copy(j->a->ctx, g, &teacher);
    if (status == SKIVE_OK && !(name = cli_format("generation %lld", (long long)i))) status = SKIVE_ERR_MEMORY;
    if (status != SKIVE_OK) {
        skive_graph_free(g);
        skive_graph_free(teacher);
        skive_train_report_free(j->a->ctx, &report);
        return status;
    }
    f->members[f->n++] = g;
    replace_teachers(l, teacher, name);
    skive_options_distill(j->options)->combine = NULL;
    if (is_best(l, f, i)) { /* its report is the one that is printed */
        skive_train_report_free(j->a->ctx, &l->report);
        l->report = report;
        l->best = (int)i;
    } else {
        skive_train_report_free(j->a->ctx, &report);
    }
    return SKIVE_OK;
}

/* Born-again networks (Furlanello et al. 2018): each generation starts anew and learns from the one before. */
static skive_status raise_generations(cli_job *j) {
    distill_lesson *l = j->own;
    family f = {.n = 0};
    const skive_train_options given = *j->how;
    j->how->log = j->how->tensorboard = NULL; /* one run can be recorded: the last */
    skive_status status = begin(j, &f);
    const bool began = status == SKIVE_OK;
    for (int64_t i = 1; i <= l->generations && status == SKIVE_OK; i++) {
        if (i == l->generations) *j->how = given;
        status = raise_one(j, &f, i);
    }
    *j->how = given;
    if (status == SKIVE_OK) status = measure_ensemble(j, &f);
    skive_graph **best = l->best ? &f.members[l->best - 1] : &f.first;
    /* Of an interrupted run the best so far is written. */
    if (began && *best) {
        skive_graph_free(j->graph);
        j->graph = *best;
        *best = NULL;
    } else {
        skive_train_report_free(j->a->ctx, &l->report);
    }
    skive_graph_free(f.first);
    for (size_t i = 0; i < f.n; i++) skive_graph_free(f.members[i]);
    return status;
}

/* ---- together ---- */

/* Is there a term that softens scores by the run's temperature? */
static bool takes_temperature(const char *terms) {
    for (const char *at = terms; at && *at;) {
        at += strspn(at, "; ");
        const size_t name = strcspn(at, ":; "), length = strcspn(at, ";");
        const char *own = strstr(at, "temperature=");
        const bool soft = (name == 2 && strncmp(at, "kl", 2) == 0) || (name == 3 && strncmp(at, "dkd", 3) == 0);
        if (soft && !(own && own < at + length)) return true;
        at += length;
    }
    return false;
}

skive_status distill_check_plan(cli_job *j) {
    distill_lesson *l = j->own;
    cli_args *a = j->a;
    const char *what = l->n_trials > 1           ? "several values of -T or --alpha"
                       : l->mutual > 0           ? "--mutual"
                       : cli_has(a, "assistant") ? "--assistant"
                       : l->generations > 0      ? "--self"
                                                 : NULL;
    bool soft = takes_temperature(l->terms);
    for (size_t i = 0; i < l->n_trials; i++) soft = soft || l->trials[i].alpha > 0;
    if (cli_has(a, "temperature") && !soft)
        return cli_fail(
            a, SKIVE_ERR_ARGUMENT,
            "--temperature needs --alpha above 0, or a term that softens scores (kl, dkd) and has no temperature "
            "of its own");
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
    if (l->n_trials > 1 && l->n_teachers == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "%s are tried with a teacher; name one with --teacher, or give one value", what);
    if (j->how->best && (l->n_trials > 1 || l->generations > 0))
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "with %s, accuracy on validation decides (the loss where there is none); leave --best out",
                        what);
    if (l->generations > 0 && cli_has(a, "assistant"))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--self and --assistant exclude one another");
    return SKIVE_OK;
}

/* Of a dry run: what there would be beside the run itself. */
static void tell_plan(const cli_job *j) {
    const distill_lesson *l = j->own;
    if (j->a->quiet || cli_has(j->a, "json")) return;
    if (l->n_trials > 1)
        cli_printf("%zu settings of temperature and alpha would be tried, each with a part of the epochs", l->n_trials);
    if (cli_has(j->a, "assistant"))
        cli_printf("an assistant %s would be trained first", cli_text(j->a, "assistant", ""));
    if (l->generations > 0)
        cli_printf("%s%lld generations would be trained, one after another", l->n_teachers ? "" : "a first model and ",
                   (long long)l->generations);
}

skive_status distill_plan(cli_job *j) {
    distill_lesson *l = j->own;
    skive_status status = SKIVE_OK;
    if (j->dry) tell_plan(j);
    if (l->mutual > 0 && !j->how->find_lr) return distill_mutual(j);
    if (l->n_tasks) return distill_tasks(j);
    if (l->quantize) return distill_qat(j);
    if (j->dry || j->how->find_lr) return distill_once(j, j->graph, &l->report);
    if (l->n_trials > 1) status = try_all(j);
    if (status == SKIVE_OK && cli_has(j->a, "assistant")) status = teach_assistant(j);
    if (status != SKIVE_OK) return status;
    return l->generations > 0 ? raise_generations(j) : distill_once(j, j->graph, &l->report);
}

static void print_trials(const distill_lesson *l) {
    const char *const heads[] = {"temperature", "alpha", "epochs", distill_head_of(l), "<"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; t && i < l->n_trials; i++) {
        cli_table_cell(t, "%g", l->trials[i].temperature);
        cli_table_cell(t, "%g", l->trials[i].alpha);
        cli_table_cell(t, "%d", l->trials[i].epochs);
        distill_cell(t, l, l->trials[i].figure);
        cli_table_cell(t, "%s", l->trials[i].out ? "" : "used");
    }
    if (t) cli_table_print(t, stdout);
}

void distill_print_models(const distill_lesson *l, const char *head, int64_t n, bool from_zero) {
    const char *const heads[] = {head, distill_head_of(l), "<"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (int64_t i = 0; t && i <= n; i++) {
        if (i == n && isnan(l->figures[i])) continue;
        if (i == n)
            cli_table_cell(t, "ensemble of %lld", (long long)(from_zero ? n - 1 : n));
        else if (i == 0 && from_zero)
            cli_table_cell(t, "first");
        else
            cli_table_cell(t, "%lld", (long long)(from_zero ? i : i + 1));
        distill_cell(t, l, l->figures[i]);
        cli_table_cell(t, "%s", i == l->best ? "written" : "");
    }
    if (t) cli_table_print(t, stdout);
}

void distill_print_plan(const cli_job *j) {
    const distill_lesson *l = j->own;
    if (j->a->quiet) return;
    if (l->n_trials > 1) print_trials(l);
    if (l->n_tasks) distill_print_tasks(l);
    if (l->quantize) cli_qat_print(&l->quantized);
    if (isfinite(l->assistant)) {
        if (l->figure && strcmp(l->figure, "loss") == 0)
            cli_printf("assistant %s: validation loss %.4f", cli_text(j->a, "assistant", ""), -l->assistant);
        else
            cli_printf("assistant %s: validation %.2f %%", cli_text(j->a, "assistant", ""), 100 * l->assistant);
    }
    if (l->generations > 0) distill_print_models(l, "<generation", l->generations + 1, true);
    distill_print_more(j);
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

void distill_plan_json(const cli_job *j, json_t *json) {
    const distill_lesson *l = j->own;
    distill_more_json(j, json);
    if (l->n_tasks) json_object_set_new(json, "students", distill_tasks_json(l, false));
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
