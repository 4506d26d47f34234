/* skive bench: how fast a model is, and where the time goes. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"batch", 'b', "N", "samples per run (default 1)", false},
    {"runs", 'n', "N", "minimum number of runs (default 50)", false},
    {"seconds", 0, "S", "minimum time to measure, in seconds (default 2)", false},
    {"input", 'i', "[NAME=]FILE.npy", "use this input instead of random numbers; runs in a session; may be repeated",
     true},
    {"shape", 0, "INPUT=DIMS", "an input's dimensions, e.g. x=1,3,224,224; may be repeated", true},
    {"top", 0, "N", "number of nodes in the profile (default 15; 0: none)", false},
    {"reference", 0, NULL, "use the reference kernels only", false},
    {"no-fusion", 0, NULL, "do not fuse or rewrite nodes", false},
};

typedef struct node_time {
    skive_plan_step step;
    double seconds;
} node_time;

static int slower_first(const void *a, const void *b) {
    const node_time *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : 0;
}

enum { PROFILE_RUNS = 20 };

static skive_status profile(cli_args *a, const skive_plan *plan, node_time **out, double *total) {
    const size_t n = skive_plan_step_count(plan);
    skive_exec *exec = NULL;
    size_t runs = 0;
    node_time *times = calloc(n + 1, sizeof *times);
    if (!times) return SKIVE_ERR_MEMORY;
    skive_status status = skive_exec_create(a->ctx, plan, &exec);
    if (status == SKIVE_OK) status = skive_exec_run(exec);
    if (status == SKIVE_OK) status = skive_exec_profile(exec, true);
    for (int i = 0; status == SKIVE_OK && i < PROFILE_RUNS; i++) status = skive_exec_run(exec);
    *total = 0;
    if (status == SKIVE_OK) {
        const double *seconds = skive_exec_profile_seconds(exec, &runs);
        for (size_t i = 0; i < n; i++) {
            skive_plan_step_get(plan, i, &times[i].step);
            times[i].seconds = seconds[i] / (double)runs;
            *total += times[i].seconds;
        }
        qsort(times, n, sizeof *times, slower_first);
    }
    skive_exec_free(exec);
    *out = times;
    return status;
}

static void print_profile(const node_time *times, size_t n, double total) {
    static const char *const heads[] = {"<node", "<op", "<kernel", "time", "share", "GMAC/s"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char text[32], name[CLI_SHORT];
    for (size_t i = 0; i < n; i++) {
        cli_table_cell(t, "%s", cli_short(times[i].step.node, name, sizeof name));
        cli_table_cell(t, "%s", times[i].step.op);
        cli_table_cell(t, "%s", times[i].step.kernel);
        cli_table_cell(t, "%s", cli_seconds(times[i].seconds, text, sizeof text));
        cli_table_cell(t, "%.1f %%", total > 0 ? 100 * times[i].seconds / total : 0);
        if (times[i].step.macs)
            cli_table_cell(t, "%.1f", (double)times[i].step.macs / times[i].seconds * 1e-9);
        else
            cli_table_cell(t, "%s", "-");
    }
    cli_table_print(t, stdout);
}

static void print_latency(const cli_args *a, const skive_bench_report *r, int64_t batch) {
    char x[5][32];
    cli_printf("%s: batch %lld, %d thread%s, %s", a->positional[0], (long long)batch, skive_context_threads(a->ctx),
               skive_context_threads(a->ctx) == 1 ? "" : "s", skive_cpu_isa_name());
    cli_printf("latency  median %s  90 %% %s  99 %% %s  min %s  max %s  (%zu runs)", cli_seconds(r->p50, x[0], 32),
               cli_seconds(r->p90, x[1], 32), cli_seconds(r->p99, x[2], 32), cli_seconds(r->min, x[3], 32),
               cli_seconds(r->max, x[4], 32), r->runs);
    cli_printf("throughput  %.1f samples/s", r->throughput);
}

static void print_memory(const skive_plan *plan) {
    char x[2][32];
    cli_printf("memory  activations and scratch %s, packed weights %s\n",
               cli_bytes((double)skive_plan_arena_bytes(plan), x[0], 32),
               cli_bytes((double)skive_plan_packed_bytes(plan), x[1], 32));
}

static json_t *latency_json(const skive_bench_report *r) {
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "runs", (json_int_t)r->runs, "min", r->min, "p50",
                     r->p50, "p90", r->p90, "p99", r->p99, "mean", r->mean, "max", r->max, "samples_per_second",
                     r->throughput, "isa", skive_cpu_isa_name());
}

static json_t *report_json(const skive_bench_report *r, const skive_plan *plan, const node_time *times, size_t n) {
    json_t *nodes = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(nodes, json_pack("{s:o, s:o, s:s, s:f, s:I}", "node", cli_json_text(times[i].step.node),
                                               "op", cli_json_text(times[i].step.op), "kernel", times[i].step.kernel,
                                               "seconds", times[i].seconds, "macs", (json_int_t)times[i].step.macs));
    }
    json_t *j = latency_json(r);
    json_object_set_new(j, "arena_bytes", json_integer((json_int_t)skive_plan_arena_bytes(plan)));
    json_object_set_new(j, "packed_bytes", json_integer((json_int_t)skive_plan_packed_bytes(plan)));
    json_object_set_new(j, "nodes", nodes);
    return j;
}

/* Measures a session on the given inputs; its shapes may depend on data. */
static skive_status bench_session(cli_args *a, const skive_graph *g, int64_t batch, int64_t runs, double seconds) {
    const size_t n_in = skive_graph_input_count(g), n_out = skive_graph_output_count(g);
    skive_session_options o = skive_session_options_default();
    skive_session *session = NULL;
    skive_bench_report r;
    skive_tensor *in = calloc(n_in + 1, sizeof *in);
    o.reference = cli_has(a, "reference");
    o.no_fusion = cli_has(a, "no-fusion");
    const bool given = cli_has(a, "input");
    skive_status status = !in     ? SKIVE_ERR_MEMORY
                          : given ? cli_load_inputs(a, g, in)
                                  : cli_random_inputs(a, g, batch, 1, in);
    if (status == SKIVE_OK) status = skive_session_create(a->ctx, g, &o, &session);
    if (status == SKIVE_OK) status = skive_bench_session(a->ctx, session, in, n_in, n_out, (size_t)runs, seconds, &r);
    if (status == SKIVE_OK && a->json) cli_print_json(latency_json(&r));
    if (status == SKIVE_OK && !a->json) print_latency(a, &r, given ? 1 : batch);
    skive_session_free(session);
    for (size_t i = 0; in && i < n_in; i++) skive_tensor_free(a->ctx, &in[i]);
    free(in);
    return status;
}

