/* com.microsoft's Tokenizer, with which scikit-learn's text pipelines are exported: what in each string matches an
 * expression (tokenexp), what stands between matches of others (separators), or, with one empty separator, each
 * character. Tokens of fewer than mincharnum characters are left out; rows are filled up with pad_value; `mark` puts
 * the control characters 2 and 3 at the ends. */
#include "base/utf8.h"
#include "ops/cases.h"
#include "ops/strings/common_regex.h"
#include "ops/strings/common_strings.h"

static const skv_attr_spec attrs[] = {{"mark", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"mincharnum", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"pad_value", SKV_ATTR_STRING, SKV_OPTIONAL},
                                      {"separators", SKV_ATTR_STRINGS, SKV_OPTIONAL},
                                      {"tokenexp", SKV_ATTR_STRING, SKV_OPTIONAL}};

typedef struct part {
    const char *text;
    size_t n;
} part;

typedef struct parts {
    part *list;
    size_t n, room;
} parts;

typedef struct tokens {
    skive_context *ctx;
    int64_t least; /* characters of a token */
    bool marks, characters;
    skv_regex *wanted; /* tokenexp */
    skv_regex **separators;
    size_t n_separators;
    parts now, then; /* of one string */
} tokens;

static void tokens_free(tokens *t) {
    skv_regex_free(t->wanted);
    for (size_t i = 0; i < t->n_separators; i++) skv_regex_free(t->separators[i]);
    skv_free(t->ctx, t->separators);
    skv_free(t->ctx, t->now.list);
    skv_free(t->ctx, t->then.list);
    *t = (tokens){0};
}

static skive_status refuse(skive_context *ctx, const skive_node *n, const char *what) {
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name, "node '%s' (Tokenizer): %s", n->name, what);
}

static skive_status add_separators(tokens *t, const skive_node *n, const skv_attr *a) {
    size_t first, end;
    SKV_TRY(skv_alloc_array(t->ctx, a->n, sizeof *t->separators, &t->separators));
    for (; t->n_separators < a->n; t->n_separators++) {
        skv_regex **re = &t->separators[t->n_separators];
        SKV_TRY(skv_regex_compile(t->ctx, a->strings[t->n_separators] ? a->strings[t->n_separators] : "", re));
        if (skv_regex_find(*re, "", 0, 0, &first, &end)) {
            t->n_separators++;
            return refuse(t->ctx, n, "a separator that matches the empty text");
        }
    }
    return SKIVE_OK;
}

static skive_status tokens_make(skive_context *ctx, const skive_node *n, tokens *t) {
    const skv_attr *a = skv_node_attr(n, "separators");
    const bool separators = a && a->strings && a->n;
    *t = (tokens){.ctx = ctx, .least = skv_attr_int(n, "mincharnum", 1), .marks = skv_attr_int(n, "mark", 0) != 0};
    if (t->least < 1) return refuse(ctx, n, "mincharnum is less than 1");
    if (separators == (skv_node_attr(n, "tokenexp") != NULL))
        return refuse(ctx, n, "one of separators and tokenexp is needed");
    if (!separators) return skv_regex_compile(ctx, skv_attr_string(n, "tokenexp", ""), &t->wanted);
    t->characters = a->n == 1 && (!a->strings[0] || !a->strings[0][0]);
    if (!t->characters) return add_separators(t, n, a);
    return t->least > 1 ? refuse(ctx, n, "single characters with mincharnum above 1") : SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    tokens t;
    SKV_TRY(skv_infer_want(c, 0, SKIVE_STRING));
    const skive_status status = tokens_make(c->ctx, c->node, &t);
    tokens_free(&t);
    SKV_TRY(status);
    c->out[0].dtype = SKIVE_STRING;
    if (x->rank < 0) return SKIVE_OK;
    if (x->rank < 1 || x->rank > 2)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the input is neither [C] nor [N,C]", c->node->name);
    c->out[0] = *x;
    c->out[0].dtype = SKIVE_STRING;
    c->out[0].dims[c->out[0].rank++] = skv_dim_unknown();
    return SKIVE_OK;
}

static skive_status add(tokens *t, parts *p, const char *text, size_t n) {
    if (p->n == p->room) {
        SKV_TRY(skv_grow(t->ctx, &p->list, p->room, p->room * 2 + 16, sizeof *p->list));
        p->room = p->room * 2 + 16;
    }
    p->list[p->n++] = (part){text, n};
    return SKIVE_OK;
}

static bool long_enough(const tokens *t, const char *text, size_t n) {
    int64_t characters = 0;
    for (size_t at = 0; at < n && characters < t->least; characters++) (void)skv_utf8_next(text, n, &at);
    return characters >= t->least;
}

/* A match that is too short is left by one character only, as onnxruntime does. */
static skive_status take_matches(tokens *t, const char *text, size_t n) {
    size_t from = 0, first, end;
    while (skv_regex_find(t->wanted, text, n, from, &first, &end)) {
        from = end;
        if (long_enough(t, text + first, end - first)) {
            SKV_TRY(add(t, &t->now, text + first, end - first));
            continue;
        }
        if (first == n) break;
        from = first;
        (void)skv_utf8_next(text, n, &from);
    }
    return SKIVE_OK;
}

