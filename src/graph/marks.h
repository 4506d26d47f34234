/* What a model file says of its parameters beyond their numbers: which were pruned, which are trained or not in spite
 * of their role. In memory these are flags of the values. */
#ifndef SKV_MARKS_H
#define SKV_MARKS_H

#include "graph/graph.h"

enum { SKV_MARKS = 3 };
typedef struct skv_marks {
    const char *key[SKV_MARKS];
    skv_text value[SKV_MARKS];
    size_t n; /* entries for the metadata */
} skv_marks;
/* The entries to write for `g`. skv_marks_free(out) in any case. */
skive_status skv_marks_of(const skive_graph *g, skv_marks *out);
void skv_marks_free(skv_marks *m);
/* Sets the flags that the metadata of a graph just read tell, and takes the entries out. A name that no parameter has
 * is told in a note. */
skive_status skv_marks_read(skive_graph *g);
/* `to` replaces `from`, and is trained and pruned as that was. */
static inline void skv_value_take_marks(skive_value *to, const skive_value *from) {
    to->trainable = from->trainable;
    to->keeps_zeros = from->keeps_zeros;
}

#endif
