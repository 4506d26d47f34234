/* Tensors of strings: creation, copies, text in one piece. */
#include "tensor/strings.h"

#include "base/utf8.h"

skive_status skv_strings_create(skive_context *ctx, int rank, const int64_t *dims, size_t bytes, skive_tensor *out,
                                char **room) {
    skive_tensor made = {.dtype = SKIVE_STRING, .rank = rank};
    size_t whole;
    for (int d = 0; d < rank && rank <= SKIVE_MAX_RANK; d++) made.dims[d] = dims[d];
    const int64_t count = skive_tensor_count(&made);
    const size_t elements = skive_tensor_bytes(&made);
    if (count < 0 || (count > 0 && !elements) || !skv_add_size(elements, bytes, &whole) || whole > PTRDIFF_MAX)
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a tensor of strings is larger than can be addressed");
    SKV_TRY(skv_alloc_array(ctx, whole + 1, 1, &made.data));
    *room = (char *)made.data + elements;
    *out = made;
    return SKIVE_OK;
}

skive_status skv_strings_parse(skive_context *ctx, int rank, const int64_t *dims, const char *text, size_t bytes,
                               skive_tensor *out) {
    skive_tensor made;
    char *room;
    size_t at = 0;
    SKV_TRY(skv_strings_create(ctx, rank, dims, bytes, &made, &room));
    const size_t n = (size_t)skive_tensor_count(&made);
    const char *fault = NULL;
    if (bytes) memcpy(room, text, bytes);
    for (size_t i = 0; i < n && !fault; i++) {
        const char *end = at < bytes ? memchr(room + at, '\0', bytes - at) : NULL;
        if (!end) {
            fault = "there are fewer strings than elements";
            break;
        }
        const size_t length = (size_t)(end - (room + at));
        if (skv_utf8_valid(room + at, length) != length) fault = "a string is not UTF-8";
        ((const char **)made.data)[i] = length ? room + at : NULL;
        at += length + 1;
    }
    if (!fault && at != bytes) fault = "there are more strings than elements";
    if (!fault) {
        *out = made;
        return SKIVE_OK;
    }
    skive_tensor_free(ctx, &made);
    return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "%s", fault);
}

bool skv_strings_bytes(const skive_tensor *t, size_t *out) {
    const int64_t n = skive_tensor_count(t);
    *out = 0;
    for (int64_t i = 0; i < n; i++)
        if (!skv_add_size(*out, strlen(skv_string_at(t, (size_t)i)) + 1, out)) return false;
    return n >= 0;
}

void skv_strings_join(const skive_tensor *t, char *to) {
    const int64_t n = skive_tensor_count(t);
    for (int64_t i = 0; i < n; i++) {
        const char *s = skv_string_at(t, (size_t)i);
        const size_t length = strlen(s) + 1;
        memcpy(to, s, length);
        to += length;
    }
}

skive_status skv_strings_own(skive_context *ctx, skive_tensor *t) {
    skive_tensor copy;
    if (t->dtype != SKIVE_STRING || !t->data) return SKIVE_OK;
    SKV_TRY(skive_tensor_copy(ctx, t, &copy));
    skive_tensor_free(ctx, t);
    *t = copy;
    return SKIVE_OK;
}

uint64_t skv_tensor_hash(const skive_tensor *t, uint64_t seed) {
    if (t->dtype != SKIVE_STRING) return skv_hash64(t->data, skive_tensor_bytes(t), seed);
    const int64_t n = skive_tensor_count(t);
    for (int64_t i = 0; i < n; i++) {
        const char *s = skv_string_at(t, (size_t)i);
        seed = skv_hash64(s, strlen(s) + 1, seed);
    }
    return seed;
}

skive_status skv_room_join(skive_context *ctx, skv_arena **room, const char *a, const char *b, const char **out) {
    const size_t n = strlen(a), more = strlen(b);
    size_t bytes;
    char *text;
    *out = NULL;
    if (n == 0 && more == 0) return SKIVE_OK;
    if (!skv_add_size(n, more + 1, &bytes)) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a string is too long");
    if (!*room) SKV_TRY(skv_arena_create(ctx, room));
    SKV_TRY(skv_arena_alloc(*room, bytes, &text));
    memcpy(text, a, n);
    memcpy(text + n, b, more + 1);
    *out = text;
    return SKIVE_OK;
}

skive_status skv_room_string(skive_context *ctx, skv_arena **room, const char *text, size_t n, const char **out) {
    *out = NULL;
    if (n == 0) return SKIVE_OK;
    if (!*room) SKV_TRY(skv_arena_create(ctx, room));
    return skv_arena_strndup(*room, text, n, out);
}
