/* Checks of the arguments of public functions: pointers that must not be NULL, and option structs with the layout of
 * another version. */
#include <string.h>

#include "base/base.h"

skive_status skv_need(skive_context *ctx, const char *function, const char *names, const bool *given, size_t n) {
    size_t missing = 0;
    while (missing < n && given[missing]) missing++;
    if (missing == n) return SKIVE_OK;
    for (size_t i = 0; i < missing; i++) names = strchr(names, ',') + 2;
    const int length = (int)strcspn(names, ",");
    return skv_fail(ctx, SKIVE_ERR_ARGUMENT, "%s: the argument '%.*s' is NULL", function, length, names);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t size_at(const unsigned char *options) {
    size_t size;
    memcpy(&size, options, sizeof size);
    return size;
}

static skive_status check_size(skive_context *ctx, const char *what, const char *part, size_t size) {
    if (size >= sizeof size) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, what,
                       "%s%s: the field 'size' is %zu, so the set fields are unknown; start from %s_default()", what,
                       part, size, what);
}

skive_status skv_options_take(skive_context *ctx, const char *what, const void *given, void *own, size_t size) {
    if (!given) return SKIVE_OK;
    const size_t has = size_at(given);
    SKV_TRY(check_size(ctx, what, "", has));
    memcpy(own, given, least(has, size));
    memcpy(own, &size, sizeof size);
    return SKIVE_OK;
}

skive_status skv_options_take_nested(skive_context *ctx, const char *what, const void *given, void *own, size_t size,
                                     const char *member, size_t at, size_t nested) {
    const unsigned char *from = given;
    unsigned char *to = own;
    if (!given) return SKIVE_OK;
    const size_t has = size_at(from);
    SKV_TRY(check_size(ctx, what, "", has));
    if (has < at + sizeof has) return skv_options_take(ctx, what, given, own, size); /* ends before the inner struct */
    const size_t inner = size_at(from + at);
    SKV_TRY(check_size(ctx, what, member, inner));
    /* In another version the fields after the inner struct are at another offset, because its size differs. */
    const size_t behind = at + (has == size ? nested : inner);
    memcpy(to, from, at);
    memcpy(to + at, from + at, least(least(inner, nested), has - at));
    if (has > behind) memcpy(to + at + nested, from + behind, least(has - behind, size - at - nested));
    memcpy(to, &size, sizeof size);
    memcpy(to + at, &nested, sizeof nested);
    return SKIVE_OK;
}
