/* skive eval: how good a classifier is. */
#include <math.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"data", 'd', "SET", "data set (see skive --help)", false},
    {"split", 0, "NAME", "test (default), validation, train, or train-full (train and validation)", false},
    {"batch", 'b', "N", "samples a run (default 100)", false},
    {"limit", 0, "N", "use only N samples", false},
    {"no-confusion", 0, NULL, "leave the confusion matrix out", false},
};

static skive_status split_of(cli_args *a, skive_split *out) {
    const char *name = cli_text(a, "split", "test");
    static const skive_split all[] = {SKIVE_SPLIT_TEST, SKIVE_SPLIT_VALIDATION, SKIVE_SPLIT_TRAIN,
                                      SKIVE_SPLIT_TRAIN_FULL};
    for (size_t i = 0; i < CLI_COUNT(all); i++) {
        if (strcmp(skive_split_name(all[i]), name) != 0) continue;
        *out = all[i];
        return SKIVE_OK;
    }
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--split: '%s' is not test, validation, train or train-full", name);
}

static const char *class_name(const skive_dataset_info *info, int64_t c, char *buffer, size_t size) {
    if (info->class_names && c < info->classes)
        snprintf(buffer, size, "%s", info->class_names[c]);
    else
        snprintf(buffer, size, "%lld", (long long)c);
    return buffer;
}

static void ratio_cell(cli_table *t, double x) {
    if (isnan(x))
        cli_table_cell(t, "%s", "-");
    else
        cli_table_cell(t, "%.3f", x);
}

static void print_classes(const skive_eval_report *r, const skive_dataset_info *info) {
    static const char *const heads[] = {"<class", "precision", "recall", "F1"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char name[64];
    for (int64_t c = 0; c < r->classes; c++) {
        cli_table_cell(t, "%s", class_name(info, c, name, sizeof name));
        ratio_cell(t, r->precision[c]);
        ratio_cell(t, r->recall[c]);
        ratio_cell(t, r->f1[c]);
    }
    cli_table_print(t, stdout);
}

static void print_confusion(const skive_eval_report *r, const skive_dataset_info *info) {
    char names[64][12], name[64];
    const char *heads[64];
    if (r->classes > 63) {
        printf("the confusion matrix of %lld classes is in the JSON output\n", (long long)r->classes);
        return;
    }
    heads[0] = "<true \\ predicted";
    for (int64_t c = 0; c < r->classes; c++) {
        snprintf(names[c], sizeof names[c], "%.10s", class_name(info, c, name, sizeof name));
        heads[c + 1] = names[c];
    }
    cli_table *t = cli_table_new(heads, (size_t)r->classes + 1);
    for (int64_t c = 0; c < r->classes; c++) {
        cli_table_cell(t, "%s", class_name(info, c, name, sizeof name));
        for (int64_t k = 0; k < r->classes; k++) cli_table_cell(t, "%lld", (long long)r->confusion[c * r->classes + k]);
    }
    cli_table_print(t, stdout);
}

static json_t *number_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *report_json(const skive_eval_report *r, const skive_dataset_info *info) {
    json_t *classes = json_array(), *confusion = json_array();
    char name[64];
    for (int64_t c = 0; c < r->classes; c++) {
        json_array_append_new(classes, json_pack("{s:o, s:o, s:o, s:o}", "class",
                                                 cli_json_text(class_name(info, c, name, sizeof name)), "precision",
                                                 number_or_null(r->precision[c]), "recall",
                                                 number_or_null(r->recall[c]), "f1", number_or_null(r->f1[c])));
        json_t *row = json_array();
        for (int64_t k = 0; k < r->classes; k++)
            json_array_append_new(row, json_integer(r->confusion[c * r->classes + k]));
        json_array_append_new(confusion, row);
    }
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:f}", "n", (json_int_t)r->n, "accuracy", r->accuracy,
                     "accuracy_low", r->low, "accuracy_high", r->high, "top5", r->top5, "cross_entropy",
                     number_or_null(r->loss), "classes", classes, "confusion", confusion, "samples_per_second",
                     r->samples_per_second);
}

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL);
    skive_split split = SKIVE_SPLIT_TEST;
    skive_dataset *set = NULL;
    skive_graph *g = NULL;
    skive_eval_report r = {0};
    int64_t batch = 0;
    if (!data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; say which data set to evaluate on");
    skive_status status = split_of(a, &split);
    if (status == SKIVE_OK) status = cli_integer(a, "batch", 1, 1000000, &batch);
    if (status == SKIVE_OK) status = cli_load_as_packed(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = cli_open_data(a, data, split, &set);
    if (status == SKIVE_OK) status = skive_evaluate(a->ctx, g, set, batch, &r);
    if (status == SKIVE_OK) {
        skive_dataset_info info;
        skive_dataset_get_info(set, &info);
        if (a->json) {
            cli_print_json(report_json(&r, &info));
        } else {
            printf("%s on %lld samples of %s (%s)\n", a->positional[0], (long long)r.n, data, skive_split_name(split));
            if (split == SKIVE_SPLIT_TEST && !info.separate_test)
                printf("the set has no test samples of its own: these may be ones the model was trained on\n");
            printf("accuracy       %.2f %%  (95 %% interval %.2f to %.2f)\n", 100 * r.accuracy, 100 * r.low,
                   100 * r.high);
            printf("top-5          %.2f %%\n", 100 * r.top5);
            printf("cross-entropy  %.4f\n", r.loss);
            printf("speed          %.0f samples/s, data included\n\n", r.samples_per_second);
            print_classes(&r, &info);
            if (!cli_has(a, "no-confusion")) {
                fputc('\n', stdout);
                print_confusion(&r, &info);
            }
        }
    }
    skive_eval_report_free(a->ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_eval = {
    .name = "eval",
    .brief = "measure a classifier: accuracy, top-5, per-class figures, confusion matrix",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details = "The input normalisation is read from the model. Intervals are Wilson's.",
    .examples = "  skive eval teacher.onnx --data fashion-mnist",
    .run = run,
};
