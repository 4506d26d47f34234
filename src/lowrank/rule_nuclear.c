/* nuclear:LAMBDA. The proximal step of LAMBDA * (sum of the singular values of W [out][rest]): they move towards zero
 * by rate * LAMBDA and stop there, so that the weight comes to be of low rank, which factorization then finds (Cai,
 * Candes & Shen 2010; for networks Alvarez & Salzmann, NeurIPS 2017). A decomposition costs more than a step of
 * training: what the steps between owe is taken at once every EVERY steps. */
#include <math.h>
#include <string.h>

#include "lowrank/linear.h"
#include "train/train.h"

typedef struct nuclear {
    skive_context *ctx;
    double lambda, owed; /* of the singular values, since the last decomposition */
    int64_t every, steps, m, n;
    double *a, *u, *s, *vt; /* [m][n], [m][k], [k], [k][n] */
} nuclear;

static const skv_option options[] = {
    {.name = "lambda",
     .type = SKV_OPTION_REAL,
     .most = 1e6,
     .required = true,
     .brief = "weight of the sum of the singular values"},
    {.name = "every",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 20,
     .brief = "steps between two decompositions"},
};

static void unbind(skive_context *ctx, void *self) {
    nuclear *r = self;
    if (!r) return;
    skv_free(ctx, r->a);
    skv_free(ctx, r->u);
    skv_free(ctx, r->s);
    skv_free(ctx, r->vt);
    skv_free(ctx, r);
}

/* Convolutions [out][rest], products as they lie, cells [directions gates][in]; a vector has one singular value. */
static void sides(const skv_param *p, int64_t *m, int64_t *n) {
    const skive_type *t = &p->value->type;
    int last = t->rank == 3 && t->dims[0].size <= 2 ? 2 : 1;
    *m = 1;
    for (int i = 0; i < last && i < t->rank; i++) *m *= t->dims[i].size;
    *n = *m > 0 ? p->n / *m : 0;
}

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    nuclear *r = NULL;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *r, &r));
    *self = r;
    r->ctx = at->ctx;
    r->lambda = skv_option_real(at->values, "lambda");
    r->every = skv_option_integer(at->values, "every");
    sides(p, &r->m, &r->n);
    const int64_t k = r->m < r->n ? r->m : r->n;
    SKV_TRY(skv_alloc_array(at->ctx, (size_t)(r->m * r->n), sizeof *r->a, &r->a));
    SKV_TRY(skv_alloc_array(at->ctx, (size_t)(r->m * k), sizeof *r->u, &r->u));
    SKV_TRY(skv_alloc_array(at->ctx, (size_t)k, sizeof *r->s, &r->s));
    return skv_alloc_array(at->ctx, (size_t)(k * r->n), sizeof *r->vt, &r->vt);
}

/* A decomposition that fails leaves what is owed for the next one. */
static void shrink(nuclear *r, skv_param *p) {
    const int64_t k = r->m < r->n ? r->m : r->n;
    for (int64_t i = 0; i < p->n; i++) r->a[i] = (double)p->weight[i];
    if (k < 1 || skv_svd(r->ctx, r->m, r->n, r->a, r->u, r->s, r->vt) != SKIVE_OK) return;
    for (int64_t j = 0; j < k; j++) {
        const double s = r->s[j] > r->owed ? r->s[j] - r->owed : 0;
        for (int64_t i = 0; i < r->m; i++) r->u[i * k + j] *= s;
    }
    if (skv_multiply(r->ctx, &(skv_product){.m = r->m, .n = r->n, .k = k, .a = r->u, .b = r->vt, .c = r->a}) !=
        SKIVE_OK)
        return;
    for (int64_t i = 0; i < p->n; i++) p->weight[i] = (float)r->a[i];
    r->owed = 0;
}

static void after(void *self, skv_param *p, const skv_step *s) {
    nuclear *r = self;
    r->owed += s->rate * p->rate * r->lambda;
    if (++r->steps % r->every == 0) shrink(r, p);
}

static skive_status states(void *self, const skv_param *p, skv_states *s) {
    nuclear *r = self;
    SKV_TRY(skv_state(s, p->value->name, "nuclear.owed", &r->owed, 1, sizeof r->owed));
    return skv_state(s, p->value->name, "nuclear.steps", &r->steps, 1, sizeof r->steps);
}

/* Nothing but numbers is promised: which singular values are zero depends on the data. */
static bool holds(const void *self, const skv_param *p) {
    (void)self;
    for (int64_t i = 0; i < p->n; i++)
        if (!isfinite(p->weight[i])) return false;
    return true;
}

const skv_rule skv_rule_nuclear = {
    .name = "nuclear",
    SKV_OPTIONS(options),
    .brief = "the proximal step of the nuclear norm: weights come to be of low rank",
    .bind = bind,
    .unbind = unbind,
    .after = after,
    .states = states,
    .holds = holds,
    .example = "0.05,every=2",
    .of_trained = true,
    .knows_numbers = true,
};
