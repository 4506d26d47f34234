/* The channel axis of a model's input: from the metadata, from the nodes that read the input, or guessed from the
 * dimensions. */
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "graph/meta_keys.h"

enum { MOST_STEPS = 64 };

int skv_channel_axis_of(int rank, const int64_t *dims) {
    if (rank < 3) return -1;
    const int64_t a = dims[0], b = dims[rank - 1];
    const bool first = a == 1 || a == 3 || a == 4, last = b == 1 || b == 3 || b == 4;
    return first == last ? -1 : first ? 0 : rank - 1;
}

const char *skv_shape_text(int rank, const int64_t *dims, char *buffer, size_t size) {
    size_t at = 0;
    buffer[0] = '\0';
    for (int d = 0; d <= rank && at < size; d++) {
        int n;
        if (d == rank)
            n = snprintf(buffer + at, size - at, rank ? "]" : "[]");
        else if (dims[d] < 0)
            n = snprintf(buffer + at, size - at, "%s?", d ? ", " : "[");
        else
            n = snprintf(buffer + at, size - at, "%s%lld", d ? ", " : "[", (long long)dims[d]);
        at += n > 0 ? (size_t)n : 0;
    }
    return buffer;
}

/* ---- by use ---- */

#define IS_ONE_OF(n, list) skv_node_is_any(n, list, sizeof(list) / sizeof(list)[0])

/* The input of these operators has its channels on axis 1. */
static const skv_op_kind channel_ops[] = {
    SKV_OP_CONV,     SKV_OP_CONV_TRANSPOSE,      SKV_OP_CONV_INTEGER,           SKV_OP_Q_LINEAR_CONV,
    SKV_OP_MAX_POOL, SKV_OP_AVERAGE_POOL,        SKV_OP_GLOBAL_AVERAGE_POOL,    SKV_OP_GLOBAL_MAX_POOL,
    SKV_OP_LP_POOL,  SKV_OP_BATCH_NORMALIZATION, SKV_OP_INSTANCE_NORMALIZATION, SKV_OP_GROUP_NORMALIZATION,
    SKV_OP_PRELU,    SKV_OP_DEPTH_TO_SPACE,      SKV_OP_SPACE_TO_DEPTH,         SKV_OP_LRN};
/* The input of these operators has its features on the last axis. */
static const skv_op_kind feature_ops[] = {SKV_OP_MAT_MUL, SKV_OP_LSTM, SKV_OP_GRU,
                                          SKV_OP_RNN,     SKV_OP_GEMM, SKV_OP_MAT_MUL_INTEGER};
/* These operators keep the order of the axes. */
static const skv_op_kind plain_ops[] = {
    SKV_OP_IDENTITY, SKV_OP_CAST,    SKV_OP_ADD,       SKV_OP_SUB,    SKV_OP_MUL,
    SKV_OP_DIV,      SKV_OP_CLIP,    SKV_OP_RELU,      SKV_OP_NEG,    SKV_OP_ABS,
    SKV_OP_PAD,      SKV_OP_RESIZE,  SKV_OP_SLICE,     SKV_OP_CONCAT, SKV_OP_QUANTIZE_LINEAR,
    SKV_OP_UPSAMPLE, SKV_OP_DROPOUT, SKV_OP_SQRT,      SKV_OP_POW,    SKV_OP_DEQUANTIZE_LINEAR,
    SKV_OP_SIGMOID,  SKV_OP_TANH,    SKV_OP_LEAKY_RELU};

