/* Coupling of ops that read the same elements in another shape, and helpers of `shrink`. */
#include "ops/common_shape.h"

/* ---- reshapes ---- */

static const char *const mixed = "a reshape mixes this axis with others";

/* A run of axes of one side: those of length 1 left out. */
typedef struct side {
    skv_slot axis[SKIVE_MAX_RANK];
    int64_t below[SKIVE_MAX_RANK + 1]; /* below[i]: product of the sizes of axes i .. */
    int n;
} side;

static side side_of(const skive_type *t, int first, int end, bool is_output) {
    side s = {.n = 0};
    for (int a = first; a < end; a++)
        if (t->dims[a].size != 1) s.axis[s.n++] = (skv_slot){is_output, 0, a};
    s.below[s.n] = 1;
    for (int i = s.n; i-- > 0;) s.below[i] = s.below[i + 1] * t->dims[s.axis[i].axis].size;
    return s;
}

/* The common refinement of two sides: every place where an axis of one of them begins. False if a part of one is not a
 * whole number of parts of the other. */
static bool refine(const side *a, const side *b, int64_t below[2 * SKIVE_MAX_RANK + 1], int *n) {
    int i = 0, k = 0;
    *n = 0;
    while (i <= a->n || k <= b->n) {
        const int64_t x = i <= a->n ? a->below[i] : 0, y = k <= b->n ? b->below[k] : 0, next = x > y ? x : y;
        i += x == next;
        k += y == next;
        if (*n > 0 && below[*n - 1] % next != 0) return false;
        below[(*n)++] = next;
    }
    --*n;
    return true;
}

/* `axis` is factors first .. end - 1. */
static void couple_factors(skv_couple *c, skv_slot axis, const skv_slot *factor, const int64_t *below, int first,
                           int end) {
    if (end - first == 1) {
        skv_couple_same(c, axis, factor[first]);
        return;
    }
    const bool last = end - first == 2;
    const skv_slot rest = last ? factor[end - 1] : skv_couple_factor(c, below[first + 1] / below[end]);
    if (!last) couple_factors(c, rest, factor, below, first + 1, end);
    skv_couple_product(c, axis, 0, factor[first], rest);
}

/* One run of input axes [i0, i1) with the same elements as the output axes [o0, o1). */
static void couple_run(skv_couple *c, const skive_type *in, int i0, int i1, const skive_type *out, int o0, int o1) {
    const side sides[2] = {side_of(in, i0, i1, false), side_of(out, o0, o1, true)};
    int64_t below[2 * SKIVE_MAX_RANK + 1];
    skv_slot factor[2 * SKIVE_MAX_RANK];
    bool known[2 * SKIVE_MAX_RANK] = {false};
    int n, first[2][SKIVE_MAX_RANK + 1];
    for (int a = i0; a < i1; a++) skv_couple_free(c, SKV_CIN(0, a));
    for (int a = o0; a < o1; a++) skv_couple_free(c, SKV_COUT(0, a));
    if (!refine(&sides[0], &sides[1], below, &n)) {
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < sides[s].n; i++) skv_couple_fix(c, sides[s].axis[i], mixed);
        return;
    }
    for (int s = 0; s < 2; s++) {
        for (int i = 0, at = 0; i <= sides[s].n; i++) {
            while (below[at] != sides[s].below[i]) at++;
            first[s][i] = at;
        }
        for (int i = 0; i < sides[s].n; i++) { /* an axis that is one factor stands for it */
            if (first[s][i + 1] - first[s][i] != 1 || known[first[s][i]]) continue;
            factor[first[s][i]] = sides[s].axis[i];
            known[first[s][i]] = true;
        }
    }
    for (int i = n; i-- > 0;)
        if (!known[i]) factor[i] = skv_couple_factor(c, below[i] / below[i + 1]);
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < sides[s].n; i++)
            couple_factors(c, sides[s].axis[i], factor, below, first[s][i], first[s][i + 1]);
}

/* The ends of the axes that are left to be matched. */
typedef struct rest {
    int i, i_end, o, o_end;
} rest;

/* Behind a size that is not known on one side, its last axis may be the inner part of the other's: batch x heads x
 * width from batch and channels. The outer part is within the open axis and stays. */
static bool take_inner(skv_couple *c, const skive_type *in, const skive_type *out, rest *r) {
    if (r->i == r->i_end || r->o == r->o_end) return false;
    const int64_t a = in->dims[r->i_end - 1].size, b = out->dims[r->o_end - 1].size;
    const bool open_in = b > a; /* heads are in an axis of the input */
    const skv_slot x = SKV_CIN(0, r->i_end - 1), y = SKV_COUT(0, r->o_end - 1);
    if (a < 2 || b < 2 || a == b || (open_in ? b % a : a % b)) return false;
    if (open_in ? r->i_end - r->i < 2 || in->dims[r->i_end - 2].size >= 0
                : r->o_end - r->o < 2 || out->dims[r->o_end - 2].size >= 0)
        return false;
    const skv_slot outer = skv_couple_factor(c, open_in ? b / a : a / b);
    skv_couple_fix(c, outer, "it is part of an axis whose size is open");
    skv_couple_free(c, x);
    skv_couple_free(c, y);
    skv_couple_product(c, open_in ? y : x, 0, outer, open_in ? x : y);
    r->i_end--;
    r->o_end--;
    return true;
}

