/* What the string operators share. */
#ifndef SKV_OPS_COMMON_STRINGS_H
#define SKV_OPS_COMMON_STRINGS_H

#include "ops/common_elementwise.h"
#include "tensor/strings.h"

/* Element i of a tensor of strings that an op fills; the text must live as long as the run's room. */
static inline const char **skv_string_slot(const skive_tensor *t, size_t i) { return (const char **)t->data + i; }
/* Copies text[n] into the run's room as element i of t. */
static inline skive_status skv_put_string(const skv_eval *c, const skive_tensor *t, size_t i, const char *text,
                                          size_t n) {
    return skv_room_string(c->ctx, c->strings, text, n, skv_string_slot(t, i));
}

#endif
