/* Packed models: coders, forms, records, files. Everything is restored exactly, and damage is detected. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <skive/exec.h>
#include <skive/onnx.h>
#include <skive/pack.h>
#include <skive/zoo.h>

#include "pack/file.h"
#include "support.h"
#include "tensor/form.h"
#include "tensor/grid.h"

#include <cmocka.h>

/* ---- coders ---- */

typedef struct row {
    skv_symbol_shape s;
    uint8_t *y;
} row;

/* n symbols: `zero` but for a part `density`, whose likelihood differs from row to row and from column to column. */
static row sparse_row(size_t n, size_t columns, unsigned alphabet, int zero, double density, uint64_t seed) {
    row r = {{n, columns, alphabet, zero}, malloc(n + 1)};
    assert_non_null(r.y);
    for (size_t i = 0; i < n; i++) {
        const double of_row = 2 * skv_rng_uniform(seed, 1, i / columns),
                     of_column = skv_rng_uniform(seed, 2, i % columns);
        const double p = density * of_row * 3 * of_column * of_column;
        const unsigned other = (unsigned)fabs(skv_rng_normal(seed, 3, i) * 0.25 * alphabet + alphabet / 2.0);
        r.y[i] = (uint8_t)(zero >= 0 && skv_rng_uniform(seed, 4, i) >= p ? (unsigned)zero : other % alphabet);
    }
    return r;
}

static size_t code_both_ways(skive_context *ctx, const skv_coder *c, const row *r) {
    skv_bytes b = skv_bytes_to(ctx);
    uint8_t *back = malloc(r->s.n + 1);
    assert_non_null(back);
    skv_test_ok(ctx, c->encode(ctx, &r->s, r->y, &b));
    skv_reader in = skv_read_from(b.data, b.n);
    memset(back, 0xa5, r->s.n + 1);
    skv_test_ok(ctx, c->decode(ctx, &r->s, &in, back));
    assert_false(in.failed);
    assert_int_equal(skv_read_left(&in), 0);
    if (r->s.n) assert_memory_equal(back, r->y, r->s.n);
    assert_int_equal(back[r->s.n], 0xa5);
    const size_t n = b.n;
    skv_bytes_free(&b);
    free(back);
    return n;
}

static void every_coder_gives_back_what_it_took(void **state) {
    static const size_t lengths[] = {0, 1, 2, 3, 17, 255, 256, 1000, 65535, 65536, 70001};
    static const unsigned alphabets[] = {1, 2, 3, 16, 17, 255, 256};
    (void)state;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; k < skv_coder_count(); k++) {
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            for (size_t a = 0; a < sizeof alphabets / sizeof *alphabets; a++) {
                for (int zero = -1; zero <= (int)alphabets[a] - 1; zero += zero < 1 ? 1 : (int)alphabets[a] / 2) {
                    const size_t columns = lengths[l] % 7 == 0 ? 1 : lengths[l] / 3 + 1;
                    row r = sparse_row(lengths[l], columns, alphabets[a], zero, 0.1, 100 + l);
                    code_both_ways(ctx, skv_coder_at(k), &r);
                    free(r.y);
                }
            }
        }
    }
    skv_test_context_end(ctx);
}

/* A million of one symbol and a single other one; symbols that all occur once; falling powers of two, whose Huffman
 * codes would be longer than the longest allowed. */
static void coders_bear_extreme_distributions(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    uint8_t *y = malloc(1 << 20);
    assert_non_null(y);
    memset(y, 3, 1 << 20);
    y[77777] = 200;
    row lone = {{1 << 20, 1024, 256, 3}, y};
    for (size_t k = 0; k < skv_coder_count(); k++) code_both_ways(ctx, skv_coder_at(k), &lone);
    assert_true(code_both_ways(ctx, skv_coder_find("context"), &lone) < 200);
    for (int i = 0; i < 256; i++) y[i] = (uint8_t)i;
    row each = {{256, 16, 256, 9}, y};
    for (size_t k = 0; k < skv_coder_count(); k++) code_both_ways(ctx, skv_coder_at(k), &each);
    size_t n = 0;
    for (int i = 0; i < 20; i++) {
        for (size_t j = 0; j < (size_t)1 << (19 - i) && n < 1 << 20; j++) y[n++] = (uint8_t)i;
    }
    row powers = {{n, n, 20, -1}, y};
    for (size_t k = 0; k < skv_coder_count(); k++) code_both_ways(ctx, skv_coder_at(k), &powers);
    free(y);
    skv_test_context_end(ctx);
}

static void static_coders_come_near_the_entropy(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const unsigned alphabets[] = {16, 64, 256};
    for (size_t a = 0; a < 3; a++) {
        uint64_t counts[SKV_ALPHABET_MAX];
        row dense = sparse_row(200000, 500, alphabets[a], -1, 1, 5),
            sparse = sparse_row(200000, 500, alphabets[a], 7, 0.02, 6);
        skv_symbol_counts(dense.y, dense.s.n, counts);
        const double bytes = skv_symbol_entropy(counts, dense.s.n) / 8;
        assert_true((double)code_both_ways(ctx, skv_coder_find("huffman"), &dense) < 1.05 * bytes);
        assert_true((double)code_both_ways(ctx, skv_coder_find("rans"), &dense) < 1.05 * bytes);
        skv_symbol_counts(sparse.y, sparse.s.n, counts);
        const double few = skv_symbol_entropy(counts, sparse.s.n) / 8;
        assert_true((double)code_both_ways(ctx, skv_coder_find("rans"), &sparse) < 1.05 * few);
        free(dense.y);
        free(sparse.y);
    }
    skv_test_context_end(ctx);
}

