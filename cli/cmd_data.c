/* skive data: what is in a data set, what should be looked at in it, and what training sees of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "write a contact sheet as PNG: samples as training sees them", false},
    {"array", 0, "FILE", "write the same samples as an array of numbers (.npy)", false},
    {"augment", 0, "LIST", "transforms of the samples that are written, as in skive train", false},
    {"split", 0, "NAME", "split whose samples are written: train (default), validation, test or train-full", false},
    {"samples", 0, "N", "samples to write (default 64)", false},
    {"columns", 0, "N", "pictures side by side on the sheet (default 8)", false},
    {"epoch", 0, "N", "epoch whose samples and random choices are written (default 0)", false},
    {"in-order", 0, NULL, "write the first samples of the split, not random ones", false},
    {"no-summary", 0, NULL, "only write samples; do not read the whole data set", false},
    {"strict", 0, NULL, "end with exit status 9 if problems are found", false},
    {"limit", 0, "N", "read only N samples of each split", false},
    {"resize", 0, "HxW",
     "resize images to this, height first; N: NxN, or with --center-crop their shorter side (default: their size)",
     false},
    {"center-crop", 0, "HxW", "then keep the centre of each image; N: NxN", false},
    CLI_TARGET_OPTIONS,
};

enum { MOST_SETS = 3, MOST_ROWS = 40 };

typedef struct opened {
    skive_dataset *sets[MOST_SETS];
    size_t n;
    char *no_test; /* why the test split cannot be read; NULL: it can, or there is none */
} opened;

/* Train and validation, and the test split where it has samples of its own. A set too small to hold samples out is one
 * split. */
static skive_status open_all(cli_args *a, opened *o) {
    skive_dataset_info info;
    skive_status status = cli_open_data(a, a->positional[0], SKIVE_SPLIT_TRAIN, NULL, &o->sets[0]);
    if (status != SKIVE_OK) return status;
    o->n = 1;
    skive_dataset_get_info(o->sets[0], &info);
    status = cli_open_data(a, a->positional[0], SKIVE_SPLIT_VALIDATION, NULL, &o->sets[o->n]);
    if (status != SKIVE_OK) return status;
    o->n++;
    if (!info.separate_test) return SKIVE_OK;
    status = cli_open_data(a, a->positional[0], SKIVE_SPLIT_TEST, NULL, &o->sets[o->n]);
    if (status == SKIVE_OK) o->n++;
    if (status != SKIVE_ERR_DATA) return status;
    o->no_test = cli_format("%s", skive_context_message(a->ctx));
    return o->no_test ? SKIVE_OK : SKIVE_ERR_MEMORY;
}

/* ---- text ---- */

static void shape_text(const skive_dataset_info *info, char *out, size_t room) {
    size_t used = (size_t)snprintf(out, room, "[");
    for (int d = 0; d < info->rank && used < room; d++)
        used += (size_t)snprintf(out + used, room - used, "%s%lld", d ? ", " : "", (long long)info->dims[d]);
    if (used < room) snprintf(out + used, room - used, "]");
}