/* axis[d]: the input's axis that axis d of v is, -1: none. */
static int axis_by_use(const skive_value *v, const int *axis, int rank, int *steps) {
    for (uint32_t u = 0; u < v->n_uses; u++) {
        const skive_node *n = v->uses[u].node;
        int after[SKIVE_MAX_RANK], found = -1;
        if (++*steps > MOST_STEPS) return -1;
        if (v->uses[u].index != 0 && !skv_node_is(n, SKV_OP_CONCAT) && !skv_node_is(n, SKV_OP_ADD) &&
            !skv_node_is(n, SKV_OP_MUL))
            continue;
        if (IS_ONE_OF(n, channel_ops) && rank >= 3) return axis[1];
        if (IS_ONE_OF(n, feature_ops) && rank == 3) return axis[2];
        if (n->n_outputs < 1 || !n->outputs[0]) continue;
        memcpy(after, axis, sizeof after);
        if (skv_node_is(n, SKV_OP_TRANSPOSE)) {
            size_t count = 0;
            const int64_t *perm = skv_attr_ints(n, "perm", &count);
            for (int d = 0; d < rank; d++) {
                const int64_t from = perm && count == (size_t)rank ? perm[d] : rank - 1 - d;
                after[d] = from >= 0 && from < rank ? axis[from] : -1;
            }
        } else if (!IS_ONE_OF(n, plain_ops) || n->outputs[0]->type.rank != rank) {
            continue;
        }
        found = axis_by_use(n->outputs[0], after, rank, steps);
        if (found >= 0) return found;
        /* A value that is transposed from one layout to the other had the first one. */
        if (skv_node_is(n, SKV_OP_TRANSPOSE) && rank >= 4 && after[0] == 0) {
            if (after[1] == rank - 1 && after[rank - 1] == rank - 2) return rank - 1;
            if (after[1] == 2 && after[rank - 1] == 1) return 1;
        }
    }
    return -1;
}

int skv_input_channel_axis(const skive_graph *g, size_t index) {
    const skive_value *v = index < g->n_inputs ? g->inputs[index] : NULL;
    const char *told = v ? skv_input_meta(g, index, SKV_META_INPUT_LAYOUT) : NULL;
    int64_t dims[SKIVE_MAX_RANK];
    int axis[SKIVE_MAX_RANK], steps = 0;
    if (!v || v->type.rank < 3) return -1;
    const int rank = v->type.rank;
    if (told && strcmp(told, "nhwc") == 0) return rank - 2;
    if (told && strcmp(told, "nchw") == 0) return 0;
    for (int d = 0; d < rank; d++) axis[d] = d;
    const int used = axis_by_use(v, axis, rank, &steps);
    if (used == 1) return 0;
    if (used == rank - 1) return rank - 2;
    for (int d = 1; d < rank; d++) dims[d - 1] = v->type.dims[d].size;
    return skv_channel_axis_of(rank - 1, dims);
}

void skv_input_image(const skive_graph *g, size_t index, int64_t *channels, int64_t *height, int64_t *width) {
    const skive_type *t = index < g->n_inputs ? &g->inputs[index]->type : NULL;
    *channels = *height = *width = 0;
    if (!t || t->rank < 3 || t->rank > 4) return;
    if (t->rank == 3) {
        /* [N, h, w]: an image of one channel, unless the nodes read it as a series. */
        if (skv_input_channel_axis(g, index) >= 0) return;
        *channels = 1;
        *height = t->dims[1].size > 0 ? t->dims[1].size : 0;
        *width = t->dims[2].size > 0 ? t->dims[2].size : 0;
        return;
    }
    const int c = skv_input_channel_axis(g, index) == 2 ? 3 : 1, h = c == 1 ? 2 : 1;
    *channels = t->dims[c].size > 0 ? t->dims[c].size : 0;
    *height = t->dims[h].size > 0 ? t->dims[h].size : 0;
    *width = t->dims[h + 1].size > 0 ? t->dims[h + 1].size : 0;
}

size_t skv_input_for(const skive_graph *g, const char *name) {
    size_t first = g->n_inputs;
    for (size_t i = 0; i < g->n_inputs; i++) {
        int64_t channels, height, width;
        if (name && strcmp(g->inputs[i]->name, name) == 0) return i;
        skv_input_image(g, i, &channels, &height, &width);
        if (first == g->n_inputs && (channels || height || width)) first = i;
    }
    return first < g->n_inputs ? first : 0;
}

void skive_model_input_image(const skive_graph *g, int64_t *channels, int64_t *height, int64_t *width) {
    if (!channels || !height || !width) return;
    *channels = *height = *width = 0;
    if (g) skv_input_image(g, 0, channels, height, width);
}
