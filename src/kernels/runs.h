/* Runs of bytes moved from places equally far apart to places equally far apart. Short ones of the usual lengths are
 * written out, because a call of memcpy takes longer than what it copies. */
#ifndef SKV_RUNS_H
#define SKV_RUNS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void skv_move_runs(const char *from, size_t from_step, char *to, size_t to_step, int64_t n,
                                 size_t bytes) {
#define SKV_RUNS_OF(length)                                                                           \
    case length:                                                                                      \
        for (int64_t i = 0; i < n; i++, from += from_step, to += to_step) memcpy(to, from, (length)); \
        return;
    switch (bytes) {
        SKV_RUNS_OF(1)
        SKV_RUNS_OF(2)
        SKV_RUNS_OF(4)
        SKV_RUNS_OF(8)
        SKV_RUNS_OF(12)
        SKV_RUNS_OF(16)
        SKV_RUNS_OF(20)
        SKV_RUNS_OF(24)
        SKV_RUNS_OF(32)
        SKV_RUNS_OF(48)
        SKV_RUNS_OF(64)
    default:
        for (int64_t i = 0; i < n; i++, from += from_step, to += to_step) memcpy(to, from, bytes);
    }
#undef SKV_RUNS_OF
}

#endif
