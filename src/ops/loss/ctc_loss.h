/* What CtcLoss and its gradient share. */
#ifndef SKV_OPS_CTC_LOSS_H
#define SKV_OPS_CTC_LOSS_H

#include "ops/common_nn.h"

extern const skv_attr_spec skv_ctc_attrs[3]; /* blank, zero_infinity, every */

/* Scores [n][steps][classes], labels [n][places] and, where there are any, lengths [n] as inputs `first` to
 * first + 2. */
skive_status skv_ctc_check(skv_infer *c, size_t first);
/* The losses [n] and, if `gradient` is not NULL, [n][steps][classes] with respect to the scores times `factor`[n]. */
skive_status skv_ctc_run(const skv_eval *c, size_t first, const skive_tensor *losses, const skive_tensor *factor,
                         const skive_tensor *gradient);

#endif
