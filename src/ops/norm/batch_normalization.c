/* BatchNormalization (Ioffe & Szegedy, 2015): y = (x - mean) / sqrt(var + epsilon) * scale + B, channel by channel.
 *
 * With training_mode 1 mean and var are those of the batch (var of the population), and the outputs after Y are
 *     running = momentum * input + (1 - momentum) * batch
 * for mean and var, and then two that exist only inside skive, for the gradient: the batch's mean and
 * 1 / sqrt(var + epsilon). With training_mode 0 the running ones are the inputs, unchanged. */
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {
    {"epsilon", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"momentum", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"training_mode", SKV_ATTR_INT, SKV_OPTIONAL},
};

static bool training(const skive_node *n) { return skv_attr_int(n, "training_mode", 0) != 0; }

/* Before opset 14, more than one output meant training. Exporters list unused outputs. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from >= 14) return SKIVE_OK;
    if (skv_attr_int(n, "spatial", 1) == 0)
        return skv_fail_at(g->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "BatchNormalization with spatial=0 (statistics per position) is not supported");
    skv_node_remove_attr(n, "spatial");
    skv_node_remove_attr(n, "consumed_inputs");
    skv_node_remove_attr(n, "is_test");
    while (n->n_outputs > 1) {
        skive_value *last = n->outputs[n->n_outputs - 1];
        if (last && skv_value_is_read(last)) break;
        n->n_outputs--;
        if (!last) continue;
        last->producer = NULL;
        SKV_TRY(skv_graph_remove_value(last));
    }
    if (n->n_outputs == 1) return SKIVE_OK;
    if (n->n_outputs > 3)
        return skv_fail_at(g->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "BatchNormalization: the outputs saved_mean and saved_var of old opsets are not supported");
    return skv_node_set_attr(n, &SKV_INT("training_mode", 1));
}

static int needs_opset(const skive_node *n) { return training(n) ? 15 : 9; }

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_rank(c, 0, 2, SKIVE_MAX_RANK));
    int64_t channels = skv_in_dim(c, 0, 1);
    static const char *const what[] = {NULL, "scale", "B", "the mean", "the variance"};
    for (size_t i = 1; i < 5; i++) {
        SKV_TRY(skv_want_vector(c, i, channels, what[i]));
        if (channels < 0) channels = skv_in_dim(c, i, 0);
    }
    skv_out_like(c, 0, 0);
    if (c->out[0].rank > 1 && c->out[0].dims[1].size < 0 && channels >= 0) c->out[0].dims[1] = skv_dim_of(channels);
    for (size_t o = 1; o < c->n_out; o++) {
        const skive_type *like = skv_in_type(c, o % 2 ? 3 : 4);
        c->out[o] = (skive_type){.dtype = like ? like->dtype : SKIVE_DTYPE_NONE, .rank = 1, .dims = {{channels, NULL}}};
    }
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    enum { X, SCALE, B, MEAN, VAR, INPUTS };
    enum { Y, RUN_MEAN, RUN_VAR, BATCH_MEAN, BATCH_INV, OUTPUTS };
    skv_doubles in[INPUTS] = {{0}};
    skv_result out[OUTPUTS] = {{0}};
    skive_status status = SKIVE_OK;
    const skive_tensor *x = c->in[X];
    bool train = training(c->node);
    double epsilon = skv_attr_float(c->node, "epsilon", 1e-5), momentum = skv_attr_float(c->node, "momentum", 0.9);
    for (size_t i = 0; i < INPUTS; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
    for (size_t i = 0; i < OUTPUTS; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &out[i]));
    int64_t batch = x->dims[0], channels = x->dims[1], plane = 1;
    for (int a = 2; a < x->rank; a++) plane *= x->dims[a];
    if (train && batch * plane == 0) {
        status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "BatchNormalization: an empty batch has no mean");
        goto done;
    }
    for (int64_t ch = 0; ch < channels; ch++) {
        double mean = in[MEAN].p[ch], var = in[VAR].p[ch];
        if (train) {
            double sum = 0.0, square = 0.0, count = (double)batch * (double)plane;
            for (int64_t n = 0; n < batch; n++)
                for (int64_t i = 0; i < plane; i++) sum += in[X].p[(n * channels + ch) * plane + i];
            mean = sum / count;
            for (int64_t n = 0; n < batch; n++) {
                for (int64_t i = 0; i < plane; i++) {
                    double d = in[X].p[(n * channels + ch) * plane + i] - mean;
                    square += d * d;
                }
            }
            var = square / count;
        }
        double keep = train ? momentum : 1.0, inverse = 1.0 / sqrt(var + epsilon);
        if (out[RUN_MEAN].p) out[RUN_MEAN].p[ch] = keep * in[MEAN].p[ch] + (1.0 - keep) * mean;
        if (out[RUN_VAR].p) out[RUN_VAR].p[ch] = keep * in[VAR].p[ch] + (1.0 - keep) * var;
        if (out[BATCH_MEAN].p) out[BATCH_MEAN].p[ch] = mean;
        if (out[BATCH_INV].p) out[BATCH_INV].p[ch] = inverse;
        if (!out[Y].p) continue;
        for (int64_t n = 0; n < batch; n++) {
            const double *from = in[X].p + (n * channels + ch) * plane;
            double *to = out[Y].p + (n * channels + ch) * plane;
            for (int64_t i = 0; i < plane; i++) to[i] = (from[i] - mean) * inverse * in[SCALE].p[ch] + in[B].p[ch];
        }
    }
    for (size_t i = 0; i < OUTPUTS; i++) skv_result_store(&out[i]);
done:
    for (size_t i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    for (size_t i = 0; i < OUTPUTS; i++) skv_result_free(c->ctx, &out[i]);
    return status;
}

/* A vector over channels, shaped so that it broadcasts over x. */
static skive_value *along_channels(skv_builder *b, skive_value *v, int rank) {
    int64_t shape[SKIVE_MAX_RANK];
    for (int i = 0; i < rank; i++) shape[i] = i == 1 ? -1 : 1;
    return skv_emit(b, "Reshape", SKV_IN(v, skv_emit_ints(b, shape, (size_t)rank)), SKV_NONE);
}

