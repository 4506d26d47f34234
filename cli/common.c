/* What several subcommands do: loading, saving, data, training options, numbers for people. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

/* What the files that were read last had: bytes of their weights, and of those that lie in other files. */
enum { MOST_LOADED = 16 };
static struct loaded {
    char *path;
    uint64_t external;
    int64_t weights;
} loaded[MOST_LOADED];

static void forget(struct loaded *l) {
    free(l->path);
    l->path = NULL;
}

static struct loaded *find_loaded(const char *path) {
    for (size_t i = 0; i < MOST_LOADED; i++)
        if (loaded[i].path && strcmp(loaded[i].path, path) == 0) return &loaded[i];
    return NULL;
}

static skive_status keep_loaded(const char *path, const skive_graph *g) {
    skive_cost cost;
    struct loaded *at = find_loaded(path);
    const skive_status status = skive_graph_cost(g, &cost);
    if (status != SKIVE_OK) return status;
    for (size_t i = 0; i < MOST_LOADED && !at; i++)
        if (!loaded[i].path) at = &loaded[i];
    if (!at) at = &loaded[MOST_LOADED - 1];
    forget(at);
    *at = (struct loaded){strdup(path), skive_graph_external_bytes(g), cost.parameter_bytes};
    return SKIVE_OK;
}

static uint64_t external_of(const char *path) {
    const struct loaded *l = find_loaded(path);
    return l ? l->external : 0;
}

bool cli_loaded_weights(const char *path, int64_t *bytes) {
    const struct loaded *l = find_loaded(path);
    if (l) *bytes = l->weights;
    return l != NULL;
}

void cli_forget_files(void) {
    for (size_t i = 0; i < MOST_LOADED; i++) forget(&loaded[i]);
}

skive_status cli_load(cli_args *a, const char *path, skive_graph **out) {
    skive_status status = skive_model_load(a->ctx, path, out);
    if (status != SKIVE_OK) return status;
    status = keep_loaded(path, *out);
    if (status == SKIVE_OK) return status;
    skive_graph_free(*out);
    *out = NULL;
    return status;
}

static skive_status refuse_unsupported(cli_args *a, const char *path, skive_status status, skive_graph **out) {
    char *missing = NULL;
    if (status == SKIVE_OK) status = skive_graph_unsupported(*out, &missing);
    if (status == SKIVE_OK && missing[0])
        status = cli_fail(a, SKIVE_ERR_UNSUPPORTED, "%s: cannot be run: unsupported operators: %s", path, missing);
    skive_string_free(a->ctx, missing);
    if (status != SKIVE_OK) {
        skive_graph_free(*out);
        *out = NULL;
    }
    return status;
}

bool cli_is_file(const char *model) {
    const char *dot = strrchr(model, '.');
    return strchr(model, '/') || (dot && dot > model && (strcmp(dot, ".onnx") == 0 || strcmp(dot, ".skv") == 0));
}

/* Data sets and losses are float32: a model of 16 bits is made so, which a note tells. */
static skive_status in_float32(skive_status status, skive_graph **out) {
    if (status == SKIVE_OK) status = skive_graph_to_float32(*out);
    if (status == SKIVE_OK) return status;
    skive_graph_free(*out);
    *out = NULL;
    return status;
}

skive_status cli_load_to_run(cli_args *a, const char *path, skive_graph **out) {
    return in_float32(refuse_unsupported(a, path, cli_load(a, path, out), out), out);
}

skive_status cli_load_as_packed(cli_args *a, const char *path, skive_graph **out) {
    skive_pack_load_options o = skive_pack_load_options_default();
    if (!skive_pack_is_packed(path)) return refuse_unsupported(a, path, cli_load(a, path, out), out);
    o.keep_coded = true;
    return refuse_unsupported(a, path, skive_pack_load(a->ctx, path, &o, out, NULL), out);
}

skive_status cli_load_to_judge(cli_args *a, const char *path, skive_graph **out) {
    return in_float32(cli_load_as_packed(a, path, out), out);
}

