/* What the files of distillation share. */
#ifndef SKV_DISTILL_H
#define SKV_DISTILL_H

#include "train/teachers/lesson.h"

typedef struct skv_distill_job {
    skive_graph *student;
    const skive_graph *teacher; /* NULL: terms are of the student itself */
    skive_dataset *train, *validation;
    bool fixed; /* the student keeps its nodes: what would put some behind its output is refused */
} skv_distill_job;
/* A run with resolved options. */
skive_status skv_distill_run(skive_context *ctx, const skv_distill_job *job, const skive_distill_options *o,
                             skive_train_report *report);

/* ---- students side by side (beside.c) ---- */

enum { SKV_BESIDE_MOST = 16 };

/* Students in one graph, which see the same samples. */
typedef struct skv_beside {
    skive_context *ctx;
    skive_graph *all;                   /* the first student, and the others beside it; freed by skive_graph_free */
    char prefixes[SKV_BESIDE_MOST][40]; /* of the names of their values there */
    size_t n;                           /* that are in it */
} skv_beside;
/* Errors: ARGUMENT (fewer than two, more than SKV_BESIDE_MOST, or one is missing), SHAPE (their inputs, or the settings
 * of these, differ). */
skive_status skv_beside_check(skive_context *ctx, skive_graph *const *students, size_t n);
/* Puts a copy of the next student in, which it takes: *answer, a value of it, becomes that of the whole graph. */
skive_status skv_beside_add(skv_beside *b, skive_graph *copy, skive_value **answer);
/* The numbers of student `i` from the graph of all. */
void skv_beside_take_back(const skv_beside *b, skive_graph *student, size_t i);

#endif
