/* What the files of distillation share. */
#ifndef SKV_DISTILL_H
#define SKV_DISTILL_H

#include "base/option.h"
#include "train/objective.h"

extern const skv_table skv_distill_table;

/* "[TASK=][N:]OUTPUT" with more behind ';' (skive/distill.h). The heads point into *store and the teachers' graphs;
 * both are freed by skv_free, in case of failure too. Errors: NOT_FOUND (no such output), ARGUMENT. */
skive_status skv_teacher_heads_parse(skive_context *ctx, const char *text, const skv_teacher *teachers, size_t n,
                                     char **store, skv_teacher_head **heads, size_t *n_heads);
/* "known", or "[N:]FILE" with more behind ';': sets `part` and `classes`, which is freed by skive_class_names_free.
 * Errors: ARGUMENT, those of skv_class_names_read. */
skive_status skv_teacher_classes_parse(skive_context *ctx, const char *text, skv_teacher *teachers, size_t n);

#endif
