/* Gradients of RNN, GRU and LSTM. See common_recurrent.h. */
#include <string.h>

#include "ops/recurrent/common_recurrent.h"
#include "ops/common_shape.h"

enum { DY = SKV_RECURRENT_DY };
/* The forward input each output is the gradient of. */
static const size_t input_of[SKV_RECURRENT_GRADIENTS] = {0, 1, 2, 3, 5, 6, 7};

skive_status skv_recurrent_grad(skv_grad *c, const skv_recurrent_cell *cell) {
    const skive_node *n = c->node;
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skive_value *in[SKV_RECURRENT_GRAD_INPUTS] = {NULL}, *out[SKV_RECURRENT_GRADIENTS];
    for (uint32_t o = 0; o < n->n_outputs; o++) in[DY + o] = c->dout[o];
    for (uint32_t i = 0; i < n->n_inputs; i++) in[i] = n->inputs[i];
    if (!skv_emit_n(c->b, cell->grad, (skv_in_list){in, SKV_RECURRENT_GRAD_INPUTS}, skv_attrs_copy(n, buffer), out,
                    SKV_RECURRENT_GRADIENTS))
        return c->b->status;
    for (size_t o = 0; o < SKV_RECURRENT_GRADIENTS; o++)
        if (input_of[o] < n->n_inputs && n->inputs[input_of[o]] && c->need[input_of[o]]) c->din[input_of[o]] = out[o];
    return SKIVE_OK;
}

skive_status skv_recurrent_grad_infer(skv_infer *c, const skv_recurrent_cell *cell) {
    skive_type forward[3];
    skv_infer view = *c;
    for (int o = 0; o < 3; o++) forward[o] = (skive_type){.rank = -1};
    view.n_in = c->n_in < DY ? c->n_in : DY;
    view.out = forward;
    view.n_out = (size_t)cell->states + 1;
    SKV_TRY(skv_recurrent_infer(&view, cell));
    for (size_t o = 0; o < view.n_out && DY + o < c->n_in; o++) {
        SKV_TRY(skv_want_same_dtype(c, 0, DY + o));
        SKV_TRY(skv_want_shape(c, DY + o, &forward[o]));
    }
    for (size_t o = 0; o < c->n_out && o < SKV_RECURRENT_GRADIENTS; o++) {
        const size_t i = input_of[o];
        const skive_type empty = {.dtype = skv_infer_in(c, 0)->dtype, .rank = 1, .dims = {skv_dim(0)}};
        c->out[o] = i < c->n_in && c->in[i] ? *c->in[i] : empty;
    }
    return SKIVE_OK;
}

void skv_recurrent_grad_cost(const skive_node *n, skive_cost *cost) {
    const skive_value *x = skv_node_in(n, 0), *w = skv_node_in(n, 1), *r = skv_node_in(n, 2);
    if (!x || !w || !r) return;
    const int64_t rows = skv_mul_sat(skv_dim_or_1(x, 0), skv_dim_or_1(x, 1));
    const int64_t each = skv_add_sat(skv_type_count(&w->type), skv_type_count(&r->type));
    cost->macs = skv_add_sat(cost->macs, skv_mul_sat(3, skv_mul_sat(rows, each))); /* forward, data, weights */
}

double skv_recurrent_gate_back(const skv_recurrent *r, const skv_act_fn *act, double sum, double dy) {
    if (r->clip > 0 && fabs(sum) > r->clip) return 0;
    return dy * act->slope(sum, act->p);
}

void skv_recurrent_product_back(const double *weight, int64_t n, int64_t hidden, const double *h, const double *d,
                                double *dweight, double *dh) {
    for (int64_t j = 0; j < n; j++) {
        for (int64_t k = 0; k < hidden; k++) {
            dweight[j * hidden + k] += d[j] * h[k];
            dh[k] += weight[j * hidden + k] * d[j];
        }
    }
}

typedef struct grad_data {
    skv_recurrent_data u;
    const double *dy[3];
    double *din[SKV_RECURRENT_GRADIENTS]; /* NULL only for absent inputs */
    double *dstates, *dxw;
} grad_data;
enum { DX, DW, DR, DB, DH, DC, DP };

