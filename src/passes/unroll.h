/* Control flow written out: for whoever needs a model that one plan holds, and that has gradients. */
#ifndef SKV_UNROLL_H
#define SKV_UNROLL_H

#include "graph/graph.h"

/* Changes `g`: parameters of bodies become parameters of the graph, under their names; an If becomes both branches and
 * a Where on its condition (or the branch alone where that is constant); a Loop of a constant number of rounds and a
 * Scan of known length become their rounds one behind the other. What cannot be written out stays, and stands in *left
 * with the reason; NULL: nothing stayed. *done tells what was written out. Both are freed by skv_free. */
skive_status skv_unroll(skive_graph *g, char **done, char **left);
/* Parameters of bodies of `model` take over the storages of the parameters that skv_unroll made of them in a copy. */
void skv_unroll_take_back(skive_graph *model, const skive_graph *unrolled);

#endif
