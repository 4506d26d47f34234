/* The list of factorizations. */
#include "base/list.h"
#include "lowrank/lowrank.h"

#define X(id) extern const skv_factorization skv_factorization_##id;
#include "lowrank/factorizations.inc"
#undef X

static const skv_factorization *const factorizations[] = {
#define X(id) &skv_factorization_##id,
#include "lowrank/factorizations.inc"
#undef X
};

SKV_LIST_ACCESS(factorization, factorizations)
SKV_FAMILY(factorization, factorizations, "factorization")