static void wrong_bytes_never_give_wrong_symbols(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    uint8_t junk[400], out[2000];
    for (uint64_t seed = 0; seed < skv_test_rounds(400); seed++) {
        for (size_t i = 0; i < sizeof junk; i++) junk[i] = (uint8_t)skv_rng_below(seed, 9, i, seed % 3 ? 256 : 4);
        for (size_t k = 0; k < skv_coder_count(); k++) {
            const unsigned alphabet = 1 + (unsigned)skv_rng_below(seed, 10, k, 256);
            const skv_symbol_shape s = {sizeof out, 50, alphabet, (int)skv_rng_below(seed, 11, k, alphabet + 1) - 1};
            skv_reader in = skv_read_from(junk, (size_t)skv_rng_below(seed, 12, k, sizeof junk));
            if (skv_coder_at(k)->decode(ctx, &s, &in, out) != SKIVE_OK) continue;
            for (size_t i = 0; i < sizeof out; i++) assert_true(out[i] < alphabet);
        }
    }
    skv_test_context_end(ctx);
}

/* ---- forms ---- */

static skive_tensor weights(skive_context *ctx, int64_t rows, int64_t columns, double sparsity, uint64_t seed) {
    const int64_t dims[] = {rows, columns};
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, 2, dims, seed, -1, 1);
    for (int64_t i = 0; i < rows * columns; i++) {
        if (skv_rng_uniform(seed, 8, (uint64_t)i) < sparsity) ((float *)t.data)[i] = 0;
    }
    return t;
}

static void describe_and_restore(skive_context *ctx, const skv_form *form, const skive_tensor *t) {
    skv_coded c = {0};
    skive_tensor back = {0};
    bool fits = false;
    skv_test_ok(ctx, form->describe(ctx, t, &c, &fits));
    assert_true(fits);
    assert_null(form->fault(&c));
    skv_test_ok(ctx, skive_tensor_create(ctx, t->dtype, t->rank, t->dims, &back));
    form->restore(&c, &back);
    assert_true(skv_tensor_same(&back, t));
    skive_tensor_free(ctx, &back);
    skv_coded_free(ctx, &c);
}

static void rounded(skive_context *ctx, const char *grid, const char *arg, skive_tensor *t) {
    char text[40];
    skv_quantizer q;
    snprintf(text, sizeof text, "%s%s%s", grid, arg ? ":" : "", arg ? arg : "");
    skv_test_ok(ctx, skv_quantizer_parse(ctx, text, &q));
    skv_test_ok(ctx, skv_quantizer_round(ctx, &q, t));
}

static void what_is_rounded_to_a_form_fits_it_to_the_bit(void **state) {
    static const char *const args[] = {NULL, "tensor", "channel", "32"};
    (void)state;
    skive_context *ctx = skv_test_context();
    for (size_t k = 0; skv_form_at(k); k++) {
        const skv_form *form = skv_form_at(k);
        const skv_grid *grid = form == &skv_form_codebook ? NULL : skv_grid_find(form->name);
        const bool scaled = grid && grid->scaled;
        for (size_t a = 0; a < (scaled ? 4u : 1u); a++) {
            for (uint64_t seed = 0; seed < 6; seed++) {
                skive_tensor t = weights(ctx, 7, 96, seed % 2 ? 0.5 : 0, 40 + seed);
                if (form == &skv_form_codebook) rounded(ctx, "int8", "tensor", &t);
                if (form == &skv_form_sparse) ((float *)t.data)[5] = 0;
                if (grid) rounded(ctx, form->name, args[a], &t);
                describe_and_restore(ctx, form, &t);
                skive_tensor_free(ctx, &t);
            }
        }
    }
    skv_test_context_end(ctx);
}

