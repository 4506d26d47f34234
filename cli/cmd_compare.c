/* skive compare: models side by side, the first being the one the others are held against. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"data", 'd', "SET", "data set to compare on", false},
    {"names", 0, "A,B,...", "names for the table instead of the files'", false},
    {"report", 0, "FILE", "write the figures as JSON to this file too", false},
    {"limit", 0, "N", "use only N samples", false},
    {"seconds", 0, "S", "least time to measure each latency (default 1)", false},
};

typedef struct entry {
    const char *path;
    char name[64];
    skive_graph *graph;
    skive_eval_report eval;
    skive_paired_report paired; /* to the first */
    skive_cost cost;
    skive_bench_report latency, throughput;
    double mean_difference, max_difference; /* of the scores, to the first's */
    int64_t bytes;
} entry;

static void name_entry(entry *e, const char *names, size_t index) {
    const char *base = strrchr(e->path, '/');
    snprintf(e->name, sizeof e->name, "%.60s", base ? base + 1 : e->path);
    for (size_t i = 0; names; i++) {
        const size_t n = strcspn(names, ",");
        if (i == index) {
            snprintf(e->name, sizeof e->name, "%.*s", (int)(n < 60 ? n : 60), names);
            return;
        }
        names = names[n] ? names + n + 1 : NULL;
    }
}

enum { THROUGHPUT_BATCH = 100 };

static skive_status time_one(cli_args *a, const skive_graph *g, int64_t batch, int threads, double seconds,
                             skive_bench_report *out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    const skive_type *t = skive_value_type(skive_graph_input(g, 0));
    if (t->rank > 0 && t->dims[0].size > 0) batch = t->dims[0].size;
    o.batch = batch;
    o.threads = threads;
    skive_status status = skive_plan_create(a->ctx, g, &o, &plan);
    if (status == SKIVE_OK) status = skive_bench(a->ctx, plan, batch, 20, seconds, out);
    skive_plan_free(plan);
    return status;
}

static skive_status measure(cli_args *a, entry *e, skive_dataset *set, double seconds) {
    skive_status status = cli_load_as_packed(a, e->path, &e->graph);
    if (status == SKIVE_OK) status = skive_graph_cost(e->graph, &e->cost);
    if (status == SKIVE_OK) status = skive_evaluate(a->ctx, e->graph, set, 0, &e->eval);
    if (status == SKIVE_OK) status = time_one(a, e->graph, 1, 1, seconds, &e->latency);
    if (status == SKIVE_OK) status = time_one(a, e->graph, THROUGHPUT_BATCH, 0, seconds, &e->throughput);
    e->bytes = cli_file_bytes(e->path);
    return status;
}

/* How far the scores of two models lie apart over the first samples, after each one's own normalisation. */
static skive_status score_difference(cli_args *a, entry *first, entry *other, const skive_dataset *set) {
    enum { SAMPLES = 256 };
    skive_dataset_info info;
    skive_graph *graphs[2] = {first->graph, other->graph};
    skive_plan *plans[2] = {NULL, NULL};
    skive_exec *execs[2] = {NULL, NULL};
    skive_normalization n[2];
    skive_plan_options o = skive_plan_options_default();
    skive_status status = SKIVE_OK;
    skive_dataset_get_info(set, &info);
    o.batch = 1;
    for (int k = 0; status == SKIVE_OK && k < 2; k++) {
        status = skive_plan_create(a->ctx, graphs[k], &o, &plans[k]);
        if (status == SKIVE_OK) status = skive_exec_create(a->ctx, plans[k], &execs[k]);
        if (status == SKIVE_OK) status = skive_model_normalization(graphs[k], &n[k]);
    }
    double sum = 0, count = 0;
    const size_t channels = info.rank == 3 ? (size_t)info.dims[0] : 1;
    for (size_t i = 0; status == SKIVE_OK && i < info.count && i < SAMPLES; i++) {
        skive_tensor in, out[2];
        for (int k = 0; status == SKIVE_OK && k < 2; k++) {
            status = skive_exec_input(execs[k], 0, &in);
            if (status == SKIVE_OK && skive_tensor_count(&in) != (int64_t)info.sample_size) goto done; /* fixed batch */
            if (status == SKIVE_OK) status = skive_dataset_read(a->ctx, set, i, in.data, NULL);
            skive_normalization_apply(&n[k], in.data, 1, channels, info.sample_size / channels);
            if (status == SKIVE_OK) status = skive_exec_run(execs[k]);
            if (status == SKIVE_OK) status = skive_exec_output(execs[k], 0, &out[k]);
        }
        for (int64_t c = 0; status == SKIVE_OK && c < skive_tensor_count(&out[0]) && c < skive_tensor_count(&out[1]);
             c++) {
            const double d = fabs(skive_tensor_get(&out[0], c) - skive_tensor_get(&out[1], c));
            other->max_difference = d > other->max_difference ? d : other->max_difference;
            sum += d;
            count++;
        }
    }
    other->mean_difference = count > 0 ? sum / count : 0;
done:
    for (int k = 0; k < 2; k++) {
        skive_exec_free(execs[k]);
        skive_plan_free(plans[k]);
    }
    return status;
}

