/* Models with several inputs and outputs, and data sets that give them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <skive/skive.h>

#include "graph/graph.h"
#include "npz_fixtures.h"
#include "support.h"
#include "tensor/tensor.h"

#include <cmocka.h>

enum { SAMPLES = 400, SIDE = 4, COLUMNS = 3, WORDS = 6, VOCABULARY = 12 };

static char folder[SKV_TEST_PATH];

static const char *file(char buffer[SKV_TEST_PATH], const char *name) { return skv_test_path(buffer, folder, name); }

/* ---- data ----
 *
 * A picture is bright or dark and the first column of a table positive or negative: four classes, of which neither
 * input tells more than a half. `age` is a number that depends on both. */

typedef struct data {
    skive_tensor image, table, kind, age, tokens, length, answer;
} data;

static skive_tensor make(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims) {
    skive_tensor t;
    skv_test_ok(ctx, skive_tensor_create(ctx, dtype, rank, dims, &t));
    return t;
}

static data make_data(skive_context *ctx, uint64_t seed) {
    data d;
    d.image = make(ctx, SKIVE_U8, 4, (int64_t[]){SAMPLES, 1, SIDE, SIDE});
    d.table = make(ctx, SKIVE_F32, 2, (int64_t[]){SAMPLES, COLUMNS});
    d.kind = make(ctx, SKIVE_I64, 1, (int64_t[]){SAMPLES});
    d.age = make(ctx, SKIVE_F32, 1, (int64_t[]){SAMPLES});
    d.tokens = make(ctx, SKIVE_I64, 2, (int64_t[]){SAMPLES, WORDS});
    d.length = make(ctx, SKIVE_I64, 1, (int64_t[]){SAMPLES});
    d.answer = make(ctx, SKIVE_I64, 1, (int64_t[]){SAMPLES});
    for (int i = 0; i < SAMPLES; i++) {
        const int bright = (int)skv_rng_below(seed, 1, (uint64_t)i, 2),
                  plus = (int)skv_rng_below(seed, 2, (uint64_t)i, 2);
        for (int k = 0; k < SIDE * SIDE; k++)
            skive_tensor_set(&d.image, i * SIDE * SIDE + k,
                             (bright ? 150 : 50) + (double)skv_rng_below(seed, 3, (uint64_t)(i * 100 + k), 50));
        for (int k = 0; k < COLUMNS; k++)
            skive_tensor_set(&d.table, i * COLUMNS + k,
                             k == 0 ? (plus ? 1.0 : -1.0) + 0.2 * skv_rng_normal(seed, 4, (uint64_t)i)
                                    : skv_rng_normal(seed, 5, (uint64_t)(i * 10 + k)));
        skive_tensor_set(&d.kind, i, 2 * bright + plus);
        skive_tensor_set(&d.age, i, 100 + 30 * bright - 20 * plus);
        /* Words behind the length are noise that would mislead; the answer is whether the words before it are high. */
        const int high = (int)skv_rng_below(seed, 6, (uint64_t)i, 2),
                  length = 1 + (int)skv_rng_below(seed, 7, (uint64_t)i, WORDS);
        for (int k = 0; k < WORDS; k++) {
            const int half = VOCABULARY / 2, word = (int)skv_rng_below(seed, 8, (uint64_t)(i * 10 + k), (uint64_t)half);
            skive_tensor_set(&d.tokens, i * WORDS + k, (k < length) == (high == 1) ? half + word : word);
        }
        skive_tensor_set(&d.length, i, length);
        skive_tensor_set(&d.answer, i, high);
    }
    return d;
}

static void free_data(skive_context *ctx, data *d) {
    skive_tensor *all[] = {&d->image, &d->table, &d->kind, &d->age, &d->tokens, &d->length, &d->answer};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) skive_tensor_free(ctx, all[i]);
}

static void save(skive_context *ctx, const char *name, const skive_tensor *t) {
    char path[SKV_TEST_PATH];
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, file(path, name), t));
}

static int set_up(void **state) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    (void)state;
    skv_test_make_dir(folder);
    data d = make_data(ctx, 7), t = make_data(ctx, 8);
    const npz_array both[] = {{"image_train", d.image}, {"table_train", d.table}, {"kind_train", d.kind},
                              {"age_train", d.age},     {"image_test", t.image},  {"table_test", t.table},
                              {"kind_test", t.kind},    {"age_test", t.age}};
    const npz_array words[] = {{"ids", d.tokens}, {"len", d.length}, {"y", d.answer}};
    const npz_array test_words[] = {{"ids", t.tokens}, {"len", t.length}, {"y", t.answer}};
    write_npz(ctx, folder, file(path, "both.npz"), both, 8, false, NULL);
    write_npz(ctx, folder, file(path, "packed.npz"), both, 8, true, NULL);
    write_npz(ctx, folder, file(path, "words.npz"), words, 3, true, NULL);
    write_npz(ctx, folder, file(path, "test_words.npz"), test_words, 3, false, NULL);
    save(ctx, "image.npy", &d.image);
    save(ctx, "table.npy", &d.table);
    save(ctx, "kind.npy", &d.kind);
    save(ctx, "age.npy", &d.age);
    save(ctx, "answer.npy", &d.answer);
    free_data(ctx, &d);
    free_data(ctx, &t);
    skv_test_context_end(ctx);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    skv_test_remove_dir(folder);
    return 0;
}

/* '@' in the specification stands for the folder. */
static const char *spec_of(const char *format, char *spec, size_t size) {
    size_t n = 0;
    for (const char *c = format; *c; c++)
        n += (size_t)(*c == '@' ? snprintf(spec + n, size - n, "%s/", folder) : snprintf(spec + n, size - n, "%c", *c));
    assert_true(n < size);
    return spec;
}

