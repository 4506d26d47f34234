/* A name that a graph does not have: what may have been meant, and what there is. */
#include "graph/unknown.h"

enum { SHOWN = 8 };

skive_status skv_fail_no_such(skive_context *ctx, skive_status code, const char *none, const char *given,
                              const char *const *names, size_t n) {
    const char *near = skive_nearest_name(given, names, n);
    size_t there = 0;
    skv_text text;
    skv_text_init(&text, ctx);
    for (size_t i = 0; i < n; i++) {
        if (names[i] && there++ < SHOWN) skv_text_add(&text, "%s'%s'", there > 1 ? ", " : "", names[i]);
    }
    if (there > SHOWN) skv_text_add(&text, " and %zu more", there - SHOWN);
    if (text.status == SKIVE_OK)
        (void)skv_fail_at(ctx, code, given, "%s '%s'%s%s%s: %s", none, given, near ? "; did you mean '" : "",
                          near ? near : "", near ? "'? There are" : "; there are", there ? text.data : "none");
    else
        code = text.status;
    skv_text_free(&text);
    return code;
}

static skive_status among(skive_context *ctx, skive_status code, const char *none, const char *given,
                          skive_value *const *values, size_t n, bool parameters) {
    const char **names = NULL;
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *names, &names));
    for (size_t i = 0; i < n; i++) names[i] = parameters && !skv_value_is_param(values[i]) ? NULL : values[i]->name;
    code = skv_fail_no_such(ctx, code, none, given, names, n);
    skv_free(ctx, names);
    return code;
}

skive_status skv_fail_no_parameter(skive_context *ctx, skive_status code, const skive_graph *g, const char *given) {
    return among(ctx, code, "the model has no parameter", given, g->values, g->n_values, true);
}

skive_status skv_fail_no_input(skive_context *ctx, skive_status code, const skive_graph *g, const char *given) {
    return among(ctx, code, "the model has no input", given, g->inputs, g->n_inputs, false);
}
