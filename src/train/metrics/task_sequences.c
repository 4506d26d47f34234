/* Sequences: what the best class of each step says, and its distance from what is true. */
#include <math.h>
#include <string.h>

#include "graph/op.h"
#include "ops/loss/common_ctc.h"
#include "train/metrics.h"

static skive_status start(skv_metrics *m) {
    skv_scored *s = m->s;
    const size_t n = (size_t)s->n + 1;
    s->classes = m->width;
    s->targets = m->targets->size;
    m->shares = skv_node_is(m->head->value->producer, SKV_OP_SOFTMAX);
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *m->r->hit, &m->r->hit));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->distance, &s->distance));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->length, &s->length));
    const int64_t steps = s->scores / s->classes;
    const int64_t doubles = s->scores + skv_ctc_room(steps, s->targets) + s->targets + steps + 2;
    return skv_alloc_array(m->ctx, (size_t)doubles + (size_t)(s->targets + steps), sizeof *m->room, &m->room);
}

/* Repetitions fall together, then blanks go. */
static int64_t decode(const float *row, int64_t steps, int64_t classes, int64_t blank, int64_t *out) {
    int64_t n = 0, last = -1;
    for (int64_t t = 0; t < steps; t++, row += classes) {
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++) best = row[k] > row[best] ? k : best;
        if (best != last && best != blank) out[n++] = best;
        last = best;
    }
    return n;
}

/* One row of the table of distances of beginnings at a time; `room` holds m + 1 numbers. */
static int64_t edits(const int64_t *a, int64_t n, const int64_t *b, int64_t m, int64_t *room) {
    for (int64_t k = 0; k <= m; k++) room[k] = k;
    for (int64_t i = 1; i <= n; i++) {
        int64_t corner = room[0];
        room[0] = i;
        for (int64_t k = 1; k <= m; k++) {
            const int64_t above = room[k], replaced = corner + (a[i - 1] != b[k - 1]);
            const int64_t gap = (above < room[k - 1] ? above : room[k - 1]) + 1;
            room[k] = replaced < gap ? replaced : gap;
            corner = above;
        }
    }
    return room[m];
}

static void log_softmax(const float *row, int64_t classes, bool probabilities, double *out) {
    double most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < classes; k++) {
        out[k] = probabilities ? log((double)row[k]) : (double)row[k];
        most = out[k] > most ? out[k] : most;
    }
    for (int64_t k = 0; k < classes; k++) sum += exp(out[k] - most);
    for (int64_t k = 0; k < classes; k++) out[k] -= most + log(sum);
}

static void add(skv_metrics *m, size_t i, const float *row, int64_t label, const float *target) {
    skv_scored *s = m->s;
    skive_eval_report *r = m->r;
    const int64_t all = s->scores / s->classes, steps = m->head->lengths ? m->steps : all;
    const int64_t blank = m->head->kind == SKIVE_OUTPUT_CTC_LAST ? s->classes - 1 : 0;
    double *log_p = m->room, *rest = log_p + s->scores;
    int64_t *truth = (int64_t *)(rest + skv_ctc_room(all, s->targets)), *said = truth + s->targets, n = 0;
    int64_t *table = said + steps;
    bool known = true;
    (void)label;
    for (; n < s->targets && target[n] >= 0; n++) {
        truth[n] = (int64_t)target[n];
        known = known && truth[n] < s->classes && truth[n] != blank && (float)truth[n] == target[n];
    }
    const int64_t length = decode(row, steps, s->classes, blank, said);
    s->length[i] = (int32_t)n;
    s->distance[i] = (int32_t)edits(said, length, truth, n, table);
    r->hit[i] = s->distance[i] == 0;
    r->correct += r->hit[i];
    for (int64_t t = 0; t < steps; t++)
        log_softmax(row + t * s->classes, s->classes, m->shares, log_p + t * s->classes);
    r->error[i] = known ? skv_ctc(log_p, steps, s->classes, truth, n, blank, rest, NULL) : (double)INFINITY;
    if (r->error[i] < INFINITY) return;
    r->error[i] = NAN;
    m->impossible++;
}

static skive_status finish(skv_metrics *m) {
    skv_free(m->ctx, m->room);
    m->room = NULL;
    if (m->impossible)
        skv_note(m->ctx,
                 "%lld sample%s with more labels than steps, or labels that the model does not have: not in the "
                 "cross-entropy",
                 (long long)m->impossible, m->impossible == 1 ? "" : "s");
    return SKIVE_OK;
}

const skv_task_count skv_count_sequences = {start, add, finish};
