/* Losses, optimizers and schedules against numbers computed by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "train/train.h"

#include <cmocka.h>

/* ---- losses ---- */

typedef struct loss_case {
    const char *loss;
    double smoothing, temperature;
    int64_t n, classes;
    const double *logits, *teacher; /* [n][classes]; teacher NULL: none */
    const int64_t *labels;          /* [n], or NULL: targets */
    const double *targets;          /* [n][classes] */
    double expected;
    const double *gradient; /* [n][classes], with respect to the logits */
} loss_case;

static skive_value *input(skive_context *ctx, skive_graph *g, const char *name, const skive_tensor *t) {
    const skive_type type = skive_type_make(t->dtype, t->rank, t->dims);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_input(g, name, &type, &v));
    return v;
}

static skive_tensor table(skive_context *ctx, skive_dtype dtype, int64_t n, int64_t classes, const double *values) {
    const int64_t dims[2] = {n, classes};
    skive_tensor t;
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, 2, dims, &t));
    for (int64_t i = 0; i < n * classes; i++) skive_tensor_set(&t, i, values[i]);
    return t;
}

static void check_loss(const loss_case *c, skive_dtype dtype, double tolerance) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skive_tensor in[3], out[2];
    size_t n_in = 2;
    skv_test_ok(ctx, skive_graph_create(ctx, "loss", &g));
    in[0] = table(ctx, dtype, c->n, c->classes, c->logits);
    if (c->labels) {
        skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, &c->n, &in[1]));
        memcpy(in[1].data, c->labels, (size_t)c->n * sizeof *c->labels);
    } else {
        in[1] = table(ctx, dtype, c->n, c->classes, c->targets ? c->targets : c->logits);
    }
    skv_loss_args args = {.logits = input(ctx, g, "logits", &in[0]),
                          .labels = input(ctx, g, "labels", &in[1]),
                          .label_smoothing = c->smoothing,
                          .temperature = c->temperature};
    if (c->teacher) {
        in[n_in] = table(ctx, dtype, c->n, c->classes, c->teacher);
        args.teacher = input(ctx, g, "teacher", &in[n_in++]);
    }
    skv_builder b = skv_build(g);
    skive_value *loss =
                    (skv_loss_find(c->loss) ? skv_loss_find(c->loss) : skv_teaching_find(c->loss))->build(&b, &args),
                *gradient = NULL;
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_autodiff(g, loss, &args.logits, 1, &gradient));
    skv_test_ok(ctx, skive_graph_add_output(g, loss));
    skv_test_ok(ctx, skive_graph_add_output(g, gradient));
    skv_test_ok(ctx, skive_graph_run(ctx, g, in, n_in, out, 2));
    assert_int_equal(skive_tensor_count(&out[0]), 1);
    const double got = skive_tensor_get(&out[0], 0);
    if (!skv_test_close(got, c->expected, tolerance, tolerance)) {
        fail_msg("%s is %.12g, expected %.12g", c->loss, got, c->expected);
    }
    skive_tensor expected = table(ctx, dtype, c->n, c->classes, c->gradient);
    skv_test_tensors(&out[1], &expected, tolerance, tolerance);
    skive_tensor_free(ctx, &expected);
    for (size_t i = 0; i < n_in; i++) skive_tensor_free(ctx, &in[i]);
    for (size_t i = 0; i < 2; i++) skive_tensor_free(ctx, &out[i]);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void check_loss_in_both(const loss_case *c) {
    check_loss(c, SKIVE_F64, 1e-12);
    check_loss(c, SKIVE_F32, 2e-6);
}

/* Softmax of the first row is 1/8, 2/8, 5/8, of the second 3/5, 1/5, 1/5. */
static const double ln2 = 0.69314718055994530942, ln3 = 1.0986122886681098, ln5 = 1.6094379124341003746;

static void cross_entropy_by_hand(void **state) {
    const double logits[] = {0, ln2, ln5, ln3 + 7, 7, 7};
    const int64_t labels[] = {1, 0};
    /* (p - y) / 2 */
    const double gradient[] = {1.0 / 16, -3.0 / 8, 5.0 / 16, -1.0 / 5, 1.0 / 10, 1.0 / 10};
    (void)state;
    check_loss_in_both(&(loss_case){.loss = "cross-entropy",
                                    .n = 2,
                                    .classes = 3,
                                    .logits = logits,
                                    .labels = labels,
                                    .expected = (2 * ln2 + ln5 - ln3) / 2,
                                    .gradient = gradient});
}

