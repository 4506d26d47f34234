/* Channel coupling: the removable channels. From a class of joined elements one follows the products to all that must
 * go with it; a set that reaches nothing fixed, leaves something of every axis and has a parameter in it is a channel.
 * Classes that are the whole of a product (the pairs) are no beginning: their channels begin at an outer or an inner
 * index. */
#include <stdlib.h>
#include <string.h>

#include "graph/couple.h"

enum { OUTER, INNER, WHOLE, PARTS };

typedef struct walk {
    skive_coupling *k;
    skv_couple *c;
    uint32_t *first_use;             /* [n + 1] of a root, into uses */
    uint64_t *uses;                  /* product * PARTS + part, and the place: two numbers a use */
    uint32_t *first_of, *element_of; /* [n + 1], [n]: the elements of a root, those of axes of values only */
    uint32_t *owner;                 /* [n] slot of an element; UINT32_MAX: a factor */
    uint32_t *stamp, now;            /* [n] of a root: in the set when equal to `now` */
    uint32_t *set;                   /* the set, in order of arrival */
    uint64_t *places;                /* [n] slices of the set: slot and index */
    size_t n_set, n_done;
    size_t *count_at; /* [products] into counts: outer, then inner */
    uint32_t *counts;
    size_t *touched; /* uses of the set that are wholes */
    size_t n_touched;
    bool chose, failed;
    skv_fixed why;
    const char *mix;
    uint64_t *seen; /* hashes of sets found so far, open addressing */
    size_t n_seen, seen_capacity;
    uint64_t *signature; /* of families, in order of number */
    size_t n_families, families_capacity;
} walk;

static void push(walk *w, uint32_t element) {
    const uint32_t root = skv_couple_find(w->c, element);
    if (w->stamp[root] == w->now) return;
    w->stamp[root] = w->now;
    w->set[w->n_set++] = root;
    if (w->c->fixed[root].why && !w->failed) {
        w->failed = true;
        w->why = w->c->fixed[root];
    }
    if (!w->mix) w->mix = w->c->mix[root];
}

static bool has(const walk *w, int64_t element) { return w->stamp[skv_couple_find(w->c, (uint32_t)element)] == w->now; }

static const skv_product *product_of(const walk *w, size_t use) { return &w->c->products[w->uses[2 * use] / PARTS]; }

/* What the products say of the classes that came last. */
static void expand(walk *w) {
    while (w->n_done < w->n_set) {
        const uint32_t root = w->set[w->n_done++];
        if (w->c->fixed[root].why) continue;
        for (size_t u = w->first_use[root]; u < w->first_use[root + 1]; u++) {
            const skv_product *p = product_of(w, u);
            const int64_t at = (int64_t)w->uses[2 * u + 1];
            uint32_t *counts = &w->counts[w->count_at[w->uses[2 * u] / PARTS]];
            switch (w->uses[2 * u] % PARTS) {
            case OUTER:
                for (int64_t i = 0; i < p->n_inner; i++) push(w, (uint32_t)(p->whole + at * p->n_inner + i));
                break;
            case INNER:
                for (int64_t o = 0; o < p->n_outer; o++) push(w, (uint32_t)(p->whole + o * p->n_inner + at));
                break;
            default:
                counts[at / p->n_inner]++;
                counts[p->n_outer + at % p->n_inner]++;
                w->touched[w->n_touched++] = u;
            }
        }
    }
}

/* Makes the set a closed one: each pair in it has its outer or its inner index in it. Where neither is said, the inner
 * one goes (the same of all groups), or the outer one, if that is preferred or the inner one is fixed. */
static void close_set(walk *w, uint32_t seed, bool prefer_outer) {
    w->now++;
    w->n_set = w->n_done = w->n_touched = 0;
    w->chose = w->failed = false;
    w->mix = NULL;
    push(w, seed);
    for (size_t before = 0; before != w->n_set;) {
        expand(w);
        before = w->n_set;
        for (size_t t = 0; t < w->n_touched; t++) {
            const size_t u = w->touched[t];
            const skv_product *p = product_of(w, u);
            const uint32_t *counts = &w->counts[w->count_at[w->uses[2 * u] / PARTS]];
            const int64_t at = (int64_t)w->uses[2 * u + 1], o = at / p->n_inner, i = at % p->n_inner;
            if (counts[o] == p->n_inner) push(w, (uint32_t)(p->outer + o));
            if (counts[p->n_outer + i] == p->n_outer) push(w, (uint32_t)(p->inner + i));
        }
        if (before != w->n_set) continue;
        for (size_t t = 0; t < w->n_touched; t++) {
            const size_t u = w->touched[t];
            const skv_product *p = product_of(w, u);
            const int64_t at = (int64_t)w->uses[2 * u + 1], o = p->outer + at / p->n_inner,
                          i = p->inner + at % p->n_inner;
            if (has(w, o) || has(w, i)) continue;
            const bool fixed_outer = w->c->fixed[skv_couple_find(w->c, (uint32_t)o)].why != NULL;
            const bool fixed_inner = w->c->fixed[skv_couple_find(w->c, (uint32_t)i)].why != NULL;
            w->chose = w->chose || (!fixed_outer && !fixed_inner);
            push(w, (uint32_t)((prefer_outer && !fixed_outer) || fixed_inner ? o : i));
        }
    }
    for (size_t t = 0; t < w->n_touched; t++) {
        const size_t u = w->touched[t];
        const skv_product *p = product_of(w, u);
        uint32_t *counts = &w->counts[w->count_at[w->uses[2 * u] / PARTS]];
        counts[(int64_t)w->uses[2 * u + 1] / p->n_inner] = 0;
        counts[p->n_outer + (int64_t)w->uses[2 * u + 1] % p->n_inner] = 0;
    }
}

