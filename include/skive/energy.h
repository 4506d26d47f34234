/* An estimate of the energy of one inference, from counts of operations and bytes and a published table of the energy
 * of each.
 *
 * Nothing is measured. The table is that of M. Horowitz, "Computing's energy problem (and what we can do about it)",
 * ISSCC 2014, for a 45 nm process at 0.9 V; a newer chip needs less for everything, and a general-purpose processor
 * adds the cost of its instructions. The estimate is useful for comparing two forms of one network: which fraction is
 * arithmetic and which is data movement, and what fewer bits or fewer bytes would save. */
#ifndef SKIVE_ENERGY_H
#define SKIVE_ENERGY_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_energy_row {
    const char *what;  /* "multiply-accumulate, int8": static text */
    double count;      /* operations or bytes of one inference */
    double picojoules; /* of one */
} skive_energy_row;

enum { SKIVE_ENERGY_ROWS = 8 };
typedef struct skive_energy {
    skive_energy_row rows[SKIVE_ENERGY_ROWS];
    double arithmetic, memory, total; /* picojoules of one inference of one sample */
} skive_energy;

/* Estimates a graph whose first input has the samples on its first axis; open dimensions count as 1, and the counts of
 * a fixed batch are divided by its size. Products of two dequantized 8-bit values are int8 operations, as a plan runs
 * them. All parameters are read once from DRAM; each activation is written to and read from on-chip memory once, except
 * values between a quantized operator and its Q/DQ nodes. A zero weight counts like any other. `weight_bytes` are the
 * bytes of the parameters as stored, if that is less than in the graph (a packed model); below 0: those of the graph.
 * Cannot fail. */
SKIVE_API void skive_graph_energy(const skive_graph *graph, int64_t weight_bytes, skive_energy *out);

#ifdef __cplusplus
}
#endif
#endif