char *cli_choices_path(const char *model) {
    const size_t size = strlen(model) + sizeof CLI_CHOICES_SUFFIX;
    char *path = malloc(size);
    if (path) (void)snprintf(path, size, "%s%s", model, CLI_CHOICES_SUFFIX);
    return path;
}

void cli_use_choices(cli_args *a, const char *model) {
    skive_kernel_choices *choices = NULL;
    char *path = cli_choices_path(model);
    if (path && cli_is_file(model) && access(path, F_OK) == 0) {
        skive_status status = skive_kernel_choices_load(a->ctx, path, &choices);
        if (status == SKIVE_OK) status = skive_context_use_choices(a->ctx, choices);
        if (status != SKIVE_OK)
            cli_tell("note: the usual kernels are used: %s", skive_context_message(a->ctx));
        else if (!a->quiet)
            cli_tell("note: kernels as measured by skive tune (%s)", path);
        if (status != SKIVE_OK) skive_context_clear(a->ctx);
        skive_kernel_choices_free(choices);
    }
    free(path);
}

void cli_tell_training_mode(const cli_args *a, const skive_graph *g) {
    if (a->quiet || !skive_graph_in_training_mode(g)) return;
    cli_tell("note: %s was exported in training mode: its outputs depend on the other samples of the batch, or on "
             "random numbers; export it after model.eval()",
             a->positional[0]);
}

skive_status cli_save(cli_args *a, const skive_graph *g, const char *path) {
    struct loaded *old = find_loaded(path);
    if (old) forget(old);
    return skive_model_save(a->ctx, g, path);
}

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

bool cli_same_file(const char *x, const char *y) {
    struct stat a, b;
    if (strcmp(x, y) == 0) return true;
    const bool x_there = stat(x, &a) == 0, y_there = stat(y, &b) == 0;
    if (x_there || y_there) return x_there && y_there && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    const char *x_slash = strrchr(x, '/'), *y_slash = strrchr(y, '/');
    if (strcmp(x_slash ? x_slash + 1 : x, y_slash ? y_slash + 1 : y) != 0) return false;
    char *x_folder = folder_of(x), *y_folder = folder_of(y);
    const bool same = x_folder && y_folder && stat(x_folder, &a) == 0 && stat(y_folder, &b) == 0 &&
                      a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    free(x_folder);
    free(y_folder);
    return same;
}

