/* The list of reducers. */
#include "probe/probe.h"

#define SKV_KIND    reducer
#define SKV_ARRAY   reducers
#define SKV_RECORDS "probe/reducers.inc"
#include "base/records.h"
