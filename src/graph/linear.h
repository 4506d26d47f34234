/* Linear layers, by their op records: output 0 is sums of products of data and one weight, plus a bias. What is done to
 * an output channel behind such a node, a factor or an addition, may be done to its weight and bias instead. */
#ifndef SKV_LINEAR_H
#define SKV_LINEAR_H

#include "graph/weights.h"

typedef struct skv_linear {
    int weight, bias; /* inputs; the bias may be absent, and -1 says that the operator takes none */
    skv_weight_view view;
    double weight_factor, bias_factor; /* by which the node multiplies what the two give: alpha and beta */
    bool data_turned;                  /* an attribute swaps the axes of the data */
} skv_linear;
bool skv_linear_of(const skive_node *n, skv_linear *out);
/* The same, without factors of its own, and with an input for a bias: weight and bias take what is done to channel c of
 * axis 1 of the result. */
bool skv_linear_channels(const skive_node *n, skv_linear *out);

#endif
