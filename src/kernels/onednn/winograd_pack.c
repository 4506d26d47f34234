/* Weights of a 3x3 convolution transformed for oneDNN's Winograd kernels: U = G g G' for each pair of channels (Lavin &
 * Gray, 2016), laid out as the kernel's descriptor says. The library's own transform takes ten times as long, and half
 * the time of making a plan for a ResNet went into it. The layouts belong to oneDNN 2.6; with any other version its own
 * transform is used. */
#include <string.h>

#include "kernels/onednn/winograd_pack.h"

enum { LANES = 16, TAPS = 9, MAX_ALPHA = 6, CHUNK = LANES * LANES };

/* G for F(2x2, 3x3): the points 0, 1, -1 and infinity. */
static const float g2[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};

/* G for F(4x4, 3x3): the points 0, a, -a, b, -b and infinity, with a = 5/8 and b = 3/2, which keep the rounding
 * smaller than the usual 1 and 2. The row of a point p is (1, p, p^2) / product of (p - q) over the other finite
 * points q; that of 0 has its sign turned to the one the kernel's other transforms expect. */
#define A2 (5.0 / 8 * 5.0 / 8)
#define B2 (1.5 * 1.5)
#define NA (1 / (2 * A2 * (A2 - B2)))
#define NB (1 / (2 * B2 * (B2 - A2)))
static const float g4[6][3] = {
    {(float)(1 / (A2 * B2)), 0, 0},
    {(float)NA, (float)(NA * 5 / 8), (float)(NA *A2)},
    {(float)NA, (float)(-NA * 5 / 8), (float)(NA *A2)},
    {(float)NB, (float)(NB * 1.5), (float)(NB *B2)},
    {(float)NB, (float)(-NB * 1.5), (float)(NB *B2)},
    {0, 0, 1},
};

/* Where the chunk of point u, output block ob and input block ib goes, and the step between its 16 rows (one an input
 * channel, of 16 output channels), in floats. */
typedef struct place {
    size_t first, step;
} place;

static size_t points_of(const skv_dnnl_winograd *d) { return (size_t)d->alpha * (size_t)d->alpha; }

static place place_of(const skv_dnnl_winograd *d, size_t u, size_t ob, size_t ib) {
    const size_t nb_oc = d->oc / LANES, nb_ic = d->ic / LANES, ic = d->ic;
    const size_t oc2 = d->oc2_block, ic2 = d->ic2_block, points = points_of(d);
    switch (d->order) {
    case SKV_DNNL_AAOIO: return (place){((u * nb_oc + ob) * ic + ib * LANES) * LANES, LANES};
    case SKV_DNNL_AAOBIOO:
        return (place){(((u * (nb_oc / oc2) + ob / oc2) * ic + ib * LANES) * oc2 + ob % oc2) * LANES, oc2 * LANES};
    case SKV_DNNL_OBAAIBOIIO: break;
    }
    return (place){((((ob / oc2 * points + u) * (nb_ic / ic2) + ib / ic2) * oc2 + ob % oc2) * ic2 + ib % ic2) * CHUNK,
                   LANES};
}

bool skv_dnnl_winograd_known(skv_dnnl_md_ref from, skv_dnnl_md_ref to, skv_dnnl_winograd *out) {
    if (!skv_dnnl_md_winograd(to, out)) return false;
    const int64_t dims[4] = {(int64_t)out->oc, (int64_t)out->ic, 3, 3};
    skv_dnnl_md plain;
    if (!skv_dnnl_md_dims(SKIVE_F32, 4, dims, &plain)) return false;
    const bool same = dnnl_memory_desc_equal(from, skv_dnnl_md_get(&plain));
    skv_dnnl_md_free(&plain);
    return same && out->bytes == sizeof(float) * points_of(out) * out->oc * out->ic;
}

/* One input channel, 16 output channels: taps[9][16] to the points, CHUNK floats apart. */
static void transform(const float (*g)[3], int alpha, const float (*taps)[LANES], float *out) {
    float rows[3][MAX_ALPHA][LANES];
    for (int h = 0; h < 3; h++) {
        for (int j = 0; j < alpha; j++) {
            for (int l = 0; l < LANES; l++) {
                rows[h][j][l] = taps[3 * h][l] * g[j][0] + taps[3 * h + 1][l] * g[j][1] + taps[3 * h + 2][l] * g[j][2];
            }
        }
    }
    for (int i = 0; i < alpha; i++) {
        for (int j = 0; j < alpha; j++) {
            float *to = out + (size_t)(i * alpha + j) * CHUNK;
            for (int l = 0; l < LANES; l++) {
                to[l] = g[i][0] * rows[0][j][l] + g[i][1] * rows[1][j][l] + g[i][2] * rows[2][j][l];
            }
        }
    }
}

/* 16 x 16 channels at a time through a buffer, so that what goes to memory goes in long pieces: the points lie so far
 * apart that they would share few lines of the cache. */
static void pack_block(const skv_dnnl_winograd *d, const float *w, size_t ob, size_t ib, float *out) {
    float buffer[MAX_ALPHA * MAX_ALPHA * CHUNK];
    float taps[TAPS][LANES];
    const size_t ic = d->ic;
    for (size_t i = 0; i < LANES; i++) {
        const float *from = w + (ob * LANES * ic + ib * LANES + i) * TAPS;
        for (size_t o = 0; o < LANES; o++) {
            for (size_t k = 0; k < TAPS; k++) taps[k][o] = from[o * ic * TAPS + k];
        }
        transform(d->alpha == 4 ? g2 : g4, d->alpha, (const float(*)[LANES])taps, buffer + i * LANES);
    }
    for (size_t u = 0; u < points_of(d); u++) {
        const place p = place_of(d, u, ob, ib);
        const float *from = buffer + u * CHUNK;
        if (p.step == LANES) {
            memcpy(out + p.first, from, CHUNK * sizeof *out);
            continue;
        }
        for (size_t i = 0; i < LANES; i++) memcpy(out + p.first + i * p.step, from + i * LANES, LANES * sizeof *out);
    }
}

void skv_dnnl_winograd_pack(const float *w, const skv_dnnl_winograd *d, int threads, float *out) {
    const size_t nb_oc = d->oc / LANES, nb_ic = d->ic / LANES;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t ob = 0; ob < nb_oc; ob++) {
        for (size_t ib = 0; ib < nb_ic; ib++) pack_block(d, w, ob, ib, out);
    }
}