/* ---- the channel of a set ---- */

static int by_number(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The slices of the set behind those of the channels so far, in order of value, axis and index; those of subgraphs
 * last. */
static skive_status list_slices(walk *w, size_t *n) {
    skive_coupling *k = w->k;
    size_t need = k->n_slices;
    *n = 0;
    for (size_t i = 0; i < w->n_set; i++) need += w->first_of[w->set[i] + 1] - w->first_of[w->set[i]];
    if (need >= k->slices_capacity) { /* so that there is memory for none, too */
        const size_t capacity = need + need / 2 + 64;
        SKV_TRY(skv_grow(k->ctx, &k->slices, k->slices_capacity, capacity, sizeof *k->slices));
        k->slices_capacity = capacity;
    }
    for (size_t i = 0; i < w->n_set; i++) {
        for (uint32_t at = w->first_of[w->set[i]]; at < w->first_of[w->set[i] + 1]; at++) {
            const uint32_t e = w->element_of[at], slot = w->owner[e];
            w->places[(*n)++] = (uint64_t)slot << 32 | (uint64_t)((int64_t)e - w->c->slots[slot].first);
        }
    }
    qsort(w->places, *n, sizeof *w->places, by_number);
    for (size_t i = 0; i < *n; i++) {
        const uint32_t slot = (uint32_t)(w->places[i] >> 32);
        k->slices[k->n_slices + i] = (skive_channel_slice){.value = w->c->values[slot / SKIVE_MAX_RANK],
                                                           .axis = (int)(slot % SKIVE_MAX_RANK),
                                                           .index = (int64_t)(w->places[i] & UINT32_MAX)};
    }
    return SKIVE_OK;
}

/* A parameter is among them, and something remains of each axis. */
static bool is_channel(walk *w, const skive_channel_slice *s, size_t n) {
    bool parameter = w->c->open;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && s[end].value == s[i].value && s[end].axis == s[i].axis; end++) continue;
        parameter = parameter || s[i].value->storage;
        if ((int64_t)(end - i) < skv_couple_slot(w->c, skv_couple_number(w->c, s[i].value), s[i].axis)->length)
            continue;
        w->why = (skv_fixed){"nothing would remain of an axis", s[i].value->name};
        return false;
    }
    if (!parameter) w->why = (skv_fixed){"no parameter is coupled to it", NULL};
    return parameter;
}

/* Is the set new? Then it is noted. */
static skive_status note_set(walk *w, bool *is_new) {
    uint64_t hash = w->n_set, x;
    for (size_t i = 0; i < w->n_set; i++) hash += skv_hash64(&w->set[i], sizeof w->set[i], 1);
    hash += hash == 0;
    if (w->n_seen * 2 >= w->seen_capacity) {
        const size_t capacity = w->seen_capacity ? w->seen_capacity * 2 : 256;
        uint64_t *seen = NULL;
        SKV_TRY(skv_alloc_array(w->k->ctx, capacity, sizeof *seen, &seen));
        for (size_t i = 0; i < w->seen_capacity; i++) {
            if (!w->seen[i]) continue;
            for (x = w->seen[i]; seen[x % capacity]; x++) continue;
            seen[x % capacity] = w->seen[i];
        }
        skv_free(w->k->ctx, w->seen);
        w->seen = seen;
        w->seen_capacity = capacity;
    }
    for (x = hash; w->seen[x % w->seen_capacity]; x++) {
        if (w->seen[x % w->seen_capacity] != hash) continue;
        *is_new = false;
        return SKIVE_OK;
    }
    w->seen[x % w->seen_capacity] = hash;
    w->n_seen++;
    *is_new = true;
    return SKIVE_OK;
}

