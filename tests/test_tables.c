/* Tables: rows of delimited text as Python's csv module reads them, columns, categories, gaps, labels, parts, recipes,
 * and what is refused. */
#include "support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <skive/data.h>
#include <skive/graph.h>
#include <skive/train.h>
#include <skive/zoo.h>

#include "data/data.h"
#include "data/label.h"
#include "data/tables/rows.h"

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

static const char *put_n(const char *name, const char *text, size_t n) {
    const char *path = at(name);
    skv_test_write_file(path, text, n);
    return path;
}

static const char *put(const char *name, const char *text) { return put_n(name, text, strlen(text)); }

static bool noted(skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    return false;
}

/* ---- rows ---- */

/* The rows of a file written as Python's list(csv.reader(file, strict=True)) would print them, with [a|b]. */
static void read_all(skive_context *ctx, const char *path, char separator, char *out, size_t size) {
    skv_rows *r = NULL;
    skv_row row;
    bool end = false;
    size_t to = 0;
    skv_test_ok(ctx, skv_rows_open(ctx, path, separator, &r));
    out[0] = '\0';
    for (;;) {
        skv_test_ok(ctx, skv_rows_next(r, &row, &end));
        if (end) break;
        to += (size_t)snprintf(out + to, size - to, "[");
        for (size_t i = 0; i < row.n && !row.blank; i++)
            to += (size_t)snprintf(out + to, size - to, "%s%s", i ? "|" : "", row.cells[i].text);
        to += (size_t)snprintf(out + to, size - to, "]");
    }
    skv_rows_free(r);
}

static void rows(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected; /* as Python 3.11 reads it */
        char separator;
    } cases[] = {
        {"a,b\n1,2\n", "[a|b][1|2]", ','},
        {"a,b\r\n1,2\r\n", "[a|b][1|2]", ','},
        {"a,b\r1,2", "[a|b][1|2]", ','},
        {"a,b\n\n1,2\n\n", "[a|b][][1|2][]", ','},
        {"\xef\xbb\xbf\"a\",b\n", "[a|b]", ','},
        {"\"x,y\",\"say \"\"hi\"\"\"\n", "[x,y|say \"hi\"]", ','},
        {"\"two\nlines\",2\r\n3,4", "[two\nlines|2][3|4]", ','},
        {"a\"b,c\"\n", "[a\"b|c\"]", ','},
        {",\n,,\n", "[|][||]", ','},
        {"\"\"\n\"\",\"\"\n", "[][|]", ','},
        {" \"a\" ,b\n", "[ \"a\" |b]", ','},
        {"a;b\n1,5;2\n", "[a|b][1,5|2]", ';'},
        {"a\tb c\n", "[a|b c]", '\t'},
        {"caf\xc3\xa9,\xe2\x82\xac\n", "[caf\xc3\xa9|\xe2\x82\xac]", ','},
    };
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[200];
        read_all(ctx, put("rows.csv", cases[i].text), cases[i].separator, out, sizeof out);
        assert_string_equal(out, cases[i].expected);
    }
    skv_test_context_end(ctx);
}

/* Rows that cross the pieces in which a file is read, in order and by their places. */
static void rows_in_pieces(void **state) {
    (void)state;
    enum { N = 30000 };
    skive_context *ctx = skv_test_context();
    char *text = malloc(N * 64);
    size_t n = 0;
    static uint64_t places[N];
    static uint32_t lengths[N];
    skv_rows *r = NULL;
    skv_row row;
    skv_row_buffer *b = NULL;
    bool end;
    assert_non_null(text);
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "%d,\"line\n%d\",%.*s\r\n", i, i, i % 40,
                             "----------------------------------------");
    skv_test_ok(ctx, skv_rows_open(ctx, put_n("pieces.csv", text, n), ',', &r));
    for (int i = 0; i < N; i++) {
        skv_test_ok(ctx, skv_rows_next(r, &row, &end));
        assert_false(end);
        assert_int_equal(row.n, 3);
        assert_int_equal(atoi(row.cells[0].text), i);
        assert_int_equal(row.cells[2].length, i % 40);
        assert_int_equal(row.line, 1 + 2 * i);
        places[i] = row.at;
        lengths[i] = row.length;
    }
    skv_test_ok(ctx, skv_rows_next(r, &row, &end));
    assert_true(end);
    skv_test_ok(ctx, skv_row_buffer_create(ctx, &b));
    for (int k = 0; k < N; k++) {
        const int i = k % 3 == 0 ? k : (int)((unsigned)k * 7919u % N);
        skv_test_ok(ctx, skv_rows_at(ctx, r, places[i], lengths[i], k % 2 == 0, b, &row));
        assert_int_equal(atoi(row.cells[0].text), i);
        assert_int_equal(atoi(row.cells[1].text + 5), i);
    }
    skv_row_buffer_free(b);
    skv_rows_free(r);
    free(text);
    skv_test_context_end(ctx);
}

