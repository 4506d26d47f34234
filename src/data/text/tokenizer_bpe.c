/* bpe: byte pairs (Sennrich, Haddow & Birch 2016, over bytes as in Radford et al. 2019). The tokens are the 256 bytes
 * and what becomes of them when, again and again, the most frequent pair of neighbours is joined. Texts are first cut
 * into pieces, across which nothing is joined: words and runs of punctuation, each with one space before it, and other
 * spaces. No token is unknown, and the tokens of a text put together are the text. */
#include <string.h>

#include "data/tables/rows.h"
#include "data/tokenizer.h"

enum { LONGEST = 128 }; /* bytes of a piece; a longer one is cut, which bounds the work on texts without spaces */

static const skv_option options[] = {
    {.name = "size",
     .type = SKV_OPTION_INTEGER,
     .least = SKV_TOKEN_FIRST + 256,
     .most = SKV_MOST_TOKENS,
     .fallback = 8192,
     .brief = "numbers at most: padding, unknown, 256 bytes, and one for each pair joined"},
    {.name = "least",
     .type = SKV_OPTION_INTEGER,
     .least = 2,
     .most = 1e9,
     .fallback = 2,
     .brief = "how often a pair must occur in the training texts to be joined"},
};

/* ---- pieces ---- */

/* The length of the piece at the beginning of the text. */
static size_t piece(const char *text, size_t n) {
    size_t at = 0, end;
    skv_character kind = skv_character_of(skv_utf8_next(text, n, &at));
    if (text[0] == ' ' && at < n) { /* it belongs to the word behind it */
        size_t next = at;
        const skv_character second = skv_character_of(skv_utf8_next(text, n, &next));
        if (second != SKV_CHARACTER_SPACE) {
            kind = second;
            at = next;
        }
    }
    for (end = at; at < n && end < LONGEST; end = at) {
        if (skv_character_of(skv_utf8_next(text, n, &at)) != kind) break;
        /* The last of several spaces belongs to the word behind them. */
        if (kind == SKV_CHARACTER_SPACE && text[end] == ' ' && at < n) {
            size_t next = at;
            if (skv_character_of(skv_utf8_next(text, n, &next)) != SKV_CHARACTER_SPACE) break;
        }
    }
    return end;
}

static skive_status count(const skv_vocabulary *v, const char *text, size_t n, skv_words *parts) {
    (void)v;
    for (size_t at = 0; at < n;) {
        const size_t length = piece(text + at, n - at);
        SKV_TRY(skv_words_add(parts, text + at, length, 1, NULL));
        at += length;
    }
    return SKIVE_OK;
}

/* ---- learning ---- */

/* A pair of neighbours in the pieces. */
typedef struct pair {
    uint32_t left, right;
    uint64_t count;
    uint32_t *where; /* pieces in which it occurs or did */
    size_t n, capacity;
} pair;

/* A place in the heap; stale if the pair's count has fallen since. */
typedef struct candidate {
    uint64_t count;
    uint32_t left, right;
    uint32_t pair;
} candidate;

typedef struct learner {
    skive_context *ctx;
    const skv_words *parts;
    uint32_t **pieces; /* the tokens of each */
    uint32_t *lengths;
    skv_arena *arena;
    pair *pairs;
    size_t n_pairs, pair_capacity;
    uint32_t *slots;
    size_t n_slots;
    candidate *heap;
    size_t n_heap, heap_capacity;
} learner;

static size_t slot_of(const learner *l, uint32_t left, uint32_t right) {
    const skv_merge key = {left, right};
    size_t at = (size_t)skv_hash64(&key, sizeof key, 0) & (l->n_slots - 1);
    while (l->slots[at]) {
        const pair *p = &l->pairs[l->slots[at] - 1];
        if (p->left == left && p->right == right) break;
        at = (at + 1) & (l->n_slots - 1);
    }
    return at;
}

static skive_status grow_slots(learner *l) {
    const size_t n = l->n_slots ? 2 * l->n_slots : 1024;
    skv_free(l->ctx, l->slots);
    l->slots = NULL;
    SKV_TRY(skv_alloc_array(l->ctx, n, sizeof *l->slots, &l->slots));
    l->n_slots = n;
    for (size_t i = 0; i < l->n_pairs; i++) l->slots[slot_of(l, l->pairs[i].left, l->pairs[i].right)] = (uint32_t)i + 1;
    return SKIVE_OK;
}

