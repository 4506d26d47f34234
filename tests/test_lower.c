/* Lowering: memory that is needed at a common time never overlaps, over random pieces and random lists of steps whose
 * run is played through; and networks run step by step in the one arena, by the references of the ops, give to the bit
 * what they give with memory of their own for every value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <skive/zoo.h>

#include "exec/plan.h"
#include "graph/op.h"
#include "lower/lower.h"
#include "lower/memory.h"
#include "support.h"
#include "tensor/tensor.h"

enum { STEPS = 24, SLOTS = 48, ALIGN = 16 };

static uint32_t random_below(uint64_t seed, uint64_t *at, uint32_t n) {
    return (uint32_t)(skv_rng_uniform(seed, 3, (*at)++) * n) % n;
}

/* ---- pieces ---- */

static int by_offset(const void *a, const void *b) {
    const skv_piece *const *x = a, *const *y = b;
    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

/* At every step, the pieces needed there lie side by side; the arena has room for them and wastes less than all. */
static void check_pieces(skv_piece *p, size_t n, uint32_t steps, size_t align, size_t arena) {
    skv_piece **here = calloc(n + 1, sizeof *here);
    size_t peak = 0, sum = 0;
    assert_non_null(here);
    for (size_t i = 0; i < n; i++) {
        const size_t room = (p[i].bytes + align - 1) / align * align;
        assert_true(p[i].offset % align == 0 && p[i].offset + p[i].bytes <= arena);
        sum += room ? room : align;
    }
    for (uint32_t t = 0; t < steps; t++) {
        size_t count = 0, live = 0;
        for (size_t i = 0; i < n; i++)
            if (p[i].first <= t && t <= p[i].last) here[count++] = &p[i], live += p[i].bytes;
        qsort(here, count, sizeof *here, by_offset);
        for (size_t i = 1; i < count; i++) assert_true(here[i - 1]->offset + here[i - 1]->bytes <= here[i]->offset);
        peak = live > peak ? live : peak;
    }
    assert_true(arena >= peak && arena <= sum);
    free(here);
}

static void place_random(size_t n, uint32_t steps, uint32_t longest, uint64_t seed) {
    skive_context *ctx = skv_test_context();
    skv_piece *p = calloc(n, sizeof *p);
    size_t arena;
    uint64_t at = 0;
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        p[i].bytes = random_below(seed, &at, 9) == 0 ? 0 : random_below(seed, &at, 1000);
        p[i].first = random_below(seed, &at, steps);
        p[i].last = p[i].first + random_below(seed, &at, longest);
    }
    skv_test_ok(ctx, skv_pieces_pack(ctx, p, n, ALIGN, &arena));
    check_pieces(p, n, steps + longest, ALIGN, arena);
    free(p);
    skv_test_context_end(ctx);
}

static void pieces_do_not_overlap(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) place_random(1 + seed % 60, 30, 1 + (uint32_t)(seed % 12), seed);
    place_random(20000, 4000, 6, 7); /* so many are placed in order of time */
}

static void pieces_by_hand(void **state) {
    skive_context *ctx = skv_test_context();
    /* The first and the third are never needed together; the second lies beside both. */
    skv_piece p[3] = {{.bytes = 100, .first = 0, .last = 1},
                      {.bytes = 50, .first = 1, .last = 2},
                      {.bytes = 90, .first = 2, .last = 3}};
    skv_piece huge[2] = {{.bytes = SIZE_MAX / 2, .first = 0, .last = 1},
                         {.bytes = SIZE_MAX / 2 + 100, .first = 0, .last = 1}};
    size_t arena;
    (void)state;
    skv_test_ok(ctx, skv_pieces_pack(ctx, p, 3, 4, &arena));
    assert_int_equal(p[0].offset, 0);
    assert_int_equal(p[1].offset, 100);
    assert_int_equal(p[2].offset, 0);
    assert_int_equal(arena, 152);
    assert_int_equal(skv_pieces_pack(ctx, huge, 2, 4, &arena), SKIVE_ERR_LIMIT);
    skv_test_ok(ctx, skv_pieces_pack(ctx, NULL, 0, 4, &arena));
    assert_int_equal(arena, 0);
    skv_test_context_end(ctx);
}

/* ---- steps, played through ---- every slot has a number of its own, which stands in all of its memory while it is
 * needed: a step finds the numbers of its inputs, and then writes those of its outputs */

typedef struct game {
    skv_lower_step steps[STEPS];
    skv_lower_slot slots[SLOTS];
    uint32_t in[STEPS][3], out[STEPS][2];
    skv_lower_read reads[4];
    skv_lowering l;
    uint8_t *arena;
} game;