/* Smoothing 0.3 over three classes: 0.8 at the label, 0.1 elsewhere. -ln p of the first row is ln 8, ln 4, ln 8/5. */
static void label_smoothing_by_hand(void **state) {
    const double logits[] = {0, ln2, ln5};
    const int64_t label = 1;
    const double gradient[] = {1.0 / 8 - 0.1, 2.0 / 8 - 0.8, 5.0 / 8 - 0.1};
    (void)state;
    check_loss_in_both(&(loss_case){.loss = "cross-entropy",
                                    .smoothing = 0.3,
                                    .n = 1,
                                    .classes = 3,
                                    .logits = logits,
                                    .labels = &label,
                                    .expected = 0.1 * 3 * ln2 + 0.8 * 2 * ln2 + 0.1 * (3 * ln2 - ln5),
                                    .gradient = gradient});
}

/* At T = 2 the student's row gives 1/8, 2/8, 5/8 and the teacher's 1/8, 3/8, 4/8, so that
 * KL = 3/8 ln 3/2 + 4/8 ln 4/5; the second row agrees and adds nothing. T^2 = 4, and the gradient is T (q - p) / 2. */
static void kl_by_hand(void **state) {
    const double student[] = {0, 2 * ln2, 2 * ln5, 1, 2, 3}, teacher[] = {0, 2 * ln3, 4 * ln2, 11, 12, 13};
    const double gradient[] = {0, -1.0 / 8, 1.0 / 8, 0, 0, 0};
    (void)state;
    check_loss_in_both(&(loss_case){.loss = "kl",
                                    .temperature = 2,
                                    .n = 2,
                                    .classes = 3,
                                    .logits = student,
                                    .teacher = teacher,
                                    .expected = 4 * (3.0 / 8 * (ln3 - ln2) + 0.5 * (2 * ln2 - ln5)) / 2,
                                    .gradient = gradient});
}

/* T^2 keeps the pull of the soft labels the same: for small logits the gradient hardly depends on T. Without the
 * factor it would be 64 times smaller at T = 8. */
static void temperature_keeps_the_size_of_the_gradient(void **state) {
    const double student[] = {0.01, 0, -0.01}, teacher[] = {-0.02, 0.01, 0.01};
    /* (z - v) / K to first order, both rows having mean zero */
    const double gradient[] = {0.01, -0.01 / 3, -0.02 / 3};
    (void)state;
    for (double t = 1; t <= 8; t *= 2) {
        const double share = 0.5 / 3 * (0.03 * 0.03 + 0.01 * 0.01 + 0.02 * 0.02);
        check_loss(&(loss_case){.loss = "kl",
                                .temperature = t,
                                .n = 1,
                                .classes = 3,
                                .logits = student,
                                .teacher = teacher,
                                .expected = share,
                                .gradient = gradient},
                   SKIVE_F64, 1e-4);
    }
}

static void mse_by_hand(void **state) {
    const double x[] = {1, 2, -1, 4}, y[] = {0, 2, 1, 1};
    const double gradient[] = {0.5, 0, -1, 1.5}; /* 2 (x - y) / 4 */
    const double on_classes[] = {0.5, 0.5, -0.5, 2};
    const int64_t labels[] = {1, 0}; /* one-hot 0 1, 1 0 */
    const double x2[] = {1, 2, 0, 4};
    (void)state;
    check_loss_in_both(&(loss_case){.loss = "mse",
                                    .n = 2,
                                    .classes = 2,
                                    .logits = x,
                                    .targets = y,
                                    .expected = (1 + 0 + 4 + 9) / 4.0,
                                    .gradient = gradient});
    check_loss_in_both(&(loss_case){.loss = "mse",
                                    .n = 2,
                                    .classes = 2,
                                    .logits = x2,
                                    .labels = labels,
                                    .expected = (1 + 1 + 1 + 16) / 4.0,
                                    .gradient = on_classes});
}

