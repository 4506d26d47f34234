/* The list of observers. */
#include "quant/quant.h"

#define SKV_KIND    observer
#define SKV_ARRAY   all
#define SKV_RECORDS "quant/observers.inc"
#include "base/records.h"

SKV_FAMILY(observer, all, "calibration method")
