/* The tile registers' inner tile (gemm_amx.h) with a model of the instructions in plain C, and where the CPU has them
 * with the instructions themselves, under the driver of the integer kernels: every shape, whether the tiles are chosen
 * for it or not, has the bits of the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include <skive/exec.h>

#include "base/context.h"
#include "kernels/int8/dense.h"
#include "kernels/int8/tiles.h"
#include "support.h"

#include <cmocka.h>

/* ---- the instructions ---- */

/* The state of a thread: the shapes and eight registers. As on the processor, all are 0 after a configuration, and a
 * thread without one, or that has released its registers, may use none. */
typedef struct tile_model {
    uint8_t palette, rows[8];
    uint16_t row_bytes[8];
    uint8_t data[8][16][64];
} tile_model;
static _Thread_local tile_model model;
static _Thread_local size_t products; /* TDPBUSD that ran */

static void model_configure(const void *shapes) {
    const uint8_t *from = shapes;
    memset(&model, 0, sizeof model);
    model.palette = from[0];
    if (model.palette != 1 || from[1] != 0) fail_msg("palette %u, start row %u", from[0], from[1]);
    for (int i = 2; i < 16; i++) assert_int_equal(from[i], 0);
    memcpy(model.row_bytes, from + 16, sizeof model.row_bytes);
    memcpy(model.rows, from + 48, sizeof model.rows);
    for (int i = 32; i < 48; i++) assert_int_equal(from[i], 0);
    for (int i = 56; i < 64; i++) assert_int_equal(from[i], 0);
    for (int i = 0; i < 8; i++) assert_true(model.rows[i] <= 16 && model.row_bytes[i] <= 64);
}

static void check_tile(int tile) {
    if (!model.palette || !model.rows[tile] || !model.row_bytes[tile]) fail_msg("tile %d is not configured", tile);
}

static void model_zero(int tile) {
    check_tile(tile);
    memset(model.data[tile], 0, sizeof model.data[tile]);
}

static void model_load(int tile, const void *from, size_t apart) {
    model_zero(tile);
    for (size_t r = 0; r < model.rows[tile]; r++)
        memcpy(model.data[tile][r], (const char *)from + r * apart, model.row_bytes[tile]);
}

static void model_store(int tile, void *to, size_t apart) {
    check_tile(tile);
    for (size_t r = 0; r < model.rows[tile]; r++)
        memcpy((char *)to + r * apart, model.data[tile][r], model.row_bytes[tile]);
}

/* TDPBUSD: unsigned bytes of x by signed bytes of w, four products to each sum, which wraps. */
static void model_multiply(int sums, int x, int w) {
    check_tile(sums);
    check_tile(x);
    check_tile(w);
    assert_int_equal(model.rows[sums], model.rows[x]);
    assert_int_equal(model.row_bytes[sums], model.row_bytes[w]);
    assert_int_equal(model.row_bytes[x], model.rows[w] * 4);
    products++;
    for (int r = 0; r < model.rows[sums]; r++) {
        for (int c = 0; c < model.row_bytes[sums] / 4; c++) {
            uint32_t sum;
            memcpy(&sum, &model.data[sums][r][4 * c], sizeof sum);
            for (int k = 0; k < model.row_bytes[x]; k++) {
                const int32_t weight = (int8_t)model.data[w][k / 4][4 * c + k % 4];
                sum += (uint32_t)(model.data[x][r][k] * weight);
            }
            memcpy(&model.data[sums][r][4 * c], &sum, sizeof sum);
        }
    }
}

#define CONFIGURE(shapes)       model_configure(shapes)
#define ZERO(tile)              model_zero(tile)
#define LOAD(tile, from, apart) model_load(tile, from, apart)
#define STORE(tile, to, apart)  model_store(tile, to, apart)
#define MULTIPLY(sums, x, w)    model_multiply(sums, x, w)

static void finish(const skv_q8_tile *t, const int32_t *sums);

#include "kernels/int8/gemm_amx.h"
#include "kernels/int8/round.h"
#include "kernels/unroll.h"

enum { ALL = MR * NR };

#include "kernels/int8/gemm_store.h"

static void finish(const skv_q8_tile *t, const int32_t *sums) {
    int32_t all[ALL] = {0};
    memcpy(all, sums, t->rows * NR * sizeof *sums);
    store(t, (int)t->rows, all);
}

