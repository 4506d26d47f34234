/* skive distill: a student learns from a teacher. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "distill.h"

static const cli_option options[] = {
    {"teacher", 0, "FILE[:WEIGHT]", "the trained model to learn from (ONNX); several may be given, with weights", true},
    {"student", 0, "NETWORK",
     "a built-in network or an ONNX file; several as TASK=NETWORK, each for a target of the data, are written as "
     "OUTPUT-TASK.onnx",
     true},
    {"data", 'd', "SET", "data set (see skive --help)", false},
    {"output", 'o', "FILE", "the student to write, as ONNX", false},
    {"term", 0, "NAME:OPTIONS",
     "a further term of the loss, such as hint or relation; may be repeated (docs/distillation.md)", true},
    {"teacher-head", 0, "[TASK=][N:]OUTPUT",
     "the output of a teacher (of several, of number N) that teaches TASK, a target of the data or an output of the "
     "student; may be repeated",
     true},
    {"teacher-classes", 0, "known|[N:]FILE",
     "a teacher may know a part of the classes: by the names it records, or by those of its scores in a file, one a "
     "line; may be repeated",
     true},
    {"temperature", 'T', "X[,X...]",
     "temperature that softens the outputs (default 4); several are tried on validation", false},
    {"alpha", 0, "X[,X...]", "weight of the soft labels in the loss (default 0.7); several are tried on validation",
     false},
    {"self", 0, "N",
     "N generations: each starts anew and learns from the one before; the best is written "
     "(without --teacher also of the first model); -T 1 and --alpha 0.5 by default",
     false},
    {"assistant", 0, "NETWORK", "a network between the two: it learns from the teacher, and the student from it",
     false},
    {"student-init", 0, "teacher", "start with the teacher's parameters, of numbered layers with every n-th", false},
    {"exits", 0, "auto|VALUE+...",
     "early exits at these places of the student, which learn from its last one; measured on validation", false},
    {"exit-weight", 0, "X", "weight of the loss of an early exit; that of the last one is 1 (default 0.3)", false},
    {"mutual", 0, "N", "N students that learn from the labels and from one another; the best is written", false},
    {"qat", 0, "auto|KEY=VALUE,...",
     "the student, a trained file, becomes one of integers while it is taught; with keys of quantize --qat such as "
     "weights=int4,activations=uint4; zeros of a pruned student stay",
     false},
    {"unlabelled", 0, "SET",
     "more samples, without labels or with labels that are not used: alpha is 1 for them; the set of --data with "
     "--limit: those that the limit leaves out",
     false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TEACHER_INPUT_OPTIONS,
    CLI_TRAIN_OPTIONS,
};

skive_status distill_start(cli_job *j, const char *spec, const skive_graph *teacher, int64_t classes,
                           skive_graph **out) {
    cli_args *a = j->a;
    skive_input_options same = skive_input_options_default();
    skive_normalization normalization = {0};
    if (cli_is_file(spec)) {
        const skive_status loaded = cli_load_to_run(a, spec, out);
        return loaded == SKIVE_OK ? cli_set_input(a, *out, j->train) : loaded;
    }
    skive_status status = cli_build_network(a, spec, j->train, classes, out);
    /* The student takes the same input as the teacher, so that nothing has to be converted. */
    same.scale = teacher ? skive_graph_meta(teacher, "skive.input.scale") : NULL;
    if (status == SKIVE_OK && teacher) status = skive_model_set_input(a->ctx, *out, j->train, &same);
    if (status == SKIVE_OK && teacher) status = skive_model_normalization(teacher, &normalization);
    if (status != SKIVE_OK) return status;
    status = normalization.channels ? skive_model_set_normalization(*out, &normalization)
                                    : cli_normalize_by_data(a, *out, j->train);
    skive_normalization_free(a->ctx, &normalization);
    return status == SKIVE_OK ? cli_set_input(a, *out, j->train) : status;
}

size_t cli_teacher_length(const char *text, double *weight) {
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    const double number = colon && colon[1] ? strtod(colon + 1, &end) : 0;
    const bool weighted = end && !*end && access(text, F_OK) != 0;
    *weight = weighted ? number : 0;
    return weighted ? (size_t)(colon - text) : strlen(text);
}