static void print_table(const entry *e, size_t n) {
    static const char *const heads[] = {"<model", "accuracy (95 %)", "to first (95 %)", "parameters", "non-zero",
                                        "MACs",   "bytes",           "latency",         "samples/s"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char x[32];
    for (size_t i = 0; i < n; i++) {
        cli_table_cell(t, "%s", e[i].name);
        cli_table_cell(t, "%.2f [%.2f, %.2f]", 100 * e[i].eval.accuracy, 100 * e[i].eval.low, 100 * e[i].eval.high);
        if (i == 0)
            cli_table_cell(t, "%s", "-");
        else
            cli_table_cell(t, "%+.2f [%+.2f, %+.2f]", 100 * e[i].paired.difference, 100 * e[i].paired.low,
                           100 * e[i].paired.high);
        cli_table_cell(t, "%s", cli_thousands(e[i].cost.parameters, x, sizeof x));
        cli_table_cell(t, "%s", cli_thousands(e[i].cost.nonzeros, x, sizeof x));
        cli_table_cell(t, "%s", cli_thousands(e[i].cost.macs, x, sizeof x));
        cli_table_cell(t, "%s", cli_thousands(e[i].bytes, x, sizeof x));
        cli_table_cell(t, "%s", cli_seconds(e[i].latency.p50, x, sizeof x));
        cli_table_cell(t, "%.0f", e[i].throughput.throughput);
    }
    cli_table_print(t, stdout);
}

static void print_pairs(const entry *e, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const skive_paired_report *p = &e[i].paired;
        printf("%s against %s: right by both %lld, only the first %lld, only the second %lld, neither %lld; McNemar p "
               "= %.3g; "
               "same class for %lld of %lld; scores differ by %.3g on average, %.3g at most\n",
               e[i].name, e[0].name, (long long)p->both, (long long)p->only_a, (long long)p->only_b,
               (long long)p->neither, p->p_value, (long long)p->same_class, (long long)p->n, e[i].mean_difference,
               e[i].max_difference);
    }
    for (size_t i = 1; i < n; i++) {
        if (e[i].bytes >= e[0].bytes) printf("%s is NOT smaller on disk than %s\n", e[i].name, e[0].name);
        if (e[i].latency.p50 >= e[0].latency.p50) printf("%s is NOT faster than %s\n", e[i].name, e[0].name);
    }
}

static json_t *entry_json(const entry *e, bool first) {
    json_t *j = json_pack(
        "{s:o, s:o, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "name", cli_json_text(e->name),
        "file", cli_json_text(e->path), "n", (json_int_t)e->eval.n, "accuracy", e->eval.accuracy, "accuracy_low",
        e->eval.low, "accuracy_high", e->eval.high, "top5", e->eval.top5, "parameters", (json_int_t)e->cost.parameters,
        "nonzeros", (json_int_t)e->cost.nonzeros, "macs", (json_int_t)e->cost.macs, "bytes", (json_int_t)e->bytes,
        "latency_p50", e->latency.p50, "latency_p90", e->latency.p90, "samples_per_second", e->throughput.throughput);
    if (first) return j;
    const skive_paired_report *p = &e->paired;
    json_object_set_new(j, "to_first",
                        json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "difference",
                                  p->difference, "low", p->low, "high", p->high, "mcnemar_p", p->p_value, "both",
                                  (json_int_t)p->both, "only_first", (json_int_t)p->only_a, "only_this",
                                  (json_int_t)p->only_b, "neither", (json_int_t)p->neither, "same_class",
                                  (json_int_t)p->same_class, "mean_score_difference", e->mean_difference,
                                  "max_score_difference", e->max_difference));
    return j;
}

static json_t *report_json(const entry *e, size_t n, const char *data) {
    json_t *models = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(models, entry_json(&e[i], i == 0));
    return json_pack("{s:o, s:s, s:s, s:o}", "data", cli_json_text(data), "isa", skive_cpu_isa_name(), "skive",
                     skive_version(), "models", models);
}

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL);
    const size_t n = (size_t)a->n_positional;
    skive_dataset *set = NULL;
    double seconds = 1;
    if (!data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; say which data set to compare on");
    entry *e = calloc(n, sizeof *e);
    if (!e) return SKIVE_ERR_MEMORY;
    skive_status status = cli_has(a, "report") ? cli_check_output(a, cli_text(a, "report", NULL)) : SKIVE_OK;
    if (status == SKIVE_OK) status = cli_number_in(a, "seconds", 0, 1e6, &seconds);
    if (status == SKIVE_OK) status = cli_open_data(a, data, SKIVE_SPLIT_TEST, &set);
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) {
        e[i].path = a->positional[i];
        name_entry(&e[i], cli_text(a, "names", NULL), i);
        status = measure(a, &e[i], set, seconds);
        if (status == SKIVE_OK && i > 0) status = skive_compare_paired(a->ctx, &e[0].eval, &e[i].eval, &e[i].paired);
        if (status == SKIVE_OK && i > 0) status = score_difference(a, &e[0], &e[i], set);
    }
    if (status == SKIVE_OK) {
        json_t *j = report_json(e, n, data);
        if (cli_has(a, "report")) status = cli_write_json(a, j, cli_text(a, "report", NULL));
        if (a->json) {
            cli_print_json(json_incref(j));
        } else {
            print_table(e, n);
            fputc('\n', stdout);
            print_pairs(e, n);
        }
        json_decref(j);
    }
    for (size_t i = 0; i < n; i++) {
        skive_eval_report_free(a->ctx, &e[i].eval);
        skive_graph_free(e[i].graph);
    }
    free(e);
    skive_dataset_free(set);
    return status;
}

const cli_command cli_command_compare = {
    .name = "compare",
    .brief = "hold models against the first: paired accuracy, bytes, time, scores",
    .positional = "MODEL MODEL ...",
    .min_positional = 2,
    .max_positional = -1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details = "Accuracy on the test samples with Wilson's interval; the difference to the first model on the same "
               "samples with\n"
               "Newcombe's interval for paired proportions and McNemar's exact test; parameters, MACs, bytes on disk; "
               "latency at\n"
               "batch 1 on one thread and throughput at batch 100 on all threads.",
    .examples = "  skive compare teacher.onnx int8.onnx --data fashion-mnist",
    .run = run,
};