static uint32_t new_slot(game *g, uint64_t seed, uint64_t *at) {
    const size_t sizes[] = {16, 16, 16, 48, 80};
    g->slots[g->l.n_slots] = (skv_lower_slot){.bytes = sizes[random_below(seed, at, 5)]};
    return (uint32_t)g->l.n_slots++;
}

static void make_game(game *g, uint64_t seed) {
    uint64_t at = 0;
    *g = (game){.l = {.steps = g->steps, .slots = g->slots, .reads = g->reads}};
    for (int i = 0; i < 3; i++) {
        const uint32_t s = new_slot(g, seed, &at);
        if (i == 2)
            g->slots[s].outside = true;
        else
            g->slots[s].input = true, g->slots[s].pinned = random_below(seed, &at, 2) == 0;
    }
    for (size_t i = 0; i < STEPS; i++) {
        skv_lower_step *s = &g->steps[i];
        *s = (skv_lower_step){.in = g->in[i],
                              .out = g->out[i],
                              .n_in = 1 + random_below(seed, &at, 3),
                              .n_out = 1 + random_below(seed, &at, 4) / 3,
                              .in_place = random_below(seed, &at, 8)};
        for (size_t k = 0; k < s->n_in; k++) {
            const uint32_t back = 1 + random_below(seed, &at, 6), n = (uint32_t)g->l.n_slots;
            s->in[k] = random_below(seed, &at, 12) == 0 ? SKV_NO_SLOT : n - (back > n ? n : back);
        }
        for (size_t k = 0; k < s->n_out && g->l.n_slots < SLOTS; k++) s->out[k] = new_slot(g, seed, &at);
        if (g->l.n_slots + 2 > SLOTS) {
            g->l.n_steps = i + 1;
            break;
        }
        g->l.n_steps = i + 1;
        if (random_below(seed, &at, 8) == 0) g->slots[s->out[0]].pinned = true;
        if (g->l.n_reads < 4 && random_below(seed, &at, 6) == 0)
            g->reads[g->l.n_reads++] = (skv_lower_read){s->out[0], (uint32_t)i + random_below(seed, &at, 3)};
    }
}

static void write_slot(const game *g, uint32_t slot) {
    if (slot != SKV_NO_SLOT && !g->slots[slot].outside)
        memset(g->arena + g->slots[slot].offset, (int)slot + 1, g->slots[slot].bytes);
}

static bool holds(const game *g, uint32_t slot) {
    if (slot == SKV_NO_SLOT || g->slots[slot].outside) return true;
    for (size_t i = 0; i < g->slots[slot].bytes; i++)
        if (g->arena[g->slots[slot].offset + i] != slot + 1) return false;
    return true;
}

static uint32_t memory_of(const game *g, uint32_t slot) {
    while (g->slots[slot].alias != slot) slot = g->slots[slot].alias;
    return slot;
}

/* A result lies over one input at most: over two it would overwrite the second before that is read to its end. */
static bool over_one(const game *g, const skv_lower_step *s) {
    size_t over = 0;
    for (size_t k = 0; k < s->n_in && s->n_out > 0; k++)
        over += s->in[k] != SKV_NO_SLOT && memory_of(g, s->in[k]) == memory_of(g, s->out[0]);
    return over <= 1;
}

static size_t play(uint64_t seed) {
    skive_context *ctx = skv_test_context();
    game g;
    size_t shared = 0;
    make_game(&g, seed);
    skv_test_ok(ctx, skv_lower_memory(ctx, &g.l, ALIGN));
    g.arena = calloc(g.l.bytes + 1, 1);
    assert_non_null(g.arena);
    for (uint32_t i = 0; i < g.l.n_slots; i++) {
        if (g.slots[i].input) write_slot(&g, i);
        shared += g.slots[i].alias != i;
        assert_true(g.slots[i].outside || g.slots[i].offset + g.slots[i].bytes <= g.l.bytes);
    }
    for (uint32_t i = 0; i < g.l.n_steps; i++) {
        const skv_lower_step *s = &g.steps[i];
        for (size_t k = 0; k < s->n_in; k++)
            if (!holds(&g, s->in[k])) fail_msg("seed %d: step %u: input %zu was overwritten", (int)seed, i, k);
        if (!over_one(&g, s)) fail_msg("seed %d: step %u: the result lies over two inputs", (int)seed, i);
        for (size_t k = 0; k < s->n_out; k++) write_slot(&g, s->out[k]);
        for (size_t k = 0; k < s->n_out; k++)
            if (!holds(&g, s->out[k])) fail_msg("seed %d: step %u: the outputs overlap", (int)seed, i);
        for (size_t k = 0; k < g.l.n_reads; k++)
            if (g.reads[k].step == i && !holds(&g, g.reads[k].slot))
                fail_msg("seed %d: a read after step %u", (int)seed, i);
    }
    /* Inputs that are kept hold their numbers, and so does the last slot in the memory of every output. */
    for (uint32_t i = 0; i < g.l.n_slots; i++) {
        bool covered = false;
        for (uint32_t k = 0; k < g.l.n_slots; k++) covered = covered || (k != i && g.slots[k].alias == i);
        if (g.slots[i].pinned && !covered && !holds(&g, i)) fail_msg("seed %d: slot %u is not kept", (int)seed, i);
    }
    free(g.arena);
    skv_test_context_end(ctx);
    return shared;
}