static skive_status try_open(skive_context *ctx, const char *format, skive_split split, skive_dataset **set) {
    char spec[8 * SKV_TEST_PATH];
    skive_dataset_options o = skive_dataset_options_default();
    o.split = split;
    return skive_dataset_open(ctx, spec_of(format, spec, sizeof spec), &o, set);
}

static skive_dataset *open_split(skive_context *ctx, const char *format, skive_split split) {
    skive_dataset *set = NULL;
    skv_test_ok(ctx, try_open(ctx, format, split, &set));
    return set;
}

static void refused(skive_context *ctx, const char *format, skive_status expected, const char *part) {
    skive_dataset *set = NULL;
    const skive_status status = try_open(ctx, format, SKIVE_SPLIT_TRAIN_FULL, &set);
    skv_test_fails(ctx, status, expected, part);
    assert_null(set);
}

/* ---- models ---- */

static skive_value *weight(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skv_storage *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++)
        skive_tensor_set(&s->tensor, i, rank < 2 ? 0 : 0.4 * skv_rng_normal(seed, 1, (uint64_t)i));
    return skv_emit_param(b, name, s);
}

static skive_value *dense(skv_builder *b, const char *name, skive_value *x, int64_t in, int64_t out, uint64_t seed) {
    char w[64], c[64];
    snprintf(w, sizeof w, "%s.w", name);
    snprintf(c, sizeof c, "%s.b", name);
    return skv_emit(b, "Gemm",
                    SKV_IN(x, weight(b, w, 2, (int64_t[]){out, in}, seed), weight(b, c, 1, (int64_t[]){out}, seed)),
                    SKV_ATTRS(SKV_INT("transB", 1)));
}

static skive_value *input(skive_graph *g, const char *name, skive_dtype dtype, int rank, const int64_t *dims) {
    skive_type type = {.dtype = dtype, .rank = rank + 1, .dims = {{-1, "N"}}};
    skive_value *v = NULL;
    for (int d = 0; d < rank; d++) type.dims[d + 1] = (skive_dim){dims[d], NULL};
    skv_test_ok(g->ctx, skive_graph_add_input(g, name, &type, &v));
    return v;
}

static void output(skive_context *ctx, skive_value *v, const char *name, skive_graph *g) {
    skv_test_ok(ctx, skv_value_rename(v, name));
    skv_test_ok(ctx, skive_graph_add_output(g, v));
}

/* Picture and table; `turned`: the table's input comes first. With `age` a second output. */
static skive_graph *two_inputs(skive_context *ctx, const char *image, const char *table, int64_t width, bool turned,
                               bool age) {
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "two", &g));
    skive_value *t = turned ? input(g, table, SKIVE_F32, 1, (int64_t[]){COLUMNS}) : NULL;
    skive_value *x = input(g, image, SKIVE_F32, 3, (int64_t[]){1, SIDE, SIDE});
    if (!turned) t = input(g, table, SKIVE_F32, 1, (int64_t[]){COLUMNS});
    skv_builder b = skv_build(g);
    skive_value *p = skv_emit(
        &b, "Relu", SKV_IN(dense(&b, "picture", skv_emit(&b, "Flatten", SKV_IN(x), SKV_NONE), SIDE * SIDE, width, 11)),
        SKV_NONE);
    skive_value *q = skv_emit(&b, "Relu", SKV_IN(dense(&b, "columns", t, COLUMNS, width, 12)), SKV_NONE);
    skive_value *h = skv_emit(&b, "Concat", SKV_IN(p, q), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *y = dense(&b, "classes", h, 2 * width, 4, 13),
                *z = age ? dense(&b, "years", h, 2 * width, 1, 14) : NULL;
    skv_test_ok(ctx, b.status);
    output(ctx, y, "kind", g);
    if (z) output(ctx, z, "age", g);
    return g;
}

