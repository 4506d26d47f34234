/* Models exported in training mode: converted to inference mode wherever an output must not depend on the other samples
 * of the batch. */
#include "train_fixtures.h"

#include <skive/distill.h>
#include <skive/eval.h>
#include <skive/prune.h>
#include <skive/quant.h>
#include <skive/share.h>

/* small_cnn with its BatchNormalization and Dropout in training mode, the running mean as a second output. */
static skive_graph *exported(skive_context *ctx) {
    skive_graph *g = small_cnn(ctx, true);
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        skive_node *n = g->nodes[i];
        if (skv_node_is(n, SKV_OP_DROPOUT)) {
            skv_builder b = skv_build(g);
            skive_value *on = skv_emit_scalar(&b, SKIVE_BOOL, 1);
            skv_test_ok(ctx, b.status);
            skv_test_ok(ctx, skv_node_set_input(n, 2, on));
        } else if (skv_node_is(n, SKV_OP_BATCH_NORMALIZATION)) {
            skive_value *out[3] = {NULL};
            skive_node *fresh = NULL;
            for (int k = 0; k < 3; k++) skv_test_ok(ctx, skv_graph_new_value(g, NULL, &out[k]));
            skv_test_ok(ctx, skv_graph_new_node(g, n->op_type, "", NULL, n->inputs, n->n_inputs, out, 3, &fresh));
            skv_test_ok(ctx, skv_node_set_attr(fresh, &SKV_INT("training_mode", 1)));
            skv_test_ok(ctx, skv_value_replace_uses(n->outputs[0], out[0], true));
            skv_test_ok(ctx, skv_graph_remove_node(n));
            skv_test_ok(ctx, skive_graph_add_output(g, out[1]));
        }
    }
    skv_test_ok(ctx, skive_graph_infer(g));
    assert_true(skive_graph_in_training_mode(g));
    return g;
}

static bool noted(const skive_context *ctx) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), "exported in training mode (1 BatchNormalization, 1 Dropout)"))
            return true;
    }
    return false;
}

static void inference_form(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = exported(ctx), *plain = small_cnn(ctx, false);
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TEST);
    skive_eval_report a, b, c;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 7, &a)); /* on a copy */
    assert_true(noted(ctx) && skive_graph_in_training_mode(g));
    skv_test_ok(ctx, skive_evaluate(ctx, plain, set, 0, &b));
    skv_test_ok(ctx, skive_graph_to_inference(g));
    assert_false(skive_graph_in_training_mode(g));
    skv_test_ok(ctx, skive_graph_check(g));
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 50, &c));
    assert_true(skv_test_close(a.loss, b.loss, 1e-5, 0) && skv_test_close(c.loss, b.loss, 1e-5, 0));
    skive_eval_report_free(ctx, &a);
    skive_eval_report_free(ctx, &b);
    skive_eval_report_free(ctx, &c);
    skive_context_clear_notes(ctx);
    skv_test_ok(ctx, skive_graph_to_inference(g)); /* nothing more to do or say */
    assert_int_equal(skive_context_note_count(ctx), 0);
    skive_dataset_free(set);
    skive_graph_free(plain);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

typedef skive_status (*job)(skive_context *ctx, skive_graph *g, skive_dataset *t);
static skive_status train(skive_context *ctx, skive_graph *g, skive_dataset *t) {
    const skive_train_options o = settings(1, 32);
    return skive_train(ctx, g, t, NULL, &o, NULL, 0, NULL);
}
static skive_status distill(skive_context *ctx, skive_graph *g, skive_dataset *t) {
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    o.train = &how;
    skive_graph *teacher = exported(ctx);
    how = settings(1, 32);
    const skive_status status = skive_distill(ctx, g, teacher, t, NULL, &o, NULL);
    skive_graph_free(teacher);
    return status;
}
static skive_status prune(skive_context *ctx, skive_graph *g, skive_dataset *t) {
    skive_prune_options o = skive_prune_options_default();
    skive_train_options tune = skive_prune_finetune_default();
    o.finetune = &tune;
    tune = settings(1, 32);
    return skive_prune(ctx, g, t, NULL, &o, NULL);
}
static skive_status share(skive_context *ctx, skive_graph *g, skive_dataset *t) {
    skive_share_options o = skive_share_options_default();
    return skive_share(ctx, g, t, NULL, &o, NULL);
}
static skive_status quantize(skive_context *ctx, skive_graph *g, skive_dataset *t) {
    skive_quantize_options o = skive_quantize_options_default();
    o.samples = 64;
    return skive_quantize(ctx, g, t, &o, NULL);
}

static void every_method_leaves_inference_form(void **state) {
    (void)state;
    const job jobs[] = {train, distill, prune, share, quantize};
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        skive_context *ctx = skv_test_context();
        skive_graph *g = exported(ctx);
        skive_dataset *t = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
        skv_test_ok(ctx, jobs[i](ctx, g, t));
        assert_true(noted(ctx));
        assert_false(skive_graph_in_training_mode(g));
        skv_test_ok(ctx, skive_graph_check(g));
        skive_dataset_free(t);
        skive_graph_free(g);
        skv_test_context_end(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inference_form),
        cmocka_unit_test(every_method_leaves_inference_form),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
