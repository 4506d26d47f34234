/* The list of reducers. */
#include "base/list.h"
#include "probe/probe.h"

#define X(id) extern const skv_reducer skv_reducer_##id;
#include "probe/reducers.inc"
#undef X

static const skv_reducer *const reducers[] = {
#define X(id) &skv_reducer_##id,
#include "probe/reducers.inc"
#undef X
};

SKV_LIST_ACCESS(reducer, reducers)
