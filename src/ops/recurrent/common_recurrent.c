/* See common_recurrent.h. */
#include "ops/recurrent/common_recurrent.h"

#include <string.h>
#include <strings.h>

#include "ops/common_pointwise.h"
#include "ops/common_shape.h"
#include "tensor/grid.h"

/* ---- activation functions ---- the functions of ops/pointwise.inc that cells may have ---- */

static const skv_pointwise allowed[] = {
    SKV_PW_RELU,        SKV_PW_TANH,         SKV_PW_SIGMOID,
    SKV_PW_AFFINE,      SKV_PW_LEAKY_RELU,   SKV_PW_THRESHOLDED_RELU,
    SKV_PW_SCALED_TANH, SKV_PW_HARD_SIGMOID, SKV_PW_ELU,
    SKV_PW_SOFTSIGN,    SKV_PW_SOFTPLUS,
};

static const skv_pointwise_fn *function_named(const char *name) {
    const skv_pointwise f = skv_pointwise_named(name, true);
    for (size_t k = 0; k < SKV_COUNT(allowed); k++)
        if (allowed[k] == f) return skv_pointwise_at(f);
    return NULL;
}

static const char *const usual[3][3] = {{"Tanh"}, {"Sigmoid", "Tanh"}, {"Sigmoid", "Tanh", "Tanh"}};

/* The reason if they are invalid, else NULL. */
static const char *read_functions(const skive_node *n, int n_acts, skv_recurrent *r) {
    const skv_attr *names = skv_node_attr(n, "activations"), *alphas = skv_node_attr(n, "activation_alpha"),
                   *betas = skv_node_attr(n, "activation_beta");
    size_t next_alpha = 0, next_beta = 0;
    /* RNN's default has two names, of which one direction takes the first. */
    const size_t needed = (size_t)n_acts * (size_t)r->directions;
    if (names && names->n != needed && !(n_acts == 1 && needed == 1 && names->n == 2))
        return "the number of activations is wrong";
    for (int d = 0; d < r->directions; d++) {
        for (int i = 0; i < n_acts; i++) {
            const char *name = names ? names->strings[d * n_acts + i] : usual[n_acts - 1][i];
            const skv_pointwise_fn *f = function_named(name);
            if (!f) return "an activation is unknown";
            skv_act_fn *a = &r->acts[d][i];
            *a = (skv_act_fn){f->value, f->slope, {f->p[0], f->p[1]}};
            if (f->params > 0 && alphas && next_alpha < alphas->n) a->p[0] = alphas->floats[next_alpha++];
            if (f->params > 1 && betas && next_beta < betas->n) a->p[1] = betas->floats[next_beta++];
        }
    }
    return NULL;
}

static const char *read_node(const skive_node *n, const skv_recurrent_cell *cell, skv_recurrent *r) {
    const char *direction = skv_attr_string(n, "direction", "forward");
    *r = (skv_recurrent){.gates = cell->gates,
                         .directions = 1,
                         .steps = -1,
                         .batch = -1,
                         .input = -1,
                         .hidden = skv_attr_int(n, "hidden_size", -1)};
    if (strcasecmp(direction, "bidirectional") == 0)
        r->directions = 2;
    else if (strcasecmp(direction, "reverse") == 0)
        r->reverse_first = true;
    else if (strcasecmp(direction, "forward") != 0)
        return "the direction must be forward, reverse or bidirectional";
    r->batch_first = skv_attr_int(n, "layout", 0) != 0;
    r->clip = skv_attr_float(n, "clip", 0);
    if (r->hidden != -1 && (r->hidden < 1 || r->hidden > INT32_MAX)) return "hidden_size is not valid";
    return read_functions(n, cell->acts, r);
}

/* ---- types ---- */

/* Dimension `axis` of input i must be `size`, or determines it. */
static skive_status want_size(skv_infer *c, size_t i, int axis, int64_t *size) {
    const int64_t have = skv_in_ranked(c, i) ? skv_in_dim(c, i, axis) : -1;
    if (have >= 0 && *size >= 0 && have != *size)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': dimension %d of input %zu is %lld, not %lld",
                              c->node->name, axis, i, (long long)have, (long long)*size);
    if (*size < 0) *size = have;
    return SKIVE_OK;
}

