/* RegexFullMatch: does the whole of each string match a regular expression of RE2? */
#include "ops/cases.h"
#include "ops/strings/common_regex.h"
#include "ops/strings/common_strings.h"

static const skv_attr_spec attrs[] = {{"pattern", SKV_ATTR_STRING, SKV_REQUIRED}};

static skive_status compile(skive_context *ctx, const skive_node *n, skv_regex **out) {
    const skv_attr *a = skv_node_attr(n, "pattern");
    if (a && a->n && memchr(a->s, 0, a->n))
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name, "node '%s': a pattern with a zero byte", n->name);
    return skv_regex_compile(ctx, skv_attr_string(n, "pattern", ""), out);
}

static skive_status infer(skv_infer *c) {
    skv_regex *re;
    SKV_TRY(skv_infer_want(c, 0, SKIVE_STRING));
    SKV_TRY(compile(c->ctx, c->node, &re));
    skv_regex_free(re);
    c->out[0] = *skv_infer_in(c, 0);
    c->out[0].dtype = SKIVE_BOOL;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const int64_t n = skive_tensor_count(c->in[0]);
    skv_regex *re;
    SKV_TRY(compile(c->ctx, c->node, &re));
    for (int64_t i = 0; i < n; i++) {
        const char *text = skv_string_at(c->in[0], (size_t)i);
        ((uint8_t *)c->out[0]->data)[i] = skv_regex_matches(re, text, strlen(text));
    }
    skv_regex_free(re);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "an address",
     CASE_IN({CASE_STRING(4), CASE_TEXT("account@gmail.com", "@gmail.com", "a.b+c@x.org", "account@gmail.com ")}),
     CASE_ATTRS(CASE_STR("pattern", "[\\w.+-]+@\\w+\\.(com|org)")),
     .n_out = 1,
     CASE_EXPECT(1, 0, 1, 0),
     .no_grad = true},
    {.name = "counts, cases and characters of several bytes",
     CASE_IN({CASE_STRING(5), CASE_TEXT("äb", "ÄBÄB", "Äbx", "", "ÄbÄbÄbÄb")}),
     CASE_ATTRS(CASE_STR("pattern", "(?i)(?:ä[a-c]){1,3}")),
     .n_out = 1,
     CASE_EXPECT(1, 1, 0, 0, 0),
     .no_grad = true},
    {.name = "the empty pattern",
     CASE_IN({CASE_STRING(2), CASE_TEXT("", "a")}),
     CASE_ATTRS(CASE_STR("pattern", "")),
     .n_out = 1,
     CASE_EXPECT(1, 0),
     .no_grad = true},
};

const skv_op skv_op_regex_full_match = {
    .name = "RegexFullMatch",
    .domain = "",
    .brief = "whether text matches a regular expression",
    .since = 20,
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
