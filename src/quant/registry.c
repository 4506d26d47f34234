/* The list of observers. */
#include "base/list.h"
#include "quant/quant.h"

#define X(id) extern const skv_observer skv_observer_##id;
#include "quant/observers.inc"
#undef X

static const skv_observer *const all[] = {
#define X(id) &skv_observer_##id,
#include "quant/observers.inc"
#undef X
};

SKV_LIST_ACCESS(observer, all)
SKV_FAMILY(observer, all, "calibration method")