static void steps_keep_what_is_needed(void **state) {
    size_t shared = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) shared += play(seed);
    assert_true(shared > 1000); /* results do lie over inputs */
}

/* ---- networks ---- */

typedef struct machine {
    skive_context *ctx;
    const skive_graph *g;
    skv_lowering l;
    uint8_t *arena;
} machine;

static skive_tensor at_slot(const machine *m, const skive_value *v) {
    if (v->storage) return v->storage->tensor;
    skive_tensor t = {
        .dtype = v->type.dtype, .rank = v->type.rank, .data = m->arena + m->l.slots[m->l.slot_of[v->id]].offset};
    for (int d = 0; d < v->type.rank; d++) t.dims[d] = v->type.dims[d].size;
    return t;
}

/* Runs a node on tensors and puts its results where they belong. */
static void run_node(skive_context *ctx, const skive_node *n, const skive_tensor *const *in, const skive_tensor *to) {
    skive_tensor out[SKV_OP_MAX_IO] = {{0}};
    skv_test_ok(ctx, skv_op_evaluate(ctx, n, in, n->n_inputs, out, n->n_outputs));
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        if (n->outputs[o]) memcpy(to[o].data, out[o].data, skive_tensor_bytes(&out[o]));
        skive_tensor_free(ctx, &out[o]);
    }
}

static void run_in_arena(const machine *m) {
    for (size_t i = 0; i < m->l.n_steps; i++) {
        const skive_node *n = m->l.steps[i].node;
        skive_tensor in[SKV_OP_MAX_IO], to[SKV_OP_MAX_IO];
        const skive_tensor *at[SKV_OP_MAX_IO] = {NULL};
        for (uint32_t k = 0; k < n->n_inputs; k++) {
            if (!n->inputs[k]) continue;
            in[k] = at_slot(m, n->inputs[k]);
            at[k] = &in[k];
        }
        for (uint32_t k = 0; k < n->n_outputs; k++)
            if (n->outputs[k]) to[k] = at_slot(m, n->outputs[k]);
        run_node(m->ctx, n, at, to);
    }
}

/* Every value in memory of its own. */
static void run_apart(skive_context *ctx, const skive_graph *g, skive_tensor *values) {
    skive_node **order = NULL;
    skv_test_ok(ctx, skv_graph_topo(g, &order));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = order[i];
        const skive_tensor *at[SKV_OP_MAX_IO] = {NULL};
        skive_tensor out[SKV_OP_MAX_IO] = {{0}};
        for (uint32_t k = 0; k < n->n_inputs; k++)
            if (n->inputs[k])
                at[k] = n->inputs[k]->storage ? &n->inputs[k]->storage->tensor : &values[n->inputs[k]->id];
        skv_test_ok(ctx, skv_op_evaluate(ctx, n, at, n->n_inputs, out, n->n_outputs));
        for (uint32_t k = 0; k < n->n_outputs; k++) {
            if (n->outputs[k])
                values[n->outputs[k]->id] = out[k];
            else
                skive_tensor_free(ctx, &out[k]);
        }
    }
    skv_free(ctx, order);
}

