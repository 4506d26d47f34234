/* LabelEncoder over numbers and strings: each key becomes its value, what is no key the default. NaN is a key like
 * others. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ml/common_ml.h"
#include "tensor/storage.h"
#include "tensor/strings.h"

static const skv_attr_spec attrs[] = {
    {"default_float", SKV_ATTR_FLOAT, SKV_OPTIONAL},    {"default_int64", SKV_ATTR_INT, SKV_OPTIONAL},
    {"default_string", SKV_ATTR_STRING, SKV_OPTIONAL},  {"default_tensor", SKV_ATTR_TENSOR, SKV_OPTIONAL},
    {"keys_floats", SKV_ATTR_FLOATS, SKV_OPTIONAL},     {"keys_int64s", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"keys_strings", SKV_ATTR_STRINGS, SKV_OPTIONAL},   {"keys_tensor", SKV_ATTR_TENSOR, SKV_OPTIONAL},
    {"values_floats", SKV_ATTR_FLOATS, SKV_OPTIONAL},   {"values_int64s", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"values_strings", SKV_ATTR_STRINGS, SKV_OPTIONAL}, {"values_tensor", SKV_ATTR_TENSOR, SKV_OPTIONAL},
};

/* Numbers as they are stored, integers exactly; or text, which the node's attributes own. */
typedef struct numbers {
    skive_dtype dtype; /* SKIVE_DTYPE_NONE: absent */
    size_t n;
    const int64_t *whole;
    const char *const *text;
    skv_doubles real;
} numbers;

static skive_status bad(skive_context *ctx, const skive_node *n, const char *what) {
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, n->name, "node '%s' (LabelEncoder): %s", n->name, what);
}

static skive_status read_numbers(skive_context *ctx, const skive_node *n, const char *ints, const char *floats,
                                 const char *strings, const char *tensor, numbers *out) {
    *out = (numbers){.dtype = SKIVE_DTYPE_NONE};
    out->whole = skv_attr_ints(n, ints, &out->n);
    if (out->whole) out->dtype = SKIVE_I64;
    if (out->whole) return SKIVE_OK;
    const skv_attr *a = skv_node_attr(n, strings);
    if (a && a->strings && a->n) {
        *out = (numbers){.dtype = SKIVE_STRING, .n = a->n, .text = a->strings};
        return SKIVE_OK;
    }
    a = skv_node_attr(n, tensor);
    if (a && a->tensor && a->tensor->tensor.dtype == SKIVE_STRING) {
        const skive_tensor *t = &a->tensor->tensor;
        *out = (numbers){.dtype = SKIVE_STRING, .n = (size_t)skive_tensor_count(t), .text = t->data};
        return SKIVE_OK;
    }
    const bool listed = skv_node_attr(n, floats) != NULL;
    SKV_TRY(skv_ml_attr_doubles(ctx, n, floats, tensor, &out->real));
    out->n = out->real.n;
    if (out->n) out->dtype = listed || !a || !a->tensor ? SKIVE_F32 : a->tensor->tensor.dtype;
    for (size_t i = 0; i < out->n && !skv_dtype_is_float(out->dtype); i++)
        if (fabs(out->real.p[i]) >= 0x1p53) return bad(ctx, n, "integers of a tensor that are not below 2^53");
    return SKIVE_OK;
}

typedef struct encoding {
    numbers keys, values;
    skive_dtype out;
} encoding;

static void free_encoding(skive_context *ctx, encoding *e) {
    skv_doubles_free(ctx, &e->keys.real);
    skv_doubles_free(ctx, &e->values.real);
}

static skive_status read_encoding(skive_context *ctx, const skive_node *n, encoding *e) {
    *e = (encoding){0};
    skive_status status = read_numbers(ctx, n, "keys_int64s", "keys_floats", "keys_strings", "keys_tensor", &e->keys);
    if (status == SKIVE_OK)
        status = read_numbers(ctx, n, "values_int64s", "values_floats", "values_strings", "values_tensor", &e->values);
    if (status == SKIVE_OK && (e->keys.n == 0 || e->keys.n != e->values.n))
        status = bad(ctx, n, "there are no keys, or not one value for each");
    e->out = e->values.dtype;
    if (status != SKIVE_OK) free_encoding(ctx, e);
    return status;
}

static const char *other_text(const skive_node *n) {
    const skv_attr *a = skv_node_attr(n, "default_tensor");
    const char *text = a && a->tensor ? skive_tensor_string(&a->tensor->tensor, 0) : NULL;
    return text ? text : skv_attr_string(n, "default_string", "_Unused");
}

static double other_value(const skive_node *n, const encoding *e) {
    const skv_attr *a = skv_node_attr(n, "default_tensor");
    if (a && a->type == SKV_ATTR_TENSOR && a->tensor && a->tensor->tensor.data &&
        skive_tensor_count(&a->tensor->tensor))
        return skive_tensor_get(&a->tensor->tensor, 0);
    if (!skv_dtype_is_float(e->out)) return (double)skv_attr_int(n, "default_int64", -1);
    return skv_attr_float(n, "default_float", -0.0);
}

