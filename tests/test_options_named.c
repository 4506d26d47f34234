/* Options by name: every option of every method is listed, set, read back and refused out of its range. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <skive/skive.h>

#include "options/options.h"
#include "support.h"

static void full_name(const skive_option_bounds *b, char *out, size_t size) {
    (void)snprintf(out, size, "%s.%s", b->section, b->name);
}

/* A value of the option that is not its default. */
static void another(const char *method, const skive_option_bounds *b, char *out, size_t size) {
    const char *choice = NULL;
    char name[100];
    double x = isfinite(b->least) ? b->least : 0;
    const double step = isfinite(b->most) && b->most < x + 0.125 ? (b->most - x) / 2 : 0.125;
    switch (b->type) {
    case SKIVE_OPTION_SWITCH: (void)snprintf(out, size, "%s", b->default_number != 0 ? "no" : "yes"); return;
    case SKIVE_OPTION_LIST:
    case SKIVE_OPTION_CHOICE:
    case SKIVE_OPTION_RECORD:
        full_name(b, name, sizeof name);
        for (size_t i = 0; (choice = skive_options_choice(method, name, i, NULL)); i++) {
            if (!b->default_text || strcmp(choice, b->default_text) != 0) break;
        }
        if (!choice) choice = skive_options_choice(method, name, 0, NULL); /* the only one */
        assert_non_null(choice);
        (void)snprintf(out, size, "%s", choice);
        return;
    case SKIVE_OPTION_INTEGER:
    case SKIVE_OPTION_REAL:
        while (x == b->default_number || (b->above && x == b->least)) x += b->type == SKIVE_OPTION_INTEGER ? 1 : step;
        (void)snprintf(out, size, "%g", x);
        return;
    case SKIVE_OPTION_TEXT:
    case SKIVE_OPTION_BUDGET: break;
    }
    (void)snprintf(out, size, "0.5");
}

static void check_one(skive_context *ctx, skive_options *o, const char *method, const skive_option_bounds *b) {
    char name[100], value[100], got[100], before[100], far[100];
    skive_option_bounds same = {.size = sizeof same};
    full_name(b, name, sizeof name);
    skv_test_ok(ctx, skive_options_bounds(ctx, method, name, &same));
    assert_ptr_equal(same.brief, b->brief);
    assert_true(same.type == b->type && strlen(b->brief) > 5);
    assert_false(skive_options_is_set(o, name));
    skv_test_ok(ctx, skive_options_get(o, name, before, sizeof before));
    if (b->default_text) assert_string_equal(before, b->default_text);
    another(method, b, value, sizeof value);
    skv_test_ok(ctx, skive_options_set(o, name, value));
    assert_true(skive_options_is_set(o, name));
    skv_test_ok(ctx, skive_options_get(o, name, got, sizeof got));
    assert_string_equal(got, value);
    skv_test_fails(ctx, skive_options_get(o, name, got, 1), SKIVE_ERR_ARGUMENT, "buffer");
    if (b->type == SKIVE_OPTION_INTEGER || b->type == SKIVE_OPTION_REAL) {
        if (isfinite(b->most) && b->most < 1e17) {
            (void)snprintf(far, sizeof far, "%.17g", b->most + 1);
            skv_test_fails(ctx, skive_options_set(o, name, far), SKIVE_ERR_ARGUMENT, "it must be ");
        }
        skv_test_fails(ctx, skive_options_set(o, name, "much"), SKIVE_ERR_ARGUMENT, "much; it must be a ");
    }
    if (b->type == SKIVE_OPTION_SWITCH)
        skv_test_fails(ctx, skive_options_set(o, name, "perhaps"), SKIVE_ERR_ARGUMENT, "yes or no");
    if (b->type == SKIVE_OPTION_CHOICE || b->type == SKIVE_OPTION_RECORD)
        skv_test_fails(ctx, skive_options_set(o, name, "nope"), SKIVE_ERR_ARGUMENT, value);
    skv_test_ok(ctx, skive_options_get(o, name, got, sizeof got)); /* what is refused changes nothing */
    assert_string_equal(got, value);
}

