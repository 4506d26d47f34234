/* Recognising how an output was made: as probabilities by a softmax, by sigmoids, or not at all. Exporters put nodes
 * behind these that move numbers or round them, and write a softmax out as Exp, ReduceSum and Div. */
#include <string.h>

#include "graph/op.h"
#include "train/head/head.h"

static skive_node *made_by(const skive_value *v, skv_op_kind op) {
    skive_node *n = v ? v->producer : NULL;
    return skv_node_is(n, op) ? n : NULL;
}

/* What a node only moves, rounds or keeps within bounds; NULL when it does something else. */
static skive_value *passed_on(const skive_value *v) {
    const skive_node *n = v ? v->producer : NULL;
    const bool passes =
        skv_node_reshapes(n) || SKV_NODE_IS_ANY(n, SKV_OP_CAST, SKV_OP_TRANSPOSE, SKV_OP_DROPOUT, SKV_OP_CLIP,
                                                SKV_OP_QUANTIZE_LINEAR, SKV_OP_DEQUANTIZE_LINEAR, SKV_OP_EXPAND);
    return passes ? skv_node_in(n, 0) : NULL;
}

static const skive_value *source_of(const skive_value *v) {
    for (const skive_value *before = v; before; before = passed_on(v)) v = before;
    return v;
}

static bool is_number(const skive_value *v, double wanted) {
    const skive_tensor *t = skv_value_tensor(source_of(v));
    return t && skive_tensor_count(t) == 1 && skive_tensor_get(t, 0) == wanted;
}

/* The axis of a reduction that keeps or drops one axis; -1 for others. */
static int one_axis(const skive_node *reduce) {
    const skive_value *axes = skv_node_in(reduce, 1);
    const skive_tensor *t = skv_value_tensor(axes);
    const int rank = reduce->inputs[0]->type.rank;
    if (!t || skive_tensor_count(t) != 1 || rank < 1) return -1;
    return (int)skv_axis((int64_t)skive_tensor_get(t, 0), rank);
}

/* x of "x - max(x)", which has the same softmax as x; otherwise v itself. */
static skive_value *without_max(skive_value *v) {
    const skive_node *sub = made_by(v, SKV_OP_SUB);
    const skive_node *most = sub ? made_by(source_of(sub->inputs[1]), SKV_OP_REDUCE_MAX) : NULL;
    return most && source_of(most->inputs[0]) == source_of(sub->inputs[0]) ? sub->inputs[0] : v;
}

typedef struct found {
    skive_output_kind kind;
    skive_value *before;
    int axis; /* of the softmax; -1: sigmoid, no axis */
} found;

/* exp / sum(exp), as Div or as a product with the reciprocal. */
static bool written_softmax(const skive_value *top, skive_value *bottom, found *f) {
    const skive_node *sum = made_by(source_of(bottom), SKV_OP_REDUCE_SUM), *e = made_by(source_of(top), SKV_OP_EXP);
    if (!sum) sum = made_by(source_of(bottom), SKV_OP_REDUCE_L1); /* of what is above 0 anyway */
    if (!sum || !e || source_of(sum->inputs[0]) != e->outputs[0]) return false;
    *f = (found){SKIVE_OUTPUT_PROBABILITIES, without_max(e->inputs[0]), one_axis(sum)};
    return f->axis >= 0;
}

/* 1 + exp(-z): the value z, else NULL. */
static skive_value *one_plus_exp(const skive_value *v) {
    const skive_node *add = made_by(source_of(v), SKV_OP_ADD), *e, *neg;
    if (!add) return NULL;
    const bool first = is_number(add->inputs[0], 1), second = is_number(add->inputs[1], 1);
    if (first == second || !(e = made_by(source_of(add->inputs[first ? 1 : 0]), SKV_OP_EXP))) return NULL;
    if (!(neg = made_by(source_of(e->inputs[0]), SKV_OP_NEG))) return NULL;
    return neg->inputs[0];
}

