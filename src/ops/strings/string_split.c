/* StringSplit: the parts of each string between delimiters, in a new last axis filled up with empty strings, and their
 * numbers. Without a delimiter the parts stand between runs of white space. */
#include "base/utf8.h"
#include "ops/cases.h"
#include "ops/strings/common_strings.h"

static const skv_attr_spec attrs[] = {{"delimiter", SKV_ATTR_STRING, SKV_OPTIONAL},
                                      {"maxsplit", SKV_ATTR_INT, SKV_OPTIONAL}};

typedef struct splitter {
    const char *at, *end, *delimiter;
    size_t length;     /* of the delimiter; 0: white space */
    int64_t cuts_left; /* -1: as many as there are */
    bool over;
} splitter;

static splitter split_start(const skive_node *n, const char *text) {
    splitter s = {.at = text, .end = text + strlen(text), .delimiter = skv_attr_string(n, "delimiter", "")};
    s.length = strlen(s.delimiter);
    s.cuts_left = skv_node_attr(n, "maxsplit") ? skv_attr_int(n, "maxsplit", 0) : -1;
    return s;
}

static size_t space_at(const char *at, const char *end) {
    size_t step = 0;
    if (at == end) return 0;
    return skv_character_of(skv_utf8_next(at, (size_t)(end - at), &step)) == SKV_CHARACTER_SPACE ? step : 0;
}

/* Where the next delimiter begins; the end if there is none. */
static const char *find_cut(const splitter *s, size_t *length) {
    *length = s->length;
    if (s->cuts_left == 0) return s->end;
    if (s->length) {
        const char *cut = strstr(s->at, s->delimiter);
        return cut ? cut : s->end;
    }
    for (const char *at = s->at; at < s->end;) {
        if ((*length = space_at(at, s->end)) > 0) return at;
        size_t step = 0;
        (void)skv_utf8_next(at, (size_t)(s->end - at), &step);
        at += step;
    }
    return s->end;
}

/* The next part; false: there is none. */
static bool split_next(splitter *s, const char **part, size_t *n) {
    size_t step, length;
    while (s->length == 0 && (step = space_at(s->at, s->end)) > 0) s->at += step;
    if (s->over || (s->length == 0 && s->at == s->end)) return false;
    const char *cut = find_cut(s, &length);
    *part = s->at;
    *n = (size_t)(cut - s->at);
    s->over = cut == s->end;
    s->at = s->over ? cut : cut + length;
    if (s->cuts_left > 0) s->cuts_left--;
    return true;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    const skv_attr *delimiter = skv_node_attr(c->node, "delimiter");
    SKV_TRY(skv_infer_want(c, 0, SKIVE_STRING));
    if (delimiter && delimiter->n && memchr(delimiter->s, 0, delimiter->n))
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "node '%s': a delimiter with a zero byte", c->node->name);
    c->out[0] = *x;
    c->out[0].dtype = SKIVE_STRING;
    if (c->n_out > 1) {
        c->out[1] = *x;
        c->out[1].dtype = SKIVE_I64;
    }
    if (x->rank < 0) return SKIVE_OK;
    if (x->rank == SKIVE_MAX_RANK)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the result has more than %d dimensions", c->node->name,
                              SKIVE_MAX_RANK);
    c->out[0].dims[c->out[0].rank++] = skv_dim_unknown();
    return SKIVE_OK;
}

static skive_status size_outputs(const skv_eval *c, skive_type *types) {
    const skive_tensor *x = c->in[0];
    int64_t most = 0;
    for (int64_t i = 0; i < skive_tensor_count(x); i++) {
        splitter s = split_start(c->node, skv_string_at(x, (size_t)i));
        const char *part;
        size_t n;
        int64_t parts = 0;
        while (split_next(&s, &part, &n)) parts++;
        most = parts > most ? parts : most;
    }
    types[0].dims[types[0].rank - 1] = skv_dim(most);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t width = y ? y->dims[y->rank - 1] : 0;
    for (int64_t i = 0; i < skive_tensor_count(x); i++) {
        splitter s = split_start(c->node, skv_string_at(x, (size_t)i));
        const char *part;
        size_t n;
        int64_t parts = 0;
        while (split_next(&s, &part, &n)) {
            if (parts < width) SKV_TRY(skv_put_string(c, y, (size_t)(i * width + parts), part, n));
            parts++;
        }
        for (int64_t k = parts; k < width; k++) *skv_string_slot(y, (size_t)(i * width + k)) = NULL;
        if (c->n_out > 1 && c->out[1]) ((int64_t *)c->out[1]->data)[i] = parts;
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "white space",
     CASE_IN({CASE_STRING(2), CASE_TEXT("  a bc\td ", "")}),
     .n_out = 2,
     CASE_EXPECT_TEXT("a", "bc", "d", "", "", ""),
     CASE_OUT(2, 3),
     .no_grad = true},
    {.name = "a delimiter, at most one cut",
     CASE_IN({CASE_STRING(3), CASE_TEXT("a--b--c", "", "--x")}),
     CASE_ATTRS(CASE_STR("delimiter", "--"), CASE_INT("maxsplit", 1)),
     .n_out = 2,
     CASE_EXPECT_TEXT("a", "b--c", "", "", "", "x"),
     CASE_OUT(3, 2),
     .no_grad = true},
};

const skv_op skv_op_string_split = {
    .name = "StringSplit",
    .domain = "",
    .brief = "the parts of text between delimiters",
    .since = 20,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .size_outputs = size_outputs,
    .run = run,
    .cost = skv_cost_per_element,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
