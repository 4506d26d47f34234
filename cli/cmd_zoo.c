/* skive zoo: the built-in networks, and one of them as a file. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"sample", 0, "DIMS", "dimensions of one sample without the batch, e.g. 3,32,32 (default: the network's usual)",
     false},
    {"classes", 0, "N", "number of classes (default: the network's usual)", false},
    {"vocabulary", 0, "N", "samples are sequences of tokens, integers from 0 to below N", false},
    {"output", 'o', "FILE", "write the network, freshly initialised, as ONNX", false},
};

/* What a network of a given input is and costs. */
typedef struct facts {
    char input[64], output[64];
    int64_t parameters, macs; /* parameters: those that are trained */
} facts;

static void type_text(const skive_value *v, char *buffer, size_t size) {
    const skive_type *t = skive_value_type(v);
    int at = 0;
    buffer[0] = '\0';
    for (int d = 1; d < t->rank && (size_t)at < size; d++)
        at += snprintf(buffer + at, size - (size_t)at, d > 1 ? "x%lld" : "%lld", (long long)t->dims[d].size);
    if (t->dtype == SKIVE_I64 && (size_t)at < size) snprintf(buffer + at, size - (size_t)at, " tokens");
}

static skive_status facts_of(const skive_graph *g, facts *out) {
    skive_cost cost;
    const skive_status status = skive_graph_cost(g, &cost);
    if (status != SKIVE_OK) return status;
    *out = (facts){.macs = cost.macs};
    type_text(skive_graph_input(g, 0), out->input, sizeof out->input);
    type_text(skive_graph_output(g, 0), out->output, sizeof out->output);
    for (size_t i = 0; i < skive_graph_value_count(g); i++) {
        const skive_value *v = skive_graph_value(g, i);
        if (skive_value_is_trainable(v)) out->parameters += skive_tensor_count(skive_value_data(v));
    }
    return SKIVE_OK;
}

static const char *macs_text(int64_t macs, char *buffer, size_t size) {
    if (macs >= 1000000000)
        snprintf(buffer, size, "%.2f G", (double)macs / 1e9);
    else if (macs >= 1000000)
        snprintf(buffer, size, "%.1f M", (double)macs / 1e6);
    else
        snprintf(buffer, size, "%.1f k", (double)macs / 1e3);
    return buffer;
}

static json_t *facts_json(const char *name, const char *brief, const skive_graph *g, const facts *f) {
    const skive_type *t = skive_value_type(skive_graph_input(g, 0));
    json_t *dims = json_array();
    for (int d = 1; d < t->rank; d++) json_array_append_new(dims, json_integer(t->dims[d].size));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:I, s:I}", "name", name, "brief", brief, "input",
                     skive_value_name(skive_graph_input(g, 0)), "dtype", skive_dtype_name(t->dtype), "sample", dims,
                     "output", f->output, "parameters", (json_int_t)f->parameters, "macs", (json_int_t)f->macs);
}

/* ---- all of them ---- */

static skive_status look_at(cli_args *a, size_t i, facts *f, json_t *list) {
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    (void)skive_zoo_usual(i, &o);
    o.blank = true;
    skive_status status = skive_zoo_build(a->ctx, skive_zoo_name(i), &o, &g);
    if (status == SKIVE_OK) status = facts_of(g, f);
    if (status == SKIVE_OK) json_array_append_new(list, facts_json(skive_zoo_name(i), skive_zoo_brief(i), g, f));
    skive_graph_free(g);
    return status;
}

