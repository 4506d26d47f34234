/* All of skive. */
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
