/* Text: tokenizers against hand-made tables, folders, files of lines and tables as samples, padding and cutting, inputs
 * beside the tokens, the recipe in a model that is trained, and what is refused. */
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <skive/eval.h>
#include <skive/graph.h>
#include <skive/onnx.h>
#include <skive/train.h>

#include "data/text/text.h"
#include "graph/graph.h"

static char dir[SKV_TEST_PATH];

static int make_dir(void **state) {
    (void)state;
    skv_test_make_dir(dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    skv_test_remove_dir(dir);
    return 0;
}

static const char *at(const char *name) {
    static char buffers[4][SKV_TEST_PATH];
    static int next;
    next = (next + 1) % 4;
    return skv_test_path(buffers[next], dir, name);
}

/* Writes a file and the folders above it. */
static const char *put(const char *name, const char *text) {
    const char *path = at(name);
    char part[SKV_TEST_PATH];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        (void)mkdir(part, 0777);
    }
    skv_test_write_file(path, text, strlen(text));
    return path;
}

static bool noted(skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    return false;
}

static skive_status open_with(skive_context *ctx, const char *path, const char *rest, skive_split split,
                              const skive_dataset_options *options, skive_dataset **out) {
    char spec[4 * SKV_TEST_PATH];
    skive_dataset_options o = options ? *options : skive_dataset_options_default();
    (void)snprintf(spec, sizeof spec, "text:%s%s", path, rest);
    o.split = split;
    skive_context_clear_notes(ctx);
    return skive_dataset_open(ctx, spec, &o, out);
}

/* ---- tokenizers ---- */

/* The tokens of `text` after learning from `training`, NUL-separated texts with an empty one at the end. */
static void check_tokens(skive_context *ctx, const char *name, const char *training, const char *text,
                         const int32_t *expected, size_t n) {
    skv_vocabulary v;
    skv_words parts;
    skv_tokens tokens = {.ctx = ctx};
    skv_test_ok(ctx, skv_vocabulary_create(ctx, name, &v));
    skv_words_init(&parts, ctx);
    for (const char *t = training; *t; t += strlen(t) + 1) {
        if (v.tokenizer->count) skv_test_ok(ctx, v.tokenizer->count(&v, t, strlen(t), &parts));
    }
    skv_test_ok(ctx, v.tokenizer->learn ? v.tokenizer->learn(&v, &parts) : skv_vocabulary_complete(&v));
    skv_test_ok(ctx, v.tokenizer->encode(&v, text, strlen(text), &tokens));
    if (tokens.n != n) fail_msg("%s of '%s': %zu tokens, not %zu", name, text, tokens.n, n);
    for (size_t i = 0; i < n; i++) {
        if (tokens.list[i] != expected[i])
            fail_msg("%s of '%s': token %zu is %d, not %d", name, text, i, (int)tokens.list[i], (int)expected[i]);
    }
    skv_words_free(&parts);
    skv_tokens_free(&tokens);
    skv_vocabulary_free(&v);
}

#define TOKENS(...) (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static void tokenizers(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    check_tokens(ctx, "byte", "", "Az\xc3\xa9", TOKENS(2 + 65, 2 + 122, 2 + 0xc3, 2 + 0xa9));
    /* Most frequent first, equal ones by bytes: a 3, b 2, c 1, e-acute 1. */
    check_tokens(ctx, "character", "abac\0ab\xc3\xa9\0", "b\xc3\xa9!ca", TOKENS(3, 5, 1, 4, 2));
    check_tokens(ctx, "character:lower", "ab\0", "AB\xc3\x89", TOKENS(2, 3, 1));
    check_tokens(ctx, "character:size=3", "abac\0", "abc", TOKENS(2, 1, 1));
    /* "the" 3; "," and "cat" 2; "." "don't" "sat" "yes" 1 */
    check_tokens(ctx, "word", "the cat, the cat.\0the yes, don't sat\0", "the  don't,cat 'sat' no\n",
                 TOKENS(2, 6, 3, 4, 1, 7, 1, 1));
    check_tokens(ctx, "word:least=2", "the cat, the cat.\0the yes, don't sat\0", "the yes cat", TOKENS(2, 1, 4));
    check_tokens(ctx, "word:lower,size=3", "B b a\0", "b B a \xd0\x91", TOKENS(2, 2, 1, 1));
    check_tokens(ctx, "word", "\xe7\x8c\xab\xe7\x8b\x97 \xe7\x8c\xab\0", "\xe7\x8b\x97\xe7\x8c\xab", TOKENS(3, 2));
    skv_test_context_end(ctx);
}

