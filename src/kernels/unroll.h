/* Bodies whose sizes are constants of the place they are inlined at, and their loops written out. */
#ifndef SKV_UNROLL_H
#define SKV_UNROLL_H

#define SKV_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define SKV_UNROLL _Pragma("unroll")
#else
#define SKV_UNROLL _Pragma("GCC unroll 32")
#endif

#endif
