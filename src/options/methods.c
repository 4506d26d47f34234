/* The methods that have options, and the tables of which these consist. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "train/teachers/lesson.h"
#include "lowrank/lowrank.h"
#include "options/options.h"
#include "pack/pack.h"
#include "passes/pass.h"
#include "prune/prune.h"
#include "quant/qat.h"
#include "quant/quant.h"
#include "quant/sensitivity.h"
#include "share/share.h"
#include "train/train.h"

#define SECTION_IF(name, needs) \
    { &skv_##name##_table, offsetof(skv_structs, name), needs }
#define SECTION(name) SECTION_IF(name, NULL)

static void train_defaults(skv_structs *s) { s->train = skive_train_options_default(); }

static void prune_defaults(skv_structs *s) {
    s->prune = skive_prune_options_default();
    s->train = skive_prune_finetune_default();
    s->prune.finetune = &s->train;
}

static void share_defaults(skv_structs *s) {
    s->share = skive_share_options_default();
    s->train = skive_share_finetune_default();
    s->share.finetune = &s->train;
}

static void distill_defaults(skv_structs *s) {
    s->distill = skive_distill_options_default();
    s->train = skive_train_options_default();
    s->distill.train = &s->train;
}

static void quantize_defaults(skv_structs *s) {
    s->quantize = skive_quantize_options_default();
    s->qat = skive_qat_options_default();
    s->train = skive_qat_train_default();
    s->qat.quantize = &s->quantize;
    s->qat.train = &s->train;
    s->bits = skive_bits_options_default();
    s->bits.quantize = &s->quantize;
}

static void factorize_defaults(skv_structs *s) {
    s->factorize = skive_factorize_options_default();
    s->train = skive_factorize_finetune_default();
    s->factorize.finetune = &s->train;
}

static void pack_defaults(skv_structs *s) { s->pack = skive_pack_options_default(); }

static void simplify_defaults(skv_structs *s) { s->simplify = skive_simplify_options_default(); }

static void data_defaults(skv_structs *s) { s->data = skive_dataset_options_default(); }

static const skv_method train = {"train", {SECTION(train)}, train_defaults};
static const skv_method prune = {
    "prune", {SECTION(prune), SECTION_IF(train, "epochs|prune.criterion=movement")}, prune_defaults};
static const skv_method share = {"share", {SECTION(share), SECTION(train)}, share_defaults};
static const skv_method distill = {"distill", {SECTION(distill), SECTION(train)}, distill_defaults};
static const skv_method quantize = {
    "quantize", {SECTION(quantize), SECTION(bits), SECTION(qat), SECTION(train)}, quantize_defaults};

static void sensitivity_defaults(skv_structs *s) { s->sensitivity = skive_sensitivity_options_default(); }
static const skv_method sensitivity = {"sensitivity", {SECTION(sensitivity)}, sensitivity_defaults};
static const skv_method factorize = {"factorize", {SECTION(factorize), SECTION(train)}, factorize_defaults};

static const skv_method pack = {"pack", {SECTION(pack)}, pack_defaults};
static const skv_method simplify = {"simplify", {SECTION(simplify)}, simplify_defaults};
static const skv_method data = {"data", {SECTION(data)}, data_defaults};

static const skv_method *const methods[] = {
#define X(id) &id,
#include "options/methods.inc"
#undef X
};

const char *skv_method_name(size_t i) { return i < SKV_LENGTH(methods) ? methods[i]->name : NULL; }

const skv_method *skv_method_find(const char *name) {
    for (size_t i = 0; name && i < SKV_LENGTH(methods); i++) {
        if (strcmp(methods[i]->name, name) == 0) return methods[i];
    }
    return NULL;
}

const skv_option *skv_method_option(const skv_method *m, const char *name, size_t index,
                                    const skv_section_of_method **section) {
    const char *dot = name ? strchr(name, '.') : NULL;
    const skv_option *o;
    for (size_t k = 0; k < SKV_MOST_SECTIONS && m->sections[k].table; k++) {
        const skv_table *t = m->sections[k].table;
        *section = &m->sections[k];
        if (!name) {
            for (size_t i = 0; (o = skv_table_at(t, i)); i++) {
                if (index-- == 0) return o;
            }
            continue;
        }
        if (dot && (strlen(t->name) != (size_t)(dot - name) || memcmp(t->name, name, (size_t)(dot - name)) != 0))
            continue;
        if ((o = skv_table_find(t, dot ? dot + 1 : name))) return o;
    }
    return NULL;
}

skive_status skv_method_fail(skive_context *ctx, const skv_method *m, const char *name) {
    enum { MOST = 256 };
    static const char format[] = "%s.%s";
    char texts[MOST][48];
    const char *names[2 * MOST];
    const skv_section_of_method *section;
    const skv_option *o;
    size_t n = 0;
    for (size_t i = 0; i < MOST && (o = skv_method_option(m, NULL, i, &section)); i++) {
        (void)snprintf(texts[i], sizeof texts[i], format, section->table->name, skv_option_known_as(o));
        names[n++] = texts[i];
        names[n++] = skv_option_known_as(o);
    }
    const char *near = skive_nearest_name(name, names, n);
    return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name, "%s has no option '%.*s'%s%s%s", m->name,
                       skv_utf8_prefix(name, 200), name, near ? "; did you mean '" : "", near ? near : "",
                       near ? "'?" : "");
}
