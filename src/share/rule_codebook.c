/* Entries of a codebook are where their weights are: decay would pull all of them. Their zero stays (rule "zeros"). */
#include "graph/shared.h"
#include "train/train.h"

static bool asked(const skv_rule_site *at, const skv_param *p) {
    (void)at;
    return skv_shared_weight_of(p->value) != NULL;
}

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    (void)self;
    if (!at->options->decay_all) p->decay = 0;
    return SKIVE_OK;
}

const skv_rule skv_rule_codebook = {
    .name = "codebook",
    .brief = "entries of a codebook do not decay",
    .asked = asked,
    .bind = bind,
};