static void forms_round_as_the_papers_say(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float w[] = {0.1f, -0.2f, 1.0f, -1.4f};
    const int64_t n = 4;
    skive_tensor t = skv_tensor_view(SKIVE_F32, 1, &n, w);
    /* Ternary: mean |w| = 0.675, threshold 0.4725, scale (1 + 1.4) / 2. */
    rounded(ctx, "ternary", NULL, &t);
    const float ternary[] = {0, 0, 1.2f, -1.2f};
    skv_test_floats(w, ternary, 4, 1e-6, 0);
    float v[] = {0.1f, -0.2f, 1.0f, -1.4f};
    t = skv_tensor_view(SKIVE_F32, 1, &n, v);
    rounded(ctx, "binary", NULL, &t);
    const float binary[] = {0.675f, -0.675f, 0.675f, -0.675f};
    skv_test_floats(v, binary, 4, 1e-6, 0);
    float u[] = {127, -63.4f, 1.2f, 0.4f};
    t = skv_tensor_view(SKIVE_F32, 1, &n, u);
    rounded(ctx, "int8", NULL, &t);
    const float int8[] = {127, -63, 1, 0};
    skv_test_floats(u, int8, 4, 0, 0);
    const skv_quantizer q8 = skv_quantizer_of(&skv_grid_int8), q16 = skv_quantizer_of(&skv_grid_f16);
    u[2] = NAN;
    skv_test_fails(ctx, skv_quantizer_round(ctx, &q8, &t), SKIVE_ERR_NUMERIC, "NaN");
    u[2] = 1e9f;
    skv_test_fails(ctx, skv_quantizer_round(ctx, &q16, &t), SKIVE_ERR_NUMERIC, "too large");
    skv_test_context_end(ctx);
}

/* -0, the smallest numbers, NaN and infinity come back as they were, in whatever form that is. */
static void odd_numbers_survive(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const uint32_t odd[] = {0x80000000u, 0,           1,           0x80000001u, 0x7f800000u,
                                   0xff800000u, 0x7fc00000u, 0x7fa00001u, 0x3f800000u, 0xbf800000u};
    for (size_t n = 1; n <= sizeof odd / sizeof *odd; n++) {
        for (size_t first = 0; first + n <= sizeof odd / sizeof *odd; first++) {
            const int64_t dims[] = {1, (int64_t)n};
            skive_tensor t = skv_tensor_view(SKIVE_F32, 2, dims, odd + first), back = {0};
            skv_bytes b = skv_bytes_to(ctx);
            const skv_form *form;
            skv_record_sizes sizes;
            skv_record r;
            skv_test_ok(ctx, skv_record_write(ctx, &t, SKV_RECORD_TRAINABLE, NULL, &b, &form, &sizes));
            skv_reader in = skv_read_from(b.data, b.n);
            skv_test_ok(ctx, skv_record_read(ctx, &in, 1 << 20, &r));
            assert_true(r.marks == SKV_RECORD_TRAINABLE && in.at == in.end);
            skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, dims, &back));
            r.coded.form->restore(&r.coded, &back);
            assert_memory_equal(back.data, t.data, n * 4);
            skive_tensor_free(ctx, &back);
            skv_coded_free(ctx, &r.coded);
            skv_bytes_free(&b);
        }
    }
    skv_test_context_end(ctx);
}

/* Values that are integers times one scale, with a NaN among them that is no such thing. */
static void a_nan_on_a_grid_survives(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    float x[256], y[256];
    static const int range[] = {1, 7, 120}; /* of grids of 2, 4 and 8 bits */
    for (size_t k = 0; k < 3; k++) {
        for (int i = 0; i < 256; i++) x[i] = i % 8 == 4 ? NAN : 0.1f * (float)(i % (range[k] + 1));
        const int64_t dims[] = {4, 64};
        skive_tensor t = skv_tensor_view(SKIVE_F32, 2, dims, x), back = skv_tensor_view(SKIVE_F32, 2, dims, y);
        skv_bytes b = skv_bytes_to(ctx);
        const skv_form *form;
        skv_record_sizes sizes;
        skv_record r;
        skv_test_ok(ctx, skv_record_write(ctx, &t, SKV_RECORD_TRAINABLE, NULL, &b, &form, &sizes));
        skv_reader in = skv_read_from(b.data, b.n);
        skv_test_ok(ctx, skv_record_read(ctx, &in, 1 << 20, &r));
        r.coded.form->restore(&r.coded, &back);
        assert_memory_equal(x, y, sizeof x);
        skv_coded_free(ctx, &r.coded);
        skv_bytes_free(&b);
    }
    skv_test_context_end(ctx);
}

static void every_type_and_shape_survives(void **state) {
    static const int64_t shapes[][3] = {{0, 3, 2}, {1, 1, 1}, {5, 3, 7}, {2, 129, 64}};
    (void)state;
    skive_context *ctx = skv_test_context();
    for (int d = 1; d < 32; d++) {
        if (!skv_dtype_valid((skive_dtype)d)) continue;
        for (size_t s = 0; s < 4; s++) {
            for (int rank = 0; rank <= 3; rank++) {
                skive_tensor t = {0}, back = {0};
                skv_test_ok(ctx, skive_tensor_create(ctx, (skive_dtype)d, rank, shapes[s], &t));
                for (int64_t i = 0; i < skive_tensor_count(&t); i++)
                    skive_tensor_set(&t, i, 200 * skv_rng_normal(3, (uint64_t)d, (uint64_t)i));
                for (size_t k = 0; k <= skv_coder_count(); k++) {
                    skv_bytes b = skv_bytes_to(ctx);
                    const skv_form *form;
                    skv_record_sizes sizes;
                    skv_record r;
                    skv_test_ok(ctx, skv_record_write(ctx, &t, 0, skv_coder_at(k), &b, &form, &sizes));
                    skv_reader in = skv_read_from(b.data, b.n);
                    skv_test_ok(ctx, skv_record_read(ctx, &in, 1 << 24, &r));
                    skv_test_ok(ctx, skive_tensor_create(ctx, t.dtype, t.rank, t.dims, &back));
                    r.coded.form->restore(&r.coded, &back);
                    assert_true(skv_tensor_same(&t, &back));
                    skive_tensor_free(ctx, &back);
                    skv_coded_free(ctx, &r.coded);
                    skv_bytes_free(&b);
                }
                skive_tensor_free(ctx, &t);
            }
        }
    }
    skv_test_context_end(ctx);
}

