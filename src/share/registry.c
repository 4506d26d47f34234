/* The list of starts. */
#include <string.h>

#include "share/share.h"

#define X(id) extern const skv_share_init skv_share_init_##id;
#include "share/inits.inc"
#undef X

static const skv_share_init *const inits[] = {
#define X(id) &skv_share_init_##id,
#include "share/inits.inc"
#undef X
};

size_t skv_share_init_count(void) { return sizeof inits / sizeof inits[0]; }
const skv_share_init *skv_share_init_at(size_t i) { return i < skv_share_init_count() ? inits[i] : NULL; }

const skv_share_init *skv_share_init_find(const char *name) {
    for (size_t i = 0; name && i < skv_share_init_count(); i++) {
        if (strcmp(inits[i]->name, name) == 0) return inits[i];
    }
    return NULL;
}
