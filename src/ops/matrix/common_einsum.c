/* See common_einsum.h. */
#include "ops/matrix/common_einsum.h"

#include <ctype.h>
#include <string.h>

typedef struct parser {
    skv_einsum *e;
    int by_letter[128];               /* label, -1 */
    int uses[128];                    /* in the terms */
    int dots[SKIVE_MAX_RANK], widest; /* labels under "...", counted from the right */
} parser;

static int new_label(parser *p, bool may_broadcast) {
    if (p->e->n_labels == SKV_EINSUM_LABELS) return -1;
    p->e->may_broadcast[p->e->n_labels] = may_broadcast;
    return p->e->n_labels++;
}

/* The number of axes of "..." in a term of `rank`; -1: the term does not match. */
static int dots_in(const char *text, size_t length, int rank, bool *has) {
    int letters = 0;
    *has = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') continue;
        if (text[i] == '.') {
            if (*has || i + 2 >= length || text[i + 1] != '.' || text[i + 2] != '.') return -1;
            *has = true;
            i += 2;
            continue;
        }
        if (!isalpha((unsigned char)text[i])) return -1;
        letters++;
    }
    if (*has ? rank < letters : rank != letters) return -1;
    return rank - letters;
}

static const char *read_term(parser *p, const char *text, size_t length, int number, int rank) {
    bool has;
    const int dots = dots_in(text, length, rank, &has);
    int axis = 0;
    if (dots < 0) return "a term does not match the rank of its operand";
    for (; p->widest < dots; p->widest++)
        if ((p->dots[p->widest] = new_label(p, true)) < 0) return "it has too many labels";
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') continue;
        if (text[i] == '.') {
            for (int d = dots - 1; d >= 0; d--) p->e->term[number][axis++] = p->dots[d];
            i += 2;
            continue;
        }
        int *label = &p->by_letter[(unsigned char)text[i]];
        if (*label < 0 && (*label = new_label(p, false)) < 0) return "it has too many labels";
        p->uses[(unsigned char)text[i]]++;
        p->e->term[number][axis++] = *label;
    }
    p->e->rank[number] = rank;
    return NULL;
}

static const char *give(parser *p, int label) {
    if (label < 0) return "a label of the result is in no term";
    for (int i = 0; i < p->e->n_out; i++)
        if (p->e->out[i] == label) return "a label occurs twice in the result";
    if (p->e->n_out == SKIVE_MAX_RANK) return "the result has too many axes";
    p->e->out[p->e->n_out++] = label;
    return NULL;
}

static const char *read_result(parser *p, const char *text) {
    const char *why = NULL;
    for (; *text && !why; text++) {
        if (*text == ' ') continue;
        if (strncmp(text, "...", 3) == 0) {
            for (int d = p->widest - 1; d >= 0 && !why; d--) why = give(p, p->dots[d]);
            text += 2;
        } else {
            why = isalpha((unsigned char)*text) ? give(p, p->by_letter[(unsigned char)*text])
                                                : "the result contains an invalid label";
        }
    }
    return why;
}

/* The implicit result: the axes of "...", then the letters that occur once, in alphabetical order. */
static const char *implied_result(parser *p) {
    const char *why = NULL;
    for (int d = p->widest - 1; d >= 0 && !why; d--) why = give(p, p->dots[d]);
    for (int letter = 0; letter < 128 && !why; letter++)
        if (p->uses[letter] == 1) why = give(p, p->by_letter[letter]);
    return why;
}

const char *skv_einsum_parse(const char *equation, int n_terms, const int *ranks, skv_einsum *e) {
    parser p = {.e = e};
    const char *arrow = strstr(equation, "->"), *end = arrow ? arrow : equation + strlen(equation), *at = equation,
               *why = NULL;
    *e = (skv_einsum){0};
    for (int i = 0; i < 128; i++) p.by_letter[i] = -1;
    if (n_terms > SKV_EINSUM_TERMS) return "it has too many terms";
    while (!why) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        if (e->n_terms == n_terms) return "it has more terms than operands";
        why = read_term(&p, at, (size_t)(stop - at), e->n_terms, ranks[e->n_terms]);
        e->n_terms++;
        if (!comma) break;
        at = comma + 1;
    }
    if (why) return why;
    if (e->n_terms != n_terms) return "it has fewer terms than operands";
    return arrow ? read_result(&p, arrow + 2) : implied_result(&p);
}
