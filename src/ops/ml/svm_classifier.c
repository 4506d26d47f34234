/* SVMClassifier with support vectors: each pair of classes votes, and the class with most votes is the label, the
 * first of several. The scores are those of the pairs, of two classes -s and s, or with prob_a and prob_b
 * probabilities of the classes, coupled as in LIBSVM. */
#include <math.h>
#include <string.h>

#include "ops/ml/common_ml.h"
#include "ops/ml/common_svm.h"

static const skv_attr_spec attrs[] = {
    {"classlabels_ints", SKV_ATTR_INTS, SKV_REQUIRED},
    {"coefficients", SKV_ATTR_FLOATS, SKV_REQUIRED},
    {"kernel_params", SKV_ATTR_FLOATS, SKV_OPTIONAL},
    {"kernel_type", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"prob_a", SKV_ATTR_FLOATS, SKV_OPTIONAL},
    {"prob_b", SKV_ATTR_FLOATS, SKV_OPTIONAL},
    {"rho", SKV_ATTR_FLOATS, SKV_REQUIRED},
    {"support_vectors", SKV_ATTR_FLOATS, SKV_REQUIRED},
    {"vectors_per_class", SKV_ATTR_INTS, SKV_REQUIRED},
};

enum { MOST_CLASSES = 4096 };

typedef struct machine {
    skv_svm svm;
    size_t classes, pairs;
    const int64_t *label, *count;  /* [classes]; count: vectors of each class, in their order */
    const double *prob_a, *prob_b; /* [pairs], or NULL */
} machine;

static skive_status read_machine(skive_context *ctx, const skive_node *n, machine *m) {
    const skv_attr *a = skv_node_attr(n, "prob_a"), *b = skv_node_attr(n, "prob_b");
    int64_t vectors = 0;
    size_t counts;
    *m = (machine){0};
    m->label = skv_attr_ints(n, "classlabels_ints", &m->classes);
    m->count = skv_attr_ints(n, "vectors_per_class", &counts);
    if (m->classes < 2 || m->classes > MOST_CLASSES || counts != m->classes)
        return skv_svm_bad(ctx, n, "two classes at least, and vectors_per_class for each");
    m->pairs = m->classes * (m->classes - 1) / 2;
    for (size_t k = 0; k < m->classes; k++) {
        if (m->count[k] < 0 || m->count[k] > INT32_MAX) return skv_svm_bad(ctx, n, "vectors_per_class out of range");
        vectors += m->count[k];
    }
    if (vectors < 1) return skv_svm_bad(ctx, n, "no support vectors");
    SKV_TRY(skv_svm_read(ctx, n, vectors, 1, &m->svm));
    if (m->svm.n_coefficients != (m->classes - 1) * (size_t)vectors || m->svm.n_rho != m->pairs)
        return skv_svm_bad(ctx, n, "the number of coefficients or of rho does not fit the classes");
    const size_t n_a = a ? a->n : 0, n_b = b ? b->n : 0;
    if (n_a != n_b || (n_a != 0 && n_a != m->pairs)) return skv_svm_bad(ctx, n, "prob_a and prob_b are not one a pair");
    if (n_a && (!a->floats || !b->floats)) return skv_svm_bad(ctx, n, "prob_a and prob_b are lists of floats");
    if (n_a) m->prob_a = a->floats, m->prob_b = b->floats;
    return SKIVE_OK;
}

static int64_t score_count(const machine *m) { return (int64_t)(m->prob_a || m->classes == 2 ? m->classes : m->pairs); }

static skive_status infer(skv_infer *c) {
    machine m;
    SKV_TRY(read_machine(c->ctx, c->node, &m));
    SKV_TRY(skv_svm_want_rows(c, m.svm.features));
    const skive_type *x = skv_in_type(c, 0);
    const skive_dim rows = x->rank == 2 ? x->dims[0] : skv_dim_of(-1);
    c->out[0].dtype = SKIVE_I64;
    c->out[0].rank = 1;
    c->out[0].dims[0] = rows;
    if (c->n_out < 2) return SKIVE_OK;
    c->out[1].dtype = SKIVE_F32;
    c->out[1].rank = 2;
    c->out[1].dims[0] = rows;
    c->out[1].dims[1] = skv_dim_of(score_count(&m));
    return SKIVE_OK;
}

