/* Options by name: the records of methods.inc, each a list of sections. */
#ifndef SKV_OPTIONS_H
#define SKV_OPTIONS_H

#include <skive/options.h>

#include "base/option.h"

/* The structs of all sections; a method uses those that its record names. */
typedef struct skv_structs {
    skive_train_options train;
    skive_prune_options prune;
    skive_share_options share;
    skive_distill_options distill;
    skive_quantize_options quantize;
    skive_sensitivity_options sensitivity;
    skive_pack_options pack;
    skive_simplify_options simplify;
    skive_dataset_options data;
    skive_qat_options qat;
    skive_factorize_options factorize;
    skive_bits_options bits;
} skv_structs;

enum { SKV_MOST_SECTIONS = 4 };

typedef struct skv_section_of_method {
    const skv_table *table; /* NULL after the last */
    size_t at;              /* of its struct in skv_structs */
    const char *needs;      /* in this method, instead of what the table says (skv_table.needs); NULL: nothing else */
} skv_section_of_method;

typedef struct skv_method {
    const char *name;
    skv_section_of_method sections[SKV_MOST_SECTIONS];
    void (*defaults)(skv_structs *s); /* also links the structs */
} skv_method;

const skv_method *skv_method_find(const char *name); /* NULL: none */
const char *skv_method_name(size_t i);

/* The option of this name, with or without its section, or the `index`-th where `name` is NULL; NULL: none. */
const skv_option *skv_method_option(const skv_method *m, const char *name, size_t index,
                                    const skv_section_of_method **section);
/* What an option of this section lacks to have an effect (skive_options_lacks). */
void skv_method_lacks(const skv_method *m, const skv_structs *s, const skv_section_of_method *in, const skv_option *o,
                      skv_text *out);
/* "no option 'x' ...". */
skive_status skv_method_fail(skive_context *ctx, const skv_method *m, const char *name);

#endif
