/* Thread queries inside a parallel region. Built without OpenMP, every region has one thread. */
#ifndef SKV_BASE_PARALLEL_H
#define SKV_BASE_PARALLEL_H

#ifdef _OPENMP
#include <omp.h>
static inline int skv_thread_number(void) { return omp_get_thread_num(); }
static inline int skv_region_threads(void) { return omp_get_num_threads(); }
#else
static inline int skv_thread_number(void) { return 0; }
static inline int skv_region_threads(void) { return 1; }
#endif

#endif
