/* Vocabularies: making one for a tokenizer, its tokens and merges, and its lines in a recipe. */
#include <stdio.h>
#include <string.h>

#include "data/tokenizer.h"

static const skv_tokenizer *const tokenizers[] = {
#define X(id) &skv_tokenizer_##id,
#include "data/tokenizers.inc"
#undef X
};

SKV_FAMILY(tokenizer, tokenizers, "tokenizer")

skive_status skv_vocabulary_create(skive_context *ctx, const char *text, skv_vocabulary *out) {
    size_t index;
    *out = (skv_vocabulary){.ctx = ctx};
    skv_words_init(&out->tokens, ctx);
    SKV_TRY(skv_family_pick(ctx, &skv_tokenizer_family, "tokens", text, &index, &out->values));
    out->tokenizer = tokenizers[index];
    out->size = SKV_TOKEN_FIRST;
    return SKIVE_OK;
}

void skv_vocabulary_free(skv_vocabulary *v) {
    if (!v->ctx) return;
    skv_words_free(&v->tokens);
    skv_free(v->ctx, v->merges);
    skv_free(v->ctx, v->slots);
    *v = (skv_vocabulary){.ctx = v->ctx};
}

skive_status skv_vocabulary_name(const skv_vocabulary *v, char **out) {
    skv_text t;
    *out = NULL;
    skv_text_init(&t, v->ctx);
    skv_options_format(&v->values, false, &t);
    const skive_status status = t.status == SKIVE_OK ? skv_asprintf(v->ctx, out, "%s%s%s", v->tokenizer->name,
                                                                    t.length ? ":" : "", t.length ? t.data : "")
                                                     : t.status;
    skv_text_free(&t);
    return status;
}

/* ---- numbers of a text ---- */

skive_status skv_tokens_add(skv_tokens *t, uint32_t number) {
    if (t->n == t->capacity) {
        const size_t more = t->capacity ? 2 * t->capacity : 64;
        SKV_TRY(skv_grow(t->ctx, &t->list, t->n, more, sizeof *t->list));
        t->capacity = more;
    }
    t->list[t->n++] = (int32_t)number;
    return SKIVE_OK;
}

skive_status skv_tokens_add_unknown(skv_tokens *t, const char *text, size_t n) {
    const size_t most = n < sizeof t->first_unknown - 1 ? n : sizeof t->first_unknown - 1;
    if (t->unknown++ == 0) {
        (void)snprintf(t->first_unknown, sizeof t->first_unknown, "%.*s", (int)most, text);
        skv_utf8_trim(t->first_unknown);
    }
    return skv_tokens_add(t, SKV_TOKEN_UNKNOWN);
}

void skv_tokens_free(skv_tokens *t) {
    if (t->ctx) skv_free(t->ctx, t->list);
    *t = (skv_tokens){.ctx = t->ctx};
}

/* ---- the most frequent parts ---- */

skive_status skv_vocabulary_keep(skv_vocabulary *v, skv_words *parts) {
    const size_t most = (size_t)skv_option_integer(&v->values, "size") - SKV_TOKEN_FIRST;
    SKV_TRY(skv_words_rank(parts, most, (uint64_t)skv_option_integer(&v->values, "least")));
    skv_words_free(&v->tokens);
    v->tokens = *parts;
    skv_words_init(parts, v->ctx);
    v->size = SKV_TOKEN_FIRST + v->tokens.n;
    return SKIVE_OK;
}

skive_status skv_vocabulary_look_up(const skv_vocabulary *v, const char *text, size_t n, skv_tokens *out) {
    const uint32_t found = skv_words_find(&v->tokens, text, n);
    return found == SKV_NO_WORD ? skv_tokens_add_unknown(out, text, n) : skv_tokens_add(out, found + SKV_TOKEN_FIRST);
}

skive_status skv_vocabulary_count_part(const skv_vocabulary *v, const char *text, size_t n, void *user) {
    (void)v;
    return skv_words_add(user, text, n, 1, NULL);
}

skive_status skv_vocabulary_look_up_part(const skv_vocabulary *v, const char *text, size_t n, void *user) {
    return skv_vocabulary_look_up(v, text, n, user);
}

/* ---- merges ---- */

