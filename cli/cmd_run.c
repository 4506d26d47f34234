/* skive run: any model on any inputs. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

static const cli_option options[] = {
    {"input", 'i', "[NAME=]FILE.npy",
     "an input file; without NAME, inputs are taken in the model's order; may be repeated", true},
    {"output", 'o', "[NAME=]FILE.npy",
     "the file for an output; without NAME, outputs are taken in the model's order; may be repeated", true},
    {"data", 'd', "SET", "run over a data set instead: one row of each output for each sample, in the set's order",
     false},
    CLI_SPLIT_OPTION,
    {"limit", 0, "N", "only N samples of the data set, chosen at random (--seed)", false},
    {"batch", 'b', "N", "samples of the data set at a time (default 100)", false},
    CLI_DATA_OPTIONS,
    {"output-dir", 0, "DIR", "write every output to DIR/NAME.npy", false},
    {"reference", 0, NULL, "use the reference kernels only", false},
    {"no-fusion", 0, NULL, "do not fuse or rewrite nodes", false},
};

static const char *output_name(const void *g, size_t i) { return skive_value_name(skive_graph_output(g, i)); }

static json_t *output_json(const char *name, const char *path, const skive_tensor *t) {
    json_t *shape = json_array();
    for (int d = 0; d < t->rank; d++) json_array_append_new(shape, json_integer(t->dims[d]));
    return json_pack("{s:o, s:o, s:s, s:o}", "output", cli_json_text(name), "file", cli_json_text(path), "dtype",
                     skive_dtype_name(t->dtype), "shape", shape);
}

/* The output files: file k gets output which[k]. Determined before anything runs. */
typedef struct destinations {
    char **paths;
    size_t *which;
    size_t n;
} destinations;

static void free_destinations(destinations *d) {
    for (size_t k = 0; d->paths && k < d->n; k++) free(d->paths[k]);
    free(d->paths);
    free(d->which);
}

static bool taken(const destinations *d, const char *path) {
    for (size_t k = 0; k < d->n; k++)
        if (cli_same_file(d->paths[k], path)) return true;
    return false;
}

/* An output's name may contain slashes and have any length; a file's name may not. A name that is already taken gets a
 * number. */
static skive_status path_in(cli_args *a, const destinations *d, const char *dir, const char *name, char **out) {
    enum { LONGEST = 200 };
    char shown[128];
    size_t cut = strnlen(name, LONGEST);
    while (cut && ((unsigned char)name[cut] & 0xc0) == 0x80) cut--; /* no character in two */
    for (unsigned number = 1; number; number++) {
        const size_t size = strlen(dir) + cut + 32;
        char *path = malloc(size);
        if (!path) return SKIVE_ERR_MEMORY;
        size_t at = (size_t)snprintf(path, size, "%s/", dir);
        for (size_t i = 0; i < cut; i++) path[at++] = name[i] == '/' || name[i] == ':' ? '_' : name[i];
        if (number == 1)
            snprintf(path + at, size - at, ".npy");
        else
            snprintf(path + at, size - at, "_%u.npy", number);
        if (!taken(d, path)) {
            if (number > 1 || name[cut])
                cli_tell("note: output '%s' is written to %s, because its own name %s",
                         cli_copy(shown, sizeof shown, name, 80), path,
                         name[cut] ? "is too long for a file name" : "would give the same file as another output");
            *out = path;
            return SKIVE_OK;
        }
        free(path);
    }
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "output '%s': no free file name was found",
                    cli_copy(shown, sizeof shown, name, 80));
}

