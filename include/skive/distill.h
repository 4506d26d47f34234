/* Distillation: a student learns from a teacher's softened outputs (Hinton, Vinyals & Dean 2015):
 * loss = (1 - alpha) * cross-entropy(labels) + alpha * T^2 * KL(teacher/T || student/T). */
#ifndef SKIVE_DISTILL_H
#define SKIVE_DISTILL_H

#include <skive/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_distill_options {
    size_t size;
    double temperature;               /* T > 0 */
    double alpha;                     /* in [0, 1]: weight of the teacher in the loss */
    const skive_train_options *train; /* NULL: skive_train_options_default() */
} skive_distill_options;
SKIVE_API skive_distill_options skive_distill_options_default(void); /* T 4, alpha 0.7 */

/* Trains `student` in place. The teacher is not modified; it runs in the same graph, in inference form. Both take the
 * same input; each keeps its own normalisation. Errors: SHAPE (inputs or outputs differ), ARGUMENT, as skive_train. */
SKIVE_API skive_status skive_distill(skive_context *ctx, skive_graph *student, const skive_graph *teacher,
                                     skive_dataset *train, skive_dataset *validation,
                                     const skive_distill_options *options, skive_train_report *report);

#ifdef __cplusplus
}
#endif
#endif
