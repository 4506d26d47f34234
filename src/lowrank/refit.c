/* Factors fitted again, layer by layer in the order of the graph: each layer is to give what it gave in the original,
 * on the input that the layers before it, factorized and fitted already, leave it (as channels are reconstructed by He,
 * Zhang & Sun, ICCV 2017, and factors by Zhang et al. 2015). Where the layer has a bias, it takes the difference of the
 * means. What has a larger error afterwards on the samples stays as it was. */
#include <math.h>
#include <string.h>

#include "graph/linear.h"
#include "lowrank/lowrank.h"
#include "probe/paired.h"

/* Rounds of first and last factors, and what a further one must gain. */
enum { MOST_ROUNDS = 5 };
#define LEAST_GAIN 1e-3

/* ---- constants that are added to a layer's outputs ---- */

typedef struct constant {
    skive_value *value; /* NULL: there is none, or it is not the layer's alone */
    double factor;      /* what is added to the layer's sums is added to it so many times */
} constant;

static bool is_own(const skive_value *v, int64_t out) {
    return v && skv_value_is_param(v) && v->type.dtype == SKIVE_F32 && v->n_uses == 1 && v->output_uses == 0 &&
           !skv_value_is_captured(v) && v->type.rank > 0 && v->type.dims[v->type.rank - 1].size == out &&
           skv_type_count(&v->type) == out;
}

/* Its own bias; or that of an Add behind it; or the means of a BatchNormalization. */
static constant constant_of(const skive_node *n, int64_t out) {
    const skive_value *y = n->outputs[0];
    const skive_node *next = y->n_uses == 1 && y->output_uses == 0 ? y->uses[0].node : NULL;
    constant c = {.factor = 1};
    skv_linear l;
    if (!skv_linear_of(n, &l)) return c;
    skive_value *bias = l.bias >= 0 ? skv_node_in(n, (size_t)l.bias) : NULL;
    if (bias) {
        if (l.bias_factor == 0 || !is_own(bias, out)) return c;
        c = (constant){.value = bias, .factor = l.weight_factor / l.bias_factor};
    } else if (next && l.view.windows && skv_node_is(next, SKV_OP_BATCH_NORMALIZATION)) {
        if (next->inputs[0] == y && is_own(next->inputs[3], out))
            c = (constant){.value = next->inputs[3], .factor = -l.weight_factor};
    } else if (next && !l.view.windows && skv_node_is(next, SKV_OP_ADD)) {
        skive_value *other = next->inputs[next->inputs[0] == y];
        if (other != y && is_own(other, out)) c = (constant){.value = other, .factor = l.weight_factor};
    }
    return c;
}

static skive_status add_to(skive_context *ctx, const constant *c, const double *by, int64_t n) {
    const skive_tensor *was = skv_value_tensor(c->value);
    const bool trainable = c->value->trainable;
    skv_storage *s = NULL;
    SKV_TRY(skv_storage_create(ctx, SKIVE_F32, was->rank, was->dims, &s));
    for (int64_t i = 0; i < n; i++)
        ((float *)s->tensor.data)[i] = (float)((double)((const float *)was->data)[i] + c->factor * by[i]);
    const skive_status status = skv_value_set_storage(c->value, s);
    if (status != SKIVE_OK) skv_storage_release(s);
    c->value->trainable = trainable;
    return status;
}

/* ---- one layer ---- */

typedef struct refitting {
    skv_lowrank *l;
    size_t site;
    skv_site *s;
    skive_graph *g; /* the model so far */
    const skv_way *way;
    constant constants[SKV_MOST_MEMBERS];
    bool shifts; /* each member has one */
    skv_paired pair;
    double *means;          /* [out] W E[x] */
    double *after;          /* [out] A E[y] */
    skv_regression samples; /* as they are; with `shifts` around their means */
    skv_regression fitted;  /* shrunk: what is solved for */
} refitting;

static void free_regression(skive_context *ctx, skv_regression *r) {
    skv_free(ctx, r->moments);
    skv_free(ctx, r->target);
    *r = (skv_regression){0};
}

static void find_constants(refitting *r) {
    r->shifts = r->s->kind != SKV_SITE_CELL;
    for (size_t m = 0; r->shifts && m < r->s->n_members; m++) {
        r->constants[m] = constant_of(skive_graph_find_node(r->g, r->s->members[m]), r->s->outs[m]);
        r->shifts = r->constants[m].value != NULL;
    }
}

/* a [n][n] loses x y', what both means give. */
static void around_means(double *a, const double *x, const double *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) a[i * n + j] -= x[i] * y[j];
}

