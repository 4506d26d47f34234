/* Orders in which samples join, by class and by difficulty. */
#include <stdlib.h>

#include "train/curriculum.h"

skive_status skv_curriculum_take_turns(const skv_curriculum_site *at, uint32_t *order) {
    const size_t n = at->info.count, classes = (size_t)at->info.classes;
    uint32_t *shuffled = NULL, *next = NULL;
    size_t *first = NULL;
    int64_t label;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(at->ctx, n + 1, sizeof *shuffled, &shuffled));
    SKV_GO(status, done, skv_alloc_array(at->ctx, n + 1, sizeof *next, &next));
    SKV_GO(status, done, skv_alloc_array(at->ctx, classes + 1, sizeof *first, &first));
    skv_curriculum_shuffle(at, shuffled);
    /* Of each class a chain of its samples; built from the back, it keeps their order. */
    for (size_t i = n; i-- > 0;) {
        SKV_GO(status, done, skive_dataset_read(at->ctx, at->set, shuffled[i], NULL, &label));
        next[i] = (uint32_t)first[label];
        first[label] = i + 1;
    }
    for (size_t k = 0; k < n;) {
        for (size_t c = 0; c < classes; c++) {
            if (!first[c]) continue;
            const size_t i = first[c] - 1;
            order[k++] = shuffled[i];
            first[c] = next[i];
        }
    }
done:
    skv_free(at->ctx, first);
    skv_free(at->ctx, next);
    skv_free(at->ctx, shuffled);
    return status;
}

/* ---- by difficulty ---- */

typedef struct ranked {
    int64_t label;
    float difficulty;
    double place; /* within the class, 0 to 1 */
    uint32_t index;
} ranked;

static int by_class(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->label != y->label) return x->label < y->label ? -1 : 1;
    if (x->difficulty != y->difficulty) return x->difficulty < y->difficulty ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int by_place(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    if (x->label != y->label) return x->label < y->label ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

skive_status skv_curriculum_by_difficulty(const skv_curriculum_site *at, const float *difficulty, uint32_t *order) {
    const size_t n = at->info.count;
    ranked *all = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(at->ctx, n + 1, sizeof *all, &all));
    for (size_t i = 0; i < n; i++) {
        all[i] = (ranked){.index = (uint32_t)i, .difficulty = difficulty[i]};
        SKV_GO(status, done, skive_dataset_read(at->ctx, at->set, i, NULL, &all[i].label));
    }
    qsort(all, n, sizeof *all, by_class);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first; end < n && all[end].label == all[first].label; end++) {
        }
        for (size_t i = first; i < end; i++) all[i].place = ((double)(i - first) + 0.5) / (double)(end - first);
    }
    qsort(all, n, sizeof *all, by_place);
    for (size_t i = 0; i < n; i++) order[i] = all[i].index;
    status = SKIVE_OK;
done:
    skv_free(at->ctx, all);
    return status;
}
