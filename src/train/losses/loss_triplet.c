/* Triplet loss of embeddings (Schroff, Kalenichenko & Philbin 2015): with the distances p to a sample of the same class
 * and n to one of another it is max(0, margin + p - n). `hard` takes for each sample of the batch the farthest of its
 * class and the nearest of the others (Hermans, Beyer & Leibe 2017), `all` the mean over all triplets of the batch.
 * Samples without a partner of their class, or without one of another, do not count. */
#include <string.h>

#include "train/train.h"

static const char *const minings[] = {"hard", "all"};
static const char *mining_name(size_t i) { return i < 2 ? minings[i] : NULL; }

static const skv_option options[] = {
    {.name = "margin",
     .type = SKV_OPTION_REAL,
     .most = 1e6,
     .fallback = 0.2,
     .brief = "by which samples of other classes must be farther away"},
    {.name = "triplets",
     .type = SKV_OPTION_CHOICE,
     .choices = mining_name,
     .text = "hard",
     .brief = "of each sample the hardest, or all"},
    {.name = "normalise", .type = SKV_OPTION_SWITCH, .fallback = 1, .brief = "embeddings have length 1"}};
enum { MARGIN, TRIPLETS, NORMALISE };

typedef struct triplets {
    skv_builder *b;
    skive_value *distances, *same, *margin; /* [n][n], [n][n], scalar */
    skive_dtype dtype;
} triplets;

static skive_value *ints(skv_builder *b, int64_t x) { return skv_emit_ints(b, &x, 1); }
static skive_value *number(const triplets *t, double x) { return skv_emit_scalar(t->b, t->dtype, x); }
static skive_value *two(const triplets *t, const char *op, skive_value *x, skive_value *y) {
    return skv_emit(t->b, op, SKV_IN(x, y), SKV_NONE);
}
static skive_value *over(const triplets *t, const char *op, skive_value *x, int64_t axis) {
    return skv_emit(t->b, op, SKV_IN(x, ints(t->b, axis)), SKV_ATTRS(SKV_INT("keepdims", 0)));
}
static skive_value *total(const triplets *t, skive_value *x) {
    return skv_emit(t->b, "ReduceSum", SKV_IN(x), SKV_ATTRS(SKV_INT("keepdims", 0)));
}

/* Euclidean, [n][n]. Kept off 0, where the root has no slope. */
static skive_value *distances_of(const triplets *t, skive_value *x) {
    skive_value *squares = skv_emit(t->b, "ReduceSumSquare", SKV_IN(x, ints(t->b, 1)), SKV_NONE); /* [n][1] */
    skive_value *turned = skv_emit(t->b, "Transpose", SKV_IN(squares), SKV_NONE);
    skive_value *products = two(t, "MatMul", x, skv_emit(t->b, "Transpose", SKV_IN(x), SKV_NONE));
    skive_value *sum = two(t, "Sub", two(t, "Add", squares, turned), two(t, "Mul", products, number(t, 2)));
    return skv_emit(t->b, "Sqrt", SKV_IN(two(t, "Max", sum, number(t, 1e-12))), SKV_NONE);
}

/* The hinge of what counts, and its mean. */
static skive_value *mean_hinge(const triplets *t, skive_value *gap, skive_value *counts) {
    skive_value *hinge = skv_emit(t->b, "Relu", SKV_IN(two(t, "Add", gap, t->margin)), SKV_NONE);
    return two(t, "Div", total(t, two(t, "Mul", hinge, counts)), two(t, "Max", total(t, counts), number(t, 1)));
}

static skive_value *hardest(const triplets *t) {
    /* More than any distance of vectors of length 1; it only has to keep its own class out of the minimum. */
    skive_value *out_of_reach = two(t, "Mul", t->same, number(t, 1e6));
    skive_value *farthest = over(t, "ReduceMax", two(t, "Mul", t->distances, t->same), 1);
    skive_value *nearest = over(t, "ReduceMin", two(t, "Add", t->distances, out_of_reach), 1);
    skive_value *partners = two(t, "Sub", over(t, "ReduceSum", t->same, 1), number(t, 1));
    skive_value *others = over(t, "ReduceSum", two(t, "Sub", number(t, 1), t->same), 1);
    skive_value *counts = two(t, "Mul", two(t, "Min", partners, number(t, 1)), two(t, "Min", others, number(t, 1)));
    return mean_hinge(t, two(t, "Sub", farthest, nearest), counts);
}

static skive_value *all_of_them(const triplets *t) {
    skive_value *self = skv_emit(t->b, "EyeLike", SKV_IN(t->same), SKV_NONE);
    skive_value *partners = skv_emit(t->b, "Unsqueeze", SKV_IN(two(t, "Sub", t->same, self), ints(t->b, 2)), SKV_NONE);
    skive_value *others =
        skv_emit(t->b, "Unsqueeze", SKV_IN(two(t, "Sub", number(t, 1), t->same), ints(t->b, 1)), SKV_NONE);
    skive_value *p = skv_emit(t->b, "Unsqueeze", SKV_IN(t->distances, ints(t->b, 2)), SKV_NONE);
    skive_value *n = skv_emit(t->b, "Unsqueeze", SKV_IN(t->distances, ints(t->b, 1)), SKV_NONE);
    return mean_hinge(t, two(t, "Sub", p, n), two(t, "Mul", partners, others));
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    triplets t = {.b = b};
    skive_value *x = NULL;
    const bool all = a->options && strcmp(skv_option_text(a->options, "triplets"), "all") == 0;
    if (skv_loss_embedding(b, a, "triplet", skv_loss_number(a, &options[NORMALISE]) != 0, &x, &t.same) != SKIVE_OK)
        return NULL;
    t.dtype = x->type.dtype;
    t.margin = number(&t, skv_loss_number(a, &options[MARGIN]));
    t.distances = distances_of(&t, x);
    return b->status != SKIVE_OK ? NULL : all ? all_of_them(&t) : hardest(&t);
}

const skv_loss skv_loss_triplet = {
    .name = "triplet",
    .brief = "of embeddings: samples of one class nearer than those of others, by a margin",
    SKV_OPTIONS(options),
    .on_output = true,
    .raw = true,
    .kind = "embedding",
    .build = build,
};
