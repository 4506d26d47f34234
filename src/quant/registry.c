/* The list of observers. */
#include <string.h>

#include "quant/quant.h"

#define X(id) extern const skv_observer skv_observer_##id;
#include "quant/observers.inc"
#undef X

static const skv_observer *const all[] = {
#define X(id) &skv_observer_##id,
#include "quant/observers.inc"
#undef X
};

size_t skv_observer_count(void) { return sizeof all / sizeof all[0]; }
const skv_observer *skv_observer_at(size_t i) { return i < skv_observer_count() ? all[i] : NULL; }

const skv_observer *skv_observer_find(const char *name) {
    for (size_t i = 0; name && i < skv_observer_count(); i++) {
        if (strcmp(all[i]->name, name) == 0) return all[i];
    }
    return NULL;
}