static skive_status run(cli_args *a) {
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    skive_bench_report r;
    node_time *times = NULL;
    int64_t batch = 1, runs = 50, top = 15;
    double seconds = 2, total = 0;
    skive_status status = cli_integer(a, "batch", 1, 1000000, &batch);
    if (status == SKIVE_OK) status = cli_integer(a, "runs", 1, 100000, &runs);
    if (status == SKIVE_OK) status = cli_integer(a, "top", 0, 1000000, &top);
    if (status == SKIVE_OK) status = cli_number_in(a, "seconds", 0, 1e6, &seconds);
    if (status == SKIVE_OK) status = cli_load_as_packed(a, a->positional[0], &g);
    if (status == SKIVE_OK) cli_use_choices(a, a->positional[0]);
    if (status == SKIVE_OK && cli_has(a, "input")) {
        status = bench_session(a, g, batch, runs, seconds);
        skive_graph_free(g);
        return status;
    }
    if (status == SKIVE_OK) status = cli_plan(a, g, batch, 0, &plan);
    if (status != SKIVE_OK && g && cli_needs_session(a, status)) {
        status = bench_session(a, g, batch, runs, seconds);
        skive_graph_free(g);
        return status;
    }
    if (status == SKIVE_OK) status = skive_bench(a->ctx, plan, batch, (size_t)runs, seconds, &r);
    if (status == SKIVE_OK) status = profile(a, plan, &times, &total);
    if (status == SKIVE_OK) {
        size_t n = skive_plan_step_count(plan);
        if (a->json) {
            cli_print_json(report_json(&r, plan, times, n));
        } else {
            if ((size_t)top < n) n = (size_t)top;
            print_latency(a, &r, batch);
            print_memory(plan);
            if (n) print_profile(times, n, total);
        }
    }
    free(times);
    skive_plan_free(plan);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_bench = {
    .name = "bench",
    .brief = "time a model: latency percentiles and a profile by node",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Inputs are random. The profile comes from separate runs, so that profiling does not affect the latency.\n"
        "With --input, all inputs are read from files: for models whose shapes or control flow depend on the input "
        "values.",
    .examples = "  skive bench int8.onnx --threads 1\n  skive bench resnet50.onnx --shape input=1,3,224,224",
    .run = run,
};
