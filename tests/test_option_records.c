/* The options of every record of every family: the tables are sound, the text form comes back, nonsense is refused; and
 * the options that are fields of a public struct. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <skive/distill.h>

#include "base/option_parts.h"
#include "data/audio/sound.h"
#include "data/tokenizer.h"
#include "data/transform.h"
#include "distill/distill.h"
#include "prune/prune.h"
#include "quant/quant.h"
#include "quant/rounding.h"
#include "quant/sensitivity.h"
#include <skive/bits.h>
#include "share/share.h"
#include "support.h"
#include "train/combine.h"
#include "train/regularizer.h"
#include "train/train.h"
#include "zoo/zoo.h"

static const skv_family *const families[] = {&skv_criterion_family, &skv_prune_schedule_family, &skv_optimizer_family,
                                             &skv_loss_family,      &skv_rule_family,           &skv_schedule_family,
                                             &skv_observer_family,  &skv_rounding_family,       &skv_share_init_family,
                                             &skv_transform_family, &skv_feature_family,        &skv_zoo_family,
                                             &skv_tokenizer_family, &skv_dataset_family,        &skv_regularizer_family,
                                             &skv_teaching_family,  &skv_combine_family};

/* A value that the option takes and that is not its default. */
static void another_value(const skv_option *o, char *out, size_t size) {
    double x = o->least;
    const char *text = NULL;
    switch (o->type) {
    case SKV_OPTION_SWITCH: text = o->fallback != 0 ? "no" : "yes"; break;
    case SKV_OPTION_CHOICE:
        text = o->choices(o->choices(1) && o->text && strcmp(o->choices(0), o->text) == 0 ? 1 : 0);
        break;
    case SKV_OPTION_RECORD: text = o->family->name_at(o->family->name_at(1) && o->text ? 1 : 0); break;
    case SKV_OPTION_LIST:
        if (o->choices) {
            (void)snprintf(out, size, "%s,%s", o->choices(1), o->choices(0));
            return;
        }
        text = "7,8";
        break;
    case SKV_OPTION_TEXT: text = "7,8"; break;
    case SKV_OPTION_BUDGET: text = "0.25"; break;
    case SKV_OPTION_INTEGER:
    case SKV_OPTION_REAL:
        if (!isfinite(x)) x = o->fallback - 1;
        while (!skv_option_in_range(o, x) || x == o->fallback) x += o->type == SKV_OPTION_INTEGER ? 1 : 1e-3;
        (void)snprintf(out, size, "%.6g", x);
        return;
    }
    (void)snprintf(out, size, "%s", text);
}

static void check_row(skive_context *ctx, const skv_option *o) {
    skv_text t;
    assert_true(o->name && *o->name && strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(o->name));
    assert_true(o->brief && *o->brief);
    if (o->type == SKV_OPTION_INTEGER || o->type == SKV_OPTION_REAL) {
        assert_true(o->least < o->most);
        assert_true(o->required || skv_option_in_range(o, o->fallback) || o->fallback < o->least);
    }
    if (o->type == SKV_OPTION_CHOICE) assert_true(o->choices && (!o->text || skv_option_is_choice(o, o->text)));
    if (o->type == SKV_OPTION_RECORD)
        assert_true(o->family &&
                    (!o->text || skv_option_is_choice(o, o->text) || skv_family_find(o->family, o->text) != SIZE_MAX));
    skv_text_init(&t, ctx);
    skv_option_describe(o, true, &t);
    skv_test_ok(ctx, t.status);
    assert_true(t.length > 0);
    skv_text_free(&t);
}

static void format_all(skive_context *ctx, const skv_option_values *v, char *out, size_t size) {
    skv_text t;
    skv_text_init(&t, ctx);
    skv_options_format(v, true, &t);
    skv_test_ok(ctx, t.status);
    (void)snprintf(out, size, "%s", t.data ? t.data : "");
    skv_text_free(&t);
}

/* Required options, and `name` if it is not NULL, with values of their own. */
static void text_of(const char *record, const skv_option *options, size_t n, const char *name, char *out, size_t size) {
    size_t at = (size_t)snprintf(out, size, "%s", record);
    const size_t start = at;
    for (size_t i = 0; i < n; i++) {
        char value[64];
        if (!options[i].required && !(name && strcmp(options[i].name, name) == 0)) continue;
        another_value(&options[i], value, sizeof value);
        at += (size_t)snprintf(out + at, size - at, "%s%s=%s", at == start ? ":" : ",", options[i].name,
                               options[i].type == SKV_OPTION_TEXT ? "7" : value);
    }
}

