/* Teachers that teach a part: of the classes, or of the outputs of the student. The loss is compared with one computed
 * here from the probabilities of student and teachers. */
#include "train_fixtures.h"

#include <skive/distill.h>

#include "train/curriculum.h"

enum { BATCH = 20, TWO = 2 };
static const char *const class_names[CLASSES] = {"top", "middle", "bottom"};

/* One linear layer for each output: of `classes` scores, if any. */
typedef struct layer {
    const char *name;
    int64_t classes;
    uint64_t seed;
} layer;

static skive_graph *linear(skive_context *ctx, const layer *layers, int n) {
    const skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {SIDE, NULL}, {SIDE, NULL}}};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "linear", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "image", &type, &x));
    skv_builder b = skv_build(g);
    x = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    for (int i = 0; i < n; i++) {
        const int64_t w[2] = {layers[i].classes, PIXELS};
        char name[40];
        snprintf(name, sizeof name, "%s.weight", layers[i].name);
        skive_value *y = skv_emit(&b, "Gemm", SKV_IN(x, parameter(&b, name, 2, w, layers[i].seed, -0.6, 0.6)),
                                  SKV_ATTRS(SKV_INT("transB", 1)));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skv_value_rename(y, layers[i].name));
        skv_test_ok(ctx, skive_graph_add_output(g, y));
    }
    return g;
}

static skive_graph *plain(skive_context *ctx, int64_t classes, uint64_t seed) {
    return linear(ctx, &(layer){"scores", classes, seed}, 1);
}

/* ---- a part of the classes ---- */

static double student_p[TRAINING][CLASSES], first_p[TRAINING][CLASSES], second_p[TRAINING][CLASSES];
static int64_t labels[TRAINING];

static void keep(void *user, size_t index, const double *log_p, int64_t classes, int64_t label) {
    double(*to)[CLASSES] = user;
    assert_int_equal(classes, CLASSES);
    memcpy(to[index], log_p, CLASSES * sizeof *log_p);
    labels[index] = label;
}

/* T^2 KL(softmax(t / T) || softmax(s / T)) over n classes, of logarithms of probabilities that are logits as well. */
static double divergence(const double *teacher, const int *of_teacher, const double *student, const int *of_student,
                         int n, double temperature) {
    double a = 0, b = 0, sum = 0;
    for (int i = 0; i < n; i++) {
        a += exp(teacher[of_teacher[i]] / temperature);
        b += exp(student[of_student[i]] / temperature);
    }
    for (int i = 0; i < n; i++) {
        const double p = exp(teacher[of_teacher[i]] / temperature) / a;
        sum += p * (log(p) - (student[of_student[i]] / temperature - log(b)));
    }
    return temperature * temperature * sum;
}

typedef struct lesson {
    skive_context *ctx;
    skive_graph *student, *first, *second;
    skive_dataset *set;
    skive_train_options how;
    skive_distill_options o;
} lesson;

/* The first teacher knows bottom and top, and something else; the second middle and bottom. */
static lesson begin(void) {
    static const char *const of_first[CLASSES] = {"bottom", "cloud", "top"}, *const of_second[CLASSES] = {
                                                                                 "middle", "sky", "bottom"};
    lesson l = {.ctx = skv_test_context()};
    skive_dataset_options o = skive_dataset_options_default();
    l.student = plain(l.ctx, CLASSES, 1);
    l.first = plain(l.ctx, CLASSES, 2);
    l.second = plain(l.ctx, CLASSES, 3);
    skv_test_ok(l.ctx, skive_model_set_class_names(l.student, class_names, CLASSES));
    o.split = SKIVE_SPLIT_TRAIN;
    o.model = l.student;
    skv_test_ok(l.ctx, skive_dataset_open(l.ctx, blobs, &o, &l.set));
    skv_test_ok(l.ctx, skv_log_probabilities(l.ctx, l.student, l.set, keep, student_p));
    skv_test_ok(l.ctx, skv_log_probabilities(l.ctx, l.first, l.set, keep, first_p));
    skv_test_ok(l.ctx, skv_log_probabilities(l.ctx, l.second, l.set, keep, second_p));
    skv_test_ok(l.ctx, skive_model_set_class_names(l.first, of_first, CLASSES));
    skv_test_ok(l.ctx, skive_model_set_class_names(l.second, of_second, CLASSES));
    l.how = settings(1, BATCH);
    l.how.optimizer = "sgd";
    l.how.learning_rate = 1e-12; /* the loss of the student as it is */
    l.o = skive_distill_options_default();
    l.o.temperature = 2;
    l.o.alpha = 0.6;
    l.o.teacher_classes = "known";
    return l;
}

