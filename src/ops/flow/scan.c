/* Scan: a subgraph over the entries of its scan inputs along one axis, with state variables carried from one to the
 * next. */
#include "ops/flow/common_flow.h"
#include "ops/common_shape.h"
#include "tensor/strings.h"

static const skv_attr_spec attrs[] = {{"body", SKV_ATTR_GRAPH, SKV_REQUIRED},
                                      {"num_scan_inputs", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"scan_input_axes", SKV_ATTR_INTS, SKV_OPTIONAL},
                                      {"scan_input_directions", SKV_ATTR_INTS, SKV_OPTIONAL},
                                      {"scan_output_axes", SKV_ATTR_INTS, SKV_OPTIONAL},
                                      {"scan_output_directions", SKV_ATTR_INTS, SKV_OPTIONAL}};

/* ---- opset 8 ---- one batch axis in front of everything, and the sequence axis behind it. It is a Scan over the
 * samples whose body is the Scan over the entries: every state and every scan input of a sample is an entry of the
 * outer one. */

/* `body` captures values through `middle`. */
static skive_status pass_captures(skive_graph *body, skive_graph *middle) {
    for (uint32_t i = 0; i < body->n_values; i++) {
        skive_value *v = body->values[i], *through;
        if (!v->outer) continue;
        SKV_TRY(skv_graph_new_value(middle, NULL, &through));
        through->outer = v->outer;
        through->type = v->type;
        v->outer = through;
    }
    body->parent = middle;
    return SKIVE_OK;
}

/* The body of the outer Scan: its inputs without the batch axis, and the inner one. `body` is taken over on success. */
static skive_status make_middle(const skive_node *n, skive_graph *body, skive_graph *middle, skive_node **inner) {
    skv_builder b = skv_build(middle);
    skive_value *in[SKV_OP_MAX_IO], *out[SKV_OP_MAX_IO] = {NULL};
    size_t n_directions;
    const int64_t *directions = skv_attr_ints(n, "directions", &n_directions);
    for (uint32_t i = 1; i < n->n_inputs; i++) {
        skive_type t = n->inputs[i] ? n->inputs[i]->type : (skive_type){.rank = -1};
        for (int d = 1; d < t.rank; d++) t.dims[d - 1] = (skive_dim){t.dims[d].size, NULL};
        t.rank = t.rank > 0 ? t.rank - 1 : -1;
        SKV_TRY(skive_graph_add_input(middle, NULL, &t, &in[i - 1]));
    }
    const skv_attr_init init[2] = {SKV_INT("num_scan_inputs", skv_attr_int(n, "num_scan_inputs", 0)),
                                   SKV_INTS("scan_input_directions", directions, n_directions)};
    *inner = skv_emit_n(&b, "Scan", (skv_in_list){in, n->n_inputs - 1}, (skv_attr_list){init, directions ? 2 : 1}, out,
                        n->n_outputs);
    SKV_TRY(b.status);
    for (uint32_t o = 0; o < n->n_outputs; o++) SKV_TRY(skive_graph_add_output(middle, out[o]));
    SKV_TRY(pass_captures(body, middle));
    return skv_node_set_graph_attr(*inner, "body", body);
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    skv_attr *attr = NULL;
    for (uint32_t a = 0; a < n->n_attrs; a++)
        if (n->attrs[a].graph) attr = &n->attrs[a];
    if (from >= 9 || !attr || n->n_inputs < 2 || n->n_inputs > SKV_OP_MAX_IO || n->n_outputs > SKV_OP_MAX_IO)
        return SKIVE_OK;
    if (n->inputs[0])
        return skv_fail_at(g->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "node '%s': Scan of opset 8 with sequences of different lengths is not supported", n->name);
    skive_graph *middle = NULL;
    skive_node *inner;
    SKV_TRY(skive_graph_create(g->ctx, NULL, &middle));
    middle->parent = g;
    const skive_status status = make_middle(n, attr->graph, middle, &inner);
    if (status != SKIVE_OK) {
        skive_graph_free(middle);
        return status;
    }
    attr->graph = middle;
    const int64_t count = n->n_inputs - 1;
    for (uint32_t i = 0; i + 1 < n->n_inputs; i++) SKV_TRY(skv_node_set_input(n, i, n->inputs[i + 1]));
    SKV_TRY(skv_node_drop_input(n));
    skv_node_remove_attr(n, "directions");
    return skv_node_set_attr(n, &SKV_INT("num_scan_inputs", count));
}

