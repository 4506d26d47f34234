/* The rate is reduced by a factor when the figure that selects the best epoch has not become better for some epochs. */
#include <math.h>

#include "train/train.h"

enum { BEGUN, BEST, WAITED, REDUCED, RESTS };

static double factor(const skv_schedule_args *a) {
    return fmax(skv_option_real(a->values, "least"), pow(skv_option_real(a->values, "factor"), a->state[REDUCED]));
}

static void watch(skv_schedule_args *a, double figure) {
    double *s = a->state;
    const double more = skv_option_real(a->values, "threshold") * fabs(s[BEST]);
    if (s[BEGUN] == 0 || figure > s[BEST] + more) {
        s[BEGUN] = 1;
        s[BEST] = figure;
        s[WAITED] = 0;
    } else {
        s[WAITED]++;
    }
    if (s[RESTS] > 0) {
        s[RESTS]--;
        s[WAITED] = 0;
    }
    if (s[WAITED] <= (double)skv_option_integer(a->values, "patience")) return;
    s[REDUCED]++;
    s[RESTS] = (double)skv_option_integer(a->values, "rest");
    s[WAITED] = 0;
}

static const skv_option options[] = {
    {.name = "factor",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .below = true,
     .fallback = 0.1,
     .brief = "factor on the learning rate"},
    {.name = "patience",
     .type = SKV_OPTION_INTEGER,
     .most = 1e6,
     .fallback = 5,
     .brief = "epochs without a better figure (see --best) that are waited for; one more reduces the rate"},
    {.name = "threshold",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 1e-4,
     .brief = "a figure is better if it is better by more than this fraction"},
    {.name = "rest", .type = SKV_OPTION_INTEGER, .most = 1e6, .brief = "epochs after a reduction that do not count"},
    {.name = "least",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .brief = "fraction of the learning rate below which it does not fall"},
};

const skv_schedule skv_schedule_plateau = {.name = "plateau",
                                           .brief = "reduced by a factor when validation no longer becomes better",
                                           SKV_OPTIONS(options),
                                           .factor = factor,
                                           .watch = watch};
