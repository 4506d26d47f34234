/* Distillation with terms and with several teachers: what a run finds, says and refuses; that layers of terms do not
 * stay in the student, and that resumed runs give the same bits. */
#include "train_fixtures.h"

#include <sys/stat.h>
#include <unistd.h>

#include <skive/distill.h>

#include "data/data.h"
#include "train/terms/term.h"

enum { BATCH = 80 };

static skive_graph *other_cnn(skive_context *ctx, uint64_t seed) {
    skive_graph *g = small_cnn(ctx, false);
    float *w = skive_graph_find_value(g, "fc.weight")->storage->tensor.data;
    for (int64_t i = 0; i < CLASSES * 4 * PIXELS; i++) w[i] = 0.1F * (float)skv_rng_normal(seed, 3, (uint64_t)i);
    return g;
}

typedef struct lesson {
    skive_context *ctx;
    skive_graph *student, *teacher, *second;
    skive_dataset *set;
    skive_train_options how;
    skive_distill_options o;
} lesson;

static lesson begin(void) {
    lesson l = {.ctx = skv_test_context()};
    l.student = small_cnn(l.ctx, false);
    l.teacher = other_cnn(l.ctx, 1);
    l.second = other_cnn(l.ctx, 2);
    l.set = open_data(l.ctx, blobs, SKIVE_SPLIT_TRAIN);
    l.how = settings(1, BATCH);
    l.how.learning_rate = 0.01;
    l.how.clip_norm = 5;
    l.o = skive_distill_options_default();
    return l;
}

static skive_status run(lesson *l) {
    l->o.train = &l->how;
    return skive_distill(l->ctx, l->student, l->teacher, l->set, NULL, &l->o, NULL);
}

static void finish(lesson *l) {
    skive_graph_free(l->student);
    skive_graph_free(l->teacher);
    skive_graph_free(l->second);
    skive_dataset_free(l->set);
    skv_test_context_end(l->ctx);
}

static void refused(const char *terms, skive_status status, const char *part) {
    lesson l = begin();
    l.o.terms = terms;
    skv_test_fails(l.ctx, run(&l), status, part);
    finish(&l);
}

static uint64_t run_terms(const char *terms, double alpha) {
    lesson l = begin();
    const size_t values = skive_graph_value_count(l.student);
    l.o.terms = terms;
    l.o.alpha = alpha;
    skv_test_ok(l.ctx, run(&l));
    assert_int_equal(skive_graph_value_count(l.student), values);
    const uint64_t bits = fingerprint(l.student);
    finish(&l);
    return bits;
}

/* Found by themselves and named, they are the same. */
static void values_are_found(void **state) {
    (void)state;
    assert_true(run_terms("similarity:auto", 0.5) == run_terms("similarity", 0.5));
    assert_true(run_terms("hint:student=feature,teacher=feature", 0.5) ==
                run_terms("hint:student=feat*,teacher=f*ture", 0.5));
    assert_true(run_terms("hint:student=feature,teacher=feature,weight=2", 0.5) !=
                run_terms("hint:student=feature,teacher=feature", 0.5));
    assert_true(run_terms("relation", 0.5) != run_terms(NULL, 0.5));
    /* Scheduled, and alone at first. */
    assert_true(run_terms("relation:schedule=cosine", 0.5) != run_terms("relation", 0.5));
    assert_true(run_terms("relation:alone=0.5", 0.5) != run_terms("relation", 0.5));
}

static void what_is_wrong_is_refused(void **state) {
    (void)state;
    refused("hint:student=featur,teacher=feature", SKIVE_ERR_NOT_FOUND, "did you mean 'feature'");
    refused("hint:student=feature,teacher=featura", SKIVE_ERR_NOT_FOUND, "the teacher has no value");
    refused("hint:student=feature,teacher=feature+feature", SKIVE_ERR_ARGUMENT, "one by one");
    refused("fsp", SKIVE_ERR_ARGUMENT, "there is one pair");
    refused("hidden", SKIVE_ERR_SHAPE, "finds no values to compare");
    refused("attention-maps", SKIVE_ERR_SHAPE, "finds no values to compare");
    refused("hint:of=2", SKIVE_ERR_ARGUMENT, "needs a teacher (number 2)");
    refused("hint:alone=0.2;relation:alone=0.3", SKIVE_ERR_ARGUMENT, "cannot both");
    refused("nope", SKIVE_ERR_ARGUMENT, "no term 'nope'");
}