/* What is known of the samples becomes both systems. *usable false: the input says nothing. */
static skive_status regress(refitting *r, bool *usable) {
    skive_context *ctx = r->l->ctx;
    skv_paired *p = &r->pair;
    const skv_site *s = r->s;
    const int64_t d = s->d, n = s->out * d;
    double level = 0;
    *usable = false;
    SKV_TRY(skv_alloc_array(ctx, (size_t)s->out, sizeof *r->means, &r->means));
    SKV_TRY(skv_alloc_array(ctx, (size_t)s->out, sizeof *r->after, &r->after));
    SKV_TRY(skv_multiply(ctx, &(skv_product){.m = s->out, .n = 1, .k = d, .a = s->w, .b = p->x, .c = r->means}));
    if (r->shifts) {
        around_means(p->xx, p->x, p->x, d);
        around_means(p->yy, p->y, p->y, d);
        around_means(p->xy, p->x, p->y, d);
    }
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof(double), &r->samples.target));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof(double), &r->fitted.target));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(d * d), sizeof(double), &r->fitted.moments));
    /* E|W x|^2, in the room of a target. */
    SKV_TRY(
        skv_multiply(ctx, &(skv_product){.m = s->out, .n = d, .k = d, .a = s->w, .b = p->xx, .c = r->fitted.target}));
    for (int64_t i = 0; i < n; i++) r->samples.power += r->fitted.target[i] * s->w[i];
    SKV_TRY(
        skv_multiply(ctx, &(skv_product){.m = s->out, .n = d, .k = d, .a = s->w, .b = p->xy, .c = r->samples.target}));
    r->samples.moments = p->yy;
    r->samples.mean = r->fitted.mean = p->y;
    p->yy = NULL;
    memcpy(r->fitted.moments, r->samples.moments, (size_t)(d * d) * sizeof(double));
    const double part = skv_moments_shrink(r->fitted.moments, d, p->rows, &level);
    for (int64_t i = 0; i < n; i++) /* towards the weights, as if such an input had not changed */
        r->fitted.target[i] = (1 - part) * r->samples.target[i] + part * level * s->w[i];
    r->fitted.power = (1 - part) * r->samples.power + part * level * s->norm;
    *usable = part < 1 && level > 0 && r->samples.power > 0;
    return SKIVE_OK;
}

/* The error on the samples; with `shifted` the constants take the difference of the means, otherwise it counts. */
static skive_status error_of(const refitting *r, const skv_factors *f, bool shifted, double *error) {
    SKV_TRY(skv_regression_error(r->l->ctx, r->s, &r->samples, f, error, r->after));
    for (int64_t o = 0; r->shifts && !shifted && o < r->s->out; o++)
        *error += (r->means[o] - r->after[o]) * (r->means[o] - r->after[o]);
    return SKIVE_OK;
}

static skive_status alternate(const refitting *r, skv_factors *f) {
    skive_context *ctx = r->l->ctx;
    double before = INFINITY;
    SKV_TRY(skv_factors_solve(ctx, r->s, r->fitted.moments, r->fitted.target, f));
    for (int i = 0; i < MOST_ROUNDS && r->way->method->refit; i++) {
        double now;
        SKV_TRY(r->way->method->refit(ctx, r->s, &r->fitted, f));
        SKV_TRY(skv_factors_solve(ctx, r->s, r->fitted.moments, r->fitted.target, f));
        SKV_TRY(skv_regression_error(ctx, r->s, &r->fitted, f, &now, NULL));
        if (!(now < (1 - LEAST_GAIN) * before)) break;
        before = now;
    }
    return SKIVE_OK;
}

/* The whole of what the outputs are, means too. */
static double power_of(const refitting *r) {
    double sum = r->samples.power;
    for (int64_t o = 0; r->shifts && o < r->s->out; o++) sum += r->means[o] * r->means[o];
    return sum;
}

static skive_status take(const refitting *r) {
    int64_t from = 0;
    for (int64_t o = 0; o < r->s->out; o++) r->after[o] = r->means[o] - r->after[o];
    for (size_t m = 0; r->shifts && m < r->s->n_members; m++) {
        SKV_TRY(add_to(r->l->ctx, &r->constants[m], r->after + from, r->s->outs[m]));
        from += r->s->outs[m];
    }
    return SKIVE_OK;
}

static skive_status keep(const refitting *r, const char *why) {
    skv_note(r->l->ctx, "the factors of '%s' are not fitted again: %s", r->s->members[0], why);
    return SKIVE_OK;
}

/* `f` holds the factors as they were found. */
static skive_status fit(refitting *r, skv_factors *f) {
    skv_lowrank *l = r->l;
    skv_ways *w = &l->ways[r->site];
    double before = 0, after = 0;
    bool usable;
    SKV_TRY(regress(r, &usable));
    if (!usable) return keep(r, "its input says nothing on the samples: there is no variation in it, or too few rows");
    SKV_TRY(error_of(r, f, false, &before));
    SKV_TRY(alternate(r, f));
    SKV_TRY(error_of(r, f, true, &after));
    if (after < before) {
        w->refit_before = sqrt(before / power_of(r));
        w->refit_after = sqrt(after / power_of(r));
        if (f->first_stays)
            skv_note(l->ctx, "only the factors of '%s' behind the first are fitted again: that has too many numbers",
                     r->s->members[0]);
        return take(r);
    }
    skv_factors_free(l->ctx, f);
    SKV_TRY(skv_lowrank_find(l, r->site, r->way, f));
    return keep(r, "that would not make its outputs on the samples better");
}