static void print_splits(const skive_data_summary *s) {
    static const char *const heads[] = {"<split", "samples", "damaged", "not finite"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char text[32];
    for (size_t k = 0; k < s->n_splits; k++) {
        cli_table_cell(t, "%s", skive_split_name(s->splits[k].split));
        cli_table_cell(t, "%s", cli_thousands((int64_t)s->splits[k].count, text, sizeof text));
        cli_table_cell(t, "%zu", s->splits[k].damaged);
        cli_table_cell(t, "%zu", s->splits[k].not_finite);
    }
    cli_table_print(t, stdout);
}

/* `of` gives the counts of a split. */
static void class_table(const skive_data_summary *s, const char *head, int64_t classes, const char *const *names,
                        const size_t *(*of)(const skive_split_summary *, size_t), size_t index) {
    const char *heads[MOST_SETS + 1] = {head};
    char text[32];
    for (size_t k = 0; k < s->n_splits; k++) heads[k + 1] = skive_split_name(s->splits[k].split);
    cli_table *t = cli_table_new(heads, s->n_splits + 1);
    for (int64_t c = 0; c < classes && c < MOST_ROWS; c++) {
        if (names)
            cli_table_cell(t, "%lld %s", (long long)c, names[c]);
        else
            cli_table_cell(t, "%lld", (long long)c);
        for (size_t k = 0; k < s->n_splits; k++)
            cli_table_cell(t, "%s", cli_thousands((int64_t)of(&s->splits[k], index)[c], text, sizeof text));
    }
    cli_table_print(t, stdout);
    if (classes > MOST_ROWS) cli_printf("and %lld more classes, which --json lists", (long long)classes - MOST_ROWS);
}

static const size_t *first_classes(const skive_split_summary *s, size_t index) {
    (void)index;
    return s->per_class;
}
static const size_t *more_classes(const skive_split_summary *s, size_t index) { return s->more[index].per_class; }

static void print_classes(const skive_data_summary *s, const skive_dataset_info *info) {
    if (!info->labelled) return;
    fputc('\n', stdout);
    class_table(s, info->label_rank ? "<class of pixels" : "<class", info->classes, info->class_names, first_classes,
                0);
}

static void print_part_classes(const skive_data_summary *s, size_t index, const char *const *names) {
    class_table(s, "<class", s->splits[0].more[index].classes, names, more_classes, index);
}

static void numbers(cli_table *t, const char *what, double mean, double std, double least, double most) {
    cli_table_cell(t, "%s", what);
    cli_table_cell(t, "%.6g", mean);
    cli_table_cell(t, "%.6g", std);
    cli_table_cell(t, "%.6g", least);
    cli_table_cell(t, "%.6g", most);
}

static cli_table *channel_table(const skive_dataset_info *info, int64_t channels) {
    const bool all = info->rank == 1 && channels == 1 && info->sample_size > 1; /* tokens, waves */
    const char *heads[] = {all               ? "<values"
                           : info->rank == 1 ? "<column"
                                             : "<channel",
                           "mean", "deviation", "least", "largest"};
    return cli_table_new(heads, CLI_COUNT(heads));
}

static void channel_rows(cli_table *t, const skive_part_summary *p, const skive_dataset_info *info,
                         const skive_dataset *set) {
    const bool all = info->rank == 1 && p->channels == 1 && info->sample_size > 1;
    char name[32];
    for (int64_t c = 0; c < p->channels && c < MOST_ROWS; c++) {
        const char *own = info->rank == 1 ? skive_dataset_value_name(set, (size_t)c) : NULL;
        snprintf(name, sizeof name, "%lld", (long long)c);
        numbers(t, all ? "all" : own ? own : name, p->mean[c], p->std[c], p->least[c], p->most[c]);
    }
}

static void tell_more_channels(int64_t channels) {
    if (channels > MOST_ROWS) cli_printf("and %lld more, which --json lists", (long long)channels - MOST_ROWS);
}

static void print_channels(const skive_data_summary *s, const skive_dataset_info *info, const skive_dataset *set) {
    const skive_split_summary *split = &s->splits[0];
    const skive_part_summary p = {.channels = split->channels,
                                  .mean = split->mean,
                                  .std = split->std,
                                  .least = split->least,
                                  .most = split->most};
    cli_table *t = channel_table(info, split->channels);
    channel_rows(t, &p, info, set);
    if (!info->labelled && info->target_size > 0)
        numbers(t, "target", split->target_mean, split->target_std, split->target_least, split->target_most);
    printf("\n%s%s%s%s\n", skive_split_name(split->split), split->n_more && info->inputs[0].name ? ", input " : "",
           split->n_more && info->inputs[0].name ? info->inputs[0].name : "",
           info->dtype == SKIVE_U8 ? ", 8-bit samples as value / 255" : "");
    cli_table_print(t, stdout);
    tell_more_channels(split->channels);
}

static void print_part_values(const skive_part_summary *p, const skive_dataset_info *info, const skive_dataset *set) {
    static const char *const heads[] = {"<values", "mean", "deviation", "least", "largest"};
    cli_table *t = p->target ? cli_table_new(heads, CLI_COUNT(heads)) : channel_table(info, p->channels);
    if (p->target)
        numbers(t, "target", p->mean[0], p->std[0], p->least[0], p->most[0]);
    else
        channel_rows(t, p, info, set);
    cli_table_print(t, stdout);
    tell_more_channels(p->channels);
}

/* The inputs and targets behind the first. */
static void print_more(const skive_data_summary *s, const skive_dataset_info *info, const skive_dataset *set) {
    const skive_split_summary *split = &s->splits[0];
    size_t input = 0, target = 0;
    for (size_t i = 0; i < split->n_more; i++) {
        const skive_part_summary *p = &split->more[i];
        const skive_dataset *own =
            p->target ? skive_dataset_get_target(set, ++target) : skive_dataset_get_input(set, ++input);
        skive_dataset_info one;
        char shape[160];
        skive_dataset_get_info(own, &one);
        one.spec = info->spec;
        shape_text(&one, shape, sizeof shape);
        fputc('\n', stdout);
        if (p->target)
            cli_part("target %s", p->name ? p->name : "");
        else
            cli_part("input %s: %s of %s", p->name ? p->name : "", shape, skive_dtype_name(one.dtype));
        if (p->classes) {
            cli_printf(": %lld classes", (long long)p->classes);
            print_part_classes(s, i, info->targets[target].class_names);
        } else {
            cli_end_line();
            print_part_values(p, &one, own);
        }
    }
}

static void print_summary(const skive_data_summary *s, const skive_dataset_info *info, const skive_dataset *set,
                          const char *no_test) {
    char shape[160];
    shape_text(info, shape, sizeof shape);
    cli_part("%s: samples %s of %s", info->spec, shape, skive_dtype_name(info->dtype));
    if (info->labelled) cli_part(", %lld classes", (long long)info->classes);
    if (!info->labelled && info->target_size > 0)
        cli_part(", %zu target value%s", info->target_size, info->target_size == 1 ? "" : "s");
    if (!info->labelled && info->target_size == 0) cli_part(", no labels");
    cli_end_line();
    print_splits(s);
    print_classes(s, info);
    print_channels(s, info, set);
    print_more(s, info, set);
    fputc('\n', stdout);
    if (!s->n_problems && !no_test) cli_printf("no problems found");
    if (no_test) cli_printf("no test split: %s", no_test);
    for (size_t i = 0; i < s->n_problems; i++) cli_printf("%s: %s", s->problems[i].kind, s->problems[i].text);
}

/* ---- JSON ---- */

static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *moments_json(double mean, double std, double least, double most) {
    return json_pack("{s:o, s:o, s:o, s:o}", "mean", real(mean), "deviation", real(std), "least", real(least),
                     "largest", real(most));
}

static json_t *more_json(const skive_split_summary *s) {
    json_t *all = json_array();
    for (size_t i = 0; i < s->n_more; i++) {
        const skive_part_summary *p = &s->more[i];
        json_t *one = json_pack("{s:s, s:o}", "kind", p->target ? "target" : "input", "name",
                                p->name ? cli_json_text(p->name) : json_null()),
               *rows = json_array();
        for (int64_t c = 0; c < p->classes; c++) json_array_append_new(rows, json_integer((json_int_t)p->per_class[c]));
        for (int64_t c = 0; c < p->channels; c++)
            json_array_append_new(rows, moments_json(p->mean[c], p->std[c], p->least[c], p->most[c]));
        json_object_set_new(one, p->classes ? "classes" : "channels", rows);
        json_array_append_new(all, one);
    }
    return all;
}

static json_t *split_json(const skive_split_summary *s, const skive_dataset_info *info, const skive_dataset *set) {
    json_t *channels = json_array(), *classes = json_array();
    json_t *j = json_pack("{s:s, s:I, s:I, s:I}", "split", skive_split_name(s->split), "samples", (json_int_t)s->count,
                          "damaged", (json_int_t)s->damaged, "not_finite", (json_int_t)s->not_finite);
    for (int64_t c = 0; s->per_class && c < info->classes; c++)
        json_array_append_new(classes, json_integer((json_int_t)s->per_class[c]));
    for (int64_t c = 0; c < s->channels; c++) {
        const char *name = info->rank == 1 ? skive_dataset_value_name(set, (size_t)c) : NULL;
        json_t *one = moments_json(s->mean[c], s->std[c], s->least[c], s->most[c]);
        if (name) json_object_set_new(one, "name", cli_json_text(name));
        json_array_append_new(channels, one);
    }
    if (s->per_class)
        json_object_set_new(j, "classes", classes);
    else
        json_decref(classes);
    json_object_set_new(j, "channels", channels);
    if (s->n_more) json_object_set_new(j, "more", more_json(s));
    if (!info->labelled && info->target_size > 0)
        json_object_set_new(j, "targets", moments_json(s->target_mean, s->target_std, s->target_least, s->target_most));
    return j;
}

static json_t *summary_json(const skive_data_summary *s, const skive_dataset_info *info, const skive_dataset *set,
                            const char *no_test) {
    json_t *shape = json_array(), *splits = json_array(), *problems = json_array(), *names = json_array();
    for (int d = 0; d < info->rank; d++) json_array_append_new(shape, json_integer((json_int_t)info->dims[d]));
    for (size_t k = 0; k < s->n_splits; k++) json_array_append_new(splits, split_json(&s->splits[k], info, set));
    if (no_test)
        json_array_append_new(problems, json_pack("{s:s, s:I, s:o}", "kind", "no test split", "count", (json_int_t)1,
                                                  "text", cli_json_text(no_test)));
    for (size_t i = 0; i < s->n_problems; i++)
        json_array_append_new(problems,
                              json_pack("{s:s, s:I, s:o}", "kind", s->problems[i].kind, "count",
                                        (json_int_t)s->problems[i].count, "text", cli_json_text(s->problems[i].text)));
    for (int64_t c = 0; info->class_names && c < info->classes; c++)
        json_array_append_new(names, cli_json_text(info->class_names[c]));
    json_t *j = json_pack("{s:o, s:o, s:s, s:I, s:o, s:o}", "data", cli_json_text(info->spec), "shape", shape, "type",
                          skive_dtype_name(info->dtype), "classes", (json_int_t)info->classes, "splits", splits,
                          "problems", problems);
    if (info->class_names)
        json_object_set_new(j, "class_names", names);
    else
        json_decref(names);
    return j;
}

/* ---- the command ---- */

static skive_status summarize(cli_args *a, const opened *o) {
    skive_data_summary s;
    skive_dataset_info info;
    skive_dataset_get_info(o->sets[0], &info);
    skive_status status = skive_data_summarize(a->ctx, (const skive_dataset *const *)o->sets, o->n, &s);
    if (status != SKIVE_OK) return status;
    if (a->json)
        cli_print_json(summary_json(&s, &info, o->sets[0], o->no_test));
    else
        print_summary(&s, &info, o->sets[0], o->no_test);
    const size_t n = s.n_problems + (o->no_test != NULL);
    if (cli_has(a, "strict") && n)
        status = cli_fail(a, SKIVE_ERR_DATA, "%s: %zu problem%s found", info.spec, n, n == 1 ? " was" : "s were");
    skive_data_summary_free(a->ctx, &s);
    return status;
}

/* The samples of the sheet as numbers: what the loader gives for the same options. */
static skive_status write_array(cli_args *a, const skive_dataset *set, const skive_sheet_options *o, const char *path) {
    skive_loader_options l = skive_loader_options_default();
    skive_loader *loader = NULL;
    skive_batch batch;
    l.batch = o->samples ? o->samples : 64;
    l.transforms = o->transforms;
    l.shuffle = !o->in_order;
    l.threads = 0;
    skive_status status = skive_loader_create(a->ctx, set, &l, &loader);
    if (status == SKIVE_OK) status = skive_loader_start_epoch(loader, o->epoch);
    if (status == SKIVE_OK) status = skive_loader_next(loader, &batch);
    if (status == SKIVE_OK) status = skive_tensor_save_npy(a->ctx, path, &batch.x);
    skive_loader_free(loader);
    return status;
}

static skive_status read_options(cli_args *a, skive_sheet_options *o, skive_split *split) {
    int64_t samples = 0, columns = o->columns, epoch = 0;
    skive_status status = cli_integer(a, "samples", 1, 1024, &samples);
    if (status == SKIVE_OK) status = cli_integer(a, "columns", 1, 64, &columns);
    if (status == SKIVE_OK) status = cli_integer(a, "epoch", 0, INT64_MAX, &epoch);
    if (status == SKIVE_OK && cli_has(a, "split")) status = cli_split(a, split);
    o->samples = (size_t)samples;
    o->columns = (int)columns;
    o->epoch = (uint64_t)epoch;
    o->in_order = cli_has(a, "in-order");
    o->transforms = cli_text(a, "augment", NULL);
    return status;
}

/* The sheet, the array, or both. */
static skive_status write_samples(cli_args *a) {
    static const char *const names[] = {"output", "array"};
    skive_sheet_options o = skive_sheet_options_default();
    skive_split split = SKIVE_SPLIT_TRAIN;
    skive_dataset *set = NULL;
    skive_status status = read_options(a, &o, &split);
    for (size_t i = 0; i < CLI_COUNT(names) && status == SKIVE_OK; i++)
        if (cli_has(a, names[i])) status = cli_check_output(a, cli_text(a, names[i], NULL));
    if (status == SKIVE_OK) status = cli_open_data(a, a->positional[0], split, NULL, &set);
    for (size_t i = 0; i < CLI_COUNT(names) && status == SKIVE_OK; i++) {
        const char *path = cli_text(a, names[i], NULL);
        if (!path) continue;
        status = i == 0 ? skive_data_sheet(a->ctx, set, &o, path) : write_array(a, set, &o, path);
        if (status == SKIVE_OK && !a->quiet) cli_tell("wrote %s", path);
    }
    skive_dataset_free(set);
    return status;
}

static skive_status run(cli_args *a) {
    static const char *const of_samples[] = {"augment", "split",    "samples",   "columns",
                                             "epoch",   "in-order", "no-summary"};
    const bool writes = cli_has(a, "output") || cli_has(a, "array");
    opened o = {.n = 0};
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < CLI_COUNT(of_samples); i++) {
        if (cli_has(a, of_samples[i]) && !writes)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s is for samples that are written, and needs -o or --array",
                            of_samples[i]);
    }
    if (writes) status = write_samples(a);
    if (status == SKIVE_OK && !cli_has(a, "no-summary")) {
        status = open_all(a, &o);
        if (status == SKIVE_OK) status = summarize(a, &o);
    }
    for (size_t k = 0; k < o.n; k++) skive_dataset_free(o.sets[k]);
    free(o.no_test);
    return status;
}

const cli_command cli_command_data = {
    .name = "data",
    .brief = "what is in a data set, and what training sees of it",
    .positional = "SET",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Reads all samples and shows counts per class and split, mean and deviation per channel, and problems: "
        "samples\n"
        "that are in two splits, repeated or labelled twice, damaged files, NaN, classes without samples, constant\n"
        "channels. With -o, a contact sheet shows samples as a training run gets them, after --augment, with the "
        "names\n"
        "of their classes.",
    .examples = "  skive data fashion-mnist\n"
                "  skive data folder:photos -o sheet.png --augment resized-crop:0.3,flip,color\n"
                "  skive data folder:photos --strict --json",
    .run = run,
};