static void sparse_weights_are_arranged_with_what_is_shortest(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const double sparsities[] = {0.3, 0.9, 0.98, 0.9999};
    for (size_t k = 0; k < 4; k++) {
        skive_tensor t = weights(ctx, 300, 784, sparsities[k], 77), back = {0};
        skv_bytes b = skv_bytes_to(ctx), huffman = skv_bytes_to(ctx);
        const skv_form *form;
        skv_record_sizes sizes;
        skv_record r;
        for (int64_t i = 0; i < skive_tensor_count(&t); i++) {
            float *x = (float *)t.data + i;
            *x = tanf(roundf(*x * 15) / 15);
        }
        skv_test_ok(ctx, skv_record_write(ctx, &t, 0, NULL, &b, &form, &sizes));
        assert_ptr_not_equal(form, &skv_form_dense);
        skv_test_ok(ctx, skv_record_write(ctx, &t, 0, skv_coder_find("huffman"), &huffman, &form, &sizes));
        assert_true(b.n <= huffman.n);
        skv_reader in = skv_read_from(huffman.data, huffman.n);
        skv_test_ok(ctx, skv_record_read(ctx, &in, 1 << 24, &r));
        skv_test_ok(ctx, skive_tensor_create(ctx, t.dtype, t.rank, t.dims, &back));
        r.coded.form->restore(&r.coded, &back);
        assert_true(skv_tensor_same(&t, &back));
        skv_coded_free(ctx, &r.coded);
        skive_tensor_free(ctx, &back);
        skive_tensor_free(ctx, &t);
        skv_bytes_free(&b);
        skv_bytes_free(&huffman);
    }
    skv_test_context_end(ctx);
}

/* ---- files ---- */

static skive_graph *zoo(skive_context *ctx, const char *name) {
    skive_zoo_options o = skive_zoo_options_default();
    skive_graph *g = NULL;
    skv_test_ok(ctx, skive_zoo_build(ctx, name, &o, &g));
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.mean", "0.5"));
    return g;
}

static int by_text(const void *a, const void *b) {
    const char *x, *y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return strcmp(x, y);
}

/* The lines of a listing in alphabetical order: parameters and nodes may stand in another order than they did. */
static size_t sorted_lines(char *text, char **lines, size_t room) {
    size_t n = 0;
    for (char *at = strtok(text, "\n"); at; at = strtok(NULL, "\n")) {
        assert_true(n < room);
        lines[n++] = at;
    }
    qsort(lines, n, sizeof *lines, by_text);
    return n;
}

static void same_listing(char *a, char *b) {
    static char *lines[2][4096];
    const size_t n = sorted_lines(a, lines[0], 4096);
    assert_int_equal(n, sorted_lines(b, lines[1], 4096));
    for (size_t i = 0; i < n; i++) assert_string_equal(lines[0][i], lines[1][i]);
}

/* Packed and loaded: the graph's listing and all parameters are what they were; packed again, the same bytes. */
static void round_trip(skive_context *ctx, skive_graph *g) {
    void *bytes = NULL, *again = NULL;
    char *text = NULL, *text_back = NULL;
    size_t n = 0, n_again = 0;
    skive_graph *back = NULL;
    skive_pack_report written, read;
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, NULL, &bytes, &n, &written));
    skv_test_ok(ctx, skive_pack_parse(ctx, bytes, n, NULL, &back, &read));
    skv_test_ok(ctx, skive_graph_print(back, &text_back));
    skv_test_ok(ctx, skive_graph_check(back));
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i], *w = skive_graph_find_value(back, v->name);
        if (!v->storage && !v->producer && !v->is_input) continue;
        assert_non_null(w);
        assert_int_equal(v->trainable, w->trainable);
        if (v->type.rank >= 0) assert_int_equal(v->type.rank, w->type.rank);
        if (v->storage) assert_true(skv_tensor_same(skv_value_tensor(v), skv_value_tensor(w)));
    }
    skv_test_ok(ctx, skive_pack_serialize(ctx, back, NULL, &again, &n_again, NULL));
    assert_int_equal(n, n_again);
    assert_memory_equal(bytes, again, n);
    skv_test_ok(ctx, skive_graph_print(g, &text));
    same_listing(text, text_back);
    assert_int_equal(written.file_bytes, n);
    assert_int_equal(read.file_bytes, n);
    assert_int_equal(written.n_rows, read.n_rows);
    const size_t sum = read.values + read.positions + read.together + read.tables + read.heads + read.biases +
                       read.graph + read.names + read.meta + read.frame;
    assert_true(sum <= n && sum + 16 >= n); /* the number of parameters is nobody's */
    assert_int_equal(written.biases, read.biases);
    assert_int_equal(written.heads, read.heads);
    for (size_t i = 0; i < read.n_rows; i++) {
        assert_string_equal(read.rows[i].parameter, written.rows[i].parameter);
        assert_string_equal(read.rows[i].form, written.rows[i].form);
        assert_int_equal(read.rows[i].bytes, written.rows[i].bytes);
        assert_int_equal(read.rows[i].nonzeros, written.rows[i].nonzeros);
    }
    skive_pack_report_free(ctx, &written);
    skive_pack_report_free(ctx, &read);
    skive_string_free(ctx, text);
    skive_string_free(ctx, text_back);
    skive_pack_free_bytes(ctx, bytes);
    skive_pack_free_bytes(ctx, again);
    skive_graph_free(back);
}

