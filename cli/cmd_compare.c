/* skive compare: models side by side; the others are compared with the first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

static const cli_option options[] = {
    {"data", 'd', "SET", "data set to compare on", false},
    {"layers", 0, NULL, "of two models: where they come apart, value by value, on 256 samples (or --limit)", false},
    {"names", 0, "A,B,...", "names for the table instead of the file names", false},
    {"report", 0, "FILE", "also write the figures as JSON to this file", false},
    {"limit", 0, "N", "use only N samples", false},
    CLI_METRICS_OPTION,
    CLI_RESAMPLES_OPTION,
    CLI_OUTPUT_OPTIONS,
    CLI_SPLIT_OPTION,
    CLI_DATA_OPTIONS,
    CLI_TARGET_OPTIONS,
    {"no-labels", 0, NULL, "compare the answers only, as is done with data that have no labels", false},
    {"seconds", 0, "S", "minimum time to measure each latency, in seconds (default 1)", false},
    {"max-drop", 0, "POINTS", "goal: no model loses more accuracy than this against the first, in percentage points",
     false},
    {"max-bytes", 0, "SIZE", "goal: no model file but the first is larger than this (900K, 2.5M)", false},
    {"min-speedup", 0, "X", "goal: each model's latency per sample is at most 1/X of the first one's", false},
};

static void name_entry(compare_entry *e, const char *names, size_t index) {
    const char *base = strrchr(e->path, '/');
    cli_copy(e->name, sizeof e->name, base ? base + 1 : e->path, 60);
    for (size_t i = 0; names; i++) {
        const size_t n = strcspn(names, ",");
        if (i == index) {
            cli_copy(e->name, n < sizeof e->name ? n + 1 : sizeof e->name, names, 60);
            return;
        }
        names = names[n] ? names + n + 1 : NULL;
    }
}

/* ---- measuring ---- */

enum { THROUGHPUT_BATCH = 100 };

/* A copy of the model in which dimensions that it leaves open are those of the data. */
static skive_status bind(cli_args *a, const compare_entry *e, int64_t batch, skive_graph **out) {
    skive_status status = skive_graph_copy(a->ctx, e->graph, out);
    for (size_t i = 0; i < e->eval.n_inputs && status == SKIVE_OK; i++) {
        const skive_eval_input *in = &e->eval.inputs[i];
        int64_t dims[SKIVE_MAX_RANK] = {batch};
        memcpy(dims + 1, in->dims, (size_t)in->rank * sizeof *in->dims);
        status = skive_graph_bind_input(*out, skive_value_name(skive_graph_input(*out, i)), in->rank + 1, dims);
    }
    if (status == SKIVE_OK) return SKIVE_OK;
    skive_graph_free(*out);
    *out = NULL;
    return status;
}

/* As bench does it with a model whose shapes or paths depend on data: on random inputs, in parts. */
static skive_status time_in_parts(cli_args *a, const compare_entry *e, int64_t batch, int threads, double seconds,
                                  skive_bench_report *out) {
    const size_t n = skive_graph_input_count(e->graph);
    skive_session_options o = skive_session_options_default();
    skive_session *session = NULL;
    skive_graph *g = NULL;
    skive_tensor *in = calloc(n + 1, sizeof *in);
    o.threads = threads;
    skive_status status = in ? bind(a, e, batch, &g) : SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = cli_random_inputs(a, g, batch, 1, in);
    if (status == SKIVE_OK) status = skive_session_create(a->ctx, g, &o, &session);
    if (status == SKIVE_OK)
        status = skive_bench_session(a->ctx, session, in, n, skive_graph_output_count(g), 20, seconds, out);
    out->throughput *= (double)batch; /* a session counts runs */
    skive_session_free(session);
    skive_graph_free(g);
    for (size_t i = 0; in && i < n; i++) skive_tensor_free(a->ctx, &in[i]);
    free(in);
    return status;
}

