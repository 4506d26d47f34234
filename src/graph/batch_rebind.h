/* Rebinding a fixed batch: what batch.c, which walks the graph, and the files for its operators share. */
#ifndef SKV_BATCH_REBIND_H
#define SKV_BATCH_REBIND_H

#include "graph/internal.h"

typedef struct skv_choice {
    uint8_t taken, n;
} skv_choice;

typedef struct skv_rebind {
    skive_graph *g;
    skv_inference *x; /* types at the new batch */
    int64_t was, batch;
    uint32_t n_old;
    const skive_type *old; /* [n_old] by value id: types at the old batch */
    int *axis;             /* [capacity] by value id: the axis of the samples; -1: none */
    int64_t *outer;        /* of that axis: how many runs over the samples it holds, 1 where it is theirs alone */
    uint32_t capacity;
    /* Where a shape could be read in several ways, the one taken; a search tries the others. */
    skv_choice *choices;
    size_t n_choices, at, choices_capacity;
} skv_rebind;

/* Changes what of the node's constants holds the batch, before its types are inferred. May add nodes and parameters,
 * which are inferred at once. *outer_out is set where the node moves the samples' axis in a way that only it knows. */
skive_status skv_rebind_node(skv_rebind *r, skive_node *n, int64_t *outer_out);
/* Room for, and types of, values added to the graph. */
skive_status skv_rebind_grow(skv_rebind *r);

static inline const skive_type *skv_rebind_now_of(const skv_rebind *r, const skive_value *v) {
    return &r->x->types[v->id];
}
static inline const skive_type *skv_rebind_old_of(const skv_rebind *r, const skive_value *v) {
    return v->id < r->n_old ? &r->old[v->id] : skv_rebind_now_of(r, v);
}
static inline int skv_rebind_axis_of(const skv_rebind *r, const skive_value *v) { return v ? r->axis[v->id] : -1; }

/* ---- constants and nodes put in, with their types at once ---- */

skive_status skv_rebind_add_ints(skv_rebind *r, const int64_t *numbers, int n, skive_value **out);
skive_status skv_rebind_set_ints(skv_rebind *r, skive_node *n, size_t input, const int64_t *numbers, int count);
skive_status skv_rebind_add_node(skv_rebind *r, const char *op, skive_value *const *inputs, size_t n_inputs,
                                 skive_value **out);
/* Numbers of a known integer list, SKIVE_MAX_RANK at most; -1 when it is none. */
int skv_rebind_read_ints(const skv_rebind *r, const skive_value *v, int64_t *out);

/* ---- operators with a file of their own ---- */

skive_status skv_rebind_reshape(skv_rebind *r, skive_node *n, int64_t *outer_out);
/* Input `input` is not computed from the samples and has one row for each along `axis`: one row for all is left, or
 * one for each of the new samples. Errors: SHAPE (the rows differ). */
skive_status skv_rebind_one_row(skv_rebind *r, skive_node *n, size_t input, int axis);
skive_status skv_rebind_row_for_each(skv_rebind *r, skive_node *n, size_t input, int axis);

#endif
