/* NULL passed to the public functions: a status and a message that names the function and the argument, or no effect;
 * never a crash. The headers are parsed to check that no pointer argument is forgotten. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/skive.h>

#include "support.h"

#include <cmocka.h>

enum { CALLS_MAX = 1000 };
static const char *calls[CALLS_MAX]; /* "function argument" of those tried */
static size_t n_calls;

/* Arguments that may be NULL, as their headers say. */
static const char *const optional[] = {
    "skive_context_create options",
    "skive_dataset_open options",
    "skive_dataset_read x",
    "skive_dataset_read label",
    "skive_loader_create options",
    "skive_data_sheet options",
    "skive_distill validation",
    "skive_distill options",
    "skive_distill report",
    "skive_distill_mutual validation",
    "skive_distill_mutual options",
    "skive_distill_mutual report",
    "skive_distill_tasks validation",
    "skive_distill_tasks options",
    "skive_distill_tasks report",
    "skive_model_add_exits added",
    "skive_model_start_from copied",
    "skive_plan_create options",
    "skive_exec_set_tap tap",
    "skive_exec_set_tap user",
    "skive_graph_create name",
    "skive_node_subgraph attribute",
    "skive_graph_set_meta value",
    "skive_graph_add_input name",
    "skive_graph_add_input out",
    "skive_graph_add_parameter name",
    "skive_graph_add_parameter out",
    "skive_graph_add_node name",
    "skive_graph_add_node out",
    "skive_model_set_input set",
    "skive_model_set_input options",
    "skive_onnx_load options",
    "skive_onnx_parse base_dir",
    "skive_onnx_parse options",
    "skive_onnx_save options",
    "skive_onnx_serialize options",
    "skive_evaluate_metrics metrics",
    "skive_model_set_output output",
    "skive_model_set_output kind",
    "skive_model_set_lengths name",
    "skive_model_output dataset",
    "skive_options_at ctx",
    "skive_options_bounds ctx",
    "skive_options_choice brief",
    "skive_options_of_choice ctx",
    "skive_pack_save options",
    "skive_pack_save report",
    "skive_pack_serialize options",
    "skive_pack_serialize report",
    "skive_pack_load options",
    "skive_pack_load report",
    "skive_pack_parse options",
    "skive_pack_parse report",
    "skive_prune train",
    "skive_prune validation",
    "skive_prune options",
    "skive_prune report",
    "skive_compare_layers options",
    "skive_quantize_bits test",
    "skive_quantize_bits options",
    "skive_quantize_bits quantized",
    "skive_quantize_bits report",
    "skive_sensitivity calibration",
    "skive_sensitivity options",
    "skive_quantize_aware validation",
    "skive_quantize_aware test",
    "skive_quantize_aware options",
    "skive_quantize_aware report",
    "skive_qat_method_name weights",
    "skive_qat_method_name activations",
    "skive_quantize options",
    "skive_quantize report",
    "skive_quantize_arrays options",
    "skive_quantize_arrays report",
    "skive_predict user",
    "skive_quantize_feed user",
    "skive_quantize_feed options",
    "skive_quantize_feed report",
    "skive_quantize_weights options",
    "skive_quantize_weights report",
    "skive_quantize_data_free options",
    "skive_quantize_data_free report",
    "skive_quantize_dynamic options",
    "skive_quantize_dynamic report",
    "skive_quantize_within test",
    "skive_quantize_within options",
    "skive_quantize_within report",
    "skive_quantize_within control",
    "skive_session_create options",
    "skive_factorize train",
    "skive_factorize validation",
    "skive_factorize options",
    "skive_factorize report",
    "skive_share train",
    "skive_share validation",
    "skive_share options",
    "skive_share report",
    "skive_simplify options",
    "skive_simplify report",
    "skive_train validation",
    "skive_train options",
    "skive_train report",
    "skive_allocate report",
    "skive_costs_open path",
    "skive_kernels_tune plan",
    "skive_kernels_tune options",
    "skive_kernels_tune report",
    "skive_context_use_choices choices",
    "skive_costs_of_graph options",
    "skive_costs_of_widths options",
    "skive_pack_choose options",
    "skive_train_scope_of options",
    "skive_control_drop user",
    "skive_zoo_build options",
    "skive_build_node name",
    "skive_build_node outputs",
    "skive_build_parameter name",
};

typedef struct fixture {
    skive_context *ctx;
    skive_graph *g;
    skive_value *v;
    skive_node *n;
    skive_dataset *ds;
    skive_loader *loader;
    skive_plan *plan;
    skive_exec *exec;
    skive_session *session;
    skive_tensor t;
    skive_normalization norm;
} fixture;