/* Scores so far apart that exp would overflow or vanish. */
static void losses_stay_finite_for_large_scores(void **state) {
    const double logits[] = {1000, 0, -1000}, teacher[] = {-1000, 0, 1000};
    const int64_t label = 1;
    const double hard[] = {1, -1, 0}, soft[] = {1, 0, -1};
    (void)state;
    check_loss_in_both(&(loss_case){.loss = "cross-entropy",
                                    .n = 1,
                                    .classes = 3,
                                    .logits = logits,
                                    .labels = &label,
                                    .expected = 1000,
                                    .gradient = hard});
    check_loss_in_both(&(loss_case){.loss = "kl",
                                    .temperature = 1,
                                    .n = 1,
                                    .classes = 3,
                                    .logits = logits,
                                    .teacher = teacher,
                                    .expected = 2000,
                                    .gradient = soft});
}

/* ---- optimizers ---- */

/* Runs an optimizer, "adam:beta1=0.8", on one weight that starts at 1. */
static void check_steps(const char *optimizer, const skive_train_options *o, double decay, double scale,
                        const float *gradients, const double *expected, int steps) {
    skive_context *ctx = skv_test_context();
    const skv_optimizer *record;
    skv_option_values values;
    float w = 1, gradient, states[2] = {0, 0};
    skv_test_ok(ctx, skv_optimizer_pick(ctx, optimizer, &record, &values));
    skv_update u = {.weight = &w,
                    .gradient = &gradient,
                    .state = {&states[0], &states[1]},
                    .n = 1,
                    .rate = o->learning_rate,
                    .decay = decay,
                    .gradient_scale = scale,
                    .options = o,
                    .values = &values,
                    .adapts = true,
                    .threads = 1};
    for (int i = 0; i < steps; i++) {
        gradient = gradients[i];
        u.step = i + 1;
        record->update(&u);
        if (!skv_test_close((double)w, expected[i], 1e-6, 1e-7)) {
            fail_msg("%s: after step %d the weight is %.9g, expected %.9g", optimizer, i + 1, (double)w, expected[i]);
        }
    }
    skv_test_context_end(ctx);
}

static skive_train_options rate(double learning_rate, double momentum, bool nesterov) {
    skive_train_options o = skive_train_options_default();
    o.learning_rate = learning_rate;
    o.momentum = momentum;
    o.nesterov = nesterov;
    return o;
}

static void sgd_by_hand(void **state) {
    const float ones[] = {1, 1, 1}, mixed[] = {1, -2, 0.5f}, none[] = {0, 0, 0};
    const skive_train_options plain = rate(0.1, 0, false), heavy = rate(0.1, 0.5, false), ahead = rate(0.1, 0.5, true);
    (void)state;
    check_steps("sgd", &plain, 0, 1, mixed, (const double[]){0.9, 1.1, 1.05}, 3);
    /* v = 1, 1.5, 1.75 */
    check_steps("sgd", &heavy, 0, 1, ones, (const double[]){0.9, 0.75, 0.575}, 3);
    /* g + m v = 1.5, 1.75, 1.875 */
    check_steps("sgd", &ahead, 0, 1, ones, (const double[]){0.85, 0.675, 0.4875}, 3);
    /* Decay alone: w (1 - 0.1 * 0.5) each time. */
    check_steps("sgd", &plain, 0.5, 1, none, (const double[]){0.95, 0.9025, 0.857375}, 3);
    /* Decay is part of what momentum gathers: g = 0.5, 0.475, 0.43875; v = 0.5, 0.725, ... */
    check_steps("sgd", &heavy, 0.5, 1, none, (const double[]){0.95, 0.8775, 0.797375}, 3);
    /* A clipped gradient. */
    check_steps("sgd", &plain, 0, 0.25, ones, (const double[]){0.975, 0.95, 0.925}, 3);
}

/* beta 0.9 and 0.999: m = 0.1, -0.01, 0.191; v = 0.001, 0.001999, 0.005997001; corrected m = 1, -0.0526315789,
 * 0.7047970480; corrected v = 1, 1, 2.0010006670; steps m / sqrt(v) = 1, -0.0526315789, 0.498242140. */
