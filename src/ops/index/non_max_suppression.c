/* NonMaxSuppression: for each class, boxes by descending score, without those that overlap a selected one by more than
 * the threshold. Rows of the result: batch, class, box. */
#include <stdlib.h>

#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {{"center_point_box", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    SKV_TRY(skv_want_rank(c, 0, 3, 3));
    SKV_TRY(skv_want_rank(c, 1, 3, 3));
    const int64_t n[2] = {skv_in_dim(c, 0, 1), skv_in_dim(c, 1, 2)},
                  batch[2] = {skv_in_dim(c, 0, 0), skv_in_dim(c, 1, 0)}, four = skv_in_dim(c, 0, 2);
    if ((n[0] >= 0 && n[1] >= 0 && n[0] != n[1]) || (batch[0] >= 0 && batch[1] >= 0 && batch[0] != batch[1]) ||
        (four >= 0 && four != 4))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "node '%s': boxes [batch][n][4] and scores [batch][classes][n] do not match",
                              c->node->name);
    c->out[0] = (skive_type){.dtype = SKIVE_I64, .rank = 2, .dims = {skv_dim_unknown(), skv_dim(3)}};
    return SKIVE_OK;
}

typedef struct box {
    float y0, x0, y1, x1, area;
} box;

static box box_of(const float *p, bool centre) {
    box b;
    if (centre) {
        b = (box){p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2, 0};
    } else { /* any two opposite corners */
        b = (box){fminf(p[0], p[2]), fminf(p[1], p[3]), fmaxf(p[0], p[2]), fmaxf(p[1], p[3]), 0};
    }
    b.area = (b.y1 - b.y0) * (b.x1 - b.x0);
    return b;
}

static bool overlaps(const box *a, const box *b, float threshold) {
    const float height = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0), width = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0);
    if (height <= 0 || width <= 0 || a->area <= 0 || b->area <= 0) return false;
    const float common = height * width;
    return common / (a->area + b->area - common) > threshold;
}

static int by_score(const void *p, const void *q, void *scores) {
    const int64_t i = *(const int64_t *)p, j = *(const int64_t *)q;
    const float a = ((const float *)scores)[i], b = ((const float *)scores)[j];
    return a != b ? (a < b) - (a > b) : (i > j) - (i < j);
}

typedef struct limits {
    int64_t most;
    float overlap, score;
    bool scored; /* is there a minimum score? */
} limits;

/* One class: appends the indices of the selected boxes. `order` and `taken`: scratch of n. */
static int64_t select_boxes(const box *boxes, const float *scores, int64_t n, const limits *l, int64_t *order,
                            int64_t *taken) {
    int64_t candidates = 0, count = 0;
    for (int64_t i = 0; i < n; i++)
        if (!l->scored || scores[i] > l->score) order[candidates++] = i;
    qsort_r(order, (size_t)candidates, sizeof *order, by_score, (void *)(uintptr_t)scores);
    for (int64_t k = 0; k < candidates && count < l->most; k++) {
        bool hidden = false;
        for (int64_t j = 0; j < count && !hidden; j++)
            hidden = overlaps(&boxes[taken[j]], &boxes[order[k]], l->overlap);
        if (!hidden) taken[count++] = order[k];
    }
    return count;
}

static double scalar(const skv_eval *c, size_t i, double otherwise) {
    const skive_tensor *t = i < c->n_in ? c->in[i] : NULL;
    return t && skive_tensor_count(t) > 0 ? skive_tensor_get(t, 0) : otherwise;
}

/* Writes rows to `out` if it is not NULL; returns their number. */
static skive_status suppress(const skv_eval *c, int64_t *out, int64_t *rows) {
    const skive_tensor *boxes = c->in[0], *scores = c->in[1];
    const int64_t batches = boxes->dims[0], n = boxes->dims[1], classes = scores->dims[1];
    const double most = scalar(c, 2, 0);
    const limits l = {most > (double)n ? n : (int64_t)most, (float)scalar(c, 3, 0), (float)scalar(c, 4, 0),
                      c->n_in > 4 && c->in[4]};
    const bool centre = skv_attr_int(c->node, "center_point_box", 0) != 0;
    const skive_dtype t = boxes->dtype;
    box *b = NULL;
    float *score = NULL; /* of one class */
    int64_t *order = NULL, *taken = NULL;
    skive_status status;
    *rows = 0;
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *b, &b));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *score, &score));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *order, &order));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *taken, &taken));
    for (int64_t i = 0; i < batches; i++) {
        for (int64_t k = 0; k < n; k++) {
            float corner[4];
            for (int64_t j = 0; j < 4; j++)
                corner[j] = (float)skv_load_f64(t, boxes->data, (size_t)((i * n + k) * 4 + j));
            b[k] = box_of(corner, centre);
        }
        for (int64_t k = 0; k < classes; k++) {
            for (int64_t j = 0; j < n; j++)
                score[j] = (float)skv_load_f64(t, scores->data, (size_t)((i * classes + k) * n + j));
            const int64_t count = select_boxes(b, score, n, &l, order, taken);
            for (int64_t j = 0; out && j < count; j++) {
                int64_t *row = out + 3 * (*rows + j);
                row[0] = i;
                row[1] = k;
                row[2] = taken[j];
            }
            *rows += count;
        }
    }
done:
    skv_free(c->ctx, b);
    skv_free(c->ctx, score);
    skv_free(c->ctx, order);
    skv_free(c->ctx, taken);
    return status;
}

static skive_status size_outputs(const skv_eval *c, skive_type *types) {
    int64_t rows;
    SKV_TRY(suppress(c, NULL, &rows));
    types[0].dims[0] = skv_dim(rows);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    int64_t rows;
    return suppress(c, c->out[0]->data, &rows);
}

static const skv_op_case cases[] = {
    {.name = "one of two that overlap, and one apart",
     CASE_IN({CASE_F32(1, 3, 4), CASE_VALUES(0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 10, 1, 11)},
             {CASE_F32(1, 1, 3), CASE_VALUES(0.75, 0.9, 0.6)}, {CASE_SCALAR(SKIVE_I64, 3), .constant = true},
             {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true}, {CASE_SCALAR(SKIVE_F32, 0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0, 0, 1, 0, 0, 2),
     CASE_OUT(2, 3)},
};

const skv_op skv_op_non_max_suppression = {
    .name = "NonMaxSuppression",
    .domain = "",
    .brief = "boxes that do not overlap a better one",
    .since = 11,
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .size_outputs = size_outputs,
    .run = run,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
