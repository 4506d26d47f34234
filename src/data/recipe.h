/* The recipe of a data set of tables or text: how cells or characters become the numbers of a sample, and what the
 * labels are called. It is learnt from the training samples, stored in the model's metadata
 * (skive.input.table, skive.input.text), and used wherever the model meets data again.
 *
 * A recipe is text: lines of fields separated by tabs, with \t, \n, \r and \\ for these characters in a field. The
 * first line is "kind" and the kind; lines whose first field is "label" or "column" say what is found where, all others
 * how samples are made of it. Two recipes with the same of these lines make the same samples. */
#ifndef SKV_RECIPE_H
#define SKV_RECIPE_H

#include "base/base.h"

enum { SKV_RECIPE_BYTES = 16 << 20 };

/* ---- writing ---- */
void skv_recipe_field(skv_text *t, const char *text, size_t length); /* behind a tab, unless it begins a line */
void skv_recipe_string(skv_text *t, const char *text);
void skv_recipe_number(skv_text *t, double value);
void skv_recipe_end(skv_text *t); /* of a line */

/* ---- reading ---- */
typedef struct skv_recipe {
    skive_context *ctx;
    char *text, *next; /* a copy, cut into fields as lines are read */
    char **fields;     /* of the line that was read last */
    size_t *lengths;
    size_t n, capacity;
} skv_recipe;
/* Is this a recipe for `kind`, and not NULL? */
bool skv_recipe_is(const char *text, const char *kind);
/* Errors: FORMAT (not a recipe for `kind`: "table", "text"), MEMORY. */
skive_status skv_recipe_open(skive_context *ctx, const char *text, const char *kind, skv_recipe *out);
void skv_recipe_close(skv_recipe *r);
/* The next line; false at the end. status: MEMORY. */
skive_status skv_recipe_line(skv_recipe *r, bool *more);
/* ERR_FORMAT: the recipe is damaged at the line that was read last. */
skive_status skv_recipe_damaged(skv_recipe *r);

struct skive_graph;

/* ERR_DATA: the metadata of the model's input have a recipe of the same kind, and it makes other samples than `recipe`
 * (NULL, or not a recipe: not checked). */
skive_status skv_recipe_check(skive_context *ctx, const struct skive_graph *g, size_t input, const char *recipe);
/* NULL if both make the same samples; otherwise the first line of `a`, or else of `b`, that the other lacks. */
const char *skv_recipe_difference(const char *a, const char *b, size_t *length);

#endif