static void adam_by_hand(void **state) {
    const skive_train_options o = rate(0.1, 0, false);
    const float gradients[] = {1, -1, 2}, none[] = {0, 0, 0};
    (void)state;
    check_steps("adam", &o, 0, 1, gradients, (const double[]){0.9, 0.905263158, 0.855438945}, 3);
    /* A gradient half as large gives the same steps: Adam does not see its size. */
    check_steps("adam", &o, 0, 0.5, gradients, (const double[]){0.9, 0.905263158, 0.855438945}, 3);
    /* L2 decay passes through the moments: the first step has full length however small the decay is. */
    check_steps("adam", &o, 0.01, 1, none, (const double[]){0.9}, 1);
    /* beta 0.5 and 0.75: m = 0.5, -0.25, 0.875; v = 0.25, 0.4375, 1.328125; corrected m = 1, -1/3, 1; corrected v = 1,
     * 1, 2.2972972973; steps 1, -1/3, 0.6597711866. */
    check_steps("adam:beta1=0.5,beta2=0.75", &o, 0, 1, gradients, (const double[]){0.9, 0.933333333, 0.867356215}, 3);
}

static void adamw_by_hand(void **state) {
    const skive_train_options o = rate(0.1, 0, false);
    const float gradients[] = {1, -1, 2}, none[] = {0, 0, 0};
    (void)state;
    /* The weight shrinks by 1 - 0.1 * 0.2 before Adam's own step. */
    const double w1 = 0.98 - 0.1, w2 = 0.98 * w1 + 0.1 * 0.0526315789, w3 = 0.98 * w2 - 0.1 * 0.498242140;
    check_steps("adamw", &o, 0.2, 1, gradients, (const double[]){w1, w2, w3}, 3);
    check_steps("adamw", &o, 0.2, 1, none, (const double[]){0.98, 0.98 * 0.98, 0.98 * 0.98 * 0.98}, 3);
    check_steps("adamw", &o, 0, 1, gradients, (const double[]){0.9, 0.905263158, 0.855438945}, 3);
}

/* share 0.75: v = 0.25, 0.4375; steps 1 / 0.5 and -1 / 0.66143783. */
static void rmsprop_by_hand(void **state) {
    const skive_train_options o = rate(0.1, 0, false);
    const float gradients[] = {1, -1}, none[] = {0, 0};
    (void)state;
    check_steps("rmsprop:share=0.75", &o, 0, 1, gradients, (const double[]){0.8, 0.951185789}, 2);
    /* b = 2, then 0.5 * 2 - 1.51185789. */
    check_steps("rmsprop:share=0.75,momentum=0.5", &o, 0, 1, gradients, (const double[]){0.8, 0.851185789}, 2);
    /* The size of the gradients does not matter, but for epsilon: 1 / (0.5 + 0.5). */
    check_steps("rmsprop:share=0.75", &o, 0, 8, gradients, (const double[]){0.8, 0.951185789}, 2);
    check_steps("rmsprop:share=0.75,epsilon=0.5", &o, 0, 1, gradients, (const double[]){0.9}, 1);
    /* Decay is a gradient: 0.3 / (0.5 * 0.3). */
    check_steps("rmsprop:share=0.75", &o, 0.3, 1, none, (const double[]){0.8}, 1);
}

/* c = 0.1, 0.009 - 0.2, -0.00909 + 0.005; m = 0.01, -0.0101. */
static void lion_by_hand(void **state) {
    const skive_train_options o = rate(0.1, 0, false);
    const float gradients[] = {1, -2, 0.05f}, none[] = {0, 0};
    (void)state;
    check_steps("lion", &o, 0, 1, gradients, (const double[]){0.9, 1, 1.1}, 3);
    check_steps("lion", &o, 0.2, 1, gradients, (const double[]){0.88, 0.88 * 0.98 + 0.1}, 2);
    check_steps("lion", &o, 0.2, 1, none, (const double[]){0.98, 0.98 * 0.98}, 2);
    /* Without a past, each step follows its own gradient. */
    check_steps("lion:beta1=0,beta2=0", &o, 0, 1, gradients, (const double[]){0.9, 1, 0.9}, 3);
}

/* Two weights, 3 and 4, of norm 5, and gradients that Adam turns into 1 and -1, of norm sqrt(2), in both steps. The
 * first has the length 0.1 * 5 / sqrt(2) = 0.353553391 in each; then the norm is 5.09481175. */
