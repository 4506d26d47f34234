/* TfIdfVectorizer over numbers or strings: counts how often each n-gram of the pool appears in a row, its items next to
 * each other or with the same gap between them, and weights the counts. Strings become numbers first, equal ones the
 * same; n-grams are found by their hash. */
#include <string.h>

#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "tensor/strings.h"

static const skv_attr_spec attrs[] = {
    {"max_gram_length", SKV_ATTR_INT, SKV_REQUIRED}, {"max_skip_count", SKV_ATTR_INT, SKV_REQUIRED},
    {"min_gram_length", SKV_ATTR_INT, SKV_REQUIRED}, {"mode", SKV_ATTR_STRING, SKV_REQUIRED},
    {"ngram_counts", SKV_ATTR_INTS, SKV_REQUIRED},   {"ngram_indexes", SKV_ATTR_INTS, SKV_REQUIRED},
    {"pool_int64s", SKV_ATTR_INTS, SKV_OPTIONAL},    {"pool_strings", SKV_ATTR_STRINGS, SKV_OPTIONAL},
    {"weights", SKV_ATTR_FLOATS, SKV_OPTIONAL}};

typedef struct grams {
    const int64_t *pool, *starts, *places;
    const char *const *words; /* of a pool of strings */
    size_t n_pool, n_starts, n_places;
    int64_t shortest, longest, most_skipped;
    const double *weights;
    size_t n_weights;
} grams;

/* The reason if the attributes contradict each other, else NULL. */
static const char *read_grams(const skive_node *n, grams *g) {
    const skv_attr *weights = skv_node_attr(n, "weights");
    const char *mode = skv_attr_string(n, "mode", "");
    g->pool = skv_attr_ints(n, "pool_int64s", &g->n_pool);
    g->starts = skv_attr_ints(n, "ngram_counts", &g->n_starts);
    g->places = skv_attr_ints(n, "ngram_indexes", &g->n_places);
    g->shortest = skv_attr_int(n, "min_gram_length", 1);
    g->longest = skv_attr_int(n, "max_gram_length", 1);
    g->most_skipped = skv_attr_int(n, "max_skip_count", 0);
    if (g->most_skipped > INT32_MAX) g->most_skipped = INT32_MAX; /* more than any row has */
    g->weights = weights ? weights->floats : NULL;
    g->n_weights = weights ? weights->n : 0;
    const skv_attr *words = skv_node_attr(n, "pool_strings");
    g->words = words && !g->pool ? words->strings : NULL;
    if (g->words) g->n_pool = words->n;
    if (!g->pool && !g->words) return "there is no pool";
    if (strcmp(mode, "TF") != 0 && strcmp(mode, "IDF") != 0 && strcmp(mode, "TFIDF") != 0)
        return "the mode must be TF, IDF or TFIDF";
    if (g->shortest < 1 || g->longest < g->shortest || g->most_skipped < 0)
        return "the lengths of n-grams are not valid";
    if ((uint64_t)g->longest > g->n_starts) return "there are fewer ngram_counts than max_gram_length";
    size_t total = 0;
    for (size_t k = 0; k < g->n_starts; k++) {
        const int64_t end = k + 1 < g->n_starts ? g->starts[k + 1] : (int64_t)g->n_pool;
        if (g->starts[k] < 0 || end < g->starts[k] || end > (int64_t)g->n_pool ||
            (size_t)(end - g->starts[k]) % (k + 1) != 0)
            return "ngram_counts do not match the pool";
        total += (size_t)(end - g->starts[k]) / (k + 1);
    }
    if (total != g->n_places) return "there is not one of ngram_indexes for each n-gram";
    if (g->n_weights && g->n_weights != g->n_places) return "there is not one weight for each n-gram";
    for (size_t i = 0; i < g->n_places; i++)
        if (g->places[i] < 0 || g->places[i] > INT32_MAX) return "ngram_indexes out of range";
    return NULL;
}