static skive_status time_whole(cli_args *a, const compare_entry *e, int64_t batch, int threads, double seconds,
                               skive_bench_report *out) {
    skive_plan_options o = skive_plan_options_default();
    const size_t n = e->eval.n_inputs;
    skive_shape_binding *shapes = calloc(n + 1, sizeof *shapes);
    skive_plan *plan = NULL;
    if (!shapes) return SKIVE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const skive_eval_input *in = &e->eval.inputs[i];
        shapes[i].input = skive_value_name(skive_graph_input(e->graph, i));
        shapes[i].rank = in->rank + 1;
        shapes[i].dims[0] = batch;
        memcpy(shapes[i].dims + 1, in->dims, (size_t)in->rank * sizeof *in->dims);
    }
    o.batch = batch;
    o.shapes = shapes;
    o.n_shapes = n;
    o.threads = threads;
    skive_status status = skive_plan_create(a->ctx, e->graph, &o, &plan);
    if (status == SKIVE_OK) status = skive_bench(a->ctx, plan, batch, 20, seconds, out);
    skive_plan_free(plan);
    free(shapes);
    return status;
}

static skive_status time_one(cli_args *a, compare_entry *e, int64_t batch, int threads, double seconds,
                             skive_bench_report *out) {
    if (!e->in_parts) {
        const skive_status status = time_whole(a, e, batch, threads, seconds, out);
        if (status == SKIVE_OK || !cli_needs_session(a, status)) return status;
        e->in_parts = true;
    }
    return time_in_parts(a, e, batch, threads, seconds, out);
}

/* There must be as many names as models: names and file names would be mixed otherwise. */
static skive_status check_table_names(cli_args *a, size_t n) {
    const char *names = cli_text(a, "names", NULL);
    size_t given = 1;
    for (const char *at = names; at && *at; at++) given += *at == ',';
    if (!names || given == n) return SKIVE_OK;
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--names has %zu name%s for %zu models; separate them with commas", given,
                    given == 1 ? "" : "s", n);
}

/* All files are checked before anything is measured: a wrong name should not cost the time of the others. */
static skive_status load(cli_args *a, compare_entry *e, size_t n) {
    skive_status status = SKIVE_OK;
    skive_graph **graphs = calloc(n, sizeof *graphs);
    if (!graphs) return SKIVE_ERR_MEMORY;
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) {
        e[i].path = a->positional[i];
        name_entry(&e[i], cli_text(a, "names", NULL), i);
        status = cli_load_to_judge(a, e[i].path, &e[i].graph);
        if (status == SKIVE_OK) status = cli_sizes_as_loaded(a, e[i].path, e[i].graph, &e[i].sizes);
        graphs[i] = e[i].graph;
    }
    if (status == SKIVE_OK) status = cli_choose_outputs(a, graphs, n);
    free(graphs);
    return status;
}

static skive_status count(cli_args *a, compare_entry *e) {
    skive_graph *sized = NULL;
    skive_status status = bind(a, e, -1, &sized);
    if (status == SKIVE_OK) status = skive_graph_cost(sized, &e->cost);
    if (status == SKIVE_OK) skive_graph_energy(sized, e->sizes.weights, &e->energy);
    skive_graph_free(sized);
    return status;
}

/* Does a model take images of the same size as another, have the same class names, and no recipe of its samples
 * that differs? */
static bool same_needs(const skive_graph *a, const skive_graph *b) {
    const char *x = skive_graph_meta(a, "skive.classes"), *y = skive_graph_meta(b, "skive.classes");
    int64_t p[3], q[3];
    skive_model_input_image(a, &p[0], &p[1], &p[2]);
    skive_model_input_image(b, &q[0], &q[1], &q[2]);
    for (size_t i = 0; i < CLI_COUNT(cli_recipe_keys); i++) {
        const char *own = skive_graph_meta(a, cli_recipe_keys[i]), *other = skive_graph_meta(b, cli_recipe_keys[i]);
        if (own && (!other || strcmp(own, other) != 0)) return false;
    }
    return memcmp(p, q, sizeof p) == 0 && strcmp(x ? x : "", y ? y : "") == 0;
}