static skive_status read_teacher(cli_args *a, const char *text, char **name, double *weight) {
    const size_t length = cli_teacher_length(text, weight);
    *name = strndup(text, length);
    if (!*name) return SKIVE_ERR_MEMORY;
    if (text[length] && !(*weight > 0 && *weight < 1e9))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--teacher %s: the weight is %g; it must be more than 0", text, *weight);
    return SKIVE_OK;
}

static skive_status read_teachers(cli_args *a, distill_lesson *l) {
    const size_t n = cli_count(a, "teacher");
    if (n > MOST_TEACHERS)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--teacher is given %zu times; there may be %d teachers", n,
                        (int)MOST_TEACHERS);
    skive_status status = SKIVE_OK;
    for (; l->n_teachers < n && status == SKIVE_OK; l->n_teachers++)
        status = read_teacher(a, cli_text_at(a, "teacher", l->n_teachers), &l->names[l->n_teachers],
                              &l->weights[l->n_teachers]);
    return status;
}

static skive_status join_all(cli_args *a, distill_lesson *l) {
    skive_status status = cli_join(a, "term", "a term, such as hint", &l->terms);
    if (status == SKIVE_OK) status = cli_join(a, "teacher-head", "an output, TASK=OUTPUT", &l->heads);
    if (status == SKIVE_OK) status = cli_join(a, "teacher-classes", "a file of names, or 'known'", &l->classes);
    if (status != SKIVE_OK || l->n_teachers || !(l->heads || l->classes)) return status;
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s is of a --teacher, and there is none; leave it out",
                    l->heads ? "teacher-head" : "teacher-classes");
}

/* Generations learn from a network of their own size, whose answers are as they should be: as published, with as much
 * weight as the labels and not softened (Furlanello et al. 2018). */
static void set_born_again(cli_job *j) {
    skive_distill_options *o = skive_options_distill(j->options);
    if (!cli_has(j->a, "temperature")) o->temperature = 1;
    if (!cli_has(j->a, "alpha")) o->alpha = 0.5;
}

static skive_status settings(cli_job *j) {
    static const char *const needed[] = {"teacher", "student", "data"};
    distill_lesson *l = j->own;
    cli_args *a = j->a;
    const char *init = cli_text(a, "student-init", NULL);
    for (size_t i = 0; i < CLI_COUNT(needed); i++) {
        if (!cli_has(a, needed[i]) && (i || !(cli_has(a, "self") || cli_has(a, "exits") || cli_has(a, "mutual"))))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s is missing", needed[i]);
    }
    if (init && strcmp(init, "teacher") != 0)
        return cli_fail(
            a, SKIVE_ERR_ARGUMENT,
            "--student-init %s: it can be 'teacher'; to start from another model, name its file as --student", init);
    skive_status status = cli_integer(a, "self", 1, MOST_GENERATIONS, &l->generations);
    if (status == SKIVE_OK && l->generations > 0) set_born_again(j);
    if (status == SKIVE_OK) status = read_teachers(a, l);
    if (status == SKIVE_OK) status = join_all(a, l);
    if (status == SKIVE_OK) status = distill_read_trials(j);
    if (status == SKIVE_OK) status = distill_check_more(j);
    if (status == SKIVE_OK) status = distill_read_tasks(j);
    if (status == SKIVE_OK) status = distill_read_qat(j);
    if (status == SKIVE_OK) status = distill_check_plan(j);
    if (status == SKIVE_OK && l->n_teachers == 0) status = cli_set_teacher_input(a, NULL, NULL); /* none is given */
    if (status == SKIVE_OK && init && (l->generations > 0 || cli_has(a, "assistant")))
        status = cli_fail(a, SKIVE_ERR_ARGUMENT,
                          "--student-init starts one student from its teacher, not with --self or --assistant");
    if (status == SKIVE_OK && cli_has(a, "cache") && (l->generations > 0 || cli_has(a, "assistant")))
        status = cli_fail(a, SKIVE_ERR_ARGUMENT,
                          "--cache keeps the answers of one teacher, and --self and --assistant have others later");
    if (status != SKIVE_OK || j->how->epochs > 0) return status;
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--epochs is 0; it must be between 1 and 1000000");
}

static bool has_recipe(const skive_graph *g) {
    for (size_t i = 0; i < CLI_COUNT(cli_recipe_keys); i++)
        if (skive_graph_meta(g, cli_recipe_keys[i])) return true;
    return false;
}

