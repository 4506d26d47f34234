/* The learned scales of FakeQuantize: they stay above zero, those of a clip decay as their node says, and where the
 * optimizer makes steps of one size whatever the gradient is, they move in proportion to what they are. */
#include <math.h>
#include <string.h>

#include "train/train.h"

#define LEAST 1e-8f

static const skive_node *reader(const skv_param *p) {
    for (uint32_t i = 0; i < p->value->n_uses; i++) {
        const skv_use *use = &p->value->uses[i];
        if (use->index == 1 && skv_node_is(use->node, SKV_OP_FAKE_QUANTIZE) &&
            strcmp(skv_attr_string(use->node, "step", "fixed"), "fixed") != 0)
            return use->node;
    }
    return NULL;
}

static bool asked(const skv_rule_site *at, const skv_param *p) {
    (void)at;
    return reader(p) != NULL;
}

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    double sum = 0;
    (void)self;
    p->decay = skv_attr_float(reader(p), "decay", 0);
    for (int64_t i = 0; i < p->n; i++) sum += fabs((double)p->weight[i]) / (double)p->n;
    if (strncmp(at->options->optimizer, "sgd", 3) != 0 && sum > 0) p->rate = sum;
    return SKIVE_OK;
}

static void after(void *self, skv_param *p, const skv_step *s) {
    (void)self, (void)s;
    for (int64_t i = 0; i < p->n; i++) p->weight[i] = p->weight[i] > LEAST ? p->weight[i] : LEAST;
}

static bool holds(const void *self, const skv_param *p) {
    (void)self;
    for (int64_t i = 0; i < p->n; i++)
        if (!(p->seen[i] >= LEAST)) return false;
    return true;
}

const skv_rule skv_rule_step = {
    .name = "step",
    .brief = "learned scales of rounded numbers stay above zero",
    .asked = asked,
    .bind = bind,
    .after = after,
    .holds = holds,
};