/* NULL: it can be fitted. */
static const char *why_not(const skv_lowrank *l, const skv_site *s, const skv_factorization *m) {
    const skive_node *n = skive_graph_find_node(l->work, s->members[0]);
    if (s->kind == SKV_SITE_TABLE) return "it reads indices, which no layer before it changes";
    if (!s->moments) return "its second moments were not taken";
    if (!n || skive_graph_find_value(l->work, s->data)->type.dtype != SKIVE_F32) return "its input is not float32";
    if (m->beside) return "its method has no last factor to solve for";
    return NULL;
}

static skive_status factors_again(refitting *r, skv_factors *f) {
    skv_lowrank *l = r->l;
    const skv_site *s = r->s;
    const char *why = why_not(l, s, r->way->method);
    SKV_TRY(skv_lowrank_find(l, r->site, r->way, f));
    if (!why && !f->basis) why = "its method has no last factor to solve for";
    if (why) return keep(r, why);
    const skive_node *n = skive_graph_find_node(l->work, s->members[0]);
    const skv_paired_setup setup = {.first = l->work,
                                    .second = r->g,
                                    .value = s->data,
                                    .node = s->kind == SKV_SITE_CONV ? n : NULL,
                                    .set = l->train,
                                    .samples = l->o.samples,
                                    .seed = l->o.seed};
    SKV_TRY(skv_paired_run(l->ctx, &setup, &r->pair));
    find_constants(r);
    return fit(r, f);
}

static skive_status refit_site(skv_lowrank *l, size_t site, skive_graph *g) {
    skv_ways *w = &l->ways[site];
    refitting r = {.l = l, .site = site, .s = &l->sites[site], .g = g, .way = &w->items[w->chosen]};
    skv_factors f = {0};
    skive_status status = skv_site_open(l->ctx, r.s);
    if (status != SKIVE_OK) return status;
    SKV_GO(status, done, factors_again(&r, &f));
    SKV_GO(status, done, skv_lowrank_settle(l, site, r.way, &f));
    SKV_GO(status, done, skv_site_apply(g, r.s, r.way->method, &f));
    status = skive_graph_infer(g);
done:
    skv_site_close(l->ctx, r.s);
    skv_factors_free(l->ctx, &f);
    skv_paired_free(l->ctx, &r.pair);
    free_regression(l->ctx, &r.samples);
    free_regression(l->ctx, &r.fitted);
    skv_free(l->ctx, r.means);
    skv_free(l->ctx, r.after);
    skv_lowrank_forget(l, site);
    return status;
}

/* ---- all of them ---- */

/* Sites in the order in which data flow: order[n_sites], freed by skv_free. */
static skive_status flow(const skv_lowrank *l, size_t **order) {
    skive_node **nodes = NULL;
    size_t n = 0;
    *order = NULL;
    SKV_TRY(skv_graph_topo(l->work, &nodes));
    const skive_status status = skv_alloc_array(l->ctx, l->n_sites + 1, sizeof **order, order);
    for (uint32_t i = 0; status == SKIVE_OK && i < l->work->n_nodes; i++)
        for (size_t k = 0; k < l->n_sites; k++)
            if (strcmp(l->sites[k].members[0], nodes[i]->name) == 0) (*order)[n++] = k;
    skv_free(l->ctx, nodes);
    return status;
}

static skive_status refit_all(skv_lowrank *l, const size_t *order, skive_graph *g) {
    skv_progress progress;
    skv_progress_start(&progress, l->ctx, "fit factors again", (double)l->n_sites);
    for (size_t i = 0; i < l->n_sites; i++) {
        if (l->ways[order[i]].chosen > 0) SKV_TRY(refit_site(l, order[i], g));
        SKV_TRY(skv_progress_at(&progress, (double)i + 1, "%s", l->sites[order[i]].members[0]));
    }
    skv_graph_sweep(g);
    return skive_graph_check(g);
}

skive_status skv_lowrank_make_refitted(skv_lowrank *l, skive_graph **out) {
    skive_graph *g = NULL;
    size_t *order = NULL;
    *out = NULL;
    for (size_t i = 0; i < l->n_sites; i++) l->ways[i].refit_before = l->ways[i].refit_after = NAN;
    SKV_TRY(flow(l, &order));
    skive_status status = skive_graph_copy(l->ctx, l->work, &g);
    if (status == SKIVE_OK) status = refit_all(l, order, g);
    skv_free(l->ctx, order);
    if (status == SKIVE_OK)
        *out = g;
    else
        skive_graph_free(g);
    return status;
}