/* ---- several teachers ---- */

static skive_status run_two(lesson *l, const char *combine, const double *weights) {
    const skive_graph *more[1] = {l->second};
    l->o.more_teachers = more;
    l->o.n_more_teachers = 1;
    l->o.combine = combine;
    l->o.weights = weights;
    return run(l);
}

static uint64_t bits_of_two(const char *combine, double first, double second) {
    lesson l = begin();
    const double weights[2] = {first, second};
    skv_test_ok(l.ctx, run_two(&l, combine, weights));
    const uint64_t bits = fingerprint(l.student);
    finish(&l);
    return bits;
}

static void teachers_count_as_they_are_combined(void **state) {
    (void)state;
    const uint64_t mean = bits_of_two("mean", 0, 0);
    assert_true(mean == bits_of_two(NULL, 0, 0));
    assert_true(bits_of_two("weights", 3, 1) == bits_of_two("weights", 0.75, 0));
    assert_true(bits_of_two("weights", 3, 1) != mean);
    assert_true(bits_of_two("confidence", 0, 0) != mean);
    assert_true(bits_of_two("learned", 0, 0) != mean);
    lesson l = begin();
    const double weights[2] = {2, 0};
    skv_test_fails(l.ctx, run_two(&l, "confidence", weights), SKIVE_ERR_ARGUMENT, "weights of its own");
    l.o.more_teachers = NULL;
    l.o.n_more_teachers = 0;
    l.o.weights = NULL;
    l.o.combine = "mean";
    skv_test_fails(l.ctx, run(&l), SKIVE_ERR_ARGUMENT, "several teachers");
    finish(&l);
}

/* The layer that gives class c gives class map[c] instead. */
static void move_classes(skive_graph *g, const int *map) {
    float *w = skive_graph_find_value(g, "fc.weight")->storage->tensor.data,
          *bias = skive_graph_find_value(g, "fc.bias")->storage->tensor.data;
    float old[CLASSES * 4 * PIXELS], old_bias[CLASSES];
    memcpy(old, w, sizeof old);
    memcpy(old_bias, bias, sizeof old_bias);
    for (int c = 0; c < CLASSES; c++) {
        memcpy(w + map[c] * 4 * PIXELS, old + c * 4 * PIXELS, 4 * PIXELS * sizeof *w);
        bias[map[c]] = old_bias[c];
    }
}

/* A teacher whose classes are in another order teaches the same, by their names. */
static void classes_are_matched_by_name(void **state) {
    static const char *const names[CLASSES] = {"top", "middle", "bottom"},
                             *const turned[CLASSES] = {"bottom", "top", "middle"},
                             *const odd[CLASSES] = {"bottom", "top", "mitte"};
    static const int map[CLASSES] = {1, 2, 0};
    uint64_t bits[2];
    (void)state;
    for (int k = 0; k < 3; k++) {
        lesson l = begin();
        skive_dataset_options o = skive_dataset_options_default();
        skive_dataset_free(l.set);
        l.set = NULL;
        skv_test_ok(l.ctx, skive_model_set_class_names(l.student, names, CLASSES));
        o.split = SKIVE_SPLIT_TRAIN;
        o.model = l.student;
        skv_test_ok(l.ctx, skive_dataset_open(l.ctx, blobs, &o, &l.set));
        if (k) move_classes(l.teacher, map);
        skv_test_ok(l.ctx, skive_model_set_class_names(l.teacher, k == 2 ? odd : k ? turned : names, CLASSES));
        if (k == 2)
            skv_test_fails(l.ctx, run(&l), SKIVE_ERR_DATA, "'middle', which the teacher does not know");
        else
            skv_test_ok(l.ctx, run(&l));
        if (k < 2) bits[k] = fingerprint(l.student);
        finish(&l);
    }
    assert_true(bits[0] == bits[1]);
}

