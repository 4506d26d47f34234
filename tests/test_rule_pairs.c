/* Every pair of rules, of terms of the objective, and of a rule and a term: the rules hold after each step and in the
 * model that comes out, and a run that was stopped and resumed gives the bits of one that was not. A rule or a loss
 * that is added to its list is part of this test by that alone; one that needs something given has a line in
 * `prepare`. */
#include "train_fixtures.h"

#include <unistd.h>

#include <skive/share.h>

#include "prune/prune.h"
#include "quant/qat.h"

enum { EPOCHS = 2, BATCH = 48 };

/* ---- models under rules ---- */

typedef struct bench {
    skive_context *ctx;
    skive_graph *model;
    skv_rule_use uses[4];
    size_t n_uses;
    uint8_t keep[CLASSES * 4 * PIXELS], live_keep[CLASSES * 4 * PIXELS];
    skive_mask mask;
    skv_live_mask live;
    skv_incremental powers;
    const skv_rule *rules[2]; /* under test; NULL: none */
    int steps, batches;
    int stop_at; /* this step ends the run as an interruption would; 0: none does */
    bool held;
} bench;

static const char weight_name[] = "fc.weight";

/* Every third weight of the last layer is zero, and the model says that it was pruned. */
static void make_zeros(bench *b) {
    skive_value *v = skive_graph_find_value(b->model, weight_name);
    float *w = v->storage->tensor.data;
    for (int64_t i = 0; i < skive_tensor_count(&v->storage->tensor); i += 3) w[i] = 0;
    v->keeps_zeros = true;
}

static void share(bench *b, double hash) {
    static const char *const only[] = {weight_name};
    skive_share_options o = skive_share_options_default();
    o.only = only;
    o.n_only = 1;
    o.hash = hash;
    skv_test_ok(b->ctx, skive_share(b->ctx, b->model, NULL, NULL, &o, NULL));
}

/* The last layer's weights are trained as themselves, as entries of a codebook, or as the values of a hashed layer, by
 * the name and number that those have in training. */
static const char *trained(const bench *b, int64_t *n) {
    const skive_value *codebook = skive_graph_find_value(b->model, "fc.weight.codebook");
    const skive_value *v = codebook ? codebook : skive_graph_find_value(b->model, weight_name);
    *n = skive_tensor_count(skv_value_tensor(v));
    if (!skv_recast_find("hashed")->asked(b->model)) return v->name;
    *n /= 2; /* a codebook of hashed values has them and their negatives */
    return "fc.weight.buckets";
}

/* The value "feature" is rounded with a scale that is learned. */
static void round_feature(bench *b) {
    skive_graph *g = b->model;
    skive_value *v = skive_graph_find_value(g, "feature");
    skv_builder build = skv_build(g);
    skv_storage *scale = NULL;
    skv_test_ok(b->ctx, skv_storage_create(b->ctx, SKIVE_F32, 0, NULL, &scale));
    *(float *)scale->tensor.data = 0.25f;
    const uint32_t before = v->n_uses;
    skive_value *s = skv_emit_param(&build, "feature_step", scale);
    skive_value *y = skv_emit(&build, "FakeQuantize", SKV_IN(v, s, skv_emit_scalar(&build, SKIVE_U8, 8)),
                              SKV_ATTRS(SKV_STR("grid", "uint4"), SKV_STR("step", "lsq"), SKV_FLT("factor", 0.05)));
    skv_test_ok(b->ctx, build.status);
    s->trainable = true;
    for (uint32_t i = before; i-- > 0;) {
        const skv_use use = v->uses[i];
        if (use.node != y->producer) skv_test_ok(b->ctx, skv_node_set_input(use.node, (size_t)use.index, y));
    }
}

/* The part of a rule that changes the graph comes first. */
static void prepare_graph(bench *b, const skv_rule *rule) {
    if (strcmp(rule->name, "zeros") == 0) make_zeros(b);
    if (strcmp(rule->name, "step") == 0) round_feature(b);
    if (strcmp(rule->name, "codebook") == 0) share(b, 0);
    if (strcmp(rule->name, "hashed") == 0) share(b, 4);
}

