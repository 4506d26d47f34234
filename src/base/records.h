/* A list of records and access to it (base/list.h). Included once for each list, with
 *     SKV_KIND     of the records: skv_<kind>, each of which is skv_<kind>_<id>
 *     SKV_RECORDS  the file with a line X(id) for each
 *     SKV_ARRAY    the array's name in this file
 * SKV_PREFIX, if it is defined, stands for the kind in the records' names. They are undefined again. No include guard.
 */
#include "base/list.h"

#ifndef SKV_PREFIX
#define SKV_PREFIX SKV_KIND
#endif
#define X(id) extern const SKV_PASTE(skv_, SKV_KIND) SKV_PASTE4(skv_, SKV_PREFIX, _, id);
#include SKV_RECORDS
#undef X

static const SKV_PASTE(skv_, SKV_KIND) *const SKV_ARRAY[] = {
#define X(id) &SKV_PASTE4(skv_, SKV_PREFIX, _, id),
#include SKV_RECORDS
#undef X
};
SKV_LIST_ACCESS_OF(SKV_KIND, SKV_ARRAY)

#undef SKV_KIND
#undef SKV_RECORDS
#undef SKV_ARRAY
#undef SKV_PREFIX
