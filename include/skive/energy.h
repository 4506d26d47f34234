/* An estimate of the energy of one inference, from counts of operations and bytes and a published table of what each
 * takes.
 *
 * It measures nothing. The table is that of M. Horowitz, "Computing's energy problem (and what we can do about it)",
 * ISSCC 2014, for a 45 nm process at 0.9 V; a newer chip takes less of everything, a general-purpose processor adds
 * the cost of its instructions. What the estimate is good for is comparing two forms of one network: which fraction is
 * arithmetic and which is moving bytes, and what fewer bits or fewer bytes would save. */
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

/* Counts a graph whose first input's first dimension is samples; open dimensions count as 1, a fixed batch is divided
 * by. Products of two dequantized 8-bit values are int8 operations, as a plan runs them. All parameters are read once
 * from DRAM; each activation is written to and read from on-chip memory once, values that only lie between a quantized
 * operator and its Q/DQ nodes not at all. A zero weight counts like any other. `weight_bytes` are the bytes of the
 * parameters as stored, where that is less than in the graph (a packed model); below 0: the graph's. Cannot fail. */
SKIVE_API void skive_graph_energy(const skive_graph *graph, int64_t weight_bytes, skive_energy *out);

#ifdef __cplusplus
}
#endif
#endif
