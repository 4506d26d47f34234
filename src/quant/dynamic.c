/* Dynamic quantization: weights are quantized now, activations while the model runs. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ops/common_nn.h"
#include "ops/common_shape.h"
#include "ops/quant/common_dynamic_cell.h"
#include "passes/fuse.h"
#include "quant/data_free.h"
#include "quant/speed.h"
#include "quant/target.h"

/* A value quantized while the model runs, once for all its readers. */
typedef struct live {
    skive_value *of, *q, *scale, *zero;
} live;

typedef struct dynamic {
    skv_data_free *w;
    live *items; /* by the value they are of */
    size_t n;
} dynamic;

static skive_status quantize_live(dynamic *d, skive_value *x, live *out) {
    for (size_t i = 0; i < d->n; i++) {
        if (d->items[i].of != x) continue;
        *out = d->items[i];
        return SKIVE_OK;
    }
    skv_builder b = skv_build(x->graph);
    skive_value *y[3] = {NULL};
    (void)skv_emit_n(&b, "DynamicQuantizeLinear", SKV_IN(x), SKV_NONE, y, 3);
    SKV_TRY(b.status);
    SKV_TRY(skv_grow(d->w->ctx, &d->items, d->n, d->n + 1, sizeof *d->items));
    *out = d->items[d->n++] = (live){.of = x, .q = y[0], .scale = y[1], .zero = y[2]};
    return SKIVE_OK;
}

/* ---- what can be ---- */

static const char *why_no_product(const skive_node *n) {
    const skive_value *c = skv_node_in(n, 2);
    if (skv_quant_parameter(n, 1)->type.rank != 2) return "its weights have not two dimensions";
    if (!skv_node_is(n, SKV_OP_GEMM)) return NULL;
    if (skv_attr_int(n, "transA", 0) != 0) return "its first input is transposed";
    if (skv_attr_float(n, "alpha", 1) != 1 || (c && skv_attr_float(n, "beta", 1) != 1))
        return "its alpha or beta is not 1";
    return NULL;
}

static bool usual_activations(const skive_node *n) {
    static const char *const lstm[] = {"Sigmoid", "Tanh", "Tanh"};
    const size_t each = skv_node_is(n, SKV_OP_LSTM) ? 3 : skv_node_is(n, SKV_OP_GRU) ? 2 : 1;
    const char *const *usual = each == 1 ? lstm + 1 : lstm;
    const skv_attr *names = skv_node_attr(n, "activations");
    for (size_t i = 0; names && i < names->n; i++)
        if (strcasecmp(names->strings[i], usual[i % each]) != 0) return false;
    return !skv_node_attr(n, "clip") && !skv_attr_int(n, "input_forget", 0);
}

static const char *why_no_cell(const skive_node *n) {
    const skive_value *r = skv_quant_parameter(n, 2), *bias = skv_quant_parameter(n, 3);
    if (skv_attr_int(n, "layout", 0) != 0) return "its integer form has no layout with the batch first";
    if (!usual_activations(n)) return "its activations are not the usual ones, or it has a clip or input_forget";
    if (skv_node_in(n, 4) || skv_node_in(n, 7)) return "it has sequence lengths or peepholes";
    if (!skv_value_is_param(r) || r->type.dtype != SKIVE_F32 || skv_value_coded(r))
        return "its recurrent weights are not a float parameter";
    if (bias && (!skv_value_is_param(bias) || bias->type.dtype != SKIVE_F32)) return "its bias is computed";
    return NULL;
}

