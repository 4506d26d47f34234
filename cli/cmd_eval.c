/* skive eval: how good a model is. */
#include <math.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"data", 'd', "SET", "data set (see skive --help)", false},
    CLI_SPLIT_OPTION,
    {"batch", 'b', "N", "samples per run (default 100)", false},
    {"limit", 0, "N", "use only N samples", false},
    {"no-confusion", 0, NULL, "do not print the confusion matrix", false},
    CLI_METRICS_OPTION,
    CLI_RESAMPLES_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
};

static const char *class_name(const skive_dataset_info *info, int64_t c, char *buffer, size_t size) {
    if (info->class_names && c < info->classes)
        cli_copy(buffer, size, info->class_names[c], size);
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

/* TP / (TP + FP + FN), from F1 = 2 TP / (2 TP + FP + FN). */
static double iou_of(const skive_eval_report *r, int64_t c) { return r->f1[c] / (2 - r->f1[c]); }

static void print_classes(const skive_eval_report *r, const skive_dataset_info *info) {
    static const char *const heads[] = {"<class", "precision", "recall", "F1", "IoU"};
    const bool places = r->task == SKIVE_TASK_PLACES;
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads) - !places);
    char name[256];
    for (int64_t c = 0; c < r->classes; c++) {
        cli_table_cell(t, "%s", class_name(info, c, name, sizeof name));
        ratio_cell(t, r->precision[c]);
        ratio_cell(t, r->recall[c]);
        ratio_cell(t, r->f1[c]);
        if (places) ratio_cell(t, iou_of(r, c));
    }
    cli_table_print(t, stdout);
}

static void print_confusion(const skive_eval_report *r, const skive_dataset_info *info) {
    enum { SHORT = 10 };
    char names[64][4 * SHORT + 1], name[64];
    const char *heads[64];
    if (r->classes > 63) {
        cli_printf(r->confusion ? "the confusion matrix of %lld classes is only in the JSON output"
                                : "a confusion matrix of %lld classes is too large",
                   (long long)r->classes);
        return;
    }
    heads[0] = "<true \\ predicted";
    for (int64_t c = 0; c < r->classes; c++) {
        heads[c + 1] = cli_copy(names[c], sizeof names[c], class_name(info, c, name, sizeof name), SHORT);
    }
    cli_table *t = cli_table_new(heads, (size_t)r->classes + 1);
    for (int64_t c = 0; c < r->classes; c++) {
        cli_table_cell(t, "%s", class_name(info, c, name, sizeof name));
        for (int64_t k = 0; k < r->classes; k++) cli_table_cell(t, "%lld", (long long)r->confusion[c * r->classes + k]);
    }
    cli_table_print(t, stdout);
}

/* ---- multi-label and regression ---- */