static skive_status measure(cli_args *a, compare_entry *e, skive_dataset *set, double seconds) {
    const skive_type *t = skive_value_type(skive_graph_input(e->graph, 0));
    const int64_t fixed = t->rank > 0 ? t->dims[0].size : -1;
    skive_status status = cli_set_input_where_unsaid(a, e->graph, e->name, set);
    if (status == SKIVE_OK)
        status = skive_evaluate_metrics(a->ctx, e->graph, set, 0, cli_text(a, "metrics", NULL), &e->eval);
    if (status == SKIVE_OK) status = count(a, e);
    e->latency_batch = fixed > 0 ? fixed : 1;
    if (status == SKIVE_OK) status = time_one(a, e, e->latency_batch, 1, seconds, &e->latency);
    if (status == SKIVE_OK) status = time_one(a, e, fixed > 0 ? fixed : THROUGHPUT_BATCH, 0, seconds, &e->throughput);
    return status;
}

/* ---- goals ---- */

typedef struct goals {
    double max_drop, min_speedup; /* NAN: none */
    uint64_t max_bytes;           /* 0: none */
} goals;

static skive_status read_goals(cli_args *a, goals *g) {
    *g = (goals){.max_drop = NAN, .min_speedup = NAN};
    skive_status status = cli_number_in(a, "max-drop", 0, 100, &g->max_drop);
    if (status == SKIVE_OK) status = cli_number_in(a, "min-speedup", 0.001, 1e6, &g->min_speedup);
    if (status == SKIVE_OK) status = cli_size(a, "max-bytes", &g->max_bytes);
    return status;
}

static double latency_of(const compare_entry *e) { return e->latency.p50 / (double)e->latency_batch; }

static skive_status check_drop(cli_args *a, const goals *g, const compare_entry *e) {
    const double drop = -100 * e->paired.difference;
    if (isnan(g->max_drop) || drop <= g->max_drop + 1e-9) return SKIVE_OK; /* figures are counts of samples */
    return cli_fail(a, SKIVE_ERR_GOAL, "goal missed: %s loses %.2f points of accuracy against the first; --max-drop %g",
                    e->name, drop, g->max_drop);
}

static skive_status check_bytes(cli_args *a, const goals *g, const compare_entry *e) {
    char has[32], most[32];
    if (!g->max_bytes || (uint64_t)e->sizes.file <= g->max_bytes) return SKIVE_OK;
    return cli_fail(a, SKIVE_ERR_GOAL, "goal missed: the file of %s has %s (%lld bytes); --max-bytes %s (%llu)",
                    e->name, cli_bytes((double)e->sizes.file, has, sizeof has), (long long)e->sizes.file,
                    cli_bytes((double)g->max_bytes, most, sizeof most), (unsigned long long)g->max_bytes);
}

static skive_status check_speed(cli_args *a, const goals *g, const compare_entry *e, const compare_entry *first) {
    const double speedup = latency_of(first) / latency_of(e);
    if (isnan(g->min_speedup) || speedup >= g->min_speedup) return SKIVE_OK;
    return cli_fail(a, SKIVE_ERR_GOAL, "goal missed: %s is %.2f times as fast as the first; --min-speedup %g", e->name,
                    speedup, g->min_speedup);
}

/* One line for each missed goal. */
static skive_status check_goals(cli_args *a, const goals *g, const compare_entry *e, size_t n) {
    skive_status status = SKIVE_OK;
    for (size_t i = 1; i < n; i++) {
        const skive_status results[] = {check_drop(a, g, &e[i]), check_bytes(a, g, &e[i]),
                                        check_speed(a, g, &e[i], &e[0])};
        for (size_t k = 0; k < CLI_COUNT(results); k++) {
            if (results[k] != SKIVE_OK) status = results[k];
        }
    }
    return status;
}

/* A goal that cannot be checked is refused before the other models are measured. */
static skive_status check_task(cli_args *a, const goals *g, const compare_entry *first) {
    if (isnan(g->max_drop) || first->eval.hit) return SKIVE_OK;
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--max-drop needs accuracies, and %s has none on these targets",
                    first->name);
}

/* ---- JSON ---- */

static void set_number(json_t *j, const char *key, double x) {
    if (isfinite(x)) json_object_set_new(j, key, json_real(x));
}

