/* Weights that are learned: softmax of one number a teacher, trained along by the cross-entropy of the teachers'
 * combined probabilities on the labels. The student's own terms do not move them: a student would choose the teacher
 * that is easiest to follow. */
#include "train/combine.h"
#include "train/terms/term.h"

static void weigh(skv_builder *b, const skv_combine_args *a, skive_value **weights, skive_value **more) {
    const skv_loss_args args = {.logits = a->at->logits,
                                .labels = a->at->labels,
                                .n_classes = a->at->targets->info.classes,
                                .name = "skive.teachers"};
    const int64_t n = (int64_t)a->n;
    skive_value *sum = NULL;
    if (b->status != SKIVE_OK) return;
    skive_value *raw = skv_term_filled(b, &args, "weights", a->scores[0]->type.dtype, 1, &n, 0, true);
    skive_value *shares = skv_emit(b, "Softmax", SKV_IN(raw), SKV_ATTRS(SKV_INT("axis", 0)));
    for (int64_t i = 0; i < n && b->status == SKIVE_OK; i++) {
        skive_value *own = skv_term_two(b, "Gather", shares, skv_emit_scalar(b, SKIVE_I64, (double)i));
        skive_value *p = skv_emit(b, "Softmax", SKV_IN(a->scores[i]), SKV_ATTRS(SKV_INT("axis", 1)));
        p = skv_term_two(b, "Mul", p, own);
        sum = sum ? skv_term_two(b, "Add", sum, p) : p;
        weights[i] = skv_term_detach(b, own);
    }
    skive_value *label = skv_loss_target(b, &args, 0, 0);
    skive_value *right = skv_term_reduce(b, "ReduceSum", skv_term_two(b, "Mul", sum, label), 1, false);
    right = skv_term_one(b, "Log", skv_term_two(b, "Max", right, skv_term_scalar(b, right, 1e-30)));
    *more = skv_term_times(b, skv_term_mean(b, right), -1);
}

const skv_combine skv_combine_learned = {.name = "learned",
                                         .brief = "by weights that are trained along on the labels",
                                         .needs_classes = true,
                                         .weigh = weigh};
