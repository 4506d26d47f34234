/* The teaching terms: each by numbers that tests/oracle/terms.py computes from its formula with numpy, its gradients
 * (of the student's value and of the term's own parameters) against central differences, what does not fit refused,
 * and several teachers combined. */
#include "train_fixtures.h"

#include <skive/distill.h>

#include "train/combine.h"
#include "train/terms/term.h"

/* ---- one term on given numbers ---- */

typedef struct shape {
    int rank;
    int64_t dims[4];
} shape;

typedef struct term_case {
    const char *text;                                   /* "relation:angle=0" */
    shape student, teacher, next_student, next_teacher; /* of values inside, or of the scores */
    double expected;
    const int64_t *labels; /* [n]; NULL: none */
    double scale;          /* of the teacher's numbers; 0: 1 */
} term_case;

enum { MOST_LEAVES = 8 };
typedef struct term_graph {
    skive_context *ctx;
    skive_graph *g;
    skive_tensor in[3];
    size_t n_in;
    skive_value *leaves[MOST_LEAVES]; /* what gradients are of: the student's values, then the term's own */
    size_t n_leaves, n_students;
} term_graph;

static double student_at(int64_t i) { return 1.5 * sin(1.0 + (double)i); }
static double teacher_at(int64_t i) { return cos(2.0 + 0.7 * (double)i); }
static double own_at(int64_t i) { return 0.4 * sin(0.5 + 0.3 * (double)i); }

static skive_value *feed(term_graph *t, const char *name, const shape *s, skive_dtype dtype) {
    const skive_type type = skive_type_make(dtype, s->rank, s->dims);
    skive_value *v = NULL;
    skive_tensor *x = &t->in[t->n_in++];
    skv_test_ok(t->ctx, skive_tensor_create(t->ctx, dtype, s->rank, s->dims, x));
    for (int64_t i = 0; i < skive_tensor_count(x); i++) skive_tensor_set(x, i, student_at(i));
    skv_test_ok(t->ctx, skive_graph_add_input(t->g, name, &type, &v));
    t->leaves[t->n_leaves++] = v;
    t->n_students++;
    return v;
}

static skive_value *constant(term_graph *t, const char *name, const shape *s, skive_dtype dtype, double scale) {
    skive_value *v = NULL;
    skive_tensor x;
    skv_test_ok(t->ctx, skive_tensor_create(t->ctx, dtype, s->rank, s->dims, &x));
    for (int64_t i = 0; i < skive_tensor_count(&x); i++) skive_tensor_set(&x, i, scale * teacher_at(i));
    skv_test_ok(t->ctx, skive_graph_add_parameter(t->g, name, &x, &v));
    skive_tensor_free(t->ctx, &x);
    skv_test_ok(t->ctx, skive_value_set_trainable(v, false));
    return v;
}

static void fill_own(term_graph *t) {
    for (uint32_t i = 0; i < t->g->n_values; i++) {
        skive_value *v = t->g->values[i];
        if (!v->trainable) continue;
        skive_tensor *x = &v->storage->tensor;
        for (int64_t k = 0; k < skive_tensor_count(x); k++) skive_tensor_set(x, k, own_at(k));
        assert_true(t->n_leaves < MOST_LEAVES);
        t->leaves[t->n_leaves++] = v;
    }
}

