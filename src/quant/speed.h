/* Layers whose 8-bit form is slower on this machine than their float form: measured, and left float. */
#ifndef SKV_QUANT_SPEED_H
#define SKV_QUANT_SPEED_H

#include "quant/quant.h"

/* Static: chosen nodes that are slower in the quantized model than in the float one leave `chosen`, if the whole model
 * gains by it, and are entered in the report; a note tells what the whole takes. */
skive_status skv_quant_leave_slow(skive_context *ctx, const skive_graph *work, const skive_quantize_options *o,
                                  const skv_points *points, bool *chosen, skive_quantize_report *report);
/* Dynamic: is the node by itself, with what quantizes its input, slower than in float? Nodes whose shapes are not known
 * are not measured: *slow is false. */
skive_status skv_quant_is_slow(skive_context *ctx, const skive_node *n, const skive_quantize_options *o, bool *slow);
#define SKV_QUANT_SLOW "with 8 bits it is slower on this machine (measured, --no-slower)"

#endif
