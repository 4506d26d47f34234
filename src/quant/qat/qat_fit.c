/* fit: of weights. The scale is found anew from the weights in each step, by the grid's own method; training changes
 * them by the gradient of what the model sees (straight through; Bengio et al. 2013). With the grid "ternary" this is
 * TWN (Li & Liu 2016), with "binary" BWN (Rastegari et al. 2016). */
#include "quant/qat.h"

static skive_value *insert(const skv_qat_site *s) { return skv_qat_fake(s, NULL, NULL, NULL, 0); }

const skv_qat_method skv_qat_method_fit = {
    .name = "fit",
    .brief = "scales are found anew from the weights in each step (straight through; ternary: TWN, binary: BWN)",
    .weights = true,
    .any_bits = true,
    .insert = insert,
};
