/* skive train: trains a built-in network, or an existing model further, on a data set. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"data", 'd', "SET", "data set (see skive --help)", false},
    {"output", 'o', "FILE", "the trained model to write, as ONNX", false},
    {"epochs", 'e', "N", "passes over the training set (default 10); 0: write the initial network", false},
    {"checkpoint", 0, "FILE", "written after each epoch; if it exists, training resumes from it", false},
    {"classes", 0, "N", "replace the last layer by one for N classes, if the model has another number", false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TRAIN_OPTIONS("0.02; adam 0.001", "sgd, adam or adamw (default sgd)", "0.5"),
};

/* Builds a built-in network, unless a file was loaded. `classes` 0: the number of classes of the data. */
static skive_status start_model(cli_args *a, const skive_dataset *train, int64_t classes, skive_graph **out) {
    if (*out) return SKIVE_OK;
    skive_status status = cli_build_network(a, a->positional[0], train, classes, out);
    if (status == SKIVE_OK) status = cli_normalize_by_data(a, *out, train);
    return status;
}

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL), *output = cli_text(a, "output", NULL);
    skive_train_options o = skive_train_options_default();
    skive_dataset *train = NULL, *validation = NULL;
    skive_graph *g = NULL;
    skive_train_report report = {0};
    int64_t epochs = 10, classes = 0;
    char text[32];
    if (!data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; name the data set to train on");
    const bool dry = cli_has(a, "dry-run");
    if (!output && !dry) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; name the file to write");
    skive_status status = dry ? SKIVE_OK : cli_check_output(a, output);
    if (status == SKIVE_OK && !dry && cli_has(a, "checkpoint"))
        status = cli_check_output(a, cli_text(a, "checkpoint", NULL));
    if (status == SKIVE_OK) status = cli_integer(a, "epochs", 0, 1000000, &epochs);
    if (status == SKIVE_OK) status = cli_integer(a, "classes", 1, 1000000, &classes);
    if (status == SKIVE_OK) status = cli_train_settings(a, &o);
    if (status == SKIVE_OK && cli_is_file(a->positional[0])) status = cli_load_to_run(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = cli_open_training(a, data, g, &train, &validation);
    if (status == SKIVE_OK) status = start_model(a, train, classes, &g);
    if (status == SKIVE_OK) status = cli_set_input(a, g, train);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, &g, 1);
    if (status == SKIVE_OK && classes > 0 && cli_is_file(a->positional[0]))
        status = skive_model_set_classes(g, classes, skive_context_seed(a->ctx));
    if (status == SKIVE_OK) {
        o.epochs = dry ? 0 : (int)epochs; /* 0: everything is checked, and nothing is trained */
        if (dry) o.checkpoint = NULL;
        status = skive_train(a->ctx, g, train, validation, &o, NULL, 0, &report);
        o.epochs = (int)epochs;
    }
    /* An interrupted run is saved too, so that its progress is not lost. */
    if (status == SKIVE_OK && dry) {
        status = cli_tell_training(a, g, &o);
    } else if (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && report.n_epochs > 0)) {
        const skive_status saved = cli_save_trained(a, g, output);
        if (saved != SKIVE_OK) {
            status = saved;
        } else if (a->json) {
            json_t *j = cli_train_json(&report);
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
    skive_graph_free(g);
    skive_dataset_free(validation);
    skive_dataset_free(train);
    return status;
}

const cli_command cli_command_train = {
    .name = "train",
    .brief = "train a network on a data set",
    .positional = "NETWORK",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "NETWORK is a built-in network (skive --help lists them; lenet5:0.5 is half as wide) or an ONNX file to train\n"
        "further. A twelfth of the training set is held out for validation, and the parameters of the best epoch on "
        "it\n"
        "are kept; the test set is not used. The input normalisation is stored with the model. Ctrl-C stops and saves\n"
        "the result of the last finished epoch.",
    .examples = "  skive train lenet5 --data fashion-mnist --epochs 10 -o teacher.onnx\n"
                "  skive train resnet20 --data folder:cifar10 --augment crop:4,flip --epochs 60 -o resnet20.onnx\n"
                "  skive train resnet18.onnx --classes 5 --data folder:flowers --epochs 10 -o flowers.onnx",
    .saves = true,
    .run = run,
};
