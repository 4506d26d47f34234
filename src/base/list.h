/* Access to a family's list of records, skv_<kind>, each of which has a `name`: their number, by index, by name, and
 * the names alone (for skv_fail_unknown). The four are declared in the family's header; base/records.h makes the list
 * and these. */
#ifndef SKV_BASE_LIST_H
#define SKV_BASE_LIST_H

#include <string.h>

#include "base/option.h"

#define SKV_PASTE_(a, b)               a##b
#define SKV_PASTE(a, b)                SKV_PASTE_(a, b)
#define SKV_PASTE4_(a, b, c, d)        a##b##c##d
#define SKV_PASTE4(a, b, c, d)         SKV_PASTE4_(a, b, c, d)
#define SKV_LIST_ACCESS_OF(kind, list) SKV_LIST_ACCESS(kind, list)
#define SKV_LIST_ACCESS(kind, list)                                                                                 \
    size_t skv_##kind##_count(void) { return sizeof(list) / sizeof(list)[0]; }                                      \
    const skv_##kind *skv_##kind##_at(size_t i) { return i < sizeof(list) / sizeof(list)[0] ? (list)[i] : NULL; }   \
    const char *skv_##kind##_name(size_t i) { return i < sizeof(list) / sizeof(list)[0] ? (list)[i]->name : NULL; } \
    const skv_##kind *skv_##kind##_find(const char *name) {                                                         \
        for (size_t i = 0; name && i < sizeof(list) / sizeof(list)[0]; i++) {                                       \
            if (strcmp((list)[i]->name, name) == 0) return (list)[i];                                               \
        }                                                                                                           \
        return NULL;                                                                                                \
    }

#endif