static void prepare(bench *b, const skv_rule *rule) {
    int64_t n = 0;
    const char *name = trained(b, &n);
    skv_rule_use use = {.rule = rule, .parameter = name, .text = rule->example};
    if (rule->asked) return;
    assert_true(n <= (int64_t)sizeof b->keep);
    if (strcmp(rule->name, "mask") == 0) {
        for (int64_t i = 0; i < n; i++) b->keep[i] = i % 4 != 1;
        b->mask = (skive_mask){name, b->keep, n};
        use.given = &b->mask;
    } else if (strcmp(rule->name, "moving-mask") == 0) {
        for (int64_t i = 0; i < n; i++) b->live_keep[i] = i % 5 != 2;
        b->live = (skv_live_mask){.keep = b->live_keep, .count = n};
        use.given = &b->live;
    } else if (strcmp(rule->name, "inq") == 0) {
        b->powers = (skv_incremental){.bits = 5};
        use.given = &b->powers;
    } else if (!rule->example) {
        fail_msg("rule '%s' needs something given: say here what", rule->name);
    }
    b->uses[b->n_uses++] = use;
}

static void make_model(bench *b) {
    b->model = small_cnn(b->ctx, false);
    b->n_uses = 0;
    /* Zeros (the later rule in the list) before a codebook takes them in. */
    for (int i = 2; i-- > 0;)
        if (b->rules[i] && !(i && b->rules[0] == b->rules[1])) prepare_graph(b, b->rules[i]);
    for (int i = 0; i < 2; i++)
        if (b->rules[i] && !(i && b->rules[0] == b->rules[1])) prepare(b, b->rules[i]);
}

/* ---- watching ---- */

static bool binds(const skv_param *p, const skv_rule *rule) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].rule == rule) return true;
    return false;
}

/* Each rule under test is bound, and everything that is bound holds. */
static skive_status look(void *self, const skv_watch *w) {
    bench *b = self;
    bool bound[2] = {!b->rules[0], !b->rules[1]};
    for (size_t i = 0; i < skv_trainer_param_count(w->trainer); i++) {
        const skv_param *p = skv_trainer_param(w->trainer, i);
        for (int k = 0; k < 2; k++) bound[k] = bound[k] || binds(p, b->rules[k]);
        for (size_t r = 0; r < p->n_rules; r++) {
            if (p->rules[r].rule->holds && !p->rules[r].rule->holds(p->rules[r].self, p))
                fail_msg("rule '%s' does not hold for '%s' after step %lld", p->rules[r].rule->name, p->value->name,
                         (long long)w->steps);
        }
    }
    for (int k = 0; k < 2; k++)
        if (!bound[k]) fail_msg("rule '%s' is bound to no parameter", b->rules[k]->name);
    b->steps++;
    b->batches = (int)w->batches;
    /* A mask moves now and then. */
    if (b->live.param && w->steps % 3 == 0) {
        for (int64_t i = 0; i < b->live.count; i++) b->live.keep[i] = (i + w->steps) % 5 != 2;
        SKV_TRY(skv_param_show(b->live.param));
    }
    return b->stop_at && w->steps == b->stop_at ? SKIVE_ERR_INTERRUPTED : SKIVE_OK;
}

/* ---- runs ---- */

static skive_status run(bench *b, const skv_objective *objective, const char *checkpoint) {
    skive_dataset *set = open_data(b->ctx, blobs, SKIVE_SPLIT_TRAIN);
    skive_train_options o = settings(EPOCHS, BATCH);
    o.checkpoint = checkpoint;
    o.learning_rate = 0.01;
    o.clip_norm = 5;
    const skv_watcher watcher = {.name = "look", .step = look, .self = b};
    const skv_fit fit = {.model = b->model,
                         .train = set,
                         .options = &o,
                         .objective = objective,
                         .rules = b->uses,
                         .n_rules = b->n_uses,
                         .watchers = &watcher,
                         .n_watchers = 1,
                         .what = "train"};
    const skive_status status = skv_fit_run(b->ctx, &fit, NULL);
    skive_dataset_free(set);
    return status;
}

static void check_run(const skv_rule *first, const skv_rule *second, const skv_objective *objective) {
    char path[SKV_TEST_PATH];
    uint64_t bits[2];
    static bench b;
    for (int resumed = 0; resumed < 2; resumed++) {
        b = (bench){.ctx = skv_test_context(), .rules = {first, second}};
        const char *checkpoint = resumed ? file(path, "pair.ckpt") : NULL;
        make_model(&b);
        if (resumed) {
            b.stop_at = TRAINING / BATCH;
            assert_int_equal(run(&b, objective, checkpoint), SKIVE_ERR_INTERRUPTED);
            skive_graph_free(b.model);
            b.stop_at = 0;
            make_model(&b);
        }
        b.steps = 0;
        skv_test_ok(b.ctx, run(&b, objective, checkpoint));
        assert_int_equal(b.steps, (resumed ? 1 : EPOCHS) * b.batches);
        bits[resumed] = fingerprint(b.model);
        if (resumed) assert_int_equal(unlink(path), 0);
        skive_graph_free(b.model);
        skv_test_context_end(b.ctx);
    }
    if (bits[0] != bits[1])
        fail_msg("%s, %s, %s: a resumed run gives other numbers", first ? first->name : "-",
                 second ? second->name : "-", objective->terms[0].loss ? objective->terms[0].loss->name : "labels");
}

