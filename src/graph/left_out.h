/* Which weights a method leaves alone, told in one note: nobody should believe that a whole network was worked on when
 * half was not. */
#ifndef SKV_LEFT_OUT_H
#define SKV_LEFT_OUT_H

#include "graph/graph.h"

typedef struct skv_left_out {
    const char *done;                                /* "pruned" */
    const char *only;                                /* the method's parameters: "weights of products" */
    bool vectors;                                    /* biases and scales count too, not only matrices */
    bool (*taken)(void *user, const skive_value *v); /* worked on, or told of elsewhere */
    void *user;
} skv_left_out;
/* Counts the weights of nodes that have such (products, recurrent nodes, embeddings, large operands), subgraphs
 * included, and notes how many are left, of which operators and under which names. Says nothing where there are none,
 * and nothing twice. */
skive_status skv_tell_left_out(skive_context *ctx, const skive_graph *g, const skv_left_out *what);

#endif
