/* Distillation: a student learns from a teacher's softened outputs (Hinton, Vinyals & Dean 2015):
 * loss = (1 - alpha) * cross-entropy(labels) + alpha * T^2 * KL(teacher/T || student/T),
 * and from further terms between values of both networks, each with its own weight (docs/distillation.md). */
#ifndef SKIVE_DISTILL_H
#define SKIVE_DISTILL_H

#include <skive/eval.h>
#include <skive/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_distill_options {
    size_t size;
    double temperature;               /* T > 0 */
    double alpha;                     /* in [0, 1]: weight of the teacher in the loss */
    const skive_train_options *train; /* NULL: skive_train_options_default() */
    /* Further terms of the loss, "hint:student=relu2,teacher=relu4,weight=10;relation", separated by ';'. A name of
     * terms.inc and its options. Terms on values inside the networks find them by themselves, unless both sides are
     * named: by name or a pattern with *, several with '+' between, paired one by one. A layer of a term's own is
     * trained along and is no part of the student. NULL: none. */
    const char *terms;
    /* Several teachers: those besides `teacher`, borrowed during the call. Soft labels and the other terms on scores
     * have them combined; terms on values take the first unless of=N says which. Memory: one teacher's activations at a
     * time, and the parameters of all. */
    const skive_graph *const *more_teachers; /* [n_more_teachers] */
    size_t n_more_teachers;
    /* How they are combined: "mean" (of the probabilities at the temperature), "weights", "confidence" (for each
     * sample, by the teachers' loss on the label, or "confidence:by=entropy"), "learned". NULL: mean, or weights
     * where some are given. */
    const char *combine;
    /* [1 + n_more_teachers] weights of the teachers; those of 0 share what the others leave of 1. NULL: all 0. */
    const double *weights;
    const char *const *names; /* [1 + n_more_teachers] for messages, or NULL */
    /* More samples, whose labels are not used: alpha is 1 for them. An epoch has them and those of `train` in one
     * random order, and the loss is the mean over both. They have the form of those of `train`, which has one class
     * label a sample. Borrowed during the call. NULL: none. */
    const skive_dataset *unlabelled;
    /* File that keeps the teachers' scores of each sample. It is made where there is none, and filled as samples are
     * seen; a later run of the same teachers, data and augmentation takes them from there, with the bits of a run
     * without it. A file of other answers is refused. Not with terms on values inside the networks, nor with transforms
     * that mix samples. NULL: none. */
    const char *cache;
    /* What augmentation draws repeats after so many epochs, so that as many views of each sample are kept; 0: it does
     * not, and each epoch is a view. */
    int64_t cache_views;
    /* What the teachers see of augmented samples: "same" as the student, "own" (draws of their own), "plain" (not
     * augmented, as if each sample had one view). The last two only with terms on scores. NULL: same. */
    const char *teacher_view;
    /* Which output of which teacher teaches what, "[TASK=][N:]OUTPUT" with more behind ';': "kind=1:kind;garment=2:".
     * TASK is a target of the data or an output of the student, and may be left out where that is the only one. N, from
     * 1, is the teacher, which may be left out where one alone has an output of the name; "N:" is its only output. A
     * student learns all of its outputs so; several teachers of one are combined. NULL: each teacher teaches all
     * outputs, by those of the same name or the only ones that fit. */
    const char *teacher_heads;
    /* Teachers that know a part of the classes: "known" (all teachers, by the names in their metadata), or
     * "[N:]FILE" with more behind ';': the names of teacher N's scores (1), one a line. The student learns from such a
     * teacher on the classes that both know: soft labels among these, of samples of these classes; those of classes
     * that no teacher knows learn from their labels alone. Of the terms on scores "kl" does so. NULL: all classes must
     * be known. */
    const char *teacher_classes;
} skive_distill_options;
SKIVE_API skive_distill_options skive_distill_options_default(void); /* T 4, alpha 0.7 */

/* Trains `student` in place. The teacher is not modified; it runs in the same graph, in inference form. Both take the
 * same samples; each keeps its own normalisation, and images are resized for a teacher of another size. Classes are
 * matched by name where both have names. Errors: SHAPE (outputs differ, values of a term do not fit), DATA (a class
 * that a teacher does not know, or too few that it does), NOT_FOUND (a value that a term names, an output or a task
 * that teacher_heads names), IO (a file of classes), ARGUMENT, as skive_train. `teacher` may be NULL where the terms
 * are of the model itself ("peer"): the labels have the weight 1 then. */
SKIVE_API skive_status skive_distill(skive_context *ctx, skive_graph *student, const skive_graph *teacher,
                                     skive_dataset *train, skive_dataset *validation,
                                     const skive_distill_options *options, skive_train_report *report);

/* ---- several students of a task each ---- */