static alignas(64) unsigned char room[65536]; /* for whatever a function would write */
static void *const out = room;
static const int64_t dims[SKIVE_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
static const char *const names[] = {"x"};

static bool equal(const char *a, const char *b) { return strcmp(a, b) == 0; }

static skive_status no_outputs(void *user, const size_t *indices, size_t count, const skive_tensor *outputs, size_t n) {
    (void)user, (void)indices, (void)count, (void)outputs, (void)n;
    return SKIVE_OK;
}

static skive_status feed(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    (void)user, (void)index, (void)inputs, (void)n_inputs;
    return SKIVE_ERR_NOT_FOUND;
}

static void note_call(const char *call) {
    assert_true(n_calls < CALLS_MAX);
    calls[n_calls++] = call;
    memset(room, 0, sizeof room);
}

static void check_message(skive_context *ctx, const char *function, const char *argument) {
    char wanted[256];
    (void)snprintf(wanted, sizeof wanted, "%s: the argument '%s' is NULL", function, argument);
    assert_string_equal(skive_context_message(ctx), wanted);
}

/* A status and a message. */
#define REFUSED(function, argument, call)             \
    do {                                              \
        note_call(#function " " #argument);           \
        skive_context_clear(f->ctx);                  \
        assert_int_equal((call), SKIVE_ERR_ARGUMENT); \
        check_message(f->ctx, #function, #argument);  \
    } while (0)
/* A status only: what is NULL would have led to the context. */
#define SILENT(function, argument, call)              \
    do {                                              \
        note_call(#function " " #argument);           \
        assert_int_equal((call), SKIVE_ERR_ARGUMENT); \
    } while (0)
#define GIVES(function, argument, condition) \
    do {                                     \
        note_call(#function " " #argument);  \
        assert_true(condition);              \
    } while (0)
#define IGNORED(function, argument, call)   \
    do {                                    \
        note_call(#function " " #argument); \
        call;                               \
    } while (0)

static void autodiff_cases(fixture *f) {
    SILENT(skive_autodiff, graph, skive_autodiff(NULL, f->v, &f->v, 1, out));
    REFUSED(skive_autodiff, loss, skive_autodiff(f->g, NULL, &f->v, 1, out));
    REFUSED(skive_autodiff, wrt, skive_autodiff(f->g, f->v, NULL, 1, out));
    REFUSED(skive_autodiff, gradients, skive_autodiff(f->g, f->v, &f->v, 1, NULL));
}

static void context_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_context_create, out, skive_context_create(NULL, NULL));
    IGNORED(skive_context_free, ctx, skive_context_free(NULL));
    GIVES(skive_context_message, ctx, equal(skive_context_message(NULL), ""));
    GIVES(skive_context_subject, ctx, equal(skive_context_subject(NULL), ""));
    IGNORED(skive_context_clear, ctx, skive_context_clear(NULL));
    GIVES(skive_optimizer_rate, optimizer, skive_optimizer_rate(NULL) > 0);
    GIVES(skive_context_note_count, ctx, !skive_context_note_count(NULL));
    GIVES(skive_context_note, ctx, equal(skive_context_note(NULL, 0), ""));
    IGNORED(skive_context_clear_notes, ctx, skive_context_clear_notes(NULL));
    GIVES(skive_context_threads, ctx, skive_context_threads(NULL) == 1);
    SILENT(skive_context_set_threads, ctx, skive_context_set_threads(NULL, 0));
    GIVES(skive_context_seed, ctx, !skive_context_seed(NULL));
    IGNORED(skive_context_set_seed, ctx, skive_context_set_seed(NULL, 0));
    GIVES(skive_nearest_name, given, !skive_nearest_name(NULL, names, 1));
    GIVES(skive_nearest_name, names, !skive_nearest_name("x", NULL, 1));
    SILENT(skive_file_write, ctx, skive_file_write(NULL, "x", "x", 1));
    REFUSED(skive_file_write, path, skive_file_write(c, NULL, "x", 1));
    REFUSED(skive_file_write, bytes, skive_file_write(c, "x", NULL, 1));
}

static void data_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_dataset_open, ctx, skive_dataset_open(NULL, "x", NULL, out));
    REFUSED(skive_dataset_open, spec, skive_dataset_open(c, NULL, NULL, out));
    REFUSED(skive_dataset_open, out, skive_dataset_open(c, "x", NULL, NULL));
    IGNORED(skive_dataset_free, dataset, skive_dataset_free(NULL));
    IGNORED(skive_dataset_get_info, dataset, skive_dataset_get_info(NULL, out));
    IGNORED(skive_dataset_get_info, out, skive_dataset_get_info(f->ds, NULL));
    SILENT(skive_dataset_read, ctx, skive_dataset_read(NULL, f->ds, 0, NULL, NULL));
    REFUSED(skive_dataset_read, dataset, skive_dataset_read(c, NULL, 0, NULL, NULL));
    SILENT(skive_model_features_in_graph, ctx, skive_model_features_in_graph(NULL, f->g));
    REFUSED(skive_model_features_in_graph, graph, skive_model_features_in_graph(c, NULL));
    SILENT(skive_dataset_read_labels, ctx, skive_dataset_read_labels(NULL, f->ds, 0, out));
    REFUSED(skive_dataset_read_labels, dataset, skive_dataset_read_labels(c, NULL, 0, out));
    REFUSED(skive_dataset_read_labels, labels, skive_dataset_read_labels(c, f->ds, 0, NULL));
    SILENT(skive_dataset_read_target, ctx, skive_dataset_read_target(NULL, f->ds, 0, out));
    REFUSED(skive_dataset_read_target, dataset, skive_dataset_read_target(c, NULL, 0, out));
    REFUSED(skive_dataset_read_target, y, skive_dataset_read_target(c, f->ds, 0, NULL));
    GIVES(skive_dataset_value_name, dataset, skive_dataset_value_name(NULL, 0) == NULL);
    GIVES(skive_dataset_origin, dataset, skive_dataset_origin(NULL, 0) == SIZE_MAX);
    GIVES(skive_dataset_get_input, dataset, skive_dataset_get_input(NULL, 0) == NULL);
    GIVES(skive_dataset_get_target, dataset, skive_dataset_get_target(NULL, 0) == NULL);
    IGNORED(skive_normalization_free, ctx, skive_normalization_free(NULL, out));
    IGNORED(skive_normalization_free, normalization, skive_normalization_free(c, NULL));
    SILENT(skive_dataset_statistics, ctx, skive_dataset_statistics(NULL, f->ds, out));
    REFUSED(skive_dataset_statistics, dataset, skive_dataset_statistics(c, NULL, out));
    REFUSED(skive_dataset_statistics, out, skive_dataset_statistics(c, f->ds, NULL));
    const skive_dataset *sets[1] = {f->ds};
    SILENT(skive_data_summarize, ctx, skive_data_summarize(NULL, sets, 1, out));
    REFUSED(skive_data_summarize, splits, skive_data_summarize(c, NULL, 1, out));
    REFUSED(skive_data_summarize, out, skive_data_summarize(c, sets, 1, NULL));
    IGNORED(skive_data_summary_free, ctx, skive_data_summary_free(NULL, &(skive_data_summary){0}));
    IGNORED(skive_data_summary_free, summary, skive_data_summary_free(c, NULL));
    SILENT(skive_data_sheet, ctx, skive_data_sheet(NULL, f->ds, NULL, "sheet.png"));
    REFUSED(skive_data_sheet, dataset, skive_data_sheet(c, NULL, NULL, "sheet.png"));
    REFUSED(skive_data_sheet, path, skive_data_sheet(c, f->ds, NULL, NULL));
    SILENT(skive_normalization_format, ctx, skive_normalization_format(NULL, &f->norm, out, 1));
    REFUSED(skive_normalization_format, normalization, skive_normalization_format(c, NULL, out, 1));
    REFUSED(skive_normalization_format, buffer, skive_normalization_format(c, &f->norm, NULL, 1));
    SILENT(skive_normalization_parse, ctx, skive_normalization_parse(NULL, "x", out));
    REFUSED(skive_normalization_parse, text, skive_normalization_parse(c, NULL, out));
    REFUSED(skive_normalization_parse, out, skive_normalization_parse(c, "x", NULL));
    IGNORED(skive_normalization_apply, normalization, skive_normalization_apply(NULL, out, 1, 0, 0));
    IGNORED(skive_normalization_apply, x, skive_normalization_apply(&f->norm, NULL, 1, 0, 0));
    SILENT(skive_loader_create, ctx, skive_loader_create(NULL, f->ds, NULL, out));
    REFUSED(skive_loader_create, dataset, skive_loader_create(c, NULL, NULL, out));
    REFUSED(skive_loader_create, out, skive_loader_create(c, f->ds, NULL, NULL));
    IGNORED(skive_loader_free, loader, skive_loader_free(NULL));
    GIVES(skive_loader_batches, loader, !skive_loader_batches(NULL));
    SILENT(skive_loader_start_epoch, loader, skive_loader_start_epoch(NULL, 0));
    SILENT(skive_loader_next, loader, skive_loader_next(NULL, out));
    REFUSED(skive_loader_next, out, skive_loader_next(f->loader, NULL));
}

static void distill_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_distill, ctx, skive_distill(NULL, f->g, f->g, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill, student, skive_distill(c, NULL, f->g, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill, teacher, skive_distill(c, f->g, NULL, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill, train, skive_distill(c, f->g, f->g, NULL, NULL, NULL, NULL));
    const skive_graph *members[1] = {f->g};
    skive_graph *made = NULL;
    SILENT(skive_model_ensemble, ctx, skive_model_ensemble(NULL, members, 1, f->ds, &made));
    REFUSED(skive_model_ensemble, members, skive_model_ensemble(c, NULL, 1, f->ds, &made));
    REFUSED(skive_model_ensemble, set, skive_model_ensemble(c, members, 1, NULL, &made));
    REFUSED(skive_model_ensemble, out, skive_model_ensemble(c, members, 1, f->ds, NULL));
    skive_graph *students[2] = {f->g, f->g};
    SILENT(skive_distill_mutual, ctx, skive_distill_mutual(NULL, students, 2, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill_mutual, students, skive_distill_mutual(c, NULL, 2, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill_mutual, train, skive_distill_mutual(c, students, 2, NULL, NULL, NULL, NULL));
    const char *const tasks[2] = {"a", "b"};
    SILENT(skive_distill_tasks, ctx, skive_distill_tasks(NULL, students, tasks, 2, f->g, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill_tasks, students, skive_distill_tasks(c, NULL, tasks, 2, f->g, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill_tasks, tasks, skive_distill_tasks(c, students, NULL, 2, f->g, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill_tasks, teacher, skive_distill_tasks(c, students, tasks, 2, NULL, f->ds, NULL, NULL, NULL));
    REFUSED(skive_distill_tasks, train, skive_distill_tasks(c, students, tasks, 2, f->g, NULL, NULL, NULL, NULL));
    SILENT(skive_model_add_exits, graph, skive_model_add_exits(NULL, f->ds, "auto", NULL));
    REFUSED(skive_model_add_exits, set, skive_model_add_exits(f->g, NULL, "auto", NULL));
    REFUSED(skive_model_add_exits, where, skive_model_add_exits(f->g, f->ds, NULL, NULL));
    skive_exits_report exits;
    SILENT(skive_exits_measure, ctx, skive_exits_measure(NULL, f->g, f->ds, &exits));
    REFUSED(skive_exits_measure, graph, skive_exits_measure(c, NULL, f->ds, &exits));
    REFUSED(skive_exits_measure, set, skive_exits_measure(c, f->g, NULL, &exits));
    REFUSED(skive_exits_measure, out, skive_exits_measure(c, f->g, f->ds, NULL));
    IGNORED(skive_exits_report_free, ctx, skive_exits_report_free(NULL, NULL));
    IGNORED(skive_exits_report_free, report, skive_exits_report_free(c, NULL));
    SILENT(skive_model_start_from, student, skive_model_start_from(NULL, f->g, NULL));
    REFUSED(skive_model_start_from, teacher, skive_model_start_from(f->g, NULL, NULL));
    skive_distill_options o = skive_distill_options_default();
    o.n_more_teachers = 1;
    assert_int_equal(skive_distill(c, f->g, f->g, f->ds, NULL, &o, NULL), SKIVE_ERR_ARGUMENT);
}

static void energy_cases(fixture *f) {
    IGNORED(skive_graph_energy, graph, skive_graph_energy(NULL, 0, out));
    IGNORED(skive_graph_energy, out, skive_graph_energy(f->g, 0, NULL));
}

static void eval_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_evaluate, ctx, skive_evaluate(NULL, f->g, f->ds, 1, out));
    REFUSED(skive_evaluate, graph, skive_evaluate(c, NULL, f->ds, 1, out));
    REFUSED(skive_evaluate, dataset, skive_evaluate(c, f->g, NULL, 1, out));
    REFUSED(skive_evaluate, out, skive_evaluate(c, f->g, f->ds, 1, NULL));
    SILENT(skive_evaluate_metrics, ctx, skive_evaluate_metrics(NULL, f->g, f->ds, 1, NULL, out));
    REFUSED(skive_evaluate_metrics, graph, skive_evaluate_metrics(c, NULL, f->ds, 1, NULL, out));
    REFUSED(skive_evaluate_metrics, dataset, skive_evaluate_metrics(c, f->g, NULL, 1, NULL, out));
    REFUSED(skive_evaluate_metrics, out, skive_evaluate_metrics(c, f->g, f->ds, 1, NULL, NULL));
    IGNORED(skive_eval_report_free, ctx, skive_eval_report_free(NULL, out));
    IGNORED(skive_eval_report_free, report, skive_eval_report_free(c, NULL));
    SILENT(skive_compare_paired, ctx, skive_compare_paired(NULL, out, out, out));
    REFUSED(skive_compare_paired, a, skive_compare_paired(c, NULL, out, out));
    REFUSED(skive_compare_paired, b, skive_compare_paired(c, out, NULL, out));
    REFUSED(skive_compare_paired, out, skive_compare_paired(c, out, out, NULL));
    SILENT(skive_eval_intervals, ctx, skive_eval_intervals(NULL, out, 1, 1));
    REFUSED(skive_eval_intervals, report, skive_eval_intervals(c, NULL, 1, 1));
    SILENT(skive_compare_figures, ctx, skive_compare_figures(NULL, out, out, 1, 1, out, out));
    REFUSED(skive_compare_figures, a, skive_compare_figures(c, NULL, out, 1, 1, out, out));
    REFUSED(skive_compare_figures, b, skive_compare_figures(c, out, NULL, 1, 1, out, out));
    REFUSED(skive_compare_figures, out, skive_compare_figures(c, out, out, 1, 1, NULL, out));
    REFUSED(skive_compare_figures, n_out, skive_compare_figures(c, out, out, 1, 1, out, NULL));
    IGNORED(skive_figure_pairs_free, ctx, skive_figure_pairs_free(NULL, NULL));
    IGNORED(skive_figure_pairs_free, pairs, skive_figure_pairs_free(c, NULL));
    SILENT(skive_bench, ctx, skive_bench(NULL, f->plan, 1, 0, 0, out));
    REFUSED(skive_bench, plan, skive_bench(c, NULL, 1, 0, 0, out));
    REFUSED(skive_bench, out, skive_bench(c, f->plan, 1, 0, 0, NULL));
    SILENT(skive_bench_session, ctx, skive_bench_session(NULL, f->session, &f->t, 1, 1, 0, 0, out));
    REFUSED(skive_bench_session, session, skive_bench_session(c, NULL, &f->t, 1, 1, 0, 0, out));
    REFUSED(skive_bench_session, inputs, skive_bench_session(c, f->session, NULL, 1, 1, 0, 0, out));
    REFUSED(skive_bench_session, out, skive_bench_session(c, f->session, &f->t, 1, 1, 0, 0, NULL));
}

static void exec_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_plan_create, ctx, skive_plan_create(NULL, f->g, NULL, out));
    REFUSED(skive_plan_create, graph, skive_plan_create(c, NULL, NULL, out));
    REFUSED(skive_plan_create, out, skive_plan_create(c, f->g, NULL, NULL));
    IGNORED(skive_plan_free, plan, skive_plan_free(NULL));
    GIVES(skive_plan_input_count, plan, !skive_plan_input_count(NULL));
    GIVES(skive_plan_output_count, plan, !skive_plan_output_count(NULL));
    GIVES(skive_plan_input_name, plan, equal(skive_plan_input_name(NULL, 0), ""));
    GIVES(skive_plan_output_name, plan, equal(skive_plan_output_name(NULL, 0), ""));
    GIVES(skive_plan_recomputation, plan, skive_plan_recomputation(NULL).segments == 0);
    GIVES(skive_plan_arena_bytes, plan, !skive_plan_arena_bytes(NULL));
    GIVES(skive_plan_packed_bytes, plan, !skive_plan_packed_bytes(NULL));
    GIVES(skive_plan_step_count, plan, !skive_plan_step_count(NULL));
    IGNORED(skive_plan_step_get, plan, skive_plan_step_get(NULL, 0, out));
    IGNORED(skive_plan_step_get, out, skive_plan_step_get(f->plan, 0, NULL));
    SILENT(skive_exec_create, ctx, skive_exec_create(NULL, f->plan, out));
    REFUSED(skive_exec_create, plan, skive_exec_create(c, NULL, out));
    REFUSED(skive_exec_create, out, skive_exec_create(c, f->plan, NULL));
    IGNORED(skive_exec_free, exec, skive_exec_free(NULL));
    SILENT(skive_exec_input, exec, skive_exec_input(NULL, 0, out));
    REFUSED(skive_exec_input, view, skive_exec_input(f->exec, 0, NULL));
    SILENT(skive_exec_output, exec, skive_exec_output(NULL, 0, out));
    REFUSED(skive_exec_output, view, skive_exec_output(f->exec, 0, NULL));
    SILENT(skive_exec_run, exec, skive_exec_run(NULL));
    IGNORED(skive_exec_set_tap, exec, skive_exec_set_tap(NULL, NULL, NULL));
    SILENT(skive_exec_profile, exec, skive_exec_profile(NULL, true));
    GIVES(skive_exec_profile_seconds, exec, !skive_exec_profile_seconds(NULL, out));
    GIVES(skive_exec_profile_seconds, runs, !skive_exec_profile_seconds(f->exec, NULL));
    SILENT(skive_graph_run, ctx, skive_graph_run(NULL, f->g, &f->t, 1, out, 1));
    REFUSED(skive_graph_run, graph, skive_graph_run(c, NULL, &f->t, 1, out, 1));
    REFUSED(skive_graph_run, inputs, skive_graph_run(c, f->g, NULL, 1, out, 1));
    REFUSED(skive_graph_run, outputs, skive_graph_run(c, f->g, &f->t, 1, NULL, 1));
}

static void graph_cases(fixture *f) {
    skive_context *c = f->ctx;
    GIVES(skive_type_make, dims, skive_type_make(0, 1, NULL).dims[0].size == -1);
    SILENT(skive_graph_create, ctx, skive_graph_create(NULL, NULL, out));
    REFUSED(skive_graph_create, out, skive_graph_create(c, NULL, NULL));
    IGNORED(skive_graph_free, graph, skive_graph_free(NULL));
    SILENT(skive_graph_copy, ctx, skive_graph_copy(NULL, f->g, out));
    REFUSED(skive_graph_copy, graph, skive_graph_copy(c, NULL, out));
    REFUSED(skive_graph_copy, out, skive_graph_copy(c, f->g, NULL));
    IGNORED(skive_graph_take, graph, skive_graph_take(NULL, f->g));
    IGNORED(skive_graph_take, other, skive_graph_take(f->g, NULL));
    GIVES(skive_graph_name, graph, !skive_graph_name(NULL));
    GIVES(skive_graph_external_bytes, graph, !skive_graph_external_bytes(NULL));
    GIVES(skive_graph_node_count, graph, !skive_graph_node_count(NULL));
    GIVES(skive_graph_node, graph, !skive_graph_node(NULL, 0));
    GIVES(skive_graph_value_count, graph, !skive_graph_value_count(NULL));
    GIVES(skive_graph_value, graph, !skive_graph_value(NULL, 0));
    GIVES(skive_graph_input_count, graph, !skive_graph_input_count(NULL));
    GIVES(skive_graph_input, graph, !skive_graph_input(NULL, 0));
    GIVES(skive_graph_output_count, graph, !skive_graph_output_count(NULL));
    GIVES(skive_graph_output, graph, !skive_graph_output(NULL, 0));
    GIVES(skive_graph_find_value, graph, !skive_graph_find_value(NULL, "x"));
    GIVES(skive_graph_find_value, name, !skive_graph_find_value(f->g, NULL));
    GIVES(skive_graph_find_node, graph, !skive_graph_find_node(NULL, "x"));
    GIVES(skive_graph_find_node, name, !skive_graph_find_node(f->g, NULL));
    GIVES(skive_value_name, value, !skive_value_name(NULL));
    GIVES(skive_value_type, value, !skive_value_type(NULL));
    GIVES(skive_value_producer, value, !skive_value_producer(NULL));
    GIVES(skive_value_data, value, !skive_value_data(NULL));
    GIVES(skive_value_is_trainable, value, !skive_value_is_trainable(NULL));
    SILENT(skive_value_set_trainable, value, skive_value_set_trainable(NULL, false));
    GIVES(skive_node_name, node, !skive_node_name(NULL));
    GIVES(skive_node_op, node, !skive_node_op(NULL));
    GIVES(skive_node_domain, node, !skive_node_domain(NULL));
    GIVES(skive_node_input_count, node, !skive_node_input_count(NULL));
    GIVES(skive_node_input, node, !skive_node_input(NULL, 0));
    GIVES(skive_node_output_count, node, !skive_node_output_count(NULL));
    GIVES(skive_node_output, node, !skive_node_output(NULL, 0));
    GIVES(skive_node_subgraph_count, node, !skive_node_subgraph_count(NULL));
    GIVES(skive_node_subgraph, node, !skive_node_subgraph(NULL, 0, NULL));
    GIVES(skive_graph_meta, graph, !skive_graph_meta(NULL, "x"));
    GIVES(skive_graph_meta, key, !skive_graph_meta(f->g, NULL));
    SILENT(skive_graph_set_meta, graph, skive_graph_set_meta(NULL, "x", NULL));
    REFUSED(skive_graph_set_meta, key, skive_graph_set_meta(f->g, NULL, NULL));
    SILENT(skive_graph_add_input, graph, skive_graph_add_input(NULL, NULL, skive_value_type(f->v), NULL));
    REFUSED(skive_graph_add_input, type, skive_graph_add_input(f->g, NULL, NULL, NULL));
    SILENT(skive_graph_add_parameter, graph, skive_graph_add_parameter(NULL, NULL, &f->t, NULL));
    REFUSED(skive_graph_add_parameter, tensor, skive_graph_add_parameter(f->g, NULL, NULL, NULL));
    SILENT(skive_graph_add_output, graph, skive_graph_add_output(NULL, f->v));
    REFUSED(skive_graph_add_output, value, skive_graph_add_output(f->g, NULL));
    SILENT(skive_graph_add_node, graph, skive_graph_add_node(NULL, "x", NULL, &f->v, 1, 1, NULL));
    REFUSED(skive_graph_add_node, op, skive_graph_add_node(f->g, NULL, NULL, &f->v, 1, 1, NULL));
    REFUSED(skive_graph_add_node, inputs, skive_graph_add_node(f->g, "x", NULL, NULL, 1, 1, NULL));
    SILENT(skive_node_set_int, node, skive_node_set_int(NULL, "x", 0));
    REFUSED(skive_node_set_int, attribute, skive_node_set_int(f->n, NULL, 0));
    SILENT(skive_node_set_float, node, skive_node_set_float(NULL, "x", 0));
    REFUSED(skive_node_set_float, attribute, skive_node_set_float(f->n, NULL, 0));
    SILENT(skive_node_set_string, node, skive_node_set_string(NULL, "x", "x"));
    REFUSED(skive_node_set_string, attribute, skive_node_set_string(f->n, NULL, "x"));
    REFUSED(skive_node_set_string, value, skive_node_set_string(f->n, "x", NULL));
    SILENT(skive_node_set_ints, node, skive_node_set_ints(NULL, "x", dims, 1));
    REFUSED(skive_node_set_ints, attribute, skive_node_set_ints(f->n, NULL, dims, 1));
    REFUSED(skive_node_set_ints, values, skive_node_set_ints(f->n, "x", NULL, 1));
    SILENT(skive_value_set_data, value, skive_value_set_data(NULL, &f->t));
    REFUSED(skive_value_set_data, tensor, skive_value_set_data(f->v, NULL));
    SILENT(skive_graph_infer, graph, skive_graph_infer(NULL));
    SILENT(skive_graph_bind_input, graph, skive_graph_bind_input(NULL, "x", 1, dims));
    REFUSED(skive_graph_bind_input, input, skive_graph_bind_input(f->g, NULL, 1, dims));
    REFUSED(skive_graph_bind_input, dims, skive_graph_bind_input(f->g, "x", 1, NULL));
    SILENT(skive_graph_check, graph, skive_graph_check(NULL));
    SILENT(skive_graph_unsupported, graph, skive_graph_unsupported(NULL, out));
    REFUSED(skive_graph_unsupported, out, skive_graph_unsupported(f->g, NULL));
    SILENT(skive_graph_print, graph, skive_graph_print(NULL, out));
    REFUSED(skive_graph_print, out, skive_graph_print(f->g, NULL));
    IGNORED(skive_string_free, ctx, skive_string_free(NULL, out));
    IGNORED(skive_string_free, text, skive_string_free(c, NULL));
    GIVES(skive_graph_in_training_mode, graph, !skive_graph_in_training_mode(NULL));
    SILENT(skive_graph_to_inference, graph, skive_graph_to_inference(NULL));
    SILENT(skive_graph_to_float32, graph, skive_graph_to_float32(NULL));
    SILENT(skive_graph_to_float32, graph, skive_graph_to_float32(NULL));
    SILENT(skive_node_cost, node, skive_node_cost(NULL, out));
    REFUSED(skive_node_cost, out, skive_node_cost(f->n, NULL));
    SILENT(skive_graph_cost, graph, skive_graph_cost(NULL, out));
    REFUSED(skive_graph_cost, out, skive_graph_cost(f->g, NULL));
    SILENT(skive_coupling_create, graph, skive_coupling_create(NULL, out));
    REFUSED(skive_coupling_create, out, skive_coupling_create(f->g, NULL));
    IGNORED(skive_coupling_free, coupling, skive_coupling_free(NULL));
    GIVES(skive_coupling_count, coupling, !skive_coupling_count(NULL));
    IGNORED(skive_coupling_get, coupling, skive_coupling_get(NULL, 0, out, out, out));
    IGNORED(skive_coupling_get, slices, skive_coupling_get(out, 0, NULL, out, out));
    IGNORED(skive_coupling_get, n_slices, skive_coupling_get(out, 0, out, NULL, out));
    IGNORED(skive_coupling_get, family, skive_coupling_get(out, 0, out, out, NULL));
    GIVES(skive_coupling_mixes, coupling, !skive_coupling_mixes(NULL, 0));
    GIVES(skive_coupling_fixed_by, coupling, !skive_coupling_fixed_by(NULL, f->v, 0, 0));
    GIVES(skive_coupling_fixed_by, value, !skive_coupling_fixed_by(out, NULL, 0, 0));
    GIVES(skive_coupling_layer_count, coupling, !skive_coupling_layer_count(NULL));
    GIVES(skive_coupling_layer_get, coupling, !skive_coupling_layer_get(NULL, 0, out));
    GIVES(skive_coupling_layer_get, out, !skive_coupling_layer_get(out, 0, NULL));
    SILENT(skive_graph_untie_constants, graph, skive_graph_untie_constants(NULL));
    SILENT(skive_graph_remove_channels, graph, skive_graph_remove_channels(NULL, out, (const size_t[]){0}, 1));
    REFUSED(skive_graph_remove_channels, coupling, skive_graph_remove_channels(f->g, NULL, (const size_t[]){0}, 1));
    REFUSED(skive_graph_remove_channels, channels, skive_graph_remove_channels(f->g, out, NULL, 1));
    GIVES(skive_coupling_why_fixed, coupling, strstr(skive_coupling_why_fixed(NULL, f->v, 0, 0), "no such value"));
    GIVES(skive_coupling_why_fixed, value, strstr(skive_coupling_why_fixed(out, NULL, 0, 0), "no such value"));
}

static void input_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_model_set_input, ctx, skive_model_set_input(NULL, f->g, NULL, NULL));
    REFUSED(skive_model_set_input, graph, skive_model_set_input(c, NULL, NULL, NULL));
    SILENT(skive_model_recipe_text, ctx, skive_model_recipe_text(NULL, f->g, 0, out));
    REFUSED(skive_model_recipe_text, graph, skive_model_recipe_text(c, NULL, 0, out));
    REFUSED(skive_model_recipe_text, input, skive_model_recipe_text(c, f->g, 99, out));
    REFUSED(skive_model_recipe_text, out, skive_model_recipe_text(c, f->g, 0, NULL));
    SILENT(skive_model_input_text, ctx, skive_model_input_text(NULL, f->g, f->ds, out));
    REFUSED(skive_model_input_text, graph, skive_model_input_text(c, NULL, f->ds, out));
    REFUSED(skive_model_input_text, set, skive_model_input_text(c, f->g, NULL, out));
    REFUSED(skive_model_input_text, out, skive_model_input_text(c, f->g, f->ds, NULL));
    IGNORED(skive_model_input_image, graph, skive_model_input_image(NULL, out, out, out));
    IGNORED(skive_model_input_image, channels, skive_model_input_image(f->g, NULL, out, out));
    IGNORED(skive_model_input_image, height, skive_model_input_image(f->g, out, NULL, out));
    IGNORED(skive_model_input_image, width, skive_model_input_image(f->g, out, out, NULL));
    SILENT(skive_model_set_normalization, graph, skive_model_set_normalization(NULL, &f->norm));
    REFUSED(skive_model_set_normalization, normalization, skive_model_set_normalization(f->g, NULL));
    SILENT(skive_model_normalization, graph, skive_model_normalization(NULL, out));
    REFUSED(skive_model_normalization, out, skive_model_normalization(f->g, NULL));
}

static void memory_cases(fixture *f) {
    (void)f;
    SILENT(skive_context_set_memory_limit, ctx, skive_context_set_memory_limit(NULL, 0));
    GIVES(skive_context_memory_limit, ctx, !skive_context_memory_limit(NULL));
    GIVES(skive_context_memory_used, ctx, !skive_context_memory_used(NULL));
}

static void onnx_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_onnx_load, ctx, skive_onnx_load(NULL, "x", NULL, out));
    REFUSED(skive_onnx_load, path, skive_onnx_load(c, NULL, NULL, out));
    REFUSED(skive_onnx_load, out, skive_onnx_load(c, "x", NULL, NULL));
    SILENT(skive_onnx_parse, ctx, skive_onnx_parse(NULL, "x", 1, NULL, NULL, out));
    REFUSED(skive_onnx_parse, bytes, skive_onnx_parse(c, NULL, 1, NULL, NULL, out));
    REFUSED(skive_onnx_parse, out, skive_onnx_parse(c, "x", 1, NULL, NULL, NULL));
    SILENT(skive_onnx_load_tensor, ctx, skive_onnx_load_tensor(NULL, "x", out));
    REFUSED(skive_onnx_load_tensor, path, skive_onnx_load_tensor(c, NULL, out));
    REFUSED(skive_onnx_load_tensor, out, skive_onnx_load_tensor(c, "x", NULL));
    SILENT(skive_onnx_save, ctx, skive_onnx_save(NULL, f->g, "x", NULL));
    REFUSED(skive_onnx_save, graph, skive_onnx_save(c, NULL, "x", NULL));
    REFUSED(skive_onnx_save, path, skive_onnx_save(c, f->g, NULL, NULL));
    SILENT(skive_onnx_serialize, ctx, skive_onnx_serialize(NULL, f->g, NULL, out, out));
    REFUSED(skive_onnx_serialize, graph, skive_onnx_serialize(c, NULL, NULL, out, out));
    REFUSED(skive_onnx_serialize, out, skive_onnx_serialize(c, f->g, NULL, NULL, out));
    REFUSED(skive_onnx_serialize, out_size, skive_onnx_serialize(c, f->g, NULL, out, NULL));
    IGNORED(skive_onnx_free_bytes, ctx, skive_onnx_free_bytes(NULL, out));
    IGNORED(skive_onnx_free_bytes, bytes, skive_onnx_free_bytes(c, NULL));
}