static const char *why_not(const skv_data_free *w, const skive_node *n) {
    const skive_value *x = skv_quant_parameter(n, 0), *m = skv_quant_parameter(n, 1), *c = skv_quant_parameter(n, 2);
    if (skv_quant_skipped(w->o, n)) return "it is excluded by --skip";
    const bool cell = SKV_NODE_IS_ANY(n, SKV_OP_LSTM, SKV_OP_GRU, SKV_OP_RNN);
    if (!cell && !SKV_NODE_IS_ANY(n, SKV_OP_MAT_MUL, SKV_OP_GEMM, SKV_OP_CONV))
        return "its operator has no integer form whose inputs are quantized while the model runs";
    if (!x || x->storage || x->type.dtype != SKIVE_F32) return "its first input is not a float32 that is computed";
    if (skv_node_is(n, SKV_OP_MAT_MUL) && !skv_value_is_param(m)) return "both of its factors are computed";
    if (!skv_value_is_param(m) || m->type.dtype != SKIVE_F32 || skv_value_coded(m))
        return "its weights are not a float parameter";
    if (cell) return why_no_cell(n);
    const bool conv = skv_node_is(n, SKV_OP_CONV);
    const char *product = conv ? NULL : why_no_product(n);
    if (product) return product;
    if (conv && m->type.rank < 3) return "its weights have no window";
    if (conv && c && !skv_value_is_param(c)) return "its bias is computed";
    return skv_quant_sums_why_not(n, w->o->per_channel);
}

/* ---- weights ---- */

/* A matrix in a tensor: elements from one output channel to the next, and along a channel. Positions along a channel
 * may have any order of axes, as long as they are equally far apart. */
typedef struct matrix {
    int64_t out, in, out_step, in_step;
} matrix;

/* The largest magnitude of n numbers, each `step` behind the one before. */
static float largest(const float *x, int64_t n, int64_t step) {
    float most = 0;
    for (int64_t i = 0; i < n; i++) {
        const float m = fabsf(x[i * step]);
        most = m > most ? m : most;
    }
    return most;
}

/* int8 codes of m in `to` (seen as t), with a scale for each output channel, or one. `error` is added to: the square of
 * the numbers and that of what rounding changed. */
static void make_codes(const skv_data_free *w, const float *x, const matrix *m, int8_t *to, const matrix *t,
                       float *scales, double error[2]) {
    const skv_quantizer q = w->codes;
    float all = 0;
    for (int64_t c = 0; c < m->out; c++) {
        const float most = largest(x + c * m->out_step, m->in, m->in_step);
        all = most > all ? most : all;
    }
    for (int64_t c = 0; c < m->out; c++) {
        const float *from = x + c * m->out_step;
        const double most = (double)(w->o->per_channel ? largest(from, m->in, m->in_step) : all);
        skv_grid_params p;
        q.grid->solve_range(&q, -most, most, &p);
        for (int64_t r = 0; r < m->in; r++) {
            const float number = from[r * m->in_step];
            const int32_t code = skv_grid_encode(&q, &p, number);
            const double e = (double)skv_grid_decode(&q, &p, code) - (double)number;
            to[c * t->out_step + r * t->in_step] = (int8_t)code;
            error[0] += (double)number * (double)number;
            error[1] += e * e;
        }
        scales[w->o->per_channel ? c : 0] = p.scale;
    }
}

static skive_status add_row(skv_data_free *w, const skive_value *of, const double error[2]) {
    const skive_quantize_row told = {.is_parameter = true,
                                     .grid = w->codes.grid->name,
                                     .scale = NAN,
                                     .lo = NAN,
                                     .hi = NAN,
                                     .sqnr = error[1] > 0 ? 10 * log10(error[0] / error[1]) : INFINITY};
    return skv_quant_add_row(w->ctx, &w->report, &told, of->name);
}

static skive_value *param(skv_builder *b, const skive_value *like, const char *end, skv_storage **take) {
    char name[256];
    skv_storage *s = *take;
    *take = NULL;
    (void)snprintf(name, sizeof name, "%.*s_%s", 230, like->name, end);
    return skv_emit_param(b, skive_graph_find_value(b->graph, name) ? NULL : name, s);
}

/* Codes and scales of a weight as parameters: codes in the shape `dims`, scales [scale_dims] (without --per-tensor). */
typedef struct coded {
    skive_value *codes, *scale;
} coded;

typedef struct shapes {
    int rank, scale_rank;
    int64_t dims[SKIVE_MAX_RANK], scale_dims[SKIVE_MAX_RANK];
} shapes;