/* Merges by hand. "aaabdaaabac": aa (4 times), then ab (2, before the later pair with a larger number), then both of
 * them together. low x5, lower x2, newest x6, widest x3 (Sennrich et al. 2016, without their mark of the end): the
 * numbers of bytes are their codes + 2, so d 102, e 103, i 107, l 110, n 112, o 113, r 116, s 117, t 118, w 121. */
static void byte_pairs(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const char known[] = "aaabdaaabac\0";
    static const char words[] =
        "low\0low\0low\0low\0low\0lower\0lower\0newest\0newest\0newest\0newest\0newest\0newest\0"
        "widest\0widest\0widest\0";
    static const skv_merge expected[] = {{103, 117}, {258, 118}, {110, 113}, {260, 121}, {103, 121}, {112, 262},
                                         {263, 259}, {102, 259}, {107, 265}, {121, 266}, {103, 116}, {261, 268}};
    check_tokens(ctx, "bpe", known, "aaabdaaabac", TOKENS(260, 102, 260, 99, 101));
    check_tokens(ctx, "bpe", known, "baab", TOKENS(100, 258, 100));
    check_tokens(ctx, "bpe:least=3", known, "aaab", TOKENS(258, 99, 100));
    check_tokens(ctx, "bpe:size=259", words, "lowest", TOKENS(110, 113, 121, 258, 118));
    check_tokens(ctx, "bpe", words, "lowest newer", TOKENS(261, 259, 2 + 32, 263, 268));
    skv_vocabulary v;
    skv_words parts;
    skv_test_ok(ctx, skv_vocabulary_create(ctx, "bpe", &v));
    skv_words_init(&parts, ctx);
    for (const char *t = words; *t; t += strlen(t) + 1) skv_test_ok(ctx, v.tokenizer->count(&v, t, strlen(t), &parts));
    skv_test_ok(ctx, v.tokenizer->learn(&v, &parts));
    assert_int_equal(v.n_merges, SKV_LENGTH(expected));
    assert_int_equal(v.size, 258 + SKV_LENGTH(expected));
    for (size_t i = 0; i < v.n_merges; i++) {
        assert_int_equal(v.merges[i].left, expected[i].left);
        assert_int_equal(v.merges[i].right, expected[i].right);
    }
    skv_words_free(&parts);
    skv_vocabulary_free(&v);
    skv_test_context_end(ctx);
}

/* The reference: pairs counted anew for each merge, by the definition. */
static void byte_pairs_by_definition(void **state) {
    (void)state;
    enum { N = 60, LONG = 40, MERGES = 40 };
    static uint32_t texts[N][LONG];
    static size_t lengths[N];
    skive_context *ctx = skv_test_context();
    skv_vocabulary v;
    skv_words parts;
    skv_test_ok(ctx, skv_vocabulary_create(ctx, "bpe:size=298", &v));
    skv_words_init(&parts, ctx);
    for (size_t i = 0; i < N; i++) {
        char text[LONG];
        lengths[i] = 5 + i % (LONG - 5);
        for (size_t k = 0; k < lengths[i]; k++) {
            text[k] = "abcd"[skv_rng_below(3, i, k, 4) * (k % 3 != 0)];
            texts[i][k] = 2 + (uint32_t)(unsigned char)text[k];
        }
        skv_test_ok(ctx, v.tokenizer->count(&v, text, lengths[i], &parts));
    }
    skv_test_ok(ctx, v.tokenizer->learn(&v, &parts));
    assert_int_equal(v.n_merges, MERGES);
    for (uint32_t m = 0; m < MERGES; m++) {
        static uint32_t counts[300][300];
        uint32_t left = 0, right = 0;
        memset(counts, 0, sizeof counts);
        for (size_t i = 0; i < N; i++) {
            for (size_t k = 0; k + 1 < lengths[i]; k++) counts[texts[i][k]][texts[i][k + 1]]++;
        }
        for (uint32_t a = 0; a < 300; a++) {
            for (uint32_t b = 0; b < 300; b++) {
                if (counts[a][b] <= counts[left][right]) continue;
                left = a;
                right = b;
            }
        }
        assert_int_equal(v.merges[m].left, left);
        assert_int_equal(v.merges[m].right, right);
        for (size_t i = 0; i < N; i++) {
            size_t to = 0;
            for (size_t k = 0; k < lengths[i]; k++) {
                const bool both = k + 1 < lengths[i] && texts[i][k] == left && texts[i][k + 1] == right;
                texts[i][to++] = both ? 258 + m : texts[i][k];
                k += both;
            }
            lengths[i] = to;
        }
    }
    skv_words_free(&parts);
    skv_vocabulary_free(&v);
    skv_test_context_end(ctx);
}

