/* A subgraph of If, Loop or Scan, run in its own session. */
#ifndef SKV_SESSION_BODY_H
#define SKV_SESSION_BODY_H

#include <skive/session.h>

#include "graph/op.h"

typedef struct skv_session_body {
    skv_body body; /* must be the first member: the op's record sees only this */
    skive_context *ctx;
    skive_graph *graph;
    skive_session *session;
    skive_value **captured; /* values of the enclosing graph */
    size_t n_captured;
    skive_tensor *inputs; /* [n_in + n_captured]; the captured ones are set before the op runs */
} skv_session_body;

/* Values that are looked at while a session runs, by name, in the bodies of its nodes too: each time they are
 * computed. */
typedef struct skv_session_watch {
    bool (*wants)(void *user, const char *name);
    skive_status (*see)(void *user, const char *name, const skive_tensor *t);
    void *user;
} skv_session_watch;
/* skive_session_create; `watch` must outlive the session, NULL: nothing is looked at. */
skive_status skv_session_open(skive_context *ctx, const skive_graph *graph, const skive_session_options *options,
                              const skv_session_watch *watch, skive_session **out);

skive_status skv_session_body_create(skive_context *ctx, const skive_graph *sub, const skive_session_options *options,
                                     const skv_session_watch *watch, skv_session_body **out);
void skv_session_body_free(skv_session_body *body); /* NULL is accepted */

#endif