static void check_record(skive_context *ctx, const skv_family *f, size_t index) {
    char text[256], first[1000], second[1000], again[1300];
    size_t n, found;
    const char *name = f->name_at(index);
    const skv_option *options = f->options_at(index, &n);
    skv_option_values v;
    assert_true(f->brief_at(index) && *f->brief_at(index) && n <= SKV_MOST_OPTIONS);
    for (size_t i = 0; i < n; i++) check_row(ctx, &options[i]);
    for (size_t i = 0; i <= n; i++) { /* the defaults, then each option by itself */
        text_of(name, options, n, i < n ? options[i].name : NULL, text, sizeof text);
        skv_test_ok(ctx, skv_family_pick(ctx, f, "x", text, &found, &v));
        assert_int_equal(found, index);
        format_all(ctx, &v, first, sizeof first);
        (void)snprintf(again, sizeof again, "%s%s%s", name, first[0] ? ":" : "", first);
        skv_test_ok(ctx, skv_family_pick(ctx, f, "x", again, &found, &v));
        format_all(ctx, &v, second, sizeof second);
        assert_string_equal(first, second);
        if (i < n) assert_non_null(strstr(first, options[i].name));
    }
    (void)snprintf(text, sizeof text, "%s:no-such-option=1", name);
    skv_test_fails(ctx, skv_family_pick(ctx, f, "x", text, &found, &v), SKIVE_ERR_ARGUMENT, name);
    for (size_t i = 0; i < n; i++) {
        if (options[i].type != SKV_OPTION_INTEGER && options[i].type != SKV_OPTION_REAL) continue;
        if (isfinite(options[i].most)) {
            (void)snprintf(text, sizeof text, "%s:%s=%.17g", name, options[i].name, 2 * options[i].most + 1);
            skv_test_fails(ctx, skv_family_pick(ctx, f, "x", text, &found, &v), SKIVE_ERR_ARGUMENT, options[i].name);
        }
        (void)snprintf(text, sizeof text, "%s:%s=nan", name, options[i].name);
        skv_test_fails(ctx, skv_family_pick(ctx, f, "x", text, &found, &v), SKIVE_ERR_ARGUMENT, options[i].name);
    }
}

static void every_record(void **state) {
    skive_context *ctx = skv_test_context();
    size_t records = 0;
    (void)state;
    for (size_t k = 0; k < SKV_LENGTH(families); k++) {
        const skv_family *f = families[k];
        for (size_t i = 0; f->name_at(i); i++, records++) check_record(ctx, f, i);
        skv_test_fails(ctx, skv_family_pick(ctx, f, "x", "nope", NULL, NULL), SKIVE_ERR_ARGUMENT, f->name_at(0));
    }
    assert_true(records > 25);
    skv_test_context_end(ctx);
}

/* ---- structs ---- */

typedef union any {
    skive_train_options train;
    skive_prune_options prune;
    skive_share_options share;
    skive_distill_options distill;
    skive_quantize_options quantize;
    skive_sensitivity_options sensitivity;
    skive_bits_options bits;
} any;

static const skv_table *const tables[] = {&skv_train_table,   &skv_prune_table,    &skv_share_table,
                                          &skv_distill_table, &skv_quantize_table, &skv_sensitivity_table,
                                          &skv_bits_table};

static any defaults_of(size_t k) {
    any a = {.train = skive_train_options_default()};
    if (k == 1) a.prune = skive_prune_options_default();
    if (k == 2) a.share = skive_share_options_default();
    if (k == 3) a.distill = skive_distill_options_default();
    if (k == 4) a.quantize = skive_quantize_options_default();
    if (k == 6) a.bits = skive_bits_options_default();
    if (k == 5) a.sensitivity = skive_sensitivity_options_default();
    return a;
}

/* The default of each row is that of the struct; a value set through the row is read back; out of range is refused. */
static void every_struct(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (size_t k = 0; k < SKV_LENGTH(tables); k++) {
        const skv_option *o;
        for (size_t i = 0; (o = skv_table_at(tables[k], i)); i++) {
            any a = defaults_of(k);
            char value[64];
            skv_option_values v;
            check_row(ctx, o);
            assert_ptr_equal(skv_table_find(tables[k], skv_option_known_as(o)), o);
            skv_test_ok(ctx, skv_table_resolve(ctx, tables[k], &a));
            assert_true((int)o->field != SKV_FIELD_NONE);
            if ((int)o->field == SKV_FIELD_TEXT) {
                const char *text = skv_option_field_text(o, &a);
                assert_true(text == o->text || (text && o->text && strcmp(text, o->text) == 0));
            } else {
                assert_true(skv_option_field_number(o, &a) == o->fallback);
            }
            another_value(o, value, sizeof value);
            skv_options_default(o, 1, &v);
            skv_test_ok(ctx, skv_option_set(ctx, NULL, &v, 0, value));
            skv_options_store(&v, &a);
            if ((int)o->field == SKV_FIELD_TEXT)
                assert_string_equal(skv_option_field_text(o, &a), value);
            else
                assert_true(skv_option_field_number(o, &a) == v.values[0].number);
            skv_test_ok(ctx, skv_table_resolve(ctx, tables[k], &a));
            if ((o->type != SKV_OPTION_INTEGER && o->type != SKV_OPTION_REAL) || !isfinite(o->most) || o->most > 1e17)
                continue;
            v.values[0].number = o->most + 1;
            v.values[0].integer = (int64_t)o->most + 1;
            skv_options_store(&v, &a);
            skv_test_fails(ctx, skv_table_resolve(ctx, tables[k], &a), SKIVE_ERR_ARGUMENT, "it must be ");
            assert_string_equal(skive_context_subject(ctx), skv_option_known_as(o));
        }
        assert_null(skv_table_find(tables[k], "nothing"));
    }
    skv_test_context_end(ctx);
}

