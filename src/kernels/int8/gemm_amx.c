/* Tiles of 32 positions by 32 channels in the tile registers of AMX: 64 u8 * s8 products are added to each int32,
 * without saturation. The processor gives them to a process that has asked for them, see base/cpu.c. */
#if defined(__AMX_INT8__) || defined(__AMXINT8__) /* the second: clang before 17 */
#include <immintrin.h>
#include <string.h>

#include "kernels/int8/int8.h"

/* The compiler takes only some of the bytes for read. */
#define CONFIGURE(shapes)                                \
    do {                                                 \
        __asm__ volatile("" : : "r"(shapes) : "memory"); \
        _tile_loadconfig(shapes);                        \
    } while (0)
#define ZERO(tile)              _tile_zero(tile)
#define LOAD(tile, from, apart) _tile_loadd(tile, from, apart)
#define STORE(tile, to, apart)  _tile_stored(tile, to, apart)
#define MULTIPLY(sums, x, w)    _tile_dpbusd(sums, x, w)

static void finish(const skv_q8_tile *t, const int32_t *sums);

#include "kernels/int8/gemm_amx.h"
#include "kernels/int8/gemm_store512.h"
#include "kernels/int8/gemm_copy512.h"

static inline __attribute__((always_inline)) void finish_as(const skv_q8_tile *t, const __m512i (*sums)[2],
                                                            const ending kind) {
    skv_q8_tile part = *t;
    size_t r = 0;
    for (; r + TOGETHER <= t->rows; r += TOGETHER, part.y_at += TOGETHER) store_rows(&part, TOGETHER, sums + r, kind);
    for (; r < t->rows; r++, part.y_at++) store_rows(&part, 1, sums + r, kind);
}

static void finish(const skv_q8_tile *t, const int32_t *sums) {
    const __m512i(*from)[2] = (const __m512i(*)[2])(const void *)sums;
    if (t->out->sums || t->out->real || t->columns < NR) {
        store_from(t, (int)t->rows, from);
        return;
    }
    switch (ending_of(t->out)) {
    case WHOLE: finish_as(t, from, WHOLE); break;
    case LIMITED: finish_as(t, from, LIMITED); break;
    case SUMMED: finish_as(t, from, SUMMED); break;
    case PLAIN: finish_as(t, from, PLAIN); break;
    }
}

static void release(void) { _tile_release(); }

static const skv_q8_gemm gemm = {.mr = MR,
                                 .nr = NR,
                                 .k_group = STEP,
                                 .together = TOGETHER_NUMBERS,
                                 .even = true,
                                 .tile = tile,
                                 .configure = configure,
                                 .release = release,
                                 .constants = fill_constants,
                                 .copy = copy};
const skv_q8_gemm *skv_q8_gemm_amx(void) { return &gemm; }
#endif