/* Scores of the pairs (0, 1), (0, 2) .. and what wins: a pair's first class if its score is above 0. Row j - 1 of the
 * coefficients of a vector of class i, or row i of one of class j, is for the pair. */
static size_t vote(const machine *m, const double *k, double *pair, int64_t *votes) {
    const int64_t n = m->svm.vectors;
    size_t p = 0, best = 0;
    memset(votes, 0, m->classes * sizeof *votes);
    int64_t from_i = 0;
    for (size_t i = 0; i + 1 < m->classes; i++) {
        int64_t from_j = from_i + m->count[i];
        for (size_t j = i + 1; j < m->classes; j++, p++) {
            const double *of_i = m->svm.coefficients + (int64_t)(j - 1) * n,
                         *of_j = m->svm.coefficients + (int64_t)i * n;
            double sum = 0;
            for (int64_t v = from_i; v < from_i + m->count[i]; v++) sum += of_i[v] * k[v];
            for (int64_t v = from_j; v < from_j + m->count[j]; v++) sum += of_j[v] * k[v];
            pair[p] = sum + m->svm.rho[p];
            votes[pair[p] > 0 ? i : j]++;
            from_j += m->count[j];
        }
        from_i += m->count[i];
    }
    for (size_t i = 1; i < m->classes; i++)
        if (votes[i] > votes[best]) best = i;
    return best;
}

/* r[i][j]: how probable i is among the two. */
static void pair_probabilities(const machine *m, const double *pair, double *r) {
    const double least = 1e-7;
    size_t p = 0;
    for (size_t i = 0; i + 1 < m->classes; i++) {
        for (size_t j = i + 1; j < m->classes; j++, p++) {
            const double q = 1 / (1 + exp(pair[p] * m->prob_a[p] + m->prob_b[p]));
            r[i * m->classes + j] = fmin(fmax(q, least), 1 - least);
            r[j * m->classes + i] = 1 - r[i * m->classes + j];
        }
    }
}

/* Probabilities of the classes from those of the pairs: Wu, Lin & Weng 2004, second method, with the limits of
 * LIBSVM. q [n][n] and qp [n] are scratch. */
static void couple(size_t n, const double *r, double *p, double *q, double *qp) {
    for (size_t t = 0; t < n; t++) {
        p[t] = 1.0 / (double)n;
        q[t * n + t] = 0;
        for (size_t j = 0; j < n; j++) {
            if (j == t) continue;
            q[t * n + t] += r[j * n + t] * r[j * n + t];
            q[t * n + j] = -r[j * n + t] * r[t * n + j];
        }
    }
    for (size_t rounds = n > 100 ? n : 100; rounds > 0; rounds--) {
        double mean = 0, error = 0;
        for (size_t t = 0; t < n; t++) {
            qp[t] = 0;
            for (size_t j = 0; j < n; j++) qp[t] += q[t * n + j] * p[j];
            mean += p[t] * qp[t];
        }
        for (size_t t = 0; t < n; t++) error = fmax(error, fabs(qp[t] - mean));
        if (error < 0.005 / (double)n) return;
        for (size_t t = 0; t < n; t++) {
            const double step = (mean - qp[t]) / q[t * n + t];
            p[t] += step;
            mean = (mean + step * (step * q[t * n + t] + 2 * qp[t])) / (1 + step) / (1 + step);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + step * q[t * n + j]) / (1 + step);
                p[j] /= 1 + step;
            }
        }
    }
}

typedef struct scratch {
    double *turned, *k, *pair, *r, *q, *p, *qp;
    int64_t *votes;
} scratch;

static void score_row(const machine *m, const scratch *s, const double *x, int64_t *label, float *scores) {
    skv_svm_row(&m->svm, s->turned, x, s->k);
    const size_t best = vote(m, s->k, s->pair, s->votes);
    if (label) *label = m->label[best];
    if (!scores) return;
    if (m->prob_a) {
        pair_probabilities(m, s->pair, s->r);
        couple(m->classes, s->r, s->p, s->q, s->qp);
        for (size_t i = 0; i < m->classes; i++) scores[i] = (float)s->p[i];
    } else if (m->classes == 2) {
        scores[0] = (float)-s->pair[0];
        scores[1] = (float)s->pair[0];
    } else {
        for (size_t i = 0; i < m->pairs; i++) scores[i] = (float)s->pair[i];
    }
}

