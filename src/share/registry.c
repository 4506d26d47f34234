/* The list of starts. */
#include "base/list.h"
#include "share/share.h"

#define X(id) extern const skv_share_init skv_share_init_##id;
#include "share/inits.inc"
#undef X

static const skv_share_init *const inits[] = {
#define X(id) &skv_share_init_##id,
#include "share/inits.inc"
#undef X
};

SKV_LIST_ACCESS(share_init, inits)
SKV_FAMILY(share_init, inits, "initialisation of the centroids")
