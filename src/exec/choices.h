/* Kernels chosen by measuring: what the planner asks. */
#ifndef SKV_CHOICES_H
#define SKV_CHOICES_H

#include <skive/choices.h>

#include "kernels/kernel.h"

typedef struct skv_choice {
    uint64_t key;
    char *op, *kernel, *usual;
    double seconds, usual_seconds;
} skv_choice;

struct skive_kernel_choices {
    skive_context *ctx;
    skv_choice *items;
    size_t n, capacity;
    /* While kernels are measured: every node takes the one that is so many places behind the first that applies, if
     * there are so many; `others` counts those that did. */
    size_t rank, others;
};

/* Operator, attributes, types, what is constant and the threads of a node. Layouts are left to the kernels. */
uint64_t skv_choice_key(const skv_kernel_node *k);
/* The kernel that was chosen for a node of this key, NULL if none. */
const char *skv_choice_find(const skive_kernel_choices *c, uint64_t key);
skive_status skv_choice_add(skive_kernel_choices *c, const skv_choice *like); /* copies the texts */
void skv_choices_clear(skive_kernel_choices *c);
skive_kernel_choices *skv_context_choices(const skive_context *ctx); /* NULL: the usual kernels */

#endif