static void output_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_model_set_output, graph, skive_model_set_output(NULL, NULL, NULL));
    SILENT(skive_model_set_lengths, graph, skive_model_set_lengths(NULL, NULL, 1));
    SILENT(skive_model_output, graph, skive_model_output(NULL, NULL, out));
    REFUSED(skive_model_output, out, skive_model_output(f->g, NULL, NULL));
    SILENT(skive_model_set_class_names, graph, skive_model_set_class_names(NULL, names, 1));
    REFUSED(skive_model_set_class_names, names, skive_model_set_class_names(f->g, NULL, 1));
    SILENT(skive_model_class_names, ctx, skive_model_class_names(NULL, f->g, out, out));
    REFUSED(skive_model_class_names, graph, skive_model_class_names(c, NULL, out, out));
    REFUSED(skive_model_class_names, names, skive_model_class_names(c, f->g, NULL, out));
    REFUSED(skive_model_class_names, n, skive_model_class_names(c, f->g, out, NULL));
    IGNORED(skive_class_names_free, ctx, skive_class_names_free(NULL, out, 1));
    IGNORED(skive_class_names_free, names, skive_class_names_free(c, NULL, 1));
}

static void pack_cases(fixture *f) {
    skive_context *c = f->ctx;
    IGNORED(skive_pack_report_free, ctx, skive_pack_report_free(NULL, out));
    IGNORED(skive_pack_report_free, report, skive_pack_report_free(c, NULL));
    SILENT(skive_pack_save, ctx, skive_pack_save(NULL, f->g, "x", NULL, NULL));
    REFUSED(skive_pack_save, graph, skive_pack_save(c, NULL, "x", NULL, NULL));
    REFUSED(skive_pack_save, path, skive_pack_save(c, f->g, NULL, NULL, NULL));
    SILENT(skive_pack_serialize, ctx, skive_pack_serialize(NULL, f->g, NULL, out, out, NULL));
    REFUSED(skive_pack_serialize, graph, skive_pack_serialize(c, NULL, NULL, out, out, NULL));
    REFUSED(skive_pack_serialize, out, skive_pack_serialize(c, f->g, NULL, NULL, out, NULL));
    REFUSED(skive_pack_serialize, out_size, skive_pack_serialize(c, f->g, NULL, out, NULL, NULL));
    IGNORED(skive_pack_fit_free, ctx, skive_pack_fit_free(NULL, out));
    IGNORED(skive_pack_fit_free, fit, skive_pack_fit_free(c, NULL));
    SILENT(skive_pack_choose, ctx, skive_pack_choose(NULL, f->g, "1", NULL, out));
    REFUSED(skive_pack_choose, graph, skive_pack_choose(c, NULL, "1", NULL, out));
    REFUSED(skive_pack_choose, bytes, skive_pack_choose(c, f->g, NULL, NULL, out));
    REFUSED(skive_pack_choose, fit, skive_pack_choose(c, f->g, "1", NULL, NULL));
    IGNORED(skive_pack_free_bytes, ctx, skive_pack_free_bytes(NULL, out));
    IGNORED(skive_pack_free_bytes, bytes, skive_pack_free_bytes(c, NULL));
    SILENT(skive_pack_load, ctx, skive_pack_load(NULL, "x", NULL, out, NULL));
    REFUSED(skive_pack_load, path, skive_pack_load(c, NULL, NULL, out, NULL));
    REFUSED(skive_pack_load, out, skive_pack_load(c, "x", NULL, NULL, NULL));
    SILENT(skive_pack_parse, ctx, skive_pack_parse(NULL, "x", 1, NULL, out, NULL));
    REFUSED(skive_pack_parse, bytes, skive_pack_parse(c, NULL, 1, NULL, out, NULL));
    REFUSED(skive_pack_parse, out, skive_pack_parse(c, "x", 1, NULL, NULL, NULL));
    SILENT(skive_model_load, ctx, skive_model_load(NULL, "x", out));
    REFUSED(skive_model_load, path, skive_model_load(c, NULL, out));
    REFUSED(skive_model_load, out, skive_model_load(c, "x", NULL));
    SILENT(skive_model_save, ctx, skive_model_save(NULL, f->g, "x"));
    REFUSED(skive_model_save, graph, skive_model_save(c, NULL, "x"));
    REFUSED(skive_model_save, path, skive_model_save(c, f->g, NULL));
    GIVES(skive_pack_is_packed, path, !skive_pack_is_packed(NULL));
}