static void copy_bytes(void *row, size_t at, const uint8_t *x, size_t n, int32_t zero) {
    (void)zero;
    memcpy((uint8_t *)row + at, x, n);
}

static void model_release(void) { memset(&model, 0, sizeof model); }

static const skv_q8_gemm model_gemm = {.mr = MR,
                                       .nr = NR,
                                       .k_group = STEP,
                                       .together = TOGETHER_NUMBERS,
                                       .even = true,
                                       .tile = tile,
                                       .configure = configure,
                                       .release = model_release,
                                       .copy = copy_bytes};

/* ---- the driver ---- */

typedef struct dice {
    uint64_t seed, at;
} dice;

static int64_t roll(dice *d, int64_t low, int64_t high) {
    return low + (int64_t)skv_rng_below(d->seed, 78, d->at++, (uint64_t)(high - low + 1));
}

static bool coin(dice *d, int percent) { return roll(d, 1, 100) <= percent; }

static skive_value *parameter(skive_context *ctx, skv_builder *b, skive_tensor t) {
    skv_storage *s = NULL;
    skv_test_ok(ctx, skv_storage_from_tensor(ctx, &t, &s));
    skive_tensor_free(ctx, &t);
    return skv_emit_param(b, NULL, s);
}

static void to_layout(const skv_kernel_value *v, bool in, const void *from, void *to) {
    skv_reorder(&v->type, in ? SKV_PLAIN : v->layout, from, in ? v->layout : SKV_PLAIN, to, 1);
}

/* Memory that ends where the page after it may not be read: a tile that reads on dies. */
static void *exact(size_t bytes, size_t *mapped) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = skv_align_up(bytes, page);
    *mapped = whole + page;
    char *p = mmap(NULL, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + whole, page, PROT_NONE), 0);
    return p + whole - bytes;
}

static void drop(void *p, size_t mapped) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    (void)munmap((void *)((uintptr_t)p / page * page), mapped);
}

#if defined(__x86_64__)
/* The parts of the thread's state that are in use: bits 17 and 18 are those of the tile registers. */
static uint64_t state_in_use(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (uint64_t)high << 32 | low;
}

static void check_released(void) {
    if (skv_isa_has(skv_cpu_isa(), SKV_ISA_AMX)) assert_int_equal(state_in_use() >> 17 & 3, 0);
}
#else
static void check_released(void) {}
#endif

/* The graph's only node by the dense driver with this gemm. */
static void run_driver(skive_context *ctx, const skive_graph *g, const skv_q8_gemm *gemm, const skive_tensor *x,
                       size_t n_x, int threads, void *y) {
    const skive_node *node = g->nodes[0];
    skv_kernel_value in[4] = {0}, out = {.type = node->outputs[0]->type};
    skv_arena *weights = NULL;
    skv_test_ok(ctx, skv_arena_create_large(ctx, &weights));
    skv_kernel_node n = {.ctx = ctx,
                         .weights = weights,
                         .node = node,
                         .n_in = node->n_inputs,
                         .n_out = 1,
                         .in = in,
                         .out = &out,
                         .threads = threads};
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const skive_value *v = node->inputs[i];
        if (!v) {
            in[i].absent = true;
            continue;
        }
        in[i] = (skv_kernel_value){.type = v->type, .constant = skive_value_data(v), .is_parameter = v->storage};
    }
    skv_conv_shape s;
    skv_test_ok(ctx, skv_q8_dense_shape(&n, &s));
    skv_test_ok(ctx, skv_q8_dense_prepare(&n, gemm, &s));
    const size_t y_bytes = (size_t)skv_type_count(&out.type) * (out.type.dtype == SKIVE_F32 ? 4 : 1);
    const size_t x_bytes = skive_tensor_bytes(&x[0]);
    size_t x_mapped;
    uint8_t *from = exact(x_bytes, &x_mapped), *other = NULL;
    uint8_t *to = malloc(y_bytes + 1), *scratch = aligned_alloc(64, skv_align_up(n.scratch_bytes + 1, 64));
    assert_true(to && scratch);
    to_layout(&in[0], true, x[0].data, from);
    if (n_x > 1) {
        other = malloc(y_bytes);
        assert_non_null(other);
        to_layout(&in[3], true, x[1].data, other);
    }
    memset(scratch, 0xff, n.scratch_bytes);
    memset(to, 0xaa, y_bytes + 1);
    const void *read[4] = {from, NULL, NULL, other};
    void *written[1] = {to};
    const skv_kernel_call call = {.ctx = ctx, .n = &n, .in = read, .out = written, .scratch = scratch};
    skv_test_ok(ctx, skv_q8_dense_run(&call));
    assert_int_equal(model.palette, 0); /* released */
    check_released();
    assert_int_equal(to[y_bytes], 0xaa);
    to_layout(&out, false, to, y);
    skv_q8_dense_destroy(ctx, n.state);
    skv_arena_free(weights);
    drop(from, x_mapped);
    free(other);
    free(to);
    free(scratch);
}

