/* The ONNX backend suite (Debian package libonnx-testdata): every model is run on its inputs, and every output compared
 * in shape, type and numbers, within the suite's own rtol 1e-3 and atol 1e-5 (integers exactly). Models that are not
 * expected to pass are listed with the reason in tests/suite_expected.txt; a model that fails without being listed
 * fails the test, and so does a listed one that passes, or that is not in a release of the suite that must have it.
 *
 *     test_suite [--verbose] [--table] [NAME ...]
 *
 * runs only these models ("test_add" or "node/test_add"); --table prints the results as Markdown. */
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skive/onnx.h>
#include <skive/session.h>

#define EXPECTED "tests/suite_expected.txt"

enum { MOST_IO = 32, MOST_NAMES = 2048, LONGEST = 320, MOST_BYTES = 1 << 20, EXIT_SKIP = 77 };

static const char *const folders[] = {"node", "simple", "pytorch-operator", "pytorch-converted"};
/* Why a model may be left out. "decoder": images are data, not operators;
 * "rounding": its expected bfloat16 were cut off where the specification rounds, or steps in between were rounded to
 * 16 bits, where skive rounds once; "preview": operators of the domain ai.onnx.preview; "undefined": numbers beyond
 * the range of the type that they are cast to; "wrong": what it expects is not what the specification says, and
 * onnxruntime gives what skive does (products that wrap round instead of saturating, averages over what lies beyond
 * the padding). "todo" is no good reason. */
static const char *const reasons[] = {"sequence", "training",  "random", "optional", "decoder",
                                      "rounding", "undefined", "wrong",  "preview",  "todo"};
enum { FOLDERS = sizeof folders / sizeof *folders, REASONS = sizeof reasons / sizeof *reasons };

typedef struct expectation {
    char name[LONGEST];
    int reason;
    int first, last; /* newest_opset of the releases that must have it; beyond `last` it must pass */
    bool seen;
} expectation;

typedef struct counts {
    int passed, left_out[REASONS], surprises, regressions;
} counts;

/* SKIVE_ONNX_SUITE: another release's data than what is installed. */
static const char *suite = "/usr/share/libonnx-testdata/data";
static expectation expected[MOST_NAMES];
static int n_expected;
static int newest_opset; /* of all models of the suite: by it one knows the release that the suite is of */

/* "19+", "17-" or "22-23", or nothing. */
static bool read_bounds(const char *text, expectation *e) {
    char side = '\0', more;
    int from, to;
    const int parts = sscanf(text, "%d%c%d%c", &from, &side, &to, &more);
    e->first = 0;
    e->last = INT_MAX;
    if (!*text) return true;
    if (parts == 3 && side == '-') e->last = to;
    if (parts == 2 && side == '-') e->last = from;
    if ((parts == 2 && side == '+') || (parts == 3 && side == '-')) e->first = from;
    return (parts == 2 && side == '+') || (side == '-' && (parts == 2 || parts == 3));
}

static int read_expected(void) {
    char line[LONGEST * 2], name[LONGEST], reason[32], bounds[32];
    FILE *file = fopen(EXPECTED, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        bounds[0] = '\0';
        const int parts = line[0] == '#' ? 0 : sscanf(line, "%319s %31s %31s", name, reason, bounds);
        if (parts < 2) continue;
        expectation *e = &expected[n_expected];
        for (e->reason = 0; e->reason < REASONS && strcmp(reasons[e->reason], reason) != 0;) e->reason++;
        if (e->reason == REASONS || n_expected + 1 == MOST_NAMES || !read_bounds(bounds, e)) {
            printf("%s: '%s' is not a reason, or '%s' is not of the form 19+, 17- or 22-23\n", EXPECTED, reason,
                   bounds);
            fclose(file);
            return 1;
        }
        memcpy(e->name, name, sizeof name);
        n_expected++;
    }
    fclose(file);
    return 0;
}