static void every_option(void **state) {
    skive_context *ctx = skv_test_context();
    const char *method;
    size_t all = 0;
    (void)state;
    for (size_t m = 0; (method = skive_options_method(m)); m++) {
        skive_options *o = NULL;
        skive_option_bounds b = {.size = sizeof b};
        bool found = true;
        skv_test_ok(ctx, skive_options_create(ctx, method, &o));
        for (size_t i = 0; found; i++) {
            skv_test_ok(ctx, skive_options_at(ctx, method, i, &b, &found));
            if (found) check_one(ctx, o, method, &b);
            all += found;
        }
        skive_options_free(o);
    }
    assert_true(all > 100);
    skv_test_context_end(ctx);
}

static void options_of_choices(void **state) {
    skive_context *ctx = skv_test_context();
    skive_option_bounds b = {.size = sizeof b};
    bool found = false;
    (void)state;
    skv_test_ok(ctx, skive_options_of_choice(ctx, "train", "train.optimizer", "sgd", 0, &b, &found));
    assert_true(found && b.default_number == 0.9 && !b.section);
    assert_string_equal(b.name, "momentum");
    skv_test_ok(ctx, skive_options_of_choice(ctx, "train", "optimizer", "sgd", 2, &b, &found));
    assert_false(found);
    skv_test_ok(ctx, skive_options_of_choice(ctx, "quantize", "calibration", "auto", 0, &b, &found));
    assert_false(found);
    skv_test_fails(ctx, skive_options_of_choice(ctx, "train", "optimizer", "sdg", 0, &b, &found), SKIVE_ERR_NOT_FOUND,
                   "'sdg' is not a value of optimizer");
    const char *brief = NULL;
    assert_string_equal(skive_options_choice("prune", "prune.criterion", 0, &brief), "magnitude");
    assert_non_null(brief);
    assert_null(skive_options_choice("prune", "prune.sparsity", 0, &brief));
    assert_null(skive_options_choice("grow", "x", 0, NULL));
    skv_test_context_end(ctx);
}

static void structs_and_mistakes(void **state) {
    skive_context *ctx = skv_test_context();
    skive_options *o = NULL;
    skive_option_bounds b = {.size = sizeof b};
    (void)state;
    skv_test_fails(ctx, skive_options_create(ctx, "prun", &o), SKIVE_ERR_NOT_FOUND, "did you mean 'prune'");
    assert_null(o);
    skv_test_ok(ctx, skive_options_create(ctx, "prune", &o));
    skv_test_ok(ctx, skive_options_set(o, "prune.criterion", "lamp"));
    skv_test_ok(ctx, skive_options_set(o, "schedule", "cubic:steps=3")); /* the method's own section first */
    skv_test_ok(ctx, skive_options_set(o, "train.schedule", "step:every=2"));
    skv_test_ok(ctx, skive_options_set(o, "clip-norm", "1.5"));
    const skive_prune_options *p = skive_options_prune(o);
    assert_string_equal(p->criterion, "lamp");
    assert_string_equal(p->schedule, "cubic:steps=3");
    assert_ptr_equal(p->finetune, skive_options_train(o));
    assert_string_equal(p->finetune->schedule, "step:every=2");
    assert_true(p->finetune->clip_norm == 1.5 && p->finetune->learning_rate == 0.01 && p->finetune->epochs == 0);
    assert_null(skive_options_share(o));
    assert_null(skive_options_quantize(o));
    skv_test_ok(ctx, skive_options_bounds(ctx, "prune", "lr", &b)); /* as the method has it */
    assert_true(b.default_number == 0.01);
    skv_test_fails(ctx, skive_options_set(o, "prune.criterium", "lamp"), SKIVE_ERR_NOT_FOUND,
                   "prune has no option 'prune.criterium'; did you mean 'prune.criterion'?");
    skv_test_fails(ctx, skive_options_set(o, "schedule", "cubic:steps=0"), SKIVE_ERR_ARGUMENT,
                   "pruning schedule 'cubic': steps is 0; it must be between 1 and 1000 (default 5)");
    skv_test_fails(ctx, skive_options_set(o, "train.lr", "-1"), SKIVE_ERR_ARGUMENT,
                   "lr is -1; it must be between 0 and 1000 (default 0.01)");
    assert_string_equal(p->schedule, "cubic:steps=3");
    b.size = 3;
    skv_test_fails(ctx, skive_options_bounds(ctx, "prune", "lr", &b), SKIVE_ERR_ARGUMENT, "'size' is 3");
    b = (skive_option_bounds){.size = offsetof(skive_option_bounds, type), .type = SKIVE_OPTION_BUDGET};
    skv_test_ok(ctx, skive_options_bounds(ctx, "prune", "lr", &b)); /* an older, shorter struct */
    assert_true(b.type == SKIVE_OPTION_BUDGET && strcmp(b.name, "lr") == 0);
    skive_options_free(o);
    skive_options_free(NULL);
    skv_test_context_end(ctx);
}

