/* What the files of option*.c share. `owner` NULL: the option stands for itself, under the name its struct knows. */
#ifndef SKV_BASE_OPTION_PARTS_H
#define SKV_BASE_OPTION_PARTS_H

#include "base/option.h"

bool skv_option_in_range(const skv_option *o, double x);
bool skv_option_is_choice(const skv_option *o, const char *text);
/* "NAME is GIVEN; it must be ... (default ...)". */
skive_status skv_option_fail(skive_context *ctx, const char *owner, const skv_option *o, const char *given);
/* Is it one of the choices, or a member of the family with sound options? */
skive_status skv_option_check_name(skive_context *ctx, const char *owner, const skv_option *o, const char *text);

#endif
