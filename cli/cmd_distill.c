/* skive distill: a student learns from a teacher. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MOST_TEACHERS = 16 };

static const cli_option options[] = {
    {"teacher", 0, "FILE[:WEIGHT]", "the trained model to learn from (ONNX); several may be given, with weights", true},
    {"student", 0, "NETWORK", "a built-in network or an ONNX file", false},
    {"data", 'd', "SET", "data set (see skive --help)", false},
    {"output", 'o', "FILE", "the student to write, as ONNX", false},
    {"term", 0, "NAME:OPTIONS",
     "a further term of the loss, such as hint or relation; may be repeated (docs/distillation.md)", true},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TEACHER_INPUT_OPTIONS,
    CLI_TRAIN_OPTIONS,
};

static skive_status start_student(cli_args *a, const char *spec, const skive_graph *teacher, const skive_dataset *train,
                                  skive_graph **out) {
    const char *scale = skive_graph_meta(teacher, "skive.input.scale");
    skive_input_options same = skive_input_options_default();
    skive_normalization normalization;
    skive_status status = cli_build_network(a, spec, train, 0, out);
    /* The student takes the same input as the teacher, so that nothing has to be converted. */
    same.scale = scale;
    if (status == SKIVE_OK) status = skive_model_set_input(a->ctx, *out, train, &same);
    if (status == SKIVE_OK) status = skive_model_normalization(teacher, &normalization);
    if (status != SKIVE_OK) return status;
    status = normalization.channels ? skive_model_set_normalization(*out, &normalization)
                                    : cli_normalize_by_data(a, *out, train);
    skive_normalization_free(a->ctx, &normalization);
    return status;
}

typedef struct lesson {
    skive_graph *teachers[MOST_TEACHERS];
    char *names[MOST_TEACHERS]; /* files */
    double weights[MOST_TEACHERS];
    size_t n_teachers;
    char *terms; /* separated by ';' */
    skive_train_report report;
} lesson;

/* "b.onnx:0.3": a number behind the last colon is a weight, unless there is such a file. */
static skive_status read_teacher(cli_args *a, const char *text, char **name, double *weight) {
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    *weight = 0;
    const double number = colon && colon[1] ? strtod(colon + 1, &end) : 0;
    const bool weighted = end && !*end && !cli_is_file(text);
    *name = cli_format("%.*s", weighted ? (int)(colon - text) : (int)strlen(text), text);
    if (!*name) return SKIVE_ERR_MEMORY;
    if (!weighted) return SKIVE_OK;
    if (!(number > 0 && number < 1e9))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--teacher %s: the weight is %g; it must be more than 0", text, number);
    *weight = number;
    return SKIVE_OK;
}