/* The options by name train as the struct does, to the bit. */
static void the_same_training(void **state) {
    const int64_t dims[] = {32, 4};
    char folder[SKV_TEST_PATH], path[SKV_TEST_PATH], x[SKV_TEST_PATH + 8], spec[2 * SKV_TEST_PATH + 8];
    skive_context *ctx = skv_test_context();
    skive_dataset *set = NULL;
    (void)state;
    skv_test_make_dir(folder);
    skive_tensor data = skv_test_random(ctx, SKIVE_F32, 2, dims, 1, -1, 1), labels;
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, dims, &labels));
    for (int64_t i = 0; i < 32; i++) skive_tensor_set(&labels, i, (double)(i % 2));
    (void)snprintf(x, sizeof x, "npy:%s", skv_test_path(path, folder, "x.npy"));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &data));
    (void)snprintf(spec, sizeof spec, "%s,%s", x, skv_test_path(path, folder, "y.npy"));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, path, &labels));
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, NULL, &set));
    double loss[3];
    for (int run = 0; run < 3; run++) {
        skive_zoo_options z = skive_zoo_options_default();
        skive_train_report r = {0};
        skive_graph *g = NULL;
        skive_options *o = NULL;
        z.rank = 1;
        z.dims[0] = 4;
        z.classes = 2;
        skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:5", &z, &g));
        skv_test_ok(ctx, skive_options_create(ctx, "train", &o));
        skive_train_options plain = skive_train_options_default();
        plain.epochs = 3;
        plain.batch = 8;
        plain.nesterov = false;
        plain.momentum = 0.5;
        if (run == 2) plain.momentum = 0.6;
        skv_test_ok(ctx, skive_options_set(o, "train.epochs", "3"));
        skv_test_ok(ctx, skive_options_set(o, "train.batch", "8"));
        skv_test_ok(ctx, skive_options_set(o, "train.optimizer", "sgd:0.5,nesterov=no"));
        const skive_train_options *how = run == 1 ? skive_options_train(o) : &plain;
        skv_test_ok(ctx, skive_train(ctx, g, set, NULL, how, NULL, 0, &r));
        loss[run] = r.epochs[2].loss;
        skive_train_report_free(ctx, &r);
        skive_options_free(o);
        skive_graph_free(g);
    }
    assert_true(loss[0] == loss[1] && loss[0] != loss[2]);
    skive_dataset_free(set);
    skive_tensor_free(ctx, &data);
    skive_tensor_free(ctx, &labels);
    skv_test_remove_dir(folder);
    skv_test_context_end(ctx);
}

/* What `name` lacks, with the other options as they are. */
static void lacks(skive_options *o, const char *name, const char *what) {
    char text[200];
    assert_int_equal(skive_options_lacks(o, name, text, sizeof text), SKIVE_OK);
    assert_string_equal(text, what);
}

