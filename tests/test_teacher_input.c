/* A teacher with another input than the student: another layout, normalisation or scale. Its soft labels must be its
 * outputs for the same samples. */
#include "train_fixtures.h"

#include <skive/skive.h>

enum { N = 32, C = 3, H = 4, W = 5, VALUES = C * H * W };

static char pictures[2 * SKV_TEST_PATH + 16];

static int set_up_pictures(void **state) {
    const int64_t dims[4] = {N, C, H, W};
    double x[N * VALUES], y[N];
    char a[SKV_TEST_PATH], b[SKV_TEST_PATH];
    (void)state;
    skv_test_make_dir(folder);
    for (int i = 0; i < N * VALUES; i++) x[i] = (double)skv_rng_below(3, 1, (uint64_t)i, 256);
    for (int i = 0; i < N; i++) y[i] = i % 2;
    save("px.npy", SKIVE_U8, 4, dims, x);
    save("py.npy", SKIVE_I64, 1, dims, y);
    snprintf(pictures, sizeof pictures, "npy:%s,%s", file(a, "px.npy"), file(b, "py.npy"));
    return 0;
}

/* (Transpose,) (Sub, Div,) Flatten, Gemm. */
static skive_graph *linear(skive_context *ctx, bool last, const float *mean, const float *std) {
    const int64_t perm[4] = {0, 3, 1, 2}, w[2] = {2, VALUES};
    skive_type type = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {C, NULL}, {H, NULL}, {W, NULL}}};
    if (last) {
        type.dims[1].size = H;
        type.dims[2].size = W;
        type.dims[3].size = C;
    }
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "linear", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &type, &x));
    skv_builder b = skv_build(g);
    if (last) x = skv_emit(&b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, 4)));
    for (int k = 0; mean && k < 2; k++) {
        const float *from = k ? std : mean;
        skive_value *v = NULL;
        const skive_tensor t = {
            .dtype = SKIVE_F32, .rank = 4, .dims = {1, C, 1, 1}, .data = (float[C]){from[0], from[1], from[2]}};
        skv_test_ok(ctx, skive_graph_add_parameter(g, k ? "std" : "mean", &t, &v));
        x = skv_emit(&b, k ? "Div" : "Sub", SKV_IN(x, v), SKV_NONE);
    }
    x = skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE);
    x = skv_emit(&b, "Gemm", SKV_IN(x, parameter(&b, "w", 2, w, 9, -0.2, 0.2)), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, x));
    return g;
}

/* The loss of the first step of a student that only imitates. */
static double first_loss(skive_context *ctx, skive_dataset *set, const char *student_mean, bool student_last,
                         skive_graph *teacher) {
    skive_graph *student = linear(ctx, student_last, NULL, NULL);
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    o.train = &how;
    skive_input_options in = skive_input_options_default();
    skive_train_report r = {0};
    in.mean = student_mean;
    in.std = student_mean ? "0.3" : NULL;
    skv_test_ok(ctx, skive_model_set_input(ctx, student, set, &in));
    o.alpha = 1;
    o.temperature = 1;
    how.epochs = 1;
    how.batch = N;
    how.learning_rate = 1e-9;
    skv_test_ok(ctx, skive_distill(ctx, student, teacher, set, NULL, &o, &r));
    const double loss = r.epochs[0].loss;
    skive_train_report_free(ctx, &r);
    skive_graph_free(student);
    return loss;
}

static void a_teacher_gets_its_own_input(void **state) {
    static const float mean[C] = {0.2f, 0.5f, 0.7f}, std[C] = {0.1f, 0.2f, 0.4f};
    (void)state;
    for (int k = 0; k < 4; k++) {
        skive_context *ctx = skv_test_context();
        skive_dataset *set = open_data(ctx, pictures, SKIVE_SPLIT_TRAIN_FULL);
        const bool student_last = k & 1;
        const char *student_mean = k & 2 ? "0.4" : NULL;
        /* The normalisation inside the graph, told to it, and of bytes; in both layouts. All are the same function. */
        skive_graph *inside = linear(ctx, student_last, mean, std);
        skive_input_options in = skive_input_options_default();
        const double plain = first_loss(ctx, set, student_mean, student_last, inside);
        assert_true(plain > 1e-3);
        for (int last = 0; last < 2; last++) {
            skive_graph *told = linear(ctx, last, NULL, NULL), *bytes = linear(ctx, last, NULL, NULL);
            in.mean = "0.2,0.5,0.7";
            in.std = "0.1,0.2,0.4";
            in.scale = NULL;
            skv_test_ok(ctx, skive_model_set_input(ctx, told, set, &in));
            in.mean = "51,127.5,178.5";
            in.std = "25.5,51,102";
            in.scale = "none";
            skv_test_ok(ctx, skive_model_set_input(ctx, bytes, set, &in));
            assert_true(fabs(first_loss(ctx, set, student_mean, student_last, told) - plain) < 1e-4 * plain);
            assert_true(fabs(first_loss(ctx, set, student_mean, student_last, bytes) - plain) < 1e-4 * plain);
            skive_graph_free(told);
            skive_graph_free(bytes);
        }
        skive_graph_free(inside);
        skive_dataset_free(set);
        skv_test_context_end(ctx);
    }
}

/* A student of features, a teacher of pictures. */
static void a_teacher_of_pictures_teaches_one_of_features(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_data(ctx, pictures, SKIVE_SPLIT_TRAIN_FULL);
    skive_graph *teacher = linear(ctx, true, NULL, NULL), *flat = NULL;
    const int64_t w[2] = {2, VALUES};
    const skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {{-1, "N"}, {VALUES, NULL}}};
    skive_value *x = NULL;
    skive_distill_options o = skive_distill_options_default();
    skive_train_options how = skive_train_options_default();
    o.train = &how;
    skive_train_report r = {0};
    (void)state;
    skv_test_ok(ctx, skive_graph_create(ctx, "flat", &flat));
    skv_test_ok(ctx, skive_graph_add_input(flat, "x", &type, &x));
    skv_builder b = skv_build(flat);
    x = skv_emit(&b, "Gemm", SKV_IN(x, parameter(&b, "w", 2, w, 9, -0.2, 0.2)), SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(flat, x));
    o.alpha = 1;
    how.epochs = 1;
    how.batch = N;
    how.learning_rate = 1e-9;
    skv_test_ok(ctx, skive_distill(ctx, flat, teacher, set, NULL, &o, &r));
    assert_true(fabs(r.epochs[0].loss) < 1e-5); /* the same function */
    skive_train_report_free(ctx, &r);
    skive_graph_free(flat);
    skive_graph_free(teacher);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up_pictures, tear_down)
        T(a_teacher_gets_its_own_input),
        T(a_teacher_of_pictures_teaches_one_of_features),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
