#include "graph/linear.h"

#include <string.h>

/* A float attribute of this name that the record knows; operators without it multiply by 1. */
static double factor_of(const skive_node *n, const char *name) {
    for (size_t i = 0; i < n->op->n_attrs; i++)
        if (n->op->attrs[i].type == SKV_ATTR_FLOAT && strcmp(n->op->attrs[i].name, name) == 0)
            return skv_attr_float(n, name, 1);
    return 1;
}

/* Of recurrent cells the weights have blocks, of a step that depends on the last one no data; where an operator does
 * more to the sum (a function of CausalConvWithState), its record names no axes of the bias.
 * tests/test_linear_layers.c holds every record for which this is true to it. */
static bool is_linear(const skv_op *op) {
    bool weight = false;
    for (size_t i = 0; i < op->n_inputs; i++) {
        const skv_input_spec *s = &op->inputs[i];
        if (s->role == SKV_ROLE_BIAS && !s->axes) return false;
        if (s->role == SKV_ROLE_WEIGHT && (!s->axes || s->blocks > 0 || s->data < 0)) return false;
        if (s->role != SKV_ROLE_BIAS && s->role != SKV_ROLE_WEIGHT && s->role != SKV_ROLE_DATA) return false;
        weight = weight || s->role == SKV_ROLE_WEIGHT;
    }
    return weight;
}

bool skv_linear_of(const skive_node *n, skv_linear *out) {
    const skv_op *op = n ? n->op : NULL;
    *out = (skv_linear){.weight = -1, .bias = -1, .weight_factor = 1, .bias_factor = 1};
    if (!op || !is_linear(op)) return false;
    for (size_t i = 0; i < op->n_inputs; i++) {
        const skv_input_spec *s = &op->inputs[i];
        if (s->role == SKV_ROLE_BIAS) {
            out->bias = (int)i;
            out->bias_factor = factor_of(n, "beta");
        } else if (out->weight < 0 && s->role == SKV_ROLE_WEIGHT && skv_input_role(n, i) == SKV_ROLE_WEIGHT) {
            out->weight = (int)i;
            out->weight_factor = factor_of(n, "alpha");
            out->data_turned = s->data_transpose && skv_attr_int(n, s->data_transpose, 0) != 0;
        }
    }
    return out->weight >= 0 && n->inputs[out->weight]->type.rank >= 2 && /* a vector has no output channels */
           skv_weight_view_of(n, (size_t)out->weight, &out->view);
}

bool skv_linear_channels(const skive_node *n, skv_linear *out) {
    return skv_linear_of(n, out) && out->bias >= 0 && out->weight_factor == 1 && out->bias_factor == 1 &&
           out->view.out_axis >= 0 && n->op->inputs[out->weight].result_axis == 1;
}