static void options_without_effect(void **state) {
    skive_context *ctx = skv_test_context();
    skive_options *o = NULL;
    char text[200];
    (void)state;
    skv_test_ok(ctx, skive_options_create(ctx, "train", &o));
    lacks(o, "momentum", "");
    lacks(o, "nesterov", "");
    lacks(o, "log-every", "train.log|train.tensorboard");
    lacks(o, "step-every", "train.schedule=step");
    lacks(o, "find-lr-steps", "train.find-lr");
    lacks(o, "label-smoothing", ""); /* no loss is named: the data decide */
    skv_test_ok(ctx, skive_options_set(o, "tensorboard", "runs"));
    lacks(o, "log-every", "");
    skv_test_ok(ctx, skive_options_set(o, "momentum", "0"));
    lacks(o, "nesterov", "train.momentum");
    skv_test_ok(ctx, skive_options_check(o));
    skv_test_ok(ctx, skive_options_set(o, "nesterov", "no"));
    skv_test_ok(ctx, skive_options_check(o));
    skv_test_ok(ctx, skive_options_set(o, "optimizer", "adam:beta2=0.99"));
    lacks(o, "momentum", "train.optimizer=sgd|train.optimizer=rmsprop");
    skv_test_fails(ctx, skive_options_check(o), SKIVE_ERR_ARGUMENT, "train.momentum has no effect without");
    skive_options_train(o)->optimizer = "sgd"; /* a field that is changed counts */
    skv_test_ok(ctx, skive_options_check(o));
    skive_options_train(o)->log_every = 50;
    skive_options_train(o)->tensorboard = NULL;
    skv_test_fails(ctx, skive_options_check(o), SKIVE_ERR_ARGUMENT, "train.log-every has no effect without");
    skive_options_train(o)->log_every = skive_train_options_default().log_every;
    assert_true(skive_options_is_off(o, "nesterov"));
    assert_false(skive_options_is_off(o, "momentum"));
    skv_test_ok(ctx, skive_options_set(o, "loss", "mse"));
    lacks(o, "label-smoothing", "train.loss=binary-cross-entropy|train.loss=cross-entropy");
    skv_test_ok(ctx, skive_options_set(o, "schedule", "one-cycle"));
    lacks(o, "warmup", "!train.schedule=one-cycle");
    skv_test_ok(ctx, skive_options_set(o, "find-lr", "yes"));
    lacks(o, "lr", "!train.find-lr");
    skv_test_fails(ctx, skive_options_lacks(o, "log", text, 0), SKIVE_ERR_ARGUMENT, "buffer");
    skv_test_fails(ctx, skive_options_lacks(o, "lo", text, sizeof text), SKIVE_ERR_NOT_FOUND, "no option 'lo'");
    skive_options_free(o);
    skv_test_ok(ctx, skive_options_create(ctx, "prune", &o));
    lacks(o, "lr", "train.epochs|prune.criterion=movement");
    lacks(o, "train.epochs", "");
    lacks(o, "surgery-until", "prune.surgery");
    lacks(o, "surgery", "train.epochs");
    lacks(o, "per-layer", "");
    lacks(o, "steps", "prune.schedule=cubic|prune.schedule=iterative");
    skv_test_ok(ctx, skive_options_set(o, "threshold", "0.1"));
    lacks(o, "per-layer", "!prune.threshold");
    skv_test_ok(ctx, skive_options_set(o, "train.epochs", "2"));
    lacks(o, "lr", "");
    lacks(o, "surgery", "");
    skive_options_free(o);
    skv_test_context_end(ctx);
}

/* Each name in what an option needs is one of an option, and each choice one that there is. */
static void check_needs(const char *table, const char *needs) {
    char word[120], full[240], *is;
    for (const char *at = needs; at && *at; at += strspn(at, ",|!")) {
        const size_t n = strcspn(at += strspn(at, ",|!"), ",|");
        bool found = false;
        const char *method;
        assert_true(n < sizeof word);
        (void)snprintf(word, sizeof word, "%.*s", (int)n, at);
        at += n;
        if ((is = strchr(word, '='))) *is++ = '\0';
        (void)snprintf(full, sizeof full, "%s%s%s", strchr(word, '.') ? "" : table, strchr(word, '.') ? "" : ".", word);
        for (size_t m = 0; (method = skive_options_method(m)); m++) {
            skive_option_bounds b = {.size = sizeof b};
            if (skive_options_bounds(NULL, method, full, &b) != SKIVE_OK) continue;
            const char *choice;
            found = found || !is;
            for (size_t i = 0; is && (choice = skive_options_choice(method, full, i, NULL)); i++)
                found = found || strcmp(choice, is) == 0;
        }
        if (!found) print_message("%s needs %s\n", table, word);
        assert_true(found);
    }
}

