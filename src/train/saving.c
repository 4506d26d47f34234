/* When a checkpoint is written within an epoch: every so many steps, or as soon as so much time has passed. */
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

static const struct {
    char letter;
    double seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}};

/* "200": steps; "90s", "5m", "1.5h": seconds. */
static bool parse(const char *text, skv_saving *out) {
    const size_t length = strlen(text);
    double x;
    for (size_t i = 0; length > 1 && i < SKV_COUNT(units); i++) {
        if (text[length - 1] != units[i].letter) continue;
        out->seconds = skv_parse_number(text, length - 1, &x) ? x * units[i].seconds : 0;
        return out->seconds > 0;
    }
    if (!skv_parse_number(text, length, &x) || !(x >= 1 && x <= 1e15)) return false;
    out->steps = (int64_t)x;
    return (double)out->steps == x;
}

skv_saving skv_saving_of(const skive_train_options *o) {
    skv_saving s = {.path = o->resume ? o->resume : o->checkpoint, .must_exist = o->resume};
    if (o->checkpoint_every) (void)parse(o->checkpoint_every, &s);
    return s;
}

skive_status skv_saving_check(skive_context *ctx, const skive_train_options *o) {
    skv_saving s = {0};
    if (o->resume && o->checkpoint && strcmp(o->resume, o->checkpoint) != 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "resume",
                           "the run is resumed from %s, but its checkpoint is %s: give one of the two", o->resume,
                           o->checkpoint);
    if (!o->checkpoint_every) return SKIVE_OK;
    if (!o->resume && !o->checkpoint)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "checkpoint-every",
                           "checkpoint-every %s needs the name of the file: give checkpoint or resume",
                           o->checkpoint_every);
    if (!parse(o->checkpoint_every, &s))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "checkpoint-every",
                           "checkpoint-every is %.*s; it must be a time such as 90s, 5m or 2h, or a number of steps",
                           skv_utf8_prefix(o->checkpoint_every, 100), o->checkpoint_every);
    return SKIVE_OK;
}

bool skv_saving_due(skv_saving *s, int64_t steps) {
    if (!s->path) return false;
    if (s->steps) return steps - s->last_step >= s->steps;
    return s->seconds > 0 && skv_now() - s->last_time >= s->seconds;
}