/* `parts` matrices one behind the other: the directions of a recurrent layer. */
static skive_status emit_weight(skv_data_free *w, skv_builder *b, const skive_value *v, const shapes *s,
                                const matrix *from, const matrix *to, int64_t parts, coded *out) {
    skv_storage *codes = NULL, *scales = NULL;
    const float *x = skv_value_tensor(v)->data;
    const int64_t each = from->out * from->in, each_scale = w->o->per_channel ? from->out : 1;
    double error[2] = {0};
    skive_status status;
    SKV_GO(status, done, skv_storage_create(w->ctx, SKIVE_I8, s->rank, s->dims, &codes));
    SKV_GO(status, done,
           w->o->per_channel ? skv_storage_create(w->ctx, SKIVE_F32, s->scale_rank, s->scale_dims, &scales)
                             : skv_storage_create(w->ctx, SKIVE_F32, parts > 1 || s->scale_rank == 2, &parts, &scales));
    for (int64_t k = 0; k < parts; k++)
        make_codes(w, x + k * each, from, (int8_t *)codes->tensor.data + k * each, to,
                   (float *)scales->tensor.data + k * each_scale, error);
    SKV_GO(status, done, add_row(w, v, error));
    out->codes = param(b, v, "quantized", &codes);
    out->scale = param(b, v, "scale", &scales);
    status = b->status;
done:
    skv_storage_release(codes);
    skv_storage_release(scales);
    return status;
}

/* ---- the nodes ---- */

/* float(integer sums) * (scale of x * scales of w) */
static skive_value *scaled(skv_builder *b, skive_value *sums, skive_value *x_scale, skive_value *w_scale) {
    skive_value *y = skv_emit(b, "Cast", SKV_IN(sums), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    return skv_emit(b, "Mul", SKV_IN(y, skv_emit(b, "Mul", SKV_IN(x_scale, w_scale), SKV_NONE)), SKV_NONE);
}

/* int8 weights [k][n] with a scale for each column. */
static skive_status make_product(dynamic *d, skive_node *n) {
    const skive_tensor *t = skv_value_tensor(skv_quant_parameter(n, 1));
    const bool turned = skv_node_is(n, SKV_OP_GEMM) && skv_attr_int(n, "transB", 0) != 0;
    const int64_t columns = t->dims[turned ? 0 : 1], rows = t->dims[turned ? 1 : 0];
    const matrix from = {columns, rows, turned ? rows : 1, turned ? 1 : columns}, to = {columns, rows, 1, columns};
    const shapes s = {.rank = 2, .scale_rank = 1, .dims = {rows, columns}, .scale_dims = {columns}};
    skive_value *bias = skv_node_in(n, 2);
    live x;
    coded c;
    SKV_TRY(quantize_live(d, n->inputs[0], &x));
    skv_builder b = skv_build(n->graph);
    SKV_TRY(emit_weight(d->w, &b, skv_quant_parameter(n, 1), &s, &from, &to, 1, &c));
    skive_value *y =
        scaled(&b, skv_emit(&b, "MatMulInteger", SKV_IN(x.q, c.codes, x.zero), SKV_NONE), x.scale, c.scale);
    if (bias) y = skv_emit(&b, "Add", SKV_IN(y, bias), SKV_NONE);
    SKV_TRY(b.status);
    return skv_import_replace(n, y);
}

/* A constant [m] as [m][1]...: to be added to the channels. */
static skive_value *as_channels(skv_builder *b, const skive_value *v, int rank) {
    const skive_tensor *t = skv_value_tensor(v);
    skv_storage *s = NULL;
    int64_t dims[SKIVE_MAX_RANK] = {t->dims[0]};
    for (int i = 1; i < rank; i++) dims[i] = 1;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    memcpy(s->tensor.data, t->data, skive_tensor_bytes(t));
    return param(b, v, "channels", &s);
}

static skive_status make_convolution(dynamic *d, skive_node *n) {
    const skive_tensor *t = skv_value_tensor(skv_quant_parameter(n, 1));
    const int64_t m = t->dims[0], each = m > 0 ? skive_tensor_count(t) / m : 0;
    const matrix as_is = {m, each, each, 1};
    shapes s = {.rank = t->rank, .scale_rank = t->rank - 1, .scale_dims = {m}};
    live x;
    coded c;
    skive_value *sums = NULL;
    for (int i = 0; i < t->rank; i++) s.dims[i] = t->dims[i];
    for (int i = 1; i < s.scale_rank; i++) s.scale_dims[i] = 1;
    SKV_TRY(quantize_live(d, n->inputs[0], &x));
    skv_builder b = skv_build(n->graph);
    SKV_TRY(emit_weight(d->w, &b, skv_quant_parameter(n, 1), &s, &as_is, &as_is, 1, &c));
    skv_attr_init buffer[SKV_ATTRS_COPY];
    sums = skv_emit(&b, "ConvInteger", SKV_IN(x.q, c.codes, x.zero), skv_attrs_copy(n, buffer));
    skive_value *y = scaled(&b, sums, x.scale, c.scale);
    if (skv_node_in(n, 2))
        y = skv_emit(&b, "Add", SKV_IN(y, as_channels(&b, skv_quant_parameter(n, 2), t->rank - 1)), SKV_NONE);
    SKV_TRY(b.status);
    return skv_import_replace(n, y);
}

static skive_value *zeros_like(skv_builder *b, const skive_value *scale) {
    const skive_tensor *t = skv_value_tensor(scale);
    skv_storage *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_I8, t->rank, t->dims, &s);
    return b->status == SKIVE_OK ? skv_emit_param(b, NULL, s) : NULL;
}

