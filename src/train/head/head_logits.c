/* The logits of a head as a value of a training graph. */
#include "graph/op.h"
#include "train/head/head.h"

static skive_value *number(skv_builder *b, const skive_value *like, double x) {
    return skv_emit_scalar(b, like->type.dtype, x);
}

/* Scores a sample of a value, whose class axis may stand anywhere among axes of 1. */
static skive_value *as_rows(skv_builder *b, skive_value *v, int axis, int64_t scores) {
    const int rank = v ? v->type.rank : -1;
    int wide = 0;
    if (!v || b->status != SKIVE_OK) return NULL;
    if (rank == 2 && (axis == 1 || axis < 0) && v->type.dims[1].size > 0) return v;
    if (axis >= 0 && axis < rank - 1) {
        for (int d = axis + 1; d < rank; d++) wide += v->type.dims[d].size != 1;
        int64_t order[SKIVE_MAX_RANK];
        int n = 0;
        for (int d = 0; d < rank; d++) {
            if (d != axis) order[n++] = d;
        }
        order[n++] = axis;
        if (wide) v = skv_emit(b, "Transpose", SKV_IN(v), SKV_ATTRS(SKV_INTS("perm", order, (size_t)n)));
    }
    return skv_emit(b, "Reshape", SKV_IN(v, skv_emit_ints(b, (const int64_t[]){-1, scores}, 2)), SKV_NONE);
}

/* Logarithms of what are probabilities without a node that says so; kept off 0, whose logarithm no gradient comes
 * through. */
static skive_value *log_of(skv_builder *b, skive_value *p) {
    skive_value *kept = skv_emit(b, "Max", SKV_IN(p, number(b, p, 1e-7)), SKV_NONE);
    return skv_emit(b, "Log", SKV_IN(kept), SKV_NONE);
}

static skive_value *log_odds(skv_builder *b, skive_value *p) {
    skive_value *not_p = skv_emit(b, "Sub", SKV_IN(number(b, p, 1), p), SKV_NONE);
    return skv_emit(b, "Sub", SKV_IN(log_of(b, p), log_of(b, not_p)), SKV_NONE);
}

skive_value *skv_head_logits(skv_builder *b, const skv_head *h) {
    skive_value *v = h->before ? h->before : h->value;
    const int64_t scores = h->scores > 0 ? h->scores : -1;
    if (b->status != SKIVE_OK) return NULL;
    if (scores < 0) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, h->value->name,
                                "the number of scores per sample of output '%s' cannot be determined from the model",
                                h->value->name);
        return NULL;
    }
    v = as_rows(b, v, h->before ? h->before_axis : -1, scores);
    if (!h->before && v && h->kind == SKIVE_OUTPUT_PROBABILITIES) v = log_of(b, v);
    if (!h->before && v && h->kind == SKIVE_OUTPUT_SIGMOID) v = log_odds(b, v);
    if (h->task == SKIVE_TASK_BINARY && v) {
        skive_value *zero = skv_emit(b, "Mul", SKV_IN(v, number(b, v, 0)), SKV_NONE);
        v = skv_emit(b, "Concat", SKV_IN(zero, v), SKV_ATTRS(SKV_INT("axis", 1)));
    }
    return v;
}