static void print_labels(const skive_eval_report *r) {
    static const char *const heads[] = {"<label", "precision", "recall", "F1", "average precision"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (int64_t k = 0; k < r->targets; k++) {
        cli_table_cell(t, "%lld", (long long)k);
        ratio_cell(t, r->precision[k]);
        ratio_cell(t, r->recall[k]);
        ratio_cell(t, r->f1[k]);
        ratio_cell(t, r->average_precision[k]);
    }
    cli_table_print(t, stdout);
}

enum { MOST_TARGETS = 64 };

static void print_targets(const skive_eval_report *r) {
    static const char *const heads[] = {"<target", "RMSE", "MAE", "R2"};
    char text[32];
    if (r->targets < 2) return;
    if (r->targets > MOST_TARGETS) {
        cli_printf("errors are over %lld values per sample; --json prints those of each value", (long long)r->targets);
        return;
    }
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (int64_t k = 0; k < r->targets; k++) {
        cli_table_cell(t, "%lld", (long long)k);
        cli_table_cell(t, "%.6g", r->target_rmse[k]);
        cli_table_cell(t, "%.6g", r->target_mae[k]);
        if (isnan(r->target_r2[k]))
            cli_table_cell(t, "%s", "-");
        else
            cli_table_cell(t, "%s", cli_fixed(r->target_r2[k], text, sizeof text));
    }
    cli_table_print(t, stdout);
}

/* ---- the report ---- */

static void print_target(const cli_args *a, const skive_graph *g, const skive_eval_report *r,
                         const skive_dataset_info *info) {
    char text[256];
    cli_printf("%-17s %s", "output", cli_output_text(g, &r->output, text, sizeof text));
    cli_print_figures(r);
    cli_printf("%-17s %.0f samples/s, data included", "speed", r->samples_per_second);
    if (r->task > SKIVE_TASK_VALUES && r->task != SKIVE_TASK_PLACES) return;
    if (r->task == SKIVE_TASK_VALUES) {
        print_targets(r);
    } else if (r->task == SKIVE_TASK_LABELS) {
        fputc('\n', stdout);
        print_labels(r);
    } else {
        fputc('\n', stdout);
        print_classes(r, info);
        if (cli_has(a, "no-confusion")) return;
        fputc('\n', stdout);
        print_confusion(r, info);
    }
}

/* The classes of the target that the report is about. */
static skive_dataset_info info_of(const skive_eval_report *r, const skive_dataset_info *info) {
    skive_dataset_info one = *info;
    for (size_t i = 0; i < info->n_targets && r->target; i++) {
        if (!info->targets[i].name || strcmp(info->targets[i].name, r->target) != 0) continue;
        one.classes = info->targets[i].classes;
        one.class_names = info->targets[i].class_names;
    }
    return one;
}

static void print_report(const cli_args *a, const skive_graph *g, const skive_eval_report *r,
                         const skive_dataset_info *info) {
    cli_printf("%s on %lld samples of %s (%s)", a->positional[0], (long long)r->n, info->spec,
               skive_split_name(info->split));
    if (info->split == SKIVE_SPLIT_TEST && !info->separate_test)
        cli_printf("the data set has no separate test samples: the model may have been trained on these");
    for (size_t i = 0; i <= r->n_more; i++) {
        const skive_eval_report *one = i ? &r->more[i - 1] : r;
        const skive_dataset_info own = info_of(one, info);
        if (one->target) cli_printf("%s%-17s %s", i ? "\n" : "", "target", one->target);
        print_target(a, g, one, &own);
    }
}

static json_t *number_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static void set_number(json_t *j, const char *key, double x) {
    if (!isnan(x)) json_object_set_new(j, key, number_or_null(x));
}

static void set_rates(json_t *row, const skive_eval_report *r, int64_t k) {
    json_object_set_new(row, "precision", number_or_null(r->precision[k]));
    json_object_set_new(row, "recall", number_or_null(r->recall[k]));
    json_object_set_new(row, "f1", number_or_null(r->f1[k]));
}

static void add_classes_json(json_t *j, const skive_eval_report *r, const skive_dataset_info *info) {
    json_t *classes = json_array(), *confusion = json_array();
    char name[64];
    for (int64_t c = 0; c < r->classes; c++) {
        json_t *one = json_pack("{s:o}", "class", cli_json_text(class_name(info, c, name, sizeof name)));
        set_rates(one, r, c);
        if (r->task == SKIVE_TASK_PLACES) json_object_set_new(one, "iou", number_or_null(iou_of(r, c)));
        json_array_append_new(classes, one);
        if (!r->confusion) continue;
        json_t *row = json_array();
        for (int64_t k = 0; k < r->classes; k++)
            json_array_append_new(row, json_integer(r->confusion[c * r->classes + k]));
        json_array_append_new(confusion, row);
    }
    json_object_set_new(j, "classes", classes);
    json_object_set_new(j, "confusion", confusion);
}

static void add_targets_json(json_t *j, const skive_eval_report *r) {
    const bool labels = r->task == SKIVE_TASK_LABELS;
    json_t *rows = json_array();
    for (int64_t k = 0; k < r->targets; k++) {
        json_t *row = json_object();
        if (labels) {
            set_rates(row, r, k);
            json_object_set_new(row, "average_precision", number_or_null(r->average_precision[k]));
        } else {
            json_object_set_new(row, "rmse", number_or_null(r->target_rmse[k]));
            json_object_set_new(row, "mae", number_or_null(r->target_mae[k]));
            json_object_set_new(row, "r2", number_or_null(r->target_r2[k]));
        }
        json_array_append_new(rows, row);
    }
    json_object_set_new(j, labels ? "labels" : "targets", rows);
}

static json_t *report_json(const skive_eval_report *r, const skive_dataset_info *info) {
    json_t *j = json_pack("{s:I, s:o}", "n", (json_int_t)r->n, "output", cli_output_json(&r->output));
    cli_set_metrics(j, r, set_number);
    if (r->task < SKIVE_TASK_VALUES || r->task == SKIVE_TASK_SEQUENCES || r->task == SKIVE_TASK_PLACES)
        json_object_set_new(j, "cross_entropy", number_or_null(r->loss));
    json_object_set_new(j, "figures", cli_figures_json(r));
    if (r->classes)
        add_classes_json(j, r, info);
    else if (r->targets)
        add_targets_json(j, r);
    json_object_set_new(j, "samples_per_second", json_real(r->samples_per_second));
    if (r->target) json_object_set_new(j, "target", cli_json_text(r->target));
    if (r->n_more == 0) return j;
    json_t *more = json_array();
    for (size_t i = 0; i < r->n_more; i++) {
        const skive_dataset_info own = info_of(&r->more[i], info);
        json_array_append_new(more, report_json(&r->more[i], &own));
    }
    json_object_set_new(j, "other_targets", more);
    return j;
}

static void print_json(const cli_args *a, const skive_graph *g, const skive_dataset *set, const skive_eval_report *r,
                       const skive_dataset_info *info) {
    const skive_dataset_info own = info_of(r, info);
    json_t *j = report_json(r, &own);
    json_object_set_new(j, "input", cli_input_json(a, g, set));
    cli_print_json(j);
}

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL);
    skive_split split = SKIVE_SPLIT_TEST;
    skive_dataset *set = NULL;
    skive_graph *g = NULL;
    skive_eval_report r = {0};
    int64_t batch = 0;
    size_t resamples = 0;
    if (!data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; name the data set to evaluate on");
    skive_status status = cli_split(a, &split);
    if (status == SKIVE_OK) status = cli_integer(a, "batch", 1, 1000000, &batch);
    if (status == SKIVE_OK) status = cli_resamples(a, &resamples);
    if (status == SKIVE_OK) status = cli_load_to_judge(a, a->positional[0], &g);
    if (status == SKIVE_OK) cli_use_choices(a, a->positional[0]);
    if (status == SKIVE_OK) status = cli_choose_outputs(a, &g, 1); /* what labels fit depends on it */
    if (status == SKIVE_OK) status = cli_open_data(a, data, split, g, &set);
    if (status == SKIVE_OK) status = cli_set_input(a, g, set);
    if (status == SKIVE_OK) status = skive_evaluate_metrics(a->ctx, g, set, batch, cli_text(a, "metrics", NULL), &r);
    if (status == SKIVE_OK) status = skive_eval_intervals(a->ctx, &r, resamples, skive_context_seed(a->ctx));
    for (size_t i = 0; i < r.n_more && status == SKIVE_OK; i++)
        status = skive_eval_intervals(a->ctx, &r.more[i], resamples, skive_context_seed(a->ctx));
    if (status == SKIVE_OK) {
        skive_dataset_info info;
        skive_dataset_get_info(set, &info);
        if (a->json)
            print_json(a, g, set, &r, &info);
        else
            print_report(a, g, &r, &info);
    }
    skive_eval_report_free(a->ctx, &r);
    skive_dataset_free(set);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_eval = {
    .name = "eval",
    .brief = "measure a model: accuracy, per-class figures, regression errors",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Class labels: accuracy, top-5, balanced accuracy, F1, AUC, average precision, cross-entropy, perplexity,\n"
        "calibration error, per-class figures and the confusion matrix. Float targets: RMSE, MAE, MSE and R2; where "
        "all\n"
        "are 0 or 1 and the model ends in a sigmoid, the figures of several labels. Each comes with a 95 % interval:\n"
        "Wilson's of shares, the normal one of other means, and of the rest that of a bootstrap. Whether the output "
        "is\n"
        "logits, probabilities or values is read from the model and printed. Layout, scale and normalisation of the\n"
        "input are read from the model, unless options set them, and printed.",
    .examples = "  skive eval teacher.onnx --data fashion-mnist",
    .run = run,
};
