/* What a student is taught by the options of distillation (skive/distill.h): teachers, terms and their weights, as an
 * objective for any run, be it training or quantization-aware training. */
#ifndef SKV_LESSON_H
#define SKV_LESSON_H

#include <skive/distill.h>

#include "base/option.h"
#include "train/objective.h"

extern const skv_table skv_distill_table;

typedef struct skv_lesson {
    skive_context *ctx;
    skv_objective objective; /* of what follows */
    skv_teacher *teachers;
    skv_term *terms;
    skv_term_text *texts; /* to which the terms point */
    double *alone;        /* [n_terms] */
    size_t n_teachers, n_terms;
    skv_teacher_head *heads;
    size_t n_heads;
    char *heads_text; /* to which the heads point */
} skv_lesson;
/* `o`: resolved options, which live as long as the lesson. `teacher`: the first; NULL: the terms are of the student
 * itself. `student`: its metadata say what its input is. skv_lesson_free(out) in any case. Errors: as skive_distill. */
skive_status skv_lesson_make(skive_context *ctx, const skive_distill_options *o, const skive_graph *teacher,
                             const skive_graph *student, skv_lesson *out);
void skv_lesson_free(skv_lesson *l);
/* The samples with labels and those without in one set, which a note tells; NULL where there are none without. */
skive_status skv_lesson_join(skive_context *ctx, const skive_dataset *train, const skive_dataset *unlabelled,
                             skive_dataset **out);

/* "[TASK=][N:]OUTPUT" with more behind ';' (skive/distill.h). The heads point into *store and the teachers' graphs;
 * both are freed by skv_free, in case of failure too. Errors: NOT_FOUND (no such output), ARGUMENT. */
skive_status skv_teacher_heads_parse(skive_context *ctx, const char *text, const skv_teacher *teachers, size_t n,
                                     char **store, skv_teacher_head **heads, size_t *n_heads);
/* "known", or "[N:]FILE" with more behind ';': sets `part` and `classes`, which is freed by skive_class_names_free.
 * Errors: ARGUMENT, those of skv_class_names_read. */
skive_status skv_teacher_classes_parse(skive_context *ctx, const char *text, skv_teacher *teachers, size_t n);

#endif