/* Where no term asks for scores, a teacher of other classes teaches by what is inside it. */
static void values_inside_ask_for_no_classes(void **state) {
    static const char *const names[CLASSES] = {"top", "middle", "bottom"}, *const words[2] = {"oben", "unten"};
    (void)state;
    for (int k = 0; k < 3; k++) {
        lesson l = begin();
        skive_dataset_options o = skive_dataset_options_default();
        skive_dataset_free(l.set);
        l.set = NULL;
        skv_test_ok(l.ctx, skive_model_set_class_names(l.student, names, CLASSES));
        o.split = SKIVE_SPLIT_TRAIN;
        o.model = l.student;
        skv_test_ok(l.ctx, skive_dataset_open(l.ctx, blobs, &o, &l.set));
        skv_test_ok(l.ctx, skive_model_set_class_names(l.teacher, words, 2));
        l.o.alpha = k == 1 ? 0.5 : 0;
        l.o.terms = "hint:student=feature,teacher=feature";
        l.o.teacher_classes = k == 2 ? "known" : NULL;
        if (k == 0)
            skv_test_ok(l.ctx, run(&l));
        else if (k == 1)
            skv_test_fails(l.ctx, run(&l), SKIVE_ERR_DATA, "'top', which the teacher does not know");
        else
            skv_test_fails(l.ctx, run(&l), SKIVE_ERR_ARGUMENT, "no term asks for scores");
        finish(&l);
    }
}

/* Classes of a teacher that are other words are refused; plain numbers count where the order of classes does. */
static void other_class_names_are_refused(void **state) {
    static const char *const names[CLASSES] = {"top", "middle", "bottom"},
                             *const words[CLASSES] = {"oben", "mitte", "unten"},
                             *const numbers[CLASSES] = {"0", "1", "2"};
    (void)state;
    for (int k = 0; k < 3; k++) {
        lesson l = begin();
        skive_dataset_options o = skive_dataset_options_default();
        skive_dataset_free(l.set);
        l.set = NULL;
        skv_test_ok(l.ctx, skive_model_set_class_names(l.student, names, CLASSES));
        o.split = SKIVE_SPLIT_TRAIN;
        o.model = l.student;
        skv_test_ok(l.ctx, skive_dataset_open(l.ctx, blobs, &o, &l.set));
        skv_test_ok(l.ctx, skive_model_set_class_names(l.teacher, k ? numbers : words, CLASSES));
        l.set->by_order = k == 2;
        if (k == 2)
            skv_test_ok(l.ctx, run(&l));
        else
            skv_test_fails(l.ctx, run(&l), SKIVE_ERR_DATA, k ? "with --class-order" : "'oben' is one of its own");
        finish(&l);
    }
}

/* A teacher for images of another size gets them resized. */
static void images_are_resized_for_a_teacher(void **state) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {9, NULL}, {9, NULL}}};
    lesson l = begin();
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const int64_t w[4] = {CLASSES, 1, 9, 9};
    (void)state;
    skv_test_ok(l.ctx, skive_graph_create(l.ctx, "large", &g));
    skv_test_ok(l.ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Conv", SKV_IN(x, parameter(&b, "w", 4, w, 1, -0.4, 0.4)), SKV_NONE);
    y = skv_emit(&b, "Flatten", SKV_IN(y), SKV_NONE);
    skv_test_ok(l.ctx, b.status);
    skv_test_ok(l.ctx, skive_graph_add_output(g, y));
    skive_graph_free(l.teacher);
    l.teacher = g;
    skv_test_ok(l.ctx, run(&l));
    finish(&l);
}

/* ---- resuming ---- */

static void stops_and_continues(const char *terms, bool two) {
    uint64_t bits[2];
    char path[SKV_TEST_PATH];
    for (int resumed = 0; resumed < 2; resumed++) {
        lesson l = begin();
        const skive_graph *more[1] = {l.second};
        l.o.terms = terms;
        l.o.more_teachers = more;
        l.o.n_more_teachers = two;
        l.o.combine = two ? "learned" : NULL;
        l.how.checkpoint = resumed ? file(path, "distill.ckpt") : NULL;
        l.how.epochs = resumed ? 1 : 2;
        if (resumed) {
            skv_test_ok(l.ctx, run(&l));
            skive_graph_free(l.student);
            l.student = small_cnn(l.ctx, false);
            l.how.epochs = 2;
        }
        l.how.schedule = "constant";
        skv_test_ok(l.ctx, run(&l));
        bits[resumed] = fingerprint(l.student);
        if (resumed) assert_int_equal(unlink(path), 0);
        finish(&l);
    }
    assert_true(bits[0] == bits[1]);
}