/* A weight is stored as it is, by a codebook or by a hash; the zeros of pruned weights are not hashed. */
static bool exclude_one_another(const skv_rule *a, const skv_rule *b) {
    const bool hashed = strcmp(a->name, "hashed") == 0 || strcmp(b->name, "hashed") == 0;
    const bool other = strcmp(a->name, "codebook") == 0 || strcmp(b->name, "codebook") == 0 ||
                       strcmp(a->name, "zeros") == 0 || strcmp(b->name, "zeros") == 0;
    return hashed && other;
}

/* A sanitizer looks at half of the pairs, each rule and term with itself among them. */
static bool is_left_out(size_t i, size_t k) { return skv_test_sanitized() && (i + k) % 2; }

static void every_pair_of_rules(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_rule_count(); i++) {
        for (size_t k = i; k < skv_rule_count(); k++) {
            if (exclude_one_another(skv_rule_at(i), skv_rule_at(k)) || is_left_out(i, k)) continue;
            check_run(skv_rule_at(i), skv_rule_at(k), &skv_objective_labels);
        }
    }
}

/* A term of this loss; a loss that compares features gets the values behind the normalization. */
static skv_term term_of(const skv_loss *loss, double weight) {
    return (skv_term){.loss = loss,
                      .weight = weight,
                      .temperature = loss->needs_teacher ? 3 : 1,
                      .feature = !loss->needs_features ? NULL
                                 : loss->two           ? "feature+feature"
                                                       : "feature",
                      .example = !loss->needs_features ? NULL
                                 : loss->two           ? "feature+feature"
                                                       : "feature"};
}

static void check_terms(const skv_rule *rule, const skv_loss *first, const skv_loss *second) {
    skive_context *ctx = skv_test_context();
    skive_graph *teacher = small_cnn(ctx, false), *student = small_cnn(ctx, false);
    float *w = skive_graph_find_value(teacher, weight_name)->storage->tensor.data;
    for (int64_t i = 0; i < CLASSES * 4 * PIXELS; i++) w[i] = -w[i];
    const skv_teacher from = {.graph = teacher, .student = student};
    const skv_term terms[2] = {term_of(first, 0.7), second ? term_of(second, 0.4) : (skv_term){.weight = 0}};
    const skv_objective o = {.terms = terms, .n_terms = second ? 2 : 1, .teachers = &from, .n_teachers = 1};
    check_run(rule, NULL, &o);
    skive_graph_free(teacher);
    skive_graph_free(student);
    skv_test_context_end(ctx);
}

/* A loss on scores over time has no place in a network that gives one row a sample. */
static bool takes_rows(const skv_loss *loss) { return !loss->kind || strcmp(loss->kind, "ctc") != 0; }

static void every_pair_of_terms(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_loss_count(); i++)
        for (size_t k = i; k < skv_loss_count(); k++)
            if (takes_rows(skv_loss_at(i)) && takes_rows(skv_loss_at(k)) && !is_left_out(i, k))
                check_terms(NULL, skv_loss_at(i), skv_loss_at(k));
}

static void every_rule_with_every_term(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_rule_count(); i++)
        for (size_t k = 0; k < skv_loss_count(); k++)
            if (takes_rows(skv_loss_at(k)) && !is_left_out(i, k)) check_terms(skv_rule_at(i), skv_loss_at(k), NULL);
}

/* Each beside the next of the list and under a rule. */
static void every_teaching_term(void **state) {
    const size_t n = skv_teaching_count();
    (void)state;
    for (size_t i = 0; i < n; i++)
        check_terms(skv_rule_at(i % skv_rule_count()), skv_teaching_at(i), skv_teaching_at((i + 1) % n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_teaching_term),
        cmocka_unit_test(every_pair_of_rules),
        cmocka_unit_test(every_pair_of_terms),
        cmocka_unit_test(every_rule_with_every_term),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
