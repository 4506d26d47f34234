/* Contrastive representation distillation (CRD: Tian, Krishnan & Isola 2020). Student's and teacher's values go through
 * a linear layer with a bias each (trained along) to `width` numbers and are divided by their length: s_i and t_i. The
 * pair (s_i, t_i) of a sample is told apart from pairs with other samples.
 *
 * With a memory bank: all t and s of the data set are kept and follow slowly, m <- momentum m + (1 - momentum) t, of
 * length 1 again. K of them are drawn in each step; those of a sample's own class or of itself do not count for it.
 * With h(u) = 1 / (1 + K exp(c - u / tau)), the term is the mean of -log h(s_i . t_i) - sum_k log(1 - h(s_i . m_k))
 * - sum_k log(1 - h(t_i . m'_k)), with m of the teacher's bank and m' of the student's. The paper adds -log h twice,
 * each with a gradient to one side only; counted once with a gradient to both sides, it moves both alike. c is the
 * logarithm of the mean of exp(u / tau) over random vectors, 1 / (2 width tau^2), which the paper estimates from the
 * first batch; and the samples of a step share the K that are drawn, where the paper draws for each. tau is 0.07, K
 * 16384, width 128, momentum 0.5, the weight 0.8, as published. In the first epoch, samples that were not seen yet are
 * not counted as negatives, and -log h counts as much as the part of the drawn that was seen: against the random
 * vectors with which the paper's banks begin, whatever makes all s and t alike would be right.
 *
 * With negatives=0 the other samples of the batch are the negatives: the mean of -log(exp(s_i . t_i / tau) /
 * sum_j exp(s_i . t_j / tau)) over both directions (InfoNCE), without those of the sample's own class. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/terms/term.h"

#include "tensor/tensor.h"

static const skv_option options[] = {
    SKV_TERM_PAIR,
    {.name = "negatives",
     .type = SKV_OPTION_INTEGER,
     .most = 1e6,
     .fallback = 16384,
     .brief = "drawn from a memory bank in each step; 0: the others of the batch"},
    {.name = "width",
     .type = SKV_OPTION_INTEGER,
     .least = 2,
     .most = 65536,
     .fallback = 128,
     .brief = "numbers of a sample that are compared"},
    {.name = "tau",
     .type = SKV_OPTION_REAL,
     .above = true,
     .most = 100,
     .fallback = 0.07,
     .brief = "by which products are divided"},
    {.name = "momentum",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .below = true,
     .fallback = 0.5,
     .brief = "of the memory bank"},
    {.name = "half", .type = SKV_OPTION_SWITCH, .brief = "keep the memory bank in half precision"},
    SKV_TERM_WEIGHT(0.8),
};

typedef struct crd {
    const skv_loss_args *a;
    int64_t negatives, width;
    double tau, momentum;
    bool half;
    skive_value *drawn;    /* i64 [K]: numbers of samples */
    skive_value *excluded; /* bool [n][K] */
    skive_value *seen;     /* [samples]: 1 where the banks have what was seen, before that 0 */
    skive_value *filled;   /* the part of the drawn that was seen */
} crd;

static skive_value *embedded(skv_builder *b, const crd *c, skive_value *x, const char *what) {
    skive_value *rows = skv_term_rows(b, x);
    if (b->status != SKIVE_OK) return NULL;
    const int64_t dims[2] = {rows->type.dims[1].size, c->width};
    if (dims[0] < 1) {
        skv_term_refuse(b, c->a, "contrastive", "their sizes are not known before the model runs");
        return NULL;
    }
    char shift[40];
    (void)snprintf(shift, sizeof shift, "%s.shift", what);
    skive_value *w = skv_term_parameter(b, c->a, what, 2, dims, 1 / sqrt((double)dims[0]));
    skive_value *zero = skv_term_filled(b, c->a, shift, rows->type.dtype, 1, &c->width, 0, true);
    return skv_term_unit(b, skv_term_two(b, "Add", skv_term_two(b, "MatMul", rows, w), zero), 1);
}

static skive_value *cast(skv_builder *b, skive_value *x, skive_dtype to) {
    if (b->status != SKIVE_OK || x->type.dtype == to) return x;
    return skv_emit(b, "Cast", SKV_IN(x), SKV_ATTRS(SKV_INT("to", to)));
}

static skive_value *unsqueezed(skv_builder *b, skive_value *x, int64_t axis) {
    return skv_emit(b, "Unsqueeze", SKV_IN(x, skv_emit_ints(b, &axis, 1)), SKV_NONE);
}

static skive_value *equal(skv_builder *b, skive_value *column, skive_value *row) {
    return skv_term_two(b, "Equal", unsqueezed(b, column, 1), unsqueezed(b, row, 0));
}

/* Of samples without a label no class is known, and none is the same. */
static skive_value *of_one_class(skv_builder *b, const skv_loss_args *a, skive_value *row) {
    skive_value *same = equal(b, a->labels, row);
    if (!a->partly || b->status != SKIVE_OK) return same;
    skive_value *known = skv_term_two(b, "GreaterOrEqual", a->labels, skv_emit_scalar(b, SKIVE_I64, 0));
    return skv_term_two(b, "And", same, unsqueezed(b, known, 1));
}