static json_t *energy_json(const skive_energy *e) {
    json_t *rows = json_array();
    for (int i = 0; i < SKIVE_ENERGY_ROWS; i++) {
        if (e->rows[i].count > 0)
            json_array_append_new(rows, json_pack("{s:s, s:f, s:f}", "what", e->rows[i].what, "count", e->rows[i].count,
                                                  "picojoules_each", e->rows[i].picojoules));
    }
    return json_pack("{s:s, s:f, s:f, s:f, s:o}", "source", "estimate: counts times Horowitz, ISSCC 2014 (45 nm)",
                     "picojoules", e->total, "arithmetic_picojoules", e->arithmetic, "memory_picojoules", e->memory,
                     "rows", rows);
}

static json_t *paired_json(const compare_entry *e) {
    const skive_paired_report *p = &e->paired;
    json_t *j = json_object();
    set_number(j, "difference", p->difference);
    set_number(j, "low", p->low);
    set_number(j, "high", p->high);
    set_number(j, e->eval.hit ? "mcnemar_p" : "p", p->p_value);
    if (e->eval.hit) {
        json_object_set_new(j, "both", json_integer(p->both));
        json_object_set_new(j, "only_first", json_integer(p->only_a));
        json_object_set_new(j, "only_this", json_integer(p->only_b));
        json_object_set_new(j, "neither", json_integer(p->neither));
    }
    if (p->same_class >= 0) json_object_set_new(j, "same_class", json_integer(p->same_class));
    set_number(j, "mean_score_difference", p->mean_score_difference);
    set_number(j, "max_score_difference", p->max_score_difference);
    json_object_set_new(j, "score_samples", json_integer(p->score_samples));
    json_object_set_new(j, "figures", cli_pairs_json(e->pairs, e->n_pairs));
    return j;
}

/* Of several targets, the figures of those behind the first. */
static void add_targets(json_t *j, const compare_entry *e, bool first) {
    const skive_eval_report *r = &e->eval;
    if (r->target) json_object_set_new(j, "target", cli_json_text(r->target));
    if (r->n_more == 0) return;
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_more; i++) {
        const skive_eval_report *one = &r->more[i];
        json_t *row = json_pack("{s:o, s:o}", "target", cli_json_text(one->target ? one->target : ""), "output",
                                cli_output_json(&one->output));
        cli_set_metrics(row, one, set_number);
        json_object_set_new(row, "figures", cli_figures_json(one));
        if (!first && e->more) json_object_set_new(row, "to_first", paired_json(&e->more[i]));
        json_array_append_new(list, row);
    }
    json_object_set_new(j, "other_targets", list);
}

static json_t *entry_json(const compare_entry *e, bool first) {
    const skive_eval_report *r = &e->eval;
    json_t *j = json_pack("{s:o, s:o, s:I, s:o}", "name", cli_json_text(e->name), "file", cli_json_text(e->path), "n",
                          (json_int_t)r->n, "output", cli_output_json(&r->output));
    cli_set_metrics(j, r, set_number);
    if (r->task < SKIVE_TASK_VALUES || r->task == SKIVE_TASK_SEQUENCES || r->task == SKIVE_TASK_PLACES)
        set_number(j, "cross_entropy", r->loss);
    json_object_set_new(j, "parameters", json_integer(e->cost.parameters));
    json_object_set_new(j, "nonzeros", json_integer(e->cost.nonzeros));
    json_object_set_new(j, "macs", json_integer(e->cost.macs));
    cli_set_sizes(j, NULL, &e->sizes);
    json_object_set_new(j, "latency_p50", json_real(e->latency.p50));
    json_object_set_new(j, "latency_p90", json_real(e->latency.p90));
    json_object_set_new(j, "latency_batch", json_integer(e->latency_batch));
    json_object_set_new(j, "samples_per_second", json_real(e->throughput.throughput));
    json_object_set_new(j, "energy_estimate", energy_json(&e->energy));
    json_object_set_new(j, "figures", cli_figures_json(r));
    if (r->confusion && r->f1 && r->recall) json_object_set_new(j, "per_class", compare_classes_json(r));
    if (!first) json_object_set_new(j, "to_first", paired_json(e));
    add_targets(j, e, first);
    return j;
}

