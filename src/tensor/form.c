/* The list of storage forms. */
#include <string.h>

#include "tensor/storage.h"

static const skv_form *const forms[] = {
#define X(name) &skv_form_##name,
#include "tensor/forms.inc"
#undef X
};

const skv_form *skv_form_find(const char *name) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i]->name, name) == 0) return forms[i];
    }
    return NULL;
}

const skv_form *skv_form_at(size_t index) { return index < sizeof forms / sizeof forms[0] ? forms[index] : NULL; }
