/* The budget of one file: what may be allocated through a context while the file is read. */
#ifndef SKV_BASE_BUDGET_H
#define SKV_BASE_BUDGET_H

#include "base/base.h"

typedef struct skv_budget {
    int64_t before; /* the outer limit; limits nest, and an inner one never exceeds the outer one */
} skv_budget;

/* Starts the budget for a file of `bytes` bytes. Has no effect if the caller has set a limit. */
skv_budget skv_budget_begin(skive_context *ctx, size_t bytes);
/* Extends the budget by another file that belongs to it. */
void skv_budget_add(skive_context *ctx, size_t bytes);
void skv_budget_end(skive_context *ctx, skv_budget budget);
/* ERR_LIMIT if `bytes` more would exceed the limit; checked before an allocation, so that the message can name what
 * needs it. */
skive_status skv_budget_check(skive_context *ctx, size_t bytes);

#endif