static void a_resumed_run_has_the_same_bits(void **state) {
    (void)state;
    stops_and_continues("contrastive:width=8;vid;hint;relation", false);
    stops_and_continues("contrastive:width=8,half;dkd", true);
}

/* ---- samples without labels ---- */

enum { WITH = 40, WITHOUT = 24 };

/* The sum over the samples: (1 - alpha) cross-entropy + alpha T^2 KL with a label, T^2 KL without. */
static double loss_of(const lesson *l, const skive_dataset *set, bool labelled) {
    double sum = 0;
    for (size_t i = 0; i < set->count; i++) {
        float x[PIXELS];
        double p[CLASSES], q[CLASSES], hard[CLASSES], kl = 0;
        int64_t label;
        skv_test_ok(l->ctx, skive_dataset_read(l->ctx, set, i, x, &label));
        log_softmax_of(data_of(l->teacher, "w"), x, l->o.temperature, p);
        log_softmax_of(data_of(l->student, "w"), x, l->o.temperature, q);
        log_softmax_of(data_of(l->student, "w"), x, 1, hard);
        for (int c = 0; c < CLASSES; c++) kl += l->o.temperature * l->o.temperature * exp(p[c]) * (p[c] - q[c]);
        sum += labelled ? (1 - l->o.alpha) * -hard[label] + l->o.alpha * kl : kl;
    }
    return sum;
}

static skive_dataset *some(skive_context *ctx, size_t skip, size_t limit) {
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *set = NULL;
    o.split = SKIVE_SPLIT_TRAIN;
    o.skip = skip;
    o.limit = limit;
    skv_test_ok(ctx, skive_dataset_open(ctx, blobs, &o, &set));
    assert_int_equal(set->count, limit);
    return set;
}

static lesson begin_linear(void) {
    lesson l = begin();
    skive_graph_free(l.student);
    skive_graph_free(l.teacher);
    skive_dataset_free(l.set);
    l.student = linear_scores(l.ctx, 1);
    l.teacher = linear_scores(l.ctx, 2);
    l.set = some(l.ctx, 0, WITH);
    l.o.alpha = 0.3;
    l.o.temperature = 2;
    return l;
}

/* All samples in one batch: the loss before the first step is that of the formula. */
static void samples_without_labels_learn_from_the_teacher(void **state) {
    lesson l = begin_linear();
    skive_dataset *more = some(l.ctx, WITH, WITHOUT);
    skive_train_report r;
    (void)state;
    for (size_t i = 0; i < WITH; i++)
        for (size_t k = 0; k < WITHOUT; k++) assert_true(l.set->order[i] != more->order[k]);
    l.how.batch = WITH + WITHOUT;
    l.o.train = &l.how;
    l.o.unlabelled = more;
    const double expected = (loss_of(&l, l.set, true) + loss_of(&l, more, false)) / (WITH + WITHOUT);
    skv_test_ok(l.ctx, skive_distill(l.ctx, l.student, l.teacher, l.set, NULL, &l.o, &r));
    assert_true(isnan(r.epochs[0].train_accuracy));
    if (!skv_test_close(r.epochs[0].loss, expected, 1e-5, 1e-6))
        fail_msg("the loss is %.9g, expected %.9g", r.epochs[0].loss, expected);
    skive_train_report_free(l.ctx, &r);
    skive_dataset_free(more);
    finish(&l);
}