static void check_network(const char *spec, int rank, const int64_t *dims) {
    skive_context *ctx = skv_test_context();
    skive_zoo_options o = skive_zoo_options_default();
    skive_plan_options bind = skive_plan_options_default();
    skive_graph *g = NULL;
    o.rank = rank;
    memcpy(o.dims, dims, (size_t)rank * sizeof *dims);
    skv_test_ok(ctx, skive_zoo_build(ctx, spec, &o, &g));
    skv_test_ok(ctx, skv_plan_bind_inputs(ctx, g, &bind));
    skv_test_ok(ctx, skive_graph_infer(g));
    machine m = {.ctx = ctx, .g = g};
    skv_test_ok(ctx, skv_lower_graph(ctx, g, ALIGN, &m.l));
    m.arena = calloc(m.l.bytes + 1, 1);
    skive_tensor *values = calloc((size_t)g->n_values + 1, sizeof *values);
    assert_true(m.arena && values);
    size_t apart = 0;
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        skive_tensor x = at_slot(&m, g->inputs[i]);
        for (int64_t e = 0; e < skive_tensor_count(&x); e++)
            skive_tensor_set(&x, e, 2 * skv_rng_uniform(9, i, (uint64_t)e) - 1);
        skv_test_ok(ctx, skive_tensor_create(ctx, x.dtype, x.rank, x.dims, &values[g->inputs[i]->id]));
        memcpy(values[g->inputs[i]->id].data, x.data, skive_tensor_bytes(&x));
    }
    run_apart(ctx, g, values);
    run_in_arena(&m);
    for (uint32_t i = 0; i < g->n_values; i++) apart += skive_tensor_bytes(&values[i]);
    for (uint32_t i = 0; i < g->n_outputs + g->n_inputs; i++) { /* inputs stay what they were */
        const skive_value *v = i < g->n_outputs ? g->outputs[i] : g->inputs[i - g->n_outputs];
        const skive_tensor y = at_slot(&m, v);
        assert_memory_equal(y.data, values[v->id].data, skive_tensor_bytes(&y));
    }
    if (m.l.bytes >= apart) fail_msg("%s: the arena has %zu bytes, the values %zu", spec, m.l.bytes, apart);
    for (uint32_t i = 0; i < g->n_values; i++) skive_tensor_free(ctx, &values[i]);
    free(values);
    free(m.arena);
    skv_lowering_free(ctx, &m.l);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

static void networks_run_in_the_arena(void **state) {
    (void)state;
    check_network("mlp:30,20", 1, (const int64_t[]){12});
    check_network("lenet5", 3, (const int64_t[]){1, 28, 28});
    check_network("resnet20", 3, (const int64_t[]){3, 16, 16});
    check_network("mobilenetv2", 3, (const int64_t[]){3, 32, 32});
    check_network("lstm", 2, (const int64_t[]){6, 5});
    check_network("gru", 2, (const int64_t[]){6, 5});
}

/* What cannot be lowered is refused with the place, and a failed allocation leaves nothing behind. */
static skive_status lower_small(skive_context *ctx, void *user) {
    const skive_plan_options bind = skive_plan_options_default();
    const int64_t dims[] = {2, 3};
    const skive_type type = skive_type_make(SKIVE_F32, 2, dims);
    skive_graph *g = NULL;
    skive_value *v = NULL;
    skive_node *n = NULL;
    skv_lowering l = {0};
    (void)user;
    skive_status status = skive_graph_create(ctx, "g", &g);
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &type, &v);
    for (int i = 0; i < 3 && status == SKIVE_OK; i++) {
        status = skive_graph_add_node(g, i == 1 ? "Flatten" : "Relu", NULL, &v, 1, 1, &n);
        if (status == SKIVE_OK) v = skive_node_output(n, 0);
    }
    if (status == SKIVE_OK) status = skive_graph_add_output(g, v);
    if (status == SKIVE_OK) status = skv_plan_bind_inputs(ctx, g, &bind);
    if (status == SKIVE_OK) status = skive_graph_infer(g);
    if (status == SKIVE_OK) status = skv_lower_graph(ctx, g, ALIGN, &l);
    if (status == SKIVE_OK) assert_int_equal(l.n_steps, 2);    /* Flatten needs none */
    if (status == SKIVE_OK) assert_int_equal(l.bytes, 2 * 32); /* the input, and the rest in place */
    skv_lowering_free(ctx, &l);
    skive_graph_free(g);
    return status;
}

static void allocations_may_fail(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(lower_small, NULL, 1) > 5);
}

static void refusals(void **state) {
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL;
    skv_lowering l;
    (void)state;
    skv_test_ok(ctx, skive_zoo_build(ctx, "lenet5", NULL, &g));
    assert_int_equal(skv_lower_graph(ctx, g, ALIGN, &l), SKIVE_ERR_SHAPE); /* the batch is open */
    assert_non_null(strstr(skive_context_message(ctx), "'input'"));
    skive_graph_free(g);
    g = NULL;
    skive_value *x = NULL;
    skive_node *n = NULL;
    const int64_t dims[] = {2};
    const skive_type t = skive_type_make(SKIVE_F32, 1, dims);
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &x));
    skv_test_ok(ctx, skive_graph_add_node(g, "Strange", "stranger", &x, 1, 1, &n));
    skv_test_ok(ctx, skive_graph_add_output(g, skive_node_output(n, 0)));
    assert_int_equal(skv_lower_graph(ctx, g, ALIGN, &l), SKIVE_ERR_UNSUPPORTED);
    assert_non_null(strstr(skive_context_message(ctx), "stranger"));
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_by_hand),
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(steps_keep_what_is_needed),
        cmocka_unit_test(networks_run_in_the_arena),
        cmocka_unit_test(refusals),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