/* ---- in the batch ---- */

static skive_value *one_way(skv_builder *b, skive_value *products, skive_value *own) {
    skive_value *all = skv_term_reduce(b, "ReduceLogSumExp", products, 1, false);
    return skv_term_mean(b, skv_term_two(b, "Sub", all, own));
}

static skive_value *of_batch(skv_builder *b, const crd *c, skive_value *s, skive_value *t) {
    skive_value *u = skv_term_times(b, skv_term_two(b, "MatMul", s, skv_term_transpose(b, t)), 1 / c->tau);
    skive_value *own =
        skv_term_times(b, skv_term_reduce(b, "ReduceSum", skv_term_two(b, "Mul", s, t), 1, false), 1 / c->tau);
    if (b->status != SKIVE_OK) return NULL;
    if (skv_term_has_classes(c->a)) {
        skive_value *same = cast(b, of_one_class(b, c->a, c->a->labels), u->type.dtype);
        same = skv_term_two(b, "Max", skv_term_two(b, "Sub", same, skv_term_one(b, "EyeLike", u)),
                            skv_term_scalar(b, u, 0));
        u = skv_term_two(b, "Sub", u, skv_term_times(b, same, 1e4));
    }
    skive_value *sum = skv_term_two(b, "Add", one_way(b, u, own), one_way(b, skv_term_transpose(b, u), own));
    return skv_term_times(b, sum, 0.5);
}

/* ---- with a memory ---- */

static void draw(skv_builder *b, crd *c) {
    const skv_loss_args *a = c->a;
    const int64_t n = a->samples;
    skive_value *x =
        skv_emit(b, "RandomUniform", (skv_in_list){NULL, 0}, SKV_ATTRS(SKV_INTS("shape", &c->negatives, 1)));
    x = skv_term_one(b, "Floor", skv_term_times(b, x, (double)n));
    x = cast(b, x, SKIVE_I64);
    if (b->status != SKIVE_OK) return;
    c->drawn = skv_term_two(b, "Min", x, skv_emit_scalar(b, SKIVE_I64, (double)(n - 1)));
    c->seen = skv_term_filled(b, a, "seen", SKIVE_F32, 1, &n, 0, false);
    skive_value *of_drawn_seen = skv_term_two(b, "Gather", c->seen, c->drawn);
    c->filled = skv_term_mean(b, of_drawn_seen);
    skive_value *unseen = skv_term_two(b, "Less", of_drawn_seen, skv_term_scalar(b, of_drawn_seen, 0.5));
    c->excluded = skv_term_two(b, "Or", equal(b, a->indices, c->drawn), unsqueezed(b, unseen, 0));
    if (!skv_term_has_classes(a)) return;
    /* The classes of samples that were not seen yet are -1. */
    skive_value *classes = skv_term_filled(b, a, "classes", SKIVE_I64, 1, &n, -1, false);
    skive_value *of_drawn = skv_term_two(b, "Gather", classes, c->drawn);
    c->excluded = skv_term_two(b, "Or", c->excluded, of_one_class(b, a, of_drawn));
    skv_term_memory(b, a, classes,
                    skv_emit(b, "ScatterND", SKV_IN(classes, unsqueezed(b, a->indices, 1), a->labels), SKV_NONE));
}

/* A bank [samples][width] of random vectors of about length 1. */
static skive_value *bank(skv_builder *b, const crd *c, const char *what) {
    const int64_t dims[2] = {c->a->samples, c->width};
    skive_value *v = skv_term_filled(b, c->a, what, c->half ? SKIVE_F16 : SKIVE_F32, 2, dims, 0, false);
    if (b->status != SKIVE_OK) return NULL;
    skive_tensor *t = &v->storage->tensor;
    const double size = 1 / sqrt((double)c->width);
    const uint64_t stream = skv_hash64(v->name, strlen(v->name), 0);
    for (int64_t i = 0; i < skive_tensor_count(t); i++)
        skive_tensor_set(t, i, size * skv_rng_normal(c->a->seed, stream, (uint64_t)i));
    return v;
}

static void remember(skv_builder *b, const crd *c, skive_value *to, skive_value *fresh) {
    if (b->status != SKIVE_OK) return;
    skive_value *old = cast(b, skv_term_two(b, "Gather", to, c->a->indices), fresh->type.dtype);
    skive_value *seen = cast(b, skv_term_two(b, "Gather", c->seen, c->a->indices), fresh->type.dtype);
    skive_value *slow = skv_term_times(b, unsqueezed(b, seen, 1), c->momentum); /* what is new there comes in whole */
    skive_value *rest = skv_term_plus(b, skv_term_times(b, slow, -1), 1);
    skive_value *mixed = skv_term_two(b, "Add", skv_term_two(b, "Mul", old, slow),
                                      skv_term_two(b, "Mul", skv_term_detach(b, fresh), rest));
    mixed = cast(b, skv_term_unit(b, mixed, 1), to->type.dtype);
    skv_term_memory(b, c->a, to,
                    skv_emit(b, "ScatterND", SKV_IN(to, unsqueezed(b, c->a->indices, 1), mixed), SKV_NONE));
}

