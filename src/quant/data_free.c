/* Quantization without samples: weights alone, on any grid. */
#include "quant/data_free.h"

#include <math.h>

#include "quant/gridded.h"

skive_status skv_data_free_open(skv_data_free *w, const skive_graph *graph, bool smallest) {
    skive_graph *own = NULL;
    SKV_TRY(skv_quant_check_model(w->ctx, graph, w->o));
    SKV_TRY(skive_graph_copy(w->ctx, graph, &own));
    skive_status status = skive_graph_to_float32(own);
    if (status == SKIVE_OK) status = skv_quant_prepare(w->ctx, own, smallest, &w->g);
    skive_graph_free(own);
    return status;
}

skive_status skv_data_free_close(skv_data_free *w, skive_graph *graph, skive_quantize_report *report,
                                 skive_status status) {
    if (status == SKIVE_OK && !w->o->dry_run) {
        skive_graph_take(graph, w->g);
        w->g = NULL;
    }
    skive_graph_free(w->g);
    if (report) *report = status == SKIVE_OK ? w->report : (skive_quantize_report){0};
    if (status != SKIVE_OK || !report) skive_quantize_report_free(w->ctx, &w->report);
    return status;
}

skive_status skv_data_free_finish(skv_data_free *w) {
    skive_cost cost;
    skv_quant_sweep(w->g);
    SKV_TRY(skv_quant_merge_equal(w->g));
    SKV_TRY(skive_graph_infer(w->g));
    SKV_TRY(skive_graph_cost(w->g, &cost));
    w->report.expected_bytes = cost.parameter_bytes;
    return SKIVE_OK;
}

/* ---- one weight ---- */

skive_status skv_data_free_weight(skv_data_free *w, const skv_quantizer *q, const skv_weight *from) {
    skv_builder b = skv_build(from->value->graph);
    skv_gridded c;
    skive_value *real = NULL;
    skive_status status;
    SKV_TRY(skv_gridded_check_zeros(from->value, q));
    skv_gridded_lay_out(&c, q, &from->view, skv_value_tensor(from->value));
    if (q->per == SKV_PER_GROUP && c.q.per != SKV_PER_GROUP)
        skv_note(w->ctx, "weight '%s' is no matrix: it has one scale for each output channel, not one for each group",
                 from->value->name);
    SKV_GO(status, done, skv_gridded_make(w->ctx, &c));
    if (!isfinite(c.error)) {
        status = skv_fail_at(w->ctx, SKIVE_ERR_NUMERIC, from->value->name,
                             "weight '%s' has numbers that are infinite on the grid '%s': take one with a larger range "
                             "(bf16, int8), or leave its node in float (--skip)",
                             from->value->name, q->grid->name);
        goto done;
    }
    const skive_quantize_row row = {
        .is_parameter = true, .grid = q->grid->name, .scale = NAN, .lo = NAN, .hi = NAN, .sqnr = skv_gridded_sqnr(&c)};
    SKV_GO(status, done, skv_quant_add_row(w->ctx, &w->report, &row, from->value->name));
    SKV_GO(status, done, skv_gridded_emit(&b, &c, from->value, &real));
    const bool is_output = from->value->output_uses > 0;
    status = skv_value_replace_uses(from->value, real, true);
    if (status == SKIVE_OK && is_output) status = skv_value_take_name(real, from->value);
done:
    skv_gridded_free(w->ctx, &c);
    return status;
}

skive_status skive_quantize_weights(skive_context *ctx, skive_graph *graph, const char *grid,
                                    const skive_quantize_options *options, skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph, grid", ctx, graph, grid);
    skive_quantize_options o = skive_quantize_options_default();
    skv_data_free w = {.ctx = ctx, .o = &o};
    skv_weight *weights = NULL;
    skv_quantizer q;
    size_t n = 0;
    skive_status status;
    const double started = skv_now();
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    SKV_TRY(skv_quantizer_parse(ctx, grid, &q));
    SKV_TRY(skv_gridded_check(ctx, grid, &q));
    SKV_GO(status, done, skv_data_free_open(&w, graph, true));
    SKV_GO(status, done, skv_weights(ctx, w.g, &weights, &n));
    for (size_t i = 0; i < n; i++) {
        const skive_value *v = weights[i].value;
        const char *why = skv_quant_skipped(&o, weights[i].node)         ? "it is excluded by --skip"
                          : !v->storage || skv_value_coded(v)            ? "its weights are computed, not a parameter"
                          : v->type.dtype != SKIVE_F32                   ? "its weights are not float32"
                          : skive_tensor_count(skv_value_tensor(v)) == 0 ? "its weights are empty"
                                                                         : NULL;
        if (why) {
            SKV_GO(status, done, skv_quant_leave(ctx, &w.report, weights[i].node, why));
            continue;
        }
        SKV_GO(status, done, skv_data_free_weight(&w, &q, &weights[i]));
        w.report.n_quantized++;
    }
    if (w.report.n_quantized == 0) {
        status = skv_quant_refuse_model(ctx, &w.report, "the model has no float weight that can be quantized");
        goto done;
    }
    status = skv_data_free_finish(&w);
    w.report.seconds = skv_now() - started;
done:
    skv_free(ctx, weights);
    return skv_data_free_close(&w, graph, report, status);
}