static void architectures_come_back(void **state) {
    static const char *const names[] = {"mlp:32",          "lenet5:0.1", "vgg-small:0.1", "resnet20:0.25",
                                        "mobilenetv2:0.1", "lstm:8",     "gru:8"};
    (void)state;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        skive_graph *g = zoo(ctx, names[i]);
        round_trip(ctx, g);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

static void a_lenet_graph_takes_less_than_300_bytes(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = zoo(ctx, "lenet5");
    skive_pack_report r;
    skive_pack_options o = skive_pack_options_default();
    void *bytes = NULL;
    size_t n;
    o.strip_names = true;
    o.weights = "binary";
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, &r));
    assert_in_range(r.graph, 1, 299);
    assert_int_equal(r.names, 0);
    skive_pack_report_free(ctx, &r);
    skive_pack_free_bytes(ctx, bytes);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* Where a test takes ten times as long, a fifth of the models is read. */
static bool is_spared(const char *name) {
    unsigned sum = 0;
    while (*name) sum = sum * 31 + (unsigned char)*name++;
    return skv_test_rounds(5) < 5 && sum % 5 != 0;
}

/* Every model of the ONNX backend suite: loops, branches, strings, sequences' neighbours, unknown operators. */
static int folder_comes_back(skive_context *ctx, const char *folder) {
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[1024];
        skive_graph *g = NULL;
        snprintf(path, sizeof path, "%s/%s/model.onnx", folder, e->d_name);
        if (e->d_name[0] == '.' || is_spared(e->d_name) || skive_onnx_load(ctx, path, NULL, &g) != SKIVE_OK) continue;
        round_trip(ctx, g);
        skive_graph_free(g);
        skive_context_clear_notes(ctx);
        n++;
    }
    if (d) (void)closedir(d);
    return n;
}

/* SKIVE_ONNX_SUITE: another release's data than what is installed. */
static void the_onnx_suite_comes_back(void **state) {
    static const char *const folders[] = {"node", "simple", "pytorch-operator", "pytorch-converted"};
    const char *suite = getenv("SKIVE_ONNX_SUITE");
    int n = 0;
    (void)state;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", suite ? suite : "/usr/share/libonnx-testdata/data", folders[i]);
        n += folder_comes_back(ctx, path);
    }
    skv_test_context_end(ctx);
    if (n == 0) skip();
    assert_true(n > (int)skv_test_rounds(600));
}

static void tied_parameters_stay_one(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = zoo(ctx, "mlp:64,64"), *back = NULL;
    void *bytes;
    size_t n, n_tied;
    skive_value *a = skive_graph_find_value(g, "fc2.bias"), *b = skive_graph_find_value(g, "fc1.bias");
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, NULL, &bytes, &n, NULL));
    skive_pack_free_bytes(ctx, bytes);
    for (int64_t i = 0; i < 64; i++) skive_tensor_set(&b->storage->tensor, i, skv_rng_normal(1, 2, (uint64_t)i));
    skv_test_ok(ctx, skv_value_set_storage(a, skv_storage_retain(b->storage)));
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, NULL, &bytes, &n_tied, NULL));
    skv_test_ok(ctx, skive_pack_parse(ctx, bytes, n_tied, NULL, &back, NULL));
    assert_ptr_equal(skive_graph_find_value(back, "fc1.bias")->storage,
                     skive_graph_find_value(back, "fc2.bias")->storage);
    skive_graph_free(back);
    skive_graph_free(g);
    skive_pack_free_bytes(ctx, bytes);
    skv_test_context_end(ctx);
}

static void names_may_be_left_out(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = zoo(ctx, "lenet5:0.2"), *back = NULL;
    skive_pack_options o = skive_pack_options_default();
    void *bytes;
    size_t n;
    o.strip_names = true;
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL));
    skv_test_ok(ctx, skive_pack_parse(ctx, bytes, n, NULL, &back, NULL));
    assert_string_equal(skive_value_name(skive_graph_input(back, 0)), "input");
    assert_string_equal(skive_value_name(skive_graph_output(back, 0)), "output");
    assert_string_equal(skive_graph_meta(back, "skive.input.mean"), "0.5");
    const int64_t dims[] = {1, 1, 28, 28};
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 1, -1, 1), y = {0}, z = {0};
    skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, &y, 1));
    skv_test_ok(ctx, skive_graph_run(ctx, back, &x, 1, &z, 1));
    assert_true(skv_tensor_same(&y, &z));
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    skive_tensor_free(ctx, &z);
    skive_graph_free(back);
    skive_graph_free(g);
    skive_pack_free_bytes(ctx, bytes);
    skv_test_context_end(ctx);
}

