#include "tune/reach.h"

#include <math.h>
#include <stdbool.h>

#include "base/context.h"

enum { TRIES = 8 };
#define OVER   1.02 /* of the time that was asked for */
#define UNDER  0.96
#define MISSED 1.1 /* what takes longer than this is not what was asked for */

/* The next aim: in proportion, but between those that are known to be too low, or out of reach, and too high. */
static bool next_aim(double *aim, double share, double low, double high, double most) {
    const double before = *aim;
    *aim *= share;
    if (*aim >= most) *aim = most;
    if (low > 0 && high > 0 && (*aim <= low || *aim >= high)) *aim = 0.5 * (low + high);
    return fabs(*aim / before - 1) > 0.002;
}

static skive_status approach(skive_context *ctx, double budget, double most, skv_reach_fn try, void *user,
                             skv_reached *out) {
    double aim = budget, low = 0, high = 0; /* aims below and above which the model was */
    for (int i = 0; i < TRIES; i++) {
        double seconds;
        out->last = aim;
        const skive_status status = try(user, aim, &seconds);
        if (status == SKIVE_ERR_GOAL && i > 0) { /* of a try before: `high`, which is not 0, was reached */
            skive_context_clear(ctx);
            low = aim;
            aim = 0.5 * (low + high);
            continue;
        }
        SKV_TRY(status);
        const bool over = seconds > OVER * budget, was_over = out->seconds > OVER * budget;
        if (over)
            high = aim;
        else
            low = aim;
        if (i == 0 || (over ? was_over && seconds < out->seconds : was_over || seconds > out->seconds)) {
            out->aim = aim;
            out->seconds = seconds;
        }
        if (!over && seconds >= UNDER * budget) return SKIVE_OK;
        if (!next_aim(&aim, budget / seconds, low, high, most)) return SKIVE_OK;
    }
    return SKIVE_OK;
}

skive_status skv_reach_time(skive_context *ctx, double budget, double most, skv_reach_fn try, void *user,
                            skv_reached *out) {
    *out = (skv_reached){0};
    SKV_TRY(approach(ctx, budget, most, try, user, out));
    if (out->seconds > MISSED * budget)
        return skv_fail_at(ctx, SKIVE_ERR_GOAL, "latency",
                           "%.3g ms cannot be reached: the fastest model that was found takes %.3g ms, more than the "
                           "times of its parts say (other programs that run now make such times uncertain)",
                           1e3 * budget, 1e3 * out->seconds);
    if (out->seconds > OVER * budget)
        skv_note(ctx,
                 "the time asked for is not quite reached: the model takes %.3g ms, asked %.3g ms; as a whole it is "
                 "slower than the times of its parts say",
                 1e3 * out->seconds, 1e3 * budget);
    else if (out->seconds < 0.95 * budget)
        skv_note(ctx, "no choice comes nearer to the time asked for: the model takes %.3g ms, asked %.3g ms",
                 1e3 * out->seconds, 1e3 * budget);
    return SKIVE_OK;
}