/* Takes axes from the front or the back of both sides until their sizes agree. False, and nothing is taken, if that
 * does not happen before a size that is not known. */
static bool take_run(skv_couple *c, const skive_type *in, const skive_type *out, rest *r, bool front) {
    rest at = *r;
    int64_t pi = 1, po = 1;
    int taken_in = 0, taken_out = 0;
    while (at.i < at.i_end || at.o < at.o_end) {
        const bool take_in = at.o == at.o_end || (at.i < at.i_end && (pi <= po));
        const skive_dim d = take_in ? in->dims[front ? at.i++ : --at.i_end] : out->dims[front ? at.o++ : --at.o_end];
        if (d.size <= 0 || !skv_mul_i64(take_in ? pi : po, d.size, take_in ? &pi : &po)) return false;
        taken_in += take_in;
        taken_out += !take_in;
        if (pi != po || taken_in == 0 || taken_out == 0) continue;
        if (front)
            couple_run(c, in, r->i, at.i, out, r->o, at.o);
        else
            couple_run(c, in, at.i_end, r->i_end, out, at.o_end, r->o_end);
        *r = at;
        return true;
    }
    if (pi != po) return false;
    couple_run(c, in, r->i, r->i_end, out, r->o, r->o_end);
    r->i = r->i_end;
    r->o = r->o_end;
    return true;
}

void skv_couple_reshape(skv_couple *c) {
    const skive_type *in = skv_couple_type(c, SKV_CIN(0, 0)), *out = skv_couple_type(c, SKV_COUT(0, 0));
    if (!in || !out || in->rank < 0 || out->rank < 0) {
        skv_couple_fix_all(c, "a shape before or after a reshape is unknown");
        return;
    }
    rest r = {0, in->rank, 0, out->rank};
    for (;;) {
        /* The same symbol on both sides is the same axis, and none of channels. */
        if (r.i < r.i_end && r.o < r.o_end && in->dims[r.i].size < 0 && skv_dim_same(in->dims[r.i], out->dims[r.o])) {
            r.i++;
            r.o++;
        } else if ((r.i == r.i_end && r.o == r.o_end) || !take_run(c, in, out, &r, true)) {
            break;
        }
    }
    /* What lies behind the unknown sizes is in the same order on both sides. */
    while ((r.i < r.i_end || r.o < r.o_end) && take_run(c, in, out, &r, false)) continue;
    (void)take_inner(c, in, out, &r);
    static const char *const unknown = "the sizes before or after a reshape are unknown";
    for (int a = r.i; a < r.i_end; a++) skv_couple_fix(c, SKV_CIN(0, a), unknown);
    for (int a = r.o; a < r.o_end; a++) skv_couple_fix(c, SKV_COUT(0, a), unknown);
}

/* ---- lists of sizes ---- */

bool skv_couple_constant(skv_couple *c, int input) {
    if (!skv_node_in(skv_couple_node(c), (size_t)input)) return true;
    if (skv_node_constant(skv_couple_node(c), (size_t)input)) return true;
    skv_couple_fix_all(c, SKV_COMPUTED_SIZES);
    return false;
}

int skv_shrink_read(const skv_shrink *s, size_t input, int64_t list[SKIVE_MAX_RANK]) {
    const skive_tensor *t = skv_node_constant(skv_shrink_node(s), input);
    return t ? skv_read_ints(t, list, SKIVE_MAX_RANK) : -1;
}

skive_status skv_shrink_sizes(const skv_shrink *s, size_t input, const int64_t *axes) {
    const skive_type *y = skv_shrink_type(s, SKV_COUT(0, 0));
    int64_t list[SKIVE_MAX_RANK];
    const int n = skv_shrink_read(s, input, list);
    bool changed = false;
    if (n < 0 || !y) return SKIVE_OK; /* inference says whether that is right */
    for (int i = 0; i < n; i++) {
        const int axis = axes ? (int)axes[i] : i + y->rank - n;
        const skv_remaining k = skv_shrink_remaining(s, SKV_COUT(0, axis));
        if (!k.keep || list[i] < 0 || (list[i] != k.before && list[i] != 0)) continue;
        list[i] = k.after;
        changed = true;
    }
    return changed ? skv_shrink_list(s, input, list, (size_t)n) : SKIVE_OK;
}
