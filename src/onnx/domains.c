/* Versions of operator sets that are not the standard one: a graph keeps them in its metadata, one entry for each set
 * that its nodes use and whose version is not 1; in an ONNX file they stand where they belong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "onnx/export.h"
#include "onnx/onnx_import.h"

enum { MAX_SETS = 1000, MAX_VERSION = 1000, KEY = 200 };

bool skv_onnx_is_domain_key(const char *key) { return strncmp(key, SKV_META_OPSET, sizeof SKV_META_OPSET - 1) == 0; }

static bool key_of(const char *domain, char key[KEY]) {
    const int n = snprintf(key, KEY, SKV_META_OPSET "%s", domain);
    return n > 0 && n < KEY;
}

int64_t skv_onnx_domain_version(const skive_graph *g, const char *domain) {
    char key[KEY];
    const char *text = key_of(domain, key) ? skive_graph_meta(g, key) : NULL;
    const long version = text ? strtol(text, NULL, 10) : 1;
    return version >= 1 && version <= MAX_VERSION ? version : 1;
}

static skive_status keep(skive_graph *whole, const skive_graph *g, const Onnx__ModelProto *model) {
    char key[KEY], text[24];
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        for (uint32_t k = 0; k < n->n_attrs; k++) {
            if (n->attrs[k].graph) SKV_TRY(keep(whole, n->attrs[k].graph, model));
        }
        if (!*n->domain || !key_of(n->domain, key) || skive_graph_meta(whole, key)) continue;
        for (size_t k = 0; k < model->n_opset_import; k++) {
            const Onnx__OperatorSetIdProto *o = model->opset_import[k];
            if (!o->domain || strcmp(o->domain, n->domain) != 0 || o->version < 2 || o->version > MAX_VERSION) continue;
            snprintf(text, sizeof text, "%lld", (long long)o->version);
            SKV_TRY(skive_graph_set_meta(whole, key, text));
            break;
        }
    }
    return SKIVE_OK;
}

skive_status skv_onnx_keep_domains(skv_onnx_importer *im, const Onnx__ModelProto *model, skive_graph *g) {
    if (model->n_opset_import > MAX_SETS)
        return skv_fail_at(im->ctx, SKIVE_ERR_LIMIT, im->source->label, "more than %d operator sets", MAX_SETS);
    return keep(g, g, model);
}
