/* skive distill: a student learns from a teacher. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"teacher", 0, "FILE", "the trained model to learn from (ONNX)", false},
    {"student", 0, "NETWORK", "a built-in network or an ONNX file", false},
    {"data", 'd', "SET", "data set (see skive --help)", false},
    {"output", 'o', "FILE", "the student to write, as ONNX", false},
    {"temperature", 'T', "T", "temperature that softens both outputs (default 4)", false},
    {"alpha", 0, "A", "weight of the teacher in the loss, 0 to 1 (default 0.7)", false},
    {"epochs", 'e', "N", "passes over the training set (default 10)", false},
    {"checkpoint", 0, "FILE", "written after each epoch; if it exists, training resumes from it", false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TEACHER_INPUT_OPTIONS,
    CLI_TRAIN_OPTIONS("0.02; adam 0.001", "sgd, adam or adamw (default sgd)", "0.5"),
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

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL), *output = cli_text(a, "output", NULL);
    const char *teacher_path = cli_text(a, "teacher", NULL), *spec = cli_text(a, "student", NULL);
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    skive_dataset *train = NULL, *validation = NULL;
    skive_graph *teacher = NULL, *student = NULL;
    skive_train_report report = {0};
    int64_t epochs = 10;
    char text[32];
    const bool dry = cli_has(a, "dry-run");
    if (!teacher_path || !spec || !data || (!output && !dry)) {
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s is missing",
                        !teacher_path ? "teacher"
                        : !spec       ? "student"
                        : !data       ? "data"
                                      : "output");
    }
    skive_status status = dry ? SKIVE_OK : cli_check_output(a, output);
    if (status == SKIVE_OK && !dry && cli_has(a, "checkpoint"))
        status = cli_check_output(a, cli_text(a, "checkpoint", NULL));
    if (status == SKIVE_OK) status = cli_integer(a, "epochs", 1, 1000000, &epochs);
    if (status == SKIVE_OK) status = cli_number(a, "temperature", &o.temperature);
    if (status == SKIVE_OK) status = cli_number(a, "alpha", &o.alpha);
    if (status == SKIVE_OK) status = cli_train_settings(a, &how);
    how.epochs = dry ? 0 : (int)epochs; /* 0: everything is checked, and nothing is trained */
    if (dry) how.checkpoint = NULL;
    o.train = &how;
    if (status == SKIVE_OK) status = cli_load_to_run(a, teacher_path, &teacher);
    if (status == SKIVE_OK) status = cli_open_training(a, data, teacher, &train, &validation);
    if (status == SKIVE_OK) status = cli_set_teacher_input(a, teacher, train);
    if (status == SKIVE_OK) status = start_student(a, spec, teacher, train, &student);
    if (status == SKIVE_OK) status = cli_set_input(a, student, train);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, (skive_graph *const[]){student, teacher}, 2);
    if (status == SKIVE_OK) status = skive_distill(a->ctx, student, teacher, train, validation, &o, &report);
    how.epochs = (int)epochs;
    if (status == SKIVE_OK && dry) {
        status = cli_tell_training(a, student, &how);
    } else if (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && report.n_epochs > 0)) {
        const skive_status saved = cli_save_trained(a, student, output);
        if (saved != SKIVE_OK) {
            status = saved;
        } else if (a->json) {
            json_t *j = cli_train_json(&report);
            json_object_set_new(j, "temperature", json_real(o.temperature));
            json_object_set_new(j, "alpha", json_real(o.alpha));
            json_object_set_new(j, "output", cli_json_text(output));
            json_object_set_new(j, "bytes", json_integer(cli_file_bytes(output)));
            cli_print_json(j);
        } else {
            cli_print_training(a, &report);
            cli_printf("wrote %s (%s)%s", output, cli_bytes((double)cli_file_bytes(output), text, sizeof text),
                       status == SKIVE_ERR_INTERRUPTED ? ", as it was after the last finished epoch" : "");
        }
    }
    if (status == SKIVE_ERR_INTERRUPTED && report.n_epochs == 0 && !dry)
        status = cli_fail(a, status, "interrupted before an epoch was finished; %s was not written", output);
    skive_train_report_free(a->ctx, &report);
    skive_graph_free(student);
    skive_graph_free(teacher);
    skive_dataset_free(validation);
    skive_dataset_free(train);
    return status;
}

const cli_command cli_command_distill = {
    .name = "distill",
    .brief = "train a small network to imitate a large one",
    .positional = "",
    .options = options,
    .n_options = CLI_COUNT(options),
    .details = "The student learns from the labels and from the teacher's softened outputs:\n"
               "loss = (1 - alpha) * cross-entropy + alpha * T^2 * KL(teacher/T || student/T)  (Hinton et al. 2015).",
    .examples = "  skive distill --teacher teacher.onnx --student lenet5:0.5 --data fashion-mnist -T 4 --alpha 0.7 -o "
                "student.onnx",
    .saves = true,
    .run = run,
};
