/* Operators and attributes that have a number in files. */
#include <string.h>

#include "pack/pack.h"

static const char *const ops[] = {
#define X(name) #name,
#include "pack/op_codes.inc"
#undef X
};
static const char *const attrs[] = {
#define X(name) #name,
#include "pack/attr_codes.inc"
#undef X
};

static unsigned code_of(const char *const *list, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0) return (unsigned)i + 1;
    }
    return 0;
}

unsigned skv_op_code(const char *op, const char *domain) {
    return *domain ? 0 : code_of(ops, sizeof ops / sizeof ops[0], op);
}
const char *skv_op_of_code(unsigned code) {
    return code >= 1 && code <= sizeof ops / sizeof ops[0] ? ops[code - 1] : NULL;
}
unsigned skv_attr_code(const char *name) { return code_of(attrs, sizeof attrs / sizeof attrs[0], name); }
const char *skv_attr_of_code(unsigned code) {
    return code >= 1 && code <= sizeof attrs / sizeof attrs[0] ? attrs[code - 1] : NULL;
}