static void print_all(const facts *f) {
    static const char *const heads[] = {"<network", "<sample", "<output", "parameters", "MACs"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char parameters[32], macs[32];
    for (size_t i = 0; i < skive_zoo_count(); i++) {
        cli_table_cell(t, "%s", skive_zoo_name(i));
        cli_table_cell(t, "%s", f[i].input);
        cli_table_cell(t, "%s", f[i].output);
        cli_table_cell(t, "%s", cli_thousands(f[i].parameters, parameters, sizeof parameters));
        cli_table_cell(t, "%s", macs_text(f[i].macs, macs, sizeof macs));
    }
    cli_table_print(t, stdout);
    cli_printf("for samples of these sizes, as published or mostly used; skive zoo NAME lists a network's options");
}

static skive_status list_all(cli_args *a) {
    facts *f = calloc(skive_zoo_count() + 1, sizeof *f);
    json_t *list = json_array();
    skive_status status = f ? SKIVE_OK : SKIVE_ERR_MEMORY;
    for (size_t i = 0; i < skive_zoo_count() && status == SKIVE_OK; i++) status = look_at(a, i, &f[i], list);
    if (status == SKIVE_OK && a->json)
        cli_print_json(json_incref(list));
    else if (status == SKIVE_OK)
        print_all(f);
    json_decref(list);
    free(f);
    return status;
}

/* ---- one of them ---- */

static skive_status parse_dims(cli_args *a, skive_zoo_options *o) {
    const char *text = cli_text(a, "sample", NULL), *at = text;
    if (!text) return SKIVE_OK;
    o->rank = 0;
    for (;;) {
        char *end;
        const long long n = strtoll(at, &end, 10);
        if (end == at || n < 1 || n > INT32_MAX || (*end && *end != ',' && *end != 'x') || o->rank >= SKIVE_MAX_RANK)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--sample: '%s' is not a list of dimensions such as 3,32,32", text);
        o->dims[o->rank++] = n;
        if (!*end) return SKIVE_OK;
        at = end + 1;
    }
}

static size_t index_of(const char *spec) {
    const size_t n = strcspn(spec, ":");
    size_t i = 0;
    while (i < skive_zoo_count() && (strlen(skive_zoo_name(i)) != n || strncmp(skive_zoo_name(i), spec, n) != 0)) i++;
    return i;
}

static skive_status settings(cli_args *a, const char *spec, skive_zoo_options *o) {
    const bool sized = cli_has(a, "sample");
    (void)skive_zoo_usual(index_of(spec), o);
    o->seed = skive_context_seed(a->ctx);
    if (sized || cli_has(a, "vocabulary")) o->vocabulary = 0;
    skive_status status = parse_dims(a, o);
    if (status == SKIVE_OK) status = cli_integer(a, "classes", 1, 1000000000, &o->classes);
    if (status == SKIVE_OK) status = cli_integer(a, "vocabulary", 1, 100000000, &o->vocabulary);
    return status;
}

static void print_options(char *text) {
    cli_printf("options:");
    for (char *line = text; *line;) {
        char *end = line + strcspn(line, "\n");
        const bool last = !*end;
        *end = '\0';
        cli_printf("  %s", line);
        line = last ? end : end + 1;
    }
}

static skive_status show(cli_args *a, const char *spec, const skive_graph *g) {
    const size_t i = index_of(spec);
    char macs[32], parameters[32], *text = NULL;
    facts f;
    skive_status status = facts_of(g, &f);
    if (status == SKIVE_OK) status = skive_zoo_option_text(a->ctx, i, &text);
    if (status == SKIVE_OK && a->json) {
        json_t *j = facts_json(skive_zoo_name(i), skive_zoo_brief(i), g, &f);
        json_object_set_new(j, "spec", cli_json_text(spec));
        cli_print_json(j);
    } else if (status == SKIVE_OK) {
        cli_printf("%s: %s", spec, skive_zoo_brief(i));
        cli_printf("sample %s, output %s; %s parameters, %s MACs", f.input, f.output,
                   cli_thousands(f.parameters, parameters, sizeof parameters), macs_text(f.macs, macs, sizeof macs));
        if (text[0]) print_options(text);
    }
    skive_string_free(a->ctx, text);
    return status;
}

static skive_status show_one(cli_args *a, const char *spec) {
    const char *path = cli_text(a, "output", NULL);
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    skive_status status = settings(a, spec, &o);
    if (status == SKIVE_OK && path) status = cli_check_output(a, path);
    if (status == SKIVE_OK) status = skive_zoo_build(a->ctx, spec, &o, &g);
    if (status == SKIVE_OK) status = show(a, spec, g);
    if (status == SKIVE_OK && path) status = cli_save(a, g, path);
    if (status == SKIVE_OK && path && !a->json) cli_printf("wrote %s", path);
    skive_graph_free(g);
    return status;
}

static skive_status run(cli_args *a) {
    static const char *const of_one[] = {"sample", "classes", "vocabulary", "output"};
    if (a->n_positional) return show_one(a, a->positional[0]);
    for (size_t i = 0; i < CLI_COUNT(of_one); i++) {
        if (cli_has(a, of_one[i]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs the name of a network", of_one[i]);
    }
    return list_all(a);
}

const cli_command cli_command_zoo = {
    .name = "zoo",
    .brief = "list the built-in networks, or write one as ONNX",
    .positional = "[NETWORK]",
    .min_positional = 0,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Without a name it lists all built-in networks: the sample they take (channels, height and width; steps and\n"
        "features; or the number of tokens), their output, the parameters that are trained, and the\n"
        "multiply-accumulates (MACs) of one sample. With a name, options included, it shows that network and its "
        "options, and\n"
        "with --output writes it with fresh weights (--seed), to be trained elsewhere.",
    .examples = "  skive zoo\n"
                "  skive zoo vit:dim=64,depth=6,heads=4,patch=4 --sample 1,28,28 --classes 10\n"
                "  skive zoo lstm:layers=2,bidirectional --vocabulary 5000 --sample 200 -o lstm.onnx",
    .run = run,
};
