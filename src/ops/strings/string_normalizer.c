/* StringNormalizer: strings without the stop words, in capitals or small letters. If nothing is left, one empty string
 * is. The letters are those of Latin, Greek and Cyrillic, each by itself; a locale in which they go another way
 * (Turkic, Lithuanian) is refused. */
#include "base/utf8.h"
#include "ops/cases.h"
#include "ops/strings/common_strings.h"

static const skv_attr_spec attrs[] = {{"case_change_action", SKV_ATTR_STRING, SKV_OPTIONAL},
                                      {"is_case_sensitive", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"locale", SKV_ATTR_STRING, SKV_OPTIONAL},
                                      {"stopwords", SKV_ATTR_STRINGS, SKV_OPTIONAL}};

typedef uint32_t (*changer)(uint32_t code);
static uint32_t same(uint32_t code) { return code; }

static changer changer_of(const skive_node *n) {
    const char *how = skv_attr_string(n, "case_change_action", "NONE");
    return strcmp(how, "LOWER") == 0   ? skv_character_lower
           : strcmp(how, "UPPER") == 0 ? skv_character_upper
           : strcmp(how, "NONE") == 0  ? same
                                       : NULL;
}

static size_t stop_words(const skive_node *n, const char *const **words) {
    const skv_attr *a = skv_node_attr(n, "stopwords");
    *words = a ? a->strings : NULL;
    return *words ? a->n : 0;
}

static skive_status infer(skv_infer *c) {
    static const char *const other[] = {"tr", "az", "lt"};
    const skive_type *x = skv_infer_in(c, 0);
    const char *locale = skv_attr_string(c->node, "locale", "");
    const char *const *words;
    SKV_TRY(skv_infer_want(c, 0, SKIVE_STRING));
    if (!changer_of(c->node))
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH,
                              "node '%s': case_change_action is \"%s\"; it may be LOWER, UPPER or NONE", c->node->name,
                              skv_attr_string(c->node, "case_change_action", ""));
    for (size_t i = 0; i < SKV_COUNT(other); i++)
        if (strncmp(locale, other[i], 2) == 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "node '%s': the letters of locale \"%s\" are not supported",
                                  c->node->name, locale);
    c->out[0] = *x;
    c->out[0].dtype = SKIVE_STRING;
    if (x->rank < 0) return SKIVE_OK;
    if (x->rank < 1 || x->rank > 2 || (x->rank == 2 && x->dims[0].size >= 0 && x->dims[0].size != 1))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the input is neither [C] nor [1,C]", c->node->name);
    if (stop_words(c->node, &words) || x->dims[x->rank - 1].size == 0) c->out[0].dims[x->rank - 1] = skv_dim_unknown();
    if (x->dims[x->rank - 1].size == 0) c->out[0].dims[x->rank - 1] = skv_dim(1);
    return SKIVE_OK;
}

static bool equal_text(const char *a, const char *b, changer change) {
    const size_t n = strlen(a), m = strlen(b);
    size_t i = 0, k = 0;
    while (i < n && k < m)
        if (change(skv_utf8_next(a, n, &i)) != change(skv_utf8_next(b, m, &k))) return false;
    return i == n && k == m;
}

static bool stays(const skive_node *n, const char *text) {
    const bool exact = skv_attr_int(n, "is_case_sensitive", 0) != 0;
    const char *const *words;
    const size_t count = stop_words(n, &words);
    for (size_t i = 0; i < count; i++)
        if (equal_text(text, words[i] ? words[i] : "", exact ? same : skv_character_lower)) return false;
    return true;
}

static skive_status size_outputs(const skv_eval *c, skive_type *types) {
    const int64_t n = skive_tensor_count(c->in[0]);
    int64_t left = 0;
    for (int64_t i = 0; i < n; i++) left += stays(c->node, skv_string_at(c->in[0], (size_t)i));
    types[0].dims[types[0].rank - 1] = skv_dim(left > 0 ? left : 1);
    return SKIVE_OK;
}

static skive_status put_changed(const skv_eval *c, size_t at, const char *text, changer change) {
    const size_t n = strlen(text);
    char *changed = NULL;
    size_t out = 0;
    if (change == same || n == 0) return skv_put_string(c, c->out[0], at, text, n);
    SKV_TRY(skv_alloc_array(c->ctx, n + 1, 2, &changed)); /* no letter needs more than a byte more */
    for (size_t i = 0; i < n;) {
        const size_t before = i;
        const uint32_t code = skv_utf8_next(text, n, &i), other = change(code);
        if (other == code) {
            memcpy(changed + out, text + before, i - before); /* what is not UTF-8 stays */
            out += i - before;
        } else {
            out += skv_utf8_put(other, changed + out);
        }
    }
    const skive_status status = skv_put_string(c, c->out[0], at, changed, out);
    skv_free(c->ctx, changed);
    return status;
}

static skive_status run(const skv_eval *c) {
    const changer change = changer_of(c->node);
    const int64_t n = skive_tensor_count(c->in[0]), room = skive_tensor_count(c->out[0]);
    int64_t left = 0;
    for (int64_t i = 0; i < n && left < room; i++) {
        const char *text = skv_string_at(c->in[0], (size_t)i);
        if (stays(c->node, text)) SKV_TRY(put_changed(c, (size_t)left++, text, change));
    }
    for (; left < room; left++) *skv_string_slot(c->out[0], (size_t)left) = NULL;
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "small letters",
     CASE_IN({CASE_STRING(1, 3), CASE_TEXT("ÄPFEL", "Straße", "ΣΊ9")}),
     CASE_ATTRS(CASE_STR("case_change_action", "LOWER")),
     .n_out = 1,
     CASE_EXPECT_TEXT("äpfel", "straße", "σί9"),
     CASE_OUT(1, 3),
     .no_grad = true},
    {.name = "stop words in any case",
     CASE_IN({CASE_STRING(4), CASE_TEXT("monday", "Tuesday", "MONDAY", "wednesday")}),
     CASE_ATTRS(CASE_STR("case_change_action", "UPPER"), CASE_STRS("stopwords", "Monday")),
     .n_out = 1,
     CASE_EXPECT_TEXT("TUESDAY", "WEDNESDAY"),
     CASE_OUT(2),
     .no_grad = true},
    {.name = "nothing left",
     CASE_IN({CASE_STRING(2), CASE_TEXT("a", "a")}),
     CASE_ATTRS(CASE_INT("is_case_sensitive", 1), CASE_STRS("stopwords", "a")),
     .n_out = 1,
     CASE_EXPECT_TEXT(""),
     CASE_OUT(1),
     .no_grad = true},
};

const skv_op skv_op_string_normalizer = {
    .name = "StringNormalizer",
    .domain = "",
    .brief = "strings without stop words, in another case",
    .since = 10,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .size_outputs = size_outputs,
    .run = run,
    .cost = skv_cost_per_element,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