static void prune_cases(fixture *f) {
    skive_context *c = f->ctx;
    IGNORED(skive_prune_report_free, ctx, skive_prune_report_free(NULL, out));
    IGNORED(skive_prune_report_free, report, skive_prune_report_free(c, NULL));
    SILENT(skive_prune, ctx, skive_prune(NULL, f->g, NULL, NULL, NULL, NULL));
    REFUSED(skive_prune, graph, skive_prune(c, NULL, NULL, NULL, NULL, NULL));
}

static void quant_cases(fixture *f) {
    skive_context *c = f->ctx;
    IGNORED(skive_layers_report_free, ctx, skive_layers_report_free(NULL, out));
    IGNORED(skive_layers_report_free, report, skive_layers_report_free(c, NULL));
    SILENT(skive_compare_layers, ctx, skive_compare_layers(NULL, f->g, f->g, f->ds, NULL, out));
    REFUSED(skive_compare_layers, a, skive_compare_layers(c, NULL, f->g, f->ds, NULL, out));
    REFUSED(skive_compare_layers, b, skive_compare_layers(c, f->g, NULL, f->ds, NULL, out));
    REFUSED(skive_compare_layers, set, skive_compare_layers(c, f->g, f->g, NULL, NULL, out));
    REFUSED(skive_compare_layers, report, skive_compare_layers(c, f->g, f->g, f->ds, NULL, NULL));
    IGNORED(skive_bits_report_free, ctx, skive_bits_report_free(NULL, out));
    IGNORED(skive_bits_report_free, report, skive_bits_report_free(c, NULL));
    SILENT(skive_quantize_bits, ctx, skive_quantize_bits(NULL, f->g, f->ds, f->ds, NULL, NULL, NULL, NULL));
    REFUSED(skive_quantize_bits, graph, skive_quantize_bits(c, NULL, f->ds, f->ds, NULL, NULL, NULL, NULL));
    REFUSED(skive_quantize_bits, calibration, skive_quantize_bits(c, f->g, NULL, f->ds, NULL, NULL, NULL, NULL));
    REFUSED(skive_quantize_bits, validation, skive_quantize_bits(c, f->g, f->ds, NULL, NULL, NULL, NULL, NULL));
    IGNORED(skive_sensitivity_report_free, ctx, skive_sensitivity_report_free(NULL, out));
    IGNORED(skive_sensitivity_report_free, report, skive_sensitivity_report_free(c, NULL));
    SILENT(skive_predict, ctx, skive_predict(NULL, f->g, f->ds, 0, no_outputs, NULL));
    REFUSED(skive_predict, graph, skive_predict(c, NULL, f->ds, 0, no_outputs, NULL));
    REFUSED(skive_predict, dataset, skive_predict(c, f->g, NULL, 0, no_outputs, NULL));
    REFUSED(skive_predict, each, skive_predict(c, f->g, f->ds, 0, NULL, NULL));
    skive_agreement same;
    SILENT(skive_compare_answers, ctx, skive_compare_answers(NULL, f->g, f->g, f->ds, f->ds, 0, &same));
    REFUSED(skive_compare_answers, a, skive_compare_answers(c, NULL, f->g, f->ds, f->ds, 0, &same));
    REFUSED(skive_compare_answers, b, skive_compare_answers(c, f->g, NULL, f->ds, f->ds, 0, &same));
    REFUSED(skive_compare_answers, for_a, skive_compare_answers(c, f->g, f->g, NULL, f->ds, 0, &same));
    REFUSED(skive_compare_answers, for_b, skive_compare_answers(c, f->g, f->g, f->ds, NULL, 0, &same));
    REFUSED(skive_compare_answers, out, skive_compare_answers(c, f->g, f->g, f->ds, f->ds, 0, NULL));
    SILENT(skive_sensitivity, ctx, skive_sensitivity(NULL, f->g, f->ds, f->ds, NULL, out));
    REFUSED(skive_sensitivity, graph, skive_sensitivity(c, NULL, f->ds, f->ds, NULL, out));
    REFUSED(skive_sensitivity, samples, skive_sensitivity(c, f->g, f->ds, NULL, NULL, out));
    REFUSED(skive_sensitivity, report, skive_sensitivity(c, f->g, f->ds, f->ds, NULL, NULL));
    IGNORED(skive_quantize_report_free, ctx, skive_quantize_report_free(NULL, out));
    IGNORED(skive_quantize_report_free, report, skive_quantize_report_free(c, NULL));
    SILENT(skive_quantize_aware, ctx, skive_quantize_aware(NULL, f->g, f->ds, NULL, NULL, NULL, NULL));
    REFUSED(skive_quantize_aware, graph, skive_quantize_aware(c, NULL, f->ds, NULL, NULL, NULL, NULL));
    REFUSED(skive_quantize_aware, train, skive_quantize_aware(c, f->g, NULL, NULL, NULL, NULL, NULL));
    IGNORED(skive_qat_report_free, ctx, skive_qat_report_free(NULL, out));
    IGNORED(skive_qat_report_free, report, skive_qat_report_free(c, NULL));
    SILENT(skive_quantize, ctx, skive_quantize(NULL, f->g, f->ds, NULL, NULL));
    REFUSED(skive_quantize, graph, skive_quantize(c, NULL, f->ds, NULL, NULL));
    REFUSED(skive_quantize, calibration, skive_quantize(c, f->g, NULL, NULL, NULL));
    SILENT(skive_quantize_arrays, ctx, skive_quantize_arrays(NULL, f->g, &f->t, 1, NULL, NULL));
    REFUSED(skive_quantize_arrays, graph, skive_quantize_arrays(c, NULL, &f->t, 1, NULL, NULL));
    REFUSED(skive_quantize_arrays, samples, skive_quantize_arrays(c, f->g, NULL, 1, NULL, NULL));
    SILENT(skive_quantize_feed, ctx, skive_quantize_feed(NULL, f->g, feed, NULL, NULL, NULL));
    REFUSED(skive_quantize_feed, graph, skive_quantize_feed(c, NULL, feed, NULL, NULL, NULL));
    REFUSED(skive_quantize_feed, feed, skive_quantize_feed(c, f->g, NULL, NULL, NULL, NULL));
    SILENT(skive_quantize_weights, ctx, skive_quantize_weights(NULL, f->g, "int8", NULL, NULL));
    REFUSED(skive_quantize_weights, graph, skive_quantize_weights(c, NULL, "int8", NULL, NULL));
    REFUSED(skive_quantize_weights, grid, skive_quantize_weights(c, f->g, NULL, NULL, NULL));
    SILENT(skive_quantize_data_free, ctx, skive_quantize_data_free(NULL, f->g, NULL, NULL));
    REFUSED(skive_quantize_data_free, graph, skive_quantize_data_free(c, NULL, NULL, NULL));
    SILENT(skive_quantize_dynamic, ctx, skive_quantize_dynamic(NULL, f->g, NULL, NULL));
    REFUSED(skive_quantize_dynamic, graph, skive_quantize_dynamic(c, NULL, NULL, NULL));
    IGNORED(skive_quantize_control_free, ctx, skive_quantize_control_free(NULL, out));
    IGNORED(skive_quantize_control_free, control, skive_quantize_control_free(c, NULL));
    SILENT(skive_quantize_within, ctx, skive_quantize_within(NULL, f->g, f->ds, f->ds, NULL, 1, NULL, NULL, NULL));
    REFUSED(skive_quantize_within, graph, skive_quantize_within(c, NULL, f->ds, f->ds, NULL, 1, NULL, NULL, NULL));
    REFUSED(skive_quantize_within, calibration, skive_quantize_within(c, f->g, NULL, f->ds, NULL, 1, NULL, NULL, NULL));
    REFUSED(skive_quantize_within, validation, skive_quantize_within(c, f->g, f->ds, NULL, NULL, 1, NULL, NULL, NULL));
}

