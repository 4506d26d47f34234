/* How samples become a model's input: the options that control it, and networks built for a data set. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static skive_input_options read_options(const cli_args *a, const char *const names[4]) {
    skive_input_options o = skive_input_options_default();
    o.layout = cli_text(a, names[0], NULL);
    o.mean = cli_text(a, names[1], NULL);
    o.std = cli_text(a, names[2], NULL);
    o.scale = cli_text(a, names[3], NULL);
    return o;
}

skive_status cli_set_input(cli_args *a, skive_graph *g, const skive_dataset *set) {
    static const char *const names[] = {"layout", "mean", "std", "scale"};
    const skive_input_options o = read_options(a, names);
    for (size_t i = 0; i < CLI_COUNT(names) && !set; i++) {
        if (cli_has(a, names[i])) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs --data", names[i]);
    }
    return set ? skive_model_set_input(a->ctx, g, set, &o) : SKIVE_OK;
}

/* Whether the metadata of the model have the value of an option, which is then told to be unused. */
static bool says(cli_args *a, const skive_graph *g, const char *model, const char *key, const char *option) {
    if (!skive_graph_meta(g, key)) return false;
    if (cli_has(a, option) && !a->quiet)
        cli_tell("note: --%s is not applied to %s, whose file records its own", option, model);
    return true;
}

skive_status cli_set_input_where_unsaid(cli_args *a, skive_graph *g, const char *model, const skive_dataset *set) {
    static const char *const names[] = {"layout", "mean", "std", "scale"};
    skive_input_options o = read_options(a, names);
    if (says(a, g, model, "skive.input.layout", "layout")) o.layout = NULL;
    if (says(a, g, model, "skive.input.scale", "scale")) o.scale = NULL;
    if (says(a, g, model, "skive.input.mean", "mean")) o.mean = NULL;
    if (says(a, g, model, "skive.input.mean", "std")) o.std = NULL;
    return skive_model_set_input(a->ctx, g, set, &o);
}

skive_status cli_set_teacher_input(cli_args *a, skive_graph *teacher, const skive_dataset *set) {
    static const char *const names[] = {"teacher-layout", "teacher-mean", "teacher-std", "teacher-scale"};
    const skive_input_options o = read_options(a, names);
    for (size_t i = 0; i < CLI_COUNT(names) && !(teacher && set); i++) {
        if (cli_has(a, names[i])) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs --teacher and --data", names[i]);
    }
    return teacher && set ? skive_model_set_input(a->ctx, teacher, set, &o) : SKIVE_OK;
}

json_t *cli_input_json(const cli_args *a, const skive_graph *g, const skive_dataset *set) {
    char *text = NULL;
    if (skive_model_input_text(a->ctx, g, set, &text) != SKIVE_OK) return json_null();
    json_t *j = cli_json_text(text);
    skive_string_free(a->ctx, text);
    return j;
}

/* ---- networks ---- */

/* [c][h][w] for networks of images: [h][w] has one channel, and a last axis of 1, 3 or 4 is the channel axis. */
static void as_picture(const skive_dataset_info *info, skive_zoo_options *o) {
    const int64_t *d = info->dims;
    if (info->rank == 2) {
        o->rank = 3;
        o->dims[0] = 1;
        o->dims[1] = d[0];
        o->dims[2] = d[1];
    } else if (info->rank == 3 && info->channel_axis < 0 && d[0] > 4 && (d[2] == 1 || d[2] == 3 || d[2] == 4)) {
        o->dims[0] = d[2];
        o->dims[1] = d[0];
        o->dims[2] = d[1];
    }
}

/* Does a network look up the tokens that the samples are? Another one takes their numbers as values, which is told. */
static bool reads_tokens(const cli_args *a, const char *spec, const skive_dataset_info *info) {
    const size_t n = strcspn(spec, ":");
    if (info->vocabulary <= 0 || info->rank != 1) return false;
    for (size_t i = 0; i < skive_zoo_count(); i++) {
        const char *name = skive_zoo_name(i);
        if (strlen(name) != n || strncmp(name, spec, n) != 0) continue;
        if (skive_zoo_takes_tokens(i)) return true;
        if (!a->quiet)
            cli_tell("note: '%s' takes the numbers of the tokens as values; lstm, gru and transformer look them up",
                     name);
    }
    return false;
}

skive_status cli_build_network(cli_args *a, const char *spec, const skive_dataset *train, int64_t classes,
                               skive_graph **out) {
    skive_dataset_info info;
    skive_zoo_options o = skive_zoo_options_default();
    skive_dataset_get_info(train, &info);
    if (classes <= 0 && !info.labelled && info.target_size == 0)
        return cli_fail(a, SKIVE_ERR_DATA, "%s: its samples have no labels or targets to train on", info.spec);
    o.rank = info.rank;
    for (int d = 0; d < info.rank; d++) o.dims[d] = info.dims[d];
    o.classes = classes > 0 ? classes : info.labelled ? info.classes : (int64_t)info.target_size;
    o.seed = skive_context_seed(a->ctx);
    o.vocabulary = reads_tokens(a, spec, &info) ? info.vocabulary : 0;
    if (o.classes == 1 && info.labelled && classes <= 0)
        return cli_fail(a, SKIVE_ERR_DATA, "%s: all its samples have the same class: there is nothing to tell apart",
                        info.spec);
    /* Recurrent networks read as many tokens as there are before the padding. */
    if (o.vocabulary > 0 && strncmp(spec, "transformer", 11) != 0 && strstr(info.spec, "pad=start"))
        return cli_fail(a, SKIVE_ERR_DATA,
                        "%s: '%s' reads a text up to its padding, which must stand behind it: leave pad=start out",
                        info.spec, spec);
    if (info.rank != 2 || info.dtype == SKIVE_U8) as_picture(&info, &o);
    skive_status status = skive_zoo_build(a->ctx, spec, &o, out);
    if (status == SKIVE_ERR_SHAPE && info.rank == 2 && o.rank == 2) {
        as_picture(&info, &o);
        status = skive_zoo_build(a->ctx, spec, &o, out);
    }
    return status;
}

skive_status cli_start_network(cli_args *a, const char *spec, const skive_dataset *train, int64_t classes,
                               skive_graph **out) {
    const skive_status status = cli_build_network(a, spec, train, classes, out);
    return status == SKIVE_OK ? cli_normalize_by_data(a, *out, train) : status;
}

skive_status cli_normalize_by_data(cli_args *a, skive_graph *g, const skive_dataset *train) {
    skive_input_options o = skive_input_options_default();
    const skive_dtype dtype = skive_value_type(skive_graph_input(g, 0))->dtype;
    if (dtype == SKIVE_I64 || dtype == SKIVE_I32) return SKIVE_OK; /* tokens */
    o.mean = o.std = "data";
    o.scale = cli_text(a, "scale", NULL);
    if (cli_has(a, "mean") || cli_has(a, "std")) return SKIVE_OK; /* ensured by cli_set_input */
    return skive_model_set_input(a->ctx, g, train, &o);
}
