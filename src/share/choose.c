/* Bits for each layer under a budget: every size of codebook is made for every layer, its error weighed by what it
 * harms, and one size chosen for each so that the sum is the least. */
#include <math.h>
#include <string.h>

#include "graph/weights.h"
#include "probe/source.h"
#include "share/share.h"

enum { MOST = SKIVE_SHARE_MAX_BITS };

static const skv_option budgets[] = {
    {.name = "bytes", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = "B"}};

/* What a layer would be at 1 to 8 bits. */
typedef struct tried {
    skive_choice items[MOST];
    size_t n;
    int bits[MOST];
    double *gradients; /* [weights] mean squares; NULL: none are known */
} tried;

/* ---- what an error harms ---- */

static skive_status look_at_gradients(const skv_sharing *s, skive_dataset *train, tried *t) {
    skv_source source = {0};
    skv_probe *probe = NULL;
    skv_probe_item *items = NULL;
    size_t *of = NULL, n = 0;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *items, &items));
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *of, &of));
    for (size_t i = 0; i < s->n; i++) {
        if (s->layers[i].value->graph != s->work) continue; /* no gradient goes through a body */
        of[n] = i;
        items[n++] = (skv_probe_item){.value = s->layers[i].value->name,
                                      .of = SKV_OF_GRADIENT,
                                      .axis = SKV_BY_ELEMENT,
                                      .reducer = skv_reducer_find("squares")};
    }
    if (n == 0) goto done;
    const skv_source_options o = {.batch = 1, .batches = SKIVE_SHARE_SAMPLES, .with_loss = true};
    SKV_GO(status, done, skv_source_open(s->ctx, s->work, train, &o, &source));
    SKV_GO(status, done, skv_source_probe(&source, items, n, "sensitivity", &probe));
    for (size_t i = 0; i < n; i++) {
        double *x = NULL, count;
        size_t size;
        SKV_GO(status, done, skv_probe_result(probe, i, &x, &size, &count));
        if ((int64_t)size == s->layers[of[i]].n && count > 0) {
            for (size_t k = 0; k < size; k++) x[k] /= count;
            t[of[i]].gradients = x;
        } else {
            skv_free(s->ctx, x);
        }
    }
done:
    skv_probe_free(probe);
    skv_source_close(&source);
    skv_free(s->ctx, items);
    skv_free(s->ctx, of);
    return status;
}

static double harm_of(const skv_shareable *l, const skv_codebook *c, const uint8_t *indices, const double *gradients) {
    const float *w = skv_shareable_data(l);
    double error = 0, all = 0;
    for (int64_t i = 0; i < l->n; i++) {
        const double off = (double)w[i] - (double)c->entry[indices[i]];
        error += gradients ? 0.5 * gradients[i] * off * off : off * off;
        all += (double)w[i] * (double)w[i];
    }
    return gradients || !(all > 0) ? error : error / all;
}

/* ---- what can be chosen ---- */

static skive_status try_layer(const skv_sharing *s, skv_shareable l, uint8_t *indices, tried *t) {
    int64_t distinct;
    for (l.bits = 1; l.bits <= MOST; l.bits++) {
        skv_codebook c;
        skive_share_layer row = {0};
        SKV_TRY(skv_check_interrupt(s->ctx));
        SKV_TRY(skv_codebook_create(s->ctx, &s->o, &l, 1, &c, &distinct));
        skv_codebook_encode(&c, &l, indices, &row);
        t->bits[t->n] = l.bits;
        t->items[t->n++] = (skive_choice){.harm = harm_of(&l, &c, indices, t->gradients),
                                          .cost = {(double)row.bytes + (double)(c.k * sizeof(float))}};
        if ((int64_t)c.k >= distinct) break; /* more bits give the same */
    }
    return SKIVE_OK;
}

