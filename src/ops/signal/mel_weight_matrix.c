/* MelWeightMatrix: the weights that combine the bins of a spectrum into bands of equal width on the mel scale (2595
 * log10(1 + f / 700)), triangles that overlap by half. */
#include "ops/cases.h"
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"output_datatype", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const int64_t dtype = skv_attr_int(c->node, "output_datatype", SKIVE_F32);
    int64_t bands = -1, length = -1;
    int n_bands, n_length;
    if (dtype < 1 || dtype > INT32_MAX || !skv_dtype_valid((skive_dtype)dtype) ||
        skive_dtype_bits((skive_dtype)dtype) < 8)
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "node '%s': unknown element type %lld", c->node->name,
                              (long long)dtype);
    SKV_TRY(skv_infer_ints(c, 0, "the number of bands", &bands, 1, &n_bands));
    SKV_TRY(skv_infer_ints(c, 1, "the length of the transform", &length, 1, &n_length));
    for (size_t i = 0; i < 5; i++) SKV_TRY(skv_want_rank(c, i, 0, 1));
    if ((n_bands == 1 && (bands < 1 || bands > INT32_MAX)) || (n_length == 1 && length < 1))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld bands of a transform of length %lld are not valid",
                              c->node->name, (long long)bands, (long long)length);
    c->out[0] =
        (skive_type){.dtype = (skive_dtype)dtype,
                     .rank = 2,
                     .dims = {skv_dim(n_length == 1 ? length / 2 + 1 : -1), skv_dim(n_bands == 1 ? bands : -1)}};
    return skv_infer_limit(c, &c->out[0]);
}

static double hertz(double mel) { return 700 * (pow(10, mel / 2595) - 1); }
static double mel(double hertz_) { return 2595 * log10(1 + hertz_ / 700); }

static skive_status run(const skv_eval *c) {
    skive_tensor *y = c->out[0];
    double in[5];
    for (size_t i = 0; i < 5; i++) {
        if (skive_tensor_count(c->in[i]) != 1)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "input %zu is not one number", i);
        in[i] = skive_tensor_get(c->in[i], 0);
    }
    const int64_t bins = y->dims[0], bands = y->dims[1];
    const double low = mel(in[3]), step = (mel(in[4]) - low) / (double)(bands + 2);
    int64_t *edges = NULL;
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)bands + 2, sizeof *edges, &edges));
    for (int64_t i = 0; i < bands + 2; i++) {
        const double bin = floor((in[1] + 1) * hertz(low + (double)i * step) / in[2]);
        edges[i] = bin >= 0 && bin < (double)bins ? (int64_t)bin : bin >= 0 ? bins : 0;
    }
    skv_tensor_fill(y, 0);
    for (int64_t b = 0; b < bands; b++) {
        const int64_t from = edges[b], centre = edges[b + 1], to = edges[b + 2];
        if (from == centre && centre < bins) skv_store_f64(y->dtype, y->data, (size_t)(centre * bands + b), 1);
        for (int64_t i = from; from != centre && i <= centre && i < bins; i++)
            skv_store_f64(y->dtype, y->data, (size_t)(i * bands + b), (double)(i - from) / (double)(centre - from));
        for (int64_t i = centre; to > centre && i < to && i < bins; i++)
            skv_store_f64(y->dtype, y->data, (size_t)(i * bands + b), (double)(to - i) / (double)(to - centre));
    }
    skv_free(c->ctx, edges);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    /* edges at 0, 620.7 and 1791.6 Hz: bins 0, 0 and 2 */
    {.name = "one band",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 1), .constant = true}, {CASE_SCALAR(SKIVE_I64, 8), .constant = true},
             {CASE_SCALAR(SKIVE_I64, 8000), .constant = true}, {CASE_SCALAR(SKIVE_F32, 0)},
             {CASE_SCALAR(SKIVE_F32, 4000)}),
     .n_out = 1,
     CASE_EXPECT(1, 0.5, 0, 0, 0),
     CASE_OUT(5, 1),
     .no_grad = true},
};

const skv_op skv_op_mel_weight_matrix = {
    .name = "MelWeightMatrix",
    .domain = "",
    .brief = "weights from the bins of a spectrum to mel bands",
    .since = 17,
    .min_in = 5,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