/* The short way to a number gives the bits of strtod. */
static void numbers(void **state) {
    (void)state;
    static const char *const fixed[] = {"0",
                                        "-0",
                                        "+1",
                                        "1.",
                                        ".5",
                                        "-.25",
                                        "0.1",
                                        "1e3",
                                        "7E-2",
                                        " 3 ",
                                        "0000012",
                                        "123456789012345",
                                        "1234567890.12345"};
    static const char *const none[] = {"",     " ",   ".",   "-",   "+-1",  "1.2.3", "1e",
                                       "0x10", "inf", "nan", "1 2", "1e39", "--1"};
    double value;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        assert_true(skv_cell_number(fixed[i], strlen(fixed[i]), &value));
        const double expected = strtod(fixed[i], NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(skv_cell_number(none[i], strlen(none[i]), &value));
    for (uint64_t i = 0; i < 20000; i++) {
        char text[40];
        (void)snprintf(text, sizeof text, "%.*f", (int)(i % 12), skv_rng_normal(5, 1, i) * 1000);
        assert_true(skv_cell_number(text, strlen(text), &value));
        const double expected = strtod(text, NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
}

/* ---- data sets ---- */

static skive_status open_with(skive_context *ctx, const char *kind, const char *path, const char *rest,
                              skive_split split, const skive_dataset_options *options, skive_dataset **out) {
    char spec[4 * SKV_TEST_PATH];
    skive_dataset_options o = options ? *options : skive_dataset_options_default();
    (void)snprintf(spec, sizeof spec, "%s:%s%s", kind, path, rest);
    o.split = split;
    skive_context_clear_notes(ctx);
    return skive_dataset_open(ctx, spec, &o, out);
}

static void expect(skive_context *ctx, const skive_dataset *ds, const float *values, size_t n) {
    skive_dataset_info info;
    float x[32];
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.sample_size * info.count, n);
    for (size_t i = 0; i < info.count; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, x, NULL));
        skv_test_floats(x, values + i * info.sample_size, info.sample_size, 0, 0);
    }
}

static const char flowers[] = "id,height,colour,leaves,kind\n"
                              "f1,1.5,red,3,rose\n"
                              "f2, 2 ,blue,4,iris\n"
                              "f3,-1e1,red,3,rose\n"
                              "f4,0.25,\"green, dark\",5,tulip\n";