/* Students that each learn a task, a target of the data, in one run: those of a teacher of several tasks, or of several
 * teachers. tasks[i] is the name of the target that students[i] learns; options->teacher_heads says which output of
 * which teacher teaches it ("kind=KIND;age=2:"), unless names or shapes tell. Teachers run once for all students. With
 * options->train->outputs tasks have weights ("kind=1;age=0.3"). Students are trained in place; each gets the numbers
 * of a run of its own with the same options (clipping by norm and the best epoch are of all together), and its output
 * the name of its task, unless another value has it. They take the same inputs with the same settings. Terms on values
 * inside name their values. Errors: ARGUMENT (fewer than two students, or two of one task), NOT_FOUND (no such target),
 * SHAPE (inputs differ; it is not clear which output is meant), as skive_distill. */
SKIVE_API skive_status skive_distill_tasks(skive_context *ctx, skive_graph *const *students, const char *const *tasks,
                                           size_t n, const skive_graph *teacher, skive_dataset *train,
                                           skive_dataset *validation, const skive_distill_options *options,
                                           skive_train_report *report);

/* ---- early exits ---- */

/* Puts further outputs, "exit1", "exit2" ..., at earlier places of a network for classes: the maps of a place are
 * averaged to about 4 x 4 places, and a linear layer makes scores of them. `where`: "auto" (the last maps of each size
 * but the smallest), or names of values with '+' between. The metadata name the output that was there as the model's
 * answer, and the exits ("skive.exits"). `set` says what the answer is. *added (may be NULL) is their number. With the
 * terms "peer:value=exit1;..." skive_distill trains them. Errors: NOT_FOUND (a value), SHAPE (no maps to put one at;
 * the model has no scores of classes), GRAPH (it has exits already), MEMORY; the graph is unchanged then. */
SKIVE_API skive_status skive_model_add_exits(skive_graph *graph, const skive_dataset *set, const char *where,
                                             size_t *added);

typedef struct skive_exit {
    char *name;          /* of the output */
    double accuracy;     /* of all samples that are measured, if all left here */
    double share;        /* of them that leave here, with the threshold */
    double milliseconds; /* of one sample up to here: median of runs at batch 1 */
    int64_t macs;        /* the same in multiply-adds */
} skive_exit;
typedef struct skive_exits_report {
    size_t n;          /* exits and, as the last, the answer */
    skive_exit *exits; /* [n] */
    double
        threshold; /* a sample leaves at the first exit whose largest probability is this or more; above 1: none does */
    double accuracy;           /* of the samples that leave so */
    double last;               /* accuracy of the last exit alone */
    double early;              /* share of samples that leave before it */
    double milliseconds;       /* of a sample, mean over where they leave */
    size_t chosen_on, samples; /* the threshold was found on so many samples, and all else is of as many others */
} skive_exits_report;
/* Finds the lowest threshold that costs no more than 0.2 points of accuracy against the last exit, a standard error
 * included, on every second sample of the set, and measures it on the others. Writes it to the metadata
 * ("skive.exits.threshold"). Errors: NOT_FOUND (the model has no exits), DATA (too few samples, no labels), as
 * skive_evaluate. */
SKIVE_API skive_status skive_exits_measure(skive_context *ctx, skive_graph *graph, skive_dataset *set,
                                           skive_exits_report *out);
SKIVE_API void skive_exits_report_free(skive_context *ctx, skive_exits_report *report);

/* ---- mutual learning ---- */

/* Students that learn from the labels and from one another at the same time (Zhang et al. 2018): for each the
 * cross-entropy and the mean over the others of T^2 KL(other || it), with options->temperature. They are trained in
 * place, on the same samples in one graph, and take the same inputs with the same settings. Figures of `report`, and
 * the best epoch, are of the first. Of the options those of teachers and alpha have no effect. Errors: ARGUMENT
 * (fewer than two), SHAPE (they differ in inputs or scores), as skive_train. */
SKIVE_API skive_status skive_distill_mutual(skive_context *ctx, skive_graph *const *students, size_t n,
                                            skive_dataset *train, skive_dataset *validation,
                                            const skive_distill_options *options, skive_train_report *report);

/* Several models as one that answers with the mean of their probabilities (of regression, of their values): the mean of
 * an ensemble. All take the same inputs; `set` says what the answer is. *out is freed by skive_graph_free. Errors:
 * SHAPE (inputs or outputs differ), ARGUMENT, as skive_model_output. */
SKIVE_API skive_status skive_model_ensemble(skive_context *ctx, const skive_graph *const *members, size_t n,
                                            const skive_dataset *set, skive_graph **out);

/* Copies numbers from a larger network into a student of the same kind: parameters of the same name and shape; of
 * layers with numbers in their names, where the teacher has more, every n-th, so that the last belongs to the last
 * (Sanh et al. 2019). A note tells how many; *copied (may be NULL) is their number. Errors: NOT_FOUND (none fits;
 * nothing is changed), MEMORY. */
SKIVE_API skive_status skive_model_start_from(skive_graph *student, const skive_graph *teacher, size_t *copied);

#ifdef __cplusplus
}
#endif
#endif