static json_t *report_json(const compare_entry *e, size_t n, const skive_dataset_info *info) {
    json_t *models = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(models, entry_json(&e[i], i == 0));
    return json_pack("{s:o, s:b, s:s, s:s, s:o}", "data", cli_json_text(info->spec), "separate_test",
                     info->separate_test, "isa", skive_cpu_isa_name(), "skive", skive_version(), "models", models);
}

/* The same samples for each model, resized if it takes images of another size. */
static skive_status measure_on(cli_args *a, compare_entry *e, const compare_entry *first, const char *data,
                               skive_split split, skive_dataset *set, double seconds) {
    skive_dataset *own = NULL;
    if (same_needs(e->graph, first->graph)) return measure(a, e, set, seconds);
    skive_status status = cli_open_data(a, data, split, e->graph, &own);
    if (status == SKIVE_OK) status = measure(a, e, own, seconds);
    skive_dataset_free(own);
    return status;
}

/* Of several targets, an entry for each behind the first, with the report of that target borrowed. */
static skive_status compare_more(cli_args *a, compare_entry *e, compare_entry *first, size_t resamples) {
    const uint64_t seed = skive_context_seed(a->ctx);
    skive_status status = SKIVE_OK;
    if (e->eval.n_more != first->eval.n_more)
        return cli_fail(a, SKIVE_ERR_DATA, "%s gives %zu targets, but %s %zu", e->name, e->eval.n_more + 1, first->name,
                        first->eval.n_more + 1);
    e->more = e->eval.n_more ? calloc(e->eval.n_more, sizeof *e->more) : NULL;
    if (e->eval.n_more && !e->more) return SKIVE_ERR_MEMORY;
    for (size_t i = 0; i < e->eval.n_more && status == SKIVE_OK; i++) {
        compare_entry *one = &e->more[i];
        status = skive_eval_intervals(a->ctx, &e->eval.more[i], resamples, seed);
        snprintf(one->name, sizeof one->name, "%s", e->name);
        one->graph = e->graph;
        one->eval = e->eval.more[i]; /* borrowed */
        if (status != SKIVE_OK || e == first) continue;
        status = skive_compare_paired(a->ctx, &first->eval.more[i], &e->eval.more[i], &one->paired);
        if (status == SKIVE_OK)
            status = skive_compare_figures(a->ctx, &first->eval.more[i], &e->eval.more[i], resamples, seed, &one->pairs,
                                           &one->n_pairs);
    }
    return status;
}

static skive_status intervals(cli_args *a, compare_entry *e, const compare_entry *first, size_t resamples) {
    const uint64_t seed = skive_context_seed(a->ctx);
    skive_status status = skive_eval_intervals(a->ctx, &e->eval, resamples, seed);
    if (status == SKIVE_OK && first)
        status = skive_compare_figures(a->ctx, &first->eval, &e->eval, resamples, seed, &e->pairs, &e->n_pairs);
    return status;
}

static bool has_answers(const skive_dataset *set) {
    skive_dataset_info info;
    skive_dataset_get_info(set, &info);
    return info.n_targets > 0;
}

