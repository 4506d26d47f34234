/* The passes whose result is standard ONNX, run by name; see skive/simplify.h. */
#include <skive/simplify.h>
#include <string.h>

#include "passes/pass.h"

enum { EXPORTABLE = SKV_PASS_CLEAN | SKV_PASS_INFERENCE | SKV_PASS_NEWER | SKV_PASS_REQUEST, ROUNDS = 4 };

static const skv_pass *exportable_at(size_t index) {
    for (size_t i = 0; i < skv_pass_count(); i++) {
        if ((skv_pass_at(i)->when & EXPORTABLE) && index-- == 0) return skv_pass_at(i);
    }
    return NULL;
}

static const char *pass_name(size_t index) {
    const skv_pass *p = exportable_at(index);
    return p ? p->name : NULL;
}

static bool on_request(const skv_pass *p) { return (p->when & (SKV_PASS_CLEAN | SKV_PASS_NEWER)) == 0; }

size_t skive_pass_count(void) {
    size_t n = 0;
    while (exportable_at(n)) n++;
    return n;
}

skive_status skive_pass_get(skive_context *ctx, size_t index, skive_pass_info *out) {
    SKV_NEED(ctx, "ctx, out", ctx, out);
    const skv_pass *p = exportable_at(index);
    if (!p) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "there is no pass %zu", index);
    *out = (skive_pass_info){p->name, p->brief, on_request(p)};
    return SKIVE_OK;
}

static const skv_option options_of_simplifying[] = {
    {.name = "passes",
     .type = SKV_OPTION_LIST,
     .choices = pass_name,
     .what = "pass for ONNX files",
     SKV_FIELD(TEXT, skive_simplify_options, list),
     .brief = "run these passes only (default: all but those that run when named)"},
};

const skv_table skv_simplify_table = {"simplify", options_of_simplifying, SKV_LENGTH(options_of_simplifying), NULL};

skive_simplify_options skive_simplify_options_default(void) {
    return (skive_simplify_options){.size = sizeof(skive_simplify_options)};
}

static int64_t parameter_bytes(const skive_graph *g) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (skv_value_is_param(g->values[i])) sum += (int64_t)skive_tensor_bytes(skv_value_tensor(g->values[i]));
    }
    return sum;
}

/* Is the name among those of a list with commas? */
static bool listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strcspn(at, ",") == length && memcmp(at, name, length) == 0) return true;
    }
    return false;
}

static bool chosen(const skive_simplify_options *o, const skv_pass *p) {
    if (o->list) return listed(o->list, p->name);
    if (!o->passes) return !on_request(p);
    for (size_t i = 0; i < o->n_passes; i++) {
        if (strcmp(o->passes[i], p->name) == 0) return true;
    }
    return false;
}

static skive_status check_names(skive_context *ctx, const skive_simplify_options *o) {
    for (size_t i = 0; o->passes && i < o->n_passes; i++) {
        const skv_pass *p = skv_pass_find(o->passes[i]);
        if (!p || !(p->when & EXPORTABLE))
            return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, o->passes[i], "pass for ONNX files", o->passes[i],
                                    pass_name);
    }
    return SKIVE_OK;
}

/* A damaged model is kept unchanged, with a note. */
static void note_damage(skive_context *ctx, const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const int64_t bad = skv_value_damage(g->values[i]);
        if (bad)
            skv_note(ctx, "parameter '%s' contains NaN or infinity: %lld of its values", g->values[i]->name,
                     (long long)bad);
    }
}

/* One round of the chosen passes; *changed tells whether another round is needed. */
static skive_status round_of(const skv_pass_env *env, skive_graph *g, skive_simplify_report *r, bool *changed) {
    *changed = false;
    for (size_t k = 0; k < r->n_steps; k++) {
        skive_simplify_step *s = &r->steps[k];
        const size_t nodes = g->n_nodes;
        const int64_t bytes = parameter_bytes(g);
        size_t rewritten = 0;
        SKV_TRY(skv_pass_run(skv_pass_find(s->pass), env, g, &rewritten));
        (void)skv_graph_sweep(g);
        SKV_TRY(skive_graph_infer(g));
        s->rewritten += rewritten;
        s->nodes_before += nodes;
        s->nodes_after += g->n_nodes;
        s->bytes_before += bytes;
        s->bytes_after += parameter_bytes(g);
        *changed = *changed || rewritten > 0 || nodes != g->n_nodes;
    }
    return SKIVE_OK;
}

skive_status skive_simplify(skive_context *ctx, skive_graph *graph, const skive_simplify_options *options,
                            skive_simplify_report *report) {
    SKV_NEED(ctx, "ctx, graph", ctx, graph);
    skive_simplify_options o = skive_simplify_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_simplify_options", options, &o, sizeof o));
    skive_simplify_report r = {.nodes_before = graph->n_nodes, .bytes_before = parameter_bytes(graph)};
    const skv_pass_env env = {.ctx = ctx, .for_file = true};
    skive_graph *work = NULL;
    skive_status status = SKIVE_OK;
    if (o.list && o.passes)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "passes",
                           "skive_simplify_options: passes are given both as `passes` and as `list`; set one of them");
    SKV_TRY(skv_table_resolve(ctx, &skv_simplify_table, &o));
    SKV_TRY(check_names(ctx, &o));
    note_damage(ctx, graph);
    const skv_pass *p;
    for (size_t i = 0; (p = exportable_at(i)) && r.n_steps < SKIVE_SIMPLIFY_MAX_PASSES; i++) {
        if (chosen(&o, p)) r.steps[r.n_steps++].pass = p->name;
    }
    SKV_TRY(skive_graph_copy(ctx, graph, &work));
    SKV_GO(status, done, skive_graph_infer(work));
    bool changed = true;
    for (int round = 0; changed && round < ROUNDS; round++) SKV_GO(status, done, round_of(&env, work, &r, &changed));
    SKV_GO(status, done, skive_graph_check(work));
    r.nodes_after = work->n_nodes;
    r.bytes_after = parameter_bytes(work);
    skive_graph_take(graph, work);
    if (report) *report = r;
    return SKIVE_OK;
done:
    skive_graph_free(work);
    return status;
}