static int64_t entry_of(const skive_node *n, const char *name, size_t i) {
    size_t count;
    const int64_t *list = skv_attr_ints(n, name, &count);
    return i < count ? list[i] : 0;
}

/* The number of state inputs; -1: the attribute is invalid. */
static int64_t states_of(const skive_node *n, size_t n_in) {
    const int64_t scans = skv_attr_int(n, "num_scan_inputs", 0);
    return scans >= 1 && scans <= (int64_t)n_in ? (int64_t)n_in - scans : -1;
}

static skive_status infer(skv_infer *c) {
    const int64_t states = states_of(c->node, c->n_in);
    if (states < 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': num_scan_inputs does not match %zu inputs", c->node->name,
                              c->n_in);
    for (size_t o = 0; o < c->n_out; o++) {
        c->out[o] = skv_flow_output_type(skv_flow_graph(c->node, "body"), o, (int64_t)o >= states);
        if ((int64_t)o < states) c->out[o].rank = -1;
        for (int d = 0; (int64_t)o >= states && d < c->out[o].rank; d++)
            c->out[o].dims[d] = skv_dim_unknown(); /* the axis may be any */
    }
    return SKIVE_OK;
}

typedef struct state {
    const skv_flow *c;
    skv_body *body;
    size_t states, scans, outputs;
    int64_t steps;
    skive_tensor *in, *results; /* of the body; the entries of scan inputs are owned here, the states too once `own` */
    bool own;
    skv_arena *text; /* of strings among the scan outputs, until these own theirs */
} state;

static void free_states(state *s) {
    for (size_t i = 0; s->own && i < s->states; i++) skive_tensor_free(s->c->ctx, &s->in[i]);
    s->own = false;
}

/* Allocates one entry of each scan input, and determines the number of steps. */
static skive_status prepare(state *s) {
    const skv_flow *c = s->c;
    s->steps = -1;
    for (size_t i = 0; i < s->scans; i++) {
        const skive_tensor *x = c->in[s->states + i];
        const int64_t axis = skv_axis(entry_of(c->node, "scan_input_axes", i), x->rank);
        int64_t dims[SKIVE_MAX_RANK];
        int rank = 0;
        if (axis < 0 || skive_dtype_bits(x->dtype) < 8)
            return SKV_FAIL(c->ctx, SKIVE_ERR_SHAPE, "scan input %zu has no axis %lld", i,
                            (long long)entry_of(c->node, "scan_input_axes", i));
        if (s->steps >= 0 && s->steps != x->dims[axis])
            return SKV_FAIL(c->ctx, SKIVE_ERR_SHAPE, "scan input %zu has %lld entries, but the others have %lld", i,
                            (long long)x->dims[axis], (long long)s->steps);
        s->steps = x->dims[axis];
        for (int d = 0; d < x->rank; d++)
            if (d != axis) dims[rank++] = x->dims[d];
        SKV_TRY(skive_tensor_create(c->ctx, x->dtype, rank, dims, &s->in[s->states + i]));
    }
    for (size_t i = 0; i < s->states; i++) s->in[i] = *c->in[i];
    return SKIVE_OK;
}

/* Stores one entry of a scan output; the first determines the size of the whole. */
static skive_status put(state *s, size_t k, int64_t step, const skive_tensor *entry) {
    const skv_flow *c = s->c;
    skive_tensor *y = &c->out[s->states + k];
    const int64_t axis = skv_axis(entry_of(c->node, "scan_output_axes", k), entry->rank + 1);
    int64_t dims[SKIVE_MAX_RANK];
    if (axis < 0 || entry->rank == SKIVE_MAX_RANK || skive_dtype_bits(entry->dtype) < 8)
        return SKV_FAIL(c->ctx, SKIVE_ERR_SHAPE, "scan output %zu has no axis %lld", k,
                        (long long)entry_of(c->node, "scan_output_axes", k));
    for (int d = 0; d <= entry->rank; d++)
        dims[d] = d < axis ? entry->dims[d] : d == axis ? s->steps : entry->dims[d - 1];
    if (step == 0) SKV_TRY(skive_tensor_create(c->ctx, entry->dtype, entry->rank + 1, dims, y));
    if (y->dtype != entry->dtype || !skv_dims_equal(y->rank, y->dims, entry->rank + 1, dims))
        return SKV_FAIL(c->ctx, SKIVE_ERR_SHAPE, "scan output %zu changes its shape in step %lld", k, (long long)step);
    const bool backward = entry_of(c->node, "scan_output_directions", k) != 0;
    SKV_TRY(skv_flow_keep_text(c->ctx, &s->text, entry));
    skv_flow_copy_entry(y, (int)axis, backward ? s->steps - 1 - step : step, entry, true);
    return SKIVE_OK;
}

