/* What teaching terms share: short forms of nodes, bindings, layers of their own, and numbers that they keep. */
#ifndef SKV_TRAIN_TERM_H
#define SKV_TRAIN_TERM_H

#include "train/train.h"

/* The options that every term has: its weight (beside the others, `usual` by default), the course of the weight, and
 * the part of the run that it has for itself. Then those of terms on values inside the networks, and on scores. */
#define SKV_TERM_WEIGHT(usual)                                                          \
    {.name = "weight",                                                                  \
     .type = SKV_OPTION_REAL,                                                           \
     .most = 1e9,                                                                       \
     .fallback = (usual),                                                               \
     .brief = "factor on the term in the sum of the loss"},                             \
        {.name = "schedule",                                                            \
         .type = SKV_OPTION_CHOICE,                                                     \
         .choices = skv_schedule_name,                                                  \
         .what = "schedule",                                                            \
         .brief = "how the weight changes in the run (default: it stays)"},             \
        {.name = "alone",                                                               \
         .type = SKV_OPTION_REAL,                                                       \
         .most = 1,                                                                     \
         .below = true,                                                                 \
         .brief = "first part of the run that has this term alone, which then ends"},   \
    {                                                                                   \
        .name = "of", .type = SKV_OPTION_INTEGER, .most = 64,                           \
        .brief = "number of the teacher; 0: of scores all of them, of values the first" \
    }
#define SKV_TERM_PAIR                                                                                               \
    {.name = "auto",                                                                                                \
     .type = SKV_OPTION_SWITCH,                                                                                     \
     .brief = "find the values that belong together; the default where none are named"},                            \
        {.name = "teacher",                                                                                         \
         .type = SKV_OPTION_TEXT,                                                                                   \
         .brief = "values of the teacher: a name or a pattern with *, several with + between"},                     \
    {                                                                                                               \
        .name = "student", .type = SKV_OPTION_TEXT, .brief = "values of the student, in the order of the teacher's" \
    }
#define SKV_TERM_TEMPERATURE                                                                        \
    {                                                                                               \
        .name = "temperature", .type = SKV_OPTION_REAL, .above = true, .most = 1000, .fallback = 4, \
        .brief = "temperature that softens the scores (default: that of the run)"                   \
    }

/* ---- nodes ---- */

skive_value *skv_term_one(skv_builder *b, const char *op, skive_value *x);
skive_value *skv_term_two(skv_builder *b, const char *op, skive_value *x, skive_value *y);
skive_value *skv_term_scalar(skv_builder *b, const skive_value *like, double number);
skive_value *skv_term_times(skv_builder *b, skive_value *x, double factor);
skive_value *skv_term_plus(skv_builder *b, skive_value *x, double summand);
/* ReduceSum, ReduceMean ... over one axis, which stays as 1 if `keep`. */
skive_value *skv_term_reduce(skv_builder *b, const char *op, skive_value *x, int axis, bool keep);
skive_value *skv_term_mean(skv_builder *b, skive_value *x); /* of all numbers: a scalar */
skive_value *skv_term_square(skv_builder *b, skive_value *x);
skive_value *skv_term_mean_square(skv_builder *b, skive_value *x, skive_value *y); /* mean of (x - y)^2 */
skive_value *skv_term_huber(skv_builder *b, skive_value *x, skive_value *y);       /* mean; threshold 1 */
skive_value *skv_term_transpose(skv_builder *b, skive_value *x);                   /* the last two axes */
skive_value *skv_term_reshape(skv_builder *b, skive_value *x, int rank, const int64_t *dims);
skive_value *skv_term_rows(skv_builder *b, skive_value *x); /* [n][all else] */
/* Divided by its length along the axis, which is at least 1e-6. */
skive_value *skv_term_unit(skv_builder *b, skive_value *x, int axis);
/* Cosines of rows [n][d] with rows [m][d]: [n][m]. */
skive_value *skv_term_cosines(skv_builder *b, skive_value *x, skive_value *y);
skive_value *skv_term_detach(skv_builder *b, skive_value *x); /* the same numbers, without a gradient */

/* The axis of scores that numbers the classes: the last, or of places [n][classes][places ...] the second. */
int skv_term_class_axis(const skv_head *head, const skive_value *scores, const skive_value *labels);
extern const skv_loss skv_loss_kl;

/* ---- bindings ---- */

/* A pair of values with their types, for messages: "'a' float32[64,16,8,8] of the model and ...". */
const char *skv_term_pair_text(const skv_loss_args *a, char *buffer, size_t size);
/* Fails with SHAPE: what the pair is, and `why` it does not fit. */
void skv_term_refuse(skv_builder *b, const skv_loss_args *a, const char *who, const char *why);
/* Fails with ARGUMENT where a batch has one sample, and the term compares samples. */
void skv_term_needs_samples(skv_builder *b, const skv_loss_args *a, const char *who);
/* Maps [n][c][places ...] of both; the teacher's are resized to the student's places, which a note tells. */
skive_status skv_term_maps(skv_builder *b, const skv_loss_args *a, const char *who, skive_value **student,
                           skive_value **teacher);
/* Maps as [n][c][places]. */
skive_value *skv_term_flat_maps(skv_builder *b, skive_value *x);
/* `x` with as many channels (axis 1 of maps and of rows, the last axis of steps) as `like`: itself, or behind a 1x1
 * convolution or product of the term's own, which a note tells. `what` is the parameter's name. */
skive_value *skv_term_regress(skv_builder *b, const skv_loss_args *a, skive_value *x, const skive_value *like,
                              const char *what, bool last_axis);
/* A trainable or constant parameter of the term's own filled with one number. */
skive_value *skv_term_filled(skv_builder *b, const skv_loss_args *a, const char *what, skive_dtype dtype, int rank,
                             const int64_t *dims, double number, bool trainable);
/* After each step `parameter` becomes `next`. */
void skv_term_memory(skv_builder *b, const skv_loss_args *a, skive_value *parameter, skive_value *next);
/* The temperature: the term's own option, or else the run's. */
double skv_term_temperature(const skv_loss_args *a);
bool skv_term_has_classes(const skv_loss_args *a); /* is there one class label a sample? */

/* ---- pairing ---- */

enum { SKV_PAIRS_MOST = 64 };
typedef struct skv_pair {
    skive_value *student, *teacher;
} skv_pair;
/* Values of the training graph that belong together: those that the term names (patterns expanded), or found by the
 * loss's way of pairing. Student values have numbers below `end`. Errors: NOT_FOUND, SHAPE (why none fits). */
skive_status skv_term_pairs(skive_context *ctx, const skive_graph *g, const skv_term *t, const skv_loss *loss,
                            const skive_value *logits, uint32_t end, const skv_merged_teacher *teacher, skv_pair *out,
                            size_t *n);

/* The last map of each size that leads to `scores`, in order: [SKV_PAIRS_MOST]. */
skive_status skv_stage_values(skive_context *ctx, const skive_graph *g, const skive_value *scores, skive_value **out,
                              size_t *n);
/* A value of the graph by its name, or by that of the node whose first output it is. Errors: NOT_FOUND. */
skive_status skv_value_named(skive_context *ctx, const skive_graph *g, const char *name, skive_value **out);

#endif
