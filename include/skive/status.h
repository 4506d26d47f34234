/* Status codes. Every fallible function of skive returns one; 0 is success, all others are negative. */
#ifndef SKIVE_STATUS_H
#define SKIVE_STATUS_H

#include <skive/export.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum skive_status {
#define X(name, code, exit, brief) SKIVE_##name = code,
#include <skive/status.inc>
#undef X
} skive_status;

/* The code's name without prefix ("ERR_SHAPE"), its meaning in one clause, and the exit status of the `skive` command
 * for it. Unknown codes are treated as ERR_INTERNAL. The strings are static. */
SKIVE_API const char *skive_status_name(skive_status status);
SKIVE_API const char *skive_status_brief(skive_status status);
SKIVE_API int skive_status_exit(skive_status status);

#ifdef __cplusplus
}
#endif
#endif