/* A dimension that is a multiple of the hidden size. */
static skive_status want_multiple(skv_infer *c, size_t i, int axis, int64_t times, int64_t *hidden) {
    const int64_t have = skv_in_ranked(c, i) ? skv_in_dim(c, i, axis) : -1;
    if (have >= 0 && (have % times != 0 || (*hidden >= 0 && have != times * *hidden)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "node '%s': dimension %d of input %zu is %lld, not %lld times the hidden size",
                              c->node->name, axis, i, (long long)have, (long long)times);
    if (*hidden < 0 && have >= 0) *hidden = have / times;
    return SKIVE_OK;
}

static skive_status check_inputs(skv_infer *c, skv_recurrent *r, int states) {
    static const int ranks[8] = {3, 3, 3, 2, 1, 3, 3, 2};
    int64_t directions = r->directions;
    for (size_t i = 0; i < 8 && i < c->n_in; i++) {
        SKV_TRY(skv_want_rank(c, i, ranks[i], ranks[i]));
        if (i != 4) SKV_TRY(skv_want_same_dtype(c, 0, i));
        if (i == 1 || i == 2 || i == 3 || i == 7) SKV_TRY(want_size(c, i, 0, &directions));
    }
    SKV_TRY(skv_want_dtype(c, 4, SKIVE_I32));
    SKV_TRY(want_size(c, 0, r->batch_first ? 1 : 0, &r->steps));
    SKV_TRY(want_size(c, 0, r->batch_first ? 0 : 1, &r->batch));
    SKV_TRY(want_size(c, 0, 2, &r->input));
    SKV_TRY(want_multiple(c, 1, 1, r->gates, &r->hidden));
    SKV_TRY(want_multiple(c, 2, 1, r->gates, &r->hidden));
    SKV_TRY(want_size(c, 1, 2, &r->input));
    SKV_TRY(want_size(c, 2, 2, &r->hidden));
    SKV_TRY(want_multiple(c, 3, 1, 2 * r->gates, &r->hidden));
    SKV_TRY(want_size(c, 4, 0, &r->batch));
    for (size_t i = 5; i < 5 + (size_t)states; i++) {
        SKV_TRY(want_size(c, i, r->batch_first ? 1 : 0, &directions));
        SKV_TRY(want_size(c, i, r->batch_first ? 0 : 1, &r->batch));
        SKV_TRY(want_size(c, i, 2, &r->hidden));
    }
    return states == 2 ? want_multiple(c, 7, 1, 3, &r->hidden) : SKIVE_OK;
}

skive_status skv_recurrent_infer(skv_infer *c, const skv_recurrent_cell *cell) {
    skv_recurrent r;
    const char *why = read_node(c->node, cell, &r);
    if (why) return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': %s", c->node->name, why);
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(check_inputs(c, &r, cell->states));
    const skive_type *x = skv_infer_in(c, 0);
    const skive_dim t = x->rank == 3 ? x->dims[r.batch_first ? 1 : 0] : skv_dim_unknown(),
                    b = x->rank == 3 ? x->dims[r.batch_first ? 0 : 1] : skv_dim_unknown();
    const skive_dim d = skv_dim(r.directions), h = skv_dim(r.hidden);
    c->out[0] = (skive_type){
        .dtype = x->dtype, .rank = 4, .dims = {r.batch_first ? b : t, r.batch_first ? t : d, r.batch_first ? d : b, h}};
    for (size_t o = 1; o < c->n_out; o++)
        c->out[o] =
            (skive_type){.dtype = x->dtype, .rank = 3, .dims = {r.batch_first ? b : d, r.batch_first ? d : b, h}};
    return skv_infer_limit(c, &c->out[0]);
}

int skv_recurrent_needs_opset(const skive_node *n) {
    return skv_needs_for_dtype(n, skv_attr_int(n, "layout", 0) ? 14 : 7, 22, 0);
}

void skv_recurrent_cost(const skive_node *n, skive_cost *cost) {
    const skive_value *x = skv_node_in(n, 0), *w = skv_node_in(n, 1), *r = skv_node_in(n, 2);
    if (!x || !w || !r) return;
    const int64_t rows = skv_mul_sat(skv_dim_or_1(x, 0), skv_dim_or_1(x, 1));
    const int64_t each = skv_add_sat(skv_type_count(&w->type), skv_type_count(&r->type));
    cost->macs = skv_add_sat(cost->macs, skv_mul_sat(rows, each));
    skv_cost_per_element(n, cost);
}

/* ---- runs ---- */

void skv_recurrent_product(const double *weight, int64_t n, int64_t hidden, const double *h, double *out) {
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t k = 0; k < hidden; k++) sum += weight[j * hidden + k] * h[k];
        out[j] = sum;
    }
}

