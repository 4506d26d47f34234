/* Writes docs/tables.md from the lists of records, so that the page cannot say what the library does not have. */
#include <stdio.h>

#include <skive/data.h>
#include <skive/zoo.h>

#include "data/audio/sound.h"
#include "data/tokenizer.h"
#include "data/transform.h"
#include "kernels/kernel.h"
#include "graph/op.h"
#include "lowrank/lowrank.h"
#include "pack/coder.h"
#include "passes/pass.h"
#include "probe/probe.h"
#include "prune/prune.h"
#include "quant/quant.h"
#include "quant/rounding.h"
#include "share/share.h"
#include "tensor/grid.h"
#include "train/metric.h"
#include "train/curriculum.h"
#include "train/regularizer.h"
#include "train/combine.h"
#include "train/train.h"
#include "zoo/zoo.h"

static const char *yes(bool has) { return has ? "yes" : ""; }

/* Text in a table, where a bar would begin a column. */
static void print_cell(const char *text) {
    for (; *text; text++) {
        if (*text == '|') putchar('\\');
        putchar(*text);
    }
}

static void ops(void) {
    printf("## Operators\n\n| op | domain | what | opset | gradient | coupling | range "
           "|\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *o = skv_op_at(i);
        printf("| %s | %s | ", o->name, o->domain[0] ? o->domain : "");
        print_cell(o->brief ? o->brief : "");
        printf(" | %d | %s | %s | %s |\n", o->since, yes(o->grad), yes(o->couple), yes(o->range));
    }
}

static void kernels(void) {
    printf("\n## Kernels, in order of choice\n\n| kernel | least level | what |\n|---|---|---|\n");
    for (size_t i = 0; i < skv_kernel_count(); i++) {
        const skv_kernel *k = skv_kernel_at(i);
        printf("| %s | %s | %s |\n", k->name, skv_isa_name(k->isa), k->brief);
    }
}

static void passes(void) {
    printf("\n## Passes, in the order they run\n\n| pass | what | keeps standard ONNX |\n|---|---|---|\n");
    for (size_t i = 0; i < skv_pass_count(); i++) {
        const skv_pass *p = skv_pass_at(i);
        printf("| %s | %s | %s |\n", p->name, p->brief, yes(p->when & (SKV_PASS_CLEAN | SKV_PASS_INFERENCE)));
    }
}

#define LIST(title, count, at)                                                                        \
    do {                                                                                              \
        printf("\n## %s\n\n| name | what |\n|---|---|\n", title);                                     \
        for (size_t i_ = 0; i_ < count(); i_++) printf("| %s | %s |\n", at(i_)->name, at(i_)->brief); \
    } while (0)

static const char *held_by(const skv_grid *g) { return g->dtype == SKIVE_DTYPE_NONE ? "" : skive_dtype_name(g->dtype); }

static void grids(void) {
    printf("\n## Number grids\n\n| grid | bits | what | options | element type in ONNX | storage form in .skv "
           "|\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < skv_grid_count(); i++) {
        const skv_grid *g = skv_grid_at(i);
        printf("| %s | %d | %s | ", g->name, g->bits, g->brief);
        for (size_t k = 0; k < g->n_options; k++) printf("%s%s", k ? ", " : "", g->options[k].name);
        printf(" | %s | %s |\n", held_by(g), g->form ? g->form : "");
    }
}

/* The records of a family, each with its options. */
static void family(const char *title, const skv_family *f, const char *(*syntax)(size_t)) {
    skive_context *ctx = NULL;
    if (skive_context_create(NULL, &ctx) != SKIVE_OK) return;
    printf("\n## %s\n\n| %s | what | options |\n|---|---|---|\n", title, f->what);
    for (size_t i = 0; f->name_at(i); i++) {
        size_t n;
        const skv_option *o = f->options_at(i, &n);
        printf(syntax ? "| `%s` | %s |" : "| %s | %s |", syntax ? syntax(i) : f->name_at(i), f->brief_at(i));
        for (size_t k = 0; k < n; k++) {
            skv_text range, fallback;
            skv_text_init(&range, ctx);
            skv_text_init(&fallback, ctx);
            skv_option_describe(&o[k], true, &range);
            skv_option_default_text(&o[k], &fallback);
            printf("%s `%s`: %s; %s%s%s", k ? "<br>" : "", o[k].name, o[k].brief, range.data ? range.data : "",
                   fallback.data ? ", default " : "", fallback.data ? fallback.data : "");
            skv_text_free(&range);
            skv_text_free(&fallback);
        }
        printf(" |\n");
    }
    skive_context_free(ctx);
}

int main(void) {
    printf("# What there is\n\nMade by `make docs` from the lists of records.\n\n");
    ops();
    kernels();
    passes();
    family("Losses", &skv_loss_family, NULL);
    family("Teaching terms of distillation", &skv_teaching_family, NULL);
    family("Ways to combine teachers", &skv_combine_family, NULL);
    family("Figures", &skv_metric_family, NULL);
    family("Rules of parameters", &skv_rule_family, NULL);
    family("Optimizers", &skv_optimizer_family, NULL);
    LIST("Callbacks: what options add to a training", skv_callback_count, skv_callback_at);
    family("Learning-rate schedules", &skv_schedule_family, NULL);
    family("Curricula", &skv_curriculum_family, NULL);
    family("Regularizers", &skv_regularizer_family, NULL);
    family("Pruning criteria", &skv_criterion_family, NULL);
    family("What pruning removes", &skv_granularity_family, NULL);
    family("Pruning schedules", &skv_prune_schedule_family, NULL);
    LIST("Reducers of the data probe", skv_reducer_count, skv_reducer_at);
    family("Calibration methods", &skv_observer_family, NULL);
    family("Rounding of weights", &skv_rounding_family, NULL);
    family("Starts of k-means", &skv_share_init_family, NULL);
    family("Factorizations", &skv_factorization_family, NULL);
    grids();
    LIST("Storage forms", skv_form_count, skv_form_at);
    LIST("Entropy coders", skv_coder_count, skv_coder_at);
    family("Data sets", &skv_dataset_family, skive_dataset_kind_syntax);
    family("Tokenizers", &skv_tokenizer_family, NULL);
    family("Features of sounds", &skv_feature_family, NULL);
    family("Transforms", &skv_transform_family, skive_transform_syntax);
    family("Built-in networks", &skv_zoo_family, NULL);
    return 0;
}
