/* skive distill with several students: each learns a task of the data, in one run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"

/* ---- options ---- */

/* "kind=lenet5:0.5": the name of a task has neither ':' nor '/', which are in networks and files. */
static skive_status read_student(cli_job *j, size_t i) {
    distill_lesson *l = j->own;
    const char *text = cli_text_at(j->a, "student", i), *equals = strchr(text, '=');
    const size_t length = strcspn(text, "=:/");
    if (!equals || length == 0 || text + length != equals || !equals[1])
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT,
                        "--student %s: several students each learn a task; write TASK=NETWORK, with TASK a target of "
                        "the data",
                        text);
    l->tasks[i] = strndup(text, length);
    l->specs[i] = strdup(equals + 1);
    if (!l->tasks[i] || !l->specs[i]) return SKIVE_ERR_MEMORY;
    for (size_t other = 0; other < i; other++)
        if (strcmp(l->tasks[other], l->tasks[i]) == 0)
            return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--student: two students have the task '%s'; a task is one's",
                            l->tasks[i]);
    return SKIVE_OK;
}

/* "small.onnx" of the task kind: "small-kind.onnx". */
static skive_status name_output(cli_job *j, size_t i) {
    distill_lesson *l = j->own;
    const char *path = cli_text(j->a, "output", NULL);
    if (!path) return SKIVE_OK; /* which is told later, unless it is a dry run */
    char *shown = cli_shown(path);
    const bool stream = shown && strcmp(shown, "standard output") == 0;
    free(shown);
    if (stream)
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT,
                        "--output -: several students are several files, and standard output is one; name a file");
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    const size_t length = dot ? (size_t)(dot - path) : strlen(path);
    l->outputs[i] = cli_format("%.*s-%s%s", (int)length, path, l->tasks[i], path + length);
    if (!l->outputs[i]) return SKIVE_ERR_MEMORY;
    return i > 0 && !j->dry ? cli_check_output(j->a, l->outputs[i]) : SKIVE_OK;
}

skive_status distill_read_tasks(cli_job *j) {
    static const char *const without[] = {"self",         "assistant",  "mutual", "exits",
                                          "student-init", "unlabelled", "qat",    "find-lr"};
    distill_lesson *l = j->own;
    const size_t n = cli_count(j->a, "student");
    skive_status status = SKIVE_OK;
    if (n < 2) return SKIVE_OK;
    if (n > MOST_TEACHERS)
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--student is given %zu times; there may be %d students", n,
                        (int)MOST_TEACHERS);
    for (size_t i = 0; i < CLI_COUNT(without); i++)
        if (cli_has(j->a, without[i]))
            return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--%s is of one student, and there are %zu", without[i], n);
    if (l->n_trials > 1)
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "several students take one value of -T and of --alpha");
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) {
        status = read_student(j, i);
        if (status == SKIVE_OK) status = name_output(j, i);
    }
    l->n_tasks = n;
    if (l->outputs[0]) j->output = l->outputs[0];
    return status;
}

/* ---- the run ---- */

static skive_status refuse_task(cli_job *j, const char *task, const skive_dataset_info *info) {
    char *list = NULL;
    for (size_t k = 0; k < info->n_targets; k++) {
        const char *name = info->targets[k].name;
        char *more = cli_format("%s%s'%s'", list ? list : "", list ? ", " : "", name ? name : "?");
        free(list);
        list = more;
    }
    const skive_status status =
        cli_fail(j->a, SKIVE_ERR_NOT_FOUND, "--student %s=...: the data have no target '%s'; they have %s", task, task,
                 list ? list : "none");
    free(list);
    return status;
}

/* The numbers that the student of a task gives: as many as it has classes or values. */
static skive_status size_of_task(cli_job *j, const char *task, int64_t *out) {
    skive_dataset_info info;
    skive_dataset_get_info(j->train, &info);
    for (size_t k = 0; k < info.n_targets; k++) {
        const skive_dataset_target *t = &info.targets[k];
        if (!t->name || strcmp(t->name, task) != 0) continue;
        *out = t->labelled ? t->classes : (int64_t)t->target_size;
        return SKIVE_OK;
    }
    return refuse_task(j, task, &info);
}

skive_status distill_start_tasks(cli_job *j) {
    distill_lesson *l = j->own;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < l->n_tasks && status == SKIVE_OK; i++) {
        int64_t size = 0;
        skive_graph **g = i ? &l->students[i] : &j->graph;
        status = size_of_task(j, l->tasks[i], &size);
        if (status == SKIVE_OK && *g)
            status = cli_set_input(j->a, *g, j->train);
        else if (status == SKIVE_OK)
            status = distill_start(j, l->specs[i], l->teachers[0], size, g);
    }
    return status;
}

static skive_status save_others(cli_job *j) {
    distill_lesson *l = j->own;
    skive_status status = SKIVE_OK;
    for (size_t i = 1; i < l->n_tasks && status == SKIVE_OK; i++)
        status = cli_save_trained(j->a, l->students[i], l->outputs[i]);
    return status;
}

skive_status distill_tasks(cli_job *j) {
    distill_lesson *l = j->own;
    skive_graph *all[MOST_TEACHERS] = {j->graph};
    memcpy(all + 1, l->students + 1, (l->n_tasks - 1) * sizeof *all);
    skive_status status = skive_distill_tasks(j->a->ctx, all, (const char *const *)l->tasks, l->n_tasks, l->teachers[0],
                                              j->train, j->validation, distill_options(j), &l->report);
    const bool reached = status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && l->report.n_epochs > 0);
    if (j->dry || !reached) return status;
    for (size_t i = 0; i < l->n_tasks && status == SKIVE_OK; i++) status = distill_measure(j, all[i], &l->figures[i]);
    const skive_status saved = save_others(j);
    return saved == SKIVE_OK ? status : saved;
}

/* ---- what is told ---- */

void distill_print_tasks(const distill_lesson *l) {
    const char *const heads[] = {"<task", distill_head_of(l), "<file"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; t && i < l->n_tasks; i++) {
        cli_table_cell(t, "%s", l->tasks[i]);
        distill_cell(t, l, l->figures[i]);
        cli_table_cell(t, "%s", l->outputs[i] ? l->outputs[i] : "-");
    }
    if (t) cli_table_print(t, stdout);
}

json_t *distill_tasks_json(const distill_lesson *l, bool dry) {
    json_t *list = json_array();
    const double sign = l->figure && strcmp(l->figure, "loss") == 0 ? -1 : 1;
    for (size_t i = 0; i < l->n_tasks; i++) {
        json_t *one = json_pack("{s:o,s:o}", "task", cli_json_text(l->tasks[i]), "network", cli_json_text(l->specs[i]));
        if (l->outputs[i]) json_object_set_new(one, "output", cli_json_text(l->outputs[i]));
        if (!dry)
            json_object_set_new(one, "validation",
                                isfinite(l->figures[i]) ? json_real(sign * l->figures[i]) : json_null());
        json_array_append_new(list, one);
    }
    return list;
}

void distill_free_tasks(distill_lesson *l) {
    for (size_t i = 0; i < MOST_TEACHERS; i++) {
        free(l->tasks[i]);
        free(l->specs[i]);
        free(l->outputs[i]);
        skive_graph_free(l->students[i]);
    }
}
