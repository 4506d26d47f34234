/* Files given for a model's inputs and outputs. */
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

static const char *input_name(const void *g, size_t i) { return skive_value_name(skive_graph_input(g, i)); }

static skive_status load(cli_args *a, const skive_graph *g, bool any_type, skive_tensor *in) {
    const size_t n = skive_graph_input_count(g);
    for (size_t k = 0; k < cli_count(a, "input"); k++) {
        const char *file;
        const int64_t i = cli_which(cli_text_at(a, "input", k), &file, k, n, input_name, g);
        if (i < 0)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--input %s: the model has no such input",
                            cli_text_at(a, "input", k));
        if (in[i].data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "input '%s' is given twice", input_name(g, (size_t)i));
        const skive_status status = skive_tensor_load_npy(a->ctx, file, &in[i]);
        if (status != SKIVE_OK) return status;
        const skive_dtype wanted = skive_value_type(skive_graph_input(g, (size_t)i))->dtype;
        if (in[i].dtype != wanted && !any_type) {
            return cli_fail(a, SKIVE_ERR_SHAPE, "%s holds %s, input '%s' takes %s", file, skive_dtype_name(in[i].dtype),
                            input_name(g, (size_t)i), skive_dtype_name(wanted));
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