/* Beside harms of another measure its own means nothing. */
static void keep_at_most(const skv_sharing *s, size_t layer, tried *t) {
    t->items[0] = t->items[t->n - 1];
    t->bits[0] = t->bits[t->n - 1];
    t->items[0].harm = 0;
    t->n = 1;
    skv_note(s->ctx, "'%s': %s, and it keeps %d bits", s->layers[layer].value->name,
             s->layers[layer].value->graph != s->work ? "no gradient reaches a weight in a body"
                                                      : "it has rows for each sample of a batch",
             t->bits[0]);
}

static skive_status try_all(const skv_sharing *s, bool with_gradients, tried *t) {
    int64_t most = 1;
    uint8_t *indices = NULL;
    for (size_t i = 0; i < s->n; i++) most = s->layers[i].n > most ? s->layers[i].n : most;
    SKV_TRY(skv_alloc(s->ctx, (size_t)most, &indices));
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < s->n && status == SKIVE_OK; i++) {
        status = try_layer(s, s->layers[i], indices, &t[i]);
        if (status == SKIVE_OK && with_gradients && !t[i].gradients) keep_at_most(s, i, &t[i]);
    }
    skv_free(s->ctx, indices);
    return status;
}

/* ---- the choice ---- */

/* The bytes that may remain: the part of the way that is gone from the most bits to the budget, or to the least. */
static skive_status budget_of(const skv_sharing *s, const tried *t, double *out) {
    skv_option_values v;
    double most = 0, least = 0, wanted;
    for (size_t i = 0; i < s->n; i++) {
        double smallest = t[i].items[0].cost[0];
        for (size_t k = 1; k < t[i].n; k++)
            if (t[i].items[k].cost[0] < smallest) smallest = t[i].items[k].cost[0];
        most += t[i].items[t[i].n - 1].cost[0];
        least += smallest;
    }
    wanted = least;
    if (s->o.bytes) {
        skv_options_default(budgets, SKV_LENGTH(budgets), &v);
        SKV_TRY(skv_option_set(s->ctx, "share", &v, 0, s->o.bytes));
        wanted = skv_option_budget(&v, "bytes", 4 * (double)s->report.count);
        if (wanted < least)
            return skv_fail_at(s->ctx, SKIVE_ERR_GOAL, "bytes",
                               "the budget of %.0f bytes is below the smallest that can be reached, %.0f (%.3g of the "
                               "weights that are shared)",
                               floor(wanted), least, least / (4 * (double)s->report.count));
    }
    *out = wanted < most ? most - s->reach * (most - wanted) : wanted;
    if (*out < least) *out = least; /* by rounding */
    return SKIVE_OK;
}

static skive_status allocate(skv_sharing *s, const tried *t) {
    skive_choices *layers = NULL;
    size_t *chosen = NULL;
    skive_status status;
    SKV_GO(status, done, budget_of(s, t, &s->report.budget));
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *layers, &layers));
    SKV_GO(status, done, skv_alloc_array(s->ctx, s->n + 1, sizeof *chosen, &chosen));
    for (size_t i = 0; i < s->n; i++)
        layers[i] = (skive_choices){.layer = s->layers[i].value->name, .items = t[i].items, .n = t[i].n};
    SKV_GO(status, done, skive_allocate(s->ctx, layers, s->n, &s->report.budget, 1, chosen, &s->report.allocation));
    for (size_t i = 0; i < s->n; i++) {
        s->layers[i].bits = t[i].bits[chosen[i]];
        s->report.layers[s->layers[i].row].harm = t[i].items[chosen[i]].harm;
    }
done:
    skv_free(s->ctx, layers);
    skv_free(s->ctx, chosen);
    return status;
}

skive_status skv_share_choose_bits(skv_sharing *s, skive_dataset *train) {
    tried *t = NULL;
    if (!skv_share_chooses(&s->o)) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(s->ctx, s->n + 1, sizeof *t, &t));
    skive_status status = train ? look_at_gradients(s, train, t) : SKIVE_OK;
    if (status == SKIVE_OK) status = try_all(s, train != NULL, t);
    if (status == SKIVE_OK) status = allocate(s, t);
    for (size_t i = 0; i < s->n; i++) skv_free(s->ctx, t[i].gradients);
    skv_free(s->ctx, t);
    return status;
}
