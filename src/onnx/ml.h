/* Operators of ai.onnx.ml: what the files that read them share. */
#ifndef SKV_ONNX_ML_H
#define SKV_ONNX_ML_H

#include "onnx/contrib.h"

/* The input as float32, which most of these compute with. */
skive_value *skv_ml_real(skv_contrib *r);
skive_value *skv_ml_number(skv_contrib *r, double x);
skive_value *skv_ml_vector(skv_contrib *r, const double *x, size_t n); /* a float32 constant */
const double *skv_ml_floats(const skive_node *n, const char *name, size_t *count);

skive_value *skv_ml_strings(skv_contrib *r, const char *const *list, size_t n); /* a constant list */

/* Class names go into the model's metadata, unless it has some. */
void skv_ml_keep_names(skv_contrib *r, const char *const *names, size_t n);
size_t skv_ml_class_count(const skive_node *n);
skive_value *skv_ml_labelled(skv_contrib *r, skive_value *index); /* the label of class numbers [n] */
skive_value *skv_ml_best(skv_contrib *r, skive_value *scores);
bool skv_ml_is_transform(const char *how); /* one that skv_ml_transformed knows */
skive_value *skv_ml_transformed(skv_contrib *r, const char *how, skive_value *scores);
skive_value *skv_ml_beside(skv_contrib *r, skive_value *x, skive_value *y);

/* ml_models.c: operators that have a record. The node is changed where it is, or replaced. */
void skv_ml_tree_ensemble(skv_contrib *r);
void skv_ml_tree_regressor(skv_contrib *r);
void skv_ml_tree_classifier(skv_contrib *r);
void skv_ml_svm_regressor(skv_contrib *r);
void skv_ml_svm_classifier(skv_contrib *r);
void skv_ml_label_encoder(skv_contrib *r);
void skv_ml_category_mapper(skv_contrib *r);

#endif
