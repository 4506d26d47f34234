/* The virtual matrix of HashedNets; see matrix.h. */
#include "share/hashed/matrix.h"

enum { MAX_BUCKETS = 1 << 30 };

bool skv_hashed_fits(int64_t rows, int64_t columns, int64_t buckets) {
    int64_t count;
    return rows > 0 && columns > 0 && skv_mul_i64(rows, columns, &count) && count <= UINT32_MAX && buckets > 0 &&
           buckets < MAX_BUCKETS;
}

skv_hashed skv_hashed_make(int64_t rows, int64_t columns, int64_t buckets, uint32_t seed) {
    return (skv_hashed){.rows = rows,
                        .columns = columns,
                        .buckets = (uint32_t)buckets,
                        .seed = seed,
                        .reciprocal = UINT32_MAX / (uint32_t)buckets};
}

skv_hashed skv_hashed_of(const skive_node *n, int64_t buckets) {
    return skv_hashed_make(skv_attr_int(n, "rows", 0), skv_attr_int(n, "columns", 0), buckets,
                           (uint32_t)skv_attr_int(n, "seed", 0));
}

skive_status skv_hashed_want_matrix(skv_infer *c, size_t i, const char *width, skive_dim *m) {
    SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_rank(c, i, 2, 2));
    const int64_t have = skv_in_dim(c, i, 1), want = skv_attr_int(c->node, width, 0);
    if (have >= 0 && have != want)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: input %zu has %lld columns, but the matrix has %lld",
                              c->node->op_type, i, (long long)have, (long long)want);
    *m = skv_in_ranked(c, i) ? c->in[i]->dims[0] : skv_dim_of(-1);
    return SKIVE_OK;
}

skive_status skv_hashed_want_buckets(skv_infer *c, size_t buckets) {
    SKV_TRY(skv_want_vector(c, buckets, -1, "buckets"));
    SKV_TRY(skv_want_same_dtype(c, 0, buckets));
    const int64_t rows = skv_attr_int(c->node, "rows", 0), columns = skv_attr_int(c->node, "columns", 0);
    const int64_t n = skv_in_dim(c, buckets, 0);
    if (skv_hashed_fits(rows, columns, n < 0 ? 1 : n)) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                          "%s: %lld rows, %lld columns and %lld buckets are not valid for a hashed matrix",
                          c->node->op_type, (long long)rows, (long long)columns, (long long)n);
}

void skv_hashed_cost(const skive_node *n, skive_cost *cost) {
    const int64_t matrix = skv_mul_sat(skv_attr_int(n, "rows", 0), skv_attr_int(n, "columns", 0));
    cost->macs = skv_add_sat(cost->macs, skv_mul_sat(matrix, skv_dim_or_1(skv_node_in(n, 0), 0)));
}

skive_value *skv_hashed_emit(skv_grad *c, const char *op, skv_in_list in) {
    skv_attr_init attrs[SKV_ATTRS_COPY];
    return skv_emit(c->b, op, in, skv_attrs_copy(c->node, attrs));
}
