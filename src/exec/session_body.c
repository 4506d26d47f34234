/* See session_body.h. */
#include "exec/session_body.h"

static skive_status run(skv_body *body, const skive_tensor *in, skive_tensor *out) {
    skv_session_body *b = (skv_session_body *)body;
    for (size_t i = 0; i < body->n_in; i++) b->inputs[i] = in[i];
    return skive_session_run(b->session, b->inputs, body->n_in + b->n_captured, out, body->n_out);
}

skive_status skv_session_body_create(skive_context *ctx, const skive_graph *sub, const skive_session_options *options,
                                     const skv_session_watch *watch, skv_session_body **out) {
    skv_session_body *b = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *b, &b));
    b->ctx = ctx;
    SKV_GO(status, fail, skv_graph_detach(ctx, sub, &b->graph, &b->captured));
    /* For the output types of a loop without iterations. A branch that is never taken may be inconsistent, so a failure
     * is not reported yet. */
    (void)skive_graph_infer(b->graph);
    SKV_GO(status, fail, skv_session_open(ctx, b->graph, options, watch, &b->session));
    b->body = (skv_body){.graph = b->graph, .n_in = sub->n_inputs, .n_out = sub->n_outputs, .run = run};
    b->n_captured = b->graph->n_inputs - sub->n_inputs;
    SKV_GO(status, fail, skv_alloc_array(ctx, (size_t)b->graph->n_inputs + 1, sizeof *b->inputs, &b->inputs));
    *out = b;
    return SKIVE_OK;
fail:
    skv_session_body_free(b);
    return status;
}

void skv_session_body_free(skv_session_body *b) {
    if (!b) return;
    skive_session_free(b->session);
    skive_graph_free(b->graph);
    skv_free(b->ctx, b->captured);
    skv_free(b->ctx, b->inputs);
    skv_free(b->ctx, b);
}