/* A small file with every section, from a pruned net with a codebook. */
static uint8_t *small_file(skive_context *ctx, size_t *n) {
    skive_graph *g = zoo(ctx, "mlp:3");
    skive_pack_options o = skive_pack_options_default();
    void *bytes;
    o.weights = "ternary";
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, &o, &bytes, n, NULL));
    skive_graph_free(g);
    return bytes;
}

static void any_flipped_bit_is_found(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    size_t n;
    uint8_t *bytes = small_file(ctx, &n);
    for (size_t i = 0; i < 8 * n; i++) {
        skive_graph *g = NULL;
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        const skive_status status = skive_pack_parse(ctx, bytes, n, NULL, &g, NULL);
        assert_true(status == SKIVE_ERR_FORMAT || status == SKIVE_ERR_UNSUPPORTED);
        assert_null(g);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    skive_pack_free_bytes(ctx, bytes);
    skv_test_context_end(ctx);
}

static void any_cut_is_found(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    size_t n;
    uint8_t *bytes = small_file(ctx, &n), longer[] = {0x93, 'S', 'K', 'V', 1, 0};
    skive_graph *g = NULL;
    for (size_t k = 0; k < n; k++) {
        uint8_t *copy = malloc(k + 1); /* of just this size, so that a sanitizer sees a read past the end */
        assert_non_null(copy);
        memcpy(copy, bytes, k);
        skv_test_fails(ctx, skive_pack_parse(ctx, copy, k, NULL, &g, NULL), SKIVE_ERR_FORMAT, NULL);
        free(copy);
    }
    skv_test_fails(ctx, skive_pack_parse(ctx, longer, sizeof longer, NULL, &g, NULL), SKIVE_ERR_FORMAT, "ends");
    skv_test_fails(ctx, skive_pack_parse(ctx, "ONNX", 4, NULL, &g, NULL), SKIVE_ERR_FORMAT, "not a packed model");
    skive_pack_free_bytes(ctx, bytes);
    skv_test_context_end(ctx);
}

static void put_u32(uint8_t *at, uint32_t v) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (8 * i));
}

/* A file of these sections, with right checksums. */
static size_t frame_of(const skv_section *given, size_t n, uint8_t version, uint8_t *out) {
    size_t at = 6;
    memcpy(out, "\x93SKV", 4);
    out[4] = version;
    out[5] = (uint8_t)n;
    for (size_t i = 0; i < n; i++) {
        const size_t length = (size_t)(given[i].in.end - given[i].in.at);
        out[at++] = (uint8_t)given[i].kind;
        for (size_t v = length;; v >>= 7) {
            out[at++] = (uint8_t)((v & 127u) | (v > 127 ? 128u : 0u));
            if (v <= 127) break;
        }
        put_u32(out + at, (uint32_t)crc32_z(0, given[i].in.at, length));
        at += 4;
    }
    put_u32(out + at, (uint32_t)crc32_z(0, out, at));
    at += 4;
    for (size_t i = 0; i < n; i++) {
        const size_t length = (size_t)(given[i].in.end - given[i].in.at);
        memcpy(out + at, given[i].in.at, length);
        at += length;
    }
    return at;
}

static void newer_files_are_told_from_damaged_ones(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    size_t n, count, frame;
    uint8_t *bytes = small_file(ctx, &n), out[8192], extra[] = {1, 2, 3};
    skv_section sections[SKV_SECTIONS_MAX];
    skive_graph *g = NULL;
    assert_true(n < 4000);
    skv_test_ok(ctx, skv_frame_read(ctx, bytes, n, sections, &count, &frame));
    size_t size = frame_of(sections, count, 1, out);
    assert_int_equal(size, n);
    assert_memory_equal(out, bytes, n);
    size = frame_of(sections, count, 2, out);
    skv_test_fails(ctx, skive_pack_parse(ctx, out, size, NULL, &g, NULL), SKIVE_ERR_UNSUPPORTED, "newer");
    sections[count] = (skv_section){.kind = 200, .in = skv_read_from(extra, sizeof extra)};
    size = frame_of(sections, count + 1, 1, out);
    skv_test_ok(ctx, skive_pack_parse(ctx, out, size, NULL, &g, NULL)); /* may be passed over */
    skive_graph_free(g);
    sections[count].kind = 20;
    size = frame_of(sections, count + 1, 1, out);
    skv_test_fails(ctx, skive_pack_parse(ctx, out, size, NULL, &g, NULL), SKIVE_ERR_UNSUPPORTED, "section 20");
    sections[count] = sections[0];
    size = frame_of(sections, count + 1, 1, out);
    skv_test_fails(ctx, skive_pack_parse(ctx, out, size, NULL, &g, NULL), SKIVE_ERR_FORMAT, "twice");
    skive_pack_free_bytes(ctx, bytes);
    skv_test_context_end(ctx);
}

