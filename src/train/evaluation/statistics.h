/* Intervals and tests for proportions. */
#ifndef SKV_STATISTICS_H
#define SKV_STATISTICS_H

#include <stdint.h>

/* Wilson score interval, 95 %, of `right` of `n` (Wilson 1927). n 0: [0, 1]. */
void skv_wilson(int64_t right, int64_t n, double *low, double *high);
/* Two-sided exact McNemar test: probability of a split of b + c discordant pairs at least as uneven (McNemar 1947). */
double skv_mcnemar_exact(int64_t b, int64_t c);
/* 95 % interval of the difference p1 - p2 of paired proportions, cells both, only 1, only 2, neither
 * (Newcombe 1998, Statistics in Medicine 17:2635, method 10). */
void skv_newcombe_paired(int64_t both, int64_t only1, int64_t only2, int64_t neither, double *low, double *high);

#endif
