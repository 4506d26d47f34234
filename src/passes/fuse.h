/* Fuses a chain of nodes into one. */
#ifndef SKV_FUSE_H
#define SKV_FUSE_H

#include "passes/pass.h"

/* chain[0] feeds chain[1] and so on, and the values between them have no other readers. They are replaced by one node
 * with the given inputs and attributes, after all attributes of chain[0] if `keep_attrs`. It has the name of `named`,
 * and each of its outputs has the name, type and uses of the one it replaces. */
typedef struct skv_fusion {
    skive_node *const *chain;
    size_t n_chain;
    const skive_node *named; /* NULL: chain[0] */
    const char *op, *domain;
    skive_value *const *inputs;
    size_t n_inputs;
    skive_value *const
        *old;     /* the values that the outputs replace, NULL where absent; NULL: the first output of the last node */
    size_t n_old; /* at most SKV_OP_MAX_IO */
    const skv_attr_init *attrs;
    size_t n_attrs;
    bool keep_attrs;
} skv_fusion;
skive_status skv_fuse(skive_graph *g, const skv_fusion *f);

/* The only node that reads `v`, as its input 0; NULL if there are others or `v` must be kept. */
skive_node *skv_only_reader(const skv_pass_env *env, const skive_value *v);
/* Input i of a Clip as a number, `fallback` if absent; false if it is computed. */
bool skv_clip_bound(const skive_node *clip, size_t i, double fallback, double *out);

#endif