static skive_status read_teachers(cli_args *a, lesson *l) {
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

/* All --term as one text. */
static skive_status join_terms(cli_args *a, lesson *l) {
    for (size_t i = 0; i < cli_count(a, "term"); i++) {
        char *more = cli_format("%s%s%s", l->terms ? l->terms : "", l->terms ? ";" : "", cli_text_at(a, "term", i));
        if (!more) return SKIVE_ERR_MEMORY;
        free(l->terms);
        l->terms = more;
    }
    return SKIVE_OK;
}

static skive_status settings(cli_job *j) {
    static const char *const needed[] = {"teacher", "student", "data"};
    for (size_t i = 0; i < CLI_COUNT(needed); i++) {
        if (!cli_has(j->a, needed[i])) return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--%s is missing", needed[i]);
    }
    lesson *l = j->own;
    skive_status status = read_teachers(j->a, l);
    if (status == SKIVE_OK) status = join_terms(j->a, l);
    if (status != SKIVE_OK || j->how->epochs > 0) return status;
    return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--epochs is 0; it must be between 1 and 1000000");
}

/* The data are opened for the student where it is a file that says what it takes, otherwise for the teacher. */
static skive_status open_data(cli_job *j, const char *student) {
    lesson *l = j->own;
    cli_args *a = j->a;
    int64_t c, h, w;
    if (!cli_is_file(student)) return cli_job_open_data(j, l->teachers[0]);
    const skive_status status = cli_load_to_run(a, student, &j->graph);
    if (status != SKIVE_OK) return status;
    skive_model_input_image(j->graph, &c, &h, &w);
    const bool told = skive_graph_meta(j->graph, "skive.classes") || (h > 0 && w > 0);
    const bool recipe = skive_graph_meta(l->teachers[0], "skive.input.table") ||
                        skive_graph_meta(l->teachers[0], "skive.input.text") ||
                        skive_graph_meta(l->teachers[0], "skive.input.sound");
    return cli_job_open_data(j, told && !recipe ? j->graph : l->teachers[0]);
}

static skive_status open_all(cli_job *j) {
    cli_args *a = j->a;
    lesson *l = j->own;
    skive_graph *all[MOST_TEACHERS + 1];
    const char *student = cli_text(a, "student", NULL);
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < l->n_teachers && status == SKIVE_OK; i++)
        status = cli_load_to_run(a, l->names[i], &l->teachers[i]);
    if (status == SKIVE_OK) status = open_data(j, student);
    for (size_t i = 0; i < l->n_teachers && status == SKIVE_OK; i++)
        status = cli_set_teacher_input(a, l->teachers[i], j->train);
    if (status == SKIVE_OK && !j->graph) status = start_student(a, student, l->teachers[0], j->train, &j->graph);
    if (status == SKIVE_OK) status = cli_set_input(a, j->graph, j->train);
    all[0] = j->graph;
    memcpy(all + 1, l->teachers, l->n_teachers * sizeof *all);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, all, l->n_teachers + 1);
    return status;
}

static skive_status work(cli_job *j) {
    lesson *l = j->own;
    skive_distill_options *o = skive_options_distill(j->options);
    o->terms = l->terms;
    o->more_teachers = (const skive_graph *const *)(l->teachers + 1);
    o->n_more_teachers = l->n_teachers - 1;
    o->weights = l->weights;
    o->names = (const char *const *)l->names;
    return skive_distill(j->a->ctx, j->graph, l->teachers[0], j->train, j->validation, o, &l->report);
}

static json_t *report_json(const cli_job *j) {
    const skive_distill_options *o = skive_options_distill(j->options);
    json_t *json = cli_train_json(j->training);
    json_object_set_new(json, "temperature", json_real(o->temperature));
    json_object_set_new(json, "alpha", json_real(o->alpha));
    if (o->terms) json_object_set_new(json, "terms", cli_json_text(o->terms));
    if (o->n_more_teachers) json_object_set_new(json, "teachers", json_integer((json_int_t)o->n_more_teachers + 1));
    return json;
}

static skive_status run(cli_args *a) {
    static const cli_work steps = {.settings = settings, .open = open_all, .run = work, .json = report_json};
    lesson l = {0};
    cli_job j = {.own = &l, .training = &l.report};
    const skive_status status = cli_job_run(a, &steps, &j);
    skive_train_report_free(a->ctx, &l.report);
    for (size_t i = 0; i < l.n_teachers; i++) {
        skive_graph_free(l.teachers[i]);
        free(l.names[i]);
    }
    free(l.terms);
    return status;
}

const cli_command cli_command_distill = {
    .name = "distill",
    .brief = "train a small network to imitate a large one",
    .positional = "",
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "distill",
    .hidden = {"terms"},
    .details = "The student learns from the labels and from the teacher's softened outputs:\n"
               "loss = (1 - alpha) * cross-entropy + alpha * T^2 * KL(teacher/T || student/T)  (Hinton et al. 2015).\n"
               "--term adds others, on values inside the two networks (hint, attention, relation ...) or on scores. "
               "Several\n"
               "--teacher are combined.",
    .examples = "  skive distill --teacher teacher.onnx --student lenet5:0.5 --data fashion-mnist -T 4 --alpha 0.7 -o "
                "student.onnx",
    .saves = true,
    .run = run,
};