/* Channels with the same pattern are a family, numbered in order of appearance. */
static skive_status family_of(walk *w, const skive_channel_slice *s, size_t n, int *family) {
    uint64_t signature = n;
    for (size_t i = 0; i < n; i++) {
        const uint32_t which[2] = {skv_couple_number(w->c, s[i].value), (uint32_t)s[i].axis};
        signature = skv_hash64(which, sizeof which, signature);
    }
    for (size_t i = w->n_families; i-- > 0;) { /* mostly the last one */
        if (w->signature[i] != signature) continue;
        *family = (int)i;
        return SKIVE_OK;
    }
    if (w->n_families == w->families_capacity) {
        const size_t capacity = w->families_capacity ? w->families_capacity * 2 : 64;
        SKV_TRY(skv_grow(w->k->ctx, &w->signature, w->families_capacity, capacity, sizeof *w->signature));
        w->families_capacity = capacity;
    }
    w->signature[w->n_families] = signature;
    *family = (int)w->n_families++;
    return SKIVE_OK;
}

static skive_status add_channel(walk *w, size_t n) {
    skive_coupling *k = w->k;
    int family = 0;
    SKV_TRY(family_of(w, &k->slices[k->n_slices], n, &family));
    if (k->n == k->capacity) {
        const size_t capacity = k->capacity ? k->capacity * 2 : 256;
        size_t *first = NULL;
        int *families = NULL;
        const char **mix = NULL;
        skive_status status;
        SKV_GO(status, fail, skv_alloc_array(k->ctx, capacity + 1, sizeof *first, &first));
        SKV_GO(status, fail, skv_alloc_array(k->ctx, capacity, sizeof *families, &families));
        SKV_GO(status, fail, skv_alloc_array(k->ctx, capacity, sizeof *mix, &mix));
        if (k->n) memcpy(first, k->first, k->n * sizeof *first);
        if (k->n) memcpy(families, k->family, k->n * sizeof *families);
        if (k->n) memcpy(mix, k->mix, k->n * sizeof *mix);
        skv_free(k->ctx, k->first);
        skv_free(k->ctx, k->family);
        skv_free(k->ctx, k->mix);
        k->first = first;
        k->family = families;
        k->mix = mix;
        k->capacity = capacity;
        goto grown;
    fail:
        skv_free(k->ctx, first);
        skv_free(k->ctx, families);
        skv_free(k->ctx, mix);
        return status;
    }
grown:
    k->first[k->n] = k->n_slices;
    k->family[k->n] = family;
    k->mix[k->n] = w->mix;
    k->n_slices += n;
    k->first[++k->n] = k->n_slices;
    return SKIVE_OK;
}

static skive_status try_seed(walk *w, uint32_t seed, bool prefer_outer, bool *found) {
    size_t n = 0;
    bool is_new = false;
    *found = false;
    close_set(w, seed, prefer_outer);
    if (!w->failed) {
        SKV_TRY(list_slices(w, &n));
        *found = is_channel(w, &w->k->slices[w->k->n_slices], n);
    }
    if (*found) SKV_TRY(note_set(w, &is_new));
    if (is_new) SKV_TRY(add_channel(w, n));
    for (size_t i = 0; i < w->n_set; i++) {
        if (*found)
            w->k->removable[w->set[i]] = true;
        else if (!w->k->fixed[w->set[i]].why)
            w->k->fixed[w->set[i]] = w->why;
    }
    return SKIVE_OK;
}

/* ---- tables ---- */

static void each_use(walk *w, bool store) {
    for (uint32_t i = 0; i < w->c->n_products; i++) {
        const skv_product *p = &w->c->products[i];
        const int64_t first[PARTS] = {p->outer, p->inner, p->whole};
        const int64_t n[PARTS] = {p->n_outer, p->n_inner, p->n_outer * p->n_inner};
        for (int part = 0; part < PARTS; part++) {
            for (int64_t e = 0; e < n[part]; e++) {
                const uint32_t root = skv_couple_find(w->c, (uint32_t)(first[part] + e));
                if (!store) {
                    w->first_use[root + 1]++;
                    continue;
                }
                const size_t at = w->first_use[root + 1]++;
                w->uses[2 * at] = (uint64_t)i * PARTS + (uint64_t)part;
                w->uses[2 * at + 1] = (uint64_t)e;
            }
        }
    }
}

/* Counts at [1 ..] become, and while storing serve as, the first places: after it [0 ..] are right. */
static void begin_places(uint32_t *first, size_t n) {
    uint32_t sum = 0;
    for (size_t i = 1; i <= n; i++) {
        const uint32_t count = first[i];
        first[i] = sum;
        sum += count;
    }
}