static void finish(lesson *l) {
    skive_graph_free(l->student);
    skive_graph_free(l->first);
    skive_graph_free(l->second);
    skive_dataset_free(l->set);
    skv_test_context_end(l->ctx);
}

static skive_status run(lesson *l, skive_train_report *report) {
    l->o.train = &l->how;
    return skive_distill(l->ctx, l->student, l->first, l->set, NULL, &l->o, report);
}

static double loss_of(lesson *l) {
    skive_train_report report = {0};
    skv_test_ok(l->ctx, run(l, &report));
    const double loss = report.epochs[0].loss;
    skive_train_report_free(l->ctx, &report);
    return loss;
}

static double by_first(size_t i) {
    return divergence(first_p[i], (const int[]){2, 0}, student_p[i], (const int[]){0, 2}, TWO, 2);
}
static double by_second(size_t i) {
    return divergence(second_p[i], (const int[]){0, 2}, student_p[i], (const int[]){1, 2}, TWO, 2);
}

/* Samples of the class in the middle, which the teacher does not know, have their labels alone. */
static void one_teacher(void **state) {
    lesson l = begin();
    double sum = 0;
    (void)state;
    for (size_t i = 0; i < l.set->count; i++) {
        const double label = -student_p[i][labels[i]];
        sum += 0.4 * label + 0.6 * (labels[i] == 1 ? label : by_first(i));
    }
    const double want = sum / (double)l.set->count;
    assert_true(fabs(loss_of(&l) - want) < 1e-5 * want);
    /* A term of its own adds nothing for what the teacher does not know. */
    l.o.alpha = 0;
    l.o.terms = "kl:weight=0.5";
    sum = 0;
    for (size_t i = 0; i < l.set->count; i++)
        sum += -student_p[i][labels[i]] + (labels[i] == 1 ? 0 : 0.5 * by_first(i));
    const double alone = sum / (double)l.set->count;
    assert_true(fabs(loss_of(&l) - alone) < 1e-5 * alone);
    finish(&l);
}

/* The weights are shared by those that know the class of a sample. */
static void two_teachers(void **state) {
    lesson l = begin();
    const skive_graph *more[1] = {l.second};
    const double weights[2] = {3, 1};
    double sum = 0;
    (void)state;
    l.o.more_teachers = more;
    l.o.n_more_teachers = 1;
    l.o.weights = weights;
    for (size_t i = 0; i < l.set->count; i++) {
        const double soft = labels[i] == 0   ? by_first(i)
                            : labels[i] == 1 ? by_second(i)
                                             : 0.75 * by_first(i) + 0.25 * by_second(i);
        sum += 0.4 * -student_p[i][labels[i]] + 0.6 * soft;
    }
    const double want = sum / (double)l.set->count;
    assert_true(fabs(loss_of(&l) - want) < 1e-5 * want);
    l.o.weights = NULL;
    l.o.combine = "learned";
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_ARGUMENT, "not for teachers that know different classes");
    finish(&l);
}

