/* The gradients of a network, for others to compare: gradients MODEL.onnx X.npy LABELS.npy FOLDER trains nothing:
 * one run of the training mode over the batch X, with the mean cross-entropy of the model's only output
 * [N][classes]... against LABELS [N]... Biases and scales are moved at random before, because at their initial
 * values (0 and 1) many gradients vanish: whatever scales a channel in front of a normalisation has none. Writes,
 * into FOLDER, every trained parameter as NAME.npy, its gradient as NAME.grad.npy, and the loss as loss.npy. */
#include <stdio.h>
#include <string.h>

#include <skive/autodiff.h>
#include <skive/exec.h>
#include <skive/onnx.h>

#include "graph/batch.h"
#include "graph/graph.h"
#include "train/train.h"

typedef struct job {
    skive_context *ctx;
    skive_graph *graph; /* for one batch, in training mode, with labels and loss */
    skive_value *x, *labels, *loss;
    skive_value **parameters, **gradients;
    size_t n;
} job;

static skive_status add_loss(job *j, const skive_tensor *labels) {
    skive_type type = {.dtype = SKIVE_I64, .rank = labels->rank};
    for (int d = 0; d < labels->rank; d++) type.dims[d].size = labels->dims[d];
    SKV_TRY(skive_graph_add_input(j->graph, "labels", &type, &j->labels));
    skv_builder b = skv_build(j->graph);
    j->loss = skv_emit(&b, "SoftmaxCrossEntropyLoss", SKV_IN(j->graph->outputs[0], j->labels), SKV_NONE);
    return b.status;
}

static skive_status add_gradients(job *j) {
    skive_graph *g = j->graph;
    SKV_TRY(skv_alloc_array(j->ctx, (size_t)g->n_values + 1, sizeof(skive_value *), &j->parameters));
    SKV_TRY(skv_alloc_array(j->ctx, (size_t)g->n_values + 1, sizeof(skive_value *), &j->gradients));
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (g->values[i]->trainable) j->parameters[j->n++] = g->values[i];
    }
    SKV_TRY(skive_autodiff(g, j->loss, j->parameters, j->n, j->gradients));
    while (g->n_outputs) SKV_TRY(skv_graph_remove_output(g, 0));
    SKV_TRY(skive_graph_add_output(g, j->loss));
    for (size_t i = 0; i < j->n; i++) SKV_TRY(skive_graph_add_output(g, j->gradients[i]));
    return skive_graph_infer(g);
}

static skive_status move_vectors(job *j, skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        skive_tensor t = {0};
        if (!v->trainable || v->type.rank != 1 || v->type.dtype != SKIVE_F32) continue;
        SKV_TRY(skive_tensor_copy(j->ctx, skive_value_data(v), &t));
        for (int64_t k = 0; k < skive_tensor_count(&t); k++)
            ((float *)t.data)[k] += (float)(0.2 * skv_rng_normal(1, i, (uint64_t)k));
        const skive_status status = skive_value_set_data(v, &t);
        skive_tensor_free(j->ctx, &t);
        SKV_TRY(status);
    }
    return SKIVE_OK;
}

static skive_status prepare(job *j, const char *model, const skive_tensor *x, const skive_tensor *labels) {
    skive_graph *loaded = NULL;
    skv_stat_update *updates = NULL;
    size_t n_updates;
    skive_status status;
    SKV_GO(status, done, skive_onnx_load(j->ctx, model, NULL, &loaded));
    SKV_GO(status, done, skv_params_mark_trainable(loaded));
    SKV_GO(status, done, move_vectors(j, loaded));
    SKV_GO(status, done, skv_graph_bind_batch(j->ctx, loaded, x->dims[0], &j->graph));
    SKV_GO(status, done, skv_graph_to_training(j->ctx, j->graph, &updates, &n_updates));
    j->x = j->graph->inputs[0];
    SKV_GO(status, done, add_loss(j, labels));
    status = add_gradients(j);
done:
    skv_free(j->ctx, updates);
    skive_graph_free(loaded);
    return status;
}

static skive_status save(job *j, const char *folder, const char *name, const char *end, const skive_tensor *t) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s%s.npy", folder, name, end);
    return skive_tensor_save_npy(j->ctx, path, t);
}

static skive_status run(job *j, const skive_tensor *x, const skive_tensor *labels, const char *folder) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_tensor view;
    skive_status status;
    o.training = true;
    SKV_GO(status, done, skive_plan_create(j->ctx, j->graph, &o, &plan));
    SKV_GO(status, done, skive_exec_create(j->ctx, plan, &exec));
    SKV_GO(status, done, skive_exec_input(exec, 0, &view));
    memcpy(view.data, x->data, skive_tensor_bytes(x));
    SKV_GO(status, done, skive_exec_input(exec, 1, &view));
    memcpy(view.data, labels->data, skive_tensor_bytes(labels));
    SKV_GO(status, done, skive_exec_run(exec));
    SKV_GO(status, done, skive_exec_output(exec, 0, &view));
    SKV_GO(status, done, save(j, folder, "loss", "", &view));
    for (size_t i = 0; i < j->n; i++) {
        const char *name = j->parameters[i]->name;
        SKV_GO(status, done, save(j, folder, name, "", skive_value_data(j->parameters[i])));
        SKV_GO(status, done, skive_exec_output(exec, i + 1, &view));
        SKV_GO(status, done, save(j, folder, name, ".grad", &view));
    }
done:
    skive_exec_free(exec);
    skive_plan_free(plan);
    return status;
}

int main(int argc, char **argv) {
    job j;
    memset(&j, 0, sizeof j);
    skive_tensor x = {0}, labels = {0};
    skive_status status;
    if (argc != 5) {
        fprintf(stderr, "usage: gradients MODEL.onnx X.npy LABELS.npy FOLDER\n");
        return 2;
    }
    if (skive_context_create(NULL, &j.ctx) != SKIVE_OK) return 1;
    SKV_GO(status, done, skive_tensor_load_npy(j.ctx, argv[2], &x));
    SKV_GO(status, done, skive_tensor_load_npy(j.ctx, argv[3], &labels));
    SKV_GO(status, done, prepare(&j, argv[1], &x, &labels));
    status = run(&j, &x, &labels, argv[4]);
done:
    if (status != SKIVE_OK) fprintf(stderr, "gradients: %s\n", skive_context_message(j.ctx));
    skv_free(j.ctx, j.parameters);
    skv_free(j.ctx, j.gradients);
    skive_tensor_free(j.ctx, &x);
    skive_tensor_free(j.ctx, &labels);
    skive_graph_free(j.graph);
    skive_context_free(j.ctx);
    return status == SKIVE_OK ? 0 : 1;
}