static skive_value *over_channels(skv_builder *b, skive_value *v, int rank) {
    int64_t axes[SKIVE_MAX_RANK];
    int n = 0;
    for (int i = 0; i < rank; i++)
        if (i != 1) axes[n++] = i;
    return skv_emit(b, "ReduceSum", SKV_IN(v, skv_emit_ints(b, axes, (size_t)n)), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

/* With fixed statistics y is affine in x, so ordinary nodes express the gradient. */
static skive_status grad_fixed(skv_grad *c) {
    skv_builder *b = c->b;
    skive_value *const *in = c->node->inputs, *dy = c->dout[0];
    int rank = in[0]->type.rank;
    skive_dtype dtype = in[4]->type.dtype;
    if (rank < 2)
        return skv_fail_at(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                           "BatchNormalization: the gradient needs an input of known rank");
    skive_value *epsilon = skv_emit_scalar(b, dtype, skv_attr_float(c->node, "epsilon", 1e-5));
    skive_value *root = skv_emit(b, "Sqrt", SKV_IN(skv_emit(b, "Add", SKV_IN(in[4], epsilon), SKV_NONE)), SKV_NONE);
    skive_value *gain = skv_emit(b, "Div", SKV_IN(in[1], root), SKV_NONE);
    skive_value *db = NULL, *dscale = NULL;
    if (c->need[0]) c->din[0] = skv_emit(b, "Mul", SKV_IN(dy, along_channels(b, gain, rank)), SKV_NONE);
    if (c->need[2] || c->need[3]) db = over_channels(b, dy, rank);
    if (c->need[1] || c->need[4]) {
        skive_value *centred = skv_emit(b, "Sub", SKV_IN(in[0], along_channels(b, in[3], rank)), SKV_NONE);
        skive_value *sum = over_channels(b, skv_emit(b, "Mul", SKV_IN(dy, centred), SKV_NONE), rank);
        dscale = skv_emit(b, "Div", SKV_IN(sum, root), SKV_NONE);
    }
    if (c->need[1]) c->din[1] = dscale;
    if (c->need[2]) c->din[2] = db;
    if (c->need[3]) c->din[3] = skv_emit(b, "Neg", SKV_IN(skv_emit(b, "Mul", SKV_IN(db, gain), SKV_NONE)), SKV_NONE);
    if (c->need[4]) { /* d/dvar of 1/root is -1 / (2 root^3) */
        skive_value *half = skv_emit_scalar(b, dtype, -0.5);
        skive_value *slope =
            skv_emit(b, "Mul", SKV_IN(skv_emit(b, "Div", SKV_IN(gain, root), SKV_NONE), half), SKV_NONE);
        c->din[4] = skv_emit(b, "Mul", SKV_IN(dscale, slope), SKV_NONE);
    }
    return b->status;
}

static skive_status grad(skv_grad *c) {
    SKV_TRY(skv_grad_only_first(c, 1));
    if (!c->dout[0]) return SKIVE_OK;
    if (!training(c->node)) return grad_fixed(c);
    SKV_TRY(skv_node_need_outputs(c->node, 5));
    skive_value *out[3] = {NULL, NULL, NULL};
    skv_emit_n(c->b, "BatchNormalizationGrad",
               SKV_IN(c->dout[0], c->node->inputs[0], c->node->inputs[1], c->node->outputs[3], c->node->outputs[4]),
               SKV_NONE, out, 3);
    for (int i = 0; i < 3; i++)
        if (c->need[i]) c->din[i] = out[i];
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    if (!x || x->rank < 2) return;
    for (int a = 0; a < x->rank; a++) skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
    for (int a = 0; skv_attr_int(skv_couple_node(c), "training_mode", 0) && a < x->rank; a++)
        if (a != 1) skv_couple_mixes(c, SKV_CIN(0, a), "BatchNormalization takes mean and variance over this axis");
    for (int i = 1; i < 5; i++) skv_couple_same(c, SKV_CIN(0, 1), SKV_CIN(i, 0));
    for (int o = 1; o < 5; o++)
        if (skv_couple_type(c, SKV_COUT(o, 0))) skv_couple_same(c, SKV_CIN(0, 1), SKV_COUT(o, 0));
}

static void cost(const skive_node *n, skive_cost *out) {
    int passes = training(n) ? 4 : 2;
    for (int i = 0; i < passes; i++) skv_cost_per_element(n, out);
}

#define STATS(n) .dtype = SKIVE_F32, .rank = 1, .dims = {n}
static skive_status bounds(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    const skive_tensor *p[4];
    const skive_type *y = &n->outputs[0]->type;
    skv_range *r;
    for (size_t i = 0; i < 4; i++) p[i] = skv_bound_constant(b, i + 1);
    if (training(n) || !p[0] || !p[1] || !p[2] || !p[3] || y->rank < 2 || y->dtype != SKIVE_F32) return SKIVE_OK;
    const int64_t channels = skive_tensor_count(p[0]);
    SKV_TRY(skv_bound_output(b, 1, channels, &r));
    for (int64_t c = 0; c < channels; c++) {
        double v[4];
        for (size_t i = 0; i < 4; i++) v[i] = skv_load_f64(p[i]->dtype, p[i]->data, (size_t)c);
        const double a = v[0] / sqrt(v[3] + skv_attr_float(n, "epsilon", 1e-5));
        const skv_range x = skv_bound_at(b, 0, 1, c);
        if (a == 0) {
            r[c] = (skv_range){v[1], v[1]};
            continue;
        }
        const double one = a * (x.lo - v[2]) + v[1], other = a * (x.hi - v[2]) + v[1];
        const double most = fabs(x.lo) > fabs(x.hi) ? fabs(x.lo) : fabs(x.hi);
        r[c] = skv_range_of_sum(one < other ? one : other, one < other ? other : one,
                                fabs(a) * (most + fabs(v[2])) + fabs(v[1]), 4);
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "fixed statistics",
     CASE_IN({CASE_F32(1, 2, 1, 3), CASE_VALUES(-1, 0, 1, 2, 3, 4)}, {STATS(2), CASE_VALUES(1, 1.5)},
             {STATS(2), CASE_VALUES(0, 1)}, {STATS(2), CASE_VALUES(0, 3)}, {STATS(2), CASE_VALUES(1, 1.5)}),
     CASE_ATTRS(CASE_FLT("epsilon", 0.0)),
     .n_out = 1,
     CASE_EXPECT(-1, 0, 1, -0.22474487139158894, 1, 2.2247448713915889)},
    {.name = "fixed statistics, all differentiated",
     CASE_IN({CASE_F32(2, 3, 2, 2)}, {STATS(3)}, {STATS(3)}, {STATS(3)}, {STATS(3), .lo = 0.5, .hi = 2}),
     .n_out = 1},
    {.name = "fixed statistics, rank 2",
     CASE_IN({CASE_F32(4, 3)}, {STATS(3)}, {STATS(3)}, {STATS(3), .constant = true},
             {STATS(3), .lo = 0.5, .hi = 2, .constant = true}),
     .n_out = 1},
    {.name = "training by hand", /* mean 2 and var 4 of the first channel, 10 and 0 of the second */
     CASE_IN({CASE_F32(2, 2, 1), CASE_VALUES(0, 10, 4, 10)}, {STATS(2), CASE_VALUES(3, 1)},
             {STATS(2), CASE_VALUES(1, -1)}, {STATS(2), CASE_VALUES(0, 0), .constant = true},
             {STATS(2), CASE_VALUES(1, 1), .constant = true}),
     CASE_ATTRS(CASE_INT("training_mode", 1), CASE_FLT("epsilon", 5)),
     .n_out = 3,
     CASE_EXPECT(-1, -1, 3, -1)},
    {.name = "training",
     CASE_IN({CASE_F32(3, 2, 2, 2)}, {STATS(2)}, {STATS(2)}, {STATS(2), .constant = true},
             {STATS(2), .lo = 0.5, .hi = 2, .constant = true}),
     CASE_ATTRS(CASE_INT("training_mode", 1)),
     .n_out = 5},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},      {.role = SKV_ROLE_SCALE},     {.role = SKV_ROLE_SHIFT},
    {.role = SKV_ROLE_STATISTIC}, {.role = SKV_ROLE_STATISTIC},
};

const skv_op skv_op_batch_normalization = {
    .name = "BatchNormalization",
    .domain = "",
    .brief = "normalization of each channel by its mean and variance",
    .since = 15,
    .min_in = 5,
    .max_in = 5,
    .min_out = 1,
    .max_out = 5,
    SKV_LIST(attrs),
    .import = import,
    .needs_opset = needs_opset,
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .bounds = bounds,
    .cost = cost,
    SKV_LIST(cases),
};
