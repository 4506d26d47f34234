/* skive tune: measures which kernels run a model fastest here, and keeps the choice beside the model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/choices.h>

#include "cli.h"

static const cli_option options[] = {
    {"batch", 'b', "N", "samples per run (default 1)", false},
    {"shape", 0, "INPUT=DIMS", "an input's dimensions, e.g. x=1,3,224,224; may be repeated", true},
    {"seconds", 0, "S", "seconds to measure each plan (default 1)", false},
    {"output", 'o', "FILE",
     "where to write the choices (default MODEL" CLI_CHOICES_SUFFIX ", which run, eval, bench and "
     "explain use)",
     false},
};

static void print_choices(const skive_kernel_choices *c) {
    static const char *const heads[] = {"<op", "<usual kernel", "time", "<now", "time"};
    char text[2][32];
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    for (size_t i = 0; i < skive_kernel_choices_count(c); i++) {
        skive_kernel_choice x;
        skive_kernel_choices_get(c, i, &x);
        cli_table_cell(t, "%s", x.op);
        cli_table_cell(t, "%s", x.usual);
        cli_table_cell(t, "%s", cli_seconds(x.usual_seconds, text[0], sizeof text[0]));
        cli_table_cell(t, "%s", x.kernel);
        cli_table_cell(t, "%s", cli_seconds(x.seconds, text[1], sizeof text[1]));
    }
    cli_table_print(t, stdout);
}

static json_t *choices_json(const skive_kernel_choices *c, const skive_tuning_report *r, const char *path) {
    json_t *list = json_array();
    for (size_t i = 0; i < skive_kernel_choices_count(c); i++) {
        skive_kernel_choice x;
        skive_kernel_choices_get(c, i, &x);
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:s, s:f, s:f}", "op", cli_json_text(x.op), "usual", x.usual,
                                        "kernel", x.kernel, "usual_seconds", x.usual_seconds, "seconds", x.seconds));
    }
    return json_pack("{s:o, s:o, s:I, s:f, s:f}", "output", path ? cli_json_text(path) : json_null(), "choices", list,
                     "plans", (json_int_t)r->plans, "usual_seconds", r->usual_seconds, "seconds", r->seconds);
}

static void tell(const cli_args *a, const skive_kernel_choices *c, const skive_tuning_report *r, const char *path) {
    const size_t n = skive_kernel_choices_count(c);
    char text[2][32];
    if (n) print_choices(c);
    cli_printf("%s: %s with the usual kernels, %s with %zu choice%s (%zu plans measured, %d thread%s)",
               a->positional[0], cli_seconds(r->usual_seconds, text[0], sizeof text[0]),
               cli_seconds(r->seconds, text[1], sizeof text[1]), n, n == 1 ? "" : "s", r->plans,
               skive_context_threads(a->ctx), skive_context_threads(a->ctx) == 1 ? "" : "s");
    if (n)
        cli_printf("wrote %s", path);
    else
        cli_printf("no kernel makes the model faster than the usual ones: no file is kept");
}

static skive_status measure(cli_args *a, int64_t batch, double seconds, skive_kernel_choices **c,
                            skive_tuning_report *r) {
    skive_plan_options plan = skive_plan_options_default();
    skive_tuning_options o = skive_tuning_options_default();
    skive_graph *g = NULL;
    cli_shapes shapes = {0};
    o.seconds = seconds;
    plan.batch = batch;
    skive_status status = cli_load_as_packed(a, a->positional[0], &g);
    if (status == SKIVE_OK) status = cli_parse_shapes(a, &shapes);
    plan.shapes = shapes.items;
    plan.n_shapes = shapes.n;
    if (status == SKIVE_OK) status = skive_kernels_tune(a->ctx, g, &plan, &o, c, r);
    cli_free_shapes(&shapes);
    skive_graph_free(g);
    return status;
}

static skive_status run(cli_args *a) {
    skive_kernel_choices *c = NULL;
    skive_tuning_report r = {0};
    int64_t batch = 1;
    double seconds = 1;
    char *path = cli_choices_path(a->positional[0]);
    const char *output = cli_text(a, "output", path);
    skive_status status = path ? cli_integer(a, "batch", 1, 1000000, &batch) : SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = cli_number_in(a, "seconds", 0.001, 1e6, &seconds);
    if (status == SKIVE_OK) status = cli_check_output(a, output);
    if (status == SKIVE_OK) status = measure(a, batch, seconds, &c, &r);
    const bool any = skive_kernel_choices_count(c) > 0;
    if (status == SKIVE_OK && any) status = skive_kernel_choices_save(a->ctx, c, output);
    if (status == SKIVE_OK && !any && !cli_has(a, "output")) (void)remove(output); /* it no longer holds */
    if (status == SKIVE_OK && a->json) cli_print_json(choices_json(c, &r, any ? output : NULL));
    if (status == SKIVE_OK && !a->json && !a->quiet) tell(a, c, &r, output);
    skive_kernel_choices_free(c);
    free(path);
    return status;
}

const cli_command cli_command_tune = {
    .name = "tune",
    .brief = "measure which kernels run a model fastest on this machine",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Every node is timed with each kernel that can run it. Where the whole model gets faster, the choice is "
        "written beside the model, and run, eval, bench and explain use it for the shapes and threads it was measured "
        "with. A file of another machine, instruction set or version is not used, and they say so. Floating-point "
        "results change as between kernels; integer results keep their bits. Delete the file to get the usual kernels "
        "back.",
    .examples = "  skive tune resnet50.onnx --threads 1\n  skive tune detector.onnx --shape image=1,3,640,640",
    .run = run,
};
