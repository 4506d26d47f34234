/* CtcLoss(scores [n][steps][classes], labels [n][places], lengths [n]) -> losses [n]: minus the log-probability of the
 * labels over all alignments, with a softmax over the classes (common_ctc.h). Labels are filled up with -1; `blank` is
 * the class of no label. Lengths are optional: of sample i the first lengths[i] / every steps count, rounded up. Where
 * there are too few steps for the labels, the loss is infinite, or 0 with zero_infinity. */
#include "ops/loss/ctc_loss.h"

#include <math.h>
#include <stdio.h>

#include "ops/common_elementwise.h"
#include "ops/loss/common_ctc.h"

enum { MOST_STEPS = 1 << 30 }; /* so that the size of the room fits 64 bits */

const skv_attr_spec skv_ctc_attrs[3] = {{"blank", SKV_ATTR_INT, SKV_OPTIONAL},
                                        {"zero_infinity", SKV_ATTR_INT, SKV_OPTIONAL},
                                        {"every", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status check_lengths(skv_infer *c, size_t at, const skive_type *x) {
    const skive_type *lengths = skv_in_type(c, at);
    if (skv_attr_int(c->node, "every", 1) < 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': 'every' must be at least 1", c->node->name);
    if (!lengths) return SKIVE_OK;
    SKV_TRY(skv_infer_want(c, at, SKIVE_I64));
    if (lengths->rank >= 0 && lengths->rank != 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': lengths must be [n]", c->node->name);
    if (lengths->rank == 1 && x->rank == 3 && lengths->dims[0].size >= 0 && x->dims[0].size >= 0 &&
        lengths->dims[0].size != x->dims[0].size)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': scores of %lld samples, lengths of %lld", c->node->name,
                              (long long)x->dims[0].size, (long long)lengths->dims[0].size);
    return SKIVE_OK;
}

skive_status skv_ctc_check(skv_infer *c, size_t first) {
    const skive_type *x = skv_infer_in(c, first), *labels = skv_infer_in(c, first + 1);
    const int64_t blank = skv_attr_int(c->node, "blank", 0);
    SKV_TRY(skv_want_float(c, first));
    SKV_TRY(skv_infer_want(c, first + 1, SKIVE_I64));
    if (x->rank >= 0 && x->rank != 3)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': scores must be [n, steps, classes]", c->node->name);
    if (labels->rank >= 0 && labels->rank != 2)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': labels must be [n, places]", c->node->name);
    if (blank < 0 || (x->rank == 3 && x->dims[2].size >= 0 && blank >= x->dims[2].size))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the blank %lld is no class", c->node->name,
                              (long long)blank);
    SKV_TRY(check_lengths(c, first + 2, x));
    if (x->rank != 3 || labels->rank != 2) return SKIVE_OK;
    const int64_t n = x->dims[0].size, m = labels->dims[0].size;
    if (n >= 0 && m >= 0 && n != m)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': scores of %lld samples, labels of %lld", c->node->name,
                              (long long)n, (long long)m);
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    SKV_TRY(skv_ctc_check(c, 0));
    c->out[0] = (skive_type){.dtype = x->dtype, .rank = 1};
    c->out[0].dims[0] = x->rank == 3 ? x->dims[0] : skv_dim(-1);
    return SKIVE_OK;
}

/* How many labels a sample has. */
static skive_status count_labels(const skv_eval *c, const int64_t *labels, int64_t places, int64_t classes,
                                 int64_t sample, int64_t *n) {
    const int64_t blank = skv_attr_int(c->node, "blank", 0);
    for (*n = 0; *n < places && labels[*n] != -1; ++*n) {
        if (labels[*n] < 0 || labels[*n] >= classes || labels[*n] == blank)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                               "node '%s': label %lld of sample %lld is not a class (0 to %lld without the blank %lld)",
                               c->node->name, (long long)labels[*n], (long long)sample, (long long)classes - 1,
                               (long long)blank);
    }
    for (int64_t i = *n; i < places; i++) {
        if (labels[i] != -1)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': sample %lld has a label behind a -1",
                               c->node->name, (long long)sample);
    }
    return SKIVE_OK;
}

