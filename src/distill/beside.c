/* Students side by side in one graph: those that learn from one another, and those that each learn a task. */
#include <stdio.h>
#include <string.h>

#include "distill/distill.h"
#include "train/train.h"

static bool same_input(const skive_graph *a, const skive_graph *b, skive_context *ctx) {
    skv_text mine, theirs;
    skv_text_init(&mine, ctx);
    skv_text_init(&theirs, ctx);
    skv_settings_input(&mine, "", a);
    skv_settings_input(&theirs, "", b);
    bool same = mine.status == SKIVE_OK && theirs.status == SKIVE_OK && strcmp(mine.data, theirs.data) == 0 &&
                a->n_inputs == b->n_inputs;
    for (uint32_t i = 0; same && i < a->n_inputs; i++) {
        const skive_type *x = &a->inputs[i]->type, *y = &b->inputs[i]->type;
        same = x->dtype == y->dtype && x->rank == y->rank;
        for (int d = 0; same && d < x->rank; d++) same = x->dims[d].size == y->dims[d].size;
    }
    skv_text_free(&mine);
    skv_text_free(&theirs);
    return same;
}

skive_status skv_beside_check(skive_context *ctx, skive_graph *const *students, size_t n) {
    if (n < 2 || n > SKV_BESIDE_MOST)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "n", "%zu students; there may be 2 to %d in one run", n,
                           (int)SKV_BESIDE_MOST);
    for (size_t i = 0; i < n; i++) {
        if (!students[i]) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "students", "student %zu is missing", i + 1);
        if (!same_input(students[0], students[i], ctx))
            return SKV_FAIL(ctx, SKIVE_ERR_SHAPE,
                            "students 1 and %zu take other inputs, or with other settings; those of one run see the "
                            "same samples",
                            i + 1);
    }
    return SKIVE_OK;
}

skive_status skv_beside_add(skv_beside *b, skive_graph *copy, skive_value **answer) {
    skive_value **map = NULL;
    const size_t i = b->n++;
    b->prefixes[i][0] = '\0';
    if (i == 0) {
        b->all = copy;
        return SKIVE_OK;
    }
    (void)snprintf(b->prefixes[i], sizeof b->prefixes[i], "student%zu.", i + 1);
    const skive_status status = skv_graph_merge(b->all, copy, b->prefixes[i], b->all->inputs, &map);
    for (uint32_t k = 0; status == SKIVE_OK && k < copy->n_values; k++)
        if (map[k]) map[k]->trainable = copy->values[k]->trainable;
    if (status == SKIVE_OK) *answer = map[(*answer)->id];
    skv_free(b->ctx, map);
    skive_graph_free(copy);
    return status;
}

void skv_beside_take_back(const skv_beside *b, skive_graph *student, size_t i) {
    for (uint32_t k = 0; k < student->n_values; k++) {
        skive_value *v = student->values[k];
        const skive_tensor *mine = skv_value_tensor(v);
        char name[600];
        if (!mine) continue;
        (void)snprintf(name, sizeof name, "%s%s", b->prefixes[i], v->name);
        const skive_value *there = skive_graph_find_value(b->all, name);
        const skive_tensor *t = there ? skv_value_tensor(there) : NULL;
        if (t && t->dtype == mine->dtype && t->dtype != SKIVE_STRING &&
            skive_tensor_bytes(t) == skive_tensor_bytes(mine))
            memcpy(v->storage->tensor.data, t->data, skive_tensor_bytes(t));
    }
}
