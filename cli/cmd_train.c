/* skive train: trains a built-in network, or an existing model further, on a data set. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"data", 'd', "SET", "data set (see skive --help)", false},
    {"output", 'o', "FILE", "the trained model to write, as ONNX", false},
    {"classes", 0, "N", "replace the last layer by one for N classes, if the model has another number", false},
    CLI_DRY_RUN_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    CLI_TRAIN_OPTIONS,
};

/* Builds a built-in network, unless a file was loaded. `classes` 0: the number of classes of the data. */
static skive_status start_model(cli_args *a, const skive_dataset *train, int64_t classes, skive_graph **out) {
    return *out ? SKIVE_OK : cli_start_network(a, a->positional[0], train, classes, out);
}

static skive_status settings(cli_job *j) {
    int64_t *classes = j->own;
    if (!cli_has(j->a, "data"))
        return cli_fail(j->a, SKIVE_ERR_ARGUMENT, "--data is missing; name the data set to train on");
    return cli_integer(j->a, "classes", 1, 1000000, classes);
}

static skive_status open_all(cli_job *j) {
    cli_args *a = j->a;
    const int64_t classes = *(const int64_t *)j->own;
    const bool loaded = cli_is_file(a->positional[0]);
    skive_status status = loaded ? cli_load_to_run(a, a->positional[0], &j->graph) : SKIVE_OK;
    if (status == SKIVE_OK && loaded) status = cli_choose_outputs(a, &j->graph, 1); /* what labels fit depends on it */
    if (status == SKIVE_OK) status = cli_job_open_data(j, j->graph);
    if (status == SKIVE_OK) status = start_model(a, j->train, classes, &j->graph);
    if (status == SKIVE_OK) status = cli_set_input(a, j->graph, j->train);
    if (status == SKIVE_OK && !loaded) status = cli_choose_outputs(a, &j->graph, 1);
    if (status == SKIVE_OK && classes > 0 && loaded)
        status = skive_model_set_classes(j->graph, classes, skive_context_seed(a->ctx));
    return status;
}

static skive_train_report *report_of(const cli_job *j) { return (skive_train_report *)j->training; }

static skive_status work(cli_job *j) {
    return skive_train(j->a->ctx, j->graph, j->train, j->validation, j->how, NULL, 0, report_of(j));
}

static skive_status run(cli_args *a) {
    static const cli_work steps = {.settings = settings, .open = open_all, .run = work};
    skive_train_report report = {0};
    int64_t classes = 0;
    cli_job j = {.own = &classes, .training = &report};
    const skive_status status = cli_job_run(a, &steps, &j);
    skive_train_report_free(a->ctx, &report);
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
    .method = "train",
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