static int64_t width_of(const grams *g) {
    int64_t width = 0;
    for (size_t i = 0; i < g->n_places; i++)
        if (g->places[i] >= width) width = g->places[i] + 1;
    return width;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    grams g;
    const char *why = read_grams(c->node, &g);
    if (why) return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': %s", c->node->name, why);
    const bool fits = g.words ? x->dtype == SKIVE_STRING : x->dtype == SKIVE_I32 || x->dtype == SKIVE_I64;
    if (x->dtype != SKIVE_DTYPE_NONE && !fits)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the input is %s, but the pool has %s", c->node->name,
                              skive_dtype_name(x->dtype), g.words ? "strings" : "integers");
    c->out[0].dtype = SKIVE_F32;
    if (x->rank < 0) return SKIVE_OK;
    if (x->rank < 1 || x->rank > 2)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': an input of rank %d is not supported", c->node->name,
                              x->rank);
    c->out[0].rank = x->rank;
    if (x->rank == 2) c->out[0].dims[0] = x->dims[0];
    c->out[0].dims[x->rank - 1] = skv_dim(width_of(&g));
    return skv_infer_limit(c, &c->out[0]);
}

/* ---- tables ---- open addressing: 0 is an empty place, otherwise 1 + the number of what stands there */

typedef struct table {
    uint32_t *place;
    size_t mask;
} table;

static skive_status table_make(skive_context *ctx, size_t n, table *t) {
    size_t room = 16;
    while (room < 2 * n) room *= 2;
    t->mask = room - 1;
    return skv_alloc_array(ctx, room, sizeof *t->place, &t->place);
}

typedef struct counting {
    skive_context *ctx;
    grams g;
    int64_t *items; /* [n_pool] the pool as numbers */
    int64_t *row;   /* [row_length] */
    size_t *first;  /* [n_places] where an n-gram's items begin; its size follows from its number */
    int64_t *size;  /* [n_places] */
    table words, by_items;
    double *counts; /* [n_places] */
} counting;

static void counting_free(counting *k) {
    skv_free(k->ctx, k->items);
    skv_free(k->ctx, k->row);
    skv_free(k->ctx, k->first);
    skv_free(k->ctx, k->size);
    skv_free(k->ctx, k->words.place);
    skv_free(k->ctx, k->by_items.place);
    skv_free(k->ctx, k->counts);
}

static const char *word_at(const grams *g, size_t i) { return g->words[i] ? g->words[i] : ""; }

/* The number of the first equal word of the pool; if there is none, that of `add`, or -1. */
static int64_t number_of(const counting *k, const char *word, size_t add) {
    size_t at = (size_t)skv_hash64(word, strlen(word), 0) & k->words.mask;
    for (; k->words.place[at]; at = (at + 1) & k->words.mask)
        if (strcmp(word_at(&k->g, k->words.place[at] - 1), word) == 0) return k->words.place[at] - 1;
    if (add == SIZE_MAX) return -1;
    k->words.place[at] = (uint32_t)add + 1;
    return (int64_t)add;
}

static uint64_t hash_of(const int64_t *items, int64_t size, int64_t gap) {
    uint64_t h = (uint64_t)size;
    for (int64_t i = 0; i < size; i++) h = skv_hash64(&items[i * gap], sizeof *items, h);
    return h;
}

static void add_gram(counting *k, size_t gram, size_t first, int64_t size) {
    size_t at = (size_t)hash_of(k->items + first, size, 1) & k->by_items.mask;
    while (k->by_items.place[at]) at = (at + 1) & k->by_items.mask; /* equal ones too: each has a place of its own */
    k->by_items.place[at] = (uint32_t)gram + 1;
    k->first[gram] = first;
    k->size[gram] = size;
}

static skive_status counting_make(skive_context *ctx, const skive_node *n, size_t row, counting *k) {
    const grams *g = &k->g;
    *k = (counting){.ctx = ctx};
    (void)read_grams(n, &k->g);
    SKV_TRY(skv_alloc_array(ctx, g->n_pool + 1, sizeof *k->items, &k->items));
    SKV_TRY(skv_alloc_array(ctx, row + 1, sizeof *k->row, &k->row));
    SKV_TRY(skv_alloc_array(ctx, g->n_places + 1, sizeof *k->first, &k->first));
    SKV_TRY(skv_alloc_array(ctx, g->n_places + 1, sizeof *k->size, &k->size));
    SKV_TRY(skv_alloc_array(ctx, g->n_places + 1, sizeof *k->counts, &k->counts));
    SKV_TRY(table_make(ctx, g->n_places, &k->by_items));
    if (g->words) SKV_TRY(table_make(ctx, g->n_pool, &k->words));
    for (size_t i = 0; i < g->n_pool; i++) k->items[i] = g->words ? number_of(k, word_at(g, i), i) : g->pool[i];
    size_t gram = 0;
    for (size_t s = 0; s < g->n_starts; s++) {
        const size_t end = s + 1 < g->n_starts ? (size_t)g->starts[s + 1] : g->n_pool;
        for (size_t at = (size_t)g->starts[s]; at < end; at += s + 1) add_gram(k, gram++, at, (int64_t)s + 1);
    }
    return SKIVE_OK;
}