static expectation *find_expected(const char *name) {
    for (int i = 0; i < n_expected; i++)
        if (newest_opset <= expected[i].last && strcmp(expected[i].name, name) == 0) return &expected[i];
    return NULL;
}

/* The suite's files hold bfloat16 as the uint16 of the same bits. */
static void take_bits(skive_tensor *t, const skive_value *v) {
    if (t->dtype == SKIVE_U16 && skive_value_type(v)->dtype == SKIVE_BF16) t->dtype = SKIVE_BF16;
}

/* Empty when they agree, else the first difference. */
static void compare(const skive_tensor *actual, const skive_tensor *wanted, int output, char *why, size_t size) {
    const bool floats = wanted->dtype == SKIVE_F32 || wanted->dtype == SKIVE_F64 || wanted->dtype == SKIVE_F16 ||
                        wanted->dtype == SKIVE_BF16;
    if (actual->dtype != wanted->dtype) {
        snprintf(why, size, "output %d is %s, not %s", output, skive_dtype_name(actual->dtype),
                 skive_dtype_name(wanted->dtype));
        return;
    }
    bool same = actual->rank == wanted->rank;
    for (int d = 0; same && d < wanted->rank; d++) same = actual->dims[d] == wanted->dims[d];
    if (!same) {
        int at = snprintf(why, size, "output %d has the shape", output);
        for (int d = 0; d < actual->rank; d++)
            at += snprintf(why + at, size - (size_t)at, " %lld", (long long)actual->dims[d]);
        at += snprintf(why + at, size - (size_t)at, ", not");
        for (int d = 0; d < wanted->rank; d++)
            at += snprintf(why + at, size - (size_t)at, " %lld", (long long)wanted->dims[d]);
        return;
    }
    for (int64_t i = 0; wanted->dtype == SKIVE_STRING && i < skive_tensor_count(wanted); i++) {
        const char *a = skive_tensor_string(actual, i), *w = skive_tensor_string(wanted, i);
        if (strcmp(a, w) == 0) continue;
        snprintf(why, size, "output %d, element %lld is \"%s\", not \"%s\"", output, (long long)i, a, w);
        return;
    }
    for (int64_t i = 0; wanted->dtype != SKIVE_STRING && i < skive_tensor_count(wanted); i++) {
        const double a = skive_tensor_get(actual, i), w = skive_tensor_get(wanted, i);
        if (a == w || (isnan(a) && isnan(w))) continue;
        if (floats && fabs(a - w) <= 1e-5 + 1e-3 * fabs(w)) continue;
        snprintf(why, size, "output %d, element %lld is %.9g, not %.9g", output, (long long)i, a, w);
        return;
    }
}

/* How many files input_0.pb, input_1.pb ... (or output_...) there are. */
static size_t load_all(skive_context *ctx, const char *folder, const char *kind, skive_tensor *out,
                       skive_status *status) {
    char path[1200];
    size_t n = 0;
    *status = SKIVE_OK;
    for (; n < MOST_IO; n++) {
        snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, kind, n);
        if (access(path, R_OK) != 0) break;
        *status = skive_onnx_load_tensor(ctx, path, &out[n]);
        if (*status != SKIVE_OK) break;
    }
    return n;
}

