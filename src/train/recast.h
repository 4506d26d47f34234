/* A model that is trained in another form than the one it is kept in. The graph says that it is such a model. */
#ifndef SKV_RECAST_H
#define SKV_RECAST_H

#include "graph/graph.h"

typedef struct skv_recast {
    const char *name, *brief;
    bool (*asked)(const skive_graph *g);
    skive_status (*to)(skive_graph *copy);                             /* into the form of training */
    skive_status (*back)(skive_graph *model, const skive_graph *copy); /* trained numbers; what fails changes nothing */
    bool other_nodes; /* nodes that a run adds to the copy would be lost: none are */
} skv_recast;
size_t skv_recast_count(void);
const skv_recast *skv_recast_at(size_t i);
const char *skv_recast_name(size_t i);
const skv_recast *skv_recast_find(const char *name);

#endif