static bool same_items(const counting *k, size_t gram, const int64_t *items, int64_t size, int64_t gap) {
    if (k->size[gram] != size) return false;
    for (int64_t i = 0; i < size; i++)
        if (k->items[k->first[gram] + (size_t)i] != items[i * gap]) return false;
    return true;
}

/* Counts the n-grams of `size` items with `gap` between them. */
static void count(counting *k, int64_t size, int64_t gap, int64_t length) {
    for (int64_t start = 0; start + (size - 1) * gap < length; start++) {
        const int64_t *items = k->row + start;
        size_t at = (size_t)hash_of(items, size, gap) & k->by_items.mask;
        for (; k->by_items.place[at]; at = (at + 1) & k->by_items.mask)
            if (same_items(k, k->by_items.place[at] - 1, items, size, gap)) k->counts[k->by_items.place[at] - 1]++;
    }
}

static void count_row(counting *k, const skive_tensor *x, int64_t first, int64_t length) {
    for (int64_t i = 0; i < length; i++)
        k->row[i] = k->g.words ? number_of(k, skv_string_at(x, (size_t)(first + i)), SIZE_MAX)
                               : skv_load_i64(x->dtype, x->data, (size_t)(first + i));
    for (int64_t size = k->g.shortest; size <= k->g.longest; size++) {
        const int64_t gaps = size == 1 ? 1 : k->g.most_skipped + 1;
        for (int64_t gap = 1; gap <= gaps && (size - 1) * gap < length; gap++) count(k, size, gap, length);
    }
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const char *mode = skv_attr_string(c->node, "mode", "");
    const int64_t length = x->dims[x->rank - 1], rows = x->rank == 2 ? x->dims[0] : 1, width = y->dims[y->rank - 1];
    counting k;
    const skive_status status = counting_make(c->ctx, c->node, (size_t)length, &k);
    if (status == SKIVE_OK) memset(y->data, 0, skive_tensor_bytes(y));
    for (int64_t r = 0; status == SKIVE_OK && r < rows; r++) {
        float *out = (float *)y->data + r * width;
        memset(k.counts, 0, k.g.n_places * sizeof *k.counts);
        count_row(&k, x, r * length, length);
        for (size_t i = 0; i < k.g.n_places; i++) {
            const double weight = k.g.n_weights ? k.g.weights[i] : 1;
            const double v = strcmp(mode, "TF") == 0    ? k.counts[i]
                             : strcmp(mode, "IDF") == 0 ? (k.counts[i] > 0 ? weight : 0)
                                                        : k.counts[i] * weight;
            out[k.g.places[i]] += (float)v;
        }
    }
    counting_free(&k);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "pairs, next to each other and one apart",
     CASE_IN({CASE_I64(5), CASE_VALUES(5, 6, 5, 6, 7)}),
     CASE_ATTRS(CASE_INT("min_gram_length", 2), CASE_INT("max_gram_length", 2), CASE_INT("max_skip_count", 1),
                CASE_STR("mode", "TF"), CASE_INTS("ngram_counts", 0, 1), CASE_INTS("ngram_indexes", 0, 1, 2),
                CASE_INTS("pool_int64s", 5, 5, 6, 5, 7)),
     .n_out = 1,
     CASE_EXPECT(0, 2, 1),
     .no_grad = true},
    {.name = "words and pairs of words",
     CASE_IN({CASE_STRING(2, 3), CASE_TEXT("the", "fox", "the", "fox", "the", "other")}),
     CASE_ATTRS(CASE_INT("min_gram_length", 1), CASE_INT("max_gram_length", 2), CASE_INT("max_skip_count", 0),
                CASE_STR("mode", "TFIDF"), CASE_INTS("ngram_counts", 0, 2), CASE_INTS("ngram_indexes", 0, 1, 2),
                CASE_STRS("pool_strings", "the", "fox", "fox", "the"), CASE_FLTS("weights", 1, 0.5, 4)),
     .n_out = 1,
     CASE_EXPECT(2, 0.5, 4, 1, 0.5, 4),
     CASE_OUT(2, 3),
     .no_grad = true},
};

const skv_op skv_op_tf_idf_vectorizer = {
    .name = "TfIdfVectorizer",
    .domain = "",
    .brief = "weighted counts of n-grams",
    .since = 9,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