static skive_status find_pair(learner *l, uint32_t left, uint32_t right, uint32_t *out) {
    if (2 * (l->n_pairs + 1) > l->n_slots) SKV_TRY(grow_slots(l));
    uint32_t *slot = &l->slots[slot_of(l, left, right)];
    if (!*slot) {
        if (l->n_pairs >= UINT32_MAX / 4) return SKV_FAIL(l->ctx, SKIVE_ERR_LIMIT, "too many different byte pairs");
        if (l->n_pairs == l->pair_capacity) {
            const size_t more = l->pair_capacity ? 2 * l->pair_capacity : 512;
            SKV_TRY(skv_grow(l->ctx, &l->pairs, l->n_pairs, more, sizeof *l->pairs));
            l->pair_capacity = more;
        }
        l->pairs[l->n_pairs] = (pair){.left = left, .right = right};
        *slot = (uint32_t)++l->n_pairs;
    }
    *out = *slot - 1;
    return SKIVE_OK;
}

/* Does `a` come first: more frequent, or of equal ones the smaller numbers? */
static bool before(const candidate *a, const candidate *b) {
    if (a->count != b->count) return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static skive_status push(learner *l, uint32_t which) {
    const pair *p = &l->pairs[which];
    if (l->n_heap == l->heap_capacity) {
        const size_t more = l->heap_capacity ? 2 * l->heap_capacity : 512;
        SKV_TRY(skv_grow(l->ctx, &l->heap, l->n_heap, more, sizeof *l->heap));
        l->heap_capacity = more;
    }
    size_t at = l->n_heap++;
    const candidate c = {p->count, p->left, p->right, which};
    for (; at > 0 && before(&c, &l->heap[(at - 1) / 2]); at = (at - 1) / 2) l->heap[at] = l->heap[(at - 1) / 2];
    l->heap[at] = c;
    return SKIVE_OK;
}

static candidate pop(learner *l) {
    const candidate top = l->heap[0], last = l->heap[--l->n_heap];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= l->n_heap) break;
        if (child + 1 < l->n_heap && before(&l->heap[child + 1], &l->heap[child])) child++;
        if (!before(&l->heap[child], &last)) break;
        l->heap[at] = l->heap[child];
        at = child;
    }
    if (l->n_heap) l->heap[at] = last;
    return top;
}

/* Adds the pairs of a piece, or takes them away. Pairs with `fresh` in them are new to the piece, or all if it is 0. */
static skive_status count_piece(learner *l, uint32_t which, bool add, uint32_t fresh) {
    const uint32_t *p = l->pieces[which];
    const uint64_t times = l->parts->list[which].count;
    for (uint32_t i = 0; i + 1 < l->lengths[which]; i++) {
        uint32_t index = 0;
        SKV_TRY(find_pair(l, p[i], p[i + 1], &index));
        pair *q = &l->pairs[index];
        q->count = add ? q->count + times : q->count - times;
        if (!add || (fresh && p[i] != fresh && p[i + 1] != fresh)) continue;
        if (q->n && q->where[q->n - 1] == which) continue;
        if (q->n == q->capacity) {
            const size_t more = q->capacity ? 2 * q->capacity : 4;
            SKV_TRY(skv_grow(l->ctx, &q->where, q->n, more, sizeof *q->where));
            q->capacity = more;
        }
        q->where[q->n++] = which;
    }
    return SKIVE_OK;
}

static void join(learner *l, uint32_t which, uint32_t left, uint32_t right, uint32_t token) {
    uint32_t *p = l->pieces[which], to = 0;
    const uint32_t n = l->lengths[which];
    for (uint32_t i = 0; i < n; i++) {
        const bool both = i + 1 < n && p[i] == left && p[i + 1] == right;
        p[to++] = both ? token : p[i];
        i += both;
    }
    l->lengths[which] = to;
}

static bool contains(const learner *l, uint32_t which, uint32_t left, uint32_t right) {
    const uint32_t *p = l->pieces[which];
    for (uint32_t i = 0; i + 1 < l->lengths[which]; i++) {
        if (p[i] == left && p[i + 1] == right) return true;
    }
    return false;
}

/* Joins the pair everywhere; the pairs that arise are candidates. */
static skive_status merge(learner *l, uint32_t which, uint32_t token) {
    const uint32_t left = l->pairs[which].left, right = l->pairs[which].right;
    const size_t first = l->n_pairs;
    for (size_t i = 0; i < l->pairs[which].n; i++) {
        const uint32_t at = l->pairs[which].where[i];
        if (!contains(l, at, left, right)) continue;
        SKV_TRY(count_piece(l, at, false, 0));
        join(l, at, left, right, token);
        SKV_TRY(count_piece(l, at, true, token));
    }
    skv_free(l->ctx, l->pairs[which].where);
    l->pairs[which].where = NULL;
    l->pairs[which].n = l->pairs[which].capacity = 0;
    for (size_t i = first; i < l->n_pairs; i++) SKV_TRY(push(l, (uint32_t)i));
    return SKIVE_OK;
}