static skive_status separate(tokens *t, skv_regex *re, part whole) {
    size_t from = 0, first, end;
    while (skv_regex_find(re, whole.text, whole.n, from, &first, &end)) {
        if (long_enough(t, whole.text + from, first - from)) SKV_TRY(add(t, &t->then, whole.text + from, first - from));
        from = end;
    }
    return long_enough(t, whole.text + from, whole.n - from) ? add(t, &t->then, whole.text + from, whole.n - from)
                                                             : SKIVE_OK;
}

/* The tokens of one string, in t->now. */
static skive_status take_tokens(tokens *t, const char *text) {
    const size_t n = strlen(text);
    t->now.n = 0;
    if (n == 0) return SKIVE_OK;
    if (t->wanted) return take_matches(t, text, n);
    for (size_t at = 0; t->characters && at < n;) {
        const size_t before = at;
        (void)skv_utf8_next(text, n, &at);
        SKV_TRY(add(t, &t->now, text + before, at - before));
    }
    if (t->characters) return SKIVE_OK;
    SKV_TRY(add(t, &t->now, text, n));
    for (size_t s = 0; s < t->n_separators; s++) {
        t->then.n = 0;
        for (size_t i = 0; i < t->now.n; i++) SKV_TRY(separate(t, t->separators[s], t->now.list[i]));
        const parts other = t->now;
        t->now = t->then;
        t->then = other;
    }
    return SKIVE_OK;
}

static skive_status size_outputs(const skv_eval *c, skive_type *types) {
    const skive_tensor *x = c->in[0];
    size_t most = 0;
    tokens t;
    skive_status status = tokens_make(c->ctx, c->node, &t);
    for (int64_t i = 0; status == SKIVE_OK && i < skive_tensor_count(x); i++) {
        status = take_tokens(&t, skv_string_at(x, (size_t)i));
        if (t.now.n > most) most = t.now.n;
    }
    /* Without a single token there are no marks either, as in onnxruntime. */
    types[0].dims[types[0].rank - 1] = skv_dim(most ? (int64_t)most + (t.marks ? 2 : 0) : 0);
    tokens_free(&t);
    return status;
}

static skive_status put_row(const skv_eval *c, tokens *t, size_t row, size_t width) {
    const skive_tensor *y = c->out[0];
    const char *pad = skv_attr_string(c->node, "pad_value", "");
    size_t at = row * width, end = at + width;
    if (t->marks) *skv_string_slot(y, at++) = "\x02";
    for (size_t i = 0; i < t->now.n && at < end; i++)
        SKV_TRY(skv_put_string(c, y, at++, t->now.list[i].text, t->now.list[i].n));
    if (t->marks && at < end) *skv_string_slot(y, at++) = "\x03";
    while (at < end) SKV_TRY(skv_put_string(c, y, at++, pad, strlen(pad)));
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    tokens t;
    skive_status status = tokens_make(c->ctx, c->node, &t);
    for (size_t i = 0; status == SKIVE_OK && i < (size_t)skive_tensor_count(x); i++) {
        status = take_tokens(&t, skv_string_at(x, i));
        if (status == SKIVE_OK) status = put_row(c, &t, i, (size_t)y->dims[y->rank - 1]);
    }
    tokens_free(&t);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "words",
     CASE_IN({CASE_STRING(2), CASE_TEXT("The fox, a dog", "né 42")}),
     CASE_ATTRS(CASE_STR("tokenexp", "[a-zA-Z0-9_]+"), CASE_INT("mincharnum", 2), CASE_STR("pad_value", "#")),
     .n_out = 1,
     CASE_EXPECT_TEXT("The", "fox", "dog", "42", "#", "#"),
     CASE_OUT(2, 3),
     .no_grad = true},
    {.name = "between separators, with marks",
     CASE_IN({CASE_STRING(1, 2), CASE_TEXT("a-b c", "")}),
     CASE_ATTRS(CASE_STRS("separators", " ", "-"), CASE_INT("mincharnum", 1), CASE_INT("mark", 1),
                CASE_STR("pad_value", "")),
     .n_out = 1,
     CASE_EXPECT_TEXT("\x02", "a", "b", "c", "\x03", "\x02", "\x03", "", "", ""),
     CASE_OUT(1, 2, 5),
     .no_grad = true},
    {.name = "characters",
     CASE_IN({CASE_STRING(1), CASE_TEXT("aé€")}),
     CASE_ATTRS(CASE_STRS("separators", ""), CASE_INT("mincharnum", 1)),
     .n_out = 1,
     CASE_EXPECT_TEXT("a", "é", "€"),
     CASE_OUT(1, 3),
     .no_grad = true},
};

const skv_op skv_op_tokenizer = {
    .name = "Tokenizer",
    .domain = "com.microsoft",
    .brief = "tokens of text by regular expressions",
    .since = 1,
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