static skive_status one_step(state *s, int64_t step) {
    const skv_flow *c = s->c;
    SKV_TRY(skv_check_interrupt(c->ctx));
    for (size_t i = 0; i < s->scans; i++) {
        const skive_tensor *x = c->in[s->states + i];
        const bool backward = entry_of(c->node, "scan_input_directions", i) != 0;
        skv_flow_copy_entry(x, (int)skv_axis(entry_of(c->node, "scan_input_axes", i), x->rank),
                            backward ? s->steps - 1 - step : step, &s->in[s->states + i], false);
    }
    SKV_TRY(s->body->run(s->body, s->in, s->results));
    free_states(s);
    s->own = true;
    for (size_t i = 0; i < s->states; i++) s->in[i] = s->results[i];
    skive_status status = SKIVE_OK;
    for (size_t k = 0; k < s->outputs; k++) {
        if (status == SKIVE_OK) status = put(s, k, step, &s->results[s->states + k]);
        skive_tensor_free(c->ctx, &s->results[s->states + k]);
    }
    return status;
}

/* Without a step, dimensions that the body does not declare are 0. */
static skive_status empty_output(state *s, size_t k) {
    const skive_type t = skv_flow_output_type(s->body->graph, s->states + k, 1);
    int64_t dims[SKIVE_MAX_RANK] = {0};
    for (int d = 1; d < t.rank; d++) dims[d] = t.dims[d].size > 0 ? t.dims[d].size : 0;
    return skive_tensor_create(s->c->ctx, t.dtype, t.rank > 0 ? t.rank : 1, dims, &s->c->out[s->states + k]);
}

static skive_status hand_out(state *s) {
    const skv_flow *c = s->c;
    for (size_t i = 0; i < s->states; i++) {
        if (s->own) {
            c->out[i] = s->in[i];
            s->in[i] = (skive_tensor){0};
        } else {
            SKV_TRY(skive_tensor_copy(c->ctx, &s->in[i], &c->out[i]));
        }
    }
    for (size_t k = 0; s->steps == 0 && k < s->outputs; k++) SKV_TRY(empty_output(s, k));
    for (size_t k = 0; k < s->outputs; k++) SKV_TRY(skv_strings_own(c->ctx, &c->out[s->states + k]));
    return SKIVE_OK;
}

static skive_status flow(const skv_flow *c) {
    const int64_t states = states_of(c->node, c->n_in);
    state s = {.c = c, .body = skv_flow_body(c, "body"), .states = (size_t)states};
    const skv_body *b = s.body;
    if (states < 0 || b->n_in != c->n_in || b->n_out != c->n_out || c->n_out < s.states)
        return SKV_FAIL(c->ctx, SKIVE_ERR_GRAPH, "the body has %zu inputs and %zu outputs, not %zu and %zu", b->n_in,
                        b->n_out, c->n_in, c->n_out);
    s.scans = c->n_in - s.states;
    s.outputs = c->n_out - s.states;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(c->ctx, b->n_in + 1, sizeof *s.in, &s.in));
    SKV_GO(status, done, skv_alloc_array(c->ctx, b->n_out + 1, sizeof *s.results, &s.results));
    SKV_GO(status, done, prepare(&s));
    for (int64_t step = 0; step < s.steps; step++) SKV_GO(status, done, one_step(&s, step));
    SKV_GO(status, done, hand_out(&s));
done:
    if (s.in) free_states(&s);
    for (size_t i = 0; s.in && i < s.scans; i++) skive_tensor_free(c->ctx, &s.in[s.states + i]);
    skv_free(c->ctx, s.in);
    skv_free(c->ctx, s.results);
    skv_arena_free(s.text);
    return status;
}

static int needs_opset(const skive_node *n) {
    (void)n;
    return 11;
}

const skv_op skv_op_scan = {
    .name = "Scan",
    .brief = "a subgraph over the entries of tensors, with state carried along",
    .domain = "",
    .since = 9,
    .min_in = 1,
    .max_in = -1,
    .absent_in = 1, /* the lengths of opset 8, until they are removed */
    .min_out = 1,
    .max_out = -1,
    .attrs = attrs,
    .n_attrs = SKV_COUNT(attrs),
    .needs_opset = needs_opset,
    .import = import,
    .infer = infer,
    .flow = flow,
    .strings = SKV_STRINGS_ALL,
};