/* com.microsoft's DynamicQuantizeLSTM: weights [d][k][4 h] */
static skive_status make_lstm(dynamic *d, skive_node *n) {
    coded c[2];
    skive_value *in[12] = {n->inputs[0], NULL, NULL, skv_node_in(n, 3), NULL, skv_node_in(n, 5), skv_node_in(n, 6)};
    const skv_attr_init attrs[] = {SKV_STR("direction", skv_attr_string(n, "direction", "forward")),
                                   SKV_INT("hidden_size", skv_value_tensor(skv_quant_parameter(n, 2))->dims[2])};
    skv_builder b = skv_build(n->graph);
    for (int i = 0; i < 2; i++) {
        const int64_t *dims = skv_value_tensor(skv_quant_parameter(n, (size_t)i + 1))->dims, columns = dims[1],
                      k = dims[2];
        const matrix from = {columns, k, k, 1}, to = {columns, k, 1, columns};
        const shapes s = {.rank = 3, .scale_rank = 2, .dims = {dims[0], k, columns}, .scale_dims = {dims[0], columns}};
        SKV_TRY(emit_weight(d->w, &b, skv_quant_parameter(n, (size_t)i + 1), &s, &from, &to, dims[0], &c[i]));
        in[i + 1] = c[i].codes;
        in[8 + 2 * i] = c[i].scale;
        in[9 + 2 * i] = zeros_like(&b, c[i].scale);
    }
    SKV_TRY(b.status);
    const skv_fusion f = {.chain = (skive_node *[]){n},
                          .n_chain = 1,
                          .op = "DynamicQuantizeLSTM",
                          .domain = "com.microsoft",
                          .inputs = in,
                          .n_inputs = 12,
                          .old = n->outputs,
                          .n_old = n->n_outputs,
                          .attrs = attrs,
                          .n_attrs = 2};
    return skv_fuse(n->graph, &f);
}

/* ---- GRU and RNN ---- the input's part for all steps at once, and a Scan over the steps ---- */

/* Rows `first` to `first + rows` of the weights [d][gates h][k] of a direction as codes [k][rows], a scale each. */
static skive_status code_rows(skv_data_free *w, const skive_value *v, int64_t direction, int64_t first, int64_t rows,
                              double error[2], skv_storage **codes, skv_storage **scales) {
    const int64_t *dims = skv_value_tensor(v)->dims, k = dims[2], shape[2] = {k, rows};
    const matrix from = {rows, k, k, 1}, to = {rows, k, 1, rows};
    const float *x = (const float *)skv_value_tensor(v)->data + (direction * dims[1] + first) * k;
    SKV_TRY(skv_storage_create(w->ctx, SKIVE_I8, 2, shape, codes));
    SKV_TRY(skv_storage_create(w->ctx, SKIVE_F32, 1, &rows, scales));
    float *scale = (*scales)->tensor.data;
    make_codes(w, x, &from, (*codes)->tensor.data, &to, scale, error);
    for (int64_t i = 1; !w->o->per_channel && i < rows; i++) scale[i] = scale[0];
    return SKIVE_OK;
}

