/* The version, which the build passes in. */
#include <skive/context.h>

#ifndef SKIVE_VERSION_STRING
#define SKIVE_VERSION_STRING "0.1.0"
#endif

const char *skive_version(void) { return SKIVE_VERSION_STRING; }
