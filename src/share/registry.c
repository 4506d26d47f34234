/* The list of starts. */
#include "share/share.h"

#define SKV_KIND    share_init
#define SKV_ARRAY   inits
#define SKV_RECORDS "share/inits.inc"
#include "base/records.h"

SKV_FAMILY(share_init, inits, "initialisation of the centroids")