static void run_set(skive_context *ctx, const skive_graph *graph, const char *folder, char *why, size_t size) {
    skive_tensor in[MOST_IO] = {{0}}, wanted[MOST_IO] = {{0}}, out[MOST_IO] = {{0}};
    skive_status status, read;
    const size_t n_in = load_all(ctx, folder, "input", in, &status), n_out = skive_graph_output_count(graph);
    const size_t n_wanted = status == SKIVE_OK ? load_all(ctx, folder, "output", wanted, &read) : 0;
    if (status == SKIVE_OK) status = read;
    if (status == SKIVE_OK && (n_wanted > n_out || n_out > MOST_IO))
        snprintf(why, size, "%zu outputs, not %zu", n_out, n_wanted);
    for (size_t i = 0; i < n_in && i < skive_graph_input_count(graph); i++)
        take_bits(&in[i], skive_graph_input(graph, i));
    for (size_t i = 0; i < n_wanted && i < n_out; i++) take_bits(&wanted[i], skive_graph_output(graph, i));
    skive_session *session = NULL;
    skive_session_options options = skive_session_options_default();
    options.any_shape = true; /* some models state other shapes than their files have */
    if (status == SKIVE_OK && !*why) status = skive_session_create(ctx, graph, &options, &session);
    if (status == SKIVE_OK && !*why) status = skive_session_run(session, in, n_in, out, n_out);
    if (status != SKIVE_OK) snprintf(why, size, "%s", skive_context_message(ctx));
    for (size_t i = 0; status == SKIVE_OK && i < n_wanted && !*why; i++)
        compare(&out[i], &wanted[i], (int)i, why, size);
    skive_session_free(session);
    for (size_t i = 0; i < MOST_IO; i++) {
        skive_tensor_free(ctx, &in[i]);
        skive_tensor_free(ctx, &wanted[i]);
        skive_tensor_free(ctx, &out[i]);
    }
}

/* The number at `at`, after which `at` is behind it. */
static uint64_t read_varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        const uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127u) << shift;
        if (byte < 128) break;
    }
    return value;
}

/* Of a message, calls `field` for each field; a number, or bytes. */
static void each_field(const uint8_t *at, const uint8_t *end,
                       void (*field)(void *user, uint64_t number, uint64_t value, const uint8_t *bytes), void *user) {
    while (at < end) {
        const uint64_t key = read_varint(&at, end),
                       value = (key & 7u) == 0 || (key & 7u) == 2 ? read_varint(&at, end) : 0;
        const bool bytes = (key & 7u) == 2;
        const uint64_t skip = bytes ? value : (key & 7u) == 1 ? 8 : (key & 7u) == 5 ? 4 : 0;
        if (skip > (uint64_t)(end - at)) return;
        field(user, key >> 3, value, bytes ? at : NULL);
        at += skip;
    }
}

typedef struct opset_import {
    bool standard;
    int version;
} opset_import;

/* OperatorSetIdProto: 1 domain, 2 version. */
static void import_field(void *user, uint64_t number, uint64_t value, const uint8_t *bytes) {
    opset_import *i = user;
    if (number == 1 && bytes) i->standard = value == 0;
    if (number == 2 && !bytes && value < 1000) i->version = (int)value;
}

/* ModelProto: 8 opset_import. */
static void model_field(void *user, uint64_t number, uint64_t value, const uint8_t *bytes) {
    opset_import i = {.standard = true};
    if (number != 8 || !bytes) return;
    each_field(bytes, bytes + value, import_field, &i);
    if (i.standard && i.version > *(int *)user) *(int *)user = i.version;
}

static void note_opset(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(MOST_BYTES);
    const size_t n = file && bytes ? fread(bytes, 1, MOST_BYTES, file) : 0;
    each_field(bytes, bytes + n, model_field, &newest_opset);
    free(bytes);
    if (file) fclose(file);
}

static void note_opsets(const char *folder) {
    char path[1100];
    struct dirent **entries;
    snprintf(path, sizeof path, "%s/%s", suite, folder);
    const int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s/%s/model.onnx", suite, folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') note_opset(path);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

/* Empty when the model loads, runs and gives the numbers. */
static void run_model(const char *folder, char *why, size_t size) {
    char path[1100];
    skive_context_options options = skive_context_options_default();
    skive_context *ctx = NULL;
    skive_graph *graph = NULL;
    *why = '\0';
    options.threads = 1;
    if (skive_context_create(&options, &ctx) != SKIVE_OK) {
        snprintf(why, size, "out of memory");
        return;
    }
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (skive_onnx_load(ctx, path, NULL, &graph) != SKIVE_OK) snprintf(why, size, "%s", skive_context_message(ctx));
    for (int set = 0; graph && !*why; set++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", folder, set);
        if (access(path, R_OK) != 0) break;
        run_set(ctx, graph, path, why, size);
    }
    skive_graph_free(graph);
    skive_context_free(ctx);
}

static bool chosen(const char *folder, const char *model, char **names, int n) {
    char full[LONGEST];
    snprintf(full, sizeof full, "%s/%s", folder, model);
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], model) == 0 || strcmp(names[i], full) == 0 || strcmp(names[i], folder) == 0) return true;
    return n == 0;
}