static void session_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_session_create, ctx, skive_session_create(NULL, f->g, NULL, out));
    REFUSED(skive_session_create, graph, skive_session_create(c, NULL, NULL, out));
    REFUSED(skive_session_create, out, skive_session_create(c, f->g, NULL, NULL));
    IGNORED(skive_session_free, session, skive_session_free(NULL));
    SILENT(skive_session_run, session, skive_session_run(NULL, &f->t, 1, out, 1));
    REFUSED(skive_session_run, inputs, skive_session_run(f->session, NULL, 1, out, 1));
    REFUSED(skive_session_run, outputs, skive_session_run(f->session, &f->t, 1, NULL, 1));
    GIVES(skive_session_plan_count, session, !skive_session_plan_count(NULL));
    GIVES(skive_session_plan, session, !skive_session_plan(NULL, 0));
    skive_session_stop stop;
    GIVES(skive_session_stop_get, session, !skive_session_stop_get(NULL, 0, &stop));
    GIVES(skive_session_stop_get, out, !skive_session_stop_get(f->session, 0, NULL));
}

static void factorize_cases(fixture *f) {
    skive_context *c = f->ctx;
    IGNORED(skive_factorize_report_free, ctx, skive_factorize_report_free(NULL, out));
    IGNORED(skive_factorize_report_free, report, skive_factorize_report_free(c, NULL));
    SILENT(skive_factorize, ctx, skive_factorize(NULL, f->g, NULL, NULL, NULL, NULL));
    REFUSED(skive_factorize, graph, skive_factorize(c, NULL, NULL, NULL, NULL, NULL));
}