static void reference(skive_context *ctx, const skive_graph *g, const skive_tensor *x, size_t n_x, skive_tensor *out) {
    const skive_node *node = g->nodes[0];
    const skive_tensor *in[4] = {&x[0]};
    for (uint32_t i = 1; i < node->n_inputs; i++) {
        const skive_value *v = node->inputs[i];
        in[i] = !v ? NULL : v->storage ? skv_value_tensor(v) : &x[n_x - 1];
    }
    skv_test_ok(ctx, skv_op_evaluate(ctx, node, in, node->n_inputs, out, 1));
}

static void compare(skive_context *ctx, skive_graph *g, const skive_tensor *x, size_t n_x, const char *what) {
    skive_tensor want = {0};
    skv_test_ok(ctx, skive_graph_infer(g));
    reference(ctx, g, x, n_x, &want);
    const size_t bytes = skive_tensor_bytes(&want);
    uint8_t *y = malloc(bytes);
    assert_non_null(y);
    const skv_q8_gemm *gemms[2] = {&model_gemm,
                                   SKV_ON(AMX, skv_isa_has(skv_cpu_isa(), SKV_ISA_AMX) ? skv_q8_gemm_amx() :) NULL};
    for (int i = 0; i < 2 && gemms[i]; i++) {
        products = 0;
        run_driver(ctx, g, gemms[i], x, n_x, 1 + i, y);
        assert_true(i > 0 || products > 0);
        for (size_t k = 0; k < bytes; k++) {
            const uint8_t right = ((const uint8_t *)want.data)[k];
            if (y[k] != right)
                fail_msg("%s, %s: byte %zu of %zu is %u, the reference gives %u", what, i ? "AMX" : "model", k, bytes,
                         y[k], right);
        }
    }
    free(y);
    skive_tensor_free(ctx, &want);
}

typedef struct layer {
    bool conv, adds;
    int64_t n, groups, per_in, per_out, size[2], kernel[2], stride[2], dilation[2], pads[4];
} layer;

static skive_tensor bytes_of(skive_context *ctx, dice *d, skive_dtype dtype, int rank, const int64_t *dims) {
    const bool u8 = dtype == SKIVE_U8, extreme = coin(d, 20);
    skive_tensor t =
        skv_test_random(ctx, dtype, rank, dims, (uint64_t)roll(d, 1, 1 << 30), u8 ? 0 : -128, u8 ? 256 : 128);
    for (int64_t i = 0; extreme && i < skive_tensor_count(&t); i++)
        ((uint8_t *)t.data)[i] = u8 ? 255 : coin(d, 90) ? 0x80 : 0x7f;
    return t;
}

