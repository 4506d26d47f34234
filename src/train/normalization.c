/* The model's input normalisation, kept as metadata, so that a model knows by itself what its input means. */
#include <stdio.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "train/train.h"

static const char key_mean[] = SKV_META_INPUT_MEAN, key_std[] = SKV_META_INPUT_STD;

skive_status skive_model_set_normalization(skive_graph *g, const skive_normalization *n) {
    char text[SKIVE_NORMALIZATION_TEXT];
    if (n->channels == 0) {
        SKV_TRY(skive_graph_set_meta(g, key_mean, NULL));
        return skive_graph_set_meta(g, key_std, NULL);
    }
    SKV_TRY(skive_normalization_format(g->ctx, n, text, sizeof text));
    char *semicolon = strchr(text, ';');
    if (!semicolon) return SKV_FAIL(g->ctx, SKIVE_ERR_INTERNAL, "normalisation text '%s'", text);
    *semicolon = '\0';
    SKV_TRY(skive_graph_set_meta(g, key_mean, text));
    return skive_graph_set_meta(g, key_std, semicolon + 1);
}

skive_status skive_model_normalization(const skive_graph *g, skive_normalization *out) {
    char text[SKIVE_NORMALIZATION_TEXT + 2];
    const char *mean = skive_graph_meta(g, key_mean), *deviation = skive_graph_meta(g, key_std);
    *out = (skive_normalization){0};
    if (!mean && !deviation) return SKIVE_OK;
    const int length = mean && deviation ? snprintf(text, sizeof text, "%s;%s", mean, deviation) : -1;
    if (length < 0 || (size_t)length >= sizeof text) {
        return skv_fail_at(g->ctx, SKIVE_ERR_FORMAT, key_mean,
                           "the model's metadata %s and %s do not make a normalisation", key_mean, key_std);
    }
    return skive_normalization_parse(g->ctx, text, out);
}
