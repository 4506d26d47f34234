/* Places of hashed weights, compiled for this instruction set. */
#define HASHED_INDICES skv_hashed_indices_avx2
#include "share/hashed/indices_loops.h"