static skive_status build(term_graph *t, const term_case *c, skive_dtype dtype) {
    skv_term_text store;
    skv_term term;
    double alone;
    skive_value *value, *gradients[MOST_LEAVES] = {NULL};
    skv_test_ok(t->ctx, skv_term_parse(t->ctx, c->text, 4, &store, &term, &alone));
    skv_test_ok(t->ctx, skive_graph_create(t->ctx, "term", &t->g));
    const bool inside = term.loss->needs_features;
    const double scale = c->scale > 0 ? c->scale : 1;
    skive_value *s = feed(t, "s", &c->student, dtype);
    skive_value *teacher = constant(t, "t", &c->teacher, dtype, scale);
    const bool own = term.loss->own;
    skv_loss_args args = {.logits = inside ? NULL : s,
                          .teacher = inside ? NULL : teacher,
                          .feature = inside || own ? s : NULL,
                          .example = inside || own ? teacher : NULL,
                          .options = &store.values,
                          .temperature = 4,
                          .samples = 1,
                          .n_classes = inside ? 2 : c->student.dims[1],
                          .who = term.loss->name,
                          .name = "t"};
    if (c->next_student.rank) {
        args.next_feature = feed(t, "s2", &c->next_student, dtype);
        args.next_example = constant(t, "t2", &c->next_teacher, dtype, scale);
    }
    if (c->labels) {
        skive_tensor x;
        skv_test_ok(t->ctx, skive_tensor_create(t->ctx, SKIVE_I64, 1, c->student.dims, &x));
        for (int64_t i = 0; i < c->student.dims[0]; i++) skive_tensor_set(&x, i, (double)c->labels[i]);
        skv_test_ok(t->ctx, skive_graph_add_parameter(t->g, "labels", &x, &args.labels));
        skive_tensor_free(t->ctx, &x);
    }
    skv_builder b = skv_build(t->g);
    value = term.loss->build(&b, &args);
    if (b.status != SKIVE_OK) return b.status;
    fill_own(t);
    skv_test_ok(t->ctx, skive_autodiff(t->g, value, t->leaves, t->n_leaves, gradients));
    skv_test_ok(t->ctx, skive_graph_add_output(t->g, value));
    for (size_t i = 0; i < t->n_leaves; i++) skv_test_ok(t->ctx, skive_graph_add_output(t->g, gradients[i]));
    return SKIVE_OK;
}

static void end(term_graph *t) {
    for (size_t i = 0; i < t->n_in; i++) skive_tensor_free(t->ctx, &t->in[i]);
    skive_graph_free(t->g);
    *t = (term_graph){.ctx = t->ctx};
}

/* The value; gradients[n_leaves] may be NULL. */
static double run(term_graph *t, skive_tensor *gradients) {
    skive_tensor out[MOST_LEAVES + 1];
    skv_test_ok(t->ctx, skive_graph_run(t->ctx, t->g, t->in, t->n_in, out, t->n_leaves + 1));
    assert_int_equal(skive_tensor_count(&out[0]), 1);
    const double value = skive_tensor_get(&out[0], 0);
    skive_tensor_free(t->ctx, &out[0]);
    for (size_t i = 0; i < t->n_leaves; i++) {
        if (gradients)
            gradients[i] = out[i + 1];
        else
            skive_tensor_free(t->ctx, &out[i + 1]);
    }
    return value;
}

/* Of a term with detached parts only the leaves that they do not hold by themselves: see `skip`. */
static void check_leaf(term_graph *t, const term_case *c, size_t leaf, const skive_tensor *gradient) {
    skive_tensor *x = leaf < t->n_students ? &t->in[leaf] : &t->leaves[leaf]->storage->tensor;
    const double step = 1e-5;
    for (int64_t i = 0; i < skive_tensor_count(x); i++) {
        const double at = skive_tensor_get(x, i);
        skive_tensor_set(x, i, at + step);
        const double up = run(t, NULL);
        skive_tensor_set(x, i, at - step);
        const double down = run(t, NULL), slope = (up - down) / (2 * step), got = skive_tensor_get(gradient, i);
        skive_tensor_set(x, i, at);
        if (!skv_test_close(got, slope, 2e-5, 1e-7))
            fail_msg("%s: gradient of '%s' [%d] is %.9g, by differences %.9g", c->text, t->leaves[leaf]->name, (int)i,
                     got, slope);
    }
}

static bool is_detached(const term_case *c, const char *leaf) {
    return (strstr(c->text, "gaussian") && leaf[0] == 's') ||
           (strstr(c->text, "factor") && strstr(leaf, "paraphraser"));
}

static void check(const term_case *c) {
    term_graph t = {.ctx = skv_test_context()};
    skive_tensor gradients[MOST_LEAVES];
    skv_test_ok(t.ctx, build(&t, c, SKIVE_F32));
    const double rough = run(&t, NULL);
    if (!skv_test_close(rough, c->expected, 2e-5, 1e-6))
        fail_msg("%s is %.9g in float32, expected %.9g", c->text, rough, c->expected);
    end(&t);
    skv_test_ok(t.ctx, build(&t, c, SKIVE_F64));
    const double value = run(&t, gradients);
    if (!skv_test_close(value, c->expected, 1e-6, 1e-9))
        fail_msg("%s is %.12g, expected %.12g", c->text, value, c->expected);
    for (size_t i = 0; i < t.n_leaves; i++) {
        if (!is_detached(c, t.leaves[i]->name)) check_leaf(&t, c, i, &gradients[i]);
        skive_tensor_free(t.ctx, &gradients[i]);
    }
    end(&t);
    skv_test_context_end(t.ctx);
}