static void run_layer(skive_context *ctx, dice *d, const layer *l, const char *what) {
    const int rank = l->conv ? 4 : 2;
    const int64_t c = l->groups * l->per_in, m = l->groups * l->per_out;
    const int64_t x_dims[4] = {l->n, c, l->size[0], l->size[1]}, w_dims[4] = {m, l->per_in, l->kernel[0], l->kernel[1]};
    int64_t y_dims[4] = {l->n, m};
    for (int a = 0; a < 2 && l->conv; a++)
        y_dims[2 + a] =
            (l->size[a] + l->pads[a] + l->pads[2 + a] - (l->kernel[a] - 1) * l->dilation[a] - 1) / l->stride[a] + 1;
    skive_tensor x[2] = {bytes_of(ctx, d, SKIVE_U8, rank, x_dims)};
    if (l->adds) x[1] = bytes_of(ctx, d, SKIVE_U8, rank, y_dims);
    const size_t n_x = l->adds ? 2 : 1;
    skive_graph *g = NULL;
    skive_value *in[2] = {NULL, NULL};
    skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
    for (size_t i = 0; i < n_x; i++) {
        const skive_type t = skive_type_make(SKIVE_U8, x[i].rank, x[i].dims);
        skv_test_ok(ctx, skive_graph_add_input(g, i ? "b" : "a", &t, &in[i]));
    }
    skv_builder b = skv_build(g);
    double *multiplier = calloc((size_t)m, sizeof *multiplier);
    assert_non_null(multiplier);
    const int64_t terms = l->per_in * (l->conv ? l->kernel[0] * l->kernel[1] : 1);
    for (int64_t i = 0; i < m; i++)
        multiplier[i] = (double)(float)((1 + (double)roll(d, 0, 1000) / 500) / (80.0 * (double)(terms + 40)) * 8);
    const int64_t y_low = coin(d, 30) ? roll(d, 0, 90) : 0, kind = l->adds ? 0 : roll(d, 0, 3);
    skv_attr_init attrs[16] = {SKV_INT("x_zero_point", coin(d, 50) ? 0 : roll(d, 0, 255)),
                               SKV_FLTS("multiplier", multiplier, (size_t)m),
                               SKV_STR("y_dtype", kind == 3   ? "float"
                                                  : kind == 2 ? "s8"
                                                              : "u8")};
    size_t n = 3;
    if (kind != 3) {
        const int64_t low = kind == 2 ? -128 : 0;
        attrs[n++] = SKV_INT("y_zero_point", low + (coin(d, 50) ? 0 : roll(d, 0, 255)));
        attrs[n++] = SKV_INT("clamp_lo", low + y_low);
        attrs[n++] = SKV_INT("clamp_hi", low + 255);
    }
    if (l->conv) {
        attrs[n++] = SKV_INTS("strides", l->stride, 2);
        attrs[n++] = SKV_INTS("dilations", l->dilation, 2);
        attrs[n++] = SKV_INTS("pads", l->pads, 4);
        attrs[n++] = SKV_INT("group", l->groups);
    }
    if (l->adds) {
        attrs[n++] = SKV_FLT("y_scale", 0.7);
        attrs[n++] = SKV_FLT("other_scale", (double)roll(d, 1, 3000) / 1000);
        attrs[n++] = SKV_INT("other_zp", coin(d, 50) ? 0 : roll(d, 0, 255));
        attrs[n++] = SKV_FLT("sum_scale", 1);
        attrs[n++] = SKV_INT("sum_zp", coin(d, 50) ? 0 : roll(d, 0, 255));
    }
    skive_value *w = parameter(ctx, &b, bytes_of(ctx, d, SKIVE_I8, rank, w_dims)), *bias = NULL;
    if (coin(d, 75)) bias = parameter(ctx, &b, skv_test_random(ctx, SKIVE_I32, 1, &m, 3, -4000, 4000));
    const skv_attr_list list = {attrs, n};
    skive_value *y =
        l->adds ? skv_emit(&b, "QConvAdd", SKV_IN(in[0], w, bias, in[1]), list)
                : skv_emit(&b, l->conv ? "QConv" : "QGemm", bias ? SKV_IN(in[0], w, bias) : SKV_IN(in[0], w), list);
    skv_test_ok(ctx, b.status);
    skv_test_ok(ctx, skive_graph_add_output(g, y));
    compare(ctx, g, x, n_x, what);
    free(multiplier);
    for (size_t i = 0; i < n_x; i++) skive_tensor_free(ctx, &x[i]);
    skive_graph_free(g);
}

static void describe(char *to, size_t size, const layer *l, uint64_t seed) {
    (void)snprintf(to, size,
                   "seed %llu: %s%s, n %lld, groups %lld, %lld to %lld, %lldx%lld by %lldx%lld, stride %lld %lld, "
                   "dilation %lld %lld",
                   (unsigned long long)seed, l->conv ? "convolution" : "product", l->adds ? " and sum" : "",
                   (long long)l->n, (long long)l->groups, (long long)l->per_in, (long long)l->per_out,
                   (long long)l->size[0], (long long)l->size[1], (long long)l->kernel[0], (long long)l->kernel[1],
                   (long long)l->stride[0], (long long)l->stride[1], (long long)l->dilation[0],
                   (long long)l->dilation[1]);
}