skive_status cli_check_output(cli_args *a, const char *path) {
    struct stat s;
    const char *slash = strrchr(path, '/');
    bool read = false;
    if (!*path) return cli_fail(a, SKIVE_ERR_ARGUMENT, "an output has an empty name");
    skive_status looked = cli_is_in_spec(cli_text(a, "data", ""), path, &read);
    if (looked == SKIVE_OK && !read) looked = cli_is_in_spec(cli_text(a, "unlabelled", ""), path, &read);
    if (read)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "%s is a file of the data set and would be overwritten by an output",
                        path);
    if (looked != SKIVE_OK) return looked;
    if (stat(path, &s) == 0) {
        if (S_ISDIR(s.st_mode)) return cli_fail(a, SKIVE_ERR_IO, "%s: cannot write: it is a folder", path);
        if (access(path, W_OK) != 0) return cli_fail(a, SKIVE_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        if (!S_ISREG(s.st_mode)) return SKIVE_OK; /* a pipe or device: no temporary file is made beside it */
    } else if (errno == ENAMETOOLONG) {
        return cli_fail(a, SKIVE_ERR_IO, "%s: cannot write: the name is too long", path);
    }
    char *folder = folder_of(path);
    skive_status status = SKIVE_OK;
    if (!folder)
        status = SKIVE_ERR_MEMORY;
    else if (slash && !slash[1])
        status = cli_fail(a, SKIVE_ERR_IO, "%s: cannot write: there is no folder of this name", path);
    else if (stat(folder, &s) != 0)
        status = cli_fail(a, SKIVE_ERR_IO, "%s: cannot write: there is no folder %s", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status = cli_fail(a, SKIVE_ERR_IO, "%s: cannot write into its folder: %s", path, strerror(errno));
    free(folder);
    return status;
}

skive_status cli_save_trained(cli_args *a, const skive_graph *g, const char *path) {
    const char *slash = strrchr(path, '/'), *folder = getenv("TMPDIR");
    char *why, *elsewhere;
    skive_status status = cli_save(a, g, path);
    if (status != SKIVE_ERR_IO) return status;
    why = strdup(skive_context_message(a->ctx));
    elsewhere =
        cli_format("%s/skive-%ld-%s", folder && *folder ? folder : "/tmp", (long)getpid(), slash ? slash + 1 : path);
    if (!why || !elsewhere)
        status = SKIVE_ERR_MEMORY;
    else if (cli_save(a, g, elsewhere) != SKIVE_OK)
        status = cli_fail(a, status, "%s", why);
    else
        status = cli_fail(a, status, "%s; the model was saved as %s instead", why, elsewhere);
    free(why);
    free(elsewhere);
    return status;
}

int64_t cli_file_bytes(const char *path) {
    struct stat s;
    if (stat(path, &s) != 0) return -1;
    int64_t bytes = s.st_size;
    if (external_of(path)) return bytes + (int64_t)external_of(path);
    char *data = cli_format("%s.data", path); /* as skive writes it */
    if (data && stat(data, &s) == 0) bytes += s.st_size;
    free(data);
    return bytes;
}

/* ---- numbers ---- */

const char *cli_bytes(double bytes, char *buffer, size_t size) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t u = 0;
    while (bytes >= 1024 && u + 1 < CLI_COUNT(units)) {
        bytes /= 1024;
        u++;
    }
    snprintf(buffer, size, u ? "%.2f %s" : "%.0f %s", bytes, units[u]);
    return buffer;
}

const char *cli_short(const char *name, char *buffer, size_t size) {
    const char *end = name + strlen(name);
    if ((size_t)(end - name) < size) {
        snprintf(buffer, size, "%s", name);
    } else {
        const char *from = end - (size - 4);
        while (((unsigned char)*from & 0xc0) == 0x80) from++; /* inside a character */
        snprintf(buffer, size, "...%s", from);
    }
    return buffer;
}

const char *const cli_recipe_keys[3] = {"skive.input.table", "skive.input.text", "skive.input.sound"};

const char *cli_thousands(int64_t n, char *buffer, size_t size) {
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)(n < 0 ? -n : n));
    size_t at = 0;
    if (n < 0 && at + 1 < size) buffer[at++] = '-';
    for (int i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0) buffer[at++] = ',';
        buffer[at++] = digits[i];
    }
    buffer[at < size ? at : size - 1] = '\0';
    return buffer;
}

const char *cli_fixed(double x, char *buffer, size_t size) {
    if (isnan(x))
        snprintf(buffer, size, "-");
    else
        snprintf(buffer, size, fabs(x) < 1e5 ? "%.4f" : "%.6g", x);
    return buffer;
}

const char *cli_seconds(double s, char *buffer, size_t size) {
    if (s < 1e-3)
        snprintf(buffer, size, "%.1f us", s * 1e6);
    else if (s < 1)
        snprintf(buffer, size, "%.2f ms", s * 1e3);
    else
        snprintf(buffer, size, "%.2f s", s);
    return buffer;
}

json_t *cli_json_text(const char *text) {
    char *shown = cli_shown(text);
    if (shown) text = shown;
    json_t *j = json_string(text);
    char *copy = j ? NULL : strdup(text);
    for (char *at = copy; at && *at; at++) {
        if ((unsigned char)*at >= 0x80) *at = '?';
    }
    if (copy) j = json_string(copy);
    free(copy);
    free(shown);
    return j;
}

void cli_print_json(json_t *j) {
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    json_decref(j);
}