static bool written_out(const skive_node *n, found *f) {
    if (skv_node_is(n, SKV_OP_DIV)) {
        if (written_softmax(n->inputs[0], n->inputs[1], f)) return true;
        *f = (found){SKIVE_OUTPUT_SIGMOID, is_number(n->inputs[0], 1) ? one_plus_exp(n->inputs[1]) : NULL, -1};
        return f->before != NULL;
    }
    if (skv_node_is(n, SKV_OP_MUL)) {
        for (int k = 0; k < 2; k++) {
            const skive_node *r = made_by(source_of(n->inputs[k]), SKV_OP_RECIPROCAL);
            if (r && written_softmax(n->inputs[1 - k], r->inputs[0], f)) return true;
        }
    }
    if (skv_node_is(n, SKV_OP_RECIPROCAL)) {
        *f = (found){SKIVE_OUTPUT_SIGMOID, one_plus_exp(n->inputs[0]), -1};
        return f->before != NULL;
    }
    if (skv_node_is(n, SKV_OP_SUB)) {
        const skive_node *l = made_by(source_of(n->inputs[1]), SKV_OP_REDUCE_LOG_SUM_EXP);
        if (!l || source_of(l->inputs[0]) != source_of(n->inputs[0])) return false;
        *f = (found){SKIVE_OUTPUT_LOG_PROBABILITIES, n->inputs[0], one_axis(l)};
        return f->axis >= 0;
    }
    return false;
}

static bool recognise(const skive_node *n, found *f, int depth) {
    if (n->n_inputs < 1 || !n->inputs[0]) return false;
    const int rank = n->inputs[0]->type.rank;
    if (skv_node_is(n, SKV_OP_SOFTMAX) || skv_node_is(n, SKV_OP_LOG_SOFTMAX)) {
        *f = (found){skv_node_is(n, SKV_OP_SOFTMAX) ? SKIVE_OUTPUT_PROBABILITIES : SKIVE_OUTPUT_LOG_PROBABILITIES,
                     n->inputs[0], rank > 0 ? (int)skv_axis(skv_attr_int(n, "axis", -1), rank) : -1};
        return f->axis >= 0;
    }
    if (skv_node_is(n, SKV_OP_SIGMOID)) {
        *f = (found){SKIVE_OUTPUT_SIGMOID, n->inputs[0], -1};
        return true;
    }
    if (skv_node_is(n, SKV_OP_HARD_SIGMOID)) { /* in 0 to 1, but no logarithm of odds stands before it */
        *f = (found){SKIVE_OUTPUT_SIGMOID, NULL, -1};
        return true;
    }
    const bool log = skv_node_is(n, SKV_OP_LOG), e = skv_node_is(n, SKV_OP_EXP);
    if ((log || e) && depth == 0) {
        const skive_node *inner = source_of(n->inputs[0])->producer;
        if (!inner || !recognise(inner, f, 1)) return false;
        if (f->kind != (log ? SKIVE_OUTPUT_PROBABILITIES : SKIVE_OUTPUT_LOG_PROBABILITIES)) return false;
        f->kind = log ? SKIVE_OUTPUT_LOG_PROBABILITIES : SKIVE_OUTPUT_PROBABILITIES;
        return true;
    }
    return written_out(n, f);
}

void skv_head_walk(skive_value *output, int64_t scores, skv_head *out) {
    const skive_node *n = source_of(output)->producer;
    found f;
    out->kind = SKIVE_OUTPUT_LOGITS;
    out->from = NULL;
    out->before = NULL;
    out->before_axis = -1;
    if (!n || !recognise(n, &f, 0)) return;
    /* A softmax over anything but the scores, such as places in a picture, does not make them probabilities of
     * classes. */
    if (f.axis >= 0 && scores > 0) {
        const int64_t size = f.before->type.dims[f.axis].size;
        if (size >= 0 && size != scores) return;
    }
    out->kind = f.kind;
    out->from = n->op_type;
    out->before = f.before;
    out->before_axis = f.axis;
}
