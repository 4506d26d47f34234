/* Opening data sets by the options that the commands share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* "HxW", height first, or "N": then *square. */
static skive_status parse_size(cli_args *a, const char *name, int64_t *h, int64_t *w, bool *square) {
    const char *text = cli_text(a, name, NULL);
    char *end = NULL;
    *square = false;
    if (!text) return SKIVE_OK;
    *h = *w = strtoll(text, &end, 10);
    bool good = end != text && *h >= 1 && *h <= 16384;
    *square = good && !*end;
    if (good && (*end == 'x' || *end == 'X' || *end == ',')) {
        const char *second = end + 1;
        *w = strtoll(second, &end, 10);
        good = end != second && *w >= 1 && *w <= 16384;
    }
    if (good && !*end) return SKIVE_OK;
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s: '%s' is not HxW (height first, such as 224x160) or N, of 1 to 16384",
                    name, text);
}

static skive_status read_options(cli_args *a, skive_dataset_options *o) {
    const char *targets = cli_text(a, "targets", NULL);
    bool square = false, square_crop;
    skive_status status = parse_size(a, "resize", &o->resize_h, &o->resize_w, &square);
    if (status == SKIVE_OK) status = parse_size(a, "center-crop", &o->crop_h, &o->crop_w, &square_crop);
    if (status != SKIVE_OK) return status;
    if (square && o->crop_h) {
        o->resize_shorter = o->resize_h;
        o->resize_h = o->resize_w = 0;
    }
    o->classes_by_order = cli_has(a, "class-order");
    o->skip_bad = cli_has(a, "skip-bad") || strcmp(a->command->name, "data") == 0; /* which counts them */
    if (targets && strcmp(targets, "class") == 0)
        o->targets = SKIVE_TARGETS_CLASSES;
    else if (targets && strcmp(targets, "float") == 0)
        o->targets = SKIVE_TARGETS_VALUES;
    else if (targets)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--targets: '%s' is not class or float", targets);
    return SKIVE_OK;
}

/* The axes of height and width of the model's input, to which the data set is resized, may be set by an option; distill
 * opens the set for its teacher, where there is one. */
static skive_status set_layout(cli_args *a, skive_graph *model) {
    skive_input_options o = skive_input_options_default();
    const bool taught = strcmp(a->command->name, "distill") == 0 && cli_has(a, "teacher");
    o.layout = cli_text(a, taught ? "teacher-layout" : "layout", NULL);
    if (!model || !o.layout || skive_graph_meta(model, "skive.input.layout")) return SKIVE_OK;
    return skive_model_set_input(a->ctx, model, NULL, &o);
}

skive_status cli_split(cli_args *a, skive_split *out) {
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

/* Is a set opened for a teacher whose classes need not be those of the data? */
static bool of_teacher(const cli_args *a) {
    return strcmp(a->command->name, "distill") == 0 && (cli_has(a, "teacher-head") || cli_has(a, "teacher-classes")) &&
           !cli_is_file(cli_text(a, "student", ""));
}

/* `like`: a split that is open, whose tables or text are read in the same way; or NULL. */
static skive_status open_split(cli_args *a, const char *spec, skive_split split, skive_graph *model, bool limited,
                               bool labels, const skive_dataset *like, skive_dataset **out) {
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset_info info;
    int64_t limit = 0;
    skive_status status = set_layout(a, model);
    if (status == SKIVE_OK && limited) status = cli_integer(a, "limit", 1, INT64_MAX, &limit);
    if (status == SKIVE_OK) status = read_options(a, &o);
    if (status != SKIVE_OK) return status;
    o.split = split;
    o.limit = (size_t)limit;
    o.model = model;
    if (cli_has(a, "classes")) o.classes_by_order = true; /* the model gets a new last layer */
    if (of_teacher(a)) o.classes_by_order = true;
    if (!labels) o.targets = SKIVE_TARGETS_NONE;
    skive_dataset_get_info(like, &info);
    if (info.n_inputs == 1) o.preprocessing = info.preprocessing;
    return skive_dataset_open(a->ctx, spec, &o, out);
}

skive_status cli_open_unlabelled(cli_args *a, const char *spec, skive_graph *model, const skive_dataset *like,
                                 skive_dataset **out) {
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset_info info;
    const bool same = strcmp(spec, cli_text(a, "data", "")) == 0;
    int64_t limit = 0;
    skive_status status = cli_integer(a, "limit", 1, INT64_MAX, &limit);
    if (status == SKIVE_OK) status = read_options(a, &o);
    if (status != SKIVE_OK) return status;
    if (same && !limit)
        return cli_fail(
            a, SKIVE_ERR_ARGUMENT,
            "--unlabelled %s: it is the set of --data, all of whose samples have labels; with --limit, those "
            "that it leaves out are taken",
            spec);
    skive_dataset_get_info(like, &info);
    o.split = same ? info.split : SKIVE_SPLIT_TRAIN_FULL;
    o.model = model;
    o.targets = SKIVE_TARGETS_NONE;
    o.classes_by_order = true;
    if (same) o.skip = (size_t)limit;
    if (info.n_inputs == 1) o.preprocessing = info.preprocessing;
    return skive_dataset_open(a->ctx, spec, &o, out);
}

skive_status cli_open_data(cli_args *a, const char *spec, skive_split split, skive_graph *model, skive_dataset **out) {
    return open_split(a, spec, split, model, true, true, NULL, out);
}

skive_status cli_open_test(cli_args *a, const char *spec, skive_graph *model, const skive_dataset *train,
                           skive_dataset **out) {
    return open_split(a, spec, SKIVE_SPLIT_TEST, model, false, true, train, out);
}

skive_status cli_open_samples(cli_args *a, const char *spec, skive_split split, skive_graph *model,
                              skive_dataset **out) {
    return open_split(a, spec, split, model, true, false, NULL, out);
}

/* A file of test samples that the specification names is not trained on, and would else be found missing, or of other
 * columns, only by an evaluation after the training. */
static skive_status check_test(cli_args *a, const char *spec, skive_graph *model, const skive_dataset *train) {
    skive_dataset *test = NULL;
    if (!strstr(spec, ",test=")) return SKIVE_OK;
    const skive_status status = open_split(a, spec, SKIVE_SPLIT_TEST, model, false, true, train, &test);
    skive_dataset_free(test);
    return status;
}

skive_status cli_open_training(cli_args *a, const char *spec, skive_graph *model, skive_dataset **train,
                               skive_dataset **validation) {
    const bool hold_out = !cli_has(a, "no-validation");
    const skive_status status =
        cli_open_data(a, spec, hold_out ? SKIVE_SPLIT_TRAIN : SKIVE_SPLIT_TRAIN_FULL, model, train);
    if (status != SKIVE_OK) return status;
    if (hold_out) {
        const skive_status held = open_split(a, spec, SKIVE_SPLIT_VALIDATION, model, false, true, *train, validation);
        if (held != SKIVE_OK) return held;
    }
    return check_test(a, spec, model, *train);
}