/* Mean of the embeddings of the words before the length. */
static skive_graph *token_model(skive_context *ctx) {
    skive_graph *g = NULL;
    const int64_t width = 8;
    skv_test_ok(ctx, skive_graph_create(ctx, "words", &g));
    skive_value *ids = input(g, "ids", SKIVE_I64, 1, (int64_t[]){WORDS}), *len = input(g, "len", SKIVE_I64, 0, NULL);
    skv_builder b = skv_build(g);
    int64_t places[WORDS], last[] = {1}, behind[] = {2};
    for (int i = 0; i < WORDS; i++) places[i] = i;
    skive_value *e =
        skv_emit(&b, "Gather", SKV_IN(weight(&b, "table", 2, (int64_t[]){VOCABULARY, width}, 21), ids), SKV_NONE);
    skive_value *column = skv_emit(&b, "Unsqueeze", SKV_IN(len, skv_emit_ints(&b, last, 1)), SKV_NONE);
    skive_value *mask = skv_emit(&b, "Less", SKV_IN(skv_emit_ints(&b, places, WORDS), column), SKV_NONE);
    mask = skv_emit(&b, "Cast", SKV_IN(mask), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    mask = skv_emit(&b, "Unsqueeze", SKV_IN(mask, skv_emit_ints(&b, behind, 1)), SKV_NONE);
    skive_value *sum =
        skv_emit(&b, "ReduceSum", SKV_IN(skv_emit(&b, "Mul", SKV_IN(e, mask), SKV_NONE), skv_emit_ints(&b, last, 1)),
                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *mean = skv_emit(
        &b, "Div", SKV_IN(sum, skv_emit(&b, "Cast", SKV_IN(column), SKV_ATTRS(SKV_INT("to", SKIVE_F32)))), SKV_NONE);
    skive_value *y = dense(&b, "out", mean, width, 2, 22);
    skv_test_ok(ctx, b.status);
    output(ctx, y, "y", g);
    return g;
}

static skive_train_options quick(void) {
    skive_train_options o = skive_train_options_default();
    o.epochs = 12;
    o.batch = 20;
    o.learning_rate = 0.05;
    return o;
}

static double accuracy(skive_context *ctx, const skive_graph *g, skive_dataset *set) {
    skive_eval_report r;
    skv_test_ok(ctx, skive_evaluate(ctx, g, set, 0, &r));
    const double a = r.accuracy;
    skive_eval_report_free(ctx, &r);
    return a;
}

/* The same by a session on the arrays themselves, with bytes divided by 255 here. */
static double accuracy_by_hand(skive_context *ctx, const skive_graph *g, uint64_t seed) {
    data d = make_data(ctx, seed);
    skive_session *s = NULL;
    skive_tensor in[2], image = make(ctx, SKIVE_F32, 4, d.image.dims), out = {0};
    int64_t right = 0;
    for (int64_t i = 0; i < skive_tensor_count(&image); i++)
        skive_tensor_set(&image, i, skive_tensor_get(&d.image, i) / 255.0);
    for (size_t i = 0; i < 2; i++) in[i] = skive_value_type(skive_graph_input(g, i))->rank == 4 ? image : d.table;
    skv_test_ok(ctx, skive_session_create(ctx, g, NULL, &s));
    skive_tensor outs[2] = {{0}};
    skv_test_ok(ctx, skive_session_run(s, in, 2, outs, skive_graph_output_count(g)));
    out = outs[0];
    for (int64_t i = 0; i < SAMPLES; i++) {
        int64_t best = 0;
        for (int64_t c = 1; c < 4; c++)
            best = skive_tensor_get(&out, i * 4 + c) > skive_tensor_get(&out, i * 4 + best) ? c : best;
        right += best == (int64_t)skive_tensor_get(&d.kind, i);
    }
    for (size_t i = 0; i < 2; i++) skive_tensor_free(ctx, &outs[i]);
    skive_session_free(s);
    skive_tensor_free(ctx, &image);
    free_data(ctx, &d);
    return (double)right / SAMPLES;
}

/* ---- data sets ---- */

static void check_first(skive_context *ctx, const skive_dataset *set, const char *name, size_t part) {
    char path[SKV_TEST_PATH];
    skive_tensor t;
    const skive_dataset *one = skive_dataset_get_input(set, part);
    skive_dataset_info info;
    skv_test_ok(ctx, skive_tensor_load_npy(ctx, file(path, name), &t));
    skive_dataset_get_info(one, &info);
    float *x = calloc(info.sample_size, sizeof *x);
    for (size_t i = 0; i < info.count; i += 37) {
        const size_t at = skive_dataset_origin(one, i);
        skv_test_ok(ctx, skive_dataset_read(ctx, one, i, x, NULL));
        for (size_t k = 0; k < info.sample_size; k++) {
            const double stored = skive_tensor_get(&t, (int64_t)(at * info.sample_size + k));
            assert_true(fabs((double)x[k] - (t.dtype == SKIVE_U8 ? stored / 255 : stored)) < 1e-6);
        }
    }
    free(x);
    skive_tensor_free(ctx, &t);
}

static void data_sets(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    (void)state;
    const char *const specs[] = {
        "inputs:image=npy:@image.npy,@kind.npy;table=npy:@table.npy", "npz:@both.npz,labels=kind,inputs=image,table",
        "npz:@packed.npz,labels=kind,inputs=image,table", "npz:@both.npz,labels=kind,inputs=image,table,disk=yes",
        "inputs:image=npy:@image.npy,disk=yes;table=npy:@table.npy,@kind.npy,disk=yes"};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        skive_dataset *set = open_split(ctx, specs[i], SKIVE_SPLIT_TRAIN);
        skive_dataset_get_info(set, &info);
        assert_int_equal(info.n_inputs, 2);
        assert_int_equal(info.n_targets, 1);
        assert_string_equal(info.inputs[0].name, "image");
        assert_string_equal(info.inputs[1].name, "table");
        assert_int_equal(info.inputs[0].dtype, SKIVE_U8);
        assert_int_equal(info.inputs[1].dtype, SKIVE_F32);
        assert_int_equal(info.inputs[1].dims[0], COLUMNS);
        assert_int_equal(info.classes, 4);
        assert_int_equal(info.count, SAMPLES - 33); /* without the twelfth for validation */
        assert_int_equal(info.separate_test, i >= 1 && i <= 3);
        check_first(ctx, set, "image.npy", 0);
        check_first(ctx, set, "table.npy", 1);
        assert_null(skive_dataset_get_input(set, 2));
        assert_null(skive_dataset_get_target(set, 1));
        skive_dataset_free(set);
    }
    skive_dataset *set = open_split(ctx, "npz:@words.npz", SKIVE_SPLIT_TRAIN_FULL);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.n_inputs, 2);
    assert_int_equal(info.inputs[1].rank, 1);
    assert_int_equal(info.classes, 2);
    skive_dataset_free(set);
    set = open_split(ctx, "npz:@both.npz,labels=kind,age,inputs=image", SKIVE_SPLIT_TEST);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.n_targets, 2);
    assert_string_equal(info.targets[1].name, "age");
    assert_false(info.targets[1].labelled);
    float y;
    skv_test_ok(ctx, skive_dataset_read_target(ctx, skive_dataset_get_target(set, 1), 5, &y));
    assert_true(y >= 80 && y <= 130);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Batches from the disk are those from memory, whatever the threads. */