static void needs_exist(void **state) {
    size_t all = 0;
    const char *name;
    (void)state;
    for (size_t m = 0; (name = skive_options_method(m)); m++) {
        const skv_method *method = skv_method_find(name);
        const skv_section_of_method *in;
        const skv_option *o;
        for (size_t i = 0; (o = skv_method_option(method, NULL, i, &in)); i++) {
            check_needs(in->table->name, o->needs);
            check_needs(in->table->name, o->instead_of);
            check_needs(in->table->name, in->table->needs);
            all += o->needs != NULL;
        }
    }
    assert_true(all > 20);
}

/* Choices that are enumerations, and methods that are no training. */
static void other_methods(void **state) {
    skive_context *ctx = skv_test_context();
    skive_options *o = NULL;
    skive_option_bounds b = {.size = sizeof b};
    char text[40];
    (void)state;
    skv_test_ok(ctx, skive_options_create(ctx, "data", &o));
    skv_test_ok(ctx, skive_options_get(o, "split", text, sizeof text));
    assert_string_equal(text, "train");
    skv_test_ok(ctx, skive_options_set(o, "split", "test"));
    skv_test_ok(ctx, skive_options_set(o, "targets", "float"));
    skv_test_ok(ctx, skive_options_set(o, "data.limit", "12"));
    const skive_dataset_options *d = skive_options_data(o);
    assert_true(d->split == SKIVE_SPLIT_TEST && d->targets == SKIVE_TARGETS_VALUES && d->limit == 12);
    skv_test_fails(ctx, skive_options_set(o, "split", "text"), SKIVE_ERR_ARGUMENT, "'text'");
    assert_true(d->split == SKIVE_SPLIT_TEST);
    skv_test_ok(ctx, skive_options_bounds(ctx, "data", "targets", &b));
    assert_string_equal(b.default_text, "auto");
    lacks(o, "resize-width", "data.resize-height");
    skive_options_free(o);
    skv_test_ok(ctx, skive_options_create(ctx, "simplify", &o));
    skv_test_ok(ctx, skive_options_set(o, "passes", "fold-constants,fold-batchnorm"));
    assert_string_equal(skive_options_simplify(o)->list, "fold-constants,fold-batchnorm");
    skv_test_fails(ctx, skive_options_set(o, "passes", "fold-constants,nope"), SKIVE_ERR_ARGUMENT, "'nope'");
    skive_options_free(o);
    skv_test_ok(ctx, skive_options_create(ctx, "pack", &o));
    skv_test_ok(ctx, skive_options_set(o, "coder", "rans"));
    assert_string_equal(skive_options_pack(o)->coder, "rans");
    skv_test_fails(ctx, skive_options_set(o, "coder", "zip"), SKIVE_ERR_ARGUMENT, "'zip'");
    assert_null(skive_options_data(o));
    skive_options_free(o);
    skv_test_context_end(ctx);
}

static skive_status all_paths(skive_context *ctx, void *user) {
    skive_options *o = NULL;
    char text[200];
    (void)user;
    skive_status status = skive_options_create(ctx, "share", &o);
    if (status == SKIVE_OK) status = skive_options_set(o, "share.init", "random");
    if (status == SKIVE_OK) status = skive_options_set(o, "share.bits", "3");
    if (status == SKIVE_OK) status = skive_options_set(o, "train.augment", "crop:2,flip");
    if (status == SKIVE_OK) status = skive_options_lacks(o, "train.augment", text, sizeof text);
    if (status == SKIVE_OK) status = skive_options_set(o, "train.epochs", "1");
    if (status == SKIVE_OK) status = skive_options_check(o);
    skive_options_free(o);
    return status;
}

static void without_memory(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(all_paths, NULL, 1) > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option),         cmocka_unit_test(options_of_choices),
        cmocka_unit_test(structs_and_mistakes), cmocka_unit_test(the_same_training),
        cmocka_unit_test(without_memory),       cmocka_unit_test(options_without_effect),
        cmocka_unit_test(needs_exist),          cmocka_unit_test(other_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
