/* Recognising an operator that was written out as several nodes. A match follows values backwards from the last one;
 * the values inside it must not be kept (a tap), but may have other readers. */
#ifndef SKV_MATCH_H
#define SKV_MATCH_H

#include "passes/pass.h"

/* The node of this op that produces `v`; NULL if it is another one or `v` must be kept. */
skive_node *skv_match(const skv_pass_env *env, const skive_value *v, skv_op_kind op);
/* A parameter of one floating element. Not a trainable one in training. */
bool skv_match_scalar(const skv_pass_env *env, const skive_value *v, double *out);
bool skv_near(double a, double b); /* equal except for the rounding of a constant to float32 */
/* For a node of two operands: is one of them the scalar? *other is the one that is not. */
bool skv_match_with_scalar(const skv_pass_env *env, const skive_node *n, skive_value **other, double *scalar);
/* A reduction over the last axis only that keeps it. */
bool skv_match_last_axis(const skive_node *reduction);

/* `v` as a polynomial in x and t of degrees below 4 and 2: c[i][j] is the coefficient of x^i t^j. Follows sums,
 * differences, products, quotients by constants, small powers. False if `v` is not one. */
typedef double skv_polynomial[4][2];
bool skv_match_polynomial(const skv_pass_env *env, const skive_value *v, const skive_value *x, const skive_value *t,
                          skv_polynomial c);

/* Replaces the node that produces `last` by one node with the same name, type and uses; nodes that only the old one
 * read are removed later. */
skive_status skv_match_replace(skive_graph *g, skive_value *last, const char *op, skv_in_list in, skv_attr_list attrs);

/* Calls `rewrite` for each node in topological order until all were visited; nodes removed meanwhile are skipped. */
typedef skive_status (*skv_rewrite_fn)(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes);
skive_status skv_rewrite_all(const skv_pass_env *env, skive_graph *g, size_t *changes, skv_rewrite_fn rewrite);

#endif
