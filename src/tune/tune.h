/* What the methods share: exact allocation under budgets, control of accuracy, measured costs. */
#ifndef SKV_TUNE_H
#define SKV_TUNE_H

#include <skive/tune.h>

#include "graph/graph.h"

#endif
