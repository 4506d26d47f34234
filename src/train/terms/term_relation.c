/* Relational knowledge (Park et al. 2019). Distances: d_ij = |x_i - x_j| / their mean over the pairs of the batch.
 * Angles: a_ijk = cosine at j between x_i and x_k. The term is a weighted sum of the mean Huber losses (threshold 1) of
 * the student's distances and angles against the teacher's, over all [n][n] and [n][n][n]. The weights are 25 and 50,
 * which the paper has beside a loss on labels; 0 leaves a part out. */
#include "train/terms/term.h"

static const skv_option options[] = {
    SKV_TERM_PAIR,
    {.name = "distance", .type = SKV_OPTION_REAL, .most = 1e6, .fallback = 25, .brief = "weight of the distances"},
    {.name = "angle", .type = SKV_OPTION_REAL, .most = 1e6, .fallback = 50, .brief = "weight of the angles"},
    SKV_TERM_WEIGHT(1),
};

/* Of the samples of a batch. */
typedef struct relations {
    skive_value *gram;      /* [n][n] products of the samples, less their mean */
    skive_value *diagonal;  /* [n][1] */
    skive_value *distances; /* [n][n]; 0 from a sample to itself */
    skive_value *inverse;   /* of the distances; 0 from a sample to itself */
} relations;

static relations between(skv_builder *b, skive_value *x) {
    relations r = {NULL, NULL, NULL, NULL};
    skive_value *rows = skv_term_rows(b, x);
    /* Differences do not see the mean, and the products below lose fewer digits without it. */
    rows = skv_term_two(b, "Sub", rows, skv_term_reduce(b, "ReduceMean", rows, 0, true));
    r.gram = skv_term_two(b, "MatMul", rows, skv_term_transpose(b, rows));
    r.diagonal = skv_term_reduce(b, "ReduceSumSquare", rows, 1, true);
    skive_value *sum = skv_term_two(b, "Add", r.diagonal, skv_term_transpose(b, r.diagonal));
    skive_value *squares = skv_term_two(b, "Sub", sum, skv_term_times(b, r.gram, 2));
    skive_value *least =
        skv_term_plus(b, skv_term_times(b, skv_term_mean(b, skv_term_detach(b, squares)), 1e-6), 1e-12);
    skive_value *d = skv_term_one(b, "Sqrt", skv_term_two(b, "Max", squares, least));
    skive_value *others = skv_term_two(b, "Sub", skv_term_scalar(b, x, 1), skv_term_one(b, "EyeLike", d));
    r.distances = skv_term_two(b, "Mul", d, others);
    r.inverse = skv_term_two(b, "Div", others, d);
    return r;
}

static skive_value *scaled(skv_builder *b, const relations *r) {
    if (b->status != SKIVE_OK) return NULL;
    const double n = (double)r->gram->type.dims[0].size, pairs = n > 1 ? n * (n - 1) : 1;
    skive_value *sum = skv_emit(b, "ReduceSum", SKV_IN(r->distances), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *mean = skv_term_times(b, sum, 1 / pairs);
    return skv_term_two(b, "Div", r->distances, skv_term_two(b, "Max", mean, skv_term_scalar(b, mean, 1e-6)));
}

static skive_value *at(skv_builder *b, skive_value *x, int64_t axis) {
    return skv_emit(b, "Unsqueeze", SKV_IN(x, skv_emit_ints(b, &axis, 1)), SKV_NONE);
}

/* [j][i][k]: (x_i - x_j).(x_k - x_j) = G_ik - G_ij - G_jk + G_jj, times the inverse distances. */
static skive_value *angles(skv_builder *b, const relations *r) {
    skive_value *x = skv_term_two(b, "Sub", at(b, r->gram, 0), at(b, r->gram, 2));
    x = skv_term_two(b, "Sub", x, at(b, skv_term_two(b, "Sub", r->gram, r->diagonal), 1));
    return skv_term_two(b, "Mul", skv_term_two(b, "Mul", x, at(b, r->inverse, 2)), at(b, r->inverse, 1));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    const double distance = a->options ? skv_option_real(a->options, "distance") : 25,
                 angle = a->options ? skv_option_real(a->options, "angle") : 50;
    if (b->status != SKIVE_OK) return NULL;
    if (distance == 0 && angle == 0) {
        b->status = skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "relation",
                                "relation: distance and angle are both 0; give one of them a weight");
        return NULL;
    }
    skv_term_needs_samples(b, a, "relation");
    if (b->status != SKIVE_OK) return NULL;
    const relations s = between(b, a->feature), t = between(b, a->example);
    skive_value *sum = NULL;
    if (distance > 0) sum = skv_term_times(b, skv_term_huber(b, scaled(b, &s), scaled(b, &t)), distance);
    if (angle == 0) return sum;
    skive_value *part = skv_term_times(b, skv_term_huber(b, angles(b, &s), angles(b, &t)), angle);
    return sum ? skv_term_two(b, "Add", sum, part) : part;
}

const skv_loss skv_loss_relation = {
    .name = "relation",
    .brief = "distances and angles between the samples of a batch are as the teacher's",
    SKV_OPTIONS(options),
    .needs_features = true,
    .weight = 1,
    .pairs = SKV_PAIR_LAST,
    .build = build,
};
