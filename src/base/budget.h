/* The budget of one file: what may be allocated through a context while the file is read. */
#ifndef SKV_BASE_BUDGET_H
#define SKV_BASE_BUDGET_H

#include "base/base.h"

typedef struct skv_budget {
    int64_t before; /* the limit that held outside; they nest, and an inner one is no wider */
} skv_budget;

/* For a file of `bytes` bytes. Nothing changes where the caller has set a limit. */
skv_budget skv_budget_begin(skive_context *ctx, size_t bytes);
/* Another file that belongs to it was opened. */
void skv_budget_add(skive_context *ctx, size_t bytes);
void skv_budget_end(skive_context *ctx, skv_budget budget);
/* ERR_LIMIT when `bytes` more are over the limit; for what is allocated later, to be able to say what needs them. */
skive_status skv_budget_check(skive_context *ctx, size_t bytes);

#endif