static double clip(const skv_recurrent *r, double x) { return r->clip > 0 ? fmin(fmax(x, -r->clip), r->clip) : x; }

double skv_recurrent_gate(const skv_recurrent *r, const skv_act_fn *act, double sum) {
    return skv_act_apply(act, clip(r, sum));
}

skive_status skv_recurrent_read(const skv_eval *c, const skv_recurrent_cell *cell, skv_recurrent *r) {
    const skive_tensor *x = c->in[0], *w = c->in[1];
    const char *why = read_node(c->node, cell, r);
    if (why) return skv_fail_at(c->ctx, SKIVE_ERR_GRAPH, c->node->name, "node '%s': %s", c->node->name, why);
    r->hidden = r->hidden < 0 ? w->dims[1] / cell->gates : r->hidden;
    r->steps = x->dims[r->batch_first ? 1 : 0];
    r->batch = x->dims[r->batch_first ? 0 : 1];
    r->input = x->dims[2];
    return SKIVE_OK;
}

skive_status skv_recurrent_length(const skv_eval *c, const skv_recurrent *r, int64_t b, int64_t *length) {
    const skive_tensor *lengths = c->n_in > 4 ? c->in[4] : NULL;
    *length = lengths ? ((const int32_t *)lengths->data)[b] : r->steps;
    if (*length >= 0 && *length <= r->steps) return SKIVE_OK;
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                       "node '%s': a sequence length of %lld is out of range for %lld steps", c->node->name,
                       (long long)*length, (long long)r->steps);
}

skv_recurrent_step skv_recurrent_step_of(const skv_recurrent *r, const skv_recurrent_data *u, const skive_node *node,
                                         int d) {
    const int64_t h = r->hidden, gh = r->gates * h;
    return (skv_recurrent_step){.r = r,
                                .node = node,
                                .acts = r->acts[d],
                                .xw = u->xw,
                                .weight = u->in[2] + d * gh * h,
                                .bias = u->in[3] ? u->in[3] + (2 * d + 1) * gh : NULL,
                                .peephole = u->in[7] ? u->in[7] + d * 3 * h : NULL,
                                .h = u->states,
                                .c = u->states + h,
                                .scratch = u->scratch};
}

void skv_recurrent_input(const skv_recurrent *r, const skv_recurrent_data *u, int d, int64_t t, int64_t b) {
    const int64_t gh = r->gates * r->hidden;
    skv_recurrent_product(u->in[1] + d * gh * r->input, gh, r->input, u->in[0] + skv_recurrent_x_at(r, t, b), u->xw);
    for (int64_t j = 0; u->in[3] && j < gh; j++) u->xw[j] += u->in[3][2 * d * gh + j];
}