static skive_status infer(skv_infer *c) {
    encoding e;
    const skive_type *x = skv_in_type(c, 0);
    SKV_TRY(read_encoding(c->ctx, c->node, &e));
    const skive_dtype keys = e.keys.dtype, out = e.out;
    free_encoding(c->ctx, &e);
    const bool floats = skv_dtype_is_float(x->dtype) && skv_dtype_is_float(keys);
    if (x->dtype != SKIVE_DTYPE_NONE && x->dtype != keys && !floats)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the input is %s, but the keys are %s", c->node->name,
                              skive_dtype_name(x->dtype), skive_dtype_name(keys));
    c->out[0] = *x;
    c->out[0].dtype = out;
    return SKIVE_OK;
}

typedef struct entry {
    const char *text;
    double real; /* the key */
    int64_t whole;
    size_t at;
} entry;

/* NaN after all numbers. */
static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->text) return strcmp(x->text, y->text);
    if (x->whole != y->whole) return x->whole < y->whole ? -1 : 1;
    if (isnan(x->real) || isnan(y->real)) return isnan(x->real) - isnan(y->real);
    return x->real < y->real ? -1 : x->real > y->real;
}

static int by_key_and_place(const void *a, const void *b) {
    const int order = by_key(a, b);
    return order ? order : ((const entry *)a)->at < ((const entry *)b)->at ? -1 : 1;
}

static entry key_of(const numbers *k, size_t i) {
    if (k->text) return (entry){.text = k->text[i] ? k->text[i] : "", .at = i};
    return (entry){NULL, k->whole ? 0 : k->real.p[i], k->whole ? k->whole[i] : 0, i};
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    encoding e;
    entry *order = NULL;
    SKV_TRY(read_encoding(c->ctx, c->node, &e));
    const skive_status status = skv_alloc_array(c->ctx, e.keys.n, sizeof *order, &order);
    const double other = other_value(c->node, &e);
    size_t n = 0; /* of different keys: of equal ones the first counts */
    for (size_t i = 0; i < e.keys.n && status == SKIVE_OK; i++) order[i] = key_of(&e.keys, i);
    if (status == SKIVE_OK) qsort(order, e.keys.n, sizeof *order, by_key_and_place);
    for (size_t i = 0; i < e.keys.n && status == SKIVE_OK; i++)
        if (n == 0 || by_key(&order[n - 1], &order[i]) != 0) order[n++] = order[i];
    for (int64_t i = 0; i < skive_tensor_count(x) && status == SKIVE_OK; i++) {
        const entry key = {e.keys.text ? skv_string_at(x, (size_t)i) : NULL,
                           e.keys.whole || e.keys.text ? 0 : skive_tensor_get(x, i),
                           e.keys.whole ? skv_load_i64(x->dtype, x->data, (size_t)i) : 0, 0};
        const entry *found = bsearch(&key, order, n, sizeof key, by_key);
        if (e.values.text)
            ((const char **)y->data)[i] = found ? e.values.text[found->at] : other_text(c->node);
        else if (e.values.whole)
            ((int64_t *)y->data)[i] = found ? e.values.whole[found->at] : skv_attr_int(c->node, "default_int64", -1);
        else
            skv_store_f64(y->dtype, y->data, (size_t)i, found ? e.values.real.p[found->at] : other);
    }
    skv_free(c->ctx, order);
    free_encoding(c->ctx, &e);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "integers to floats",
     CASE_IN({CASE_I64(2, 2), CASE_VALUES(7, -1, 4, 7)}),
     CASE_ATTRS(CASE_INTS("keys_int64s", 4, 7, 4), CASE_FLTS("values_floats", 0.5, 2, 9),
                CASE_FLT("default_float", -3)),
     .n_out = 1,
     CASE_EXPECT(2, -3, 0.5, 2),
     .no_grad = true},
    {.name = "floats to integers, NaN too",
     CASE_IN({CASE_F32(4), CASE_VALUES(NAN, 1.5, 2, -0.25)}),
     CASE_ATTRS(CASE_FLTS("keys_floats", 1.5, NAN, -0.25), CASE_INTS("values_int64s", 10, 20, 30)),
     .n_out = 1,
     CASE_EXPECT(20, 10, -1, 30),
     .no_grad = true},
    {.name = "strings to integers",
     CASE_IN({CASE_STRING(4), CASE_TEXT("b", "é", "", "c")}),
     CASE_ATTRS(CASE_STRS("keys_strings", "é", "b", "", "b"), CASE_INTS("values_int64s", 5, 6, 7, 8)),
     .n_out = 1,
     CASE_EXPECT(6, 5, 7, -1),
     .no_grad = true},
    {.name = "integers to strings",
     CASE_IN({CASE_I64(3), CASE_VALUES(2, 9, 1)}),
     CASE_ATTRS(CASE_INTS("keys_int64s", 1, 2), CASE_STRS("values_strings", "one", "two")),
     .n_out = 1,
     CASE_EXPECT_TEXT("two", "_Unused", "one"),
     .no_grad = true},
    {.name = "tensors",
     CASE_IN({CASE_TYPED(SKIVE_F64, 2), CASE_VALUES(1, 3)}),
     CASE_ATTRS(CASE_TENSOR("keys_tensor", SKIVE_F64, 1, 2), CASE_TENSOR("values_tensor", SKIVE_I16, 5, 6),
                CASE_TENSOR("default_tensor", SKIVE_I16, 8)),
     .n_out = 1,
     CASE_EXPECT(5, 8),
     .no_grad = true},
};

const skv_op skv_op_label_encoder = {
    .name = "LabelEncoder",
    .domain = SKV_ML_DOMAIN,
    .brief = "numbers or strings looked up in a table",
    .since = 2,
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
