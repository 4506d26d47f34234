/* STFT: the discrete Fourier transform of frames of a signal [batch][length][1 or 2], every frame_step samples,
 * multiplied by a window. */
#include "ops/cases.h"
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
    .cost = cost,
    SKV_LIST(cases),
};