static void mark_seen(skv_builder *b, const crd *c) {
    if (b->status != SKIVE_OK) return;
    const int64_t n = c->a->indices->type.dims[0].size;
    skive_value *one = skv_term_filled(b, c->a, "one", SKIVE_F32, 1, &n, 1, false);
    skv_term_memory(b, c->a, c->seen,
                    skv_emit(b, "ScatterND", SKV_IN(c->seen, unsqueezed(b, c->a->indices, 1), one), SKV_NONE));
}

static double offset(const crd *c) { /* c + log K */
    return 1 / (2 * (double)c->width * c->tau * c->tau) + log((double)c->negatives);
}

/* mean of the sum over the negatives of softplus(u - c - log K). */
static skive_value *against(skv_builder *b, const crd *c, skive_value *x, skive_value *of) {
    if (b->status != SKIVE_OK) return NULL;
    skive_value *m = cast(b, skv_term_two(b, "Gather", of, c->drawn), x->type.dtype);
    skive_value *u = skv_term_times(b, skv_term_two(b, "MatMul", x, skv_term_transpose(b, m)), 1 / c->tau);
    skive_value *others = skv_term_one(b, "Softplus", skv_term_plus(b, u, -offset(c)));
    others = skv_emit(b, "Where", SKV_IN(c->excluded, skv_term_scalar(b, x, 0), others), SKV_NONE);
    return skv_term_mean(b, skv_term_reduce(b, "ReduceSum", others, 1, false));
}

static skive_value *of_memory(skv_builder *b, crd *c, skive_value *s, skive_value *t) {
    const int64_t each = c->half ? 2 : 4;
    if (b->status != SKIVE_OK) return NULL;
    draw(b, c);
    skive_value *of_student = bank(b, c, "students"), *of_teacher = bank(b, c, "teachers");
    skive_value *own =
        skv_term_times(b, skv_term_reduce(b, "ReduceSum", skv_term_two(b, "Mul", s, t), 1, false), 1 / c->tau);
    skive_value *positive = skv_term_one(b, "Softplus", skv_term_plus(b, skv_term_times(b, own, -1), offset(c)));
    skive_value *sum = skv_term_two(b, "Add", against(b, c, s, of_teacher), against(b, c, t, of_student));
    positive = skv_term_two(b, "Mul", skv_term_mean(b, positive), cast(b, c->filled, s->type.dtype));
    sum = skv_term_two(b, "Add", positive, sum);
    remember(b, c, of_student, s);
    remember(b, c, of_teacher, t);
    mark_seen(b, c);
    if (b->status == SKIVE_OK)
        skv_note(b->graph->ctx,
                 "contrastive: two memory banks of %lld samples x %lld numbers, %.1f MiB; %lld negatives a step",
                 (long long)c->a->samples, (long long)c->width,
                 2 * (double)each * (double)c->a->samples * (double)c->width / (1 << 20), (long long)c->negatives);
    return sum;
}

static skive_value *build(skv_builder *b, const skv_loss_args *a) {
    skv_option_values defaults;
    const skv_option_values *v = a->options ? a->options : &defaults;
    if (b->status != SKIVE_OK) return NULL;
    skv_options_default(options, SKV_LENGTH(options), &defaults);
    crd c = {.a = a,
             .negatives = skv_option_integer(v, "negatives"),
             .width = skv_option_integer(v, "width"),
             .tau = skv_option_real(v, "tau"),
             .momentum = skv_option_real(v, "momentum"),
             .half = skv_option_on(v, "half")};
    if (c.negatives == 0 && (c.half || skv_option_given(v, "momentum"))) {
        b->status =
            skv_fail_at(b->graph->ctx, SKIVE_ERR_ARGUMENT, "contrastive",
                        "contrastive: momentum and half are of the memory bank, which negatives=0 does not have");
        return NULL;
    }
    if (c.negatives == 0) skv_term_needs_samples(b, a, "contrastive");
    if (b->status != SKIVE_OK) return NULL;
    if (c.negatives > a->samples - 1) c.negatives = a->samples > 1 ? a->samples - 1 : 0;
    skive_value *s = embedded(b, &c, a->feature, "student"), *t = embedded(b, &c, a->example, "teacher");
    return c.negatives && a->indices ? of_memory(b, &c, s, t) : of_batch(b, &c, s, t);
}

const skv_loss skv_loss_contrastive = {
    .name = "contrastive",
    .brief = "student and teacher agree about a sample more than about others (CRD)",
    SKV_OPTIONS(options),
    .needs_features = true,
    .needs_indices = true,
    .weight = 0.8,
    .pairs = SKV_PAIR_LAST,
    .build = build,
};
