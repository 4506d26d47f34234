/* The list of factorizations. */
#include "lowrank/lowrank.h"

#define SKV_KIND    factorization
#define SKV_ARRAY   factorizations
#define SKV_RECORDS "lowrank/factorizations.inc"
#include "base/records.h"

SKV_FAMILY(factorization, factorizations, "factorization")
