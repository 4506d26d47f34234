/* Files given for a model's inputs and outputs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int64_t cli_which(const char *text, const char **file, size_t position, size_t n,
                  const char *(*name_of)(const void *, size_t), const void *of) {
    for (size_t i = 0; i < n; i++) {
        const char *name = name_of(of, i);
        const size_t length = strlen(name);
        if (strncmp(text, name, length) == 0 && text[length] == '=') {
            *file = text + length + 1;
            return (int64_t)i;
        }
    }
    *file = text;
    if (strchr(text, '=') && !strchr(text, '/')) return -1;
    return position < n ? (int64_t)position : -1;
}

skive_status cli_fail_which(cli_args *a, const char *option, const char *text, size_t n,
                            const char *(*name_of)(const void *, size_t), const void *of) {
    const char *equals = strchr(text, '='), *near = NULL;
    char given[256];
    if (!equals || strchr(text, '/'))
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s %s: one too many; the model has %zu %s%s", option, text, n, option,
                        n == 1 ? "" : "s");
    cli_copy(given, equals - text < 255 ? (size_t)(equals - text) + 1 : sizeof given, text, 255);
    const char **names = calloc(n + 1, sizeof *names);
    char *all = strdup("");
    for (size_t i = 0; names && all && i < n; i++) {
        names[i] = name_of(of, i);
        if (i >= 8) continue;
        char *longer = cli_format("%s%s'%s'%s", all, i ? ", " : "", names[i], i == 7 && n > 8 ? " and others" : "");
        free(all);
        all = longer;
    }
    if (names) near = skive_nearest_name(given, names, n);
    const skive_status status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s %s: the model has no %s '%s'%s%s%s %s", option,
                                         text, option, given, near ? "; did you mean '" : "", near ? near : "",
                                         near ? "'? There are:" : "; there are:", all ? all : "");
    free(names);
    free(all);
    return status;
}

static const char *input_name(const void *g, size_t i) { return skive_value_name(skive_graph_input(g, i)); }

/* NumPy has no bfloat16: its numbers come, and go, as float32. */
static skive_status to_bfloat16(skive_context *ctx, skive_tensor *t) {
    skive_tensor rounded;
    const skive_status status = skive_tensor_create(ctx, SKIVE_BF16, t->rank, t->dims, &rounded);
    if (status != SKIVE_OK) return status;
    for (int64_t i = 0, n = skive_tensor_count(t); i < n; i++) skive_tensor_set(&rounded, i, skive_tensor_get(t, i));
    skive_tensor_free(ctx, t);
    *t = rounded;
    return SKIVE_OK;
}

static skive_status load(cli_args *a, const skive_graph *g, bool any_type, skive_tensor *in) {
    const size_t n = skive_graph_input_count(g);
    for (size_t k = 0; k < cli_count(a, "input"); k++) {
        const char *file;
        const int64_t i = cli_which(cli_text_at(a, "input", k), &file, k, n, input_name, g);
        if (i < 0) return cli_fail_which(a, "input", cli_text_at(a, "input", k), n, input_name, g);
        if (in[i].data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "input '%s' is given twice", input_name(g, (size_t)i));
        const skive_status status = skive_tensor_load_npy(a->ctx, file, &in[i]);
        if (status != SKIVE_OK) return status;
        const skive_dtype wanted = skive_value_type(skive_graph_input(g, (size_t)i))->dtype;
        if (wanted == SKIVE_BF16 && in[i].dtype == SKIVE_F32) {
            const skive_status made = to_bfloat16(a->ctx, &in[i]);
            if (made != SKIVE_OK) return made;
        }
        if (in[i].dtype != wanted && !any_type) {
            return cli_fail(a, SKIVE_ERR_SHAPE, "%s contains %s, but input '%s' takes %s", file,
                            skive_dtype_name(in[i].dtype), input_name(g, (size_t)i), skive_dtype_name(wanted));
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!in[i].data)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "input '%s' is missing; give it with --input", input_name(g, i));
    }
    return SKIVE_OK;
}

skive_status cli_load_inputs(cli_args *a, const skive_graph *g, skive_tensor *in) { return load(a, g, false, in); }

skive_status cli_load_samples(cli_args *a, const skive_graph *g, skive_tensor *in) { return load(a, g, true, in); }