static void unlabelled_refused(const char *terms, const char *loss, const char *combine, const char *part) {
    lesson l = begin_linear();
    skive_dataset *more = some(l.ctx, WITH, WITHOUT);
    const skive_graph *second[1] = {l.teacher};
    l.o.unlabelled = more;
    l.o.terms = terms;
    l.how.loss = loss;
    l.o.combine = combine;
    l.o.more_teachers = second;
    l.o.n_more_teachers = combine != NULL;
    l.how.batch = WITH;
    skv_test_fails(l.ctx, run(&l), terms ? SKIVE_ERR_DATA : SKIVE_ERR_ARGUMENT, part);
    skive_dataset_free(more);
    finish(&l);
}

static void what_needs_labels_is_refused(void **state) {
    (void)state;
    unlabelled_refused("dkd", NULL, NULL, "one class label a sample");
    unlabelled_refused(NULL, "binary-cross-entropy", NULL, "some have none");
    unlabelled_refused(NULL, NULL, "learned", "one class label a sample");
    /* Terms on values go on, and samples of another form do not. */
    lesson l = begin_linear();
    skive_dataset *more = some(l.ctx, WITH, WITHOUT), *image = NULL;
    char path[SKV_TEST_PATH], spec[SKV_TEST_PATH + 8];
    const int64_t dims[4] = {3, 1, 2, 2};
    const double x[12] = {0};
    l.o.unlabelled = more;
    l.o.terms = "contrastive:width=4";
    l.how.batch = WITH;
    skv_test_ok(l.ctx, run(&l));
    save("small.npy", SKIVE_F32, 4, dims, x);
    snprintf(spec, sizeof spec, "npy:%s", file(path, "small.npy"));
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    skv_test_ok(l.ctx, skive_dataset_open(l.ctx, spec, &o, &image));
    l.o.unlabelled = image;
    skv_test_fails(l.ctx, run(&l), SKIVE_ERR_DATA, "its samples are [1,2,2]");
    skive_dataset_free(image);
    skive_dataset_free(more);
    finish(&l);
}

/* ---- answers on disk ---- */

static uint64_t run_cached(const char *cache, const char *augment, const char *view, int64_t views) {
    lesson l = begin_linear();
    l.o.cache = cache;
    l.o.teacher_view = view;
    l.o.cache_views = views;
    l.how.epochs = 2;
    l.how.batch = 10;
    l.how.augment = augment;
    skv_test_ok(l.ctx, run(&l));
    const uint64_t bits = fingerprint(l.student);
    finish(&l);
    return bits;
}

/* A run that fills a cache, one from the cache, and one without have the same bits; so has one from a cache of which a
 * part is damaged. */
static void a_cache_changes_no_bit(void **state) {
    static const struct {
        const char *augment, *view;
        int64_t views;
    } cases[] = {{NULL, NULL, 0}, {"crop:1,flip", NULL, 0}, {"crop:1,flip", "own", 0}, {"crop:1,flip", "plain", 0}};
    char path[SKV_TEST_PATH];
    uint64_t before = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *augment = cases[i].augment, *view = cases[i].view;
        const uint64_t bits = run_cached(NULL, augment, view, 0);
        file(path, "answers");
        assert_true(run_cached(path, augment, view, cases[i].views) == bits);
        if (i > 0) assert_true(run_cached(path, augment, view, cases[i].views) == bits);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, -6, SEEK_END), 0);
        const int c = fgetc(f);
        assert_int_equal(fseek(f, -6, SEEK_END), 0);
        assert_int_equal(fputc(c ^ 0x55, f), c ^ 0x55);
        assert_int_equal(fclose(f), 0);
        if (i == 0) assert_true(run_cached(path, augment, view, cases[i].views) == bits);
        assert_int_equal(unlink(path), 0);
        assert_true(bits != before);
        before = bits;
    }
}

/* Views repeat: a cache of one view is as large as one of samples that are not augmented, and the run is another. */
static void views_may_repeat(void **state) {
    char path[SKV_TEST_PATH];
    struct stat st[2];
    const uint64_t all = run_cached(file(path, "answers"), "crop:1,flip", NULL, 0);
    assert_int_equal(stat(path, &st[0]), 0);
    assert_int_equal(unlink(path), 0);
    (void)state;
    const uint64_t one = run_cached(path, "crop:1,flip", NULL, 1);
    assert_int_equal(stat(path, &st[1]), 0);
    assert_true(one != all);
    assert_true(run_cached(path, "crop:1,flip", NULL, 1) == one);
    assert_true(st[0].st_size > st[1].st_size && st[0].st_size < 2 * st[1].st_size);
    assert_int_equal(unlink(path), 0);
}

