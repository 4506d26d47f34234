/* Nodes whose inputs are all constant are computed once and become parameters; so does Shape of a value whose shape is
 * known. Large results that are not in the file (an expanded scalar) are not folded, so that the file does not grow. */
#include <string.h>

#include "graph/shared.h"
#include "passes/packed.h"

enum { MAX_GROWTH_BYTES = 1 << 16 };

static bool is_constant(const skv_pass_env *env, const skive_value *v) {
    return skv_value_is_param(v) && !(env->training && skv_value_changes(v));
}

/* Shape only needs the type. */
static bool known_shape(const skive_node *n) {
    return skv_node_is(n, SKV_OP_SHAPE) && n->n_inputs == 1 && n->inputs[0] && skv_type_is_static(&n->inputs[0]->type);
}

static bool foldable(const skv_pass_env *env, const skive_node *n) {
    if (!n->op || !n->op->run || n->op->random || n->n_outputs > SKV_OP_MAX_IO) return false;
    if (known_shape(n)) return true;
    size_t in_bytes = 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (!n->inputs[i]) continue;
        if (!is_constant(env, n->inputs[i])) return false;
        in_bytes += skive_tensor_bytes(skv_value_tensor(n->inputs[i]));
    }
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const skive_value *v = n->outputs[o];
        if (!v) continue;
        if (v->type.dtype == SKIVE_DTYPE_NONE || !skv_type_is_static(&v->type)) return false;
        const int64_t count = skv_type_count(&v->type);
        if (count < 0 || (size_t)count * 8 > in_bytes * 8 + MAX_GROWTH_BYTES) return false;
    }
    return true;
}

/* Every used output is replaced by a parameter with its data. */
static skive_status replace_outputs(skive_graph *g, skive_node *n, skive_tensor *out) {
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        skive_value *old = n->outputs[o], *fresh = NULL;
        if (!old || !skv_value_is_read(old)) continue;
        skv_storage *storage = NULL;
        SKV_TRY(skv_storage_take(g->ctx, &out[o], &storage));
        const skive_status status = skv_graph_new_param(g, NULL, storage, &fresh);
        if (status != SKIVE_OK) {
            skv_storage_release(storage);
            return status;
        }
        SKV_TRY(skv_value_replace_uses(old, fresh, true));
    }
    return skv_graph_remove_node(n);
}

static skive_status fold(const skv_pass_env *env, skive_graph *g, skive_node *n) {
    skive_tensor out[SKV_OP_MAX_IO] = {0};
    const skive_tensor **in = NULL;
    skive_tensor shape_only = {0};
    SKV_TRY(skv_alloc_array(env->ctx, (size_t)n->n_inputs + 1, sizeof *in, &in));
    for (uint32_t i = 0; i < n->n_inputs; i++) in[i] = skv_value_tensor(n->inputs[i]);
    if (known_shape(n)) {
        const skive_type *t = &n->inputs[0]->type;
        shape_only.dtype = t->dtype;
        shape_only.rank = t->rank;
        for (int d = 0; d < t->rank; d++) shape_only.dims[d] = t->dims[d].size;
        in[0] = &shape_only;
    }
    skive_status status = skv_op_evaluate(env->ctx, n, in, n->n_inputs, out, n->n_outputs);
    if (status == SKIVE_OK) status = replace_outputs(g, n, out);
    for (uint32_t o = 0; o < n->n_outputs; o++) skive_tensor_free(env->ctx, &out[o]);
    skv_free(env->ctx, in);
    return status;
}

static bool kept(const skv_pass_env *env, const skive_node *n) {
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        if (n->outputs[o] && skv_pass_keeps(env, n->outputs[o])) return true;
    }
    return false;
}

/* Nodes without readers, left by an earlier pass, are removed later; computing them would be useless. */
static bool is_read(const skive_node *n) {
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        if (n->outputs[o] && skv_value_is_read(n->outputs[o])) return true;
    }
    return false;
}

/* Weights that are stored small on purpose: quantized weights, 16-bit floats of products, and weights with a codebook.
 * */
static bool stays(const skv_pass_env *env, const skive_node *n) {
    return n->op->no_fold || (!env->training && (skv_shared_has_node(n) || (!env->for_file && skv_stays_packed(n))));
}

enum { SMALL = 256 }; /* bytes by which a file may grow for one node less */

/* Bytes by which the file would grow: the results are added, inputs without other readers are removed. */
static int64_t growth(const skive_node *n) {
    int64_t bytes = 0;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const skive_value *v = n->outputs[o];
        if (v && skv_value_is_read(v)) bytes += skv_type_count(&v->type) * skive_dtype_bits(v->type.dtype) / 8;
    }
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_value *v = n->inputs[i];
        if (v && v->storage && v->n_uses == 1 && !v->output_uses && !skv_value_is_captured(v))
            bytes -= (int64_t)skive_tensor_bytes(skv_value_tensor(v));
    }
    return bytes;
}

static skive_status fold_all(const skv_pass_env *env, skive_graph *g, bool even_no_fold, size_t *changes) {
    skive_node **order = NULL;
    SKV_TRY(skv_graph_topo(g, &order));
    const uint32_t n = g->n_nodes;
    size_t left = 0;
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n && status == SKIVE_OK; i++) {
        if (!is_read(order[i]) || kept(env, order[i]) || !foldable(env, order[i])) continue;
        if (!even_no_fold && stays(env, order[i])) continue;
        if (env->for_file && growth(order[i]) > SMALL) {
            left++;
            continue;
        }
        status = fold(env, g, order[i]);
        ++*changes;
    }
    skv_free(env->ctx, order);
    if (left) {
        skv_note(env->ctx, "%zu node%s on constants %s left as %s: with %s computed, the file would be larger", left,
                 left == 1 ? "" : "s", left == 1 ? "is" : "are", left == 1 ? "it is" : "they are",
                 left == 1 ? "it" : "them");
    }
    return status;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return fold_all(env, g, false, changes);
}

const skv_pass skv_pass_fold_constants = {
    .name = "fold-constants",
    .brief = "computes nodes whose inputs are all constant",
    .when = SKV_PASS_CLEAN,
    .run = run,
};

/* Quantized weights that are not used by an integer node are needed as floats: computed once, not at every run. */
static skive_status run_dequantized(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return fold_all(env, g, true, changes);
}

const skv_pass skv_pass_fold_dequantized = {
    .name = "fold-dequantized",
    .brief = "converts weights that are stored quantized into floats",
    .when = SKV_PASS_EXECUTE,
    .run = run_dequantized,
};