static void disk(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *sets[2];
    skive_loader *loaders[2];
    (void)state;
    sets[0] = open_split(ctx, "npz:@both.npz,labels=kind,inputs=image,table", SKIVE_SPLIT_TRAIN);
    sets[1] = open_split(ctx, "npz:@both.npz,labels=kind,inputs=image,table,disk=yes", SKIVE_SPLIT_TRAIN);
    for (int k = 0; k < 2; k++) {
        skive_loader_options o = skive_loader_options_default();
        o.batch = 50;
        o.seed = 3;
        o.threads = k ? 3 : 0;
        skv_test_ok(ctx, skive_loader_create(ctx, sets[k], &o, &loaders[k]));
        skv_test_ok(ctx, skive_loader_start_epoch(loaders[k], 2));
    }
    for (bool end = false; !end;) {
        skive_batch a, b;
        skv_test_ok(ctx, skive_loader_next(loaders[0], &a));
        skv_test_ok(ctx, skive_loader_next(loaders[1], &b));
        assert_int_equal(a.end, b.end);
        end = a.end;
        if (end) continue;
        assert_int_equal(a.n_inputs, 2);
        for (size_t i = 0; i < 2; i++) assert_true(skv_tensor_same(&a.inputs[i], &b.inputs[i]));
        assert_true(skv_tensor_same(&a.y, &b.y));
    }
    for (int k = 0; k < 2; k++) {
        skive_loader_free(loaders[k]);
        skive_dataset_free(sets[k]);
    }
    skv_test_context_end(ctx);
}

/* A set that is larger than the memory allowed trains, and is told to stay on disk. */
static void larger_than_memory(void **state) {
    enum { MANY = 6000, WIDE = 1024 };
    skive_context *ctx = NULL;
    skive_dataset *set = NULL;
    skive_loader *loader = NULL;
    char path[SKV_TEST_PATH];
    (void)state;
    assert_int_equal(skive_context_create(NULL, &ctx), SKIVE_OK);
    skive_tensor x = make(ctx, SKIVE_F32, 2, (int64_t[]){MANY, WIDE});
    for (int i = 0; i < MANY; i++) skive_tensor_set(&x, (int64_t)i * WIDE, i);
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, file(path, "large.npy"), &x)); /* 24 MB */
    skive_tensor_free(ctx, &x);
    skv_test_ok(ctx, skive_context_set_memory_limit(ctx, 8 << 20));
    skv_test_ok(ctx, try_open(ctx, "npy:@large.npy", SKIVE_SPLIT_TRAIN_FULL, &set));
    skive_loader_options o = skive_loader_options_default();
    o.batch = 64;
    skv_test_ok(ctx, skive_loader_create(ctx, set, &o, &loader));
    skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
    double sum = 0;
    for (;;) {
        skive_batch b;
        skv_test_ok(ctx, skive_loader_next(loader, &b));
        if (b.end) break;
        for (size_t i = 0; i < b.count; i++) sum += skive_tensor_get(&b.x, (int64_t)i * WIDE);
    }
    assert_true(sum == (double)MANY * (MANY - 1) / 2);
    skive_loader_free(loader);
    skive_dataset_free(set);
    set = NULL;
    skv_test_fails(ctx, try_open(ctx, "npy:@large.npy,disk=no", SKIVE_SPLIT_TRAIN_FULL, &set), SKIVE_ERR_LIMIT,
                   "memory limit");
    skive_context_free(ctx);
    remove(path);
}

/* Samples without their answers: what targets= says of a part is no matter, but its name is. */
static void without_answers(void **state) {
    skive_context *ctx = skv_test_context();
    const char *const specs[] = {
        "inputs:image=npy:@image.npy,@kind.npy;table=npy:@table.npy;targets=image",
        "inputs:image=npy:@image.npy,@kind.npy;table=npy:@table.npy,@answer.npy;targets=table,image",
        "inputs:image=npy:@image.npy,@kind.npy;table=npy:@table.npy,@answer.npy"};
    char full[8 * SKV_TEST_PATH];
    skive_dataset *set = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    (void)state;
    o.targets = SKIVE_TARGETS_NONE;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        skive_dataset_info info;
        skv_test_ok(ctx, skive_dataset_open(ctx, spec_of(specs[i], full, sizeof full), &o, &set));
        skive_dataset_get_info(set, &info);
        assert_int_equal(info.n_inputs, 2);
        assert_int_equal(info.n_targets, 0);
        skive_dataset_free(set);
        set = NULL;
    }
    skv_test_fails(
        ctx, skive_dataset_open(ctx, spec_of("inputs:image=npy:@image.npy;targets=table", full, sizeof full), &o, &set),
        SKIVE_ERR_ARGUMENT, "there is no part 'table'");
    skv_test_context_end(ctx);
}