skive_status cli_write_json(cli_args *a, const json_t *j, const char *path) {
    char *text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(9)),
         *lines = text ? cli_format("%s\n", text) : NULL;
    const skive_status status =
        lines ? skive_file_write(a->ctx, path, lines, strlen(lines)) : cli_fail(a, SKIVE_ERR_MEMORY, "out of memory");
    free(text);
    free(lines);
    return status;
}

/* ---- training ---- */

json_t *cli_train_json(const skive_train_report *r) {
    json_t *epochs = json_array();
    for (size_t i = 0; i < r->n_epochs; i++) {
        const skive_epoch_report *e = &r->epochs[i];
        json_t *row = json_pack("{s:i, s:f, s:f, s:f}", "epoch", e->epoch, "loss", e->loss, "learning_rate",
                                e->learning_rate, "seconds", e->seconds);
        if (!isnan(e->train_accuracy)) json_object_set_new(row, "train_accuracy", json_real(e->train_accuracy));
        if (!isnan(e->validation_accuracy))
            json_object_set_new(row, "validation_accuracy", json_real(e->validation_accuracy));
        if (isfinite(e->validation_f1)) json_object_set_new(row, "validation_f1", json_real(e->validation_f1));
        if (isfinite(e->validation_loss)) json_object_set_new(row, "validation_loss", json_real(e->validation_loss));
        if (isfinite(e->validation_rmse)) json_object_set_new(row, "validation_rmse", json_real(e->validation_rmse));
        if (isfinite(e->validation_r2)) json_object_set_new(row, "validation_r2", json_real(e->validation_r2));
        json_t *figures = json_object();
        for (size_t k = 0; k < skive_metric_count() && k < SKIVE_EPOCH_FIGURES; k++)
            if (isfinite(e->figures[k])) json_object_set_new(figures, skive_metric_name(k), json_real(e->figures[k]));
        json_object_set_new(row, "validation", figures);
        json_array_append_new(epochs, row);
    }
    return json_pack("{s:o, s:i, s:f, s:f, s:f}", "epochs", epochs, "best_epoch", r->best_epoch, "seconds", r->seconds,
                     "samples_per_second", r->samples_per_second, "waited", r->waited);
}

/* What --metrics asked for, of the epoch that was kept: "validation of this epoch: top-k:5 0.9730". */
static void print_asked(const cli_args *a, const skive_epoch_report *e) {
    const char *asked = cli_text(a, "metrics", NULL);
    size_t printed = 0;
    while (asked && *asked) {
        const size_t whole = strcspn(asked, ";"), length = strcspn(asked, ":;");
        for (size_t k = 0; k < skive_metric_count() && k < SKIVE_EPOCH_FIGURES; k++) {
            const char *name = skive_metric_name(k);
            char text[32];
            if (strlen(name) != length || strncmp(name, asked, length) != 0 || !isfinite(e->figures[k])) continue;
            cli_part("%s%.*s %s", printed++ ? ", " : "validation of this epoch: ", (int)whole, asked,
                     cli_fixed(e->figures[k], text, sizeof text));
        }
        asked += whole + (asked[whole] == ';');
    }
    if (printed) cli_printf("%s", "");
}