static void refused_cache(const char *path, const char *terms, const char *augment, bool other, skive_status status,
                          const char *part) {
    lesson l = begin_linear();
    l.o.cache = path;
    l.o.terms = terms;
    l.how.augment = augment;
    if (other) {
        skive_graph_free(l.teacher);
        l.teacher = linear_scores(l.ctx, 3);
    }
    skv_test_fails(l.ctx, run(&l), status, part);
    finish(&l);
}

static void other_answers_are_refused(void **state) {
    char path[SKV_TEST_PATH], text[SKV_TEST_PATH];
    (void)state;
    (void)run_cached(file(path, "answers"), NULL, NULL, 0);
    refused_cache(path, NULL, NULL, true, SKIVE_ERR_ARGUMENT, "another teacher");
    refused_cache(path, NULL, "crop:1,flip", false, SKIVE_ERR_ARGUMENT, "another view");
    refused_cache(path, "similarity", NULL, false, SKIVE_ERR_ARGUMENT, "values inside");
    FILE *f = fopen(file(text, "text"), "w");
    assert_non_null(f);
    assert_true(fputs("not a cache, and longer than the head of one", f) >= 0);
    assert_int_equal(fclose(f), 0);
    refused_cache(text, NULL, NULL, false, SKIVE_ERR_FORMAT, "no cache");
    lesson l = begin_linear();
    l.o.teacher_view = "plain";
    skv_test_fails(l.ctx, run(&l), SKIVE_ERR_ARGUMENT, "no effect without");
    l.how.augment = "crop:1,flip";
    l.o.teacher_view = NULL;
    l.o.cache_views = 2;
    skv_test_fails(l.ctx, run(&l), SKIVE_ERR_ARGUMENT, "no use without --cache");
    finish(&l);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(text), 0);
}

/* ---- models from models ---- */

/* The ensemble answers with the mean of the members' probabilities. */
static void an_ensemble_is_the_mean(void **state) {
    lesson l = begin();
    const skive_graph *members[3] = {l.student, l.teacher, l.second};
    const int64_t dims[4] = {5, 1, SIDE, SIDE};
    skive_tensor x = skv_test_random(l.ctx, SKIVE_F32, 4, dims, 7, -1, 1), out[4];
    skive_graph *g = NULL;
    (void)state;
    skv_test_ok(l.ctx, skive_model_ensemble(l.ctx, members, 3, l.set, &g));
    assert_int_equal(skive_graph_output_count(g), 1);
    skv_test_ok(l.ctx, skive_graph_run(l.ctx, g, &x, 1, &out[3], 1));
    for (int k = 0; k < 3; k++) skv_test_ok(l.ctx, skive_graph_run(l.ctx, members[k], &x, 1, &out[k], 1));
    for (int64_t i = 0; i < 5; i++) {
        double mean[CLASSES] = {0};
        for (int k = 0; k < 3; k++) {
            double sum = 0;
            for (int64_t c = 0; c < CLASSES; c++) sum += exp(skive_tensor_get(&out[k], i * CLASSES + c));
            for (int64_t c = 0; c < CLASSES; c++) mean[c] += exp(skive_tensor_get(&out[k], i * CLASSES + c)) / sum / 3;
        }
        for (int64_t c = 0; c < CLASSES; c++)
            assert_true(skv_test_close(skive_tensor_get(&out[3], i * CLASSES + c), mean[c], 1e-5, 1e-6));
    }
    for (int k = 0; k < 4; k++) skive_tensor_free(l.ctx, &out[k]);
    skive_tensor_free(l.ctx, &x);
    skive_graph_free(g);
    finish(&l);
}

