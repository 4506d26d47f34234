/* The recipe of texts: options, learning, the text form, and the tokens of a sample. */
#include <string.h>

#include "data/text/text.h"
#include "graph/graph.h"

enum { LONGEST = 1 << 16, USUAL = 512 };

static const char *const input_options[SKV_TEXT_INPUTS] = {"input", "mask", "lengths"};

void skv_text_recipe_init(skv_text_recipe *r, skive_context *ctx) {
    *r = (skv_text_recipe){.ctx = ctx};
    r->vocabulary.ctx = ctx;
    skv_label_init(&r->label, ctx);
}

void skv_text_recipe_free(skv_text_recipe *r) {
    if (!r->ctx) return;
    skv_vocabulary_free(&r->vocabulary);
    for (int i = 0; i < SKV_TEXT_INPUTS; i++) skv_free(r->ctx, r->inputs[i]);
    skv_free(r->ctx, r->column);
    skv_label_free(&r->label);
    skv_text_recipe_init(r, r->ctx);
}

/* ---- options ---- */

static skive_status set_name(skive_context *ctx, const char *name, char **to) {
    if (!name) return SKIVE_OK;
    skv_free(ctx, *to);
    *to = NULL;
    return skv_strdup(ctx, name, to);
}

skive_status skv_text_recipe_start(skv_text_recipe *r, const skv_option_values *values) {
    SKV_TRY(skv_vocabulary_create(r->ctx, skv_option_text(values, "tokens"), &r->vocabulary));
    r->length = skv_option_integer(values, "length");
    r->pad_start = strcmp(skv_option_text(values, "pad"), "start") == 0;
    r->keep_last = strcmp(skv_option_text(values, "keep"), "last") == 0;
    for (int i = 0; i < SKV_TEXT_INPUTS; i++)
        SKV_TRY(set_name(r->ctx, skv_option_text(values, input_options[i]), &r->inputs[i]));
    SKV_TRY(set_name(r->ctx, skv_option_text(values, "column"), &r->column));
    return set_name(r->ctx, skv_option_text(values, "label"), &r->label.column);
}

static skive_status contradicts(const skv_text_recipe *r, const char *spec, const char *option, const char *own) {
    return skv_fail_at(r->ctx, SKIVE_ERR_ARGUMENT, spec,
                       "%s: the model was made with %s=%s; leave this option out, the model knows it", spec, option,
                       own);
}

static skive_status check_tokens(const skv_text_recipe *r, const char *spec, const char *given) {
    skv_vocabulary other;
    char *own = NULL, *asked = NULL;
    skive_status status = skv_vocabulary_create(r->ctx, given, &other);
    if (status == SKIVE_OK) status = skv_vocabulary_name(&r->vocabulary, &own);
    if (status == SKIVE_OK) status = skv_vocabulary_name(&other, &asked);
    if (status == SKIVE_OK && strcmp(own, asked) != 0) status = contradicts(r, spec, "tokens", own);
    skv_free(r->ctx, own);
    skv_free(r->ctx, asked);
    skv_vocabulary_free(&other);
    return status;
}

skive_status skv_text_recipe_agrees(skv_text_recipe *r, const char *spec, const skv_option_values *values) {
    char number[24];
    skv_text t;
    if (skv_option_given(values, "tokens")) SKV_TRY(check_tokens(r, spec, skv_option_text(values, "tokens")));
    const int64_t length = skv_option_integer(values, "length"); /* 0: as the model takes */
    if (length > 0 && length != r->length) {
        skv_text_init(&t, r->ctx);
        skv_text_add_number(&t, (double)r->length);
        memset(number, 0, sizeof number);
        if (t.status == SKIVE_OK) memcpy(number, t.data, t.length < sizeof number ? t.length : sizeof number - 1);
        skv_text_free(&t);
        return contradicts(r, spec, "length", number);
    }
    if (skv_option_given(values, "pad") && (strcmp(skv_option_text(values, "pad"), "start") == 0) != r->pad_start)
        return contradicts(r, spec, "pad", r->pad_start ? "start" : "end");
    if (skv_option_given(values, "keep") && (strcmp(skv_option_text(values, "keep"), "last") == 0) != r->keep_last)
        return contradicts(r, spec, "keep", r->keep_last ? "last" : "first");
    for (int i = 0; i < SKV_TEXT_INPUTS; i++)
        SKV_TRY(set_name(r->ctx, skv_option_text(values, input_options[i]), &r->inputs[i]));
    SKV_TRY(set_name(r->ctx, skv_option_text(values, "column"), &r->column));
    return set_name(r->ctx, skv_option_text(values, "label"), &r->label.column);
}

/* ---- text form ---- */

