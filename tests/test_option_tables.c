/* Tables of options: the text form, ranges, budgets, messages, and fields of structs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/option.h"
#include "support.h"

static const char *part_at(size_t i) {
    static const char *const names[] = {"mean", "max", "first"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option options[] = {
    {.name = "batches", .type = SKV_OPTION_INTEGER, .least = 1, .most = 64, .fallback = 16, .brief = "b"},
    {.name = "part", .type = SKV_OPTION_CHOICE, .choices = part_at, .text = "mean", .brief = "p"},
    {.name = "rate", .type = SKV_OPTION_REAL, .least = 0, .most = 1, .above = true, .below = true, .fallback = 0.5},
    {.name = "absolute", .type = SKV_OPTION_SWITCH, .fallback = 1},
    {.name = "file", .type = SKV_OPTION_TEXT},
    {.name = "names", .type = SKV_OPTION_LIST, .text = "a,b"},
    {.name = "bytes", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = "B"},
    {.name = "time", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = "s"},
    {.name = "macs", .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .text = "0.5"},
};
static const skv_option pixels[] = {{.name = "pixels", .type = SKV_OPTION_INTEGER, .most = 1024, .required = true}};
static const skv_option widths[] = {
    {.name = "widths", .type = SKV_OPTION_LIST, .text = "300,100"},
    {.name = "bias", .type = SKV_OPTION_SWITCH, .fallback = 1},
};

typedef struct record {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
} record;
static const record taylor = {"taylor", "t", SKV_OPTIONS(options)};
static const record crop = {"crop", "c", SKV_OPTIONS(pixels)};
static const record mlp = {"mlp", "m", SKV_OPTIONS(widths)};
static const record plain = {"plain", "p", NULL, 0};
static const record *const records[] = {&taylor, &crop, &mlp, &plain};
extern const skv_family skv_thing_family;
SKV_FAMILY(thing, records, "thing")

static skv_option_values parsed(skive_context *ctx, const char *text) {
    skv_option_values v;
    size_t index;
    skv_test_ok(ctx, skv_family_pick(ctx, &skv_thing_family, "things", text, &index, &v));
    assert_memory_equal(records[index]->name, text, strlen(records[index]->name));
    return v;
}

static void refused(skive_context *ctx, const char *text, const char *part) {
    skive_context_clear(ctx);
    skv_test_fails(ctx, skv_family_pick(ctx, &skv_thing_family, "things", text, NULL, NULL), SKIVE_ERR_ARGUMENT, part);
}

static void values_of_a_text(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    skv_option_values v = parsed(ctx, "taylor");
    assert_int_equal(skv_option_integer(&v, "batches"), 16);
    assert_string_equal(skv_option_text(&v, "part"), "mean");
    assert_string_equal(skv_option_text(&v, "names"), "a,b");
    assert_null(skv_option_text(&v, "file"));
    assert_true(skv_option_on(&v, "absolute") && !skv_option_given(&v, "absolute"));
    assert_true(skv_option_budget(&v, "macs", 1000) == 500 && skv_option_budget(&v, "bytes", 1000) == 1000);
    v = parsed(ctx, "taylor:32,part=max,rate=1e-3,absolute=no,file=a\\,b\\\\c=d,names=x,y,z,bytes=200k");
    assert_int_equal(skv_option_integer(&v, "batches"), 32);
    assert_string_equal(skv_option_text(&v, "part"), "max");
    assert_true(skv_option_real(&v, "rate") == 1e-3);
    assert_true(!skv_option_on(&v, "absolute") && skv_option_given(&v, "absolute"));
    assert_string_equal(skv_option_text(&v, "file"), "a,b\\c=d");
    assert_string_equal(skv_option_text(&v, "names"), "x,y,z");
    assert_true(skv_option_budget(&v, "bytes", 1e9) == 200e3);
    v = parsed(ctx, "crop:4");
    assert_int_equal(skv_option_integer(&v, "pixels"), 4);
    v = parsed(ctx, "mlp:64,32,16,bias=off");
    assert_string_equal(skv_option_text(&v, "widths"), "64,32,16");
    assert_false(skv_option_on(&v, "bias"));
    v = parsed(ctx, "mlp:bias=no,widths=5");
    assert_string_equal(skv_option_text(&v, "widths"), "5");
    v = parsed(ctx, "plain");
    assert_int_equal(v.n, 0);
    skv_test_context_end(ctx);
}

static void budgets(void **state) {
    static const struct {
        const char *text, *name;
        double original, remains;
    } cases[] = {
        {"taylor:macs=1", "macs", 80, 80},         {"taylor:macs=0.25", "macs", 80, 20},
        {"taylor:macs=25%", "macs", 80, 20},       {"taylor:macs=1.5M", "macs", 80, 1.5e6},
        {"taylor:bytes=60kB", "bytes", 80, 60e3},  {"taylor:bytes=1KiB", "bytes", 80, 1024},
        {"taylor:bytes=12B", "bytes", 80, 12},     {"taylor:time=1.5ms", "time", 80, 1.5e-3},
        {"taylor:time=250us", "time", 80, 250e-6}, {"taylor:time=0.5", "time", 80, 40},
        {"taylor:macs=2", "macs", 80, 2},          {"taylor:bytes=21508", "bytes", 80, 21508},
    };
    static const char *const wrong[] = {"taylor:macs=2.5", "taylor:time=2",   "taylor:macs=0",    "taylor:macs=101%",
                                        "taylor:macs=1ms", "taylor:macs=1B",  "taylor:time=5k",   "taylor:macs=-1k",
                                        "taylor:macs=k",   "taylor:macs=nan", "taylor:bytes=1 k", "taylor:bytes=5e",
                                        "taylor:bytes="};
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t i = 0; i < SKV_LENGTH(cases); i++) {
        const skv_option_values v = parsed(ctx, cases[i].text);
        assert_true(
            skv_test_close(skv_option_budget(&v, cases[i].name, cases[i].original), cases[i].remains, 1e-12, 0));
    }
    for (size_t i = 0; i < SKV_LENGTH(wrong); i++)
        refused(ctx, wrong[i], "it must be a fraction of the original above 0");
    skv_test_context_end(ctx);
}

static void mistakes(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    refused(ctx, "taylr", "no thing 'taylr'; did you mean 'taylor'? There are: taylor, crop, mlp, plain");
    refused(ctx, NULL, "no thing ''; there are: taylor, crop, mlp, plain");
    refused(ctx, "taylor:bathces=3",
            "thing 'taylor' has no option 'bathces'; did you mean 'batches'? There are: "
            "batches, part, rate, absolute, file");
    refused(ctx, "taylor:3,4", "thing 'taylor' has no option '4'; there are: batches");
    refused(ctx, "plain:3", "thing 'plain' takes no options, and '3' is given");
    refused(ctx, "taylor:batches=65", "batches is 65; it must be between 1 and 64 (default 16)");
    refused(ctx, "taylor:batches=2.5", "batches is 2.5; it must be a whole number");
    refused(ctx, "taylor:batches=99999999999999999999", "it must be between 1 and 64");
    refused(ctx, "taylor:rate=1", "rate is 1; it must be above 0 and below 1 (default 0.5)");
    refused(ctx, "taylor:rate=high", "it must be a number above 0");
    refused(ctx, "taylor:part=median",
            "thing 'taylor': no part 'median'; did you mean 'mean'? There are: mean, max, first");
    refused(ctx, "taylor:absolute=maybe", "absolute is maybe; it must be yes or no (default yes)");
    refused(ctx, "taylor:batches=3,batches=3", "batches is given twice");
    refused(ctx, "taylor:3,", "nothing stands after the last comma");
    refused(ctx, "crop", "thing 'crop': pixels is not given; it must be a whole number between 0 and 1024");
    char text[900] = "taylor:file=";
    memset(text + strlen(text), 'x', 800);
    text[850] = '\0';
    refused(ctx, text, "too long");
    skv_test_context_end(ctx);
}

static void format_of(skive_context *ctx, const char *text, bool all, char *out, size_t size) {
    const skv_option_values v = parsed(ctx, text);
    skv_text t;
    skv_text_init(&t, ctx);
    skv_options_format(&v, all, &t);
    skv_test_ok(ctx, t.status);
    (void)snprintf(out, size, "%s", t.data ? t.data : "");
    skv_text_free(&t);
}

static void round_trip(void **state) {
    static const char *const texts[] = {
        "batches=3",     "part=max,rate=0.1", "absolute=no",  "file=a\\,b\\\\c,names=x,y\\=1,z",
        "bytes=200000B", "macs=1500000",      "time=0.0015s", "macs=0.3"};
    skive_context *ctx = skv_test_context();
    char first[1000], second[1000], text[1100];
    (void)state;
    for (size_t i = 0; i < SKV_LENGTH(texts); i++) {
        (void)snprintf(text, sizeof text, "taylor:%s", texts[i]);
        format_of(ctx, text, false, first, sizeof first);
        assert_string_equal(first, texts[i]);
        format_of(ctx, text, true, first, sizeof first);
        (void)snprintf(text, sizeof text, "taylor:%s", first);
        format_of(ctx, text, true, second, sizeof second);
        assert_string_equal(first, second);
    }
    format_of(ctx, "taylor:16,part=mean", false, first, sizeof first); /* as the defaults */
    assert_string_equal(first, "");
    skv_test_context_end(ctx);
}

