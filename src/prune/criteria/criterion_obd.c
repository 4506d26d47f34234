/* Optimal brain damage (LeCun, Denker & Solla 1989): the loss grows by h w^2 / 2 when w becomes 0, h being the diagonal
 * of the Hessian. It is estimated from products of the Hessian with vectors of random signs, whose elements times the
 * product have h as mean (Hutchinson 1990; Bekas, Kokiopoulou & Saad 2007). Where h is negative, as it may be before a
 * minimum is reached, it counts as zero. `fisher` has the Fisher matrix in the place of the Hessian. */
#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(16),
    SKV_SCORE_BATCH(64),
    {.name = "draws",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 10,
     .brief = "random vectors from which the diagonal is estimated"},
};

static skive_status look(skv_pruning *p) {
    const int64_t draws = skv_option_integer(&p->criterion_options, "draws");
    skv_look_vector x;
    skive_status status;
    SKV_GO(status, done, skv_look_vector_open(p, &x));
    SKV_GO(status, done, skv_look_room(p));
    for (int64_t d = 0; d < draws; d++) {
        for (size_t i = 0; i < p->n; i++)
            for (int64_t k = 0; k < p->layers[i].n; k++)
                x.v[i][k] = skv_rng_uniform(0x0bd, ((uint64_t)d << 32) + i, (uint64_t)k) < 0.5 ? -1.0f : 1.0f;
        SKV_GO(status, done, skv_look_hessian(p, &x));
        for (size_t i = 0; i < p->n; i++)
            for (int64_t k = 0; k < p->layers[i].n; k++)
                p->layers[i].numbers[0].x[k] += (double)x.v[i][k] * x.out[i][k] / (double)draws;
    }
done:
    skv_look_vector_close(p, &x);
    return status;
}

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) {
        const double h = a->numbers[0].x[i], w = (double)a->weight[i];
        a->score[i] = h > 0 ? (float)(h * w * w / 2) : 0.0f;
    }
    return SKIVE_OK;
}

const skv_criterion skv_criterion_obd = {
    .name = "obd",
    .brief = "second-order change of the loss, by the diagonal of the Hessian (optimal brain damage)",
    SKV_OPTIONS(options),
    .look = look,
    .needs_data = true,
    .score = score,
};
