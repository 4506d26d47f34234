/* An example of a term (as term_hint.c is one of the library): a value in the middle of the model is brought to the
 * size of one of the teacher's by a layer of the term's own, which is trained along and is no part of the model; the
 * term is the mean squared difference of the two. */
#include <math.h>

#include "train/train.h"

/* A 1x1 convolution for [N, C, H, W], a product for [N, C]. */
static skive_value *regress(skv_builder *b, const skv_loss_args *a) {
    const skive_type *x = &a->feature->type, *t = &a->example->type;
    bool fits = x->rank == t->rank && (x->rank == 2 || x->rank == 4);
    for (int d = 2; fits && d < x->rank; d++) fits = x->dims[d].size == t->dims[d].size;
    if (!fits || x->dims[1].size < 1 || t->dims[1].size < 1) {
        char of_model[160], of_teacher[160];
        skv_type_text(x, of_model, sizeof of_model);
        skv_type_text(t, of_teacher, sizeof of_teacher);
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_SHAPE, a->feature->name,
                                "match: '%s' is %s, but the teacher's '%s' is %s; they must differ in channels only",
                                a->feature->name, of_model, a->example->name, of_teacher);
        return NULL;
    }
    const int64_t in = x->dims[1].size, out = t->dims[1].size;
    const double deviation = 1 / sqrt((double)in);
    if (x->rank == 4) {
        const int64_t dims[4] = {out, in, 1, 1};
        return skv_emit(b, "Conv", SKV_IN(a->feature, skv_term_parameter(b, a, "weight", 4, dims, deviation)),
                        SKV_NONE);
    }
    const int64_t dims[2] = {in, out};
    return skv_emit(b, "MatMul", SKV_IN(a->feature, skv_term_parameter(b, a, "weight", 2, dims, deviation)), SKV_NONE);
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    if (b->status != SKIVE_OK) return NULL;
    skive_value *y = regress(b, a);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *d = skv_emit(b, "Sub", SKV_IN(y, a->example), SKV_NONE);
    return skv_emit(b, "ReduceMean", SKV_IN(skv_emit(b, "Mul", SKV_IN(d, d), SKV_NONE)),
                    SKV_ATTRS(SKV_INT("keepdims", 0)));
}

const skv_loss skv_loss_match = {
    .name = "match",
    .brief = "a value of the model, behind a layer of its own, is like one of the teacher",
    .needs_features = true,
    .build = build,
};
