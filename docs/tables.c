/* Writes docs/tables.md from the lists of records, so that the page cannot say what the library does not have. */
#include <stdio.h>

#include <skive/data.h>
#include <skive/zoo.h>

#include "kernels/kernel.h"
#include "graph/op.h"
#include "pack/coder.h"
#include "passes/pass.h"
#include "probe/probe.h"
#include "prune/prune.h"
#include "quant/quant.h"
#include "share/share.h"
#include "tensor/grid.h"
#include "train/train.h"

static const char *yes(bool has) { return has ? "yes" : ""; }

static void ops(void) {
    printf("## Operators\n\n| op | domain | what | opset | gradient | coupling | range "
           "|\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < skv_op_count(); i++) {
        const skv_op *o = skv_op_at(i);
        printf("| %s | %s | %s | %d | %s | %s | %s |\n", o->name, o->domain[0] ? o->domain : "",
               o->brief ? o->brief : "", o->since, yes(o->grad), yes(o->couple), yes(o->range));
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

int main(void) {
    printf("# What there is\n\nMade by `make docs` from the lists of records.\n\n");
    ops();
    kernels();
    passes();
    LIST("Losses", skv_loss_count, skv_loss_at);
    LIST("Rules of parameters", skv_rule_count, skv_rule_at);
    LIST("Optimizers", skv_optimizer_count, skv_optimizer_at);
    LIST("Learning-rate schedules", skv_schedule_count, skv_schedule_at);
    LIST("Pruning criteria", skv_criterion_count, skv_criterion_at);
    LIST("Pruning schedules", skv_prune_schedule_count, skv_prune_schedule_at);
    LIST("Reducers of the data probe", skv_reducer_count, skv_reducer_at);
    LIST("Calibration methods", skv_observer_count, skv_observer_at);
    LIST("Starts of k-means", skv_share_init_count, skv_share_init_at);
    grids();
    LIST("Storage forms", skv_form_count, skv_form_at);
    LIST("Entropy coders", skv_coder_count, skv_coder_at);
    printf("\n## Data sets\n\n| specification | what |\n|---|---|\n");
    for (size_t i = 0; i < skive_dataset_kind_count(); i++)
        printf("| `%s` | %s |\n", skive_dataset_kind_syntax(i), skive_dataset_kind_brief(i));
    printf("\n## Transforms\n\n| transform | what |\n|---|---|\n");
    for (size_t i = 0; i < skive_transform_count(); i++)
        printf("| `%s` | %s |\n", skive_transform_syntax(i), skive_transform_brief(i));
    printf("\n## Built-in networks\n\n| network | what |\n|---|---|\n");
    for (size_t i = 0; i < skive_zoo_count(); i++) printf("| %s | %s |\n", skive_zoo_name(i), skive_zoo_brief(i));
    return 0;
}
