/* Single weights, set to zero. */
#include "prune/prune.h"

const skv_granularity skv_granularity_element = {.name = "element", .brief = "single weights are set to zero"};