static void share_cases(fixture *f) {
    skive_context *c = f->ctx;
    IGNORED(skive_share_report_free, ctx, skive_share_report_free(NULL, out));
    IGNORED(skive_share_report_free, report, skive_share_report_free(c, NULL));
    SILENT(skive_share, ctx, skive_share(NULL, f->g, NULL, NULL, NULL, NULL));
    REFUSED(skive_share, graph, skive_share(c, NULL, NULL, NULL, NULL, NULL));
    SILENT(skive_share_tie, ctx, skive_share_tie(NULL, f->g, "x", "x"));
    REFUSED(skive_share_tie, graph, skive_share_tie(c, NULL, "x", "x"));
    REFUSED(skive_share_tie, first, skive_share_tie(c, f->g, NULL, "x"));
    REFUSED(skive_share_tie, second, skive_share_tie(c, f->g, "x", NULL));
}

static void simplify_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_pass_get, ctx, skive_pass_get(NULL, 0, out));
    REFUSED(skive_pass_get, out, skive_pass_get(c, 0, NULL));
    SILENT(skive_simplify, ctx, skive_simplify(NULL, f->g, NULL, NULL));
    REFUSED(skive_simplify, graph, skive_simplify(c, NULL, NULL, NULL));
}

static void tensor_cases(fixture *f) {
    skive_context *c = f->ctx;
    GIVES(skive_dtype_find, name, skive_dtype_find(NULL) == SKIVE_DTYPE_NONE);
    GIVES(skive_tensor_count, tensor, skive_tensor_count(NULL) == -1);
    GIVES(skive_tensor_bytes, tensor, !skive_tensor_bytes(NULL));
    SILENT(skive_tensor_create, ctx, skive_tensor_create(NULL, 0, 1, dims, out));
    REFUSED(skive_tensor_create, dims, skive_tensor_create(c, 0, 1, NULL, out));
    REFUSED(skive_tensor_create, out, skive_tensor_create(c, 0, 1, dims, NULL));
    SILENT(skive_tensor_copy, ctx, skive_tensor_copy(NULL, &f->t, out));
    REFUSED(skive_tensor_copy, tensor, skive_tensor_copy(c, NULL, out));
    REFUSED(skive_tensor_copy, out, skive_tensor_copy(c, &f->t, NULL));
    IGNORED(skive_tensor_free, ctx, skive_tensor_free(NULL, out));
    IGNORED(skive_tensor_free, tensor, skive_tensor_free(c, NULL));
    GIVES(skive_tensor_get, tensor, isnan(skive_tensor_get(NULL, 0)));
    GIVES(skive_tensor_string, tensor, skive_tensor_string(NULL, 0) == NULL);
    IGNORED(skive_tensor_set, tensor, skive_tensor_set(NULL, 0, 0));
    SILENT(skive_tensor_load_npy, ctx, skive_tensor_load_npy(NULL, "x", out));
    REFUSED(skive_tensor_load_npy, path, skive_tensor_load_npy(c, NULL, out));
    REFUSED(skive_tensor_load_npy, out, skive_tensor_load_npy(c, "x", NULL));
    SILENT(skive_tensor_save_npy, ctx, skive_tensor_save_npy(NULL, "x", &f->t));
    REFUSED(skive_tensor_save_npy, path, skive_tensor_save_npy(c, NULL, &f->t));
    REFUSED(skive_tensor_save_npy, tensor, skive_tensor_save_npy(c, "x", NULL));
    SILENT(skive_tensors_save_npy, ctx, skive_tensors_save_npy(NULL, names, &f->t, 1));
    REFUSED(skive_tensors_save_npy, paths, skive_tensors_save_npy(c, NULL, &f->t, 1));
    REFUSED(skive_tensors_save_npy, tensors, skive_tensors_save_npy(c, names, NULL, 1));
    SILENT(skive_npy_stream_open, ctx, skive_npy_stream_open(NULL, "x", SKIVE_F32, 1, dims, out));
    REFUSED(skive_npy_stream_open, path, skive_npy_stream_open(c, NULL, SKIVE_F32, 1, dims, out));
    REFUSED(skive_npy_stream_open, dims, skive_npy_stream_open(c, "x", SKIVE_F32, 1, NULL, out));
    REFUSED(skive_npy_stream_open, out, skive_npy_stream_open(c, "x", SKIVE_F32, 1, dims, NULL));
    SILENT(skive_npy_stream_write, stream, skive_npy_stream_write(NULL, &f->t));
    SILENT(skive_npy_stream_write, part, skive_npy_stream_write(out, NULL));
    SILENT(skive_npy_streams_commit, streams, skive_npy_streams_commit(NULL, 1));
    IGNORED(skive_npy_stream_free, stream, skive_npy_stream_free(NULL));
}