static void lamb_by_hand(void **state) {
    static const double expected[2][2][2] = {{{2.9, 4.1}, {2.8, 4.2}},
                                             {{2.646446609, 4.353553391}, {2.286189015, 4.713810985}}};
    skive_context *ctx = skv_test_context();
    const skive_train_options o = rate(0.1, 0, false);
    const float gradient[3] = {1, -2, 5};
    const skv_optimizer *record;
    skv_option_values values;
    (void)state;
    skv_test_ok(ctx, skv_optimizer_pick(ctx, "lamb:epsilon=1e-9", &record, &values));
    for (int adapts = 0; adapts < 2; adapts++) {        /* a bias, and a weight */
        float w[3] = {3, 4, 0}, m[3] = {0}, v[3] = {0}; /* a mask holds the last one at zero */
        skv_update u = {.weight = w,
                        .gradient = gradient,
                        .state = {m, v},
                        .n = 3,
                        .rate = 0.1,
                        .gradient_scale = 1,
                        .adapts = adapts,
                        .options = &o,
                        .values = &values,
                        .threads = 1};
        for (int i = 0; i < 2; i++) {
            u.step = i + 1;
            record->update(&u);
            w[2] = m[2] = v[2] = 0;
            for (int k = 0; k < 2; k++) assert_true(skv_test_close((double)w[k], expected[adapts][i][k], 1e-6, 1e-6));
        }
    }
    /* Of a single weight the step is the rate times the weight; decay 0.1 turns the second around: -0.0526 + 0.09. */
    const float mixed[] = {1, -1};
    check_steps("lamb", &o, 0.1, 1, mixed, (const double[]){0.9, 0.81}, 2);
    skv_test_context_end(ctx);
}

enum { MANY = 70001 }; /* above what is done by one thread */

typedef struct arena {
    float *weight, *gradient, *state[2];
    uint8_t *keep;
} arena;

static void run_many(const skv_optimizer *optimizer, arena *a, bool masked, int threads) {
    skive_train_options o = rate(0.05, 0.9, true);
    skv_option_values values;
    skv_options_default(optimizer->options, optimizer->n_options, &values);
    skv_update u = {.weight = a->weight,
                    .gradient = a->gradient,
                    .state = {a->state[0], a->state[1]},
                    .n = MANY,
                    .rate = 0.05,
                    .decay = 0.1,
                    .gradient_scale = 0.7,
                    .options = &o,
                    .values = &values,
                    .adapts = true,
                    .threads = threads};
    memset(a->state[0], 0, MANY * sizeof(float));
    memset(a->state[1], 0, MANY * sizeof(float));
    for (int i = 0; i < MANY; i++) {
        a->keep[i] = skv_rng_below(5, 0, (uint64_t)i, 3) != 0;
        a->weight[i] = masked && !a->keep[i] ? 0.0f : (float)skv_rng_normal(6, 0, (uint64_t)i);
    }
    for (int step = 1; step <= 4; step++) {
        for (int i = 0; i < MANY; i++) a->gradient[i] = (float)skv_rng_normal(7, (uint64_t)step, (uint64_t)i);
        u.step = step;
        optimizer->update(&u);
        skv_param p = {.n = MANY, .weight = a->weight, .seen = a->weight, .state = {a->state[0], a->state[1]}};
        if (masked) skv_param_zero(&p, a->keep);
    }
}

static arena make_arena(void) {
    arena a = {.weight = calloc(MANY, sizeof(float)),
               .gradient = calloc(MANY, sizeof(float)),
               .state = {calloc(MANY, sizeof(float)), calloc(MANY, sizeof(float))},
               .keep = calloc(MANY, 1)};
    assert_true(a.weight && a.gradient && a.state[0] && a.state[1] && a.keep);
    return a;
}

static void free_arena(arena *a) {
    free(a->weight);
    free(a->gradient);
    free(a->state[0]);
    free(a->state[1]);
    free(a->keep);
}

/* With momentum and weight decay: a masked weight and its state are zero to the bit (not -0), the others are what they
 * would be without a mask, and the number of threads makes no difference. */