static const int64_t three[3] = {0, 1, 0}, two[2] = {1, 3};

static const term_case cases[] = {
    {"hint", {4, {2, 2, 2, 2}}, {4, {2, 3, 2, 2}}, {0}, {0}, 0.64850816961, NULL, 0},
    {"hint", {2, {3, 2}}, {2, {3, 4}}, {0}, {0}, 1.18865222468, NULL, 0},
    {"attention", {4, {2, 3, 2, 2}}, {4, {2, 2, 2, 2}}, {0}, {0}, 0.103442956886, NULL, 0},
    {"attention:power=3", {4, {2, 3, 2, 2}}, {4, {2, 2, 2, 2}}, {0}, {0}, 0.133804776238, NULL, 0},
    {"similarity", {2, {3, 2}}, {2, {3, 4}}, {0}, {0}, 0.399964503968, NULL, 0},
    {"relation:distance=1,angle=0", {2, {4, 2}}, {2, {4, 4}}, {0}, {0}, 0.183519791674, NULL, 0},
    {"relation:distance=0,angle=1", {2, {4, 2}}, {2, {4, 4}}, {0}, {0}, 0.0961673931494, NULL, 0},
    {"relation", {2, {4, 2}}, {2, {4, 4}}, {0}, {0}, 9.39636444932, NULL, 0},
    {"pkt", {2, {4, 2}}, {2, {4, 3}}, {0}, {0}, 0.00766020122414, NULL, 0},
    {"nst", {4, {2, 2, 2, 2}}, {4, {2, 3, 2, 2}}, {0}, {0}, 1.08019797755, NULL, 0},
    {"nst:kernel=linear", {4, {2, 2, 2, 2}}, {4, {2, 3, 2, 2}}, {0}, {0}, 0.502990013856, NULL, 0},
    {"nst:kernel=gaussian", {4, {2, 2, 2, 2}}, {4, {2, 3, 2, 2}}, {0}, {0}, 0.220057606424, NULL, 0},
    {"factor", {4, {2, 2, 2, 2}}, {4, {2, 4, 2, 2}}, {0}, {0}, 87.5114107425, NULL, 0},
    {"fsp", {4, {2, 2, 4, 4}}, {4, {2, 3, 4, 4}}, {4, {2, 3, 2, 2}}, {4, {2, 3, 2, 2}}, 0.109391421356, NULL, 0},
    {"vid", {2, {3, 2}}, {2, {3, 4}}, {0}, {0}, 0.277474532812, NULL, 0},
    {"hidden", {3, {2, 3, 2}}, {3, {2, 3, 4}}, {0}, {0}, 0.923213637662, NULL, 0},
    {"attention-maps", {4, {1, 2, 2, 2}}, {4, {1, 2, 2, 2}}, {0}, {0}, 1.71382752142, NULL, 0},
    {"attention-maps", {4, {1, 2, 2, 2}}, {4, {1, 3, 2, 2}}, {0}, {0}, 0.359145400323, NULL, 0},
    {"contrastive:negatives=0,width=4", {2, {3, 2}}, {2, {3, 3}}, {0}, {0}, 14.1605915053, three, 0},
    {"kl", {2, {2, 4}}, {2, {2, 4}}, {0}, {0}, 0.470032984344, two, 3},
    {"peer:value=x", {2, {2, 4}}, {2, {2, 4}}, {0}, {0}, 0.543071175178, two, 3},
    {"dkd", {2, {2, 4}}, {2, {2, 4}}, {0}, {0}, 2.57672045296, two, 3},
    {"logits", {2, {2, 4}}, {2, {2, 4}}, {0}, {0}, 5.90820451892, two, 3},
    {"standardized", {2, {2, 4}}, {2, {2, 4}}, {0}, {0}, 0.529802576457, two, 3},
};

static void terms_by_numbers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check(&cases[i]);
}

static void none_is_left_out(void **state) {
    (void)state;
    for (size_t i = 0; i < skv_teaching_count(); i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
            found = found || strncmp(cases[k].text, skv_teaching_name(i), strlen(skv_teaching_name(i))) == 0;
        if (!found) fail_msg("term '%s' has no case", skv_teaching_name(i));
    }
}