/* The biases that are added to the input's part: all, but for that inside GRU's reset gate, which goes to *inside. */
static skive_status bias_of(skv_builder *b, const skive_node *n, int64_t direction, int64_t gates, int64_t hidden,
                            bool linear, skive_value **sum, skv_storage **inside) {
    const int64_t columns = gates * hidden;
    const skive_tensor *t = skv_value_tensor(skv_quant_parameter(n, 3));
    skv_storage *s = NULL;
    *sum = NULL;
    if (!t) return SKIVE_OK;
    const float *x = (const float *)t->data + 2 * direction * columns;
    SKV_TRY(skv_storage_create(b->graph->ctx, SKIVE_F32, 1, &columns, &s));
    for (int64_t i = 0; i < columns; i++)
        ((float *)s->tensor.data)[i] = x[i] + (linear && i >= 2 * hidden ? 0 : x[columns + i]);
    *sum = skv_emit_param(b, NULL, s);
    SKV_TRY(b->status);
    if (!linear) return SKIVE_OK;
    SKV_TRY(skv_storage_create(b->graph->ctx, SKIVE_F32, 1, &hidden, inside));
    memcpy((*inside)->tensor.data, x + columns + 2 * hidden, (size_t)hidden * sizeof *x);
    return SKIVE_OK;
}

/* [b][h]: the given state of a direction, or zeros. */
static skive_value *first_state(skv_builder *b, const skive_node *n, int64_t direction, int64_t hidden) {
    skive_value *given = skv_node_in(n, 5), *x = n->inputs[0];
    if (given) return skv_emit(b, "Gather", SKV_IN(given, skv_emit_scalar(b, SKIVE_I64, (double)direction)), SKV_NONE);
    const int64_t one[1] = {1}, two[1] = {2}, zero[1] = {0}, size[1] = {hidden};
    skive_value *batch = skv_emit(b, "Slice",
                                  SKV_IN(skv_emit(b, "Shape", SKV_IN(x), SKV_NONE), skv_emit_ints(b, one, 1),
                                         skv_emit_ints(b, two, 1), skv_emit_ints(b, zero, 1)),
                                  SKV_NONE);
    skive_value *shape = skv_emit(b, "Concat", SKV_IN(batch, skv_emit_ints(b, size, 1)), SKV_ATTRS(SKV_INT("axis", 0)));
    return skv_emit(b, "ConstantOfShape", SKV_IN(shape), SKV_NONE);
}

