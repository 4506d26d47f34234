/* See common_grid_sample.h. */
#include "ops/image/common_grid_sample.h"

#include <string.h>

const skv_attr_spec skv_grid_sample_attrs[3] = {{"align_corners", SKV_ATTR_INT, SKV_OPTIONAL},
                                                {"mode", SKV_ATTR_STRING, SKV_OPTIONAL},
                                                {"padding_mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

skv_grid_mode skv_grid_mode_of(const skive_node *n) {
    static const char *const names[] = {"linear", "nearest", "cubic"};
    int i = 0;
    while (i < SKV_GRID_MODES && strcmp(names[i], skv_attr_string(n, "mode", "linear")) != 0) i++;
    return (skv_grid_mode)i;
}

skv_grid_padding skv_grid_padding_of(const skive_node *n) {
    static const char *const names[] = {"zeros", "border", "reflection"};
    int i = 0;
    while (i < SKV_GRID_PADDINGS && strcmp(names[i], skv_attr_string(n, "padding_mode", "zeros")) != 0) i++;
    return (skv_grid_padding)i;
}

/* x between the bounds, mirrored at them as often as needed. */
static double reflect(double x, double low, double high, double *slope) {
    const double span = high - low;
    if (span <= 0) {
        *slope = 0;
        return low;
    }
    double over = fmod(fabs(x - low), 2 * span);
    if (x < low) *slope = -*slope;
    if (over > span) {
        over = 2 * span - over;
        *slope = -*slope;
    }
    return low + over;
}

static double reflect_by(double x, int64_t size, bool corners, double *slope) {
    return corners ? reflect(x, 0, (double)size - 1, slope) : reflect(x, -0.5, (double)size - 0.5, slope);
}

static double clamp(double x, int64_t size, double *slope) {
    if (!(x >= 0 && x <= (double)size - 1)) *slope = 0;
    return fmin(fmax(x, 0), (double)size - 1);
}

static int64_t entry_of(double at, int64_t size, skv_grid_padding pad, bool corners) {
    double unused = 0;
    if (pad == SKV_GRID_REFLECTION) at = reflect_by(at, size, corners, &unused);
    if (pad != SKV_GRID_ZEROS) at = clamp(at, size, &unused);
    return at >= 0 && at <= (double)size - 1 ? (int64_t)at : -1;
}

/* The weight of an entry at distance d of cubic interpolation (Keys 1981, a = -0.75), and its slope by d. */
static double cubic(double d, double *slope) {
    const double a = -0.75;
    *slope = d <= 1 ? (3 * (a + 2) * d - 2 * (a + 3)) * d : (3 * a * d - 10 * a) * d + 8 * a;
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

skv_grid_taps skv_grid_taps_of(double g, int64_t size, skv_grid_mode how, skv_grid_padding pad, bool corners) {
    double x = corners ? (g + 1) / 2 * ((double)size - 1) : ((g + 1) * (double)size - 1) / 2;
    double slope = corners ? ((double)size - 1) / 2 : (double)size / 2;
    skv_grid_taps t = {.n = 1, .weight = {1}};
    if (!isfinite(x)) x = -1e6; /* outside, or the first entry */
    if (how != SKV_GRID_CUBIC) {
        if (pad == SKV_GRID_BORDER) x = clamp(x, size, &slope);
        if (pad == SKV_GRID_REFLECTION) x = reflect_by(x, size, corners, &slope);
    }
    if (how == SKV_GRID_NEAREST) {
        t.entry[0] = entry_of(nearbyint(x), size, pad, corners);
        return t;
    }
    const double first = floor(x), f = x - first;
    if (how == SKV_GRID_LINEAR) {
        t = (skv_grid_taps){.n = 2, .weight = {1 - f, f}, .slope = {-slope, slope}};
        for (int k = 0; k < 2; k++) t.entry[k] = entry_of(first + k, size, pad, corners);
        return t;
    }
    t.n = 4;
    for (int k = 0; k < 4; k++) {
        const double away = f - (k - 1);
        t.weight[k] = cubic(fabs(away), &t.slope[k]);
        t.slope[k] *= away < 0 ? -slope : slope;
        t.entry[k] = entry_of(first + k - 1, size, pad, corners);
    }
    return t;
}

bool skv_grid_next(int *k, const skv_grid_taps *t, int spatial) {
    int d = spatial - 1;
    while (d >= 0 && ++k[d] == t[d].n) k[d--] = 0;
    return d >= 0;
}

skv_grid_corner skv_grid_corner_at(const int *k, const int64_t *sizes, const skv_grid_taps *t, int spatial) {
    skv_grid_corner c = {.weight = 1};
    for (int d = 0; d < spatial; d++) {
        const int64_t entry = t[d].entry[k[d]];
        if (entry < 0) return (skv_grid_corner){.at = -1};
        c.at = c.at * sizes[d] + entry;
        c.weight *= t[d].weight[k[d]];
        c.slope[d] = t[d].slope[k[d]];
        for (int e = 0; e < spatial; e++)
            if (e != d) c.slope[d] *= t[e].weight[k[e]];
    }
    return c;
}