/* A sample without a label learns from all teachers, each on its classes. */
static void without_labels(void **state) {
    lesson l = begin();
    skive_dataset *more = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    double sum = 0;
    (void)state;
    o.split = SKIVE_SPLIT_TRAIN;
    o.targets = SKIVE_TARGETS_NONE;
    skv_test_ok(l.ctx, skive_dataset_open(l.ctx, blobs, &o, &more));
    l.o.unlabelled = more;
    for (size_t i = 0; i < l.set->count; i++) {
        const double label = -student_p[i][labels[i]];
        sum += 0.4 * label + 0.6 * (labels[i] == 1 ? label : by_first(i)) + by_first(i);
    }
    const double want = sum / (double)l.set->count / 2;
    assert_true(fabs(loss_of(&l) - want) < 1e-5 * want);
    skive_dataset_free(more);
    finish(&l);
}

/* Names from a file count as those of the metadata; a teacher that knows all is as ever. */
static void names_from_a_file(void **state) {
    static const char *const all[CLASSES] = {"bottom", "top", "middle"};
    char path[SKV_TEST_PATH], bad[SKV_TEST_PATH], numbered[SKV_TEST_PATH + 8];
    lesson l = begin();
    (void)state;
    const double want = loss_of(&l);
    FILE *f = fopen(file(path, "names.txt"), "wb");
    assert_non_null(f);
    assert_true(fputs("bottom\ncloud\r\ntop\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    skv_test_ok(l.ctx, skive_model_set_class_names(l.first, NULL, 0));
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_DATA, "records no names of its classes");
    l.o.teacher_classes = path;
    assert_true(loss_of(&l) == want);
    snprintf(numbered, sizeof numbered, "1:%s", path);
    l.o.teacher_classes = numbered;
    assert_true(loss_of(&l) == want);
    numbered[0] = '2';
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_ARGUMENT, "there is 1 teacher");
    f = fopen(file(bad, "bad.txt"), "wb");
    assert_non_null(f);
    assert_true(fputs("top\nmiddle\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    l.o.teacher_classes = bad;
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_DATA, "3 scores, and the file names 2");
    l.o.teacher_classes = file(bad, "nowhere.txt");
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_IO, "nowhere.txt");
    skv_test_ok(l.ctx, skive_model_set_class_names(l.first, all, CLASSES));
    l.o.teacher_classes = "known";
    const double known = loss_of(&l);
    l.o.teacher_classes = NULL;
    assert_true(loss_of(&l) == known);
    finish(&l);
}

static void what_does_not_fit_is_refused(void **state) {
    static const char *const one[CLASSES] = {"top", "cloud", "sky"}, *const twice[CLASSES] = {"top", "bottom", "top"};
    lesson l = begin();
    (void)state;
    l.o.teacher_classes = NULL;
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_DATA, "'middle', which the teacher does not know");
    l.o.teacher_classes = "known";
    l.o.terms = "dkd";
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_ARGUMENT, "'dkd' needs a teacher that knows all classes");
    l.o.terms = NULL;
    l.how.loss = "mse";
    assert_int_not_equal(run(&l, NULL), SKIVE_OK);
    l.how.loss = NULL;
    l.how.augment = "mixup";
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_ARGUMENT, "one class label a sample");
    l.how.augment = NULL;
    skv_test_ok(l.ctx, skive_model_set_class_names(l.first, one, CLASSES));
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_DATA, "knows 1 of the 3 classes");
    skv_test_ok(l.ctx, skive_model_set_class_names(l.first, twice, CLASSES));
    skv_test_fails(l.ctx, run(&l, NULL), SKIVE_ERR_DATA, "'top' is there twice");
    finish(&l);
}

/* ---- outputs ---- */