static void wrong_sets(void **state) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    (void)state;
    skive_tensor few = make(ctx, SKIVE_F32, 2, (int64_t[]){SAMPLES - 1, COLUMNS});
    save(ctx, "few.npy", &few);
    skive_tensor_set(&few, 7 * COLUMNS + 1, NAN);
    save(ctx, "nan.npy", &few);
    refused(ctx, "inputs:image=npy:@image.npy,@kind.npy;table=npy:@few.npy", SKIVE_ERR_DATA,
            "part 'image' has 400 samples, but part 'table' has 399");
    refused(ctx, "inputs:image=npy:@image.npy,@kind.npy;table=npy:@table.npy,@answer.npy", SKIVE_ERR_DATA,
            "say whose count with targets=image");
    refused(ctx, "inputs:image=npy:@image.npy,@kind.npy;table=npy:@table.npy,@kind.npy,@table.npy,@kind.npy",
            SKIVE_ERR_DATA, "has no test samples of its own");
    refused(ctx, "inputs:image=npy:@image.npy;image=npy:@table.npy", SKIVE_ERR_ARGUMENT, "the same name");
    refused(ctx, "inputs:npy:@image.npy", SKIVE_ERR_ARGUMENT, "a part has no name");
    refused(ctx, "inputs:image=npy:@image.npy;targets=table", SKIVE_ERR_ARGUMENT, "there is no part 'table'");
    refused(ctx, "inputs:image=npy:@image.npy;targets=image", SKIVE_ERR_DATA, "neither labels nor targets");
    refused(ctx, "inputs:image=npy:@missing.npy", SKIVE_ERR_IO, "part 'image'");
    refused(ctx, "npz:@both.npz,labels=nobody", SKIVE_ERR_ARGUMENT, "has no array 'nobody'");
    refused(ctx, "npz:@both.npz,lables=kind", SKIVE_ERR_ARGUMENT, "did you mean 'labels'");
    refused(ctx, "npz:@image.npy", SKIVE_ERR_DATA, "zip");
    skive_tensor texts = {.dtype = SKIVE_STRING, .rank = 1, .dims = {2}, .data = (const char *[2]){"a", "b"}};
    const npz_array with_texts[] = {{"kind", texts}, {"x", few}};
    write_npz(ctx, folder, file(path, "texts.npz"), with_texts, 2, false, NULL);
    refused(ctx, "npz:@texts.npz", SKIVE_ERR_DATA, "array 'kind' has text, which cannot be an input");
    refused(ctx, "npy:@nan.npy", SKIVE_ERR_DATA, "sample 7 contains NaN");
    refused(ctx, "npy:@image.npy,disk=perhaps", SKIVE_ERR_ARGUMENT, "disk");
    /* From the disk, a NaN is found when its sample is read. */
    skive_dataset *set = open_split(ctx, "npy:@nan.npy,disk=yes", SKIVE_SPLIT_TRAIN_FULL);
    float x[COLUMNS];
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 6, x, NULL));
    skv_test_fails(ctx, skive_dataset_read(ctx, set, 7, x, NULL), SKIVE_ERR_DATA, "sample 7 contains NaN");
    skive_dataset_free(set);
    skive_tensor_free(ctx, &few);
    remove(file(path, "few.npy"));
    remove(file(path, "nan.npy"));
    remove(file(path, "texts.npz"));
    skv_test_context_end(ctx);
}

static void write_text(const char *name, const char *text) {
    char path[SKV_TEST_PATH];
    skv_test_write_file(file(path, name), text, strlen(text));
}

/* A part that leaves out a sample would move those behind it; by itself it may. */
static void parts_with_gaps(void **state) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH];
    (void)state;
    write_text("one.csv", "v,kind\n1,a\n,b\n3,a\n4,b\n");
    write_text("three.csv", "u,w\n1,0\n2,0\n3,0\n");
    refused(ctx, "inputs:one=csv:@one.csv,label=kind,gaps=drop;three=csv:@three.csv", SKIVE_ERR_DATA,
            "part 'one' has left out 1 of its samples (rows with gaps or empty lines)");
    assert_int_equal(mkdir(file(path, "lines"), 0700), 0);
    write_text("lines/a.txt", "one\n\nthree\nfour\n");
    refused(ctx, "inputs:words=text:@lines,tokens=word,length=2;three=csv:@three.csv", SKIVE_ERR_DATA,
            "part 'words' has left out 1");
    skive_dataset_free(open_split(ctx, "inputs:one=csv:@one.csv,label=kind,gaps=drop", SKIVE_SPLIT_TRAIN_FULL));

    skive_dataset *set = NULL;
    char spec[8 * SKV_TEST_PATH];
    skive_dataset_options o = skive_dataset_options_default();
    o.skip_bad = true;
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    assert_int_equal(mkdir(file(path, "photos"), 0700), 0);
    write_text("photos/a.png", "no picture");
    const unsigned char bmp[58] = {'B', 'M', [2] = 58, [10] = 54, [14] = 40, [18] = 1, [22] = 1, [26] = 1, [28] = 24};
    for (int i = 0; i < 3; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "photos/b%d.bmp", i);
        skv_test_write_file(file(path, name), bmp, sizeof bmp);
    }
    spec_of("inputs:image=folder:@photos;three=csv:@three.csv", spec, sizeof spec);
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &set), SKIVE_ERR_DATA,
                   "part 'image' has left out 1 of its samples (files that cannot be read)");
    skv_test_context_end(ctx);
}

/* Every truncation, and a change of any byte of the headers, is refused or harmless. */
static void damaged_archives(void **state) {
    skive_context *ctx = skv_test_context();
    char path[SKV_TEST_PATH], bad[SKV_TEST_PATH];
    npz_bytes all = {0};
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        skive_tensor x = make(ctx, SKIVE_F32, 2, (int64_t[]){4, 2}), y = make(ctx, SKIVE_I64, 1, (int64_t[]){4});
        const npz_array arrays[] = {{"x", x}, {"y", y}};
        write_npz(ctx, folder, file(path, "small.npz"), arrays, 2, packed == 1, NULL);
        skive_tensor_free(ctx, &x);
        skive_tensor_free(ctx, &y);
        FILE *f = fopen(path, "rb");
        all.n = 0;
        for (int c; (c = fgetc(f)) != EOF;) npz_put(&all, &(unsigned char){(unsigned char)c}, 1);
        fclose(f);
        file(bad, "bad.npz");
        for (size_t n = 0; n < all.n; n++) {
            skive_dataset *set = NULL;
            skv_test_write_file(bad, all.data, n);
            assert_int_not_equal(try_open(ctx, "npz:@bad.npz", SKIVE_SPLIT_TRAIN_FULL, &set), SKIVE_OK);
            assert_null(set);
        }
        for (size_t n = 0; n < all.n; n++) {
            skive_dataset *set = NULL;
            all.data[n] ^= 0xff;
            skv_test_write_file(bad, all.data, all.n);
            (void)try_open(ctx, "npz:@bad.npz", SKIVE_SPLIT_TRAIN_FULL, &set);
            skive_dataset_free(set);
            all.data[n] ^= 0xff;
        }
    }
    free(all.data);
    remove(path);
    remove(bad);
    skv_test_context_end(ctx);
}

