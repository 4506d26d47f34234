/* STFT: the discrete Fourier transform of frames of a signal [batch][length][1 or 2], every frame_step samples,
 * multiplied by a window. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/signal/common_dft.h"
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"onesided", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *window = skv_infer_in(c, 2);
    int64_t step = -1, frame = -1;
    int n_step, n_frame;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_rank(c, 0, 3, 3));
    SKV_TRY(skv_want_rank(c, 2, 1, 1));
    SKV_TRY(skv_infer_ints(c, 1, "the step", &step, 1, &n_step));
    SKV_TRY(skv_infer_ints(c, 3, "the length of a frame", &frame, 1, &n_frame));
    c->out[0] = (skive_type){
        .dtype = x->dtype, .rank = 4, .dims = {skv_dim_unknown(), skv_dim_unknown(), skv_dim_unknown(), skv_dim(2)}};
    if ((n_step == 1 && step < 1) || (n_frame == 1 && frame < 1))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the step and the length of a frame must be positive",
                              c->node->name);
    if (x->rank == 3) c->out[0].dims[0] = x->dims[0];
    if (x->rank == 3 && x->dims[2].size >= 0 && x->dims[2].size != 1 && x->dims[2].size != 2)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the last axis must have 1 (real) or 2 (complex) elements",
                              c->node->name);
    if (n_frame != 1 && window->rank == 1) frame = window->dims[0].size;
    if (n_frame == 1 && window->rank == 1 && window->dims[0].size >= 0 && window->dims[0].size != frame)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a window of %lld does not match frames of %lld",
                              c->node->name, (long long)window->dims[0].size, (long long)frame);
    if (frame >= 0) c->out[0].dims[2] = skv_dim(skv_attr_int(c->node, "onesided", 1) ? frame / 2 + 1 : frame);
    if (n_step != 1 || frame < 0 || x->rank < 0 || x->dims[1].size < 0) return SKIVE_OK;
    if (frame == 0 || x->dims[1].size < frame)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the signal is shorter than a frame of %lld",
                              c->node->name, (long long)frame);
    c->out[0].dims[1] = skv_dim((x->dims[1].size - frame) / step + 1);
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *window = c->n_in > 2 ? c->in[2] : NULL, *y = c->out[0];
    int64_t step = 1, frame = window ? window->dims[0] : 0;
    int n;
    SKV_TRY(skv_eval_ints(c, 1, "the step", &step, 1, &n));
    SKV_TRY(skv_eval_ints(c, 3, "the length of a frame", &frame, 1, &n));
    const int64_t frames = y->dims[1], bins = y->dims[2], parts = x->dims[2];
    if (frame < 1 || step < 1 || (frames - 1) * step + frame > x->dims[1])
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the frames differ from the planned ones");
    double *table = NULL, *in = NULL, *out = NULL;
    skive_status status;
    SKV_GO(status, done, skv_dft_table(c->ctx, frame, &table));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)frame + 1, 2 * sizeof(double), &in));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)bins + 1, 2 * sizeof(double), &out));
    for (int64_t f = 0; f < x->dims[0] * frames; f++) {
        const int64_t first = f / frames * x->dims[1] + f % frames * step;
        for (int64_t i = 0; i < frame; i++) {
            const double weight = window ? skv_load_f64(window->dtype, window->data, (size_t)i) : 1;
            const size_t at = (size_t)((first + i) * parts);
            in[2 * i] = weight * skv_load_f64(x->dtype, x->data, at);
            in[2 * i + 1] = parts == 2 ? weight * skv_load_f64(x->dtype, x->data, at + 1) : 0;
        }
        skv_dft(in, frame, bins, false, table, out);
        for (int64_t k = 0; k < 2 * bins; k++) skv_store_f64(y->dtype, y->data, (size_t)(f * bins * 2 + k), out[k]);
    }
done:
    skv_free(c->ctx, table);
    skv_free(c->ctx, in);
    skv_free(c->ctx, out);
    return status;
}

/* The gradient of each frame is the transform back, times the length; the frames are weighed by the window and added
 * where they overlap, as gathering them from the signal would have it. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const skive_type *x = &n->inputs[0]->type;
    const skive_tensor *of_step = skv_node_constant(n, 1), *of_frame = skv_node_constant(n, 3);
    skive_value *window = skv_node_in(n, 2), *list = NULL;
    skv_builder *b = c->b;
    int64_t step = 0, frame = window && window->type.rank == 1 ? window->type.dims[0].size : 0;
    if (of_step) (void)skv_read_ints(of_step, &step, 1);
    if (of_frame) (void)skv_read_ints(of_frame, &frame, 1);
    if (step < 1 || frame < 1 || x->rank != 3 || x->dims[1].size < frame || x->dims[2].size < 1 ||
        (skv_node_in(n, 3) && !of_frame))
        return skv_fail_at(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "STFT: the gradient needs a known shape, and step and length of a frame as constants");
    const int64_t frames = (x->dims[1].size - frame) / step + 1, parts = x->dims[2].size;
    int64_t *places = NULL;
    SKV_TRY(skv_alloc_array(b->graph->ctx, (size_t)(frames * frame), sizeof *places, &places));
    for (int64_t i = 0; i < frames * frame; i++) places[i] = i / frame * step + i % frame;
    list = skv_emit_ints(b, places, (size_t)(frames * frame));
    skv_free(b->graph->ctx, places);
    skive_value *at = skv_g2(b, "Reshape", list, skv_emit_ints(b, (const int64_t[]){frames, frame}, 2));
    skive_value *zero = skv_emit_ints(b, (const int64_t[]){0}, 1);
    skive_value *size = skv_g2(b, "Squeeze", skv_emit_ints(b, &frame, 1), zero);
    skive_value *along = skv_g2(b, "Squeeze", skv_emit_ints(b, (const int64_t[]){2}, 1), zero);
    skive_value *d = skv_emit(b, "DFT", SKV_IN(c->dout[0], size, along), SKV_ATTRS(SKV_INT("inverse", 1)));
    d = skv_g2(b, "Mul", d, skv_emit_scalar(b, x->dtype, (double)frame)); /* [batch][frames][frame][2] */
    if (parts == 1)
        d = skv_emit(
            b, "Slice",
            SKV_IN(d, zero, skv_emit_ints(b, (const int64_t[]){1}, 1), skv_emit_ints(b, (const int64_t[]){3}, 1)),
            SKV_NONE);
    if (window && c->need[2]) {
        skive_value *framed = skv_emit(b, "Gather", SKV_IN(n->inputs[0], at), SKV_ATTRS(SKV_INT("axis", 1)));
        c->din[2] = skv_emit(b, "ReduceSum",
                             SKV_IN(skv_g2(b, "Mul", framed, d), skv_emit_ints(b, (const int64_t[]){0, 1, 3}, 3)),
                             SKV_ATTRS(SKV_INT("keepdims", 0)));
    }
    if (!c->need[0]) return b->status;
    if (window) d = skv_g2(b, "Mul", d, skv_g2(b, "Unsqueeze", window, skv_emit_ints(b, (const int64_t[]){1}, 1)));
    c->din[0] = skv_emit(b, "GatherGrad", SKV_IN(d, at, n->inputs[0]), SKV_ATTRS(SKV_INT("axis", 1)));
    return b->status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const int64_t bins = skv_dim_or_1(n->outputs[0], 2);
    out->macs = skv_add_sat(out->macs, skv_mul_sat(skv_mul_sat(skv_type_count(&n->outputs[0]->type), 2), bins));
}

