/* Loop: a repeated subgraph with loop-carried values; its scan outputs of all iterations are stacked. */
#include "ops/flow/common_flow.h"
#include "ops/common_shape.h"
#include "tensor/tensor.h"

static const skv_attr_spec attrs[] = {{"body", SKV_ATTR_GRAPH, SKV_REQUIRED}};

static skive_status infer(skv_infer *c) {
    const size_t carried = c->n_in > 2 ? c->n_in - 2 : 0;
    for (size_t o = 0; o < c->n_out; o++) {
        if (o >= carried) {
            c->out[o] = skv_flow_output_type(skv_flow_graph(c->node, "body"), 1 + o, 1);
            continue;
        }
        if (!c->in[o + 2])
            return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': a carried value is missing", c->node->name);
        /* the shape may change between iterations */
        c->out[o] = (skive_type){.dtype = c->in[o + 2]->dtype, .rank = -1};
    }
    return SKIVE_OK;
}

typedef struct state {
    const skv_flow *c;
    skv_body *body;
    size_t carried, scanned;
    skive_tensor *in;      /* of the body: number, condition, carried */
    skive_tensor *results; /* of the body */
    bool own;              /* the carried values in `in` are owned here */
    skv_flow_stack *stacks;
} state;

static void free_carried(state *s) {
    for (size_t i = 0; s->own && i < s->carried; i++) skive_tensor_free(s->c->ctx, &s->in[2 + i]);
    s->own = false;
}

static skive_status one_round(state *s, bool *go_on) {
    skive_context *ctx = s->c->ctx;
    SKV_TRY(skv_check_interrupt(ctx));
    SKV_TRY(s->body->run(s->body, s->in, s->results));
    free_carried(s);
    s->own = true;
    for (size_t i = 0; i < s->carried; i++) s->in[2 + i] = s->results[1 + i];
    skive_status status = skv_flow_condition(ctx, &s->results[0], go_on);
    skive_tensor_free(ctx, &s->results[0]);
    for (size_t k = 0; k < s->scanned; k++) {
        skive_tensor *entry = &s->results[1 + s->carried + k];
        if (status == SKIVE_OK) status = skv_flow_push(ctx, &s->stacks[k], entry);
        skive_tensor_free(ctx, entry);
    }
    return status;
}

static skive_status rounds(state *s) {
    const skv_flow *c = s->c;
    int64_t trips = INT64_MAX, number = 0;
    bool condition = true;
    if (c->in[0]) {
        if ((c->in[0]->dtype != SKIVE_I64 && c->in[0]->dtype != SKIVE_I32) || skive_tensor_count(c->in[0]) != 1)
            return SKV_FAIL(c->ctx, SKIVE_ERR_SHAPE, "the trip count is not one integer");
        trips = skv_load_i64(c->in[0]->dtype, c->in[0]->data, 0);
    }
    if (c->in[1]) SKV_TRY(skv_flow_condition(c->ctx, c->in[1], &condition));
    for (size_t i = 0; i < s->carried; i++) {
        if (!c->in[2 + i]) return SKV_FAIL(c->ctx, SKIVE_ERR_GRAPH, "carried value %zu is missing", i);
        s->in[2 + i] = *c->in[2 + i];
    }
    s->in[0] = skv_flow_scalar(s->body, 0, SKIVE_I64, &number);
    s->in[1] = skv_flow_scalar(s->body, 1, SKIVE_BOOL, &condition);
    for (; number < trips && condition; number++) SKV_TRY(one_round(s, &condition));
    return SKIVE_OK;
}

static skive_status hand_out(state *s) {
    const skv_flow *c = s->c;
    for (size_t i = 0; i < s->carried; i++) {
        if (s->own) {
            c->out[i] = s->in[2 + i];
            s->in[2 + i] = (skive_tensor){0};
        } else {
            SKV_TRY(skive_tensor_copy(c->ctx, &s->in[2 + i], &c->out[i]));
        }
    }
    for (size_t k = 0; k < s->scanned; k++) {
        skive_type type = skv_flow_output_type(s->body->graph, 1 + s->carried + k, 1);
        /* Without an iteration there is no entry that determines a type left open by the body. */
        const skive_value *y = c->node->outputs[s->carried + k];
        if (type.dtype == SKIVE_DTYPE_NONE && y) type.dtype = y->type.dtype;
        for (size_t i = 0; type.dtype == SKIVE_DTYPE_NONE && i < s->carried; i++) type.dtype = c->out[i].dtype;
        SKV_TRY(skv_flow_stacked(c->ctx, &s->stacks[k], &type, &c->out[s->carried + k]));
    }
    return SKIVE_OK;
}

static skive_status flow(const skv_flow *c) {
    state s = {.c = c, .body = skv_flow_body(c, "body"), .carried = c->n_in - 2};
    const skv_body *b = s.body;
    if (b->n_in != s.carried + 2 || b->n_out != c->n_out + 1 || c->n_out < s.carried)
        return SKV_FAIL(c->ctx, SKIVE_ERR_GRAPH, "the body has %zu inputs and %zu outputs, not %zu and %zu", b->n_in,
                        b->n_out, s.carried + 2, c->n_out + 1);
    s.scanned = c->n_out - s.carried;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(c->ctx, b->n_in + 1, sizeof *s.in, &s.in));
    SKV_GO(status, done, skv_alloc_array(c->ctx, b->n_out + 1, sizeof *s.results, &s.results));
    SKV_GO(status, done, skv_alloc_array(c->ctx, s.scanned + 1, sizeof *s.stacks, &s.stacks));
    SKV_GO(status, done, rounds(&s));
    SKV_GO(status, done, hand_out(&s));
done:
    if (s.in) free_carried(&s);
    for (size_t k = 0; s.stacks && k < s.scanned; k++) skv_flow_stack_free(c->ctx, &s.stacks[k]);
    skv_free(c->ctx, s.in);
    skv_free(c->ctx, s.results);
    skv_free(c->ctx, s.stacks);
    return status;
}

/* Carried values stay: their shape may change between iterations. What is stacked has one axis more than an entry. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    for (uint32_t o = n->n_inputs > 2 ? n->n_inputs - 2 : 0; o < n->n_outputs; o++)
        skv_couple_body(c, "body", true, 1 + (size_t)o, SKV_COUT((int)o, 0), 1);
}

static int needs_opset(const skive_node *n) {
    (void)n;
    return 11;
}

const skv_op skv_op_loop = {
    .name = "Loop",
    .brief = "a repeated subgraph with loop-carried values and stacked outputs",
    .domain = "",
    .since = 11,
    .min_in = 0,
    .max_in = -1,
    .absent_in = 2,
    .min_out = 1,
    .max_out = -1,
    .attrs = attrs,
    .n_attrs = SKV_COUNT(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .flow = flow,
    .couple = couple,
    .strings = ~(SKV_STRINGS(0) | SKV_STRINGS(1)),
};
