/* InfoNCE of embeddings (van den Oord, Li & Vinyals 2018), by label (Khosla et al. 2020, L_out): with the cosines s_ij
 * of the batch's samples divided by the temperature, and P(i) the others of i's class,
 * -1/|P(i)| sum_{p in P(i)} log(exp(s_ip) / sum_{j != i} exp(s_ij)), mean over the samples that have a P(i). Two views
 * of a sample are two samples with one label. */
#include "train/train.h"

static const skv_option options[] = {{.name = "temperature",
                                      .type = SKV_OPTION_REAL,
                                      .above = true,
                                      .most = 1e3,
                                      .fallback = 0.1,
                                      .brief = "by which cosines are divided"}};

static skive_value *two(skv_builder *b, const char *op, skive_value *x, skive_value *y) {
    return skv_emit(b, op, SKV_IN(x, y), SKV_NONE);
}

static skive_value *row_sum(skv_builder *b, const char *op, skive_value *x) {
    return skv_emit(b, op, SKV_IN(x, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE); /* [n][1] */
}

static skive_value *total(skv_builder *b, skive_value *x) {
    return skv_emit(b, "ReduceSum", SKV_IN(x), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skive_value *x = NULL, *same = NULL;
    if (skv_loss_embedding(b, a, "info-nce", true, &x, &same) != SKIVE_OK) return NULL;
    const skive_dtype dtype = x->type.dtype;
    skive_value *one = skv_emit_scalar(b, dtype, 1);
    skive_value *self = skv_emit(b, "EyeLike", SKV_IN(same), SKV_NONE);
    skive_value *partners = two(b, "Sub", same, self);
    skive_value *s = two(b, "MatMul", x, skv_emit(b, "Transpose", SKV_IN(x), SKV_NONE));
    s = two(b, "Mul", s, skv_emit_scalar(b, dtype, 1 / skv_loss_number(a, options)));
    /* A sample is not compared with itself: exp(-1e6) is 0. */
    skive_value *others = two(b, "Sub", s, two(b, "Mul", self, skv_emit_scalar(b, dtype, 1e6)));
    skive_value *minus_log = two(b, "Sub", row_sum(b, "ReduceLogSumExp", others), s); /* [n][n] */
    skive_value *n = row_sum(b, "ReduceSum", partners);
    skive_value *mean =
        two(b, "Div", row_sum(b, "ReduceSum", two(b, "Mul", minus_log, partners)), two(b, "Max", n, one));
    skive_value *counted = two(b, "Max", total(b, two(b, "Min", n, one)), one);
    return two(b, "Div", total(b, mean), counted);
}

const skv_loss skv_loss_info_nce = {
    .name = "info-nce",
    .brief = "of embeddings: samples of one class against all others of the batch, by their cosines",
    SKV_OPTIONS(options),
    .on_output = true,
    .raw = true,
    .kind = "embedding",
    .build = build,
};