static void records_that_lie_are_refused(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skv_record r;
    /* flags, form, type, rank, dims, alphabet - 1, zero + 1, stream (2 symbols of 1 bit, raw), table: n, group, type,
     * raw */
    const uint8_t nan_codebook[] = {3, 8, 1, 1, 2, 1, 0, 8, 2, 2, 0, 1, 0, 0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f};
    skv_reader in = skv_read_from(nan_codebook, sizeof nan_codebook);
    skv_test_fails(ctx, skv_record_read(ctx, &in, 1 << 20, &r), SKIVE_ERR_FORMAT, "codebook contains NaN");
    const uint8_t huge[] = {4, 0, 1, 2, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 0};
    in = skv_read_from(huge, sizeof huge);
    skv_test_fails(ctx, skv_record_read(ctx, &in, 1 << 20, &r), SKIVE_ERR_LIMIT, "max_tensor_bytes");
    const uint8_t gaps_past_end[] = {0x13, 8, 1, 1, 3, 1, 1, 2, 2, 32, 2 | 3 << 2, 0};
    in = skv_read_from(gaps_past_end, sizeof gaps_past_end);
    assert_int_not_equal(skv_record_read(ctx, &in, 1 << 20, &r), SKIVE_OK);
    const uint8_t no_symbols[] = {2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0x80, 0x3f};
    in = skv_read_from(no_symbols, sizeof no_symbols);
    skv_test_fails(ctx, skv_record_read(ctx, &in, 1 << 20, &r), SKIVE_ERR_FORMAT, "no symbols");
    const uint8_t new_form[] = {4, 77, 1, 0, 1, 0, 0, 0, 0, 0};
    in = skv_read_from(new_form, sizeof new_form);
    skv_test_fails(ctx, skv_record_read(ctx, &in, 1 << 20, &r), SKIVE_ERR_UNSUPPORTED, "form 77");
    skv_test_context_end(ctx);
}

static void nonsense_options_are_refused(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = zoo(ctx, "mlp:3");
    skive_pack_options o = skive_pack_options_default();
    void *bytes;
    size_t n;
    o.weights = "int9";
    skv_test_fails(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL), SKIVE_ERR_ARGUMENT, "int9");
    o.weights = "uint8";
    skv_test_fails(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL), SKIVE_ERR_ARGUMENT, "no storage form");
    o.weights = "int8:banana";
    skv_test_fails(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL), SKIVE_ERR_ARGUMENT, "banana");
    o = skive_pack_options_default();
    o.coder = "zip";
    skv_test_fails(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL), SKIVE_ERR_ARGUMENT, "zip");
    o = skive_pack_options_default();
    const skive_pack_choice choice = {"fc9.weight", "int8"};
    o.choices = &choice;
    o.n_choices = 1;
    skv_test_fails(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL), SKIVE_ERR_ARGUMENT, "fc9.weight");
    assert_null(bytes);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* ---- golden files: what version 1 wrote is read for ever ---- */

/* What may be trained is told by the packed file and guessed for the other. */
static void drop_trainable(char *text) {
    static const char word[] = " trainable";
    for (char *at = text; (at = strstr(at, word));) memmove(at, at + strlen(word), strlen(at + strlen(word)) + 1);
}

static void golden_file(skive_context *ctx, const char *packed, const char *onnx) {
    char path[256], *text = NULL, *expected_text = NULL;
    skive_graph *g = NULL, *expected = NULL;
    snprintf(path, sizeof path, "tests/golden/%s.skv", packed);
    skv_test_ok(ctx, skive_pack_load(ctx, path, NULL, &g, NULL));
    snprintf(path, sizeof path, "tests/golden/%s.onnx", onnx);
    skv_test_ok(ctx, skive_onnx_load(ctx, path, NULL, &expected));
    skv_test_ok(ctx, skive_graph_print(g, &text));
    skv_test_ok(ctx, skive_graph_print(expected, &expected_text));
    drop_trainable(text);
    drop_trainable(expected_text);
    assert_string_equal(text, expected_text);
    for (uint32_t i = 0; i < expected->n_values; i++) {
        const skive_value *v = expected->values[i];
        if (v->storage)
            assert_true(skv_tensor_same(skv_value_tensor(v), skv_value_tensor(skive_graph_find_value(g, v->name))));
    }
    skive_string_free(ctx, text);
    skive_string_free(ctx, expected_text);
    skive_graph_free(g);
    skive_graph_free(expected);
}

static void files_of_version_1_are_read(void **state) {
    static const char *const files[][2] = {{"forms", "forms"},       {"subgraph", "subgraph"},
                                           {"coder-raw", "coders"},  {"coder-huffman", "coders"},
                                           {"coder-rans", "coders"}, {"coder-context", "coders"}};
    (void)state;
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) golden_file(ctx, files[i][0], files[i][1]);
    skv_test_context_end(ctx);
}

/* ---- failing memory ---- */

