/* Shared by the random operators. Numbers come from Philox: key = the attribute `seed` if there is one (its float's
 * bits), otherwise the context's seed; stream = the hash of the node's name with the run counter. So every run of a
 * plan has different numbers, and the same run has the same numbers with any number of threads. */
#ifndef SKV_OPS_COMMON_RANDOM_H
#define SKV_OPS_COMMON_RANDOM_H

#include "ops/common_nn.h"

typedef struct skv_random {
    uint64_t key, stream;
} skv_random;
skv_random skv_random_of(const skv_eval *c);

/* Output 0 has the attribute `shape` and the type `dtype` (default float32). */
skive_status skv_random_infer_shape(skv_infer *c);
/* Output 0 has input 0's shape, and the type `dtype` or else input 0's. */
skive_status skv_random_infer_like(skv_infer *c);

skive_status skv_random_normal_run(const skv_eval *c);  /* attributes mean 0, scale 1 */
skive_status skv_random_uniform_run(const skv_eval *c); /* attributes low 0, high 1 */

#endif