static skive_status make_tables(walk *w) {
    skv_couple *c = w->c;
    skive_context *ctx = c->ctx;
    size_t n_uses = 0, n_counts = 0, n_pairs = 0;
    SKV_TRY(skv_alloc_array(ctx, (size_t)c->n_products + 1, sizeof *w->count_at, &w->count_at));
    for (uint32_t i = 0; i < c->n_products; i++) {
        const skv_product *p = &c->products[i];
        w->count_at[i] = n_counts;
        n_counts += (size_t)(p->n_outer + p->n_inner);
        n_pairs += (size_t)(p->n_outer * p->n_inner);
    }
    n_uses = n_counts + n_pairs;
    if (n_uses > UINT32_MAX / 2) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "the model has too many channels");
    SKV_TRY(skv_alloc_array(ctx, n_counts + 1, sizeof *w->counts, &w->counts));
    SKV_TRY(skv_alloc_array(ctx, n_pairs + 1, sizeof *w->touched, &w->touched));
    SKV_TRY(skv_alloc_array(ctx, c->n + 2, sizeof *w->first_use, &w->first_use));
    SKV_TRY(skv_alloc_array(ctx, 2 * n_uses + 1, sizeof *w->uses, &w->uses));
    each_use(w, false);
    begin_places(w->first_use, c->n);
    each_use(w, true);

    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *w->owner, &w->owner));
    SKV_TRY(skv_alloc_array(ctx, c->n + 2, sizeof *w->first_of, &w->first_of));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *w->element_of, &w->element_of));
    for (size_t e = 0; e < c->n; e++) w->owner[e] = UINT32_MAX;
    for (size_t s = 0; s < (size_t)c->n_values * SKIVE_MAX_RANK; s++) {
        for (int64_t i = 0; c->slots[s].first >= 0 && i < c->slots[s].length; i++)
            w->owner[c->slots[s].first + i] = (uint32_t)s;
    }
    for (uint32_t e = 0; e < c->n; e++)
        if (w->owner[e] != UINT32_MAX) w->first_of[skv_couple_find(c, e) + 1]++;
    begin_places(w->first_of, c->n);
    for (uint32_t e = 0; e < c->n; e++)
        if (w->owner[e] != UINT32_MAX) w->element_of[w->first_of[skv_couple_find(c, e) + 1]++] = e;

    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *w->stamp, &w->stamp));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *w->set, &w->set));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *w->places, &w->places));
    SKV_TRY(skv_alloc_array(ctx, c->n + 1, sizeof *w->k->fixed, &w->k->fixed));
    return skv_alloc_array(ctx, c->n + 1, sizeof *w->k->removable, &w->k->removable);
}

static bool is_pair(const walk *w, uint32_t root) {
    for (size_t u = w->first_use[root]; u < w->first_use[root + 1]; u++)
        if (w->uses[2 * u] % PARTS == WHOLE) return true;
    return false;
}

/* A pair that no channel has is fixed by its indices. */
static void explain_pairs(walk *w) {
    skive_coupling *k = w->k;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < w->c->n_products; i++) {
            const skv_product *p = &w->c->products[i];
            for (int64_t e = 0; e < p->n_outer * p->n_inner; e++) {
                const uint32_t root = skv_couple_find(w->c, (uint32_t)(p->whole + e));
                const uint32_t part[2] = {skv_couple_find(w->c, (uint32_t)(p->inner + e % p->n_inner)),
                                          skv_couple_find(w->c, (uint32_t)(p->outer + e / p->n_inner))};
                for (int h = 0; h < 2 && !k->removable[root] && !k->fixed[root].why; h++)
                    k->fixed[root] = w->c->fixed[part[h]].why ? w->c->fixed[part[h]] : k->fixed[part[h]];
            }
        }
    }
}

skive_status skv_couple_units(skive_coupling *k) {
    walk w = {.k = k, .c = &k->work};
    skive_status status;
    SKV_GO(status, done, make_tables(&w));
    SKV_GO(status, done, skv_alloc_array(k->ctx, 1, sizeof *k->first, &k->first));
    for (uint32_t e = 0; e < k->work.n; e++) {
        bool found = false;
        if (skv_couple_find(w.c, e) != e || w.c->fixed[e].why || is_pair(&w, e)) continue;
        SKV_GO(status, done, try_seed(&w, e, false, &found));
        if (!found && w.chose) SKV_GO(status, done, try_seed(&w, e, true, &found));
    }
    explain_pairs(&w);
done:
    skv_free(k->ctx, w.first_use);
    skv_free(k->ctx, w.uses);
    skv_free(k->ctx, w.first_of);
    skv_free(k->ctx, w.element_of);
    skv_free(k->ctx, w.owner);
    skv_free(k->ctx, w.stamp);
    skv_free(k->ctx, w.set);
    skv_free(k->ctx, w.places);
    skv_free(k->ctx, w.count_at);
    skv_free(k->ctx, w.counts);
    skv_free(k->ctx, w.touched);
    skv_free(k->ctx, w.seen);
    skv_free(k->ctx, w.signature);
    return status;
}
