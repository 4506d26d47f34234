/* Connectionist temporal classification (Graves et al. 2006) of one sample. With the blank between the labels and at
 * both ends, the extended sequence has 2 L + 1 places; alpha and beta are sums over the alignments up to and from a
 * step, in log space. */
#ifndef SKV_OPS_COMMON_CTC_H
#define SKV_OPS_COMMON_CTC_H

#include <stdbool.h>
#include <stdint.h>

/* Doubles that skv_ctc needs as room. */
static inline int64_t skv_ctc_room(int64_t steps, int64_t labels) { return 2 * steps * (2 * labels + 1); }

/* The steps that count of a sample of `length` frames, `every` of which are a step: rounded up. Layers without padding
 * lose a step or two at the end, which such a length may be beyond. -1: more than there are, or below 0. */
static inline int64_t skv_ctc_steps(int64_t length, int64_t every, int64_t steps) {
    const int64_t n = length / every + (length % every > 0), spare = every > 1 ? 2 : 0;
    return length < 0 || n - spare > steps ? -1 : n < steps ? n : steps;
}

/* -log of the probability of `labels`[n_labels] given log_p[steps][classes]; INFINITY where no alignment has so few
 * steps. gradient[steps][classes], if not NULL, becomes that with respect to log_p: minus how probable it is that the
 * step says the class, given the labels. */
double skv_ctc(const double *log_p, int64_t steps, int64_t classes, const int64_t *labels, int64_t n_labels,
               int64_t blank, double *room, double *gradient);

#endif
