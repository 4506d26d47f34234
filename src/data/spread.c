/* See spread.h. */
#include "data/spread.h"

#include <math.h>
#include <stdio.h>

#define TOLERABLE 0.01 /* of the deviation */

void skv_spread_add(skv_spread *s, double value) {
    const double from_mean = value - s->mean, lost = fabs(value - (double)(float)value);
    s->least = s->n > 0 && s->least < value ? s->least : value;
    s->most = s->n > 0 && s->most > value ? s->most : value;
    s->lost = lost > s->lost ? lost : s->lost;
    s->mean += from_mean / ++s->n;
    s->squares += from_mean * (value - s->mean);
}

static double deviation(const skv_spread *s) { return s->n > 0 ? sqrt(s->squares / s->n) : 0; }

bool skv_spread_suffers(const skv_spread *s) { return s->least < s->most && s->lost > TOLERABLE * deviation(s); }

void skv_spread_tell(skive_context *ctx, const skv_spread *s, const char *path, const char *column, const char *out) {
    char share[64] = "do not differ";
    if (!skv_spread_suffers(s)) return;
    if ((float)s->least < (float)s->most)
        (void)snprintf(share, sizeof share, "change by up to %.2g %% of their deviation", 100 * s->lost / deviation(s));
    skv_note(
        ctx,
        "%s: %s%s%sits numbers, from %.12g to %.12g, %s in float32, in which networks compute; subtract a constant "
        "from them (such as %.12g)%s%s",
        path, column ? "column '" : "", column ? column : "", column ? "': " : "", s->least, s->most, share, s->least,
        out ? ", or leave the column out with " : "", out ? out : "");
}