/* Integers are small, so that they are valid indices. */
static void fill(skive_tensor *t, uint64_t seed) {
    uint64_t state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    const bool is_float =
        t->dtype == SKIVE_F32 || t->dtype == SKIVE_F64 || t->dtype == SKIVE_F16 || t->dtype == SKIVE_BF16;
    for (int64_t i = 0; i < skive_tensor_count(t); i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const double unit = (double)(state >> 40) / (double)(1 << 24);
        skive_tensor_set(t, i, is_float ? 2 * unit - 1 : floor(2 * unit));
    }
}

/* Dimensions of an input: from the model, from --shape, and `batch` for a first one that both leave open. */
static skive_status input_dims(cli_args *a, const skive_value *v, const cli_shapes *shapes, int64_t batch,
                               int64_t *dims) {
    const skive_type *t = skive_value_type(v);
    const char *name = skive_value_name(v);
    for (int d = 0; d < t->rank; d++) dims[d] = t->dims[d].size < 0 && d == 0 ? batch : t->dims[d].size;
    for (size_t i = 0; i < shapes->n; i++) {
        if (strcmp(shapes->items[i].input, name) != 0) continue;
        if (shapes->items[i].rank != t->rank)
            return cli_fail(a, SKIVE_ERR_SHAPE, "--shape %s has %d dimensions, but the input has %d", name,
                            shapes->items[i].rank, t->rank);
        memcpy(dims, shapes->items[i].dims, (size_t)t->rank * sizeof *dims);
    }
    for (int d = 0; d < t->rank; d++) {
        if (dims[d] < 0)
            return cli_fail(a, SKIVE_ERR_SHAPE, "dimension %d of input '%s' is unknown; give it with --shape %s=...", d,
                            name, name);
    }
    return t->rank < 0 ? cli_fail(a, SKIVE_ERR_SHAPE, "the model does not specify the shape of input '%s'", name)
                       : SKIVE_OK;
}

skive_status cli_random_inputs(cli_args *a, const skive_graph *g, int64_t batch, uint64_t seed, skive_tensor *in) {
    cli_shapes shapes = {0};
    skive_status status = cli_parse_shapes(a, &shapes);
    for (size_t i = 0; i < skive_graph_input_count(g) && status == SKIVE_OK; i++) {
        const skive_value *v = skive_graph_input(g, i);
        int64_t dims[SKIVE_MAX_RANK] = {0};
        if (skive_value_type(v)->dtype == SKIVE_DTYPE_NONE) {
            status = cli_fail(a, SKIVE_ERR_UNSUPPORTED, "input '%s' has an element type that skive does not support",
                              skive_value_name(v));
            break;
        }
        status = input_dims(a, v, &shapes, batch, dims);
        if (status == SKIVE_OK)
            status = skive_tensor_create(a->ctx, skive_value_type(v)->dtype, skive_value_type(v)->rank, dims, &in[i]);
        if (status == SKIVE_OK) fill(&in[i], seed + i);
    }
    cli_free_shapes(&shapes);
    return status;
}

bool cli_needs_session(cli_args *a, skive_status status) {
    if (status != SKIVE_ERR_SHAPE && status != SKIVE_ERR_UNSUPPORTED) return false;
    if (a->told || !skive_context_message(a->ctx)[0]) return false;
    /* Behind a semicolon stands what else takes such a model. */
    const char *message = skive_context_message(a->ctx);
    cli_tell("note: the model cannot be run as a whole (%.*s); it is run in parts", (int)strcspn(message, ";"),
             message);
    skive_context_clear(a->ctx);
    return true;
}

json_t *cli_left_by_plans(const skive_session *session) {
    json_t *list = json_array();
    skive_session_stop stop;
    for (size_t i = 0; skive_session_stop_get(session, i, &stop); i++)
        json_array_append_new(list, json_pack("{s:o, s:o, s:s}", "node", cli_json_text(stop.node), "op",
                                              cli_json_text(stop.op), "why", stop.why));
    return list;
}

void cli_print_left(json_t *list, const char *what) {
    size_t i;
    json_t *j;
    json_array_foreach(list, i, j) {
        cli_printf("%s: %s (%s): %s", what, json_string_value(json_object_get(j, "node")),
                   json_string_value(json_object_get(j, "op")), json_string_value(json_object_get(j, "why")));
    }
}