static void train_cases(fixture *f) {
    skive_context *c = f->ctx;
    IGNORED(skive_rate_search_free, ctx, skive_rate_search_free(NULL, out));
    IGNORED(skive_rate_search_free, search, skive_rate_search_free(c, NULL));
    IGNORED(skive_train_scope_free, ctx, skive_train_scope_free(NULL, out));
    IGNORED(skive_train_scope_free, scope, skive_train_scope_free(c, NULL));
    SILENT(skive_train_scope_of, ctx, skive_train_scope_of(NULL, f->g, NULL, out));
    REFUSED(skive_train_scope_of, graph, skive_train_scope_of(c, NULL, NULL, out));
    REFUSED(skive_train_scope_of, scope, skive_train_scope_of(c, f->g, NULL, NULL));
    IGNORED(skive_train_report_free, ctx, skive_train_report_free(NULL, out));
    IGNORED(skive_train_report_free, report, skive_train_report_free(c, NULL));
    SILENT(skive_train, ctx, skive_train(NULL, f->g, f->ds, NULL, NULL, out, 1, NULL));
    REFUSED(skive_train, graph, skive_train(c, NULL, f->ds, NULL, NULL, out, 1, NULL));
    REFUSED(skive_train, train, skive_train(c, f->g, NULL, NULL, NULL, out, 1, NULL));
    REFUSED(skive_train, masks, skive_train(c, f->g, f->ds, NULL, NULL, NULL, 1, NULL));
    SILENT(skive_model_set_classes, graph, skive_model_set_classes(NULL, 1, 0));
}

static skive_status control(void *user, size_t applied, skive_eval_report *report) {
    (void)user, (void)applied, (void)report;
    return SKIVE_ERR_NOT_FOUND;
}

static void choices_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_kernels_tune, ctx, skive_kernels_tune(NULL, f->g, NULL, NULL, out, NULL));
    REFUSED(skive_kernels_tune, graph, skive_kernels_tune(c, NULL, NULL, NULL, out, NULL));
    REFUSED(skive_kernels_tune, out, skive_kernels_tune(c, f->g, NULL, NULL, NULL, NULL));
    GIVES(skive_kernel_choices_count, choices, !skive_kernel_choices_count(NULL));
    IGNORED(skive_kernel_choices_get, choices, skive_kernel_choices_get(NULL, 0, out));
    IGNORED(skive_kernel_choices_get, out, skive_kernel_choices_get(NULL, 0, NULL));
    SILENT(skive_kernel_choices_save, ctx, skive_kernel_choices_save(NULL, out, ""));
    REFUSED(skive_kernel_choices_save, choices, skive_kernel_choices_save(c, NULL, ""));
    REFUSED(skive_kernel_choices_save, path, skive_kernel_choices_save(c, out, NULL));
    SILENT(skive_kernel_choices_load, ctx, skive_kernel_choices_load(NULL, "", out));
    REFUSED(skive_kernel_choices_load, path, skive_kernel_choices_load(c, NULL, out));
    REFUSED(skive_kernel_choices_load, out, skive_kernel_choices_load(c, "", NULL));
    IGNORED(skive_kernel_choices_free, choices, skive_kernel_choices_free(NULL));
    SILENT(skive_context_use_choices, ctx, skive_context_use_choices(NULL, NULL));
}

static void tune_cases(fixture *f) {
    skive_context *c = f->ctx;
    const double budget = 1;
    SILENT(skive_allocate, ctx, skive_allocate(NULL, out, 1, &budget, 1, out, NULL));
    REFUSED(skive_allocate, layers, skive_allocate(c, NULL, 1, &budget, 1, out, NULL));
    REFUSED(skive_allocate, budgets, skive_allocate(c, out, 1, NULL, 1, out, NULL));
    REFUSED(skive_allocate, chosen, skive_allocate(c, out, 1, &budget, 1, NULL, NULL));
    SILENT(skive_costs_open, ctx, skive_costs_open(NULL, "", out));
    REFUSED(skive_costs_open, out, skive_costs_open(c, "", NULL));
    skive_costs *costs = NULL;
    assert_int_equal(skive_costs_open(c, "", &costs), SKIVE_OK);
    SILENT(skive_costs_save, costs, skive_costs_save(NULL));
    IGNORED(skive_costs_free, costs, skive_costs_free(NULL));
    GIVES(skive_costs_path, costs, equal(skive_costs_path(NULL), ""));
    GIVES(skive_costs_count, costs, !skive_costs_count(NULL));
    IGNORED(skive_cost_report_free, ctx, skive_cost_report_free(NULL, out));
    IGNORED(skive_cost_report_free, report, skive_cost_report_free(c, NULL));
    SILENT(skive_costs_of_graph, costs, skive_costs_of_graph(NULL, f->g, NULL, out));
    REFUSED(skive_costs_of_graph, graph, skive_costs_of_graph(costs, NULL, NULL, out));
    REFUSED(skive_costs_of_graph, report, skive_costs_of_graph(costs, f->g, NULL, NULL));
    SILENT(skive_costs_of_widths, costs, skive_costs_of_widths(NULL, f->g, "x", NULL, out, 1, out));
    REFUSED(skive_costs_of_widths, graph, skive_costs_of_widths(costs, NULL, "x", NULL, out, 1, out));
    REFUSED(skive_costs_of_widths, node, skive_costs_of_widths(costs, f->g, NULL, NULL, out, 1, out));
    REFUSED(skive_costs_of_widths, widths, skive_costs_of_widths(costs, f->g, "x", NULL, NULL, 1, out));
    REFUSED(skive_costs_of_widths, times, skive_costs_of_widths(costs, f->g, "x", NULL, out, 1, NULL));
    skive_costs_free(costs);
    GIVES(skive_eval_drop, a, isnan(skive_eval_drop(NULL, out)));
    GIVES(skive_eval_drop, b, isnan(skive_eval_drop(out, NULL)));
    SILENT(skive_control_drop, ctx, skive_control_drop(NULL, 1, out, 1, control, NULL, out));
    REFUSED(skive_control_drop, original, skive_control_drop(c, 1, NULL, 1, control, NULL, out));
    REFUSED(skive_control_drop, evaluate, skive_control_drop(c, 1, out, 1, NULL, NULL, out));
    REFUSED(skive_control_drop, report, skive_control_drop(c, 1, out, 1, control, NULL, NULL));
}

static void options_cases(fixture *f) {
    skive_context *c = f->ctx;
    skive_options *o = NULL;
    skive_option_bounds b = {.size = sizeof b};
    bool found;
    skv_test_ok(c, skive_options_create(c, "train", &o));
    REFUSED(skive_options_at, method, skive_options_at(c, NULL, 0, &b, &found));
    REFUSED(skive_options_at, out, skive_options_at(c, "train", 0, NULL, &found));
    REFUSED(skive_options_at, found, skive_options_at(c, "train", 0, &b, NULL));
    REFUSED(skive_options_bounds, method, skive_options_bounds(c, NULL, "lr", &b));
    REFUSED(skive_options_bounds, name, skive_options_bounds(c, "train", NULL, &b));
    REFUSED(skive_options_bounds, out, skive_options_bounds(c, "train", "lr", NULL));
    GIVES(skive_options_choice, method, !skive_options_choice(NULL, "loss", 0, NULL));
    GIVES(skive_options_choice, name, !skive_options_choice("train", NULL, 0, NULL));
    REFUSED(skive_options_of_choice, method, skive_options_of_choice(c, NULL, "loss", "mse", 0, &b, &found));
    REFUSED(skive_options_of_choice, name, skive_options_of_choice(c, "train", NULL, "mse", 0, &b, &found));
    REFUSED(skive_options_of_choice, choice, skive_options_of_choice(c, "train", "loss", NULL, 0, &b, &found));
    REFUSED(skive_options_of_choice, out, skive_options_of_choice(c, "train", "loss", "mse", 0, NULL, &found));
    REFUSED(skive_options_of_choice, found, skive_options_of_choice(c, "train", "loss", "mse", 0, &b, NULL));
    SILENT(skive_options_create, ctx, skive_options_create(NULL, "train", out));
    REFUSED(skive_options_create, method, skive_options_create(c, NULL, out));
    REFUSED(skive_options_create, out, skive_options_create(c, "train", NULL));
    IGNORED(skive_options_free, options, skive_options_free(NULL));
    SILENT(skive_options_set, options, skive_options_set(NULL, "lr", "1"));
    REFUSED(skive_options_set, name, skive_options_set(o, NULL, "1"));
    REFUSED(skive_options_set, value, skive_options_set(o, "lr", NULL));
    SILENT(skive_options_get, options, skive_options_get(NULL, "lr", out, 9));
    REFUSED(skive_options_get, name, skive_options_get(o, NULL, out, 9));
    REFUSED(skive_options_get, buffer, skive_options_get(o, "lr", NULL, 9));
    SILENT(skive_options_lacks, options, skive_options_lacks(NULL, "lr", out, 9));
    REFUSED(skive_options_lacks, name, skive_options_lacks(o, NULL, out, 9));
    REFUSED(skive_options_lacks, buffer, skive_options_lacks(o, "lr", NULL, 9));
    SILENT(skive_options_check, options, skive_options_check(NULL));
    GIVES(skive_options_is_off, options, !skive_options_is_off(NULL, "momentum"));
    GIVES(skive_options_is_off, name, !skive_options_is_off(o, NULL));
    GIVES(skive_options_is_set, options, !skive_options_is_set(NULL, "lr"));
    GIVES(skive_options_is_set, name, !skive_options_is_set(o, NULL));
    GIVES(skive_options_train, options, !skive_options_train(NULL));
    GIVES(skive_options_prune, options, !skive_options_prune(NULL));
    GIVES(skive_options_qat, options, !skive_options_qat(NULL));
    GIVES(skive_options_share, options, !skive_options_share(NULL));
    GIVES(skive_options_factorize, options, !skive_options_factorize(NULL));
    GIVES(skive_options_distill, options, !skive_options_distill(NULL));
    GIVES(skive_options_quantize, options, !skive_options_quantize(NULL));
    GIVES(skive_options_bits, options, !skive_options_bits(NULL));
    GIVES(skive_options_sensitivity, options, !skive_options_sensitivity(NULL));
    GIVES(skive_options_pack, options, !skive_options_pack(NULL));
    GIVES(skive_options_simplify, options, !skive_options_simplify(NULL));
    GIVES(skive_options_data, options, !skive_options_data(NULL));
    skive_options_free(o);
}

