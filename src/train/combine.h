/* How several teachers become one: how much each counts for a sample (the records of combines.inc). */
#ifndef SKV_COMBINE_H
#define SKV_COMBINE_H

#include "train/objective.h"

typedef struct skv_combine_args {
    const skv_loss_site *at;
    skive_value *const *scores; /* [n] of the teachers, shaped as the student's */
    const double *given;        /* [n] the weights that were given, of the sum 1 */
    size_t n;
    const skv_option_values *options;
} skv_combine_args;

typedef struct skv_combine {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    bool takes_weights; /* those that were given; others refuse them */
    bool needs_classes; /* the students' answers are classes that exclude one another */
    /* With these options no labels are needed; NULL: they always are. */
    bool (*without_labels)(const skv_option_values *options);
    /* weights[i] of the sum 1: scalars or [samples][1], without gradients. *more: a scalar that is added to the
     * loss, or NULL. With the builder's status set where it fails. */
    void (*weigh)(skv_builder *b, const skv_combine_args *a, skive_value **weights, skive_value **more);
} skv_combine;
size_t skv_combine_count(void);
const skv_combine *skv_combine_at(size_t i);
const char *skv_combine_name(size_t i);
const skv_combine *skv_combine_find(const char *name);
extern const skv_family skv_combine_family;

/* The teachers of an objective, combined. */
typedef struct skv_combined {
    skive_value **scores;  /* [n] of those that teach the output */
    skive_value **weights; /* [n] */
    skive_value *more;
    size_t n;
} skv_combined;
void skv_combined_free(skive_context *ctx, skv_combined *c);
/* For the output at `at`. scores[teachers]: NULL of those that do not teach it. */
void skv_combine_build(skv_builder *b, const skv_objective *o, const skv_loss_site *at, skive_value *const *scores,
                       skv_combined *out);
/* Fixed weights of the sum 1, [teachers], for teachers that are not combined into one answer because they know
 * different classes. Errors: ARGUMENT (another way to combine). */
skive_status skv_combine_fixed(skive_context *ctx, const skv_objective *o, double *given);
/* Scores of one teacher that says what they say together: of classes with the probabilities sum_k w_k softmax(z_k / T)
 * at the temperature T, of sigmoids the same one by one; of values, and without `probabilities`, the weighted sum. */
skive_value *skv_combine_scores(skv_builder *b, const skv_combined *c, const skv_loss_site *at, double temperature,
                                bool probabilities);

#endif
