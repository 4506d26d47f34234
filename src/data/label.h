/* Labels in a column of text: names of classes, numbers of classes, or values to be fitted. What they are is decided by
 * the training samples and kept in the recipe, so that every file is read in the same way. */
#ifndef SKV_LABEL_H
#define SKV_LABEL_H

#include "data/data.h"
#include "data/recipe.h"
#include "data/text/words.h"

typedef enum skv_label_type {
    SKV_LABEL_NONE,
    SKV_LABEL_VALUES,  /* numbers to be fitted */
    SKV_LABEL_NUMBERS, /* of classes, from 0 */
    SKV_LABEL_NAMES    /* of classes */
} skv_label_type;

typedef struct skv_label {
    skive_context *ctx;
    char *column; /* its name, or NULL */
    skv_label_type type;
    int64_t classes;
    skv_words names;
} skv_label;

/* What was seen in the column of the training samples. */
typedef struct skv_label_facts {
    skv_words texts; /* distinct ones, until there are too many */
    size_t numbers, others, rows;
    size_t first_other; /* its row */
    bool whole;         /* all are whole numbers of 0 or more */
    double least, most;
} skv_label_facts;

void skv_label_init(skv_label *l, skive_context *ctx);
void skv_label_free(skv_label *l);
void skv_label_facts_init(skv_label_facts *f, skive_context *ctx);
void skv_label_facts_free(skv_label_facts *f);
/* Counts a label; `row` is for messages. */
skive_status skv_label_look(skv_label_facts *f, const char *text, size_t length, size_t row);
/* Decides what they are, with a note. Errors: DATA (texts where values are asked for; one class). */
skive_status skv_label_decide(skive_context *ctx, const char *spec, const skive_dataset_options *o,
                              skv_label_facts *facts, skv_label *l);
/* Prepares ds->labels or ds->targets for ds->total samples, and the classes. */
skive_status skv_label_prepare(skive_context *ctx, const skv_label *l, const skive_dataset_options *o,
                               skive_dataset *ds);
/* Sets the label of sample `i`. `where` begins the message: "data.csv: row 3 (line 4)". Errors: DATA (an unknown class,
 * not a number). */
skive_status skv_label_set(skive_context *ctx, const skv_label *l, skive_dataset *ds, size_t i, const char *text,
                           size_t length, const char *path, const char *where);

/* Lines of the recipe. */
void skv_label_write(const skv_label *l, skv_text *t);
skive_status skv_label_read(skv_recipe *r, skv_label *l);

/* A finite number that float32 can hold; spaces around it do not matter. */
bool skv_cell_number(const char *text, size_t length, double *out);
/* Would it be a number with a point in place of a comma? */
bool skv_cell_has_decimal_comma(const char *text, size_t length);
/* Without the spaces at both ends. */
void skv_cell_trim(const char **text, size_t *length);

#endif