static void write_cifar(const char *name, size_t records, size_t labels, unsigned shift) {
    char path[SKV_TEST_PATH];
    const size_t record = labels + 3072;
    unsigned char *bytes = calloc(records, record);
    for (size_t i = 0; i < records; i++) {
        for (size_t k = 0; k < labels; k++) bytes[i * record + k] = (unsigned char)((i + k + shift) % 10);
        for (size_t k = 0; k < 3072; k++) bytes[i * record + labels + k] = (unsigned char)(i + k + shift);
    }
    skv_test_write_file(file(path, name), bytes, records * record);
    free(bytes);
}

static void cifar(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    char path[SKV_TEST_PATH], names[200] = "";
    float x[3072];
    int64_t label;
    (void)state;
    for (unsigned i = 1; i <= 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%u.bin", i);
        write_cifar(name, 3 + i, 1, i);
    }
    write_cifar("test_batch.bin", 4, 1, 9);
    write_cifar("train.bin", 5, 2, 0);
    write_cifar("test.bin", 2, 2, 0);
    for (int i = 0; i < 10; i++) snprintf(names + strlen(names), sizeof names - strlen(names), "class %d\n", i);
    skv_test_write_file(file(path, "batches.meta.txt"), names, strlen(names));
    const char *const specs[] = {"cifar10:@", "cifar10:@,disk=yes"};
    for (size_t k = 0; k < 2; k++) {
        skive_dataset *set = open_split(ctx, specs[k], SKIVE_SPLIT_TRAIN_FULL);
        skive_dataset_get_info(set, &info);
        assert_int_equal(info.count, 4 + 5 + 6 + 7 + 8);
        assert_int_equal(info.dims[2], 32);
        assert_int_equal(info.dtype, SKIVE_U8);
        assert_string_equal(info.class_names[3], "class 3");
        skv_test_ok(ctx, skive_dataset_read(ctx, set, 4 + 5 + 2, x, &label)); /* the third of the third file */
        assert_int_equal(label, (2 + 3) % 10);
        for (int i = 0; i < 3072; i++) assert_true(fabsf(x[i] * 255 - (float)((2 + i + 3) % 256)) < 1e-3f);
        skive_dataset_free(set);
        set = open_split(ctx, specs[k], SKIVE_SPLIT_TEST);
        skive_dataset_get_info(set, &info);
        assert_int_equal(info.count, 4);
        skive_dataset_free(set);
    }
    skive_dataset *set = open_split(ctx, "cifar100:@,label=coarse", SKIVE_SPLIT_TEST);
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 1, NULL, &label));
    assert_int_equal(label, 1);
    skive_dataset_free(set);
    set = open_split(ctx, "cifar100:@", SKIVE_SPLIT_TEST);
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 1, x, &label));
    assert_int_equal(label, 2);
    skive_dataset_free(set);
    skv_test_write_file(file(path, "data_batch_2.bin"), names, 50);
    refused(ctx, "cifar10:@", SKIVE_ERR_DATA, "no whole number of records");
    refused(ctx, "cifar10:@nowhere", SKIVE_ERR_IO, "data_batch_1.bin");
    skv_test_context_end(ctx);
}

/* ---- matching ---- */

