/* See common_mat_mul_integer.h. */
#include "ops/quant/common_mat_mul_integer.h"

skive_status skv_infer_mat_mul_integer(skv_infer *c) {
    SKV_TRY(skv_infer_want_8bit(c, SKV_MMI_A));
    SKV_TRY(skv_infer_want_8bit(c, SKV_MMI_B));
    SKV_TRY(skv_want_same_dtype(c, SKV_MMI_A, SKV_MMI_A_ZERO));
    SKV_TRY(skv_want_same_dtype(c, SKV_MMI_B, SKV_MMI_B_ZERO));
    const int a = skv_in_ranked(c, SKV_MMI_A) ? c->in[SKV_MMI_A]->rank : -1,
              b = skv_in_ranked(c, SKV_MMI_B) ? c->in[SKV_MMI_B]->rank : -1;
    SKV_TRY(skv_infer_want_parameter(c, SKV_MMI_A_ZERO, a >= 2 ? skv_in_dim(c, SKV_MMI_A, a - 2) : -1,
                                     "the zero point of A"));
    SKV_TRY(skv_infer_want_parameter(c, SKV_MMI_B_ZERO, b >= 2 ? skv_in_dim(c, SKV_MMI_B, b - 1) : -1,
                                     "the zero point of B"));
    return skv_infer_mat_mul(c, SKV_MMI_A, SKV_MMI_B);
}

skive_status skv_mat_mul_integer(const skv_eval *c, double **sums) {
    const skive_tensor *a = c->in[SKV_MMI_A], *b = c->in[SKV_MMI_B];
    double *x = NULL, *w = NULL;
    skive_status status;
    SKV_GO(status, done, skv_centred(c, a, c->n_in > SKV_MMI_A_ZERO ? c->in[SKV_MMI_A_ZERO] : NULL, a->rank - 2, &x));
    SKV_GO(status, done, skv_centred(c, b, c->n_in > SKV_MMI_B_ZERO ? c->in[SKV_MMI_B_ZERO] : NULL, b->rank - 1, &w));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)skive_tensor_count(c->out[0]) + 1, sizeof **sums, sums));
    status = skv_mat_mul_f64(c, a, x, b, w, *sums);
done:
    skv_free(c->ctx, x);
    skv_free(c->ctx, w);
    return status;
}

void skv_mat_mul_integer_cost(const skive_node *n, skive_cost *cost) {
    const skive_value *a = n->inputs[SKV_MMI_A];
    cost->macs =
        skv_add_sat(cost->macs, skv_mul_sat(skv_dim_or_1(a, a->type.rank - 1), skv_type_count(&n->outputs[0]->type)));
}