/* Of the sum of x times x taken as given, the gradient is x. */
static void no_gradient_passes_what_is_detached(void **state) {
    term_graph t = {.ctx = skv_test_context()};
    const shape s = {2, {2, 3}};
    skive_tensor out[2];
    skive_value *gradient = NULL;
    (void)state;
    skv_test_ok(t.ctx, skive_graph_create(t.ctx, "detach", &t.g));
    skive_value *x = feed(&t, "x", &s, SKIVE_F64);
    skv_builder b = skv_build(t.g);
    skive_value *y = skv_emit(&b, "ReduceSum", SKV_IN(skv_term_two(&b, "Mul", x, skv_term_detach(&b, x))),
                              SKV_ATTRS(SKV_INT("keepdims", 0)));
    skv_test_ok(t.ctx, b.status);
    skv_test_ok(t.ctx, skive_autodiff(t.g, y, &x, 1, &gradient));
    skv_test_ok(t.ctx, skive_graph_add_output(t.g, y));
    skv_test_ok(t.ctx, skive_graph_add_output(t.g, gradient));
    skv_test_ok(t.ctx, skive_graph_run(t.ctx, t.g, t.in, 1, out, 2));
    skv_test_tensors(&out[1], &t.in[0], 1e-12, 0);
    for (int i = 0; i < 2; i++) skive_tensor_free(t.ctx, &out[i]);
    end(&t);
    skv_test_context_end(t.ctx);
}

/* ---- the memory bank ---- */

static const skive_tensor *tensor_of(const skive_graph *g, const char *name) {
    return &skive_graph_find_value(g, name)->storage->tensor;
}

static double product(const skive_tensor *a, int64_t i, const skive_tensor *b, int64_t k, int64_t width) {
    double sum = 0;
    for (int64_t d = 0; d < width; d++) sum += skive_tensor_get(a, i * width + d) * skive_tensor_get(b, k * width + d);
    return sum;
}

/* One direction, from x [2][4] against the bank. */
static double against(const skive_tensor *x, const skive_tensor *y, const skive_tensor *bank, const skive_tensor *drawn,
                      const int64_t *indices, const int64_t *labels, const int64_t *classes) {
    const double k = (double)skive_tensor_count(drawn), less = 1 / (2 * 4 * 0.07 * 0.07) + log(k);
    double sum = 0;
    for (int64_t i = 0; i < 2; i++) {
        if (y) sum += log1p(exp(less - product(x, i, y, i, 4) / 0.07));
        for (int64_t n = 0; n < (int64_t)k; n++) {
            const int64_t other = (int64_t)skive_tensor_get(drawn, n);
            if (other == indices[i] || classes[other] == labels[i]) continue;
            sum += log1p(exp(product(x, i, bank, other, 4) / 0.07 - less));
        }
    }
    return sum / 2;
}

