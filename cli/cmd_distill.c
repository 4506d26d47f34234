/* skive distill: a student learns from a teacher. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"teacher", 0, "FILE", "the trained model to learn from (ONNX)", false},
    {"student", 0, "NETWORK", "a built-in network or an ONNX file", false},
    {"data", 'd', "SET", "data set (see skive --help)", false},
    {"output", 'o', "FILE", "the student to write, as ONNX", false},
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
    if (cli_is_file(spec)) return cli_load_to_run(a, spec, out);
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
    skive_graph *teacher;
    skive_train_report report;
} lesson;

static skive_status settings(cli_job *j) {
    static const char *const needed[] = {"teacher", "student", "data"};
    for (size_t i = 0; i < CLI_COUNT(needed); i++) {
        if (!cli_has(j->a, needed[i])) return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--%s is missing", needed[i]);
    }
    if (j->how->epochs > 0) return SKIVE_OK;
    return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--epochs is 0; it must be between 1 and 1000000");
}

static skive_status open_all(cli_job *j) {
    cli_args *a = j->a;
    lesson *l = j->own;
    skive_status status = cli_load_to_run(a, cli_text(a, "teacher", NULL), &l->teacher);
    if (status == SKIVE_OK) status = cli_job_open_data(j, l->teacher);
    if (status == SKIVE_OK) status = cli_set_teacher_input(a, l->teacher, j->train);
    if (status == SKIVE_OK) status = start_student(a, cli_text(a, "student", NULL), l->teacher, j->train, &j->graph);
    if (status == SKIVE_OK) status = cli_set_input(a, j->graph, j->train);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, (skive_graph *const[]){j->graph, l->teacher}, 2);
    return status;
}

static skive_status work(cli_job *j) {
    lesson *l = j->own;
    return skive_distill(j->a->ctx, j->graph, l->teacher, j->train, j->validation, skive_options_distill(j->options),
                         &l->report);
}

static json_t *report_json(const cli_job *j) {
    const skive_distill_options *o = skive_options_distill(j->options);
    json_t *json = cli_train_json(j->training);
    json_object_set_new(json, "temperature", json_real(o->temperature));
    json_object_set_new(json, "alpha", json_real(o->alpha));
    return json;
}

static skive_status run(cli_args *a) {
    static const cli_work steps = {.settings = settings, .open = open_all, .run = work, .json = report_json};
    lesson l = {0};
    cli_job j = {.own = &l, .training = &l.report};
    const skive_status status = cli_job_run(a, &steps, &j);
    skive_train_report_free(a->ctx, &l.report);
    skive_graph_free(l.teacher);
    return status;
}

const cli_command cli_command_distill = {
    .name = "distill",
    .brief = "train a small network to imitate a large one",
    .positional = "",
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "distill",
    .details = "The student learns from the labels and from the teacher's softened outputs:\n"
               "loss = (1 - alpha) * cross-entropy + alpha * T^2 * KL(teacher/T || student/T)  (Hinton et al. 2015).",
    .examples = "  skive distill --teacher teacher.onnx --student lenet5:0.5 --data fashion-mnist -T 4 --alpha 0.7 -o "
                "student.onnx",
    .saves = true,
    .run = run,
};
