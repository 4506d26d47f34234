/* Which output of a model is used, and how it is reported. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static bool has_output(const skive_graph *g, const char *name) {
    for (size_t i = 0; i < skive_graph_output_count(g); i++) {
        if (strcmp(skive_value_name(skive_graph_output(g, i)), name) == 0) return true;
    }
    return false;
}

/* The given name that this model has; a model with one output does not need one. */
static skive_status choose(cli_args *a, skive_graph *g, bool *used) {
    const size_t n = cli_count(a, "use-output");
    for (size_t i = 0; i < n; i++) {
        const char *name = cli_text_at(a, "use-output", i);
        if (!has_output(g, name)) continue;
        used[i] = true;
        return skive_model_set_output(g, name, NULL);
    }
    if (skive_graph_output_count(g) == 1) return SKIVE_OK;
    return skive_model_set_output(g, cli_text_at(a, "use-output", 0), NULL); /* fails, listing the valid names */
}

/* NAME, NAME/FRAMES, or none. */
static skive_status set_lengths(cli_args *a, skive_graph *g) {
    char name[256];
    const char *text = cli_text(a, "lengths", ""), *slash = strrchr(text, '/');
    char *end = NULL;
    long long every = slash ? strtoll(slash + 1, &end, 10) : 1;
    const bool counted = slash && end != slash + 1 && !*end;
    if (counted && every < 1)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--lengths %s: a step is of at least 1 frame", text);
    if (!counted) every = 1; /* the slash is part of the name */
    const size_t length = counted ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof name) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--lengths: the name is too long");
    memcpy(name, text, length);
    name[length] = '\0';
    return skive_model_set_lengths(g, strcmp(name, "none") == 0 ? NULL : name, every);
}

enum { MAX_CHOSEN = 64 };

skive_status cli_choose_outputs(cli_args *a, skive_graph *const *graphs, size_t n) {
    const size_t names = cli_count(a, "use-output");
    const char *kind = cli_text(a, "output-kind", NULL);
    bool used[MAX_CHOSEN] = {false};
    skive_status status = SKIVE_OK;
    if (names > MAX_CHOSEN)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--use-output may be given %d times at most", MAX_CHOSEN);
    for (size_t i = 0; i < n && names && status == SKIVE_OK; i++) {
        if (graphs[i]) status = choose(a, graphs[i], used);
    }
    for (size_t i = 0; i < names && status == SKIVE_OK; i++) {
        if (used[i]) continue;
        for (size_t k = 0; k < n && status == SKIVE_OK; k++) {
            if (graphs[k]) status = skive_model_set_output(graphs[k], cli_text_at(a, "use-output", i), NULL);
        }
    }
    for (size_t i = 0; i < n && kind && status == SKIVE_OK; i++) {
        if (!graphs[i]) continue;
        status = skive_model_set_output(graphs[i], NULL, kind);
        break;
    }
    for (size_t i = 0; i < n && cli_has(a, "lengths") && status == SKIVE_OK; i++)
        if (graphs[i]) status = set_lengths(a, graphs[i]);
    return status;
}

const char *cli_output_text(const skive_graph *g, const skive_output_info *o, char *buffer, size_t size) {
    const size_t n = skive_graph_output_count(g);
    char of[48] = "", name[128];
    if (n > 1) snprintf(of, sizeof of, ", one of %zu outputs", n);
    cli_copy(name, sizeof name, o->name, 80);
    if (!o->from)
        snprintf(buffer, size, "'%s': %s%s", name, skive_output_kind_name(o->kind), of);
    else if (strcmp(o->from, "metadata") == 0)
        snprintf(buffer, size, "'%s': %s (by its metadata)%s", name, skive_output_kind_name(o->kind), of);
    else
        snprintf(buffer, size, "'%s': %s (from %s)%s", name, skive_output_kind_name(o->kind), o->from, of);
    return buffer;
}

json_t *cli_output_json(const skive_output_info *o) {
    return json_pack("{s:o, s:s, s:s}", "name", cli_json_text(o->name), "kind", skive_output_kind_name(o->kind), "from",
                     o->from ? o->from : "assumed");
}

void cli_set_metrics(json_t *j, const skive_eval_report *r, void (*set)(json_t *j, const char *key, double x)) {
    set(j, "accuracy", r->accuracy);
    set(j, "accuracy_low", r->low);
    set(j, "accuracy_high", r->high);
    if (r->classes > 5) set(j, "top5", r->top5);
    set(j, "auc", r->auc);
    set(j, "mse", r->mse);
    set(j, "rmse", r->rmse);
    set(j, "mae", r->mae);
    set(j, "r2", r->r2);
    if (r->task != SKIVE_TASK_LABELS) return;
    set(j, "f1_micro", r->f1_micro);
    set(j, "f1_macro", r->f1_macro);
    set(j, "map", r->map);
}
