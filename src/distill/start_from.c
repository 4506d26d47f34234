/* The first numbers of a student, taken from a larger network: parameters of the same name and shape, and of numbered
 * layers every n-th (DistilBERT: Sanh et al. 2019, whose student starts from every second layer). */
#include <skive/distill.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "distill/distill.h"
#include "tensor/tensor.h"
#include "train/train.h"

/* A name with one number in it: "block", 3, ".attention.weight". */
typedef struct numbered {
    const char *name, *rest;
    size_t prefix;
    long number;
} numbered;

/* The first number at or behind `from`. */
static bool split(const char *name, size_t from, numbered *out) {
    for (size_t i = from; name[i]; i++) {
        if (!isdigit((unsigned char)name[i])) continue;
        char *end = NULL;
        const long number = strtol(name + i, &end, 10);
        *out = (numbered){.name = name, .rest = end, .prefix = i, .number = number};
        return number < 100000;
    }
    return false;
}

/* The number of the next layer "PREFIX number ..." behind `before` that has parameters; -1: none. */
static long next_layer(const skive_graph *g, const numbered *of, long before) {
    long next = -1;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (!v->storage || strncmp(v->name, of->name, of->prefix) != 0 || !isdigit((unsigned char)v->name[of->prefix]))
            continue;
        const long number = strtol(v->name + of->prefix, NULL, 10);
        if (number < 100000 && number > before && (next < 0 || number < next)) next = number;
    }
    return next;
}

/* How many layers have numbers up to `upto`. */
static size_t layers(const skive_graph *g, const numbered *of, long upto) {
    size_t n = 0;
    for (long at = next_layer(g, of, -1); at >= 0 && at <= upto; at = next_layer(g, of, at)) n++;
    return n;
}

static long number_at(const skive_graph *g, const numbered *of, size_t index) {
    long at = next_layer(g, of, -1);
    while (index-- > 0 && at >= 0) at = next_layer(g, of, at);
    return at;
}

/* The teacher's name for the student's parameter: of layer i of n, layer (i + 1) * N / n - 1 of N. The first number
 * of which the teacher has more is that of the layer: in "stage2.block0" with as many stages that of the block. */
static void name_in(const skive_graph *student, const skive_graph *teacher, const char *name, char *out, size_t size) {
    numbered s;
    (void)snprintf(out, size, "%s", name);
    size_t mine = 0, theirs = 0;
    for (size_t from = 0; split(name, from, &s); from = (size_t)(s.rest - name)) {
        mine = layers(student, &s, 100000);
        theirs = layers(teacher, &s, 100000);
        if (theirs != mine) break;
    }
    if (mine < 1 || theirs <= mine) return;
    const size_t i = layers(student, &s, s.number) - 1, at = ((i + 1) * theirs + mine - 1) / mine - 1;
    (void)snprintf(out, size, "%.*s%ld%s", (int)s.prefix, name, number_at(teacher, &s, at), s.rest);
}

static bool same_type(const skive_type *a, const skive_type *b) {
    bool same = a->dtype == b->dtype && a->rank == b->rank;
    for (int d = 0; same && d < a->rank; d++) same = a->dims[d].size == b->dims[d].size;
    return same;
}

skive_status skive_model_start_from(skive_graph *student, const skive_graph *teacher, size_t *copied) {
    SKV_NEED(student ? student->ctx : NULL, "student, teacher", student, teacher);
    skive_context *ctx = student->ctx;
    size_t n = 0, of = 0;
    const char *first = NULL;
    SKV_TRY(skv_params_unshare(student));
    for (uint32_t i = 0; i < student->n_values; i++) {
        const skive_value *v = student->values[i];
        const skive_tensor *to = skv_value_tensor(v);
        char name[512];
        if (!to || to->dtype != SKIVE_F32 || skive_tensor_count(to) < 2) continue;
        of++;
        name_in(student, teacher, v->name, name, sizeof name);
        const skive_value *u = skive_graph_find_value(teacher, name);
        /* The first block of a stage, with a stride, has shapes of its own. */
        if (!u || !skv_value_tensor(u) || !same_type(&u->type, &v->type)) u = skive_graph_find_value(teacher, v->name);
        const skive_tensor *from = u ? skv_value_tensor(u) : NULL;
        if (!from || !same_type(&u->type, &v->type)) {
            if (!first) first = v->name;
            continue;
        }
        memcpy(to->data, from->data, skive_tensor_bytes(to));
        n++;
    }
    if (copied) *copied = n;
    if (n == 0)
        return SKV_FAIL(ctx, SKIVE_ERR_NOT_FOUND,
                        "no parameter of the student has the name and shape of one of the teacher, such as '%s'",
                        first ? first : "");
    skv_note(ctx, "the student starts with %zu of its %zu parameters from the teacher%s%s%s", n, of,
             first ? "; not with '" : "", first ? first : "", first ? "'" : "");
    return SKIVE_OK;
}
