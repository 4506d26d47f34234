/* Includes all of skive's headers.
 *
 * Arguments: a NULL pointer that the function's comment does not allow gives SKIVE_ERR_ARGUMENT, and the context's
 * message names function and argument (if a context is available). Functions without a status return 0, NULL or false
 * and write nothing; functions that free accept NULL.
 *
 * Option structs begin with their size. Start from skive_..._options_default(), which sets it, and change fields: a
 * program built against an older version, whose struct is shorter, gets the defaults of the fields it does not know. A
 * size that is not set gives SKIVE_ERR_ARGUMENT. */
#ifndef SKIVE_SKIVE_H
#define SKIVE_SKIVE_H

#include <skive/autodiff.h>
#include <skive/bits.h>
#include <skive/build.h>
#include <skive/choices.h>
#include <skive/context.h>
#include <skive/coupling.h>
#include <skive/layers.h>
#include <skive/memory.h>
#include <skive/data.h>
#include <skive/distill.h>
#include <skive/energy.h>
#include <skive/eval.h>
#include <skive/exec.h>
#include <skive/factorize.h>
#include <skive/graph.h>
#include <skive/input.h>
#include <skive/onnx.h>
#include <skive/options.h>
#include <skive/output.h>
#include <skive/pack.h>
#include <skive/prune.h>
#include <skive/qat.h>
#include <skive/quant.h>
#include <skive/sensitivity.h>
#include <skive/session.h>
#include <skive/share.h>
#include <skive/simplify.h>
#include <skive/status.h>
#include <skive/tensor.h>
#include <skive/train.h>
#include <skive/tune.h>
#include <skive/zoo.h>

#endif
