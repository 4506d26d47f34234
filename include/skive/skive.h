/* All of skive.
 *
 * Arguments: a pointer that is NULL and that the function's comment does not allow to be NULL is SKIVE_ERR_ARGUMENT,
 * and the context's message names function and argument (where a context could be reached). Functions that give no
 * status answer with 0, NULL or false, and write nothing; those that free accept NULL.
 *
 * Structs of options begin with their size. Start from skive_..._options_default(), which sets it, and change fields: a
 * program built against an older version, whose struct is shorter, then gets the defaults of the fields it does not
 * know. A size that is not set is SKIVE_ERR_ARGUMENT. */
#ifndef SKIVE_SKIVE_H
#define SKIVE_SKIVE_H

#include <skive/autodiff.h>
#include <skive/context.h>
#include <skive/memory.h>
#include <skive/data.h>
#include <skive/distill.h>
#include <skive/energy.h>
#include <skive/eval.h>
#include <skive/exec.h>
#include <skive/graph.h>
#include <skive/input.h>
#include <skive/onnx.h>
#include <skive/output.h>
#include <skive/pack.h>
#include <skive/prune.h>
#include <skive/quant.h>
#include <skive/session.h>
#include <skive/share.h>
#include <skive/simplify.h>
#include <skive/status.h>
#include <skive/tensor.h>
#include <skive/train.h>
#include <skive/zoo.h>

#endif
