/* skive explain: which kernel runs each node, and why the ones before it in the list declined. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"batch", 'b', "N", "samples per run (default 1)", false},
    {"shape", 0, "INPUT=DIMS", "an input's dimensions, e.g. x=1,3,224,224; may be repeated", true},
    {"no-fusion", 0, NULL, "do not fuse or rewrite nodes", false},
};

static void print_step(const skive_plan_step *s) {
    if (s->is_reorder) {
        cli_printf("  reorder to %s for %s", s->layout, s->node);
        return;
    }
    cli_printf("%s  %s  -> %s  [%s, %s]", s->node, s->op, s->output_type, s->kernel, s->layout);
    for (const char *at = s->declined; *at;) {
        const size_t n = strcspn(at, "\n");
        cli_printf("    declined  %.*s", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

static json_t *step_json(const skive_plan_step *s) {
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:b, s:s}", "node", cli_json_text(s->node), "op", cli_json_text(s->op),
                     "kernel", s->kernel, "layout", s->layout, "output", cli_json_text(s->output_type), "reorder",
                     s->is_reorder, "declined", s->declined);
}

/* The steps of one plan, printed or added to `steps`. */
static void show_plan(const cli_args *a, const skive_plan *plan, json_t *steps) {
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(plan, i, &s);
        if (a->json)
            json_array_append_new(steps, step_json(&s));
        else
            print_step(&s);
    }
}

/* What the kernels are chosen for: the instruction-set level, and whether oneDNN is there. */
static const char *kernels_of(char *text, size_t size) {
    const char *onednn = skive_onednn_version();
    (void)snprintf(text, size, "%s, %s%s", skive_cpu_isa_name(), onednn ? "oneDNN " : "without oneDNN",
                   onednn ? onednn : "");
    return text;
}

/* A model that needs several plans: those of a run on random inputs. */
static skive_status explain_session(cli_args *a, const skive_graph *g, int64_t batch) {
    const size_t n_in = skive_graph_input_count(g), n_out = skive_graph_output_count(g);
    skive_tensor *in = calloc(n_in + 1, sizeof *in), *out = calloc(n_out + 1, sizeof *out);
    skive_session_options o = skive_session_options_default();
    skive_session *session = NULL;
    json_t *steps = json_array();
    o.no_fusion = cli_has(a, "no-fusion");
    skive_status status = in && out ? cli_random_inputs(a, g, batch, 1, in) : SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = skive_session_create(a->ctx, g, &o, &session);
    if (status == SKIVE_OK) status = skive_session_run(session, in, n_in, out, n_out);
    const size_t n = status == SKIVE_OK ? skive_session_plan_count(session) : 0;
    for (size_t i = 0; i < n; i++) {
        if (!a->json) printf("%splan %zu of %zu, on random inputs\n", i ? "\n" : "", i + 1, n);
        show_plan(a, skive_session_plan(session, i), steps);
    }
    json_t *alone = status == SKIVE_OK ? cli_left_by_plans(session) : NULL;
    if (status == SKIVE_OK && a->json)
        cli_print_json(json_pack("{s:s, s:s?, s:I, s:O, s:O}", "isa", skive_cpu_isa_name(), "onednn",
                                 skive_onednn_version(), "plans", (json_int_t)n, "steps", steps, "by_themselves",
                                 alone));
    if (status == SKIVE_OK && !a->json) {
        cli_print_left(alone, "separately");
        char kernels[64];
        cli_printf("\n%s; nodes outside a plan run separately, their subgraphs in plans of their own",
                   kernels_of(kernels, sizeof kernels));
    }
    json_decref(alone);
    json_decref(steps);
    skive_session_free(session);
    for (size_t i = 0; in && i < n_in; i++) skive_tensor_free(a->ctx, &in[i]);
    for (size_t i = 0; out && i < n_out; i++) skive_tensor_free(a->ctx, &out[i]);
    free(in);
    free(out);
    return status;
}

static skive_status run(cli_args *a) {
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    int64_t batch = 1;
    skive_status status = cli_integer(a, "batch", 1, 1000000, &batch);
    if (status == SKIVE_OK) status = cli_load_as_packed(a, a->positional[0], &g);
    if (status == SKIVE_OK) cli_use_choices(a, a->positional[0]);
    if (status == SKIVE_OK) status = cli_plan(a, g, batch, 0, &plan);
    if (status != SKIVE_OK && g && cli_needs_session(a, status)) {
        status = explain_session(a, g, batch);
    } else if (status == SKIVE_OK) {
        json_t *steps = json_array();
        char x[32], y[32], kernels[64];
        show_plan(a, plan, steps);
        if (a->json) {
            cli_print_json(json_pack("{s:s, s:s?, s:I, s:I, s:O}", "isa", skive_cpu_isa_name(), "onednn",
                                     skive_onednn_version(), "arena_bytes", (json_int_t)skive_plan_arena_bytes(plan),
                                     "packed_bytes", (json_int_t)skive_plan_packed_bytes(plan), "steps", steps));
        } else {
            cli_printf("\n%s; activations and scratch %s, packed weights %s", kernels_of(kernels, sizeof kernels),
                       cli_bytes((double)skive_plan_arena_bytes(plan), x, sizeof x),
                       cli_bytes((double)skive_plan_packed_bytes(plan), y, sizeof y));
        }
        json_decref(steps);
    }
    skive_plan_free(plan);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_explain = {
    .name = "explain",
    .brief = "show the kernel chosen for each node, and why faster ones declined",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details = "One line per step of the plan: node, operator (with fused operators), type, kernel and memory layout; "
               "below it\n"
               "the kernels that come earlier in the list and why they declined.",
    .examples = "  skive explain teacher.onnx",
    .run = run,
};
