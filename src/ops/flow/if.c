/* If: one of two subgraphs. */
#include "ops/flow/common_flow.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"then_branch", SKV_ATTR_GRAPH, SKV_REQUIRED},
                                      {"else_branch", SKV_ATTR_GRAPH, SKV_REQUIRED}};

/* The part of the type on which both branches agree. */
static skive_status infer(skv_infer *c) {
    for (size_t o = 0; o < c->n_out; o++) {
        skive_type a = skv_flow_output_type(skv_flow_graph(c->node, "then_branch"), o, 0);
        const skive_type b = skv_flow_output_type(skv_flow_graph(c->node, "else_branch"), o, 0);
        if (a.dtype != b.dtype && a.dtype != SKIVE_DTYPE_NONE && b.dtype != SKIVE_DTYPE_NONE)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the branches have different output types, %s and %s",
                                  c->node->name, skive_dtype_name(a.dtype), skive_dtype_name(b.dtype));
        if (a.dtype == SKIVE_DTYPE_NONE) a.dtype = b.dtype;
        if (a.rank != b.rank) a.rank = -1;
        for (int d = 0; d < a.rank; d++)
            if (a.dims[d].size != b.dims[d].size || a.dims[d].symbol != b.dims[d].symbol) a.dims[d] = skv_dim_unknown();
        c->out[o] = a;
    }
    return SKIVE_OK;
}

static skive_status flow(const skv_flow *c) {
    bool condition = false;
    SKV_TRY(skv_flow_condition(c->ctx, c->in[0], &condition));
    skv_body *body = skv_flow_body(c, condition ? "then_branch" : "else_branch");
    if (body->n_in != 0 || body->n_out != c->n_out)
        return SKV_FAIL(c->ctx, SKIVE_ERR_GRAPH, "a branch has %zu inputs and %zu outputs, not 0 and %zu", body->n_in,
                        body->n_out, c->n_out);
    return body->run(body, NULL, c->out);
}

static void couple(skv_couple *c) {
    for (uint32_t o = 0; o < skv_couple_node(c)->n_outputs; o++) {
        skv_couple_body(c, "then_branch", true, o, SKV_COUT((int)o, 0), 0);
        skv_couple_body(c, "else_branch", true, o, SKV_COUT((int)o, 0), 0);
    }
}

static int needs_opset(const skive_node *n) {
    (void)n;
    return 11;
}

const skv_op skv_op_if = {
    .name = "If",
    .brief = "one of two subgraphs",
    .domain = "",
    .since = 11,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = -1,
    .attrs = attrs,
    .n_attrs = SKV_COUNT(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .flow = flow,
    .couple = couple,
    .strings = SKV_STRINGS(31),
};