static void a_memory_bank(void **state) {
    enum { SAMPLES = 9, WIDTH = 4 };
    term_graph t = {.ctx = skv_test_context()};
    skv_memories memories = {.n = 0};
    skv_term_text store;
    skv_term term;
    double alone;
    const int64_t indices[2] = {7, 2}, labels[2] = {0, 1}, n = 2;
    const shape s = {2, {2, 3}};
    int64_t classes[SAMPLES];
    skive_tensor out[8], views[2];
    skive_value *given[2];
    (void)state;
    skv_test_ok(t.ctx,
                skv_term_parse(t.ctx, "contrastive:width=4,negatives=6,momentum=0.25", 4, &store, &term, &alone));
    skv_test_ok(t.ctx, skive_graph_create(t.ctx, "bank", &t.g));
    for (int i = 0; i < 2; i++) {
        skv_test_ok(t.ctx, skive_tensor_create(t.ctx, SKIVE_I64, 1, &n, &views[i]));
        for (int k = 0; k < 2; k++) skive_tensor_set(&views[i], k, (double)(i ? labels : indices)[k]);
        skv_test_ok(t.ctx, skive_graph_add_parameter(t.g, i ? "labels" : "indices", &views[i], &given[i]));
    }
    const skv_loss_args args = {.feature = feed(&t, "s", &s, SKIVE_F32),
                                .example = constant(&t, "t", &s, SKIVE_F32, 1),
                                .indices = given[0],
                                .labels = given[1],
                                .options = &store.values,
                                .samples = SAMPLES,
                                .memories = &memories,
                                .seed = 5,
                                .name = "t"};
    skv_builder b = skv_build(t.g);
    skive_value *value = term.loss->build(&b, &args);
    skv_test_ok(t.ctx, b.status);
    assert_int_equal(memories.n, 4);
    /* All were seen. */
    skive_tensor *seen = &skive_graph_find_value(t.g, "t.seen")->storage->tensor;
    for (int64_t i = 0; i < SAMPLES; i++) {
        assert_true(skive_tensor_get(seen, i) == 0);
        skive_tensor_set(seen, i, 1);
    }
    /* Half of the classes are known. */
    skive_tensor *known = &skive_graph_find_value(t.g, "t.classes")->storage->tensor;
    for (int64_t i = 0; i < SAMPLES; i++) {
        assert_true(skive_tensor_get(known, i) == -1);
        classes[i] = i % 2 ? -1 : i % 4 / 2;
        skive_tensor_set(known, i, (double)classes[i]);
    }
    skive_value *drawn = NULL, *rows[2] = {NULL};
    for (uint32_t i = 0; i < t.g->n_nodes; i++) {
        const skive_node *node = t.g->nodes[i];
        if (skv_node_is(node, SKV_OP_GATHER) && node->inputs[0] == skive_graph_find_value(t.g, "t.classes"))
            drawn = node->inputs[1];
        if (skv_node_is(node, SKV_OP_DETACH)) rows[rows[0] ? 1 : 0] = node->inputs[0];
    }
    skive_value *const outputs[] = {
        value, drawn, rows[0], rows[1], memories.items[0].next, memories.items[1].next, memories.items[2].next};
    for (size_t i = 0; i < 7; i++) skv_test_ok(t.ctx, skive_graph_add_output(t.g, outputs[i]));
    skv_test_ok(t.ctx, skive_graph_run(t.ctx, t.g, t.in, t.n_in, out, 7));
    const skive_tensor *students = tensor_of(t.g, "t.students"), *teachers = tensor_of(t.g, "t.teachers");
    const double expected = against(&out[2], &out[3], teachers, &out[1], indices, labels, classes) +
                            against(&out[3], NULL, students, &out[1], indices, labels, classes);
    const double got = skive_tensor_get(&out[0], 0);
    if (!skv_test_close(got, expected, 1e-5, 1e-6)) fail_msg("the term is %.9g, expected %.9g", got, expected);
    /* What is remembered: the classes, and rows that moved by three quarters and are of length 1 again. */
    for (int64_t i = 0; i < SAMPLES; i++) {
        const bool own = i == 7 || i == 2;
        assert_true(skive_tensor_get(&out[4], i) == (double)(i == 7 ? 0 : i == 2 ? 1 : classes[i]));
        double length = 0, mixed[WIDTH];
        for (int64_t d = 0; d < WIDTH; d++) {
            mixed[d] = 0.25 * skive_tensor_get(students, i * WIDTH + d) +
                       0.75 * skive_tensor_get(&out[2], (i == 2) * WIDTH + d);
            length += mixed[d] * mixed[d];
        }
        for (int64_t d = 0; d < WIDTH; d++) {
            const double now = skive_tensor_get(&out[5], i * WIDTH + d);
            assert_true(skv_test_close(now, own ? mixed[d] / sqrt(length) : skive_tensor_get(students, i * WIDTH + d),
                                       1e-5, 1e-6));
        }
    }
    for (size_t i = 0; i < 7; i++) skive_tensor_free(t.ctx, &out[i]);
    for (size_t i = 0; i < 2; i++) skive_tensor_free(t.ctx, &views[i]);
    end(&t);
    skv_test_context_end(t.ctx);
}

/* ---- what does not fit ---- */

static void refused(const char *text, shape s, shape u, const char *part) {
    const term_case c = {.text = text, .student = s, .teacher = u};
    term_graph t = {.ctx = skv_test_context()};
    const skive_status status = build(&t, &c, SKIVE_F32);
    skv_test_fails(t.ctx, status, status == SKIVE_ERR_DATA ? SKIVE_ERR_DATA : SKIVE_ERR_SHAPE, part);
    end(&t);
    skv_test_context_end(t.ctx);
}