typedef struct target {
    size_t size;
    int small;
    int64_t wide;
    double real;
    bool on, off;
    const char *text;
} target;

static const skv_option fields[] = {
    {.name = "small", .type = SKV_OPTION_INTEGER, .most = 9, .fallback = 1, SKV_FIELD(INT, target, small)},
    {.name = "wide", .type = SKV_OPTION_INTEGER, .most = 1e18, SKV_FIELD(INT64, target, wide)},
    {.name = "real", .type = SKV_OPTION_REAL, .least = -1, .most = INFINITY, SKV_FIELD(DOUBLE, target, real)},
    {.name = "on", .type = SKV_OPTION_SWITCH, SKV_FIELD(BOOL, target, on)},
    {.name = "no-off", .type = SKV_OPTION_SWITCH, .fallback = 1, SKV_FIELD(NOT, target, off)},
    {.name = "text", .type = SKV_OPTION_CHOICE, .choices = part_at, SKV_FIELD(TEXT, target, text)},
};

static void fields_of_a_struct(void **state) {
    skive_context *ctx = skv_test_context();
    const size_t n = SKV_LENGTH(fields);
    skv_option_values v;
    target t = {.size = sizeof t, .small = 2, .real = 3, .text = "max"};
    const skv_table table = {"x", fields, n, NULL};
    (void)state;
    skv_test_ok(ctx, skv_options_parse(ctx, "x", fields, n, "wide=9007199254740993,on,no-off=no,text=first", &v));
    skv_options_store(&v, &t);
    assert_int_equal(t.small, 2); /* not given: as it was */
    assert_int_equal(t.wide, 9007199254740993);
    assert_true(t.real == 3 && t.on && t.off);
    assert_string_equal(t.text, "first");
    skv_test_ok(ctx, skv_table_resolve(ctx, &table, &t));
    t.small = 10;
    skv_test_fails(ctx, skv_table_resolve(ctx, &table, &t), SKIVE_ERR_ARGUMENT,
                   "small is 10; it must be between 0 and 9 (default 1)");
    t.small = 9;
    t.real = (double)NAN;
    skv_test_fails(ctx, skv_table_resolve(ctx, &table, &t), SKIVE_ERR_ARGUMENT, "real is ");
    t.real = -1.5;
    skv_test_fails(ctx, skv_table_resolve(ctx, &table, &t), SKIVE_ERR_ARGUMENT,
                   "real is -1.5; it must be at least -1 (default 0)");
    t.real = 1e300;
    t.text = "mean?";
    skv_test_fails(ctx, skv_table_resolve(ctx, &table, &t), SKIVE_ERR_ARGUMENT, "no text 'mean?'");
    skv_test_context_end(ctx);
}

static skive_status fail_all(skive_context *ctx, void *user) {
    const char *text = user;
    const skive_status status = skv_family_pick(ctx, &skv_thing_family, "things", text, NULL, NULL);
    return status == SKIVE_ERR_ARGUMENT ? SKIVE_OK : status;
}

static void without_memory(void **state) {
    static char unknown[] = "taylor:bathces=3", range[] = "taylor:batches=99", member[] = "x";
    (void)state;
    assert_true(skv_test_walk_allocations(fail_all, unknown, 1) > 1);
    assert_true(skv_test_walk_allocations(fail_all, range, 1) > 1);
    assert_true(skv_test_walk_allocations(fail_all, member, 1) > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_a_text),   cmocka_unit_test(budgets),
        cmocka_unit_test(mistakes),           cmocka_unit_test(round_trip),
        cmocka_unit_test(fields_of_a_struct), cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