static void matching(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_split(ctx, "npz:@both.npz,labels=kind,inputs=image,table", SKIVE_SPLIT_TEST);
    char *text = NULL;
    (void)state;
    /* Names that nobody has: type and shape tell. */
    skive_graph *g = two_inputs(ctx, "a", "b", 4, true, false);
    skv_test_ok(ctx, skive_model_input_text(ctx, g, set, &text));
    assert_non_null(strstr(text, "b: samples [3] unchanged"));
    assert_non_null(strstr(text, "a: samples [1, 4, 4]"));
    skive_string_free(ctx, text);
    skive_graph_free(g);
    /* Names that are the wrong way round count, and do not fit. */
    g = two_inputs(ctx, "table", "image", 4, false, false);
    skv_test_fails(ctx, skive_model_input_text(ctx, g, set, &text), SKIVE_ERR_DATA, "cannot be matched");
    skive_graph_free(g);
    skive_dataset_free(set);
    /* Two tables of the same form. */
    set = open_split(ctx, "inputs:u=npy:@table.npy,@kind.npy;v=npy:@table.npy", SKIVE_SPLIT_TEST);
    g = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "sum", &g));
    skive_value *a = input(g, "a", SKIVE_F32, 1, (int64_t[]){COLUMNS}),
                *b = input(g, "b", SKIVE_F32, 1, (int64_t[]){COLUMNS});
    skv_builder builder = skv_build(g);
    skive_value *y = skv_emit(&builder, "Add", SKV_IN(a, b), SKV_NONE);
    skv_test_ok(ctx, builder.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_fails(ctx, skive_model_input_text(ctx, g, set, &text), SKIVE_ERR_DATA,
                   "it is not clear what the model's input 'a' takes");
    assert_non_null(strstr(skive_context_message(ctx), "'v' float32 [3]"));
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* Settings for one of several inputs. */
static void settings(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set = open_split(ctx, "npz:@both.npz,labels=kind,inputs=image,table", SKIVE_SPLIT_TRAIN);
    skive_graph *g = two_inputs(ctx, "image", "table", 4, false, false);
    skive_input_options o = skive_input_options_default();
    char *text = NULL;
    (void)state;
    o.mean = "image=0.5;table=data";
    o.std = "image=0.25;table=data";
    skv_test_ok(ctx, skive_model_set_input(ctx, g, set, &o));
    assert_string_equal(skive_graph_meta(g, "skive.input.mean:image"), "0.5");
    assert_non_null(strchr(skive_graph_meta(g, "skive.input.std:table"), ','));
    assert_null(skive_graph_meta(g, "skive.input.mean"));
    skv_test_ok(ctx, skive_model_input_text(ctx, g, set, &text));
    assert_non_null(strstr(text, "mean 0.5 deviation 0.25"));
    skive_string_free(ctx, text);
    o.mean = "0.5";
    o.std = NULL;
    skv_test_fails(ctx, skive_model_set_input(ctx, g, set, &o), SKIVE_ERR_ARGUMENT, "say for which one");
    o.mean = "picture=0.5";
    skv_test_fails(ctx, skive_model_set_input(ctx, g, set, &o), SKIVE_ERR_NOT_FOUND, "picture");
    assert_string_equal(skive_graph_meta(g, "skive.input.mean:image"), "0.5");
    skive_graph_free(g);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

/* ---- training and the methods ---- */

static void two_input_model(void **state) {
    skive_context *ctx = skv_test_context();
    const char *spec = "npz:@both.npz,labels=kind,inputs=image,table";
    skive_dataset *train = open_split(ctx, spec, SKIVE_SPLIT_TRAIN),
                  *validation = open_split(ctx, spec, SKIVE_SPLIT_VALIDATION),
                  *test = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_graph *teacher = two_inputs(ctx, "image", "table", 8, true, false),
                *student = two_inputs(ctx, "image", "table", 3, false, false), *small = NULL;
    skive_train_options o = quick();
    (void)state;
    skv_test_ok(ctx, skive_train(ctx, teacher, train, validation, &o, NULL, 0, NULL));
    const double reached = accuracy(ctx, teacher, test);
    assert_true(reached > 0.97);
    assert_true(fabs(reached - accuracy_by_hand(ctx, teacher, 8)) < 1e-9);
    /* Distillation: the teacher takes its inputs in another order. */
    skive_distill_options d = skive_distill_options_default();
    d.train = &o;
    skv_test_ok(ctx, skive_distill(ctx, student, teacher, train, validation, &d, NULL));
    assert_true(accuracy(ctx, student, test) > 0.95);
    /* Quantization, calibrated on the same set. */
    skive_quantize_options q = skive_quantize_options_default();
    q.samples = 100;
    skv_test_ok(ctx, skive_graph_copy(ctx, teacher, &small));
    skv_test_ok(ctx, skive_quantize(ctx, small, train, &q, NULL));
    assert_true(fabs(accuracy(ctx, small, test) - reached) < 0.02);
    assert_true(fabs(accuracy(ctx, small, test) - accuracy_by_hand(ctx, small, 8)) < 0.005);
    skive_graph_free(small);
    /* Pruning by a criterion that asks the data. */
    skive_prune_options p = skive_prune_options_default();
    p.criterion = "taylor";
    p.sparsity = 0.3;
    skv_test_ok(ctx, skive_prune(ctx, teacher, train, NULL, &p, NULL));
    assert_true(accuracy(ctx, teacher, test) > 0.7);
    skive_graph_free(teacher);
    skive_graph_free(student);
    skive_dataset_free(train);
    skive_dataset_free(validation);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
}

static void tokens(void **state) {
    skive_context *ctx = skv_test_context();
    const char *spec = "npz:@words.npz,test=@test_words.npz";
    skive_dataset *train = open_split(ctx, spec, SKIVE_SPLIT_TRAIN), *test = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_graph *g = token_model(ctx), *student = token_model(ctx);
    skive_train_options o = quick();
    (void)state;
    o.learning_rate = 0.2;
    skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL));
    assert_true(accuracy(ctx, g, test) > 0.95);
    skive_distill_options d = skive_distill_options_default();
    d.train = &o;
    skv_test_ok(ctx, skive_distill(ctx, student, g, train, NULL, &d, NULL));
    assert_true(accuracy(ctx, student, test) > 0.95);
    skive_quantize_options q = skive_quantize_options_default();
    q.samples = 64;
    skv_test_ok(ctx, skive_quantize(ctx, g, train, &q, NULL));
    assert_true(accuracy(ctx, g, test) > 0.93);
    skive_graph_free(g);
    skive_graph_free(student);
    skive_dataset_free(train);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
}

