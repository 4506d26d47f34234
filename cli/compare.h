/* What skive compare knows of each model, and its report for people. */
#ifndef CLI_COMPARE_H
#define CLI_COMPARE_H

#include "cli.h"

typedef struct compare_entry {
    const char *path;
    char name[64];
    skive_graph *graph;
    skive_eval_report eval;
    skive_paired_report paired; /* to the first */
    skive_figure_pair *pairs;   /* the same of all figures */
    size_t n_pairs;
    skive_cost cost;
    skive_energy energy;
    skive_bench_report latency, throughput;
    int64_t latency_batch;
    bool in_parts; /* timed so: its shapes or paths depend on data */
    cli_sizes sizes;
    struct compare_entry *more; /* [eval.n_more] of the other targets: graph and eval borrowed, paired and pairs */
} compare_entry;

/* The figures of all models, their costs, and how each differs from the first. */
void compare_print(const compare_entry *e, size_t n, const skive_dataset_info *info);

/* F1 of each class, those that lose most first. Nothing where there are no classes. */
void compare_print_classes(const compare_entry *e, size_t n, const skive_dataset_info *info);
json_t *compare_classes_json(const skive_eval_report *r); /* of a report with a confusion matrix */

/* --layers: the values inside two models, held against one another. */
skive_status compare_layers(cli_args *a);

/* The same without labels: only how far each model's answers agree with the first one's. */
skive_status compare_answers(cli_args *a, compare_entry *e, size_t n, const char *data, skive_split split);

#endif
