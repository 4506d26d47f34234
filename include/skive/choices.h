/* Kernels chosen by measuring.
 *
 * A plan gives each node the first kernel of the library's list that applies. The order of the list comes from
 * measurements on a few processors and shapes; skive_kernels_tune measures this model on this machine. What it finds
 * is kept in a small text file, and used by every plan that a context makes. Results of floating point change as they
 * do between kernels, within the tolerance of each operator; integer results keep their bits. */
#ifndef SKIVE_CHOICES_H
#define SKIVE_CHOICES_H

#include <skive/exec.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_kernel_choices skive_kernel_choices;

/* One kind of node (operator, attributes, types and shapes, threads), for which another kernel than the usual one is
 * faster. Texts are borrowed from the choices. Seconds are a run of the model in all nodes of the kind, with the
 * changes of layout that they need. */
typedef struct skive_kernel_choice {
    const char *op, *kernel, *usual;
    double seconds, usual_seconds;
} skive_kernel_choice;

typedef struct skive_tuning_options {
    size_t size;
    double seconds; /* measured for each of the plans that are compared (default 1) */
    double margin;  /* by how much a kernel must be faster than the usual one, as a fraction (default 0.05) */
} skive_tuning_options;
SKIVE_API skive_tuning_options skive_tuning_options_default(void);

typedef struct skive_tuning_report {
    size_t plans;                  /* that were measured */
    double usual_seconds, seconds; /* a run of the whole model, median, without and with the choices */
} skive_tuning_report;

/* Measures the kernels that can run each node, on random inputs (integers are 0), and gives the choices: none if the
 * whole model is not faster with them. Plans are made as by skive_plan_create with `plan` (NULL: its defaults; neither
 * `training` nor `reference`), so a model whose shapes depend on data cannot be tuned. What the context uses so far
 * plays no part and stays. `report` may be NULL. *out is freed by skive_kernel_choices_free. Errors: as
 * skive_plan_create and skive_exec_run; ARGUMENT, INTERRUPTED. */
SKIVE_API skive_status skive_kernels_tune(skive_context *ctx, const skive_graph *graph, const skive_plan_options *plan,
                                          const skive_tuning_options *options, skive_kernel_choices **out,
                                          skive_tuning_report *report);

SKIVE_API size_t skive_kernel_choices_count(const skive_kernel_choices *choices);
SKIVE_API void skive_kernel_choices_get(const skive_kernel_choices *choices, size_t index, skive_kernel_choice *out);

/* The file names the machine, the version and the instruction set. Loading gives FORMAT if it is damaged, UNSUPPORTED
 * if it was measured elsewhere or by another version, and the errors of reading a file. */
SKIVE_API skive_status skive_kernel_choices_save(skive_context *ctx, const skive_kernel_choices *choices,
                                                 const char *path);
SKIVE_API skive_status skive_kernel_choices_load(skive_context *ctx, const char *path, skive_kernel_choices **out);
SKIVE_API void skive_kernel_choices_free(skive_kernel_choices *choices);

/* Plans and sessions made with this context from now on use the choices (NULL: the usual kernels), except for training
 * and with `reference`. A choice whose kernel does not apply is passed over. The choices are copied. */
SKIVE_API skive_status skive_context_use_choices(skive_context *ctx, const skive_kernel_choices *choices);

#ifdef __cplusplus
}
#endif
#endif