/* A built-in network is for the data. They are read as the teacher reads them where it has their classes and size; else
 * as they are, and the teacher is fitted to them. */
static skive_status open_for_new(cli_job *j) {
    distill_lesson *l = j->own;
    skive_graph *teacher = l->n_teachers ? l->teachers[0] : NULL;
    int64_t c, h = 0, w = 0;
    bool fits = true;
    if (teacher) skive_model_input_image(teacher, &c, &h, &w);
    const bool may_differ = teacher && !l->heads && !l->classes && !cli_has(j->a, "resize") && !has_recipe(teacher) &&
                            (skive_graph_meta(teacher, "skive.classes") || (h > 0 && w > 0));
    if (!may_differ) return cli_job_open_data(j, teacher);
    j->a->console->muted = true; /* what is opened in the end tells of itself */
    skive_status status = cli_job_open_data(j, NULL);
    if (status == SKIVE_OK && j->train) status = distill_fits_data(j, teacher, &fits);
    j->a->console->muted = false;
    skive_dataset_free(j->train);
    skive_dataset_free(j->validation);
    j->train = j->validation = NULL;
    return cli_job_open_data(j,
                             status == SKIVE_OK && !fits ? NULL : teacher); /* which says what is wrong, if something */
}

/* The data are opened for the student where it is a file that says what it takes. */
static skive_status open_data(cli_job *j, const char *student) {
    distill_lesson *l = j->own;
    cli_args *a = j->a;
    int64_t c, h, w;
    if (!cli_is_file(student)) return open_for_new(j);
    const skive_status status = cli_load_to_run(a, student, &j->graph);
    if (status != SKIVE_OK) return status;
    skive_model_input_image(j->graph, &c, &h, &w);
    const bool told = skive_graph_meta(j->graph, "skive.classes") || (h > 0 && w > 0) || l->heads || l->classes;
    if (l->n_teachers == 0) return cli_job_open_data(j, j->graph);
    return cli_job_open_data(j, told && !has_recipe(l->teachers[0]) ? j->graph : l->teachers[0]);
}

/* Of targets that are values, squared errors are learnt. */
static skive_status check_temperature(cli_job *j) {
    skive_dataset_info info;
    skive_output_info output;
    skive_dataset_get_info(j->train, &info);
    if (info.labelled || info.n_targets != 1) return SKIVE_OK;
    const skive_status status = skive_model_output(j->graph, j->train, &output);
    if (status != SKIVE_OK || output.kind != SKIVE_OUTPUT_VALUES) return status;
    return cli_fail(j->a, SKIVE_ERR_ARGUMENT,
                    "--temperature softens scores of classes, and the targets are values; leave it out");
}

static skive_status open_unlabelled(cli_job *j) {
    distill_lesson *l = j->own;
    const char *spec = cli_text(j->a, "unlabelled", NULL);
    return spec ? cli_open_unlabelled(j->a, spec, j->graph, j->train, &l->unlabelled) : SKIVE_OK;
}

static skive_status open_all(cli_job *j) {
    cli_args *a = j->a;
    distill_lesson *l = j->own;
    skive_graph *all[MOST_TEACHERS + 1];
    const char *student = l->n_tasks ? l->specs[0] : cli_text(a, "student", NULL);
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < l->n_teachers && status == SKIVE_OK; i++)
        status = cli_load_to_run(a, l->names[i], &l->teachers[i]);
    if (status == SKIVE_OK) status = open_data(j, student);
    for (size_t i = 0; i < l->n_teachers && status == SKIVE_OK; i++)
        status = cli_set_teacher_input(a, l->teachers[i], j->train);
    if (status == SKIVE_OK && l->n_tasks)
        status = distill_start_tasks(j);
    else if (status == SKIVE_OK && !j->graph)
        status = distill_start(j, student, l->n_teachers ? l->teachers[0] : NULL, 0, &j->graph);
    else if (status == SKIVE_OK)
        status = cli_set_input(a, j->graph, j->train);
    all[0] = j->graph;
    memcpy(all + 1, l->teachers, l->n_teachers * sizeof *all);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, all, l->n_teachers + 1);
    if (status == SKIVE_OK) status = open_unlabelled(j);
    if (status == SKIVE_OK && cli_has(a, "exits")) status = distill_add_exits(j);
    if (status == SKIVE_OK && cli_has(a, "temperature")) status = check_temperature(j);
    if (status == SKIVE_OK && cli_has(a, "student-init"))
        status = skive_model_start_from(j->graph, l->teachers[0], NULL);
    return status;
}

