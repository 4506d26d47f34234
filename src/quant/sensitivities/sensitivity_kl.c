/* Sensitivity by the divergence of the answers from those of the float model, which needs no correct labels. */
#include "quant/sensitivity.h"

static double divergence(const skive_sensitivity_row *row) { return row->kl; }

static skive_status measure(skv_sensing *s) { return skv_sensing_run(s, divergence); }

const skv_sensitivity skv_sensitivity_kl = {
    .name = "kl",
    .brief = "the divergence of the answers from those of the float model, measured",
    .quantizes_inputs = true,
    .measure = measure,
};
