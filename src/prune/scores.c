/* What criteria share: normalised scores, and numbers of channels. */
#include <math.h>
#include <string.h>

#include "prune/prune.h"

void skv_score_normalise(const skv_score_args *a) {
    double sum = 0;
    for (int64_t i = 0; i < a->n; i++) sum += (double)a->score[i] * (double)a->score[i];
    const double norm = sqrt(sum);
    for (int64_t i = 0; norm > 0 && i < a->n; i++) a->score[i] = (float)((double)a->score[i] / norm);
}

void skv_score_normalise_as_asked(const skv_score_args *a) {
    if (strcmp(skv_option_text(a->options, "normalise"), "layer") == 0) skv_score_normalise(a);
}

const char *skv_normalise_name(size_t i) {
    static const char *const names[] = {"none", "layer"};
    return i < sizeof names / sizeof *names ? names[i] : NULL;
}

/* The place of element `at` along an axis of the parameter. */
static int64_t along(const skv_score_args *a, int axis, int64_t at) {
    const skive_type *t = &a->parameter->type;
    for (int d = t->rank - 1; d > axis; d--) at /= t->dims[d].size;
    return at % t->dims[axis].size;
}

int64_t skv_score_output(const skv_score_args *a, int64_t at) {
    return a->view.out_axis >= 0 ? along(a, a->view.out_axis, at) : 0;
}

/* A grouped convolution's weight counts the channels of one group. */
int64_t skv_score_input(const skv_score_args *a, int64_t at, size_t channels) {
    if (a->view.in_axis < 0) return 0;
    const int64_t in = along(a, a->view.in_axis, at), groups = a->view.groups;
    if (groups <= 1 || a->view.in * groups != (int64_t)channels) return in;
    return skv_score_output(a, at) / (a->view.out / groups) * a->view.in + in;
}

double skv_score_channel(const skv_score_args *a, const skv_numbers *of, bool of_input, int64_t at) {
    if (of->n == 0) return NAN;
    const int64_t c = of_input ? skv_score_input(a, at, of->n) : skv_score_output(a, at) % (int64_t)of->n;
    return c < (int64_t)of->n ? of->x[c] : NAN;
}

double skv_score_share(const skv_score_args *a, double score) {
    const int64_t channels = a->view.out_axis >= 0 && a->view.out > 0 ? a->view.out : 1;
    return a->n > 0 ? score * (double)channels / (double)a->n : 0;
}