void skv_recurrent_walk(const skv_recurrent *r, const skv_recurrent_cell *cell, const skv_recurrent_data *u,
                        const skive_node *node, int d, int64_t b, int64_t length) {
    const int64_t h = r->hidden;
    const size_t bytes = (size_t)h * sizeof(double);
    const skv_recurrent_step s = skv_recurrent_step_of(r, u, node, d);
    for (int k = 0; k < cell->states; k++) {
        if (u->in[5 + k])
            memcpy(u->states + k * h, u->in[5 + k] + skv_recurrent_state_at(r, d, b), bytes);
        else
            memset(u->states + k * h, 0, bytes);
    }
    for (int64_t i = 0; i < length; i++) {
        const int64_t t = skv_recurrent_backward(r, d) ? length - 1 - i : i;
        if (u->trace) memcpy(u->trace + i * cell->states * h, u->states, (size_t)cell->states * bytes);
        skv_recurrent_input(r, u, d, t, b);
        cell->step(&s);
        if (u->out[0]) memcpy(u->out[0] + skv_recurrent_y_at(r, t, d, b), u->states, bytes);
    }
    for (int k = 0; k < cell->states; k++)
        if (u->out[1 + k]) memcpy(u->out[1 + k] + skv_recurrent_state_at(r, d, b), u->states + k * h, bytes);
}

void skv_recurrent_through_u8(double *x, int64_t n) {
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        low = fminf(low, (float)x[i]);
        high = fmaxf(high, (float)x[i]);
    }
    const skv_quantizer q = skv_quantizer_of(&skv_grid_uint8);
    skv_grid_params p;
    skv_grid_dynamic_u8(low, high, &p);
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)(skv_grid_encode(&q, &p, (float)x[i]) - p.zero_point) * (double)p.scale;
}

const double *skv_recurrent_operand(const skv_recurrent_step *s, double *room) {
    if (!s->r->quantized) return s->h;
    memcpy(room, s->h, (size_t)s->r->hidden * sizeof *room);
    skv_recurrent_through_u8(room, s->r->hidden);
    return room;
}

skive_status skv_recurrent_run_on(const skv_eval *c, const skv_recurrent_cell *cell, const skv_recurrent *r,
                                  const double *const in[8]) {
    skv_result out[3] = {{0}};
    skv_recurrent_data u = {0};
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < 8; i++) u.in[i] = in[i];
    for (size_t o = 0; o < 3 && o < c->n_out; o++) {
        SKV_GO(status, done, skv_result_open(c->ctx, c->out[o], &out[o]));
        u.out[o] = out[o].p;
        if (out[o].p) memset(out[o].p, 0, out[o].n * sizeof(double));
    }
    const size_t gh = (size_t)(r->gates * r->hidden) + 1;
    SKV_GO(status, done, skv_alloc_array(c->ctx, gh, sizeof(double), &u.xw));
    SKV_GO(status, done, skv_alloc_array(c->ctx, gh, 2 * sizeof(double), &u.states));
    SKV_GO(status, done, skv_alloc_array(c->ctx, gh, 8 * sizeof(double), &u.scratch));
    for (int64_t b = 0; b < r->batch; b++) {
        int64_t length;
        SKV_GO(status, done, skv_recurrent_length(c, r, b, &length));
        for (int d = 0; d < r->directions; d++) skv_recurrent_walk(r, cell, &u, c->node, d, b, length);
    }
    for (size_t o = 0; o < 3; o++)
        if (out[o].p) skv_result_store(&out[o]);
done:
    for (size_t o = 0; o < 3; o++) skv_result_free(c->ctx, &out[o]);
    skv_free(c->ctx, u.xw);
    skv_free(c->ctx, u.states);
    skv_free(c->ctx, u.scratch);
    return status;
}

skive_status skv_recurrent_run(const skv_eval *c, const skv_recurrent_cell *cell) {
    skv_recurrent r;
    skv_doubles in[8] = {{0}};
    const double *operands[8] = {NULL};
    skive_status status;
    SKV_TRY(skv_recurrent_read(c, cell, &r));
    for (size_t i = 0; i < 8 && i < c->n_in; i++) {
        if (i != 4) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
        operands[i] = in[i].p;
    }
    status = skv_recurrent_run_on(c, cell, &r, operands);
done:
    for (size_t i = 0; i < 8; i++) skv_doubles_free(c->ctx, &in[i]);
    return status;
}