static skive_status find_destinations(cli_args *a, const skive_graph *g, destinations *d) {
    const size_t n = skive_graph_output_count(g), n_given = cli_count(a, "output");
    const char *dir = cli_text(a, "output-dir", NULL);
    const size_t most = n_given + (dir ? n : 0);
    struct stat s;
    d->paths = calloc(most + 1, sizeof *d->paths);
    d->which = calloc(most + 1, sizeof *d->which);
    if (!d->paths || !d->which) return SKIVE_ERR_MEMORY;
    for (size_t k = 0; k < n_given; k++) {
        const char *file;
        const int64_t i = cli_which(cli_text_at(a, "output", k), &file, k, n, output_name, g);
        if (i < 0) return cli_fail_which(a, "output", cli_text_at(a, "output", k), n, output_name, g);
        if (taken(d, file) && (stat(file, &s) != 0 || S_ISREG(s.st_mode)))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output %s: two outputs cannot be written to one file", file);
        d->which[d->n] = (size_t)i;
        d->paths[d->n] = strdup(file);
        if (!d->paths[d->n++]) return SKIVE_ERR_MEMORY;
    }
    for (size_t i = 0; dir && i < n; i++) {
        const skive_status status = path_in(a, d, dir, output_name(g, i), &d->paths[d->n]);
        if (status != SKIVE_OK) return status;
        d->which[d->n++] = i;
    }
    for (size_t k = 0; k < d->n; k++) {
        for (size_t i = 0; i < cli_count(a, "input"); i++) {
            const char *file = cli_text_at(a, "input", i), *equals = strchr(file, '=');
            if (cli_same_file(d->paths[k], file) || (equals && cli_same_file(d->paths[k], equals + 1)))
                return cli_fail(a, SKIVE_ERR_ARGUMENT, "%s is an input file and would be overwritten by an output",
                                d->paths[k]);
        }
        if (cli_same_file(d->paths[k], a->positional[0]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "%s is the model and would be overwritten by an output",
                            d->paths[k]);
        const skive_status status = cli_check_output(a, d->paths[k]);
        if (status != SKIVE_OK) return status;
    }
    return SKIVE_OK;
}

/* `rows`: what --json prints at the end. */
static void tell_output(cli_args *a, const char *name, const char *path, const skive_tensor *t, json_t *rows) {
    json_array_append_new(rows, output_json(name, path, t));
    if (a->quiet || a->json) return;
    cli_part("%s -> %s: %s [", name, path, skive_dtype_name(t->dtype));
    for (int d = 0; d < t->rank; d++) cli_part("%s%lld", d ? ", " : "", (long long)t->dims[d]);
    cli_printf("]");
}

static skive_status save_outputs(cli_args *a, const skive_tensor *out, const skive_graph *g, const destinations *d,
                                 json_t *rows) {
    skive_tensor *tensors = calloc(d->n + 1, sizeof *tensors);
    if (!tensors) return SKIVE_ERR_MEMORY;
    for (size_t k = 0; k < d->n; k++) tensors[k] = out[d->which[k]];
    const skive_status status = skive_tensors_save_npy(a->ctx, (const char *const *)d->paths, tensors, d->n);
    for (size_t k = 0; status == SKIVE_OK && k < d->n; k++)
        tell_output(a, output_name(g, d->which[k]), d->paths[k], &tensors[k], rows);
    free(tensors);
    return status;
}

/* ---- over a data set ---- */

/* The files, written batch by batch: no more than a batch is in memory. */
typedef struct streams {
    cli_args *a;
    const skive_dataset_info *info;
    const destinations *to;
    skive_npy_stream **files; /* [to->n], made with the first batch */
    skive_tensor *whole;      /* [to->n] types and shapes, without data */
} streams;

static skive_status write_batch(void *user, const size_t *indices, size_t count, const skive_tensor *outputs,
                                size_t n) {
    streams *s = user;
    (void)indices; /* in the set's order */
    (void)count;
    (void)n;
    for (size_t k = 0; k < s->to->n; k++) {
        const skive_tensor *t = &outputs[s->to->which[k]];
        skive_status status = SKIVE_OK;
        if (!s->files[k]) {
            skive_tensor *w = &s->whole[k];
            *w = (skive_tensor){.dtype = t->dtype, .rank = t->rank};
            memcpy(w->dims, t->dims, sizeof w->dims);
            w->dims[0] = (int64_t)s->info->count;
            status = skive_npy_stream_open(s->a->ctx, s->to->paths[k], w->dtype, w->rank, w->dims, &s->files[k]);
        }
        if (status == SKIVE_OK) status = skive_npy_stream_write(s->files[k], t);
        if (status != SKIVE_OK) return status;
    }
    return SKIVE_OK;
}

/* Which sample each row is of, as --limit chooses at random: positions in the files. */
static void tell_choice(const skive_dataset *set, size_t count, json_t *rows) {
    json_t *samples = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(samples, json_integer((json_int_t)skive_dataset_origin(set, i)));
    for (size_t k = 0; k < json_array_size(rows); k++) json_object_set(json_array_get(rows, k), "samples", samples);
    json_decref(samples);
}

static skive_status predict(cli_args *a, skive_graph *g, skive_dataset *set, int64_t batch, const destinations *to,
                            json_t *rows) {
    skive_dataset_info info;
    int64_t limit = 0;
    streams s = {.a = a,
                 .info = &info,
                 .to = to,
                 .files = calloc(to->n + 1, sizeof *s.files),
                 .whole = calloc(to->n + 1, sizeof *s.whole)};
    skive_dataset_get_info(set, &info);
    skive_status status = s.files && s.whole ? SKIVE_OK : SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = cli_integer(a, "limit", 1, INT64_MAX, &limit);
    const bool chosen = limit > 0 && (size_t)limit <= info.count;
    if (status == SKIVE_OK) status = skive_predict(a->ctx, g, set, batch, write_batch, &s);
    if (status == SKIVE_OK) status = skive_npy_streams_commit(s.files, to->n);
    if (status == SKIVE_OK && !a->quiet && !a->json)
        cli_printf("%zu sample%s of %s (%s): %s, as the model gives it", info.count, info.count == 1 ? "" : "s",
                   info.spec, skive_split_name(info.split),
                   chosen ? "a random choice (--seed), row by row in the order of the split"
                          : "row i of each output is sample i of the split");
    for (size_t k = 0; status == SKIVE_OK && k < to->n; k++)
        tell_output(a, output_name(g, to->which[k]), to->paths[k], &s.whole[k], rows);
    if (status == SKIVE_OK && chosen && a->json) tell_choice(set, info.count, rows);
    for (size_t k = 0; s.files && k < to->n; k++) skive_npy_stream_free(s.files[k]);
    free(s.files);
    free(s.whole);
    return status;
}

static skive_status run_data(cli_args *a, skive_graph *g, const destinations *to, json_t *rows) {
    static const char *const others[] = {"input", "reference", "no-fusion"};
    skive_split split = SKIVE_SPLIT_TEST;
    skive_dataset *set = NULL;
    int64_t batch = 0;
    for (size_t i = 0; i < CLI_COUNT(others); i++)
        if (cli_has(a, others[i])) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s has no effect with --data", others[i]);
    skive_status status = cli_split(a, &split);
    if (status == SKIVE_OK) status = cli_integer(a, "batch", 1, 1000000, &batch);
    if (status == SKIVE_OK) status = cli_open_samples(a, cli_text(a, "data", NULL), split, g, &set);
    if (status == SKIVE_OK) status = cli_set_input(a, g, set);
    if (status == SKIVE_OK) status = predict(a, g, set, batch, to, rows);
    skive_dataset_free(set);
    return status;
}

static skive_status run_files(cli_args *a, const skive_graph *g, const destinations *to, json_t *rows) {
    skive_session_options o = skive_session_options_default();
    skive_session *session = NULL;
    const size_t n_in = skive_graph_input_count(g), n_out = skive_graph_output_count(g);
    skive_tensor *in = calloc(n_in + 1, sizeof *in), *out = calloc(n_out + 1, sizeof *out);
    o.reference = cli_has(a, "reference");
    o.no_fusion = cli_has(a, "no-fusion");
    skive_status status = in && out ? cli_load_inputs(a, g, in) : SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = skive_session_create(a->ctx, g, &o, &session);
    if (status == SKIVE_OK) status = skive_session_run(session, in, n_in, out, n_out);
    if (status == SKIVE_OK) status = save_outputs(a, out, g, to, rows);
    skive_session_free(session);
    for (size_t i = 0; in && i < n_in; i++) skive_tensor_free(a->ctx, &in[i]);
    for (size_t i = 0; out && i < n_out; i++) skive_tensor_free(a->ctx, &out[i]);
    free(in);
    free(out);
    return status;
}

static skive_status run(cli_args *a) {
    skive_graph *g = NULL;
    destinations to = {0};
    if (!cli_has(a, "output") && !cli_has(a, "output-dir")) {
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "name the files for the outputs: --output FILE.npy or --output-dir DIR");
    }
    if (cli_has(a, "batch") && !cli_has(a, "data")) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--batch needs --data");
    skive_status status = cli_check_effects(a, NULL);
    if (status == SKIVE_OK) status = cli_load_as_packed(a, a->positional[0], &g);
    if (status == SKIVE_OK) cli_use_choices(a, a->positional[0]);
    if (status != SKIVE_OK) return status;
    cli_tell_training_mode(a, g);
    json_t *rows = json_array();
    status = find_destinations(a, g, &to);
    if (status == SKIVE_OK) status = cli_has(a, "data") ? run_data(a, g, &to, rows) : run_files(a, g, &to, rows);
    if (status == SKIVE_OK && a->json) cli_print_json(json_incref(rows));
    json_decref(rows);
    free_destinations(&to);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_run = {
    .name = "run",
    .brief = "run a model on NumPy files or a data set",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Inputs and outputs are NumPy files of the element types and shapes of the model (skive inspect lists them).\n"
        "Dimensions that the model leaves open are those of the input. No normalisation is applied.\n"
        "With --data, samples are prepared as in eval, and labels are not needed. Of those that --limit chooses,\n"
        "--json tells the positions in the files, from 0.",
    .examples = "  skive run model.onnx --input x.npy -o y.npy\n"
                "  skive run model.onnx --data folder:photos -o scores.npy\n"
                "  skive run model.onnx --input ids=ids.npy --input mask=mask.npy --output-dir out",
    .run = run,
};