static void back_step(const skv_recurrent *r, const skv_recurrent_cell *cell, grad_data *g, const skive_node *node,
                      int d, int64_t t, int64_t b, double *before) {
    const int64_t h = r->hidden, gh = r->gates * h;
    skv_recurrent_back s = {.f = skv_recurrent_step_of(r, &g->u, node, d),
                            .dh = g->dstates,
                            .dc = cell->states == 2 ? g->dstates + h : NULL,
                            .dxw = g->dxw,
                            .dweight = g->din[DR] + d * gh * h,
                            .dbias = g->din[DB] ? g->din[DB] + (2 * d + 1) * gh : NULL,
                            .dpeephole = g->din[DP] ? g->din[DP] + d * 3 * h : NULL};
    s.f.h = before;
    s.f.c = before + h;
    skv_recurrent_input(r, &g->u, d, t, b);
    if (g->dy[0])
        for (int64_t i = 0; i < h; i++) s.dh[i] += g->dy[0][skv_recurrent_y_at(r, t, d, b) + i];
    cell->back(&s);
    const int64_t at = skv_recurrent_x_at(r, t, b);
    skv_recurrent_product_back(g->u.in[1] + d * gh * r->input, gh, r->input, g->u.in[0] + at, g->dxw,
                               g->din[DW] + d * gh * r->input, g->din[DX] + at);
    for (int64_t j = 0; g->din[DB] && j < gh; j++) g->din[DB][2 * d * gh + j] += g->dxw[j];
}

static void back_walk(const skv_recurrent *r, const skv_recurrent_cell *cell, grad_data *g, const skive_node *node,
                      int d, int64_t b, int64_t length) {
    const int64_t h = r->hidden, at = skv_recurrent_state_at(r, d, b);
    skv_recurrent_walk(r, cell, &g->u, node, d, b, length);
    for (int k = 0; k < cell->states; k++)
        for (int64_t i = 0; i < h; i++) g->dstates[k * h + i] = g->dy[1 + k] ? g->dy[1 + k][at + i] : 0;
    for (int64_t i = length - 1; i >= 0; i--)
        back_step(r, cell, g, node, d, skv_recurrent_backward(r, d) ? length - 1 - i : i, b,
                  g->u.trace + i * cell->states * h);
    for (int k = 0; k < cell->states; k++)
        for (int64_t i = 0; g->din[DH + k] && i < h; i++) g->din[DH + k][at + i] += g->dstates[k * h + i];
}

skive_status skv_recurrent_grad_run(const skv_eval *c, const skv_recurrent_cell *cell) {
    skv_recurrent r;
    skv_doubles in[SKV_RECURRENT_GRAD_INPUTS] = {{0}};
    skv_result out[SKV_RECURRENT_GRADIENTS] = {{0}};
    double *work = NULL, *own[SKV_RECURRENT_GRADIENTS] = {NULL};
    grad_data g = {0};
    skive_status status;
    SKV_TRY(skv_recurrent_read(c, cell, &r));
    for (size_t i = 0; i < SKV_RECURRENT_GRAD_INPUTS && i < c->n_in; i++) {
        if (i != 4) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
        if (i < DY)
            g.u.in[i] = in[i].p;
        else
            g.dy[i - DY] = in[i].p;
    }
    for (size_t o = 0; o < SKV_RECURRENT_GRADIENTS; o++) {
        const size_t i = input_of[o];
        if (i >= c->n_in || !c->in[i]) continue;
        if (o < c->n_out && c->out[o]) {
            SKV_GO(status, done, skv_result_open(c->ctx, c->out[o], &out[o]));
            g.din[o] = out[o].p;
        } else {
            SKV_GO(status, done, skv_alloc_array(c->ctx, in[i].n + 1, sizeof(double), &own[o]));
            g.din[o] = own[o];
        }
        if (g.din[o]) memset(g.din[o], 0, in[i].n * sizeof(double));
    }
    const size_t gh = (size_t)(r.gates * r.hidden), per_step = (size_t)(cell->states * r.hidden);
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)r.steps + 16, (gh + per_step) * sizeof(double), &work));
    g.u.xw = work;
    g.dxw = work + gh;
    g.u.scratch = work + 2 * gh;
    g.u.states = work + 10 * gh;
    g.dstates = g.u.states + per_step;
    g.u.trace = g.dstates + per_step;
    for (int64_t b = 0; b < r.batch; b++) {
        int64_t length;
        SKV_GO(status, done, skv_recurrent_length(c, &r, b, &length));
        for (int d = 0; d < r.directions; d++) back_walk(&r, cell, &g, c->node, d, b, length);
    }
    for (size_t o = 0; o < SKV_RECURRENT_GRADIENTS; o++)
        if (out[o].p) skv_result_store(&out[o]);
done:
    for (size_t i = 0; i < SKV_RECURRENT_GRAD_INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    for (size_t o = 0; o < SKV_RECURRENT_GRADIENTS; o++) {
        skv_result_free(c->ctx, &out[o]);
        skv_free(c->ctx, own[o]);
    }
    skv_free(c->ctx, work);
    return status;
}
