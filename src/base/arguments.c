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

skive_status skv_options_take(skive_context *ctx, const char *what, const void *given, void *own, size_t size) {
    if (!given) return SKIVE_OK;
    size_t has;
    memcpy(&has, given, sizeof has);
    if (has < sizeof has) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, what,
                           "%s: the field 'size' is %zu, so the set fields are unknown; start from %s_default()", what,
                           has, what);
    }
    memcpy(own, given, has < size ? has : size);
    memcpy(own, &size, sizeof size);
    return SKIVE_OK;
}
