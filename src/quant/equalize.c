/* Cross-layer equalization and bias absorption; see equalize.h. */
#include "quant/equalize.h"

#include <math.h>
#include <string.h>

#include "quant/pairs.h"
#include "tensor/tensor.h"

enum { ROUNDS = 60 };
#define DONE 1e-4 /* largest change of a factor's logarithm in a round that ends them */

/* ---- cross-layer equalization ---- */

static void keep_largest(float *top, int64_t c, float x) {
    const float m = fabsf(x);
    if (m > top[c]) top[c] = m;
}

/* The factors of one pair in one round; the largest change is returned. */
static double factors_of(const skv_pair *p, float *written, float *read, float *s) {
    const skive_tensor *t = skv_value_tensor(p->from->inputs[1]);
    double most = 0;
    memset(written, 0, (size_t)p->channels * sizeof *written);
    memset(read, 0, (size_t)p->channels * sizeof *read);
    for (int64_t i = 0; i < skive_tensor_count(t); i++)
        keep_largest(written, skv_pair_output(&p->view, t, i), ((const float *)t->data)[i]);
    for (size_t k = 0; k < p->n_readers; k++) {
        t = skv_value_tensor(p->readers[k].node->inputs[1]);
        for (int64_t i = 0; i < skive_tensor_count(t); i++)
            keep_largest(read, skv_pair_input(&p->readers[k], t, i), ((const float *)t->data)[i]);
    }
    for (int64_t c = 0; c < p->channels; c++) {
        /* Both become the geometric mean. A channel that is all zero on one side stays. */
        const double f = written[c] > 0 && read[c] > 0 ? sqrt((double)written[c] / (double)read[c]) : 1;
        s[c] = f > 1e-12 && f < 1e12 ? (float)f : 1;
        const double change = fabs(log((double)s[c]));
        if (change > most) most = change;
    }
    return most;
}

static void follow_normal(const skv_normals *normals, const skv_pair *p, const float *s) {
    skv_normal *n = skv_normals_of(normals, p->from->outputs[0]);
    for (int64_t c = 0; n && n->n == p->channels && c < n->n; c++) {
        n->mean[c] /= s[c];
        n->deviation[c] /= s[c];
    }
}

static skive_status tell(skive_context *ctx, const skv_pairs *pairs, int rounds) {
    if (pairs->n == 0 && pairs->n_clipped == 0)
        skv_note(ctx, "equalization: no two layers follow each other in a way that passes factors of channels through");
    else
        skv_note(ctx, "equalization: %zu layer%s equalized with what read%s %s, in %d round%s", pairs->n,
                 pairs->n == 1 ? "" : "s", pairs->n == 1 ? "s" : "", pairs->n == 1 ? "it" : "them", rounds,
                 rounds == 1 ? "" : "s");
    if (pairs->n_clipped > 0)
        skv_note(ctx,
                 "equalization: %zu layer%s left out, because a Clip with one limit for all channels (ReLU6) follows, "
                 "such as '%s'",
                 pairs->n_clipped, pairs->n_clipped == 1 ? " is" : "s are", pairs->clipped ? pairs->clipped : "?");
    return SKIVE_OK;
}

static skive_status equalize(skive_context *ctx, skive_graph *g, const skv_pairs *pairs, const skv_normals *normals,
                             float *room, int64_t widest, int *rounds) {
    for (*rounds = 0; *rounds < ROUNDS;) {
        double most = 0;
        for (size_t i = 0; i < pairs->n; i++) {
            const skv_pair *p = &pairs->items[i];
            const double change = factors_of(p, room, room + widest, room + 2 * widest);
            if (change > most) most = change;
            SKV_TRY(skv_pair_scale(g, p, room + 2 * widest));
            follow_normal(normals, p, room + 2 * widest);
        }
        ++*rounds;
        if (most < DONE) break;
    }
    (void)ctx;
    return SKIVE_OK;
}

