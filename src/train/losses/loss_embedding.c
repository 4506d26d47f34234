/* What losses on embeddings share: one vector a sample, and which samples have one class. */
#include "train/train.h"

static skive_value *ints(skv_builder *b, int64_t x) { return skv_emit_ints(b, &x, 1); }

skive_status skv_loss_embedding(skv_builder *b, const skv_loss_args *a, const char *who, bool normalise,
                                skive_value **rows, skive_value **same) {
    skive_value *x = skv_loss_output(a);
    if (b->status != SKIVE_OK) return b->status;
    if (a->labels->type.dtype != SKIVE_I64 || a->labels->type.rank != 1)
        return b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_DATA, who, "%s needs one class label a sample", who);
    if (x->type.rank != 2) x = skv_emit(b, "Flatten", SKV_IN(x), SKV_ATTRS(SKV_INT("axis", 1)));
    if (normalise && b->status == SKIVE_OK) {
        skive_value *least = skv_emit_scalar(b, x->type.dtype, 1e-12);
        skive_value *squares = skv_emit(b, "ReduceSumSquare", SKV_IN(x, ints(b, 1)), SKV_NONE);
        skive_value *length =
            skv_emit(b, "Sqrt", SKV_IN(skv_emit(b, "Max", SKV_IN(squares, least), SKV_NONE)), SKV_NONE);
        x = skv_emit(b, "Div", SKV_IN(x, length), SKV_NONE);
    }
    skive_value *column = skv_emit(b, "Unsqueeze", SKV_IN(a->labels, ints(b, 1)), SKV_NONE);
    skive_value *row = skv_emit(b, "Unsqueeze", SKV_IN(a->labels, ints(b, 0)), SKV_NONE);
    skive_value *equal = skv_emit(b, "Equal", SKV_IN(column, row), SKV_NONE);
    if (b->status != SKIVE_OK) return b->status;
    *same = skv_emit(b, "Cast", SKV_IN(equal), SKV_ATTRS(SKV_INT("to", x->type.dtype)));
    *rows = x;
    return b->status;
}