static void several_outputs(void **state) {
    skive_context *ctx = skv_test_context();
    const char *spec = "npz:@both.npz,labels=kind,age,inputs=image,table";
    skive_dataset *train = open_split(ctx, spec, SKIVE_SPLIT_TRAIN),
                  *validation = open_split(ctx, spec, SKIVE_SPLIT_VALIDATION),
                  *test = open_split(ctx, spec, SKIVE_SPLIT_TEST);
    skive_graph *g = two_inputs(ctx, "image", "table", 8, false, true),
                *student = two_inputs(ctx, "image", "table", 6, true, true);
    skive_train_options o = quick();
    skive_train_report report;
    skive_eval_report r;
    (void)state;
    o.epochs = 25;
    o.outputs = "kind=cross-entropy;age=0.5*mse";
    skv_test_ok(ctx, skive_train(ctx, g, train, validation, &o, NULL, 0, &report));
    const skive_epoch_report *last = &report.epochs[report.n_epochs - 1];
    assert_int_equal(last->n_outputs, 2);
    assert_true(isnan(last->outputs[0].rmse) && !isnan(last->outputs[0].accuracy));
    assert_true(isnan(last->outputs[1].accuracy) && !isnan(last->outputs[1].rmse));
    skive_train_report_free(ctx, &report);
    skv_test_ok(ctx, skive_evaluate(ctx, g, test, 0, &r));
    assert_string_equal(r.target, "kind");
    assert_int_equal(r.n_more, 1);
    assert_string_equal(r.more[0].target, "age");
    assert_true(r.accuracy > 0.95);
    assert_int_equal(r.more[0].task, SKIVE_TASK_VALUES);
    assert_true(r.more[0].r2 > 0.8); /* targets have a deviation of 18 */
    skive_eval_report_free(ctx, &r);
    skive_distill_options d = skive_distill_options_default();
    d.train = &o;
    skv_test_ok(ctx, skive_distill(ctx, student, g, train, validation, &d, NULL));
    skv_test_ok(ctx, skive_evaluate(ctx, student, test, 0, &r));
    assert_true(r.accuracy > 0.9 && r.more[0].r2 > 0.7);
    skive_eval_report_free(ctx, &r);
    /* An output alone, and what is wrong. */
    o.epochs = 1;
    o.outputs = "age";
    skv_test_ok(ctx, skive_train(ctx, student, train, validation, &o, NULL, 0, &report));
    assert_true(report.epochs[0].validation_rmse < 10 && isnan(report.epochs[0].validation_accuracy));
    skive_train_report_free(ctx, &report);
    skive_dataset *one = open_split(ctx, "npz:@both.npz,labels=age,inputs=image,table", SKIVE_SPLIT_TRAIN);
    o.outputs = "kind";
    skv_test_fails(ctx, skive_train(ctx, student, one, NULL, &o, NULL, 0, NULL), SKIVE_ERR_DATA,
                   "the data have 'age' (1 value)");
    skive_dataset_free(one);
    o.outputs = "years";
    skv_test_fails(ctx, skive_train(ctx, student, train, NULL, &o, NULL, 0, NULL), SKIVE_ERR_NOT_FOUND,
                   "no output 'years'");
    o.outputs = "age=nothing";
    skv_test_fails(ctx, skive_train(ctx, student, train, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT, "nothing");
    o.outputs = "age=-1";
    skv_test_fails(ctx, skive_train(ctx, student, train, NULL, &o, NULL, 0, NULL), SKIVE_ERR_ARGUMENT, "0 or more");
    skive_graph_free(g);
    skive_graph_free(student);
    skive_dataset_free(train);
    skive_dataset_free(validation);
    skive_dataset_free(test);
    skv_test_context_end(ctx);
}

/* The weighted sum of two losses has the weighted sum of their gradients: a weight of 0 leaves an output's layer as it
 * was, apart from decay. */
static void weights_of_outputs(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *train = open_split(ctx, "npz:@both.npz,labels=kind,age,inputs=image,table", SKIVE_SPLIT_TRAIN);
    skive_graph *g = two_inputs(ctx, "image", "table", 4, false, true), *before = NULL;
    skive_train_options o = quick();
    (void)state;
    o.epochs = 1;
    o.weight_decay = 0;
    o.outputs = "kind;age=0";
    skv_test_ok(ctx, skive_graph_copy(ctx, g, &before));
    skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL));
    const skive_tensor *was = skv_value_tensor(skive_graph_find_value(before, "years.w"));
    const skive_tensor *is = skv_value_tensor(skive_graph_find_value(g, "years.w"));
    for (int64_t i = 0; i < skive_tensor_count(was); i++)
        assert_true(skive_tensor_get(was, i) == skive_tensor_get(is, i));
    was = skv_value_tensor(skive_graph_find_value(before, "classes.w"));
    is = skv_value_tensor(skive_graph_find_value(g, "classes.w"));
    double moved = 0;
    for (int64_t i = 0; i < skive_tensor_count(was); i++)
        moved += fabs(skive_tensor_get(was, i) - skive_tensor_get(is, i));
    assert_true(moved > 0.01);
    skive_graph_free(before);
    skive_graph_free(g);
    skive_dataset_free(train);
    skv_test_context_end(ctx);
}

/* Every allocation may fail while a set with several parts is opened and read. */
static skive_status open_and_read(skive_context *ctx, void *user) {
    skive_dataset *set = NULL;
    float x[SIDE * SIDE];
    const skive_status status = try_open(ctx, user, SKIVE_SPLIT_TRAIN, &set);
    if (status != SKIVE_OK) return status;
    const skive_status read = skive_dataset_read(ctx, set, 1, x, NULL);
    skive_dataset_free(set);
    return read;
}

static void memory(void **state) {
    static char composite[] = "inputs:image=npy:@image.npy,@kind.npy;table=npy:@table.npy,disk=yes";
    static char archive[] = "npz:@both.npz,labels=kind,age,inputs=image,table";
    (void)state;
    skv_test_walk_allocations(open_and_read, composite, 1);
    skv_test_walk_allocations(open_and_read, archive, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_sets),
        cmocka_unit_test(disk),
        cmocka_unit_test(larger_than_memory),
        cmocka_unit_test(without_answers),
        cmocka_unit_test(wrong_sets),
        cmocka_unit_test(parts_with_gaps),
        cmocka_unit_test(damaged_archives),
        cmocka_unit_test(cifar),
        cmocka_unit_test(matching),
        cmocka_unit_test(settings),
        cmocka_unit_test(two_input_model),
        cmocka_unit_test(tokens),
        cmocka_unit_test(several_outputs),
        cmocka_unit_test(weights_of_outputs),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