/* A chain of layers "block1.w", "block2.w" ... and "fc.w", whose numbers are those of `first`, counted on. */
static skive_graph *chain(skive_context *ctx, int depth, float first) {
    skive_graph *g = NULL;
    skive_value *x = NULL;
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {3, NULL}}};
    const int64_t dims[2] = {3, 3};
    skv_test_ok(ctx, skive_graph_create(ctx, "chain", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    for (int i = 1; i <= depth + 1; i++) {
        char name[32];
        snprintf(name, sizeof name, i > depth ? "fc.w" : "block%d.w", i);
        skive_value *w = parameter(&b, name, 2, dims, 1, 0, 1);
        for (int k = 0; k < 9; k++) ((float *)w->storage->tensor.data)[k] = first + (float)i;
        x = skv_emit(&b, "MatMul", SKV_IN(x, w), SKV_NONE);
    }
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, x));
    return g;
}

static void a_student_starts_from_every_nth_layer(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *teacher = chain(ctx, 4, 100), *student = chain(ctx, 2, 0), *other = small_cnn(ctx, false);
    size_t n = 0;
    (void)state;
    skv_test_ok(ctx, skive_model_start_from(student, teacher, &n));
    assert_int_equal(n, 3);
    assert_true(data_of(student, "block1.w")[0] == 102);
    assert_true(data_of(student, "block2.w")[8] == 104);
    assert_true(data_of(student, "fc.w")[0] == 105);
    const uint64_t before = fingerprint(other);
    skv_test_fails(ctx, skive_model_start_from(other, teacher, &n), SKIVE_ERR_NOT_FOUND, "no parameter of the student");
    assert_true(fingerprint(other) == before);
    skive_graph_free(teacher);
    skive_graph_free(student);
    skive_graph_free(other);
    skv_test_context_end(ctx);
}

/* ---- memory ---- */

typedef struct given {
    const skive_graph *student, *teachers[2];
} given;

static skive_status under_pressure(skive_context *ctx, void *user) {
    const given *from = user;
    skive_graph *student = NULL, *teachers[2] = {NULL, NULL};
    skive_dataset *set = NULL;
    skive_dataset_options d = skive_dataset_options_default();
    skive_train_options how = settings(1, 120);
    skive_distill_options o = skive_distill_options_default();
    skive_status status = skive_graph_copy(ctx, from->student, &student);
    d.split = SKIVE_SPLIT_TRAIN;
    o.train = &how;
    o.terms = "contrastive:width=4;vid;hint:student=feature,teacher=feature";
    o.combine = "confidence";
    for (int i = 0; i < 2 && status == SKIVE_OK; i++) status = skive_graph_copy(ctx, from->teachers[i], &teachers[i]);
    if (status == SKIVE_OK) status = skive_dataset_open(ctx, blobs, &d, &set);
    const skive_graph *more[1] = {teachers[1]};
    o.more_teachers = more;
    o.n_more_teachers = 1;
    if (status == SKIVE_OK) status = skive_distill(ctx, student, teachers[0], set, NULL, &o, NULL);
    for (int i = 0; i < 2; i++) skive_graph_free(teachers[i]);
    skive_graph_free(student);
    skive_dataset_free(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    lesson l = begin();
    given from = {l.student, {l.teacher, l.second}};
    (void)state;
    assert_true(skv_test_walk_allocations(under_pressure, &from, 499) > 10);
    finish(&l);
}

/* ---- places ---- */

enum { IMAGES = 20, WIDE = 4, SPOTS = WIDE * WIDE };

/* Scores of three classes for each place of an image: a 1x1 convolution. */
static skive_graph *place_by_place(skive_context *ctx, uint64_t seed) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {WIDE, NULL}, {WIDE, NULL}}};
    const int64_t w[4] = {CLASSES, 1, 1, 1}, c[1] = {CLASSES};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "places", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "image", &type, &x));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(
        &b, "Conv", SKV_IN(x, parameter(&b, "w", 4, w, seed, -2, 2), parameter(&b, "bias", 1, c, seed + 1, -1, 1)),
        SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    return g;
}

/* The logarithm of the probability of class c at one place, at temperature t. */
static double log_share(const skive_tensor *y, int64_t sample, int64_t c, int64_t place, double t) {
    double sum = 0;
    for (int64_t k = 0; k < CLASSES; k++) sum += exp(skive_tensor_get(y, (sample * CLASSES + k) * SPOTS + place) / t);
    return skive_tensor_get(y, (sample * CLASSES + c) * SPOTS + place) / t - log(sum);
}