/* ---- samples ---- */

static void expect(skive_context *ctx, const skive_dataset *ds, const float *tokens, size_t n, const int64_t *labels) {
    skive_dataset_info info;
    float x[64];
    int64_t label;
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.sample_size * info.count, n);
    for (size_t i = 0; i < info.count; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, x, &label));
        skv_test_floats(x, tokens + i * info.sample_size, info.sample_size, 0, 0);
        if (labels) assert_int_equal(label, labels[i]);
    }
}

/* The same four texts as files, as lines, and in a table. a 4, b 2, c 1, d 1. */
static void sources(void **state) {
    (void)state;
    static const float tokens[] = {2, 2, 0, 2, 3, 4, 3, 5, 0, 2, 0, 0};
    static const int64_t labels[] = {0, 0, 1, 1};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds;
    skive_dataset_info info;
    (void)put("files/bad/1.txt", "a a\n");
    (void)put("files/bad/2.txt", "\xef\xbb\xbf"
                                 "a b\nc");
    (void)put("files/good/1.txt", "b d");
    (void)put("files/good/2.txt", "a");
    (void)put("files/good/notes.md", "z");
    (void)put("lines/bad.txt", "a a\r\n\r\na b c\n");
    (void)put("lines/good.txt", "b d\na");
    (void)put("table.csv", "sort,words\nbad,a a\nbad,\"a b\nc\"\ngood,b d\ngood,a\n");
    (void)put("table.tsv", "sort\twords\nbad\ta a\nbad\ta b c\ngood\tb d\ngood\ta\n");
    static const struct {
        const char *name, *rest, *says;
    } cases[] = {
        {"files", "", "1 file of other types"},
        {"lines", "", "1 empty line is skipped"},
        {"table.csv", ",column=words,label=sort", "classification, 2 classes: bad (2), good (2)"},
        {"table.tsv", ",column=words,label=sort,length=3", "6 tokens (word), of 4 different ones in 4 training texts"},
        {"files", ",memory=0", "samples have 3 tokens, as the longest training text"},
        {"lines", ",memory=0", NULL},
        {"table.csv", ",column=words,label=sort,memory=0", NULL},
    };
    for (size_t i = 0; i < SKV_LENGTH(cases); i++) {
        skv_test_ok(ctx, open_with(ctx, at(cases[i].name), cases[i].rest, SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
        skive_dataset_get_info(ds, &info);
        assert_int_equal(info.dtype, SKIVE_I32);
        assert_int_equal(info.classes, 2);
        assert_string_equal(info.class_names[1], "good");
        expect(ctx, ds, tokens, 12, labels);
        if (cases[i].says && !noted(ctx, cases[i].says)) fail_msg("case %zu does not say '%s'", i, cases[i].says);
        skive_dataset_free(ds);
    }
    skv_test_context_end(ctx);
}

static void lengths(void **state) {
    (void)state;
    static const float end[] = {2, 3, 2, 2, 3, 0}, start[] = {3, 2, 4, 0, 2, 3};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds;
    const char *path = put("long.csv", "t,u\na b a c,x\na b,y\n");
    skv_test_ok(ctx, open_with(ctx, path, ",column=t,length=3", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    expect(ctx, ds, end, 6, NULL);
    assert_true(noted(ctx, "1 of 2 texts have more than 3 tokens; their first 3 are used"));
    skive_dataset_free(ds);
    skv_test_ok(ctx, open_with(ctx, path, ",column=t,length=3,pad=start,keep=last", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    expect(ctx, ds, start, 6, NULL);
    skive_dataset_free(ds);
    skv_test_fails(ctx, open_with(ctx, path, ",column=t,pad=start,lengths=n", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds),
                   SKIVE_ERR_ARGUMENT, "give pad=end, or mask=NAME in place of lengths=");
    skv_test_ok(ctx, open_with(ctx, path, ",column=t,pad=start,mask=m", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

static void more_inputs(void **state) {
    (void)state;
    static const float tokens[] = {2, 3, 2, 2, 0, 0, 0, 0, 0}, mask[] = {1, 1, 1, 1, 0, 0, 0, 0, 0}, n[] = {3, 1, 0};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds;
    skive_dataset_info info;
    const char *path = put("inputs.csv", "t,u\na b a,x\na,y\n,x\n");
    skv_test_ok(ctx, open_with(ctx, path, ",column=t,label=u,input=ids,mask=seen,lengths=len", SKIVE_SPLIT_TRAIN_FULL,
                               NULL, &ds));
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.n_inputs, 3);
    assert_string_equal(info.inputs[0].name, "ids");
    assert_string_equal(info.inputs[1].name, "seen");
    assert_string_equal(info.inputs[2].name, "len");
    expect(ctx, skive_dataset_get_input(ds, 0), tokens, 9, NULL);
    expect(ctx, skive_dataset_get_input(ds, 1), mask, 9, NULL);
    expect(ctx, skive_dataset_get_input(ds, 2), n, 3, NULL);
    assert_true(noted(ctx, "1 of 3 texts has no token"));
    skive_dataset_free(ds);
    skv_test_fails(ctx, open_with(ctx, path, ",column=t,mask=seen,memory=0", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds),
                   SKIVE_ERR_ARGUMENT, "mask= and lengths= need the tokens in memory");
    skv_test_context_end(ctx);
}

static void parts(void **state) {
    (void)state;
    static const float tested[] = {1, 2, 3, 0};
    static const int64_t labels[] = {0, 1};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds;
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset_info info;
    (void)put("set/train/no.txt", "a a\nb\n");
    (void)put("set/train/yes.txt", "a b\n");
    (void)put("set/test/no.txt", "z a\n");
    (void)put("set/test/yes.txt", "b\n");
    o.validation_fraction = 0; /* so that the vocabulary is that of all training texts */
    skv_test_ok(ctx, open_with(ctx, at("set"), "", SKIVE_SPLIT_TEST, &o, &ds));
    expect(ctx, ds, tested, 4, labels);
    skive_dataset_get_info(ds, &info);
    assert_true(info.separate_test);
    assert_true(noted(ctx, "1 of 3 tokens (33 %) are unknown to the vocabulary; the first is 'z'"));
    skive_dataset_free(ds);
    (void)put("set/test/maybe.txt", "b\n");
    skv_test_fails(ctx, open_with(ctx, at("set"), "", SKIVE_SPLIT_TEST, NULL, &ds), SKIVE_ERR_DATA,
                   "the file 'maybe.txt' is not among the training classes");
    const char *path = put("split.csv", "part,t,y\ntrain,a a,no\ntrain,b,no\ntrain,a b,yes\ntest,z a,no\ntest,b,yes\n");
    skv_test_ok(ctx, open_with(ctx, path, ",column=t,label=y,split=part", SKIVE_SPLIT_TEST, &o, &ds));
    expect(ctx, ds, tested, 4, labels);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

static void refusals(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = NULL;
    (void)put("latin/a/1.txt", "one\ntwo caf\xe9\n");
    (void)put("latin/b/1.txt", "x");
    skv_test_fails(ctx, open_with(ctx, at("latin"), "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "latin/a/1.txt: line 2: is not UTF-8 (byte 11 of the file is 0xe9)");
    (void)put("lines2/a.txt", "one\nc\xc3(\n");
    (void)put("lines2/b.txt", "x");
    skv_test_fails(ctx, open_with(ctx, at("lines2"), "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "lines2/a.txt: line 2: is not UTF-8 (byte 5 of the file is 0xc3)");
    (void)put("void/a.txt", "\n\n");
    skv_test_fails(ctx, open_with(ctx, at("void"), "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "its text files have empty lines only");
    (void)put("pictures/a/1.dat", "x");
    skv_test_fails(ctx, open_with(ctx, at("pictures"), "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "there is no TXT file in its class folders");
    const char *path = put("t.csv", "t,y\na,x\nb,\n");
    skv_test_fails(ctx, open_with(ctx, path, "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_ARGUMENT,
                   "name the column of the texts");
    skv_test_fails(ctx, open_with(ctx, path, ",column=z", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "has no column 'z' (of the texts)");
    skv_test_fails(ctx, open_with(ctx, path, ",column=t,label=y", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "row 2 (line 3), column 'y': the label is missing");
    skv_test_fails(ctx, open_with(ctx, path, ",column=t,tokens=wrod", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds),
                   SKIVE_ERR_ARGUMENT, "did you mean 'word'");
    skv_test_fails(ctx, open_with(ctx, path, ",column=t,tokens=bpe:size=100", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds),
                   SKIVE_ERR_ARGUMENT, "size is 100; it must be");
    skv_test_fails(ctx, open_with(ctx, at("latin"), ",column=t", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_ARGUMENT,
                   "column= is for tables, and this is a folder");
    skv_test_fails(ctx, open_with(ctx, at("nothing"), ",column=t", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_IO,
                   "nothing");
    skv_test_context_end(ctx);
}

/* ---- models ---- */

static skive_value *parameter(skv_builder *b, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    skive_context *ctx = b->graph->ctx;
    skive_tensor t = skv_test_random(ctx, SKIVE_F32, rank, dims, seed, -0.5, 0.5);
    skive_value *v = NULL;
    skv_test_ok(ctx, skive_graph_add_parameter(b->graph, name, &t, &v));
    skive_tensor_free(ctx, &t);
    skv_test_ok(ctx, skive_value_set_trainable(v, true));
    return v;
}

/* Embedding, mean over the tokens, Gemm; ids [N, length] int64. */
static skive_graph *classifier(skive_context *ctx, int64_t tokens, int64_t length, int64_t classes) {
    skive_graph *g = NULL;
    skive_value *ids = NULL;
    const skive_type type = {.dtype = SKIVE_I64, .rank = 2, .dims = {{-1, "N"}, {length, NULL}}};
    const int64_t table[2] = {tokens, 8}, w[2] = {classes, 8}, k[1] = {classes};
    skv_test_ok(ctx, skive_graph_create(ctx, "words", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "ids", &type, &ids));
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Gather", SKV_IN(parameter(&b, "table", 2, table, 1), ids), SKV_NONE);
    y = skv_emit(&b, "ReduceMean", SKV_IN(y, skv_emit_ints(&b, (const int64_t[]){1}, 1)),
                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    y = skv_emit(&b, "Gemm", SKV_IN(y, parameter(&b, "w", 2, w, 2), parameter(&b, "bias", 1, k, 3)),
                 SKV_ATTRS(SKV_INT("transB", 1)));
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    skv_test_ok(ctx, skive_graph_infer(g));
    return g;
}

/* Trained, written, read again: other texts need no options, and give what they gave. */
static void trained(void **state) {
    (void)state;
    static const char *const kinds[] = {"word:lower", "character", "byte", "bpe:size=270"};
    static const char *const good[] = {"fine", "Great", "nice"}, *const bad[] = {"awful", "Poor", "dull"};
    skive_context *ctx = skv_test_context();
    char text[6000] = "text,sort\n", path[SKV_TEST_PATH], model[SKV_TEST_PATH];
    for (int i = 0; i < 120; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "a %s film%s,%s\n",
                       i % 2 ? good[i / 2 % 3] : bad[i / 2 % 3], i % 5 ? "" : " today", i % 2 ? "good" : "bad");
    (void)snprintf(path, sizeof path, "%s", put("films.csv", text));
    (void)snprintf(model, sizeof model, "%s", at("films.onnx"));
    for (size_t k = 0; k < SKV_LENGTH(kinds); k++) {
        skive_dataset *ds, *later;
        skive_dataset_info info, other;
        skive_train_options t = skive_train_options_default();
        skive_dataset_options o = skive_dataset_options_default();
        skive_eval_report before, after;
        skive_graph *g, *again = NULL;
        char rest[100];
        (void)snprintf(rest, sizeof rest, ",column=text,label=sort,length=24,tokens=%s", kinds[k]);
        skv_test_ok(ctx, open_with(ctx, path, rest, SKIVE_SPLIT_TRAIN, NULL, &ds));
        skive_dataset_get_info(ds, &info);
        g = classifier(ctx, 300, 24, info.classes);
        t.epochs = 12;
        t.batch = 10;
        t.learning_rate = 0.05;
        t.optimizer = "adam";
        skv_test_ok(ctx, skive_train(ctx, g, ds, NULL, &t, NULL, 0, NULL));
        skv_test_ok(ctx, skive_evaluate(ctx, g, ds, 0, &before));
        if (k == 0) assert_true(before.accuracy == 1);
        skv_test_ok(ctx, skive_onnx_save(ctx, g, model, NULL));
        skv_test_ok(ctx, skive_onnx_load(ctx, model, NULL, &again));
        o.model = again;
        skv_test_ok(ctx, open_with(ctx, path, "", SKIVE_SPLIT_TRAIN, &o, &later));
        skive_dataset_get_info(later, &other);
        assert_string_equal(skive_graph_meta(again, "skive.input.text"), info.preprocessing);
        assert_string_equal(other.preprocessing, info.preprocessing);
        skv_test_ok(ctx, skive_evaluate(ctx, again, later, 0, &after));
        assert_true(before.loss == after.loss && before.accuracy == after.accuracy);
        skive_eval_report_free(ctx, &before);
        skive_eval_report_free(ctx, &after);
        skive_dataset_free(later);
        skv_test_fails(ctx, open_with(ctx, path, ",tokens=word:size=10", SKIVE_SPLIT_TRAIN, &o, &later),
                       SKIVE_ERR_ARGUMENT, "the model was made with tokens=");
        skv_test_fails(ctx, open_with(ctx, path, ",length=9", SKIVE_SPLIT_TRAIN, &o, &later), SKIVE_ERR_ARGUMENT,
                       "the model was made with length=24");
        /* Tokens of another vocabulary do not get into the model. */
        skv_test_ok(ctx, open_with(ctx, put("few.csv", "text,sort\nx y,good\ny z,bad\n"),
                                   ",column=text,label=sort,length=24,tokens=word:size=9", SKIVE_SPLIT_TRAIN_FULL, NULL,
                                   &later));
        skv_test_fails(ctx, skive_evaluate(ctx, again, later, 0, &after), SKIVE_ERR_DATA,
                       "the model takes other samples than the data set makes");
        skive_dataset_free(later);
        skive_dataset_free(ds);
        skive_graph_free(g);
        skive_graph_free(again);
    }
    skv_test_context_end(ctx);
}

static void damaged_recipes(void **state) {
    (void)state;
    static const char *const damaged[] = {
        "kind\ttext\n",
        "kind\ttext\ntokens\tnone\nlength\t3\tend\tfirst\n",
        "kind\ttext\ntokens\tword\n",
        "kind\ttext\ntokens\tword\nlength\t0\tend\tfirst\n",
        "kind\ttext\ntokens\tword\nlength\t3\tend\tfirst\ntoken\ta\ntoken\ta\n",
        "kind\ttext\ntokens\tbpe\nlength\t3\tend\tfirst\nmerge\t2\t258\n",
        "kind\ttext\ntokens\tbpe\nlength\t3\tend\tfirst\nmerge\t2\t3\nmerge\t2\t3\n",
        "kind\ttext\ntokens\tbpe\nlength\t3\tend\tfirst\nmerge\t2\n",
    };
    skive_context *ctx = skv_test_context();
    skive_graph *g = classifier(ctx, 9, 3, 2);
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *ds;
    o.model = g;
    const char *path = put("d.csv", "t,y\na,x\nb,z\n");
    for (size_t i = 0; i < SKV_LENGTH(damaged); i++) {
        skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.text", damaged[i]));
        skv_test_fails(ctx, open_with(ctx, path, ",column=t,label=y", SKIVE_SPLIT_TEST, &o, &ds), SKIVE_ERR_FORMAT,
                       "damaged");
    }
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status walk(skive_context *ctx, void *user) {
    skive_dataset *ds = NULL;
    float x[16];
    const skive_status opened =
        open_with(ctx, user, ",column=t,label=y,tokens=bpe:size=262,mask=m", SKIVE_SPLIT_TRAIN, NULL, &ds);
    if (opened != SKIVE_OK) return opened;
    const skive_status status = skive_dataset_read(ctx, ds, 0, x, NULL);
    skive_dataset_free(ds);
    return status;
}

static void without_memory(void **state) {
    (void)state;
    char path[SKV_TEST_PATH];
    (void)snprintf(path, sizeof path, "%s", put("w.csv", "t,y\nab ab,x\nab c,z\nb b,x\n"));
    assert_true(skv_test_walk_allocations(walk, path, 1) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizers),      cmocka_unit_test(byte_pairs),     cmocka_unit_test(byte_pairs_by_definition),
        cmocka_unit_test(sources),         cmocka_unit_test(lengths),        cmocka_unit_test(more_inputs),
        cmocka_unit_test(parts),           cmocka_unit_test(refusals),       cmocka_unit_test(trained),
        cmocka_unit_test(damaged_recipes), cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