skive_status skv_text_recipe_write(const skv_text_recipe *r, char **out) {
    skv_text t;
    char *name = NULL;
    *out = NULL;
    SKV_TRY(skv_vocabulary_name(&r->vocabulary, &name));
    skv_text_init(&t, r->ctx);
    skv_recipe_string(&t, "kind");
    skv_recipe_string(&t, "text");
    skv_recipe_end(&t);
    skv_recipe_string(&t, "tokens");
    skv_recipe_string(&t, name);
    skv_recipe_end(&t);
    skv_recipe_string(&t, "length");
    skv_recipe_number(&t, (double)r->length);
    skv_recipe_string(&t, r->pad_start ? "start" : "end");
    skv_recipe_string(&t, r->keep_last ? "last" : "first");
    skv_recipe_end(&t);
    skv_recipe_string(&t, "inputs");
    for (int i = 0; i < SKV_TEXT_INPUTS; i++) skv_recipe_string(&t, r->inputs[i] ? r->inputs[i] : "");
    skv_recipe_end(&t);
    if (r->column) {
        skv_recipe_string(&t, "column");
        skv_recipe_string(&t, r->column);
        skv_recipe_end(&t);
    }
    skv_label_write(&r->label, &t);
    skv_vocabulary_write(&r->vocabulary, &t);
    skive_status status = t.status;
    if (status == SKIVE_OK && t.length > SKV_RECIPE_BYTES)
        status =
            SKV_FAIL(r->ctx, SKIVE_ERR_LIMIT,
                     "the vocabulary takes %zu bytes, more than the %d that a model may carry; give a smaller size "
                     "(tokens=%s:size=N)",
                     t.length, SKV_RECIPE_BYTES, r->vocabulary.tokenizer->name);
    if (status == SKIVE_OK) status = skv_strdup(r->ctx, t.data, out);
    skv_text_free(&t);
    skv_free(r->ctx, name);
    return status;
}

static skive_status read_length(skv_recipe *in, skv_text_recipe *r) {
    double length = 0;
    if (in->n != 4 || r->length || !skv_cell_number(in->fields[1], in->lengths[1], &length) || !(length >= 1) ||
        length > LONGEST || length != (double)(int64_t)length)
        return skv_recipe_damaged(in);
    r->length = (int64_t)length;
    r->pad_start = strcmp(in->fields[2], "start") == 0;
    r->keep_last = strcmp(in->fields[3], "last") == 0;
    return SKIVE_OK;
}

static skive_status read_line(skv_recipe *in, skv_text_recipe *r) {
    const char *what = in->fields[0];
    bool taken;
    if (strcmp(what, "tokens") == 0 && in->n == 2 && !r->vocabulary.tokenizer) {
        const skive_status status = skv_vocabulary_create(r->ctx, in->fields[1], &r->vocabulary);
        return status == SKIVE_OK || status == SKIVE_ERR_MEMORY ? status : skv_recipe_damaged(in);
    }
    if (!r->vocabulary.tokenizer) return skv_recipe_damaged(in);
    if (strcmp(what, "length") == 0) return read_length(in, r);
    if (strcmp(what, "label") == 0) return skv_label_read(in, &r->label);
    if (strcmp(what, "column") == 0 && in->n == 2) return set_name(r->ctx, in->fields[1], &r->column);
    if (strcmp(what, "inputs") == 0 && in->n == 1 + SKV_TEXT_INPUTS) {
        for (int i = 0; i < SKV_TEXT_INPUTS; i++)
            SKV_TRY(set_name(r->ctx, in->lengths[1 + i] ? in->fields[1 + i] : NULL, &r->inputs[i]));
        return SKIVE_OK;
    }
    SKV_TRY(skv_vocabulary_read_line(in, &r->vocabulary, &taken));
    return taken ? SKIVE_OK : skv_recipe_damaged(in);
}

skive_status skv_text_recipe_parse(skive_context *ctx, const char *text, skv_text_recipe *out) {
    skv_recipe in;
    bool more = true;
    skive_status status = SKIVE_OK;
    skv_text_recipe_init(out, ctx);
    SKV_TRY(skv_recipe_open(ctx, text, "text", &in));
    while (status == SKIVE_OK && more) {
        status = skv_recipe_line(&in, &more);
        if (status == SKIVE_OK && more) status = read_line(&in, out);
    }
    if (status == SKIVE_OK && (!out->vocabulary.tokenizer || !out->length)) status = skv_recipe_damaged(&in);
    if (status == SKIVE_OK) status = skv_vocabulary_complete(&out->vocabulary);
    skv_recipe_close(&in);
    if (status != SKIVE_OK) skv_text_recipe_free(out);
    return status;
}

/* ---- learning ---- */

