/* The machine, for what was measured on it. */
#ifndef SKV_BASE_MACHINE_H
#define SKV_BASE_MACHINE_H

#include "base/base.h"

/* The processor's name as the system tells it. */
void skv_machine_processor(skive_context *ctx, char *out, size_t size);

#endif