static void what_does_not_fit_is_refused(void **state) {
    const shape rows = {2, {3, 4}}, maps = {4, {3, 2, 2, 2}}, steps = {3, {3, 5, 4}}, longer = {3, {3, 6, 4}};
    (void)state;
    refused("attention", rows, rows, "must be maps");
    refused("attention", maps, rows, "must be maps");
    refused("nst", rows, maps, "the model's 's' float32[3,4]");
    refused("factor", steps, steps, "height, width");
    refused("hidden", steps, longer, "in their width only");
    refused("attention-maps", maps, (shape){4, {3, 2, 3, 3}}, "as many steps");
    refused("dkd", rows, rows, "one class label a sample");
}

static void bad_texts_are_refused(void **state) {
    skive_context *ctx = skv_test_context();
    static const struct {
        const char *text, *part;
    } bad[] = {{"hnt", "did you mean 'hint'"},
               {"hint:student=a", "names a value of the student only"},
               {"hint:auto,student=a,teacher=b", "asks to find them"},
               {"hint:weight=-1", "weight"},
               {"hint:weight=0", "would have no effect"},
               {"kl:temperature=0", "temperature"},
               {"attention:power=0", "power"},
               {"nst:kernel=cubic", "poly"},
               {"hint:schedule=nope", "cosine"},
               {"logits:student=a", "student"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        skv_term_text store;
        skv_term term;
        double alone;
        skv_test_fails(ctx, skv_term_parse(ctx, bad[i].text, 4, &store, &term, &alone), SKIVE_ERR_ARGUMENT,
                       bad[i].part);
    }
    skv_test_context_end(ctx);
}

/* ---- several teachers ---- */

static void check_combined(const char *how, double first, double expected) {
    skive_context *ctx = skv_test_context();
    term_graph t = {.ctx = ctx};
    const shape s = {2, {2, 4}};
    const skv_teacher teachers[2] = {{.weight = first}, {.weight = 0}};
    const skv_objective o = {.teachers = teachers, .n_teachers = 2, .combine = how};
    const int64_t n = 2;
    skive_tensor labels, out;
    skv_test_ok(ctx, skive_graph_create(ctx, "combine", &t.g));
    skive_value *a = constant(&t, "a", &s, SKIVE_F64, 3), *z = constant(&t, "z", &s, SKIVE_F64, 0), *y = NULL;
    skive_value *b_ = feed(&t, "b", &s, SKIVE_F64);
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, &n, &labels));
    for (int i = 0; i < 2; i++) skive_tensor_set(&labels, i, (double)two[i]);
    skv_test_ok(ctx, skive_graph_add_parameter(t.g, "labels", &labels, &y));
    const skv_head head = {.task = SKIVE_TASK_CLASSES, .scores = 4};
    const skv_targets targets = {.info = {.classes = 4}};
    const skv_loss_site at = {.logits = z, .labels = y, .head = &head, .targets = &targets};
    skive_value *const scores[2] = {a, b_};
    skv_builder b = skv_build(t.g);
    skv_combined c;
    skv_combine_build(&b, &o, &at, scores, &c);
    const skv_loss_args args = {
        .logits = z, .teacher = skv_combine_scores(&b, &c, &at, 4, true), .temperature = 4, .name = "t"};
    skive_value *value = skv_teaching_find("kl")->build(&b, &args);
    skv_test_ok(ctx, b.status);
    assert_true(!c.more == !(how && strcmp(how, "learned") == 0));
    skv_test_ok(ctx, skive_graph_add_output(t.g, value));
    skv_test_ok(ctx, skive_graph_run(ctx, t.g, t.in, t.n_in, &out, 1));
    const double got = skive_tensor_get(&out, 0);
    if (!skv_test_close(got, expected, 1e-6, 1e-9)) fail_msg("%s: %.12g, expected %.12g", how, got, expected);
    skive_tensor_free(ctx, &out);
    skive_tensor_free(ctx, &labels);
    skv_combined_free(ctx, &c);
    end(&t);
    skv_test_context_end(ctx);
}

static void teachers_are_combined(void **state) {
    (void)state;
    check_combined(NULL, 0, 0.323330382821);
    check_combined("mean", 0, 0.323330382821);
    check_combined("weights", 0.3, 0.379462745078);
    check_combined(NULL, 0.3, 0.379462745078);
    check_combined("confidence", 0, 0.401831415982);
    check_combined("confidence:by=entropy", 0, 0.328007991535);
    check_combined("learned", 0, 0.323330382821); /* as the run begins */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_by_numbers),
        cmocka_unit_test(none_is_left_out),
        cmocka_unit_test(a_memory_bank),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(teachers_are_combined),
        cmocka_unit_test(no_gradient_passes_what_is_detached),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