static skive_status count_texts(const skv_text_recipe *r, const skv_texts *texts, const uint8_t *held, skv_words *parts,
                                size_t *counted) {
    const skv_tokenizer *tokenizer = r->vocabulary.tokenizer;
    skv_text_reader reader = {.ctx = r->ctx};
    skive_status status = SKIVE_OK;
    *counted = 0;
    for (size_t i = 0; status == SKIVE_OK && i < texts->n; i++) {
        const char *text;
        size_t n;
        if (held && held[i]) continue;
        status = skv_texts_read(r->ctx, texts, i, true, &reader, &text, &n);
        if (status == SKIVE_OK && tokenizer->count) status = tokenizer->count(&r->vocabulary, text, n, parts);
        if (status == SKIVE_OK && i % 1024 == 1023) status = skv_check_interrupt(r->ctx);
        ++*counted;
    }
    skv_text_reader_free(&reader);
    return status;
}

static int64_t model_length(const skive_graph *g) {
    for (uint32_t i = 0; g && i < g->n_inputs; i++) {
        const skive_type *t = &g->inputs[i]->type;
        if (t->rank == 2 && t->dims[1].size > 1 && t->dims[1].size <= LONGEST) return t->dims[1].size;
    }
    return 0;
}

/* That of the longest training text, within bounds. */
static skive_status measure_length(skv_text_recipe *r, const char *spec, const skv_texts *texts, const uint8_t *held) {
    skv_text_reader reader = {.ctx = r->ctx};
    skv_tokens tokens = {.ctx = r->ctx};
    size_t longest = 1;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; status == SKIVE_OK && i < texts->n; i++) {
        const char *text;
        size_t n;
        if (held && held[i]) continue;
        tokens.n = 0;
        status = skv_texts_read(r->ctx, texts, i, true, &reader, &text, &n);
        if (status == SKIVE_OK) status = r->vocabulary.tokenizer->encode(&r->vocabulary, text, n, &tokens);
        if (tokens.n > longest) longest = tokens.n;
    }
    skv_text_reader_free(&reader);
    skv_tokens_free(&tokens);
    r->length = longest < USUAL ? (int64_t)longest : USUAL;
    if (status == SKIVE_OK)
        skv_note(r->ctx, "%s: samples have %lld tokens%s (length=N changes it)", spec, (long long)r->length,
                 longest > USUAL ? "; the longest training text has more" : ", as the longest training text");
    return status;
}

skive_status skv_text_learn(skv_text_recipe *r, const char *spec, const skv_texts *texts, const uint8_t *held,
                            const skive_graph *model) {
    skv_vocabulary *v = &r->vocabulary;
    skv_words parts;
    size_t counted = 0;
    char *name = NULL;
    skive_status status = SKIVE_OK;
    skv_words_init(&parts, r->ctx);
    if (v->tokenizer->count) SKV_GO(status, done, count_texts(r, texts, held, &parts, &counted));
    const size_t distinct = parts.n;
    SKV_GO(status, done, v->tokenizer->learn ? v->tokenizer->learn(v, &parts) : skv_vocabulary_complete(v));
    SKV_GO(status, done, skv_vocabulary_name(v, &name));
    if (v->tokenizer->learn && v->n_merges)
        skv_note(r->ctx, "%s: %zu tokens (%s): 256 bytes and %zu pairs, learnt from %zu training texts", spec, v->size,
                 name, v->n_merges, counted);
    else if (v->tokenizer->learn && v->tokens.n)
        skv_note(r->ctx, "%s: %zu tokens (%s), of %zu different ones in %zu training texts", spec, v->size, name,
                 distinct, counted);
    if (!r->length) r->length = model_length(model);
    if (!r->length) SKV_GO(status, done, measure_length(r, spec, texts, held));
done:
    skv_words_free(&parts);
    skv_free(r->ctx, name);
    return status;
}

/* ---- samples ---- */

skive_status skv_text_encode(const skv_text_recipe *r, const char *text, size_t n, skv_tokens *tokens, int32_t *x,
                             int32_t *mask, int32_t *count) {
    const size_t length = (size_t)r->length;
    tokens->n = 0;
    SKV_TRY(r->vocabulary.tokenizer->encode(&r->vocabulary, text, n, tokens));
    const size_t kept = tokens->n < length ? tokens->n : length;
    const size_t from = r->keep_last ? tokens->n - kept : 0, to = r->pad_start ? length - kept : 0;
    for (size_t i = 0; i < length; i++) {
        const bool inside = i >= to && i < to + kept;
        x[i] = inside ? tokens->list[from + i - to] : SKV_TOKEN_PADDING;
        if (mask) mask[i] = inside;
    }
    if (count) *count = (int32_t)kept;
    return SKIVE_OK;
}