/* What a builder remembers after a call that gave nothing. */
static skive_status left(skive_builder *b, const skive_value *given) {
    const skive_status status = given ? SKIVE_OK : b->status;
    b->status = SKIVE_OK;
    return status;
}

static void build_cases(fixture *f) {
    skive_builder b = skive_builder_of(f->g);
    const skive_attribute a = skive_attribute_int("axis", 0);
    GIVES(skive_builder_of, graph, skive_builder_of(NULL).status == SKIVE_ERR_ARGUMENT);
    GIVES(skive_attribute_int, name, !skive_attribute_int(NULL, 1).name);
    GIVES(skive_attribute_float, name, !skive_attribute_float(NULL, 1).name);
    GIVES(skive_attribute_string, name, !skive_attribute_string(NULL, "x").name);
    GIVES(skive_attribute_string, value, !skive_attribute_string("x", NULL).s);
    GIVES(skive_attribute_ints, name, !skive_attribute_ints(NULL, dims, 1).name);
    GIVES(skive_attribute_ints, values, !skive_attribute_ints("x", NULL, 1).ints);
    GIVES(skive_build_node, builder, !skive_build_node(NULL, "Relu", NULL, &f->v, 1, NULL, 0, NULL, 1));
    REFUSED(skive_build_node, op, left(&b, skive_build_node(&b, NULL, NULL, &f->v, 1, &a, 1, NULL, 1)));
    REFUSED(skive_build_node, inputs, left(&b, skive_build_node(&b, "Relu", NULL, NULL, 1, &a, 1, NULL, 1)));
    REFUSED(skive_build_node, attributes, left(&b, skive_build_node(&b, "Relu", NULL, &f->v, 1, NULL, 1, NULL, 1)));
    GIVES(skive_build_parameter, builder, !skive_build_parameter(NULL, "x", &f->t, true));
    REFUSED(skive_build_parameter, tensor, left(&b, skive_build_parameter(&b, "x", NULL, true)));
    GIVES(skive_build_number, builder, !skive_build_number(NULL, 1));
    GIVES(skive_build_ints, builder, !skive_build_ints(NULL, dims, 1));
    REFUSED(skive_build_ints, values, left(&b, skive_build_ints(&b, NULL, 1)));
    SILENT(skive_value_rename, value, skive_value_rename(NULL, "x"));
    REFUSED(skive_value_rename, name, skive_value_rename(f->v, NULL));
}

static void zoo_cases(fixture *f) {
    skive_context *c = f->ctx;
    SILENT(skive_zoo_build, ctx, skive_zoo_build(NULL, "x", NULL, out));
    REFUSED(skive_zoo_build, spec, skive_zoo_build(c, NULL, NULL, out));
    REFUSED(skive_zoo_build, out, skive_zoo_build(c, "x", NULL, NULL));
    SILENT(skive_zoo_option_text, ctx, skive_zoo_option_text(NULL, 0, out));
    REFUSED(skive_zoo_option_text, out, skive_zoo_option_text(c, 0, NULL));
    GIVES(skive_zoo_usual, out, !skive_zoo_usual(0, NULL));
}

/* ---- are these all? ---- */

static bool listed(const char *call) {
    for (size_t i = 0; i < n_calls; i++) {
        if (equal(calls[i], call)) return true;
    }
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        if (equal(optional[i], call)) return true;
    }
    return false;
}

static void blank_comments(char *text) {
    for (char *c = text; (c = strstr(c, "/*"));) {
        char *end = strstr(c, "*/");
        for (; end && c < end + 2; c++) *c = ' ';
        if (!end) return;
    }
}

static bool in_name(char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The last identifier of the text that ends at `end`. */
static size_t last_name(const char *begin, const char *end, const char **name) {
    while (end > begin && !in_name(end[-1])) end--;
    const char *first = end;
    while (first > begin && in_name(first[-1])) first--;
    *name = first;
    return (size_t)(end - first);
}

static size_t check_declaration(char *text) {
    char *const open = strchr(text, '('), *const close = strrchr(text, ')');
    const char *function, *argument;
    size_t checked = 0;
    assert_true(open && close && open < close);
    const size_t length = last_name(text, open, &function);
    *close = ',';
    for (char *begin = open + 1, *end; begin <= close && (end = strchr(begin, ',')); begin = end + 1) {
        char one[512], call[256];
        (void)snprintf(one, sizeof one, "%.*s", (int)(end - begin), begin);
        if (!strchr(one, '*') && !strstr(one, "_fn ")) continue;
        const size_t n = last_name(one, one + strlen(one), &argument);
        (void)snprintf(call, sizeof call, "%.*s %.*s", (int)length, function, (int)n, argument);
        if (!listed(call)) fail_msg("not tried with NULL: %s", call);
        checked++;
    }
    return checked;
}

static size_t check_header(const char *path) {
    static char text[1 << 17];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t n = fread(text, 1, sizeof text - 1, file);
    assert_true(n < sizeof text - 1);
    (void)fclose(file);
    text[n] = '\0';
    blank_comments(text);
    size_t checked = 0;
    for (char *c = strstr(text, "SKIVE_API "), *end; c; c = strstr(end + 1, "SKIVE_API ")) {
        end = strchr(c, ';');
        if (!end) break; /* the macro's own definition */
        *end = '\0';
        checked += check_declaration(c);
    }
    return checked;
}

static void check_headers(void) {
    DIR *folder = opendir("include/skive");
    size_t checked = 0;
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        char path[512];
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || !equal(dot, ".h") || equal(e->d_name, "export.h")) continue;
        (void)snprintf(path, sizeof path, "include/skive/%s", e->d_name);
        checked += check_header(path);
    }
    (void)closedir(folder);
    assert_true(checked > 250);
}

static fixture make(const char *folder) {
    char path[SKV_TEST_PATH], spec[SKV_TEST_PATH + 8];
    fixture f = {.ctx = skv_test_context()};
    skive_context *c = f.ctx;
    const skive_type type = skive_type_make(SKIVE_F32, 2, dims);
    skv_test_ok(c, skive_graph_create(c, "g", &f.g));
    skv_test_ok(c, skive_graph_add_input(f.g, "x", &type, &f.v));
    skv_test_ok(c, skive_graph_add_node(f.g, "Relu", "relu", &f.v, 1, 1, &f.n));
    skv_test_ok(c, skive_graph_add_output(f.g, skive_node_output(f.n, 0)));
    skv_test_ok(c, skive_graph_infer(f.g));
    skv_test_ok(c, skive_tensor_create(c, SKIVE_F32, 2, dims, &f.t));
    (void)snprintf(spec, sizeof spec, "npy:%s", skv_test_path(path, folder, "x.npy"));
    skv_test_ok(c, skive_tensor_save_npy(c, path, &f.t));
    skive_dataset_options o = skive_dataset_options_default();
    o.targets = SKIVE_TARGETS_NONE;
    o.split = SKIVE_SPLIT_TEST;
    skv_test_ok(c, skive_dataset_open(c, spec, &o, &f.ds));
    skv_test_ok(c, skive_loader_create(c, f.ds, NULL, &f.loader));
    skv_test_ok(c, skive_plan_create(c, f.g, NULL, &f.plan));
    skv_test_ok(c, skive_exec_create(c, f.plan, &f.exec));
    skv_test_ok(c, skive_session_create(c, f.g, NULL, &f.session));
    return f;
}

static void test_null(void **state) {
    char folder[SKV_TEST_PATH];
    (void)state;
    skv_test_make_dir(folder);
    fixture f = make(folder);
    autodiff_cases(&f);
    context_cases(&f);
    data_cases(&f);
    distill_cases(&f);
    energy_cases(&f);
    eval_cases(&f);
    exec_cases(&f);
    graph_cases(&f);
    input_cases(&f);
    memory_cases(&f);
    onnx_cases(&f);
    output_cases(&f);
    pack_cases(&f);
    prune_cases(&f);
    quant_cases(&f);
    session_cases(&f);
    share_cases(&f);
    factorize_cases(&f);
    simplify_cases(&f);
    tensor_cases(&f);
    train_cases(&f);
    choices_cases(&f);
    tune_cases(&f);
    options_cases(&f);
    build_cases(&f);
    zoo_cases(&f);
    check_headers();
    skive_session_free(f.session);
    skive_exec_free(f.exec);
    skive_plan_free(f.plan);
    skive_loader_free(f.loader);
    skive_dataset_free(f.ds);
    skive_tensor_free(f.ctx, &f.t);
    skive_graph_free(f.g);
    skv_test_context_end(f.ctx);
    skv_test_remove_dir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_null)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