static void run_folder(const char *folder, char **names, int n, bool verbose, counts *c) {
    char path[1024], name[LONGEST], why[512];
    struct dirent **entries;
    snprintf(path, sizeof path, "%s/%s", suite, folder);
    const int n_entries = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n_entries; i++) {
        const char *model = entries[i]->d_name;
        if (model[0] != '.' && chosen(folder, model, names, n)) {
            snprintf(path, sizeof path, "%s/%s/%s", suite, folder, model);
            snprintf(name, sizeof name, "%s/%s", folder, model);
            run_model(path, why, sizeof why);
            expectation *e = find_expected(name);
            if (e) e->seen = true;
            if (!*why) {
                c->passed++;
                if (e) printf("SURPRISE %s passes\n", name);
                c->surprises += e != NULL;
            } else if (e) {
                c->left_out[e->reason]++;
            } else {
                printf("FAIL %s: %s\n", name, why);
                c->regressions++;
            }
            if (verbose && (*why ? e != NULL : true))
                printf("%s %s%s%s\n", *why ? "left out" : "pass", name, *why ? ": " : "", why);
        }
        free(entries[i]);
    }
    if (n_entries >= 0) free(entries);
}

static void print_counts(const counts *c, bool table) {
    printf(table ? "| folder | models | passed |" : "%-20s %7s %7s", "folder", "models", "passed");
    for (int r = 0; r < REASONS; r++) printf(table ? " %s |" : " %9s", reasons[r]);
    printf(table ? "\n|---|---:|---:|" : " %9s\n", "failed");
    for (int r = 0; table && r < REASONS; r++) printf("---:|");
    if (table) printf("\n");
    for (int f = 0; f < FOLDERS; f++) {
        int models = c[f].passed + c[f].regressions;
        for (int r = 0; r < REASONS; r++) models += c[f].left_out[r];
        printf(table ? "| %s | %d | %d |" : "%-20s %7d %7d", folders[f], models, c[f].passed);
        for (int r = 0; r < REASONS; r++) printf(table ? " %d |" : " %9d", c[f].left_out[r]);
        if (table)
            printf("\n");
        else
            printf(" %9d\n", c[f].regressions);
    }
}

int main(int argc, char **argv) {
    bool verbose = false, table = false;
    counts c[FOLDERS] = {{0}};
    int first = 1, failed = 0;
    for (; first < argc && argv[first][0] == '-'; first++) {
        verbose = verbose || strcmp(argv[first], "--verbose") == 0;
        table = table || strcmp(argv[first], "--table") == 0;
    }
    if (getenv("SKIVE_ONNX_SUITE")) suite = getenv("SKIVE_ONNX_SUITE");
    if (access(suite, R_OK) != 0) {
        printf("skipped: %s is not there; it comes with the Debian package libonnx-testdata\n", suite);
        return EXIT_SKIP;
    }
    if (read_expected() != 0) return 1;
    for (int f = 0; f < FOLDERS; f++) note_opsets(folders[f]);
    for (int f = 0; f < FOLDERS; f++) {
        run_folder(folders[f], argv + first, argc - first, verbose, &c[f]);
        failed += c[f].surprises + c[f].regressions;
    }
    for (int i = 0; first == argc && i < n_expected; i++) {
        const bool required = newest_opset >= expected[i].first && newest_opset <= expected[i].last;
        if (expected[i].seen || !required) continue;
        printf("%s: there is no %s in this suite, whose newest opset is %d\n", EXPECTED, expected[i].name,
               newest_opset);
        failed++;
    }
    print_counts(c, table);
    return failed != 0;
}