/* Numbers and one-hot categories in the order of the columns; classes in the order of their names. */
static void columns(void **state) {
    (void)state;
    static const float one_hot[] = {1.5f, 0, 0, 1, 3, 2, 1, 0, 0, 4, -10, 0, 0, 1, 3, 0.25f, 0, 1, 0, 5};
    static const float codes[] = {1.5f, 3, 3, 2, 1, 4, -10, 3, 3, 0.25f, 2, 5};
    static const float few[] = {3, 0, 1, 0, 4, 1, 0, 0, 3, 0, 1, 0, 5, 0, 0, 1};
    static const int64_t labels[] = {1, 0, 1, 2};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds;
    skive_dataset_info info;
    const char *path = put("flowers.csv", flowers);
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=kind,without=id", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    expect(ctx, ds, one_hot, 20);
    skive_dataset_get_info(ds, &info);
    assert_true(info.labelled);
    assert_int_equal(info.classes, 3);
    assert_string_equal(info.class_names[0], "iris");
    assert_int_equal(info.dtype, SKIVE_F32);
    assert_string_equal(skive_dataset_value_name(ds, 0), "height");
    assert_string_equal(skive_dataset_value_name(ds, 2), "colour=green, dark");
    assert_null(skive_dataset_value_name(ds, 5));
    for (size_t i = 0; i < 4; i++) {
        int64_t label;
        skv_test_ok(ctx, skive_dataset_read(ctx, ds, i, NULL, &label));
        assert_int_equal(label, labels[i]);
    }
    assert_true(noted(ctx, "classification, 3 classes: iris (1), rose (2), tulip (1)"));
    assert_true(noted(ctx, "5 values per sample from 2 columns of numbers and the categories of colour (3)"));
    assert_true(noted(ctx, "column not used: id"));
    skive_dataset_free(ds);
    skv_test_ok(
        ctx, open_with(ctx, "csv", path, ",label=kind,without=id,encode=integer", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    expect(ctx, ds, codes, 12);
    skive_dataset_free(ds);
    /* Rows that stay on disk have the same values. */
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=kind,columns=height,c*,leaves,memory=0",
                               SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    assert_null(ds->x.data);
    expect(ctx, ds, one_hot, 20);
    skive_dataset_free(ds);
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",columns=leaves,kind", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    expect(ctx, ds, few, 16);
    skive_dataset_get_info(ds, &info);
    assert_false(info.labelled);
    assert_int_equal(info.n_targets, 0);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* What the labels are, and that it is told. */
static void labels(void **state) {
    (void)state;
    static const struct {
        const char *column; /* ten cells */
        skive_target_type type;
        int64_t classes; /* 0: values; -1: refused */
        const char *says, *first;
    } cases[] = {
        {"0 1 2 0 1 2 0 1 2 0", SKIVE_TARGETS_AUTO, 3, "3 classes with the numbers 0 to 2", NULL},
        {"1 2 10 3 4 5 6 7 8 9", SKIVE_TARGETS_AUTO, 10, "10 classes: 1 (1), 2 (1), 3 (1)", "1"},
        {"0 1 3 0 1 3 0 1 3 0", SKIVE_TARGETS_AUTO, 0, "regression, values from 0 to 3 (--targets class", NULL},
        {"3 5 8 3 5 8 3 5 8 3", SKIVE_TARGETS_CLASSES, 3, "3 classes: 3 (4), 5 (3), 8 (3)", "3"},
        {"0 1 2 0 1 2 0 1 2 0", SKIVE_TARGETS_VALUES, 0, "regression, values from 0 to 2", NULL},
        {"0.5 1 2 0 1 2 0 1 2 0", SKIVE_TARGETS_AUTO, 0, "regression, values from 0 to 2", NULL},
        {"+ - + - + - + - + -", SKIVE_TARGETS_AUTO, 2, "2 classes: + (5), - (5)", "+"},
        {"a 1 b 2 a 1 b 2 a 1", SKIVE_TARGETS_AUTO, 4, "some are numbers and some are not", "1"},
        {"a b a b a b a b a b", SKIVE_TARGETS_VALUES, -1, "row 1, column 'y': is not a number", NULL},
    };
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[400] = "x,y\n", copy[100];
        skive_dataset_options o = skive_dataset_options_default();
        skive_dataset *ds = NULL;
        skive_dataset_info info;
        o.targets = cases[i].type;
        (void)snprintf(copy, sizeof copy, "%s", cases[i].column);
        for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%zu,%s\n", strlen(text), word);
        const skive_status status =
            open_with(ctx, "csv", put("labels.csv", text), ",label=y", SKIVE_SPLIT_TRAIN_FULL, &o, &ds);
        if (cases[i].classes < 0) {
            skv_test_fails(ctx, status, SKIVE_ERR_DATA, cases[i].says);
            continue;
        }
        skv_test_ok(ctx, status);
        skive_dataset_get_info(ds, &info);
        assert_int_equal(info.classes, cases[i].classes);
        assert_int_equal(info.target_size, cases[i].classes ? 0 : 1);
        if (!noted(ctx, cases[i].says)) fail_msg("case %zu does not say '%s'", i, cases[i].says);
        if (cases[i].first) assert_string_equal(info.class_names[0], cases[i].first);
        skive_dataset_free(ds);
    }
    skv_test_context_end(ctx);
}

static void gaps(void **state) {
    (void)state;
    static const char text[] = "a,b,c,y\n1,u,5,0\n,v,7,1\n3,,NA,0\n8,u,9,1\n";
    static const float filled[] = {1, 1, 0, 5, 4, 0, 1, 7, 3, 0, 0, 7, 8, 1, 0, 9};
    static const float kept[] = {1, 5, 8, 9};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = NULL;
    const char *path = put("gaps.csv", text);
    skv_test_fails(ctx, open_with(ctx, "csv", path, ",label=y", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "gaps.csv: row 2 (line 3), column 'a': the cell is empty or marked as missing; gaps=mean fills");
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y,gaps=mean", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    expect(ctx, ds, filled, 16);
    assert_true(noted(ctx, "gaps are filled with the mean of the training rows, or with no category: in a (1), b (1), "
                           "c (1)"));
    skive_dataset_free(ds);
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y,gaps=drop,without=b", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    expect(ctx, ds, kept, 4);
    assert_true(noted(ctx, "2 rows with gaps are left out; gaps in a (1), c (1)"));
    skive_dataset_free(ds);
    path = put("gaps.csv", "a,y\n1,0\n2,\n3,1\n");
    for (int k = 0; k < 2; k++)
        skv_test_fails(
            ctx, open_with(ctx, "csv", path, k ? ",label=y" : ",label=y,gaps=mean", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds),
            SKIVE_ERR_DATA, "row 2 (line 3), column 'y': the label is missing");
    skv_test_context_end(ctx);
}

/* Separators, told where they are guessed; quotes, CRLF and a byte order mark; tsv. */
static void forms(void **state) {
    (void)state;
    static const float values[] = {1, 2, 3, 4};
    static const struct {
        const char *kind, *text, *rest, *says;
    } cases[] = {
        {"csv", "a,b,y\n1,2,n\n3,4,p\n", ",label=y", NULL},
        {"csv",
         "\xef\xbb\xbf"
         "a;b;y\r\n1;2;n\r\n3;4;p\r\n",
         ",label=y", "separated by semicolons"},
        {"csv", "a|b|y\n1|2|n\n3|4|p", ",label=y", "separated by |"},
        {"csv", "a\tb\ty\n1\t2\tn\n3\t4\tp", ",label=y", "separated by tabs"},
        {"tsv", "a\tb\t\"the y\"\n1\t2\tn\n\"3\"\t4\t\"p\n q\"\n", ",label=the y", NULL},
        {"csv", "a,b,y\n\n1,2,n\n\n3,4,p\n\n", ",label=y,separator=comma", "3 empty lines are skipped"},
        {"csv", "a,,b,y\n1,9,2,n\n3,9,4,p\n", ",label=y", "1 column without a name in the header is not used"},
    };
    skive_context *ctx = skv_test_context();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        skive_dataset *ds = NULL;
        skv_test_ok(ctx, open_with(ctx, cases[i].kind, put("form.csv", cases[i].text), cases[i].rest,
                                   SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
        expect(ctx, ds, values, 4);
        if (cases[i].says && !noted(ctx, cases[i].says)) fail_msg("case %zu does not say '%s'", i, cases[i].says);
        skive_dataset_free(ds);
    }
    skv_test_context_end(ctx);
}

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *text, *rest, *says;
    } cases[] = {
        {"", "", "the file is empty"},
        {"\xef\xbb\xbf", "", "the file is empty"},
        {"\n\n", "", "has empty lines only"},
        {"\x1f\x8b\x08", "", "is compressed; unpack it first"},
        {"PK\x03\x04", "", "is a zip archive or a spreadsheet"},
        {"\xff\xfe"
         "a",
         "", "is UTF-16"},
        {"a,b\n", "", "has no row below its header"},
        {"a\n1\n", "", "has one column only, 'a'; is , the separator?"},
        {"a;b\n1;2\n", ",separator=comma", "has one column only, 'a;b'; is , the separator?"},
        {"a,b,a\n1,2,3\n", "", "row 1 (the header): the columns 1 and 3 are both called 'a'"},
        {"1,2\n3,4\n", "", "the first row has numbers only; a table needs a header"},
        {"a,b,c\n1,2,3\n4,5\n", "",
         "row 2 (line 3): has 2 cells, but the header has 3 columns; the first that is "
         "missing is column 'c'"},
        {"a,b\n1,2\n4,5,6\n", "", "row 2 (line 3): has 3 cells, but the header has 2 columns"},
        {"a,b\n1,\"x\ny\"\n3\n", "", "row 2 (line 4): has 1 cell, but"},
        {"a,b\n1,\"x\"y\n", "", "line 2, column 2: text follows the closing quote"},
        {"a,b\n1,\"x\n2,3\n", "", "line 2: the quote that opens here is not closed"},
        {"a,b\n1,caf\xe9\n", "", "line 2: is not UTF-8 (byte 9 of the file is 0xe9)"},
        {"a,b\n1.5,x\n2 5,y\n", "",
         "row 2 (line 3), column 'a': '2 5' is not a number, but 1 other cells (the first in "
         "row 1) are; categorical=a"},
        {"a;b\n1,5;2\n", "",
         "row 1 (line 2), column 'a': '1,5' has a comma; numbers are written with a decimal "
         "point"},
        {"a,b\n1,\n2,\n", ",gaps=mean", "column 'b' has no value in the training rows; leave it out (without=b)"},
        {"a,b\n1,2\n", ",label=c", "has no column 'c' (the label)"},
        {"apple,b\n1,2\n", ",label=aple", "did you mean 'apple'; its columns are apple, b"},
        {"a,b\n1,2\n", ",columns=z*", "has no column 'z*' (of columns=)"},
        {"a,b\n1,2\n", ",label=a,without=b", "no column is left for the samples besides the label"},
        {"a,b\n1,2\n", ",label=a,lable=b", "data set 'csv' has no option 'lable'"},
        {"a,b\n1,2\n1e39,2\n", "", "row 2 (line 3), column 'a': '1e39' is not a number"},
        {"a,b\n1,x\n", ",split=b", "column 'b': 'x' is not train, validation or test"},
        {"a,b\n1,x\n", ",split=b,test=z", "give test= or split=, not both"},
    };
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = put("bad.csv", cases[i].text);
        const skive_status status = open_with(ctx, "csv", path, cases[i].rest, SKIVE_SPLIT_TRAIN_FULL, NULL, &ds);
        if (status == SKIVE_OK || !strstr(skive_context_message(ctx), cases[i].says))
            fail_msg("case %zu: '%s' (%d), not '%s'", i, skive_context_message(ctx), (int)status, cases[i].says);
        assert_null(ds);
    }
    const char *path = put_n("bad.csv", "a,b\n1,\0\n", 8);
    skv_test_fails(ctx, open_with(ctx, "csv", path, "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_DATA,
                   "line 2: there is a NUL byte (byte 6 of the file)");
    skv_test_fails(ctx, open_with(ctx, "csv", dir, "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_IO, NULL);
    skv_test_fails(ctx, open_with(ctx, "csv", at("none.csv"), "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds), SKIVE_ERR_IO,
                   "none.csv");
    skv_test_context_end(ctx);
}

/* A row without an end, longer than the limit. */
static void huge_line(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = NULL;
    const size_t n = ((size_t)SKV_LONGEST_ROW * 9) / 4;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text, "a,b\n1,\"", 7);
    skv_test_fails(ctx, open_with(ctx, "csv", put_n("huge.csv", text, n), "", SKIVE_SPLIT_TRAIN_FULL, NULL, &ds),
                   SKIVE_ERR_LIMIT, "line 2: the row is longer than 16 MiB");
    free(text);
    skv_test_context_end(ctx);
}

/* ---- parts and recipes ---- */

static void parts(void **state) {
    (void)state;
    static const float test_file[] = {7, 0, 0, 8, 0, 1}, trained[] = {1, 1, 0, 2, 0, 1, 3, 1, 0}, tested[] = {9, 0, 0};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = NULL;
    skive_dataset_info info;
    char rest[2 * SKV_TEST_PATH];
    const char *path = put("train.csv", "n,c,y\n1,u,p\n2,v,q\n3,u,p\n");
    /* The columns of the test file stand in another order, with one more, and a category that is new. */
    (void)snprintf(rest, sizeof rest, ",label=y,test=%s", put("test.csv", "y;more;c;n\np;1;w;7\nq;2;v;8\n"));
    skv_test_ok(ctx, open_with(ctx, "csv", path, rest, SKIVE_SPLIT_TEST, NULL, &ds));
    expect(ctx, ds, test_file, 6);
    assert_true(noted(ctx, "column 'c': 1 cell has a category that the training rows do not have"));
    assert_true(noted(ctx, "test.csv: column not used: more"));
    skive_dataset_get_info(ds, &info);
    assert_true(info.separate_test);
    skive_dataset_free(ds);
    (void)put("test.csv", "y,c,n\np,u,7\nr,v,8\n");
    skv_test_fails(ctx, open_with(ctx, "csv", path, rest, SKIVE_SPLIT_TEST, NULL, &ds), SKIVE_ERR_DATA,
                   "test.csv: row 2 (line 3), column 'y': there is no class 'r'; the classes are p, q");
    (void)put("test.csv", "c,n\nu,7\n");
    skv_test_fails(ctx, open_with(ctx, "csv", path, rest, SKIVE_SPLIT_TEST, NULL, &ds), SKIVE_ERR_DATA,
                   "test.csv: has no column 'y' (the label)");
    (void)put("test.csv", "y,c,n\np,u,7\n,v,8\n");
    skv_test_fails(ctx, open_with(ctx, "csv", path, rest, SKIVE_SPLIT_TEST, NULL, &ds), SKIVE_ERR_DATA,
                   "test.csv: row 2 (line 3), column 'y': the label is missing");
    (void)put("test.csv", "y,c,n\np,u,7\nq,v,eight\n");
    skv_test_fails(ctx, open_with(ctx, "csv", path, rest, SKIVE_SPLIT_TEST, NULL, &ds), SKIVE_ERR_DATA,
                   "test.csv: row 2 (line 3), column 'n': 'eight' is not a number");

    path = put("split.csv", "n,c,y,part\n1,u,p,train\n9,w,q,test\n2,v,q,Train\n3,u,p,training\n5,u,p,val\n");
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y,split=part", SKIVE_SPLIT_TRAIN, NULL, &ds));
    expect(ctx, ds, trained, 9);
    skive_dataset_free(ds);
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y,split=part", SKIVE_SPLIT_TEST, NULL, &ds));
    expect(ctx, ds, tested, 3);
    skive_dataset_free(ds);
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y,split=part", SKIVE_SPLIT_VALIDATION, NULL, &ds));
    skive_dataset_get_info(ds, &info);
    assert_int_equal(info.count, 1);
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

/* Means are those of the rows that are trained on: the validation samples have no part in them. */
static void held_out(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_dataset *train = NULL, *validation = NULL;
    skive_dataset_info info;
    char text[2000] = "a,b,y\n";
    for (int i = 0; i < 48; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%s,%d\n", i * i, i == 7 ? "" : "1", i % 2);
    const char *path = put("held.csv", text);
    double sum = 0;
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y,gaps=mean", SKIVE_SPLIT_TRAIN, NULL, &train));
    skive_dataset_get_info(train, &info);
    assert_int_equal(info.count, 44);
    for (size_t i = 0; i < info.count; i++) {
        float x[2];
        skv_test_ok(ctx, skive_dataset_read(ctx, train, i, x, NULL));
        sum += (double)x[0];
    }
    const char *line = strstr(info.preprocessing, "number\ta\t");
    assert_non_null(line);
    assert_true(fabs(atof(line + 9) - sum / 44) < 1e-9);
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y,gaps=mean", SKIVE_SPLIT_VALIDATION, NULL, &validation));
    skive_dataset_info other;
    skive_dataset_get_info(validation, &other);
    assert_string_equal(info.preprocessing, other.preprocessing);
    skive_dataset_free(train);
    skive_dataset_free(validation);
    skv_test_context_end(ctx);
}

/* A model keeps the recipe: other files are read by it, and what does not agree is refused. */
static void recipes(void **state) {
    (void)state;
    static const float values[] = {7, 0, 1, 8, 0, 0};
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = NULL, *other = NULL;
    skive_graph *g = NULL;
    skive_dataset_info info;
    skive_zoo_options z = skive_zoo_options_default();
    skive_train_options t = skive_train_options_default();
    skive_dataset_options o = skive_dataset_options_default();
    char text[2000] = "n,c,y\n";
    for (int i = 0; i < 24; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%s,%s\n", i, i % 2 ? "a\\tb" : "u\tv",
                       i % 2 ? "even one" : "odd");
    const char *path = put("fit.csv", text);
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y", SKIVE_SPLIT_TRAIN, NULL, &ds));
    skive_dataset_get_info(ds, &info);
    z.rank = 1;
    z.dims[0] = (int64_t)info.sample_size;
    z.classes = info.classes;
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:4", &z, &g));
    t.epochs = 1;
    skv_test_ok(ctx, skive_train(ctx, g, ds, NULL, &t, NULL, 0, NULL));
    assert_string_equal(skive_graph_meta(g, "skive.input.table"), info.preprocessing);
    o.model = g;
    skv_test_ok(ctx, open_with(ctx, "csv", put("later.csv", "c,n,y\nu\tv,7,odd\nw,8,even one\n"), "", SKIVE_SPLIT_TEST,
                               &o, &other));
    expect(ctx, other, values, 6);
    int64_t label;
    skv_test_ok(ctx, skive_dataset_read(ctx, other, 0, NULL, &label));
    assert_int_equal(label, 1);
    skive_dataset_free(other);
    skv_test_fails(ctx, open_with(ctx, "csv", path, ",columns=n", SKIVE_SPLIT_TEST, &o, &other), SKIVE_ERR_ARGUMENT,
                   "the model was made with all columns and no such option, not with columns=n");
    skv_test_fails(ctx, open_with(ctx, "csv", put("later.csv", "n,y\n7,odd\n"), "", SKIVE_SPLIT_TEST, &o, &other),
                   SKIVE_ERR_DATA, "has no column 'c' (which the model reads)");
    /* Samples made in another way do not get into the model. */
    skive_dataset_free(ds);
    skv_test_ok(ctx, open_with(ctx, "csv", put("other.csv", "n,c,y\n7,k,odd\n7,l,odd\n7,l,even one\n"), ",label=y",
                               SKIVE_SPLIT_TRAIN_FULL, NULL, &ds));
    skv_test_fails(ctx, skive_train(ctx, g, ds, NULL, &t, NULL, 0, NULL), SKIVE_ERR_DATA,
                   "the model takes other samples than the data set makes");
    static const char *const damaged[] = {"",
                                          "kind\ttable\n",
                                          "kind\ttable\nchoice\t\nnumber\ta\n",
                                          "kind\ttable\nchoice\t\nnumber\ta\tx\n",
                                          "kind\ttable\nchoice\t\nonehot\ta\n",
                                          "kind\ttable\nchoice\t\nonehot\ta\tb\tb\n",
                                          "kind\ttable\nwhat\n",
                                          "kind\ttable\nchoice\t\nnumber\ta\t1\nlabel\ty\n"};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.table", damaged[i]));
        skv_test_fails(ctx, open_with(ctx, "csv", path, "", SKIVE_SPLIT_TEST, &o, &other), SKIVE_ERR_FORMAT, "damaged");
    }
    skive_dataset_free(ds);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static skive_status walk(skive_context *ctx, void *user) {
    skive_dataset *ds = NULL;
    float x[16];
    const skive_status opened =
        open_with(ctx, "csv", user, ",label=kind,gaps=drop,memory=0", SKIVE_SPLIT_TRAIN, NULL, &ds);
    if (opened != SKIVE_OK) return opened;
    const skive_status status = skive_dataset_read(ctx, ds, 0, x, NULL);
    skive_dataset_free(ds);
    return status;
}

static void without_memory(void **state) {
    (void)state;
    char path[SKV_TEST_PATH];
    (void)snprintf(path, sizeof path, "%s", put("flowers.csv", flowers));
    assert_true(skv_test_walk_allocations(walk, path, 1) > 20);
}

/* Options of the specification that take two kinds of cases: in pieces, whole tables and the loader agree. */
static void in_pieces(void **state) {
    (void)state;
    enum { N = 500 };
    skive_context *ctx = skv_test_context();
    static char text[N * 40];
    size_t n = (size_t)sprintf(text, "a,c,b,y\n");
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "%.3f,%c,%d,%d\n", i * 0.37 - 9, "xyz"[i * 7 % 3], i * 31 % 17, i % 4);
    const char *path = put_n("pieces.csv", text, n);
    skive_loader *loaders[2];
    skive_dataset *sets[2];
    for (int k = 0; k < 2; k++) {
        skive_loader_options o = skive_loader_options_default();
        o.batch = 32;
        o.threads = k ? 3 : 0;
        skv_test_ok(
            ctx, open_with(ctx, "csv", path, k ? ",label=y,memory=0" : ",label=y", SKIVE_SPLIT_TRAIN, NULL, &sets[k]));
        skv_test_ok(ctx, skive_loader_create(ctx, sets[k], &o, &loaders[k]));
        skv_test_ok(ctx, skive_loader_start_epoch(loaders[k], 2));
    }
    for (;;) {
        skive_batch a, b;
        skv_test_ok(ctx, skive_loader_next(loaders[0], &a));
        skv_test_ok(ctx, skive_loader_next(loaders[1], &b));
        assert_int_equal(a.count, b.count);
        if (a.end) break;
        assert_memory_equal(a.x.data, b.x.data, a.count * 5 * sizeof(float));
        assert_memory_equal(a.y.data, b.y.data, a.count * sizeof(int64_t));
    }
    for (int k = 0; k < 2; k++) {
        skive_loader_free(loaders[k]);
        skive_dataset_free(sets[k]);
    }
    skv_test_context_end(ctx);
}

/* Timestamps and large numbers of things, of which float32 leaves little: features and values to be fitted. */
static void rounded_columns(void **state) {
    (void)state;
    static const char text[] =
        "t,id,near,y\n1700000000,16777217,1.5,1700000000.25\n1700000009,16777218,1.25,1700000001.5\n"
        "1700000031,16777266,1.75,1700000007\n";
    skive_context *ctx = skv_test_context();
    skive_dataset *ds = NULL;
    const char *path = put("stamps.csv", text);
    const skive_split splits[] = {SKIVE_SPLIT_TRAIN_FULL, SKIVE_SPLIT_TEST};
    for (size_t k = 0; k < SKV_LENGTH(splits); k++) {
        skv_test_ok(ctx, open_with(ctx, "csv", path, ",label=y", splits[k], NULL, &ds));
        assert_true(noted(ctx, "column 't': its numbers, from 1700000000 to 1700000031, do not differ in float32"));
        assert_true(noted(ctx, "or leave the column out with without=t"));
        assert_true(noted(ctx, "column 'id': its numbers, from 16777217 to 16777266, change by up to 4.4 %"));
        assert_true(noted(ctx, "column 'y': its numbers, from 1700000000.25 to 1700000007, do not differ"));
        assert_false(noted(ctx, "column 'near'"));
        skive_dataset_free(ds);
    }
    skv_test_ok(ctx, open_with(ctx, "csv", path, ",columns=near", SKIVE_SPLIT_TEST, NULL, &ds));
    assert_false(noted(ctx, "in float32"));
    skive_dataset_free(ds);
    path = put("same.csv", "t,u\n1700000001,1\n1700000001,2\n");
    skv_test_ok(ctx, open_with(ctx, "csv", path, "", SKIVE_SPLIT_TEST, NULL, &ds));
    assert_false(noted(ctx, "in float32"));
    skive_dataset_free(ds);

    path = at("stamps.npy");
    skive_tensor x = {.dtype = SKIVE_I64, .rank = 2, .dims = {2, 2}, .data = (int64_t[]){1, 1700000000, 2, 1700000031}};
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &x));
    skv_test_ok(ctx, open_with(ctx, "npy", path, "", SKIVE_SPLIT_TEST, NULL, &ds));
    assert_true(noted(ctx, "column '1': its numbers, from 1700000000 to 1700000031, do not differ in float32"));
    skive_dataset_free(ds);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),           cmocka_unit_test(numbers),   cmocka_unit_test(rows_in_pieces),
        cmocka_unit_test(columns),        cmocka_unit_test(labels),    cmocka_unit_test(gaps),
        cmocka_unit_test(forms),          cmocka_unit_test(refusals),  cmocka_unit_test(huge_line),
        cmocka_unit_test(parts),          cmocka_unit_test(held_out),  cmocka_unit_test(recipes),
        cmocka_unit_test(without_memory), cmocka_unit_test(in_pieces), cmocka_unit_test(rounded_columns),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