/* The last state [b][h] and all of them [t][b][h], of one direction. */
static skive_status make_direction(dynamic *d, skive_node *n, const live *x, skv_cell_kind kind, int64_t direction,
                                   double error[2][2], skive_value *out[2]) {
    const skive_tensor *r = skv_value_tensor(skv_quant_parameter(n, 2));
    const int64_t hidden = r->dims[2], gates = skv_cell_gates(kind), columns = gates * hidden,
                  together = kind == SKV_CELL_GRU ? 2 * hidden : columns;
    const bool reverse = direction == 1 || strcasecmp(skv_attr_string(n, "direction", "forward"), "reverse") == 0;
    skv_builder b = skv_build(n->graph);
    skv_storage *w = NULL, *w_scale = NULL;
    skv_dynamic_cell c = {.kind = kind, .hidden = hidden};
    skive_value *bias = NULL;
    skive_graph *body = NULL;
    skive_status status;
    SKV_GO(status, done, code_rows(d->w, skv_quant_parameter(n, 1), direction, 0, columns, error[0], &w, &w_scale));
    SKV_GO(status, done,
           code_rows(d->w, skv_quant_parameter(n, 2), direction, 0, together, error[1], &c.r, &c.r_scale));
    if (kind == SKV_CELL_GRU)
        SKV_GO(status, done,
               code_rows(d->w, skv_quant_parameter(n, 2), direction, together, hidden, error[1], &c.n, &c.n_scale));
    SKV_GO(status, done, bias_of(&b, n, direction, gates, hidden, kind == SKV_CELL_GRU_LINEAR, &bias, &c.bias));
    skive_value *codes = param(&b, skv_quant_parameter(n, 1), "quantized", &w),
                *scale = param(&b, skv_quant_parameter(n, 1), "scale", &w_scale);
    skive_value *sums =
        scaled(&b, skv_emit(&b, "MatMulInteger", SKV_IN(x->q, codes, x->zero), SKV_NONE), x->scale, scale);
    if (bias) sums = skv_emit(&b, "Add", SKV_IN(sums, bias), SKV_NONE);
    skive_value *h = first_state(&b, n, direction, hidden);
    SKV_GO(status, done, b.status);
    const int64_t back[1] = {1};
    const skv_attr_init attrs[] = {SKV_INT("num_scan_inputs", 1), SKV_INTS("scan_input_directions", back, 1),
                                   SKV_INTS("scan_output_directions", back, 1)};
    skive_node *scan = NULL;
    skive_value *made[2] = {NULL};
    for (int i = 0; i < 2; i++) SKV_GO(status, done, skv_graph_new_value(n->graph, NULL, &made[i]));
    SKV_GO(status, done,
           skv_graph_new_node(n->graph, "Scan", NULL, NULL, (skive_value *const[]){h, sums}, 2, made, 2, &scan));
    for (size_t i = 0; i < (reverse ? 3u : 1u); i++) SKV_GO(status, done, skv_node_set_attr(scan, &attrs[i]));
    SKV_GO(status, done, skv_dynamic_cell_body(d->w->ctx, n->graph, &c, &body));
    SKV_GO(status, done, skv_node_set_graph_attr(scan, "body", body));
    body = NULL;
    const skive_type *xt = &n->inputs[0]->type;
    for (int i = 0; i < 2; i++) {
        made[i]->type = (skive_type){.dtype = SKIVE_F32, .rank = 2 + i};
        for (int k = 0; k < 1 + i; k++) made[i]->type.dims[k] = xt->dims[k + 1 - i];
        made[i]->type.dims[1 + i] = (skive_dim){hidden, NULL};
        out[i] = made[i];
    }
done:
    skive_graph_free(body);
    skv_storage_release(w);
    skv_storage_release(w_scale);
    skv_storage_release(c.r);
    skv_storage_release(c.r_scale);
    skv_storage_release(c.n);
    skv_storage_release(c.n_scale);
    skv_storage_release(c.bias);
    return status;
}

/* What reads output `o` of the node reads `v`, which gets its name. */
static skive_status hand_output(skive_node *n, size_t o, skive_value *v) {
    skive_value *old = o < n->n_outputs ? n->outputs[o] : NULL;
    if (!old) return SKIVE_OK;
    SKV_TRY(skv_value_replace_uses(old, v, true));
    return skv_value_take_name(v, old);
}

static skive_status make_gru(dynamic *d, skive_node *n) {
    const skv_cell_kind kind = skv_node_is(n, SKV_OP_RNN)                       ? SKV_CELL_RNN
                               : skv_attr_int(n, "linear_before_reset", 0) != 0 ? SKV_CELL_GRU_LINEAR
                                                                                : SKV_CELL_GRU;
    const int64_t directions = skv_value_tensor(skv_quant_parameter(n, 1))->dims[0], zero[1] = {0}, one[1] = {1};
    double error[2][2] = {{0}};
    skive_value *last[2] = {NULL}, *all[2] = {NULL};
    live x;
    SKV_TRY(quantize_live(d, n->inputs[0], &x));
    skv_builder b = skv_build(n->graph);
    for (int64_t k = 0; k < directions && k < 2; k++) {
        skive_value *made[2] = {NULL};
        SKV_TRY(make_direction(d, n, &x, kind, k, error, made));
        last[k] = skv_emit(&b, "Unsqueeze", SKV_IN(made[0], skv_emit_ints(&b, zero, 1)), SKV_NONE);
        all[k] = skv_emit(&b, "Unsqueeze", SKV_IN(made[1], skv_emit_ints(&b, one, 1)), SKV_NONE);
    }
    if (directions == 2) {
        last[0] = skv_emit(&b, "Concat", SKV_IN(last[0], last[1]), SKV_ATTRS(SKV_INT("axis", 0)));
        all[0] = skv_emit(&b, "Concat", SKV_IN(all[0], all[1]), SKV_ATTRS(SKV_INT("axis", 1)));
    }
    SKV_TRY(b.status);
    for (int i = 0; i < 2; i++) SKV_TRY(add_row(d->w, n->inputs[i + 1], error[i]));
    SKV_TRY(hand_output(n, 0, all[0]));
    SKV_TRY(hand_output(n, 1, last[0]));
    return skv_graph_remove_node(n);
}