void cli_print_training(const cli_args *a, const skive_train_report *r) {
    if (a->quiet || r->n_epochs == 0) return;
    cli_part("trained %zu epoch%s in %.1f s (%.0f samples/s, %.1f %% of the time waiting for data); ", r->n_epochs,
             r->n_epochs == 1 ? "" : "s", r->seconds, r->samples_per_second,
             r->seconds > 0 ? 100 * r->waited / r->seconds : 0);
    const skive_epoch_report *best = NULL;
    for (size_t i = 0; i < r->n_epochs; i++) {
        if (r->epochs[i].epoch == r->best_epoch) best = &r->epochs[i];
    }
    if (cli_has(a, "mutual")) cli_part("of student 1, ");
    const char *by = r->best_by;
    const size_t length = by ? strcspn(by, ",") : 0;
    double figure = NAN;
    char text[32];
    for (size_t k = 0; best && k < skive_metric_count() && k < SKIVE_EPOCH_FIGURES; k++) {
        const char *name = skive_metric_name(k);
        if (by && strlen(name) == length && strncmp(name, by, length) == 0) figure = best->figures[k];
    }
    if (!r->best_by)
        cli_printf("the last epoch was kept");
    else if (r->best_epoch == 0)
        cli_printf("no epoch was better than the model before the training, by validation %s: that is kept",
                   r->best_by);
    else if (!best)
        cli_printf("epoch %d, before the resume, had the best %s", r->best_epoch, r->best_by);
    else if (strcmp(r->best_by, "accuracy") == 0)
        cli_printf("epoch %d was best: validation accuracy %.2f %%", r->best_epoch, 100 * best->validation_accuracy);
    else if (strcmp(r->best_by, "f1") == 0)
        cli_printf("epoch %d was best: validation F1 %s", r->best_epoch,
                   cli_fixed(best->validation_f1, text, sizeof text));
    else if (isfinite(figure) && strncmp(by, "rmse", length) != 0 && strncmp(by, "r2", length) != 0)
        cli_printf("epoch %d was best: validation %.*s %s", r->best_epoch, (int)length, by,
                   cli_fixed(figure, text, sizeof text));
    else if (!isnan(best->validation_rmse))
        cli_printf("epoch %d was best: validation RMSE %.6g, R2 %s", r->best_epoch, best->validation_rmse,
                   cli_fixed(best->validation_r2, text, sizeof text));
    else
        cli_printf("epoch %d was best: validation loss %s", r->best_epoch,
                   cli_fixed(best->validation_loss, text, sizeof text));
    if (!r->best_by) best = &r->epochs[r->n_epochs - 1];
    if (best) print_asked(a, best);
}

/* ---- shapes and plans ---- */

static bool parse_shape(const char *text, skive_shape_binding *b, char **name) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) return false;
    *name = strndup(text, (size_t)(equals - text));
    b->input = *name;
    for (const char *at = equals + 1;; at++) {
        char *end;
        const long long n = strtoll(at, &end, 10);
        if (end == at || n < 0 || b->rank == SKIVE_MAX_RANK) return false;
        b->dims[b->rank++] = n;
        if (*end == '\0') return *name != NULL;
        if (*end != ',' && *end != 'x') return false;
        at = end;
    }
}

skive_status cli_parse_shapes(cli_args *a, cli_shapes *out) {
    const size_t n = cli_count(a, "shape");
    *out = (cli_shapes){.items = calloc(n + 1, sizeof *out->items)};
    if (!out->items) return SKIVE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        char *name = NULL;
        const char *text = cli_text_at(a, "shape", i);
        if (!parse_shape(text, &out->items[i], &name)) {
            free(name);
            cli_free_shapes(out);
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--shape: '%s' is not of the form INPUT=1,3,224,224", text);
        }
        out->n++;
    }
    return SKIVE_OK;
}

void cli_free_shapes(cli_shapes *s) {
    for (size_t i = 0; i < s->n; i++) {
        char *name;
        memcpy(&name, &s->items[i].input, sizeof name); /* allocated here, though the binding says const */
        free(name);
    }
    free(s->items);
    *s = (cli_shapes){0};
}

skive_status cli_plan(cli_args *a, const skive_graph *g, int64_t batch, int threads, skive_plan **out) {
    skive_plan_options o = skive_plan_options_default();
    cli_shapes shapes;
    skive_status status = cli_parse_shapes(a, &shapes);
    if (status != SKIVE_OK) return status;
    o.shapes = shapes.items;
    o.n_shapes = shapes.n;
    o.batch = batch;
    o.threads = threads;
    o.no_fusion = cli_has(a, "no-fusion");
    o.reference = cli_has(a, "reference");
    status = skive_plan_create(a->ctx, g, &o, out);
    cli_free_shapes(&shapes);
    return status;
}
