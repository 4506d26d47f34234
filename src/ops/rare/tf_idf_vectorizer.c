/* TfIdfVectorizer over numbers: counts how often each n-gram of the pool appears in a row, its items next to each
 * other or with the same gap between them, and weights the counts. */
#include <string.h>

#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {
    {"max_gram_length", SKV_ATTR_INT, SKV_REQUIRED}, {"max_skip_count", SKV_ATTR_INT, SKV_REQUIRED},
    {"min_gram_length", SKV_ATTR_INT, SKV_REQUIRED}, {"mode", SKV_ATTR_STRING, SKV_REQUIRED},
    {"ngram_counts", SKV_ATTR_INTS, SKV_REQUIRED},   {"ngram_indexes", SKV_ATTR_INTS, SKV_REQUIRED},
    {"pool_int64s", SKV_ATTR_INTS, SKV_OPTIONAL},    {"pool_strings", SKV_ATTR_STRINGS, SKV_OPTIONAL},
    {"weights", SKV_ATTR_FLOATS, SKV_OPTIONAL}};

typedef struct grams {
    const int64_t *pool, *starts, *places;
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
    g->weights = weights ? weights->floats : NULL;
    g->n_weights = weights ? weights->n : 0;
    if (!g->pool) return "only pools of integers are supported";
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
    if (x->dtype != SKIVE_DTYPE_NONE && x->dtype != SKIVE_I32 && x->dtype != SKIVE_I64)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the input is %s, but the pool has integers",
                              c->node->name, skive_dtype_name(x->dtype));
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

/* Counts the n-grams of `size` items with `gap` between them. `number`: of the first n-gram of this size. */
static void count(const grams *g, int64_t size, int64_t gap, size_t number, const skive_tensor *x, int64_t first,
                  int64_t length, double *counts) {
    const size_t at = (size_t)g->starts[size - 1],
                 end = (uint64_t)size < g->n_starts ? (size_t)g->starts[size] : g->n_pool;
    for (int64_t start = 0; start + (size - 1) * gap < length; start++) {
        for (size_t k = at, gram = number; k < end; k += (size_t)size, gram++) {
            bool same = true;
            for (int64_t i = 0; same && i < size; i++)
                same = skv_load_i64(x->dtype, x->data, (size_t)(first + start + i * gap)) == g->pool[k + (size_t)i];
            if (same) counts[gram]++;
        }
    }
}

static void count_row(const grams *g, const skive_tensor *x, int64_t first, int64_t length, double *counts) {
    size_t number = 0;
    for (int64_t size = 1; size <= g->longest; size++) {
        const size_t end = (uint64_t)size < g->n_starts ? (size_t)g->starts[size] : g->n_pool;
        const int64_t gaps = size == 1 ? 1 : g->most_skipped + 1;
        for (int64_t gap = 1; size >= g->shortest && gap <= gaps && (size - 1) * gap < length; gap++)
            count(g, size, gap, number, x, first, length, counts);
        number += (end - (size_t)g->starts[size - 1]) / (size_t)size;
    }
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const char *mode = skv_attr_string(c->node, "mode", "");
    const int64_t length = x->dims[x->rank - 1], rows = x->rank == 2 ? x->dims[0] : 1, width = y->dims[y->rank - 1];
    grams g;
    double *counts = NULL;
    (void)read_grams(c->node, &g);
    SKV_TRY(skv_alloc_array(c->ctx, g.n_places + 1, sizeof *counts, &counts));
    memset(y->data, 0, skive_tensor_bytes(y));
    for (int64_t r = 0; r < rows; r++) {
        float *out = (float *)y->data + r * width;
        memset(counts, 0, g.n_places * sizeof *counts);
        count_row(&g, x, r * length, length, counts);
        for (size_t i = 0; i < g.n_places; i++) {
            const double weight = g.n_weights ? g.weights[i] : 1;
            const double v = strcmp(mode, "TF") == 0    ? counts[i]
                             : strcmp(mode, "IDF") == 0 ? (counts[i] > 0 ? weight : 0)
                                                        : counts[i] * weight;
            out[g.places[i]] += (float)v;
        }
    }
    skv_free(c->ctx, counts);
    return SKIVE_OK;
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
    SKV_LIST(cases),
};