/* Options behind a name reach the struct's fields and win over them. */
static void options_of_records_are_fields(void **state) {
    skive_context *ctx = skv_test_context();
    skive_train_options o = skive_train_options_default(), own = o;
    skive_quantize_options q = skive_quantize_options_default();
    skv_pruning p = {.ctx = ctx};
    skive_prune_options po = skive_prune_options_default(), taken;
    skive_train_options tune;
    (void)state;
    o.optimizer = "sgd:momentum=0.5,nesterov=no";
    o.schedule = "step:every=3,factor=0.25";
    o.momentum = 0.7;
    skv_test_ok(ctx, skv_train_options_take(ctx, &o, &own));
    assert_true(own.momentum == 0.5 && !own.nesterov && own.step_every == 3 && own.step_factor == 0.25);
    assert_string_equal(own.optimizer, "sgd");
    assert_string_equal(own.schedule, "step");
    o.schedule = "cosine:0.1";
    o.optimizer = "adam";
    skv_test_ok(ctx, skv_train_options_take(ctx, &o, &own));
    assert_true(own.final_rate == 0.1 && own.momentum == 0.7);
    o.optimizer = "adam:beta2=0.5"; /* not a field: stays in the text */
    skv_test_ok(ctx, skv_train_options_take(ctx, &o, &own));
    assert_string_equal(own.optimizer, "adam:beta2=0.5");
    o.optimizer = "adam:momentum=0.5";
    skv_test_fails(ctx, skv_train_options_take(ctx, &o, &own), SKIVE_ERR_ARGUMENT,
                   "optimizer 'adam' has no option 'momentum'; there are: beta1, beta2, epsilon");
    o.optimizer = "adam";
    o.schedule = "constant:factor=0.5";
    skv_test_fails(ctx, skv_train_options_take(ctx, &o, &own), SKIVE_ERR_ARGUMENT,
                   "schedule of the learning rate 'constant' takes no options, and 'factor' is given");
    o.schedule = "constant";
    o.optimizer = "sdg";
    skv_test_fails(ctx, skv_train_options_take(ctx, &o, &own), SKIVE_ERR_ARGUMENT,
                   "no optimizer 'sdg'; did you mean 'sgd'? There are: sgd, adam, adamw, rmsprop, lamb, lion");
    q.calibration = "percentile:99";
    skv_test_ok(ctx, skv_table_resolve(ctx, &skv_quantize_table, &q));
    assert_true(q.percentile == 99);
    q.calibration = "auto:1";
    skv_test_fails(ctx, skv_table_resolve(ctx, &skv_quantize_table, &q), SKIVE_ERR_ARGUMENT,
                   "no calibration method 'auto:1'");
    po.schedule = "cubic:steps=7,last-step=0.5";
    skv_test_ok(ctx, skv_prune_take(&p, &po, &taken, &tune));
    assert_true(taken.steps == 7 && taken.last_step == 0.5);
    po.criterion = "nope";
    skv_test_fails(ctx, skv_prune_take(&p, &po, &taken, &tune), SKIVE_ERR_ARGUMENT,
                   "no criterion 'nope'; there are: magnitude, lamp");
    skv_test_context_end(ctx);
}

static void transforms_with_named_options(void **state) {
    skive_context *ctx = skv_test_context();
    skv_transform_list list;
    (void)state;
    skv_test_ok(ctx, skv_transforms_parse(ctx, "crop:pixels=4,flip,flip:probability=0.25,rotate:10", &list));
    assert_int_equal(list.count, 4);
    assert_int_equal(skv_option_integer(&list.items[0].options, "pixels"), 4);
    assert_true(skv_option_real(&list.items[1].options, "probability") == 0.5);
    assert_true(skv_option_real(&list.items[2].options, "probability") == 0.25);
    assert_true(skv_option_real(&list.items[3].options, "degrees") == 10);
    skv_test_fails(ctx, skv_transforms_parse(ctx, "crop,flip", &list), SKIVE_ERR_ARGUMENT,
                   "transform 'crop': pixels is not given; it must be a whole number between 0 and 1024");
    skv_test_fails(ctx, skv_transforms_parse(ctx, "crop:4,pixels=3", &list), SKIVE_ERR_ARGUMENT, "given twice");
    for (size_t i = 0; skive_transform_name(i); i++) { /* what help shows is what the table says */
        size_t n;
        skv_text t;
        skv_text_init(&t, ctx);
        const skv_option *options = skv_transform_family.options_at(i, &n);
        skv_text_add(&t, "%s", skive_transform_name(i));
        skv_options_syntax(options, n, &t);
        skv_test_ok(ctx, t.status);
        assert_string_equal(t.data, skive_transform_syntax(i));
        skv_text_free(&t);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record),
        cmocka_unit_test(every_struct),
        cmocka_unit_test(options_of_records_are_fields),
        cmocka_unit_test(transforms_with_named_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