const skive_distill_options *distill_options(cli_job *j) {
    distill_lesson *l = j->own;
    skive_distill_options *o = skive_options_distill(j->options);
    const bool alone = l->n_teachers == 0;
    o->terms = l->terms;
    o->teacher_heads = l->heads;
    o->teacher_classes = l->classes;
    o->unlabelled = l->unlabelled;
    if (j->dry) o->cache = NULL; /* nothing is written */
    o->more_teachers = (const skive_graph *const *)(l->teachers + 1);
    o->n_more_teachers = alone ? 0 : l->n_teachers - 1;
    o->weights = alone ? NULL : l->weights;
    o->names = (const char *const *)l->names;
    return o;
}

skive_status distill_once(cli_job *j, skive_graph *student, skive_train_report *report) {
    distill_lesson *l = j->own;
    /* --self does without a teacher, and its first model is trained before; exits learn from the last one. */
    if (l->n_teachers == 0 && !cli_has(j->a, "exits"))
        return skive_train(j->a->ctx, student, j->train, j->validation, j->how, NULL, 0, report);
    const skive_status status =
        skive_distill(j->a->ctx, student, l->teachers[0], j->train, j->validation, distill_options(j), report);
    return status == SKIVE_OK && cli_has(j->a, "exits") ? distill_measure_exits(j) : status;
}

static json_t *report_json(const cli_job *j) {
    const distill_lesson *l = j->own;
    const skive_distill_options *o = skive_options_distill(j->options);
    json_t *json = l->quantize ? cli_qat_json(&l->quantized, j->training) : cli_train_json(j->training);
    json_object_set_new(json, "temperature", json_real(o->temperature));
    json_object_set_new(json, "alpha", json_real(o->alpha));
    if (l->heads) json_object_set_new(json, "teacher-heads", cli_json_text(l->heads));
    if (l->classes) json_object_set_new(json, "teacher-classes", cli_json_text(l->classes));
    if (o->terms) json_object_set_new(json, "terms", cli_json_text(o->terms));
    if (o->n_more_teachers) json_object_set_new(json, "teachers", json_integer((json_int_t)o->n_more_teachers + 1));
    distill_plan_json(j, json);
    return json;
}

static skive_status run(cli_args *a) {
    static const cli_work steps = {.settings = settings,
                                   .open = open_all,
                                   .run = distill_plan,
                                   .json = report_json,
                                   .dry_json = distill_dry_json,
                                   .print = distill_print_plan};
    distill_lesson l = {0};
    cli_job j = {.own = &l, .training = &l.report};
    const skive_status status = cli_job_run(a, &steps, &j);
    skive_train_report_free(a->ctx, &l.report);
    for (size_t i = 0; i < MOST_TEACHERS; i++) {
        skive_graph_free(l.teachers[i]);
        free(l.names[i]);
    }
    free(l.terms);
    free(l.heads);
    free(l.classes);
    distill_free_tasks(&l);
    skive_options_free(l.quantize);
    free(l.qat_text);
    skive_qat_report_free(a->ctx, &l.quantized);
    skive_dataset_free(l.unlabelled);
    skive_exits_report_free(a->ctx, &l.exits);
    return status;
}

const cli_command cli_command_distill = {
    .name = "distill",
    .brief = "train a small network to imitate a large one",
    .positional = "",
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "distill",
    .hidden = {"terms", "teacher-heads", "teacher-classes"},
    .details = "The student learns from the labels and from the teacher's softened outputs:\n"
               "loss = (1 - alpha) * cross-entropy + alpha * T^2 * KL(teacher/T || student/T)  (Hinton et al. 2015).\n"
               "--term adds others, on values inside the two networks (hint, attention, relation ...) or on scores. "
               "Several\n"
               "--teacher are combined. Several values of -T or --alpha are tried on validation with a part of the "
               "epochs, and "
               "the\n"
               "better half goes on, until one is left.",
    .examples = "  skive distill --teacher teacher.onnx --student lenet5:0.5 --data fashion-mnist -T 4 --alpha 0.7 -o "
                "student.onnx",
    .saves = true,
    .run = run,
};