static skive_status run(const skv_eval *c) {
    machine m;
    skv_doubles x = {0};
    scratch s = {0};
    skive_status status;
    SKV_TRY(read_machine(c->ctx, c->node, &m));
    const size_t n = m.classes, square = m.prob_a ? n * n : 1;
    int64_t *label = c->out[0] ? c->out[0]->data : NULL;
    float *scores = c->n_out > 1 && c->out[1] ? c->out[1]->data : NULL;
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)(m.svm.vectors * m.svm.features), sizeof(double), &s.turned));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)m.svm.vectors, sizeof(double), &s.k));
    SKV_GO(status, done, skv_alloc_array(c->ctx, m.pairs, sizeof(double), &s.pair));
    SKV_GO(status, done, skv_alloc_array(c->ctx, square, sizeof(double), &s.r));
    SKV_GO(status, done, skv_alloc_array(c->ctx, square, sizeof(double), &s.q));
    SKV_GO(status, done, skv_alloc_array(c->ctx, n, sizeof(double), &s.p));
    SKV_GO(status, done, skv_alloc_array(c->ctx, n, sizeof(double), &s.qp));
    SKV_GO(status, done, skv_alloc_array(c->ctx, n, sizeof(int64_t), &s.votes));
    skv_svm_turn(&m.svm, s.turned);
    for (int64_t i = 0; i < c->in[0]->dims[0]; i++)
        score_row(&m, &s, x.p + i * m.svm.features, label ? label + i : NULL,
                  scores ? scores + i * score_count(&m) : NULL);
done:
    skv_free(c->ctx, s.turned);
    skv_free(c->ctx, s.k);
    skv_free(c->ctx, s.pair);
    skv_free(c->ctx, s.r);
    skv_free(c->ctx, s.q);
    skv_free(c->ctx, s.p);
    skv_free(c->ctx, s.qp);
    skv_free(c->ctx, s.votes);
    skv_doubles_free(c->ctx, &x);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_type *x = n->n_inputs && n->inputs[0] ? &n->inputs[0]->type : NULL;
    size_t classes;
    int64_t vectors = 0;
    const int64_t *count = skv_attr_ints(n, "vectors_per_class", &classes);
    for (size_t k = 0; k < classes; k++) vectors += count[k] > 0 && count[k] < INT32_MAX ? count[k] : 0;
    if (x && x->rank == 2) out->macs = skv_add_sat(out->macs, skv_mul_sat(skv_type_count(x), vectors));
}

/* One vector a class: e0, e1, e2, so that the linear kernel gives the features themselves. */
#define THREE                                                                                                    \
    CASE_INTS("classlabels_ints", 4, 5, 6), CASE_INTS("vectors_per_class", 1, 1, 1),                             \
        CASE_FLTS("support_vectors", 1, 0, 0, 0, 1, 0, 0, 0, 1), CASE_FLTS("coefficients", 1, -1, -2, 2, 3, -4), \
        CASE_FLTS("rho", 0, 0.5, -0.5)

static const skv_op_case cases[] = {
    /* pairs: x0 - x1, 2 x0 - 2 x2 + 0.5, 3 x1 - 4 x2 - 0.5 */
    {.name = "votes",
     CASE_IN({CASE_F32(3, 3), CASE_VALUES(1, 0, 0, 0, 1, 0, 0, 1, 2)}),
     CASE_ATTRS(THREE),
     .n_out = 2,
     CASE_EXPECT(4, 5, 6),
     CASE_OUT(3),
     .no_grad = true},
    {.name = "probabilities",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 0, 0, 0, 1, 0)}),
     CASE_ATTRS(THREE, CASE_FLTS("prob_a", -1, -2, -3), CASE_FLTS("prob_b", 0, 0, 0)),
     .n_out = 2,
     CASE_EXPECT(4, 5),
     .no_grad = true},
};

const skv_op skv_op_svm_classifier = {
    .name = "SVMClassifier",
    .domain = SKV_ML_DOMAIN,
    .brief = "support vector machine of several classes",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