static void masks_hold_with_every_optimizer(void **state) {
    arena masked = make_arena(), bare = make_arena(), threaded = make_arena();
    (void)state;
    for (size_t k = 0; k < skv_optimizer_count(); k++) {
        const skv_optimizer *optimizer = skv_optimizer_at(k);
        static const float zero = 0.0f;
        run_many(optimizer, &masked, true, 1);
        run_many(optimizer, &threaded, true, 2);
        run_many(optimizer, &bare, false, 1);
        assert_memory_equal(masked.weight, threaded.weight, MANY * sizeof(float));
        for (int i = 0; i < MANY; i++) {
            if (masked.keep[i]) {
                if (!optimizer->whole) assert_memory_equal(&masked.weight[i], &bare.weight[i], sizeof zero);
                continue;
            }
            assert_memory_equal(&masked.weight[i], &zero, sizeof zero);
            for (int s = 0; s < SKV_OPTIMIZER_STATES && optimizer->states[s]; s++)
                assert_memory_equal(&masked.state[s][i], &zero, sizeof zero);
        }
    }
    free_arena(&masked);
    free_arena(&bare);
    free_arena(&threaded);
}

/* ---- schedules ---- */

static void check_rate(const char *schedule, const skive_train_options *given, double epoch, double expected) {
    skive_context *ctx = skv_test_context();
    skive_train_options o = *given;
    skv_course course;
    o.schedule = schedule;
    skv_test_ok(ctx, skv_course_start(ctx, &o, &course));
    const double got = skv_course_rate(&course, epoch);
    skv_test_context_end(ctx);
    if (!skv_test_close(got, expected, 1e-12, 1e-15)) {
        fail_msg("%s at epoch %g gives %.12g, expected %.12g", schedule, epoch, got, expected);
    }
}

static void schedules_by_hand(void **state) {
    skive_train_options o = skive_train_options_default();
    (void)state;
    o.epochs = 10;
    o.learning_rate = 0.4;
    o.warmup_epochs = 0;
    check_rate("constant", &o, 0.01, 0.4);
    check_rate("constant", &o, 10, 0.4);
    /* `epoch` is what will have passed at the end of the batch: the last batch of epoch 3 still has the first rate. */
    o.step_every = 3;
    o.step_factor = 0.5;
    check_rate("step", &o, 0.01, 0.4);
    check_rate("step", &o, 2.99, 0.4);
    check_rate("step", &o, 3, 0.4);
    check_rate("step", &o, 3.01, 0.2);
    check_rate("step", &o, 6, 0.2);
    check_rate("step", &o, 6.5, 0.1);
    check_rate("step", &o, 10, 0.05);
    o.final_rate = 0.1;
    check_rate("cosine", &o, 0, 0.4);
    check_rate("cosine", &o, 5, 0.4 * 0.55);
    check_rate("cosine", &o, 10.0 / 3, 0.4 * (0.1 + 0.9 * 0.75)); /* cos 60 degrees */
    check_rate("cosine", &o, 10, 0.04);
    check_rate("multi-step", &o, 5, 0.4);
    check_rate("multi-step", &o, 5.01, 0.04);
    check_rate("multi-step", &o, 7.5, 0.04);
    check_rate("multi-step", &o, 10, 0.004);
    check_rate("multi-step:2,3.5,factor=0.5", &o, 2, 0.4);
    check_rate("multi-step:2,3.5,factor=0.5", &o, 3, 0.2);
    check_rate("multi-step:at=2,3.5,factor=0.5", &o, 4, 0.1);
    /* Cosines of 2, 4 and 8 epochs; then of 3 epochs each, down to a tenth. */
    check_rate("restarts:2", &o, 1, 0.2);
    check_rate("restarts:2", &o, 2, 0);
    check_rate("restarts:2", &o, 4, 0.2);
    check_rate("restarts:2", &o, 6, 0);
    check_rate("restarts:2", &o, 10, 0.2);
    check_rate("restarts:period=3,grow=1,final=0.1", &o, 4, 0.4 * (0.1 + 0.9 * 0.75));
    check_rate("restarts:period=3,grow=1,final=0.1", &o, 9, 0.04);
    /* From 0.4 / 4 up to 0.4 at epoch 4, and down to 0.4 / 8 at the end. */
    check_rate("one-cycle:up=0.4,start=4,end=2", &o, 0, 0.1);
    check_rate("one-cycle:up=0.4,start=4,end=2", &o, 2, 0.25);
    check_rate("one-cycle:up=0.4,start=4,end=2", &o, 4, 0.4);
    check_rate("one-cycle:up=0.4,start=4,end=2", &o, 7, 0.225);
    check_rate("one-cycle:up=0.4,start=4,end=2", &o, 10, 0.05);
    check_rate("polynomial", &o, 2.5, 0.3);
    check_rate("polynomial", &o, 10, 0);
    check_rate("polynomial:power=2,final=0.2", &o, 5, 0.4 * (0.2 + 0.8 * 0.25));
    check_rate("exponential", &o, 2, 0.4 * 0.9025);
    check_rate("exponential:0.5", &o, 0.5, 0.4 * sqrt(0.5));
    /* Two epochs of warm-up from zero; the cosine spans the eight after them. */
    o.warmup_epochs = 2;
    check_rate("polynomial", &o, 6, 0.2);
    check_rate("exponential:0.5", &o, 3, 0.2);
    check_rate("restarts:2", &o, 3, 0.2);
    check_rate("one-cycle:up=0.4,start=4,end=2", &o, 2, 0.25); /* its own */
    for (size_t i = 0; i < skv_schedule_count(); i++) {
        if (skv_schedule_at(i)->own_warmup) continue;
        check_rate(skv_schedule_at(i)->name, &o, 0.5, 0.1);
        check_rate(skv_schedule_at(i)->name, &o, 1, 0.2);
        check_rate(skv_schedule_at(i)->name, &o, 2, 0.4);
    }
    check_rate("cosine", &o, 6, 0.4 * 0.55);
    check_rate("cosine", &o, 10, 0.04);
    /* Nothing but warm-up. */
    o.warmup_epochs = 20;
    check_rate("cosine", &o, 5, 0.1);
}