static skive_status run(cli_args *a) {
    const char *data = cli_text(a, "data", NULL);
    const size_t n = (size_t)a->n_positional;
    skive_dataset *set = NULL;
    skive_split split = SKIVE_SPLIT_TEST;
    double seconds = 1;
    size_t resamples = 0;
    goals g;
    if (!data) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--data is missing; name the data set to compare on");
    if (cli_has(a, "layers")) return compare_layers(a);
    compare_entry *e = calloc(n, sizeof *e);
    if (!e) return SKIVE_ERR_MEMORY;
    skive_status status = cli_has(a, "report") ? cli_check_output(a, cli_text(a, "report", NULL)) : SKIVE_OK;
    if (status == SKIVE_OK) status = cli_number_in(a, "seconds", 0, 3600, &seconds);
    if (status == SKIVE_OK) status = cli_resamples(a, &resamples);
    if (status == SKIVE_OK) status = read_goals(a, &g);
    if (status == SKIVE_OK) status = check_table_names(a, n);
    if (status == SKIVE_OK) status = cli_split(a, &split);
    if (status == SKIVE_OK) status = load(a, e, n);
    if (status == SKIVE_OK) status = cli_open_data(a, data, split, e[0].graph, &set);
    const bool answers = status == SKIVE_OK && (cli_has(a, "no-labels") || !has_answers(set));
    if (answers) status = compare_answers(a, e, n, data, split);
    for (size_t i = 0; status == SKIVE_OK && !answers && i < n; i++) {
        status = measure_on(a, &e[i], &e[0], data, split, set, seconds);
        if (status == SKIVE_OK && i == 0) status = check_task(a, &g, e);
        if (status == SKIVE_OK && i > 0) status = skive_compare_paired(a->ctx, &e[0].eval, &e[i].eval, &e[i].paired);
        if (status == SKIVE_OK) status = intervals(a, &e[i], i > 0 ? &e[0] : NULL, resamples);
        if (status == SKIVE_OK) status = compare_more(a, &e[i], &e[0], resamples);
    }
    if (status == SKIVE_OK && !answers) {
        skive_dataset_info info;
        skive_dataset_get_info(set, &info);
        json_t *j = report_json(e, n, &info);
        if (cli_has(a, "report")) status = cli_write_json(a, j, cli_text(a, "report", NULL));
        if (a->json)
            cli_print_json(json_incref(j));
        else
            compare_print(e, n, &info);
        json_decref(j);
        fflush(stdout);
        if (status == SKIVE_OK) status = check_goals(a, &g, e, n);
    }
    for (size_t i = 0; i < n; i++) {
        skive_figure_pairs_free(a->ctx, e[i].pairs);
        for (size_t k = 0; e[i].more && k < e[i].eval.n_more; k++) skive_figure_pairs_free(a->ctx, e[i].more[k].pairs);
        free(e[i].more);
        skive_eval_report_free(a->ctx, &e[i].eval);
        skive_graph_free(e[i].graph);
    }
    free(e);
    skive_dataset_free(set);
    return status;
}

const cli_command cli_command_compare = {
    .name = "compare",
    .brief = "compare models with the first one: accuracy, size, speed, energy",
    .positional = "MODEL MODEL ...",
    .min_positional = 2,
    .max_positional = -1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Prints the figures of eval on the test samples (or those of --split) and the difference to the first model on "
        "the\n"
        "same samples: for shares with Newcombe's interval for paired proportions (and McNemar's exact test of the\n"
        "accuracies), for other means with the interval of the mean difference, for the rest by a bootstrap that "
        "draws\n"
        "the same samples for both. Parameters, MACs, bytes of the weights (with the "
        "ratio to the first model's) and of the file;\n"
        "latency at batch 1 on one thread and throughput at batch 100 on all threads; and an estimate, not a\n"
        "measurement, of the energy of one inference (its table is in docs/compare.md).\n\n"
        "With --layers, the values inside two models that have the same name are compared instead: signal to noise "
        "(dB),\n"
        "largest difference and cosine, the nodes that add most error first. \"own\" is what the nodes from the values "
        "before\n"
        "to this one add by themselves: the first model's nodes compute on the second model's values for it. Works "
        "for\n"
        "quantized, pruned, folded and fine-tuned models, as long as they keep the names; what is not compared is "
        "listed.\n"
        "After --equalize, --smooth or awq, whose channels are rescaled under the same names, own figures mislead.\n"
        "--mean, --std, --scale and --layout apply to models whose files do not record their own.\n\n"
        "Of data without labels, or with --no-labels, only the answers are compared with those of the first model.\n\n"
        "With goals, the exit status is 11 if a later model misses one, and a line on standard error says which.",
    .examples = "  skive compare teacher.onnx int8.onnx --data fashion-mnist\n"
                "  skive compare teacher.onnx int8.onnx --data fashion-mnist --max-drop 0.5 --max-bytes 600K\n"
                "  skive compare teacher.onnx int8.onnx --data fashion-mnist --layers",
    .run = run,
};
