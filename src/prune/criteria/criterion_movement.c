/* Movement (Sanh, Wolf & Rush 2020): minus the sum of rate times w times gradient over the steps of fine-tuning. A
 * weight that training moves away from zero scores high, one that it moves towards zero goes first, however large it
 * is. A copy of the model is trained for it, with the options of fine-tuning; at a gradual schedule anew before each
 * step. */
#include "prune/prune.h"

static const skv_option options[] = {
    {.name = "epochs",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 1,
     .brief = "of training over which the movement is summed"},
};

static skive_status sum_up(void *self, skv_trainer *t, skv_step *step) {
    const skv_pruning *p = self;
    for (size_t i = 0; i < p->n; i++) {
        const skv_param *of = skv_trainer_find(t, p->layers[i].value->name);
        double *x = p->layers[i].numbers[0].x;
        if (!of || of->n != p->layers[i].n) continue;
        for (int64_t k = 0; k < of->n; k++) x[k] -= step->rate * (double)of->weight[k] * (double)of->gradient[k];
    }
    return SKIVE_OK;
}

static skive_status look(skv_pruning *p) {
    skive_train_options o = *p->o->finetune;
    skive_graph *copy = NULL;
    skive_status status;
    o.epochs = (int)skv_option_integer(&p->criterion_options, "epochs");
    o.checkpoint = o.checkpoint_every = o.resume = o.log = o.tensorboard = o.regularize = o.best = NULL;
    o.patience = 0;
    SKV_GO(status, done, skv_look_room(p));
    SKV_GO(status, done, skive_graph_copy(p->ctx, p->work, &copy));
    const skv_step_hook hook = {.name = "movement", .inspect = sum_up, .self = p};
    const skv_fit fit = {.model = copy,
                         .train = p->train,
                         .options = &o,
                         .objective = &skv_objective_labels,
                         .hooks = &hook,
                         .n_hooks = 1,
                         .what = "score"};
    SKV_GO(status, done, skv_fit_run(p->ctx, &fit, NULL));
    skv_look_shift(p);
done:
    skive_graph_free(copy);
    return status;
}

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = (float)a->numbers[0].x[i];
    return SKIVE_OK;
}

const skv_criterion skv_criterion_movement = {
    .name = "movement",
    .brief = "how far fine-tuning moves the weight away from zero",
    SKV_OPTIONS(options),
    .look = look,
    .needs_data = true,
    .score = score,
};
