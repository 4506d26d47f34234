/* ReduceProdGrad(dY, X): dY times the product of the other elements of the cell. It is right where elements are zero,
 * too: with one zero, only that element has a gradient; with more, none has. dY has X's rank, with 1 along the reduced
 * axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_reduce_want_cells(c, 0));
    c->out[0] = *c->in[1];
    return SKIVE_OK;
}

/* Of a cell: how many elements are zero, and the product of the others. */
typedef struct cell {
    double product;
    int64_t zeros;
} cell;

static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *x = c->in[1];
    const int64_t n = skive_tensor_count(x), n_cells = skive_tensor_count(dy);
    cell *cells = NULL;
    skv_walk w;
    SKV_TRY(skv_walk_start(&w, c, x->rank, x->dims, c->in, 2));
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)n_cells + 1, sizeof *cells, &cells));
    for (int64_t i = 0; i < n_cells; i++) cells[i] = (cell){1, 0};
    for (int64_t i = 0; i < n; i++, skv_walk_next(&w)) {
        const double v = skive_tensor_get(x, (int64_t)w.at[1]);
        cell *to = &cells[w.at[0]];
        if (v == 0)
            to->zeros++;
        else
            to->product *= v;
    }
    skive_status status = skv_walk_start(&w, c, x->rank, x->dims, c->in, 2);
    for (int64_t i = 0; status == SKIVE_OK && i < n; i++, skv_walk_next(&w)) {
        const double v = skive_tensor_get(x, (int64_t)w.at[1]);
        const cell *of = &cells[w.at[0]];
        const double others = of->zeros == 0 ? of->product / v : of->zeros == 1 && v == 0 ? of->product : 0;
        skive_tensor_set(c->out[0], i, skive_tensor_get(dy, (int64_t)w.at[0]) * others);
    }
    skv_free(c->ctx, cells);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "without, with one and with two zeros",
     CASE_IN({CASE_F32(3, 1), CASE_VALUES(10, 1, 1)}, {CASE_F32(3, 3), CASE_VALUES(2, 3, 4, 2, 0, 5, 0, 0, 7)}),
     .n_out = 1,
     CASE_EXPECT(120, 80, 60, 0, 10, 0, 0, 0, 0),
     .no_grad = true},
};

const skv_op skv_op_reduce_prod_grad = {
    .name = "ReduceProdGrad",
    .brief = "gradient of ReduceProd",
    .domain = SKV_DOMAIN,
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
