/* Gradient signal preservation (GraSP, Wang, Zhang & Grosse 2020): w times the product of Hessian and gradient. To
 * first order, without w the squared norm of the gradient, by which training makes progress, falls by twice that. What
 * makes it grow goes first. Meant for a network before training. The paper divides the scores of the model by a
 * temperature of 200 in the loss; here the loss is as it is. */
#include "prune/prune.h"

static const skv_option options[] = {
    SKV_SCORE_BATCHES(1),
    SKV_SCORE_BATCH(128),
};

static skive_status look(skv_pruning *p) {
    skv_look_vector x;
    skive_status status;
    SKV_GO(status, done, skv_look_vector_open(p, &x));
    SKV_GO(status, done, skv_look_room(p));
    SKV_GO(status, done, skv_look_gradient(p, &x));
    SKV_GO(status, done, skv_look_hessian(p, &x));
    for (size_t i = 0; i < p->n; i++)
        for (int64_t k = 0; k < p->layers[i].n; k++)
            p->layers[i].numbers[0].x[k] = (double)p->layers[i].weight[k] * x.out[i][k];
    skv_look_shift(p);
done:
    skv_look_vector_close(p, &x);
    return status;
}

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = (float)a->numbers[0].x[i];
    return SKIVE_OK;
}

const skv_criterion skv_criterion_grasp = {
    .name = "grasp",
    .brief = "weight times Hessian times gradient, for networks before training",
    SKV_OPTIONS(options),
    .look = look,
    .needs_data = true,
    .score = score,
};