static uint64_t taught(skive_dataset *set, const skive_graph *const *teachers, size_t n, const layer *student,
                       int heads, const char *text, skive_status status, const char *part) {
    skive_context *ctx = set->ctx;
    skive_graph *g = linear(ctx, student, heads);
    skive_train_options how = settings(1, BATCH);
    skive_distill_options o = skive_distill_options_default();
    o.train = &how;
    o.more_teachers = teachers + 1;
    o.n_more_teachers = n - 1;
    o.teacher_heads = text;
    const skive_status got = skive_distill(ctx, g, teachers[0], set, NULL, &o, NULL);
    if (status == SKIVE_OK)
        skv_test_ok(ctx, got);
    else
        skv_test_fails(ctx, got, status, part);
    const uint64_t bits = fingerprint(g);
    skive_graph_free(g);
    return bits;
}

/* Of a teacher of two outputs the one that is named teaches a student of one, as if it were alone. */
static void one_output_of_two(void **state) {
    skive_context *ctx = skv_test_context();
    static const layer both[2] = {{"p", CLASSES, 5}, {"q", CLASSES, 6}}, student = {"scores", CLASSES, 9};
    skive_dataset *set = open_data(ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_graph *two = linear(ctx, both, 2), *p = linear(ctx, both, 1), *q = linear(ctx, both + 1, 1);
    (void)state;
    for (int k = 0; k < 2; k++) {
        const skive_graph *alone = k ? q : p;
        const uint64_t want = taught(set, &alone, 1, &student, 1, NULL, SKIVE_OK, NULL);
        assert_true(taught(set, (const skive_graph *[]){two}, 1, &student, 1, k ? "q" : "scores=p", SKIVE_OK, NULL) ==
                    want);
        assert_true(taught(set, &alone, 1, &student, 1, "1:", SKIVE_OK, NULL) == want);
    }
    const skive_graph *teachers[2] = {two, q};
    taught(set, teachers, 1, &student, 1, "r", SKIVE_ERR_NOT_FOUND, "no teacher has an output 'r'");
    taught(set, teachers, 1, &student, 1, "kind=p", SKIVE_ERR_NOT_FOUND, "no task 'kind'; the student learns 'scores'");
    taught(set, teachers, 1, &student, 1, "p;q", SKIVE_ERR_ARGUMENT, "by two outputs, 'p' and 'q'");
    taught(set, teachers, 1, &student, 1, "=p", SKIVE_ERR_ARGUMENT, "has an empty part");
    taught(set, teachers, 1, &student, 1, "2:q", SKIVE_ERR_ARGUMENT, "there is 1 teacher");
    taught(set, teachers, 2, &student, 1, "q", SKIVE_ERR_ARGUMENT, "2 teachers have an output 'q'");
    /* Two teachers of one output are combined. */
    assert_true(taught(set, teachers, 2, &student, 1, "1:p;2:q", SKIVE_OK, NULL) ==
                taught(set, (const skive_graph *[]){p, q}, 2, &student, 1, NULL, SKIVE_OK, NULL));
    skive_graph_free(two);
    skive_graph_free(p);
    skive_graph_free(q);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Two targets: 'image' of three classes and 'other' of two. */
static skive_dataset *open_two_targets(skive_context *ctx) {
    char x[SKV_TEST_PATH], y[SKV_TEST_PATH], z[SKV_TEST_PATH], spec[4 * SKV_TEST_PATH + 64];
    double values[TRAINING];
    const int64_t n = TRAINING;
    for (int i = 0; i < TRAINING; i++) values[i] = (double)skv_rng_below(31, 1, (uint64_t)i, TWO);
    save("z.npy", SKIVE_I64, 1, &n, values);
    snprintf(spec, sizeof spec, "inputs:image=npy:%s,%s;other=npy:%s,%s;targets=image,other", file(x, "x.npy"),
             file(y, "y.npy"), x, file(z, "z.npy"));
    return open_data(ctx, spec, SKIVE_SPLIT_TRAIN);
}

/* Teachers of one task each teach a student of two, as one that has both outputs does. */
static void two_teachers_of_a_task_each(void **state) {
    static const layer both[2] = {{"p", CLASSES, 5}, {"q", TWO, 6}}, student[2] = {{"s", CLASSES, 8}, {"t", TWO, 9}};
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_dataset *set = open_two_targets(ctx);
    skive_graph *two = linear(ctx, both, 2), *p = linear(ctx, both, 1), *q = linear(ctx, both + 1, 1);
    const skive_graph *one[1] = {two}, *each[2] = {p, q}, *turned[2] = {q, p};
    const uint64_t want = taught(set, one, 1, student, 2, NULL, SKIVE_OK, NULL);
    assert_true(taught(set, one, 1, student, 2, "s=p;t=q", SKIVE_OK, NULL) == want);
    assert_true(taught(set, each, 2, student, 2, "s=p;t=q", SKIVE_OK, NULL) == want);
    assert_true(taught(set, each, 2, student, 2, "image=1:;other=2:q", SKIVE_OK, NULL) == want);
    assert_true(taught(set, turned, 2, student, 2, "t=q;s=p", SKIVE_OK, NULL) == want);
    taught(set, each, 2, student, 2, "s=p", SKIVE_ERR_ARGUMENT, "no output of teacher 2");
    taught(set, one, 1, student, 2, "s=p", SKIVE_ERR_ARGUMENT,
           "learns 'other', and no teacher's output is named for it");
    taught(set, each, 2, student, 2, "p;t=q", SKIVE_ERR_ARGUMENT,
           "write TASK=p, with TASK one of 'image' (output 's')");
    taught(set, each, 2, student, 2, "s=q;t=p", SKIVE_ERR_SHAPE, "output 'p' for 't': the teacher gives 3 scores");
    skive_graph_free(two);
    skive_graph_free(p);
    skive_graph_free(q);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- students of a task each ---- */

static skive_status teach_tasks(skive_dataset *set, skive_graph *const *students, const char *const *tasks, size_t n,
                                const skive_graph *teacher, const skive_graph *second, const char *heads,
                                const char *terms) {
    skive_train_options how = settings(2, BATCH);
    skive_distill_options o = skive_distill_options_default();
    o.train = &how;
    o.terms = terms;
    o.teacher_heads = heads;
    o.more_teachers = &second;
    o.n_more_teachers = second != NULL;
    return skive_distill_tasks(set->ctx, students, tasks, n, teacher, set, NULL, &o, NULL);
}

/* What a student gets in a run with another one is what it gets in a run of its own. */
static void students_of_a_task_each(void **state) {
    static const layer both[2] = {{"p", CLASSES, 5}, {"q", TWO, 6}},
                       student[2] = {{"scores", CLASSES, 8}, {"scores", TWO, 9}};
    static const char *const tasks[2] = {"image", "other"}, *const heads[2] = {"p", "q"};
    char x[SKV_TEST_PATH], y[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 16];
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_dataset *set = open_two_targets(ctx);
    skive_graph *two = linear(ctx, both, 2), *p = linear(ctx, both, 1), *q = linear(ctx, both + 1, 1);
    uint64_t alone[2];
    for (int i = 0; i < 2; i++) {
        skive_graph *g = linear(ctx, &student[i], 1);
        skive_train_options how = settings(2, BATCH);
        skive_distill_options o = skive_distill_options_default();
        snprintf(spec, sizeof spec, "npy:%s,%s", file(x, "x.npy"), file(y, i ? "z.npy" : "y.npy"));
        skive_dataset *one = open_data(ctx, spec, SKIVE_SPLIT_TRAIN);
        o.train = &how;
        o.teacher_heads = heads[i];
        skv_test_ok(ctx, skive_distill(ctx, g, two, one, NULL, &o, NULL));
        alone[i] = fingerprint(g);
        skive_dataset_free(one);
        skive_graph_free(g);
    }
    for (int way = 0; way < 3; way++) {
        skive_graph *g[2] = {linear(ctx, &student[0], 1), linear(ctx, &student[1], 1)};
        skv_test_ok(ctx, teach_tasks(set, g, tasks, 2, way < 2 ? two : p, way < 2 ? NULL : q,
                                     way == 1   ? NULL
                                     : way == 0 ? "image=p;other=q"
                                                : "image=1:;other=2:",
                                     NULL));
        for (int i = 0; i < 2; i++) {
            assert_true(fingerprint(g[i]) == alone[i]);
            /* The input of the first is called as its task is, so that its output keeps its name. */
            assert_string_equal(skive_value_name(skive_graph_output(g[i], 0)), i ? "other" : "scores");
            assert_int_equal(skive_graph_output_count(g[i]), 1);
            skive_graph_free(g[i]);
        }
    }
    skive_graph_free(two);
    skive_graph_free(p);
    skive_graph_free(q);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void tasks_that_do_not_fit_are_refused(void **state) {
    static const layer both[2] = {{"p", CLASSES, 5}, {"q", TWO, 6}},
                       student[2] = {{"scores", CLASSES, 8}, {"scores", TWO, 9}},
                       wide[2] = {{"a", CLASSES, 3}, {"b", CLASSES, 4}};
    static const char *const tasks[2] = {"image", "other"}, *const twice[2] = {"image", "image"},
                             *const odd[2] = {"image", "odd"}, *const none[2] = {"image", ""};
    const char *heads = "image=p;other=q";
    skive_context *ctx = skv_test_context();
    (void)state;
    skive_dataset *set = open_two_targets(ctx);
    skive_graph *two = linear(ctx, both, 2), *g[2] = {linear(ctx, &student[0], 1), linear(ctx, &student[1], 1)},
                *several[2] = {linear(ctx, wide, 2), g[1]}, *turned[2] = {g[1], g[0]};
    const uint64_t bits = fingerprint(g[0]);
    skv_test_fails(ctx, teach_tasks(set, g, tasks, 1, two, NULL, NULL, NULL), SKIVE_ERR_ARGUMENT, "1 students");
    skv_test_fails(ctx, teach_tasks(set, g, twice, 2, two, NULL, NULL, NULL), SKIVE_ERR_ARGUMENT, "the same task");
    skv_test_fails(ctx, teach_tasks(set, g, odd, 2, two, NULL, NULL, NULL), SKIVE_ERR_NOT_FOUND,
                   "no target 'odd'; they have 'image', 'other'");
    skv_test_fails(ctx, teach_tasks(set, g, none, 2, two, NULL, NULL, NULL), SKIVE_ERR_ARGUMENT,
                   "the task of student 2 is missing");
    skv_test_fails(ctx, teach_tasks(set, several, tasks, 2, two, NULL, heads, NULL), SKIVE_ERR_SHAPE,
                   "student 1 has several outputs");
    assert_int_not_equal(teach_tasks(set, turned, tasks, 2, two, NULL, heads, NULL), SKIVE_OK);
    skv_test_fails(ctx, teach_tasks(set, g, tasks, 2, two, NULL, heads, "relation"), SKIVE_ERR_ARGUMENT,
                   "relation:student=VALUE,teacher=VALUE");
    skv_test_fails(ctx, teach_tasks(set, g, tasks, 2, two, NULL, "image=p", NULL), SKIVE_ERR_ARGUMENT,
                   "learns 'other', and no teacher's output is named for it");
    assert_true(fingerprint(g[0]) == bits);
    assert_string_equal(skive_value_name(skive_graph_output(g[1], 0)), "scores");
    skive_graph_free(several[0]);
    skive_graph_free(g[0]);
    skive_graph_free(g[1]);
    skive_graph_free(two);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_teacher),
        cmocka_unit_test(two_teachers),
        cmocka_unit_test(without_labels),
        cmocka_unit_test(names_from_a_file),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(one_output_of_two),
        cmocka_unit_test(two_teachers_of_a_task_each),
        cmocka_unit_test(students_of_a_task_each),
        cmocka_unit_test(tasks_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