/* How many steps of a sample count. */
static skive_status count_steps(const skv_eval *c, const int64_t *lengths, int64_t steps, int64_t sample, int64_t *n) {
    const int64_t every = skv_attr_int(c->node, "every", 1);
    *n = lengths ? skv_ctc_steps(lengths[sample], every, steps) : steps;
    if (*n >= 0) return SKIVE_OK;
    char of[64] = "";
    if (every > 1) (void)snprintf(of, sizeof of, " of %lld each", (long long)every);
    return skv_fail_at(c->ctx, SKIVE_ERR_DATA, c->node->name,
                       "the length of sample %lld of the batch is %lld, but its scores have %lld steps%s",
                       (long long)sample, (long long)lengths[sample], (long long)steps, of);
}

/* log_softmax of the scores of one sample. */
static void log_softmax(const skive_tensor *x, size_t from, int64_t steps, int64_t classes, double *out) {
    for (int64_t t = 0; t < steps; t++, out += classes) {
        double most = -INFINITY, sum = 0;
        for (int64_t k = 0; k < classes; k++) {
            out[k] = skv_load_f64(x->dtype, x->data, from + (size_t)(t * classes + k));
            most = out[k] > most ? out[k] : most;
        }
        for (int64_t k = 0; k < classes; k++) sum += exp(out[k] - most);
        for (int64_t k = 0; k < classes; k++) out[k] -= most + log(sum);
    }
}

typedef struct ctc {
    const skive_tensor *x, *losses, *factor, *gradient;
    const int64_t *labels, *counts, *lasts; /* how many labels and how many steps each sample has */
    int64_t steps, classes, places, blank;
    bool zero;
} ctc;

/* The gradient of log-softmax: what arrives minus the probability times the sum of what arrives, which is -1 a step. */
static void one_sample(const ctc *p, int64_t i, double *room) {
    const size_t from = (size_t)(i * p->steps * p->classes);
    double *log_p = room, *g = room + p->steps * p->classes, *rest = g + p->steps * p->classes;
    const int64_t steps = p->lasts[i];
    log_softmax(p->x, from, steps, p->classes, log_p);
    const double loss = skv_ctc(log_p, steps, p->classes, p->labels + i * p->places, p->counts[i], p->blank, rest,
                                p->gradient ? g : NULL);
    const bool possible = loss < INFINITY;
    if (p->losses) skv_store_f64(p->losses->dtype, p->losses->data, (size_t)i, possible || !p->zero ? loss : 0);
    if (!p->gradient) return;
    const double f = skv_load_f64(p->factor->dtype, p->factor->data, (size_t)i);
    for (int64_t k = 0; k < p->steps * p->classes; k++)
        skv_store_f64(p->gradient->dtype, p->gradient->data, from + (size_t)k,
                      possible && k < steps * p->classes ? f * (g[k] + exp(log_p[k])) : 0);
}

skive_status skv_ctc_run(const skv_eval *c, size_t first, const skive_tensor *losses, const skive_tensor *factor,
                         const skive_tensor *gradient) {
    const skive_tensor *x = c->in[first], *labels = c->in[first + 1];
    const skive_tensor *lengths = c->n_in > first + 2 ? c->in[first + 2] : NULL;
    const int64_t n = x->dims[0], places = labels->dims[1];
    const int threads = skv_threads(c->ctx) < n ? skv_threads(c->ctx) : n > 0 ? (int)n : 1;
    int64_t *counts = NULL;
    double *room = NULL;
    ctc p = {.x = x,
             .losses = losses,
             .factor = factor,
             .gradient = gradient,
             .labels = labels->data,
             .steps = x->dims[1],
             .classes = x->dims[2],
             .places = places,
             .blank = skv_attr_int(c->node, "blank", 0),
             .zero = skv_attr_int(c->node, "zero_infinity", 0) != 0};
    int64_t scores, each_of;
    skive_status status;
    if (n == 0) return SKIVE_OK;
    if (places > MOST_STEPS || p.steps > MOST_STEPS || !skv_mul_i64(2 * p.steps, p.classes, &scores) ||
        !skv_add_i64(scores, skv_ctc_room(p.steps, places), &each_of))
        return skv_fail_at(c->ctx, SKIVE_ERR_LIMIT, c->node->name, "node '%s': %lld steps and %lld labels are too many",
                           c->node->name, (long long)p.steps, (long long)places);
    const size_t each = (size_t)each_of + 1;
    SKV_GO(status, done, skv_alloc_array(c->ctx, 2 * (size_t)n, sizeof *counts, &counts));
    SKV_GO(status, done, skv_alloc_array(c->ctx, each * (size_t)threads, sizeof *room, &room));
    for (int64_t i = 0; i < n; i++) {
        SKV_GO(status, done, count_labels(c, p.labels + i * places, places, p.classes, i, &counts[i]));
        SKV_GO(status, done, count_steps(c, lengths ? lengths->data : NULL, p.steps, i, &counts[n + i]));
    }
    p.counts = counts;
    p.lasts = counts + n;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++)
        for (int64_t i = t; i < n; i += threads) one_sample(&p, i, room + each * (size_t)t);
    status = SKIVE_OK;