static skive_status start(learner *l) {
    const size_t n = l->parts->n;
    SKV_TRY(skv_arena_create(l->ctx, &l->arena));
    SKV_TRY(skv_alloc_array(l->ctx, n, sizeof *l->pieces, &l->pieces));
    SKV_TRY(skv_alloc_array(l->ctx, n, sizeof *l->lengths, &l->lengths));
    for (size_t i = 0; i < n; i++) {
        const skv_word *w = &l->parts->list[i];
        SKV_TRY(skv_arena_array(l->arena, w->length, sizeof(uint32_t), &l->pieces[i]));
        for (size_t k = 0; k < w->length; k++) l->pieces[i][k] = SKV_TOKEN_FIRST + (uint32_t)(unsigned char)w->text[k];
        l->lengths[i] = (uint32_t)w->length;
        SKV_TRY(count_piece(l, (uint32_t)i, true, 0));
    }
    for (size_t i = 0; i < l->n_pairs; i++) SKV_TRY(push(l, (uint32_t)i));
    return SKIVE_OK;
}

static skive_status learn_all(learner *l, skv_vocabulary *v) {
    const size_t most = (size_t)skv_option_integer(&v->values, "size");
    const uint64_t least = (uint64_t)skv_option_integer(&v->values, "least");
    skv_progress progress;
    SKV_TRY(start(l));
    skv_progress_start(&progress, l->ctx, "byte pairs", (double)(most - v->size));
    while (v->size < most && l->n_heap) {
        const candidate c = pop(l);
        const uint64_t now = l->pairs[c.pair].count;
        if (now < least) continue;
        if (now != c.count) {
            SKV_TRY(push(l, c.pair));
            continue;
        }
        SKV_TRY(skv_vocabulary_add_merge(v, c.left, c.right));
        SKV_TRY(merge(l, c.pair, (uint32_t)v->size++));
        SKV_TRY(skv_progress_at(&progress, (double)v->n_merges, "%zu pairs", v->n_merges));
    }
    return SKIVE_OK;
}

static skive_status restore(skv_vocabulary *v) {
    v->size = SKV_TOKEN_FIRST + 256 + v->n_merges;
    return SKIVE_OK;
}

static skive_status learn(skv_vocabulary *v, skv_words *parts) {
    learner l = {.ctx = v->ctx, .parts = parts};
    SKV_TRY(restore(v));
    const skive_status status = learn_all(&l, v);
    for (size_t i = 0; i < l.n_pairs; i++) skv_free(l.ctx, l.pairs[i].where);
    skv_free(l.ctx, l.pairs);
    skv_free(l.ctx, l.slots);
    skv_free(l.ctx, l.heap);
    skv_free(l.ctx, l.pieces);
    skv_free(l.ctx, l.lengths);
    skv_arena_free(l.arena);
    return status;
}

/* ---- numbers ---- */

static skive_status encode(const skv_vocabulary *v, const char *text, size_t n, skv_tokens *out) {
    uint32_t tokens[LONGEST + 8];
    for (size_t at = 0; at < n;) {
        const size_t length = piece(text + at, n - at);
        size_t kept = length;
        for (size_t i = 0; i < length; i++) tokens[i] = SKV_TOKEN_FIRST + (uint32_t)(unsigned char)text[at + i];
        for (;;) { /* the merge that was learnt first comes first */
            uint32_t best = SKV_NO_WORD;
            for (size_t i = 0; i + 1 < kept; i++) {
                const uint32_t m = skv_vocabulary_merge_of(v, tokens[i], tokens[i + 1]);
                if (m < best) best = m;
            }
            if (best == SKV_NO_WORD) break;
            size_t to = 0;
            for (size_t i = 0; i < kept; i++) {
                const bool both =
                    i + 1 < kept && tokens[i] == v->merges[best].left && tokens[i + 1] == v->merges[best].right;
                tokens[to++] = both ? SKV_TOKEN_FIRST + 256 + best : tokens[i];
                i += both;
            }
            kept = to;
        }
        for (size_t i = 0; i < kept; i++) SKV_TRY(skv_tokens_add(out, tokens[i]));
        at += length;
    }
    return SKIVE_OK;
}

const skv_tokenizer skv_tokenizer_bpe = {
    .name = "bpe",
    .brief = "byte pairs, learnt from the training texts; no token is unknown",
    SKV_OPTIONS(options),
    .count = count,
    .learn = learn,
    .encode = encode,
    .restore = restore,
};