enum { LAYERS = 300 };

static void layers(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (uint64_t seed = 1; seed <= skv_test_rounds(LAYERS); seed++) {
        dice d = {seed, 0};
        layer l = {.conv = coin(&d, 75), .n = roll(&d, 1, 3), .groups = 1};
        if (!l.conv) l.n = coin(&d, 50) ? roll(&d, 1, 40) : roll(&d, 1, 100);
        l.groups = l.conv && coin(&d, 20) ? roll(&d, 2, 4) : 1;
        l.per_in = coin(&d, 50) ? roll(&d, 1, 20) : coin(&d, 50) ? 64 * roll(&d, 1, 2) : roll(&d, 20, 150);
        l.per_out = coin(&d, 50) ? roll(&d, 1, 70) : 32 * roll(&d, 1, 2);
        l.adds = l.conv && coin(&d, 25);
        const bool pointwise = coin(&d, 35);
        for (int a = 0; a < 2; a++) {
            l.kernel[a] = pointwise || coin(&d, 20) ? 1 : roll(&d, 2, 4);
            l.stride[a] = coin(&d, 70) ? 1 : 2;
            l.dilation[a] = coin(&d, 85) ? 1 : 2;
            l.pads[a] = pointwise || coin(&d, 40) ? 0 : roll(&d, 0, 2);
            l.pads[2 + a] = pointwise ? 0 : coin(&d, 70) ? l.pads[a] : roll(&d, 0, 2);
            l.size[a] = (l.kernel[a] - 1) * l.dilation[a] + roll(&d, 1, a == 1 && coin(&d, 30) ? 50 : 9);
        }
        char what[200];
        describe(what, sizeof what, &l, seed);
        run_layer(ctx, &d, &l, what);
    }
    skv_test_context_end(ctx);
}

/* Every number of rows that a tile may have, and every rest of k and of columns. */
static void every_rest(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int64_t i = 1; i <= 70; i++) {
        dice d = {(uint64_t)(1000 + i), 0};
        const layer l = {.n = i, .groups = 1, .per_in = 2 * i + 1, .per_out = i <= 35 ? i : 96 - i};
        char what[200];
        describe(what, sizeof what, &l, 1000 + (uint64_t)i);
        run_layer(ctx, &d, &l, what);
    }
    skv_test_context_end(ctx);
}

/* The model itself, by hand: 255 * -128 four times in each of 16 steps, and sums that wrap. */
static void the_model_multiplies(void **state) {
    uint8_t x[16][64];
    int8_t w[16][64];
    int32_t sums[16][16];
    (void)state;
    memset(x, 255, sizeof x);
    memset(w, -128, sizeof w);
    w[0][5] = 127;
    for (int r = 0; r < 16; r++)
        for (int c = 0; c < 16; c++) sums[r][c] = r == 3 ? INT32_MIN : c;
    x[2][63] = 1;
    configure(16);
    model_load(0, sums, 64);
    model_load(4, x, 64);
    model_load(6, w, 64);
    model_multiply(0, 4, 6);
    model_store(0, sums, 64);
    model_release();
    assert_int_equal(sums[0][0], 64 * 255 * -128);
    assert_int_equal(sums[0][1], 1 + 63 * 255 * -128 + 255 * 127);
    assert_int_equal(sums[2][7], 7 + 63 * 255 * -128 - 128);
    assert_int_equal(sums[3][0], INT32_MAX - 64 * 255 * 128 + 1);
}

/* The kernel that a plan has for the node, whose result on two threads is the reference's. */
static void chosen_as(skive_context *ctx, skive_graph *g, const skive_tensor *x, bool tiles) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *plan = NULL;
    skive_exec *exec = NULL;
    skive_plan_step step;
    skive_tensor view, want = {0};
    o.threads = 2;
    skv_test_ok(ctx, skive_graph_infer(g));
    skv_test_ok(ctx, skive_plan_create(ctx, g, &o, &plan));
    assert_int_equal(skive_plan_step_count(plan), 1);
    skive_plan_step_get(plan, 0, &step);
    if ((strcmp(step.kernel, "qgemm_u8s8_amx") == 0) != tiles) fail_msg("%s was chosen", step.kernel);
    if (strcmp(step.kernel, "reference") == 0) fail_msg("the reference was chosen");
    skv_test_ok(ctx, skive_exec_create(ctx, plan, &exec));
    skv_test_ok(ctx, skive_exec_input(exec, 0, &view));
    memcpy(view.data, x->data, skive_tensor_bytes(&view));
    skv_test_ok(ctx, skive_exec_run(exec));
    skv_test_ok(ctx, skive_exec_output(exec, 0, &view));
    reference(ctx, g, x, 1, &want);
    assert_memory_equal(view.data, want.data, skive_tensor_bytes(&want));
    check_released();
    skive_tensor_free(ctx, &want);
    skive_exec_free(exec);
    skive_plan_free(plan);
}