static skive_status make_dynamic(dynamic *d, skive_node *n) {
    d->w->report.n_quantized++;
    if (SKV_NODE_IS_ANY(n, SKV_OP_GRU, SKV_OP_RNN)) return make_gru(d, n);
    if (skv_node_is(n, SKV_OP_LSTM)) return make_lstm(d, n);
    return skv_node_is(n, SKV_OP_CONV) ? make_convolution(d, n) : make_product(d, n);
}

/* The nodes of a graph and of the bodies of its nodes, each in the graph that it is in. */
static skive_status make_all_dynamic(dynamic *d, skive_graph *g) {
    skive_node **order = NULL;
    const uint32_t n = g->n_nodes;
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; status == SKIVE_OK && i < n; i++) {
        for (uint32_t a = 0; status == SKIVE_OK && g->nests && a < order[i]->n_attrs; a++)
            if (order[i]->attrs[a].graph) status = make_all_dynamic(d, order[i]->attrs[a].graph);
        const skv_input_spec *spec = skv_input_spec_of(order[i], 1);
        if (status != SKIVE_OK || !spec || spec->role != SKV_ROLE_WEIGHT) continue;
        const char *why = why_not(d->w, order[i]);
        bool slow = false;
        if (!why && d->w->o->no_slower && !g->parent) status = skv_quant_is_slow(d->w->ctx, order[i], d->w->o, &slow);
        if (status != SKIVE_OK) continue;
        if (slow) why = SKV_QUANT_SLOW;
        status = why ? skv_quant_leave(d->w->ctx, &d->w->report, order[i], why) : make_dynamic(d, order[i]);
    }
    skv_free(d->w->ctx, order);
    return status;
}

/* Integers from -high to high, which the operators take as int8. */
static skive_status choose_codes(skv_data_free *w) {
    skv_quantizer *q = &w->codes;
    *q = skv_quant_weights(true);
    if (!w->o->weights) return SKIVE_OK;
    SKV_TRY(skv_quantizer_parse(w->ctx, w->o->weights, q));
    if (!q->grid->uniform || q->grid->dtype != SKIVE_I8 || q->asymmetric || q->power_of_two || q->per == SKV_PER_GROUP)
        return skv_fail_at(w->ctx, SKIVE_ERR_UNSUPPORTED, "weights",
                           "dynamic quantization does not take weights on the grid '%s'; it takes int8 and int7, each "
                           "with a scale for each output channel or with one (int7:tensor)",
                           w->o->weights);
    q->narrow = true;
    q->low = -q->high;
    return SKIVE_OK;
}

skive_status skive_quantize_dynamic(skive_context *ctx, skive_graph *graph, const skive_quantize_options *options,
                                    skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph", ctx, graph);
    skive_quantize_options o = skive_quantize_options_default();
    skv_data_free w = {.ctx = ctx, .o = &o};
    dynamic d = {.w = &w};
    skive_status status;
    const double started = skv_now();
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    SKV_GO(status, done, choose_codes(&w));
    if (w.codes.per == SKV_PER_TENSOR && o.weights) o.per_channel = false;
    SKV_GO(status, done, skv_data_free_open(&w, graph, false));
    SKV_GO(status, done, skv_quant_turn_transposed(w.g, w.o));
    SKV_GO(status, done, make_all_dynamic(&d, w.g));
    if (w.report.n_quantized == 0) {
        status = skv_quant_refuse_model(ctx, &w.report,
                                        "the model has no MatMul, Gemm, Conv, LSTM, GRU or RNN with float weights that "
                                        "dynamic quantization takes");
        goto done;
    }
    status = skv_data_free_finish(&w);
    /* The operators that are written are those of onnxruntime. */
    if (status == SKIVE_OK && w.codes.high == 127) skv_note(ctx, "%s", skv_quant_target_find("onnxruntime")->of_int8);
    w.report.seconds = skv_now() - started;
done:
    skv_free(ctx, d.items);
    return skv_data_free_close(&w, graph, report, status);
}