/* Soft labels of images with a class for each place: the mean over the places, with one teacher and with two. */
static void soft_labels_of_places_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    const int64_t dims[4] = {IMAGES, 1, WIDE, WIDE}, of_labels[3] = {IMAGES, WIDE, WIDE};
    double x[IMAGES * SPOTS], labels[IMAGES * SPOTS];
    skive_tensor batch, out[3];
    (void)state;
    for (int i = 0; i < IMAGES * SPOTS; i++) {
        x[i] = skv_rng_normal(4, 1, (uint64_t)i);
        labels[i] = (double)skv_rng_below(4, 2, (uint64_t)i, CLASSES);
    }
    save("px.npy", SKIVE_F32, 4, dims, x);
    save("py.npy", SKIVE_I64, 3, of_labels, labels);
    snprintf(spec, sizeof spec, "npy:%s,%s", file(a, "px.npy"), file(b, "py.npy"));
    skive_dataset_options split = skive_dataset_options_default();
    skive_dataset *set = NULL;
    split.split = SKIVE_SPLIT_TRAIN_FULL;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &split, &set));
    assert_int_equal(set->count, IMAGES);
    skive_graph *g[3] = {place_by_place(ctx, 1), place_by_place(ctx, 5), place_by_place(ctx, 9)};
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 4, dims, &batch));
    for (int64_t i = 0; i < IMAGES * SPOTS; i++) skive_tensor_set(&batch, i, x[i]);
    for (int k = 0; k < 3; k++) skv_test_ok(ctx, skive_graph_run(ctx, g[k], &batch, 1, &out[k], 1));
    for (int teachers = 1; teachers <= 2; teachers++) {
        const double t = 2;
        double want = 0;
        for (int64_t i = 0; i < IMAGES * SPOTS * CLASSES; i++) {
            const int64_t place = i % SPOTS, c = i / SPOTS % CLASSES, n = i / SPOTS / CLASSES;
            double p = exp(log_share(&out[1], n, c, place, t));
            if (teachers == 2) p = (p + exp(log_share(&out[2], n, c, place, t))) / 2;
            want += t * t * p * (log(p) - log_share(&out[0], n, c, place, t)) / (IMAGES * SPOTS);
        }
        skive_train_options how = settings(1, IMAGES);
        skive_distill_options o = skive_distill_options_default();
        skive_train_report report;
        const skive_graph *more[1] = {g[2]};
        how.optimizer = "sgd";
        how.learning_rate = 1e-12;
        o.train = &how;
        o.alpha = 1;
        o.temperature = t;
        o.more_teachers = more;
        o.n_more_teachers = (size_t)teachers - 1;
        skv_test_ok(ctx, skive_distill(ctx, g[0], g[1], set, NULL, &o, &report));
        if (!(fabs(report.epochs[0].loss - want) < 1e-5 * want))
            fail_msg("%d teachers: %.9g, expected %.9g", teachers, report.epochs[0].loss, want);
        skive_train_report_free(ctx, &report);
    }
    for (int k = 0; k < 3; k++) {
        skive_tensor_free(ctx, &out[k]);
        skive_graph_free(g[k]);
    }
    skive_tensor_free(ctx, &batch);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soft_labels_of_places_by_hand),
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(teachers_count_as_they_are_combined),
        cmocka_unit_test(classes_are_matched_by_name),
        cmocka_unit_test(values_inside_ask_for_no_classes),
        cmocka_unit_test(other_class_names_are_refused),
        cmocka_unit_test(images_are_resized_for_a_teacher),
        cmocka_unit_test(a_cache_changes_no_bit),
        cmocka_unit_test(views_may_repeat),
        cmocka_unit_test(other_answers_are_refused),
        cmocka_unit_test(samples_without_labels_learn_from_the_teacher),
        cmocka_unit_test(what_needs_labels_is_refused),
        cmocka_unit_test(a_resumed_run_has_the_same_bits),
        cmocka_unit_test(an_ensemble_is_the_mean),
        cmocka_unit_test(a_student_starts_from_every_nth_layer),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