static const skv_op_case cases[] = {
    {.name = "two frames",
     CASE_IN({CASE_F32(1, 4, 1), CASE_VALUES(1, 2, 3, 4)}, {CASE_SCALAR(SKIVE_I64, 2), .constant = true},
             {CASE_F32(2), CASE_VALUES(1, 0.5)}),
     .n_out = 1,
     CASE_EXPECT(2, 0, 0, 0, 5, 0, 1, 0),
     CASE_OUT(1, 2, 2, 2)},
    {.name = "overlapping frames, both sides, no window",
     CASE_ATTRS(CASE_INT("onesided", 0)),
     CASE_IN({CASE_F32(2, 7, 2)}, {CASE_SCALAR(SKIVE_I64, 2), .constant = true}, CASE_ABSENT,
             {CASE_SCALAR(SKIVE_I64, 3), .constant = true}),
     .n_out = 1,
     CASE_OUT(2, 3, 3, 2)},
    {.name = "overlapping frames, one side",
     CASE_IN({CASE_F32(2, 8, 1)}, {CASE_SCALAR(SKIVE_I64, 1), .constant = true}, {CASE_F32(5)}),
     .n_out = 1,
     CASE_OUT(2, 4, 3, 2)},
};

const skv_op skv_op_stft = {
    .name = "STFT",
    .domain = "",
    .brief = "Fourier transforms of the frames of a signal",
    .since = 17,
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = cost,
    SKV_LIST(cases),
};