done:
    skv_free(c->ctx, counts);
    skv_free(c->ctx, room);
    return status;
}

static skive_status run(const skv_eval *c) { return skv_ctc_run(c, 0, c->out[0], NULL, NULL); }

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    if (!c->need[0] || !c->dout[0]) return SKIVE_OK;
    c->din[0] = skv_emit(
        c->b, "CtcLossGrad", SKV_IN(c->dout[0], n->inputs[0], n->inputs[1], n->n_inputs > 2 ? n->inputs[2] : NULL),
        SKV_ATTRS(SKV_INT("blank", skv_attr_int(n, "blank", 0)), SKV_INT("every", skv_attr_int(n, "every", 1))));
    return c->b->status;
}

static const skv_op_case cases[] = {
    /* Of 4 paths of equal probability three say "1": 11, 01, 10. */
    {.name = "one label in two steps",
     CASE_IN({CASE_F32(1, 2, 2), CASE_VALUES(0, 0, 3, 3)}, {CASE_I64(1, 1), CASE_VALUES(1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0.28768207245178090)},
    {.name = "several samples, a label twice, none",
     CASE_IN({CASE_F32(3, 5, 4)}, {CASE_I64(3, 3), CASE_VALUES(2, 2, -1, 1, 3, 1, -1, -1, -1), .constant = true}),
     .n_out = 1},
    {.name = "the blank last",
     CASE_IN({CASE_F32(1, 3, 3)}, {CASE_I64(1, 2), CASE_VALUES(0, 1), .constant = true}),
     CASE_ATTRS(CASE_INT("blank", 2)),
     .n_out = 1},
    /* Of sample 0 the first two steps, as above; sample 1 says nothing: both of its steps are blank. */
    {.name = "lengths",
     CASE_IN({CASE_F32(2, 3, 2), CASE_VALUES(0, 0, 3, 3, 7, -7, 1, 1, 2, 2, -9, 4)},
             {CASE_I64(2, 1), CASE_VALUES(1, -1), .constant = true},
             {CASE_I64(2), CASE_VALUES(2, 2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0.28768207245178090, 1.3862943611198906)},
    {.name = "lengths of two frames a step",
     CASE_IN({CASE_F32(3, 5, 4)}, {CASE_I64(3, 2), CASE_VALUES(2, 2, 1, -1, 3, 1), .constant = true},
             {CASE_I64(3), CASE_VALUES(10, 5, 7), .constant = true}),
     CASE_ATTRS(CASE_INT("every", 2)),
     .n_out = 1},
    {.name = "a length of nothing",
     CASE_IN({CASE_F32(2, 2, 2)}, {CASE_I64(2, 1), CASE_VALUES(1, -1), .constant = true},
             {CASE_I64(2), CASE_VALUES(0, 0), .constant = true}),
     CASE_ATTRS(CASE_INT("zero_infinity", 1)),
     .n_out = 1,
     CASE_EXPECT(0, 0)},
    {.name = "too few steps",
     CASE_IN({CASE_F32(1, 2, 2)}, {CASE_I64(1, 2), CASE_VALUES(1, 1), .constant = true}),
     CASE_ATTRS(CASE_INT("zero_infinity", 1)),
     .n_out = 1,
     CASE_EXPECT(0)},
};

const skv_op skv_op_ctc_loss = {
    .name = "CtcLoss",
    .domain = SKV_DOMAIN,
    .brief = "loss of scores over time against label sequences",
    .since = 1,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_ctc_attrs,
    .n_attrs = SKV_COUNT(skv_ctc_attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