static skive_status pack_and_parse(skive_context *ctx, void *user) {
    skive_graph *g = NULL, *back = NULL;
    void *bytes = NULL;
    size_t n = 0;
    skive_pack_report report = {0};
    skive_zoo_options zo = skive_zoo_options_default();
    skive_pack_options o = skive_pack_options_default();
    o.weights = user;
    zo.dims[1] = zo.dims[2] = 8;
    skive_status status = skive_zoo_build(ctx, "mlp:3", &zo, &g);
    if (status == SKIVE_OK) status = skive_graph_set_meta(g, "a", "b");
    if (status == SKIVE_OK) status = skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL);
    if (status == SKIVE_OK) status = skive_pack_parse(ctx, bytes, n, NULL, &back, &report);
    skive_pack_report_free(ctx, &report);
    skive_pack_free_bytes(ctx, bytes);
    skive_graph_free(back);
    skive_graph_free(g);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char ternary[] = "ternary", int4[] = "int4:32";
    assert_true(skv_test_walk_allocations(pack_and_parse, NULL, 2) > 50);
    assert_true(skv_test_walk_allocations(pack_and_parse, ternary, 7) > 10);
    assert_true(skv_test_walk_allocations(pack_and_parse, int4, 11) > 5);
}

static bool is_exact(const skive_graph *a, const skive_graph *b, const char *name) {
    const skive_tensor *x = skive_value_data(skive_graph_find_value(a, name)),
                       *y = skive_value_data(skive_graph_find_value(b, name));
    assert_non_null(x);
    assert_non_null(y);
    return memcmp(x->data, y->data, skive_tensor_bytes(x)) == 0;
}

/* A form for weights rounds what the operators use as weights: not a mask of two axes, nor a recurrent layer's biases,
 * which have two axes as well. */
static void constants_and_biases_are_no_weights(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = zoo(ctx, "lstm"), *back = NULL;
    const int64_t dims[2] = {1, 10};
    const skive_node *lstm = NULL;
    skive_value *mask = NULL;
    skive_pack_options o = skive_pack_options_default();
    void *bytes = NULL;
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < skive_graph_node_count(g); i++)
        if (strcmp(skive_node_op(skive_graph_node(g, i)), "LSTM") == 0) lstm = skive_graph_node(g, i);
    assert_non_null(lstm);
    skive_tensor t;
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_F32, 2, dims, &t));
    for (int64_t i = 0; i < 10; i++) skive_tensor_set(&t, i, i % 3 ? 0.1 * (double)i : -1e9);
    skv_test_ok(ctx, skive_graph_add_parameter(g, "mask", &t, &mask));
    skive_tensor_free(ctx, &t);
    skv_builder b = skv_build(g);
    skive_value *twice = skv_emit(&b, "Mul", SKV_IN(g->outputs[0], g->outputs[0]), SKV_NONE);
    skive_value *masked = skv_emit(&b, "Min", SKV_IN(twice, mask), SKV_NONE);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, masked));
    o.weights = "int4";
    skv_test_ok(ctx, skive_pack_serialize(ctx, g, &o, &bytes, &n, NULL));
    assert_non_null(strstr(skive_context_note(ctx, skive_context_note_count(ctx) - 1), "'mask'"));
    skv_test_ok(ctx, skive_pack_parse(ctx, bytes, n, NULL, &back, NULL));
    assert_true(is_exact(g, back, "mask"));
    assert_false(is_exact(g, back, skive_value_name(lstm->inputs[1])));
    assert_false(is_exact(g, back, skive_value_name(lstm->inputs[2])));
    assert_int_equal(lstm->inputs[3]->type.rank, 2);
    assert_true(is_exact(g, back, skive_value_name(lstm->inputs[3])));
    skive_pack_free_bytes(ctx, bytes);
    skive_graph_free(back);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_and_biases_are_no_weights),
        cmocka_unit_test(every_coder_gives_back_what_it_took),
        cmocka_unit_test(coders_bear_extreme_distributions),
        cmocka_unit_test(static_coders_come_near_the_entropy),
        cmocka_unit_test(wrong_bytes_never_give_wrong_symbols),
        cmocka_unit_test(what_is_rounded_to_a_form_fits_it_to_the_bit),
        cmocka_unit_test(forms_round_as_the_papers_say),
        cmocka_unit_test(odd_numbers_survive),
        cmocka_unit_test(a_nan_on_a_grid_survives),
        cmocka_unit_test(every_type_and_shape_survives),
        cmocka_unit_test(sparse_weights_are_arranged_with_what_is_shortest),
        cmocka_unit_test(architectures_come_back),
        cmocka_unit_test(a_lenet_graph_takes_less_than_300_bytes),
        cmocka_unit_test(the_onnx_suite_comes_back),
        cmocka_unit_test(tied_parameters_stay_one),
        cmocka_unit_test(names_may_be_left_out),
        cmocka_unit_test(any_flipped_bit_is_found),
        cmocka_unit_test(any_cut_is_found),
        cmocka_unit_test(newer_files_are_told_from_damaged_ones),
        cmocka_unit_test(records_that_lie_are_refused),
        cmocka_unit_test(nonsense_options_are_refused),
        cmocka_unit_test(files_of_version_1_are_read),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