/* Large layers go to the tile registers where the level has them, small ones never. */
static void large_layers_are_chosen(void **state) {
    static const int64_t rows[] = {1, 11, 300};
    const bool here = SKV_ON(AMX, skv_isa_has(skv_cpu_isa(), SKV_ISA_AMX) ||) false;
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int i = 0; i < 3; i++) {
        const int64_t k = 200, m = 70, dims[2] = {rows[i], k}, w_dims[2] = {m, k};
        const skive_type t = skive_type_make(SKIVE_U8, 2, dims);
        skive_tensor x = skv_test_random(ctx, SKIVE_U8, 2, dims, 5, 0, 256);
        skive_graph *g = NULL;
        skive_value *in = NULL;
        double multiplier[70];
        for (int64_t c = 0; c < m; c++) multiplier[c] = 0.0001 * (double)(c + 1);
        skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &in));
        skv_builder b = skv_build(g);
        skive_value *w = parameter(ctx, &b, skv_test_random(ctx, SKIVE_I8, 2, w_dims, 6, -128, 128));
        skive_value *y = skv_emit(&b, "QGemm", SKV_IN(in, w),
                                  SKV_ATTRS(SKV_INT("x_zero_point", 7), SKV_FLTS("multiplier", multiplier, (size_t)m),
                                            SKV_STR("y_dtype", "u8"), SKV_INT("y_zero_point", 100),
                                            SKV_INT("clamp_lo", 0), SKV_INT("clamp_hi", 255)));
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        chosen_as(ctx, g, &x, here && rows[i] == 300);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

/* Products whose zero points come with the run, large enough for the tiles: rows in place, copied and int8 ones. */
static void products_of_integers(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    for (int i = 0; i < 3; i++) {
        const bool is_signed = i == 2;
        const int64_t k = i ? 300 : 256, n = 210, dims[2] = {77, k}, w_dims[2] = {k, n};
        const skive_dtype dtype = is_signed ? SKIVE_I8 : SKIVE_U8;
        const skive_type t = skive_type_make(dtype, 2, dims);
        const skv_conv_shape s = skv_q8_product_shape(dims[0], k, n);
        skv_why why = {{0}};
        if (!skv_q8_tiles_pay(&s, &why)) fail_msg("too small: %s", why.text);
        skive_tensor x = skv_test_random(ctx, dtype, 2, dims, 5, is_signed ? -128 : 0, is_signed ? 128 : 256);
        skive_graph *g = NULL;
        skive_value *in = NULL;
        skv_test_ok(ctx, skive_graph_create(ctx, "test", &g));
        skv_test_ok(ctx, skive_graph_add_input(g, "x", &t, &in));
        skv_builder b = skv_build(g);
        skive_value *w = parameter(ctx, &b, skv_test_random(ctx, SKIVE_U8, 2, w_dims, 6, 0, 256));
        skive_value *zero = skv_emit_scalar(&b, dtype, is_signed ? -3 : 130);
        skive_value *zeros = parameter(ctx, &b, skv_test_random(ctx, SKIVE_U8, 1, &n, 7, 0, 256));
        skive_value *y = skv_emit(&b, "MatMulInteger", SKV_IN(in, w, zero, zeros), SKV_NONE);
        skv_test_ok(ctx, b.status);
        skv_test_ok(ctx, skive_graph_add_output(g, y));
        chosen_as(ctx, g, &x, false);
        skive_tensor_free(ctx, &x);
        skive_graph_free(g);
    }
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_multiplies),    cmocka_unit_test(every_rest),           cmocka_unit_test(layers),
        cmocka_unit_test(large_layers_are_chosen), cmocka_unit_test(products_of_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