skive_status skv_quant_equalize(skive_context *ctx, skive_graph **g, skv_normals *normals) {
    skive_graph *own = NULL;
    skv_pairs pairs = {0};
    float *room = NULL;
    int64_t widest = 1;
    int rounds = 0;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, *g, &own));
    SKV_GO(status, done, skv_pairs_find(ctx, own, false, &pairs));
    for (size_t i = 0; i < pairs.n; i++) widest = pairs.items[i].channels > widest ? pairs.items[i].channels : widest;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)skv_mul_sat(3, widest), sizeof *room, &room));
    SKV_GO(status, done, equalize(ctx, own, &pairs, normals, room, widest, &rounds));
    SKV_GO(status, done, skv_graph_check_finite(ctx, own));
    SKV_GO(status, done, tell(ctx, &pairs, rounds));
    skive_graph_free(*g);
    *g = own;
    own = NULL;
done:
    skv_free(ctx, room);
    skv_pairs_free(ctx, &pairs);
    skive_graph_free(own);
    return status;
}

/* ---- bias absorption ---- */

/* c moves from the bias of `from` into those that read it: W (x - c) + (b + W c). */
static skive_status absorb(skive_graph *g, const skv_pair *p, const float *c) {
    float *b;
    SKV_TRY(skv_own_numbers(g, p->shifts[0], &b));
    for (int64_t k = 0; k < p->channels; k++) b[k] -= c[k];
    for (size_t k = 0; k < p->n_readers; k++) {
        const skv_pair_reader *r = &p->readers[k];
        const skive_tensor *w = skv_value_tensor(r->node->inputs[1]);
        SKV_TRY(skv_own_numbers(g, r->node->inputs[2], &b));
        for (int64_t i = 0; i < skive_tensor_count(w); i++)
            b[skv_pair_output(&r->view, w, i)] += ((const float *)w->data)[i] * c[skv_pair_input(r, w, i)];
    }
    return SKIVE_OK;
}

static bool can_absorb(const skv_pair *p) {
    bool biases = p->rectified && p->direct && p->n_shifts == 1;
    for (size_t k = 0; k < p->n_readers; k++) biases = biases && skv_node_in(p->readers[k].node, 2);
    return biases;
}

static skive_status absorb_all(skive_context *ctx, skive_graph *g, const skv_pairs *pairs, const skv_normals *normals,
                               int64_t *moved) {
    for (size_t i = 0; i < pairs->n; i++) {
        const skv_pair *p = &pairs->items[i];
        skv_normal *n = skv_normals_of(normals, p->from->outputs[0]);
        float *c = NULL;
        int64_t found = 0;
        if (!n || n->n != p->channels || !can_absorb(p)) continue;
        SKV_TRY(skv_alloc_array(ctx, (size_t)n->n + 1, sizeof *c, &c));
        for (int64_t k = 0; k < n->n; k++) {
            const float least = n->mean[k] - 3 * n->deviation[k];
            c[k] = least > 0 ? least : 0;
            found += least > 0;
        }
        const skive_status status = found ? absorb(g, p, c) : SKIVE_OK;
        for (int64_t k = 0; status == SKIVE_OK && k < n->n; k++) n->mean[k] -= c[k];
        skv_free(ctx, c);
        if (status != SKIVE_OK) return status;
        *moved += found;
    }
    return SKIVE_OK;
}

skive_status skv_quant_absorb_bias(skive_context *ctx, skive_graph **g, skv_normals *normals) {
    skive_graph *own = NULL;
    skv_pairs pairs = {0};
    int64_t moved = 0;
    skive_status status;
    if (normals->n == 0)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "absorb-bias",
                           "bias absorption needs the statistics of BatchNormalization, which this model does not have "
                           "(any more): start from a model before they were folded");
    SKV_GO(status, done, skive_graph_copy(ctx, *g, &own));
    SKV_GO(status, done, skv_pairs_find(ctx, own, false, &pairs));
    SKV_GO(status, done, absorb_all(ctx, own, &pairs, normals, &moved));
    skv_note(ctx, "bias absorption: the bias of %lld channel%s moved behind the Relu", (long long)moved,
             moved == 1 ? "" : "s");
    skive_graph_free(*g);
    *g = own;
    own = NULL;
done:
    skv_pairs_free(ctx, &pairs);
    skive_graph_free(own);
    return status;
}