static size_t slot_of(const skv_vocabulary *v, uint32_t left, uint32_t right) {
    const skv_merge pair = {left, right};
    size_t at = (size_t)skv_hash64(&pair, sizeof pair, 0) & (v->n_slots - 1);
    while (v->slots[at]) {
        const skv_merge *m = &v->merges[v->slots[at] - 1];
        if (m->left == left && m->right == right) break;
        at = (at + 1) & (v->n_slots - 1);
    }
    return at;
}

uint32_t skv_vocabulary_merge_of(const skv_vocabulary *v, uint32_t left, uint32_t right) {
    if (!v->n_slots) return SKV_NO_WORD;
    const uint32_t found = v->slots[slot_of(v, left, right)];
    return found ? found - 1 : SKV_NO_WORD;
}

static skive_status rehash(skv_vocabulary *v, size_t n_slots) {
    uint32_t *slots = NULL;
    SKV_TRY(skv_alloc_array(v->ctx, n_slots, sizeof *slots, &slots));
    skv_free(v->ctx, v->slots);
    v->slots = slots;
    v->n_slots = n_slots;
    for (size_t i = 0; i < v->n_merges; i++)
        v->slots[slot_of(v, v->merges[i].left, v->merges[i].right)] = (uint32_t)i + 1;
    return SKIVE_OK;
}

skive_status skv_vocabulary_add_merge(skv_vocabulary *v, uint32_t left, uint32_t right) {
    if (v->n_merges == v->merge_capacity) {
        const size_t more = v->merge_capacity ? 2 * v->merge_capacity : 64;
        SKV_TRY(skv_grow(v->ctx, &v->merges, v->n_merges, more, sizeof *v->merges));
        v->merge_capacity = more;
    }
    if (2 * (v->n_merges + 1) > v->n_slots) SKV_TRY(rehash(v, v->n_slots ? 2 * v->n_slots : 128));
    v->merges[v->n_merges] = (skv_merge){left, right};
    v->slots[slot_of(v, left, right)] = (uint32_t)++v->n_merges;
    return SKIVE_OK;
}

/* ---- the recipe ---- */

void skv_vocabulary_write(const skv_vocabulary *v, skv_text *t) {
    for (size_t i = 0; i < v->tokens.n; i++) {
        skv_recipe_string(t, "token");
        skv_recipe_field(t, v->tokens.list[i].text, v->tokens.list[i].length);
        skv_recipe_end(t);
    }
    for (size_t i = 0; i < v->n_merges; i++) {
        skv_recipe_string(t, "merge");
        skv_recipe_number(t, v->merges[i].left);
        skv_recipe_number(t, v->merges[i].right);
        skv_recipe_end(t);
    }
}

skive_status skv_vocabulary_read_line(skv_recipe *r, skv_vocabulary *v, bool *taken) {
    double left, right;
    *taken = false;
    if (strcmp(r->fields[0], "token") == 0) {
        const size_t before = v->tokens.n;
        *taken = true;
        if (r->n != 2 || before >= SKV_MOST_TOKENS) return skv_recipe_damaged(r);
        SKV_TRY(skv_words_add(&v->tokens, r->fields[1], r->lengths[1], 1, NULL));
        return v->tokens.n == before + 1 ? SKIVE_OK : skv_recipe_damaged(r);
    }
    if (strcmp(r->fields[0], "merge") != 0) return SKIVE_OK;
    *taken = true;
    const double most = (double)(SKV_TOKEN_FIRST + 256 + v->n_merges); /* tokens that exist by now */
    if (r->n != 3 || v->n_merges >= SKV_MOST_TOKENS || !skv_parse_number(r->fields[1], r->lengths[1], &left) ||
        !skv_parse_number(r->fields[2], r->lengths[2], &right) || !(left >= SKV_TOKEN_FIRST && left < most) ||
        !(right >= SKV_TOKEN_FIRST && right < most) || left != (uint32_t)left || right != (uint32_t)right ||
        skv_vocabulary_merge_of(v, (uint32_t)left, (uint32_t)right) != SKV_NO_WORD)
        return skv_recipe_damaged(r);
    return skv_vocabulary_add_merge(v, (uint32_t)left, (uint32_t)right);
}

skive_status skv_vocabulary_complete(skv_vocabulary *v) {
    v->size = SKV_TOKEN_FIRST + v->tokens.n;
    return v->tokenizer->restore ? v->tokenizer->restore(v) : SKIVE_OK;
}