/* Accuracies, and how often the rate was reduced after each: epochs that are no better are waited for twice, the third
 * reduces; one epoch of rest follows. Better by less than a hundredth is not better. */
static void plateau_by_hand(void **state) {
    static const double figures[] = {0.5, 0.6, 0.6, 0.605, 0.5, 0.4, 0.4, 0.4, 0.4, 0.7, 0.1, 0.1, 0.1};
    static const int reductions[] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3};
    static const double factors[] = {1, 0.5, 0.25, 0.2};
    skive_context *ctx = skv_test_context();
    skive_train_options o = skive_train_options_default();
    skv_course course;
    (void)state;
    o.learning_rate = 0.8;
    o.warmup_epochs = 0;
    o.schedule = "plateau:factor=0.5,patience=2,threshold=0.01,rest=1,least=0.2";
    skv_test_ok(ctx, skv_course_start(ctx, &o, &course));
    for (size_t i = 0; i < SKV_LENGTH(figures); i++) {
        skv_course_watch(&course, figures[i]);
        assert_true(skv_test_close(skv_course_rate(&course, (double)i + 1), 0.8 * factors[reductions[i]], 1e-12, 0));
    }
    /* Losses, turned around: larger is better there too. */
    o.schedule = "plateau:patience=0";
    skv_test_ok(ctx, skv_course_start(ctx, &o, &course));
    skv_course_watch(&course, -2.0);
    skv_course_watch(&course, -1.5);
    assert_true(skv_course_rate(&course, 2) == 0.8);
    skv_course_watch(&course, -1.6);
    assert_true(skv_test_close(skv_course_rate(&course, 3), 0.08, 1e-12, 0));
    o.schedule = "multi-step:at=3,x";
    skv_test_fails(ctx, skv_course_start(ctx, &o, &course), SKIVE_ERR_ARGUMENT, "at=30,60");
    o.schedule = "multi-step:at=3,2";
    skv_test_fails(ctx, skv_course_start(ctx, &o, &course), SKIVE_ERR_ARGUMENT, "each later");
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_by_hand),
        cmocka_unit_test(label_smoothing_by_hand),
        cmocka_unit_test(kl_by_hand),
        cmocka_unit_test(temperature_keeps_the_size_of_the_gradient),
        cmocka_unit_test(mse_by_hand),
        cmocka_unit_test(losses_stay_finite_for_large_scores),
        cmocka_unit_test(sgd_by_hand),
        cmocka_unit_test(adam_by_hand),
        cmocka_unit_test(adamw_by_hand),
        cmocka_unit_test(rmsprop_by_hand),
        cmocka_unit_test(lion_by_hand),
        cmocka_unit_test(lamb_by_hand),
        cmocka_unit_test(masks_hold_with_every_optimizer),
        cmocka_unit_test(schedules_by_hand),
        cmocka_unit_test(plateau_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
